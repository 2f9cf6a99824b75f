//! The request that another proxy asks about, read from the one place where its kind of proxy says it.
//!
//! Each field must be there exactly once. Fields of other kinds of proxies are not looked at: a client may have sent them.

use std::net::{IpAddr, Ipv4Addr};

use doorward_policy::access::DenyReason;
use doorward_policy::request::Target;
use http::header::AsHeaderName;
use http::{HeaderMap, HeaderName, Method};
use ipnet::IpNet;

use crate::incoming::{Told, told_client};

/// Proxies that a request may have come through before it reached the one that asks.
const HOPS: usize = 64;

static FORWARDED_METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
static FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");
static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static ORIGINAL_URL: HeaderName = HeaderName::from_static("x-original-url");
static ORIGINAL_METHOD: HeaderName = HeaderName::from_static("x-original-method");

/// What was asked of the other proxy.
#[derive(Debug)]
pub struct Original {
    pub target: Target,
    /// The client's address as the other proxy tells it; unspecified where it does not.
    pub client: IpAddr,
    pub scheme: Scheme,
}

/// How the client reached the other proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scheme {
    pub tls: bool,
    /// `ws` or `wss`: a WebSocket handshake.
    pub websocket: bool,
}

impl Scheme {
    pub const HTTPS: Self = Self { tls: true, websocket: false };

    fn parse(text: &[u8]) -> Result<Self, DenyReason> {
        match text {
            b"https" => Ok(Self::HTTPS),
            b"http" => Ok(Self { tls: false, websocket: false }),
            // A handshake: Traefik's word for it, where its entry point wrote the field, and ours in what `snippet` prints.
            b"wss" => Ok(Self { tls: true, websocket: true }),
            b"ws" => Ok(Self { tls: false, websocket: true }),
            _ => Err(DenyReason::HookSource),
        }
    }
}

/// `X-Forwarded-Method`, `-Proto`, `-Host`, `-Uri` and `-For`: Traefik, Caddy, HAProxy.
///
/// # Errors
/// [`DenyReason::HookSource`] when one is missing, doubled or empty; [`Target`]'s reasons.
pub fn x_forwarded(headers: &HeaderMap, trusted: &[IpNet]) -> Result<Original, DenyReason> {
    let scheme = Scheme::parse(one(headers, &FORWARDED_PROTO)?)?;
    let method = one(headers, &FORWARDED_METHOD)?;
    let target = target(method, one(headers, &FORWARDED_HOST)?, one(headers, &FORWARDED_URI)?)?;
    let client = client(headers, trusted)?.ok_or(DenyReason::HookSource)?;
    Ok(Original { target, client, scheme })
}

/// `X-Original-URL` and `X-Original-Method`: nginx and ingress-nginx.
///
/// # Errors
/// As for [`x_forwarded`].
pub fn x_original(headers: &HeaderMap, trusted: &[IpNet]) -> Result<Original, DenyReason> {
    let url = one(headers, &ORIGINAL_URL)?;
    let colon = url.iter().position(|b| *b == b':').ok_or(DenyReason::HookSource)?;
    let scheme = Scheme::parse(&url[..colon])?;
    let rest = url[colon..].strip_prefix(b"://").ok_or(DenyReason::HookSource)?;
    // RFC 3986 §3.2: the authority ends with the first of these; a request target begins with the first of them only.
    let end = rest.iter().position(|b| matches!(b, b'/' | b'?' | b'#')).ok_or(DenyReason::HookSource)?;
    let (authority, path) = rest.split_at(end);
    let target = target(one(headers, &ORIGINAL_METHOD)?, authority, path)?;
    Ok(Original { target, client: client(headers, trusted)?.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), scheme })
}

/// The question's own method, host and path: Envoy over HTTP, and browsers on their way to our own endpoints.
///
/// # Errors
/// As for [`x_forwarded`]; `X-Forwarded-Proto` and `-For` may be missing.
pub fn plain(method: &Method, authority: &[u8], path: &[u8], headers: &HeaderMap, trusted: &[IpNet]) -> Result<Original, DenyReason> {
    let scheme = if headers.contains_key(&FORWARDED_PROTO) { Scheme::parse(one(headers, &FORWARDED_PROTO)?)? } else { Scheme::HTTPS };
    let target = Target::parse(method, authority, path)?;
    Ok(Original { target, client: client(headers, trusted)?.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), scheme })
}

