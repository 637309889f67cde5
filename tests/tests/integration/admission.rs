//! Who may connect: by source address, before a byte is read.

use pullgate_tests::client::{H1, connect};
use pullgate_tests::stage::{Props, Recipe, Stage, cloudflare, stranger, visit};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

/// Connects, sends nothing, and returns what comes until the end of the connection.
async fn what_comes(from: IpAddr, to: SocketAddr) -> Vec<u8> {
    let mut stream = connect(Some(from), to).await.unwrap();
    let mut bytes = Vec::new();
    // A reset is as good an end as a close.
    let _ = timeout(Duration::from_secs(5), stream.read_to_end(&mut bytes)).await.expect("the connection ends at once");
    bytes
}

#[tokio::test]
async fn a_stranger_is_closed_before_any_byte() {
    let stage = Stage::new().await;
    for listener in ["https", "http"] {
        assert_eq!(what_comes(stranger(), stage.at(listener)).await, b"", "{listener}");
        let refused =
            H1::plain(Some(stranger()), stage.at(listener)).await.unwrap().send(visit("open.example.com", "/")).await;
        assert!(refused.is_err());
        stage
            .metric_becomes(&format!(r#"pullgate_connections_total{{listener="{listener}",outcome="stranger"}}"#), 2.0)
            .await;
    }
    stage.assert_nothing_reached_the_origin();
    assert!(stage.metric(r#"pullgate_connections_total{listener="https",outcome="admitted"}"#) == 0.0);
}

#[tokio::test]
async fn listed_networks_are_admitted_and_their_neighbours_are_not() {
    let listeners = "listeners:\n  - {name: http, address: '127.0.0.1:0', protocol: http, sources: [127.0.3.16/30], kernel_filter: off}\n";
    let stage = Stage::with(Recipe { listeners: listeners.into(), hosts: open_host(), ..Recipe::default() }).await;
    for (last, admitted) in [(15, false), (16, true), (19, true), (20, false)] {
        let from = Ipv4Addr::new(127, 0, 3, last).into();
        let mut client = H1::plain(Some(from), stage.at("http")).await.unwrap();
        assert_eq!(client.send(visit("open.example.com", "/")).await.is_ok(), admitted, "{from}");
    }
    // An address of Cloudflare's is a stranger to a listener that lists its own.
    assert_eq!(what_comes(cloudflare(), stage.at("http")).await, b"");
}

#[tokio::test]
async fn an_ipv6_only_listener_takes_no_ipv4() {
    let listeners = "listeners:\n  - {name: http, address: '[::]:0', protocol: http, ipv6_only: true, sources: ['::1/128', 127.0.0.0/8]}\n";
    let stage = Stage::with(Recipe { listeners: listeners.into(), hosts: open_host(), ..Recipe::default() }).await;
    let port = stage.at("http").port();
    let mut client = H1::plain(None, (Ipv6Addr::LOCALHOST, port).into()).await.unwrap();
    assert_eq!(client.send(visit("open.example.com", "/")).await.unwrap().status, 200);
    assert!(connect(None, (Ipv4Addr::LOCALHOST, port).into()).await.is_err());
}

/// IPv4 peers of a dual-stack socket look like `::ffff:a.b.c.d`.
#[tokio::test]
async fn on_a_dual_stack_listener_ipv4_peers_are_judged_as_ipv4() {
    let listeners = "listeners:\n  - {name: http, address: '[::]:0', protocol: http, kernel_filter: off}\n";
    let stage = Stage::with(Recipe { listeners: listeners.into(), hosts: open_host(), ..Recipe::default() }).await;
    let to = (Ipv4Addr::LOCALHOST, stage.at("http").port()).into();
    let mut client = H1::plain(Some(cloudflare()), to).await.unwrap();
    assert_eq!(client.send(visit("open.example.com", "/")).await.unwrap().status, 200);
    assert_eq!(what_comes(stranger(), to).await, b"");
    stage.access_lines(1).await;
    assert_eq!(stage.access_log()[0]["network.peer.address"], "127.0.1.1");
}

#[tokio::test]
async fn ranges_from_a_file_replace_the_builtin_ones() {
    let props = Props::new();
    std::fs::write(props.path().join("ranges.txt"), "198.41.128.0/17\n2400:cb00::/32").unwrap();
    let head = Recipe::default().head.replace("source: builtin", "source: file, file: ranges.txt");
    let stage = Stage::set(props, Recipe { head, ..Recipe::default() }).await;
    assert!(stage.metric(r#"pullgate_ranges_prefixes{family="ipv4"}"#) == 2.0);
    assert!(stage.metric(r#"pullgate_ranges_prefixes{family="ipv6"}"#) == 1.0);
    assert_eq!(stage.h1("shop.example.com").await.send(visit("shop.example.com", "/")).await.unwrap().status, 200);
}

pub(crate) fn open_host() -> String {
    "hosts:\n  - {name: open, hostnames: [open.example.com], origin_pull: {mode: off}, routes: [{name: all, upstream: shop}]}\n".into()
}
