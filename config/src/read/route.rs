//! `routes`: one app at one place each.

mod clash;
mod keep;

use std::collections::HashMap;

use doorward_policy::access::{PathPrefix, Policy, Requirement, Route, Rule};
use doorward_policy::credential::Accept;
use doorward_policy::identity::IdentityMapping;
use doorward_policy::request::HostPattern;
use http::HeaderName;

use super::field::Field;
use super::headers::{self, Headers};
use super::hooks::OAUTH2_PREFIX;
use super::map::Map;
use super::provider::{Providers, is_name, is_under};
use super::reading::Reading;
use super::session::SERVER_SIDE;
use super::{cors, rules, upstream, word};
use crate::document::Span;
use crate::problem::Finding;
use crate::settings::{Rewrite, RouteSettings, StoreKind};

/// What all routes start from.
pub(super) struct Common<'c> {
    pub(super) providers: &'c Providers,
    pub(super) headers: &'c Headers,
    pub(super) prefix: &'c str,
    /// oauth2-proxy's paths are Doorward's too.
    pub(super) oauth2_proxy: bool,
    /// Other proxies ask: a route may be without an app.
    pub(super) hooks: bool,
    pub(super) body: Option<u64>,
    /// Where sessions are, when that is known.
    pub(super) store: Option<StoreKind>,
}

/// A route and the places in the file that checks across routes point at.
pub(super) struct ReadRoute<'d> {
    route: Route,
    settings: RouteSettings,
    field: Field<'d>,
    hosts: Vec<Span>,
    keep: Vec<Field<'d>>,
}

pub(super) fn read_all<'d>(field: &Field<'d>, common: &Common<'_>) -> Option<Vec<ReadRoute<'d>>> {
    let mut names = HashMap::new();
    let read: Vec<Option<ReadRoute<'d>>> = field.items()?.iter().map(|item| read(item, common, &mut names)).collect();
    let complete = read.iter().all(Option::is_some);
    let routes: Vec<ReadRoute<'d>> = read.into_iter().flatten().collect();
    let clear = clash::check_places(&routes);
    let kept = clash::check_kept_headers(&routes);
    (complete && clear && kept).then_some(routes)
}

/// The policy, and what else the proxy needs for each route.
pub(super) fn compile(reading: &Reading<'_>, routes: Vec<ReadRoute<'_>>, mapping: IdentityMapping) -> Option<(Policy, Vec<RouteSettings>)> {
    let places: HashMap<String, Span> = routes.iter().map(|read| (read.route.name.to_string(), read.field.at().clone())).collect();
    let (routes, settings): (Vec<Route>, Vec<RouteSettings>) = routes.into_iter().map(|read| (read.route, read.settings)).unzip();
    match Policy::new(routes, mapping) {
        Ok(policy) => Some((policy, settings)),
        Err(clash) => {
            let span = places.get(&*clash.second).cloned().unwrap_or(0..0);
            reading.refuse(&span, "routes", clash.to_string(), "give one of them another `path`")
        }
    }
}

fn read<'d>(item: &Field<'d>, common: &Common<'_>, names: &mut HashMap<String, Span>) -> Option<ReadRoute<'d>> {
    let map = item.map()?;
    let name = map.required("name").and_then(|field| read_name(&field, names));
    let hosts = map.required("host").and_then(|field| super::field::all(field.items_or_one()?.iter().map(read_host)));
    let path = map.or("path", PathPrefix::default(), |field| read_path(field, common));
    // Another proxy forwards to the app, and Doorward never sees it.
    let only_asked = common.hooks && map.optional("upstream").is_none();
    let rewrite = map.or("rewrite", Rewrite::Keep, |field| match only_asked {
        true => field.refuse("there is no `upstream` to rewrite for", "the other proxy forwards; it must rewrite"),
        false => read_rewrite(field, path.as_ref()),
    });
    let upstream = match only_asked {
        true => rewrite.map(|_| None),
        false => map.required("upstream").and_then(|field| upstream::read(&field, rewrite?)).map(Some),
    };
    let rules = match map.optional("rules") {
        Some(field) => rules::read(&field, name.unwrap_or_default(), path.as_ref()),
        None => map.missing("rules", "without a rule everybody is refused; for example `rules: [{ allow: signed-in }]`"),
    };
    let providers = read_providers(&map, common.providers, rules.as_deref());
    let accept = read_accept(&map, common.providers, providers.as_deref());
    let pass_token = map.or("pass_token", false, |field| read_pass_token(field, accept, common.store));
    let signs_in = accept.zip(providers.as_ref()).map(|(accept, providers)| accept != Accept::Bearer && !providers.is_empty());
    let keep_form = map.or("keep_form", false, |field| keep::read_form(field, signs_in, only_asked));
    let keep_fragment = map.or("keep_fragment", false, |field| keep::read_fragment(field, signs_in));
    let headers = headers::read(map.optional("headers"));
    let keep = map.or("keep_headers", Vec::new(), |field| super::field::all(field.any_items()?.iter().map(read_kept)));
    let cors = map.maybe("cors", cors::read);
    let body_limit = map.or("limits", common.body, |field| read_body(field, common.body, only_asked));
    map.finish(&[
        ("hosts", "write `host`, which may be a list"),
        ("paths", "a route has one `path`; rules may have several"),
        ("auth", "write `rules`"),
        ("servers", "write `upstream: { servers: [ … ] }`"),
        ("strip_prefix", "write `rewrite: { strip: … }`"),
        ("providers", "write `provider`, which may be a list"),
    ]);
    let (hosts, keep) = (hosts?, keep?);
    let (hosts, host_spans) = hosts.into_iter().unzip();
    let (keep_headers, keep) = keep.into_iter().unzip();
    let route = Route {
        name: name?.into(),
        hosts,
        path: path?,
        providers: providers?,
        accept: accept?,
        rules: rules?,
        headers: common.headers.with(headers),
        keep_headers,
        pass_token: pass_token?,
        cors: cors?,
    };
    let settings = RouteSettings { upstream: upstream?, body_limit: body_limit?, keep_form: keep_form?, keep_fragment: keep_fragment? };
    Some(ReadRoute { route, settings, field: item.clone(), hosts: host_spans, keep })
}

