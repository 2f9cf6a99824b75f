//! pingora's phases, one short call each. The hot path of a proxied request is this file and `gate.rs`.

mod answer;
mod failure;
mod stream;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use doorward_policy::access::{DenyReason, Passes, Permit};
use doorward_policy::login::FORM_LIMIT;
use doorward_policy::request::Target;
use http::{HeaderMap, Version, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::proxy::{FailToProxy, ProxyHttp, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType};

use crate::body;
use crate::clock;
use crate::forward::{self, Forward};
use crate::gate::{Ask, Outcome, Way};
use crate::incoming::{self, Told};
use crate::listen::connection_info;
use crate::login;
use crate::manner::Manner;
use crate::pages::Language;
use crate::reply::Reply;
use crate::respond;
use crate::runtime::{CurrentRuntime, Runtime};
use crate::state::{Finished, RequestState, WebSocketGauge};
use answer::write;
use failure::{error_name, failure_status};
use stream::{is_stream, list_stream, speaks_websocket};

/// Servers tried for one request.
const CONNECT_ATTEMPTS: usize = 3;

/// A body may be this slow, in bytes a second, once it has had its grace: less is somebody who holds a server's
/// connection for nothing (DOS-02).
const BODY_RATE: u64 = 128;
const BODY_GRACE: Duration = Duration::from_secs(30);

/// The proxy of one world.
#[derive(Debug)]
pub struct Edge {
    current: Arc<CurrentRuntime>,
}

impl Edge {
    pub fn new(current: Arc<CurrentRuntime>) -> Self {
        Self { current }
    }
}

#[async_trait]
impl ProxyHttp for Edge {
    /// On the heap: pingora's future of a request has room for it in several places, and is copied whole when it begins.
    type CTX = Box<RequestState>;

    fn new_ctx(&self) -> Box<RequestState> {
        Box::new(RequestState::new(self.current.get()))
    }

    /// None: pingora's own would be made for every request to compress nothing.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn early_request_filter(&self, session: &mut Session, state: &mut Self::CTX) -> pingora::Result<()> {
        let limits = &state.runtime.settings.server.limits;
        // The guard of the connection ends one that waits too long: pingora would make a timer for every request. An HTTP/1.0
        // client waits for the end of the connection (RFC 9112 §9.3).
        if session.req_header().version == Version::HTTP_10 {
            session.set_keepalive(None);
        }
        session.set_read_timeout(Some(limits.idle));
        session.set_write_timeout(Some(limits.idle));
        Ok(())
    }

    /// Reads the request once, decides once. `true`: it was answered here.
    async fn request_filter(&self, session: &mut Session, state: &mut Self::CTX) -> pingora::Result<bool> {
        let reply = match read(session, state) {
            Err(reason) => {
                state.outcome("deny", reason.label());
                state.runtime.metrics.stopped(crate::metrics::NO_ROUTE, "deny", reason.label());
                Some(respond::deny(&state.runtime.pages, plain_asker(state), reason))
            }
            Ok(target) => decide(session, state, target).await,
        };
        let reply = reply.or_else(|| prepare(session, state));
        match reply {
            Some(reply) => write(session, state, reply).await.map(|()| true),
            None => Ok(false),
        }
    }

    async fn upstream_peer(&self, _session: &mut Session, state: &mut Self::CTX) -> pingora::Result<Box<HttpPeer>> {
        // INVARIANT: no permit, no peer.
        let Some(permit) = &state.permit else { return Error::e_explain(ErrorType::HTTPStatus(403), "no permit") };
        let Some(mut chosen) = state.runtime.upstreams[permit.route()].as_ref().and_then(|pool| pool.next(&state.tried)) else {
            return Error::e_explain(ErrorType::HTTPStatus(503), "no server is well");
        };
        // A quiet stream is not a slow answer.
        if state.quiet {
            chosen.peer.options.read_timeout = None;
        }
        state.upstream = Some(chosen.name);
        Ok(chosen.peer)
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        upstream: &mut RequestHeader,
        state: &mut Self::CTX,
    ) -> pingora::Result<()> {
        let (Some(permit), Some(target)) = (&state.permit, &state.target) else {
            return Error::e_explain(ErrorType::HTTPStatus(403), "no permit");
        };
        let runtime = &state.runtime;
        let (Some(pool), Some(settings)) = (&runtime.upstreams[permit.route()], &runtime.settings.routes[permit.route()].upstream) else {
            return Error::e_explain(ErrorType::HTTPStatus(503), "no upstream");
        };
        let Some(connection) = connection_info(session) else {
            return Error::e_explain(ErrorType::HTTPStatus(503), "no connection");
        };
        let asked_for = state.session.as_ref().filter(|_| permit.passes() == Passes::OfSession);
        let session_token = asked_for.and_then(|live| live.access_token(clock::now()));
        let forward = Forward {
            target,
            permit,
            route: &runtime.settings.policy.routes()[permit.route()],
            rewrite: &settings.rewrite,
            owned: runtime.settings.policy.owned_names(),
            client: connection.field_of(state.client),
            public_port: runtime.settings.server.public_port,
            host: pool.host(),
            request_id: &state.request_id,
            session_token: session_token.as_deref(),
        };
        forward::request(upstream, &forward)?;
        // What is sent again is counted again.
        state.body_seen = 0;
        state.body_began = None;
        Ok(())
    }

    async fn request_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        state: &mut Self::CTX,
    ) -> pingora::Result<()> {
        // Nothing came, and nothing will: most requests.
        if end && body.as_ref().is_none_or(Bytes::is_empty) && state.body_seen == 0 {
            *body = None;
            return Ok(());
        }
        state.body_seen += body.as_ref().map_or(0, |bytes| bytes.len() as u64);
        // A WebSocket's bytes are no body.
        if state.websocket.is_none() && state.body_limit.is_some_and(|limit| state.body_seen > limit) {
            return Error::e_explain(ErrorType::HTTPStatus(413), "body limit");
        }
        let streams = state.websocket.is_some() || state.manner == Manner::Grpc;
        let began = *state.body_began.get_or_insert_with(Instant::now);
        if !end && !streams && state.body_seen < bytes_due(began.elapsed()) {
            return Error::e_explain(ErrorType::HTTPStatus(408), "body too slow");
        }
        // pingora#935: an empty last chunk would end the upstream's body twice, and the second end would begin a request.
        if end && body.as_ref().is_some_and(Bytes::is_empty) {
            *body = None;
        }
        Ok(())
    }

    async fn response_filter(&self, session: &mut Session, answer: &mut ResponseHeader, state: &mut Self::CTX) -> pingora::Result<()> {
        // 100 and 103 come through here too; 101 is final for us.
        if answer.status.is_informational() && answer.status != 101 {
            return forward::early_response(answer, &state.runtime);
        }
        if answer.status == 101 {
            // UPG-03: nobody switches protocols who was not asked to.
            if state.manner != Manner::WebSocket {
                return Error::e_explain(ErrorType::HTTPStatus(502), "unasked upgrade");
            }
            session.set_read_timeout(None);
            session.set_write_timeout(None);
            state.websocket = Some(WebSocketGauge::opened(&state.runtime));
        }
        if is_stream(answer) {
            list_stream(session, state);
        }
        if let Some(stream) = &mut state.stream {
            stream.answered(answer.status.as_u16(), speaks_websocket(answer));
        }
        forward::response(answer, state)
    }

    async fn response_trailer_filter(
        &self,
        _session: &mut Session,
        trailers: &mut HeaderMap,
        state: &mut Self::CTX,
    ) -> pingora::Result<Option<Bytes>> {
        forward::trailers(trailers, &state.runtime);
        Ok(None)
    }

    fn response_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        _end: bool,
        state: &mut Self::CTX,
    ) -> pingora::Result<Option<Duration>> {
        if let (Some(stream), Some(bytes)) = (&mut state.stream, body) {
            stream.passes(bytes);
        }
        Ok(None)
    }

    fn fail_to_connect(&self, _session: &mut Session, peer: &HttpPeer, state: &mut Self::CTX, mut error: Box<Error>) -> Box<Error> {
        // Nothing was sent yet: another server may be asked, whatever the method; the same one again would only take longer.
        state.tried.extend(peer._address.as_inet());
        let pool = state.permit.as_ref().and_then(|permit| state.runtime.upstreams[permit.route()].as_ref());
        let servers = pool.map_or(0, |pool| pool.size());
        error.set_retry(state.tried.len() < servers.min(CONNECT_ATTEMPTS));
        count_upstream_error(state, "connect");
        error
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, state: &mut Self::CTX) -> FailToProxy {
        let status = failure_status(error);
        state.error = Some(error_name(error));
        if status > 0 && final_answer(session).is_none() {
            // What the client did wrong after the decision is the client's, not the app's.
            let denied = match status {
                400 => Some(DenyReason::BadRequest),
                413 => Some(DenyReason::BodyTooLarge),
                _ => None,
            };
            let face = denied.map_or_else(|| respond::gateway(status), respond::face);
            if let Some(reason) = denied {
                deny(state, reason);
            } else if *error.esource() == ErrorSource::Upstream && *error.etype() != ErrorType::ConnectRefused {
                count_upstream_error(state, if status == 504 { "timeout" } else { "answer" });
            }
            let reply = respond::show(&state.runtime.pages, plain_asker(state), face, &[]);
            session.set_keepalive(None);
            // The client may be gone; there is nobody left to tell.
            let _ = write(session, state, reply).await;
        }
        FailToProxy { error_code: status, can_reuse_downstream: false }
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, state: &mut Self::CTX) {
        state.logged = true;
        state.log(&Finished {
            method: session.req_header().method.as_str(),
            status: final_answer(session).map_or(0, |answer| answer.status.as_u16()),
            sent: session.body_bytes_sent() as u64,
            error: error.map(error_name),
        });
    }

    /// pingora's own lines hold raw bytes of requests and addresses of apps; ours say what there is to say.
    fn suppress_error_log(&self, _session: &Session, _state: &Self::CTX, _error: &Error) -> bool {
        true
    }
}

