//! `pullgate ranges show`: what counts as Cloudflare in the running gateway, or what would, where none runs.

use super::{Known, Ranges};
use crate::healthcheck::{AdminError, ask};
use crate::world::System;
use ipnet::IpNet;
use pullgate_config::{Config, RangesSource};
use pullgate_metrics::Date;
use pullgate_policy::ranges::{Learnt, Leaving};
use rustls_pki_types::UnixTime;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// Where the admin listener says it.
pub(crate) const RANGES: &str = "/-/ranges";

/// What counts as Cloudflare. Times are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangesReport {
    /// Whether a gateway runs that said so.
    pub running: bool,
    /// `builtin`, `file`, `api` or `last_good`.
    pub origin: String,
    /// What Cloudflare calls the list.
    pub etag: Option<String>,
    /// When the list was last known to be right.
    pub since: u64,
    /// The feed, where there is one.
    pub url: Option<String>,
    /// The networks of partners that count too.
    pub networks: Vec<String>,
    /// The list.
    pub prefixes: Vec<IpNet>,
    /// What has been removed from it and counts still.
    pub leaving: Vec<LeavingReport>,
    /// What counts besides.
    pub extra: Vec<IpNet>,
}

/// A prefix that leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeavingReport {
    /// The prefix.
    pub prefix: IpNet,
    /// When it stops to count.
    pub until: u64,
}

/// A report that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum RangesReportError {
    /// Something answers on the admin address, and not as a gateway does.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// Its answer is no report: another version.
    #[error("the running gateway does not say what its ranges are")]
    Other(#[from] serde_json::Error),
}

/// Asks the gateway that runs with a configuration; where nothing answers, what it would begin with.
///
/// # Errors
/// When something answers there that is no gateway.
pub fn ranges_in_force(config: &Config, system: &System) -> Result<RangesReport, RangesReportError> {
    match ask(config.admin.address, RANGES) {
        Ok(answer) => Ok(serde_json::from_str(&answer)?),
        Err(AdminError::Unreachable(..)) => {
            let folder = system.path(&config.runtime.state_dir);
            Ok(Known::at_first(&config.cloudflare, &folder, UnixTime::now()).report(false))
        }
        Err(error) => Err(error.into()),
    }
}

impl Ranges {
    /// The report as the admin listener gives it.
    pub(crate) fn json(&self) -> String {
        let report = self.known().report(true);
        serde_json::to_string(&report).unwrap_or_default()
    }
}

impl Known {
    fn report(&self, running: bool) -> RangesReport {
        let (url, networks) = match &self.source {
            RangesSource::Api(feed) => {
                (Some(feed.url.to_string()), feed.partners.iter().map(|partner| partner.label().to_owned()).collect())
            }
            RangesSource::Builtin | RangesSource::File(_) => (None, Vec::new()),
        };
        let leaving = |left: &Leaving| LeavingReport { prefix: left.network, until: left.until.as_secs() };
        RangesReport {
            running,
            origin: self.origin.label().to_owned(),
            etag: self.etag.clone(),
            since: self.since.as_secs(),
            url,
            networks,
            prefixes: self.learnt.list().to_vec(),
            leaving: self.learnt.leaving().iter().map(leaving).collect(),
            extra: self.extra.clone(),
        }
    }
}

impl RangesReport {
    /// Everything that counts as Cloudflare but `extra`.
    pub(crate) fn in_force(&self) -> Vec<IpNet> {
        self.learnt().in_force()
    }

    /// What a list that follows is held against.
    pub(super) fn learnt(&self) -> Learnt {
        let leaving = |left: &LeavingReport| Leaving { network: left.prefix, until: at(left.until) };
        Learnt::with_leaving(self.prefixes.clone(), self.leaving.iter().map(leaving).collect())
    }
}

impl fmt::Display for RangesReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whose = if self.running { "in force" } else { "that a start would begin with (no gateway answers)" };
        let from = match self.origin.as_str() {
            "builtin" => "compiled in",
            "file" => "from the file",
            "last_good" => "kept by an earlier process",
            _ => "from the API",
        };
        writeln!(f, "ranges {whose}: {} prefixes, {from}, right as of {}", self.prefixes.len(), Date(at(self.since)))?;
        if let Some(url) = &self.url {
            let networks = self.networks.iter().map(|network| format!(" with {network}"));
            writeln!(f, "feed: {url}{}", networks.collect::<String>())?;
        }
        if let Some(etag) = &self.etag {
            writeln!(f, "etag: {etag}")?;
        }
        self.prefixes.iter().try_for_each(|prefix| writeln!(f, "  {prefix}"))?;
        for LeavingReport { prefix, until } in &self.leaving {
            writeln!(f, "  {prefix}  removed, counts until {}", Date(at(*until)))?;
        }
        self.extra.iter().try_for_each(|prefix| writeln!(f, "  {prefix}  extra"))
    }
}

fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}
