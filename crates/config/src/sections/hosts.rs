//! Section `hosts`.

use super::listeners::{Exposure, Shown};
use super::origin_pull::{self, Trusts};
use super::policies::edge_secret::Headers;
use super::upstreams::Names;
use super::{certificate, headers, label, policies, request, routes, visitor};
use crate::entry::{Entry, Unique};
use crate::loading::{Fault, Read};
use crate::model::Host;
use crate::section::Section;
use pullgate_policy::hosts::{HostName, HostPattern};
use pullgate_policy::{self as policy};

/// What the hosts have to agree on with one another, and with the rest of the configuration.
struct Neighbours<'a> {
    exposure: &'a Exposure,
    upstreams: &'a Names,
    names: Unique,
    hostnames: Unique,
    defaults: Unique,
    trusts: Trusts,
    named_headers: Headers<'a>,
}

pub(super) fn read(list: &Entry<'_>, exposure: &Exposure, upstreams: &Names) -> Read<Vec<Host>> {
    let mut neighbours = Neighbours {
        exposure,
        upstreams,
        names: Unique::new("the host name"),
        hostnames: Unique::new("the hostname"),
        defaults: Unique::new("the key"),
        trusts: Trusts::new(),
        named_headers: Headers::default(),
    };
    let hosts = list.full_list("at least one host", |entry| entry.section(|section| host(section, &mut neighbours)));
    neighbours.named_headers.check().and(hosts)
}

fn host<'a: 'b, 'b>(section: &mut Section<'a>, neighbours: &mut Neighbours<'b>) -> Read<Host> {
    let name = section.required("name", |entry| name(entry, &mut neighbours.names));
    let hostnames = section.required("hostnames", |list| hostnames(list, &mut neighbours.hostnames));
    let default = section.or("default", false, |entry| default(entry, &mut neighbours.defaults));
    let shown = neighbours.exposure.of(name.as_ref().ok());
    if shown == Shown::Nowhere {
        section.map().warn(Fault::new("no listener serves this host"));
    }
    let certificates = certificate::read(section, shown);
    let origin_pull = section
        .required("origin_pull", |entry| entry.section(|section| origin_pull::read(section, &mut neighbours.trusts)));
    let visitor = section.subsection("visitor", |section| {
        neighbours.named_headers.read_by(section);
        visitor::read(section)
    });
    let headers = section.subsection("headers", |section| {
        neighbours.named_headers.set_by(section);
        headers::read(section, &[])
    });
    let response_headers = section.subsection("response_headers", |section| headers::read(section, &headers::TELLTALE));
    let mut labels = Unique::new("the policy label");
    let rule = visitor.as_ref().ok();
    let policies = section.or("policies", Vec::new(), |list| policies::read(list, &mut labels, rule));
    let request = section.subsection("request", request::read);
    let methods = request.as_ref().ok().map(|request| request.methods.as_slice());
    let routes = section.required("routes", |list| routes::read(list, neighbours.upstreams, &labels, methods, rule));
    neighbours.named_headers.brought_to(policies.iter().flatten());
    neighbours.named_headers.brought_to(routes.iter().flatten().flat_map(|route| &route.policies));
    let rule = policy::Host {
        name: name?,
        hostnames: hostnames?,
        default: default?,
        origin_pull: origin_pull?,
        visitor: visitor?,
        request: request?,
        headers: headers?,
        response_headers: response_headers?,
        policies: policies?,
        routes: routes?,
    };
    Ok(Host { rule, certificates: certificates? })
}

fn name(entry: &Entry<'_>, names: &mut Unique) -> Read<HostName> {
    let name = entry.parsed(label)?;
    names.claim(entry, &name)?;
    Ok(HostName::new(&name))
}

fn hostnames(list: &Entry<'_>, claimed: &mut Unique) -> Read<Vec<HostPattern>> {
    list.full_list("at least one hostname", |item| {
        let pattern = item.written(|text| text.parse::<HostPattern>().map_err(Fault::new))?;
        claimed.claim(item, &pattern.to_string())?;
        Ok(pattern)
    })
}

fn default(entry: &Entry<'_>, defaults: &mut Unique) -> Read<bool> {
    let default = entry.typed()?;
    if default {
        defaults.claim(entry, "default: true")?;
    }
    Ok(default)
}
