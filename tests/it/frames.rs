//! HTTP/2 by hand: a client that sends fields which no library would, and reads just enough of the answer.

use std::net::SocketAddr;
use std::time::Duration;

use doorward_tests::client::tls;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// No test waits longer for a frame.
const PATIENCE: Duration = Duration::from_secs(10);

/// RFC 9113 §6.
pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

/// RFC 9113 §6.5.2: what everybody takes.
const FRAME_BYTES: usize = 16 * 1024;

/// RFC 7541 appendix A: the names of the entries that a test asks about.
const STATUS: std::ops::RangeInclusive<usize> = 8..=14;
const SET_COOKIE: usize = 55;

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Answer {
        status: u16,
        sets_cookie: bool,
        body: Vec<u8>,
    },
    /// `RST_STREAM` with this code.
    Reset(u32),
    /// `GOAWAY` with this code, or the end of the connection.
    Gone(u32),
}

impl Outcome {
    /// 0 when the stream or the connection was ended instead.
    pub fn status(&self) -> u16 {
        match self {
            Self::Answer { status, .. } => *status,
            Self::Reset(_) | Self::Gone(_) => 0,
        }
    }

    pub fn sets_cookie(&self) -> bool {
        matches!(self, Self::Answer { sets_cookie: true, .. })
    }

    /// Answered with an error of the client's, or not at all.
    pub fn is_refused(&self) -> bool {
        matches!(self.status(), 0 | 400 | 405 | 414 | 421 | 431)
    }
}

/// One connection.
#[derive(Debug)]
pub struct Frames {
    stream: TlsStream<TcpStream>,
    next: u32,
}

/// The usual request as fields.
pub fn fields<'f>(method: &'f str, host: &'f str, path: &'f str) -> Vec<(&'f [u8], &'f [u8])> {
    vec![(b":method", method.as_bytes()), (b":scheme", b"https"), (b":authority", host.as_bytes()), (b":path", path.as_bytes())]
}

impl Frames {
    pub async fn connect(address: SocketAddr, ca: &CertificateDer<'static>, host: &str) -> Self {
        let socket = TcpStream::connect(address).await.expect("the edge listens");
        let name = ServerName::try_from(host.to_owned()).expect("a name");
        let stream = tls(ca, &[b"h2"]).connect(name, socket).await.expect("a handshake");
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let mut frames = Self { stream, next: 1 };
        frames.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        // SETTINGS_HEADER_TABLE_SIZE 0: every answer can be read by itself.
        frames.frame(SETTINGS, 0, 0, &[0, 1, 0, 0, 0, 0]).await;
        frames
    }

    pub async fn write(&mut self, bytes: &[u8]) {
        // The edge may have gone already: what it said before is what counts.
        let _ = self.stream.write_all(bytes).await;
        let _ = self.stream.flush().await;
    }

    pub async fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).expect("a small frame").to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        self.write(&[&head, payload].concat()).await;
    }

    /// Begins a request; the stream's number.
    pub async fn begin(&mut self, fields: &[(&[u8], &[u8])], end: bool) -> u32 {
        let stream = self.next;
        self.next += 2;
        self.section(stream, if end { END_STREAM } else { 0 }, &block(fields)).await;
        stream
    }

    /// A field section in as many frames as it needs (RFC 9113 §6.10).
    async fn section(&mut self, stream: u32, flags: u8, block: &[u8]) {
        let mut parts = block.chunks(FRAME_BYTES).peekable();
        let (mut kind, mut flags) = (HEADERS, flags);
        while let Some(part) = parts.next() {
            let last = if parts.peek().is_none() { END_HEADERS } else { 0 };
            self.frame(kind, flags | last, stream, part).await;
            (kind, flags) = (CONTINUATION, 0);
        }
    }

    /// Ends a request with a field section after its body.
    pub async fn trailers(&mut self, stream: u32, fields: &[(&[u8], &[u8])]) {
        self.section(stream, END_STREAM, &block(fields)).await;
    }

    /// A whole request without a body.
    pub async fn ask(&mut self, fields: &[(&[u8], &[u8])]) -> Outcome {
        let stream = self.begin(fields, true).await;
        self.outcome(stream).await
    }

    /// A whole request with a body.
    pub async fn send(&mut self, fields: &[(&[u8], &[u8])], body: &[u8]) -> Outcome {
        let stream = self.begin(fields, false).await;
        self.frame(DATA, END_STREAM, stream, body).await;
        self.outcome(stream).await
    }

    /// What becomes of a stream.
    pub async fn outcome(&mut self, wanted: u32) -> Outcome {
        let (mut status, mut sets_cookie, mut body) = (None, false, Vec::new());
        loop {
            let Some((kind, flags, stream, payload)) = self.read_frame().await else { return Outcome::Gone(0) };
            let code = |at: usize| payload.get(at..at + 4).map_or(0, |four| u32::from_be_bytes([four[0], four[1], four[2], four[3]]));
            match kind {
                SETTINGS if flags & ACK == 0 => self.frame(SETTINGS, ACK, 0, &[]).await,
                // RFC 9113 §6.8: without a fault, streams up to the last one named are still answered.
                GOAWAY if code(4) == 0 && code(0) & 0x7fff_ffff >= wanted => {}
                GOAWAY => return Outcome::Gone(code(4)),
                RST_STREAM if stream == wanted => match status {
                    // RFC 9113 §8.1: NO_ERROR after a whole answer only says that the rest of the request is not wanted.
                    Some(status) if code(0) == 0 => return Outcome::Answer { status, sets_cookie, body },
                    _ => return Outcome::Reset(code(0)),
                },
                HEADERS if stream == wanted => {
                    assert_ne!(flags & END_HEADERS, 0, "an answer that needs no CONTINUATION");
                    let (own, cookie) = read_block(&payload);
                    sets_cookie |= cookie;
                    status = own.filter(|own| *own >= 200).or(status);
                }
                DATA if stream == wanted => body.extend_from_slice(&payload),
                _ => {}
            }
            if matches!(kind, HEADERS | DATA)
                && stream == wanted
                && flags & END_STREAM != 0
                && let Some(status) = status
            {
                return Outcome::Answer { status, sets_cookie, body };
            }
        }
    }

    /// Kind, flags, stream and payload; `None` at the end of the connection.
    pub async fn read_frame(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        let read = async {
            let mut head = [0; 9];
            self.stream.read_exact(&mut head).await.ok()?;
            let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
            let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
            let mut payload = vec![0; length];
            self.stream.read_exact(&mut payload).await.ok()?;
            Some((head[3], head[4], stream, payload))
        };
        tokio::time::timeout(PATIENCE, read).await.expect("a frame in time")
    }
}

