//! A form whose sender has to sign in again first.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::session::{NONCE_LENGTH, Owner, Purpose, SealingKeys};
use crate::time::Timestamp;

/// How long a form waits.
pub const FORM_LIFETIME: Duration = Duration::from_secs(900);
/// The longest form that is kept, as it was posted.
pub const FORM_LIMIT: usize = 64 * 1024;

/// What was posted, by whom, and where to.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptForm {
    /// Who was signed in when it was filled in: nobody else gets to see it.
    pub owner: Owner,
    pub path_and_query: Box<str>,
    /// As `application/x-www-form-urlencoded`.
    pub content: Box<str>,
    pub kept: Timestamp,
}

impl std::fmt::Debug for KeptForm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeptForm").field("kept", &self.kept).finish_non_exhaustive()
    }
}

impl KeptForm {
    /// What a store keeps under `id`, for `host`.
    pub fn seal(&self, keys: &SealingKeys, id: &str, host: &str, nonce: [u8; NONCE_LENGTH]) -> Vec<u8> {
        keys.seal(Purpose::Form, id, host, nonce, serde_json::to_vec(self).unwrap_or_default()).into_bytes()
    }

    /// What was kept under `id` on `host`, for `owner`; `None` for everybody else.
    pub fn open(sealed: &[u8], keys: &SealingKeys, id: &str, host: &str, owner: &Owner, now: Timestamp) -> Option<Self> {
        let plain = keys.open(Purpose::Form, id, host, sealed)?;
        let form: Self = serde_json::from_slice(&plain).ok()?;
        (form.owner == *owner && form.kept.plus(FORM_LIFETIME) > now).then_some(form)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;
    use crate::session::{Origin, Session};

    fn owner(sub: &str) -> Owner {
        let claims = serde_json::json!({ "iss": "https://idp/", "sub": sub });
        let origin = Origin { id: "i", provider: "p", client_id: "c" };
        Owner::of(&Session::begin(origin, claims.as_object().unwrap(), &["iss".into(), "sub".into()], Timestamp(0)))
    }

    #[test]
    fn a_form_is_its_senders_alone_on_its_host_and_for_a_while() {
        let keys = SealingKeys::new(&[Secret::new((0..32).map(|at| at * 7 + 3).collect())]).unwrap();
        let form = KeptForm { owner: owner("ada"), path_and_query: "/orders?x=1".into(), content: "a=canary".into(), kept: Timestamp(100) };
        let sealed = form.seal(&keys, "one", "a.example", [1; NONCE_LENGTH]);
        let open = |id: &str, host: &str, sub: &str, now: i64| KeptForm::open(&sealed, &keys, id, host, &owner(sub), Timestamp(now));
        assert_eq!(open("one", "a.example", "ada", 999), Some(form.clone()));
        for (name, opened) in [
            ("another person", open("one", "a.example", "bob", 999)),
            ("another id", open("two", "a.example", "ada", 999)),
            ("another host", open("one", "b.example", "ada", 999)),
            ("too late", open("one", "a.example", "ada", 1000)),
        ] {
            assert_eq!(opened, None, "{name}");
        }
        assert!(!format!("{form:?}").contains("canary") && !String::from_utf8_lossy(&sealed).contains("canary"));
    }
}
