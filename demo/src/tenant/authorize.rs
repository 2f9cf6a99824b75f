//! `/authorize`: who asks, may they, and does anybody have to sign in (RFC 6749 §4.1.1, OIDC Core §3.1.2).

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use url::form_urlencoded;

use super::Shared;
use super::issue::Grant;
use super::params::Params;
use super::record::Endpoint;
use super::settings::{Client, ClientAuth, User};
use super::store::{CodeGrant, SsoSession};
use super::token_text::random_text;
use crate::page::page;

/// A request that may be answered at its redirect URI.
#[derive(Debug, Clone)]
pub(super) struct Authorization {
    pub(super) client_id: String,
    redirect_uri: String,
    state: Option<String>,
    scope: String,
    audience: Option<String>,
    nonce: Option<String>,
    challenge: Option<String>,
    organization: Option<String>,
    pub(super) login_hint: Option<String>,
    prompt: Prompt,
    max_age: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Prompt {
    /// Ask only when nobody is signed in.
    Auto,
    Never,
    Always,
}

/// Why a request is refused, and where that is said.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The redirect URI cannot be trusted: an error must not be sent there (RFC 6749 §4.1.2.1).
    Page {
        title: &'static str,
        text: String,
    },
    Callback(String),
}

/// `GET /authorize`
pub(super) async fn show(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    answer(&shared, &query.unwrap_or_default(), &headers)
}

/// `POST /authorize` (OIDC Core §3.1.2.1 wants both).
pub(super) async fn submit(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: String) -> Response {
    answer(&shared, &body, &headers)
}

fn answer(shared: &Shared, query: &str, headers: &HeaderMap) -> Response {
    let params = match Params::from_form(query) {
        Ok(params) => params,
        Err(text) => {
            return Refusal::Page { title: "Invalid request", text }.into_response();
        }
    };
    shared.record.keep(Endpoint::Authorize, &params, headers);
    let authorization = match Authorization::read(shared, &params) {
        Ok(authorization) => authorization,
        Err(refusal) => return refusal.into_response(),
    };
    let session = session_cookie(headers).and_then(|cookie| shared.store().session(&cookie));
    let session = session.filter(|session| authorization.is_content_with(session, shared.now()));
    let user = session.as_ref().and_then(|session| shared.user(&session.sub));
    match (session, user) {
        (Some(session), Some(user)) => found(&authorization.finish(shared, &user, &session)),
        _ if authorization.prompt == Prompt::Never => found(&authorization.callback_error(shared, "login_required", "Login required")),
        _ => {
            let state = shared.store().begin_attempt(authorization);
            found(&shared.url(&format!("u/login?state={state}")))
        }
    }
}

/// The same without a browser: the callback that `user` would arrive at.
pub(super) fn sign_in(shared: &Shared, authorization_url: &str, user: &User) -> Result<String, String> {
    let query = authorization_url.split_once('?').map_or("", |(_, query)| query);
    let params = Params::from_form(query.split('#').next().unwrap_or_default())?;
    shared.record.keep(Endpoint::Authorize, &params, &HeaderMap::new());
    match Authorization::read(shared, &params) {
        Ok(authorization) => Ok(authorization.finish(shared, user, &shared.new_session(user))),
        Err(Refusal::Callback(callback)) => Ok(callback),
        Err(Refusal::Page { title, text }) => Err(format!("{title}: {text}")),
    }
}

