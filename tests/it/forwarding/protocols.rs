//! HTTP/2 and TLS towards the app, and gRPC through the edge.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use doorward_tests::client::tls;
use doorward_tests::scene::{API, APP, Plan, Scene, install};
use http::HeaderMap;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::{PATIENCE, nobody, plan};
use crate::frames::{self, Frames, fields};

/// A request as the app saw it.
#[derive(Debug, Clone)]
struct Seen {
    connection: usize,
    head: http::request::Parts,
    body: Vec<u8>,
    trailers: Option<HeaderMap>,
}

/// An app that speaks HTTP/2 and echoes; gRPC as well, badly behaved at the end.
#[derive(Debug, Clone)]
struct Http2App {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<AtomicUsize>,
}

/// The certificate of an app, and the configuration that presents it.
struct Identity {
    certificate: CertificateDer<'static>,
    pem: String,
    acceptor: TlsAcceptor,
}

fn identity(name: &str, alpn: &[&[u8]]) -> Identity {
    install();
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let mut config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Identity { certificate: made.cert.der().clone(), pem: made.cert.pem(), acceptor: TlsAcceptor::from(Arc::new(config)) }
}

impl Http2App {
    async fn start(acceptor: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let app = Self { address: listener.local_addr().unwrap(), seen: Arc::default(), connections: Arc::default() };
        let serving = app.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (serving, acceptor) = (serving.clone(), acceptor.clone());
                tokio::spawn(async move {
                    match acceptor {
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(socket).await {
                                serving.serve(stream).await;
                            }
                        }
                        None => serving.serve(socket).await,
                    }
                });
            }
        });
        app
    }

    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let connection = self.connections.fetch_add(1, Ordering::Relaxed);
        let Ok(mut server) = h2::server::handshake(stream).await else { return };
        while let Some(Ok((request, respond))) = server.accept().await {
            tokio::spawn(self.clone().answer(connection, request, respond));
        }
    }

    async fn answer(
        self,
        connection: usize,
        request: http::Request<h2::RecvStream>,
        mut respond: h2::server::SendResponse<Bytes>,
    ) -> Result<(), h2::Error> {
        let (head, mut stream) = request.into_parts();
        let grpc = head.headers.get("content-type").is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
        let answer = http::Response::builder()
            .status(200)
            .header("content-type", if grpc { "application/grpc" } else { "text/plain" })
            .body(())
            .unwrap();
        let mut sending = respond.send_response(answer, false)?;
        let mut body = Vec::new();
        while let Some(part) = stream.data().await {
            let part = part?;
            stream.flow_control().release_capacity(part.len())?;
            body.extend_from_slice(&part);
            // As it comes: a stream both ways.
            sending.send_data(part, false)?;
        }
        let trailers = stream.trailers().await?;
        self.seen.lock().unwrap().push(Seen { connection, head, body, trailers });
        if !grpc {
            return sending.send_data(Bytes::from_static(b"canary"), true);
        }
        let mut last = HeaderMap::new();
        for (name, value) in [
            ("grpc-status", "0"),
            ("grpc-message", "fine"),
            ("x-auth-user", "auth0|ada"),
            ("set-cookie", "__Host-doorward=evil; Path=/; Secure"),
        ] {
            last.append(name, value.parse().unwrap());
        }
        sending.send_trailers(last)
    }

    fn last(&self) -> Seen {
        self.seen.lock().unwrap().last().cloned().expect("a request reached the app")
    }

    fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

