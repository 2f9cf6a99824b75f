//! Lines that wait to be written, and the thread that writes many of them at once.
//!
//! Each thread adds to a share of its own, whose lock nobody else wants but the writer, for the moment in which it takes the whole
//! share away. The writer sleeps while there is nothing to write: the first line of a batch wakes it, and then none before the batch
//! is over or large.

use std::io;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use crate::shares::Shares;
use crate::whole_lines::{Out, WholeLines};

/// How long a line may wait for others.
pub const PAUSE: Duration = Duration::from_millis(50);
/// Bytes of a share that are written before the pause is over.
const LARGE: usize = 128 << 10;
/// Bytes of a share after which lines are lost.
const FULL: usize = 4 << 20;

#[derive(Debug, Default)]
pub(super) struct Batches {
    /// Whole lines.
    shares: Shares<Mutex<Vec<u8>>>,
    writer: OnceLock<Thread>,
    /// A share has lines in it.
    some: AtomicBool,
    /// A share has grown large.
    large: AtomicBool,
    lost: AtomicUsize,
    /// How often somebody asked to wait until all is written.
    asked: AtomicU64,
    /// How many of these have been served.
    served: Mutex<u64>,
    writes: Condvar,
    ended: AtomicBool,
}

impl Batches {
    /// With a thread that writes to `out`.
    ///
    /// # Errors
    /// The system's: there is no thread.
    pub(super) fn start_writing(self: &Arc<Self>, out: impl Out + Send + 'static) -> io::Result<()> {
        let batches = self.clone();
        let writer = thread::Builder::new().name("access-log".into()).spawn(move || batches.keep_writing(out))?;
        // Set once, and before anybody has a line.
        let _ = self.writer.set(writer.thread().clone());
        Ok(())
    }

    /// Adds what `put` appends: a line with its end.
    pub(super) fn add(&self, put: impl FnOnce(&mut Vec<u8>)) {
        let (before, after) = {
            let mut lines = lock(self.shares.own());
            if lines.len() >= FULL {
                self.lost.fetch_add(1, Ordering::Relaxed);
                return;
            }
            let before = lines.len();
            put(&mut lines);
            (before, lines.len())
        };
        let first = before == 0 && !self.some.swap(true, Ordering::AcqRel);
        let large = before < LARGE && after >= LARGE && !self.large.swap(true, Ordering::AcqRel);
        if first || large {
            self.wake();
        }
    }

    pub(super) fn lost(&self) -> usize {
        self.lost.load(Ordering::Relaxed)
    }

    /// Waits until what came before is written, at most for so long.
    pub(super) fn flush(&self, at_most: Duration) {
        if self.writer.get().is_none() {
            return;
        }
        let ticket = self.asked.fetch_add(1, Ordering::AcqRel) + 1;
        self.wake();
        let served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever reads the log may have stopped reading: nobody waits for that.
        drop(self.writes.wait_timeout_while(served, at_most, |served| *served < ticket));
    }

    /// The writer ends once all is written.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.wake();
    }

    /// The writer's thread, until the end.
    fn keep_writing(&self, out: impl Out) {
        let mut out = WholeLines::new(out);
        let mut lines = Vec::new();
        let mut served = 0;
        while !self.ended.load(Ordering::Acquire) {
            self.sleep(served);
            served = self.asked.load(Ordering::Acquire);
            self.some.store(false, Ordering::SeqCst);
            self.large.store(false, Ordering::SeqCst);
            for share in self.shares.iter() {
                mem::swap(&mut *lock(share), &mut lines);
                if let Err(lost) = out.write(&lines) {
                    self.lost.fetch_add(lost.lines, Ordering::Relaxed);
                }
                lines.clear();
                // What a slow reader made large need not stay so.
                lines.shrink_to(2 * LARGE);
            }
            *self.served.lock().unwrap_or_else(PoisonError::into_inner) = served;
            self.writes.notify_all();
        }
    }

    /// Until there is a batch to write, or somebody waits for one.
    fn sleep(&self, served: u64) {
        let called = || self.asked.load(Ordering::Acquire) > served || self.ended.load(Ordering::Acquire);
        while !called() && !self.some.load(Ordering::Acquire) {
            thread::park();
        }
        let until = Instant::now() + PAUSE;
        while !called() && !self.large.load(Ordering::Acquire) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            thread::park_timeout(left);
        }
    }

    fn wake(&self) {
        if let Some(writer) = self.writer.get() {
            writer.unpark();
        }
    }
}

