//! Configurations in random, in all three formats: nothing panics, there are settings or a reason, every place is within the file,
//! and what loads is what the schema calls right. `./x fuzz MINUTES` tries as many as there is time for.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::LazyLock;

use doorward_config::{Environment, Loaded, Report, SCHEMA, load_text};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

struct Empty;

impl Environment for Empty {
    fn var(&self, name: &str) -> Option<String> {
        match name {
            "EMPTY" => Some(String::new()),
            "PORT" => Some("8443".into()),
            _ => None,
        }
    }
}

const EXAMPLES: &[&str] = &[
    "doorward.yaml",
    "sessions.yaml",
    "hooks.yaml",
    "minimal.yaml",
    "cumulocity.yaml",
    "cloudentity.yaml",
    "cloudsignal.yaml",
    "mia-cms.yaml",
];

static TEXTS: LazyLock<Vec<(String, String)>> = LazyLock::new(|| {
    let names = EXAMPLES.iter().chain(&["doorward.toml", "doorward.json"]);
    names.map(|name| (format!("examples/{name}"), std::fs::read_to_string(Path::new("examples").join(name)).unwrap())).collect()
});

static TREES: LazyLock<Vec<Value>> = LazyLock::new(|| {
    TEXTS.iter().filter(|(name, _)| name.ends_with(".yaml")).map(|(_, text)| serde_saphyr::from_str(text).unwrap()).collect()
});

static VALIDATOR: LazyLock<jsonschema::Validator> =
    LazyLock::new(|| jsonschema::draft202012::new(&serde_json::from_str(SCHEMA).unwrap()).unwrap());

/// Every key there is.
static KEYS: LazyLock<Vec<String>> = LazyLock::new(|| {
    fn collect(at: &Value, keys: &mut Vec<String>) {
        match at {
            Value::Object(map) => {
                keys.extend(map.get("properties").and_then(Value::as_object).into_iter().flat_map(|own| own.keys().cloned()));
                map.values().for_each(|next| collect(next, keys));
            }
            Value::Array(items) => items.iter().for_each(|next| collect(next, keys)),
            _ => {}
        }
    }
    let mut keys = Vec::new();
    collect(&serde_json::from_str(SCHEMA).unwrap(), &mut keys);
    keys.sort();
    keys.dedup();
    keys
});

fn load(name: &str, text: &str) -> Result<Loaded, Report> {
    load_text(Path::new(name), text.to_owned(), &Empty)
}

/// What holds whatever was written.
fn judged(name: &str, text: &str) -> Result<Option<Loaded>, TestCaseError> {
    let (loaded, report) = match load(name, text) {
        Ok(loaded) => {
            prop_assert_eq!(loaded.warnings.error_count(), 0);
            let report = loaded.warnings.clone();
            (Some(loaded), report)
        }
        Err(report) => {
            prop_assert!(report.error_count() > 0, "no settings, and no reason: {}", text);
            (None, report)
        }
    };
    let lines = text.split('\n').count();
    for problem in report.problems() {
        prop_assert!(!problem.message.is_empty());
        if let Some(place) = &problem.place {
            prop_assert!((1..=lines).contains(&place.line), "line {} of {}: {}", place.line, lines, problem.message);
            let line = text.split('\n').nth(place.line - 1).unwrap();
            prop_assert!(
                place.column >= 1 && place.column <= line.chars().count() + 1,
                "column {} of {:?}: {}",
                place.column,
                line,
                problem.message
            );
        }
    }
    let _ = (report.render(false), report.render(true), report.to_string());
    Ok(loaded)
}

fn scalar() -> impl Strategy<Value = Value> {
    let words = vec![
        "",
        " ",
        "x",
        "-",
        "*",
        "/",
        "//",
        "/**",
        "/{a}/{a}",
        "${",
        "${}",
        "${UNSET}",
        "${EMPTY}",
        "${PORT}",
        "${code}",
        "{user}",
        "{",
        "https://",
        "https://a b",
        "http://localhost:1",
        "10.0.0.0/0",
        "::/0",
        "::ffff:10.0.0.1",
        "0.0.0.0:0",
        "99999999999999999999d",
        "10m",
        "0s",
        "10MiB",
        "1.2",
        "auth0",
        "oidc",
        "public",
        "signed-in",
        "optional",
        "nobody",
        "é\u{0}\u{202e}",
        "cookie",
        "redis",
        "file",
        "2026-02-30T00:00:00Z",
        "2026-11-22T09:00:00Z",
        "GET https://app.acme.dev/",
        "claims.a == path.b",
        "((((",
        "regex",
        "mon-fri",
        "25:00",
        "$['a']",
        "a..b",
        "secrets/auth0",
        "secrets/workforce.pem",
        "../../../../dev/zero",
        "tls/acme.crt",
        "allow",
        "log",
    ];
    prop_oneof![
        8 => prop::sample::select(words).prop_map(Value::from),
        1 => any::<String>().prop_map(Value::from),
        2 => prop::sample::select(vec![json!(null), json!(true), json!(false), json!(0), json!(-1), json!(1), json!(443), json!(i64::MAX), json!(1.5)]),
        1 => Just(Value::from("x".repeat(5000))),
    ]
}

