//! Browsers that sign in and sign in, and are told why.

use std::time::Duration;

use doorward_policy::login::Rounds;
use doorward_policy::session::{Origin, Session};
use doorward_policy::time::Timestamp;
use doorward_tests::asker::{Asker, HOOKS, Kind, Request};
use doorward_tests::client::{Browser, path_of};
use doorward_tests::hostile::{self, HostileIdp, User};
use doorward_tests::scene::{APP, Plan, Scene};
use serde_json::json;

use super::{ROUNDS, SESSION, come_back, keys, now, plain, rig};

/// Signs in so often, and each time loses the session.
async fn go_round(idp: &HostileIdp, browser: &mut Browser, times: usize) {
    for _ in 0..times {
        assert_eq!(come_back(idp, browser, "/private?x=1").await.status, 303);
        browser.cookies.remove(SESSION);
    }
}

fn session(idp: &HostileIdp, provider: &str, began: Timestamp) -> String {
    let claims = json!({ "iss": idp.issuer(), "sub": "auth0|ada", "iat": began.0 });
    let origin = Origin { id: "made-by-hand-0000000000", provider, client_id: hostile::CLIENT_ID };
    let session = Session::begin(origin, claims.as_object().unwrap(), &["iss".into(), "sub".into()], began);
    session.seal(&keys(), APP, [7; 12]).unwrap()
}

#[tokio::test]
async fn unstuck_02_three_rounds_in_ten_seconds_end_on_a_page_that_names_the_cause() {
    let (idp, scene) = rig("").await;
    let day_ago = now().minus(Duration::from_secs(100_000));
    let rows: [(&str, Option<String>, &str, &str); 4] = [
        ("nothing came back", None, "cookie_not_returned", "does not give the sign-in cookie back"),
        ("sealed by another machine", Some("x".repeat(300)), "cookie_unreadable", "cannot be read"),
        ("over at once", Some(session(&idp, "tenant", day_ago)), "clock", "A clock is wrong"),
        ("of another provider", Some(session(&idp, "other", now())), "two_providers", "Two ways of signing in"),
    ];
    for (name, cookie, cause, words) in rows {
        let mut browser = scene.browser(APP);
        go_round(&idp, &mut browser, 2).await;
        browser.cookies.extend(cookie.clone().map(|value| (SESSION.to_owned(), value)));
        let mut patient = browser.clone();
        assert_eq!(patient.go("/private").await.status, 302, "{name}: two rounds are none");
        browser.cookies.remove(SESSION);
        go_round(&idp, &mut browser, 1).await;
        browser.cookies.extend(cookie.map(|value| (SESSION.to_owned(), value)));
        let page = browser.go("/private?x=1").await;
        assert_eq!((page.status, page.field("location")), (400, None), "{name}: {}", page.text());
        assert_eq!(page.field("cache-control"), Some("no-store"), "{name}");
        assert!(page.text().contains("goes round in circles") && page.text().contains(words), "{name}: {}", page.text());
        assert_eq!(scene.metric(&format!("doorward_login_loops_total{{cause=\"{cause}\"}}")).await, 1.0, "{name}");
        // Everything that begins a sign-in, not only the page that was asked for.
        assert_eq!(browser.go("/_doorward/login?return_to=/private").await.status, 400, "{name}");
        // Scripts and public pages are not in the way of anybody.
        assert_eq!(browser.fetch("/private").await.status, 401, "{name}");
        assert_eq!(browser.go("/public/x").await.status, 200, "{name}");
    }
    assert!(scene.log().await.iter().any(|line| line["reason"] == "login_loop"));
}

