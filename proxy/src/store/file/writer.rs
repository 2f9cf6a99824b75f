//! The one thread that writes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use doorward_policy::session::Revocation;
use doorward_policy::time::Timestamp;
use redb::{Durability, Error};
use tokio::sync::oneshot;

use super::database::{Shared, panicked};
use super::tables::{OF_NAME, OF_REVOCATION, OF_SESSION, Tables, millis};
use crate::clock::Steady;
use crate::store::StoreFault;
use crate::store::memory::NAMES;

/// Written in one transaction.
const AT_ONCE: usize = 512;
/// How long the last ends of sessions may be in memory alone, and between two sweeps.
const TICK: Duration = Duration::from_secs(1);
/// Entries that are over, dropped along with a transaction.
const SWEPT: usize = 512;

type Key = [u8; 32];

/// Something to write.
#[derive(Debug)]
pub(super) enum Work {
    Create { key: Key, sealed: Vec<u8>, until: Timestamp },
    Replace { key: Key, sealed: Vec<u8> },
    Touch { key: Key, until: Timestamp },
    Remove { key: Key },
    Take { name: Key, holder: Key, lasts: Duration },
    Extend { name: Key, holder: Key, lasts: Duration },
    GiveBack { name: Key, holder: Key },
    Revoke { key: Key, entry: Revocation },
}

impl Work {
    /// Whether the disk must have it before anybody is told. What is not: ends that moved, and leases given back.
    fn must_last(&self) -> bool {
        match self {
            Self::Touch { .. } | Self::Extend { .. } | Self::GiveBack { .. } => false,
            Self::Create { .. } | Self::Replace { .. } | Self::Remove { .. } | Self::Take { .. } | Self::Revoke { .. } => true,
        }
    }
}

/// Work, and who waits for it.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) work: Work,
    pub(super) done: oneshot::Sender<Result<bool, StoreFault>>,
}

pub(super) struct Writer {
    shared: Arc<Shared>,
    sessions: usize,
    revocations: usize,
    /// By which revocations are over.
    steady: Arc<Steady>,
    /// The place of the last revocation, also of one that is gone.
    last_place: u64,
    /// Something is written that the disk may not have.
    is_behind: bool,
    swept: Instant,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, sessions: usize, revocations: usize, steady: Arc<Steady>) -> Self {
        Self { shared, sessions, revocations, steady, last_place: 0, is_behind: false, swept: Instant::now() }
    }

    /// Until nobody can send any more.
    pub(super) fn run(mut self, waiting: &Receiver<Job>) {
        loop {
            let mut jobs = Vec::new();
            match waiting.recv_timeout(TICK) {
                Ok(job) => jobs.push(job),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            jobs.extend(waiting.try_iter().take(AT_ONCE - jobs.len()));
            let is_tick = self.swept.elapsed() >= TICK;
            if !jobs.is_empty() || is_tick {
                self.serve(jobs, is_tick);
            }
        }
    }

    fn serve(&mut self, jobs: Vec<Job>, is_tick: bool) {
        if is_tick {
            self.swept = Instant::now();
        }
        let works: Vec<&Work> = jobs.iter().map(|job| &job.work).collect();
        let outcome = catch_unwind(AssertUnwindSafe(|| self.write(&works, is_tick))).unwrap_or_else(|_| Err(Some(panicked())));
        drop(works);
        match outcome {
            Ok(answers) => {
                for (job, answer) in jobs.into_iter().zip(answers) {
                    // Whoever asked may have gone.
                    let _ = job.done.send(answer);
                }
            }
            Err(error) => {
                self.is_behind = false;
                let fault = error.map_or(StoreFault::Broken, |error| self.shared.failed(&error));
                for job in jobs {
                    let _ = job.done.send(Err(fault));
                }
            }
        }
    }

    /// One transaction. `Err(None)`: the database is not open.
    fn write(&mut self, works: &[&Work], is_tick: bool) -> Result<Vec<Result<bool, StoreFault>>, Option<Error>> {
        let database = self.shared.mend().ok_or(None)?;
        self.transact(&database, works, is_tick).map_err(Some)
    }

    fn transact(&mut self, database: &redb::Database, works: &[&Work], is_tick: bool) -> Result<Vec<Result<bool, StoreFault>>, Error> {
        let mut transaction = database.begin_write()?;
        let must_last = works.iter().any(|work| work.must_last()) || (is_tick && self.is_behind);
        if !must_last {
            transaction.set_durability(Durability::None)?;
        }
        let now = now_millis();
        let mut answers = Vec::with_capacity(works.len());
        let swept = {
            let mut tables = Tables::open(&transaction)?;
            self.last_place = self.last_place.max(tables.last_place()?);
            for work in works {
                answers.push(self.apply(&mut tables, work, now)?);
            }
            if is_tick {
                let over = millis(self.steady.now());
                tables.sweep(OF_SESSION, now, SWEPT)? + tables.sweep(OF_NAME, now, SWEPT)? + tables.sweep(OF_REVOCATION, over, SWEPT)?
            } else {
                0
            }
        };
        if works.is_empty() && swept == 0 && !must_last {
            transaction.abort()?;
        } else {
            transaction.commit()?;
            self.is_behind = !must_last;
        }
        self.shared.worked();
        Ok(answers)
    }

    fn apply(&mut self, tables: &mut Tables<'_>, work: &Work, now: i64) -> Result<Result<bool, StoreFault>, redb::StorageError> {
        match work {
            Work::Create { key, sealed, until } => tables.create(key, sealed, millis(*until), now, self.sessions),
            Work::Replace { key, sealed } => tables.replace(key, sealed, now),
            Work::Touch { key, until } => tables.touch(key, millis(*until), now),
            Work::Remove { key } => tables.remove(key),
            Work::Take { name, holder, lasts } => tables.take(name, holder, after(now, *lasts), now, NAMES),
            Work::Extend { name, holder, lasts } => tables.extend(name, holder, after(now, *lasts), now),
            Work::GiveBack { name, holder } => tables.give_back(name, holder, now),
            Work::Revoke { key, entry } => {
                self.last_place += 1;
                tables.revoke(key, entry, self.last_place, millis(self.steady.now()), self.revocations)
            }
        }
    }
}

fn after(now: i64, lasts: Duration) -> i64 {
    now.saturating_add(i64::try_from(lasts.as_millis()).unwrap_or(i64::MAX))
}

fn now_millis() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
