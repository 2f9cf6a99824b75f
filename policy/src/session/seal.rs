//! Sealing: AES-256-GCM-SIV (RFC 8452) under keys derived for one purpose each (HKDF, RFC 5869).
//!
//! A sealed value is base64url of `version ‖ key id ‖ nonce ‖ ciphertext ‖ tag`. The associated data names the
//! purpose, the cookie and the host, so a value is nothing anywhere else. The key id selects exactly one key and is
//! derived from it, so no ciphertext means something under two.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::secret::Secret;

/// Random bytes that every seal takes as an argument. A repeated one would reveal no more than that the text repeats.
pub const NONCE_LENGTH: usize = 12;
const KEY_LENGTH: usize = 32;
const KEY_ID_LENGTH: usize = 8;
const TAG_LENGTH: usize = 16;
const VERSION: u8 = 1;
const HEADER_LENGTH: usize = 1 + KEY_ID_LENGTH + NONCE_LENGTH;

/// What a sealed value is for. Each has a key of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Session,
    /// What the browser holds while a sign-in is under way.
    Attempt,
    /// The `state` parameter (RFC 6749 §4.1.1).
    State,
    /// What the cookie of a session in a store holds.
    Ticket,
    /// A session in a store.
    Record,
    /// A sign-in on its way from one of our hosts to another.
    Handoff,
    /// A form that waits for its sender to sign in again.
    Form,
    /// When this browser last came back from a sign-in.
    Rounds,
}

impl Purpose {
    pub(super) const ALL: [Self; 8] =
        [Self::Session, Self::Attempt, Self::State, Self::Ticket, Self::Record, Self::Handoff, Self::Form, Self::Rounds];

    fn label(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Attempt => "attempt",
            Self::State => "state",
            Self::Ticket => "ticket",
            Self::Record => "record",
            Self::Handoff => "handoff",
            Self::Form => "form",
            Self::Rounds => "rounds",
        }
    }

    /// Longest sealed value that is looked at: what browsers send is short, what stores keep need not be.
    fn limit(self) -> usize {
        match self {
            Self::Session | Self::Attempt | Self::State | Self::Ticket | Self::Handoff | Self::Rounds => 8 * 1024,
            Self::Record | Self::Form => 512 * 1024,
        }
    }
}

/// Which key sealed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyId(pub u64);

impl KeyId {
    /// What a sealed value says about it, whether it opens or not.
    pub fn of(sealed: &[u8]) -> Option<Self> {
        // Base64 of the version and the id needs no more than this of it.
        let mut head = [0; 12];
        URL_SAFE_NO_PAD.decode_slice(sealed.get(..16)?, &mut head).ok()?;
        head.get(1..=KEY_ID_LENGTH)?.try_into().ok().map(|id| Self(u64::from_be_bytes(id)))
    }
}

/// The key ring: the first seals, all open.
#[derive(Clone)]
pub struct SealingKeys {
    ring: Vec<Arc<DerivedKeys>>,
}

struct DerivedKeys {
    id: [u8; KEY_ID_LENGTH],
    keys: Vec<LessSafeKey>,
}

/// Why a key is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    #[error("no key is given")]
    None,
    #[error("{0} bytes; a key has exactly 32")]
    Length(usize),
    #[error("it is no random key; make one with `doorward keygen`")]
    Weak,
    #[error("the same key is given twice")]
    Twice,
    #[error("more than {0} keys; old ones can go once their sessions have ended")]
    TooMany(usize),
    #[error("the key could not be derived")]
    Derivation,
}

/// More keys than a rotation needs make a forged cookie no more expensive, but a ring harder to read.
const RING_LIMIT: usize = 5;

impl fmt::Debug for SealingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKeys({} keys)", self.ring.len())
    }
}

impl SealingKeys {
    /// Derives the ring. Keys are 32 random bytes each; passphrases are refused.
    ///
    /// # Errors
    /// [`KeyFault`] for the first key that is none.
    pub fn new(secrets: &[Secret<Vec<u8>>]) -> Result<Self, KeyFault> {
        if secrets.is_empty() {
            return Err(KeyFault::None);
        }
        if secrets.len() > RING_LIMIT {
            return Err(KeyFault::TooMany(RING_LIMIT));
        }
        let mut ring: Vec<Arc<DerivedKeys>> = Vec::new();
        for secret in secrets {
            let derived = DerivedKeys::derive(secret.expose())?;
            if ring.iter().any(|known| known.id == derived.id) {
                return Err(KeyFault::Twice);
            }
            ring.push(Arc::new(derived));
        }
        Ok(Self { ring })
    }

    /// How many there are: one at least.
    pub fn count(&self) -> usize {
        self.ring.len()
    }

