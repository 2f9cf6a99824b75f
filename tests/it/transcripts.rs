//! What the documents show of the program is what it says, and the configurations in them load.
//!
//! A block of `console` runs in `config/examples`; `UPDATE_GOLDEN=1` writes anew what follows each `$`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::command_line::{binary, text};

const PAGES: &[&str] = &["docs/policy.md", "docs/tools.md"];
/// Pages whose configurations load.
const CONFIGURED: &[&str] = &["docs/policy.md", "docs/audit.md", "docs/pages.md"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The blocks of a language, and where their content begins and ends.
fn blocks<'p>(page: &'p str, language: &str) -> Vec<(usize, &'p str)> {
    let mut found = Vec::new();
    let fence = format!("```{language}\n");
    let mut at = 0;
    while let Some(begin) = page[at..].find(&fence) {
        let from = at + begin + fence.len();
        let length = page[from..].find("```").expect("a block has an end");
        found.push((from, &page[from..from + length]));
        at = from + length + 3;
    }
    found
}

/// Splits as a shell does: spaces, and quotes of both kinds.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for letter in line.chars() {
        match (quote, letter) {
            (Some(open), letter) if letter == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            (_, letter) => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

/// What the program says to one line behind a `$`, and its exit code.
fn run(line: &str) -> (String, i32) {
    let (input, command) = match line.split_once(" | ") {
        Some((echo, command)) => (words(echo.strip_prefix("echo ").expect("a pipe begins with `echo`")).join(" "), command),
        None => (String::new(), line),
    };
    let arguments = words(command);
    assert_eq!(arguments[0], "doorward", "{line}");
    let mut child = Command::new(binary())
        .args(&arguments[1..])
        .current_dir(root().join("config/examples"))
        .env("NO_COLOR", "1")
        .env("COLUMNS", "100")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = text(&output.stdout) + &text(&output.stderr);
    // Notes are about the machine.
    let said: String = said.lines().filter(|line| !line.starts_with("note: ")).map(|line| format!("{}\n", line.trim_end())).collect();
    (said, output.status.code().unwrap())
}

/// The same block, with what the program says today.
fn today(block: &str) -> String {
    let mut now = String::new();
    let mut code = 0;
    for line in block.lines().filter_map(|line| line.strip_prefix("$ ")) {
        now.push_str(&format!("$ {line}\n"));
        if line == "echo $?" {
            now.push_str(&format!("{code}\n"));
        } else {
            let (said, last) = run(line);
            code = last;
            now.push_str(&said);
        }
    }
    now
}

#[test]
fn transcripts_in_the_documents_are_what_the_program_says() {
    let mut seen = 0;
    for name in PAGES {
        let path = root().join(name);
        let page = std::fs::read_to_string(&path).unwrap();
        let mut rewritten = page.clone();
        for (at, block) in blocks(&page, "console").into_iter().rev() {
            let now = today(block);
            seen += block.matches("$ ").count();
            if std::env::var_os("UPDATE_GOLDEN").is_some() {
                rewritten.replace_range(at..at + block.len(), &now);
            } else {
                assert_eq!(block, now, "{name}: UPDATE_GOLDEN=1 writes it anew");
            }
        }
        if rewritten != page {
            std::fs::write(&path, rewritten).unwrap();
        }
    }
    assert!(seen >= 8, "{seen}");
}

/// A whole configuration, without the keys that a snippet brings itself.
const BASE: &[(&str, &str)] = &[
    ("version", "version: 1\n"),
    (
        "server",
        "server:\n  listen: [\"0.0.0.0:443\"]\n  tls: { certificates: [{ cert: tls/acme.crt, key: tls/acme.key }] }\n  state_dir: /var/lib/doorward\n",
    ),
    (
        "providers",
        "providers:\n  auth0:\n    kind: auth0\n    domain: acme.eu.auth0.com\n    client_id: xK3vQ0\n    client_secret: { file: secrets/auth0 }\n    audience: https://api.acme.dev\n    userinfo: true\n",
    ),
    ("session", "session: { keys: [{ file: secrets/session.key }] }\n"),
    ("identity", "identity: { roles: [\"https://acme.dev/roles\"] }\n"),
    ("routes", "routes:\n  - name: app\n    host: app.acme.dev\n    upstream: http://10.0.0.5:3000\n    rules: [{ allow: signed-in }]\n"),
];

fn indented(text: &str) -> String {
    text.lines().map(|line| if line.is_empty() { "\n".to_owned() } else { format!("    {line}\n") }).collect()
}

/// The snippet in its place: a provider's keys, a route's `rules`, or whole sections.
fn whole(snippet: &str) -> String {
    // A part of `server` is about no listener.
    let server = BASE.iter().find(|(key, _)| *key == "server").map_or("", |(_, text)| text);
    let snippet = &match snippet.contains("listen") {
        true => snippet.to_owned(),
        false => snippet.replace("server:\n", server),
    };
    let keys: Vec<&str> = snippet
        .lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()))
        .filter_map(|line| line.split(':').next())
        .collect();
    let provider = ["attributes", "claims_namespaces", "amr", "requests", "revalidate", "keys"];
    let mut text = String::new();
    for (key, base) in BASE.iter().filter(|(key, _)| !keys.contains(key)) {
        match *key {
            "providers" if keys.iter().any(|key| provider.contains(key)) => text.push_str(&format!("{base}{}", indented(snippet))),
            "routes" if keys.contains(&"rules") => {
                let (route, _) = base.split_once("    rules:").unwrap();
                text.push_str(&format!("{route}{}", indented(snippet)));
            }
            _ => text.push_str(base),
        }
    }
    let placed = keys.iter().any(|key| provider.contains(key) || *key == "rules");
    if placed { text } else { text + snippet }
}

#[test]
fn transcripts_configurations_in_the_documents_load() {
    // The examples' files, and a folder of pages.
    let folder = tempfile::tempdir().unwrap();
    for name in ["secrets", "tls"] {
        std::os::unix::fs::symlink(root().join("config/examples").join(name), folder.path().join(name)).unwrap();
    }
    std::fs::create_dir(folder.path().join("pages")).unwrap();
    let path = folder.path().join("doorward.yaml");
    let mut seen = 0;
    for name in CONFIGURED {
        let page = std::fs::read_to_string(root().join(name)).unwrap();
        for (_, snippet) in blocks(&page, "yaml") {
            let text = whole(snippet);
            let loaded = doorward_config::load_text(&path, text.clone(), &doorward_config::ProcessEnvironment);
            let loaded = loaded.unwrap_or_else(|report| panic!("{name}: {}\n{text}", report.render(false)));
            assert!(loaded.warnings.is_empty(), "{name}: {}\n{text}", loaded.warnings.render(false));
            seen += 1;
        }
    }
    assert!(seen >= 8, "{seen}");
}

#[test]
fn transcripts_the_schema_is_printed_whole() {
    let (said, code) = run("doorward schema");
    assert_eq!((said.trim(), code), (doorward_config::SCHEMA.trim(), 0));
    let schema: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
}
