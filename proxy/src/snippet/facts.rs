//! What a host proxy has to be told, in the words of the templates.

use std::net::{IpAddr, SocketAddr};

use doorward_config::settings::{OriginalRequest, Settings, TlsVersion};
use doorward_policy::headers::{OWNED, OWNED_PREFIXES, WELL_KNOWN};
use doorward_policy::session::{COOKIE, DOMAIN_COOKIE};
use serde::Serialize;

use super::apps::{AppFact, app};
use super::certificates::{CertificateFact, certificate, placeholder_certificate};
use super::names::{ALSO_REMOVED, ASKED, HeaderFact, KeptFact, SET, all_but, alone, header, ingress_nginx, titled};
use super::places::{HostFact, PathFact, PlaceFact, SiteFact, alias, hosts, places, sign_in, sites};
use super::question::{HookFacts, hook_facts};
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
    /// What the cookies are called that an answer may renew.
    session_cookies: Vec<&'static str>,
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
    apps: Vec<AppFact>,
    sites: Vec<SiteFact>,
    /// Some host has several routes.
    by_path: bool,
    hosts: Vec<HostFact>,
    kept: Vec<KeptFact>,
    /// Stands where the secret does, in hosts that read neither files nor the environment.
    secret_placeholder: &'static str,
}

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
        // ingress-nginx says what it was asked in X-Original-*.
        let as_oauth2_proxy = hooks.oauth2_proxy == Some(OriginalRequest::XOriginal);
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
            session_cookies: session_cookies(settings),
            removed,
            owned: alone(&owned, &mapped),
            families: OWNED_PREFIXES.iter().map(|prefix| titled(prefix)).collect(),
            traefik_forwarded: all_but(&["for", "host", "proto", "port", "server"]),
            envoy_forwarded: all_but(&["for", "proto"]),
            own: places(&server.prefix, &aliases, compatibility),
            sign_in: sign_in(&server.prefix, &aliases, compatibility),
            check_path: if as_oauth2_proxy { "/oauth2/auth".to_owned() } else { format!("{}/check/nginx", server.prefix) },
            sign_in_path: if compatibility { "/oauth2/start".to_owned() } else { format!("{}/login", server.prefix) },
            sign_in_parameter: if compatibility { "rd" } else { "return_to" },
            ingress_nginx_headers: ingress_nginx(&owned, &mapped),
            asked_headers: ASKED,
            aliases,
            compatibility,
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

/// A host's own, and the one that a domain shares.
fn session_cookies(settings: &Settings) -> Vec<&'static str> {
    settings.session.domain.iter().map(|_| DOMAIN_COOKIE).chain([COOKIE]).collect()
}

/// Where the host listens: an address only where one was asked for.
fn listen(host: Host, address: Option<IpAddr>, port: u16) -> String {
    match (host, address) {
        (Host::Nginx, None) => port.to_string(),
        (_, None) => format!(":{port}"),
        (_, Some(address)) => SocketAddr::new(address, port).to_string(),
    }
}