pub(super) fn target(method: &[u8], host: &[u8], path: &[u8]) -> Result<Target, DenyReason> {
    let method = Method::from_bytes(method).map_err(|_| DenyReason::HookSource)?;
    Target::parse(&method, host, path).map_err(DenyReason::from)
}

/// The fields of [`x_forwarded`].
pub const X_FORWARDED: &[&str] = &["x-forwarded-method", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-uri", "x-forwarded-for"];
/// Those of [`x_original`].
pub const X_ORIGINAL: &[&str] = &["x-original-url", "x-original-method"];

/// Whether a field is there, once and with a value.
pub fn is_told(headers: &HeaderMap, name: &&'static str) -> bool {
    one(headers, *name).is_ok() || (*name == "x-forwarded-for" && matches!(told_client(headers, &[]), Told::Client(_)))
}

/// HOOK-02: exactly one value, and not an empty one.
fn one(headers: &HeaderMap, name: impl AsHeaderName) -> Result<&[u8], DenyReason> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) if !value.is_empty() => Ok(value.as_bytes()),
        _ => Err(DenyReason::HookSource),
    }
}

/// `None` where nobody is told. The last entry is the asking proxy's own.
fn client(headers: &HeaderMap, trusted: &[IpNet]) -> Result<Option<IpAddr>, DenyReason> {
    let commas = |value: &http::HeaderValue| 1 + value.as_bytes().iter().filter(|b| **b == b',').count();
    if headers.get_all(&FORWARDED_FOR).iter().map(commas).sum::<usize>() > HOPS {
        return Err(DenyReason::HookSource);
    }
    match told_client(headers, trusted) {
        Told::Nobody => Ok(None),
        Told::Client(client) => Ok(Some(client)),
        Told::Unreadable => Err(DenyReason::HookSource),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const FORWARDED: &[(&str, &str)] = &[
        ("x-forwarded-method", "GET"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "app.example"),
        ("x-forwarded-uri", "/a?b=c"),
        ("x-forwarded-for", "192.0.2.7"),
    ];
    const ORIGINAL: &[(&str, &str)] = &[("x-original-method", "GET"), ("x-original-url", "https://app.example:8443/a?b=c")];

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    /// `fields` with one of them changed (`None`: left out).
    fn with<'f>(fields: &[(&'f str, &'f str)], name: &str, value: Option<&'f str>) -> HeaderMap {
        let changed = fields.iter().filter_map(|(at, old)| match (*at == name, value) {
            (false, _) => Some((*at, *old)),
            (true, Some(value)) => Some((*at, value)),
            (true, None) => None,
        });
        headers(&changed.collect::<Vec<_>>())
    }

    #[test]
    fn hook_02_each_field_is_there_exactly_once() {
        let good = x_forwarded(&headers(FORWARDED), &[]).unwrap();
        assert_eq!((good.target.host().name(), good.target.path_and_query().as_str()), ("app.example", "/a?b=c"));
        assert_eq!((good.client, good.scheme), ("192.0.2.7".parse().unwrap(), Scheme::HTTPS));
        for (name, value) in FORWARDED {
            assert_eq!(x_forwarded(&with(FORWARDED, name, None), &[]).unwrap_err(), DenyReason::HookSource, "no {name}");
            let empty = x_forwarded(&with(FORWARDED, name, Some("")), &[]).unwrap_err();
            assert_eq!(empty, DenyReason::HookSource, "empty {name}");
            if *name != "x-forwarded-for" {
                let twice: Vec<_> = FORWARDED.iter().copied().chain([(*name, *value)]).collect();
                assert_eq!(x_forwarded(&headers(&twice), &[]).unwrap_err(), DenyReason::HookSource, "two of {name}");
            }
        }
        let good = x_original(&headers(ORIGINAL), &[]).unwrap();
        assert_eq!((good.target.host().port(), good.target.path_and_query().as_str()), (Some(8443), "/a?b=c"));
        assert!(good.client.is_unspecified());
        for (name, value) in ORIGINAL {
            assert_eq!(x_original(&with(ORIGINAL, name, None), &[]).unwrap_err(), DenyReason::HookSource);
            let twice: Vec<_> = ORIGINAL.iter().copied().chain([(*name, *value)]).collect();
            assert_eq!(x_original(&headers(&twice), &[]).unwrap_err(), DenyReason::HookSource);
        }
    }

    #[test]
    fn hook_04_paths_hosts_and_methods_are_judged_as_everywhere() {
        for (name, value, reason) in [
            ("x-forwarded-uri", "/a/../b", DenyReason::BadRequest),
            ("x-forwarded-uri", "/a%2fb", DenyReason::BadRequest),
            ("x-forwarded-uri", "//a", DenyReason::BadRequest),
            ("x-forwarded-uri", "a", DenyReason::BadRequest),
            ("x-forwarded-uri", "https://app.example/a", DenyReason::BadRequest),
            ("x-forwarded-uri", "/a#b", DenyReason::BadRequest),
            ("x-forwarded-uri", "/\u{e9}", DenyReason::BadRequest),
            ("x-forwarded-host", "app.example/a", DenyReason::BadRequest),
            ("x-forwarded-host", "user@app.example", DenyReason::BadRequest),
            ("x-forwarded-host", "app.example, other.example", DenyReason::BadRequest),
            ("x-forwarded-method", "get", DenyReason::MethodNotServed),
            ("x-forwarded-method", "TRACE", DenyReason::MethodNotServed),
            ("x-forwarded-method", "GET POST", DenyReason::HookSource),
            ("x-forwarded-proto", "https,http", DenyReason::HookSource),
            ("x-forwarded-proto", "HTTPS", DenyReason::HookSource),
            ("x-forwarded-for", "unknown", DenyReason::HookSource),
        ] {
            assert_eq!(x_forwarded(&with(FORWARDED, name, Some(value)), &[]).unwrap_err(), reason, "{name}: {value}");
        }
        let long = format!("/{}", "a".repeat(9 * 1024));
        assert_eq!(x_forwarded(&with(FORWARDED, "x-forwarded-uri", Some(&long)), &[]).unwrap_err(), DenyReason::UriTooLong);
        for url in
            ["app.example/a", "ftp://app.example/a", "https://app.example", "https://app.example?x", "https:///a", "https://a b/", "//a/"]
        {
            let headers = with(ORIGINAL, "x-original-url", Some(url));
            assert!(x_original(&headers, &[]).is_err(), "{url}");
        }
    }

    #[test]
    fn hook_02_a_list_of_thousands_of_proxies_is_refused() {
        let many = |n: usize| vec!["192.0.2.1"; n].join(",");
        assert!(x_forwarded(&with(FORWARDED, "x-forwarded-for", Some(&many(HOPS))), &[]).is_ok());
        for n in [HOPS + 1, 5000] {
            assert_eq!(x_forwarded(&with(FORWARDED, "x-forwarded-for", Some(&many(n))), &[]).unwrap_err(), DenyReason::HookSource);
        }
    }

    #[test]
    fn hook_03_fields_of_other_kinds_of_proxies_are_not_looked_at() {
        let foreign = [("x-original-url", "https://other.example/admin"), ("x-rewrite-url", "/admin"), ("x-original-uri", "/admin")];
        let mixed: Vec<_> = FORWARDED.iter().copied().chain(foreign).collect();
        assert_eq!(x_forwarded(&headers(&mixed), &[]).unwrap().target.path().as_str(), "/a");
        let foreign = [("x-forwarded-uri", "/admin"), ("x-forwarded-host", "other.example"), ("x-forwarded-method", "POST")];
        let mixed: Vec<_> = ORIGINAL.iter().copied().chain(foreign).collect();
        let original = x_original(&headers(&mixed), &[]).unwrap();
        assert_eq!((original.target.host().name(), original.target.method()), ("app.example", &Method::GET));
    }

    #[test]
    fn websocket_schemes_are_http_schemes() {
        for (text, tls, websocket) in [("https", true, false), ("http", false, false), ("wss", true, true), ("ws", false, true)] {
            let original = x_forwarded(&with(FORWARDED, "x-forwarded-proto", Some(text)), &[]).unwrap();
            assert_eq!(original.scheme, Scheme { tls, websocket }, "{text}");
        }
    }
}
