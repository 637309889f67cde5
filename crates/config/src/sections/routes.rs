//! Key `routes` of a host.

use super::upstreams::Names;
use super::{label, policies};
use crate::Protocol;
use crate::entry::{Entry, Unique};
use crate::loading::{Fault, Read};
use crate::problem::Location;
use crate::section::{Inert, Section};
use http::{Method, StatusCode};
use pullgate_policy::VisitorRule;
use pullgate_policy::routes::{PathPattern, Route, RouteAction, RouteProtocol};
use pullgate_policy::template::Template;
use std::collections::HashMap;

/// `methods` are those that the host takes at all, `visitor` is its rule; none where that could not be read.
pub(super) fn read(
    list: &Entry<'_>,
    upstreams: &Names,
    labels: &Unique,
    methods: Option<&[Method]>,
    visitor: Option<&VisitorRule>,
) -> Read<Vec<Route>> {
    let names = Unique::new("the route name");
    let mut neighbours = Neighbours { upstreams, methods, visitor, names, taken: Taken::default() };
    list.full_list("at least one route", |entry| {
        entry.section(|section| route(section, &mut labels.clone(), &mut neighbours))
    })
}

/// What the routes have to agree on with one another, and with their host.
struct Neighbours<'a> {
    upstreams: &'a Names,
    methods: Option<&'a [Method]>,
    visitor: Option<&'a VisitorRule>,
    names: Unique,
    taken: Taken,
}

fn route(section: &mut Section<'_>, labels: &mut Unique, neighbours: &mut Neighbours<'_>) -> Read<Route> {
    let name = section.required("name", |entry| {
        let name = entry.parsed(label)?;
        neighbours.names.claim(entry, &name)?;
        Ok(name)
    });
    let path = section
        .or("path", PathPattern::Prefix(String::new()), |entry| entry.written(|text| text.parse().map_err(Fault::new)));
    let methods = section.optional("methods", |entry| methods(entry, neighbours.methods));
    let protocol = section.optional("protocol", |entry| entry.typed::<Protocol>().map(protocol));
    let free = match (&path, &methods, &protocol) {
        (Ok(path), Ok(methods), Ok(protocol)) => neighbours.taken.claim(section, path, methods.as_deref(), *protocol),
        _ => Ok(()),
    };
    let action = action(section, neighbours.upstreams);
    let policies = section.or("policies", Vec::new(), |list| policies::read(list, labels, neighbours.visitor));
    section.later(&[("timeouts", Inert::Nothing), ("cache", Inert::Null)]);
    free?;
    Ok(Route {
        name: name?.into(),
        path: path?,
        protocol: protocol?,
        methods: methods?,
        action: action?,
        policies: policies?,
    })
}

fn protocol(protocol: Protocol) -> RouteProtocol {
    match protocol {
        Protocol::Https => RouteProtocol::Https,
        Protocol::Http => RouteProtocol::Http,
    }
}

fn methods(entry: &Entry<'_>, host: Option<&[Method]>) -> Read<Vec<Method>> {
    let methods = method_list(entry, "a method; without `methods` the route takes them all")?;
    match methods.iter().find(|method| host.is_some_and(|host| !host.contains(method))) {
        None => Ok(methods),
        Some(method) => {
            let fault = Fault::new(format!("the host refuses {method} before any route is asked"));
            Err(entry.wrong(fault.help(format!("list {method} in `request.methods` of the host"))))
        }
    }
}

/// A list of methods, each there once; `needed` says what of.
pub(super) fn method_list(entry: &Entry<'_>, needed: &str) -> Read<Vec<Method>> {
    let mut names = Unique::new("the method");
    entry.full_list(needed, |item| {
        let method = item.written(method)?;
        names.claim(item, method.as_str())?;
        Ok(method)
    })
}

/// Methods are case-sensitive (RFC 9110 section 9.1), so that `get` would be a method that nobody uses.
fn method(text: &str) -> Result<Method, Fault> {
    let capitals = text.to_ascii_uppercase();
    if capitals != text {
        return Err(Fault::new(format!("`{text}` is not a method")).help(format!("did you mean `{capitals}`?")));
    }
    text.parse().map_err(|_| Fault::new(format!("`{text}` is not a method")))
}

