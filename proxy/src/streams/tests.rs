use std::cell::Cell;
use std::future::pending;
use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use prometheus::Opts;
use tokio::time::{Instant, timeout};

use super::until_cut::FAREWELL;
use super::*;

const NOW: Timestamp = Timestamp(1_000_000);

struct List {
    streams: Arc<OpenStreams>,
    open: IntGauge,
    closed: IntCounterVec,
}

impl List {
    fn new() -> Self {
        let open = IntGauge::new("open", "open").unwrap();
        let closed = IntCounterVec::new(Opts::new("closed", "closed"), &["reason"]).unwrap();
        Self { streams: Arc::new(OpenStreams::new(open.clone(), &closed)), open, closed }
    }

    fn closed(&self, why: Ended) -> u64 {
        self.closed.with_label_values(&[why.label()]).get()
    }

    /// Serves a stream that stays silent until it is cut; tells `gone` when all of it is.
    fn silent(&self, ground: Ground, connection: Option<Cutter>) -> (tokio::task::JoinHandle<Option<()>>, Arc<()>) {
        let (streams, held) = (self.streams.clone(), Arc::new(()));
        let keeps = held.clone();
        let serving = Box::pin(async move {
            let _entry = streams.list(ground, connection);
            let _keeps = keeps;
            pending::<Option<()>>().await
        });
        (tokio::spawn(until_cut(serving)), held)
    }
}

fn facts(id: &str) -> SessionFacts {
    SessionFacts::new("https://idp.example/", id, None, "ada", NOW)
}

fn of(id: &str) -> Ground {
    Ground { facts: Some(facts(id)), until: None }
}

fn until(until: i64) -> Ground {
    Ground { facts: None, until: Some(Timestamp(until)) }
}

#[tokio::test]
async fn upg_04_a_silent_stream_ends_at_its_time_and_not_before() {
    let list = List::new();
    let (over, held) = list.silent(until(NOW.0), None);
    let (going, still) = list.silent(until(NOW.0 + 1), None);
    tokio::task::yield_now().await;
    assert_eq!((list.streams.len(), list.open.get()), (2, 2));
    assert_eq!(list.streams.sweep(Timestamp(NOW.0 - 1), true, |_| true), 0);
    assert_eq!(list.streams.sweep(NOW, false, |_| false), 1);
    assert_eq!(timeout(Duration::from_secs(5), over).await.unwrap().unwrap(), None);
    assert_eq!((Arc::strong_count(&held), Arc::strong_count(&still)), (1, 2), "what served it is gone, and nothing else");
    assert!(!going.is_finished());
    assert_eq!((list.streams.len(), list.open.get(), list.closed(Ended::Expired)), (1, 1, 1));
    going.abort();
    let _ = going.await;
    assert_eq!((list.streams.len(), list.open.get(), list.closed(Ended::Expired)), (0, 0, 1));
}

#[tokio::test]
async fn sess_40_a_revoked_session_ends_its_streams_and_no_others() {
    let list = List::new();
    let (revoked, _) = list.silent(of("a"), None);
    let (other, _) = list.silent(of("b"), None);
    let (bearer, _) = list.silent(until(i64::MAX), None);
    tokio::task::yield_now().await;
    assert_eq!(list.streams.sweep(NOW, true, |seen| *seen == facts("a")), 1);
    assert_eq!(revoked.await.unwrap(), None);
    tokio::task::yield_now().await;
    assert!(!other.is_finished() && !bearer.is_finished());
    assert_eq!((list.streams.len(), list.closed(Ended::Revoked)), (2, 1));
}

