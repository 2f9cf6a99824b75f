use serde_json::json;

use super::*;
use crate::secret::Secret;

const HOST: &str = "app.example.com";
const LIMITS: Limits = Limits { idle: Duration::from_secs(3600), lifetime: Duration::from_secs(43200) };
const NOW: Timestamp = Timestamp(1_800_000_000);

fn key(seed: u8) -> Secret<Vec<u8>> {
    Secret::new((0..32u8).map(|i| i.wrapping_mul(37).wrapping_add(seed)).collect())
}

fn ring(seeds: &[u8]) -> SealingKeys {
    SealingKeys::new(&seeds.iter().map(|seed| key(*seed)).collect::<Vec<_>>()).unwrap()
}

fn session() -> Session {
    let claims = json!({"iss": "https://idp/", "sub": "auth0|1", "iat": 1_799_999_999, "sid": "s1", "secret": "not kept", "roles": ["a"]});
    let kept = ["iss", "sub", "roles"].map(Box::from);
    Session::begin(Origin { id: "id", provider: "auth0", client_id: "c" }, claims.as_object().unwrap(), &kept, NOW)
}

fn open_at(sealed: &str, now: Timestamp) -> Result<Session, SessionFault> {
    Session::open(sealed.as_bytes(), &ring(&[1]), HOST, LIMITS, now)
}

#[test]
fn a_session_keeps_only_the_claims_it_needs() {
    let session = session();
    assert_eq!(session.claims.keys().collect::<Vec<_>>(), ["iss", "roles", "sub"]);
    assert_eq!(session.provider_session.as_deref(), Some("s1"));
    assert_eq!(session.issued, Timestamp(1_799_999_999));
    let sealed = session.seal(&ring(&[1]), HOST, [7; 12]).unwrap();
    assert_eq!(open_at(&sealed, NOW), Ok(session));
}

#[test]
fn sess_10_limits_are_inside_and_the_client_cannot_extend_them() {
    let sealed = session().seal(&ring(&[1]), HOST, [7; 12]).unwrap();
    assert!(open_at(&sealed, NOW.plus(LIMITS.idle - Duration::from_secs(1))).is_ok());
    assert_eq!(open_at(&sealed, NOW.plus(LIMITS.idle)), Err(SessionFault::Expired));
    let busy = session().renewed(NOW.plus(LIMITS.lifetime - Duration::from_secs(5))).seal(&ring(&[1]), HOST, [8; 12]).unwrap();
    assert!(open_at(&busy, NOW.plus(LIMITS.lifetime - Duration::from_secs(1))).is_ok());
    assert_eq!(open_at(&busy, NOW.plus(LIMITS.lifetime)), Err(SessionFault::Expired));
}

#[test]
fn sess_11_a_session_from_the_future_is_none() {
    let sealed = session().seal(&ring(&[1]), HOST, [7; 12]).unwrap();
    assert!(open_at(&sealed, NOW.minus(Duration::from_secs(59))).is_ok());
    assert_eq!(open_at(&sealed, NOW.minus(Duration::from_secs(61))), Err(SessionFault::Expired));
}

#[test]
fn sess_31_every_changed_byte_and_every_length_is_refused() {
    let keys = ring(&[1]);
    let sealed = session().seal(&keys, HOST, [7; 12]).unwrap();
    for at in 0..sealed.len() {
        for bit in [1u8, 2, 4, 32] {
            let mut changed = sealed.clone().into_bytes();
            changed[at] ^= bit;
            assert!(keys.open(Purpose::Session, COOKIE, HOST, &changed).is_none(), "byte {at}");
        }
        assert!(keys.open(Purpose::Session, COOKIE, HOST, &sealed.as_bytes()[..at]).is_none(), "length {at}");
    }
    assert!(keys.open(Purpose::Session, COOKIE, HOST, format!("{sealed}A").as_bytes()).is_none());
    assert!(keys.open(Purpose::Session, COOKIE, HOST, sealed.as_bytes()).is_some());
}

