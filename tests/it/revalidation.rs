//! Bearer tokens by keys that the operator holds, and tokens whose provider is asked about them again.

use std::time::{Duration, Instant};

use doorward_proxy::clock;
use doorward_proxy::keys::Tempo;
use doorward_tests::client::path_of;
use doorward_tests::hostile::{Endpoint, Fault, HostileIdp, Redirection, User, discovery, forge, keys};
use doorward_tests::scene::{API, APP, Plan, Scene};
use serde_json::json;

fn reader() -> User {
    User::ada().with("scope", "read:items")
}

/// The usual edge before `idp`, with this below the provider.
fn plan(idp: &HostileIdp, more: &str) -> Plan {
    let usual = Plan::oidc(idp.issuer());
    Plan { provider: format!("{}{more}", usual.provider), ..usual }
}

/// With these keys: name, file and what else is said about each.
fn held(idp: &HostileIdp, list: &[(&str, String, &str)]) -> Plan {
    let entries: String =
        list.iter().enumerate().map(|(at, (id, _, more))| format!("        - {{ id: {id}, file: held-{at}.pem{more} }}\n")).collect();
    let mut plan = plan(idp, &format!("    keys:\n      certificates:\n{entries}"));
    plan.files.extend(list.iter().enumerate().map(|(at, (_, pem, _))| (format!("held-{at}.pem"), pem.clone())));
    plan
}

/// As RFC 3339 has it.
fn moment(seconds_from_now: i64) -> String {
    let since = Duration::from_secs(u64::try_from(clock::now().0 + seconds_from_now).unwrap());
    humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + since).to_string()
}

