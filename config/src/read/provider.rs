//! `providers`: who signs people in and issues tokens.

mod aliases;
mod attributes;
mod authentication;
mod issuer;
mod keys;
mod place;
mod requests;
mod revalidate;
mod sign_in;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use doorward_policy::login::RESERVED_PARAMETERS;
use doorward_policy::request::CleanPath;
use doorward_policy::token::Algorithm;

use super::field::Field;
use super::hooks::OAUTH2_CALLBACK;
use super::map::Map;
use super::session::SERVER_SIDE;
use super::word;
use crate::document::{Span, Value};
use crate::problem::{Finding, WarningCode};
use crate::settings::{AccessTokenType, KeySource, Provider, ProviderKind, Requests, StoreKind};
use attributes::Asked;
use place::Place;
use requests::Beside;
use sign_in::SignIn;

/// All providers, also those that could not be read: a route that names one of these has made no mistake.
#[derive(Debug, Default)]
pub(super) struct Providers {
    list: Vec<(String, Option<Provider>)>,
    by_name: HashMap<String, usize>,
    /// `providers` itself could not be read: nothing is known about names.
    broken: bool,
}

impl Providers {
    /// The index of a provider in [`crate::settings::Settings::providers`].
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    pub(super) fn names(&self) -> Vec<&str> {
        self.list.iter().map(|(name, _)| name.as_str()).collect()
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// `None` also when the provider could not be read.
    pub(super) fn get(&self, index: usize) -> Option<&Provider> {
        self.list.get(index)?.1.as_ref()
    }

    pub(super) fn into_settings(self) -> Option<Vec<Arc<Provider>>> {
        if self.broken {
            return None;
        }
        self.list.into_iter().map(|(_, provider)| provider.map(Arc::new)).collect()
    }
}

/// `oauth2_proxy`: its callback must lead to a provider of ours.
///
/// `store`: where sessions are, when that is known.
pub(super) fn read_all(field: Option<Field<'_>>, prefix: &str, oauth2_proxy: bool, store: Option<StoreKind>) -> Providers {
    let Some(field) = field else { return Providers::default() };
    let Some(map) = field.map() else {
        return Providers { broken: true, ..Providers::default() };
    };
    let mut providers = Providers::default();
    let mut taken = Taken::default();
    for (entry, field) in map.entries() {
        let named = is_name(&entry.key);
        if !named {
            let help = "a-z, 0-9, `-` and `_`, at most 64: it is a part of the callback's address";
            field.reading.refuse::<()>(&entry.key_span, &field.key, format!("`{}` is no name for a provider", entry.key), help);
        }
        let own = Own { prefix, oauth2_proxy, store };
        let provider = read(&field, &entry.key, own, &mut taken).filter(|_| named);
        providers.by_name.insert(entry.key.clone(), providers.list.len());
        providers.list.push((entry.key.clone(), provider));
    }
    if oauth2_proxy && !taken.aliases.contains_key(OAUTH2_CALLBACK) {
        adopt_callback(&field, &mut providers);
    }
    providers
}

/// What is settled elsewhere in the file.
#[derive(Debug, Clone, Copy)]
struct Own<'p> {
    /// Paths below it are taken before any alias.
    prefix: &'p str,
    /// oauth2-proxy's are Doorward's too.
    oauth2_proxy: bool,
    /// `None`: that has a mistake of its own.
    store: Option<StoreKind>,
}

/// What belongs to one provider each, and where it was first written.
#[derive(Debug, Default)]
struct Taken {
    aliases: HashMap<String, Span>,
    email_domains: HashMap<String, Span>,
}

/// One provider takes the callback that oauth2-proxy had; as its first alias, it is what the provider is told. Among
/// several, nobody knows which of them it is registered with.
fn adopt_callback(field: &Field<'_>, providers: &mut Providers) {
    match providers.list.as_mut_slice() {
        [] => {}
        [(_, provider)] => {
            if let Some(provider) = provider {
                provider.callback_aliases.push(OAUTH2_CALLBACK.to_owned());
            }
        }
        _ => {
            let help = format!(
                "with `compatibility: [oauth2-proxy]`, add `callback_aliases: [{OAUTH2_CALLBACK}]` to the provider that oauth2-proxy used"
            );
            field.reading.refuse::<()>(field.at(), &field.key, format!("`{OAUTH2_CALLBACK}` is the callback of no provider"), help);
        }
    }
}

/// `[a-z0-9][a-z0-9_-]*`, at most 64: what routes and providers are called.
pub(super) fn is_name(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
}

