//! Who is asking, by the headers of the request and nothing else.

use axum::http::HeaderMap;
use percent_encoding::percent_decode_str;
use serde::Serialize;

/// What Doorward said about the person. Made only when it said anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Visitor {
    pub(super) user: String,
    pub(super) email: String,
    /// The best name there is.
    pub(super) name: String,
    pub(super) roles: Vec<String>,
    pub(super) permissions: Vec<String>,
}

impl Visitor {
    pub(super) fn of(headers: &HeaderMap) -> Option<Visitor> {
        let raw = |name: &str| {
            let value = headers.get(name)?;
            Some(String::from_utf8_lossy(value.as_bytes()).into_owned()).filter(|value| !value.is_empty())
        };
        let header = |name: &str| raw(name).map(|value| decoded(&value));
        let list = |name: &str| {
            let text = raw(name).unwrap_or_default();
            text.split(',').filter(|item| !item.is_empty()).map(decoded).collect()
        };
        let user = header("x-auth-user")?;
        let email = header("x-auth-email").unwrap_or_default();
        let name = header("x-auth-name").or_else(|| header("x-auth-email")).unwrap_or_else(|| user.clone());
        Some(Visitor { user, email, name, roles: list("x-auth-roles"), permissions: list("x-auth-permissions") })
    }

    pub(super) fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|held| held == role)
    }

    pub(super) fn may(&self, permission: &str) -> bool {
        self.permissions.iter().any(|held| held == permission)
    }
}

/// Doorward percent-encodes what a header cannot carry; in a list also the comma, so that is done after splitting.
fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value"))).collect()
    }

    #[test]
    fn roles_and_permissions_are_read_from_lists() {
        let told =
            headers(&[("x-auth-user", "auth0|ada"), ("x-auth-roles", "admin,editor"), ("x-auth-permissions", "device:read,device:admin")]);
        let visitor = Visitor::of(&told).expect("a visitor");
        assert!(visitor.has_role("admin") && visitor.has_role("editor") && !visitor.has_role("edit"));
        assert!(visitor.may("device:admin"));
        assert_eq!(visitor.name, "auth0|ada");
    }

    #[test]
    fn a_comma_inside_a_role_does_not_make_two_of_it() {
        let told = headers(&[("x-auth-user", "u"), ("x-auth-name", "Zo%C3%AB"), ("x-auth-roles", "user%2Cadmin")]);
        let visitor = Visitor::of(&told).expect("a visitor");
        assert_eq!((visitor.name.as_str(), visitor.has_role("admin")), ("Zoë", false));
    }

    #[test]
    fn without_a_user_there_is_no_visitor() {
        assert_eq!(Visitor::of(&headers(&[("x-auth-roles", "admin")])), None);
    }
}
