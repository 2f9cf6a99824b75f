//! Who may ask.

use doorward_tests::asker::{Asker, HOOKS, Kind, Request};
use doorward_tests::client::Raw;
use doorward_tests::scene::{APP, Plan, Scene};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;
use tokio::net::TcpStream;

fn plan(server: &str) -> Plan {
    Plan { server: server.into(), ..Plan::default() }
}

#[tokio::test]
async fn hook_01_only_trusted_peers_may_ask_and_nobody_else_is_told_anything() {
    let scene = Scene::with(plan(HOOKS)).await;
    let (friend, stranger) = (Asker::of(&scene), Asker::stranger(&scene));
    let public = Request::get(APP, "/public/x").with("cookie", "a=b");
    for kind in Kind::ALL {
        assert_eq!(friend.ask(kind, &public).await.status, 200, "{kind:?}");
        let answer = stranger.ask(kind, &public).await;
        assert_eq!((answer.status, answer.json()["error"].as_str()), (403, Some("untrusted_peer")), "{kind:?}");
        assert!(answer.fields.iter().all(|(name, _)| !name.to_lowercase().starts_with("x-auth")), "{:?}", answer.fields);
    }
    // Neither are its sign-in endpoints anybody's.
    let login = [("host", APP), ("sec-fetch-mode", "navigate"), ("accept", "text/html")];
    assert_eq!(friend.request("GET", "/_doorward/login", &login).await.status, 302);
    assert_eq!(stranger.request("GET", "/_doorward/login", &login).await.status, 403);
    assert_eq!(scene.metric("doorward_hook_requests_total{code=\"4xx\",dialect=\"untrusted\"}").await, 7.0);
    let log = scene.log().await;
    let refused: Vec<_> = log.iter().filter(|line| line["reason"] == "hook_untrusted").collect();
    assert_eq!((refused.len(), refused[0]["client"].as_str()), (7, Some("127.0.0.2")));
}

#[tokio::test]
async fn hook_01_a_shared_secret_is_demanded_of_trusted_addresses_too() {
    let server = "  hooks: { listen: [\"127.0.0.1:0\"], trusted_peers: [127.0.0.1/32], secret: { file: hook-secret } }\n";
    let files = vec![("hook-secret".into(), "correct-horse-battery\n".into())];
    let scene = Scene::with(Plan { files, ..plan(server) }).await;
    let asker = Asker::of(&scene);
    let request = Request::get(APP, "/public/x");
    for (secret, status) in [
        (&["correct-horse-battery"][..], 200),
        (&[], 403),
        (&["correct-horse-batterz"], 403),
        (&["correct-horse-battery2"], 403),
        (&["correct-horse-battery", "correct-horse-battery"], 403),
    ] {
        let request = secret.iter().fold(request.clone(), |request, secret| request.with("x-doorward-secret", secret));
        assert_eq!(asker.ask(Kind::Traefik, &request).await.status, status, "{secret:?}");
    }
    let stranger = Asker::stranger(&scene);
    assert_eq!(stranger.ask(Kind::Traefik, &request.with("x-doorward-secret", "correct-horse-battery")).await.status, 403);
    let mut reasons: Vec<_> = scene.log().await.iter().map(|line| line["reason"].as_str().unwrap().to_owned()).collect();
    reasons.sort();
    assert_eq!(reasons, ["hook_secret", "hook_secret", "hook_secret", "hook_secret", "hook_untrusted", "public"]);
    // LOG-01
    assert!(!scene.log_text().await.contains("correct-horse"));
}

#[tokio::test]
async fn hook_01_a_client_certificate_can_be_demanded() {
    let mut authority = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = authority.self_signed(&key).unwrap();
    let issuer = rcgen::Issuer::new(authority, key);
    let signed = |name: &str, by: &rcgen::Issuer<'_, rcgen::KeyPair>| {
        let key = rcgen::KeyPair::generate().unwrap();
        let made = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, by).unwrap();
        (made.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).unwrap())
    };
    let good = signed("traefik.internal", &issuer);
    let other = {
        let mut params = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        signed("traefik.internal", &rcgen::Issuer::new(params, rcgen::KeyPair::generate().unwrap()))
    };
    let server = "  hooks: { listen: [\"127.0.0.1:0\"], trusted_peers: [127.0.0.1/32], tls: true, client_ca: hosts.pem }\n";
    let scene = Scene::with(Plan { files: vec![("hosts.pem".into(), certificate.pem())], ..plan(server) }).await;
    let question = Request::get(APP, "/public/x").question(Kind::Traefik);
    for (name, identity, passes) in [("ours", Some(good), true), ("none", None, false), ("another's", Some(other), false)] {
        let answer = over_tls(&scene, identity, &question).await;
        assert_eq!(answer, passes.then_some(200), "{name}");
    }
    // The public listener asks nobody for one.
    assert_eq!(scene.browser(APP).go("/public/x").await.status, 200);
}

async fn over_tls(scene: &Scene, identity: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>, question: &str) -> Option<u16> {
    let mut roots = RootCertStore::empty();
    roots.add(scene.ca.clone()).unwrap();
    let builder = ClientConfig::builder().with_root_certificates(roots);
    let config = match identity {
        Some((certificate, key)) => builder.with_client_auth_cert(vec![certificate], key).unwrap(),
        None => builder.with_no_client_auth(),
    };
    let socket = TcpStream::connect(scene.edge().hook_addresses()[0]).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = connector.connect(ServerName::try_from("localhost").unwrap(), socket).await.ok()?;
    let mut raw = Raw::over(stream);
    raw.send(question.as_bytes()).await;
    raw.answer().await.map(|answer| answer.status)
}

#[tokio::test]
async fn hook_01_no_spelling_reaches_a_check_on_the_public_listener() {
    let scene = Scene::with(plan(HOOKS)).await;
    for path in [
        "/_doorward/check",
        "/_doorward/check/traefik",
        "/_doorward/%63heck/traefik",
        "/_doorward/check/nginx/refusal",
        "/_doorward/check/envoy/public/x",
        "/_doorward/CHECK/traefik",
        "/%5fdoorward/check/traefik",
        "//_doorward/check/traefik",
        "/_doorward//check/traefik",
        "/_doorward/./check/traefik",
        "/oauth2/auth",
    ] {
        let fields = [
            ("x-forwarded-method", "GET"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", APP),
            ("x-forwarded-uri", "/public/x"),
            ("x-forwarded-for", "192.0.2.7"),
        ];
        let answer = scene.ask(APP, "GET", path, &fields).await;
        assert!((400..500).contains(&answer.status), "{path}: {}", answer.status);
        assert!(answer.field("x-auth-user").is_none() && answer.field("x-doorward-decision").is_none(), "{path}");
    }
    assert_eq!(scene.app.bytes(), 0);
}
