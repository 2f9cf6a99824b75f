//! Where the host reaches Doorward, and how.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use doorward_config::settings::{Hooks, Settings};
use doorward_policy::request::{Host as Authority, HostPattern};
use serde::Serialize;

use super::certificates::CertificateFact;
use super::{Options, SnippetFault};

#[derive(Debug, Serialize)]
pub(super) struct HookFacts {
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

const HOOKS_CA: &str = "/etc/ssl/doorward/hooks-ca.crt";

const CLIENT_CERT: &str = "/etc/ssl/doorward/hooks-client.crt";

const CLIENT_KEY: &str = "/etc/ssl/doorward/hooks-client.key";

const CLIENT_BOTH: &str = "/etc/ssl/doorward/hooks-client.pem";

pub(super) fn hook_facts(hooks: &Hooks, settings: &Settings, options: &Options) -> Result<HookFacts, SnippetFault> {
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
