//! The edge under test, its upstream, and clients that send whatever bytes they like.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use doorward_config::settings::{AccessLines, CertificateFiles, Limits, Listen, Server, Tls, TlsVersion};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::prelude::HttpPeer;
use pingora::proxy::{ProxyHttp, Session, http_proxy};
use pingora::server::configuration::ServerConf;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::listen::{ConnectionEvents, Listeners, Serving, Terms, TlsStores, connection_info};
use crate::tls::TlsStore;
use crate::tls::testing::{self, Files};

/// Nothing in a test may take longer.
pub(super) const PATIENCE: Duration = Duration::from_secs(8);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) client: IpAddr,
    pub(super) reason: &'static str,
    pub(super) status: Option<u16>,
    pub(super) request_id: String,
}

#[derive(Default)]
pub(in crate::listen) struct Recorder {
    refused: Mutex<Vec<Refused>>,
    handshakes: Mutex<Vec<&'static str>>,
    live: AtomicI64,
}

impl Recorder {
    pub(in crate::listen) fn live(&self) -> i64 {
        self.live.load(Ordering::Relaxed)
    }

    pub(super) fn refused(&self) -> Vec<Refused> {
        self.refused.lock().unwrap().clone()
    }

    pub(super) fn reasons(&self) -> Vec<&'static str> {
        self.refused().iter().map(|refused| refused.reason).collect()
    }

    pub(super) fn handshakes(&self) -> Vec<&'static str> {
        self.handshakes.lock().unwrap().clone()
    }
}

impl ConnectionEvents for Recorder {
    fn refused(&self, client: IpAddr, reason: &'static str, status: Option<u16>, request_id: &str) {
        assert!(crate::listen::refusal_reasons().any(|known| known == reason), "{reason}");
        self.refused.lock().unwrap().push(Refused { client, reason, status, request_id: request_id.to_owned() });
    }

    fn handshake(&self, outcome: &'static str) {
        assert!(crate::listen::HANDSHAKE_OUTCOMES.contains(&outcome));
        self.handshakes.lock().unwrap().push(outcome);
    }

    fn connection(&self, delta: i64) {
        self.live.fetch_add(delta, Ordering::Relaxed);
    }
}

/// Answers each request with `ok`, and remembers all bytes.
pub(super) struct Upstream {
    address: SocketAddr,
    bytes: Arc<Mutex<Vec<u8>>>,
    requests: Arc<AtomicUsize>,
}

impl Upstream {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (bytes, requests) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        let (all, count) = (bytes.clone(), requests.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(Self::answer(stream, all.clone(), count.clone()));
            }
        });
        Self { address, bytes, requests }
    }

    async fn answer(mut stream: TcpStream, all: Arc<Mutex<Vec<u8>>>, count: Arc<AtomicUsize>) {
        let mut held = Vec::new();
        loop {
            let head = loop {
                if let Some(end) = find(&held, b"\r\n\r\n") {
                    break held.drain(..end + 4).collect::<Vec<_>>();
                }
                let mut chunk = [0; 16 * 1024];
                let Ok(read @ 1..) = stream.read(&mut chunk).await else { return };
                all.lock().unwrap().extend_from_slice(&chunk[..read]);
                held.extend_from_slice(&chunk[..read]);
            };
            count.fetch_add(1, Ordering::Relaxed);
            let head = String::from_utf8_lossy(&head).to_lowercase();
            let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse::<usize>().ok());
            let chunked = head.contains("transfer-encoding: chunked");
            let body_end = |held: &[u8]| match (length, chunked) {
                (Some(length), _) => (held.len() >= length).then_some(length),
                (None, true) => find(held, b"0\r\n\r\n").map(|at| at + 5),
                (None, false) => Some(0),
            };
            let body = loop {
                if let Some(end) = body_end(&held) {
                    break held.drain(..end).count();
                }
                let mut chunk = [0; 16 * 1024];
                let Ok(read @ 1..) = stream.read(&mut chunk).await else { return };
                all.lock().unwrap().extend_from_slice(&chunk[..read]);
                held.extend_from_slice(&chunk[..read]);
            };
            if head.contains(" /slow") {
                tokio::time::sleep(Duration::from_millis(600)).await;
            }
            if head.contains(" /stuck") {
                tokio::time::sleep(Duration::from_secs(60)).await;
            }
            if head.contains(" /ws") {
                let switching = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
                stream.write_all(switching).await.unwrap();
                let (mut reader, mut writer) = stream.split();
                let _ = tokio::io::copy(&mut reader, &mut writer).await;
                return;
            }
            let client = head.split("x-client: ").nth(1).and_then(|rest| rest.lines().next()).unwrap_or_default().to_owned();
            let text = format!("ok {body} {client}");
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len());
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.lock().unwrap().len()
    }

    pub(super) fn saw(&self, text: &str) -> bool {
        find(&self.bytes.lock().unwrap(), text.as_bytes()).is_some()
    }

    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

