//! People sign in on one host (`server.public_url`) and are somebody on all of them.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use doorward_policy::login::{Asked, Handed, HandoffAttempt, HandoffCode, HandoffRequest, Newness, Places, ReturnTo};
use doorward_policy::secret::Secret;
use doorward_policy::session::{Limits, SealingKeys, Session};
use doorward_policy::time::Timestamp;
use doorward_tests::asker::{Asker, HOOKS, Kind, Request};
use doorward_tests::client::{Answer, Browser, parameter, path_of};
use doorward_tests::hostile::{Endpoint, HostileIdp, User};
use doorward_tests::redis::RedisServer;
use doorward_tests::scene::{Plan, SESSION_KEY, Scene};
use serde_json::json;

const PUBLIC: &str = "auth.localhost";
const CMS: &str = "cms.localhost";
const IOT: &str = "iot.localhost";
const SESSION: &str = "__Host-doorward";
const ATTEMPT: &str = "__Host-doorward-attempt.";
const PUBLIC_URL: &str = "  public_url: https://auth.localhost\n";
const ROUTES: &str = r#"
  - { name: cms, host: cms.localhost, upstream: "UPSTREAM", accept: session, rules: [{ path: "/pay/**", allow: signed-in, step_up: { acr_values: [gold] } }, { path: "/public/**", allow: public }, { allow: signed-in }] }
  - { name: iot, host: iot.localhost, upstream: "UPSTREAM", accept: session, rules: [{ allow: signed-in }] }
"#;

fn now() -> Timestamp {
    Timestamp(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap())
}

fn keys() -> SealingKeys {
    SealingKeys::new(&[Secret::new(STANDARD.decode(SESSION_KEY).unwrap())]).unwrap()
}

fn plan(idp: &HostileIdp) -> Plan {
    let plan = Plan::oidc(idp.issuer());
    Plan { server: format!("{PUBLIC_URL}{}", plan.server), routes: ROUTES.into(), ..plan }
}

async fn rig() -> (HostileIdp, Scene) {
    let idp = HostileIdp::start().await;
    let scene = Scene::with(plan(&idp)).await;
    (idp, scene)
}

/// One browser, on all hosts.
#[derive(Clone)]
struct Person<'s> {
    scene: &'s Scene,
    on: BTreeMap<String, Browser>,
}

impl<'s> Person<'s> {
    fn at(scene: &'s Scene) -> Self {
        Self { scene, on: BTreeMap::new() }
    }

    fn browser(&mut self, host: &str) -> &mut Browser {
        self.on.entry(host.to_owned()).or_insert_with(|| self.scene.browser(host))
    }

    /// Goes to an absolute address.
    async fn go(&mut self, address: &str) -> Answer {
        let url = url::Url::parse(address).unwrap();
        let host = url.host_str().unwrap().to_owned();
        self.browser(&host).go(&path_of(address)).await
    }

    /// Follows redirects from `address` until one leads to no host of ours, or none comes.
    async fn follow(&mut self, address: &str) -> (Vec<String>, Answer) {
        let mut way = vec![address.to_owned()];
        for _ in 0..10 {
            let here = way.last().unwrap().clone();
            let answer = self.go(&here).await;
            if !matches!(answer.status, 302 | 303) {
                return (way, answer);
            }
            let next = url::Url::parse(&here).unwrap().join(answer.location()).unwrap();
            if !next.host_str().unwrap().ends_with(".localhost") {
                return (way, answer);
            }
            way.push(next.into());
        }
        panic!("round in circles: {way:#?}");
    }

    /// Goes to `address`, signs in on the way, and is there.
    async fn sign_in(&mut self, idp: &HostileIdp, address: &str, user: &User) -> Vec<String> {
        let (_, redirect) = self.follow(address).await;
        assert_eq!(redirect.status, 302, "{}", redirect.text());
        let (way, answer) = self.follow(&idp.grant(redirect.location(), user)).await;
        assert_eq!((answer.status, way.last().unwrap().as_str()), (200, address), "{way:#?} {}", answer.text());
        way
    }

    /// As far as the app's host is asked to take the code, which stays unused: its address.
    async fn code(&mut self, address: &str) -> String {
        let asked = self.go(address).await;
        let code = self.go(asked.location()).await;
        assert_eq!(code.status, 303, "{}", code.text());
        assert!(code.location().contains("/_doorward/handoff?code="), "{}", code.location());
        code.location().to_owned()
    }

    fn cookies(&self, host: &str) -> Vec<&str> {
        self.on.get(host).into_iter().flat_map(|browser| browser.cookies.keys()).map(String::as_str).collect()
    }

    fn session(&self, host: &str) -> Session {
        let limits = Limits { idle: Duration::from_secs(3600), lifetime: Duration::from_secs(12 * 3600) };
        Session::open(self.on[host].cookies[SESSION].as_bytes(), &keys(), host, limits, now()).unwrap()
    }
}

