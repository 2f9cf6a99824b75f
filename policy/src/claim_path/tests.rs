use serde_json::json;

use super::*;

fn all(path: &str, claims: &Value) -> Vec<Value> {
    let mut found = Vec::new();
    ClaimPath::parse(path).unwrap().each(claims.as_object().unwrap(), &mut |v| found.push(v.clone()));
    found
}

fn fault(path: &str) -> ClaimPathFault {
    ClaimPath::parse(path).unwrap_err()
}

#[test]
fn jwt_29_a_name_as_it_is_written_wins_over_its_dotted_reading() {
    let both = json!({"a.b": 1, "a": {"b": 2}, "c[0]": 3, "c": [4]});
    for (path, value) in [("a.b", 1), (r"a\.b", 1), ("/a/b", 2), ("$.a.b", 2), ("$['a.b']", 1), ("/a.b", 1), ("c[0]", 3), ("$.c[0]", 4)] {
        assert_eq!(all(path, &both), [json!(value)], "{path}");
    }
    assert_eq!(all("a.b", &json!({"a": {"b": 2}})), [json!(2)]);
    // A name that says null says something: the other reading is not what its provider meant.
    assert_eq!(all("a.b", &json!({"a.b": null, "a": {"b": 2}})), Vec::<Value>::new());
    // Only at the top: below, each step is one name.
    assert_eq!(all("x.a.b", &json!({"x": {"a.b": 1}})), Vec::<Value>::new());
}

#[test]
fn jwt_29_a_namespace_needs_no_escape() {
    for (path, claim) in [
        ("https://my.app/email", "https://my.app/email"),
        (r"https://my\.app/email", "https://my.app/email"),
        (r"https://example\.com/groups", "https://example.com/groups"),
        ("https://cumulocity/email", "https://cumulocity/email"),
        ("urn:acme:groups", "urn:acme:groups"),
        ("$['https://my.app/email']", "https://my.app/email"),
        ("/https:~1~1my.app~1email", "https://my.app/email"),
    ] {
        assert_eq!(all(path, &json!({ claim: "x" })), [json!("x")], "{path}");
        assert_eq!(all(path, &json!({ "email": "x", "groups": "x" })), Vec::<Value>::new(), "{path}");
    }
    // A namespace with an object below it, as Auth0's metadata.
    let claims = json!({"https://mia.eu/app_metadata": {"groups": ["admin"]}});
    assert_eq!(all(r"https://mia\.eu/app_metadata.groups", &claims), [json!(["admin"])]);
    assert_eq!(all("$['https://mia.eu/app_metadata'].groups[0]", &claims), [json!("admin")]);
}

#[test]
fn jwt_29_three_spellings_of_one_place() {
    let claims = json!({"realm": {"roles": ["a", "b"], "x/y": {"~": 1}}, "list": [{"n": 1}, {"n": 2}, {}]});
    for path in ["realm.roles[1]", "/realm/roles/1", "$.realm.roles[1]", "$['realm'][\"roles\"][1]", "realm['roles'][1]"] {
        assert_eq!(all(path, &claims), [json!("b")], "{path}");
    }
    assert_eq!(all("/realm/x~1y/~0", &claims), [json!(1)]);
}

/// RFC 6901 §5, with its own document; but for the whole document and its own empty name, which is no claim.
#[test]
fn jwt_29_pointers_as_in_rfc_6901() {
    let document = json!({
        "foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5, "k\"l": 6, " ": 7, "m~n": 8,
    });
    for (pointer, value) in [
        ("/foo", json!(["bar", "baz"])),
        ("/foo/0", json!("bar")),
        ("/", json!(0)),
        ("/a~1b", json!(1)),
        ("/c%d", json!(2)),
        ("/e^f", json!(3)),
        ("/g|h", json!(4)),
        ("/i\\j", json!(5)),
        ("/k\"l", json!(6)),
        ("/ ", json!(7)),
        ("/m~0n", json!(8)),
    ] {
        assert_eq!(all(pointer, &document), [value], "{pointer}");
    }
    assert_eq!(fault(""), ClaimPathFault::Empty);
}

