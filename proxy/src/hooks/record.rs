//! One count and one line in the log for each question, whatever port it came through.

use std::net::IpAddr;
use std::time::Instant;

use super::dialect::Dialect;
use super::verdict::Verdict;
use crate::access_log::{Fate, Line, now_millis};
use crate::log_text::cut;
use crate::runtime::Runtime;

/// What metrics call the questions of those who may not ask.
const UNTRUSTED: &str = "untrusted";
/// Questions that are none: browsers on their way to our own endpoints.
pub const OWN: &str = "own";
/// And those that came to nothing.
pub const UNANSWERED: &str = "unanswered";

/// A question, as far as its port knows it.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// `None`: no question, but a visit to an endpoint of ours.
    pub dialect: Option<Dialect>,
    pub peer: IpAddr,
    pub request_id: &'a str,
    pub protocol: &'static str,
    pub started: Instant,
}

/// A question that was answered: with `status`, and a body of `sent` bytes.
pub fn answered(runtime: &Runtime, asked: &Asked<'_>, verdict: &Verdict, status: u16, sent: usize) {
    let label = asked.dialect.map_or(OWN, Dialect::label);
    match asked.dialect {
        Some(dialect) if class(status) == "2xx" => runtime.hooks.allowed(dialect, &runtime.metrics.hook_requests),
        _ => runtime.metrics.hook_requests.with_label_values(&[label, class(status)]).inc(),
    }
    let fate = Fate { decision: verdict.decision, status, error: verdict.field };
    if !fate.is_wanted(runtime.settings.server.access_log) {
        return;
    }
    let policy = &runtime.settings.policy;
    let route = verdict.route.and_then(|index| policy.routes().get(index));
    let original = verdict.original.as_ref();
    runtime.access_log.write(&Line {
        time: now_millis(),
        request_id: asked.request_id,
        client: original.map_or(asked.peer, |original| original.client),
        dialect: Some(label),
        method: original.map_or("", |original| cut(original.target.method().as_str())),
        host: original.map_or("", |original| original.target.host().name()),
        path: original.map_or("", |original| cut(original.target.path().as_str())),
        protocol: asked.protocol,
        status,
        route: route.map(|route| &*route.name),
        rule: route.zip(verdict.rule).map(|(route, rule)| &*route.rules[rule].name),
        decision: verdict.decision,
        reason: verdict.reason,
        subject: verdict.identity.as_deref().and_then(|identity| identity.user()).map(cut),
        upstream: None,
        error: verdict.field,
        took: asked.started.elapsed(),
        sent: sent as u64,
        shadow: runtime.shadow_lines(verdict.route, &verdict.shadows),
    });
}

/// Somebody asked who may not, for this reason.
pub fn untrusted(runtime: &Runtime, peer: IpAddr, request_id: &str, reason: &'static str) {
    unanswered(runtime, UNTRUSTED, "4xx", Some(403), peer, request_id, reason);
}

/// A question that could not be read, or whose answer failed: in `dialect`, with an error of its protocol.
pub fn failed(runtime: &Runtime, dialect: &'static str, peer: IpAddr, request_id: &str, reason: &'static str) {
    unanswered(runtime, dialect, "5xx", None, peer, request_id, reason);
}

fn unanswered(runtime: &Runtime, dialect: &str, class: &str, status: Option<u16>, client: IpAddr, request_id: &str, reason: &'static str) {
    runtime.metrics.hook_requests.with_label_values(&[dialect, class]).inc();
    runtime.log_refused(client, request_id, status, reason);
}

fn class(status: u16) -> &'static str {
    match status / 100 {
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}
