//! Back-channel logout. Tests named `conf_…` are modules of the OpenID Foundation's conformance suite for relying parties.

use doorward_tests::asker::HOOKS;
use doorward_tests::client::Answer;
use doorward_tests::hostile::{Endpoint, Fault, HostileIdp, Token, User, forge, jwks};
use doorward_tests::scene::{APP, Plan, Scene};

use super::{BACKCHANNEL, FORM, MEMORY, SID, cookie_rig, grace, is_in, quick, reason, rig, signed_in, tell};
use crate::frames;
use crate::oidc::come_back;

/// 400 as §2.8 has it: JSON that nobody keeps, and nothing about any session in it.
fn assert_refused(name: &str, answer: &Answer) {
    assert_eq!((answer.status, answer.json()["error"].as_str()), (400, Some("invalid_request")), "{name}: {}", answer.text());
    assert_eq!(answer.field("cache-control"), Some("no-store"), "{name}");
    for told in ["auth0|", "provider's session", "eyJ", "signature", "nonce"] {
        assert!(!answer.text().contains(told), "{name}: {}", answer.text());
    }
}

/// Sends one changed token about a live session: nothing may happen. And then the same unchanged: it ends.
async fn refuses(change: fn(&mut Token), label: &str) {
    let (idp, scene) = cookie_rig().await;
    refuses_of(&idp, &scene, change, label).await;
}

async fn refuses_of(idp: &HostileIdp, scene: &Scene, change: fn(&mut Token), label: &str) {
    let browser = signed_in(idp, scene, &User::ada(), SID).await;
    let sub = &User::ada().sub;
    let answer = tell(&browser, &idp.logout_token(Some(sub), Some(SID), change)).await;
    assert_refused(label, &answer);
    assert_eq!(scene.reason_of(&answer).await, label);
    assert!(is_in(&browser).await, "{label}");
    assert_eq!(tell(&browser, &idp.logout_token(Some(sub), Some(SID), |_| {})).await.status, 200, "{label}");
    assert!(!is_in(&browser).await, "{label}");
}

#[tokio::test]
async fn conf_back_channel_oidcc_client_test_rp_backchannel_rpinitlogout() {
    let (idp, scene) = cookie_rig().await;
    let mut browser = signed_in(&idp, &scene, &User::ada(), SID).await;
    let copy = browser.clone();
    let away = browser.post("/_doorward/logout").await;
    assert!(away.status == 303 && away.location().starts_with(&format!("{}oidc/logout?", idp.issuer())), "{:?}", away.fields);
    // The provider tells everybody, us too; we know already.
    let token = idp.logout_token(Some(&User::ada().sub), Some(SID), |_| {});
    let answer = tell(&browser, &token).await;
    assert_eq!((answer.status, answer.field("cache-control"), answer.body.len()), (200, Some("no-store"), 0));
    assert!(!is_in(&copy).await);
}

#[tokio::test]
async fn conf_back_channel_oidcc_client_test_rp_backchannel_rpinitlogout_alg_none() {
    refuses(forge::alg_none, "token_algorithm").await;
}

#[tokio::test]
async fn conf_back_channel_oidcc_client_test_rp_backchannel_rpinitlogout_no_event() {
    refuses(|token| token.without("events"), "token_missing_claim").await;
}

#[tokio::test]
async fn conf_back_channel_oidcc_client_test_rp_backchannel_rpinitlogout_with_nonce() {
    refuses(|token| token.claims["nonce"] = "n-0S6_WzA2Mj".into(), "token_nonce").await;
}

#[tokio::test]
async fn conf_back_channel_oidcc_client_test_rp_backchannel_rpinitlogout_wrong_alg() {
    let (idp, scene) = cookie_rig().await;
    // A right signature by a key that the provider publishes; only the algorithm is not the one that was agreed on.
    idp.fault(Endpoint::Jwks, jwks::with_es256_key());
    refuses_of(&idp, &scene, forge::es256, "token_algorithm").await;
}

