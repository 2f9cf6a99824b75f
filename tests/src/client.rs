//! Clients: one that sends bytes as they are, and one that behaves like a browser.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// No test waits longer than this for one answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// An answer, read to its end.
#[derive(Clone)]
pub struct Answer {
    pub status: u16,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl std::fmt::Debug for Answer {
    /// The body as text, and only its beginning: pages are long.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text: String = String::from_utf8_lossy(&self.body).chars().take(400).collect();
        f.debug_struct("Answer").field("status", &self.status).field("fields", &self.fields).field("body", &text).finish()
    }
}

impl Answer {
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str()).collect()
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.text()))
    }

    /// # Panics
    /// When it is no redirect.
    pub fn location(&self) -> &str {
        self.field("location").unwrap_or_else(|| panic!("no redirect: {self:?}"))
    }

    /// A header line for a page with a header name and value of this name in it.
    pub fn cookies(&self) -> Vec<(String, String)> {
        let pairs = self.all("set-cookie").into_iter().filter_map(|line| line.split(';').next()?.split_once('='));
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}

/// A TLS client for the edge's certificate.
pub fn tls(ca: &CertificateDer<'static>, alpn: &[&[u8]]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(ca.clone()).expect("our own certificate");
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

/// What bytes go through.
trait Pipe: AsyncRead + AsyncWrite + Unpin + Send + Sync + std::fmt::Debug {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + Sync + std::fmt::Debug> Pipe for T {}

/// One connection that sends what it is told.
#[derive(Debug)]
pub struct Raw {
    stream: Box<dyn Pipe>,
    /// Read but not yet part of an answer.
    left: Vec<u8>,
}

impl Raw {
    /// `host` may have a port, which the server's certificate knows nothing of.
    pub async fn connect(address: SocketAddr, ca: &CertificateDer<'static>, host: &str) -> Self {
        let socket = TcpStream::connect(address).await.expect("the edge listens");
        // As browsers do: otherwise a request may wait for the server's word on the handshake before it.
        socket.set_nodelay(true).expect("a socket");
        let name = ServerName::try_from(host.split(':').next().unwrap_or(host).to_owned()).expect("a name");
        let stream = tls(ca, &[b"http/1.1"]).connect(name, socket).await.expect("a handshake");
        Self { stream: Box::new(stream), left: Vec::new() }
    }

    /// Without TLS, from an address of this machine.
    pub async fn plain(address: SocketAddr, from: IpAddr) -> Self {
        let socket = if address.is_ipv6() { TcpSocket::new_v6() } else { TcpSocket::new_v4() }.expect("a socket");
        socket.bind(SocketAddr::new(from, 0)).expect("an address of this machine");
        Self { stream: Box::new(socket.connect(address).await.expect("somebody listens")), left: Vec::new() }
    }

    /// Over a TLS connection that was made with other settings.
    pub fn over(stream: TlsStream<TcpStream>) -> Self {
        Self { stream: Box::new(stream), left: Vec::new() }
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        // The edge may have closed already: what it answered before is what counts.
        let _ = self.stream.write_all(bytes).await;
        let _ = self.stream.flush().await;
    }

    /// The next answer; `None` when the connection ended instead.
    pub async fn answer(&mut self) -> Option<Answer> {
        tokio::time::timeout(PATIENCE, self.read_answer(false)).await.expect("an answer in time")
    }

    /// The answer to a HEAD request.
    pub async fn head_answer(&mut self) -> Option<Answer> {
        tokio::time::timeout(PATIENCE, self.read_answer(true)).await.expect("an answer in time")
    }

    /// Whether the edge closes the connection, without another byte.
    pub async fn is_closed(&mut self) -> bool {
        if !self.left.is_empty() {
            return false;
        }
        let mut byte = [0; 1];
        match tokio::time::timeout(Duration::from_secs(5), self.stream.read(&mut byte)).await {
            Ok(Ok(0) | Err(_)) => true,
            Ok(Ok(_)) | Err(_) => false,
        }
    }

    /// Whatever comes until the connection ends or nothing has come for a moment.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut all = std::mem::take(&mut self.left);
        let mut chunk = [0; 4096];
        while let Ok(Ok(read @ 1..)) = tokio::time::timeout(Duration::from_millis(500), self.stream.read(&mut chunk)).await {
            all.extend_from_slice(&chunk[..read]);
        }
        all
    }

    /// Reads at least one more byte.
    pub async fn more(&mut self) -> Vec<u8> {
        if self.left.is_empty() {
            self.fill().await;
        }
        std::mem::take(&mut self.left)
    }

    async fn fill(&mut self) -> bool {
        let mut chunk = [0; 8192];
        match self.stream.read(&mut chunk).await {
            Ok(0) | Err(_) => false,
            Ok(read) => {
                self.left.extend_from_slice(&chunk[..read]);
                true
            }
        }
    }

    async fn read_answer(&mut self, bodyless: bool) -> Option<Answer> {
        let end = loop {
            if let Some(at) = self.left.windows(4).position(|window| window == b"\r\n\r\n") {
                break at;
            }
            if !self.fill().await {
                return None;
            }
        };
        let head = String::from_utf8_lossy(&self.left[..end]).into_owned();
        self.left.drain(..end + 4);
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let fields =
            lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect();
        let mut answer = Answer { status, fields, body: Vec::new() };
        if bodyless || status == 204 || status == 304 || status < 200 {
            return Some(answer);
        }
        if answer.field("transfer-encoding").is_some() {
            answer.body = self.read_chunks().await?;
        } else if let Some(length) = answer.field("content-length").and_then(|value| value.parse::<usize>().ok()) {
            while self.left.len() < length {
                if !self.fill().await {
                    return None;
                }
            }
            answer.body = self.left.drain(..length).collect();
        } else {
            while self.fill().await {}
            answer.body = std::mem::take(&mut self.left);
        }
        Some(answer)
    }

    async fn read_chunks(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let end = loop {
                if let Some(at) = self.left.windows(2).position(|window| window == b"\r\n") {
                    break at;
                }
                if !self.fill().await {
                    return None;
                }
            };
            let size = usize::from_str_radix(std::str::from_utf8(&self.left[..end]).ok()?.trim(), 16).ok()?;
            while self.left.len() < end + 2 + size + 2 {
                if !self.fill().await {
                    return None;
                }
            }
            body.extend_from_slice(&self.left[end + 2..end + 2 + size]);
            self.left.drain(..end + 2 + size + 2);
            if size == 0 {
                return Some(body);
            }
        }
    }
}

