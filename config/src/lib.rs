//! What the operator wrote, turned into what will run.
//!
//! Text becomes a tree of values that know where they stand (`document`, one model for YAML, TOML and JSON);
//! `${NAME}` is replaced in it (`interpolate`); the readers under `read` turn it into [`settings::Settings`] and
//! report whatever they cannot. They never stop at the first problem: an operator sees all of them at once, each at
//! its line, with what to do about it.
//!
//! There is no half-valid result. One error anywhere means no settings.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod cookie_size;
mod document;
mod environment;
mod files;
mod interpolate;
mod key_ring;
mod problem;
mod provider_address;
mod read;
mod report;
mod schema;
pub mod settings;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

pub use cookie_size::cookie_size;
pub use environment::{Environment, ProcessEnvironment};
pub use files::ReadFile;
pub use problem::{Place, Problem, Severity, WarningCode};
pub use report::Report;
pub use schema::SCHEMA;
use settings::Settings;

/// A configuration file and what stands in it.
#[derive(Clone)]
pub struct Source {
    pub path: PathBuf,
    pub text: String,
}

/// Settings, and what is worth a second look although they work.
#[derive(Debug)]
pub struct Loaded {
    pub settings: Settings,
    /// May be empty.
    pub warnings: Report,
    /// Every file that was read: the configuration itself, and what it names.
    pub files: Vec<ReadFile>,
}

/// Largest file that is read: tens of thousands of routes.
const SIZE_LIMIT: u64 = files::LIMIT;

/// Reads a configuration file; its extension says whether it is YAML, TOML or JSON.
///
/// # Errors
/// [`Report`] with every problem there is, in the order of their lines.
pub fn load(path: &Path) -> Result<Loaded, Report> {
    format_of(path)?;
    let unreadable =
        |error: std::io::Error| Report::unreadable(path, format!("cannot be read: {error}"), "name another file with `--config`").of(None);
    let mut bytes = Vec::new();
    // A pipe or a device has no size to ask for, and may have no end.
    File::open(path).and_then(|file| file.take(SIZE_LIMIT + 1).read_to_end(&mut bytes)).map_err(unreadable)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let report = Report::unreadable(path, "is not UTF-8 text".into(), "save it as UTF-8");
        report.of(Some(error.as_bytes()))
    })?;
    load_text(path, text, &ProcessEnvironment)
}

/// Reads a configuration that is at hand already. `path` names it, tells its format, and its folder is where relative
/// file names in it begin.
///
/// # Errors
/// [`Report`] with every problem there is, in the order of their lines.
pub fn load_text(path: &Path, text: String, env: &dyn Environment) -> Result<Loaded, Report> {
    let format = format_of(path)?;
    if text.len() as u64 > SIZE_LIMIT {
        let message = format!("is larger than {} MiB", SIZE_LIMIT >> 20);
        return Err(Report::unreadable(path, message, "split the routes among several instances").of(Some(text.as_bytes())));
    }
    let source = Source { path: path.to_owned(), text };
    let mut findings = Vec::new();
    let root = document::parse(format, &source.text, &mut findings);
    let reading = read::Reading::new(&source, env);
    let parsed = root.is_some();
    let settings = root.and_then(|mut root| {
        reading.cover_secrets(&root);
        interpolate::expand(&mut root, &source.text, env, &mut findings);
        read::settings(&reading, &root, read::is_sound(&findings))
    });
    let report = reading.into_report(findings, parsed);
    match settings {
        Some(settings) if report.error_count() == 0 => Ok(Loaded { settings, files: report.files().to_vec(), warnings: report }),
        _ => Err(report),
    }
}

fn format_of(path: &Path) -> Result<document::Format, Report> {
    let help = "the name ends in `.yaml`, `.yml`, `.toml` or `.json`";
    document::Format::of(path).ok_or_else(|| Report::unreadable(path, "has no known format".into(), help))
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The text may hold secrets.
        f.debug_struct("Source").field("path", &self.path).finish_non_exhaustive()
    }
}
