//! Chromium as people use it.

use doorward_tests::chromium;
use serde_json::{Value, json};

use crate::world::World;

/// Runs a script to its end; answers what it reports.
async fn run(world: &World, script: &str) -> Value {
    let settings = json!({
        "cms": world.edge.ports.origin("cms"),
        "iot": world.edge.ports.origin("iot"),
        "issuer": world.idp.issuer,
        "password": doorward_tests::idp::PASSWORD,
    });
    chromium::run(script, settings).await.unwrap_or_else(|said| panic!("{said}\nthe edge said\n{}", world.edge.process.said()))
}

#[tokio::test]
async fn chromium_signs_every_persona_in_to_both_apps_with_one_form() {
    let world = World::start().await;
    let report = run(&world, "personas.mjs").await;
    assert_eq!(
        report,
        json!({
            "ada": { "forms": 1, "admin": 200, "whoami": 200 },
            "eddie": { "forms": 1, "admin": 403, "whoami": 200 },
            "vera": { "forms": 1, "admin": 403, "whoami": 200 },
        })
    );
    world.end().await;
}

#[tokio::test]
async fn oidc_20_chromium_signs_in_in_two_tabs_at_once() {
    let world = World::start().await;
    assert_eq!(run(&world, "tabs.mjs").await, json!({ "first": "/articles/1", "second": "/articles/2", "late": "/articles/3" }));
    world.end().await;
}

#[tokio::test]
async fn chromium_with_a_cookie_cut_in_half_signs_in_anew_and_signs_out_without_a_trace() {
    let world = World::start().await;
    assert_eq!(run(&world, "cookies.mjs").await, json!({ "signed_in_anew": true, "left_over": [], "asked_again": true }));
    world.end().await;
}

#[tokio::test]
async fn every_page_of_ours_fits_wide_and_narrow_light_and_dark_without_a_script() {
    let world = World::start().await;
    let report = run(&world, "pages.mjs").await;
    let expected = ["forbidden", "provider-refused", "sign-out", "signed-out", "stale-callback", "unavailable", "whoami"];
    let pages = report["pages"].as_array().cloned().unwrap_or_default();
    assert_eq!(pages, expected.map(Value::from), "{report}");
    // Two widths, two colour schemes.
    assert_eq!(report["screenshots"], expected.len() * 4, "{report}");
    assert_eq!(report["problems"], json!([]), "{report}");
    world.end().await;
}
