use std::time::Duration;

use http::{HeaderName, Method};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::access::{ClaimTest, CredentialFault, Needs, PathPattern, PathPrefix, Requirement, Route, StepUp, TimeWindow};
use crate::claim_path::ClaimPath;
use crate::credential::Accept;
use crate::expression::Expression;
use crate::headers::{HeaderMapping, Template};
use crate::identity::{Attribute, AttributeSource, AttributeType, ClaimSource, IdentityMapping, NoRoles};
use crate::request::HostPattern;
use crate::session::SessionFault;
use crate::time::Timestamp;

/// A Monday, 09:00 in UTC.
const NOW: Timestamp = Timestamp(1_795_424_400);

fn path(text: &str) -> ClaimPath {
    ClaimPath::parse(text).unwrap()
}

fn rule(number: usize, paths: &[&str], allow: Requirement) -> Rule {
    Rule {
        name: format!("app/{number}").into(),
        paths: paths.iter().map(|text| PathPattern::parse(text).unwrap()).collect(),
        methods: Vec::new(),
        allow,
        step_up: None,
        enforce: Enforce::Deny,
    }
}

fn policy(rules: Vec<Rule>, no_roles: NoRoles) -> Policy {
    let header = |name: &'static str, text: &str| (HeaderName::from_static(name), Template::parse(text).unwrap());
    let route = Route {
        name: "app".into(),
        hosts: vec![HostPattern::parse("app.example").unwrap()],
        path: PathPrefix::default(),
        providers: vec![0],
        accept: Accept::Both,
        rules,
        headers: HeaderMapping::new(vec![
            header("x-user", "{user}"),
            header("x-roles", "{roles}"),
            header("x-big", "{claim:big}"),
            header("x-groups", "{claim:groups}"),
        ]),
        keep_headers: Vec::new(),
        pass_token: false,
        cors: None,
    };
    Policy::new(vec![route], IdentityMapping { roles: vec![path("roles")], no_roles, ..IdentityMapping::default() }).unwrap()
}

fn target(method: &str, path: &str) -> Target {
    Target::parse(&Method::from_bytes(method.as_bytes()).unwrap(), b"app.example", path.as_bytes()).unwrap()
}