pub(super) fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// Proxies everything, except `/local…`, which it answers itself without reading a body.
struct App {
    upstream: SocketAddr,
    world: usize,
}

#[async_trait]
impl ProxyHttp for App {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn request_filter(&self, session: &mut Session, (): &mut ()) -> pingora::Result<bool> {
        if !session.req_header().uri.path().starts_with("/local") {
            return Ok(false);
        }
        let info = connection_info(session).unwrap();
        let text = format!("world={} sni={:?} version={:?} h2={}", self.world, info.sni, info.tls_version, info.h2);
        let mut answer = ResponseHeader::build(200, Some(1))?;
        answer.insert_header("content-length", text.len())?;
        session.write_response_header(Box::new(answer), false).await?;
        session.write_response_body(Some(text.into()), true).await?;
        Ok(true)
    }

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> pingora::Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.upstream, false, String::new())))
    }

    async fn upstream_request_filter(&self, session: &mut Session, request: &mut RequestHeader, (): &mut ()) -> pingora::Result<()> {
        let client = connection_info(session).unwrap().client;
        request.insert_header("x-client", client.to_string())
    }
}

pub(super) struct Edge {
    pub(super) serving: Serving,
    pub(super) events: Arc<Recorder>,
    pub(super) upstream: Upstream,
    pub(super) store: Arc<TlsStore>,
    pub(super) files: Files,
    pub(super) app_certificate: CertificateFiles,
}

/// Generous where a test does not look.
pub(super) fn limits() -> Limits {
    Limits {
        connections: 100,
        connections_per_client: 100,
        handshake: Duration::from_secs(5),
        header: Duration::from_secs(5),
        idle: Duration::from_secs(5),
        header_bytes: 16 * 1024,
        header_fields: 50,
        body: None,
        sign_ins_per_client: 300,
        bad_credentials_per_client: 600,
        remembered: 100,
    }
}

pub(super) fn server() -> Server {
    Server {
        listen: vec![Listen { address: "127.0.0.1:0".parse().unwrap(), proxy_protocol: None }],
        hooks: None,
        redirect: Vec::new(),
        admin: None,
        public_port: 443,
        prefix: "/_doorward".to_owned(),
        trusted_proxies: Vec::new(),
        tls: Tls { certificates: Vec::new(), min_version: TlsVersion::Tls12 },
        cores: Some(1),
        limits: limits(),
        drain: Duration::from_secs(5),
        hsts: None,
        state_dir: None,
        public_host: None,
        admin_token: None,
        example_admin_token: false,
        pages: None,
        explain_denials: true,
        audit_log: None,
        access_log: AccessLines::All,
    }
}

impl Edge {
    pub(super) async fn start() -> Self {
        Self::with(server()).await
    }

