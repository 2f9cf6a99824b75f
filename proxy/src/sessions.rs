//! Sessions: found, begun and ended, whether the browser holds them or a store does.
//!
//! A session that this process knows is found without waiting for anybody. With a store the cookie only names it; what
//! other processes did to it meanwhile is looked up beside the request, and is known here two seconds later at most.

mod held;
mod held_sessions;
mod lookup;
mod opened;
mod provider_session;
mod refresh;
mod reseal;

pub use held::{Held, Known, Mapping};

use std::sync::{Arc, Weak};
use std::time::Duration;

use doorward_config::settings::{Settings, StoreKind};
use doorward_policy::access::CredentialFault;
use doorward_policy::cookies::{self, Found};
use doorward_policy::identity::Identity;
use doorward_policy::session::{
    CookiePlace, KeyId, Limits, Owner, Record, SealingKeys, Session, SessionFacts, SessionFault, StoreKey, Ticket, Tokens, TooLarge,
};
use doorward_policy::time::Timestamp;
use http::HeaderMap;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::audit::{Audit, Cause};
use crate::entropy::{self, NoEntropy};
use crate::gate::cookie_fields;
use crate::keyring::Keyring;
use crate::metrics::Metrics;
use crate::reply;
use crate::revocations::RevocationList;
use crate::runtime::{CurrentRuntime, ProviderRuntime};
use crate::store::{Store, StoreFault};
use held::MappingId;
use held_sessions::HeldSessions;
use opened::{CookieSession, Opened, OpenedCookies};
use refresh::Refreshing;

/// Everything about sessions that outlives a request.
#[derive(Debug)]
pub struct Sessions {
    settings: Arc<Settings>,
    keyring: Arc<Keyring>,
    revocations: Arc<RevocationList>,
    store: Arc<dyn Store>,
    held: Arc<HeldSessions>,
    /// Cookies that hold a session, and those that name one.
    opened: OpenedCookies<CookieSession>,
    tickets: OpenedCookies<Arc<Ticket>>,
    /// Whose mapping the identities of requests come from: each configuration has its own.
    mapping: MappingId,
    refreshing: Refreshing,
    resealing: Arc<Semaphore>,
    control: Handle,
    metrics: Arc<Metrics>,
    audit: Arc<Audit>,
    this: Weak<Self>,
}

/// A live session, as one request sees it.
#[derive(Debug, Clone)]
pub struct Live {
    pub session: Arc<Session>,
    pub identity: Arc<Identity>,
    /// A `Set-Cookie` value, where the cookie has to be written anew.
    pub renewal: Option<String>,
    /// When it ends at the latest, whatever happens.
    pub until: Timestamp,
    /// Where a store keeps it.
    pub held: Option<Arc<Held>>,
}

impl Live {
    /// When it ends if nobody comes again.
    pub fn ends(&self, limits: Limits) -> Timestamp {
        self.held.as_ref().map_or_else(|| self.session.ends(limits), |held| held.until().min(self.until))
    }

    /// What revocations look at.
    pub fn facts(&self) -> SessionFacts {
        self.held.as_ref().map_or_else(|| self.session.facts(), |held| held.known().facts)
    }

    /// The access token, where one is kept and has not ended.
    pub fn access_token(&self, now: Timestamp) -> Option<Box<str>> {
        let known = self.held.as_ref()?.known();
        let tokens = &known.record.tokens;
        tokens.access_token.clone().filter(|_| tokens.access_expires.is_none_or(|expires| expires > now))
    }
}

/// Why a session could not be begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BeginFault {
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    #[error(transparent)]
    Store(#[from] StoreFault),
    #[error("the system's random source failed")]
    NoEntropy,
}

impl From<NoEntropy> for BeginFault {
    fn from(_: NoEntropy) -> Self {
        Self::NoEntropy
    }
}

/// Between two sweeps of sessions that are over.
const SWEEP: Duration = Duration::from_secs(30);
/// What is sealed into a store at most; its claims come from a provider, and nobody else can make them long.
const RECORD_LIMIT: usize = 256 * 1024;

