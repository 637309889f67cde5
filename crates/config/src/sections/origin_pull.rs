//! Key `origin_pull` of a host, and the trust that hosts share.

use crate::closest::did_you_mean;
use crate::entry::Entry;
use crate::loading::{Fault, Read};
use crate::section::{Inert, Section};
use crate::yaml::{Content, Node};
use pullgate_policy::origin_pull::{Anchor, OriginPull, Trust, TrustId};
use std::collections::HashMap;
use std::sync::Arc;

/// The trusts made so far: hosts with the same CAs share one.
pub(super) type Trusts = HashMap<TrustId, Arc<Trust>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Off,
    Observe,
    Require,
}

/// The word for the CA that all Cloudflare accounts share: what is trusted where nothing is said.
const CLOUDFLARE: &str = "cloudflare";

pub(super) fn read(section: &mut Section<'_>, trusts: &mut Trusts) -> Read<OriginPull> {
    let mode = section.required("mode", Entry::typed);
    let list = section.entry("trust");
    let rule = match mode {
        Ok(Mode::Off) => useless(list).map(|()| OriginPull::Off),
        Ok(Mode::Observe) => trust(section.map(), list, trusts).map(OriginPull::Observe),
        Ok(Mode::Require) => trust(section.map(), list, trusts).map(OriginPull::Require),
        Err(reported) => trust(section.map(), list, trusts).and(Err(reported)),
    };
    section.later(&[("pins", Inert::EmptyList), ("crl", Inert::Null)]);
    rule
}

/// Where no certificate is asked for, a trust would only look like protection; the default may stand there.
fn useless(list: Option<Entry<'_>>) -> Read<()> {
    match list {
        Some(list) if !is_default(&list) => {
            let fault = Fault::new("`mode: off` asks for no certificate, so nothing is trusted");
            Err(list.misplaced(fault.help("remove `trust`, or write mode: observe")))
        }
        _ => Ok(()),
    }
}

fn is_default(list: &Entry<'_>) -> bool {
    match &list.node.content {
        Content::List(nodes) => {
            let shared = |node: &Node| matches!(&node.content, Content::Scalar(scalar) if scalar.text == CLOUDFLARE);
            matches!(nodes.as_slice(), [node] if shared(node))
        }
        Content::Faulty(_) => true,
        Content::Scalar(_) | Content::Map(_) => false,
    }
}

fn trust(map: &Entry<'_>, list: Option<Entry<'_>>, trusts: &mut Trusts) -> Read<Arc<Trust>> {
    let Some(list) = list else { return build(map, anchors(map, CLOUDFLARE)?, trusts) };
    let lists = list.full_list("cloudflare, or the PEM file of a CA", |item| anchors(item, item.typed()?))?;
    build(&list, lists.into_iter().flatten().collect(), trusts)
}

fn anchors(entry: &Entry<'_>, name: &str) -> Read<Vec<Anchor>> {
    let loading = entry.loading;
    let anchors = if name == CLOUDFLARE {
        Anchor::cloudflare().map_err(|error| entry.wrong(Fault::new(error)))?
    } else {
        let pem = loading.world.read(name.as_ref()).map_err(|error| {
            entry.wrong(super::unreadable(name, &error).maybe_help(did_you_mean(name, [CLOUDFLARE])))
        })?;
        Anchor::from_pem(&pem).map_err(|error| entry.wrong(Fault::new(format!("`{name}`: {error}"))))?
    };
    for anchor in anchors.iter().filter(|anchor| !anchor.in_force(loading.world.now())) {
        entry.warn(Fault::new(format!("a CA that is not in force matches nothing: {anchor}")));
    }
    Ok(anchors)
}

fn build(entry: &Entry<'_>, anchors: Vec<Anchor>, trusts: &mut Trusts) -> Read<Arc<Trust>> {
    let trust = Trust::new(anchors, entry.loading.world.now()).map_err(|error| entry.wrong(Fault::new(error)))?;
    Ok(Arc::clone(trusts.entry(trust.id()).or_insert_with(|| Arc::new(trust))))
}
