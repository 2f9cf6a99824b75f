//! What arrived: counts for each endpoint, the last parameters, and outages on demand.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::params::Params;
use super::{Shared, lock};

/// The parameters of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedParams {
    pub params: BTreeMap<String, String>,
    /// The `Authorization` header.
    pub authorization: Option<String>,
}

impl ReceivedParams {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.params.get(name).map(String::as_str)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Endpoint {
    Discovery,
    Jwks,
    Authorize,
    Login,
    Token,
    Userinfo,
    Revoke,
    Logout,
}

#[derive(Debug, Default)]
pub(super) struct Record {
    counts: Mutex<HashMap<Endpoint, u64>>,
    received: Mutex<HashMap<Endpoint, VecDeque<ReceivedParams>>>,
}

impl Endpoint {
    pub(super) fn named(name: &str) -> Endpoint {
        let known = ENDPOINTS.iter().find(|(known, ..)| *known == name);
        known.unwrap_or_else(|| panic!("no endpoint `{name}`")).2
    }

    fn at(path: &str) -> Option<Endpoint> {
        ENDPOINTS.iter().find(|(_, paths, _)| paths.contains(&path)).map(|(.., endpoint)| *endpoint)
    }
}

impl Record {
    pub(super) fn count(&self, endpoint: Endpoint) -> u64 {
        lock(&self.counts).get(&endpoint).copied().unwrap_or_default()
    }

    pub(super) fn received(&self, endpoint: Endpoint) -> Vec<ReceivedParams> {
        lock(&self.received).get(&endpoint).map(|kept| kept.iter().cloned().collect()).unwrap_or_default()
    }

    pub(super) fn keep(&self, endpoint: Endpoint, params: &Params, headers: &HeaderMap) {
        let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let mut received = lock(&self.received);
        let kept = received.entry(endpoint).or_default();
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(ReceivedParams { params: params.clone().into_map(), authorization: authorization.map(str::to_owned) });
    }
}

/// Counts each request, then delays or breaks it when a test asked for that.
pub(super) async fn watch(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let Some(endpoint) = Endpoint::at(request.uri().path()) else {
        return next.run(request).await;
    };
    *lock(&shared.record.counts).entry(endpoint).or_default() += 1;
    let (delay, outage) = {
        let switches = shared.switches();
        (switches.delays.get(&endpoint).copied(), switches.outages.get(&endpoint).copied())
    };
    if let Some(delay) = delay {
        tokio::time::sleep(delay).await;
    }
    match outage {
        Some(status) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
            (status, "This endpoint is out of order, as a test asked for.\n").into_response()
        }
        None => next.run(request).await,
    }
}

const KEPT: usize = 256;

const ENDPOINTS: [(&str, &[&str], Endpoint); 8] = [
    ("discovery", &["/.well-known/openid-configuration"], Endpoint::Discovery),
    ("jwks", &["/.well-known/jwks.json"], Endpoint::Jwks),
    ("authorize", &["/authorize"], Endpoint::Authorize),
    ("login", &["/u/login"], Endpoint::Login),
    ("token", &["/oauth/token"], Endpoint::Token),
    ("userinfo", &["/userinfo"], Endpoint::Userinfo),
    ("revoke", &["/oauth/revoke"], Endpoint::Revoke),
    ("logout", &["/v2/logout", "/oidc/logout"], Endpoint::Logout),
];
