//! What a refresh may change, and what it must not.

use std::time::Duration;

use doorward_demo::tenant::{CLIENT_ID, CLIENT_SECRET, Client, TenantSettings};
use doorward_tests::hostile::{Endpoint, Fault, Token, forge};
use doorward_tests::scene::{Plan, Scene};

use super::*;

type Forge = fn(&mut Token);

#[tokio::test]
async fn refr_03_an_answer_without_a_refresh_token_keeps_the_old_one() {
    for rotates in [false, true] {
        let idp = HostileIdp::start().await;
        idp.rotate_refresh_tokens(rotates);
        let scene = Scene::with(hostile_plan(&idp)).await;
        let mut browser = signed_in_there(&scene, &idp, 0).await;
        // The first new access token ends at once as well.
        idp.set_access_lifetime(0);
        assert_eq!(browser.fetch("/one").await.status, 200);
        idp.set_access_lifetime(86_400);
        a_moment().await;
        assert_eq!(browser.fetch("/two").await.status, 200);
        a_moment().await;
        assert_eq!(browser.fetch("/three").await.status, 200);
        let used = refresh_tokens(&idp);
        assert_eq!(used.len(), 2, "rotates: {rotates}");
        assert_eq!(used[0] == used[1], !rotates, "each token as long as it counts");
    }
}

#[tokio::test]
async fn refr_02_the_tenant_never_sees_a_used_token_at_leeway_zero() {
    let client = Client { refresh_rotation: true, ..Client::confidential(CLIENT_ID, CLIENT_SECRET) };
    let tenant = TenantSettings { refresh_leeway: Duration::ZERO, ..TenantSettings::default() }.client(client);
    let scene = Scene::with(Plan { tenant: Some(tenant), ..plan() }).await;
    scene.tenant.set_access_token_claims(json!({ "exp": clock::now().0 - 1 }));
    let browser = scene.signed_in(APP, "ada").await;
    // Every access token has ended when it comes: nothing keeps requests from asking but the time between two.
    for _ in 0..4 {
        let answers = futures::future::join_all((0..5).map(|_| {
            let mut browser = browser.clone();
            async move { browser.fetch("/private").await.status }
        }));
        assert_eq!(answers.await, [200; 5]);
        a_moment().await;
    }
    assert_eq!(asked(&scene), 4, "not one for each request");
    assert_eq!(outcomes(&scene, "invalid_grant").await, 0.0);
}

/// `None`: the session goes on.
async fn ends(forge: Forge) -> Option<usize> {
    let idp = HostileIdp::start().await;
    let scene = Scene::with(hostile_plan(&idp)).await;
    let mut browser = signed_in_there(&scene, &idp, 0).await;
    idp.next_id_token(forge);
    let answer = browser.clone().go("/private").await;
    if answer.status == 200 {
        assert_eq!(scene.app.last().one("x-auth-user"), Some("auth0|ada"));
        return None;
    }
    assert_eq!(answer.status, 302, "a new sign-in: {}", answer.text());
    assert!(scene.app.seen().is_empty());
    assert_eq!(outcomes(&scene, "rejected").await, 1.0);
    idp.clear();
    // The session is gone for good, wherever its cookie is; and a new sign-in is as good as ever.
    assert_eq!(browser.fetch("/private").await.status, 401);
    assert_eq!(sign_in_there(&idp, &mut browser).await.status, 303);
    assert_eq!(browser.fetch("/private").await.status, 200);
    Some(idp.requests(Endpoint::Revocation))
}

fn other_subject(token: &mut Token) {
    token.claims["sub"] = "auth0|mallory".into();
}

#[tokio::test]
async fn conf_refresh_oidcc_client_test_refresh_token() {
    let idp = HostileIdp::start().await;
    let scene = Scene::with(hostile_plan(&idp)).await;
    let mut browser = signed_in_there(&scene, &idp, 0).await;
    assert_eq!(asked_there(&idp), 0);
    assert_eq!(browser.fetch("/private").await.status, 200);
    assert_eq!((asked_there(&idp), outcomes(&scene, "ok").await), (1, 1.0));
    let request = idp.log().into_iter().rfind(|request| request.endpoint == Endpoint::Token).unwrap();
    assert_eq!(request.field("grant_type").as_deref(), Some("refresh_token"));
    // The suite fails a client that asks for more than was granted (RFC 6749 §6); ours asks for the same by silence.
    assert_eq!((request.field("scope"), request.field("refresh_token")), (None, refresh_tokens(&idp).pop()));
    a_moment().await;
    assert_eq!((browser.fetch("/private").await.status, asked_there(&idp)), (200, 1), "and the new token is as good as new");
}

