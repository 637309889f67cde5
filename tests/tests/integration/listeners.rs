//! Listeners that come, go, move and change their names while the gateway serves.

use crate::binary::free_ports;
use pullgate_tests::client::{H1, connect};
use pullgate_tests::stage::{Recipe, Stage, cloudflare, eventually, visit};
use std::net::SocketAddr;

fn listening(lines: &[String]) -> Recipe {
    Recipe {
        listeners: format!("listeners:\n{}", lines.concat()),
        hosts: crate::admission::open_host(),
        ..Recipe::default()
    }
}

fn plain(name: &str, port: u16) -> String {
    format!("  - {{name: {name}, address: '127.0.0.1:{port}', protocol: http}}\n")
}

fn at(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

/// The status of a request to a host that asks for no proof.
async fn status(client: &mut H1) -> u16 {
    client.send(visit("open.example.com", "/")).await.unwrap().status.as_u16()
}

async fn client(port: u16) -> H1 {
    H1::plain(Some(cloudflare()), at(port)).await.unwrap()
}

#[tokio::test]
async fn a_reload_opens_and_closes_listeners() {
    let [one, two] = free_ports();
    let stage = Stage::with(listening(&[plain("one", one)])).await;
    let mut kept = client(one).await;
    assert_eq!(status(&mut kept).await, 200);
    assert_eq!(stage.reload(&listening(&[plain("one", one), plain("two", two)])), Ok(2));
    assert_eq!((status(&mut kept).await, status(&mut client(two).await).await), (200, 200));
    assert_eq!(stage.at("two"), at(two));

    assert_eq!(stage.reload(&listening(&[plain("two", two)])), Ok(3));
    assert!(connect(Some(cloudflare()), at(one)).await.is_err(), "the socket is closed");
    // Who came by a listener that is gone is told so once.
    assert_eq!(status(&mut kept).await, 421);
    kept.closed().await;
    assert_eq!(status(&mut client(two).await).await, 200);
    assert_eq!(stage.gateway.address("one"), None);
}

/// What waits to be accepted when a listener goes is accepted still, not reset.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_takes_its_leave_of_what_waits() {
    let [one, two] = free_ports();
    let stage = Stage::with(listening(&[plain("one", one), plain("two", two)])).await;
    for _ in 0..20 {
        let arrived = connect(Some(cloudflare()), at(one)).await.unwrap();
        stage.reload(&listening(&[plain("two", two)])).unwrap();
        assert!(eventually(|| stage.metric(r#"pullgate_connections_open{listener="one"}"#) > 0.0).await);
        drop(arrived);
        stage.metric_becomes(r#"pullgate_connections_open{listener="one"}"#, 0.0).await;
        stage.reload(&listening(&[plain("one", one), plain("two", two)])).unwrap();
    }
}

/// A socket belongs to its address: a new name, or two names that change places, closes none.
#[tokio::test]
async fn a_socket_outlives_the_name_of_its_listener() {
    let [one, two] = free_ports();
    let stage = Stage::with(listening(&[plain("one", one), plain("two", two)])).await;
    let inode = |port: u16| {
        let tables = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let local = format!(" 0100007F:{port:04X} 00000000:0000 0A ");
        let line = tables.lines().find(|line| line.contains(&local)).unwrap().to_owned();
        line.split_whitespace().nth(9).unwrap().to_owned()
    };
    let before = [inode(one), inode(two)];
    assert_eq!(stage.reload(&listening(&[plain("two", one), plain("one", two), plain("three", 0)])), Ok(2));
    assert_eq!(before, [inode(one), inode(two)]);
    assert_eq!((stage.at("two"), stage.at("one")), (at(one), at(two)));
    for port in [one, two, stage.at("three").port()] {
        assert_eq!(status(&mut client(port).await).await, 200);
    }
    stage.metric_becomes(r#"pullgate_connections_total{listener="two",outcome="admitted"}"#, 1.0).await;
}

#[tokio::test]
async fn a_listener_that_cannot_be_opened_changes_nothing() {
    let [one, two] = free_ports();
    let stage = Stage::with(listening(&[plain("one", one)])).await;
    let taken = std::net::TcpListener::bind(at(two)).unwrap();
    let both = listening(&[plain("renamed", one), plain("two", two)]);
    let refused = stage.reload(&both).unwrap_err();
    assert!(refused.contains(&format!("listener `two` cannot listen on 127.0.0.1:{two}")), "{refused}");
    assert_eq!(status(&mut client(one).await).await, 200);
    assert_eq!(stage.at("one"), at(one));
    stage.metric_becomes(r#"pullgate_config_reloads_total{outcome="refused"}"#, 1.0).await;
    drop(taken);
    assert_eq!(stage.reload(&both), Ok(2));
    assert_eq!(status(&mut client(two).await).await, 200);
}
