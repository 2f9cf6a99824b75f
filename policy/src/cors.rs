//! Cross-origin requests (Fetch §3.2): which origins a route answers, and how a preflight is.

use std::time::Duration;

use http::Method;

/// A route's cross-origin policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cors {
    /// Byte-exact origins, as browsers send them: lower case, no path, no default port.
    pub origins: Vec<Box<str>>,
    pub methods: Vec<Method>,
    /// Lower case.
    pub headers: Vec<Box<str>>,
    pub credentials: bool,
    pub max_age: Duration,
    pub preflight: PreflightBy,
}

/// Who answers a preflight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PreflightBy {
    Doorward,
    App,
}

/// Header names and values to put on an answer.
pub type Fields = Vec<(&'static str, String)>;

impl Cors {
    /// Whether a script of `origin` may read answers of this route.
    pub fn allows(&self, origin: &[u8]) -> bool {
        self.origins.iter().any(|allowed| allowed.as_bytes() == origin)
    }

    /// The fields that let a script of `origin` read an answer of ours: none for an origin that is not listed.
    pub fn answer_fields(&self, origin: Option<&[u8]>) -> Fields {
        let Some(origin) = origin.filter(|origin| self.allows(origin)) else { return vec![("vary", "Origin".into())] };
        let mut fields = vec![
            ("access-control-allow-origin", String::from_utf8_lossy(origin).into_owned()),
            ("access-control-expose-headers", "WWW-Authenticate".into()),
            ("vary", "Origin".into()),
        ];
        if self.credentials {
            fields.push(("access-control-allow-credentials", "true".into()));
        }
        fields
    }

    /// The answer to a preflight: what the browser may go on with.
    pub fn preflight_fields(&self, origin: &[u8]) -> Fields {
        let mut fields = self.answer_fields(Some(origin));
        if self.allows(origin) {
            let methods: Vec<&str> = self.methods.iter().map(Method::as_str).collect();
            fields.push(("access-control-allow-methods", methods.join(", ")));
            if !self.headers.is_empty() {
                fields.push(("access-control-allow-headers", self.headers.join(", ")));
            }
            fields.push(("access-control-max-age", self.max_age.as_secs().to_string()));
        }
        fields
    }
}

/// Whether a request is a preflight: `OPTIONS` with an origin and the method it asks for (Fetch §3.2.2).
pub fn is_preflight(method: &Method, origin: Option<&[u8]>, requested_method: Option<&[u8]>) -> bool {
    *method == Method::OPTIONS && origin.is_some_and(|o| !o.is_empty()) && requested_method.is_some_and(|m| !m.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cors() -> Cors {
        Cors {
            origins: vec!["https://app.example.com".into()],
            methods: vec![Method::GET, Method::PUT],
            headers: vec!["authorization".into()],
            credentials: true,
            max_age: Duration::from_secs(600),
            preflight: PreflightBy::Doorward,
        }
    }

    #[test]
    fn cors_01_only_listed_origins_byte_for_byte() {
        for bad in [
            "null",
            "https://app.example.com.evil.test",
            "http://app.example.com",
            "https://APP.example.com",
            "https://app.example.com:443",
            "https://app.example.com/",
            "*",
            "",
        ] {
            let fields = cors().answer_fields(Some(bad.as_bytes()));
            assert_eq!(fields, [("vary", "Origin".to_string())], "{bad}");
        }
        let fields = cors().answer_fields(Some(b"https://app.example.com"));
        assert!(fields.contains(&("access-control-allow-origin", "https://app.example.com".into())));
        assert!(fields.contains(&("access-control-allow-credentials", "true".into())));
    }

    #[test]
    fn cors_01_a_preflight_names_methods_and_headers() {
        let fields = cors().preflight_fields(b"https://app.example.com");
        assert!(fields.contains(&("access-control-allow-methods", "GET, PUT".into())));
        assert!(fields.contains(&("access-control-max-age", "600".into())));
        assert_eq!(cors().preflight_fields(b"https://evil.test").len(), 1);
    }

    #[test]
    fn meth_03_only_a_real_preflight_counts() {
        assert!(is_preflight(&Method::OPTIONS, Some(b"https://a"), Some(b"PUT")));
        assert!(!is_preflight(&Method::OPTIONS, Some(b"https://a"), None));
        assert!(!is_preflight(&Method::OPTIONS, None, Some(b"PUT")));
        assert!(!is_preflight(&Method::GET, Some(b"https://a"), Some(b"PUT")));
    }
}
