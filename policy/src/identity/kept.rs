//! The claims of somebody, as small as they can be kept: the text that was signed, where nothing was added to it.
//!
//! Most tokens are decided about by what [`super::Identity`] read from their claims at once; a map of all of them, a value each in
//! memory of its own, would cost more than everything else that a token needs but its signature.

use std::fmt;
use std::sync::OnceLock;

use serde_json::{Map, Value};

use crate::token::strict_object;

/// Claims, read when somebody looks at them.
#[derive(Clone)]
pub(super) struct KeptClaims {
    /// What was verified, and was a good object then.
    text: Box<[u8]>,
    read: OnceLock<Map<String, Value>>,
}

impl KeptClaims {
    /// `text` is what `claims` were read from, all of them and nothing else; without one they are kept as they are.
    pub(super) fn new(text: Option<Box<[u8]>>, claims: Map<String, Value>) -> Self {
        match text {
            Some(text) => Self { text, read: OnceLock::new() },
            None => Self { text: Box::default(), read: OnceLock::from(claims) },
        }
    }

    pub(super) fn map(&self) -> &Map<String, Value> {
        // The same bytes were read by the same function before: they cannot be anything else now. No claims at all would be an
        // answer to `when`, and could be a yes; a panic ends the request.
        self.read.get_or_init(|| strict_object(&self.text).expect("what was a good object is one"))
    }
}

impl fmt::Debug for KeptClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.map().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_read_later_is_what_was_signed() {
        let text = br#" {"sub":"ada","n":[1,2.5,null],"deep":{"a":"\u0061"},"roles":["x"]} "#;
        let claims = strict_object(text).unwrap();
        let kept = KeptClaims::new(Some(Box::from(&text[..])), claims.clone());
        assert!(kept.read.get().is_none(), "nobody has looked");
        assert_eq!(kept.map(), &claims);
        assert_eq!(kept.clone().map(), &claims);
        assert_eq!(format!("{kept:?}"), format!("{claims:?}"));
    }

    #[test]
    fn claims_without_a_text_are_kept_as_they_are() {
        let claims = json!({ "sub": "ada", "added": true });
        let claims = claims.as_object().unwrap();
        assert_eq!(KeptClaims::new(None, claims.clone()).map(), claims);
    }
}
