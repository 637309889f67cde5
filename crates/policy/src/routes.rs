//! Routes: which part of a host a request asks for, and where that part is served.

use crate::denial::Reason;
use crate::policies::Attached;
use crate::target::Target;
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
        location: Option<HeaderValue>,
    },
}

/// A part of a host.
#[derive(Debug)]
pub struct Route {
    /// Its label, unique in the host.
    pub name: Arc<str>,
    /// Its paths.
    pub path: PathPattern,
    /// The methods it takes; none for all.
    pub methods: Option<Vec<Method>>,
    /// Where its requests go.
    pub action: RouteAction,
    /// Policies besides the host's, after them.
    pub policies: Vec<Attached>,
}

/// Index of a route in its host.
pub type RouteIndex = usize;

/// The route of a request: the most specific path, then the method.
///
/// A route with a more specific path hides the others from every method, so that its policies cannot be stepped around.
///
/// # Errors
/// [`Reason::RouteUnknown`], [`Reason::MethodUnlisted`], or [`Reason::TargetAmbiguous`] where the decoded path leads elsewhere
/// or applications disagree on it.
pub fn find(routes: &[Route], target: &Target<'_>, method: &Method) -> Result<RouteIndex, Reason> {
    let route = find_path(routes, target.path, method);
    match target.decoded_path() {
        Some(other) if find_path(routes, &other, method) != route => Err(Reason::TargetAmbiguous),
        Some(_) if target.is_contested() && routes.iter().any(|route| !route.path.is_everything()) => {
            Err(Reason::TargetAmbiguous)
        }
        _ => route,
    }
}

fn find_path(routes: &[Route], path: &[u8], method: &Method) -> Result<RouteIndex, Reason> {
    let fitting = || routes.iter().enumerate().filter(|(_, route)| route.path.fits(path));
    let best = fitting().map(|(_, route)| route.path.specificity()).max().ok_or(Reason::RouteUnknown)?;
    let takes = |route: &Route| route.methods.as_ref().is_none_or(|methods| methods.contains(method));
    fitting()
        .find(|(_, route)| route.path.specificity() == best && takes(route))
        .map(|(index, _)| index)
        .ok_or(Reason::MethodUnlisted)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]
mod tests;
