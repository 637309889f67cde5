//! What an attack is made of.

/// One way to a guarded host without what it demands.
#[derive(Debug, Clone)]
pub struct Attack {
    /// Where it stands in the table.
    pub group: Group,
    /// Its name in requests and in JSON.
    pub id: &'static str,
    /// Its name in the table.
    pub name: &'static str,
    /// What is done.
    pub approach: Approach,
}

/// Attacks of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// The certificate is missing or bad.
    Certificates,
    /// A session of another host, or of none.
    Sessions,
    /// The request names another host than the handshake.
    Fronting,
    /// A connection that was good for another request.
    Kept,
    /// The guarded name written in other ways.
    Spellings,
    /// No TLS at all.
    Plain,
}

impl Group {
    /// Its heading.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Certificates => "Certificate missing or bad",
            Self::Sessions => "Session of another host",
            Self::Fronting => "Another name in the handshake",
            Self::Kept => "Connection kept",
            Self::Spellings => "Spelling of the name",
            Self::Plain => "Plain port",
        }
    }

    /// The published bypasses that its attacks stem from.
    #[must_use]
    pub fn stems_from(self) -> &'static str {
        match self {
            Self::Certificates => "what a verifier has to refuse: RFC 5280 section 6, RFC 8446 section 4.4.2",
            Self::Sessions => "CVE-2025-23419, CVE-2025-23048, GHSA-gv8r-9rw9-9697, bun #42998",
            Self::Fronting => "GHSA-5r4w-85f3-pw66, Traefik #4260; RFC 9110 section 7.4",
            Self::Kept => "Traefik #5312",
            Self::Spellings => "one name in two readings: RFC 9112 section 3.2, RFC 9113 section 8.3.1",
            Self::Plain => "a rule that holds for TLS alone",
        }
    }
}

/// What is done, step by step: perhaps a visit for its session, a handshake, perhaps requests before, the request.
#[derive(Debug, Clone)]
pub struct Approach {
    /// The certificate shown to whoever asks.
    pub shows: Certificate,
    /// Where a session comes from.
    pub session: Option<Session>,
    /// The name in the handshake.
    pub sni: Name,
    /// Requests on the same connection before the one that counts.
    pub before: &'static [Name],
    /// How the request names the guarded host.
    pub ask: Ask,
    /// Whether it goes over TLS or not.
    pub plain: bool,
}

impl Approach {
    /// No certificate, no session, no request before.
    pub const fn bare(sni: Name, ask: Ask) -> Self {
        Self { shows: Certificate::None, session: None, sni, before: &[], ask, plain: false }
    }

    /// Over plain TCP.
    pub const fn plain(ask: Ask) -> Self {
        Self { plain: true, ..Self::bare(Name::Absent, ask) }
    }

    /// With a certificate.
    pub const fn showing(self, shows: Certificate) -> Self {
        Self { shows, ..self }
    }

    /// With a session.
    pub const fn resuming(self, from: Name, kept: Kept) -> Self {
        Self { session: Some(Session { from, kept }), ..self }
    }

    /// After requests for these names.
    pub const fn after(self, before: &'static [Name]) -> Self {
        Self { before, ..self }
    }

    /// Whether it makes sense there.
    pub(super) fn fits(&self, column: Column) -> bool {
        let carried = self.plain == (column.transport == Transport::Plain);
        let by_id = self.session.is_some_and(|session| session.kept == Kept::SessionId);
        let possible = !by_id || column.transport == Transport::Tls12;
        carried && possible && (self.ask != Ask::TwoHosts || column.http == Http::One)
    }
}

/// The client certificate of an approach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certificate {
    /// None.
    None,
    /// The guarded host's own, for controls.
    Good,
    /// A faultless one issued just now, for the control of those below.
    Fresh,
    /// One of another authority.
    Other,
    /// Ended yesterday.
    Expired,
    /// Begins tomorrow.
    NotYetValid,
    /// For servers only.
    ServerOnly,
    /// Issued by another key under the authority's name.
    Forged,
    /// Issued by a leaf.
    ByLeaf,
    /// Issued by itself.
    SelfSigned,
    /// The good one, with a key that is not its own.
    Stolen,
}

/// A hostname by its role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    /// Demands a certificate.
    Guarded,
    /// Demands the same, under a wildcard.
    Wildcard,
    /// Demands nothing.
    Open,
    /// Demands a certificate of another authority.
    Other,
    /// Served by nobody.
    Unknown,
    /// Not sent.
    Absent,
}

/// A session that is got with an earlier connection and offered in this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// The host that gives it.
    pub from: Name,
    /// In what form.
    pub kept: Kept,
}

/// Who keeps the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Whatever the server prefers to give: a ticket in TLS 1.2, a PSK in TLS 1.3.
    Ticket,
    /// The server, under an id: TLS 1.2, to a client that takes no tickets.
    SessionId,
}

/// How a request names the host that it wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// In Host or `:authority`.
    Host(Name),
    /// There, in upper case.
    UpperCase,
    /// There, with a dot at its end.
    TrailingDot,
    /// There, with the port.
    WithPort,
    /// One name in the target (absolute form, `:authority`) and one in Host.
    Both {
        /// In the target.
        target: Name,
        /// In Host.
        host: Name,
    },
    /// Two lines of Host, the open name first. HTTP/1.1 only.
    TwoHosts,
}

/// What carries HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
    /// TCP alone.
    Plain,
}

/// The HTTP version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Http {
    /// HTTP/1.1.
    One,
    /// HTTP/2; over plain TCP with prior knowledge.
    Two,
}

/// One column of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// What carries HTTP.
    pub transport: Transport,
    /// The HTTP version.
    pub http: Http,
}

impl Column {
    /// All, in the table's order.
    pub const ALL: [Self; 6] = [
        Self { transport: Transport::Tls12, http: Http::One },
        Self { transport: Transport::Tls12, http: Http::Two },
        Self { transport: Transport::Tls13, http: Http::One },
        Self { transport: Transport::Tls13, http: Http::Two },
        Self { transport: Transport::Plain, http: Http::One },
        Self { transport: Transport::Plain, http: Http::Two },
    ];

    /// The heading: transport and HTTP version.
    #[must_use]
    pub fn heading(self) -> [&'static str; 2] {
        let transport = match self.transport {
            Transport::Tls12 => "TLS 1.2",
            Transport::Tls13 => "TLS 1.3",
            Transport::Plain => "plain",
        };
        let http = match self.http {
            Http::One => "HTTP/1.1",
            Http::Two => "HTTP/2",
        };
        [transport, http]
    }
}
