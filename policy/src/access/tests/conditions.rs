//! Optional and public rules, times, expressions, and somebody without any role.

use super::*;
use crate::expression::Expression;
use crate::identity::NoRoles;

/// 2026-11-23, a Monday, 12:00 UTC.
const NOON: Timestamp = Timestamp(1_795_435_200);

fn when(text: &str) -> Requirement {
    Requirement::from(Needs { when: Some(Expression::compile(text, &["tenant"]).unwrap()), ..Needs::default() })
}

/// What `rules` say at `path`, with the user that the app is told of.
fn asked(rules: Vec<Rule>, path: &str, standing: &Standing<'_>) -> String {
    let policy = policy(vec![route("app", "app.example", "/", rules)]);
    let target = target(Method::GET, "app.example", path);
    let context = RequestContext { target: &target, client: "192.0.2.1".parse().unwrap(), now: NOON };
    match policy.rule_for(&target).map(|found| found.decide(&context, standing)) {
        Ok(decision) => told(&decision),
        Err(reason) => format!("no rule: {}", reason.label()),
    }
}

fn told(decision: &Decision) -> String {
    match decision {
        Decision::Allow(permit) if permit.authenticated() => {
            let user = permit.edits().iter().next().map(|(_, value)| value.to_str().unwrap().to_owned());
            format!("allow {}", user.unwrap_or_default())
        }
        Decision::Allow(permit) => format!("allow{}", if permit.edits().iter().next().is_some() { " and tell" } else { "" }),
        Decision::Challenge(challenge) => challenge.label().to_owned(),
        Decision::Deny(reason) => reason.label().to_owned(),
    }
}

#[test]
fn public_asks_for_nobody_and_optional_for_whoever_says_so() {
    let ada = identity(json!({ "sub": "ada" }));
    let faults = [
        CredentialFault::MalformedBearer,
        CredentialFault::Session(crate::session::SessionFault::Unreadable),
        CredentialFault::CannotVerify,
        CredentialFault::StoreUnreachable,
        CredentialFault::TooMany,
    ];
    let with = |allow: &Requirement, standing: &Standing<'_>| asked(vec![rule("app/1", &[], &[], allow.clone())], "/x", standing);
    let place = Needs { anonymous: true, networks: vec!["192.0.2.0/24".parse().unwrap()], ..Needs::default() };
    for public in [Requirement::Public, Requirement::from(place)] {
        assert!(public.is_public());
        assert_eq!(with(&public, &Standing::Known(&ada)), "allow", "the app is told nothing, whoever it is");
        assert_eq!(with(&public, &Standing::Anonymous), "allow");
    }
    assert!(!Requirement::Optional.is_public());
    assert_eq!(with(&Requirement::Optional, &Standing::Known(&ada)), "allow ada");
    assert_eq!(with(&Requirement::Optional, &Standing::Anonymous), "allow");
    for fault in faults {
        assert_eq!(with(&Requirement::Optional, &Standing::Refused(fault)), "allow", "{fault:?}");
        assert_eq!(with(&Requirement::Public, &Standing::Refused(fault)), "allow", "{fault:?}");
        assert_ne!(with(&Requirement::SignedIn, &Standing::Refused(fault)), "allow", "{fault:?}");
    }
}

#[test]
fn a_public_rule_that_asks_who_after_all_is_not_public() {
    let ada = identity(json!({ "sub": "ada", "roles": ["admin"] }));
    let odd = Requirement::from(Needs { anonymous: true, any_role: vec!["admin".into()], ..Needs::default() });
    assert!(!odd.is_public());
    assert_eq!(decided(odd.clone(), &Standing::Anonymous), "sign in");
    assert_eq!(decided(odd, &Standing::Known(&ada)), "allow");
}

#[test]
fn a_time_is_kept_to_before_anybody_is_asked_to_sign_in() {
    let ada = identity(json!({ "sub": "ada" }));
    let window = |from: &str, to: &str| TimeWindow::parse(&["mon-fri"], Some(from), Some(to), "UTC").unwrap();
    let at = |times: Vec<TimeWindow>, anonymous: bool, standing: &Standing<'_>| {
        let allow = Requirement::from(Needs { times, anonymous, ..Needs::default() });
        asked(vec![rule("app/1", &[], &[], allow)], "/x", standing)
    };
    let (now, later) = (|| window("08:00", "18:00"), || window("13:00", "18:00"));
    assert_eq!(at(vec![now()], false, &Standing::Known(&ada)), "allow ada");
    assert_eq!(at(vec![later()], false, &Standing::Known(&ada)), "time");
    assert_eq!(at(vec![later(), now()], false, &Standing::Known(&ada)), "allow ada");
    assert_eq!(at(vec![now()], false, &Standing::Anonymous), "no_session");
    assert_eq!(at(vec![later()], false, &Standing::Anonymous), "time");
    assert_eq!(at(vec![now()], true, &Standing::Anonymous), "allow");
    assert_eq!(at(vec![later()], true, &Standing::Anonymous), "time");
}

