//! Signing in at a provider that lies, that fails, and that is merely unusual. The modules of the OpenID
//! Foundation's conformance suite for relying parties are in `conformance`.

use std::collections::HashSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use doorward_policy::login::{ATTEMPT_LIFETIME, Attempt, ReturnTo, State};
use doorward_policy::secret::Secret;
use doorward_policy::session::SealingKeys;
use doorward_policy::time::Timestamp;
use doorward_proxy::keys::Tempo;
use doorward_tests::client::{Answer, Browser, parameter, path_of};
use doorward_tests::hostile::{self, Endpoint, Fault, HostileIdp, Profile, Redirection, User, discovery, forge, token_answer, userinfo};
use doorward_tests::scene::{APP, Plan, SESSION_KEY, Scene};
use serde_json::json;

const CALLBACK: &str = "/_doorward/callback/tenant";
const SESSION: &str = "__Host-doorward";
const ATTEMPT: &str = "__Host-doorward-attempt.";
/// One app that takes sessions alone, and needs no audience.
pub const ONE_ROUTE: &str =
    "\n  - { name: app, host: app.localhost, upstream: \"UPSTREAM\", accept: session, rules: [{ allow: signed-in }] }\n";

/// Goes to `path`, signs in at the provider and comes back; the answer is the callback's.
pub async fn come_back(idp: &HostileIdp, browser: &mut Browser, path: &str, user: &User) -> Answer {
    let redirect = browser.go(path).await;
    assert_eq!(redirect.status, 302, "{}", redirect.text());
    let callback = idp.grant(redirect.location(), user);
    browser.go(&path_of(&callback)).await
}

fn quick() -> Tempo {
    Tempo { bearer_cool_down: Duration::from_millis(20), sign_in_cool_down: Duration::from_millis(5), ..Tempo::default() }
}

async fn rig() -> (HostileIdp, Scene) {
    rig_with("").await
}

/// With further lines of the provider's configuration.
async fn rig_with(lines: &str) -> (HostileIdp, Scene) {
    let idp = HostileIdp::start().await;
    let plan = Plan::oidc(idp.issuer());
    let scene = Scene::with(Plan { provider: plan.provider.clone() + lines, tempo: quick(), ..plan }).await;
    (idp, scene)
}

/// Begins a sign-in: where the browser was sent.
async fn begin(browser: &mut Browser, path: &str) -> String {
    let redirect = browser.go(path).await;
    assert_eq!(redirect.status, 302, "{}", redirect.text());
    redirect.location().to_owned()
}

/// The reason of the last line in the access log.
async fn reason(scene: &Scene) -> String {
    scene.log().await.last().unwrap()["reason"].as_str().unwrap().to_owned()
}

fn attempts(browser: &Browser) -> Vec<&String> {
    browser.cookies.keys().filter(|name| name.starts_with(ATTEMPT)).collect()
}

/// A calm page, nothing to be stored, nobody signed in.
pub fn assert_refused(name: &str, answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{name}: {}", answer.text());
    assert!(answer.field("content-type").unwrap().starts_with("text/html"), "{name}");
    assert_eq!(answer.field("cache-control"), Some("no-store"), "{name}");
    assert_eq!(answer.field("location"), None, "{name}");
    assert!(answer.text().contains("<h1>") && answer.text().contains(">Sign in</a>"), "{name}: a way to start again");
    assert!(answer.cookies().iter().all(|(cookie, _)| cookie != SESSION), "{name}: {:?}", answer.fields);
    for secret in ["eyJ", "told to", "panicked", "/proxy/src"] {
        assert!(!answer.text().contains(secret), "{name}: `{secret}` in {}", answer.text());
    }
}

async fn outcome(idp: &HostileIdp, scene: &Scene) -> (u16, String) {
    let mut browser = scene.browser(APP);
    let answer = come_back(idp, &mut browser, "/private", &User::ada()).await;
    let reason = reason(scene).await;
    if answer.status == 303 {
        assert_eq!(browser.go("/private").await.status, 200);
        assert_eq!(scene.app.last().one("x-auth-user"), Some("auth0|ada"));
    } else {
        assert_refused(&reason, &answer, answer.status);
        assert!(attempts(&browser).is_empty(), "{reason}: the attempt is spent");
        assert_eq!(browser.go("/private").await.status, 302);
        assert_eq!(scene.app.bytes(), 0);
    }
    (answer.status, reason)
}

fn refused(reason: &str) -> (u16, String) {
    (502, reason.to_owned())
}

fn signed_in() -> (u16, String) {
    (303, "signed_in".to_owned())
}

#[tokio::test]
async fn oidc_06_15_no_forged_id_token_makes_a_session_and_no_merely_unusual_one_is_refused() {
    let (idp, scene) = rig().await;
    let mut steady = scene.browser(APP);
    assert_eq!(come_back(&idp, &mut steady, "/private", &User::vera()).await.status, 303);
    for (name, change) in forge::REFUSED {
        idp.next_id_token(change);
        let mut browser = scene.browser(APP);
        let answer = come_back(&idp, &mut browser, "/private", &User::ada()).await;
        assert_refused(name, &answer, 502);
        assert!(browser.cookies.is_empty(), "{name}: {:?}", browser.cookies);
        assert!(reason(&scene).await.starts_with("token_"), "{name}");
        assert_eq!(steady.go("/private").await.status, 200, "{name}: who is signed in stays so");
    }
    for (name, change) in forge::ACCEPTED {
        idp.next_id_token(change);
        assert_eq!(come_back(&idp, &mut scene.browser(APP), "/private", &User::ada()).await.status, 303, "{name}");
    }
    assert_eq!(idp.requests_elsewhere(), 0);
}

