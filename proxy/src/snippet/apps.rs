//! The apps: where the host sends what may go on.

use std::net::IpAddr;
use std::time::Duration;

use doorward_config::settings::{Rewrite, RouteSettings, Upstream, UpstreamHost, UpstreamProtocol};
use doorward_policy::access::Route;
use doorward_policy::credential::Accept;
use serde::Serialize;

use super::names::{HeaderFact, header};
use super::places::spelled;
use super::syntax::literal;

#[derive(Debug, Clone, Serialize)]
pub(super) struct AppFact {
    pub(super) name: String,
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
    pub(super) rewrite: Option<RewriteFact>,
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
pub(super) struct RewriteFact {
    from: String,
    from_pattern: String,
    /// In every spelling a client may choose.
    from_raw_pattern: String,
    /// Without `/` at its end: empty for stripping.
    to: String,
    to_path: String,
}

const SYSTEM_CA: &str = "/etc/ssl/certs/ca-certificates.crt";

pub(super) fn app(at: usize, route: &Route, io: &RouteSettings) -> AppFact {
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
