//! Keys and metadata: how often they are fetched, what is believed of them, and what works while they cannot be had.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use doorward_demo::tenant;
use doorward_proxy::keys::Tempo;
use doorward_tests::client::{Answer, Browser, Raw, path_of};
use doorward_tests::hostile::{Endpoint, Fault, HostileIdp, Redirection, User, discovery, forge, jwks};
use doorward_tests::scene::{API, APP, Plan, Scene};

use crate::oidc::come_back;

/// As the edge's own, only faster.
fn quick() -> Tempo {
    Tempo {
        bearer_cool_down: Duration::from_millis(50),
        sign_in_cool_down: Duration::from_millis(20),
        retry: Duration::from_millis(100),
        ..Tempo::default()
    }
}

/// Never by itself: only when somebody asks.
fn on_demand() -> Tempo {
    Tempo { retry: Duration::from_secs(600), ..quick() }
}

fn plan(idp: &HostileIdp, tempo: Tempo) -> Plan {
    Plan { tempo, ..Plan::oidc(idp.issuer()) }
}

fn reader() -> User {
    User::ada().with("scope", "read:items")
}

/// A token that could be one of ours but for its key, which nobody has.
fn made_up(issuer: &str, number: usize) -> String {
    let encode = |text: String| URL_SAFE_NO_PAD.encode(text);
    let header = format!("{{\"alg\":\"RS256\",\"typ\":\"JWT\",\"kid\":\"made-up-{number}\"}}");
    let claims = format!("{{\"iss\":\"{issuer}\",\"sub\":\"auth0|mallory\",\"aud\":\"{}\",\"exp\":4102444800}}", tenant::AUDIENCE);
    format!("{}.{}.{}", encode(header), encode(claims), URL_SAFE_NO_PAD.encode([7; 256]))
}

fn request(token: &str) -> Vec<u8> {
    format!("GET /items HTTP/1.1\r\nhost: {API}\r\nauthorization: Bearer {token}\r\n\r\n").into_bytes()
}