/// How much of a body must have come by now.
fn bytes_due(since_its_first_byte: Duration) -> u64 {
    since_its_first_byte.saturating_sub(BODY_GRACE).as_secs().saturating_mul(BODY_RATE)
}

/// Reads target, manner and client: the only time this request is parsed.
fn read(session: &Session, state: &mut RequestState) -> Result<Target, DenyReason> {
    let request = session.req_header();
    state.manner = Manner::of(&request.method, &request.headers);
    if state.manner.shows_pages() {
        state.language = Language::of(&request.headers);
    }
    state.http2 = request.version == Version::HTTP_2;
    state.client = client_address(session, &state.runtime);
    incoming::target(request, &state.runtime.settings.server.limits)
}

/// Own endpoints first, then the gate.
async fn decide(session: &mut Session, state: &mut RequestState, target: Target) -> Option<Reply> {
    let runtime = &state.runtime;
    let target = &*state.target.insert(target);
    let content = match login::takes_content(runtime, target) {
        None => Bytes::new(),
        Some(limit) => match body::read(session, limit).await {
            Ok(content) => content,
            Err(fault) => {
                session.set_keepalive(None);
                deny(state, fault.reason());
                return Some(respond::deny(&state.runtime.pages, plain_asker(state), fault.reason()));
            }
        },
    };
    let ask = Ask {
        target,
        headers: &session.req_header().headers,
        content: &content,
        client: state.client,
        manner: state.manner,
        way: Way::Proxy,
        request_id: &state.request_id,
        now: clock::now(),
    };
    let known_host = || runtime.serves_host(target.host().name());
    let path = target.path().as_str();
    if let Some(rest) = runtime.own_path(path).filter(|_| known_host()) {
        let served = login::serve(runtime, &ask, rest).await;
        state.decision = "own";
        state.reason = served.reason;
        return Some(served.reply);
    }
    if let Some(provider) = runtime.callback_alias(path).filter(|_| known_host()) {
        let served = login::serve_callback(runtime, &ask, provider).await;
        state.decision = "own";
        state.reason = served.reason;
        return Some(served.reply);
    }
    let admission = runtime.admit(&ask).await;
    let waiting = login::form::waits(runtime, &ask, &admission);
    runtime.count(&admission);
    state.route = admission.route;
    state.rule = admission.rule;
    state.identity = admission.identity;
    state.shadows = admission.shadows;
    match admission.outcome {
        Outcome::Forward { permit, known, renewal, until, session } => {
            runtime.metrics.took(known, state.started.elapsed().as_secs_f64());
            state.decision = "allow";
            state.reason = known.label();
            state.renewal = renewal;
            state.until = until;
            state.session = session;
            state.permit = Some(permit);
            None
        }
        Outcome::Answer { decision, reason, reply } => {
            state.decision = decision;
            state.reason = reason;
            let Some(waiting) = waiting else { return Some(reply) };
            let kept = match body::read(session, FORM_LIMIT).await {
                Ok(content) => login::form::keep(runtime, waiting, &content).await,
                Err(_) => {
                    session.set_keepalive(None);
                    None
                }
            };
            Some(kept.unwrap_or(reply))
        }
    }
}

