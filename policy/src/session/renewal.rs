//! When a session's tokens are refreshed, and what a refresh may change about it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::{Record, Session, Tokens, cap};
use crate::access::AUTHENTICATION_CLAIMS;
use crate::time::Timestamp;
use crate::token::strict_object;

/// What a token counts for whose end nobody says (RFC 6749 §5.1 leaves `expires_in` out at times): roles are read again
/// this often.
const UNKNOWN_LIFETIME: Duration = Duration::from_secs(3600);
/// What a refreshed ID token mostly does not repeat of the sign-in's.
const OF_THE_SIGN_IN: [&str; 2] = ["sid", "nonce"];

/// How early tokens are refreshed, and how long they are missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefreshTimes {
    /// This long before an access token ends, but not in the first half of its life.
    pub ahead: Duration,
    /// While no new one is to be had, the session goes on this long after its end.
    pub grace: Duration,
}

/// What has become of a session's access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    Fresh,
    /// Still good: to be refreshed beside the requests.
    Due,
    /// Ended: requests wait for a new one, and go on without when none is to be had.
    Overdue,
    /// Ended too long ago: nothing goes on without a new one.
    Lapsed,
}

impl RefreshTimes {
    /// How the tokens of a session stand at `now`. Those that cannot be refreshed are left as they are.
    pub fn freshness(&self, tokens: &Tokens, now: Timestamp) -> Freshness {
        let (Some(_), Some((obtained, ends))) = (&tokens.refresh_token, span(tokens)) else { return Freshness::Fresh };
        let half = ends.since(obtained) / 2;
        if now < ends.minus(self.ahead.min(half)) {
            Freshness::Fresh
        } else if now < ends {
            Freshness::Due
        } else if now < ends.plus(self.grace) {
            Freshness::Overdue
        } else {
            Freshness::Lapsed
        }
    }
}

/// From when to when the access token counts.
fn span(tokens: &Tokens) -> Option<(Timestamp, Timestamp)> {
    let obtained = tokens.obtained.or(tokens.access_expires)?;
    Some((obtained, tokens.access_expires.unwrap_or_else(|| obtained.plus(UNKNOWN_LIFETIME))))
}

impl Tokens {
    /// What the ID token says, which was verified when it came and has been sealed since.
    pub fn id_token_claims(&self) -> Option<Map<String, Value>> {
        let payload = self.id_token.as_deref()?.split('.').nth(1)?;
        strict_object(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
    }

    /// These, with what a refresh brought: what it left out stays (RFC 6749 §6).
    #[must_use]
    pub fn refreshed(&self, brought: Self) -> Self {
        Self {
            access_token: brought.access_token,
            access_expires: brought.access_expires,
            obtained: brought.obtained,
            refresh_token: brought.refresh_token.or_else(|| self.refresh_token.clone()),
            id_token: brought.id_token.or_else(|| self.id_token.clone()),
        }
    }
}

impl Record {
    /// The next generation, with new tokens and new claims. Who it is, when it began and what revocations compare with
    /// stay as they are.
    ///
    /// `None` when the claims are about somebody else, or of another issuer (OIDC Core §12.2): the session has to end.
    #[must_use]
    pub fn renewed(&self, claims: &Map<String, Value>, tokens: Tokens) -> Option<Self> {
        let same = |name: &str| self.session.claims.get(name).is_some_and(|known| claims.get(name) == Some(known));
        if !same("iss") || !same("sub") {
            return None;
        }
        let claims = renewed_claims(&self.session.claims, claims);
        let provider_session = claims.get("sid").and_then(Value::as_str).map(Into::into);
        let session = Session {
            provider_session: provider_session.or_else(|| self.session.provider_session.clone()),
            cap: cap(&claims).or(self.session.cap),
            claims,
            ..self.session.clone()
        };
        Some(Self { generation: self.generation.saturating_add(1), session, tokens: self.tokens.refreshed(tokens), ..self.clone() })
    }

