//! An issuer's usable signing keys at one moment. The key fixes the algorithm, not the token (RFC 8725 §3.1).

use std::fmt;

use aws_lc_rs::signature::{self, ParsedPublicKey, RsaPublicKeyComponents, VerificationAlgorithm};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use serde_json::Value;

use super::{StaticKey, TokenFault, json};
use crate::time::Timestamp;

/// Most keys taken from a set; a provider publishes two or three.
const KEY_LIMIT: usize = 64;
/// Most keys tried for one token: those that share its `kid`, or all of its algorithm when it names none.
const CANDIDATE_LIMIT: usize = 4;

/// Signature algorithms (RFC 7518 §3.1, RFC 8037). There is no `none` and no HMAC: they cannot be written down here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    /// Ed25519, under its old name `EdDSA` and its new one (RFC 9864).
    EdDsa,
}

impl Algorithm {
    /// All of them, for messages.
    pub const ALL: &'static [Self] =
        &[Self::Rs256, Self::Rs384, Self::Rs512, Self::Ps256, Self::Ps384, Self::Ps512, Self::Es256, Self::Es384, Self::EdDsa];

    /// Exact, as in a header: `rs256` is no algorithm.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::Rs256,
            "RS384" => Self::Rs384,
            "RS512" => Self::Rs512,
            "PS256" => Self::Ps256,
            "PS384" => Self::Ps384,
            "PS512" => Self::Ps512,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            "EdDSA" | "Ed25519" => Self::EdDsa,
            _ => return None,
        })
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The hash behind it, for `at_hash` (OIDC Core §3.1.3.6).
    pub(super) fn digest(self) -> &'static aws_lc_rs::digest::Algorithm {
        match self {
            Self::Rs256 | Self::Ps256 | Self::Es256 => &aws_lc_rs::digest::SHA256,
            Self::Rs384 | Self::Ps384 | Self::Es384 => &aws_lc_rs::digest::SHA384,
            Self::Rs512 | Self::Ps512 | Self::EdDsa => &aws_lc_rs::digest::SHA512,
        }
    }

    fn in_jwk(self) -> KeyAlgorithm {
        match self {
            Self::Rs256 => KeyAlgorithm::RS256,
            Self::Rs384 => KeyAlgorithm::RS384,
            Self::Rs512 => KeyAlgorithm::RS512,
            Self::Ps256 => KeyAlgorithm::PS256,
            Self::Ps384 => KeyAlgorithm::PS384,
            Self::Ps512 => KeyAlgorithm::PS512,
            Self::Es256 => KeyAlgorithm::ES256,
            Self::Es384 => KeyAlgorithm::ES384,
            Self::EdDsa => KeyAlgorithm::EdDSA,
        }
    }
}

/// The keys. Lookups take no lock; a new set replaces the old as a whole, so a key that was removed stops working.
pub struct KeySet {
    keys: Vec<Key>,
    ignored: usize,
}

struct Key {
    id: Option<Box<str>>,
    algorithm: Algorithm,
    key: ParsedPublicKey,
}

/// Why a document is not a usable key set. It never replaces one that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeySetFault {
    #[error("not a JSON object with an array `keys`")]
    Malformed,
    #[error("none of its {0} keys can be used with the algorithms allowed")]
    NothingUsable(usize),
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| (&key.id, key.algorithm))).finish()
    }
}

impl KeySet {
    /// Reads a JWK set (RFC 7517 §5) and keeps the keys that fit one of `algorithms`; a bad key does not spoil the others.
    ///
    /// # Errors
    /// [`KeySetFault`] when no key is left.
    pub fn parse(document: &[u8], algorithms: &[Algorithm]) -> Result<Self, KeySetFault> {
        let document = json::object(document).map_err(|_| KeySetFault::Malformed)?;
        let Some(Value::Array(listed)) = document.get("keys") else { return Err(KeySetFault::Malformed) };
        let mut keys = Vec::new();
        let mut ignored = listed.len().saturating_sub(KEY_LIMIT);
        for value in listed.iter().take(KEY_LIMIT) {
            let before = keys.len();
            if let Ok(jwk) = serde_json::from_value::<Jwk>(value.clone()) {
                keys.extend(algorithms.iter().filter_map(|algorithm| Key::read(&jwk, *algorithm)));
            }
            ignored += usize::from(keys.len() == before);
        }
        if keys.is_empty() {
            return Err(KeySetFault::NothingUsable(listed.len()));
        }
        Ok(Self { keys, ignored })
    }

    /// The keys of these that count at `now`, under each algorithm they fit. There may be none: then no token is believed.
    pub fn of_static(held: &[StaticKey], algorithms: &[Algorithm], now: Timestamp) -> Self {
        let keys = held.iter().filter(|key| key.counts_at(now)).flat_map(|held| {
            algorithms.iter().filter_map(|algorithm| {
                let key = held.parsed(*algorithm)?;
                Some(Key { id: Some(held.id().into()), algorithm: *algorithm, key })
            })
        });
        Self { keys: keys.collect(), ignored: 0 }
    }

    /// How many listed keys could not be used.
    pub fn ignored(&self) -> usize {
        self.ignored
    }

    /// Whether a key of this id is here.
    pub fn knows(&self, id: &str) -> bool {
        self.keys.iter().any(|key| key.id.as_deref() == Some(id))
    }

