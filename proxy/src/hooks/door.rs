//! The HTTP side of the hook listener: who may ask, what is asked for, one answer, one line in the log.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use doorward_policy::access::DenyReason;
use doorward_policy::request::Target;
use http::{HeaderMap, Method, Version, header};
use pingora::apps::{HttpPersistentSettings, ReusedHttpStream};
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;
use serde_json::json;

use super::dialect::{self, Dialect, Question};
use super::guard::guarded;
use super::oauth2_proxy;
use super::original::{self, Original};
use super::record::{self, Asked};
use super::verdict::{self, Answer, Verdict};
use crate::body::{self, BodyFault};
use crate::clock;
use crate::gate::{Ask, Way};
use crate::incoming;
use crate::listen::info_of;
use crate::login;
use crate::manner::Manner;
use crate::pages::Language;
use crate::reply::Reply;
use crate::respond::{self, Asker};
use crate::runtime::{CurrentRuntime, Runtime};

/// What a question may bring along unasked before the connection is given up.
const UNASKED: usize = 64 * 1024;
const UNASKED_TIME: Duration = Duration::from_secs(1);

/// What metrics call questions that are none: browsers on their way to our own endpoints.
const OWN: &str = "own";
/// And those that came to nothing.
const UNANSWERED: &str = "unanswered";

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
    dialect: &'static str,
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
        session.set_keepalive(goes_on.then(|| limits.idle.as_secs().max(1)));
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
            write(&mut session, Reply::json(403, &body), &request_id).await?;
            return end(session, empty).await;
        }
        let content = match content(runtime, &mut session).await {
            Ok(content) => content,
            Err(fault) => {
                let reason = fault.reason();
                record::failed(runtime, OWN, peer, &request_id, reason.label());
                session.set_keepalive(None);
                let asker =
                    Asker { manner: Manner::Script, request_id: &request_id, login_url: None, prefix: "", language: Language::default() };
                write(&mut session, respond::deny(&runtime.pages, asker, reason), &request_id).await?;
                return end(session, empty).await;
            }
        };
        let visit = match guarded(PATIENCE, self.visit(runtime, &session, &content, &request_id)).await {
            Ok(visit) => visit,
            Err(reason) => {
                record::failed(runtime, UNANSWERED, peer, &request_id, reason.label());
                session.set_keepalive(None);
                let body = json!({ "error": "unavailable", "message": reason.to_string(), "request_id": request_id });
                write(&mut session, Reply::json(503, &body), &request_id).await?;
                return end(session, empty).await;
            }
        };
        let status = visit.reply.status;
        let sent = visit.reply.body.len();
        let written = write(&mut session, visit.reply, &request_id).await;
        let protocol = if session.req_header().version == Version::HTTP_2 { "h2" } else { "http/1" };
        let asked = Asked { dialect: visit.dialect, peer, request_id: &request_id, protocol, started };
        record::answered(runtime, &asked, &visit.verdict, status, sent);
        written?;
        end(session, empty).await
    }

    async fn visit(&self, runtime: &Runtime, session: &ServerSession, content: &[u8], request_id: &str) -> Visit {
        let request = session.req_header();
        let question =
            Question { runtime, method: &request.method, authority: incoming::authority(request), headers: &request.headers, request_id };
        let raw = incoming::raw_target(request);
        let path = raw.split(|b| *b == b'?').next().unwrap_or(raw);
        if let Some(rest) = below_check(runtime, path)
            && let Some((dialect, behind)) = Dialect::at(rest)
        {
            // A path that the dialect carries has its query with it.
            let behind = if behind.is_empty() { behind } else { &raw[path.len() - behind.len()..] };
            let (verdict, reply) = dialect::ask(dialect, &question, behind).await;
            return Visit { dialect: dialect.label(), verdict, reply };
        }
        if let Some(source) = runtime.settings.server.hooks.as_ref().and_then(|hooks| hooks.oauth2_proxy) {
            if oauth2_proxy::is_check(path) {
                // What is no text is no filter either: `allowed` alone is refused.
                let query = raw.get(path.len() + 1..).map(|query| std::str::from_utf8(query).unwrap_or("allowed"));
                let (verdict, reply) = oauth2_proxy::check(&question, query, source).await;
                return Visit { dialect: Dialect::OAuth2Proxy.label(), verdict, reply };
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
                return Visit { dialect: Dialect::OAuth2Proxy.label(), verdict, reply };
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
            Ok(original) => own(runtime, original, &question, content).await,
            Err(reason) => plain_reply(verdict::refused(runtime, None, &request.headers, reason, request_id)),
        };
        Visit { dialect: OWN, verdict, reply }
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

/// `None`: whoever asked is gone.
async fn write(session: &mut ServerSession, reply: Reply, request_id: &str) -> Option<()> {
    let mut answer = ResponseHeader::build(reply.status, Some(reply.fields.len() + 2)).ok()?;
    let mut named = false;
    for (name, value) in reply.fields {
        named |= name == "x-request-id";
        answer.append_header(name, value).ok()?;
    }
    if !named {
        answer.insert_header("x-request-id", request_id).ok()?;
    }
    // RFC 9110 §8.6: no length where there is no content to have one.
    if reply.status != 204 {
        answer.insert_header(header::CONTENT_LENGTH, reply.body.len()).ok()?;
    }
    let bodyless = reply.body.is_empty() || session.req_header().method == Method::HEAD;
    session.write_response_header(Box::new(answer)).await.ok()?;
    let body = if bodyless { Bytes::new() } else { reply.body };
    session.write_response_body(body, true).await.ok()
}

/// Ends the exchange; a connection with content that nobody asked for ends with it.
async fn end(mut session: ServerSession, empty: bool) -> Option<ReusedHttpStream> {
    if empty {
        let settings = HttpPersistentSettings::for_session(&session);
        return session.finish().await.ok()?.map(|stream| ReusedHttpStream::from_reusable_stream(stream, settings));
    }
    // Closing with bytes unread would reset the connection, and the answer with it.
    let drain = async {
        let mut read = 0;
        while let Ok(Some(bytes)) = session.read_request_body().await {
            read += bytes.len();
            if read > UNASKED {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(UNASKED_TIME, drain).await;
    session.shutdown().await;
    None
}