#[tokio::test]
async fn oidc_15_a_clock_an_hour_off_is_refused_and_one_twenty_seconds_off_is_not() {
    let (idp, scene) = rig().await;
    for (seconds, expected) in [
        (3600, refused("token_not_yet_valid")),
        (-3600, refused("token_not_fresh")),
        (20, signed_in()),
        (-500, signed_in()),
        (-36_100, refused("token_expired")),
    ] {
        idp.skew_clock(seconds);
        scene.app.forget();
        assert_eq!(outcome(&idp, &scene).await, expected, "{seconds}");
    }
}

#[tokio::test]
async fn oidc_15_the_access_token_of_a_sign_in_must_be_about_the_same_person() {
    let rows: [(&str, forge::Named, (u16, String)); 5] = [
        ("as it should be", ("", |_| {}), signed_in()),
        ("somebody else's", ("", |token| token.claims["sub"] = json!("auth0|mallory")), refused("other_subject")),
        // Other providers sign tokens for APIs of their own as they like: it is not read, and nothing in it believed.
        ("signed by a stranger", ("", forge::strangers_signature), signed_in()),
        ("expired", ("", forge::expired), refused("access_token")),
        // Not for us to read, so it is opaque.
        ("for another API", ("", |token| token.claims["aud"] = json!("https://other.acme.dev")), signed_in()),
    ];
    let (idp, scene) = rig().await;
    for (name, (_, change), expected) in rows {
        scene.app.forget();
        idp.next_access_token(change);
        assert_eq!(outcome(&idp, &scene).await, expected, "{name}");
    }
    for (name, signed_by_a_stranger, status) in [("a stranger's word", true, 403), ("the provider's word", false, 200)] {
        idp.next_access_token(move |token| {
            token.claims["https://acme.dev/roles"] = json!(["admin"]);
            if signed_by_a_stranger {
                forge::strangers_signature(token);
            }
        });
        idp.next_id_token(|token| drop(token.claims.as_object_mut().unwrap().remove("https://acme.dev/roles")));
        let mut browser = scene.browser(APP);
        assert_eq!(come_back(&idp, &mut browser, "/private", &User::vera()).await.status, 303, "{name}");
        assert_eq!(browser.go("/admin/x").await.status, status, "{name}");
    }
}

