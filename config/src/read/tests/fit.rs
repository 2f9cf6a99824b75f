//! Tests beside the policy they are about: each names what is there.

use std::sync::Arc;

use doorward_policy::access::{DenyReason, Enforce, Policy, Route, Rule};
use doorward_policy::credential::Accept;
use doorward_policy::identity::Proof;

use super::super::field::{Field, all};
use super::super::map::Map;
use super::super::provider::is_under;
use super::super::word;
use super::ReadTest;
use crate::problem::Finding;
use crate::settings::{Expect, PolicyTest, Provider};

/// `None` when some test cannot be what the operator meant. `prefix`: where our own endpoints are.
pub(in super::super) fn check_all(tests: &[ReadTest<'_>], policy: &Policy, providers: &[Arc<Provider>], prefix: &str) -> Option<()> {
    all(tests.iter().map(|read| check(read, policy, providers, prefix))).map(|_| ())
}

fn check(read: &ReadTest<'_>, policy: &Policy, providers: &[Arc<Provider>], prefix: &str) -> Option<()> {
    let (test, map) = (&read.test, read.field.map()?);
    let route = route_of(read, &map, policy, prefix)?;
    let rule = map.optional("rule").is_none_or(|field| check_rule(&field, test, route, policy).is_some());
    let provider = check_provider(&map, test, route, providers);
    let proof = map.optional("proof").is_none_or(|field| check_proof(&field, test, route).is_some());
    let headers = map.optional("headers").is_none_or(|field| check_headers(&field, test, route, policy).is_some());
    (rule && proof && headers).then_some(()).and(provider)
}

/// `Some(None)`: that no route answers is what the test expects.
fn route_of<'p>(read: &ReadTest<'_>, map: &Map<'_>, policy: &'p Policy, prefix: &str) -> Option<Option<&'p Route>> {
    let field = map.optional("request")?;
    let denied = |reason: DenyReason| {
        read.test.expect == Expect::Deny && read.test.reason.as_deref().is_none_or(|expected| expected == reason.label())
    };
    let target = match &read.target {
        Ok(target) => target,
        Err(fault) if denied((*fault).into()) => return Some(None),
        Err(fault) => {
            let reason = DenyReason::from(*fault).label();
            return field.refuse(fault.to_string(), format!("such a request is refused: `expect: deny`, `reason: {reason}`"));
        }
    };
    if is_under(target.path().as_str(), prefix) {
        let message = format!("everything under `{prefix}` is Doorward's own, and no rule decides about it");
        return field.refuse(message, "try a path of one of the apps");
    }
    match policy.route_for(target) {
        Ok((_, route)) => Some(Some(route)),
        Err(reason) if denied(reason) => Some(None),
        Err(reason @ DenyReason::AmbiguousPath) => field.refuse(
            "`;parameters` make it fall under two routes, and such a request is refused",
            format!("`expect: deny`, `reason: {}`", reason.label()),
        ),
        Err(reason) => {
            let place = match reason {
                DenyReason::UnknownHost => target.host().name().to_owned(),
                _ => format!("{}{}", target.host().name(), target.path().as_str()),
            };
            let help =
                format!("write the host and path of one of the routes; if that is the point, `expect: deny`, `reason: {}`", reason.label());
            field.refuse(format!("no route answers for `{place}`"), help)
        }
    }
}

/// `name/3`: the third rule of route `name`.
fn named<'r>(rule: &str, route: &'r Route) -> Option<&'r Rule> {
    let (_, number) = rule.rsplit_once('/').filter(|(name, _)| *name == &*route.name)?;
    route.rules.get(number.parse::<usize>().ok()?.checked_sub(1)?).filter(|found| *found.name == *rule)
}

fn check_rule(field: &Field<'_>, test: &PolicyTest, route: Option<&Route>, policy: &Policy) -> Option<()> {
    let rule = test.rule.as_deref()?;
    let Some(route) = route else {
        return field.refuse("no rule decides where no route answers", "take `rule` away");
    };
    if let Some(found) = named(rule, route) {
        return match found.enforce {
            Enforce::Deny => Some(()),
            Enforce::Log => field.refuse(
                format!("rule `{rule}` has `enforce: log`, and never decides"),
                "name the rule that decides meanwhile; `doorward explain` shows what this one would say",
            ),
        };
    }
    let first = &route.rules.first()?.name;
    let last = &route.rules.last()?.name;
    let owned = if first == last { format!("its rule is `{first}`") } else { format!("its rules are `{first}` to `{last}`") };
    let help = format!("route `{}` answers for this request; {owned}", route.name);
    let elsewhere = rule.rsplit_once('/').and_then(|(name, _)| policy.route_named(name)).map(|index| &policy.routes()[index]);
    match elsewhere.filter(|other| named(rule, other).is_some()) {
        Some(other) => field.refuse(format!("rule `{rule}` is of route `{}`", other.name), help),
        None => field.refuse(format!("there is no rule `{}`", field.shown()), help),
    }
}

