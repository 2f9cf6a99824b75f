//! `/oauth/token`: codes, refresh tokens and client credentials become tokens (RFC 6749 §4.1.3, §6, §4.4).

use std::sync::Arc;

use aws_lc_rs::digest;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::Shared;
use super::issue::Grant;
use super::params::Params;
use super::record::Endpoint;
use super::settings::{Client, User};
use super::store::{Code, CodeGrant};
use super::token_text::opaque_token;

/// A refusal in Auth0's words (RFC 6749 §5.2 gives the form, Auth0 the statuses).
#[derive(Debug)]
pub(super) struct TokenError {
    status: StatusCode,
    error: &'static str,
    description: String,
    uri: Option<&'static str>,
}

/// `POST /oauth/token`
pub(super) async fn redeem(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: String) -> Response {
    match tokens(&shared, &headers, &body) {
        // RFC 6749 §5.1
        Ok(tokens) => ([(header::CACHE_CONTROL, "no-store"), (header::PRAGMA, "no-cache")], Json(tokens)).into_response(),
        Err(error) => error.into_response(),
    }
}

fn tokens(shared: &Shared, headers: &HeaderMap, body: &str) -> Result<Value, TokenError> {
    let params = body_params(headers, body)?;
    shared.record.keep(Endpoint::Token, &params, headers);
    let grant_type = params.get("grant_type").ok_or_else(|| TokenError::missing("grant_type"))?;
    let client = shared.authenticated_client(&params, headers)?;
    if !matches!(grant_type, "authorization_code" | "refresh_token" | "client_credentials") {
        return Err(TokenError::forbidden("unsupported_grant_type", format!("Unsupported grant type: {grant_type}")));
    }
    if !client.may_use(grant_type) {
        let text = format!("Grant type '{grant_type}' not allowed for the client.");
        let uri = Some("https://auth0.com/docs/clients/client-grant-types");
        return Err(TokenError { uri, ..TokenError::forbidden("unauthorized_client", text) });
    }
    match grant_type {
        "authorization_code" => from_code(shared, client, &params),
        "refresh_token" => from_refresh_token(shared, client, &params),
        _ => from_client_credentials(shared, client, &params),
    }
}

fn from_code(shared: &Shared, client: &Client, params: &Params) -> Result<Value, TokenError> {
    let code = params.get("code").ok_or_else(|| TokenError::missing("code"))?;
    let invalid = || TokenError::forbidden("invalid_grant", "Invalid authorization code");
    let presented = shared.store().code(code);
    let CodeGrant { grant, redirect_uri, challenge } = match presented {
        Code::Fresh(grant) => *grant,
        Code::Spent(family) => {
            // RFC 6749 §4.1.2: what came of a code that is used twice should be revoked.
            if let Some(family) = family {
                shared.store().families.revoke(family);
            }
            return Err(invalid());
        }
        Code::Unknown => return Err(invalid()),
    };
    if grant.client_id != client.id {
        return Err(invalid());
    }
    if params.get("redirect_uri") != Some(&redirect_uri) {
        let text = "The redirect URI is wrong. You sent a different one to the authorization endpoint.";
        return Err(TokenError::forbidden("invalid_grant", text));
    }
    if !verifier_holds(challenge.as_deref(), params.get("code_verifier")) {
        shared.store().spend_code(code, None);
        return Err(TokenError::forbidden("invalid_grant", "Failed to verify code verifier"));
    }
    let user = shared.user(&grant.sub).filter(|user| !user.blocked).ok_or_else(invalid)?;
    let refreshable = grant.has("offline_access") && client.may_use("refresh_token");
    let family = refreshable.then(|| shared.store().families.begin(grant.clone(), shared.settings.lifetimes.refresh_token));
    let (family, refresh_token) = family.unzip();
    shared.store().spend_code(code, family);
    Ok(answer(shared, &grant, &user, refresh_token))
}

fn from_refresh_token(shared: &Shared, client: &Client, params: &Params) -> Result<Value, TokenError> {
    let token = params.get("refresh_token").ok_or_else(|| TokenError::missing("refresh_token"))?;
    let invalid = || TokenError::forbidden("invalid_grant", "Unknown or invalid refresh token.");
    let leeway = shared.switches().refresh_leeway;
    let mut store = shared.store();
    let (family, mut grant) = store.families.redeem(token, &client.id, leeway).ok_or_else(invalid)?;
    let Some(user) = shared.user(&grant.sub).filter(|user| !user.blocked) else {
        store.families.revoke(family);
        return Err(invalid());
    };
    let refresh_token = client.refresh_rotation.then(|| store.families.rotate(family)).flatten();
    drop(store);
    if let Some(scope) = params.get("scope") {
        // RFC 6749 §6: less than what was granted, never more.
        grant.scope.retain(|granted| scope.split(' ').any(|asked| asked == granted));
    }
    // A renewed ID token answers no authentication request, so it repeats no nonce (OIDC Core §12.2).
    grant.nonce = None;
    // Permissions may have changed since: what is granted is looked up again.
    grant.scope = shared.granted_scope(&user, grant.audience.as_deref(), &grant.scope.join(" "));
    Ok(answer(shared, &grant, &user, refresh_token))
}

