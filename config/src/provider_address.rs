//! Where a provider may be: the one rule for addresses from its metadata and from the file (SSRF-01).

use url::{Host, Url};

use crate::settings::ProviderKind;

/// Why nobody is asked at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressFault {
    #[error("it is not https")]
    NotHttps,
    #[error("it names a user")]
    User,
    #[error("it has a `#`")]
    Fragment,
    #[error("it is not at the provider")]
    Elsewhere,
}

/// Whether the provider of this `issuer` may be asked at `url`: https, no user information, and a name rather than a bare address
/// unless the issuer is one. Plain http only where `insecure_http` says so.
///
/// # Errors
/// [`AddressFault`].
pub fn may_be_asked(url: &Url, issuer: &Url, kind: ProviderKind, insecure_http: bool) -> Result<(), AddressFault> {
    if !url.username().is_empty() || url.password().is_some() {
        return Err(AddressFault::User);
    }
    if url.fragment().is_some() {
        return Err(AddressFault::Fragment);
    }
    let home = url.host() == issuer.host();
    // Plain http is for an issuer on this machine, and for nothing that such an issuer points at elsewhere.
    if url.scheme() != "https" && !(insecure_http && home && url.scheme() == "http") {
        return Err(AddressFault::NotHttps);
    }
    // Auth0 serves all of a tenant from one name. Others (Google, Entra) spread over several: names, never bare addresses.
    let named = matches!(url.host(), Some(Host::Domain(domain)) if domain != "localhost" && !domain.ends_with(".localhost"));
    if home || (kind == ProviderKind::Oidc && named) { Ok(()) } else { Err(AddressFault::Elsewhere) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ssrf_01_a_provider_is_asked_at_its_own_name_or_at_another_name_over_https() {
        let asked =
            |url: &str, issuer: &str, kind, insecure| may_be_asked(&Url::parse(url).unwrap(), &Url::parse(issuer).unwrap(), kind, insecure);
        let oidc = |url| asked(url, "https://idp.acme.dev/realms/staff", ProviderKind::Oidc, false);
        for right in ["https://idp.acme.dev/keys", "https://keys.acme.dev/x?y=z", "https://www.googleapis.com/oauth2/v3/certs"] {
            assert_eq!(oidc(right), Ok(()), "{right}");
        }
        for (wrong, fault) in [
            ("http://idp.acme.dev/keys", AddressFault::NotHttps),
            ("file:///etc/passwd", AddressFault::NotHttps),
            ("https://169.254.169.254/latest", AddressFault::Elsewhere),
            ("https://[::1]/", AddressFault::Elsewhere),
            ("https://localhost/keys", AddressFault::Elsewhere),
            ("https://a.localhost/keys", AddressFault::Elsewhere),
            ("https://0x7f000001/keys", AddressFault::Elsewhere),
            ("https://user@idp.acme.dev/keys", AddressFault::User),
            ("https://idp.acme.dev/keys#x", AddressFault::Fragment),
        ] {
            assert_eq!(oidc(wrong), Err(fault), "{wrong}");
        }
        let local = |url, insecure| asked(url, "http://127.0.0.1:8080/", ProviderKind::Oidc, insecure);
        assert_eq!(local("http://127.0.0.1:8081/keys", true), Ok(()));
        assert_eq!(local("http://127.0.0.1:8081/keys", false), Err(AddressFault::NotHttps));
        assert_eq!(local("http://127.0.0.2/keys", true), Err(AddressFault::NotHttps));
        let auth0 = |url| asked(url, "https://acme.eu.auth0.com/", ProviderKind::Auth0, false);
        assert_eq!(auth0("https://acme.eu.auth0.com/v2/logout"), Ok(()));
        assert_eq!(auth0("https://other.eu.auth0.com/v2/logout"), Err(AddressFault::Elsewhere));
    }
}
