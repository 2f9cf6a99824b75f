//! The `state` of a sign-out (RP-Initiated Logout 1.0 §2): where the browser goes once the provider sends it back.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::session::{NONCE_LENGTH, Purpose, SealingKeys};
use crate::time::Timestamp;

/// No provider has a name with a space: a sign-in's state is nothing here, and the reverse.
const NAME: &str = "sign out";
/// A provider may ask the person first, and people go for a coffee.
const LIFETIME: Duration = Duration::from_secs(3600);

/// Sealed into the address; it says nothing about who signed out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogoutState {
    /// Checked again when it comes back: what is allowed may have changed.
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    pub return_to: Option<Box<str>>,
    /// Our page that says so comes first; `return_to` is where its link leads.
    #[serde(rename = "p", default)]
    pub told: bool,
    #[serde(rename = "e", default)]
    pub everywhere: bool,
    #[serde(rename = "b")]
    pub began: Timestamp,
}

impl LogoutState {
    /// The parameter's value, for `host` alone.
    pub fn seal(&self, keys: &SealingKeys, host: &str, nonce: [u8; NONCE_LENGTH]) -> String {
        keys.seal(Purpose::State, NAME, host, nonce, serde_json::to_vec(self).unwrap_or_default())
    }

    /// `None` for one of another sign-out's, made up, or too old: then nobody is sent anywhere.
    pub fn open(text: &str, keys: &SealingKeys, host: &str, now: Timestamp) -> Option<Self> {
        let state: Self = serde_json::from_slice(&keys.open(Purpose::State, NAME, host, text.as_bytes())?).ok()?;
        (state.began.plus(LIFETIME) > now).then_some(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn logout_02_a_state_counts_on_its_host_for_an_hour() {
        let keys = SealingKeys::new(&[Secret::new((0..32).map(|at| at * 7 + 3).collect())]).unwrap();
        let state = LogoutState { return_to: Some("/bye".into()), told: false, everywhere: false, began: Timestamp(1000) };
        let sealed = state.seal(&keys, "a.example", [1; NONCE_LENGTH]);
        assert_eq!(LogoutState::open(&sealed, &keys, "a.example", Timestamp(4599)), Some(state.clone()));
        assert_eq!(LogoutState::open(&sealed, &keys, "a.example", Timestamp(4600)), None);
        assert_eq!(LogoutState::open(&sealed, &keys, "b.example", Timestamp(1000)), None);
        let sign_in = keys.seal(Purpose::State, "auth0", "a.example", [1; NONCE_LENGTH], serde_json::to_vec(&state).unwrap());
        assert_eq!(LogoutState::open(&sign_in, &keys, "a.example", Timestamp(1000)), None);
        for bad in ["", "x", &sealed[1..], &format!("{sealed}A")] {
            assert_eq!(LogoutState::open(bad, &keys, "a.example", Timestamp(1000)), None, "{bad:?}");
        }
    }
}
