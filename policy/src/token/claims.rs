//! What the claims of a signed token must say.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Number;
use subtle::ConstantTimeEq;

use super::{Algorithm, Claim, ClaimsSet, TokenFault};
use crate::time::Timestamp;

/// Clocks differ; this much is forgiven (RFC 7519 §4.1.4: "no more than a few minutes").
pub const LEEWAY: Duration = Duration::from_secs(30);
/// An ID token answers a request of a moment ago.
const FRESH: Duration = Duration::from_secs(600);
/// 9999-12-31: no honest token ends later.
const LAST: f64 = 253_402_300_799.0;
/// OIDC Core §2: a subject has at most 255 ASCII characters.
const SUBJECT_LIMIT: usize = 255;

/// What an access token must be for us.
#[derive(Debug, Clone)]
pub struct AccessTokenProfile {
    /// Compared byte for byte; Auth0's ends in `/`.
    pub issuer: Box<str>,
    pub audience: Box<str>,
    /// When sign-in is bound to an organization, so are tokens.
    pub organization: Option<Box<str>>,
}

impl AccessTokenProfile {
    pub(super) fn check(&self, claims: &impl ClaimsSet, is_at_jwt: bool, now: Timestamp) -> Result<Timestamp, TokenFault> {
        check_types(claims)?;
        check_issuer(claims, &self.issuer)?;
        check_subject(claims)?;
        // RFC 8725 §3.9: meant for us.
        check_audience(claims, &self.audience)?;
        // Back-Channel Logout §2.4: a logout token may look like any other JWT but for this; it opens nothing.
        if claims.claim("events").is_some() {
            return Err(TokenFault::Events);
        }
        check_organization(claims, self.organization.as_deref())?;
        // RFC 9068 §2.2: its own type requires these.
        if is_at_jwt && !["iat", "jti", "client_id"].iter().all(|name| claims.claim(name).is_some()) {
            return Err(TokenFault::MissingClaim);
        }
        check_times(claims, now)
    }
}

/// What an ID token must repeat of our request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nonce<'e> {
    /// It answers an authentication request: exactly this one.
    Exactly(&'e str),
    /// OIDC Core §12.2: it came with a refresh, where it need not say one, but no other than at sign-in.
    Repeated(Option<&'e str>),
}

impl Nonce<'_> {
    fn admits(self, said: Option<&str>) -> bool {
        let same = |said: &str, expected: &str| bool::from(said.as_bytes().ct_eq(expected.as_bytes()));
        match (self, said) {
            (Self::Exactly(expected) | Self::Repeated(Some(expected)), Some(said)) => same(said, expected),
            (Self::Repeated(_), None) => true,
            (Self::Exactly(_), None) | (Self::Repeated(None), Some(_)) => false,
        }
    }
}

/// What an ID token must be to answer our request (OIDC Core §3.1.3.7).
#[derive(Debug, Clone)]
pub struct IdTokenExpectation<'e> {
    pub issuer: &'e str,
    pub client_id: &'e str,
    pub nonce: Nonce<'e>,
    /// The access token it came with, for `at_hash`.
    pub access_token: Option<&'e str>,
    pub organization: Option<&'e str>,
}

impl IdTokenExpectation<'_> {
    pub(super) fn check(&self, claims: &impl ClaimsSet, algorithm: Algorithm, now: Timestamp) -> Result<Timestamp, TokenFault> {
        check_types(claims)?;
        // (2) the issuer, exactly.
        check_issuer(claims, self.issuer)?;
        check_subject(claims)?;
        // (3) our client id, and no other audience that we would have to trust.
        if check_audience(claims, self.client_id)? != 1 {
            return Err(TokenFault::Audience);
        }
        // (4), (5)
        if claims.claim("azp").is_some_and(|party| party.as_str() != Some(self.client_id)) {
            return Err(TokenFault::AuthorizedParty);
        }
        // (9) not expired; (10) issued just now.
        let expires = check_times(claims, now)?;
        let issued = time(claims, "iat")?.ok_or(TokenFault::MissingClaim)?;
        if issued.plus(FRESH) < now {
            return Err(TokenFault::NotFresh);
        }
        // (11) the answer to this very request.
        if !self.nonce.admits(claims.text("nonce")) {
            return Err(TokenFault::Nonce);
        }
        // §3.1.3.8: the access token that came with it.
        if let (Some(hash), Some(token)) = (claims.text("at_hash"), self.access_token)
            && !access_token_hash_matches(algorithm, token, hash)
        {
            return Err(TokenFault::AccessTokenHash);
        }
        check_organization(claims, self.organization)?;
        Ok(expires)
    }
}

