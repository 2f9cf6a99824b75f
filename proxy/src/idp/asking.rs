//! Whether a bearer token still counts: introspection (RFC 7662), or what userinfo says to its bearer (OIDC Core §5.3).

use std::time::Duration;

use doorward_config::settings::{Revalidate, RevalidateBy};
use doorward_policy::time::Timestamp;
use doorward_policy::token::{TokenFault, Vouched, strict_object};
use reqwest::StatusCode;

use super::authentication::{AssertionFault, authenticate};
use super::fetch::Answer;
use super::{FetchFault, Filling, IdpClient, Metadata};

/// Why a provider's answer is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AskFault {
    #[error(transparent)]
    Fetch(#[from] FetchFault),
    #[error(transparent)]
    Assertion(#[from] AssertionFault),
    #[error("the provider names no endpoint for that")]
    NoEndpoint,
    #[error("the provider does not accept our client id, secret or way of sending it")]
    ClientRefused,
    #[error("the answer is not what the standard says")]
    Malformed,
    #[error("the provider wants to be left alone for {} seconds", .0.as_secs())]
    LeftAlone(Duration),
    #[error("the provider wants no questions about one person for {} seconds", .0.as_secs())]
    PersonLeftAlone(Duration),
}

impl AskFault {
    /// What metrics call it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Fetch(_) => "unreachable",
            Self::Assertion(_) => "client_assertion",
            Self::NoEndpoint => "no_endpoint",
            Self::ClientRefused => "client_refused",
            Self::Malformed => "malformed",
            Self::LeftAlone(_) | Self::PersonLeftAlone(_) => "left_alone",
        }
    }
}

/// What was learnt: until when the token counts at most, or that it does not.
pub type Verdict = Result<Option<Timestamp>, TokenFault>;

impl IdpClient {
    /// Asks about one token.
    ///
    /// # Errors
    /// [`AskFault`]: whether it counts is not known.
    pub async fn ask(
        &self,
        revalidate: &Revalidate,
        metadata: Option<&Metadata>,
        token: &str,
        vouched: &Vouched,
        now: Timestamp,
    ) -> Result<Verdict, AskFault> {
        let template = &revalidate.request;
        let named = metadata.and_then(|metadata| match revalidate.by {
            RevalidateBy::Introspection => metadata.introspection_endpoint.as_ref(),
            RevalidateBy::Userinfo => metadata.userinfo_endpoint.as_ref(),
        });
        let usual = template.url.as_ref().or(named).ok_or(AskFault::NoEndpoint)?;
        let filling = Filling { access_token: Some(token), ..self.filling() };
        let mut url = filling.address(template, usual).into_owned();
        match revalidate.by {
            RevalidateBy::Introspection => {
                let request = filling.headers(template, self.fetcher.post(&url));
                let form = filling.form(template, &[("token", token), ("token_type_hint", "access_token")]);
                let request = authenticate(self.provider(), request, form, now)?;
                introspected(&self.fetcher.send(&url, request).await?, vouched, now)
            }
            RevalidateBy::Userinfo => {
                let params: Vec<(&str, String)> = filling.params(template).collect();
                if !params.is_empty() {
                    url.query_pairs_mut().extend_pairs(params);
                }
                // RFC 6750 §2.1
                let request = filling.headers(template, self.fetcher.get(&url).bearer_auth(token));
                described(&self.fetcher.send(&url, request).await?, vouched)
            }
        }
    }
}

/// RFC 7662 §2.2: only 200 says anything about the token; 401 is about us (§2.3).
fn introspected(answer: &Answer, vouched: &Vouched, now: Timestamp) -> Result<Verdict, AskFault> {
    match answer.status {
        StatusCode::OK if !answer.json => Err(FetchFault::ContentType.into()),
        StatusCode::OK => Ok(vouched.introspected(&strict_object(&answer.body).map_err(|_| AskFault::Malformed)?, now)),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(AskFault::ClientRefused),
        _ => Err(unanswered(answer)),
    }
}

/// OIDC Core §5.3.3, RFC 6750 §3.1: 401 says that the token counts no longer, 403 that it never was one for this.
fn described(answer: &Answer, vouched: &Vouched) -> Result<Verdict, AskFault> {
    match answer.status {
        StatusCode::OK if !answer.json => Err(FetchFault::ContentType.into()),
        StatusCode::OK => Ok(vouched.described(&strict_object(&answer.body).map_err(|_| AskFault::Malformed)?).map(|()| None)),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Ok(Err(TokenFault::Revoked)),
        // Auth0 counts by user: one with many tokens must not keep all others from being asked about.
        StatusCode::TOO_MANY_REQUESTS => Err(match unanswered(answer) {
            AskFault::LeftAlone(asked) => AskFault::PersonLeftAlone(asked),
            other => other,
        }),
        _ => Err(unanswered(answer)),
    }
}

fn unanswered(answer: &Answer) -> AskFault {
    answer.retry_after.map_or(FetchFault::Status(answer.status.as_u16()).into(), AskFault::LeftAlone)
}
