//! Large files, hostile files, and files that are not there.

#![allow(clippy::unwrap_used)]

mod base;

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use base::{Vars, base};
use doorward_config::{load, load_text};

/// The time this thread has had a core, so that a busy machine fails no test.
struct Busy(Duration);

impl Busy {
    fn now() -> Self {
        let busy = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        Self(Duration::from_nanos(busy.split(' ').next().and_then(|nanoseconds| nanoseconds.parse().ok()).unwrap_or(0)))
    }

    fn elapsed(&self) -> Duration {
        Self::now().0 - self.0
    }
}

#[test]
fn ten_thousand_routes_load_in_a_moment() {
    let mut text = base();
    for n in 0..10_000 {
        let _ = write!(
            text,
            "  - name: app-{n}\n    host: app-{n}.acme.dev\n    upstream: http://10.0.0.5:3000\n    headers: {{ X-App: \"{{user}}\" }}\n    rules:\n      - {{ path: [/healthz, \"/static/**\"], allow: public }}\n      - {{ path: \"/admin/**\", allow: {{ role: admin }} }}\n      - {{ allow: signed-in }}\n"
        );
    }
    let begin = Busy::now();
    let loaded = base::load(&text, &Vars(&[])).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(loaded.settings.routes.len(), 10_001);
    assert!(begin.elapsed() < Duration::from_secs(8), "{:?}", begin.elapsed());
}

#[test]
fn ten_thousand_mistakes_are_told_in_a_moment() {
    let mut text = base();
    for n in 0..10_000 {
        let _ = writeln!(
            text,
            "  - {{ name: app, host: app.acme.dev, upstream: \"http://10.0.0.5:3000\", rules: [{{ allow: {{ x{n}: 1 }} }}] }}"
        );
    }
    let begin = Busy::now();
    let report = base::load(&text, &Vars(&[])).unwrap_err();
    assert!(report.error_count() >= 20_000);
    assert!(report.render(false).contains("= note: first here: line 15"));
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
}

#[test]
fn a_route_of_very_many_rules_is_refused() {
    let rules: String = (0..1001).map(|n| format!("      - {{ path: /{n}, allow: signed-in }}\n")).collect();
    let report = base::fails(&base().replace("    rules: [{ allow: signed-in }]\n", &format!("    rules:\n{rules}")));
    assert_eq!(report.problems()[0].message, "more than 1000 rules");
}

#[test]
fn a_chain_of_aliases_does_not_grow_deep() {
    let mut text = "a0: &a0 [x]\n".to_owned();
    (1..10_000).for_each(|n| writeln!(text, "a{n}: &a{n} [*a{}]", n - 1).unwrap());
    assert!(base::fails(&text).problems()[0].message.contains("levels deep"));
    for deep in ["[".repeat(100_000), "{a: ".repeat(100_000), "- ".repeat(100_000), "? ".repeat(50_000)] {
        assert!(base::fails(&deep).error_count() > 0);
    }
    for name in ["x.json", "x.toml"] {
        for deep in ["[".repeat(100_000), "{\"a\":".repeat(100_000), format!("a = {}", "[".repeat(100_000)), "a.".repeat(100_000) + "a = 1"]
        {
            assert!(load_text(Path::new(name), deep, &Vars(&[])).is_err());
        }
    }
}

#[test]
fn what_is_no_configuration_is_refused_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let report = load(&path).unwrap_err();
        assert_eq!((report.problems().len(), report.problems()[0].place.clone()), (1, None), "{name}");
        report.problems()[0].message.clone()
    };
    assert_eq!(refused("large.yaml", &vec![b'#'; (16 << 20) + 1]), "is larger than 16 MiB");
    assert_eq!(refused("latin1.yaml", b"name: caf\xe9"), "is not UTF-8 text");
    assert_eq!(refused("doorward.ini", b"version: 1"), "has no known format");
    assert!(load(&folder.path().join("nowhere.yaml")).unwrap_err().problems()[0].message.starts_with("cannot be read"));
    assert!(load(folder.path()).is_err());
    // A link, so that the name has an extension and the file no end.
    let endless = folder.path().join("endless.yaml");
    std::os::unix::fs::symlink("/dev/zero", &endless).unwrap();
    assert_eq!(load(&endless).unwrap_err().problems()[0].message, "is larger than 16 MiB");
}

#[test]
fn a_report_is_the_same_for_programs() {
    let report = base::fails(&base().replace("client_id:", "client_ids:").replace("version: 1", "version: 2"));
    let json = report.to_json();
    assert_eq!(json["errors"], 2);
    assert_eq!(json["problems"][1]["key"], "providers.auth0.client_ids");
    assert_eq!(json["problems"][1]["line"], 10);
    assert_eq!(json["problems"][1]["column"], 5);
    assert_eq!(json["problems"][1]["label"], "did you mean `client_id`?");
    assert_eq!(json["problems"][0]["severity"], "error");
    assert!(report.render(true).contains("\u{1b}[") && !report.render(false).contains('\u{1b}'));
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_change_nothing() {
    base::loads(&base().replace('\n', "\r\n"));
    base::loads(&format!("\u{feff}{}", base()));
    let report = base::fails(&base().replace("client_id:", "client_ids:").replace('\n', "\r\n"));
    assert_eq!(report.problems()[0].place.as_ref().map(|place| (place.line, place.column)), Some((10, 5)));
}

/// Whatever is typed into a file, the answer is settings or problems.
#[test]
fn broken_files_never_panic() {
    let mut seed = 7u64;
    let mut next = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % below
    };
    const TYPED: &[&str] = &[
        "",
        " ",
        "\n",
        "\t",
        ":",
        "-",
        "{",
        "}",
        "[",
        "]",
        "\"",
        "'",
        "${",
        "&a ",
        "*a",
        "!",
        "#",
        "|",
        ">",
        "é",
        "\u{1f600}",
        "\\",
        "=",
        ",",
        "0",
        "\0",
    ];
    for name in ["doorward.yaml", "doorward.toml", "doorward.json"] {
        let path = Path::new("examples").join(name);
        let whole = std::fs::read_to_string(&path).unwrap();
        for _ in 0..250 {
            let mut letters: Vec<char> = whole.chars().collect();
            for _ in 0..=next(3) {
                let at = next(letters.len());
                let typed = TYPED[next(TYPED.len())];
                letters.splice(at..(at + next(4)).min(letters.len()), typed.chars());
            }
            if let Err(report) = load_text(&path, letters.into_iter().collect(), &Vars(&[])) {
                assert!(report.error_count() > 0 && !report.render(true).is_empty() && report.to_json()["errors"] != 0);
            }
        }
    }
}