async fn reason(scene: &Scene) -> String {
    scene.log().await.last().unwrap()["reason"].as_str().unwrap().to_owned()
}

/// The request that the app's host sealed.
fn request(address: &str) -> HandoffRequest {
    HandoffRequest::open(&parameter(address, "handoff"), &keys(), PUBLIC).unwrap()
}

fn with_code(address: &str, code: &str) -> String {
    format!("{}?code={code}", address.split('?').next().unwrap())
}

fn with_a_byte_changed(code: &str) -> String {
    let (before, after) = code.split_at(code.len() - 20);
    format!("{before}{}{}", if after.starts_with('A') { 'B' } else { 'A' }, &after[1..])
}

#[tokio::test]
async fn handoff_01_who_signed_in_for_one_app_is_signed_in_for_the_next_on_another_domain() {
    let (idp, scene) = rig().await;
    let mut ada = Person::at(&scene);
    let asked = ada.go("https://cms.localhost/private?page=2").await;
    assert_eq!(asked.status, 302, "{}", asked.text());
    assert!(asked.location().starts_with("https://auth.localhost/_doorward/login?handoff="), "{}", asked.location());
    let cookies = asked.cookies();
    assert!(cookies.len() == 1 && cookies[0].0.starts_with(ATTEMPT), "{cookies:?}");
    assert!(!asked.location().contains("page"), "what is in it is sealed");
    let to_provider = ada.go(asked.location()).await;
    assert_eq!(to_provider.status, 302, "{}", to_provider.text());
    assert_eq!(parameter(to_provider.location(), "redirect_uri"), "https://auth.localhost/_doorward/callback/tenant");
    let (way, answer) = ada.follow(&idp.grant(to_provider.location(), &User::ada())).await;
    assert_eq!((answer.status, way.last().unwrap().as_str()), (200, "https://cms.localhost/private?page=2"), "{way:#?}");
    let steps: Vec<&str> = way.iter().map(|address| address.split('?').next().unwrap()).collect();
    let expected = [
        "https://auth.localhost/_doorward/callback/tenant",
        "https://auth.localhost/_doorward/login",
        "https://cms.localhost/_doorward/handoff",
        "https://cms.localhost/private",
    ];
    assert_eq!(steps, expected);
    assert_eq!(scene.app.last().one("x-auth-email"), Some("ada@acme.dev"));
    assert!(
        ada.cookies(CMS).contains(&SESSION) && !ada.cookies(CMS).iter().any(|name| name.starts_with(ATTEMPT)),
        "{:?}",
        ada.cookies(CMS)
    );

    // Another app on another domain: nobody asks the provider.
    let (way, answer) = ada.follow("https://iot.localhost/devices").await;
    assert_eq!((answer.status, way.last().unwrap().as_str()), (200, "https://iot.localhost/devices"), "{way:#?}");
    assert_eq!((idp.requests(Endpoint::Token), way.len()), (1, 4));
    // Each host has a cookie of its own, all of one session.
    let sessions = [CMS, IOT, PUBLIC].map(|host| ada.session(host));
    assert!(sessions.iter().all(|session| session.id == sessions[0].id && session.began == sessions[0].began));
    assert_ne!(ada.on[CMS].cookies[SESSION], ada.on[IOT].cookies[SESSION]);
    let mut moved = scene.browser(IOT);
    moved.cookies.insert(SESSION.into(), ada.on[CMS].cookies[SESSION].clone());
    assert_eq!(moved.fetch("/devices").await.status, 401, "and none of them is good elsewhere");
}

