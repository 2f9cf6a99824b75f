use super::*;
use crate::access::StepUp;
use crate::login::{Places, Wishes};
use crate::secret::Secret;
use crate::session::Origin;

const APP: &str = "app.example.com";
const NOW: Timestamp = Timestamp(1_800_000_000);
const PUBLIC: &str = "auth.example.com";

fn keys() -> SealingKeys {
    SealingKeys::new(&[Secret::new((0..32u8).map(|i| i.wrapping_mul(37).wrapping_add(5)).collect())]).unwrap()
}

struct Nowhere;

impl Places for Nowhere {
    fn holds(&self, _: &str, _: u16) -> bool {
        false
    }

    fn prefix(&self) -> &str {
        "/_doorward"
    }
}

fn session() -> Session {
    let claims = serde_json::json!({ "iss": "https://idp/", "sub": "ada", "iat": NOW.0 });
    let origin = Origin { id: "one", provider: "p", client_id: "c" };
    Session::begin(origin, claims.as_object().unwrap(), &["iss".into(), "sub".into()], NOW)
}

struct Way {
    cookie: String,
    request: HandoffRequest,
}

fn way(seed: u8) -> Way {
    let entropy: HandoffEntropy = std::array::from_fn(|at| seed.wrapping_add(u8::try_from(at).unwrap()));
    let attempt = HandoffAttempt::begin(&entropy, NOW);
    let return_to = ReturnTo::parse("/x?y=1", &Nowhere).unwrap();
    Way { cookie: attempt.seal(&keys(), APP, [1; 12]), request: HandoffRequest::of(&attempt, APP, &return_to, &Asked::default()) }
}

fn code(way: &Way) -> HandoffCode {
    HandoffCode::answer(&way.request, Handed::Session(Box::new(session())), NOW)
}

fn redeem(code: HandoffCode, cookie: Option<&str>, host: &str, now: Timestamp) -> Result<Handed, AttemptFault> {
    code.redeem(cookie.map(str::as_bytes), &keys(), host, now)
}

#[test]
fn a_session_is_handed_to_the_browser_that_asked() {
    let (keys, way) = (keys(), way(1));
    let asked = HandoffRequest::open(&way.request.seal(&keys, PUBLIC, [2; 12]), &keys, PUBLIC).unwrap();
    assert_eq!((&*asked.host, &*asked.return_to), (APP, "/x?y=1"));
    for handed in [Handed::Session(Box::new(session())), Handed::Ticket(Ticket::of(&session()))] {
        let sealed = HandoffCode::answer(&asked, handed.clone(), NOW).seal(&keys, APP, [3; 12]);
        let came = HandoffCode::open(&sealed, &keys, APP).unwrap();
        assert_eq!(&*came.return_to, "/x?y=1");
        assert_eq!(redeem(came, Some(&way.cookie), APP, NOW), Ok(handed));
    }
}

#[test]
fn oidc_01_a_code_is_nothing_in_another_browser() {
    let (mine, theirs) = (way(1), way(99));
    assert_eq!(redeem(code(&theirs), Some(&mine.cookie), APP, NOW), Err(AttemptFault::Foreign));
    assert_eq!(redeem(code(&theirs), None, APP, NOW), Err(AttemptFault::Lost));
    // The right name with another secret.
    let mut forged = code(&mine);
    forged.proof = theirs.request.proof.clone();
    assert_eq!(redeem(forged, Some(&mine.cookie), APP, NOW), Err(AttemptFault::Foreign));
    assert!(redeem(code(&mine), Some(&mine.cookie), APP, NOW).is_ok());
}

#[test]
fn adv_o2p_16_a_code_ends_after_half_a_minute_and_with_its_attempt() {
    let way = way(1);
    let after = |seconds| redeem(code(&way), Some(&way.cookie), APP, NOW.plus(Duration::from_secs(seconds))).err();
    assert_eq!((after(0), after(30), after(31)), (None, None, Some(AttemptFault::Expired)));
    assert_eq!(redeem(code(&way), Some(&way.cookie), APP, NOW.minus(Duration::from_secs(61))).err(), Some(AttemptFault::Expired));
    let late = NOW.plus(ATTEMPT_LIFETIME);
    let fresh = HandoffCode { issued: late, ..code(&way) };
    assert_eq!(redeem(fresh, Some(&way.cookie), APP, late).err(), Some(AttemptFault::Expired));
    let request = way.request;
    assert!(
        !request.is_over(late.minus(Duration::from_secs(1)))
            && request.is_over(late)
            && request.is_over(NOW.minus(Duration::from_secs(61)))
    );
}

