//! One request, as it is put before the gate.

use std::net::{IpAddr, Ipv4Addr};

use doorward_policy::request::{Target, TargetFault};
use doorward_policy::time::Timestamp;
use doorward_proxy::gate::{Ask, Way};
use doorward_proxy::manner::Manner;
use http::header::InvalidHeaderValue;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

/// What is read there.
///
/// # Errors
/// When that is no place.
pub fn target(host: &str, path: &str) -> Result<Target, TargetFault> {
    Target::parse(&Method::GET, host.as_bytes(), path.as_bytes())
}

/// A request of a script on this machine, at `now`.
pub fn ask<'a>(target: &'a Target, headers: &'a HeaderMap, now: Timestamp) -> Ask<'a> {
    Ask {
        content: &[],
        target,
        headers,
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        manner: Manner::Script,
        way: Way::Proxy,
        request_id: "bench",
        now,
    }
}

/// The fields a browser sends, and those of a case.
///
/// # Errors
/// When one of these is no value of a field.
pub fn usual(more: &[(HeaderName, String)]) -> Result<HeaderMap, InvalidHeaderValue> {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"),
        ("accept", "*/*"),
        ("accept-language", "en-GB,en;q=0.9,de;q=0.8"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-mode", "cors"),
        ("sec-fetch-dest", "empty"),
        ("referer", "https://app.localhost/admin/users"),
    ] {
        // Not `from_static`: what a socket brought owns its bytes.
        headers.insert(name, HeaderValue::from_str(value)?);
    }
    for (name, value) in more {
        headers.insert(name.clone(), HeaderValue::from_str(value)?);
    }
    Ok(headers)
}
