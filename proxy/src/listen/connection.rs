//! A client's connection: the socket below TLS, and what the app may know of it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::SystemTime;

use async_trait::async_trait;
use futures::task::AtomicWaker;
use http::HeaderValue;
use pingora::protocols::l4::socket::SocketAddr as PingoraAddr;
use pingora::protocols::{
    Digest, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID, UniqueIDType,
};
use pingora::proxy::Session;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

use super::Purpose;
use super::ahead::Ahead;

/// Who is connected, and how. Reach it with [`connection_info`].
#[derive(Debug)]
pub struct ConnectionInfo {
    /// The other end of the TCP connection.
    pub peer: SocketAddr,
    /// The client: what a trusted load balancer announced (PROXY protocol), else the peer. Never IPv4-mapped.
    pub client: SocketAddr,
    /// The client's address as a field carries it: written once for all requests.
    client_field: HeaderValue,
    /// The address that was connected to.
    pub local: SocketAddr,
    /// The server name of the TLS handshake (RFC 6066 §3).
    pub sni: Option<String>,
    /// `TLSv1.2` or `TLSv1.3`.
    pub tls_version: Option<&'static str>,
    /// HTTP/2 was agreed upon (ALPN).
    pub h2: bool,
    pub purpose: Purpose,
    state: Arc<ConnectionState>,
}

/// Of a request that came through our listeners. Neither allocates nor locks.
pub fn connection_info(session: &Session) -> Option<&ConnectionInfo> {
    info_of(session.as_downstream().digest()?)
}

/// The same, of a request that pingora's proxy does not serve.
pub fn info_of(digest: &Digest) -> Option<&ConnectionInfo> {
    digest.proxy_digest.as_ref()?.user_data.as_ref()?.downcast_ref()
}

impl ConnectionInfo {
    pub(super) fn new(
        peer: SocketAddr,
        client: SocketAddr,
        local: SocketAddr,
        tls: Option<&pingora::protocols::tls::TlsRef>,
        h2: bool,
        purpose: Purpose,
        state: Arc<ConnectionState>,
    ) -> Self {
        Self {
            peer,
            client,
            client_field: address(client.ip()),
            local,
            sni: tls.and_then(|tls| tls.server_name()).map(str::to_owned),
            tls_version: tls.and_then(|tls| tls.version()).map(version_name),
            h2,
            purpose,
            state,
        }
    }

    /// An address as a field carries it; that of the client is at hand.
    pub fn field_of(&self, address: IpAddr) -> HeaderValue {
        if address == self.client.ip() { self.client_field.clone() } else { self::address(address) }
    }

    /// The server is stopping: an answer may say `Connection: close`, a stream may end itself.
    pub fn is_closing(&self) -> bool {
        self.state.is_closing()
    }

    /// What ends this connection from outside. Over HTTP/2 it carries other people's streams as well.
    pub fn cutter(&self) -> Cutter {
        Cutter(self.state.clone())
    }

    pub(super) fn state(&self) -> &Arc<ConnectionState> {
        &self.state
    }
}

/// An address as a field carries it.
fn address(address: IpAddr) -> HeaderValue {
    // Every address is good in a field.
    HeaderValue::try_from(address.to_string()).unwrap_or(HeaderValue::from_static(""))
}

/// Ends the request that an HTTP/1 connection serves, and the connection with it.
#[derive(Debug, Clone, Default)]
pub struct Cutter(Arc<ConnectionState>);

impl Cutter {
    #[cfg(test)]
    pub(super) fn of(state: &Arc<ConnectionState>) -> Self {
        Self(state.clone())
    }

    /// Takes effect when the connection's task is polled next: whoever cuts also wakes it.
    pub fn cut(&self) {
        self.0.cut.store(true, Ordering::Release);
    }

    /// Whether the next byte to the client would begin a frame of a WebSocket, and a Close frame may stand there.
    pub fn between_frames(&self, between: bool) {
        self.0.between_frames.store(between, Ordering::Relaxed);
    }
}