/// A method of one protocol; none stands for all of them.
type Claim = (Option<RouteProtocol>, Option<Method>);

/// Which methods of which path have a route already: the first one gets them all.
#[derive(Default)]
struct Taken(HashMap<String, Vec<(Claim, Location)>>);

impl Taken {
    fn claim(
        &mut self,
        section: &mut Section<'_>,
        path: &PathPattern,
        methods: Option<&[Method]>,
        protocol: Option<RouteProtocol>,
    ) -> Read<()> {
        let key = match path {
            PathPattern::Prefix(path) => path.clone(),
            PathPattern::Exact(path) => format!("={path}"),
        };
        let entry = section.entry("path").unwrap_or_else(|| section.map().clone());
        let before = self.0.entry(key).or_default();
        let wanted: Vec<Option<Method>> =
            methods.map_or_else(|| vec![None], |list| list.iter().cloned().map(Some).collect());
        let hides = |(own, method): &Claim| {
            own.is_none_or(|own| Some(own) == protocol) && (method.is_none() || wanted.contains(method))
        };
        let clash = before.iter().find(|(claim, _)| hides(claim)).cloned();
        before.extend(wanted.into_iter().map(|method| ((protocol, method), entry.at())));
        match clash {
            None => Ok(()),
            Some(((_, method), first)) => {
                let what = method.map_or_else(|| "every method".to_owned(), |method| method.to_string());
                let message = format!("the route in line {} takes {what} of this path already", first.line);
                Err(entry
                    .wrong(Fault::new(message).help("change the path, the methods or the protocol of one of them")))
            }
        }
    }
}

fn action(section: &mut Section<'_>, upstreams: &Names) -> Read<RouteAction> {
    let (upstream, respond) = (section.entry("upstream"), section.entry("respond"));
    let strip = section.entry("strip_prefix");
    let strip_prefix = strip.as_ref().map_or(Ok(false), Entry::typed);
    let index = upstream.map(|entry| upstreams.index(&entry));
    let answer = respond.as_ref().map(|entry| entry.section(self::respond));
    match (index, answer, respond) {
        (Some(index), None, _) => Ok(RouteAction::Upstream { index: index?, strip_prefix: strip_prefix? }),
        (None, Some(answer), _) => {
            if let (Some(strip), true) = (strip, strip_prefix?) {
                let fault = Fault::new("`respond` forwards nothing to strip a prefix from");
                return Err(strip.misplaced(fault.help("remove `strip_prefix`")));
            }
            answer
        }
        (Some(_), Some(_), Some(respond)) => {
            Err(respond.misplaced(Fault::new("a route has either `upstream` or `respond`").help("remove one of them")))
        }
        _ => Err(section.demand("upstream", Fault::new("missing: a route needs `upstream` or `respond`"))),
    }
}

fn respond(section: &mut Section<'_>) -> Read<RouteAction> {
    let status = section.required("status", status);
    let location = section.optional("location", |entry| entry.parsed(location));
    let (status, location) = (status?, location?);
    if status.is_redirection() && location.is_none() {
        return Err(
            section.demand("location", Fault::new(format!("missing: {} sends the client elsewhere", status.as_u16())))
        );
    }
    Ok(RouteAction::Respond { status, location })
}

fn status(entry: &Entry<'_>) -> Read<StatusCode> {
    let number = entry.typed::<u16>()?;
    let status = StatusCode::from_u16(number).ok().filter(|status| (200..=599).contains(&status.as_u16()));
    status.ok_or_else(|| entry.wrong(Fault::new(format!("`{number}` is not a status from 200 to 599"))))
}

fn location(text: &str) -> Result<Template, Fault> {
    let example = "write https://shop.example.com/, or https://shop.example.com{request.target} to keep path and query";
    if text.is_empty() || !text.is_ascii() {
        return Err(Fault::new("a location is visible ASCII").help(example));
    }
    let (before, _) = text.split_once("{request.target}").unwrap_or((text, ""));
    let host = before.strip_prefix("https://").or_else(|| before.strip_prefix("http://"));
    if before != text && host.is_none_or(str::is_empty) {
        // A target such as //evil.example would name the host by itself.
        return Err(Fault::new("{request.target} has to follow a scheme and a host").help(example));
    }
    text.parse().map_err(|error| Fault::new(error).help(example))
}
