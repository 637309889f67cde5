//! Policy `access` from outside: tokens of a team whose keys come over the wire, rotate, and stay away (E 37 to 40).

use http::{HeaderName, HeaderValue, Method, Request};
use http_body_util::Full;
use pullgate_cloudflare::{Client, Limits};
use pullgate_tests::client::{H1, get, raw};
use pullgate_tests::feed::{Feed, Reply};
use pullgate_tests::pki::Authority;
use pullgate_tests::stage::{Props, Recipe, Stage, cloudflare, eventually, refusal, visit};
use pullgate_tests::team::{AUDIENCE, NEW, OLD, TeamKey, alice, alice_but, certs};
use serde_json::json;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::time::Duration;

const OPEN: &str = "open.example.com";

const UPDATED: &str = r#"pullgate_access_keys_refreshes_total{outcome="updated",team="example"}"#;
const UNCHANGED: &str = r#"pullgate_access_keys_refreshes_total{outcome="unchanged",team="example"}"#;
const REFUSED: &str = r#"pullgate_access_keys_refreshes_total{outcome="refused",team="example"}"#;
const FAILED: &str = r#"pullgate_access_keys_refreshes_total{outcome="failed",team="example"}"#;
const KEYS: &str = r#"pullgate_access_keys{team="example"}"#;

type Ask = Request<Full<bytes::Bytes>>;

fn client(roots: &[&Authority]) -> Client {
    let limits = Limits { connect: Duration::from_secs(2), total: Duration::from_secs(2) };
    Client::trusting(roots.iter().map(|root| root.der()).collect(), limits).unwrap()
}

/// Host `open` with the policy at `/admin` and nowhere else, keys from `url`; `section` is that of `cloudflare.access`.
fn recipe(url: &str, section: &str, more: &str) -> Recipe {
    let usual = Recipe::default();
    let policy = format!("{{kind: access, team: example, audiences: [{AUDIENCE}], jwks_url: '{url}'{more}}}");
    let hosts = format!(
        "hosts:
  - name: open
    hostnames: [{OPEN}]
    certificate: {{chain: server.pem, key: server.key}}
    origin_pull: {{mode: off}}
    routes:
      - {{name: admin, path: /admin, upstream: shop, policies: [{policy}]}}
      - {{name: public, path: /public, upstream: shop}}
"
    );
    Recipe {
        head: usual.head.replace("cloudflare: {", &format!("cloudflare: {{access: {{{section}}}, ")),
        hosts,
        ..usual
    }
}

const HOURLY: &str = "refresh: 1h, stale_after: 24h";
const EVERY_SECOND: &str = "refresh: 1s, stale_after: 24h";

/// A stage that has heard of its team's keys.
async fn told(section: &str, more: &str) -> (Stage, Feed) {
    let feed = Feed::start(certs(&[&OLD])).await;
    let stage = Stage::fetching(Props::new(), recipe(&feed.url("127.0.0.1"), section, more), client(&[])).await;
    stage.metric_becomes(UPDATED, 1.0).await;
    (stage, feed)
}

fn with(mut request: Ask, name: &'static str, value: &str) -> Ask {
    request.headers_mut().append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    request
}

fn bringing(token: &str) -> Ask {
    with(visit(OPEN, "/admin"), "cf-access-jwt-assertion", token)
}

/// The status over HTTP/1.1 and HTTP/2, which have to be the same, and nothing in the body but that.
async fn status(stage: &Stage, request: Ask) -> u16 {
    let (mut one, two) = (stage.h1(OPEN).await, stage.h2(OPEN).await);
    let (first, second) = (one.send(request.clone()).await.unwrap(), two.send(request).await.unwrap());
    assert_eq!(first.status, second.status);
    if first.status != 200 {
        for text in [first.text(), second.text()] {
            assert!(text.len() < 40 && !text.contains("access") && !text.contains("token"), "{text}");
        }
    }
    first.status.as_u16()
}

async fn ask(stage: &Stage, key: &TeamKey) -> u16 {
    status(stage, bringing(&key.token(&alice()))).await
}

/// The reason that the last request was refused for.
async fn reason(stage: &Stage, lines: usize) -> String {
    stage.access_lines(lines).await.last().unwrap()["reason"].as_str().unwrap_or_default().to_owned()
}

async fn ready(stage: &Stage) -> (u16, String) {
    let mut admin = H1::plain(None, stage.gateway.admin_address()).await.unwrap();
    let answer = admin.send(get("admin", "/-/ready")).await.unwrap();
    (answer.status.as_u16(), answer.text())
}

