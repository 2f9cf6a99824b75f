//! h2load: HTTP/2, and requests at a fixed rate. It writes down how long each took.

use std::fs;
use std::process::Command;
use std::time::Duration;

use super::{AT_ONCE, Generator, Sample};
use crate::stand::{Fault, HOST};
use crate::statistics::percentile;
use crate::system::{Load, Tokens, Transport};

/// Connections, where each carries several requests at once.
const CONNECTIONS: u32 = 4;

/// HTTP/2 as fast as it is answered.
pub fn closed(generator: &Generator, load: &Load, seconds: u64) -> Result<Sample, Fault> {
    let at_once = AT_ONCE / CONNECTIONS;
    run(generator, load, seconds, &["-c", &CONNECTIONS.to_string(), "-m", &at_once.to_string(), "-D", &seconds.to_string()])
}

/// HTTP/1.1 at a fixed rate, which the connections share.
pub fn paced(generator: &Generator, load: &Load, per_second: f64, seconds: u64) -> Result<Sample, Fault> {
    let each = format!("{:.3}", per_second / f64::from(AT_ONCE));
    let (connections, duration) = (AT_ONCE.to_string(), seconds.to_string());
    run(generator, load, seconds, &["--h1", "-c", &connections, "-m", "1", "--rps", &each, "--warm-up-time", "1", "-D", &duration])
}

fn run(generator: &Generator, load: &Load, seconds: u64, arguments: &[&str]) -> Result<Sample, Fault> {
    if !matches!(load.tokens, Tokens::Same) {
        return Err("h2load sends the same headers with every request".into());
    }
    let log = generator.file("log");
    let mut command = Command::new("h2load");
    command.args(["-t", "1"]).args(arguments).arg("--log-file").arg(&log);
    for (name, value) in &load.headers {
        let name = if name.eq_ignore_ascii_case("host") { ":authority" } else { name };
        command.args(["-H", &format!("{name}: {value}")]);
    }
    let scheme = if load.transport == Transport::Plain { "http" } else { "https" };
    command.args(["--connect-to", &load.address.to_string()]);
    command.arg(format!("{scheme}://{HOST}:{}{}", load.address.port(), load.path));
    let said = generator.output(&command, seconds);
    let lines = fs::read_to_string(&log);
    let _ = fs::remove_file(&log);
    read(&said?, &lines?, Duration::from_secs(seconds))
}

/// `log`: a line for each request: when it began (µs), the status, and how long it took (µs).
fn read(said: &str, log: &str, time: Duration) -> Result<Sample, Fault> {
    let counts = said.lines().find_map(|line| line.strip_prefix("requests: ")).ok_or("h2load did not say what came of it")?;
    let errors = count(counts, "failed")? + count(counts, "errored")? + count(counts, "timeout")?;
    let (mut took, mut refused) = (Vec::new(), 0);
    for line in log.lines() {
        let mut columns = line.split('\t').skip(1);
        let (Some(status), Some(microseconds)) = (columns.next(), columns.next()) else {
            return Err(format!("h2load wrote `{line}`").into());
        };
        let status: i32 = status.parse()?;
        refused += u64::from(!(200..300).contains(&status));
        took.push(microseconds.parse()?);
    }
    let requests = took.len() as u64;
    // h2load says `failed` of an answer in the 400s and 500s as well, which the log has told of already.
    let errors = errors.saturating_sub(refused);
    let of = |values: &mut [u64], share| percentile(values, share).map_or(f64::NAN, |microseconds| microseconds as f64);
    Ok(Sample { requests, time, p50_us: of(&mut took, 0.50), p99_us: of(&mut took, 0.99), errors, refused })
}

/// The number before a word, in `400 total, 400 started, 0 failed`.
fn count(text: &str, word: &str) -> Result<u64, Fault> {
    let found = text.split(", ").find_map(|part| part.strip_suffix(word)?.trim().parse().ok());
    found.ok_or_else(|| format!("h2load said `{text}`").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "finished in 1.00s, 400.00 req/s, 134.38KB/s\n\
        requests: 4 total, 4 started, 4 done, 4 succeeded, 0 failed, 0 errored, 0 timeout\n\
        status codes: 4 2xx, 0 3xx, 0 4xx, 0 5xx\n";
    const LOG: &str = "1795377392981154\t200\t229\n1795377392981161\t204\t248\n1795377392981166\t200\t247\n1795377392981170\t200\t900\n";

    #[test]
    fn each_request_is_in_the_log() {
        let sample = read(SAID, LOG, Duration::from_secs(1)).unwrap();
        assert_eq!(sample, Sample { requests: 4, time: Duration::from_secs(1), p50_us: 247.0, p99_us: 900.0, errors: 0, refused: 0 });
    }

    #[test]
    fn another_status_and_a_failure_are_counted_once_each() {
        let refused = read(SAID, &LOG.replace("204", "302"), Duration::from_secs(1)).unwrap();
        assert_eq!((refused.refused, refused.errors), (1, 0));
        let failed = SAID.replace("4 succeeded, 0 failed, 0 errored", "2 succeeded, 2 failed, 1 errored");
        let failed = read(&failed, &LOG.replace("204", "503"), Duration::from_secs(1)).unwrap();
        assert_eq!((failed.refused, failed.errors), (1, 2));
    }

    #[test]
    fn what_cannot_be_read_is_no_sample() {
        assert!(read("", LOG, Duration::from_secs(1)).is_err());
        assert!(read(SAID, "1795377392981154 200 229\n", Duration::from_secs(1)).is_err());
        assert!(read("requests: 4 total\n", LOG, Duration::from_secs(1)).is_err());
    }
}
