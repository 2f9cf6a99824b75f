use http::Method;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::access::{Parameters, PathPattern};
use crate::claim_path::ClaimPath;
use crate::identity::{Identity, IdentityMapping};
use crate::request::Target;
use crate::session::{Origin, Session};
use crate::time::Timestamp;

fn identity(claims: &Value) -> Identity {
    let claims = claims.as_object().unwrap();
    let kept: Vec<Box<str>> = claims.keys().map(|name| name.as_str().into()).collect();
    let mapping = IdentityMapping { roles: vec![ClaimPath::parse("roles").unwrap()], ..IdentityMapping::default() };
    let origin = Origin { id: "i", provider: "acme", client_id: "c" };
    Identity::from_session(Session::begin(origin, claims, &kept, Timestamp(0)), &mapping)
}

const PATTERN: &str = "/t/{tenant}/**";

/// What an expression comes to for these claims at this path.
fn evaluate(text: &str, claims: &Value, path: &str) -> Result<bool, String> {
    let pattern = PathPattern::parse(PATTERN).unwrap();
    let target = Target::parse(&Method::GET, b"app.example", path.as_bytes()).unwrap();
    let parameters = if pattern.matches(target.path()) { pattern.capture(target.path()) } else { Parameters::default() };
    let expression = Expression::compile(text, &["tenant"]).unwrap_or_else(|fault| panic!("{text}: {fault}"));
    expression.evaluate(&Facts { identity: &identity(claims), target: &target, parameters: &parameters })
}

fn ada() -> Value {
    json!({
        "sub": "ada", "email": "ada@acme.dev", "email_verified": true, "org_id": "acme", "roles": ["admin", "editor"], "level": 3,
        "big": u64::MAX, "ratio": 0.5, "nothing": null, "permissions": ["device:read"], "scope": "openid read:x",
        "https://acme.dev/groups": ["a", "b"], "nested": { "plan": { "name": "gold" } }, "flag": true, "minimum": i64::MIN,
    })
}

fn holds(text: &str) -> Result<bool, String> {
    evaluate(text, &ada(), "/t/acme/x")
}

#[test]
fn path_60_a_tenant_sees_its_own_and_no_other() {
    let own = "claims.org_id == path.tenant";
    for (path, expected) in [
        ("/t/acme/x", true),
        ("/t/%61cme", true),
        ("/t/other/x", false),
        ("/t/ACME", false),
        ("/t/acme%20/x", false),
        ("/t/acme.", false),
        ("/t/%C3%A4cme", false),
    ] {
        assert_eq!(evaluate(own, &ada(), path), Ok(expected), "{path}");
    }
    // Whoever belongs nowhere does not belong to a tenant of an odd name either.
    for claims in [json!({}), json!({ "org_id": null }), json!({ "org_id": ["acme"] }), json!({ "org_id": { "acme": true } })] {
        assert_ne!(evaluate(own, &claims, "/t/acme"), Ok(true), "{claims}");
    }
}

#[test]
fn dos_12_claims_without_end_are_a_no_whatever_is_asked_of_them() {
    for (claims, expected) in [
        (json!({ "sub": "ada", "list": vec![7; 4000] }), true),
        (json!({ "sub": "ada", "list": vec![7; 4100] }), false),
        (json!({ "sub": "ada", "text": "x".repeat(60_000) }), true),
        (json!({ "sub": "ada", "text": "x".repeat(70_000) }), false),
    ] {
        for asked in ["user == 'ada'", "!has(claims.blocked)", "!('x' in roles)"] {
            let found = evaluate(asked, &claims, "/t/acme");
            assert_eq!(found == Ok(true), expected, "{asked}: {found:?}");
        }
    }
}

