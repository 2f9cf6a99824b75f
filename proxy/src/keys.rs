//! A provider's metadata and keys as they are now, and when they are fetched again.
//!
//! Reading takes no lock. One fetch serves however many requests wait for it; a token with an unknown key id can start
//! one only when the last such fetch is a cool-down ago; sign-ins have a cool-down of their own, so that no flood of
//! tokens delays them. A failed fetch keeps the last good keys; a good one replaces them whole, so a key that was
//! removed stops working.
//!
//! Keys that the operator holds are never fetched; then there is only metadata to fetch, and only for those who need any.

mod held;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use doorward_policy::time::Timestamp;
use doorward_policy::token::KeySet;
use held::HeldKeys;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::clock;
use crate::idp::{IdpClient, Metadata, MetadataFault};
use crate::metrics::Metrics;

/// How often keys may be fetched.
#[derive(Debug, Clone, Copy)]
pub struct Tempo {
    /// Between two fetches that tokens asked for.
    pub bearer_cool_down: Duration,
    /// Between two fetches that sign-ins asked for, and between two that sign-outs did.
    pub sign_in_cool_down: Duration,
    /// After a good fetch, the next one comes by itself.
    pub refresh: Duration,
    /// After a failed one.
    pub retry: Duration,
    /// How long a request waits for a fetch under way.
    pub patience: Duration,
    /// Keys that could not be fetched anew for this long are no longer believed.
    pub keep: Duration,
    /// Metadata older than this is fetched along with the keys.
    pub metadata: Duration,
    /// A new sealing key opens at once, and seals after this long: other processes have read the file by then.
    pub key_settles: Duration,
}

impl Default for Tempo {
    fn default() -> Self {
        Self {
            bearer_cool_down: Duration::from_secs(10),
            sign_in_cool_down: Duration::from_secs(2),
            refresh: Duration::from_secs(600),
            retry: Duration::from_secs(60),
            patience: Duration::from_secs(5),
            keep: Duration::from_secs(24 * 3600),
            metadata: Duration::from_secs(3600),
            key_settles: Duration::from_secs(60),
        }
    }
}

/// Who asks for a fetch: each has a cool-down of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Budget {
    Bearer,
    SignIn,
    /// A provider's word that somebody is signed out: it is not sent again, so it waits as a sign-in does.
    SignOut,
}

/// Keys to verify by.
#[derive(Debug)]
pub struct Believed {
    pub keys: KeySet,
    /// Grows with every change: facts verified under an older one are verified again.
    pub generation: u64,
}

/// What one fetch brought.
#[derive(Debug)]
pub struct Current {
    pub metadata: Metadata,
    /// `None`: keys are not fetched.
    believed: Option<Arc<Believed>>,
    fetched: Instant,
    metadata_fetched: Instant,
}

/// Metadata and keys of one provider.
#[derive(Debug)]
pub struct KeyStore {
    name: Box<str>,
    client: Arc<IdpClient>,
    current: ArcSwapOption<Current>,
    /// Instead of those that would be fetched.
    held: Option<HeldKeys>,
    flight: Mutex<Flight>,
    tempo: Tempo,
    control: Handle,
    metrics: Arc<Metrics>,
    this: Weak<Self>,
}

#[derive(Debug, Default)]
struct Flight {
    /// Closed when the fetch under way has ended, however it did.
    under_way: Option<watch::Receiver<()>>,
    bearer: Option<Instant>,
    sign_in: Option<Instant>,
    sign_out: Option<Instant>,
    /// Fetches begun so far: a timer that was set before the last one is void.
    begun: u64,
}

/// Ends a fetch for all who wait, whatever way it ends: also a panic must leave room for the next.
struct Landing {
    store: Arc<KeyStore>,
    /// Dropped after the flight was cleared.
    _ended: watch::Sender<()>,
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.store.flight().under_way = None;
    }
}

