//! The ports on which Envoy asks over gRPC: who may connect, for how long, and with how much.
//!
//! They have threads of their own, one for each core, and share the work between them. An Envoy has few connections (one
//! or two for each of its workers), keeps them for days and sends every question through them: handed out one by one, as
//! clients' connections are to the worlds, they would leave some cores with all the questions and others with none.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use doorward_config::settings::{Limits, Server};
use envoy_types::pb::envoy::service::auth::v3::authorization_server::{Authorization, AuthorizationServer};
use envoy_types::pb::envoy::service::auth::v3::{CheckRequest, CheckResponse};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tonic::{Code, Request, Response, Status};

use super::dialect::Dialect;
use super::envoy_grpc;
use super::guard::{Unanswered, guarded};
use super::record::{self, Asked};
use crate::entropy::RequestId;
use crate::listen::{
    ACCEPT_FAILED, Bound, ConnectionEvents, CurrentTerms, Drained, HANDSHAKE_COMPLETED, HANDSHAKE_DEADLINE, HANDSHAKE_FAILED,
    PREFACE_DEADLINE, TOTAL_CAP, is_of_the_client,
};
use crate::runtime::{CurrentRuntime, Runtime};

/// Questions that one connection may have open (RFC 9113 §6.5.2).
const STREAMS: u32 = 256;
/// Bytes of a message besides the client's fields: certificates, metadata, a little content, where Envoy is told to send any.
const BESIDES: usize = 64 * 1024;
/// Bytes that Envoy may send ahead, for each question and in all (RFC 9113 §6.9.2).
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Bytes of an answer that are held until Envoy takes them.
const SEND_BUFFER: usize = 256 * 1024;
/// From the header of a question to its answer: longer than keys are waited for.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often a connection is asked whether it is still there, and for how long an answer is waited for (RFC 9113 §6.7).
const PING: Duration = Duration::from_secs(20);
const PONG: Duration = Duration::from_secs(10);
/// Connections of those who may not ask: enough to tell them so.
const STRANGERS: usize = 64;
/// The client's preface and the header of the SETTINGS behind it (RFC 9113 §3.4).
const PREFACE: usize = 24 + 9;
/// After an error that the next `accept` would only repeat.
const PAUSE: Duration = Duration::from_millis(100);

/// Sockets that are bound and listening; nobody accepts yet.
#[derive(Debug)]
pub struct GrpcListeners {
    bound: Vec<Bound>,
    /// As many as there are worlds.
    threads: usize,
}

/// Ports at work.
#[must_use = "dropping it ends every connection at once; `stop` lets them finish"]
#[derive(Debug)]
pub struct GrpcServing {
    addresses: Vec<SocketAddr>,
    stopping: watch::Sender<bool>,
    /// Ends when every connection has.
    accepting: JoinHandle<()>,
    threads: Option<tokio::runtime::Runtime>,
}

impl GrpcListeners {
    /// Binds every address of `server.hooks.grpc`, if there is any; port 0 takes a free one.
    ///
    /// # Errors
    /// The system's, with the address in its text.
    pub fn bind(server: &Server) -> io::Result<Option<Self>> {
        let Some(hooks) = server.hooks.as_ref().filter(|hooks| !hooks.grpc.is_empty()) else { return Ok(None) };
        let bound = hooks.grpc.iter().map(|address| Bound::new(*address, &hooks.grpc, false)).collect::<io::Result<_>>()?;
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Some(Self { bound, threads: server.cores.unwrap_or_else(cores).max(1) }))
    }

    /// Starts the threads. With `tls` the ports speak TLS, else HTTP/2 by prior knowledge (RFC 9113 §3.3).
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn serve(self, terms: CurrentTerms, current: &Arc<CurrentRuntime>, events: Arc<dyn ConnectionEvents>) -> io::Result<GrpcServing> {
        let addresses: Vec<SocketAddr> = self.bound.iter().map(|bound| bound.address).collect();
        let (stopping, stop) = watch::channel(false);
        let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(self.threads).thread_name("grpc").enable_all().build()?;
        let door = Arc::new(Door { current: current.clone(), terms, events, places: Arc::default(), strangers: Arc::default() });
        let accepting = threads.spawn(async move {
            let mut loops: JoinSet<()> = self.bound.into_iter().map(|bound| accept(bound, door.clone(), stop.clone())).collect();
            while loops.join_next().await.is_some() {}
        });
        Ok(GrpcServing { addresses, stopping, accepting, threads: Some(threads) })
    }
}