#[test]
fn a_preflight_for_an_app_is_closed_where_the_time_closes_it() {
    let decide = |from: &str| {
        let times = vec![TimeWindow::parse(&[], Some(from), None, "UTC").unwrap()];
        let allow = Requirement::from(Needs { times, ..Needs::default() });
        let policy = policy(vec![route("app", "app.example", "/", vec![rule("app/1", &[], &[], allow)])]);
        let target = target(Method::GET, "app.example", "/x");
        let context = RequestContext { target: &target, client: "192.0.2.1".parse().unwrap(), now: NOON };
        told(&policy.rule_for(&target).unwrap().decide_preflight(&context))
    };
    assert_eq!((decide("08:00"), decide("13:00")), ("allow".into(), "time".into()));
}

#[test]
fn path_60_a_tenant_in_the_path_is_the_tenant_of_the_claims() {
    let rules = || vec![rule("app/1", &["/t/{tenant}/**"], &[], when("claims.org_id == path.tenant"))];
    let ada = identity(json!({ "sub": "ada", "org_id": "acme" }));
    let nobodys = identity(json!({ "sub": "bob" }));
    for (path, expected) in [
        ("/t/acme", "allow ada"),
        ("/t/acme/x", "allow ada"),
        ("/t/%61%63me/x", "allow ada"),
        ("/t/acme/;v=1/x", "allow ada"),
        ("/t/other/x", "expression"),
        ("/t/Acme/x", "expression"),
        ("/t/acme%20", "expression"),
        // Two servers read two tenants here, whichever of the two is one's own.
        ("/t/acme;x", "no rule: ambiguous_path"),
        ("/t/acme%3Bx/y", "no rule: ambiguous_path"),
        ("/t/;x/acme/y", "no rule: ambiguous_path"),
        ("/t/;/acme", "no rule: ambiguous_path"),
        ("/t/other;/acme", "no rule: ambiguous_path"),
    ] {
        assert_eq!(asked(rules(), path, &Standing::Known(&ada)), expected, "{path}");
    }
    assert_eq!(asked(rules(), "/t/acme", &Standing::Known(&nobodys)), "expression");
    assert_eq!(asked(rules(), "/t/acme", &Standing::Anonymous), "no_session");
}

#[test]
fn path_61_a_star_before_a_name_does_not_move_it() {
    let rules = || vec![rule("app/1", &["/*/{tenant}/**"], &[], when("claims.org_id == path.tenant"))];
    let ada = identity(json!({ "sub": "ada", "org_id": "acme" }));
    assert_eq!(asked(rules(), "/v1/acme/other", &Standing::Known(&ada)), "allow ada");
    assert_eq!(asked(rules(), "/;/acme/other", &Standing::Known(&ada)), "no rule: ambiguous_path");
}

#[test]
fn an_expression_keeps_the_claims_it_looks_at_in_sessions() {
    let policy =
        policy(vec![route("app", "app.example", "/", vec![rule("app/1", &[], &[], when("claims['x y'].z == 1 && has(claims.plan)"))])]);
    for name in ["x y", "plan"] {
        assert!(policy.kept_claims().iter().any(|own| &**own == name), "{name}");
    }
}

#[test]
fn whoever_has_no_role_passes_where_nobody_needs_one_to_be_known() {
    let somebody = |roles: Value, no_roles: NoRoles, allow: Requirement| {
        let mapping = IdentityMapping { no_roles, ..mapping() };
        let rules = vec![rule("app/1", &[], &[], allow)];
        let policy = Policy::new(vec![route("app", "app.example", "/", rules)], mapping).unwrap();
        let target = target(Method::GET, "app.example", "/x");
        let context = RequestContext { target: &target, client: "192.0.2.1".parse().unwrap(), now: NOON };
        let identity = identity(json!({ "sub": "ada", "roles": roles }));
        told(&policy.rule_for(&target).unwrap().decide(&context, &Standing::Known(&identity)))
    };
    for (allow, expected) in [
        (Requirement::SignedIn, "no_roles"),
        (Requirement::from(Needs { permissions: vec!["x".into()], ..Needs::default() }), "no_roles"),
        (Requirement::Nobody, "nobody"),
        (Requirement::Optional, "allow ada"),
        (Requirement::Public, "allow"),
    ] {
        assert_eq!(somebody(json!([]), NoRoles::Deny, allow.clone()), expected, "{allow:?}");
        assert_ne!(somebody(json!(["any"]), NoRoles::Deny, allow.clone()), "no_roles", "{allow:?}");
        assert_ne!(somebody(json!([]), NoRoles::Allow, allow.clone()), "no_roles", "{allow:?}");
    }
    assert_eq!(somebody(json!(["any"]), NoRoles::Deny, Requirement::SignedIn), "allow ada");
}

