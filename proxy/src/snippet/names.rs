//! Header names: what an app is told, what no client may say, and how each host is told that.

use doorward_policy::headers::OWNED_PREFIXES;
use http::HeaderName;
use serde::Serialize;

#[derive(Debug, Clone, Serialize)]
pub(super) struct HeaderFact {
    pub(super) name: String,
    pub(super) lower: String,
    /// With `_` for `-`.
    pub(super) variable: String,
}

#[derive(Debug, Serialize)]
pub(super) struct KeptFact {
    pub(super) route: String,
    pub(super) variable: String,
    pub(super) name: String,
}

/// What the templates set by themselves on the way to an app.
pub(super) const SET: &[&str] = &["x-real-ip", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-request-id"];

/// What else no client says to an app: for the proxy itself (RFC 9110 §11.7), and for HTTP/2 by upgrade (RFC 9113 §3.1).
pub(super) const ALSO_REMOVED: &[&str] = &["proxy-authorization", "http2-settings"];

/// What ingress-nginx sets by itself on the way to an app: named twice, it would be sent twice.
const INGRESS_NGINX: &[&str] = &[
    "x-request-id",
    "x-real-ip",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-forwarded-scheme",
    "x-scheme",
    "x-original-forwarded-for",
    "proxy",
];

/// What the check reads of a client's request besides what every host shows it.
pub(super) const ASKED: &[&str] = &[
    "cookie",
    "accept",
    "content-type",
    "origin",
    "user-agent",
    "x-requested-with",
    "access-control-request-method",
    "access-control-request-headers",
    "sec-fetch-mode",
    "sec-fetch-dest",
    "sec-fetch-site",
    "sec-websocket-key",
    "sec-websocket-version",
];

pub(super) fn header(name: &HeaderName) -> HeaderFact {
    let lower = name.as_str().to_owned();
    HeaderFact { name: titled(&lower), variable: lower.replace('-', "_"), lower }
}

/// `x-real-ip` as people write it.
pub(super) fn titled(name: &str) -> String {
    let part = |part: &str| match part {
        "ip" | "id" | "uri" | "url" | "ssl" | "tls" | "http" | "cf" if part != "id" => part.to_ascii_uppercase(),
        _ => part.chars().enumerate().map(|(at, c)| if at == 0 { c.to_ascii_uppercase() } else { c }).collect(),
    };
    name.split('-').map(part).collect::<Vec<_>>().join("-")
}

/// What no family covers, each name once.
pub(super) fn alone(owned: &[&str], mapped: &[HeaderFact]) -> Vec<String> {
    let all = owned.iter().copied().chain(mapped.iter().map(|header| header.lower.as_str()));
    let mut names: Vec<String> = all.filter(|name| !OWNED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))).map(titled).collect();
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

/// A pattern (RE2, which cannot say "not") for every text that is none of these words. Letters only.
pub(super) fn all_but(words: &[&str]) -> String {
    let mut firsts: Vec<char> = words.iter().filter_map(|word| word.chars().next()).collect();
    firsts.sort_unstable();
    firsts.dedup();
    if firsts.is_empty() {
        return ".+".to_owned();
    }
    let mut ways = vec![format!("[^{}].*", firsts.iter().collect::<String>())];
    for first in firsts {
        let rests: Vec<&str> = words.iter().filter_map(|word| word.strip_prefix(first)).collect();
        ways.push(format!("{first}{}", all_but(&rests)));
    }
    // A text that ends here is fine, unless one of the words does.
    let may_end = if words.contains(&"") { "" } else { "?" };
    format!("(?:{}){may_end}", ways.join("|"))
}

pub(super) fn ingress_nginx(owned: &[&str], mapped: &[HeaderFact]) -> Vec<String> {
    let all = owned.iter().copied().chain(mapped.iter().map(|header| header.lower.as_str())).chain(["cookie", "authorization"]);
    let mut names: Vec<String> = all.filter(|name| !INGRESS_NGINX.contains(name)).map(titled).collect();
    names.sort_unstable();
    names.dedup();
    names
}