#[tokio::test]
async fn h2c_carries_the_same_request_that_http1_would() {
    let app = Http2App::start(None).await;
    let scene = Scene::with(plan(&format!("{{ servers: [\"{}\"], protocol: h2c }}", app.address), "")).await;
    let mut ada = scene.signed_in(APP, "ada").await;
    let forged = [
        ("x-auth-user", "eve"),
        ("x_auth_user", "eve"),
        ("x-forwarded-for", "10.0.0.1"),
        ("connection", "keep-alive, x-hop"),
        ("x-hop", "1"),
        ("te", "trailers"),
        ("proxy-authorization", "Basic eDp5"),
    ];
    let answer = ada.request("POST", "/private?x=%2e", &forged, b"hello ").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello canary"));
    let over_http2 = {
        let cookie = super::cookie_of(&ada);
        let mut frames = Frames::connect(scene.address(), &scene.ca, APP).await;
        let odd: Vec<(&[u8], &[u8])> = vec![
            (b"cookie", cookie.as_bytes()),
            (b"x-auth-user", b"eve"),
            (b"x_auth_user", b"eve"),
            (b"x-forwarded-for", b"10.0.0.1"),
            (b"proxy-authorization", b"Basic eDp5"),
        ];
        let outcome = frames.send(&[fields("POST", APP, "/private?x=%2e"), odd].concat(), b"hello ").await;
        assert!(matches!(&outcome, frames::Outcome::Answer { status: 200, body, .. } if body == b"hello canary"), "{outcome:?}");
        app.last()
    };
    for (name, seen) in [("from HTTP/1.1", app.seen.lock().unwrap()[0].clone()), ("from HTTP/2", over_http2)] {
        let all = |field: &str| seen.head.headers.get_all(field).iter().map(|value| value.to_str().unwrap().to_owned()).collect::<Vec<_>>();
        assert_eq!((seen.head.method.as_str(), seen.head.uri.path_and_query().unwrap().as_str()), ("POST", "/private?x=%2e"), "{name}");
        assert_eq!((seen.head.uri.authority().unwrap().as_str(), seen.head.uri.scheme_str()), (APP, Some("http")), "{name}");
        assert_eq!(all("x-auth-user"), ["auth0|ada"], "{name}");
        assert_eq!(all("x-forwarded-for"), ["127.0.0.1"], "{name}");
        assert_eq!(all("x-forwarded-proto"), ["https"], "{name}");
        assert_eq!(seen.body, b"hello ", "{name}");
        for gone in ["x_auth_user", "cookie", "x-hop", "connection", "proxy-authorization", "host", "authorization"] {
            assert!(all(gone).is_empty(), "{gone} {name}");
        }
    }
    // One connection carries many requests.
    assert!(app.connections.load(Ordering::Relaxed) <= 2);
}

#[tokio::test]
async fn h2_14_hdr_01_trailers_of_a_client_carry_no_owned_names_to_an_http2_app() {
    let app = Http2App::start(None).await;
    let scene = Scene::with(plan(&format!("{{ servers: [\"{}\"], protocol: h2c }}", app.address), "")).await;
    let mut frames = Frames::connect(scene.address(), &scene.ca, APP).await;
    let stream = frames.begin(&fields("POST", APP, "/public/x"), false).await;
    frames.frame(frames::DATA, 0, stream, b"hi").await;
    frames.trailers(stream, &[(b"x-auth-user", b"eve"), (b"x_auth_user", b"eve"), (b"content-length", b"7"), (b"cookie", b"a=1")]).await;
    assert_eq!(frames.outcome(stream).await.status(), 200);
    let seen = app.last();
    assert_eq!(seen.body, b"hi");
    let trailers = seen.trailers.unwrap_or_default();
    for name in ["x-auth-user", "x_auth_user", "content-length", "cookie"] {
        assert!(!trailers.contains_key(name), "{name}");
    }
}

/// Routes to one server, each with its own idea of who that is.
fn routes(address: SocketAddr, protocol: &str, ways: &[(&str, &str)]) -> String {
    let route = |(name, secure): &(&str, &str)| {
        format!(
            "\n  - name: {name}\n    host: {name}.localhost\n    upstream: {{ servers: [\"{address}\"], protocol: {protocol}, tls: {{ {secure} }} }}\n    rules: [{{ allow: public }}]\n"
        )
    };
    ways.iter().map(route).collect()
}

