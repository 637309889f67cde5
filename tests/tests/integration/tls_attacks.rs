//! Attacks on the handshake and on what it leaves behind: each ends before a byte of HTTP, or as if it had not been tried.
//!
//! A test is named after the scenario that it plays, c20 to c30: certificates, host and name, sessions, early data, protocol, floods.

mod certificates;
mod floods;
mod names;
mod protocol;
mod sessions;

use pullgate_tests::client::{Output, Refused, Response, Tls, openssl_s_client};
use pullgate_tests::pki::Files;
use pullgate_tests::stage::{Stage, VISITOR, visit};

const SHOP: &str = "shop.example.com";
const OPEN: &str = "open.example.com";

/// One request over HTTP/1.1, or why there was no answer. In TLS 1.3 a refusal comes with the first answer.
async fn ask(stage: &Stage, sni: &str, tls: Tls, host: &str) -> Result<Response, Refused> {
    stage.h1_as(sni, tls).await?.send(visit(host, "/")).await
}

/// One request by openssl, from Cloudflare's address. The edge's certificate is at hand where `edge` is given.
async fn openssl_get(stage: &Stage, sni: &str, host: &str, edge: Option<&Files>, more: &[&str]) -> Output {
    let at = stage.at("https").to_string();
    let usual = ["-connect", &at, "-bind", "127.0.1.1", "-ign_eof"];
    let named: &[&str] = if sni.is_empty() { &["-noservername"] } else { &["-servername", sni] };
    let identity = edge.map(|files| [&files.chain, &files.key].map(|path| path.to_str().unwrap()));
    let identity = identity.map_or(Vec::new(), |[chain, key]| vec!["-cert", chain, "-key", key]);
    let head = format!("GET / HTTP/1.1\r\nHost: {host}\r\nCF-Connecting-IP: {VISITOR}\r\nConnection: close\r\n\r\n");
    openssl_s_client(&[&usual[..], named, &identity, more].concat(), head.as_bytes()).await
}

fn served(output: &Output) -> bool {
    output.stdout.contains("hello from the origin")
}

fn saw_no_certificate(output: &Output) -> bool {
    output.stdout.contains("no peer certificate available")
}
