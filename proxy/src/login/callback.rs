//! The provider's answer, and what it is worth.

mod claims;
mod failure;
mod recover;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use doorward_config::settings::ResponseMode;
use doorward_policy::cookies::{self, Found};
use doorward_policy::login::{ATTEMPT_COOKIE, Attempt, AttemptFault, Callback, State};
use doorward_policy::session::{Origin, Session};
use doorward_policy::time::Timestamp;
use doorward_policy::token::{TokenFault, is_of_organization};
use http::header;
use serde_json::{Map, Value};

use self::claims::redeem;
use self::failure::{Failure, Seen, failed, provider_error};
use super::{Served, rounds};
use crate::audit;
use crate::entropy;
use crate::gate::{Ask, cookie_fields};
use crate::keys::Budget;
use crate::reply::Reply;
use crate::runtime::{ProviderRuntime, Runtime};
use crate::sessions::Live;

/// Content of a form with a provider's answer at most, in bytes (OIDC-12).
pub(super) const CONTENT_LIMIT: usize = 16 * 1024;
/// What the audit log calls this part of a sign-in.
const STEP: &str = "callback";

/// `callback/<provider>`.
pub(super) async fn serve(runtime: &Runtime, ask: &Ask<'_>, index: usize) -> Served {
    let provider = &runtime.providers[index];
    let name = provider.settings().name.as_str();
    let mut seen = Seen::default();
    let outcome = accept(runtime, ask, provider, &mut seen).await;
    if let (Err(Failure::Attempt(fault)), Some(state)) = (&outcome, &seen.state)
        && let Some(reply) = recover::go_on(runtime, ask, index, state, *fault).await
    {
        let (reason, outcome) = (Failure::Attempt(*fault).label(), if reply.status < 400 { "recovered" } else { "error" });
        runtime.metrics.logins.with_label_values(&[name, outcome, reason]).inc();
        if outcome == "error" {
            audit::sign_in_failed(runtime, ask, Some(name), STEP, reason);
        }
        return Served { reason, reply };
    }
    match outcome {
        Ok((reply, waited)) => {
            runtime.metrics.logins.with_label_values(&[name, "ok", "ok"]).inc();
            runtime.metrics.login_duration.with_label_values(&[name]).observe(waited);
            Served { reason: "signed_in", reply }
        }
        Err(failure) => {
            runtime.metrics.logins.with_label_values(&[name, "error", failure.label()]).inc();
            audit::sign_in_failed(runtime, ask, Some(name), STEP, failure.label());
            tracing::warn!(
                provider = name,
                request_id = ask.request_id,
                reason = failure.label(),
                advice = failure.advice(),
                "sign-in failed"
            );
            Served { reason: failure.label(), reply: failed(runtime, ask, &seen, failure) }
        }
    }
}

