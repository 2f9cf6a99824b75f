//! What pages say, in every language.

use std::collections::HashMap;
use std::time::Duration;

use minijinja::value::{Kwargs, Serde};
use minijinja::{Error, ErrorKind, Value};
use serde::Deserialize;
use toml::Table;

use super::language::Language;
use crate::respond::Face;

/// The words of one language.
#[derive(Debug)]
pub struct Words {
    faces: HashMap<String, FaceWords>,
    table: Table,
    /// All of `table`, as templates see it.
    value: Value,
}

/// What a refusal says.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaceWords {
    pub title: String,
    /// One calm sentence or two.
    pub text: String,
}

fn source(language: Language) -> &'static str {
    match language {
        Language::English => include_str!("words/en.toml"),
        Language::German => include_str!("words/de.toml"),
        Language::French => include_str!("words/fr.toml"),
        Language::Spanish => include_str!("words/es.toml"),
        Language::Italian => include_str!("words/it.toml"),
        Language::Portuguese => include_str!("words/pt.toml"),
        Language::Japanese => include_str!("words/ja.toml"),
        Language::Chinese => include_str!("words/zh.toml"),
    }
}

impl Words {
    /// Reads every language, in the order of [`Language::ALL`].
    ///
    /// # Errors
    /// A text when a file cannot be read or a face has no English words, which tests rule out.
    pub fn all() -> Result<Vec<Self>, String> {
        let english = table(Language::English)?;
        Language::ALL.iter().map(|language| Self::new(under(&english, table(*language)?))).collect()
    }

    fn new(mut table: Table) -> Result<Self, String> {
        let faces = table.remove("faces").ok_or("no `faces`")?;
        let faces: HashMap<String, FaceWords> = faces.try_into().map_err(|error| format!("faces: {error}"))?;
        match Face::ALL.iter().find(|face| !faces.contains_key(&face.name.to_ascii_lowercase())) {
            Some(face) => Err(format!("words: `{}` has none", face.name)),
            None => Ok(Self { faces, value: Value::from(Serde(&table)), table }),
        }
    }

    /// What `face` says.
    pub fn face(&self, face: Face) -> (&str, &str) {
        // Every face has words, or these were not made.
        self.faces.get(&face.name.to_ascii_lowercase()).map_or(("", ""), |words| (&words.title, &words.text))
    }

    /// One text of one section; empty where there is none, which the tests of the pages would show.
    pub fn text(&self, section: &str, key: &str) -> &str {
        self.table.get(section).and_then(|section| section.get(key)).and_then(toml::Value::as_str).unwrap_or_default()
    }

    pub(super) fn value(&self) -> Value {
        self.value.clone()
    }

    /// `in 12 minutes`: one unit is enough for a person.
    pub fn within(&self, left: Duration) -> String {
        self.counted(left, ["in_moments", "in_minutes", "in_hours", "in_days"])
    }

    /// `12 minutes ago`.
    pub fn ago(&self, since: Duration) -> String {
        self.counted(since, ["moments_ago", "minutes_ago", "hours_ago", "days_ago"])
    }

    /// There are always two or more of a unit, so that no language needs a singular.
    fn counted(&self, time: Duration, [moments, minutes, hours, days]: [&str; 4]) -> String {
        let (count, key) = match time.as_secs() {
            0..=89 => (0, moments),
            seconds @ 90..=5399 => ((seconds + 30) / 60, minutes),
            seconds @ 5400..=172_799 => ((seconds + 1800) / 3600, hours),
            seconds => ((seconds + 43_200) / 86_400, days),
        };
        fill(self.text("time", key), |name| (name == "count").then(|| count.to_string()))
    }
}

fn table(language: Language) -> Result<Table, String> {
    source(language).parse().map_err(|error| format!("words/{}.toml: {error}", language.code()))
}

/// `table`, with what it lacks taken from `english`: a word in the wrong language is better than none.
fn under(english: &Table, mut table: Table) -> Table {
    for (key, value) in english {
        match (value, table.get_mut(key)) {
            (toml::Value::Table(inner), Some(toml::Value::Table(own))) => *own = under(inner, std::mem::take(own)),
            (_, Some(_)) => {}
            (_, None) => drop(table.insert(key.clone(), value.clone())),
        }
    }
    table
}

/// `text` with each `{name}` replaced, once: what is filled in is not looked at again.
fn fill(text: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        match after.split_once('}').and_then(|(name, after)| Some((value(name)?, after))) {
            Some((value, after)) => {
                filled.push_str(&value);
                rest = after;
            }
            None => {
                filled.push('{');
                rest = after;
            }
        }
    }
    filled + rest
}

