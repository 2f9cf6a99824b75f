//! Parameters of a request: from a query, a form or a JSON body.

use std::collections::BTreeMap;

use serde_json::Value;
use url::form_urlencoded;

/// Names and values, each name once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Params(BTreeMap<String, String>);

impl Params {
    /// Parameters must not be included more than once (RFC 6749 §3.1 and §3.2); the error names the one that is.
    pub(super) fn from_form(text: &str) -> Result<Params, String> {
        let mut params = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            if params.insert(name.to_string(), value.into_owned()).is_some() {
                return Err(format!("Parameter specified multiple times: {name}"));
            }
        }
        Ok(Params(params))
    }

    /// Auth0's token endpoint also takes a JSON object.
    pub(super) fn from_json(text: &str) -> Result<Params, String> {
        let Ok(Value::Object(members)) = serde_json::from_str(text) else {
            return Err("Invalid JSON body".into());
        };
        let text = |(name, value)| match value {
            Value::String(value) => Some((name, value)),
            Value::Number(value) => Some((name, value.to_string())),
            _ => None,
        };
        Ok(Params(members.into_iter().filter_map(text).collect()))
    }

    /// An empty value counts as absent (RFC 6749 §3.1).
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub(super) fn into_map(self) -> BTreeMap<String, String> {
        self.0
    }
}
