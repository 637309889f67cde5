//! What happens besides requests, as the series count it: sockets, handshakes, reloads, and what comes to an end.

/// What became of an accepted socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionOutcome {
    /// Its source may connect.
    Admitted,
    /// Its source may not, or it came past the balancer; closed before a byte of it was read.
    Stranger,
    /// Its source may, and the listener or that source has as many connections as it may; closed before a byte was read.
    OverLimit,
    /// A balancer's own: it speaks for nobody, as health probes do.
    Probe,
    /// A balancer did not say whom it speaks for: no PROXY header, none in time, or a malformed one.
    Unannounced,
}

impl ConnectionOutcome {
    /// Every outcome there is.
    pub const ALL: [Self; 5] = [Self::Admitted, Self::Stranger, Self::OverLimit, Self::Probe, Self::Unannounced];

    /// The label in metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::Stranger => "stranger",
            Self::OverLimit => "over_limit",
            Self::Probe => "probe",
            Self::Unannounced => "unannounced",
        }
    }
}

/// How a TLS handshake ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandshakeOutcome {
    /// With a connection.
    Completed,
    /// No host has the name that was asked for; no certificate was shown.
    UnknownName,
    /// No name was asked for and no host is the default; no certificate was shown.
    MissingName,
    /// The host requires an origin-pull certificate and this one was refused.
    CertificateRefused,
    /// It took longer than `handshake_timeout`.
    TimedOut,
    /// It failed otherwise: no common version or suite, no TLS at all, a broken connection.
    Failed,
}

impl HandshakeOutcome {
    /// Every outcome there is.
    pub const ALL: [Self; 6] =
        [Self::Completed, Self::UnknownName, Self::MissingName, Self::CertificateRefused, Self::TimedOut, Self::Failed];

    /// The label in logs and metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::UnknownName => "unknown_name",
            Self::MissingName => "missing_name",
            Self::CertificateRefused => "certificate_refused",
            Self::TimedOut => "timed_out",
            Self::Failed => "failed",
        }
    }
}

/// What became of a configuration that was to replace the one in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReloadOutcome {
    /// It is in force.
    Applied,
    /// It has a mistake; the one before serves on.
    Refused,
}

impl ReloadOutcome {
    /// Every outcome there is.
    pub const ALL: [Self; 2] = [Self::Applied, Self::Refused];

    /// The label in metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Refused => "refused",
        }
    }
}

/// What a panic cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PanicAt {
    /// A request: it is answered 500, or its stream or connection ends.
    Request,
    /// A connection, in its handshake or between two requests.
    Connection,
    /// A socket that had just been accepted.
    Accept,
    /// A configuration that was to replace the one in force, which serves on.
    Reload,
}

impl PanicAt {
    /// Every place there is.
    pub const ALL: [Self; 4] = [Self::Request, Self::Connection, Self::Accept, Self::Reload];

    /// The label in metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Connection => "connection",
            Self::Accept => "accept",
            Self::Reload => "reload",
        }
    }
}

/// What became of an attempt to learn Cloudflare's ranges, or a team's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshOutcome {
    /// Something else came and was taken.
    Updated,
    /// It is what is known.
    Unchanged,
    /// There was an answer, and it was nothing that could be right.
    Refused,
    /// There was no answer.
    Failed,
}

impl RefreshOutcome {
    /// Every outcome there is.
    pub const ALL: [Self; 4] = [Self::Updated, Self::Unchanged, Self::Refused, Self::Failed];

    /// The label in logs and metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// Where the list of ranges in force comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RangesOrigin {
    /// It is compiled in.
    Builtin,
    /// The operator's file.
    File,
    /// Fetched by this process.
    Api,
    /// Fetched by an earlier process, and kept in `runtime.state_dir`.
    LastGood,
}

impl RangesOrigin {
    /// Every origin there is.
    pub const ALL: [Self; 4] = [Self::Builtin, Self::File, Self::Api, Self::LastGood];

    /// The label in logs and metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Builtin => "builtin",
            Self::File => "file",
            Self::Api => "api",
            Self::LastGood => "last_good",
        }
    }
}

/// What became of the span of a sampled request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanOutcome {
    /// The collector took it.
    Exported,
    /// It found the queue full.
    Dropped,
    /// It was sent, or was to be, and the collector did not say that it took it.
    Failed,
    /// The collector took what came with it, and not this one.
    Rejected,
}

impl SpanOutcome {
    /// Every outcome there is.
    pub const ALL: [Self; 4] = [Self::Exported, Self::Dropped, Self::Failed, Self::Rejected];

    /// The label in metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Exported => "exported",
            Self::Dropped => "dropped",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
        }
    }
}

/// The end of validity of something that the configuration names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiry {
    /// What it is.
    pub kind: ExpiryKind,
    /// The host that uses it.
    pub host: String,
    /// Its SHA-256, lowercase hexadecimal, of which the label has the first sixteen digits.
    pub sha256: String,
    /// Seconds since 1970.
    pub not_after: u64,
}

/// What ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpiryKind {
    /// A certificate that the host shows.
    Own,
    /// A CA of the host's trust.
    Trust,
    /// A revocation list of the host's trust.
    Crl,
}

impl ExpiryKind {
    /// Every kind there is.
    pub(crate) const ALL: [Self; 3] = [Self::Own, Self::Trust, Self::Crl];

    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Trust => "trust",
            Self::Crl => "crl",
        }
    }
}

impl Expiry {
    /// Its labels: kind, host, and the beginning of the fingerprint.
    pub(crate) fn labels(&self) -> [&str; 3] {
        [self.kind.label(), &self.host, self.sha256.get(..16).unwrap_or(&self.sha256)]
    }
}
