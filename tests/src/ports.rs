//! Ports for processes of their own.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// Ports that nothing listens on, each given out once: below the range that the system takes from for port 0, so that nobody else gets
/// one in between.
pub fn free_ports<const COUNT: usize>() -> [u16; COUNT] {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = 10_000 + std::process::id() % 10_000;
    let mut candidates = std::iter::repeat_with(|| {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        u16::try_from(start).unwrap() + step % 10_000
    });
    std::array::from_fn(|_| candidates.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap())
}
