//! The JOSE header: which algorithm, which type, which key.

use serde_json::Value;

use super::json;
use super::{Algorithm, TokenFault, TokenType};

/// Longest `kid` looked up, in bytes.
const KEY_ID_LIMIT: usize = 256;

#[derive(Debug)]
pub(super) struct Header {
    pub(super) algorithm: Algorithm,
    pub(super) key_id: Option<Box<str>>,
    pub(super) is_at_jwt: bool,
}

impl Header {
    /// Keys inside the header (`jwk`, `jku`, `x5u`, `x5c`) are not looked at: RFC 8725 §3.10.
    pub(super) fn parse(segment: &str, algorithms: &[Algorithm], token_type: TokenType) -> Result<Self, TokenFault> {
        let header = json::object(&json::base64url(segment)?)?;
        // RFC 7515 §4.1.11, RFC 7797 §6: an extension we do not know is one we must not ignore.
        if header.contains_key("crit") || header.contains_key("b64") {
            return Err(TokenFault::Critical);
        }
        // RFC 8725 §3.1: only algorithms that we chose for this issuer; the comparison is exact.
        let algorithm = match header.get("alg") {
            Some(Value::String(name)) => Algorithm::from_name(name).filter(|algorithm| algorithms.contains(algorithm)),
            _ => None,
        }
        .ok_or(TokenFault::Algorithm)?;
        let is_at_jwt = check_type(header.get("typ"), token_type)?;
        let key_id = match header.get("kid") {
            None => None,
            Some(Value::String(id)) if id.len() <= KEY_ID_LIMIT => Some(id.as_str().into()),
            Some(_) => return Err(TokenFault::Malformed),
        };
        Ok(Self { algorithm, key_id, is_at_jwt })
    }
}

/// RFC 7515 §4.1.9: a media type, compared without case, `application/` understood.
fn check_type(typ: Option<&Value>, wanted: TokenType) -> Result<bool, TokenFault> {
    let (jwt, at_jwt, logout) = match typ {
        None => (true, false, false),
        Some(Value::String(name)) => {
            let name = name.to_ascii_lowercase();
            let name = name.strip_prefix("application/").unwrap_or(&name);
            (name == "jwt", name == "at+jwt", name == "logout+jwt")
        }
        Some(_) => return Err(TokenFault::Type),
    };
    match wanted {
        TokenType::Jwt if jwt => Ok(false),
        TokenType::AtJwt if at_jwt => Ok(true),
        TokenType::Either if jwt || at_jwt => Ok(at_jwt),
        TokenType::Logout if jwt || logout => Ok(false),
        _ => Err(TokenFault::Type),
    }
}