/// Literals that are neither indexed nor compressed (RFC 7541 §6.2.2).
fn block(fields: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0);
        for text in [name, value] {
            integer(text.len(), 7, &mut out);
            out.extend_from_slice(text);
        }
    }
    out
}

/// RFC 7541 §5.1.
fn integer(value: usize, prefix: u32, out: &mut Vec<u8>) {
    let full = (1 << prefix) - 1;
    if value < full {
        out.push(u8::try_from(value).expect("below 255"));
        return;
    }
    out.push(u8::try_from(full).expect("below 256"));
    let mut rest = value - full;
    while rest >= 128 {
        out.push(u8::try_from(rest % 128).expect("below 128") | 128);
        rest /= 128;
    }
    out.push(u8::try_from(rest).expect("below 128"));
}

/// The status, and whether there is a `Set-Cookie`.
fn read_block(mut block: &[u8]) -> (Option<u16>, bool) {
    let (mut status, mut cookie) = (None, false);
    while let Some(first) = block.first() {
        let prefix = match first {
            0x80.. => 7,
            0x40..=0x7f => 6,
            0x20..=0x3f => 5,
            _ => 4,
        };
        let index = read_integer(&mut block, prefix);
        match prefix {
            7 => {
                status = STATUS.contains(&index).then(|| [200, 204, 206, 304, 400, 404, 500][index - 8]).or(status);
                continue;
            }
            // A change of the table's size.
            5 => continue,
            _ => {}
        }
        let name = if index == 0 { read_text(&mut block) } else { String::new() };
        let value = read_text(&mut block);
        cookie |= index == SET_COOKIE || name == "set-cookie";
        if STATUS.contains(&index) {
            status = value.parse().ok();
        }
    }
    (status, cookie)
}

fn read_integer(block: &mut &[u8], prefix: u32) -> usize {
    let full = (1 << prefix) - 1;
    let mut value = usize::from(block[0]) & full;
    *block = &block[1..];
    if value < full {
        return value;
    }
    let mut shift = 0;
    loop {
        let byte = block[0];
        *block = &block[1..];
        value += usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return value;
        }
    }
}

/// Of a compressed text (RFC 7541 appendix B) only the digits are read: that is all a status holds.
fn read_text(block: &mut &[u8]) -> String {
    let compressed = block[0] & 0x80 != 0;
    let length = read_integer(block, 7);
    let (text, rest) = block.split_at(length);
    *block = rest;
    if !compressed {
        return String::from_utf8_lossy(text).into_owned();
    }
    let bits: String = text.iter().map(|byte| format!("{byte:08b}")).collect();
    let (mut bits, mut digits) = (bits.as_str(), String::new());
    const CODES: [&str; 10] = ["00000", "00001", "00010", "011001", "011010", "011011", "011100", "011101", "011110", "011111"];
    while let Some((digit, code)) = ('0'..='9').zip(CODES).find(|(_, code)| bits.starts_with(code)) {
        digits.push(digit);
        bits = &bits[code.len()..];
    }
    digits
}

/// Asks through the library: for answers whose fields matter.
pub async fn ask(
    address: SocketAddr,
    ca: &CertificateDer<'static>,
    request: http::Request<()>,
    body: &[u8],
) -> Result<http::Response<Vec<u8>>, h2::Error> {
    let asking = async {
        let host = request.uri().host().expect("an address with a host").to_owned();
        let socket = TcpStream::connect(address).await.expect("the edge listens");
        let stream = tls(ca, &[b"h2"]).connect(ServerName::try_from(host).expect("a name"), socket).await.expect("a handshake");
        let (client, connection) = h2::client::handshake(stream).await?;
        let driving = tokio::spawn(connection);
        let mut client = client.ready().await?;
        let (answer, mut sending) = client.send_request(request, body.is_empty())?;
        if !body.is_empty() {
            sending.send_data(bytes::Bytes::copy_from_slice(body), true)?;
        }
        let (head, mut stream) = answer.await?.into_parts();
        let mut whole = Vec::new();
        while let Some(part) = stream.data().await {
            let part = part?;
            let _ = stream.flow_control().release_capacity(part.len());
            whole.extend_from_slice(&part);
        }
        driving.abort();
        Ok(http::Response::from_parts(head, whole))
    };
    tokio::time::timeout(PATIENCE, asking).await.expect("an answer in time")
}
