//! A request template and what it is filled with. Every value is encoded where it is put: none can add a field, a header or an
//! address of its own.

use std::borrow::Cow;

use doorward_config::settings::{Placeholder, RequestTemplate, Template};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use reqwest::RequestBuilder;
use url::Url;

use super::IdpClient;
use super::authentication::Form;

/// What would end a header's value or hide in it (RFC 9110 §5.5); what is not ASCII is encoded in any case.
const IN_A_HEADER: &AsciiSet = &CONTROLS.add(b' ').add(b'%');

/// What placeholders stand for in one request. What is `None` has no value: a parameter or header that names it is left out.
#[derive(Clone, Copy)]
pub struct Filling<'f> {
    pub client_id: &'f str,
    pub redirect_uri: Option<&'f str>,
    pub code: Option<&'f str>,
    pub refresh_token: Option<&'f str>,
    pub id_token: Option<&'f str>,
    pub idp_hint: Option<&'f str>,
    pub access_token: Option<&'f str>,
}

impl std::fmt::Debug for Filling<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Filling([redacted])")
    }
}

impl<'f> Filling<'f> {
    /// Only the client.
    pub fn of(client_id: &'f str) -> Self {
        Self { client_id, redirect_uri: None, code: None, refresh_token: None, id_token: None, idp_hint: None, access_token: None }
    }

    fn text(&self, template: &Template) -> Option<String> {
        template.fill(|placeholder| match placeholder {
            Placeholder::ClientId => Some(self.client_id),
            Placeholder::RedirectUri => self.redirect_uri,
            Placeholder::Code => self.code,
            Placeholder::RefreshToken => self.refresh_token,
            Placeholder::IdToken => self.id_token,
            Placeholder::IdpHint => self.idp_hint,
            Placeholder::AccessToken => self.access_token,
        })
    }

    /// The parameters that have a value. They are not encoded yet.
    pub fn params<'t>(&self, template: &'t RequestTemplate) -> impl Iterator<Item = (&'t str, String)> {
        self.pairs(&template.params)
    }

    fn pairs<'t>(&self, pairs: &'t [(String, Template)]) -> impl Iterator<Item = (&'t str, String)> {
        pairs.iter().filter_map(|(name, value)| Some((name.as_str(), self.text(value)?)))
    }

    /// Where the request goes: as the template says, or else to the `usual` endpoint.
    pub(super) fn address<'u>(&self, template: &RequestTemplate, usual: &'u Url) -> Cow<'u, Url> {
        let Some(mut url) = template.url.clone() else {
            return Cow::Borrowed(usual);
        };
        if !template.query.is_empty() {
            url.query_pairs_mut().extend_pairs(self.pairs(&template.query));
        }
        Cow::Owned(url)
    }

    /// `ours`, then what the template adds: it has none of our names.
    pub(super) fn form(&self, template: &RequestTemplate, ours: &[(&str, &str)]) -> Form {
        let ours = ours.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        ours.chain(self.params(template).map(|(name, value)| (name.to_owned(), value))).collect()
    }

    pub(super) fn headers(&self, template: &RequestTemplate, request: RequestBuilder) -> RequestBuilder {
        let filled = template.headers.iter().filter_map(|(name, value)| Some((name, self.header(value)?)));
        filled.fold(request, |request, (name, value)| request.header(name, value))
    }

    /// What the operator wrote is visible ASCII; what is filled in is made so.
    fn header(&self, template: &Template) -> Option<String> {
        let encoded: Vec<(Placeholder, String)> = Placeholder::ALL
            .iter()
            .filter(|placeholder| template.names(**placeholder))
            .map(|placeholder| {
                let alone = Template { parts: vec![doorward_config::settings::TemplatePart::Placeholder(*placeholder)] };
                Some((*placeholder, utf8_percent_encode(&self.text(&alone)?, IN_A_HEADER).to_string()))
            })
            .collect::<Option<_>>()?;
        template.fill(|placeholder| encoded.iter().find(|(known, _)| *known == placeholder).map(|(_, value)| value.as_str()))
    }
}

impl IdpClient {
    pub(super) fn filling(&self) -> Filling<'_> {
        Filling::of(&self.provider().client_id)
    }
}
