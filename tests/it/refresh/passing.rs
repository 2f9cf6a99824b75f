//! Which tokens an app gets, and which nobody ever gets.

use doorward_tests::asker::{Asker, HOOKS, Kind, Request};
use doorward_tests::scene::{Plan, Scene};

use super::*;

fn cookies(browser: &Browser) -> String {
    browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
}

#[tokio::test]
async fn an_app_gets_the_sessions_access_token_where_its_route_says_so() {
    let scene = Scene::with(plan()).await;
    for (host, passes) in [(PASS, true), (APP, false)] {
        let mut browser = signed_in_at(&scene, host, "ada", 3600).await;
        assert_eq!(browser.fetch("/private").await.status, 200);
        let seen = scene.app.last();
        assert_eq!(seen.one("authorization").is_some_and(|value| value.starts_with("Bearer ey")), passes, "{host}");
        // What the client says itself is not what was proven.
        let theirs = [("authorization", "Basic dXNlcjpwYXNz")];
        assert_eq!(browser.request("GET", "/private", &theirs, b"").await.status, 200);
        let again = scene.app.last();
        assert_eq!(again.one("authorization"), seen.one("authorization"), "{host}");
    }
    // Nobody is there, so nothing is passed.
    assert_eq!(scene.ask(PASS, "GET", "/open", &[("authorization", "Bearer made-up")]).await.status, 200);
    assert_eq!(scene.app.last().one("authorization"), None);
}

#[tokio::test]
async fn an_access_token_that_has_ended_is_passed_to_nobody_and_the_new_one_is() {
    for (session, passes) in [(REFRESH, true), ("", false)] {
        let scene = Scene::with(Plan { session: format!("{STORE}{session}"), ..plan() }).await;
        let mut browser = signed_in_at(&scene, PASS, "ada", 3).await;
        assert_eq!(browser.fetch("/one").await.status, 200);
        let first = scene.app.last().one("authorization").map(str::to_owned).unwrap();
        tokio::time::sleep(Duration::from_millis(3100)).await;
        assert_eq!(browser.fetch("/two").await.status, 200);
        let second = scene.app.last().one("authorization").map(str::to_owned);
        assert_ne!(second.as_ref(), Some(&first));
        assert_eq!(second.is_some(), passes);
    }
}

#[tokio::test]
async fn refr_11_no_refresh_token_ever_leaves() {
    let idp = HostileIdp::start().await;
    let mut plan = hostile_plan(&idp);
    plan.server = HOOKS.into();
    let scene = Scene::with(plan).await;
    let mut browser = scene.browser(PASS);
    idp.set_access_lifetime(0);
    assert_eq!(sign_in_there(&idp, &mut browser).await.status, 303);
    let mut said = String::new();
    for path in ["/one", "/two", "/_doorward/session", "/_doorward/whoami", "/_doorward/logout"] {
        // Each but the last refreshes again.
        let answer = browser.go(path).await;
        a_moment().await;
        said.push_str(&format!("{:?} {}", answer.fields, answer.text()));
    }
    let cookie = cookies(&browser);
    for kind in Kind::ALL {
        let answer = Asker::of(&scene).ask(kind, &Request::get(PASS, "/private").with("cookie", &cookie)).await;
        assert_eq!(answer.status, 200, "{kind:?}");
        said.push_str(&format!("{:?} {}", answer.fields, answer.text()));
    }
    said.push_str(&String::from_utf8_lossy(&scene.app.raw()));
    said.push_str(&scene.log_text().await);
    said.push_str(&scene.admin("/metrics").await.1);
    said.push_str(&cookie);
    said.push_str(&format!("{:?}", scene.edge().runtime()));
    let used = refresh_tokens(&idp);
    assert!(used.len() >= 2 && used.iter().all(|token| token.starts_with("refresh-")), "{used:?}");
    for token in &used {
        assert!(!said.contains(token.as_str()), "a refresh token was said");
    }
    assert!(!said.contains("refresh-"), "nor the one that was not used yet");
    assert!(said.contains("doorward_refreshes_total"), "this test looks at something");
}

#[tokio::test]
async fn a_hook_hands_on_the_sessions_access_token_where_the_route_says_so() {
    let scene = Scene::with(Plan { server: HOOKS.into(), ..plan() }).await;
    for (host, passes) in [(PASS, true), (APP, false)] {
        let cookie = cookies(&signed_in_at(&scene, host, "ada", 3600).await);
        for kind in Kind::ALL {
            let answer = Asker::of(&scene).ask(kind, &Request::get(host, "/private").with("cookie", &cookie)).await;
            assert_eq!(answer.status, 200, "{kind:?}");
            assert_eq!(answer.field("authorization").is_some_and(|value| value.starts_with("Bearer ey")), passes, "{host} {kind:?}");
        }
    }
}
