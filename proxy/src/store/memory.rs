//! In this process: gone with it, and nobody else's.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use doorward_policy::session::{Revocation, StoreKey};
use doorward_policy::time::Timestamp;
use tokio::runtime::Handle;

use super::expiring::{Expiring, NoRoom};
use super::log::{LIMIT, Log};
use super::name::{Holder, Name};
use super::{Cursor, Store, StoreFault, Stored};
use crate::clock::{self, Steady};

/// Sessions held at once.
pub const SESSIONS: usize = 1_000_000;
/// Names taken at once.
pub const NAMES: usize = 1_000_000;
/// What is over goes at least this often, also when nobody comes.
const SWEEP: Duration = Duration::from_secs(10);

/// Sessions, names and revocations in bounded maps.
pub struct MemoryStore {
    sessions: Expiring<Vec<u8>>,
    names: Expiring<Holder>,
    log: Mutex<Log>,
    /// By which revocations are over: sessions that come back with the clock harm nobody, and lost sign-outs do.
    steady: Steady,
    /// Names last by a clock that nobody sets.
    start: Instant,
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("sessions", &self.sessions.len()).field("names", &self.names.len()).finish_non_exhaustive()
    }
}

impl MemoryStore {
    /// An empty store, swept on `control` for as long as it lives.
    pub fn new(control: &Handle) -> Arc<Self> {
        let store = Arc::new(Self::with(SESSIONS, LIMIT, Steady::new()));
        let this = Arc::downgrade(&store);
        control.spawn(async move {
            loop {
                tokio::time::sleep(SWEEP).await;
                let Some(store) = this.upgrade() else { return };
                store.sweep();
            }
        });
        store
    }

    /// An empty store that is swept only by what is written to it, and believes the wall clock at once.
    pub fn with_limits(sessions: usize, revocations: usize) -> Self {
        Self::with(sessions, revocations, Steady::settled())
    }

    fn with(sessions: usize, revocations: usize, steady: Steady) -> Self {
        Self {
            sessions: Expiring::new(sessions),
            names: Expiring::new(NAMES),
            log: Mutex::new(Log::new(revocations)),
            steady,
            start: Instant::now(),
        }
    }

    fn sweep(&self) {
        self.sessions.sweep(millis(clock::now()));
        self.names.sweep(self.elapsed());
        self.log().sweep(self.steady.now());
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn elapsed(&self) -> i64 {
        i64::try_from(self.start.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    fn ends(&self, lasts: Duration) -> i64 {
        self.elapsed().saturating_add(i64::try_from(lasts.as_millis()).unwrap_or(i64::MAX))
    }
}

fn millis(time: Timestamp) -> i64 {
    time.0.saturating_mul(1000)
}

impl From<NoRoom> for StoreFault {
    fn from(_: NoRoom) -> Self {
        Self::Full
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn is_shared(&self) -> bool {
        false
    }

    fn is_lasting(&self) -> bool {
        false
    }

    async fn read(&self, key: &StoreKey) -> Result<Option<Stored>, StoreFault> {
        let look = |sealed: &Vec<u8>, end: i64| Stored { sealed: sealed.clone(), until: Timestamp(end / 1000) };
        Ok(self.sessions.read(key.as_bytes(), millis(clock::now()), look))
    }

    async fn create(&self, key: &StoreKey, sealed: Vec<u8>, until: Timestamp) -> Result<(), StoreFault> {
        Ok(self.sessions.insert(*key.as_bytes(), sealed, millis(until), millis(clock::now()))?)
    }

    async fn replace(&self, key: &StoreKey, sealed: Vec<u8>) -> Result<bool, StoreFault> {
        Ok(self.sessions.update(key.as_bytes(), millis(clock::now()), |value, _| *value = sealed).is_some())
    }

    async fn touch(&self, key: &StoreKey, until: Timestamp) -> Result<bool, StoreFault> {
        Ok(self.sessions.update(key.as_bytes(), millis(clock::now()), |_, end| *end = millis(until).max(*end)).is_some())
    }

    async fn remove(&self, key: &StoreKey) -> Result<(), StoreFault> {
        self.sessions.remove(key.as_bytes());
        Ok(())
    }

    async fn take(&self, name: &str, holder: &str, lasts: Duration) -> Result<bool, StoreFault> {
        Ok(self.names.insert_first(*Name::of(name).as_bytes(), Holder::of(holder), self.ends(lasts), self.elapsed())?)
    }

    async fn extend(&self, name: &str, holder: &str, lasts: Duration) -> Result<bool, StoreFault> {
        let (holder, ends) = (Holder::of(holder), self.ends(lasts));
        let extended = |known: &mut Holder, end: &mut i64| {
            let ours = *known == holder;
            *end = if ours { ends.max(*end) } else { *end };
            ours
        };
        Ok(self.names.update(Name::of(name).as_bytes(), self.elapsed(), extended).unwrap_or(false))
    }

    async fn give_back(&self, name: &str, holder: &str) -> Result<(), StoreFault> {
        let holder = Holder::of(holder);
        self.names.remove_if(Name::of(name).as_bytes(), |known| *known == holder);
        Ok(())
    }

    async fn revoke(&self, entry: &Revocation) -> Result<(), StoreFault> {
        self.log().add(entry, self.steady.now())
    }

    async fn revocations(&self, after: Cursor) -> Result<(Vec<Revocation>, Cursor), StoreFault> {
        let (entries, minor) = self.log().after(after.minor, self.steady.now());
        Ok((entries, Cursor { minor, ..Cursor::default() }))
    }

    async fn is_well(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use doorward_policy::session::What;

    use super::*;

    #[tokio::test]
    async fn a_clock_that_runs_ahead_sweeps_sessions_and_no_revocation() {
        for (steady, left) in [(Steady::new(), 1), (Steady::settled(), 0)] {
            let (store, key) = (MemoryStore::with(10, 10, steady), StoreKey::of("one"));
            let until = clock::now().plus(Duration::from_secs(1));
            store.create(&key, vec![1], until).await.unwrap();
            store.revoke(&Revocation { what: What::Issuer("https://idp/".into()), not_before: Timestamp(0), until }).await.unwrap();
            // By the wall clock both are over; whether it tells the truth is another matter.
            tokio::time::sleep(Duration::from_millis(1100)).await;
            store.sweep();
            assert_eq!(store.sessions.len(), 0);
            assert_eq!(store.revocations(Cursor::default()).await.unwrap().0.len(), left);
        }
    }
}
