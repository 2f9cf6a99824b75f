//! The end of the way: a code comes to an app's host.

use doorward_policy::access::CredentialFault;
use doorward_policy::cookies::{self, Found};
use doorward_policy::login::{ATTEMPT_COOKIE, ATTEMPT_LIFETIME, AttemptFault, Handed, HandoffCode, ReturnTo, parse_parameters};
use doorward_policy::session::{SessionFault, Tokens};
use http::{HeaderValue, header};

use super::CODE;
use crate::audit;
use crate::gate::{Ask, cookie_fields};
use crate::login::errand::{Errand, once};
use crate::login::picker::{self, Said};
use crate::login::{Served, rounds, sign_in_path};
use crate::manner::Manner;
use crate::reply::Reply;
use crate::respond::{self, Asker, Face};
use crate::runtime::Runtime;
use crate::sessions::BeginFault;

/// Why a code signs nobody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    Attempt(AttemptFault),
    /// What is handed over counts no more, or not here.
    Session(SessionFault),
    TooLarge,
    StoreDown,
    Internal,
}

impl Failure {
    fn label(self) -> &'static str {
        match self {
            Self::Attempt(AttemptFault::State) => "handoff_unreadable",
            Self::Attempt(AttemptFault::Lost) => "attempt_lost",
            Self::Attempt(AttemptFault::Foreign) => "attempt_foreign",
            Self::Attempt(AttemptFault::Expired) => "handoff_expired",
            Self::Attempt(AttemptFault::Reused) => "attempt_reused",
            Self::Session(fault) => fault.label(),
            Self::TooLarge => "session_too_large",
            Self::StoreDown => "store_unreachable",
            Self::Internal => "internal",
        }
    }

    fn face(self) -> Face {
        match self {
            Self::Attempt(AttemptFault::State | AttemptFault::Foreign) => Face::BAD_CALLBACK,
            Self::Attempt(AttemptFault::Lost) => Face::ATTEMPT_LOST,
            Self::Attempt(AttemptFault::Expired) => Face::ATTEMPT_EXPIRED,
            Self::Attempt(AttemptFault::Reused) => Face::ATTEMPT_REUSED,
            Self::Session(_) | Self::Internal => Face::SIGN_IN_FAILED,
            Self::TooLarge => Face::SESSION_TOO_LARGE,
            Self::StoreDown => Face::STORE_DOWN,
        }
    }
}

impl From<BeginFault> for Failure {
    fn from(fault: BeginFault) -> Self {
        match fault {
            BeginFault::TooLarge(_) => Self::TooLarge,
            BeginFault::Store(_) => Self::StoreDown,
            BeginFault::NoEntropy => Self::Internal,
        }
    }
}

/// `handoff?code=…` on an app's host.
pub(in crate::login) async fn serve(runtime: &Runtime, ask: &Ask<'_>) -> Served {
    if runtime.settings.server.public_host.is_none() {
        return Served { reason: "no_endpoint", reply: respond::show(&runtime.pages, runtime.asker(ask, None), Face::NO_ENDPOINT, &[]) };
    }
    if ask.manner != Manner::Navigation && ask.headers.contains_key("sec-fetch-mode") {
        return Served { reason: "not_a_navigation", reply: respond::show(&runtime.pages, runtime.asker(ask, None), Face::NOT_HERE, &[]) };
    }
    let pairs = parse_parameters(ask.target.query().unwrap_or("")).unwrap_or_default();
    let sealed = once(&pairs, CODE).ok().flatten().unwrap_or_default();
    let code = match HandoffCode::open(sealed, &runtime.keys(), ask.target.host().name()) {
        Ok(code) => code,
        Err(fault) => return failed(runtime, ask, None, Failure::Attempt(fault)).await,
    };
    match accept(runtime, ask, &code).await {
        Ok(cookie) => {
            let place = runtime.sessions.place(ask.target.host().name());
            let reply = Reply::redirect(303, &code.return_to).begin_session(place, &cookie).without_attempt(&code.attempt);
            Served { reason: "signed_in", reply: rounds::counted(runtime, ask, reply, &cookie, false) }
        }
        Err(failure) => failed(runtime, ask, Some(&code), failure).await,
    }
}

