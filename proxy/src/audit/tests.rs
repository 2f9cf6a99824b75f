//! Many threads write, somebody rotates.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use prometheus::{IntCounter, Opts};
use serde_json::Value;

use super::*;

const PATIENCE: Duration = Duration::from_secs(10);

struct Rig {
    audit: Audit,
    folder: tempfile::TempDir,
    path: PathBuf,
}

fn rig() -> Rig {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let audit = audit();
    audit.adopt(&audit.prepare(Some(&AuditLog::File(path.clone()))).unwrap());
    Rig { audit, folder, path }
}

fn audit() -> Audit {
    let counter = |name: &str| IntCounter::new(name, "a counter").unwrap();
    Audit {
        sink: ArcSwapOption::empty(),
        tally: Tally { instance: "0123456789abcdef".into(), written: counter("written"), lost: counter("lost") },
        suppressed: IntCounterVec::new(Opts::new("suppressed", "a counter"), &["event"]).unwrap(),
        next: Mutex::new(1),
        budget: Budget::new(),
        trouble: Trouble::default(),
    }
}

/// A line that is of no kind with a bound.
fn write(audit: &Audit, at: usize) {
    audit.entry(Kind::Stop, Cause::new(&format!("request-{at}"), IpAddr::from([192, 0, 2, 1]))).unwrap().write(&Stop { clean: true });
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "{}: torn", path.display());
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

fn seqs(lines: &[Value]) -> Vec<u64> {
    lines.iter().map(|line| line["seq"].as_u64().unwrap()).collect()
}

