//! RP-initiated logout: here first, then at the provider, then back.

use std::time::Duration;

use doorward_demo::tenant::TenantSettings;
use doorward_tests::client::{Answer, Browser, parameter, path_of};
use doorward_tests::hostile::{Endpoint, Fault, HostileIdp, User};
use doorward_tests::scene::{APP, Plan, Scene};

use crate::oidc::come_back;

use super::{COOKIE, MEMORY, SID, cookie_rig, is_in, quick, rig, signed_in};

const DONE: &str = "/_doorward/logout/done";

/// An edge whose provider sends browsers back to our own page.
async fn coming_back(session: &str) -> (HostileIdp, Scene) {
    let idp = HostileIdp::start().await;
    let plan = Plan::oidc(idp.issuer());
    let provider = plan.provider.clone() + &format!("    after_logout: {DONE}\n");
    let scene = Scene::with(Plan { provider, session: session.into(), tempo: quick(), ..plan }).await;
    (idp, scene)
}

async fn sign_out(browser: &mut Browser, query: &str) -> Answer {
    let answer = browser.post(&format!("/_doorward/logout{query}")).await;
    assert!(browser.cookies.is_empty(), "{:?}", browser.cookies);
    answer
}

#[tokio::test]
async fn conf_rp_initiated_oidcc_client_test_rp_init_logout() {
    let (idp, scene) = coming_back(MEMORY).await;
    let mut browser = signed_in(&idp, &scene, &User::ada(), SID).await;
    let copy = browser.clone();
    let answer = sign_out(&mut browser, "").await;
    let url = answer.location();
    assert!(answer.status == 303 && url.starts_with(&format!("{}oidc/logout?", idp.issuer())), "{url}");
    assert_eq!(parameter(url, "client_id"), "doorward");
    assert_eq!(parameter(url, "post_logout_redirect_uri"), format!("https://app.localhost{DONE}"));
    let hint = parameter(url, "id_token_hint");
    assert!(hint.starts_with("eyJ") && !url.contains("logout_hint"), "{url}");
    let state = parameter(url, "state");
    // LOGOUT-05: here it is over before the browser ever reaches the provider.
    assert!(!is_in(&copy).await);
    let back = browser.go(&format!("{DONE}?state={state}")).await;
    assert!(back.status == 200 && back.text().contains("You are signed out"), "{}", back.text());
}

#[tokio::test]
async fn conf_rp_initiated_oidcc_client_test_rp_init_logout_other_state() {
    let (idp, scene) = coming_back(MEMORY).await;
    let mut browser = signed_in(&idp, &scene, &User::ada(), SID).await;
    sign_out(&mut browser, "").await;
    let sealed = parameter(sign_out(&mut signed_in(&idp, &scene, &User::ada(), "2").await, "?return_to=/bye").await.location(), "state");
    let twice = format!("state={sealed}&state={sealed}");
    for query in
        ["state=other", "state=", "state=%00", "state=https://evil.test/", "state=/bye", "return_to=https://evil.test/", &twice, "%zz"]
    {
        let back = browser.go(&format!("{DONE}?{query}")).await;
        assert!(back.status == 200 && back.text().contains("You are signed out"), "{query}: {}", back.text());
        assert!(!back.text().contains("evil.test"), "{query}");
    }
    let back = browser.go(&format!("{DONE}?state={sealed}")).await;
    assert_eq!((back.status, back.location()), (303, "https://app.localhost/bye"));
}

#[tokio::test]
async fn conf_rp_initiated_oidcc_client_test_rp_init_logout_no_state() {
    let (idp, scene) = coming_back(MEMORY).await;
    let mut browser = signed_in(&idp, &scene, &User::ada(), SID).await;
    // Whoever is signed in is not told otherwise by a link.
    let page = browser.go(DONE).await;
    assert!(page.status == 200 && page.text().contains("<form") && !page.text().contains("You are signed out"), "{}", page.text());
    assert!(is_in(&browser).await);
    sign_out(&mut browser, "").await;
    let back = browser.go(DONE).await;
    assert!(back.status == 200 && back.text().contains("You are signed out"), "{}", back.text());
}