#[tokio::test]
async fn conf_back_channel_oidcc_client_test_rp_backchannel_rpinitlogout_wrong_aud() {
    refuses(forge::for_other_client, "token_audience").await;
}

#[tokio::test]
async fn conf_back_channel_oidcc_client_test_rp_backchannel_rpinitlogout_wrong_event() {
    refuses(|token| token.claims["events"] = serde_json::json!({ "http://schemas.openid.net/event/other": {} }), "token_events").await;
}

#[tokio::test]
async fn conf_back_channel_oidcc_client_test_rp_backchannel_rpinitlogout_wrong_iss() {
    refuses(forge::wrong_issuer, "token_issuer").await;
}

#[tokio::test]
async fn logout_10_11_no_other_lie_signs_anybody_out() {
    let (idp, scene) = cookie_rig().await;
    let browser = signed_in(&idp, &scene, &User::ada(), SID).await;
    let sub = &User::ada().sub;
    for (name, change, label) in forge::LOGOUT_REFUSED {
        let answer = tell(&browser, &idp.logout_token(Some(sub), Some(SID), change)).await;
        assert_refused(name, &answer);
        assert_eq!(scene.reason_of(&answer).await, *label, "{name}");
        assert!(is_in(&browser).await, "{name}");
    }
    assert_eq!(scene.metric("doorward_revocations_active").await, 0.0, "LOGOUT-14: nothing of them is kept");
    assert_eq!(idp.requests_elsewhere(), 0);
}

#[tokio::test]
async fn logout_10_what_is_right_though_unusual_signs_out() {
    let (idp, scene) = cookie_rig().await;
    for (at, (name, change)) in forge::LOGOUT_ACCEPTED.iter().enumerate() {
        let sid = format!("provider's session {at}");
        let browser = signed_in(&idp, &scene, &User::ada(), &sid).await;
        let answer = tell(&browser, &idp.logout_token(None, Some(&sid), change)).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        assert!(!is_in(&browser).await, "{name}");
    }
}

#[tokio::test]
async fn logout_10_one_token_in_one_form_by_post_alone() {
    let (idp, scene) = cookie_rig().await;
    let browser = signed_in(&idp, &scene, &User::ada(), SID).await;
    let token = idp.logout_token(None, Some(SID), |_| {});
    let form = format!("logout_token={token}");
    let mut provider = scene.browser(APP);
    for method in ["GET", "PUT", "DELETE", "HEAD"] {
        let answer = provider.request(method, &format!("{BACKCHANNEL}?{form}"), &[], b"").await;
        assert_eq!((answer.status, answer.field("allow")), (405, Some("POST")), "{method}");
    }
    let twice = format!("{form}&{form}");
    let json = format!("{{\"logout_token\":\"{token}\"}}");
    let broken = format!("{form}&x=%zz");
    for (name, kind, body) in [
        ("nothing", FORM.1, ""),
        ("twice", FORM.1, twice.as_str()),
        ("as JSON", "application/json", &json),
        ("as text", "text/plain", &form),
        ("as a token", "application/jwt", &token),
        ("under another name", FORM.1, "token=x"),
        ("empty", FORM.1, "logout_token="),
        ("a broken escape", FORM.1, &broken),
    ] {
        let answer = provider.request("POST", BACKCHANNEL, &[("content-type", kind)], body.as_bytes()).await;
        assert_refused(name, &answer);
        assert!(is_in(&browser).await, "{name}");
    }
    let in_the_query = provider.request("POST", &format!("{BACKCHANNEL}?{form}"), &[FORM], b"").await;
    assert_refused("in the query", &in_the_query);
    let long = format!("{form}&x={}", "x".repeat(16 * 1024));
    assert_eq!(provider.request("POST", BACKCHANNEL, &[FORM], long.as_bytes()).await.status, 413);
    assert!(is_in(&browser).await);
    let more = format!("more=1&{form}");
    assert_eq!(provider.request("POST", BACKCHANNEL, &[FORM], more.as_bytes()).await.status, 200);
    assert!(!is_in(&browser).await);
}

