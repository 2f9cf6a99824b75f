//! What a provider's answer about a token says: that it still counts, or that it does not.
//!
//! The token's own signature and claims were checked before; the answer takes away and never adds.

use serde_json::{Map, Value};

use super::claims::{check_audience, time};
use super::{AccessTokenProfile, LEEWAY, TokenFault, VerifiedToken};
use crate::time::Timestamp;

/// The token that a provider is asked about: what the answer must agree with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vouched {
    issuer: Box<str>,
    subject: Box<str>,
    /// `azp` and `client_id`, where the token has them.
    client: Option<Box<str>>,
    audience: Box<str>,
}

impl Vouched {
    /// The token that was verified for `profile`.
    pub fn of(token: &VerifiedToken, profile: &AccessTokenProfile) -> Self {
        let text = |name: &str| token.claims().get(name).and_then(Value::as_str);
        Self {
            issuer: profile.issuer.clone(),
            subject: text("sub").unwrap_or_default().into(),
            client: text("client_id").or(text("azp")).map(Into::into),
            audience: profile.audience.clone(),
        }
    }

    /// Whose token it is.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// RFC 7662 §2.2: `active` must be true itself. What else is said must be what the token says; what is not said is not asked
    /// for. The moment that `exp` names, if it does: the token counts no longer than that.
    ///
    /// # Errors
    /// [`TokenFault::Revoked`] where it is not active; else the claim that differs.
    pub fn introspected(&self, answer: &Map<String, Value>, now: Timestamp) -> Result<Option<Timestamp>, TokenFault> {
        // JWKS-11: a text is no truth value.
        if answer.get("active") != Some(&Value::Bool(true)) {
            return Err(TokenFault::Revoked);
        }
        let differs = |name: &str, own: &str| answer.get(name).is_some_and(|said| said.as_str() != Some(own));
        if differs("iss", &self.issuer) {
            return Err(TokenFault::Issuer);
        }
        if differs("sub", &self.subject) {
            return Err(TokenFault::Subject);
        }
        if self.client.as_deref().is_some_and(|client| differs("client_id", client)) {
            return Err(TokenFault::AuthorizedParty);
        }
        if answer.contains_key("aud") {
            check_audience(answer, &self.audience)?;
        }
        let ends = time(answer, "exp")?;
        if ends.is_some_and(|ends| ends.plus(LEEWAY) <= now) {
            return Err(TokenFault::Expired);
        }
        if time(answer, "nbf")?.is_some_and(|begins| begins > now.plus(LEEWAY)) {
            return Err(TokenFault::NotYetValid);
        }
        Ok(ends)
    }

