//! The one way to a store: bounded, measured, counted.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use doorward_policy::session::{Revocation, StoreKey};
use doorward_policy::time::Timestamp;
use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec};

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
        Self::counted(store, &metrics.store_durations, &metrics.store_errors)
    }

    fn counted(store: Arc<dyn Store>, durations: &HistogramVec, errors: &IntCounterVec) -> Self {
        let operation =
            |name: &str| Operation { duration: durations.with_label_values(&[name]), errors: errors.with_label_values(&[name]) };
        Self {
            store,
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
        let outcome = tokio::time::timeout(BOUND, call).await.unwrap_or(Err(StoreFault::Unreachable));
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
mod tests {
    use prometheus::{HistogramOpts, Opts};

    use super::*;
    use crate::clock;
    use crate::store::{MemoryStore, SplitStore};

    fn timed(store: Arc<dyn Store>) -> Timed {
        let durations = HistogramVec::new(HistogramOpts::new("durations", "…"), &["op"]).unwrap();
        let errors = IntCounterVec::new(Opts::new("errors", "…"), &["op"]).unwrap();
        Timed::counted(store, &durations, &errors)
    }

    /// Answers nothing, ever.
    #[derive(Debug)]
    struct Stuck;

    #[async_trait]
    impl Store for Stuck {
        fn is_shared(&self) -> bool {
            true
        }
        fn is_lasting(&self) -> bool {
            true
        }
        async fn read(&self, _: &StoreKey) -> Result<Option<Stored>, StoreFault> {
            std::future::pending().await
        }
        async fn create(&self, _: &StoreKey, _: Vec<u8>, _: Timestamp) -> Result<(), StoreFault> {
            std::future::pending().await
        }
        async fn replace(&self, _: &StoreKey, _: Vec<u8>) -> Result<bool, StoreFault> {
            std::future::pending().await
        }
        async fn touch(&self, _: &StoreKey, _: Timestamp) -> Result<bool, StoreFault> {
            std::future::pending().await
        }
        async fn remove(&self, _: &StoreKey) -> Result<(), StoreFault> {
            std::future::pending().await
        }
        async fn take(&self, _: &str, _: &str, _: Duration) -> Result<bool, StoreFault> {
            std::future::pending().await
        }
        async fn extend(&self, _: &str, _: &str, _: Duration) -> Result<bool, StoreFault> {
            std::future::pending().await
        }
        async fn give_back(&self, _: &str, _: &str) -> Result<(), StoreFault> {
            std::future::pending().await
        }
        async fn revoke(&self, _: &Revocation) -> Result<(), StoreFault> {
            std::future::pending().await
        }
        async fn revocations(&self, _: Cursor) -> Result<(Vec<Revocation>, Cursor), StoreFault> {
            std::future::pending().await
        }
        async fn is_well(&self) -> bool {
            std::future::pending().await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn sess_41_no_call_outlives_the_bound() {
        let store = timed(Arc::new(Stuck));
        let (key, begin) = (StoreKey::of("one"), tokio::time::Instant::now());
        assert_eq!(store.read(&key).await, Err(StoreFault::Unreachable));
        assert_eq!(store.create(&key, vec![], Timestamp(1)).await, Err(StoreFault::Unreachable));
        assert_eq!(store.replace(&key, vec![]).await, Err(StoreFault::Unreachable));
        assert_eq!(store.touch(&key, Timestamp(1)).await, Err(StoreFault::Unreachable));
        assert_eq!(store.remove(&key).await, Err(StoreFault::Unreachable));
        assert_eq!(store.take("name", "holder", BOUND).await, Err(StoreFault::Unreachable));
        assert_eq!(store.extend("name", "holder", BOUND).await, Err(StoreFault::Unreachable));
        assert_eq!(store.give_back("name", "holder").await, Err(StoreFault::Unreachable));
        assert_eq!(store.revocations(Cursor::default()).await, Err(StoreFault::Unreachable));
        assert!(!store.is_well().await);
        assert_eq!(begin.elapsed().as_secs(), BOUND.as_secs() * 10);
        assert_eq!((store.read.errors.get(), store.read.duration.get_sample_count()), (1, 1));
    }

    #[tokio::test]
    async fn a_value_that_is_too_long_is_refused_and_one_that_fits_is_kept() {
        let store = timed(Arc::new(MemoryStore::with_limits(10, 10)));
        let (key, until) = (StoreKey::of("one"), clock::now().plus(Duration::from_secs(60)));
        assert_eq!(store.create(&key, vec![0; VALUE_LIMIT + 1], until).await, Err(StoreFault::Full));
        assert_eq!(store.create(&key, vec![0; VALUE_LIMIT], until).await, Ok(()));
        assert_eq!(store.replace(&key, vec![0; VALUE_LIMIT + 1]).await, Err(StoreFault::Full));
        assert_eq!(store.replace(&key, vec![0; VALUE_LIMIT]).await, Ok(true));
        assert_eq!((store.create.errors.get(), store.read.errors.get()), (1, 0));
    }

    #[tokio::test]
    async fn sessions_of_a_split_store_go_elsewhere_than_revocations() {
        let (sessions, rest) = (Arc::new(MemoryStore::with_limits(10, 10)), Arc::new(MemoryStore::with_limits(10, 10)));
        let store = SplitStore::new(sessions.clone(), rest.clone());
        let (key, until) = (StoreKey::of("one"), clock::now().plus(Duration::from_secs(60)));
        store.create(&key, vec![1], until).await.unwrap();
        assert!(store.take("name", "holder", BOUND).await.unwrap());
        assert!(sessions.read(&key).await.unwrap().is_some() && rest.read(&key).await.unwrap().is_none());
        assert!(sessions.take("name", "holder", BOUND).await.unwrap() && !rest.take("name", "holder", BOUND).await.unwrap());
    }

    #[tokio::test]
    async fn a_full_memory_refuses_and_what_is_over_makes_room() {
        let store = MemoryStore::with_limits(1, 10);
        let (one, two) = (StoreKey::of("one"), StoreKey::of("two"));
        let (soon, far) = (clock::now().plus(Duration::from_secs(1)), clock::now().plus(Duration::from_secs(60)));
        store.create(&one, vec![1], soon).await.unwrap();
        if clock::now() < soon {
            assert_eq!(store.create(&two, vec![2], far).await, Err(StoreFault::Full));
        }
        tokio::time::sleep(Duration::from_millis(1100)).await;
        assert_eq!(store.create(&two, vec![2], far).await, Ok(()));
        assert_eq!(store.create(&one, vec![1], far).await, Err(StoreFault::Full));
    }
}
