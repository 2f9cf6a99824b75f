//! What is asked: method, host and path, normalised exactly once.
//!
//! The string that picks the rule, the one that is authorised and the one sent upstream are the same string. So a
//! path that two programs could read in two ways is refused here, not repaired.

mod host;
mod path;

pub use host::{Host, HostFault, HostPattern};
pub use path::{CleanPath, PathFault};
pub(crate) use path::{decode_segment, segment_is};

use http::Method;

/// Longest query accepted, in bytes.
pub const QUERY_LIMIT: usize = 16 * 1024;

/// A request as every later step sees it. Only made by [`Target::parse`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    method: Method,
    host: Host,
    path: CleanPath,
    query: Option<Box<str>>,
}

/// Why a request has no `Target`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TargetFault {
    #[error("method is not served here")]
    Method,
    #[error(transparent)]
    Host(#[from] HostFault),
    #[error(transparent)]
    Path(#[from] PathFault),
    #[error("query holds bytes that do not belong there")]
    Query,
    #[error("query is longer than {QUERY_LIMIT} bytes")]
    QueryTooLong,
}

impl Target {
    /// Reads method, authority (`Host` or `:authority`) and the request target as they came.
    ///
    /// # Errors
    /// [`TargetFault`] when any part could be read in two ways. The caller refuses the request.
    pub fn parse(method: &Method, authority: &[u8], target: &[u8]) -> Result<Self, TargetFault> {
        check_method(method)?;
        let host = Host::parse(authority)?;
        let (path, query) = match target.iter().position(|b| *b == b'?') {
            Some(at) => (&target[..at], Some(&target[at + 1..])),
            None => (target, None),
        };
        let path = CleanPath::parse(path)?;
        let query = query.map(clean_query).transpose()?;
        Ok(Self { method: method.clone(), host, path, query })
    }

    /// The request that a preflight asks leave for (Fetch §3.2.2): the same place with another method.
    ///
    /// # Errors
    /// [`TargetFault::Method`] when that is no method we serve.
    pub fn with_method(&self, method: &[u8]) -> Result<Self, TargetFault> {
        let method = Method::from_bytes(method).map_err(|_| TargetFault::Method)?;
        check_method(&method)?;
        Ok(Self { method, ..self.clone() })
    }

    /// The same with another path: how another server reads it.
    pub(crate) fn with_path(&self, path: CleanPath) -> Self {
        Self { path, ..self.clone() }
    }

    pub fn method(&self) -> &Method {
        &self.method
    }

    pub fn host(&self) -> &Host {
        &self.host
    }

    pub fn path(&self) -> &CleanPath {
        &self.path
    }

    /// Without the `?`. Takes no part in any decision.
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// Path and query, as sent upstream when nothing is rewritten.
    pub fn path_and_query(&self) -> String {
        match self.query() {
            Some(query) => format!("{}?{query}", self.path.as_str()),
            None => self.path.as_str().to_owned(),
        }
    }
}

fn check_method(method: &Method) -> Result<(), TargetFault> {
    let method = method.as_str().as_bytes();
    if is_plain_method(method) && !is_refused_method(method) { Ok(()) } else { Err(TargetFault::Method) }
}

/// Upper-case letters, and not more than any method has.
pub(crate) fn is_plain_method(method: &[u8]) -> bool {
    (1..=32).contains(&method.len()) && method.iter().all(u8::is_ascii_uppercase)
}

/// RFC 9110 §9.3.6, §9.3.8: tunnels and echoes have no place at an edge; `TRACK` is a server's own name for an echo.
pub(crate) fn is_refused_method(method: &[u8]) -> bool {
    matches!(method, b"CONNECT" | b"TRACE" | b"TRACK")
}

/// RFC 3986 §3.4, loosened to what browsers send raw (`{`, `|`, `[` …); `#` would start a fragment.
fn clean_query(raw: &[u8]) -> Result<Box<str>, TargetFault> {
    if raw.len() > QUERY_LIMIT {
        return Err(TargetFault::QueryTooLong);
    }
    if raw.iter().any(|b| !(0x21..=0x7e).contains(b) || matches!(b, b'#' | b'"' | b'<' | b'>')) {
        return Err(TargetFault::Query);
    }
    std::str::from_utf8(raw).map(Into::into).map_err(|_| TargetFault::Query)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(method: &str, authority: &str, target: &str) -> Result<Target, TargetFault> {
        Target::parse(&Method::from_bytes(method.as_bytes()).unwrap(), authority.as_bytes(), target.as_bytes())
    }

    #[test]
    fn meth_02_only_upper_case_methods_that_are_no_tunnel() {
        for method in ["CONNECT", "TRACE", "TRACK", "get", "Get", "G-T", &"A".repeat(33)] {
            assert_eq!(parse(method, "a.example", "/"), Err(TargetFault::Method), "{method}");
        }
        for method in ["GET", "PROPFIND", "PURGE"] {
            assert!(parse(method, "a.example", "/").is_ok(), "{method}");
        }
    }

    #[test]
    fn path_35_the_query_takes_no_part_in_the_path() {
        let target = parse("GET", "a.example", "/public?/../admin").unwrap();
        assert_eq!(target.path().as_str(), "/public");
        assert_eq!(target.query(), Some("/../admin"));
        assert_eq!(target.path_and_query(), "/public?/../admin");
        assert_eq!(parse("GET", "a.example", "/x?").unwrap().query(), Some(""));
    }

    #[test]
    fn pg_05_bytes_that_others_would_escape_are_refused() {
        for query in ["/x?a\"b", "/x?a<b", "/x?a b", "/x?a#b", "/x?\u{e9}"] {
            assert_eq!(parse("GET", "a.example", query), Err(TargetFault::Query), "{query}");
        }
        assert!(parse("GET", "a.example", "/x?q={a|b}^[1]`\\'").is_ok());
    }

    #[test]
    fn a_query_has_a_limit() {
        let long = |n: usize| format!("/x?{}", "a".repeat(n));
        assert!(parse("GET", "a.example", &long(QUERY_LIMIT)).is_ok());
        assert_eq!(parse("GET", "a.example", &long(QUERY_LIMIT + 1)), Err(TargetFault::QueryTooLong));
    }
}
