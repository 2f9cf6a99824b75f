//! Modules of the suite's comprehensive plan that no certification of a relying party with the code flow asks for.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use doorward_tests::hostile::{self, Endpoint, Fault, HostileIdp, Signature, Token, User, forge, jwks};
use doorward_tests::scene::Plan;
use serde_json::{Value, json};

use super::{By, Case, refused, refuses, signed_in};

const ROLES: &str = "https://acme.dev/roles";

#[tokio::test]
async fn conf_beyond_oidcc_client_test_missing_aud() {
    refuses(By::Query, forge::missing_audience, "token_missing_claim").await;
}

#[tokio::test]
async fn conf_beyond_oidcc_client_test_invalid_athash() {
    let case = Case::start(By::Query).await;
    case.idp.next_id_token(forge::wrong_at_hash);
    assert_eq!(case.sign_in().await, refused("token_access_token_hash"));
    case.idp.next_id_token(forge::right_at_hash);
    assert_eq!(case.sign_in().await, signed_in());
}

#[tokio::test]
async fn conf_beyond_oidcc_client_test_invalid_sig_es256() {
    let idp = HostileIdp::start().await;
    idp.fault(Endpoint::Jwks, jwks::with_es256_key());
    let case = Case::before(idp, By::Query, |plan| Plan { provider: plan.provider.clone() + "    algorithms: [ES256]\n", ..plan }).await;
    case.idp.next_id_token(forge::damaged_es256);
    assert_eq!(case.sign_in().await, refused("token_signature"));
    case.idp.next_id_token(forge::es256);
    assert_eq!(case.sign_in().await, signed_in());
    assert_eq!(case.sign_in().await, refused("token_algorithm"), "a right RS256, which is not what was agreed on");
}

#[tokio::test]
async fn conf_beyond_oidcc_client_test_invalid_sig_hs256() {
    let with_the_secret = |token: &mut Token| {
        token.header["alg"] = json!("HS256");
        token.signature = Signature::Hmac(hostile::CLIENT_SECRET.into());
    };
    refuses(By::Query, with_the_secret, "token_algorithm").await;
}

/// Keys that are for other times or for nobody: RFC 7517 §5.
#[tokio::test]
async fn conf_beyond_oidcc_client_test_ignores_unparseable_key_in_jwks() {
    let case = Case::start(By::Query).await;
    let unknown = [
        json!({ "kty": "AKP", "alg": "ML-DSA-1", "use": "sig", "kid": "of-another-time", "pub": "AAAA" }),
        json!({ "kty": "made-up", "use": "sig", "kid": "of-nobody" }),
    ];
    case.idp.fault(Endpoint::Jwks, Fault::edit(move |set| drop(set["keys"].as_array_mut().unwrap().splice(0..0, unknown.clone()))));
    assert_eq!(case.sign_in().await, signed_in());
    case.idp.next_id_token(|token| token.header["kid"] = json!("of-nobody"));
    assert_eq!(case.sign_in().await, refused("token_unknown_key"));
}

/// A response that is a JWT instead of JSON (OIDC Core §5.3.2): not supported, so not believed.
#[tokio::test]
async fn conf_beyond_oidcc_client_test_userinfo_signed() {
    let case = Case::start(By::Query).await;
    let signed = case.idp.id_token(&User::ada(), |_| {});
    case.idp.fault_next(Endpoint::Userinfo, Fault::Answer(200, "application/jwt", signed.into()));
    assert_eq!(case.sign_in().await, (503, "provider_unreachable".to_owned()));
    assert_eq!(case.sign_in().await, signed_in());
}

#[tokio::test]
async fn conf_beyond_oidcc_client_test_userinfo_bearer_header() {
    let case = Case::start(By::Query).await;
    assert_eq!(case.sign_in().await, signed_in());
    let asked: Vec<_> = case.idp.log().into_iter().filter(|request| request.endpoint == Endpoint::Userinfo).collect();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].header("authorization").unwrap().starts_with("Bearer "));
    assert_eq!((asked[0].method.as_str(), asked[0].target.as_str(), asked[0].body.len()), ("GET", "/userinfo", 0));
}

/// Claims that somebody else vouches for (OIDC Core §5.6.2) are nobody's word: the provider's own count, those do not.
async fn only_the_providers_own_claims_count(source: impl Fn(&HostileIdp) -> Value) {
    let case = Case::start(By::Query).await;
    let source = source(&case.idp);
    let nobody = User::new("auth0|ada").with("email", "ada@acme.dev");
    let elsewhere = nobody.clone().with("_claim_names", json!({ ROLES: "src1" })).with("_claim_sources", json!({ "src1": source }));
    assert_eq!(case.sign_in_as(&elsewhere).await, signed_in());
    assert_eq!(case.scene.app.last().one("x-auth-roles"), None);
    assert_eq!((case.idp.requests_elsewhere(), case.idp.requests(Endpoint::Elsewhere)), (0, 0), "nothing is fetched");
    assert_eq!(case.sign_in_as(&nobody.with(ROLES, vec!["admin"])).await, signed_in());
    assert_eq!(case.scene.app.last().one("x-auth-roles"), Some("admin"));
}

#[tokio::test]
async fn conf_beyond_oidcc_client_test_aggregated_claims() {
    let encode = |part: Value| URL_SAFE_NO_PAD.encode(part.to_string());
    // As the suite has it: unsigned.
    let token = format!("{}.{}.", encode(json!({ "alg": "none" })), encode(json!({ ROLES: ["admin"] })));
    only_the_providers_own_claims_count(|_| json!({ "JWT": token })).await;
}

#[tokio::test]
async fn conf_beyond_oidcc_client_test_distributed_claims() {
    only_the_providers_own_claims_count(|idp| json!({ "endpoint": format!("{}/claims", idp.elsewhere()), "access_token": "x" })).await;
    only_the_providers_own_claims_count(|idp| json!({ "endpoint": format!("{}claims", idp.issuer()), "access_token": "x" })).await;
}
