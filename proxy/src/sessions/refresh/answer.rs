//! The question to the provider, and what its answer means for the session.

use std::sync::Arc;
use std::time::Duration;

use doorward_policy::session::Record;
use doorward_policy::time::Timestamp;
use doorward_policy::token::TokenFault;

use super::pace::Pace;
use crate::claims::{self, ClaimsFault, Occasion};
use crate::clock;
use crate::idp::{ExchangeFault, FetchFault, RefreshFault, TokenResponse};
use crate::keys::Budget;
use crate::runtime::ProviderRuntime;

/// What the provider's answer means for the session.
pub(super) enum Brought {
    /// The next record: with everything, or only with the new refresh token, where nothing else could be proven now.
    Record { record: Box<Record>, proven: bool },
    /// Nothing, and the session is as it was.
    Nothing { retry_after: Option<Duration> },
    /// The provider ended it: `invalid_grant`.
    Refused,
    /// Not to be believed, or not without the person. The token that came with it is nobody's.
    Rejected { refresh_token: Option<String> },
}

/// The token request and what it proves. A request whose answer was lost is sent once more: either the provider did not
/// see it, or its `invalid_grant` says that it did.
pub(super) async fn ask(provider: &Arc<ProviderRuntime>, pace: &Pace, record: &Record, refresh_token: &str) -> Brought {
    let name = provider.settings().name.as_str();
    let Some(current) = provider.keys.ready(Budget::SignIn).await else { return Brought::Nothing { retry_after: None } };
    let mut answer = provider.client.refresh(&current.metadata, refresh_token, clock::now()).await;
    if let Err(RefreshFault { fault: ExchangeFault::Fetch(FetchFault::Broken | FetchFault::Timeout), .. }) = answer {
        tracing::warn!(provider = name, "the answer to a token refresh was lost; asking once more");
        answer = provider.client.refresh(&current.metadata, refresh_token, clock::now()).await;
    }
    match answer {
        Ok(answer) => prove(provider, record, answer, clock::now()).await,
        Err(RefreshFault { fault: ExchangeFault::CodeRefused, .. }) => {
            tracing::info!(provider = name, "a session ends: the provider no longer accepts its refresh token");
            Brought::Refused
        }
        Err(RefreshFault { fault: fault @ ExchangeFault::Refused("access_denied" | "interaction_required"), .. }) => {
            tracing::info!(provider = name, "a session ends: {fault}");
            Brought::Rejected { refresh_token: Some(refresh_token.to_owned()) }
        }
        Err(RefreshFault { fault, retry_after }) => {
            tracing::warn!(provider = name, reason = fault.label(), "tokens could not be refreshed: {fault}");
            if let Some(asked) = retry_after {
                pace.leave_alone(asked);
            }
            Brought::Nothing { retry_after }
        }
    }
}

/// What an answer proves about the session it was for (OIDC Core §12.2).
async fn prove(provider: &Arc<ProviderRuntime>, record: &Record, answer: TokenResponse, now: Timestamp) -> Brought {
    let name = provider.settings().name.as_str();
    let rejected = |answer: &TokenResponse| Brought::Rejected {
        refresh_token: answer.refresh_token.clone().or_else(|| record.tokens.refresh_token.as_deref().map(str::to_owned)),
    };
    match claims::gather(provider, &answer, Occasion::Refresh(record), now).await {
        Ok(proven) => {
            let unknown = rejected(&answer);
            let mut tokens = answer.tokens(now);
            tokens.access_expires = tokens.access_expires.into_iter().chain(proven.access_ends).min();
            record.renewed(&proven.claims, tokens).map_or_else(
                || {
                    tracing::warn!(provider = name, "a session ends: its refreshed ID token is about somebody else");
                    unknown
                },
                |record| Brought::Record { record: Box::new(record), proven: true },
            )
        }
        Err(
            ClaimsFault::ProviderDown
            | ClaimsFault::Exchange(ExchangeFault::Fetch(_))
            | ClaimsFault::IdToken(TokenFault::UnknownKey)
            | ClaimsFault::AccessToken(TokenFault::UnknownKey),
        ) => {
            tracing::warn!(provider = name, "tokens were refreshed, but what they say cannot be verified now");
            // It used up the old one: the next attempt needs this.
            answer.refresh_token.map_or(Brought::Nothing { retry_after: None }, |token| Brought::Record {
                record: Box::new(record.rotated(token.into())),
                proven: false,
            })
        }
        Err(fault) => {
            tracing::warn!(provider = name, "a session ends: its refreshed tokens are not to be believed: {fault:?}");
            rejected(&answer)
        }
    }
}
