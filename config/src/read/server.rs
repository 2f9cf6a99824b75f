//! `server`: listeners, certificates, limits.

mod audit;
mod own;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::field::Field;
use super::hooks;
use super::map::Map;
use super::provider::is_under;
use super::quantity::{days, hours, minutes, seconds};
use crate::document::{Span, Value};
use crate::problem::Finding;
use crate::settings::{AccessLines, CertificateFiles, Hooks, Limits, Listen, Server, Tls, TlsVersion};

/// Where Doorward's own endpoints live unless said otherwise.
pub(super) const PREFIX: &str = "/_doorward";
/// A request body unless said otherwise.
pub(super) const BODY: Option<u64> = Some(10 << 20);

const HOOKS_HINT: &str = "write `hooks: { listen: [ … ], trusted_peers: [ … ] }`: there every proxy asks in its own way";

/// Whether a key is there, or a slip of it, as far as can be said of a section that may have mistakes in it.
pub(super) fn has(field: &Field<'_>, key: &str) -> bool {
    field.is_map() && field.map().is_some_and(|map| map.means(key))
}

pub(super) fn read(field: &Field<'_>) -> Option<Server> {
    let map = field.map()?;
    let certified = map.optional("tls").or_else(|| map.optional("listen")).is_some();
    let hooks = map.maybe("hooks", |field| hooks::read(field, certified));
    let listen = match (map.optional("listen"), map.optional("hooks")) {
        (Some(field), _) => field.each(read_listen),
        (None, Some(_)) => Some(Vec::new()),
        // It is told that `hook` is `hooks`; what would follow without it is not.
        (None, None) if map.means("hooks") => None,
        (None, None) => map.missing("listen", "add `listen: [ … ]`, where clients connect; or `hooks: { … }`, where other proxies ask"),
    };
    let redirect = map.or("redirect", Vec::new(), |field| super::field::all(field.any_items()?.iter().map(Field::address)));
    let admin = map.maybe("admin", Field::address);
    let public_port = read_public_port(&map, listen.as_deref());
    let oauth2_proxy = matches!(&hooks, Some(Some(Hooks { oauth2_proxy: Some(_), .. })));
    let prefix = map.or("prefix", PREFIX.into(), |field| read_prefix(field, oauth2_proxy));
    let trusted = map.or("trusted_proxies", Vec::new(), |field| super::field::all(field.any_items()?.iter().map(Field::trusted_network)));
    let tls = match map.optional("tls") {
        Some(field) => read_tls(&field),
        // Where clients do not connect, only `hooks.tls` needs a certificate, and says so.
        None if map.optional("listen").is_none() && map.means("hooks") => Some(no_tls()),
        None => map.missing("tls", "add `tls: …`"),
    };
    let cores = map.maybe("cores", |field| field.integer_in(1..=1024));
    let limits = match map.optional("limits") {
        Some(field) => read_limits(&field.map()?),
        None => Some(default_limits()),
    };
    let drain = map.or("drain", seconds(30), |field| field.duration_in(Duration::ZERO..=minutes(10)));
    let hsts = map.maybe("hsts", read_hsts);
    let state_dir = map.maybe("state_dir", own::read_folder);
    let public_host = map.maybe("public_url", |field| own::read_public_url(field, public_port));
    let admin_token = map.maybe("admin_token", |field| own::read_admin_token(field, map.optional("admin").is_some()));
    let pages = map.maybe("pages", own::read_pages);
    let explain_denials = map.or("explain_denials", true, Field::boolean);
    let audit_log = map.maybe("audit_log", audit::read);
    let lines = [("all", AccessLines::All), ("refused", AccessLines::Refused), ("off", AccessLines::Off)];
    let access_log = map.or("access_log", AccessLines::All, |field| field.one_of(&lines));
    map.finish(&[
        ("audit", "write `audit_log: stdout`, or `audit_log: { file: … }`"),
        ("state", "write `state_dir: …`"),
        ("public_host", "write `public_url: https://…`"),
        ("templates", "write `pages: …`, a folder"),
        ("forward_auth", HOOKS_HINT),
        ("forwardAuth", HOOKS_HINT),
        ("auth_request", HOOKS_HINT),
        ("ext_authz", HOOKS_HINT),
    ]);
    check_addresses(&map);
    let admin_token = admin_token?;
    Some(Server {
        listen: listen?,
        hooks: hooks?,
        redirect: redirect?,
        admin: admin?,
        public_port: public_port?,
        prefix: prefix?,
        trusted_proxies: trusted?,
        tls: tls?,
        cores: cores?.map(|cores| cores as usize),
        limits: limits?,
        drain: drain?,
        hsts: hsts?,
        state_dir: state_dir?,
        public_host: public_host?,
        example_admin_token: admin_token.as_ref().is_some_and(own::is_example),
        admin_token,
        pages: pages?,
        explain_denials: explain_denials?,
        audit_log: audit_log?,
        access_log: access_log?,
    })
}

