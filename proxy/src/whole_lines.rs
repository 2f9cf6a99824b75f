//! Lines for a place that may have no room for them just now: each arrives whole, or is counted as lost and spoils no other.
//!
//! Whoever shares our standard output may have set it not to block (`O_NONBLOCK` is the open file's, not the process's): a pipe whose
//! reader is slow refuses then what it would otherwise have waited with.

use std::io::{self, Write};
use std::thread;
use std::time::Duration;

/// How often, and after how long, what has no room in a pipe is written again.
const TRIES: usize = 10;
const REST: Duration = Duration::from_millis(5);

/// Where lines go.
pub trait Out {
    /// To write some of them, in as many pieces as it takes, with nobody else's between them.
    fn hold(&mut self) -> impl Write;
}

impl<W: Write> Out for W {
    fn hold(&mut self) -> impl Write {
        self
    }
}

/// The process's own, where all logs may be.
#[derive(Debug)]
pub struct Stdout;

impl Out for Stdout {
    fn hold(&mut self) -> impl Write {
        io::stdout().lock()
    }
}

/// Writes lines to `O`.
#[derive(Debug)]
pub(crate) struct WholeLines<O> {
    out: O,
    /// The last write failed in the middle of a line.
    torn: bool,
}

/// What was not written.
#[derive(Debug)]
pub(crate) struct Lost {
    pub(crate) lines: usize,
    /// Nothing was taken of what was to be written: it may come again.
    pub(crate) is_all: bool,
    /// The system's, about the first that was lost.
    pub(crate) error: io::Error,
}

impl<O: Out> WholeLines<O> {
    pub(crate) fn new(out: O) -> Self {
        Self { out, torn: false }
    }

    #[cfg(test)]
    pub(crate) fn into_out(self) -> O {
        self.out
    }

    /// Writes whole lines, with one call where the system takes them at once.
    ///
    /// # Errors
    /// [`Lost`]: the last of them, or all.
    pub(crate) fn write(&mut self, lines: &[u8]) -> Result<(), Lost> {
        if lines.is_empty() {
            return Ok(());
        }
        let mut out = self.out.hold();
        let mut written = Ok(());
        if self.torn {
            written = put(&mut out, b"\n").map_err(|(_, error)| (lines, error));
            self.torn = written.is_err();
        }
        if written.is_ok() {
            written = put(&mut out, lines);
        }
        // What was taken and cannot leave yet goes before the next lines.
        let _ = patiently(|| out.flush());
        written.map_err(|(left, error)| {
            let taken = &lines[..lines.len() - left.len()];
            self.torn |= taken.last().is_some_and(|last| *last != b'\n');
            Lost { lines: left.iter().filter(|byte| **byte == b'\n').count(), is_all: taken.is_empty(), error }
        })
    }
}

/// Writes as much as the system takes: what is left, and why.
fn put<'l>(out: &mut impl Write, mut lines: &'l [u8]) -> Result<(), (&'l [u8], io::Error)> {
    while !lines.is_empty() {
        match patiently(|| out.write(lines)) {
            Ok(0) => return Err((lines, io::ErrorKind::WriteZero.into())),
            Ok(taken) => lines = &lines[taken..],
            Err(error) => return Err((lines, error)),
        }
    }
    Ok(())
}

