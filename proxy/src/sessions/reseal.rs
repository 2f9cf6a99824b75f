//! Records that are sealed under a key that is on its way out.
//!
//! Whoever removes the old key from the ring must find nobody signed out by it. So a session that is used after the ring
//! changed is written again under the first key, in turn with refreshes: no newer token is overwritten by an older one.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use doorward_policy::session::{KeyId, Record};
use doorward_policy::time::Timestamp;

use super::refresh::Lease;
use super::{Held, Sessions};
use crate::entropy;
use crate::store::StoreFault;

/// Seconds after which a record that could not be written is tried again.
const AGAIN: i64 = 30;
/// Records written again at once.
pub(super) const AT_ONCE: usize = 8;

/// What is known of how the store's record is sealed.
#[derive(Debug, Default)]
pub(super) struct Seal {
    /// The key's id; 0 while it is not known.
    under: AtomicU64,
    not_before: AtomicI64,
}

impl Seal {
    pub(super) fn is(&self, key: Option<KeyId>) {
        self.under.store(key.map_or(0, |key| key.0), Ordering::Relaxed);
    }

    /// Whether it is to be sealed anew now: true for one caller only.
    fn is_due(&self, first: KeyId, now: Timestamp) -> bool {
        if self.under.load(Ordering::Relaxed) == first.0 {
            return false;
        }
        let not_before = self.not_before.load(Ordering::Relaxed);
        let next = now.0.saturating_add(AGAIN);
        now.0 >= not_before && self.not_before.compare_exchange(not_before, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

impl Sessions {
    /// Has the record written under the first key, if it is sealed under another. Waits for nothing.
    pub(super) fn keep_sealed(&self, held: &Arc<Held>, now: Timestamp) {
        if !held.seal.is_due(self.keyring.keys().first(), now) {
            return;
        }
        let (Some(this), held) = (self.this.upgrade(), held.clone()) else { return };
        self.control.spawn(async move {
            // Nobody closes it.
            let Ok(_slot) = this.resealing.acquire().await else { return };
            if let Err(fault) = this.seal_anew(&held).await {
                tracing::warn!("a session could not be sealed under the new key yet: {fault}");
            }
        });
    }

    async fn seal_anew(&self, held: &Held) -> Result<(), StoreFault> {
        let key = held.known().record.key();
        // Whoever has it writes the record, or is done in a moment.
        let Some(lease) = Lease::take(&self.store, &key).await? else { return Ok(()) };
        let written = async {
            let Some(stored) = self.store.read(&key).await? else { return Ok(()) };
            let Some(record) = Record::open(&stored.sealed, &self.keyring.keys(), &key) else { return Err(StoreFault::Broken) };
            let first = self.keyring.keys().first();
            if KeyId::of(&stored.sealed) != Some(first) {
                let nonce = entropy::random().map_err(|_| StoreFault::Broken)?;
                let sealed = record.seal(&self.keyring.keys(), nonce);
                self.store.replace(&key, sealed).await?;
            }
            held.seal.is(Some(first));
            held.adopt(record, self.mapping());
            Ok(())
        };
        let outcome = written.await;
        lease.give_back().await;
        outcome
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_record_is_sealed_anew_once_the_ring_has_changed_and_not_again_and_again() {
        let (old, new, now) = (KeyId(7), KeyId(8), Timestamp(1_800_000_000));
        let seal = Seal::default();
        seal.is(Some(old));
        assert!(!seal.is_due(old, now));
        assert!(seal.is_due(new, now));
        assert!(!seal.is_due(new, now), "somebody is at it");
        assert!(seal.is_due(new, now.plus(Duration::from_secs(30))));
        seal.is(Some(new));
        assert!(!seal.is_due(new, now.plus(Duration::from_secs(90))));
    }
}
