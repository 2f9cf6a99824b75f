//! Token responses that lie. For a missing member there is [`Fault::without`], for a refusal [`Fault::oauth_error`].

use serde_json::{Value, json};

use super::Fault;

/// What no relying party may make a session of.
pub fn refused() -> Vec<(&'static str, Fault)> {
    vec![
        ("no id_token", Fault::without("id_token")),
        ("id_token is null", Fault::with("id_token", Value::Null)),
        ("id_token is empty", Fault::with("id_token", "")),
        ("id_token is not a JWT", Fault::with("id_token", "not-a-token")),
        ("no access_token", Fault::without("access_token")),
        ("no token_type", Fault::without("token_type")),
        ("token_type mac", token_type("mac")),
        ("an array", Fault::instead(json!([]))),
        ("a string", Fault::instead(json!("ok"))),
        ("null", Fault::instead(Value::Null)),
        ("two id_token members", Fault::DuplicateMember("id_token", json!("not-a-token"))),
        ("invalid_grant", Fault::oauth_error(400, "invalid_grant")),
        ("invalid_grant as Auth0 says it", Fault::oauth_error(403, "invalid_grant")),
        ("invalid_client", Fault::oauth_error(401, "invalid_client")),
        ("an error with status 200", Fault::oauth_error(200, "invalid_grant")),
    ]
}

/// Another token type. RFC 6749 §7.1: a client must not use a token whose type it does not know.
pub fn token_type(other: &'static str) -> Fault {
    Fault::with("token_type", other)
}

/// Another lifetime: a string, a negative or an absurd number.
pub fn expires_in(value: impl Into<Value>) -> Fault {
    Fault::with("expires_in", value)
}
