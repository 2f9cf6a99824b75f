//! How often this browser came back from a sign-in just now: what tells a loop from a sign-in.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::session::{NONCE_LENGTH, Purpose, SealingKeys};
use crate::time::Timestamp;

/// Holds the times of the last sign-ins.
pub const ROUNDS_COOKIE: &str = "__Host-doorward-rounds";
/// So many sign-ins …
const LIMIT: usize = 3;
/// … within this time, and still nobody is signed in: the next one would not help either.
const WINDOW: Duration = Duration::from_secs(10);
/// How long a browser keeps the cookie.
pub const ROUNDS_LIFETIME: Duration = Duration::from_secs(15);

/// The last sign-ins that ended with a session, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rounds {
    #[serde(rename = "t")]
    ended: Vec<Timestamp>,
    /// Bytes of the last session cookie.
    #[serde(rename = "z")]
    pub size: usize,
}

impl Rounds {
    /// Opens the cookie of `host`; none, or one that is not ours, knows of nothing.
    pub fn open(sealed: Option<&[u8]>, keys: &SealingKeys, host: &str) -> Self {
        let plain = sealed.and_then(|sealed| keys.open(Purpose::Rounds, ROUNDS_COOKIE, host, sealed));
        plain.and_then(|plain| serde_json::from_slice(&plain).ok()).unwrap_or_default()
    }

    /// The same with a sign-in that ended now, with a session cookie of `size` bytes.
    #[must_use]
    pub fn and_one(mut self, now: Timestamp, size: usize) -> Self {
        self.ended.push(now);
        let over = self.ended.len().saturating_sub(LIMIT);
        self.ended.drain(..over);
        Self { ended: self.ended, size }
    }

    /// Whether another sign-in would only be one more round.
    pub fn is_loop(&self, now: Timestamp) -> bool {
        let near = |time: &&Timestamp| time.0.abs_diff(now.0) <= WINDOW.as_secs();
        self.ended.iter().filter(near).count() >= LIMIT
    }

    pub fn seal(&self, keys: &SealingKeys, host: &str, nonce: [u8; NONCE_LENGTH]) -> String {
        keys.seal(Purpose::Rounds, ROUNDS_COOKIE, host, nonce, serde_json::to_vec(self).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn after(ends: &[i64]) -> Rounds {
        ends.iter().fold(Rounds::default(), |rounds, end| rounds.and_one(Timestamp(*end), 900))
    }

    #[test]
    fn unstuck_02_three_sign_ins_in_ten_seconds_are_a_loop() {
        for (name, ends, now, expected) in [
            ("none", &[][..], 100, false),
            ("two", &[99, 100], 100, false),
            ("three", &[90, 95, 100], 100, true),
            ("three, a second too slow", &[89, 95, 100], 100, false),
            ("three long ago", &[1, 2, 3], 100, false),
            ("the last three count", &[1, 90, 95, 100], 100, true),
            ("a clock that was set back", &[3600, 3601, 3602], 100, false),
        ] {
            assert_eq!(after(ends).is_loop(Timestamp(now)), expected, "{name}");
        }
    }

    #[test]
    fn unstuck_02_the_cookie_counts_on_its_own_host_and_never_grows() {
        let keys = SealingKeys::new(&[Secret::new((0..32u8).map(|i| i.wrapping_mul(37).wrapping_add(5)).collect())]).unwrap();
        let many = (0..100).fold(Rounds::default(), |rounds, at| rounds.and_one(Timestamp(at), 3700));
        let sealed = many.seal(&keys, "a.example", [1; NONCE_LENGTH]);
        assert!(sealed.len() < 200);
        assert_eq!(Rounds::open(Some(sealed.as_bytes()), &keys, "a.example"), many);
        assert_eq!(Rounds::open(Some(sealed.as_bytes()), &keys, "b.example"), Rounds::default());
        assert_eq!(Rounds::open(Some(b"x"), &keys, "a.example"), Rounds::default());
        assert_eq!(Rounds::open(None, &keys, "a.example"), Rounds::default());
    }
}
