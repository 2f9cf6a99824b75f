//! The HTTP side of the hook listener: who may ask, what is asked for, one answer, one line in the log.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use doorward_policy::access::DenyReason;
use doorward_policy::request::Target;
use http::{HeaderMap, Method, Version};
use pingora::apps::{HttpPersistentSettings, ReusedHttpStream};
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;
use serde_json::json;

use super::answer;
use super::dialect::{self, Dialect, Question};
use super::guard::guarded;
use super::oauth2_proxy;
use super::original::{self, Original};
use super::record::{self, Asked, OWN, UNANSWERED};
use super::verdict::{self, Answer, Verdict};
use crate::body::{self, BodyFault};
use crate::clock;
use crate::entropy::RequestId;
use crate::gate::{Ask, Way};
use crate::incoming;
use crate::listen::info_of;
use crate::login;
use crate::manner::Manner;
use crate::pages::Language;
use crate::reply::Reply;
use crate::respond::{self, Asker};
use crate::runtime::{CurrentRuntime, Runtime};

/// For a whole visit: a callback asks the provider up to three things.
const PATIENCE: Duration = Duration::from_secs(45);

/// Answers whoever is connected to a hook listener.
#[derive(Debug)]
pub struct HookDoor {
    current: Arc<CurrentRuntime>,
    draining: Arc<AtomicBool>,
}

/// One request to the listener, and what is to be said of it.
struct Visit {
    /// `None`: no question, but a browser on its way to an endpoint of ours.
    dialect: Option<Dialect>,
    verdict: Verdict,
    reply: Reply,
}

impl HookDoor {
    /// `draining` is true once the edge is about to stop.
    pub fn new(current: Arc<CurrentRuntime>, draining: Arc<AtomicBool>) -> Self {
        Self { current, draining }
    }

    /// Serves one request; gives back the connection where it can go on.
    pub async fn serve(&self, mut session: ServerSession, shutdown: &ShutdownWatch) -> Option<ReusedHttpStream> {
        if !session.read_request().await.ok()? {
            return None;
        }
        // Not before: between two questions a connection only waits.
        let started = Instant::now();
        let runtime = &*self.current.get();
        let limits = &runtime.settings.server.limits;
        // HOOK-08: what a question brings along is not read; nobody waits for what may never come.
        let empty = session.is_body_empty();
        let goes_on = empty && !*shutdown.borrow() && session.req_header().version != Version::HTTP_10;
        // How long the next question may take is the guard's to say.
        if !goes_on {
            session.set_keepalive(None);
        }
        session.set_write_timeout(Some(limits.idle));

        let request_id = runtime.request_ids.next();
        let peer = session.digest().and_then(info_of).map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |info| info.peer.ip());
        if let Err(reason) = trust(runtime, peer, &session.req_header().headers) {
            record::untrusted(runtime, peer, &request_id, reason);
            let body = json!({
                "error": "untrusted_peer",
                "message": "Only proxies that server.hooks names may ask here.",
                "request_id": request_id,
            });
            session.set_keepalive(None);
            answer::write(&mut session, Reply::json(403, &body), &request_id).await?;
            return answer::end(session, empty).await;
        }
        // Nothing came, so there is nothing to look for.
        let content = if empty { Ok(Bytes::new()) } else { Box::pin(content(runtime, &mut session)).await };
        let content = match content {
            Ok(content) => content,
            Err(fault) => {
                let reason = fault.reason();
                record::failed(runtime, OWN, peer, &request_id, reason.label());
                session.set_keepalive(None);
                let asker =
                    Asker { manner: Manner::Script, request_id: &request_id, login_url: None, prefix: "", language: Language::default() };
                answer::write(&mut session, respond::deny(&runtime.pages, asker, reason), &request_id).await?;
                return answer::end(session, empty).await;
            }
        };
        let visit = match guarded(PATIENCE, self.visit(runtime, &session, &content, &request_id, started)).await {
            Ok(visit) => visit,
            Err(reason) => {
                record::failed(runtime, UNANSWERED, peer, &request_id, reason.label());
                session.set_keepalive(None);
                let body = json!({ "error": "unavailable", "message": reason.to_string(), "request_id": request_id });
                answer::write(&mut session, Reply::json(503, &body), &request_id).await?;
                return answer::end(session, empty).await;
            }
        };
        let (status, sent) = (visit.reply.status, visit.reply.body.len());
        let protocol = if session.req_header().version == Version::HTTP_2 { "h2" } else { "http/1" };
        let asked = Asked { dialect: visit.dialect, peer, request_id: &request_id, protocol, started };
        let settings = HttpPersistentSettings::for_session(&session);
        match session {
            ServerSession::H1(session) if empty && session.will_keepalive() => {
                let stream = answer::write_and_go_on(session, &visit.reply, &request_id).await;
                record::answered(runtime, &asked, &visit.verdict, status, sent);
                Some(ReusedHttpStream::new(stream?, Some(settings)))
            }
            mut session => {
                let written = answer::write(&mut session, visit.reply, &request_id).await;
                record::answered(runtime, &asked, &visit.verdict, status, sent);
                written?;
                answer::end(session, empty).await
            }
        }
    }

    async fn visit(&self, runtime: &Runtime, session: &ServerSession, content: &[u8], request_id: &RequestId, started: Instant) -> Visit {
        let request = session.req_header();
        let authority = incoming::authority(request);
        let question = Question { runtime, method: &request.method, authority, headers: &request.headers, request_id, started };
        let raw = incoming::raw_target(request);
        let path = raw.split(|b| *b == b'?').next().unwrap_or(raw);
        if let Some(rest) = below_check(runtime, path)
            && let Some((dialect, behind)) = Dialect::at(rest)
        {
            // A path that the dialect carries has its query with it.
            let behind = if behind.is_empty() { behind } else { &raw[path.len() - behind.len()..] };
            let (verdict, reply) = dialect::ask(dialect, &question, behind).await;
            return Visit { dialect: Some(dialect), verdict, reply };
        }
        if let Some(source) = runtime.settings.server.hooks.as_ref().and_then(|hooks| hooks.oauth2_proxy) {
            if oauth2_proxy::is_check(path) {
                // What is no text is no filter either: `allowed` alone is refused.
                let query = raw.get(path.len() + 1..).map(|query| std::str::from_utf8(query).unwrap_or("allowed"));
                let (verdict, reply) = oauth2_proxy::check(&question, query, source).await;
                return Visit { dialect: Some(Dialect::OAuth2Proxy), verdict, reply };
            }
            let probe = matches!(request.method, Method::GET | Method::HEAD);
            if let Some(reply) = oauth2_proxy::plain(path, self.draining.load(Ordering::Acquire)).filter(|_| probe) {
                let verdict = Verdict {
                    original: None,
                    route: None,
                    rule: None,
                    identity: None,
                    decision: "own",
                    reason: "probe",
                    shadows: Vec::new(),
                    field: None,
                };
                return Visit { dialect: Some(Dialect::OAuth2Proxy), verdict, reply };
            }
        }
        let original = question.authority.and_then(|authority| {
            incoming::check_fields(&request.headers, &runtime.settings.server.limits)?;
            original::plain(&request.method, authority, raw, &request.headers, question.trusted())
        });
        let (verdict, reply) = match original {
            Ok(original) if !original.scheme.tls => {
                let manner = Manner::told(&request.method, &request.headers, original.scheme.websocket);
                plain_reply(verdict::insecure(runtime, original, &request.headers, manner, request_id))
            }
            // Off the way of a question, and large: whoever carries the future of a question does not carry a sign-in.
            Ok(original) => Box::pin(own(runtime, original, &question, content)).await,
            Err(reason) => plain_reply(verdict::refused(runtime, None, &request.headers, reason, request_id)),
        };
        Visit { dialect: None, verdict, reply }
    }
}

