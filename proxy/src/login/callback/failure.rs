//! Why a callback made no session, and what is said about it.

use doorward_policy::login::{AttemptFault, State};
use doorward_policy::token::TokenFault;
use http::{HeaderValue, header};

use super::super::begin::login_url;
use super::super::sign_in_path;
use crate::claims::ClaimsFault;
use crate::gate::Ask;
use crate::idp::ExchangeFault;
use crate::log_text::cut;
use crate::reply::Reply;
use crate::respond::{self, Asker, Face};
use crate::runtime::Runtime;
use crate::sessions::BeginFault;

/// Why a callback ended without a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// No authorization response at all.
    Unreadable,
    Attempt(AttemptFault),
    /// RFC 9207: the answer names another issuer.
    Issuer,
    /// The provider said no, under this name.
    Provider(&'static str),
    Exchange(ExchangeFault),
    IdToken(TokenFault),
    AccessToken(TokenFault),
    /// The ID token and the access token are about two people.
    OtherSubject,
    /// The claim that says who it is is not there, or says nothing.
    NoUser,
    TooLarge(usize),
    /// Too many sign-ins from one client, or at one provider at once.
    TooMany,
    ProviderDown,
    /// The sign-in is not as recent or as strong as was demanded.
    StepUp,
    /// The session could not be kept.
    StoreDown,
    Internal,
}

impl From<ClaimsFault> for Failure {
    fn from(fault: ClaimsFault) -> Self {
        match fault {
            ClaimsFault::ProviderDown => Self::ProviderDown,
            ClaimsFault::Exchange(fault) => Self::Exchange(fault),
            ClaimsFault::IdToken(fault) => Self::IdToken(fault),
            ClaimsFault::AccessToken(fault) => Self::AccessToken(fault),
            ClaimsFault::OtherSubject => Self::OtherSubject,
        }
    }
}

impl Failure {
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Unreadable => "callback_unreadable",
            Self::Attempt(AttemptFault::State) => "state_missing",
            Self::Attempt(AttemptFault::Lost) => "attempt_lost",
            Self::Attempt(AttemptFault::Expired) => "state_expired",
            Self::Attempt(AttemptFault::Reused) => "attempt_reused",
            Self::Attempt(AttemptFault::Foreign) => "attempt_foreign",
            Self::Issuer => "issuer",
            Self::Provider(name) => name,
            Self::Exchange(fault) => fault.label(),
            Self::IdToken(fault) => fault.label(),
            Self::AccessToken(_) => "access_token",
            Self::OtherSubject => "other_subject",
            Self::NoUser => "user_claim_missing",
            Self::TooLarge(_) => "session_too_large",
            Self::TooMany => "too_many",
            Self::ProviderDown => "provider_unreachable",
            Self::StepUp => "step_up_not_met",
            Self::StoreDown => "store_unreachable",
            Self::Internal => "internal",
        }
    }

    fn face(self) -> Face {
        match self {
            Self::Unreadable | Self::Attempt(AttemptFault::State) | Self::Issuer => Face::BAD_CALLBACK,
            Self::Attempt(AttemptFault::Lost | AttemptFault::Foreign) => Face::ATTEMPT_LOST,
            Self::Attempt(AttemptFault::Expired) => Face::ATTEMPT_EXPIRED,
            Self::Attempt(AttemptFault::Reused) => Face::ATTEMPT_REUSED,
            Self::Provider("access_denied" | "unauthorized") => Face::ACCESS_DENIED,
            Self::Provider("login_required" | "consent_required" | "interaction_required" | "account_selection_required") => {
                Face::INTERACTION_REQUIRED
            }
            Self::Provider("too_many_attempts") => Face::TOO_MANY_ATTEMPTS,
            Self::Provider("temporarily_unavailable") => Face::PROVIDER_DOWN,
            Self::Provider(_) => Face::PROVIDER_ERROR,
            Self::StepUp => Face::STEP_UP_NOT_MET,
            Self::Exchange(ExchangeFault::Fetch(_)) | Self::ProviderDown => Face::PROVIDER_DOWN,
            Self::StoreDown => Face::STORE_DOWN,
            Self::Exchange(ExchangeFault::CodeRefused) => Face::CODE_REFUSED,
            Self::TooMany => Face::TOO_MANY_SIGN_INS,
            Self::TooLarge(_) => Face::SESSION_TOO_LARGE,
            Self::Exchange(_) | Self::IdToken(_) | Self::AccessToken(_) | Self::OtherSubject | Self::NoUser | Self::Internal => {
                Face::SIGN_IN_FAILED
            }
        }
    }

    /// Whether the provider would say the same again unless it asks who it is: it remembers whom it refused (OIDC-08).
    fn needs_a_question(self) -> bool {
        matches!(self.face(), Face::ACCESS_DENIED | Face::INTERACTION_REQUIRED | Face::STEP_UP_NOT_MET)
    }

    /// For the log of whoever runs the edge: what to look at.
    pub(super) fn advice(self) -> &'static str {
        match self {
            Self::Exchange(ExchangeFault::ClientRefused) => "check client_id, client_secret and client_auth",
            Self::Exchange(ExchangeFault::CodeRefused) => "the code was used before, took too long, or belongs to another client",
            Self::IdToken(TokenFault::Expired | TokenFault::NotYetValid | TokenFault::NotFresh) => {
                "compare this machine's clock with the provider's"
            }
            Self::IdToken(TokenFault::Issuer) => "the issuer must be equal byte for byte, a final slash included",
            Self::IdToken(TokenFault::Algorithm) => "the provider signs with an algorithm that `algorithms` does not list",
            Self::AccessToken(_) => "the access token is for our audience and yet not valid",
            Self::StepUp => {
                "the ID token lacks what the rule's step_up demands: `auth_time` not older than max_age, or `acr` (Auth0: an Action that asks for several factors)"
            }
            Self::NoUser => "the claim that `identity.user` names is absent or empty: ask the provider for it, or name another",
            Self::TooLarge(_) => "fewer or shorter claims must be kept: see identity, headers and rules; or keep sessions in a store",
            Self::StoreDown => "the session store cannot be used: its own lines in this log say why",
            Self::ProviderDown => "the provider's metadata or keys cannot be had: the lines of `doorward_proxy::keys` say why",
            _ => "",
        }
    }
}

