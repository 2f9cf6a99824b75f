//! What others say, in so many bytes: texts are cut, lists and objects end early and say so.

use serde_json::{Map, Value};

use crate::log_text::cut;

/// Deeper than this is not looked into.
const DEPTH: usize = 8;
/// The name under which an object says how many of its entries are missing.
const MORE: &str = "_more";

/// `value` in about `limit` bytes of escaped JSON, never in many more than one text needs besides.
pub fn fitted(value: &Value, limit: usize) -> Value {
    let mut left = limit;
    fit(value, &mut left, DEPTH)
}

/// The same of names.
pub fn fitted_names<'n>(names: impl IntoIterator<Item = &'n str>, limit: usize) -> Value {
    fitted(&Value::Array(names.into_iter().map(Value::from).collect()), limit)
}

fn fit(value: &Value, left: &mut usize, depth: usize) -> Value {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            pay(left, 24);
            value.clone()
        }
        Value::String(text) => {
            let text = cut(text);
            pay(left, cost(text));
            text.into()
        }
        Value::Array(_) | Value::Object(_) if depth == 0 => "...".into(),
        Value::Array(items) => {
            let mut list = Vec::new();
            for item in items {
                if *left == 0 {
                    list.push(format!("and {} more", items.len() - list.len()).into());
                    break;
                }
                list.push(fit(item, left, depth - 1));
            }
            Value::Array(list)
        }
        Value::Object(entries) => {
            let mut map = Map::new();
            for (name, value) in entries {
                if *left == 0 {
                    map.insert(MORE.to_owned(), (entries.len() - map.len()).into());
                    break;
                }
                let name = cut(name);
                pay(left, cost(name));
                map.insert(name.to_owned(), fit(value, left, depth - 1));
            }
            Value::Object(map)
        }
    }
}

fn pay(left: &mut usize, bytes: usize) {
    *left = left.saturating_sub(bytes);
}

/// Bytes of a text in a line: what is not visible ASCII takes six or twelve.
fn cost(text: &str) -> usize {
    4 + text.chars().map(|letter| if matches!(letter, ' '..='~') { 1 } else { 6 * letter.len_utf16() }).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::log_text::{TEXT_LIMIT, ascii};

    #[test]
    fn what_fits_stays_as_it_is() {
        let value = json!({ "sub": "ada", "roles": ["a", "b"], "deep": { "x": [1, true, null] } });
        assert_eq!(fitted(&value, 1000), value);
    }

    #[test]
    fn log_05_whatever_a_provider_says_takes_a_bounded_place() {
        let deep = (0..100).fold(json!("x"), |inner, _| json!([inner]));
        let names: Map<String, Value> = (0..5000).map(|at| (format!("claim-{at}"), json!("\u{1f36a}".repeat(9999)))).collect();
        let wide: Vec<Value> = (0..50_000).map(Value::from).collect();
        for value in [deep, Value::Object(names), Value::Array(wide), json!("\u{2028}".repeat(100_000)), json!({ "k".repeat(99_999): 1 })] {
            let line = ascii(&fitted(&value, 2000)).unwrap();
            assert!(line.len() <= 2000 + 2 * 12 * TEXT_LIMIT + 64, "{}", line.len());
        }
        let short = fitted(&json!(["a", "b", "c", "d"]), 10);
        assert_eq!(short, json!(["a", "b", "and 2 more"]));
        assert_eq!(fitted(&json!({ "a": 1, "b": 2 }), 5), json!({ "a": 1, "_more": 1 }));
    }
}
