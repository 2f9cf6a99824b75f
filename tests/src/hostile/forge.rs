//! Tokens that lie.
//!
//! Each function changes one thing about a right token. [`REFUSED`] lists what no relying party may accept in an ID
//! token, [`ACCEPTED`] what differs from the usual and is right all the same. Names that begin with `oidcc-client-test`
//! are those of the OpenID Foundation's conformance suite.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};

use super::keys::base64url;

/// A change to a token that is about to be signed.
pub(super) type Forge = Box<dyn FnOnce(&mut Token) + Send>;

/// A named change, for tables.
pub type Named = (&'static str, fn(&mut Token));

/// A token before it is signed.
#[derive(Clone)]
pub struct Token {
    pub header: Value,
    pub claims: Value,
    /// The payload to the letter, in place of `claims`.
    pub raw_claims: Option<String>,
    pub signature: Signature,
    /// The access token issued with this ID token: what `at_hash` is about.
    pub access_token: String,
    /// The PEM of the key that signs.
    pub public_key: String,
    /// The provider's time, in seconds.
    pub now: i64,
}

/// How a token is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signature {
    /// RS256 by the provider's current key.
    Right,
    /// RS256 by a key that nobody publishes.
    Stranger,
    /// HS256 with these bytes as the secret.
    Hmac(Vec<u8>),
    /// None at all.
    Empty,
    /// The right one with one bit turned.
    Damaged,
    /// ES256 by the key that `jwks::with_es256_key` publishes.
    Es256,
    /// The same with one bit turned.
    DamagedEs256,
}

impl Token {
    /// Removes a claim.
    pub fn without(&mut self, claim: &str) {
        if let Some(claims) = self.claims.as_object_mut() {
            claims.remove(claim);
        }
    }

    /// What is signed: header and payload in base64url.
    pub(super) fn message(&self) -> String {
        let payload = self.raw_claims.clone().unwrap_or_else(|| self.claims.to_string());
        format!("{}.{}", base64url(self.header.to_string()), base64url(payload))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({} . {} . {:?})", self.header, self.claims, self.signature)
    }
}

/// What no relying party may accept in an ID token.
pub const REFUSED: &[Named] = &[
    ("oidcc-client-test-invalid-iss", wrong_issuer),
    ("issuer without its final slash", issuer_without_slash),
    ("issuer in an array", issuer_in_array),
    ("missing iss", missing_issuer),
    ("oidcc-client-test-missing-sub", missing_subject),
    ("empty sub", empty_subject),
    ("sub is a number", numeric_subject),
    ("sub longer than 255", long_subject),
    ("oidcc-client-test-invalid-aud", for_other_client),
    ("oidcc-client-test-missing-aud", missing_audience),
    ("oidcc-client-test-missing-iat", missing_issued_at),
    ("missing exp", missing_expiry),
    ("expired", expired),
    ("iat an hour ahead", issued_in_future),
    ("exp is a string", expiry_as_string),
    ("oidcc-client-test-nonce-invalid", wrong_nonce),
    ("missing nonce", missing_nonce),
    ("nonce in other case", nonce_in_other_case),
    ("another audience we do not trust", extra_audience_without_azp),
    ("azp of another client", wrong_azp),
    ("oidcc-client-test-invalid-athash", wrong_at_hash),
    ("oidcc-client-test-idtoken-sig-none", alg_none),
    ("alg none with a right signature", alg_none_but_signed),
    ("HS256 with the public key as its secret", hs256_with_public_key),
    ("HS256 with an empty secret", hs256_with_empty_secret),
    ("oidcc-client-test-invalid-sig-rs256", damaged_signature),
    ("signed by a stranger under our kid", strangers_signature),
    ("unknown kid", unknown_kid),
    ("a critical header nobody knows", unknown_critical_header),
    ("an embedded key", embedded_key),
    ("two sub members", duplicate_subject),
];

/// What differs from the usual and is right all the same.
pub const ACCEPTED: &[Named] = &[
    ("unchanged", |_| {}),
    ("audience in an array", audience_in_array),
    ("azp of this client", right_azp),
    ("right at_hash", right_at_hash),
    ("no typ in the header", no_typ),
    ("an unknown claim", unknown_claim),
    ("oidcc-client-test-aggregated-claims", aggregated_claims),
];

/// The member of a logout token's `events` (Back-Channel Logout 1.0 §2.4).
pub const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// A named change, and the label under which it is refused.
pub type Refused = (&'static str, fn(&mut Token), &'static str);