#[tokio::test]
async fn conf_refresh_oidcc_client_test_refresh_token_invalid_issuer() {
    assert_eq!(ends(forge::wrong_issuer).await, Some(1));
    assert_eq!(ends(|_| {}).await, None);
}

#[tokio::test]
async fn conf_refresh_oidcc_client_test_refresh_token_invalid_sub() {
    assert_eq!(ends(other_subject).await, Some(1));
    assert_eq!(ends(|_| {}).await, None);
}

#[tokio::test]
async fn conf_beyond_oidcc_client_test_refresh_token_invalid_aud() {
    assert_eq!(ends(forge::for_other_client).await, Some(1));
    assert_eq!(ends(forge::audience_in_array).await, None);
}

#[tokio::test]
async fn conf_beyond_oidcc_client_test_refresh_token_invalid_azp() {
    assert_eq!(ends(forge::wrong_azp).await, Some(1));
    assert_eq!(ends(forge::right_azp).await, None);
}

#[tokio::test]
async fn refr_04_only_an_id_token_for_the_same_person_from_the_same_place_is_believed() {
    let refused: &[(&str, Forge)] = &[
        ("another nonce", |token| token.claims["nonce"] = "another".into()),
        ("expired", forge::expired),
        ("damaged", forge::damaged_signature),
        ("alg none", forge::alg_none),
        ("no sub", forge::missing_subject),
    ];
    for (name, forge) in refused {
        // What came with it is nobody's, and the provider is told so.
        assert_eq!(ends(*forge).await, Some(1), "{name}");
    }
    let accepted: &[(&str, Forge)] = &[("right at_hash", forge::right_at_hash)];
    for (name, forge) in accepted {
        assert_eq!(ends(*forge).await, None, "{name}");
    }
}

#[tokio::test]
async fn refr_04_an_answer_without_an_id_token_leaves_the_person_as_known() {
    let idp = HostileIdp::start().await;
    let scene = Scene::with(hostile_plan(&idp)).await;
    let mut browser = signed_in_there(&scene, &idp, 0).await;
    idp.fault_next(Endpoint::Token, Fault::without("id_token"));
    assert_eq!(browser.fetch("/private").await.status, 200);
    let seen = scene.app.last();
    assert_eq!((seen.one("x-auth-user"), seen.one("x-auth-email")), (Some("auth0|ada"), Some("ada@acme.dev")));
    assert_eq!((asked_there(&idp), outcomes(&scene, "ok").await), (1, 1.0));
}

#[tokio::test]
async fn refr_04_roles_are_read_again_and_decide() {
    for (roles, status) in [(vec!["viewer".to_owned()], 403), (vec!["admin".to_owned()], 200)] {
        let scene = Scene::with(plan()).await;
        let mut browser = signed_in(&scene, "ada", 3).await;
        assert_eq!(browser.fetch("/admin/users").await.status, 200);
        scene.tenant.change_user("ada", |user| user.roles.clone_from(&roles));
        tokio::time::sleep(Duration::from_millis(3100)).await;
        assert_eq!(browser.fetch("/admin/users").await.status, status, "{roles:?}");
        assert_eq!(asked(&scene), 1);
    }
}

#[tokio::test]
async fn refr_10_the_limits_hold_whatever_is_refreshed() {
    let idp = HostileIdp::start().await;
    let session = format!("  idle: 1m\n  lifetime: 1m\n  store: memory\n{REFRESH}");
    let scene = Scene::with(Plan { session, ..hostile_plan(&idp) }).await;
    for (age, status) in [(0, 200), (57, 401)] {
        let began = clock::now().minus(Duration::from_secs(age));
        let cookie = begun(&scene, &idp, &User::ada(), began).await;
        let mut browser = scene.browser(APP);
        browser.cookies.extend([cookie]);
        let asked = asked_there(&idp);
        assert_eq!(browser.fetch("/private").await.status, 200, "{age}");
        assert_eq!(asked_there(&idp), asked + 1, "{age}: it was refreshed");
        for _ in 0..4 {
            tokio::time::sleep(Duration::from_millis(900)).await;
            browser.fetch("/private").await;
        }
        assert_eq!(browser.fetch("/private").await.status, status, "{age}");
    }
}

#[tokio::test]
async fn refr_10_the_provider_may_cap_the_session_when_it_refreshes() {
    for (seconds, lives) in [(2, false), (3600, true)] {
        let scene = Scene::with(plan()).await;
        let mut browser = signed_in(&scene, "ada", -1).await;
        scene.tenant.set_id_token_claims(json!({ "session_expiry": clock::now().0 + seconds }));
        assert_eq!(browser.fetch("/private").await.status, 200);
        tokio::time::sleep(Duration::from_millis(2100)).await;
        assert_eq!(browser.fetch("/private").await.status == 200, lives, "{seconds}");
    }
}
