//! The basic plan, once with answers in the query and once by form.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use doorward_tests::hostile::{Endpoint, Fault, HostileIdp, Profile, Signature, Token, forge, jwks};
use doorward_tests::scene::{APP, Plan};
use serde_json::{Value, json};

use super::{By, Case, refused, refuses, signed_in};

/// A module under its name in each plan that has it.
macro_rules! module {
    ($run:ident: $($test:ident by $by:ident),+) => {
        $(
            #[tokio::test]
            async fn $test() {
                $run(By::$by).await;
            }
        )+
    };
}

module!(everything_is_right: conf_basic_oidcc_client_test by Query, conf_form_post_oidcc_client_test by Form);

async fn everything_is_right(by: By) {
    let case = Case::start(by).await;
    assert_eq!(case.sign_in().await, signed_in());
    let asked = [Endpoint::Discovery, Endpoint::Jwks, Endpoint::Token, Endpoint::Userinfo, Endpoint::Authorize, Endpoint::Elsewhere];
    assert_eq!(asked.map(|endpoint| case.idp.requests(endpoint)), [1, 1, 1, 1, 0, 0]);
}

module!(invalid_iss: conf_basic_oidcc_client_test_invalid_iss by Query, conf_form_post_oidcc_client_test_invalid_iss by Form);

async fn invalid_iss(by: By) {
    refuses(by, |token| one_character_more(&mut token.claims["iss"]), "token_issuer").await;
}

module!(missing_sub: conf_basic_oidcc_client_test_missing_sub by Query, conf_form_post_oidcc_client_test_missing_sub by Form);

async fn missing_sub(by: By) {
    refuses(by, forge::missing_subject, "token_missing_claim").await;
}

module!(invalid_aud: conf_basic_oidcc_client_test_invalid_aud by Query, conf_form_post_oidcc_client_test_invalid_aud by Form);

async fn invalid_aud(by: By) {
    refuses(by, |token| one_character_more(&mut token.claims["aud"]), "token_audience").await;
}

module!(missing_iat: conf_basic_oidcc_client_test_missing_iat by Query, conf_form_post_oidcc_client_test_missing_iat by Form);

async fn missing_iat(by: By) {
    refuses(by, forge::missing_issued_at, "token_missing_claim").await;
}

module!(kid_absent_single_jwks:
    conf_basic_oidcc_client_test_kid_absent_single_jwks by Query,
    conf_form_post_oidcc_client_test_kid_absent_single_jwks by Form);

async fn kid_absent_single_jwks(by: By) {
    let case = Case::start(by).await;
    case.idp.fault(Endpoint::Jwks, jwks::single_key_without_kid());
    case.idp.next_id_token(forge::no_kid);
    assert_eq!(case.sign_in().await, signed_in());
    case.idp.next_id_token(unnamed_and_damaged);
    assert_eq!(case.sign_in().await, refused("token_signature"));
}

module!(kid_absent_multiple_jwks:
    conf_basic_oidcc_client_test_kid_absent_multiple_jwks by Query,
    conf_form_post_oidcc_client_test_kid_absent_multiple_jwks by Form);

/// The suite takes either way; we try the keys that fit.
async fn kid_absent_multiple_jwks(by: By) {
    let case = Case::start(by).await;
    case.idp.fault(Endpoint::Jwks, jwks::many_kinds_without_kid());
    case.idp.next_id_token(forge::no_kid);
    assert_eq!(case.sign_in().await, signed_in());
    case.idp.next_id_token(unnamed_and_damaged);
    assert_eq!(case.sign_in().await, refused("token_signature"));
    // JWT-10: but not any number of them.
    let case = Case::start(by).await;
    case.idp.fault(Endpoint::Jwks, jwks::crowded(10));
    case.idp.next_id_token(forge::no_kid);
    assert_eq!(case.sign_in().await, refused("token_unknown_key"));
    assert_eq!(case.sign_in().await, signed_in(), "a token that names its key");
}

module!(idtoken_sig_rs256:
    conf_basic_oidcc_client_test_idtoken_sig_rs256 by Query,
    conf_form_post_oidcc_client_test_idtoken_sig_rs256 by Form);

async fn idtoken_sig_rs256(by: By) {
    let case = Case::start(by).await;
    case.idp.next_id_token(|token| assert_eq!((&token.header["alg"], &token.signature), (&json!("RS256"), &Signature::Right)));
    assert_eq!(case.sign_in().await, signed_in());
}

