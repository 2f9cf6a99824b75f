//! A million tokens in a row, each another one: memory is bounded by what is to be remembered, and nothing gets slower.
//!
//! Measured in a process of its own that is told the tokens: it holds neither what other figures left behind nor what signing takes.

use std::io::{BufRead, BufWriter, Write as _};
use std::ops::Range;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::{env, fs};

use doorward_benches::configuration::HOST;
use doorward_benches::inside::Inside;
use doorward_benches::issuer::Issuer;
use doorward_benches::parallel;
use doorward_benches::request::{ask, target};
use doorward_policy::time::Timestamp;
use doorward_policy::token::Algorithm;
use doorward_proxy::clock;
use http::{HeaderMap, HeaderValue, header};
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use super::{Bar, Bench, Fault, Figure, Row};

/// What the program is told to do in that process.
pub const COMMAND: &str = "many-tokens";
const PAGE: &str = "/admin/users";
const REMEMBERED: u64 = 10_000;
const TENTHS: u64 = 10;
/// Signed on every core, then told; after each the memory is looked at.
const CHUNK: u64 = 20_000;
const CHUNKS_OF_A_TENTH: u64 = 5;
/// Told, read and decided about at once.
const BATCH: u64 = 1_000;
const HITS: u32 = 100_000;

/// What happened on the way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ManyTokens {
    pub tokens: u64,
    pub remembered: u64,
    /// Resident, before the first token, when as many are remembered as may be, and the most that it was after that.
    pub bytes_before: u64,
    pub bytes_full: u64,
    pub bytes_most: u64,
    /// CPU time of one decision, in each tenth.
    pub microseconds: Vec<f64>,
    /// CPU time of one decision about a token that was seen before, with few remembered and at the end.
    pub hit_before: f64,
    pub hit_after: f64,
}

pub fn figures(_: &Bench<'_>, _: &[Row]) -> Result<Vec<Figure>, Fault> {
    let (issuer, folder) = (Issuer::new(Algorithm::EdDsa)?, tempfile::tempdir()?);
    let configuration = issuer.configure(folder.path(), &format!("remembered: {REMEMBERED}"))?;
    let mut command = Command::new(env::current_exe()?);
    command.arg(COMMAND).arg(&configuration).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut own = command.spawn()?;
    let told = own.stdin.take().ok_or("nothing can be told").map_err(Fault::from).and_then(|input| tell(&issuer, input));
    let output = own.wait_with_output()?;
    if !output.status.success() {
        return Err(format!("`{COMMAND}` ended with {}", output.status).into());
    }
    told?;
    Ok(serde_json::from_slice::<ManyTokens>(&output.stdout)?.figures())
}

/// A batch for warming up, then all of them, a line each.
fn tell(issuer: &Issuer, input: ChildStdin) -> Result<(), Fault> {
    let (now, mut input) = (clock::now(), BufWriter::new(input));
    let mut say = |numbers: Range<u64>| -> Result<(), Fault> {
        for token in parallel::made(numbers, |number| issuer.token(number, now)) {
            input.write_all(token?.as_bytes())?;
            input.write_all(b"\n")?;
        }
        Ok(input.flush()?)
    };
    say(0..BATCH)?;
    (0..TENTHS * CHUNKS_OF_A_TENTH).try_for_each(|chunk| say(BATCH + chunk * CHUNK..BATCH + (chunk + 1) * CHUNK))
}

impl ManyTokens {
    fn figures(&self) -> Vec<Figure> {
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        let grown = self.bytes_most.saturating_sub(self.bytes_full) as f64;
        let each = self.bytes_full.saturating_sub(self.bytes_before) as f64 / self.remembered as f64;
        // The first tenth is in part one of a cache that is not full.
        let (early, late) = (self.microseconds.get(1).copied(), self.microseconds.last().copied());
        let (early, late) = (early.unwrap_or(f64::NAN), late.unwrap_or(f64::NAN));
        let memory = format!(
            "{:.1} MB resident with {} remembered, {:.1} MB more at most in {} tokens",
            megabytes(self.bytes_full),
            self.remembered,
            grown / 1e6,
            self.tokens
        );
        let time = format!("{late:.1} µs for a token of the last tenth / {early:.1} µs of the second, Ed25519");
        let hit = format!("a hit: {:.0} ns at the end / {:.0} ns at the beginning", self.hit_after * 1e3, self.hit_before * 1e3);
        vec![
            Figure::ratio("many_tokens_memory", self.bytes_most as f64 / self.bytes_full as f64, Bar::AtMost(1.1), memory),
            Figure::ratio("many_tokens_time", late / early, Bar::AtMost(1.1), time),
            Figure::ratio("many_tokens_hit", self.hit_after / self.hit_before, Bar::AtMost(1.25), hit),
            Figure { name: "remembered_token", value: each, unit: "bytes", bar: None, note: "resident, for each token remembered".into() },
        ]
    }
}

