//! `server`: listeners, certificates, limits.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::field::Field;
use super::map::Map;
use super::quantity::{days, hours, minutes, seconds};
use crate::document::Span;
use crate::problem::Finding;
use crate::settings::{CertificateFiles, Limits, Listen, Server, Tls, TlsVersion};

/// Where Doorward's own endpoints live unless said otherwise.
pub(super) const PREFIX: &str = "/_doorward";
/// A request body unless said otherwise.
pub(super) const BODY: Option<u64> = Some(10 << 20);

pub(super) fn read(field: &Field<'_>) -> Option<Server> {
    let map = field.map()?;
    let listen = map.required("listen").and_then(|field| field.each(read_listen));
    let redirect = map.or("redirect", Vec::new(), |field| super::field::all(field.any_items()?.iter().map(Field::address)));
    let admin = map.maybe("admin", Field::address);
    let public_port = read_public_port(&map, listen.as_deref());
    let prefix = map.or("prefix", PREFIX.into(), read_prefix);
    let trusted = map.or("trusted_proxies", Vec::new(), |field| super::field::all(field.any_items()?.iter().map(Field::trusted_network)));
    let tls = map.required("tls").and_then(|field| read_tls(&field));
    let cores = map.maybe("cores", |field| field.integer_in(1..=1024));
    let limits = match map.optional("limits") {
        Some(field) => read_limits(&field.map()?),
        None => Some(default_limits()),
    };
    let drain = map.or("drain", seconds(30), |field| field.duration_in(Duration::ZERO..=minutes(10)));
    let hsts = map.maybe("hsts", read_hsts);
    map.finish(&[("hooks", "asking other proxies' questions is not built yet"), ("public_url", "each app's host signs in by itself")]);
    check_addresses(&map);
    Some(Server {
        listen: listen?,
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
    })
}

fn read_listen(field: &Field<'_>) -> Option<Listen> {
    if !matches!(field.value(), crate::document::Value::Map(_)) {
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
    match listen?.first()?.address.port() {
        0 => map.missing("public_port", "the first listener takes any port; say which one browsers use"),
        port => Some(port),
    }
}

/// The same address for two purposes: one of the two would never be asked.
fn check_addresses(map: &Map<'_>) {
    let listed = ["listen", "redirect"].into_iter().filter_map(|key| map.optional(key));
    let listed = listed.flat_map(|field| match field.value() {
        crate::document::Value::List(_) => field.any_items().unwrap_or_default(),
        _ => Vec::new(),
    });
    let mut seen: HashMap<SocketAddr, Span> = HashMap::new();
    for field in listed.chain(map.optional("admin")) {
        let crate::document::Value::Text(text) = field.value() else { continue };
        let Ok(address) = text.text.parse::<SocketAddr>() else { continue };
        if let Some(first) = seen.get(&address).filter(|_| address.port() != 0) {
            let finding = Finding::error(format!("`{address}` is used twice")).at(field.span()).key(&field.key);
            field.reading.report(finding.related(first, "first here").help("give each its own port"));
        }
        seen.entry(address).or_insert_with(|| field.span().clone());
    }
}

fn read_prefix(field: &Field<'_>) -> Option<String> {
    let text = field.name()?;
    let segment =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'));
    match text.strip_prefix('/') {
        Some(rest) if rest.split('/').all(segment) => Some(text.to_owned()),
        _ => field.refuse(
            format!("`{}` is no prefix", field.shown()),
            "a `/` and one or more segments of a-z, 0-9, `-` and `_`, no `/` at the end: `/_doorward`",
        ),
    }
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
    })
}
