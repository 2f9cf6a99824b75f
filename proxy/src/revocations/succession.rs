//! What becomes of the list when the configuration does: another store, other issuers, sessions that live longer.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use doorward_policy::session::{Revocation, Revocations};

use super::{EVERY, RevocationList, SLACK};
use crate::clock;
use crate::store::{Cursor, Store};

/// How often a store is asked again for what it holds.
const TRIES: u32 = 20;

impl RevocationList {
    /// The list for another store, which takes the place of this one. What is known here counts there at once, and is stored
    /// there beside the requests: sessions that a browser holds outlive a change of store. What comes here from now on is told
    /// there, and stored there.
    pub fn succeeding<'i>(
        before: &Arc<Self>,
        issuers: impl IntoIterator<Item = &'i str>,
        lifetime: Duration,
        store: Arc<dyn Store>,
    ) -> Arc<Self> {
        let next = Self::new([], lifetime, store, before.metrics.clone(), before.control.clone());
        before.successor.store(Some(next.clone()));
        next.change(|set| *set = Revocations::clone(&before.current.load()));
        *next.waiting() = before.waiting().clone();
        let lived = Duration::from_secs(before.lifetime.load(Ordering::Relaxed));
        next.serve(issuers, lifetime, lived);
        let (heir, from) = (next.clone(), before.store.clone());
        before.control.spawn(async move {
            heir.store_all_of(&*from, lifetime.saturating_sub(lived)).await;
            // Whoever lets go of a store last waits until it is closed.
            let _ = tokio::task::spawn_blocking(move || drop(from)).await;
        });
        next
    }

    /// Stores what a store holds, its own or the one before; each entry ends so much later, and never later than any session.
    async fn store_all_of(&self, from: &dyn Store, later: Duration) {
        let (mut all, mut cursor, mut failures) = (Vec::new(), Cursor::default(), 0);
        // Read to the end first: what is stored anew comes to the end of the same list.
        while failures < TRIES {
            match from.revocations(cursor).await {
                Ok((_, next)) if next == cursor => break,
                Ok((entries, next)) => {
                    all.extend(entries);
                    cursor = next;
                }
                Err(_) => {
                    failures += 1;
                    tokio::time::sleep(EVERY).await;
                }
            }
        }
        if failures == TRIES {
            tracing::error!("who was signed out could not all be read from the store: it counts here until the next start, and no longer");
        }
        let longest = clock::now().plus(self.lifetime()).plus(SLACK);
        for entry in all {
            let until = entry.until.plus(later).min(longest).max(entry.until);
            self.take_in(Revocation { until, ..entry }).await;
        }
    }

    /// Counts it and stores it; what cannot be stored now waits.
    pub(super) async fn take_in(&self, entry: Revocation) {
        self.apply([&entry]);
        if self.put(&entry).await.is_err() {
            self.wait_with(entry);
        }
    }

    /// From now on also for sessions of these issuers, which live so long. What it holds lasts as long as those sessions may;
    /// true when the store is to be read again, because it may know of an issuer that nobody here asked about.
    pub fn keep_for<'i>(self: &Arc<Self>, issuers: impl IntoIterator<Item = &'i str>, lifetime: Duration) -> bool {
        let before = Duration::from_secs(self.lifetime.fetch_max(lifetime.as_secs(), Ordering::Relaxed));
        let later = lifetime.saturating_sub(before);
        if !later.is_zero() {
            let list = self.clone();
            self.control.spawn(async move { list.store_all_of(&*list.store, later).await });
        }
        self.serve(issuers, lifetime, before)
    }

    fn serve<'i>(&self, issuers: impl IntoIterator<Item = &'i str>, lifetime: Duration, before: Duration) -> bool {
        let mut news = false;
        self.change(|set| {
            news = set.keep_issuers(issuers);
            set.prolong(lifetime.saturating_sub(before));
        });
        news
    }
}