/// Measures in this process, with the tokens that `input` says.
///
/// # Errors
/// When a token is refused, or not remembered.
pub fn measure(configuration: &Path, mut input: impl BufRead) -> Result<ManyTokens, Fault> {
    let gate = Gate { inside: Inside::new(configuration, doorward_benches::alone()?)?, now: clock::now() };

    let warm = batch(&mut input)?;
    let first = warm.first().cloned().ok_or("nothing was told")?;
    gate.admit_all(warm)?;
    let hit_before = gate.hit(&first)?;
    let mut found = ManyTokens {
        tokens: TENTHS * CHUNKS_OF_A_TENTH * CHUNK,
        remembered: REMEMBERED,
        bytes_before: resident()?,
        bytes_full: 0,
        bytes_most: 0,
        microseconds: Vec::new(),
        hit_before,
        hit_after: f64::NAN,
    };
    let mut last = None;
    for tenth in 0..TENTHS {
        let mut busy = 0.0;
        for _ in 0..CHUNKS_OF_A_TENTH {
            for _ in 0..CHUNK / BATCH {
                let tokens = batch(&mut input)?;
                last = tokens.last().cloned();
                busy += gate.admit_all(tokens)?;
            }
            found.bytes_most = found.bytes_most.max(resident()?);
        }
        found.microseconds.push(busy * 1e6 / (CHUNKS_OF_A_TENTH * CHUNK) as f64);
        if tenth == 0 {
            found.bytes_full = found.bytes_most;
        }
    }
    found.hit_after = gate.hit(&last.ok_or("nothing was told")?)?;
    Ok(found)
}

/// The next tokens, as requests carry them.
fn batch(input: &mut impl BufRead) -> Result<Vec<HeaderValue>, Fault> {
    let mut line = String::new();
    let mut next = || -> Result<HeaderValue, Fault> {
        line.clear();
        input.read_line(&mut line)?;
        Ok(HeaderValue::try_from(format!("Bearer {}", line.trim_end()))?)
    };
    (0..BATCH).map(|_| next()).collect()
}

/// A runtime, and a moment that lasts.
struct Gate {
    inside: Inside,
    now: Timestamp,
}

impl Gate {
    /// CPU time for all of them, in seconds. Each must be new.
    fn admit_all(&self, tokens: Vec<HeaderValue>) -> Result<f64, Fault> {
        let (before, count) = (self.inside.runtime.metrics.token_cache_misses.get(), tokens.len() as u64);
        let target = target(HOST, PAGE)?;
        let mut headers = HeaderMap::new();
        let took = self.inside.tokio.block_on(async {
            let began = busy()?;
            for token in tokens {
                headers.insert(header::AUTHORIZATION, token);
                self.inside.passes(&ask(&target, &headers, self.now)).await?;
            }
            Ok::<f64, Fault>(busy()? - began)
        })?;
        let verified = self.inside.runtime.metrics.token_cache_misses.get() - before;
        if verified == count { Ok(took) } else { Err(format!("{verified} of {count} new tokens were verified").into()) }
    }

    /// CPU time of one decision about a token that is remembered, in microseconds.
    fn hit(&self, token: &HeaderValue) -> Result<f64, Fault> {
        let before = self.inside.runtime.metrics.token_cache_misses.get();
        let target = target(HOST, PAGE)?;
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, token.clone());
        let took = self.inside.tokio.block_on(async {
            let mut began = 0.0;
            for at in 0..HITS + HITS / 10 {
                if at == HITS / 10 {
                    began = busy()?;
                }
                self.inside.passes(&ask(&target, &headers, self.now)).await?;
            }
            Ok::<f64, Fault>(busy()? - began)
        })?;
        let remembered = self.inside.runtime.metrics.token_cache_misses.get() == before;
        if remembered { Ok(took * 1e6 / f64::from(HITS)) } else { Err("a token that was seen just now is not remembered".into()) }
    }
}

/// CPU time of this thread so far, in seconds: others share the machine.
fn busy() -> Result<f64, Fault> {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?;
    Ok(time.tv_sec() as f64 + time.tv_nsec() as f64 / 1e9)
}

/// Resident memory of this process, in bytes.
fn resident() -> Result<u64, Fault> {
    let text = fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("`status` does not say `VmRSS`")?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim_end().parse()?;
    Ok(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_ratios_of_what_was_measured() {
        let found = ManyTokens {
            tokens: 1_000_000,
            remembered: 10_000,
            bytes_before: 20_000_000,
            bytes_full: 60_000_000,
            bytes_most: 63_000_000,
            microseconds: vec![50.0, 40.0, 42.0],
            hit_before: 0.4,
            hit_after: 0.5,
        };
        let values: Vec<(&str, f64, Option<bool>)> =
            found.figures().iter().map(|figure| (figure.name, figure.value, figure.holds())).collect();
        assert_eq!(
            values,
            [
                ("many_tokens_memory", 1.05, Some(true)),
                ("many_tokens_time", 1.05, Some(true)),
                ("many_tokens_hit", 1.25, Some(true)),
                ("remembered_token", 4000.0, None),
            ]
        );
        let grown = ManyTokens { bytes_most: 70_000_000, ..found };
        assert_eq!(grown.figures()[0].holds(), Some(false));
    }
}