#[test]
fn what_is_true_is_yes_and_its_twin_is_not() {
    for (yes, no) in [
        ("user == 'ada'", "user == 'bob'"),
        ("email.endsWith('@acme.dev')", "email.endsWith('@acme.de')"),
        ("'admin' in roles", "'adm' in roles"),
        ("'device:read' in permissions", "'device:write' in permissions"),
        ("'read:x' in scopes", "'read:' in scopes"),
        ("provider == 'acme'", "provider == 'other'"),
        ("claims.level >= 3", "claims.level > 3"),
        ("claims.level == 3.0", "claims.level == 3.1"),
        ("claims.big > 3", "claims.big < 3"),
        ("claims.ratio < 1", "claims.ratio > 1"),
        ("claims.flag", "!claims.flag"),
        ("claims['https://acme.dev/groups'].exists(g, g == 'b')", "claims['https://acme.dev/groups'].all(g, g == 'b')"),
        ("roles.exists_one(r, r == 'admin')", "roles.exists_one(r, r.contains('e') || r.contains('a'))"),
        ("roles.filter(r, r.startsWith('e')).size() == 1", "roles.filter(r, r.startsWith('x')).size() == 1"),
        ("claims.nested.plan.name == 'gold'", "claims.nested.plan.name == 'silver'"),
        ("claims[\"nested\"][\"plan\"].name == 'gold'", "claims['nested']['plan']['name'] == 'silver'"),
        ("has(claims.level)", "has(claims.nope)"),
        ("has(claims.nested.plan)", "has(claims.nested.nope)"),
        ("'level' in claims", "'nope' in claims"),
        ("has(claims.nope) || claims.level == 3", "has(claims.nope) && claims.nope == 3"),
        ("request.method == 'GET'", "request.method == 'POST'"),
        ("request.host == 'app.example'", "request.host == 'x.example'"),
        ("request.path.startsWith('/t/')", "request['path'].startsWith('/u/')"),
        ("path['tenant'] == 'acme' && has(path.tenant)", "path.tenant == ''"),
        ("claims.org_id.matches('^ac')", "claims.org_id.matches('^cm')"),
        ("matches(claims.org_id, r'^\\w+$')", "matches(claims.org_id, '^x')"),
        ("claims.level > 2 ? claims.flag : false", "claims.level < 2 ? true : false"),
        ("string(claims.level) == '3'", "int('4') == claims.level"),
        ("claims.nothing == null", "claims.level == null"),
        ("size(roles) == 2 && roles[0] == 'admin'", "roles.size() == 1"),
    ] {
        assert_eq!(holds(yes), Ok(true), "{yes}");
        assert_eq!(holds(no), Ok(false), "{no}");
    }
}

#[test]
fn whatever_goes_wrong_is_no() {
    for text in [
        "claims.nope == 'x'",
        "claims.nope != 'x'",
        "!(claims.nope == 'x')",
        "claims.nested.nope.deeper == 1",
        "claims.level",
        "claims.level == 3 ? 1 : 2",
        "claims.level + 1 > claims.org_id",
        "claims.org_id > 3",
        "claims.minimum - 1 < 0",
        "-claims.minimum > 0",
        "9223372036854775807 + claims.level > 0",
        "claims.level / 0 == 1",
        "claims.level % 0 == 1",
        "claims.minimum / -1 > 0",
        "roles[7] == 'x'",
        "roles[-1] == 'x'",
        "roles['x'] == 'x'",
        "claims.org_id[0] == 'a'",
        "int(claims.org_id) == 1",
        "uint(-1) == 1u",
        "int(1e300) == 1",
        "bool(claims.org_id)",
        "'x' in claims.level",
        "claims.level.contains('3')",
        "claims.level.matches('3')",
        "claims.level.exists(x, x == 3)",
        "size(claims.level) == 1",
        "claims.flag && claims.nope",
    ] {
        assert!(holds(text).is_err(), "{text} is {:?}", holds(text));
    }
    // An error on one side is no error where the other side says enough (the language's own `||` and `&&`).
    assert_eq!(holds("claims.nope == 'x' || claims.flag"), Ok(true));
    assert_eq!(holds("claims.nope == 'x' && !claims.flag"), Ok(false));
}

#[test]
fn an_address_that_nobody_verified_is_no_address() {
    let own = "email == 'ada@acme.dev'";
    assert_eq!(evaluate(own, &json!({ "email": "ada@acme.dev", "email_verified": true }), "/"), Ok(true));
    for claims in [json!({ "email": "ada@acme.dev" }), json!({ "email": "ada@acme.dev", "email_verified": "true" })] {
        assert!(evaluate(own, &claims, "/").is_err(), "{claims}");
    }
    assert!(evaluate("user != 'bob'", &json!({ "email": "x" }), "/").is_err(), "nobody is not somebody else");
}

