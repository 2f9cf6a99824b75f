//! One JSON line for each request, and for each refusal that never became one.
//!
//! A line is put into memory by the thread that has something to say, and written with many others by a thread of the log's own, at
//! most [`PAUSE`] later. When that one falls behind, lines are dropped and counted rather than requests delayed. A line holds no
//! token, cookie, code or query; every text that a client chose is cut to a length and escaped as JSON.

mod batches;
mod line;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use doorward_config::settings::AccessLines;

use crate::runtime::Runtime;
pub use crate::whole_lines::{Out, Stdout};
use batches::Batches;
pub use batches::PAUSE;
pub use line::{Line, Put, RefusedLine};

/// How long the end may wait for what reads the log.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where lines go.
#[derive(Debug)]
pub struct AccessLog(Arc<Batches>);

impl AccessLog {
    /// A log that writes to `out`.
    pub fn new(out: impl Out + Send + 'static) -> Self {
        let batches = Arc::new(Batches::default());
        if let Err(error) = batches.start_writing(out) {
            tracing::error!("the access log has no thread to write it, and is lost: {error}");
        }
        Self(batches)
    }

    /// Puts a line with those that wait to be written.
    pub fn write(&self, line: &impl Put) {
        self.0.add(|out| {
            line.put(out);
            out.push(b'\n');
        });
    }

    /// Lines that were dropped because the writer fell behind, or could not be written.
    pub fn lost(&self) -> usize {
        self.0.lost()
    }

    /// Waits until what came before is written, at most for some seconds.
    pub fn flush(&self) {
        self.0.flush(PATIENCE);
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.flush();
        self.0.end();
    }
}

/// What became of a request, as far as it is said whether it has a line.
#[derive(Debug, Clone, Copy)]
pub struct Fate {
    pub decision: &'static str,
    /// 0 when nothing was answered.
    pub status: u16,
    pub error: Option<&'static str>,
}

impl Fate {
    /// It was passed on, and answered to the end with something else than 5xx.
    fn passed(self) -> bool {
        self.decision == "allow" && (100..500).contains(&self.status) && self.error.is_none()
    }

    /// Whether it has a line.
    pub fn is_wanted(self, lines: AccessLines) -> bool {
        match lines {
            AccessLines::All => true,
            AccessLines::Refused => !self.passed(),
            AccessLines::Off => false,
        }
    }
}

impl Runtime {
    /// A line of a connection or request that was refused before there was anything to decide about.
    pub fn log_refused(&self, client: IpAddr, request_id: &str, status: Option<u16>, reason: &'static str) {
        if self.settings.server.access_log != AccessLines::Off {
            self.access_log.write(&RefusedLine { time: now_millis(), request_id, client, status, decision: "refuse", reason });
        }
    }
}

/// Milliseconds since 1970.
pub fn now_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passed_has_a_line_only_where_all_have_one() {
        let passed = Fate { decision: "allow", status: 200, error: None };
        let kinds = [
            ("passed", passed, false),
            ("the app refused", Fate { status: 404, ..passed }, false),
            ("switched protocols", Fate { status: 101, ..passed }, false),
            ("the app failed", Fate { status: 500, ..passed }, true),
            ("no app", Fate { status: 502, ..passed }, true),
            ("nothing was answered", Fate { status: 0, ..passed }, true),
            ("broke off", Fate { error: Some("stream_revoked"), ..passed }, true),
            ("refused", Fate { decision: "deny", status: 403, ..passed }, true),
            ("sent to sign in", Fate { decision: "challenge", status: 302, ..passed }, true),
            ("answered by us", Fate { decision: "own", ..passed }, true),
        ];
        for (name, fate, notable) in kinds {
            assert!(fate.is_wanted(AccessLines::All), "{name}");
            assert_eq!(fate.is_wanted(AccessLines::Refused), notable, "{name}");
            assert!(!fate.is_wanted(AccessLines::Off), "{name}");
        }
    }
}