#[test]
fn what_an_expression_lacks_is_said_as_it_is_written() {
    let ada = identity(json!({ "sub": "ada", "org_id": "acme" }));
    let allow = match when("claims.org_id == path.tenant") {
        Requirement::Needs(needs) => Requirement::from(Needs { all_roles: vec!["admin".into()], ..*needs }),
        other => other,
    };
    let policy = policy(vec![route("app", "app.example", "/", vec![rule("app/1", &["/t/{tenant}"], &[], allow)])]);
    let lacks = |path: &str| {
        let target = target(Method::GET, "app.example", path);
        let lacks = policy.rule_for(&target).unwrap().lacked_by(&ada, &target);
        lacks.into_iter().map(|lack| (lack.kind, lack.names.join(" "))).collect::<Vec<_>>()
    };
    let role = (LackKind::Role, "admin".to_owned());
    assert_eq!(lacks("/t/acme"), std::slice::from_ref(&role));
    assert_eq!(lacks("/t/other"), [role, (LackKind::Expression, "claims.org_id == path.tenant".to_owned())]);
}

#[test]
fn what_an_asking_proxy_demands_is_not_met_by_who_cannot_be_judged_now() {
    let filter = Filter::parse(Some("allowed_groups=admin")).unwrap();
    let ask = |allow: Requirement, standing: &Standing<'_>| {
        let policy = policy(vec![route("app", "app.example", "/", vec![rule("app/1", &[], &[], allow)])]);
        let target = target(Method::GET, "app.example", "/x");
        let context = RequestContext { target: &target, client: "192.0.2.1".parse().unwrap(), now: NOON };
        let found = policy.rule_for(&target).unwrap();
        told(&found.narrow(found.decide(&context, standing), &filter, standing))
    };
    let ada = identity(json!({ "sub": "ada", "roles": ["admin"] }));
    for allow in [Requirement::Public, Requirement::Optional] {
        assert_eq!(ask(allow.clone(), &Standing::Refused(CredentialFault::CannotVerify)), "cannot_verify");
        assert_eq!(ask(allow.clone(), &Standing::Refused(CredentialFault::StoreUnreachable)), "store_unreachable");
        assert_eq!(ask(allow.clone(), &Standing::Anonymous), "no_session");
        assert!(ask(allow, &Standing::Known(&ada)).starts_with("allow"));
    }
}

#[test]
fn adv_hei_01_a_pattern_that_almost_matched_leaves_nothing_behind() {
    let patterns = ["/{tenant}/a/only", "/x/{tenant}/**"];
    let rules = || vec![rule("app/1", &patterns, &[], when("claims.org_id == path.tenant"))];
    let ada = identity(json!({ "sub": "ada", "org_id": "x" }));
    assert_eq!(asked(rules(), "/x/a/only", &Standing::Known(&ada)), "no rule: ambiguous_path", "each of the two names another");
    assert_eq!(asked(rules(), "/x/a/other", &Standing::Known(&ada)), "expression");
}

/// What is compared with the path is what every server reads: decoded, and the same with and without `;parameters`.
#[test]
fn an_expression_about_the_path_is_not_got_around_by_another_spelling() {
    let ada = identity(json!({ "sub": "ada", "roles": ["editor"] }));
    let closed = |text: &str, path: &str| asked(vec![rule("app/1", &[], &[], when(text))], path, &Standing::Known(&ada));
    let text = "!request.path.startsWith('/@admin') || 'admin' in roles";
    assert_eq!(closed(text, "/open"), "allow ada");
    for path in ["/@admin", "/%40admin", "/@%61dmin", "/%40admin/x"] {
        assert_eq!(closed(text, path), "expression", "{path}");
    }
    let text = "request.path != '/t\u{fc}r' || 'admin' in roles";
    assert_eq!(closed(text, "/tor"), "allow ada");
    for (path, expected) in [
        ("/t%C3%BCr", "expression"),
        ("/t%c3%bcr;a=b", "no rule: ambiguous_path"),
        ("/t%C3%BCr%3Ba", "no rule: ambiguous_path"),
        ("/tor;a=b", "no rule: ambiguous_path"),
    ] {
        assert_eq!(closed(text, path), expected, "{path}");
    }
    // Where the path is not looked at, parameters are the app's.
    assert_eq!(closed("'editor' in roles", "/tor;a=b"), "allow ada");
}

/// Two paths of one rule that both fit, and name two values: nobody can say which one the app reads.
#[test]
fn a_name_that_two_patterns_read_differently_is_believed_of_neither() {
    let ada = identity(json!({ "sub": "ada", "org_id": "acme" }));
    let own =
        |patterns: &[&str], text: &str, path: &str| asked(vec![rule("app/1", patterns, &[], when(text))], path, &Standing::Known(&ada));
    let either = &["/{tenant}/reports/*", "/*/reports/{tenant}"][..];
    let text = "claims.org_id == path.tenant";
    for path in ["/acme/reports/other", "/other/reports/acme"] {
        assert_eq!(own(either, text, path), "no rule: ambiguous_path", "{path}");
    }
    assert_eq!(own(either, text, "/acme/reports/acme"), "allow ada");
    assert_eq!(own(&either[..1], text, "/acme/reports/other"), "allow ada");
    assert_eq!(own(&["/{tenant}", "/{tenant}/**"], text, "/acme"), "allow ada");
    assert_eq!(own(either, "claims.org_id == 'acme'", "/other/reports/acme"), "allow ada");
}
