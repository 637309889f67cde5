//! A request to explain, as the command line or a line of the access log describes it.

use http::Method;
use pullgate_config::{Config, Protocol};
use pullgate_policy::hosts::normal_name;
use pullgate_policy::{HostTable, Reason};
use rustls_pki_types::{CertificateDer, UnixTime};
use serde::Deserialize;
use std::net::IpAddr;
use std::str::FromStr;

/// A request to explain.
#[derive(Debug, Clone)]
pub struct Question {
    /// The listener, by its name; none for the first that speaks as the URL says.
    pub listener: Option<String>,
    /// The address of the socket's other end; behind a balancer, the one that it announced.
    pub peer: IpAddr,
    /// The balancer that announced the peer.
    pub balancer: Option<IpAddr>,
    /// The name in the ClientHello.
    pub sni: Option<String>,
    /// The client's chain, leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The method.
    pub method: Method,
    /// What is asked for.
    pub url: Url,
    /// The fields besides Host, as they stand in a head: `name: value`. A Host among them takes the place of the URL's.
    pub headers: Vec<Vec<u8>>,
    /// The visitor, for the field that the host finds it in, where the head has none; a line of the access log tells the address alone.
    pub visitor: Option<IpAddr>,
    /// When.
    pub now: UnixTime,
}

/// An absolute URL, its target kept byte by byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// Whether the scheme is https.
    pub https: bool,
    /// Name and port, as written.
    pub authority: String,
    /// Path and query, as written.
    pub target: String,
}

/// A question that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadQuestion {
    /// The URL.
    #[error("`{0}` is not an absolute URL; write https://shop.example.com/path")]
    Url(String),
    /// The listener.
    #[error("there is no listener `{0}`; there are {1}")]
    Listener(String, String),
    /// No listener speaks as the URL says.
    #[error("no listener speaks {0}; --listener names one")]
    Protocol(&'static str),
    /// The line.
    #[error("the line is not one of Pullgate's access log: {0}")]
    Line(String),
}

impl FromStr for Url {
    type Err = BadQuestion;

    fn from_str(text: &str) -> Result<Self, BadQuestion> {
        let bad = || BadQuestion::Url(text.to_owned());
        let (scheme, rest) = text.split_once("://").ok_or_else(bad)?;
        let https = match scheme {
            "https" => true,
            "http" => false,
            _ => return Err(bad()),
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        if authority.is_empty() || authority.contains('@') {
            return Err(bad());
        }
        let slash = if target.starts_with('/') { "" } else { "/" };
        Ok(Self { https, authority: authority.to_owned(), target: format!("{slash}{target}") })
    }
}

impl Url {
    /// The name without the port: what a client puts into the ClientHello. Addresses do not go there (RFC 6066 section 3).
    #[must_use]
    pub fn sni(&self) -> Option<String> {
        let name = self.authority.rsplit_once(':').map_or(&*self.authority, |(name, _)| name);
        let name = if self.authority.ends_with(']') { &self.authority } else { name };
        let is_address = name.starts_with('[') || name.parse::<IpAddr>().is_ok();
        (!is_address).then(|| normal_name(name)).flatten()
    }
}

impl Question {
    /// A plain GET, without a certificate.
    #[must_use]
    pub fn new(peer: IpAddr, url: Url, now: UnixTime) -> Self {
        Self {
            listener: None,
            peer,
            balancer: None,
            sni: url.sni(),
            chain: Vec::new(),
            method: Method::GET,
            url,
            headers: Vec::new(),
            visitor: None,
            now,
        }
    }

    /// Puts these fields into the head, in the place of all that have their names; one may be there twice.
    pub fn set(&mut self, fields: &[Vec<u8>]) {
        let is_given = |line: &[u8]| fields.iter().any(|field| name_of(field).eq_ignore_ascii_case(name_of(line)));
        self.headers.retain(|line| !is_given(line));
        self.headers.extend(fields.iter().cloned());
    }

    /// The same with the visitor in its field.
    pub(super) fn with_visitor(&self, hosts: &HostTable) -> Self {
        let Some(visitor) = self.visitor else { return self.clone() };
        let host = self.url.sni().and_then(|name| hosts.find(&name));
        let field = host.map_or("cf-connecting-ip", |index| hosts.host(index).visitor.address_header.as_str());
        let mut question = self.clone();
        if !self.headers.iter().any(|line| name_of(line).eq_ignore_ascii_case(field.as_bytes())) {
            question.headers.push(format!("{field}: {visitor}").into_bytes());
        }
        question
    }

    /// The listener's index in a configuration.
    pub(super) fn listener(&self, config: &Config) -> Result<usize, BadQuestion> {
        let listeners = &config.listeners;
        let Some(name) = &self.listener else {
            let (wanted, scheme) = if self.url.https { (Protocol::Https, "https") } else { (Protocol::Http, "http") };
            let found = listeners.iter().position(|listener| listener.protocol == wanted);
            return found.ok_or(BadQuestion::Protocol(scheme));
        };
        listeners.iter().position(|listener| *listener.name == **name).ok_or_else(|| {
            let names: Vec<String> = listeners.iter().map(|listener| format!("`{}`", listener.name)).collect();
            BadQuestion::Listener(name.clone(), names.join(", "))
        })
    }

