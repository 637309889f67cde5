//! Section `upstreams`.

use super::{child, label, unknown};
use crate::duration;
use crate::entry::{Entry, Unique};
use crate::loading::{Fault, Read};
use crate::model::{Server, Upstream, UpstreamTimeouts};
use crate::section::{Inert, NOT_YET, Section};
use crate::yaml::{Content, Node};
use pullgate_policy::hosts::normal_name;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::time::Duration;

/// The names of all upstreams, whatever else is wrong with them, and which ones routes use.
#[derive(Debug)]
pub(super) struct Names {
    index: HashMap<String, usize>,
    used: RefCell<HashSet<usize>>,
}

impl Names {
    pub(super) fn of(root: &Node) -> Self {
        let index = match child(root, "upstreams").map(|upstreams| &upstreams.content) {
            Some(Content::Map(entries)) => {
                entries.iter().enumerate().map(|(at, (key, _))| (key.text.clone(), at)).collect()
            }
            _ => HashMap::new(),
        };
        Self { index, used: RefCell::default() }
    }

    /// The index of the upstream that a route names.
    pub(super) fn index(&self, entry: &Entry<'_>) -> Read<usize> {
        let name = entry.typed::<&str>()?;
        let Some(index) = self.index.get(name) else {
            return Err(entry.wrong(unknown("upstream", name, self.index.keys().map(String::as_str))));
        };
        self.used.borrow_mut().insert(*index);
        Ok(*index)
    }

    fn is_used(&self, name: &str) -> bool {
        self.index.get(name).is_some_and(|index| self.used.borrow().contains(index))
    }
}

/// Reads the map, after the routes.
pub(super) fn read(map: &Entry<'_>, names: &Names) -> Read<Vec<Upstream>> {
    map.named(|name, entry| {
        if !names.is_used(name) {
            entry.warn_of_key(Fault::new("no route uses this upstream"));
        }
        let name = label(name).map_err(|fault| entry.misplaced(fault));
        let upstream = entry.section(upstream);
        let (servers, timeouts) = upstream?;
        Ok(Upstream { name: name?.into(), servers, timeouts })
    })
}

fn upstream(section: &mut Section<'_>) -> Read<(Vec<Server>, UpstreamTimeouts)> {
    let mut labels = Unique::new("the server");
    let servers =
        section.required("servers", |list| list.full_list("at least one server", |item| server(item, &mut labels)));
    let balance = section.optional("balance", balance);
    let timeouts = section.subsection("timeouts", timeouts);
    section.later(&[("protocol", Inert::Word("http1")), ("tls", Inert::Null)]);
    section.later(&[
        ("retries", Inert::Nothing),
        ("health", Inert::Null),
        ("ejection", Inert::Nothing),
        ("max_requests", Inert::Null),
    ]);
    balance?;
    Ok((servers?, timeouts?))
}

fn server(entry: &Entry<'_>, labels: &mut Unique) -> Read<Server> {
    if let Content::Map(_) = entry.node.content {
        let fault = Fault::new(format!("a server with a weight is {NOT_YET}"));
        return Err(entry.wrong(fault.help("write the address alone: \"127.0.0.1:9000\"")));
    }
    let text = entry.scalar()?.text.as_str();
    let place = entry.written(|_| place(text))?;
    labels.claim(entry, text)?;
    match place {
        Place::Unix(path) => Ok(Server::Unix(path.into())),
        Place::Address(address) => Ok(Server::Tcp { label: text.into(), address }),
        Place::Name => {
            let resolved = entry.loading.world.resolve(text);
            let address =
                resolved.map_err(|error| entry.wrong(Fault::new(format!("cannot resolve `{text}`: {error}"))))?;
            Ok(Server::Tcp { label: text.into(), address })
        }
    }
}

/// What the text of a server says.
enum Place<'a> {
    Unix(&'a str),
    Address(SocketAddr),
    /// A name and a port.
    Name,
}

fn place(text: &str) -> Result<Place<'_>, Fault> {
    if let Some(path) = text.strip_prefix("unix:") {
        let fault = || Fault::new(format!("`{text}` has no absolute path")).help("write unix:/run/app.sock");
        return if path.len() > 1 && path.starts_with('/') { Ok(Place::Unix(path)) } else { Err(fault()) };
    }
    let fault = || Fault::new(format!("`{text}` is not a server")).help("write host:port, [v6]:port or unix:/path");
    let (name, port) = text.rsplit_once(':').ok_or_else(fault)?;
    if !port.parse::<u16>().is_ok_and(|port| port > 0) || !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(fault());
    }
    match (text.parse(), normal_name(name)) {
        (Ok(address), _) => Ok(Place::Address(address)),
        (Err(_), Some(_)) => Ok(Place::Name),
        (Err(_), None) => Err(fault()),
    }
}

fn balance(entry: &Entry<'_>) -> Read<()> {
    let text = entry.scalar()?.text.as_str();
    let later = ["least_requests", "random"].contains(&text) || text.starts_with("hash(");
    match text {
        "round_robin" => Ok(()),
        _ if later => Err(entry.wrong(Fault::new(format!("`{text}` is {NOT_YET}")).help("write balance: round_robin"))),
        _ => {
            let fault = Fault::new(format!("expected round_robin, found `{text}`"));
            Err(entry.wrong(fault.maybe_help(crate::closest::did_you_mean(text, ["round_robin"]))))
        }
    }
}

fn timeouts(section: &mut Section<'_>) -> Read<UpstreamTimeouts> {
    let mut timeout =
        |key, seconds| section.or(key, Duration::from_secs(seconds), |entry| entry.written(duration::timeout));
    let connect = timeout("connect", 3);
    let read = timeout("read", 60);
    let write = timeout("write", 30);
    let idle = timeout("idle", 60);
    Ok(UpstreamTimeouts { connect: connect?, read: read?, write: write?, idle: idle? })
}