#[test]
fn sess_32_a_value_counts_only_where_it_was_made_for() {
    let keys = ring(&[1]);
    let sealed = keys.seal(Purpose::Session, COOKIE, HOST, [7; 12], b"x".to_vec());
    let open = |purpose, name, host| keys.open(purpose, name, host, sealed.as_bytes());
    assert!(open(Purpose::Session, COOKIE, HOST).is_some());
    assert!(open(Purpose::State, COOKIE, HOST).is_none());
    assert!(open(Purpose::Attempt, COOKIE, HOST).is_none());
    assert!(open(Purpose::Session, "__Host-doorwar", HOST).is_none());
    assert!(open(Purpose::Session, COOKIE, "other.example.com").is_none());
    // Bytes moved from one field to its neighbour.
    assert!(open(Purpose::Session, "__Host-doorwarda", "pp.example.com").is_none());
}

#[test]
fn sess_33_a_session_of_another_provider_or_client_is_none_here() {
    let session = session();
    assert_eq!(session.belongs_to("auth0", "c", "https://idp/"), Ok(()));
    assert_eq!(session.belongs_to("other", "c", "https://idp/"), Err(SessionFault::OtherProvider));
    assert_eq!(session.belongs_to("auth0", "d", "https://idp/"), Err(SessionFault::OtherProvider));
    assert_eq!(session.belongs_to("auth0", "c", "https://idp"), Err(SessionFault::OtherProvider));
}

#[test]
fn sess_35_old_keys_open_new_keys_seal_and_removed_keys_do_neither() {
    let old = ring(&[1]).seal(Purpose::Session, COOKIE, HOST, [7; 12], b"x".to_vec());
    let rotated = ring(&[2, 1]);
    assert!(rotated.open(Purpose::Session, COOKIE, HOST, old.as_bytes()).is_some());
    let new = rotated.seal(Purpose::Session, COOKIE, HOST, [7; 12], b"x".to_vec());
    assert!(ring(&[1]).open(Purpose::Session, COOKIE, HOST, new.as_bytes()).is_none());
    assert!(ring(&[2]).open(Purpose::Session, COOKIE, HOST, new.as_bytes()).is_some());
    assert!(ring(&[2]).open(Purpose::Session, COOKIE, HOST, old.as_bytes()).is_none());
}

#[test]
fn sess_36_what_is_no_random_key_is_refused() {
    let refused = |bytes: Vec<u8>| SealingKeys::new(&[Secret::new(bytes)]).err();
    assert_eq!(refused(vec![0; 32]), Some(KeyFault::Weak));
    assert_eq!(refused(b"correct horse battery staple 123".to_vec()), Some(KeyFault::Weak));
    assert_eq!(refused(vec![1; 31]), Some(KeyFault::Length(31)));
    assert_eq!(refused(vec![]), Some(KeyFault::Length(0)));
    assert_eq!(SealingKeys::new(&[]).err(), Some(KeyFault::None));
    assert_eq!(SealingKeys::new(&[key(1), key(1)]).err(), Some(KeyFault::Twice));
    assert!(SealingKeys::new(&[key(1), key(2)]).is_ok());
}

#[test]
fn sess_43_claims_that_do_not_fit_are_an_error_not_a_shorter_session() {
    let mut session = session();
    session.claims.insert("roles".into(), json!(vec!["a-rather-long-role-name"; 200]));
    assert!(matches!(session.seal(&ring(&[1]), HOST, [7; 12]), Err(TooLarge(size)) if size > COOKIE_LIMIT));
    session.claims.insert("roles".into(), json!(vec!["a-rather-long-role-name"; 90]));
    assert!(session.seal(&ring(&[1]), HOST, [7; 12]).is_ok());
}

