//! What a gateway meets beside plain requests: uploads, WebSockets, handshakes to refuse, strangers.

use super::attempt::over_one;
use super::beat::beat;
use super::gate::{HOSTNAME, Target};
use super::load::{Load, Shared, announces_end};
use super::strangers;
use crate::client::{H1, post};
use crate::stage::{VISITOR, cloudflare, visit};
use bytes::Bytes;
use http::{HeaderValue, header};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Bytes of one upload.
const UPLOAD: usize = 256 * 1024;

/// Messages on one WebSocket before it is closed.
const MESSAGES: u32 = 60;

/// Adds all of it to a load.
pub(super) fn surround(load: &mut Load) {
    let shared = load.shared();
    load.add(uploads(Arc::clone(&shared), 2.0));
    for at in 0..4 {
        load.add(web_sockets(Arc::clone(&shared), 4.0, f64::from(at) / 4.0));
    }
    load.add(uncertified(Arc::clone(&shared), 5.0));
    load.add(unknown(shared, 20.0));
}

async fn uploads(shared: Arc<Shared>, a_second: f64) {
    let (mut beat, body) = (beat(a_second, 0.3), Bytes::from(vec![b'x'; UPLOAD]));
    let mut kept = None;
    while shared.goes_on() {
        beat.tick().await;
        let (number, begun) = (shared.ledger.issue(), Instant::now());
        let mut request = post(HOSTNAME, &format!("/r/{number}"), body.clone());
        request.headers_mut().insert("cf-connecting-ip", HeaderValue::from_static(VISITOR));
        let asked = async {
            let mut connection: H1 = match kept.take() {
                Some(connection) => connection,
                None => shared.connect_one().await?,
            };
            Ok((connection.send(request).await?, connection))
        };
        match asked.await {
            Ok((answer, connection)) => {
                shared.judge(number, UPLOAD as u64, &answer, begun);
                kept = (!announces_end(&answer)).then_some(connection);
            }
            Err(refused) => shared.fault(number, over_one(&refused), "an upload", &refused),
        }
    }
}

/// One WebSocket after the other; each message has to come back.
async fn web_sockets(shared: Arc<Shared>, a_second: f64, phase: f64) {
    let mut beat = beat(a_second, phase);
    while shared.goes_on() {
        let number = shared.ledger.issue();
        let mut request = visit(HOSTNAME, &format!("/websocket/{number}"));
        request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        request.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        let opened = async { shared.connect_one().await.ok()?.upgrade(request).await.ok() };
        let Some(mut tunnel) = opened.await else {
            shared.counts.failed.fetch_add(1, Ordering::Relaxed);
            shared.counts.examples.lock().unwrap().push(format!("request {number}: no WebSocket"));
            beat.tick().await;
            continue;
        };
        let mut sound = true;
        for message in 0..MESSAGES {
            beat.tick().await;
            let (sent, mut came) = (format!("message {message:04}"), [0; 12]);
            let turn = async {
                tunnel.write_all(sent.as_bytes()).await?;
                tunnel.flush().await?;
                tunnel.read_exact(&mut came).await
            };
            sound = turn.await.is_ok() && came == sent.as_bytes();
            if !sound || !shared.goes_on() {
                break;
            }
        }
        if sound {
            shared.ledger.clients.add(number);
        } else {
            shared.counts.failed.fetch_add(1, Ordering::Relaxed);
            shared.counts.examples.lock().unwrap().push(format!("request {number}: a WebSocket broke"));
        }
        // As good an end as any.
        let _ = tunnel.shutdown().await;
    }
}

/// Handshakes from Cloudflare's addresses without the certificate: the gateway has to refuse them.
async fn uncertified(shared: Arc<Shared>, a_second: f64) {
    let mut beat = beat(a_second, 0.6);
    while shared.goes_on() {
        beat.tick().await;
        let Target { address, bare, .. } = &shared.target;
        let answer = async {
            let mut connection = H1::tls(Some(cloudflare()), *address, HOSTNAME, Arc::clone(bare)).await.ok()?;
            connection.send(visit(HOSTNAME, "/")).await.ok()
        };
        if let Some(answer) = answer.await {
            shared.counts.failed.fetch_add(1, Ordering::Relaxed);
            shared.counts.examples.lock().unwrap().push(format!("no certificate, and {}", answer.status));
        }
    }
}

/// Connections of strangers.
async fn unknown(shared: Arc<Shared>, a_second: f64) {
    let mut beat = beat(a_second, 0.8);
    let mut number = 0;
    while shared.goes_on() {
        beat.tick().await;
        strangers::one(shared.target.address, number).await;
        number += 1;
    }
}
