//! Who calls the admin listener for more than to look: only whoever has the admin token.

use std::net::IpAddr;

use http::{HeaderMap, StatusCode, header};
use pingora::protocols::http::ServerSession;
use serde_json::{Value, json};

use crate::audit::{self, Cause};
use crate::runtime::Runtime;

/// What an answer is made of.
pub(super) type Answer = (StatusCode, Value);

/// An administrator.
#[derive(Debug)]
pub(super) struct Caller {
    /// As logs have it.
    pub client: String,
    pub request_id: String,
    address: Option<IpAddr>,
}

impl Caller {
    /// 404 where no token is configured, 401 without it. `call` is what the audit log calls it.
    pub fn admit(runtime: &Runtime, session: &ServerSession, call: &'static str) -> Result<Self, Answer> {
        let Some(token) = &runtime.settings.server.admin_token else {
            return Err((StatusCode::NOT_FOUND, json!({ "error": "not_found", "message": "server.admin_token is not set" })));
        };
        let address = session.client_addr();
        let caller = Self {
            client: address.map(ToString::to_string).unwrap_or_default(),
            request_id: runtime.request_ids.next().as_str().to_owned(),
            address: address.and_then(|address| Some(address.as_inet()?.ip().to_canonical())),
        };
        if presents(&session.req_header().headers, token) {
            return Ok(caller);
        }
        tracing::warn!(client = caller.client, request_id = caller.request_id, "an admin call without the admin token was refused");
        audit::admin_refused(runtime, caller.cause(), call);
        Err((StatusCode::UNAUTHORIZED, json!({ "error": "unauthorized", "request_id": caller.request_id })))
    }

    pub fn cause(&self) -> Cause<'_> {
        Cause { request_id: Some(&self.request_id), client: self.address }
    }
}

/// RFC 6750 §2.1, compared in constant time.
fn presents(headers: &HeaderMap, token: &doorward_policy::secret::Secret<String>) -> bool {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let Some((scheme, presented)) = value.to_str().ok().and_then(|value| value.split_once(' ')) else { return false };
    scheme.eq_ignore_ascii_case("bearer") && token.matches(presented.trim_start_matches(' ').as_bytes())
}
