//! `/u/login`: the sign-in page, with a button for each persona and the usual form below.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::authorize::{Authorization, SESSION_COOKIE, error_page, found, session_cookie};
use super::params::Params;
use super::settings::User;
use super::{Shared, lock};
use crate::page::page;

/// `GET /u/login?state=…`
pub(super) async fn show(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery) -> Response {
    let params = Params::from_form(&query.unwrap_or_default()).unwrap_or_default();
    let state = params.get("state").unwrap_or_default();
    let attempt = shared.store().attempt(state);
    match attempt {
        Some(attempt) => sign_in_page(&shared, state, &attempt, None),
        None => expired(),
    }
}

/// `POST /u/login`: `state` and either `persona`, `username` with `password`, or `action=cancel`.
pub(super) async fn submit(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: String) -> Response {
    let params = Params::from_form(&body).unwrap_or_default();
    let state = params.get("state").unwrap_or_default();
    let attempt = shared.store().attempt(state);
    let Some(attempt) = attempt else {
        return expired();
    };
    if params.get("action") == Some("cancel") {
        shared.store().end_attempt(state);
        let callback = attempt.callback_error(&shared, "access_denied", "User did not authorize the request");
        return found(&callback);
    }
    let Some(user) = proven_user(&shared, &params) else {
        return sign_in_page(&shared, state, &attempt, params.get("username").or(Some("")));
    };
    let session = shared.new_session(&user);
    let callback = attempt.finish(&shared, &user, &session);
    let mut store = shared.store();
    store.end_attempt(state);
    if let Some(previous) = session_cookie(&headers) {
        store.end_session(&previous);
    }
    if user.blocked {
        return found(&callback);
    }
    let cookie = store.open_session(session, shared.settings.lifetimes.session);
    // Not `Secure`: the tenant speaks plain http on loopback.
    let cookie = format!("{SESSION_COOKIE}={cookie}; Path=/; HttpOnly; SameSite=Lax");
    ([(header::SET_COOKIE, cookie)], found(&callback)).into_response()
}

fn proven_user(shared: &Shared, params: &Params) -> Option<User> {
    if let Some(persona) = params.get("persona") {
        return shared.user(persona);
    }
    let user = shared.user(params.get("username")?)?;
    let matches = user.password.as_deref().is_some_and(|password| params.get("password") == Some(password));
    matches.then_some(user)
}

/// `wrong`: the name that somebody tried in vain.
fn sign_in_page(shared: &Shared, state: &str, attempt: &Authorization, wrong: Option<&str>) -> Response {
    let status = if wrong.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    let username = wrong.or(attempt.login_hint.as_deref()).unwrap_or_default();
    let personas: Vec<_> = lock(&shared.users)
        .iter()
        .map(|user| {
            let initial = user.name.chars().next().unwrap_or('?').to_string();
            json!({ "sub": user.sub, "name": user.name, "email": user.email, "initial": initial,
                    "roles": user.roles.join(", "), "blocked": user.blocked })
        })
        .collect();
    let application = shared.client(&attempt.client_id).map_or(attempt.client_id.as_str(), |client| &client.name);
    let values = json!({
        "state": state,
        "application": application,
        "personas": personas,
        "username": username,
        "wrong": wrong.is_some(),
    });
    page(status, "login.html", values)
}

fn expired() -> Response {
    error_page("This sign-in has expired", "It was used already, or it is older than ten minutes. Go back to the app and start again.")
}