#[test]
fn jwt_29_a_pointers_token_is_a_name_in_an_object_and_an_index_in_an_array() {
    let claims = json!({"o": {"0": "zero", "-": "dash", "01": "lead", "~1": "tilde", "/": "slash", "": "empty"}, "a": ["x", "y"]});
    for (pointer, found) in [
        ("/o/0", vec![json!("zero")]),
        ("/o/-", vec![json!("dash")]),
        ("/o/01", vec![json!("lead")]),
        // `~01` is `~1`, not `/` (§4).
        ("/o/~01", vec![json!("tilde")]),
        ("/o/~1", vec![json!("slash")]),
        ("/o/", vec![json!("empty")]),
        ("/a/1", vec![json!("y")]),
        ("/a/2", vec![]),
        // The element after the last is no value.
        ("/a/-", vec![]),
        ("/a/01", vec![]),
        ("/a/+1", vec![]),
        ("/a/-1", vec![]),
        ("/a/1e0", vec![]),
        ("/a/", vec![]),
        ("/a/99999999999999999999", vec![]),
        ("/a/*", vec![]),
    ] {
        assert_eq!(all(pointer, &claims), found, "{pointer}");
    }
    for broken in ["/a~", "/a~2", "/~/a", "/a~~0"] {
        assert_eq!(fault(broken), ClaimPathFault::PointerEscape, "{broken}");
    }
}

#[test]
fn jwt_29_the_part_of_jsonpath_that_is_spoken() {
    let claims = json!({
        "list": [{"n": 1}, {"n": 2}, {}], "it's": {"\"": 1, "\\": 2, "]": 3, "a.b": 4, "": 5}, "ünï": "x", "deep": [[1, 2], [3]], "$": 9,
    });
    for (path, found) in [
        ("$.list[*].n", vec![json!(1), json!(2)]),
        ("$.list[0].n", vec![json!(1)]),
        ("$.list[9].n", vec![]),
        ("$['list'][0]['n']", vec![json!(1)]),
        ("$[\"it's\"]['\"']", vec![json!(1)]),
        (r"$['it\'s']['\\']", vec![json!(2)]),
        ("$[\"it's\"][']']", vec![json!(3)]),
        ("$[\"it's\"]['a.b']", vec![json!(4)]),
        ("$[\"it's\"]['']", vec![json!(5)]),
        ("$.ünï", vec![json!("x")]),
        ("$.deep[*][0]", vec![json!(1), json!(3)]),
        ("$.deep[*][*]", vec![json!(1), json!(2), json!(3)]),
        ("$.$", vec![json!(9)]),
        ("$.LIST", vec![]),
    ] {
        assert_eq!(all(path, &claims), found, "{path}");
    }
    for (path, why) in [
        ("$", ClaimPathFault::Empty),
        ("$..n", ClaimPathFault::Descent),
        ("$.list..n", ClaimPathFault::Descent),
        ("$.", ClaimPathFault::EmptyName),
        ("$.list.[0]", ClaimPathFault::EmptyName),
        ("$[0]", ClaimPathFault::Bracket("$[…]".into())),
        ("$[*]", ClaimPathFault::Bracket("$[…]".into())),
    ] {
        assert_eq!(fault(path), why, "{path}");
    }
    for path in [
        "$list",
        "$.a[",
        "$.a[]",
        "$.a[-1]",
        "$.a[01]",
        "$.a[+1]",
        "$.a[ 1 ]",
        "$.a[0:2]",
        "$.a[?(@.n)]",
        "$.a['x'",
        "$.a['x\"]",
        "$.a['x',0]",
        "$.a['x\\",
    ] {
        assert!(matches!(fault(path), ClaimPathFault::Bracket(_)), "{path}");
    }
}

