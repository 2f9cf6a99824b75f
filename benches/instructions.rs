//! How many instructions a decision takes, counted by callgrind: the same on a busy machine as on a quiet one.
//!
//! Each count is held to the one in `instructions.txt`. More than [`LEEWAY`] above it fails; `UPDATE_GOLDEN=1` writes what is
//! counted now. Counts belong to a compiler and a processor's extensions: after a new toolchain they are written anew.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::future::Future as _;
use std::hint::black_box;
use std::path::Path;
use std::pin::pin;
use std::process::{Command, ExitCode, Stdio};
use std::task::{Context, Waker};

use doorward_benches::configuration::HOST;
use doorward_benches::request::{ask, target, usual};
use doorward_benches::rig::Rig;
use doorward_policy::request::Target;
use doorward_policy::wire::{self, HeadLimits};
use doorward_proxy::clock;
use doorward_proxy::hooks::dialect::Dialect;
use http::{HeaderMap, Method};

/// More instructions than this share of what is written down is a loss that somebody must have wanted.
const LEEWAY: f64 = 1.05;
/// Requests that are counted.
const TIMES: u64 = 500;
/// Requests before those: the first of a kind is verified, opened and prepared.
const BEFORE: u64 = 20;

const HEAD: &[u8] =
    b"GET /admin/users?page=2 HTTP/1.1\r\nhost: app.localhost\r\nuser-agent: curl/8.5.0\r\naccept: */*\r\ncookie: theme=dark; lang=en\r\n\r\n";

const CASES: &[&str] = &["head", "target", "public", "bearer", "session", "hook-bearer", "hook-session"];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        // Under callgrind, by ourselves.
        ["--count", case] => {
            count(case);
            ExitCode::SUCCESS
        }
        _ => compare(arguments.iter().find(|argument| !argument.starts_with('-')).map_or("", String::as_str)),
    }
}

fn count(case: &str) {
    let rig = Rig::usual().unwrap();
    let (nobody, session, bearer) = (usual(&[]).unwrap(), rig.session().unwrap(), rig.bearer().unwrap());
    let hook = |headers: &HeaderMap| {
        let mut headers = headers.clone();
        headers.insert("x-original-method", http::HeaderValue::from_static("GET"));
        headers.insert("x-original-url", http::HeaderValue::from_static("https://app.localhost/admin/users?page=2"));
        headers.insert("x-forwarded-for", http::HeaderValue::from_static("192.0.2.7"));
        headers
    };
    let admitted = |path: &str, headers: &HeaderMap| {
        let target = target(HOST, path).unwrap();
        // Waits for the keys, once.
        assert!(rig.admit(path, headers), "{case} is let in");
        let ask = ask(&target, headers, clock::now());
        repeat(|| assert!(pin!(rig.inside.runtime.admit(black_box(&ask))).poll(&mut Context::from_waker(Waker::noop())).is_ready()));
    };
    let asked = |headers: &HeaderMap| {
        let headers = hook(headers);
        repeat(|| assert_eq!(rig.ask(Dialect::Nginx, black_box(&headers)), 200));
    };
    match case {
        "head" => repeat(|| _ = black_box(wire::scan(black_box(HEAD), 0, &HeadLimits::default()))),
        "target" => repeat(|| drop(black_box(Target::parse(&Method::GET, black_box(HOST.as_bytes()), black_box(b"/admin/users?page=2"))))),
        "public" => admitted("/public/app.js", &nobody),
        "bearer" => admitted("/admin/users", &bearer),
        "session" => admitted("/admin/users", &session),
        "hook-bearer" => asked(&bearer),
        "hook-session" => asked(&session),
        other => panic!("there is no case `{other}`"),
    }
}

fn repeat(mut once: impl FnMut()) {
    (0..BEFORE).for_each(|_| once());
    counted_by_callgrind(&mut once);
}

/// callgrind counts while this runs: its name is an argument of it.
#[inline(never)]
fn counted_by_callgrind(once: &mut dyn FnMut()) {
    (0..TIMES).for_each(|_| once());
}

fn compare(filter: &str) -> ExitCode {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions.txt");
    let known = read(&fs::read_to_string(&file).unwrap_or_default());
    let mut counts = BTreeMap::new();
    let mut worse = Vec::new();
    for case in CASES.iter().filter(|case| case.contains(filter)) {
        let count = match under_callgrind(case) {
            Ok(count) => count,
            Err(fault) => {
                eprintln!("instructions were not counted: {fault}");
                return ExitCode::FAILURE;
            }
        };
        let before = known.get(*case).copied();
        #[allow(clippy::cast_precision_loss)]
        let ratio = before.map(|before| count as f64 / before as f64);
        println!(
            "{case:<14} {count:>8} instructions{}",
            ratio.map(|ratio| format!("   {ratio:.3} × what is written down")).unwrap_or_default()
        );
        if ratio.is_none_or(|ratio| ratio > LEEWAY) {
            worse.push(*case);
        }
        counts.insert((*case).to_owned(), count);
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let mut text = String::new();
        for (case, count) in known.into_iter().chain(counts).collect::<BTreeMap<_, _>>() {
            let _ = writeln!(text, "{case} {count}");
        }
        fs::write(&file, text).expect("instructions.txt can be written");
        return ExitCode::SUCCESS;
    }
    if worse.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprintln!(
        "more instructions than benches/instructions.txt allows: {}; UPDATE_GOLDEN=1 writes them down if that is meant",
        worse.join(", ")
    );
    ExitCode::FAILURE
}

fn read(text: &str) -> BTreeMap<String, u64> {
    text.lines().filter_map(|line| line.split_once(' ')).filter_map(|(case, count)| Some((case.to_owned(), count.parse().ok()?))).collect()
}

/// Instructions for each request of a case.
fn under_callgrind(case: &str) -> Result<u64, String> {
    let me = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*counted_by_callgrind*"]);
    let ended = command.arg(me).args(["--count", case]).stdin(Stdio::null()).output().map_err(|error| format!("valgrind: {error}"))?;
    let said = String::from_utf8_lossy(&ended.stderr);
    if !ended.status.success() {
        return Err(format!("{case} failed under valgrind:\n{said}"));
    }
    let collected = said.lines().find_map(|line| line.split_once("Collected : ")).ok_or("valgrind does not say what it collected")?;
    let all: u64 = collected.1.trim().parse().map_err(|_| "valgrind's count is no number")?;
    if all == 0 { Err(format!("{case}: nothing was counted")) } else { Ok(all / TIMES) }
}
