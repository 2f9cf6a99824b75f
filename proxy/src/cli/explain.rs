//! `doorward explain`: what would become of a request, rule by rule, and why; or what became of one, from the audit log.

mod past;
mod presented;
mod text;

pub(super) use text::brief;

use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;
use doorward_config::settings::Settings;
use doorward_policy::access::Standing;
use doorward_policy::identity::Proof;
use doorward_policy::time::Timestamp;
use serde_json::{Map, Value};

use super::{Config, Format, MISUSED, NO, load, say, tell};
use crate::clock;
use crate::explain::{Answer, Question, Supposition, answer, answer_supposed};

/// Longest claims, token or cookie that is read, in bytes.
const INPUT_LIMIT: u64 = 1 << 20;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// `GET`, `POST`, …
    #[arg(required_unless_present = "decision")]
    method: Option<String>,
    /// The whole address, as in a browser: `https://app.example/path`
    #[arg(required_unless_present = "decision")]
    url: Option<String>,
    #[command(flatten)]
    config: Config,
    /// Nobody has signed in. So it is also when nothing is said
    #[arg(long, group = "who")]
    anonymous: bool,
    /// Suppose somebody with these claims: a JSON object in a file, or `-` for standard input
    #[arg(long, group = "who", value_name = "FILE")]
    claims: Option<PathBuf>,
    /// `-`: somebody presents the bearer token on standard input. It is verified with the provider's keys
    #[arg(long, group = "who", value_name = "-")]
    token: Option<String>,
    /// `-`: somebody presents the session cookie whose value is on standard input. It is opened with the configured keys
    #[arg(long, group = "who", value_name = "-")]
    session: Option<String>,
    /// With `--claims`: the provider that says so; without it the route's first
    #[arg(long, requires = "claims", value_name = "NAME")]
    provider: Option<String>,
    /// With `--claims`: what is presented; without it a session, or a token where the route takes nothing else
    #[arg(long, requires = "claims", value_enum)]
    proof: Option<ProofName>,
    /// Where the request comes from; without it 192.0.2.1, which is nobody's address
    #[arg(long, value_name = "ADDRESS")]
    client: Option<IpAddr>,
    /// When: `2026-11-22T09:00:00Z`; without it now
    #[arg(long, value_name = "TIME", value_parser = moment)]
    at: Option<Timestamp>,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// What the audit log says about the decision with this id: the one on the page, and in `X-Request-Id`
    #[arg(long, value_name = "ID", conflicts_with_all = ["method", "who", "client", "at"])]
    decision: Option<String>,
    /// With `--decision`: the audit log, or `-` for standard input; without it the configuration's `server.audit_log`
    #[arg(long, requires = "decision", value_name = "FILE")]
    audit_log: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ProofName {
    Session,
    Bearer,
}

impl From<ProofName> for Proof {
    fn from(name: ProofName) -> Self {
        match name {
            ProofName::Session => Self::Session,
            ProofName::Bearer => Self::Bearer,
        }
    }
}

/// Why nothing can be explained: what is said, and the exit code.
#[derive(Debug)]
struct Stop {
    text: String,
    code: u8,
}

impl Stop {
    fn misused(text: impl Into<String>) -> Self {
        Self { text: text.into(), code: MISUSED }
    }

    fn no(text: impl Into<String>) -> Self {
        Self { text: text.into(), code: NO }
    }
}

/// What `doorward explain` says. 0: allowed, or the decision was found; 1: not; 2: used wrongly; 78: the configuration.
pub(super) fn explain(arguments: &Arguments) -> ExitCode {
    if let Some(id) = &arguments.decision {
        return past::explain(id, arguments.audit_log.as_deref(), &arguments.config.path(), arguments.format);
    }
    let settings = match load(&arguments.config.path()) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    match look(arguments, settings) {
        Ok((answer, by)) => {
            match arguments.format {
                Format::Json => tell(&json_of(&answer, by).to_string()),
                Format::Text => tell(&text::render(&answer, by, super::color_of_results())),
            }
            if answer.is_yes() { ExitCode::SUCCESS } else { ExitCode::from(NO) }
        }
        Err(stop) => {
            say(&format!("error: {}", stop.text));
            ExitCode::from(stop.code)
        }
    }
}

