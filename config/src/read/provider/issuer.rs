//! The issuer: made from Auth0's domain, or taken byte for byte.

use doorward_policy::request::Host;
use url::Url;

use super::super::field::Field;
use super::super::map::Map;
use super::is_local_only;
use crate::settings::ProviderKind;

pub(super) fn read(map: &Map<'_>, kind: Option<ProviderKind>, insecure_http: bool) -> Option<String> {
    match kind {
        Some(ProviderKind::Auth0) => map.required("domain").and_then(|field| from_domain(map, &field, insecure_http)),
        Some(ProviderKind::Oidc) => map.required("issuer").and_then(|field| as_written(map, &field, insecure_http)),
        None => {
            // Whatever it is, one of these belongs to it.
            let _ = (map.optional("domain"), map.optional("issuer"));
            None
        }
    }
}

fn from_domain(map: &Map<'_>, field: &Field<'_>, insecure_http: bool) -> Option<String> {
    let text = field.name()?;
    let bare = |message: String| {
        let host = text.trim_start_matches("https://").trim_start_matches("http://");
        let host = host.split(['/', '?', '#', ':']).next().unwrap_or_default().trim_end_matches('.').to_ascii_lowercase();
        field.refuse(
            message,
            format!("write the bare host: `domain: {}`", if field.shown() == text { host.as_str() } else { "tenant.eu.auth0.com" }),
        )
    };
    if text.contains("://") || text.contains('/') {
        return bare(format!("`{}` is an address, not a host", field.shown()));
    }
    if text.contains(|c: char| c.is_ascii_uppercase()) {
        return bare(format!("`{}` has capital letters, and issuers are compared letter by letter", field.shown()));
    }
    let host = match Host::parse(text.as_bytes()) {
        Ok(host) => host,
        Err(fault) => {
            return field.refuse(format!("`{}`: {fault}", field.shown()), "the tenant's or custom domain: `tenant.eu.auth0.com`");
        }
    };
    if insecure_http {
        is_local_only(map, host.name(), field)?;
        return Some(format!("http://{text}/"));
    }
    if host.port().is_some() || text.ends_with('.') {
        return bare(format!("`{}` is more than a host", field.shown()));
    }
    Some(format!("https://{text}/"))
}

/// OpenID Connect Discovery §3: an https URL without query and fragment, compared byte for byte with `iss`.
fn as_written(map: &Map<'_>, field: &Field<'_>, insecure_http: bool) -> Option<String> {
    let text = field.name()?;
    let shown = field.shown();
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(error) => {
            return field.refuse(
                format!("`{shown}` is no address: {error}"),
                "exactly the `issuer` of the provider's /.well-known/openid-configuration",
            );
        }
    };
    if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
        return field.refuse(
            "an issuer has no query, no `#` and no user",
            "exactly the `issuer` of the provider's /.well-known/openid-configuration",
        );
    }
    match (url.scheme(), url.host_str()) {
        ("https", Some(_)) if !insecure_http => Some(text.to_owned()),
        ("https", Some(host)) => is_local_only(map, host, field).map(|()| text.to_owned()),
        ("http", Some(host)) if insecure_http => is_local_only(map, host, field).map(|()| text.to_owned()),
        ("http", Some(host)) => {
            let local = super::super::network::is_loopback(host);
            let help = if local { "for a provider on this machine, add `insecure_http: true`" } else { "write https://" };
            field.refuse(format!("`{shown}` is plain http"), help)
        }
        _ => field.refuse(format!("`{shown}` is not https"), "write https://"),
    }
}
