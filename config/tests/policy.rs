//! What the keys mean that say who somebody is, who may, and what is expected of both; and the twin that passes of mistakes that
//! do not.

#![allow(clippy::unwrap_used)]

mod base;

use std::fmt::Write as _;
use std::path::Path;

use base::{base, fails, loads};
use doorward_config::settings::{AccessLines, AuditLog, Expect, PolicyTest, Provider, Server};
use doorward_config::{Severity, WarningCode, cookie_size};
use doorward_policy::access::{Enforce, Needs, Requirement, Rule};
use doorward_policy::identity::{AttributeSource, AttributeType, ClaimSource, NoRoles, Proof, UserId};
use doorward_policy::session::COOKIE_LIMIT;
use serde_json::{Value, json};

fn codes(text: &str) -> Vec<WarningCode> {
    let loaded = loads(text);
    let code = |severity| match severity {
        Severity::Warning(code) => Some(code),
        Severity::Error => None,
    };
    loaded.warnings.problems().iter().filter_map(|problem| code(problem.severity)).collect()
}

fn of_provider(more: &str) -> String {
    base().replace("    audience:", &format!("    {more}\n    audience:"))
}

fn of_identity(more: &str) -> String {
    base().replace("session:", &format!("identity: {{ {more} }}\nsession:"))
}

fn with_rules(rules: &str) -> String {
    base().replace("rules: [{ allow: signed-in }]", &format!("rules: [{rules}]"))
}

fn with_tests(tests: &str) -> String {
    format!("{}tests:\n{tests}", base())
}

fn first_rule(rules: &str) -> Rule {
    let settings = loads(&with_rules(rules)).settings;
    let Rule { name, paths, methods, allow, step_up, enforce } = &settings.policy.routes()[0].rules[0];
    Rule {
        name: name.clone(),
        paths: paths.clone(),
        methods: methods.clone(),
        allow: allow.clone(),
        step_up: step_up.clone(),
        enforce: *enforce,
    }
}

fn needs(allow: &str) -> Needs {
    match first_rule(&format!("{{ path: \"/t/{{tenant}}/**\", allow: {{ {allow} }} }}")).allow {
        Requirement::Needs(needs) => *needs,
        other => panic!("{other:?}"),
    }
}

fn test(more: &str) -> PolicyTest {
    let text = with_tests(&format!("  - {{ name: a, request: \"GET https://app.acme.dev/x?y=1\", {more} }}\n"));
    loads(&text).settings.tests.remove(0)
}

#[test]
fn attributes_say_where_they_come_from_and_what_they_are() {
    let text = of_provider(
        "userinfo: true\n    attributes: { groups: { claim: 'https://acme\\.dev/groups', source: userinfo, type: string_array, label: Groups }, level: { claim: a.b, weak: true }, plant: { value: [hamburg, 1] } }",
    );
    let settings = loads(&text).settings;
    let [groups, level, plant] = settings.providers[0].attributes.attributes.as_slice() else { panic!("three attributes") };
    assert!(matches!(&groups.from, AttributeSource::Claim { source: Some(ClaimSource::Userinfo), .. }));
    assert_eq!((groups.kind, groups.weak, groups.label()), (AttributeType::StringArray, false, "Groups"));
    assert!(matches!(&level.from, AttributeSource::Claim { source: None, path } if path.as_str() == "a.b"));
    assert_eq!((level.kind, level.weak, level.label()), (AttributeType::Any, true, "level"));
    assert_eq!(plant.from, AttributeSource::Constant(json!(["hamburg", 1])));
    // Sessions keep them, whether a rule looks at them or not.
    let kept: Vec<&str> = settings.policy.kept_claims().iter().map(AsRef::as_ref).collect();
    assert!(["groups", "level", "plant"].iter().all(|name| kept.contains(name)), "{kept:?}");
    fails(&text.replace("userinfo: true", "userinfo: false"));
}

#[test]
fn every_type_of_an_attribute_is_known_by_its_name() {
    for kind in AttributeType::ALL {
        let text = of_provider(&format!("attributes: {{ a: {{ claim: b, type: {} }} }}", kind.name()));
        assert_eq!(loads(&text).settings.providers[0].attributes.attributes[0].kind, kind);
    }
}

