//! What a host proxy has to be told, in the words of the templates.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use doorward_config::settings::{
    CertificateFiles, Hooks, Rewrite, RouteSettings, Settings, TlsVersion, Upstream, UpstreamHost, UpstreamProtocol,
};
use doorward_policy::access::{PathPrefix, Route};
use doorward_policy::credential::Accept;
use doorward_policy::headers::{OWNED, OWNED_PREFIXES, WELL_KNOWN};
use doorward_policy::request::{Host as Authority, HostPattern};
use http::HeaderName;
use serde::Serialize;

use super::certificates::covers;
use super::syntax::literal;
use super::{Host, Options, SnippetFault};

/// Everything, for all hosts; each template takes what it needs.
#[derive(Debug, Serialize)]
pub(super) struct Facts {
    source: String,
    listen: String,
    /// The address alone, where one was asked for.
    listen_on: Option<String>,
    port: u16,
    /// What follows a host's name in an authority: nothing for 443.
    port_suffix: String,
    prefix: String,
    prefix_pattern: String,
    hooks: HookFacts,
    certificates: Vec<CertificateFact>,
    tls13_only: bool,
    hsts: Option<String>,
    header_kib: usize,
    header_bytes: usize,
    /// What every app is told, in the order of the alphabet.
    mapped: Vec<HeaderFact>,
    /// Names that go, by name; none of them is set again.
    removed: Vec<String>,
    /// Names that are ours, the ones that are set again too, and no beginning in `families` covers; and those beginnings.
    owned: Vec<String>,
    families: Vec<String>,
    /// Patterns for the rest of a name after `x-forwarded-`: all but those that the host itself writes.
    traefik_forwarded: String,
    envoy_forwarded: String,
    /// Where browsers sign in, for nginx; and, one by one and without the check, for Kubernetes.
    own: Vec<PlaceFact>,
    sign_in: Vec<PlaceFact>,
    /// Where ingress-nginx asks and sends those who are not signed in, and how the way back is called there.
    check_path: String,
    sign_in_path: String,
    sign_in_parameter: &'static str,
    /// What ingress-nginx takes from clients and does not set itself.
    ingress_nginx_headers: Vec<String>,
    /// What the Gateway API is told to show in the check.
    asked_headers: &'static [&'static str],
    aliases: Vec<PathFact>,
    compatibility: bool,
    x_forwarded: bool,
    apps: Vec<AppFact>,
    sites: Vec<SiteFact>,
    /// Some host has several routes.
    by_path: bool,
    hosts: Vec<HostFact>,
    kept: Vec<KeptFact>,
    /// Stands where the secret does, in hosts that read neither files nor the environment.
    secret_placeholder: &'static str,
}

#[derive(Debug, Serialize)]
struct HookFacts {
    authority: String,
    host: String,
    port: u16,
    /// The address is a guess.
    placeholder: bool,
    scheme: &'static str,
    secret: bool,
    tls: Option<HookTlsFact>,
    /// How long a host may keep an idle connection, in seconds.
    idle: u64,
    grpc: Option<GrpcFact>,
}

#[derive(Debug, Serialize)]
struct GrpcFact {
    host: String,
    port: u16,
    placeholder: bool,
}