    pub(super) fn verify(&self, id: Option<&str>, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> Result<(), TokenFault> {
        let candidates = || self.keys.iter().filter(|key| key.algorithm == algorithm && id.is_none_or(|id| key.id.as_deref() == Some(id)));
        let count = candidates().count();
        // A token without `kid` may be tried with a few keys, not with any number of them.
        if count == 0 || count > CANDIDATE_LIMIT {
            return Err(TokenFault::UnknownKey);
        }
        if candidates().any(|key| key.key.verify_sig(message, signature).is_ok()) { Ok(()) } else { Err(TokenFault::Signature) }
    }
}

impl Key {
    /// The key under one algorithm, or `None` when they do not belong together.
    fn read(jwk: &Jwk, algorithm: Algorithm) -> Option<Self> {
        let common = &jwk.common;
        // RFC 7517 §4.2–4.4: what the key says it is for binds us.
        let for_signatures = common.public_key_use.as_ref().is_none_or(|usage| *usage == PublicKeyUse::Signature);
        let for_verifying = common.key_operations.as_ref().is_none_or(|operations| operations.contains(&KeyOperations::Verify));
        let for_algorithm = common.key_algorithm.as_ref().is_none_or(|own| *own == algorithm.in_jwk());
        if !(for_signatures && for_verifying && for_algorithm) {
            return None;
        }
        let key = match (&jwk.algorithm, algorithm) {
            (AlgorithmParameters::RSA(rsa), _) => {
                rsa_key(&URL_SAFE_NO_PAD.decode(&rsa.n).ok()?, &URL_SAFE_NO_PAD.decode(&rsa.e).ok()?, algorithm)
            }
            (AlgorithmParameters::EllipticCurve(ec), Algorithm::Es256) if ec.curve == EllipticCurve::P256 => {
                p256_key(&point(&ec.x, &ec.y, 32)?)
            }
            (AlgorithmParameters::EllipticCurve(ec), Algorithm::Es384) if ec.curve == EllipticCurve::P384 => {
                p384_key(&point(&ec.x, &ec.y, 48)?)
            }
            (AlgorithmParameters::OctetKeyPair(okp), Algorithm::EdDsa) if okp.curve == EllipticCurve::Ed25519 => {
                ed25519_key(&coordinate(&okp.x, 32)?)
            }
            _ => None,
        }?;
        let id = common.key_id.as_deref().map(Into::into);
        Some(Self { id, algorithm, key })
    }
}

/// 2048 to 8192 bits, an odd modulus and the exponent everybody uses or a larger odd one (RFC 8725 §3.5). `None` also for an
/// algorithm that is not RSA's.
pub(super) fn rsa_key(n: &[u8], e: &[u8], algorithm: Algorithm) -> Option<ParsedPublicKey> {
    let parameters: &'static signature::RsaParameters = match algorithm {
        Algorithm::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
        Algorithm::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
        Algorithm::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
        Algorithm::Es256 | Algorithm::Es384 | Algorithm::EdDsa => return None,
    };
    let n: &[u8] = &n[n.iter().position(|b| *b != 0)?..];
    let e: &[u8] = &e[e.iter().position(|b| *b != 0)?..];
    let bits = n.len() * 8 - usize::try_from(n.first()?.leading_zeros()).ok()?;
    let exponent = e.iter().try_fold(0u64, |value, byte| value.checked_mul(256)?.checked_add(u64::from(*byte)))?;
    let sound = (2048..=8192).contains(&bits) && n.last()? & 1 == 1 && exponent >= 65537 && exponent & 1 == 1 && exponent < 1 << 33;
    if !sound {
        return None;
    }
    RsaPublicKeyComponents { n, e }.to_parsed_public_key(parameters).ok()
}

/// An uncompressed point (SEC 1 §2.3.3); aws-lc refuses one that is not on the curve.
pub(super) fn p256_key(point: &[u8]) -> Option<ParsedPublicKey> {
    uncompressed(point, 32, &signature::ECDSA_P256_SHA256_FIXED)
}

/// The same on P-384.
pub(super) fn p384_key(point: &[u8]) -> Option<ParsedPublicKey> {
    uncompressed(point, 48, &signature::ECDSA_P384_SHA384_FIXED)
}

fn uncompressed(point: &[u8], length: usize, algorithm: &'static dyn VerificationAlgorithm) -> Option<ParsedPublicKey> {
    let whole = point.len() == 1 + 2 * length && point.first() == Some(&4);
    if whole { ParsedPublicKey::new(algorithm, point).ok() } else { None }
}

/// RFC 8032 §5.1.5: 32 bytes.
pub(super) fn ed25519_key(bytes: &[u8]) -> Option<ParsedPublicKey> {
    if bytes.len() == 32 { ParsedPublicKey::new(&signature::ED25519, bytes).ok() } else { None }
}

/// RFC 7518 §6.2.1: coordinates of full length.
fn point(x: &str, y: &str, length: usize) -> Option<Vec<u8>> {
    Some([vec![4u8], coordinate(x, length)?, coordinate(y, length)?].concat())
}

fn coordinate(text: &str, length: usize) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok().filter(|bytes| bytes.len() == length)
}
