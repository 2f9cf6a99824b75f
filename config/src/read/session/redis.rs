//! `session.redis`: which servers, and how we prove who we are.

use doorward_policy::request::Host;
use doorward_policy::secret::Secret;
use percent_encoding::percent_decode_str;
use url::Url;

use super::super::field::Field;
use super::super::map::Map;
use super::super::network::is_public;
use crate::document::Value;
use crate::problem::WarningCode;
use crate::settings::{Redis, RedisTopology};

const URL_HELP: &str =
    "`redis://` (or `rediss://` for TLS), a host, and perhaps a port and the number of a database: `redis://127.0.0.1:6379/0`";
const SERVER_HELP: &str = "a name or an address, a colon and a port: `redis-1.internal:6379`, `10.0.0.9:26379`";
const PASSWORD_HELP: &str = "write `password: { file: … }` beside it";

/// What an address says.
struct Address {
    host: String,
    port: u16,
    tls: bool,
    username: Option<String>,
    password: Option<Secret<String>>,
    database: i64,
}

pub(super) fn read(field: &Field<'_>) -> Option<Redis> {
    if matches!(field.value(), Value::Text(_)) {
        return field.refuse("expected a map, found a text", "write `redis: { url: … }`");
    }
    let map = field.map()?;
    let url = map.maybe("url", read_url);
    let username = map.maybe("username", |field| field.name().map(str::to_owned));
    let password = map.maybe("password", Field::secret_text);
    let tls = map.or("tls", false, read_tls(&map));
    let ca = map.maybe("ca", |field| field.certificates().map(|(_, bytes)| bytes));
    let prefix = map.or("prefix", "doorward:".into(), read_prefix);
    let topology = read_topology(&map);
    map.finish(&[
        ("host", "write `url: redis://host:6379`"),
        ("address", "write `url: redis://host:6379`"),
        ("addresses", "write `cluster: [ … ]`, or `sentinels: [ … ]` with `master`"),
        ("user", "write `username: …`"),
        ("db", "it stands in the address: `redis://host:6379/2`"),
        ("database", "it stands in the address: `redis://host:6379/2`"),
        ("sentinel", "write `sentinels: [ … ]` and `master: …`"),
        ("nodes", "write `cluster: [ … ]`"),
    ]);
    let (url, mut username, mut password, mut tls) = (url?, username?, password?, tls?);
    let (mut database, mut topology) = (0, topology?);
    if let Some(address) = url {
        username = one_of_two(&map, "username", username, address.username)?;
        password = one_of_two(&map, "password", password, address.password)?;
        (tls, database) = (address.tls, address.database);
        topology = Some(RedisTopology::Single { host: address.host, port: address.port });
    }
    let (ca, prefix, topology) = (ca?, prefix?, topology?);
    if let Some(field) = map.optional("ca").filter(|_| !tls) {
        return field.refuse("without TLS no certificate is shown", "write `rediss://`, or `tls: true` beside `sentinels` or `cluster`");
    }
    if username.is_some() && password.is_none() {
        return field.refuse("a user without a password", "add `password: { file: … }`, or take the user away");
    }
    if !tls {
        warn_about_plain_text(field, &topology);
    }
    Some(Redis { topology, tls, ca, username, password, database, prefix })
}

/// Exactly one way to find the servers. `Some(None)`: the address of one server says it.
fn read_topology(map: &Map<'_>) -> Option<Option<RedisTopology>> {
    let (url, sentinels, cluster, master) =
        (map.optional("url"), map.optional("sentinels"), map.optional("cluster"), map.optional("master"));
    if let (Some(master), None) = (&master, &sentinels) {
        return master.refuse("only sentinels know a master by its name", "add `sentinels: [ … ]`, or take `master` away");
    }
    match (url, sentinels, cluster) {
        (Some(_), None, None) => Some(None),
        (None, Some(sentinels), None) => {
            let master = match master {
                Some(field) => field.name(),
                None => map.missing("master", "add `master: …`, the name that the sentinels know it by"),
            };
            let sentinels = sentinels.each(read_server);
            Some(Some(RedisTopology::Sentinel { sentinels: sentinels?, master: master?.to_owned() }))
        }
        (None, None, Some(cluster)) => Some(Some(RedisTopology::Cluster(cluster.each(read_server)?))),
        (None, None, None) => map.missing(
            "url",
            "say where Redis is: `url: redis://127.0.0.1:6379/0`; or `sentinels: [ … ]` with `master`, or `cluster: [ … ]`",
        ),
        (_, Some(field), _) | (_, None, Some(field)) => {
            field.refuse("the servers are named in more than one way", "keep one of `url`, `sentinels` and `cluster`")
        }
    }
}

