//! RSA keys for signing. They are made once for the process: making one takes longer than a test should.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::forge::{Signature, Token};

/// Providers alive at once have different keys, as long as there are no more of them than this.
const SLOTS: usize = 8;
/// How many keys one provider goes through before it starts over.
const GENERATIONS: usize = 4;
/// What tokens call the key of [`es256_jwk`].
pub const ES256_KID: &str = "elliptic";

static POOL: [OnceLock<Arc<RsaKeyPair>>; SLOTS * GENERATIONS] = [const { OnceLock::new() }; SLOTS * GENERATIONS];
static NEXT_SLOT: AtomicUsize = AtomicUsize::new(0);
static STRANGER: LazyLock<SigningKey> = LazyLock::new(|| SigningKey { kid: "stranger".to_owned(), pair: Arc::new(generate()) });
static ES256: LazyLock<EcdsaKeyPair> =
    LazyLock::new(|| EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a P-256 key can be made"));

fn generate() -> RsaKeyPair {
    RsaKeyPair::generate(KeySize::Rsa2048).expect("an RSA-2048 key can be made")
}

/// A key that no provider publishes.
pub fn stranger() -> &'static SigningKey {
    &STRANGER
}

/// The public half of a key for ES256, which every provider has and none publishes unless it is told to.
pub fn es256_jwk() -> Value {
    // SEC 1 §2.3.3: 4, x, y.
    let point = ES256.public_key().as_ref();
    json!({
        "kty": "EC",
        "crv": "P-256",
        "use": "sig",
        "alg": "ES256",
        "kid": ES256_KID,
        "x": base64url(&point[1..33]),
        "y": base64url(&point[33..]),
    })
}

fn sign_es256(message: &[u8]) -> Vec<u8> {
    ES256.sign(&SystemRandom::new(), message).expect("a P-256 key signs").as_ref().to_vec()
}

/// A key pair under the name by which tokens refer to it.
#[derive(Debug, Clone)]
pub struct SigningKey {
    pub kid: String,
    pair: Arc<RsaKeyPair>,
}

impl SigningKey {
    /// The public half, as a member of `keys` (RFC 7517).
    pub fn jwk(&self) -> Value {
        let public = self.pair.public_key();
        json!({
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "kid": self.kid,
            "n": base64url(public.modulus().big_endian_without_leading_zero()),
            "e": base64url(public.exponent().big_endian_without_leading_zero()),
        })
    }

    /// The public half as `-----BEGIN PUBLIC KEY-----`.
    pub fn public_pem(&self) -> String {
        let der: PublicKeyX509Der<'_> = self.pair.public_key().as_der().expect("a public key has a DER form");
        let encoded = BASE64_STANDARD.encode(der.as_ref());
        let lines: Vec<&str> = encoded.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
    }

    /// An RS256 signature.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).expect("an RSA key signs");
        signature
    }
}

/// One provider's keys: the first signs, the second is published ahead of its use, the rest signed before.
#[derive(Debug)]
pub(super) struct KeyRing {
    slot: usize,
    made: usize,
    published: Vec<SigningKey>,
}

impl KeyRing {
    pub fn new() -> Self {
        let slot = NEXT_SLOT.fetch_add(1, Ordering::Relaxed) % SLOTS;
        let mut ring = Self { slot, made: 0, published: Vec::new() };
        ring.published = vec![ring.fresh(), ring.fresh()];
        ring
    }

    pub fn current(&self) -> &SigningKey {
        &self.published[0]
    }

    pub fn jwks(&self) -> Value {
        json!({ "keys": self.published.iter().map(SigningKey::jwk).collect::<Vec<_>>() })
    }

    pub fn rotate(&mut self) {
        let next = self.fresh();
        let previous = self.published.remove(0);
        self.published.insert(1, next);
        self.published.push(previous);
    }

    pub fn rotate_unannounced(&mut self) {
        let unseen = self.fresh();
        let previous = std::mem::replace(&mut self.published[0], unseen);
        self.published.push(previous);
    }

    pub fn withdraw_previous(&mut self) {
        self.published.truncate(2);
    }

    /// The compact form, signed as the token says.
    pub fn sign(&self, token: &Token) -> String {
        let message = token.message();
        let signature = match &token.signature {
            Signature::Right => self.current().sign(message.as_bytes()),
            Signature::Stranger => stranger().sign(message.as_bytes()),
            Signature::Hmac(secret) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                hmac::sign(&key, message.as_bytes()).as_ref().to_vec()
            }
            Signature::Empty => Vec::new(),
            Signature::Damaged => {
                let mut signature = self.current().sign(message.as_bytes());
                signature[0] ^= 1;
                signature
            }
            Signature::Es256 => sign_es256(message.as_bytes()),
            Signature::DamagedEs256 => {
                let mut signature = sign_es256(message.as_bytes());
                signature[0] ^= 1;
                signature
            }
        };
        format!("{message}.{}", base64url(&signature))
    }

    fn fresh(&mut self) -> SigningKey {
        // A name of its own for every rotation, even where the pool starts over.
        let kid = format!("key-{}-{}", self.slot, self.made);
        let index = self.slot * GENERATIONS + self.made % GENERATIONS;
        self.made += 1;
        SigningKey { kid, pair: Arc::clone(POOL[index].get_or_init(|| Arc::new(generate()))) }
    }
}

/// Base64url without padding (RFC 7515 §2).
pub fn base64url(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}
