//! A request as it came, read once: where it goes, and who is said to have sent it.

use std::net::IpAddr;

use doorward_config::settings::Limits;
use doorward_policy::access::DenyReason;
use doorward_policy::request::Target;
use http::{HeaderMap, HeaderName, Version, header};
use ipnet::IpNet;
use pingora::http::RequestHeader;

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Entries of `X-Forwarded-For` that are looked at.
const HOPS: usize = 32;

/// Method, authority and path of a request on its way to an app.
///
/// # Errors
/// [`DenyReason`] for what is too large, or could be read in two ways.
pub fn target(request: &RequestHeader, limits: &Limits) -> Result<Target, DenyReason> {
    check_fields(&request.headers, limits)?;
    Target::parse(&request.method, authority(request)?, raw_target(request)).map_err(DenyReason::from)
}

/// Size and number of all fields, and HDR-05: fields that decide something come once.
///
/// # Errors
/// [`DenyReason::HeaderTooLarge`], [`DenyReason::BadRequest`].
pub fn check_fields(headers: &HeaderMap, limits: &Limits) -> Result<(), DenyReason> {
    let mut size = 0;
    let mut once = [(header::ORIGIN, 0), (header::CONTENT_TYPE, 0), (header::CONTENT_LENGTH, 0)];
    for (name, value) in headers {
        size += name.as_str().len() + value.len() + 4;
        for (deciding, times) in &mut once {
            *times += usize::from(name == deciding);
        }
    }
    // HTTP/2 crumbs count one by one (CVE-2026-47774).
    if headers.len() > limits.header_fields || size > limits.header_bytes {
        return Err(DenyReason::HeaderTooLarge);
    }
    if once.iter().any(|(_, times)| *times > 1) {
        return Err(DenyReason::BadRequest);
    }
    Ok(())
}

/// PG-07: exactly one authority; HTTP/2 has it in the target, HTTP/1 in `Host`.
///
/// # Errors
/// [`DenyReason::BadRequest`] when there is none, or two that differ.
pub fn authority(request: &RequestHeader) -> Result<&[u8], DenyReason> {
    let mut hosts = request.headers.get_all(header::HOST).iter();
    match (request.uri.authority(), hosts.next(), hosts.next()) {
        (Some(authority), None, _) => Ok(authority.as_str().as_bytes()),
        (Some(authority), Some(host), None) if authority.as_str().as_bytes().eq_ignore_ascii_case(host.as_bytes()) => Ok(host.as_bytes()),
        (None, Some(host), None) => Ok(host.as_bytes()),
        _ => Err(DenyReason::BadRequest),
    }
}

/// Path and query, byte for byte.
pub fn raw_target(request: &RequestHeader) -> &[u8] {
    match request.uri.path_and_query() {
        // HTTP/2 was parsed by h2, whose path is the only one there is.
        Some(path) if request.version == Version::HTTP_2 => path.as_str().as_bytes(),
        _ => request.raw_path(),
    }
}

/// What `X-Forwarded-For` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// There is none.
    Nobody,
    Client(IpAddr),
    /// Not an address where one is needed, or more proxies than anybody has.
    Unreadable,
}

/// The last address in `X-Forwarded-For` that is not a trusted proxy's; the first where all are.
pub fn told_client(headers: &HeaderMap, trusted: &[IpNet]) -> Told {
    let entries = headers.get_all(&X_FORWARDED_FOR).iter().rev().flat_map(|field| field.as_bytes().rsplit(|b| *b == b','));
    let mut told = Told::Nobody;
    for (hop, entry) in entries.enumerate() {
        let address = std::str::from_utf8(entry).ok().and_then(|text| text.trim().parse::<IpAddr>().ok());
        let Some(address) = address.filter(|_| hop < HOPS) else { return Told::Unreadable };
        let client = address.to_canonical();
        if client.is_unspecified() {
            return Told::Unreadable;
        }
        told = Told::Client(client);
        if !trusted.iter().any(|network| network.contains(&client)) {
            break;
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(values: &[&str], trusted: &[&str]) -> Told {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|network| network.parse().unwrap()).collect();
        told_client(&headers, &trusted)
    }

    #[test]
    fn xfwd_05_the_last_address_that_is_no_proxy_is_the_client() {
        let client = |text: &str| Told::Client(text.parse().unwrap());
        assert_eq!(told(&[], &[]), Told::Nobody);
        assert_eq!(told(&["203.0.113.9"], &[]), client("203.0.113.9"));
        assert_eq!(told(&["10.0.0.1, 203.0.113.9"], &[]), client("203.0.113.9"));
        assert_eq!(told(&["203.0.113.9", "10.0.0.1"], &["10.0.0.0/8"]), client("203.0.113.9"));
        assert_eq!(told(&["1.2.3.4, 203.0.113.9, 10.0.0.1"], &["10.0.0.0/8"]), client("203.0.113.9"));
        assert_eq!(told(&["10.0.0.2, 10.0.0.1"], &["10.0.0.0/8"]), client("10.0.0.2"));
        assert_eq!(told(&["::ffff:203.0.113.9"], &[]), client("203.0.113.9"));
        for bad in ["", "unknown", "203.0.113.9:4711", "1.2.3.4,", "_hidden", "0.0.0.0", "::"] {
            assert_eq!(told(&[bad], &[]), Told::Unreadable, "{bad}");
        }
        assert_eq!(told(&["spoofed, 203.0.113.9"], &[]), client("203.0.113.9"));
        assert_eq!(told(&["spoofed, 10.0.0.1"], &["10.0.0.0/8"]), Told::Unreadable);
        assert_eq!(told(&[&["10.0.0.1"; 33].join(",")], &["10.0.0.0/8"]), Told::Unreadable);
    }
}
