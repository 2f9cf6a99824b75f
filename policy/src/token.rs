//! A token, from bytes that nobody has checked to claims that somebody signed.
//!
//! The order is: size, structure, header (algorithm and type against what *we* allow), key, signature, claims. Nothing
//! a token says is acted on before its signature holds, except `alg`, `typ` and `kid`, which choose among what we have.

mod claims;
mod header;
mod json;
mod keys;
mod static_key;
mod vouching;

pub use claims::{AccessTokenProfile, IdTokenExpectation, LEEWAY, Nonce, access_token_hash_matches, is_of_organization};
pub use keys::{Algorithm, KeySet, KeySetFault};
pub use static_key::{StaticKey, StaticKeyFault};
pub use vouching::Vouched;

use serde_json::{Map, Value};

use crate::credential::{RawToken, TOKEN_LIMIT};
use crate::login::{LogoutExpectation, LogoutToken};
use crate::time::Timestamp;
pub(crate) use claims::{audience, check_issuer, check_subject, check_times, check_types, time};
use header::Header;

/// Tokens that sit on this side of a check are told apart by their header's `typ` (RFC 8725 §3.11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenType {
    /// `at+jwt` (RFC 9068 §2.1).
    AtJwt,
    /// `JWT` or absent.
    Jwt,
    /// Either: Auth0 issues both, depending on the API's token dialect.
    Either,
    /// `logout+jwt` (Back-Channel Logout §2.4), or as [`Self::Jwt`]: Auth0 writes `JWT`.
    Logout,
}

/// A token whose structure and header were read; its claims are out of reach until it is verified.
#[derive(Debug)]
pub struct UnverifiedToken<'t> {
    signed: &'t [u8],
    payload: &'t str,
    signature: Vec<u8>,
    header: Header,
}

/// Claims whose signature, issuer, audience, type and times were checked. Only made by verifying.
#[derive(Debug, Clone, PartialEq)]
pub struct VerifiedToken {
    claims: Map<String, Value>,
    /// What the claims were read from, as long as they say what it says.
    text: Option<Box<[u8]>>,
    expires: Timestamp,
}

/// Why a token is not believed. A closed list: each is one metric label and never a word to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenFault {
    TooLong,
    /// Not three base64url segments of JSON objects without doubled members (RFC 7515 §4, RFC 7519 §7.2).
    Malformed,
    Algorithm,
    Type,
    /// A critical extension (RFC 7515 §4.1.11) that we do not know, as we know none.
    Critical,
    UnknownKey,
    Signature,
    /// A claim of the wrong JSON type.
    ClaimType,
    MissingClaim,
    Issuer,
    Audience,
    AuthorizedParty,
    Expired,
    NotYetValid,
    /// `iat` is too far away for a token that was issued just now.
    NotFresh,
    Nonce,
    AccessTokenHash,
    Organization,
    Subject,
    /// The provider was asked, and does not vouch for it, or no longer.
    Revoked,
    /// `events` does not say what the token must be about, or says it where nothing happened.
    Events,
    /// It does not say who its bearer is, where the configuration reads that.
    User,
}

impl TokenFault {
    /// What logs and metrics call it.
    pub fn label(self) -> &'static str {
        match self {
            Self::TooLong => "token_too_long",
            Self::Malformed => "token_malformed",
            Self::Algorithm => "token_algorithm",
            Self::Type => "token_type",
            Self::Critical => "token_critical",
            Self::UnknownKey => "token_unknown_key",
            Self::Signature => "token_signature",
            Self::ClaimType => "token_claim_type",
            Self::MissingClaim => "token_missing_claim",
            Self::Issuer => "token_issuer",
            Self::Audience => "token_audience",
            Self::AuthorizedParty => "token_authorized_party",
            Self::Expired => "token_expired",
            Self::NotYetValid => "token_not_yet_valid",
            Self::NotFresh => "token_not_fresh",
            Self::Nonce => "token_nonce",
            Self::AccessTokenHash => "token_access_token_hash",
            Self::Organization => "token_organization",
            Self::Subject => "token_subject",
            Self::Revoked => "token_revoked",
            Self::Events => "token_events",
            Self::User => "token_user_claim",
        }
    }
}