/// OIDC Core §3.1.3.6: the left half of the token's hash.
pub fn access_token_hash_matches(algorithm: Algorithm, access_token: &str, at_hash: &str) -> bool {
    let digest = aws_lc_rs::digest::digest(algorithm.digest(), access_token.as_bytes());
    let half = &digest.as_ref()[..digest.as_ref().len() / 2];
    URL_SAFE_NO_PAD.encode(half).as_bytes().ct_eq(at_hash.as_bytes()).into()
}

/// A claim of the wrong type is a token we do not understand, even where the claim is optional (CVE-2026-25537).
pub(crate) fn check_types(claims: &impl ClaimsSet) -> Result<(), TokenFault> {
    let fits = |name: &str, value: Claim<'_>| match name {
        "iss" | "sub" | "jti" | "azp" | "client_id" | "scope" | "sid" | "nonce" | "acr" | "at_hash" | "org_id" => value.as_str().is_some(),
        "exp" | "nbf" | "iat" | "auth_time" => value.as_number().is_some(),
        _ => true,
    };
    if claims.all(fits) { Ok(()) } else { Err(TokenFault::ClaimType) }
}

pub(crate) fn check_issuer(claims: &impl ClaimsSet, expected: &str) -> Result<(), TokenFault> {
    match claims.text("iss") {
        Some(issuer) if issuer == expected => Ok(()),
        Some(_) => Err(TokenFault::Issuer),
        None => Err(TokenFault::MissingClaim),
    }
}

pub(crate) fn check_subject(claims: &impl ClaimsSet) -> Result<(), TokenFault> {
    match claims.text("sub") {
        Some(subject) if (1..=SUBJECT_LIMIT).contains(&subject.len()) => Ok(()),
        Some(_) => Err(TokenFault::Subject),
        None => Err(TokenFault::MissingClaim),
    }
}

/// RFC 7519 §4.1.3: one text, or an array of nothing but texts; `wanted` is among them. How many there are.
pub(crate) fn check_audience(claims: &impl ClaimsSet, wanted: &str) -> Result<usize, TokenFault> {
    let audience = claims.claim("aud").ok_or(TokenFault::MissingClaim)?;
    let (mut count, mut is_text, mut is_ours) = (0, true, false);
    let mut see = |text: Option<&str>| {
        count += 1;
        is_text &= text.is_some();
        is_ours |= text == Some(wanted);
    };
    if !audience.each_item(&mut see) {
        see(audience.as_str());
    }
    match (is_text, is_ours) {
        (false, _) => Err(TokenFault::ClaimType),
        (true, false) => Err(TokenFault::Audience),
        (true, true) => Ok(count),
    }
}

fn check_organization(claims: &impl ClaimsSet, expected: Option<&str>) -> Result<(), TokenFault> {
    match expected {
        Some(organization) if !is_of_organization(claims, organization) => Err(TokenFault::Organization),
        _ => Ok(()),
    }
}

/// Whether these claims are about a member of `organization`. Auth0's ids begin with `org_` and are exact; anything else is a
/// name, which Auth0 keeps in lower case however it was written.
pub fn is_of_organization(claims: &impl ClaimsSet, organization: &str) -> bool {
    if organization.starts_with("org_") {
        return claims.text("org_id") == Some(organization);
    }
    claims.text("org_name").is_some_and(|name| !name.is_empty() && name.eq_ignore_ascii_case(organization))
}

pub(crate) fn check_times(claims: &impl ClaimsSet, now: Timestamp) -> Result<Timestamp, TokenFault> {
    // RFC 7519 §4.1.4; a token without an end would be one for ever.
    let expires = time(claims, "exp")?.ok_or(TokenFault::MissingClaim)?;
    if expires.plus(LEEWAY) <= now {
        return Err(TokenFault::Expired);
    }
    // RFC 7519 §4.1.5, §4.1.6
    for name in ["nbf", "iat"] {
        if time(claims, name)?.is_some_and(|start| start > now.plus(LEEWAY)) {
            return Err(TokenFault::NotYetValid);
        }
    }
    Ok(expires)
}

/// A `NumericDate` (RFC 7519 §2): a number, whole or not, between 1970 and 9999.
pub(crate) fn time(claims: &impl ClaimsSet, name: &str) -> Result<Option<Timestamp>, TokenFault> {
    let Some(value) = claims.claim(name) else { return Ok(None) };
    let seconds = value.as_number().and_then(Number::as_f64).ok_or(TokenFault::ClaimType)?;
    if !(0.0..=LAST).contains(&seconds) {
        return Err(TokenFault::ClaimType);
    }
    // In range, so nothing is cut off but the fraction.
    #[allow(clippy::cast_possible_truncation)]
    let seconds = seconds as i64;
    Ok(Some(Timestamp(seconds)))
}