#[tokio::test]
async fn logout_01_without_an_id_token_the_session_is_named_by_its_sid() {
    let (idp, scene) = cookie_rig().await;
    let mut browser = signed_in(&idp, &scene, &User::ada(), SID).await;
    let answer = sign_out(&mut browser, "").await;
    let url = answer.location();
    assert_eq!((parameter(url, "logout_hint"), parameter(url, "client_id")), (SID.to_owned(), "doorward".to_owned()));
    assert!(!url.contains("id_token_hint") && !url.contains("state="), "an app's own page has no use for a state: {url}");
    assert_eq!(parameter(url, "post_logout_redirect_uri"), "https://app.localhost/");
}

#[tokio::test]
async fn logout_05_a_copied_cookie_opens_nothing_any_more_in_any_store() {
    for session in ["  idle: 1h\n  lifetime: 12h\n", MEMORY] {
        let (idp, scene) = rig(session).await;
        let mut browser = signed_in(&idp, &scene, &User::ada(), SID).await;
        let other = signed_in(&idp, &scene, &User::ada(), SID).await;
        let copy = browser.clone();
        assert!(is_in(&copy).await);
        sign_out(&mut browser, "").await;
        assert!(!is_in(&copy).await, "{session}");
        assert!(is_in(&other).await, "{session}: another sign-in of the same person is another session");
        let told = copy.clone().fetch("/_doorward/session").await;
        assert_eq!(told.status, 401, "{session}");
    }
}

#[tokio::test]
async fn logout_15_a_restart_forgets_no_sign_out_where_there_is_a_place_to_keep_it() {
    let idp = HostileIdp::start().await;
    let folder = tempfile::tempdir().unwrap();
    let server = format!("  state_dir: {}\n", folder.path().display());
    let mut scene = Scene::with(Plan { server, tempo: quick(), ..Plan::oidc(idp.issuer()) }).await;
    let mut browser = signed_in(&idp, &scene, &User::ada(), SID).await;
    let (copy, other) = (browser.clone(), signed_in(&idp, &scene, &User::ada(), "2").await);
    sign_out(&mut browser, "").await;
    assert!(scene.stop().await);
    let twin = scene.twin(|text| text).await;
    assert_eq!([is_in(&twin.visit(&copy)).await, is_in(&twin.visit(&other)).await], [false, true]);
}

#[tokio::test]
async fn logout_03_where_the_provider_has_no_such_place_or_is_down_it_is_done_here() {
    for down in [false, true] {
        let idp = HostileIdp::start().await;
        idp.fault(Endpoint::Discovery, Fault::without("end_session_endpoint"));
        let scene = Scene::with(Plan { session: MEMORY.into(), tempo: quick(), ..Plan::oidc(idp.issuer()) }).await;
        let mut browser = signed_in(&idp, &scene, &User::ada(), SID).await;
        let copy = browser.clone();
        if down {
            idp.stop();
        }
        let answer = sign_out(&mut browser, "").await;
        assert!(answer.status == 200 && answer.text().contains("You are signed out"), "{}", answer.text());
        assert!(!is_in(&copy).await);
        let answer = copy.clone().post("/_doorward/logout?return_to=/bye").await;
        assert_eq!((answer.status, answer.location()), (303, "/bye"));
    }
}

#[tokio::test]
async fn logout_04_the_refresh_token_is_revoked_where_that_is_asked_for() {
    for (asked, fault, requests) in [(false, None, 0), (true, None, 1), (true, Some(Fault::Status(500)), 2)] {
        let idp = HostileIdp::start().await;
        let plan = Plan::oidc(idp.issuer());
        let lines = format!("    scope: [openid, offline_access]\n    revoke_on_logout: {asked}\n");
        let scene = Scene::with(Plan { provider: plan.provider.clone() + &lines, session: MEMORY.into(), tempo: quick(), ..plan }).await;
        let mut browser = signed_in(&idp, &scene, &User::ada(), SID).await;
        if let Some(fault) = fault {
            idp.fault(Endpoint::Revocation, fault);
        }
        let begin = std::time::Instant::now();
        let answer = sign_out(&mut browser, "").await;
        assert_eq!(answer.status, 303);
        assert!(begin.elapsed() < Duration::from_secs(2), "nobody waits for that");
        let seen = idp.saw(Endpoint::Revocation, requests.max(1), Duration::from_secs(if requests == 0 { 1 } else { 5 })).await;
        assert_eq!((seen, idp.requests(Endpoint::Revocation)), (requests > 0, requests), "asked: {asked}");
        if let Some(request) = idp.log().iter().find(|request| request.endpoint == Endpoint::Revocation) {
            assert_eq!(request.field("token_type_hint").as_deref(), Some("refresh_token"));
            assert!(request.field("token").is_some_and(|token| !token.is_empty()));
        }
    }
}