fn claims(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn supposed(policy: &Policy, value: Value) -> Supposed {
    Supposed::with_session("p", &claims(value), policy, NOW)
}

fn explained(policy: &Policy, method: &str, path: &str, who: Option<&Supposed>) -> Explanation {
    let target = target(method, path);
    let context = RequestContext { target: &target, client: "192.0.2.1".parse().unwrap(), now: NOW };
    match who {
        Some(who) => who.explain(policy, &context, None),
        None => explain(policy, &context, &Standing::Anonymous, None),
    }
}

fn needs_role(role: &str) -> Requirement {
    Requirement::from(Needs { any_role: vec![role.into()], ..Needs::default() })
}

fn fates(explanation: &Explanation) -> Vec<(&str, Fate)> {
    explanation.rules.iter().map(|rule| (rule.name.as_str(), rule.fate)).collect()
}

#[test]
fn each_rule_has_its_fate_in_the_order_of_the_file() {
    let mut post = rule(2, &[], Requirement::Nobody);
    post.methods = vec![Method::POST];
    let shadow = Rule { enforce: Enforce::Log, ..rule(3, &["/**"], Requirement::Nobody) };
    let rules = vec![
        rule(1, &["/static/**"], Requirement::Public),
        post,
        shadow,
        rule(4, &["/admin/**"], needs_role("admin")),
        rule(5, &[], Requirement::SignedIn),
    ];
    let policy = policy(rules, NoRoles::Allow);
    let eddie = supposed(&policy, json!({ "sub": "eddie", "roles": ["editor"] }));
    let denied = explained(&policy, "GET", "/admin/x", Some(&eddie));
    assert_eq!(
        fates(&denied),
        [("app/1", Fate::Path), ("app/2", Fate::Method), ("app/3", Fate::Shadow), ("app/4", Fate::Decides), ("app/5", Fate::NotReached)]
    );
    assert_eq!((denied.verdict.decision(), denied.verdict.reason(), denied.rule.as_deref()), ("deny", Some("role"), Some("app/4")));
    assert_eq!(denied.rules[2].verdict, Some(Verdict::Deny(DenyReason::Nobody)));
    assert!(!denied.rules[2].enforced && denied.headers.is_empty());
    let role = &denied.deciding().unwrap().criteria[2];
    assert_eq!((&*role.what, &*role.wanted, role.found.as_deref(), role.mark), ("any_role", "admin", Some("editor"), Mark::Miss));

    let allowed = explained(&policy, "GET", "/other", Some(&eddie));
    assert!(allowed.verdict.is_yes());
    let header = |name: &str| allowed.headers.iter().find(|header| header.name == name).unwrap();
    assert_eq!(header("x-roles").value.as_deref(), Some("editor"));
    assert_eq!(header("x-roles").from[0].claims[0], ClaimTrace { claim: "roles".into(), attribute: None, present: true });
    assert!(header("x-big").value.is_none() && !header("x-big").from[0].claims[0].present);
}

#[test]
fn before_a_sign_in_what_depends_on_it_is_a_may() {
    let policy = policy(vec![rule(1, &[], needs_role("admin"))], NoRoles::Deny);
    let explanation = explained(&policy, "GET", "/", None);
    let marks: Vec<(&str, Mark)> =
        explanation.deciding().unwrap().criteria.iter().map(|criterion| (&*criterion.what, criterion.mark)).collect();
    assert_eq!(marks, [("sign_in", Mark::Miss), ("some_role", Mark::May), ("any_role", Mark::May)]);
    assert_eq!((explanation.verdict.outcome(), explanation.verdict.reason()), ("sign-in", Some("no_session")));
}

#[test]
fn a_request_without_route_or_rule_says_which_is_missing() {
    let policy = policy(vec![rule(1, &["/a"], Requirement::Public), rule(2, &["/x/**"], Requirement::Public)], NoRoles::Allow);
    let none = explained(&policy, "GET", "/b", None);
    assert_eq!((none.verdict.reason(), none.route.as_deref(), none.rule.as_deref()), (Some("no_rule"), Some("app"), None));
    assert_eq!(fates_of(&none), [Fate::Path, Fate::Path]);
    let two = explained(&policy, "GET", "/a;/x", None);
    assert_eq!(two.verdict.reason(), Some("no_rule"), "{two:?}");
    let two = explained(&policy, "GET", "/x;y", None);
    assert_eq!(two.verdict.reason(), Some("ambiguous_path"));
    assert!(two.notes[0].contains("/x: app/2"), "{:?}", two.notes);
    let elsewhere = Target::parse(&Method::GET, b"other.example", b"/").unwrap();
    let context = RequestContext { target: &elsewhere, client: "192.0.2.1".parse().unwrap(), now: NOW };
    let unknown = explain(&policy, &context, &Standing::Anonymous, None);
    assert_eq!((unknown.verdict.reason(), unknown.route), (Some("unknown_host"), None));
}

fn fates_of(explanation: &Explanation) -> Vec<Fate> {
    explanation.rules.iter().map(|rule| rule.fate).collect()
}

#[test]
fn an_expression_shows_the_values_it_compared() {
    let when = Expression::compile("claims.org_id == path.tenant", &["tenant"]).unwrap();
    let needs = Requirement::from(Needs { when: Some(when), ..Needs::default() });
    let policy = policy(vec![rule(1, &["/t/{tenant}/**"], needs)], NoRoles::Allow);
    let found = |claims: Value| {
        let explanation = explained(&policy, "GET", "/t/acme/x", Some(&supposed(&policy, claims)));
        let when = explanation.deciding().unwrap().criteria.iter().find(|criterion| criterion.what == "when").unwrap().clone();
        (when.mark, when.found.unwrap())
    };
    assert_eq!(
        found(json!({ "sub": "a", "org_id": "beta" })),
        (Mark::Miss, "false: claims.org_id = \"beta\", path.tenant = \"acme\"".into())
    );
    assert_eq!(found(json!({ "sub": "a", "org_id": "acme" })).0, Mark::Hit);
    let (mark, text) = found(json!({ "sub": "a" }));
    assert!(mark == Mark::Miss && text.starts_with("no, as ") && text.contains("claims.org_id = absent"), "{text}");
}

#[test]
fn an_attribute_is_traced_to_the_claim_it_was() {
    let policy = policy(vec![rule(1, &[], Requirement::SignedIn)], NoRoles::Allow);
    let groups = Attribute {
        name: "groups".into(),
        label: None,
        from: AttributeSource::Claim { source: Some(ClaimSource::IdToken), path: path("https://example\\.com/groups") },
        kind: AttributeType::StringArray,
        weak: false,
    };
    let attributes = AttributeMapping { attributes: vec![groups], ..AttributeMapping::default() };
    let target = target("GET", "/");
    let context = RequestContext { target: &target, client: "192.0.2.1".parse().unwrap(), now: NOW };
    let explanation = supposed(&policy, json!({ "sub": "a", "groups": ["ops"] })).explain(&policy, &context, Some(&attributes));
    let header = explanation.headers.iter().find(|header| header.name == "x-groups").unwrap();
    assert_eq!(header.value.as_deref(), Some("ops"));
    assert_eq!(header.from[0].claims[0].attribute.as_deref(), Some("id_token https://example\\.com/groups"));
}

#[test]
fn a_claim_without_its_namespace_is_traced_to_its_whole_name() {
    let policy = policy(vec![rule(1, &[], Requirement::SignedIn)], NoRoles::Allow);
    let namespaces = vec!["https://acme.dev/".into(), "https://mia.eu/sub".into()];
    let attributes = AttributeMapping { namespaces, ..AttributeMapping::default() };
    let target = target("GET", "/");
    let context = RequestContext { target: &target, client: "192.0.2.1".parse().unwrap(), now: NOW };
    let origin = |who: &Supposed, header: &str| {
        let explanation = who.explain(&policy, &context, Some(&attributes));
        explanation.headers.iter().find(|known| known.name == header).unwrap().from[0].claims[0].attribute.clone()
    };
    let with = |value: Value| Supposed::with_bearer("p", claims(value), &policy);
    let whole = with(json!({ "sub": "a", "groups": ["ops"], "https://acme.dev/groups": ["ops"] }));
    assert_eq!(origin(&whole, "x-groups").as_deref(), Some("https://acme.dev/groups"));
    assert_eq!(origin(&whole, "x-user"), None, "no namespace writes `sub`");
    let both = with(json!({ "sub": "a", "groups": ["dev"], "https://acme.dev/groups": ["ops"] }));
    assert_eq!(origin(&both, "x-groups"), None, "what has the name already keeps it");
    let own = json!({ "sub": "a", "groups": ["ops"] });
    assert_eq!(origin(&with(own.clone()), "x-groups"), None);
    // A session keeps the short name alone: where it came from is known to who supposes it, and to nobody else.
    let session = supposed(&policy, json!({ "sub": "a", "groups": ["ops"], "https://acme.dev/groups": ["ops"] }));
    assert_eq!(origin(&session, "x-groups").as_deref(), Some("https://acme.dev/groups"));
    assert_eq!(origin(&supposed(&policy, own), "x-groups"), None);
    let real = explain(&policy, &context, &session.standing(), Some(&attributes));
    let groups = real.headers.iter().find(|header| header.name == "x-groups").unwrap();
    assert_eq!(groups.from[0].claims[0].attribute, None);
}

#[test]
fn json_has_names_that_stay() {
    let policy = policy(vec![rule(1, &[], needs_role("admin"))], NoRoles::Allow);
    let json = serde_json::to_value(explained(&policy, "GET", "/", Some(&supposed(&policy, json!({ "sub": "eddie" }))))).unwrap();
    assert_eq!(
        json,
        json!({
            "request": { "method": "GET", "host": "app.example", "path": "/", "client": "192.0.2.1", "at": "2026-11-23T09:00:00Z" },
            "who": { "standing": "known", "proof": "session", "provider": "p", "user": "eddie", "email": null, "roles": [], "permissions": [], "scopes": [] },
            "route": "app",
            "rule": "app/1",
            "decision": "deny",
            "outcome": "deny",
            "reason": "role",
            "rules": [{
                "name": "app/1", "allow": "role admin", "enforced": true, "fate": "decides",
                "decision": "deny", "outcome": "deny", "reason": "role",
                "criteria": [
                    { "what": "sign_in", "wanted": "somebody", "found": "eddie, by a session of p", "mark": "hit" },
                    { "what": "any_role", "wanted": "admin", "found": "none", "mark": "miss" },
                ],
            }],
            "headers": [],
            "notes": [],
        })
    );
}

#[test]
fn what_is_demanded_is_said_in_words() {
    let needs = Needs {
        any_role: vec!["a".into(), "b".into()],
        scopes: vec!["read".into()],
        claims: vec![ClaimTest::Equals(path("org_id"), vec![json!("acme"), json!(3)])],
        networks: vec!["10.0.0.0/8".parse().unwrap()],
        ..Needs::default()
    };
    let strict = Rule {
        step_up: Some(StepUp { max_age: Some(Duration::from_secs(300)), acr_values: vec!["gold".into()] }),
        ..rule(1, &[], Requirement::from(needs))
    };
    assert_eq!(
        words::demands(&strict),
        "network 10.0.0.0/8 and any role of a, b and scope read and claim org_id is acme or 3; step-up no longer ago than 5m, acr gold"
    );
}

fn any_needs() -> impl Strategy<Value = Needs> {
    let names = |all: &'static [&'static str]| prop::sample::subsequence(all.to_vec(), 0..=all.len().min(2));
    let boxed = |names: Vec<&str>| names.into_iter().map(Box::from).collect::<Vec<Box<str>>>();
    let who = (names(&["admin", "editor"]), names(&["admin", "editor"]), names(&["read"]), names(&["openid"]), names(&["acme.dev"]));
    let expressions = ["claims.org_id == path.tenant", "claims.level > 3", "\"admin\" in roles", "user == \"a\""];
    let rest = (any::<bool>(), prop::option::of(prop::sample::select(expressions.to_vec())), any::<[Option<bool>; 2]>(), any::<bool>());
    (who, rest).prop_map(move |((any_role, all_roles, permissions, scopes, domains), (claim, when, [network, time], anonymous))| Needs {
        anonymous,
        any_role: boxed(any_role),
        all_roles: boxed(all_roles),
        permissions: boxed(permissions),
        scopes: boxed(scopes),
        claims: if claim { vec![ClaimTest::Equals(path("org_id"), vec![json!("acme")])] } else { Vec::new() },
        email_domains: boxed(domains),
        networks: network.map(|near| if near { "192.0.2.0/24" } else { "10.0.0.0/8" }.parse().unwrap()).into_iter().collect(),
        times: time
            .map(|open| TimeWindow::parse(&[], Some("08:00"), Some(if open { "18:00" } else { "08:30" }), "UTC").unwrap())
            .into_iter()
            .collect(),
        when: when.map(|text| Expression::compile(text, &["tenant"]).unwrap()),
    })
}

