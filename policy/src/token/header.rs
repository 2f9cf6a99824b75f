//! The JOSE header: which algorithm, which type, which key.

use super::json::{self, Member};
use super::{Algorithm, TokenFault, TokenType};

/// Longest `kid` looked up, in bytes.
const KEY_ID_LIMIT: usize = 256;

/// One that was read, and what it was read from.
#[derive(Debug, PartialEq, Eq)]
pub struct Header {
    segment: Box<str>,
    pub(super) algorithm: Algorithm,
    pub(super) key_id: Option<Box<str>>,
    pub(super) is_at_jwt: bool,
}

impl Header {
    /// Keys inside the header (`jwk`, `jku`, `x5u`, `x5c`) are not looked at: RFC 8725 §3.10.
    pub(super) fn parse(segment: &str, algorithms: &[Algorithm], token_type: TokenType) -> Result<Self, TokenFault> {
        let bytes = json::base64url(segment)?;
        let [algorithm, typ, key_id, critical, unencoded] = json::members(&bytes, ["alg", "typ", "kid", "crit", "b64"])?;
        // RFC 7515 §4.1.11, RFC 7797 §6: an extension we do not know is one we must not ignore.
        if critical.is_some() || unencoded.is_some() {
            return Err(TokenFault::Critical);
        }
        // RFC 8725 §3.1: only algorithms that we chose for this issuer; the comparison is exact.
        let algorithm = match algorithm {
            Some(Member::Text(name)) => Algorithm::from_name(&name).filter(|algorithm| algorithms.contains(algorithm)),
            Some(Member::Other) | None => None,
        }
        .ok_or(TokenFault::Algorithm)?;
        let is_at_jwt = check_type(typ.as_ref(), token_type)?;
        let key_id = match key_id {
            None => None,
            Some(Member::Text(id)) if id.len() <= KEY_ID_LIMIT => Some(Box::from(&*id)),
            Some(_) => return Err(TokenFault::Malformed),
        };
        Ok(Self { segment: segment.into(), algorithm, key_id, is_at_jwt })
    }

    /// Whether that segment was this, letter by letter: then it says the same.
    pub(super) fn is_of(&self, segment: &str) -> bool {
        *self.segment == *segment
    }
}

/// RFC 7515 §4.1.9: a media type, compared without case, `application/` understood.
fn check_type(typ: Option<&Member<'_>>, wanted: TokenType) -> Result<bool, TokenFault> {
    let (jwt, at_jwt, logout) = match typ {
        None => (true, false, false),
        Some(Member::Text(name)) => {
            let name: &str = name;
            let (media, rest) = name.split_at_checked("application/".len()).unwrap_or(("", name));
            let name = if media.eq_ignore_ascii_case("application/") { rest } else { name };
            let is = |known: &str| name.eq_ignore_ascii_case(known);
            (is("jwt"), is("at+jwt"), is("logout+jwt"))
        }
        Some(Member::Other) => return Err(TokenFault::Type),
    };
    match wanted {
        TokenType::Jwt if jwt => Ok(false),
        TokenType::AtJwt if at_jwt => Ok(true),
        TokenType::Either if jwt || at_jwt => Ok(at_jwt),
        TokenType::Logout if jwt || logout => Ok(false),
        _ => Err(TokenFault::Type),
    }
}
