use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::identity::{Identity, Operator, Proof};

fn path(text: &str) -> ClaimPath {
    ClaimPath::parse(text).unwrap()
}

fn map(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn rule(claim: &str, value: &str, roles: &[&str]) -> RoleRule {
    let operator = Operator::parse("in", Some(&json!(value))).unwrap();
    RoleRule { when: Condition::Compare { path: path(claim), operator }, roles: roles.iter().map(|role| (*role).into()).collect() }
}

fn mapping() -> IdentityMapping {
    IdentityMapping {
        roles: vec![path("roles"), path("groups")],
        role_rules: vec![rule("permissions", "device:admin", &["admin", "operator"]), rule("scope", "read", &["operator", "reader"])],
        ..IdentityMapping::default()
    }
}

#[test]
fn map_01_every_role_says_what_gave_it() {
    let mapping = mapping();
    let claims = map(json!({
        "roles": ["editor", "admin"], "groups": ["editor", "editor", ""], "permissions": ["device:admin"], "scope": "openid read",
    }));
    let (roles, groups) = (RoleSource::Claim(&mapping.roles[0]), RoleSource::Claim(&mapping.roles[1]));
    let sourced = |role: &str, from: &[RoleSource<'static>]| (role.to_owned(), from.iter().map(ToString::to_string).collect::<Vec<_>>());
    let found: Vec<_> = mapping.roles_with_sources(&claims);
    let found: Vec<_> =
        found.iter().map(|sourced| (sourced.role.to_string(), sourced.from.iter().map(ToString::to_string).collect())).collect();
    assert_eq!(
        found,
        [
            ("editor".to_owned(), vec![roles.to_string(), groups.to_string()]),
            ("admin".to_owned(), vec![roles.to_string(), RoleSource::Rule(0).to_string()]),
            sourced("operator", &[RoleSource::Rule(0), RoleSource::Rule(1)]),
            sourced("reader", &[RoleSource::Rule(1)]),
        ]
    );
    assert_eq!((roles.to_string(), RoleSource::Rule(1).to_string()), ("claim roles".to_owned(), "role_mapping[1]".to_owned()));
}

proptest! {
    #[test]
    fn map_01_the_roles_with_their_sources_are_the_roles(
        roles in prop::collection::vec("[a-c]{0,1}", 0..4),
        groups in prop::collection::vec("[a-c]{0,1}", 0..4),
        permission in prop::sample::select(vec!["device:admin", "other"]),
        scope in prop::sample::select(vec!["read", "read write", "write", ""]),
    ) {
        let claims = map(json!({ "roles": roles, "groups": groups, "permissions": [permission], "scope": scope }));
        let mapping = mapping();
        let sourced: Vec<Box<str>> = mapping.roles_with_sources(&claims).into_iter().map(|sourced| sourced.role).collect();
        let somebody = Identity::read(Proof::Bearer, "tenant", claims, &mapping);
        prop_assert_eq!(sourced.iter().map(AsRef::as_ref).collect::<Vec<&str>>(), somebody.roles().iter().collect::<Vec<_>>());
    }
}

#[test]
fn map_02_the_user_is_a_claim_with_something_in_it_or_a_constant() {
    for (claim, user) in [
        (json!("auth0|ada"), Some("auth0|ada")),
        (json!(7), Some("7")),
        (json!(""), None),
        (json!(null), None),
        (json!(true), None),
        (json!(["ada"]), None),
        (json!({ "id": "ada" }), None),
    ] {
        let claims = map(json!({ "id": claim.clone() }));
        assert_eq!(UserId::from(path("id")).of(&claims).as_deref(), user, "{claim}");
        assert_eq!(UserId::Constant("kiosk".into()).of(&claims).as_deref(), Some("kiosk"));
    }
    assert_eq!(UserId::from(path("id")).of(&Map::new()), None);
}

#[test]
fn map_03_a_profile_is_what_openid_connect_calls_it_unless_told_otherwise() {
    let claims = map(json!({
        "preferred_username": "ada", "given_name": "Ada", "family_name": "Lovelace", "phone_number": "+44", "locale": "en",
        "nick": "countess",
    }));
    let standard = IdentityMapping::default();
    let told: Vec<_> = ProfileField::ALL.iter().map(|field| standard.profile(*field, &claims).unwrap()).collect();
    assert_eq!(told, ["ada", "Ada", "Lovelace", "+44", "en"]);
    let other = IdentityMapping { username: path("nick"), ..IdentityMapping::default() };
    assert_eq!(other.profile(ProfileField::Username, &claims).as_deref(), Some("countess"));
    assert_eq!(other.profile(ProfileField::Username, &Map::new()), None);
}

#[test]
fn a_session_keeps_what_the_mapping_reads() {
    let mapping = IdentityMapping { user: path("employee.id").into(), locale: path("ui.language"), ..mapping() };
    let kept = mapping.top_level();
    for name in ["employee", "email", "name", "preferred_username", "given_name", "ui", "roles", "groups", "permissions", "scope"] {
        assert!(kept.contains(&name), "{name}");
    }
    assert!(!kept.contains(&"sub") && !kept.contains(&"locale"));
    let shared = IdentityMapping { user: UserId::Constant("kiosk".into()), ..mapping };
    assert!(!shared.top_level().contains(&"employee"));
}

/// Two numbers that the parser made one are not one person.
#[test]
fn a_number_whose_digits_were_lost_is_nobody() {
    let user = |id: &str| {
        let claims: Map<String, Value> = serde_json::from_str(&format!(r#"{{ "id": {id} }}"#)).unwrap();
        UserId::from(path("id")).of(&claims).map(std::borrow::Cow::into_owned)
    };
    assert_eq!(user("18446744073709551615").as_deref(), Some("18446744073709551615"));
    assert_eq!(user("12345678901234567890123"), None);
    assert_eq!(user("12345678901234567890124"), None);
    assert_eq!((user("1e300"), user("7.5").as_deref()), (None, Some("7.5")));
}
