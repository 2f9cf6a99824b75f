//! Front-channel logout: a page in a frame of the provider's.

use doorward_tests::client::Answer;
use doorward_tests::hostile::{Endpoint, HostileIdp, User};
use doorward_tests::scene::{APP, Plan, Scene};

use super::{MEMORY, SID, cookie_rig, is_in, quick, rig, signed_in};

/// As a browser loads a frame of another site's page: without our cookies.
async fn framed(scene: &Scene, query: &str) -> Answer {
    let fields = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe"), ("accept", "text/html")];
    scene.browser(APP).request("GET", &format!("/_doorward/logout/frontchannel{query}"), &fields, b"").await
}

fn query(issuer: &str, sid: &str) -> String {
    let pairs = [("iss", issuer), ("sid", sid)];
    format!("?{}", url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish())
}

fn assert_framable_by(answer: &Answer, origin: &str) {
    let policy = answer.field("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && policy.ends_with(&format!("frame-ancestors {origin}")), "{policy}");
    assert_eq!(answer.field("x-frame-options").is_some(), origin == "'none'");
    assert_eq!(answer.field("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn conf_beyond_oidcc_client_test_rp_frontchannel_opinitlogout_logout_20() {
    let (idp, scene) = rig(MEMORY).await;
    let (one, two) =
        (signed_in(&idp, &scene, &User::ada(), SID).await, signed_in(&idp, &scene, &User::ada(), "a provider's session 2").await);
    let asked = idp.log().len();
    let answer = framed(&scene, &query(idp.issuer(), SID)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_framable_by(&answer, idp.issuer().trim_end_matches('/'));
    assert_eq!([is_in(&one).await, is_in(&two).await], [false, true]);
    assert_eq!(idp.requests(Endpoint::Revocation) + idp.requests(Endpoint::EndSession), 0);
    assert_eq!(idp.log().len(), asked, "the provider is asked nothing");
    assert_eq!(scene.metric("doorward_logouts_total{kind=\"frontchannel\",outcome=\"ok\"}").await, 1.0);
}

/// We sign out, the provider ends its session, and loads our page in a frame of its own: another app of ours learns of it so.
#[tokio::test]
async fn conf_front_channel_oidcc_client_test_rp_frontchannel_rpinitlogout() {
    let (idp, scene) = rig(MEMORY).await;
    let (mut one, other_host) = (signed_in(&idp, &scene, &User::ada(), SID).await, signed_in(&idp, &scene, &User::ada(), SID).await);
    let away = one.post("/_doorward/logout").await;
    assert!(away.status == 303 && away.location().starts_with(&format!("{}oidc/logout?", idp.issuer())), "{:?}", away.fields);
    assert!(is_in(&other_host).await);
    let answer = framed(&scene, &query(idp.issuer(), SID)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(!is_in(&other_host).await);
}

#[tokio::test]
async fn logout_20_what_names_nothing_here_changes_nothing() {
    let (idp, scene) = rig(MEMORY).await;
    let browser = signed_in(&idp, &scene, &User::ada(), SID).await;
    let issuer = idp.issuer();
    for (name, query, status) in [
        ("an unknown session", query(issuer, "nobody's session ever"), 200),
        ("another issuer", query("https://evil.test/", SID), 400),
        ("the issuer without its slash", query(issuer.trim_end_matches('/'), SID), 400),
        ("no issuer", format!("?sid={SID}").replace(' ', "+"), 400),
        ("no session", format!("?iss={issuer}"), 400),
        ("nothing", String::new(), 400),
        ("two sessions", query(issuer, SID) + "&sid=x", 400),
        ("two issuers", query(issuer, SID) + "&iss=x", 400),
        ("a sid that could be guessed", query(issuer, "123456789012345"), 400),
    ] {
        let answer = framed(&scene, &query).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
        assert_framable_by(&answer, if status == 200 { issuer.trim_end_matches('/') } else { "'none'" });
        assert!(!answer.text().contains("evil.test") && !answer.text().contains(SID), "{name}: nothing is repeated");
        assert!(is_in(&browser).await, "{name}");
    }
    assert_eq!(scene.metric("doorward_revocations_active").await, 0.0);
    assert_eq!(scene.ask(APP, "POST", "/_doorward/logout/frontchannel", &[]).await.status, 405);
    // Who knew a session and who did not is told the same.
    let (known, unknown) = (framed(&scene, &query(issuer, SID)).await, framed(&scene, &query(issuer, "nobody's session ever")).await);
    assert_eq!((known.status, known.body), (unknown.status, unknown.body));
}

#[tokio::test]
async fn logout_20_sessions_in_cookies_are_out_of_reach_unless_the_cookie_comes_along() {
    let (idp, scene) = cookie_rig().await;
    let mut browser = signed_in(&idp, &scene, &User::ada(), SID).await;
    let other = signed_in(&idp, &scene, &User::ada(), "a provider's session 2").await;
    let answer = framed(&scene, &query(idp.issuer(), SID)).await;
    assert!(answer.status == 200 && answer.text().contains("back-channel logout"), "{}", answer.text());
    assert!(is_in(&browser).await && scene.metric("doorward_revocations_active").await == 0.0);
    // A provider of the same site: browsers send the cookie along, and it must be of that very session.
    let path = format!("/_doorward/logout/frontchannel{}", query(idp.issuer(), SID));
    other.clone().go(&path).await;
    assert!(is_in(&browser).await && is_in(&other).await, "the cookie of another session");
    let copy = browser.clone();
    assert_eq!(browser.go(&path).await.status, 200);
    assert!(browser.cookies.is_empty() && !is_in(&copy).await);
}

#[tokio::test]
async fn logout_20_who_guesses_is_stopped() {
    let idp = HostileIdp::start().await;
    let server = "  limits: { bad_credentials_per_client: 3 }\n".to_owned();
    let scene = Scene::with(Plan { server, session: MEMORY.into(), tempo: quick(), ..Plan::oidc(idp.issuer()) }).await;
    for at in 0..4 {
        assert_eq!(framed(&scene, &query(idp.issuer(), &format!("a guess at a session {at}"))).await.status, 200);
    }
    assert_eq!(framed(&scene, &query(idp.issuer(), "a guess at a session 5")).await.status, 429);
}
