//! Bearer tokens that were verified, and that their provider is asked about again: has it revoked them since?
//!
//! An answer counts for as long as the file says, whatever it was: a flood of one token is one question. One question serves all
//! who wait for it; so many at once, and no more, are asked of one provider. It runs on the control thread, where nobody who gives
//! up waiting can end it. While the provider cannot be asked, what it said last counts on to its end and no longer: then nobody can
//! say whether the token counts, and that is 503.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use aws_lc_rs::digest;
use doorward_config::settings::{Revalidate, RevalidateBy};
use doorward_policy::access::CredentialFault;
use doorward_policy::credential::RawToken;
use doorward_policy::time::Timestamp;
use doorward_policy::token::{TokenFault, Vouched};
use quick_cache::sync::Cache;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};

use crate::clock;
use crate::idp::{AskFault, IdpClient, Verdict};
use crate::keys::{Budget, KeyStore};
use crate::metrics::Metrics;

/// Answers kept for each provider.
const KEPT: usize = 10_000;
/// Questions under way at one provider.
const AT_ONCE: usize = 16;
/// Tokens that wait to be asked about, those under way included.
const WAITING: usize = 1024;
/// How long a request waits for an answer, and a question for its turn.
const PATIENCE: Duration = Duration::from_secs(5);
/// After a question that brought nothing, the same one is not put again for this long.
const AGAIN: Duration = Duration::from_secs(1);
/// People about whom a provider wants no questions just now, for each provider.
const PEOPLE: usize = 1_000;
/// No provider is left alone for longer, whatever the clock does.
const LONGEST: i64 = 300;

/// SHA-256 of a token or a subject: what is kept of it.
type Digest = [u8; digest::SHA256_OUTPUT_LEN];

/// What is asked of one provider.
#[derive(Debug)]
pub struct Revalidation {
    name: Box<str>,
    settings: Revalidate,
    client: Arc<IdpClient>,
    keys: Arc<KeyStore>,
    answers: Cache<Digest, Answer>,
    flights: Mutex<HashMap<Digest, watch::Receiver<Option<Answer>>>>,
    slots: Semaphore,
    /// Seconds since 1970: until then the provider wants no questions.
    left_alone: AtomicI64,
    /// The same about one person's tokens, by the digest of the subject.
    people: Cache<Digest, Timestamp>,
    /// The last question brought nothing: said once, not for every token.
    failing: AtomicBool,
    control: Handle,
    metrics: Arc<Metrics>,
    this: Weak<Self>,
}

/// What was said about one token, and how long that counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    said: Said,
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
}

#[derive(Debug, Clone, Copy)]
enum Said {
    /// No longer than this.
    Counts(Option<Timestamp>),
    No(TokenFault),
    Nothing,
}

impl Answer {
    fn counts_at(&self, now: Timestamp) -> bool {
        // A clock that is set back makes no answer last longer.
        self.from <= now && now < self.until
    }

    /// How long the token counts at most, where the provider said that it does.
    pub(super) fn verdict(self) -> Result<Option<Timestamp>, CredentialFault> {
        match self.said {
            Said::Counts(ends) => Ok(ends),
            Said::No(fault) => Err(CredentialFault::Token(fault)),
            Said::Nothing => Err(CredentialFault::CannotVerify),
        }
    }
}

/// Ends a question for all who wait, whatever way it ends: also a panic must leave room for the next.
struct Landing {
    revalidation: Arc<Revalidation>,
    digest: Digest,
    answer: watch::Sender<Option<Answer>>,
}

impl Landing {
    fn land(&self, answer: Answer) {
        self.revalidation.answers.insert(self.digest, answer);
        self.answer.send_replace(Some(answer));
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.revalidation.flights().remove(&self.digest);
    }
}

