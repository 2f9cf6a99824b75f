//! What is known about one request while it passes.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use doorward_policy::access::Permit;
use doorward_policy::identity::Identity;
use doorward_policy::request::Target;
use doorward_policy::time::Timestamp;
use http::HeaderValue;

use crate::manner::Manner;
use crate::runtime::Runtime;

/// pingora's context of a request. Its `Arc<Runtime>` is taken once: a reload can never mix two.
#[derive(Debug)]
pub struct RequestState {
    pub runtime: Arc<Runtime>,
    pub started: Instant,
    pub request_id: String,
    pub client: IpAddr,
    pub manner: Manner,
    /// `None` until the request was read, and for ever if it could not be.
    pub target: Option<Target>,
    pub route: Option<usize>,
    pub rule: Option<usize>,
    pub identity: Option<Arc<Identity>>,
    /// No permit, no peer.
    pub permit: Option<Permit>,
    /// A `Set-Cookie` value for the answer.
    pub renewal: Option<String>,
    pub decision: &'static str,
    pub reason: &'static str,
    /// A WebSocket or server-sent events: silence is no fault.
    pub quiet: bool,
    pub body_limit: Option<u64>,
    pub body_seen: u64,
    /// When the first of it came.
    pub body_began: Option<Instant>,
    pub upstream: Option<String>,
    /// Servers that could not be connected to.
    pub tried: Vec<SocketAddr>,
    /// When what the request stands on ends.
    pub until: Option<Timestamp>,
    /// The asking page's origin, where the route answers for origins.
    pub origin: Option<HeaderValue>,
    pub error: Option<&'static str>,
    pub websocket: Option<WebSocketGauge>,
}

/// Counts an open WebSocket until it is dropped, whatever way the request ended.
#[derive(Debug)]
pub struct WebSocketGauge(Arc<Runtime>);

impl WebSocketGauge {
    pub fn opened(runtime: &Arc<Runtime>) -> Self {
        runtime.metrics.websockets.inc();
        Self(runtime.clone())
    }
}

impl Drop for WebSocketGauge {
    fn drop(&mut self) {
        self.0.metrics.websockets.dec();
    }
}

impl RequestState {
    pub fn new(runtime: Arc<Runtime>) -> Self {
        let request_id = runtime.request_ids.next();
        Self {
            runtime,
            started: Instant::now(),
            request_id,
            client: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            manner: Manner::Script,
            target: None,
            route: None,
            rule: None,
            identity: None,
            permit: None,
            renewal: None,
            decision: "deny",
            reason: "bad_request",
            quiet: false,
            body_limit: None,
            body_seen: 0,
            body_began: None,
            upstream: None,
            tried: Vec::new(),
            until: None,
            origin: None,
            error: None,
            websocket: None,
        }
    }

    /// Names the outcome for log and metrics.
    pub fn outcome(&mut self, decision: &'static str, reason: &'static str) {
        self.decision = decision;
        self.reason = reason;
    }
}
