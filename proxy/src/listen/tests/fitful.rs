//! A stream that does what a script says: a little at a time, not now, an error. Without a script it takes and gives all there is.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};
use std::task::{Context, Poll};

use async_trait::async_trait;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID, UniqueIDType,
};
use proptest::prelude::*;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What one call comes to.
#[derive(Debug, Clone, Copy)]
pub(in super::super) enum Step {
    UpTo(usize),
    Later,
    Fails(io::ErrorKind),
    /// And so does every call after it.
    Breaks(io::ErrorKind),
}

/// What a call was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Told {
    Done,
    /// There were bytes to write, and it took none.
    TookNothing,
    Later,
    Failed(io::ErrorKind),
}

#[derive(Debug, Default)]
pub(in super::super) struct Script {
    pub(in super::super) steps: VecDeque<Step>,
    pub(in super::super) broken: Option<io::ErrorKind>,
    /// Writes more than one part at once.
    pub(in super::super) vectored: bool,
    /// One for each call, until somebody clears it.
    pub(in super::super) told: Vec<Told>,
    /// What was written to it.
    pub(in super::super) came: Vec<u8>,
    /// How much of that had come when it was flushed last.
    pub(in super::super) flushed: usize,
    pub(in super::super) is_shut: bool,
    /// What can be read from it, to its end.
    pub(in super::super) source: &'static [u8],
    /// How much of that was read.
    pub(in super::super) given: usize,
}

/// Its clones are the same stream.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Fitful(Arc<Mutex<Script>>);

/// Mostly little at a time.
pub(in super::super) fn steps() -> impl Strategy<Value = VecDeque<Step>> {
    let kind = || prop::sample::select(vec![io::ErrorKind::ConnectionReset, io::ErrorKind::Interrupted, io::ErrorKind::WouldBlock]);
    let step = prop_oneof![
        6 => size().prop_map(Step::UpTo),
        3 => Just(Step::Later),
        2 => kind().prop_map(Step::Fails),
        1 => kind().prop_map(Step::Breaks),
    ];
    prop::collection::vec(step, 0..30).prop_map(VecDeque::from)
}

/// Of all magnitudes, and often next to where something changes.
pub(in super::super) fn size() -> impl Strategy<Value = usize> {
    prop_oneof![0..4usize, 0..200usize, 4090..4100usize, 0..5000usize, 16_380..16_390usize, 0..40_000usize]
}

/// Bytes in which no two places look alike.
pub(in super::super) static TAPE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut state = 1u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(300_000).collect()
});

impl Script {
    /// How much of `wanted` comes of the next call.
    fn step(&mut self, wanted: usize) -> Poll<io::Result<usize>> {
        let step = self.broken.map_or_else(|| self.steps.pop_front().unwrap_or(Step::UpTo(usize::MAX)), Step::Breaks);
        let (told, outcome) = match step {
            Step::UpTo(0) if wanted > 0 => (Told::TookNothing, Poll::Ready(Ok(0))),
            Step::UpTo(some) => (Told::Done, Poll::Ready(Ok(some.min(wanted)))),
            Step::Later => (Told::Later, Poll::Pending),
            Step::Fails(kind) | Step::Breaks(kind) => (Told::Failed(kind), Poll::Ready(Err(kind.into()))),
        };
        if let Step::Breaks(kind) = step {
            self.broken = Some(kind);
        }
        self.told.push(told);
        outcome
    }
}

impl Fitful {
    pub(in super::super) fn new(script: Script) -> Self {
        Self(Arc::new(Mutex::new(script)))
    }

    pub(in super::super) fn script(&self) -> MutexGuard<'_, Script> {
        self.0.lock().unwrap()
    }
}

impl AsyncRead for Fitful {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut script = self.script();
        // Nothing is the end, and the end is where the source ends.
        if let Some(Step::UpTo(some)) = script.steps.front_mut() {
            *some = (*some).max(1);
        }
        let wanted = out.remaining().min(script.source.len() - script.given);
        script.step(wanted).map_ok(|some| {
            out.put_slice(&script.source[script.given..][..some]);
            script.given += some;
        })
    }
}

impl AsyncWrite for Fitful {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut script = self.script();
        script.step(bytes.len()).map_ok(|some| {
            script.came.extend_from_slice(&bytes[..some]);
            some
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut script = self.script();
        script.step(0).map_ok(|_| script.flushed = script.came.len())
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut script = self.script();
        script.step(0).map_ok(|_| script.is_shut = true)
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let bytes = if self.is_write_vectored() {
            parts.iter().map(|part| &**part).collect::<Vec<_>>().concat()
        } else {
            parts.iter().find(|part| !part.is_empty()).map_or_else(Vec::new, |part| part.to_vec())
        };
        self.poll_write(cx, &bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.script().vectored
    }
}

// What pingora wants of a transport besides.

#[async_trait]
impl Shutdown for Fitful {
    async fn shutdown(&mut self) {}
}

impl UniqueID for Fitful {
    fn id(&self) -> UniqueIDType {
        0
    }
}

impl Ssl for Fitful {}
impl Peek for Fitful {}

impl GetTimingDigest for Fitful {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for Fitful {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for Fitful {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        None
    }
}
