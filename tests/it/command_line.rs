//! The command line: what it says, where, and with which exit code.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use doorward_policy::secret::Secret;
use doorward_policy::session::SealingKeys;

/// The program, beside the tests.
pub(crate) fn binary() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let path = tests.ancestors().nth(2).unwrap().join("doorward");
    assert!(path.exists(), "{} is not there: run `cargo build -p doorward-proxy` first", path.display());
    path
}

/// Runs the program to its end, which comes soon.
fn run(arguments: &[&str]) -> Output {
    let mut child = Command::new(binary())
        .args(arguments)
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > Duration::from_secs(20) {
            child.kill().unwrap();
            panic!("`doorward {}` does not end", arguments.join(" "));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.wait_with_output().unwrap()
}

fn example(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/examples").join(name).display().to_string()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn cli_check_stops_a_pipeline_at_warnings_when_it_is_told_to() {
    for (name, flags, code) in
        [("minimal.yaml", &[][..], 0), ("minimal.yaml", &["--deny-warnings"], 1), ("doorward.yaml", &["--deny-warnings"], 0)]
    {
        let checked = run(&[&["check", &example(name)], flags].concat());
        assert_eq!(checked.status.code(), Some(code), "{name} {flags:?}: {}", text(&checked.stderr));
    }
}

#[test]
fn cli_check_finds_the_examples_fine_and_serve_refuses_their_key() {
    for name in ["doorward.yaml", "doorward.toml", "doorward.json"] {
        let checked = run(&["check", &example(name)]);
        assert_eq!(checked.status.code(), Some(0), "{name}: {}", text(&checked.stderr));
        assert!(text(&checked.stdout).contains("fine (3 routes, "), "{name}: {}", text(&checked.stdout));
        assert!(text(&checked.stderr).contains("the session key of the published examples"), "{name}");
    }
    let sessions = run(&["check", &example("sessions.yaml")]);
    assert_eq!(sessions.status.code(), Some(0), "{}", text(&sessions.stderr));
    let served = run(&["serve", "--config", &example("doorward.yaml")]);
    assert_eq!(served.status.code(), Some(78));
    let said = text(&served.stderr);
    assert!(said.contains("session.keys holds the key of the published examples") && said.contains("doorward keygen"), "{said}");
}

#[test]
fn cfg_02_serve_refuses_the_published_hook_secret() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let text_of = std::fs::read_to_string(example("hooks.yaml")).unwrap();
    let listen = format!("listen: {}\n    secret: {{ file: hook }}", taken.local_addr().unwrap());
    std::fs::write(folder.path().join("doorward.yaml"), text_of.replace("listen: 127.0.0.1:9180", &listen)).unwrap();
    std::fs::create_dir(folder.path().join("secrets")).unwrap();
    std::fs::write(folder.path().join("secrets/auth0"), "secret").unwrap();
    std::fs::write(folder.path().join("secrets/session.key"), doorward_tests::scene::SESSION_KEY).unwrap();
    let published = std::fs::read_to_string(example("secrets/hooks")).unwrap();
    // The twin gets as far as its listener.
    for (secret, code, said) in [
        (published.as_str(), 78, "published examples"),
        ("one of our own, no: one-of-our-own", 78, "visible ASCII"),
        ("one-of-our-own-here", 1, "cannot listen"),
    ] {
        std::fs::write(folder.path().join("hook"), secret).unwrap();
        let served = run(&["serve", "--config", &folder.path().join("doorward.yaml").display().to_string()]);
        assert!(served.status.code() == Some(code) && text(&served.stderr).contains(said), "{secret}: {}", text(&served.stderr));
    }
}

#[test]
fn cfg_02_serve_refuses_the_published_admin_token() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let text_of = std::fs::read_to_string(example("hooks.yaml")).unwrap();
    let listen = format!("listen: {}", taken.local_addr().unwrap());
    let text_of = text_of
        .replace("listen: 127.0.0.1:9180", &listen)
        .replace("  admin: 127.0.0.1:9090", "  admin: 127.0.0.1:0\n  admin_token: { file: admin }");
    std::fs::write(folder.path().join("doorward.yaml"), text_of).unwrap();
    std::fs::create_dir(folder.path().join("secrets")).unwrap();
    std::fs::write(folder.path().join("secrets/auth0"), "secret").unwrap();
    std::fs::write(folder.path().join("secrets/session.key"), doorward_tests::scene::SESSION_KEY).unwrap();
    let published = std::fs::read_to_string(example("secrets/admin")).unwrap();
    // The twin gets as far as its listener.
    for (token, code, said) in [
        (published.as_str(), 78, "server.admin_token is the one of the published examples"),
        ("too-short", 78, "shorter than 16 bytes"),
        ("one-of-our-own-here", 1, "cannot listen"),
    ] {
        std::fs::write(folder.path().join("admin"), token).unwrap();
        let served = run(&["serve", "--config", &folder.path().join("doorward.yaml").display().to_string()]);
        assert!(served.status.code() == Some(code) && text(&served.stderr).contains(said), "{token}: {}", text(&served.stderr));
    }
}