#[tokio::test]
async fn oidc_14_whatever_the_token_endpoint_does_ends_in_a_calm_page() {
    let (idp, scene) = rig().await;
    let mut steady = scene.browser(APP);
    assert_eq!(come_back(&idp, &mut steady, "/private", &User::vera()).await.status, 303);
    let mut rows: Vec<(&str, Fault, u16)> = vec![
        ("400", Fault::Status(400), 502),
        ("401", Fault::Status(401), 502),
        ("403", Fault::Status(403), 502),
        ("404", Fault::Status(404), 502),
        ("429", Fault::Answer(429, "application/json", br#"{"error":"too_many_requests"}"#.to_vec()), 503),
        ("500", Fault::Status(500), 503),
        ("502", Fault::Answer(502, "text/html", b"<h1>Bad gateway</h1>".to_vec()), 503),
        ("503", Fault::Status(503), 503),
        ("301 to itself", Fault::Redirect(301, Redirection::Same), 503),
        ("302 to another", Fault::Redirect(302, Redirection::Elsewhere), 503),
        ("307, which would carry the code along", Fault::Redirect(307, Redirection::Elsewhere), 503),
        ("308 to plain http", Fault::Redirect(308, Redirection::To("http://evil.test/".into())), 503),
        ("a reset", Fault::Reset, 503),
        ("a reset in the middle", Fault::ResetBody, 503),
        ("the end in the middle", Fault::HalfClose, 503),
        ("a hang-up", Fault::Hangup, 503),
        ("a length too short", Fault::WrongLength(-20), 502),
        ("no HTTP", Fault::Raw(b"\x00\x01\x02\r\n\r\n".to_vec()), 503),
        ("nothing", Fault::Empty, 502),
        ("half of it", Fault::Truncated, 502),
        ("a page", Fault::html(), 503),
        ("another content type", Fault::ContentType("text/plain"), 503),
        ("two mebibytes", Fault::Padded(2 * 1024 * 1024), 503),
        ("a byte order mark", Fault::ByteOrderMark, 502),
        ("two access_token members", Fault::DuplicateMember("access_token", json!("x")), 502),
        ("two token_type members", Fault::DuplicateMember("token_type", json!("Bearer")), 502),
        ("token_type DPoP", token_answer::token_type("DPoP"), 502),
        ("expires_in as text", token_answer::expires_in("3600"), 502),
        ("expires_in negative", token_answer::expires_in(-1), 502),
        ("expires_in absurd", token_answer::expires_in(1e300), 502),
        ("use_dpop_nonce", Fault::oauth_error(400, "use_dpop_nonce"), 503),
    ];
    rows.extend(
        token_answer::refused().into_iter().map(|(name, fault)| (name, fault, if name.starts_with("invalid_grant") { 400 } else { 502 })),
    );
    for (name, fault, status) in rows {
        idp.forget();
        idp.fault(Endpoint::Token, fault);
        let mut browser = scene.browser(APP);
        let answer = come_back(&idp, &mut browser, "/private", &User::ada()).await;
        assert_refused(name, &answer, status);
        assert_eq!(answer.field("retry-after"), (status == 503).then_some("10"), "{name}");
        assert!(browser.cookies.is_empty(), "{name}: {:?}", browser.cookies);
        // ERR-02: a code is never sent twice.
        assert_eq!((idp.requests(Endpoint::Token), idp.requests_elsewhere()), (1, 0), "{name}");
        assert_eq!(steady.go("/private").await.status, 200, "{name}: who is signed in stays so");
    }
    idp.clear();
    let harmless = [
        ("token_type in lower case", token_answer::token_type("bearer")),
        ("a pause in the middle", Fault::DelayBody(Duration::from_millis(200))),
        ("half a mebibyte", Fault::Padded(512 * 1024)),
        ("expires_in huge", token_answer::expires_in(9_000_000_000_u64)),
        ("no expires_in", Fault::without("expires_in")),
        ("a charset", Fault::ContentType("application/json; charset=utf-8")),
        ("an unknown member", Fault::with("refresh_token", "kept by nobody")),
    ];
    for (name, fault) in harmless {
        idp.fault_next(Endpoint::Token, fault);
        assert_eq!(come_back(&idp, &mut scene.browser(APP), "/private", &User::ada()).await.status, 303, "{name}");
    }
}

#[tokio::test]
async fn oidc_14_a_token_endpoint_that_never_ends_is_given_ten_seconds() {
    let (idp, scene) = rig().await;
    let mut steady = scene.browser(APP);
    assert_eq!(come_back(&idp, &mut steady, "/private", &User::vera()).await.status, 303);
    for fault in
        [Fault::StallBody, Fault::Drip(Duration::from_millis(50)), Fault::DelayHead(Duration::from_secs(40)), Fault::WrongLength(20)]
    {
        idp.fault_next(Endpoint::Token, fault);
    }
    let begun = std::time::Instant::now();
    let four = (0..4).map(|_| async {
        let mut browser = scene.browser(APP);
        let answer = come_back(&idp, &mut browser, "/private", &User::ada()).await;
        assert_refused("an endless answer", &answer, 503);
    });
    let waiting = futures::future::join_all(four);
    let meanwhile = async {
        assert!(idp.saw(Endpoint::Token, 5, Duration::from_secs(8)).await);
        assert_eq!(steady.go("/private").await.status, 200, "nobody else waits");
        assert_eq!(scene.browser(APP).go("/public/x").await.status, 200);
        begun.elapsed()
    };
    let (_, elapsed) = futures::future::join(waiting, meanwhile).await;
    assert!(elapsed < Duration::from_secs(9), "{elapsed:?}");
    assert!(begun.elapsed() < Duration::from_secs(16), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn oidc_17_userinfo_is_believed_about_the_same_subject_alone_and_replaces_nothing() {
    let (idp, scene) = rig_with("    userinfo: true\n").await;
    let mut rows: Vec<(&str, Fault, u16)> = userinfo::refused().into_iter().map(|(name, fault)| (name, fault, 502)).collect();
    rows.extend([
        ("500", Fault::Status(500), 503),
        ("401", Fault::Status(401), 503),
        ("a redirect", Fault::Redirect(302, Redirection::Elsewhere), 503),
        ("a page", Fault::html(), 503),
        ("a signed answer nobody asked for", Fault::ContentType("application/jwt"), 503),
        ("two mebibytes", Fault::Padded(2 * 1024 * 1024), 503),
        ("a reset", Fault::Reset, 503),
        ("half of it", Fault::Truncated, 502),
    ]);
    for (name, fault, status) in rows {
        idp.fault(Endpoint::Userinfo, fault);
        let mut browser = scene.browser(APP);
        assert_refused(name, &come_back(&idp, &mut browser, "/private", &User::ada()).await, status);
        assert!(browser.cookies.is_empty(), "{name}");
    }
    assert_eq!((scene.app.bytes(), idp.requests_elsewhere()), (0, 0));
    idp.fault(Endpoint::Userinfo, userinfo::overriding_protocol_claims());
    assert_eq!(outcome(&idp, &scene).await, signed_in());
}

#[tokio::test]
async fn oidc_14_private_key_jwt_none_and_post() {
    let made = rcgen::generate_simple_self_signed(["client".to_owned()]).unwrap().signing_key;
    let idp = HostileIdp::start().await;
    let client = "    client_id: doorward\n    client_auth: private_key_jwt\n    key_id: the-first\n    private_key: { file: client.pem }";
    let files = vec![("client.pem".to_owned(), made.serialize_pem())];
    let scene = Scene::with(Plan { client: Some(client.into()), files, ..Plan::oidc(idp.issuer()) }).await;
    let mut seen = HashSet::new();
    for _ in 0..3 {
        assert_eq!(outcome(&idp, &scene).await, signed_in());
        let request = idp.log().into_iter().rfind(|request| request.endpoint == Endpoint::Token).unwrap();
        assert_eq!((request.header("authorization"), request.field("client_secret")), (None, None));
        let assertion = request.field("client_assertion").unwrap();
        let mut wanted = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::ES256);
        wanted.set_audience(&[idp.issuer()]);
        wanted.set_issuer(&["doorward"]);
        let key = jsonwebtoken::DecodingKey::from_ec_pem(made.public_key_pem().as_bytes()).unwrap();
        let opened = jsonwebtoken::decode::<serde_json::Value>(&assertion, &key, &wanted).unwrap();
        let number = |name: &str| opened.claims[name].as_i64().unwrap();
        assert_eq!(opened.claims["sub"], "doorward");
        assert_eq!(opened.header.kid.as_deref(), Some("the-first"));
        assert!((1..=60).contains(&(number("exp") - number("iat"))));
        assert!(seen.insert(opened.claims["jti"].as_str().unwrap().to_owned()), "jti is unique");
    }

    let idp = HostileIdp::start_as(Profile { client_secret: None, ..Profile::default() }).await;
    let client = Some("    client_id: doorward\n    client_auth: none".to_owned());
    let scene = Scene::with(Plan { client, ..Plan::oidc(idp.issuer()) }).await;
    assert_eq!(outcome(&idp, &scene).await, signed_in());
    let request = idp.log().into_iter().find(|request| request.endpoint == Endpoint::Token).unwrap();
    assert_eq!(
        (request.header("authorization"), request.field("client_secret"), request.field("client_id")),
        (None, None, Some("doorward".into()))
    );

    let idp = HostileIdp::start().await;
    let client = Some("    client_id: doorward\n    client_auth: post\n    client_secret: { file: hostile }".to_owned());
    let scene = Scene::with(Plan { client, ..Plan::oidc(idp.issuer()) }).await;
    assert_eq!(outcome(&idp, &scene).await, signed_in());
    let request = idp.log().into_iter().find(|request| request.endpoint == Endpoint::Token).unwrap();
    assert_eq!((request.header("authorization"), request.field("client_secret")), (None, Some(hostile::CLIENT_SECRET.into())));
}

#[tokio::test]
async fn oidc_14_a_wrong_client_secret_is_named_in_the_log_and_not_on_the_page() {
    let idp = HostileIdp::start().await;
    let plan = Plan { files: vec![("hostile".into(), "another secret".into())], ..Plan::oidc(idp.issuer()) };
    let scene = Scene::with(plan).await;
    assert_eq!(outcome(&idp, &scene).await, refused("client_refused"));
    assert_eq!(scene.metric("doorward_logins_total{outcome=\"error\",provider=\"tenant\",reason=\"client_refused\"}").await, 1.0);
}

#[tokio::test]
async fn oidc_01_adv_env_05_adv_misc_01_a_callback_without_its_own_state_asks_the_provider_nothing() {
    let (idp, scene) = rig().await;
    let mut browser = scene.browser(APP);
    let location = begin(&mut browser, "/private").await;
    let callback = path_of(&idp.grant(&location, &User::ada()));
    let good = parameter(&location, "state");
    // A state of the same browser at another host, sealed by the same keys.
    let mut elsewhere = scene.browser("both.localhost");
    let other_host = parameter(&begin(&mut elsewhere, "/x").await, "state");
    let attempt_cookie = browser.cookies.values().next().unwrap().clone();
    let mut rows: Vec<(&str, String, u16)> = vec![
        ("no query", String::new(), 400),
        ("an empty query", "?".into(), 400),
        ("nothing but a separator", "?&".into(), 400),
        ("a code without a value", "?code".into(), 400),
        ("a state without a value", "?state".into(), 400),
        ("a NUL as state", "?state=%00".into(), 400),
        ("a code and no state", "?code=c".into(), 400),
        ("an empty state", "?code=c&state=".into(), 400),
        ("a state of another kind", format!("?code=c&state={attempt_cookie}"), 400),
        ("a made-up state", "?code=c&state=AAAA".into(), 400),
        ("a state of another host", format!("?code=c&state={other_host}"), 400),
        ("a state cut short", format!("?code=c&state={}", &good[..good.len() - 1]), 400),
        ("a longer state", format!("?code=c&state={good}A"), 400),
        ("a state in capital letters", format!("?code=c&state={}", good.to_uppercase()), 400),
        ("a state of 9 KiB", format!("?code=c&state={}", "A".repeat(7_900)), 400),
        ("a state and no code", format!("?state={good}"), 400),
        ("PARAM-01 two codes", format!("?code=c&code=d&state={good}"), 400),
        ("PARAM-01 the same code twice", format!("?code=c&code=c&state={good}"), 400),
        ("PARAM-01 two states", format!("?code=c&state={good}&state={good}"), 400),
        ("PARAM-01 two issuers", format!("?code=c&state={good}&iss=a&iss=a"), 400),
        ("PARAM-01 two errors", format!("?error=a&error=b&state={good}"), 400),
        ("PARAM-01 a name escaped", format!("?code=c&%63ode=d&state={good}"), 400),
        ("PARAM-02 an empty code", format!("?code=&state={good}"), 400),
        ("PARAM-02 a NUL", format!("?code=%00&state={good}"), 400),
        ("PARAM-02 a line end", format!("?code=a%0d%0ab&state={good}"), 400),
        ("PARAM-02 a broken escape", format!("?code=%zz&state={good}"), 400),
        ("PARAM-02 half an escape", format!("?code=c&state={good}&x=%"), 400),
        ("PARAM-02 5 KiB of code", format!("?code={}&state={good}", "a".repeat(5_000)), 400),
        ("OIDC-11 an ID token", format!("?code=c&id_token=e30.e30.&state={good}"), 400),
        ("OIDC-11 an access token", format!("?access_token=x&state={good}"), 400),
        ("OIDC-11 a JARM response", format!("?response=x&code=c&state={good}"), 400),
    ];
    rows.push(("a state of another provider's callback", format!("/../nobody?code=c&state={good}"), 400));
    for (name, query, status) in &rows {
        let answer = browser.go(&format!("{CALLBACK}{query}")).await;
        assert_eq!(answer.status, *status, "{name}: {}", answer.text());
        assert!(answer.all("set-cookie").is_empty(), "{name}: nothing is set and nothing that is not spent is cleared");
    }
    let unknown = browser.go(&format!("/_doorward/callback/nobody?code=c&state={good}")).await;
    assert_eq!(unknown.status, 404);
    for method in ["POST", "PUT", "HEAD", "DELETE", "OPTIONS"] {
        let answer = browser.request(method, &callback, &[("content-type", "application/x-www-form-urlencoded")], b"").await;
        assert_eq!((answer.status, answer.field("allow")), (405, Some("GET")), "OIDC-11 {method}");
    }
    // OIDC-02, ADV-O2P-01: from a browser that never began it, with the code of somebody else. It begins one of its own.
    let mut other = scene.browser(APP);
    let stranger = other.go(&callback).await;
    assert_eq!(stranger.status, 302, "{}", stranger.text());
    assert_ne!(parameter(stranger.location(), "state"), good);
    assert!(!other.cookies.contains_key(SESSION));
    // A cookie of the right name that somebody planted.
    let mut planted = browser.clone();
    planted.cookies.values_mut().for_each(|value| *value = elsewhere.cookies.values().next().unwrap().clone());
    assert_eq!(planted.go(&callback).await.status, 400);
    assert_eq!(idp.requests(Endpoint::Token), 0);
    assert_eq!(browser.go(&callback).await.status, 303, "after all that, the right one");
    // ADV-AK-08, ADV-MAO-09: posts without content.
    for path in ["login", "session", "whoami", "callback/tenant"] {
        assert_eq!(browser.request("POST", &format!("/_doorward/{path}"), &[], b"").await.status, 405, "{path}");
    }
}

fn now() -> Timestamp {
    Timestamp(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap())
}

#[tokio::test]
async fn oidc_01_adv_o2p_16_an_attempt_ends_after_ten_minutes_whatever_the_session_may() {
    let (idp, scene) = rig().await;
    let keys = SealingKeys::new(&[Secret::new(STANDARD.decode(SESSION_KEY).unwrap())]).unwrap();
    let begun = |ago: u64| {
        let redirect_uri = format!("https://{APP}{CALLBACK}");
        let seed = u8::try_from(ago % 251).unwrap();
        let attempt = Attempt::begin("tenant", &redirect_uri, &[seed; 80], now().minus(Duration::from_secs(ago)));
        let mut browser = scene.browser(APP);
        browser.cookies.insert(attempt.cookie_name(), attempt.seal(&keys, APP, [1; 12]));
        (browser, State::of(&attempt, &ReturnTo::root(), 0).seal(&keys, APP, [2; 12]))
    };
    let (mut old, state) = begun(ATTEMPT_LIFETIME.as_secs() + 1);
    // By a script, so that nothing begins anew.
    let answer = old.fetch(&format!("{CALLBACK}?code=c&state={state}")).await;
    assert_eq!((answer.status, answer.json()["error"].as_str()), (400, Some("attempt_expired")));
    assert_eq!(idp.requests(Endpoint::Token), 0);
    // The twin, a minute younger, goes as far as the provider, which never issued its code.
    let (mut young, state) = begun(ATTEMPT_LIFETIME.as_secs() - 60);
    assert_refused("nine minutes", &young.go(&format!("{CALLBACK}?code=c&state={state}")).await, 400);
    assert_eq!(idp.requests(Endpoint::Token), 1);
    assert_eq!(reason(&scene).await, "code_refused");
}

#[tokio::test]
async fn oidc_03_10_an_attempt_counts_once_even_with_a_fresh_code_and_even_at_the_same_moment() {
    let (idp, scene) = rig().await;
    let mut browser = scene.browser(APP);
    let location = begin(&mut browser, "/private").await;
    let authorization = idp.authorization(&location);
    let before = browser.clone();
    let code = || idp.code_for(&authorization, &User::ada());
    let callback = |code: &str| path_of(&authorization.callback(&[("code", code)]));
    let one = callback(&code());
    let at_once = futures::future::join_all((0..8).map(|_| {
        let mut tab = before.clone();
        let one = one.clone();
        async move { tab.go(&one).await.status }
    }))
    .await;
    assert_eq!(at_once.iter().filter(|status| **status == 303).count(), 1, "{at_once:?}");
    assert!(at_once.iter().all(|status| [303, 400].contains(status)), "{at_once:?}");
    assert_eq!(idp.requests(Endpoint::Token), 1);
    let again = before.clone().go(&callback(&code())).await;
    assert_refused("a fresh code", &again, 400);
    assert!(again.text().contains("used already"));
    assert_eq!(idp.requests(Endpoint::Token), 1);
}

#[tokio::test]
async fn oidc_04_no_two_attempts_share_anything() {
    let (_idp, scene) = rig().await;
    let mut seen = HashSet::new();
    for _ in 0..30 {
        let location = begin(&mut scene.browser(APP), "/private").await;
        for name in ["state", "nonce", "code_challenge"] {
            let value = parameter(&location, name);
            assert!(value.len() >= 22 && seen.insert(value), "{name}");
        }
    }
}

#[tokio::test]
async fn oidc_09_a_stolen_code_is_worth_nothing_in_another_browser() {
    let (idp, scene) = rig().await;
    let (mut victim, mut thief) = (scene.browser(APP), scene.browser(APP));
    let victims = idp.authorization(&begin(&mut victim, "/private").await);
    let thiefs = idp.authorization(&begin(&mut thief, "/private").await);
    let stolen = idp.code_for(&victims, &User::ada());
    // RFC 7636: the verifier is the thief's, the challenge the victim's.
    let answer = thief.go(&path_of(&thiefs.callback(&[("code", &stolen)]))).await;
    assert_refused("PKCE", &answer, 400);
    assert!(!thief.cookies.contains_key(SESSION));
    // A provider that forgets about PKCE: the nonce tells.
    let mut thief = scene.browser(APP);
    let thiefs = idp.authorization(&begin(&mut thief, "/private").await);
    let nonce = victims.must("nonce").to_owned();
    idp.next_id_token(move |token| token.claims["nonce"] = json!(nonce));
    let answer = thief.go(&path_of(&thiefs.callback(&[("code", &idp.code_for(&thiefs, &User::ada()))]))).await;
    assert_refused("nonce", &answer, 502);
    assert_eq!(reason(&scene).await, "token_nonce");
}

#[tokio::test]
async fn oidc_07_the_issuer_of_an_answer_is_checked_and_demanded_where_it_was_promised() {
    let idp = HostileIdp::start().await;
    idp.fault(Endpoint::Discovery, discovery::promises_iss());
    let promising = Scene::with(Plan::oidc(idp.issuer())).await;
    let other = HostileIdp::start().await;
    let plain = Scene::with(Plan::oidc(other.issuer())).await;
    let rows: [(&str, &HostileIdp, &Scene, Option<String>, u16); 7] = [
        ("promised and right", &idp, &promising, Some(idp.issuer().into()), 303),
        ("promised and missing", &idp, &promising, None, 400),
        ("promised and another's", &idp, &promising, Some("https://evil.test/".into()), 400),
        ("promised and empty", &idp, &promising, Some(String::new()), 400),
        ("not promised and missing", &other, &plain, None, 303),
        ("not promised and right", &other, &plain, Some(other.issuer().into()), 303),
        ("not promised and without its slash", &other, &plain, Some(other.issuer().trim_end_matches('/').into()), 400),
    ];
    for (name, idp, scene, issuer, status) in rows {
        idp.forget();
        let mut browser = scene.browser(APP);
        let authorization = idp.authorization(&begin(&mut browser, "/private").await);
        let code = idp.code_for(&authorization, &User::ada());
        let mut parameters = vec![("code", code.as_str())];
        parameters.extend(issuer.as_deref().map(|issuer| ("iss", issuer)));
        let answer = browser.go(&path_of(&authorization.callback(&parameters))).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
        assert_eq!(idp.requests(Endpoint::Token), usize::from(status == 303), "{name}");
    }
    // Also at an edge that was started while the person was away.
    let mut browser = promising.browser(APP);
    let authorization = idp.authorization(&begin(&mut browser, "/private").await);
    let code = idp.code_for(&authorization, &User::ada());
    idp.forget();
    let twin = promising.twin(|text| text).await;
    let answer = twin.visit(&browser).go(&path_of(&authorization.callback(&[("code", &code)]))).await;
    assert_refused("started a moment ago", &answer, 400);
    assert_eq!(idp.requests(Endpoint::Token), 0);
}

#[tokio::test]
async fn oidc_08_what_a_provider_says_is_shown_escaped_and_only_to_whom_it_was_said() {
    let (idp, scene) = rig().await;
    let attack = "</dd><script>alert(1)</script><img src=x onerror=alert(1)>{{7*7}}\"'";
    for (error, status) in [
        ("access_denied", 403),
        ("unauthorized", 403),
        ("login_required", 400),
        ("consent_required", 400),
        ("interaction_required", 400),
        ("account_selection_required", 400),
        ("too_many_attempts", 429),
        ("server_error", 502),
        ("temporarily_unavailable", 503),
        (attack, 502),
    ] {
        let mut browser = scene.browser(APP);
        let location = begin(&mut browser, "/private?page=2").await;
        let back = path_of(&idp.refuse(&location, error, &format!("{attack}{}", "x".repeat(2000))));
        let answer = browser.go(&back).await;
        assert_refused(error, &answer, status);
        let text = answer.text();
        assert!(
            !text.contains("<script") && !text.contains("<img") && text.contains("&lt;script&gt;") && text.contains("{{7*7}}"),
            "{text}"
        );
        assert!(!text.contains(&"x".repeat(400)), "{error}: cut to a length");
        assert!(
            text.contains("return_to=%2Fprivate%3Fpage%3D2")
                || text.contains("return_to=%2Fprivate%3Fpage%3D2".replace('=', "&#x3D;").as_str()),
            "{text}"
        );
        // No loop: the page waits for a click.
        assert_eq!(answer.field("refresh"), None);
        assert!(!text.contains("http-equiv"));
        let reason = reason(&scene).await;
        assert_eq!(reason, if error == attack { "other_error" } else { error });
        // The same address once more, or from elsewhere, says nothing of the kind.
        for stranger in [&mut browser, &mut scene.browser(APP)] {
            let answer = stranger.go(&back).await;
            assert!(answer.status == 400 && !answer.text().contains("alert"), "{}", answer.text());
        }
        let unsolicited = scene.browser(APP).go(&format!("{CALLBACK}?error=access_denied&error_description=call-0900-666&state=x")).await;
        assert!(unsolicited.status == 400 && !unsolicited.text().contains("0900"), "{}", unsolicited.text());
    }
    assert_eq!(idp.requests(Endpoint::Token), 0);
    assert!(!scene.log_text().await.contains("alert"));
}

#[tokio::test]
async fn oidc_13_adv_lro_01_where_to_come_back_to_is_configured_and_never_asked_for() {
    let (_idp, scene) = rig().await;
    let fields = [
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
        ("accept", "text/html"),
        ("x-forwarded-host", "evil.test"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-port", "1"),
        ("x-forwarded-prefix", "//evil.test"),
        ("x-original-url", "https://evil.test/"),
        ("x-forwarded-uri", "/evil"),
        ("forwarded", "host=evil.test;proto=http"),
        ("origin", "https://evil.test"),
        ("referer", "https://evil.test/"),
    ];
    for host in [APP, "APP.localhost", "app.localhost:443", "app.localhost."] {
        let mut browser = scene.browser(APP);
        browser.host = APP.into();
        let mut raw = scene.raw(APP).await;
        let lines: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        raw.send(format!("GET /private HTTP/1.1\r\nhost: {host}\r\n{lines}\r\n").as_bytes()).await;
        let answer = raw.answer().await.unwrap();
        if answer.status == 400 {
            assert!(host.ends_with('.'), "{host}");
            continue;
        }
        assert_eq!(answer.status, 302, "{host}: {}", answer.text());
        assert_eq!(parameter(answer.location(), "redirect_uri"), format!("https://{APP}{CALLBACK}"), "{host}");
        assert!(!answer.location().contains("evil"), "{host}");
    }
}

#[tokio::test]
async fn oidc_18_param_06_nobody_adds_to_the_authorization_request() {
    let (idp, scene) = rig().await;
    let usual = begin(&mut scene.browser(APP), "/private").await;
    let names = |location: &str| {
        let mut names: Vec<String> = url::Url::parse(location).unwrap().query_pairs().map(|(name, _)| name.into_owned()).collect();
        names.sort();
        names
    };
    let injected = "prompt=none&audience=evil&scope=openid+admin&organization=org_evil&connection=evil&redirect_uri=https://evil.test/&client_id=evil&response_type=token&request=x&request_uri=https://evil.test/&id_token_hint=evil&max_age=0&acr_values=evil&target_link_uri=https://evil.test/&state=evil&nonce=evil&code_challenge=evil&code_challenge_method=plain&response_mode=form_post";
    for path in [
        format!("/_doorward/login?return_to=/x&{injected}"),
        format!("/_doorward/login?{injected}"),
        format!("/private?{injected}"),
        "/_doorward/login?return_to=%2Fx%26client_id%3Devil%26redirect_uri%3Dhttps%3A%2F%2Fevil.test%2F".to_owned(),
        "/_doorward/login?return_to=/x%3Fa%3D1%26client_id=evil%2523%26scope=evil".to_owned(),
    ] {
        let location = begin(&mut scene.browser(APP), &path).await;
        assert_eq!(names(&location), names(&usual), "{path}");
        assert!(!location.contains("evil"), "{path}: {location}");
        for name in ["client_id", "redirect_uri", "response_type", "scope", "audience"] {
            assert_eq!(parameter(&location, name), parameter(&usual, name), "{path}");
        }
    }
    // It comes back whole all the same.
    let mut browser = scene.browser(APP);
    let back = come_back(&idp, &mut browser, "/private?client_id=mine&x=%26y", &User::ada()).await;
    assert_eq!(back.location(), "/private?client_id=mine&x=%26y");
    // PARAM-01: the two that count come once.
    for query in ["return_to=/a&return_to=/b", "provider=tenant&provider=tenant", "return_to=%zz"] {
        let answer = scene.browser(APP).go(&format!("/_doorward/login?{query}")).await;
        assert_eq!((answer.status, answer.field("location")), (400, None), "{query}");
    }
    for (query, status) in [("provider=tenant", 302), ("provider=other", 404)] {
        assert_eq!(scene.browser(APP).go(&format!("/_doorward/login?{query}")).await.status, status, "{query}");
    }
}

#[tokio::test]
async fn oidc_19_23_24_only_a_navigation_that_changes_nothing_begins_a_sign_in() {
    let (_idp, scene) = rig().await;
    type Fields = &'static [(&'static str, &'static str)];
    let rows: &[(&str, &str, Fields, u16)] = &[
        ("a navigation", "GET", &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")], 302),
        ("an old browser", "GET", &[("accept", "text/html,*/*;q=0.8")], 302),
        ("an iframe", "GET", &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe"), ("accept", "text/html")], 401),
        ("an embed", "GET", &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "embed"), ("accept", "text/html")], 401),
        ("an image", "GET", &[("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image"), ("accept", "image/*,*/*")], 401),
        ("a script", "GET", &[("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "script")], 401),
        ("a fetch", "GET", &[("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty"), ("accept", "application/json")], 401),
        ("XMLHttpRequest", "GET", &[("accept", "text/html"), ("x-requested-with", "XMLHttpRequest")], 401),
        ("curl", "GET", &[("accept", "*/*")], 401),
        ("a posted form", "POST", &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document"), ("accept", "text/html")], 401),
        ("PUT", "PUT", &[("accept", "text/html")], 401),
        ("DELETE", "DELETE", &[("accept", "text/html")], 401),
        (
            "a WebSocket",
            "GET",
            &[
                ("connection", "upgrade"),
                ("upgrade", "websocket"),
                ("sec-websocket-version", "13"),
                ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ],
            401,
        ),
    ];
    for (name, method, fields, status) in rows {
        let mut browser = scene.browser(APP);
        let answer = browser.request(method, "/private", fields, b"").await;
        assert_eq!(answer.status, *status, "{name}: {}", answer.text());
        assert_eq!(browser.cookies.len(), usize::from(*status == 302), "{name}: a refusal leaves nothing behind");
        // RFC 9700 §4.12: never 307 or 308.
        assert_eq!(answer.field("location").is_some(), *status == 302, "{name}");
        assert_eq!(answer.field("www-authenticate").is_some(), *status == 401, "{name}: RFC 9110 §15.5.2");
    }
    assert_eq!(scene.app.bytes(), 0);
    // The login endpoint itself is no way around.
    let framed = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe"), ("accept", "text/html")];
    let answer = scene.browser(APP).request("GET", "/_doorward/login?return_to=/x", &framed, b"").await;
    assert_eq!((answer.status, answer.all("set-cookie").len()), (401, 0));
}

#[tokio::test]
async fn oidc_20_eight_tabs_leave_five_attempts_and_all_of_them_succeed() {
    let (idp, scene) = rig().await;
    let mut browser = scene.browser(APP);
    let mut tabs = Vec::new();
    for tab in 0..8 {
        let location = begin(&mut browser, &format!("/private?tab={tab}")).await;
        tabs.push((tab, path_of(&idp.grant(&location, &User::ada()))));
        assert!(attempts(&browser).len() <= 5, "{:?}", browser.cookies.keys());
        let header: usize = browser.cookies.iter().map(|(name, value)| name.len() + value.len() + 3).sum();
        assert!(header < 8 * 1024, "{header} bytes of cookies");
    }
    assert_eq!(attempts(&browser).len(), 5);
    // In any order: those that gave way find that another one was faster.
    tabs.rotate_left(4);
    tabs.reverse();
    let mut signed_in = Vec::new();
    for (tab, callback) in tabs {
        let mut answer = browser.go(&callback).await;
        if answer.status == 302 {
            // It gave way, and nobody was faster yet: a clean start, once.
            answer = browser.go(&path_of(&idp.grant(answer.location(), &User::ada()))).await;
        }
        assert_eq!(answer.status, 303, "{tab}: {}", answer.text());
        assert_eq!(answer.location(), format!("/private?tab={tab}"));
        signed_in.push(answer.cookies().iter().any(|(name, _)| name == SESSION));
    }
    assert!(signed_in.iter().filter(|own| **own).count() >= 5, "{signed_in:?}");
    assert!(attempts(&browser).is_empty());
    assert_eq!(browser.go("/private").await.status, 200);
}

#[tokio::test]
async fn oidc_20_cookies_that_only_look_like_attempts_give_way_first() {
    let (idp, scene) = rig().await;
    let mut browser = scene.browser(APP);
    let location = begin(&mut browser, "/private?first").await;
    for number in 0..30 {
        browser.cookies.insert(format!("{ATTEMPT}planted-{number}"), "x".repeat(40));
    }
    let second = begin(&mut browser, "/private?second").await;
    for location in [location, second] {
        let callback = path_of(&idp.grant(&location, &User::ada()));
        assert_eq!(browser.go(&callback).await.status, 303, "what was really begun is kept");
    }
    // No name is sent back that a header could not hold.
    browser.cookies.insert(format!("{ATTEMPT}a\"b"), "x".into());
    browser.cookies.insert(format!("{ATTEMPT}{}", "y".repeat(100)), "x".into());
    browser.cookies.remove(SESSION);
    let answer = browser.go("/private").await;
    assert!(answer.all("set-cookie").iter().all(|line| !line.contains("a\"b") && !line.contains("yyyy")), "{:?}", answer.fields);
}