module!(idtoken_sig_none:
    conf_basic_oidcc_client_test_idtoken_sig_none_oidc_16 by Query,
    conf_form_post_oidcc_client_test_idtoken_sig_none_oidc_16 by Form,
    conf_config_oidcc_client_test_idtoken_sig_none_oidc_16 by Query);

/// The suite would have it accepted, or skips the module.
async fn idtoken_sig_none(by: By) {
    refuses(by, forge::alg_none, "token_algorithm").await;
}

module!(invalid_sig_rs256:
    conf_basic_oidcc_client_test_invalid_sig_rs256 by Query,
    conf_form_post_oidcc_client_test_invalid_sig_rs256 by Form);

async fn invalid_sig_rs256(by: By) {
    refuses(by, forge::damaged_signature, "token_signature").await;
}

module!(userinfo_invalid_sub:
    conf_basic_oidcc_client_test_userinfo_invalid_sub by Query,
    conf_form_post_oidcc_client_test_userinfo_invalid_sub by Form);

async fn userinfo_invalid_sub(by: By) {
    let case = Case::start(by).await;
    case.idp.fault_next(Endpoint::Userinfo, Fault::edit(|claims| one_character_more(&mut claims["sub"])));
    assert_eq!(case.sign_in().await, refused("userinfo_subject"));
    assert_eq!(case.sign_in().await, signed_in());
}

module!(nonce_invalid: conf_basic_oidcc_client_test_nonce_invalid by Query, conf_form_post_oidcc_client_test_nonce_invalid by Form);

async fn nonce_invalid(by: By) {
    refuses(by, |token| one_character_more(&mut token.claims["nonce"]), "token_nonce").await;
}

module!(scope_userinfo_claims:
    conf_basic_oidcc_client_test_scope_userinfo_claims by Query,
    conf_form_post_oidcc_client_test_scope_userinfo_claims by Form);

async fn scope_userinfo_claims(by: By) {
    let case = Case::start(by).await;
    for (at_userinfo, seen) in [(true, Some("ada@acme.dev")), (false, None)] {
        case.idp.next_id_token(|token| token.without("email"));
        if !at_userinfo {
            case.idp.fault_next(Endpoint::Userinfo, Fault::without("email"));
        }
        assert_eq!(case.sign_in().await, signed_in());
        assert_eq!(case.scene.app.last().one("x-auth-email"), seen);
    }
    let location = case.begin(&mut case.scene.browser(APP)).await;
    let scope = case.idp.authorization(&location).must("scope").to_owned();
    assert!(["openid", "profile", "email"].iter().all(|name| scope.split(' ').any(|asked| asked == *name)), "{scope}");
}

module!(client_secret_basic:
    conf_basic_oidcc_client_test_client_secret_basic_oidc_14 by Query,
    conf_form_post_oidcc_client_test_client_secret_basic_oidc_14 by Form);

/// Both halves are form-encoded before they are joined (RFC 6749 §2.3.1).
async fn client_secret_basic(by: By) {
    // The default secret holds a space and `+/%&=`.
    let idp = HostileIdp::start_as(Profile { client_id: "door+ward%:x/1".into(), ..Profile::default() }).await;
    let client = "    client_id: \"door+ward%:x/1\"\n    client_secret: { file: hostile }";
    let case = Case::before(idp, by, |plan| Plan { client: Some(client.into()), ..plan }).await;
    assert_eq!(case.sign_in().await, signed_in());
    let request = case.idp.log().into_iter().find(|request| request.endpoint == Endpoint::Token).unwrap();
    let basic = STANDARD.decode(request.header("authorization").unwrap().strip_prefix("Basic ").unwrap()).unwrap();
    assert!(String::from_utf8(basic).unwrap().starts_with("door%2Bward%25%3Ax%2F1:a+secret"));
    assert_eq!((request.field("client_secret"), request.field("client_id")), (None, None));
    assert!(request.field("code_verifier").is_some_and(|verifier| (43..=128).contains(&verifier.len())), "OIDC-05");
    assert!(!request.target.contains('?'), "OIDC-05: nothing of it in an address");
}

/// The suite's way to spoil a value: it is longer by a `1`.
fn one_character_more(value: &mut Value) {
    *value = format!("{}1", value.as_str().unwrap()).into();
}

fn unnamed_and_damaged(token: &mut Token) {
    forge::no_kid(token);
    forge::damaged_signature(token);
}
