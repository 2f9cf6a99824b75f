//! What was signed out before its time: read by every request, written by few, shared with other processes by a store.
//!
//! An entry counts here at once, and is stored before whoever asked for it is answered. While the store cannot be
//! reached it counts here all the same, and is stored once it can be: the store is never the reason that somebody stays
//! signed in here. What other processes revoke meanwhile is not known: that is the bound of an unreachable store, and
//! `doorward_revocations_read_timestamp_seconds` tells it. A process that never reached it knows nothing, and vouches for
//! nobody's session.

mod succession;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use doorward_policy::session::{Revocation, Revocations, Session, SessionFacts, What};
use doorward_policy::time::Timestamp;
use tokio::runtime::Handle;

use crate::clock::{self, Steady};
use crate::metrics::Metrics;
use crate::store::{Cursor, Store, StoreFault};

/// Between two looks at what other processes revoked.
const EVERY: Duration = Duration::from_millis(500);
/// How long the start waits for a long list.
const FIRST_READ: Duration = Duration::from_secs(5);
/// Between two looks for what is over.
const SWEEP: Duration = Duration::from_secs(60);
/// A session may begin this much later than its ID token was issued, by another clock.
const SLACK: Duration = Duration::from_secs(900);
/// How often a store is asked to drop what an entry of everybody's covers, until all of it is gone.
const ROOM: usize = 30;
/// Entries that wait for the store. More than that become one for everybody of an issuer.
const WAITING: usize = 10_000;

/// The revocations in force.
#[derive(Debug)]
pub struct RevocationList {
    current: ArcSwap<Revocations>,
    /// False as long as nothing ever was: then nobody looks any further.
    any: AtomicBool,
    /// What was revoked before this process began is known.
    known: AtomicBool,
    /// One writer at a time; readers do not wait for it.
    writing: Mutex<()>,
    /// Not stored yet, oldest first.
    waiting: Mutex<VecDeque<Revocation>>,
    reading: tokio::sync::Mutex<Reading>,
    /// By which entries are over.
    steady: Steady,
    store: Arc<dyn Store>,
    /// No session lives longer, nor did since this process began; in seconds.
    lifetime: AtomicU64,
    /// Another store's list that takes the place of this one: it is told as well.
    successor: ArcSwapOption<RevocationList>,
    metrics: Arc<Metrics>,
    control: Handle,
}

/// Where reading the store has got to.
#[derive(Debug, Default)]
struct Reading {
    cursor: Cursor,
    /// The store was read to its end since it was last out of reach.
    complete: bool,
    /// The last attempt failed, and the log says so.
    failing: bool,
}

