//! The server under attack, and what the attacker has.

use super::attack::{Approach, Certificate, Column, Name, Transport};
use crate::client::Servers;
use crate::pki::{Credentials, Identity, LoadedAuthority};
use http::{HeaderName, HeaderValue};
use std::net::{IpAddr, SocketAddr};

/// A hostname that demands a client certificate, and one that it takes.
pub struct Site {
    /// The hostname.
    pub name: String,
    /// A certificate that it takes.
    pub credentials: Credentials,
}

/// A server, two hostnames at least, and certificates.
pub struct Target {
    /// Where TLS is taken.
    pub address: SocketAddr,
    /// Where the same server takes plain HTTP.
    pub plain: Option<SocketAddr>,
    /// The local address to connect from.
    pub from: Option<IpAddr>,
    /// Which server certificates the controls believe.
    pub servers: Servers,
    /// The hostname that no attack may reach.
    pub guarded: Site,
    /// A hostname that asks for no certificate.
    pub open: String,
    /// A hostname that demands a certificate of another authority.
    pub other: Option<Site>,
    /// A name under a wildcard, with the demands of the guarded host.
    pub wildcard: Option<String>,
    /// The authority that the guarded host trusts, to issue certificates with one fault each.
    pub authority: Option<LoadedAuthority>,
    /// The path asked for; it must not have a query.
    pub path: String,
    /// Fields that every request has.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// A text that the guarded host's answer has and no other answer.
    pub marker: Option<String>,
    /// The TLS and HTTP versions to try.
    pub columns: Vec<Column>,
}

/// An argument of the command line without which an attack cannot be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing(pub &'static str);

impl Target {
    /// The server's address for a transport.
    pub(super) fn address(&self, transport: Transport) -> Result<SocketAddr, Missing> {
        match transport {
            Transport::Tls12 | Transport::Tls13 => Ok(self.address),
            Transport::Plain => self.plain.ok_or(Missing("--plain")),
        }
    }

    /// The hostname that a role stands for; none where no name is sent.
    pub(super) fn name(&self, name: Name) -> Result<Option<&str>, Missing> {
        match name {
            Name::Guarded => Ok(Some(&self.guarded.name)),
            Name::Open => Ok(Some(&self.open)),
            Name::Wildcard => self.wildcard.as_deref().map(Some).ok_or(Missing("--wildcard")),
            Name::Other => self.other.as_ref().map(|site| Some(site.name.as_str())).ok_or(Missing("--other-host")),
            Name::Unknown => Ok(Some(UNKNOWN)),
            Name::Absent => Ok(None),
        }
    }

    /// What is presented to whoever asks for a client certificate.
    pub(super) fn credentials(&self, certificate: Certificate) -> Result<Option<Credentials>, Missing> {
        let good = &self.guarded.credentials;
        let authority = || self.authority.as_ref().ok_or(Missing("--ca"));
        let identity = match certificate {
            Certificate::None => return Ok(None),
            Certificate::Good => return Ok(Some(good.clone())),
            Certificate::Stolen => return Ok(Some(good.with_key_of(&Identity::self_signed("thief")))),
            Certificate::Other => {
                let other = self.other.as_ref().ok_or(Missing("--other-host"))?;
                return Ok(Some(other.credentials.clone()));
            }
            Certificate::SelfSigned => Identity::self_signed("edge"),
            Certificate::Fresh => authority()?.leaf().usage_client().issue(),
            Certificate::Expired => authority()?.leaf().usage_client().expired().issue(),
            Certificate::NotYetValid => authority()?.leaf().usage_client().not_yet_valid().issue(),
            Certificate::ServerOnly => authority()?.leaf().usage_server().issue(),
            Certificate::Forged => authority()?.forged_leaf().usage_client().issue(),
            Certificate::ByLeaf => authority()?.leaf().usage_client().issue().leaf().usage_client().issue(),
        };
        Ok(Some((&identity).into()))
    }

    /// The columns in which an approach makes sense and is wanted.
    pub(super) fn columns(&self, approach: &Approach) -> Vec<Column> {
        let wanted = |column: &Column| {
            self.columns.iter().any(|own| {
                own.http == column.http && (own.transport == column.transport || column.transport == Transport::Plain)
            })
        };
        Column::ALL.into_iter().filter(|column| approach.fits(*column) && wanted(column)).collect()
    }
}

/// Reserved by RFC 6761: nobody's host.
const UNKNOWN: &str = "nobody.invalid";
