//! Reads every HTTP/1.x request head before pingora does.
//!
//! The guard sits between TLS and pingora. Where a head is due it keeps the bytes until `wire::scan` has seen all of it,
//! and only then lets them through; a head that is refused gets its answer from here, and pingora sees the end of the
//! connection. As the head says how long the body is, bytes of a following request stay here until that request's turn
//! comes, and are judged like any other.
//!
//! For HTTP/2 it only makes sure that the preface comes in time; the frames are pingora's.
//!
//! It is also where a connection ends whose request lost its right to go on: a WebSocket is told in a Close frame if one
//! may stand there, TLS says goodbye, and pingora reads an error, which ends the app's side.

use std::future::{Future as _, poll_fn};
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Buf, BytesMut};
use doorward_policy::wire::{self, Body, ChunkedBody, Head, HeadFault, HeadLimits, HeadScan};
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::{SslDigest, TlsRef};
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, IO, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::connection::ConnectionState;
use super::outgoing::Outgoing;
use super::refusal::{BODY_LEFT, CHUNKED_BODY, HEADER_DEADLINE, PREFACE_DEADLINE};
use super::{ConnectionEvents, answer};

/// A connection that has asked for nothing yet gets this long once the server is stopping: its request may be on its way.
const FRESH_GRACE: Duration = Duration::from_secs(1);

/// How long a refused client may take to read why.
const REFUSAL_TIME: Duration = Duration::from_secs(2);

/// What a refused client may still send. Closing with bytes unread would reset the connection and lose the answer.
const REFUSAL_DRAIN: usize = 256 * 1024;

/// How long a client may take to hear that what it had open is over.
const FAREWELL_TIME: Duration = Duration::from_millis(500);

/// A Close frame (RFC 6455 §5.5.1), code 1008: what is open is against the rules, now.
const CLOSE_FRAME: &[u8] = b"\x88\x0f\x03\xf0session ended";

/// RFC 9113 §3.4.
const PREFACE_BYTES: usize = 24;

/// What the guard allows.
#[derive(Debug, Clone, Copy)]
pub(super) struct GuardLimits {
    pub(super) head: HeadLimits,
    /// From the first byte of a head to its last; also until the first byte of the first.
    pub(super) header: Duration,
    /// Between two requests.
    pub(super) idle: Duration,
}

/// The decrypted stream of one client.
pub(super) struct HeadGuard<S: IO> {
    inner: S,
    digest: Arc<ProxyDigest>,
    state: Arc<ConnectionState>,
    limits: GuardLimits,
    events: Arc<dyn ConnectionEvents>,
    client: IpAddr,

    phase: Phase,
    outgoing: Outgoing,
    /// Bytes that came and were not let through.
    held: BytesMut,
    /// Bytes at the front of `held` that are let through first: a judged head.
    released: usize,
    /// Bytes of `held` that were scanned already.
    scanned: usize,
    /// A request has passed on this connection.
    served: bool,
    deadline: Instant,
    /// Made when first needed; fires at `deadline` or earlier.
    timer: Option<Pin<Box<Sleep>>>,
    /// Runs while the client takes nothing of what is written.
    stall: Option<Pin<Box<Sleep>>>,
}

/// What the next bytes are.
enum Phase {
    Head,
    /// This much of a body, then no more until the next head is due.
    Body(u64),
    /// A body that says itself where it ends, then no more until the next head is due.
    Chunked(ChunkedBody),
    /// Not HTTP/1.x any more: an upgrade, or HTTP/2 behind its preface.
    Open,
    /// The rest of an HTTP/2 preface.
    Preface(usize),
    Refusing(Box<Refusing>),
    Closed,
}

struct Refusing {
    answer: Vec<u8>,
    written: usize,
    flushed: bool,
    drained: usize,
}

impl<S: IO> HeadGuard<S> {
    pub(super) fn http1(
        inner: S,
        digest: Arc<ProxyDigest>,
        state: Arc<ConnectionState>,
        limits: GuardLimits,
        events: Arc<dyn ConnectionEvents>,
        client: IpAddr,
    ) -> Self {
        Self {
            inner,
            digest,
            state,
            limits,
            events,
            client,
            phase: Phase::Head,
            outgoing: Outgoing::default(),
            held: BytesMut::new(),
            released: 0,
            scanned: 0,
            served: false,
            deadline: Instant::now() + limits.header,
            timer: None,
            stall: None,
        }
    }

