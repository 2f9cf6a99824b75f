//! The HTTP side of the hook listener: who may ask, what is asked for, one answer, one line in the log.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use doorward_policy::access::DenyReason;
use http::{Method, Version, header};
use pingora::apps::{HttpPersistentSettings, ReusedHttpStream};
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;
use serde_json::json;

use super::dialect::{self, Dialect, Question};
use super::original::{self, Original};
use super::peers::Peers;
use super::verdict::{self, Answer, Verdict};
use crate::access_log::{Line, RefusedLine, cut, now_millis};
use crate::clock;
use crate::gate::{Ask, Way};
use crate::incoming;
use crate::listen::info_of;
use crate::login;
use crate::manner::Manner;
use crate::reply::Reply;
use crate::respond;
use crate::runtime::Runtime;

/// What a question may bring along unasked before the connection is given up.
const UNASKED: usize = 64 * 1024;
const UNASKED_TIME: Duration = Duration::from_secs(1);

/// What metrics call questions that are none: browsers on their way to our own endpoints, and who may not ask.
const OWN: &str = "own";
const UNTRUSTED: &str = "untrusted";

/// Answers whoever is connected to a hook listener.
#[derive(Debug)]
pub struct HookDoor {
    runtime: Arc<Runtime>,
    peers: Peers,
}

/// One request to the listener, and what is to be said of it.
struct Visit {
    dialect: &'static str,
    verdict: Verdict,
    reply: Reply,
}

impl HookDoor {
    pub fn new(runtime: Arc<Runtime>, peers: Peers) -> Self {
        Self { runtime, peers }
    }

    /// Serves one request; gives back the connection where it can go on.
    pub async fn serve(&self, mut session: ServerSession, shutdown: &ShutdownWatch) -> Option<ReusedHttpStream> {
        let started = Instant::now();
        if !session.read_request().await.ok()? {
            return None;
        }
        let limits = &self.runtime.settings.server.limits;
        // HOOK-08: what a question brings along is not read; nobody waits for what may never come.
        let empty = session.is_body_empty();
        let goes_on = empty && !*shutdown.borrow() && session.req_header().version != Version::HTTP_10;
        session.set_keepalive(goes_on.then(|| limits.idle.as_secs().max(1)));
        session.set_write_timeout(Some(limits.idle));

        let request_id = self.runtime.request_ids.next();
        let peer = session.digest().and_then(info_of).map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |info| info.client.ip());
        if !self.peers.trusts(peer, &session.req_header().headers) {
            self.turn_away(peer, &request_id);
            let body = json!({
                "error": "untrusted_peer",
                "message": "Only proxies that server.hooks names may ask here.",
                "request_id": request_id,
            });
            session.set_keepalive(None);
            write(&mut session, Reply::json(403, &body), &request_id).await?;
            return end(session, empty).await;
        }
        let visit = self.visit(&session, &request_id).await;
        let status = visit.reply.status;
        let sent = visit.reply.body.len();
        let written = write(&mut session, visit.reply, &request_id).await;
        self.record(&session, &visit.verdict, visit.dialect, peer, &request_id, status, sent, started);
        written?;
        end(session, empty).await
    }

    async fn visit(&self, session: &ServerSession, request_id: &str) -> Visit {
        let runtime = &*self.runtime;
        let request = session.req_header();
        let question =
            Question { runtime, method: &request.method, authority: incoming::authority(request), headers: &request.headers, request_id };
        let raw = incoming::raw_target(request);
        let path = raw.split(|b| *b == b'?').next().unwrap_or(raw);
        if let Some(rest) = self.below_check(path)
            && let Some((dialect, behind)) = Dialect::at(rest)
        {
            // A path that the dialect carries has its query with it.
            let behind = if behind.is_empty() { behind } else { &raw[path.len() - behind.len()..] };
            let (verdict, reply) = dialect::ask(dialect, &question, behind).await;
            return Visit { dialect: dialect.label(), verdict, reply };
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
            Ok(original) => own(runtime, original, &question).await,
            Err(reason) => plain_reply(verdict::refused(runtime, None, &request.headers, reason, request_id)),
        };
        Visit { dialect: OWN, verdict, reply }
    }

    /// What follows `<prefix>/check`, byte for byte.
    fn below_check<'p>(&self, path: &'p [u8]) -> Option<&'p [u8]> {
        let rest = path.strip_prefix(self.runtime.settings.server.prefix.as_bytes())?.strip_prefix(b"/check")?;
        (rest.is_empty() || rest.starts_with(b"/")).then_some(rest)
    }

    fn turn_away(&self, peer: IpAddr, request_id: &str) {
        self.runtime.metrics.hook_requests.with_label_values(&[UNTRUSTED, "4xx"]).inc();
        let line =
            RefusedLine { time: now_millis(), request_id, client: peer, status: Some(403), decision: "refuse", reason: "hook_untrusted" };
        self.runtime.access_log.write(&line);
    }

    #[expect(clippy::too_many_arguments, reason = "one line of the log has as many parts")]
    fn record(
        &self,
        session: &ServerSession,
        verdict: &Verdict,
        dialect: &'static str,
        peer: IpAddr,
        request_id: &str,
        status: u16,
        sent: usize,
        started: Instant,
    ) {
        let runtime = &self.runtime;
        let took = started.elapsed().as_secs_f64();
        runtime.metrics.hook_requests.with_label_values(&[dialect, class(status)]).inc();
        let policy = &runtime.settings.policy;
        let route = verdict.route.and_then(|index| policy.routes().get(index));
        let original = verdict.original.as_ref();
        runtime.access_log.write(&Line {
            time: now_millis(),
            request_id,
            client: original.map_or(peer, |original| original.client),
            dialect: Some(dialect),
            method: original.map_or("", |original| cut(original.target.method().as_str())),
            host: original.map_or("", |original| original.target.host().name()),
            path: original.map_or("", |original| cut(original.target.path().as_str())),
            protocol: if session.req_header().version == Version::HTTP_2 { "h2" } else { "http/1" },
            status,
            route: route.map(|route| &*route.name),
            rule: route.zip(verdict.rule).map(|(route, rule)| &*route.rules[rule].name),
            decision: verdict.decision,
            reason: verdict.reason,
            subject: verdict.identity.as_deref().and_then(|identity| identity.user()).map(cut),
            upstream: None,
            error: None,
            duration_ms: (took * 1e6).round() / 1e3,
            sent: sent as u64,
        });
    }
}