impl KeyStore {
    /// An empty store: nothing is fetched before somebody asks. Fetches run on `control`.
    pub fn new(name: &str, client: Arc<IdpClient>, tempo: Tempo, control: Handle, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            name: name.into(),
            held: client.held_keys().map(|(keys, algorithms)| HeldKeys::new(keys, algorithms, clock::now())),
            client,
            current: ArcSwapOption::empty(),
            flight: Mutex::default(),
            tempo,
            control,
            metrics,
            this: this.clone(),
        })
    }

    /// Goes on with what `before` fetched, which asked the same provider in the same way.
    pub fn inherit(&self, before: &Self) {
        let Some(known) = before.current() else { return };
        self.current.store(Some(known));
        Self::refresh_later(self.this.clone(), self.tempo.refresh);
    }

    /// What is known now; `None` before the first good fetch, or when the last one is too long ago.
    pub fn current(&self) -> Option<Arc<Current>> {
        self.current.load_full().filter(|current| current.fetched.elapsed() < self.tempo.keep)
    }

    /// The keys as they are believed at `now`. Waits for nothing and takes no lock.
    pub fn believed(&self, now: Timestamp) -> Option<Arc<Believed>> {
        match &self.held {
            Some(held) => Some(held.at(now)),
            None => self.current()?.believed.clone(),
        }
    }

    /// Which keys those are.
    pub fn generation(&self, now: Timestamp) -> Option<u64> {
        match &self.held {
            Some(held) => Some(held.at(now).generation),
            None => {
                let current = self.current.load();
                let current = current.as_ref().filter(|current| current.fetched.elapsed() < self.tempo.keep)?;
                current.believed.as_ref().map(|believed| believed.generation)
            }
        }
    }

    /// The same, fetched first if none are known. `None`: the provider cannot be reached now.
    pub async fn believed_or_fetched(&self, budget: Budget, now: Timestamp) -> Option<Arc<Believed>> {
        if let Some(believed) = self.believed(now) {
            return Some(believed);
        }
        self.ready(budget).await?.believed.clone()
    }

    /// Metadata, fetched first if none is known. `None`: the provider cannot be reached now.
    pub async fn ready(&self, budget: Budget) -> Option<Arc<Current>> {
        if let Some(current) = self.current() {
            return Some(current);
        }
        self.fetched_anew(budget).await;
        self.current()
    }

    /// After a token named a key that `seen` does not hold: what a newer fetch brought, if one was to be had.
    pub async fn newer_than(&self, seen: u64, budget: Budget) -> Option<Arc<Believed>> {
        self.metrics.unknown_keys.with_label_values(&[&*self.name]).inc();
        let newer = || self.believed(clock::now()).filter(|believed| believed.generation > seen);
        if let Some(believed) = newer() {
            return Some(believed);
        }
        if self.held.is_some() {
            return None;
        }
        if let (Budget::SignIn | Budget::SignOut, Some(left)) = (budget, self.cool_down_left(budget)) {
            // A token can be sent again, a code cannot: a sign-in rather waits than fails. Only good codes come here, and of
            // bad logout tokens only as many as one client may bring.
            tokio::time::sleep(left).await;
            if let Some(current) = newer() {
                return Some(current);
            }
        }
        self.fetched_anew(budget).await;
        newer()
    }

    /// Waits for the fetch under way, or for a new one if this budget allows it.
    async fn fetched_anew(&self, budget: Budget) {
        if let Some(mut ended) = self.demand(budget) {
            // An error is the sender's end: the fetch is over.
            let _ = tokio::time::timeout(self.tempo.patience, ended.changed()).await;
        }
    }

    /// Joins or starts a fetch. The lock is held for a few instructions, and only by requests that miss.
    fn demand(&self, budget: Budget) -> Option<watch::Receiver<()>> {
        let mut flight = self.flight();
        if let Some(under_way) = &flight.under_way {
            return Some(under_way.clone());
        }
        if self.left(&flight, budget).is_some() {
            return None;
        }
        match budget {
            Budget::Bearer => flight.bearer = Some(Instant::now()),
            Budget::SignIn => flight.sign_in = Some(Instant::now()),
            Budget::SignOut => flight.sign_out = Some(Instant::now()),
        }
        Some(self.start(&mut flight))
    }

    /// How long this budget has to wait; `None` when it need not, because it may start a fetch or there is one to join.
    fn cool_down_left(&self, budget: Budget) -> Option<Duration> {
        let flight = self.flight();
        if flight.under_way.is_some() { None } else { self.left(&flight, budget) }
    }

    fn left(&self, flight: &Flight, budget: Budget) -> Option<Duration> {
        let (last, cool_down) = match budget {
            Budget::Bearer => (flight.bearer, self.tempo.bearer_cool_down),
            Budget::SignIn => (flight.sign_in, self.tempo.sign_in_cool_down),
            Budget::SignOut => (flight.sign_out, self.tempo.sign_in_cool_down),
        };
        last.and_then(|last| cool_down.checked_sub(last.elapsed())).filter(|left| !left.is_zero())
    }

    /// Starts a fetch on the control thread, where nobody who gives up waiting can end it.
    fn start(&self, flight: &mut Flight) -> watch::Receiver<()> {
        let (ended, under_way) = watch::channel(());
        flight.under_way = Some(under_way.clone());
        flight.begun += 1;
        if let Some(this) = self.this.upgrade() {
            self.control.spawn(async move {
                let landing = Landing { store: this.clone(), _ended: ended };
                let outcome = this.fetch().await;
                let again = if outcome.is_ok() { this.tempo.refresh } else { this.tempo.retry };
                this.note(outcome.as_ref().err().copied());
                drop(landing);
                Self::refresh_later(Arc::downgrade(&this), again);
            });
        }
        under_way
    }

    fn flight(&self) -> MutexGuard<'_, Flight> {
        self.flight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fetch(&self) -> Result<(), MetadataFault> {
        let known = self.current.load_full();
        let fresh = known.as_ref().filter(|known| known.metadata_fetched.elapsed() < self.tempo.metadata);
        let (metadata, metadata_fetched) = match fresh {
            Some(known) => (known.metadata.clone(), known.metadata_fetched),
            None => (self.timed("discovery", self.client.discover()).await?, Instant::now()),
        };
        let believed = match &self.held {
            Some(_) => None,
            None => {
                let keys = self.timed("jwks", self.client.keys(&metadata)).await?;
                if keys.ignored() > 0 {
                    tracing::warn!(provider = &*self.name, ignored = keys.ignored(), "some published keys cannot be used");
                }
                let generation = known.and_then(|known| Some(known.believed.as_ref()?.generation + 1)).unwrap_or(1);
                Some(Arc::new(Believed { keys, generation }))
            }
        };
        self.current.store(Some(Arc::new(Current { metadata, believed, fetched: Instant::now(), metadata_fetched })));
        Ok(())
    }

    async fn timed<T>(&self, endpoint: &str, work: impl Future<Output = T>) -> T {
        let timer = self.metrics.provider_requests.with_label_values(&[&*self.name, endpoint]).start_timer();
        let outcome = work.await;
        timer.observe_duration();
        outcome
    }

    fn note(&self, fault: Option<MetadataFault>) {
        let outcome = fault.map_or("ok", MetadataFault::label);
        self.metrics.key_fetches.with_label_values(&[&*self.name, outcome]).inc();
        self.metrics.provider_up.with_label_values(&[&*self.name]).set(i64::from(fault.is_none()));
        match fault {
            None if self.held.is_some() => {}
            None => self.metrics.keys_fetched_at.with_label_values(&[&*self.name]).set(clock::now().0),
            Some(fault) => tracing::warn!(provider = &*self.name, "metadata and keys could not be fetched: {fault}"),
        }
    }

    /// Sets the timer for the next fetch. A fetch that somebody asks for meanwhile sets one of its own and voids this
    /// one, so there is never more than one; a store that is gone has none.
    fn refresh_later(this: Weak<Self>, after: Duration) {
        let Some(store) = this.upgrade() else { return };
        let begun = store.flight().begun;
        store.control.clone().spawn(async move {
            tokio::time::sleep(after).await;
            let Some(store) = this.upgrade() else { return };
            let mut flight = store.flight();
            if flight.begun == begun && flight.under_way.is_none() {
                store.start(&mut flight);
            }
        });
    }
}