async fn accept(runtime: &Runtime, ask: &Ask<'_>, provider: &Arc<ProviderRuntime>, seen: &mut Seen) -> Result<(Reply, f64), Failure> {
    let settings = provider.settings();
    let host = ask.target.host().name();
    let keys = &runtime.keys();
    let answer = parameters(ask, settings.response_mode).ok_or(Failure::Unreadable)?;
    let callback = Callback::parse(answer).map_err(|_| Failure::Unreadable)?;
    let state = State::open(callback.state(), keys, host, &settings.name).map_err(Failure::Attempt)?;
    seen.state = Some(state.clone());
    if runtime.used_attempts.contains(&state.attempt) {
        return Err(Failure::Attempt(AttemptFault::Reused));
    }
    let cookie = match cookies::find(cookie_fields(ask.headers), &format!("{ATTEMPT_COOKIE}{}", state.attempt)) {
        Found::One(value) => Some(value),
        Found::Absent => None,
        Found::Ambiguous => return Err(Failure::Attempt(AttemptFault::Foreign)),
    };
    let attempt = Attempt::resume(&state, cookie, keys, host, ask.now).map_err(Failure::Attempt)?;
    seen.attempt = Some(attempt.id.clone());
    // From here on the attempt is spent, whatever comes of it.
    if !runtime.used_attempts.take(&attempt.id, ask.now) {
        return Err(Failure::Attempt(AttemptFault::Reused));
    }
    // RFC 9207 §2.4: also an edge that was started a moment ago must know whether an issuer was promised.
    let current = provider.keys.ready(Budget::SignIn).await.ok_or(Failure::ProviderDown)?;
    if !callback.issuer_is(&settings.issuer, current.metadata.issuer_in_response) {
        return Err(Failure::Issuer);
    }
    let code = match callback {
        Callback::Code { code, .. } => code,
        Callback::Error { error, description, .. } => {
            let label = provider_error(&error);
            seen.said = Some((error, description));
            return Err(Failure::Provider(label));
        }
    };
    #[allow(clippy::cast_precision_loss)]
    let waited = ask.now.since(attempt.began).as_secs() as f64;
    let (claims, tokens) = redeem(runtime, provider, ask.client, attempt, code, ask.now).await?;
    if runtime.settings.policy.mapping().user.of(&claims).is_none() {
        return Err(Failure::NoUser);
    }
    // OIDC-15: what was demanded must have come back, or the next request would only demand it again.
    if state.step_up.as_ref().is_some_and(|step_up| !step_up.met_by(&claims, ask.now)) {
        return Err(Failure::StepUp);
    }
    if state.organization.as_deref().is_some_and(|organization| !is_of_organization(&claims, organization)) {
        return Err(Failure::IdToken(TokenFault::Organization));
    }
    let session = begin_session(runtime, provider, &claims, ask.now)?;
    let replaced = replaced(runtime, ask, &state, &session).await;
    let begun = audit::signing_in(runtime, &session);
    let cookie = runtime.sessions.begin(session, tokens, host).await?;
    audit::signed_in(runtime, ask, begun);
    // SESS-02: after a step-up, or as somebody else, the session before it is over.
    if let Some(replaced) = replaced {
        runtime.sessions.end(&replaced.session).await;
        audit::signed_out(runtime, ask, "replaced", &replaced);
    }
    // RFC 9110 §15.4.4: 303, so that the address with the code leaves the history and nothing is posted again.
    let reply = Reply::redirect(303, &state.return_to).begin_session(runtime.sessions.place(host), &cookie).without_attempt(&state.attempt);
    let reply = rounds::counted(runtime, ask, reply, &cookie, settings.response_mode == ResponseMode::FormPost);
    Ok((reply, waited))
}

/// The answer as the provider was asked to bring it (OIDC-11): in the query, or as a form's content and nowhere else.
fn parameters<'a>(ask: &Ask<'a>, mode: ResponseMode) -> Option<&'a str> {
    match mode {
        ResponseMode::Query => Some(ask.target.query().unwrap_or("")),
        ResponseMode::FormPost => {
            let mut types = ask.headers.get_all(header::CONTENT_TYPE).iter();
            let (kind, more) = (types.next()?, types.next());
            // OIDC-12: exactly what browsers say of a form.
            let is_form = more.is_none() && kind.as_bytes().eq_ignore_ascii_case(b"application/x-www-form-urlencoded");
            let whole = is_form && ask.target.query().is_none() && ask.content.len() <= CONTENT_LIMIT;
            std::str::from_utf8(ask.content).ok().filter(|_| whole)
        }
    }
}

/// The live session that `next` takes the place of: of the same provider, and stepped up or somebody else's. Any other lapses
/// by itself, or tabs that sign in side by side would end each other's.
async fn replaced(runtime: &Runtime, ask: &Ask<'_>, state: &State, next: &Session) -> Option<Live> {
    let live = super::session::live(runtime, ask).await?;
    let other = live.session.claims.get("sub") != next.claims.get("sub");
    (live.session.provider == next.provider && (state.step_up.is_some() || other)).then_some(live)
}

fn begin_session(runtime: &Runtime, provider: &ProviderRuntime, claims: &Map<String, Value>, now: Timestamp) -> Result<Session, Failure> {
    let id: [u8; 16] = entropy::random().map_err(|_| Failure::Internal)?;
    let id = URL_SAFE_NO_PAD.encode(id);
    let settings = provider.settings();
    let origin = Origin { id: &id, provider: &settings.name, client_id: &settings.client_id };
    // A cookie holds what something looks at; a store has room for what the next configuration may look at.
    let all: Vec<Box<str>> = claims.keys().map(|name| name.as_str().into()).collect();
    let kept = if runtime.sessions.is_server_side() { &all } else { runtime.settings.policy.kept_claims() };
    let mut session = Session::begin(origin, claims, kept, now);
    // SESS-10: its end is inside. Who was signed out is remembered for as long as the lifetime is now; one that is made longer
    // later must not outlast that.
    let end = now.plus(runtime.settings.session.lifetime);
    session.cap = Some(session.cap.map_or(end, |cap| cap.min(end)));
    Ok(session)
}