    /// A client that reads nothing holds the connection no longer than one that sends nothing. The timer is made only
    /// when a write has to wait.
    fn within_reason<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stall = None;
            return written;
        }
        let idle = self.limits.idle;
        let timer = self.stall.get_or_insert_with(|| Box::pin(tokio::time::sleep(idle)));
        ready!(timer.as_mut().poll(cx));
        self.phase = Phase::Closed;
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// First everything that was collected, then what `next` does with the stream below.
    fn poll_through(
        &mut self,
        cx: &mut Context<'_>,
        next: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<()>>,
    ) -> Poll<io::Result<()>> {
        ready!(self.outgoing.poll_drain(&mut self.inner, cx))?;
        next(Pin::new(&mut self.inner), cx)
    }

    /// The same connection, agreed to be HTTP/2.
    pub(super) fn into_h2(mut self) -> Self {
        self.phase = Phase::Preface(PREFACE_BYTES);
        self
    }

    /// pingora is about to read a request.
    fn begin_head(&mut self) {
        match self.phase {
            // What is left of the body would be read as a head.
            Phase::Body(1..) | Phase::Chunked(_) => {
                self.events.refused(self.client, BODY_LEFT, None, "");
                self.phase = Phase::Closed;
            }
            Phase::Head | Phase::Body(0) | Phase::Open => {
                self.phase = Phase::Head;
                self.state.begins_anew();
                self.scanned = 0;
                let now = Instant::now();
                self.deadline = match self.served && self.held.is_empty() {
                    true => now + self.limits.idle,
                    false => now + self.limits.header,
                };
            }
            Phase::Preface(_) | Phase::Refusing(_) | Phase::Closed => {}
        }
    }

    fn poll_head(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.held.len() > self.scanned {
            match wire::scan(&self.held, self.scanned, &self.limits.head) {
                HeadScan::Incomplete => self.scanned = self.held.len(),
                HeadScan::Complete(head) => {
                    self.released = head.len;
                    self.pass(&head);
                    return Poll::Ready(Ok(()));
                }
                HeadScan::Refused(fault) => return self.refuse_head(fault),
            }
        }
        if self.held.is_empty() && self.state.is_closing() {
            if self.served {
                self.phase = Phase::Closed;
                return Poll::Ready(Ok(()));
            }
            self.deadline = self.deadline.min(Instant::now() + FRESH_GRACE);
        }
        // The usual case: nothing is held and a whole head comes at once; it goes where pingora wants it, uncopied.
        if self.held.is_empty() {
            let before = out.filled().len();
            let Poll::Ready(read) = Pin::new(&mut self.inner).poll_read(cx, out) else { return self.poll_waiting(cx) };
            read?;
            let fresh = &out.filled()[before..];
            if fresh.is_empty() {
                self.phase = Phase::Closed;
                return Poll::Ready(Ok(()));
            }
            match wire::scan(fresh, 0, &self.limits.head) {
                HeadScan::Complete(head) => {
                    self.held.extend_from_slice(&fresh[head.len..]);
                    out.set_filled(before + head.len);
                    self.pass(&head);
                }
                HeadScan::Incomplete => {
                    self.held.extend_from_slice(fresh);
                    self.scanned = fresh.len();
                    out.set_filled(before);
                    self.deadline = Instant::now() + self.limits.header;
                }
                HeadScan::Refused(fault) => {
                    out.set_filled(before);
                    return self.refuse_head(fault);
                }
            }
            return Poll::Ready(Ok(()));
        }
        let mut chunk = [0; 4096];
        let mut chunk = ReadBuf::new(&mut chunk);
        let Poll::Ready(read) = Pin::new(&mut self.inner).poll_read(cx, &mut chunk) else { return self.poll_waiting(cx) };
        read?;
        if chunk.filled().is_empty() {
            self.phase = Phase::Closed;
        }
        self.held.extend_from_slice(chunk.filled());
        Poll::Ready(Ok(()))
    }

    /// Nothing came: wait for bytes, the deadline or the end of the server.
    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.state.wake_on_close(cx.waker());
        // Between the last look and the registration it may have been told to close.
        if self.state.is_closing() && self.held.is_empty() && self.served {
            self.phase = Phase::Closed;
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_deadline(cx));
        if self.held.is_empty() {
            self.phase = Phase::Closed;
        } else {
            self.refuse(HEADER_DEADLINE, 408);
        }
        Poll::Ready(Ok(()))
    }

    /// Ready when the deadline has passed. The timer is only moved when it fires or would fire too late: most requests
    /// come in time and cost nothing here.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = self.deadline;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        loop {
            ready!(timer.as_mut().poll(cx));
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
    }

    fn pass(&mut self, head: &Head) {
        self.served = true;
        self.scanned = 0;
        self.phase = match head.body {
            Body::Absent if head.upgrade => Phase::Open,
            Body::Absent => Phase::Body(0),
            Body::Length(length) => Phase::Body(length),
            Body::Chunked => Phase::Chunked(ChunkedBody::default()),
        };
    }

    fn refuse_head(&mut self, fault: HeadFault) -> Poll<io::Result<()>> {
        self.refuse(fault.label(), fault.status());
        Poll::Ready(Ok(()))
    }

    fn refuse(&mut self, reason: &'static str, status: u16) {
        let id = answer::request_id();
        self.events.refused(self.client, reason, Some(status), &id);
        self.part(answer::refusal(status, &id), REFUSAL_TIME);
    }

    /// The last words on this connection.
    fn part(&mut self, answer: Vec<u8>, time: Duration) {
        // Behind what was written before, whole.
        let answer = [&self.outgoing.take()[..], &answer].concat();
        self.held.clear();
        self.released = 0;
        self.deadline = Instant::now() + time;
        self.phase = Phase::Refusing(Box::new(Refusing { answer, written: 0, flushed: false, drained: 0 }));
    }

    /// pingora reads only where it is not writing: everything it wrote before is whole.
    fn poll_farewell(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if matches!(self.phase, Phase::Body(_) | Phase::Chunked(_) | Phase::Open) {
            let words = if self.state.is_between_frames() { CLOSE_FRAME } else { &[] };
            self.part(words.to_vec(), FAREWELL_TIME);
        }
        ready!(self.poll_refusing(cx));
        Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
    }

    /// Ready when the client has had its answer, or its time.
    fn poll_refusing(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Phase::Refusing(refusing) = &mut self.phase else { return Poll::Ready(()) };
        if refusing.poll(&mut self.inner, cx).is_pending() {
            ready!(self.poll_deadline(cx));
        }
        self.phase = Phase::Closed;
        Poll::Ready(())
    }

    fn poll_body(&mut self, left: u64, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let usable = usize::try_from(left).unwrap_or(usize::MAX);
        if !self.held.is_empty() {
            if left == 0 {
                // It belongs to the next request. Whoever reads here only wants to know whether the client is gone.
                return Poll::Pending;
            }
            let taken = usable.min(self.held.len()).min(out.remaining());
            out.put_slice(&self.held[..taken]);
            self.held.advance(taken);
            self.phase = Phase::Body(left - taken as u64);
            return Poll::Ready(Ok(()));
        }
        let before = out.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, out))?;
        let came = out.filled().len() - before;
        if came == 0 {
            self.phase = Phase::Closed;
            return Poll::Ready(Ok(()));
        }
        let taken = came.min(usable);
        self.held.extend_from_slice(&out.filled()[before + taken..]);
        out.set_filled(before + taken);
        self.phase = Phase::Body(left - taken as u64);
        if taken == 0 { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    /// What a chunked body takes of the bytes that pingora gets; the rest belongs to the next request.
    fn poll_chunked(&mut self, mut body: ChunkedBody, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = out.filled().len();
        if self.held.is_empty() {
            ready!(Pin::new(&mut self.inner).poll_read(cx, out))?;
        } else {
            let some = self.held.len().min(out.remaining());
            out.put_slice(&self.held[..some]);
            self.held.advance(some);
        }
        let came = &out.filled()[before..];
        if came.is_empty() {
            self.phase = Phase::Closed;
            return Poll::Ready(Ok(()));
        }
        let Ok(taken) = body.follow(came) else {
            out.set_filled(before);
            self.events.refused(self.client, CHUNKED_BODY, None, "");
            self.phase = Phase::Closed;
            // The app has part of the request already, and pingora the connection: it says what there is to say.
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        };
        if taken < came.len() {
            let rest = [&came[taken..], &self.held[..]].concat();
            self.held = BytesMut::from(&rest[..]);
            out.set_filled(before + taken);
        }
        self.phase = if body.has_ended() { Phase::Body(0) } else { Phase::Chunked(body) };
        Poll::Ready(Ok(()))
    }

    fn poll_preface(&mut self, left: usize, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = out.filled().len();
        let Poll::Ready(read) = Pin::new(&mut self.inner).poll_read(cx, out) else {
            ready!(self.poll_deadline(cx));
            self.events.refused(self.client, PREFACE_DEADLINE, None, "");
            self.phase = Phase::Closed;
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        };
        let left = left.saturating_sub(out.filled().len() - before);
        self.phase = if left == 0 { Phase::Open } else { Phase::Preface(left) };
        Poll::Ready(read)
    }
}

