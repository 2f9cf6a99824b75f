//! What a token costs that nobody has seen before: the signature alone, what a JWT library makes of it, what `policy` does, and
//! the whole way through `Runtime::admit`; beside it the same token seen before.
//!
//! Compare the lines of one run: `miss` less `hit` is what being new costs, and `raw` the part of it that nobody can save.

#![allow(clippy::unwrap_used)]

use std::cell::Cell;
use std::hint::black_box;

use aws_lc_rs::signature::{self, ParsedPublicKey, VerificationAlgorithm};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use doorward_benches::configuration::HOST;
use doorward_benches::inside::{Inside, at_once};
use doorward_benches::issuer::{AUDIENCE, ISSUER, Issuer};
use doorward_benches::request::{ask, target};
use doorward_policy::credential::RawToken;
use doorward_policy::time::Timestamp;
use doorward_policy::token::{AccessTokenProfile, Algorithm, KeySet, StaticKey, TokenType, UnverifiedToken};
use doorward_proxy::clock;
use doorward_proxy::gate::Outcome;
use http::{HeaderMap, header};
use jsonwebtoken::{DecodingKey, Validation};

struct Bench {
    inside: Inside,
    issuer: Issuer,
    issued: Cell<u64>,
}

impl Bench {
    fn new(algorithm: Algorithm) -> Self {
        // As the binary has it: what a token costs is in part what its memory costs. What nobody names is not linked.
        black_box(mimalloc::MiMalloc.version());
        doorward_benches::crypto();
        let issuer = Issuer::new(algorithm).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let configuration = issuer.configure(folder.path(), "remembered: 10000").unwrap();
        let inside = Inside::new(&configuration, doorward_benches::alone().unwrap()).unwrap();
        Self { inside, issuer, issued: Cell::new(0) }
    }

    fn token(&self) -> String {
        self.issued.set(self.issued.get() + 1);
        self.issuer.token(self.issued.get(), clock::now()).unwrap()
    }

    fn request(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, "*/*".parse().unwrap());
        headers.insert(header::AUTHORIZATION, format!("Bearer {}", self.token()).parse().unwrap());
        headers
    }

    fn admit(&self, headers: &HeaderMap) -> bool {
        let target = target(HOST, "/admin/users").unwrap();
        // Held keys: there is nothing to wait for.
        let Some(admission) = at_once(&self.inside.runtime, &ask(&target, headers, clock::now())) else { return false };
        matches!(admission.outcome, Outcome::Forward { .. })
    }
}

/// A key as nothing but its signatures need it.
fn raw_key(issuer: &Issuer) -> ParsedPublicKey {
    let der: String = issuer.public_key().lines().filter(|line| !line.starts_with('-')).collect();
    let algorithm: &'static dyn VerificationAlgorithm = match issuer.algorithm() {
        Algorithm::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::Es256 => &signature::ECDSA_P256_SHA256_FIXED,
        _ => &signature::ED25519,
    };
    ParsedPublicKey::new(algorithm, STANDARD.decode(der).unwrap()).unwrap()
}

fn library_key(issuer: &Issuer) -> (DecodingKey, Validation) {
    let pem = issuer.public_key().as_bytes();
    let (key, algorithm) = match issuer.algorithm() {
        Algorithm::Rs256 => (DecodingKey::from_rsa_pem(pem), jsonwebtoken::Algorithm::RS256),
        Algorithm::Es256 => (DecodingKey::from_ec_pem(pem), jsonwebtoken::Algorithm::ES256),
        _ => (DecodingKey::from_ed_pem(pem), jsonwebtoken::Algorithm::EdDSA),
    };
    let mut validation = Validation::new(algorithm);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    (key.unwrap(), validation)
}

fn verifying(criterion: &mut Criterion) {
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
        let bench = Bench::new(algorithm);
        let mut group = criterion.benchmark_group(format!("verify/{}", algorithm.name()));

        let token = bench.token();
        let (message, tail) = token.rsplit_once('.').unwrap();
        let (key, signature) = (raw_key(&bench.issuer), URL_SAFE_NO_PAD.decode(tail).unwrap());
        assert!(key.verify_sig(message.as_bytes(), &signature).is_ok());
        group.bench_function("raw", |b| b.iter(|| key.verify_sig(black_box(message.as_bytes()), &signature).is_ok()));

        let (key, validation) = library_key(&bench.issuer);
        let library = |token: &str| jsonwebtoken::decode::<serde_json::Value>(token, &key, &validation);
        assert!(library(&token).is_ok());
        group.bench_function("jsonwebtoken", |b| b.iter(|| library(black_box(&token)).is_ok()));

        let now = clock::now();
        let policy = policy(&bench.issuer);
        assert!(policy(&token, now));
        group.bench_function("policy", |b| b.iter(|| policy(black_box(&token), now)));

        // More than are remembered, so that each one pushes another out.
        for _ in 0..12_000 {
            if matches!(algorithm, Algorithm::Rs256) && bench.issued.get() > 1000 {
                break;
            }
            assert!(bench.admit(&bench.request()));
        }
        group.bench_function("miss", |b| {
            b.iter_batched(|| bench.request(), |headers| bench.admit(&headers), BatchSize::SmallInput);
        });
        let known = bench.request();
        assert!(bench.admit(&known));
        group.bench_function("hit", |b| b.iter(|| bench.admit(black_box(&known))));
        group.finish();
    }
}

/// What `policy` makes of a token: structure, header, signature, claims.
fn policy(issuer: &Issuer) -> impl Fn(&str, Timestamp) -> bool {
    let algorithms = [issuer.algorithm()];
    let key = StaticKey::read("2026-01", issuer.public_key().as_bytes(), None, None).unwrap();
    let keys = KeySet::of_static(&[key], &algorithms, clock::now());
    let profile = AccessTokenProfile { issuer: ISSUER.into(), audience: AUDIENCE.into(), organization: None };
    move |token, now| {
        let token = UnverifiedToken::parse(RawToken::new(token), &algorithms, TokenType::AtJwt);
        token.and_then(|token| token.verify_access_token(&keys, &profile, now)).is_ok()
    }
}

criterion_group!(benches, verifying);
criterion_main!(benches);
