//! `POST /reload`: an administrator has the configuration read again.

use std::sync::Arc;

use http::StatusCode;
use pingora::protocols::http::ServerSession;

use super::caller::{Answer, Caller};
use crate::audit;
use crate::reload::{Refused, Reloader, Trigger};
use crate::runtime::Runtime;

/// What the audit log calls it.
const CALL: &str = "POST /reload";

/// 200 with what changed; 422 for a configuration that is wrong, 409 for one that needs a restart; 404 where no token is
/// configured, 401 without it.
pub(super) async fn reload(runtime: &Runtime, reloader: &Arc<Reloader>, session: &mut ServerSession) -> Answer {
    let caller = match Caller::admit(runtime, session, CALL) {
        Ok(caller) => caller,
        Err(refused) => return refused,
    };
    let (client, request_id) = (&caller.client, &caller.request_id);
    tracing::info!(client, request_id, "an administrator has the configuration read again");
    let outcome = reloader.reload(Trigger::Admin).await;
    audit::admin_called(runtime, caller.cause(), CALL, outcome.as_ref().map_or_else(Refused::label, |_| "ok"));
    match outcome {
        Ok(reloaded) => (StatusCode::OK, reloaded.to_json()),
        Err(refused) => {
            let status = match &refused {
                Refused::Configuration(_) | Refused::Unusable { .. } => StatusCode::UNPROCESSABLE_ENTITY,
                Refused::Fixed(_) | Refused::NoFile => StatusCode::CONFLICT,
            };
            let mut body = refused.to_json();
            body["error"] = refused.label().into();
            body["request_id"] = request_id.as_str().into();
            (status, body)
        }
    }
}