#[tokio::test]
async fn logout_02_a_target_is_ours_or_listed_and_everything_else_is_as_if_it_were_not_there() {
    let (idp, scene) =
        coming_back("  idle: 1h\n  lifetime: 12h\n  store: memory\n  logout_targets: [\"https://www.acme.dev/bye\"]\n").await;
    for (target, lands) in [
        ("/bye", Some("https://app.localhost/bye")),
        ("https://both.localhost/x?y=1", Some("https://both.localhost/x?y=1")),
        ("https://www.acme.dev/bye", Some("https://www.acme.dev/bye")),
        ("https://www.acme.dev/bye/", None),
        ("https://www.acme.dev/bye?x=1", None),
        ("https://www.acme.dev/", None),
        ("https://evil.test/", None),
        ("//evil.test", None),
        ("/\\evil.test", None),
        ("javascript:alert(1)", None),
        ("/_doorward/logout", None),
        ("/_doorward/login?handoff=abc", None),
        ("", None),
    ] {
        let mut browser = signed_in(&idp, &scene, &User::ada(), SID).await;
        let query: String = url::form_urlencoded::Serializer::new(String::new()).append_pair("return_to", target).finish();
        let state = parameter(sign_out(&mut browser, &format!("?{query}")).await.location(), "state");
        let back = browser.go(&format!("{DONE}?state={state}")).await;
        assert_eq!(back.field("location"), lands, "{target}");
    }
    // Twice is none.
    let mut browser = signed_in(&idp, &scene, &User::ada(), SID).await;
    let state = parameter(sign_out(&mut browser, "?return_to=/a&return_to=/b").await.location(), "state");
    assert_eq!(browser.go(&format!("{DONE}?state={state}")).await.status, 200);
}

#[tokio::test]
async fn logout_01_who_is_asked_first_keeps_the_wish_and_the_session() {
    let (idp, scene) = rig(MEMORY).await;
    let mut browser = signed_in(&idp, &scene, &User::ada(), SID).await;
    let page = browser.go("/_doorward/logout?return_to=/bye&everywhere=0").await;
    let text = page.text().replace("&#x2f;", "/").replace("&#x3d;", "=").replace("&amp;", "&");
    assert_eq!((page.status, page.field("location")), (200, None), "{text}");
    assert!(text.contains("action=\"/_doorward/logout?return_to=%2Fbye\""), "{text}");
    assert!(text.contains("action=\"/_doorward/logout?everywhere=1&return_to=%2Fbye\""), "{text}");
    assert!(browser.cookies.contains_key(COOKIE) && is_in(&browser).await);
}

#[tokio::test]
async fn logout_05_a_ticket_whose_store_cannot_be_read_is_ended_by_its_name() {
    use doorward_tests::redis::RedisServer;
    let mut redis = RedisServer::start();
    let session = format!("  idle: 1h\n  lifetime: 12h\n  store: redis\n  redis: {{ url: \"redis://127.0.0.1:{}/0\" }}\n", redis.port());
    let (idp, scene) = rig(&session).await;
    let browser = signed_in(&idp, &scene, &User::ada(), SID).await;
    // Another process, that has never seen this session, while the store is down.
    let twin = scene.twin(|text| text).await;
    redis.kill();
    let mut there = twin.visit(&browser);
    let answer = there.post("/_doorward/logout").await;
    assert_eq!((answer.status, there.cookies.len()), (200, 0), "{}", answer.text());
    redis.start_again();
    let gone = async {
        while is_in_soon(&browser).await {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(10), gone).await.is_ok(), "the first process learns of it once the store is back");
}

/// As `is_in`, but a store that is not back yet is no answer.
async fn is_in_soon(browser: &Browser) -> bool {
    matches!(browser.clone().go("/private").await.status, 200 | 503)
}

