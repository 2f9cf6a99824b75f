//! Userinfo answers that lie.

use serde_json::{Value, json};

use super::Fault;

/// What no relying party may add to a session.
pub fn refused() -> Vec<(&'static str, Fault)> {
    vec![
        ("oidcc-client-test-userinfo-invalid-sub", other_subject()),
        ("no sub", Fault::without("sub")),
        ("sub is a number", Fault::with("sub", 1)),
        ("an array", array()),
        ("a string", Fault::instead(json!("auth0|ada"))),
        ("null", Fault::instead(Value::Null)),
        ("two sub members", Fault::DuplicateMember("sub", json!("auth0|mallory"))),
    ]
}

/// Somebody else's claims (OIDC Core §5.3.2: they must not be used).
pub fn other_subject() -> Fault {
    Fault::with("sub", "auth0|mallory")
}

/// A list where an object belongs.
pub fn array() -> Fault {
    Fault::instead(json!([{ "sub": "auth0|ada" }]))
}

/// Claims that belong to the ID token alone; they must not replace its own.
pub fn overriding_protocol_claims() -> Fault {
    Fault::edit(|claims| {
        claims["iss"] = json!("https://evil.test/");
        claims["aud"] = json!("another-client");
        claims["exp"] = json!(1);
        claims["sid"] = json!("another-session");
    })
}