fn check_provider(map: &Map<'_>, test: &PolicyTest, route: Option<&Route>, providers: &[Arc<Provider>]) -> Option<()> {
    let Some(field) = map.optional("provider") else {
        // Nobody can come here with claims of anybody.
        return match route {
            Some(route) if test.claims.is_some() && route.providers.is_empty() => map.optional("claims")?.refuse(
                format!("nobody signs in on route `{}`: it has no provider", route.name),
                "take `claims` away, or give the route a `provider`",
            ),
            Some(_) | None => Some(()),
        };
    };
    let names: Vec<&str> = providers.iter().map(|provider| provider.name.as_str()).collect();
    let Some(index) = names.iter().position(|name| Some(*name) == test.provider.as_deref()) else {
        return match names.is_empty() {
            true => field.refuse(format!("there is no provider `{}`", field.shown()), "write it under `providers`"),
            false => field.unknown(&format!("there is no provider `{}`: known are {}", field.shown(), word::list(&names)), &names),
        };
    };
    let Some(route) = route else { return Some(()) };
    if !route.providers.contains(&index) {
        let own: Vec<&str> = route.providers.iter().filter_map(|index| names.get(*index).copied()).collect();
        let help = match own.as_slice() {
            [] => "it has no provider at all".to_owned(),
            own => format!("it takes those of {}", word::list(own)),
        };
        return field.refuse(format!("route `{}` takes no sign-ins of provider `{}`", route.name, names[index]), help);
    }
    if test.proof == Some(Proof::Bearer) && providers[index].audience.is_none() {
        let message = format!("provider `{}` has no `audience`, so its tokens cannot be verified", names[index]);
        return map.optional("proof")?.refuse(message, "add `audience` to the provider: the identifier of the API");
    }
    Some(())
}

fn check_proof(field: &Field<'_>, test: &PolicyTest, route: Option<&Route>) -> Option<()> {
    let Some(route) = route else { return Some(()) };
    let help = "write the other proof, or change the route's `accept`";
    match (test.proof?, route.accept) {
        (Proof::Session, Accept::Bearer) => field.refuse(format!("route `{}` accepts bearer tokens alone", route.name), help),
        (Proof::Bearer, Accept::Session) => field.refuse(format!("route `{}` accepts sessions alone", route.name), help),
        (Proof::Session, Accept::Session | Accept::Both) | (Proof::Bearer, Accept::Bearer | Accept::Both) => Some(()),
    }
}

fn check_headers(field: &Field<'_>, test: &PolicyTest, route: Option<&Route>, policy: &Policy) -> Option<()> {
    let map = field.map()?;
    let mut sound = Some(());
    for ((entry, field), (name, value)) in map.entries().zip(&test.headers) {
        let here = route.is_some_and(|route| route.headers.names().any(|own| own == name));
        let elsewhere = policy.owned_names().mapped().contains(name);
        // An empty value says that the app is told nothing, which is so where another route's header is not set.
        if here || (elsewhere && value.is_empty()) {
            continue;
        }
        sound = None;
        let finding = match route.filter(|_| elsewhere) {
            Some(route) => Finding::error(format!("route `{}` does not set header `{}`", route.name, entry.key)),
            None => Finding::error(format!("no route sets header `{}`", entry.key)),
        };
        let known: Vec<&str> = route.iter().flat_map(|route| route.headers.names()).map(|own| own.as_str()).collect();
        let finding = finding.at(&entry.key_span).key(&field.key);
        field.reading.report(match word::nearest(&entry.key, known.iter().copied()) {
            Some(near) => finding.label(format!("did you mean `{near}`?")),
            None if known.is_empty() => finding.help("add it to `headers`, or take it away here"),
            None => finding.help(format!("this route sets {}", word::list(&known).replace(" or ", " and "))),
        });
    }
    sound
}
