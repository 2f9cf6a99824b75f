use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::keys::base64url;
use super::*;

const REDIRECT_URI: &str = "https://cms.localhost:8443/_doorward/callback/auth0";
/// When a client has waited long enough to call it silence.
const GIVE_UP: Duration = Duration::from_secs(2);
const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters-in-length";

/// Sends one request and reads until the provider closes; an error is what the client sees of a reset.
async fn exchange(idp: &HostileIdp, method: &str, target: &str, headers: &str, body: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(idp.address).await?;
    let length = body.len();
    let head = format!("{method} {target} HTTP/1.1\r\nHost: idp\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n");
    stream.write_all(format!("{head}{body}").as_bytes()).await?;
    let mut answer = Vec::new();
    let read = tokio::time::timeout(GIVE_UP, stream.read_to_end(&mut answer)).await;
    read.map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

async fn get(idp: &HostileIdp, target: &str) -> String {
    exchange(idp, "GET", target, "", "").await.expect("an answer")
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map(|(_, body)| body).expect("an answer has a head")
}

fn document(answer: &str) -> Value {
    serde_json::from_str(body(answer)).unwrap_or_else(|problem| panic!("{problem}: {answer}"))
}

/// The redirect to the provider, as the edge makes it.
fn location(idp: &HostileIdp) -> String {
    let challenge = base64url(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, VERIFIER.as_bytes()));
    let mut url = url::Url::parse(&format!("{}authorize", idp.issuer())).expect("a URL");
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", CLIENT_ID)
        .append_pair("redirect_uri", REDIRECT_URI)
        .append_pair("scope", "openid profile email")
        .append_pair("audience", AUDIENCE)
        .append_pair("state", "a state")
        .append_pair("nonce", "a nonce")
        .append_pair("code_challenge", &challenge)
        .append_pair("code_challenge_method", "S256");
    url.into()
}

async fn redeem(idp: &HostileIdp, callback: &str, verifier: &str) -> String {
    let callback = url::Url::parse(callback).expect("a URL");
    let (_, code) = callback.query_pairs().find(|(name, _)| name == "code").expect("a code");
    let form = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "authorization_code")
        .append_pair("code", &code)
        .append_pair("redirect_uri", REDIRECT_URI)
        .append_pair("code_verifier", verifier)
        .append_pair("client_id", CLIENT_ID)
        .append_pair("client_secret", CLIENT_SECRET)
        .finish();
    exchange(idp, "POST", "/oauth/token", "Content-Type: application/x-www-form-urlencoded\r\n", &form).await.expect("an answer")
}

fn claims(token: &Value) -> Value {
    let payload = token.as_str().and_then(|token| token.split('.').nth(1)).expect("a JWT");
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).expect("base64url")).expect("JSON")
}

#[tokio::test]
async fn an_unprovoked_provider_signs_a_user_in_with_a_token_that_verifies() {
    let idp = HostileIdp::start().await;
    let callback = idp.grant(&location(&idp), &User::ada());
    assert!(callback.starts_with(&format!("{REDIRECT_URI}?code=")) && callback.ends_with("&state=a+state"), "{callback}");
    let answer = document(&redeem(&idp, &callback, VERIFIER).await);
    let id = claims(&answer["id_token"]);
    assert_eq!(id["iss"], idp.issuer());
    assert_eq!(id["nonce"], "a nonce");
    assert_eq!(id["https://acme.dev/roles"], json!(["admin"]));

    let keys: jsonwebtoken::jwk::JwkSet = serde_json::from_value(document(&get(&idp, "/.well-known/jwks.json").await)).expect("a key set");
    let key = keys.find(&idp.current_kid()).expect("the key that signs is published");
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::RS256);
    validation.set_audience(&[CLIENT_ID]);
    validation.set_issuer(&[idp.issuer()]);
    let key = jsonwebtoken::DecodingKey::from_jwk(key).expect("a usable key");
    let token = answer["id_token"].as_str().expect("a string");
    jsonwebtoken::decode::<Value>(token, &key, &validation).expect("the ID token verifies");

    let bearer = format!("Authorization: Bearer {}\r\n", answer["access_token"].as_str().expect("a string"));
    let userinfo = exchange(&idp, "GET", "/userinfo", &bearer, "").await.expect("an answer");
    assert_eq!(document(&userinfo)["email"], "ada@acme.dev");
}