fn read_listen(field: &Field<'_>) -> Option<Listen> {
    if !matches!(field.value(), Value::Map(_)) {
        return Some(Listen { address: field.address()?, proxy_protocol: None });
    }
    let map = field.map()?;
    let address = map.required("address").and_then(|field| field.address());
    let proxy_protocol = map.maybe("proxy_protocol", |field| field.each(Field::trusted_network));
    map.finish(&[]);
    Some(Listen { address: address?, proxy_protocol: proxy_protocol? })
}

/// Browsers are sent back to this port, so it must be a real one.
fn read_public_port(map: &Map<'_>, listen: Option<&[Listen]>) -> Option<u16> {
    if let Some(field) = map.optional("public_port") {
        return field.integer_in(1..=65535).and_then(|port| u16::try_from(port).ok());
    }
    match listen?.first().map(|listen| listen.address.port()) {
        // Other proxies stand where browsers connect.
        None => Some(443),
        Some(0) => map.missing("public_port", "the first listener takes any port; say which one browsers use"),
        Some(port) => Some(port),
    }
}

/// The same address for two purposes: one of the two would never be asked.
fn check_addresses(map: &Map<'_>) {
    let hooks = map.optional("hooks").filter(|field| matches!(field.value(), Value::Map(_))).and_then(|field| field.map());
    let of_hooks = ["listen", "grpc"].into_iter().filter_map(|key| hooks.as_ref()?.optional(key));
    let listed = ["listen", "redirect", "admin"].into_iter().filter_map(|key| map.optional(key)).chain(of_hooks);
    let addresses = listed.flat_map(|field| match field.value() {
        Value::List(_) => field.any_items().unwrap_or_default(),
        _ => vec![field],
    });
    let mut seen: HashMap<SocketAddr, Span> = HashMap::new();
    for field in addresses {
        let field = match field.value() {
            Value::Map(_) => field.map().and_then(|map| map.optional("address")).unwrap_or(field),
            _ => field,
        };
        let Value::Text(text) = field.value() else { continue };
        let Ok(address) = text.text.parse::<SocketAddr>() else { continue };
        if let Some(first) = seen.get(&address).filter(|_| address.port() != 0) {
            let finding = Finding::error(format!("`{address}` is used twice")).at(field.span()).key(&field.key);
            field.reading.report(finding.related(first, "first here").help("give each its own port"));
        }
        seen.entry(address).or_insert_with(|| field.span().clone());
    }
}

fn read_prefix(field: &Field<'_>, oauth2_proxy: bool) -> Option<String> {
    let text = field.name()?;
    let segment =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'));
    if oauth2_proxy && is_under(text, hooks::OAUTH2_PREFIX) {
        let message = format!("`{}` is where the endpoints of oauth2-proxy are", hooks::OAUTH2_PREFIX);
        return field.refuse(message, "choose another prefix, or take `compatibility: [oauth2-proxy]` away");
    }
    match text.strip_prefix('/') {
        Some(rest) if rest.split('/').all(segment) => Some(text.to_owned()),
        _ => field.refuse(
            format!("`{}` is no prefix", field.shown()),
            "a `/` and one or more segments of a-z, 0-9, `-` and `_`, no `/` at the end: `/_doorward`",
        ),
    }
}