fn read(field: &Field<'_>, name: &str, own: Own<'_>, taken: &mut Taken) -> Option<Provider> {
    let map = field.map()?;
    let kind = map.required("kind").and_then(|field| read_kind(&field));
    let insecure_http = map.or("insecure_http", false, Field::boolean);
    let issuer = issuer::read(&map, kind, insecure_http == Some(true));
    let client_id = map.required("client_id").and_then(|field| field.name());
    let client_auth = authentication::read(&map, kind);
    let audience = map.maybe("audience", |field| read_audience(field, client_id));
    let scope = map.or("scope", "openid profile email".into(), |field| read_scope(field, own.store));
    let organization = map.maybe("organization", |field| field.name().map(str::to_owned));
    let connection = map.maybe("connection", |field| field.text().map(str::to_owned));
    let authorize = map.or("authorize", BTreeMap::new(), read_authorize);
    let callback_aliases = map.or("callback_aliases", Vec::new(), |field| aliases::read(field, own, &mut taken.aliases));
    let algorithms = map.or("algorithms", vec![Algorithm::Rs256], read_algorithms);
    let default_type = if kind == Some(ProviderKind::Auth0) { AccessTokenType::Either } else { AccessTokenType::AtJwt };
    let types = [("at+jwt", AccessTokenType::AtJwt), ("jwt", AccessTokenType::Jwt)];
    let access_token_type = map.or("access_token_type", default_type, |field| field.one_of(&types));
    let ca = map.maybe("ca", |field| field.certificates().map(|(_, bytes)| bytes));
    let userinfo = map.or("userinfo", false, Field::boolean);
    let asked = userinfo.zip(audience.as_ref()).map(|(userinfo, audience)| Asked { userinfo, audience: audience.is_some() });
    let attributes = attributes::read(&map, asked);
    let after_logout = map.or("after_logout", "/".into(), read_local_path);
    let sign_in = SignIn::read(&map, name, own.store, &mut taken.email_domains);
    let place = Place { kind, issuer: issuer.as_deref(), insecure_http: insecure_http == Some(true) };
    let beside = Beside::new(place, client_auth.as_ref(), map.optional("connection").is_some());
    let written = match map.optional("authorize").as_ref().map(Field::value) {
        Some(Value::Map(entries)) => entries.iter().map(|entry| entry.key.as_str()).collect(),
        _ => Vec::new(),
    };
    let requests = map.or("requests", Requests::default(), |field| requests::read(field, beside, &written));
    let keys = map.or("keys", KeySource::default(), |field| keys::read(field, place, algorithms.as_deref()));
    let accepts = audience.as_ref().map(Option::is_some);
    let revalidate = map.maybe("revalidate", |field| revalidate::read(field, beside, client_auth.as_ref(), accepts));
    map.finish(hints(kind));
    if kind == Some(ProviderKind::Auth0) && audience == Some(None) {
        let finding =
            Finding::warning(WarningCode::OpaqueTokens, format!("provider `{name}` has no audience")).at(field.at()).key(&field.key);
        let help = "Auth0 would issue an opaque access token: bearer tokens cannot be accepted; add `audience: …`, the identifier of your API in Auth0";
        field.reading.report(finding.help(help));
    }
    let sign_in = sign_in?;
    Some(Provider {
        name: name.to_owned(),
        kind: kind?,
        issuer: issuer?,
        client_id: client_id?.to_owned(),
        client_auth: client_auth?,
        audience: audience?,
        scope: scope?,
        organization: organization?,
        connection: connection?,
        authorize: authorize?,
        callback_aliases: callback_aliases?,
        algorithms: algorithms?,
        access_token_type: access_token_type?,
        ca: ca?,
        insecure_http: insecure_http?,
        userinfo: userinfo?,
        after_logout: after_logout?,
        label: sign_in.label,
        hidden: sign_in.hidden,
        email_domains: sign_in.email_domains,
        response_mode: sign_in.response_mode,
        third_party_login: sign_in.third_party_login,
        login_parameters: sign_in.login_parameters,
        revoke_on_logout: sign_in.revoke_on_logout,
        attributes: attributes?,
        requests: requests?,
        keys: keys?,
        revalidate: revalidate?,
    })
}

fn hints(kind: Option<ProviderKind>) -> &'static [(&'static str, &'static str)] {
    match kind {
        Some(ProviderKind::Auth0) => &[
            ("issuer", "`kind: auth0` makes it from `domain`; `kind: oidc` takes an `issuer`"),
            ("tenant", "write `domain: …`"),
            ("scopes", "write `scope: [ … ]`"),
            ("redirect_uri", "it is `<prefix>/callback/<provider>` on each app's host; for another path there is `callback_aliases`"),
        ],
        _ => &[
            ("domain", "`kind: oidc` takes an `issuer`; `kind: auth0` takes a `domain`"),
            ("scopes", "write `scope: [ … ]`"),
            ("redirect_uri", "it is `<prefix>/callback/<provider>` on each app's host; for another path there is `callback_aliases`"),
        ],
    }
}

fn read_kind(field: &Field<'_>) -> Option<ProviderKind> {
    match field.any_text()? {
        "auth0" => Some(ProviderKind::Auth0),
        "oidc" => Some(ProviderKind::Oidc),
        "saml" | "saml2" | "wsfed" => field.refuse(
            format!("`{}` is not spoken here", field.shown()),
            "connect it to Auth0 as an enterprise connection, and write `kind: auth0` with that `connection`",
        ),
        other if word::nearest(other, ["auth0", "oidc"].into_iter()).is_some() => {
            field.unknown(&format!("`{}` is not one of `auth0` or `oidc`", field.shown()), &["auth0", "oidc"])
        }
        _ => field.refuse(
            format!("`{}` is not one of `auth0` or `oidc`", field.shown()),
            "every provider that speaks OpenID Connect is `kind: oidc`",
        ),
    }
}