#[test]
fn cookie_20_malformed_values_are_all_the_same_nothing() {
    let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln";
    let other_purpose = ring(&[1]).seal(Purpose::State, "state", HOST, [1; 12], b"{}".to_vec());
    let old_version = ring(&[1]).seal(Purpose::Session, COOKIE, HOST, [1; 12], br#"{"v":0}"#.to_vec());
    let not_json = ring(&[1]).seal(Purpose::Session, COOKIE, HOST, [1; 12], b"\xff".to_vec());
    let long = "A".repeat(9000);
    for bad in [
        "",
        "=",
        ".",
        "..",
        "A",
        "AA==",
        "a+b/",
        " ",
        "%41",
        jwt,
        &other_purpose,
        &old_version,
        &not_json,
        "\0",
        "{\"v\":1}",
        "\"x\"",
        "a,b",
        &long,
        "\u{e9}",
    ] {
        assert_eq!(open_at(bad, NOW), Err(SessionFault::Unreadable), "{bad:?}");
    }
}

#[test]
fn cookie_06_our_cookies_by_name() {
    for ours in ["__Host-doorward", "__Host-doorward-attempt.x", "__Host-doorward.1"] {
        assert!(is_own_cookie(ours.as_bytes()), "{ours}");
    }
    for other in ["__Host-doorwardx", "__host-doorward", "doorward", ""] {
        assert!(!is_own_cookie(other.as_bytes()), "{other}");
    }
}

#[test]
fn renewal_comes_at_most_ten_times_in_the_idle_limit() {
    let session = session();
    assert!(!session.renewal_is_due(LIMITS, NOW.plus(Duration::from_secs(359))));
    assert!(session.renewal_is_due(LIMITS, NOW.plus(Duration::from_secs(360))));
}

#[test]
fn sess_20_each_purpose_has_a_key_of_its_own() {
    let keys = ring(&[1]);
    for (at, purpose) in Purpose::ALL.into_iter().enumerate() {
        assert_eq!(purpose as usize, at);
        let sealed = keys.seal(purpose, "n", "h", [1; NONCE_LENGTH], b"text".to_vec());
        for other in Purpose::ALL {
            assert_eq!(keys.open(other, "n", "h", sealed.as_bytes()).is_some(), other == purpose, "{purpose:?} as {other:?}");
        }
    }
}

#[test]
fn sess_35_what_an_older_key_sealed_is_known_as_such() {
    let (one, two) = (Secret::new((0..32).map(|at| at * 7 + 3).collect::<Vec<u8>>()), Secret::new((0..32).map(|at| at * 5 + 9).collect()));
    let old = SealingKeys::new(std::slice::from_ref(&one)).unwrap();
    let ring = SealingKeys::new(&[two, one]).unwrap();
    let sealed = old.seal(Purpose::Session, "n", "h", [1; NONCE_LENGTH], b"text".to_vec());
    let key = KeyId::of(sealed.as_bytes()).unwrap();
    assert!(key == old.first() && key != ring.first());
    assert!(old.has(key) && ring.has(key) && !old.has(ring.first()));
    assert!(KeyId::of(b"short").is_none() && KeyId::of(b"no base64 at all!").is_none());
    assert!(ring.open(Purpose::Session, "n", "h", sealed.as_bytes()).is_some());
    assert!(ring.is_same_as(&ring) && !ring.is_same_as(&old));
}

#[test]
fn sess_35_a_new_key_opens_before_it_seals() {
    let secret = |step: u8| Secret::new((0..32_u8).map(|at| at.wrapping_mul(step).wrapping_add(3)).collect::<Vec<u8>>());
    let ring = |steps: &[u8]| SealingKeys::new(&steps.iter().map(|step| secret(*step)).collect::<Vec<_>>()).unwrap();
    let settling = ring(&[9, 7]).sealing_as(&ring(&[7])).unwrap();
    assert!(settling.is_same_as(&ring(&[7, 9])));
    for (name, next, before) in [
        ("the same", &[7][..], &[7][..]),
        ("the old one is gone", &[9], &[7]),
        ("the new first was there already", &[9, 7], &[7, 9]),
        ("only an old one went", &[7], &[7, 9]),
    ] {
        assert!(ring(next).sealing_as(&ring(before)).is_none(), "{name}");
    }
}
