//! The language of a page, chosen by what the browser asks for.

use http::{HeaderMap, header};

/// A language that all pages speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Language {
    #[default]
    English,
    German,
    French,
    Spanish,
    Italian,
    Portuguese,
    Japanese,
    Chinese,
}

/// Bytes of `Accept-Language` that are looked at, and ranges among them: a browser sends a dozen at most.
const BYTES: usize = 1024;
const RANGES: usize = 32;

impl Language {
    pub const ALL: &'static [Self] =
        &[Self::English, Self::German, Self::French, Self::Spanish, Self::Italian, Self::Portuguese, Self::Japanese, Self::Chinese];

    /// The language tag (RFC 5646) of the words as they are written: for `lang` and `Content-Language`.
    pub fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
            Self::French => "fr",
            Self::Spanish => "es",
            Self::Italian => "it",
            Self::Portuguese => "pt-BR",
            Self::Japanese => "ja",
            Self::Chinese => "zh-Hans",
        }
    }

    /// What a range begins with that asks for this language.
    pub fn code(self) -> &'static str {
        self.tag().split('-').next().unwrap_or("en")
    }

    /// The language that `Accept-Language` prefers among ours (RFC 9110 §12.5.4); English where it names none of them.
    pub fn of(headers: &HeaderMap) -> Self {
        Self::choose(headers.get_all(header::ACCEPT_LANGUAGE).iter().map(http::HeaderValue::as_bytes))
    }

    /// Total: a range that cannot be read counts as absent.
    fn choose<'v>(values: impl Iterator<Item = &'v [u8]>) -> Self {
        // The best so far, and its weight in thousandths. The first of equals stays: that is how people mean it.
        let mut best = (Self::English, 0);
        let ranges = values.flat_map(|value| value[..value.len().min(BYTES)].split(|byte| *byte == b',')).take(RANGES);
        for (language, weight) in ranges.filter_map(range) {
            if weight > best.1 {
                best = (language, weight);
            }
        }
        best.0
    }
}

/// `de-AT;q=0.8`: its language and weight. `*` is whatever we like best.
fn range(text: &[u8]) -> Option<(Language, u16)> {
    let text = std::str::from_utf8(text).ok()?;
    let mut parts = text.split(';').map(str::trim);
    let tag = parts.next()?;
    let weight = match (parts.next(), parts.next()) {
        (None, _) => 1000,
        (Some(parameter), None) => weight(parameter)?,
        (Some(_), Some(_)) => return None,
    };
    // RFC 4647 §3.4: what follows the language (region, script) falls away until something matches.
    let primary = tag.split('-').next()?;
    let language = Language::ALL.iter().find(|language| primary.eq_ignore_ascii_case(language.code()));
    match language {
        Some(language) => Some((*language, weight)),
        None if tag == "*" => Some((Language::English, weight)),
        None => None,
    }
}

/// `q=0.8` in thousandths: 0 to 1 with at most three digits behind the point (RFC 9110 §12.4.2).
fn weight(parameter: &str) -> Option<u16> {
    let value = parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q="))?;
    let (whole, digits) = value.split_once('.').unwrap_or((value, ""));
    if digits.len() > 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths: u16 = format!("{digits:0<3}").parse().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(fields: &[&[u8]]) -> Language {
        Language::choose(fields.iter().copied())
    }

    #[test]
    fn a_page_speaks_the_language_that_is_asked_for() {
        for (field, language) in [
            ("de", Language::German),
            ("de-AT,de;q=0.9,en;q=0.8", Language::German),
            ("DE-at", Language::German),
            ("nl, fr;q=0.3, it;q=0.4", Language::Italian),
            ("en;q=0.5, ja;q=0.501", Language::Japanese),
            ("es,pt", Language::Spanish),
            ("pt-PT", Language::Portuguese),
            ("zh-Hant-TW, zh;q=0.9", Language::Chinese),
            ("fr ; q=0.2 , de ; q=0.1", Language::French),
            ("fr;Q=1.000", Language::French),
            ("de;q=0, fr;q=0.001", Language::French),
            ("*, de;q=0.5", Language::English),
            ("de;q=0.5, *;q=0.1", Language::German),
            ("nl", Language::English),
            ("", Language::English),
            ("de;q=0", Language::English),
            ("en-US,en;q=0.9,de;q=0.8", Language::English),
        ] {
            assert_eq!(chosen(&[field.as_bytes()]), language, "{field}");
        }
        assert_eq!(chosen(&[b"nl;q=1", b"it;q=0.2"]), Language::Italian, "two fields are one list");
        assert_eq!(chosen(&[]), Language::English);
    }

    #[test]
    fn what_cannot_be_read_counts_as_absent() {
        for field in [
            "de;q=2",
            "de;q=1.001",
            "de;q=-1",
            "de;q=0.1234",
            "de;q=",
            "de;q=.5",
            "de;q=1e9",
            "de;q=0.5;q=0.9",
            "de;level=1",
            "deutsch",
            "de_DE",
            "d e",
            ";q=1",
            ",,,,",
            "*;q=99999999999999999999",
        ] {
            assert_eq!(chosen(&[field.as_bytes()]), Language::English, "{field}");
            assert_eq!(chosen(&[format!("{field},fr;q=0.1").as_bytes()]), Language::French, "{field} takes nothing else with it");
        }
        assert_eq!(chosen(&[b"\xff\xfe, it"]), Language::Italian);
    }

    #[test]
    fn a_field_without_end_is_read_for_a_while() {
        let many = format!("{}de", "xx,".repeat(RANGES - 1));
        assert_eq!(chosen(&[many.as_bytes()]), Language::German, "the last that is looked at");
        let more = format!("{}de", "xx,".repeat(RANGES));
        assert_eq!(chosen(&[more.as_bytes()]), Language::English);
        let long = format!("{},de", "x".repeat(BYTES));
        assert_eq!(chosen(&[long.as_bytes()]), Language::English);
    }
}
