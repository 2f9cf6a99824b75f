//! The token request and response (RFC 6749 §4.1.3, OIDC Core §3.1.3), and user information (§5.3).

use std::fmt;

use doorward_policy::login::Attempt;
use doorward_policy::time::Timestamp;
use doorward_policy::token::strict_object;
use serde_json::{Map, Value};

use super::authentication::{AssertionFault, authenticate};
use super::{FetchFault, IdpClient, Metadata};

/// What a code was worth.
pub struct TokenResponse {
    pub id_token: String,
    pub access_token: String,
}

impl fmt::Debug for TokenResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenResponse([redacted])")
    }
}

/// Why an exchange failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ExchangeFault {
    #[error(transparent)]
    Fetch(#[from] FetchFault),
    #[error(transparent)]
    Assertion(#[from] AssertionFault),
    /// RFC 6749 §5.2 `invalid_client`, and Auth0's 401 `access_denied`.
    #[error("the provider does not accept our client id, secret or way of sending it")]
    ClientRefused,
    /// RFC 6749 §5.2 `invalid_grant`.
    #[error("the provider does not accept the code")]
    CodeRefused,
    #[error("the provider refused with `{0}`")]
    Refused(&'static str),
    #[error("the answer is not a token response")]
    Malformed,
    #[error("the answer holds no ID token")]
    NoIdToken,
    #[error("the user information is about somebody else")]
    OtherSubject,
    #[error("the provider names no userinfo endpoint")]
    NoUserinfo,
}

impl ExchangeFault {
    /// What metrics call it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Fetch(_) => "provider_unreachable",
            Self::Assertion(_) => "client_assertion",
            Self::ClientRefused => "client_refused",
            Self::CodeRefused => "code_refused",
            Self::Refused(_) => "token_error",
            Self::Malformed | Self::NoIdToken => "token_response",
            Self::OtherSubject => "userinfo_subject",
            Self::NoUserinfo => "userinfo_missing",
        }
    }
}

impl IdpClient {
    /// Redeems an authorization code.
    ///
    /// # Errors
    /// [`ExchangeFault`].
    pub async fn redeem(&self, metadata: &Metadata, attempt: &Attempt, code: &str, now: Timestamp) -> Result<TokenResponse, ExchangeFault> {
        let form = vec![
            ("grant_type", "authorization_code".to_owned()),
            ("code", code.to_owned()),
            ("redirect_uri", attempt.redirect_uri.to_string()),
            // RFC 7636 §4.5
            ("code_verifier", attempt.verifier.to_string()),
        ];
        let url = &metadata.token_endpoint;
        let request = authenticate(self.provider(), self.fetcher.post(url), form, now)?;
        let answer = self.fetcher.send(url, request).await?;
        if answer.status != 200 {
            return Err(refusal(answer.status.as_u16(), &answer.body));
        }
        if !answer.json {
            return Err(FetchFault::ContentType.into());
        }
        read(&answer.body)
    }

    /// Asks for the user's claims with the access token.
    ///
    /// # Errors
    /// [`ExchangeFault`]; OIDC Core §5.3.2: claims about another subject are no claims.
    pub async fn userinfo(&self, metadata: &Metadata, access_token: &str, subject: &str) -> Result<Map<String, Value>, ExchangeFault> {
        let url = metadata.userinfo_endpoint.as_ref().ok_or(ExchangeFault::NoUserinfo)?;
        let answer = self.fetcher.send(url, self.fetcher.get(url).bearer_auth(access_token)).await?;
        if answer.status != 200 {
            return Err(FetchFault::Status(answer.status.as_u16()).into());
        }
        if !answer.json {
            return Err(FetchFault::ContentType.into());
        }
        let claims = strict_object(&answer.body).map_err(|_| ExchangeFault::Malformed)?;
        if claims.get("sub").and_then(Value::as_str) == Some(subject) { Ok(claims) } else { Err(ExchangeFault::OtherSubject) }
    }
}

fn read(body: &[u8]) -> Result<TokenResponse, ExchangeFault> {
    let answer = strict_object(body).map_err(|_| ExchangeFault::Malformed)?;
    let text = |name: &str| answer.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
    // RFC 6749 §7.1: a token type we do not know is a token we must not use.
    if !text("token_type").is_some_and(|kind| kind.eq_ignore_ascii_case("bearer")) {
        return Err(ExchangeFault::Malformed);
    }
    if answer.get("expires_in").is_some_and(|seconds| seconds.as_u64().is_none()) {
        return Err(ExchangeFault::Malformed);
    }
    let access_token = text("access_token").ok_or(ExchangeFault::Malformed)?;
    let id_token = text("id_token").ok_or(ExchangeFault::NoIdToken)?;
    Ok(TokenResponse { id_token, access_token })
}

/// The provider's `error` code chooses among texts of ours; its own words are neither shown nor logged.
fn refusal(status: u16, body: &[u8]) -> ExchangeFault {
    let error = strict_object(body).ok().and_then(|answer| answer.get("error").and_then(Value::as_str).map(str::to_owned));
    match (status, error.as_deref()) {
        (_, Some("invalid_client")) | (401, _) => ExchangeFault::ClientRefused,
        (_, Some("invalid_grant")) => ExchangeFault::CodeRefused,
        (_, Some("unauthorized_client")) => ExchangeFault::Refused("unauthorized_client"),
        (_, Some("access_denied")) => ExchangeFault::Refused("access_denied"),
        (_, Some("invalid_request")) => ExchangeFault::Refused("invalid_request"),
        (_, Some("unsupported_grant_type")) => ExchangeFault::Refused("unsupported_grant_type"),
        (status, _) => ExchangeFault::Fetch(FetchFault::Status(status)),
    }
}
