//! Routes: which part of a host a request asks for, and where that part is served.

use crate::denial::Reason;
use crate::policies::Attached;
use crate::target::Target;
use crate::template::Template;
use http::{HeaderValue, Method, StatusCode};
use std::str::FromStr;
use std::sync::Arc;

/// Which paths a route serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathPattern {
    /// This path and everything below it; without its trailing slash, so that `/` is the empty text.
    Prefix(String),
    /// This path alone.
    Exact(String),
}

/// A text that is no path pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a path; write /prefix for a path and all below it, or =/exact for one path")]
pub struct NotAPath(String);

impl FromStr for PathPattern {
    type Err = NotAPath;

    fn from_str(text: &str) -> Result<Self, NotAPath> {
        let (exact, path) = text.strip_prefix('=').map_or((false, text), |path| (true, path));
        let target = Target::parse(path.as_bytes()).map_err(|_| NotAPath(text.to_owned()))?;
        // A pattern that an application could read in two ways would match one reading only.
        let twofold = target.query.is_some() || target.decoded_path().is_some_and(|other| other != path.as_bytes());
        if twofold {
            return Err(NotAPath(text.to_owned()));
        }
        Ok(if exact { Self::Exact(path.to_owned()) } else { Self::Prefix(path.trim_end_matches('/').to_owned()) })
    }
}

impl PathPattern {
    fn fits(&self, path: &[u8]) -> bool {
        match self {
            Self::Exact(exact) => path == exact.as_bytes(),
            Self::Prefix(prefix) => {
                path.strip_prefix(prefix.as_bytes()).is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
            }
        }
    }

    fn is_everything(&self) -> bool {
        matches!(self, Self::Prefix(prefix) if prefix.is_empty())
    }

    /// What comes before what: exact paths first, then the longer prefix.
    fn specificity(&self) -> (bool, usize) {
        match self {
            Self::Exact(path) => (true, path.len()),
            Self::Prefix(path) => (false, path.len()),
        }
    }

    /// The path that `strip_prefix` takes away.
    #[must_use]
    pub fn prefix(&self) -> &str {
        match self {
            Self::Exact(path) | Self::Prefix(path) => path,
        }
    }
}

/// Where a route's requests go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteAction {
    /// To the upstream at this index.
    Upstream {
        /// Index in the configuration's upstreams.
        index: usize,
        /// Whether the route's path is cut from the front of the target.
        strip_prefix: bool,
    },
    /// Answered by the gateway itself, without an upstream.
    Respond {
        /// The status.
        status: StatusCode,
        /// `Location`, for redirects.
        location: Option<Template>,
    },
}

/// A part of a host.
#[derive(Debug)]
pub struct Route {
    /// Its label, unique in the host.
    pub name: Arc<str>,
    /// Its paths.
    pub path: PathPattern,
    /// The connections whose requests it takes; none for all.
    pub protocol: Option<RouteProtocol>,
    /// The methods it takes, among those of the host; none for all of them.
    pub methods: Option<Vec<Method>>,
    /// Where its requests go.
    pub action: RouteAction,
    /// Policies besides the host's, after them.
    pub policies: Vec<Attached>,
}

/// What a connection speaks, as far as routes tell connections apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RouteProtocol {
    /// TLS.
    Https,
    /// No TLS.
    Http,
}

/// What a request asks of a host's routes.
#[derive(Debug, Clone, Copy)]
pub struct Sought<'a> {
    /// The target.
    pub target: &'a Target<'a>,
    /// The method.
    pub method: &'a Method,
    /// What its connection speaks.
    pub protocol: RouteProtocol,
}

/// Index of a route in its host.
pub type RouteIndex = usize;

/// The route of a request: the most specific path among those for its connection, then the method.
///
/// A route with a more specific path hides the others from every method, so that its policies cannot be stepped around.
///
/// # Errors
/// [`Reason::RouteUnknown`], [`Reason::MethodUnlisted`], or [`Reason::TargetAmbiguous`] where the decoded path leads elsewhere
/// or applications disagree on it.
pub fn find(routes: &[Route], sought: &Sought<'_>) -> Result<RouteIndex, Reason> {
    let route = find_path(routes, sought, sought.target.path);
    match sought.target.decoded_path() {
        Some(other) if find_path(routes, sought, &other) != route => Err(Reason::TargetAmbiguous),
        Some(_) if sought.target.is_contested() && routes.iter().any(|route| !route.path.is_everything()) => {
            Err(Reason::TargetAmbiguous)
        }
        _ => route,
    }
}

fn find_path(routes: &[Route], sought: &Sought<'_>, path: &[u8]) -> Result<RouteIndex, Reason> {
    let mut best = most_specific(routes, sought.protocol, path).peekable();
    best.peek().ok_or(Reason::RouteUnknown)?;
    best.find(|(_, route)| route.takes(sought.method)).map(|(index, _)| index).ok_or(Reason::MethodUnlisted)
}

/// The routes of the most specific path that fits.
fn most_specific<'a>(
    routes: &'a [Route],
    protocol: RouteProtocol,
    path: &'a [u8],
) -> impl Iterator<Item = (RouteIndex, &'a Route)> {
    let fitting = move || {
        let open = move |route: &Route| route.protocol.is_none_or(|own| own == protocol);
        routes.iter().enumerate().filter(move |(_, route)| open(route) && route.path.fits(path))
    };
    let best = fitting().map(|(_, route)| route.path.specificity()).max();
    fitting().filter(move |(_, route)| Some(route.path.specificity()) == best)
}

/// The methods that a refused one could have been, for `Allow` (RFC 9110 section 10.2.1): those that the host takes, as far as the routes of
/// the path take them.
#[must_use]
pub fn allowed(routes: &[Route], sought: &Sought<'_>, host: &[Method]) -> Option<HeaderValue> {
    let fitting = || most_specific(routes, sought.protocol, sought.target.path);
    let is_taken = |method: &&Method| fitting().next().is_none() || fitting().any(|(_, route)| route.takes(method));
    let methods: Vec<&str> = host.iter().filter(is_taken).map(Method::as_str).collect();
    HeaderValue::from_str(&methods.join(", ")).ok()
}

impl Route {
    fn takes(&self, method: &Method) -> bool {
        self.methods.as_ref().is_none_or(|methods| methods.contains(method))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]
mod tests;
