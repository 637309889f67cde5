//! Lists of ranges: whatever a feed says, what is taken passes the gate, and nobody is locked out or let in by a list that is not.
#![no_main]

use ipnet::IpNet;
use libfuzzer_sys::fuzz_target;
use pullgate_cloudflare::ranges::parse;
use pullgate_policy::Networks;
use pullgate_policy::ranges::{Learnt, Leaving, Partner, admissible, builtin};
use rustls_pki_types::UnixTime;
use std::net::IpAddr;
use std::time::Duration;

/// Nobody in any of these is Cloudflare, and somebody in these is a neighbour.
const NEVER: [&str; 8] =
    ["10.0.0.1", "127.0.0.1", "169.254.169.254", "192.168.1.1", "224.0.0.1", "::1", "fe80::1", "ff02::1"];

const GRACE: Duration = Duration::from_secs(1000);

// The first byte says whether the partner's networks are wanted; lists stand one behind the other, divided by a zero byte.
fuzz_target!(|bytes: &[u8]| {
    let (partners, feeds): (&[Partner], &[u8]) = match bytes.split_first() {
        Some((b'+', feeds)) => (&[Partner::Jdcloud], feeds),
        _ => (&[], bytes),
    };
    let mut learnt = Learnt::new(builtin());
    let mut now = 1_000_000;
    for feed in feeds.split(|byte| *byte == 0) {
        now += 400;
        follow(&mut learnt, feed, partners, UnixTime::since_unix_epoch(Duration::from_secs(now)));
    }
});

fn follow(learnt: &mut Learnt, feed: &[u8], partners: &[Partner], now: UnixTime) {
    learnt.expire(now);
    let before = learnt.clone();
    let Ok(published) = parse(feed, partners) else { return };
    let list = published.networks;
    assert_eq!(admissible(list.clone()).as_ref(), Ok(&list), "what is parsed has passed the gate, and passes it again");
    both_forms_agree(&list);
    let Ok(change) = learnt.learn(list.clone(), now, GRACE) else {
        assert_eq!(*learnt, before, "a refused list changes something");
        return;
    };
    assert_eq!(learnt.list(), list);
    let (was, is) = (networks(&before.in_force()), networks(&learnt.in_force()));
    let kept = is.shared(&was);
    assert_eq!(kept, was.sizes(), "nothing stops to count before its grace has ended");
    let ((v4, v6), (v4_kept, v6_kept)) = (was.sizes(), networks(&list).shared(&was));
    assert!(v4_kept >= v4 - v4 / 4 && v6_kept >= v6 - v6 / 4, "more than a quarter is lost");
    for address in NEVER {
        assert!(!is.contains(address.parse::<IpAddr>().expect("it is one")), "{address} counts as Cloudflare");
    }
    assert!(change.added.iter().all(|network| list.contains(network) && !before.in_force().contains(network)));
    assert!(change.removed.iter().all(|gone| learnt.leaving().iter().any(|leaving| leaving.network == *gone)));
    resumes(learnt, now);
}

/// A list that was taken as JSON is the same list as text.
fn both_forms_agree(list: &[IpNet]) {
    let text: String = list.iter().map(|network| format!("{network}\r\n")).collect();
    let parsed = parse(text.trim_end().as_bytes(), &[]).expect("it has passed the gate");
    assert_eq!(parsed.networks, list);
}

/// What is known can be written down and taken up again.
fn resumes(learnt: &Learnt, now: UnixTime) {
    let leaving: Vec<Leaving> = learnt.leaving().to_vec();
    match Learnt::resume(learnt.list().to_vec(), leaving, now, GRACE) {
        Ok(resumed) => assert_eq!(resumed, *learnt),
        Err(unfit) => panic!("what serves cannot be taken up again: {unfit}"),
    }
}

fn networks(list: &[IpNet]) -> Networks {
    Networks::new(list.iter().copied())
}
