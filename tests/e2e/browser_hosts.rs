//! Chromium and several hosts: one sign-in, several providers, and what a sign-out leaves.

use doorward_tests::chromium;
use serde_json::{Value, json};

use crate::fleet::{Fleet, Plan};

async fn run(fleet: &Fleet, script: &str, hosts: &[&str], both: Option<&str>) -> Value {
    let origins: Vec<String> = hosts.iter().map(|host| fleet.doors[0].at(host, "")).collect();
    let settings = json!({
        "origins": origins,
        "both": both.map(|host| fleet.doors[0].at(host, "")),
        "issuer": fleet.idp().issuer,
        "second": fleet.idps.get(1).map(|idp| &idp.issuer),
        "password": doorward_tests::idp::PASSWORD,
    });
    chromium::run(script, settings).await.unwrap_or_else(|said| panic!("{said}\nthe edge said\n{}", fleet.said()))
}

const PUBLIC: &str = r#"
  - { name: cms, host: cms.localhost, upstream: UPSTREAM, provider: auth0, rules: [{ path: [/], allow: public }, { allow: signed-in }] }
  - { name: shop, host: shop.test, upstream: UPSTREAM, provider: auth0, rules: [{ path: [/], allow: public }, { allow: signed-in }] }
  - { name: both, host: both.test, upstream: UPSTREAM, provider: [auth0, workforce], rules: [{ allow: signed-in }] }
"#;
const PUBLIC_HOSTS: &[&str] = &["cms.localhost", "shop.test", "auth.localhost", "both.test"];

async fn with_public_url(session: &'static str) -> Fleet {
    let server = "  public_url: https://auth.localhost\n";
    Fleet::start(Plan { hosts: PUBLIC_HOSTS, routes: PUBLIC, providers: 2, server, session, ..Plan::default() }).await
}

#[tokio::test]
async fn handoff_01_chromium_signs_in_once_for_apps_on_two_domains_and_chooses_among_providers() {
    let fleet = with_public_url("  store: cookie\n").await;
    let report = run(&fleet, "two_domains.mjs", &["cms.localhost", "shop.test"], Some("both.test")).await;
    let expected = json!({
        "first": { "status": 200, "asked": true },
        "there": { "status": 200, "asked": false },
        "who": "auth0|ada",
        "url": true,
        "choices": ["Customers", "Acme staff"],
        "chosen": "auth0|eddie",
        "still": "auth0|eddie",
    });
    assert_eq!(report, expected, "{}", fleet.said());
    fleet.end().await;
}

#[tokio::test]
async fn logout_01_chromium_has_no_cookie_of_ours_after_a_sign_out_on_the_hosts_it_comes_by() {
    for session in ["  store: cookie\n", "  store: memory\n"] {
        let fleet = with_public_url(session).await;
        let report = run(&fleet, "signed_out.mjs", &["cms.localhost", "shop.test"], None).await;
        // The host that nobody came by keeps cookies that open nothing.
        let left = json!(["shop.test __Host-doorward", "shop.test __Host-doorward-rounds"]);
        assert_eq!((&report["after"], &report["refused"]), (&left, &json!([true, true])), "{report}\n{}", fleet.said());
        assert_eq!(report["sessions"], json!([]), "gone with the next visit: {report}");
        fleet.end().await;
    }
}

#[tokio::test]
async fn logout_01_chromium_has_no_cookie_of_ours_after_a_sign_out_on_a_shared_domain() {
    let routes = r#"
  - { name: one, host: one.demo.localhost, upstream: UPSTREAM, rules: [{ path: [/], allow: public }, { allow: signed-in }] }
  - { name: two, host: two.demo.localhost, upstream: UPSTREAM, rules: [{ path: [/], allow: public }, { allow: signed-in }] }
"#;
    let hosts = &["one.demo.localhost", "two.demo.localhost"];
    let session = "  store: cookie\n  domain: demo.localhost\n";
    let fleet = Fleet::start(Plan { hosts, routes, session, ..Plan::default() }).await;
    let report = run(&fleet, "signed_out.mjs", hosts, None).await;
    assert_eq!((&report["after"], &report["refused"]), (&json!([]), &json!([true, true])), "{report}\n{}", fleet.said());
    fleet.end().await;
}

#[tokio::test]
async fn logout_01_chromium_has_no_cookie_of_ours_after_a_sign_out_on_a_host_of_its_own() {
    let fleet = Fleet::start(Plan::default()).await;
    let report = run(&fleet, "signed_out.mjs", &["app.localhost"], None).await;
    assert_eq!((&report["after"], &report["refused"]), (&json!([]), &json!([true])), "{report}\n{}", fleet.said());
    fleet.end().await;
}