impl Authorization {
    /// Checks the application and its redirect URI first: before that, there is nowhere to send an error.
    fn read(shared: &Shared, params: &Params) -> Result<Authorization, Refusal> {
        let (client, redirect_uri) = client_and_redirect_uri(shared, params)?;
        let authorization = Authorization {
            client_id: client.id.clone(),
            redirect_uri: redirect_uri.to_owned(),
            state: params.get("state").map(str::to_owned),
            scope: params.get("scope").unwrap_or_default().to_owned(),
            audience: params.get("audience").map(str::to_owned),
            nonce: params.get("nonce").map(str::to_owned),
            challenge: params.get("code_challenge").map(str::to_owned),
            organization: params.get("organization").map(str::to_owned),
            login_hint: params.get("login_hint").map(str::to_owned),
            prompt: Prompt::Auto,
            max_age: None,
        };
        let refuse = |(error, description): (&str, String)| Refusal::Callback(authorization.callback_error(shared, error, &description));
        let prompt = prompt(params).map_err(refuse)?;
        let max_age = max_age(params).map_err(refuse)?;
        authorization.check(shared, client, params).map_err(refuse)?;
        Ok(Authorization { prompt, max_age, ..authorization })
    }

    fn check(&self, shared: &Shared, client: &Client, params: &Params) -> Result<(), (&'static str, String)> {
        match params.get("response_type") {
            Some("code") => {}
            Some(other) => {
                return Err(("unsupported_response_type", format!("Unsupported response type: {other}")));
            }
            None => {
                return Err(("invalid_request", "Missing required parameter: response_type".into()));
            }
        }
        if let Some(mode) = params.get("response_mode").filter(|mode| *mode != "query") {
            return Err(("invalid_request", format!("Unsupported response mode: {mode}")));
        }
        if !client.may_use("authorization_code") {
            let text = "Grant type 'authorization_code' not allowed for the client.";
            return Err(("unauthorized_client", text.into()));
        }
        self.check_pkce(client, params)?;
        if let Some(audience) = &self.audience
            && shared.api(audience).is_none()
        {
            return Err(("access_denied", format!("Service not found: {audience}")));
        }
        if let Some(connection) = params.get("connection")
            && !shared.settings.connections.iter().any(|known| known == connection)
        {
            return Err(("invalid_request", "the connection was not found".into()));
        }
        if let Some(id) = &self.organization
            && !shared.settings.organizations.iter().any(|known| known.id == *id)
        {
            return Err(("invalid_request", format!("parameter organization is invalid: {id} does not exist")));
        }
        Ok(())
    }

    /// S256 only; a public client has nothing else to prove that the code is its own (RFC 9700 §2.1.1).
    fn check_pkce(&self, client: &Client, params: &Params) -> Result<(), (&'static str, String)> {
        let Some(challenge) = &self.challenge else {
            return match client.auth {
                ClientAuth::None => Err(("invalid_request", "Parameter 'code_challenge' is required".into())),
                _ => Ok(()),
            };
        };
        // RFC 7636 §4.3: an absent method would mean `plain`.
        if params.get("code_challenge_method") != Some("S256") {
            return Err(("invalid_request", "Parameter 'code_challenge_method' must be S256".into()));
        }
        let base64url = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if challenge.len() != 43 || !challenge.bytes().all(base64url) {
            return Err(("invalid_request", "Parameter 'code_challenge' is not a SHA-256 in base64url".into()));
        }
        Ok(())
    }

    /// Whether the session at hand answers this request without a click.
    fn is_content_with(&self, session: &SsoSession, now: i64) -> bool {
        // OIDC Core §3.1.2.1: older than `max_age` must be authenticated anew.
        self.prompt != Prompt::Always && self.max_age.is_none_or(|age| now - session.auth_time <= age)
    }

    /// The callback for a user who has just proved, or had proved before, who they are.
    pub(super) fn finish(&self, shared: &Shared, user: &User, session: &SsoSession) -> String {
        if user.blocked {
            return self.callback_error(shared, "unauthorized", "user is blocked");
        }
        if let Some(id) = &self.organization
            && !user.organizations.contains(id)
        {
            let text = format!("user {} is not part of the {id} organization", user.sub);
            return self.callback_error(shared, "access_denied", &text);
        }
        let grant = Grant {
            sub: user.sub.clone(),
            client_id: self.client_id.clone(),
            audience: self.audience.clone(),
            scope: shared.granted_scope(user, self.audience.as_deref(), &self.scope),
            organization: self.organization.clone(),
            nonce: self.nonce.clone(),
            sid: session.sid.clone(),
            auth_time: session.auth_time,
            show_auth_time: self.max_age.is_some() || self.prompt == Prompt::Always,
        };
        let code = CodeGrant { grant, redirect_uri: self.redirect_uri.clone(), challenge: self.challenge.clone() };
        let code = shared.store().issue_code(code, shared.settings.lifetimes.code);
        self.callback(shared, &[("code", &code)])
    }

