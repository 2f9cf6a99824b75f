//! A sign-in that happens on one host and counts on another.
//!
//! The app's host keeps a secret in the browser and sends the browser on with a sealed [`HandoffRequest`]. The public host,
//! which knows who it is, sends it back with a sealed [`HandoffCode`]. The code is good once, for half a minute, and only in
//! the browser that holds the secret: neither can an attacker's code be planted, nor a victim's be used.

use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::{ATTEMPT_COOKIE, ATTEMPT_LIFETIME, Asked, AttemptFault, ReturnTo};
use crate::session::{NONCE_LENGTH, Purpose, SealingKeys, Session, Ticket};
use crate::time::Timestamp;

/// How long a code is good: the way from one host to another takes a browser a moment.
pub const HANDOFF_LIFETIME: Duration = Duration::from_secs(30);
/// How far the clock of the machine that sealed something may be ahead of ours.
const SKEW: Duration = Duration::from_secs(60);
const REQUEST: &str = "handoff request";
const CODE: &str = "handoff code";

/// Random bytes for one hand-off, drawn by the caller.
pub type HandoffEntropy = [u8; 16 + 32];

/// What the browser holds on the app's host, in a cookie like any attempt's.
#[derive(Clone, Serialize, Deserialize)]
pub struct HandoffAttempt {
    /// 128 random bits.
    #[serde(rename = "i")]
    pub id: Box<str>,
    #[serde(rename = "s")]
    secret: Box<str>,
    #[serde(rename = "t")]
    pub began: Timestamp,
}

impl std::fmt::Debug for HandoffAttempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HandoffAttempt").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What the app's host asks of the public host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HandoffRequest {
    /// The app's host, canonical.
    #[serde(rename = "h")]
    pub host: Box<str>,
    #[serde(rename = "a")]
    pub attempt: Box<str>,
    /// The digest of the attempt's secret.
    #[serde(rename = "d")]
    proof: Box<str>,
    /// Where on the app's host the way ends.
    #[serde(rename = "r")]
    pub return_to: Box<str>,
    /// The provider that somebody chose already, by its name.
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Box<str>>,
    #[serde(rename = "t")]
    pub began: Timestamp,
    /// How many attempts went wrong before this one.
    #[serde(rename = "n", default)]
    pub retries: u8,
    /// Which sessions of the public host are good enough.
    #[serde(rename = "f", default)]
    pub newness: Newness,
    #[serde(rename = "k", default)]
    pub asked: Asked,
}

/// How new the session has to be that is handed over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Newness {
    /// Any live one.
    #[default]
    Any,
    /// One that begins only now: somebody is to sign in again.
    New,
    /// One that began at this time or later, by the public host's own clock.
    Since(Timestamp),
}

/// What is handed over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Handed {
    /// The session, where only browsers keep it.
    Session(Box<Session>),
    /// Its name in the store.
    Ticket(Ticket),
}

/// What the public host answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HandoffCode {
    #[serde(rename = "a")]
    pub attempt: Box<str>,
    #[serde(rename = "d")]
    proof: Box<str>,
    #[serde(rename = "r")]
    pub return_to: Box<str>,
    #[serde(rename = "t")]
    issued: Timestamp,
    #[serde(rename = "n", default)]
    pub retries: u8,
    #[serde(rename = "s")]
    handed: Handed,
}

impl HandoffAttempt {
    /// Begins a hand-off from fresh random bytes.
    pub fn begin(entropy: &HandoffEntropy, now: Timestamp) -> Self {
        let (id, secret) = entropy.split_at(16);
        Self { id: URL_SAFE_NO_PAD.encode(id).into(), secret: URL_SAFE_NO_PAD.encode(secret).into(), began: now }
    }

    pub fn cookie_name(&self) -> String {
        format!("{ATTEMPT_COOKIE}{}", self.id)
    }

    pub fn seal(&self, keys: &SealingKeys, host: &str, nonce: [u8; NONCE_LENGTH]) -> String {
        seal(self, &self.cookie_name(), keys, host, nonce)
    }

    /// Opens the cookie of the attempt with this id.
    pub fn open(id: &str, sealed: &[u8], keys: &SealingKeys, host: &str) -> Option<Self> {
        open::<Self>(sealed, &format!("{ATTEMPT_COOKIE}{id}"), keys, host).filter(|attempt| *attempt.id == *id)
    }

    fn proof(&self) -> String {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(b"doorward/handoff\0");
        context.update(self.secret.as_bytes());
        URL_SAFE_NO_PAD.encode(context.finish())
    }
}