#[tokio::test]
async fn a_sign_out_ends_every_stream_of_that_session() {
    let list = List::new();
    let ending: Vec<_> = (0..40).map(|_| list.silent(of("a"), None).0).collect();
    let (other, _) = list.silent(of("b"), None);
    tokio::task::yield_now().await;
    assert_eq!(list.streams.cut_session(&facts("a"), Ended::SignedOut), 40);
    // A sweep that comes at the same time counts none of them again.
    list.streams.sweep(NOW, true, |seen| *seen == facts("a"));
    for stream in ending {
        assert_eq!(stream.await.unwrap(), None);
    }
    assert!(!other.is_finished());
    assert_eq!((list.closed(Ended::SignedOut), list.closed(Ended::Revoked), list.streams.len()), (40, 0, 1));
}

#[test]
fn revocations_are_asked_of_new_streams_and_after_a_change() {
    let list = List::new();
    let first = list.streams.list(of("a"), None);
    let asked = Cell::new(0);
    let sweep = |changed, revoked: &str| {
        asked.set(0);
        list.streams.sweep(NOW, changed, |seen| {
            asked.set(asked.get() + 1);
            *seen == facts(revoked)
        });
        asked.get()
    };
    assert_eq!(sweep(false, "none"), 1, "one that nobody has looked at");
    assert_eq!(sweep(false, "a"), 0);
    // Admitted before its session was revoked, listed after the sweep that knew: it is asked about all the same.
    let late = list.streams.list(of("late"), None);
    assert_eq!(sweep(false, "late"), 1);
    assert_eq!((first.ended(), late.ended()), (None, Some(Ended::Revoked)));
    assert_eq!(sweep(true, "a"), 2);
    assert_eq!(first.ended(), Some(Ended::Revoked));
}

#[tokio::test]
async fn however_a_stream_ends_it_is_listed_no_longer() {
    let list = List::new();
    let listed = || list.streams.list(of("a"), None);
    let streams = list.streams.clone();
    let ended = until_cut(Box::pin(async {
        let _entry = listed();
        Some(())
    }));
    assert_eq!(ended.await, Some(()));
    let panicking = AssertUnwindSafe(until_cut(Box::pin(async {
        let _entry = listed();
        assert!(streams.is_empty(), "a panic on purpose");
        None::<()>
    })));
    assert!(panicking.catch_unwind().await.is_err());
    let left = timeout(
        Duration::from_millis(10),
        until_cut(Box::pin(async {
            let _entry = listed();
            pending::<Option<()>>().await
        })),
    );
    assert!(left.await.is_err());
    let at_once = until_cut(Box::pin(async {
        let _entry = listed();
        streams.cut_session(&facts("a"), Ended::Revoked);
        pending::<Option<()>>().await
    }));
    assert_eq!(timeout(Duration::from_secs(5), at_once).await.expect("a cut before the first wait wakes it too"), None);
    assert_eq!((list.streams.len(), list.open.get()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_end_with_its_connection_is_dropped_after_a_farewell() {
    let list = List::new();
    let (stuck, _) = list.silent(until(NOW.0), Some(Cutter::default()));
    tokio::task::yield_now().await;
    let since = Instant::now();
    list.streams.sweep(NOW, false, |_| false);
    assert_eq!(timeout(Duration::from_secs(5), stuck).await.unwrap().unwrap(), None);
    assert_eq!(since.elapsed().as_secs(), FAREWELL.as_secs());
    assert!(list.streams.is_empty());
}

#[test]
fn ten_thousand_streams_are_looked_through_in_a_moment() {
    let list = List::new();
    let entries: Vec<_> = (0..10_000).map(|number| list.streams.list(of(&number.to_string()), None)).collect();
    list.streams.sweep(NOW, true, |_| false);
    let since = std::time::Instant::now();
    assert_eq!(list.streams.sweep(NOW, true, |_| false), 0);
    // Milliseconds; a test may run unoptimised, beside others.
    assert!(since.elapsed() < Duration::from_millis(500), "{:?}", since.elapsed());
    assert_eq!(list.streams.sweep(NOW, true, |_| true), 10_000);
    assert_eq!(entries.iter().filter(|entry| entry.ended().is_some()).count(), 10_000);
}
