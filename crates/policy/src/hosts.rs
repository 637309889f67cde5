//! Which host a name belongs to: exact names first, then wildcards of one label.

use crate::headers::HeaderRules;
use crate::origin_pull::OriginPull;
use crate::policies::{Attached, Mode};
use crate::request::RequestLimits;
use crate::routes::Route;
use crate::secrets::SecretNames;
use crate::visitor::VisitorRule;
use http::HeaderName;
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

/// The label of a host in the configuration, metrics and logs (not one of its hostnames).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostName(Arc<str>);

impl HostName {
    /// The host labelled `name`.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The label.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A hostname that a host answers to: `shop.example.com`, `*.shop.example.com` (exactly one label for the star) or an IP address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// One name, lowercase, without trailing dot; or an address as text.
    Exact(String),
    /// One label in front of this suffix, which starts with a dot.
    Wildcard(String),
}

/// A text that is no hostname pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a hostname; write a name such as shop.example.com, or *.example.com for any one label")]
pub struct NotAHostname(String);

impl FromStr for HostPattern {
    type Err = NotAHostname;

    fn from_str(text: &str) -> Result<Self, NotAHostname> {
        let bad = || NotAHostname(text.to_owned());
        let (star, rest) = text.strip_prefix("*.").map_or((false, text), |rest| (true, rest));
        let name = normal_name(rest).ok_or_else(bad)?;
        match (star, name.parse::<IpAddr>().is_ok() || !name.contains('.')) {
            (false, _) => Ok(Self::Exact(name)),
            (true, false) => Ok(Self::Wildcard(format!(".{name}"))),
            (true, true) => Err(bad()),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Wildcard(suffix) => write!(f, "*{suffix}"),
        }
    }
}

/// A DNS name (RFC 1123, underscores allowed as they occur in practice) or an address in lowercase, without trailing dot.
///
/// None where the text is neither; the result is what hosts are looked up by.
#[must_use]
pub fn normal_name(text: &str) -> Option<String> {
    normalised(text).map(Cow::into_owned)
}

/// The same, without a copy where the text is written that way already, as in nearly every request.
pub(crate) fn normalised(text: &str) -> Option<Cow<'_, str>> {
    if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return Some(Cow::Owned(format!("[{}]", inner.parse::<std::net::Ipv6Addr>().ok()?)));
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    let fits = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let is_lower = || !name.bytes().any(|byte| byte.is_ascii_uppercase());
    let lower = || if is_lower() { Cow::Borrowed(name) } else { Cow::Owned(name.to_ascii_lowercase()) };
    (name.len() <= 253 && name.split('.').all(fits)).then(lower)
}

/// A host: what one set of hostnames trusts, demands and where it sends requests.
#[derive(Debug)]
pub struct Host {
    /// Its label.
    pub name: HostName,
    /// The names it answers to.
    pub hostnames: Vec<HostPattern>,
    /// Whether it also answers connections without SNI.
    pub default: bool,
    /// Its origin-pull rule.
    pub origin_pull: OriginPull,
    /// Where the visitor's address comes from.
    pub visitor: VisitorRule,
    /// What its requests may be.
    pub request: RequestLimits,
    /// Edits of the request on its way to the upstream.
    pub headers: HeaderRules,
    /// Edits of the response on its way to the client.
    pub response_headers: HeaderRules,
    /// Policies for every route, in order.
    pub policies: Vec<Attached>,
    /// Routes; the most specific match wins.
    pub routes: Vec<Route>,
}

impl Host {
    /// Its policies and those of its routes.
    pub fn attached(&self) -> impl Iterator<Item = &Attached> {
        self.policies.iter().chain(self.routes.iter().flat_map(|route| &route.policies))
    }

    /// The labels of those that are in observe mode.
    pub fn observing(&self) -> impl Iterator<Item = &str> {
        self.attached().filter(|attached| attached.mode == Mode::Observe).map(|attached| &*attached.label)
    }

