//! Claim paths, in all three spellings.

use doorward_policy::claim_path::ClaimPath;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::values::{claims, name};

/// Text that looks like a path, nearly like one, or like nothing.
fn written() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "(\\$|/|)?([ab.~/\\\\01*'\"\\[\\]]|org_id|\\['x'\\]|\\[\\*\\]|\\[7\\]|\\\\\\.|\\.\\.|~1){0,8}",
        1 => any::<String>(),
    ]
}

fn found(path: &ClaimPath, claims: &Map<String, Value>) -> Vec<Value> {
    let mut found = Vec::new();
    path.each(claims, &mut |value| found.push(value.clone()));
    found
}

/// `{a: {b: value}}` for the names `a`, `b`.
fn nested(names: &[String], value: &Value) -> Map<String, Value> {
    let inner = names.iter().skip(1).rev().fold(value.clone(), |inner, name| json!({ name: inner }));
    Map::from_iter([(names[0].clone(), inner)])
}

/// A name that a dotted path can spell: brackets need no escape where they open nothing.
fn spelled(names: &[String]) -> String {
    names.iter().map(|name| name.replace('\\', "\\\\").replace('.', "\\.").replace('[', "\\[")).collect::<Vec<_>>().join(".")
}

proptest! {
    #[test]
    fn fuzz_whatever_is_written_parses_or_is_refused_and_is_shown_as_it_was(text in written(), claims in claims()) {
        let Ok(path) = ClaimPath::parse(&text) else { return Ok(()) };
        prop_assert_eq!(path.to_string(), text.clone());
        prop_assert_eq!(ClaimPath::parse(path.as_str()).unwrap(), path.clone());
        let values = found(&path, &claims);
        prop_assert!(values.iter().all(|value| !value.is_null()));
        match path.one(&claims) {
            Some(value) => prop_assert_eq!(&values[..], std::slice::from_ref(value)),
            None => prop_assert_ne!(values.len(), 1),
        }
        path.each_text(&claims, &mut |_| {});
        // What is kept for the path is all it needs.
        let kept: Map<String, Value> = path.top_level().filter_map(|name| Some((name.to_owned(), claims.get(name)?.clone()))).collect();
        prop_assert_eq!(found(&path, &kept), values);
    }

    #[test]
    fn fuzz_a_pointer_leads_to_what_it_names(names in prop::collection::vec(name(), 1..5)) {
        let pointer: String = names.iter().map(|name| format!("/{}", name.replace('~', "~0").replace('/', "~1"))).collect();
        let path = ClaimPath::parse(&pointer).unwrap();
        prop_assert_eq!(found(&path, &nested(&names, &json!(7))), [json!(7)], "{}", pointer);
    }

    #[test]
    fn fuzz_json_path_leads_to_what_it_names(names in prop::collection::vec(name(), 1..5)) {
        let written: String = names.iter().map(|name| format!("['{}']", name.replace('\\', "\\\\").replace('\'', "\\'"))).collect();
        let path = ClaimPath::parse(&format!("${written}")).unwrap();
        prop_assert_eq!(found(&path, &nested(&names, &json!("x"))), [json!("x")], "{}", written);
    }

    #[test]
    fn fuzz_an_escaped_dot_is_a_dot_in_a_name(names in prop::collection::vec("[a-z0-9:/~.*\\\\\\[\\]]{1,6}", 1..4)) {
        let written = spelled(&names);
        prop_assume!(!written.starts_with(['/', '$']));
        let path = ClaimPath::parse(&written).unwrap();
        prop_assert_eq!(found(&path, &nested(&names, &json!(true))), [json!(true)], "{}", written);
        // The name as a whole wins over its parts.
        let mut both = nested(&names, &json!(true));
        if names.len() > 1 {
            both.insert(names.join("."), json!("whole"));
            prop_assert_eq!(found(&path, &both), [json!("whole")], "{}", written);
        }
    }
}
