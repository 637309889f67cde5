//! Section `listeners`.

use super::{child, kernel_filter, label, limits, networks, unknown};
use crate::entry::{Entry, Unique};
use crate::loading::{Fault, Read};
use crate::model::{KernelFilter, ListenAddress, Listener, Protocol, ServedHosts, Sources};
use crate::section::{NOT_YET, Section};
use crate::yaml::{Content, Node};
use pullgate_policy::Networks;
use pullgate_policy::hosts::HostName;
use std::collections::HashSet;
use std::net::SocketAddr;

/// Which listeners show which hosts, as far as that could be read: what decides whether a host needs a certificate.
#[derive(Debug, Default)]
pub(super) struct Exposure(Vec<(Option<Protocol>, Option<ServedHosts>)>);

/// How a host is shown to the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// On an `https` listener, at least.
    Tls,
    /// On `http` listeners alone.
    Plain,
    /// By no listener.
    Nowhere,
    /// A listener that could not be read may show it.
    Unclear,
}

impl Exposure {
    /// How the host of this name is shown; the name may be one that could not be read.
    pub(super) fn of(&self, host: Option<&HostName>) -> Shown {
        if self.0.is_empty() {
            return Shown::Unclear;
        }
        let serves = |hosts: &Option<ServedHosts>| match (hosts, host) {
            (Some(ServedHosts::All), _) => Some(true),
            (Some(ServedHosts::Only(names)), Some(name)) => Some(names.contains(name)),
            _ => None,
        };
        let shown = || self.0.iter().map(|(protocol, hosts)| (*protocol, serves(hosts)));
        if shown().any(|each| each == (Some(Protocol::Https), Some(true))) {
            Shown::Tls
        } else if shown().any(|(protocol, serves)| serves.is_none() || (protocol.is_none() && serves == Some(true))) {
            Shown::Unclear
        } else if shown().any(|(_, serves)| serves == Some(true)) {
            Shown::Plain
        } else {
            Shown::Nowhere
        }
    }
}

/// The names of all hosts, whatever else is wrong with them.
#[derive(Debug)]
pub(super) struct HostNames(HashSet<String>);

impl HostNames {
    pub(super) fn of(root: &Node) -> Self {
        let Some(Content::List(hosts)) = child(root, "hosts").map(|hosts| &hosts.content) else {
            return Self(HashSet::new());
        };
        let name = |host: &Node| match &child(host, "name")?.content {
            Content::Scalar(scalar) => Some(scalar.text.clone()),
            _ => None,
        };
        Self(hosts.iter().filter_map(name).collect())
    }
}

pub(super) fn read(
    list: &Entry<'_>,
    hosts: &HostNames,
    mut addresses: Unique,
    exposure: &mut Exposure,
    cloudflare: Option<&Networks>,
) -> Read<Vec<Listener>> {
    let mut names = Unique::new("the listener name");
    list.full_list("at least one listener", |entry| {
        let before = exposure.0.len();
        let listener =
            entry.section(|section| listener(section, hosts, &mut names, &mut addresses, exposure, cloudflare));
        if exposure.0.len() == before {
            exposure.0.push((None, None));
        }
        listener
    })
}

fn listener(
    section: &mut Section<'_>,
    host_names: &HostNames,
    names: &mut Unique,
    addresses: &mut Unique,
    exposure: &mut Exposure,
    cloudflare: Option<&Networks>,
) -> Read<Listener> {
    let name = section.required("name", |entry| {
        let name = entry.parsed(label)?;
        names.claim(entry, &name)?;
        Ok(name)
    });
    let address = section.required("address", |entry| listen_address(entry, addresses));
    let hosts = section.or("hosts", ServedHosts::All, |entry| served(entry, host_names));
    let protocol = section.or("protocol", Protocol::Https, Entry::typed);
    exposure.0.push((protocol.ok(), hosts.as_ref().ok().cloned()));
    let ipv6_only = section.or("ipv6_only", false, |entry| ipv6_only(entry, address.as_ref().ok()));
    let sources = section.or("sources", Sources::Cloudflare, sources);
    let proxy_protocol = section.optional("proxy_protocol", |entry| entry.section(proxy_protocol));
    let balancers = proxy_protocol.as_ref().ok().and_then(Option::as_ref);
    let announced = balancers.map(|balancers| Sources::Networks(balancers.clone()));
    // With a PROXY header in front, the packets are the balancers'.
    let filtered = announced.as_ref().or(sources.as_ref().ok()).zip(address.as_ref().ok());
    let kernel_filter =
        section.or("kernel_filter", KernelFilter::Auto, |entry| kernel_filter::read(entry, filtered, cloudflare));
    let limits = section.subsection("limits", limits::read);
    Ok(Listener {
        name: name?.into(),
        address: address?,
        hosts: hosts?,
        protocol: protocol?,
        ipv6_only: ipv6_only?,
        sources: sources?,
        kernel_filter: kernel_filter?,
        proxy_protocol: proxy_protocol?,
        limits: limits?,
    })
}