#[derive(Debug, Serialize)]
struct HookTlsFact {
    name: String,
    ca: String,
    client: Option<CertificateFact>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct CertificateFact {
    cert: String,
    key: String,
    /// One file that holds both, or brings the host to the second.
    both: String,
    both_placeholder: bool,
    placeholder: bool,
}

#[derive(Debug, Clone, Serialize)]
struct HeaderFact {
    name: String,
    lower: String,
    /// With `_` for `-`.
    variable: String,
}

/// One path, or all below it.
#[derive(Debug, Serialize)]
struct PlaceFact {
    exact: bool,
    path: String,
}

#[derive(Debug, Clone, Serialize)]
struct PathFact {
    /// As a request spells it.
    raw: String,
    decoded: String,
    /// Every spelling of it.
    pattern: String,
}

#[derive(Debug, Clone, Serialize)]
struct AppFact {
    name: String,
    /// Letters, digits and `-` only, one for each app: what Kubernetes takes for a name.
    slug: String,
    upstream: String,
    servers: Vec<String>,
    backends: Vec<BackendFact>,
    placeholder: bool,
    scheme: &'static str,
    /// The same, with Caddy's and Traefik's word for HTTP/2 without TLS.
    address_scheme: &'static str,
    tls: Option<AppTlsFact>,
    http2: bool,
    h2c: bool,
    /// The `Host` that the app sees, when it is not the client's.
    host: Option<String>,
    /// It is that of the server.
    own_host: bool,
    rewrite: Option<RewriteFact>,
    health: Option<HealthFact>,
    /// In seconds, at least one.
    connect: u64,
    read: u64,
    write: u64,
    /// In bytes; 0 for no limit.
    body: u64,
    keep: Vec<HeaderFact>,
    hosts: Vec<String>,
    path: String,
    /// Only tokens are taken: nobody is sent to sign in.
    bearer: bool,
}

#[derive(Debug, Clone, Serialize)]
struct BackendFact {
    host: String,
    port: u16,
}

#[derive(Debug, Clone, Serialize)]
struct AppTlsFact {
    name: String,
    ca: String,
    /// `false`: the system's.
    own_ca: bool,
    address: bool,
}

#[derive(Debug, Clone, Serialize)]
struct HealthFact {
    path: String,
    every: u64,
}

/// A prefix that the app does not see, or sees another for. Whole segments.
#[derive(Debug, Clone, Serialize)]
struct RewriteFact {
    from: String,
    from_pattern: String,
    /// In every spelling a client may choose.
    from_raw_pattern: String,
    /// Without `/` at its end: empty for stripping.
    to: String,
    to_path: String,
}

/// Hosts with the same routes.
#[derive(Debug, Serialize)]
struct SiteFact {
    hosts: Vec<String>,
    /// Indices into `apps`, the longest path first.
    routes: Vec<PlacedFact>,
    has_root: bool,
    certificate: CertificateFact,
}

#[derive(Debug, Clone, Serialize)]
struct PlacedFact {
    app: AppFact,
    root: bool,
    path: String,
    pattern: String,
}

#[derive(Debug, Serialize)]
struct HostFact {
    name: String,
    wildcard: bool,
    /// Below a wildcard: the domain.
    domain: String,
    pattern: String,
}

#[derive(Debug, Serialize)]
struct KeptFact {
    route: String,
    variable: String,
    name: String,
}

const CERT: &str = "/etc/ssl/doorward/tls.crt";
const KEY: &str = "/etc/ssl/doorward/tls.key";
const BOTH: &str = "/etc/ssl/doorward/tls.pem";
const HOOKS_CA: &str = "/etc/ssl/doorward/hooks-ca.crt";
const CLIENT_CERT: &str = "/etc/ssl/doorward/hooks-client.crt";
const CLIENT_KEY: &str = "/etc/ssl/doorward/hooks-client.key";
const CLIENT_BOTH: &str = "/etc/ssl/doorward/hooks-client.pem";
const SYSTEM_CA: &str = "/etc/ssl/certs/ca-certificates.crt";

/// What the templates set by themselves on the way to an app.
const SET: &[&str] = &["x-real-ip", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-request-id"];
/// What else no client says to an app: for the proxy itself (RFC 9110 §11.7), and for HTTP/2 by upgrade (RFC 9113 §3.1).
const ALSO_REMOVED: &[&str] = &["proxy-authorization", "http2-settings"];

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
const ASKED: &[&str] = &[
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

impl Facts {
    pub(super) fn new(host: Host, settings: &Settings, options: &Options) -> Result<Self, SnippetFault> {
        let server = &settings.server;
        let hooks = server.hooks.as_ref().ok_or(SnippetFault::NoHooks)?;
        if host == Host::Haproxy && hooks.client_ca.is_some() {
            return Err(SnippetFault::NoClientCertificate);
        }
        let policy = &settings.policy;
        let mapped: Vec<HeaderFact> = policy.owned_names().mapped().iter().map(header).collect();
        let owned: Vec<&str> = OWNED.iter().chain(WELL_KNOWN).chain(ALSO_REMOVED).copied().collect();
        let set = |name: &str| SET.contains(&name) || mapped.iter().any(|header| header.lower == name);
        let removed = owned.iter().filter(|name| !set(name)).map(|name| titled(name)).collect();
        let aliases: Vec<PathFact> =
            settings.providers.iter().flat_map(|provider| &provider.callback_aliases).map(|path| alias(path)).collect();
        let apps: Vec<AppFact> =
            policy.routes().iter().zip(&settings.routes).enumerate().map(|(at, (route, io))| app(at, route, io)).collect();
        if let Some(app) = apps.iter().find(|app| host == Host::IngressNginx && app.rewrite.is_some()) {
            return Err(SnippetFault::RewriteByRegex(app.name.clone()));
        }
        let sites = sites(policy.routes(), &apps, &server.tls.certificates);
        let kept = policy.routes().iter().flat_map(|route| {
            route.keep_headers.iter().map(|name| KeptFact {
                route: route.name.to_string(),
                variable: name.as_str().replace('-', "_"),
                name: name.as_str().to_owned(),
            })
        });
        let certificates: Vec<CertificateFact> = match &server.tls.certificates[..] {
            [] => vec![placeholder_certificate()],
            some => some.iter().map(certificate).collect(),
        };
        let compatibility = hooks.oauth2_proxy.is_some();
        Ok(Self {
            source: options.source.clone(),
            listen: listen(host, options.listen, server.public_port),
            listen_on: options.listen.map(|address| address.to_string()),
            port: server.public_port,
            port_suffix: if server.public_port == 443 { String::new() } else { format!(":{}", server.public_port) },
            prefix: server.prefix.clone(),
            prefix_pattern: literal(&server.prefix),
            hooks: hook_facts(hooks, settings, options)?,
            certificates,
            tls13_only: server.tls.min_version == TlsVersion::Tls13,
            hsts: server.hsts.clone(),
            header_kib: server.limits.header_bytes.div_ceil(1024),
            header_bytes: server.limits.header_bytes,
            removed,
            owned: alone(&owned, &mapped),
            families: OWNED_PREFIXES.iter().map(|prefix| titled(prefix)).collect(),
            traefik_forwarded: all_but(&["for", "host", "proto", "port", "server"]),
            envoy_forwarded: all_but(&["for", "proto"]),
            own: places(&server.prefix, &aliases, compatibility),
            sign_in: sign_in(&server.prefix, &aliases, compatibility),
            check_path: if compatibility { "/oauth2/auth".to_owned() } else { format!("{}/check/nginx", server.prefix) },
            sign_in_path: if compatibility { "/oauth2/start".to_owned() } else { format!("{}/login", server.prefix) },
            sign_in_parameter: if compatibility { "rd" } else { "return_to" },
            ingress_nginx_headers: ingress_nginx(&owned, &mapped),
            asked_headers: ASKED,
            aliases,
            compatibility,
            x_forwarded: hooks.oauth2_proxy == Some(doorward_config::settings::OriginalRequest::XForwarded),
            by_path: sites.iter().any(|site| site.routes.len() > 1),
            sites,
            hosts: hosts(policy.routes()),
            kept: kept.collect(),
            secret_placeholder: "SECRET",
            mapped,
            apps,
        })
    }
}

/// What no family covers, each name once.
fn alone(owned: &[&str], mapped: &[HeaderFact]) -> Vec<String> {
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

/// `x-real-ip` as people write it.
fn titled(name: &str) -> String {
    let part = |part: &str| match part {
        "ip" | "id" | "uri" | "url" | "ssl" | "tls" | "http" | "cf" if part != "id" => part.to_ascii_uppercase(),
        _ => part.chars().enumerate().map(|(at, c)| if at == 0 { c.to_ascii_uppercase() } else { c }).collect(),
    };
    name.split('-').map(part).collect::<Vec<_>>().join("-")
}

fn header(name: &HeaderName) -> HeaderFact {
    let lower = name.as_str().to_owned();
    HeaderFact { name: titled(&lower), variable: lower.replace('-', "_"), lower }
}

/// Where the host listens: an address only where one was asked for.
fn listen(host: Host, address: Option<IpAddr>, port: u16) -> String {
    match (host, address) {
        (Host::Nginx, None) => port.to_string(),
        (_, None) => format!(":{port}"),
        (_, Some(address)) => SocketAddr::new(address, port).to_string(),
    }
}

fn hook_facts(hooks: &Hooks, settings: &Settings, options: &Options) -> Result<HookFacts, SnippetFault> {
    let (host, port, placeholder) = match &options.doorward {
        Some(text) => {
            let wrong = || SnippetFault::Address(text.clone());
            let authority = Authority::parse(text.as_bytes()).map_err(|_| wrong())?;
            (authority.name().to_owned(), authority.port().ok_or_else(wrong)?, false)
        }
        None => reachable(hooks.listen.first().ok_or(SnippetFault::NoListener)?),
    };
    if hooks.listen.is_empty() {
        return Err(SnippetFault::NoListener);
    }
    // With a name for HTTP, gRPC is at the same name.
    let grpc = hooks.grpc.first().map(|address| match &options.doorward {
        Some(_) => GrpcFact { host: bare(&host), port: address.port(), placeholder: false },
        None => {
            let (host, port, placeholder) = reachable(address);
            GrpcFact { host: bare(&host), port, placeholder }
        }
    });
    let first = settings.policy.routes().iter().flat_map(|route| &route.hosts).find_map(|host| match host {
        HostPattern::Exact(name) => Some(name.to_string()),
        HostPattern::Below(_) => None,
    });
    let tls = hooks.tls.then(|| HookTlsFact {
        name: first.unwrap_or_else(|| bare(&host)),
        ca: HOOKS_CA.to_owned(),
        client: hooks.client_ca.is_some().then(|| CertificateFact {
            cert: CLIENT_CERT.to_owned(),
            key: CLIENT_KEY.to_owned(),
            both: CLIENT_BOTH.to_owned(),
            both_placeholder: true,
            placeholder: true,
        }),
    });
    Ok(HookFacts {
        authority: format!("{host}:{port}"),
        host: bare(&host),
        port,
        placeholder,
        scheme: if hooks.tls { "https" } else { "http" },
        secret: hooks.secret.is_some(),
        tls,
        idle: (settings.server.limits.idle.as_secs() / 2).clamp(1, 30),
        grpc,
    })
}

/// An address that means all of them is no place to connect to: the host may be elsewhere.
fn reachable(address: &SocketAddr) -> (String, u16, bool) {
    match address.ip() {
        ip if ip.is_unspecified() => (Ipv4Addr::LOCALHOST.to_string(), address.port(), true),
        IpAddr::V4(ip) => (ip.to_string(), address.port(), false),
        IpAddr::V6(ip) => (format!("[{ip}]"), address.port(), false),
    }
}

/// An IPv6 address without its brackets.
fn bare(host: &str) -> String {
    host.trim_start_matches('[').trim_end_matches(']').to_owned()
}

fn certificate(files: &CertificateFiles) -> CertificateFact {
    // The host is started elsewhere.
    let whole = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string();
    let (cert, key) = (whole(&files.cert), whole(&files.key));
    // HAProxy looks for the key beside the certificate (`ssl-load-extra-del-ext`), or in the same file.
    let beside = cert.strip_suffix(".crt").is_some_and(|stem| key == format!("{stem}.key"));
    let found = beside || cert == key;
    let both = if found { cert.clone() } else { BOTH.to_owned() };
    CertificateFact { cert, key, both, both_placeholder: !found, placeholder: false }
}

fn placeholder_certificate() -> CertificateFact {
    CertificateFact { cert: CERT.to_owned(), key: KEY.to_owned(), both: CERT.to_owned(), both_placeholder: true, placeholder: true }
}

fn places(prefix: &str, aliases: &[PathFact], compatibility: bool) -> Vec<PlaceFact> {
    let mut places = vec![PlaceFact { exact: true, path: prefix.to_owned() }, PlaceFact { exact: false, path: format!("{prefix}/") }];
    if compatibility {
        places.push(PlaceFact { exact: false, path: "/oauth2/".to_owned() });
    }
    let elsewhere = aliases.iter().filter(|alias| !(compatibility && alias.decoded.starts_with("/oauth2/")));
    places.extend(elsewhere.map(|alias| PlaceFact { exact: true, path: alias.decoded.clone() }));
    places
}

/// The endpoints that browsers visit, by name: what is below the prefix and not named here stays inside.
fn sign_in(prefix: &str, aliases: &[PathFact], compatibility: bool) -> Vec<PlaceFact> {
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

fn ingress_nginx(owned: &[&str], mapped: &[HeaderFact]) -> Vec<String> {
    let all = owned.iter().copied().chain(mapped.iter().map(|header| header.lower.as_str())).chain(["cookie", "authorization"]);
    let mut names: Vec<String> = all.filter(|name| !INGRESS_NGINX.contains(name)).map(titled).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn alias(path: &str) -> PathFact {
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8_lossy().into_owned();
    PathFact { raw: path.to_owned(), pattern: spelled(&decoded), decoded }
}

/// A pattern for every spelling of a path that Doorward accepts: letters, digits, `-`, `.`, `_` and `~` as they are, other
/// signs as they are or escaped.
fn spelled(path: &str) -> String {
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

fn app(at: usize, route: &Route, io: &RouteSettings) -> AppFact {
    let upstream = io.upstream.as_ref();
    let (servers, backends) = match upstream {
        Some(upstream) => upstream
            .servers
            .iter()
            .map(|server| (at_port(&server.host, server.port), BackendFact { host: server.host.clone(), port: server.port }))
            .unzip(),
        None => (vec!["127.0.0.1:3000".to_owned()], vec![BackendFact { host: "127.0.0.1".to_owned(), port: 3000 }]),
    };
    let seconds = |of: fn(&Upstream) -> Duration, default: u64| upstream.map_or(default, |upstream| of(upstream).as_secs().max(1));
    let protocol = upstream.map_or(UpstreamProtocol::Http1, |upstream| upstream.protocol);
    let tls = upstream.and_then(|upstream| upstream.tls.as_ref()).map(|tls| AppTlsFact {
        name: tls.server_name.clone(),
        ca: if tls.ca.is_some() { format!("/etc/ssl/doorward/{}-ca.crt", route.name) } else { SYSTEM_CA.to_owned() },
        own_ca: tls.ca.is_some(),
        address: tls.server_name.parse::<IpAddr>().is_ok(),
    });
    AppFact {
        name: route.name.to_string(),
        slug: if route.name.contains('_') { format!("app-{}-{at}", route.name.replace('_', "-")) } else { format!("app-{}", route.name) },
        upstream: format!("doorward_app_{}", route.name),
        placeholder: upstream.is_none(),
        scheme: if tls.is_some() { "https" } else { "http" },
        address_scheme: match protocol {
            _ if tls.is_some() => "https",
            UpstreamProtocol::H2c => "h2c",
            UpstreamProtocol::H2 | UpstreamProtocol::Http1 => "http",
        },
        http2: protocol != UpstreamProtocol::Http1,
        h2c: protocol == UpstreamProtocol::H2c,
        host: upstream.and_then(|upstream| match &upstream.host {
            UpstreamHost::Keep => None,
            UpstreamHost::Upstream => upstream.servers.first().map(|server| own_host(upstream, &server.host, server.port)),
            UpstreamHost::Fixed(name) => Some(name.clone()),
        }),
        own_host: upstream.is_some_and(|upstream| upstream.host == UpstreamHost::Upstream),
        rewrite: upstream.and_then(|upstream| rewrite(&upstream.rewrite)),
        health: upstream
            .and_then(|upstream| upstream.health.as_ref())
            .map(|check| HealthFact { path: check.path.clone(), every: check.every.as_secs().max(1) }),
        connect: seconds(|upstream| upstream.connect, 5),
        read: seconds(|upstream| upstream.read, 60),
        write: seconds(|upstream| upstream.write, 60),
        body: io.body_limit.unwrap_or(0),
        keep: route.keep_headers.iter().map(header).collect(),
        hosts: route.hosts.iter().map(ToString::to_string).collect(),
        path: route.path.to_string(),
        bearer: route.accept == Accept::Bearer,
        servers,
        backends,
        tls,
    }
}

fn at_port(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Without the port that goes without saying.
fn own_host(upstream: &Upstream, host: &str, port: u16) -> String {
    let usual = if upstream.tls.is_some() { 443 } else { 80 };
    if port == usual { host.to_owned() } else { at_port(host, port) }
}

fn rewrite(rewrite: &Rewrite) -> Option<RewriteFact> {
    let Rewrite::Prefix { from, to } = rewrite else { return None };
    let from = from.trim_end_matches('/');
    let to = to.trim_end_matches('/');
    Some(RewriteFact {
        from: from.to_owned(),
        from_pattern: literal(from),
        from_raw_pattern: spelled(from),
        to: to.to_owned(),
        to_path: if to.is_empty() { "/".to_owned() } else { to.to_owned() },
    })
}

/// Hosts that lead to the same routes share a site, unless they need different certificates.
fn sites(routes: &[Route], apps: &[AppFact], certificates: &[CertificateFiles]) -> Vec<SiteFact> {
    let mut found: Vec<(Vec<(usize, String)>, Option<usize>, Vec<String>)> = Vec::new();
    for host in patterns(routes) {
        let mut placed: Vec<(usize, &PathPrefix)> =
            routes.iter().enumerate().filter(|(_, route)| route.hosts.contains(host)).map(|(at, route)| (at, &route.path)).collect();
        placed.sort_by_key(|(_, path)| std::cmp::Reverse(path.segments().len()));
        let placed: Vec<(usize, String)> = placed.into_iter().map(|(at, path)| (at, path.to_string())).collect();
        let certificate =
            if certificates.is_empty() { None } else { Some(certificates.iter().position(|files| covers(files, host)).unwrap_or(0)) };
        match found.iter_mut().find(|(other, of, _)| *other == placed && *of == certificate) {
            Some((_, _, hosts)) => hosts.push(host.to_string()),
            None => found.push((placed, certificate, vec![host.to_string()])),
        }
    }
    let site = |(placed, of, hosts): (Vec<(usize, String)>, Option<usize>, Vec<String>)| SiteFact {
        hosts,
        has_root: placed.iter().any(|(_, path)| path == "/"),
        routes: placed
            .into_iter()
            .map(|(at, path)| PlacedFact {
                app: apps[at].clone(),
                root: path == "/",
                // Whole segments: `/v1` has nothing to say about `/v1x`.
                pattern: format!("^{}(/|\\z)", literal(&path)),
                path,
            })
            .collect(),
        certificate: of.map_or_else(placeholder_certificate, |at| certificate(&certificates[at])),
    };
    found.into_iter().map(site).collect()
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

fn hosts(routes: &[Route]) -> Vec<HostFact> {
    let fact = |host: &&HostPattern| {
        let (wildcard, domain) = match host {
            HostPattern::Exact(name) => (false, name.to_string()),
            HostPattern::Below(domain) => (true, domain.to_string()),
        };
        HostFact { name: host.to_string(), wildcard, pattern: literal(&domain), domain }
    };
    patterns(routes).iter().map(fact).collect()
}