#[tokio::test]
async fn handoff_02_a_code_is_good_once_in_one_browser_on_one_host() {
    let (idp, scene) = rig().await;
    let mut ada = Person::at(&scene);
    ada.sign_in(&idp, "https://cms.localhost/private", &User::ada()).await;
    type Row = (&'static str, fn(&str, &mut Person<'_>) -> String, u16, &'static str);
    let rows: [Row; 8] = [
        ("as it was given", |code, _| code.to_owned(), 303, "signed_in"),
        ("cut", |code, _| code[..code.len() - 1].to_owned(), 400, "handoff_unreadable"),
        ("a byte changed", |code, _| with_a_byte_changed(code), 400, "handoff_unreadable"),
        ("none", |code, _| code.split('?').next().unwrap().to_owned(), 400, "handoff_unreadable"),
        ("twice in one address", |code, _| format!("{code}&code=x"), 400, "handoff_unreadable"),
        ("on another host", |code, _| code.replace(IOT, CMS), 400, "handoff_unreadable"),
        ("the session's cookie instead", |code, ada| with_code(code, &ada.on[CMS].cookies[SESSION]), 400, "handoff_unreadable"),
        (
            "the attempt's cookie instead",
            |code, ada| {
                let attempt = ada.browser(IOT).cookies.iter().find(|(name, _)| name.starts_with(ATTEMPT)).unwrap().1.clone();
                with_code(code, &attempt)
            },
            400,
            "handoff_unreadable",
        ),
    ];
    for (name, change, status, why) in rows {
        let mut person = ada.clone();
        let code = person.code("https://iot.localhost/devices").await;
        let changed = change(&code, &mut person);
        let answer = person.go(&changed).await;
        assert_eq!((answer.status, reason(&scene).await.as_str()), (status, why), "{name}: {}", answer.text());
        assert_eq!(person.cookies(IOT).contains(&SESSION), status == 303, "{name}");
        if status == 400 {
            assert!(answer.text().contains(">Sign in</a>"), "{name}: a way to start again");
        }
    }
    // A second time, with the first time's cookies.
    let code = ada.code("https://iot.localhost/devices").await;
    let mut copy = ada.clone();
    assert_eq!(ada.go(&code).await.status, 303);
    for person in [&mut ada.clone(), &mut copy] {
        let again = person.go(&code).await;
        assert_eq!((again.status, reason(&scene).await.as_str()), (400, "attempt_reused"), "{}", again.text());
    }
    assert!(!copy.cookies(IOT).contains(&SESSION));
}

#[tokio::test]
async fn handoff_02_what_was_sealed_for_the_way_there_is_no_code() {
    let (idp, scene) = rig().await;
    let mut ada = Person::at(&scene);
    ada.sign_in(&idp, "https://cms.localhost/private", &User::ada()).await;
    let mut person = ada.clone();
    let asked = person.go("https://iot.localhost/devices").await.location().to_owned();
    let sealed = parameter(&asked, "handoff");
    let answer = person.go(&format!("https://iot.localhost/_doorward/handoff?code={sealed}")).await;
    assert_eq!((answer.status, reason(&scene).await.as_str()), (400, "handoff_unreadable"));
    let code = ada.code("https://iot.localhost/devices").await;
    let answer = ada.go(&format!("https://auth.localhost/_doorward/login?handoff={}", parameter(&code, "code"))).await;
    assert_eq!((answer.status, reason(&scene).await.as_str()), (400, "handoff_unreadable"));
    assert_eq!(ada.go(&code).await.status, 303, "and was one where it belongs");
    // PARAM-01
    let twice = format!("https://auth.localhost/_doorward/login?handoff={sealed}&handoff={sealed}");
    assert_eq!(ada.go(&twice).await.status, 400);
}

#[tokio::test]
async fn handoff_02_a_code_is_good_for_half_a_minute() {
    let (idp, scene) = rig().await;
    let mut ada = Person::at(&scene);
    ada.sign_in(&idp, "https://cms.localhost/private", &User::ada()).await;
    let session = ada.session(PUBLIC);
    let code = async |ago: u64, retries: u8| {
        let mut person = ada.clone();
        let asked = person.go("https://iot.localhost/devices?a=b").await.location().to_owned();
        let mut request = request(&asked);
        request.retries = retries;
        let issued = now().minus(Duration::from_secs(ago));
        let sealed = HandoffCode::answer(&request, Handed::Session(Box::new(session.clone())), issued).seal(&keys(), IOT, [7; 12]);
        let answer = person.go(&format!("https://iot.localhost/_doorward/handoff?code={sealed}")).await;
        (person, answer)
    };
    let (mut person, answer) = code(25, 0).await;
    assert_eq!((answer.status, answer.location()), (303, "/devices?a=b"), "{}", answer.text());
    assert_eq!(person.go("https://iot.localhost/devices").await.status, 200);
    // Too late: it begins again by itself, and leads to the same place.
    let (mut person, answer) = code(31, 0).await;
    assert_eq!((answer.status, reason(&scene).await.as_str()), (302, "handoff_expired"), "{}", answer.text());
    assert!(!person.cookies(IOT).contains(&SESSION));
    let (way, answer) = person.follow(answer.location()).await;
    assert_eq!((answer.status, way.last().unwrap().as_str()), (200, "https://iot.localhost/devices?a=b"));
    // Once; after that it takes a click.
    let (person, answer) = code(31, 1).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(!person.cookies(IOT).contains(&SESSION));
    // From a clock that is far ahead.
    let sealed = |issued| {
        let attempt = HandoffAttempt::begin(&[9; 48], now());
        let request = HandoffRequest::of(&attempt, IOT, &ReturnTo::root(), &Asked::default());
        let code = HandoffCode::answer(&request, Handed::Session(Box::new(session.clone())), issued).seal(&keys(), IOT, [7; 12]);
        (attempt.cookie_name(), attempt.seal(&keys(), IOT, [8; 12]), code)
    };
    let (name, cookie, code) = sealed(now().plus(Duration::from_secs(120)));
    let mut browser = scene.browser(IOT);
    browser.cookies.insert(name, cookie);
    assert_eq!(browser.go(&format!("/_doorward/handoff?code={code}")).await.status, 302, "again, by itself");
    assert!(!browser.cookies.contains_key(SESSION));
}

