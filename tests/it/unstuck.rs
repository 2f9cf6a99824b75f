//! Sign-ins that cannot get stuck: lost and expired attempts, tabs that overtake each other, loops, looks ahead.

pub mod by_form;
mod links;
mod loops;
mod restarts;

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use doorward_policy::secret::Secret;
use doorward_policy::session::SealingKeys;
use doorward_policy::time::Timestamp;
use doorward_tests::client::{Answer, Browser, path_of};
use doorward_tests::hostile::{HostileIdp, User};
use doorward_tests::scene::{Plan, SESSION_KEY, Scene};

const CALLBACK: &str = "/_doorward/callback/tenant";
const SESSION: &str = "__Host-doorward";
const ROUNDS: &str = "__Host-doorward-rounds";
const ATTEMPT: &str = "__Host-doorward-attempt.";

fn now() -> Timestamp {
    Timestamp(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap())
}

/// The keys that every edge of these tests seals with.
fn keys() -> SealingKeys {
    SealingKeys::new(&[Secret::new(STANDARD.decode(SESSION_KEY).unwrap())]).unwrap()
}

/// A provider and an edge before it, with further lines of the provider's configuration.
async fn rig(lines: &str) -> (HostileIdp, Scene) {
    let idp = HostileIdp::start().await;
    let plan = Plan::oidc(idp.issuer());
    let scene = Scene::with(Plan { provider: plan.provider.clone() + lines, ..plan }).await;
    (idp, scene)
}

/// Goes to `path`, signs in at the provider and comes back; the answer is the callback's.
async fn come_back(idp: &HostileIdp, browser: &mut Browser, path: &str) -> Answer {
    let redirect = browser.go(path).await;
    assert_eq!(redirect.status, 302, "{}", redirect.text());
    browser.go(&path_of(&idp.grant(redirect.location(), &User::ada()))).await
}

/// A page's text as somebody reads it.
fn plain(page: &Answer) -> String {
    [("&amp;", "&"), ("&#x3D;", "="), ("&#x3d;", "="), ("&#x2F;", "/"), ("&#x2f;", "/")]
        .iter()
        .fold(page.text(), |text, (escaped, plain)| text.replace(escaped, plain))
}

fn forget_attempts(browser: &mut Browser) {
    browser.cookies.retain(|name, _| !name.starts_with(ATTEMPT));
}

async fn reason(scene: &Scene) -> String {
    scene.log().await.last().unwrap()["reason"].as_str().unwrap().to_owned()
}
