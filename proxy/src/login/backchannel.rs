//! `logout/backchannel`: a provider tells us, server to server, that somebody is signed out (OpenID Connect Back-Channel
//! Logout 1.0 §2.5–2.8). Nothing changes that a provider of ours did not sign.

use doorward_policy::credential::RawToken;
use doorward_policy::login::{LogoutExpectation, LogoutTarget, LogoutToken};
use doorward_policy::session::What;
use doorward_policy::time::Timestamp;
use doorward_policy::token::{TokenFault, TokenType, UnverifiedToken};
use http::{HeaderValue, header};
use serde_json::json;

use super::Served;
use crate::audit::{self, Cause};
use crate::body;
use crate::gate::Ask;
use crate::keys::Budget;
use crate::reply::Reply;
use crate::runtime::{ProviderRuntime, Runtime};

/// Why nobody was signed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// Not a form with exactly one `logout_token`.
    Unreadable,
    Token(TokenFault),
    /// The same token again.
    Replayed,
    TooMany,
    /// The keys that would tell are not to be had now.
    ProviderDown,
    /// It counts in this process; others do not know yet.
    NotStored,
}

impl Refusal {
    fn label(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Token(fault) => fault.label(),
            Self::Replayed => "replayed",
            Self::TooMany => "too_many",
            Self::ProviderDown => "provider_down",
            Self::NotStored => "not_stored",
        }
    }
}

/// Answers 200 once the sessions count no longer, else 400 (§2.8); 429 and 503 say that it may be tried again. Neither
/// answer tells whether there was any session: nobody looked.
pub(super) async fn serve(runtime: &Runtime, ask: &Ask<'_>) -> Served {
    let outcome = accept(runtime, ask).await;
    let label = outcome.err().map_or("ok", Refusal::label);
    runtime.metrics.logouts.with_label_values(&["backchannel", label]).inc();
    let refused = |status, error: &str| Reply::json(status, &json!({ "error": error, "request_id": ask.request_id }));
    let later = HeaderValue::from_static("10");
    let reply = match outcome {
        Ok(()) => Reply::new(200),
        Err(Refusal::TooMany) => refused(429, "too_many").field(header::RETRY_AFTER, HeaderValue::from_static("60")),
        Err(Refusal::ProviderDown | Refusal::NotStored) => refused(503, "temporarily_unavailable").field(header::RETRY_AFTER, later),
        Err(Refusal::Unreadable | Refusal::Token(_) | Refusal::Replayed) => refused(400, "invalid_request"),
    };
    if let Err(refusal) = outcome {
        tracing::warn!(request_id = ask.request_id, reason = refusal.label(), "a logout token signed nobody out");
        // Of what counts here already there is a line that says so.
        if refusal != Refusal::NotStored {
            audit::sign_out_failed(runtime, ask, "back_channel", refusal.label());
        }
    }
    Served { reason: if outcome.is_ok() { "signed_out_by_provider" } else { label }, reply }
}

async fn accept(runtime: &Runtime, ask: &Ask<'_>) -> Result<(), Refusal> {
    // Providers of many tenants send all tokens from one address: whoever has another tenant there must not silence ours. So
    // a good token is always heard; after too many bad ones nothing is fetched for the next.
    let crowded = runtime.attempts.many_bad_sign_outs(ask.client);
    let verified = verify(runtime, ask, !crowded).await;
    if let Err(Refusal::Unreadable | Refusal::Token(_)) = verified {
        runtime.attempts.bad_sign_out(ask.client);
    }
    let (provider, token) = verified.map_err(|refusal| if crowded { Refusal::TooMany } else { refusal })?;
    let settings = provider.settings();
    // §2.6 (8). A store that cannot say costs nothing: what was revoked before is revoked again, to the same effect.
    let name = format!("jti {} {}", settings.issuer, token.id);
    if let Ok(false) = runtime.store.take(&name, ask.request_id, LogoutToken::REPLAY_WINDOW).await {
        return Err(Refusal::Replayed);
    }
    let issuer = settings.issuer.as_str().into();
    let what = match token.target {
        LogoutTarget::ProviderSession(sid) => What::ProviderSession { issuer, sid },
        LogoutTarget::Subject(sub) => What::Subject { issuer, sub },
    };
    tracing::info!(provider = settings.name, request_id = ask.request_id, what = what.label(), "signed out by the provider");
    let stored = runtime.revocations.end(what.clone(), token.issued, ask.now).await;
    audit::ended(runtime, Cause::of(ask), "back_channel", &settings.name, &what, stored.is_ok());
    if stored.is_err() {
        // The same token must be welcome when it is tried again.
        let _ = runtime.store.give_back(&name, ask.request_id).await;
        return Err(Refusal::NotStored);
    }
    Ok(())
}

/// Whose word it is. A token's own claims are believed by nobody before its signature holds, so each provider's keys are
/// tried; there are few. `may_fetch`: those that are not known may be asked for.
async fn verify<'r>(runtime: &'r Runtime, ask: &Ask<'_>, may_fetch: bool) -> Result<(&'r ProviderRuntime, LogoutToken), Refusal> {
    let fields = body::form(ask.headers, ask.content).ok_or(Refusal::Unreadable)?;
    let mut tokens = fields.iter().filter(|(name, _)| name == "logout_token").map(|(_, value)| value.as_str());
    let (Some(raw), None) = (tokens.next(), tokens.next()) else { return Err(Refusal::Unreadable) };
    let mut refusal = Refusal::Token(TokenFault::Malformed);
    for provider in &runtime.providers {
        match verify_as(provider, raw, may_fetch, ask.now).await {
            Ok(token) => return Ok((provider, token)),
            Err(found) => refusal = worse(refusal, found),
        }
    }
    Err(refusal)
}

async fn verify_as(provider: &ProviderRuntime, raw: &str, may_fetch: bool, now: Timestamp) -> Result<LogoutToken, Refusal> {
    let settings = provider.settings();
    let token = UnverifiedToken::parse(RawToken::new(raw), &settings.algorithms, TokenType::Logout).map_err(Refusal::Token)?;
    let expected = LogoutExpectation { issuer: &settings.issuer, client_id: &settings.client_id };
    let keys = &provider.keys;
    let known = if may_fetch { keys.believed_or_fetched(Budget::SignOut, now).await } else { keys.believed(now) };
    let mut current = known.ok_or(Refusal::ProviderDown)?;
    let first = token.verify_logout_token(&current.keys, &expected, now);
    // The keys may have changed since.
    if first == Err(TokenFault::UnknownKey)
        && may_fetch
        && let Some(newer) = provider.keys.newer_than(current.generation, Budget::SignOut).await
    {
        current = newer;
        return token.verify_logout_token(&current.keys, &expected, now).map_err(Refusal::Token);
    }
    first.map_err(Refusal::Token)
}

/// Of two providers' answers the one that says more: who could not be asked might have said yes, and whose signature it
/// was knows what else was wrong.
fn worse(one: Refusal, other: Refusal) -> Refusal {
    let weight = |refusal| match refusal {
        Refusal::ProviderDown => 3,
        Refusal::Token(TokenFault::Malformed) => 0,
        Refusal::Token(TokenFault::UnknownKey | TokenFault::Signature | TokenFault::Algorithm | TokenFault::Type) => 1,
        _ => 2,
    };
    if weight(other) > weight(one) { other } else { one }
}