/// The `Set-Cookie` value of the session on this host.
async fn accept(runtime: &Runtime, ask: &Ask<'_>, code: &HandoffCode) -> Result<String, Failure> {
    let host = ask.target.host().name();
    // Whoever shows it first spends it, also in the wrong browser: a code that got into other hands is worth nothing from then on.
    if !runtime.used_attempts.take(&code.attempt, ask.now) {
        return Err(Failure::Attempt(AttemptFault::Reused));
    }
    if runtime.store.is_shared() {
        let first = runtime.store.take(&format!("handoff/{}", code.attempt), ask.request_id, ATTEMPT_LIFETIME).await;
        if !first.map_err(|_| Failure::StoreDown)? {
            return Err(Failure::Attempt(AttemptFault::Reused));
        }
    }
    let cookie = match cookies::find(cookie_fields(ask.headers), &format!("{ATTEMPT_COOKIE}{}", code.attempt)) {
        Found::One(value) => Some(value),
        Found::Absent | Found::Ambiguous => None,
    };
    let handed = code.redeem(cookie, &runtime.keys(), host, ask.now).map_err(Failure::Attempt)?;
    let providers = picker::of_host(runtime, host);
    match handed {
        Handed::Session(session) if !runtime.sessions.is_server_side() => {
            session.check_limits(runtime.session_limits(), ask.now).map_err(Failure::Session)?;
            runtime.belongs(&session, &providers).map_err(Failure::Session)?;
            if runtime.revocations.revokes(&session) {
                return Err(Failure::Session(SessionFault::Revoked));
            }
            let begun = audit::signing_in(runtime, &session);
            let cookie = runtime.sessions.begin(*session, Tokens::default(), host).await?;
            if let Some(session) = begun {
                audit::handed_over(runtime, ask, &session);
            }
            Ok(cookie)
        }
        Handed::Ticket(ticket) if runtime.sessions.is_server_side() => {
            let live = runtime.sessions.named(&ticket, ask.now).await.map_err(|fault| match fault {
                CredentialFault::Session(fault) => Failure::Session(fault),
                _ => Failure::StoreDown,
            })?;
            runtime.belongs(&live.session, &providers).map_err(Failure::Session)?;
            let cookie = runtime.sessions.ticket(&ticket, host)?;
            audit::handed_over(runtime, ask, &live.session);
            Ok(cookie)
        }
        // The store was changed on the way.
        Handed::Session(_) | Handed::Ticket(_) => Err(Failure::Session(SessionFault::Unreadable)),
    }
}

/// Begins anew where that may help, once and by itself; else says what happened.
async fn failed(runtime: &Runtime, ask: &Ask<'_>, code: Option<&HandoffCode>, failure: Failure) -> Served {
    tracing::warn!(host = ask.target.host().name(), request_id = ask.request_id, reason = failure.label(), "hand-off failed");
    audit::sign_in_failed(runtime, ask, None, "handoff", failure.label());
    let return_to = code.and_then(|code| ReturnTo::parse(&code.return_to, runtime).ok()).unwrap_or_else(ReturnTo::root);
    let forget = |reply: Reply| match code {
        Some(code) if !matches!(failure, Failure::Attempt(AttemptFault::Lost | AttemptFault::Foreign)) => {
            reply.without_attempt(&code.attempt)
        }
        _ => reply,
    };
    if let (Some(code), Failure::Attempt(fault)) = (code, failure)
        && code.may_restart(fault)
    {
        let errand = Errand { retries: 1, ..Errand::to(runtime, ask.target.host().name(), return_to) };
        let served = Box::pin(picker::go(runtime, ask, &errand, Said::default())).await;
        return Served { reason: failure.label(), reply: forget(served.reply) };
    }
    let login = sign_in_path(runtime, return_to.as_str());
    let asker = Asker { login_url: Some(&login), ..runtime.asker(ask, None) };
    let face = failure.face();
    let reply = respond::show(&runtime.pages, asker, face, &[]);
    let reply = if face.status == 503 { reply.field(header::RETRY_AFTER, HeaderValue::from_static("10")) } else { reply };
    Served { reason: failure.label(), reply: forget(reply) }
}