#[test]
fn namespaces_and_amr_arrive() {
    let provider = |more: &str| loads(&of_provider(more)).settings.providers.remove(0);
    let namespaces = |provider: &Provider| provider.attributes.namespaces.iter().map(ToString::to_string).collect::<Vec<_>>();
    let own = provider("claims_namespaces: [\"https://acme.dev/app_metadata\", \"https://acme.dev/\"]");
    assert_eq!(namespaces(&own), ["https://acme.dev/app_metadata", "https://acme.dev/"]);
    let amr = |more: &str| provider(more).attributes.amr.clone().map(|rule| (rule.values.join(","), rule.always));
    assert_eq!(amr("amr: { values: [pwd, otp] }"), Some(("pwd,otp".into(), false)));
    assert_eq!(amr("amr: { values: [pwd], when: always }"), Some(("pwd".into(), true)));
    assert_eq!(amr("amr: { values: [pwd], when: absent }"), Some(("pwd".into(), false)));
    assert!(provider("hidden: false").attributes.is_empty());
}

#[test]
fn the_profile_is_read_where_it_is_said() {
    let mapping = loads(&of_identity("username: nickname, first_name: a, last_name: b, phone: c, locale: d, no_roles: deny")).settings;
    let mapping = mapping.policy.mapping();
    let paths = [&mapping.username, &mapping.first_name, &mapping.last_name, &mapping.phone, &mapping.locale].map(|path| path.as_str());
    assert_eq!(paths, ["nickname", "a", "b", "c", "d"]);
    assert_eq!(mapping.no_roles, NoRoles::Deny);
    let usual = loads(&of_identity("roles_apply: every_sign_in")).settings;
    let usual = usual.policy.mapping();
    assert_eq!((usual.username.as_str(), usual.phone.as_str(), usual.no_roles), ("preferred_username", "phone_number", NoRoles::Allow));
}

#[test]
fn one_account_for_everybody_is_a_warning() {
    let text = of_identity("user: { constant: kiosk }");
    assert_eq!(loads(&text).settings.policy.mapping().user, UserId::Constant("kiosk".into()));
    assert_eq!(codes(&text), [WarningCode::SharedAccount]);
    assert!(codes(&of_identity("user: email")).is_empty());
}

#[test]
fn an_expression_knows_the_names_that_every_path_has() {
    let when = needs("when: 'claims.org_id == path.tenant && \"editor\" in roles'").when.unwrap();
    assert_eq!((when.parameters(), when.claims()), (&["tenant".into()][..], &["org_id".into()][..]));
    let rules = |paths: &str| with_rules(&format!("{{ path: [{paths}], allow: {{ when: \"path.a == user\" }} }}"));
    loads(&rules("\"/x/{a}\", \"/y/{b}/{a}/**\""));
    fails(&rules("\"/x/{a}\", \"/y/{b}\""));
}

#[test]
fn a_loose_pattern_is_a_warning_and_an_anchored_one_is_not() {
    let rules = |pattern: &str| with_rules(&format!("{{ allow: {{ when: 'email.matches(\"{pattern}\")' }} }}"));
    assert_eq!(codes(&rules("@acme[.]dev$")), [WarningCode::LooseRegex]);
    assert!(codes(&rules("^[^@]+@acme[.]dev$")).is_empty());
}

#[test]
fn hours_are_one_window_or_several() {
    let shown = |allow: &str| needs(allow).times.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(shown("time: { days: mon-fri, from: \"08:00\", to: \"18:00\", zone: UTC }"), ["mon-fri 08:00-18:00 UTC"]);
    assert_eq!(shown("time: [{ days: [sat], zone: UTC }, { from: \"22:00\", zone: UTC }]"), ["sat 00:00-24:00 UTC", "22:00-24:00 UTC"]);
    assert!(needs("public: true, time: { days: [mon], zone: UTC }").anonymous);
}

#[test]
fn optional_and_shadow_rules_arrive() {
    assert!(matches!(first_rule("{ allow: optional }").allow, Requirement::Optional));
    let last = ", { allow: signed-in }";
    assert_eq!(first_rule(&format!("{{ allow: nobody, enforce: log }}{last}")).enforce, Enforce::Log);
    assert_eq!(first_rule("{ allow: signed-in, enforce: deny }").enforce, Enforce::Deny);
    assert_eq!(first_rule("{ allow: signed-in }").enforce, Enforce::Deny);
}

