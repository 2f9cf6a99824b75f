//! The provider's answer, and what it is worth.

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use doorward_config::settings::ProviderKind;
use doorward_policy::access::CredentialFault;
use doorward_policy::cookies::{self, Found};
use doorward_policy::credential::RawToken;
use doorward_policy::login::{ATTEMPT_COOKIE, Attempt, AttemptFault, Callback, State};
use doorward_policy::session::{COOKIE, Origin, Session};
use doorward_policy::time::Timestamp;
use doorward_policy::token::{IdTokenExpectation, TokenFault, TokenType, UnverifiedToken, VerifiedToken};
use http::{HeaderValue, header};
use serde_json::{Map, Value};

use super::begin::login_url;
use super::{Served, sign_in_path};
use crate::access_log::cut;
use crate::bearer::BearerVerifier;
use crate::entropy;
use crate::gate::{Ask, cookie_fields};
use crate::idp::{ExchangeFault, IdpClient, TokenResponse};
use crate::keys::{Budget, KeyStore};
use crate::reply::Reply;
use crate::respond::{self, Asker, Face};
use crate::runtime::{ProviderRuntime, Runtime};

/// Why a callback ended without a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
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
    TooLarge(usize),
    /// Too many sign-ins from one client, or at one provider at once.
    TooMany,
    ProviderDown,
    Internal,
}

impl Failure {
    fn label(self) -> &'static str {
        match self {
            Self::Unreadable => "callback_unreadable",
            Self::Attempt(AttemptFault::State) => "state_missing",
            Self::Attempt(AttemptFault::Lost) => "attempt_lost",
            Self::Attempt(AttemptFault::Expired) => "state_expired",
            Self::Attempt(AttemptFault::Reused) => "attempt_reused",
            Self::Issuer => "issuer",
            Self::Provider(name) => name,
            Self::Exchange(fault) => fault.label(),
            Self::IdToken(fault) => fault.label(),
            Self::AccessToken(_) => "access_token",
            Self::OtherSubject => "other_subject",
            Self::TooLarge(_) => "session_too_large",
            Self::TooMany => "too_many",
            Self::ProviderDown => "provider_unreachable",
            Self::Internal => "internal",
        }
    }

    fn face(self) -> Face {
        let face = |status, code, title, text| Face { status, code, title, text };
        match self {
            Self::Unreadable | Self::Attempt(AttemptFault::State) | Self::Issuer => face(
                400,
                "bad_callback",
                "This sign-in cannot go on",
                "The address does not belong to a sign-in that began here. Starting again usually helps.",
            ),
            Self::Attempt(AttemptFault::Lost) => face(
                400,
                "attempt_lost",
                "This sign-in was begun elsewhere",
                "Your browser no longer holds the beginning of this sign-in: it was begun in another browser or window, or cookies were cleared.",
            ),
            Self::Attempt(AttemptFault::Expired) => face(
                400,
                "attempt_expired",
                "This sign-in took too long",
                "A sign-in has to be finished within ten minutes. Nothing is wrong with your account.",
            ),
            Self::Attempt(AttemptFault::Reused) => face(
                400,
                "attempt_reused",
                "This sign-in was used already",
                "Each sign-in counts once; perhaps you came back with the browser's history. You may already be signed in.",
            ),
            Self::Provider("access_denied" | "unauthorized") => face(
                403,
                "access_denied",
                "The identity provider said no",
                "You were not signed in. If you did not cancel it yourself, an administrator can tell you why.",
            ),
            Self::Provider(_) => face(
                502,
                "provider_error",
                "The identity provider reported an error",
                "You were not signed in. Starting again may help; if not, tell whoever runs this site.",
            ),
            Self::Exchange(ExchangeFault::Fetch(_)) | Self::ProviderDown => face(
                503,
                "provider_unavailable",
                "Sign-in is not available just now",
                "The identity provider cannot be reached. Nothing is wrong with your account; please try again in a moment.",
            ),
            Self::Exchange(ExchangeFault::CodeRefused) => face(
                400,
                "code_refused",
                "This sign-in cannot go on",
                "The identity provider no longer knows this sign-in. Starting again usually helps.",
            ),
            Self::TooMany => face(
                429,
                "too_many",
                "Too many sign-ins at once",
                "Many sign-ins came from where you are in a short time. Please try again in a minute.",
            ),
            Self::TooLarge(_) => face(
                500,
                "session_too_large",
                "Your account has too many rights to remember",
                "What is known about your account does not fit into a session. An administrator has to shorten it.",
            ),
            Self::Exchange(_) | Self::IdToken(_) | Self::AccessToken(_) | Self::OtherSubject | Self::Internal => face(
                502,
                "sign_in_failed",
                "Signing in did not work",
                "The identity provider's answer was not accepted. Starting again may help; if not, tell whoever runs this site.",
            ),
        }
    }

    /// For the log of whoever runs the edge: what to look at.
    fn advice(self) -> &'static str {
        match self {
            Self::Exchange(ExchangeFault::ClientRefused) => "check client_id, client_secret and client_auth",
            Self::Exchange(ExchangeFault::CodeRefused) => "the code was used before, took too long, or belongs to another client",
            Self::IdToken(TokenFault::Expired | TokenFault::NotYetValid | TokenFault::NotFresh) => {
                "compare this machine's clock with the provider's"
            }
            Self::IdToken(TokenFault::Issuer) => "the issuer must be equal byte for byte, a final slash included",
            Self::IdToken(TokenFault::Algorithm) => "the provider signs with an algorithm that `algorithms` does not list",
            Self::AccessToken(_) => "the access token is for our audience and yet not valid",
            Self::TooLarge(_) => "fewer or shorter claims must be kept: see identity, headers and rules",
            _ => "",
        }
    }
}

