//! Small things about tokens as text: random ones, opaque ones, claims laid over claims.

use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// `bytes` random bytes in base64url.
pub(super) fn random_text(bytes: usize) -> String {
    let mut random = vec![0; bytes];
    rand::fill(&mut random).unwrap_or_else(|_| panic!("the system has no randomness"));
    URL_SAFE_NO_PAD.encode(random)
}

/// An access token without an audience: it has the five segments of a JWE with an empty encrypted key (RFC 7516 §7.1),
/// as Auth0's has, and nobody but the tenant can read it.
pub(super) fn opaque_token(issuer: &str) -> String {
    let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"dir","enc":"A256GCM","iss":"{issuer}"}}"#));
    format!("{header}..{}.{}.{}", random_text(12), random_text(96), random_text(16))
}

/// Lays the members of `over` on `base`; a `null` removes the member.
pub(super) fn merged(mut base: Value, over: &Value) -> Value {
    if let (Some(base), Some(over)) = (base.as_object_mut(), over.as_object()) {
        for (name, value) in over {
            if value.is_null() {
                base.remove(name);
            } else {
                base.insert(name.clone(), value.clone());
            }
        }
    }
    base
}