#[test]
fn a_shadow_rule_neither_opens_a_hole_nor_stands_before_another() {
    let protected = "{ path: /a, allow: signed-in }, { allow: signed-in }";
    assert!(codes(&with_rules(&format!("{{ allow: public, enforce: log }}, {protected}"))).is_empty());
    fails(&with_rules(&format!("{{ allow: public }}, {protected}")));
    // A protected shadow behind a public rule protects nothing, now or later: it is dead.
    let behind = |enforce: &str| {
        with_rules(&format!(
            "{{ path: \"/p/**\", allow: public }}, {{ path: /p/x, allow: signed-in, enforce: {enforce} }}, {{ allow: signed-in }}"
        ))
    };
    assert_eq!(codes(&behind("log")), [WarningCode::DeadRule]);
    fails(&behind("deny"));
}

#[test]
fn a_rule_is_dead_when_several_decide_before_it() {
    let rules = |methods: &str| {
        with_rules(&format!(
            "{{ path: \"/v1/**\", methods: [GET], allow: signed-in }}, {{ path: \"/v1/**\", methods: [POST], allow: signed-in }}, {{ path: /v1/x, methods: [{methods}], allow: signed-in }}, {{ allow: signed-in }}"
        ))
    };
    assert_eq!(codes(&rules("HEAD, POST")), [WarningCode::DeadRule]);
    assert!(codes(&rules("HEAD, PUT")).is_empty());
}

#[test]
fn where_everybody_may_do_everything_is_a_warning() {
    assert_eq!(codes(&with_rules("{ path: /a, allow: optional }, { allow: public }")), [WarningCode::NothingDenied]);
    assert!(codes(&with_rules("{ path: /a, allow: nobody }, { allow: public }")).is_empty());
}

#[test]
fn a_role_that_nobody_can_have_is_a_warning() {
    let rules = with_rules("{ path: /a, allow: { role: admin } }, { allow: signed-in }");
    assert_eq!(codes(&rules), [WarningCode::NobodysRole]);
    assert!(codes(&rules.replace("session:", "identity: { roles: [roles] }\nsession:")).is_empty());
    let given = "identity: { role_mapping: [{ when: { path: a, op: exists }, roles: [ROLE] }] }\nsession:";
    assert!(codes(&rules.replace("session:", &given.replace("ROLE", "admin"))).is_empty());
    assert_eq!(codes(&rules.replace("session:", &given.replace("ROLE", "staff"))), [WarningCode::NobodysRole]);
}

#[test]
fn the_audit_log_goes_where_it_is_said() {
    let server = |more: &str| -> Server { loads(&base().replace("  state_dir:", &format!("{more}  state_dir:"))).settings.server };
    assert_eq!(server("").audit_log, None);
    assert_eq!(server("  audit_log: stdout\n").audit_log, Some(AuditLog::Stdout));
    assert_eq!(server("  audit_log: { file: /var/log/a.jsonl }\n").audit_log, Some(AuditLog::File("/var/log/a.jsonl".into())));
    // Beside the configuration, like every file that it names.
    let beside = server("  audit_log: { file: audit.jsonl }\n").audit_log;
    assert_eq!(beside, Some(AuditLog::File(Path::new("tests").join("audit.jsonl"))));
}

#[test]
fn the_access_log_is_as_long_as_it_is_said() {
    let lines = |more: &str| loads(&base().replace("  state_dir:", &format!("{more}  state_dir:"))).settings.server.access_log;
    assert_eq!(lines(""), AccessLines::All);
    for (written, meant) in [("all", AccessLines::All), ("refused", AccessLines::Refused), ("off", AccessLines::Off)] {
        assert_eq!(lines(&format!("  access_log: {written}\n")), meant);
        assert_eq!(lines(&format!("  access_log: \"{written}\"\n")), meant);
    }
}

#[test]
fn a_test_is_read_as_it_is_written() {
    let strangers = test("expect: sign-in");
    assert_eq!(
        (strangers.method.as_str(), strangers.url.as_str(), strangers.expect),
        ("GET", "https://app.acme.dev/x?y=1", Expect::SignIn)
    );
    assert!(strangers.claims.is_none() && strangers.provider.is_none() && strangers.proof.is_none() && strangers.rule.is_none());
    assert_eq!((strangers.line, strangers.client, strangers.at), (20, None, None));
    let eddie = test(
        "claims: { sub: eddie, a: { b: [1, true, null, 1.5] } }, provider: auth0, proof: bearer, client: \"::ffff:203.0.113.7\", at: 2026-11-22T10:00:00+01:00, expect: deny, reason: role, rule: app/1, roles: []",
    );
    assert_eq!(Value::Object(eddie.claims.unwrap()), json!({"sub": "eddie", "a": {"b": [1, true, null, 1.5]}}));
    assert_eq!((eddie.provider.as_deref(), eddie.proof), (Some("auth0"), Some(Proof::Bearer)));
    assert_eq!((eddie.client, eddie.at), (Some("203.0.113.7".parse().unwrap()), Some(1_795_338_000)));
    assert_eq!((eddie.reason.as_deref(), eddie.rule.as_deref(), eddie.roles), (Some("role"), Some("app/1"), Some(Vec::new())));
    for (word, expect) in [("allow", Expect::Allow), ("deny", Expect::Deny), ("token", Expect::Token)] {
        assert_eq!(test(&format!("expect: {word}")).expect, expect);
    }
    assert_eq!(test("claims: {}, expect: step-up").expect, Expect::StepUp);
}

