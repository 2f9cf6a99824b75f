//! Refresh tokens: families that rotate, and die when a used one comes back (RFC 9700 §4.14.2). And `/oauth/revoke`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::Shared;
use super::issue::Grant;
use super::params::Params;
use super::record::Endpoint;
use super::token::{TokenError, body_params};
use super::token_text::random_text;

/// All refresh tokens, grouped by the sign-in they come from.
#[derive(Debug, Default)]
pub(super) struct Families {
    families: HashMap<u64, Family>,
    by_token: HashMap<String, u64>,
    next_id: u64,
    /// `jti` of client assertions and when they expire.
    assertions: HashMap<String, i64>,
}

#[derive(Debug)]
struct Family {
    grant: Grant,
    current: String,
    /// The one before, and when it was replaced.
    previous: Option<(String, Instant)>,
    ends: Instant,
}

impl Families {
    /// A new family for a sign-in: its id and first token.
    pub(super) fn begin(&mut self, grant: Grant, lifetime: Duration) -> (u64, String) {
        let now = Instant::now();
        if self.families.len() >= SWEEP_AT {
            self.families.retain(|_, family| family.ends > now);
            self.by_token.retain(|_, id| self.families.contains_key(id));
        }
        let id = self.next_id;
        self.next_id += 1;
        let token = new_token();
        self.by_token.insert(token.clone(), id);
        self.families.insert(id, Family { grant, current: token.clone(), previous: None, ends: now + lifetime });
        (id, token)
    }

    /// The grant behind a token, and the family's id. A used token outside the leeway revokes the family.
    pub(super) fn redeem(&mut self, token: &str, client_id: &str, leeway: Duration) -> Option<(u64, Grant)> {
        let id = *self.by_token.get(token)?;
        let family = self.families.get(&id)?;
        if family.ends <= Instant::now() || family.grant.client_id != client_id {
            return None;
        }
        // Only the token immediately before the current one is forgiven.
        let forgiven = family
            .previous
            .as_ref()
            .is_some_and(|(previous, replaced)| previous == token && !leeway.is_zero() && replaced.elapsed() <= leeway);
        if family.current == token || forgiven {
            return Some((id, family.grant.clone()));
        }
        self.revoke(id);
        None
    }

    /// A new token in place of the current one. The family's end does not move.
    pub(super) fn rotate(&mut self, id: u64) -> Option<String> {
        let family = self.families.get_mut(&id)?;
        let token = new_token();
        let previous = std::mem::replace(&mut family.current, token.clone());
        family.previous = Some((previous, Instant::now()));
        self.by_token.insert(token.clone(), id);
        Some(token)
    }

    pub(super) fn revoke(&mut self, id: u64) {
        self.families.remove(&id);
    }

    fn revoke_token(&mut self, token: &str, client_id: &str) {
        let Some(id) = self.by_token.get(token).copied() else {
            return;
        };
        if self.families.get(&id).is_some_and(|family| family.grant.client_id == client_id) {
            self.revoke(id);
        }
    }

    /// RFC 7523 §3 (7): an assertion is for one use.
    pub(super) fn first_sight_of_assertion(&mut self, jti: &str, expires: i64) -> bool {
        if self.assertions.len() >= SWEEP_AT {
            let newest = self.assertions.values().copied().max().unwrap_or_default();
            self.assertions.retain(|_, expires| *expires + 600 > newest);
        }
        self.assertions.insert(jti.to_owned(), expires).is_none()
    }
}

/// `POST /oauth/revoke` (RFC 7009). At Auth0 it takes refresh tokens only; an unknown one is a success (§2.2).
pub(super) async fn revoke(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: String) -> Response {
    let revoked = || {
        let params: Params = body_params(&headers, &body)?;
        shared.record.keep(Endpoint::Revoke, &params, &headers);
        let client = shared.authenticated_client(&params, &headers)?;
        let token = params.get("token").ok_or_else(|| TokenError::missing("token"))?;
        shared.store().families.revoke_token(token, &client.id);
        Ok::<_, TokenError>(StatusCode::OK.into_response())
    };
    revoked().unwrap_or_else(IntoResponse::into_response)
}

fn new_token() -> String {
    format!("v1.{}", random_text(42))
}

const SWEEP_AT: usize = 1024;