#[test]
fn jwt_29_dots_brackets_and_their_escapes() {
    let claims = json!({"a": {"b.c": 1, "d\\e": 2, "f[0]": 3, "g": [4, 5]}, "x\\y": 6, "p*q": 7});
    for (path, found) in [
        (r"a.b\.c", vec![json!(1)]),
        (r"a.d\\e", vec![json!(2)]),
        (r"a.d\e", vec![json!(2)]),
        (r"a.f\[0]", vec![json!(3)]),
        ("a['b.c']", vec![json!(1)]),
        ("a.g[1]", vec![json!(5)]),
        ("a.g[*]", vec![json!(4), json!(5)]),
        (r"x\\y", vec![json!(6)]),
        (r"x\y", vec![json!(6)]),
        ("p*q", vec![json!(7)]),
        ("a.b.c", vec![]),
    ] {
        assert_eq!(all(path, &claims), found, "{path}");
    }
    for broken in [".a", "a.", "a..b", ".", "a.g.[1]", "a.[0]"] {
        assert_eq!(fault(broken), ClaimPathFault::EmptyName, "{broken}");
    }
    for broken in ["a[", "[0]", "[*].n", "a[x]", "a[01]", "a[-1]", "a['x'", "a[]"] {
        assert!(matches!(fault(broken), ClaimPathFault::Bracket(_)), "{broken}");
    }
    assert!(ClaimPath::parse("a[0].b").is_ok());
}

#[test]
fn jwt_29_nothing_found_is_nothing() {
    let claims = json!({"a": null, "b": {"c": null}, "d": 5, "__proto__": 1, "l": [null, 1]});
    for path in ["a", "b.c", "d.e", "d[0]", "x", "/b/9", "/d/00", "l[0]", "$.b[*]", "b[0]"] {
        assert_eq!(all(path, &claims), Vec::<Value>::new(), "{path}");
    }
    assert_eq!(all("l[*]", &claims), [json!(1)]);
    // Letters are compared as they are written: composed and decomposed ones are two names.
    let composed = json!({"\u{e9}": 1, "7": 2, "two words": 3});
    assert_eq!(all("e\u{301}", &composed), Vec::<Value>::new());
    assert_eq!([all("\u{e9}", &composed), all("7", &composed), all("two words", &composed)].concat(), [json!(1), json!(2), json!(3)]);
    assert_eq!(all("__proto__", &claims), [json!(1)]);
}

#[test]
fn a_value_is_gathered_as_a_list_where_the_path_says_so() {
    let claims = json!({"list": [{"n": 1}], "many": [{"n": 1}, {"n": 2}], "n[*]": "name", "n": [1]});
    let gathered = |path: &str| ClaimPath::parse(path).unwrap().gathered(claims.as_object().unwrap());
    assert_eq!(gathered("list[*].n"), Some(json!([1])));
    assert_eq!(gathered("many[*].n"), Some(json!([1, 2])));
    assert_eq!(gathered("list[0].n"), Some(json!(1)));
    assert_eq!(gathered("many"), Some(json!([{"n": 1}, {"n": 2}])));
    assert_eq!((gathered("many[*].x"), gathered("x")), (None, None));
    assert_eq!(gathered("n[*]"), Some(json!("name")));
}

#[test]
fn a_name_is_a_path_to_one_claim_of_that_name() {
    let claims = json!({"a.b": 1, "a": {"b": 2}, "/x": 3, "$y": 4});
    for (name, value) in [("a.b", 1), ("/x", 3), ("$y", 4)] {
        assert_eq!(ClaimPath::name(name).one(claims.as_object().unwrap()), Some(&json!(value)), "{name}");
    }
    assert_eq!(ClaimPath::name("a.b").one(json!({"a": {"b": 2}}).as_object().unwrap()), None);
    assert_eq!(ClaimPath::name("email"), ClaimPath::parse("email").unwrap());
}

#[test]
fn a_session_keeps_what_the_path_may_begin_with() {
    let tops = |path: &str| ClaimPath::parse(path).unwrap().top_level().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(tops("https://a.b/c"), ["https://a.b/c", "https://a"]);
    assert_eq!(tops("/realm/roles"), ["realm"]);
    assert_eq!(tops("$['x.y'][0]"), ["x.y"]);
}
