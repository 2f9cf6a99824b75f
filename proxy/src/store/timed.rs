//! The one way to a store: bounded, measured, counted.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use doorward_policy::session::{Revocation, StoreKey};
use doorward_policy::time::Timestamp;
use prometheus::{Histogram, IntCounter};

use super::{Cursor, Store, StoreFault, Stored};
use crate::metrics::Metrics;

/// Nobody waits longer for a store.
pub const BOUND: Duration = Duration::from_secs(2);
/// The longest value kept. A sealed session is far below.
const VALUE_LIMIT: usize = 256 * 1024;

/// A store whose calls end in time and are counted.
#[derive(Debug)]
pub struct Timed {
    store: Arc<dyn Store>,
    bound: Duration,
    read: Operation,
    create: Operation,
    replace: Operation,
    touch: Operation,
    remove: Operation,
    take: Operation,
    extend: Operation,
    give_back: Operation,
    revoke: Operation,
    revocations: Operation,
    ping: Operation,
}

#[derive(Debug)]
struct Operation {
    duration: Histogram,
    errors: IntCounter,
}

impl Timed {
    pub fn new(store: Arc<dyn Store>, metrics: &Metrics) -> Self {
        Self::bounded(store, metrics, BOUND)
    }

    /// As [`Self::new`], with another bound.
    pub fn bounded(store: Arc<dyn Store>, metrics: &Metrics, bound: Duration) -> Self {
        let operation = |name: &str| Operation {
            duration: metrics.store_durations.with_label_values(&[name]),
            errors: metrics.store_errors.with_label_values(&[name]),
        };
        Self {
            store,
            bound,
            read: operation("read"),
            create: operation("create"),
            replace: operation("replace"),
            touch: operation("touch"),
            remove: operation("remove"),
            take: operation("take"),
            extend: operation("extend"),
            give_back: operation("give_back"),
            revoke: operation("revoke"),
            revocations: operation("revocations"),
            ping: operation("ping"),
        }
    }

    async fn timed<T>(&self, operation: &Operation, call: impl Future<Output = Result<T, StoreFault>>) -> Result<T, StoreFault> {
        let timer = operation.duration.start_timer();
        let outcome = tokio::time::timeout(self.bound, call).await.unwrap_or(Err(StoreFault::Unreachable));
        timer.observe_duration();
        if outcome.is_err() {
            operation.errors.inc();
        }
        outcome
    }
}

/// What is too long is no room for one: no store is asked.
fn fits(sealed: &[u8]) -> Result<(), StoreFault> {
    if sealed.len() > VALUE_LIMIT { Err(StoreFault::Full) } else { Ok(()) }
}

#[async_trait]
impl Store for Timed {
    fn is_shared(&self) -> bool {
        self.store.is_shared()
    }

    fn is_lasting(&self) -> bool {
        self.store.is_lasting()
    }

    async fn read(&self, key: &StoreKey) -> Result<Option<Stored>, StoreFault> {
        self.timed(&self.read, self.store.read(key)).await
    }

    async fn create(&self, key: &StoreKey, sealed: Vec<u8>, until: Timestamp) -> Result<(), StoreFault> {
        let call = async {
            fits(&sealed)?;
            self.store.create(key, sealed, until).await
        };
        self.timed(&self.create, call).await
    }

    async fn replace(&self, key: &StoreKey, sealed: Vec<u8>) -> Result<bool, StoreFault> {
        let call = async {
            fits(&sealed)?;
            self.store.replace(key, sealed).await
        };
        self.timed(&self.replace, call).await
    }

    async fn touch(&self, key: &StoreKey, until: Timestamp) -> Result<bool, StoreFault> {
        self.timed(&self.touch, self.store.touch(key, until)).await
    }

    async fn remove(&self, key: &StoreKey) -> Result<(), StoreFault> {
        self.timed(&self.remove, self.store.remove(key)).await
    }

    async fn take(&self, name: &str, holder: &str, lasts: Duration) -> Result<bool, StoreFault> {
        self.timed(&self.take, self.store.take(name, holder, lasts)).await
    }

    async fn extend(&self, name: &str, holder: &str, lasts: Duration) -> Result<bool, StoreFault> {
        self.timed(&self.extend, self.store.extend(name, holder, lasts)).await
    }

    async fn give_back(&self, name: &str, holder: &str) -> Result<(), StoreFault> {
        self.timed(&self.give_back, self.store.give_back(name, holder)).await
    }

    async fn revoke(&self, entry: &Revocation) -> Result<(), StoreFault> {
        self.timed(&self.revoke, self.store.revoke(entry)).await
    }

    async fn revocations(&self, after: Cursor) -> Result<(Vec<Revocation>, Cursor), StoreFault> {
        self.timed(&self.revocations, self.store.revocations(after)).await
    }

    async fn is_well(&self) -> bool {
        let call = async { if self.store.is_well().await { Ok(()) } else { Err(StoreFault::Unreachable) } };
        self.timed(&self.ping, call).await.is_ok()
    }
}

#[cfg(test)]
mod tests;
