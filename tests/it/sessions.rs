//! The session cookie: what it opens, what it does not, how long, and how it ends.

use std::collections::HashSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use doorward_demo::tenant;
use doorward_policy::secret::Secret;
use doorward_policy::session::{Limits, Origin, Purpose, SealingKeys, Session};
use doorward_policy::time::Timestamp;
use doorward_tests::client::{Answer, Browser, Raw, parameter, path_of};
use doorward_tests::hostile::{Endpoint, Fault, HostileIdp, Profile, User};
use doorward_tests::scene::{API, APP, Plan, SESSION_KEY, Scene, session};
use serde_json::json;

use crate::oidc::come_back;

const BOTH: &str = "both.localhost";
const COOKIE: &str = "__Host-doorward";
const LIMITS: Limits = Limits { idle: Duration::from_secs(3600), lifetime: Duration::from_secs(12 * 3600) };
const DELETED: &str = "__Host-doorward=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0";

fn now() -> Timestamp {
    Timestamp(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap())
}

fn keys_of(text: &str) -> SealingKeys {
    SealingKeys::new(&[Secret::new(STANDARD.decode(text).unwrap())]).unwrap()
}

fn keys() -> SealingKeys {
    keys_of(SESSION_KEY)
}

fn sealed(scene: &Scene, began: Timestamp, seen: Timestamp) -> String {
    session(scene, began, seen).seal(&keys(), APP, [9; 12]).unwrap()
}

fn holding(scene: &Scene, host: &str, value: &str) -> Browser {
    let mut browser = scene.browser(host);
    browser.cookies.insert(COOKIE.into(), value.into());
    browser
}

/// One request with this `Cookie` field, byte for byte.
async fn with_cookie(scene: &Scene, cookie: &[u8]) -> Option<Answer> {
    let mut raw: Raw = scene.raw(APP).await;
    let head = format!("GET /private HTTP/1.1\r\nhost: {APP}\r\nsec-fetch-mode: navigate\r\nsec-fetch-dest: document\r\ncookie: ");
    raw.send(&[head.as_bytes(), cookie, b"\r\n\r\n"].concat()).await;
    raw.answer().await
}

async fn reason(scene: &Scene) -> String {
    scene.log().await.last().unwrap()["reason"].as_str().unwrap().to_owned()
}

fn open(browser: &Browser) -> Session {
    Session::open(browser.cookies[COOKIE].as_bytes(), &keys(), &browser.host, LIMITS, now()).unwrap()
}

#[tokio::test]
async fn sess_10_11_limits_are_inside_the_seal_and_count_from_the_clock_here() {
    let scene = Scene::start().await;
    let ago = |seconds: u64| now().minus(Duration::from_secs(seconds));
    let ahead = |seconds: u64| now().plus(Duration::from_secs(seconds));
    let rows = [
        ("fresh", now(), now(), 200, "session"),
        ("idle for 59 minutes", ago(7200), ago(59 * 60), 200, "session"),
        ("idle for an hour", ago(7200), ago(3601), 302, "session_expired"),
        ("eleven hours old", ago(11 * 3600), now(), 200, "session"),
        ("twelve hours old, used all the while", ago(12 * 3600 + 1), now(), 302, "session_expired"),
        ("a clock half a minute ahead", ahead(30), ahead(30), 200, "session"),
        ("from the future", ahead(90), ahead(90), 302, "session_expired"),
        ("seen in the future", now(), ahead(90), 302, "session_expired"),
        ("from 1970", Timestamp(0), Timestamp(0), 302, "session_expired"),
        ("from the end of time", Timestamp(i64::MAX), Timestamp(i64::MAX), 302, "session_expired"),
        ("from before time", Timestamp(i64::MIN), Timestamp(i64::MIN), 302, "session_expired"),
    ];
    for (name, began, seen, status, why) in rows {
        let mut browser = holding(&scene, APP, &sealed(&scene, began, seen));
        let answer = browser.go("/private").await;
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
        assert_eq!(reason(&scene).await, why, "{name}");
        if status == 302 {
            assert!(answer.all("set-cookie").contains(&DELETED), "{name}: ADV-O2P-13, the stale cookie is cleared: {:?}", answer.fields);
            assert!(!browser.cookies.contains_key(COOKIE), "{name}");
        }
    }
}

#[tokio::test]
async fn sess_12_a_session_is_renewed_a_tenth_of_its_idle_time_after_it_was_seen_and_never_beyond_its_end() {
    let scene = Scene::start().await;
    let ago = |seconds: u64| now().minus(Duration::from_secs(seconds));
    let mut young = holding(&scene, APP, &sealed(&scene, ago(100), ago(100)));
    assert!(young.go("/private").await.all("set-cookie").is_empty());
    let began = ago(2000);
    let mut older = holding(&scene, APP, &sealed(&scene, began, ago(400)));
    let answer = older.go("/private").await;
    assert_eq!(answer.status, 200);
    let line = answer.all("set-cookie")[0];
    assert!(line.starts_with("__Host-doorward=") && line.contains("; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age="), "{line}");
    let left: u64 = line.rsplit('=').next().unwrap().parse().unwrap();
    assert!(left.abs_diff(12 * 3600 - 2000) < 10, "{left}");
    let renewed = open(&older);
    assert_eq!((renewed.began, &*renewed.id), (began, "made-by-hand-0000000000"));
    assert!(now().0 - renewed.seen.0 < 10);
    assert!(older.go("/private").await.all("set-cookie").is_empty(), "and then not again");
    // A page that a shared cache may keep gets no cookie: see CACHE-01.
    assert!(answer.field("cache-control").is_some_and(|value| value.contains("private")));
}