#[test]
fn a_test_may_be_about_what_no_route_answers() {
    let tests = |request: &str, reason: &str| {
        with_tests(&format!("  - {{ name: a, request: \"GET https://{request}\", expect: deny, reason: {reason} }}\n"))
    };
    for (request, reason) in [("shop.acme.dev/", "unknown_host"), ("app.acme.dev/a//b", "bad_request")] {
        loads(&tests(request, reason));
        fails(&tests(request, "role"));
    }
}

#[test]
fn headers_of_a_test_are_those_that_some_route_sets() {
    let text = |name: &str| {
        with_tests(&format!(
            "  - {{ name: a, request: \"GET https://app.acme.dev/\", claims: {{}}, expect: allow, headers: {{ {name}: \"\" }} }}\n"
        ))
        .replace("session:", "headers: { X-Auth-User: \"{user}\" }\nsession:")
    };
    assert_eq!(loads(&text("X-Auth-User")).settings.tests[0].headers, [("x-auth-user".parse().unwrap(), String::new())]);
    fails(&text("X-Auth-Usr"));
}

#[test]
fn ten_thousand_tests_load_and_no_more() {
    let tests = |count: usize| {
        (0..count).fold(String::new(), |mut text, n| {
            let _ = writeln!(text, "  - {{ name: t{n}, request: \"GET https://app.acme.dev/{n}\", expect: sign-in, rule: app/1 }}");
            text
        })
    };
    let settings = loads(&with_tests(&tests(10_000))).settings;
    assert_eq!((settings.tests.len(), settings.tests[9_999].line), (10_000, 20 + 9_999));
    assert_eq!(fails(&with_tests(&tests(10_001))).problems()[0].message, "more than 10000 tests");
}

/// The size that is warned of is the size that a sign-in would fail with.
#[test]
fn a_cookie_is_as_large_as_its_claims() {
    let with = |count: usize, store: &str| {
        let text = with_tests(&format!(
            "  - {{ name: a, request: \"GET https://app.acme.dev/\", expect: allow, claims: {{ sub: x, groups: [{}] }} }}\n",
            (0..count).map(|n| format!("g{n:08}")).collect::<Vec<_>>().join(", ")
        ));
        text.replace("session: {", &format!("identity: {{ roles: [groups] }}\nsession: {{ store: {store},"))
    };
    assert_eq!(codes(&with(400, "cookie")), [WarningCode::LargeCookie]);
    assert!(codes(&with(20, "cookie")).is_empty() && codes(&with(400, "memory")).is_empty());
    let settings = loads(&with(20, "cookie")).settings;
    let size = |claims: &Value| cookie_size(&settings, 0, claims.as_object().unwrap()).unwrap();
    let small = size(&json!({"sub": "x"}));
    assert!((150..600).contains(&small), "{small}");
    // Base64 of what is kept; what nothing looks at is not.
    assert!((size(&json!({"sub": "x".repeat(301)})) - small).abs_diff(400) < 5);
    assert_eq!(size(&json!({"sub": "x", "unused": "x".repeat(300)})), small);
    assert!(size(&json!({"sub": "x".repeat(4000)})) > COOKIE_LIMIT);
    assert!(cookie_size(&settings, 1, &serde_json::Map::new()).is_none());
}

#[test]
fn a_slip_is_told_and_what_follows_from_it_is_not() {
    let hooks = base::hooked("");
    loads(&hooks);
    let report = fails(&hooks.replace("hooks:", "hook:"));
    let messages: Vec<&str> = report.problems().iter().map(|problem| problem.message.as_str()).collect();
    assert_eq!(messages, ["unknown key `hook`"]);
}
