//! The authorization request (RFC 6749 §4.1.1, OIDC Core §3.1.2.1): every parameter exactly once.

use std::collections::BTreeMap;

use url::Url;

use super::{Asked, Attempt};

/// Parameters that are ours to set: neither the configuration nor a caller can add a second one.
pub const RESERVED_PARAMETERS: &[&str] = &[
    "response_type",
    "response_mode",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "audience",
    "organization",
    "connection",
    "request",
    "request_uri",
    "registration",
];

/// What a provider's configuration adds to the request.
#[derive(Debug, Clone, Copy)]
pub struct AuthorizationRequest<'r> {
    pub client_id: &'r str,
    pub scope: &'r str,
    pub audience: Option<&'r str>,
    pub organization: Option<&'r str>,
    pub connection: Option<&'r str>,
    pub extra: &'r BTreeMap<String, String>,
    /// OAuth 2.0 Multiple Response Type Encoding Practices §2.1; `None`: as it is by default.
    pub response_mode: Option<&'r str>,
    pub asked: &'r Asked,
}

impl AuthorizationRequest<'_> {
    /// The address to send the browser to.
    pub fn url(&self, endpoint: &Url, attempt: &Attempt, state: &str) -> Url {
        let mut parameters: BTreeMap<&str, &str> = BTreeMap::new();
        // RFC 6749 §3.1: an endpoint may have a query of its own, which stays; ours wins over it.
        let own: Vec<(String, String)> = endpoint.query_pairs().into_owned().collect();
        parameters.extend(own.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        parameters.extend(
            self.extra
                .iter()
                .filter(|(name, _)| !RESERVED_PARAMETERS.contains(&name.as_str()))
                .map(|(name, value)| (name.as_str(), value.as_str())),
        );
        // OIDC Core §3.1.2.1: `none` is answered with an error by whoever would have to ask something.
        parameters.retain(|name, value| *name != "prompt" || !value.split(' ').any(|prompt| prompt == "none"));
        // What is configured stays: a link only says what was left open.
        let configured = [("organization", self.organization), ("connection", self.connection)];
        let open = |name: &str| !configured.iter().any(|(own, value)| *own == name && value.is_some());
        for (name, value) in self.asked.wishes.iter().filter(|(name, _)| open(name)) {
            parameters.entry(name).or_insert(value);
        }
        let step_up: Vec<(&str, String)> = self.asked.step_up.iter().flat_map(|step_up| step_up.parameters()).collect();
        parameters.extend(step_up.iter().map(|(name, value)| (*name, value.as_str())));
        let challenge = attempt.code_challenge();
        parameters.extend([
            ("response_type", "code"),
            ("client_id", self.client_id),
            ("redirect_uri", &*attempt.redirect_uri),
            ("scope", self.scope),
            ("state", state),
            ("nonce", &*attempt.nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        let optional = [("audience", self.audience), ("response_mode", self.response_mode)];
        parameters.extend(optional.iter().chain(&configured).filter_map(|(name, value)| value.map(|value| (*name, value))));
        let mut url = endpoint.clone();
        url.query_pairs_mut().clear().extend_pairs(parameters);
        url
    }
}
