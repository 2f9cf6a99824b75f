//! What each kind of proxy is told.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use doorward_policy::secret::Secret;
use doorward_policy::session::SealingKeys;
use doorward_tests::asker::{Asker, HOOKS, Kind, Request};
use doorward_tests::client::{Answer, Browser};
use doorward_tests::scene::{API, APP, Plan, SESSION_KEY, Scene, session};

const MAPPED: [&str; 4] = ["x-auth-user", "x-auth-email", "x-auth-roles", "x-auth-permissions"];

async fn scene() -> Scene {
    Scene::with(Plan { server: HOOKS.into(), ..Plan::default() }).await
}

fn cookie_of(browser: &Browser) -> String {
    browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
}

fn tells_nothing(answer: &Answer) {
    for name in MAPPED.into_iter().chain(["cookie", "authorization", "x-doorward-route"]) {
        assert!(answer.field(name).is_none(), "{name} in {:?}", answer.fields);
    }
    assert_eq!(answer.field("x-doorward-decision"), Some("refuse"));
}

#[tokio::test]
async fn hook_06_a_yes_names_every_mapped_header_once_and_a_no_names_none() {
    let scene = scene().await;
    let asker = Asker::of(&scene);
    let cookie = cookie_of(&scene.signed_in(APP, "ada").await);
    for kind in Kind::ALL {
        let answer = asker.ask(kind, &Request::get(APP, "/private").with("cookie", &cookie).with("x-auth-user", "root")).await;
        assert_eq!(answer.status, 200, "{kind:?}");
        assert_eq!(answer.field("x-doorward-decision"), Some("allow"));
        assert_eq!(answer.field("x-doorward-route"), Some("app"));
        for name in MAPPED {
            assert_eq!(answer.all(name).len(), 1, "{kind:?}: {name}: {:?}", answer.fields);
        }
        assert!(answer.field("x-auth-user").is_some_and(|user| user.contains("ada")), "{kind:?}: {:?}", answer.fields);
        // CVE-2026-30851: nobody is there, and every name still is.
        let answer = asker.ask(kind, &Request::get(APP, "/public/x").with("x-auth-user", "root")).await;
        assert_eq!(answer.status, 200);
        for name in MAPPED {
            assert_eq!(answer.all(name), [""], "{kind:?}: {name}");
        }
        tells_nothing(&asker.ask(kind, &Request::get(APP, "/closed/x").with("cookie", &cookie)).await);
        tells_nothing(&asker.ask(kind, &Request::get(APP, "/private")).await);
        tells_nothing(&asker.ask(kind, &Request::visit(APP, "/private")).await);
    }
}

#[tokio::test]
async fn hook_05_each_host_gets_the_status_it_understands() {
    let scene = scene().await;
    let asker = Asker::of(&scene);
    let cookie = cookie_of(&scene.signed_in(APP, "ada").await);
    let back = "https://app.localhost/_doorward/login?return_to=%2Fprivate%3Fa%3D1%26b%3D2";
    for kind in Kind::ALL {
        let visit = asker.ask(kind, &Request::visit(APP, "/private?a=1&b=2")).await;
        assert_eq!(visit.location(), back, "{kind:?}: absolute, and escaped once");
        assert_eq!(visit.status, if kind == Kind::Nginx { 401 } else { 302 }, "{kind:?}");
        assert!(visit.all("set-cookie").is_empty(), "{kind:?}: nothing depends on a cookie of a check");
        let script = asker.ask(kind, &Request::get(APP, "/private")).await;
        assert_eq!((script.status, script.field("location")), (401, None), "{kind:?}");
        assert!(script.field("www-authenticate").is_some());
        assert_eq!(asker.ask(kind, &Request::get(APP, "/admin/x").with("cookie", &cookie)).await.status, 200, "ada is an admin");
        assert_eq!(asker.ask(kind, &Request::get(APP, "/closed/x").with("cookie", &cookie)).await.status, 403, "{kind:?}");
        let expected = if kind == Kind::Nginx { 403 } else { 421 };
        assert_eq!(asker.ask(kind, &Request::get("unknown.localhost", "/")).await.status, expected, "{kind:?}");
        for answer in [visit, script] {
            assert_eq!(answer.field("cache-control"), Some("no-store"), "{kind:?}");
            assert!(answer.all("vary").iter().any(|value| value.contains("Cookie") && value.contains("Authorization")), "{kind:?}");
        }
    }
    // A bad cookie is forgotten on the way to a new one, by one Set-Cookie.
    let bad = Request::visit(APP, "/private").with("cookie", "__Host-doorward=damaged");
    for kind in Kind::ALL {
        let answer = asker.ask(kind, &bad).await;
        assert_eq!(answer.all("set-cookie").len(), 1, "{kind:?}");
        assert!(answer.all("set-cookie")[0].starts_with("__Host-doorward=;"), "{kind:?}");
    }
}

