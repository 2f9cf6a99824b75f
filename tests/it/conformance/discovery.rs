//! The configuration plan: metadata, and keys that change. Its `idtoken-sig-none` stands with the basic plan's.

use doorward_tests::client::path_of;
use doorward_tests::hostile::{Endpoint, Fault, HostileIdp, Profile, User, discovery, forge};
use doorward_tests::scene::APP;
use serde_json::json;

use super::{By, Case, refused, signed_in};

#[tokio::test]
async fn conf_config_oidcc_client_test_discovery_openid_config() {
    let idp = HostileIdp::start_as(Profile { issuer_path: "/realms/staff".into(), ..Profile::default() }).await;
    let case = Case::before(idp, By::Query, |plan| plan).await;
    assert_eq!(case.sign_in().await, signed_in());
    let first = &case.idp.log()[0];
    assert_eq!((first.method.as_str(), first.target.as_str()), ("GET", "/realms/staff/.well-known/openid-configuration"));
    assert_eq!((case.idp.requests(Endpoint::Discovery), case.idp.requests(Endpoint::Elsewhere)), (1, 0));
}

/// The suite makes a new address each time, so that nobody knows it who did not read the metadata.
#[tokio::test]
async fn conf_config_oidcc_client_test_discovery_jwks_uri_keys() {
    let case = Case::start(By::Query).await;
    let path = "/.well-known/jwks.json?of=bXlzdGVyeQ";
    let uri = format!("{}{path}", case.idp.issuer().trim_end_matches('/'));
    case.idp.fault(Endpoint::Discovery, Fault::with("jwks_uri", uri));
    assert_eq!(case.sign_in().await, signed_in());
    let fetched: Vec<String> =
        case.idp.log().into_iter().filter(|request| request.endpoint == Endpoint::Jwks).map(|request| request.target).collect();
    assert_eq!(fetched, [path]);
}

#[tokio::test]
async fn conf_config_oidcc_client_test_discovery_issuer_mismatch() {
    for (more, status) in [("", 302), ("INVALID", 503)] {
        let case = Case::start(By::Query).await;
        case.idp.fault(Endpoint::Discovery, discovery::issuer(format!("{}{more}", case.idp.issuer())));
        let answer = case.scene.browser(APP).go("/private").await;
        assert_eq!((answer.status, answer.field("location").is_some()), (status, status == 302), "{more}: {}", answer.text());
        assert_eq!(case.idp.requests(Endpoint::Jwks), usize::from(status == 302), "{more}: nothing else is asked of a stranger");
    }
}

#[tokio::test]
async fn conf_config_oidcc_client_test_signing_key_rotation_just_before_signing() {
    let case = Case::start(By::Query).await;
    let mut browser = case.scene.browser(APP);
    let location = case.begin(&mut browser).await;
    let known = case.idp.requests(Endpoint::Jwks);
    let callback = case.idp.grant(&location, &User::ada());
    case.idp.rotate_unannounced();
    case.idp.withdraw_previous_keys();
    assert_eq!(browser.go(&path_of(&callback)).await.status, 303);
    assert_eq!((known, case.idp.requests(Endpoint::Jwks)), (1, 2));
}

#[tokio::test]
async fn conf_config_oidcc_client_test_signing_key_rotation() {
    let case = Case::start(By::Query).await;
    assert_eq!(case.sign_in().await, signed_in());
    let old = case.idp.current_kid();
    case.idp.rotate_unannounced();
    case.idp.withdraw_previous_keys();
    assert_eq!(case.sign_in().await, signed_in());
    assert_eq!(case.idp.requests(Endpoint::Jwks), 2);
    // The key that signed before is not believed any more, nor one that nobody ever published.
    case.idp.next_id_token(move |token| token.header["kid"] = json!(old));
    assert_eq!(case.sign_in().await, refused("token_unknown_key"));
    case.idp.next_id_token(forge::unknown_kid);
    assert_eq!(case.sign_in().await, refused("token_unknown_key"));
    assert_eq!(case.sign_in().await, signed_in());
}