#[tokio::test]
async fn handoff_02_two_processes_that_share_a_redis_take_a_code_once_between_them() {
    let (idp, mut redis) = (HostileIdp::start().await, RedisServer::start());
    let usual = plan(&idp);
    let session = format!("  redis: {{ url: \"redis://127.0.0.1:{}/0\" }}\n{}", redis.port(), usual.session);
    let scene = Scene::with(Plan { session, ..usual }).await;
    let twin = scene.twin(|text| text).await;
    let mut ada = Person::at(&scene);
    ada.sign_in(&idp, "https://cms.localhost/private", &User::ada()).await;
    let code = ada.code("https://iot.localhost/devices").await;
    let (mut here, mut there) = (ada.on[IOT].clone(), twin.visit(&ada.on[IOT]));
    let again = there.clone();
    assert_eq!(there.go(&path_of(&code)).await.status, 303);
    assert!(there.cookies.contains_key(SESSION));
    for browser in [&mut here, &mut again.clone()] {
        let answer = browser.go(&path_of(&code)).await;
        assert_eq!((answer.status, browser.cookies.contains_key(SESSION)), (400, false), "{}", answer.text());
    }
    // Whether it was taken cannot be said: it is not.
    let mut late = ada.clone();
    let code = late.code("https://iot.localhost/devices").await;
    redis.kill();
    let answer = late.go(&code).await;
    assert_eq!((answer.status, answer.field("retry-after"), late.cookies(IOT).contains(&SESSION)), (503, Some("10"), false));
}

#[tokio::test]
async fn oidc_19_nobody_is_signed_in_as_somebody_else_by_a_link_to_a_code() {
    let (idp, scene) = rig().await;
    let mut attacker = Person::at(&scene);
    attacker.sign_in(&idp, "https://cms.localhost/private", &User::eddie()).await;
    // A victim who is nobody yet: the code is not good for it, and it signs in as itself.
    let link = attacker.code("https://iot.localhost/devices").await;
    let mut victim = Person::at(&scene);
    let answer = victim.go(&link).await;
    assert_eq!((answer.status, reason(&scene).await.as_str()), (302, "attempt_lost"), "{}", answer.text());
    assert!(!victim.cookies(IOT).contains(&SESSION));
    let (_, redirect) = victim.follow(answer.location()).await;
    let (way, answer) = victim.follow(&idp.grant(redirect.location(), &User::vera())).await;
    assert_eq!(answer.status, 200, "{way:#?}");
    assert_eq!(victim.session(IOT).claims["sub"], "auth0|vera");
    // Whoever shows a code first spends it: it is of no use to its owner any more.
    assert_eq!((attacker.go(&link).await.status, reason(&scene).await.as_str()), (400, "attempt_reused"));
    // A victim with a hand-off of its own under way: another attempt's cookie is no help.
    let link = attacker.code("https://iot.localhost/devices").await;
    let mut victim = Person::at(&scene);
    victim.go("https://iot.localhost/mine").await;
    let own = victim.on[IOT].cookies.values().next().unwrap().clone();
    let id = request_of_code(&link);
    victim.browser(IOT).cookies.insert(format!("{ATTEMPT}{id}"), own);
    let answer = victim.go(&link).await;
    assert_eq!((answer.status, reason(&scene).await.as_str()), (400, "attempt_foreign"), "{}", answer.text());
    assert!(!victim.cookies(IOT).contains(&SESSION));
    // A link to the beginning: the code goes to the attacker's attempt, and the victim's browser does not have that.
    let mut begun = attacker.clone();
    let asked = begun.go("https://iot.localhost/devices").await.location().to_owned();
    let mut victim = Person::at(&scene);
    victim.sign_in(&idp, "https://cms.localhost/private", &User::ada()).await;
    let code = victim.go(&asked).await.location().to_owned();
    assert!(victim.go(&code).await.cookies().iter().all(|(name, _)| name != SESSION));
    // Which the attacker, were it to learn the code now, finds spent.
    assert_eq!((begun.go(&code).await.status, begun.cookies(IOT).contains(&SESSION)), (400, false));
}

fn request_of_code(address: &str) -> Box<str> {
    HandoffCode::open(&parameter(address, "code"), &keys(), IOT).unwrap().attempt
}

