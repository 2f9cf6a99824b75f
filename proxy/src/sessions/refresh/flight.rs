//! One refresh, from the lease to the record that is stored.

use std::sync::Arc;
use std::time::{Duration, Instant};

use doorward_policy::session::{Freshness, KeyId, Record, SessionFault, StoreKey};

use super::answer::{Brought, ask};
use super::pace::Pace;
use super::{Landing, Lease, Outcome, lease};
use crate::audit::{self, Kind, Refresh};
use crate::runtime::ProviderRuntime;
use crate::sessions::{Held, Known, Sessions};
use crate::store::StoreFault;
use crate::{clock, entropy};

/// Between two looks at what another process does.
const LOOK: Duration = Duration::from_millis(150);
/// Between two attempts to write what could not be written.
const WRITE_AGAIN: Duration = Duration::from_millis(500);

/// How it ended, as metrics call it.
#[derive(Debug, Clone, Copy)]
enum Ending {
    Ok,
    /// Another process did it.
    Shared,
    InvalidGrant,
    Transient,
    /// What came back is not about this session, or the provider wants the person.
    Rejected,
    /// The session ended meanwhile.
    Discarded,
}

impl Ending {
    fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Shared => "shared",
            Self::InvalidGrant => "invalid_grant",
            Self::Transient => "transient",
            Self::Rejected => "rejected",
            Self::Discarded => "discarded",
        }
    }
}

/// Whose turn it is.
enum Turn {
    Ours(Lease),
    /// It was another's, who has done it.
    Done,
    Gone,
    Unknown,
}

/// Whether the store has it.
enum Written {
    Yes,
    Gone,
    NotYet,
}

const FAILED: Outcome = Outcome::Failed { retry_after: None };

impl Sessions {
    /// Refreshes the session, and tells those who wait.
    pub(super) async fn fly(&self, provider: usize, landing: &Landing) {
        let (provider, pace) = &self.refreshing.providers[provider];
        let held = &landing.held;
        let key = held.known().record.key();
        let before = held.known();
        let tell = |ending: Ending, outcome| {
            self.metrics.refreshes.with_label_values(&[provider.settings().name.as_str(), ending.label()]).inc();
            self.write_down(ending, outcome, landing, &before);
            landing.answer(outcome);
        };
        let lease = match self.turn(held, &key).await {
            Turn::Ours(lease) => lease,
            Turn::Done => return tell(Ending::Shared, Outcome::Renewed),
            Turn::Unknown => return tell(Ending::Transient, FAILED),
            Turn::Gone => {
                let (ending, outcome) = self.gone(held);
                return tell(ending, outcome);
            }
        };
        let (ending, outcome, unwritten) = self.refresh(held, &key, provider, pace).await;
        tell(ending, outcome);
        if let Some(record) = unwritten {
            self.write_later(held, provider, record, &lease).await;
        }
        lease.give_back().await;
    }

    /// What another process did is in its own log.
    fn write_down(&self, ending: Ending, outcome: Outcome, landing: &Landing, before: &Known) {
        let kind = match ending {
            Ending::Ok => Kind::Refresh,
            Ending::InvalidGrant | Ending::Transient | Ending::Rejected => Kind::RefreshFailed,
            Ending::Shared | Ending::Discarded => return,
        };
        let Some(entry) = self.audit.entry(kind, landing.cause.as_cause()) else { return };
        let known = landing.held.known();
        let changed = known.identity.roles() != before.identity.roles();
        let roles_before = changed.then(|| audit::roles_of(&before.identity));
        let ended = matches!(outcome, Outcome::Over(_));
        entry.write(&Refresh { who: audit::who_is(&known.identity, Some(&known.session)), outcome: ending.label(), ended, roles_before });
    }

    /// It ended elsewhere.
    fn gone(&self, held: &Held) -> (Ending, Outcome) {
        self.held.remove(&held.known().session.id);
        (Ending::Discarded, Outcome::Over(SessionFault::Expired))
    }

    /// Takes the lease, or waits for what its holder brings.
    async fn turn(&self, held: &Held, key: &StoreKey) -> Turn {
        let begun = Instant::now();
        let seen = held.known().record.generation;
        loop {
            match Lease::take(&self.store, key).await {
                Ok(Some(lease)) => return Turn::Ours(lease),
                Ok(None) => {}
                Err(_) => return Turn::Unknown,
            }
            tokio::time::sleep(LOOK).await;
            match self.newest(held, key).await {
                Ok(Some(record)) if record.generation > seen => return Turn::Done,
                Ok(Some(_)) => {}
                Ok(None) => return Turn::Gone,
                Err(_) => return Turn::Unknown,
            }
            if begun.elapsed() > lease::LASTS * 2 {
                return Turn::Unknown;
            }
        }
    }

    /// What the store has, or what we know if that is newer; `None` when it has none.
    async fn newest(&self, held: &Held, key: &StoreKey) -> Result<Option<Record>, StoreFault> {
        let Some(stored) = self.store.read(key).await? else { return Ok(None) };
        // Another process may seal under a key that is not read here yet: no verdict.
        let record = Record::open(&stored.sealed, &self.keyring.keys(), key).ok_or(StoreFault::Broken)?;
        held.extend(stored.until);
        held.adopt(record, self.mapping());
        Ok(Some(held.known().record.clone()))
    }