/// Does it again for a little while where it was interrupted, or a pipe that does not block is full.
fn patiently<T>(mut write: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    for _ in 0..TRIES {
        match write() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(REST),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
    write()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A pipe that does not block: so many bytes have room in it, and it is read empty after so many refusals.
    pub(crate) struct Pipe {
        pub(crate) room: usize,
        pub(crate) busy: usize,
        pub(crate) out: Vec<u8>,
        filled: usize,
        refused: usize,
    }

    impl Pipe {
        pub(crate) fn new(room: usize, busy: usize) -> Self {
            Self { room, busy, out: Vec::new(), filled: 0, refused: 0 }
        }
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.filled == self.room && self.refused < self.busy {
                self.refused += 1;
                return Err(io::ErrorKind::WouldBlock.into());
            }
            if self.filled == self.room {
                (self.filled, self.refused) = (0, 0);
            }
            let taken = bytes.len().min(self.room - self.filled);
            self.filled += taken;
            self.out.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Takes what each call is told to take; `None`: it is full.
    struct Disk(Vec<Option<usize>>, Vec<u8>);

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let room = if self.0.is_empty() { Some(bytes.len()) } else { self.0.remove(0) };
            let taken = room.ok_or(io::ErrorKind::StorageFull)?.min(bytes.len());
            self.1.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lost<O: Out>(lines: &mut WholeLines<O>, bytes: &[u8]) -> (usize, bool) {
        lines.write(bytes).map_or_else(|lost| (lost.lines, lost.is_all), |()| (0, false))
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_the_next_line_begins_anew() {
        let mut lines = WholeLines::new(Disk(vec![Some(5), None], Vec::new()));
        assert_eq!(lost(&mut lines, b"one\ntwo\nthree\n"), (2, false), "the first has left");
        assert_eq!(lost(&mut lines, b"four\n"), (0, false));
        assert_eq!(lost(&mut lines, b"five\n"), (0, false));
        assert_eq!(lines.out.1, b"one\nt\nfour\nfive\n");
    }

    #[test]
    fn a_line_end_is_added_where_a_line_was_torn_and_nowhere_else() {
        for (name, takes, out, losses) in [
            ("nothing was taken", vec![None], "two\n", [(1, true), (0, false)]),
            ("a whole line was", vec![Some(4), None], "one\ntwo\n", [(1, false), (0, false)]),
            ("a part was", vec![Some(2), None], "on\ntwo\n", [(2, false), (0, false)]),
            ("and its end has no room", vec![Some(2), None, None], "on", [(2, false), (1, true)]),
            ("and its end has, and no more", vec![Some(2), None, Some(1), None], "on\n", [(2, false), (1, true)]),
        ] {
            let mut lines = WholeLines::new(Disk(takes, Vec::new()));
            let first: &[u8] = if name == "nothing was taken" { b"one\n" } else { b"one\nmore\n" };
            assert_eq!([lost(&mut lines, first), lost(&mut lines, b"two\n")], losses, "{name}");
            assert_eq!(String::from_utf8_lossy(&lines.out.1), out, "{name}");
            // And once more, whatever was before.
            let end = if name == "and its end has no room" { "on\nnext\n".to_owned() } else { format!("{out}next\n") };
            assert_eq!(lost(&mut lines, b"next\n"), (0, false), "{name}");
            assert_eq!(String::from_utf8_lossy(&lines.out.1), end, "{name}");
        }
    }

    #[test]
    fn a_pipe_that_does_not_block_costs_only_what_it_has_no_room_for_all_the_while() {
        for (busy, is_lost, out) in [(3, (0, false), "one\ntwo\nthree\n"), (usize::MAX, (2, false), "one\nt")] {
            let mut lines = WholeLines::new(Pipe::new(5, busy));
            assert_eq!(lost(&mut lines, b"one\ntwo\nthree\n"), is_lost);
            assert_eq!(lines.out.out, out.as_bytes());
        }
    }

    /// A real one, and a reader that takes its time.
    #[test]
    fn lines_for_a_slow_reader_arrive_whole() {
        let (near, far) = std::os::unix::net::UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        let text: String = (0..20_000).map(|line| format!("{line} {}\n", "x".repeat(line % 97))).collect();
        let reader = thread::spawn(move || {
            let (mut far, mut all, mut some) = (far, Vec::new(), [0; 16 << 10]);
            while let Ok(read @ 1..) = io::Read::read(&mut far, &mut some) {
                all.extend_from_slice(&some[..read]);
                thread::sleep(Duration::from_millis(2));
            }
            String::from_utf8(all).unwrap()
        });
        let mut lines = WholeLines::new(near);
        assert_eq!(lost(&mut lines, text.as_bytes()), (0, false));
        drop(lines);
        assert!(reader.join().unwrap() == text);
    }
}