/// The templates' `fill`: `words.sign_out.who | fill(who=who)`. The result is escaped like any other value.
pub(super) fn fill_filter(text: &str, values: Kwargs) -> Result<String, Error> {
    let filled = fill(text, |name| values.get::<Value>(name).ok().map(|value| value.to_string()));
    values.assert_all_used().map_err(|_| Error::new(ErrorKind::InvalidOperation, format!("`{text}` has no such place to fill")))?;
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Every text of a language by its dotted key.
    fn texts(table: &Table, prefix: &str, into: &mut BTreeMap<String, String>) {
        for (key, value) in table {
            let key = format!("{prefix}{key}");
            match value {
                toml::Value::Table(inner) => texts(inner, &format!("{key}."), into),
                toml::Value::String(text) => drop(into.insert(key, text.clone())),
                other => panic!("{key} is no text: {other}"),
            }
        }
    }

    fn of(language: Language) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        texts(&table(language).unwrap(), "", &mut found);
        found
    }

    /// The `{names}` of a text, sorted.
    fn places(text: &str) -> Vec<&str> {
        let mut places: Vec<&str> = text.split('{').skip(1).filter_map(|part| part.split_once('}')).map(|(name, _)| name).collect();
        places.sort_unstable();
        places
    }

    #[test]
    fn every_language_says_everything_and_nothing_else() {
        let english = of(Language::English);
        for language in &Language::ALL[1..] {
            let words = of(*language);
            let lacking: Vec<_> = english.keys().filter(|key| !words.contains_key(*key)).collect();
            assert!(lacking.is_empty(), "{} lacks {lacking:?}", language.code());
            let surplus: Vec<_> = words.keys().filter(|key| !english.contains_key(*key)).collect();
            assert!(surplus.is_empty(), "{} has {surplus:?} too many", language.code());
            for (key, text) in &words {
                assert_eq!(places(text), places(&english[key]), "{} {key}: places to fill", language.code());
            }
        }
    }

    #[test]
    fn every_text_is_written_and_translated() {
        let english = of(Language::English);
        for language in Language::ALL {
            let words = of(*language);
            for (key, text) in &words {
                assert_eq!(text.trim(), text, "{} {key}", language.code());
                assert!(!text.is_empty() && !text.contains(['<', '>', '&']), "{} {key}: {text}", language.code());
                let sentence = key.ends_with(".text") && key != "time.text";
                assert!(!sentence || text.ends_with(['.', '。']), "{} {key}: {text}", language.code());
            }
            // `Name` and `Scope` are words elsewhere too; a sentence is not.
            let same =
                words.iter().filter(|(key, text)| *language != Language::English && key.ends_with("text") && english[*key] == **text);
            assert_eq!(same.count(), 0, "{}: a sentence is still English", language.code());
        }
    }

    #[test]
    fn every_face_has_words_and_no_words_are_without_a_face() {
        let names: Vec<String> = Face::ALL.iter().map(|face| face.name.to_ascii_lowercase()).collect();
        let written = table(Language::English).unwrap();
        for name in written["faces"].as_table().unwrap().keys() {
            assert!(names.contains(name), "`faces.{name}` belongs to no face");
        }
        assert!(Words::all().is_ok(), "{:?}", Words::all().err());
    }

    #[test]
    fn a_language_that_lacks_a_word_takes_the_english_one() {
        let english: Table = "a = '1'\n[b]\nc = '2'\nd = '3'".parse().unwrap();
        let table: Table = "[b]\nd = 'drei'".parse().unwrap();
        assert_eq!(under(&english, table), "a = '1'\n[b]\nc = '2'\nd = 'drei'".parse::<Table>().unwrap());
    }

    #[test]
    fn what_is_filled_in_is_not_filled_again() {
        let value = |name: &str| match name {
            "a" => Some("{b}".to_owned()),
            "b" => Some("x".to_owned()),
            _ => None,
        };
        for (text, filled) in [("{a}{b}", "{b}x"), ("{c} {", "{c} {"), ("no", "no"), ("{{a}}", "{{b}}")] {
            assert_eq!(fill(text, value), filled, "{text}");
        }
    }

    #[test]
    fn durations_read_well() {
        let words = Words::all().unwrap();
        for (seconds, within, ago) in [
            (1, "in less than two minutes", "just now"),
            (89, "in less than two minutes", "just now"),
            (90, "in 2 minutes", "2 minutes ago"),
            (3600, "in 60 minutes", "60 minutes ago"),
            (5400, "in 2 hours", "2 hours ago"),
            (172_800, "in 2 days", "2 days ago"),
        ] {
            let time = Duration::from_secs(seconds);
            assert_eq!((&*words[0].within(time), &*words[0].ago(time)), (within, ago));
        }
    }
}
