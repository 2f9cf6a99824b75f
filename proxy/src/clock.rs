//! The wall clock, read in one place.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use doorward_policy::time::Timestamp;

/// Now. A clock before 1970 reads as 1970: every token is then from the future, and nobody gets in.
pub fn now() -> Timestamp {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Timestamp(i64::try_from(seconds).unwrap_or(i64::MAX))
}

/// Where the wall clock moves otherwise than time passes, nothing is forgotten on its word for this long.
const DOUBT: Duration = Duration::from_secs(3600);
/// Clocks that are kept right are moved by less.
const NUDGE: Duration = Duration::from_secs(60);

/// The wall clock, for forgetting: what is over by it is over by the passing of time as well.
///
/// A clock that is wrong when a machine starts, or jumps ahead and back, must not make us forget who was signed out: the
/// sessions would count again once the clock is right. It is believed when it has kept its word for an hour.
#[derive(Debug)]
pub struct Steady(Mutex<Seen>);

#[derive(Debug, Clone, Copy)]
struct Seen {
    /// What was answered last, and when.
    time: Timestamp,
    at: Instant,
    /// Since when the wall clock has been ahead of that.
    ahead_since: Option<Instant>,
}

impl Steady {
    pub fn new() -> Self {
        let at = Instant::now();
        Self(Mutex::new(Seen { time: Timestamp(0), at, ahead_since: Some(at) }))
    }

    /// Believes the wall clock from the start: to see what is over go.
    pub(crate) fn settled() -> Self {
        Self(Mutex::new(Seen { time: now(), at: Instant::now(), ahead_since: None }))
    }

    /// Never later than the wall clock.
    pub fn now(&self) -> Timestamp {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *seen = seen.after(now(), Instant::now());
        seen.time
    }
}

impl Default for Steady {
    fn default() -> Self {
        Self::new()
    }
}

impl Seen {
    fn after(self, wall: Timestamp, at: Instant) -> Self {
        let passed = self.time.plus(at.saturating_duration_since(self.at));
        let ahead = wall > passed.plus(NUDGE);
        let since = self.ahead_since.unwrap_or(at);
        if !ahead || at.saturating_duration_since(since) >= DOUBT {
            return Self { time: wall, at, ahead_since: None };
        }
        // Parts of seconds that passed are not lost: `at` moves with whole ones.
        let whole = Duration::from_secs(at.saturating_duration_since(self.at).as_secs());
        Self { time: passed, at: self.at + whole, ahead_since: Some(since) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_forgotten_on_the_word_of_a_clock_that_jumps() {
        let start = Instant::now();
        let after = |seconds: u64| start + Duration::from_secs(seconds);
        let mut seen = Seen { time: Timestamp(0), at: start, ahead_since: Some(start) };
        let mut look = |wall: i64, at: u64| {
            seen = seen.after(Timestamp(wall), after(at));
            seen.time.0
        };
        // It may be wrong at the start.
        assert_eq!(look(50_000, 0), 0);
        assert_eq!(look(50_000, 3599), 3599);
        assert_eq!(look(1_000_000, 3600), 1_000_000, "an hour later it is believed");
        assert_eq!(look(1_000_100, 3700), 1_000_100);
        // Ahead by half a day, and back.
        assert_eq!(look(1_050_000, 3800), 1_000_200);
        assert_eq!(look(1_050_500, 4300), 1_000_700);
        assert_eq!(look(1_000_800, 4400), 1_000_800);
        // Ahead for good.
        assert_eq!(look(1_050_000, 4500), 1_000_900);
        assert_eq!(look(1_053_599, 8099), 1_004_499);
        assert_eq!(look(1_053_600, 8100), 1_053_600);
        // Back is where it errs on the right side, and a nudge is none.
        assert_eq!(look(1_000_000, 8200), 1_000_000);
        assert_eq!(look(1_000_110, 8250), 1_000_110);
    }
}
