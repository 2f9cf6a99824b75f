//! A provider whose public key is in a file: it signs access tokens by the thousand, and nobody asks it anything.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use doorward_policy::time::Timestamp;
use doorward_policy::token::Algorithm;

use crate::configuration::{Configuration, HOST, NO_APP, SESSION_KEY};

pub const ISSUER: &str = "https://issuer.acme.dev/";
pub const AUDIENCE: &str = "https://api.acme.dev";
const KEY_ID: &str = "2026-01";

/// One key, and what it signs.
#[derive(Debug)]
pub struct Issuer {
    algorithm: Algorithm,
    key: Key,
    public: String,
}

#[derive(Debug)]
enum Key {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Issuer {
    /// With a new key for RS256, ES256 or EdDSA.
    ///
    /// # Errors
    /// For another algorithm, or when the library's generator fails.
    pub fn new(algorithm: Algorithm) -> Result<Self, Unspecified> {
        let key = match algorithm {
            Algorithm::Rs256 => Key::Rsa(RsaKeyPair::generate(KeySize::Rsa2048)?),
            Algorithm::Es256 => Key::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?),
            Algorithm::EdDsa => Key::Ed25519(Ed25519KeyPair::generate()?),
            _ => return Err(Unspecified),
        };
        let public: PublicKeyX509Der<'_> = match &key {
            Key::Rsa(key) => key.public_key().as_der()?,
            Key::P256(key) => key.public_key().as_der()?,
            Key::Ed25519(key) => key.public_key().as_der()?,
        };
        let public = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(public.as_ref()));
        Ok(Self { algorithm, key, public })
    }

    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// What verifies its tokens, PEM.
    pub fn public_key(&self) -> &str {
        &self.public
    }

    /// An access token of the size and shape that Auth0's have; each `number` is another one, of another person. It ends an hour
    /// after `now`.
    ///
    /// # Errors
    /// When the library does not sign.
    pub fn token(&self, number: u64, now: Timestamp) -> Result<String, Unspecified> {
        let header = format!(r#"{{"alg":"{}","typ":"at+jwt","kid":"{KEY_ID}"}}"#, self.algorithm.name());
        let claims = format!(
            r#"{{"iss":"{ISSUER}","sub":"auth0|{number:024x}","aud":["{AUDIENCE}","{ISSUER}userinfo"],"iat":{},"exp":{},"jti":"{number}","client_id":"7rQx0vYbNnKcWm4hLzTd","scope":"openid profile email read:items write:items","azp":"7rQx0vYbNnKcWm4hLzTd","permissions":["read:items","write:items"],"https://acme.dev/roles":["admin","editor"],"https://acme.dev/email":"person.{number}@acme.dev"}}"#,
            now.0,
            now.0 + 3600,
        );
        let mut token = String::with_capacity(1024);
        URL_SAFE_NO_PAD.encode_string(header, &mut token);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let signature = self.sign(token.as_bytes())?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Unspecified> {
        let random = SystemRandom::new();
        Ok(match &self.key {
            Key::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)?;
                signature
            }
            Key::P256(key) => key.sign(&random, message)?.as_ref().to_vec(),
            Key::Ed25519(key) => key.sign(message).as_ref().to_vec(),
        })
    }

    /// Writes a configuration that believes it into `folder`, with these `server.limits`: one host, a public part, and a part for
    /// `admin`.
    ///
    /// # Errors
    /// The system's.
    pub fn configure(&self, folder: &Path, limits: &str) -> io::Result<PathBuf> {
        let write = |name: &str, text: &str| fs::write(folder.join(name), text);
        write("issuer.pem", &self.public)?;
        write("session.key", SESSION_KEY)?;
        write("secret", "not used")?;
        let text = Configuration {
            server: format!("  hooks: {{ listen: [\"127.0.0.1:0\"], trusted_peers: [127.0.0.0/8] }}\n  limits: {{ {limits} }}\n"),
            provider: format!(
                r#"  issuer:
    kind: oidc
    issuer: {ISSUER}
    client_id: doorward
    client_secret: {{ file: secret }}
    audience: {AUDIENCE}
    access_token_type: at+jwt
    algorithms: [{algorithm}]
    keys: {{ certificates: [{{ id: "{KEY_ID}", file: issuer.pem }}] }}
"#,
                algorithm = self.algorithm.name(),
            ),
            session: String::new(),
            identity: r#"roles: ["https://acme.dev/roles"], email: "https://acme.dev/email""#,
            hosts: HOST.into(),
            app: NO_APP,
            rules: "",
        };
        let file = folder.join("doorward.yaml");
        fs::write(&file, text.to_string())?;
        Ok(file)
    }
}
