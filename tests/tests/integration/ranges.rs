//! Ranges that live: feeds that answer well, badly and not at all, and what the gateway makes of it.

use crate::binary::{Running, free_ports, metrics_show, pullgate, recipe, text};
use pullgate_cloudflare::{Client, Limits};
use pullgate_policy::ranges::BUILTIN;
use pullgate_tests::feed::{Feed, Reply};
use pullgate_tests::pki::Authority;
use pullgate_tests::stage::{Props, Recipe, Stage, eventually, stranger, visit};
use serde_json::Value;
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::time::Duration;

/// In the published list, in none, and what a feed adds for the tests.
const LISTED: &str = "173.245.48.1";
const UNLISTED: &str = "192.0.2.1";
const NEW: (&str, &str) = ("11.22.33.0/24", "11.22.33.44");
const SMALL: (&str, &str) = ("131.0.72.0/22", "131.0.72.1");

const UPDATED: &str = r#"pullgate_ranges_refreshes_total{outcome="updated"}"#;
const UNCHANGED: &str = r#"pullgate_ranges_refreshes_total{outcome="unchanged"}"#;
const REFUSED: &str = r#"pullgate_ranges_refreshes_total{outcome="refused"}"#;
const FAILED: &str = r#"pullgate_ranges_refreshes_total{outcome="failed"}"#;

/// Trusts these, and waits two seconds for an answer.
fn client(roots: &[&Authority]) -> Client {
    let limits = Limits { connect: Duration::from_secs(2), total: Duration::from_secs(2) };
    Client::trusting(roots.iter().map(|root| root.der()).collect(), limits).unwrap()
}

/// With a feed that is asked every second.
fn fed_by(url: &str, more: &str) -> Recipe {
    let usual = Recipe::default();
    let ranges = format!("source: api, url: '{url}', refresh: 1s{more}");
    Recipe { head: usual.head.replace("source: builtin", &ranges), ..usual }
}

/// A stage whose feed has been heard: it has added a prefix to the published list.
async fn fed(more: &str) -> (Stage, Feed) {
    let feed = Feed::start(Reply::published_but(&[], &[NEW.0], "first")).await;
    let stage = Stage::fetching(Props::new(), fed_by(&feed.url("127.0.0.1"), more), client(&[])).await;
    stage.metric_becomes(UPDATED, 1.0).await;
    (stage, feed)
}

fn admits(stage: &Stage, address: &str) -> bool {
    stage.gateway.succession().admits("https", address.parse::<IpAddr>().unwrap())
}

/// Whether the gateway serves whom it should, and nobody else.
async fn assert_serves(stage: &Stage, what: &str) {
    assert!(admits(stage, LISTED) && !admits(stage, UNLISTED), "{what}");
    let mut client = stage.h1("open.example.com").await;
    assert_eq!(client.send(visit("open.example.com", "/")).await.unwrap().status, 200, "{what}");
    let heard = pullgate_tests::client::raw(Some(stranger()), stage.at("http"), None, b"GET / HTTP/1.1\r\n\r\n").await;
    assert!(heard.is_ok_and(|heard| heard.is_empty()), "{what}: a stranger is heard");
}

async fn metric_passes(stage: &Stage, series: &str, value: f64) {
    assert!(eventually(|| stage.metric(series) > value).await, "{series} stays at {}", stage.metric(series));
}

fn source(stage: &Stage) -> Vec<&'static str> {
    let is_shown = |label: &&str| stage.metric(&format!("pullgate_ranges_source{{source=\"{label}\"}}")) > 0.5;
    ["builtin", "file", "api", "last_good"].into_iter().filter(is_shown).collect()
}

/// Every way in which a feed goes wrong. What it said last stays in force, the series says so, nobody is locked out and nobody is let in.
#[tokio::test]
async fn b13_whatever_the_feed_says_the_last_good_list_stays() {
    let mut replies = bad_replies();
    let quarter = replies.len().div_ceil(4);
    let mut part = || withstands(replies.drain(..quarter.min(replies.len())).collect());
    // One fetch a second: side by side, to be done soon.
    tokio::join!(part(), part(), part(), part());
    assert!(replies.is_empty());
}