/// OIDC Core §3.1.3.7 and RFC 9068 §4: an ID token's audience is the client, an access token's is the API. Were both
/// the same, one could be taken for the other.
fn read_audience(field: &Field<'_>, client_id: Option<&str>) -> Option<String> {
    let audience = field.name()?;
    if Some(audience) == client_id {
        return field.refuse(
            "the audience is the client itself",
            "it is the identifier of the API; with the client's, an ID token would pass for an access token",
        );
    }
    Some(audience.to_owned())
}

fn read_scope(field: &Field<'_>, store: Option<StoreKind>) -> Option<String> {
    let names = field.each(|item| {
        let name = item.name()?;
        // RFC 6749 §3.3.
        if !name.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e)) {
            return item.refuse(format!("`{}` is no scope", item.shown()), "visible ASCII without quotes and backslashes");
        }
        if name == "offline_access" && store == Some(StoreKind::Cookie) {
            return item.refuse("`store: cookie` keeps no refresh token", format!("leave `offline_access` out, or {SERVER_SIDE}"));
        }
        Some(name.to_owned())
    })?;
    if !names.iter().any(|name| name == "openid") {
        return field.refuse("`openid` is not in the list", "without it the provider does not say who signed in; add `openid`");
    }
    Some(names.join(" "))
}

fn read_authorize(field: &Field<'_>) -> Option<BTreeMap<String, String>> {
    let map = field.map()?;
    let read = |(entry, field): (&crate::document::Entry, Field<'_>)| {
        let text = field.text();
        if RESERVED_PARAMETERS.contains(&entry.key.as_str()) {
            let help = match entry.key.as_str() {
                "audience" | "organization" | "connection" | "scope" | "response_mode" => {
                    format!("write `{}` at the provider itself", entry.key)
                }
                _ => "leave it out".to_owned(),
            };
            return field.reading.refuse(&entry.key_span, &field.key, format!("parameter `{}` is set by Doorward itself", entry.key), help);
        }
        if entry.key.is_empty() || !entry.key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.')) {
            return field.reading.refuse(
                &entry.key_span,
                &field.key,
                format!("`{}` is no name for a parameter", entry.key),
                "letters, digits, `_`, `-` and `.`",
            );
        }
        Some((entry.key.clone(), text?.to_owned()))
    };
    super::field::all(map.entries().map(read)).map(|pairs| pairs.into_iter().collect())
}

/// Whether `path` is `prefix` or below, by whole segments.
pub(super) fn is_under(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A path as a request could have it, on whatever host it is asked for.
pub(super) fn read_local_path(field: &Field<'_>) -> Option<String> {
    const HELP: &str = "a path on the app's own host, with one `/` at its beginning: `/tenant/oauth`";
    let text = field.name()?;
    if !text.starts_with('/') {
        return field.refuse(format!("`{}` does not begin with `/`", field.shown()), HELP);
    }
    match CleanPath::parse(text.as_bytes()) {
        Ok(path) if path.as_str() == text && !text.contains(';') => Some(text.to_owned()),
        Ok(path) => field.refuse(
            format!("`{}` is not how a request would spell it", field.shown()),
            format!("write `{}`", path.as_str().split(';').next().unwrap_or("/")),
        ),
        Err(fault) => field.refuse(format!("`{}` is no path: {fault}", field.shown()), HELP),
    }
}

fn read_algorithms(field: &Field<'_>) -> Option<Vec<Algorithm>> {
    let mut algorithms = field.each(|item| {
        let text = item.any_text()?;
        if let Some(algorithm) = Algorithm::from_name(text) {
            return Some(algorithm);
        }
        // RFC 8725 §2.1, §3.1.
        match text.to_ascii_uppercase().as_str() {
            "NONE" => item.refuse("`none` would accept tokens that nobody signed", "leave it out"),
            "HS256" | "HS384" | "HS512" => {
                let help = "choose RS256 for the application (or API) at the provider, and write `RS256`";
                item.refuse(format!("`{}` signs with a secret that every verifier could sign with too", item.shown()), help)
            }
            _ => {
                let known: Vec<&str> = Algorithm::ALL.iter().map(|algorithm| algorithm.name()).collect();
                item.unknown(&format!("`{}` is not one of {}", item.shown(), word::list(&known)), &known)
            }
        }
    })?;
    algorithms.dedup();
    Some(algorithms)
}

/// A host that a provider may be at without TLS.
fn is_local_only(map: &Map<'_>, host: &str, shown: &Field<'_>) -> Option<()> {
    if super::network::is_loopback(host) {
        return Some(());
    }
    let field = map.optional("insecure_http").unwrap_or_else(|| shown.clone());
    field.refuse(
        "plain http is for providers on this machine only",
        "leave `insecure_http` out: sign-ins over plain http can be read and changed by anybody on the way",
    )
}
