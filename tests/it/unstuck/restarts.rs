//! What a callback without an attempt to continue does next.

use std::time::Duration;

use doorward_policy::login::{ATTEMPT_LIFETIME, Attempt, AttemptFault, ReturnTo, State};
use doorward_tests::client::{Browser, parameter, path_of};
use doorward_tests::hostile::{Endpoint, User};
use doorward_tests::scene::{APP, Scene};

use super::{CALLBACK, SESSION, come_back, forget_attempts, keys, now, reason, rig};

/// A browser and the state of an attempt of its own, begun so many seconds ago after so many that went wrong.
fn begun(scene: &Scene, ago: u64, retries: u8) -> (Browser, String) {
    let redirect_uri = format!("https://{APP}{CALLBACK}");
    let seed = u8::try_from(ago % 200).unwrap() + retries;
    let attempt = Attempt::begin("tenant", &redirect_uri, &[seed; 80], now().minus(Duration::from_secs(ago)));
    let mut browser = scene.browser(APP);
    browser.cookies.insert(attempt.cookie_name(), attempt.seal(&keys(), APP, [1; 12]));
    let state = State::of(&attempt, &ReturnTo::root(), retries).seal(&keys(), APP, [2; 12]);
    (browser, format!("{CALLBACK}?code=c&state={state}"))
}

#[tokio::test]
async fn unstuck_01_a_lost_attempt_begins_again_once_by_itself_and_keeps_its_way_back() {
    let (idp, scene) = rig("").await;
    let mut browser = scene.browser(APP);
    let redirect = browser.go("/private?page=2").await;
    forget_attempts(&mut browser);
    let again = browser.go(&path_of(&idp.grant(redirect.location(), &User::ada()))).await;
    assert_eq!(again.status, 302, "{}", again.text());
    assert_eq!(reason(&scene).await, "attempt_lost");
    assert_ne!(parameter(again.location(), "state"), parameter(redirect.location(), "state"));
    assert_ne!(parameter(again.location(), "nonce"), parameter(redirect.location(), "nonce"));
    assert_eq!(idp.requests(Endpoint::Token), 0, "the stray code is nobody's");
    // Once more it does not come back: then that is what it says.
    let mut kept = browser.clone();
    forget_attempts(&mut browser);
    let page = browser.go(&path_of(&idp.grant(again.location(), &User::ada()))).await;
    assert_eq!((page.status, page.field("location")), (400, None));
    assert!(page.text().contains("does not give the sign-in cookie back"), "{}", page.text());
    assert_eq!(scene.metric("doorward_login_loops_total{cause=\"cookie_not_returned\"}").await, 1.0);
    // Or it does.
    let back = kept.go(&path_of(&idp.grant(again.location(), &User::ada()))).await;
    assert_eq!((back.status, back.location()), (303, "/private?page=2"));
    let recovered = "doorward_logins_total{outcome=\"recovered\",provider=\"tenant\",reason=\"attempt_lost\"}";
    assert_eq!(scene.metric(recovered).await, 1.0);
}

#[tokio::test]
async fn unstuck_01_what_is_expired_begins_again_within_a_day_and_once() {
    let (idp, scene) = rig("").await;
    let lifetime = ATTEMPT_LIFETIME.as_secs();
    let day = 24 * 60 * 60;
    for (name, ago, retries, status) in [
        ("a minute too old", lifetime + 60, 0, 302),
        ("an hour", 3600, 0, 302),
        ("almost a day", day - 60, 0, 302),
        ("more than a day", day + 60, 0, 400),
        ("a second time", lifetime + 60, 1, 400),
    ] {
        let (mut browser, callback) = begun(&scene, ago, retries);
        let answer = browser.go(&callback).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
        assert_eq!(answer.text().contains("took too long"), status == 400, "{name}");
    }
    // Nobody but a browser that goes there is sent anywhere.
    let (mut browser, callback) = begun(&scene, lifetime + 61, 0);
    assert_eq!(browser.fetch(&callback).await.status, 400);
    assert_eq!(idp.requests(Endpoint::Token), 0);
}

#[tokio::test]
async fn unstuck_01_a_reused_or_foreign_attempt_never_begins_again() {
    let (idp, scene) = rig("").await;
    let mut browser = scene.browser(APP);
    let redirect = browser.go("/private").await;
    let before = browser.clone();
    let callback = path_of(&idp.grant(redirect.location(), &User::ada()));
    // Somebody else's cookie, or none of ours, under the name of this attempt; then the twin with its own.
    for value in [before.cookies.values().next().unwrap().replace('A', "B"), "x".into(), String::new()] {
        let mut planted = before.clone();
        planted.cookies.values_mut().for_each(|own| own.clone_from(&value));
        let answer = planted.go(&callback).await;
        assert_eq!((answer.status, answer.field("location")), (400, None), "{value}");
        assert_eq!(reason(&scene).await, "attempt_foreign");
    }
    assert_eq!(browser.go(&callback).await.status, 303);
    // Used, and nobody is signed in here: a page with a way to begin, and nothing by itself.
    let mut thief = before.clone();
    let answer = thief.go(&callback).await;
    assert_eq!((answer.status, answer.field("location")), (400, None));
    assert!(answer.text().contains("used already") && answer.text().contains(">Sign in</a>"), "{}", answer.text());
    assert!(!thief.cookies.contains_key(SESSION));
    // Used, and signed in: back with the browser's history, say.
    let answer = browser.go(&callback).await;
    assert_eq!((answer.status, answer.location()), (303, "/private"));
    assert_eq!(idp.requests(Endpoint::Token), 1);
}

#[tokio::test]
async fn oidc_20_a_tab_that_was_overtaken_goes_where_it_was_going() {
    let (idp, scene) = rig("").await;
    let mut browser = scene.browser(APP);
    let slow = browser.go("/private?slow").await;
    assert_eq!(come_back(&idp, &mut browser, "/private?fast").await.status, 303);
    let callback = path_of(&idp.grant(slow.location(), &User::ada()));
    for (name, lost) in [("its attempt gave way", true), ("its attempt is still there", false)] {
        let mut tab = browser.clone();
        if lost {
            forget_attempts(&mut tab);
        }
        let answer = tab.go(&callback).await;
        assert_eq!((answer.status, answer.location()), (303, "/private?slow"), "{name}");
        assert_eq!(tab.go("/private?slow").await.status, 200, "{name}");
    }
    // Signed in on this host: a target on another host of ours is not what that session is for.
    let redirect = browser.go("/_doorward/login?return_to=https%3A%2F%2Fboth.localhost%2Fx").await;
    let callback = path_of(&idp.grant(redirect.location(), &User::ada()));
    forget_attempts(&mut browser);
    assert_eq!(browser.go(&callback).await.status, 302);
}

#[test]
fn unstuck_01_only_lost_and_expired_ones_restart() {
    let attempt = Attempt::begin("tenant", "https://x/", &[1; 80], now());
    let state = State::of(&attempt, &ReturnTo::root(), 0);
    for (fault, expected) in [
        (AttemptFault::Lost, true),
        (AttemptFault::Expired, true),
        (AttemptFault::Reused, false),
        (AttemptFault::Foreign, false),
        (AttemptFault::State, false),
    ] {
        assert_eq!(state.may_restart(fault, now()), expected, "{fault}");
    }
    // From a clock that is far ahead of ours.
    assert!(!state.may_restart(AttemptFault::Lost, now().minus(Duration::from_secs(120))));
}
