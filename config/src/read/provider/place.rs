//! An address at a provider, as the file has it.

use url::Url;

use super::super::field::Field;
use crate::settings::{ProviderKind, may_be_asked};

/// Where the provider is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'p> {
    pub(super) kind: Option<ProviderKind>,
    /// `None`: it could not be read, and its addresses cannot be judged.
    pub(super) issuer: Option<&'p str>,
    pub(super) insecure_http: bool,
}

impl Place<'_> {
    /// `text` of the field, where this provider may be asked (SSRF-01).
    pub(super) fn address(self, field: &Field<'_>, text: &str) -> Option<Url> {
        const HELP: &str = "an address at the provider, as its documentation has it: `https://login.acme.dev/oauth2/token`";
        let shown = field.shown();
        let url = match Url::parse(text) {
            Ok(url) => url,
            Err(error) => return field.refuse(format!("`{shown}` is no address: {error}"), HELP),
        };
        let (kind, issuer) = (self.kind?, Url::parse(self.issuer?).ok()?);
        match may_be_asked(&url, &issuer, kind, self.insecure_http) {
            Ok(()) => Some(url),
            Err(fault) => field.refuse(
                format!("`{shown}`: {fault}"),
                match kind {
                    ProviderKind::Auth0 => "https, on the tenant's own domain",
                    ProviderKind::Oidc => {
                        "https, on the issuer's host or another name; plain http only beside an issuer with `insecure_http`"
                    }
                },
            ),
        }
    }
}
