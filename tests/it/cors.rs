//! What a script of another origin may learn (Fetch §3.2).

use std::sync::Arc;

use doorward_tests::client::Answer;
use doorward_tests::recorder::Recorder;
use doorward_tests::scene::{API, APP, Plan, Scene};

const SPA: &str = "https://spa.example";

fn cross_origin(answer: &Answer) -> Vec<(String, String)> {
    let own = answer.fields.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
    own.filter(|(name, _)| name.starts_with("access-control-")).collect()
}

#[tokio::test]
async fn cors_01_a_preflight_is_answered_for_listed_origins_and_byte_for_byte() {
    let scene = Scene::start().await;
    let preflight = |host: &'static str, origin: &'static str, path: &'static str| {
        let fields = [("origin", origin), ("access-control-request-method", "POST"), ("access-control-request-headers", "authorization")];
        let mut browser = scene.browser(host);
        async move { browser.request("OPTIONS", path, &fields, b"").await }
    };
    let answer = preflight(API, SPA, "/items").await;
    assert_eq!((answer.status, answer.field("access-control-allow-origin")), (204, Some(SPA)));
    assert_eq!(answer.field("access-control-allow-methods"), Some("GET, POST"));
    assert_eq!(answer.field("access-control-allow-headers"), Some("authorization"));
    assert_eq!(answer.field("access-control-allow-credentials"), None, "it was not asked for");
    assert_eq!(answer.field("access-control-max-age"), Some("600"));
    assert_eq!(answer.field("vary"), Some("Origin"));
    for origin in [
        "null",
        "*",
        "http://spa.example",
        "https://spa.example.evil.test",
        "https://SPA.example",
        "https://spa.example:443",
        "https://spa.example/",
        "https://xspa.example",
    ] {
        let answer = preflight(API, origin, "/items").await;
        assert!(cross_origin(&answer).is_empty(), "{origin}: {:?}", answer.fields);
        assert_eq!(answer.field("vary"), Some("Origin"), "{origin}");
    }
    // A route that lists nobody answers nobody; and an OPTIONS that is no preflight needs a credential (METH-03).
    assert!(cross_origin(&preflight(APP, SPA, "/private").await).is_empty());
    assert_eq!(scene.ask(API, "OPTIONS", "/items", &[("origin", SPA)]).await.status, 401);
    assert_eq!(scene.ask(API, "OPTIONS", "/items", &[("access-control-request-method", "GET")]).await.status, 401);
    assert_eq!(scene.app.bytes(), 0);
}

#[tokio::test]
async fn cors_01_a_script_of_a_listed_origin_can_read_why_it_was_refused() {
    let scene = Scene::start().await;
    let token = format!("Bearer {}", scene.token("ada"));
    for (name, method, path, authorization, status) in [
        ("no token", "GET", "/items", None, 401),
        ("a bad token", "GET", "/items", Some("Bearer x.y.z"), 401),
        ("a malformed one", "GET", "/items", Some("Bearer"), 400),
        ("no right", "POST", "/items", Some(token.as_str()), 403),
    ] {
        for (origin, readable) in [(SPA, true), ("https://evil.test", false), ("null", false)] {
            let mut fields = vec![("origin", origin)];
            fields.extend(authorization.map(|value| ("authorization", value)));
            let answer = scene.ask(API, method, path, &fields).await;
            assert_eq!(answer.status, status, "{name}");
            assert_eq!(answer.field("access-control-allow-origin"), readable.then_some(SPA), "{name} {origin}");
            assert_eq!(answer.field("access-control-expose-headers").is_some(), readable, "{name} {origin}");
            assert_eq!(answer.field("vary"), Some("Origin"), "{name} {origin}: for caches");
        }
    }
    for path in ["/_doorward/callback/tenant?code=c", "/_doorward/logout", "/_doorward/session", "/_doorward/whoami", "/_doorward/login"] {
        let answer = scene.ask(API, "GET", path, &[("origin", SPA)]).await;
        assert!(cross_origin(&answer).is_empty(), "{path}");
    }
}

