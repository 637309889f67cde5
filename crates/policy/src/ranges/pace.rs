//! How long to wait until a list is fetched again.

use std::time::Duration;

/// After a first failure; each further one doubles it, up to the usual pause.
const AFTER_FAILURE: Duration = Duration::from_secs(60);

/// The pause before the next fetch: `refresh`, or less after failures in a row, up to a tenth more or less by `chance` (0 to 1), so that
/// a fleet that was started together does not ask together.
#[must_use]
pub fn pause(refresh: Duration, failures: u32, chance: f64) -> Duration {
    let usual = match failures.checked_sub(1) {
        None => refresh,
        Some(doublings) => AFTER_FAILURE.saturating_mul(2_u32.saturating_pow(doublings)).min(refresh),
    };
    usual.mul_f64(0.9 + 0.2 * chance.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sooner_after_a_failure_and_never_later_than_usual() {
        let hour = 3600.0;
        let table = [
            (hour, 0, 0.5, 3600.0),
            (hour, 0, 0.0, 3240.0),
            (hour, 0, 1.0, 3960.0),
            (hour, 0, 7.0, 3960.0),
            (hour, 1, 0.5, 60.0),
            (hour, 2, 0.5, 120.0),
            (hour, 6, 0.5, 1920.0),
            (hour, 7, 0.5, 3600.0),
            (hour, u32::MAX, 0.5, 3600.0),
            (1.0, 0, 0.5, 1.0),
            (1.0, 5, 0.5, 1.0),
        ];
        for (refresh, failures, chance, expected) in table {
            let found = pause(Duration::from_secs_f64(refresh), failures, chance).as_secs_f64();
            assert!((found - expected).abs() < 0.001, "{refresh} {failures} {chance}: {found}");
        }
    }
}