#[test]
fn cli_cfg_01_five_mistakes_are_five_messages_each_at_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let right = std::fs::read_to_string(example("minimal.yaml")).unwrap();
    for (from, to) in [
        ("tls/acme.crt", "tls/acme.crt"),
        ("tls/acme.key", "tls/acme.key"),
        ("secrets/auth0", "secrets/auth0"),
        ("secrets/session.key", "secrets/session.key"),
    ] {
        let target = folder.path().join(to);
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(example(from), target).unwrap();
    }
    let path = folder.path().join("doorward.yaml");
    std::fs::write(&path, &right).unwrap();
    let name = path.display().to_string();
    let twin = run(&["check", &name]);
    assert_eq!(twin.status.code(), Some(0), "{}", text(&twin.stderr));

    let mistakes = [
        ("  listen: [\"0.0.0.0:443\"]", "  listen: [\"8443\"]", "is no address with a port"),
        ("    domain: acme.eu.auth0.com", "    domain: https://acme.eu.auth0.com", "is an address, not a host"),
        ("    audience: https://api.acme.dev", "    audience: https://api.acme.dev\n    algorithms: [HS256]", "signs with a secret"),
        ("    upstream: http://127.0.0.1:3000", "    upstrem: http://127.0.0.1:3000", "unknown key `upstrem`"),
        ("    rules: [{ allow: signed-in }]", "    rules: [{ allow: { role: \"\" } }]", "empty"),
    ];
    let mut wrong = right;
    for (from, to, _) in mistakes {
        assert!(wrong.contains(from), "{from}");
        wrong = wrong.replacen(from, to, 1);
    }
    std::fs::write(&path, &wrong).unwrap();
    for command in [vec!["check", name.as_str()], vec!["serve", "-c", name.as_str()]] {
        let checked = run(&command);
        let said = text(&checked.stderr);
        assert_eq!(checked.status.code(), Some(78), "{said}");
        for (_, _, message) in mistakes {
            assert!(said.contains(message), "`{message}` in {said}");
        }
        // A key that is not known is also one that is missing.
        let errors = said.lines().filter(|line| line.starts_with("error: ")).count();
        let places = said.lines().filter(|line| line.trim_start().starts_with("--> ") && line.contains("doorward.yaml:")).count();
        assert!((5..=6).contains(&errors) && places >= errors, "{errors} errors at {places} places in {said}");
    }
    let json = run(&["check", "--format", "json", &name]);
    let report: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json.status.code(), Some(78));
    assert!(report.to_string().matches("\"line\"").count() >= 5, "{report}");
}

#[test]
fn cli_check_tries_the_pages_and_looks_for_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (name, content) in [("pages/denied.html", "{% block content %}{{ texxt }}{% endblock %}"), ("doorward.yaml", "")] {
        std::fs::create_dir_all(at(name).parent().unwrap()).unwrap();
        std::fs::write(at(name), content).unwrap();
    }
    let original = std::fs::read_to_string(example("minimal.yaml")).unwrap();
    let original = original.replace("  # state_dir: /var/lib/doorward", "  state_dir: state\n  pages: pages");
    let examples = example("");
    let original = ["tls/acme.crt", "tls/acme.key", "secrets/auth0", "secrets/session.key"]
        .iter()
        .fold(original, |text, file| text.replace(file, &format!("{examples}{file}")));
    std::fs::write(at("doorward.yaml"), original).unwrap();
    let name = at("doorward.yaml").display().to_string();

    let wrong = run(&["check", &name]);
    let said = text(&wrong.stderr);
    assert!(wrong.status.code() == Some(78) && said.contains("denied.html:1: undefined value"), "{said}");
    std::fs::write(at("pages/denied.html"), "{{ text }}").unwrap();
    let right = run(&["check", &name]);
    let said = text(&right.stderr);
    assert!(right.status.code() == Some(0) && said.contains("there is no folder") && said.contains("state"), "{said}");
    std::fs::create_dir(at("state")).unwrap();
    let said = text(&run(&["check", &name]).stderr);
    assert!(!said.contains("there is no folder"), "{said}");
}

#[test]
fn cli_cfg_02_03_what_cannot_be_read_refuses_to_start() {
    let missing = run(&["serve", "-c", "/nonexistent/doorward.yaml"]);
    assert_eq!(missing.status.code(), Some(78));
    assert!(text(&missing.stderr).contains("cannot be read"), "{}", text(&missing.stderr));
    for arguments in [&["serve", "--no-such-flag"][..], &["run"], &[]] {
        let refused = run(arguments);
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn cli_keygen_makes_a_key_that_opens_what_it_seals_and_never_the_same_twice() {
    let made: Vec<String> = (0..3).map(|_| text(&run(&["keygen"]).stdout).trim().to_owned()).collect();
    assert_eq!(made.iter().collect::<HashSet<_>>().len(), 3);
    for key in made {
        let bytes = STANDARD.decode(&key).unwrap();
        assert_eq!(bytes.len(), 32);
        assert!(SealingKeys::new(&[Secret::new(bytes)]).is_ok());
    }
}