/// On whose word somebody is who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Nobody,
    Claims,
    Token,
    Session,
}

impl By {
    fn word(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Claims => "claims",
            Self::Token => "token",
            Self::Session => "session",
        }
    }
}

fn json_of(answer: &Answer, by: By) -> Value {
    let mut json = serde_json::to_value(answer).unwrap_or_default();
    json["by"] = by.word().into();
    json
}

fn look(arguments: &Arguments, settings: Settings) -> Result<(Answer, By), Stop> {
    let (method, url) = (arguments.method.as_deref().unwrap_or_default(), arguments.url.as_deref().unwrap_or_default());
    let now = arguments.at.unwrap_or_else(clock::now);
    let question = Question::parse(method, url, arguments.client, now).map_err(|fault| Stop::misused(fault.to_string()))?;
    if let Some(file) = &arguments.claims {
        let known = |name: &&str| settings.providers.iter().any(|provider| provider.name == **name);
        if let Some(name) = arguments.provider.as_deref().filter(|name| !known(name)) {
            return Err(Stop::misused(format!("there is no provider `{name}`")));
        }
        let supposition =
            Supposition { claims: claims_of(file)?, provider: arguments.provider.as_deref(), proof: arguments.proof.map(Into::into) };
        return Ok((answer_supposed(&settings, &question, &supposition), By::Claims));
    }
    if let Some(value) = &arguments.token {
        let token = secret("--token", value)?;
        return Ok((presented::token(settings, &question, &token)?, By::Token));
    }
    if let Some(value) = &arguments.session {
        let cookie = secret("--session", value)?;
        return Ok((presented::session(settings, &question, &cookie)?, By::Session));
    }
    Ok((answer(&settings, &question, &Standing::Anonymous), By::Nobody))
}

/// A JSON object in a file, or on standard input.
pub(super) fn read_claims(file: &Path) -> Result<Map<String, Value>, String> {
    let text = if file == Path::new("-") { read(std::io::stdin()) } else { File::open(file).and_then(read) };
    let text = text.map_err(|error| {
        let name = file.display().to_string();
        match name.starts_with('{') {
            true => "--claims takes a file, or `-`\n  help: `echo '{ … }' | doorward … --claims -`".to_owned(),
            false => format!("the claims in {} cannot be read: {error}", super::table::clean(&name)),
        }
    })?;
    serde_json::from_str(&text).map_err(|error| format!("the claims are no JSON object: {error}"))
}

fn claims_of(file: &Path) -> Result<Map<String, Value>, Stop> {
    read_claims(file).map_err(Stop::misused)
}

/// A secret never stands on the command line, where everybody on the machine can read it.
fn secret(option: &str, value: &str) -> Result<String, Stop> {
    if value != "-" {
        return Err(Stop::misused(format!("{option} takes `-` only: what is secret comes on standard input, never on the command line")));
    }
    let text = read(std::io::stdin()).map_err(|error| Stop::misused(format!("standard input cannot be read: {error}")))?;
    match text.trim() {
        "" => Err(Stop::misused(format!("{option}: there is nothing on standard input"))),
        text => Ok(text.to_owned()),
    }
}

fn read(source: impl Read) -> std::io::Result<String> {
    let mut text = String::new();
    source.take(INPUT_LIMIT + 1).read_to_string(&mut text)?;
    if text.len() as u64 > INPUT_LIMIT {
        return Err(std::io::Error::other(format!("longer than {} KiB", INPUT_LIMIT >> 10)));
    }
    Ok(text)
}

fn moment(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| "date and time as in RFC 3339: 2026-11-22T09:00:00Z".to_owned())
}
