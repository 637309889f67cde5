//! PROXY protocol: believed from the balancers that are listed, demanded of them, and what it announces is judged like any source.

use pullgate_tests::client::{H1, H2, Wire, connect, curl};
use pullgate_tests::stage::{Recipe, Stage, VISITOR, eventually, visit};
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

const SHOP: &str = "shop.example.com";

/// The balancer of these tests.
fn balancer() -> IpAddr {
    IpAddr::from([127, 0, 3, 1])
}

fn recipe() -> Recipe {
    let head = Recipe::default().head.replace("[127.0.1.0/24]", "[127.0.1.0/24, '2001:db8:1::/48']");
    // What is shown here is the process's own check; the kernel would let nobody get as far.
    let listeners = "listeners:
  - {name: https, kernel_filter: off, address: '127.0.0.1:0', proxy_protocol: {from: [127.0.3.0/24]}}
  - {name: http, kernel_filter: off, address: '127.0.0.1:0', protocol: http, proxy_protocol: {from: [127.0.3.0/24]}}
";
    Recipe { head, listeners: listeners.into(), ..Recipe::default() }
}

/// A version 2 header as HAProxy sends it with `send-proxy-v2`.
fn v2(from: IpAddr, tlv: &[u8]) -> Vec<u8> {
    let (family, addresses) = match from {
        IpAddr::V4(from) => (0x11, [&from.octets()[..], &[127, 0, 0, 1]].concat()),
        IpAddr::V6(from) => (0x21, [&from.octets()[..], &Ipv6Addr::LOCALHOST.octets()].concat()),
    };
    let rest = [&addresses[..], &40_000u16.to_be_bytes(), &443u16.to_be_bytes(), tlv].concat();
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [&b"\r\n\r\n\0\r\nQUIT\n\x21"[..], &[family], &length, &rest].concat()
}

/// A version 1 header as HAProxy sends it with `send-proxy`.
fn v1(from: IpAddr) -> Vec<u8> {
    let (family, to) = if from.is_ipv4() { ("TCP4", "127.0.0.1") } else { ("TCP6", "::1") };
    format!("PROXY {family} {from} {to} 40000 443\r\n").into_bytes()
}

/// `PP2_TYPE_AUTHORITY` and `PP2_TYPE_UNIQUE_ID`, as HAProxy adds them on request.
const TLVS: &[u8] = b"\x02\x00\x10shop.example.com\x05\x00\x04\x01\x02\x03\x04";

async fn from_balancer(stage: &Stage, listener: &str, header: &[u8]) -> TcpStream {
    let mut stream = connect(Some(balancer()), stage.at(listener)).await.unwrap();
    stream.write_all(header).await.unwrap();
    stream
}

/// What comes until the connection ends, and how long that took.
async fn end_of(mut stream: TcpStream) -> (Vec<u8>, Duration) {
    let (begun, mut bytes) = (Instant::now(), Vec::new());
    // A reset is as good an end as a close.
    let _ = stream.read_to_end(&mut bytes).await;
    (bytes, begun.elapsed())
}

fn plain_get() -> String {
    format!("GET / HTTP/1.1\r\nHost: open.example.com\r\nCF-Connecting-IP: {VISITOR}\r\nConnection: close\r\n\r\n")
}

