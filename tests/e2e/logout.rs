//! Signing out (`SECURITY.md` C.3).

use reqwest::StatusCode;

use crate::client::Browser;
use crate::world::World;

const SESSION: &str = "__Host-doorward";

#[tokio::test]
async fn logout_01_signing_out_ends_both_sessions_and_comes_back_to_the_app() {
    let world = World::start().await;
    let mut browser = Browser::new(&world);
    browser.open_as("ada", &world.cms("/articles")).await;
    let origin = world.edge.ports.origin("cms");

    let page = browser.submit(&world.cms("/_doorward/logout"), &origin, "same-origin", &[]).await;
    // OIDC-23: whatever follows is a GET.
    assert!(matches!(page.status, StatusCode::SEE_OTHER | StatusCode::FOUND), "{page:?}");
    assert!(page.location().as_str().starts_with(&world.idp.issuer), "{page:?}");
    assert_eq!(browser.cookies("cms.localhost").get(SESSION), None, "our session ends first");

    let page = browser.follow("nobody", page).await;
    assert_eq!(page.status, StatusCode::OK, "{page:?}");
    // A provider may hand back the `state` it was given.
    assert_eq!(page.url.as_str().split('?').next(), Some(&*world.cms("/")), "{page:?}");
    assert!(browser.cookies("cms.localhost").is_empty(), "{:?}", browser.cookies("cms.localhost"));

    assert_eq!(browser.forms, 1);
    browser.open_as("vera", &world.cms("/articles")).await;
    assert_eq!(browser.forms, 2, "the provider has forgotten as well");
    let request = world.apps.cms.last_received("/articles").expect("the app was asked");
    assert_eq!(request.header("x-auth-user"), Some("auth0|vera"));
    world.end().await;
}

#[tokio::test]
async fn logout_01_another_site_cannot_sign_anybody_out() {
    let world = World::start().await;
    let mut browser = Browser::new(&world);
    browser.open_as("ada", &world.cms("/articles")).await;
    let logout = world.cms("/_doorward/logout");

    for (origin, site) in [("https://evil.test", "cross-site"), ("null", "cross-site"), ("https://iot.localhost", "same-site")] {
        let page = browser.submit(&logout, origin, site, &[]).await;
        // A refusal or a question, but nothing that signs out by itself.
        assert!(!page.status.is_redirection() && !page.sets_cookie(SESSION), "{origin}: {page:?}");
        assert!(browser.cookies("cms.localhost").contains_key(SESSION), "{origin}");
    }
    assert_eq!(browser.navigate(&world.cms("/articles")).await.status, StatusCode::OK);
    world.end().await;
}

#[tokio::test]
async fn logout_01_a_page_that_sends_no_referrer_can_sign_out() {
    let world = World::start().await;
    let mut browser = Browser::new(&world);
    browser.open_as("ada", &world.cms("/articles")).await;
    // Under `Referrer-Policy: no-referrer` browsers say `Origin: null` even to the page's own origin (Fetch §3.1);
    // `Sec-Fetch-Site` still tells the truth, and no page can set it.
    let page = browser.submit(&world.cms("/_doorward/logout"), "null", "same-origin", &[]).await;
    assert!(page.status.is_redirection(), "{page:?}");
    assert!(!browser.cookies("cms.localhost").contains_key(SESSION));
    world.end().await;
}