/// What no relying party may accept as a logout token.
pub const LOGOUT_REFUSED: &[Refused] = &[
    ("issuer without its final slash", issuer_without_slash, "token_issuer"),
    ("missing iss", missing_issuer, "token_missing_claim"),
    ("missing aud", missing_audience, "token_missing_claim"),
    ("missing iat", missing_issued_at, "token_missing_claim"),
    ("missing exp", missing_expiry, "token_missing_claim"),
    ("expired", expired, "token_expired"),
    ("from the future", issued_in_future, "token_not_yet_valid"),
    ("six minutes old", |token| token.claims["iat"] = (token.now - 360).into(), "token_not_fresh"),
    ("missing jti", |token| token.without("jti"), "token_missing_claim"),
    ("about nobody", about_nobody, "token_missing_claim"),
    ("sid is a number", |token| token.claims["sid"] = json!(7), "token_claim_type"),
    ("sid is a list", |token| token.claims["sid"] = json!([token.claims["sid"]]), "token_claim_type"),
    ("empty sub", empty_subject, "token_subject"),
    ("events is a list", |token| token.claims["events"] = json!([LOGOUT_EVENT]), "token_events"),
    ("events is a text", |token| token.claims["events"] = json!(LOGOUT_EVENT), "token_events"),
    ("events is null", |token| token.claims["events"] = Value::Null, "token_events"),
    ("another event beside ours", |token| token.claims["events"]["https://acme.dev/other"] = json!({}), "token_events"),
    ("our event is a text", |token| token.claims["events"][LOGOUT_EVENT] = json!(""), "token_events"),
    ("damaged signature", damaged_signature, "token_signature"),
    ("signed by a stranger under our kid", strangers_signature, "token_signature"),
    ("unknown kid", unknown_kid, "token_unknown_key"),
    ("HS256 with the public key as its secret", hs256_with_public_key, "token_algorithm"),
    ("an embedded key", embedded_key, "token_unknown_key"),
    ("a critical header nobody knows", unknown_critical_header, "token_critical"),
    ("two sub members", duplicate_subject, "token_malformed"),
    ("typ of an access token", |token| token.header["typ"] = json!("at+jwt"), "token_type"),
];

/// What differs from the usual logout token and is right all the same.
pub const LOGOUT_ACCEPTED: &[Named] = &[
    ("unchanged", |_| {}),
    ("typ JWT, as Auth0 writes it", |token| token.header["typ"] = json!("JWT")),
    ("no typ", no_typ),
    ("audience in an array", audience_in_array),
    ("another audience besides", extra_audience_without_azp),
    ("a claim more", |token| token.claims["trace_id"] = json!("4bf92f3577b34da6")),
    ("something in the event", |token| token.claims["events"][LOGOUT_EVENT] = json!({ "why": "closing time" })),
];

pub fn about_nobody(token: &mut Token) {
    token.without("sub");
    token.without("sid");
}

pub fn wrong_issuer(token: &mut Token) {
    token.claims["iss"] = json!("https://evil.test/");
}

pub fn issuer_without_slash(token: &mut Token) {
    let issuer = token.claims["iss"].as_str().unwrap_or_default().to_owned();
    let other = issuer.strip_suffix('/').map_or_else(|| format!("{issuer}/"), str::to_owned);
    token.claims["iss"] = other.into();
}

pub fn issuer_in_array(token: &mut Token) {
    token.claims["iss"] = json!([token.claims["iss"]]);
}

pub fn missing_issuer(token: &mut Token) {
    token.without("iss");
}

pub fn missing_subject(token: &mut Token) {
    token.without("sub");
}

pub fn empty_subject(token: &mut Token) {
    token.claims["sub"] = json!("");
}

pub fn numeric_subject(token: &mut Token) {
    token.claims["sub"] = json!(1);
}

pub fn long_subject(token: &mut Token) {
    token.claims["sub"] = "x".repeat(256).into();
}

pub fn for_other_client(token: &mut Token) {
    token.claims["aud"] = json!("another-client");
}

pub fn missing_audience(token: &mut Token) {
    token.without("aud");
}

pub fn audience_in_array(token: &mut Token) {
    token.claims["aud"] = json!([token.claims["aud"]]);
}

pub fn extra_audience_without_azp(token: &mut Token) {
    token.claims["aud"] = json!([token.claims["aud"], "another-client"]);
}

