use serde_json::{Value, json};

use super::*;
use crate::session::{Origin, Session};
use crate::time::Timestamp;

fn identity(claims: Value, mapping: &IdentityMapping) -> Identity {
    let kept: Vec<Box<str>> = claims.as_object().unwrap().keys().map(|name| name.as_str().into()).collect();
    let origin = Origin { id: "i", provider: "acme", client_id: "c" };
    Identity::from_session(Session::begin(origin, claims.as_object().unwrap(), &kept, Timestamp(0)), mapping)
}

fn filled(template: &str, claims: Value) -> Option<String> {
    Template::parse(template).unwrap().fill(&identity(claims, &IdentityMapping::default()))
}

#[test]
fn broken_templates_do_not_compile() {
    for (bad, fault) in [
        ("{user", TemplateFault::Open),
        ("user}", TemplateFault::Close),
        ("{nobody}", TemplateFault::Unknown("nobody".into())),
        ("", TemplateFault::Empty),
        ("  ", TemplateFault::Empty),
        ("{user}\u{e9}", TemplateFault::Bytes),
        ("{user}\r\nX: y", TemplateFault::Bytes),
    ] {
        assert_eq!(Template::parse(bad), Err(fault), "{bad}");
    }
    assert!(matches!(Template::parse("{claim:a..b}"), Err(TemplateFault::Path(_))));
    for good in ["{{{user}}} by {provider}", "admin", "{{user}}"] {
        assert_eq!(Template::parse(good).map(|template| template.to_string()).as_deref(), Ok(good));
    }
}

#[test]
fn map_06_every_name_reads_its_own_claim_and_is_absent_without_it() {
    let claims = json!({
        "iss": "https://idp/", "sub": "auth0|ada", "email": "ada@acme.dev", "name": "Ada Lovelace", "preferred_username": "ada",
        "given_name": "Ada", "family_name": "Lovelace", "phone_number": "+44 20 7946 0000", "locale": "en-GB", "scope": "a b",
        "permissions": ["read"], "org_id": "org_1", "amr": ["pwd", "mfa"], "acr": "gold", "plan": "pro",
    });
    for (name, value, claim) in [
        ("user", "auth0|ada", "sub"),
        ("email", "ada@acme.dev", "email"),
        ("name", "Ada Lovelace", "name"),
        ("username", "ada", "preferred_username"),
        ("first_name", "Ada", "given_name"),
        ("last_name", "Lovelace", "family_name"),
        ("phone", "+44 20 7946 0000", "phone_number"),
        ("locale", "en-GB", "locale"),
        ("scope", "a,b", "scope"),
        ("permissions", "read", "permissions"),
        ("org_id", "org_1", "org_id"),
        ("amr", "pwd,mfa", "amr"),
        ("acr", "gold", "acr"),
        ("claim:plan", "pro", "plan"),
        ("issuer", "https://idp/", "iss"),
    ] {
        let template = format!("{{{name}}}");
        assert_eq!(filled(&template, claims.clone()).as_deref(), Some(value), "{name}");
        let mut without = claims.clone();
        without.as_object_mut().unwrap().remove(claim);
        assert_eq!(filled(&template, without), None, "{name} without {claim}");
    }
    assert_eq!(filled("{provider}", json!({})).as_deref(), Some("acme"));
}

#[test]
fn map_07_a_constant_is_said_of_everybody_who_is_known_and_a_mixture_only_with_its_part() {
    assert_eq!(filled("doorward", json!({})).as_deref(), Some("doorward"));
    assert_eq!(filled("{{user}}", json!({ "sub": "ada" })).as_deref(), Some("{user}"));
    assert_eq!(filled("plan={claim:plan}", json!({ "plan": "pro" })).as_deref(), Some("plan=pro"));
    assert_eq!(filled("plan={claim:plan}", json!({})), None);
}

#[test]
fn map_08_the_profile_is_read_where_the_mapping_says() {
    let mapping = IdentityMapping { first_name: ClaimPath::parse("profile.first").unwrap(), ..IdentityMapping::default() };
    let somebody = identity(json!({ "given_name": "Not me", "profile": { "first": "Ada" } }), &mapping);
    let mut template = Template::parse("{first_name}").unwrap();
    template.bind(&mapping);
    assert_eq!(template.fill(&somebody).as_deref(), Some("Ada"));
    assert!(template.top_level().eq(["profile.first", "profile"]));
    let reads: Vec<_> = template.reads().collect();
    assert_eq!(reads, [Read { name: "first_name", path: Some(Cow::Borrowed(&mapping.first_name)) }]);
}

#[test]
fn a_template_says_what_it_reads() {
    let template = Template::parse("{user} {claim:a.b} and {org_id} by {issuer}").unwrap();
    let reads: Vec<_> = template.reads().map(|read| (read.name, read.path.map(|path| path.to_string()))).collect();
    let some = |path: &str| Some(path.to_owned());
    assert_eq!(reads, [("user", None), ("claim", some("a.b")), ("org_id", some("org_id")), ("issuer", some("iss"))]);
    assert!(Template::parse("doorward").unwrap().reads().next().is_none());
}
