//! The claims of somebody, as small as they can be kept: in the token that says them, where nothing was added to it.
//!
//! Most tokens are decided about by what [`super::Identity`] read from their claims at once; a map of all of them, a value each in
//! memory of its own, would cost more than everything else that a token needs but its signature.

use std::fmt;
use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value};

use crate::token::claims_said;

/// Claims, read when somebody looks at them.
#[derive(Clone)]
pub(super) struct KeptClaims {
    /// What was verified, and was a good token then; whoever remembers it has it as well. Without it the claims are read already.
    token: Option<Arc<[u8]>>,
    read: OnceLock<Map<String, Value>>,
}

impl KeptClaims {
    /// What this token says.
    pub(super) fn in_token(token: Arc<[u8]>) -> Self {
        Self { token: Some(token), read: OnceLock::new() }
    }

    /// Just these.
    pub(super) fn of(claims: Map<String, Value>) -> Self {
        Self { token: None, read: OnceLock::from(claims) }
    }

    pub(super) fn map(&self) -> &Map<String, Value> {
        // The same bytes were read by the same functions before: they cannot say anything else now. No claims at all would be an
        // answer to `when`, and could be a yes; a panic ends the request.
        self.read.get_or_init(|| self.said().expect("what was a good token is one"))
    }

    fn said(&self) -> Option<Map<String, Value>> {
        claims_said(std::str::from_utf8(self.token.as_deref()?).ok()?).ok()
    }
}

impl fmt::Debug for KeptClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.map().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::json;

    use super::*;
    use crate::token::strict_object;

    #[test]
    fn what_is_read_later_is_what_was_signed() {
        let text = br#" {"sub":"ada","n":[1,2.5,null],"deep":{"a":"\u0061"},"roles":["x"]} "#;
        let claims = strict_object(text).unwrap();
        let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(text));
        let kept = KeptClaims::in_token(token.as_bytes().into());
        assert!(kept.read.get().is_none(), "nobody has looked");
        assert_eq!(kept.map(), &claims);
        assert_eq!(kept.clone().map(), &claims);
        assert_eq!(format!("{kept:?}"), format!("{claims:?}"));
    }

    #[test]
    fn claims_that_no_token_says_are_kept_as_they_are() {
        let claims = json!({ "sub": "ada", "added": true });
        let claims = claims.as_object().unwrap();
        assert_eq!(KeptClaims::of(claims.clone()).map(), claims);
    }
}
