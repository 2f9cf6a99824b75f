//! Clocks that disagree, and clocks that somebody sets.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::json;
use tempfile::TempDir;

use crate::client::Browser;
use crate::fleet::{Fleet, Plan, SESSION};

const HOUR: i64 = 3600;

/// The wall clock of the processes that are started with it.
struct Clock {
    folder: TempDir,
}

impl Clock {
    fn new() -> Self {
        let clock = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/clock.c");
        let made = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(clock.library()).arg(source).output();
        let made = made.unwrap_or_else(|problem| panic!("`cc` cannot be started ({problem}): install gcc"));
        assert!(made.status.success(), "{made:?}");
        clock.set(0);
        clock
    }

    fn library(&self) -> std::path::PathBuf {
        self.folder.path().join("clock.so")
    }

    fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("seconds")
    }

    /// So many seconds ahead of the true time.
    fn set(&self, ahead: i64) {
        // Whoever reads it meanwhile reads the one or the other.
        let next = self.folder.path().join("next");
        std::fs::write(&next, ahead.to_string()).expect("a file is written");
        std::fs::rename(next, self.file()).expect("a file is moved");
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        vec![("LD_PRELOAD", self.library().display().to_string()), ("SHIFTED_CLOCK", self.file().display().to_string())]
    }
}

/// Signs in, and is told that it did not work; the log says where to look.
async fn fails(fleet: &Fleet) {
    let mut browser = fleet.browser();
    let page = browser.open_as("ada", &fleet.doors[0].url("/private")).await;
    assert!(page.status.is_client_error() || page.status.is_server_error(), "{page:?}");
    assert!(page.is_html() && page.url.path() == "/_doorward/callback/auth0", "{page:?}");
    assert!(!browser.cookies("app.localhost").contains_key(SESSION));
    assert!(browser.visited.iter().filter(|url| url.path() == "/authorize").count() <= 3, "{:#?}", browser.visited);
}

#[tokio::test]
async fn jwt_22_a_provider_whose_clock_is_an_hour_off_signs_nobody_in_and_the_log_names_the_clock() {
    for skew in [HOUR, -HOUR] {
        let fleet = Fleet::start(Plan::default()).await;
        fleet.idp().switch(json!({ "skew_seconds": skew })).await;
        fails(&fleet).await;
        assert!(fleet.said().contains("compare this machine's clock with the provider's"), "{skew}\n{}", fleet.said());
        fleet.idp().switch(json!({ "skew_seconds": 0 })).await;
        fleet.signed_in("ada").await;
        fleet.end().await;
    }
}

async fn is_in(browser: &Browser, fleet: &Fleet) -> bool {
    let status = browser.clone().fetch(&fleet.doors[0].url("/private")).await.status;
    assert!(matches!(status, StatusCode::OK | StatusCode::UNAUTHORIZED), "{status}\n{}", fleet.said());
    status == StatusCode::OK
}

async fn stepped(session: &'static str) {
    let clock = Clock::new();
    let plan = Plan { server: "  state_dir: STATE\n", session, environment: clock.environment(), ..Plan::default() };
    let fleet = Fleet::start(plan).await;
    let (mut ada, eddie, vera) = (fleet.signed_in("ada").await, fleet.signed_in("eddie").await, fleet.signed_in("vera").await);
    let copy = ada.clone();
    let origin = fleet.doors[0].url("");
    ada.submit(&fleet.doors[0].url("/_doorward/logout"), &origin, "same-origin", &[]).await;
    // Her provider signs another one out.
    eddie.clone().navigate(&format!("{}v2/logout", fleet.idp().issuer)).await;
    assert_eq!((is_in(&copy, &fleet).await, is_in(&eddie, &fleet).await, is_in(&vera, &fleet).await), (false, false, true));

    // Back, ahead, and ahead by more than any session lives: who is out stays out. Sweeps come by in between.
    for ahead in [-HOUR, 0, HOUR - 60, 0, 13 * HOUR, 0] {
        clock.set(ahead);
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert!(!is_in(&copy, &fleet).await, "signed out: {session} {ahead}\n{}", fleet.said());
        assert!(!is_in(&eddie, &fleet).await, "signed out by the provider: {session} {ahead}\n{}", fleet.said());
    }
    // Who is in is asked to sign in again at worst, and then is in.
    let mut vera = vera;
    let page = vera.open_as("vera", &fleet.doors[0].url("/private")).await;
    assert_eq!((page.status, vera.forms), (StatusCode::OK, 1), "{page:?}\n{}", fleet.said());

    // A sign-in with a clock of our own that is an hour behind.
    clock.set(-HOUR);
    fails(&fleet).await;
    assert!(fleet.said().contains("compare this machine's clock with the provider's"), "{}", fleet.said());
    fleet.end().await;
}

#[tokio::test]
async fn sess_30_a_clock_that_is_set_back_brings_no_ended_session_back() {
    stepped("  store: cookie\n").await;
    stepped("  store: file\n").await;
}
