//! The right to refresh one session, among all processes that share a store.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use doorward_policy::session::StoreKey;
use tokio::task::JoinHandle;

use crate::entropy;
use crate::store::{Store, StoreFault};

/// How long it lasts when its holder says nothing more: a process that dies in between holds up nobody for longer.
pub(super) const LASTS: Duration = Duration::from_secs(30);
/// How often the holder says so.
const EVERY: Duration = Duration::from_secs(10);

/// Held until it is given back; dropped, it is over by itself.
#[derive(Debug)]
pub(in crate::sessions) struct Lease {
    store: Arc<dyn Store>,
    name: String,
    holder: String,
    lost: Arc<AtomicBool>,
    keeper: JoinHandle<()>,
}

impl Lease {
    /// The lease for this session; `None` when another has it. Runs on the control thread.
    ///
    /// # Errors
    /// [`StoreFault`]: nobody knows who has it.
    pub(in crate::sessions) async fn take(store: &Arc<dyn Store>, key: &StoreKey) -> Result<Option<Self>, StoreFault> {
        let name = format!("refresh:{key}");
        let holder: [u8; 16] = entropy::random().map_err(|_| StoreFault::Broken)?;
        let holder: String = holder.iter().map(|byte| format!("{byte:02x}")).collect();
        match store.take(&name, &holder, LASTS).await {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(fault) => {
                // It may have happened all the same.
                let _ = store.give_back(&name, &holder).await;
                return Err(fault);
            }
        }
        let lost = Arc::new(AtomicBool::new(false));
        let keeper = {
            let (store, name, holder, lost) = (store.clone(), name.clone(), holder.clone(), lost.clone());
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(EVERY).await;
                    if store.extend(&name, &holder, LASTS).await == Ok(false) {
                        lost.store(true, Ordering::Relaxed);
                    }
                }
            })
        };
        Ok(Some(Self { store: store.clone(), name, holder, lost, keeper }))
    }

    /// Whether another may have had it meanwhile.
    pub(super) fn was_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// Lets the next one have it.
    pub(in crate::sessions) async fn give_back(self) {
        self.keeper.abort();
        // If that fails it is over by itself.
        let _ = self.store.give_back(&self.name, &self.holder).await;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    #[tokio::test]
    async fn refr_02_one_has_it_and_the_next_when_it_is_given_back() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::with_limits(10, 10));
        let (key, other) = (StoreKey::of("one"), StoreKey::of("two"));
        let first = Lease::take(&store, &key).await.unwrap().unwrap();
        assert!(Lease::take(&store, &key).await.unwrap().is_none());
        assert!(Lease::take(&store, &other).await.unwrap().is_some());
        assert!(!first.was_lost());
        first.give_back().await;
        assert!(Lease::take(&store, &key).await.unwrap().is_some());
    }
}
