//! The thread that writes, and the queue before it. Nobody waits for it but the end.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant, SystemTime};

use doorward_config::settings::AuditLog;
use prometheus::IntCounter;

use super::file::LogFile;
use super::{AuditFault, Trouble};
use crate::whole_lines::{Out, Stdout, WholeLines};

/// Lines that wait: at 16 KiB each, 64 MiB; as they mostly are, 2.
const QUEUE: usize = 4096;

/// Between two attempts to write a line that had no room.
const TURN: Duration = Duration::from_millis(5);

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
        let place = match settings {
            AuditLog::Stdout => Place::Stream(WholeLines::new(Stdout)),
            AuditLog::File(path) => {
                let file = LogFile::open(path).map_err(|error| AuditFault::Open { path: path.clone(), error })?;
                if file.is_public() {
                    tracing::warn!(path = %path.display(), "everybody on this machine may read the audit log: chmod o-rwx");
                }
                Place::File(file)
            }
        };
        let (queue, lines) = sync_channel(QUEUE);
        let writer = Writer { place, tally, trouble: Trouble::default(), failing: false };
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
struct Writer<O> {
    place: Place<O>,
    tally: Tally,
    trouble: Trouble,
    failing: bool,
}

enum Place<O> {
    File(LogFile),
    /// The access log may be there too.
    Stream(WholeLines<O>),
}

impl<O: Out> Writer<O> {
    /// Until nobody can send any more, and all that was sent is written.
    fn run(mut self, lines: &Receiver<Message>) {
        for message in lines {
            match message {
                Message::Line(line) => self.write(&line),
                Message::Flush(done) => {
                    self.place.sync();
                    let _ = done.send(());
                }
            }
        }
        self.place.sync();
    }

    fn write(&mut self, line: &Line) {
        match self.place.write(&whole(line, &self.tally.instance)) {
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

impl<O: Out> Place<O> {
    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        match self {
            Self::File(file) => file.write(line),
            Self::Stream(lines) => loop {
                match lines.write(line) {
                    // A pipe that blocks would hold this thread until there is room: one that does not need cost no line either. Others
                    // have their turn meanwhile.
                    Err(lost) if lost.is_all && lost.error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(TURN),
                    written => return written.map_err(|lost| lost.error),
                }
            },
        }
    }

    fn sync(&self) {
        match self {
            Self::File(file) => file.sync(),
            Self::Stream(_) => {}
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
    use prometheus::IntCounter;

    use super::*;
    use crate::whole_lines::tests::Pipe;

    fn line(seq: u64) -> Line {
        Line { time: SystemTime::UNIX_EPOCH, event: "stop", seq, body: b"{}".into() }
    }

    /// What arrives of three lines, and how many count as lost.
    fn through(pipe: Pipe) -> (String, u64) {
        let counter = |name: &str| IntCounter::new(name, "a counter").unwrap();
        let tally = Tally { instance: "abc".into(), written: counter("written"), lost: counter("lost") };
        let lines = WholeLines::new(pipe);
        let mut writer = Writer { place: Place::Stream(lines), tally, trouble: Trouble::default(), failing: false };
        (1..=3).for_each(|seq| writer.write(&line(seq)));
        assert_eq!(writer.tally.written.get() + writer.tally.lost.get(), 3);
        let Place::Stream(lines) = writer.place else { unreachable!() };
        (String::from_utf8(lines.into_out().out).unwrap(), writer.tally.lost.get())
    }

    #[test]
    fn a_pipe_that_does_not_block_and_a_slow_reader_cost_no_line() {
        let one = whole(&line(1), "abc").len();
        let all: Vec<u8> = (1..=3).flat_map(|seq| whole(&line(seq), "abc")).collect();
        // In the middle of a line it is waited for a while; between two, longer.
        for (name, pipe) in [("a part of a line", Pipe::new(one / 2, 3)), ("a line", Pipe::new(one, 40)), ("all", Pipe::new(9999, 0))] {
            assert_eq!(through(pipe), (String::from_utf8(all.clone()).unwrap(), 0), "{name}");
        }
    }

    #[test]
    fn a_line_that_a_pipe_took_half_of_is_lost_and_the_next_is_whole() {
        let one = whole(&line(1), "abc");
        // The second has room for ten bytes, and then for too long for none.
        let (text, lost) = through(Pipe::new(one.len() + 10, 15));
        let second = String::from_utf8(whole(&line(2), "abc")).unwrap();
        let third = String::from_utf8(whole(&line(3), "abc")).unwrap();
        assert_eq!((text, lost), (format!("{}{}\n{third}", String::from_utf8(one).unwrap(), &second[..10]), 1));
    }

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