impl HandoffRequest {
    /// Asks for any live session of `host`'s providers, unless the wishes are for another sign-in.
    pub fn of(attempt: &HandoffAttempt, host: &str, return_to: &ReturnTo, asked: &Asked) -> Self {
        // A hint and a language choose nobody; all others mean somebody in particular.
        let other = asked.wishes.iter().any(|(name, _)| !matches!(name, "login_hint" | "ui_locales"));
        Self {
            host: host.into(),
            attempt: attempt.id.clone(),
            proof: attempt.proof().into(),
            return_to: return_to.as_str().into(),
            provider: None,
            began: attempt.began,
            retries: 0,
            newness: if other { Newness::New } else { Newness::Any },
            asked: asked.clone(),
        }
    }

    /// Bound to the host that is asked.
    pub fn seal(&self, keys: &SealingKeys, public_host: &str, nonce: [u8; NONCE_LENGTH]) -> String {
        seal(self, REQUEST, keys, public_host, nonce)
    }

    /// Opens a request that came to `public_host`.
    ///
    /// # Errors
    /// [`AttemptFault::State`].
    pub fn open(sealed: &str, keys: &SealingKeys, public_host: &str) -> Result<Self, AttemptFault> {
        open(sealed.as_bytes(), REQUEST, keys, public_host).ok_or(AttemptFault::State)
    }

    /// Whether nobody waits for the answer any more.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.began.plus(ATTEMPT_LIFETIME) <= now || self.began > now.plus(SKEW)
    }

    /// Whether a live session is new and strong enough.
    pub fn takes(&self, session: &Session, now: Timestamp) -> bool {
        let new = match self.newness {
            Newness::Any => true,
            Newness::New => false,
            Newness::Since(time) => session.began >= time,
        };
        new && self.asked.step_up.as_ref().is_none_or(|step_up| step_up.met_by(&session.claims, now))
    }

    /// The same, once somebody was sent to sign in for it.
    #[must_use]
    pub fn sent_to_sign_in(self, now: Timestamp) -> Self {
        let newness = match self.newness {
            Newness::New => Newness::Since(now),
            Newness::Any | Newness::Since(_) => self.newness,
        };
        Self { newness, ..self }
    }
}

impl HandoffCode {
    /// The answer to `request`.
    pub fn answer(request: &HandoffRequest, handed: Handed, now: Timestamp) -> Self {
        Self {
            attempt: request.attempt.clone(),
            proof: request.proof.clone(),
            return_to: request.return_to.clone(),
            issued: now,
            retries: request.retries,
            handed,
        }
    }

    /// Bound to the app's host.
    pub fn seal(&self, keys: &SealingKeys, host: &str, nonce: [u8; NONCE_LENGTH]) -> String {
        seal(self, CODE, keys, host, nonce)
    }

    /// Opens a code that came to `host`. Nothing in it counts before [`Self::redeem`].
    ///
    /// # Errors
    /// [`AttemptFault::State`].
    pub fn open(sealed: &str, keys: &SealingKeys, host: &str) -> Result<Self, AttemptFault> {
        open(sealed.as_bytes(), CODE, keys, host).ok_or(AttemptFault::State)
    }

    /// What is handed over, to the browser with this attempt cookie. That the code comes for the first time is the caller's to
    /// know, and to see to before.
    ///
    /// # Errors
    /// [`AttemptFault`]: lost when this browser asked for nothing under that name, foreign when for something else, expired when
    /// the code is too old.
    pub fn redeem(&self, cookie: Option<&[u8]>, keys: &SealingKeys, host: &str, now: Timestamp) -> Result<Handed, AttemptFault> {
        let sealed = cookie.ok_or(AttemptFault::Lost)?;
        let attempt = HandoffAttempt::open(&self.attempt, sealed, keys, host).ok_or(AttemptFault::Foreign)?;
        if !bool::from(attempt.proof().as_bytes().ct_eq(self.proof.as_bytes())) {
            return Err(AttemptFault::Foreign);
        }
        let over = self.issued.plus(HANDOFF_LIFETIME) < now || attempt.began.plus(ATTEMPT_LIFETIME) <= now;
        if over || self.issued > now.plus(SKEW) {
            return Err(AttemptFault::Expired);
        }
        Ok(self.handed.clone())
    }

    /// Whether the sign-in begins anew by itself after `fault`: once, and only what this browser may well have begun.
    pub fn may_restart(&self, fault: AttemptFault) -> bool {
        match fault {
            AttemptFault::Lost | AttemptFault::Expired => self.retries == 0,
            AttemptFault::Reused | AttemptFault::Foreign | AttemptFault::State => false,
        }
    }
}

fn seal(value: &impl Serialize, name: &str, keys: &SealingKeys, host: &str, nonce: [u8; NONCE_LENGTH]) -> String {
    keys.seal(Purpose::Handoff, name, host, nonce, serde_json::to_vec(value).unwrap_or_default())
}

fn open<T: DeserializeOwned>(sealed: &[u8], name: &str, keys: &SealingKeys, host: &str) -> Option<T> {
    serde_json::from_slice(&keys.open(Purpose::Handoff, name, host, sealed)?).ok()
}

#[cfg(test)]
mod tests;