fn from_client_credentials(shared: &Shared, client: &Client, params: &Params) -> Result<Value, TokenError> {
    let denied = |text: String| TokenError::forbidden("access_denied", text);
    let audience = params.get("audience").ok_or_else(|| denied("Non-global clients are not allowed access to APIv1".into()))?;
    let Some(api) = shared.api(audience) else {
        return Err(denied(format!("Service not enabled within domain: {audience}")));
    };
    let Some(granted) = client.machine_scopes.get(audience) else {
        return Err(denied(format!(
            "Client is not authorized to access \"{audience}\". You need to create a \"client-grant\" associated to this API. See: https://auth0.com/docs/api/v2#!/Client_Grants/post_client_grants"
        )));
    };
    let asked = params.get("scope");
    let wanted = |scope: &&String| asked.is_none_or(|asked| asked.split(' ').any(|asked| asked == *scope));
    let scope = granted.iter().filter(wanted).cloned().collect::<Vec<_>>().join(" ");
    let claims = shared.machine_claims(&client.id, audience, &scope);
    Ok(json!({
        "access_token": shared.sign_access_token(claims),
        "scope": scope,
        "expires_in": api.token_lifetime.as_secs(),
        "token_type": "Bearer",
    }))
}

/// The successful response (RFC 6749 §5.1, OIDC Core §3.1.3.3).
fn answer(shared: &Shared, grant: &Grant, user: &User, refresh_token: Option<String>) -> Value {
    let (access_token, lifetime) = match grant.audience.as_deref() {
        Some(audience) => {
            let lifetime = shared.api(audience).map(|api| api.token_lifetime).unwrap_or_default();
            (shared.sign_access_token(shared.access_claims(grant, user, audience)), lifetime)
        }
        None => {
            let lifetime = shared.settings.lifetimes.opaque_access_token;
            let token = opaque_token(&shared.issuer);
            shared.store().keep_opaque(&token, grant.clone(), lifetime);
            (token, lifetime)
        }
    };
    let mut answer = json!({
        "access_token": access_token,
        "scope": grant.scope.join(" "),
        "expires_in": lifetime.as_secs(),
        "token_type": "Bearer",
    });
    if grant.has("openid") {
        answer["id_token"] = json!(shared.sign_id_token(grant, user));
    }
    if let Some(refresh_token) = refresh_token {
        answer["refresh_token"] = json!(refresh_token);
    }
    answer
}

/// RFC 7636 §4.6. A verifier for a code that came without a challenge is refused as well: somebody took the challenge
/// out of the request (RFC 9700 §2.1.1).
fn verifier_holds(challenge: Option<&str>, verifier: Option<&str>) -> bool {
    match (challenge, verifier) {
        (None, None) => true,
        (Some(challenge), Some(verifier)) => URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes())) == challenge,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// A form or, as Auth0 allows, a JSON object.
pub(super) fn body_params(headers: &HeaderMap, body: &str) -> Result<Params, TokenError> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let params = match media_type.as_str() {
        "application/json" => Params::from_json(body),
        "application/x-www-form-urlencoded" => Params::from_form(body),
        _ => Err("Expected a form or a JSON object".into()),
    };
    params.map_err(|description| TokenError { status: StatusCode::BAD_REQUEST, error: "invalid_request", description, uri: None })
}

impl TokenError {
    /// Auth0's answer to a wrong secret, an unknown application, and the wrong method alike.
    pub(super) fn unauthorized() -> TokenError {
        TokenError { status: StatusCode::UNAUTHORIZED, error: "access_denied", description: "Unauthorized".into(), uri: None }
    }

    pub(super) fn missing(name: &str) -> TokenError {
        let description = format!("Missing required parameter: {name}");
        TokenError { status: StatusCode::BAD_REQUEST, error: "invalid_request", description, uri: None }
    }

    fn forbidden(error: &'static str, description: impl Into<String>) -> TokenError {
        TokenError { status: StatusCode::FORBIDDEN, error, description: description.into(), uri: None }
    }
}

impl IntoResponse for TokenError {
    fn into_response(self) -> Response {
        let mut body = json!({ "error": self.error, "error_description": self.description });
        if let Some(uri) = self.uri {
            body["error_uri"] = json!(uri);
        }
        (self.status, [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
    }
}
