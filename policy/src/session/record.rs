//! A session that a store keeps, and the ticket in the browser that names it.

use std::fmt;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::{CookiePlace, NONCE_LENGTH, Purpose, SealingKeys, Session, SessionFault};
use crate::time::Timestamp;

/// Format of what is sealed.
const VERSION: u8 = 1;

/// The name of a session in a store: says nothing about the ticket that opens it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StoreKey([u8; 32]);

impl StoreKey {
    /// The key of the session with this id.
    pub fn of(session_id: &str) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(b"doorward/session\0");
        context.update(session_id.as_bytes());
        let mut key = [0; 32];
        key.copy_from_slice(context.finish().as_ref());
        Self(key)
    }

    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for StoreKey {
    /// Lower-case hexadecimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What the cookie holds where a store keeps the session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    #[serde(rename = "v")]
    version: u8,
    /// The session's id.
    #[serde(rename = "i")]
    pub id: Box<str>,
    /// When the session began.
    #[serde(rename = "b")]
    pub began: Timestamp,
    /// Whose it is or was: also a store that has forgotten the session cannot make it another's.
    #[serde(rename = "o")]
    pub owner: Owner,
}

/// A person at a provider, as a digest: tells whether two sessions are of the same one, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Owner(Box<str>);

impl Owner {
    /// Whose `session` is.
    pub fn of(session: &Session) -> Self {
        let text = |name: &str| session.claims.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(b"doorward/owner\0");
        for part in [text("iss"), text("sub")] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        Self(URL_SAFE_NO_PAD.encode(&context.finish().as_ref()[..16]).into())
    }
}

impl Ticket {
    pub fn of(session: &Session) -> Self {
        Self { version: VERSION, id: session.id.clone(), began: session.began, owner: Owner::of(session) }
    }

    /// The cookie's value.
    pub fn seal<'p>(&self, keys: &SealingKeys, place: impl Into<CookiePlace<'p>>, nonce: [u8; NONCE_LENGTH]) -> String {
        let place = place.into();
        keys.seal(Purpose::Ticket, place.name(), &place.binding(), nonce, serde_json::to_vec(self).unwrap_or_default())
    }

    /// Opens a cookie of `place`.
    ///
    /// # Errors
    /// [`SessionFault::Unreadable`].
    pub fn open<'p>(sealed: &[u8], keys: &SealingKeys, place: impl Into<CookiePlace<'p>>) -> Result<Self, SessionFault> {
        let place = place.into();
        let plain = keys.open(Purpose::Ticket, place.name(), &place.binding(), sealed).ok_or(SessionFault::Unreadable)?;
        let ticket: Self = serde_json::from_slice(&plain).map_err(|_| SessionFault::Unreadable)?;
        if ticket.version == VERSION { Ok(ticket) } else { Err(SessionFault::Unreadable) }
    }
}

/// What a provider gave along with a sign-in. Never shown, never logged.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    pub access_token: Option<Box<str>>,
    /// When it ends, as the provider said (RFC 6749 §5.1 `expires_in`); `None`: it did not say.
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    pub access_expires: Option<Timestamp>,
    /// When it was issued, by our clock.
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    pub obtained: Option<Timestamp>,
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<Box<str>>,
    /// The newest one: `id_token_hint` at sign-out, and what holds on when a refresh brings none.
    #[serde(rename = "i", default, skip_serializing_if = "Option::is_none")]
    pub id_token: Option<Box<str>>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens([redacted])")
    }
}

/// A session with its tokens, as a store keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    #[serde(rename = "v")]
    pub(super) version: u8,
    /// How often it was refreshed: of two records of one session the higher is the newer.
    #[serde(rename = "g")]
    pub generation: u64,
    #[serde(rename = "s")]
    pub session: Session,
    #[serde(rename = "t")]
    pub tokens: Tokens,
}

impl Record {
    pub fn new(session: Session, tokens: Tokens) -> Self {
        Self { version: VERSION, generation: 0, session, tokens }
    }

    pub fn key(&self) -> StoreKey {
        StoreKey::of(&self.session.id)
    }

    /// What the store keeps. Bound to the key: a value under another one opens as nothing.
    pub fn seal(&self, keys: &SealingKeys, nonce: [u8; NONCE_LENGTH]) -> Vec<u8> {
        let plain = serde_json::to_vec(self).unwrap_or_default();
        keys.seal(Purpose::Record, &self.key().to_string(), "", nonce, plain).into_bytes()
    }

    /// Opens what the store keeps under `key`; `None` for everything that is not exactly one of ours for it.
    pub fn open(sealed: &[u8], keys: &SealingKeys, key: &StoreKey) -> Option<Self> {
        let plain = keys.open(Purpose::Record, &key.to_string(), "", sealed)?;
        let record: Self = serde_json::from_slice(&plain).ok()?;
        (record.version == VERSION && record.session.version == super::VERSION && record.key() == *key).then_some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;
    use crate::session::Origin;

    fn keys() -> SealingKeys {
        SealingKeys::new(&[Secret::new((0..32).map(|at| at * 7 + 3).collect())]).unwrap()
    }

    fn record(id: &str) -> Record {
        let claims = serde_json::json!({ "iss": "https://idp/", "sub": "ada", "iat": 5 });
        let origin = Origin { id, provider: "p", client_id: "c" };
        let kept = ["iss".into(), "sub".into()];
        let tokens =
            Tokens { access_token: Some("canary-access".into()), refresh_token: Some("canary-refresh".into()), ..Tokens::default() };
        Record::new(Session::begin(origin, claims.as_object().unwrap(), &kept, Timestamp(9)), tokens)
    }

    #[test]
    fn sess_42_a_record_opens_under_its_own_key_only() {
        let (keys, record) = (keys(), record("one"));
        let sealed = record.seal(&keys, [1; NONCE_LENGTH]);
        assert_eq!(Record::open(&sealed, &keys, &record.key()), Some(record.clone()));
        assert_eq!(Record::open(&sealed, &keys, &StoreKey::of("two")), None);
        assert_eq!(Record::open(&sealed[1..], &keys, &record.key()), None);
        assert_eq!(crate::session::KeyId::of(&sealed), Some(keys.first()));
        assert!(!String::from_utf8(sealed).unwrap().contains("canary"));
        assert!(!format!("{record:?}").contains("canary"));
    }

    #[test]
    fn sess_32_a_ticket_is_nothing_elsewhere_and_no_session() {
        let (keys, ticket) = (keys(), Ticket::of(&record("one").session));
        let sealed = ticket.seal(&keys, "a.example", [1; NONCE_LENGTH]);
        assert_eq!(Ticket::open(sealed.as_bytes(), &keys, "a.example"), Ok(ticket));
        for place in [CookiePlace::Host("b.example"), CookiePlace::Domain("a.example"), CookiePlace::Host(".a.example")] {
            assert_eq!(Ticket::open(sealed.as_bytes(), &keys, place), Err(SessionFault::Unreadable), "{place:?}");
        }
        let limits = crate::session::Limits { idle: std::time::Duration::from_secs(60), lifetime: std::time::Duration::from_secs(60) };
        assert_eq!(Session::open(sealed.as_bytes(), &keys, "a.example", limits, Timestamp(9)), Err(SessionFault::Unreadable));
    }
}
