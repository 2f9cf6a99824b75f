//! All sessions of a person, on all machines.

use std::time::{Duration, Instant};

use doorward_tests::client::Browser;
use doorward_tests::hostile::{HostileIdp, User};
use doorward_tests::redis::RedisServer;
use doorward_tests::scene::Scene;

use super::{MEMORY, SID, grace, is_in, rig, signed_in, tell};

#[tokio::test]
async fn logout_13_everywhere_ends_all_of_a_persons_sessions_and_nobody_elses() {
    for session in ["  idle: 1h\n  lifetime: 12h\n", MEMORY] {
        let (idp, scene) = rig(session).await;
        let ada = User::ada();
        let mut one = signed_in(&idp, &scene, &ada, SID).await;
        let (two, other) = (signed_in(&idp, &scene, &ada, "2").await, signed_in(&idp, &scene, &grace(), "3").await);
        // Another site's page cannot do that to her.
        let forged = one
            .request("POST", "/_doorward/logout?everywhere=1", &[("sec-fetch-site", "cross-site"), ("origin", "https://evil.test")], b"")
            .await;
        assert_eq!((forged.status, is_in(&one).await, is_in(&two).await), (200, true, true));
        let copy = one.clone();
        let answer = one.post("/_doorward/logout?everywhere=1").await;
        assert_eq!((answer.status, one.cookies.len()), (303, 0));
        assert_eq!([is_in(&copy).await, is_in(&two).await, is_in(&other).await], [false, false, true], "{session}");
        assert_eq!(scene.metric("doorward_logouts_total{kind=\"everywhere\",outcome=\"ok\"}").await, 1.0);
        idp.skew_clock(2);
        assert!(is_in(&signed_in(&idp, &scene, &ada, "4").await).await, "{session}: she may come back");
    }
}

/// Two processes that share a Redis; sessions are in cookies or in it.
async fn two_processes(store: &str) -> (RedisServer, HostileIdp, Scene, doorward_tests::scene::Twin) {
    let redis = RedisServer::start();
    let session = format!("  idle: 1h\n  lifetime: 12h\n  store: {store}\n  redis: {{ url: \"redis://127.0.0.1:{}/0\" }}\n", redis.port());
    let (idp, scene) = rig(&session).await;
    let twin = scene.twin(|text| text).await;
    (redis, idp, scene, twin)
}

async fn is_out_within(browser: &Browser, patience: Duration) -> bool {
    let begin = Instant::now();
    while is_in(browser).await {
        if begin.elapsed() > patience {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    true
}

#[tokio::test]
async fn logout_05_15_a_back_channel_logout_ends_a_session_on_two_processes_within_two_seconds() {
    for store in ["cookie", "redis"] {
        let (_redis, idp, scene, twin) = two_processes(store).await;
        let browser = signed_in(&idp, &scene, &User::ada(), SID).await;
        let bystander = signed_in(&idp, &scene, &grace(), "2").await;
        let (here, there) = (browser.clone(), twin.visit(&browser));
        assert!(is_in(&here).await && is_in(&there).await, "{store}");
        assert_eq!(tell(&here, &idp.logout_token(None, Some(SID), |_| {})).await.status, 200);
        assert!(!is_in(&here).await, "{store}: at once where it was heard");
        assert!(is_out_within(&there, Duration::from_secs(2)).await, "{store}");
        assert!(is_in(&bystander).await && is_in(&twin.visit(&bystander)).await, "{store}");
        // A token that one process has heard is a replay at the other.
        let token = idp.logout_token(None, Some(SID), |_| {});
        assert_eq!([tell(&here, &token).await.status, tell(&there, &token).await.status], [200, 400], "{store}");
    }
}

#[tokio::test]
async fn logout_15_a_redis_that_is_away_keeps_no_sign_out_from_counting_and_learns_of_it_later() {
    let (mut redis, idp, scene, twin) = two_processes("cookie").await;
    let browser = signed_in(&idp, &scene, &User::ada(), SID).await;
    let there = twin.visit(&browser);
    assert!(is_in(&there).await);
    redis.kill();
    let answer = tell(&browser, &idp.logout_token(None, Some(SID), |_| {})).await;
    assert_eq!((answer.status, answer.field("retry-after")), (503, Some("10")), "not everywhere yet: {}", answer.text());
    assert!(!is_in(&browser).await, "but here");
    assert!(is_in(&there).await, "what cannot be known is not held against anybody");
    redis.start_again();
    assert!(is_out_within(&there, Duration::from_secs(10)).await);
}