    /// OIDC Core §5.3.2: it must be about the same subject.
    ///
    /// # Errors
    /// [`TokenFault::Subject`].
    pub fn described(&self, answer: &Map<String, Value>) -> Result<(), TokenFault> {
        if answer.get("sub").and_then(Value::as_str) == Some(&*self.subject) { Ok(()) } else { Err(TokenFault::Subject) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    type Row = (&'static str, Value, Result<Option<i64>, TokenFault>);

    const NOW: Timestamp = Timestamp(1_800_000_000);

    fn vouched() -> Vouched {
        Vouched {
            issuer: "https://acme.dev/".into(),
            subject: "ada".into(),
            client: Some("cli".into()),
            audience: "https://api.acme.dev".into(),
        }
    }

    #[test]
    fn jwks_11_only_true_is_active_and_what_is_said_besides_must_agree() {
        use TokenFault::{Audience, AuthorizedParty, ClaimType, Expired, Issuer, NotYetValid, Revoked, Subject};
        let rows: &[Row] = &[
            ("no more than that", json!({ "active": true }), Ok(None)),
            (
                "everything",
                json!({ "active": true, "iss": "https://acme.dev/", "sub": "ada", "client_id": "cli", "aud": ["x", "https://api.acme.dev"],
                    "exp": NOW.0 + 60, "nbf": NOW.0 - 60, "scope": "a b", "token_type": "Bearer", "username": "Ada" }),
                Ok(Some(NOW.0 + 60)),
            ),
            ("nothing", json!({}), Err(Revoked)),
            ("false", json!({ "active": false }), Err(Revoked)),
            ("a text", json!({ "active": "true" }), Err(Revoked)),
            ("a number", json!({ "active": 1 }), Err(Revoked)),
            ("null", json!({ "active": null }), Err(Revoked)),
            ("another issuer", json!({ "active": true, "iss": "https://acme.dev" }), Err(Issuer)),
            ("somebody else", json!({ "active": true, "sub": "eve" }), Err(Subject)),
            ("no text", json!({ "active": true, "sub": 7 }), Err(Subject)),
            ("another client", json!({ "active": true, "client_id": "other" }), Err(AuthorizedParty)),
            ("another audience", json!({ "active": true, "aud": "https://other.acme.dev" }), Err(Audience)),
            ("an audience of another type", json!({ "active": true, "aud": 7 }), Err(ClaimType)),
            ("over", json!({ "active": true, "exp": NOW.0 - 30 }), Err(Expired)),
            ("over, forgiven", json!({ "active": true, "exp": NOW.0 - 29 }), Ok(Some(NOW.0 - 29))),
            ("not yet", json!({ "active": true, "nbf": NOW.0 + 31 }), Err(NotYetValid)),
            ("an end that is no number", json!({ "active": true, "exp": "never" }), Err(ClaimType)),
        ];
        for (name, answer, expected) in rows {
            let said = vouched().introspected(answer.as_object().unwrap(), NOW);
            assert_eq!(said, expected.map(|ends| ends.map(Timestamp)), "{name}");
        }
        let anybody = Vouched { client: None, ..vouched() };
        assert!(anybody.introspected(json!({ "active": true, "client_id": "other" }).as_object().unwrap(), NOW).is_ok());
    }

    #[test]
    fn oidc_17_userinfo_about_somebody_else_vouches_for_nobody() {
        for (answer, expected) in [
            (json!({ "sub": "ada" }), Ok(())),
            (json!({ "sub": "eve" }), Err(TokenFault::Subject)),
            (json!({ "sub": ["ada"] }), Err(TokenFault::Subject)),
            (json!({}), Err(TokenFault::Subject)),
        ] {
            assert_eq!(vouched().described(answer.as_object().unwrap()), expected, "{answer}");
        }
    }

    /// What providers say, and whatever else JSON can.
    fn said() -> impl Strategy<Value = Value> {
        let right =
            prop::sample::select(vec![json!(true), json!("https://acme.dev/"), json!("ada"), json!("cli"), json!("https://api.acme.dev")]);
        let time = (NOW.0 - 100..NOW.0 + 100).prop_map(Value::from);
        let odd = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
            prop::collection::vec(right.clone(), 0..3).prop_map(Value::from),
        ];
        prop_oneof![3 => right, 2 => time, 1 => odd]
    }

    proptest! {
        #[test]
        fn fuzz_an_answer_vouches_only_for_the_token_that_was_asked_about(
            answer in prop::collection::hash_map(
                prop::sample::select(vec!["active", "iss", "sub", "client_id", "aud", "exp", "nbf", "scope"]), said(), 0..8,
            ),
            sure in any::<bool>(),
        ) {
            let mut answer: Map<String, Value> = answer.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            if sure {
                answer.insert("active".into(), json!(true));
            }
            let says = |name: &str, right: &str| answer.get(name).is_none_or(|value| value == right);
            if let Ok(ends) = vouched().introspected(&answer, NOW) {
                prop_assert_eq!(answer.get("active"), Some(&json!(true)));
                prop_assert!(says("iss", "https://acme.dev/") && says("sub", "ada") && says("client_id", "cli"));
                prop_assert!(ends.is_none_or(|ends| ends.0 > NOW.0 - 30));
                prop_assert_eq!(ends.is_some(), answer.contains_key("exp"));
            }
            prop_assert_eq!(vouched().described(&answer).is_ok(), answer.get("sub") == Some(&json!("ada")));
        }
    }
}