    /// With the lease: the record comes last if it could not be written.
    async fn refresh(
        &self,
        held: &Held,
        key: &StoreKey,
        provider: &Arc<ProviderRuntime>,
        pace: &Pace,
    ) -> (Ending, Outcome, Option<Record>) {
        // RFC 9700 §4.14.2: what another process used up since must not be used again.
        let record = match self.newest(held, key).await {
            Ok(Some(record)) => record,
            Ok(None) => {
                let (ending, outcome) = self.gone(held);
                return (ending, outcome, None);
            }
            Err(_) => return (Ending::Transient, FAILED, None),
        };
        if self.revocations.is_revoked(&held.known().facts) {
            return (Ending::Discarded, Outcome::Over(SessionFault::Revoked), None);
        }
        let fresh = self.refreshing.times.is_none_or(|times| times.freshness(&record.tokens, clock::now()) == Freshness::Fresh);
        let Some(refresh_token) = record.tokens.refresh_token.clone().filter(|_| !fresh) else {
            return (Ending::Shared, Outcome::Renewed, None);
        };
        let brought = match pace.turn().await {
            Ok(_slot) => {
                let timer = self.metrics.refresh_duration.with_label_values(&[provider.settings().name.as_str()]).start_timer();
                let brought = ask(provider, pace, &record, &refresh_token).await;
                timer.observe_duration();
                brought
            }
            Err(retry_after) => Brought::Nothing { retry_after },
        };
        match brought {
            Brought::Record { record, proven } => self.keep(held, provider, *record, proven).await,
            Brought::Nothing { retry_after } => (Ending::Transient, Outcome::Failed { retry_after }, None),
            Brought::Refused => {
                // Whoever had the lease before us may have written late.
                if matches!(self.newest(held, key).await, Ok(Some(newer)) if newer.generation > record.generation) {
                    return (Ending::Shared, Outcome::Renewed, None);
                }
                self.end(&record.session).await;
                (Ending::InvalidGrant, Outcome::Over(SessionFault::Expired), None)
            }
            Brought::Rejected { refresh_token } => {
                self.end(&record.session).await;
                if let Some(token) = refresh_token {
                    self.give_up(provider, &token).await;
                }
                (Ending::Rejected, Outcome::Over(SessionFault::Expired), None)
            }
        }
    }

    /// Stores what came, before anybody is told.
    async fn keep(&self, held: &Held, provider: &ProviderRuntime, record: Record, proven: bool) -> (Ending, Outcome, Option<Record>) {
        let (ending, outcome) = if proven { (Ending::Ok, Outcome::Renewed) } else { (Ending::Transient, FAILED) };
        match self.write(held, &record).await {
            Written::Yes => {
                held.adopt(record, self.mapping());
                (ending, outcome, None)
            }
            Written::Gone => {
                self.discard(held, provider, &record).await;
                (Ending::Discarded, Outcome::Over(SessionFault::Expired), None)
            }
            Written::NotYet => {
                tracing::error!(
                    provider = provider.settings().name,
                    "refreshed tokens could not be stored; they are kept here until they are"
                );
                held.adopt(record.clone(), self.mapping());
                (ending, outcome, Some(record))
            }
        }
    }

    async fn write(&self, held: &Held, record: &Record) -> Written {
        let Ok(nonce) = entropy::random() else { return Written::NotYet };
        let sealed = record.seal(&self.keyring.keys(), nonce);
        let sealed_under = KeyId::of(&sealed);
        match self.store.replace(&record.key(), sealed).await {
            Ok(true) => {
                held.seal.is(sealed_under);
                Written::Yes
            }
            Ok(false) => Written::Gone,
            Err(_) => Written::NotYet,
        }
    }

    /// Writes what could not be written, as soon as it can be.
    async fn write_later(&self, held: &Held, provider: &ProviderRuntime, record: Record, lease: &Lease) {
        loop {
            tokio::time::sleep(WRITE_AGAIN).await;
            let over = record.session.latest(self.limits()) <= clock::now() || self.revocations.revokes(&record.session);
            if over {
                return self.discard(held, provider, &record).await;
            }
            if lease.was_lost() {
                // Another may have refreshed what it found: theirs counts as well as ours, and the later is the later.
                match self.store.read(&record.key()).await {
                    Ok(Some(stored)) => match Record::open(&stored.sealed, &self.keyring.keys(), &record.key()) {
                        Some(theirs) if theirs.generation >= record.generation => return,
                        Some(_) | None => {}
                    },
                    Ok(None) => return self.discard(held, provider, &record).await,
                    Err(_) => continue,
                }
            }
            match self.write(held, &record).await {
                Written::Yes => {
                    tracing::info!(provider = provider.settings().name, "refreshed tokens that had to wait are stored now");
                    return;
                }
                Written::Gone => return self.discard(held, provider, &record).await,
                Written::NotYet => {}
            }
        }
    }

    /// REFR-09: the session ended while its tokens were under way: nobody needs them.
    async fn discard(&self, held: &Held, provider: &ProviderRuntime, record: &Record) {
        self.held.remove(&held.known().session.id);
        if let Some(token) = &record.tokens.refresh_token {
            self.give_up(provider, token).await;
        }
    }

    /// Tells the provider that a refresh token is nobody's.
    async fn give_up(&self, provider: &ProviderRuntime, refresh_token: &str) {
        let Some(current) = provider.keys.current() else { return };
        if let Err(fault) = provider.client.revoke(&current.metadata, refresh_token, clock::now()).await {
            tracing::warn!(provider = provider.settings().name, "a refresh token could not be revoked: {fault}");
        }
    }
}