#[test]
fn a_typing_mistake_does_not_compile() {
    use ExpressionFault as Fault;
    let compile = |text: &str| Expression::compile(text, &["tenant"]).map(|_| ());
    for (text, fault) in [
        ("clams.org_id == 'x'", Fault::Variable("clams".into())),
        ("path.tenent == 'x'", Fault::Parameter("tenent".into())),
        ("path['tenent'] == 'x'", Fault::Parameter("tenent".into())),
        ("has(path.nope)", Fault::Parameter("nope".into())),
        ("request.query == 'x'", Fault::Request("query".into())),
        ("claims == {}", Fault::Whole("claims")),
        ("claims[user] == 'x'", Fault::Whole("claims")),
        ("user in claims", Fault::Whole("claims")),
        ("claims.exists(c, c == 'x')", Fault::Whole("claims")),
        ("path.exists(c, c == 'x')", Fault::Whole("path")),
        ("size(request) == 3", Fault::Whole("request")),
        ("roles.contain('x')", Fault::Function("contain".into())),
        ("upper(user) == 'ADA'", Fault::Function("upper".into())),
        ("duration('1h') > duration('1s')", Fault::Function("duration".into())),
        ("optional.of(user).hasValue()", Fault::Function("hasValue".into())),
        ("bytes(user) == b'x'", Fault::Function("bytes".into())),
        ("type(user) == string", Fault::Function("type".into())),
        ("roles.map(r, r + r) == []", Fault::Function("map".into())),
        ("roles.map(r, r != '', [r, r]) == []", Fault::Function("map".into())),
        ("roles.exists(r, scopes.exists(s, s == r))", Fault::NestedComprehension),
        ("roles.exists(user, user == 'x')", Fault::Variable("user".into())),
        ("roles.exists(claims, claims == 'x')", Fault::Variable("claims".into())),
        ("user.matches(claims.pattern)", Fault::Pattern),
        ("user.matches('a' + 'b')", Fault::Pattern),
        ("user.matches('(')", Fault::Regex("(".into())),
        ("user.matches('(a{1000}){1000}')", Fault::Regex("(a{1000}){1000}".into())),
        ("user", Fault::NotBoolean),
        ("1 + 1", Fault::NotBoolean),
        ("'true'", Fault::NotBoolean),
        ("[true]", Fault::NotBoolean),
        ("size(roles)", Fault::NotBoolean),
    ] {
        assert_eq!(compile(text), Err(fault), "{text}");
    }
    for text in
        ["", " ", "user ==", "user = 'x'", "user == 'x' user", "(user == 'x'", "'", "user == \"", "a.?b", "Message{x: 1}", ".claims.x"]
    {
        assert!(compile(text).is_err(), "{text}");
    }
    let at = |text: &str| match Expression::compile(text, &[]) {
        Err(Fault::Syntax { at, .. }) => at,
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!((at("user = 'x'"), at("user ==\n  'x' 'y'")), (Some(5), Some(14)));
    let long = |n: usize| format!("user == '{}'", "x".repeat(n - 10));
    assert_eq!((compile(&long(TEXT_LIMIT)), compile(&long(TEXT_LIMIT + 1))), (Ok(()), Err(Fault::TooLong)));
}

#[test]
fn it_says_which_claims_and_parameters_it_looks_at() {
    let text = "has(claims.b) && claims.a.deep == claims['c d'] && 'e' in claims && path.tenant == claims.a && claims.list.exists(x, x.claims == 1)";
    let expression = Expression::compile(text, &["tenant", "other"]).unwrap();
    assert_eq!(expression.claims().iter().map(AsRef::as_ref).collect::<Vec<&str>>(), ["a", "b", "c d", "e", "list"]);
    assert_eq!(expression.parameters().iter().map(AsRef::as_ref).collect::<Vec<&str>>(), ["tenant"]);
    assert_eq!((expression.to_string(), expression.text()), (text.to_owned(), text));
}

/// As deep as the limit on texts lets them be, and deeper: neither compiling nor running ends the process, here in a debug build, on half
/// of the stack that a thread has.
#[test]
fn nesting_ends_at_a_limit_and_not_at_the_stack() {
    let repeat = |text: &str, times: usize| text.repeat(times);
    let texts = move |n: usize| {
        vec![
            format!("{}true{}", repeat("(", n), repeat(")", n)),
            format!("{}true", repeat("!", n)),
            format!("{}1 == 1", repeat("-", n)),
            format!("{}true", repeat("true ? ", n) + "true" + &repeat(" : true", n) + " || "),
            format!("true{}", repeat(" ? true : true", n)),
            format!("true{}", repeat(" && true", n)),
            format!("true{}", repeat(" || true", n)),
            format!("1{} == 1", repeat(" + 1", n)),
            format!("claims{} == 1", repeat(".a", n)),
            format!("claims.a{} == 1", repeat("[0]", n)),
            format!("{}1{} == 1", repeat("[", n), repeat("]", n)),
            format!("{}1{} == 1", repeat("{1:", n), repeat("}", n)),
            format!("user{} == 'x'", repeat(".size()", n)),
            format!("roles{} == []", repeat(".filter(r, true)", n)),
            format!("{}true{}", repeat("roles.all(r, ", n), repeat(")", n)),
            repeat("(", n),
            repeat("[", n),
            repeat("a ? ", n),
            repeat("'", n),
        ]
    };
    let work = move || {
        for n in [1, 10, 30, 31, 32, 33, 60, 100, 130, 200, 250, 400, 600, 1000, 2040, 10_000] {
            for text in texts(n) {
                let outcome = Expression::compile(&text, &["tenant"]);
                // Brackets and signs vanish while they are read, and `&&` and `||` are balanced; everything else stays as deep as it is.
                let flat = text.starts_with(['(', '!', '-']) || text.contains(" && ") || text.contains(" || true");
                assert!(n < 30 || flat || outcome.is_err(), "{n}: {text}");
                assert!(n < 10_000 || outcome.is_err(), "{n}: {text}");
                let Ok(expression) = outcome else { continue };
                let identity = identity(&json!({ "sub": "ada", "roles": ["admin"] }));
                let target = Target::parse(&Method::GET, b"app.example", b"/").unwrap();
                let _ = expression.evaluate(&Facts { identity: &identity, target: &target, parameters: &Parameters::default() });
            }
        }
    };
    std::thread::Builder::new().stack_size(1024 * 1024).spawn(work).unwrap().join().unwrap();
}

#[test]
fn a_hostile_claim_costs_a_pattern_linear_time() {
    let claims = json!({ "x": "a".repeat(20_000) + "!" });
    assert_eq!(evaluate("claims.x.matches('^(a+)+$')", &claims, "/"), Ok(false));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        "[a-z0-9 ]{0,6}".prop_map(Value::from),
        Just(json!(i64::MIN)),
        Just(json!("acme")),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[a-c]", inner, 0..4).prop_map(|members| json!(members)),
        ]
    })
}

