//! When no new token is to be had.

use std::time::{Duration, Instant};

use doorward_tests::hostile::{Endpoint, Fault};
use doorward_tests::scene::{Plan, Scene};

use super::*;

const NO_GRACE: &str = "  refresh: { ahead: 1m, grace: 0s }\n";

fn transient() -> Vec<(&'static str, Fault)> {
    vec![
        ("500", Fault::Status(500)),
        ("503", Fault::Status(503)),
        ("429", Fault::Status(429)),
        ("our own credentials", Fault::oauth_error(401, "invalid_client")),
        ("a reset", Fault::Reset),
        ("a hang-up", Fault::Hangup),
        ("a page", Fault::html()),
        ("a redirect", Fault::Redirect(302, hostile::Redirection::Elsewhere)),
        ("half an answer", Fault::ResetBody),
    ]
}

#[tokio::test]
async fn refr_05_within_the_grace_a_session_goes_on() {
    for (name, fault) in transient() {
        let idp = HostileIdp::start().await;
        idp.rotate_refresh_tokens(false);
        let scene = Scene::with(hostile_plan(&idp)).await;
        let mut browser = signed_in_there(&scene, &idp, 0).await;
        idp.fault(Endpoint::Token, fault);
        for _ in 0..10 {
            assert_eq!(browser.go("/private").await.status, 200, "{name}");
            assert_eq!(scene.app.last().one("x-auth-user"), Some("auth0|ada"), "{name}");
        }
        assert_eq!(outcomes(&scene, "transient").await, 1.0, "{name}: ten requests, one attempt");
        assert_eq!(idp.requests_elsewhere(), 0);
        idp.clear();
        // It comes back by itself, at the latest one and a half seconds later.
        until(name, || async {
            assert_eq!(browser.clone().go("/private").await.status, 200, "{name}");
            outcomes(&scene, "ok").await == 1.0
        })
        .await;
    }
}

#[tokio::test]
async fn refr_05_after_the_grace_it_is_503_and_never_a_sign_in() {
    for (name, fault) in transient() {
        let idp = HostileIdp::start().await;
        idp.rotate_refresh_tokens(false);
        let scene = Scene::with(Plan { session: format!("{STORE}{NO_GRACE}"), ..hostile_plan(&idp) }).await;
        let mut browser = signed_in_there(&scene, &idp, 0).await;
        idp.fault(Endpoint::Token, fault);
        for _ in 0..5 {
            let answer = browser.go("/private").await;
            assert_eq!(answer.status, 503, "{name}");
            assert!(answer.field("retry-after").is_some() && answer.field("location").is_none(), "{name}");
            assert_eq!(browser.fetch("/_doorward/session").await.status, 503, "{name}: nobody can say");
        }
        // Whoever wants out gets out.
        assert_eq!(browser.clone().go("/_doorward/logout").await.status, 200, "{name}");
        assert!(scene.app.seen().is_empty(), "{name}");
        assert_eq!(outcomes(&scene, "transient").await, 1.0, "{name}");
        idp.clear();
        until(name, || async { browser.clone().go("/private").await.status == 200 }).await;
        assert_eq!(outcomes(&scene, "ok").await, 1.0, "{name}");
    }
}

#[tokio::test]
async fn refr_05_a_provider_that_does_not_answer_holds_up_nobody_for_long() {
    let idp = HostileIdp::start().await;
    let scene = Scene::with(hostile_plan(&idp)).await;
    let mut browser = signed_in_there(&scene, &idp, 0).await;
    idp.fault(Endpoint::Token, Fault::StallBody);
    let begun = Instant::now();
    assert_eq!(browser.fetch("/private").await.status, 200, "within the grace");
    let waited = begun.elapsed();
    assert!((Duration::from_millis(4500)..Duration::from_secs(8)).contains(&waited), "{waited:?}");
}