impl RevocationList {
    /// An empty list. `issuers` are those whose sessions may live here.
    pub fn new<'i>(
        issuers: impl IntoIterator<Item = &'i str>,
        lifetime: Duration,
        store: Arc<dyn Store>,
        metrics: Arc<Metrics>,
        control: Handle,
    ) -> Arc<Self> {
        Arc::new(Self {
            current: ArcSwap::from_pointee(Revocations::new(issuers)),
            any: AtomicBool::new(false),
            known: AtomicBool::new(!store.is_shared() && !store.is_lasting()),
            writing: Mutex::default(),
            waiting: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
            steady: Steady::new(),
            store,
            lifetime: AtomicU64::new(lifetime.as_secs()),
            successor: ArcSwapOption::empty(),
            metrics,
            control,
        })
    }

    /// Reads the store from its beginning, as at the start.
    pub async fn load_again(self: &Arc<Self>) {
        *self.reading.lock().await = Reading::default();
        self.load().await;
    }

    /// Whether the session behind `facts` counts no longer. Takes no lock; one load while nothing was ever revoked.
    pub fn is_revoked(&self, facts: &SessionFacts) -> bool {
        self.any.load(Ordering::Acquire) && self.current.load().is_revoked(facts)
    }

    /// Whether what was revoked before this process began is known. Until then nobody's session can be vouched for; a process
    /// that knew once goes on with what it knows while the store is away.
    pub fn is_known(&self) -> bool {
        self.known.load(Ordering::Acquire)
    }

    /// The same for a session whose facts nobody keeps.
    pub fn revokes(&self, session: &Session) -> bool {
        self.any.load(Ordering::Acquire) && self.current.load().is_revoked(&session.facts())
    }

    /// The set as it is now: another one as soon as anything in it changes.
    pub fn current(&self) -> Arc<Revocations> {
        self.current.load_full()
    }

    /// Ends `session` alone, until it would have ended by itself. See [`Self::add`].
    pub async fn end_session(self: &Arc<Self>, issuer: &str, session: &Session, now: Timestamp) -> Result<(), StoreFault> {
        self.end_id(issuer, &session.id, session.began, now).await
    }

    /// The same for a session of which no more is known.
    pub async fn end_id(self: &Arc<Self>, issuer: &str, id: &str, began: Timestamp, now: Timestamp) -> Result<(), StoreFault> {
        let what = What::Session { issuer: issuer.into(), id: id.into() };
        let until = began.plus(self.lifetime()).plus(SLACK);
        self.add(Revocation { what, not_before: now, until }).await
    }

    /// Ends what `what` names; of a person's sessions those whose ID token was issued at `not_before` or earlier.
    /// See [`Self::add`].
    pub async fn end(self: &Arc<Self>, what: What, not_before: Timestamp, now: Timestamp) -> Result<(), StoreFault> {
        self.add(self.entry(what, not_before, now)).await
    }

    /// The entry that [`Self::end`] adds.
    pub fn entry(&self, what: What, not_before: Timestamp, now: Timestamp) -> Revocation {
        Revocation { what, not_before, until: now.plus(self.lifetime()).plus(SLACK) }
    }

    fn lifetime(&self) -> Duration {
        Duration::from_secs(self.lifetime.load(Ordering::Relaxed))
    }

    /// Adds an entry. It counts at once in this process. Nobody who goes away meanwhile stops it from being stored.
    ///
    /// # Errors
    /// [`StoreFault`]: it is not stored yet, and other processes do not know of it. It will be, as long as this process lives.
    pub async fn add(self: &Arc<Self>, entry: Revocation) -> Result<(), StoreFault> {
        if let Some(next) = self.successor.load_full() {
            // Here it counts for the requests that are still under way; there for all others, and there it is stored.
            self.apply([&entry]);
            return Box::pin(next.add(entry)).await;
        }
        // Whoever signs out again and again makes no list longer.
        if self.current.load().covers(&entry, SLACK / 2) {
            return if self.waiting().is_empty() { Ok(()) } else { Err(StoreFault::Unreachable) };
        }
        self.metrics.revocations.with_label_values(&[entry.what.label()]).inc();
        self.apply([&entry]);
        let list = self.clone();
        let stored = self.control.spawn(async move {
            let outcome = list.put(&entry).await;
            // A list that took the place of this one meanwhile may have been made without it.
            if let Some(next) = list.successor.load_full() {
                next.take_in(entry).await;
            } else if let Err(fault) = outcome {
                tracing::warn!(what = entry.what.label(), "a revocation could not be stored, it is tried again: {fault}");
                list.wait_with(entry);
            }
            outcome
        });
        stored.await.unwrap_or(Err(StoreFault::Broken))
    }

    /// Entries in force.
    pub fn len(&self) -> usize {
        self.current.load().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the store holds, once, before requests are served. A store that cannot be reached holds up nothing.
    pub async fn load(self: &Arc<Self>) {
        if tokio::time::timeout(FIRST_READ, self.read()).await.is_err() {
            tracing::error!("who was signed out is not all known yet, and nobody's session counts until it is");
        }
    }

    /// Follows the store of the list in use, until its task is dropped.
    pub async fn follow(in_use: impl Fn() -> Arc<Self>) {
        let mut swept = clock::now();
        loop {
            let list = in_use();
            list.read().await;
            list.store_waiting().await;
            let now = clock::now();
            if now.since(swept) >= SWEEP || now < swept {
                swept = now;
                let over = list.steady.now();
                list.change(|set| set.sweep(over));
            }
            list.metrics.revocations_active.set(i64::try_from(list.len()).unwrap_or(i64::MAX));
            list.metrics.revocations_waiting.set(i64::try_from(list.waiting().len()).unwrap_or(i64::MAX));
            drop(list);
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Reads on to the end of the store's list. One that nobody else writes to is read once.
    async fn read(&self) {
        let mut reading = self.reading.lock().await;
        if reading.complete && !self.store.is_shared() {
            return;
        }
        loop {
            match self.store.revocations(reading.cursor).await {
                Ok((entries, cursor)) => {
                    self.apply(&entries);
                    if cursor == reading.cursor {
                        break;
                    }
                    reading.cursor = cursor;
                }
                Err(fault) => {
                    if !reading.failing {
                        reading.failing = true;
                        let effect = match reading.complete {
                            true => "sign-outs of other processes are not heard of until it is back",
                            false => "who was signed out is not known, and nobody's session counts until it is",
                        };
                        tracing::error!("the store cannot be read, {effect}: {fault}");
                    }
                    return;
                }
            }
        }
        if reading.failing {
            tracing::info!("revocations are read again");
        }
        (reading.failing, reading.complete) = (false, true);
        self.known.store(true, Ordering::Release);
        self.metrics.revocations_read_at.set(clock::now().0);
    }

    async fn put(&self, entry: &Revocation) -> Result<(), StoreFault> {
        match self.store.revoke(entry).await {
            // The store gives nothing up before its time. Revoking everybody has a place of its own there.
            Err(StoreFault::Full) if !matches!(entry.what, What::Issuer(_)) => self.make_room(entry).await,
            outcome => outcome,
        }
    }

    /// Ends everybody's sessions at the issuer that fills the list, so that its entries can go; one that is quiet does not pay for it.
    async fn make_room(&self, entry: &Revocation) -> Result<(), StoreFault> {
        let now = clock::now();
        let current = self.current.load();
        let largest = current.largest_issuer().unwrap_or(entry.what.issuer());
        // It outlasts all others, so that they make room for the next: else each further one would end everybody's again.
        let until = entry.until.max(now.plus(self.lifetime()).plus(SLACK));
        let not_before = if largest == entry.what.issuer() { entry.not_before.max(now) } else { now };
        let everybody = Revocation { what: What::Issuer(largest.into()), not_before, until };
        tracing::error!(issuer = largest, "the store is full of revocations: everybody of this issuer signs in again");
        self.apply([&everybody]);
        self.store.revoke(&everybody).await?;
        let (store, again) = (self.store.clone(), everybody);
        self.control.spawn(async move {
            // Each time some thousands of the entries that it covers go; what fails now is tried when the list is full again.
            for _ in 0..ROOM {
                if store.revoke(&again).await.is_err() {
                    return;
                }
            }
        });
        if largest == entry.what.issuer() { Ok(()) } else { self.store.revoke(entry).await }
    }

    fn wait_with(&self, entry: Revocation) {
        let mut waiting = self.waiting();
        if waiting.len() >= WAITING {
            let now = clock::now();
            let everybody = raised(waiting.iter(), now);
            tracing::error!("too many revocations wait for the store: everybody of their issuers signs in again");
            self.apply(&everybody);
            *waiting = everybody.into();
        }
        waiting.push_back(entry);
    }

    /// Stores what waits, as far as the store takes it.
    async fn store_waiting(&self) {
        loop {
            let Some(entry) = self.waiting().front().cloned() else { return };
            if entry.until > self.steady.now() && self.put(&entry).await.is_err() {
                return;
            }
            let mut waiting = self.waiting();
            if waiting.front() == Some(&entry) {
                waiting.pop_front();
            }
        }
    }

    fn apply<'e>(&self, entries: impl IntoIterator<Item = &'e Revocation>) {
        let now = self.steady.now();
        let mut entries = entries.into_iter().peekable();
        if entries.peek().is_some() {
            self.change(|set| entries.for_each(|entry| set.add(entry, now)));
        }
    }

    fn change(&self, work: impl FnOnce(&mut Revocations)) {
        let _writer = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut set = Revocations::clone(&self.current.load());
        work(&mut set);
        let any = !set.is_empty();
        self.current.store(Arc::new(set));
        // Only ever set: a reader that sees it sees the set as well.
        if any {
            self.any.store(true, Ordering::Release);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Revocation>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One entry for each issuer, which revokes at least what `entries` do but for sessions that begin later.
fn raised<'e>(entries: impl IntoIterator<Item = &'e Revocation>, now: Timestamp) -> Vec<Revocation> {
    let mut all: Vec<Revocation> = Vec::new();
    for entry in entries {
        let issuer = entry.what.issuer();
        match all.iter_mut().find(|known| known.what.issuer() == issuer) {
            Some(known) => {
                known.not_before = known.not_before.max(entry.not_before);
                known.until = known.until.max(entry.until);
            }
            None => {
                let what = What::Issuer(issuer.into());
                all.push(Revocation { what, not_before: entry.not_before.max(now), until: entry.until });
            }
        }
    }
    all
}

#[cfg(test)]
mod tests;
