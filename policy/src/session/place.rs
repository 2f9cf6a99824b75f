//! Where a session cookie lives: on one host, or on a domain with all below it.

use std::borrow::Cow;

/// The cookie of one host. `__Host-`: Secure, this host alone, path `/` (RFC 6265bis §4.1.3.2).
pub const COOKIE: &str = "__Host-doorward";
/// The cookie that the hosts of a domain share. `__Secure-`: over TLS only (RFC 6265bis §4.1.3.1).
pub const DOMAIN_COOKIE: &str = "__Secure-doorward";

/// Whether a cookie of this name is Doorward's: it never reaches an app, and no app may set it.
pub fn is_own_cookie(name: &[u8]) -> bool {
    [COOKIE, DOMAIN_COOKIE].iter().any(|own| {
        name.strip_prefix(own.as_bytes()).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"-") || rest.starts_with(b"."))
    })
}

/// A place that a session cookie is sealed for. One of another place opens as nothing here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CookiePlace<'p> {
    /// A canonical host name.
    Host(&'p str),
    /// A canonical domain, without a dot before it.
    Domain(&'p str),
}

impl<'p> CookiePlace<'p> {
    /// The cookie of `host`: the domain's, where `host` is the domain or below it, else its own.
    pub fn of(host: &'p str, domain: Option<&'p str>) -> Self {
        match domain {
            Some(domain) if is_within(host, domain) => Self::Domain(domain),
            _ => Self::Host(host),
        }
    }

    /// The cookie's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Host(_) => COOKIE,
            Self::Domain(_) => DOMAIN_COOKIE,
        }
    }

    /// The `Domain` attribute (RFC 6265 §4.1.2.3).
    pub fn domain(self) -> Option<&'p str> {
        match self {
            Self::Host(_) => None,
            Self::Domain(domain) => Some(domain),
        }
    }

    /// What a seal is bound to. No host begins with a dot.
    pub(super) fn binding(self) -> Cow<'p, str> {
        match self {
            Self::Host(host) => Cow::Borrowed(host),
            Self::Domain(domain) => Cow::Owned(format!(".{domain}")),
        }
    }
}

impl<'p> From<&'p str> for CookiePlace<'p> {
    fn from(host: &'p str) -> Self {
        Self::Host(host)
    }
}

impl<'p> From<&'p String> for CookiePlace<'p> {
    fn from(host: &'p String) -> Self {
        Self::Host(host)
    }
}

/// Whether `host` is `domain` or below it, by whole labels.
pub fn is_within(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sess_01_a_domain_covers_whole_labels() {
        for (host, place) in [
            ("acme.dev", CookiePlace::Domain("acme.dev")),
            ("a.b.acme.dev", CookiePlace::Domain("acme.dev")),
            ("evilacme.dev", CookiePlace::Host("evilacme.dev")),
            ("acme.dev.evil.test", CookiePlace::Host("acme.dev.evil.test")),
        ] {
            assert_eq!(CookiePlace::of(host, Some("acme.dev")), place, "{host}");
        }
        assert_eq!(CookiePlace::of("acme.dev", None), CookiePlace::Host("acme.dev"));
    }

    #[test]
    fn cookie_06_both_names_and_all_that_grow_from_them_are_ours() {
        for ours in ["__Host-doorward", "__Host-doorward-attempt.x", "__Host-doorward-rounds", "__Secure-doorward", "__Secure-doorward-x"] {
            assert!(is_own_cookie(ours.as_bytes()), "{ours}");
        }
        for other in ["__Host-doorwards", "__Secure-door", "doorward", "__host-doorward", ""] {
            assert!(!is_own_cookie(other.as_bytes()), "{other}");
        }
    }
}