    pub(super) fn callback_error(&self, shared: &Shared, error: &str, description: &str) -> String {
        self.callback(shared, &[("error", error), ("error_description", description)])
    }

    fn callback(&self, shared: &Shared, values: &[(&str, &str)]) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(values);
        if let Some(state) = &self.state {
            query.append_pair("state", state);
        }
        if shared.switches().callback_iss {
            // RFC 9207 §2
            query.append_pair("iss", &shared.issuer);
        }
        with_query(&self.redirect_uri, &query.finish())
    }
}

impl Shared {
    pub(super) fn new_session(&self, user: &User) -> SsoSession {
        SsoSession { sub: user.sub.clone(), sid: random_text(24), auth_time: self.now() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Refusal::Callback(callback) => found(&callback),
            Refusal::Page { title, text } => error_page(title, &text),
        }
    }
}

/// The tenant's own error page.
pub(super) fn error_page(title: &str, text: &str) -> Response {
    page(StatusCode::BAD_REQUEST, "message.html", json!({ "title": title, "text": text }))
}

/// Auth0 redirects with 302, also after a form.
pub(super) fn found(location: &str) -> Response {
    (StatusCode::FOUND, [(header::LOCATION, location.to_owned()), (header::CACHE_CONTROL, "no-store".to_owned())]).into_response()
}

/// Appends to a URL that may have a query already.
pub(super) fn with_query(url: &str, query: &str) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}{query}")
}

/// The tenant's sign-on cookie.
pub(super) fn session_cookie(headers: &HeaderMap) -> Option<String> {
    let pairs = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = pairs.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == SESSION_COOKIE).map(|(_, value)| value.to_owned())
}

fn client_and_redirect_uri<'a>(shared: &'a Shared, params: &'a Params) -> Result<(&'a Client, &'a str), Refusal> {
    let refuse = |title, text: String| Refusal::Page { title, text };
    let Some(id) = params.get("client_id") else {
        return Err(refuse("Invalid request", "Missing required parameter: client_id".into()));
    };
    let Some(client) = shared.client(id) else {
        return Err(refuse("Invalid request", format!("Unknown client: {id}")));
    };
    let Some(redirect_uri) = params.get("redirect_uri") else {
        return Err(refuse("Invalid request", "Missing required parameter: redirect_uri".into()));
    };
    if !client.callbacks.allow(redirect_uri) {
        let text = format!("The provided redirect_uri is not in the list of allowed callback URLs: {redirect_uri}");
        return Err(refuse("Callback URL mismatch.", text));
    }
    Ok((client, redirect_uri))
}

fn prompt(params: &Params) -> Result<Prompt, (&'static str, String)> {
    match params.get("prompt") {
        None | Some("consent") => Ok(Prompt::Auto),
        Some("none") => Ok(Prompt::Never),
        Some("login" | "select_account") => Ok(Prompt::Always),
        Some(other) => Err(("invalid_request", format!("Unsupported prompt: {other}"))),
    }
}

fn max_age(params: &Params) -> Result<Option<i64>, (&'static str, String)> {
    let Some(text) = params.get("max_age") else {
        return Ok(None);
    };
    match text.parse() {
        Ok(age) if age >= 0 => Ok(Some(age)),
        _ => Err(("invalid_request", "Parameter 'max_age' must be a number of seconds".into())),
    }
}

pub(super) const SESSION_COOKIE: &str = "auth0";
