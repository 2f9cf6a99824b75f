//! What several sections say together: each is right by itself, and one of them does not fit the others.

mod reach;
mod size;

use doorward_policy::access::Route;
use doorward_policy::credential::Accept;
use doorward_policy::request::HostPattern;

use super::field::Field;
use super::map::Map;
use super::tests::ReadTest;
use super::word;
use crate::problem::{Finding, WarningCode};
use crate::settings::{Settings, StoreKind};

/// Hosts that a message names; the rest is a number.
const NAMED: usize = 3;

/// `None` when something was reported that must be put right.
pub(super) fn check(root: &Map<'_>, settings: &Settings) -> Option<()> {
    let public_host = check_public_host(root, settings);
    let choices = check_choices(root, settings);
    public_host.and(choices)
}

/// What is worth a second look in a file that is right: what is missing may stand in a line with a mistake.
pub(super) fn warn(root: &Map<'_>, settings: &Settings, tests: &[ReadTest<'_>]) {
    reach::warn_if_nothing_is_denied(root, settings);
    reach::warn_about_nobodys_roles(root, settings);
    size::warn_about_large_cookies(tests, settings);
    if let Some(session) = root.optional("session") {
        warn_about_forgotten_sign_outs(&session, settings);
        warn_about_hosts_outside(&session, settings);
    }
    if let Some(providers) = root.optional("providers").and_then(|field| field.map()) {
        for (index, (_, field)) in providers.entries().enumerate() {
            warn_about_refresh_tokens(&field, index, settings);
        }
    }
}

/// Where people come with a session.
fn signs_in(route: &Route) -> bool {
    route.accept != Accept::Bearer && !route.providers.is_empty()
}

/// A cookie that was copied is good until its end, unless somebody remembers that it is not.
fn warn_about_forgotten_sign_outs(field: &Field<'_>, settings: &Settings) {
    let kept = settings.server.state_dir.is_some() || settings.session.redis.is_some();
    // With `memory` a restart ends all sessions.
    if settings.session.store != StoreKind::Cookie || kept || !settings.policy.routes().iter().any(signs_in) {
        return;
    }
    let help = "add `state_dir: …` to `server`, a folder that Doorward may write in; or `redis: …` to `session`";
    field.warn(WarningCode::ForgottenSignOuts, "a restart forgets who was signed out: a copy of their cookie is good again", help);
}

fn is_within(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn warn_about_hosts_outside(session: &Field<'_>, settings: &Settings) {
    let Some(domain) = settings.session.domain.as_deref() else { return };
    let mut outside: Vec<String> = Vec::new();
    for pattern in settings.policy.routes().iter().filter(|route| signs_in(route)).flat_map(|route| &route.hosts) {
        let (HostPattern::Exact(name) | HostPattern::Below(name)) = pattern;
        if !is_within(name, domain) && !outside.contains(&pattern.to_string()) {
            outside.push(pattern.to_string());
        }
    }
    if outside.is_empty() {
        return;
    }
    let Some(field) = session.map().and_then(|map| map.optional("domain")) else { return };
    let more = outside.len().saturating_sub(NAMED);
    let named = outside.iter().take(NAMED).map(|host| format!("`{host}`")).collect::<Vec<_>>().join(", ");
    let names = if more == 0 { named } else { format!("{named} and {more} more") };
    let help = match settings.server.public_host {
        Some(_) => "people are handed over to them from `public_url`, and each keeps a cookie of its own",
        None => "each of them keeps a cookie of its own, and people sign in there again; `server.public_url` would hand them over",
    };
    field.warn(WarningCode::OutsideDomain, format!("not within `{domain}`: {names}"), help);
}

/// A cookie for the domain can only be set from within it.
fn check_public_host(root: &Map<'_>, settings: &Settings) -> Option<()> {
    let (Some(host), Some(domain)) = (&settings.server.public_host, &settings.session.domain) else { return Some(()) };
    if is_within(host, domain) {
        return Some(());
    }
    let message = format!("`{host}` is not within `session.domain`, `{domain}`: it could not set that cookie");
    root.optional("server")?.map()?.optional("public_url")?.refuse(message, "choose a host of that domain, or take one of the two away")
}

/// OIDC Core §11: without `offline_access` there is no refresh token, although some providers send one.
fn warn_about_refresh_tokens(field: &Field<'_>, index: usize, settings: &Settings) {
    let Some(provider) = settings.providers.get(index) else { return };
    let wanted = settings.session.refresh.is_some() || provider.revoke_on_logout;
    let used = settings.policy.routes().iter().any(|route| signs_in(route) && route.providers.contains(&index));
    if !wanted || !used || provider.scope.split(' ').any(|scope| scope == "offline_access") {
        return;
    }
    let message = format!("provider `{}` is not asked for a refresh token", provider.name);
    let help = "add `offline_access` to its `scope` (and allow it there); a few providers, such as Keycloak, send one unasked";
    let finding = Finding::warning(WarningCode::NoRefreshToken, message).key(&field.key).help(help);
    let scope = field.map().and_then(|map| map.optional("scope"));
    field.reading.report(finding.at(scope.as_ref().map_or(field.at(), Field::at)));
}

/// The page that lets people choose must have something on it.
fn check_choices(root: &Map<'_>, settings: &Settings) -> Option<()> {
    let reachable =
        |index: &usize| settings.providers.get(*index).is_some_and(|provider| !provider.hidden || !provider.email_domains.is_empty());
    let items = root.optional("routes")?.items()?;
    let empty = |route: &Route| route.providers.len() > 1 && signs_in(route) && !route.providers.iter().any(reachable);
    let mut sound = Some(());
    for (item, route) in items.iter().zip(settings.policy.routes()).filter(|(_, route)| empty(route)) {
        let names: Vec<&str> = route.providers.iter().filter_map(|index| settings.providers.get(*index)).map(|p| p.name.as_str()).collect();
        let message = format!("{} are hidden, and there would be nothing to choose from", word::list(&names).replace(" or ", " and "));
        sound = item.map()?.optional("provider")?.refuse(message, "take `hidden` away from one of them, or give it `email_domains`");
    }
    sound
}