/// Whether the other end may ask. Where nobody is named, nobody may.
fn trust(runtime: &Runtime, peer: IpAddr, headers: &HeaderMap) -> Result<(), &'static str> {
    runtime.peers.as_ref().map_or(Err("hook_untrusted"), |peers| peers.trust(peer, headers))
}

/// What a browser, or a provider, posts to an endpoint of ours; nothing for any question.
async fn content(runtime: &Runtime, session: &mut ServerSession) -> Result<Bytes, BodyFault> {
    let request = session.req_header();
    let target = incoming::authority(request)
        .and_then(|authority| Target::parse(&request.method, authority, incoming::raw_target(request)).map_err(DenyReason::from));
    match target.ok().and_then(|target| login::takes_content(runtime, &target)) {
        Some(limit) => body::read(session, limit).await,
        None => Ok(Bytes::new()),
    }
}

/// What follows `<prefix>/check`, byte for byte.
fn below_check<'p>(runtime: &Runtime, path: &'p [u8]) -> Option<&'p [u8]> {
    let rest = path.strip_prefix(runtime.settings.server.prefix.as_bytes())?.strip_prefix(b"/check")?;
    (rest.is_empty() || rest.starts_with(b"/")).then_some(rest)
}

/// Our own endpoints, for browsers that the other proxy sends on.
async fn own(runtime: &Runtime, original: Original, question: &Question<'_>, content: &[u8]) -> (Verdict, Reply) {
    let target = &original.target;
    let ask = Ask {
        target,
        headers: question.headers,
        content,
        client: original.client,
        manner: Manner::told(target.method(), question.headers, original.scheme.websocket),
        way: Way::Hook { route: None, filter: None, again: false },
        request_id: question.request_id,
        now: clock::now(),
    };
    let path = target.path().as_str();
    let served = if !runtime.serves_host(target.host().name()) {
        let reply = respond::deny(&runtime.pages, runtime.asker(&ask, None), DenyReason::UnknownHost);
        login::Served { reason: DenyReason::UnknownHost.label(), reply }
    } else if let Some(rest) = runtime.own_path(path) {
        login::serve(runtime, &ask, rest).await
    } else if let Some(provider) = runtime.callback_alias(path) {
        login::serve_callback(runtime, &ask, provider).await
    } else {
        let compatible = runtime.settings.server.hooks.as_ref().is_some_and(|hooks| hooks.oauth2_proxy.is_some());
        let visit = if compatible { oauth2_proxy::visit(runtime, &ask).await } else { None };
        visit.unwrap_or_else(|| {
            let reply = respond::deny(&runtime.pages, runtime.asker(&ask, None), DenyReason::NoRoute);
            login::Served { reason: DenyReason::NoRoute.label(), reply }
        })
    };
    let verdict = Verdict {
        original: Some(original),
        route: None,
        rule: None,
        identity: None,
        decision: "own",
        reason: served.reason,
        shadows: Vec::new(),
        field: None,
    };
    (verdict, served.reply)
}

fn plain_reply((verdict, answer): (Verdict, Answer)) -> (Verdict, Reply) {
    match answer {
        Answer::Refuse(reply) => (verdict, reply),
        // Nothing is allowed that was not asked about.
        Answer::Allow(_) => (verdict, Reply::new(403)),
    }
}