fn read_url(field: &Field<'_>) -> Option<Address> {
    let text = field.name()?;
    let tls = match text.split_once("://") {
        Some(("redis", _)) => false,
        Some(("rediss", _)) => true,
        _ => return field.refuse(format!("`{}` is no address of Redis", field.shown()), URL_HELP),
    };
    let Ok(url) = Url::parse(text) else {
        return field.refuse(format!("`{}` is no address", field.shown()), URL_HELP);
    };
    if url.query().is_some() || url.fragment().is_some() {
        return field.refuse("the address has a query or a `#`", URL_HELP);
    }
    let database = match url.path().trim_start_matches('/') {
        "" => Some(0),
        digits => digits.parse().ok().filter(|number| (0..=65_535).contains(number)),
    };
    let Some(database) = database else {
        return field.refuse("behind the host stands no number of a database", URL_HELP);
    };
    let host = match Host::parse(url.host_str().unwrap_or_default().as_bytes()) {
        Ok(host) => bare(host.name()),
        Err(_) => return field.refuse(format!("`{}` names no host", field.shown()), URL_HELP),
    };
    let Some(port) = Some(url.port().unwrap_or(6379)).filter(|port| *port > 0) else {
        return field.refuse("port 0 is no port", URL_HELP);
    };
    let (Some(username), Some(password)) = (decoded(url.username()), decoded(url.password().unwrap_or_default())) else {
        return field.refuse("the user in the address is no text", URL_HELP);
    };
    if password.is_some() && !is_expanded(field) {
        field.warn(WarningCode::InlineSecret, "a secret stands in the file itself", PASSWORD_HELP);
    }
    Some(Address { host, port, tls, username, password: password.map(Secret::new), database })
}

/// `Some(None)`: there is none.
fn decoded(text: &str) -> Option<Option<String>> {
    let text = percent_decode_str(text).decode_utf8().ok()?;
    if text.contains(char::is_control) {
        return None;
    }
    Some(Some(text.into_owned()).filter(|text| !text.is_empty()))
}

/// The environment may hand over a whole address, password and all.
fn is_expanded(field: &Field<'_>) -> bool {
    matches!(field.value(), Value::Text(text) if text.expanded)
}

/// The same in the address and under a key of its own: nobody knows which is meant.
fn one_of_two<T>(map: &Map<'_>, key: &'static str, written: Option<T>, in_url: Option<T>) -> Option<Option<T>> {
    match (written, in_url) {
        (Some(_), Some(_)) => map.optional(key)?.refuse(format!("the address has a {key} too"), "keep one of them"),
        (written, in_url) => Some(written.or(in_url)),
    }
}

fn read_tls(map: &Map<'_>) -> impl Fn(&Field<'_>) -> Option<bool> {
    let has_url = map.optional("url").is_some();
    move |field| {
        let tls = field.boolean()?;
        match has_url {
            true => field.refuse("the address says whether there is TLS", "write `rediss://` for it, and leave `tls` out"),
            false => Some(tls),
        }
    }
}

fn read_server(field: &Field<'_>) -> Option<(String, u16)> {
    let text = field.name()?;
    match Host::parse(text.as_bytes()).map(|host| (bare(host.name()), host.port())) {
        Ok((host, Some(port))) => Some((host, port)),
        Ok((_, None)) => field.refuse(format!("`{}` has no port", field.shown()), SERVER_HELP),
        Err(_) => field.refuse(format!("`{}` is no server", field.shown()), SERVER_HELP),
    }
}

/// An IPv6 address without its brackets.
fn bare(host: &str) -> String {
    host.trim_start_matches('[').trim_end_matches(']').to_owned()
}

/// Braces would put every key of ours into one slot of a cluster; `*`, `?` and `[` mean something to `SCAN`.
fn read_prefix(field: &Field<'_>) -> Option<String> {
    let text = field.name()?;
    match text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b':' | b'.' | b'_' | b'-' | b'/')) {
        true => Some(text.to_owned()),
        false => field
            .refuse(format!("`{}` is no prefix", field.shown()), "letters, digits, `:`, `.`, `_`, `-` and `/`, at most 64: `doorward:`"),
    }
}

/// What is stored is sealed, but its password is not, and whoever sits between could sign people out, or in again.
fn warn_about_plain_text(field: &Field<'_>, topology: &RedisTopology) {
    let servers: Vec<&str> = match topology {
        RedisTopology::Single { host, .. } => vec![host],
        RedisTopology::Sentinel { sentinels: servers, .. } | RedisTopology::Cluster(servers) => {
            servers.iter().map(|(host, _)| host.as_str()).collect()
        }
    };
    if let Some(host) = servers.into_iter().find(|host| is_public(host)) {
        let message = format!("Redis at `{host}` is on the open internet, and asked without TLS");
        field.warn(WarningCode::PlainHttp, message, "write `rediss://`, or `tls: true` beside `sentinels` or `cluster`");
    }
}
