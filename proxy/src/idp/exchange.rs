//! The token request and response (RFC 6749 §4.1.3, OIDC Core §3.1.3), and user information (§5.3).

use std::fmt;
use std::time::Duration;

use doorward_policy::login::Attempt;
use doorward_policy::session::Tokens;
use doorward_policy::time::Timestamp;
use doorward_policy::token::strict_object;
use serde_json::{Map, Value};

use super::authentication::{AssertionFault, authenticate};
use super::fetch::Answer;
use super::{FetchFault, Filling, IdpClient, Metadata};

/// What a code or a refresh token was worth.
pub struct TokenResponse {
    /// Never absent for a code; a refresh may bring none (OIDC Core §12.2).
    pub id_token: Option<String>,
    pub access_token: String,
    pub refresh_token: Option<String>,
    /// RFC 6749 §5.1 `expires_in`, in seconds.
    pub expires_in: Option<u64>,
}

impl TokenResponse {
    /// What a session keeps of it.
    pub fn tokens(self, now: Timestamp) -> Tokens {
        Tokens {
            access_token: Some(self.access_token.into()),
            access_expires: self.expires_in.map(|seconds| now.plus(Duration::from_secs(seconds))),
            obtained: Some(now),
            refresh_token: self.refresh_token.map(Into::into),
            id_token: self.id_token.map(Into::into),
        }
    }
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
    #[error("the provider does not accept the code or refresh token")]
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

/// Why a refresh brought nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefreshFault {
    pub fault: ExchangeFault,
    /// RFC 9110 §10.2.3 `Retry-After`.
    pub retry_after: Option<Duration>,
}

impl From<ExchangeFault> for RefreshFault {
    fn from(fault: ExchangeFault) -> Self {
        Self { fault, retry_after: None }
    }
}

impl IdpClient {
    /// Redeems an authorization code.
    ///
    /// # Errors
    /// [`ExchangeFault`].
    pub async fn redeem(&self, metadata: &Metadata, attempt: &Attempt, code: &str, now: Timestamp) -> Result<TokenResponse, ExchangeFault> {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &*attempt.redirect_uri),
            // RFC 7636 §4.5
            ("code_verifier", &*attempt.verifier),
        ];
        let template = &self.provider().requests.token;
        let filling = Filling { redirect_uri: Some(&attempt.redirect_uri), code: Some(code), ..self.filling() };
        let url = filling.address(template, &metadata.token_endpoint);
        let request = filling.headers(template, self.fetcher.post(&url));
        let request = authenticate(self.provider(), request, filling.form(template, &form), now)?;
        let answer = self.fetcher.send(&url, request).await?;
        let tokens = token_response(&answer)?;
        if tokens.id_token.is_some() { Ok(tokens) } else { Err(ExchangeFault::NoIdToken) }
    }

    /// Asks for new tokens (RFC 6749 §6, OIDC Core §12).
    ///
    /// # Errors
    /// [`ExchangeFault`]; and how long the provider wants to be left alone, if it says so.
    pub async fn refresh(&self, metadata: &Metadata, refresh_token: &str, now: Timestamp) -> Result<TokenResponse, RefreshFault> {
        let template = &self.provider().requests.refresh;
        let filling = Filling { refresh_token: Some(refresh_token), ..self.filling() };
        let url = filling.address(template, &metadata.token_endpoint);
        let request = filling.headers(template, self.fetcher.post(&url));
        let form = filling.form(template, &[("grant_type", "refresh_token"), ("refresh_token", refresh_token)]);
        let request = authenticate(self.provider(), request, form, now).map_err(ExchangeFault::from)?;
        let answer = self.fetcher.send(&url, request).await.map_err(ExchangeFault::from)?;
        token_response(&answer).map_err(|fault| RefreshFault { fault, retry_after: answer.retry_after })
    }

    /// Tells the provider that nobody needs this refresh token any more (RFC 7009). A provider without an endpoint for that
    /// is not told.
    ///
    /// # Errors
    /// [`ExchangeFault`]: whether it counts on is not known.
    pub async fn revoke(&self, metadata: &Metadata, refresh_token: &str, now: Timestamp) -> Result<(), ExchangeFault> {
        let Some(url) = &metadata.revocation_endpoint else { return Ok(()) };
        let form = vec![("token".into(), refresh_token.to_owned()), ("token_type_hint".into(), "refresh_token".to_owned())];
        let request = authenticate(self.provider(), self.fetcher.post(url), form, now)?;
        let answer = self.fetcher.send(url, request).await?;
        // RFC 7009 §2.2: also for a token that is none.
        if answer.status == 200 { Ok(()) } else { Err(refusal(answer.status.as_u16(), &answer.body)) }
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

fn token_response(answer: &Answer) -> Result<TokenResponse, ExchangeFault> {
    if answer.status != 200 {
        return Err(refusal(answer.status.as_u16(), &answer.body));
    }
    if !answer.json {
        return Err(FetchFault::ContentType.into());
    }
    read(&answer.body)
}

fn read(body: &[u8]) -> Result<TokenResponse, ExchangeFault> {
    let answer = strict_object(body).map_err(|_| ExchangeFault::Malformed)?;
    let text = |name: &str| answer.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
    // RFC 6749 §7.1: a token type we do not know is a token we must not use.
    if !text("token_type").is_some_and(|kind| kind.eq_ignore_ascii_case("bearer")) {
        return Err(ExchangeFault::Malformed);
    }
    let expires_in = answer.get("expires_in").map(|seconds| seconds.as_u64().ok_or(ExchangeFault::Malformed)).transpose()?;
    let access_token = text("access_token").ok_or(ExchangeFault::Malformed)?;
    Ok(TokenResponse { id_token: text("id_token"), access_token, refresh_token: text("refresh_token"), expires_in })
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
        (_, Some("interaction_required" | "login_required" | "consent_required" | "mfa_required" | "account_selection_required")) => {
            ExchangeFault::Refused("interaction_required")
        }
        (status, _) => ExchangeFault::Fetch(FetchFault::Status(status)),
    }
}
