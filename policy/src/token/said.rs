//! The claims of one token as it says them: all texts in one piece of memory, and a list of what is where.
//!
//! A map of values would ask for dozens of pieces of memory, for most tokens only to give them back at once.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::TokenFault;
use super::json::Strict;

/// A JWT Claims Set (RFC 7519 §4), however it is kept.
pub trait ClaimsSet {
    /// The claim of this name.
    fn claim(&self, name: &str) -> Option<Claim<'_>>;

    /// Whether `fits` says so of each name and claim.
    fn all(&self, fits: impl FnMut(&str, Claim<'_>) -> bool) -> bool;

    /// The same as a map.
    fn to_map(&self) -> Cow<'_, Map<String, Value>>;

    /// The claim of this name, where it is a text.
    fn text(&self, name: &str) -> Option<&str> {
        self.claim(name)?.as_str()
    }
}

/// One claim.
#[derive(Debug, Clone, Copy)]
pub enum Claim<'c> {
    Text(&'c str),
    /// An array of nothing but texts.
    Texts(Texts<'c>),
    /// Any value: one of the above as well.
    Value(&'c Value),
}

/// Those of an array.
#[derive(Debug, Clone, Copy)]
pub struct Texts<'c> {
    all: &'c str,
    places: &'c [Range<usize>],
}

impl<'c> Texts<'c> {
    pub fn iter(self) -> impl Iterator<Item = &'c str> {
        self.places.iter().map(move |at| &self.all[at.clone()])
    }

    pub fn get(self, at: usize) -> Option<&'c str> {
        self.places.get(at).map(|at| &self.all[at.clone()])
    }
}

impl<'c> Claim<'c> {
    pub fn as_str(self) -> Option<&'c str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Texts(_) => None,
            Self::Value(value) => value.as_str(),
        }
    }

    /// A number, whatever it stands for.
    pub fn as_number(self) -> Option<&'c Number> {
        match self {
            Self::Value(value) => value.as_number(),
            Self::Text(_) | Self::Texts(_) => None,
        }
    }

    pub fn is_true(self) -> bool {
        matches!(self, Self::Value(Value::Bool(true)))
    }

    pub fn is_null(self) -> bool {
        matches!(self, Self::Value(Value::Null))
    }

    /// Visits what is in an array, each text as one and whatever else as `None`; `false`: it is no array.
    pub fn each_item(self, visit: &mut dyn FnMut(Option<&'c str>)) -> bool {
        match self {
            Self::Texts(texts) => texts.iter().for_each(|text| visit(Some(text))),
            Self::Value(Value::Array(items)) => items.iter().for_each(|item| visit(item.as_str())),
            Self::Text(_) | Self::Value(_) => return false,
        }
        true
    }

    fn to_value(self) -> Value {
        match self {
            Self::Text(text) => Value::from(text),
            Self::Texts(texts) => texts.iter().collect(),
            Self::Value(value) => value.clone(),
        }
    }
}

impl ClaimsSet for Map<String, Value> {
    fn claim(&self, name: &str) -> Option<Claim<'_>> {
        self.get(name).map(Claim::Value)
    }

    fn all(&self, mut fits: impl FnMut(&str, Claim<'_>) -> bool) -> bool {
        self.iter().all(|(name, value)| fits(name, Claim::Value(value)))
    }

    fn to_map(&self) -> Cow<'_, Map<String, Value>> {
        Cow::Borrowed(self)
    }
}

/// The claims of a token, each once.
#[derive(Clone)]
pub(crate) struct Said {
    texts: String,
    /// Where the texts of arrays are.
    items: Vec<Range<usize>>,
    members: Vec<(Range<usize>, Kept)>,
}

#[derive(Clone)]
enum Kept {
    /// Where it is among the texts.
    Text(Range<usize>),
    /// Which of the items they are.
    Texts(Range<usize>),
    Value(Value),
}

/// So many names are compared with each other sooner than a set of them is made.
const FEW: usize = 32;

