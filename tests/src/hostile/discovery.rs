//! Discovery documents that lie. For a missing member there is [`Fault::without`].

use serde_json::json;

use super::Fault;

/// Every member that a relying party needs.
pub const REQUIRED: [&str; 4] = ["issuer", "authorization_endpoint", "token_endpoint", "jwks_uri"];

/// Places where no provider's keys are, and where fetching them does harm.
pub const FORBIDDEN_JWKS_URIS: [&str; 6] = [
    "http://169.254.169.254/latest/meta-data/",
    "http://[::ffff:169.254.169.254]/",
    "http://evil.test/.well-known/jwks.json",
    "file:///etc/passwd",
    "/.well-known/jwks.json",
    "",
];

/// The document of another issuer.
pub fn issuer(other: impl Into<String>) -> Fault {
    Fault::with("issuer", other.into())
}

/// The issuer with a final slash more, or one less.
pub fn issuer_off_by_a_slash() -> Fault {
    Fault::edit(|document| {
        let issuer = document["issuer"].as_str().unwrap_or_default().to_owned();
        let other = issuer.strip_suffix('/').map_or_else(|| format!("{issuer}/"), str::to_owned);
        document["issuer"] = other.into();
    })
}

/// One endpoint at another place.
pub fn endpoint(name: &'static str, url: impl Into<String>) -> Fault {
    Fault::with(name, url.into())
}

/// A provider that has not heard of S256.
pub fn only_plain_pkce() -> Fault {
    Fault::with("code_challenge_methods_supported", json!(["plain"]))
}

/// A provider that promises `iss` in the callback (RFC 9207) and does not send it.
pub fn promises_iss() -> Fault {
    Fault::with("authorization_response_iss_parameter_supported", true)
}