fn read_name<'d>(field: &Field<'d>, names: &mut HashMap<String, Span>) -> Option<&'d str> {
    let text = field.name()?;
    if !is_name(text) {
        return field
            .refuse(format!("`{}` is no name for a route", field.shown()), "a-z, 0-9, `-` and `_`, at most 64, no sign at the beginning");
    }
    if let Some(first) = names.get(text) {
        let finding = Finding::error(format!("two routes are called `{text}`")).at(field.span()).key(&field.key);
        field.reading.report(finding.related(first, "first here").help("logs and metrics tell routes apart by name"));
        return None;
    }
    names.insert(text.to_owned(), field.span().clone());
    Some(text)
}

fn read_host(field: &Field<'_>) -> Option<(HostPattern, Span)> {
    let text = field.name()?;
    match HostPattern::parse(text) {
        Ok(host) => Some((host, field.span().clone())),
        Err(_) => {
            let help = "a name without scheme, port and path: `app.acme.dev`, or `*.acme.dev` for every name below";
            field.refuse(format!("`{}` is no host name", field.shown()), help)
        }
    }
}

fn read_path(field: &Field<'_>, common: &Common<'_>) -> Option<PathPrefix> {
    match PathPrefix::parse(field.name()?) {
        Ok(path) if is_under(&path.to_string(), common.prefix) => field
            .refuse(format!("everything under `{}` is Doorward's own", common.prefix), "choose another path, or another `server.prefix`"),
        Ok(path) if common.oauth2_proxy && is_under(&path.to_string(), OAUTH2_PREFIX) => field.refuse(
            format!("everything under `{OAUTH2_PREFIX}` is Doorward's own, in the place of oauth2-proxy"),
            "choose another path, or take `compatibility: [oauth2-proxy]` away",
        ),
        Ok(path) => Some(path),
        Err(fault) => field.refuse(
            format!("`{}`: {fault}", field.shown()),
            "a literal path, `/v1`: the route answers for it and all below; patterns stand in `rules`",
        ),
    }
}

fn read_rewrite(field: &Field<'_>, path: Option<&PathPrefix>) -> Option<Rewrite> {
    let map = field.map()?;
    let (strip, replace) = (map.optional("strip"), map.optional("replace"));
    map.finish(&[("prefix", "write `replace: { prefix: …, with: … }`")]);
    match (strip, replace) {
        (Some(strip), None) => {
            let from = read_replaced(&strip, path?)?;
            if from == "/" {
                return strip.refuse("there is nothing to strip", "leave `rewrite` out");
            }
            Some(Rewrite::Prefix { from, to: "/".into() })
        }
        (None, Some(replace)) => {
            let map = replace.map()?;
            let from = map.required("prefix").and_then(|field| read_replaced(&field, path?));
            let to = map.required("with").and_then(|field| match PathPrefix::parse(field.name()?) {
                Ok(to) => Some(to.to_string()),
                Err(fault) => field.refuse(format!("`{}`: {fault}", field.shown()), "a literal path: `/api`"),
            });
            map.finish(&[]);
            Some(Rewrite::Prefix { from: from?, to: to? })
        }
        (None, None) => field.refuse("it is not said what to rewrite", "`{ strip: /v1 }` or `{ replace: { prefix: /v1, with: /api } }`"),
        (Some(_), Some(_)) => field.refuse("both `strip` and `replace`", "keep one of them"),
    }
}

