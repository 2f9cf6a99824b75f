//! `/userinfo`: what the tenant says about the person behind an access token (OIDC Core §5.3).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::issue::Grant;
use super::token_text::merged;
use super::{Shared, lock};

pub(super) async fn show(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let Some(token) = token else {
        return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], "Unauthorized").into_response();
    };
    let opaque = shared.store().opaque(token);
    let grant = opaque.or_else(|| grant_of_jwt(&shared, token));
    let user = grant.as_ref().and_then(|grant| shared.user(&grant.sub));
    match (grant, user) {
        (Some(grant), Some(user)) if grant.has("openid") => {
            Json(merged(json!({ "sub": user.sub }), &shared.person_claims(&grant, &user))).into_response()
        }
        _ => {
            // RFC 6750 §3.1
            let challenge = r#"Bearer error="invalid_token", error_description="The access token is invalid""#;
            (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)], "Unauthorized").into_response()
        }
    }
}

/// A JWT for an API is good here too, if it says so in `aud`.
fn grant_of_jwt(shared: &Shared, token: &str) -> Option<Grant> {
    let claims = lock(&shared.keys).open(token)?;
    let userinfo = shared.url("userinfo");
    let for_us = claims["aud"].as_array()?.iter().any(|audience| audience == userinfo.as_str());
    if !for_us || claims["exp"].as_i64()? <= shared.now() {
        return None;
    }
    let text = |name: &str| claims[name].as_str().unwrap_or_default().to_owned();
    Some(Grant {
        sub: text("sub"),
        client_id: text("azp"),
        audience: None,
        scope: claims["scope"].as_str()?.split(' ').map(str::to_owned).collect(),
        organization: claims.get("org_id").and_then(Value::as_str).map(str::to_owned),
        nonce: None,
        sid: String::new(),
        auth_time: 0,
        show_auth_time: false,
    })
}
