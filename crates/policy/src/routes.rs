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
/// [`Reason::RouteUnknown`], [`Reason::MethodUnlisted`], or [`Reason::TargetAmbiguous`] where the decoded path leads elsewhere.
pub fn find(routes: &[Route], target: &Target<'_>, method: &Method) -> Result<RouteIndex, Reason> {
    let route = find_path(routes, target.path, method);
    match target.decoded_path() {
        Some(other) if find_path(routes, &other, method) != route => Err(Reason::TargetAmbiguous),
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
mod tests {
    use super::*;

    fn route(path: &str, methods: Option<&[&str]>) -> Route {
        Route {
            name: path.into(),
            path: path.parse().unwrap(),
            methods: methods.map(|list| list.iter().map(|name| name.parse().unwrap()).collect()),
            action: RouteAction::Upstream { index: 0, strip_prefix: false },
            policies: vec![],
        }
    }

    fn ask(routes: &[Route], method: &str, target: &str) -> Result<String, Reason> {
        let target = Target::parse(target.as_bytes()).unwrap();
        find(routes, &target, &method.parse().unwrap()).map(|index| routes[index].name.to_string())
    }

    #[test]
    fn the_most_specific_path_wins() {
        let routes = [
            route("/", None),
            route("/api", Some(&["GET"])),
            route("/api/", Some(&["POST"])),
            route("/api/v2", None),
            route("=/api/v2/status", None),
        ];
        let table = [
            ("GET", "/", Ok("/")),
            ("GET", "/apix", Ok("/")),
            ("GET", "/api", Ok("/api")),
            ("GET", "/api/x?y", Ok("/api")),
            ("POST", "/api/x", Ok("/api/")),
            ("PUT", "/api/x", Err(Reason::MethodUnlisted)),
            ("PUT", "/api/v2/x", Ok("/api/v2")),
            ("GET", "/api/v2/status", Ok("=/api/v2/status")),
            ("GET", "/api/v2/status/", Ok("/api/v2")),
            ("GET", "/x/../api", Err(Reason::TargetAmbiguous)),
            ("GET", "/%61pi", Err(Reason::TargetAmbiguous)),
            ("GET", "/api/a%2Fb", Ok("/api")),
            ("GET", "/x//y;z=1/%20", Ok("/")),
        ];
        for (method, target, expected) in table {
            assert_eq!(ask(&routes, method, target), expected.map(str::to_owned), "{method} {target}");
        }
        assert_eq!(ask(&[route("/a", None)], "GET", "/b"), Err(Reason::RouteUnknown));
    }

    #[test]
    fn patterns() {
        for bad in ["", "api", "=api", "/a b", "/a/../b", "/%61", "/a?b", "//a", "/a;b"] {
            assert!(bad.parse::<PathPattern>().is_err(), "{bad}");
        }
        assert_eq!("/.well-known/".parse(), Ok(PathPattern::Prefix("/.well-known".into())));
    }
}