    /// The next generation, where a refresh brought tokens but nothing to believe yet: only the refresh token is new, so
    /// that the next attempt has the one that counts.
    #[must_use]
    pub fn rotated(&self, refresh_token: Box<str>) -> Self {
        let tokens = Tokens { refresh_token: Some(refresh_token), ..self.tokens.clone() };
        Self { generation: self.generation.saturating_add(1), tokens, ..self.clone() }
    }
}

/// The claims of a session after a refresh: what `new` does not say is gone, but for how the sign-in was done.
fn renewed_claims(known: &Map<String, Value>, new: &Map<String, Value>) -> Map<String, Value> {
    let mut claims = new.clone();
    // OIDC Core §12.2: the time of the sign-in, not of the refresh. Nobody becomes fresh or strong enough for a step-up by
    // waiting, also where the sign-in said nothing about it.
    for name in AUTHENTICATION_CLAIMS {
        claims.remove(name);
    }
    for name in AUTHENTICATION_CLAIMS.into_iter().chain(OF_THE_SIGN_IN) {
        if let (false, Some(value)) = (claims.contains_key(name), known.get(name)) {
            claims.insert(name.into(), value.clone());
        }
    }
    claims
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::session::{Limits, Origin};

    const TIMES: RefreshTimes = RefreshTimes { ahead: Duration::from_secs(60), grace: Duration::from_secs(300) };
    const THEN: i64 = 1_800_000_000;

    fn tokens(lifetime: Option<i64>) -> Tokens {
        Tokens {
            access_token: Some("access".into()),
            access_expires: lifetime.map(|lifetime| Timestamp(THEN + lifetime)),
            obtained: Some(Timestamp(THEN)),
            refresh_token: Some("refresh".into()),
            id_token: Some("id".into()),
        }
    }

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn record(claims: Value) -> Record {
        let claims = map(claims);
        let kept: Vec<Box<str>> = claims.keys().map(|name| name.as_str().into()).collect();
        let origin = Origin { id: "one", provider: "p", client_id: "c" };
        Record::new(Session::begin(origin, &claims, &kept, Timestamp(THEN)), tokens(Some(3600)))
    }

    #[test]
    fn refr_01_a_token_is_due_ahead_of_its_end_but_never_in_the_first_half_of_its_life() {
        use Freshness::{Due, Fresh, Lapsed, Overdue};
        for (lifetime, age, freshness) in [
            (Some(3600), 0, Fresh),
            (Some(3600), 3539, Fresh),
            (Some(3600), 3540, Due),
            (Some(3600), 3599, Due),
            (Some(3600), 3600, Overdue),
            (Some(3600), 3899, Overdue),
            (Some(3600), 3900, Lapsed),
            (Some(10), 4, Fresh),
            (Some(10), 5, Due),
            (Some(10), 10, Overdue),
            (Some(0), 0, Overdue),
            // Nobody says when it ends.
            (None, 3539, Fresh),
            (None, 3540, Due),
            (None, 3600, Overdue),
            (None, 3900, Lapsed),
        ] {
            assert_eq!(TIMES.freshness(&tokens(lifetime), Timestamp(THEN + age)), freshness, "{lifetime:?} {age}");
        }
        let bare = Tokens { refresh_token: None, ..tokens(Some(10)) };
        assert_eq!(TIMES.freshness(&bare, Timestamp(THEN + 100_000)), Fresh, "nothing to refresh it with");
    }

    #[test]
    fn refr_03_what_an_answer_leaves_out_stays() {
        let brought = Tokens { access_token: Some("new".into()), ..Tokens::default() };
        let kept = tokens(Some(10)).refreshed(brought);
        assert_eq!((kept.access_token.as_deref(), kept.access_expires), (Some("new"), None));
        assert_eq!((kept.refresh_token.as_deref(), kept.id_token.as_deref()), (Some("refresh"), Some("id")));
        let brought = Tokens { access_token: Some("new".into()), refresh_token: Some("next".into()), ..Tokens::default() };
        assert_eq!(tokens(Some(10)).refreshed(brought).refresh_token.as_deref(), Some("next"));
    }

    #[test]
    fn refr_04_only_the_same_person_of_the_same_issuer_goes_on() {
        let known = record(json!({"iss": "https://idp/", "sub": "ada", "iat": 5}));
        for (claims, goes_on) in [
            (json!({"iss": "https://idp/", "sub": "ada"}), true),
            (json!({"iss": "https://idp", "sub": "ada"}), false),
            (json!({"iss": "https://idp/", "sub": "Ada"}), false),
            (json!({"sub": "ada"}), false),
            (json!({"iss": "https://idp/"}), false),
        ] {
            assert_eq!(known.renewed(&map(claims.clone()), Tokens::default()).is_some(), goes_on, "{claims}");
        }
        let nobody = record(json!({"iss": "https://idp/"}));
        assert_eq!(nobody.renewed(&map(json!({"iss": "https://idp/"})), Tokens::default()), None);
    }

    #[test]
    fn refr_04_claims_are_read_again_and_the_session_stays_the_same() {
        let known = record(json!({
            "iss": "https://idp/", "sub": "ada", "iat": 5, "sid": "s1", "roles": ["admin"], "email": "old", "amr": ["mfa"], "auth_time": 4,
        }));
        let claims = json!({"iss": "https://idp/", "sub": "ada", "iat": 77, "roles": ["viewer"], "auth_time": 70});
        let renewed = known.renewed(&map(claims), tokens(Some(99))).unwrap();
        let kept = json!({
            "iss": "https://idp/", "sub": "ada", "iat": 77, "sid": "s1", "roles": ["viewer"], "amr": ["mfa"], "auth_time": 4,
        });
        assert_eq!(Value::Object(renewed.session.claims.clone()), kept);
        assert_eq!(renewed.generation, known.generation + 1);
        let unmoved =
            |session: &Session| (session.id.clone(), session.began, session.seen, session.issued, session.provider_session.clone());
        assert_eq!(unmoved(&renewed.session), unmoved(&known.session));
        assert_eq!(renewed.key(), known.key());
    }

    #[test]
    fn stepup_refr_04_nobody_steps_up_by_waiting_for_a_refresh() {
        let about = |more: Value| {
            let mut claims = json!({"iss": "https://idp/", "sub": "ada"});
            claims.as_object_mut().unwrap().extend(map(more));
            claims
        };
        let strong = json!({"auth_time": THEN + 500, "acr": "gold", "amr": ["mfa"]});
        for said in [json!({}), json!({"auth_time": THEN, "acr": "bronze", "amr": ["pwd"]}), strong.clone()] {
            let known = record(about(said.clone()));
            for refreshed in [json!({}), strong.clone(), json!({"auth_time": THEN - 9, "acr": 7, "amr": null})] {
                let renewed = known.renewed(&map(about(refreshed.clone())), Tokens::default()).unwrap();
                assert_eq!(Value::Object(renewed.session.claims), about(said.clone()), "{said} then {refreshed}");
            }
        }
    }

    #[test]
    fn refr_10_the_provider_may_want_a_session_to_end_earlier_and_never_later() {
        let limits = Limits { idle: Duration::from_secs(3600), lifetime: Duration::from_secs(1000) };
        let about = |expiry: Value| map(json!({"iss": "https://idp/", "sub": "ada", "session_expiry": expiry}));
        let known = record(json!({"iss": "https://idp/", "sub": "ada"}));
        assert_eq!(known.session.latest(limits), Timestamp(THEN + 1000));
        for (expiry, latest) in
            [(json!(THEN + 10), THEN + 10), (json!(THEN + 5000), THEN + 1000), (json!(null), THEN + 1000), (json!("soon"), 0)]
        {
            let renewed = known.renewed(&about(expiry.clone()), Tokens::default()).unwrap();
            assert_eq!(renewed.session.latest(limits), Timestamp(latest), "{expiry}");
        }
        let capped = record(json!({"iss": "https://idp/", "sub": "ada", "session_expiry": THEN + 10}));
        assert!(capped.session.check_limits(limits, Timestamp(THEN + 9)).is_ok());
        assert!(capped.session.check_limits(limits, Timestamp(THEN + 10)).is_err());
        let renewed = capped.renewed(&map(json!({"iss": "https://idp/", "sub": "ada"})), Tokens::default()).unwrap();
        assert_eq!(renewed.session.latest(limits), Timestamp(THEN + 10), "said once is enough");
    }

    #[test]
    fn refr_06_a_rotated_token_is_kept_even_when_nothing_else_can_be_believed() {
        let known = record(json!({"iss": "https://idp/", "sub": "ada"}));
        let rotated = known.rotated("next".into());
        assert_eq!((rotated.generation, rotated.tokens.refresh_token.as_deref()), (1, Some("next")));
        assert_eq!((&rotated.session, rotated.tokens.access_expires), (&known.session, known.tokens.access_expires));
    }
}
