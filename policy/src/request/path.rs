//! A path in its one form.

use std::borrow::Cow;

/// Longest path accepted, in bytes.
pub const PATH_LIMIT: usize = 8 * 1024;

/// An absolute path: no empty, `.` or `..` segment, every escape in upper case, nothing escaped that need not be.
///
/// Only made by [`CleanPath::parse`]. Browsers resolve dot segments before they send, so refusing them costs nobody
/// anything and leaves an app behind us nothing to resolve differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CleanPath {
    text: Box<str>,
    has_parameters: bool,
}

/// Why a path is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathFault {
    #[error("request target is not an absolute path")]
    NotAbsolute,
    #[error("path is longer than {PATH_LIMIT} bytes")]
    TooLong,
    #[error("path holds a byte that must be escaped")]
    Byte,
    #[error("path holds a broken escape")]
    Escape,
    #[error("path holds an escaped separator, control byte or second escape")]
    HiddenByte,
    #[error("escapes in the path are not UTF-8")]
    NotUtf8,
    #[error("path holds an empty, `.` or `..` segment")]
    Segment,
}

impl CleanPath {
    /// Reads the path part of an origin-form request target (RFC 9112 §3.2.1).
    ///
    /// # Errors
    /// [`PathFault`] for every path that some program behind us could read differently.
    pub fn parse(raw: &[u8]) -> Result<Self, PathFault> {
        if raw.first() != Some(&b'/') {
            return Err(PathFault::NotAbsolute);
        }
        if raw.len() > PATH_LIMIT {
            return Err(PathFault::TooLong);
        }
        // Most paths are clean as they come: they are looked at once, and copied as they are.
        let (text, has_parameters) = match std::str::from_utf8(raw) {
            Ok(text) if raw.iter().all(|byte| is_itself(*byte)) => (Box::from(text), false),
            _ => {
                let text = unescape_unreserved(raw)?;
                if hides_an_escape(&text) {
                    return Err(PathFault::HiddenByte);
                }
                let has_parameters = text.contains(';') || text.contains("%3B");
                (text.into(), has_parameters)
            }
        };
        check_segments(&text, has_parameters)?;
        Ok(Self { text, has_parameters })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The segments after the leading slash; the last is empty when the path ends in one.
    pub fn segments(&self) -> impl Iterator<Item = &str> + Clone {
        let mut rest = Some(&self.text[1..]);
        // Segments are short: nothing finds their ends sooner than looking at each byte.
        std::iter::from_fn(move || {
            let text = rest?;
            let Some(end) = text.bytes().position(|byte| byte == b'/') else { return rest.take() };
            rest = Some(&text[end + 1..]);
            Some(&text[..end])
        })
    }

    /// What follows `prefix`, by whole segments and as it came; `None` when the path is not below it.
    pub fn after(&self, prefix: &str) -> Option<&str> {
        let mut rest = self.as_str();
        for wanted in prefix.split('/').filter(|segment| !segment.is_empty()) {
            let tail = rest.strip_prefix('/')?;
            let (segment, after) = tail.split_at(tail.find('/').unwrap_or(tail.len()));
            if !segment_is(segment, &decode_segment(wanted)) {
                return None;
            }
            rest = after;
        }
        Some(rest)
    }

    /// The path as a server sees it that cuts `;parameters` off each segment and merges slashes (Tomcat, nginx):
    /// `None` when that is the same path.
    ///
    /// A rule is only believed when both readings lead to it.
    pub fn without_parameters(&self) -> Option<CleanPath> {
        if !self.has_parameters {
            return None;
        }
        let mut text = String::with_capacity(self.text.len());
        for segment in self.segments() {
            let name = segment_name(segment);
            if !name.is_empty() {
                text.push('/');
                text.push_str(name);
            }
        }
        if text.is_empty() || self.text.ends_with('/') {
            text.push('/');
        }
        Some(Self { text: text.into(), has_parameters: false })
    }
}

/// What a segment says. Separators, control bytes and second escapes were refused, so every server that decodes it once
/// reads the same: rules compare this, or `/%40admin` would pass a rule for `/@admin` by.
pub(crate) fn decode_segment(raw: &str) -> Cow<'_, str> {
    if !raw.bytes().any(|byte| byte == b'%') {
        return Cow::Borrowed(raw);
    }
    percent_encoding::percent_decode_str(raw).decode_utf8_lossy()
}

