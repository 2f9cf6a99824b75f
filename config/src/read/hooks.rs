//! `server.hooks`: where other proxies ask before they pass a request on, and which of them may.

use std::net::SocketAddr;

use doorward_policy::secret::Secret;
use ipnet::IpNet;

use super::field::Field;
use super::map::Map;
use super::network::is_public_network;
use super::word;
use crate::problem::WarningCode;
use crate::settings::{Hooks, OriginalRequest};

/// Where oauth2-proxy lives, and everything that stands in for it.
pub(super) const OAUTH2_PREFIX: &str = "/oauth2";
/// The redirect URI that users of oauth2-proxy have registered.
pub(super) const OAUTH2_CALLBACK: &str = "/oauth2/callback";
/// What oauth2-proxy tells apps, and no other setting names.
pub(super) const OAUTH2_CLAIMS: &[&str] = &["groups"];

const EXAMPLE_SECRET: &str = include_str!("../../examples/secrets/hooks");

/// `certified`: there are certificates in `server.tls`, or it is told anyway that there are none.
pub(super) fn read(field: &Field<'_>, certified: bool) -> Option<Hooks> {
    let map = field.map()?;
    let listen = map.or("listen", Vec::new(), read_addresses);
    let grpc = map.or("grpc", Vec::new(), read_addresses);
    if map.optional("listen").or_else(|| map.optional("grpc")).is_none() {
        map.missing::<()>("listen", "add `listen: [ … ]`: the address that the other proxies ask; or `grpc: [ … ]` for Envoy's gRPC");
    }
    let tls = map.or("tls", false, |field| read_tls(field, certified));
    let secret = map.maybe("secret", read_secret);
    let client_ca = map.maybe("client_ca", |field| read_client_ca(field, tls));
    let proven = map.optional("secret").or_else(|| map.optional("client_ca")).is_some();
    let peers = read_peers(&map, proven);
    let oauth2_proxy = read_compatibility(&map);
    map.finish(&[
        ("address", "write `listen: [ … ]`"),
        ("trusted_proxies", "here it is `trusted_peers`: who may ask"),
        ("trusted_ips", "write `trusted_peers: [ … ]`"),
        ("token", "write `secret: { file: … }`"),
        ("ca", "write `client_ca: …`"),
        ("certificates", "they are those of `server.tls`; write `tls: true`"),
        ("cert", "it is that of `server.tls`; write `tls: true`"),
    ]);
    let (listen, grpc, tls, peers) = (listen?, grpc?, tls?, peers?);
    if !tls && listen.iter().chain(&grpc).any(|address| !address.ip().to_canonical().is_loopback()) {
        peers.iter().filter(|(network, _)| is_public_network(network)).for_each(|(_, item)| warn_about_plain_http(item));
    }
    let secret = secret?;
    let oauth2_proxy = oauth2_proxy?;
    if oauth2_proxy.is_some() && listen.is_empty() {
        let field = map.optional("compatibility")?;
        return field.refuse("nothing serves the endpoints of oauth2-proxy", "add `listen: [ … ]` to `hooks`: they are HTTP, not gRPC");
    }
    Some(Hooks {
        example_secret: secret.as_ref().is_some_and(|secret| secret.matches(EXAMPLE_SECRET.trim().as_bytes())),
        secret,
        listen,
        grpc,
        tls,
        trusted_peers: peers.into_iter().map(|(network, _)| network).collect(),
        client_ca: client_ca?,
        oauth2_proxy,
    })
}

fn read_addresses(field: &Field<'_>) -> Option<Vec<SocketAddr>> {
    super::field::all(field.items_or_one()?.iter().map(Field::address))
}

/// HOOK-01: whoever may ask says who the client is and which request it made, and is told identities.
fn read_peers<'d>(map: &Map<'d>, proven: bool) -> Option<Vec<(IpNet, Field<'d>)>> {
    const HELP: &str = "name the proxies that ask by their addresses, for example `trusted_peers: [10.0.3.7]`; everybody else gets 403";
    match map.optional("trusted_peers") {
        Some(field) => {
            let items = field.any_items()?;
            if items.is_empty() {
                return field.refuse("a hook listener without trusted peers answers nobody", HELP);
            }
            super::field::all(items.into_iter().map(|item| Some((item.trusted_peer(proven)?, item))))
        }
        None => map.missing("trusted_peers", HELP),
    }
}

/// What comes in `X-Doorward-Secret`.
fn read_secret(field: &Field<'_>) -> Option<Secret<String>> {
    field.header_secret("make one with `doorward keygen`, and give the same text to the proxies that ask")
}

fn read_tls(field: &Field<'_>, certified: bool) -> Option<bool> {
    let tls = field.boolean()?;
    if tls && !certified {
        return field.refuse("there is no certificate to show", "add `tls: { certificates: [{ cert: …, key: … }] }` to `server`");
    }
    Some(tls)
}

fn read_client_ca(field: &Field<'_>, tls: Option<bool>) -> Option<Vec<u8>> {
    let bytes = field.certificates().map(|(_, bytes)| bytes);
    if !tls? {
        return field.refuse("without TLS nobody shows a certificate", "add `tls: true` beside it");
    }
    bytes
}

/// `Some(None)`: nothing stands in for another product.
fn read_compatibility(map: &Map<'_>) -> Option<Option<OriginalRequest>> {
    let products = map.or("compatibility", Vec::new(), |field| super::field::all(field.any_items()?.iter().map(read_product)));
    let fields = [("x-original", OriginalRequest::XOriginal), ("x-forwarded", OriginalRequest::XForwarded)];
    let original = map.or("original_request", OriginalRequest::XOriginal, |field| field.one_of(&fields));
    let (products, original) = (products?, original?);
    match map.optional("original_request") {
        Some(field) if products.is_empty() => field.refuse(
            "`original_request` is for the check of oauth2-proxy alone",
            "add `compatibility: [oauth2-proxy]`, or leave it out: every other check has its proxy's name in its path",
        ),
        _ => Some((!products.is_empty()).then_some(original)),
    }
}

fn read_product(field: &Field<'_>) -> Option<()> {
    const KNOWN: &[&str] = &["oauth2-proxy"];
    let name = field.any_text()?;
    if KNOWN.contains(&name) {
        return Some(());
    }
    let message = format!("there is no compatibility with `{}`", field.shown());
    match word::nearest(name, KNOWN.iter().copied()) {
        Some(_) => field.unknown(&message, KNOWN),
        None => {
            field.refuse(message, "only with `oauth2-proxy`; the checks for Traefik, nginx, Caddy, Envoy and HAProxy are there without it")
        }
    }
}

/// A peer sends what browsers sent: cookies, tokens. And the secret.
fn warn_about_plain_http(item: &Field<'_>) {
    item.warn(
        WarningCode::PlainHooks,
        format!("`{}` is no private network, and asks without TLS", item.shown()),
        "cookies and tokens can be read on the way; add `tls: true`, or let a proxy ask that is nearer",
    );
}
