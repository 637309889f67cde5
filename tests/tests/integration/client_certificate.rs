//! Visitors' certificates as Cloudflare tells of them: who passes, and what the upstream hears.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue, Request};
use http_body_util::Full;
use pullgate_tests::client::{H1, Refused, Response};
use pullgate_tests::origin::{Entry, sha256};
use pullgate_tests::pki::{Authority, Identity};
use pullgate_tests::stage::{Props, Recipe, Stage, refusal, stranger, visit};
use std::cell::Cell;

type Fields = Vec<(&'static str, String)>;

/// The visitors' CA beside a stage whose host `shop` is told of certificates in one family of fields.
struct Scene {
    stage: Stage,
    ca: Authority,
    /// Requests that were answered.
    asked: Cell<usize>,
}

/// A recipe with `shop` alone, and its keys `visitor` and `policies`.
fn recipe(headers: &str, policies: &str) -> Recipe {
    let hosts = format!(
        "hosts:
  - name: shop
    hostnames: [shop.example.com]
    certificate: {{chain: server.pem, key: server.key}}
    origin_pull: {{mode: observe, trust: [zone-ca.pem]}}
    visitor: {{client_certificate: {headers}}}
    policies: [{policies}]
    routes: [{{name: all, upstream: shop}}]
"
    );
    Recipe { hosts, ..Recipe::default() }
}

impl Scene {
    async fn set(recipe: Recipe) -> Self {
        let (props, ca) = (Props::new(), Authority::new("client CA"));
        ca.write(props.path(), "client-ca");
        Self { stage: Stage::set(props, recipe).await, ca, asked: Cell::new(0) }
    }

    async fn guarded(headers: &str, policy: &str) -> Self {
        Self::set(recipe(&format!("{{headers: {headers}}}"), &format!("{{kind: client-certificate, {policy}}}"))).await
    }

    fn alice(&self) -> Identity {
        self.ca.leaf().common_name("alice").issue()
    }

    /// The status of the answer and what the origin saw of the request, over HTTP/1.1 and HTTP/2.
    async fn ask(&self, fields: &Fields) -> [(u16, Option<Entry>); 2] {
        let (mut one, two) = (self.stage.h1("shop.example.com").await, self.stage.h2("shop.example.com").await);
        let before = self.stage.origin.ledger().len();
        let one = self.answered(one.send(asking(fields)).await).await;
        let seen = self.stage.origin.ledger().into_iter().nth(before);
        let before = self.stage.origin.ledger().len();
        let two = self.answered(two.send(asking(fields)).await).await;
        [(one, seen), (two, self.stage.origin.ledger().into_iter().nth(before))]
    }

    /// The status, once the request is in the access log.
    async fn answered(&self, answer: Result<Response, Refused>) -> u16 {
        self.asked.set(self.asked.get() + 1);
        self.stage.access_lines(self.asked.get()).await;
        answer.unwrap().status.as_u16()
    }

    /// A request passes, and the upstream hears this of the visitor's certificate and nothing else.
    async fn passes(&self, fields: &Fields, heard: &Fields) {
        for (status, seen) in self.ask(fields).await {
            assert_eq!(status, 200, "{fields:?}");
            assert_eq!(about_certificates(&seen.unwrap()), sorted(heard), "{fields:?}");
        }
    }

    /// Each request is refused by the policy, for its reason, and reaches nobody.
    async fn refuses(&self, table: &[(Fields, &str)]) {
        let before = self.asked.get();
        for (fields, reason) in table {
            for (status, seen) in self.ask(fields).await {
                assert_eq!((status, seen.is_none()), (403, true), "{reason}: {fields:?}");
            }
        }
        let lines = self.stage.access_log().split_off(before);
        assert_eq!(lines.len(), 2 * table.len());
        for (line, (fields, reason)) in lines.iter().zip(table.iter().flat_map(|row| [row, row])) {
            assert_eq!(
                (&line["policy"], &line["reason"]),
                (&"client-certificate".into(), &(*reason).into()),
                "{fields:?}"
            );
        }
    }
}

fn asking(fields: &Fields) -> Request<Full<bytes::Bytes>> {
    let mut request = visit("shop.example.com", "/");
    for (name, value) in fields {
        request.headers_mut().append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    request
}

/// Everything that the origin saw about certificates, under whatever name.
fn about_certificates(seen: &Entry) -> Vec<(String, String)> {
    let about = |name: &str| ["cert", "ssl"].iter().any(|word| name.contains(word));
    let mut heard: Vec<_> = seen.headers.iter().filter(|(name, _)| about(name)).cloned().collect();
    heard.sort();
    heard
}

fn sorted(fields: &Fields) -> Vec<(String, String)> {
    let mut fields: Vec<_> = fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    fields.sort();
    fields
}

fn bytes(der: &[u8]) -> String {
    format!(":{}:", STANDARD.encode(der))
}

/// What the rules for RFC 9440 set.
fn rfc9440(visitor: &Identity) -> Fields {
    let chain = visitor.chain();
    let mut others: Vec<_> = chain[1..].iter().map(|der| bytes(der)).collect();
    others.reverse();
    let mut fields = vec![("client-cert", bytes(&chain[0]))];
    if !others.is_empty() {
        fields.push(("client-cert-chain", others.join(", ")));
    }
    fields
}

/// What the managed transform sets.
fn cf_cert(visitor: &Identity, subject: &str, verified: &str, revoked: &str) -> Fields {
    vec![
        ("cf-cert-presented", "true".into()),
        ("cf-cert-verified", verified.into()),
        ("cf-cert-revoked", revoked.into()),
        ("cf-cert-sha256", sha256(&visitor.chain()[0])),
        ("cf-cert-serial", visitor.serial()),
        ("cf-cert-subject-dn", subject.into()),
        ("cf-cert-subject-dn-rfc2253", subject.into()),
        ("cf-cert-not-after", "Mar 21 13:35:00 2032 GMT".into()),
    ]
}

/// What Access sets.
fn cf_client_cert(visitor: &Identity) -> Fields {
    let leaf = &visitor.chain()[0];
    vec![("cf-client-cert-der-base64", STANDARD.encode(leaf)), ("cf-client-cert-sha256", sha256(leaf))]
}

/// Names that a client may hope somebody takes for Cloudflare's.
fn lookalikes() -> Fields {
    [
        "client_cert",
        "cf_cert_verified",
        "cf-cert-made-up",
        "cf_client_cert_sha256",
        "x-client-cert",
        "x-ssl-client-verify",
        "ssl-client-cert",
    ]
    .map(|name| (name, "forged".to_owned()))
    .into()
}

#[tokio::test]
async fn rfc9440_lets_the_own_cas_visitors_pass_and_the_upstream_hears_of_them_once() {
    let scene = Scene::guarded("rfc9440", "trust: [client-ca.pem], subjects: ['CN=alice']").await;
    let alice = scene.alice();
    let heard = vec![("client-cert", bytes(&alice.chain()[0]))];
    scene.passes(&rfc9440(&alice), &heard).await;
    // The families that are not declared, and what only looks like one, do not get through beside it.
    let loud = [rfc9440(&alice), cf_cert(&alice, "CN=root", "true", "false"), cf_client_cert(&alice), lookalikes()];
    scene.passes(&loud.concat(), &heard).await;
    // A chain is followed in whatever order it comes, and ends here.
    let below = scene.ca.intermediate("upper").intermediate("lower").leaf().common_name("alice").issue();
    assert_eq!(below.chain().len(), 3);
    scene.passes(&rfc9440(&below), &vec![("client-cert", bytes(&below.chain()[0]))]).await;
}

#[tokio::test]
async fn rfc9440_refuses_each_trap() {
    let scene = Scene::guarded("rfc9440", "trust: [client-ca.pem], subjects: ['CN=alice']").await;
    let (alice, ca) = (scene.alice(), &scene.ca);
    let named = |ca: &Authority| ca.leaf().common_name("alice").issue();
    let twice = [rfc9440(&alice), rfc9440(&alice)].concat();
    let garbage = |value: &str| vec![("client-cert", value.to_owned())];
    let (missing, malformed) = ("client_certificate_missing", "client_certificate_malformed");
    let untrusted = "client_certificate_untrusted";
    scene
        .refuses(&[
            (vec![], missing),
            (cf_cert(&alice, "CN=alice", "true", "false"), missing),
            (cf_client_cert(&alice), missing),
            (lookalikes(), missing),
            (twice, malformed),
            (garbage("garbage"), malformed),
            (garbage(":garbage!:"), malformed),
            (garbage(&STANDARD.encode(&alice.chain()[0])), malformed),
            (garbage(&bytes(b"no certificate")), malformed),
            (garbage(&format!(":{}:", "A".repeat(20_000))), malformed),
            (rfc9440(&named(&Authority::new("other CA"))), untrusted),
            // A CA of the same name, serial number and key identifier.
            (rfc9440(&named(&ca.twin())), untrusted),
            (rfc9440(&Identity::self_signed("alice")), untrusted),
            (rfc9440(&ca.leaf().common_name("alice").expired().issue()), untrusted),
            (rfc9440(&ca.leaf().common_name("alice").not_yet_valid().issue()), untrusted),
            (rfc9440(&ca.leaf().common_name("alice").no_usage().usage_server().issue()), untrusted),
            (rfc9440(&alice.leaf().common_name("alice").issue()), untrusted),
            (rfc9440(&ca.intermediate("lower").leaf().common_name("alice").issue().alone()), untrusted),
            (rfc9440(&ca.leaf().common_name("bob").issue()), "client_certificate_subject"),
        ])
        .await;
    let series = r#"pullgate_policy_decisions_total{decision="refuse",host="shop",policy="client-certificate",reason="client_certificate_subject"}"#;
    scene.stage.metric_becomes(series, 2.0).await;
    scene.stage.assert_nothing_reached_the_origin();
}

#[tokio::test]
async fn cf_cert_has_to_be_verified_and_not_revoked() {
    let ca = Authority::new("client CA");
    let [alice, bob] = ["alice", "bob"].map(|name| ca.leaf().common_name(name).issue());
    let of_alice = sha256(&alice.chain()[0]);
    let policy = format!("subjects: ['CN=alice'], fingerprints: ['{of_alice}']");
    let scene = Scene::guarded("cf-cert", &policy).await;
    let good = cf_cert(&alice, "CN=alice,O=Example", "true", "false");
    scene.passes(&good, &good).await;
    let loud = [good.clone(), rfc9440(&alice), cf_client_cert(&alice), lookalikes()].concat();
    scene.passes(&loud, &good).await;

    let twice = [good.clone(), vec![("cf-cert-verified", "true".to_owned())]].concat();
    let without: Fields = good.iter().filter(|(name, _)| *name != "cf-cert-revoked").cloned().collect();
    scene
        .refuses(&[
            // Of a revoked certificate, `cf-cert-verified` is true all the same.
            (cf_cert(&alice, "CN=alice", "true", "true"), "client_certificate_revoked"),
            (cf_cert(&alice, "CN=alice", "false", "false"), "client_certificate_unverified"),
            (without, "client_certificate_malformed"),
            (twice, "client_certificate_malformed"),
            (cf_cert(&alice, "CN=bob", "true", "false"), "client_certificate_subject"),
            (cf_cert(&alice, r"CN=bob\,CN=alice", "true", "false"), "client_certificate_subject"),
            (cf_cert(&bob, "CN=alice", "true", "false"), "client_certificate_fingerprint"),
            (vec![("cf-cert-presented", "false".into())], "client_certificate_missing"),
            (rfc9440(&alice), "client_certificate_missing"),
            (cf_client_cert(&alice), "client_certificate_missing"),
        ])
        .await;
}

/// Access may tell of a certificate on the first request of a visitor's connection alone: what one request says counts for no other.
#[tokio::test]
async fn cf_client_cert_counts_for_the_request_that_carries_it() {
    let scene = Scene::guarded("cf-client-cert", "trust: [client-ca.pem]").await;
    let alice = scene.alice();
    let heard = vec![("client-cert", bytes(&alice.chain()[0]))];
    scene.passes(&cf_client_cert(&alice), &heard).await;
    scene.passes(&[cf_client_cert(&alice), rfc9440(&alice), lookalikes()].concat(), &heard).await;

    let mut one = scene.stage.h1("shop.example.com").await;
    let two = scene.stage.h2("shop.example.com").await;
    for (fields, expected) in [(cf_client_cert(&alice), 200), (vec![], 403), (cf_client_cert(&alice), 200)] {
        assert_eq!(scene.answered(one.send(asking(&fields)).await).await, expected);
        assert_eq!(scene.answered(two.send(asking(&fields)).await).await, expected);
    }

    let stray = Authority::new("other CA").leaf().common_name("alice").issue();
    let mut mixed = cf_client_cert(&alice);
    mixed[1] = cf_client_cert(&stray).swap_remove(1);
    let hash_less = cf_client_cert(&alice)[..1].to_vec();
    scene
        .refuses(&[
            (mixed, "client_certificate_malformed"),
            (hash_less, "client_certificate_malformed"),
            (cf_client_cert(&alice)[1..].to_vec(), "client_certificate_missing"),
            (rfc9440(&alice), "client_certificate_missing"),
            (cf_client_cert(&stray), "client_certificate_untrusted"),
        ])
        .await;
}

/// A certificate is no secret: whoever has seen it can send it. What counts is who says that a visitor showed it.
#[tokio::test]
async fn a_stranger_shows_nobodys_certificate() {
    let listeners = "listeners:
  - {name: https, kernel_filter: off, address: '127.0.0.1:0', sources: any}
  - {name: http, kernel_filter: off, address: '127.0.0.1:0', protocol: http, sources: any}
";
    let guarded = recipe("{headers: rfc9440}", "{kind: client-certificate, trust: [client-ca.pem]}");
    let scene = Scene::set(Recipe { listeners: listeners.into(), ..guarded }).await;
    let fields = rfc9440(&scene.alice());
    let mut bare = H1::plain(Some(stranger()), scene.stage.at("http")).await.unwrap();
    assert_eq!(bare.send(asking(&fields)).await.unwrap().status, 403);
    assert_eq!(scene.stage.access_lines(1).await[0]["reason"], "client_certificate_missing");
    // With the zone's certificate, the same from the same address is believed.
    let tls = scene.stage.tls().alpn(&["http/1.1"]).client_config();
    let mut proven = H1::tls(Some(stranger()), scene.stage.at("https"), "shop.example.com", tls).await.unwrap();
    assert_eq!(proven.send(asking(&fields)).await.unwrap().status, 200);

    let open = recipe("{headers: rfc9440}", "");
    let scene = Scene::set(Recipe { listeners: listeners.into(), ..open }).await;
    let mut bare = H1::plain(Some(stranger()), scene.stage.at("http")).await.unwrap();
    assert_eq!(bare.send(asking(&fields)).await.unwrap().status, 200);
    assert_eq!(about_certificates(&scene.stage.origin.ledger()[0]), []);
}

#[tokio::test]
async fn without_a_policy_the_upstream_hears_of_what_is_well_formed() {
    let scene = Scene::set(recipe("{headers: rfc9440}", "")).await;
    let alice = scene.alice();
    scene.passes(&rfc9440(&alice), &vec![("client-cert", bytes(&alice.chain()[0]))]).await;
    for bad in [":garbage:", "", "CN=alice"] {
        scene.passes(&vec![("client-cert", bad.to_owned())], &vec![]).await;
    }
    scene.passes(&[rfc9440(&alice), rfc9440(&alice)].concat(), &vec![]).await;
    scene.passes(&vec![], &vec![]).await;
    let scene = Scene::set(recipe("null", "")).await;
    let all = [rfc9440(&alice), cf_cert(&alice, "CN=alice", "true", "false"), cf_client_cert(&alice)].concat();
    scene.passes(&all, &vec![]).await;
}

/// Observing changes nothing for the application; it counts and logs.
#[tokio::test]
async fn what_observe_lets_pass_is_told_to_the_upstream_and_counted() {
    let scene = Scene::guarded("rfc9440", "trust: [client-ca.pem], mode: observe").await;
    let stray = Authority::new("other CA").leaf().common_name("alice").issue();
    scene.passes(&rfc9440(&stray), &vec![("client-cert", bytes(&stray.chain()[0]))]).await;
    scene.passes(&vec![], &vec![]).await;
    for (reason, index) in [("client_certificate_untrusted", 0), ("client_certificate_missing", 2)] {
        let series = format!(
            r#"pullgate_policy_decisions_total{{decision="would_refuse",host="shop",policy="client-certificate",reason="{reason}"}}"#
        );
        scene.stage.metric_becomes(&series, 2.0).await;
        let line = &scene.stage.access_lines(4).await[index];
        assert_eq!(line["decision"], "would_refuse", "{line:#}");
        assert!(line["would_refuse"].to_string().contains(reason), "{line:#}");
    }
}

#[tokio::test]
async fn fingerprints_name_single_certificates_with_or_without_colons() {
    let ca = Authority::new("client CA");
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| ca.leaf().common_name(name).issue());
    let plain = sha256(&alice.chain()[0]);
    let hex = sha256(&bob.chain()[0]).to_ascii_uppercase();
    let pairs: Vec<_> = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap()).collect();
    let scene = Scene::guarded("rfc9440", &format!("fingerprints: [{plain}, '{}']", pairs.join(":"))).await;
    for known in [&alice, &bob] {
        scene.passes(&rfc9440(known), &vec![("client-cert", bytes(&known.chain()[0]))]).await;
    }
    scene.refuses(&[(rfc9440(&carol), "client_certificate_fingerprint")]).await;
}

#[test]
fn a_policy_that_could_let_nobody_or_anybody_pass_does_not_load() {
    let table = [
        ("null", "trust: [client-ca.pem]", "nothing tells this host of its visitors' certificates"),
        ("{headers: rfc9440}", "trust: []", "a certificate by itself is no identity"),
        ("{headers: cf-cert}", "trust: [client-ca.pem]", "no chain can be checked"),
        ("{headers: cf-client-cert}", "subjects: ['CN=alice']", "anybody can make one with this subject"),
        ("{headers: rfc9440}", "trust: [cloudflare]", "certifies the edge, and no visitor"),
    ];
    for (headers, policy, expected) in table {
        let props = Props::new();
        Authority::new("client CA").write(props.path(), "client-ca");
        let problems = refusal(&props, &recipe(headers, &format!("{{kind: client-certificate, {policy}}}")));
        assert!(problems.contains(expected) && problems.ends_with("1 problem"), "{problems}");
    }
}