fn any_expression() -> impl Strategy<Value = String> {
    let atoms = prop::sample::select(vec![
        "claims.a",
        "claims.b",
        "claims['c']",
        "user",
        "email",
        "roles",
        "scopes",
        "path.tenant",
        "request.path",
        "true",
        "false",
        "null",
        "0",
        "1",
        "-1",
        "9223372036854775807",
        "0u",
        "18446744073709551615u",
        "1.5",
        "1e308",
        "'a'",
        "'acme'",
        "[]",
        "[1, 'a']",
        "{}",
        "{'a': 1}",
        "has(claims.a)",
    ]);
    atoms.prop_map(str::to_owned).prop_recursive(4, 24, 3, |inner| {
        let operators = prop::sample::select(vec!["+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "&&", "||", "in"]);
        let calls = prop::sample::select(vec!["size", "string", "int", "uint", "double", "bool", "!", "-"]);
        let methods = prop::sample::select(vec!["contains", "startsWith", "endsWith", "matches"]);
        let loops = prop::sample::select(vec!["all", "exists", "exists_one", "filter"]);
        prop_oneof![
            (inner.clone(), operators, inner.clone()).prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            (calls, inner.clone()).prop_map(|(call, a)| format!("{call}({a})")),
            (inner.clone(), methods, inner.clone()).prop_map(|(a, method, b)| format!("({a}).{method}({b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a})[{b}]")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
            (inner.clone(), loops, inner).prop_map(|(a, name, b)| format!("({a}).{name}(x, {b} == x)")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_claim_and_no_expression_makes_the_engine_give_up(text in any_expression(), a in any_json(), b in any_json(), c in any_json()) {
        if let Ok(expression) = Expression::compile(&text, &["tenant"]) {
            let identity = identity(&json!({ "sub": "ada", "a": a, "b": b, "c": c }));
            let target = Target::parse(&Method::GET, b"app.example", b"/t/acme").unwrap();
            let parameters = PathPattern::parse(PATTERN).unwrap().capture(target.path());
            let facts = Facts { identity: &identity, target: &target, parameters: &parameters };
            let outcome = expression.evaluate(&facts);
            prop_assert_ne!(&outcome, &Err("the engine gave up".to_owned()), "{}", text);
            // The same again: nothing is kept from one run to the next.
            prop_assert_eq!(expression.is_true(&facts), outcome == Ok(true));
        }
    }

    #[test]
    fn no_text_makes_the_parser_give_up(text in "[ -~\\n\u{e9}\u{1f36a}]{0,60}") {
        let outcome = Expression::compile(&text, &["tenant"]).map(|_| ());
        prop_assert_ne!(&outcome, &Err(ExpressionFault::syntax("the parser gave up")));
        if let Err(ExpressionFault::Syntax { at: Some(at), .. }) = outcome {
            prop_assert!(text.is_char_boundary(at));
        }
    }
}
