mod conditions;
mod shadows;

use http::Method;
use serde_json::{Value, json};

use super::*;
use crate::claim_path::ClaimPath;
use crate::headers::Template;
use crate::identity::{Identity, Proof};
use crate::session::{Origin, Session};
use crate::time::Timestamp;

fn path(text: &str) -> ClaimPath {
    ClaimPath::parse(text).unwrap()
}

fn mapping() -> IdentityMapping {
    IdentityMapping { roles: vec![path("roles")], ..IdentityMapping::default() }
}

fn rule(name: &str, paths: &[&str], methods: &[Method], allow: Requirement) -> Rule {
    Rule {
        name: name.into(),
        paths: paths.iter().map(|text| PathPattern::parse(text).unwrap()).collect(),
        methods: methods.to_vec(),
        allow,
        step_up: None,
        enforce: Enforce::Deny,
    }
}

fn route(name: &str, host: &str, prefix: &str, rules: Vec<Rule>) -> Route {
    let headers = HeaderMapping::new(vec![(HeaderName::from_static("x-auth-user"), Template::parse("{user}").unwrap())]);
    Route {
        name: name.into(),
        hosts: vec![HostPattern::parse(host).unwrap()],
        path: PathPrefix::parse(prefix).unwrap(),
        providers: vec![0],
        accept: Accept::Both,
        rules,
        headers,
        keep_headers: Vec::new(),
        pass_token: false,
        cors: None,
    }
}

fn policy(routes: Vec<Route>) -> Policy {
    Policy::new(routes, mapping()).unwrap()
}

fn target(method: Method, host: &str, path: &str) -> Target {
    Target::parse(&method, host.as_bytes(), path.as_bytes()).unwrap()
}

fn found(policy: &Policy, method: Method, host: &str, path: &str) -> Result<String, DenyReason> {
    policy.rule_for(&target(method, host, path)).map(|found| found.rule.name.to_string())
}

fn identity(claims: Value) -> Identity {
    let kept: Vec<Box<str>> = claims.as_object().unwrap().keys().map(|name| name.as_str().into()).collect();
    let session = Session::begin(Origin { id: "i", provider: "p", client_id: "c" }, claims.as_object().unwrap(), &kept, Timestamp(0));
    Identity::from_session(session, &mapping())
}

