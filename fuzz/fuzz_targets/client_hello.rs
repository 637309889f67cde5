//! ClientHellos: whatever a stranger sends, the door answers at once, and shows a certificate only to those who know a name.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pullgate_door::{Failure, secure};
use pullgate_fuzz::door::{BLOG_ONLY, Door, EVERY};
use pullgate_fuzz::wire::{ALERT, Client, HANDSHAKE, handshake, records};
use pullgate_metrics::HandshakeOutcome;
use std::pin::pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// Nothing here takes any time.
const LIMIT: Duration = Duration::from_secs(10);

static DOORS: LazyLock<[Door; 2]> = LazyLock::new(|| [Door::new(false), Door::new(true)]);

/// For its clock alone, which time-outs ask for.
static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_time().build().expect("a clock is all it needs"));

// The first byte chooses door, listener and how the rest arrives.
fuzz_target!(|bytes: &[u8]| {
    let Some((choices, says)) = bytes.split_first() else { return };
    let door = &DOORS[usize::from(choices & 1)];
    let listener = if choices & 2 == 0 { EVERY } else { BLOG_ONLY };
    let step = [usize::MAX, 1, 5, 100][usize::from(choices >> 2 & 3)];
    let mut heard = Vec::new();
    let failure = knock(door, listener, Client { says, step, heard: &mut heard });
    let (answer, rest) = records(&heard);
    assert!(rest.is_empty(), "half a record: {heard:02x?}");
    let named = failure.host.as_ref().map(|host| host.as_str());
    if read(&failure) {
        assert_eq!(named, door.answers(listener, failure.sni.as_deref()), "{failure:?}");
    }
    match named {
        None => assert!(answer.iter().all(|(kind, _)| *kind == ALERT), "no host, {failure:?}, and yet: {heard:02x?}"),
        Some(_) if answer.iter().any(|(kind, _)| *kind == HANDSHAKE) => was_asked_for(says, door, listener, &failure),
        Some(_) => {}
    }
});

/// How the door ends with a client that cannot answer it.
///
/// All that the client says is there at once, and its end too. So whoever waits waits for ever. And nobody finishes a handshake with
/// words chosen before: Finished covers the server's random bytes.
fn knock(door: &Door, listener: &str, client: Client<'_>) -> Failure {
    let _clock = RUNTIME.enter();
    let visit = async {
        match secure(client, door, listener, LIMIT).await {
            Ok((_, facts)) => panic!("a handshake without a client: {facts:?}"),
            Err(mut refused) => {
                refused.part().await;
                refused.failure
            }
        }
    };
    let Poll::Ready(failure) = pin!(visit).poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("the door waits for a client that has said all")
    };
    failure
}

/// Whether the ClientHello could be read at all.
fn read(failure: &Failure) -> bool {
    failure.host.is_some() || failure.outcome != HandshakeOutcome::Failed
}

/// The same without rustls's reading of the ClientHello: the name is somewhere in what the client said.
fn was_asked_for(says: &[u8], door: &Door, listener: &str, failure: &Failure) {
    match &failure.sni {
        Some(name) => {
            let said = handshake(says).to_ascii_lowercase();
            let name = name.to_ascii_lowercase();
            assert!(said.windows(name.len()).any(|window| window == name.as_bytes()), "nobody said {name}");
        }
        None => assert!(door.answers(listener, None).is_some(), "no name, no default: {failure:?}"),
    }
}
