use std::collections::BTreeMap;

use url::Url;

use super::*;
use crate::access::StepUp;
use crate::secret::Secret;
use crate::session::SealingKeys;
use crate::time::Timestamp;

const HOST: &str = "app.example.com";
const NOW: Timestamp = Timestamp(1_800_000_000);

fn keys() -> SealingKeys {
    SealingKeys::new(&[Secret::new((0..32u8).map(|i| i.wrapping_mul(37).wrapping_add(5)).collect())]).unwrap()
}

fn entropy(seed: u8) -> AttemptEntropy {
    std::array::from_fn(|at| seed.wrapping_add(u8::try_from(at).unwrap_or(0)))
}

fn attempt(seed: u8) -> Attempt {
    Attempt::begin("auth0", "https://app.example.com/_doorward/callback/auth0", &entropy(seed), NOW)
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

fn state(attempt: &Attempt) -> State {
    State::of(attempt, &ReturnTo::parse("/x?y=1", &Nowhere).unwrap(), 0)
}

#[test]
fn oidc_03_an_attempt_comes_back_to_the_browser_that_began_it() {
    let (keys, attempt) = (keys(), attempt(1));
    let sealed = attempt.seal(&keys, HOST, [1; 12]);
    let state = state(&attempt).seal(&keys, HOST, [2; 12]);
    let opened = State::open(&state, &keys, HOST, "auth0").unwrap();
    assert_eq!(&*opened.return_to, "/x?y=1");
    let resumed = Attempt::resume(&opened, Some(sealed.as_bytes()), &keys, HOST, NOW).unwrap();
    assert_eq!((resumed.nonce, resumed.verifier), (attempt.nonce, attempt.verifier));
}

#[test]
fn oidc_01_a_state_of_another_browser_host_or_provider_is_none() {
    let keys = keys();
    let (mine, theirs) = (attempt(1), attempt(99));
    let my_cookie = mine.seal(&keys, HOST, [1; 12]);
    let their_state = state(&theirs);
    // The attacker's state, the victim's cookie.
    assert_eq!(Attempt::resume(&their_state, Some(my_cookie.as_bytes()), &keys, HOST, NOW).err(), Some(AttemptFault::Foreign));
    assert_eq!(Attempt::resume(&their_state, None, &keys, HOST, NOW).err(), Some(AttemptFault::Lost));
    let sealed = their_state.seal(&keys, HOST, [2; 12]);
    assert_eq!(State::open(&sealed, &keys, "other.example.com", "auth0"), Err(AttemptFault::State));
    assert_eq!(State::open(&sealed, &keys, HOST, "other"), Err(AttemptFault::State));
    assert_eq!(State::open(&sealed[1..], &keys, HOST, "auth0"), Err(AttemptFault::State));
    assert_eq!(State::open("", &keys, HOST, "auth0"), Err(AttemptFault::State));
    assert!(State::open(&sealed, &keys, HOST, "auth0").is_ok());
    // An attempt cookie is no state, and the other way round.
    assert_eq!(State::open(&my_cookie, &keys, HOST, "auth0"), Err(AttemptFault::State));
    assert_eq!(Attempt::resume(&state(&mine), Some(sealed.as_bytes()), &keys, HOST, NOW).err(), Some(AttemptFault::Foreign));
}

#[test]
fn adv_o2p_16_an_attempt_ends_after_its_own_ten_minutes() {
    let (keys, attempt) = (keys(), attempt(1));
    let sealed = attempt.seal(&keys, HOST, [1; 12]);
    let resume = |now| Attempt::resume(&state(&attempt), Some(sealed.as_bytes()), &keys, HOST, now).err();
    assert_eq!(resume(NOW.plus(ATTEMPT_LIFETIME - std::time::Duration::from_secs(1))), None);
    assert_eq!(resume(NOW.plus(ATTEMPT_LIFETIME)), Some(AttemptFault::Expired));
    assert_eq!(resume(NOW.minus(std::time::Duration::from_secs(61))), Some(AttemptFault::Expired));
}

#[test]
fn oidc_05_the_challenge_is_s256_of_a_verifier_of_43_characters() {
    let attempt = attempt(1);
    assert_eq!(attempt.verifier.len(), 43);
    // RFC 7636, appendix B.
    let known = Attempt { verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".into(), ..attempt };
    assert_eq!(known.code_challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
}

#[test]
fn param_06_every_parameter_of_the_request_comes_once() {
    let extra = BTreeMap::from([
        ("ui_locales".to_owned(), "en".to_owned()),
        ("state".to_owned(), "evil".to_owned()),
        ("client_id".to_owned(), "evil".to_owned()),
    ]);
    let request = AuthorizationRequest {
        client_id: "me",
        scope: "openid",
        audience: Some("https://api/"),
        organization: None,
        connection: Some("google"),
        extra: &extra,
        response_mode: None,
        asked: &Asked::default(),
    };
    let endpoint = Url::parse("https://idp.example/authorize?tenant=1&nonce=evil").unwrap();
    let attempt = attempt(1);
    let url = request.url(&endpoint, &attempt, "sealed&redirect_uri=https://evil.test");
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let names: std::collections::BTreeSet<&str> = pairs.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.len(), pairs.len(), "{url}");
    let value = |name: &str| pairs.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str());
    assert_eq!(value("state"), Some("sealed&redirect_uri=https://evil.test"));
    assert_eq!(value("client_id"), Some("me"));
    assert_eq!(value("nonce"), Some(&*attempt.nonce));
    assert_eq!(value("tenant"), Some("1"));
    assert_eq!(value("ui_locales"), Some("en"));
    assert_eq!(value("code_challenge_method"), Some("S256"));
    assert_eq!(value("response_type"), Some("code"));
    assert_eq!(value("connection"), Some("google"));
    assert_eq!(value("organization"), None);
    assert_eq!(value("redirect_uri"), Some("https://app.example.com/_doorward/callback/auth0"));
}

#[test]
fn log_01_an_attempt_does_not_print_its_secrets() {
    let attempt = attempt(1);
    let printed = format!("{attempt:?}");
    assert!(!printed.contains(&*attempt.verifier) && !printed.contains(&*attempt.nonce), "{printed}");
}

#[test]
fn oidc_18_a_wish_fills_what_is_open_and_a_demand_stands() {
    let wishes = |pairs: &[(&str, &str)]| {
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Wishes::read(&pairs).unwrap()
    };
    let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let extra = BTreeMap::from([own("prompt", "none"), own("ui_locales", "en"), own("max_age", "9")]);
    let step_up = StepUp { max_age: Some(std::time::Duration::from_secs(300)), acr_values: vec!["a".into(), "b".into()] };
    let wished = wishes(&[("organization", "org_2"), ("connection", "github"), ("ui_locales", "fr"), ("login_hint", "a&state=evil")]);
    let request = AuthorizationRequest {
        client_id: "me",
        scope: "openid",
        audience: None,
        organization: Some("org_1"),
        connection: None,
        extra: &extra,
        response_mode: Some("form_post"),
        asked: &Asked { wishes: wished, step_up: Some(step_up) },
    };
    let url = request.url(&Url::parse("https://idp.example/authorize?prompt=none&acr_values=weak").unwrap(), &attempt(1), "sealed");
    let all = |name: &str| url.query_pairs().filter(|(own, _)| own == name).map(|(_, value)| value.into_owned()).collect::<Vec<_>>();
    for (name, value) in [
        ("organization", Some("org_1")),
        ("connection", Some("github")),
        ("ui_locales", Some("en")),
        ("login_hint", Some("a&state=evil")),
        ("state", Some("sealed")),
        ("response_mode", Some("form_post")),
        ("max_age", Some("300")),
        ("acr_values", Some("a b")),
        ("prompt", None),
    ] {
        assert_eq!(all(name), value.into_iter().collect::<Vec<_>>(), "{name}");
    }
}