#[test]
fn sess_32_what_is_sealed_for_one_step_or_host_is_nothing_at_another() {
    let (keys, way) = (keys(), way(1));
    let request = way.request.seal(&keys, PUBLIC, [2; 12]);
    let answer = code(&way).seal(&keys, APP, [3; 12]);
    assert!(HandoffRequest::open(&request, &keys, PUBLIC).is_ok() && HandoffCode::open(&answer, &keys, APP).is_ok());
    for (what, host) in [(&*request, APP), (&*answer, PUBLIC), (&*way.cookie, PUBLIC), (&request[1..], PUBLIC), ("", PUBLIC)] {
        assert_eq!(HandoffRequest::open(what, &keys, host), Err(AttemptFault::State), "{host}");
    }
    for (what, host) in [(&*request, PUBLIC), (&*request, APP), (&*answer, "other.example"), (&*way.cookie, APP), (&answer[..40], APP)] {
        assert_eq!(HandoffCode::open(what, &keys, host), Err(AttemptFault::State), "{host}");
    }
    // The cookie of an attempt at a provider, under the name of this one.
    let plain = serde_json::to_vec(&serde_json::json!({ "i": way.request.attempt, "s": "x", "t": NOW.0 })).unwrap();
    let name = format!("{ATTEMPT_COOKIE}{}", way.request.attempt);
    let attempt = keys.seal(Purpose::Attempt, &name, APP, [4; 12], plain);
    assert_eq!(redeem(code(&way), Some(&attempt), APP, NOW), Err(AttemptFault::Foreign));
    // And this one on another host.
    assert_eq!(redeem(code(&way), Some(&way.cookie), "other.example", NOW), Err(AttemptFault::Foreign));
}

#[test]
fn a_request_for_a_new_sign_in_is_met_by_one_that_came_after_it() {
    let mut request = way(1).request;
    let old = session();
    let later = NOW.plus(Duration::from_secs(5));
    let mut new = session();
    new.began = later;
    assert!(request.takes(&old, later));
    request.newness = Newness::New;
    assert!(!request.takes(&old, later) && !request.takes(&new, later));
    let sent = request.sent_to_sign_in(later);
    assert!(!sent.takes(&old, later) && sent.takes(&new, later));
    // Sending once more asks for nothing newer.
    assert_eq!(sent.clone().sent_to_sign_in(NOW.plus(Duration::from_secs(50))), sent);
}

#[test]
fn stepup_01_a_request_for_a_recent_sign_in_is_not_met_by_an_older_one() {
    let mut request = way(1).request;
    request.asked.step_up = Some(StepUp { max_age: Some(Duration::from_secs(300)), ..StepUp::default() });
    let signed_in = |ago: i64| {
        let mut session = session();
        session.claims.insert("auth_time".into(), (NOW.0 - ago).into());
        session
    };
    assert!(request.takes(&signed_in(100), NOW));
    assert!(!request.takes(&signed_in(1000), NOW) && !request.takes(&session(), NOW));
}

#[test]
fn wishes_survive_the_way_and_those_that_mean_somebody_else_ask_for_a_new_sign_in() {
    let request = |name: &str, value: &str| {
        let wishes = Wishes::read(&[(name.to_owned(), value.to_owned())]).unwrap();
        let asked = Asked { wishes, step_up: None };
        let return_to = ReturnTo::parse("/x", &Nowhere).unwrap();
        let request = HandoffRequest::of(&HandoffAttempt::begin(&[7; 48], NOW), APP, &return_to, &asked);
        let opened = HandoffRequest::open(&request.seal(&keys(), PUBLIC, [2; 12]), &keys(), PUBLIC).unwrap();
        assert_eq!((&opened.asked, &opened), (&asked, &request));
        opened.newness
    };
    assert_eq!(request("login_hint", "ada@acme.dev"), Newness::Any);
    assert_eq!(request("ui_locales", "de"), Newness::Any);
    for (name, value) in [("prompt", "select_account"), ("organization", "org_1"), ("invitation", "x")] {
        assert_eq!(request(name, value), Newness::New, "{name}");
    }
}

#[test]
fn only_what_this_browser_may_have_begun_begins_again_and_only_once() {
    let mut code = code(&way(1));
    assert!(code.may_restart(AttemptFault::Lost) && code.may_restart(AttemptFault::Expired));
    assert!([AttemptFault::Reused, AttemptFault::Foreign, AttemptFault::State].iter().all(|fault| !code.may_restart(*fault)));
    code.retries = 1;
    assert!(!code.may_restart(AttemptFault::Lost) && !code.may_restart(AttemptFault::Expired));
}

#[test]
fn log_01_a_hand_off_does_not_print_its_secret() {
    let attempt = HandoffAttempt::begin(&[7; 48], NOW);
    let printed = format!("{attempt:?}");
    assert!(!printed.contains(&*attempt.secret) && printed.contains(&*attempt.id), "{printed}");
}
