//! `identity`: which claims are the user and the profile, and which earn a role.

mod condition;

use doorward_policy::claim_path::ClaimPath;
use doorward_policy::identity::{IdentityMapping, NoRoles, RoleRule, UserId};

use super::field::{Field, all};
use crate::document::Value;
use crate::problem::WarningCode;

impl Field<'_> {
    /// Where in a token a value stands.
    pub(super) fn claim_path(&self) -> Option<ClaimPath> {
        match ClaimPath::parse(self.any_text()?) {
            Ok(path) => Some(path),
            Err(fault) => self
                .refuse(format!("`{}` is no claim path: {fault}", self.shown()), "a name, dots between names, a JSON Pointer or JSONPath"),
        }
    }

    /// Names that something is compared with: an empty one would match what is as good as absent.
    pub(super) fn names(&self) -> Option<Vec<Box<str>>> {
        self.each(|item| item.text().map(Into::into))
    }
}

pub(super) fn read(field: Option<Field<'_>>) -> Option<IdentityMapping> {
    let usual = IdentityMapping::default();
    let Some(field) = field else { return Some(usual) };
    let map = field.map()?;
    let path = |key: &'static str, usual: ClaimPath| map.or(key, usual, Field::claim_path);
    let user = map.or("user", usual.user, read_user);
    let (email, name) = (path("email", usual.email), path("name", usual.name));
    let (username, first_name) = (path("username", usual.username), path("first_name", usual.first_name));
    let (last_name, phone) = (path("last_name", usual.last_name), path("phone", usual.phone));
    let locale = path("locale", usual.locale);
    let roles = map.or("roles", Vec::new(), |field| all(field.any_items()?.iter().map(Field::claim_path)));
    let role_rules = map.or("role_mapping", Vec::new(), |field| all(field.any_items()?.iter().map(role_rule)));
    let no_roles = map.or("no_roles", usual.no_roles, |field| field.one_of(&[("allow", NoRoles::Allow), ("deny", NoRoles::Deny)]));
    let applied = map.or("roles_apply", (), read_roles_apply);
    map.finish(&[
        ("groups", "write `roles`"),
        ("user_id", "write `user`"),
        ("nickname", "write `username: nickname`"),
        ("given_name", "write `first_name: given_name`"),
        ("family_name", "write `last_name: family_name`"),
        ("phone_number", "write `phone: phone_number`"),
        ("no_match", "write `no_roles: allow` or `no_roles: deny`"),
    ]);
    applied?;
    Some(IdentityMapping {
        user: user?,
        email: email?,
        name: name?,
        username: username?,
        first_name: first_name?,
        last_name: last_name?,
        phone: phone?,
        locale: locale?,
        roles: roles?,
        role_rules: role_rules?,
        no_roles: no_roles?,
    })
}

/// A claim; or the same for everybody, which is worth a second look.
fn read_user(field: &Field<'_>) -> Option<UserId> {
    let Value::Map(_) = field.value() else { return field.claim_path().map(UserId::Claim) };
    let map = field.map()?;
    let constant = map.required("constant").and_then(|field| Some((field.text()?, field)));
    map.finish(&[("claim", "write `user: …`, the claim alone"), ("value", "write `constant: …`")]);
    let (constant, at) = constant?;
    at.warn(
        WarningCode::SharedAccount,
        format!("everybody who signs in is the same user, `{}`", at.shown()),
        "apps and logs cannot tell them apart; name a claim, such as `sub`, unless that is what you want",
    );
    Some(UserId::Constant(constant.into()))
}

/// Roles are worked out anew from what the provider says now: nobody keeps what somebody had before.
fn read_roles_apply(field: &Field<'_>) -> Option<()> {
    match field.any_text()? {
        "new_users_only" | "listed_roles_only" => field.refuse(
            format!("`{}` needs a store of users, and there is none yet", field.shown()),
            "roles are worked out anew at every sign-in and refresh: write `every_sign_in`, or take it away",
        ),
        _ => field.one_of(&[("every_sign_in", ())]),
    }
}

fn role_rule(field: &Field<'_>) -> Option<RoleRule> {
    let map = field.map()?;
    let when = map.required("when").and_then(|field| condition::read(&field));
    let roles = map.required("roles").and_then(|field| field.names());
    map.finish(&[("role", "write `roles: [ … ]`")]);
    Some(RoleRule { when: when?, roles: roles? })
}