impl<'t> UnverifiedToken<'t> {
    /// Reads structure and header, against the algorithms and type that we allow.
    ///
    /// # Errors
    /// [`TokenFault`] before any cryptography was done.
    pub fn parse(raw: RawToken<'t>, algorithms: &[Algorithm], token_type: TokenType) -> Result<Self, TokenFault> {
        let text = raw.expose();
        if text.len() > TOKEN_LIMIT {
            return Err(TokenFault::TooLong);
        }
        // RFC 7515 §7.1: the compact serialisation, with exactly two dots; five segments would be a JWE.
        let mut segments = text.split('.');
        let (Some(header), Some(payload), Some(signature), None) = (segments.next(), segments.next(), segments.next(), segments.next())
        else {
            return Err(TokenFault::Malformed);
        };
        let signed = &text.as_bytes()[..header.len() + ".".len() + payload.len()];
        let header = Header::parse(header, algorithms, token_type)?;
        let signature = json::base64url(signature)?;
        Ok(Self { signed, payload, signature, header })
    }

    /// The `kid` it names: chooses among keys we have, never fetches one.
    pub fn key_id(&self) -> Option<&str> {
        self.header.key_id.as_deref()
    }

    fn verified_claims(&self, keys: &KeySet) -> Result<(Map<String, Value>, Vec<u8>), TokenFault> {
        keys.verify(self.key_id(), self.header.algorithm, self.signed, &self.signature)?;
        let text = json::base64url(self.payload)?;
        Ok((json::object(&text)?, text))
    }

    /// Verifies an access token presented as a bearer (RFC 9068 §4, RFC 8725 §3).
    ///
    /// # Errors
    /// [`TokenFault`]; [`TokenFault::UnknownKey`] may become another answer once the keys were fetched anew.
    pub fn verify_access_token(&self, keys: &KeySet, profile: &AccessTokenProfile, now: Timestamp) -> Result<VerifiedToken, TokenFault> {
        let (claims, text) = self.verified_claims(keys)?;
        let expires = profile.check(&claims, self.header.is_at_jwt, now)?;
        Ok(VerifiedToken { claims, text: Some(text.into()), expires })
    }

    /// Verifies a provider's word that a session or a person is signed out (Back-Channel Logout §2.6).
    ///
    /// # Errors
    /// As above.
    pub fn verify_logout_token(&self, keys: &KeySet, expected: &LogoutExpectation<'_>, now: Timestamp) -> Result<LogoutToken, TokenFault> {
        LogoutToken::check(&self.verified_claims(keys)?.0, expected, now)
    }

    /// Verifies an ID token that answered our own request (OIDC Core §3.1.3.7).
    ///
    /// # Errors
    /// As above.
    pub fn verify_id_token(&self, keys: &KeySet, expected: &IdTokenExpectation<'_>, now: Timestamp) -> Result<VerifiedToken, TokenFault> {
        let (claims, _) = self.verified_claims(keys)?;
        let expires = expected.check(&claims, self.header.algorithm, now)?;
        Ok(VerifiedToken { claims, text: None, expires })
    }
}

impl VerifiedToken {
    pub fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// When `exp` is reached, leeway not included.
    pub fn expires(&self) -> Timestamp {
        self.expires
    }

    /// The same token, its claims under our names.
    pub(crate) fn with_claims(self, claims: Map<String, Value>) -> Self {
        Self { claims, text: None, ..self }
    }

    /// Its claims, and the text that says the same.
    pub(crate) fn into_parts(self) -> (Map<String, Value>, Option<Box<[u8]>>) {
        (self.claims, self.text)
    }
}

/// Which issuer a token says it is from. Nobody has checked that: it says in which order providers are asked, and no more.
pub fn claimed_issuer(raw: RawToken<'_>) -> Option<String> {
    let text = raw.expose();
    if text.len() > TOKEN_LIMIT {
        return None;
    }
    let claims = json::object(&json::base64url(text.split('.').nth(1)?).ok()?).ok()?;
    claims.get("iss").and_then(Value::as_str).map(str::to_owned)
}

/// Reads a JSON object of a provider's answer as strictly as a token's claims: no doubled members.
///
/// # Errors
/// [`TokenFault::Malformed`].
pub fn strict_object(bytes: &[u8]) -> Result<Map<String, Value>, TokenFault> {
    json::object(bytes)
}

#[cfg(test)]
mod tests;