#[tokio::test]
async fn sess_10_a_short_idle_time_in_the_configuration_ends_old_sessions_too() {
    let scene = Scene::with(Plan { session: "  idle: 1m\n  lifetime: 2m\n".into(), ..Plan::default() }).await;
    for (seconds, status) in [(50, 200), (61, 302)] {
        let seen = now().minus(Duration::from_secs(seconds));
        assert_eq!(holding(&scene, APP, &sealed(&scene, seen, seen)).go("/private").await.status, status, "{seconds}");
    }
}

#[tokio::test]
async fn sess_31_a_cookie_changed_anywhere_is_nobody_and_all_answers_are_alike() {
    let scene = Scene::start().await;
    let good = sealed(&scene, now(), now());
    assert_eq!(holding(&scene, APP, &good).go("/private").await.status, 200);
    scene.app.forget();
    let bytes = URL_SAFE_NO_PAD.decode(&good).unwrap();
    let mut bad: Vec<(String, Vec<u8>)> = Vec::new();
    for at in (0..bytes.len()).step_by(7).chain(0..24).chain(bytes.len() - 17..bytes.len()) {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        bad.push((format!("bit {at}"), changed));
    }
    for length in [0, 1, 8, 9, 20, 21, 36, 37, bytes.len() / 2, bytes.len() - 16, bytes.len() - 15, bytes.len() - 1] {
        bad.push((format!("{length} bytes"), bytes[..length].to_vec()));
    }
    bad.push(("one byte more".into(), [&bytes[..], &[0]].concat()));
    bad.push(("twice".into(), [&bytes[..], &bytes[..]].concat()));
    bad.push(("halves swapped".into(), [&bytes[bytes.len() / 2..], &bytes[..bytes.len() / 2]].concat()));
    let mut answers = HashSet::new();
    for (name, value) in &bad {
        let mut browser = holding(&scene, APP, &URL_SAFE_NO_PAD.encode(value));
        let answer = browser.fetch("/private").await;
        assert_eq!(answer.status, 401, "{name}");
        assert!(!browser.cookies.contains_key(COOKIE), "{name}: cleared");
        let mut body = answer.json();
        body.as_object_mut().unwrap().remove("request_id");
        let fields: Vec<_> =
            answer.fields.iter().filter(|(name, _)| !["x-request-id", "date"].contains(&name.to_ascii_lowercase().as_str())).collect();
        answers.insert(format!("{fields:?} {}", body.to_string().len()));
    }
    assert_eq!(answers.len(), 1, "TIM-01: {answers:#?}");
    assert_eq!(scene.app.bytes(), 0);
}

#[tokio::test]
async fn sess_32_a_value_sealed_for_one_place_is_nothing_at_another() {
    let scene = Scene::start().await;
    let mut browser = scene.browser(APP);
    let redirect = browser.go("/private").await;
    let attempt = browser.cookies.values().next().unwrap().clone();
    let state = parameter(redirect.location(), "state");
    let plain = serde_json::to_vec(&session(&scene, now(), now())).unwrap();
    let seal = |purpose: Purpose, name: &str, host: &str| keys().seal(purpose, name, host, [3; 12], plain.clone());
    for (name, value, status) in [
        ("this cookie at this host", seal(Purpose::Session, COOKIE, APP), 200),
        ("an attempt", attempt, 302),
        ("a state", state, 302),
        ("the session of another host", seal(Purpose::Session, COOKIE, BOTH), 302),
        ("the session of the host in capital letters", seal(Purpose::Session, COOKIE, "APP.localhost"), 302),
        ("another name", seal(Purpose::Session, "__Host-doorwarx", APP), 302),
        ("another purpose", seal(Purpose::Attempt, COOKIE, APP), 302),
        ("no name and a longer host", seal(Purpose::Session, "", &format!("{COOKIE}{APP}")), 302),
        (
            "another key",
            keys_of("v1OeyQZs8n0QKwXWwcbIbVSkh5DnzZ1kP6zUO0rWkvg=").seal(Purpose::Session, COOKIE, APP, [3; 12], plain.clone()),
            302,
        ),
    ] {
        assert_eq!(holding(&scene, APP, &value).go("/private").await.status, status, "{name}");
    }
    // And a session is no attempt.
    let location = redirect.location().to_owned();
    browser.cookies.values_mut().for_each(|value| *value = seal(Purpose::Session, COOKIE, APP));
    let callback = path_of(&scene.tenant.sign_in(&location, "ada").unwrap());
    assert_eq!(browser.go(&callback).await.status, 400);
    assert_eq!(scene.tenant.requests("token"), 0);
}