/// What else must hold before a permitted request goes on.
fn prepare(session: &mut Session, state: &mut RequestState) -> Option<Reply> {
    let route = state.permit.as_ref().map(Permit::route)?;
    if state.runtime.upstreams[route].is_none() {
        // Another proxy stands before that app; from here nothing leads to it.
        state.permit = None;
        deny(state, DenyReason::NoRoute);
        return Some(respond::deny(&state.runtime.pages, plain_asker(state), DenyReason::NoRoute));
    }
    let request = session.req_header();
    state.body_limit = state.runtime.settings.routes[route].body_limit;
    let announced =
        request.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()).and_then(|value| value.parse::<u64>().ok());
    if state.body_limit.zip(announced).is_some_and(|(limit, announced)| announced > limit) {
        state.permit = None;
        deny(state, DenyReason::BodyTooLarge);
        return Some(respond::deny(&state.runtime.pages, plain_asker(state), DenyReason::BodyTooLarge));
    }
    // Only what has sent all it will send may wait in silence: a body that never comes must not hold a server.
    let events = request.method == http::Method::GET
        && request.headers.get(header::ACCEPT).is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"));
    let complete = announced.is_none_or(|length| length == 0) && !request.headers.contains_key(header::TRANSFER_ENCODING);
    state.quiet = (events && complete && session.is_body_empty()) || state.manner == Manner::WebSocket;
    if state.quiet || state.manner == Manner::Grpc {
        list_stream(session, state);
    }
    if state.runtime.settings.policy.routes()[route].cors.is_some() {
        state.origin = session.req_header().headers.get(header::ORIGIN).cloned();
    }
    forward::forget_spelling(session.req_header_mut());
    None
}

