//! The access log, the PROXY protocol, and a stop that cuts nobody off.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use doorward_proxy::access_log::AccessLog;
use doorward_proxy::keys::Tempo;
use doorward_proxy::serve::Doorward;
use doorward_tests::client::tls;
use doorward_tests::recorder::Recorder;
use doorward_tests::scene::{API, APP, Scene, install};
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{PATIENCE, app, plan};

#[tokio::test]
async fn a_stop_lets_requests_finish_and_ends_the_rest() {
    let slow = app(|mut socket, _| async move {
        tokio::time::sleep(Duration::from_millis(600)).await;
        let _ = socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf").await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let _ = socket.write_all(b"done").await;
    })
    .await;
    let mut scene = Scene::with(plan(&format!("http://{slow}"), "")).await;
    let (address, ca) = (scene.address(), scene.ca.clone());
    let mut flying = scene.raw(APP).await;
    flying.send(b"GET /public/x HTTP/1.1\r\nhost: app.localhost\r\n\r\n").await;
    let mut frames = crate::frames::Frames::connect(address, &ca, APP).await;
    let stream = frames.begin(&crate::frames::fields("GET", APP, "/public/x"), true).await;
    let mut idle = scene.raw(APP).await;
    idle.send(b"GET /private HTTP/1.1\r\nhost: app.localhost\r\n\r\n").await;
    assert_eq!(idle.answer().await.unwrap().status, 401);
    tokio::time::sleep(Duration::from_millis(100)).await;

    let began = Instant::now();
    let stopping = tokio::spawn(async move { scene.stop().await });
    assert!(idle.is_closed().await, "nobody waits for a client that asks nothing");
    let answer = flying.answer().await.unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "halfdone"));
    assert_eq!(frames.outcome(stream).await.status(), 200);
    assert!(flying.is_closed().await);
    drop(frames);
    assert!(tokio::time::timeout(PATIENCE, stopping).await.unwrap().unwrap(), "every connection ended by itself");
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens");
}

