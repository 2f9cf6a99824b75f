//! An app that opens what it is asked for and then says nothing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Its address, and how many streams it holds open.
#[derive(Debug, Clone)]
pub struct SilentApp {
    pub address: SocketAddr,
    open: Arc<AtomicUsize>,
}

/// One stream that is open at the app.
struct Open(Arc<AtomicUsize>);

impl Open {
    fn at(app: &SilentApp) -> Self {
        app.open.fetch_add(1, Ordering::SeqCst);
        Self(app.open.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What a WebSocket of this app says first: a frame, and half of one where the path asks for it.
pub const HELLO: &[u8] = b"\x81\x05hello";
pub const HALF: &[u8] = b"\x82\x7e\x01\x00half";

const SWITCH: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
const OTHER: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: something\r\n\r\n";
const EVENTS: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n9\r\ndata: x\n\n\r\n";

impl SilentApp {
    /// Over HTTP/1.1.
    pub async fn http1() -> Self {
        let (app, listener) = Self::bind().await;
        let serving = app.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve_http1(socket));
            }
        });
        app
    }

    /// Over HTTP/2 without TLS: each call gets its head, and `calls` no trailers.
    pub async fn http2() -> Self {
        let (app, listener) = Self::bind().await;
        let serving = app.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let serving = serving.clone();
                tokio::spawn(async move {
                    let Ok(mut server) = h2::server::Builder::new().max_concurrent_streams(2000).handshake::<_, Bytes>(socket).await else {
                        return;
                    };
                    while let Some(Ok((request, respond))) = server.accept().await {
                        tokio::spawn(serving.clone().serve_call(request, respond));
                    }
                });
            }
        });
        app
    }

    async fn bind() -> (Self, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        (Self { address: listener.local_addr().unwrap(), open: Arc::default() }, listener)
    }

    /// Streams whose other end has not gone.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// Waits until so many are open.
    pub async fn until(&self, wanted: usize) {
        let waiting = async {
            while self.open() != wanted {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        assert!(tokio::time::timeout(Duration::from_secs(10), waiting).await.is_ok(), "{} streams open, not {wanted}", self.open());
    }

    async fn serve_http1(self, mut socket: TcpStream) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match socket.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return,
            }
        }
        let head = String::from_utf8(head).unwrap();
        let path = head.split(' ').nth(1).unwrap();
        let _open = Open::at(&self);
        match path {
            "/waits" => {}
            "/half" => socket.write_all(&[SWITCH, HELLO, HALF].concat()).await.unwrap(),
            "/closed" => socket.write_all(&[SWITCH, b"\x88\x02\x03\xe8"].concat()).await.unwrap(),
            "/other" => socket.write_all(OTHER).await.unwrap(),
            "/leaves" => return socket.write_all(&[SWITCH, HELLO].concat()).await.unwrap(),
            "/breaks" => return socket.write_all(EVENTS).await.unwrap(),
            "/refuses" => return socket.write_all(&doorward_tests::recorder::ok("no")).await.unwrap(),
            "/floods" => {
                socket.write_all(SWITCH).await.unwrap();
                while socket.write_all(&[&b"\x82\x7e\x40\x00"[..], &[0; 0x4000]].concat()).await.is_ok() {}
                return;
            }
            "/deaf" => {
                socket.write_all(&[SWITCH, HELLO].concat()).await.unwrap();
                tokio::time::sleep(Duration::from_secs(6)).await;
            }
            "/slow" => {
                socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n").await.unwrap();
                for part in [b"fi", b"ni", b"sh", b"ed"] {
                    socket.write_all(part).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(1000)).await;
                }
                return;
            }
            _ if head.to_ascii_lowercase().contains("upgrade: websocket") => socket.write_all(&[SWITCH, HELLO].concat()).await.unwrap(),
            _ => socket.write_all(EVENTS).await.unwrap(),
        }
        while let Ok(1..) = socket.read(&mut [0; 4096]).await {}
    }

    async fn serve_call(self, request: http::Request<h2::RecvStream>, mut respond: h2::server::SendResponse<Bytes>) {
        let _open = Open::at(&self);
        if request.uri().path() == "/waits" {
            let _ = std::future::poll_fn(|cx| respond.poll_reset(cx)).await;
            return;
        }
        let answer = http::Response::builder().header("content-type", "application/grpc").body(()).unwrap();
        let Ok(mut sending) = respond.send_response(answer, false) else { return };
        let mut content = request.into_body();
        loop {
            tokio::select! {
                _ = std::future::poll_fn(|cx| sending.poll_reset(cx)) => return,
                part = content.data() => match part {
                    Some(Ok(part)) => {
                        let _ = content.flow_control().release_capacity(part.len());
                        let _ = sending.send_data(part, false);
                    }
                    Some(Err(_)) => return,
                    None => {
                        let _ = std::future::poll_fn(|cx| sending.poll_reset(cx)).await;
                        return;
                    }
                },
            }
        }
    }
}
