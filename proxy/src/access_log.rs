//! One JSON line for each request, and for each refusal that never became one.
//!
//! Written by a thread of its own; when it falls behind, lines are dropped and counted rather than requests delayed. A
//! line holds no token, cookie, code or query; every text that a client chose is cut to a length and escaped as JSON.

use std::io::Write;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};

use crate::gate::ShadowLine;
use crate::log_text::ascii;

/// Where lines go.
#[derive(Debug)]
pub struct AccessLog {
    writer: NonBlocking,
    /// Flushes what is queued when the log ends.
    guard: Mutex<Option<WorkerGuard>>,
}

/// One request.
#[derive(Debug, Serialize)]
pub struct Line<'l> {
    /// Milliseconds since 1970.
    pub time: u64,
    pub request_id: &'l str,
    pub client: IpAddr,
    /// How another proxy asked; absent where we are the proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dialect: Option<&'static str>,
    pub method: &'l str,
    pub host: &'l str,
    pub path: &'l str,
    pub protocol: &'static str,
    pub status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<&'l str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<&'l str>,
    pub decision: &'static str,
    pub reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<&'l str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<&'l str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'l str>,
    pub duration_ms: f64,
    pub sent: u64,
    /// What rules that are not enforced would have said.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shadow: Vec<ShadowLine<'l>>,
}

/// A connection or request that was refused before there was anything to decide about.
#[derive(Debug, Serialize)]
pub struct RefusedLine<'l> {
    pub time: u64,
    pub request_id: &'l str,
    pub client: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    pub decision: &'static str,
    pub reason: &'l str,
}

impl AccessLog {
    /// A log that writes to `out`.
    pub fn new(out: impl Write + Send + 'static) -> Self {
        let (writer, guard) =
            NonBlockingBuilder::default().lossy(true).buffered_lines_limit(16 * 1024).thread_name("access-log").finish(out);
        Self { writer, guard: Mutex::new(Some(guard)) }
    }

    /// Queues a line.
    pub fn write(&self, line: &impl Serialize) {
        let Some(mut bytes) = ascii(line) else { return };
        bytes.push(b'\n');
        // A clone of a channel's sender: the writer's own thread does the waiting. Losing a line is counted there.
        let _ = self.writer.clone().write_all(&bytes);
    }

    /// Lines that were dropped because the writer fell behind.
    pub fn lost(&self) -> usize {
        self.writer.error_counter().dropped_lines()
    }

    /// Waits until what was queued is written.
    pub fn flush(&self) {
        drop(self.guard.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// Milliseconds since 1970.
pub fn now_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