/// As OpenSSL and most log formats write it; pingora hands over rustls's own spelling.
fn version_name(version: &'static str) -> &'static str {
    match version {
        "TLSv1_3" => "TLSv1.3",
        "TLSv1_2" => "TLSv1.2",
        other => other,
    }
}

/// What the socket, the guard, the app's wrapper and the world say to each other about one connection.
#[derive(Debug, Default)]
pub(super) struct ConnectionState {
    /// The next bytes are a request head.
    expects_head: AtomicBool,
    closing: AtomicBool,
    /// Whoever waits for a request head.
    waiting: AtomicWaker,
    /// The request that is being served has no right to go on.
    cut: AtomicBool,
    between_frames: AtomicBool,
}

impl ConnectionState {
    pub(super) fn expect_head(&self) {
        self.expects_head.store(true, Ordering::Relaxed);
    }

    /// True once for each [`Self::expect_head`].
    pub(super) fn take_expected(&self) -> bool {
        self.expects_head.load(Ordering::Relaxed) && self.expects_head.swap(false, Ordering::Relaxed)
    }

    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Release);
        self.waiting.wake();
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    pub(super) fn wake_on_close(&self, waker: &Waker) {
        self.waiting.register(waker);
    }

    pub(super) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire)
    }

    /// What was cut is over: another request begins.
    pub(super) fn begins_anew(&self) {
        self.cut.store(false, Ordering::Relaxed);
        self.between_frames.store(false, Ordering::Relaxed);
    }

    pub(super) fn is_between_frames(&self) -> bool {
        self.between_frames.load(Ordering::Relaxed)
    }
}

/// pingora's idea of a transport, over a socket. What is written goes straight out: `HeadGuard` collects above TLS, where it
/// becomes one record.
#[derive(Debug)]
pub(super) struct Conn {
    stream: TcpStream,
    ahead: Ahead,
    socket: Arc<SocketDigest>,
    since: SystemTime,
}

impl Conn {
    pub(super) fn new(stream: TcpStream) -> Self {
        let digest = SocketDigest::from_raw_fd(stream.as_raw_fd());
        Self { stream, ahead: Ahead::default(), socket: Arc::new(digest), since: SystemTime::now() }
    }

    /// Whom pingora takes for the client.
    pub(super) fn set_client(&self, client: SocketAddr) {
        let _ = self.socket.peer_addr.set(Some(PingoraAddr::Inet(client)));
    }
}

impl AsyncRead for Conn {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.ahead.poll_read(&mut this.stream, cx, out)
    }
}

impl AsyncBufRead for Conn {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        this.ahead.poll_fill(&mut this.stream, cx)
    }

    fn consume(self: Pin<&mut Self>, amount: usize) {
        self.get_mut().ahead.consume(amount);
    }
}

impl AsyncWrite for Conn {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}

#[async_trait]
impl Shutdown for Conn {
    async fn shutdown(&mut self) {
        let _ = AsyncWriteExt::shutdown(self).await;
    }
}

impl UniqueID for Conn {
    fn id(&self) -> UniqueIDType {
        self.stream.as_raw_fd()
    }
}

impl Ssl for Conn {}
impl Peek for Conn {}

impl GetTimingDigest for Conn {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        vec![Some(TimingDigest { established_ts: self.since, ..Default::default() })]
    }
}

impl GetProxyDigest for Conn {
    fn get_proxy_digest(&self) -> Option<Arc<pingora::protocols::raw_connect::ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for Conn {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        Some(self.socket.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_whole_whether_it_is_the_clients_or_another() {
        let told = ["1.2.3.4", "255.255.255.255", "::1", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "::ffff:255.255.255.255"];
        for client in told {
            let address = SocketAddr::new(client.parse().unwrap(), 1);
            let info = ConnectionInfo::new(address, address, address, None, false, Purpose::Public, Arc::default());
            for other in told {
                assert_eq!(info.field_of(other.parse().unwrap()), other, "from {client}");
            }
        }
    }
}