#[tokio::test]
async fn e37_whoever_brings_a_token_passes_and_the_upstream_hears_who() {
    let (stage, feed) = told(HOURLY, ", identities: {emails: ['*@example.com']}").await;
    let token = OLD.token(&alice());
    let claimed = with(bringing(&token), "cf-access-authenticated-user-email", "eve@example.com");
    assert_eq!(status(&stage, claimed).await, 200);
    for seen in stage.origin.ledger() {
        assert_eq!(seen.all("cf-access-jwt-assertion"), [token.as_str()]);
        assert_eq!(seen.all("cf-access-authenticated-user-email"), ["alice@example.com"]);
    }
    // Where nothing verified it, it is a claim like any other.
    let elsewhere = with(visit(OPEN, "/public"), "cf-access-jwt-assertion", &token);
    let elsewhere = with(elsewhere, "cf-access-authenticated-user-email", "eve@example.com");
    assert_eq!(status(&stage, elsewhere).await, 200);
    let last = stage.origin.ledger().pop().unwrap();
    assert!(!last.headers.iter().any(|(name, _)| name.starts_with("cf-access")), "{last:#?}");
    assert!(feed.asked()[0].starts_with("GET /client/v4/ips HTTP/1.1\r\n"), "{:?}", feed.asked());
}

/// One request of each kind: 403, its own reason in the log, nothing at the origin.
#[tokio::test]
async fn e37_what_is_no_token_for_this_application_is_refused() {
    let (stage, _feed) = told(HOURLY, ", identities: {emails: ['*@example.com']}").await;
    let now = alice()["iat"].as_u64().unwrap();
    let good = OLD.token(&alice());
    let signature = good.rsplit_once('.').unwrap().1;
    let other = OLD.token(&alice_but("email", "bob@example.com"));
    let swapped = format!("{}.{signature}", other.rsplit_once('.').unwrap().0);
    let none = good.replace(good.split('.').next().unwrap(), "eyJhbGciOiJub25lIiwia2lkIjoib2xkIn0");
    let table: Vec<(Ask, &str)> = vec![
        (visit(OPEN, "/admin"), "access_token_missing"),
        (with(bringing(&good), "cf-access-jwt-assertion", &good), "access_token_duplicated"),
        (bringing("a.b"), "access_token_malformed"),
        (bringing(&format!("{good}=")), "access_token_malformed"),
        (bringing(&none), "access_algorithm"),
        (bringing(&OLD.token_naming("../../", &alice())), "access_key_unknown"),
        (bringing(&swapped), "access_signature"),
        (bringing(&NEW.token_naming("old", &alice())), "access_signature"),
        (bringing(&OLD.token(&alice_but("iss", "https://evil.cloudflareaccess.com"))), "access_issuer"),
        (bringing(&OLD.token(&alice_but("aud", json!(["0"])))), "access_audience"),
        (bringing(&OLD.token(&alice_but("exp", now - 120))), "access_expired"),
        (bringing(&OLD.token(&alice_but("nbf", now + 120))), "access_not_yet_valid"),
        (bringing(&OLD.token(&alice_but("type", "org"))), "access_type"),
        (bringing(&OLD.token(&alice_but("email", "eve@example.net"))), "access_identity"),
        (with(visit(OPEN, "/admin"), "authorization", &format!("Bearer {good}")), "access_token_missing"),
        (with(visit(OPEN, "/admin"), "cookie", &format!("CF_Authorization={good}")), "access_token_missing"),
    ];
    for (index, (request, expected)) in table.into_iter().enumerate() {
        assert_eq!(status(&stage, request).await, 403, "{expected}");
        assert_eq!(reason(&stage, 2 * (index + 1)).await, expected);
    }
    stage.assert_nothing_reached_the_origin();
    let series =
        r#"pullgate_policy_decisions_total{decision="refuse",host="open",policy="access",reason="access_audience"}"#;
    assert!((stage.metric(series) - 2.0).abs() < 0.1);
}