impl GrpcServing {
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Accepts what is queued and closes the sockets, tells every connection to end, and lets questions in flight be
    /// answered within `grace`.
    pub async fn stop(mut self, grace: Duration) -> Drained {
        let _ = self.stopping.send(true);
        Drained { clean: timeout(grace, &mut self.accepting).await.is_ok_and(|ended| ended.is_ok()) }
    }
}

impl Drop for GrpcServing {
    fn drop(&mut self) {
        if let Some(threads) = self.threads.take() {
            threads.shutdown_background();
        }
    }
}

async fn accept(bound: Bound, door: Arc<Door>, mut stop: watch::Receiver<bool>) {
    let Bound { socket, address, .. } = bound;
    // The second handle is for the end: only the system knows what is queued, not the reactor.
    let listener = match socket.try_clone().and_then(TcpListener::from_std) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, %address, "cannot wait for connections"),
    };
    let mut connections = JoinSet::new();
    let stopping = stop.clone();
    loop {
        tokio::select! {
            () = stopped(&mut stop) => break,
            accepted = listener.accept() => match accepted {
                Ok((socket, peer)) => door.clone().admit(socket, peer, &stopping, &mut connections),
                Err(error) if is_of_the_client(error.kind()) => {}
                Err(error) => {
                    tracing::warn!(%error, %address, "cannot accept a connection");
                    door.events.refused(IpAddr::V4(Ipv4Addr::UNSPECIFIED), ACCEPT_FAILED, None, "");
                    sleep(PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
    // Whoever is queued has been told by the system that we are here.
    while let Ok((socket, peer)) = socket.accept() {
        if let Ok(socket) = socket.set_nonblocking(true).and_then(|()| TcpStream::from_std(socket)) {
            door.clone().admit(socket, peer, &stopping, &mut connections);
        }
    }
    drop((listener, socket));
    while connections.join_next().await.is_some() {}
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the `GrpcServing` was dropped.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// What all connections have in common.
struct Door {
    current: Arc<CurrentRuntime>,
    /// What holds for a new connection.
    terms: CurrentTerms,
    events: Arc<dyn ConnectionEvents>,
    /// Of those who may ask; counted apart from clients'.
    places: Arc<AtomicUsize>,
    strangers: Arc<AtomicUsize>,
}

/// A place for one connection; given back when dropped.
struct Place {
    events: Arc<dyn ConnectionEvents>,
    taken: Arc<AtomicUsize>,
}

impl Place {
    /// One of `most`; `None` when all are taken.
    fn take(taken: &Arc<AtomicUsize>, most: usize, events: &Arc<dyn ConnectionEvents>) -> Option<Self> {
        if taken.fetch_add(1, Ordering::Relaxed) >= most {
            taken.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        events.connection(1);
        Some(Self { events: events.clone(), taken: taken.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
        self.events.connection(-1);
    }
}

impl Door {
    fn admit(self: Arc<Self>, socket: TcpStream, peer: SocketAddr, stop: &watch::Receiver<bool>, connections: &mut JoinSet<()>) {
        let peer = peer.ip().to_canonical();
        let terms = self.terms.load_full();
        let stranger = !self.current.get().peers.as_ref().is_some_and(|peers| peers.names(peer));
        let (places, most) = if stranger { (&self.strangers, STRANGERS) } else { (&self.places, terms.limits.connections) };
        let Some(place) = Place::take(places, most, &self.events) else { return self.events.refused(peer, TOTAL_CAP, None, "") };
        let stop = stop.clone();
        connections.spawn(async move {
            let _place = place;
            // RFC 896: an answer must not wait for the acknowledgement of the one before.
            let _ = socket.set_nodelay(true);
            match &terms.tls.hooks {
                None => self.converse(socket, &terms.limits, peer, stranger, stop).await,
                Some(store) => {
                    let shaking = TlsAcceptor::from(store.config()).accept(socket);
                    let outcome = timeout(terms.limits.handshake, shaking).await;
                    match outcome {
                        Ok(Ok(stream)) => {
                            self.events.handshake(HANDSHAKE_COMPLETED);
                            // RFC 9113 §3.3: `h2` is agreed upon by ALPN; a client without ALPN may know better.
                            if stream.get_ref().1.alpn_protocol().is_none_or(|agreed| agreed == b"h2") {
                                self.converse(stream, &terms.limits, peer, stranger, stop).await;
                            }
                        }
                        Ok(Err(error)) => {
                            tracing::debug!(%peer, %error, "TLS handshake failed");
                            self.events.handshake(HANDSHAKE_FAILED);
                        }
                        Err(_) => self.events.handshake(HANDSHAKE_DEADLINE),
                    }
                }
            }
        });
    }

    /// Serves a connection until one of the two has had enough.
    async fn converse<S>(self: &Arc<Self>, stream: S, limits: &Limits, peer: IpAddr, stranger: bool, mut stop: watch::Receiver<bool>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let traffic = Arc::new(Traffic::new());
        let visitor = Visitor { door: self.clone(), peer, traffic: traffic.clone() };
        let io = TokioIo::new(Counted { stream, traffic: traffic.clone() });
        let mut connection = pin!(http2_with(limits).serve_connection(io, visitor));
        let overstays = async {
            sleep(limits.header).await;
            // Who may not ask is told so, and leaves.
            if !stranger && traffic.has_begun() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            _ = connection.as_mut() => return,
            () = stopped(&mut stop) => {}
            () = traffic.rested(limits.idle) => {}
            () = overstays => {
                if !traffic.has_begun() {
                    self.events.refused(peer, PREFACE_DEADLINE, None, "");
                }
                return;
            }
        }
        // RFC 9113 §6.8: what is on its way to us is still answered; a question is never lost to an idle limit.
        connection.as_mut().graceful_shutdown();
        let _ = timeout(PATIENCE + PONG, connection).await;
    }
}

fn message_limit(limits: &Limits) -> usize {
    // Method, host and path come twice.
    limits.header_bytes.saturating_mul(2).saturating_add(BESIDES)
}

/// Bounded streams, header lists and buffers.
fn http2_with(limits: &Limits) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX).min(64 * 1024))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        // RFC 9113 §10.5: rapid resets are cheap to send and dear to serve (CVE-2023-44487).
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(100)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PONG);
    builder
}

/// Answers one connection's calls.
#[derive(Clone)]
struct Visitor {
    door: Arc<Door>,
    peer: IpAddr,
    traffic: Arc<Traffic>,
}

/// What a call is known by, once it may ask.
#[derive(Debug, Clone)]
struct Call {
    peer: IpAddr,
    request_id: RequestId,
    started: Instant,
}

impl hyper::service::Service<http::Request<Incoming>> for Visitor {
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: http::Request<Incoming>) -> Self::Future {
        let visitor = self.clone();
        Box::pin(async move { Ok(visitor.answer(request).await) })
    }
}

impl Visitor {
    async fn answer(&self, mut request: http::Request<Incoming>) -> http::Response<tonic::body::Body> {
        let _busy = self.traffic.begin();
        // One configuration for the whole call.
        let runtime = self.door.current.get();
        let call = Call { peer: self.peer, request_id: runtime.request_ids.next(), started: Instant::now() };
        // HOOK-01: before a byte of the message is read.
        let trusted = runtime.peers.as_ref().map_or(Err("hook_untrusted"), |peers| peers.trust(self.peer, request.headers()));
        if let Err(reason) = trusted {
            record::untrusted(&runtime, self.peer, &call.request_id, reason);
            return Status::permission_denied("only proxies that server.hooks names may ask here").into_http();
        }
        let mut pending = Pending { runtime: &runtime, call: &call, answered: false };
        request.extensions_mut().insert(call.clone());
        let checks =
            AuthorizationServer::new(Checks(runtime.clone())).max_decoding_message_size(message_limit(&runtime.settings.server.limits));
        let answer = guarded(PATIENCE, async move {
            let mut checks = checks;
            match tonic::codegen::Service::call(&mut checks, request).await {
                Ok(answer) => answer,
                Err(never) => match never {},
            }
        });
        let answer = answer.await.unwrap_or_else(|reason| unanswered(reason).into_http());
        pending.answered = true;
        // A message is followed by its status; where there is none, the status comes first.
        if let Some(status) = Status::from_header_map(answer.headers()) {
            failed(&runtime, &call, fault(status.code()));
        }
        answer
    }
}

fn failed(runtime: &Runtime, call: &Call, reason: &'static str) {
    record::failed(runtime, Dialect::EnvoyGrpc.label(), call.peer, &call.request_id, reason);
}

/// A call that waits for its answer. Whoever loses patience meanwhile (Envoy does after 200 ms, unless it is told
/// otherwise) refuses the request by itself, and the log is to say so.
struct Pending<'v> {
    runtime: &'v Runtime,
    call: &'v Call,
    answered: bool,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if !self.answered {
            failed(self.runtime, self.call, "hook_cancelled");
        }
    }
}

/// Why a call has no answer, for the log.
fn fault(code: Code) -> &'static str {
    match code {
        Code::Aborted => "hook_failed",
        Code::DeadlineExceeded => "hook_timeout",
        Code::Unimplemented => "hook_method",
        _ => "hook_message",
    }
}

