use serde_json::json;

use super::*;

fn holds(op: &str, value: Value, claim: Option<&Value>) -> bool {
    holds_at("c", op, value, claim)
}

fn holds_at(path: &str, op: &str, value: Value, claim: Option<&Value>) -> bool {
    let operator = Operator::parse(op, (op != "exists").then_some(&value)).unwrap();
    let claims: Map<String, Value> = claim.map(|claim| ("c".to_owned(), claim.clone())).into_iter().collect();
    operator.holds(&ClaimPath::parse(path).unwrap(), &claims)
}

/// A claim of every JSON type, and none.
fn claims() -> [(&'static str, Option<Value>); 16] {
    [
        ("missing", None),
        ("null", Some(json!(null))),
        ("true", Some(json!(true))),
        ("false", Some(json!(false))),
        ("5", Some(json!(5))),
        ("5.0", Some(json!(5.0))),
        ("6", Some(json!(6))),
        ("a", Some(json!("a"))),
        ("a b", Some(json!("a b"))),
        ("'5'", Some(json!("5"))),
        ("empty", Some(json!(""))),
        ("[]", Some(json!([]))),
        ("[a]", Some(json!(["a"]))),
        ("[a,b]", Some(json!(["a", "b"]))),
        ("[[a]]", Some(json!([["a"]]))),
        ("{}", Some(json!({ "a": "a" }))),
    ]
}

#[test]
fn jwt_2a_every_operator_on_every_json_type() {
    // What is compared with, and the claims it holds for; it holds for no other.
    for (op, value, held) in [
        ("exists", json!(null), &["true", "false", "5", "5.0", "6", "a", "a b", "'5'", "empty", "[]", "[a]", "[a,b]", "[[a]]", "{}"][..]),
        ("eq", json!("a"), &["a", "[a]"]),
        ("eq", json!(5), &["5", "5.0"]),
        ("eq", json!(true), &["true"]),
        ("eq", json!("*"), &["a", "a b", "'5'", "empty", "[a]"]),
        ("neq", json!("a"), &["true", "false", "5", "5.0", "6", "a b", "'5'", "empty", "[]", "[a,b]", "[[a]]", "{}"]),
        ("neq", json!(5), &["true", "false", "6", "a", "a b", "'5'", "empty", "[]", "[a]", "[a,b]", "[[a]]", "{}"]),
        (
            "neq_or_missing",
            json!("a"),
            &["missing", "null", "true", "false", "5", "5.0", "6", "a b", "'5'", "empty", "[]", "[a,b]", "[[a]]", "{}"],
        ),
        ("in", json!("a"), &["a", "a b", "[a]", "[a,b]"]),
        ("in", json!(["b", 5]), &["a b", "[a,b]"]),
        ("not_in", json!("a"), &["true", "false", "5", "5.0", "6", "'5'", "empty", "[]"]),
        ("not_in", json!(["b", 5, true]), &["false", "6", "a", "'5'", "empty", "[]", "[a]"]),
        ("not_in", json!("a b"), &["true", "false", "5", "5.0", "6", "a", "'5'", "empty", "[]", "[a]", "[a,b]"]),
        ("lt", json!(6), &["5", "5.0"]),
        ("lte", json!(5), &["5", "5.0"]),
        ("gt", json!(5), &["6"]),
        ("gte", json!(5.5), &["6"]),
        ("regex", json!("a|b"), &["a"]),
        ("regex", json!(".*"), &["a", "a b", "'5'", "empty"]),
    ] {
        for (name, claim) in claims() {
            assert_eq!(holds(op, value.clone(), claim.as_ref()), held.contains(&name), "{op} {value} on {name}");
        }
        assert!(held.iter().all(|held| claims().iter().any(|(name, _)| name == held)), "{op} {value}: no such claim");
    }
}

#[test]
fn jwt_2a_stars_stand_for_any_characters_and_a_backslash_makes_them_plain() {
    for (pattern, text, expected) in [
        ("*@acme.dev", "x@acme.dev", true),
        ("*@acme.dev", "@acme.dev", true),
        ("*@acme.dev", "x@acme.dev.evil", false),
        ("acme*", "acme", true),
        ("a*a", "a", false),
        ("a*b*c", "a-b-b-c", true),
        ("a*b*c", "acb", false),
        ("**", "", true),
        (r"\*", "*", true),
        (r"\*", "x", false),
        (r"a\**", "a*b", true),
        (r"a\**", "ab", false),
        (r"\\*", r"\*", true),
        (r"\a", r"\a", true),
        ("A", "a", false),
    ] {
        assert_eq!(holds("eq", json!(pattern), Some(&json!(text))), expected, "{pattern} on {text}");
        assert_eq!(holds("neq", json!(pattern), Some(&json!(text))), !expected, "not {pattern} on {text}");
    }
}

#[test]
fn jwt_2a_names_between_spaces_are_whole_names() {
    for (value, claim, expected) in [
        (json!("admin"), json!("superadmin"), false),
        (json!("read:x"), json!("read:x read:xyz"), true),
        (json!("read:xy"), json!("read:x read:xyz"), false),
        (json!(""), json!(""), false),
        (json!(""), json!("a  b"), false),
    ] {
        assert_eq!(holds("in", value.clone(), Some(&claim)), expected, "{value} in {claim}");
    }
}

#[test]
fn jwt_2a_times_are_ordered_by_when_they_are() {
    let noon = json!("2026-11-22T12:00:00Z");
    for (claim, ordered) in [
        ("2026-11-22T11:59:59Z", &["lt", "lte"][..]),
        ("2026-11-22T12:00:00Z", &["lte", "gte"]),
        // The same moment elsewhere.
        ("2026-11-22T13:00:00+01:00", &["lte", "gte"]),
        ("2026-11-22t12:00:00z", &["lte", "gte"]),
        ("2026-11-22T12:00:00.001Z", &["gt", "gte"]),
        ("2026-11-22T11:30:00-01:00", &["gt", "gte"]),
        ("2027-01-01T00:00:00Z", &["gt", "gte"]),
        // No times of RFC 3339, though some parsers would read them.
        ("2026-11-22", &[]),
        ("2026-11-22T12:00Z", &[]),
        ("2026-11-22T12:00:00", &[]),
        ("2026-11-22 12:00:00Z", &[]),
        ("2026-11-22T12:00:00.Z", &[]),
        ("2026-11-22T12:00:00Z[UTC]", &[]),
        ("2026-11-22T12:00:00+0100", &[]),
        ("20261122T120000Z", &[]),
        ("2026-02-30T12:00:00Z", &[]),
        ("1795348800", &[]),
        ("", &[]),
        ("ü026-11-22T12:00:00Z", &[]),
    ] {
        for op in ["lt", "lte", "gt", "gte"] {
            assert_eq!(holds(op, noon.clone(), Some(&json!(claim))), ordered.contains(&op), "{claim} {op} noon");
        }
    }
    // A number is no time, and a time no number.
    assert!(!holds("gt", noon, Some(&json!(9_999_999_999u64))));
    assert!(!holds("gt", json!(5), Some(&json!("2026-11-22T12:00:00Z"))));
}

#[test]
fn jwt_2a_of_several_values_one_is_enough_to_hold_and_one_too_many_to_be_different() {
    let list = json!([{ "n": 1 }, { "n": 2 }, {}]);
    for (op, value, expected) in [
        ("eq", json!(2), true),
        ("eq", json!(3), false),
        ("neq", json!(2), false),
        ("neq", json!(3), true),
        ("not_in", json!([2, 9]), false),
        ("not_in", json!([8, 9]), true),
        ("gt", json!(1), true),
        ("gt", json!(2), false),
        ("exists", json!(null), true),
    ] {
        assert_eq!(holds_at("c[*].n", op, value.clone(), Some(&list)), expected, "{op} {value}");
    }
    assert!(!holds_at("c[*].x", "neq", json!(1), Some(&list)) && holds_at("c[*].x", "neq_or_missing", json!(1), Some(&list)));
}

#[test]
fn jwt_2b_a_hostile_text_costs_linear_time() {
    let text = json!("a".repeat(50 * 1024) + "!");
    assert!(!holds("regex", json!("(a+)+"), Some(&text)));
    assert!(!holds("eq", json!("*a*a*a*a*b"), Some(&text)));
}

#[test]
fn jwt_2b_a_regular_expression_is_anchored_whatever_it_says() {
    assert!(!holds("regex", json!("a+"), Some(&json!("aaab"))) && holds("regex", json!("a+"), Some(&json!("aaa"))));
    assert!(!holds("regex", json!("a|b"), Some(&json!("bx"))));
    assert!(!holds("regex", json!("(?m)a"), Some(&json!("x\na"))));
    for bad in ["a)|(?:b", "(", "a{100000}{100000}", "(?x)a # b"] {
        assert!(matches!(Operator::parse("regex", Some(&json!(bad))), Err(ConditionFault::Regex(_))), "{bad}");
    }
}

#[test]
fn a_regular_expression_that_only_looks_small_is_known() {
    for small in ["a+", "^[a-z]+@acme\\.dev$", "(admin|editor)", "("] {
        assert!(!is_large_regex(small), "{small}");
    }
    assert!(is_large_regex(r"\w{1,200}"));
}

#[test]
fn adv_o2p_15_empty_lists_and_odd_values_do_not_compile() {
    for op in ["in", "not_in"] {
        assert_eq!(Operator::parse(op, Some(&json!([]))).err(), Some(ConditionFault::EmptyList));
        assert!(Operator::parse(op, Some(&json!(["a"]))).is_ok());
    }
    assert!(Operator::parse("eq", Some(&json!({}))).is_err());
    assert!(Operator::parse("like", Some(&json!("5"))).is_err());
    for op in ["lt", "lte", "gt", "gte"] {
        for odd in [json!("5"), json!("yesterday"), json!(true), json!([5])] {
            assert_eq!(Operator::parse(op, Some(&odd)).err(), Some(ConditionFault::NotANumber(op.into())), "{op} {odd}");
        }
        assert!(Operator::parse(op, Some(&json!(5))).is_ok() && Operator::parse(op, Some(&json!("2026-11-22T12:00:00Z"))).is_ok());
    }
    for op in OPERATORS {
        assert_eq!(Operator::parse(op, None).is_ok(), *op == "exists", "{op}");
        let value = [json!("2026-11-22T12:00:00Z")];
        assert_eq!(Operator::parse(op, value.first()).unwrap().name(), *op);
    }
}