#[tokio::test]
async fn unstuck_02_a_click_begins_anew_and_a_good_session_never_looks_like_a_loop() {
    let (idp, scene) = rig("").await;
    let mut browser = scene.browser(APP);
    go_round(&idp, &mut browser, 3).await;
    let page = browser.go("/private?x=1").await;
    let link = plain(&page);
    let anew = "/_doorward/login?return_to=%2Fprivate%3Fx%3D1&anew=1";
    assert!(link.contains(anew), "{link}");
    let redirect = browser.go(anew).await;
    assert_eq!(redirect.status, 302, "{}", redirect.text());
    assert!(!browser.cookies.contains_key(ROUNDS), "what went round before is forgotten");
    let back = browser.go(&path_of(&idp.grant(redirect.location(), &User::ada()))).await;
    assert_eq!((back.status, back.location()), (303, "/private?x=1"));
    assert_eq!(browser.go("/private?x=1").await.status, 200);
    // Many tabs at once, all of them well.
    for _ in 0..4 {
        let redirect = browser.go("/_doorward/login?return_to=/private").await;
        assert_eq!(browser.go(&path_of(&idp.grant(redirect.location(), &User::ada()))).await.status, 303);
    }
    assert_eq!(browser.go("/private").await.status, 200);
    assert_eq!(browser.go("/_doorward/login?return_to=/private").await.status, 302);
    // The cookie is ours: it never reaches an app, and lives for seconds.
    assert_eq!(scene.app.last().one("cookie"), None);
    let again = come_back(&idp, &mut scene.browser(APP), "/private").await;
    let line = again.all("set-cookie").into_iter().find(|line| line.starts_with(ROUNDS)).unwrap().to_owned();
    for attribute in ["; Path=/", "; Secure", "; HttpOnly", "; SameSite=Lax", "; Max-Age=15"] {
        assert!(line.contains(attribute), "{line}");
    }
}

#[tokio::test]
async fn unstuck_02_a_loop_behind_another_proxy_ends_at_login() {
    let idp = HostileIdp::start().await;
    let scene = Scene::with(Plan { server: HOOKS.into(), ..Plan::oidc(idp.issuer()) }).await;
    let asker = Asker::of(&scene);
    let mut rounds = String::new();
    for round in 0..4 {
        let check = asker.ask(Kind::Traefik, &Request::visit(APP, "/private").with("cookie", &rounds)).await;
        assert_eq!(check.status, 302, "the check always sends to login");
        let visit = [("host", APP), ("x-forwarded-proto", "https"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
        let cookie = |value: &str| {
            [&visit[..], &[("cookie", value)]].concat().iter().map(|(n, v)| (n.to_string(), v.to_string())).collect::<Vec<_>>()
        };
        let fields = cookie(&rounds);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let login = asker.request("GET", &path_of(check.location()), &fields).await;
        if round == 3 {
            assert_eq!((login.status, login.field("location")), (400, None), "{}", login.text());
            assert!(login.text().contains("does not give the sign-in cookie back"));
            break;
        }
        assert_eq!(login.status, 302, "{}", login.text());
        let attempt = login.cookies().into_iter().map(|(name, value)| format!("{name}={value}")).collect::<String>();
        let sent = format!("{attempt}; {rounds}");
        let fields = cookie(&sent);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let back = asker.request("GET", &path_of(&idp.grant(login.location(), &User::ada())), &fields).await;
        assert_eq!(back.status, 303, "{}", back.text());
        // The session is lost, the count is not.
        rounds = back.cookies().into_iter().find(|(name, _)| name == ROUNDS).map(|(name, value)| format!("{name}={value}")).unwrap();
    }
}

#[tokio::test]
async fn unstuck_02_a_session_that_is_revoked_or_too_large_is_told_apart() {
    let (idp, scene) = rig("").await;
    // Signed out elsewhere, and back again and again with a copy of the cookie.
    let mut browser = scene.browser(APP);
    go_round(&idp, &mut browser, 2).await;
    assert_eq!(come_back(&idp, &mut browser, "/private").await.status, 303);
    assert_eq!(browser.go("/private").await.status, 200, "three sign-ins that work are no loop");
    let copy = browser.clone();
    assert!([200, 303].contains(&browser.post("/_doorward/logout").await.status));
    let page = copy.clone().go("/private").await;
    assert_eq!(page.status, 400, "{}", page.text());
    assert_eq!(scene.metric("doorward_login_loops_total{cause=\"revoked\"}").await, 1.0);
    // The browser kept the small cookie and dropped the large one.
    for (size, cause) in [(3700, "session_too_large"), (900, "cookie_not_returned")] {
        let rounds = (0..3).fold(Rounds::default(), |rounds, _| rounds.and_one(now(), size));
        let mut browser = scene.browser(APP);
        browser.cookies.insert(ROUNDS.into(), rounds.seal(&keys(), APP, [3; 12]));
        assert_eq!(browser.go("/private").await.status, 400, "{size}");
        assert_eq!(scene.metric(&format!("doorward_login_loops_total{{cause=\"{cause}\"}}")).await, 1.0, "{size}");
        // Sealed for another host, it counts nothing.
        let mut browser = scene.browser(APP);
        browser.cookies.insert(ROUNDS.into(), rounds.seal(&keys(), "both.localhost", [3; 12]));
        assert_eq!(browser.go("/private").await.status, 302, "{size}");
    }
}
