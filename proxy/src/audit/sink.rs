//! The thread that writes, and the queue before it. Nobody waits for it but the end.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant, SystemTime};

use doorward_config::settings::AuditLog;
use prometheus::IntCounter;

use super::file::LogFile;
use super::{AuditFault, Trouble};

/// Lines that wait: at 16 KiB each, 64 MiB; as they mostly are, 2.
const QUEUE: usize = 4096;

/// One place that lines go to.
#[derive(Debug)]
pub(super) struct Sink {
    pub(super) settings: AuditLog,
    queue: SyncSender<Message>,
}

#[derive(Debug)]
enum Message {
    Line(Line),
    /// Answered once all before it is written.
    Flush(SyncSender<()>),
}

/// A line without what the writer puts before it.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) time: SystemTime,
    pub(super) event: &'static str,
    pub(super) seq: u64,
    /// A JSON object.
    pub(super) body: Vec<u8>,
}

/// What the thread counts, and calls itself.
#[derive(Debug, Clone)]
pub(super) struct Tally {
    /// Of this process.
    pub(super) instance: Box<str>,
    pub(super) written: IntCounter,
    pub(super) lost: IntCounter,
}

impl Sink {
    pub(super) fn open(settings: &AuditLog, tally: Tally) -> Result<Self, AuditFault> {
        let out = match settings {
            AuditLog::Stdout => Out::Stdout { torn: false },
            AuditLog::File(path) => {
                let file = LogFile::open(path).map_err(|error| AuditFault::Open { path: path.clone(), error })?;
                if file.is_public() {
                    tracing::warn!(path = %path.display(), "everybody on this machine may read the audit log: chmod o-rwx");
                }
                Out::File(file)
            }
        };
        let (queue, lines) = sync_channel(QUEUE);
        let writer = Writer { out, tally, trouble: Trouble::default(), failing: false };
        let thread = std::thread::Builder::new().name("audit-log".into());
        thread.spawn(move || writer.run(&lines)).map_err(AuditFault::Thread)?;
        Ok(Self { settings: settings.clone(), queue })
    }

    /// `false`: the queue is full, or its thread is gone.
    pub(super) fn send(&self, line: Line) -> bool {
        self.queue.try_send(Message::Line(line)).is_ok()
    }

    /// Waits until what was queued is written, at most for so long.
    pub(super) fn flush(&self, at_most: Duration) -> bool {
        let until = Instant::now() + at_most;
        let (done, written) = sync_channel(1);
        let mut message = Message::Flush(done);
        loop {
            message = match self.queue.try_send(message) {
                Ok(()) => break,
                Err(TrySendError::Disconnected(_)) => return false,
                Err(TrySendError::Full(message)) if Instant::now() < until => message,
                Err(TrySendError::Full(_)) => return false,
            };
            std::thread::sleep(Duration::from_millis(5));
        }
        written.recv_timeout(until.saturating_duration_since(Instant::now())).is_ok()
    }
}

/// The thread's own.
struct Writer {
    out: Out,
    tally: Tally,
    trouble: Trouble,
    failing: bool,
}

enum Out {
    File(LogFile),
    Stdout {
        /// The last write failed, perhaps in the middle.
        torn: bool,
    },
}

impl Writer {
    /// Until nobody can send any more, and all that was sent is written.
    fn run(mut self, lines: &Receiver<Message>) {
        for message in lines {
            match message {
                Message::Line(line) => self.write(&line),
                Message::Flush(done) => {
                    self.out.sync();
                    let _ = done.send(());
                }
            }
        }
        self.out.sync();
    }

    fn write(&mut self, line: &Line) {
        match self.out.write(&whole(line, &self.tally.instance)) {
            Ok(()) => {
                self.tally.written.inc();
                if std::mem::take(&mut self.failing) {
                    tracing::info!("the audit log is written again");
                }
            }
            Err(error) => {
                self.failing = true;
                self.tally.lost.inc();
                self.trouble.lost(&error);
            }
        }
    }
}

impl Out {
    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        match self {
            Self::File(file) => file.write(line),
            Self::Stdout { torn } => {
                // The access log may be there too: under the lock a line stays whole.
                let mut out = io::stdout().lock();
                if std::mem::replace(torn, true) {
                    out.write_all(b"\n")?;
                }
                out.write_all(line)?;
                out.flush()?;
                *torn = false;
                Ok(())
            }
        }
    }

    fn sync(&self) {
        match self {
            Self::File(file) => file.sync(),
            Self::Stdout { .. } => {}
        }
    }
}

fn whole(line: &Line, instance: &str) -> Vec<u8> {
    let time = humantime::format_rfc3339_millis(line.time);
    let (event, seq) = (line.event, line.seq);
    let mut whole = format!("{{\"time\":\"{time}\",\"event\":\"{event}\",\"seq\":{seq},\"instance\":\"{instance}\"").into_bytes();
    let rest = line.body.strip_prefix(b"{").unwrap_or(b"}");
    if rest != b"}" {
        whole.push(b',');
    }
    whole.extend_from_slice(rest);
    whole.push(b'\n');
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_object_also_when_there_is_nothing_to_say() {
        for (body, more) in [("{}", None), ("{\"clean\":true}", Some(true))] {
            let line = Line { time: SystemTime::UNIX_EPOCH, event: "stop", seq: 7, body: body.into() };
            let whole = String::from_utf8(whole(&line, "abc")).unwrap();
            assert!(whole.ends_with("}\n") && whole.lines().count() == 1, "{whole}");
            let read: serde_json::Value = serde_json::from_str(&whole).unwrap();
            assert_eq!((&read["time"], &read["event"]), (&"1970-01-01T00:00:00.000Z".into(), &"stop".into()));
            assert_eq!(
                (&read["seq"], &read["instance"], read.get("clean").and_then(serde_json::Value::as_bool)),
                (&7.into(), &"abc".into(), more)
            );
        }
    }
}