#[tokio::test]
async fn log_05_a_line_says_who_asked_what_and_why_it_was_so_and_holds_no_secret() {
    let scene = Scene::start().await;
    let mut ada = scene.signed_in(APP, "ada").await;
    let sealed = ada.cookies.values().next().unwrap().clone();
    let token = scene.token("ada");
    let answer = ada
        .request("GET", "/admin/x?code=secret-query", &[("referer", "https://x.test/?secret-referer"), ("user-agent", "secret-agent")], b"")
        .await;
    let id = answer.field("x-request-id").unwrap().to_owned();
    scene.call("/items?access_token=secret-query", &token).await;
    scene.call("/items", "secret.bearer.token").await;
    scene.ask(APP, "GET", "/closed/x", &[]).await;
    let long = format!("/public/{}", "x".repeat(4000));
    scene.ask(APP, "GET", &long, &[]).await;
    let log = scene.log().await;
    let line = log.iter().find(|line| line["request_id"] == id.as_str()).unwrap();
    let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
    assert_eq!(
        (text("client"), text("method"), text("host"), text("path"), text("protocol")),
        ("127.0.0.1".into(), "GET".into(), APP.into(), "/admin/x".into(), "http/1".into())
    );
    assert_eq!(
        (text("route"), text("rule"), text("decision"), text("reason"), text("subject")),
        ("app".into(), "app/2".into(), "allow".into(), "session".into(), "auth0|ada".into())
    );
    assert_eq!((text("upstream"), line["status"].as_u64(), line["sent"].as_u64()), (scene.app.address().to_string(), Some(200), Some(6)));
    assert!(line["time"].as_u64().unwrap() > 1_700_000_000_000 && line["duration_ms"].as_f64().unwrap() > 0.0);
    let of = |host: &str, status: u64| {
        log.iter().find(|line| line["host"] == host && line["status"] == status).unwrap_or_else(|| panic!("{host} {status}"))
    };
    assert_eq!((of(API, 200)["reason"].as_str(), of(API, 200)["path"].as_str()), (Some("bearer"), Some("/items")));
    assert_eq!((of(API, 401)["decision"].as_str(), of(API, 401)["subject"].as_str()), (Some("challenge"), None));
    assert_eq!(
        (of(APP, 403)["decision"].as_str(), of(APP, 403)["reason"].as_str(), of(APP, 403)["upstream"].as_str()),
        (Some("deny"), Some("nobody"), None)
    );
    assert!(log.iter().all(|line| line["path"].as_str().is_none_or(|path| path.len() <= 256)), "a text of the client's choosing is cut");
    let whole = serde_json::to_string(&log).unwrap();
    for secret in [&sealed, &token, "secret", "code=", "__Host-"] {
        assert!(!whole.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn log_02_nothing_of_a_clients_choosing_makes_a_second_line() {
    let scene = Scene::start().await;
    for (name, field) in [("user-agent", "a\u{2028}b"), ("x-request-id", "{\"a\":1}"), ("referer", "\u{202e}")] {
        assert_eq!(scene.ask(APP, "GET", "/public/%F0%9F%98%80%E2%80%A8", &[(name, field)]).await.status, 200, "{name}");
    }
    let log = scene.log().await;
    assert_eq!(log.len(), 3);
    assert!(log.iter().all(|line| line["path"] == "/public/%F0%9F%98%80%E2%80%A8"));
}

/// An edge with two listeners of which the second is behind a load balancer.
struct Balanced {
    edge: Option<Doorward>,
    addresses: Vec<SocketAddr>,
    ca: CertificateDer<'static>,
    app: Recorder,
    _folder: tempfile::TempDir,
}

impl Drop for Balanced {
    fn drop(&mut self) {
        let edge = self.edge.take();
        std::thread::spawn(move || drop(edge));
    }
}

impl Balanced {
    async fn start(trusted: &str) -> Self {
        install();
        let app = Recorder::start().await;
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed([APP.to_owned()]).unwrap();
        std::fs::write(folder.path().join("tls.crt"), made.cert.pem()).unwrap();
        std::fs::write(folder.path().join("tls.key"), made.signing_key.serialize_pem()).unwrap();
        std::fs::write(folder.path().join("session.key"), doorward_tests::scene::SESSION_KEY).unwrap();
        let text = format!(
            "version: 1\nserver:\n  listen:\n    - \"127.0.0.1:0\"\n    - {{ address: \"127.0.0.1:0\", proxy_protocol: [{trusted}] }}\n  public_port: 443\n  tls: {{ certificates: [{{ cert: tls.crt, key: tls.key }}] }}\nsession:\n  keys: [{{ file: session.key }}]\nroutes:\n  - name: app\n    host: {APP}\n    upstream: http://{}\n    rules:\n      - {{ path: \"/lan/**\", allow: {{ network: [10.0.0.0/8], public: true }} }}\n      - {{ allow: public }}\n",
            app.address()
        );
        let path = folder.path().join("doorward.yaml");
        std::fs::write(&path, text).unwrap();
        let edge = tokio::task::spawn_blocking(move || {
            let loaded = doorward_config::load(&path).unwrap_or_else(|report| panic!("{}", report.render(false)));
            Doorward::start(loaded.settings, Tempo::default(), AccessLog::new(std::io::sink())).unwrap()
        });
        let edge = edge.await.unwrap();
        Self { addresses: edge.addresses(), edge: Some(edge), ca: made.cert.der().clone(), app, _folder: folder }
    }

    /// A request behind these bytes; the status, or `None` when there is no handshake to be had.
    async fn ask(&self, listener: usize, header: &[u8], path: &str) -> Option<u16> {
        let asking = async {
            let mut socket = TcpStream::connect(self.addresses[listener]).await.unwrap();
            socket.write_all(header).await.unwrap();
            let mut stream = tls(&self.ca, &[b"http/1.1"]).connect(ServerName::try_from(APP).unwrap(), socket).await.ok()?;
            stream
                .write_all(
                    format!("GET {path} HTTP/1.1\r\nhost: {APP}\r\nx-forwarded-for: 10.9.9.9\r\nconnection: close\r\n\r\n").as_bytes(),
                )
                .await
                .ok()?;
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer).await;
            String::from_utf8_lossy(&answer).split(' ').nth(1)?.parse().ok()
        };
        tokio::time::timeout(PATIENCE, asking).await.expect("an end in time")
    }
}

fn version_2(address: [u8; 4]) -> Vec<u8> {
    [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", &address[..], &[127, 0, 0, 1, 0x30, 0x39, 1, 187]].concat()
}

#[tokio::test]
async fn hdr_31_32_the_client_is_whom_the_load_balancer_announces() {
    let edge = Balanced::start("127.0.0.1/32").await;
    for (name, header, client) in [
        ("version 1", b"PROXY TCP4 10.1.2.3 127.0.0.1 12345 443\r\n".to_vec(), "10.1.2.3"),
        ("version 1, IPv6", b"PROXY TCP6 2001:db8::7 ::1 12345 443\r\n".to_vec(), "2001:db8::7"),
        ("version 1, mapped", b"PROXY TCP6 ::ffff:10.1.2.3 ::1 12345 443\r\n".to_vec(), "10.1.2.3"),
        ("version 2", version_2([10, 1, 2, 3]), "10.1.2.3"),
        ("unknown", b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
    ] {
        assert_eq!(edge.ask(1, &header, "/x").await, Some(200), "{name}");
        let seen = edge.app.last();
        assert_eq!((seen.one("x-forwarded-for"), seen.one("x-real-ip")), (Some(client), Some(client)), "{name}");
    }
    edge.app.forget();
    // Rules about networks ask about the announced client, and nobody asks the client itself.
    for (client, status) in [([10, 1, 2, 3], 200), ([203, 0, 113, 5], 403)] {
        assert_eq!(edge.ask(1, &version_2(client), "/lan/x").await, Some(status), "{client:?}");
    }
    assert_eq!(edge.app.seen().len(), 1);
    edge.app.forget();
    for (name, header) in [
        ("none", &b""[..]),
        ("malformed", b"PROXY TCP4 10.1.2.3\r\n"),
        ("no address", b"PROXY TCP4 999.1.2.3 127.0.0.1 1 443\r\n"),
        ("another family", b"PROXY TCP4 ::1 ::1 1 443\r\n"),
        ("HTTP", b"GET / HTTP/1.1\r\nhost: app.localhost\r\n\r\n"),
        ("two", b"PROXY TCP4 10.1.2.3 127.0.0.1 12345 443\r\nPROXY TCP4 10.1.2.4 127.0.0.1 12345 443\r\n"),
    ] {
        assert_eq!(edge.ask(1, header, "/x").await, None, "{name}");
    }
    // Where none is demanded, none is taken.
    assert_eq!(edge.ask(0, b"PROXY TCP4 10.1.2.3 127.0.0.1 12345 443\r\n", "/x").await, None);
    assert_eq!(edge.app.bytes(), 0);
    assert_eq!(edge.ask(0, b"", "/x").await, Some(200));
    assert_eq!(edge.app.last().one("x-forwarded-for"), Some("127.0.0.1"));
}

#[tokio::test]
async fn hdr_32_a_load_balancer_that_is_not_trusted_is_sent_away() {
    let edge = Balanced::start("192.0.2.0/24").await;
    for header in [&b"PROXY TCP4 10.1.2.3 127.0.0.1 12345 443\r\n"[..], b""] {
        let socket = TcpStream::connect(edge.addresses[1]).await.unwrap();
        let mut socket = socket;
        let _ = socket.write_all(header).await;
        let mut byte = [0];
        let ended = tokio::time::timeout(PATIENCE, socket.read(&mut byte)).await.unwrap();
        assert!(matches!(ended, Ok(0) | Err(_)));
    }
    assert_eq!(edge.ask(0, b"", "/x").await, Some(200));
}