/// Whether a segment as it came says `decoded`. Allocates for segments with escapes only.
pub(crate) fn segment_is(raw: &str, decoded: &str) -> bool {
    decode_segment(raw) == decoded
}

/// Whether a byte stands for nothing but itself, and begins no parameters: what [`unescape_unreserved`] leaves as it came.
fn is_itself(byte: u8) -> bool {
    (0x21..=0x7e).contains(&byte) && !matches!(byte, b'%' | b';' | b'"' | b'#' | b'<' | b'>' | b'?' | b'\\' | b'`' | b'{' | b'}')
}

/// RFC 3986 §6.2.2: upper-case escapes, unreserved characters unescaped. Everything else stays as it came.
fn unescape_unreserved(raw: &[u8]) -> Result<String, PathFault> {
    let mut text = String::with_capacity(raw.len());
    let mut beyond_ascii = false;
    let mut rest = raw;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'%' => {
                let (&[high, low], tail) = rest.split_first_chunk().ok_or(PathFault::Escape)?;
                rest = tail;
                let (high_value, low_value) = (hex(high).ok_or(PathFault::Escape)?, hex(low).ok_or(PathFault::Escape)?);
                let value = high_value << 4 | low_value;
                match value {
                    0x00..=0x1f | 0x7f | b'/' | b'\\' => return Err(PathFault::HiddenByte),
                    b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => text.push(char::from(value)),
                    _ => {
                        beyond_ascii |= value >= 0x80;
                        text.push('%');
                        text.push(char::from(high.to_ascii_uppercase()));
                        text.push(char::from(low.to_ascii_uppercase()));
                    }
                }
            }
            // `|` and `^` are what browsers leave raw in a path beside RFC 3986 §3.3's pchar.
            b'"' | b'#' | b'<' | b'>' | b'?' | b'\\' | b'`' | b'{' | b'}' => return Err(PathFault::Byte),
            0x21..=0x7e => text.push(char::from(byte)),
            _ => return Err(PathFault::Byte),
        }
    }
    if beyond_ascii && percent_encoding::percent_decode_str(&text).decode_utf8().is_err() {
        return Err(PathFault::NotUtf8);
    }
    Ok(text)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// `%25` followed by two hex digits: whoever decodes twice sees another path than we do.
fn hides_an_escape(text: &str) -> bool {
    text.match_indices("%25").any(|(at, _)| text.as_bytes().get(at + 3..at + 5).is_some_and(|next| next.iter().all(u8::is_ascii_hexdigit)))
}

fn check_segments(text: &str, has_parameters: bool) -> Result<(), PathFault> {
    let mut rest = &text.as_bytes()[1..];
    loop {
        let end = rest.iter().position(|byte| *byte == b'/');
        let segment = &rest[..end.unwrap_or(rest.len())];
        // `..;x` is `..` to a server that cuts parameters off.
        let name =
            if has_parameters { segment_name(std::str::from_utf8(segment).map_err(|_| PathFault::NotUtf8)?).as_bytes() } else { segment };
        if (segment.is_empty() && end.is_some()) || matches!(name, b"." | b"..") {
            return Err(PathFault::Segment);
        }
        let Some(end) = end else { return Ok(()) };
        rest = &rest[end + 1..];
    }
}