/// A thread that ended in the middle of a line takes it along.
fn lock(share: &Mutex<Vec<u8>>) -> MutexGuard<'_, Vec<u8>> {
    share.lock().unwrap_or_else(|poisoned| {
        let mut lines = poisoned.into_inner();
        let whole = lines.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        lines.truncate(whole);
        share.clear_poison();
        lines
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    /// Passes on what is written, one message a call, and waits while nobody takes it.
    struct Slow(SyncSender<String>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(String::from_utf8(bytes.to_vec()).unwrap()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn rig() -> (Arc<Batches>, Receiver<String>) {
        let (out, written) = sync_channel(0);
        let batches = Arc::new(Batches::default());
        batches.start_writing(Slow(out)).unwrap();
        (batches, written)
    }

    fn add(batches: &Batches, line: &str) {
        batches.add(|out| out.extend_from_slice(line.as_bytes()));
    }

    #[test]
    fn many_lines_are_one_write_which_comes_by_itself() {
        let (batches, written) = rig();
        let mut writes = 0;
        for round in 0..3 {
            let began = Instant::now();
            let lines: Vec<String> = (0..100).map(|line| format!("{round} {line}\n")).collect();
            lines.iter().for_each(|line| add(&batches, line));
            let mut text = String::new();
            while !text.ends_with(" 99\n") {
                text.push_str(&written.recv_timeout(Duration::from_secs(20)).unwrap());
                writes += 1;
            }
            assert_eq!(text, lines.concat());
            assert!(began.elapsed() >= PAUSE, "they wait for more");
        }
        // On a busy machine a pause may end between two lines.
        assert!(writes < 30, "{writes}");
    }

    #[test]
    fn a_large_batch_is_written_before_its_pause_is_over() {
        let (batches, written) = rig();
        let line = format!("{}\n", "x".repeat(LARGE));
        let quick = (0..40).any(|_| {
            let began = Instant::now();
            add(&batches, &line);
            assert_eq!(written.recv_timeout(Duration::from_secs(20)).unwrap(), line);
            began.elapsed() < PAUSE
        });
        assert!(quick);
    }

    #[test]
    fn who_waits_has_all_that_came_before_at_once_and_the_end_too() {
        let (batches, written) = rig();
        let reader = thread::spawn(move || written.iter().collect::<String>());
        for round in 0..200 {
            add(&batches, &format!("{round}\n"));
            batches.flush(Duration::from_secs(20));
        }
        assert_eq!(*batches.served.lock().unwrap(), 200);
        batches.end();
        assert_eq!(reader.join().unwrap(), (0..200).map(|round| format!("{round}\n")).collect::<String>());
    }

    #[test]
    fn lines_of_many_threads_are_whole_and_in_the_order_of_each() {
        let (batches, written) = rig();
        let reader = thread::spawn(move || written.iter().collect::<String>());
        let threads = (0..20).map(|thread| {
            let batches = batches.clone();
            thread::spawn(move || (0..5000).for_each(|line| add(&batches, &format!("{thread} {line} {}\n", "x".repeat(line % 97)))))
        });
        threads.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().unwrap());
        batches.flush(Duration::from_secs(20));
        batches.end();
        let mut next = [0; 20];
        for line in reader.join().unwrap().lines() {
            let parts: Vec<&str> = line.split(' ').collect();
            let [thread, number, filling] = parts[..] else { panic!("{line}") };
            let (thread, number): (usize, usize) = (thread.parse().unwrap(), number.parse().unwrap());
            assert_eq!((number, filling.len()), (next[thread], number % 97), "{thread}");
            next[thread] += 1;
        }
        assert_eq!((next, batches.lost()), ([5000; 20], 0));
    }

    #[test]
    fn a_reader_that_stopped_costs_lines_and_holds_up_nobody() {
        let (batches, written) = rig();
        let line = format!("{}\n", "x".repeat(1023));
        let most = 3 * FULL / line.len();
        for _ in 0..most {
            add(&batches, &line);
        }
        // One share waits, one is being written; nothing else is kept.
        let lost = batches.lost();
        assert!((most - 2 * FULL / line.len()..most).contains(&lost), "{lost}");
        let began = Instant::now();
        batches.flush(Duration::from_millis(50));
        assert!(began.elapsed() < Duration::from_secs(10), "and the end does not wait for ever");
        // It reads again: what was kept is whole, and later lines come.
        let reader = thread::spawn(move || written.iter().collect::<String>());
        batches.flush(Duration::from_secs(20));
        add(&batches, "last\n");
        batches.flush(Duration::from_secs(20));
        batches.end();
        let text = reader.join().unwrap();
        assert_eq!((text.lines().count(), text.lines().last()), (most - lost + 1, Some("last")));
        assert!(text.lines().rev().skip(1).all(|one| one.len() == line.len() - 1));
    }

    #[test]
    fn a_thread_that_panics_leaves_whole_lines() {
        let (batches, written) = rig();
        let reader = thread::spawn(move || written.iter().collect::<String>());
        add(&batches, "one\n");
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            batches.add(|out| {
                out.extend_from_slice(b"torn");
                panic!("as told");
            });
        }));
        assert!(panicked.is_err());
        add(&batches, "two\n");
        batches.flush(Duration::from_secs(20));
        batches.end();
        assert_eq!(reader.join().unwrap(), "one\ntwo\n");
    }
}
