//! wrk, told by a script what to send and how to say what came of it.

use std::fmt::Write as _;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;

use super::{Generator, Sample};
use crate::stand::{Fault, HOST};
use crate::system::{Load, Tokens, Transport};

/// How long, how many requests at once, with which tokens, and whether each answer's status is looked at, which costs the generator time.
#[derive(Debug)]
pub struct Span {
    pub seconds: u64,
    pub at_once: u32,
    /// Of those that may be used once.
    pub tokens: Range<usize>,
    pub statuses: bool,
}

pub fn run(generator: &Generator, load: &Load, span: &Span) -> Result<Sample, Fault> {
    let (lua, tokens) = (generator.file("lua"), generator.file("tokens"));
    fs::write(&lua, script(load, span, &tokens)?)?;
    let scheme = if load.transport == Transport::Plain { "http" } else { "https" };
    let mut command = Command::new("wrk");
    command.args(["-t1", &format!("-c{}", span.at_once), &format!("-d{}s", span.seconds), "--latency", "-s"]).arg(&lua);
    command.arg(format!("{scheme}://{HOST}:{}/", load.address.port()));
    let said = generator.output(&command, span.seconds);
    for file in [lua, tokens] {
        let _ = fs::remove_file(file);
    }
    read(&said?)
}

/// What the script says at the end.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    requests: u64,
    microseconds: u64,
    errors: u64,
    refused: u64,
    p50_us: f64,
    p99_us: f64,
}

fn read(said: &str) -> Result<Sample, Fault> {
    let line = said.lines().find(|line| line.starts_with('{')).ok_or("wrk did not say what came of it")?;
    let Said { requests, microseconds, errors, refused, p50_us, p99_us } = serde_json::from_str(line)?;
    Ok(Sample { requests, time: Duration::from_micros(microseconds), p50_us, p99_us, errors, refused })
}

/// What is asked, and after it what is done with it. Tokens go into a file of their own: there are thousands.
fn script(load: &Load, span: &Span, tokens_file: &Path) -> Result<String, Fault> {
    let mut head = format!("GET {} HTTP/1.1\r\n", load.path);
    for (name, value) in &load.headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    let (tokens, once) = match &load.tokens {
        Tokens::Same => (None, false),
        Tokens::InTurn(tokens) => (Some(&tokens[..]), false),
        Tokens::EachOnce(tokens) => {
            let end = span.tokens.end.min(tokens.len());
            (Some(tokens.get(span.tokens.start..end).ok_or("there are not as many tokens")?), true)
        }
    };
    let tokens_file = match tokens {
        None => "nil".to_owned(),
        Some([]) => return Err("there is no token to send".into()),
        Some(tokens) => {
            fs::write(tokens_file, tokens.join("\n"))?;
            quoted(tokens_file.to_str().ok_or("the folder's name is not UTF-8")?)
        }
    };
    let Span { statuses, .. } = span;
    let (head, address) = (quoted(&head), quoted(&load.address.ip().to_string()));
    Ok(format!("local head, tokens_file, once, statuses, address = {head}, {tokens_file}, {once}, {statuses}, {address}\n{SCRIPT}"))
}

const SCRIPT: &str = include_str!("wrk.lua");

/// A Lua string: letters and digits as they are, every other byte by its number.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for byte in text.bytes() {
        let _ = if byte.is_ascii_alphanumeric() { write!(quoted, "{}", char::from(byte)) } else { write!(quoted, "\\{byte:03}") };
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_script_said_is_found_among_the_rest() {
        let said = "Running 2s test @ http://127.0.0.1:80/\n  9 requests in 2.00s, 80.57KB read\n\
                    {\"requests\":90000,\"microseconds\":2000101,\"errors\":1,\"refused\":2,\"p50_us\":53,\"p99_us\":311.5}\n";
        let sample = read(said).unwrap();
        let time = Duration::from_micros(2_000_101);
        assert_eq!(sample, Sample { requests: 90_000, time, p50_us: 53.0, p99_us: 311.5, errors: 1, refused: 2 });
    }

    #[test]
    fn silence_is_no_sample() {
        assert!(read("Running 2s test @ http://127.0.0.1:80/\n").is_err());
        assert!(read("{\"requests\":1}\n").is_err());
    }

    #[test]
    fn nothing_in_a_string_ends_it() {
        assert_eq!(quoted("a\"b\\\r\n9"), "\"a\\034b\\092\\013\\0109\"");
    }

    #[test]
    fn each_token_is_sent_once_and_only_those_of_the_span() {
        let folder = std::env::temp_dir();
        let file = folder.join(format!("doorward-compare-tokens-{}", std::process::id()));
        let load = Load {
            address: ([127, 0, 0, 1], 80).into(),
            transport: Transport::Tls,
            path: "/".to_owned(),
            headers: vec![("Host".to_owned(), "a".to_owned())],
            tokens: Tokens::EachOnce(["t1", "t2", "t3"].map(str::to_owned).into()),
        };
        let span = |tokens| Span { seconds: 1, at_once: 1, tokens, statuses: false };
        assert!(script(&load, &span(1..usize::MAX), &file).unwrap().contains(", true, false, "));
        assert_eq!(fs::read_to_string(&file).unwrap(), "t2\nt3");
        fs::remove_file(&file).unwrap();
        assert!(script(&load, &span(3..usize::MAX), &file).is_err());
        assert!(script(&load, &span(4..usize::MAX), &file).is_err());
    }
}
