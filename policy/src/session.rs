//! A signed-in browser: what the session cookie holds, and for how long it counts.

mod place;
mod record;
mod renewal;
pub mod revocation;
mod seal;

pub use place::{COOKIE, CookiePlace, DOMAIN_COOKIE, is_own_cookie, is_within};
pub use record::{Owner, Record, StoreKey, Ticket, Tokens};
pub use renewal::{Freshness, RefreshTimes};
pub use revocation::{Revocation, Revocations, SessionFacts, What};
pub use seal::{KeyFault, KeyId, NONCE_LENGTH, Purpose, SealingKeys};

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::time::Timestamp;

/// Name and value of the session cookie together; browsers keep 4096 bytes with the attributes.
pub const COOKIE_LIMIT: usize = 3800;

/// Format of what is sealed. A cookie of another version is a reason to sign in, not an error.
const VERSION: u8 = 1;

/// A session as sealed in its cookie: claims and times, no tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Session {
    #[serde(rename = "v")]
    version: u8,
    /// 128 random bits; new at every sign-in.
    #[serde(rename = "i")]
    pub id: Box<str>,
    /// The provider's name in the configuration.
    #[serde(rename = "p")]
    pub provider: Box<str>,
    /// Our client there: a session of one client is nothing at another.
    #[serde(rename = "c")]
    pub client_id: Box<str>,
    #[serde(rename = "b")]
    pub began: Timestamp,
    /// The last request that renewed the cookie.
    #[serde(rename = "s")]
    pub seen: Timestamp,
    /// The provider's own session, for sign-out.
    #[serde(rename = "o", skip_serializing_if = "Option::is_none", default)]
    pub provider_session: Option<Box<str>>,
    /// When the ID token was issued: revocations compare with it.
    #[serde(rename = "t")]
    pub issued: Timestamp,
    /// When the provider wants it to be over (`session_expiry`).
    #[serde(rename = "x", skip_serializing_if = "Option::is_none", default)]
    pub cap: Option<Timestamp>,
    /// The claims that rules, roles and headers look at.
    #[serde(rename = "d")]
    pub claims: Map<String, Value>,
}

/// Idle and absolute limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub idle: Duration,
    pub lifetime: Duration,
}

/// Why a session cookie signs nobody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SessionFault {
    /// Not sealed by one of our keys for this cookie on this host, or twice in one request.
    Unreadable,
    /// Idle or absolute limit reached.
    Expired,
    /// Of another provider or client than this route's.
    OtherProvider,
    /// Signed out, here or at the provider, before its time.
    Revoked,
    /// It does not say who it is about, where the configuration reads that now.
    NoUser,
}

impl SessionFault {
    /// What logs and metrics call it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Unreadable => "session_unreadable",
            Self::Expired => "session_expired",
            Self::OtherProvider => "session_other_provider",
            Self::Revoked => "session_revoked",
            Self::NoUser => "session_user_claim",
        }
    }
}

/// What a new session is made of, besides claims.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'o> {
    pub id: &'o str,
    pub provider: &'o str,
    pub client_id: &'o str,
}

/// The claims do not fit into one cookie, and we never split one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the session needs {0} bytes, and a cookie has {COOKIE_LIMIT}")]
pub struct TooLarge(pub usize);

/// How far a sealing process's clock may be ahead of ours.
const SKEW: Duration = Duration::from_secs(60);

impl Session {
    /// Begins a session from verified claims, keeping those in `kept`.
    pub fn begin(origin: Origin<'_>, claims: &Map<String, Value>, kept: &[Box<str>], now: Timestamp) -> Self {
        let kept: Map<String, Value> =
            kept.iter().filter_map(|name| claims.get(&**name).map(|value| (name.to_string(), value.clone()))).collect();
        let issued = claims.get("iat").and_then(Value::as_i64).map_or(now, Timestamp);
        Self {
            version: VERSION,
            id: origin.id.into(),
            provider: origin.provider.into(),
            client_id: origin.client_id.into(),
            began: now,
            seen: now,
            provider_session: claims.get("sid").and_then(Value::as_str).map(Into::into),
            issued,
            cap: cap(claims),
            claims: kept,
        }
    }

