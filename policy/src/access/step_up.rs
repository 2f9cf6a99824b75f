//! How recent and how strong a sign-in must be (OIDC Core §3.1.2.1, RFC 9470).

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::time::Timestamp;
use crate::token::LEEWAY;

/// Claims that say when and how somebody proved who they are (OIDC Core §2). Only an ID token's own count for a session.
pub const AUTHENTICATION_CLAIMS: [&str; 3] = ["auth_time", "acr", "amr"];
/// Auth0's name for "several factors" is met by `amr`: its ID tokens need not carry an `acr`.
const MULTI_FACTOR: &str = "http://schemas.openid.net/pape/policies/2007/06/multi-factor";

/// A sign-in that is recent or strong enough. What is `None` or empty asks nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StepUp {
    /// OIDC Core §3.1.2.1 `max_age`: the person authenticated no longer ago than this.
    #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<Duration>,
    /// OIDC Core §3.1.2.1 `acr_values`: one of these is the `acr` claim, or Auth0's multi-factor policy is met by `amr`.
    #[serde(rename = "a", default, skip_serializing_if = "Vec::is_empty")]
    pub acr_values: Vec<Box<str>>,
}

impl StepUp {
    /// Whether it asks nothing at all.
    pub fn is_empty(&self) -> bool {
        self.max_age.is_none() && self.acr_values.is_empty()
    }

    /// Whether verified `claims` say that it is so at `now`. What they do not say is not so.
    pub fn met_by(&self, claims: &Map<String, Value>, now: Timestamp) -> bool {
        self.max_age.is_none_or(|max_age| is_recent(claims, max_age, now)) && (self.acr_values.is_empty() || self.is_strong(claims))
    }

    fn is_strong(&self, claims: &Map<String, Value>) -> bool {
        let asked = |value: &str| self.acr_values.iter().any(|asked| **asked == *value);
        // OIDC Core §2: one case-sensitive text; `amr` is an array of them (RFC 8176).
        let by_acr = claims.get("acr").and_then(Value::as_str).is_some_and(asked);
        let methods = claims.get("amr").and_then(Value::as_array);
        by_acr || (asked(MULTI_FACTOR) && methods.is_some_and(|methods| methods.iter().any(|method| method == "mfa")))
    }

    /// Both demands in one: the shorter age; `self`'s strength, or else the other's.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let max_age = [self.max_age, other.max_age].into_iter().flatten().min();
        Self { max_age, acr_values: if self.acr_values.is_empty() { other.acr_values } else { self.acr_values } }
    }

    /// The parameters of the authorization request.
    pub fn parameters(&self) -> impl Iterator<Item = (&'static str, String)> + use<> {
        let max_age = self.max_age.map(|age| ("max_age", age.as_secs().to_string()));
        let values = (!self.acr_values.is_empty()).then(|| ("acr_values", self.acr_values.join(" ")));
        max_age.into_iter().chain(values)
    }

    /// What a bearer of a token is told (RFC 9470 §3).
    pub fn www_authenticate(&self) -> String {
        let mut text = "Bearer error=\"insufficient_user_authentication\"".to_owned();
        for (name, value) in self.parameters() {
            // RFC 9110 §5.6.4: what would need quoting within the quotes is left out.
            let plain: String = value.chars().filter(|c| matches!(c, ' '..='~') && !matches!(c, '"' | '\\')).collect();
            text.push_str(&format!(", {name}=\"{plain}\""));
        }
        text
    }
}

/// Clocks differ by [`LEEWAY`], both ways; an `auth_time` from further ahead would count for too long.
fn is_recent(claims: &Map<String, Value>, max_age: Duration, now: Timestamp) -> bool {
    #[allow(clippy::cast_possible_truncation)]
    let time = claims.get("auth_time").and_then(|time| time.as_i64().or_else(|| time.as_f64().map(|seconds| seconds as i64)));
    time.map(Timestamp).is_some_and(|time| time <= now.plus(LEEWAY) && time.plus(max_age).plus(LEEWAY) >= now)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000);

    fn met(step_up: &StepUp, claims: Value) -> bool {
        step_up.met_by(claims.as_object().unwrap(), NOW)
    }

    #[test]
    fn stepup_01_recent_means_an_auth_time_of_no_longer_ago() {
        let step_up = StepUp { max_age: Some(Duration::from_secs(300)), ..StepUp::default() };
        for (name, claims, expected) in [
            ("just now", json!({ "auth_time": NOW.0 }), true),
            ("five minutes and what clocks differ by", json!({ "auth_time": NOW.0 - 330 }), true),
            ("a second more", json!({ "auth_time": NOW.0 - 331 }), false),
            ("with a fraction", json!({ "auth_time": 1_799_999_999.5 }), true),
            ("a clock a little ahead", json!({ "auth_time": NOW.0 + 30 }), true),
            ("from the future", json!({ "auth_time": NOW.0 + 31 }), false),
            ("a text", json!({ "auth_time": NOW.0.to_string() }), false),
            ("no auth_time", json!({ "iat": NOW.0, "acr": "x", "amr": ["mfa"] }), false),
        ] {
            assert_eq!(met(&step_up, claims), expected, "{name}");
        }
    }

    #[test]
    fn stepup_02_strong_means_one_of_the_values_exactly() {
        let of = |values: &[&str]| StepUp { acr_values: values.iter().map(|value| (*value).into()).collect(), ..StepUp::default() };
        for (name, values, claims, expected) in [
            ("the one", &["gold"][..], json!({ "acr": "gold" }), true),
            ("one of two", &["gold", "silver"], json!({ "acr": "silver" }), true),
            ("another case", &["gold"], json!({ "acr": "Gold" }), false),
            ("a list", &["gold"], json!({ "acr": ["gold"] }), false),
            ("both in one", &["gold", "silver"], json!({ "acr": "gold silver" }), false),
            ("nothing", &["gold"], json!({}), false),
            ("several factors, where that is asked", &[MULTI_FACTOR], json!({ "amr": ["pwd", "mfa"] }), true),
            ("several factors, where something else is", &["gold"], json!({ "amr": ["mfa"] }), false),
            ("one factor", &[MULTI_FACTOR], json!({ "amr": ["pwd"] }), false),
            ("factors as a text", &[MULTI_FACTOR], json!({ "amr": "mfa" }), false),
        ] {
            assert_eq!(met(&of(values), claims), expected, "{name}");
        }
    }

    #[test]
    fn stepup_03_both_demands_count_and_the_challenge_names_both() {
        let step_up = StepUp { max_age: Some(Duration::from_secs(60)), acr_values: vec!["a".into(), "b\"c".into()] };
        assert!(met(&step_up, json!({ "auth_time": NOW.0, "acr": "a" })));
        assert!(!met(&step_up, json!({ "auth_time": NOW.0 })) && !met(&step_up, json!({ "acr": "a" })));
        let told = "Bearer error=\"insufficient_user_authentication\", max_age=\"60\", acr_values=\"a bc\"";
        assert_eq!(step_up.www_authenticate(), told);
        let shorter = StepUp { max_age: Some(Duration::from_secs(30)), acr_values: vec!["other".into()] };
        assert_eq!(step_up.clone().and(shorter), StepUp { max_age: Some(Duration::from_secs(30)), ..step_up });
    }
}