/// The socket's other end; or, when that is a trusted proxy, whom it tells.
fn client_address(session: &Session, runtime: &Runtime) -> IpAddr {
    let Some(info) = connection_info(session) else { return IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
    let peer = info.client.ip().to_canonical();
    let trusted = &runtime.settings.server.trusted_proxies;
    if !trusted.iter().any(|network| network.contains(&peer)) {
        return peer;
    }
    match incoming::told_client(&session.req_header().headers, trusted) {
        Told::Nobody => peer,
        Told::Client(client) => client,
        // ADV-AK-02: what is no address belongs to no network.
        Told::Unreadable => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    }
}

/// What was answered; a relayed `100 Continue` is no answer yet.
fn final_answer(session: &Session) -> Option<&ResponseHeader> {
    session.response_written().filter(|answer| !answer.status.is_informational() || answer.status == 101)
}

fn plain_asker(state: &RequestState) -> respond::Asker<'_> {
    respond::Asker {
        manner: state.manner,
        request_id: &state.request_id,
        login_url: None,
        prefix: &state.runtime.settings.server.prefix,
        language: state.language,
    }
}

/// A refusal after the decision: named in the log and counted like any other (MET-04).
fn deny(state: &mut RequestState, reason: DenyReason) {
    state.outcome("deny", reason.label());
    let route = state.route.map_or(crate::metrics::NO_ROUTE, |index| &*state.runtime.settings.policy.routes()[index].name);
    state.runtime.metrics.stopped(route, "deny", reason.label());
}

fn count_upstream_error(state: &RequestState, kind: &str) {
    let route = state.route.map_or(crate::metrics::NO_ROUTE, |index| &*state.runtime.settings.policy.routes()[index].name);
    state.runtime.metrics.upstream_errors.with_label_values(&[route, kind]).inc();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dos_02_a_body_must_come_at_a_modest_pace_after_its_grace() {
        for (seconds, due) in [(0, 0), (30, 0), (31, 128), (90, 60 * 128), (u64::MAX, u64::MAX)] {
            assert_eq!(bytes_due(Duration::from_secs(seconds)), due, "{seconds}");
        }
    }
}
