//! What every line of the access log, and every span, says of a connection: the same for each of its requests, and written once.

use crate::date::Date;
use pullgate_policy::Connection;
use serde::Serialize;
use std::net::IpAddr;
use std::sync::OnceLock;

/// The fields of one connection as a JSON object, which come into being with the first request that is told.
#[derive(Debug, Default)]
pub struct About(OnceLock<Vec<u8>>);

impl About {
    /// The fields of `connection`, always the same one.
    pub(crate) fn fields(&self, connection: &Connection) -> &[u8] {
        // Only a map with keys that are no strings fails to serialise.
        self.0.get_or_init(|| serde_json::to_vec(&Fields::of(connection)).unwrap_or_default())
    }

    /// Adds the fields to the object that ends `line`.
    pub(crate) fn append_to(&self, line: &mut Vec<u8>, connection: &Connection) {
        if let (Some(b'}'), [b'{', rest @ ..]) = (line.last(), self.fields(connection)) {
            line.pop();
            line.push(b',');
            line.extend_from_slice(rest);
        }
    }
}

#[derive(Serialize)]
struct Fields<'a> {
    listener: &'a str,
    #[serde(rename = "network.peer.address")]
    peer: IpAddr,
    #[serde(rename = "balancer.address", skip_serializing_if = "Option::is_none")]
    balancer: Option<IpAddr>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    tls: Option<TlsFields<'a>>,
}

#[derive(Serialize)]
struct TlsFields<'a> {
    #[serde(rename = "tls.protocol.version")]
    version: &'a str,
    #[serde(rename = "tls.cipher")]
    cipher: &'a str,
    #[serde(rename = "tls.resumed")]
    resumed: bool,
    #[serde(rename = "tls.server.name", skip_serializing_if = "Option::is_none")]
    sni: Option<&'a str>,
    #[serde(rename = "origin_pull.verdict")]
    verdict: &'a str,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    leaf: Option<LeafFields<'a>>,
}

#[derive(Serialize)]
struct LeafFields<'a> {
    #[serde(rename = "tls.client.subject")]
    subject: &'a str,
    #[serde(rename = "tls.client.issuer")]
    issuer: &'a str,
    #[serde(rename = "tls.client.serial_number")]
    serial: &'a str,
    #[serde(rename = "tls.client.not_after")]
    not_after: Date,
    #[serde(rename = "tls.client.hash.sha256")]
    sha256: &'a str,
}

impl<'a> Fields<'a> {
    fn of(connection: &'a Connection) -> Self {
        let tls = connection.tls().map(|tls| TlsFields {
            version: tls.version,
            cipher: tls.cipher,
            resumed: tls.resumed,
            sni: tls.sni.as_deref(),
            verdict: tls.verdict.label(),
            leaf: tls.leaf.as_ref().map(|leaf| LeafFields {
                subject: &leaf.subject,
                issuer: &leaf.issuer,
                serial: &leaf.serial,
                not_after: Date(leaf.not_after),
                sha256: &leaf.sha256,
            }),
        });
        Self {
            listener: &connection.listener,
            peer: connection.peer.address().ip(),
            balancer: connection.balancer.map(|balancer| balancer.address().ip()),
            tls,
        }
    }
}