    /// The fields in which requests bring secrets to its policies and those of its routes.
    pub fn secret_headers(&self) -> impl Iterator<Item = &HeaderName> {
        self.attached().filter_map(|attached| attached.policy.secret_header())
    }
}

/// Index of a host in its [`HostTable`].
pub type HostIndex = usize;

/// All hosts, with the lookup by name.
#[derive(Debug, Default)]
pub struct HostTable {
    hosts: Vec<Host>,
    exact: HashMap<String, HostIndex>,
    /// By suffix, which starts with a dot.
    wildcard: HashMap<String, HostIndex>,
    default: Option<HostIndex>,
    secrets: SecretNames,
}

/// Two hosts that cannot stand beside each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostConflict {
    /// One name, two hosts.
    #[error("hosts `{first}` and `{second}` both claim {pattern}")]
    Claimed {
        /// The name.
        pattern: HostPattern,
        /// Who claimed it first.
        first: HostName,
        /// Who claimed it again; the same host where it lists the name twice.
        second: HostName,
    },
    /// Two hosts with `default: true`.
    #[error("hosts `{0}` and `{1}` are both the default")]
    TwoDefaults(HostName, HostName),
}

impl HostTable {
    /// Builds the lookup.
    ///
    /// # Errors
    /// When two hosts claim one name, or to be the default: there is no silent winner.
    pub fn new(hosts: Vec<Host>) -> Result<Self, HostConflict> {
        let mut table = Self::default();
        for (index, host) in hosts.iter().enumerate() {
            for pattern in &host.hostnames {
                let before = match pattern {
                    HostPattern::Exact(name) => table.exact.insert(name.clone(), index),
                    HostPattern::Wildcard(suffix) => table.wildcard.insert(suffix.clone(), index),
                };
                if let Some(before) = before {
                    let (first, second) = (hosts[before].name.clone(), host.name.clone());
                    return Err(HostConflict::Claimed { pattern: pattern.clone(), first, second });
                }
            }
            if host.default
                && let Some(before) = table.default.replace(index)
            {
                return Err(HostConflict::TwoDefaults(hosts[before].name.clone(), host.name.clone()));
            }
        }
        table.secrets = SecretNames::new(hosts.iter().flat_map(Host::secret_headers));
        table.hosts = hosts;
        Ok(table)
    }

    /// The host that answers to a name as [`normal_name`] writes it.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<HostIndex> {
        if let Some(index) = self.exact.get(name) {
            return Some(*index);
        }
        let dot = name.find('.')?;
        self.wildcard.get(&name[dot..]).copied()
    }

    /// The host that answers connections without SNI.
    #[must_use]
    pub fn default_host(&self) -> Option<HostIndex> {
        self.default
    }

    /// The names under which requests bring secrets to any of the hosts.
    #[must_use]
    pub fn secrets(&self) -> &SecretNames {
        &self.secrets
    }

    /// The host at an index.
    #[must_use]
    pub fn host(&self, index: HostIndex) -> &Host {
        &self.hosts[index]
    }

    /// The host with a label.
    #[must_use]
    pub fn named(&self, name: &HostName) -> Option<&Host> {
        self.hosts.iter().find(|host| host.name == *name)
    }

    /// All hosts, in the configuration's order.
    #[must_use]
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let exact = |name: &str| Ok(HostPattern::Exact(name.into()));
        assert_eq!("Shop.Example.COM.".parse(), exact("shop.example.com"));
        assert_eq!("localhost".parse(), exact("localhost"));
        assert_eq!("127.0.0.1".parse(), exact("127.0.0.1"));
        assert_eq!("*.example.com".parse(), Ok(HostPattern::Wildcard(".example.com".into())));
        for bad in
            ["", "*", "*.com", "a.*.com", "*.*.com", "shop example", "-a.com", "a..b", "*.127.0.0.1", "a/b", "a:80"]
        {
            assert!(bad.parse::<HostPattern>().is_err(), "{bad}");
        }
    }
}
