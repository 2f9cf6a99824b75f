//! What is elsewhere after a reload: certificates, pages, the audit log.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use doorward_tests::client::Raw;
use doorward_tests::scene::{APP, Plan, Scene};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion, version};
use tokio::net::TcpStream;

/// A certificate for the app's host.
fn certificate(folder: &Path, name: &str) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed([APP.to_owned()]).unwrap();
    std::fs::write(folder.join(format!("{name}.crt")), made.cert.pem()).unwrap();
    std::fs::write(folder.join(format!("{name}.key")), made.signing_key.serialize_pem()).unwrap();
    made.cert.der().clone()
}

/// Whether a client that believes `ca` alone, and speaks that version alone, gets a connection.
async fn connects(scene: &Scene, ca: &CertificateDer<'static>, version: &'static SupportedProtocolVersion) -> bool {
    let mut roots = RootCertStore::empty();
    roots.add(ca.clone()).unwrap();
    let config = ClientConfig::builder_with_protocol_versions(&[version]).with_root_certificates(roots).with_no_client_auth();
    let socket = TcpStream::connect(scene.address()).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let Ok(stream) = connector.connect(ServerName::try_from(APP).unwrap(), socket).await else { return false };
    let mut raw = Raw::over(stream);
    raw.send(format!("GET /public/x HTTP/1.1\r\nhost: {APP}\r\n\r\n").as_bytes()).await;
    raw.answer().await.is_some_and(|answer| answer.status == 200)
}

#[tokio::test]
async fn tls_other_certificates_and_versions_count_for_the_next_connection() {
    let scene = Scene::start().await;
    let other = certificate(scene.folder.path(), "other");
    let (old, new, v2, v3) = (&scene.ca, &other, &version::TLS12, &version::TLS13);
    let mut open = scene.raw(APP).await;
    assert_eq!([connects(&scene, old, v2).await, connects(&scene, old, v3).await, connects(&scene, new, v3).await], [true, true, false]);
    scene
        .reconfigure(|text| {
            text.replace("certificates: [{ cert: tls.crt, key: tls.key }]", "certificates: [{ cert: other.crt, key: other.key }]")
        })
        .await;
    assert_eq!([connects(&scene, old, v3).await, connects(&scene, new, v2).await, connects(&scene, new, v3).await], [false, true, true]);
    scene.reconfigure(|text| text.replace("key: other.key }] }", "key: other.key }], min_version: \"1.3\" }")).await;
    assert_eq!([connects(&scene, new, v2).await, connects(&scene, new, v3).await], [false, true]);
    // A key of another certificate: the one in use stays.
    scene.rewrite(|text| text.replace("key: other.key", "key: tls.key"));
    scene.reload().await.unwrap_err();
    assert!(connects(&scene, new, v3).await);
    open.send(format!("GET /public/x HTTP/1.1\r\nhost: {APP}\r\n\r\n").as_bytes()).await;
    assert_eq!(open.answer().await.unwrap().status, 200, "a connection that was there goes on");
}

#[tokio::test]
async fn pages_of_another_folder_are_shown_and_broken_ones_never() {
    let scene = Scene::start().await;
    let page = |folder: &str, text: &str| {
        let folder = scene.folder.path().join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("error.html"), text).unwrap();
    };
    let shown = async || scene.browser(APP).go("/closed/x").await.text();
    assert!(shown().await.contains("<html"));
    page("one", "one: {{ title }}");
    page("two", "two: {{ title }}");
    scene.reconfigure(|text| text.replace("  drain: 5s\n", "  drain: 5s\n  pages: one\n")).await;
    assert!(shown().await.starts_with("one: "), "{}", shown().await);
    scene.reconfigure(|text| text.replace("pages: one", "pages: two")).await;
    assert!(shown().await.starts_with("two: "));
    page("two", "again: {{ title }}");
    scene.reload().await.unwrap();
    assert!(shown().await.starts_with("again: "));
    page("two", "{% if %}");
    let refused = scene.reload().await.unwrap_err().to_string();
    assert!(refused.contains("error.html"), "{refused}");
    assert!(shown().await.starts_with("again: "));
}

#[tokio::test]
async fn log_05_the_audit_log_moves_and_nothing_of_it_is_lost() {
    let server = format!("{}  audit_log: {{ file: one.jsonl }}\n", Plan::default().server);
    let scene = Scene::with(Plan { server, ..Plan::default() }).await;
    // The events of each file.
    let events = async || {
        let audit = scene.edge().runtime().audit.clone();
        assert!(tokio::task::spawn_blocking(move || audit.flush(Duration::from_secs(10))).await.unwrap());
        ["one.jsonl", "two.jsonl"].map(|name| {
            let text = std::fs::read_to_string(scene.folder.path().join(name)).unwrap_or_default();
            let event = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["event"].as_str().unwrap().to_owned();
            text.lines().map(event).filter(|event| event == "denial").count()
        })
    };
    let deny = async || assert_eq!(scene.ask(APP, "GET", "/closed/x", &[]).await.status, 403);
    deny().await;
    assert_eq!(events().await, [1, 0]);
    scene.reconfigure(|text| text.replace("one.jsonl", "two.jsonl")).await;
    deny().await;
    assert_eq!(events().await, [1, 1]);
    // A file that cannot be opened refuses the whole reload.
    scene.rewrite(|text| text.replace("two.jsonl", "nowhere/three.jsonl").replace("allow: nobody", "allow: public"));
    scene.reload().await.unwrap_err();
    deny().await;
    assert_eq!(events().await, [1, 2]);
    scene
        .reconfigure(|text| {
            text.replace("  audit_log: { file: nowhere/three.jsonl }\n", "")
                .replace("/closed/**\", allow: public", "/closed/**\", allow: nobody")
        })
        .await;
    deny().await;
    assert_eq!((events().await, scene.metric("doorward_audit_lines_lost_total").await), ([1, 2], 0.0), "off is off");
}