#[tokio::test]
async fn hook_05_nginx_gets_the_whole_refusal_from_a_second_question() {
    let scene = scene().await;
    let asker = Asker::of(&scene);
    let refusal = |request: Request<'_>| {
        let question = request.question(Kind::Nginx).replace("check/nginx", "check/nginx/refusal");
        async move { asker.send(question).await }
    };
    let visit = refusal(Request::visit(APP, "/private")).await;
    assert_eq!((visit.status, visit.location()), (302, "https://app.localhost/_doorward/login?return_to=%2Fprivate"));
    let script = refusal(Request::get(APP, "/private")).await;
    assert_eq!((script.status, script.json()["error"].as_str()), (401, Some("login_required")));
    let page = refusal(Request::visit(APP, "/closed/x")).await;
    assert!(page.status == 403 && page.text().contains("This is closed"), "{}", page.text());
    let preflight =
        Request::get(API, "/items").by("OPTIONS").with("origin", "https://spa.example").with("access-control-request-method", "GET");
    let preflight = refusal(preflight).await;
    assert_eq!((preflight.status, preflight.field("access-control-allow-origin")), (204, Some("https://spa.example")));
    // Who may come in by now is asked to come again: this answer never passes anything on.
    let open = refusal(Request::get(APP, "/public/x")).await;
    assert_eq!((open.status, open.field("retry-after")), (503, Some("1")));
    tells_nothing(&open);
}

#[tokio::test]
async fn hook_05_what_is_a_friendly_200_to_a_client_is_no_yes_to_a_host() {
    let scene = scene().await;
    let asker = Asker::of(&scene);
    let preflight =
        Request::get(API, "/items").by("OPTIONS").with("origin", "https://spa.example").with("access-control-request-method", "GET");
    for kind in Kind::ALL {
        let answer = asker.ask(kind, &preflight).await;
        assert_eq!(answer.status, 403, "{kind:?}");
        let relayed = answer.field("x-doorward-status");
        assert_eq!(relayed, (kind == Kind::Haproxy).then_some("204"), "{kind:?}");
        // A gRPC client reads 401 as well as grpc-status 16; a 200 with one would let it in.
        let grpc = Request::get(API, "/items").by("POST").with("content-type", "application/grpc");
        assert_eq!(asker.ask(kind, &grpc).await.status, 401, "{kind:?}");
    }
}

#[tokio::test]
async fn hook_06_our_cookies_and_unasked_tokens_do_not_reach_the_app() {
    let scene = scene().await;
    let asker = Asker::of(&scene);
    let browser = scene.signed_in(APP, "ada").await;
    let mixed = format!("theme=dark; {}; lang=en; __Host-doorward-attempt.x=1", cookie_of(&browser));
    let alone = cookie_of(&browser);
    let bearer = format!("Bearer {}", scene.token("ada"));
    for kind in Kind::ALL {
        let answer = asker.ask(kind, &Request::get(APP, "/private").with("cookie", &mixed)).await;
        assert_eq!(answer.all("cookie"), ["theme=dark; lang=en"], "{kind:?}");
        let removed = answer.field("x-envoy-auth-headers-to-remove").unwrap_or("");
        assert!(!removed.split(',').any(|name| name == "cookie"), "{kind:?}");
        let answer = asker.ask(kind, &Request::get(APP, "/private").with("cookie", &alone)).await;
        assert!(answer.field("cookie").is_none(), "{kind:?}");
        let passing = asker.ask(kind, &Request::get("pass.localhost", "/x").with("authorization", &bearer)).await;
        assert_eq!(passing.field("authorization"), Some(bearer.as_str()), "{kind:?}");
        let keeping = asker.ask(kind, &Request::get(API, "/items").with("authorization", &bearer)).await;
        assert_eq!((keeping.status, keeping.field("authorization")), (200, None), "{kind:?}");
        if matches!(kind, Kind::Envoy | Kind::GatewayApi) {
            let removed = keeping.field("x-envoy-auth-headers-to-remove").unwrap();
            for name in ["authorization", "cookie", "remote-user", "x-original-url", "x-forwarded-user", "x-real-ip", "forwarded"] {
                assert!(removed.split(',').any(|listed| listed == name), "{kind:?}: {name} in {removed}");
            }
            for name in ["x-auth-user", "x-forwarded-for", "x-request-id", "x-forwarded-proto"] {
                assert!(!removed.split(',').any(|listed| listed == name), "{kind:?}: {name} in {removed}");
            }
        }
    }
    // What Envoy shows us in an odd spelling goes too.
    let odd = Request::get(APP, "/public/x").with("x_auth_user", "root").with("X.Auth.User", "root");
    let removed = asker.ask(Kind::Envoy, &odd).await;
    let removed = removed.field("x-envoy-auth-headers-to-remove").unwrap();
    assert!(["x_auth_user", "x.auth.user", "x-auth-user"].iter().all(|name| removed.split(',').any(|own| own == *name)), "{removed}");
}

