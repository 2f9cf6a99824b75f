//! A value as the type that an attribute has.
//!
//! Strictly: it is of that type already, or it is nothing. Weakly: it may be written in another way, as long as nothing is
//! lost or guessed:
//!
//! | wanted | also taken |
//! |---|---|
//! | `string` | a number as JSON writes it; `true` as `1`, `false` as `0` |
//! | `number` | a text that is written exactly as JSON would write the number; `true` as 1, `false` as 0 |
//! | `bool` | `"1"` and `"true"`, `"0"` and `"false"`; the numbers 1 and 0 |
//! | `…_array` | one value as a list of one; each element as above; `{}` as the empty list |
//!
//! `any` is whatever is there. `null` is nothing, and what cannot be converted makes the whole value nothing.

use serde_json::{Number, Value};

use super::AttributeType;

/// Integers up to here are told apart by every JSON parser (RFC 8259 §6).
const EXACT: f64 = 9_007_199_254_740_992.0;

/// What one value, or each element of a list, is to be.
#[derive(Debug, Clone, Copy)]
enum Scalar {
    String,
    Number,
    Bool,
}

impl AttributeType {
    /// `value` as this type; `None` where it is not and, if `weak`, cannot be converted without loss.
    pub fn accept(self, value: &Value, weak: bool) -> Option<Value> {
        match self {
            Self::Any => (!value.is_null()).then(|| value.clone()),
            Self::String => Scalar::String.accept(value, weak),
            Self::Number => Scalar::Number.accept(value, weak),
            Self::Bool => Scalar::Bool.accept(value, weak),
            Self::StringArray => list(Scalar::String, value, weak),
            Self::NumberArray => list(Scalar::Number, value, weak),
            Self::BoolArray => list(Scalar::Bool, value, weak),
        }
    }
}

fn list(element: Scalar, value: &Value, weak: bool) -> Option<Value> {
    let items = match value {
        Value::Array(items) => items.iter().map(|item| element.accept(item, weak)).collect::<Option<_>>()?,
        // What languages write that do not tell an empty list from an empty map.
        Value::Object(members) if weak && members.is_empty() => Vec::new(),
        one if weak => vec![element.accept(one, weak)?],
        _ => return None,
    };
    Some(Value::Array(items))
}

impl Scalar {
    fn accept(self, value: &Value, weak: bool) -> Option<Value> {
        match (self, value) {
            (Self::String, Value::String(_)) | (Self::Number, Value::Number(_)) | (Self::Bool, Value::Bool(_)) => Some(value.clone()),
            _ if !weak => None,
            (Self::String, Value::Number(number)) => is_exact(number).then(|| Value::String(number.to_string())),
            (Self::String, Value::Bool(truth)) => Some(Value::from(if *truth { "1" } else { "0" })),
            (Self::Number, Value::String(text)) => number(text).map(Value::Number),
            (Self::Number, Value::Bool(truth)) => Some(Value::from(u8::from(*truth))),
            (Self::Bool, Value::String(text)) => match text.as_str() {
                "1" | "true" => Some(Value::Bool(true)),
                "0" | "false" => Some(Value::Bool(false)),
                _ => None,
            },
            (Self::Bool, Value::Number(number)) => match number.as_u64() {
                Some(1) => Some(Value::Bool(true)),
                Some(0) => Some(Value::Bool(false)),
                _ => None,
            },
            _ => None,
        }
    }
}

/// Whether the digits that the provider wrote are still known.
pub(super) fn is_exact(number: &Number) -> bool {
    number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|value| value.abs() < EXACT)
}