#[tokio::test]
async fn refr_05_retry_after_holds_for_every_session() {
    let idp = HostileIdp::start().await;
    idp.rotate_refresh_tokens(false);
    let scene = Scene::with(hostile_plan(&idp)).await;
    let mut one = signed_in_there(&scene, &idp, 0).await;
    let mut two = signed_in_there(&scene, &idp, 0).await;
    let busy = b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 3\r\ncontent-length: 0\r\n\r\n".to_vec();
    idp.fault_next(Endpoint::Token, Fault::Raw(busy));
    let begun = Instant::now();
    assert_eq!(one.fetch("/private").await.status, 200);
    let asked = asked_there(&idp);
    assert_eq!(asked, 1);
    while begun.elapsed() < Duration::from_millis(2500) {
        assert_eq!((one.fetch("/private").await.status, two.fetch("/private").await.status), (200, 200));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(asked_there(&idp), asked, "quiet is quiet");
    until("both are refreshed in the end", || async {
        assert_eq!((one.clone().fetch("/private").await.status, two.clone().fetch("/private").await.status), (200, 200));
        outcomes(&scene, "ok").await == 2.0
    })
    .await;
}

#[tokio::test]
async fn refr_05_invalid_grant_ends_the_session() {
    for (name, status, error, ends) in [
        ("invalid_grant", 400, "invalid_grant", true),
        ("invalid_grant as Auth0 says it", 403, "invalid_grant", true),
        ("denied by an Action", 403, "access_denied", true),
        ("the person is wanted", 400, "interaction_required", true),
        ("an error of another kind", 400, "temporarily_unavailable", false),
    ] {
        let idp = HostileIdp::start().await;
        let scene = Scene::with(hostile_plan(&idp)).await;
        let mut browser = signed_in_there(&scene, &idp, 0).await;
        let mut copy = browser.clone();
        idp.fault_next(Endpoint::Token, Fault::oauth_error(status, error));
        assert_eq!(browser.go("/private").await.status, if ends { 302 } else { 200 }, "{name}");
        assert_eq!(copy.fetch("/private").await.status, if ends { 401 } else { 200 }, "{name}: wherever its cookie is");
        if ends {
            assert!(scene.app.seen().is_empty(), "{name}");
            assert_eq!(sign_in_there(&idp, &mut browser).await.status, 303, "{name}");
        }
    }
}

#[tokio::test]
async fn refr_05_somebody_who_was_blocked_is_out_at_the_next_refresh() {
    let scene = Scene::with(plan()).await;
    let mut ada = signed_in(&scene, "ada", -1).await;
    let mut eddie = signed_in(&scene, "eddie", -1).await;
    scene.tenant.set_blocked("ada", true);
    assert_eq!((ada.fetch("/private").await.status, eddie.fetch("/private").await.status), (401, 200));
    assert_eq!(outcomes(&scene, "invalid_grant").await, 1.0);
}

#[tokio::test]
async fn refr_06_a_lost_answer_costs_one_more_request_and_then_the_session() {
    for rotates in [true, false] {
        let idp = HostileIdp::start().await;
        idp.rotate_refresh_tokens(rotates);
        let scene = Scene::with(hostile_plan(&idp)).await;
        let mut browser = signed_in_there(&scene, &idp, 0).await;
        // The provider does its work, and nobody hears of it.
        idp.fault_next(Endpoint::Token, Fault::Reset);
        let answer = browser.go("/private").await;
        assert_eq!(answer.status, if rotates { 302 } else { 200 }, "rotates: {rotates}");
        assert_eq!(asked_there(&idp), 2, "once more, and no more");
        if rotates {
            assert_eq!(outcomes(&scene, "invalid_grant").await, 1.0);
            assert_eq!(sign_in_there(&idp, &mut browser).await.status, 303, "a clean new sign-in");
        }
        assert_eq!(browser.fetch("/private").await.status, 200);
    }
}

#[tokio::test]
async fn refr_06_a_rotated_token_survives_keys_that_cannot_be_had() {
    let idp = HostileIdp::start().await;
    let scene = Scene::with(hostile_plan(&idp)).await;
    let mut browser = signed_in_there(&scene, &idp, 0).await;
    // The new ID token names a key that was published just now, and just now the keys cannot be fetched.
    idp.rotate_unannounced();
    idp.fault(Endpoint::Jwks, Fault::Status(503));
    assert_eq!(browser.fetch("/private").await.status, 200, "within the grace");
    assert_eq!(outcomes(&scene, "transient").await, 1.0);
    idp.clear();
    until("it is refreshed with the token that counts", || async {
        assert_eq!(browser.clone().fetch("/private").await.status, 200);
        outcomes(&scene, "ok").await == 1.0
    })
    .await;
    let used = refresh_tokens(&idp);
    assert_eq!((used.len(), used[0] == used[1]), (2, false));
}

#[tokio::test]
async fn refr_09_a_sign_out_during_a_refresh_wins() {
    let idp = HostileIdp::start().await;
    let scene = Scene::with(hostile_plan(&idp)).await;
    let mut browser = signed_in_there(&scene, &idp, 0).await;
    idp.fault_next(Endpoint::Token, Fault::DelayHead(Duration::from_millis(1200)));
    let racing = tokio::spawn({
        let mut browser = browser.clone();
        async move { browser.fetch("/racing").await }
    });
    assert!(idp.saw(Endpoint::Token, 2, Duration::from_secs(5)).await);
    let copy = browser.clone();
    let out = browser.post("/_doorward/logout").await;
    assert!(out.status < 400, "{}", out.text());
    let answer = racing.await.unwrap();
    assert_eq!(answer.status, 401, "{}", answer.text());
    assert!(answer.cookies().iter().all(|(_, value)| value.is_empty()), "{:?}", answer.fields);
    assert!(scene.app.seen().is_empty());
    assert_eq!(outcomes(&scene, "discarded").await, 1.0);
    assert!(idp.saw(Endpoint::Revocation, 1, Duration::from_secs(5)).await, "nobody needs the new token");
    assert_eq!(copy.clone().fetch("/private").await.status, 401);
}
