//! What is known about one request while it passes.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use doorward_policy::access::Permit;
use doorward_policy::identity::Identity;
use doorward_policy::request::Target;
use doorward_policy::time::Timestamp;
use http::HeaderValue;

use crate::access_log::{Fate, Line, now_millis};
use crate::entropy::RequestId;
use crate::gate::Shadow;
use crate::log_text::cut;
use crate::manner::Manner;
use crate::pages::Language;
use crate::runtime::Runtime;
use crate::sessions::Live;
use crate::streams::StreamEntry;

/// pingora's context of a request. Its `Arc<Runtime>` is taken once: a reload can never mix two.
#[derive(Debug)]
pub struct RequestState {
    pub runtime: Arc<Runtime>,
    pub started: Instant,
    pub request_id: RequestId,
    pub client: IpAddr,
    pub manner: Manner,
    /// Of our own pages, where one may be shown.
    pub language: Language,
    /// `None` until the request was read, and for ever if it could not be.
    pub target: Option<Target>,
    pub route: Option<usize>,
    pub rule: Option<usize>,
    pub identity: Option<Arc<Identity>>,
    /// No permit, no peer.
    pub permit: Option<Permit>,
    /// The session that was presented.
    pub session: Option<Live>,
    /// A `Set-Cookie` value for the answer.
    pub renewal: Option<String>,
    pub decision: &'static str,
    pub reason: &'static str,
    pub shadows: Vec<Shadow>,
    /// A WebSocket or server-sent events: silence is no fault.
    pub quiet: bool,
    pub body_limit: Option<u64>,
    pub body_seen: u64,
    /// When the first of it came.
    pub body_began: Option<Instant>,
    /// The server that was chosen last.
    pub upstream: Option<Arc<str>>,
    /// Servers that could not be connected to.
    pub tried: Vec<SocketAddr>,
    /// When what the request stands on ends.
    pub until: Option<Timestamp>,
    /// Set once it is a stream that ends with what it stands on.
    pub stream: Option<StreamEntry>,
    /// The asking page's origin, where the route answers for origins.
    pub origin: Option<HeaderValue>,
    pub error: Option<&'static str>,
    pub websocket: Option<WebSocketGauge>,
    pub http2: bool,
    pub logged: bool,
}

/// What the log is told of a request beside its state.
#[derive(Debug)]
pub struct Finished<'f> {
    pub method: &'f str,
    /// 0 when nothing was answered.
    pub status: u16,
    /// Bytes of content.
    pub sent: u64,
    pub error: Option<&'static str>,
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
            language: Language::default(),
            target: None,
            route: None,
            rule: None,
            identity: None,
            permit: None,
            session: None,
            renewal: None,
            decision: "deny",
            reason: "bad_request",
            shadows: Vec::new(),
            quiet: false,
            body_limit: None,
            body_seen: 0,
            body_began: None,
            upstream: None,
            tried: Vec::new(),
            until: None,
            stream: None,
            origin: None,
            error: None,
            websocket: None,
            http2: false,
            logged: false,
        }
    }

    /// Names the outcome for log and metrics.
    pub fn outcome(&mut self, decision: &'static str, reason: &'static str) {
        self.decision = decision;
        self.reason = reason;
    }

    /// Counts the request and writes its line.
    pub fn log(&self, finished: &Finished<'_>) {
        let runtime = &self.runtime;
        let took = self.started.elapsed();
        runtime.metrics.answered(self.route, finished.status, took.as_secs_f64());
        let ended = self.stream.as_ref().and_then(StreamEntry::ended);
        let error = ended.map(|why| why.error()).or(self.error).or(finished.error);
        let fate = Fate { decision: self.decision, status: finished.status, error };
        if !fate.is_wanted(runtime.settings.server.access_log) {
            return;
        }
        let route = self.route.and_then(|index| runtime.settings.policy.routes().get(index));
        runtime.access_log.write(&Line {
            time: now_millis(),
            request_id: &self.request_id,
            client: self.client,
            dialect: None,
            method: cut(finished.method),
            host: self.target.as_ref().map_or("", |target| target.host().name()),
            path: self.target.as_ref().map_or("", |target| cut(target.path().as_str())),
            protocol: if self.http2 { "h2" } else { "http/1" },
            status: finished.status,
            route: route.map(|route| &*route.name),
            rule: route.zip(self.rule).map(|(route, rule)| &*route.rules[rule].name),
            decision: self.decision,
            reason: self.reason,
            subject: self.identity.as_deref().and_then(|identity| identity.user()).map(cut),
            upstream: self.upstream.as_deref(),
            error,
            took,
            sent: finished.sent,
            shadow: runtime.shadow_lines(self.route, &self.shadows),
        });
    }
}

impl Drop for RequestState {
    /// pingora logs what it ended itself; what was cut may have been dropped before.
    fn drop(&mut self) {
        let Some(stream) = self.stream.as_ref().filter(|stream| !self.logged && stream.ended().is_some()) else { return };
        let method = self.target.as_ref().map_or("", |target| target.method().as_str());
        self.log(&Finished { method, status: stream.status, sent: stream.sent, error: None });
    }
}