fn counted(stage: &Stage, listener: &str, outcome: &str) -> f64 {
    stage.metric(&format!(r#"pullgate_connections_total{{listener="{listener}",outcome="{outcome}"}}"#))
}

fn announcements() -> Vec<(IpAddr, Vec<u8>)> {
    let (v4, v6): (IpAddr, IpAddr) = ("127.0.1.9".parse().unwrap(), "2001:db8:1::9".parse().unwrap());
    vec![(v4, v1(v4)), (v6, v1(v6)), (v4, v2(v4, &[])), (v6, v2(v6, &[])), (v4, v2(v4, TLVS)), (v6, v2(v6, TLVS))]
}

#[tokio::test]
async fn b17_the_announced_source_is_the_peer_over_tls() {
    let stage = Stage::with(recipe()).await;
    for (count, (source, header)) in (1..).zip(announcements()) {
        let stream = from_balancer(&stage, "https", &header).await;
        let config = stage.tls().alpn(&["h2"]).client_config();
        let stream = TlsConnector::from(config).connect(SHOP.try_into().unwrap(), stream).await.unwrap();
        let client = H2::over(Wire::from(stream)).await.unwrap();
        assert_eq!(client.send(visit(SHOP, "/")).await.unwrap().status, 200, "{header:?}");
        let line = stage.access_lines(count).await.pop().unwrap();
        assert_eq!(line["network.peer.address"], source.to_string());
        assert_eq!((&line["client.address"], &line["balancer.address"]), (&VISITOR.into(), &"127.0.3.1".into()));
        assert_eq!(line["trust"], "account");
    }
    assert_eq!(counted(&stage, "https", "admitted"), 6.0);
}

/// Header and request in one packet, and byte by byte: what comes behind the header is not lost.
#[tokio::test]
async fn b17_not_a_byte_behind_the_header_is_lost() {
    let stage = Stage::with(recipe()).await;
    for (_, header) in announcements() {
        let bytes = [&header[..], plain_get().as_bytes()].concat();
        let together = from_balancer(&stage, "http", &bytes).await;
        assert!(end_of(together).await.0.starts_with(b"HTTP/1.1 200 "), "{header:?}");
        let mut apart = from_balancer(&stage, "http", &[]).await;
        for byte in &bytes {
            apart.write_all(&[*byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        assert!(end_of(apart).await.0.starts_with(b"HTTP/1.1 200 "), "{header:?}");
    }
    // Where the end of a large header and the request are in other packets than its beginning.
    let padding = [&[0x04, 0x0e, 0x10][..], &[0; 3600]].concat();
    let bytes = [&v2("127.0.1.9".parse().unwrap(), &padding)[..], plain_get().as_bytes()].concat();
    let mut stream = from_balancer(&stage, "http", &bytes[..100]).await;
    stream.write_all(&bytes[100..]).await.unwrap();
    assert!(end_of(stream).await.0.starts_with(b"HTTP/1.1 200 "));
}

#[tokio::test]
async fn b17_a_stranger_inside_the_header_is_refused() {
    let stage = Stage::with(recipe()).await;
    for source in ["127.0.2.1", "198.51.100.7", "2001:db8:2::1", "127.0.3.1"] {
        let source: IpAddr = source.parse().unwrap();
        for header in [v1(source), v2(source, &[])] {
            let bytes = [&header[..], plain_get().as_bytes()].concat();
            assert_eq!(end_of(from_balancer(&stage, "http", &bytes).await).await.0, b"", "{source}");
        }
    }
    assert_eq!((counted(&stage, "http", "stranger"), counted(&stage, "http", "admitted")), (8.0, 0.0));
    stage.assert_nothing_reached_the_origin();
}

/// Neither a stranger nor Cloudflare itself gets past the balancer, whatever it announces.
#[tokio::test]
async fn b17_a_header_from_elsewhere_is_not_even_read() {
    let stage = Stage::with(recipe()).await;
    for from in ["127.0.1.1", "127.0.2.1"] {
        for header in [v1("127.0.1.9".parse().unwrap()), v2("127.0.1.9".parse().unwrap(), &[]), Vec::new()] {
            let mut stream = connect(Some(from.parse().unwrap()), stage.at("http")).await.unwrap();
            let _ = stream.write_all(&[&header[..], plain_get().as_bytes()].concat()).await;
            assert_eq!(end_of(stream).await.0, b"", "{from}");
        }
    }
    assert_eq!(counted(&stage, "http", "stranger"), 6.0);
    stage.assert_nothing_reached_the_origin();
}

#[tokio::test]
async fn b17_a_missing_or_malformed_header_ends_the_connection() {
    let stage = Stage::with(recipe()).await;
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec();
    let mut large = v2("127.0.1.9".parse().unwrap(), &[]);
    large[14] = 0xff;
    for (count, said) in
        (1..).zip([plain_get().into_bytes(), hello, b"PROXY TCP4 127.0.1.9 127.0.0.1 +1 443\r\n".to_vec(), large])
    {
        let (bytes, took) = end_of(from_balancer(&stage, "https", &said).await).await;
        assert_eq!(bytes, b"", "{said:?}");
        assert!(took < Duration::from_secs(2), "at once: {took:?}");
        assert_eq!(counted(&stage, "https", "unannounced"), f64::from(count));
    }
    // Nothing at all, and a header that never ends: three seconds.
    for said in [&b""[..], b"PROXY TCP4 127.0.1.9 ", b"\r\n\r\n\0\r\nQUIT\n"] {
        let (bytes, took) = end_of(from_balancer(&stage, "https", said).await).await;
        assert_eq!(bytes, b"");
        assert!((2500..6000).contains(&took.as_millis()), "{took:?}");
    }
    stage.metric_becomes(r#"pullgate_connections_total{listener="https",outcome="unannounced"}"#, 7.0).await;
    stage.assert_nothing_reached_the_origin();
}

#[tokio::test]
async fn b17_a_header_without_a_client_is_a_health_probe_and_no_client() {
    let stage = Stage::with(recipe()).await;
    let probes = [
        b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00".to_vec(),
        b"\r\n\r\n\0\r\nQUIT\n\x21\x00\x00\x00".to_vec(),
        b"PROXY UNKNOWN\r\n".to_vec(),
        b"PROXY UNKNOWN 127.0.1.9 127.0.0.1 40000 443\r\n".to_vec(),
    ];
    for probe in probes {
        let bytes = [&probe[..], plain_get().as_bytes()].concat();
        assert_eq!(end_of(from_balancer(&stage, "http", &bytes).await).await.0, b"", "{probe:?}");
    }
    assert_eq!((counted(&stage, "http", "probe"), counted(&stage, "http", "admitted")), (4.0, 0.0));
    assert!(stage.access_log().is_empty());
    stage.assert_nothing_reached_the_origin();
}

/// The share of one source is that of the announced one; a listener's places are taken by balancers that say nothing yet, too.
#[tokio::test]
async fn b17_limits_count_whom_the_balancer_speaks_for() {
    let mut recipe = recipe();
    recipe.listeners =
        recipe.listeners.replace("http, proxy", "http, limits: {connections: 3, connections_per_source: 1}, proxy");
    let stage = Stage::with(recipe).await;
    let one = from_balancer(&stage, "http", &v1("127.0.1.1".parse().unwrap())).await;
    let two = from_balancer(&stage, "http", &v1("127.0.1.2".parse().unwrap())).await;
    assert!(eventually(|| counted(&stage, "http", "admitted") == 2.0).await);
    let again = from_balancer(&stage, "http", &v2("127.0.1.1".parse().unwrap(), &[])).await;
    assert_eq!(end_of(again).await.0, b"");
    assert_eq!(counted(&stage, "http", "over_limit"), 1.0);
    let silent = from_balancer(&stage, "http", b"").await;
    let more = || async { end_of(from_balancer(&stage, "http", b"").await).await.1 };
    // Sooner or later the silent one has been accepted before the next.
    assert!(more().await < Duration::from_secs(2));
    assert_eq!(counted(&stage, "http", "over_limit"), 2.0);
    drop((one, two, silent));
}

/// A balancer that is taken off the list, and one that appears, end what came the other way.
#[tokio::test]
async fn b17_a_reload_of_balancers_reaches_open_connections() {
    let stage = Stage::with(recipe()).await;
    let stream = from_balancer(&stage, "http", &v1("127.0.1.9".parse().unwrap())).await;
    let mut client = H1::over(Wire::from(stream)).await.unwrap();
    assert_eq!(client.send(visit("open.example.com", "/")).await.unwrap().status, 200);
    let other = Recipe { listeners: recipe().listeners.replace("127.0.3.0/24", "127.0.4.0/24"), ..recipe() };
    stage.reload(&other).unwrap();
    assert_eq!(client.send(visit("open.example.com", "/")).await.unwrap().status, 421);
    client.closed().await;
    assert_eq!(end_of(from_balancer(&stage, "http", &v1("127.0.1.9".parse().unwrap())).await).await.0, b"");
    stage.reload(&Recipe { listeners: Recipe::default().listeners, ..recipe() }).unwrap();
    let mut direct = stage.plain().await;
    assert_eq!(direct.send(visit("open.example.com", "/")).await.unwrap().status, 200);
    stage.reload(&recipe()).unwrap();
    assert_eq!(direct.send(visit("open.example.com", "/")).await.unwrap().status, 421);
    direct.closed().await;
}

/// A client that somebody else wrote. curl announces its own address, which has to count as Cloudflare here.
#[tokio::test]
async fn b17_curl_speaks_version_1() {
    let stage = Stage::with(recipe()).await;
    let url = format!("http://open.example.com:{}/", stage.at("http").port());
    let resolve = format!("open.example.com:{}:127.0.0.1", stage.at("http").port());
    let visitor = format!("CF-Connecting-IP: {VISITOR}");
    let ask = ["-sS", "-o", "/dev/null", "-w", "%{http_code}", "--haproxy-protocol", "--interface", "127.0.3.1"];
    let refused = curl(&[&ask[..], &["--resolve", &resolve, "-H", &visitor, &url]].concat()).await;
    assert!(!refused.success, "it speaks for the balancer, which is no source: {refused:?}");
    let wide = Recipe { head: recipe().head.replace("127.0.1.0/24", "127.0.1.0/24, 127.0.3.0/24"), ..recipe() };
    stage.reload(&wide).unwrap();
    let served = curl(&[&ask[..], &["--resolve", &resolve, "-H", &visitor, &url]].concat()).await;
    assert_eq!(served.stdout, "200", "{served:?}");
}