#[tokio::test]
async fn logout_01_auth0_is_given_the_id_token_where_there_is_one_and_takes_its_own_address_where_there_is_none() {
    for (session, publishes, path) in [
        (MEMORY, true, "oidc/logout?id_token_hint=eyJ"),
        (MEMORY, false, "v2/logout?client_id="),
        ("  idle: 1h\n  lifetime: 12h\n", true, "v2/logout?client_id="),
    ] {
        let tenant = TenantSettings { rp_initiated_logout: publishes, ..TenantSettings::default() };
        let provider = format!("    after_logout: {DONE}\n");
        let scene = Scene::with(Plan { tenant: Some(tenant), provider, session: session.into(), tempo: quick(), ..Plan::default() }).await;
        let mut browser = scene.signed_in(APP, "ada").await;
        let url = sign_out(&mut browser, "?return_to=/bye").await.location().to_owned();
        assert!(url.starts_with(&format!("{}{path}", scene.tenant.issuer())), "{url}");
        let (back, state) = if path.starts_with("v2") {
            let back = parameter(&url, "returnTo");
            let state = parameter(&back, "state");
            (back.split('?').next().unwrap().to_owned(), state)
        } else {
            (parameter(&url, "post_logout_redirect_uri"), parameter(&url, "state"))
        };
        assert_eq!(back, format!("https://app.localhost{DONE}"));
        assert_eq!(browser.go(&format!("{DONE}?state={state}")).await.location(), "https://app.localhost/bye");
    }
}

#[tokio::test]
async fn logout_02_with_one_host_for_all_sign_ins_one_address_is_registered() {
    let idp = HostileIdp::start().await;
    let plan = Plan::oidc(idp.issuer());
    let server = format!("  public_url: https://both.localhost\n{}", plan.server);
    let scene = Scene::with(Plan { server, session: MEMORY.into(), tempo: quick(), ..plan }).await;
    // A session of the app's host, as the hand-off leaves it.
    let mut public = scene.browser("both.localhost");
    let answer = come_back(&idp, &mut public, "/private", &User::ada()).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    let mut app = handed_to_app(&scene, &mut public).await;
    assert!(is_in(&app).await);
    let url = sign_out(&mut app, "").await.location().to_owned();
    assert_eq!(parameter(&url, "post_logout_redirect_uri"), format!("https://both.localhost{DONE}"));
    let state = parameter(&url, "state");
    assert!(!is_in(&public).await, "all cookies of one sign-in are one session");
    let back = public.go(&format!("{DONE}?state={state}")).await;
    assert_eq!((back.status, back.location()), (303, "https://app.localhost/"), "and from there to where one was");
    // A state is for the host it comes back to.
    assert_eq!(app.go(&format!("{DONE}?state={state}")).await.status, 200);
}

#[tokio::test]
async fn logout_02_with_one_host_for_all_sign_ins_people_are_told_before_they_go_back() {
    let idp = HostileIdp::start().await;
    let plan = Plan::oidc(idp.issuer());
    let server = format!("  public_url: https://both.localhost\n{}", plan.server);
    let provider = format!("{}    after_logout: {DONE}\n", plan.provider);
    let scene = Scene::with(Plan { server, provider, session: MEMORY.into(), tempo: quick(), ..plan }).await;
    for (query, told) in [("", true), ("?return_to=/bye", false)] {
        let mut public = scene.browser("both.localhost");
        let answer = come_back(&idp, &mut public, "/private", &User::ada()).await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        let mut app = handed_to_app(&scene, &mut public).await;
        let url = sign_out(&mut app, query).await.location().to_owned();
        let back = public.go(&format!("{DONE}?state={}", parameter(&url, "state"))).await;
        if told {
            assert!(back.status == 200 && back.text().contains("You are signed out"), "{}", back.text());
            assert!(back.text().contains("https:&#x2f;&#x2f;app.localhost&#x2f;"), "{}", back.text());
        } else {
            assert_eq!((back.status, back.location()), (303, "https://app.localhost/bye"));
        }
    }
}

/// A browser at the app's host, signed in there by what the public host hands over.
async fn handed_to_app(scene: &Scene, public: &mut Browser) -> Browser {
    let asked = scene.browser(APP).go("/private").await;
    let code = public.go(&path_of(asked.location())).await;
    let mut app = scene.browser(APP);
    app.cookies.extend(asked.cookies());
    app.go(&path_of(code.location())).await;
    app
}