#[tokio::test]
async fn oidc_19_only_a_navigation_takes_a_code() {
    let (idp, scene) = rig().await;
    let mut ada = Person::at(&scene);
    ada.sign_in(&idp, "https://cms.localhost/private", &User::ada()).await;
    let code = ada.code("https://iot.localhost/devices").await;
    for (mode, dest) in [("no-cors", "image"), ("cors", "empty"), ("navigate", "iframe")] {
        let fields = [("sec-fetch-mode", mode), ("sec-fetch-dest", dest), ("sec-fetch-site", "cross-site")];
        let answer = ada.browser(IOT).request("GET", &path_of(&code), &fields, b"").await;
        assert_eq!((answer.status, answer.all("set-cookie").len()), (401, 0), "{dest}");
    }
    let fields = [("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")];
    let asked = ada.go("https://iot.localhost/devices").await.location().to_owned();
    let answer = ada.browser(PUBLIC).request("GET", &path_of(&asked), &fields, b"").await;
    assert_eq!((answer.status, answer.field("location")), (401, None), "nor is one given to anything else");
    assert_eq!(ada.browser(IOT).request("POST", &path_of(&code), &[], b"").await.status, 405);
    assert_eq!(ada.go(&code).await.status, 303);
}

#[tokio::test]
async fn handoff_03_the_public_host_knows_our_own_hosts_only() {
    let (idp, scene) = rig().await;
    let mut ada = Person::at(&scene);
    ada.sign_in(&idp, "https://cms.localhost/private", &User::ada()).await;
    struct Prefix;
    impl Places for Prefix {
        fn holds(&self, _: &str, _: u16) -> bool {
            true
        }
        fn prefix(&self) -> &str {
            "/_doorward"
        }
    }
    let ask = async |ada: &mut Person<'_>, host: &str, sealed_for: &str, return_to: &str, began: Timestamp| {
        let attempt = HandoffAttempt::begin(&[5; 48], began);
        let return_to = ReturnTo::parse(return_to, &Prefix).unwrap();
        let sealed = HandoffRequest::of(&attempt, host, &return_to, &Asked::default()).seal(&keys(), sealed_for, [6; 12]);
        ada.go(&format!("https://auth.localhost/_doorward/login?handoff={sealed}")).await
    };
    let answer = ask(&mut ada, IOT, PUBLIC, "/devices", now()).await;
    assert!(answer.status == 303 && answer.location().starts_with("https://iot.localhost/_doorward/handoff?code="), "{answer:?}");
    for (name, host, sealed_for, return_to, why) in [
        ("a host of nobody's", "evil.localhost", PUBLIC, "/devices", "handoff_host"),
        ("one below ours", "x.iot.localhost", PUBLIC, "/devices", "handoff_host"),
        ("sealed for another", IOT, IOT, "/devices", "handoff_unreadable"),
        ("back to somebody else", IOT, PUBLIC, "https://evil.test/", "handoff_unreadable"),
    ] {
        let answer = ask(&mut ada, host, sealed_for, return_to, now()).await;
        assert_eq!((answer.status, answer.field("location"), reason(&scene).await.as_str()), (400, None, why), "{name}");
    }
    // One that nobody waits for any more begins anew where it came from: at a click, whichever page the click is on.
    for began in [now().minus(Duration::from_secs(601)), now().plus(Duration::from_secs(90))] {
        let answer = ask(&mut ada, IOT, PUBLIC, "/devices?a=b", began).await;
        let expected = "https://iot.localhost/_doorward/login?return_to=%2Fdevices%3Fa%3Db";
        assert_eq!((answer.status, answer.field("location"), reason(&scene).await.as_str()), (400, None, "handoff_expired"));
        assert!(answer.text().replace("&amp;", "&").replace("&#x2f;", "/").contains(expected), "{}", answer.text());
        let sealed = {
            let attempt = HandoffAttempt::begin(&[5; 48], began);
            let return_to = ReturnTo::parse("/devices?a=b", &Prefix).unwrap();
            HandoffRequest::of(&attempt, IOT, &return_to, &Asked::default()).seal(&keys(), PUBLIC, [6; 12])
        };
        let answer = ada.go(&format!("https://auth.localhost/_doorward/login?handoff={sealed}&provider=tenant")).await;
        assert_eq!((answer.status, answer.location()), (302, expected));
    }
    // An app's host is no public host, whatever is sealed for it.
    let answer = ada.browser(IOT).go("/_doorward/login?handoff=AAAA").await;
    assert_eq!((answer.status, reason(&scene).await.as_str()), (400, "handoff_not_here"));
}

