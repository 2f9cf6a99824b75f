//! What the tenant remembers between requests: sessions, attempts, codes, opaque tokens. All in memory, all bounded by time.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::authorize::Authorization;
use super::issue::Grant;
use super::refresh::Families;
use super::token_text::random_text;

#[derive(Debug, Default)]
pub(super) struct Store {
    sessions: Expiring<SsoSession>,
    attempts: Expiring<Authorization>,
    codes: Expiring<CodeGrant>,
    /// Codes already redeemed and the refresh family that came of each.
    spent: Expiring<Option<u64>>,
    opaque: Expiring<Grant>,
    pub(super) families: Families,
}

/// A browser that signed in at the tenant. Every application reached from it shares the `sid`.
#[derive(Debug, Clone)]
pub(super) struct SsoSession {
    pub(super) sub: String,
    pub(super) sid: String,
    pub(super) auth_time: i64,
}

/// What an authorization code stands for.
#[derive(Debug, Clone)]
pub(super) struct CodeGrant {
    pub(super) grant: Grant,
    pub(super) redirect_uri: String,
    /// The S256 challenge of RFC 7636, if the request carried one.
    pub(super) challenge: Option<String>,
}

/// What a presented code turned out to be.
pub(super) enum Code {
    Fresh(Box<CodeGrant>),
    /// Used before; the refresh family it led to, if any.
    Spent(Option<u64>),
    Unknown,
}

impl Store {
    /// The value of the new cookie.
    pub(super) fn open_session(&mut self, session: SsoSession, lifetime: Duration) -> String {
        self.sessions.insert(session, lifetime)
    }

    pub(super) fn session(&mut self, cookie: &str) -> Option<SsoSession> {
        self.sessions.get(cookie).cloned()
    }

    pub(super) fn end_session(&mut self, cookie: &str) {
        self.sessions.take(cookie);
    }

    pub(super) fn forget_sessions(&mut self) {
        self.sessions = Expiring::default();
    }

    /// The `state` of the sign-in page.
    pub(super) fn begin_attempt(&mut self, authorization: Authorization) -> String {
        self.attempts.insert(authorization, ATTEMPT_LIFETIME)
    }

    pub(super) fn attempt(&mut self, state: &str) -> Option<Authorization> {
        self.attempts.get(state).cloned()
    }

    pub(super) fn end_attempt(&mut self, state: &str) {
        self.attempts.take(state);
    }

    pub(super) fn issue_code(&mut self, grant: CodeGrant, lifetime: Duration) -> String {
        self.codes.insert(grant, lifetime)
    }

    /// Looks only: a request that fails to prove who it is must not use up the code of somebody else.
    pub(super) fn code(&mut self, code: &str) -> Code {
        if let Some(grant) = self.codes.get(code) {
            return Code::Fresh(Box::new(grant.clone()));
        }
        match self.spent.get(code) {
            Some(family) => Code::Spent(*family),
            None => Code::Unknown,
        }
    }

    /// Authorization codes are for single use (RFC 6749 §4.1.2).
    pub(super) fn spend_code(&mut self, code: &str, family: Option<u64>) {
        self.codes.take(code);
        self.spent.insert_as(code.to_owned(), family, SPENT_LIFETIME);
    }

    pub(super) fn keep_opaque(&mut self, token: &str, grant: Grant, lifetime: Duration) {
        self.opaque.insert_as(token.to_owned(), grant, lifetime);
    }

    pub(super) fn opaque(&mut self, token: &str) -> Option<Grant> {
        self.opaque.get(token).cloned()
    }
}

/// A map whose entries end by themselves.
#[derive(Debug)]
struct Expiring<T>(HashMap<String, (Instant, T)>);

impl<T> Expiring<T> {
    fn insert(&mut self, value: T, lifetime: Duration) -> String {
        let key = random_text(24);
        self.insert_as(key.clone(), value, lifetime);
        key
    }

    fn insert_as(&mut self, key: String, value: T, lifetime: Duration) {
        let now = Instant::now();
        if self.0.len() >= SWEEP_AT {
            self.0.retain(|_, (end, _)| *end > now);
        }
        self.0.insert(key, (now + lifetime, value));
    }

    fn get(&self, key: &str) -> Option<&T> {
        self.0.get(key).filter(|(end, _)| *end > Instant::now()).map(|(_, value)| value)
    }

    fn take(&mut self, key: &str) {
        self.0.remove(key);
    }
}

impl<T> Default for Expiring<T> {
    fn default() -> Self {
        Expiring(HashMap::new())
    }
}

const ATTEMPT_LIFETIME: Duration = Duration::from_secs(600);
const SPENT_LIFETIME: Duration = Duration::from_secs(3600);
const SWEEP_AT: usize = 1024;
