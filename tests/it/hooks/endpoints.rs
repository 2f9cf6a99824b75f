//! Browsers that another proxy sends on: our own endpoints on the hook listener.

use doorward_tests::asker::{Asker, HOOKS, Kind, Request};
use doorward_tests::client::{Answer, path_of};
use doorward_tests::scene::{APP, Plan, Scene};

const NAVIGATION: [(&str, &str); 4] =
    [("host", APP), ("x-forwarded-proto", "https"), ("sec-fetch-mode", "navigate"), ("accept", "text/html")];

async fn visit(asker: &Asker, path: &str, cookie: &str, client: &str) -> Answer {
    let mut fields = NAVIGATION.to_vec();
    fields.extend([("sec-fetch-dest", "document"), ("sec-fetch-site", "same-origin"), ("x-forwarded-for", client)]);
    if !cookie.is_empty() {
        fields.push(("cookie", cookie));
    }
    asker.request("GET", path, &fields).await
}

fn cookie_of(answer: &Answer) -> String {
    answer
        .cookies()
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name}={value}"))
        .collect::<Vec<_>>()
        .join("; ")
}

#[tokio::test]
async fn hook_09_a_sign_in_behind_another_proxy_ends_where_it_began() {
    // No listener of our own, no certificate, no upstream: the other proxy has them.
    let routes = "\n  - name: app\n    host: app.localhost\n    rules: [{ path: \"/public/**\", allow: public }, { allow: signed-in }]\n";
    let scene = Scene::with(Plan { server: HOOKS.into(), routes: routes.into(), ..Plan::default() }).await;
    let asker = Asker::of(&scene);
    let check = asker.ask(Kind::Traefik, &Request::visit(APP, "/private?a=b")).await;
    let login = visit(&asker, &path_of(check.location()), "", "192.0.2.7").await;
    assert_eq!(login.status, 302, "{}", login.text());
    assert!(login.location().contains("redirect_uri=https%3A%2F%2Fapp.localhost%2F_doorward%2Fcallback%2Ftenant"), "{}", login.location());
    let back = scene.tenant.sign_in(login.location(), "ada").unwrap();
    let callback = visit(&asker, &path_of(&back), &cookie_of(&login), "192.0.2.7").await;
    assert_eq!((callback.status, callback.location()), (303, "/private?a=b"), "{}", callback.text());
    let session = cookie_of(&callback);
    for kind in Kind::ALL {
        assert_eq!(asker.ask(kind, &Request::get(APP, "/private").with("cookie", &session)).await.status, 200, "{kind:?}");
    }
    let whoami = visit(&asker, "/_doorward/whoami", &session, "192.0.2.7").await;
    assert!(whoami.status == 200 && whoami.text().contains("ada"), "{}", whoami.text());
    let logout = visit(&asker, "/_doorward/logout", &session, "192.0.2.7").await;
    assert!(logout.all("set-cookie").iter().any(|line| line.starts_with("__Host-doorward=;")), "{:?}", logout.fields);
    // The public listener knows the route, and has nothing behind it.
    assert_eq!(scene.browser(APP).fetch("/public/x").await.status, 404);
    let log = scene.log().await;
    let line = log.iter().find(|line| line["path"] == "/_doorward/login").unwrap();
    assert_eq!((line["dialect"].as_str(), line["client"].as_str()), (Some("own"), Some("192.0.2.7")));
}

#[tokio::test]
async fn hook_10_the_listener_serves_nothing_but_checks_and_our_own_pages() {
    let scene = Scene::with(Plan { server: HOOKS.into(), ..Plan::default() }).await;
    let asker = Asker::of(&scene);
    for (path, status) in [
        ("/_doorward/session", 401),
        ("/", 404),
        ("/public/x", 404),
        ("/metrics", 404),
        ("/livez", 404),
        ("/ping", 404),
        ("/oauth2/auth", 404),
        ("/_doorward/checks", 404),
        ("/_doorward/check/unknown", 404),
        ("/_doorward/check/traefik/", 404),
        ("/_doorward/%63heck/traefik", 404),
        ("//_doorward/session", 400),
    ] {
        let answer = asker.request("GET", path, &[("host", APP)]).await;
        assert_eq!(answer.status, status, "{path}");
    }
    assert_eq!(asker.request("GET", "/_doorward/session", &[("host", "unknown.localhost")]).await.status, 421);
    assert_eq!(asker.request("GET", "/_doorward/session", &[("host", APP), ("x-forwarded-proto", "http")]).await.status, 403);
    assert_eq!(asker.request("GET", "/_doorward/session", &[("host", APP), ("host", APP)]).await.status, 400);
    assert_eq!(asker.request("POST", "/_doorward/session", &[("host", APP)]).await.status, 405);
}

#[tokio::test]
async fn rate_01_sign_ins_and_bad_tokens_are_counted_for_each_client() {
    let server = "  limits: { connections_per_client: 1000, sign_ins_per_client: 3, bad_credentials_per_client: 3 }\n  hooks: { listen: [\"127.0.0.1:0\"], trusted_peers: [127.0.0.1/32] }\n";
    let scene = Scene::with(Plan { server: server.into(), ..Plan::default() }).await;
    let asker = Asker::of(&scene);
    for _ in 0..3 {
        assert_eq!(visit(&asker, "/_doorward/login", "", "192.0.2.1").await.status, 302);
    }
    let over = visit(&asker, "/_doorward/login", "", "192.0.2.1").await;
    assert_eq!((over.status, over.field("retry-after")), (429, Some("60")));
    assert_eq!(visit(&asker, "/_doorward/login", "", "192.0.2.2").await.status, 302, "another client");

    let ask = async |client: &str, token: &str| {
        let bearer = format!("Bearer {token}");
        let question = Request::get("api.localhost", "/items").with("authorization", &bearer).question(Kind::Traefik);
        asker.send(question.replace("192.0.2.7", client)).await.status
    };
    let (known, new) = (scene.token("ada"), scene.token("ada"));
    assert_eq!(ask("192.0.2.3", &known).await, 200);
    for _ in 0..4 {
        assert_eq!(ask("192.0.2.3", "x.y.z").await, 401);
    }
    assert_eq!(ask("192.0.2.3", "x.y.z").await, 429);
    assert_eq!(ask("192.0.2.3", &known).await, 200, "what was verified before costs nothing");
    if new != known {
        assert_eq!(ask("192.0.2.3", &new).await, 429);
    }
    assert_eq!(ask("192.0.2.4", &new).await, 200, "another client");
    let reasons = scene.log().await.iter().filter(|line| line["reason"] == "too_many").count();
    assert!(reasons >= 1);
}