#[tokio::test]
async fn handoff_03_the_public_host_has_our_own_pages_without_an_app() {
    let (idp, scene) = rig().await;
    let mut ada = Person::at(&scene);
    assert_eq!(ada.browser(PUBLIC).fetch("/_doorward/session").await.status, 401);
    assert_eq!(ada.browser(PUBLIC).go("/").await.status, 421, "and nothing else");
    let redirect = ada.go("https://auth.localhost/_doorward/login").await;
    let (way, answer) = ada.follow(&idp.grant(redirect.location(), &User::ada())).await;
    assert_eq!((answer.status, way.last().unwrap().as_str()), (200, "https://auth.localhost/_doorward/whoami"), "{way:#?}");
    assert!(answer.text().contains("ada@acme.dev"));
    // Where people sign in on each host there is nothing to hand over.
    let plain = Scene::with(Plan { routes: ROUTES.into(), ..Plan::oidc(idp.issuer()) }).await;
    assert_eq!(plain.browser(IOT).go("/_doorward/handoff?code=x").await.status, 404);
    assert!(plain.browser(IOT).go("/devices").await.location().starts_with(idp.issuer()));
    assert_eq!(plain.browser(PUBLIC).fetch("/_doorward/session").await.status, 421);
}

#[tokio::test]
async fn sess_40_signing_out_on_one_host_signs_out_on_all() {
    let idp = HostileIdp::start().await;
    for store in ["cookie", "memory"] {
        let usual = plan(&idp);
        let session = format!("  store: {store}\n{}", usual.session);
        let scene = Scene::with(Plan { session, ..usual }).await;
        let mut ada = Person::at(&scene);
        ada.sign_in(&idp, "https://cms.localhost/private", &User::ada()).await;
        let (_, answer) = ada.follow("https://iot.localhost/devices").await;
        assert_eq!(answer.status, 200, "{store}");
        let mut other = Person::at(&scene);
        other.sign_in(&idp, "https://iot.localhost/devices", &User::vera()).await;
        assert!(matches!(ada.browser(CMS).post("/_doorward/logout").await.status, 200 | 303), "{store}");
        assert!(!ada.cookies(CMS).contains(&SESSION), "{store}");
        let mut copies = [ada.on[IOT].clone(), ada.on[PUBLIC].clone()];
        for copy in &mut copies {
            assert!(copy.cookies.contains_key(SESSION), "{store}: the browser still holds it");
            assert_eq!(copy.fetch("/_doorward/session").await.status, 401, "{store}: {}", copy.host);
        }
        let (_, redirect) = ada.follow("https://iot.localhost/devices").await;
        assert!(redirect.location().starts_with(idp.issuer()), "{store}: the provider is asked again");
        assert_eq!(other.go("https://iot.localhost/devices").await.status, 200, "{store}: nobody else is");
    }
}

#[tokio::test]
async fn handoff_04_with_a_store_only_the_sessions_name_is_handed_over() {
    let idp = HostileIdp::start().await;
    let usual = plan(&idp);
    let scene = Scene::with(Plan { session: format!("  store: memory\n{}", usual.session), ..usual }).await;
    let mut ada = Person::at(&scene);
    ada.sign_in(&idp, "https://cms.localhost/private", &User::ada()).await;
    let code = ada.code("https://iot.localhost/devices").await;
    assert!(code.len() < 700, "{}", code.len());
    assert_eq!(ada.go(&code).await.status, 303);
    assert_eq!(ada.go("https://iot.localhost/devices").await.status, 200);
    assert_eq!(scene.app.last().one("x-auth-email"), Some("ada@acme.dev"));
    // A session that ended on the way is not handed over.
    let mut late = ada.clone();
    late.browser(IOT).cookies.remove(SESSION);
    let code = late.code("https://iot.localhost/devices").await;
    assert!(matches!(ada.browser(CMS).post("/_doorward/logout").await.status, 200 | 303));
    let answer = late.go(&code).await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert!(!late.cookies(IOT).contains(&SESSION));
}

#[tokio::test]
async fn handoff_08_a_long_way_back_and_a_failed_sign_in_are_not_forgotten() {
    let (idp, scene) = rig().await;
    let mut ada = Person::at(&scene);
    let long = format!("https://cms.localhost/private?q={}", "a".repeat(1990));
    let (_, redirect) = ada.follow(&long).await;
    let (way, page) = ada.follow(&idp.refuse(redirect.location(), "access_denied", "no")).await;
    assert_eq!((page.status, way.len()), (403, 1), "{}", page.text());
    let text = page.text().replace("&amp;", "&").replace("&#x2f;", "/");
    let link = text.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).find(|link| link.contains("/login?")).unwrap();
    let (_, redirect) = ada.follow(&format!("https://auth.localhost{link}")).await;
    let (way, answer) = ada.follow(&idp.grant(redirect.location(), &User::ada())).await;
    assert_eq!((answer.status, way.last().unwrap()), (200, &long));
}

