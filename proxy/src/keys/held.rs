//! Keys that the operator holds, as they count at one moment: a new set when one begins or ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use doorward_policy::time::Timestamp;
use doorward_policy::token::{Algorithm, KeySet, StaticKey};

use super::Believed;

#[derive(Debug)]
pub(super) struct HeldKeys {
    keys: Vec<StaticKey>,
    algorithms: Vec<Algorithm>,
    now: ArcSwap<Span>,
    /// The generation of the set that is made next.
    next: AtomicU64,
}

/// A set, and the moments between which nothing changes in it: from the first, before the second.
#[derive(Debug)]
struct Span {
    believed: Arc<Believed>,
    from: Timestamp,
    until: Timestamp,
}

impl HeldKeys {
    pub(super) fn new(keys: &[StaticKey], algorithms: &[Algorithm], now: Timestamp) -> Self {
        let (keys, algorithms) = (keys.to_vec(), algorithms.to_vec());
        let span = Span::at(&keys, &algorithms, 1, now);
        Self { keys, algorithms, now: ArcSwap::from_pointee(span), next: AtomicU64::new(2) }
    }

    /// Two comparisons, unless one of them begins or ends now.
    pub(super) fn at(&self, now: Timestamp) -> Arc<Believed> {
        let span = self.now.load();
        // A clock that is set back finds those again that counted then.
        if span.from <= now && now < span.until {
            return span.believed.clone();
        }
        // Of two requests that come here at once, each makes a set, and perhaps not the same one: no two share a generation. What is
        // remembered under the one that does not stay is verified again.
        let generation = self.next.fetch_add(1, Ordering::Relaxed);
        let next = Arc::new(Span::at(&self.keys, &self.algorithms, generation, now));
        self.now.store(next.clone());
        next.believed.clone()
    }
}

impl Span {
    fn at(keys: &[StaticKey], algorithms: &[Algorithm], generation: u64, now: Timestamp) -> Self {
        let changes = || keys.iter().flat_map(StaticKey::changes);
        Self {
            believed: Arc::new(Believed { keys: KeySet::of_static(keys, algorithms, now), generation }),
            from: changes().filter(|change| *change <= now).max().unwrap_or(Timestamp(i64::MIN)),
            until: changes().filter(|change| *change > now).min().unwrap_or(Timestamp(i64::MAX)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER: Option<Timestamp> = None;

    fn key(id: &str, from: Option<i64>, until: Option<i64>) -> StaticKey {
        let pair = rcgen::KeyPair::generate().unwrap();
        StaticKey::read(id, pair.public_key_pem().as_bytes(), from.map(Timestamp), until.map(Timestamp)).unwrap()
    }

    #[test]
    fn jwks_05_a_held_key_counts_from_its_first_second_to_its_last_and_every_change_is_a_generation() {
        let keys = [key("old", None, Some(100)), key("new", Some(90), Some(200)), key("always", None, NEVER.map(|at| at.0))];
        let held = HeldKeys::new(&keys, &[Algorithm::Es256], Timestamp(50));
        let mut last = held.at(Timestamp(50)).generation;
        for (now, known, changed) in [
            (50, ["old", "always"].as_slice(), false),
            (89, &["old", "always"], false),
            (90, &["old", "new", "always"], true),
            (100, &["old", "new", "always"], false),
            (101, &["new", "always"], true),
            (200, &["new", "always"], false),
            (201, &["always"], true),
            (i64::MAX - 1, &["always"], false),
            (95, &["old", "new", "always"], true),
        ] {
            let believed = held.at(Timestamp(now));
            for id in ["old", "new", "always"] {
                assert_eq!(believed.keys.knows(id), known.contains(&id), "{id} at {now}");
            }
            assert_eq!(believed.generation > last, changed, "at {now}");
            last = believed.generation;
        }
    }

    #[test]
    fn jwks_05_two_sets_that_were_made_at_once_are_two_generations() {
        let held = HeldKeys::new(&[key("old", None, Some(100)), key("older", None, Some(99))], &[Algorithm::Es256], Timestamp(99));
        let before = held.now.load_full();
        let one = held.at(Timestamp(100));
        // As another thread finds it that looked earlier.
        held.now.store(before);
        let other = held.at(Timestamp(101));
        assert_eq!([&one, &other].map(|believed| believed.keys.knows("old")), [true, false]);
        assert_ne!(one.generation, other.generation);
    }

    #[test]
    fn jwt_11_keys_for_none_of_the_algorithms_are_no_keys() {
        let held = HeldKeys::new(&[key("ec", None, None)], &[Algorithm::Rs256, Algorithm::Es384], Timestamp(1));
        assert!(!held.at(Timestamp(1)).keys.knows("ec"));
        let held = HeldKeys::new(&[key("ec", None, None)], &[Algorithm::Es256], Timestamp(1));
        assert!(held.at(Timestamp(1)).keys.knows("ec"));
    }
}