fn listen_address(entry: &Entry<'_>, addresses: &mut Unique) -> Read<ListenAddress> {
    let Some(name) = entry.scalar()?.text.strip_prefix("inherited:") else {
        return Ok(ListenAddress::Open(address(entry, addresses)?));
    };
    // What systemd takes as a name (sd_listen_fds_with_names(3)).
    if name.is_empty() || name.len() > 255 || name.chars().any(|letter| letter == ':' || letter.is_control()) {
        return Err(entry.wrong(
            Fault::new(format!("`{name}` is not the name of a socket"))
                .help("write inherited: and what FileDescriptorName= says, inherited:https for instance"),
        ));
    }
    addresses.claim(entry, &format!("inherited:{name}"))?;
    Ok(ListenAddress::Inherited(name.into()))
}

/// An address to listen on, which nobody else has.
pub(super) fn address(entry: &Entry<'_>, addresses: &mut Unique) -> Read<SocketAddr> {
    let address = entry.written(|text| {
        if text.starts_with("unix:") {
            return Err(Fault::new(NOT_YET).help("write an address with a port, 0.0.0.0:8443 for instance"));
        }
        text.parse::<SocketAddr>().map_err(|_| {
            Fault::new(format!("`{text}` is not an address with a port")).help("write 0.0.0.0:8443, or \"[::]:8443\"")
        })
    })?;
    // Port 0 is a different one for everybody.
    if address.port() != 0 {
        addresses.claim(entry, &address.to_string())?;
    }
    Ok(address)
}

fn served(entry: &Entry<'_>, known: &HostNames) -> Read<ServedHosts> {
    if let Content::Scalar(scalar) = &entry.node.content {
        return if scalar.text == "all" {
            Ok(ServedHosts::All)
        } else {
            Err(entry.unexpected("all, or a list of host names"))
        };
    }
    let mut names = Unique::new("the host");
    let served = entry.full_list("all, or the name of a host", |item| {
        let name = item.typed::<&str>()?;
        if !known.0.contains(name) {
            return Err(item.wrong(unknown("host", name, known.0.iter().map(String::as_str))));
        }
        names.claim(item, name)?;
        Ok(HostName::new(name))
    });
    served.map(ServedHosts::Only)
}

fn ipv6_only(entry: &Entry<'_>, address: Option<&ListenAddress>) -> Read<bool> {
    let only = entry.typed()?;
    let fault = match address {
        Some(ListenAddress::Open(address)) if only && address.is_ipv4() => "the listener's address is an IPv4 one",
        Some(ListenAddress::Inherited(_)) if only => "whoever opens the socket decides this: BindIPv6Only= of systemd",
        _ => return Ok(only),
    };
    Err(entry.wrong(Fault::new(fault).help("remove `ipv6_only`")))
}

fn sources(entry: &Entry<'_>) -> Read<Sources> {
    let Content::Scalar(scalar) = &entry.node.content else {
        let listed = entry.full_list("a network, or write cloudflare or any", networks::network)?;
        return Ok(Sources::Networks(Networks::new(listed)));
    };
    match scalar.text.as_str() {
        "cloudflare" => Ok(Sources::Cloudflare),
        "any" => Ok(Sources::Any),
        other => {
            let fault = Fault::new(format!("expected cloudflare, any or a list of networks, found `{other}`"));
            Err(entry.wrong(fault.maybe_help(crate::closest::did_you_mean(other, ["cloudflare", "any"]))))
        }
    }
}

/// Whose PROXY header is believed.
fn proxy_protocol(section: &mut Section<'_>) -> Read<Networks> {
    section.required("from", |entry| entry.full_list("a network", networks::network)).map(Networks::new)
}
