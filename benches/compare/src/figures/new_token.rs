//! What a token costs that was never seen before, above one that was: held against one verification by aws-lc-rs alone.

use std::hint::black_box;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256};

use super::{Bar, Bench, Fault, Figure, Row};
use crate::bench::Measured;
use crate::meter;
use crate::statistics::Spread;

const NEW: &str = "doorward-bearer-new";
const SEEN: &str = "doorward-bearer-cached";
const VERIFICATIONS: u32 = 5000;

pub fn figures(bench: &Bench<'_>, rows: &[Row]) -> Result<Vec<Figure>, Fault> {
    let (mut new, mut seen, mut raw) = (known(rows, NEW), known(rows, SEEN), Vec::new());
    let verification = Verification::new(bench.stand.bearer(0).as_bytes())?;
    for _ in 0..bench.rounds {
        raw.push(verification.microseconds()?);
        if known(rows, NEW).is_empty() {
            new.push(bench.measure(&bench.start_named(NEW)?)?.cpu_us);
        }
        if known(rows, SEEN).is_empty() {
            seen.push(bench.measure(&bench.start_named(SEEN)?)?.cpu_us);
        }
    }
    let median = |values: Vec<f64>| Spread::of(values).map_or(f64::NAN, |spread| spread.median);
    let (new, seen, raw) = (median(new), median(seen), median(raw));
    let note =
        format!("({new:.2} µs new − {seen:.2} µs seen) / {raw:.2} µs for one RS256 verification; as many as are remembered came before");
    Ok(vec![Figure { name: "new_token_to_verification", value: (new - seen) / raw, unit: "×", bar: Some(Bar::AtMost(1.25)), note }])
}

fn known(rows: &[Row], id: &str) -> Vec<f64> {
    let row = rows.iter().find(|row| row.id == id);
    row.map_or_else(Vec::new, |row| row.samples.iter().map(|sample: &Measured| sample.cpu_us).collect())
}

/// RSA with 2048 bits, as the tenant's keys are; the key is parsed once.
struct Verification {
    key: ParsedPublicKey,
    message: Vec<u8>,
    signature: Vec<u8>,
}

impl Verification {
    fn new(message: &[u8]) -> Result<Self, Fault> {
        let pair = KeyPair::generate(KeySize::Rsa2048).map_err(|_| "an RSA key cannot be made")?;
        let mut signature = vec![0; pair.public_modulus_len()];
        let signed = pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature);
        signed.map_err(|_| "nothing can be signed")?;
        let key = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref());
        let key = key.map_err(|_| "a key that was made cannot be read")?;
        Ok(Self { key, message: message.to_vec(), signature })
    }

    fn microseconds(&self) -> Result<f64, Fault> {
        let before = meter::this_thread()?;
        for _ in 0..VERIFICATIONS {
            let verified = self.key.verify_sig(black_box(&self.message), &self.signature);
            verified.map_err(|_| "a good signature is refused")?;
        }
        Ok((meter::this_thread()? - before).as_secs_f64() * 1e6 / f64::from(VERIFICATIONS))
    }
}