async fn withstands(replies: Vec<(&'static str, &'static str, Reply)>) {
    let (stage, feed) = fed("").await;
    assert!(admits(&stage, NEW.1) && !replies.is_empty());
    for (what, series, reply) in replies {
        let before = stage.metric(series);
        feed.say(reply);
        assert!(eventually(|| stage.metric(series) > before).await, "{what}: {series} stays at {before}");
        assert!(admits(&stage, NEW.1), "{what}: the last good list is gone");
        assert_serves(&stage, what).await;
        assert!((stage.metric(UPDATED) - 1.0).abs() < 0.5, "{what}: taken");
        assert_eq!(source(&stage), ["api"], "{what}");
    }
    // It has not given up on the feed.
    feed.say(Reply::published_but(&[], &[NEW.0, "11.22.34.0/24"], "second"));
    stage.metric_becomes(UPDATED, 2.0).await;
    assert!(admits(&stage, "11.22.34.1"));
}

fn bad_replies() -> Vec<(&'static str, &'static str, Reply)> {
    let with = |extra: &str| Reply::published_but(&[], &[NEW.0, extra], "bad");
    let v4: Vec<&str> = BUILTIN.iter().copied().filter(|prefix| !prefix.contains(':')).collect();
    let many: Vec<String> = (0..4200).map(|n| format!("11.{}.{}.0/24", 64 + n / 256, n % 256)).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).chain(BUILTIN).collect();
    let eighths: Vec<String> = (12..32).map(|first| format!("{first}.0.0.0/8")).collect();
    let eighths: Vec<&str> = eighths.iter().map(String::as_str).collect();
    vec![
        ("no prefix", REFUSED, Reply::list(&[], "bad")),
        ("nothing", REFUSED, Reply::new(200, "")),
        ("HTML", REFUSED, Reply::new(200, "<!DOCTYPE html><html>Just a moment</html>")),
        ("half of the JSON", REFUSED, Reply::new(200, r#"{"result":{"ipv4_cidrs":["173.245.48.0/20","#)),
        ("success: false", REFUSED, Reply::new(200, r#"{"success":false,"result":null,"errors":[{"code":1000}]}"#)),
        ("everybody, IPv4", REFUSED, with("0.0.0.0/0")),
        ("everybody, IPv6", REFUSED, with("::/0")),
        ("shorter than /8", REFUSED, with("96.0.0.0/7")),
        ("shorter than /16", REFUSED, with("2600::/15")),
        ("private", REFUSED, with("192.168.0.0/16")),
        ("loopback", REFUSED, with("127.0.2.0/24")),
        ("multicast", REFUSED, with("224.0.0.0/8")),
        ("multicast, IPv6", REFUSED, with("ff02::/16")),
        ("IPv6 vanished", REFUSED, Reply::list(&v4, "bad")),
        ("more than a quarter gone", REFUSED, Reply::published_but(&BUILTIN[..5], &[NEW.0], "bad")),
        ("one prefix of a third of the space gone", REFUSED, Reply::published_but(&["104.16.0.0/13"], &[NEW.0], "bad")),
        ("a prefix with host bits", REFUSED, with("11.22.35.1/24")),
        ("no prefix at all among them", REFUSED, with("cloudflare.com")),
        ("thousands of prefixes", REFUSED, Reply::list(&many, "bad")),
        ("half of the Internet in pieces", REFUSED, Reply::published_but(&[], &eighths, "bad")),
        ("500", FAILED, Reply::new(500, "")),
        ("429", FAILED, Reply::new(429, "")),
        ("204", FAILED, Reply::new(204, "")),
        ("10 MB", FAILED, Reply::new(200, vec![b' '; 10 << 20])),
        ("1 MiB and a byte", FAILED, Reply::new(200, vec![b' '; (1 << 20) + 1])),
        ("broken off", FAILED, Reply::published_but(&[], &[], "bad").cut()),
        ("silence", FAILED, Reply::new(200, "").silent()),
        ("no end", FAILED, Reply::published_but(&[], &[], "bad").dripping()),
        ("no HTTP", FAILED, Reply::new(0, "")),
    ]
}

/// What is no fault: a list with a prefix twice, and 304 to whoever asked with the tag.
#[tokio::test]
async fn b13_duplicates_and_not_modified_are_fine() {
    let (stage, feed) = fed("").await;
    feed.say(Reply::published_but(&[], &[NEW.0, NEW.0, "2400:cb00::/32"], "twice"));
    metric_passes(&stage, UNCHANGED, 0.0).await;
    assert!(stage.metric(r#"pullgate_ranges_prefixes{family="ipv4"}"#) == 17.0, "15, the new one, extra");
    assert!(eventually(|| feed.asked().last().unwrap().contains("if-none-match: W/\"twice\"\r\n")).await);
    feed.say(Reply::new(304, ""));
    let before = stage.metric(UNCHANGED);
    metric_passes(&stage, UNCHANGED, before + 1.0).await;
    assert!(admits(&stage, NEW.1) && stage.metric("pullgate_ranges_age_seconds") < 5.0);
    assert!(stage.metric(REFUSED) + stage.metric(FAILED) == 0.0);
    assert!(!feed.asked()[0].contains("if-none-match"), "{:?}", feed.asked());
    assert!(feed.asked()[0].starts_with("GET /client/v4/ips HTTP/1.1\r\n"), "{:?}", feed.asked());
}

/// 304 to a request without a tag says nothing about any list.
#[tokio::test]
async fn b13_not_modified_without_a_tag_is_a_failure() {
    let feed = Feed::start(Reply::new(304, "")).await;
    let stage = Stage::fetching(Props::new(), fed_by(&feed.url("127.0.0.1"), ""), client(&[])).await;
    metric_passes(&stage, FAILED, 0.0).await;
    assert_eq!(source(&stage), ["builtin"]);
    assert!(stage.metric("pullgate_ranges_age_seconds") > 1e6, "as old as the compiled-in list");
}

/// Only who the certificate is for is believed, and nobody that they point to.
#[tokio::test]
async fn b14_a_wrong_certificate_and_a_redirect_are_refused() {
    let (ca, other) = (Authority::new("feed CA"), Authority::new("another CA"));
    let lie = || Reply::published_but(&[], &[NEW.0], "lie");
    let right = ca.leaf().dns(&["localhost"]).usage_server().issue();
    let cases = [
        ("another CA", other.leaf().dns(&["localhost"]).usage_server().issue(), lie()),
        // What a poisoned resolver leads to: somebody with a good certificate of their own.
        ("another name", ca.leaf().dns(&["mirror.example.com"]).usage_server().issue(), lie()),
        ("expired", ca.leaf().dns(&["localhost"]).usage_server().expired().issue(), lie()),
        ("for clients", ca.leaf().dns(&["localhost"]).usage_client().issue(), lie()),
    ];
    let target = Feed::start(lie()).await;
    let elsewhere = |status| Reply::new(status, "").header("Location", &target.url("127.0.0.1"));
    let redirects = [301, 302, 303, 307, 308]
        .map(|status| ("a redirect", ca.leaf().dns(&["localhost"]).usage_server().issue(), elsewhere(status)));
    for (what, identity, reply) in cases.into_iter().chain(redirects) {
        let feed = Feed::with_tls(reply, &identity).await;
        let stage = Stage::fetching(Props::new(), fed_by(&feed.url("localhost"), ""), client(&[&ca])).await;
        metric_passes(&stage, FAILED, 0.0).await;
        assert_eq!(source(&stage), ["builtin"], "{what}");
        assert!(!admits(&stage, NEW.1), "{what}");
        assert_serves(&stage, what).await;
    }
    assert!(target.asked().is_empty(), "a redirect was followed");
    let feed = Feed::with_tls(lie(), &right).await;
    let stage = Stage::fetching(Props::new(), fed_by(&feed.url("localhost"), ""), client(&[&ca])).await;
    stage.metric_becomes(UPDATED, 1.0).await;
    assert!(admits(&stage, NEW.1), "the right one is believed");
    // And by nobody who trusts the CAs of browsers.
    let stage = Stage::fetching(Props::new(), fed_by(&feed.url("localhost"), ""), Client::new().unwrap()).await;
    metric_passes(&stage, FAILED, 0.0).await;
    assert_eq!(source(&stage), ["builtin"]);
}

/// A removed prefix counts until its grace ends; what comes back before that stays.
#[tokio::test]
async fn b15_removed_ranges_leave_after_their_grace() {
    let (stage, feed) = fed(", removal_grace: 3s").await;
    let reach = |stage: &Stage| (admits(stage, SMALL.1), admits(stage, NEW.1));
    feed.say(Reply::published_but(&[SMALL.0], &[NEW.0], "without"));
    stage.metric_becomes(UPDATED, 2.0).await;
    assert_eq!(reach(&stage), (true, true));
    feed.say(Reply::published_but(&[], &[NEW.0], "back"));
    stage.metric_becomes(UPDATED, 3.0).await;
    feed.say(Reply::published_but(&[SMALL.0], &[NEW.0], "without"));
    stage.metric_becomes(UPDATED, 4.0).await;
    assert!(admits(&stage, SMALL.1));
    assert!(eventually(|| !admits(&stage, SMALL.1)).await);
    assert_serves(&stage, "after the grace").await;
    assert_eq!(reach(&stage), (false, true));
    assert!(stage.metric(r#"pullgate_ranges_prefixes{family="ipv4"}"#) == 16.0);
}

/// An operator's own networks are taken away at once, with a feed too, and a connection from there is asked again.
#[tokio::test]
async fn b15_an_operators_own_networks_leave_at_once() {
    let (stage, feed) = fed(", removal_grace: 24h").await;
    let recipe = fed_by(&feed.url("127.0.0.1"), ", removal_grace: 24h");
    let mut kept = stage.h1("shop.example.com").await;
    assert_eq!(kept.send(visit("shop.example.com", "/")).await.unwrap().status, 200);
    let elsewhere = Recipe { head: recipe.head.replace("127.0.1.0/24", "127.0.9.0/24"), ..recipe };
    assert_eq!(stage.reload(&elsewhere), Ok(2));
    assert_eq!(kept.send(visit("shop.example.com", "/")).await.unwrap().status, 421);
    assert!(admits(&stage, NEW.1), "a reload forgets what was learnt");
}

/// The first start without a feed and without a file serves with the compiled-in list, is ready, and says so.
#[tokio::test]
async fn b16_a_first_start_during_an_outage_serves_with_the_builtin_list() {
    let feed = Feed::start(Reply::new(503, "")).await;
    let url = feed.url("127.0.0.1");
    feed.end();
    let stage = Stage::fetching(Props::new(), fed_by(&url, ""), client(&[])).await;
    metric_passes(&stage, FAILED, 1.0).await;
    assert_eq!(source(&stage), ["builtin"]);
    assert!(stage.metric("pullgate_ranges_age_seconds") > 1e6);
    assert_serves(&stage, "outage").await;
    let mut admin = pullgate_tests::client::H1::plain(None, stage.gateway.admin_address()).await.unwrap();
    assert_eq!(admin.send(pullgate_tests::client::get("admin", "/-/ready")).await.unwrap().status, 200);
}

/// Starts a gateway again in the folder of one that has ended.
async fn again(stage: Stage, recipe: &Recipe) -> Stage {
    let Stage { props, origin: _, gateway, edge: _ } = stage;
    tokio::task::spawn_blocking(move || gateway.stop()).await.unwrap();
    Stage::fetching(props, recipe.clone(), client(&[])).await
}

fn kept(stage: &Stage) -> PathBuf {
    stage.props.path().join("state/ranges.json")
}

/// The list outlives the process, with what is leaving it, and the feed's absence.
#[tokio::test]
async fn b13_a_restart_without_a_feed_goes_on_with_the_last_good_list() {
    let (stage, feed) = fed("").await;
    let recipe = fed_by(&feed.url("127.0.0.1"), "");
    feed.say(Reply::published_but(&[SMALL.0], &[NEW.0], "without"));
    stage.metric_becomes(UPDATED, 2.0).await;
    assert!(eventually(|| std::fs::read_to_string(kept(&stage)).is_ok_and(|text| text.contains("without"))).await);
    assert_eq!(std::fs::metadata(kept(&stage)).unwrap().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(kept(&stage).parent().unwrap()).unwrap().mode() & 0o777, 0o700);
    feed.end();
    let stage = again(stage, &recipe).await;
    assert_eq!(source(&stage), ["last_good"]);
    assert!(admits(&stage, NEW.1) && admits(&stage, SMALL.1), "what is leaving has its grace still");
    metric_passes(&stage, FAILED, 0.0).await;
    assert_serves(&stage, "last good").await;
    // What another feed said is nothing to this one, nor to a list that is compiled in.
    let stage = again(stage, &fed_by("http://127.0.0.1:9/other", "")).await;
    assert_eq!((source(&stage), admits(&stage, NEW.1)), (vec!["builtin"], false));
    let stage = again(stage, &Recipe::default()).await;
    assert_eq!((source(&stage), admits(&stage, NEW.1)), (vec!["builtin"], false));
    assert_eq!(source(&again(stage, &recipe).await), ["last_good"]);
}

/// A record that anybody else can have written, or that is not whole, is none.
#[tokio::test]
async fn b13_a_record_that_is_damaged_or_not_ours_is_ignored() {
    let (mut stage, feed) = fed("").await;
    let recipe = fed_by(&feed.url("127.0.0.1"), "");
    assert!(eventually(|| kept(&stage).exists()).await);
    feed.end();
    let good = std::fs::read(kept(&stage)).unwrap();
    let text = String::from_utf8(good.clone()).unwrap();
    let file = kept(&stage);
    let with_mode = |mode| {
        let file = file.clone();
        move || std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap()
    };
    let nothing = || Box::new(|| {}) as Box<dyn Fn()>;
    let linked = file.clone();
    let folder = file.parent().unwrap().to_owned();
    let cases: Vec<(&str, Vec<u8>, Box<dyn Fn()>)> = vec![
        ("torn", good[..good.len() / 2].to_vec(), nothing()),
        ("empty", vec![], nothing()),
        ("changed by hand", text.replace("11.22.33.0/24", "11.22.0.0/16").into_bytes(), nothing()),
        ("a time changed", text.replace("\"fetched\": 1", "\"fetched\": 2").into_bytes(), nothing()),
        ("others may write it", good.clone(), Box::new(with_mode(0o646))),
        ("a group may write it", good.clone(), Box::new(with_mode(0o660))),
        (
            "a link",
            good.clone(),
            Box::new(move || {
                std::fs::rename(&linked, linked.with_extension("elsewhere")).unwrap();
                std::os::unix::fs::symlink(linked.with_extension("elsewhere"), &linked).unwrap();
            }),
        ),
        (
            "in a folder of everybody's",
            good.clone(),
            Box::new(move || {
                std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o777)).unwrap();
            }),
        ),
    ];
    for (what, bytes, then) in cases {
        let _ = std::fs::remove_file(&file);
        std::fs::write(&file, bytes).unwrap();
        with_mode(0o600)();
        then();
        stage = again(stage, &recipe).await;
        assert_eq!((source(&stage), admits(&stage, NEW.1)), (vec!["builtin"], false), "{what}");
        assert_serves(&stage, what).await;
    }
    // The counter-trial: the same bytes, as they were, are believed.
    let _ = std::fs::remove_file(&file);
    std::fs::write(&file, good).unwrap();
    with_mode(0o600)();
    std::fs::set_permissions(file.parent().unwrap(), PermissionsExt::from_mode(0o700)).unwrap();
    assert_eq!(source(&again(stage, &recipe).await), ["last_good"]);
}

/// A folder that cannot be written costs the record and nothing else.
#[tokio::test]
async fn a_state_dir_that_cannot_be_used_costs_the_record_alone() {
    let props = Props::new();
    std::fs::write(props.path().join("state"), "no folder").unwrap();
    let feed = Feed::start(Reply::published_but(&[], &[NEW.0], "first")).await;
    let stage = Stage::fetching(props, fed_by(&feed.url("127.0.0.1"), ""), client(&[])).await;
    stage.metric_becomes(UPDATED, 1.0).await;
    assert!(admits(&stage, NEW.1));
    metric_passes(&stage, UNCHANGED, 0.0).await;
    assert_eq!(std::fs::read(stage.props.path().join("state")).unwrap(), b"no folder");
}

/// The China network comes and goes with its key; a saved answer may hold it too.
#[tokio::test]
async fn partners_networks_where_they_are_wanted() {
    let china: Value = serde_json::from_str(include_str!("ips-jdcloud-sample.json")).unwrap();
    let feed = Feed::start(Reply::new(200, china.to_string())).await;
    let url = feed.url("127.0.0.1");
    let stage = Stage::fetching(Props::new(), fed_by(&url, ", networks: [jdcloud]"), client(&[])).await;
    stage.metric_becomes(UPDATED, 1.0).await;
    let there = "106.225.240.97";
    assert!(admits(&stage, there) && admits(&stage, "2408:8719:64:50:1000::1"));
    assert!(stage.metric(r#"pullgate_ranges_prefixes{family="ipv4"}"#) == 15.0 + 49.0 + 1.0);
    assert!(feed.asked()[0].starts_with("GET /client/v4/ips?networks=jdcloud HTTP/1.1\r\n"));
    assert_eq!(stage.reload(&fed_by(&url, "")), Ok(2));
    assert!(!admits(&stage, there) && admits(&stage, LISTED), "at once, as an operator's networks do");

    std::fs::write(stage.props.path().join("saved.json"), china.to_string()).unwrap();
    let saved = |more: &str| {
        let ranges = format!("source: file, file: saved.json{more}");
        Recipe { head: Recipe::default().head.replace("source: builtin", &ranges), ..Recipe::default() }
    };
    assert_eq!(stage.reload(&saved("")), Ok(3));
    assert!(!admits(&stage, there));
    assert_eq!(stage.reload(&saved(", networks: [jdcloud]")), Ok(4));
    assert!(admits(&stage, there));
    assert_eq!(source(&stage), ["file"]);
}

/// Incident 1: a list without its last newline, or two prefixes in one line. Nothing may be lost, and nothing guessed.
#[tokio::test]
async fn incident_1_a_missing_newline_loses_nothing() {
    let props = Props::new();
    let lines = BUILTIN.join("\n");
    std::fs::write(props.path().join("ranges.txt"), &lines).unwrap();
    let head = Recipe::default().head.replace("source: builtin", "source: file, file: ranges.txt");
    let recipe = Recipe { head, ..Recipe::default() };
    let stage = Stage::set(props, recipe.clone()).await;
    assert!(admits(&stage, "2c0f:f248::1"), "the last line");
    let file = stage.props.path().join("ranges.txt");
    std::fs::write(&file, lines.replace("131.0.72.0/22\n", "131.0.72.0/22")).unwrap();
    let error = stage.reload(&recipe).unwrap_err();
    assert!(error.contains("line 15: `131.0.72.0/222400:cb00::/32` is not a prefix"), "{error}");
    assert_serves(&stage, "glued").await;
    assert!(admits(&stage, "131.0.72.1"));
    assert!(stage.metric(r#"pullgate_config_reloads_total{outcome="refused"}"#) == 1.0);
    // An edit of the operator's counts at once, without a grace.
    std::fs::write(&file, lines.replace("131.0.72.0/22\n", "")).unwrap();
    stage.reload(&recipe).unwrap();
    assert!(!admits(&stage, "131.0.72.1"));
}

/// Incident 2: a download that failed became an empty list. Here it is a failure, or an unfit list, and the list before stays.
#[tokio::test]
async fn incident_2_a_failed_download_is_no_empty_list() {
    let (stage, feed) = fed("").await;
    for reply in [Reply::new(500, ""), Reply::new(200, "").cut(), Reply::new(200, ""), Reply::new(200, "\n")] {
        let before = stage.metric(REFUSED) + stage.metric(FAILED);
        feed.say(reply);
        assert!(eventually(|| stage.metric(REFUSED) + stage.metric(FAILED) > before).await);
        assert!(admits(&stage, NEW.1));
        assert_serves(&stage, "a failed download").await;
    }
    feed.end();
    let before = stage.metric(FAILED);
    metric_passes(&stage, FAILED, before).await;
    assert_serves(&stage, "no feed").await;
}

/// Incident 3: a redirect became an empty file that passed the configuration test.
#[tokio::test]
async fn incident_3_a_redirect_is_a_failure_and_not_a_list() {
    let (stage, feed) = fed("").await;
    feed.say(Reply::new(301, "").header("Location", "https://www.cloudflare.com/ips/"));
    metric_passes(&stage, FAILED, 0.0).await;
    assert!(admits(&stage, NEW.1));
    assert_serves(&stage, "redirect").await;
    std::fs::write(stage.props.path().join("ranges.txt"), "").unwrap();
    let head = Recipe::default().head.replace("source: builtin", "source: file, file: ranges.txt");
    let error = stage.reload(&Recipe { head, ..Recipe::default() }).unwrap_err();
    assert!(error.contains("no IPv4 prefix"), "{error}");
    assert_serves(&stage, "an empty file").await;
}

/// Incident 4: a lock held during a download. Start, requests, reloads and the report do not wait for a feed that says nothing.
#[tokio::test]
async fn incident_4_nobody_waits_for_a_download() {
    let feed = Feed::start(Reply::new(200, "").silent()).await;
    let recipe = fed_by(&feed.url("127.0.0.1"), "");
    let patient = Limits { connect: Duration::from_secs(60), total: Duration::from_secs(60) };
    let client = Client::trusting(vec![], patient).unwrap();
    let during = async {
        let stage = Stage::fetching(Props::new(), recipe.clone(), client).await;
        assert!(eventually(|| feed.asked().len() == 1).await);
        assert_serves(&stage, "during a download").await;
        let wider = Recipe { head: recipe.head.replace("extra: [", "extra: [127.0.9.0/24, "), ..recipe };
        assert_eq!(stage.reload(&wider), Ok(2));
        let mut admin = pullgate_tests::client::H1::plain(None, stage.gateway.admin_address()).await.unwrap();
        let report = admin.send(pullgate_tests::client::get("admin", "/-/ranges")).await.unwrap().text();
        let report: Value = serde_json::from_str(&report).unwrap();
        assert_eq!((&report["origin"], report["extra"].as_array().unwrap().len()), (&Value::from("builtin"), 2));
        assert_eq!(feed.asked().len(), 1, "the same download");
        stage
    };
    let stage = tokio::time::timeout(Duration::from_secs(20), during).await.expect("somebody waits for the feed");
    tokio::task::spawn_blocking(move || stage.gateway.stop()).await.unwrap();
}

/// What was learnt in a configuration stays through a reload, sessions, counters and generation through a refresh.
#[tokio::test]
async fn a_refresh_touches_nothing_but_who_may_connect() {
    let (stage, feed) = fed("").await;
    let mut kept = stage.h1("shop.example.com").await;
    assert_eq!(kept.send(visit("shop.example.com", "/")).await.unwrap().status, 200);
    feed.say(Reply::published_but(&[], &[NEW.0, "11.22.34.0/24"], "second"));
    stage.metric_becomes(UPDATED, 2.0).await;
    assert!(stage.metric("pullgate_config_generation") == 1.0);
    assert_eq!(kept.send(visit("shop.example.com", "/")).await.unwrap().status, 200, "a connection goes on");
    assert!(eventually(|| feed.asked().last().unwrap().contains("W/\"second\"")).await);
    assert_eq!(stage.reload(&fed_by(&feed.url("127.0.0.1"), "")), Ok(2));
    assert!(admits(&stage, "11.22.34.1"));
    // A configuration that is refused changes nothing of what is known.
    let broken = Recipe { hosts: "hosts: []\n".into(), ..Recipe::default() };
    stage.reload(&broken).unwrap_err();
    assert_eq!(source(&stage), ["api"]);
}

/// `pullgate ranges show` and `diff`, with a gateway and without one.
#[tokio::test]
async fn the_commands_show_what_counts_and_what_would_change() {
    let feed = Feed::start(Reply::published_but(&[], &[NEW.0], "first")).await;
    let [https, admin] = free_ports();
    let usual = recipe(https, admin);
    let ranges = format!("source: api, url: '{}', refresh: 1h", feed.url("127.0.0.1"));
    let recipe = Recipe { head: usual.head.replace("source: builtin", &ranges), ..usual };
    let props = Props::new();
    let file = props.write(&recipe, "127.0.0.1:9");
    let path = file.to_str().unwrap();
    let ask = |arguments: &[&str]| {
        let arguments =
            [&["ranges"], arguments, &["-c", path]].concat().iter().map(ToString::to_string).collect::<Vec<_>>();
        tokio::task::spawn_blocking(move || pullgate(&arguments.iter().map(String::as_str).collect::<Vec<_>>()))
    };
    let json = |output: &std::process::Output| serde_json::from_slice::<Value>(&output.stdout).unwrap();

    let before = ask(&["show"]).await.unwrap();
    assert_eq!(before.status.code(), Some(0), "{before:?}");
    assert!(
        text(&before.stdout)
            .starts_with("ranges that a start would begin with (no gateway answers): 22 prefixes, compiled in"),
        "{before:?}"
    );
    let apart = ask(&["diff"]).await.unwrap();
    assert_eq!(apart.status.code(), Some(1), "{apart:?}");
    assert!(
        text(&apart.stdout).contains("+ 11.22.33.0/24\nthe gateway takes this list with its next refresh\n"),
        "{apart:?}"
    );
    assert!(!props.path().join("state").exists(), "a look leaves nothing behind");

    let running = Running::start(&file);
    let admin = format!("127.0.0.1:{admin}");
    assert!(eventually(|| pullgate(&["healthcheck", "--address", &admin]).status.success()).await);
    metrics_show(&admin, "pullgate_ranges_source{source=\"api\"} 1\n").await;
    let shown = json(&ask(&["show", "--format", "json"]).await.unwrap());
    assert_eq!((&shown["running"], &shown["origin"], &shown["etag"]), (&true.into(), &"api".into(), &"first".into()));
    assert_eq!((shown["prefixes"].as_array().unwrap().len(), &shown["extra"][0]), (23, &"127.0.1.0/24".into()));
    let same = ask(&["diff"]).await.unwrap();
    assert_eq!((same.status.code(), text(&same.stdout).contains("no difference")), (Some(0), true), "{same:?}");

    feed.say(Reply::published_but(&[SMALL.0], &[], "fewer"));
    let fewer = json(&ask(&["diff", "--format", "json"]).await.unwrap());
    assert_eq!((&fewer["removed"], &fewer["refused"]), (&serde_json::json!([SMALL.0, NEW.0]), &Value::Null));
    feed.say(Reply::published_but(&BUILTIN[..8], &[], "half"));
    let half = ask(&["diff"]).await.unwrap();
    assert_eq!(half.status.code(), Some(1), "{half:?}");
    assert!(
        text(&half.stdout).contains("the gateway would refuse this list: the list has lost 9 of 16 IPv4 prefixes"),
        "{half:?}"
    );
    feed.say(Reply::new(200, "<html>"));
    let html = ask(&["diff"]).await.unwrap();
    assert!(html.status.code() == Some(1) && text(&html.stdout).contains("would refuse this list: line 1"), "{html:?}");
    feed.say(Reply::new(500, ""));
    let failed = ask(&["diff"]).await.unwrap();
    assert!(failed.status.code() == Some(1) && text(&failed.stderr).contains("the answer is 500"), "{failed:?}");
    running.signal("-TERM");
    assert!(running.end().await.0.success());
    // What the process learnt is what the next one begins with.
    let after = json(&ask(&["show", "--format", "json"]).await.unwrap());
    assert_eq!((&after["running"], &after["origin"]), (&false.into(), &"last_good".into()));
}

/// `pullgate ranges refresh`: what a running gateway fetches at once, and what it says where it does not take it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_has_the_list_fetched_now() {
    let feed = Feed::start(Reply::published_but(&[], &[], "first")).await;
    let [https, admin] = free_ports();
    let usual = recipe(https, admin);
    let ranges = format!("source: api, url: '{}', refresh: 1h", feed.url("127.0.0.1"));
    let fed = Recipe { head: usual.head.replace("source: builtin", &ranges), ..recipe(https, admin) };
    let props = Props::new();
    let file = props.write(&fed, "127.0.0.1:9");
    let path = file.to_str().unwrap();
    let refresh = |more: &[&str]| pullgate(&[&["ranges", "refresh", "-c", path], more].concat());
    let nobody = refresh(&[]);
    assert_eq!(nobody.status.code(), Some(1), "{nobody:?}");
    assert!(text(&nobody.stderr).contains("no running gateway answers on"), "{nobody:?}");

    let _running = Running::start(&file);
    let admin = format!("127.0.0.1:{admin}");
    assert!(eventually(|| pullgate(&["healthcheck", "--address", &admin]).status.success()).await);
    metrics_show(&admin, "pullgate_ranges_refreshes_total{outcome=\"unchanged\"} 1\n").await;
    assert!(eventually(|| props.path().join("state/control.sock").exists()).await);
    feed.say(Reply::published_but(&[], &[NEW.0], "second"));
    let updated = refresh(&[]);
    assert_eq!((updated.status.code(), &*text(&updated.stdout)), (Some(0), "ranges fetched: updated\n"), "{updated:?}");
    metrics_show(&admin, "pullgate_ranges_prefixes{family=\"ipv4\"} 17\n").await;
    let unchanged: Value = serde_json::from_slice(&refresh(&["--format", "json"]).stdout).unwrap();
    assert_eq!((&unchanged["applied"], &unchanged["outcome"]), (&true.into(), &"unchanged".into()));
    for (reply, why) in [
        (Reply::published_but(&BUILTIN[..8], &[], "half"), "refused: the list has lost"),
        (Reply::new(500, ""), "failed: the answer is 500"),
    ] {
        feed.say(reply);
        let missed = refresh(&[]);
        assert_eq!(missed.status.code(), Some(1), "{missed:?}");
        let said = text(&missed.stderr);
        assert!(said.contains(why) && said.contains("the ranges before stay in force"), "{said}");
    }

    props.write(&usual, "127.0.0.1:9");
    assert!(pullgate(&["reload", "-c", path]).status.success());
    let builtin = refresh(&[]);
    assert_eq!(builtin.status.code(), Some(1), "{builtin:?}");
    assert!(text(&builtin.stderr).contains("the ranges come from no feed"), "{builtin:?}");
}