/// A segment up to its first `;`, escaped or not.
fn segment_name(segment: &str) -> &str {
    let raw = segment.find(';').unwrap_or(segment.len());
    let escaped = segment.find("%3B").unwrap_or(segment.len());
    &segment[..raw.min(escaped)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(path: &str) -> Result<String, PathFault> {
        CleanPath::parse(path.as_bytes()).map(|path| path.as_str().to_owned())
    }

    #[test]
    fn path_01_to_06_dot_segments_are_refused() {
        for bad in ["/public/../admin", "/public/./../admin", "/admin/../public", "/..", "/public/..", "/./admin", "/."] {
            assert_eq!(parse(bad), Err(PathFault::Segment), "{bad}");
        }
        for good in ["/public/..admin", "/public/.well-known", "/a...b", "/.../x"] {
            assert_eq!(parse(good).as_deref(), Ok(good));
        }
    }

    #[test]
    fn path_07_to_14_escaped_dots_are_dots() {
        for bad in ["/public/%2e%2e/admin", "/%2E/admin", "/public/.%2e/x", "/public/%2e./x"] {
            assert_eq!(parse(bad), Err(PathFault::Segment), "{bad}");
        }
        for bad in ["/public/%252e%252e/admin", "/%2525%2532e", "/x/%25%32%65", "/public/..%00/"] {
            assert_eq!(parse(bad), Err(PathFault::HiddenByte), "{bad}");
        }
        assert_eq!(parse("/public/%c0%ae%c0%ae/"), Err(PathFault::NotUtf8));
        assert_eq!(parse("/public/%2e%2ehidden"), Ok("/public/..hidden".into()));
        assert_eq!(parse("/100%25"), Ok("/100%25".into()));
        assert_eq!(parse("/100%25%20off"), Ok("/100%25%20off".into()));
    }

    #[test]
    fn path_15_to_22_escaped_separators_are_refused_and_letters_unescaped() {
        for bad in ["/public/..%2fadmin", "/public%2F..", "/admin%2fx", "/public/..%5cadmin", "/a%5C"] {
            assert_eq!(parse(bad), Err(PathFault::HiddenByte), "{bad}");
        }
        assert_eq!(parse("/public\\..\\admin"), Err(PathFault::Byte));
        assert_eq!(parse("/%61dmin"), Ok("/admin".into()));
        assert_eq!(parse("/adm%69n/x"), Ok("/admin/x".into()));
    }

    #[test]
    fn path_23_to_28_empty_segments_are_refused() {
        for bad in ["//admin", "/public//../admin", "///", "/admin//x", "//"] {
            assert_eq!(parse(bad), Err(PathFault::Segment), "{bad}");
        }
        assert_eq!(parse("/admin/"), Ok("/admin/".into()));
        assert_eq!(parse("/"), Ok("/".into()));
    }

    #[test]
    fn path_35_to_39_fragments_and_queries_do_not_hide_in_a_path() {
        assert_eq!(parse("/admin#x"), Err(PathFault::Byte));
        assert_eq!(parse("/admin%23x"), Ok("/admin%23x".into()));
        assert_eq!(parse("/public/%3f/x"), Ok("/public/%3F/x".into()));
        for bad in ["", "admin", "*", "http://a/x", "?x"] {
            assert_eq!(parse(bad), Err(PathFault::NotAbsolute), "{bad}");
        }
    }

    #[test]
    fn path_40_to_46_parameters_have_a_second_reading() {
        let second = |path: &str| CleanPath::parse(path.as_bytes()).unwrap().without_parameters().map(|p| p.as_str().to_owned());
        assert_eq!(second("/admin;x=1"), Some("/admin".into()));
        assert_eq!(second("/;x/admin"), Some("/admin".into()));
        assert_eq!(second("/public/%3b/admin"), Some("/public/admin".into()));
        assert_eq!(second("/a;b=c/admin/"), Some("/a/admin/".into()));
        assert_eq!(second("/;"), Some("/".into()));
        assert_eq!(second("/plain"), None);
        for bad in ["/public/..;/admin", "/public/..%3bx/admin", "/public;/../admin", "/.;/x"] {
            assert_eq!(parse(bad), Err(PathFault::Segment), "{bad}");
        }
    }

    #[test]
    fn path_47_to_52_broken_and_control_escapes_are_refused() {
        for bad in ["/%u0061dmin", "/%", "/%zz", "/%4", "/a%"] {
            assert_eq!(parse(bad), Err(PathFault::Escape), "{bad}");
        }
        for bad in ["/admin%00", "/%0d%0a", "/%7f", "/%1F"] {
            assert_eq!(parse(bad), Err(PathFault::HiddenByte), "{bad}");
        }
        for bad in [&b"/adm\xffin"[..], b"/\xc0\xafadmin", "/\u{ff41}dmin".as_bytes(), b"/a b", b"/a\tb", b"/a\x00b"] {
            assert_eq!(CleanPath::parse(bad).map(|_| ()), Err(PathFault::Byte), "{bad:?}");
        }
        assert_eq!(parse("/adm%ffin"), Err(PathFault::NotUtf8));
        assert_eq!(parse("/%e2%9c%93"), Ok("/%E2%9C%93".into()));
    }

    #[test]
    fn path_53_a_path_has_a_limit() {
        let long = |n: usize| format!("/{}", "a".repeat(n - 1));
        assert!(parse(&long(PATH_LIMIT)).is_ok());
        assert_eq!(parse(&long(PATH_LIMIT + 1)), Err(PathFault::TooLong));
    }

    /// What several well-known servers make of a path. Each returns the segments it would route by.
    fn other_readings(path: &str) -> Vec<Vec<String>> {
        let decode = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
        let resolve = |text: &str| {
            let mut stack: Vec<String> = Vec::new();
            for segment in text.split(['/', '\\']) {
                match segment {
                    "" | "." => {}
                    ".." => drop(stack.pop()),
                    other => stack.push(other.to_owned()),
                }
            }
            stack
        };
        let cut = |text: &str| text.split('/').map(|s| s.split(';').next().unwrap_or("")).collect::<Vec<_>>().join("/");
        let once = decode(path);
        vec![
            resolve(path),
            resolve(&once),
            resolve(&decode(&once)),
            resolve(&cut(path)),
            resolve(&cut(&once)),
            resolve(&decode(&cut(path))),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn path_58_whoever_reads_it_no_accepted_path_reaches_admin_unless_we_see_it(
            parts in prop::collection::vec(prop::sample::select(vec![
                "/", "//", ".", "..", "%2e", "%2E%2e", "%252e", "%2f", "%5c", "\\", ";", "%3b", ";x=1", "public", "admin", "%61dmin", "%", "%25", "25", "x", "%00", "#", "?", "2f",
                "@", "%40", ":", "%3a", "%2A", "*", "%28", "+", "%2b", "%7C",
            ]), 1..9)
        ) {
            let raw = format!("/{}", parts.concat());
            let raw = raw.split('?').next().unwrap_or("");
            if let Ok(path) = CleanPath::parse(raw.as_bytes()) {
                let seen = |path: &CleanPath| path.segments().find(|s| !s.is_empty()) == Some("admin");
                let ours = seen(&path) || path.without_parameters().is_some_and(|p| seen(&p));
                for reading in other_readings(raw) {
                    prop_assert!(reading.first().map(String::as_str) != Some("admin") || ours, "{raw} read as {reading:?}");
                }
            }
        }

        /// The short way is taken only where the long one would change nothing.
        #[test]
        fn path_same_what_is_clean_as_it_comes_is_what_cleaning_makes_of_it(raw in "/[ -~]{0,24}") {
            if raw.bytes().all(is_itself) {
                prop_assert_eq!(unescape_unreserved(raw.as_bytes()), Ok(raw.clone()));
                prop_assert!(!hides_an_escape(&raw) && raw.split('/').all(|segment| segment_name(segment) == segment));
            }
        }

        #[test]
        fn path_same_cleaning_twice_changes_nothing(raw in "/[ -~]{0,40}") {
            if let Ok(path) = CleanPath::parse(raw.as_bytes()) {
                let again = CleanPath::parse(path.as_str().as_bytes());
                prop_assert_eq!(again.as_ref(), Ok(&path));
            }
        }
    }
}
