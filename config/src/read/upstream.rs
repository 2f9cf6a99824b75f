//! A route's `upstream`: where its app is and how to speak with it.

use std::time::Duration;

use doorward_policy::request::Host;
use url::Url;

use super::field::Field;
use super::map::Map;
use super::network::is_public;
use super::provider::read_local_path;
use super::quantity::{hours, minutes, seconds};
use crate::document::Value;
use crate::problem::WarningCode;
use crate::settings::{HealthCheck, Rewrite, Upstream, UpstreamHost, UpstreamProtocol, UpstreamServer, UpstreamTls};

const SERVER_HELP: &str = "a name or an address, a colon and a port: `app.internal:8080`, `10.0.0.5:8080`, `[2001:db8::5]:8080`";

/// `rewrite` stands beside it in the route.
pub(super) fn read(field: &Field<'_>, rewrite: Rewrite) -> Option<Upstream> {
    let mut upstream = if matches!(field.value(), Value::Map(_)) { from_map(&field.map()?) } else { from_url(field) }?;
    upstream.rewrite = rewrite;
    Some(upstream)
}

fn from_url(field: &Field<'_>) -> Option<Upstream> {
    const HELP: &str = "`http://` or `https://`, a name or an address, and perhaps a port: `http://10.0.0.5:3000`; everything else is written as a map with `servers`";
    let text = field.name()?;
    let shown = field.shown();
    let Ok(url) = Url::parse(text) else {
        return field.refuse(format!("`{shown}` is no address"), HELP);
    };
    if !matches!(url.scheme(), "http" | "https") {
        return field.refuse(format!("`{shown}` is neither http nor https"), HELP);
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return field
            .refuse("an upstream is a server, without a path", "to change the path on its way to the app, add `rewrite` to the route");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return field.refuse("an upstream has no user and no password", "apps are told who it is by `headers`");
    }
    let host = url.host_str().unwrap_or_default();
    let Ok(host) = Host::parse(host.as_bytes()) else {
        return field.refuse(format!("`{shown}` names no host"), HELP);
    };
    let host = bare(host.name());
    let port = url.port_or_known_default().filter(|port| *port > 0);
    let Some(port) = port else {
        return field.refuse("port 0 is no port", HELP);
    };
    let tls = (url.scheme() == "https").then(|| UpstreamTls { ca: None, server_name: host.clone() });
    let server = UpstreamServer { host, port };
    if tls.is_none() {
        warn_about_plain_http(field, &server);
    }
    Some(Upstream { servers: vec![server], tls, ..default_upstream() })
}

fn from_map(map: &Map<'_>) -> Option<Upstream> {
    let default = default_upstream();
    let servers = map.required("servers").and_then(|field| field.each(|item| read_server(item).map(|server| (server, item.clone()))));
    let hosts: Vec<&str> = servers.iter().flatten().map(|(server, _)| server.host.as_str()).collect();
    let tls = map.maybe("tls", |field| read_tls(field, &hosts));
    let protocols = [("http1", UpstreamProtocol::Http1), ("h2", UpstreamProtocol::H2), ("h2c", UpstreamProtocol::H2c)];
    let protocol = map.or("protocol", default.protocol, |field| {
        if field.any_text()? == "http2" {
            return field.refuse("there are two ways to speak HTTP/2", "write `h2` (over TLS), or `h2c` (without)");
        }
        let protocol = field.one_of(&protocols)?;
        match (protocol, &tls) {
            (UpstreamProtocol::H2, Some(None)) => {
                field.refuse("`h2` is HTTP/2 over TLS, and there is no `tls`", "add `tls: {}`, or write `h2c`")
            }
            (UpstreamProtocol::H2c, Some(Some(_))) => field.refuse("`h2c` is HTTP/2 without TLS, and there is `tls`", "write `h2`"),
            _ => Some(protocol),
        }
    });
    let host = map.or("host", default.host, read_host);
    let health = map.maybe("health", read_health);
    let wait = |field: &Field<'_>| field.duration_in(Duration::from_millis(100)..=hours(24));
    let connect = map.or("connect", default.connect, |field| field.duration_in(Duration::from_millis(100)..=minutes(5)));
    let read = map.or("read", default.read, wait);
    let write = map.or("write", default.write, wait);
    map.finish(&[
        ("server", "write `servers: [ … ]`"),
        ("url", "write `servers: [ … ]`"),
        ("timeout", "write `connect`, `read` and `write`"),
    ]);
    let (servers, tls) = (servers?, tls?);
    if tls.is_none() {
        servers.iter().for_each(|(server, item)| warn_about_plain_http(item, server));
    }
    Some(Upstream {
        servers: servers.into_iter().map(|(server, _)| server).collect(),
        protocol: protocol?,
        tls,
        host: host?,
        health: health?,
        connect: connect?,
        read: read?,
        write: write?,
        rewrite: Rewrite::Keep,
    })
}

