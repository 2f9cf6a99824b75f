//! What the edge adds to an answer, and what it says when there is none.

use std::sync::Arc;
use std::time::Duration;

use doorward_tests::client::Answer;
use doorward_tests::recorder::{Recorder, ok};
use doorward_tests::scene::{API, APP, Plan, Scene};
use tokio::io::AsyncWriteExt as _;

use super::{app, nobody, plan};

#[tokio::test]
async fn cache_01_what_was_made_for_one_person_is_stored_by_nobody_else() {
    let app = Recorder::answering(Arc::new(|request| {
        let cache = request
            .target()
            .split_once('?')
            .map(|(_, query)| format!("cache-control: {}\r\n", query.replace("%20", " ")))
            .unwrap_or_default();
        Some(format!("HTTP/1.1 200 OK\r\n{cache}vary: accept\r\ncontent-length: 2\r\n\r\nhi").into_bytes())
    }))
    .await;
    let scene = Scene::in_front_of(Plan::default(), app).await;
    let mut ada = scene.signed_in(APP, "ada").await;
    let bearer = format!("Bearer {}", scene.token("ada"));
    for (says, told) in [
        ("", vec!["private"]),
        ("?max-age=60", vec!["max-age=60", "private"]),
        ("?no-cache", vec!["no-cache", "private"]),
        ("?private", vec!["private"]),
        ("?Private,max-age=5", vec!["Private,max-age=5"]),
        ("?no-store", vec!["no-store"]),
        // The app says so itself; nothing is weakened and nothing is added.
        ("?public,max-age=60", vec!["public,max-age=60"]),
        ("?s-maxage=60", vec!["s-maxage=60"]),
    ] {
        // CACHE-02: a path that looks like a file is no less somebody's.
        for path in ["/private", "/private/x.css", "/private;x.css"] {
            let answer = ada.go(&format!("{path}{says}")).await;
            assert_eq!((answer.status, answer.all("cache-control")), (200, told.clone()), "{path}{says}");
            assert_eq!(answer.field("vary"), Some("accept"), "{path}{says}");
        }
        let answer = scene.ask(API, "GET", &format!("/items{says}"), &[("authorization", &bearer)]).await;
        assert_eq!(answer.all("cache-control"), told, "bearer {says}");
        let answer = scene.ask(APP, "GET", &format!("/public/x{says}"), &[]).await;
        let own: Vec<&str> = says.strip_prefix('?').into_iter().collect();
        assert_eq!(answer.all("cache-control"), own, "nobody {says}");
    }
    for (name, answer) in [
        ("sign-in", scene.browser(APP).go("/private").await),
        ("refusal", ada.go("/closed/x").await),
        ("404", ada.go("/_doorward/nothing").await),
    ] {
        assert_eq!(answer.all("cache-control"), ["no-store"], "{name}");
    }
}

#[tokio::test]
async fn cache_01_a_renewed_session_is_never_put_on_what_a_shared_cache_may_keep() {
    let app = Recorder::answering(Arc::new(|request| {
        let cache = if request.target() == "/private/shared" { "public, max-age=60" } else { "max-age=60" };
        Some(format!("HTTP/1.1 200 OK\r\ncache-control: {cache}\r\ncontent-length: 2\r\n\r\nhi").into_bytes())
    }))
    .await;
    // Renewed once a part of the idle time has passed: at once, nearly.
    let scene = Scene::in_front_of(Plan { session: "  idle: 1m\n  lifetime: 12h\n".into(), ..Plan::default() }, app).await;
    let mut ada = scene.signed_in(APP, "ada").await;
    for _ in 0..3 {
        let shared = ada.go("/private/shared").await;
        assert_eq!((shared.field("set-cookie"), shared.all("cache-control")), (None, vec!["public, max-age=60"]));
        let own = ada.go("/private/own").await;
        assert_eq!(own.all("cache-control"), ["max-age=60", "private"]);
    }
}

