//! Sign-out: Auth0's own `/v2/logout`, and `/oidc/logout` (OIDC RP-Initiated Logout 1.0).

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::authorize::{SESSION_COOKIE, error_page, found, session_cookie, with_query};
use super::params::Params;
use super::record::Endpoint;
use super::{Shared, lock};
use crate::page::page;

/// `GET /v2/logout?client_id=…&returnTo=…`
pub(super) async fn v2(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let params = match Params::from_form(&query.unwrap_or_default()) {
        Ok(params) => params,
        Err(text) => return error_page("Invalid request", &text),
    };
    shared.record.keep(Endpoint::Logout, &params, &headers);
    let allowed = match params.get("client_id") {
        Some(id) => match shared.client(id) {
            Some(client) => &client.logout_urls,
            None => return error_page("Invalid request", &format!("Unknown client: {id}")),
        },
        None => &shared.settings.logout_urls,
    };
    let target = match params.get("returnTo") {
        Some(url) if allowed.allow_without_query(url) => url.to_owned(),
        Some(url) => {
            let text =
                format!("The \"returnTo\" querystring parameter \"{url}\" is not defined as a valid URL in \"Allowed Logout URLs\".");
            return error_page("Oops!, something went wrong", &text);
        }
        None => allowed.exact.first().cloned().unwrap_or_else(|| shared.issuer.clone()),
    };
    signed_out(&shared, &headers, &target)
}

/// `GET /oidc/logout`
pub(super) async fn oidc(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    end_session(&shared, &query.unwrap_or_default(), &headers)
}

/// `POST /oidc/logout`: the same, and the answer to our own question.
pub(super) async fn oidc_form(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: String) -> Response {
    end_session(&shared, &body, &headers)
}

fn end_session(shared: &Shared, query: &str, headers: &HeaderMap) -> Response {
    if !shared.switches().rp_initiated_logout {
        return (StatusCode::NOT_FOUND, "Not Found\n").into_response();
    }
    let params = match Params::from_form(query) {
        Ok(params) => params,
        Err(text) => return error_page("Invalid request", &text),
    };
    shared.record.keep(Endpoint::Logout, &params, headers);
    let ending = match Ending::read(shared, &params) {
        Ok(ending) => ending,
        Err(text) => return error_page("Invalid request", &text),
    };
    let session = session_cookie(headers).and_then(|cookie| shared.store().session(&cookie));
    // A link on any page could end the session otherwise (RP-Initiated Logout §6).
    let must_ask = session.as_ref().is_some_and(|session| ending.sid.as_deref() != Some(&session.sid));
    if must_ask && params.get("confirmed") != Some("yes") {
        let params: Vec<_> = params.into_map().into_iter().filter(|(name, _)| name != "confirmed").collect();
        let name = session.and_then(|session| shared.user(&session.sub)).map(|user| user.name);
        return page(StatusCode::OK, "confirm_logout.html", json!({ "params": params, "name": name }));
    }
    signed_out(shared, headers, &ending.target)
}

/// What a valid sign-out request asks for.
struct Ending {
    /// The session that the caller knows of.
    sid: Option<String>,
    target: String,
}

impl Ending {
    fn read(shared: &Shared, params: &Params) -> Result<Ending, String> {
        // An ID token that has expired is still a good hint (RP-Initiated Logout §2).
        let hint = match params.get("id_token_hint") {
            Some(token) => Some(opened_hint(shared, token).ok_or("Invalid id_token_hint")?),
            None => None,
        };
        let hint_client = hint.as_ref().and_then(|claims| claims["aud"].as_str());
        let client_id = match (hint_client, params.get("client_id")) {
            (Some(hinted), Some(named)) if hinted != named => {
                return Err("id_token_hint was not issued to client_id".into());
            }
            (hinted, named) => hinted.or(named),
        };
        let allowed = match client_id {
            Some(id) => &shared.client(id).ok_or_else(|| format!("Unknown client: {id}"))?.logout_urls,
            None => &shared.settings.logout_urls,
        };
        let target = match params.get("post_logout_redirect_uri") {
            Some(url) if allowed.allow(url) => match params.get("state") {
                Some(state) => with_query(url, &form_urlencoded::Serializer::new(String::new()).append_pair("state", state).finish()),
                None => url.to_owned(),
            },
            Some(url) => {
                return Err(format!(
                    "The \"post_logout_redirect_uri\" querystring parameter \"{url}\" is not defined as a valid URL in \"Allowed Logout URLs\"."
                ));
            }
            None => allowed.exact.first().cloned().unwrap_or_else(|| shared.issuer.clone()),
        };
        let hinted = hint.as_ref().and_then(|claims| claims["sid"].as_str()).map(str::to_owned);
        Ok(Ending { sid: hinted.or_else(|| params.get("logout_hint").map(str::to_owned)), target })
    }
}

fn opened_hint(shared: &Shared, token: &str) -> Option<Value> {
    lock(&shared.keys).open(token).filter(|claims| claims["iss"] == shared.issuer.as_str())
}

fn signed_out(shared: &Shared, headers: &HeaderMap, target: &str) -> Response {
    if let Some(cookie) = session_cookie(headers) {
        shared.store().end_session(&cookie);
    }
    let cookie = format!("{SESSION_COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
    ([(header::SET_COOKIE, cookie)], found(target)).into_response()
}
