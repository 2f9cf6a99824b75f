//! What an attacker gets from sessions, sign-outs and kept forms: nothing. Each test was a way in, or next to one.

use std::time::Duration;

use doorward_policy::secret::Secret;
use doorward_policy::session::{COOKIE, CookiePlace, Limits, Record, SealingKeys, Session, SessionFault, StoreKey, Tokens};
use doorward_proxy::clock;
use doorward_tests::client::{Answer, Browser, path_of};
use doorward_tests::hostile::{HostileIdp, User, forge};
use doorward_tests::recorder::{Recorder, ok};
use doorward_tests::redis::RedisServer;
use doorward_tests::scene::{APP, Plan, SESSION_KEY, Scene, session};
use serde_json::json;

use crate::logout::{SID, is_in, quick, reason, signed_in, tell};

const OWN: &str = "https://app.localhost";
const URLENCODED: &str = "application/x-www-form-urlencoded";

fn keys() -> SealingKeys {
    let key = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, SESSION_KEY).unwrap();
    SealingKeys::new(&[Secret::new(key)]).unwrap()
}

/// A form that this host's own page posts.
async fn post(browser: &mut Browser, path: &str, body: &[u8]) -> Answer {
    let fields = [
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
        ("sec-fetch-site", "same-origin"),
        ("accept", "text/html"),
        ("origin", OWN),
        ("content-type", URLENCODED),
    ];
    browser.request("POST", path, &fields, body).await
}

/// The id of the form that the page says is kept.
fn kept(answer: &Answer) -> Option<String> {
    let text = answer.text();
    let (_, rest) = text.split_once("resume%3Fform%3D")?;
    Some(rest.split(|letter: char| !letter.is_ascii_alphanumeric() && !matches!(letter, '-' | '_')).next()?.to_owned())
}

/// A provider of many tenants sends all their tokens from one address, and any tenant can name our address as theirs.
#[tokio::test]
async fn logout_14_a_neighbours_flood_of_bad_tokens_silences_no_provider() {
    let idp = HostileIdp::start().await;
    let server = "  limits: { bad_credentials_per_client: 3 }\n".to_owned();
    let scene = Scene::with(Plan { server, tempo: quick(), ..Plan::oidc(idp.issuer()) }).await;
    let browser = signed_in(&idp, &scene, &User::ada(), SID).await;
    for _ in 0..6 {
        tell(&browser, &idp.logout_token(None, Some(SID), forge::strangers_signature)).await;
    }
    assert_eq!(reason(&scene).await, "too_many");
    assert!(is_in(&browser).await);
    // What it does not know is not looked for now: a flood starts no fetches.
    let fetches = idp.requests(doorward_tests::hostile::Endpoint::Jwks);
    assert_eq!(tell(&browser, &idp.logout_token(None, Some(SID), forge::unknown_kid)).await.status, 429);
    assert_eq!(idp.requests(doorward_tests::hostile::Endpoint::Jwks), fetches);
    assert_eq!(tell(&browser, &idp.logout_token(None, Some(SID), |_| {})).await.status, 200);
    assert!(!is_in(&browser).await);
}

/// A session that is good, and only too old for one rule, is not to be thrown away by a form that meets this rule.
#[tokio::test]
async fn sess_02_a_form_that_needs_a_step_up_ends_no_session() {
    let idp = HostileIdp::start().await;
    let routes = r#"
  - name: app
    host: app.localhost
    upstream: UPSTREAM
    keep_form: true
    rules:
      - { path: "/pay/**", allow: signed-in, step_up: { max_age: 5m } }
      - { allow: signed-in }
"#;
    let scene = Scene::with(Plan { routes: routes.into(), ..Plan::oidc(idp.issuer()) }).await;
    let mut browser = scene.browser(APP);
    let away = browser.go("/private").await.location().to_owned();
    idp.next_id_token(|token| token.claims["auth_time"] = json!(clock::now().0 - 3600));
    assert_eq!(browser.go(&path_of(&idp.grant(&away, &User::ada()))).await.status, 303);
    let answer = post(&mut browser, "/pay/now", b"sum=1").await;
    assert_eq!((answer.status, reason(&scene).await.as_str()), (401, "step_up"), "{}", answer.text());
    assert_eq!(kept(&answer), None, "it would be offered, and refused, again and again");
    assert!(answer.all("set-cookie").is_empty(), "{:?}", answer.all("set-cookie"));
    assert_eq!(browser.fetch("/private").await.status, 200);
    // Where a step-up is not the reason, it is kept.
    let old = session_of(&scene, &idp);
    browser.cookies.insert(COOKIE.into(), old.seal(&keys(), APP, [7; 12]).unwrap());
    assert!(kept(&post(&mut browser, "/orders", b"a=1").await).is_some());
}