impl Refusing {
    fn poll<S: IO>(&mut self, inner: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.answer.len() {
            self.written += match ready!(Pin::new(&mut *inner).poll_write(cx, &self.answer[self.written..]))? {
                0 => return Poll::Ready(Ok(())),
                written => written,
            };
        }
        if !self.flushed {
            ready!(Pin::new(&mut *inner).poll_flush(cx))?;
            // Half-close, so that the client knows that this was all (RFC 9112 §9.6).
            ready!(Pin::new(&mut *inner).poll_shutdown(cx))?;
            self.flushed = true;
        }
        let mut chunk = [0; 4096];
        loop {
            let mut chunk = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut *inner).poll_read(cx, &mut chunk))?;
            self.drained += chunk.filled().len();
            if chunk.filled().is_empty() || self.drained > REFUSAL_DRAIN {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: IO> AsyncRead for HeadGuard<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if out.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        if this.state.take_expected() {
            this.begin_head();
        }
        if this.state.is_cut() && !matches!(this.phase, Phase::Head) {
            return this.poll_farewell(cx);
        }
        loop {
            if this.released > 0 {
                let taken = this.released.min(out.remaining());
                out.put_slice(&this.held[..taken]);
                this.held.advance(taken);
                this.released -= taken;
                return Poll::Ready(Ok(()));
            }
            match this.phase {
                Phase::Head => {
                    let before = out.filled().len();
                    ready!(this.poll_head(cx, out))?;
                    if out.filled().len() > before {
                        return Poll::Ready(Ok(()));
                    }
                }
                Phase::Body(left) => return this.poll_body(left, cx, out),
                Phase::Chunked(body) => return this.poll_chunked(body, cx, out),
                Phase::Open if this.held.is_empty() => return Pin::new(&mut this.inner).poll_read(cx, out),
                Phase::Open => this.released = this.held.len(),
                Phase::Preface(left) => return this.poll_preface(left, cx, out),
                Phase::Refusing(_) => ready!(this.poll_refusing(cx)),
                Phase::Closed => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl<S: IO> AsyncWrite for HeadGuard<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.state.is_cut() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let written = this.outgoing.poll_write(&mut this.inner, cx, bytes);
        this.within_reason(cx, written)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.state.is_cut() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let flushed = this.poll_through(cx, |inner, cx| inner.poll_flush(cx));
        this.within_reason(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let ended = this.poll_through(cx, |inner, cx| inner.poll_shutdown(cx));
        this.within_reason(cx, ended)
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.state.is_cut() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let written = this.outgoing.poll_write_vectored(&mut this.inner, cx, bytes);
        this.within_reason(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}

impl<S: IO> std::fmt::Debug for HeadGuard<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What is held may be somebody's cookie.
        f.debug_struct("HeadGuard").field("client", &self.client).field("held", &self.held.len()).finish_non_exhaustive()
    }
}

/// pingora lets go of a connection without a flush when the app breaks off behind its head. A client that hears nothing on a kept
/// connection takes its request for lost and may send it again (RFC 9110 §9.2.2); so what was written goes, as far as it can at once.
/// TLS says no goodbye: it is seen to be cut short.
impl<S: IO> Drop for HeadGuard<S> {
    fn drop(&mut self) {
        if self.state.is_cut() || self.outgoing.is_empty() {
            return;
        }
        let cx = &mut Context::from_waker(Waker::noop());
        if let Poll::Ready(Ok(())) = self.outgoing.poll_drain(&mut self.inner, cx) {
            let _ = Pin::new(&mut self.inner).poll_flush(cx);
        }
    }
}

#[async_trait]
impl<S: IO> Shutdown for HeadGuard<S> {
    async fn shutdown(&mut self) {
        // TLS says goodbye, which a client that reads nothing never lets it finish.
        let goodbye = async {
            let Self { outgoing, inner, .. } = self;
            if poll_fn(|cx| outgoing.poll_drain(inner, cx)).await.is_ok() {
                inner.shutdown().await;
            }
        };
        let _ = tokio::time::timeout(REFUSAL_TIME, goodbye).await;
    }
}

impl<S: IO> UniqueID for HeadGuard<S> {
    fn id(&self) -> UniqueIDType {
        self.inner.id()
    }
}

impl<S: IO> Ssl for HeadGuard<S> {
    fn get_ssl(&self) -> Option<&TlsRef> {
        self.inner.get_ssl()
    }

    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.inner.get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.inner.selected_alpn_proto()
    }
}

impl<S: IO> Peek for HeadGuard<S> {}

impl<S: IO> GetTimingDigest for HeadGuard<S> {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.inner.get_timing_digest()
    }
}

impl<S: IO> GetProxyDigest for HeadGuard<S> {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        Some(self.digest.clone())
    }
}

impl<S: IO> GetSocketDigest for HeadGuard<S> {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.inner.get_socket_digest()
    }
}

#[cfg(test)]
mod tests;
