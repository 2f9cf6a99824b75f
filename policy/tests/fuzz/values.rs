//! Claims in random.

use proptest::prelude::*;
use serde_json::{Map, Value};

/// Names that meet often, and some that nobody would choose.
pub fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => prop::sample::select(vec!["a", "b", "groups", "org_id", "x.y", "https://acme.dev/roles", "a/b", "~", "0", "", "*"]).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

pub fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(vec!["a", "admin", "a b", "é\r\n", "{user}", "${x}", "2026-11-22T09:00:00Z"]).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((name(), inner), 0..5).prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

pub fn claims() -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::vec((name(), value()), 0..8).prop_map(|entries| entries.into_iter().collect())
}
