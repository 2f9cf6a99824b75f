//! Cookies as bytes between semicolons: no unquoting, no `$Version`, no trimming beyond space and tab.
//!
//! A name is ours when it is exactly ours; anything that merely looks like it is the app's business.

use memchr::memchr;

/// One `name=value` as it stands in the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cookie<'h> {
    pub name: &'h [u8],
    pub value: &'h [u8],
    /// Both with what stood between the semicolons, trimmed.
    pub pair: &'h [u8],
}

/// The cookies of all `Cookie` fields (RFC 6265 §4.2.1; RFC 9113 §8.2.3 lets HTTP/2 split them).
pub fn cookies<'h>(fields: impl IntoIterator<Item = &'h [u8]>) -> impl Iterator<Item = Cookie<'h>> {
    fields.into_iter().flat_map(pairs).filter_map(|pair| {
        let pair = trim(pair);
        if pair.is_empty() {
            return None;
        }
        // A pair without `=` is a nameless cookie to browsers: never one of ours.
        let at = pair.iter().position(|b| *b == b'=');
        let (name, value) = at.map_or((&b""[..], pair), |at| (&pair[..at], &pair[at + 1..]));
        Some(Cookie { name, value, pair })
    })
}

/// What stands between semicolons. A session is a long cookie: they are looked for many bytes at once.
fn pairs(field: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(field);
    std::iter::from_fn(move || {
        let field = rest?;
        let Some(at) = memchr(b';', field) else { return rest.take() };
        rest = Some(&field[at + 1..]);
        Some(&field[..at])
    })
}

fn trim(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|b| !matches!(b, b' ' | b'\t')).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(|b| !matches!(b, b' ' | b'\t')).map_or(start, |at| at + 1);
    &bytes[start..end]
}

/// What a request says under one cookie name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found<'h> {
    Absent,
    One(&'h [u8]),
    /// Twice: somebody planted one of them, and which is not for us to guess.
    Ambiguous,
}

/// Looks for the cookie called exactly `name`.
pub fn find<'h>(fields: impl IntoIterator<Item = &'h [u8]>, name: &str) -> Found<'h> {
    let mut found = Found::Absent;
    for cookie in cookies(fields) {
        if cookie.name == name.as_bytes() {
            match found {
                Found::Absent => found = Found::One(cookie.value),
                Found::One(_) | Found::Ambiguous => return Found::Ambiguous,
            }
        }
    }
    found
}

/// The `Cookie` field for the app: every cookie but those `ours` names, byte for byte; `None` when none is left.
pub fn without_ours<'h>(fields: impl IntoIterator<Item = &'h [u8]>, ours: impl Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
    let mut kept: Vec<u8> = Vec::new();
    for cookie in cookies(fields) {
        if ours(cookie.name) {
            continue;
        }
        if !kept.is_empty() {
            kept.extend_from_slice(b"; ");
        }
        kept.extend_from_slice(cookie.pair);
    }
    (!kept.is_empty()).then_some(kept)
}

/// The cookie name of an upstream's `Set-Cookie` value.
pub fn set_cookie_name(value: &[u8]) -> &[u8] {
    let end = value.iter().position(|b| matches!(b, b'=' | b';')).unwrap_or(value.len());
    trim(&value[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NAME: &str = "__Host-doorward";

    fn find_in(field: &str) -> Found<'_> {
        find([field.as_bytes()], NAME)
    }

    #[test]
    fn cookie_01_a_name_that_comes_twice_is_nobodys() {
        assert_eq!(find_in("__Host-doorward=a; x=1; __Host-doorward=a"), Found::Ambiguous);
        assert_eq!(find([&b"__Host-doorward=a"[..], b"__Host-doorward=b"], NAME), Found::Ambiguous);
        assert_eq!(find_in("__Host-doorward=a; x=1"), Found::One(b"a"));
    }

    #[test]
    fn cookie_02_names_that_only_look_like_ours_are_not() {
        for field in [
            "\u{2000}__Host-doorward=v",
            "__Host-doorward =v",
            "__host-doorward=v",
            "\"__Host-doorward\"=v",
            "=__Host-doorward=v",
            "__Host%2Ddoorward=v",
            "__Host-doorward",
            "x=\"a; __Host-doorwardx=v\"",
            "__Host-doorward\u{b}=v",
            "$Path=/,__Host-doorward=v",
        ] {
            assert_eq!(find_in(field), Found::Absent, "{field:?}");
        }
        for field in ["__Host-doorward=v", "a=b;__Host-doorward=v", "a=b;\t __Host-doorward=v ", ";;__Host-doorward=v"] {
            assert_eq!(find_in(field), Found::One(b"v"), "{field:?}");
        }
    }

    #[test]
    fn cookie_03_crumbs_and_lines_are_one_list() {
        let crumbs: [&[u8]; 3] = [b"a=1", b"__Host-doorward=v", b"b=2; c=3"];
        assert_eq!(find(crumbs, NAME), Found::One(b"v"));
        assert_eq!(without_ours(crumbs, |name| name == NAME.as_bytes()).as_deref(), Some(&b"a=1; b=2; c=3"[..]));
    }

    #[test]
    fn cookie_06_the_apps_cookies_stay_byte_for_byte() {
        let ours = |name: &[u8]| name.starts_with(NAME.as_bytes());
        let kept = |field: &str| without_ours([field.as_bytes()], ours).map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(kept("a=\"q; uoted\"; __Host-doorward=v;b==;c").as_deref(), Some("a=\"q; uoted\"; b==; c"));
        assert_eq!(kept("__Host-doorward=v;__Host-doorward-attempt.1=x"), None);
        assert_eq!(kept(""), None);
    }

    #[test]
    fn cookie_07_the_name_in_a_set_cookie() {
        for (value, name) in [("__Host-doorward=; Path=/", NAME), (" __Host-doorward =x", NAME), ("flag", "flag"), ("a;b=c", "a"), ("", "")]
        {
            assert_eq!(set_cookie_name(value.as_bytes()), name.as_bytes(), "{value}");
        }
    }

    proptest! {
        #[test]
        fn cookie_06_what_is_forwarded_never_holds_our_name(field in "[a=; \t_Hostdrwad-]{0,60}(__Host-doorward=x)?[;= a]{0,6}(__Host-doorward)?=?") {
            let kept = without_ours([field.as_bytes()], |name| name == NAME.as_bytes()).unwrap_or_default();
            prop_assert_eq!(find([&kept[..]], NAME), Found::Absent);
        }
    }
}