fn tree() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((prop::sample::select(KEYS.clone()), inner), 0..5)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// The addresses of everything in it (RFC 6901).
fn places(at: &Value, here: &str, all: &mut Vec<String>) {
    all.push(here.to_owned());
    match at {
        Value::Object(map) => {
            map.iter().for_each(|(key, next)| places(next, &format!("{here}/{}", key.replace('~', "~0").replace('/', "~1")), all))
        }
        Value::Array(items) => items.iter().enumerate().for_each(|(at, next)| places(next, &format!("{here}/{at}"), all)),
        _ => {}
    }
}

#[derive(Debug, Clone)]
enum Change {
    Set(Value),
    Remove,
    Add(String, Value),
    Twice,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => scalar().prop_map(Change::Set),
        1 => tree().prop_map(Change::Set),
        2 => Just(Change::Remove),
        3 => (prop::sample::select(KEYS.clone()), prop_oneof![scalar(), tree()]).prop_map(|(key, value)| Change::Add(key, value)),
        1 => Just(Change::Twice),
    ]
}

fn changed(tree: &mut Value, at: prop::sample::Index, change: Change) {
    let mut all = Vec::new();
    places(tree, "", &mut all);
    let place = &all[at.index(all.len())];
    match change {
        Change::Set(value) => *tree.pointer_mut(place).unwrap() = value,
        Change::Add(key, value) => match tree.pointer_mut(place).unwrap() {
            Value::Object(map) => drop(map.insert(key, value)),
            Value::Array(items) => items.push(value),
            other => *other = json!({ key: value }),
        },
        Change::Remove | Change::Twice => {
            let Some((parent, last)) = place.rsplit_once('/') else { return };
            match tree.pointer_mut(parent).unwrap() {
                Value::Object(map) if matches!(change, Change::Remove) => drop(map.remove(&last.replace("~1", "/").replace("~0", "~"))),
                Value::Array(items) => {
                    let at: usize = last.parse().unwrap();
                    if matches!(change, Change::Remove) { drop(items.remove(at)) } else { items.insert(at, items[at].clone()) }
                }
                _ => {}
            }
        }
    }
}

fn edit() -> impl Strategy<Value = (prop::sample::Index, usize, String)> {
    let text = prop_oneof![
        prop::sample::select(vec![
            "", " ", "\n", "\t", ":", "- ", "{", "}", "[", "]", "\"", "'", "#", "&a ", "*a", "!!int ", "|", ">", "---\n", "<<: *a\n",
            "\u{feff}", "\r", "=", "[[", "${", "é", "~", "0x", "\\", "?", "%", "@", "`"
        ])
        .prop_map(str::to_owned),
        any::<String>(),
    ];
    (any::<prop::sample::Index>(), 0usize..40, text)
}

proptest! {
    #[test]
    fn fuzz_an_example_with_changes_loads_or_says_why_and_what_loads_fits_the_schema(
        tree in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), change()), 1..4),
    ) {
        let mut tree = TREES[tree.index(TREES.len())].clone();
        for (at, change) in changes {
            changed(&mut tree, at, change);
        }
        let text = serde_json::to_string_pretty(&tree).unwrap();
        if judged("examples/fuzz.json", &text)?.is_some() {
            let complaints: Vec<String> = VALIDATOR.iter_errors(&tree).map(|error| format!("{}: {error}", error.instance_path())).collect();
            prop_assert!(complaints.is_empty(), "{:#?}", complaints);
        }
    }

    #[test]
    fn fuzz_a_tree_of_known_keys_loads_or_says_why(sections in prop::collection::vec((prop::sample::select(KEYS.clone()), tree()), 0..6)) {
        let mut root: Map<String, Value> = TREES[0].as_object().unwrap().clone();
        root.extend(sections);
        judged("examples/fuzz.json", &Value::Object(root).to_string())?;
    }

    #[test]
    fn fuzz_text_with_edits_loads_or_says_why(which in any::<prop::sample::Index>(), edits in prop::collection::vec(edit(), 1..4)) {
        let (name, text) = &TEXTS[which.index(TEXTS.len())];
        let mut text = text.clone();
        for (at, length, new) in edits {
            let boundary = |at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap();
            let from = boundary(at.index(text.len() + 1));
            let to = boundary(from + length).max(from);
            text.replace_range(from..to, &new);
        }
        judged(name, &text)?;
    }

    #[test]
    fn fuzz_any_text_loads_or_says_why(text in "([a-z]{1,6}|[:{}\\[\\]\"'#&*!|>%@`,?\\-=. ]|\n|\n  |\\PC){0,60}", format in prop::sample::select(vec!["yaml", "toml", "json"])) {
        judged(&format!("examples/fuzz.{format}"), &text)?;
    }
}