/// What a rule with this requirement says to this identity from 192.0.2.1.
fn decided(allow: Requirement, standing: &Standing<'_>) -> &'static str {
    let policy = policy(vec![route("app", "app.example", "/", vec![rule("app/1", &[], &[], allow)])]);
    let target = target(Method::GET, "app.example", "/x");
    let context = RequestContext { target: &target, client: "192.0.2.1".parse().unwrap(), now: Timestamp(1000) };
    match policy.rule_for(&target).unwrap().decide(&context, standing) {
        Decision::Allow(_) => "allow",
        Decision::Challenge(Challenge::SignIn(_)) => "sign in",
        Decision::Challenge(Challenge::Bearer(_)) => "bearer",
        Decision::Challenge(Challenge::StepUp(_)) => "step up",
        Decision::Deny(reason) => reason.label(),
    }
}

#[test]
fn the_longest_path_of_the_nearest_host_wins() {
    let any = |name: &str| vec![rule(name, &[], &[], Requirement::Public)];
    let policy = policy(vec![
        route("wide", "*.example", "/", any("wide")),
        route("nearer", "*.b.example", "/", any("nearer")),
        route("exact", "app.example", "/", any("exact")),
        route("api", "app.example", "/api", any("api")),
        route("v2", "app.example", "/api/v2", any("v2")),
    ]);
    for (host, path, expected) in [
        ("x.example", "/", Ok("wide")),
        ("a.b.example", "/", Ok("nearer")),
        ("b.example", "/", Ok("wide")),
        ("app.example", "/", Ok("exact")),
        ("app.example", "/apix", Ok("exact")),
        ("app.example", "/api", Ok("api")),
        ("app.example", "/api/v1/v2", Ok("api")),
        ("app.example", "/api/v2/x", Ok("v2")),
        ("APP.example.", "/api/v2", Ok("v2")),
        ("example", "/", Err(DenyReason::UnknownHost)),
        ("badexample", "/", Err(DenyReason::UnknownHost)),
    ] {
        assert_eq!(found(&policy, Method::GET, host, path), expected.map(str::to_owned), "{host}{path}");
    }
}

#[test]
fn a_host_with_routes_below_a_path_has_nothing_elsewhere() {
    let policy = policy(vec![route("api", "app.example", "/api", vec![rule("api/1", &[], &[], Requirement::Public)])]);
    assert_eq!(found(&policy, Method::GET, "app.example", "/"), Err(DenyReason::NoRoute));
    assert_eq!(found(&policy, Method::GET, "app.example", "/api/x").as_deref(), Ok("api/1"));
}

#[test]
fn two_routes_that_nobody_could_tell_apart_are_refused() {
    let routes = |second: &str| vec![route("a", "app.example", "/x", vec![]), route("b", second, "/x", vec![])];
    let clash = Policy::new(routes("APP.example"), mapping()).err().unwrap();
    assert_eq!((&*clash.first, &*clash.second), ("a", "b"));
    assert!(Policy::new(routes("*.example"), mapping()).is_ok());
}

#[test]
fn the_first_rule_that_matches_decides_and_none_refuses() {
    let policy = policy(vec![route(
        "app",
        "app.example",
        "/",
        vec![
            rule("app/1", &["/public/**"], &[], Requirement::Public),
            rule("app/2", &["/items/**"], &[Method::GET], Requirement::SignedIn),
            rule("app/3", &["/items/**"], &[Method::POST], Requirement::Nobody),
            rule("app/4", &["/**"], &[Method::DELETE], Requirement::SignedIn),
        ],
    )]);
    for (method, path, expected) in [
        (Method::GET, "/public/x", Ok("app/1")),
        (Method::GET, "/items/1", Ok("app/2")),
        (Method::HEAD, "/items/1", Ok("app/2")),
        (Method::POST, "/items/1", Ok("app/3")),
        (Method::PUT, "/items/1", Err(DenyReason::NoRule)),
        (Method::OPTIONS, "/items/1", Err(DenyReason::NoRule)),
        (Method::DELETE, "/items/1", Ok("app/4")),
        (Method::GET, "/", Err(DenyReason::NoRule)),
        (Method::GET, "/publicity", Err(DenyReason::NoRule)),
    ] {
        assert_eq!(found(&policy, method.clone(), "app.example", path), expected.map(str::to_owned), "{method} {path}");
    }
}

#[test]
fn path_40_to_46_parameters_that_lead_to_another_rule_or_route_are_ambiguous() {
    let policy = policy(vec![
        route(
            "app",
            "app.example",
            "/",
            vec![rule("admin", &["/admin/**"], &[], Requirement::Nobody), rule("rest", &[], &[], Requirement::Public)],
        ),
        route("api", "app.example", "/api", vec![rule("api", &[], &[], Requirement::Public)]),
    ]);
    for path in ["/admin;x=1", "/admin;/x", "/;x/admin", "/%3bx/admin", "/api;x/y", "/;/api"] {
        assert_eq!(found(&policy, Method::GET, "app.example", path), Err(DenyReason::AmbiguousPath), "{path}");
    }
    for (path, name) in [("/shop;jsessionid=1/cart", "rest"), ("/admin/x;y", "admin"), ("/api/x;y=1", "api")] {
        assert_eq!(found(&policy, Method::GET, "app.example", path).as_deref(), Ok(name), "{path}");
    }
}

#[test]
fn each_requirement_and_its_twin() {
    let needs = |change: fn(&mut Needs)| {
        let mut needs = Needs::default();
        change(&mut needs);
        Requirement::from(needs)
    };
    let somebody = identity(json!({
        "sub": "u", "roles": ["editor", "member"], "permissions": ["device:read"], "scope": "read:x read:y", "org_id": "org_1", "level": 3,
        "flags": ["beta"], "email": "u@acme.dev", "email_verified": true,
    }));
    let known = Standing::Known(&somebody);
    for (name, allow, expected) in [
        ("public", Requirement::Public, "allow"),
        ("signed in", Requirement::SignedIn, "allow"),
        ("nobody", Requirement::Nobody, "nobody"),
        ("any role", needs(|n| n.any_role = vec!["admin".into(), "editor".into()]), "allow"),
        ("no role", needs(|n| n.any_role = vec!["admin".into()]), "role"),
        ("a part of a role", needs(|n| n.any_role = vec!["edit".into()]), "role"),
        ("all roles", needs(|n| n.all_roles = vec!["member".into(), "editor".into()]), "allow"),
        ("not all roles", needs(|n| n.all_roles = vec!["member".into(), "admin".into()]), "role"),
        ("permission", needs(|n| n.permissions = vec!["device:read".into()]), "allow"),
        ("no permission", needs(|n| n.permissions = vec!["device:admin".into()]), "permission"),
        ("scope", needs(|n| n.scopes = vec!["read:y".into()]), "allow"),
        ("a part of a scope", needs(|n| n.scopes = vec!["read:".into()]), "scope"),
        ("claim", needs(|n| n.claims = vec![ClaimTest::Equals(path("org_id"), vec![json!("org_2"), json!("org_1")])]), "allow"),
        ("claim of another type", needs(|n| n.claims = vec![ClaimTest::Equals(path("level"), vec![json!("3")])]), "claim"),
        ("claim that is not there", needs(|n| n.claims = vec![ClaimTest::Equals(path("nope"), vec![json!(null)])]), "claim"),
        ("claim contains", needs(|n| n.claims = vec![ClaimTest::Contains(path("flags"), vec![json!("beta")])]), "allow"),
        ("claim text does not contain", needs(|n| n.claims = vec![ClaimTest::Contains(path("org_id"), vec![json!("org")])]), "claim"),
        ("e-mail domain", needs(|n| n.email_domains = vec!["acme.dev".into()]), "allow"),
        ("other e-mail domain", needs(|n| n.email_domains = vec!["cme.dev".into()]), "email_domain"),
        ("network", needs(|n| n.networks = vec!["192.0.2.0/24".parse().unwrap()]), "allow"),
        ("other network", needs(|n| n.networks = vec!["198.51.100.0/24".parse().unwrap()]), "network"),
        (
            "role and network",
            needs(|n| {
                n.any_role = vec!["admin".into()];
                n.networks = vec!["192.0.2.0/24".parse().unwrap()];
            }),
            "role",
        ),
    ] {
        assert_eq!(decided(allow, &known), expected, "{name}");
    }
}

#[test]
fn nobody_is_asked_to_sign_in_where_it_would_not_help() {
    let away = || Needs { networks: vec!["198.51.100.0/24".parse().unwrap()], ..Needs::default() };
    let here = || Needs { networks: vec!["192.0.2.0/24".parse().unwrap()], ..Needs::default() };
    assert_eq!(decided(Requirement::from(away()), &Standing::Anonymous), "network");
    assert_eq!(decided(Requirement::from(here()), &Standing::Anonymous), "sign in");
    assert_eq!(decided(Requirement::from(Needs { anonymous: true, ..here() }), &Standing::Anonymous), "allow");
    assert_eq!(decided(Requirement::from(Needs { anonymous: true, ..away() }), &Standing::Anonymous), "network");
    assert_eq!(decided(Requirement::SignedIn, &Standing::Anonymous), "sign in");
}

#[test]
fn a_bad_credential_is_not_the_same_as_none() {
    use crate::session::SessionFault;
    use crate::token::TokenFault;
    for (fault, expected) in [
        (CredentialFault::MalformedBearer, "bearer"),
        (CredentialFault::Token(TokenFault::Expired), "bearer"),
        (CredentialFault::Session(SessionFault::Unreadable), "sign in"),
        // "Cannot verify now" is neither "sign in again" nor a pass.
        (CredentialFault::CannotVerify, "cannot_verify"),
        (CredentialFault::StoreUnreachable, "store_unreachable"),
    ] {
        assert_eq!(decided(Requirement::SignedIn, &Standing::Refused(fault)), expected, "{fault:?}");
        assert_eq!(decided(Requirement::Public, &Standing::Refused(fault)), "allow", "{fault:?}");
        assert_eq!(decided(Requirement::Nobody, &Standing::Refused(fault)), "nobody", "{fault:?}");
    }
}

#[test]
fn adv_o2p_12_one_verified_address_with_one_at_sign_in_exactly_the_domain() {
    let with = |email: &str, verified: Value| {
        let identity = identity(json!({"sub": "u", "email": email, "email_verified": verified}));
        let allow = Requirement::from(Needs { email_domains: vec!["corp.test".into()], ..Needs::default() });
        decided(allow, &Standing::Known(&identity))
    };
    for email in ["a@corp.test", "a.b+c@CORP.test"] {
        assert_eq!(with(email, json!(true)), "allow", "{email}");
    }
    for email in [
        "x@evil.test@corp.test",
        "x@corp.test@evil.test",
        "x@corp.test.",
        "\"a@corp.test\"@evil.test",
        "x@corp.test\n",
        "@corp.test",
        "corp.test",
        "x@xcorp.test",
        "x@sub.corp.test",
        "",
        "x\u{a0}@corp.test",
    ] {
        assert_eq!(with(email, json!(true)), "email_domain", "{email:?}");
    }
    for verified in [json!(false), json!("true"), json!(1), json!([true])] {
        assert_eq!(with("a@corp.test", verified.clone()), "email_domain", "{verified}");
    }
}

#[test]
fn adv_o2p_15_an_empty_role_matches_nothing() {
    for roles in [json!(""), json!([""]), json!([]), json!({})] {
        let nobody = identity(json!({"sub": "u", "roles": roles}));
        assert!(nobody.roles().is_empty());
        let allow = Requirement::from(Needs { any_role: vec!["".into()], ..Needs::default() });
        assert_eq!(decided(allow, &Standing::Known(&nobody)), "role");
    }
}

#[test]
fn hdr_42_43_headers_are_absent_without_their_claim_and_all_refused_beyond_the_budget() {
    let policy = policy(vec![route("app", "app.example", "/", vec![rule("app/1", &[], &[], Requirement::SignedIn)])]);
    let target = target(Method::GET, "app.example", "/x");
    let context = RequestContext { target: &target, client: "192.0.2.1".parse().unwrap(), now: Timestamp(1000) };
    let decide = |sub: Value| {
        let somebody = identity(json!({ "sub": sub }));
        match policy.rule_for(&target).unwrap().decide(&context, &Standing::Known(&somebody)) {
            Decision::Allow(permit) => Ok(permit.edits().iter().count()),
            Decision::Deny(reason) => Err(reason),
            Decision::Challenge(_) => panic!("somebody is known"),
        }
    };
    assert_eq!(decide(json!("u")), Ok(1));
    assert_eq!(decide(json!("")), Ok(0));
    assert_eq!(decide(json!({})), Ok(0));
    assert_eq!(decide(json!("u".repeat(9000))), Err(DenyReason::IdentityTooLarge));
}

#[test]
fn ten_thousand_routes_are_found_in_steps_of_the_path() {
    let routes: Vec<Route> = (0..10_000)
        .map(|at| {
            route(&format!("r{at}"), "app.example", &format!("/apps/a{at}"), vec![rule(&format!("r{at}/1"), &[], &[], Requirement::Public)])
        })
        .collect();
    let policy = policy(routes);
    assert_eq!(found(&policy, Method::GET, "app.example", "/apps/a9999/x").as_deref(), Ok("r9999/1"));
    assert_eq!(found(&policy, Method::GET, "app.example", "/apps/a10000/x"), Err(DenyReason::NoRoute));
}

#[test]
fn a_provider_vouches_for_its_own_email_claim_and_for_no_other() {
    let claims = json!({"iss": "i", "sub": "u", "email": "me@private.test", "email_verified": true, "work_email": "boss@corp.test"});
    let kept: Vec<Box<str>> = claims.as_object().unwrap().keys().map(|name| name.as_str().into()).collect();
    let session = Session::begin(Origin { id: "i", provider: "p", client_id: "c" }, claims.as_object().unwrap(), &kept, Timestamp(0));
    let decide = |email: &str, domain: &str| {
        let identity = Identity::from_session(session.clone(), &IdentityMapping { email: path(email), ..mapping() });
        let allow = Requirement::from(Needs { email_domains: vec![domain.into()], ..Needs::default() });
        decided(allow, &Standing::Known(&identity))
    };
    assert_eq!(decide("email", "private.test"), "allow");
    assert_eq!(decide("work_email", "corp.test"), "email_domain");
}

#[test]
fn claims_that_only_an_answer_names_are_kept_when_asked_for() {
    let mut policy = policy(vec![route("app", "app.example", "/", vec![rule("app/1", &[], &[], Requirement::SignedIn)])]);
    let kept = |policy: &Policy, name: &str| policy.kept_claims().iter().filter(|kept| &***kept == name).count();
    let before = policy.kept_claims().len();
    assert_eq!((kept(&policy, "groups"), kept(&policy, "email")), (0, 1));
    policy.keep_claims(&["groups", "email"]);
    assert_eq!((kept(&policy, "groups"), kept(&policy, "email")), (1, 1));
    policy.keep_claims(&["groups"]);
    assert_eq!(policy.kept_claims().len(), before + 1);
    assert!(policy.kept_claims().is_sorted());
}

#[test]
fn stepup_09_a_recent_sign_in_is_asked_of_whoever_else_may() {
    let step_up = Some(StepUp { max_age: Some(std::time::Duration::from_secs(300)), ..StepUp::default() });
    let admins = || Requirement::from(Needs { any_role: vec!["admin".into()], ..Needs::default() });
    let decided = |allow: Requirement, standing: &Standing<'_>| {
        let rule = Rule { step_up: step_up.clone(), ..rule("app/1", &[], &[], allow) };
        let policy = policy(vec![route("app", "app.example", "/", vec![rule])]);
        let target = target(Method::GET, "app.example", "/x");
        let context = RequestContext { target: &target, client: "192.0.2.1".parse().unwrap(), now: Timestamp(1000) };
        match policy.rule_for(&target).unwrap().decide(&context, standing) {
            Decision::Allow(_) => "allow",
            Decision::Challenge(Challenge::SignIn(_)) => "sign in",
            Decision::Challenge(Challenge::Bearer(_)) => "bearer",
            Decision::Challenge(Challenge::StepUp(Proof::Session)) => "step up",
            Decision::Challenge(Challenge::StepUp(Proof::Bearer)) => "step up a bearer",
            Decision::Deny(reason) => reason.label(),
        }
    };
    let recent = identity(json!({ "sub": "ada", "roles": ["admin"], "auth_time": 900 }));
    let old = identity(json!({ "sub": "ada", "roles": ["admin"], "auth_time": 600 }));
    let silent = identity(json!({ "sub": "ada", "roles": ["admin"] }));
    let viewer = identity(json!({ "sub": "vera", "roles": ["viewer"], "auth_time": 600 }));
    for (name, allow, standing, expected) in [
        ("recent", Requirement::SignedIn, Standing::Known(&recent), "allow"),
        ("old", Requirement::SignedIn, Standing::Known(&old), "step up"),
        ("unsaid", Requirement::SignedIn, Standing::Known(&silent), "step up"),
        ("nobody", Requirement::SignedIn, Standing::Anonymous, "sign in"),
        ("with the role, recent", admins(), Standing::Known(&recent), "allow"),
        ("with the role, old", admins(), Standing::Known(&old), "step up"),
        // Another sign-in would not give the role.
        ("without the role", admins(), Standing::Known(&viewer), "role"),
        // The configuration refuses these two; if they ever get here, they are no way around.
        ("public, nobody", Requirement::Public, Standing::Anonymous, "sign in"),
        ("public, old", Requirement::Public, Standing::Known(&old), "step up"),
        ("closed", Requirement::Nobody, Standing::Known(&recent), "nobody"),
    ] {
        assert_eq!(decided(allow, &standing), expected, "{name}");
    }
}