    pub(super) async fn with(server: Server) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let files = Files::new();
        let app_certificate = files.write("app", &testing::pair(&["app.example"]));
        let wildcard = files.write("wildcard", &testing::pair(&["*.wild.example"]));
        let tls = Tls { certificates: vec![app_certificate.clone(), wildcard], min_version: server.tls.min_version };
        let store = TlsStore::load(&tls).unwrap();
        let upstream = Upstream::start().await;
        let events = Arc::new(Recorder::default());
        let address = upstream.address;
        let factory = move |world| Arc::new(http_proxy(&Arc::new(ServerConf::default()), App { upstream: address, world }));
        let our_hosts = Arc::new(|host: &str| host == "app.example");
        let serving = Listeners::bind(&server)
            .unwrap()
            .serve(Terms::current(&server, TlsStores { public: Some(store.clone()), hooks: None }), factory, our_hosts, events.clone())
            .unwrap();
        Self { serving, events, upstream, store, files, app_certificate }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.serving.addresses()[0]
    }

    /// Trusts exactly our certificates.
    pub(super) fn client_config(&self, versions: &[&'static rustls::SupportedProtocolVersion], alpn: &[&str]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        for name in ["app.crt", "wildcard.crt"] {
            roots.add(CertificateDer::from_pem_file(self.files.path(name)).unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }

    pub(super) async fn tcp(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    pub(super) async fn tls_over(&self, tcp: TcpStream, config: ClientConfig, name: &str) -> std::io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        timeout(PATIENCE, TlsConnector::from(Arc::new(config)).connect(name, tcp)).await.unwrap()
    }

    async fn connect(&self, alpn: &str) -> Client {
        let config = self.client_config(rustls::ALL_VERSIONS, &[alpn]);
        Client(self.tls_over(self.tcp().await, config, "app.example").await.unwrap())
    }

    pub(super) async fn http1(&self) -> Client {
        self.connect("http/1.1").await
    }

    pub(super) async fn h2(&self) -> Client {
        self.connect("h2").await
    }

    /// Sends `bytes` on a new connection and reads to its end.
    pub(super) async fn exchange(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut client = self.http1().await;
        client.send(bytes).await;
        client.rest().await
    }

    /// Waits until `holds`.
    pub(super) async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let waited = timeout(PATIENCE, async {
            while !holds(self) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        assert!(waited.await.is_ok(), "never: {what}");
    }
}

pub(super) struct Client(pub(super) TlsStream<TcpStream>);

impl Client {
    /// Whoever is closed on may be unable to send; what it then reads is what counts.
    pub(super) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.0.write_all(bytes.as_ref()).await;
        let _ = self.0.flush().await;
    }

    /// Everything up to the end of the connection.
    pub(super) async fn rest_bytes(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        let read = timeout(PATIENCE, async {
            let mut chunk = [0; 4096];
            // A server that just drops the connection is as good as one that says goodbye.
            while let Ok(read @ 1..) = self.0.read(&mut chunk).await {
                all.extend_from_slice(&chunk[..read]);
            }
        });
        assert!(read.await.is_ok(), "still open");
        all
    }

    pub(super) async fn rest(&mut self) -> String {
        String::from_utf8_lossy(&self.rest_bytes().await).into_owned()
    }
}

pub(super) const GET: &str = "GET / HTTP/1.1\r\nHost: app.example\r\n\r\n";
pub(super) const GET_CLOSE: &str = "GET / HTTP/1.1\r\nHost: app.example\r\nConnection: close\r\n\r\n";

/// Of all answers in what came, in order.
pub(super) fn statuses(answers: &str) -> Vec<&str> {
    answers.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect()
}

impl Client {
    /// One answer that has a `content-length`.
    pub(super) async fn until_answered(&mut self) -> String {
        let mut all = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&all).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length =
                    head.to_lowercase().split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse::<usize>().ok());
                if body.len() >= length.unwrap_or(0) {
                    return text;
                }
            }
            let mut chunk = [0; 4096];
            let read = timeout(PATIENCE, self.0.read(&mut chunk)).await.expect("no answer in time").unwrap();
            assert_ne!(read, 0, "closed after {text:?}");
            all.extend_from_slice(&chunk[..read]);
        }
    }
}