/// Every request of the route must begin with what is replaced.
fn read_replaced(field: &Field<'_>, path: &PathPrefix) -> Option<String> {
    match PathPrefix::parse(field.name()?) {
        Ok(from) if path.segments().starts_with(from.segments()) => Some(from.to_string()),
        Ok(from) => field.refuse(
            format!("not every path of this route begins with `{from}`"),
            format!("the route's `path` is `{path}`; replace that or a part of its beginning"),
        ),
        Err(fault) => field.refuse(format!("`{}`: {fault}", field.shown()), "a literal path: `/v1`"),
    }
}

/// In the order written; none: nobody needs to sign in here.
fn read_providers(map: &Map<'_>, providers: &Providers, rules: Option<&[Rule]>) -> Option<Vec<usize>> {
    if let Some(field) = map.optional("provider") {
        let mut named = Vec::new();
        let read: Option<Vec<()>> = super::field::all(field.items_or_one()?.iter().map(|item| {
            let index = read_provider(item, providers)?;
            if named.contains(&index) {
                return item.refuse(format!("provider `{}` is in the list already", item.shown()), "leave it out");
            }
            named.push(index);
            Some(())
        }));
        return read.map(|_| named);
    }
    let names = providers.names();
    if let [_] = names.as_slice() {
        return Some(vec![0]);
    }
    let protected = rules?.iter().any(|rule| !rule.allow.is_anonymous() || matches!(rule.allow, Requirement::Optional));
    match names.as_slice() {
        _ if !protected => Some(Vec::new()),
        _ if providers.is_broken() => None,
        [] => map.missing("provider", "people must sign in here: write one under `providers`, and name it"),
        several => {
            map.missing("provider", format!("there are several: choose {}; or list those that people may choose from", word::list(several)))
        }
    }
}

fn read_provider(field: &Field<'_>, providers: &Providers) -> Option<usize> {
    match providers.find(field.name()?) {
        Some(index) => Some(index),
        None if providers.is_broken() => None,
        None if providers.names().is_empty() => {
            field.refuse(format!("there is no provider `{}`", field.shown()), "write it under `providers`")
        }
        None => {
            let known = providers.names();
            field.unknown(&format!("there is no provider `{}`: known are {}", field.shown(), word::list(&known)), &known)
        }
    }
}

/// `both` is what nobody needs to say; without an audience there are no tokens to verify, so it is the session alone.
fn read_accept(map: &Map<'_>, providers: &Providers, named: Option<&[usize]>) -> Option<Accept> {
    let field = map.optional("accept");
    let accept = match &field {
        Some(field) => field.one_of(&[("session", Accept::Session), ("bearer", Accept::Bearer), ("both", Accept::Both)])?,
        None => Accept::Both,
    };
    let named = named?;
    let read: Option<Vec<_>> = named.iter().map(|index| providers.get(*index)).collect();
    let verifiable = read?.iter().any(|provider| provider.audience.is_some());
    match (accept, field) {
        (Accept::Bearer, Some(field)) if !verifiable => match named {
            [] => field
                .refuse("without a provider there are no tokens to verify", "add `audience` to the provider: the identifier of the API"),
            [one] => {
                let message = format!("provider `{}` has no `audience`, so its tokens cannot be verified", providers.names()[*one]);
                field.refuse(message, "add `audience` to the provider: the identifier of the API")
            }
            _ => field.refuse(
                "none of these providers has an `audience`, so their tokens cannot be verified",
                "add `audience` to one of them: the identifier of the API",
            ),
        },
        (Accept::Both, _) if !verifiable => Some(Accept::Session),
        _ => Some(accept),
    }
}

fn read_pass_token(field: &Field<'_>, accept: Option<Accept>, store: Option<StoreKind>) -> Option<bool> {
    let pass = field.boolean()?;
    if pass && accept? == Accept::Session && store == Some(StoreKind::Cookie) {
        return field.refuse(
            "there is no token to pass on: `store: cookie` keeps none in a session",
            format!("{SERVER_SIDE}; or write `accept: bearer` (and an `audience` at the provider), or take `pass_token` away"),
        );
    }
    Some(pass)
}

fn read_kept<'d>(field: &Field<'d>) -> Option<(HeaderName, Field<'d>)> {
    match HeaderName::from_bytes(field.name()?.as_bytes()) {
        Ok(name) => Some((name, field.clone())),
        Err(_) => field.refuse(format!("`{}` is no header", field.shown()), "the name alone, such as `x_device_id`"),
    }
}

fn read_body(field: &Field<'_>, default: Option<u64>, only_asked: bool) -> Option<Option<u64>> {
    let map = field.map()?;
    let body = map.or("body", default, |field| match only_asked {
        true => field.refuse("without `upstream` no body comes by here", "the other proxy forwards; it must limit bodies"),
        false => field.size_or_unlimited(),
    });
    map.finish(&[]);
    body
}
