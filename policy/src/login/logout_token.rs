//! A provider's word that a session, or a person, is signed out (OpenID Connect Back-Channel Logout 1.0).

use std::time::Duration;

use serde_json::Value;

use crate::time::Timestamp;
use crate::token::{Claim, ClaimsSet, TokenFault, check_audience, check_issuer, check_subject, check_times, check_types, time};

/// The one member of `events` (§2.4).
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// A logout token is of this moment: an older one is somebody else's copy of it.
const FRESH: Duration = Duration::from_secs(300);
/// Longest `sid` and `jti`, in bytes.
const NAME_LIMIT: usize = 1024;

/// What a logout token must be for us.
#[derive(Debug, Clone, Copy)]
pub struct LogoutExpectation<'e> {
    /// Compared byte for byte.
    pub issuer: &'e str,
    pub client_id: &'e str,
}

/// A logout token that was verified. Only made by verifying.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogoutToken {
    /// `jti`: counts once.
    pub id: Box<str>,
    pub issued: Timestamp,
    pub target: LogoutTarget,
}

/// Whose sessions end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogoutTarget {
    /// Those of one session at the provider; whoever's it is.
    ProviderSession(Box<str>),
    /// All of one person.
    Subject(Box<str>),
}

impl LogoutToken {
    /// How long a `jti` must be remembered: later the token is no longer fresh.
    pub const REPLAY_WINDOW: Duration = Duration::from_secs(FRESH.as_secs() + 60);

    /// The claims of a token whose signature holds (§2.6).
    pub(crate) fn check(claims: &impl ClaimsSet, expected: &LogoutExpectation<'_>, now: Timestamp) -> Result<Self, TokenFault> {
        check_types(claims)?;
        // (4) issuer, audience and times as for an ID token, but there may be other audiences.
        check_issuer(claims, expected.issuer)?;
        check_audience(claims, expected.client_id)?;
        check_times(claims, now)?;
        let issued = time(claims, "iat")?.ok_or(TokenFault::MissingClaim)?;
        if issued.plus(FRESH) < now {
            return Err(TokenFault::NotFresh);
        }
        // (5)
        let provider_session = name(claims, "sid")?;
        if claims.claim("sub").is_some() {
            check_subject(claims)?;
        }
        let subject = claims.text("sub");
        let target = match (provider_session, subject) {
            (Some(sid), _) => LogoutTarget::ProviderSession(sid.into()),
            (None, Some(sub)) => LogoutTarget::Subject(sub.into()),
            (None, None) => return Err(TokenFault::MissingClaim),
        };
        // (6) this event and no other.
        let Claim::Value(Value::Object(events)) = claims.claim("events").ok_or(TokenFault::MissingClaim)? else {
            return Err(TokenFault::Events);
        };
        if events.len() != 1 || !events.get(EVENT).is_some_and(Value::is_object) {
            return Err(TokenFault::Events);
        }
        // (7) an ID token has one, and is not a logout token.
        if claims.claim("nonce").is_some() {
            return Err(TokenFault::Nonce);
        }
        let id = name(claims, "jti")?.ok_or(TokenFault::MissingClaim)?.into();
        Ok(Self { id, issued, target })
    }
}