fn unanswered(reason: Unanswered) -> Status {
    match reason {
        Unanswered::Failed => Status::aborted(reason.to_string()),
        Unanswered::TooLate => Status::deadline_exceeded(reason.to_string()),
    }
}

/// The service itself.
#[derive(Debug)]
struct Checks(Arc<Runtime>);

#[tonic::async_trait]
impl Authorization for Checks {
    async fn check(&self, request: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        let Some(call) = request.extensions().get::<Call>().cloned() else { return Err(Status::aborted("nobody asks")) };
        let checked = envoy_grpc::check(&self.0, request.get_ref(), &call.request_id, call.started).await;
        let asked = Asked {
            dialect: Some(Dialect::EnvoyGrpc),
            peer: call.peer,
            request_id: &call.request_id,
            protocol: "h2",
            started: call.started,
        };
        record::answered(&self.0, &asked, &checked.verdict, checked.status, checked.sent);
        Ok(Response::new(checked.response))
    }
}

/// What has been going on in a connection.
#[derive(Debug)]
struct Traffic {
    /// Bytes read, until they are a preface.
    read: AtomicUsize,
    calls: AtomicUsize,
    /// When the last call ended.
    last: Mutex<tokio::time::Instant>,
}

/// A call under way.
struct Busy(Arc<Traffic>);

