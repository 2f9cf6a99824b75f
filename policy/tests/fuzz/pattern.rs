//! Path patterns, against a model that takes no short cut.

use doorward_policy::access::PathPattern;
use doorward_policy::request::CleanPath;
use proptest::prelude::*;

/// A pattern that compiles, as segments: few names, so that they meet.
fn segments() -> impl Strategy<Value = (Vec<&'static str>, bool)> {
    (prop::collection::vec(prop::sample::select(vec!["a", "b", "ab", "é", "a b", "*", "@"]), 0..4), any::<bool>())
}

fn pattern((segments, below): &(Vec<&'static str>, bool)) -> String {
    let mut text: String = segments.iter().map(|segment| format!("/{segment}")).collect();
    if *below {
        text.push_str("/**");
    }
    if text.is_empty() { "/".into() } else { text }
}

fn path() -> impl Strategy<Value = String> {
    let segment = prop::sample::select(vec!["a", "b", "ab", "%61", "%c3%a9", "a%20b", "c", "%2A", "%40", "@"]);
    (prop::collection::vec(segment, 0..5), any::<bool>()).prop_map(|(segments, slash)| {
        let text: String = segments.iter().map(|segment| format!("/{segment}")).collect();
        if slash || text.is_empty() { format!("{text}/") } else { text }
    })
}

fn said(path: &str) -> Vec<String> {
    let segments = path[1..].split('/').filter(|segment| !segment.is_empty());
    segments.map(|segment| percent_encoding::percent_decode_str(segment).decode_utf8().unwrap().into_owned()).collect()
}

fn model((segments, below): &(Vec<&'static str>, bool), path: &str) -> bool {
    let path = said(path);
    let long_enough = if *below { path.len() >= segments.len() } else { path.len() == segments.len() };
    long_enough && segments.iter().zip(&path).all(|(own, other)| *own == "*" || own == other)
}

fn matches(pattern: &PathPattern, path: &str) -> bool {
    pattern.matches(&CleanPath::parse(path.as_bytes()).unwrap())
}

proptest! {
    #[test]
    fn fuzz_a_pattern_matches_what_the_model_matches(own in segments(), path in path()) {
        let compiled = PathPattern::parse(&pattern(&own)).unwrap();
        prop_assert_eq!(matches(&compiled, &path), model(&own, &path), "{} on {}", pattern(&own), path);
    }

    #[test]
    fn fuzz_names_change_what_is_said_and_not_what_matches(own in segments(), path in path()) {
        let mut number = 0;
        let named: Vec<String> = own.0.iter().map(|segment| if *segment == "*" { number += 1; format!("{{n{number}}}") } else { (*segment).to_owned() }).collect();
        let text = named.iter().map(|segment| format!("/{segment}")).collect::<String>() + if own.1 { "/**" } else { "" };
        let compiled = PathPattern::parse(if text.is_empty() { "/" } else { &text }).unwrap();
        prop_assert_eq!(compiled.parameters().count(), number);
        let expected = model(&own, &path);
        prop_assert_eq!(matches(&compiled, &path), expected, "{} on {}", text, path);
        if expected {
            let captured = compiled.capture(&CleanPath::parse(path.as_bytes()).unwrap());
            let wanted: Vec<String> = own.0.iter().zip(said(&path)).filter(|(own, _)| **own == "*").map(|(_, said)| said).collect();
            prop_assert_eq!(captured.iter().map(|(_, value)| value.to_owned()).collect::<Vec<_>>(), wanted);
        }
    }

    #[test]
    fn fuzz_covers_is_exactly_that_every_path_of_one_is_one_of_the_other(wide in segments(), narrow in segments()) {
        let covers = PathPattern::parse(&pattern(&wide)).unwrap().covers(&PathPattern::parse(&pattern(&narrow)).unwrap());
        // Paths of the narrow one: a word that no pattern has where anything may stand, and some more behind it.
        let own: Vec<&str> = narrow.0.iter().map(|segment| if *segment == "*" { "zz" } else { segment }).collect();
        let longest = if narrow.1 { wide.0.len() + 2 } else { 0 };
        let all = (0..=longest).all(|more| {
            let path: String = own.iter().copied().chain(std::iter::repeat_n("zz", more)).map(|segment| format!("/{}", segment.replace(' ', "%20").replace('é', "%C3%A9"))).collect();
            model(&wide, if path.is_empty() { "/" } else { &path })
        });
        prop_assert_eq!(covers, all, "{} covers {}", pattern(&wide), pattern(&narrow));
    }

    #[test]
    fn fuzz_whatever_is_written_compiles_or_is_refused(text in "/?([ab*{};%é /.]|/|\\*\\*|\\{a\\}|%2f|%C3){0,12}") {
        if let Ok(pattern) = PathPattern::parse(&text) {
            prop_assert!(pattern.covers(&pattern), "{}", text);
            prop_assert!(PathPattern::parse("/**").unwrap().covers(&pattern), "{}", text);
        }
    }
}