impl Said {
    /// Reads one object and nothing after it, as strictly as [`super::strict_object`] does.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, TokenFault> {
        let text = std::str::from_utf8(bytes).map_err(|_| TokenFault::Malformed)?;
        let mut said = Self { texts: String::with_capacity(text.len()), items: Vec::with_capacity(16), members: Vec::with_capacity(16) };
        let mut json = serde_json::Deserializer::from_str(text);
        json.deserialize_map(Members(&mut said)).map_err(|_| TokenFault::Malformed)?;
        json.end().map_err(|_| TokenFault::Malformed)?;
        if said.members.len() > FEW && !said.names_each_once() {
            return Err(TokenFault::Malformed);
        }
        Ok(said)
    }

    fn names_each_once(&self) -> bool {
        let mut seen = HashSet::with_capacity(self.members.len());
        (0..self.members.len()).all(|at| seen.insert(self.name(at)))
    }

    fn push(&mut self, text: &str) -> Range<usize> {
        let begin = self.texts.len();
        self.texts.push_str(text);
        begin..self.texts.len()
    }

    /// Takes the items from there on, as an array.
    fn items_from(&mut self, begin: usize) -> Vec<Value> {
        self.items.drain(begin..).map(|at| Value::from(&self.texts[at])).collect()
    }

    fn name(&self, at: usize) -> &str {
        &self.texts[self.members[at].0.clone()]
    }

    fn at(&self, at: usize) -> Claim<'_> {
        match &self.members[at].1 {
            Kept::Text(at) => Claim::Text(&self.texts[at.clone()]),
            Kept::Texts(items) => Claim::Texts(Texts { all: &self.texts, places: &self.items[items.clone()] }),
            Kept::Value(value) => Claim::Value(value),
        }
    }
}

impl ClaimsSet for Said {
    fn claim(&self, name: &str) -> Option<Claim<'_>> {
        let is_named = |(at, _): &(Range<usize>, Kept)| at.len() == name.len() && self.texts[at.clone()] == *name;
        self.members.iter().position(is_named).map(|at| self.at(at))
    }

    fn all(&self, mut fits: impl FnMut(&str, Claim<'_>) -> bool) -> bool {
        (0..self.members.len()).all(|at| fits(self.name(at), self.at(at)))
    }

    fn to_map(&self) -> Cow<'_, Map<String, Value>> {
        Cow::Owned((0..self.members.len()).map(|at| (self.name(at).to_owned(), self.at(at).to_value())).collect())
    }
}

impl fmt::Debug for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_map().fmt(f)
    }
}

struct Members<'s>(&'s mut Said);

impl<'de> Visitor<'de> for Members<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object without doubled members")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Self(said) = self;
        while let Some(name) = members.next_key_seed(Name(said))? {
            let is_known = |(at, _): &(Range<usize>, Kept)| at.len() == name.len() && said.texts[at.clone()] == said.texts[name.clone()];
            // With more of them a set looks, at the end.
            if said.members.len() < FEW && said.members.iter().any(is_known) {
                return Err(A::Error::custom("a member is named twice"));
            }
            let kept = members.next_value_seed(One(said))?;
            said.members.push((name, kept));
        }
        Ok(())
    }
}

/// A member's name.
struct Name<'s>(&'s mut Said);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Range<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Range<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.push(name))
    }
}

/// A member's value, or an array's.
struct One<'s>(&'s mut Said);

impl<'de> DeserializeSeed<'de> for One<'_> {
    type Value = Kept;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Kept, D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// As the visitor of [`Strict`], but for texts and arrays of them.