#[tokio::test]
async fn cors_01_a_preflight_that_the_app_answers_brings_nobody_along() {
    let cors = "cors: { origins: [\"https://spa.example\"], preflight: pass, credentials: true }";
    let routes = format!(
        "\n  - {{ name: app, host: app.localhost, upstream: \"UPSTREAM\", accept: session, {cors}, rules: [{{ allow: signed-in }}] }}\n"
    );
    let scene = Scene::with(Plan { routes, ..Plan::default() }).await;
    let mut browser = scene.signed_in(APP, "ada").await;
    let fields = [("origin", SPA), ("access-control-request-method", "PUT"), ("x-auth-user", "forged")];
    assert_eq!(browser.request("OPTIONS", "/x", &fields, b"").await.status, 200);
    let seen = scene.app.last();
    assert_eq!((seen.one("x-auth-user"), seen.one("cookie"), seen.one("origin")), (None, None, Some(SPA)));
    let refused = scene.ask(APP, "GET", "/x", &[("origin", SPA), ("sec-fetch-mode", "cors")]).await;
    assert_eq!((refused.status, refused.field("access-control-allow-credentials")), (401, Some("true")));
}

#[tokio::test]
async fn cors_01_a_preflight_does_not_reach_what_its_request_could_not() {
    let cors = "cors: { origins: [\"https://spa.example\"], preflight: pass }";
    let rules = "[{ path: /closed, allow: nobody }, { path: /lan, allow: { network: [10.0.0.0/8] } }, { path: /x, methods: [PUT], allow: signed-in }]";
    let routes = format!("\n  - {{ name: app, host: app.localhost, upstream: \"UPSTREAM\", accept: session, {cors}, rules: {rules} }}\n");
    let scene = Scene::with(Plan { routes, ..Plan::default() }).await;
    for (path, method, body, status) in [
        ("/x", "PUT", "", 200),
        ("/x", "DELETE", "", 403),
        ("/closed", "PUT", "", 403),
        ("/lan", "PUT", "", 403),
        ("/x", "PUT", "content", 400),
        ("/x", "C0NNECT", "", 400),
    ] {
        scene.app.forget();
        let fields = [("origin", SPA), ("access-control-request-method", method)];
        let answer = scene.browser(APP).request("OPTIONS", path, &fields, body.as_bytes()).await;
        assert_eq!(answer.status, status, "{method} {path} {body}");
        assert_eq!(scene.app.seen().len(), usize::from(status == 200), "{method} {path} {body}");
    }
}

#[tokio::test]
async fn cors_01_the_apps_own_answers_say_what_the_route_says() {
    let everybody = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\naccess-control-allow-origin: *\r\naccess-control-allow-credentials: true\r\nvary: accept\r\n\r\nok";
    let app = Recorder::answering(Arc::new(move |_| Some(everybody.as_bytes().to_vec()))).await;
    let scene = Scene::in_front_of(Plan::default(), app).await;
    let token = format!("Bearer {}", scene.token("ada"));
    for (origin, allowed) in [(SPA, Some(SPA)), ("https://evil.test", None)] {
        let answer = scene.ask(API, "GET", "/items", &[("origin", origin), ("authorization", &token)]).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.all("access-control-allow-origin"), allowed.into_iter().collect::<Vec<_>>(), "{origin}");
        assert_eq!(answer.all("access-control-allow-credentials"), Vec::<&str>::new(), "{origin}");
        assert!(answer.all("vary").contains(&"Origin"), "{origin}");
    }
    // A route that says nothing about origins leaves it to the app.
    let answer = scene.ask(APP, "GET", "/public/x", &[("origin", SPA)]).await;
    assert_eq!(answer.field("access-control-allow-origin"), Some("*"));
}
