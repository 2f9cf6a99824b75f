//! `doorward explain --decision ID`: what the audit log says about one decision, in its file and those that were rotated away
//! from it.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use doorward_config::settings::AuditLog;
use doorward_policy::access::explain::{Criterion, Mark};
use serde_json::{Map, Value};

use super::Stop;
use crate::cli::table::{Ink, Table, clean};
use crate::cli::{Format, color_of_results, load, say, tell};

/// Longest line that is read; one that is longer is none of ours.
const LINE_LIMIT: u64 = 1 << 20;
/// Files looked into.
const FILES: usize = 100;
/// Records of one decision.
const RECORDS: usize = 100;
/// Told in the first lines, so not again below.
const TOLD: &[&str] = &[
    "time",
    "event",
    "request_id",
    "client",
    "method",
    "host",
    "path",
    "route",
    "rule",
    "decision",
    "reason",
    "provider",
    "proof",
    "subject",
    "roles",
    "criteria",
];

/// Prints what is known of it. 0: found; 1: not.
pub(super) fn explain(id: &str, log: Option<&Path>, config: &Path, format: Format) -> ExitCode {
    if id.is_empty() || id.len() > 128 || !id.bytes().all(|byte| byte.is_ascii_graphic()) {
        say("error: that is no id of a decision\n  help: the page and the field `X-Request-Id` of an answer have it");
        return ExitCode::from(super::MISUSED);
    }
    let found = match log {
        Some(log) if log == Path::new("-") => search(std::io::stdin(), id).map_err(|error| Stop::no(format!("standard input: {error}"))),
        Some(log) => in_files(log, id),
        None => match load(config) {
            Ok(settings) => match settings.server.audit_log {
                Some(AuditLog::File(file)) => in_files(&file, id),
                Some(AuditLog::Stdout) => Err(Stop::misused(
                    "the audit log goes to standard output (`server.audit_log: stdout`): say where it is kept\n  help: `--audit-log FILE`, or `--audit-log -` to read it from standard input",
                )),
                None => {
                    Err(Stop::misused("there is no audit log: `server.audit_log` is not written\n  help: `--audit-log FILE` reads one"))
                }
            },
            Err(code) => return code,
        },
    };
    match found {
        Ok(records) if records.is_empty() => {
            say(&format!(
                "nothing is written about {id}\n  help: only what was refused, or asked to sign in again, is; and older files may be gone or compressed"
            ));
            ExitCode::from(super::NO)
        }
        Ok(records) => {
            match format {
                Format::Json => tell(&Value::Array(records.into_iter().map(Value::Object).collect()).to_string()),
                Format::Text => {
                    let records: Vec<String> = records.iter().map(|record| render(record, Ink { on: color_of_results() })).collect();
                    tell(&records.join("\n"));
                }
            }
            ExitCode::SUCCESS
        }
        Err(stop) => {
            say(&format!("error: {}", stop.text));
            ExitCode::from(stop.code)
        }
    }
}

/// The newest file first; the first that knows the decision has all of it.
fn in_files(log: &Path, id: &str) -> Result<Vec<Map<String, Value>>, Stop> {
    let own = read(log, id);
    if let Ok(records) = &own
        && !records.is_empty()
    {
        return own;
    }
    for file in rotated(log) {
        match read(&file, id) {
            Ok(records) if !records.is_empty() => return Ok(records),
            // It was rotated once more meanwhile, or is not for us to read.
            Ok(_) | Err(_) => {}
        }
    }
    own
}

fn read(file: &Path, id: &str) -> Result<Vec<Map<String, Value>>, Stop> {
    File::open(file).and_then(|file| search(file, id)).map_err(|error| Stop::no(format!("{} cannot be read: {error}", file.display())))
}

/// `audit.jsonl.1`, `audit.jsonl-20261122`: what stands beside the log under its name and is not compressed, newest first.
fn rotated(log: &Path) -> Vec<PathBuf> {
    let (Some(folder), Some(name)) = (log.parent(), log.file_name().and_then(|name| name.to_str())) else { return Vec::new() };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<(SystemTime, PathBuf)> = Vec::new();
    for entry in entries.flatten() {
        let own = entry.file_name();
        let rest = own.to_str().and_then(|own| own.strip_prefix(name)).filter(|rest| rest.starts_with(['.', '-']));
        let compressed = rest.is_some_and(|rest| [".gz", ".xz", ".zst", ".bz2"].iter().any(|end| rest.ends_with(end)));
        if let (Some(_), false, Ok(facts)) = (rest, compressed, entry.metadata())
            && facts.is_file()
        {
            files.push((facts.modified().unwrap_or(SystemTime::UNIX_EPOCH), entry.path()));
        }
    }
    files.sort();
    files.into_iter().rev().take(FILES).map(|(_, path)| path).collect()
}

/// Every record of that id. A line that is cut off or no JSON is somebody else's.
fn search(source: impl Read, id: &str) -> std::io::Result<Vec<Map<String, Value>>> {
    let mut lines = BufReader::new(source);
    let mut records = Vec::new();
    let mut line = Vec::new();
    let mut skipping = false;
    loop {
        line.clear();
        let read = lines.by_ref().take(LINE_LIMIT).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(records);
        }
        let whole = line.ends_with(b"\n") || (read as u64) < LINE_LIMIT;
        let begins = !std::mem::replace(&mut skipping, !whole);
        // Most lines are another decision's: those are not even parsed.
        if !begins || !whole || !line.windows(id.len()).any(|part| part == id.as_bytes()) {
            continue;
        }
        if let Ok(Value::Object(record)) = serde_json::from_slice(&line)
            && record.get("request_id").and_then(Value::as_str) == Some(id)
            && records.len() < RECORDS
        {
            records.push(record);
        }
    }
}

