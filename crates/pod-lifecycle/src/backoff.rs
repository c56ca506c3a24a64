//! The delay between restarts of a failing container (and between pulls of a failing image):
//! 10 s, doubled each time up to 5 min, forgotten after twice the maximum without a failure.
//! Upstream's `flowcontrol.Backoff`, as a value.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// First delay.
pub const INITIAL: Duration = Duration::from_secs(10);
/// Longest delay.
pub const MAX: Duration = Duration::from_secs(300);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backoff {
    pub delay: Duration,
    pub updated: Timestamp,
}

/// When the next attempt is allowed after a failure at `failed`; `None`: at once.
pub fn blocked_until(entry: Option<&Backoff>, failed: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let until = failed.checked_add(entry?.delay).ok()?;
    (now < until).then_some(until)
}

/// The entry to keep once an attempt is made after a failure at `failed`.
pub fn next(entry: Option<&Backoff>, failed: Timestamp, now: Timestamp) -> Backoff {
    let expired = |e: &Backoff| {
        failed.duration_since(e.updated) > SignedDuration::try_from(2 * MAX).expect("ten minutes fit")
    };
    let delay = match entry {
        Some(entry) if !expired(entry) => (entry.delay * 2).min(MAX),
        _ => INITIAL,
    };
    Backoff { delay, updated: now }
}

/// Go's `time.Duration` text, as back-off messages print it: `10s`, `1m20s`, `5m0s`.
pub fn go_duration(duration: Duration) -> String {
    apimachinery::time::go_duration(SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_to_five_minutes_and_reset_after_ten() {
        let mut now: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a timestamp");
        let mut entry = None;
        let mut delays = Vec::new();
        for _ in 0..7 {
            assert_eq!(entry.as_ref().map(|e: &Backoff| e.delay).map(go_duration), delays.last().cloned());
            let next = next(entry.as_ref(), now, now);
            delays.push(go_duration(next.delay));
            now += next.delay;
            entry = Some(next);
        }
        assert_eq!(delays, ["10s", "20s", "40s", "1m20s", "2m40s", "5m0s", "5m0s"]);
        let much_later = now + Duration::from_secs(601);
        assert_eq!(next(entry.as_ref(), much_later, much_later).delay, INITIAL);
    }

    #[test]
    fn the_first_failure_restarts_at_once() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a timestamp");
        assert_eq!(blocked_until(None, now, now), None);
        let entry = next(None, now, now);
        assert_eq!(blocked_until(Some(&entry), now, now), Some(now + INITIAL));
        assert_eq!(blocked_until(Some(&entry), now, now + INITIAL), None);
    }
}
