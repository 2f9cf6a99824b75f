//! A browser behind a host proxy: signing in, staying signed in, signing out.

use std::sync::Arc;
use std::time::Duration;

use doorward_policy::login::ROUNDS_COOKIE;
use doorward_policy::session::COOKIE;
use doorward_tests::client::{Answer, Browser, parameter, path_of};
use doorward_tests::recorder::Recorder;
use doorward_tests::scene::APP;

use crate::stage::{Kind, Stage};

/// Goes to `path`, signs in at the tenant and comes back; the answer is the callback's.
async fn sign_in(stage: &Stage, browser: &mut Browser, path: &str, persona: &str) -> Answer {
    let redirect = browser.go(path).await;
    assert_eq!(redirect.status, 302, "{:?}: {}", stage.kind, redirect.text());
    let login = redirect.location().to_owned();
    assert!(login.starts_with(&format!("https://{}/_doorward/login?", browser.host)), "{login}");
    assert_eq!(parameter(&login, "return_to"), path);
    let away = browser.go(&path_of(&login)).await;
    assert_eq!(away.status, 302, "{:?}: {}", stage.kind, away.text());
    let callback = stage.scene.tenant.sign_in(away.location(), persona).expect("the tenant signs in");
    assert!(callback.starts_with(&format!("https://{}/_doorward/callback/tenant?", browser.host)), "{callback}");
    browser.go(&path_of(&callback)).await
}

#[tokio::test]
async fn hook_09_a_person_signs_in_and_out_behind_each_host() {
    for kind in Kind::ALL {
        let stage = Stage::start(kind).await;
        let mut browser = stage.browser(APP);
        let place = "/private?page=2&q=%20x&next=/a?b";
        let back = sign_in(&stage, &mut browser, place, "ada").await;
        assert_eq!(back.status, 303, "{kind:?}: {}", back.text());
        assert_eq!(back.location(), place, "{kind:?}");
        assert!(stage.scene.app.seen().is_empty(), "{kind:?}: nothing of it was the app's");
        assert_eq!(browser.cookies.keys().collect::<Vec<_>>(), [COOKIE, ROUNDS_COOKIE], "{kind:?}: all fields that set cookies came");

        browser.cookies.insert("theme".into(), "dark".into());
        let answer = browser.go(place).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "canary"), "{kind:?}");
        let seen = stage.scene.app.last();
        assert_eq!(seen.target(), place, "{kind:?}");
        assert_eq!(seen.one("x-auth-user"), Some("auth0|ada"), "{kind:?}");
        assert_eq!(seen.one("cookie"), Some("theme=dark"), "{kind:?}");
        assert_eq!(browser.go("/admin/users").await.status, 200, "{kind:?}");

        let session = browser.fetch("/_doorward/session").await;
        assert_eq!((session.status, session.json()["authenticated"].as_bool()), (200, Some(true)), "{kind:?}");
        assert!(browser.go("/_doorward/whoami").await.text().contains("ada@acme.dev"), "{kind:?}");

        // Another site's page cannot end it; this one's can.
        let foreign = [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")];
        assert_eq!(browser.request("POST", "/_doorward/logout", &foreign, b"").await.status, 200, "{kind:?}: it is asked");
        assert!(browser.cookies.contains_key(COOKIE), "{kind:?}");
        let out = browser.post("/_doorward/logout").await;
        assert_eq!(out.status, 303, "{kind:?}: {}", out.text());
        assert!(!browser.cookies.contains_key(COOKIE), "{kind:?}");
        assert_eq!(parameter(out.location(), "returnTo"), format!("https://{}/", browser.host), "{kind:?}");
        stage.scene.app.forget();
        assert_eq!(browser.go("/private").await.status, 302, "{kind:?}");
        assert!(stage.scene.app.seen().is_empty(), "{kind:?}");
    }
}

#[tokio::test]
async fn a_script_is_told_where_to_sign_in_and_a_stale_session_is_cleared_behind_each_host() {
    for kind in Kind::ALL {
        let stage = Stage::start(kind).await;
        let refused = stage.browser(APP).fetch("/private").await;
        assert_eq!(refused.status, 401, "{kind:?}");
        assert!(refused.field("www-authenticate").is_some(), "{kind:?}");
        let login = refused.json()["login_url"].as_str().unwrap_or_default().to_owned();
        assert!(login.starts_with(&format!("https://{}/_doorward/login?", stage.authority(APP))), "{kind:?}: {login}");

        let mut browser = stage.holding(APP, Duration::from_secs(13 * 3600));
        assert_eq!(browser.go("/private").await.status, 302, "{kind:?}");
        assert!(!browser.cookies.contains_key(COOKIE), "{kind:?}: ADV-O2P-13");

        let forbidden = stage.holding(APP, Duration::ZERO).go("/admin/users").await;
        assert_eq!(forbidden.status, 403, "{kind:?}");
        assert!(forbidden.text().contains("You may not open this"), "{kind:?}: {}", forbidden.text());
        assert!(stage.scene.app.seen().is_empty(), "{kind:?}");
    }
}

#[tokio::test]
async fn hook_07_a_session_goes_on_behind_each_host_beside_the_cookies_of_the_app() {
    let setting = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nset-cookie: a=1; Path=/\r\nset-cookie: b=2; Path=/\r\n\r\nok";
    for kind in Kind::ALL {
        let app = Recorder::answering(Arc::new(move |_| Some(setting.as_bytes().to_vec()))).await;
        let stage = Stage::with(kind, |plan| plan, app).await;
        for (ago, renewed) in [(Duration::from_secs(100), false), (Duration::from_secs(2000), true)] {
            let mut browser = stage.holding(APP, ago);
            let before = browser.cookies[COOKIE].clone();
            let answer = browser.fetch("/private").await;
            assert_eq!(answer.status, 200, "{kind:?}");
            assert_eq!(browser.cookies[COOKIE] != before, renewed, "{kind:?}, last seen {ago:?} ago: {:?}", answer.fields);
            assert_eq!((browser.cookies["a"].as_str(), browser.cookies["b"].as_str()), ("1", "2"), "{kind:?}");
            assert_eq!(answer.all("set-cookie").len(), if renewed { 3 } else { 2 }, "{kind:?}: {:?}", answer.fields);
            let after = browser.fetch("/private").await;
            assert_eq!((after.status, after.all("set-cookie").len()), (200, 2), "{kind:?}: a new session is not renewed again");
        }
    }
}