    /// Whose session a cookie of `place` was, whether it is live or long over; `None` for what is none of ours.
    pub fn owner_of<'p>(sealed: &[u8], keys: &SealingKeys, place: impl Into<CookiePlace<'p>>) -> Option<Owner> {
        let place = place.into();
        let plain = keys.open(Purpose::Session, place.name(), &place.binding(), sealed)?;
        let session: Self = serde_json::from_slice(&plain).ok()?;
        Some(Owner::of(&session))
    }

    /// Opens a session cookie of `place` (a host, or a domain), as a live session.
    ///
    /// # Errors
    /// [`SessionFault`]. Everything malformed is the same fault, found in the same way.
    pub fn open<'p>(
        sealed: &[u8],
        keys: &SealingKeys,
        place: impl Into<CookiePlace<'p>>,
        limits: Limits,
        now: Timestamp,
    ) -> Result<Self, SessionFault> {
        let place = place.into();
        let plain = keys.open(Purpose::Session, place.name(), &place.binding(), sealed).ok_or(SessionFault::Unreadable)?;
        let session: Self = serde_json::from_slice(&plain).map_err(|_| SessionFault::Unreadable)?;
        if session.version != VERSION {
            return Err(SessionFault::Unreadable);
        }
        session.check_limits(limits, now)?;
        Ok(session)
    }

    /// The limits are ours, not the cookie's: a shorter lifetime in the configuration ends old sessions too.
    ///
    /// # Errors
    /// [`SessionFault::Expired`].
    pub fn check_limits(&self, limits: Limits, now: Timestamp) -> Result<(), SessionFault> {
        let from_the_future = self.began > now.plus(SKEW) || self.seen > now.plus(SKEW);
        let over = self.latest(limits) <= now || self.seen.plus(limits.idle) <= now;
        if from_the_future || over { Err(SessionFault::Expired) } else { Ok(()) }
    }

    /// Whether this session counts where `provider` and `client_id` are asked for.
    ///
    /// # Errors
    /// [`SessionFault::OtherProvider`].
    pub fn belongs_to(&self, provider: &str, client_id: &str, issuer: &str) -> Result<(), SessionFault> {
        let same_issuer = self.claims.get("iss").and_then(Value::as_str) == Some(issuer);
        if &*self.provider == provider && &*self.client_id == client_id && same_issuer { Ok(()) } else { Err(SessionFault::OtherProvider) }
    }

    /// Whether this session counts where several providers are asked for, each with its name, our client there and its issuer:
    /// it is of one of them.
    ///
    /// # Errors
    /// [`SessionFault::OtherProvider`].
    pub fn belongs_to_one_of<'c>(&self, providers: impl IntoIterator<Item = (&'c str, &'c str, &'c str)>) -> Result<(), SessionFault> {
        let mut providers = providers.into_iter();
        let own = providers.any(|(provider, client_id, issuer)| self.belongs_to(provider, client_id, issuer).is_ok());
        if own { Ok(()) } else { Err(SessionFault::OtherProvider) }
    }

    /// Whether the cookie should be written anew so that the idle limit counts from now: at most ten times in it.
    pub fn renewal_is_due(&self, limits: Limits, now: Timestamp) -> bool {
        now.since(self.seen) >= (limits.idle / 10).max(Duration::from_secs(1))
    }

    /// The same session, seen just now.
    #[must_use]
    pub fn renewed(&self, now: Timestamp) -> Self {
        Self { seen: now, ..self.clone() }
    }

    /// When the session ends if nobody comes again.
    pub fn ends(&self, limits: Limits) -> Timestamp {
        self.latest(limits).min(self.seen.plus(limits.idle))
    }

    /// When it ends whatever happens.
    pub fn latest(&self, limits: Limits) -> Timestamp {
        let end = self.began.plus(limits.lifetime);
        self.cap.map_or(end, |cap| cap.min(end))
    }

    /// The cookie's value for `place` (a host, or a domain).
    ///
    /// # Errors
    /// [`TooLarge`]: the sign-in fails and says so, rather than a session that is cut short.
    pub fn seal<'p>(&self, keys: &SealingKeys, place: impl Into<CookiePlace<'p>>, nonce: [u8; NONCE_LENGTH]) -> Result<String, TooLarge> {
        let place = place.into();
        let plain = serde_json::to_vec(self).unwrap_or_default();
        let sealed = keys.seal(Purpose::Session, place.name(), &place.binding(), nonce, plain);
        let size = place.name().len() + 1 + sealed.len();
        if size > COOKIE_LIMIT { Err(TooLarge(size)) } else { Ok(sealed) }
    }
}

/// Auth0's enterprise connections: the session must not outlive this `NumericDate`. One that cannot be read ends it.
fn cap(claims: &Map<String, Value>) -> Option<Timestamp> {
    claims.get("session_expiry").filter(|value| !value.is_null()).map(|value| {
        #[allow(clippy::cast_possible_truncation)]
        value.as_f64().map_or(Timestamp(0), |seconds| Timestamp(seconds as i64))
    })
}

#[cfg(test)]
mod tests;
