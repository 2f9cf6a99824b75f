//! What a token costs that was never seen before, above one that was: held against one verification by aws-lc-rs alone.

use std::hint::black_box;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256};
use doorward_benches::inside::Inside;

use super::edge::{self, PAGE};
use super::inside::{nanoseconds, nanoseconds_each};
use super::{Bar, Bench, Fault, Figure, Row};
use crate::bench::Measured;
use crate::meter;
use crate::statistics::median;
use crate::system::{Load, Transport};

const NEW: &str = "doorward-bearer-new";
/// Tokens in turn, all of them remembered: what asks is as busy with them as with new ones.
const SEEN: &str = "doorward-bearer-2000";
const VERIFICATIONS: u32 = 5000;
/// As many as are remembered, so that each further one takes another's place.
const BEFORE: usize = 10_500;
const IN_A_ROUND: usize = 2_000;

/// The decision in this process is what the bar is about; beside it, what the whole edge takes.
pub fn figures(bench: &Bench<'_>, rows: &[Row]) -> Result<Vec<Figure>, Fault> {
    let verification = Verification::new(bench.stand.bearer(0).as_bytes())?;
    let written = edge::write(bench, &[])?;
    let inside = Inside::new(&written.configuration, doorward_benches::beside()?)?;
    let load = Load::usual(written.places.listen, Transport::Tls, PAGE);
    let known_one = load.clone().bearer(&bench.stand.bearer(0));
    let tokens = bench.stand.bearers(1..1 + (BEFORE + bench.rounds * IN_A_ROUND) as u64);
    let (before, tokens) = tokens.split_at(BEFORE);
    nanoseconds_each(&inside, &load, before)?;
    let (mut new, mut seen, mut raw) = (Vec::new(), Vec::new(), Vec::new());
    for tokens in tokens.chunks(IN_A_ROUND) {
        raw.push(verification.microseconds()?);
        new.push(nanoseconds_each(&inside, &load, tokens)? / 1e3);
        seen.push(nanoseconds(&inside, &known_one)? / 1e3);
    }
    let (new, seen, raw) = (median(new), median(seen), median(raw));
    let figure = |name, new: f64, seen: f64, bar, what| {
        let note = format!("({new:.2} µs new − {seen:.2} µs seen) / {raw:.2} µs for one RS256 verification; {what}");
        Figure { name, value: (new - seen) / raw, unit: "×", bar, note }
    };
    let full = "Runtime::admit in process; as many as are remembered came before";
    let mut figures = vec![figure("new_token_to_verification", new, seen, Some(Bar::AtMost(1.25)), full)];
    if let [Some(new), Some(seen)] = [NEW, SEEN].map(|id| rows.iter().find(|row| row.id == id)) {
        let median_of = |row: &Row| median(row.samples.iter().map(|sample: &Measured| sample.cpu_us).collect());
        figures.push(figure("new_token_proxied", median_of(new), median_of(seen), None, "the whole edge, with sockets and TLS"));
    }
    Ok(figures)
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