#[tokio::test]
async fn a_code_is_spent_once_and_needs_its_verifier() {
    let idp = HostileIdp::start().await;
    let callback = idp.grant(&location(&idp), &User::eddie());
    assert!(redeem(&idp, &callback, VERIFIER).await.starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(redeem(&idp, &callback, VERIFIER).await.contains("invalid_grant"));
    let callback = idp.grant(&location(&idp), &User::eddie());
    assert!(redeem(&idp, &callback, "another verifier").await.contains("invalid_grant"));
    assert_eq!(idp.requests(Endpoint::Token), 3);
    assert_eq!(idp.log()[0].field("code_verifier").as_deref(), Some(VERIFIER));
}

#[tokio::test]
async fn a_client_is_known_by_basic_or_post_but_not_by_a_wrong_secret() {
    let idp = HostileIdp::start().await;
    let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let basic = |secret: &str| {
        let pair = format!("{}:{}", encode(CLIENT_ID), encode(secret));
        format!("Authorization: Basic {}\r\n", base64::prelude::BASE64_STANDARD.encode(pair))
    };
    for (secret, expected) in [(CLIENT_SECRET, "invalid_grant"), ("wrong", "invalid_client")] {
        let form = "grant_type=authorization_code&code=x";
        let answer = exchange(&idp, "POST", "/oauth/token", &basic(secret), form).await.expect("an answer");
        assert!(answer.contains(expected), "{answer}");
    }
}

#[tokio::test]
async fn a_fault_lasts_until_it_is_cleared_and_a_next_fault_for_one_request() {
    let idp = HostileIdp::start().await;
    idp.fault(Endpoint::Jwks, Fault::Status(500));
    idp.fault_next(Endpoint::Jwks, jwks::empty());
    let path = "/.well-known/jwks.json";
    assert_eq!(document(&get(&idp, path).await), json!({ "keys": [] }));
    assert!(get(&idp, path).await.starts_with("HTTP/1.1 500 "));
    assert!(get(&idp, path).await.starts_with("HTTP/1.1 500 "));
    idp.clear();
    assert_eq!(document(&get(&idp, path).await)["keys"].as_array().map(Vec::len), Some(2));
    assert_eq!(idp.requests(Endpoint::Jwks), 4);
}

#[tokio::test]
async fn what_is_said_can_be_wrong_in_every_way() {
    let idp = HostileIdp::start().await;
    let path = "/.well-known/openid-configuration";
    let faulty = async |fault: Fault| {
        idp.fault_next(Endpoint::Discovery, fault);
        get(&idp, path).await
    };
    assert!(faulty(Fault::Empty).await.ends_with("Content-Length: 0\r\n\r\n"));
    assert!(faulty(Fault::ContentType("text/html")).await.contains("Content-Type: text/html\r\n"));
    assert!(faulty(Fault::Header("Cache-Control", "max-age=0".into())).await.contains("Cache-Control: max-age=0\r\n"));
    let truncated = faulty(Fault::Truncated).await;
    assert!(serde_json::from_str::<Value>(body(&truncated)).is_err(), "{truncated}");
    let twice = faulty(Fault::DuplicateMember("issuer", json!("https://evil.test/"))).await;
    assert_eq!(twice.matches("\"issuer\":").count(), 2, "{twice}");
    let padded = faulty(Fault::Padded(2 * 1024 * 1024)).await;
    assert!(body(&padded).len() > 2 * 1024 * 1024 && document(&padded)["issuer"] == idp.issuer());
    assert!(body(&faulty(Fault::ByteOrderMark).await).starts_with('\u{feff}'));
    assert!(document(&faulty(Fault::without("jwks_uri")).await).get("jwks_uri").is_none());
    assert_ne!(document(&faulty(discovery::issuer_off_by_a_slash()).await)["issuer"], idp.issuer());
    let uri = discovery::FORBIDDEN_JWKS_URIS[0];
    assert_eq!(document(&faulty(discovery::endpoint("jwks_uri", uri)).await)["jwks_uri"], uri);
}

#[tokio::test]
async fn following_a_redirect_would_succeed_and_shows_in_the_log() {
    let idp = HostileIdp::start().await;
    let path = "/.well-known/jwks.json";
    idp.fault(Endpoint::Jwks, Fault::Redirect(302, Redirection::Same));
    assert!(get(&idp, path).await.contains(&format!("Location: {path}?moved\r\n")));
    assert!(get(&idp, &format!("{path}?moved")).await.starts_with("HTTP/1.1 200 "));
    idp.fault(Endpoint::Jwks, Fault::Redirect(307, Redirection::Elsewhere));
    assert!(get(&idp, path).await.contains(&format!("Location: {}{path}\r\n", idp.elsewhere())));
    assert_eq!(idp.requests_elsewhere(), 0);
}

#[tokio::test]
async fn how_it_is_said_can_be_wrong_in_every_way() {
    let idp = HostileIdp::start().await;
    let path = "/.well-known/jwks.json";
    let faulty = async |fault: Fault| {
        idp.fault_next(Endpoint::Jwks, fault);
        let started = Instant::now();
        (exchange(&idp, "GET", path, "", "").await, started.elapsed())
    };
    let pause = Duration::from_millis(120);
    let whole = get(&idp, path).await;

    for fault in [Fault::DelayHead(pause), Fault::DelayBody(pause)] {
        let (answer, took) = faulty(fault).await;
        assert_eq!(answer.expect("an answer"), whole);
        assert!(took >= pause, "{took:?}");
    }
    let (dripped, took) = faulty(Fault::Drip(Duration::from_micros(1))).await;
    assert_eq!(dripped.expect("an answer"), whole);
    assert!(took >= Duration::from_millis(50), "{took:?}");
    assert_eq!(faulty(Fault::Reset).await.0.expect_err("a reset").kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(faulty(Fault::ResetBody).await.0.expect_err("a reset").kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(faulty(Fault::StallBody).await.0.expect_err("silence").kind(), std::io::ErrorKind::TimedOut);
    assert_eq!(faulty(Fault::Hangup).await.0.expect("an end"), "");
    let (half, _) = faulty(Fault::Raw(b"HTTP/1.1 200 OK\r\nContent-Len".to_vec())).await;
    assert_eq!(half.expect("what was said"), "HTTP/1.1 200 OK\r\nContent-Len");
}

#[tokio::test]
async fn a_half_closed_or_mislabelled_answer_is_short() {
    let idp = HostileIdp::start().await;
    let path = "/.well-known/jwks.json";
    let right = body(&get(&idp, path).await).len();
    idp.fault_next(Endpoint::Jwks, Fault::HalfClose);
    let answer = get(&idp, path).await;
    assert!(answer.contains(&format!("Content-Length: {right}\r\n")) && body(&answer).len() == right / 2, "{answer}");
    idp.fault_next(Endpoint::Jwks, Fault::WrongLength(10));
    let mut stream = TcpStream::connect(idp.address).await.expect("a connection");
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: idp\r\n\r\n").as_bytes()).await.expect("written");
    let mut head = [0; 256];
    let read = stream.read(&mut head).await.expect("a head");
    let head = String::from_utf8_lossy(&head[..read]).into_owned();
    assert!(head.contains(&format!("Content-Length: {}\r\n", right + 10)), "{head}");
}

#[tokio::test]
async fn every_named_lie_changes_the_token() {
    let idp = HostileIdp::start().await;
    let user = User::ada().with("nonce", "a Nonce");
    for (name, lie) in forge::REFUSED {
        let mut before = None;
        let mut after = None;
        idp.id_token(&user, |token| {
            before = Some(format!("{token:?}"));
            lie(token);
            after = Some(format!("{token:?}{:?}", token.raw_claims));
        });
        assert_ne!(before.map(|text| format!("{text}None")), after, "{name}");
    }
}

#[tokio::test]
async fn the_next_id_token_lies_and_the_one_after_does_not() {
    let idp = HostileIdp::start().await;
    idp.next_id_token(forge::wrong_nonce);
    let mut nonces = Vec::new();
    for _ in 0..2 {
        let callback = idp.grant(&location(&idp), &User::vera());
        let answer = document(&redeem(&idp, &callback, VERIFIER).await);
        nonces.push(claims(&answer["id_token"])["nonce"].clone());
    }
    assert_eq!(nonces, [json!("not the nonce that was sent"), json!("a nonce")]);
}

#[tokio::test]
async fn keys_rotate_announced_or_not_and_old_ones_can_be_withdrawn() {
    let idp = HostileIdp::start().await;
    let published = async || -> Vec<String> {
        let keys = document(&get(&idp, "/.well-known/jwks.json").await)["keys"].take();
        keys.as_array().expect("a list").iter().map(|key| key["kid"].as_str().expect("a kid").to_owned()).collect()
    };
    let before = published().await;
    assert_eq!(before.len(), 2);
    idp.rotate();
    assert_eq!(idp.current_kid(), before[1]);
    assert!(published().await.contains(&before[0]));
    idp.rotate_unannounced();
    assert!(!before.contains(&idp.current_kid()));
    idp.withdraw_previous_keys();
    let after = published().await;
    assert_eq!(after.len(), 2);
    assert!(before.iter().all(|kid| !after.contains(kid)));
}

#[tokio::test]
async fn two_providers_have_different_keys() {
    let (one, other) = (HostileIdp::start().await, HostileIdp::start().await);
    let path = "/.well-known/jwks.json";
    let modulus = |answer: String| document(&answer)["keys"][0]["n"].clone();
    assert_ne!(modulus(get(&one, path).await), modulus(get(&other, path).await));
}

#[tokio::test]
async fn a_skewed_clock_moves_iat_and_a_stopped_provider_refuses_until_it_resumes() {
    let idp = HostileIdp::start().await;
    idp.skew_clock(3600);
    let mut ahead = 0;
    idp.id_token(&User::ada(), |token| ahead = token.now);
    idp.clear();
    idp.id_token(&User::ada(), |token| ahead -= token.now);
    assert!((3590..=3600).contains(&ahead), "{ahead}");

    idp.stop();
    let refused = async {
        while TcpStream::connect(idp.address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), refused).await.expect("connections are refused");
    idp.resume().await;
    assert!(get(&idp, "/.well-known/jwks.json").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn an_issuer_may_have_a_path_or_no_slash() {
    for path in ["", "/realms/staff"] {
        let idp = HostileIdp::start_as(Profile { issuer_path: path.to_owned(), ..Profile::default() }).await;
        let metadata = document(&get(&idp, &format!("{path}/.well-known/openid-configuration")).await);
        assert_eq!(metadata["issuer"], idp.issuer());
        assert_eq!(metadata["jwks_uri"], format!("{}/.well-known/jwks.json", idp.issuer()));
    }
}

#[tokio::test]
async fn one_connection_carries_many_requests() {
    let idp = HostileIdp::start().await;
    let mut stream = TcpStream::connect(idp.address).await.expect("a connection");
    for _ in 0..3 {
        stream.write_all(b"GET /nowhere HTTP/1.1\r\nHost: idp\r\n\r\n").await.expect("written");
        let mut answer = Vec::new();
        while !answer.ends_with(b"}") {
            assert_ne!(stream.read_buf(&mut answer).await.expect("an answer"), 0);
        }
        assert!(answer.starts_with(b"HTTP/1.1 404 "));
    }
    assert!(idp.saw(Endpoint::Elsewhere, 3, Duration::from_secs(1)).await);
}