impl Traffic {
    fn new() -> Self {
        Self { read: AtomicUsize::new(0), calls: AtomicUsize::new(0), last: Mutex::new(tokio::time::Instant::now()) }
    }

    fn has_begun(&self) -> bool {
        self.read.load(Ordering::Relaxed) >= PREFACE
    }

    fn begin(self: &Arc<Self>) -> Busy {
        self.calls.fetch_add(1, Ordering::Relaxed);
        Busy(self.clone())
    }

    /// Ready when there was no call for this long.
    async fn rested(&self, idle: Duration) {
        loop {
            let now = tokio::time::Instant::now();
            let last = if self.calls.load(Ordering::Acquire) > 0 { now } else { *self.last.lock().unwrap_or_else(PoisonError::into_inner) };
            if last + idle <= now {
                return;
            }
            sleep_until(last + idle).await;
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        *self.0.last.lock().unwrap_or_else(PoisonError::into_inner) = tokio::time::Instant::now();
        self.0.calls.fetch_sub(1, Ordering::Release);
    }
}

/// A stream that counts its first bytes.
struct Counted<S> {
    stream: S,
    traffic: Arc<Traffic>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if !self.traffic.has_begun() {
            self.traffic.read.fetch_add(buf.filled().len() - before, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hook_05_what_has_no_answer_is_an_error_with_a_name() {
        assert_eq!(fault(unanswered(Unanswered::Failed).code()), Unanswered::Failed.label());
        assert_eq!(fault(unanswered(Unanswered::TooLate).code()), Unanswered::TooLate.label());
        assert_eq!(fault(Code::OutOfRange), "hook_message");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_rests_from_its_last_call_on() {
        let idle = Duration::from_secs(10);
        let traffic = Arc::new(Traffic::new());
        let started = tokio::time::Instant::now();
        let rested = async {
            traffic.rested(idle).await;
            started.elapsed().as_secs()
        };
        let calls = async {
            sleep(Duration::from_secs(5)).await;
            let busy = traffic.begin();
            sleep(Duration::from_secs(20)).await;
            drop(busy);
        };
        let (rested, ()) = tokio::join!(rested, calls);
        assert_eq!(rested, 35);
    }
}