/// What a failed callback leaves to clear up and to say.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) attempt: Option<Box<str>>,
    pub(super) state: Option<State>,
    pub(super) said: Option<(String, Option<String>)>,
}

/// RFC 6749 §4.1.2.1, OIDC Core §3.1.2.6 and Auth0's own: names from a list, so that nobody makes up metric labels.
pub(super) fn provider_error(error: &str) -> &'static str {
    const KNOWN: &[&str] = &[
        "access_denied",
        "unauthorized",
        "login_required",
        "consent_required",
        "interaction_required",
        "account_selection_required",
        "invalid_request",
        "unauthorized_client",
        "unsupported_response_type",
        "invalid_scope",
        "server_error",
        "temporarily_unavailable",
        "too_many_attempts",
    ];
    KNOWN.iter().find(|known| **known == error).copied().unwrap_or("other_error")
}

/// A page that says what happened and offers to start again, at the place the sign-in was for.
pub(super) fn failed(runtime: &Runtime, ask: &Ask<'_>, seen: &Seen, failure: Failure) -> Reply {
    let login = match &seen.state {
        Some(state) => sign_in_path(runtime, &state.return_to),
        None => login_url_of_root(runtime, ask),
    };
    let login = if failure.needs_a_question() { format!("{login}&prompt=login") } else { login };
    let mut details: Vec<(&str, &str)> = Vec::new();
    if let Some((error, description)) = &seen.said {
        details.push(("error", cut(error)));
        details.extend(description.as_deref().map(|text| ("description", cut(text))));
    }
    let asker = Asker { login_url: Some(&login), ..runtime.asker(ask, None) };
    let reply = respond::show(&runtime.pages, asker, failure.face(), &details);
    let reply = if failure.face().status == 503 { reply.field(header::RETRY_AFTER, HeaderValue::from_static("10")) } else { reply };
    // OIDC-01: only the attempt that was spent is forgotten.
    match &seen.attempt {
        Some(id) => reply.without_attempt(id),
        None => reply,
    }
}

fn login_url_of_root(runtime: &Runtime, ask: &Ask<'_>) -> String {
    let whole = login_url(runtime, ask);
    whole.split_once('?').map_or(whole.clone(), |(path, _)| path.to_owned())
}

impl From<BeginFault> for Failure {
    fn from(fault: BeginFault) -> Self {
        match fault {
            BeginFault::TooLarge(large) => Self::TooLarge(large.0),
            BeginFault::Store(_) => Self::StoreDown,
            BeginFault::NoEntropy => Self::Internal,
        }
    }
}
