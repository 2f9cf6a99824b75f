//! One sign-in under way.

use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::ReturnTo;
use crate::access::StepUp;
use crate::session::{NONCE_LENGTH, Purpose, SealingKeys};
use crate::time::Timestamp;

/// Cookie names begin with this; the attempt's id follows, so that tabs do not overwrite each other.
pub const ATTEMPT_COOKIE: &str = "__Host-doorward-attempt.";
/// How long a person may take at the provider.
pub const ATTEMPT_LIFETIME: Duration = Duration::from_secs(600);
/// Attempts that one browser may have under way; the oldest gives way.
pub const ATTEMPT_LIMIT: usize = 5;
/// How old a state may be that still begins its sign-in anew: a tab that was left open over a day.
const RESTART_LIMIT: Duration = Duration::from_secs(24 * 60 * 60);
/// How far a sealing process's clock may be ahead of ours.
const SKEW: Duration = Duration::from_secs(60);
const STATE: &str = "state";

/// What the browser holds: everything that ties the provider's answer to it (RFC 9700 §2.1, §4.7).
#[derive(Clone, Serialize, Deserialize)]
pub struct Attempt {
    /// 128 random bits.
    #[serde(rename = "i")]
    pub id: Box<str>,
    #[serde(rename = "p")]
    pub provider: Box<str>,
    /// OIDC Core §3.1.2.1 `nonce`.
    #[serde(rename = "n")]
    pub nonce: Box<str>,
    /// RFC 7636 §4.1 `code_verifier`.
    #[serde(rename = "k")]
    pub verifier: Box<str>,
    /// Sent again, byte for byte, with the code.
    #[serde(rename = "u")]
    pub redirect_uri: Box<str>,
    #[serde(rename = "t")]
    pub began: Timestamp,
}

impl std::fmt::Debug for Attempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attempt").field("id", &self.id).field("provider", &self.provider).finish_non_exhaustive()
    }
}

/// What the `state` parameter holds (RFC 6749 §10.12), sealed: also a callback without its attempt knows the way back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    #[serde(rename = "i")]
    pub attempt: Box<str>,
    #[serde(rename = "p")]
    pub provider: Box<str>,
    #[serde(rename = "r")]
    pub return_to: Box<str>,
    #[serde(rename = "t")]
    pub began: Timestamp,
    /// How many attempts went wrong before this one.
    #[serde(rename = "n", default)]
    pub retries: u8,
    /// What the sign-in must bring besides who it is.
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    pub step_up: Option<StepUp>,
    /// The organization that was asked for by name, where the configuration names none.
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<Box<str>>,
}

/// Why the callback has no attempt to continue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum AttemptFault {
    #[error("the state parameter is missing or not ours")]
    State,
    #[error("the browser holds no attempt for this state")]
    Lost,
    #[error("the attempt is too old")]
    Expired,
    #[error("the attempt was used before")]
    Reused,
    #[error("the browser holds something else in the place of this attempt")]
    Foreign,
}

/// Random bytes for one attempt, drawn by the caller.
pub type AttemptEntropy = [u8; 16 + 32 + 32];

impl Attempt {
    /// Begins an attempt from fresh random bytes.
    pub fn begin(provider: &str, redirect_uri: &str, entropy: &AttemptEntropy, now: Timestamp) -> Self {
        let (id, rest) = entropy.split_at(16);
        let (nonce, verifier) = rest.split_at(32);
        Self {
            id: URL_SAFE_NO_PAD.encode(id).into(),
            provider: provider.into(),
            nonce: URL_SAFE_NO_PAD.encode(nonce).into(),
            // RFC 7636 §4.1: 43 characters from 32 random bytes.
            verifier: URL_SAFE_NO_PAD.encode(verifier).into(),
            redirect_uri: redirect_uri.into(),
            began: now,
        }
    }

