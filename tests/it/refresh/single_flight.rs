//! Who asks, how often, and who waits.

use std::time::{Duration, Instant};

use doorward_tests::scene::{APP, Plan, Scene};
use futures::future::join_all;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refr_01_a_hundred_at_once_cost_one_token_request_and_all_get_the_new_session() {
    for (ends_in, requests, roles) in [(-1, 1, "viewer"), (3600, 0, "admin")] {
        let scene = Scene::with(plan()).await;
        let browser = signed_in(&scene, "ada", ends_in).await;
        scene.tenant.change_user("ada", |user| user.roles = vec!["viewer".into()]);
        scene.tenant.set_delay("token", Duration::from_millis(500));
        let answers = join_all((0..100).map(|_| {
            let mut browser = browser.clone();
            async move { browser.fetch("/private").await.status }
        }));
        assert_eq!(answers.await, [200; 100]);
        assert_eq!(asked(&scene), requests, "an access token that ends in {ends_in} s");
        let seen = scene.app.seen();
        assert_eq!(seen.len(), 100);
        assert!(seen.iter().all(|request| request.one("x-auth-roles") == Some(roles)), "all get {roles}");
        assert_eq!(outcomes(&scene, "ok").await, f64::from(u32::try_from(requests).unwrap()));
    }
}

#[tokio::test]
async fn refr_01_ahead_of_the_end_nobody_waits() {
    let scene = Scene::with(plan()).await;
    // Due in the second half of its four seconds.
    let mut browser = signed_in(&scene, "ada", 4).await;
    assert_eq!(browser.fetch("/early").await.status, 200);
    assert_eq!(asked(&scene), 0, "not in the first half");
    scene.tenant.set_delay("token", Duration::from_millis(900));
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let begun = Instant::now();
    assert_eq!(browser.fetch("/due").await.status, 200);
    assert!(begun.elapsed() < Duration::from_millis(700), "it waited {:?}", begun.elapsed());
    until("a refresh beside the request", || async { outcomes(&scene, "ok").await == 1.0 }).await;
    assert_eq!(browser.fetch("/after").await.status, 200);
    assert_eq!(asked(&scene), 1);
}

#[tokio::test]
async fn refr_01_nothing_is_refreshed_that_need_not_or_cannot_be() {
    for (what, session, scope, requests) in
        [("as it should be", REFRESH, OFFLINE, 1), ("not asked for", "", OFFLINE, 0), ("no refresh token", REFRESH, "", 0)]
    {
        let scene = Scene::with(Plan { session: format!("{STORE}{session}"), provider: scope.into(), ..plan() }).await;
        let mut browser = signed_in(&scene, "ada", -1).await;
        assert_eq!(browser.fetch("/private").await.status, 200, "{what}: the session has limits of its own");
        assert_eq!(asked(&scene), requests, "{what}");
    }
}

#[tokio::test]
async fn refr_07_a_client_that_goes_away_ends_no_refresh() {
    let scene = Scene::with(plan()).await;
    let mut browser = signed_in(&scene, "ada", -1).await;
    scene.tenant.set_delay("token", Duration::from_millis(700));
    let mut raw = scene.raw(APP).await;
    let cookies: Vec<String> = browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    raw.send(format!("GET /gone HTTP/1.1\r\nhost: {APP}\r\ncookie: {}\r\n\r\n", cookies.join("; ")).as_bytes()).await;
    until("the tenant is asked", || async { scene.tenant.requests("token") == 2 }).await;
    drop(raw);
    assert_eq!(browser.fetch("/stayed").await.status, 200);
    assert_eq!((asked(&scene), outcomes(&scene, "ok").await), (1, 1.0), "what the one began, the other got");
}

#[tokio::test]
async fn refr_03_a_stop_waits_for_what_is_not_stored_yet() {
    let state = tempfile::tempdir().unwrap();
    let session = format!("  idle: 1h\n  lifetime: 12h\n  store: file\n{REFRESH}");
    let server = format!("  state_dir: {}\n", state.path().display());
    let mut scene = Scene::with(Plan { session, server, ..plan() }).await;
    let browser = signed_in(&scene, "ada", -1).await;
    scene.tenant.set_delay("token", Duration::from_millis(900));
    let asking = tokio::spawn({
        let mut browser = browser.clone();
        async move { browser.fetch("/private").await.status }
    });
    until("the tenant is asked", || async { scene.tenant.requests("token") == 2 }).await;
    scene.stop().await;
    assert_eq!(asking.await.unwrap(), 200);
    // The last task lets go of the file a moment after the stop.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let twin = scene.twin(|text| text).await;
    assert_eq!(twin.visit(&browser).fetch("/private").await.status, 200);
    assert_eq!(asked(&scene), 1, "what was rotated was stored");
}
