//! What outlives a request, and with Redis a process: sessions, names that only one may have, and revocations.
//!
//! A store keeps bytes it cannot read: sessions are sealed before they come here, and the names of things are hashed. Every
//! call is bounded and counted by [`Timed`], which is what [`Opened`] hands out.

mod expiring;
mod file;
mod log;
mod memory;
mod name;
mod opened;
mod redis;
mod split;
mod timed;

pub use file::{FILE, FileStore};
pub use log::LIMIT as REVOCATIONS;
pub use memory::MemoryStore;
pub use opened::Opened;
pub use redis::RedisStore;
pub use split::SplitStore;
pub use timed::{BOUND, Timed};

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use doorward_policy::session::{Revocation, StoreKey};
use doorward_policy::time::Timestamp;

/// What was kept, as it was given.
#[derive(Clone, PartialEq, Eq)]
pub struct Stored {
    pub sealed: Vec<u8>,
    /// When it ends unless somebody touches it.
    pub until: Timestamp,
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stored({} bytes until {})", self.sealed.len(), self.until.0)
    }
}

/// Why a store did not do what it was asked. None of them says anything about a session: the caller cannot know, and refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum StoreFault {
    /// Not there, or no answer in time. Whether a write happened is not known.
    #[error("the store cannot be reached")]
    Unreachable,
    /// It answers, and does not do what is asked: wrong password, disk failing, something in it that is not ours.
    #[error("the store does not work")]
    Broken,
    /// No room for more; what is over is gone already.
    #[error("the store is full")]
    Full,
}

impl StoreFault {
    /// What logs and metrics call it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Broken => "broken",
            Self::Full => "full",
        }
    }
}

/// Why a store cannot be used at all: a text for whoever starts Doorward.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OpenFault(pub String);

/// A place in the list of revocations. The default is the beginning; one of another store, or of another process, means nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cursor {
    /// Of the connection that read it: after an outage the list is read again from the beginning.
    pub(crate) connection: u64,
    pub(crate) major: u64,
    pub(crate) minor: u64,
}

/// What outlives a request, and with Redis a process. Values are sealed before they come here.
///
/// What is over is never read, whenever it is swept. A call that fails may still have happened.
#[async_trait]
pub trait Store: Send + Sync + fmt::Debug {
    /// Whether other processes may write to it.
    fn is_shared(&self) -> bool;

    /// Whether what it holds survives a restart of this process.
    fn is_lasting(&self) -> bool;

    async fn read(&self, key: &StoreKey) -> Result<Option<Stored>, StoreFault>;

    /// Keeps `sealed` until then, instead of what was there.
    async fn create(&self, key: &StoreKey, sealed: Vec<u8>, until: Timestamp) -> Result<(), StoreFault>;

    /// Only what is there, keeping its end: false when it is gone.
    async fn replace(&self, key: &StoreKey, sealed: Vec<u8>) -> Result<bool, StoreFault>;

    /// Moves the end, never nearer: false when it is gone. The new end may be lost if the process or the store dies just then.
    async fn touch(&self, key: &StoreKey, until: Timestamp) -> Result<bool, StoreFault>;

    async fn remove(&self, key: &StoreKey) -> Result<(), StoreFault>;

    /// The first to take a name has it until it gives it back or `lasts` is over (leases, single-use codes, `jti`s). Whoever
    /// asks a second time is not the first, also the holder.
    async fn take(&self, name: &str, holder: &str, lasts: Duration) -> Result<bool, StoreFault>;

    /// The holder has it for `lasts` from now, and never for less than before: false when it is not the holder's (any more).
    async fn extend(&self, name: &str, holder: &str, lasts: Duration) -> Result<bool, StoreFault>;

    /// Does nothing when the name is not the holder's (any more).
    async fn give_back(&self, name: &str, holder: &str) -> Result<(), StoreFault>;

    /// Appends to the list of revocations. The list is bounded ([`REVOCATIONS`]) and gives nothing up before its time:
    /// [`StoreFault::Full`] when nothing in it is over. There is always room for one of a whole issuer, and it makes room: it
    /// takes the place of others of its issuer that end no later, of so many at least that the next find the list not full.
    async fn revoke(&self, entry: &Revocation) -> Result<(), StoreFault>;

    /// Those after `after` that are not over, and the place to ask from next time. At most a few thousand at once: ask until
    /// the place no longer changes. An entry may come twice; adding it twice changes nothing.
    async fn revocations(&self, after: Cursor) -> Result<(Vec<Revocation>, Cursor), StoreFault>;

    /// Whether it can be used now.
    async fn is_well(&self) -> bool;
}
