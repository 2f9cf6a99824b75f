//! What somebody lacks to meet a rule: for the page that tells them, never for deciding.

use serde_json::Value;

use super::requirement::{ClaimTest, Needs, Requirement};
use crate::identity::{Identity, Names};

/// One part of a rule that does not hold, and what would make it hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    pub kind: LackKind,
    /// Names of what is missing. All of them are needed, except where the kind says that one is enough.
    pub names: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LackKind {
    /// One of the names is enough.
    AnyRole,
    Role,
    Permission,
    Scope,
    /// `path: value, value`.
    Claim,
    /// One of the domains is enough, of an address that the provider verified.
    EmailDomain,
    /// The rule's `when`, as it is written.
    Expression,
}

impl Requirement {
    /// What `identity` lacks of what it is asked to be; empty where another identity would not help either.
    pub fn lacked_by(&self, identity: &Identity) -> Vec<Lack> {
        match self {
            Self::Public | Self::Optional | Self::SignedIn | Self::Nobody => Vec::new(),
            Self::Needs(needs) => needs.lacked_by(identity),
        }
    }
}

impl Needs {
    fn lacked_by(&self, identity: &Identity) -> Vec<Lack> {
        let owned = |names: &[Box<str>]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let missing = |wanted: &[Box<str>], has: Names<'_>| {
            wanted.iter().filter(|name| !has.contains(name)).map(ToString::to_string).collect::<Vec<_>>()
        };
        let any_role = if self.any_role.iter().any(|role| identity.roles().contains(role)) { Vec::new() } else { owned(&self.any_role) };
        let claims = self.claims.iter().filter(|test| !test.holds(identity)).map(ClaimTest::describe).collect();
        let domains = if self.email_allows(identity) { Vec::new() } else { owned(&self.email_domains) };
        let lacks = [
            (if any_role.len() == 1 { LackKind::Role } else { LackKind::AnyRole }, any_role),
            (LackKind::Role, missing(&self.all_roles, identity.roles())),
            (LackKind::Permission, missing(&self.permissions, identity.permissions())),
            (LackKind::Scope, missing(&self.scopes, identity.scopes())),
            (LackKind::Claim, claims),
            (LackKind::EmailDomain, domains),
        ];
        lacks.into_iter().filter(|(_, names)| !names.is_empty()).map(|(kind, names)| Lack { kind, names }).collect()
    }
}

impl ClaimTest {
    fn describe(&self) -> String {
        let (Self::Equals(path, values) | Self::Contains(path, values)) = self;
        let values: Vec<String> =
            values.iter().map(|value| value.as_str().map_or_else(|| Value::to_string(value), str::to_owned)).collect();
        format!("{path}: {}", values.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::claim_path::ClaimPath;
    use crate::identity::IdentityMapping;
    use crate::session::{Origin, Session};
    use crate::time::Timestamp;

    fn path(text: &str) -> ClaimPath {
        ClaimPath::parse(text).unwrap()
    }

    fn vera() -> Identity {
        let claims = json!({
            "sub": "vera", "email": "vera@acme.dev", "email_verified": true, "roles": ["viewer"], "plan": "free", "level": 2,
            "permissions": ["articles:read"], "scope": "openid",
        });
        let kept: Vec<Box<str>> = claims.as_object().unwrap().keys().map(|name| name.as_str().into()).collect();
        let mapping = IdentityMapping { roles: vec![path("roles")], ..IdentityMapping::default() };
        let origin = Origin { id: "i", provider: "p", client_id: "c" };
        Identity::from_session(Session::begin(origin, claims.as_object().unwrap(), &kept, Timestamp(0)), &mapping)
    }

    fn lacks(needs: Needs) -> Vec<(LackKind, String)> {
        let lacks = Requirement::from(needs).lacked_by(&vera());
        lacks.into_iter().map(|lack| (lack.kind, lack.names.join(" | "))).collect()
    }

    #[test]
    fn each_part_that_does_not_hold_is_named_with_what_is_missing_of_it() {
        let names = |names: &[&str]| names.iter().map(|name| Box::from(*name)).collect::<Vec<Box<str>>>();
        let nothing = Needs::default;
        let equals = |name: &str, values: &[Value]| ClaimTest::Equals(path(name), values.to_vec());
        let table = [
            (Needs { any_role: names(&["admin", "editor"]), ..nothing() }, LackKind::AnyRole, "admin | editor"),
            (Needs { any_role: names(&["admin"]), ..nothing() }, LackKind::Role, "admin"),
            (Needs { all_roles: names(&["viewer", "admin"]), ..nothing() }, LackKind::Role, "admin"),
            (Needs { permissions: names(&["articles:read", "articles:write"]), ..nothing() }, LackKind::Permission, "articles:write"),
            (Needs { scopes: names(&["openid", "device:read"]), ..nothing() }, LackKind::Scope, "device:read"),
            (Needs { claims: vec![equals("plan", &[json!("gold"), json!(3)])], ..nothing() }, LackKind::Claim, "plan: gold, 3"),
            (Needs { email_domains: names(&["acme.com", "acme.org"]), ..nothing() }, LackKind::EmailDomain, "acme.com | acme.org"),
        ];
        for (needs, kind, text) in table {
            assert!(needs.met_by(&vera()).is_err(), "{text}");
            assert_eq!(lacks(needs), [(kind, text.to_owned())]);
        }
        let both = Needs { all_roles: names(&["admin"]), scopes: names(&["device:read"]), ..nothing() };
        assert_eq!(lacks(both).len(), 2, "all of it at once");
    }

    #[test]
    fn whoever_meets_a_rule_lacks_nothing() {
        let names = |names: &[&str]| names.iter().map(|name| Box::from(*name)).collect::<Vec<Box<str>>>();
        let needs = Needs {
            any_role: names(&["viewer", "admin"]),
            permissions: names(&["articles:read"]),
            scopes: names(&["openid"]),
            claims: vec![ClaimTest::Equals(path("level"), vec![json!(2)])],
            email_domains: names(&["acme.dev"]),
            ..Needs::default()
        };
        assert!(needs.met_by(&vera()).is_ok());
        assert_eq!(lacks(needs), []);
        for requirement in [Requirement::Public, Requirement::SignedIn, Requirement::Nobody] {
            assert_eq!(requirement.lacked_by(&vera()), []);
        }
    }
}