/// Our own endpoints, for browsers that the other proxy sends on.
async fn own(runtime: &Runtime, original: Original, question: &Question<'_>) -> (Verdict, Reply) {
    let target = &original.target;
    let ask = Ask {
        target,
        headers: question.headers,
        client: original.client,
        manner: Manner::told(target.method(), question.headers, original.scheme.websocket),
        way: Way::Hook { route: None },
        request_id: question.request_id,
        now: clock::now(),
    };
    let path = target.path().as_str();
    let served = if !runtime.settings.policy.knows_host(target.host().name()) {
        let reply = respond::deny(&runtime.pages, runtime.asker(&ask, None), DenyReason::UnknownHost);
        login::Served { reason: DenyReason::UnknownHost.label(), reply }
    } else if let Some(rest) = runtime.own_path(path) {
        login::serve(runtime, &ask, rest).await
    } else if let Some(provider) = runtime.callback_alias(path) {
        login::serve_callback(runtime, &ask, provider).await
    } else {
        let reply = respond::deny(&runtime.pages, runtime.asker(&ask, None), DenyReason::NoRoute);
        login::Served { reason: DenyReason::NoRoute.label(), reply }
    };
    let verdict = Verdict { original: Some(original), route: None, rule: None, identity: None, decision: "own", reason: served.reason };
    (verdict, served.reply)
}

fn plain_reply((verdict, answer): (Verdict, Answer)) -> (Verdict, Reply) {
    match answer {
        Answer::Refuse(reply) => (verdict, reply),
        // Nothing is allowed that was not asked about.
        Answer::Allow(_) => (verdict, Reply::new(403)),
    }
}

fn class(status: u16) -> &'static str {
    match status / 100 {
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
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