impl Sessions {
    #[allow(clippy::too_many_arguments, reason = "one caller, which has each of them by its name")]
    pub fn new(
        settings: Arc<Settings>,
        keyring: Arc<Keyring>,
        revocations: Arc<RevocationList>,
        store: Arc<dyn Store>,
        providers: &[Arc<ProviderRuntime>],
        control: Handle,
        metrics: Arc<Metrics>,
        audit: Arc<Audit>,
        before: Option<&Self>,
    ) -> Arc<Self> {
        // What is in another store is not held here.
        let same = before.filter(|before| Arc::ptr_eq(&before.store, &store) && before.settings.session.store == settings.session.store);
        let remembered = settings.server.limits.remembered;
        // A store has cookies of one kind.
        let (of_sessions, of_tickets) = if settings.session.store.is_server_side() { (0, remembered) } else { (remembered, 0) };
        Arc::new_cyclic(|this| Self {
            refreshing: Refreshing::new(&settings, providers, before.map(|before| &before.refreshing)),
            resealing: before.map_or_else(|| Arc::new(Semaphore::new(reseal::AT_ONCE)), |before| before.resealing.clone()),
            held: same.map(|before| before.held.clone()).unwrap_or_default(),
            opened: OpenedCookies::new(of_sessions),
            tickets: OpenedCookies::new(of_tickets),
            mapping: MappingId::next(),
            settings,
            keyring,
            revocations,
            store,
            control,
            metrics,
            audit,
            this: this.clone(),
        })
    }

    /// Forgets what is over, now and then, until its task is dropped.
    pub async fn keep_swept(current: Arc<CurrentRuntime>) {
        loop {
            tokio::time::sleep(SWEEP).await;
            let sessions = current.get().sessions.clone();
            sessions.held.sweep(crate::clock::now());
            sessions.metrics.sessions_known.set(i64::try_from(sessions.held.len()).unwrap_or(i64::MAX));
        }
    }

    /// Takes the place of `before`: where people may be away for less long now, that counts for those who are away already.
    pub fn take_over(&self, before: &Self) {
        let shorter = before.settings.session.idle.saturating_sub(self.settings.session.idle);
        if Arc::ptr_eq(&self.held, &before.held) && !shorter.is_zero() {
            self.held.shorten(shorter);
        }
    }

    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Whether the cookie only names the session.
    pub fn is_server_side(&self) -> bool {
        self.settings.session.store.is_server_side()
    }

    /// Idle and absolute limits.
    pub fn limits(&self) -> Limits {
        Limits { idle: self.settings.session.idle, lifetime: self.settings.session.lifetime }
    }

