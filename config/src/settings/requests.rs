//! How our requests to a provider differ from what the standards say, and how its bearer tokens are asked about again.

use std::time::Duration;

use http::HeaderName;
use url::Url;

/// The four requests of a sign-in's life.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Requests {
    pub authorize: RequestTemplate,
    pub token: RequestTemplate,
    pub refresh: RequestTemplate,
    pub logout: RequestTemplate,
}

/// One of them. What is not written stays as the standard has it, and so does whatever proves who we are and that the answer is ours:
/// none of the names here is one that Doorward sets itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RequestTemplate {
    /// Instead of the endpoint of the provider's metadata. An address that the provider may be at, without a query.
    pub url: Option<Url>,
    /// The query of `url` where the request is one that we send: for a redirect it is among `params`.
    pub query: Vec<(String, Template)>,
    /// Added to the query of a redirect, to the form of a request that we send. What is written as a whole form is here too.
    pub params: Vec<(String, Template)>,
    /// Only of requests that we send.
    pub headers: Vec<(HeaderName, Template)>,
}

/// Text with places for what only the moment knows: `${code}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pub parts: Vec<TemplatePart>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplatePart {
    Literal(String),
    Placeholder(Placeholder),
}

impl Template {
    /// Whether it has a place for this.
    pub fn names(&self, placeholder: Placeholder) -> bool {
        self.parts.contains(&TemplatePart::Placeholder(placeholder))
    }

    /// The text with its places filled; `None` where one of them has no value now.
    pub fn fill<'v>(&self, value: impl Fn(Placeholder) -> Option<&'v str>) -> Option<String> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                TemplatePart::Literal(literal) => text.push_str(literal),
                TemplatePart::Placeholder(placeholder) => text.push_str(value(*placeholder)?),
            }
        }
        Some(text)
    }
}

/// What a request template may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placeholder {
    ClientId,
    /// Where the browser comes back to: after a sign-in its callback, after a sign-out what the provider is told.
    RedirectUri,
    Code,
    RefreshToken,
    /// Only a session on our side keeps one.
    IdToken,
    /// What a link to `login` says.
    IdpHint,
    /// The bearer token that is asked about.
    AccessToken,
}

impl Placeholder {
    pub const ALL: &'static [Self] =
        &[Self::ClientId, Self::RedirectUri, Self::Code, Self::RefreshToken, Self::IdToken, Self::IdpHint, Self::AccessToken];

    /// As it is written, without `${` and `}`.
    pub fn name(self) -> &'static str {
        match self {
            Self::ClientId => "clientId",
            Self::RedirectUri => "redirectUri",
            Self::Code => "code",
            Self::RefreshToken => "refreshToken",
            Self::IdToken => "id_token",
            Self::IdpHint => "idp_hint",
            Self::AccessToken => "accessToken",
        }
    }
}

/// How a bearer token is asked about again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revalidate {
    pub by: RevalidateBy,
    /// How long an answer counts.
    pub every: Duration,
    pub request: RequestTemplate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevalidateBy {
    /// RFC 7662
    Introspection,
    /// OIDC Core §5.3
    Userinfo,
}
