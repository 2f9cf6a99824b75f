//! Streams that are open on somebody's credential, and their end when it ends.
//!
//! A WebSocket, an event stream and a gRPC call outlive the decision they were opened on. Each is listed here for as long
//! as it is open, with what it stands on; twice a second the list is looked through, and what stands on nothing any more
//! is cut, however silent it is. A plain answer that is on its way may finish: its request was allowed.
//!
//! - HTTP/1: the connection ends, as it serves nothing else. A WebSocket whose frames are at a border gets a Close frame
//!   (1008); then TLS says goodbye. See `listen::head_guard`.
//! - HTTP/2: the stream alone is reset (`CANCEL`); others on the connection go on. pingora has no way to end one from
//!   outside, so the future that serves it is dropped, which lets go of both sides.
//!
//! The app's side ends with it: an HTTP/1 connection to the app is closed, a stream of an HTTP/2 one is reset.

mod frames;
mod until_cut;

pub use frames::Frames;
pub use until_cut::until_cut;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use doorward_policy::session::SessionFacts;
use doorward_policy::time::Timestamp;
use futures::task::AtomicWaker;
use prometheus::{IntCounter, IntCounterVec, IntGauge};
use tokio::time::MissedTickBehavior;

use crate::clock;
use crate::listen::Cutter;
use crate::runtime::CurrentRuntime;

/// Streams are listed in this many parts, so that worlds and the sweep seldom wait for each other.
const SHARDS: usize = 16;
/// How often the list is looked through.
const SWEEP: Duration = Duration::from_millis(500);

/// Why a stream was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The session's lifetime, or the token's.
    Expired,
    /// The provider or an administrator ended the session.
    Revoked,
    /// Its owner did.
    SignedOut,
}

impl Ended {
    const ALL: [Self; 3] = [Self::Expired, Self::Revoked, Self::SignedOut];

    /// What metrics call it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::SignedOut => "signed_out",
        }
    }

    /// What the access log calls it.
    pub fn error(self) -> &'static str {
        match self {
            Self::Expired => "stream_expired",
            Self::Revoked => "stream_revoked",
            Self::SignedOut => "stream_signed_out",
        }
    }
}

/// What a stream stands on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ground {
    /// The session; a bearer token has none.
    pub facts: Option<SessionFacts>,
    /// When it ends by itself.
    pub until: Option<Timestamp>,
}

impl Ground {
    /// Nothing can end what stands on nothing.
    pub fn is_none(&self) -> bool {
        self.facts.is_none() && self.until.is_none()
    }

    fn is_over(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| now >= until)
    }
}

/// All that are open. Bounded by connections and by streams on each, which are.
#[derive(Debug)]
pub struct OpenStreams {
    shards: [Mutex<HashMap<u64, Listed>>; SHARDS],
    next: AtomicU64,
    open: IntGauge,
    closed: [IntCounter; 3],
}

#[derive(Debug)]
struct Listed {
    stream: Arc<OpenStream>,
    /// No sweep has seen it: it may stand on a session that was revoked between its admission and now.
    fresh: bool,
}

/// One stream, as the sweep and the task that serves it share it.
#[derive(Debug)]
struct OpenStream {
    ground: Ground,
    /// 0 while it is open, [`OVER`] when it ended by itself, else one more than its [`Ended`].
    fate: AtomicU8,
    /// The task that serves it.
    task: AtomicWaker,
    /// Its connection, if that serves nothing else.
    connection: Option<Cutter>,
}

const OPEN: u8 = 0;
const OVER: u8 = u8::MAX;

impl OpenStream {
    fn ended(&self) -> Option<Ended> {
        let fate = self.fate.load(Ordering::Acquire);
        Ended::ALL.into_iter().find(|ended| *ended as u8 + 1 == fate)
    }

    /// True the first time, while it is open.
    fn cut(&self, why: Ended) -> bool {
        if self.fate.compare_exchange(OPEN, why as u8 + 1, Ordering::AcqRel, Ordering::Acquire).is_err() {
            return false;
        }
        if let Some(connection) = &self.connection {
            connection.cut();
        }
        self.task.wake();
        true
    }
}

impl OpenStreams {
    /// None yet. `open` counts them, `closed` those that were cut, by reason.
    pub fn new(open: IntGauge, closed: &IntCounterVec) -> Self {
        let closed = Ended::ALL.map(|why| closed.with_label_values(&[why.label()]));
        Self { shards: Default::default(), next: AtomicU64::new(0), open, closed }
    }

