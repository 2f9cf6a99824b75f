//! What comes from browsers and providers while somebody signs in or out, in random: nothing panics, and nothing counts that was
//! not sealed here, for this.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::secret::Secret;
use crate::session::{NONCE_LENGTH, Origin, Owner, SealingKeys, Session, Ticket};
use crate::time::Timestamp;
use crate::token::TokenFault;

const NOW: Timestamp = Timestamp(1_800_000_000);
const HOST: &str = "app.example";

fn keys(seed: u8) -> SealingKeys {
    SealingKeys::new(&[Secret::new((0..32u8).map(|at| at.wrapping_mul(7).wrapping_add(seed)).collect())]).unwrap()
}

fn session() -> Session {
    let claims = json!({ "iss": "https://idp/", "sub": "ada" });
    let origin = Origin { id: "i", provider: "p", client_id: "c" };
    Session::begin(origin, claims.as_object().unwrap(), &["iss".into(), "sub".into()], NOW)
}

/// One bit, one byte more, one less: anything but the same.
fn damaged(sealed: &[u8], at: prop::sample::Index, by: u8) -> Vec<u8> {
    let mut bytes = sealed.to_vec();
    let at = at.index(bytes.len() + 1);
    match bytes.get_mut(at) {
        Some(byte) if by != 0 => *byte ^= by,
        Some(_) => drop(bytes.remove(at)),
        None => bytes.push(by),
    }
    bytes
}

/// A claim as a provider's logout token could have it, or could not.
fn claim() -> impl Strategy<Value = Value> {
    prop_oneof![
        prop::sample::select(vec![
            json!(null),
            json!(""),
            json!("ada"),
            json!("https://idp/"),
            json!("us"),
            json!(["us", "x"]),
            json!([]),
            json!(0),
            json!(NOW.0),
            json!(NOW.0 - 100_000),
            json!(i64::MAX),
            json!(i64::MIN),
            json!(1e300),
            json!(-1.5),
            json!({}),
            json!({ "http://schemas.openid.net/event/backchannel-logout": {} }),
            json!({ "http://schemas.openid.net/event/backchannel-logout": [] }),
            json!(true),
            json!("x".repeat(2000)),
        ]),
        any::<String>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
    ]
}

fn parameters() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        prop::sample::select(vec![
            "state=s",
            "code=c",
            "error=access_denied",
            "iss=https%3A%2F%2Fidp%2F",
            "id_token=x",
            "access_token",
            "code=",
            "state=%00",
            "code=%zz",
            "%",
            "&",
            "=",
            "&&",
            "error_description=%f0%28",
            "code=a%0d%0a",
            "session_state=1",
            "scope=a+b",
            "state=s;code=c",
        ])
        .prop_map(str::to_owned),
        any::<String>(),
    ];
    prop::collection::vec(part, 0..6).prop_map(|parts| parts.join("&"))
}