#[tokio::test]
async fn tls_22_a_server_is_who_the_route_says_and_no_connection_is_shared_with_a_route_that_says_otherwise() {
    for (protocol, alpn) in [("h2", b"h2".as_slice()), ("http1", b"http/1.1")] {
        let own = identity("app.internal", &[alpn]);
        let other = identity("app.internal", &[alpn]);
        assert_ne!(own.certificate, other.certificate);
        let (address, served) = if protocol == "h2" {
            let app = Http2App::start(Some(own.acceptor.clone())).await;
            (app.address, app.connections)
        } else {
            let (connections, acceptor) = (Arc::new(AtomicUsize::new(0)), own.acceptor.clone());
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let (address, count) = (listener.local_addr().unwrap(), connections.clone());
            tokio::spawn(async move {
                while let Ok((socket, _)) = listener.accept().await {
                    let (acceptor, count) = (acceptor.clone(), count.clone());
                    tokio::spawn(async move {
                        use tokio::io::AsyncReadExt;
                        let Ok(mut stream) = acceptor.accept(socket).await else { return };
                        count.fetch_add(1, Ordering::Relaxed);
                        let mut bytes = [0; 4096];
                        while let Ok(1..) = stream.read(&mut bytes).await {
                            let _ = stream.write_all(&doorward_tests::recorder::ok("canary")).await;
                            let _ = stream.flush().await;
                        }
                    });
                }
            });
            (address, connections)
        };
        let ways = [
            ("app", "ca: own.crt, server_name: app.internal"),
            ("api", "ca: other.crt, server_name: app.internal"),
            ("pass", "ca: own.crt, server_name: other.internal"),
            ("both", "server_name: app.internal"),
        ];
        let plan = Plan {
            routes: routes(address, protocol, &ways),
            files: vec![("own.crt".into(), own.pem), ("other.crt".into(), other.pem)],
            ..Plan::default()
        };
        let scene = Scene::with(plan).await;
        // All on one connection: every request has the same pool to take from, and the right route has filled it.
        let mut frames = Frames::connect(scene.address(), &scene.ca, APP).await;
        for round in 0..4 {
            let outcome = frames.ask(&fields("GET", APP, "/x")).await;
            assert!(
                matches!(&outcome, frames::Outcome::Answer { status: 200, body, .. } if body == b"canary"),
                "{protocol}, round {round}"
            );
            for (name, host) in [("another CA", API), ("another name", "pass.localhost"), ("the system's CAs", "both.localhost")] {
                let refused = frames.ask(&fields("GET", host, "/x")).await;
                assert_eq!(refused.status(), 502, "{protocol}, {name}, round {round}");
            }
        }
        let line = scene.log().await.pop().unwrap();
        assert_eq!(line["error"].as_str(), Some("upstream_tls"), "{line}");
        assert_eq!(served.load(Ordering::Relaxed), 1, "{protocol}: one connection for every good request");
    }
}

/// What gRPC sees of a call.
#[derive(Debug)]
struct Called {
    status: u16,
    head: HeaderMap,
    body: Vec<u8>,
    trailers: Option<HeaderMap>,
}

impl Called {
    /// Where a gRPC client looks for it: after the answer. In fields before, only an answer of nothing else may have it.
    fn grpc_status(&self) -> Option<&str> {
        assert!(!self.head.contains_key("grpc-status"), "{self:?}");
        self.trailers.as_ref().and_then(|trailers| trailers.get("grpc-status")).and_then(|value| value.to_str().ok())
    }
}

