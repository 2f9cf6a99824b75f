//! Asking the same thing again and again, and what came of it.
//!
//! Two generators from the distribution: wrk asks over HTTP/1.1 as fast as it is answered; h2load speaks HTTP/2, and asks at a
//! fixed rate. Whatever is not an answer in the 200s makes a sample worthless, and is said.

mod h2load;
mod wrk;

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::stand::Fault;
use crate::system::{Load, Tokens, Transport};

/// Requests under way at any time.
pub const AT_ONCE: u32 = 32;
/// Of tokens that may be used once each, so many are for warming up: more than Doorward remembers, so that what is measured is not
/// how memory is first filled.
const WARMING_TOKENS: usize = 12_000;
/// As long as that may take, in seconds.
const WARMING_WITH_TOKENS: u64 = 3;

/// What one load did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    pub requests: u64,
    /// From the first request to the end of asking.
    pub time: Duration,
    pub p50_us: f64,
    pub p99_us: f64,
    /// Connections that failed, and answers that did not come.
    pub errors: u64,
    /// Answers with another status than 2xx.
    pub refused: u64,
}

impl Sample {
    pub fn requests_per_second(&self) -> f64 {
        self.requests as f64 / self.time.as_secs_f64()
    }

    /// # Errors
    /// What makes it worthless, in words.
    pub fn valid(self) -> Result<Self, Fault> {
        let Self { requests, errors, refused, .. } = self;
        if errors + refused > 0 {
            return Err(format!("of {requests} requests {refused} were answered with another status than 2xx, and {errors} failed").into());
        }
        if requests == 0 || self.time.is_zero() {
            return Err("not one request was answered".into());
        }
        Ok(self)
    }
}

/// Who asks.
#[derive(Debug, Clone)]
pub struct Generator {
    /// For what the programs read and write.
    pub folder: PathBuf,
    /// Where they may run.
    pub cores: Vec<usize>,
}

impl Generator {
    /// Asks for about a second, or with some of the tokens that may be used once; looks at each answer's status.
    ///
    /// # Errors
    /// When one was not as it should be, or the generator cannot be run.
    pub fn warm_up(&self, load: &Load) -> Result<(), Fault> {
        let sample = match load.transport {
            Transport::TlsHttp2 => h2load::closed(self, load, 1)?,
            Transport::Plain | Transport::Tls => {
                let seconds = if matches!(load.tokens, Tokens::EachOnce(_)) { WARMING_WITH_TOKENS } else { 1 };
                let span = wrk::Span { seconds, at_once: AT_ONCE, tokens: warming(load), statuses: true };
                wrk::run(self, load, &span)?
            }
        };
        sample.valid().map(drop)
    }

    /// Asks for so many seconds, or until tokens that may be used once are used up; `at_once` requests are always under way.
    ///
    /// # Errors
    /// When the generator cannot be run, or an answer was not as it should be.
    pub fn closed(&self, load: &Load, at_once: u32, seconds: u64) -> Result<Sample, Fault> {
        let sample = match load.transport {
            Transport::TlsHttp2 => h2load::closed(self, load, seconds)?,
            // Nobody looks at statuses below 400 here: what was answered while warming up is answered now.
            Transport::Plain | Transport::Tls => {
                let tokens = warming(load).end..usize::MAX;
                wrk::run(self, load, &wrk::Span { seconds, at_once, tokens, statuses: false })?
            }
        };
        sample.valid()
    }

    /// Asks at a fixed rate, whether or not answers come as fast: HTTP/1.1, one request at a time on each of [`AT_ONCE`]
    /// connections.
    ///
    /// # Errors
    /// When the generator cannot be run, or an answer was not as it should be.
    pub fn paced(&self, load: &Load, per_second: f64, seconds: u64) -> Result<Paced, Fault> {
        let sample = h2load::paced(self, load, per_second, seconds)?.valid()?;
        let kept = sample.requests_per_second();
        Ok(if kept < per_second * 0.98 { Paced::Behind(kept) } else { Paced::Kept(sample) })
    }

    /// A name for a file of one run: several may be under way.
    fn file(&self, kind: &str) -> PathBuf {
        static RUNS: AtomicU64 = AtomicU64::new(0);
        self.folder.join(format!("load-{}.{kind}", RUNS.fetch_add(1, Ordering::Relaxed)))
    }

    /// Runs a program that ends by itself; one that does not is ended.
    fn output(&self, command: &Command, seconds: u64) -> Result<String, Fault> {
        let cores: Vec<String> = self.cores.iter().map(usize::to_string).collect();
        let mut bounded = Command::new("timeout");
        bounded.args(["--kill-after=2", &(seconds + 20).to_string(), "taskset", "--cpu-list", &cores.join(",")]);
        bounded.arg(command.get_program()).args(command.get_args());
        let program = command.get_program().to_string_lossy();
        let output = bounded.output().map_err(|fault| format!("{program} cannot be run: {fault}"))?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            let complaint = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{program}: {}: {} {}", output.status, complaint.trim(), said.trim()).into());
        }
        Ok(said)
    }
}

/// What came of a fixed rate.
#[derive(Debug)]
pub enum Paced {
    Kept(Sample),
    /// So many a second were asked: something else had the machine, or it cannot be done.
    Behind(f64),
}

/// The tokens to begin with. Where each may be used once they are missing later; otherwise they are all of them.
fn warming(load: &Load) -> std::ops::Range<usize> {
    match &load.tokens {
        Tokens::EachOnce(tokens) => 0..WARMING_TOKENS.min(tokens.len() / 2),
        Tokens::InTurn(_) | Tokens::Same => 0..0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Sample = Sample { requests: 5000, time: Duration::from_secs(2), p50_us: 1.0, p99_us: 2.0, errors: 0, refused: 0 };

    #[test]
    fn a_sample_counts_when_every_answer_was_a_yes() {
        assert_eq!(GOOD.valid().unwrap().requests_per_second(), 2500.0);
    }

    #[test]
    fn one_answer_that_was_none_makes_a_sample_worthless() {
        assert!(Sample { errors: 1, ..GOOD }.valid().is_err());
        assert!(Sample { refused: 1, ..GOOD }.valid().is_err());
        assert!(Sample { requests: 0, ..GOOD }.valid().is_err());
        assert!(Sample { time: Duration::ZERO, ..GOOD }.valid().is_err());
    }
}