fn default_upstream() -> Upstream {
    Upstream {
        servers: Vec::new(),
        protocol: UpstreamProtocol::Http1,
        tls: None,
        host: UpstreamHost::Keep,
        health: None,
        connect: seconds(5),
        read: seconds(60),
        write: seconds(60),
        rewrite: Rewrite::Keep,
    }
}

fn read_server(field: &Field<'_>) -> Option<UpstreamServer> {
    let text = field.name()?;
    if text.contains("://") {
        return field
            .refuse(format!("`{}` is an address, not a server", field.shown()), format!("{SERVER_HELP}; for https add `tls: {{}}`"));
    }
    match Host::parse(text.as_bytes()) {
        Ok(host) => match host.port() {
            Some(port) => Some(UpstreamServer { host: bare(host.name()), port }),
            None => field.refuse(format!("`{}` has no port", field.shown()), SERVER_HELP),
        },
        Err(_) => field.refuse(format!("`{}` is no server", field.shown()), SERVER_HELP),
    }
}

/// An IPv6 address without its brackets.
fn bare(host: &str) -> String {
    host.trim_start_matches('[').trim_end_matches(']').to_owned()
}

fn read_tls(field: &Field<'_>, hosts: &[&str]) -> Option<UpstreamTls> {
    let map = field.map()?;
    let ca = map.maybe("ca", |field| field.certificates().map(|(_, bytes)| bytes));
    let server_name = match map.optional("server_name") {
        Some(field) => read_server_name(&field),
        None => match hosts {
            [] => None,
            [first, rest @ ..] if rest.iter().all(|host| host == first) => Some((*first).to_owned()),
            _ => map.missing("server_name", "the servers have different names: say which one their certificate carries"),
        },
    };
    map.finish(&[
        ("verify", "certificates are always verified; name your own `ca`"),
        ("insecure", "certificates are always verified; name your own `ca`"),
    ]);
    Some(UpstreamTls { ca: ca?, server_name: server_name? })
}

fn read_server_name(field: &Field<'_>) -> Option<String> {
    let text = field.name()?;
    // An IPv6 address may come without its brackets.
    let bracketed = text.parse::<std::net::Ipv6Addr>().map(|address| format!("[{address}]")).unwrap_or_else(|_| text.to_owned());
    match Host::parse(bracketed.as_bytes()) {
        Ok(host) if host.port().is_none() => Some(bare(host.name())),
        _ => field.refuse(format!("`{}` is no name of a server", field.shown()), "the name in the certificate, without a port"),
    }
}

fn read_host(field: &Field<'_>) -> Option<UpstreamHost> {
    match field.name()? {
        "keep" => Some(UpstreamHost::Keep),
        "upstream" => Some(UpstreamHost::Upstream),
        text => match Host::parse(text.as_bytes()) {
            Ok(_) => Some(UpstreamHost::Fixed(text.to_owned())),
            Err(_) => field.refuse(format!("`{}` is no host", field.shown()), "`keep`, `upstream`, or a name"),
        },
    }
}

fn read_health(field: &Field<'_>) -> Option<HealthCheck> {
    let map = field.map()?;
    let path = map.required("path").and_then(|field| read_local_path(&field));
    let every = map.or("every", seconds(5), |field| field.duration_in(seconds(1)..=hours(1)));
    map.finish(&[("interval", "write `every`")]);
    Some(HealthCheck { path: path?, every: every? })
}

fn warn_about_plain_http(field: &Field<'_>, server: &UpstreamServer) {
    if is_public(&server.host) {
        let message = format!("requests and identities go to `{}` in the clear", server.host);
        field.warn(WarningCode::PlainHttp, message, "this is no private address; use https, or a name that resolves inside");
    }
}