fn render(record: &Map<String, Value>, ink: Ink) -> String {
    let text = |name: &str| record.get(name).and_then(Value::as_str).map(clean);
    let or = |name: &str, other: &str| text(name).unwrap_or_else(|| other.to_owned());
    let mut out = format!("{} at {}, id {}\n", or("event", "record"), or("time", "an unknown time"), or("request_id", ""));
    if record.contains_key("method") {
        out.push_str(&format!("{} https://{}{}\n", or("method", ""), or("host", ""), or("path", "")));
    }
    out.push_str(&format!("from {}\n", or("client", "an unknown address")));
    out.push_str(&match text("subject") {
        Some(subject) => format!("as {subject}, by {} of {}\n", proof(text("proof").as_deref()), or("provider", "an unknown provider")),
        None => "as nobody\n".into(),
    });
    if let Some(Value::Array(roles)) = record.get("roles") {
        let roles: Vec<String> = roles.iter().map(plain).collect();
        out.push_str(&format!("roles: {}\n", if roles.is_empty() { "none".into() } else { roles.join(", ") }));
    }
    let criteria = criteria(record);
    if !criteria.is_empty() {
        out.push_str(&format!("\nrule {}\n", or("rule", "unknown")));
        let mut table = Table::new(2);
        for Criterion { what, wanted, found, mark } in &criteria {
            let found = found.as_deref().map_or_else(|| "?".to_owned(), clean);
            table.row([format!("{} {}", ink.mark(*mark), clean(what)), clean(wanted), found]);
        }
        out.push_str(&table.render());
    }
    if let Some(decision) = text("decision") {
        let by = text("rule").or_else(|| text("route")).map(|name| format!(" by {name}")).unwrap_or_default();
        let reason = text("reason").map(|reason| format!(": {reason}")).unwrap_or_default();
        out.push_str(&format!("\n{}{by}{reason}\n", ink.bad(&decision.to_uppercase())));
        for criterion in criteria.iter().filter(|criterion| criterion.mark == Mark::Miss) {
            let found = criterion.found.as_deref().map(|found| format!(", found {}", clean(found))).unwrap_or_default();
            out.push_str(&format!("  {}: wanted {}{found}\n", clean(&criterion.what), clean(&criterion.wanted)));
        }
    }
    let mut rest = Table::new(2);
    for (name, value) in record.iter().filter(|(name, value)| !TOLD.contains(&name.as_str()) && !value.is_null()) {
        rest.row([clean(name), plain(value)]);
    }
    out.push_str(&rest.render());
    out
}

fn proof(name: Option<&str>) -> &'static str {
    match name {
        Some("bearer") => "a bearer token",
        Some("session") => "a session",
        _ => "what was presented",
    }
}

/// A list that was cut ends in words.
fn criteria(record: &Map<String, Value>) -> Vec<Criterion> {
    let list = record.get("criteria").and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|criterion| serde_json::from_value(criterion.clone()).ok()).collect()
}

fn plain(value: &Value) -> String {
    clean(&value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: &str) -> String {
        format!(r#"{{"time":"2026-11-22T09:00:00.123Z","event":"denial","request_id":"{id}","client":"192.0.2.1"}}"#)
    }

    #[test]
    fn a_record_is_found_among_broken_lines_and_by_its_own_id_alone() {
        let other = r#"{"event":"denial","request_id":"b","path":"/a1"}"#;
        let log = format!("not json a1\n{}\n{other}\n{}\n{{\"request_id\":\"a1\"", record("a1"), record("a2"));
        let found = search(log.as_bytes(), "a1").unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0]["request_id"], "a1");
        assert!(search(log.as_bytes(), "a3").unwrap().is_empty());
    }

    #[test]
    fn a_line_without_end_is_passed_over_and_not_kept() {
        let limit = usize::try_from(LINE_LIMIT).unwrap();
        let log = format!("{}a1{}\n{}\n", "x".repeat(limit), "y".repeat(limit * 2), record("a1"));
        assert_eq!(search(log.as_bytes(), "a1").unwrap().len(), 1);
    }

    #[test]
    fn rotated_neighbours_are_looked_into_and_compressed_ones_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("audit.jsonl");
        for (name, id) in [
            ("audit.jsonl", "now"),
            ("audit.jsonl.1", "one"),
            ("audit.jsonl-20261121", "dated"),
            ("audit.jsonl.2.gz", "packed"),
            ("audit.jsonlx", "no"),
        ] {
            std::fs::write(folder.path().join(name), record(id)).unwrap();
        }
        for (id, count) in [("now", 1), ("one", 1), ("dated", 1), ("packed", 0), ("no", 0)] {
            assert_eq!(in_files(&log, id).unwrap().len(), count, "{id}");
        }
        std::fs::remove_file(&log).unwrap();
        assert_eq!(in_files(&log, "one").unwrap().len(), 1, "the newest file may not be there yet");
        assert!(in_files(&log, "never").is_err());
    }
}
