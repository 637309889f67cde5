//! The soak in short: bounded by counts. The real one is `make soak`.

use crate::binary::binary;
use pullgate_tests::soak::{Changes, Idle, Setting, Shape, Slow, Strangers};

/// Ten reloads, a new certificate among them, and two upgrades, while two thousand requests and more come over both protocols: each is
/// answered, logged and at the origin exactly once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reloads_and_upgrades_under_load_lose_nothing() {
    let shape = Shape { ones: 6, twos: 2, streams: 4, rounds: 40.0, fresh: 10.0 };
    let plan = Changes { reloads: 10, upgrades: 2, between: 200, shape };
    let changed = plan.run(&binary()).await;
    assert_eq!((changed.failed, changed.refused, changed.reset), (0, 0, 0), "{changed:#?}");
    assert_eq!((changed.balance.odd, changed.balance.clients), (0, changed.balance.issued), "{changed:#?}");
    assert!(changed.balance.clients >= 2_000, "{changed:#?}");
}

/// A hundred slow clients of each kind: held without harm to a good client, and cut by their own time-out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_clients_are_held_without_harm_and_cut_in_time() {
    let binary = binary();
    let running = Slow::all(100).map(|plan| {
        let binary = binary.clone();
        tokio::spawn(async move { plan.run(&binary).await })
    });
    for slowed in running {
        let slowed = slowed.await.unwrap();
        assert_eq!((slowed.held, slowed.faults), (100, 0), "{slowed:?}");
        assert!(slowed.open >= 100.0 && slowed.served >= 100, "{slowed:?}");
        // After 45 s they give up themselves; the machine may be busy with other tests.
        assert!(slowed.cut_within(20.0), "{slowed:?}");
    }
}

/// Five hundred idle connections of each protocol: all stand, and none costs much.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_are_cheap() {
    const MOST: [u64; 2] = [40 * 1024, 72 * 1024];
    let idled = Idle { count: 500 }.run(&binary()).await;
    assert_eq!(idled.held, 500, "{idled:?}");
    assert!(idled.ours[0] < MOST[0] && idled.ours[1] < MOST[1], "{idled:?}");
}

/// Two thousand strangers: every one is turned away, by the process or by the kernel before it, and a good client notices nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_do_no_harm() {
    for (kernel_filter, seen) in [("off", 2_000), ("require", 0)] {
        let setting = Setting { kernel_filter, ..Setting::default() };
        let plan = Strangers { attempts: 2_000, rate: 2_000.0, windows: 1, setting };
        let attacked = plan.run(&binary()).await;
        assert_eq!((attacked.attempts, attacked.seen, attacked.faults), (2_000, seen, 0), "{attacked:#?}");
        assert!(attacked.served >= 200, "{attacked:#?}");
    }
}
