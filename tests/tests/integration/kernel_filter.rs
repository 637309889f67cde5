//! The kernel drops strangers before they see a SYN-ACK, and nobody else.

mod cost;
mod namespace;
mod upgrade;

use crate::admission::open_host;
use crate::binary::free_ports;
use http::Method;
use pullgate_tests::client::{H1, connect};
use pullgate_tests::origin::{pattern, sha256};
use pullgate_tests::stage::{Recipe, Stage, cloudflare, stranger, visit};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// Longer than a client waits before it sends a second SYN.
const NO_ANSWER: Duration = Duration::from_millis(1500);

const LOCALHOST_V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

fn recipe(cloudflare: &str, listeners: &str) -> Recipe {
    let head = Recipe::default().head.replace("127.0.1.0/24", cloudflare);
    Recipe { head, listeners: format!("listeners:\n{listeners}"), hosts: open_host(), ..Recipe::default() }
}

fn http(name: &str, rest: &str) -> String {
    format!("  - {{name: {name}, protocol: http, {rest}}}\n")
}

fn active(listener: &str) -> String {
    format!(r#"pullgate_kernel_filter_active{{listener="{listener}"}}"#)
}

fn dropped(listener: &str) -> String {
    format!(r#"pullgate_kernel_filter_dropped_total{{listener="{listener}"}}"#)
}

fn turned_away(listener: &str) -> String {
    format!(r#"pullgate_connections_total{{listener="{listener}",outcome="stranger"}}"#)
}

/// Whether the kernel lets an address connect: waits until it has, or until it has dropped a packet of the listener's.
async fn connects(stage: &Stage, listener: &str, from: IpAddr) -> bool {
    let before = stage.metric(&dropped(listener));
    let refused = async {
        while stage.metric(&dropped(listener)) <= before {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::select! {
        connected = connect(Some(from), stage.at(listener)) => connected.map(|_| true).unwrap(),
        () = refused => false,
    }
}

async fn served(from: IpAddr, to: SocketAddr) -> Option<u16> {
    let mut client = H1::plain(Some(from), to).await.ok()?;
    Some(client.send(visit("open.example.com", "/")).await.ok()?.status.as_u16())
}

#[tokio::test]
async fn a_stranger_gets_no_syn_ack_and_without_the_filter_a_handshake_and_the_end() {
    let (four, six) = ("address: '127.0.0.1:0'", "address: '[::1]:0', sources: ['2001:db8::/32', 127.0.0.0/8]");
    let listeners = [
        http("four", four),
        http("six", &format!("{six}, kernel_filter: require")),
        http("four-off", &format!("{four}, kernel_filter: off")),
        http("six-off", &format!("{six}, kernel_filter: off")),
    ];
    let stage = Stage::with(recipe("127.0.1.0/24", &listeners.concat())).await;
    for (listener, from) in [("four", stranger()), ("six", LOCALHOST_V6)] {
        assert_eq!((stage.metric(&active(listener)), stage.metric(&dropped(listener))), (1.0, 0.0));
        let nothing = timeout(NO_ANSWER, connect(Some(from), stage.at(listener))).await;
        assert!(nothing.is_err(), "{listener}: {nothing:?}");
        // The SYN, and the one that was sent a second later.
        assert!(stage.metric(&dropped(listener)) >= 2.0, "{listener}");
        assert_eq!(stage.metric(&turned_away(listener)), 0.0, "{listener}: the gateway never saw it");

        let off = format!("{listener}-off");
        let mut stream = connect(Some(from), stage.at(&off)).await.unwrap();
        // A reset is as good an end as a close.
        let _ = timeout(Duration::from_secs(5), stream.read_u8()).await.expect("the connection ends at once");
        stage.metric_becomes(&turned_away(&off), 1.0).await;
        let text = stage.gateway.metrics().render().unwrap();
        assert!(!text.contains(&active(&off)) && !text.contains(&dropped(&off)), "{text}");
    }
    stage.assert_nothing_reached_the_origin();
}

#[tokio::test]
async fn a_thousand_connections_of_those_who_are_listed_pass_on_every_kind_of_listener() {
    let listeners = [
        http("four", "address: '127.0.0.1:0', kernel_filter: require"),
        http("six", "address: '[::1]:0', kernel_filter: require"),
        http("dual", "address: '[::]:0', kernel_filter: require"),
    ];
    let stage = Stage::with(recipe("127.0.1.0/24, '::1'", &listeners.concat())).await;
    let dual = stage.at("dual").port();
    let ways = [
        (cloudflare(), stage.at("four")),
        (LOCALHOST_V6, stage.at("six")),
        (cloudflare(), (Ipv4Addr::LOCALHOST, dual).into()),
        (LOCALHOST_V6, (Ipv6Addr::LOCALHOST, dual).into()),
    ];
    for round in 0..25 {
        let clients = ways.iter().flat_map(|(from, to)| (0..10).map(move |_| tokio::spawn(served(*from, *to))));
        for client in clients.collect::<Vec<_>>() {
            assert_eq!(client.await.unwrap(), Some(200), "round {round}");
        }
    }
    for listener in ["four", "six", "dual"] {
        assert_eq!((stage.metric(&active(listener)), stage.metric(&dropped(listener))), (1.0, 0.0), "{listener}");
    }
    assert_eq!(stage.origin.ledger().len(), 1000);
    let dropped_before = stage.metric(&dropped("dual"));
    let nothing = timeout(NO_ANSWER, connect(Some(stranger()), (Ipv4Addr::LOCALHOST, dual).into())).await;
    assert!(nothing.is_err() && stage.metric(&dropped("dual")) > dropped_before);
}

#[tokio::test]
async fn a_reload_lets_new_sources_in_and_old_ones_out_and_kept_connections_speak_on() {
    let with = |networks: &str| recipe(networks, &http("http", "address: '127.0.0.1:0'"));
    let stage = Stage::with(with("127.0.1.0/24")).await;
    let at = stage.at("http");
    assert!(!connects(&stage, "http", stranger()).await);
    stage.reload(&with("127.0.1.0/24, 127.0.2.0/24")).unwrap();
    let mut kept = H1::plain(Some(stranger()), at).await.unwrap();
    for _ in 0..10 {
        assert_eq!(kept.send(visit("open.example.com", "/")).await.unwrap().status, 200);
    }
    let body = pattern(32 << 20);
    let mut upload = visit("open.example.com", "/digest").map(|_| body.clone().into());
    *upload.method_mut() = Method::POST;
    let answer = kept.send(upload).await.unwrap();
    assert_eq!(answer.text(), sha256(&body));

    stage.reload(&with("127.0.1.0/24")).unwrap();
    assert!(!connects(&stage, "http", stranger()).await);
    assert_eq!(served(cloudflare(), at).await, Some(200));
    // The kernel takes what comes on a connection that it has let in; whether the request is answered is the gateway's business.
    assert_eq!(kept.send(visit("open.example.com", "/")).await.unwrap().status, 421);
    kept.closed().await;
    assert_eq!(stage.metric(&turned_away("http")), 0.0);
}

/// The key itself follows the configuration too.
#[tokio::test]
async fn a_reload_turns_the_filter_on_and_off() {
    let with = |rest: &str| recipe("127.0.1.0/24", &http("http", &format!("address: '127.0.0.1:0', {rest}")));
    let stage = Stage::with(with("kernel_filter: off")).await;
    assert!(connects(&stage, "http", stranger()).await);
    for (rest, filtered) in [
        ("kernel_filter: require", true),
        ("sources: any", false),
        ("kernel_filter: auto", true),
        ("kernel_filter: off", false),
        ("sources: [127.0.1.1/32]", true),
    ] {
        stage.reload(&with(rest)).unwrap();
        assert_eq!(connects(&stage, "http", stranger()).await, !filtered, "{rest}");
        let shown = stage.gateway.metrics().render().unwrap().contains(&active("http"));
        assert_eq!((shown, stage.metric(&active("http"))), (filtered, f64::from(u8::from(filtered))), "{rest}");
        assert_eq!(served(cloudflare(), stage.at("http")).await, Some(200), "{rest}");
    }
}

/// A filter follows its listener's sources, whatever socket that has by now; and a reload that is refused leaves each as it was.
#[tokio::test]
async fn sockets_that_change_names_get_the_filters_of_those_names() {
    let [one, two, three] = free_ports();
    let named = |name: &str, port: u16, sources: &str| {
        http(name, &format!("address: '127.0.0.1:{port}', sources: [{sources}], kernel_filter: require"))
    };
    let with = |lines: [String; 2]| recipe("127.0.1.0/24", &lines.concat());
    let stage = Stage::with(with([named("one", one, "127.0.1.0/24"), named("two", two, "127.0.2.0/24")])).await;
    let let_in = async |listener: &str| {
        [connects(&stage, listener, cloudflare()).await, connects(&stage, listener, stranger()).await]
    };
    assert_eq!((let_in("one").await, let_in("two").await), ([true, false], [false, true]));
    let swapped = [named("one", two, "127.0.1.0/24"), named("two", one, "127.0.2.0/24")];
    stage.reload(&with(swapped.clone())).unwrap();
    assert_eq!((let_in("one").await, let_in("two").await), ([true, false], [false, true]));

    let taken = std::net::TcpListener::bind(("127.0.0.1", three)).unwrap();
    let bad = with([named("uno", two, "127.0.3.0/24"), named("two", three, "127.0.3.0/24")]);
    assert!(stage.reload(&bad).unwrap_err().contains("cannot listen"));
    assert_eq!((let_in("one").await, let_in("two").await), ([true, false], [false, true]));
    assert_eq!((stage.metric(&active("one")), stage.metric(&active("uno"))), (1.0, 0.0));

    drop(taken);
    stage.reload(&with([named("uno", two, "127.0.2.0/24"), named("two", three, "127.0.1.0/24")])).unwrap();
    assert_eq!((let_in("uno").await, let_in("two").await), ([false, true], [true, false]));
    let text = stage.gateway.metrics().render().unwrap();
    assert!(!text.contains(&active("one")) && text.contains(&active("uno")), "{text}");
    // The socket of a listener that is gone is closed.
    assert!(connect(Some(stranger()), SocketAddr::from(([127, 0, 0, 1], one))).await.is_err());
}

/// Connects without waiting for an answer; what the kernel does with the SYN shows in its count.
async fn knock(from: IpAddr, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(from, 0)).unwrap();
    socket.connect(to).await.unwrap()
}

/// Sources that are admitted before and after a change are never dropped in between, and new ones not for a moment after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_lists_change_nobody_who_is_on_them_is_dropped() {
    let with = |networks: &str| recipe(networks, &http("http", "address: '127.0.0.1:0', kernel_filter: require"));
    let stage = Stage::with(with("127.0.1.0/24")).await;
    let at = stage.at("http");
    let steady = tokio::spawn(async move {
        for _ in 0..3_000 {
            drop(knock(cloudflare(), at).await);
        }
    });
    let mut rounds = 0;
    while rounds < 100 || !steady.is_finished() {
        let round = rounds % 250;
        let newcomer = IpAddr::from([127, 0, 3, u8::try_from(round).unwrap()]);
        stage.reload(&with(&format!("127.0.1.0/24, {newcomer}"))).unwrap();
        // Served, and so no packet of the handshake is under way any more when the newcomer goes off the list.
        assert_eq!(served(newcomer, at).await, Some(200));
        stage.reload(&with(&format!("127.0.1.0/24, 127.0.4.{round}"))).unwrap();
        rounds += 1;
    }
    steady.await.unwrap();
    assert_eq!(stage.metric(&dropped("http")), 0.0);
    assert!(!connects(&stage, "http", IpAddr::from([127, 0, 3, 99])).await);
}

/// Too many for a program of the kernel's: `auto` is as good as `off`, and a reload that would lose a filter that is required is refused.
#[tokio::test]
async fn a_list_too_long_for_the_kernel_is_left_to_the_gateway_or_refused() {
    let long: Vec<String> = (0..1200u32).map(|index| format!("10.{}.{}.0/25", index / 256, index % 256)).collect();
    let sources = |filter: &str, others: &str| {
        let rest = format!("address: '127.0.0.1:0', kernel_filter: {filter}, sources: [127.0.1.0/24, {others}]");
        recipe("127.0.1.0/24", &http("http", &rest))
    };
    let stage = Stage::with(sources("auto", &long.join(", "))).await;
    assert_eq!(stage.metric(&active("http")), 0.0);
    assert!(stage.gateway.metrics().render().unwrap().contains(&active("http")));
    let mut stream = connect(Some(stranger()), stage.at("http")).await.unwrap();
    let _ = timeout(Duration::from_secs(5), stream.read_u8()).await.expect("the connection ends at once");
    stage.metric_becomes(&turned_away("http"), 1.0).await;
    assert_eq!(served(cloudflare(), stage.at("http")).await, Some(200));

    stage.reload(&sources("require", "10.0.0.0/8")).unwrap();
    assert_eq!(stage.metric(&active("http")), 1.0);
    let error = stage.reload(&sources("require", &long.join(", "))).unwrap_err();
    assert!(error.contains("listeners[0].kernel_filter") && error.contains("the kernel takes 4096"), "{error}");
    assert!(!connects(&stage, "http", stranger()).await);
}
