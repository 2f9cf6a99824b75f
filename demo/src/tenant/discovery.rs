//! Discovery and keys: what a relying party reads first.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};

use super::token_text::merged;
use super::{Shared, lock};
use crate::page::page;

/// `GET /.well-known/openid-configuration` (OIDC Discovery §4).
pub(super) async fn document(State(shared): State<Arc<Shared>>) -> ([(HeaderName, &'static str); 1], Json<Value>) {
    let switches = shared.switches().clone();
    let mut document = json!({
        "issuer": shared.issuer,
        "authorization_endpoint": shared.url("authorize"),
        "token_endpoint": shared.url("oauth/token"),
        "userinfo_endpoint": shared.url("userinfo"),
        "jwks_uri": shared.url(".well-known/jwks.json"),
        "revocation_endpoint": shared.url("oauth/revoke"),
        "scopes_supported": ["openid", "profile", "offline_access", "name", "nickname", "email", "email_verified"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "code_challenge_methods_supported": ["S256"],
        "subject_types_supported": ["public"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "private_key_jwt", "none"],
        "token_endpoint_auth_signing_alg_values_supported": ["RS256", "RS384", "PS256"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "claims_supported": ["aud", "auth_time", "email", "email_verified", "exp", "iat", "iss", "name", "nickname", "sid", "sub"],
        "request_uri_parameter_supported": false,
        "request_parameter_supported": false,
    });
    if switches.rp_initiated_logout {
        document["end_session_endpoint"] = json!(shared.url("oidc/logout"));
    }
    if switches.callback_iss {
        document["authorization_response_iss_parameter_supported"] = json!(true);
    }
    (CACHE, Json(merged(document, &switches.discovery_over)))
}

/// `GET /.well-known/jwks.json`
pub(super) async fn jwks(State(shared): State<Arc<Shared>>) -> ([(HeaderName, &'static str); 1], Json<Value>) {
    (CACHE, Json(lock(&shared.keys).jwks()))
}

/// `GET /`: where a sign-out without a target ends.
pub(super) async fn home() -> Response {
    let text = "Nobody signs in here directly. Open one of the apps, and it will bring you back.";
    page(StatusCode::OK, "message.html", json!({ "title": "A stand-in tenant", "text": text }))
}

const CACHE: [(HeaderName, &str); 1] = [(header::CACHE_CONTROL, "public, max-age=15, stale-while-revalidate=15, stale-if-error=86400")];