/// Sends each message after the echo of the one before.
async fn call(scene: &Scene, host: &str, token: Option<&str>, messages: &[&[u8]]) -> Called {
    let calling = async {
        let socket = TcpStream::connect(scene.address()).await.unwrap();
        let stream = tls(&scene.ca, &[b"h2"]).connect(ServerName::try_from(host.to_owned()).unwrap(), socket).await.unwrap();
        let (client, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let mut request =
            http::Request::post(format!("https://{host}/items")).header("content-type", "application/grpc").header("te", "trailers");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let (answer, mut sending) = client.ready().await.unwrap().send_request(request.body(()).unwrap(), false).unwrap();
        let Some((first, rest)) = messages.split_first() else {
            sending.send_data(Bytes::new(), true).unwrap();
            let (head, mut stream) = answer.await.unwrap().into_parts();
            let body = match stream.data().await {
                Some(part) => part.unwrap().to_vec(),
                None => Vec::new(),
            };
            let trailers = stream.trailers().await.unwrap();
            return Called { status: head.status.as_u16(), head: head.headers, body, trailers };
        };
        sending.send_data(Bytes::copy_from_slice(first), false).unwrap();
        let (head, mut stream) = answer.await.unwrap().into_parts();
        let mut body = Vec::new();
        let mut wanted = first.len();
        for message in rest {
            while body.len() < wanted {
                body.extend_from_slice(&stream.data().await.expect("an echo").unwrap());
            }
            sending.send_data(Bytes::copy_from_slice(message), false).unwrap();
            wanted += message.len();
        }
        let _ = sending.send_data(Bytes::new(), true);
        while let Some(part) = stream.data().await {
            body.extend_from_slice(&part.unwrap());
        }
        let trailers = stream.trailers().await.unwrap();
        Called { status: head.status.as_u16(), head: head.headers, body, trailers }
    };
    tokio::time::timeout(PATIENCE, calling).await.expect("a call in time")
}

#[tokio::test]
async fn grpc_01_calls_stream_both_ways_and_end_in_trailers() {
    let app = Http2App::start(None).await;
    let scene = Scene::with(plan(&format!("{{ servers: [\"{}\"], protocol: h2c, read: 2s }}", app.address), "")).await;
    let token = scene.tenant.access_token_for("ada", doorward_demo::tenant::AUDIENCE, "openid read:items write:items");
    let called = call(&scene, API, Some(&token), &[b"\0\0\0\0\x01a", b"\0\0\0\0\x01b", b"\0\0\0\0\x01c"]).await;
    assert_eq!((called.status, called.body.len(), called.grpc_status()), (200, 18, Some("0")), "{called:?}");
    assert_eq!(called.head["content-type"], "application/grpc");
    let seen = app.last();
    assert_eq!(seen.head.headers["te"], "trailers");
    assert_eq!(seen.head.headers["x-auth-user"], "auth0|ada");
    assert!(!seen.head.headers.contains_key("authorization"));
    assert_eq!(seen.connection, 0);
    // HDR-06, COOKIE-07: the end of an answer is no place for our names either.
    let trailers = called.trailers.unwrap();
    assert_eq!(trailers["grpc-message"], "fine");
    assert_eq!((trailers.get("x-auth-user"), trailers.get("set-cookie")), (None, None));
}

#[tokio::test]
async fn grpc_01_a_refusal_is_a_status_and_never_a_page() {
    let app = Http2App::start(None).await;
    let scene = Scene::with(plan(&format!("{{ servers: [\"{}\"], protocol: h2c }}", app.address), "")).await;
    let read_only = scene.token("ada");
    for (name, host, token, status) in [
        ("no token", API, None, "16"),
        ("a bad token", API, Some("a.b.c"), "16"),
        ("no right", API, Some(read_only.as_str()), "7"),
        ("no session", APP, None, "16"),
    ] {
        let called = call(&scene, host, token, &[]).await;
        assert_eq!((called.status, called.grpc_status()), (200, Some(status)), "{name}: {called:?}");
        assert_eq!(called.head["content-type"], "application/grpc", "{name}");
        assert!(called.body.is_empty(), "{name}");
    }
    assert_eq!(app.count(), 0);
    let (_held, address) = nobody();
    let gone = Scene::with(plan(&format!("{{ servers: [\"{address}\"], protocol: h2c }}"), "")).await;
    let token = gone.tenant.access_token_for("ada", doorward_demo::tenant::AUDIENCE, "openid read:items write:items");
    let called = call(&gone, API, Some(&token), &[]).await;
    assert_eq!(called.grpc_status(), Some("14"), "{called:?}");
}