#[tokio::test]
async fn hook_07_a_yes_carries_one_cookie_at_most_and_works_without() {
    let scene = scene().await;
    let asker = Asker::of(&scene);
    let keys = SealingKeys::new(&[Secret::new(STANDARD.decode(SESSION_KEY).unwrap())]).unwrap();
    let ago = |seconds| doorward_proxy::clock::now().minus(Duration::from_secs(seconds));
    let sealed = session(&scene, ago(2000), ago(1000)).seal(&keys, APP, [9; 12]).unwrap();
    let cookie = format!("__Host-doorward={sealed}");
    for kind in Kind::ALL {
        let answer = asker.ask(kind, &Request::get(APP, "/private").with("cookie", &cookie)).await;
        let set = answer.all("set-cookie");
        assert_eq!((answer.status, set.len()), (200, 1), "{kind:?}: {:?}", answer.fields);
        assert!(set[0].starts_with("__Host-doorward=") && set[0].contains("; Secure; HttpOnly; SameSite=Lax"), "{kind:?}");
        // The host dropped it: the old one goes on counting.
        let again = asker.ask(kind, &Request::get(APP, "/private").with("cookie", &cookie)).await;
        assert_eq!(again.status, 200, "{kind:?}");
        // SESS-12: what a shared cache may keep gets none: a path that asks nobody, a part of a page.
        let public = asker.ask(kind, &Request::get(APP, "/public/x").with("cookie", &cookie)).await;
        assert!(public.status == 200 && public.all("set-cookie").is_empty(), "{kind:?}");
        for (dest, cookies) in [("script", 0), ("image", 0), ("style", 0), ("empty", 1), ("document", 1)] {
            let part = Request::get(APP, "/private").with("cookie", &cookie).with("sec-fetch-dest", dest);
            let part = asker.ask(kind, &part).await;
            assert_eq!((part.status, part.all("set-cookie").len()), (200, cookies), "{kind:?}: {dest}");
        }
    }
}

#[tokio::test]
async fn csrf_02_a_handshake_from_another_sites_page_is_refused_without_its_upgrade_field_too() {
    let scene = scene().await;
    let asker = Asker::of(&scene);
    let cookie = cookie_of(&scene.signed_in(APP, "ada").await);
    let handshake =
        |origin: &'static str| Request::get(APP, "/private").with("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==").with("origin", origin);
    for kind in Kind::ALL {
        assert_eq!(asker.ask(kind, &handshake("https://app.localhost").with("cookie", &cookie)).await.status, 200, "{kind:?}");
        assert_eq!(asker.ask(kind, &handshake("https://evil.example").with("cookie", &cookie)).await.status, 403, "{kind:?}");
        // A handshake is never sent to sign in.
        let anonymous = handshake("https://app.localhost").with("accept", "text/html");
        assert_eq!(asker.ask(kind, &anonymous).await.status, 401, "{kind:?}");
    }
}

#[tokio::test]
async fn hook_05_a_provider_that_is_down_is_no_yes() {
    let scene = Scene::with(Plan {
        server: HOOKS.into(),
        issuer: Some("http://127.0.0.1:9/".into()),
        provider: "    audience: x\n    access_token_type: jwt\n".into(),
        ..Plan::default()
    })
    .await;
    let asker = Asker::of(&scene);
    let bearer = format!("Bearer {}", scene.token("ada"));
    for kind in Kind::ALL {
        let answer = asker.ask(kind, &Request::get(API, "/items").with("authorization", &bearer)).await;
        assert_eq!(answer.status, if kind == Kind::Nginx { 403 } else { 503 }, "{kind:?}: {}", answer.text());
        tells_nothing(&answer);
        assert_eq!(asker.ask(kind, &Request::get(APP, "/public/x")).await.status, 200, "{kind:?}");
    }
    let login = [("host", APP), ("accept", "text/html"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
    assert_eq!(asker.request("GET", "/_doorward/login", &login).await.status, 503);
    assert!(scene.log().await.iter().any(|line| line["reason"] == "provider_unreachable"));
}