/// Ada's there, idle for too long.
fn session_of(scene: &Scene, idp: &HostileIdp) -> Session {
    let then = clock::now().minus(Duration::from_secs(7200));
    let mut old = session(scene, then, then);
    old.client_id = doorward_tests::hostile::CLIENT_ID.into();
    old.claims.insert("iss".into(), idp.issuer().into());
    old
}

/// A cookie that is long over still says whose it was: whoever finds one must not fill the places of everybody else's forms.
#[tokio::test]
async fn dos_one_persons_forms_leave_room_for_those_of_others() {
    let routes = Plan::default().routes.replacen("    rules:", "    keep_form: true\n    rules:", 1);
    let scene = Scene::with(Plan { routes, ..Plan::default() }).await;
    let then = clock::now().minus(Duration::from_secs(7200));
    let idle = |sub: &str| {
        let mut old = session(&scene, then, then);
        old.claims.insert("sub".into(), sub.into());
        let mut browser = scene.browser(APP);
        browser.cookies.insert(COOKIE.into(), old.seal(&keys(), APP, [7; 12]).unwrap());
        browser
    };
    let mut forms = 0;
    for _ in 0..12 {
        forms += usize::from(kept(&post(&mut idle("auth0|ada"), "/orders", b"a=1").await).is_some());
    }
    assert_eq!(forms, 10);
    assert!(kept(&post(&mut idle("auth0|vera"), "/orders", b"a=1").await).is_some());
}

/// Forms and sessions lie in one store: neither is ever read as the other, whatever name is asked for.
#[tokio::test]
async fn sess_32_a_form_is_no_session_and_a_session_no_form() {
    let routes = Plan::default().routes.replacen("    rules:", "    keep_form: true\n    rules:", 1);
    let stored = Scene::with(Plan { routes, session: crate::logout::MEMORY.into(), ..Plan::default() }).await;
    let mut browser = stored.signed_in(APP, "ada").await;
    let ticket = doorward_policy::session::Ticket::open(browser.cookies[COOKIE].as_bytes(), &keys(), CookiePlace::Host(APP)).unwrap();
    for id in [&*ticket.id, &format!("form:{}", ticket.id)] {
        let answer = browser.go(&format!("/_doorward/resume?form={id}")).await;
        assert_eq!(answer.status, 410, "{}", answer.text());
    }
    assert_eq!(browser.fetch("/private").await.status, 200);
    // The form of a session that has ended, and its key taken for a session's.
    let runtime = stored.edge().runtime().clone();
    let live = runtime.sessions.named(&ticket, clock::now()).await.unwrap();
    runtime.sessions.end(&live.session).await;
    let id = kept(&post(&mut browser, "/orders", b"a=1").await).unwrap();
    let key = StoreKey::of(&format!("form:{id}"));
    let form = runtime.store.read(&key).await.unwrap().unwrap();
    assert_eq!(Record::open(&form.sealed, &keys(), &key), None);
    assert!(runtime.store.read(&StoreKey::of(&id)).await.unwrap().is_none());
}

