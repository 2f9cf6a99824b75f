//! Attempts that have come back once. The second time they are refused.

use dashmap::DashMap;
use doorward_policy::login::ATTEMPT_LIFETIME;
use doorward_policy::time::Timestamp;

/// Attempts remembered at once. They are forgotten when their own lifetime is over.
const LIMIT: usize = 100_000;

/// Ids of attempts by the time they came back. One process's memory: an authorization code is single-use at the provider
/// besides (RFC 6749 §4.1.2).
#[derive(Debug, Default)]
pub struct UsedAttempts {
    seen: DashMap<Box<str>, Timestamp>,
}

impl UsedAttempts {
    pub fn contains(&self, id: &str) -> bool {
        self.seen.contains_key(id)
    }

    /// Takes the attempt; false when somebody has taken it before.
    pub fn take(&self, id: &str, now: Timestamp) -> bool {
        self.make_room(now);
        let mut first = false;
        self.seen.entry(id.into()).or_insert_with(|| {
            first = true;
            now
        });
        first
    }

    /// Drops what is over; under a flood, also the older half of what is not, again and again.
    fn make_room(&self, now: Timestamp) {
        let mut keep = ATTEMPT_LIFETIME;
        while self.seen.len() >= LIMIT && !keep.is_zero() {
            self.seen.retain(|_, taken| taken.plus(keep) > now);
            keep /= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn oidc_10_an_attempt_is_taken_once() {
        let used = UsedAttempts::default();
        assert!(used.take("a", Timestamp(0)));
        assert!(!used.take("a", Timestamp(1)));
        assert!(used.take("b", Timestamp(1)));
        assert!(used.contains("a") && !used.contains("c"));
    }

    #[test]
    fn dos_08_a_flood_of_attempts_is_bounded() {
        let used = UsedAttempts::default();
        for at in 0..LIMIT {
            used.take(&at.to_string(), Timestamp(0));
        }
        let later = Timestamp(0).plus(Duration::from_secs(30));
        assert!(used.take("late", later));
        assert!(used.seen.len() <= LIMIT);
        assert!(!used.take("late", later));
    }
}
