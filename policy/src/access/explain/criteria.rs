//! One rule's criteria, each with what is wanted and what is there.
//!
//! Each part is asked by itself of the code that asks all of them when it counts ([`Needs::met_by`], [`StepUp::met_by`]):
//! nothing is compared here a second way.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::{AUTHENTICATION_CLAIMS, ClaimTest, Match, Needs, RequestContext, Requirement, Rule, Standing, StepUp};
use super::words;
use crate::expression::{Expression, Facts};
use crate::identity::{Identity, Names, NoRoles, Proof};
use crate::request::Target;

/// Longest text of a value that is shown, in characters.
const LONGEST: usize = 200;

/// Whether a criterion holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    Hit,
    Miss,
    /// Not known before somebody has signed in.
    May,
}

/// One thing that a rule looks at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Criterion {
    /// One of a few words that stay the same: `method`, `path`, `network`, `time`, `sign_in`, `any_role` …
    pub what: String,
    pub wanted: String,
    /// What is there instead, or as well; `None` where nobody can know yet.
    pub found: Option<String>,
    pub mark: Mark,
}

impl Criterion {
    fn new(what: &str, wanted: String, found: Option<String>, holds: bool) -> Self {
        let mark = if holds { Mark::Hit } else { Mark::Miss };
        Self { what: what.into(), wanted: short(wanted), found: found.map(short), mark }
    }

    fn may(what: &str, wanted: String) -> Self {
        Self { what: what.into(), wanted: short(wanted), found: None, mark: Mark::May }
    }
}

/// Everything that the deciding rule looks at: where all of it is a hit, and only there, the answer is yes.
pub fn criteria(found: &Match<'_>, context: &RequestContext<'_>, standing: &Standing<'_>) -> Vec<Criterion> {
    let mut all = matching(found.rule, context.target);
    demands(found, context, standing, &mut all);
    all
}

/// By what a rule is found.
pub(super) fn matching(rule: &Rule, target: &Target) -> Vec<Criterion> {
    let mut all = Vec::with_capacity(2);
    if !rule.methods.is_empty() {
        all.push(Criterion::new(
            "method",
            words::any(&rule.methods),
            Some(target.method().to_string()),
            rule.covers_method(target.method()),
        ));
    }
    if !rule.paths.is_empty() {
        all.push(Criterion::new("path", words::any(&rule.paths), Some(target.path().as_str().into()), rule.covers_path(target.path())));
    }
    all
}

/// What it demands, in the order in which the decision asks.
fn demands(found: &Match<'_>, context: &RequestContext<'_>, standing: &Standing<'_>, all: &mut Vec<Criterion>) {
    let rule = found.rule;
    let needs = match &rule.allow {
        Requirement::Nobody => {
            all.push(Criterion::new("nobody", "nobody passes".into(), Some(who(standing)), false));
            return;
        }
        Requirement::Needs(needs) => Some(needs),
        Requirement::Public | Requirement::Optional | Requirement::SignedIn => None,
    };
    if let Some(needs) = needs {
        circumstances(needs, context, all);
    }
    if rule.reads_two_values(context.target.path()) {
        let why =
            if context.target.path().without_parameters().is_some() { "`;parameters` make it two" } else { "two paths of the rule fit" };
        all.push(Criterion::new("path", "one reading of what the pattern names".into(), Some(why.into()), false));
    }
    if rule.is_public() {
        return;
    }
    let asks_nobody = matches!(rule.allow, Requirement::Optional) && rule.step_up.is_none();
    let identity = match standing {
        Standing::Known(identity) => Some(*identity),
        Standing::Anonymous | Standing::Refused(_) => None,
    };
    if !asks_nobody {
        all.push(Criterion::new("sign_in", "somebody".into(), Some(who(standing)), identity.is_some()));
        if found.mapping.no_roles == NoRoles::Deny {
            let wanted = "any role at all".to_owned();
            all.push(match identity {
                Some(identity) => Criterion::new("some_role", wanted, Some(names(identity.roles())), !identity.roles().is_empty()),
                None => Criterion::may("some_role", wanted),
            });
        }
        if let Some(needs) = needs {
            rights(needs, found, context, identity, all);
        }
        if let Some(step_up) = &rule.step_up {
            strength(step_up, context, identity, all);
        }
    }
    if let Some(identity) = identity
        && let Err(fault) = found.route.headers.edits(identity)
    {
        all.push(Criterion::new("headers", format!("at most {} bytes", crate::headers::BUDGET), Some(fault.to_string()), false));
    }
}

/// What does not depend on anybody.
fn circumstances(needs: &Needs, context: &RequestContext<'_>, all: &mut Vec<Criterion>) {
    if !needs.networks.is_empty() {
        let client = context.client.to_canonical().to_string();
        all.push(Criterion::new("network", words::any(&needs.networks), Some(client), needs.network_allows(context.client)));
    }
    if !needs.times.is_empty() {
        let now = words::moment(context.now);
        all.push(Criterion::new("time", words::any(&needs.times), Some(now), needs.time_allows(context.now)));
    }
}

