//! An answer of our own: status, fields and a whole body.

use bytes::Bytes;
use doorward_policy::cors::Fields;
use doorward_policy::login::ATTEMPT_COOKIE;
use doorward_policy::session::{COOKIE, CookiePlace};
use http::header::{self, HeaderName, HeaderValue};

/// Written in one go; nothing of an app's answer is ever mixed into it.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub fields: Vec<(HeaderName, HeaderValue)>,
    pub body: Bytes,
}

impl Reply {
    /// An answer nobody may store (RFC 9111 §5.2.2.5), sniff or frame, and whose address goes to no other site.
    pub fn new(status: u16) -> Self {
        let fields = vec![
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
            (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        ];
        Self { status, fields, body: Bytes::new() }
    }

    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        let mut reply = Self::new(status).field(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        reply.body = Bytes::from(body.to_string());
        reply
    }

    /// A page; `policy` is its Content-Security-Policy.
    pub fn html(status: u16, body: String, policy: &HeaderValue) -> Self {
        let mut reply = Self::new(status)
            .field(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"))
            .field(header::CONTENT_SECURITY_POLICY, policy.clone())
            .field(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        reply.body = Bytes::from(body);
        reply
    }

    /// A redirect. A location that is no header value (it was checked before) becomes the root.
    pub fn redirect(status: u16, location: &str) -> Self {
        let location = HeaderValue::from_str(location).unwrap_or(HeaderValue::from_static("/"));
        Self::new(status).field(header::LOCATION, location)
    }

    /// For pages with a form: under `no-referrer` browsers post it with `Origin: null` (Fetch §3.2.5), and we could not
    /// tell it from another site's.
    #[must_use]
    pub fn with_form(mut self) -> Self {
        self.fields.retain(|(name, _)| *name != header::REFERRER_POLICY);
        self.field(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"))
    }

    #[must_use]
    pub fn field(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.fields.push((name, value));
        self
    }

    /// Adds a text that may not fit into a field; then the field is left out.
    #[must_use]
    pub fn text_field(self, name: HeaderName, value: &str) -> Self {
        match HeaderValue::from_str(value) {
            Ok(value) => self.field(name, value),
            Err(_) => self,
        }
    }

    /// Sets a cookie of ours. `None` for `max_age`: as long as the browser runs.
    #[must_use]
    pub fn cookie(self, name: &str, value: &str, max_age: Option<u64>) -> Self {
        self.text_field(header::SET_COOKIE, &cookie(name, value, max_age))
    }

    /// Sets a cookie of ours that comes along when another site posts a form here (RFC 6265bis §5.6.7).
    #[must_use]
    pub fn cross_site_cookie(self, name: &str, value: &str, max_age: Option<u64>) -> Self {
        self.text_field(header::SET_COOKIE, &cookie(name, value, max_age).replace("SameSite=Lax", "SameSite=None"))
    }

    /// Deletes a cookie of ours: with the attributes it was set with, or browsers keep it (CVE-2025-55162).
    #[must_use]
    pub fn without_cookie(self, name: &str) -> Self {
        self.cookie(name, "", Some(0))
    }

    /// Begins a session with this `Set-Cookie` value. On a domain it takes the place of one that a host had of its own before.
    #[must_use]
    pub fn begin_session(self, place: CookiePlace<'_>, set_cookie: &str) -> Self {
        let reply = self.text_field(header::SET_COOKIE, set_cookie);
        match place {
            CookiePlace::Host(_) => reply,
            CookiePlace::Domain(_) => reply.without_cookie(COOKIE),
        }
    }

    /// Deletes the session cookie of a place, with the `Domain` it was set with.
    #[must_use]
    pub fn without_session(self, place: CookiePlace<'_>) -> Self {
        self.text_field(header::SET_COOKIE, &session_cookie(place, "", Some(0)))
    }

    #[must_use]
    pub fn without_attempt(self, id: &str) -> Self {
        self.without_cookie(&format!("{ATTEMPT_COOKIE}{id}"))
    }

    /// The cross-origin fields of a route.
    #[must_use]
    pub fn cross_origin(self, fields: Fields) -> Self {
        fields.into_iter().fold(self, |reply, (name, value)| reply.text_field(HeaderName::from_static(name), &value))
    }
}

/// The session cookie of a place: a host's as all others, a domain's with its `Domain` (RFC 6265bis §4.1.3.1).
pub fn session_cookie(place: CookiePlace<'_>, value: &str, max_age: Option<u64>) -> String {
    let cookie = cookie(place.name(), value, max_age);
    match place.domain() {
        Some(domain) => format!("{cookie}; Domain={domain}"),
        None => cookie,
    }
}

/// The one way a cookie of ours is written: `__Host-` demands Secure, path `/` and no domain (RFC 6265bis §4.1.3.2).
pub fn cookie(name: &str, value: &str, max_age: Option<u64>) -> String {
    let age = max_age.map(|seconds| format!("; Max-Age={seconds}")).unwrap_or_default();
    format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=Lax{age}")
}