pub fn wrong_azp(token: &mut Token) {
    token.claims["azp"] = json!("another-client");
}

pub fn right_azp(token: &mut Token) {
    token.claims["azp"] = token.claims["aud"].clone();
}

pub fn missing_issued_at(token: &mut Token) {
    token.without("iat");
}

pub fn missing_expiry(token: &mut Token) {
    token.without("exp");
}

pub fn expired(token: &mut Token) {
    token.claims["iat"] = (token.now - 7200).into();
    token.claims["exp"] = (token.now - 3600).into();
}

pub fn issued_in_future(token: &mut Token) {
    token.claims["iat"] = (token.now + 3600).into();
    token.claims["exp"] = (token.now + 7200).into();
}

pub fn expiry_as_string(token: &mut Token) {
    token.claims["exp"] = (token.now + 3600).to_string().into();
}

pub fn wrong_nonce(token: &mut Token) {
    token.claims["nonce"] = json!("not the nonce that was sent");
}

pub fn missing_nonce(token: &mut Token) {
    token.without("nonce");
}

pub fn nonce_in_other_case(token: &mut Token) {
    let swap = |c: char| {
        if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() }
    };
    let nonce: String = token.claims["nonce"].as_str().unwrap_or_default().chars().map(swap).collect();
    token.claims["nonce"] = nonce.into();
}

pub fn wrong_at_hash(token: &mut Token) {
    token.claims["at_hash"] = at_hash("another access token").into();
}

pub fn right_at_hash(token: &mut Token) {
    token.claims["at_hash"] = at_hash(&token.access_token).into();
}

pub fn alg_none(token: &mut Token) {
    token.header["alg"] = json!("none");
    token.signature = Signature::Empty;
}

pub fn alg_none_but_signed(token: &mut Token) {
    token.header["alg"] = json!("none");
}

pub fn hs256_with_public_key(token: &mut Token) {
    token.header["alg"] = json!("HS256");
    token.signature = Signature::Hmac(token.public_key.clone().into_bytes());
}

pub fn hs256_with_empty_secret(token: &mut Token) {
    token.header["alg"] = json!("HS256");
    token.signature = Signature::Hmac(Vec::new());
}

pub fn damaged_signature(token: &mut Token) {
    token.signature = Signature::Damaged;
}

pub fn es256(token: &mut Token) {
    token.header["alg"] = json!("ES256");
    token.header["kid"] = json!(super::keys::ES256_KID);
    token.signature = Signature::Es256;
}

pub fn damaged_es256(token: &mut Token) {
    es256(token);
    token.signature = Signature::DamagedEs256;
}

pub fn strangers_signature(token: &mut Token) {
    token.signature = Signature::Stranger;
}

pub fn unknown_kid(token: &mut Token) {
    token.header["kid"] = json!("nobody-knows-this-key");
    token.signature = Signature::Stranger;
}

/// With several keys published a relying party may try them all or refuse; with one it has to accept.
pub fn no_kid(token: &mut Token) {
    if let Some(header) = token.header.as_object_mut() {
        header.remove("kid");
    }
}

pub fn no_typ(token: &mut Token) {
    if let Some(header) = token.header.as_object_mut() {
        header.remove("typ");
    }
}

pub fn unknown_critical_header(token: &mut Token) {
    token.header["crit"] = json!(["acme"]);
    token.header["acme"] = json!(true);
}

pub fn embedded_key(token: &mut Token) {
    let key = super::keys::stranger();
    token.header["kid"] = key.kid.clone().into();
    token.header["jwk"] = key.jwk();
    token.signature = Signature::Stranger;
}

pub fn duplicate_subject(token: &mut Token) {
    let claims = token.claims.to_string();
    let open = claims.strip_suffix('}').unwrap_or(&claims);
    token.raw_claims = Some(format!("{open},\"sub\":\"auth0|mallory\"}}"));
}

pub fn unknown_claim(token: &mut Token) {
    token.claims["https://acme.dev/nested"] = json!({ "deep": [1, { "deeper": null }] });
}

pub fn aggregated_claims(token: &mut Token) {
    token.claims["_claim_names"] = json!({ "address": "src1" });
    token.claims["_claim_sources"] = json!({ "src1": { "JWT": "e30.e30." } });
}

/// OIDC Core §3.1.3.6: the left half of the hash, in base64url.
fn at_hash(access_token: &str) -> String {
    base64url(&digest(&SHA256, access_token.as_bytes()).as_ref()[..16])
}