/// A browser on one host: it keeps cookies, sends what navigations send, and follows nothing by itself.
#[derive(Debug, Clone)]
pub struct Browser {
    pub address: SocketAddr,
    pub ca: CertificateDer<'static>,
    pub host: String,
    pub cookies: BTreeMap<String, String>,
}

impl Browser {
    /// Its cookies, as one field.
    pub fn cookie(&self) -> String {
        self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    /// Goes somewhere, as a person who clicked.
    pub async fn go(&mut self, path: &str) -> Answer {
        self.request(
            "GET",
            path,
            &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document"), ("sec-fetch-site", "none"), ("accept", "text/html")],
            b"",
        )
        .await
    }

    /// Asks as a page's script does.
    pub async fn fetch(&mut self, path: &str) -> Answer {
        self.request(
            "GET",
            path,
            &[("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty"), ("sec-fetch-site", "same-origin"), ("accept", "*/*")],
            b"",
        )
        .await
    }

    /// Posts a form of the host's own page.
    pub async fn post(&mut self, path: &str) -> Answer {
        let origin = format!("https://{}", self.host);
        let fields = [
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
            ("sec-fetch-site", "same-origin"),
            ("origin", origin.as_str()),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        self.request("POST", path, &fields, b"").await
    }

    /// Sends a request with the cookies of this host, and keeps those that come back.
    pub async fn request(&mut self, method: &str, path: &str, fields: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.host);
        for (name, value) in fields {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !self.cookies.is_empty() {
            head.push_str(&format!("cookie: {}\r\n", self.cookie()));
        }
        if !body.is_empty() || method == "POST" {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let mut raw = Raw::connect(self.address, &self.ca, &self.host).await;
        raw.send(&[head.as_bytes(), body].concat()).await;
        let answer = if method == "HEAD" { raw.head_answer().await } else { raw.answer().await }.expect("an answer");
        self.keep(&answer);
        answer
    }

    fn keep(&mut self, answer: &Answer) {
        for line in answer.all("set-cookie") {
            let Some((name, value)) = line.split(';').next().and_then(|pair| pair.split_once('=')) else { continue };
            if line.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

/// The path and query of an absolute address.
pub fn path_of(address: &str) -> String {
    let url = url::Url::parse(address).unwrap_or_else(|error| panic!("{address}: {error}"));
    url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()))
}

/// The value of a query parameter that comes exactly once.
///
/// # Panics
/// When it does not.
pub fn parameter(address: &str, name: &str) -> String {
    let url = url::Url::parse(address).unwrap_or_else(|error| panic!("{address}: {error}"));
    let values: Vec<String> = url.query_pairs().filter(|(own, _)| own == name).map(|(_, value)| value.into_owned()).collect();
    assert_eq!(values.len(), 1, "`{name}` in {address}");
    values.into_iter().next().expect("one")
}