#[tokio::test]
async fn unstuck_02_a_browser_that_loses_the_apps_cookie_does_not_go_round_for_ever() {
    let (idp, scene) = rig().await;
    let mut ada = Person::at(&scene);
    ada.sign_in(&idp, "https://cms.localhost/private", &User::ada()).await;
    let mut rounds = 0;
    let stopped = loop {
        ada.browser(IOT).cookies.remove(SESSION);
        let asked = ada.go("https://iot.localhost/devices").await;
        if asked.status != 302 {
            break asked;
        }
        let code = ada.go(asked.location()).await;
        assert_eq!(ada.go(code.location()).await.status, 303);
        rounds += 1;
        assert!(rounds < 10, "round in circles");
    };
    assert_eq!((rounds, reason(&scene).await.as_str()), (3, "login_loop"), "{}", stopped.text());
    assert!(ada.go("https://cms.localhost/private").await.status == 200, "only there");
}

#[tokio::test]
async fn handoff_05_another_account_is_asked_for_although_somebody_is_signed_in() {
    let (idp, scene) = rig().await;
    let mut person = Person::at(&scene);
    person.sign_in(&idp, "https://cms.localhost/private", &User::ada()).await;
    let (way, redirect) = person.follow("https://cms.localhost/_doorward/login?return_to=/private&prompt=select_account").await;
    assert_eq!((redirect.status, way.len()), (302, 2), "{way:#?}");
    assert_eq!(parameter(redirect.location(), "prompt"), "select_account");
    let (way, answer) = person.follow(&idp.grant(redirect.location(), &User::vera())).await;
    assert_eq!((answer.status, way.last().unwrap().as_str()), (200, "https://cms.localhost/private"), "{way:#?}");
    assert_eq!(person.session(CMS).claims["sub"], "auth0|vera");
    assert_eq!(idp.requests(Endpoint::Token), 2);
    // A request that asked for a new session is met by what came after it, and never by itself.
    let asked = person.go("https://cms.localhost/_doorward/login?return_to=/private&prompt=login").await.location().to_owned();
    assert_eq!(request(&asked).newness, Newness::New);
    for _ in 0..2 {
        assert!(person.go(&asked).await.location().starts_with(idp.issuer()));
    }
}

#[tokio::test]
async fn providers_06_on_the_public_host_people_choose_among_the_providers_of_their_app() {
    let (idp, second) = (HostileIdp::start().await, HostileIdp::start().await);
    let usual = plan(&idp);
    let more = format!(
        "  second:\n    kind: oidc\n    issuer: \"{}\"\n    client_id: doorward\n    client_secret: {{ file: hostile }}\n    insecure_http: true\n",
        second.issuer()
    );
    let routes = usual
        .routes
        .replace("name: cms, host: cms.localhost,", "name: cms, host: cms.localhost, provider: [second, tenant],")
        .replace("name: iot, host: iot.localhost,", "name: iot, host: iot.localhost, provider: tenant,");
    let scene = Scene::with(Plan { provider: usual.provider.clone() + &more, routes, ..usual }).await;
    let mut person = Person::at(&scene);
    let (way, page) = person.follow("https://cms.localhost/private?a=b").await;
    assert_eq!((page.status, reason(&scene).await.as_str(), way.len()), (200, "choose_provider", 2), "{}", page.text());
    assert!(person.cookies(PUBLIC).is_empty(), "nothing has begun there");
    let text = page.text().replace("&amp;", "&").replace("&#x2f;", "/");
    let links: Vec<&str> =
        text.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).filter(|link| link.contains("provider=")).collect();
    assert!(links.len() == 2 && links[0].ends_with("provider=second") && links[1].ends_with("provider=tenant"), "{links:?}");
    let redirect = person.go(&format!("https://auth.localhost{}", links[0])).await;
    assert_eq!(parameter(redirect.location(), "redirect_uri"), "https://auth.localhost/_doorward/callback/second");
    let (way, answer) = person.follow(&second.grant(redirect.location(), &User::ada())).await;
    assert_eq!((answer.status, way.last().unwrap().as_str()), (200, "https://cms.localhost/private?a=b"), "{way:#?}");
    // SESS-33: that session is none of the other app's, and the other's does not end it here.
    let (_, redirect) = person.follow("https://iot.localhost/devices").await;
    assert!(redirect.location().starts_with(idp.issuer()), "{}", redirect.location());
    let (_, answer) = person.follow(&idp.grant(redirect.location(), &User::ada())).await;
    assert_eq!((answer.status, person.go("https://cms.localhost/private").await.status), (200, 200));
    // A provider that is named is one of that app's.
    for (query, status) in [("provider=second", 404), ("provider=tenant", 302), ("provider=evil", 404)] {
        let answer = person.go(&format!("https://iot.localhost/_doorward/login?return_to=/x&{query}")).await;
        assert_eq!(answer.status, status, "{query}");
        let asked = Person::at(&scene).go("https://iot.localhost/devices").await.location().to_owned();
        let answer = Person::at(&scene).go(&format!("{asked}&{query}")).await;
        assert_eq!(answer.status, status, "{query} on the public host");
    }
    // Nor is a session handed over that is not: sealed by hand, it is refused where it arrives.
    let foreign = person.session(CMS);
    assert_eq!(&*foreign.provider, "second");
    for (session, status) in [(foreign, 502), (person.session(IOT), 303)] {
        let mut other = Person::at(&scene);
        let asked = other.go("https://iot.localhost/devices").await.location().to_owned();
        let code = HandoffCode::answer(&request(&asked), Handed::Session(Box::new(session)), now()).seal(&keys(), IOT, [7; 12]);
        let answer = other.go(&format!("https://iot.localhost/_doorward/handoff?code={code}")).await;
        assert_eq!((answer.status, other.cookies(IOT).contains(&SESSION)), (status, status == 303), "{}", answer.text());
    }
}

