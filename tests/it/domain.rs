//! One cookie for a domain and all below it (`session.domain`).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use doorward_policy::secret::Secret;
use doorward_policy::session::{CookiePlace, SealingKeys, Ticket};
use doorward_policy::time::Timestamp;
use doorward_tests::asker::{Asker, HOOKS, Kind, Request};
use doorward_tests::client::{Answer, Browser, parameter, path_of};
use doorward_tests::hostile::{Endpoint, HostileIdp, User};
use doorward_tests::scene::{APP, Plan, SESSION_KEY, Scene, session};

use crate::oidc::come_back;

const DOMAIN: &str = "wild.localhost";
const ONE: &str = "one.wild.localhost";
const TWO: &str = "two.wild.localhost";
const OWN: &str = "__Host-doorward";
const SHARED: &str = "__Secure-doorward";
const DELETED: &str = "__Secure-doorward=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0; Domain=wild.localhost";
const ROUTES: &str = r#"
  - { name: one, host: one.wild.localhost, upstream: "UPSTREAM", accept: session, rules: [{ path: "/public/**", allow: public }, { allow: signed-in }] }
  - { name: two, host: two.wild.localhost, upstream: "UPSTREAM", accept: session, rules: [{ allow: signed-in }] }
  - { name: app, host: app.localhost, upstream: "UPSTREAM", accept: session, rules: [{ allow: signed-in }] }
"#;

fn now() -> Timestamp {
    Timestamp(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap())
}

fn keys() -> SealingKeys {
    SealingKeys::new(&[Secret::new(STANDARD.decode(SESSION_KEY).unwrap())]).unwrap()
}

fn with_domain(plan: Plan) -> Plan {
    Plan { session: format!("  domain: {DOMAIN}\n{}", plan.session), routes: ROUTES.into(), ..plan }
}

async fn scene() -> Scene {
    Scene::with(with_domain(Plan::default())).await
}

/// The cookies that a browser has on `host` after it got those of `from`.
fn elsewhere(from: &Browser, host: &str) -> Browser {
    let mut browser = Browser { host: host.into(), ..from.clone() };
    browser.cookies.retain(|name, _| !name.starts_with("__Host-") && host.ends_with(DOMAIN));
    browser
}

fn sealed<'p>(scene: &Scene, place: impl Into<CookiePlace<'p>>) -> String {
    session(scene, now(), now()).seal(&keys(), place, [9; 12]).unwrap()
}

fn lines<'a>(answer: &'a Answer, name: &str) -> Vec<&'a str> {
    answer.all("set-cookie").into_iter().filter(|line| line.starts_with(&format!("{name}="))).collect()
}

