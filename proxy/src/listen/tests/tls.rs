//! What the handshake agrees on.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{HandshakeKind, NamedGroup, version};

use super::harness::*;
use crate::tls::testing;
use doorward_config::settings::{Tls, TlsVersion};

#[tokio::test]
async fn tls_04_the_name_asked_for_picks_the_certificate() {
    let edge = Edge::start().await;
    let file = |name: &str| CertificateDer::from_pem_file(edge.files.path(name)).unwrap();
    for (name, expected) in [("app.example", "app.crt"), ("a.wild.example", "wildcard.crt")] {
        let config = edge.client_config(rustls::ALL_VERSIONS, &["http/1.1"]);
        let stream = edge.tls_over(edge.tcp().await, config, name).await.unwrap();
        assert_eq!(stream.get_ref().1.peer_certificates().unwrap()[0], file(expected), "{name}");
    }
    // Unknown names get the first certificate, which does not cover them.
    for name in ["other.example", "a.b.wild.example"] {
        let config = edge.client_config(rustls::ALL_VERSIONS, &["http/1.1"]);
        let error = edge.tls_over(edge.tcp().await, config, name).await.unwrap_err().to_string();
        assert!(error.contains("not valid for name"), "{error}");
    }
}

#[tokio::test]
async fn tls_04_new_connections_see_new_certificates_and_old_ones_live_on() {
    let edge = Edge::start().await;
    let mut old = edge.http1().await;
    let before = old.0.get_ref().1.peer_certificates().unwrap()[0].clone();
    edge.files.write("app", &testing::pair(&["app.example"]));
    edge.store.reload().unwrap();
    let new = edge.http1().await;
    assert_ne!(new.0.get_ref().1.peer_certificates().unwrap()[0], before);
    old.send(GET_CLOSE).await;
    assert!(old.rest().await.starts_with("HTTP/1.1 200"));
}

const TLS12: &[&rustls::SupportedProtocolVersion] = &[&version::TLS12];
const TLS13: &[&rustls::SupportedProtocolVersion] = &[&version::TLS13];

#[tokio::test]
async fn tls_01_the_lowest_version_is_a_setting() {
    let edge = Edge::start().await;
    let with = |versions| edge.client_config(versions, &["http/1.1"]);
    assert!(edge.tls_over(edge.tcp().await, with(TLS12), "app.example").await.is_ok());
    let raised = Tls { certificates: vec![edge.app_certificate.clone()], min_version: TlsVersion::Tls13 };
    edge.store.replace(&raised).unwrap();
    let error = edge.tls_over(edge.tcp().await, with(TLS12), "app.example").await.unwrap_err().to_string();
    assert!(error.contains("ProtocolVersion"), "{error}");
    assert!(edge.tls_over(edge.tcp().await, with(TLS13), "app.example").await.is_ok());
}

#[tokio::test]
async fn tls_03_the_key_exchange_is_post_quantum() {
    let edge = Edge::start().await;
    let client = edge.http1().await;
    let group = client.0.get_ref().1.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, NamedGroup::X25519MLKEM768);
}

#[tokio::test]
async fn tls_06_protocols_are_agreed_upon_or_refused() {
    let edge = Edge::start().await;
    for (offered, agreed) in [(&["h2", "http/1.1"][..], Some(&b"h2"[..])), (&["http/1.1"], Some(b"http/1.1")), (&[], None)] {
        let config = edge.client_config(rustls::ALL_VERSIONS, offered);
        let stream = edge.tls_over(edge.tcp().await, config, "app.example").await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), agreed, "{offered:?}");
    }
    let config = edge.client_config(rustls::ALL_VERSIONS, &["spdy/3"]);
    let error = edge.tls_over(edge.tcp().await, config, "app.example").await.unwrap_err().to_string();
    assert!(error.contains("NoApplicationProtocol"), "{error}");
}

#[tokio::test]
async fn tls_06_http2_without_agreement_is_refused() {
    let edge = Edge::start().await;
    assert!(edge.exchange("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.starts_with("HTTP/1.1 400"));
    assert_eq!(edge.events.reasons(), ["http2_preface"]);
}

#[tokio::test]
async fn tls_07_sessions_resume_even_across_a_reload() {
    let edge = Edge::start().await;
    for versions in [TLS13, TLS12] {
        let config = edge.client_config(versions, &["http/1.1"]);
        let mut kinds = Vec::new();
        for _ in 0..3 {
            let stream = edge.tls_over(edge.tcp().await, config.clone(), "app.example").await.unwrap();
            let mut client = Client(stream);
            client.send(GET_CLOSE).await;
            assert!(client.rest().await.starts_with("HTTP/1.1 200"));
            kinds.push(client.0.get_ref().1.handshake_kind().unwrap());
            edge.store.reload().unwrap();
        }
        assert_eq!(kinds[1..], [HandshakeKind::Resumed; 2], "{kinds:?}");
    }
}

#[tokio::test]
async fn tls_20_a_hello_in_single_bytes_is_understood() {
    let edge = Edge::start().await;
    let config = edge.client_config(rustls::ALL_VERSIONS, &["http/1.1"]);
    let name = rustls::pki_types::ServerName::try_from("app.example").unwrap();
    let mut client = rustls::ClientConnection::new(std::sync::Arc::new(config), name).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    let mut tcp = edge.tcp().await;
    for byte in hello {
        tokio::io::AsyncWriteExt::write_all(&mut tcp, &[byte]).await.unwrap();
    }
    let mut answer = [0; 1];
    tokio::io::AsyncReadExt::read_exact(&mut tcp, &mut answer).await.unwrap();
    assert_eq!(answer, [22], "a handshake record");
}