/// What depends on who it is.
fn rights(needs: &Needs, found: &Match<'_>, context: &RequestContext<'_>, identity: Option<&Identity>, all: &mut Vec<Criterion>) {
    let mut part = |what: &str, wanted: String, only: Needs, there: &dyn Fn(&Identity) -> String| {
        all.push(match identity {
            Some(identity) => Criterion::new(what, wanted, Some(there(identity)), only.met_by(identity).is_ok()),
            None => Criterion::may(what, wanted),
        });
    };
    if !needs.any_role.is_empty() {
        let only = Needs { any_role: needs.any_role.clone(), ..Needs::default() };
        part("any_role", words::any(&needs.any_role), only, &|identity| names(identity.roles()));
    }
    if !needs.all_roles.is_empty() {
        let only = Needs { all_roles: needs.all_roles.clone(), ..Needs::default() };
        part("all_roles", words::commas(&needs.all_roles), only, &|identity| names(identity.roles()));
    }
    if !needs.permissions.is_empty() {
        let only = Needs { permissions: needs.permissions.clone(), ..Needs::default() };
        part("permissions", words::commas(&needs.permissions), only, &|identity| names(identity.permissions()));
    }
    if !needs.scopes.is_empty() {
        let only = Needs { scopes: needs.scopes.clone(), ..Needs::default() };
        part("scopes", words::commas(&needs.scopes), only, &|identity| names(identity.scopes()));
    }
    for test in &needs.claims {
        let (ClaimTest::Equals(path, _) | ClaimTest::Contains(path, _)) = test;
        let only = Needs { claims: vec![test.clone()], ..Needs::default() };
        part("claim", words::claim(test), only, &|identity| {
            let mut values = Vec::new();
            path.each(identity.claims(), &mut |value| values.push(words::plain(value)));
            if values.is_empty() { "absent".into() } else { values.join(", ") }
        });
    }
    if !needs.email_domains.is_empty() {
        let only = Needs { email_domains: needs.email_domains.clone(), ..Needs::default() };
        part("email_domain", words::any(&needs.email_domains), only, &|identity| match identity.email() {
            Some(email) if identity.email_is_verified() => email.to_owned(),
            Some(email) => format!("{email}, not verified"),
            None => "no address".into(),
        });
    }
    if let Some(expression) = &needs.when {
        all.push(match identity {
            Some(identity) => when(expression, found, context, identity),
            None => Criterion::may("when", expression.to_string()),
        });
    }
}

/// The values that an expression looked at, and what it came to.
fn when(expression: &Expression, found: &Match<'_>, context: &RequestContext<'_>, identity: &Identity) -> Criterion {
    let parameters = found.parameters(context.target);
    let facts = Facts { identity, target: context.target, parameters: &parameters };
    let mut seen: Vec<String> = Vec::new();
    for name in expression.claims() {
        let value = identity.claims().get(&**name).map_or_else(|| "absent".to_owned(), ToString::to_string);
        seen.push(format!("claims.{name} = {value}"));
    }
    for name in expression.parameters() {
        seen.push(format!("path.{name} = {:?}", parameters.get(name).unwrap_or_default()));
    }
    let came_to = match expression.evaluate(&facts) {
        Ok(value) => value.to_string(),
        Err(error) => format!("no, as {error}"),
    };
    let text = if seen.is_empty() { came_to } else { format!("{came_to}: {}", seen.join(", ")) };
    Criterion::new("when", expression.to_string(), Some(text), found.when_holds(context.target, identity))
}

fn names(names: Names<'_>) -> String {
    if names.is_empty() { "none".to_owned() } else { words::commas(&names.to_strings()) }
}

fn strength(step_up: &StepUp, context: &RequestContext<'_>, identity: Option<&Identity>, all: &mut Vec<Criterion>) {
    let age = StepUp { max_age: step_up.max_age, acr_values: Vec::new() };
    let acr = StepUp { max_age: None, acr_values: step_up.acr_values.clone() };
    for (what, part) in [("auth_time", age), ("acr", acr)] {
        if part.is_empty() {
            continue;
        }
        let wanted = part.max_age.map_or_else(|| words::any(&part.acr_values), words::age);
        all.push(match identity {
            Some(identity) => {
                Criterion::new(what, wanted, Some(signed_in(what, identity, context)), part.met_by(identity.claims(), context.now))
            }
            None => Criterion::may(what, wanted),
        });
    }
}

/// When, or in which ways, somebody signed in.
fn signed_in(what: &str, identity: &Identity, context: &RequestContext<'_>) -> String {
    let claim = |name: &str| identity.claims().get(name).filter(|value| !value.is_null());
    if what == "auth_time" {
        return match claim("auth_time").and_then(Value::as_i64) {
            Some(time) if time <= context.now.0 => {
                let ago = context.now.since(crate::time::Timestamp(time));
                format!("{} ago", words::duration(ago))
            }
            Some(_) => "in the future".into(),
            None => "no auth_time".into(),
        };
    }
    let told = AUTHENTICATION_CLAIMS.iter().filter(|name| **name != "auth_time");
    let told: Vec<String> = told.filter_map(|name| Some(format!("{name} {}", words::plain(claim(name)?)))).collect();
    if told.is_empty() { "no acr, no amr".into() } else { told.join(", ") }
}

/// Who stands behind the request, in a few words.
pub(super) fn who(standing: &Standing<'_>) -> String {
    match standing {
        Standing::Anonymous => "nobody".into(),
        Standing::Refused(fault) => fault.label().into(),
        Standing::Known(identity) => {
            let by = match identity.proof() {
                Proof::Session => "a session",
                Proof::Bearer => "a bearer token",
            };
            format!("{}, by {by} of {}", identity.user().unwrap_or("somebody without a name"), identity.provider())
        }
    }
}

fn short(text: String) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}