impl<'de> Visitor<'de> for One<'_> {
    type Value = Kept;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without doubled members")
    }

    fn visit_unit<E>(self) -> Result<Kept, E> {
        Ok(Kept::Value(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Kept, E> {
        Ok(Kept::Value(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Kept, E> {
        Ok(Kept::Value(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Kept, E> {
        Ok(Kept::Value(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Kept, E> {
        Strict::number(value).map(Kept::Value)
    }

    fn visit_str<E>(self, value: &str) -> Result<Kept, E> {
        Ok(Kept::Text(self.0.push(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Kept, A::Error> {
        let Self(said) = self;
        let begin = said.items.len();
        let other = loop {
            match items.next_element_seed(One(&mut *said))? {
                None => return Ok(Kept::Texts(begin..said.items.len())),
                Some(Kept::Text(at)) => said.items.push(at),
                Some(Kept::Texts(inner)) => break Value::Array(said.items_from(inner.start)),
                Some(Kept::Value(value)) => break value,
            }
        };
        // Something else among them: all of them as values.
        let mut list = said.items_from(begin);
        list.push(other);
        while let Some(Strict(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Kept::Value(Value::Array(list)))
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Kept, A::Error> {
        Strict::members(members).map(Kept::Value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::claim_path::ClaimPath;
    use crate::token::json::tests::{NAMES, values};
    use crate::token::strict_object;

    /// Paths of every kind, through claims that [`NAMES`] names.
    fn paths() -> Vec<ClaimPath> {
        let written = [
            "a",
            "b",
            "alg",
            "ab",
            "a.b",
            "a.a.b",
            "a.0",
            "/a",
            "/a/0",
            "/a/1",
            "/a/01",
            "/b/a",
            "/a/0/0",
            "/a/b/0",
            "$.a",
            "$.a[0]",
            "$.a[1]",
            "$.a[*]",
            "$.b[*]",
            "$.a[*][*]",
            "$.a[0][*]",
            "$['a']['b']",
            "$.a[*].b",
        ];
        written.into_iter().map(|path| ClaimPath::parse(path).unwrap()).collect()
    }

    /// Whatever is read of them, it is the same of both.
    fn lead_alike(said: &Said, map: &Map<String, Value>) {
        for path in paths() {
            let (mut there, mut texts) = ([Vec::new(), Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
            path.each_claim(said, &mut |claim| there[0].push(claim.to_value()));
            path.each_claim(map, &mut |claim| there[1].push(claim.to_value()));
            path.each(map, &mut |value| there[2].push(value.clone()));
            path.each_text(said, &mut |text| texts[0].push(text.to_owned()));
            path.each_text(map, &mut |text| texts[1].push(text.to_owned()));
            let one = [path.one_claim(said), path.one_claim(map)].map(|claim| claim.map(Claim::to_value));
            assert!(there[0] == there[1] && there[1] == there[2] && texts[0] == texts[1], "{path}: {there:?} {texts:?} of {map:?}");
            assert!(one[0] == one[1] && one[0].as_ref() == path.one(map), "{path}: {one:?} of {map:?}");
        }
    }

    /// What both readings say of the same bytes.
    fn agree(bytes: &[u8]) {
        let (said, map) = (Said::read(bytes), strict_object(bytes));
        let text = String::from_utf8_lossy(bytes);
        assert_eq!(said.as_ref().ok().map(|said| said.to_map().into_owned()), map.as_ref().ok().cloned(), "{text}");
        let (Ok(said), Ok(map)) = (said, map) else { return };
        lead_alike(&said, &map);
        for name in map.keys().map(String::as_str).chain(NAMES) {
            let (own, other) = (said.claim(name), map.claim(name));
            assert_eq!(own.map(Claim::to_value), other.map(Claim::to_value), "{name} of {text}");
            assert_eq!(own.and_then(Claim::as_str), other.and_then(Claim::as_str), "{name} of {text}");
            assert_eq!(own.and_then(Claim::as_number), other.and_then(Claim::as_number), "{name} of {text}");
            assert_eq!(own.is_some_and(Claim::is_true), other.is_some_and(Claim::is_true), "{name} of {text}");
            assert_eq!(own.is_some_and(Claim::is_null), other.is_some_and(Claim::is_null), "{name} of {text}");
            let items = |claim: Option<Claim<'_>>| {
                let mut items: Vec<Option<String>> = Vec::new();
                (claim.is_some_and(|claim| claim.each_item(&mut |item| items.push(item.map(str::to_owned)))), items)
            };
            assert_eq!(items(own), items(other), "{name} of {text}");
        }
        let mut names = Vec::new();
        assert!(said.all(|name, _| {
            names.push(name.to_owned());
            true
        }));
        names.sort();
        assert_eq!(names, map.keys().cloned().collect::<Vec<_>>(), "{text}");
    }

    #[test]
    fn jwt_26_claims_are_read_as_strictly_as_any_object() {
        for (text, is_good) in [
            (r#"{"sub":"ada","exp":1.5,"n":-7,"t":true,"z":null,"aud":["a","b"],"e":[],"o":{"y":1,"z":[]}}"#, true),
            (r#"{"m":["a",1,"b",["c"],{"d":"e"},null]}"#, true),
            (r#"{"m":["a",["b","c"],"d"]}"#, true),
            (r#"{"a":["x","y"],"b":"z","alg":[["x"],"y"],"ab":null}"#, true),
            (r#"{"a":{"a":{"b":["x"]},"b":["y","z"],"0":"w"},"b":{"a":["x",1]}}"#, true),
            (r#"{"a.b":"whole","a":{"b":"parts"},"a.0":null,"ab":[]}"#, true),
            (r#"{"s\u0075b":"\u0061da\n","":""}"#, true),
            (r#"{"sub":"a","sub":"b"}"#, false),
            (r#"{"sub":"a","s\u0075b":"a"}"#, false),
            (r#"{"o":{"y":1,"y":1}}"#, false),
            (r#"{"o":["x",{"y":1,"y":1}]}"#, false),
            (r#"{"o":[{"y":1,"y":1}]}"#, false),
            (r#"{"o":["x",1,{"y":1,"y":1}]}"#, false),
            (r#"{"n":1e999}"#, false),
            (r#"{"n":["x",1e999]}"#, false),
            (r#"{"sub":"a"} "#, true),
            (r#"{"sub":"a"} x"#, false),
            (r#"{"sub":"a""#, false),
            (r#"["sub"]"#, false),
            (r#"{1:2}"#, false),
            ("{\"sub\":\"\u{fffd}\"}", true),
            ("", false),
        ] {
            assert_eq!(Said::read(text.as_bytes()).is_ok(), is_good, "{text}");
            agree(text.as_bytes());
        }
        assert!(Said::read(b"{\"sub\":\"\xff\"}").is_err());
        let deep = |depth: usize| format!(r#"{{"o":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        for depth in [1, 100, 126, 127, 128, 129, 200] {
            agree(deep(depth).as_bytes());
        }
        assert!(Said::read(deep(200).as_bytes()).is_err());
    }

    #[test]
    fn jwt_26_doubled_members_are_found_among_any_number() {
        for count in [2, FEW - 1, FEW, FEW + 1, FEW + 2, 500] {
            for doubled in [None, Some((0, 1)), Some((0, count - 1)), Some((count - 2, count - 1)), Some((count / 2, count - 1))] {
                let name = |at: usize| doubled.filter(|(_, second)| *second == at).map_or(at, |(first, _)| first);
                let doubled = doubled.filter(|(first, second)| first != second);
                let members: Vec<String> = (0..count).map(|at| format!(r#""n{}":{at}"#, name(at))).collect();
                let text = format!("{{{}}}", members.join(","));
                assert_eq!(Said::read(text.as_bytes()).is_ok(), doubled.is_none(), "{count} {doubled:?}");
                agree(text.as_bytes());
            }
        }
    }

    proptest! {
        #[test]
        fn fuzz_claims_are_what_the_map_of_them_is(members in prop::collection::vec((prop::sample::select(&NAMES[..]), values()), 0..6)) {
            let members: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
            agree(format!("{{{}}}", members.join(", ")).as_bytes());
        }

        #[test]
        fn fuzz_claims_are_read_from_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            agree(&bytes);
        }
    }
}
