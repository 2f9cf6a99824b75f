//! How Doorward proves to the provider that it is the client (OIDC Core §9).

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RsaKeyPair};
use doorward_policy::token::Algorithm;
use jsonwebtoken::EncodingKey;

use super::super::field::Field;
use super::super::map::Map;
use crate::settings::{ClientAuth, ProviderKind};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Post,
    Basic,
    None,
    PrivateKeyJwt,
}

pub(super) fn read(map: &Map<'_>, kind: Option<ProviderKind>) -> Option<ClientAuth> {
    let methods = [("post", Method::Post), ("basic", Method::Basic), ("none", Method::None), ("private_key_jwt", Method::PrivateKeyJwt)];
    let default = if kind == Some(ProviderKind::Auth0) { Method::Post } else { Method::Basic };
    let method = map.or("client_auth", default, |field| field.one_of(&methods));
    let (secret, key, key_id) = (map.optional("client_secret"), map.optional("private_key"), map.optional("key_id"));
    let useless = |field: Option<Field<'_>>, name: &str, help: &str| match field {
        Some(field) => field.reading.refuse::<()>(field.at(), &field.key, format!("`{name}` has no use with this `client_auth`"), help),
        None => Some(()),
    };
    match method? {
        method @ (Method::Post | Method::Basic) => {
            let clean = useless(key, "private_key", "leave it out, or write `client_auth: private_key_jwt`");
            let clean = useless(key_id, "key_id", "leave it out").and(clean);
            let secret = match secret {
                Some(secret) => secret.secret_text(),
                None => map.missing("client_secret", "add `client_secret: { file: … }`, or choose another `client_auth`"),
            };
            let secret = clean.and(secret)?;
            Some(if method == Method::Post { ClientAuth::Post(secret) } else { ClientAuth::Basic(secret) })
        }
        Method::None => {
            let clean = useless(secret, "client_secret", "leave it out, or write `client_auth: post`");
            let clean = useless(key, "private_key", "leave it out, or write `client_auth: private_key_jwt`").and(clean);
            useless(key_id, "key_id", "leave it out").and(clean).map(|()| ClientAuth::None)
        }
        Method::PrivateKeyJwt => {
            let clean = useless(secret, "client_secret", "leave it out: the private key stands for it");
            let kid = match key_id {
                Some(field) => field.text().map(|kid| Some(kid.to_owned())),
                None => Some(None),
            };
            let key = match key {
                Some(key) => read_key(&key),
                None => map.missing("private_key", "add `private_key: { file: … }`"),
            };
            let (key, kid) = (clean.and(key)?, kid?);
            Some(ClientAuth::PrivateKeyJwt { key: key.0, algorithm: key.1, kid })
        }
    }
}

type SigningKey = (doorward_policy::secret::Secret<Vec<u8>>, Algorithm);

/// A PEM key that really signs: RSA (RS256) or EC on P-256 (ES256).
fn read_key(field: &Field<'_>) -> Option<SigningKey> {
    const HELP: &str = "a PEM private key, not encrypted: RSA of 2048 bits or more, or EC on P-256 in PKCS#8 (`openssl genpkey`)";
    let pem = field.secret()?;
    if let Ok(key) = EncodingKey::from_rsa_pem(pem.expose()) {
        return match RsaKeyPair::from_der(key.as_bytes()) {
            Ok(_) => Some((pem, Algorithm::Rs256)),
            Err(_) => field.refuse("the RSA key is broken or too short", HELP),
        };
    }
    if let Ok(key) = EncodingKey::from_ec_pem(pem.expose()) {
        return match EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.as_bytes()) {
            Ok(_) => Some((pem, Algorithm::Es256)),
            Err(_) => field.refuse("the EC key is not on curve P-256", HELP),
        };
    }
    field.refuse("this is no private key", HELP)
}
