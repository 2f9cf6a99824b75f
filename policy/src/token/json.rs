//! JSON and base64url, read without mercy.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::TokenFault;

/// RFC 7515 §2: no padding, no white space, no `+` or `/`, no bits left over.
pub(super) fn base64url(text: &str) -> Result<Vec<u8>, TokenFault> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenFault::Malformed)
}

/// One object and nothing after it. RFC 7519 §4 lets us refuse doubled member names; we do, at every depth.
pub(super) fn object(bytes: &[u8]) -> Result<Map<String, Value>, TokenFault> {
    match serde_json::from_slice(bytes) {
        Ok(Strict(Value::Object(map))) => Ok(map),
        _ => Err(TokenFault::Malformed),
    }
}

/// One member of an object, as far as it is looked at.
pub(super) enum Member<'j> {
    Text(Cow<'j, str>),
    Other,
}

/// Those members of one object that `wanted` names, in its order. Everything else is read as strictly as [`object`] does, and let go:
/// what every token brings is not worth a map.
pub(super) fn members<'j, const N: usize>(bytes: &'j [u8], wanted: [&str; N]) -> Result<[Option<Member<'j>>; N], TokenFault> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let found = json.deserialize_map(Wanted(wanted)).map_err(|_| TokenFault::Malformed)?;
    json.end().map_err(|_| TokenFault::Malformed)?;
    Ok(found)
}

struct Wanted<'w, const N: usize>([&'w str; N]);

impl<'de, const N: usize> Visitor<'de> for Wanted<'_, N> {
    type Value = [Option<Member<'de>>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object without doubled members")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut found = [const { None }; N];
        let mut others = BTreeSet::new();
        while let Some(name) = members.next_key()? {
            // A name that is no text is not JSON.
            let Member::Text(name) = name else { return Err(A::Error::custom("a name that is no text")) };
            let place = self.0.iter().position(|wanted| *wanted == name);
            let is_new = match place {
                Some(at) => found[at].replace(members.next_value()?).is_none(),
                None => {
                    members.next_value::<Member<'de>>()?;
                    others.insert(name)
                }
            };
            if !is_new {
                return Err(A::Error::custom("a member is named twice"));
            }
        }
        Ok(found)
    }
}

impl<'de> Deserialize<'de> for Member<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MemberVisitor)
    }
}

/// As [`StrictVisitor`]; texts without escapes are where they were.
struct MemberVisitor;

impl<'de> Visitor<'de> for MemberVisitor {
    type Value = Member<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        StrictVisitor.expecting(f)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Member::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Member::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Member::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Member::Other)
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Self::Value, E> {
        StrictVisitor.visit_f64(value).map(|_: Strict| Member::Other)
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Member::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Member::Text(Cow::Owned(value.into())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Self::Value, A::Error> {
        StrictVisitor.visit_seq(items).map(|_| Member::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
        StrictVisitor.visit_map(members).map(|_| Member::Other)
    }
}

/// A value in which no object names a member twice. Depth is bounded by serde_json (128).
pub(super) struct Strict(pub(super) Value);

impl Strict {
    /// JSON has no others; one that is too large for us is none.
    pub(super) fn number<E: serde::de::Error>(value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    pub(super) fn members<'de, A: MapAccess<'de>>(mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let Self(value) = members.next_value()?;
            if map.insert(name, value).is_some() {
                return Err(A::Error::custom("a member is named twice"));
            }
        }
        Ok(Value::Object(map))
    }
}

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Strict;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without doubled members")
    }

    fn visit_unit<E>(self) -> Result<Strict, E> {
        Ok(Strict(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Strict, E> {
        Ok(Strict(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Strict, E> {
        Ok(Strict(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Strict, E> {
        Ok(Strict(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Strict, E> {
        Strict::number(value).map(Strict)
    }

    fn visit_str<E>(self, value: &str) -> Result<Strict, E> {
        Ok(Strict(Value::String(value.into())))
    }

    fn visit_string<E>(self, value: String) -> Result<Strict, E> {
        Ok(Strict(Value::String(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Strict, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Strict(Value::Array(list)))
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Strict, A::Error> {
        Strict::members(members).map(Strict)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What members are called, one of them in two ways.
    pub(crate) const NAMES: [&str; 6] = ["alg", "kid", "\\u0061lg", "a", "b", "ab"];

    const WANTED: [&str; 3] = ["alg", "kid", "crit"];

    /// What [`object`] says about the same bytes.
    fn plainly(bytes: &[u8]) -> Option<[Option<Option<String>>; 3]> {
        let object = object(bytes).ok()?;
        Some(WANTED.map(|name| object.get(name).map(|value| value.as_str().map(str::to_owned))))
    }

    fn briefly(bytes: &[u8]) -> Option<[Option<Option<String>>; 3]> {
        let text = |member| match member {
            Member::Text(text) => Some(Cow::into_owned(text)),
            Member::Other => None,
        };
        Some(members(bytes, WANTED).ok()?.map(|member| member.map(text)))
    }

    #[test]
    fn jwt_26_what_is_not_looked_at_is_read_as_strictly() {
        for (text, is_good) in [
            (r#"{"alg":"RS256","x":{"y":1,"z":1},"w":[{"v":1.5},null,true]}"#, true),
            (r#"{"\u0061lg":"R\u0053256"}"#, true),
            (r#"{"alg":"RS256","alg":"RS256"}"#, false),
            (r#"{"alg":"RS256","\u0061lg":"RS256"}"#, false),
            (r#"{"alg":"RS256","x":1,"x":1}"#, false),
            (r#"{"alg":"RS256","x":1,"\u0078":1}"#, false),
            (r#"{"alg":"RS256","x":{"y":1,"y":1}}"#, false),
            (r#"{"alg":{"y":1,"y":1}}"#, false),
            (r#"{"alg":[{"y":1,"y":1}]}"#, false),
            (r#"{"alg":"RS256"} "#, true),
            (r#"{"alg":"RS256"} x"#, false),
            (r#"{"alg":"RS256","x":1e999}"#, false),
            (r#"{"alg":1e999}"#, false),
            (r#"["alg"]"#, false),
            (r#"{1:2}"#, false),
            ("", false),
        ] {
            assert_eq!(briefly(text.as_bytes()).is_some(), is_good, "{text}");
            assert_eq!(briefly(text.as_bytes()), plainly(text.as_bytes()), "{text}");
        }
    }

    fn names() -> impl Strategy<Value = String> {
        prop_oneof![Just("alg".to_owned()), Just("kid".to_owned()), Just("\\u0061lg".to_owned()), "[a-c]{1,2}"]
    }

    pub(crate) fn values() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just("true".to_owned()),
            any::<i64>().prop_map(|number| number.to_string()),
            any::<f64>().prop_map(|number| number.to_string()),
            "\"[a-z]{0,4}\"",
            ".{0,3}",
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(|items| format!("[{}]", items.join(","))),
                prop::collection::vec((names(), inner), 0..3).prop_map(|members| written(&members)),
            ]
        })
    }

    fn written(members: &[(String, String)]) -> String {
        let members: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
        format!("{{{}}}", members.join(", "))
    }

    proptest! {
        #[test]
        fn fuzz_reading_a_few_members_says_what_reading_all_of_them_says(members in prop::collection::vec((names(), values()), 0..5)) {
            let text = written(&members);
            prop_assert_eq!(briefly(text.as_bytes()), plainly(text.as_bytes()), "{}", text);
        }

        #[test]
        fn fuzz_reading_a_few_members_takes_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(briefly(&bytes), plainly(&bytes));
        }
    }
}