/// Whoever may put a picture or a link into one of our pages must not sign out everybody who looks at it; nor must a browser
/// that looks ahead at the link that says "sign out".
#[tokio::test]
async fn logout_01_a_picture_a_frame_or_a_look_ahead_signs_nobody_out() {
    let scene = Scene::start().await;
    let mut browser = scene.signed_in(APP, "ada").await;
    let own = ("sec-fetch-site", "same-origin");
    for (name, more) in [
        ("a picture", [("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image"), ("accept", "image/*")]),
        ("a frame", [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe"), ("accept", "text/html")]),
        ("a style sheet", [("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "style"), ("accept", "text/css")]),
        ("a look ahead", [("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "empty"), ("sec-purpose", "prefetch")]),
        ("one at a whole page", [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document"), ("sec-purpose", "prefetch;prerender")]),
    ] {
        let fields = [&[own][..], &more].concat();
        for path in ["/_doorward/logout", "/_doorward/logout?everywhere=1"] {
            let answer = browser.request("GET", path, &fields, b"").await;
            assert!(answer.all("set-cookie").is_empty(), "{name}: {:?}", answer.all("set-cookie"));
            assert_eq!(answer.status == 200, !name.contains("look") && !name.contains("one at"), "{name}: {}", answer.status);
            assert_eq!(browser.clone().fetch("/private").await.status, 200, "{name}");
        }
    }
    let fields = [own, ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document"), ("accept", "text/html")];
    assert_eq!(browser.clone().request("GET", "/_doorward/logout", &fields, b"").await.status, 303);
    assert_eq!(browser.fetch("/private").await.status, 401);
}

/// Sign-outs are remembered for a lifetime. A configuration that makes it longer must not let a signed-out copy outlive that.
#[tokio::test]
async fn sess_10_a_longer_lifetime_is_for_sessions_that_begin_later() {
    let scene = Scene::with(Plan { session: "  idle: 30m\n  lifetime: 1h\n".into(), ..Plan::default() }).await;
    let browser = scene.signed_in(APP, "ada").await;
    let day = Duration::from_secs(86_400);
    let limits = Limits { idle: day, lifetime: day };
    let open =
        |later: u64| Session::open(browser.cookies[COOKIE].as_bytes(), &keys(), APP, limits, clock::now().plus(Duration::from_secs(later)));
    assert!(open(3500).is_ok());
    assert_eq!(open(3700), Err(SessionFault::Expired));
}

/// One process with a wrong clock must not take sessions from all the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sess_11_a_wrong_clock_refuses_here_and_deletes_nothing_for_others() {
    let redis = RedisServer::start();
    let store = format!("  store: redis\n  redis: {{ url: \"redis://127.0.0.1:{}/0\" }}\n", redis.port());
    for (shared, plan) in [
        (true, Plan { session: format!("  idle: 1h\n  lifetime: 12h\n{store}"), ..Plan::default() }),
        (false, Plan { session: crate::logout::MEMORY.into(), ..Plan::default() }),
    ] {
        let scene = Scene::with(plan).await;
        // To a clock that is two minutes behind, a session of now is one of the future.
        let ahead = clock::now().plus(Duration::from_secs(120));
        let runtime = scene.edge().runtime().clone();
        let begun = session(&scene, ahead, ahead);
        let key = StoreKey::of(&begun.id);
        let cookie = runtime.sessions.begin(begun, Tokens::default(), APP).await.unwrap();
        let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
        let mut browser = scene.browser(APP);
        browser.cookies.insert(name.to_owned(), value.to_owned());
        assert_eq!(browser.clone().fetch("/private").await.status, 401);
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(runtime.store.read(&key).await.unwrap().is_some(), shared);
    }
}

/// Law: a name that is ours is erased on every path, also where no session can come of it.
#[tokio::test]
async fn cookie_06_07_the_domains_cookie_is_ours_also_where_no_domain_is_set() {
    let forged = "__Secure-doorward=x; Domain=localhost; Secure";
    let app = Recorder::answering(std::sync::Arc::new(move |_| {
        let body = String::from_utf8(ok("x")).unwrap();
        let head = format!("\r\nset-cookie: {forged}\r\nset-cookie: __Secure-doorward-attempt.1=y\r\nset-cookie: own=1\r\n");
        Some(body.replacen("\r\n", &head, 1).into_bytes())
    }))
    .await;
    let scene = Scene::in_front_of(Plan::default(), app).await;
    let ours = "a=1; __Secure-doorward=s; __Secure-doorward-x=1; __Secure-doorward.y=1; __Host-doorward=t; __Host-doorward-rounds=r; b=2";
    for (method, path) in [("GET", "/"), ("OPTIONS", "/public/x"), ("POST", "/public/x"), ("HEAD", "/public/x")] {
        let answer = scene.ask(APP, method, path, &[("cookie", ours)]).await;
        assert_eq!(answer.status, 200, "{method}");
        assert_eq!(answer.all("set-cookie"), ["own=1"], "{method}");
        assert_eq!(scene.app.last().all("cookie"), ["a=1; b=2"], "{method}");
    }
}

/// A process that does not know yet who was signed out lets nobody in; and still hears who signs out now.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logout_05_a_sign_out_while_the_list_cannot_be_read_counts_once_it_can() {
    let mut redis = RedisServer::start();
    let session = format!("  idle: 1h\n  lifetime: 12h\n  redis: {{ url: \"redis://127.0.0.1:{}/0\" }}\n", redis.port());
    let scene = Scene::with(Plan { session, ..Plan::default() }).await;
    let (leaves, stays) = (scene.signed_in(APP, "ada").await, scene.signed_in(APP, "vera").await);
    let elsewhere = scene.signed_in(APP, "ada").await;
    redis.kill();
    let twin = scene.twin(|text| text).await;
    assert_eq!(twin.visit(&leaves).fetch("/private").await.status, 503);
    let answer = twin.visit(&leaves).post("/_doorward/logout?everywhere=1").await;
    assert!(answer.cookies().iter().any(|(name, value)| name == COOKIE && value.is_empty()), "{:?}", answer.fields);
    redis.start_again();
    let status = async |browser: &Browser| loop {
        match twin.visit(browser).fetch("/private").await.status {
            503 => tokio::time::sleep(Duration::from_millis(100)).await,
            status => return status,
        }
    };
    let all = async { [status(&leaves).await, status(&elsewhere).await, status(&stays).await] };
    assert_eq!(tokio::time::timeout(Duration::from_secs(20), all).await, Ok([401, 401, 200]));
}