    /// What makes an identity of a session.
    fn mapping(&self) -> Mapping<'_> {
        Mapping { id: self.mapping, rules: self.settings.policy.mapping() }
    }

    /// Where the session cookie of a host lives.
    pub fn place<'p>(&'p self, host: &'p str) -> CookiePlace<'p> {
        CookiePlace::of(host, self.settings.session.domain.as_deref())
    }

    /// What the browser presents as its session.
    pub fn presented<'h>(&self, headers: &'h HeaderMap, host: &str) -> Found<'h> {
        cookies::find(cookie_fields(headers), self.place(host).name())
    }

    /// The live session behind a cookie of `host`, whose claims still hold: its tokens have not ended, or were refreshed. Waits
    /// for the provider only when they have.
    ///
    /// # Errors
    /// As for [`Self::find`]; and [`CredentialFault::CannotVerify`] when no new tokens are to be had.
    pub async fn find_fresh(&self, sealed: &[u8], host: &str, cause: Cause<'_>, now: Timestamp) -> Result<Live, CredentialFault> {
        let live = match self.find_now(sealed, host, now) {
            Some(live) => live?,
            None => Box::pin(self.found_fresh(sealed, host, cause, now)).await?,
        };
        // Of nobody in particular: who it is was read elsewhere when it began, or a refresh took that away.
        if live.identity.user().is_none() {
            return Err(CredentialFault::Session(SessionFault::NoUser));
        }
        Ok(live)
    }

    /// The same where nobody has to be waited for: the cookie holds it, or this process holds it and its claims still hold. `None`
    /// says nothing about it.
    pub fn find_now(&self, sealed: &[u8], host: &str, now: Timestamp) -> Option<Result<Live, CredentialFault>> {
        match self.settings.session.store {
            StoreKind::Cookie => Some(self.in_cookie(sealed, host, now)),
            StoreKind::Memory | StoreKind::File | StoreKind::Redis => self.at_hand(sealed, host, now).map(Ok),
        }
    }

    /// The live session behind a cookie of `host`, as it is known. For what is about the session itself: nobody waits for a
    /// provider to sign out.
    ///
    /// # Errors
    /// [`CredentialFault::Session`], or [`CredentialFault::StoreUnreachable`] when the store that would know cannot be asked: that
    /// is no reason to sign in again.
    pub async fn find(&self, sealed: &[u8], host: &str, now: Timestamp) -> Result<Live, CredentialFault> {
        match self.settings.session.store {
            StoreKind::Cookie => self.in_cookie(sealed, host, now),
            StoreKind::Memory | StoreKind::File | StoreKind::Redis => self.in_store(sealed, host, now).await,
        }
    }

    fn in_cookie(&self, sealed: &[u8], host: &str, now: Timestamp) -> Result<Live, CredentialFault> {
        let (limits, place, keys) = (self.limits(), self.place(host), self.keyring.keys());
        let opened = self.opened_cookie(sealed, place, &keys, now).map_err(CredentialFault::Session)?;
        let CookieSession { session, identity, facts } = opened.says;
        if !self.revocations.is_known() {
            return Err(CredentialFault::StoreUnreachable);
        }
        if self.revocations.is_revoked(&facts) {
            return Err(CredentialFault::Session(SessionFault::Revoked));
        }
        let renewal = (session.renewal_is_due(limits, now) || opened.key != keys.first())
            .then(|| {
                let renewed = session.renewed(now).seal(&keys, place, entropy::random().ok()?).ok()?;
                let age = session.latest(limits).since(now).as_secs();
                Some(reply::session_cookie(place, &renewed, Some(age)))
            })
            .flatten();
        let until = session.latest(limits);
        Ok(Live { session, identity, renewal, until, held: None })
    }

    /// What a cookie says, within its limits.
    fn opened_cookie(
        &self,
        sealed: &[u8],
        place: CookiePlace<'_>,
        keys: &SealingKeys,
        now: Timestamp,
    ) -> Result<Opened<CookieSession>, SessionFault> {
        let limits = self.limits();
        if let Some(opened) = self.opened.get(place, sealed, keys) {
            return opened.says.session.check_limits(limits, now).map(|()| opened);
        }
        let session = Session::open(sealed, keys, place, limits, now)?;
        let key = KeyId::of(sealed).ok_or(SessionFault::Unreadable)?;
        let opened = Opened { says: CookieSession::new(session, self.settings.policy.mapping()), key };
        self.opened.keep(place, sealed, opened.clone());
        Ok(opened)
    }

    /// Whose session a cookie of `host` names, or named before it ended.
    pub fn owner_of(&self, sealed: &[u8], host: &str) -> Option<Owner> {
        let (keys, place) = (self.keyring.keys(), self.place(host));
        match self.is_server_side() {
            true => Ticket::open(sealed, &keys, place).ok().map(|ticket| ticket.owner),
            false => Session::owner_of(sealed, &keys, place),
        }
    }

    /// Begins a session on `host`: the `Set-Cookie` value.
    ///
    /// # Errors
    /// [`BeginFault`]; nobody is signed in then.
    pub async fn begin(&self, session: Session, tokens: Tokens, host: &str) -> Result<String, BeginFault> {
        let place = self.place(host);
        let age = Some(self.settings.session.lifetime.as_secs());
        if !self.is_server_side() {
            let sealed = session.seal(&self.keyring.keys(), place, entropy::random()?)?;
            self.observe_cookie(place, &sealed);
            return Ok(reply::session_cookie(place, &sealed, age));
        }
        let ticket = Ticket::of(&session);
        let until = session.ends(self.limits());
        let record = Record::new(session, tokens);
        let bytes = record.seal(&self.keyring.keys(), entropy::random()?);
        if bytes.len() > RECORD_LIMIT {
            return Err(TooLarge(bytes.len()).into());
        }
        self.store.create(&record.key(), bytes, until).await?;
        self.remember_provider_session(&record.session).await;
        let held = Held::new(record, self.mapping(), until, crate::clock::now());
        held.seal.is(Some(self.keyring.keys().first()));
        self.hold(held, crate::clock::now());
        self.ticket(&ticket, host)
    }

    /// The cookie of a session that a store keeps already, for another of our hosts.
    ///
    /// # Errors
    /// [`BeginFault::NoEntropy`].
    pub fn ticket(&self, ticket: &Ticket, host: &str) -> Result<String, BeginFault> {
        let place = self.place(host);
        let sealed = ticket.seal(&self.keyring.keys(), place, entropy::random()?);
        self.observe_cookie(place, &sealed);
        Ok(reply::session_cookie(place, &sealed, Some(self.settings.session.lifetime.as_secs())))
    }

    /// Ends a session, here and wherever its cookie was copied to: nobody waits longer than the store's own bound.
    pub async fn end(&self, session: &Session) {
        let issuer = session.claims.get("iss").and_then(serde_json::Value::as_str).unwrap_or_default();
        // What could not be stored is said there, counts here, and is stored later.
        let _ = self.revocations.end_session(issuer, session, crate::clock::now()).await;
        if self.is_server_side() {
            self.held.remove(&session.id);
            if let Err(fault) = self.store.remove(&StoreKey::of(&session.id)).await {
                // It is revoked already; the store forgets it by itself.
                tracing::warn!("a session that was ended could not be removed from the store: {fault}");
            }
        }
    }

    #[allow(clippy::cast_precision_loss)]
    fn observe_cookie(&self, place: CookiePlace<'_>, sealed: &str) {
        self.metrics.session_cookie_bytes.observe((place.name().len() + 1 + sealed.len()) as f64);
    }
}