#[tokio::test]
async fn stepup_10_a_stronger_sign_in_is_asked_for_on_the_public_host() {
    let (idp, scene) = rig().await;
    let mut ada = Person::at(&scene);
    ada.sign_in(&idp, "https://cms.localhost/private", &User::ada()).await;
    let (_, redirect) = ada.follow("https://cms.localhost/pay/now").await;
    assert_eq!(redirect.status, 302, "{}", redirect.text());
    assert_eq!(parameter(redirect.location(), "acr_values"), "gold");
    idp.next_id_token(|token| token.claims["acr"] = json!("gold"));
    let (way, answer) = ada.follow(&idp.grant(redirect.location(), &User::ada())).await;
    assert_eq!((answer.status, way.last().unwrap().as_str()), (200, "https://cms.localhost/pay/now"), "{way:#?} {}", answer.text());
    // The stronger session is good for weaker demands elsewhere too.
    let (_, answer) = ada.follow("https://iot.localhost/devices").await;
    assert_eq!((answer.status, idp.requests(Endpoint::Token)), (200, 2));
}

#[tokio::test]
async fn handoff_06_behind_another_proxy_the_browser_goes_the_same_way() {
    let idp = HostileIdp::start().await;
    let usual = plan(&idp);
    let routes = usual.routes.replace("upstream: \"UPSTREAM\", ", "");
    let scene = Scene::with(Plan { server: format!("{HOOKS}{PUBLIC_URL}"), routes, ..usual }).await;
    let asker = Asker::of(&scene);
    let mut jars: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut visit = async |address: &str| {
        let host = url::Url::parse(address).unwrap().host_str().unwrap().to_owned();
        let jar = jars.entry(host.clone()).or_default();
        let cookies = jar.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        let mut fields = vec![("host", host.as_str()), ("x-forwarded-proto", "https"), ("x-forwarded-for", "192.0.2.7")];
        fields.extend([("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document"), ("accept", "text/html")]);
        if !cookies.is_empty() {
            fields.push(("cookie", &cookies));
        }
        let answer = asker.request("GET", &path_of(address), &fields).await;
        jar.extend(answer.cookies().into_iter().filter(|(_, value)| !value.is_empty()));
        (answer, jar.get(SESSION).cloned())
    };
    for kind in [Kind::Traefik, Kind::Caddy] {
        let check = asker.ask(kind, &Request::visit(CMS, "/private?a=b")).await;
        assert!(check.location().starts_with("https://cms.localhost/_doorward/login?"), "{}", check.location());
        assert_eq!(check.all("set-cookie").len(), 0);
    }
    let login = visit("https://cms.localhost/_doorward/login?return_to=/private%3Fa%3Db").await.0;
    assert!(login.location().starts_with("https://auth.localhost/_doorward/login?handoff="), "{}", login.location());
    let provider = visit(login.location()).await.0;
    let callback = visit(&idp.grant(provider.location(), &User::ada())).await.0;
    assert_eq!(callback.status, 303, "{}", callback.text());
    let code = visit(&format!("https://auth.localhost{}", callback.location())).await.0;
    let (back, session) = visit(code.location()).await;
    assert_eq!((back.status, back.location()), (303, "/private?a=b"), "{}", back.text());
    let cookie = format!("{SESSION}={}", session.unwrap());
    for kind in Kind::ALL {
        assert_eq!(asker.ask(kind, &Request::get(CMS, "/private").with("cookie", &cookie)).await.status, 200, "{kind:?}");
        assert_ne!(asker.ask(kind, &Request::get(IOT, "/devices").with("cookie", &cookie)).await.status, 200, "{kind:?}");
    }
    // A check on the public host is about no app.
    assert_ne!(asker.ask(Kind::Traefik, &Request::get(PUBLIC, "/").with("cookie", &cookie)).await.status, 200);
}
