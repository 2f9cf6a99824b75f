//! The authorization response (RFC 6749 §4.1.2), read without guessing.

/// The parameters we know, each at most once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Callback {
    Code {
        state: String,
        code: String,
        issuer: Option<String>,
    },
    /// RFC 6749 §4.1.2.1. The text is the provider's at best; it is shown escaped and short, after `state` was checked.
    Error {
        state: String,
        error: String,
        description: Option<String>,
        issuer: Option<String>,
    },
}

/// Why a callback is no authorization response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum CallbackFault {
    #[error("a parameter came twice")]
    Duplicate,
    #[error("there is no state")]
    NoState,
    #[error("there is neither a code nor an error")]
    NoCode,
    #[error("a parameter is empty, too long or holds control characters")]
    Value,
    #[error("tokens have no place in a callback")]
    Tokens,
}

const STATE_LIMIT: usize = 8 * 1024;
const VALUE_LIMIT: usize = 4 * 1024;
/// Names that mean something here; each may come once.
const KNOWN: &[&str] = &["code", "state", "iss", "error", "error_description", "error_uri", "session_state", "scope"];

/// Splits a query (or form) into decoded pairs, refusing a broken escape.
pub fn parse_parameters(query: &str) -> Option<Vec<(String, String)>> {
    let mut rest = query.as_bytes();
    while let Some(at) = rest.iter().position(|b| *b == b'%') {
        if !rest.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
            return None;
        }
        rest = &rest[at + 3..];
    }
    Some(url::form_urlencoded::parse(query.as_bytes()).into_owned().collect())
}

impl Callback {
    /// Reads the query of a request to the callback.
    ///
    /// # Errors
    /// [`CallbackFault`]; nothing was asked of the provider yet, and nothing will be.
    pub fn parse(query: &str) -> Result<Self, CallbackFault> {
        let pairs = parse_parameters(query).ok_or(CallbackFault::Value)?;
        let one = |name: &str| {
            let mut values = pairs.iter().filter(|(known, _)| known == name).map(|(_, value)| value);
            let first = values.next();
            if values.next().is_some() { Err(CallbackFault::Duplicate) } else { Ok(first.cloned()) }
        };
        for name in KNOWN {
            one(name)?;
        }
        // Only the code flow was asked for: a token here was put here by somebody else.
        if ["access_token", "id_token", "response"].iter().any(|name| pairs.iter().any(|(known, _)| known == name)) {
            return Err(CallbackFault::Tokens);
        }
        let state = one("state")?.filter(|state| !state.is_empty()).ok_or(CallbackFault::NoState)?;
        if state.len() > STATE_LIMIT {
            return Err(CallbackFault::Value);
        }
        let issuer = one("iss")?;
        if let Some(error) = one("error")? {
            let description = one("error_description")?;
            return Ok(Self::Error { state, error, description, issuer });
        }
        let code = one("code")?.ok_or(CallbackFault::NoCode)?;
        // RFC 6749 §A.11: a code is visible characters.
        if code.is_empty() || code.len() > VALUE_LIMIT || code.bytes().any(|b| !(0x20..=0x7e).contains(&b)) {
            return Err(CallbackFault::Value);
        }
        Ok(Self::Code { state, code, issuer })
    }

    pub fn state(&self) -> &str {
        match self {
            Self::Code { state, .. } | Self::Error { state, .. } => state,
        }
    }

    /// RFC 9207 §2.4: when the answer names its issuer it must be the one asked; `required` when it said it would.
    pub fn issuer_is(&self, expected: &str, required: bool) -> bool {
        let (Self::Code { issuer, .. } | Self::Error { issuer, .. }) = self;
        issuer.as_deref().map_or(!required, |issuer| issuer == expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn param_01_a_parameter_that_comes_twice_is_refused() {
        for name in ["code", "state", "iss", "error"] {
            let query = format!("state=s&code=c&{name}=x&{name}=x");
            assert_eq!(Callback::parse(&query), Err(CallbackFault::Duplicate), "{name}");
        }
        assert!(Callback::parse("state=s&code=c&other=1&other=2").is_ok());
    }

    #[test]
    fn param_02_broken_values_are_refused() {
        let long = format!("state=s&code={}", "a".repeat(VALUE_LIMIT + 1));
        for bad in ["state=s&code=", "state=s&code=%00", "state=s&code=a%0d%0ab", "state=s&code=%", "state=s&code=%zz", &long] {
            assert_eq!(Callback::parse(bad), Err(CallbackFault::Value), "{bad}");
        }
    }

    #[test]
    fn adv_env_05_a_callback_without_its_parameters_is_no_callback() {
        for bad in ["", "&", "code", "code=c", "state=&code=c"] {
            assert_eq!(Callback::parse(bad), Err(CallbackFault::NoState), "{bad:?}");
        }
        for bad in ["state", "state=s", "state=%00"] {
            assert!(Callback::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn oidc_07_the_issuer_of_the_answer() {
        let with = Callback::parse("state=s&code=c&iss=https%3A%2F%2Fidp%2F").unwrap();
        assert!(with.issuer_is("https://idp/", false));
        assert!(!with.issuer_is("https://idp", false));
        let without = Callback::parse("state=s&code=c").unwrap();
        assert!(without.issuer_is("https://idp/", false));
        assert!(!without.issuer_is("https://idp/", true));
    }

    #[test]
    fn oidc_11_tokens_in_a_callback_are_refused() {
        assert_eq!(Callback::parse("state=s&code=c&id_token=x"), Err(CallbackFault::Tokens));
        assert_eq!(Callback::parse("state=s&access_token=x"), Err(CallbackFault::Tokens));
    }
}