/// Writes from four threads while `rotate` runs again and again; how many were written.
fn written_while(audit: &Audit, rounds: usize, mut rotate: impl FnMut(usize) + Send) -> u64 {
    const EACH: usize = 5000;
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                scope.spawn(move || {
                    for at in 0..EACH {
                        write(audit, thread * EACH + at);
                        // As fast as it is written: what is tried here is not the queue.
                        if at % 200 == 0 {
                            assert!(audit.flush(PATIENCE));
                        }
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            for round in 0..rounds {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                rotate(round);
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        over.store(true, Ordering::Relaxed);
    });
    assert!(audit.flush(PATIENCE));
    4 * EACH as u64
}

#[test]
fn log_05_lines_are_numbered_in_the_order_they_stand_in_and_each_is_whole() {
    let Rig { audit, path, folder: _folder } = rig();
    let written = written_while(&audit, 0, |_| {});
    let lines = lines(&path);
    assert_eq!(seqs(&lines), (1..=written).collect::<Vec<_>>());
    assert_eq!((audit.tally.written.get(), audit.tally.lost.get()), (written, 0));
    let first = &lines[0];
    assert_eq!((&first["event"], &first["instance"], &first["client"]), (&"stop".into(), &"0123456789abcdef".into(), &"192.0.2.1".into()));
    assert!(humantime::parse_rfc3339(first["time"].as_str().unwrap()).is_ok(), "{first}");
}

#[test]
fn a_file_that_is_renamed_again_and_again_loses_and_tears_no_line() {
    for create in [false, true] {
        let Rig { audit, folder, path } = rig();
        let written = written_while(&audit, 100, |round| {
            // The writer may not have begun the next one yet.
            if fs::rename(&path, folder.path().join(format!("audit.jsonl.{round}"))).is_ok() && create {
                // As logrotate does; if the writer was faster, the file is there.
                let _ = OpenOptions::new().write(true).create_new(true).open(&path);
            }
        });
        let mut seen: Vec<u64> = fs::read_dir(folder.path()).unwrap().flat_map(|entry| seqs(&lines(&entry.unwrap().path()))).collect();
        seen.sort_unstable();
        assert_eq!(seen, (1..=written).collect::<Vec<_>>(), "create: {create}");
        assert!(fs::read_dir(folder.path()).unwrap().count() > 5);
        assert_eq!(audit.tally.lost.get(), 0);
    }
}

#[test]
fn a_file_that_is_copied_and_truncated_tears_no_line_and_has_no_hole() {
    let Rig { audit, folder, path } = rig();
    let copies = folder.path().join("copies");
    fs::create_dir(&copies).unwrap();
    let written = written_while(&audit, 60, |round| {
        // copytruncate: what comes between the two is nobody's, and half a line may stand at the end of a copy.
        let mut file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let mut copy = Vec::new();
        file.read_to_end(&mut copy).unwrap();
        file.set_len(0).unwrap();
        file.rewind().unwrap();
        File::create(copies.join(round.to_string())).unwrap().write_all(&copy).unwrap();
    });
    let mut seen = seqs(&lines(&path));
    for copy in fs::read_dir(&copies).unwrap() {
        let text = fs::read_to_string(copy.unwrap().path()).unwrap();
        assert!(!text.contains('\0'), "a hole");
        let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
        seen.extend(seqs(&whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<_>>()));
    }
    let distinct: std::collections::BTreeSet<u64> = seen.iter().copied().collect();
    assert_eq!(distinct.len(), seen.len(), "nothing twice");
    assert!(distinct.len() as u64 > written / 2 && distinct.last() == Some(&written), "{} of {written}", distinct.len());
    assert_eq!((audit.tally.written.get(), audit.tally.lost.get()), (written, 0));
}

#[test]
fn lines_that_cannot_be_written_are_counted_and_missing_from_the_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("inner");
    fs::create_dir(&inner).unwrap();
    let path = inner.join("audit.jsonl");
    let audit = audit();
    audit.adopt(&audit.prepare(Some(&AuditLog::File(path.clone()))).unwrap());
    write(&audit, 1);
    assert!(audit.flush(PATIENCE));
    fs::remove_dir_all(&inner).unwrap();
    write(&audit, 2);
    write(&audit, 3);
    assert!(audit.flush(PATIENCE));
    assert_eq!((audit.tally.written.get(), audit.tally.lost.get()), (1, 2));
    fs::create_dir(&inner).unwrap();
    write(&audit, 4);
    assert!(audit.flush(PATIENCE));
    assert_eq!(seqs(&lines(&path)), [4]);
    assert_eq!((audit.tally.written.get(), audit.tally.lost.get()), (2, 2));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_holds_up_nobody() {
    let audit = audit();
    audit.adopt(&audit.prepare(Some(&AuditLog::File("/dev/full".into()))).unwrap());
    (0..100).for_each(|at| write(&audit, at));
    assert!(audit.flush(PATIENCE));
    assert_eq!((audit.tally.written.get(), audit.tally.lost.get()), (0, 100));
}

#[test]
fn a_file_that_cannot_be_opened_is_an_error_that_helps_and_changes_nothing() {
    let Rig { audit, path, folder } = rig();
    let missing = folder.path().join("not-there/audit.jsonl");
    let fault = audit.prepare(Some(&AuditLog::File(missing.clone()))).unwrap_err().to_string();
    assert!(fault.contains("server.audit_log") && fault.contains(missing.to_str().unwrap()) && fault.contains("help:"), "{fault}");
    write(&audit, 1);
    assert!(audit.flush(PATIENCE));
    assert_eq!(seqs(&lines(&path)), [1]);
}

#[test]
fn numbers_go_on_in_another_file_and_the_same_file_is_not_opened_twice() {
    let Rig { audit, path, folder } = rig();
    let current = audit.sink.load_full().unwrap();
    let same = audit.prepare(Some(&AuditLog::File(path.clone()))).unwrap();
    assert!(Arc::ptr_eq(same.0.as_ref().unwrap(), &current));
    drop((same, current));
    write(&audit, 1);
    let other = folder.path().join("other.jsonl");
    let next = audit.prepare(Some(&AuditLog::File(other.clone()))).unwrap();
    write(&audit, 2);
    audit.adopt(&next);
    write(&audit, 3);
    assert!(audit.flush(PATIENCE));
    assert_eq!(seqs(&lines(&other)), [3]);
    // The thread of the first ends with what it had to write.
    let begun = Instant::now();
    while seqs(&lines(&path)) != [1, 2] {
        assert!(begun.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(5));
    }
    audit.adopt(&audit.prepare(None).unwrap());
    assert!(!audit.is_on() && audit.entry(Kind::Stop, Cause::NONE).is_none() && audit.flush(PATIENCE));
}

#[test]
fn rate_02_lines_that_are_too_many_are_said_in_one() {
    let Rig { audit, path, folder: _folder } = rig();
    let client = IpAddr::from([192, 0, 2, 7]);
    let taken = (0..1000).filter(|_| audit.entry(Kind::CredentialRefused, Cause::new("r", client)).is_some()).count();
    audit.summarise();
    audit.summarise();
    assert!(audit.flush(PATIENCE));
    let lines = lines(&path);
    assert_eq!(lines.len(), 1, "said once: {lines:?}");
    let counts: BTreeMap<String, u64> = serde_json::from_value(lines[0]["not_written"].clone()).unwrap();
    assert_eq!(
        (&lines[0]["event"], counts),
        (&"suppressed".into(), BTreeMap::from([("credential_refused".to_owned(), 1000 - taken as u64)]))
    );
    assert_eq!(audit.suppressed.with_label_values(&["credential_refused"]).get(), 1000 - taken as u64);
}

#[test]
fn log_02_a_line_is_bounded_and_visible_whatever_is_in_it() {
    let Rig { audit, path, folder: _folder } = rig();
    let long = "\u{1f36a}\u{2028}\n\u{1b}".repeat(10_000);
    let place = Place {
        hook: true,
        again: false,
        method: Text(&long),
        host: Text(&long),
        path: Text(&long),
        route: Some(Text(&long)),
        rule: Some(Text(&long)),
    };
    let entry = |id| audit.entry(Kind::Denial, Cause::new(id, IpAddr::from([192, 0, 2, 1]))).unwrap();
    entry("all-at-once").write(&Refusal {
        place,
        decision: "deny",
        reason: "role",
        who: Who::default(),
        criteria: Some(fitted_names((0..20).map(|_| long.as_str()), 9000)),
    });
    let who = Who { subject: Some(Text(&long)), roles: Some(fitted_names((0..9999).map(|_| long.as_str()), 1024)), ..Who::default() };
    entry("long").write(&Handoff { host: Text("app.example"), who });
    assert!(audit.flush(PATIENCE));
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.bytes().all(|byte| byte == b'\n' || (0x20..=0x7e).contains(&byte)));
    assert!(text.lines().all(|line| line.len() < LINE_LIMIT));
    let lines = lines(&path);
    assert_eq!((&lines[0]["request_id"], &lines[0]["too_long"]), (&"all-at-once".into(), &true.into()));
    assert_eq!((&lines[1]["request_id"], lines[1]["subject"].as_str().unwrap().chars().count()), (&"long".into(), 256));
}
