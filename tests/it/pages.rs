//! Refusals as people and scripts see them.

use doorward_tests::client::Browser;
use doorward_tests::scene::{Plan, Scene};

/// What a page says, without what HTML writes differently.
fn said(text: &str) -> String {
    text.replace("&#x2f;", "/").replace("&#x3d;", "=").replace("&amp;", "&")
}

async fn vera(server: &str) -> (Scene, Browser) {
    let scene = Scene::with(Plan { server: format!("{}{server}", Plan::default().server), ..Plan::default() }).await;
    let browser = scene.signed_in("app.localhost", "vera").await;
    (scene, browser)
}

#[tokio::test]
async fn a_403_says_who_which_rule_and_what_is_missing_and_offers_another_account() {
    let (_scene, mut browser) = vera("").await;
    let page = browser.go("/admin/users?tab=1").await;
    let text = said(&page.text());
    assert_eq!((page.status, page.field("content-language")), (403, Some("en")), "{text}");
    assert!(text.contains("<dd>vera@acme.dev</dd>"), "{text}");
    assert!(text.contains("<code>app/2</code>") && text.contains("<dt>Role needed</dt>") && text.contains("<li>admin</li>"), "{text}");
    let other = "href=\"https://app.localhost/_doorward/login?return_to=%2Fadmin%2Fusers%3Ftab%3D1&prompt=select_account\"";
    assert!(text.contains(other), "{text}");
    // The page has a form of ours: its origin must be told.
    assert_eq!(page.field("referrer-policy"), Some("same-origin"));

    let script = browser.fetch("/admin/users").await;
    assert_eq!((script.status, script.field("www-authenticate")), (403, Some("Bearer error=\"insufficient_scope\"")));
    let body = script.json();
    assert_eq!((&body["error"], &body["rule"]), (&"forbidden".into(), &"app/2".into()));
    assert_eq!(body["missing"], serde_json::json!([{ "what": "role", "names": ["admin"] }]));
}

#[tokio::test]
async fn a_403_explains_nothing_where_it_must_not() {
    let (_scene, mut browser) = vera("  explain_denials: false\n").await;
    let text = said(&browser.go("/admin/users").await.text());
    assert!(text.contains("<dd>vera@acme.dev</dd>") && text.contains("prompt=select_account"), "who one is, is no secret: {text}");
    assert!(!text.contains("app/2") && !text.contains("<li>admin</li>"), "{text}");
    let body = browser.fetch("/admin/users").await.json();
    assert_eq!((body.get("rule"), body.get("missing")), (None, None), "{body}");
}

#[tokio::test]
async fn what_no_other_account_could_open_offers_none() {
    let (_scene, mut browser) = vera("").await;
    for path in ["/closed/x", "/lan/x"] {
        let page = browser.go(path).await;
        assert_eq!(page.status, 403, "{path}");
        assert!(!said(&page.text()).contains("select_account"), "{path}");
    }
}

#[tokio::test]
async fn pages_speak_the_readers_language_and_scripts_are_answered_in_english() {
    let scene = Scene::start().await;
    let html =
        [("accept", "text/html"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document"), ("accept-language", "de-AT,en;q=0.5")];
    let page = scene.ask("app.localhost", "GET", "/_doorward/nothing", &html).await;
    assert_eq!((page.status, page.field("content-language")), (404, Some("de")));
    assert!(page.text().contains("<h1>Hier ist nichts</h1>"), "{}", page.text());
    // Before any route is found, too.
    let lost = scene.ask("unknown.test", "GET", "/", &html).await;
    assert_eq!((lost.status, lost.field("content-language")), (421, Some("de")));
    let script = scene.ask("app.localhost", "GET", "/_doorward/nothing", &[("accept-language", "de")]).await;
    assert_eq!(script.json()["message"], "Doorward has no such page.");
}

#[tokio::test]
async fn pages_of_a_folder_replace_ours() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("error.html"), "<title>Acme</title>{{ title }} ({{ status }})").expect("a writable folder");
    let server = format!("{}  pages: \"{}\"\n", Plan::default().server, folder.path().display());
    let scene = Scene::with(Plan { server, ..Plan::default() }).await;
    let page = scene.ask("app.localhost", "GET", "/_doorward/nothing", &[("accept", "text/html")]).await;
    assert_eq!(page.text(), "<title>Acme</title>There is nothing here (404)");
    let ours = scene.ask("app.localhost", "GET", "/_doorward/logout", &[("accept", "text/html")]).await;
    assert!(ours.text().contains("<h1>Sign out?</h1>"), "the others stay: {}", ours.text());
}
