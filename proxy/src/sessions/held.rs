//! A session of the store, as this process knows it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use doorward_policy::identity::{Identity, IdentityMapping};
use doorward_policy::session::{Record, Session, SessionFacts};
use doorward_policy::time::Timestamp;

/// One session.
#[derive(Debug)]
pub struct Held {
    known: ArcSwap<Known>,
    /// When it ends unless somebody comes, as far as this process knows.
    until: AtomicI64,
    /// The last request here.
    seen: AtomicI64,
    /// When the store was last asked about it.
    asked: AtomicI64,
    /// The `until` that the store was last told.
    told: AtomicI64,
    /// What refreshing keeps about it.
    pub(super) refresh: super::refresh::State,
    /// How the store's record of it is sealed.
    pub(super) seal: super::reseal::Seal,
}

/// Tells the mapping of one configuration from that of the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MappingId(u64);

impl MappingId {
    pub(super) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// What makes an identity of a session's claims, and which configuration's it is.
#[derive(Debug, Clone, Copy)]
pub struct Mapping<'m> {
    pub(super) id: MappingId,
    pub(super) rules: &'m IdentityMapping,
}

/// What is in it: replaced whole.
#[derive(Debug)]
pub struct Known {
    /// By which `identity` was made. A request never sees one that another configuration made.
    mapping: MappingId,
    pub record: Record,
    pub session: Arc<Session>,
    pub identity: Arc<Identity>,
    pub facts: SessionFacts,
}

impl Known {
    pub fn new(record: Record, mapping: Mapping<'_>) -> Self {
        let session = Arc::new(record.session.clone());
        let identity = Arc::new(Identity::from_session(record.session.clone(), mapping.rules));
        let facts = session.facts();
        Self { mapping: mapping.id, record, session, identity, facts }
    }
}

impl Held {
    pub fn new(record: Record, mapping: Mapping<'_>, until: Timestamp, now: Timestamp) -> Self {
        Self {
            known: ArcSwap::from_pointee(Known::new(record, mapping)),
            until: AtomicI64::new(until.0),
            seen: AtomicI64::new(now.0),
            asked: AtomicI64::new(now.0),
            told: AtomicI64::new(until.0),
            refresh: super::refresh::State::default(),
            seal: super::reseal::Seal::default(),
        }
    }

    /// What is known now. Takes no lock.
    pub fn known(&self) -> Arc<Known> {
        self.known.load_full()
    }

    /// The same, with the identity that `mapping` makes of it. Where a configuration took the place of another, the first
    /// request of each session makes it anew.
    pub(super) fn known_by(&self, mapping: Mapping<'_>) -> Arc<Known> {
        let known = self.known();
        if known.mapping == mapping.id {
            return known;
        }
        let again = Arc::new(Known::new(known.record.clone(), mapping));
        // Another may have taken a newer record meanwhile: that one stays, and is made anew next time.
        self.known.compare_and_swap(&known, again.clone());
        again
    }

    /// Takes a newer record; an older or equal one changes nothing.
    pub fn adopt(&self, record: Record, mapping: Mapping<'_>) {
        let next = Arc::new(Known::new(record, mapping));
        self.known.rcu(|known| if next.record.generation > known.record.generation { next.clone() } else { known.clone() });
    }

    pub fn until(&self) -> Timestamp {
        Timestamp(self.until.load(Ordering::Relaxed))
    }

    /// Moves the end, never nearer.
    pub(super) fn extend(&self, until: Timestamp) {
        self.until.fetch_max(until.0, Ordering::Relaxed);
    }

    /// Moves the end nearer by so many seconds.
    pub(super) fn shorten(&self, by: i64) {
        self.until.fetch_sub(by, Ordering::Relaxed);
    }

    /// Somebody is there.
    pub(super) fn see(&self, now: Timestamp) {
        self.seen.store(now.0, Ordering::Relaxed);
    }

    /// Whether the store is to be asked now, `every` so many seconds: true for one caller only.
    pub(super) fn is_to_be_asked(&self, every: i64, now: Timestamp) -> bool {
        let asked = self.asked.load(Ordering::Relaxed);
        now.0.saturating_sub(asked) >= every && self.asked.compare_exchange(asked, now.0, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Whether the store is to be told a new end, `after` so many seconds: true for one caller only.
    pub(super) fn is_to_be_told(&self, until: Timestamp, after: i64) -> bool {
        let told = self.told.load(Ordering::Relaxed);
        until.0.saturating_sub(told) >= after && self.told.compare_exchange(told, until.0, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// The store was not told after all.
    pub(super) fn untell(&self) {
        self.told.store(0, Ordering::Relaxed);
    }

    /// The last request here.
    pub(super) fn seen(&self) -> Timestamp {
        Timestamp(self.seen.load(Ordering::Relaxed))
    }
}
