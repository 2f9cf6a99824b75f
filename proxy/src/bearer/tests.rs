use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use tempfile::TempDir;

use super::*;
use crate::access_log::AccessLog;
use crate::clock;
use crate::keys::Tempo;
use crate::runtime::Runtime;

const ISSUER: &str = "https://issuer.acme.dev/";
const AUDIENCE: &str = "https://api.acme.dev";
const HOUR: i64 = 3600;

/// A provider whose key the operator holds, and what remembers a hundred of its tokens.
struct Edge {
    key: Ed25519KeyPair,
    runtime: Runtime,
    tokio: tokio::runtime::Runtime,
    now: Timestamp,
    _folder: TempDir,
}

impl Edge {
    fn new() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let key = Ed25519KeyPair::generate().unwrap();
        let public: PublicKeyX509Der<'_> = key.public_key().as_der().unwrap();
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(public.as_ref()));
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("issuer.pem", &pem);
        write("secret", "not used");
        write("session.key", "Vb1wVgZ9dOeD8YFzN0xkT3mI5lQyKq7uHs2aXcRjP4o=");
        write(
            "doorward.yaml",
            &format!(
                r#"version: 1
server:
  hooks: {{ listen: ["127.0.0.1:0"], trusted_peers: [127.0.0.0/8] }}
  limits: {{ remembered: 100 }}
providers:
  issuer:
    kind: oidc
    issuer: {ISSUER}
    client_id: doorward
    client_secret: {{ file: secret }}
    audience: {AUDIENCE}
    access_token_type: jwt
    algorithms: [EdDSA]
    keys: {{ certificates: [{{ id: k1, file: issuer.pem }}] }}
session: {{ keys: [{{ file: session.key }}] }}
routes:
  - {{ name: app, host: app.acme.dev, upstream: "http://127.0.0.1:9", rules: [{{ allow: signed-in }}] }}
"#
            ),
        );
        let loaded =
            doorward_config::load(&folder.path().join("doorward.yaml")).unwrap_or_else(|report| panic!("{}", report.render(false)));
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let log = AccessLog::new(std::io::sink());
        let runtime = Runtime::new(loaded.settings, Tempo::default(), log, tokio.handle().clone()).unwrap();
        Self { key, runtime, tokio, now: clock::now(), _folder: folder }
    }

    /// A token of somebody else for each number, good for an hour.
    fn token(&self, number: u32) -> String {
        let claims = format!(r#"{{"iss":"{ISSUER}","sub":"user|{number}","aud":"{AUDIENCE}","exp":{}}}"#, self.now.0 + HOUR);
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(r#"{"alg":"EdDSA","kid":"k1"}"#), URL_SAFE_NO_PAD.encode(claims));
        let signature = self.key.sign(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }

    fn verifier(&self) -> &BearerVerifier {
        self.runtime.providers[0].bearer.as_ref().unwrap()
    }

    /// Who it is, and whether that was remembered.
    fn ask(&self, token: &str, now: Timestamp) -> Result<(String, bool), CredentialFault> {
        let misses = self.runtime.metrics.token_cache_misses.get();
        let identify = self.verifier().identify(RawToken::new(token), self.runtime.settings.policy.mapping(), || false, now);
        let (identity, _) = self.tokio.block_on(identify)?;
        Ok((identity.user().unwrap().to_owned(), self.runtime.metrics.token_cache_misses.get() == misses))
    }
}

#[test]
fn many_tokens_leave_as_many_behind_as_are_to_be_remembered() {
    let edge = Edge::new();
    for number in 0..3000 {
        let token = edge.token(number);
        let known = format!("user|{number}");
        assert_eq!(edge.ask(&token, edge.now), Ok((known.clone(), false)));
        assert_eq!(edge.ask(&token, edge.now), Ok((known, true)), "seen just now");
        assert!(edge.verifier().remembered.len() <= 100);
    }
    assert!(edge.verifier().remembered.len() > 50);
}

#[test]
fn jwt_23_a_token_that_was_forgotten_is_verified_anew_and_refused_when_it_has_ended() {
    let edge = Edge::new();
    for number in 0..3000 {
        edge.ask(&edge.token(number), edge.now).unwrap();
    }
    // The cache keeps its first ones through a flood of others: one from the midst of it is forgotten.
    let (forgotten, last) = (edge.token(1500), edge.token(2999));
    let ended = Timestamp(edge.now.0 + HOUR + 30);
    for (token, user, is_remembered) in [(&forgotten, "user|1500", false), (&last, "user|2999", true)] {
        assert_eq!(edge.ask(token, ended), Err(CredentialFault::Token(TokenFault::Expired)), "{user}");
        assert_eq!(edge.ask(token, edge.now), Ok((user.into(), is_remembered)));
        // A remembered beginning proves nothing about another end.
        let (rest, _) = token.rsplit_once('.').unwrap();
        let (_, signature) =
            edge.token(9999).rsplit_once('.').map(|(signed, signature)| (signed.to_owned(), signature.to_owned())).unwrap();
        let changed = format!("{rest}.{signature}");
        assert_eq!(edge.ask(&changed, edge.now), Err(CredentialFault::Token(TokenFault::Signature)), "{user}");
    }
}
