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
use serde_json::ser::Formatter;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};

/// Longest text of a client's choosing, in characters.
const TEXT_LIMIT: usize = 256;

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

/// One line of visible ASCII. JSON lets U+0085, U+2028 and the bidirectional controls stand as they are (RFC 8259 §7);
/// readers of logs break lines at the former, and terminals reorder them at the latter.
fn ascii(line: &impl Serialize) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(512);
    line.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, Ascii)).ok()?;
    Some(bytes)
}

struct Ascii;

impl Formatter for Ascii {
    fn write_string_fragment<W: Write + ?Sized>(&mut self, out: &mut W, fragment: &str) -> std::io::Result<()> {
        let mut plain = 0;
        for (at, letter) in fragment.char_indices().filter(|(_, letter)| !matches!(letter, ' '..='~')) {
            out.write_all(&fragment.as_bytes()[plain..at])?;
            for unit in letter.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
            plain = at + letter.len_utf8();
        }
        out.write_all(&fragment.as_bytes()[plain..])
    }
}

/// Milliseconds since 1970.
pub fn now_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The beginning of a text, on a character's border.
pub fn cut(text: &str) -> &str {
    match text.char_indices().nth(TEXT_LIMIT) {
        Some((at, _)) => &text[..at],
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_02_a_line_is_one_line_whatever_the_client_sent() {
        let client = IpAddr::from([127, 0, 0, 1]);
        let request_id = "a\n\u{1b}]0;x\u{7}\u{7f}\u{9b}\u{2028}\u{202e}\u{1f36a}";
        let line = RefusedLine { time: 1, request_id, client, status: Some(400), decision: "deny", reason: "x" };
        let text = String::from_utf8(ascii(&line).unwrap()).unwrap();
        assert!(text.bytes().all(|byte| (0x20..=0x7e).contains(&byte)), "{text}");
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read["request_id"], line.request_id);
        assert_eq!(cut(&"\u{e9}".repeat(300)).chars().count(), TEXT_LIMIT);
    }
}