#[tokio::test]
async fn logout_10_a_token_counts_once() {
    let (idp, scene) = cookie_rig().await;
    let browser = signed_in(&idp, &scene, &User::ada(), SID).await;
    let token = idp.logout_token(None, Some(SID), |_| {});
    assert_eq!(tell(&browser, &token).await.status, 200);
    assert_refused("replayed", &tell(&browser, &token).await);
    assert_eq!(reason(&scene).await, "replayed");
    assert_eq!(tell(&browser, &idp.logout_token(None, Some(SID), |_| {})).await.status, 200, "another about the same");
}

#[tokio::test]
async fn logout_12_known_or_not_the_answer_is_the_same() {
    let (idp, scene) = cookie_rig().await;
    let browser = signed_in(&idp, &scene, &User::ada(), SID).await;
    let known = tell(&browser, &idp.logout_token(None, Some(SID), |_| {})).await;
    let unknown = tell(&browser, &idp.logout_token(None, Some("nobody's session"), |_| {})).await;
    let told = |answer: &Answer| {
        let fields = answer.fields.iter().filter(|(name, _)| name != "x-request-id" && !name.eq_ignore_ascii_case("date"));
        (answer.status, answer.body.clone(), fields.cloned().collect::<Vec<_>>())
    };
    assert_eq!(told(&known), told(&unknown));
    assert!(known.all("set-cookie").is_empty());
}

#[tokio::test]
async fn logout_13_15_by_session_that_one_and_by_person_all_in_every_store() {
    for session in ["  idle: 1h\n  lifetime: 12h\n", MEMORY] {
        let (idp, scene) = rig(session).await;
        let ada = User::ada();
        let (one, two) = (signed_in(&idp, &scene, &ada, SID).await, signed_in(&idp, &scene, &ada, "session 2").await);
        let other = signed_in(&idp, &scene, &grace(), "session 3").await;
        assert_eq!(tell(&one, &idp.logout_token(Some(&ada.sub), Some(SID), |_| {})).await.status, 200);
        assert_eq!([is_in(&one).await, is_in(&two).await, is_in(&other).await], [false, true, true], "{session}: with a sid, that one");
        assert_eq!(tell(&one, &idp.logout_token(Some(&ada.sub), None, |_| {})).await.status, 200);
        assert_eq!([is_in(&one).await, is_in(&two).await, is_in(&other).await], [false, false, true], "{session}: all of hers");
        // Whoever signs in after the sign-out is in.
        idp.skew_clock(2);
        let again = signed_in(&idp, &scene, &ada, "session 4").await;
        assert!(is_in(&again).await, "{session}");
    }
}

#[tokio::test]
async fn logout_11_of_two_people_the_session_counts_not_the_name_beside_it() {
    let (idp, scene) = cookie_rig().await;
    let ada = signed_in(&idp, &scene, &User::ada(), SID).await;
    let grace_in = signed_in(&idp, &scene, &grace(), "session 2").await;
    assert_eq!(tell(&ada, &idp.logout_token(Some(&grace().sub), Some(SID), |_| {})).await.status, 200);
    assert_eq!([is_in(&ada).await, is_in(&grace_in).await], [false, true]);
}