#[tokio::test]
async fn sess_01_one_sign_in_is_good_on_all_hosts_of_the_domain() {
    let scene = scene().await;
    let mut browser = scene.browser(ONE);
    let back = scene.sign_in(&mut browser, "/private", "ada").await;
    assert_eq!(back.status, 303, "{}", back.text());
    let set = lines(&back, SHARED);
    assert_eq!(set.len(), 1, "{:?}", back.fields);
    assert!(set[0].ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=43200; Domain=wild.localhost"), "{}", set[0]);
    assert!(lines(&back, OWN).iter().all(|line| line.contains("Max-Age=0")), "no other session");
    assert_eq!(browser.go("/private").await.status, 200);
    assert_eq!(scene.app.last().one("cookie"), None, "COOKIE-06: not for the app");
    let mut two = elsewhere(&browser, TWO);
    assert_eq!(two.go("/x").await.status, 200);
    assert_eq!(two.fetch("/_doorward/session").await.json()["authenticated"], true);
    assert_eq!(scene.tenant.requests("token"), 1);
    // Outside of it each host has its own.
    let mut outside = scene.browser(APP);
    let back = scene.sign_in(&mut outside, "/private", "ada").await;
    assert_eq!((lines(&back, OWN).len(), lines(&back, SHARED).len()), (1, 0), "{:?}", back.fields);
    assert_eq!(outside.go("/private").await.status, 200);
}

#[tokio::test]
async fn sess_32_a_domains_cookie_is_nothing_on_a_host_outside_and_the_other_way_round() {
    let scene = scene().await;
    let rows = [
        ("the domain's on a host of it", ONE, SHARED, sealed(&scene, CookiePlace::Domain(DOMAIN)), 200),
        ("a host's outside", APP, OWN, sealed(&scene, APP), 200),
        ("the domain's outside", APP, SHARED, sealed(&scene, CookiePlace::Domain(DOMAIN)), 401),
        ("the domain's outside, under the other name", APP, OWN, sealed(&scene, CookiePlace::Domain(DOMAIN)), 401),
        ("a host's of the domain, as it was before", ONE, OWN, sealed(&scene, ONE), 401),
        ("a host's of the domain, under the other name", ONE, SHARED, sealed(&scene, ONE), 401),
        ("a host's outside, under the other name", ONE, SHARED, sealed(&scene, APP), 401),
        ("another domain's", ONE, SHARED, sealed(&scene, CookiePlace::Domain("localhost")), 401),
        ("one host's of the domain", ONE, SHARED, sealed(&scene, CookiePlace::Domain(ONE)), 401),
    ];
    for (name, host, cookie, value, status) in rows {
        let mut browser = scene.browser(host);
        browser.cookies.insert(cookie.into(), value);
        assert_eq!(browser.fetch("/private").await.status, status, "{name}");
    }
    // COOKIE-01: a host below may plant a second one.
    let good = sealed(&scene, CookiePlace::Domain(DOMAIN));
    for (cookies, status) in [
        (format!("{SHARED}={good}"), 200),
        (format!("{SHARED}={good}; {SHARED}={good}"), 401),
        (format!("{SHARED}=x; {SHARED}={good}"), 401),
    ] {
        let answer = scene.ask(ONE, "GET", "/private", &[("cookie", &cookies)]).await;
        assert_eq!(answer.status, status, "{cookies}");
        assert_eq!(lines(&answer, SHARED), if status == 401 { vec![DELETED] } else { vec![] }, "{cookies}");
    }
}

#[tokio::test]
async fn cookie_08_a_domains_cookie_is_deleted_and_renewed_as_it_was_set() {
    let scene = scene().await;
    let mut browser = scene.signed_in(ONE, "ada").await;
    browser.cookies.insert(OWN.into(), "stale".into());
    assert_eq!(browser.go("/private").await.status, 200, "what a host had before is not looked at");
    let mut again = browser.clone();
    again.cookies.remove(SHARED);
    let back = scene.sign_in(&mut again, "/private", "ada").await;
    assert_eq!(lines(&back, OWN), ["__Host-doorward=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0"], "a sign-in clears it up");
    // Sign-out.
    let copy = elsewhere(&browser, TWO);
    let answer = browser.post("/_doorward/logout").await;
    assert_eq!(lines(&answer, SHARED), [DELETED], "{:?}", answer.fields);
    assert_eq!(lines(&answer, OWN).len(), 1);
    assert!(browser.cookies.is_empty(), "{:?}", browser.cookies);
    assert_eq!(copy.clone().fetch("/x").await.status, 401, "SESS-40: a copy opens nothing");
    // An old one.
    let long_ago = now().minus(Duration::from_secs(13 * 3600));
    let expired = session(&scene, long_ago, long_ago).seal(&keys(), CookiePlace::Domain(DOMAIN), [9; 12]).unwrap();
    let answer = scene.ask(ONE, "GET", "/private", &[("cookie", &format!("{SHARED}={expired}"))]).await;
    assert_eq!(lines(&answer, SHARED), [DELETED], "{:?}", answer.fields);
    // One that goes on.
    let idle = now().minus(Duration::from_secs(1000));
    let seen = session(&scene, idle, idle).seal(&keys(), CookiePlace::Domain(DOMAIN), [9; 12]).unwrap();
    let answer = scene.ask(TWO, "GET", "/private", &[("cookie", &format!("{SHARED}={seen}"))]).await;
    assert_eq!(answer.status, 200);
    let renewed = lines(&answer, SHARED);
    assert!(renewed.len() == 1 && renewed[0].ends_with("; Domain=wild.localhost"), "{renewed:?}");
}

#[tokio::test]
async fn sess_32_with_a_store_the_ticket_is_the_domains() {
    let plan = with_domain(Plan::default());
    let scene = Scene::with(Plan { session: format!("  store: memory\n{}", plan.session), ..plan }).await;
    let browser = scene.signed_in(ONE, "ada").await;
    let ticket = Ticket::open(browser.cookies[SHARED].as_bytes(), &keys(), CookiePlace::Domain(DOMAIN)).unwrap();
    assert_eq!(elsewhere(&browser, TWO).go("/x").await.status, 200);
    for (host, name, place, status) in [
        (ONE, SHARED, CookiePlace::Domain(DOMAIN), 200),
        (APP, OWN, CookiePlace::Host(APP), 200),
        (ONE, SHARED, CookiePlace::Host(ONE), 401),
        (APP, OWN, CookiePlace::Domain(DOMAIN), 401),
    ] {
        let mut other = scene.browser(host);
        other.cookies.insert(name.into(), ticket.seal(&keys(), place, [7; 12]));
        assert_eq!(other.fetch("/x").await.status, status, "{host} {place:?}");
    }
}

#[tokio::test]
async fn handoff_07_a_public_host_of_the_domain_hands_nothing_over_within_it() {
    let idp = HostileIdp::start().await;
    let plan = with_domain(Plan::oidc(idp.issuer()));
    let scene = Scene::with(Plan { server: format!("  public_url: https://auth.wild.localhost\n{}", plan.server), ..plan }).await;
    let mut one = scene.browser(ONE);
    let redirect = one.go("/private?a=b").await;
    let expected = "https://auth.wild.localhost/_doorward/login?return_to=https%3A%2F%2Fone.wild.localhost%2Fprivate%3Fa%3Db";
    assert_eq!((redirect.status, redirect.location()), (302, expected));
    assert!(one.cookies.is_empty(), "{:?}", one.cookies);
    let mut public = scene.browser("auth.wild.localhost");
    let back = come_back(&idp, &mut public, &path_of(redirect.location()), &User::ada()).await;
    assert_eq!((back.status, back.location()), (303, "https://one.wild.localhost/private?a=b"), "{}", back.text());
    for host in [ONE, TWO] {
        assert_eq!(elsewhere(&public, host).go("/private").await.status, 200, "{host}");
    }
    // Outside of it there is something to hand over, and the domain's session is what is.
    let mut outside = scene.browser(APP);
    let asked = outside.go("/private").await.location().to_owned();
    assert!(!parameter(&asked, "handoff").is_empty());
    let code = public.go(&path_of(&asked)).await;
    assert_eq!(code.status, 303, "{}", code.text());
    let back = outside.go(&path_of(code.location())).await;
    assert_eq!((back.status, lines(&back, OWN).len(), lines(&back, SHARED).len()), (303, 1, 0), "{:?}", back.fields);
    assert_eq!((outside.go("/private").await.status, idp.requests(Endpoint::Token)), (200, 1));
}

#[tokio::test]
async fn hook_12_a_check_speaks_of_the_domains_cookie_at_most_once() {
    let plan = with_domain(Plan::default());
    let routes = plan.routes.replace("upstream: \"UPSTREAM\", ", "");
    let scene = Scene::with(Plan { server: HOOKS.into(), routes, ..plan }).await;
    let asker = Asker::of(&scene);
    let idle = now().minus(Duration::from_secs(1000));
    let seen = format!(
        "{SHARED}={}; {OWN}=stale; app=1",
        session(&scene, idle, idle).seal(&keys(), CookiePlace::Domain(DOMAIN), [9; 12]).unwrap()
    );
    let bad = format!("{SHARED}=x; {OWN}=stale");
    for kind in Kind::ALL {
        let yes = asker.ask(kind, &Request::get(ONE, "/private").with("cookie", &seen)).await;
        assert_eq!((yes.status, yes.field("cookie")), (200, Some("app=1")), "{kind:?}");
        let set = yes.all("set-cookie");
        assert!(
            set.len() <= 1 && set.iter().all(|line| line.starts_with(SHARED) && line.ends_with("; Domain=wild.localhost")),
            "{kind:?}: {set:?}"
        );
        let no = asker.ask(kind, &Request::visit(ONE, "/private").with("cookie", &bad)).await;
        assert_ne!(no.status, 200, "{kind:?}");
        assert_eq!(no.all("set-cookie"), [DELETED], "{kind:?}");
    }
}
