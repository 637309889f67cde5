//! H 53: what an idle connection costs. A release build, in which 5,000 of HTTP/1.1 have to fit into 256 MiB, needs less than half.

use super::Scene;
use crate::binary::growth_during;
use pullgate_tests::client::{H1, H2, Tls};
use pullgate_tests::stage::{cloudflare, visit};

const SHOP: &str = "shop.example.com";

/// Connections of each kind.
const COUNT: u64 = 500;

/// Bytes for an idle connection, over HTTP/1.1 and HTTP/2, in the build for tests: 62 and 103 thousand were measured; 18 and 72 thousand in
/// a release build.
const MOST: [u64; 2] = [80 << 10, 130 << 10];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h53_an_idle_connection_costs_little() {
    let scene = Scene::quiet().await;
    let (at, from) = (([127, 0, 0, 1], scene.https).into(), Some(cloudflare()));
    let tls = Tls::trusting(&scene.props.server_ca).presenting(&scene.props.edge());
    let [one, two] = ["http/1.1", "h2"].map(|protocol| tls.clone().alpn(&[protocol]).client_config());
    let ask_one = async || {
        let mut client = H1::tls(from, at, SHOP, one.clone()).await.unwrap();
        assert_eq!(client.send(visit(SHOP, "/")).await.unwrap().status, 200);
        client
    };
    let ask_two = async || {
        let client = H2::tls(from, at, SHOP, two.clone()).await.unwrap();
        assert_eq!(client.send(visit(SHOP, "/")).await.unwrap().status, 200);
        client
    };
    // The first ones pay for what stays.
    for _ in 0..20 {
        drop((ask_one().await, ask_two().await));
    }
    let (mut ones, mut twos) = (Vec::new(), Vec::new());
    let id = scene.running.0.id();
    let ((), grown) = growth_during(id, async {
        for _ in 0..COUNT {
            ones.push(ask_one().await);
        }
    })
    .await;
    assert!(grown / COUNT < MOST[0], "HTTP/1.1: {} bytes each", grown / COUNT);
    let ((), grown) = growth_during(id, async {
        for _ in 0..COUNT {
            twos.push(ask_two().await);
        }
    })
    .await;
    assert!(grown / COUNT < MOST[1], "HTTP/2: {} bytes each", grown / COUNT);
}