    /// RFC 7636 §4.2: S256, never `plain`.
    pub fn code_challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, self.verifier.as_bytes()))
    }

    pub fn cookie_name(&self) -> String {
        format!("{ATTEMPT_COOKIE}{}", self.id)
    }

    pub fn seal(&self, keys: &SealingKeys, host: &str, nonce: [u8; NONCE_LENGTH]) -> String {
        let plain = serde_json::to_vec(self).unwrap_or_default();
        keys.seal(Purpose::Attempt, &self.cookie_name(), host, nonce, plain)
    }

    /// Finds, among the browser's cookies, the attempt that `state` belongs to.
    ///
    /// # Errors
    /// [`AttemptFault`]: foreign when the cookie of that name is not this attempt, expired when it is too old, lost when there
    /// is none.
    pub fn resume(state: &State, cookie: Option<&[u8]>, keys: &SealingKeys, host: &str, now: Timestamp) -> Result<Self, AttemptFault> {
        let attempt = cookie.map(|sealed| Self::open(state, sealed, keys, host).ok_or(AttemptFault::Foreign)).transpose()?;
        if state.began.plus(ATTEMPT_LIFETIME) <= now {
            return Err(AttemptFault::Expired);
        }
        let attempt = attempt.ok_or(AttemptFault::Lost)?;
        if attempt.began.plus(ATTEMPT_LIFETIME) <= now || attempt.began > now.plus(SKEW) {
            return Err(AttemptFault::Expired);
        }
        Ok(attempt)
    }

    /// The attempt that `state` belongs to, and no other.
    fn open(state: &State, sealed: &[u8], keys: &SealingKeys, host: &str) -> Option<Self> {
        let plain = keys.open(Purpose::Attempt, &format!("{ATTEMPT_COOKIE}{}", state.attempt), host, sealed)?;
        let attempt: Self = serde_json::from_slice(&plain).ok()?;
        let same = bool::from(attempt.id.as_bytes().ct_eq(state.attempt.as_bytes())) && attempt.provider == state.provider;
        same.then_some(attempt)
    }
}

impl State {
    pub fn of(attempt: &Attempt, return_to: &ReturnTo, retries: u8) -> Self {
        Self {
            attempt: attempt.id.clone(),
            provider: attempt.provider.clone(),
            return_to: return_to.as_str().into(),
            began: attempt.began,
            retries,
            step_up: None,
            organization: None,
        }
    }

    /// Whether a sign-in whose callback ended in `fault` begins anew by itself: once, and only one that this browser may well
    /// have begun. What was used, or is somebody else's, would be an attacker's to repeat.
    pub fn may_restart(&self, fault: AttemptFault, now: Timestamp) -> bool {
        match fault {
            AttemptFault::Lost | AttemptFault::Expired => {
                self.retries == 0 && self.began <= now.plus(SKEW) && now < self.began.plus(RESTART_LIMIT)
            }
            AttemptFault::Reused | AttemptFault::Foreign | AttemptFault::State => false,
        }
    }

    pub fn seal(&self, keys: &SealingKeys, host: &str, nonce: [u8; NONCE_LENGTH]) -> String {
        keys.seal(Purpose::State, STATE, host, nonce, serde_json::to_vec(self).unwrap_or_default())
    }

    /// Opens a `state` parameter that came back to `host` for `provider`.
    ///
    /// # Errors
    /// [`AttemptFault::State`].
    pub fn open(sealed: &str, keys: &SealingKeys, host: &str, provider: &str) -> Result<Self, AttemptFault> {
        let plain = keys.open(Purpose::State, STATE, host, sealed.as_bytes()).ok_or(AttemptFault::State)?;
        let state: Self = serde_json::from_slice(&plain).map_err(|_| AttemptFault::State)?;
        // RFC 9700 §4.4: the callback of one provider takes no answer to another's request.
        if &*state.provider == provider { Ok(state) } else { Err(AttemptFault::State) }
    }
}