    /// The head as an HTTP/1.1 client would send it.
    pub(super) fn head(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.url.target).into_bytes();
        let own_host = !self.headers.iter().any(|line| name_of(line).eq_ignore_ascii_case(b"host"));
        if own_host {
            head.extend_from_slice(format!("Host: {}\r\n", self.url.authority).as_bytes());
        }
        for line in &self.headers {
            head.extend_from_slice(line);
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(b"\r\n");
        head
    }

    /// The fields of the head, name and value.
    pub(super) fn fields(&self) -> Result<Vec<(Vec<u8>, Vec<u8>)>, Reason> {
        let head = self.head();
        let lines = head.split(|byte| *byte == b'\n').skip(1).map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let field = |line: &[u8]| {
            let colon = line.iter().position(|byte| *byte == b':').ok_or(Reason::HeadMalformed)?;
            Ok((line[..colon].to_vec(), line[colon + 1..].trim_ascii().to_vec()))
        };
        lines.filter(|line| !line.is_empty()).map(field).collect()
    }
}

fn name_of(line: &[u8]) -> &[u8] {
    line.split(|byte| *byte == b':').next().unwrap_or_default()
}

/// A line of the access log: what it says of the request, and what was decided then.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LogLine {
    listener: String,
    #[serde(rename = "network.peer.address")]
    peer: IpAddr,
    #[serde(rename = "balancer.address")]
    balancer: Option<IpAddr>,
    #[serde(rename = "client.address")]
    client: Option<IpAddr>,
    #[serde(rename = "http.request.method")]
    method: Option<String>,
    #[serde(rename = "server.address")]
    authority: Option<String>,
    #[serde(rename = "url.path")]
    path: Option<String>,
    #[serde(rename = "url.query")]
    query: Option<String>,
    #[serde(rename = "user_agent.original")]
    user_agent: Option<String>,
    #[serde(rename = "cf.ray")]
    ray: Option<String>,
    #[serde(rename = "cf.worker")]
    worker: Option<String>,
    #[serde(rename = "tls.protocol.version")]
    tls: Option<String>,
    #[serde(rename = "tls.server.name")]
    sni: Option<String>,
    /// The SHA-256 of the client's leaf, which the line has in place of the certificate.
    #[serde(rename = "tls.client.hash.sha256")]
    pub certificate: Option<String>,
    /// What was decided then.
    pub decision: String,
    /// And why, where it was no permit.
    pub reason: Option<String>,
}

impl FromStr for LogLine {
    type Err = BadQuestion;

    fn from_str(line: &str) -> Result<Self, BadQuestion> {
        serde_json::from_str(line).map_err(|error| BadQuestion::Line(error.to_string()))
    }
}

impl LogLine {
    /// The request, as far as the line tells; certificates and other fields have to be added.
    ///
    /// # Errors
    /// When the line is of a head that was never understood.
    pub fn question(&self, now: UnixTime) -> Result<Question, BadQuestion> {
        let lacks = |what: &str| BadQuestion::Line(format!("it has no {what}, since no head was understood"));
        let method = self.method.as_ref().ok_or_else(|| lacks("http.request.method"))?;
        let method = method.parse().map_err(|_| lacks("method that exists"))?;
        let query = self.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
        let url = Url {
            https: self.tls.is_some(),
            authority: self.authority.clone().ok_or_else(|| lacks("server.address"))?,
            target: format!("{}{query}", self.path.as_ref().ok_or_else(|| lacks("url.path"))?),
        };
        let known =
            [("User-Agent", self.user_agent.clone()), ("CF-Ray", self.ray.clone()), ("CF-Worker", self.worker.clone())];
        let line = |(name, value): (&str, Option<String>)| Some(format!("{name}: {}", value?).into_bytes());
        Ok(Question {
            listener: Some(self.listener.clone()),
            peer: self.peer,
            balancer: self.balancer,
            sni: self.sni.clone(),
            chain: Vec::new(),
            method,
            url,
            headers: known.into_iter().filter_map(line).collect(),
            visitor: self.client,
            now,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let table = [
            ("https://shop.example.com", Some((true, "shop.example.com", "/", Some("shop.example.com")))),
            (
                "https://Shop.example.com:8443/a%2Fb?c#d",
                Some((true, "Shop.example.com:8443", "/a%2Fb?c#d", Some("shop.example.com"))),
            ),
            ("http://192.0.2.1/../x", Some((false, "192.0.2.1", "/../x", None))),
            ("http://[2001:db8::1]:80?x", Some((false, "[2001:db8::1]:80", "/?x", None))),
            ("shop.example.com/", None),
            ("ftp://shop.example.com/", None),
            ("https:///path", None),
            ("https://user@shop.example.com/", None),
        ];
        for (text, expected) in table {
            let found = text.parse::<Url>().ok();
            let sni = found.as_ref().and_then(Url::sni);
            let found = found.as_ref().map(|url| (url.https, &*url.authority, &*url.target, sni.as_deref()));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn lines() {
        assert!("{}".parse::<LogLine>().unwrap_err().to_string().contains("missing field `listener`"));
        let line =
            r#"{"listener":"https","network.peer.address":"192.0.2.1","decision":"refuse","reason":"head_malformed"}"#;
        let unread = line.parse::<LogLine>().unwrap().question(UnixTime::since_unix_epoch(std::time::Duration::ZERO));
        assert!(unread.unwrap_err().to_string().contains("no head was understood"));
    }
}