#[tokio::test]
async fn hsts_and_the_requests_id_are_on_every_answer() {
    let server = format!("{}  hsts: {{ max_age: 365d, include_subdomains: true }}\n", Plan::default().server);
    let scene = Scene::with(Plan { server, ..Plan::default() }).await;
    let mut ada = scene.signed_in(APP, "ada").await;
    let mut ids = std::collections::HashSet::new();
    for (name, answer) in [
        ("the app's", scene.ask(APP, "GET", "/public/x", &[]).await),
        ("somebody's", ada.go("/private").await),
        ("a refusal", ada.go("/closed/x").await),
        ("a sign-in", scene.browser(APP).go("/private").await),
        ("our own", ada.go("/_doorward/whoami").await),
        ("unknown host", scene.ask("unknown.test", "GET", "/", &[]).await),
    ] {
        assert_eq!(answer.all("strict-transport-security"), ["max-age=31536000; includeSubDomains"], "{name}");
        assert!(ids.insert(answer.field("x-request-id").unwrap().to_owned()), "{name}");
    }
    let plain = Scene::start().await;
    assert_eq!(plain.ask(APP, "GET", "/public/x", &[]).await.field("strict-transport-security"), None);
}

/// Says nothing about what is inside.
#[track_caller]
fn assert_tells_nothing(name: &str, answer: &Answer, address: &str) {
    let whole = format!("{:?} {}", answer.fields, answer.text());
    // The address bar of a stand-in provider may be in the policy for forms; the app's is nowhere.
    let (_, port) = address.split_once(':').unwrap();
    for secret in [address, port, "pingora", "Pingora", "upstream:", "refused", "/root", ".rs"] {
        assert!(!whole.contains(secret), "{name} tells {secret}: {whole}");
    }
    assert!(answer.text().contains(answer.field("x-request-id").unwrap()), "{name} names its id: {whole}");
    assert_eq!(answer.field("cache-control"), Some("no-store"), "{name}");
}

#[tokio::test]
async fn err_02_no_answer_from_the_app_is_a_page_that_tells_nothing_of_what_is_inside() {
    let silent = super::app(|socket, _| async move {
        tokio::time::sleep(super::PATIENCE).await;
        drop(socket);
    })
    .await;
    let closing = super::app(|socket, _| async move { drop(socket) }).await;
    let (_held, gone) = nobody();
    for (name, address, status, code, error) in [
        ("silent", silent, 504, "upstream_timeout", "upstream_read_timeout"),
        ("closing", closing, 502, "upstream_unreachable", "upstream"),
        ("gone", gone, 502, "upstream_unreachable", "upstream_refused"),
    ] {
        let scene = Scene::with(plan(&format!("{{ servers: [\"{address}\"], read: 300ms, connect: 500ms }}"), "")).await;
        let page = scene.browser(APP).go("/public/x").await;
        assert_eq!(page.status, status, "{name}");
        assert!(page.field("content-type").unwrap().starts_with("text/html"), "{name}");
        assert_tells_nothing(name, &page, &address.to_string());
        let script = scene.browser(APP).fetch("/public/x").await;
        assert_eq!((script.status, script.json()["error"].as_str()), (status, Some(code)), "{name}");
        assert_tells_nothing(name, &script, &address.to_string());
        // By its id: the two requests may have been served, and logged, by two threads.
        let lines = scene.log().await;
        let line = lines.iter().find(|line| line["request_id"].as_str() == script.field("x-request-id")).unwrap();
        assert_eq!(
            (line["status"].as_u64(), line["error"].as_str(), line["decision"].as_str()),
            (Some(status.into()), Some(error), Some("allow")),
            "{name}: {line}"
        );
        assert_eq!(line["upstream"].as_str(), Some(address.to_string().as_str()), "{name}");
        // gRPC has its own way to say so.
        let mut frames = crate::frames::Frames::connect(scene.address(), &scene.ca, APP).await;
        let request = [crate::frames::fields("POST", APP, "/public/x"), vec![(&b"content-type"[..], &b"application/grpc"[..])]].concat();
        assert_eq!(frames.ask(&request).await.status(), 200, "{name}");
        // What has no content ends all the same.
        assert_eq!(frames.ask(&crate::frames::fields("HEAD", APP, "/public/x")).await.status(), status, "{name}");
    }
}