#[tokio::test]
async fn sess_33_a_session_of_one_provider_or_client_is_no_session_of_another() {
    let scene = Scene::start().await;
    let make = |provider: &str, client: &str, issuer: &str| {
        let claims = json!({ "iss": issuer, "sub": "auth0|ada" });
        let origin = Origin { id: "x", provider, client_id: client };
        Session::begin(origin, claims.as_object().unwrap(), &["iss".into(), "sub".into()], now()).seal(&keys(), APP, [4; 12]).unwrap()
    };
    let issuer = scene.tenant.issuer();
    for (name, value, status) in [
        ("ours", make("tenant", tenant::CLIENT_ID, issuer), 200),
        ("another provider", make("other", tenant::CLIENT_ID, issuer), 302),
        ("another client", make("tenant", "other", issuer), 302),
        ("another issuer", make("tenant", tenant::CLIENT_ID, "https://evil.test/"), 302),
        ("the issuer but for its slash", make("tenant", tenant::CLIENT_ID, issuer.trim_end_matches('/')), 302),
    ] {
        let mut browser = holding(&scene, APP, &value);
        assert_eq!(browser.go("/private").await.status, status, "{name}");
        // It may be good at another route of this host, so it is not deleted.
        assert!(browser.cookies.contains_key(COOKIE), "{name}");
    }
}

#[tokio::test]
async fn sess_33_on_one_host_each_route_takes_its_own_providers_session_alone() {
    let idp = HostileIdp::start_as(Profile {
        client_id: tenant::CLIENT_ID.into(),
        client_secret: Some(tenant::CLIENT_SECRET.into()),
        ..Profile::default()
    })
    .await;
    let second = format!(
        "  second:\n    kind: oidc\n    issuer: \"{}\"\n    client_id: {}\n    client_secret: {{ file: secret }}\n    insecure_http: true\n",
        idp.issuer(),
        tenant::CLIENT_ID
    );
    let routes = "\n  - { name: one, host: app.localhost, path: /one, provider: tenant, upstream: \"UPSTREAM\", accept: session, rules: [{ allow: signed-in }] }\n  - { name: two, host: app.localhost, path: /two, provider: second, upstream: \"UPSTREAM\", accept: session, rules: [{ allow: signed-in }] }\n";
    let scene = Scene::with(Plan { provider: second, routes: routes.into(), ..Plan::default() }).await;
    let mut browser = scene.browser(APP);
    assert_eq!(scene.sign_in(&mut browser, "/one/x", "ada").await.status, 303);
    assert_eq!(browser.go("/one/x").await.status, 200);
    let other = browser.clone().go("/two/x").await;
    assert!(other.status == 302 && other.location().starts_with(idp.issuer()), "{other:?}");
    assert_eq!(reason(&scene).await, "session_other_provider");
    assert_eq!(come_back(&idp, &mut browser, "/two/x", &User::ada()).await.status, 303);
    assert_eq!(browser.go("/two/x").await.status, 200);
    assert_eq!(browser.go("/one/x").await.status, 302, "and the other way round");
    assert_eq!(scene.app.seen().len(), 2);
    // OIDC-01: the callback of one provider takes no answer to another's request.
    let mut browser = scene.browser(APP);
    let location = browser.go("/one/x").await.location().to_owned();
    let callback = path_of(&scene.tenant.sign_in(&location, "ada").unwrap());
    assert_eq!(browser.go(&callback.replace("/callback/tenant", "/callback/second")).await.status, 400);
    assert_eq!((idp.requests(Endpoint::Token), browser.go(&callback).await.status), (1, 303));
}

#[tokio::test]
async fn sess_35_a_new_key_seals_the_old_one_opens_and_a_removed_one_does_not() {
    let files = vec![("new.key".to_owned(), "v1OeyQZs8n0QKwXWwcbIbVSkh5DnzZ1kP6zUO0rWkvg=".to_owned())];
    let scene = Scene::with(Plan { files, ..Plan::default() }).await;
    let old = scene.signed_in(APP, "ada").await;
    let both = scene.twin(|text| text.replace("[{ file: session.key }]", "[{ file: new.key }, { file: session.key }]")).await;
    assert_eq!(both.visit(&old).go("/private").await.status, 200);
    let mut new = both.visit(&scene.browser(APP));
    assert_eq!(scene.sign_in(&mut new, "/private", "ada").await.status, 303);
    assert_ne!(new.cookies[COOKIE][..12], old.cookies[COOKIE][..12], "another key's id");
    let only_new = scene.twin(|text| text.replace("session.key", "new.key")).await;
    assert_eq!(only_new.visit(&new).go("/private").await.status, 200);
    assert_eq!(only_new.visit(&old).go("/private").await.status, 302, "signs in again, and nothing worse");
}

