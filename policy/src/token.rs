//! A token, from bytes that nobody has checked to claims that somebody signed.
//!
//! The order is: size, structure, header (algorithm and type against what *we* allow), key, signature, claims. Nothing
//! a token says is acted on before its signature holds, except `alg`, `typ` and `kid`, which choose among what we have.

mod claims;
mod header;
mod json;
mod keys;
mod said;
mod static_key;
mod vouching;

pub use claims::{AccessTokenProfile, IdTokenExpectation, LEEWAY, Nonce, access_token_hash_matches, is_of_organization};
pub use header::Header;
pub use keys::{Algorithm, KeySet, KeySetFault};
pub(crate) use said::Said;
pub use said::{Claim, ClaimsSet, Texts};
pub use static_key::{StaticKey, StaticKeyFault};
pub use vouching::Vouched;

use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value};

use crate::credential::{RawToken, TOKEN_LIMIT};
use crate::login::{LogoutExpectation, LogoutToken};
use crate::time::Timestamp;
pub(crate) use claims::{check_audience, check_issuer, check_subject, check_times, check_types, time};

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
    raw: RawToken<'t>,
    signed: &'t [u8],
    payload: &'t str,
    signature: Vec<u8>,
    header: Arc<Header>,
}

/// Claims whose signature, issuer, audience, type and times were checked. Only made by verifying.
#[derive(Debug, Clone)]
pub struct VerifiedToken {
    claims: TokenClaims,
    expires: Timestamp,
}

#[derive(Debug, Clone)]
pub(crate) enum TokenClaims {
    /// What the token says.
    Said {
        said: Said,
        /// The token itself, where somebody may look up later what it says.
        whole: Option<Arc<[u8]>>,
        read: OnceLock<Map<String, Value>>,
    },
    /// The same under our names.
    Mapped(Map<String, Value>),
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
        Self::parse_like(raw, None, algorithms, token_type)
    }

    /// The same beside the header of a token that was parsed before, for the same `algorithms` and `token_type`: an issuer writes the
    /// same one on most of its tokens, and the same text need not be read again.
    ///
    /// # Errors
    /// As for [`Self::parse`].
    pub fn parse_like(
        raw: RawToken<'t>,
        known: Option<&Arc<Header>>,
        algorithms: &[Algorithm],
        token_type: TokenType,
    ) -> Result<Self, TokenFault> {
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
        let header = match known.filter(|known| known.is_of(header)) {
            Some(known) => known.clone(),
            None => Arc::new(Header::parse(header, algorithms, token_type)?),
        };
        let signature = json::base64url(signature)?;
        Ok(Self { raw, signed, payload, signature, header })
    }

    /// What [`Self::parse_like`] compares others with.
    pub fn header(&self) -> &Arc<Header> {
        &self.header
    }

    /// The `kid` it names: chooses among keys we have, never fetches one.
    pub fn key_id(&self) -> Option<&str> {
        self.header.key_id.as_deref()
    }

    fn verified_claims(&self, keys: &KeySet) -> Result<Said, TokenFault> {
        keys.verify(self.key_id(), self.header.algorithm, self.signed, &self.signature)?;
        Said::read(&json::base64url(self.payload)?)
    }

    /// Verifies an access token presented as a bearer (RFC 9068 §4, RFC 8725 §3).
    ///
    /// # Errors
    /// [`TokenFault`]; [`TokenFault::UnknownKey`] may become another answer once the keys were fetched anew.
    pub fn verify_access_token(&self, keys: &KeySet, profile: &AccessTokenProfile, now: Timestamp) -> Result<VerifiedToken, TokenFault> {
        let claims = self.verified_claims(keys)?;
        let expires = profile.check(&claims, self.header.is_at_jwt, now)?;
        Ok(VerifiedToken::said(claims, Some(self.raw.as_bytes().into()), expires))
    }

    /// Verifies a provider's word that a session or a person is signed out (Back-Channel Logout §2.6).
    ///
    /// # Errors
    /// As above.
    pub fn verify_logout_token(&self, keys: &KeySet, expected: &LogoutExpectation<'_>, now: Timestamp) -> Result<LogoutToken, TokenFault> {
        LogoutToken::check(&self.verified_claims(keys)?, expected, now)
    }

    /// Verifies an ID token that answered our own request (OIDC Core §3.1.3.7).
    ///
    /// # Errors
    /// As above.
    pub fn verify_id_token(&self, keys: &KeySet, expected: &IdTokenExpectation<'_>, now: Timestamp) -> Result<VerifiedToken, TokenFault> {
        let claims = self.verified_claims(keys)?;
        let expires = expected.check(&claims, self.header.algorithm, now)?;
        Ok(VerifiedToken::said(claims, None, expires))
    }
}

impl VerifiedToken {
    fn said(said: Said, whole: Option<Arc<[u8]>>, expires: Timestamp) -> Self {
        Self { claims: TokenClaims::Said { said, whole, read: OnceLock::new() }, expires }
    }

    pub fn claims(&self) -> &Map<String, Value> {
        match &self.claims {
            TokenClaims::Said { said, read, .. } => read.get_or_init(|| said.to_map().into_owned()),
            TokenClaims::Mapped(claims) => claims,
        }
    }

    /// When `exp` is reached, leeway not included.
    pub fn expires(&self) -> Timestamp {
        self.expires
    }

    /// The same token, its claims under our names.
    pub(crate) fn with_claims(self, claims: Map<String, Value>) -> Self {
        Self { claims: TokenClaims::Mapped(claims), ..self }
    }

    /// The token itself, where its claims are what it says.
    pub fn whole(&self) -> Option<&Arc<[u8]>> {
        match &self.claims {
            TokenClaims::Said { whole, .. } => whole.as_ref(),
            TokenClaims::Mapped(_) => None,
        }
    }

    pub(crate) fn into_claims(self) -> TokenClaims {
        self.claims
    }
}

/// Which issuer a token says it is from. Nobody has checked that: it says in which order providers are asked, and no more.
pub fn claimed_issuer(raw: RawToken<'_>) -> Option<String> {
    let text = raw.expose();
    if text.len() > TOKEN_LIMIT {
        return None;
    }
    claims_said(text).ok()?.get("iss").and_then(Value::as_str).map(str::to_owned)
}

/// What a token says, whoever wrote it.
///
/// # Errors
/// [`TokenFault::Malformed`].
pub(crate) fn claims_said(token: &str) -> Result<Map<String, Value>, TokenFault> {
    json::object(&json::base64url(token.split('.').nth(1).ok_or(TokenFault::Malformed)?)?)
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