fn any_rule() -> impl Strategy<Value = (Requirement, Option<StepUp>, Enforce, bool)> {
    let allow = prop_oneof![
        1 => Just(Requirement::Public),
        1 => Just(Requirement::Optional),
        1 => Just(Requirement::SignedIn),
        1 => Just(Requirement::Nobody),
        6 => any_needs().prop_map(Requirement::from),
    ];
    let step_up = (any::<bool>(), any::<bool>()).prop_map(|(age, acr)| StepUp {
        max_age: age.then_some(Duration::from_secs(300)),
        acr_values: if acr { vec!["gold".into()] } else { Vec::new() },
    });
    (allow, prop::option::weighted(0.3, step_up), prop::bool::weighted(0.3), prop::bool::weighted(0.2))
        .prop_map(|(allow, step_up, shadow, post)| (allow, step_up, if shadow { Enforce::Log } else { Enforce::Deny }, post))
}

fn any_claims() -> impl Strategy<Value = Value> {
    let maybe =
        |name: &'static str, values: Vec<Value>| prop::option::of(prop::sample::select(values)).prop_map(move |value| (name, value));
    let all = (
        maybe("sub", vec![json!("a")]),
        maybe("roles", vec![json!(["admin"]), json!(["editor", "admin"]), json!([])]),
        maybe("permissions", vec![json!(["read"])]),
        maybe("scope", vec![json!("openid"), json!("other")]),
        maybe("email", vec![json!("a@acme.dev"), json!("a@else.where")]),
        maybe("email_verified", vec![json!(true), json!("true")]),
        maybe("org_id", vec![json!("acme"), json!(7)]),
        maybe("level", vec![json!(2), json!(4), json!("x")]),
        maybe("auth_time", vec![json!(NOW.0 - 10), json!(NOW.0 - 1000)]),
        (maybe("acr", vec![json!("gold")]), maybe("big", vec![json!("x".repeat(9000))])),
    );
    all.prop_map(|(a, b, c, d, e, f, g, h, i, (j, k))| {
        let pairs = [a, b, c, d, e, f, g, h, i, j, k].into_iter();
        Value::Object(pairs.filter_map(|(name, value)| Some((name.to_owned(), value?))).collect())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// The verdict is the gate's own; its criteria say the same, for every rule that is decided.
    #[test]
    fn all_criteria_are_hits_where_the_answer_is_yes_and_nowhere_else(
        rules in prop::collection::vec(any_rule(), 1..4),
        claims in any_claims(),
        who in 0..4usize,
        no_roles in any::<bool>(),
        place in prop::sample::select(vec!["/t/acme/x", "/t/other", "/t/acme;x/y", "/elsewhere", "/t/;a/b"]),
        method in prop::sample::select(vec!["GET", "POST"]),
    ) {
        let rules = rules.into_iter().enumerate().map(|(at, (allow, step_up, enforce, post))| Rule {
            step_up,
            enforce,
            methods: if post { vec![Method::POST] } else { Vec::new() },
            ..rule(at + 1, &["/t/{tenant}/**"], allow)
        });
        let policy = policy(rules.collect(), if no_roles { NoRoles::Deny } else { NoRoles::Allow });
        let target = target(method, place);
        let context = RequestContext { target: &target, client: "192.0.2.1".parse().unwrap(), now: NOW };
        let supposed = Supposed::with_session("p", claims.as_object().unwrap(), &policy, NOW);
        let standing = match who {
            0 => Standing::Anonymous,
            1 => Standing::Refused(CredentialFault::Session(SessionFault::Expired)),
            2 => Standing::Refused(CredentialFault::CannotVerify),
            _ => supposed.standing(),
        };
        let explanation = explain(&policy, &context, &standing, None);
        let expected = match policy.rule_for(&target) {
            Ok(found) => Verdict::of(&found.decide(&context, &standing)),
            Err(reason) => Verdict::Deny(reason),
        };
        prop_assert_eq!(explanation.verdict, expected);
        for rule in explanation.rules.iter().filter(|rule| rule.verdict.is_some()) {
            let hits = rule.criteria.iter().all(|criterion| criterion.mark == Mark::Hit);
            prop_assert_eq!(hits, rule.verdict.is_some_and(Verdict::is_yes), "{:#?}", rule);
        }
        for rule in explanation.rules.iter().filter(|rule| matches!(rule.fate, Fate::Path | Fate::Method)) {
            prop_assert!(rule.criteria.iter().any(|criterion| criterion.mark == Mark::Miss), "{:#?}", rule);
        }
        prop_assert_eq!(explanation.rule.is_some(), explanation.deciding().is_some());
    }
}
