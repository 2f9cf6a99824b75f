//! The tenant's signing keys: one signs, the next is already published, earlier ones stay until revoked.

use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{self, KeyPair as _, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::token_text::{merged, random_text};

/// Auth0 publishes the current key, the next one, and the previous ones until they are revoked.
#[derive(Debug)]
pub(super) struct KeyRing {
    /// `[0]` signs, `[1]` is next, the rest are earlier ones.
    published: Vec<Arc<SigningKey>>,
    /// Kept until the tenant is gone: a revoked key must not come back from the pool as the next one.
    revoked: Vec<Arc<SigningKey>>,
    /// Never published: signs what a forger would.
    foreign: Option<Arc<SigningKey>>,
}

/// Which key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignWith {
    /// The key that signs everything.
    Current,
    /// Published already, not yet in use.
    Next,
    /// A key that this tenant never published, under the `kid` of the current one.
    Foreign,
}

struct SigningKey {
    kid: String,
    pair: KeyPair,
}

impl KeyRing {
    /// Takes its keys from those that earlier tenants of this process left, and makes what is missing.
    pub(super) fn new() -> KeyRing {
        KeyRing { published: vec![lease(), lease()], revoked: Vec::new(), foreign: None }
    }

    pub(super) fn rotate(&mut self, revoke_previous: bool) {
        let mut next = vec![self.published[1].clone(), lease()];
        let previous = std::iter::once(self.published[0].clone()).chain(self.published.drain(2..));
        if revoke_previous {
            self.revoked.extend(previous);
        } else {
            next.extend(previous);
        }
        self.published = next;
    }

    /// RFC 7517 §5.
    pub(super) fn jwks(&self) -> Value {
        json!({ "keys": self.published.iter().map(|key| key.jwk()).collect::<Vec<_>>() })
    }

    pub(super) fn kids(&self) -> Vec<String> {
        self.published.iter().map(|key| key.kid.clone()).collect()
    }

    /// What signs with this key, under the `kid` of a published one. Signing takes a while: it is not done here, where others wait.
    pub(super) fn signer(&mut self, with: SignWith) -> Signer {
        let (key, kid) = match with {
            SignWith::Current => (self.published[0].clone(), self.published[0].kid.clone()),
            SignWith::Next => (self.published[1].clone(), self.published[1].kid.clone()),
            SignWith::Foreign => {
                let key = self.foreign.get_or_insert_with(lease).clone();
                (key, self.published[0].kid.clone())
            }
        };
        Signer { key, kid }
    }

    /// The claims of a token that one of the published keys signed. Times are not looked at.
    pub(super) fn open(&self, token: &str) -> Option<Value> {
        let (input, signature) = token.rsplit_once('.')?;
        let (header, claims) = input.split_once('.')?;
        let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
        let header: Value = serde_json::from_slice(&decoded(header)?).ok()?;
        let key = self.published.iter().find(|key| header["kid"] == key.kid.as_str() && header["alg"] == "RS256")?;
        UnparsedPublicKey::new(&signature::RSA_PKCS1_2048_8192_SHA256, key.pair.public_key().as_ref())
            .verify(input.as_bytes(), &decoded(signature)?)
            .ok()?;
        serde_json::from_slice(&decoded(claims)?).ok()
    }
}

/// A key, and the name that it goes by.
pub(super) struct Signer {
    key: Arc<SigningKey>,
    kid: String,
}

impl Signer {
    /// `header` is laid over `{alg, typ, kid}`; a `null` removes a member.
    pub(super) fn sign(&self, header: &Value, claims: &Value) -> String {
        let header = merged(json!({ "alg": "RS256", "typ": "JWT", "kid": self.kid }), header);
        let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = self.key.sign(input.as_bytes());
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

impl Drop for KeyRing {
    fn drop(&mut self) {
        let keys = self.published.drain(..).chain(self.revoked.drain(..)).chain(self.foreign.take());
        POOL.lock().unwrap_or_else(PoisonError::into_inner).extend(keys);
    }
}

impl SigningKey {
    fn generate() -> SigningKey {
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap_or_else(|_| panic!("failed to make an RSA key"));
        SigningKey { kid: random_text(15), pair }
    }

    fn sign(&self, input: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(&signature::RSA_PKCS1_SHA256, &SystemRandom::new(), input, &mut signature)
            .unwrap_or_else(|_| panic!("failed to sign with an RSA key of our own"));
        signature
    }

    fn jwk(&self) -> Value {
        let (n, e) = modulus_and_exponent(self.pair.public_key().as_ref());
        json!({
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "kid": self.kid,
            "n": URL_SAFE_NO_PAD.encode(n),
            "e": URL_SAFE_NO_PAD.encode(e),
        })
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// Making a 2048-bit key takes a good part of a second; tests start many tenants. No two tenants that live at the same
/// time share a key.
static POOL: Mutex<Vec<Arc<SigningKey>>> = Mutex::new(Vec::new());

fn lease() -> Arc<SigningKey> {
    let kept = POOL.lock().unwrap_or_else(PoisonError::into_inner).pop();
    kept.unwrap_or_else(|| Arc::new(SigningKey::generate()))
}

/// `RSAPublicKey ::= SEQUENCE { modulus INTEGER, publicExponent INTEGER }` (RFC 8017 A.1.1), as big-endian numbers
/// without leading zeros, which is what a JWK holds (RFC 7518 §6.3.1).
fn modulus_and_exponent(der: &[u8]) -> (&[u8], &[u8]) {
    let (sequence, _) = der_value(der);
    let (n, rest) = der_value(sequence);
    let (e, _) = der_value(rest);
    (without_leading_zeros(n), without_leading_zeros(e))
}

/// The content of the first DER value and what follows it.
fn der_value(der: &[u8]) -> (&[u8], &[u8]) {
    let (length, start) = match der[1] {
        short @ 0..=0x7f => (usize::from(short), 2),
        long => {
            let bytes = usize::from(long & 0x7f);
            let length = der[2..2 + bytes].iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            (length, 2 + bytes)
        }
    };
    der[start..].split_at(length)
}

fn without_leading_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}
