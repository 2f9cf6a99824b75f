//! On our own disk: survives this process, and belongs to it alone.
//!
//! One thread writes. It takes all that wait for it, writes them in one transaction and answers when the disk has it, so a
//! thousand sign-ins cost a few flushes. Reads see the last transaction and wait for no write.

mod database;
mod tables;
mod writer;

use std::fmt;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use doorward_policy::session::{Revocation, StoreKey};
use doorward_policy::time::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};

use self::database::{Opener, Shared};
use self::writer::{Job, Work, Writer};
use super::log::{LIMIT, what_key};
use super::memory::SESSIONS;
use super::name::{Holder, Name};
use super::{Cursor, OpenFault, Store, StoreFault, Stored};
use crate::clock::{self, Steady};

pub use self::database::FILE;

/// Writes that may wait for the disk. More are turned away: it is not keeping up.
const WAITING: usize = 4096;
/// Reads at once; each holds a thread.
const READING: usize = 64;
/// How long the end waits for the last write.
const LAST_WRITE: Duration = Duration::from_secs(2);

/// Sessions, names and revocations in one file.
pub struct FileStore {
    shared: Arc<Shared>,
    /// `None` only while it is dropped.
    jobs: Option<SyncSender<Job>>,
    /// Closed when the writer's thread has ended.
    ended: Mutex<Receiver<()>>,
    /// By which revocations are over: sessions that come back with the clock harm nobody, and lost sign-outs do.
    steady: Arc<Steady>,
    control: Handle,
    reading: Arc<Semaphore>,
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStore").field("well", &self.shared.is_well()).finish_non_exhaustive()
    }
}

impl FileStore {
    /// Opens [`FILE`] in `state_dir`, or makes it. All of it is read and checked first.
    ///
    /// # Errors
    /// [`OpenFault`]: the folder cannot be used, another process has the file, or it is damaged.
    pub fn open(state_dir: &Path, control: &Handle) -> Result<Self, OpenFault> {
        Self::start(Opener::at(state_dir), control, SESSIONS, LIMIT, Steady::new())
    }

    /// As [`Self::open`], with room for so many sessions and revocations, and a wall clock that is believed at once.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub fn with_limits(state_dir: &Path, control: &Handle, sessions: usize, revocations: usize) -> Result<Self, OpenFault> {
        Self::start(Opener::at(state_dir), control, sessions, revocations, Steady::settled())
    }

    fn start(opener: Opener, control: &Handle, sessions: usize, revocations: usize, steady: Steady) -> Result<Self, OpenFault> {
        let (shared, steady) = (Arc::new(Shared::new(opener)?), Arc::new(steady));
        let (jobs, waiting) = std::sync::mpsc::sync_channel(WAITING);
        let (end, ended) = std::sync::mpsc::channel();
        let writer = Writer::new(shared.clone(), sessions, revocations, steady.clone());
        std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || {
                writer.run(&waiting);
                drop(end);
            })
            .map_err(|error| OpenFault(format!("server.state_dir: no thread for it: {error}")))?;
        Ok(Self {
            shared,
            jobs: Some(jobs),
            ended: Mutex::new(ended),
            steady,
            control: control.clone(),
            reading: Arc::new(Semaphore::new(READING)),
        })
    }

    /// Hands work to the writer and waits until it is done. It is done, too, when nobody waits for it any more.
    async fn write(&self, work: Work) -> Result<bool, StoreFault> {
        let (done, answer) = oneshot::channel();
        let jobs = self.jobs.as_ref().ok_or(StoreFault::Broken)?;
        jobs.try_send(Job { work, done }).map_err(|error| match error {
            TrySendError::Full(_) => StoreFault::Unreachable,
            TrySendError::Disconnected(_) => StoreFault::Broken,
        })?;
        answer.await.unwrap_or(Err(StoreFault::Broken))
    }

    /// Runs `look` where it may wait for the disk.
    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&redb::Database) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, StoreFault> {
        let permit = self.reading.clone().acquire_owned().await.map_err(|_| StoreFault::Broken)?;
        let shared = self.shared.clone();
        let looked = self.control.spawn_blocking(move || {
            let _permit = permit;
            let database = shared.database().ok_or(StoreFault::Broken)?;
            look(&database).map_err(|error| shared.failed(&error))
        });
        looked.await.unwrap_or(Err(StoreFault::Broken))
    }
}

impl Drop for FileStore {
    fn drop(&mut self) {
        drop(self.jobs.take());
        // An error is the thread's end: what we wait for.
        let _ = self.ended.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(LAST_WRITE);
    }
}

#[async_trait]
impl Store for FileStore {
    fn is_shared(&self) -> bool {
        false
    }

    fn is_lasting(&self) -> bool {
        true
    }

    async fn read(&self, key: &StoreKey) -> Result<Option<Stored>, StoreFault> {
        let key = *key.as_bytes();
        let found = self.look(move |database| tables::session(database, &key)).await?;
        Ok(found.filter(|stored| stored.until > clock::now()))
    }

    async fn create(&self, key: &StoreKey, sealed: Vec<u8>, until: Timestamp) -> Result<(), StoreFault> {
        self.write(Work::Create { key: *key.as_bytes(), sealed, until }).await.map(drop)
    }

    async fn replace(&self, key: &StoreKey, sealed: Vec<u8>) -> Result<bool, StoreFault> {
        self.write(Work::Replace { key: *key.as_bytes(), sealed }).await
    }

    async fn touch(&self, key: &StoreKey, until: Timestamp) -> Result<bool, StoreFault> {
        self.write(Work::Touch { key: *key.as_bytes(), until }).await
    }

    async fn remove(&self, key: &StoreKey) -> Result<(), StoreFault> {
        self.write(Work::Remove { key: *key.as_bytes() }).await.map(drop)
    }

    async fn take(&self, name: &str, holder: &str, lasts: Duration) -> Result<bool, StoreFault> {
        self.write(Work::Take { name: *Name::of(name).as_bytes(), holder: *Holder::of(holder).as_bytes(), lasts }).await
    }

    async fn extend(&self, name: &str, holder: &str, lasts: Duration) -> Result<bool, StoreFault> {
        self.write(Work::Extend { name: *Name::of(name).as_bytes(), holder: *Holder::of(holder).as_bytes(), lasts }).await
    }

    async fn give_back(&self, name: &str, holder: &str) -> Result<(), StoreFault> {
        self.write(Work::GiveBack { name: *Name::of(name).as_bytes(), holder: *Holder::of(holder).as_bytes() }).await.map(drop)
    }

    async fn revoke(&self, entry: &Revocation) -> Result<(), StoreFault> {
        self.write(Work::Revoke { key: what_key(&entry.what), entry: entry.clone() }).await.map(drop)
    }

    async fn revocations(&self, after: Cursor) -> Result<(Vec<Revocation>, Cursor), StoreFault> {
        let (entries, minor) = self.look(move |database| tables::revocations(database, after.minor)).await?;
        let now = self.steady.now();
        Ok((entries.into_iter().filter(|entry| entry.until > now).collect(), Cursor { minor, ..Cursor::default() }))
    }

    async fn is_well(&self) -> bool {
        self.shared.is_well()
    }
}

#[cfg(test)]
mod tests;