/// The same person and session at two issuers, one of which says that they are signed out.
#[tokio::test]
async fn logout_11_an_issuer_speaks_for_its_own_people_alone() {
    let (idp, other) = (HostileIdp::start().await, HostileIdp::start().await);
    let plan = Plan::oidc(idp.issuer());
    let second = format!(
        "  other:\n    kind: oidc\n    issuer: \"{}\"\n    client_id: doorward\n    client_secret: {{ file: hostile }}\n    insecure_http: true\n",
        other.issuer()
    );
    let routes = "\n  - { name: app, host: app.localhost, upstream: \"UPSTREAM\", provider: tenant, accept: session, rules: [{ allow: signed-in }] }\n";
    let scene = Scene::with(Plan { provider: plan.provider.clone() + &second, routes: routes.into(), tempo: quick(), ..plan }).await;
    let browser = signed_in(&idp, &scene, &User::ada(), SID).await;
    // Signed by the other one, in its own name and in the first one's.
    let answer = tell(&browser, &other.logout_token(Some(&User::ada().sub), Some(SID), |_| {})).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(is_in(&browser).await);
    let issuer = idp.issuer().to_owned();
    assert_refused(
        "in another's name",
        &tell(&browser, &other.logout_token(None, Some(SID), |token| token.claims["iss"] = issuer.into())).await,
    );
    assert!(is_in(&browser).await);
    assert_eq!(tell(&browser, &idp.logout_token(None, Some(SID), |_| {})).await.status, 200);
    assert!(!is_in(&browser).await);
}

#[tokio::test]
async fn logout_10_a_key_that_is_new_is_looked_for_and_a_provider_that_is_down_is_no_refusal() {
    let (idp, scene) = cookie_rig().await;
    let browser = signed_in(&idp, &scene, &User::ada(), SID).await;
    idp.rotate_unannounced();
    assert_eq!(tell(&browser, &idp.logout_token(None, Some(SID), |_| {})).await.status, 200);
    assert!(!is_in(&browser).await);
    // An edge that was started a moment ago knows no keys yet.
    let twin = scene.twin(|text| text).await;
    let browser = twin.visit(&browser);
    idp.fault(Endpoint::Jwks, Fault::Status(500));
    let token = idp.logout_token(None, Some(SID), |_| {});
    let answer = tell(&browser, &token).await;
    assert_eq!((answer.status, answer.field("retry-after")), (503, Some("10")), "{}", answer.text());
    idp.clear();
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert_eq!(tell(&browser, &token).await.status, 200, "the same token is as good as before");
}

#[tokio::test]
async fn logout_12_who_brings_many_bad_tokens_is_not_heard_for_a_while() {
    let idp = HostileIdp::start().await;
    let server = "  limits: { bad_credentials_per_client: 3 }\n".to_owned();
    let scene = Scene::with(Plan { server, tempo: quick(), ..Plan::oidc(idp.issuer()) }).await;
    let browser = scene.browser(APP);
    for _ in 0..4 {
        assert_eq!(tell(&browser, "x.y.z").await.status, 400);
    }
    let answer = tell(&browser, "x.y.z").await;
    assert_eq!((answer.status, answer.field("retry-after")), (429, Some("60")));
    // Bad cookies and tokens of others count elsewhere: they keep no sign-out from being heard.
    let scene =
        Scene::with(Plan { server: "  limits: { bad_credentials_per_client: 3 }\n".into(), tempo: quick(), ..Plan::oidc(idp.issuer()) })
            .await;
    let browser = signed_in(&idp, &scene, &User::ada(), SID).await;
    for _ in 0..6 {
        scene.call("/items", "x.y.z").await;
    }
    assert_eq!(tell(&browser, &idp.logout_token(None, Some(SID), |_| {})).await.status, 200);
}

#[tokio::test]
async fn logout_13_a_callback_that_comes_after_the_sign_out_revives_nothing() {
    let (idp, scene) = cookie_rig().await;
    let mut browser = scene.browser(APP);
    assert_eq!(tell(&browser, &idp.logout_token(None, Some(SID), |_| {})).await.status, 200);
    idp.next_id_token(|token| token.claims["sid"] = SID.into());
    come_back(&idp, &mut browser, "/private", &User::ada()).await;
    assert!(!is_in(&browser).await);
}

