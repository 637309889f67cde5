//! Keeps a flood of refusals from owning the log.

use pullgate_metrics::HandshakeOutcome;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lines that pass in one second.
const LINES: u32 = 20;

const SECOND: Duration = Duration::from_secs(1);

/// A throttle for each way to fail: a scan by name is not to hide refused certificates.
#[derive(Debug)]
pub(crate) struct Throttles([(HandshakeOutcome, Throttle); HandshakeOutcome::ALL.len()]);

impl Throttles {
    pub(crate) fn new(now: Instant) -> Self {
        Self(HandshakeOutcome::ALL.map(|outcome| (outcome, Throttle::new(now, LINES, SECOND))))
    }

    /// Whether a line on such an outcome may pass: then with how many were held back since the last that did.
    pub(crate) fn pass(&self, outcome: HandshakeOutcome, now: Instant) -> Option<u64> {
        self.0.iter().find(|(of, _)| *of == outcome)?.1.pass(now)
    }
}

/// Lets some lines pass in each spell of time and counts the others.
#[derive(Debug)]
pub(crate) struct Throttle {
    lines: u32,
    spell: Duration,
    window: Mutex<Window>,
}

#[derive(Debug)]
struct Window {
    begun: Instant,
    passed: u32,
    held_back: u64,
}

impl Throttle {
    pub(crate) fn new(now: Instant, lines: u32, spell: Duration) -> Self {
        Self { lines, spell, window: Mutex::new(Window { begun: now, passed: 0, held_back: 0 }) }
    }

    /// Whether a line may pass: then with how many were held back since the last that did.
    pub(crate) fn pass(&self, now: Instant) -> Option<u64> {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(window.begun) >= self.spell {
            (window.begun, window.passed) = (now, 0);
        }
        if window.passed == self.lines {
            window.held_back += 1;
            return None;
        }
        window.passed += 1;
        Some(std::mem::take(&mut window.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_lines_a_second_pass_and_the_others_are_counted() {
        let start = Instant::now();
        let throttle = Throttle::new(start, LINES, SECOND);
        let at = |millis: u64| throttle.pass(start + Duration::from_millis(millis));
        assert_eq!((0..50).filter_map(|_| at(5)).collect::<Vec<_>>(), [0; 20]);
        assert_eq!(at(999), None);
        assert_eq!((at(1000), at(1000)), (Some(31), Some(0)));
        let throttles = Throttles::new(start);
        let passed = |outcome| (0..50).filter(|_| throttles.pass(outcome, start).is_some()).count();
        assert_eq!((passed(HandshakeOutcome::UnknownName), passed(HandshakeOutcome::CertificateRefused)), (20, 20));
    }
}
