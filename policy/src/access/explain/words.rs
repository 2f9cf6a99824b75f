//! What a rule demands, in words. For people only: nothing reads them back.

use std::fmt;
use std::time::Duration;

use serde_json::Value;

use super::super::{ClaimTest, Needs, Requirement, Rule, StepUp};
use crate::time::Timestamp;

/// A rule's `allow` as one would say it.
pub fn allow(requirement: &Requirement) -> String {
    match requirement {
        Requirement::Public => "public".into(),
        Requirement::Optional => "optional".into(),
        Requirement::SignedIn => "signed-in".into(),
        Requirement::Nobody => "nobody".into(),
        Requirement::Needs(needs) => all_of(needs),
    }
}

/// The same with how recent and how strong the sign-in must be.
pub fn demands(rule: &Rule) -> String {
    match &rule.step_up {
        Some(step_up) if !step_up.is_empty() => format!("{}; step-up {}", allow(&rule.allow), strength(step_up)),
        _ => allow(&rule.allow),
    }
}

fn all_of(needs: &Needs) -> String {
    let mut parts = Vec::new();
    if needs.anonymous {
        parts.push("public".to_owned());
    }
    let mut list = |name: &str, names: String, written: bool| {
        if written {
            parts.push(format!("{name} {names}"));
        }
    };
    let roles = |names: &[Box<str>], several: &'static str| if names.len() == 1 { "role" } else { several };
    list("network", any(&needs.networks), !needs.networks.is_empty());
    list("time", any(&needs.times), !needs.times.is_empty());
    list(roles(&needs.any_role, "any role of"), commas(&needs.any_role), !needs.any_role.is_empty());
    list(roles(&needs.all_roles, "all roles of"), commas(&needs.all_roles), !needs.all_roles.is_empty());
    list("permission", commas(&needs.permissions), !needs.permissions.is_empty());
    list("scope", commas(&needs.scopes), !needs.scopes.is_empty());
    for test in &needs.claims {
        list("claim", claim(test), true);
    }
    list("verified e-mail at", any(&needs.email_domains), !needs.email_domains.is_empty());
    if let Some(expression) = &needs.when {
        list("when", expression.to_string(), true);
    }
    parts.join(" and ")
}

/// `org_id is org_acme or org_beta`
pub(super) fn claim(test: &ClaimTest) -> String {
    let (path, word, values) = match test {
        ClaimTest::Equals(path, values) => (path, "is", values),
        ClaimTest::Contains(path, values) => (path, "holds", values),
    };
    format!("{path} {word} {}", values.iter().map(plain).collect::<Vec<_>>().join(" or "))
}

/// `no longer ago than 5m, acr gold`
fn strength(step_up: &StepUp) -> String {
    let acr = (!step_up.acr_values.is_empty()).then(|| format!("acr {}", any(&step_up.acr_values)));
    step_up.max_age.map(age).into_iter().chain(acr).collect::<Vec<_>>().join(", ")
}

pub(super) fn age(max_age: Duration) -> String {
    format!("no longer ago than {}", duration(max_age))
}

/// In the configuration's own units.
pub(super) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => "0s".into(),
        _ if seconds.is_multiple_of(86_400) => format!("{}d", seconds / 86_400),
        _ if seconds.is_multiple_of(3_600) => format!("{}h", seconds / 3_600),
        _ if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}

/// All of them.
pub(super) fn commas<T: fmt::Display>(items: &[T]) -> String {
    joined(items, ", ")
}

/// One of them.
pub(super) fn any<T: fmt::Display>(items: &[T]) -> String {
    joined(items, " or ")
}

fn joined<T: fmt::Display>(items: &[T], between: &str) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(between)
}

/// A text without its quotes, everything else as JSON.
pub(super) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// RFC 3339, in UTC.
pub fn moment(time: Timestamp) -> String {
    jiff::Timestamp::from_second(time.0).map_or_else(|_| format!("second {}", time.0), |time| time.to_string())
}