#[tokio::test]
async fn e37_the_cookie_counts_where_it_is_asked_for_and_agrees() {
    let (stage, _feed) = told(HOURLY, ", cookie: true").await;
    let (good, other) = (OLD.token(&alice()), OLD.token(&alice_but("email", "bob@example.com")));
    let cookie = |request, token: &str| with(request, "cookie", &format!("a=b; CF_Authorization={token}"));
    assert_eq!(status(&stage, cookie(visit(OPEN, "/admin"), &good)).await, 200);
    assert_eq!(status(&stage, cookie(bringing(&good), &good)).await, 200);
    assert_eq!(status(&stage, cookie(bringing(&good), &other)).await, 403);
    assert_eq!(reason(&stage, 6).await, "access_token_duplicated");
}

/// The old key counts as long as it is published, the new one from the first token on that names it.
#[tokio::test]
async fn e38_a_new_key_is_fetched_once_and_the_old_one_goes_with_the_team() {
    let (stage, feed) = told(HOURLY, "").await;
    assert_eq!((ask(&stage, &OLD).await, feed.asked().len()), (200, 1));
    feed.say(certs(&[&NEW, &OLD]));
    let mut one = stage.h1(OPEN).await;
    assert_eq!(one.send(bringing(&NEW.token(&alice()))).await.unwrap().status, 403);
    stage.metric_becomes(UPDATED, 2.0).await;
    assert_eq!((ask(&stage, &NEW).await, ask(&stage, &OLD).await), (200, 200));
    assert_eq!((stage.metric(KEYS).round(), feed.asked().len()), (2.0, 2));
    assert!(stage.metric(r#"pullgate_access_keys_age_seconds{team="example"}"#) < 60.0);

    let (stage, feed) = told(EVERY_SECOND, "").await;
    feed.say(certs(&[&NEW, &OLD]));
    stage.metric_becomes(UPDATED, 2.0).await;
    feed.say(certs(&[&NEW]));
    stage.metric_becomes(UPDATED, 3.0).await;
    assert_eq!((ask(&stage, &NEW).await, ask(&stage, &OLD).await), (200, 403));
    assert_eq!(reason(&stage, 4).await, "access_key_unknown");
}

/// Thousands of tokens that name keys which nobody has: one fetch, whatever comes.
#[tokio::test]
async fn e38_a_flood_of_unknown_keys_causes_one_fetch() {
    let (stage, feed) = told(HOURLY, "").await;
    let client = stage.h2(OPEN).await;
    let token = OLD.token_naming("nobody's", &alice());
    for n in 0..3000 {
        // No signature is looked at where no key is known: the tokens need not be right, only different.
        let request = bringing(&token.replacen('.', &format!(".{n:04}"), 1));
        assert_eq!(client.send(request).await.unwrap().status, 403);
    }
    stage.metric_becomes(UNCHANGED, 1.0).await;
    assert_eq!(ask(&stage, &OLD).await, 200);
    assert_eq!(feed.asked().len(), 2, "one at the start and one because of the flood");
    let noted =
        r#"pullgate_policy_decisions_total{decision="refuse",host="open",policy="access",reason="access_key_unknown"}"#;
    stage.metric_becomes(noted, 3000.0).await;
    assert!((stage.metric(UNCHANGED) - 1.0).abs() < 0.1 && (stage.metric(UPDATED) - 1.0).abs() < 0.1);
}

/// A start waits for nobody, is not ready before the team has told its keys, and refuses until then without blame.
#[tokio::test]
async fn e38_a_start_during_an_outage_is_not_ready_and_refuses() {
    let feed = Feed::start(Reply::new(503, "")).await;
    let recipe = recipe(&feed.url("127.0.0.1"), EVERY_SECOND, "");
    let stage = Stage::fetching(Props::new(), recipe, client(&[])).await;
    assert_eq!(ask(&stage, &OLD).await, 503);
    assert_eq!(reason(&stage, 2).await, "access_keys_missing");
    assert_eq!(ready(&stage).await, (503, "not ready: no keys yet of Access team example\n".into()));
    assert_eq!(status(&stage, visit(OPEN, "/public")).await, 200, "what needs no keys is served");
    assert_eq!(stage.metric(KEYS).round(), 0.0);
    assert!(eventually(|| stage.metric(FAILED) > 0.0).await);
    feed.say(certs(&[&OLD]));
    stage.metric_becomes(UPDATED, 1.0).await;
    assert_eq!((ask(&stage, &OLD).await, ready(&stage).await.0), (200, 200));
}

/// A policy that only observes keeps nobody out of service.
#[tokio::test]
async fn e38_observe_mode_waits_for_no_keys() {
    let feed = Feed::start(Reply::new(503, "")).await;
    let stage =
        Stage::fetching(Props::new(), recipe(&feed.url("127.0.0.1"), HOURLY, ", mode: observe"), client(&[])).await;
    assert_eq!((ask(&stage, &OLD).await, ready(&stage).await.0), (200, 200));
    let line = stage.access_lines(2).await.pop().unwrap();
    assert!(line.to_string().contains("access_keys_missing"), "{line}");
    assert!(stage.origin.ledger().iter().all(|seen| seen.all("cf-access-jwt-assertion").is_empty()));
}

/// Every way in which a team's address goes wrong: the last good keys stay.
#[tokio::test]
async fn e38_whatever_the_address_says_the_last_good_keys_stay() {
    let (old, new) = (OLD.jwk(), NEW.jwk());
    let mut twice = NEW.jwk();
    twice["kid"] = json!("old");
    let set = |keys: serde_json::Value| Reply::new(200, json!({ "keys": keys }).to_string());
    let bad = [
        ("nothing", REFUSED, Reply::new(200, "")),
        ("HTML", REFUSED, Reply::new(200, "<!DOCTYPE html><html>Just a moment</html>")),
        ("no key", REFUSED, set(json!([]))),
        ("two of one kid", REFUSED, set(json!([old, twice]))),
        ("keys of another kind", REFUSED, set(json!([{"kty": "EC", "kid": "old"}]))),
        ("half of it", REFUSED, Reply::new(200, r#"{"keys":[{"kid":"old","#)),
        ("500", FAILED, certs_with(500, &new)),
        ("304", FAILED, Reply::new(304, "")),
        ("10 MB", FAILED, Reply::new(200, vec![b' '; 10 << 20])),
        ("a redirect", FAILED, certs_with(302, &new).header("Location", "/elsewhere")),
        ("broken off", FAILED, certs(&[&NEW]).cut()),
        ("no end", FAILED, certs(&[&NEW]).dripping()),
        ("silence", FAILED, certs(&[&NEW]).silent()),
    ];
    let (stage, feed) = told(EVERY_SECOND, "").await;
    for (what, series, reply) in bad {
        let before = stage.metric(series);
        feed.say(reply);
        assert!(eventually(|| stage.metric(series) > before).await, "{what}: {series} stays at {before}");
        assert_eq!(ask(&stage, &OLD).await, 200, "{what}");
        assert_eq!(stage.metric(UPDATED).round(), 1.0, "{what}: taken");
    }
    assert_eq!(ready(&stage).await.0, 200);
    feed.say(certs(&[&NEW]));
    stage.metric_becomes(UPDATED, 2.0).await;
    assert_eq!((ask(&stage, &NEW).await, ask(&stage, &OLD).await), (200, 403));
}

fn certs_with(status: u16, key: &serde_json::Value) -> Reply {
    Reply::new(status, json!({ "keys": [key] }).to_string())
}

/// Only who the certificate is for is believed.
#[tokio::test]
async fn e38_keys_come_over_tls_from_whom_they_should() {
    let (ca, other) = (Authority::new("team CA"), Authority::new("another CA"));
    let cases = [
        (other.leaf().dns(&["localhost"]).usage_server().issue(), 503),
        (ca.leaf().dns(&["mirror.example.com"]).usage_server().issue(), 503),
        (ca.leaf().dns(&["localhost"]).usage_server().issue(), 200),
    ];
    for (identity, expected) in cases {
        let feed = Feed::with_tls(certs(&[&OLD]), &identity).await;
        let recipe = recipe(&feed.url("localhost"), EVERY_SECOND, "");
        let stage = Stage::fetching(Props::new(), recipe, client(&[&ca])).await;
        let outcome = if expected == 200 { UPDATED } else { FAILED };
        assert!(eventually(|| stage.metric(outcome) > 0.0).await);
        assert_eq!(ask(&stage, &OLD).await, expected);
    }
}

/// Keys of which there was no news for too long count no more; the first news makes them count again.
#[tokio::test]
async fn e38_keys_that_are_too_old_are_dropped() {
    let (stage, feed) = told("refresh: 1s, stale_after: 3s", "").await;
    feed.say(Reply::new(500, ""));
    assert_eq!(ask(&stage, &OLD).await, 200);
    let age = r#"pullgate_access_keys_age_seconds{team="example"}"#;
    assert!(eventually(|| stage.metric(age) > 3.5).await, "{}", stage.metric(age));
    let lines = stage.access_log().len();
    assert_eq!(ask(&stage, &OLD).await, 503);
    assert_eq!(reason(&stage, lines + 2).await, "access_keys_stale");
    assert_eq!(ready(&stage).await.0, 200, "who was ready stays in service for what else it serves");
    feed.say(certs(&[&OLD]));
    assert!(eventually(|| stage.metric(age) < 2.5).await);
    assert_eq!(ask(&stage, &OLD).await, 200);
}

fn kept(stage: &Stage) -> PathBuf {
    stage.props.path().join("state/access-keys-example.json")
}

async fn again(stage: Stage, recipe: &Recipe) -> Stage {
    let Stage { props, origin: _, gateway, edge: _ } = stage;
    tokio::task::spawn_blocking(move || gateway.stop()).await.unwrap();
    Stage::fetching(props, recipe.clone(), client(&[])).await
}

/// The keys outlive the process and their team's absence, with their age; a file that others can have written is none.
#[tokio::test]
async fn e38_a_restart_without_the_team_goes_on_with_the_last_good_keys() {
    let (stage, feed) = told(HOURLY, "").await;
    let recipe_of = |section| recipe(&feed.url("127.0.0.1"), section, "");
    assert!(eventually(|| kept(&stage).exists()).await);
    assert_eq!(std::fs::metadata(kept(&stage)).unwrap().mode() & 0o777, 0o600);
    let (hourly, good) = (recipe_of(HOURLY), std::fs::read_to_string(kept(&stage)).unwrap());
    feed.end();
    let stage = again(stage, &hourly).await;
    assert_eq!((ask(&stage, &OLD).await, ready(&stage).await.0), (200, 200));

    // What another address said is nothing to this one.
    let stage = again(stage, &recipe("http://127.0.0.1:9/other", HOURLY, "")).await;
    assert_eq!((ask(&stage, &OLD).await, ready(&stage).await.0), (503, 503));
    let file = kept(&stage);
    let spoilt: [(&str, Box<dyn Fn()>); 4] = [
        ("changed", Box::new(|| std::fs::write(&file, good.replace("\"old\"", "\"new\"")).unwrap())),
        ("torn", Box::new(|| std::fs::write(&file, &good[..good.len() / 2]).unwrap())),
        ("open to others", Box::new(|| std::fs::set_permissions(&file, PermissionsExt::from_mode(0o666)).unwrap())),
        (
            "a link",
            Box::new(|| {
                std::fs::rename(&file, file.with_extension("moved")).unwrap();
                std::os::unix::fs::symlink(file.with_extension("moved"), &file).unwrap();
            }),
        ),
    ];
    let mut stage = stage;
    for (what, spoil) in spoilt {
        std::fs::write(&file, &good).unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
        spoil();
        stage = again(stage, &hourly).await;
        assert_eq!(ask(&stage, &OLD).await, 503, "{what}");
    }
}

/// A reload keeps what is known, takes keys of another address for none, and forgets a team that nobody names.
#[tokio::test]
async fn e38_a_reload_keeps_the_keys_of_the_same_address() {
    let (stage, feed) = told(HOURLY, "").await;
    let url = feed.url("127.0.0.1");
    assert_eq!(stage.reload(&recipe(&url, HOURLY, ", name: login")), Ok(2));
    assert_eq!((ask(&stage, &OLD).await, feed.asked().len()), (200, 1));
    assert_eq!(stage.reload(&recipe("http://127.0.0.1:9/other", HOURLY, "")), Ok(3));
    assert_eq!((ask(&stage, &OLD).await, ready(&stage).await.0), (503, 200));
    assert_eq!(stage.reload(&Recipe::default()), Ok(4));
    assert!(!stage.gateway.metrics().render().unwrap().contains("team=\"example\""));
    // And back: fetched anew, because the first task has ended.
    assert_eq!(stage.reload(&recipe(&url, HOURLY, "")), Ok(5));
    stage.metric_becomes(KEYS, 1.0).await;
    assert!(eventually(|| feed.asked().len() == 2).await);
    assert_eq!(ask(&stage, &OLD).await, 200);
}

/// Ways to write the guarded path as another one: refused, or guarded all the same; never served at the open route.
#[tokio::test]
async fn e40_no_spelling_of_a_path_goes_around_the_policy() {
    let (stage, _feed) = told(HOURLY, "").await;
    assert_eq!(status(&stage, visit(OPEN, "/public/x")).await, 200);
    let served = stage.origin.ledger().len();
    let paths = [
        "/public/../admin",
        "/public/%2e%2e/admin",
        "/public/.%2E/admin",
        "/public/..%2fadmin",
        "/public%2f..%2fadmin",
        "/public/..;/admin",
        "/public;/../admin",
        "/public/..\\admin",
        "/public/..%5cadmin",
        "//admin",
        "/./admin",
        "/%61dmin",
        "/admin;x",
        "/admin%2f",
        "/admin/",
        "/admin/x",
        "/admin?x=/public",
        "/ADMIN",
        "/admin%00",
    ];
    for path in paths {
        for at in ["http", "https"] {
            let asked = format!(
                "GET {path} HTTP/1.1\r\nHost: {OPEN}\r\nCF-Connecting-IP: 203.0.113.7\r\nConnection: close\r\n\r\n"
            );
            let tls = (at == "https").then(|| (OPEN, stage.tls().client_config()));
            let answer = raw(Some(cloudflare()), stage.at(at), tls, asked.as_bytes()).await.unwrap();
            let answer = String::from_utf8_lossy(&answer).into_owned();
            assert!(answer.starts_with("HTTP/1.1 4"), "{path}: {answer}");
        }
    }
    assert_eq!(stage.origin.ledger().len(), served, "{:#?}", stage.origin.ledger());
    // What only a second decoding makes another path of goes on as it was judged.
    assert_eq!(status(&stage, visit(OPEN, "/public/%252e%252e/admin")).await, 200);
    assert_eq!(stage.origin.ledger().pop().unwrap().target, "/public/%252e%252e/admin");
}

/// Cloudflare lets gRPC through without Access, and a WebSocket begins as any request does.
#[tokio::test]
async fn e40_grpc_and_websockets_are_not_exempt() {
    let (stage, _feed) = told(HOURLY, "").await;
    let mut grpc = with(visit(OPEN, "/admin/Service/Call"), "content-type", "application/grpc");
    *grpc.method_mut() = Method::POST;
    let grpc = with(grpc, "te", "trailers");
    assert_eq!(status(&stage, grpc.clone()).await, 403);
    assert_eq!(status(&stage, with(grpc, "cf-access-jwt-assertion", &OLD.token(&alice()))).await, 200);
    let served = stage.origin.ledger().len();
    let upgrade = with(with(visit(OPEN, "/admin"), "connection", "Upgrade"), "upgrade", "websocket");
    let upgrade = with(with(upgrade, "sec-websocket-version", "13"), "sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    let mut one = stage.h1(OPEN).await;
    assert_eq!(one.send(upgrade).await.unwrap().status, 403);
    assert_eq!(stage.origin.ledger().len(), served);
}

/// A configuration with two addresses for one team says nothing of which one counts.
#[tokio::test]
async fn one_team_has_one_address() {
    let recipe = recipe("https://mirror.example.com/certs", HOURLY, "");
    let second = format!("policies: [{{kind: access, team: example, audiences: [{AUDIENCE}]}}]");
    let hosts =
        recipe.hosts.replace("path: /public, upstream: shop", &format!("path: /public, upstream: shop, {second}"));
    let problems = refusal(&Props::new(), &Recipe { hosts, ..recipe });
    assert!(problems.contains("the keys of team `example` come from somewhere else in line"), "{problems}");
}

/// Whatever level is asked for, no log has a token, the cookie or what stands in `Authorization`.
#[tokio::test]
async fn i56_no_log_line_has_a_token() {
    let feed = Feed::start(certs(&[&OLD])).await;
    let recipe = recipe(&feed.url("127.0.0.1"), HOURLY, ", cookie: true");
    let head = recipe.head.replace("level: warn", "level: trace");
    let stage = Stage::fetching(Props::new(), Recipe { head, ..recipe }, client(&[])).await;
    stage.metric_becomes(UPDATED, 1.0).await;
    let (good, bad) = (OLD.token(&alice()), OLD.token(&alice_but("type", "org")));
    for token in [&good, &bad] {
        let request = with(bringing(token), "cookie", &format!("CF_Authorization={token}"));
        let _ = status(&stage, with(request, "authorization", &format!("Bearer {token}"))).await;
    }
    let lines = stage.access_lines(4).await;
    for line in lines {
        for token in [&good, &bad] {
            assert!(token.split('.').all(|part| !line.to_string().contains(part)), "{line}");
        }
    }
}