/// Asks until the answer has this status.
async fn until(scene: &Scene, token: &str, status: u16, at_most: Duration) -> Duration {
    let begun = Instant::now();
    loop {
        let answer = scene.call("/items", token).await;
        if answer.status == status {
            return begun.elapsed();
        }
        assert!(begun.elapsed() < at_most, "still {} and not {status}: {}", answer.status, answer.text());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn fetched(idp: &HostileIdp) -> (usize, usize) {
    (idp.requests(Endpoint::Discovery), idp.requests(Endpoint::Jwks))
}

#[tokio::test]
async fn jwks_03_held_keys_verify_tokens_and_nothing_is_ever_fetched() {
    let idp = HostileIdp::start().await;
    let kid = idp.current_kid();
    let scene = Scene::with(held(&idp, &[(&kid, idp.current_pem(), "")])).await;
    let token = idp.access_token(&reader(), |_| {});
    assert_eq!(scene.call("/items", &token).await.status, 200);
    for (name, lie) in [
        ("signed by a stranger", forge::strangers_signature as fn(&mut forge::Token)),
        ("unknown kid", forge::unknown_kid),
        ("expired", forge::expired),
        ("another issuer", forge::wrong_issuer),
        ("HS256 with the public key", forge::hs256_with_public_key),
    ] {
        assert_eq!(scene.call("/items", &idp.access_token(&reader(), lie)).await.status, 401, "{name}");
    }
    // The key that was published ahead is nobody's here.
    idp.rotate();
    assert_eq!(scene.call("/items", &idp.access_token(&reader(), |_| {})).await.status, 401);
    assert_eq!(scene.call("/items", &token).await.status, 200);
    assert_eq!(fetched(&idp), (0, 0));
    assert_eq!(idp.log().len(), 0, "the provider was asked nothing at all");
}

#[tokio::test]
async fn jwks_03_a_held_key_of_somebody_else_verifies_nothing() {
    let idp = HostileIdp::start().await;
    let kid = idp.current_kid();
    let scene = Scene::with(held(&idp, &[(&kid, keys::stranger().public_pem(), "")])).await;
    let answer = scene.call("/items", &idp.access_token(&reader(), |_| {})).await;
    assert_eq!((answer.status, scene.reason_of(&answer).await.as_str()), (401, "token_signature"));
    assert_eq!(scene.call("/items", &idp.access_token(&reader(), forge::strangers_signature)).await.status, 200, "its own it does");
}

#[tokio::test]
async fn a_sign_in_by_held_keys_needs_metadata_and_no_key_set() {
    let idp = HostileIdp::start().await;
    let kid = idp.current_kid();
    idp.fault(Endpoint::Discovery, Fault::without("jwks_uri"));
    let scene = Scene::with(held(&idp, &[(&kid, idp.current_pem(), "")])).await;
    let mut browser = scene.browser(APP);
    let redirect = browser.go("/private").await;
    let callback = idp.grant(redirect.location(), &User::ada());
    let answer = browser.go(&path_of(&callback)).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    assert_eq!(browser.go("/private").await.status, 200);
    assert_eq!(fetched(&idp), (1, 0));
    // Its twin has an ID token that the key did not sign.
    let mut browser = scene.browser(APP);
    let redirect = browser.go("/private").await;
    idp.next_id_token(forge::strangers_signature);
    let callback = idp.grant(redirect.location(), &User::ada());
    assert_ne!(browser.go(&path_of(&callback)).await.status, 303);
    assert_eq!(fetched(&idp), (1, 0));
}

#[tokio::test]
async fn jwks_05_a_held_key_counts_no_longer_than_it_says_although_its_tokens_are_remembered() {
    let idp = HostileIdp::start().await;
    let (kid, pem) = (idp.current_kid(), idp.current_pem());
    let over = Scene::with(held(&idp, &[(&kid, pem.clone(), &format!(", not_after: {}", moment(-1)))])).await;
    let early = Scene::with(held(&idp, &[(&kid, pem.clone(), &format!(", not_before: {}", moment(600)))])).await;
    let token = idp.access_token(&reader(), |_| {});
    assert_eq!(over.call("/items", &token).await.status, 401);
    assert_eq!(early.call("/items", &token).await.status, 401);
    let soon = Scene::with(held(&idp, &[(&kid, pem, &format!(", not_after: {}", moment(4)))])).await;
    assert_eq!(soon.call("/items", &token).await.status, 200);
    assert_eq!(soon.call("/items", &token).await.status, 200, "remembered");
    until(&soon, &token, 401, Duration::from_secs(8)).await;
    assert_eq!(soon.call("/items", &token).await.status, 401);
    assert_eq!(idp.log().len(), 0);
}

#[tokio::test]
async fn jwks_04_held_keys_are_rotated_by_having_both() {
    let idp = HostileIdp::start().await;
    let first = (idp.current_kid(), idp.current_pem());
    let old = idp.access_token(&reader(), |_| {});
    idp.rotate();
    let second = (idp.current_kid(), idp.current_pem());
    let both = Scene::with(held(&idp, &[(&first.0, first.1, ""), (&second.0, second.1, "")])).await;
    let new = idp.access_token(&reader(), |_| {});
    assert_eq!((both.call("/items", &old).await.status, both.call("/items", &new).await.status), (200, 200));
    assert_eq!(idp.log().len(), 0);
}

#[tokio::test]
async fn jwks_09_another_address_of_the_keys_stands_in_for_the_one_in_the_metadata() {
    let idp = HostileIdp::start().await;
    idp.fault(Endpoint::Discovery, discovery::endpoint("jwks_uri", "http://169.254.169.254/keys"));
    let token = idp.access_token(&reader(), |_| {});
    let plain = Scene::with(Plan::oidc(idp.issuer())).await;
    assert_eq!(plain.call("/items", &token).await.status, 503, "what the metadata says is not gone to");
    let named = Scene::with(plan(&idp, &format!("    keys: {{ jwks: \"{}.well-known/jwks.json\" }}\n", idp.issuer()))).await;
    assert_eq!(named.call("/items", &token).await.status, 200);
}

const INTROSPECTION: &str = "    revalidate: { by: introspection, every: 1s }\n";

#[tokio::test]
async fn jwks_11_a_revoked_token_is_refused_at_the_next_question() {
    let idp = HostileIdp::start().await;
    let scene = Scene::with(plan(&idp, INTROSPECTION)).await;
    let (token, other) = (idp.access_token(&reader(), |_| {}), idp.access_token(&reader(), |token| token.claims["jti"] = json!("other")));
    assert_eq!(scene.call("/items", &token).await.status, 200);
    let request = idp.log().into_iter().rfind(|request| request.endpoint == Endpoint::Introspection).unwrap();
    assert_eq!(request.field("token").as_deref(), Some(&*token));
    assert_eq!(request.field("token_type_hint").as_deref(), Some("access_token"));
    assert!(request.header("authorization").is_some_and(|value| value.starts_with("Basic ")), "we prove who we are");
    idp.withdraw(&token);
    let took = until(&scene, &token, 401, Duration::from_secs(4)).await;
    assert!(took < Duration::from_secs(3), "{took:?}");
    let answer = scene.call("/items", &token).await;
    assert_eq!(answer.field("www-authenticate"), Some("Bearer error=\"invalid_token\""));
    assert_eq!(scene.reason_of(&answer).await, "token_revoked");
    assert_eq!(scene.call("/items", &other).await.status, 200, "another token of the same person counts on");
    let log = scene.log_text().await;
    assert!(!log.contains(&token) && !log.contains(token.rsplit('.').next().unwrap()), "LOG-01");
    assert!(scene.metric("doorward_revalidations_total{outcome=\"refused\",provider=\"tenant\"}").await >= 1.0);
    assert!(scene.metric("doorward_revalidations_total{outcome=\"active\",provider=\"tenant\"}").await >= 2.0);
}

#[tokio::test]
async fn an_answer_counts_while_the_provider_is_down_and_then_nobody_can_say() {
    let idp = HostileIdp::start().await;
    let scene = Scene::with(plan(&idp, "    revalidate: { by: introspection, every: 3s }\n")).await;
    let token = idp.access_token(&reader(), |_| {});
    assert_eq!(scene.call("/items", &token).await.status, 200);
    idp.fault(Endpoint::Introspection, Fault::Status(500));
    assert_eq!(scene.call("/items", &token).await.status, 200, "its answer is not old");
    until(&scene, &token, 503, Duration::from_secs(6)).await;
    let answer = scene.call("/items", &token).await;
    assert_eq!((answer.status, scene.reason_of(&answer).await.as_str()), (503, "cannot_verify"));
    // One that was never asked about is no better off.
    let new = idp.access_token(&reader(), |token| token.claims["jti"] = json!("new"));
    assert_eq!(scene.call("/items", &new).await.status, 503);
    idp.clear();
    until(&scene, &token, 200, Duration::from_secs(4)).await;
}

#[tokio::test]
async fn a_reload_forgets_no_answer_while_the_provider_is_down_but_under_other_settings() {
    let idp = HostileIdp::start().await;
    let scene = Scene::with(plan(&idp, "    revalidate: { by: introspection, every: 60s }\n")).await;
    let (good, bad) = (idp.access_token(&reader(), |_| {}), idp.access_token(&reader(), |token| token.claims["jti"] = json!("bad")));
    idp.withdraw(&bad);
    assert_eq!((scene.call("/items", &good).await.status, scene.call("/items", &bad).await.status), (200, 401));
    idp.fault(Endpoint::Introspection, Fault::Status(500));
    scene.reconfigure(|text| format!("{text}# another\n")).await;
    assert_eq!((scene.call("/items", &good).await.status, scene.call("/items", &bad).await.status), (200, 401));
    scene.reconfigure(|text| text.replace("every: 60s", "every: 59s")).await;
    assert_eq!((scene.call("/items", &good).await.status, scene.call("/items", &bad).await.status), (503, 503));
}

/// Sends `count` of them at once; the statuses.
async fn at_once(scene: &Scene, token: &str, count: usize) -> Vec<u16> {
    let connections = futures::future::join_all((0..count).map(|_| scene.raw(API))).await;
    let asked = connections.into_iter().map(|mut raw| async move {
        raw.send(format!("GET /items HTTP/1.1\r\nhost: {API}\r\nauthorization: Bearer {token}\r\n\r\n").as_bytes()).await;
        raw.answer().await.expect("an answer").status
    });
    futures::future::join_all(asked).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dos_07_a_flood_of_one_token_is_one_question() {
    let idp = HostileIdp::start().await;
    let scene = Scene::with(plan(&idp, "    revalidate: { by: introspection, every: 60s }\n")).await;
    let (good, bad) = (idp.access_token(&reader(), |_| {}), idp.access_token(&reader(), |token| token.claims["jti"] = json!("bad")));
    idp.withdraw(&bad);
    idp.fault(Endpoint::Introspection, Fault::DelayHead(Duration::from_millis(300)));
    assert_eq!(at_once(&scene, &good, 80).await, [200; 80]);
    assert_eq!(idp.requests(Endpoint::Introspection), 1);
    assert_eq!(at_once(&scene, &bad, 80).await, [401; 80]);
    assert_eq!(at_once(&scene, &bad, 80).await, [401; 80], "and what it said is remembered");
    assert_eq!(idp.requests(Endpoint::Introspection), 2);
    // What nobody of ours signed is not asked about.
    for lie in [forge::strangers_signature as fn(&mut forge::Token), forge::expired, forge::unknown_kid] {
        assert_eq!(scene.call("/items", &idp.access_token(&reader(), lie)).await.status, 401);
    }
    assert_eq!(scene.call("/items", "opaque").await.status, 401);
    assert_eq!(idp.requests(Endpoint::Introspection), 2);
}

#[tokio::test]
async fn jwks_11_what_an_introspection_says_besides_must_agree_and_what_is_no_answer_is_no_verdict() {
    let idp = HostileIdp::start().await;
    let scene = Scene::with(plan(&idp, INTROSPECTION)).await;
    let stop = Fault::Header("Retry-After", "0".into());
    let rows: Vec<(&str, Fault, u16)> = vec![
        ("as it is", Fault::with("username", "ada"), 200),
        ("active is a text", Fault::with("active", "true"), 401),
        ("no active", Fault::without("active"), 401),
        ("another issuer", Fault::with("iss", "https://evil.test/"), 401),
        ("somebody else", Fault::with("sub", "auth0|mallory"), 401),
        ("another client", Fault::with("client_id", "other"), 401),
        ("another audience", Fault::with("aud", "https://other.acme.dev"), 401),
        ("over", Fault::with("exp", 1), 401),
        ("ends later than the token", Fault::with("exp", 4_102_444_800_i64), 200),
        ("our client is refused", Fault::Status(401), 503),
        ("500", Fault::Status(500), 503),
        ("a page", Fault::html(), 503),
        ("a redirect", Fault::Redirect(302, Redirection::Elsewhere), 503),
        ("cut off", Fault::Truncated, 503),
        ("two members", Fault::DuplicateMember("active", json!(true)), 503),
        ("an array", Fault::instead(json!([{ "active": true }])), 503),
        ("too much", Fault::Padded(2 * 1024 * 1024), 503),
        ("a reset", Fault::Reset, 503),
        ("as it is, once more", stop, 200),
    ];
    for (at, (name, fault, status)) in rows.into_iter().enumerate() {
        let token = idp.access_token(&reader(), |token| token.claims["jti"] = json!(at.to_string()));
        idp.fault(Endpoint::Introspection, fault);
        let answer = scene.call("/items", &token).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
        idp.clear();
    }
    assert_eq!(idp.requests_elsewhere(), 0);
}

#[tokio::test]
async fn oidc_17_userinfo_vouches_for_the_same_subject_alone() {
    let idp = HostileIdp::start().await;
    let scene = Scene::with(plan(&idp, "    revalidate: { by: userinfo, every: 1s }\n")).await;
    let rows: Vec<(&str, Option<Fault>, u16)> = vec![
        ("as it is", None, 200),
        ("somebody else", Some(Fault::with("sub", "auth0|mallory")), 401),
        ("nobody", Some(Fault::without("sub")), 401),
        ("the token counts no longer", Some(Fault::Status(401)), 401),
        ("a token that is not for this, as a machine's", Some(Fault::Status(403)), 401),
        ("a bad request of ours", Some(Fault::Status(400)), 503),
        ("500", Some(Fault::Status(500)), 503),
        ("signed", Some(Fault::ContentType("application/jwt")), 503),
    ];
    for (at, (name, fault, status)) in rows.into_iter().enumerate() {
        let token = idp.access_token(&reader(), |token| token.claims["jti"] = json!(at.to_string()));
        if let Some(fault) = fault {
            idp.fault(Endpoint::Userinfo, fault);
        }
        assert_eq!(scene.call("/items", &token).await.status, status, "{name}");
        let request = idp.log().into_iter().rfind(|request| request.endpoint == Endpoint::Userinfo).unwrap();
        assert_eq!(request.header("authorization"), Some(format!("Bearer {token}").as_str()), "{name}");
        idp.clear();
    }
}

#[tokio::test]
async fn a_provider_that_wants_to_be_left_alone_is() {
    let idp = HostileIdp::start().await;
    let scene = Scene::with(plan(&idp, INTROSPECTION)).await;
    let known = idp.access_token(&reader(), |_| {});
    assert_eq!(scene.call("/items", &known).await.status, 200);
    let too_many = b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 4\r\ncontent-length: 0\r\n\r\n".to_vec();
    idp.fault(Endpoint::Introspection, Fault::Raw(too_many));
    let token = |at: usize| idp.access_token(&reader(), |token| token.claims["jti"] = json!(at.to_string()));
    assert_eq!(scene.call("/items", &token(0)).await.status, 503);
    idp.clear();
    let asked = idp.requests(Endpoint::Introspection);
    for at in 1..10 {
        assert_eq!(scene.call("/items", &token(at)).await.status, 503);
    }
    assert_eq!(idp.requests(Endpoint::Introspection), asked, "nobody asks meanwhile");
    until(&scene, &token(1), 200, Duration::from_secs(8)).await;
}

#[tokio::test]
async fn one_person_whom_userinfo_answers_no_more_is_nobody_elses_trouble() {
    let idp = HostileIdp::start().await;
    let scene = Scene::with(plan(&idp, "    revalidate: { by: userinfo, every: 1s }\n")).await;
    let of = |user: &User, at: usize| idp.access_token(user, |token| token.claims["jti"] = json!(at.to_string()));
    let other = User { sub: "bob".into(), ..reader() };
    let too_many = b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 60\r\ncontent-length: 0\r\n\r\n".to_vec();
    idp.fault(Endpoint::Userinfo, Fault::Raw(too_many));
    assert_eq!(scene.call("/items", &of(&reader(), 0)).await.status, 503);
    idp.clear();
    let asked = idp.requests(Endpoint::Userinfo);
    assert_eq!(scene.call("/items", &of(&reader(), 1)).await.status, 503);
    assert_eq!(idp.requests(Endpoint::Userinfo), asked, "nobody asks about this person meanwhile");
    assert_eq!(scene.call("/items", &of(&other, 2)).await.status, 200, "and about others as ever");
}

#[tokio::test]
async fn held_keys_and_a_written_endpoint_need_no_metadata() {
    let idp = HostileIdp::start().await;
    let kid = idp.current_kid();
    let mut plan = held(&idp, &[(&kid, idp.current_pem(), "")]);
    plan.provider = format!(
        "{}    revalidate: {{ by: introspection, every: 60s, request: {{ url: \"{}oauth/introspect?v=2\", params: {{ resource: \"${{clientId}}\" }}, headers: {{ X-A: b }} }} }}\n",
        plan.provider,
        idp.issuer()
    );
    plan.tempo = Tempo { retry: Duration::from_secs(600), ..Tempo::default() };
    let scene = Scene::with(plan).await;
    let token = idp.access_token(&reader(), |_| {});
    assert_eq!(scene.call("/items", &token).await.status, 200);
    let [request] = idp.log().try_into().expect("one request and no other");
    assert_eq!((request.endpoint, request.target.as_str()), (Endpoint::Introspection, "/oauth/introspect?v=2"));
    assert_eq!((request.field("resource").as_deref(), request.header("x-a")), (Some("doorward"), Some("b")));
    assert_eq!(request.field("token").as_deref(), Some(&*token));
}