#[tokio::test]
async fn err_02_each_route_has_its_own_patience() {
    let slow = super::app(|mut socket, _| async move {
        use tokio::io::AsyncWriteExt;
        tokio::time::sleep(std::time::Duration::from_millis(700)).await;
        let _ = socket.write_all(&ok("late")).await;
    })
    .await;
    let routes = format!(
        "\n  - name: hasty\n    host: app.localhost\n    upstream: {{ servers: [\"{slow}\"], read: 200ms }}\n    rules: [{{ allow: public }}]\n  - name: calm\n    host: both.localhost\n    upstream: {{ servers: [\"{slow}\"], read: 5s }}\n    rules: [{{ allow: public }}]\n"
    );
    let scene = Scene::with(Plan { routes, ..Plan::default() }).await;
    let began = std::time::Instant::now();
    assert_eq!(scene.ask(APP, "GET", "/x", &[]).await.status, 504);
    assert!(began.elapsed() < std::time::Duration::from_millis(650), "{:?}", began.elapsed());
    let calm = scene.ask("both.localhost", "GET", "/x", &[]).await;
    assert_eq!((calm.status, calm.text().as_str()), (200, "late"));
    assert_eq!(scene.metric("doorward_upstream_errors_total{kind=\"timeout\",route=\"hasty\"}").await, 1.0);
}

#[tokio::test]
async fn the_app_is_called_what_the_route_says() {
    let recorder = Recorder::start().await;
    let address = recorder.address();
    let routes: String = [("app", "keep"), ("api", "upstream"), ("both", "internal.example:8080")]
        .map(|(name, host)| {
            format!("\n  - name: {name}\n    host: {name}.localhost\n    upstream: {{ servers: [\"{address}\"], host: \"{host}\" }}\n    rules: [{{ allow: public }}]\n")
        })
        .concat();
    let scene = Scene::in_front_of(Plan { routes, ..Plan::default() }, recorder).await;
    for (host, expected) in [(APP, APP.to_owned()), (API, address.to_string()), ("both.localhost", "internal.example:8080".to_owned())] {
        assert_eq!(scene.ask(host, "GET", "/x", &[]).await.status, 200, "{host}");
        let mut frames = crate::frames::Frames::connect(scene.address(), &scene.ca, host).await;
        assert_eq!(frames.ask(&crate::frames::fields("GET", host, "/x")).await.status(), 200, "{host} in HTTP/2");
        for seen in scene.app.seen() {
            assert_eq!((seen.one("host"), seen.one("x-forwarded-host")), (Some(expected.as_str()), Some(host)), "{host}");
        }
        scene.app.forget();
    }
}

#[tokio::test]
async fn what_came_before_the_app_broke_off_reaches_the_client() {
    for (said, breaks, is_whole) in [
        ("hello worl", Breaks::Off, true),
        ("hello", Breaks::Off, false),
        ("", Breaks::Off, false),
        ("hello", Breaks::Hard, false),
        ("", Breaks::Hard, false),
        ("hello", Breaks::Never, false),
        ("", Breaks::Never, false),
    ] {
        let address = app(move |mut socket, _| async move {
            let _ = socket.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{said}").as_bytes()).await;
            match breaks {
                Breaks::Off => {}
                Breaks::Hard => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    let _ = socket.set_zero_linger();
                }
                Breaks::Never => tokio::time::sleep(Duration::from_secs(20)).await,
            }
        })
        .await;
        let scene = Scene::with(plan(&format!("{{ servers: [\"{address}\"], read: 300ms }}"), "")).await;
        let mut client = scene.raw(APP).await;
        client.send(b"GET /public/x HTTP/1.1\r\nhost: app.localhost\r\n\r\n").await;
        let heard = String::from_utf8(client.rest().await).unwrap();
        assert!(heard.starts_with("HTTP/1.1 200 OK\r\n") && heard.ends_with(&format!("\r\n\r\n{said}")), "{said:?} {breaks:?}: {heard:?}");
        assert_eq!(client.is_closed().await, !is_whole, "{said:?} {breaks:?}");
    }
}

/// How an app ends a connection.
#[derive(Debug, Clone, Copy)]
enum Breaks {
    Off,
    /// With a reset, a moment later.
    Hard,
    Never,
}
