//! Key `origin_pull` of a host, and the trust that hosts share.

use super::date;
use crate::closest::did_you_mean;
use crate::entry::Entry;
use crate::loading::{Fault, Read};
use crate::section::Section;
use crate::yaml::{Content, Node};
use pullgate_policy::TrustLevel;
use pullgate_policy::origin_pull::{Anchor, NotAPin, OriginPull, Pin, RevocationList, Trust, TrustId};
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
    // A list whose items are all commented out reads as null: that must not mean the default, which is wider than any list.
    let keys = Keys { trust: section.given("trust"), pins: section.given("pins"), crl: section.entry("crl") };
    match mode {
        Ok(Mode::Off) => keys.useless().map(|()| OriginPull::Off),
        Ok(Mode::Observe) => trust(section.map(), &keys, trusts).map(OriginPull::Observe),
        Ok(Mode::Require) => trust(section.map(), &keys, trusts).map(OriginPull::Require),
        Err(reported) => trust(section.map(), &keys, trusts).and(Err(reported)),
    }
}

/// The keys that say which certificates are accepted.
struct Keys<'a> {
    trust: Option<Entry<'a>>,
    pins: Option<Entry<'a>>,
    crl: Option<Entry<'a>>,
}

impl Keys<'_> {
    /// Where no certificate is asked for, these would only look like protection; the defaults may stand there.
    fn useless(&self) -> Read<()> {
        let given = [
            ("trust", self.trust.as_ref().filter(|list| !is_default(list))),
            (
                "pins",
                self.pins
                    .as_ref()
                    .filter(|list| !matches!(&list.node.content, Content::List(items) if items.is_empty())),
            ),
            ("crl", self.crl.as_ref()),
        ];
        let mut result = Ok(());
        for (key, entry) in given {
            if let Some(entry) = entry {
                let fault = Fault::new("`mode: off` asks for no certificate, so none is judged");
                result = Err(entry.misplaced(fault.help(format!("remove `{key}`, or write mode: observe"))));
            }
        }
        result
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

fn trust(map: &Entry<'_>, keys: &Keys<'_>, trusts: &mut Trusts) -> Read<Arc<Trust>> {
    let anchors = match &keys.trust {
        None => anchors(map, CLOUDFLARE),
        Some(list) => list
            .full_list("cloudflare, or the PEM file of a CA", |item| anchors(item, item.typed()?))
            .map(|lists| lists.into_iter().flatten().collect()),
    };
    let pins = keys.pins.as_ref().map_or(Ok(Vec::new()), |list| list.list(pin));
    let lists = keys.crl.as_ref().map_or(Ok(Vec::new()), revocations);
    let (anchors, pins, lists) = (anchors?, pins?, lists?);
    let at = keys.trust.as_ref().unwrap_or(map);
    let trust = Trust::new(anchors, map.loading.world.now()).map_err(|error| at.wrong(Fault::new(error)))?;
    if let (Some(entry), false) = (&keys.pins, pins.is_empty() || trust.anchors().iter().any(is_own)) {
        let fault = Fault::new(
            "every account shows the shared certificate, and Cloudflare may change its key: a pin of it proves nothing",
        );
        entry.warn(fault.help("pin the key of a certificate under your own CA"));
    }
    let trust = trust.with_pins(pins).with_revocations(lists);
    if let Some(crl) = &keys.crl {
        covers(crl, &trust)?;
    }
    Ok(Arc::clone(trusts.entry(trust.id()).or_insert_with(|| Arc::new(trust))))
}

fn is_own(anchor: &Anchor) -> bool {
    anchor.level() == TrustLevel::Account
}

fn pin(item: &Entry<'_>) -> Read<Pin> {
    item.parsed(|text| {
        text.parse().map_err(|error: NotAPin| {
            Fault::new(error).help(
                "openssl x509 -in origin-pull.pem -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64",
            )
        })
    })
}

fn revocations(entry: &Entry<'_>) -> Read<Vec<RevocationList>> {
    let path = entry.typed::<&str>()?;
    let lists = RevocationList::from_pem(&super::file(entry, path)?)
        .map_err(|error| entry.wrong(Fault::new(format!("`{path}`: {error}"))))?;
    let now = entry.loading.world.now();
    let is_covered =
        |list: &RevocationList| lists.iter().any(|other| other.in_force(now) && other.issuer() == list.issuer());
    for list in lists.iter().filter(|list| !is_covered(list)) {
        let message =
            format!("{list} is not in force: it ends {}, and what it covers is refused", date(list.next_update()));
        entry.outdated(list.fingerprint(), Fault::new(message).help("fetch a new one from the CA"))?;
    }
    Ok(lists)
}

/// A CA without a list could admit nobody, and neither could one whose list is taken for another's.
fn covers(crl: &Entry<'_>, trust: &Trust) -> Read<()> {
    let mut uncovered: Vec<_> = trust.uncovered(crl.loading.world.now()).map(Anchor::subject).collect();
    uncovered.sort();
    let mut namesakes: Vec<_> = trust.namesakes(crl.loading.world.now()).collect();
    namesakes.sort();
    namesakes.dedup();
    let mut result = Ok(());
    for subject in namesakes {
        let message =
            format!("two CAs of `trust` are called {subject}, and lists are told apart by the name of their CA");
        result = Err(crl.wrong(Fault::new(message).help("give the next CA a name of its own")));
    }
    for subject in uncovered {
        let message =
            format!("no list here is issued by {subject}, so that every certificate under it would be refused");
        result = Err(crl.wrong(Fault::new(message).help("add its list to the file, or remove the CA from `trust`")));
    }
    result
}

/// The CAs of a PEM file, or those that a word stands for.
pub(super) fn anchors(entry: &Entry<'_>, name: &str) -> Read<Vec<Anchor>> {
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
