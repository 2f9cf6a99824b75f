//! The audit log: one JSON line for each sign-in, refresh, sign-out, refusal and admin call. What a request that passes
//! does is in the access log alone, and costs nothing here.
//!
//! Lines are numbered (`seq`) from the start of the process (`instance`) in the order they are written in: where a number is
//! missing, a line is. That shows what was lost and what was cut out later, as long as whoever did it did not also number the
//! rest anew; who must rule that out sends the lines to another machine at once.

mod budget;
mod event;
mod file;
mod fit;
mod sink;
mod visits;
mod witness;

pub use event::{
    Admin, Cause, Handoff, KeptCause, Kind, Place, Refresh, Refusal, Reload, SignIn, SignInFailed, SignOut, SignOutFailed, Start, Stop,
    Suppressed, Text, Who, provider_session_digest, session_digest,
};
pub use fit::{fitted, fitted_names};
pub use visits::{
    admin_called, admin_refused, ended, handed_over, reloaded, sign_in_failed, sign_out_failed, signed_in, signed_out, signed_out_unread,
    signing_in, started, stopped,
};
pub(crate) use witness::Witnessed;
pub use witness::{roles_of, who_is};

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwapOption;
use doorward_config::settings::AuditLog;
use prometheus::IntCounterVec;
use serde::Serialize;

use crate::entropy::{self, NoEntropy};
use crate::log_text::ascii;
use crate::metrics::Metrics;
use budget::Budget;
use sink::{Line, Sink, Tally};

/// Bytes of a line at most, its end included.
pub const LINE_LIMIT: usize = 16 * 1024;
/// Of it for what stands at the beginning of every line.
const HEAD: usize = 256;
/// Between two lines in the log about the same trouble.
const SAY_AGAIN: Duration = Duration::from_secs(60);
/// Between two looks at how many lines were too many.
const SUMMARY: Duration = Duration::from_secs(60);

/// The log, on or off: there is one for the process, whatever becomes of its settings.
#[derive(Debug)]
pub struct Audit {
    sink: ArcSwapOption<Sink>,
    tally: Tally,
    suppressed: IntCounterVec,
    /// The number of the next line. Held while it is queued, so that the queue is in their order.
    next: Mutex<u64>,
    budget: Budget,
    trouble: Trouble,
}

/// Why the log cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum AuditFault {
    #[error(
        "server.audit_log: cannot write to `{path}`: {error}\n  help: its folder must be there, and the user that Doorward runs as must be allowed to create files in it",
        path = path.display()
    )]
    Open { path: PathBuf, error: std::io::Error },
    #[error("server.audit_log: the system gives no thread: {0}")]
    Thread(std::io::Error),
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
}

/// A place for lines that is open, and not yet in use.
#[derive(Debug, Clone)]
pub struct AuditSink(Option<Arc<Sink>>);

/// A line that may be written.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    audit: &'a Audit,
    kind: Kind,
    cause: Cause<'a>,
}

impl Audit {
    /// Opens what settings name; `None`: nothing is written down.
    ///
    /// # Errors
    /// [`AuditFault`]: whoever asked for an audit log does not run without one.
    pub fn open(settings: Option<&AuditLog>, metrics: &Metrics) -> Result<Self, AuditFault> {
        let instance = entropy::random::<8>()?.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let audit = Self {
            sink: ArcSwapOption::empty(),
            tally: Tally { instance: instance.into(), written: metrics.audit_lines.clone(), lost: metrics.audit_lines_lost.clone() },
            suppressed: metrics.audit_suppressed.clone(),
            next: Mutex::new(1),
            budget: Budget::new(),
            trouble: Trouble::default(),
        };
        audit.adopt(&audit.prepare(settings)?);
        Ok(audit)
    }

    /// The same for settings that take the place of others. Nothing changes yet, and what is open already stays open.
    ///
    /// # Errors
    /// [`AuditFault`].
    pub fn prepare(&self, settings: Option<&AuditLog>) -> Result<AuditSink, AuditFault> {
        let current = self.sink.load_full();
        if current.as_ref().map(|sink| &sink.settings) == settings {
            return Ok(AuditSink(current));
        }
        let sink = settings.map(|settings| Sink::open(settings, self.tally.clone())).transpose()?;
        Ok(AuditSink(sink.map(Arc::new)))
    }

    /// From now on lines go there. What is queued for the place before it is written there still.
    pub fn adopt(&self, sink: &AuditSink) {
        self.sink.store(sink.0.clone());
    }

    /// Whether anything is written down.
    pub fn is_on(&self) -> bool {
        self.sink.load().is_some()
    }

    /// A line of this kind, if it is to be written: the log is on, and there are not too many. Counts it.
    pub fn entry<'a>(&'a self, kind: Kind, cause: Cause<'a>) -> Option<Entry<'a>> {
        (self.is_on() && self.budget.take(kind, cause.client)).then_some(Entry { audit: self, kind, cause })
    }

    /// Says how many lines were too many since it was last said.
    pub fn summarise(&self) {
        let counts = self.budget.suppressed();
        for (event, count) in &counts {
            self.suppressed.with_label_values(&[*event]).inc_by(*count);
        }
        if !counts.is_empty()
            && let Some(entry) = self.entry(Kind::Suppressed, Cause::NONE)
        {
            entry.write(&Suppressed { not_written: counts.into_iter().map(|(event, count)| (event.to_owned(), count.into())).collect() });
        }
    }

    /// The same every minute, until its task is dropped.
    pub async fn keep_summarising(self: Arc<Self>) {
        loop {
            tokio::time::sleep(SUMMARY).await;
            self.summarise();
        }
    }

    /// Waits until what was queued is written, at most for so long. `false`: it is not.
    pub fn flush(&self, at_most: Duration) -> bool {
        self.sink.load_full().is_none_or(|sink| sink.flush(at_most))
    }

    fn send(&self, event: &'static str, body: Vec<u8>) {
        let Some(sink) = self.sink.load_full() else { return };
        let time = SystemTime::now();
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let seq = *next;
        *next += 1;
        let queued = sink.send(Line { time, event, seq, body });
        drop(next);
        if !queued {
            self.tally.lost.inc();
            self.trouble.lost("more is to be written than the disk takes");
        }
    }
}

impl Entry<'_> {
    /// Queues the line. Waits for nobody.
    pub fn write(self, event: &impl Serialize) {
        let line = Caused { cause: self.cause, event };
        let body = ascii(&line).filter(|body| body.len() <= LINE_LIMIT - HEAD);
        // Everything in an event has its bound; all at their longest at once is nobody's doing by accident.
        let body = body.or_else(|| ascii(&Caused { cause: self.cause, event: &TooLong { too_long: true } }));
        self.audit.send(self.kind.label(), body.unwrap_or_default());
    }
}

#[derive(Serialize)]
struct Caused<'c, E> {
    #[serde(flatten)]
    cause: Cause<'c>,
    #[serde(flatten)]
    event: &'c E,
}

#[derive(Serialize)]
struct TooLong {
    too_long: bool,
}

/// Lines that are lost are said once a minute.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    lines: u64,
    said: Option<Instant>,
}

impl Trouble {
    fn lost(&self, why: impl std::fmt::Display) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.lines += 1;
        if seen.said.is_some_and(|said| said.elapsed() < SAY_AGAIN) {
            return;
        }
        let lines = std::mem::take(&mut seen.lines);
        seen.said = Some(Instant::now());
        drop(seen);
        tracing::error!(lines, "lines of the audit log are lost: {why}");
    }
}

#[cfg(test)]
mod tests;
