//! `POST /reload`: an administrator has the configuration read again.

use std::sync::Arc;

use http::StatusCode;
use pingora::protocols::http::ServerSession;
use serde_json::json;

use super::sessions::{Answer, presents};
use crate::audit::{self, Cause};
use crate::reload::{Refused, Reloader, Trigger};
use crate::runtime::Runtime;

/// What the audit log calls it.
const CALL: &str = "POST /reload";

/// 200 with what changed; 422 for a configuration that is wrong, 409 for one that needs a restart; 404 where no token is
/// configured, 401 without it.
pub(super) async fn reload(runtime: &Runtime, reloader: &Arc<Reloader>, session: &mut ServerSession) -> Answer {
    let Some(token) = &runtime.settings.server.admin_token else {
        return (StatusCode::NOT_FOUND, json!({ "error": "not_found", "message": "server.admin_token is not set" }));
    };
    let address = session.client_addr().cloned();
    let client = address.as_ref().map(ToString::to_string).unwrap_or_default();
    let request_id = runtime.request_ids.next();
    let cause = Cause { request_id: Some(&request_id), client: address.and_then(|address| Some(address.as_inet()?.ip().to_canonical())) };
    if !presents(&session.req_header().headers, token) {
        tracing::warn!(client, request_id, "an admin call without the admin token was refused");
        audit::admin_refused(runtime, cause, CALL);
        return (StatusCode::UNAUTHORIZED, json!({ "error": "unauthorized", "request_id": request_id }));
    }
    tracing::info!(client, request_id, "an administrator has the configuration read again");
    let outcome = reloader.reload(Trigger::Admin).await;
    audit::admin_called(runtime, cause, CALL, outcome.as_ref().map_or_else(Refused::label, |_| "ok"));
    match outcome {
        Ok(reloaded) => (StatusCode::OK, reloaded.to_json()),
        Err(refused) => {
            let status = match &refused {
                Refused::Configuration(_) | Refused::Unusable { .. } => StatusCode::UNPROCESSABLE_ENTITY,
                Refused::Fixed(_) | Refused::NoFile => StatusCode::CONFLICT,
            };
            let mut body = refused.to_json();
            body["error"] = refused.label().into();
            body["request_id"] = request_id.into();
            (status, body)
        }
    }
}
