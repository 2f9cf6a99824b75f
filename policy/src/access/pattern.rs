//! Path patterns: whole segments, `*` for one of them, `**` at the end for all below.

use std::fmt;

use crate::request::{CleanPath, PathFault, decode_segment, segment_is};

/// What a rule's `path` matches.
///
/// `/admin/**` covers `/admin` and all below it; `/admin` covers `/admin` and `/admin/`; neither covers
/// `/administrator`. Case matters, as in the path itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern {
    segments: Vec<Segment>,
    and_below: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    /// Decoded, as is what it is compared with.
    Literal(Box<str>),
    /// Any one segment that is not empty.
    Any,
}

/// A route's `path`: literal segments; the route answers for it and all below.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PathPrefix {
    segments: Vec<Box<str>>,
}

/// Why a pattern does not compile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternFault {
    #[error("a path begins with `/`")]
    NotAbsolute,
    #[error("`*` stands for one whole segment and `**` for everything below, at the end only")]
    Star,
    #[error("no request has such a path: {0}")]
    Path(#[from] PathFault),
    #[error("a `;` begins a parameter, which no rule looks at")]
    Parameter,
}

impl PathPattern {
    /// Compiles a pattern; letters beyond ASCII may be written as they are.
    ///
    /// # Errors
    /// [`PatternFault`], also for a pattern that no accepted path could ever match.
    pub fn parse(text: &str) -> Result<Self, PatternFault> {
        let rest = text.strip_prefix('/').ok_or(PatternFault::NotAbsolute)?;
        let mut parts: Vec<&str> = rest.split('/').collect();
        let and_below = parts.last() == Some(&"**");
        if and_below || parts.last() == Some(&"") {
            parts.pop();
        }
        let segments = parts.into_iter().map(|part| if part == "*" { Ok(Segment::Any) } else { literal(part).map(Segment::Literal) });
        Ok(Self { segments: segments.collect::<Result<_, _>>()?, and_below })
    }

    pub fn matches(&self, path: &CleanPath) -> bool {
        let mut rest = path.segments();
        for segment in &self.segments {
            match (segment, rest.next()) {
                (Segment::Literal(own), Some(other)) if segment_is(other, own) => {}
                (Segment::Any, Some(other)) if !other.is_empty() => {}
                _ => return false,
            }
        }
        self.and_below || rest.all(str::is_empty)
    }

    /// Whether every path that `other` matches is matched by `self` too.
    pub fn covers(&self, other: &Self) -> bool {
        if !self.and_below && (other.and_below || self.segments.len() != other.segments.len()) {
            return false;
        }
        self.segments.len() <= other.segments.len()
            && self.segments.iter().zip(&other.segments).all(|(own, theirs)| *own == Segment::Any || own == theirs)
    }
}

impl PathPrefix {
    /// Compiles a literal path.
    ///
    /// # Errors
    /// [`PatternFault`]; stars have no place in a route's path.
    pub fn parse(text: &str) -> Result<Self, PatternFault> {
        let rest = text.strip_prefix('/').ok_or(PatternFault::NotAbsolute)?;
        if rest.is_empty() {
            return Ok(Self::default());
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        Ok(Self { segments: rest.split('/').map(literal).collect::<Result<_, _>>()? })
    }

    pub fn segments(&self) -> &[Box<str>] {
        &self.segments
    }
}

impl fmt::Display for PathPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.segments.is_empty() {
            return f.write_str("/");
        }
        self.segments.iter().try_for_each(|segment| write!(f, "/{segment}"))
    }
}

/// What one segment says, written as it is or with escapes.
fn literal(segment: &str) -> Result<Box<str>, PatternFault> {
    if segment.contains('*') {
        return Err(PatternFault::Star);
    }
    if segment.contains(';') || segment.to_ascii_lowercase().contains("%3b") {
        return Err(PatternFault::Parameter);
    }
    if segment.is_empty() {
        return Err(PathFault::Segment.into());
    }
    const LETTERS: &percent_encoding::AsciiSet = &percent_encoding::CONTROLS.add(b' ');
    let escaped = percent_encoding::utf8_percent_encode(segment, LETTERS);
    let clean = CleanPath::parse(format!("/{escaped}").as_bytes())?;
    Ok(decode_segment(&clean.as_str()[1..]).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        PathPattern::parse(pattern).unwrap().matches(&CleanPath::parse(path.as_bytes()).unwrap())
    }

    #[test]
    fn path_29_to_34_patterns_match_whole_segments() {
        for (pattern, path, expected) in [
            ("/admin/**", "/admin", true),
            ("/admin/**", "/admin/", true),
            ("/admin/**", "/admin/x/y", true),
            ("/admin/**", "/administrator", false),
            ("/admin/**", "/ADMIN", false),
            ("/admin/**", "/", false),
            ("/admin", "/admin/", true),
            ("/admin", "/admin/x", false),
            ("/admin/", "/admin", true),
            ("/**", "/", true),
            ("/**", "/x/y", true),
            ("/", "/", true),
            ("/", "/x", false),
            ("/a/*/c", "/a/b/c", true),
            ("/a/*/c", "/a//c".trim_end_matches("/c"), false),
            ("/a/*", "/a/", false),
            ("/a/*", "/a/b", true),
            ("/a/*", "/a/b/c", false),
            ("/caf\u{e9}", "/caf%c3%a9", true),
            ("/%61dmin", "/admin", true),
            ("/a b", "/a%20b", true),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} on {path}");
        }
    }

    #[test]
    fn path_15_an_escaped_character_is_the_character_to_rules_as_it_is_to_apps() {
        for character in "@:()+!|^$&',=[]*~-_. #?\u{e9}".chars() {
            let escaped: String =
                percent_encoding::percent_encode(character.to_string().as_bytes(), percent_encoding::NON_ALPHANUMERIC).to_string();
            let request = CleanPath::parse(format!("/{escaped}admin/x").as_bytes()).unwrap();
            let pattern = PathPattern::parse(&format!("/{escaped}admin/**")).unwrap();
            assert!(pattern.matches(&request), "{escaped}");
            if !matches!(character, '*' | '#' | '?') {
                let plain = PathPattern::parse(&format!("/{character}admin/**")).unwrap();
                assert!(plain.matches(&request), "{character}");
            }
            assert!(!PathPattern::parse("/admin/**").unwrap().matches(&request), "{character}");
        }
    }

    #[test]
    fn patterns_that_could_not_match_do_not_compile() {
        for bad in ["", "admin", "/a*", "/**/x", "/a/**/", "//", "/a//b", "/../x", "/a;x", "/a%2fb", "/a?x", "/%zz"] {
            assert!(PathPattern::parse(bad).is_err(), "{bad}");
        }
        for bad in ["v1", "/v1/*", "/v1/**", "//"] {
            assert!(PathPrefix::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(PathPrefix::parse("/").unwrap(), PathPrefix::default());
        assert_eq!(PathPrefix::parse("/v1/").unwrap().to_string(), "/v1");
    }

    #[test]
    fn a_wider_pattern_covers_a_narrower_one() {
        let covers = |a: &str, b: &str| PathPattern::parse(a).unwrap().covers(&PathPattern::parse(b).unwrap());
        assert!(covers("/**", "/admin/**"));
        assert!(covers("/admin/**", "/admin"));
        assert!(covers("/*/x", "/a/x"));
        assert!(!covers("/admin", "/admin/**"));
        assert!(!covers("/a/x", "/*/x"));
        assert!(!covers("/admin/**", "/**"));
    }
}