/// Waits, but not for ever, until `wanted` holds.
async fn until<F: Future<Output = bool>>(what: &str, wanted: impl Fn() -> F) {
    let begun = Instant::now();
    while !wanted().await {
        assert!(begun.elapsed() < Duration::from_secs(10), "{what}: not within ten seconds");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// How many fetches ended in this way.
async fn fetches(scene: &Scene, outcome: &str) -> f64 {
    scene.metric(&format!("doorward_jwks_fetch_total{{outcome=\"{outcome}\",provider=\"tenant\"}}")).await
}

async fn go_and_grant(idp: &HostileIdp, browser: &mut Browser) -> String {
    let redirect = browser.go("/private").await;
    assert_eq!(redirect.status, 302, "{}", redirect.text());
    path_of(&idp.grant(redirect.location(), &User::ada()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jwks_01_a_cold_edge_asked_by_320_at_once_fetches_keys_once() {
    let scene = Scene::start().await;
    scene.tenant.set_delay("jwks", Duration::from_millis(400));
    let token = scene.token("ada");
    let connections: Vec<Raw> = futures::future::join_all((0..320).map(|_| scene.raw(API))).await;
    let asked = connections.into_iter().map(|mut raw| {
        let bytes = request(&token);
        async move {
            raw.send(&bytes).await;
            raw.answer().await.map(|answer| answer.status)
        }
    });
    let answers = futures::future::join_all(asked).await;
    assert!(answers.iter().all(|status| *status == Some(200)), "{answers:?}");
    assert_eq!((scene.tenant.requests("discovery"), scene.tenant.requests("jwks")), (1, 1));
}

/// Asks with a key id nobody has heard of, again and again, until told to stop.
async fn flood(mut raw: Raw, issuer: String, next: Arc<AtomicUsize>, over: Arc<AtomicBool>) -> Duration {
    let mut slowest = Duration::ZERO;
    while !over.load(Ordering::Relaxed) {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let begun = Instant::now();
        raw.send(&request(&made_up(&issuer, number))).await;
        let answer = raw.answer().await.expect("an answer on a connection that stays");
        assert_eq!(answer.status, 401, "{}", answer.text());
        slowest = slowest.max(begun.elapsed());
    }
    slowest
}

/// How long it took until `token` was accepted.
async fn accepted(scene: &Scene, token: &str) -> Duration {
    let begun = Instant::now();
    loop {
        let answer = scene.call("/items", token).await;
        if answer.status == 200 {
            return begun.elapsed();
        }
        assert_eq!(answer.status, 401, "{}", answer.text());
        assert!(begun.elapsed() < Duration::from_secs(15), "a real new key is not accepted");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jwks_02_ten_thousand_made_up_key_ids_cost_a_fetch_in_ten_seconds_and_delay_no_real_key() {
    // Beyond the limit for one client nothing would be verified any more: this is about many clients.
    let server = "  limits: { connections_per_client: 1000, bad_credentials_per_client: 1000000 }\n";
    let scene = Scene::with(Plan { server: server.into(), ..Plan::default() }).await;
    let good = scene.token("ada");
    assert_eq!(scene.call("/items", &good).await.status, 200);
    let (next, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let begun = Instant::now();
    let mut attackers = Vec::new();
    for _ in 0..24 {
        let raw = scene.raw(API).await;
        attackers.push(tokio::spawn(flood(raw, scene.tenant.issuer().to_owned(), next.clone(), over.clone())));
    }
    tokio::time::sleep(Duration::from_secs(2)).await;

    // Twice, because the next key was published ahead: this one never was.
    scene.tenant.rotate_keys_and_revoke();
    scene.tenant.rotate_keys_and_revoke();
    let took = accepted(&scene, &scene.token("eddie")).await;
    assert!(took < Duration::from_secs(10), "a real new key was accepted after {took:?}");
    assert_eq!(scene.call("/items", &good).await.status, 401, "and the revoked one is refused, although it was remembered");

    // Sign-ins do not wait for the flood's cool-down.
    scene.tenant.rotate_keys_and_revoke();
    scene.tenant.rotate_keys_and_revoke();
    let begun_sign_in = Instant::now();
    let mut browser = scene.signed_in(APP, "ada").await;
    assert!(begun_sign_in.elapsed() < Duration::from_secs(4), "a sign-in took {:?}", begun_sign_in.elapsed());
    assert_eq!(browser.go("/private").await.status, 200);
    let last = scene.token("vera");
    let mut probes = Vec::new();
    while begun.elapsed() < Duration::from_secs(24) || (next.load(Ordering::Relaxed) < 10_000 && begun.elapsed() < Duration::from_secs(90))
    {
        let probe = Instant::now();
        assert_eq!(scene.call("/items", &last).await.status, 200, "what is valid is served all the while");
        probes.push(probe.elapsed());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    over.store(true, Ordering::Relaxed);
    let seconds = begun.elapsed().as_secs();
    for attacker in attackers {
        let slowest = attacker.await.expect("no attacker is cut off");
        assert!(slowest < Duration::from_secs(6), "an attacker was kept waiting for {slowest:?}");
    }
    let (asked, fetched) = (next.load(Ordering::Relaxed), scene.tenant.requests("jwks"));
    assert!(asked >= 10_000, "only {asked} requests in {seconds} s");
    // The cold start and one in ten seconds, and the sign-in's own.
    assert!(fetched <= 1 + seconds / 10 + 1, "{fetched} fetches for {asked} requests in {seconds} s");
    assert_eq!(scene.tenant.requests("discovery"), 1);
    probes.sort();
    assert!(probes[probes.len() / 2] < Duration::from_secs(1), "the median of what is valid took {:?}", probes[probes.len() / 2]);
    assert!(scene.metric("doorward_jwks_unknown_kid_total{provider=\"tenant\"}").await >= 10_000.0);
}

#[tokio::test]
async fn jwks_02_fetches_are_as_far_apart_as_the_cool_down_says() {
    let idp = HostileIdp::start().await;
    let scene = Scene::with(plan(&idp, Tempo { bearer_cool_down: Duration::from_millis(400), ..on_demand() })).await;
    let begun = Instant::now();
    let mut raw = scene.raw(API).await;
    for number in 0..400 {
        raw.send(&request(&made_up(idp.issuer(), number))).await;
        assert_eq!(raw.answer().await.unwrap().status, 401);
    }
    let most = 1 + begun.elapsed().as_millis() / 400;
    assert!(idp.requests(Endpoint::Jwks) as u128 <= most, "{} fetches, {most} allowed", idp.requests(Endpoint::Jwks));
    // One known key id never causes any.
    let before = idp.requests(Endpoint::Jwks);
    tokio::time::sleep(Duration::from_millis(450)).await;
    for _ in 0..20 {
        assert_eq!(scene.call("/items", &idp.access_token(&reader(), forge::strangers_signature)).await.status, 401);
    }
    assert_eq!(idp.requests(Endpoint::Jwks), before, "a bad signature is no reason to fetch");
}

#[tokio::test]
async fn jwks_04_an_announced_key_needs_no_fetch_and_an_unannounced_one_needs_one() {
    let idp = HostileIdp::start().await;
    let scene = Scene::with(plan(&idp, on_demand())).await;
    let token = || idp.access_token(&reader(), |_| {});
    assert_eq!(scene.call("/items", &token()).await.status, 200);
    idp.rotate();
    assert_eq!(scene.call("/items", &token()).await.status, 200);
    assert_eq!(idp.requests(Endpoint::Jwks), 1);
    tokio::time::sleep(Duration::from_millis(60)).await;
    idp.rotate_unannounced();
    let (one, two, three) = (token(), token(), token());
    let answers = futures::future::join3(scene.call("/items", &one), scene.call("/items", &two), scene.call("/items", &three)).await;
    assert_eq!((answers.0.status, answers.1.status, answers.2.status), (200, 200, 200));
    assert_eq!(idp.requests(Endpoint::Jwks), 2);
}

#[tokio::test]
async fn jwks_04_a_sign_in_finds_a_key_that_was_rotated_in_a_moment_ago_however_recent_the_last_fetch_is() {
    let idp = HostileIdp::start().await;
    // The default cool-down for sign-ins, whose budget the cold start has just used.
    let scene = Scene::with(plan(&idp, Tempo::default())).await;
    let mut browser = scene.browser(APP);
    let callback = go_and_grant(&idp, &mut browser).await;
    assert_eq!(idp.requests(Endpoint::Jwks), 1);
    idp.rotate_unannounced();
    let begun = Instant::now();
    let answer = browser.go(&callback).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!(idp.requests(Endpoint::Jwks), 2);
}

#[tokio::test]
async fn jwks_04_a_sign_in_does_not_settle_for_a_fetch_that_began_before_its_key_was_there() {
    let idp = HostileIdp::start().await;
    let scene = Scene::with(plan(&idp, on_demand())).await;
    let mut browser = scene.browser(APP);
    let callback = go_and_grant(&idp, &mut browser).await;
    tokio::time::sleep(Duration::from_millis(60)).await;
    // A made-up token starts a fetch that read the old keys and takes its time.
    idp.fault_next(Endpoint::Jwks, Fault::DelayHead(Duration::from_millis(600)));
    let mut attacker = scene.raw(API).await;
    attacker.send(&request(&made_up(idp.issuer(), 0))).await;
    assert!(idp.saw(Endpoint::Jwks, 2, Duration::from_secs(5)).await);
    idp.rotate_unannounced();
    let answer = browser.go(&callback).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    assert_eq!(attacker.answer().await.unwrap().status, 401);
}

#[tokio::test]
async fn jwks_05_a_removed_key_stops_working_without_anybody_asking_for_another() {
    let idp = HostileIdp::start().await;
    let scene = Scene::with(plan(&idp, Tempo { refresh: Duration::from_millis(200), ..quick() })).await;
    let old = idp.access_token(&reader(), |_| {});
    assert_eq!(scene.call("/items", &old).await.status, 200);
    idp.rotate();
    let new = idp.access_token(&reader(), |_| {});
    until("the next refresh", || async { idp.requests(Endpoint::Jwks) >= 3 }).await;
    assert_eq!(scene.call("/items", &old).await.status, 200, "still published");
    idp.withdraw_previous_keys();
    until("the removed key is refused", || async { scene.call("/items", &old).await.status == 401 }).await;
    assert_eq!(scene.call("/items", &new).await.status, 200);
}

#[tokio::test]
async fn jwks_06_a_fetch_that_fails_keeps_the_last_good_keys_and_recovers_by_itself() {
    let idp = HostileIdp::start().await;
    let scene = Scene::with(plan(&idp, Tempo { refresh: Duration::from_millis(50), retry: Duration::from_millis(50), ..quick() })).await;
    let token = idp.access_token(&reader(), |_| {});
    assert_eq!(scene.call("/items", &token).await.status, 200);
    let faults = [
        ("500", Fault::Status(500), "status"),
        ("404", Fault::Status(404), "status"),
        ("429", Fault::Status(429), "status"),
        ("a redirect on the same host", Fault::Redirect(302, Redirection::Same), "redirect"),
        ("a redirect to another", Fault::Redirect(301, Redirection::Elsewhere), "redirect"),
        ("307 to http", Fault::Redirect(307, Redirection::To("http://evil.test/".into())), "redirect"),
        ("a reset", Fault::Reset, "broken"),
        ("a reset in the middle", Fault::ResetBody, "broken"),
        ("the end in the middle", Fault::HalfClose, "broken"),
        ("a hang-up", Fault::Hangup, "broken"),
        ("no HTTP", Fault::Raw(b"220 mail.test ESMTP\r\n".to_vec()), "broken"),
    ];
    for (name, fault, outcome) in faults {
        let before = fetches(&scene, outcome).await;
        idp.fault(Endpoint::Jwks, fault);
        until(name, || async { fetches(&scene, outcome).await >= before + 2.0 }).await;
        assert_eq!(scene.metric("doorward_idp_up{provider=\"tenant\"}").await, 0.0, "{name}");
        assert_eq!(scene.call("/items", &token).await.status, 200, "{name}: what was good stays good");
        assert_eq!(scene.admin("/readyz").await.0, 200, "{name}");
        let good = fetches(&scene, "ok").await;
        idp.clear();
        until("recovery", || async { fetches(&scene, "ok").await > good }).await;
        assert_eq!(scene.metric("doorward_idp_up{provider=\"tenant\"}").await, 1.0, "{name}");
    }
    assert_eq!(idp.requests_elsewhere(), 0);
}

#[tokio::test]
async fn jwks_06_nobody_with_a_known_key_waits_for_a_provider_that_drips() {
    let idp = HostileIdp::start().await;
    let scene = Scene::with(plan(&idp, Tempo { patience: Duration::from_millis(500), ..on_demand() })).await;
    let token = idp.access_token(&reader(), |_| {});
    assert_eq!(scene.call("/items", &token).await.status, 200);
    idp.fault(Endpoint::Jwks, Fault::Drip(Duration::from_secs(1)));
    tokio::time::sleep(Duration::from_millis(60)).await;
    let mut stranger = scene.raw(API).await;
    stranger.send(&request(&made_up(idp.issuer(), 1))).await;
    assert!(idp.saw(Endpoint::Jwks, 2, Duration::from_secs(5)).await);
    let begun = Instant::now();
    assert_eq!(scene.call("/items", &token).await.status, 200);
    assert_eq!(scene.call("/items", &idp.access_token(&reader(), |_| {})).await.status, 200, "also one that was not seen before");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    // Whoever names an unknown key waits for as long as the patience says, and no longer.
    assert_eq!(stranger.answer().await.unwrap().status, 401);
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn jwks_06_keys_that_could_not_be_fetched_for_too_long_are_no_longer_believed() {
    let idp = HostileIdp::start().await;
    let tempo = Tempo { keep: Duration::from_millis(700), refresh: Duration::from_millis(100), ..quick() };
    let scene = Scene::with(plan(&idp, tempo)).await;
    let token = idp.access_token(&reader(), |_| {});
    let mut person = scene.browser(APP);
    assert_eq!(come_back(&idp, &mut person, "/private", &User::ada()).await.status, 303);
    assert_eq!(scene.call("/items", &token).await.status, 200);
    idp.stop();
    until("keys are too old", || async { scene.call("/items", &token).await.status == 503 }).await;
    let refused = scene.call("/items", &token).await;
    assert_eq!((refused.status, refused.field("retry-after"), refused.field("www-authenticate")), (503, Some("10"), None));
    assert_eq!(person.go("/private").await.status, 200, "a session asks nobody");
    idp.resume().await;
    until("recovery", || async { scene.call("/items", &token).await.status == 200 }).await;
}

#[tokio::test]
async fn jwks_07_a_set_that_is_none_never_replaces_a_good_one() {
    let idp = HostileIdp::start().await;
    let scene = Scene::with(plan(&idp, on_demand())).await;
    let token = idp.access_token(&reader(), |_| {});
    assert_eq!(scene.call("/items", &token).await.status, 200);
    let rows = [
        ("an empty set", jwks::empty(), "keys"),
        ("keys is an object", jwks::keys_as_object(), "keys"),
        ("keys comes twice", jwks::duplicate_keys_member(), "keys"),
        ("a page", jwks::not_json(), "keys"),
        ("nothing", Fault::Empty, "keys"),
        ("half of it", Fault::Truncated, "keys"),
        ("a byte order mark", Fault::ByteOrderMark, "keys"),
        ("more than a mebibyte", Fault::Padded(1024 * 1024 + 100), "too_large"),
        ("ten thousand keys", jwks::crowded(10_000), "too_large"),
        ("only a symmetric key", jwks::only_symmetric_key(), "keys"),
        ("keys for encryption", jwks::for_encryption(), "keys"),
        ("keys for another algorithm", jwks::for_other_algorithm(), "keys"),
    ];
    for (at, (name, fault, outcome)) in rows.into_iter().enumerate() {
        let before = fetches(&scene, outcome).await;
        idp.fault(Endpoint::Jwks, fault);
        tokio::time::sleep(Duration::from_millis(60)).await;
        assert_eq!(scene.call("/items", &made_up(idp.issuer(), at)).await.status, 401, "{name}");
        assert_eq!(fetches(&scene, outcome).await, before + 1.0, "{name}");
        assert_eq!(scene.call("/items", &token).await.status, 200, "{name}");
    }
}

#[tokio::test]
async fn jwks_07_jwt_11_13_14_good_keys_count_beside_bad_ones() {
    type Made = fn() -> Fault;
    let rows: [(&str, Made); 6] = [
        ("as it should be", || Fault::edit(|_| {})),
        ("bad keys among good", jwks::bad_keys_among_good),
        ("a symmetric key besides", jwks::symmetric_key),
        ("private members", jwks::private_members),
        ("neither alg nor use", jwks::without_alg_and_use),
        ("two keys of one kid", jwks::duplicate_kid),
    ];
    let idp = HostileIdp::start().await;
    let scene = Scene::with(plan(&idp, on_demand())).await;
    for (at, (name, fault)) in rows.into_iter().enumerate() {
        idp.fault(Endpoint::Jwks, fault());
        tokio::time::sleep(Duration::from_millis(60)).await;
        let before = fetches(&scene, "ok").await;
        assert_eq!(scene.call("/items", &made_up(idp.issuer(), at)).await.status, 401, "{name}");
        assert!(fetches(&scene, "ok").await > before, "{name}");
        assert_eq!(scene.call("/items", &idp.access_token(&reader(), |_| {})).await.status, 200, "{name}");
        // JWT-03: nothing in a key set makes an HMAC count.
        assert_eq!(scene.call("/items", &idp.access_token(&reader(), forge::hs256_with_public_key)).await.status, 401, "{name}");
    }
}

#[tokio::test]
async fn jwks_09_ssrf_01_metadata_that_is_not_the_issuers_is_never_used() {
    let idp = HostileIdp::start().await;
    let scene = Scene::with(plan(&idp, on_demand())).await;
    let mut rows: Vec<(String, Fault, &str)> = vec![
        ("conf oidcc_client_test_discovery_issuer_mismatch".into(), discovery::issuer("https://evil.test/"), "issuer"),
        ("the issuer but for a slash".into(), discovery::issuer_off_by_a_slash(), "issuer"),
        ("only plain PKCE".into(), discovery::only_plain_pkce(), "no_pkce"),
        ("a page".into(), Fault::html(), "malformed"),
        ("nothing".into(), Fault::Empty, "malformed"),
        ("a list".into(), Fault::instead(serde_json::json!([])), "malformed"),
        ("two issuers".into(), Fault::DuplicateMember("issuer", "https://evil.test/".into()), "malformed"),
        ("503".into(), Fault::Status(503), "status"),
        ("a redirect".into(), Fault::Redirect(302, Redirection::Elsewhere), "redirect"),
        ("two mebibytes".into(), Fault::Padded(2 * 1024 * 1024), "too_large"),
        ("a token endpoint with a password".into(), discovery::endpoint("token_endpoint", "http://a:b@127.0.0.1/"), "endpoint"),
        ("an end-session endpoint that is a script".into(), discovery::endpoint("end_session_endpoint", "javascript:alert(1)"), "endpoint"),
        ("a sign-in page in plain http".into(), discovery::endpoint("authorization_endpoint", "http://evil.test/authorize"), "endpoint"),
    ];
    for name in discovery::REQUIRED {
        rows.push((format!("no {name}"), Fault::without(name), if name == "issuer" { "issuer" } else { "endpoint" }));
    }
    for uri in discovery::FORBIDDEN_JWKS_URIS {
        rows.push((format!("keys at `{uri}`"), discovery::endpoint("jwks_uri", uri), "endpoint"));
    }
    for (name, fault, outcome) in rows {
        idp.fault(Endpoint::Discovery, fault);
        tokio::time::sleep(Duration::from_millis(60)).await;
        let before = fetches(&scene, outcome).await;
        let refused = scene.browser(APP).go("/private").await;
        assert_eq!((refused.status, refused.field("retry-after"), refused.field("location")), (503, Some("10"), None), "{name}");
        assert_eq!(fetches(&scene, outcome).await, before + 1.0, "{name}");
        assert_eq!(scene.call("/items", &idp.access_token(&reader(), |_| {})).await.status, 503, "{name}");
    }
    assert_eq!((idp.requests(Endpoint::Jwks), idp.requests_elsewhere()), (0, 0));
    assert_eq!(scene.app.bytes(), 0);
    idp.clear();
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert_eq!(scene.browser(APP).go("/private").await.status, 302);
    assert_eq!(scene.call("/items", &idp.access_token(&reader(), |_| {})).await.status, 200);
}

#[tokio::test]
async fn adv_jwks_06_while_the_provider_is_down_sessions_and_public_pages_go_on_and_it_comes_back_by_itself() {
    let idp = HostileIdp::start().await;
    let scene = Scene::with(plan(&idp, quick())).await;
    let mut person = scene.browser(APP);
    assert_eq!(come_back(&idp, &mut person, "/private", &User::ada()).await.status, 303);
    idp.stop();
    // A machine that starts now knows no key at all.
    let twin = scene.twin(|text| text).await;
    let mut person = twin.visit(&person);
    for (name, answer, status) in [
        ("a session", person.go("/private").await, 200),
        ("a session and a role", person.go("/admin/x").await, 200),
        ("whoami", person.go("/_doorward/whoami").await, 200),
        ("a public page", twin.visit(&scene.browser(APP)).go("/public/x").await, 200),
        ("a sign-in", twin.visit(&scene.browser(APP)).go("/private").await, 503),
        ("a token", ask(&mut twin.visit(&scene.browser(API)), &idp.access_token(&reader(), |_| {})).await, 503),
        ("what could be no token of ours", ask(&mut twin.visit(&scene.browser(API)), "opaque").await, 401),
        ("no token", twin.visit(&scene.browser(API)).fetch("/items").await, 401),
        ("a public call", twin.visit(&scene.browser(API)).fetch("/open/x").await, 200),
    ] {
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
    }
    let text = twin.visit(&scene.browser(APP)).go("/private").await.text();
    assert!(text.contains("Sign-in is not available just now") && !text.contains(&idp.domain()), "{text}");
    idp.resume().await;
    until("a sign-in", || async { twin.visit(&scene.browser(APP)).go("/private").await.status == 302 }).await;
    let mut browser = twin.visit(&scene.browser(APP));
    assert_eq!(come_back(&idp, &mut browser, "/private", &User::ada()).await.status, 303);
}

async fn ask(browser: &mut Browser, token: &str) -> Answer {
    browser.request("GET", "/items", &[("authorization", &format!("Bearer {token}"))], b"").await
}

#[tokio::test]
async fn jwks_06_a_cold_edge_asks_again_by_itself() {
    let idp = HostileIdp::start().await;
    let scene = Scene::with(plan(&idp, Tempo { retry: Duration::from_millis(200), ..quick() })).await;
    idp.stop();
    assert_eq!(scene.browser(APP).go("/private").await.status, 503);
    idp.resume().await;
    // Nobody asks; the timer does.
    assert!(idp.saw(Endpoint::Jwks, 1, Duration::from_secs(5)).await);
}

#[tokio::test]
async fn adv_env_11_three_unknown_tokens_in_one_request_while_keys_cannot_be_had_are_one_refusal() {
    let idp = HostileIdp::start().await;
    let scene = Scene::with(plan(&idp, on_demand())).await;
    assert_eq!(scene.call("/items", &idp.access_token(&reader(), |_| {})).await.status, 200);
    idp.fault(Endpoint::Jwks, Fault::Status(500));
    tokio::time::sleep(Duration::from_millis(60)).await;
    let (one, two, three) = (made_up(idp.issuer(), 1), made_up(idp.issuer(), 2), made_up(idp.issuer(), 3));
    let mut browser = scene.browser("both.localhost");
    browser.cookies.insert("__Host-doorward".into(), two);
    let before = idp.requests(Endpoint::Jwks);
    let answer = browser.request("GET", &format!("/x?access_token={three}"), &[("authorization", &format!("Bearer {one}"))], b"").await;
    assert_eq!(answer.status, 401);
    assert_eq!(idp.requests(Endpoint::Jwks), before + 1);
    assert_eq!(scene.call("/items", &idp.access_token(&reader(), |_| {})).await.status, 200);
}