fn no_tls() -> Tls {
    Tls { certificates: Vec::new(), min_version: TlsVersion::Tls12 }
}

fn read_tls(field: &Field<'_>) -> Option<Tls> {
    let map = field.map()?;
    let certificates = map.required("certificates").and_then(|field| field.each(read_certificate));
    let versions = [("1.2", TlsVersion::Tls12), ("1.3", TlsVersion::Tls13)];
    let min_version = map.or("min_version", TlsVersion::Tls12, |field| field.one_of(&versions));
    map.finish(&[]);
    Some(Tls { certificates: certificates?, min_version: min_version? })
}

fn read_certificate(field: &Field<'_>) -> Option<CertificateFiles> {
    let map = field.map()?;
    let cert = map.required("cert").and_then(|field| field.certificates());
    let key = map.required("key").and_then(|field| field.private_key_file());
    map.finish(&[]);
    Some(CertificateFiles { cert: cert?.0, key: key? })
}

/// RFC 6797 §6.1.
fn read_hsts(field: &Field<'_>) -> Option<String> {
    let map = field.map()?;
    let max_age = map.required("max_age").and_then(|field| field.duration_in(Duration::ZERO..=days(3650)));
    let subdomains = map.or("include_subdomains", false, Field::boolean);
    let preload = map.or("preload", false, Field::boolean);
    map.finish(&[]);
    let (max_age, subdomains, preload) = (max_age?, subdomains?, preload?);
    if preload && (!subdomains || max_age < days(365)) {
        let field = map.optional("preload")?;
        return field.refuse(
            "browsers take no such entry into their preload list",
            "it needs `include_subdomains: true` and a `max_age` of `365d` or more",
        );
    }
    let mut value = format!("max-age={}", max_age.as_secs());
    if subdomains {
        value.push_str("; includeSubDomains");
    }
    if preload {
        value.push_str("; preload");
    }
    Some(value)
}

fn default_limits() -> Limits {
    Limits {
        connections: 10_000,
        connections_per_client: 256,
        handshake: seconds(10),
        header: seconds(10),
        idle: seconds(60),
        header_bytes: 32 << 10,
        header_fields: 100,
        body: BODY,
        sign_ins_per_client: 300,
        bad_credentials_per_client: 600,
        remembered: 10_000,
    }
}

fn read_limits(map: &Map<'_>) -> Option<Limits> {
    let default = default_limits();
    let wait = |field: &Field<'_>| field.duration_in(Duration::from_millis(100)..=minutes(5));
    let count = |field: &Field<'_>| field.integer_in(1..=10_000_000).map(|count| count as usize);
    let connections = map.or("connections", default.connections, count);
    let connections_per_client = map.or("connections_per_client", default.connections_per_client, count);
    let handshake = map.or("handshake", default.handshake, wait);
    let header = map.or("header", default.header, wait);
    let idle = map.or("idle", default.idle, |field| field.duration_in(seconds(1)..=hours(1)));
    let header_bytes = map.or("header_bytes", default.header_bytes, |field| field.size_in(1 << 10..=1 << 20).map(|size| size as usize));
    let header_fields = map.or("header_fields", default.header_fields, |field| field.integer_in(10..=1000).map(|count| count as usize));
    let body = map.or("body", default.body, Field::size_or_unlimited);
    let each_minute = |field: &Field<'_>| field.integer_in(1..=1_000_000);
    let sign_ins_per_client = map.or("sign_ins_per_client", default.sign_ins_per_client, each_minute);
    let bad_credentials_per_client = map.or("bad_credentials_per_client", default.bad_credentials_per_client, each_minute);
    let remembered = map.or("remembered", default.remembered, |field| field.integer_in(100..=1_000_000).map(|count| count as usize));
    map.finish(&[]);
    Some(Limits {
        connections: connections?,
        connections_per_client: connections_per_client?,
        handshake: handshake?,
        header: header?,
        idle: idle?,
        header_bytes: header_bytes?,
        header_fields: header_fields?,
        body: body?,
        sign_ins_per_client: sign_ins_per_client?,
        bad_credentials_per_client: bad_credentials_per_client?,
        remembered: remembered?,
    })
}
