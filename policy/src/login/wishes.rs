//! What a sign-in asks of the provider besides who it is.

use serde::{Deserialize, Serialize};

use crate::access::StepUp;

/// All of it. Travels sealed, or is read anew; what a browser says it must be is a wish at most.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    #[serde(rename = "w", default, skip_serializing_if = "Wishes::is_empty")]
    pub wishes: Wishes,
    /// What the rule demands.
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    pub step_up: Option<StepUp>,
}

/// Parameters of the authorization request that choose how somebody signs in, and never what is asked for (OIDC Core
/// §3.1.2.1; `organization`, `invitation`, `connection` and `screen_hint` are Auth0's).
pub const WISHES: [&str; 8] = ["login_hint", "ui_locales", "screen_hint", "organization", "invitation", "connection", PROMPT, IDP_HINT];
const PROMPT: &str = "prompt";
/// What a request template puts where its provider expects it; under this name it is never sent.
pub const IDP_HINT: &str = "idp_hint";
const ORGANIZATION: &str = "organization";
/// Longest value, in bytes.
const LIMIT: usize = 512;
/// The same of [`IDP_HINT`]: the name of a connection or of another provider behind the provider.
const HINT_LIMIT: usize = 64;

/// Some of them, each at most once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wishes(Vec<(Box<str>, Box<str>)>);

/// Why a link is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WishFault {
    #[error("a parameter came twice")]
    Duplicate,
    #[error("a value is empty, too long or holds control characters")]
    Value,
}

impl Wishes {
    /// Reads all of them; [`Wishes::allowed`] takes those that a provider's links may set.
    ///
    /// # Errors
    /// [`WishFault`]. A `prompt` that is neither `login` nor `select_account` is dropped: `none` would answer with an error
    /// instead of a sign-in, and consent is the provider's to ask for.
    pub fn read(pairs: &[(String, String)]) -> Result<Self, WishFault> {
        let mut wishes = Vec::new();
        for name in WISHES {
            let mut values = pairs.iter().filter(|(own, _)| own == name).map(|(_, value)| value.as_str());
            let Some(value) = values.next() else { continue };
            // PARAM-01
            if values.next().is_some() {
                return Err(WishFault::Duplicate);
            }
            if value.is_empty() || value.len() > LIMIT || value.chars().any(char::is_control) {
                return Err(WishFault::Value);
            }
            if name == IDP_HINT && !is_hint(value) {
                return Err(WishFault::Value);
            }
            if name != PROMPT || matches!(value, "login" | "select_account") {
                wishes.push((name.into(), value.into()));
            }
        }
        Ok(Self(wishes))
    }

    /// To be asked who it is, whoever the provider remembers.
    pub fn to_be_asked() -> Self {
        Self(vec![(PROMPT.into(), "login".into())])
    }

    /// For one organization (Auth0).
    pub fn for_organization(organization: Option<&str>) -> Self {
        Self(organization.map(|value| (ORGANIZATION.into(), value.into())).into_iter().collect())
    }

    /// Those that `allows` lets through; `prompt` always is.
    #[must_use]
    pub fn allowed(&self, allows: impl Fn(&str) -> bool) -> Self {
        Self(self.0.iter().filter(|(name, _)| **name == *PROMPT || allows(name)).cloned().collect())
    }

    /// The one of this name, if it is among them.
    #[must_use]
    pub fn only(&self, name: &str) -> Self {
        Self(self.0.iter().filter(|(own, _)| **own == *name).cloned().collect())
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| **own == *name).map(|(_, value)| &**value)
    }

    pub fn organization(&self) -> Option<&str> {
        self.get(ORGANIZATION)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Letters, digits, `.`, `_` and `-`, the first no sign.
fn is_hint(value: &str) -> bool {
    value.len() <= HINT_LIMIT
        && value.starts_with(|first: char| first.is_ascii_alphanumeric())
        && value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Wishes, WishFault> {
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Wishes::read(&pairs)
    }

    #[test]
    fn oidc_18_a_wish_is_one_of_a_list_and_comes_once() {
        let wishes =
            read(&[("login_hint", "ada@acme.dev"), ("scope", "admin"), ("redirect_uri", "https://evil.test/"), ("nonce", "n")]).unwrap();
        assert_eq!(wishes.iter().collect::<Vec<_>>(), [("login_hint", "ada@acme.dev")]);
        assert_eq!(read(&[("login_hint", "a"), ("login_hint", "a")]), Err(WishFault::Duplicate));
        for value in ["", "a\r\nb", "a\0", &"a".repeat(LIMIT + 1)] {
            assert_eq!(read(&[("organization", value)]), Err(WishFault::Value), "{value:?}");
        }
        assert!(read(&[("organization", &"a".repeat(LIMIT))]).is_ok());
    }

    #[test]
    fn oidc_18_an_idp_hint_is_a_short_name() {
        for right in ["google", "google-oauth2", "Acme_AD.2", &"a".repeat(HINT_LIMIT)] {
            assert_eq!(read(&[("idp_hint", right)]).unwrap().get(IDP_HINT), Some(right));
        }
        for wrong in ["", "a b", "a&b=c", "../x", ".a", "-a", "ä", "a%20b", "a/b", &"a".repeat(HINT_LIMIT + 1)] {
            assert_eq!(read(&[("idp_hint", wrong)]), Err(WishFault::Value), "{wrong}");
        }
        assert_eq!(read(&[("idp_hint", "a"), ("idp_hint", "b")]), Err(WishFault::Duplicate));
    }

    #[test]
    fn oidc_18_only_two_prompts_are_passed_on_and_the_rest_as_far_as_it_is_allowed() {
        for (prompt, passes) in [("login", true), ("select_account", true), ("none", false), ("consent", false), ("login none", false)] {
            assert_eq!(read(&[("prompt", prompt)]).unwrap().get("prompt").is_some(), passes, "{prompt}");
        }
        let wishes = read(&[("prompt", "login"), ("login_hint", "a"), ("organization", "org_1")]).unwrap();
        let some = wishes.allowed(|name| name == "login_hint");
        assert_eq!(some.iter().collect::<Vec<_>>(), [("login_hint", "a"), ("prompt", "login")]);
    }
}