impl Revalidation {
    /// Nothing is asked before somebody presents a token.
    pub fn new(
        name: &str,
        settings: Revalidate,
        client: Arc<IdpClient>,
        keys: Arc<KeyStore>,
        control: Handle,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            name: name.into(),
            settings,
            client,
            keys,
            answers: Cache::new(KEPT),
            flights: Mutex::default(),
            slots: Semaphore::new(AT_ONCE),
            left_alone: AtomicI64::new(i64::MIN),
            people: Cache::new(PEOPLE),
            failing: AtomicBool::new(false),
            control,
            metrics,
            this: this.clone(),
        })
    }

    /// Why the provider does not vouch for `raw`, if it has said so just now: then its signature need not be looked at.
    pub(super) fn refused(&self, raw: RawToken<'_>) -> Option<TokenFault> {
        match self.known(&digest_of(raw.expose()), clock::now())?.said {
            Said::No(fault) => Some(fault),
            Said::Counts(_) | Said::Nothing => None,
        }
    }

    /// What the provider says about `raw`, a token that was verified: `about` is what its claims are.
    pub(super) async fn answer(&self, raw: RawToken<'_>, about: &Arc<Vouched>) -> Result<Answer, CredentialFault> {
        let digest = digest_of(raw.expose());
        let mut under_way = match self.demand(digest, raw, about) {
            Demand::Known(answer) => return Ok(answer),
            Demand::UnderWay(under_way) => under_way,
            Demand::Refused(outcome) => {
                self.count(outcome);
                return Err(CredentialFault::CannotVerify);
            }
        };
        let waited = tokio::time::timeout(PATIENCE, under_way.wait_for(Option::is_some)).await;
        waited.ok().and_then(Result::ok).and_then(|answer| *answer).ok_or(CredentialFault::CannotVerify)
    }

    fn known(&self, digest: &Digest, now: Timestamp) -> Option<Answer> {
        self.answers.get(digest).filter(|answer| answer.counts_at(now))
    }

    /// Joins or starts a question. The lock is held for a few instructions, and only for tokens whose answer is too old.
    fn demand(&self, digest: Digest, raw: RawToken<'_>, about: &Arc<Vouched>) -> Demand {
        let mut flights = self.flights();
        if let Some(under_way) = flights.get(&digest) {
            return Demand::UnderWay(under_way.clone());
        }
        let now = clock::now();
        // Whoever ended just now left an answer first.
        if let Some(answer) = self.known(&digest, now) {
            return Demand::Known(answer);
        }
        let of_all = Timestamp(self.left_alone.load(Ordering::Relaxed));
        let until = [Some(of_all), self.people.get(&digest_of(about.subject()))];
        if until.into_iter().flatten().any(|until| (1..=LONGEST).contains(&until.0.saturating_sub(now.0))) {
            return Demand::Refused("left_alone");
        }
        let Some(this) = self.this.upgrade().filter(|_| flights.len() < WAITING) else { return Demand::Refused("busy") };
        let (answer, under_way) = watch::channel(None);
        flights.insert(digest, under_way.clone());
        drop(flights);
        let landing = Landing { revalidation: this, digest, answer };
        let (token, about): (Box<str>, _) = (raw.expose().into(), about.clone());
        self.control.spawn(async move {
            let answer = landing.revalidation.ask(&token, &about).await;
            landing.land(answer);
        });
        Demand::UnderWay(under_way)
    }

    async fn ask(&self, token: &str, about: &Vouched) -> Answer {
        let Ok(Ok(_slot)) = tokio::time::timeout(PATIENCE, self.slots.acquire()).await else {
            self.count("busy");
            return self.nothing(clock::now());
        };
        // From when it was asked: what is revoked while the answer is under way is found out no later.
        let now = clock::now();
        let outcome = self.put(token, about, now).await;
        self.note(&outcome, about, now);
        let until = now.plus(self.settings.every);
        match outcome {
            Ok(Ok(ends)) => Answer { said: Said::Counts(ends), from: now, until },
            Ok(Err(fault)) => Answer { said: Said::No(fault), from: now, until },
            Err(_) => self.nothing(now),
        }
    }

    async fn put(&self, token: &str, about: &Vouched, now: Timestamp) -> Result<Verdict, AskFault> {
        // Where the file names the endpoint, no metadata is needed.
        let current = match self.settings.request.url {
            Some(_) => None,
            None => Some(self.keys.ready(Budget::Bearer).await.ok_or(AskFault::NoEndpoint)?),
        };
        let endpoint = match self.settings.by {
            RevalidateBy::Introspection => "introspection",
            RevalidateBy::Userinfo => "userinfo",
        };
        let timer = self.metrics.provider_requests.with_label_values(&[&*self.name, endpoint]).start_timer();
        let metadata = current.as_ref().map(|current| &current.metadata);
        let outcome = self.client.ask(&self.settings, metadata, token, about, now).await;
        timer.observe_duration();
        outcome
    }

    fn nothing(&self, now: Timestamp) -> Answer {
        Answer { said: Said::Nothing, from: now, until: now.plus(AGAIN) }
    }

    fn note(&self, outcome: &Result<Verdict, AskFault>, about: &Vouched, now: Timestamp) {
        self.count(match outcome {
            Ok(Ok(_)) => "active",
            Ok(Err(_)) => "refused",
            Err(fault) => fault.label(),
        });
        match outcome {
            Ok(_) => {
                if self.failing.swap(false, Ordering::Relaxed) {
                    tracing::info!(provider = &*self.name, "the provider can be asked about bearer tokens again");
                }
            }
            Err(fault) => {
                match fault {
                    AskFault::LeftAlone(asked) => self.left_alone.store(now.plus(*asked).0, Ordering::Relaxed),
                    AskFault::PersonLeftAlone(asked) => self.people.insert(digest_of(about.subject()), now.plus(*asked)),
                    _ => {}
                }
                if !self.failing.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        provider = &*self.name,
                        reason = fault.label(),
                        "the provider cannot be asked about bearer tokens: {fault}"
                    );
                }
            }
        }
    }

    fn count(&self, outcome: &str) {
        self.metrics.revalidations.with_label_values(&[&*self.name, outcome]).inc();
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<Digest, watch::Receiver<Option<Answer>>>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What becomes of a request that needs an answer.
enum Demand {
    Known(Answer),
    UnderWay(watch::Receiver<Option<Answer>>),
    /// What metrics call it.
    Refused(&'static str),
}

fn digest_of(text: &str) -> Digest {
    let mut bytes = Digest::default();
    bytes.copy_from_slice(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
    bytes
}
