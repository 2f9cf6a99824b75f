//! Client authentication at the token endpoint (OIDC Core §9, RFC 6749 §2.3).

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use doorward_config::settings::{ClientAuth, Provider};
use doorward_policy::time::Timestamp;
use doorward_policy::token::Algorithm;
use jsonwebtoken::{EncodingKey, Header};
use reqwest::RequestBuilder;
use serde_json::json;

use crate::entropy;

/// RFC 7523 §3: an assertion lives a minute.
const ASSERTION_LIFETIME: i64 = 60;

/// The client cannot prove who it is: a key that does not sign, or no random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the client assertion could not be made")]
pub struct AssertionFault;

/// The fields of a form.
pub(super) type Form = Vec<(String, String)>;

/// Adds the client's credentials to a form request.
pub(super) fn authenticate(
    provider: &Provider,
    request: RequestBuilder,
    mut form: Form,
    now: Timestamp,
) -> Result<RequestBuilder, AssertionFault> {
    let request = match &provider.client_auth {
        ClientAuth::Basic(secret) => {
            // RFC 6749 §2.3.1: both parts are form-encoded before they are joined.
            let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            let pair = format!("{}:{}", encode(&provider.client_id), encode(secret.expose()));
            request.header("authorization", format!("Basic {}", STANDARD.encode(pair)))
        }
        ClientAuth::Post(secret) => {
            form.push(("client_id".into(), provider.client_id.clone()));
            form.push(("client_secret".into(), secret.expose().clone()));
            request
        }
        ClientAuth::None => {
            form.push(("client_id".into(), provider.client_id.clone()));
            request
        }
        ClientAuth::PrivateKeyJwt { key, algorithm, kid } => {
            form.push(("client_id".into(), provider.client_id.clone()));
            form.push(("client_assertion_type".into(), "urn:ietf:params:oauth:client-assertion-type:jwt-bearer".into()));
            form.push(("client_assertion".into(), assertion(provider, key.expose(), *algorithm, kid.clone(), now)?));
            request
        }
    };
    Ok(request.form(&form))
}

/// RFC 7523 §3; the audience is the issuer, as OIDC Core §9 allows and Auth0 demands.
fn assertion(provider: &Provider, pem: &[u8], algorithm: Algorithm, kid: Option<String>, now: Timestamp) -> Result<String, AssertionFault> {
    let (key, algorithm) = signing_key(pem, algorithm).ok_or(AssertionFault)?;
    let id: [u8; 16] = entropy::random().map_err(|_| AssertionFault)?;
    let claims = json!({
        "iss": provider.client_id,
        "sub": provider.client_id,
        "aud": provider.issuer,
        "jti": URL_SAFE_NO_PAD.encode(id),
        "iat": now.0,
        "exp": now.0 + ASSERTION_LIFETIME,
    });
    let header = Header { kid, ..Header::new(algorithm) };
    jsonwebtoken::encode(&header, &claims, &key).map_err(|_| AssertionFault)
}

fn signing_key(pem: &[u8], algorithm: Algorithm) -> Option<(EncodingKey, jsonwebtoken::Algorithm)> {
    use jsonwebtoken::Algorithm as Jwa;
    let jwa = match algorithm {
        Algorithm::Rs256 => Jwa::RS256,
        Algorithm::Rs384 => Jwa::RS384,
        Algorithm::Rs512 => Jwa::RS512,
        Algorithm::Ps256 => Jwa::PS256,
        Algorithm::Ps384 => Jwa::PS384,
        Algorithm::Ps512 => Jwa::PS512,
        Algorithm::Es256 => Jwa::ES256,
        Algorithm::Es384 => Jwa::ES384,
        Algorithm::EdDsa => Jwa::EdDSA,
    };
    let key = match jwa {
        Jwa::ES256 | Jwa::ES384 => EncodingKey::from_ec_pem(pem),
        Jwa::EdDSA => EncodingKey::from_ed_pem(pem),
        _ => EncodingKey::from_rsa_pem(pem),
    };
    key.ok().map(|key| (key, jwa))
}
