//! The schema and the readers say the same.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value as Json, json};

use super::SCHEMA;
use crate::document::{self, Format, Node, Value};
use crate::{Environment, Report, load_text};

thread_local! {
    /// Keys that readers asked for: the place of the map, and the key.
    static ASKED: RefCell<BTreeSet<(String, String)>> = RefCell::default();
}

/// A reader asks for a key, be it there or not.
pub(crate) fn asked(map: &str, key: &str) {
    ASKED.with_borrow_mut(|asked| asked.insert((map.to_owned(), key.to_owned())));
}

struct Empty;

impl Environment for Empty {
    fn var(&self, name: &str) -> Option<String> {
        (name == "EMPTY").then(String::new)
    }
}

fn schema() -> Json {
    serde_json::from_str(SCHEMA).unwrap()
}

fn validator() -> jsonschema::Validator {
    jsonschema::draft202012::new(&schema()).unwrap()
}

/// Configurations below a folder of this crate.
fn files(folder: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| Format::of(path).is_some());
    files.sort();
    assert!(!files.is_empty(), "{folder}");
    files
}

fn read(path: &Path) -> Result<Report, Report> {
    load_text(path, std::fs::read_to_string(path).unwrap(), &Empty).map(|loaded| loaded.warnings)
}

/// The file as an editor sees it: nothing is replaced from the environment. `None` when it is broken as text.
pub(crate) fn as_json(path: &Path, text: &str) -> Option<Json> {
    let mut findings = Vec::new();
    let root = document::parse(Format::of(path)?, text, &mut findings)?;
    findings.is_empty().then(|| json_of(&root)).flatten()
}

fn json_of(node: &Node) -> Option<Json> {
    Some(match &node.value {
        Value::Null => Json::Null,
        Value::Bool(value) => json!(value),
        Value::Integer(value) => json!(value),
        Value::Float(value) => json!(value),
        Value::Text(text) => json!(text.text),
        Value::List(items) => Json::Array(items.iter().map(json_of).collect::<Option<_>>()?),
        Value::Map(entries) => {
            let entry = |entry: &document::Entry| Some((entry.key.clone(), json_of(&entry.value)?));
            Json::Object(entries.iter().map(entry).collect::<Option<Map<_, _>>>()?)
        }
        Value::Broken => return None,
    })
}

