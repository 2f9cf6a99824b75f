//! Which application is asking (RFC 6749 §2.3, OIDC Core §9, RFC 7523 §3).

use std::collections::HashSet;

use aws_lc_rs::constant_time;
use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use url::form_urlencoded;

use super::Shared;
use super::params::Params;
use super::settings::{Client, ClientAuth};
use super::token::TokenError;

impl Shared {
    /// The application that made a request to the token or revocation endpoint, by the one method it is registered
    /// for. Everything else is the same refusal.
    pub(super) fn authenticated_client(&self, params: &Params, headers: &HeaderMap) -> Result<&Client, TokenError> {
        let presented = Presented::read(params, headers).ok_or_else(TokenError::unauthorized)?;
        let client = self.client(&presented.client_id).ok_or_else(TokenError::unauthorized)?;
        let proven = match (&client.auth, &presented.proof) {
            (ClientAuth::Post(secret), Proof::Post(given)) | (ClientAuth::Basic(secret), Proof::Basic(given)) => {
                constant_time::verify_slices_are_equal(secret.as_bytes(), given.as_bytes()).is_ok()
            }
            (ClientAuth::None, Proof::None) => true,
            (ClientAuth::PrivateKeyJwt(pem), Proof::Assertion(assertion)) => self.assertion_holds(&client.id, pem, assertion),
            (ClientAuth::Post(_) | ClientAuth::Basic(_) | ClientAuth::None | ClientAuth::PrivateKeyJwt(_), _) => false,
        };
        if proven { Ok(client) } else { Err(TokenError::unauthorized()) }
    }

    /// `iss` and `sub` are the application, `aud` is the issuer with its slash, at most five minutes, each `jti` once.
    fn assertion_holds(&self, client_id: &str, pem: &str, assertion: &str) -> bool {
        let Ok(key) = DecodingKey::from_rsa_pem(pem.as_bytes()) else {
            return false;
        };
        let mut validation = Validation::new(Algorithm::RS256);
        validation.algorithms = vec![Algorithm::RS256, Algorithm::RS384, Algorithm::PS256];
        validation.leeway = 10;
        validation.set_audience(&[&self.issuer]);
        validation.set_issuer(&[client_id]);
        validation.required_spec_claims = ["iss", "sub", "aud", "exp"].map(str::to_owned).into_iter().collect::<HashSet<_>>();
        let Ok(token) = jsonwebtoken::decode::<Assertion>(assertion, &key, &validation) else {
            return false;
        };
        let claims = token.claims;
        claims.sub == client_id
            && claims.exp <= self.now() + 300 + 10
            && self.store().families.first_sight_of_assertion(&claims.jti, claims.exp)
    }
}

#[derive(Deserialize)]
struct Assertion {
    sub: String,
    exp: i64,
    jti: String,
}

struct Presented {
    client_id: String,
    proof: Proof,
}

enum Proof {
    Post(String),
    Basic(String),
    Assertion(String),
    None,
}

impl Presented {
    /// `None` when nothing, or more than one method (RFC 6749 §2.3), is presented.
    fn read(params: &Params, headers: &HeaderMap) -> Option<Presented> {
        let basic = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Basic "));
        let secret = params.get("client_secret");
        let assertion = params.get("client_assertion");
        match (basic, secret, assertion) {
            (Some(basic), None, None) => {
                let decoded = String::from_utf8(STANDARD.decode(basic).ok()?).ok()?;
                let (id, secret) = decoded.split_once(':')?;
                Some(Presented { client_id: form_decoded(id), proof: Proof::Basic(form_decoded(secret)) })
            }
            (None, Some(secret), None) => Some(Presented { client_id: params.get("client_id")?.into(), proof: Proof::Post(secret.into()) }),
            (None, None, Some(assertion)) => {
                (params.get("client_assertion_type") == Some(ASSERTION_TYPE)).then_some(())?;
                // The assertion names the application; `client_id` is optional beside it (RFC 7521 §4.2).
                let client_id = match params.get("client_id") {
                    Some(id) => id.to_owned(),
                    None => jsonwebtoken::dangerous::insecure_decode::<Assertion>(assertion).ok()?.claims.sub,
                };
                Some(Presented { client_id, proof: Proof::Assertion(assertion.into()) })
            }
            (None, None, None) => Some(Presented { client_id: params.get("client_id")?.into(), proof: Proof::None }),
            _ => None,
        }
    }
}

/// Both halves of the credentials are form-encoded before they are joined (RFC 6749 §2.3.1).
fn form_decoded(text: &str) -> String {
    let pair = format!("v={text}");
    form_urlencoded::parse(pair.as_bytes()).next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
