//! Large files, hostile files, and files that are not there.

mod base;

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use base::{Vars, base};
use doorward_config::{load, load_text};

#[test]
fn ten_thousand_routes_load_in_a_moment() {
    let mut text = base();
    for n in 0..10_000 {
        let _ = write!(
            text,
            "  - name: app-{n}\n    host: app-{n}.acme.dev\n    upstream: http://10.0.0.5:3000\n    headers: {{ X-App: \"{{user}}\" }}\n    rules:\n      - {{ path: [/healthz, \"/static/**\"], allow: public }}\n      - {{ path: \"/admin/**\", allow: {{ role: admin }} }}\n      - {{ allow: signed-in }}\n"
        );
    }
    let begin = Instant::now();
    let loaded = base::load(&text, &Vars(&[])).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(loaded.settings.routes.len(), 10_001);
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
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
    let begin = Instant::now();
    let report = base::load(&text, &Vars(&[])).unwrap_err();
    assert!(report.error_count() >= 20_000);
    assert!(report.render(false).contains("= note: first here: line 14"));
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
    for deep in [
        "[".repeat(100_000),
        "{a: ".repeat(100_000),
        "- ".repeat(100_000),
        "a:\n".repeat(1).repeat(3) + &"? ".repeat(50_000),
    ] {
        assert!(base::fails(&deep).error_count() > 0);
    }
    for name in ["x.json", "x.toml"] {
        for deep in [
            "[".repeat(100_000),
            "{\"a\":".repeat(100_000),
            format!("a = {}", "[".repeat(100_000)),
            "a.".repeat(100_000) + "a = 1",
        ] {
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
    assert!(
        load(&folder.path().join("nowhere.yaml")).unwrap_err().problems()[0]
            .message
            .starts_with("cannot be read")
    );
    assert!(load(folder.path()).is_err());
    assert!(load(Path::new("/dev/zero")).is_err());
}

#[test]
fn a_report_is_the_same_for_programs() {
    let report = base::fails(&base().replace("client_id:", "client_ids:").replace("version: 1", "version: 2"));
    let json = report.to_json();
    assert_eq!(json["errors"], 2);
    assert_eq!(json["problems"][1]["key"], "providers.auth0.client_ids");
    assert_eq!(json["problems"][1]["line"], 9);
    assert_eq!(json["problems"][1]["column"], 5);
    assert_eq!(json["problems"][1]["label"], "did you mean `client_id`?");
    assert_eq!(json["problems"][0]["severity"], "error");
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_change_nothing() {
    base::loads(&base().replace('\n', "\r\n"));
    base::loads(&format!("\u{feff}{}", base()));
    let report = base::fails(&base().replace("client_id:", "client_ids:").replace('\n', "\r\n"));
    assert_eq!(report.problems()[0].place.as_ref().map(|place| (place.line, place.column)), Some((9, 5)));
}