proptest! {
    #[test]
    fn fuzz_a_callback_is_an_answer_or_a_fault(query in parameters()) {
        let Ok(callback) = Callback::parse(&query) else { return Ok(()) };
        prop_assert!(!callback.state().is_empty());
        let pairs = parse_parameters(&query).unwrap();
        for name in ["state", "code", "error", "iss"] {
            prop_assert!(pairs.iter().filter(|(known, _)| known == name).count() <= 1, "{}", query);
        }
        if let Callback::Code { code, .. } = &callback {
            prop_assert!(!code.is_empty() && code.bytes().all(|b| (0x20..=0x7e).contains(&b)));
        }
    }

    #[test]
    fn fuzz_a_logout_token_names_somebody_or_is_refused(changes in prop::collection::vec((prop::sample::select(vec!["iss", "aud", "iat", "exp", "nbf", "jti", "sub", "sid", "events", "nonce"]), claim()), 0..5)) {
        let expected = LogoutExpectation { issuer: "https://idp/", client_id: "us" };
        let mut claims: Map<String, Value> = json!({
            "iss": "https://idp/", "aud": "us", "iat": NOW.0 - 2, "exp": NOW.0 + 120, "jti": "j1", "sid": "s1",
            "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
        }).as_object().unwrap().clone();
        claims.extend(changes.into_iter().map(|(name, value)| (name.to_owned(), value)));
        match LogoutToken::check(&claims, &expected, NOW) {
            Ok(token) => {
                prop_assert!(!claims.contains_key("nonce") && !token.id.is_empty());
                let (LogoutTarget::ProviderSession(name) | LogoutTarget::Subject(name)) = &token.target;
                prop_assert!(!name.is_empty());
                prop_assert_eq!(claims["iss"].as_str(), Some("https://idp/"));
            }
            Err(fault) => prop_assert_ne!(fault, TokenFault::Signature),
        }
    }

    #[test]
    fn fuzz_what_was_not_sealed_here_opens_nowhere(bytes in prop::collection::vec(any::<u8>(), 0..300), text in "[A-Za-z0-9_-]{0,400}") {
        let keys = keys(3);
        let owner = Owner::of(&session());
        for sealed in [bytes.as_slice(), text.as_bytes()] {
            prop_assert!(KeptForm::open(sealed, &keys, "one", HOST, &owner, NOW).is_none());
            prop_assert!(HandoffAttempt::open("id", sealed, &keys, HOST).is_none());
            prop_assert!(Ticket::open(sealed, &keys, HOST).is_err());
            let text = String::from_utf8_lossy(sealed);
            prop_assert!(HandoffCode::open(&text, &keys, HOST).is_err());
            prop_assert!(HandoffRequest::open(&text, &keys, HOST).is_err());
            prop_assert!(State::open(&text, &keys, HOST, "p").is_err());
            prop_assert!(LogoutState::open(&text, &keys, HOST, NOW).is_none());
            prop_assert!(!Rounds::open(Some(sealed), &keys, HOST).is_loop(NOW));
        }
    }

    #[test]
    fn fuzz_a_kept_form_opens_whole_or_not_at_all(content in any::<String>(), at in any::<prop::sample::Index>(), by in any::<u8>(), nonce in any::<[u8; NONCE_LENGTH]>()) {
        let keys = keys(3);
        let owner = Owner::of(&session());
        let form = KeptForm { owner: owner.clone(), path_and_query: "/x".into(), content: content.into(), kept: NOW };
        let sealed = form.seal(&keys, "one", HOST, nonce);
        prop_assert_eq!(KeptForm::open(&sealed, &keys, "one", HOST, &owner, NOW), Some(form));
        prop_assert!(KeptForm::open(&damaged(&sealed, at, by), &keys, "one", HOST, &owner, NOW).is_none());
    }

    #[test]
    fn fuzz_a_handoff_code_opens_whole_and_for_its_attempt_or_not_at_all(
        entropy in prop::collection::vec(any::<u8>(), 48),
        other in prop::collection::vec(any::<u8>(), 48),
        at in any::<prop::sample::Index>(),
        by in any::<u8>(),
        nonce in any::<[u8; NONCE_LENGTH]>(),
    ) {
        prop_assume!(entropy != other);
        let keys = keys(3);
        let attempt = HandoffAttempt::begin(entropy.as_slice().try_into().unwrap(), NOW);
        let request = HandoffRequest::of(&attempt, HOST, &ReturnTo::root(), &Asked::default());
        let code = HandoffCode::answer(&request, Handed::Session(Box::new(session())), NOW);
        let sealed = code.seal(&keys, HOST, nonce);
        let opened = HandoffCode::open(&sealed, &keys, HOST).unwrap();
        prop_assert_eq!(&opened, &code);
        let cookie = attempt.seal(&keys, HOST, nonce);
        prop_assert!(opened.redeem(Some(cookie.as_bytes()), &keys, HOST, NOW).is_ok());
        // Another browser's secret, a damaged cookie, none, another host, a damaged code.
        let strange = HandoffAttempt::begin(other.as_slice().try_into().unwrap(), NOW).seal(&keys, HOST, nonce);
        let broken = damaged(cookie.as_bytes(), at, by);
        for cookie in [Some(strange.as_bytes()), Some(broken.as_slice()), None] {
            prop_assert!(opened.redeem(cookie, &keys, HOST, NOW).is_err());
        }
        prop_assert!(opened.redeem(Some(cookie.as_bytes()), &keys, "other.example", NOW).is_err());
        prop_assert!(HandoffCode::open(&sealed, &keys, "other.example").is_err());
        let damaged = damaged(sealed.as_bytes(), at, by);
        prop_assert!(HandoffCode::open(&String::from_utf8_lossy(&damaged), &keys, HOST).is_err());
    }
}
