//! Hosts and paths: which route is where, and where browsers sign in.

use doorward_config::settings::CertificateFiles;
use doorward_policy::access::{PathPrefix, Route};
use doorward_policy::request::HostPattern;
use serde::Serialize;

use super::apps::AppFact;
use super::certificates::{CertificateFact, certificate, covers, placeholder_certificate};
use super::syntax::literal;

/// One path, or all below it.
#[derive(Debug, Serialize)]
pub(super) struct PlaceFact {
    pub(super) exact: bool,
    pub(super) path: String,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct PathFact {
    /// As a request spells it.
    pub(super) raw: String,
    pub(super) decoded: String,
    /// Every spelling of it.
    pub(super) pattern: String,
}

/// Hosts with the same routes.
#[derive(Debug, Serialize)]
pub(super) struct SiteFact {
    pub(super) hosts: Vec<String>,
    /// The longest path first.
    pub(super) routes: Vec<PlacedFact>,
    pub(super) has_root: bool,
    pub(super) certificate: CertificateFact,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct PlacedFact {
    pub(super) app: AppFact,
    pub(super) root: bool,
    pub(super) path: String,
    pub(super) pattern: String,
}

#[derive(Debug, Serialize)]
pub(super) struct HostFact {
    pub(super) name: String,
    pub(super) wildcard: bool,
}

pub(super) fn places(prefix: &str, aliases: &[PathFact], compatibility: bool) -> Vec<PlaceFact> {
    let mut places = vec![PlaceFact { exact: true, path: prefix.to_owned() }, PlaceFact { exact: false, path: format!("{prefix}/") }];
    if compatibility {
        places.push(PlaceFact { exact: false, path: "/oauth2/".to_owned() });
    }
    let elsewhere = aliases.iter().filter(|alias| !(compatibility && alias.decoded.starts_with("/oauth2/")));
    places.extend(elsewhere.map(|alias| PlaceFact { exact: true, path: alias.decoded.clone() }));
    places
}

/// The endpoints that browsers visit, by name: what is below the prefix and not named here stays inside.
pub(super) fn sign_in(prefix: &str, aliases: &[PathFact], compatibility: bool) -> Vec<PlaceFact> {
    let exact = |path: String| PlaceFact { exact: true, path };
    let mut places: Vec<PlaceFact> =
        ["login", "logout", "session", "whoami"].iter().map(|name| exact(format!("{prefix}/{name}"))).collect();
    places.push(PlaceFact { exact: false, path: format!("{prefix}/callback") });
    if compatibility {
        places.extend(["start", "sign_in", "callback", "sign_out", "userinfo"].iter().map(|name| exact(format!("/oauth2/{name}"))));
    }
    let elsewhere = aliases.iter().filter(|alias| !(compatibility && alias.decoded.starts_with("/oauth2/")));
    places.extend(elsewhere.map(|alias| exact(alias.raw.clone())));
    places
}

pub(super) fn alias(path: &str) -> PathFact {
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8_lossy().into_owned();
    PathFact { raw: path.to_owned(), pattern: spelled(&decoded), decoded }
}

/// A pattern for every spelling of a path that Doorward accepts: letters, digits, `-`, `.`, `_` and `~` as they are, other
/// signs as they are or escaped.
pub(super) fn spelled(path: &str) -> String {
    let mut pattern = String::new();
    for byte in path.bytes() {
        match byte {
            b'/' | b'-' | b'_' | b'~' => pattern.push(char::from(byte)),
            b'.' => pattern.push_str("[.]"),
            _ if byte.is_ascii_alphanumeric() => pattern.push(char::from(byte)),
            _ => {
                let escape: String = format!("%{byte:02X}").chars().map(either_case).collect();
                if byte.is_ascii_graphic() {
                    pattern.push_str(&format!("(?:\\x{byte:02x}|{escape})"));
                } else {
                    pattern.push_str(&escape);
                }
            }
        }
    }
    pattern
}

fn either_case(c: char) -> String {
    if c.is_ascii_alphabetic() { format!("[{c}{}]", c.to_ascii_lowercase()) } else { c.to_string() }
}

/// What hosts must have in common to share a site: their routes, by index and path, and the certificate.
#[derive(Debug, PartialEq, Eq)]
struct Common {
    placed: Vec<(usize, String)>,
    certificate: Option<usize>,
}

impl Common {
    fn of(host: &HostPattern, routes: &[Route], certificates: &[CertificateFiles]) -> Self {
        let here = routes.iter().enumerate().filter(|(_, route)| route.hosts.contains(host));
        let mut placed: Vec<(usize, &PathPrefix)> = here.map(|(at, route)| (at, &route.path)).collect();
        placed.sort_by_key(|(_, path)| std::cmp::Reverse(path.segments().len()));
        let certificate = certificates.iter().position(|files| covers(files, host));
        Self {
            placed: placed.into_iter().map(|(at, path)| (at, path.to_string())).collect(),
            // The first one answers for names that none is for.
            certificate: certificate.or((!certificates.is_empty()).then_some(0)),
        }
    }

    fn site(self, hosts: Vec<String>, apps: &[AppFact], certificates: &[CertificateFiles]) -> SiteFact {
        let placed = |(at, path): (usize, String)| PlacedFact {
            app: apps[at].clone(),
            root: path == "/",
            // Whole segments: `/v1` has nothing to say about `/v1x`.
            pattern: format!("^{}(/|\\z)", literal(&path)),
            path,
        };
        SiteFact {
            hosts,
            has_root: self.placed.iter().any(|(_, path)| path == "/"),
            certificate: self.certificate.map_or_else(placeholder_certificate, |at| certificate(&certificates[at])),
            routes: self.placed.into_iter().map(placed).collect(),
        }
    }
}

/// Hosts that have all that in common, together.
pub(super) fn sites(routes: &[Route], apps: &[AppFact], certificates: &[CertificateFiles]) -> Vec<SiteFact> {
    let mut found: Vec<(Common, Vec<String>)> = Vec::new();
    for host in patterns(routes) {
        let common = Common::of(host, routes, certificates);
        match found.iter_mut().find(|(other, _)| *other == common) {
            Some((_, hosts)) => hosts.push(host.to_string()),
            None => found.push((common, vec![host.to_string()])),
        }
    }
    found.into_iter().map(|(common, hosts)| common.site(hosts, apps, certificates)).collect()
}

/// Each host once, in the order of the file.
fn patterns(routes: &[Route]) -> Vec<&HostPattern> {
    let mut patterns: Vec<&HostPattern> = Vec::new();
    for host in routes.iter().flat_map(|route| &route.hosts) {
        if !patterns.contains(&host) {
            patterns.push(host);
        }
    }
    patterns
}

pub(super) fn hosts(routes: &[Route]) -> Vec<HostFact> {
    let fact = |host: &&HostPattern| HostFact { name: host.to_string(), wildcard: matches!(host, HostPattern::Below(_)) };
    patterns(routes).iter().map(fact).collect()
}
