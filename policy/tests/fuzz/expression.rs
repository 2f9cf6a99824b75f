//! A rule's `when`: whatever is written compiles or is refused, and whatever compiles comes to an end.

use doorward_policy::access::PathPattern;
use doorward_policy::expression::{DEPTH_LIMIT, Expression, Facts, TEXT_LIMIT};
use doorward_policy::request::Target;
use http::Method;
use proptest::prelude::*;

use crate::header_template::identity;
use crate::values::claims;

/// Text by the grammar of the language, more or less.
fn written() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "true",
        "false",
        "null",
        "0",
        "1",
        "-1",
        "1u",
        "9223372036854775807",
        "1.5",
        "1e308",
        "''",
        "'a'",
        "\"admin\"",
        "b'x'",
        "[]",
        "{}",
        "claims",
        "claims.a",
        "claims.groups",
        "claims['x.y']",
        "claims.a.b.c",
        "user",
        "email",
        "roles",
        "permissions",
        "scopes",
        "provider",
        "path.tenant",
        "path.other",
        "request.path",
        "request.method",
        "request.host",
        "request",
        "now",
        "x",
        "size",
        "r'\\d+'",
        "'^(a+)+$'",
        "duration('1h')",
        "timestamp('2026-11-22T09:00:00Z')",
    ])
    .prop_map(str::to_owned);
    let tree = leaf.prop_recursive(5, 40, 3, |inner| {
        let operator = prop::sample::select(vec!["&&", "||", "==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "%", "in", "?", "."]);
        let macros = prop::sample::select(vec!["all", "exists", "exists_one", "map", "filter"]);
        let call = prop::sample::select(vec![
            "size",
            "matches",
            "startsWith",
            "contains",
            "endsWith",
            "string",
            "int",
            "double",
            "type",
            "has",
            "max",
            "min",
            "dyn",
            "bytes",
            "optional.of",
            "nobody",
        ]);
        prop_oneof![
            (inner.clone(), operator, inner.clone()).prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            inner.clone().prop_map(|a| format!("!{a}")),
            inner.clone().prop_map(|a| format!("-({a})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}[{b}]")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
            (call.clone(), inner.clone()).prop_map(|(name, a)| format!("{name}({a})")),
            (inner.clone(), call, inner.clone()).prop_map(|(a, name, b)| format!("{a}.{name}({b})")),
            (inner.clone(), macros, inner.clone()).prop_map(|(a, name, b)| format!("{a}.{name}(x, {b})")),
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(", "))),
            (inner.clone(), inner).prop_map(|(a, b)| format!("{{{a}: {b}}}")),
        ]
    });
    prop_oneof![8 => tree, 1 => any::<String>(), 1 => "[()\\[\\]{}.,'\"a&|!?:+ -]{0,60}"]
}

fn ends(text: &str, claims: &serde_json::Map<String, serde_json::Value>) {
    let Ok(expression) = Expression::compile(text, &["tenant"]) else { return };
    assert_eq!(expression.text(), text);
    let target = Target::parse(&Method::GET, b"app.acme.dev", b"/t/acme/x").unwrap();
    let parameters = PathPattern::parse("/t/{tenant}/**").unwrap().capture(target.path());
    let identity = identity(claims);
    let facts = Facts { identity: &identity, target: &target, parameters: &parameters };
    let first = expression.evaluate(&facts);
    assert_eq!(expression.is_true(&facts), first == Ok(true), "{text}");
    assert_eq!(expression.evaluate(&facts), first, "{text}");
}

proptest! {
    #[test]
    fn fuzz_whatever_is_written_ends_in_yes_or_no(text in written(), claims in claims()) {
        ends(&text, &claims);
    }

    #[test]
    fn fuzz_deep_and_long_expressions_are_refused(depth in 1usize..2000, open in prop::sample::select(vec!["(", "[", "!", "-", "a.b(", "{1:", "true ? ", "claims["]), close in any::<bool>()) {
        let closing = match open { "(" => ")", "[" => "]", "a.b(" => ")", "{1:" => "}", "claims[" => "]", _ => "" };
        let text = format!("{}true{}", open.repeat(depth), if close { closing.repeat(depth) } else { String::new() });
        let compiled = Expression::compile(&text, &[]);
        // A run of one sign is one operator, and brackets leave no trace: a thousand of them are within the text's limit, and end.
        let nested = !matches!(open, "!" | "-" | "(");
        prop_assert!(compiled.is_err() || !nested || (text.len() <= TEXT_LIMIT && depth <= 2 * DEPTH_LIMIT), "{}", text);
    }
}

#[test]
fn fuzz_large_claims_are_walked_in_time() {
    let many: Vec<i64> = (0..20_000).collect();
    let claims = serde_json::json!({ "a": many, "groups": ["x"] });
    for text in [
        "claims.a.all(x, x >= 0)",
        "claims.a.exists(x, x == 19999)",
        "size(claims.a.filter(x, x % 2 == 0)) == 10000",
        "'x' in claims.groups",
    ] {
        ends(text, claims.as_object().unwrap());
    }
}
