use serde_json::json;

use super::*;
use crate::identity::AmrRule;

fn map(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn attribute(name: &str, source: Option<ClaimSource>, claim: &str, kind: AttributeType) -> Attribute {
    let path = ClaimPath::parse(claim).unwrap();
    Attribute { name: name.into(), label: None, from: AttributeSource::Claim { source, path }, kind, weak: false }
}

fn constant(name: &str, value: Value) -> Attribute {
    Attribute { name: name.into(), label: None, from: AttributeSource::Constant(value), kind: AttributeType::Any, weak: false }
}

fn of(attributes: Vec<Attribute>) -> AttributeMapping {
    AttributeMapping { attributes, ..AttributeMapping::default() }
}

fn of_namespaces(namespaces: &[&str]) -> AttributeMapping {
    AttributeMapping { namespaces: namespaces.iter().map(|name| (*name).into()).collect(), ..AttributeMapping::default() }
}

/// What a sign-in with these three says.
fn context(mapping: &AttributeMapping, id_token: Value, userinfo: Value, access_token: Value) -> (Value, Vec<Dropped>) {
    let maps = [id_token, userinfo, access_token].map(|value| value.as_object().cloned());
    let sources = Sources { id_token: maps[0].as_ref(), userinfo: maps[1].as_ref(), access_token: maps[2].as_ref() };
    let (claims, dropped) = mapping.context(&sources);
    // A second time changes nothing.
    let mut again = claims.clone();
    mapping.apply(&mut again, &sources);
    assert_eq!(again, claims);
    (Value::Object(claims), dropped)
}

#[test]
fn attr_10_a_value_is_read_from_its_source_and_from_no_other() {
    let (id, info, access) = (json!({ "level": 1 }), json!({ "level": 2 }), json!({ "level": 3 }));
    for (source, level) in
        [(Some(ClaimSource::IdToken), 1), (Some(ClaimSource::Userinfo), 2), (Some(ClaimSource::AccessToken), 3), (None, 1)]
    {
        let mapping = of(vec![attribute("rank", source, "level", AttributeType::Number)]);
        let (claims, dropped) = context(&mapping, id.clone(), info.clone(), access.clone());
        assert_eq!((&claims["rank"], dropped), (&json!(level), vec![]), "{source:?}");
    }
    // Of the others it is never read, also where its own source is not there at all.
    for (source, rest) in [
        (ClaimSource::IdToken, [json!({}), info.clone(), access.clone()]),
        (ClaimSource::Userinfo, [id.clone(), json!(null), access.clone()]),
        (ClaimSource::AccessToken, [id.clone(), info.clone(), json!({ "level": null })]),
    ] {
        let mapping = of(vec![attribute("rank", Some(source), "level", AttributeType::Number)]);
        let [id, info, access] = rest;
        let (claims, dropped) = context(&mapping, id, info, access);
        assert_eq!(claims.get("rank"), None, "{source:?}");
        assert_eq!(dropped, [Dropped { name: "rank".into(), why: DropReason::Missing }]);
    }
    let anywhere = of(vec![attribute("rank", None, "level", AttributeType::Number)]);
    assert_eq!(context(&anywhere, json!({}), json!(null), access).0["rank"], 3);
}

#[test]
fn attr_11_the_name_belongs_to_the_attribute() {
    let mapping = of(vec![attribute("groups", Some(ClaimSource::IdToken), r"https://example\.com/groups", AttributeType::StringArray)]);
    let forged = json!({ "groups": ["admin"] });
    let named = |groups: Value| json!({ "https://example.com/groups": groups, "groups": ["admin"] });
    for (id, groups) in [
        (named(json!(["editor"])), Some(json!(["editor"]))),
        (named(json!([])), Some(json!([]))),
        (named(json!("editor")), None),
        (named(json!(["editor", 5])), None),
        (named(json!(null)), None),
        (forged.clone(), None),
    ] {
        let (claims, dropped) = context(&mapping, id.clone(), forged.clone(), forged.clone());
        assert_eq!(claims.get("groups"), groups.as_ref(), "{id}");
        assert_eq!(dropped.is_empty(), groups.is_some(), "{id}");
    }
    // Where nothing is mapped, the claim is the token's.
    assert_eq!(context(&of(vec![]), json!({}), forged, json!(null)).0["groups"], json!(["admin"]));
}

#[test]
fn attr_12_a_value_of_another_type_is_gone_unless_it_may_be_converted() {
    let strict = attribute("level", None, "level", AttributeType::Number);
    let weak = Attribute { weak: true, ..strict.clone() };
    let (claims, dropped) = context(&of(vec![strict]), json!({ "level": "5" }), json!({ "level": 9 }), json!(null));
    assert_eq!(claims.get("level"), None, "nor is it looked for elsewhere then");
    let why = DropReason::Type { wanted: AttributeType::Number, found: "a string" };
    assert_eq!(dropped, [Dropped { name: "level".into(), why }]);
    assert_eq!(dropped[0].to_string(), "`level` should be number and is a string");
    assert_eq!(context(&of(vec![weak]), json!({ "level": "5" }), json!(null), json!(null)).0["level"], 5);
}

#[test]
fn attr_13_a_list_of_places_is_a_list_also_with_one_element() {
    let mapping = of(vec![attribute("sites", None, "teams[*].site", AttributeType::StringArray)]);
    for (teams, sites) in [
        (json!([{ "site": "a" }, { "site": "b" }]), Some(json!(["a", "b"]))),
        (json!([{ "site": "a" }, {}]), Some(json!(["a"]))),
        (json!([{}]), None),
        (json!([{ "site": 5 }]), None),
        (json!("a"), None),
    ] {
        let (claims, _) = context(&mapping, json!({ "teams": teams }), json!(null), json!(null));
        assert_eq!(claims.get("sites"), sites.as_ref());
    }
    let any = of(vec![attribute("sites", None, "teams[*].site", AttributeType::Any)]);
    assert_eq!(context(&any, json!({ "teams": [{ "site": "a" }] }), json!(null), json!(null)).0["sites"], json!(["a"]));
}

#[test]
fn attr_14_a_constant_is_the_same_for_everybody() {
    let mapping = of(vec![constant("plant", json!("hamburg"))]);
    let (claims, dropped) = context(&mapping, json!({ "plant": "elsewhere" }), json!(null), json!(null));
    assert_eq!((&claims["plant"], dropped), (&json!("hamburg"), vec![]));
}

#[test]
fn attr_15_what_a_token_is_cannot_be_mapped() {
    for name in RESERVED {
        let said = json!({ *name: "said", "other": "mapped", format!("https://a.dev/{name}"): "short" });
        for mapping in [
            of(vec![constant(name, json!("mapped")), attribute(name, None, "other", AttributeType::Any)]),
            of(vec![attribute(name, None, "nothing", AttributeType::Any)]),
            of_namespaces(&["https://a.dev/", &format!("https://a.dev/{name}")]),
        ] {
            assert_eq!(context(&mapping, said.clone(), json!(null), json!(null)).0[name], "said", "{name}");
            let without = json!({ "other": "mapped", format!("https://a.dev/{name}"): "short" });
            assert_eq!(context(&mapping, without, json!(null), json!(null)).0.get(name), None, "{name}");
        }
    }
    // The twin: a name that is free.
    assert_eq!(context(&of(vec![constant("team", json!("x"))]), json!({}), json!(null), json!(null)).0["team"], "x");
}

#[test]
fn attr_16_a_namespace_is_a_whole_name_or_a_beginning() {
    let mapping = of_namespaces(&["https://mia-platform.eu/app_metadata", "https://acme.dev/", "https://acme.dev/deep/"]);
    for (claim, short) in [
        ("https://mia-platform.eu/app_metadata", Some("app_metadata")),
        ("https://mia-platform.eu/app_metadata/x", None),
        ("https://mia-platform.eu/user_metadata", None),
        ("https://acme.dev/groups", Some("groups")),
        ("https://acme.dev/a/b", Some("a/b")),
        ("https://acme.dev/deep/team", Some("team")),
        ("https://acme.dev/", None),
        ("https://acme.dev.evil/groups", None),
        ("https://acme.de", None),
        ("groups", None),
        ("", None),
    ] {
        assert_eq!(mapping.short_name(claim), short, "{claim}");
    }
    let id = json!({ "https://acme.dev/groups": ["g"], "https://acme.dev/team": "t", "team": "own", "https://acme.dev/gone": null });
    let (claims, dropped) = context(&mapping, id, json!({ "https://acme.dev/plan": "pro", "own": 1 }), json!({ "groups": "later" }));
    assert_eq!(claims["groups"], "later", "a claim that somebody has is not replaced");
    assert_eq!((&claims["team"], &claims["plan"], claims.get("gone")), (&json!("own"), &json!("pro"), None));
    assert_eq!((&claims["https://acme.dev/team"], dropped), (&json!("t"), vec![]));
}

#[test]
fn attr_17_attributes_are_read_without_namespaces_too() {
    let mapping = AttributeMapping {
        attributes: vec![attribute("level", Some(ClaimSource::Userinfo), "app_metadata.level", AttributeType::Number)],
        ..of_namespaces(&["https://mia-platform.eu/app_metadata"])
    };
    let metadata = |level: u8| json!({ "https://mia-platform.eu/app_metadata": { "level": level } });
    let (claims, _) = context(&mapping, metadata(1), metadata(2), json!(null));
    assert_eq!((&claims["level"], &claims["app_metadata"]["level"]), (&json!(2), &json!(1)));
    let plain = of(mapping.attributes.clone());
    assert_eq!(context(&plain, metadata(1), metadata(2), json!(null)).0.get("level"), None);
}

#[test]
fn attr_18_amr_is_filled_in_or_replaced_as_the_operator_says() {
    for (always, said, amr) in [
        (false, json!({}), json!(["pwd"])),
        (false, json!({ "amr": null }), json!(["pwd"])),
        (false, json!({ "amr": ["mfa"] }), json!(["mfa"])),
        (false, json!({ "amr": [] }), json!([])),
        (true, json!({}), json!(["pwd"])),
        (true, json!({ "amr": ["mfa"] }), json!(["pwd"])),
    ] {
        let amr_rule = AmrRule { values: vec!["pwd".into()], always };
        let mapping = AttributeMapping { amr: Some(amr_rule), ..AttributeMapping::default() };
        let (claims, _) = context(&mapping, said.clone(), json!({ "amr": ["userinfo"] }), json!(null));
        assert_eq!(claims["amr"], amr, "{always} {said}");
    }
    assert_eq!(context(&of(vec![]), json!({}), json!(null), json!(null)).0.get("amr"), None);
}

#[test]
fn attr_19_a_verified_address_is_the_one_that_was_verified() {
    let verified =
        json!({ "email": "ada@acme.dev", "email_verified": true, "https://acme.dev/email": "root@acme.dev", "alias": "ada@acme.dev" });
    for (mapping, email, vouched) in [
        (of(vec![attribute("email", None, "alias", AttributeType::String)]), Some("ada@acme.dev"), true),
        (of(vec![attribute("email", None, r"https://acme\.dev/email", AttributeType::String)]), Some("root@acme.dev"), false),
        (of(vec![constant("email", json!("root@acme.dev"))]), Some("root@acme.dev"), false),
        (of(vec![attribute("email", None, "nothing", AttributeType::String)]), None, false),
        (of_namespaces(&["https://acme.dev/"]), Some("ada@acme.dev"), true),
    ] {
        let (claims, _) = context(&mapping, verified.clone(), json!(null), json!(null));
        assert_eq!(claims.get("email").and_then(Value::as_str), email);
        assert_eq!(claims.get("email_verified").is_some(), vouched, "{email:?}");
    }
    // One that no token has does not become verified by its namespace.
    let short = json!({ "email_verified": true, "https://acme.dev/email": "root@acme.dev" });
    let (claims, _) = context(&of_namespaces(&["https://acme.dev/"]), short, json!(null), json!(null));
    assert_eq!((&claims["email"], claims.get("email_verified")), (&json!("root@acme.dev"), None));
}

#[test]
fn oidc_17_the_earlier_source_wins_and_only_it_says_how_somebody_signed_in() {
    let maps = [
        map(json!({ "sub": "ada", "email": "ada@acme.dev", "a": 1 })),
        map(json!({ "sub": "ada", "email": "other@acme.dev", "email_verified": true, "a": 2, "b": 2, "acr": "gold" })),
        map(json!({ "sub": "ada", "a": 3, "b": 3, "c": 3, "amr": ["mfa"], "auth_time": 5 })),
    ];
    let [id_token, userinfo, access_token] = maps.each_ref().map(Some);
    let merged = Sources { id_token, userinfo, access_token }.merged();
    assert_eq!(Value::Object(merged), json!({ "sub": "ada", "email": "ada@acme.dev", "a": 1, "b": 2, "c": 3 }));
    // A bearer's own token is the first, and says it itself.
    let merged = Sources { access_token, ..Sources::default() }.merged();
    assert_eq!(merged, maps[2]);
}

#[test]
fn attr_31_a_word_about_no_address_vouches_for_none_that_another_source_says() {
    let none = AttributeMapping::default();
    for (userinfo, verified) in [
        (json!({ "email": "root@acme.dev" }), None),
        (json!({ "email": "root@acme.dev", "email_verified": false }), Some(false)),
        (json!({ "email": "root@acme.dev", "email_verified": true }), Some(true)),
        (json!({ "name": "Ada" }), Some(true)),
    ] {
        let (claims, _) = context(&none, json!({ "email_verified": true }), userinfo.clone(), json!(null));
        assert_eq!(claims.get("email_verified").and_then(Value::as_bool), verified, "{userinfo}");
    }
}
