//! Tokens that are renewed before they end.
//!
//! One refresh at a time for each session: in this process by the flight that is under way, among processes by a lease
//! in the store. It runs on the control thread, where no client that goes away can end it, and writes what it brought
//! into the store before anybody is told. While the provider cannot be reached, sessions go on for a grace after their
//! token's end; then nobody can say who they are, and that is 503, never a sign-in.

mod answer;
mod flight;
mod lease;
mod pace;

pub(super) use lease::Lease;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use doorward_config::settings::Settings;
use doorward_policy::access::CredentialFault;
use doorward_policy::session::{Freshness, RefreshTimes, SessionFault};
use doorward_policy::time::Timestamp;
use tokio::sync::watch;

use super::{Held, Known, Sessions};
use crate::audit::{Cause, KeptCause};
use crate::clock;
use crate::runtime::ProviderRuntime;
use pace::{Pace, backed_off};

/// How long a request waits for a refresh whose outcome it needs.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two refreshes of one session, whatever the provider says about its tokens: one that hands out ended tokens is not
/// asked by every request.
const APART: Duration = Duration::from_secs(1);
/// Between two looks at whether all refreshes have ended.
const SETTLE_STEP: Duration = Duration::from_millis(20);

/// What refreshing needs besides sessions.
#[derive(Debug)]
pub(super) struct Refreshing {
    /// `None`: nothing is refreshed.
    times: Option<RefreshTimes>,
    providers: Vec<(Arc<ProviderRuntime>, Arc<Pace>)>,
    /// Also those that began under a configuration that another has taken the place of.
    under_way: Arc<AtomicUsize>,
}

impl Refreshing {
    /// `before` is of the configuration that was: providers that were left alone are left alone.
    pub(super) fn new(settings: &Settings, providers: &[Arc<ProviderRuntime>], before: Option<&Self>) -> Self {
        let pace = |provider: &ProviderRuntime| {
            let mut known = before.iter().flat_map(|before| &before.providers);
            let known = known.find(|(known, _)| known.settings().issuer == provider.settings().issuer);
            known.map(|(_, pace)| pace.clone()).unwrap_or_default()
        };
        let times = settings.session.refresh.filter(|_| settings.session.store.is_server_side());
        Self {
            times: times.map(|refresh| RefreshTimes { ahead: refresh.ahead, grace: refresh.grace }),
            providers: providers.iter().map(|provider| (provider.clone(), pace(provider))).collect(),
            under_way: before.map(|before| before.under_way.clone()).unwrap_or_default(),
        }
    }
}

/// What refreshing keeps about one session.
#[derive(Debug, Default)]
pub(super) struct State {
    flight: Mutex<Flight>,
}

#[derive(Debug, Default)]
struct Flight {
    /// Says the outcome, and is closed when all is done.
    under_way: Option<watch::Receiver<Option<Outcome>>>,
    /// Attempts in a row that brought nothing.
    failures: u32,
    /// No attempt before this.
    not_before: Option<Instant>,
}

/// What a refresh came to, for those who wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// The session is as it should be, by us or by another process.
    Renewed,
    Over(SessionFault),
    /// Nothing can be said now: the provider or the store cannot be had.
    Failed {
        /// The provider wants to be left alone for so long.
        retry_after: Option<Duration>,
    },
}

