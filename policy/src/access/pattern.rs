//! Path patterns: whole segments, `*` or `{name}` for one of them, `**` at the end for all below.

use std::fmt;

use crate::request::{CleanPath, PathFault, decode_segment, segment_is};

/// Most segments of a pattern: what is looked at for one path is bounded by it.
pub const SEGMENT_LIMIT: usize = 64;
const NAME_LIMIT: usize = 32;

/// What a rule's `path` matches.
///
/// `/admin/**` covers `/admin` and all below it; `/admin` covers `/admin` and `/admin/`; neither covers
/// `/administrator`. `/tenants/{tenant}/**` matches what `/tenants/*/**` matches, and names the segment. Case matters, as
/// in the path itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern {
    segments: Vec<Segment>,
    and_below: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Segment {
    /// Decoded, as is what it is compared with.
    Literal(Box<str>),
    /// Any one segment that is not empty.
    Any,
    /// The same, by a name.
    Parameter(Box<str>),
}

/// What a path says where its pattern has names, in the pattern's order: decoded, as every server reads it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parameters(Vec<(Box<str>, Box<str>)>);

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
    #[error("`{{name}}` stands for one whole segment, and a name is a small letter, then small letters, digits and `_`")]
    Name,
    #[error("`{{{0}}}` stands there twice")]
    Twice(Box<str>),
    #[error("more than {SEGMENT_LIMIT} segments")]
    TooLong,
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
        if parts.len() > SEGMENT_LIMIT {
            return Err(PatternFault::TooLong);
        }
        let segments: Vec<Segment> = parts.into_iter().map(Segment::parse).collect::<Result<_, _>>()?;
        let pattern = Self { segments, and_below };
        let mut names: Vec<&str> = pattern.parameters().collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(PatternFault::Twice(pair[0].into())),
            None => Ok(pattern),
        }
    }

    /// The names in it, in its order.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Parameter(name) => Some(&**name),
            Segment::Literal(_) | Segment::Any => None,
        })
    }

    /// What the named segments of a path say that this pattern [matches](Self::matches).
    pub fn capture(&self, path: &CleanPath) -> Parameters {
        let named = self.segments.iter().zip(path.segments()).filter_map(|(segment, raw)| match segment {
            Segment::Parameter(name) => Some((name.clone(), decode_segment(raw).into())),
            Segment::Literal(_) | Segment::Any => None,
        });
        Parameters(named.collect())
    }

    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    pub(super) fn and_below(&self) -> bool {
        self.and_below
    }

    pub fn matches(&self, path: &CleanPath) -> bool {
        let mut rest = path.segments();
        for segment in &self.segments {
            match (segment, rest.next()) {
                (Segment::Literal(own), Some(other)) if segment_is(other, own) => {}
                (Segment::Any | Segment::Parameter(_), Some(other)) if !other.is_empty() => {}
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
            && self.segments.iter().zip(&other.segments).all(|(own, theirs)| !matches!(own, Segment::Literal(_)) || own == theirs)
    }
}

impl fmt::Display for PathPattern {
    /// As it is written, without escapes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.segments {
            match segment {
                Segment::Literal(text) => write!(f, "/{text}")?,
                Segment::Any => f.write_str("/*")?,
                Segment::Parameter(name) => write!(f, "/{{{name}}}")?,
            }
        }
        match (self.and_below, self.segments.is_empty()) {
            (true, _) => f.write_str("/**"),
            (false, true) => f.write_str("/"),
            (false, false) => Ok(()),
        }
    }
}

impl Segment {
    fn parse(text: &str) -> Result<Self, PatternFault> {
        if text == "*" {
            return Ok(Self::Any);
        }
        if !text.contains(['{', '}']) {
            return literal(text).map(Self::Literal);
        }
        let name = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).ok_or(PatternFault::Name)?;
        let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        let begins = name.starts_with(|first: char| first.is_ascii_lowercase());
        if plain && begins && name.len() <= NAME_LIMIT { Ok(Self::Parameter(name.into())) } else { Err(PatternFault::Name) }
    }
}

impl Parameters {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| **own == *name).map(|(_, value)| &**value)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
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
            ("/t/{tenant}/x", "/t/acme/x", true),
            ("/t/{tenant}", "/t/", false),
            ("/t/{tenant}/**", "/t/acme", true),
            ("/t/{tenant}/**", "/t", false),
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
    fn a_named_segment_says_what_every_server_reads() {
        let captured = |pattern: &str, path: &str| {
            let (pattern, path) = (PathPattern::parse(pattern).unwrap(), CleanPath::parse(path.as_bytes()).unwrap());
            assert!(pattern.matches(&path), "{path:?}");
            pattern.capture(&path).iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
        };
        for (pattern, path, expected) in [
            ("/t/{tenant}/**", "/t/acme/x", "tenant=acme"),
            ("/t/{tenant}/**", "/t/%61cme", "tenant=acme"),
            ("/t/{tenant}/**", "/t/caf%c3%a9/x/y", "tenant=caf\u{e9}"),
            ("/t/{tenant}/**", "/t/a%40b", "tenant=a@b"),
            ("/{a}/*/{b_2}", "/1/2/3/", "a=1 b_2=3"),
            ("/t/*", "/t/acme", ""),
        ] {
            assert_eq!(captured(pattern, path), expected, "{path}");
        }
    }

    #[test]
    fn a_name_is_a_whole_segment_and_stands_there_once() {
        for bad in ["/{}", "/{A}", "/{1a}", "/{a-b}", "/x{a}", "/{a}x", "/{a", "/a}", "/{a}{b}", "/{{a}}", "/{a}/{a}"] {
            assert!(PathPattern::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(PathPattern::parse("/{a}/x/{b1_}/**").unwrap().parameters().collect::<Vec<_>>(), ["a", "b1_"]);
        assert!(PathPattern::parse(&"/a".repeat(SEGMENT_LIMIT)).is_ok());
        assert_eq!(PathPattern::parse(&"/a".repeat(SEGMENT_LIMIT + 1)), Err(PatternFault::TooLong));
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
        assert!(covers("/t/{tenant}/**", "/t/acme") && covers("/t/{tenant}", "/t/*") && covers("/t/*", "/t/{tenant}"));
        assert!(!covers("/t/acme", "/t/{tenant}"));
    }
}
