//! Rules that are not enforced: they say what they would, and change nothing.

use proptest::prelude::*;

use super::*;
use crate::expression::Expression;

fn shadow(name: &str, paths: &[&str], allow: Requirement) -> Rule {
    Rule { enforce: Enforce::Log, ..rule(name, paths, &[], allow) }
}

fn role(name: &str) -> Requirement {
    Requirement::from(Needs { any_role: vec![name.into()], ..Needs::default() })
}

/// What the shadows at `path` say to `standing`.
fn said(policy: &Policy, path: &str, standing: &Standing<'_>) -> Vec<(String, String)> {
    let target = target(Method::GET, "app.example", path);
    let context = RequestContext { target: &target, client: "192.0.2.1".parse().unwrap(), now: Timestamp(1000) };
    let found = policy.rule_for(&target).unwrap();
    let say = |shadow: Match<'_>| (shadow.rule.name.to_string(), outcome(&shadow.decide(&context, standing)));
    found.shadows(&target).map(say).collect()
}

/// Everything of a decision that anybody could notice.
fn outcome(decision: &Decision) -> String {
    match decision {
        Decision::Allow(permit) => {
            let fields: Vec<_> = permit.edits().iter().map(|(name, value)| format!("{name}={value:?}")).collect();
            format!("allow {} {} {:?} {fields:?}", permit.route(), permit.authenticated(), permit.passes())
        }
        Decision::Challenge(challenge) => format!("{challenge:?}"),
        Decision::Deny(reason) => reason.label().to_owned(),
    }
}

#[test]
fn a_shadow_is_passed_over_whatever_it_says() {
    let ada = identity(json!({ "sub": "ada", "roles": ["viewer"] }));
    let policy = policy(vec![route(
        "app",
        "app.example",
        "/",
        vec![
            shadow("app/1", &["/a/**"], role("admin")),
            shadow("app/2", &["/b/**"], role("admin")),
            rule("app/3", &["/a/**"], &[], Requirement::SignedIn),
            shadow("app/4", &["/a/**"], role("admin")),
            rule("app/5", &[], &[], Requirement::Nobody),
        ],
    )]);
    assert_eq!(found(&policy, Method::GET, "app.example", "/a/x").as_deref(), Ok("app/3"));
    // Those behind the one that decides are never asked.
    assert_eq!(said(&policy, "/a/x", &Standing::Known(&ada)), [("app/1".to_owned(), "role".to_owned())]);
    assert_eq!(said(&policy, "/b/x", &Standing::Known(&ada)), [("app/2".to_owned(), "role".to_owned())]);
    assert_eq!(found(&policy, Method::GET, "app.example", "/b/x").as_deref(), Ok("app/5"));
    assert_eq!(said(&policy, "/c", &Standing::Known(&ada)), []);
}

#[test]
fn a_route_of_shadows_alone_lets_nobody_in() {
    let policy = policy(vec![route("app", "app.example", "/", vec![shadow("app/1", &[], Requirement::Public)])]);
    assert_eq!(found(&policy, Method::GET, "app.example", "/"), Err(DenyReason::NoRule));
}

#[test]
fn a_shadow_with_a_name_that_two_servers_read_differently_says_so_and_the_rule_decides() {
    let when = Expression::compile("path.tenant == 'acme'", &["tenant"]).unwrap();
    let tenant = Requirement::from(Needs { when: Some(when), ..Needs::default() });
    let policy = policy(vec![route(
        "app",
        "app.example",
        "/",
        vec![shadow("app/1", &["/t/{tenant}/**"], tenant), rule("app/2", &[], &[], Requirement::SignedIn)],
    )]);
    let ada = identity(json!({ "sub": "ada" }));
    assert_eq!(found(&policy, Method::GET, "app.example", "/t/acme;x/y").as_deref(), Ok("app/2"));
    assert_eq!(said(&policy, "/t/acme;x/y", &Standing::Known(&ada)), [("app/1".to_owned(), "ambiguous_path".to_owned())]);
    assert!(said(&policy, "/t/acme/y", &Standing::Known(&ada))[0].1.starts_with("allow"));
}

fn any_requirement() -> impl Strategy<Value = Requirement> {
    let needs = |change: fn(&mut Needs)| {
        let mut needs = Needs::default();
        change(&mut needs);
        Requirement::from(needs)
    };
    prop::sample::select(vec![
        Requirement::Public,
        Requirement::Optional,
        Requirement::SignedIn,
        Requirement::Nobody,
        role("admin"),
        role("viewer"),
        needs(|needs| needs.networks = vec!["198.51.100.0/24".parse().unwrap()]),
        needs(|needs| needs.when = Some(Expression::compile("claims.org_id == 'acme'", &[]).unwrap())),
        needs(|needs| needs.times = vec![TimeWindow::parse(&[], Some("13:00"), None, "UTC").unwrap()]),
    ])
}

fn any_rules() -> impl Strategy<Value = Vec<Rule>> {
    let paths = prop::collection::vec(prop::sample::select(vec!["/a", "/a/**", "/*/b", "/{n}/b", "/**"]), 0..3);
    let methods = prop::collection::vec(prop::sample::select(vec![Method::GET, Method::POST, Method::HEAD]), 0..2);
    let one = (paths, methods, any_requirement(), any::<bool>(), any::<bool>()).prop_map(|(paths, methods, allow, log, recent)| Rule {
        enforce: if log { Enforce::Log } else { Enforce::Deny },
        step_up: recent.then(|| StepUp { max_age: Some(std::time::Duration::from_secs(60)), ..StepUp::default() }),
        ..rule("", &paths, &methods, allow)
    });
    prop::collection::vec(one, 0..8).prop_map(|mut rules| {
        rules.iter_mut().enumerate().for_each(|(at, rule)| rule.name = format!("app/{at}").into());
        rules
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn a_policy_without_its_shadows_decides_the_same(
        rules in any_rules(),
        path in prop::sample::select(vec!["/", "/a", "/a/b", "/a;x/b", "/x/b", "/;/b", "/a/"]),
        method in prop::sample::select(vec![Method::GET, Method::POST, Method::HEAD, Method::PUT]),
        standing in 0..4usize,
    ) {
        let people = [identity(json!({ "sub": "ada", "roles": ["admin"], "org_id": "acme" })), identity(json!({ "sub": "vera", "roles": ["viewer"] }))];
        let standing = match standing {
            0 => Standing::Anonymous,
            1 => Standing::Refused(CredentialFault::CannotVerify),
            known => Standing::Known(&people[known - 2]),
        };
        let target = target(method, "app.example", path);
        let context = RequestContext { target: &target, client: "192.0.2.1".parse().unwrap(), now: Timestamp(1000) };
        let filter = Filter::parse(Some("allowed_groups=admin")).unwrap();
        let decide = |rules: Vec<Rule>| {
            let policy = policy(vec![route("app", "app.example", "/", rules)]);
            policy.rule_for(&target).map(|found| {
                let all = [found.decide(&context, &standing), found.decide_preflight(&context), found.narrow(found.decide(&context, &standing), &filter, &standing)];
                (found.rule.name.clone(), found.rule.is_public(), all.map(|decision| outcome(&decision)))
            })
        };
        let enforced: Vec<Rule> = rules.iter().filter(|rule| rule.enforce == Enforce::Deny).cloned().collect();
        prop_assert_eq!(decide(rules), decide(enforced));
    }
}
