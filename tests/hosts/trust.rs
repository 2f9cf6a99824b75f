//! Who believes whom: a host proxy that gets no answer, or not the one it knows, lets nobody in.

use std::sync::Arc;
use std::time::Duration;

use doorward_tests::client::Answer;
use doorward_tests::recorder::Recorder;
use doorward_tests::scene::{APP, Plan};
use rustls::pki_types::ServerName;
use rustls::version::TLS12;
use rustls::{ClientConfig, ProtocolVersion, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::stage::{Given, Kind, Stage};

/// Everything at once, the public places too, as nobody and as somebody.
async fn everything(stage: &Stage) -> Vec<Answer> {
    let visits = ["/public/x", "/private/x", "/here/x", "/_doorward/session"].into_iter().flat_map(|path| {
        [stage.browser(APP), stage.holding(APP, Duration::ZERO)].map(|mut browser| async move {
            let gone = browser.go(path).await;
            [gone, browser.fetch(path).await]
        })
    });
    futures::future::join_all(visits).await.into_iter().flatten().collect()
}

#[tokio::test]
async fn hook_05_while_nobody_answers_nobody_is_let_in_behind_each_host_and_afterwards_they_are() {
    for kind in Kind::ALL {
        let mut stage = Stage::start(kind).await;
        assert_eq!(stage.browser(APP).go("/public/x").await.status, 200, "{kind:?}");
        stage.scene.app.forget();
        stage.scene.stop().await;
        for answer in everything(&stage).await {
            assert!((500..600).contains(&answer.status) || answer.status == 403, "{kind:?}: {} {:?}", answer.status, answer.fields);
        }
        assert_eq!(stage.scene.app.bytes(), 0, "{kind:?}");

        // The same configuration, the same address.
        let _again = stage.scene.twin(|text| text).await;
        let recovered = async {
            while stage.browser(APP).go("/public/x").await.status != 200 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        assert!(tokio::time::timeout(Duration::from_secs(10), recovered).await.is_ok(), "{kind:?} goes on: {}", stage.process.said());
        assert_eq!(stage.holding(APP, Duration::ZERO).go("/private/x").await.status, 200, "{kind:?}");
    }
}

#[tokio::test]
async fn hook_01_a_host_that_is_no_trusted_peer_lets_nobody_in() {
    for kind in Kind::ALL {
        let elsewhere = |plan: Plan| Plan { server: plan.server.replace("127.0.0.1/32", "127.0.0.2/32"), ..plan };
        let stage = Stage::with(kind, elsewhere, Recorder::start().await).await;
        for answer in everything(&stage).await {
            assert!(answer.status == 403 || (500..600).contains(&answer.status), "{kind:?}: {} {:?}", answer.status, answer.fields);
        }
        assert_eq!(stage.scene.app.bytes(), 0, "{kind:?}");
    }
}

#[tokio::test]
async fn hook_01_a_host_tells_the_secret_and_no_client_can() {
    const SECRET: &str = "correct-horse-battery";
    for kind in Kind::ALL {
        for (told, trusted) in [(SECRET, true), ("another-horse-battery", false)] {
            let plan = |plan: Plan| Plan {
                server: plan.server.replace("hooks: {", "hooks: { secret: { file: hooks-secret },"),
                files: vec![("hooks-secret".into(), SECRET.into())],
                ..plan
            };
            let stage = Stage::given(kind, plan, Recorder::start().await, Given { secret: told, ..Given::default() }, |text| text).await;
            let mut browser = stage.holding(APP, Duration::ZERO);
            let answer = browser.request("GET", "/private/x", &[("x-doorward-secret", SECRET)], b"").await;
            assert_eq!(answer.status == 200, trusted, "{kind:?}, {told}: {} {}", answer.status, stage.process.said());
            // Signing in goes the same way.
            assert_eq!(stage.holding(APP, Duration::ZERO).fetch("/_doorward/session").await.status == 200, trusted, "{kind:?}, {told}");
            if trusted {
                assert_eq!(stage.scene.app.last().one("x-doorward-secret"), None, "{kind:?}");
            } else {
                assert_eq!(stage.scene.app.bytes(), 0, "{kind:?}");
            }
        }
    }
}

/// The printed text has placeholders for what both ends believe. HAProxy's Lua has no certificate to show.
#[tokio::test]
async fn hook_01_a_host_asks_over_tls_only_the_doorward_it_knows_with_a_certificate_of_its_own() {
    for kind in Kind::ALL {
        let mutual = if kind == Kind::Haproxy { "" } else { " client_ca: tls.crt," };
        for (name, given) in [
            ("all as it should be", Given::default()),
            ("a certificate of nobody's", Given { certificate: "stranger", ..Given::default() }),
            ("another's Doorward", Given { authority: "stranger", ..Given::default() }),
        ] {
            let made = rcgen::generate_simple_self_signed(["stranger.test".to_owned()]).expect("a certificate");
            let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
            let plan = move |plan: Plan| Plan {
                server: plan.server.replace("hooks: {", &format!("hooks: {{ tls: true,{mutual}")),
                files: vec![("stranger.crt".into(), cert), ("stranger.key".into(), key)],
                ..plan
            };
            let stage = Stage::given(kind, plan, Recorder::start().await, given, |text| text).await;
            let trusted = given.authority == "tls" && (given.certificate == "tls" || mutual.is_empty());
            let answer = stage.holding(APP, Duration::ZERO).fetch("/private/x").await;
            assert_eq!(answer.status == 200, trusted, "{kind:?}, {name}: {} {}", answer.status, stage.process.said());
            assert_eq!(stage.scene.app.seen().is_empty(), !trusted, "{kind:?}, {name}");
        }
    }
}

#[tokio::test]
async fn tls_01_each_host_speaks_tls_1_3_and_nothing_before_1_2() {
    for kind in Kind::ALL {
        let stage = Stage::start(kind).await;
        let mut roots = RootCertStore::empty();
        roots.add(stage.scene.ca.clone()).expect("our own certificate");
        for (versions, spoken) in [(rustls::ALL_VERSIONS, ProtocolVersion::TLSv1_3), (&[&TLS12], ProtocolVersion::TLSv1_2)] {
            let config = ClientConfig::builder_with_protocol_versions(versions).with_root_certificates(roots.clone()).with_no_client_auth();
            let socket = TcpStream::connect(stage.address()).await.expect("the host listens");
            let name = ServerName::try_from(APP).expect("a name");
            let stream = TlsConnector::from(Arc::new(config)).connect(name, socket).await.expect("a handshake");
            assert_eq!(stream.get_ref().1.protocol_version(), Some(spoken), "{kind:?}");
        }
        // RFC 8996: whoever offers TLS 1.1 at most is sent away.
        let mut socket = TcpStream::connect(stage.address()).await.expect("the host listens");
        socket.write_all(&hello_of_tls_1_1()).await.expect("a socket");
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(Duration::from_secs(5), socket.read_to_end(&mut answer)).await.expect("the end");
        assert!(answer.is_empty() || answer[0] == 21, "{kind:?}: an alert, and no hello: {answer:?}");
    }
}

/// RFC 4346 §7.4.1.2, with the name of the app (RFC 6066 §3).
fn hello_of_tls_1_1() -> Vec<u8> {
    let name = APP.as_bytes();
    let length = |n: usize| u8::try_from(n).expect("short");
    let mut extensions = vec![0, 0, 0, length(name.len() + 5), 0, length(name.len() + 3), 0, 0, length(name.len())];
    extensions.extend(name);
    // Elliptic curves and their form (RFC 4492 §5.1), for the certificate's kind of key.
    extensions.extend([0, 10, 0, 4, 0, 2, 0, 23, 0, 11, 0, 2, 1, 0]);
    let mut body = vec![3, 2];
    body.extend([7; 32]);
    body.push(0);
    // ECDHE-ECDSA-AES128-SHA, ECDHE-ECDSA-AES256-SHA, and the sign that says nothing is renegotiated.
    body.extend([0, 6, 0xc0, 9, 0xc0, 10, 0, 0xff, 1, 0, 0, length(extensions.len())]);
    body.extend(extensions);
    let mut hello = vec![22, 3, 1, 0, length(body.len() + 4), 1, 0, 0, length(body.len())];
    hello.extend(body);
    hello
}