    /// Seals `plain` under the first key. `name` is the cookie or parameter it goes into, `host` the canonical host.
    pub fn seal(&self, purpose: Purpose, name: &str, host: &str, nonce: [u8; NONCE_LENGTH], mut plain: Vec<u8>) -> String {
        let first = &self.ring[0];
        let mut sealed = Vec::with_capacity(HEADER_LENGTH + plain.len() + TAG_LENGTH);
        sealed.push(VERSION);
        sealed.extend_from_slice(&first.id);
        sealed.extend_from_slice(&nonce);
        let aad = Aad::from(associated_data(purpose, name, host));
        // Fails for more than 2^36 bytes only; an empty value opens as nothing.
        if first.key(purpose).seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut plain).is_err() {
            return String::new();
        }
        sealed.extend_from_slice(&plain);
        URL_SAFE_NO_PAD.encode(sealed)
    }

    /// Whether both hold the same keys in the same order.
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.ring.len() == other.ring.len() && self.ring.iter().zip(&other.ring).all(|(one, two)| one.id == two.id)
    }

    /// Tells the key that seals from others, and says nothing about it.
    pub fn first(&self) -> KeyId {
        KeyId(u64::from_be_bytes(self.ring[0].id))
    }

    /// Whether what this key sealed still opens.
    pub fn has(&self, key: KeyId) -> bool {
        self.ring.iter().any(|known| u64::from_be_bytes(known.id) == key.0)
    }

    /// These keys, but what seals is still the key that seals in `before`: until every process has heard of the new one.
    /// `None` where nothing has to wait: that key is gone, or first anyway, or the new first is no news.
    pub fn sealing_as(&self, before: &Self) -> Option<Self> {
        let is_news = before.ring.iter().all(|key| key.id != self.ring[0].id);
        self.led_by(before).filter(|_| is_news)
    }

    /// These keys with the first of `leader` before the others; `None` where it is not among them, or first anyway.
    pub fn led_by(&self, leader: &Self) -> Option<Self> {
        let first = &leader.ring.first()?.id;
        let at = self.ring.iter().position(|key| key.id == *first).filter(|at| *at > 0)?;
        let mut ring = self.ring.clone();
        let key = ring.remove(at);
        ring.insert(0, key);
        Some(Self { ring })
    }

    /// Opens a sealed value; `None` for everything that is not exactly one of ours for this place.
    pub fn open(&self, purpose: Purpose, name: &str, host: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        if sealed.len() > purpose.limit() {
            return None;
        }
        let mut bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        if bytes.len() < HEADER_LENGTH + TAG_LENGTH || bytes[0] != VERSION {
            return None;
        }
        let key = self.ring.iter().find(|key| key.id == bytes[1..=KEY_ID_LENGTH])?;
        let nonce = Nonce::try_assume_unique_for_key(&bytes[1 + KEY_ID_LENGTH..HEADER_LENGTH]).ok()?;
        let aad = Aad::from(associated_data(purpose, name, host));
        let length = key.key(purpose).open_in_place(nonce, aad, &mut bytes[HEADER_LENGTH..]).ok()?.len();
        bytes.truncate(HEADER_LENGTH + length);
        bytes.drain(..HEADER_LENGTH);
        Some(bytes)
    }
}

/// Each part with its length before it: no two different lists of parts make the same bytes (CVE-2023-35941).
fn associated_data(purpose: Purpose, name: &str, host: &str) -> Vec<u8> {
    let mut data = Vec::with_capacity(64);
    for part in ["doorward", purpose.label(), name, host] {
        data.extend_from_slice(&(part.len() as u64).to_be_bytes());
        data.extend_from_slice(part.as_bytes());
    }
    data
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl DerivedKeys {
    fn derive(secret: &[u8]) -> Result<Self, KeyFault> {
        if secret.len() != KEY_LENGTH {
            return Err(KeyFault::Length(secret.len()));
        }
        if is_weak(secret) {
            return Err(KeyFault::Weak);
        }
        let root = Salt::new(HKDF_SHA256, b"doorward/v1").extract(secret);
        let expand = |info: &str, out: &mut [u8]| {
            root.expand(&[info.as_bytes()], Length(out.len())).and_then(|okm| okm.fill(out)).map_err(|_| KeyFault::Derivation)
        };
        let key = |purpose: Purpose| {
            let mut bytes = [0; KEY_LENGTH];
            expand(purpose.label(), &mut bytes)?;
            UnboundKey::new(&AES_256_GCM_SIV, &bytes).map(LessSafeKey::new).map_err(|_| KeyFault::Derivation)
        };
        let mut id = [0; KEY_ID_LENGTH];
        expand("key id", &mut id)?;
        let keys = Purpose::ALL.into_iter().map(key).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { id, keys })
    }

    fn key(&self, purpose: Purpose) -> &LessSafeKey {
        // In the order of `Purpose::ALL`, which a test holds to be the order of the enum.
        &self.keys[purpose as usize]
    }
}

/// Not a test for randomness: it catches the zeros, the repeated letters and the typed phrases.
fn is_weak(secret: &[u8]) -> bool {
    let mut seen = [false; 256];
    secret.iter().for_each(|byte| seen[usize::from(*byte)] = true);
    let distinct = seen.iter().filter(|seen| **seen).count();
    distinct < 16 || secret.iter().all(|byte| (0x20..=0x7e).contains(byte))
}
