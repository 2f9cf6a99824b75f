//! Rules that keep nobody out, and rules that let nobody in.

use std::collections::HashSet;

use doorward_policy::access::{Enforce, Requirement};

use super::super::field::Field;
use super::super::map::Map;
use crate::problem::WarningCode;
use crate::settings::Settings;

/// A route where everybody may do everything is one thing; a whole edge of them is a slip.
pub(super) fn warn_if_nothing_is_denied(root: &Map<'_>, settings: &Settings) {
    let mut enforced = settings.policy.routes().iter().flat_map(|route| &route.rules).filter(|rule| rule.enforce == Enforce::Deny);
    let open = enforced.all(|rule| matches!(rule.allow, Requirement::Public | Requirement::Optional));
    if let Some(field) = root.optional("routes").filter(|_| open) {
        let help = "every rule that counts is `public` or `optional`; write `allow: signed-in`, or a role, where somebody must be known";
        field.warn(WarningCode::NothingDenied, "no rule denies anybody anything", help);
    }
}

/// Roles come from `identity`, and from nowhere else.
pub(super) fn warn_about_nobodys_roles(root: &Map<'_>, settings: &Settings) -> Option<()> {
    let mapping = settings.policy.mapping();
    // What a claim may say is the provider's.
    if !mapping.roles.is_empty() {
        return Some(());
    }
    let given: HashSet<&str> = mapping.role_rules.iter().flat_map(|rule| &rule.roles).map(AsRef::as_ref).collect();
    for (item, route) in root.optional("routes")?.items()?.iter().zip(settings.policy.routes()) {
        let missing = route.rules.iter().any(|rule| match &rule.allow {
            Requirement::Needs(needs) => needs.any_role.iter().chain(&needs.all_roles).any(|role| !given.contains(&**role)),
            Requirement::Public | Requirement::Optional | Requirement::SignedIn | Requirement::Nobody => false,
        });
        if missing {
            warn_about_route(item, &given);
        }
    }
    Some(())
}

fn warn_about_route(item: &Field<'_>, given: &HashSet<&str>) -> Option<()> {
    for rule in item.map()?.optional("rules")?.items()? {
        let Some(allow) = rule.map()?.optional("allow").filter(|field| field.is_map()).and_then(|field| field.map()) else { continue };
        for key in ["role", "any_role", "all_roles"] {
            for role in allow.optional(key).and_then(|field| field.items_or_one()).unwrap_or_default() {
                if !given.contains(role.any_text()?) {
                    let help =
                        "say in `identity.roles` which claims are roles (`roles: [permissions]`), or give it in `identity.role_mapping`";
                    role.warn(WarningCode::NobodysRole, format!("nobody can have role `{}`", role.shown()), help);
                }
            }
        }
    }
    Some(())
}
