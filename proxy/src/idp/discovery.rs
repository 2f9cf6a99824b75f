//! OpenID Connect Discovery 1.0: what a provider says about itself, and how much of it we believe.

use doorward_config::settings::{KeySource, Provider, may_be_asked};
use serde_json::{Map, Value};
use url::Url;

use super::{FetchFault, IdpClient};
use doorward_policy::token::{KeySet, strict_object};

/// The endpoints, checked.
#[derive(Debug, Clone)]
pub struct Metadata {
    pub authorization_endpoint: Url,
    pub token_endpoint: Url,
    /// `None`: the keys are not fetched.
    pub jwks_uri: Option<Url>,
    pub userinfo_endpoint: Option<Url>,
    pub end_session_endpoint: Option<Url>,
    /// RFC 7009. One that we may not go to is none.
    pub revocation_endpoint: Option<Url>,
    /// RFC 7662. The same.
    pub introspection_endpoint: Option<Url>,
    /// RFC 9207 §3: the provider promises an `iss` in every authorization response.
    pub issuer_in_response: bool,
}

/// Why discovery or the key set brought nothing usable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MetadataFault {
    #[error(transparent)]
    Fetch(#[from] FetchFault),
    #[error("not a JSON object")]
    Malformed,
    #[error("it names another issuer than the one configured")]
    Issuer,
    #[error("`{0}` is missing or no address to go to")]
    Endpoint(&'static str),
    #[error("it does not support PKCE with S256")]
    NoPkce,
    #[error("key set: {0}")]
    Keys(#[from] doorward_policy::token::KeySetFault),
}

impl MetadataFault {
    /// What metrics call it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Fetch(fault) => fault.label(),
            Self::Malformed => "malformed",
            Self::Issuer => "issuer",
            Self::Endpoint(_) => "endpoint",
            Self::NoPkce => "no_pkce",
            Self::Keys(_) => "keys",
        }
    }
}

impl IdpClient {
    /// Fetches and checks the provider's metadata.
    ///
    /// # Errors
    /// [`MetadataFault`].
    pub async fn discover(&self) -> Result<Metadata, MetadataFault> {
        // Discovery §4: the path is appended to the issuer, whose final slash goes.
        let address = format!("{}/.well-known/openid-configuration", self.provider().issuer.trim_end_matches('/'));
        let url = Url::parse(&address).map_err(|_| MetadataFault::Endpoint("issuer"))?;
        let answer = self.fetcher.send(&url, self.fetcher.get(&url)).await?;
        if answer.status != 200 {
            return Err(FetchFault::Status(answer.status.as_u16()).into());
        }
        let document = strict_object(&answer.body).map_err(|_| MetadataFault::Malformed)?;
        read(&document, self.provider())
    }

    /// Fetches the signing keys.
    ///
    /// # Errors
    /// [`MetadataFault`]; a set without a usable key is an error, never a set.
    pub async fn keys(&self, metadata: &Metadata) -> Result<KeySet, MetadataFault> {
        let url = metadata.jwks_uri.as_ref().ok_or(MetadataFault::Endpoint("jwks_uri"))?;
        let answer = self.fetcher.send(url, self.fetcher.get(url)).await?;
        if answer.status != 200 {
            return Err(FetchFault::Status(answer.status.as_u16()).into());
        }
        Ok(KeySet::parse(&answer.body, &self.provider().algorithms)?)
    }
}

fn read(document: &Map<String, Value>, provider: &Provider) -> Result<Metadata, MetadataFault> {
    // Discovery §4.3: exactly the issuer that was asked for.
    if document.get("issuer").and_then(Value::as_str) != Some(&provider.issuer) {
        return Err(MetadataFault::Issuer);
    }
    // RFC 8414 §2: when it lists challenge methods, S256 must be among them.
    if let Some(Value::Array(methods)) = document.get("code_challenge_methods_supported")
        && !methods.iter().any(|method| method == "S256")
    {
        return Err(MetadataFault::NoPkce);
    }
    let required = |name: &'static str| endpoint(document, name, provider)?.ok_or(MetadataFault::Endpoint(name));
    Ok(Metadata {
        authorization_endpoint: required("authorization_endpoint")?,
        token_endpoint: required("token_endpoint")?,
        jwks_uri: match &provider.keys {
            KeySource::Discovered => Some(required("jwks_uri")?),
            KeySource::Jwks(url) => Some(url.clone()),
            KeySource::Static(_) => None,
        },
        userinfo_endpoint: endpoint(document, "userinfo_endpoint", provider)?,
        end_session_endpoint: endpoint(document, "end_session_endpoint", provider)?,
        revocation_endpoint: endpoint(document, "revocation_endpoint", provider).unwrap_or_default(),
        introspection_endpoint: endpoint(document, "introspection_endpoint", provider).unwrap_or_default(),
        issuer_in_response: document.get("authorization_response_iss_parameter_supported") == Some(&Value::Bool(true)),
    })
}

/// An address that the document names, if we may go to it.
fn endpoint(document: &Map<String, Value>, name: &'static str, provider: &Provider) -> Result<Option<Url>, MetadataFault> {
    let fault = MetadataFault::Endpoint(name);
    let text = match document.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text,
        Some(_) => return Err(fault),
    };
    let url = Url::parse(text).map_err(|_| fault)?;
    let issuer = Url::parse(&provider.issuer).map_err(|_| MetadataFault::Endpoint("issuer"))?;
    match may_be_asked(&url, &issuer, provider.kind, provider.insecure_http) {
        Ok(()) => Ok(Some(url)),
        Err(_) => Err(fault),
    }
}
