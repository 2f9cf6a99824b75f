//! Chromium and one app: tabs, fragments, forms, links that are looked at ahead, cookies that are not kept.

use doorward_tests::chromium;
use serde_json::{Value, json};

use crate::fleet::{Fleet, Plan};

const FRAGMENT: &str = "frag.localhost";
const ROUTES: &str = r#"
  - name: app
    host: app.localhost
    upstream: UPSTREAM
    keep_form: true
    rules:
      - { path: "/public/**", allow: public }
      - { path: "/vault/**", allow: signed-in, step_up: { acr_values: ["http://schemas.openid.net/pape/policies/2007/06/multi-factor"] } }
      - { allow: signed-in }
  - name: frag
    host: frag.localhost
    upstream: UPSTREAM
    keep_fragment: true
    rules: [{ allow: signed-in }]
"#;

async fn fleet() -> Fleet {
    let hosts = &["app.localhost", FRAGMENT];
    Fleet::start(Plan { hosts, routes: ROUTES, ..Plan::default() }).await
}

/// Runs a script to its end; answers what it reports.
async fn run(fleet: &Fleet, script: &str) -> Value {
    let settings = json!({
        "app": fleet.doors[0].url(""),
        "frag": fleet.doors[0].at(FRAGMENT, ""),
        "issuer": fleet.idp().issuer,
        "password": doorward_tests::idp::PASSWORD,
    });
    chromium::run(script, settings).await.unwrap_or_else(|said| panic!("{said}\nthe edge said\n{}", fleet.said()))
}

#[tokio::test]
async fn oidc_20_chromium_signs_in_in_eight_tabs_at_once_in_any_order() {
    let fleet = fleet().await;
    assert_eq!(run(&fleet, "eight_tabs.mjs").await, json!({ "urls": 8, "who": ["auth0|ada"] }));
    fleet.end().await;
}

#[tokio::test]
async fn chromium_keeps_a_fragment_and_comes_back_from_a_step_up() {
    let fleet = fleet().await;
    let report = run(&fleet, "fragment.mjs").await;
    let expected = json!({
        "fragment": true,
        "who": "auth0|ada",
        "before": fleet.doors[0].url("/page/plain"),
        "asked": true,
        "stepped_up": { "status": 200, "asked": false },
    });
    assert_eq!(report, expected, "{}", fleet.said());
    fleet.end().await;
}

#[tokio::test]
async fn chromium_sends_a_kept_form_on_a_click_and_byte_for_byte() {
    let fleet = fleet().await;
    let report = run(&fleet, "kept_form.mjs").await;
    let expected = json!({
        "refusal": 401,
        // After the first, while the session is over, signed in again, and after the click.
        "sent": [1, 1, 1, 2],
        "answer": "you are auth0|ada",
        "url": fleet.doors[0].url("/orders?x=1&y=%26"),
    });
    assert_eq!(report, expected, "{}", fleet.said());
    let posts: Vec<_> = fleet.app.seen().into_iter().filter(|request| request.line().starts_with("POST /orders")).collect();
    assert_eq!(posts.len(), 2);
    assert_eq!(String::from_utf8_lossy(&posts[1].body), String::from_utf8_lossy(&posts[0].body));
    assert!(posts[0].body.len() > 100, "{posts:?}");
    assert_eq!((posts[1].line(), posts[1].one("content-type")), (posts[0].line(), posts[0].one("content-type")));
    fleet.end().await;
}

#[tokio::test]
async fn oidc_19_chromium_looks_ahead_without_beginning_a_sign_in() {
    let fleet = fleet().await;
    let report = run(&fleet, "prefetch.mjs").await;
    assert_eq!((&report["cookies"], &report["asked"], &report["who"]), (&json!(0), &json!(true), &json!("auth0|ada")), "{report}");
    // It did look ahead, in every way that the page names.
    let said = fleet.said();
    for path in ["/page/hinted", "/page/ahead", "/page/image"] {
        let line = said.lines().find(|line| line.contains(path)).unwrap_or_else(|| panic!("nobody asked for {path}: {report}\n{said}"));
        assert!(line.contains("\"status\":401"), "{line}");
    }
    fleet.end().await;
}

#[tokio::test]
async fn unstuck_02_chromium_without_cookies_ends_on_a_page_that_says_so() {
    let fleet = fleet().await;
    let report = run(&fleet, "blocked.mjs").await;
    assert_eq!(report["cookies"], 0, "{report}");
    assert!((1..=3).contains(&report["rounds"].as_u64().unwrap_or_default()), "{report}");
    assert!(report["text"].as_str().unwrap_or_default().to_lowercase().contains("cookie"), "{report}");
    fleet.end().await;
}