/// `callback/<provider>`.
pub(super) async fn serve(runtime: &Runtime, ask: &Ask<'_>, index: usize) -> Served {
    let provider = &runtime.providers[index];
    let name = provider.settings().name.as_str();
    let mut seen = Seen::default();
    match accept(runtime, ask, provider, &mut seen).await {
        Ok((reply, waited)) => {
            runtime.metrics.logins.with_label_values(&[name, "ok", "ok"]).inc();
            runtime.metrics.login_duration.with_label_values(&[name]).observe(waited);
            Served { reason: "signed_in", reply }
        }
        Err(failure) => {
            runtime.metrics.logins.with_label_values(&[name, "error", failure.label()]).inc();
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

/// What a failed callback leaves to clear up and to say.
#[derive(Default)]
struct Seen {
    attempt: Option<Box<str>>,
    return_to: Option<Box<str>>,
    said: Option<(String, Option<String>)>,
}

async fn accept(runtime: &Runtime, ask: &Ask<'_>, provider: &ProviderRuntime, seen: &mut Seen) -> Result<(Reply, f64), Failure> {
    let settings = provider.settings();
    let host = ask.target.host().name();
    let keys = &runtime.settings.session.keys;
    let callback = Callback::parse(ask.target.query().unwrap_or("")).map_err(|_| Failure::Unreadable)?;
    let state = State::open(callback.state(), keys, host, &settings.name).map_err(Failure::Attempt)?;
    seen.return_to = Some(state.return_to.clone());
    if runtime.used_attempts.contains(&state.attempt) {
        return Err(Failure::Attempt(AttemptFault::Reused));
    }
    let cookie = match cookies::find(cookie_fields(ask.headers), &format!("{ATTEMPT_COOKIE}{}", state.attempt)) {
        Found::One(value) => Some(value),
        Found::Absent | Found::Ambiguous => None,
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
    let claims = redeem(runtime, provider, ask.client, attempt, code, ask.now).await?;
    let session = begin_session(runtime, provider, &claims, ask.now)?;
    let sealed = session.seal(keys, host, entropy::random().map_err(|_| Failure::Internal)?).map_err(|large| Failure::TooLarge(large.0))?;
    #[allow(clippy::cast_precision_loss)]
    runtime.metrics.session_cookie_bytes.observe((COOKIE.len() + 1 + sealed.len()) as f64);
    // RFC 9110 §15.4.4: 303, so that the address with the code leaves the history and nothing is posted again.
    let reply = Reply::redirect(303, &state.return_to)
        .cookie(COOKIE, &sealed, Some(runtime.settings.session.lifetime.as_secs()))
        .without_attempt(&state.attempt);
    Ok((reply, waited))
}

/// Runs on the control thread, where a browser that goes away does not cut it short.
async fn redeem(
    runtime: &Runtime,
    provider: &ProviderRuntime,
    client_address: IpAddr,
    attempt: Attempt,
    code: String,
    now: Timestamp,
) -> Result<Map<String, Value>, Failure> {
    let (client, keys) = (provider.client.clone(), provider.keys.clone());
    let settings = provider.settings();
    let facts = Facts {
        issuer: settings.issuer.clone(),
        client_id: settings.client_id.clone(),
        organization: settings.organization.clone(),
        algorithms: settings.algorithms.clone(),
        userinfo: settings.userinfo,
    };
    // DOS-08: anybody can bring a code that is none; each costs a request in our name.
    if !runtime.attempts.code(client_address) {
        return Err(Failure::TooMany);
    }
    let Ok(slot) = provider.redeeming.clone().try_acquire_owned() else { return Err(Failure::TooMany) };
    let work = runtime.control.spawn(async move {
        let _slot = slot;
        claims(&client, &keys, &facts, &attempt, &code, now).await
    });
    let (mut claims, tokens) = work.await.map_err(|_| Failure::Internal)??;
    if let Some(bearer) = &provider.bearer {
        add_access_token_claims(bearer, settings.kind, &tokens.access_token, &mut claims, now).await?;
    }
    Ok(claims)
}

struct Facts {
    issuer: String,
    client_id: String,
    organization: Option<String>,
    algorithms: Vec<doorward_policy::token::Algorithm>,
    userinfo: bool,
}

async fn claims(
    client: &Arc<IdpClient>,
    keys: &Arc<KeyStore>,
    facts: &Facts,
    attempt: &Attempt,
    code: &str,
    now: Timestamp,
) -> Result<(Map<String, Value>, TokenResponse), Failure> {
    let current = keys.ready(Budget::SignIn).await.ok_or(Failure::ProviderDown)?;
    let tokens = client.redeem(&current.metadata, attempt, code, now).await.map_err(Failure::Exchange)?;
    let id_token = verify_id_token(keys, facts, attempt, &tokens, now).await?;
    let mut claims = id_token.claims().clone();
    if facts.userinfo {
        let subject = claims.get("sub").and_then(Value::as_str).unwrap_or_default().to_owned();
        let more = client.userinfo(&current.metadata, &tokens.access_token, &subject).await.map_err(Failure::Exchange)?;
        add_missing(&mut claims, more);
    }
    Ok((claims, tokens))
}

async fn verify_id_token(
    keys: &Arc<KeyStore>,
    facts: &Facts,
    attempt: &Attempt,
    tokens: &TokenResponse,
    now: Timestamp,
) -> Result<VerifiedToken, Failure> {
    let mut current = keys.ready(Budget::SignIn).await.ok_or(Failure::ProviderDown)?;
    let token = UnverifiedToken::parse(RawToken::new(&tokens.id_token), &facts.algorithms, TokenType::Jwt).map_err(Failure::IdToken)?;
    let expected = IdTokenExpectation {
        issuer: &facts.issuer,
        client_id: &facts.client_id,
        nonce: &attempt.nonce,
        access_token: Some(&tokens.access_token),
        organization: facts.organization.as_deref(),
    };
    // The keys may have changed just before signing: sign-ins have a budget of their own to look. Twice, because the
    // first fetch may be one that somebody else began before the key was published.
    for _ in 0..2 {
        match token.verify_id_token(&current.keys, &expected, now) {
            Err(TokenFault::UnknownKey) => {
                current = keys.newer_than(current.generation, Budget::SignIn).await.ok_or(Failure::IdToken(TokenFault::UnknownKey))?;
            }
            outcome => return outcome.map_err(Failure::IdToken),
        }
    }
    token.verify_id_token(&current.keys, &expected, now).map_err(Failure::IdToken)
}

/// Adds what the access token says, when it is a JWT for our audience; an opaque one is nobody's to read.
async fn add_access_token_claims(
    bearer: &BearerVerifier,
    kind: ProviderKind,
    raw: &str,
    claims: &mut Map<String, Value>,
    now: Timestamp,
) -> Result<(), Failure> {
    let access = match bearer.claims(RawToken::new(raw), now).await {
        Ok(access) => access,
        Err(CredentialFault::Token(
            TokenFault::Malformed | TokenFault::Audience | TokenFault::Type | TokenFault::Algorithm | TokenFault::TooLong,
        )) => return Ok(()),
        // Other providers hand out tokens for APIs of their own, signed and named as they like; nothing is believed of them.
        Err(CredentialFault::Token(TokenFault::Issuer | TokenFault::UnknownKey | TokenFault::Signature | TokenFault::MissingClaim))
            if kind == ProviderKind::Oidc =>
        {
            return Ok(());
        }
        Err(CredentialFault::Token(fault)) => return Err(Failure::AccessToken(fault)),
        Err(_) => return Err(Failure::ProviderDown),
    };
    if access.get("sub") != claims.get("sub") {
        return Err(Failure::OtherSubject);
    }
    add_missing(claims, access);
    Ok(())
}

/// What the ID token says stays; the rest is added.
fn add_missing(claims: &mut Map<String, Value>, more: Map<String, Value>) {
    let vouches = claims.get("email").is_none_or(|email| more.get("email") == Some(email));
    for (name, value) in more {
        // Who says that an address is verified must mean that address.
        if name == "email_verified" && !vouches {
            continue;
        }
        claims.entry(name).or_insert(value);
    }
}

fn begin_session(runtime: &Runtime, provider: &ProviderRuntime, claims: &Map<String, Value>, now: Timestamp) -> Result<Session, Failure> {
    let id: [u8; 16] = entropy::random().map_err(|_| Failure::Internal)?;
    let id = URL_SAFE_NO_PAD.encode(id);
    let settings = provider.settings();
    let origin = Origin { id: &id, provider: &settings.name, client_id: &settings.client_id };
    Ok(Session::begin(origin, claims, runtime.settings.policy.kept_claims(), now))
}

/// RFC 6749 §4.1.2.1, OIDC Core §3.1.2.6 and Auth0's own: names from a list, so that nobody makes up metric labels.
fn provider_error(error: &str) -> &'static str {
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
fn failed(runtime: &Runtime, ask: &Ask<'_>, seen: &Seen, failure: Failure) -> Reply {
    let login = match &seen.return_to {
        Some(target) => sign_in_path(runtime, target),
        None => login_url_of_root(runtime, ask),
    };
    let mut details: Vec<(&str, &str)> = Vec::new();
    if let Some((error, description)) = &seen.said {
        details.push(("Error", cut(error)));
        details.extend(description.as_deref().map(|text| ("It said", cut(text))));
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