#[tokio::test]
async fn logout_10_behind_another_proxy_a_provider_is_heard_as_well() {
    let idp = HostileIdp::start().await;
    let scene = Scene::with(Plan { server: HOOKS.into(), tempo: quick(), ..Plan::oidc(idp.issuer()) }).await;
    let browser = signed_in(&idp, &scene, &User::ada(), SID).await;
    let address = format!("http://{}{BACKCHANNEL}", scene.edge().hook_addresses()[0]);
    let post = async |form: String| {
        let request = reqwest::Client::new().post(&address).header("host", APP).header("x-forwarded-proto", "https");
        request.header(FORM.0, FORM.1).body(form).send().await.unwrap().status().as_u16()
    };
    assert_eq!(post(format!("logout_token=x&x={}", "x".repeat(20_000))).await, 413);
    assert_eq!(post(format!("logout_token={}", idp.logout_token(None, Some(SID), forge::wrong_issuer))).await, 400);
    assert!(is_in(&browser).await);
    assert_eq!(post(format!("logout_token={}", idp.logout_token(None, Some(SID), |_| {}))).await, 200);
    assert!(!is_in(&browser).await);
}

#[tokio::test]
async fn dos_02_the_content_comes_whole_in_any_framing_or_the_connection_ends() {
    let (idp, scene) = cookie_rig().await;
    let head = format!("POST {BACKCHANNEL} HTTP/1.1\r\nhost: {APP}\r\n{}: {}\r\n", FORM.0, FORM.1);
    let form = |sid: &str| format!("logout_token={}", idp.logout_token(None, Some(sid), |_| {}));
    // In chunks; and the connection goes on afterwards.
    let mut raw = scene.raw(APP).await;
    let (one, two) = (form("1"), form("2"));
    let (begin, end) = one.split_at(40);
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    raw.send(format!("{head}transfer-encoding: chunked\r\n\r\n{}", chunk(begin)).as_bytes()).await;
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    raw.send(format!("{}0\r\n\r\n", chunk(end)).as_bytes()).await;
    assert_eq!(raw.answer().await.unwrap().status, 200);
    // Whoever asks first is told to go on.
    raw.send(format!("{head}content-length: {}\r\nexpect: 100-continue\r\n\r\n", two.len()).as_bytes()).await;
    assert_eq!(raw.answer().await.unwrap().status, 100);
    raw.send(two.as_bytes()).await;
    assert_eq!(raw.answer().await.unwrap().status, 200);
    // More than is taken, unannounced.
    let mut raw = scene.raw(APP).await;
    raw.send(format!("{head}transfer-encoding: chunked\r\n\r\n{}", chunk(&"x".repeat(17_000))).as_bytes()).await;
    assert_eq!(raw.answer().await.unwrap().status, 413);
    // Content that never ends.
    let mut raw = scene.raw(APP).await;
    let begun = std::time::Instant::now();
    raw.send(format!("{head}content-length: 100\r\n\r\nlogout_token=").as_bytes()).await;
    assert_eq!(raw.answer().await.unwrap().status, 400);
    assert!(begun.elapsed() < std::time::Duration::from_secs(15));
}

#[tokio::test]
async fn logout_10_over_http2_as_well() {
    let (idp, scene) = cookie_rig().await;
    let browser = signed_in(&idp, &scene, &User::ada(), SID).await;
    let post = async |form: String| {
        let request = http::Request::post(format!("https://{APP}{BACKCHANNEL}")).header(FORM.0, FORM.1).body(()).unwrap();
        frames::ask(scene.address(), &scene.ca, request, form.as_bytes()).await.unwrap().status().as_u16()
    };
    assert_eq!(post(format!("x={}", "x".repeat(17_000))).await, 413);
    assert_eq!(post(format!("logout_token={}", idp.logout_token(None, Some(SID), forge::wrong_issuer))).await, 400);
    assert!(is_in(&browser).await);
    assert_eq!(post(format!("logout_token={}", idp.logout_token(None, Some(SID), |_| {}))).await, 200);
    assert!(!is_in(&browser).await);
}