#[tokio::test]
async fn cookie_01_02_a_name_that_comes_twice_or_only_looks_like_ours_is_nobodys() {
    let scene = Scene::start().await;
    let good = sealed(&scene, now(), now());
    let rows: Vec<(&str, String, bool)> = vec![
        ("once", format!("{COOKIE}={good}"), true),
        ("once among others", format!("a=b; {COOKIE}={good}; c=\"d; e\""), true),
        ("without a space", format!("a=b;{COOKIE}={good}"), true),
        ("twice", format!("{COOKIE}={good}; {COOKIE}={good}"), false),
        ("planted before", format!("{COOKIE}=x; {COOKIE}={good}"), false),
        ("planted after", format!("{COOKIE}={good}; {COOKIE}="), false),
        ("a space in the name", format!("{COOKIE} ={good}"), false),
        ("in capital letters", format!("__HOST-DOORWARD={good}"), false),
        ("in quotes", format!("\"{COOKIE}\"={good}"), false),
        ("$Version", format!("$Version=1, {COOKIE}={good}"), false),
        ("nameless", format!("={COOKIE}={good}"), false),
        ("escaped", format!("__Host%2Ddoorward={good}"), false),
        ("U+2000 before", format!("\u{2000}{COOKIE}={good}"), false),
        ("in a value", format!("a=\"{COOKIE}={good}\""), false),
        ("with a comma", format!("a=b,{COOKIE}={good}"), false),
        ("a value in quotes", format!("{COOKIE}=\"{good}\""), false),
    ];
    for (name, cookie, known) in rows {
        let answer = with_cookie(&scene, cookie.as_bytes()).await.unwrap();
        assert_eq!(answer.status, if known { 200 } else { 302 }, "{name}");
        if name.starts_with("planted") || name == "twice" {
            assert!(answer.all("set-cookie").contains(&DELETED), "{name}: all of them are cleared");
        }
    }
    // COOKIE-03: two fields are one list.
    let mut raw = scene.raw(APP).await;
    raw.send(format!("GET /private HTTP/1.1\r\nhost: {APP}\r\ncookie: a=b\r\ncookie: {COOKIE}={good}\r\n\r\n").as_bytes()).await;
    assert_eq!(raw.answer().await.unwrap().status, 200);
    raw.send(format!("GET /private HTTP/1.1\r\nhost: {APP}\r\ncookie: {COOKIE}={good}\r\ncookie: {COOKIE}={good}\r\n\r\n").as_bytes())
        .await;
    assert_eq!(raw.answer().await.unwrap().status, 401);
}

