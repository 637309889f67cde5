//! Rollout without fear: observe, then let the gateway say what `require` would have refused.

use crate::binary::{Running, free_ports, metrics_show, pullgate, recipe, text};
use pullgate_tests::client::{H1, Tls};
use pullgate_tests::origin::Origin;
use pullgate_tests::stage::{Props, Recipe, cloudflare, eventually, visit};
use std::process::Output;

fn report(file: &str, more: &[&str]) -> Output {
    pullgate(&[&["check", "--would-refuse", "--config", file][..], more].concat())
}

#[tokio::test]
async fn check_says_what_require_would_have_refused_by_host() {
    let props = Props::new();
    let [https, admin] = free_ports();
    let origin = Origin::start().await;
    let file = props.write(&recipe(https, admin), &origin.address().to_string());
    let (path, admin) = (file.to_str().unwrap(), format!("127.0.0.1:{admin}"));
    let nobody = report(path, &[]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(text(&nobody.stderr).contains("nothing answers on"), "{nobody:?}");

    let running = Running::start(&file);
    assert!(eventually(|| pullgate(&["healthcheck", "--address", &admin]).status.code() == Some(0)).await);
    let unseen = report(path, &[]);
    assert_eq!(unseen.status.code(), Some(1), "{unseen:?}");
    assert!(text(&unseen.stdout).contains("watched: no certificate was verified yet"), "{unseen:?}");

    let at = format!("127.0.0.1:{https}").parse().unwrap();
    let ask = async |tls: Tls, host: &str, requests: usize| {
        let config = tls.alpn(&["http/1.1"]).client_config();
        let mut client = H1::tls(Some(cloudflare()), at, host, config).await.unwrap();
        for _ in 0..requests {
            assert_eq!(client.send(visit(host, "/")).await.unwrap().status, 200);
        }
    };
    let bare = || Tls::trusting(&props.server_ca);
    ask(bare().presenting(&props.edge()), "watched.example.com", 2).await;
    let clear = report(path, &[]);
    assert_eq!(clear.status.code(), Some(0), "{clear:?}");
    assert!(text(&clear.stdout).contains("clear: enforcing would have refused nothing"), "{clear:?}");

    ask(bare(), "watched.example.com", 3).await;
    ask(bare().presenting(&props.zone_ca.leaf().expired().issue()), "watched.example.com", 1).await;
    metrics_show(&admin, r#"decision="would_refuse",host="watched",policy="origin-pull",reason="expired"} 1"#).await;
    let seen = report(path, &[]);
    assert_eq!(seen.status.code(), Some(1), "{seen:?}");
    let lines: Vec<String> =
        text(&seen.stdout).lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for expected in [
        "host mode verified refused requests that enforcing would refuse",
        "shop require 0 0 0",
        "open off - - 0",
        "watched observe 1 2 4 (expired 1, not_presented 3)",
        "watched: handshakes with a certificate that is not taken: expired 1, not_presented 1",
    ] {
        assert!(lines.iter().any(|line| line == expected), "{expected} in {lines:#?}");
    }
    let json: serde_json::Value = serde_json::from_slice(&report(path, &["--format", "json"]).stdout).unwrap();
    assert_eq!(json["clear"], false);
    let watched = json["hosts"].as_array().unwrap().iter().find(|host| host["host"] == "watched").unwrap();
    assert_eq!(watched["verified"], 1);
    assert_eq!(
        watched["would_refuse"][1],
        serde_json::json!({"policy": "origin-pull", "reason": "not_presented", "count": 3})
    );

    // What is enforced is not observed any more, whatever was seen before.
    let text_of = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text_of.replace("mode: observe", "mode: require")).unwrap();
    let ahead = report(path, &[]);
    assert_eq!(ahead.status.code(), Some(1), "the file is ahead of the gateway: {ahead:?}");
    assert!(text(&ahead.stderr).contains("serves another configuration than this file"), "{ahead:?}");
    running.signal("-HUP");
    metrics_show(&admin, "pullgate_config_generation 2\n").await;
    let enforced = report(path, &[]);
    assert_eq!(enforced.status.code(), Some(0), "{enforced:?}");
    assert!(text(&enforced.stdout).contains("nothing is in observe mode"), "{enforced:?}");

    // Another trust: what was verified under the one before says nothing of it.
    let text_of =
        text_of.replace("{mode: observe, trust: [zone-ca.pem]}", "{mode: observe, trust: [zone-ca.pem, other-ca.pem]}");
    std::fs::write(&file, text_of).unwrap();
    running.signal("-HUP");
    metrics_show(&admin, "pullgate_config_generation 3\n").await;
    let anew = report(path, &[]);
    assert_eq!(anew.status.code(), Some(1), "{anew:?}");
    assert!(text(&anew.stdout).contains("watched: no certificate was verified yet"), "{anew:?}");
    // The text is the same, and what it names is not: the gateway judges by what it read.
    props.zone_ca.write(props.path(), "other-ca");
    let changed = report(path, &[]);
    assert!(text(&changed.stderr).contains("its files have changed since"), "{changed:?}");

    // A file with a mistake changes nothing, and the process log says what and where.
    std::fs::write(&file, text_of_bad(&file)).unwrap();
    running.signal("-HUP");
    metrics_show(&admin, r#"pullgate_config_reloads_total{outcome="refused"} 1"#).await;
    running.signal("-TERM");
    let (status, _, stderr) = running.end().await;
    assert_eq!(status.code(), Some(0), "{stderr}");
    let refused = stderr.lines().find(|line| line.contains("configuration refused")).unwrap();
    let refused: serde_json::Value = serde_json::from_str(refused).unwrap();
    let message = refused["message"].as_str().unwrap();
    let expected = format!("{path}:11:25: error: hosts[0].origin_pull.mode: ");
    assert!(message.contains(&expected) && message.contains("did you mean `require`?"), "{message}\n{expected}");
}

/// The file with a word misspelt.
fn text_of_bad(file: &std::path::Path) -> String {
    std::fs::read_to_string(file).unwrap().replacen("mode: require", "mode: requird", 1)
}

/// Policies are observed as well: by the text that is in force, and not before somebody was asked.
#[tokio::test]
async fn observed_policies_are_counted_by_the_text_in_force() {
    let props = Props::new();
    let [http, admin] = free_ports();
    let origin = Origin::start().await;
    let policy = |networks: &str| {
        let hosts = format!(
            "hosts:
  - name: open
    hostnames: [open.example.com]
    origin_pull: {{mode: off}}
    policies: [{{kind: client-networks, mode: observe, allow: [{networks}]}}]
    routes: [{{name: all, upstream: shop}}]
"
        );
        let listeners = format!("listeners:\n  - {{name: http, address: '127.0.0.1:{http}', protocol: http}}\n");
        props.write(&Recipe { hosts, listeners, ..recipe(1, admin) }, &origin.address().to_string())
    };
    let file = policy("198.51.100.0/24");
    let (path, admin) = (file.to_str().unwrap(), format!("127.0.0.1:{admin}"));
    let running = Running::start(&file);
    assert!(eventually(|| pullgate(&["healthcheck", "--address", &admin]).status.code() == Some(0)).await);
    let unasked = report(path, &[]);
    assert_eq!(unasked.status.code(), Some(1), "{unasked:?}");
    assert!(text(&unasked.stdout).contains("open: no request has got to client-networks yet"), "{unasked:?}");

    let ask = async || {
        let mut client = H1::plain(Some(cloudflare()), format!("127.0.0.1:{http}").parse().unwrap()).await.unwrap();
        assert_eq!(client.send(visit("open.example.com", "/")).await.unwrap().status, 200);
    };
    ask().await;
    metrics_show(&admin, r#"policy="client-networks",reason="network_unlisted"} 1"#).await;
    let seen = report(path, &[]);
    assert_eq!(seen.status.code(), Some(1), "{seen:?}");
    assert!(text(&seen.stdout).contains("1 (client-networks: network_unlisted 1)"), "{seen:?}");

    policy("203.0.113.0/24");
    running.signal("-HUP");
    metrics_show(&admin, "pullgate_config_generation 2\n").await;
    assert!(text(&report(path, &[]).stdout).contains("no request has got to client-networks yet"));
    ask().await;
    metrics_show(
        &admin,
        r#"pullgate_policy_decisions_total{decision="permit",host="open",policy="client-networks",reason=""} 1"#,
    )
    .await;
    let clear = report(path, &[]);
    assert_eq!(clear.status.code(), Some(0), "{clear:?}");
}