/// What the schema says against a file.
pub(crate) fn complaints(path: &Path, text: &str) -> Vec<String> {
    let Some(instance) = as_json(path, text) else { return vec!["broken as text".into()] };
    validator().iter_errors(&instance).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[test]
fn every_example_validates() {
    for path in files("examples").into_iter().chain(files("tests/warnings")) {
        let complaints = complaints(&path, &std::fs::read_to_string(&path).unwrap());
        assert!(complaints.is_empty(), "{}: {complaints:#?}", path.display());
    }
}

#[test]
fn what_a_reader_refuses_as_unknown_or_of_the_wrong_type_does_not_validate() {
    let mut judged = 0;
    for path in files("tests/bad") {
        let text = std::fs::read_to_string(&path).unwrap();
        if as_json(&path, &text).is_none() {
            continue;
        }
        let report = read(&path).unwrap_err();
        let by_shape = |message: &str| message.starts_with("unknown key ") || message.starts_with("expected ");
        if report.problems().iter().any(|problem| by_shape(&problem.message)) {
            assert!(!complaints(&path, &text).is_empty(), "{} validates:\n{report}", path.display());
            judged += 1;
        }
    }
    assert!(judged >= 10, "{judged}");
}

/// Follows references.
fn resolved<'s>(root: &'s Json, mut at: &'s Json) -> &'s Json {
    while let Some(reference) = at.get("$ref").and_then(Json::as_str) {
        at = root.pointer(reference.trim_start_matches('#')).unwrap_or_else(|| panic!("{reference}"));
    }
    at
}

/// The schema itself and all its alternatives.
fn alternatives<'s>(root: &'s Json, at: &'s Json) -> Vec<&'s Json> {
    let at = resolved(root, at);
    let mut all = vec![at];
    for other in at.get("anyOf").and_then(Json::as_array).into_iter().flatten() {
        all.extend(alternatives(root, other));
    }
    all
}

/// The schemas for what stands at a step below: a key, or any item.
fn below<'s>(root: &'s Json, at: &[&'s Json], step: &str) -> Vec<&'s Json> {
    let one = |at: &&'s Json| match step {
        "[]" => at.get("items"),
        key => {
            at.get("properties").and_then(|own| own.get(key)).or_else(|| at.get("additionalProperties").filter(|other| other.is_object()))
        }
    };
    at.iter().filter_map(one).flat_map(|next| alternatives(root, next)).collect()
}

/// `routes[2].rules[0].allow` as steps: `routes`, `[]`, `rules`, `[]`, `allow`.
fn steps(place: &str) -> Vec<String> {
    let mut steps = Vec::new();
    for part in place.split('.').filter(|part| !part.is_empty()) {
        let (name, indexes) = part.split_once('[').map_or((part, ""), |(name, rest)| (name, rest));
        steps.push(name.to_owned());
        steps.extend(indexes.split_terminator(']').map(|_| "[]".to_owned()));
    }
    steps
}

/// Every property there is, by the address of its schema, with the first place where it stands.
#[derive(Default)]
struct Properties {
    found: Vec<(*const Json, String)>,
    visited: BTreeSet<*const Json>,
}

impl Properties {
    fn of(root: &Json) -> Vec<(*const Json, String)> {
        let mut all = Self::default();
        all.visit(root, root, "");
        all.found
    }

    fn visit(&mut self, root: &Json, at: &Json, place: &str) {
        for at in alternatives(root, at) {
            if !self.visited.insert(at) {
                continue;
            }
            for (key, schema) in at.get("properties").and_then(Json::as_object).into_iter().flatten() {
                let place = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
                self.found.push((schema, place.clone()));
                self.visit(root, schema, &place);
            }
            for (word, shown) in [("items", "[]"), ("additionalProperties", ".*")] {
                if let Some(next) = at.get(word).filter(|next| next.is_object()) {
                    self.visit(root, next, &format!("{place}{shown}"));
                }
            }
        }
    }
}

/// Asked for only to say something better than "unknown key": the end of the place, and the key.
const ASKED_IN_VAIN: &[(&str, &str)] =
    &[(".requests.authorize", "headers"), (".requests.authorize", "body"), (".requests.logout", "headers"), (".requests.logout", "body")];

#[test]
fn every_key_that_a_reader_asks_for_is_in_the_schema_and_the_other_way_round() {
    ASKED.with_borrow_mut(BTreeSet::clear);
    for path in ["examples", "tests/bad", "tests/warnings"].into_iter().flat_map(files) {
        let _ = read(&path);
    }
    let root = schema();
    let mut seen: BTreeSet<*const Json> = BTreeSet::new();
    let mut unknown = BTreeSet::new();
    ASKED.with_borrow(|asked| {
        for (place, key) in asked {
            let mut at = alternatives(&root, &root);
            for step in steps(place) {
                at = below(&root, &at, &step);
            }
            let mut known = false;
            for property in at.iter().filter_map(|at| at.get("properties")?.get(key)) {
                seen.insert(property);
                known = true;
            }
            if !known && ASKED_IN_VAIN.iter().all(|(end, vain)| !place.ends_with(end) || vain != key) {
                unknown.insert(format!("{place}: {key}"));
            }
        }
    });
    assert!(unknown.is_empty(), "asked for by a reader, and not in the schema:\n{unknown:#?}");
    let all = Properties::of(&root);
    let unread: Vec<&String> = all.iter().filter(|(address, _)| !seen.contains(address)).map(|(_, place)| place).collect();
    assert!(unread.is_empty(), "in the schema, and asked for by no reader:\n{unread:#?}");
}

#[test]
fn every_key_is_described_and_every_map_is_closed() {
    let root = schema();
    fn described(root: &Json, at: &Json) -> bool {
        at.get("description").is_some() || at.get("$ref").is_some_and(|_| described(root, resolved(root, at)))
    }
    fn walk(root: &Json, at: &Json, place: &str) {
        match at {
            Json::Object(map) => {
                if let Some(own) = map.get("properties").and_then(Json::as_object).filter(|_| map.get("type").is_some()) {
                    assert_eq!(map.get("additionalProperties"), Some(&Json::Bool(false)), "{place} is open");
                    for (key, schema) in own {
                        assert!(described(root, schema), "{place}.{key} says nothing");
                    }
                }
                map.iter().for_each(|(key, next)| walk(root, next, &format!("{place}/{key}")));
            }
            Json::Array(items) => items.iter().enumerate().for_each(|(at, next)| walk(root, next, &format!("{place}/{at}"))),
            _ => {}
        }
    }
    walk(&root, &root, "");
    assert!(Properties::of(&root).len() > 150);
    jsonschema::draft202012::meta::validate(&root).unwrap();
}