#[tokio::test]
async fn cookie_20_adv_ak_01_thirty_malformed_cookies_are_nobody_and_never_an_error() {
    let scene = Scene::start().await;
    let good = sealed(&scene, now(), now());
    let half = &good[..good.len() / 2];
    let jwt = scene.token("ada");
    let long = "A".repeat(4096);
    let values: Vec<Vec<u8>> = [
        "",
        "=",
        "==",
        ".",
        "..",
        "x",
        "A",
        "AA",
        "AQ",
        &long,
        "ab+/=",
        "a b",
        "%41%42",
        "null",
        "{}",
        "{\"v\":1,\"i\":\"x\"}",
        "\"\"",
        "\"",
        "'",
        "a,b",
        half,
        &jwt,
        "-1",
        "0",
        "undefined",
        "../../etc/passwd",
        "<script>alert(1)</script>",
        "${jndi:ldap://x}",
        "deleted",
        "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    ]
    .iter()
    .map(|value| value.as_bytes().to_vec())
    .chain([
        format!("{good}=").into_bytes(),
        format!("{good},{good}").into_bytes(),
        format!("{good} ").trim_end().replace('A', "B").into_bytes(),
        format!("{good}\u{e9}").into_bytes(),
        b"\x80\xff\xfe".to_vec(),
        [good.as_bytes(), &[0xff]].concat(),
        "\u{1f36a}".as_bytes().to_vec(),
    ])
    .collect();
    for value in &values {
        let cookie = [b"__Host-doorward=", value.as_slice()].concat();
        let name = String::from_utf8_lossy(&cookie[..cookie.len().min(60)]).into_owned();
        let answer = with_cookie(&scene, &cookie).await.unwrap();
        assert_eq!(answer.status, 302, "{name}: {}", answer.text());
        assert!(answer.all("set-cookie").contains(&DELETED), "{name}: cleared");
        let at_public = {
            let mut raw = scene.raw(APP).await;
            raw.send(&[format!("GET /public/x HTTP/1.1\r\nhost: {APP}\r\ncookie: ").as_bytes(), &cookie, b"\r\n\r\n"].concat()).await;
            raw.answer().await.unwrap()
        };
        assert_eq!(at_public.status, 200, "{name}: who needs nobody to be known lets nobody in");
        let seen = scene.app.last();
        assert_eq!((seen.one("x-auth-user"), seen.one("cookie")), (None, None), "{name}: COOKIE-06");
    }
    // Bytes that are no field at all end the connection.
    for value in [&b"\0"[..], b"a\rb", b"a\x01b"] {
        let answer = with_cookie(&scene, &[b"__Host-doorward=", value].concat()).await;
        assert!(answer.as_ref().is_none_or(|answer| answer.status == 400), "{value:?}: {answer:?}");
    }
    assert_eq!(with_cookie(&scene, format!("{COOKIE}={good}").as_bytes()).await.unwrap().status, 200, "the good one");
    // COOKIE-05, ADV-MAO-06: a thousand of them, and names that look like pieces of ours.
    let crowd: String = (0..200).map(|number| format!("c{number}=v; ")).collect();
    assert_eq!(with_cookie(&scene, format!("{crowd}{COOKIE}={good}").as_bytes()).await.unwrap().status, 200);
    for chunks in ["_chunks=99999999", ".0=x", ".1000000=x", ".-1=x", "-chunks=-1"] {
        assert_eq!(with_cookie(&scene, format!("{COOKIE}{chunks}; a=b").as_bytes()).await.unwrap().status, 302, "{chunks}");
    }
    let huge = with_cookie(&scene, format!("{COOKIE}={}", "A".repeat(60_000)).as_bytes()).await;
    assert!(huge.is_none_or(|answer| answer.status == 431), "64 KiB");
}

#[tokio::test]
async fn a_cookie_cut_in_half_starts_a_new_sign_in_that_succeeds() {
    let scene = Scene::start().await;
    let mut browser = scene.signed_in(APP, "ada").await;
    let value = browser.cookies.get_mut(COOKIE).unwrap();
    value.truncate(value.len() / 2);
    assert_eq!(scene.sign_in(&mut browser, "/private", "ada").await.status, 303);
    assert_eq!(browser.go("/private").await.status, 200);
}

#[tokio::test]
async fn sess_02_adv_o2p_13_every_sign_in_makes_a_new_session_and_none_survives_the_way_to_one() {
    let scene = Scene::start().await;
    let mut ids = HashSet::new();
    let mut browser = scene.browser(APP);
    for _ in 0..5 {
        // Also for somebody who is signed in already.
        let redirect = browser.go("/_doorward/login?return_to=/private").await;
        let callback = scene.tenant.sign_in(redirect.location(), "ada").unwrap();
        assert_eq!(browser.go(&path_of(&callback)).await.status, 303);
        assert!(ids.insert(open(&browser).id.to_string()), "a new id each time");
    }
    assert!(ids.iter().all(|id| URL_SAFE_NO_PAD.decode(id).unwrap().len() == 16), "SESS-03: 128 bits");
    // What an attacker planted is not what the victim is signed in with.
    let planted = scene.signed_in(APP, "vera").await.cookies[COOKIE].clone();
    let mut victim = holding(&scene, APP, &planted);
    let redirect = victim.go("/_doorward/login?return_to=/private").await;
    let callback = scene.tenant.sign_in(redirect.location(), "ada").unwrap();
    assert_eq!(victim.go(&path_of(&callback)).await.status, 303);
    assert_ne!(victim.cookies[COOKIE], planted);
    victim.go("/private").await;
    assert_eq!(scene.app.last().one("x-auth-user"), Some("auth0|ada"));
    // Somebody else signed in over it: that session is over, wherever else its cookie is.
    assert_eq!(holding(&scene, APP, &planted).go("/private").await.status, 302);
    assert_eq!(scene.app.last().one("x-auth-user"), Some("auth0|ada"));
}

#[tokio::test]
async fn sess_01_02_two_hosts_share_no_session() {
    let scene = Scene::start().await;
    let at_app = scene.signed_in(APP, "ada").await;
    let redirect = scene.browser(BOTH).go("/x").await;
    assert_eq!(redirect.status, 302);
    let carried = Browser { host: BOTH.into(), ..at_app.clone() };
    assert_eq!(carried.clone().go("/x").await.status, 302, "not even when it is carried over");
    assert_eq!(Browser { host: API.into(), ..at_app.clone() }.fetch("/items").await.status, 401);
    let at_both = scene.signed_in(BOTH, "vera").await;
    assert_eq!((at_app.clone().go("/private").await.status, at_both.clone().go("/x").await.status), (200, 200));
}

type Fields = &'static [(&'static str, &'static str)];

/// Name, method and fields of a request for signing out, and whether it is one's own doing.
const SIGN_OUTS: &[(&str, &str, Fields, bool)] = &[
    ("our own form", "POST", &[("sec-fetch-site", "same-origin"), ("origin", "https://app.localhost")], true),
    // A page that sends no referrer posts with `null` (Fetch §3.1).
    ("our own form on a page without referrer", "POST", &[("sec-fetch-site", "same-origin"), ("origin", "null")], true),
    ("our own form in a browser without Fetch Metadata", "POST", &[("origin", "https://app.localhost")], true),
    (
        "a link on our own page",
        "GET",
        &[("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")],
        true,
    ),
    ("another site's form", "POST", &[("sec-fetch-site", "cross-site"), ("origin", "https://evil.test")], false),
    ("a sister's form", "POST", &[("sec-fetch-site", "same-site"), ("origin", "https://api.localhost")], false),
    ("a sandboxed form", "POST", &[("sec-fetch-site", "cross-site"), ("origin", "null")], false),
    ("our origin in plain http", "POST", &[("origin", "http://app.localhost")], false),
    ("our origin with more behind it", "POST", &[("origin", "https://app.localhost.evil.test")], false),
    ("our origin at another port", "POST", &[("origin", "https://app.localhost:8443")], false),
    ("a form without an origin", "POST", &[], false),
    (
        "another site's link",
        "GET",
        &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")],
        false,
    ),
    ("another site's image", "GET", &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")], false),
    ("the address bar", "GET", &[("sec-fetch-site", "none"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")], false),
    ("an old browser's link", "GET", &[("accept", "text/html")], false),
    ("an old browser's link with an origin", "GET", &[("origin", "https://app.localhost")], false),
];

#[tokio::test]
async fn logout_01_only_ones_own_doing_signs_out_and_everything_else_is_asked() {
    let scene = Scene::start().await;
    let signed_in = scene.signed_in(APP, "ada").await;
    for (name, method, fields, own) in SIGN_OUTS {
        // A session that was signed out is over, whoever has its cookie.
        let mut browser = if *own { scene.signed_in(APP, "ada").await } else { signed_in.clone() };
        let answer = browser.request(method, "/_doorward/logout", fields, b"").await;
        if *own {
            assert_eq!(answer.status, 303, "{name}: {}", answer.text());
            assert!(answer.all("set-cookie").contains(&DELETED), "{name}: ADV-ENV-13 {:?}", answer.fields);
            assert_eq!(browser.go("/private").await.status, 302, "{name}");
            let url = answer.location();
            assert!(url.starts_with(&format!("{}v2/logout?", scene.tenant.issuer())), "{name}: {url}");
            assert_eq!(parameter(url, "client_id"), tenant::CLIENT_ID);
            assert_eq!(parameter(url, "returnTo"), "https://app.localhost/");
            assert!(!url.contains("id_token") && !url.contains("eyJ"), "{url}");
        } else {
            assert_eq!((answer.status, answer.field("location")), (200, None), "{name}: {}", answer.text());
            assert!(answer.all("set-cookie").is_empty(), "{name}");
            assert!(
                answer.text().contains("<form method=\"post\" action=\"&#x2f;_doorward&#x2f;logout\">")
                    || answer.text().contains("<form method=\"post\" action=\"/_doorward/logout\">"),
                "{name}: {}",
                answer.text()
            );
            assert_eq!(browser.go("/private").await.status, 200, "{name}: still signed in");
        }
    }
    for method in ["PUT", "DELETE", "HEAD", "OPTIONS"] {
        let answer = signed_in.clone().request(method, "/_doorward/logout", &[("sec-fetch-site", "same-origin")], b"").await;
        assert_eq!((answer.status, answer.all("set-cookie").len()), (405, 0), "{method}");
    }
    // RP-Initiated Logout at the provider is one redirect further; the browser lands on a page of ours.
    let mut browser = signed_in.clone();
    let away = browser.post("/_doorward/logout").await.location().to_owned();
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let back = client.get(&away).send().await.unwrap();
    assert_eq!(back.headers()["location"], "https://app.localhost/");
    assert_eq!(browser.go("/").await.status, 200);
}

#[tokio::test]
async fn logout_01_signing_out_ends_what_is_under_way_and_needs_no_session() {
    let scene = Scene::start().await;
    let mut browser = scene.signed_in(APP, "ada").await;
    browser.go("/_doorward/login?return_to=/x").await;
    browser.go("/_doorward/login?return_to=/y").await;
    assert_eq!(browser.cookies.keys().filter(|name| name.starts_with(&format!("{COOKIE}-attempt."))).count(), 2);
    let answer = browser.post("/_doorward/logout").await;
    assert_eq!(answer.status, 303);
    assert!(browser.cookies.is_empty(), "ADV-ENV-13: {:?}", browser.cookies);
    for line in answer.all("set-cookie") {
        assert!(line.ends_with("=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0"), "{line}");
    }
    let again = browser.post("/_doorward/logout").await;
    assert_eq!((again.status, again.field("location")), (200, None));
    assert!(again.text().contains("You are signed out"));
    assert_eq!(scene.metric("doorward_logouts_total{kind=\"rp\",outcome=\"ok\"}").await, 1.0);
    assert_eq!(scene.metric("doorward_logouts_total{kind=\"local\",outcome=\"no_session\"}").await, 1.0);
}

#[tokio::test]
async fn logout_01_03_at_an_openid_provider_by_its_end_session_endpoint_or_here_alone() {
    let idp = HostileIdp::start().await;
    let scene = Scene::with(Plan::oidc(idp.issuer())).await;
    let mut browser = scene.browser(APP);
    assert_eq!(come_back(&idp, &mut browser, "/private", &User::ada()).await.status, 303);
    let sid = open(&browser).provider_session.unwrap();
    let answer = browser.post("/_doorward/logout").await;
    let url = answer.location();
    assert!(answer.status == 303 && url.starts_with(&format!("{}oidc/logout?", idp.issuer())), "{url}");
    assert_eq!(parameter(url, "client_id"), "doorward");
    assert_eq!(parameter(url, "post_logout_redirect_uri"), "https://app.localhost/");
    assert_eq!(parameter(url, "logout_hint"), *sid);
    assert_eq!(idp.requests(Endpoint::EndSession), 0, "the browser goes there, not the edge");
    // LOGOUT-02: whatever the provider appends on the way back, it is a page.
    assert_eq!(browser.go("/?state=of-somebody-else").await.status, 200);

    for down in [false, true] {
        let idp = HostileIdp::start().await;
        idp.fault(Endpoint::Discovery, Fault::without("end_session_endpoint"));
        let scene = Scene::with(Plan::oidc(idp.issuer())).await;
        let mut browser = scene.browser(APP);
        assert_eq!(come_back(&idp, &mut browser, "/private", &User::ada()).await.status, 303);
        if down {
            idp.stop();
        }
        let answer = browser.post("/_doorward/logout").await;
        assert_eq!((answer.status, answer.field("location")), (200, None));
        assert!(
            answer.text().contains("You are signed out") && answer.text().contains("You may still be signed in at the identity provider")
        );
        assert!(browser.cookies.is_empty());
    }
}

#[tokio::test]
async fn logout_03_while_the_provider_is_down_signing_out_here_works_on_a_machine_that_never_reached_it() {
    let idp = HostileIdp::start().await;
    let scene = Scene::with(Plan::oidc(idp.issuer())).await;
    let mut browser = scene.browser(APP);
    assert_eq!(come_back(&idp, &mut browser, "/private", &User::ada()).await.status, 303);
    idp.stop();
    let twin = scene.twin(|text| text).await;
    let mut browser = twin.visit(&browser);
    let answer = browser.post("/_doorward/logout").await;
    assert_eq!((answer.status, browser.cookies.len()), (200, 0));
}

#[tokio::test]
async fn adv_pom_05_session_and_whoami_show_no_token_and_are_read_by_no_other_site() {
    let scene = Scene::start().await;
    let mut browser = scene.signed_in(APP, "ada").await;
    let session = browser.fetch("/_doorward/session").await;
    let body = session.json();
    assert_eq!(
        (session.status, &body["authenticated"], &body["user"], &body["roles"]),
        (200, &json!(true), &json!("auth0|ada"), &json!(["admin"]))
    );
    let known = [
        "authenticated",
        "user",
        "email",
        "name",
        "username",
        "first_name",
        "last_name",
        "phone",
        "locale",
        "provider",
        "roles",
        "permissions",
        "attributes",
        "expires_at",
        "expires_in",
    ];
    let names: HashSet<&str> = body.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, HashSet::from(known));
    let whoami = browser.go("/_doorward/whoami").await;
    assert!(whoami.status == 200 && whoami.text().contains("ada@acme.dev"));
    let sealed = browser.cookies[COOKIE].clone();
    for answer in [&session, &whoami] {
        assert!(!answer.text().contains("eyJ") && !answer.text().contains(&sealed), "{}", answer.text());
        assert_eq!(answer.field("cache-control"), Some("no-store"));
        assert_eq!(answer.field("access-control-allow-origin"), None);
        assert_eq!(answer.field("x-content-type-options"), Some("nosniff"));
    }
    let cross = browser.request("GET", "/_doorward/session", &[("origin", "https://spa.example")], b"").await;
    assert!(
        cross.fields.iter().all(|(name, _)| !name.to_ascii_lowercase().starts_with("access-control")),
        "CORS-01: none on our own endpoints"
    );
    let nobody = scene.browser(APP).fetch("/_doorward/session").await;
    assert_eq!((nobody.status, &nobody.json()["authenticated"]), (401, &json!(false)));
    assert!(nobody.json()["login_url"].as_str().unwrap().starts_with("https://app.localhost/_doorward/login?return_to="));
    let redirected = scene.browser(APP).go("/_doorward/whoami").await;
    assert_eq!(redirected.status, 302);
    assert_eq!(scene.app.bytes(), 0, "nothing of it reaches the app");
}

/// Where a sign-in that began with this `return_to` ends.
async fn lands(scene: &Scene, query: &str) -> String {
    let mut browser = scene.browser(APP);
    let redirect = browser.go(&format!("/_doorward/login?return_to={query}")).await;
    assert_eq!(redirect.status, 302, "{query}: {}", redirect.text());
    let callback = scene.tenant.sign_in(redirect.location(), "ada").unwrap();
    let back = browser.go(&path_of(&callback)).await;
    assert_eq!(back.status, 303, "{query}: {}", back.text());
    assert_eq!(back.all("location").len(), 1);
    back.location().to_owned()
}

fn escaped(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redir_adv_o2p_02_a_sign_in_never_ends_on_another_origin() {
    let scene = Scene::start().await;
    let long = format!("/{}", "a".repeat(5000));
    let refused = [
        "//evil.test",
        "///evil.test",
        "////evil.test",
        "/\\evil.test",
        "\\/evil.test",
        "\\\\evil.test",
        "/\\/evil.test",
        "/\t/evil.test",
        "/\n/evil.test",
        "/\r/evil.test",
        "\t//evil.test",
        " //evil.test",
        "\u{1}//evil.test",
        "/\u{0}/evil.test",
        "/\u{a0}/evil.test",
        "/.//evil.test",
        "/..//evil.test",
        "/%2e//evil.test",
        "/%2e%2e//evil.test",
        "/a/..//evil.test",
        "/%2f/evil.test",
        "/%2f%2fevil.test",
        "/%5cevil.test",
        "/%09/evil.test",
        "/%0d%0aLocation:%20https://evil.test",
        "/x\r\nSet-Cookie: a=b",
        "/http://evil.test",
        "//evil.test/%2f..",
        "//[::1]",
        "//2130706433",
        "//app.localhost@evil.test",
        "//evil.test\\@app.localhost",
        "https://evil.test",
        "HTTPS://EVIL.TEST",
        "https:evil.test",
        "https:/evil.test",
        "https:\\\\evil.test",
        "https:///evil.test",
        "https://evil.test#app.localhost",
        "https://evil.test?app.localhost",
        "https://app.localhost.evil.test",
        "https://xapp.localhost",
        "https://app.localhost@evil.test",
        "https://app.localhost%40evil.test",
        "https://app.localhost\\@evil.test",
        "https://app.localhost:8444/",
        "https://app.localhost:443@evil.test/",
        "http://app.localhost/",
        "https://user@app.localhost/",
        "https://app.localhost./",
        "https://[app.localhost]/",
        "https://\u{430}pp.localhost/",
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "java\tscript:alert(1)",
        "javascript://app.localhost/%0aalert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "blob:https://app.localhost/1",
        "app.localhost/x",
        "evil.test",
        "./x",
        "?x=1",
        "#x",
        "",
        long.as_str(),
        "/_doorward/callback/tenant?code=x&state=y",
        "/_doorward/logout",
        "/_doorward/login?return_to=/x",
        "/%5fdoorward/logout",
    ];
    let base = url::Url::parse("https://app.localhost/").unwrap();
    for target in refused {
        let location = lands(&scene, &escaped(target)).await;
        assert_eq!(location, "/", "{target:?}");
    }
    // The oracle for whatever is not refused: where a browser would really go.
    for target in refused.iter().take(50) {
        let location = lands(&scene, &escaped(&escaped(target))).await;
        assert_eq!(base.join(&location).unwrap().origin(), base.origin(), "{target:?} twice escaped: {location}");
    }
    let allowed = [
        "/",
        "/x",
        "/x?y=1",
        "/x?next=https://evil.test",
        "/x?u=//evil.test",
        "/a/b/c/",
        "/x#frag",
        "/x?y=%2F%2Fevil.test",
        "/%E2%9C%93",
        "/a%20b",
        "/x;p=1",
        "/x?y=a%0d%0ab",
        "/@user",
        "/x:y",
        "/.well-known/x",
        "https://app.localhost/",
        "https://app.localhost/x?y=1",
        "https://both.localhost/x",
    ];
    for target in allowed {
        assert_eq!(lands(&scene, &escaped(target)).await, target);
    }
    for (target, same) in [
        ("https://APP.localhost/x", "https://app.localhost/x"),
        ("https://app.localhost:443/x", "https://app.localhost/x"),
        ("https://app.localhost", "https://app.localhost/"),
    ] {
        assert_eq!(lands(&scene, &escaped(target)).await, same, "put together anew");
    }
}

#[tokio::test]
async fn redir_adv_a0_02_the_path_that_was_asked_for_is_no_way_out_either() {
    let scene = Scene::start().await;
    for target in [
        "//evil.test/",
        "///evil.test/%2e%2e",
        "/\\evil.test",
        "/%2fevil.test",
        "/.//evil.test",
        "/..//evil.test",
        "/a/..//evil.test",
        "/%5c%5cevil.test",
    ] {
        let answer = scene.browser(APP).go(target).await;
        assert_eq!((answer.status, answer.field("location")), (400, None), "{target}: {}", answer.text());
    }
    assert_eq!(scene.tenant.requests("token"), 0);
    // Targets that look alarming and are none come back as they were.
    for target in ["/x?next=//evil.test", "/private/http:/evil.test", "/@evil.test", "/x;//evil.test"] {
        let mut browser = scene.browser(APP);
        let redirect = browser.go(target).await;
        if redirect.status == 400 {
            assert!(target.contains("//") && !target.contains('?'), "{target}");
            continue;
        }
        let callback = scene.tenant.sign_in(redirect.location(), "ada").unwrap();
        assert_eq!(browser.go(&path_of(&callback)).await.location(), target);
    }
    // A script is told where to sign in, and comes back to a page of ours or to the root, whatever its Referer says.
    for (referer, back) in [
        ("https://app.localhost/page?x=1", "https://app.localhost/page?x=1"),
        ("https://evil.test/", "/"),
        ("javascript:alert(1)", "/"),
        ("", "/"),
    ] {
        let fields = [("sec-fetch-mode", "cors"), ("accept", "application/json"), ("referer", referer)];
        let answer = scene.browser(APP).request("GET", "/private", &fields, b"").await;
        let login = answer.json()["login_url"].as_str().unwrap().to_owned();
        assert!(login.starts_with("https://app.localhost/_doorward/login?"), "{login}");
        assert_eq!(parameter(&login, "return_to"), back, "{referer}");
    }
}