    /// Lists a stream until what is returned is dropped. Called by the task that serves it, inside [`until_cut()`].
    /// `connection` is its connection if that serves nothing else.
    pub fn list(self: &Arc<Self>, ground: Ground, connection: Option<Cutter>) -> StreamEntry {
        let stream = Arc::new(OpenStream { ground, fate: AtomicU8::new(OPEN), task: AtomicWaker::new(), connection });
        let key = self.next.fetch_add(1, Ordering::Relaxed);
        self.shard(key).insert(key, Listed { stream: stream.clone(), fresh: true });
        self.open.inc();
        until_cut::serves(&stream);
        StreamEntry { streams: self.clone(), key, stream, frames: None, status: 0, sent: 0 }
    }

    /// How many are open.
    pub fn len(&self) -> usize {
        (0..SHARDS as u64).map(|key| self.shard(key).len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Cuts the streams of one session.
    pub fn cut_session(&self, facts: &SessionFacts, why: Ended) -> usize {
        self.cut_where(|listed| (listed.stream.ground.facts.as_ref() == Some(facts)).then_some(why))
    }

    /// Cuts what is over, and what `is_revoked` names. That is asked only of streams listed since the last sweep, and of all
    /// when what it knows has `changed` since.
    pub fn sweep(&self, now: Timestamp, changed: bool, is_revoked: impl Fn(&SessionFacts) -> bool) -> usize {
        self.cut_where(|listed| {
            let fresh = std::mem::take(&mut listed.fresh);
            let ground = &listed.stream.ground;
            if ground.is_over(now) {
                return Some(Ended::Expired);
            }
            ((fresh || changed) && ground.facts.as_ref().is_some_and(&is_revoked)).then_some(Ended::Revoked)
        })
    }

    fn cut_where(&self, mut over: impl FnMut(&mut Listed) -> Option<Ended>) -> usize {
        let mut cut = 0;
        for key in 0..SHARDS as u64 {
            let ending: Vec<_> =
                self.shard(key).values_mut().filter_map(|listed| over(listed).map(|why| (listed.stream.clone(), why))).collect();
            for (stream, why) in ending {
                if stream.cut(why) {
                    self.closed[why as usize].inc();
                    cut += 1;
                }
            }
        }
        cut
    }

    fn shard(&self, key: u64) -> MutexGuard<'_, HashMap<u64, Listed>> {
        self.shards[key as usize % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream's place in the list; dropped with the request, whatever way that ends.
#[derive(Debug)]
pub struct StreamEntry {
    streams: Arc<OpenStreams>,
    key: u64,
    stream: Arc<OpenStream>,
    /// What the app sends, where that is frames.
    frames: Option<Frames>,
    /// What was answered, and how many bytes of content: should the request be dropped, nobody else knows.
    pub status: u16,
    pub sent: u64,
}

impl StreamEntry {
    /// Why it was cut, if it was.
    pub fn ended(&self) -> Option<Ended> {
        self.stream.ended()
    }

    /// The answer begins; with `frames`, those of a WebSocket follow it.
    pub fn answered(&mut self, status: u16, frames: bool) {
        self.status = status;
        self.frames = frames.then(Frames::default);
        self.tell_border();
    }

    /// The next bytes on their way to the client.
    pub fn passes(&mut self, bytes: &[u8]) {
        self.sent += bytes.len() as u64;
        if let Some(frames) = &mut self.frames {
            frames.follow(bytes);
            self.tell_border();
        }
    }

    fn tell_border(&self) {
        if let (Some(connection), Some(frames)) = (&self.stream.connection, &self.frames) {
            connection.between_frames(frames.may_close());
        }
    }
}

impl Drop for StreamEntry {
    fn drop(&mut self) {
        // The connection may serve another request by the time that a sweep gets to this one.
        let _ = self.stream.fate.compare_exchange(OPEN, OVER, Ordering::AcqRel, Ordering::Acquire);
        self.streams.shard(self.key).remove(&self.key);
        self.streams.open.dec();
    }
}

/// Looks through the list for as long as the edge runs.
pub async fn keep_swept(current: Arc<CurrentRuntime>) {
    let mut ticks = tokio::time::interval(SWEEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut known = None;
    loop {
        ticks.tick().await;
        let runtime = current.get();
        let revocations = runtime.revocations.current();
        let changed = known.as_ref().is_none_or(|known| !Arc::ptr_eq(known, &revocations));
        runtime.streams.sweep(clock::now(), changed, |facts| revocations.is_revoked(facts));
        known = Some(revocations);
    }
}

#[cfg(test)]
mod tests;
