//! Session management: a frame of the provider's that a script asks again and again. It needs cookies that browsers do
//! not send to frames any more, and it is not offered.

use doorward_tests::client::{Answer, path_of};
use doorward_tests::hostile::{Endpoint, Fault, HostileIdp, User};
use doorward_tests::scene::{APP, Plan, Scene};

fn assert_still(path: &str, page: &Answer) {
    let text = page.text().to_ascii_lowercase();
    for part in ["<iframe", "<frame", "<script", "postmessage", "check_session", "session_state"] {
        assert!(!text.contains(part), "{path}: {text}");
    }
    let policy = page.field("content-security-policy").unwrap_or_else(|| panic!("{path}: {:?}", page.fields));
    assert!(policy.contains("default-src 'none'") && !policy.contains("frame-src") && !policy.contains("child-src"), "{path}: {policy}");
}

#[tokio::test]
async fn conf_session_oidcc_client_test_session_management_logout_21() {
    let idp = HostileIdp::start().await;
    let frame = format!("{}check_session", idp.issuer());
    idp.fault(Endpoint::Discovery, Fault::with("check_session_iframe", frame));
    let scene = Scene::with(Plan::oidc(idp.issuer())).await;
    let mut browser = scene.browser(APP);
    let authorization = idp.authorization(browser.go("/private").await.location());
    let code = idp.code_for(&authorization, &User::ada());
    // A provider that offers it adds a parameter to its answer, which harms nobody.
    let back = browser.go(&path_of(&authorization.callback(&[("code", &code), ("session_state", "c2Vzc2lvbg.c2FsdA")]))).await;
    assert_eq!(back.status, 303, "{}", back.text());
    for path in ["check_session_iframe", "check_session", "session/iframe", "logout/session"] {
        let answer = browser.go(&format!("/_doorward/{path}")).await;
        assert_eq!(answer.status, 404, "{path}");
        assert_still(path, &answer);
    }
    for path in ["whoami", "logout"] {
        let answer = browser.go(&format!("/_doorward/{path}")).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_still(path, &answer);
    }
    // Its neighbour is there, and says nothing that a frame could be asked with.
    let session = browser.fetch("/_doorward/session").await;
    assert_eq!(session.status, 200);
    assert!(!session.text().contains("session_state") && !session.text().contains("check_session"), "{}", session.text());
    assert_eq!(idp.requests(Endpoint::Elsewhere), 0, "the frame is never fetched");
}