impl State {
    fn flight(&self) -> MutexGuard<'_, Flight> {
        self.flight.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A refresh under way, as seen by a request.
struct Demand {
    under_way: watch::Receiver<Option<Outcome>>,
    /// The one before brought nothing.
    again: bool,
}

/// Ends a refresh for all who wait, whatever way it ends: also a panic must leave room for the next.
struct Landing {
    sessions: Arc<Sessions>,
    held: Arc<Held>,
    /// The first who needed it.
    cause: KeptCause,
    answer: watch::Sender<Option<Outcome>>,
}

impl Landing {
    /// Tells those who wait. What is left to do is nothing they need.
    fn answer(&self, outcome: Outcome) {
        let mut flight = self.held.refresh.flight();
        match outcome {
            Outcome::Failed { retry_after } => {
                flight.failures = flight.failures.saturating_add(1);
                flight.not_before = Some(Instant::now() + backed_off(flight.failures, retry_after));
            }
            Outcome::Renewed | Outcome::Over(_) => {
                flight.failures = 0;
                flight.not_before = Some(Instant::now() + APART);
            }
        }
        drop(flight);
        self.answer.send_replace(Some(outcome));
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        if self.answer.borrow().is_none() {
            self.answer(Outcome::Failed { retry_after: None });
        }
        self.held.refresh.flight().under_way = None;
        self.sessions.refreshing.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Sessions {
    /// Whether its tokens are good, and need nobody yet.
    pub(super) fn is_fresh(&self, known: &Known, now: Timestamp) -> bool {
        self.refreshing.times.is_none_or(|times| times.freshness(&known.record.tokens, now) == Freshness::Fresh)
    }

    /// The session with tokens that have not ended. Waits only when they have.
    ///
    /// # Errors
    /// [`CredentialFault::CannotVerify`] when that was too long ago and nothing new is to be had;
    /// [`CredentialFault::Session`] when the provider ended the session.
    pub(super) async fn fresh(&self, held: &Arc<Held>, cause: Cause<'_>, now: Timestamp) -> Result<Arc<Known>, CredentialFault> {
        let known = held.known();
        let Some(times) = self.refreshing.times else { return Ok(known) };
        match times.freshness(&known.record.tokens, now) {
            Freshness::Fresh => Ok(known),
            Freshness::Due => {
                self.demand(held, &known, cause);
                Ok(known)
            }
            Freshness::Overdue => self.renewed(held, &known, cause, times, false).await,
            Freshness::Lapsed => self.renewed(held, &known, cause, times, true).await,
        }
    }

    async fn renewed(
        &self,
        held: &Arc<Held>,
        known: &Known,
        cause: Cause<'_>,
        times: RefreshTimes,
        lapsed: bool,
    ) -> Result<Arc<Known>, CredentialFault> {
        let outcome = match self.demand(held, known, cause) {
            // The grace is there to go on in: only the first who come after the end wait.
            Some(demand) if demand.again && !lapsed => *demand.under_way.borrow(),
            Some(mut demand) => {
                let waited = tokio::time::timeout(PATIENCE, demand.under_way.wait_for(Option::is_some)).await;
                waited.ok().and_then(Result::ok).and_then(|outcome| *outcome)
            }
            None => None,
        };
        if let Some(Outcome::Over(fault)) = outcome {
            return Err(CredentialFault::Session(fault));
        }
        let (known, now) = (held.known(), clock::now());
        // Much may have happened meanwhile.
        if self.revocations.is_revoked(&known.facts) {
            return Err(CredentialFault::Session(SessionFault::Revoked));
        }
        if known.session.latest(self.limits()) <= now {
            return Err(CredentialFault::Session(SessionFault::Expired));
        }
        match times.freshness(&known.record.tokens, now) {
            Freshness::Fresh | Freshness::Due | Freshness::Overdue => Ok(known),
            Freshness::Lapsed => Err(CredentialFault::CannotVerify),
        }
    }

    /// Joins or starts a refresh; `None` when it is too early for another attempt, or there is nobody to ask. The lock is
    /// held for a few instructions.
    fn demand(&self, held: &Arc<Held>, known: &Known, cause: Cause<'_>) -> Option<Demand> {
        let mut flight = held.refresh.flight();
        let again = flight.failures > 0;
        if let Some(under_way) = &flight.under_way {
            return Some(Demand { under_way: under_way.clone(), again });
        }
        if flight.not_before.is_some_and(|not_before| Instant::now() < not_before) {
            return None;
        }
        let provider = self.refreshing.providers.iter().position(|(provider, _)| {
            let settings = provider.settings();
            known.session.belongs_to(&settings.name, &settings.client_id, &settings.issuer).is_ok()
        })?;
        let this = self.this.upgrade()?;
        let (answer, under_way) = watch::channel(None);
        flight.under_way = Some(under_way.clone());
        drop(flight);
        self.refreshing.under_way.fetch_add(1, Ordering::Relaxed);
        let landing = Landing { sessions: this, held: held.clone(), cause: cause.to_kept(), answer };
        self.control.spawn(async move {
            let sessions = landing.sessions.clone();
            sessions.fly(provider, &landing).await;
        });
        Some(Demand { under_way, again })
    }

    /// Waits until no refresh is under way, at most for so long: a rotated token that was not stored is a session lost.
    pub async fn settle(&self, at_most: Duration) {
        let settled = async {
            while self.refreshing.under_way.load(Ordering::Relaxed) > 0 {
                tokio::time::sleep(SETTLE_STEP).await;
            }
        };
        if tokio::time::timeout(at_most, settled).await.is_err() {
            tracing::warn!("some token refreshes were still under way at the end");
        }
    }
}