/// `5` and `-0.5`; not `05`, `+5`, `5e0`, ` 5` or `0x5`, which somebody else may read as another number or none.
fn number(text: &str) -> Option<Number> {
    let number: Number = serde_json::from_str(text).ok()?;
    (is_exact(&number) && number.to_string() == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use AttributeType::{Any, Bool, BoolArray, Number, NumberArray, String, StringArray};

    /// One value of every JSON type, and those on the edge of a conversion.
    fn values() -> Vec<Value> {
        vec![
            json!(null),
            json!(true),
            json!(false),
            json!(1),
            json!(-7),
            json!(2.5),
            json!(""),
            json!("a"),
            json!("1"),
            json!("true"),
            json!("2.5"),
            json!([]),
            json!(["a", "b"]),
            json!([1, 2]),
            json!([true]),
            json!(["1", true, 0]),
            json!(["a", null]),
            json!({}),
            json!({ "a": 1 }),
        ]
    }

    /// What each type takes strictly: the values that pass, each as it is.
    fn strictly(kind: AttributeType) -> Vec<Value> {
        match kind {
            Any => values().into_iter().filter(|value| !value.is_null()).collect(),
            String => vec![json!(""), json!("a"), json!("1"), json!("true"), json!("2.5")],
            Number => vec![json!(1), json!(-7), json!(2.5)],
            Bool => vec![json!(true), json!(false)],
            StringArray => vec![json!([]), json!(["a", "b"])],
            NumberArray => vec![json!([]), json!([1, 2])],
            BoolArray => vec![json!([]), json!([true])],
        }
    }

    /// What each type takes besides when it is weak, and what that becomes.
    fn weakly(kind: AttributeType) -> Vec<(Value, Value)> {
        match kind {
            Any => vec![],
            String => {
                vec![
                    (json!(true), json!("1")),
                    (json!(false), json!("0")),
                    (json!(1), json!("1")),
                    (json!(-7), json!("-7")),
                    (json!(2.5), json!("2.5")),
                ]
            }
            Number => vec![(json!(true), json!(1)), (json!(false), json!(0)), (json!("1"), json!(1)), (json!("2.5"), json!(2.5))],
            Bool => vec![(json!(1), json!(true)), (json!("1"), json!(true)), (json!("true"), json!(true))],
            StringArray => vec![
                (json!(true), json!(["1"])),
                (json!(false), json!(["0"])),
                (json!(1), json!(["1"])),
                (json!(-7), json!(["-7"])),
                (json!(2.5), json!(["2.5"])),
                (json!(""), json!([""])),
                (json!("a"), json!(["a"])),
                (json!("1"), json!(["1"])),
                (json!("true"), json!(["true"])),
                (json!("2.5"), json!(["2.5"])),
                (json!([1, 2]), json!(["1", "2"])),
                (json!([true]), json!(["1"])),
                (json!(["1", true, 0]), json!(["1", "1", "0"])),
                (json!({}), json!([])),
            ],
            NumberArray => vec![
                (json!(true), json!([1])),
                (json!(false), json!([0])),
                (json!(1), json!([1])),
                (json!(-7), json!([-7])),
                (json!(2.5), json!([2.5])),
                (json!("1"), json!([1])),
                (json!("2.5"), json!([2.5])),
                (json!([true]), json!([1])),
                (json!(["1", true, 0]), json!([1, 1, 0])),
                (json!({}), json!([])),
            ],
            BoolArray => vec![
                (json!(true), json!([true])),
                (json!(false), json!([false])),
                (json!(1), json!([true])),
                (json!("1"), json!([true])),
                (json!("true"), json!([true])),
                (json!(["1", true, 0]), json!([true, true, false])),
                (json!({}), json!([])),
            ],
        }
    }

    #[test]
    fn attr_01_every_type_takes_every_json_type_as_written_down_and_nothing_else() {
        for kind in AttributeType::ALL {
            let (strict, weak) = (strictly(kind), weakly(kind));
            for value in values() {
                let as_it_is = strict.contains(&value).then(|| value.clone());
                assert_eq!(kind.accept(&value, false), as_it_is, "{} of {value}", kind.name());
                let converted = weak.iter().find(|(from, _)| *from == value).map(|(_, to)| to.clone());
                assert_eq!(kind.accept(&value, true), as_it_is.or(converted), "weak {} of {value}", kind.name());
            }
            assert!(strict.iter().all(|value| values().contains(value)) && weak.iter().all(|(from, _)| values().contains(from)));
        }
    }

    #[test]
    fn attr_02_a_conversion_that_would_lose_or_guess_something_is_none() {
        for text in ["", " 5", "5 ", "05", "+5", "-0", "5e0", "1.50", "0x5", "five", "5,0", "NaN", "Infinity", "12345678901234567890123"] {
            assert_eq!(Number.accept(&json!(text), true), None, "{text:?}");
        }
        for text in ["5", "-5", "0", "0.5", "9007199254740993"] {
            assert_eq!(Number.accept(&json!(text), true).map(|number| number.to_string()).as_deref(), Some(text));
        }
        // The digits of such a number were lost when it was parsed.
        let huge: Value = serde_json::from_str("12345678901234567890123").unwrap();
        assert_eq!(String.accept(&huge, true), None);
        assert_eq!(String.accept(&json!(u64::MAX), true), Some(json!("18446744073709551615")));
        for odd in [json!("yes"), json!("True"), json!("t"), json!(" 1"), json!(2), json!(-1), json!(1.0), json!([1])] {
            assert_eq!(Bool.accept(&odd, true), None, "{odd}");
        }
        // A list within a list is no element.
        assert_eq!(StringArray.accept(&json!([["a"]]), true), None);
        assert_eq!(StringArray.accept(&json!(["a", {}]), true), None);
    }
}