fn name<'c>(claims: &'c impl ClaimsSet, claim: &str) -> Result<Option<&'c str>, TokenFault> {
    match claims.text(claim) {
        Some(name) if !(1..=NAME_LIMIT).contains(&name.len()) => Err(TokenFault::ClaimType),
        name => Ok(name),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000);
    const EXPECTED: LogoutExpectation<'_> = LogoutExpectation { issuer: "https://idp/", client_id: "us" };

    fn claims() -> Value {
        json!({
            "iss": "https://idp/", "aud": "us", "iat": NOW.0 - 2, "exp": NOW.0 + 120, "jti": "j1",
            "sub": "ada", "sid": "s1", "events": { EVENT: {} },
        })
    }

    /// With `name` set to `value`, or taken out by `null`.
    fn with(name: &str, value: Value) -> Result<LogoutToken, TokenFault> {
        let mut claims = claims();
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value,
        }
        LogoutToken::check(claims.as_object().unwrap(), &EXPECTED, NOW)
    }

    #[test]
    fn logout_10_a_good_token_names_a_session_or_a_person() {
        let token = with("sub", json!("ada")).unwrap();
        assert_eq!(
            token,
            LogoutToken { id: "j1".into(), issued: NOW.minus(Duration::from_secs(2)), target: LogoutTarget::ProviderSession("s1".into()) }
        );
        assert_eq!(with("sub", Value::Null).map(|token| token.target), Ok(LogoutTarget::ProviderSession("s1".into())));
        assert_eq!(with("sid", Value::Null).map(|token| token.target), Ok(LogoutTarget::Subject("ada".into())));
        // Auth0's has a claim more.
        assert!(with("trace_id", json!("0123456789abcdef")).is_ok());
    }

    #[test]
    fn logout_10_each_claim_must_be_there_and_right() {
        for (name, value, fault) in [
            ("iss", json!("https://idp"), TokenFault::Issuer),
            ("iss", Value::Null, TokenFault::MissingClaim),
            ("aud", json!("them"), TokenFault::Audience),
            ("aud", json!(["them"]), TokenFault::Audience),
            ("aud", json!([]), TokenFault::Audience),
            ("aud", json!(["us", 1]), TokenFault::ClaimType),
            ("aud", Value::Null, TokenFault::MissingClaim),
            ("exp", Value::Null, TokenFault::MissingClaim),
            ("exp", json!(NOW.0 - 30), TokenFault::Expired),
            ("exp", json!("1800000120"), TokenFault::ClaimType),
            ("iat", Value::Null, TokenFault::MissingClaim),
            ("iat", json!(NOW.0 - 301), TokenFault::NotFresh),
            ("iat", json!(NOW.0 + 31), TokenFault::NotYetValid),
            ("nbf", json!(NOW.0 + 31), TokenFault::NotYetValid),
            ("jti", Value::Null, TokenFault::MissingClaim),
            ("jti", json!(""), TokenFault::ClaimType),
            ("jti", json!(7), TokenFault::ClaimType),
            ("nonce", json!("n"), TokenFault::Nonce),
            ("nonce", json!(""), TokenFault::Nonce),
        ] {
            assert_eq!(with(name, value.clone()), Err(fault), "{name}: {value}");
        }
        for (name, value) in [
            ("aud", json!(["us"])),
            ("aud", json!(["them", "us"])),
            ("exp", json!(NOW.0 - 29)),
            ("iat", json!(NOW.0 - 300)),
            ("iat", json!(NOW.0 + 30)),
            ("jti", json!("j".repeat(1024))),
        ] {
            assert!(with(name, value.clone()).is_ok(), "{name}: {value}");
        }
    }

    #[test]
    fn logout_11_the_event_is_there_alone_and_is_an_object() {
        assert_eq!(with("events", Value::Null), Err(TokenFault::MissingClaim));
        for bad in [
            json!({}),
            json!([EVENT]),
            json!(EVENT),
            json!(true),
            json!({ EVENT: [] }),
            json!({ EVENT: "" }),
            json!({ EVENT: null }),
            json!({ EVENT: {}, "http://schemas.openid.net/event/other": {} }),
            json!({ "http://schemas.openid.net/event/backchannel-logout/": {} }),
            json!({ "http://schemas.openid.net/event/other": {} }),
        ] {
            assert_eq!(with("events", bad.clone()), Err(TokenFault::Events), "{bad}");
        }
        let mut null = claims();
        null["events"] = Value::Null;
        assert_eq!(LogoutToken::check(null.as_object().unwrap(), &EXPECTED, NOW), Err(TokenFault::Events));
        assert!(with("events", json!({ EVENT: { "more": 1 } })).is_ok());
    }

    #[test]
    fn logout_11_sid_and_sub_are_texts_and_one_of_them_is_there() {
        for bad in [json!(1), json!(["s1"]), json!({}), json!(true), json!("")] {
            assert_eq!(with("sid", bad.clone()), Err(TokenFault::ClaimType), "{bad}");
        }
        assert_eq!(with("sid", json!("s".repeat(1025))), Err(TokenFault::ClaimType));
        assert_eq!(with("sub", json!("")), Err(TokenFault::Subject));
        assert_eq!(with("sub", json!(1)), Err(TokenFault::ClaimType));
        let mut neither = claims();
        for name in ["sid", "sub"] {
            neither.as_object_mut().unwrap().remove(name);
        }
        assert_eq!(LogoutToken::check(neither.as_object().unwrap(), &EXPECTED, NOW), Err(TokenFault::MissingClaim));
    }
}
