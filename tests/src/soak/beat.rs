//! A steady pace: work begins at its times, and what came late is made up for.

use std::time::Duration;
use tokio::time::{Interval, MissedTickBehavior, interval_at};

/// A beat of so many a second. Those with different `phase`s, from 0 to 1, do not all come at once.
pub(super) fn beat(a_second: f64, phase: f64) -> Interval {
    let period = Duration::from_secs_f64(1.0 / a_second);
    let mut interval = interval_at(tokio::time::Instant::now() + period.mul_f64(phase), period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Burst);
    interval
}
