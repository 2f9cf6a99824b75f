#![allow(clippy::disallowed_types, reason = "keys and ECDSA signatures need random bytes")]

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::*;
use crate::time::Timestamp;

const NOW: Timestamp = Timestamp(1_800_000_000);
const ISSUER: &str = "https://acme.eu.auth0.com/";
const AUDIENCE: &str = "https://api.acme.dev";

/// ES256, because it signs quickly; what an algorithm is matters in the tests that say so.
struct Signer {
    pair: EcdsaKeyPair,
    kid: &'static str,
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Signer {
    fn new(kid: &'static str) -> Self {
        let document = EcdsaKeyPair::generate_pkcs8(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref()).unwrap();
        Self { pair, kid }
    }

    fn jwk(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        json!({"kty": "EC", "crv": "P-256", "kid": self.kid, "use": "sig", "alg": "ES256", "x": b64(&point[1..33]), "y": b64(&point[33..65])})
    }

    fn sign_text(&self, header: &str, payload: &str) -> String {
        let signed = format!("{}.{}", b64(header), b64(payload));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", b64(signature))
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(&header.to_string(), &claims.to_string())
    }

    fn token(&self, claims: &Value) -> String {
        self.sign(&json!({"alg": "ES256", "typ": "JWT", "kid": self.kid}), claims)
    }

    fn keys(&self) -> KeySet {
        set(&[self.jwk()], &[Algorithm::Es256])
    }
}

fn set(keys: &[Value], algorithms: &[Algorithm]) -> KeySet {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes(), algorithms).unwrap()
}

fn profile() -> AccessTokenProfile {
    AccessTokenProfile { issuer: ISSUER.into(), audience: AUDIENCE.into(), organization: None }
}

fn claims() -> Value {
    json!({"iss": ISSUER, "sub": "auth0|1", "aud": AUDIENCE, "exp": NOW.0 + 3600, "iat": NOW.0 - 10, "scope": "read:items"})
}

/// The usual claims with some set, or taken out by `null`.
fn claims_with(changes: Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    claims
}

fn verify_with(token: &str, keys: &KeySet, token_type: TokenType, profile: &AccessTokenProfile) -> Result<VerifiedToken, TokenFault> {
    UnverifiedToken::parse(RawToken::new(token), &[Algorithm::Es256], token_type)?.verify_access_token(keys, profile, NOW)
}

fn verify(token: &str, signer: &Signer) -> Result<VerifiedToken, TokenFault> {
    let outcome = verify_with(token, &signer.keys(), TokenType::Either, &profile());
    // Whatever our path accepts, the library accepts too.
    if outcome.is_ok() {
        let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(signer.jwk()).unwrap();
        let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::ES256);
        validation.validate_exp = false;
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
        jsonwebtoken::decode::<Value>(token, &jsonwebtoken::DecodingKey::from_jwk(&jwk).unwrap(), &validation)
            .expect("the library accepts it too");
    }
    outcome
}

fn fault(token: &str, signer: &Signer) -> Option<TokenFault> {
    verify(token, signer).err()
}

#[test]
fn a_good_token_is_accepted() {
    let signer = Signer::new("k1");
    let verified = verify(&signer.token(&claims()), &signer).unwrap();
    assert_eq!(verified.claims()["sub"], "auth0|1");
    assert_eq!(verified.expires(), NOW.plus(std::time::Duration::from_secs(3600)));
}

#[test]
fn jwt_01_none_in_every_spelling_is_refused() {
    let signer = Signer::new("k1");
    let good = signer.token(&claims());
    let good_signature = good.rsplit('.').next().unwrap();
    let spellings = [
        json!("none"),
        json!("None"),
        json!("NONE"),
        json!("nOnE"),
        json!("none "),
        json!(""),
        json!(null),
        json!(0),
        json!([]),
        json!({}),
        json!("HS256"),
        json!("es256"),
        json!("ES256 "),
    ];
    for alg in spellings {
        for signature in ["", "AAAA", good_signature] {
            let header = json!({"alg": alg, "typ": "JWT", "kid": "k1"});
            let token = format!("{}.{}.{signature}", b64(header.to_string()), b64(claims().to_string()));
            assert_eq!(fault(&token, &signer), Some(TokenFault::Algorithm), "{alg} {signature}");
        }
    }
    let without = format!("{}.{}.{good_signature}", b64(r#"{"typ":"JWT","kid":"k1"}"#), b64(claims().to_string()));
    assert_eq!(fault(&without, &signer), Some(TokenFault::Algorithm));
}

#[test]
fn jwt_02_hmac_with_a_public_key_is_no_algorithm_of_ours() {
    // There is no way to write HMAC into a list of algorithms.
    for name in ["HS256", "HS384", "HS512", "RSA1_5", "dir", "A256KW"] {
        assert_eq!(Algorithm::from_name(name), None, "{name}");
    }
    for algorithm in Algorithm::ALL {
        assert_eq!(Algorithm::from_name(algorithm.name()), Some(*algorithm));
    }
}

#[test]
fn jwt_04_a_key_is_used_only_for_what_it_says_it_is_for() {
    let signer = Signer::new("k1");
    let parse = |changes: Value| {
        let mut jwk = signer.jwk();
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(jwk.as_object_mut().unwrap().remove(name)),
                value => jwk[name] = value.clone(),
            }
        }
        KeySet::parse(json!({"keys": [jwk]}).to_string().as_bytes(), &[Algorithm::Es256, Algorithm::Es384, Algorithm::Rs256])
    };
    for bad in [
        json!({"use": "enc"}),
        json!({"key_ops": ["encrypt"]}),
        json!({"alg": "ES384"}),
        json!({"alg": "RS256"}),
        json!({"crv": "P-384"}),
        json!({"crv": "secp256k1"}),
        json!({"kty": "OKP"}),
        json!({"kty": "oct"}),
    ] {
        assert!(parse(bad.clone()).is_err(), "{bad}");
    }
    for good in [json!({}), json!({"alg": null}), json!({"use": null}), json!({"key_ops": ["verify"]})] {
        assert!(parse(good.clone()).is_ok(), "{good}");
    }
}

#[test]
fn jwt_07_only_three_segments_are_a_token() {
    let signer = Signer::new("k1");
    let good = signer.token(&claims());
    for bad in [
        "",
        ".",
        "..",
        "...",
        &format!("{good}."),
        &format!(".{good}"),
        &format!("{good}.x.y"),
        &good[..good.len() - 20],
        &format!("{{\"payload\":\"{good}\"}}"),
        &format!("{good}~"),
    ] {
        assert!(fault(bad, &signer).is_some(), "{bad}");
    }
    assert_eq!(fault(&good, &signer), None);
}

#[test]
fn jwt_08_keys_inside_the_token_are_not_looked_at() {
    let (ours, theirs) = (Signer::new("k1"), Signer::new("k1"));
    let header =
        json!({"alg": "ES256", "typ": "JWT", "kid": "k1", "jwk": theirs.jwk(), "jku": "https://evil.test/", "x5u": "https://evil.test/"});
    assert_eq!(fault(&theirs.sign(&header, &claims()), &ours), Some(TokenFault::Signature));
    assert_eq!(fault(&ours.sign(&header, &claims()), &ours), None);
}

#[test]
fn jwt_09_odd_key_ids_find_nothing() {
    let signer = Signer::new("k1");
    let long = "k".repeat(300);
    for kid in ["../../dev/null", "' OR 1=1", "", "k1\u{0}", "k1\r\n", "\u{1f511}", "__proto__", "K1"] {
        let token = signer.sign(&json!({"alg": "ES256", "kid": kid}), &claims());
        assert_eq!(fault(&token, &signer), Some(TokenFault::UnknownKey), "{kid:?}");
    }
    for kid in [json!(1), json!([]), json!({}), json!(null), json!(long)] {
        let token = signer.sign(&json!({"alg": "ES256", "kid": kid}), &claims());
        assert_eq!(fault(&token, &signer), Some(TokenFault::Malformed), "{}", kid.to_string().len());
    }
}

#[test]
fn jwt_10_without_a_key_id_a_few_keys_are_tried() {
    let signers: Vec<Signer> = (0..5).map(|_| Signer::new("k")).collect();
    let token = signers[3].sign(&json!({"alg": "ES256"}), &claims());
    let verify = |count: usize| {
        let jwks: Vec<Value> = signers[5 - count..]
            .iter()
            .enumerate()
            .map(|(at, signer)| {
                let mut jwk = signer.jwk();
                jwk["kid"] = json!(format!("k{at}"));
                jwk
            })
            .collect();
        verify_with(&token, &set(&jwks, &[Algorithm::Es256]), TokenType::Either, &profile()).err()
    };
    assert_eq!(verify(4), None);
    assert_eq!(verify(5), Some(TokenFault::UnknownKey));
}

#[test]
fn jwt_12_no_critical_extension_is_known() {
    let signer = Signer::new("k1");
    for (name, value) in [
        ("crit", json!(["exp"])),
        ("crit", json!(["b64"])),
        ("crit", json!([])),
        ("crit", json!("b64")),
        ("b64", json!(false)),
        ("b64", json!(true)),
    ] {
        let header = json!({"alg": "ES256", "kid": "k1", name: value});
        assert_eq!(fault(&signer.sign(&header, &claims()), &signer), Some(TokenFault::Critical), "{name} {value}");
    }
}

#[test]
fn jwt_13_weak_and_broken_rsa_keys_are_not_used() {
    let modulus = |bytes: usize, last: u8| {
        let mut n = vec![0xc5; bytes];
        n[bytes - 1] = last;
        b64(n)
    };
    let jwk = |n: String, e: &str| json!({"kty": "RSA", "kid": "r", "n": n, "e": e});
    let parse = |key: Value| KeySet::parse(json!({"keys": [key]}).to_string().as_bytes(), &[Algorithm::Rs256]).is_ok();
    for (name, key) in [
        ("1024 bits", jwk(modulus(128, 1), "AQAB")),
        ("2040 bits", jwk(modulus(255, 1), "AQAB")),
        ("16384 bits", jwk(modulus(2048, 1), "AQAB")),
        ("e = 1", jwk(modulus(256, 1), "AQ")),
        ("e = 3", jwk(modulus(256, 1), "Aw")),
        ("e even", jwk(modulus(256, 1), "AQAA")),
        ("e huge", jwk(modulus(256, 1), "____________AQ")),
        ("n even", jwk(modulus(256, 2), "AQAB")),
        ("n empty", jwk(String::new(), "AQAB")),
        ("e empty", jwk(modulus(256, 1), "")),
    ] {
        assert!(!parse(key), "{name}");
    }
    assert!(parse(jwk(modulus(256, 1), "AQAB")));
}

#[test]
fn jwt_14_a_bad_key_does_not_spoil_the_good_one() {
    let signer = Signer::new("k1");
    let keys =
        set(&[json!({"kty": "oct", "k": "AAAA", "kid": "o"}), json!("nonsense"), json!({"kty": "EC"}), signer.jwk()], &[Algorithm::Es256]);
    assert_eq!(keys.ignored(), 3);
    assert!(keys.knows("k1") && !keys.knows("o"));
    assert!(verify_with(&signer.token(&claims()), &keys, TokenType::Jwt, &profile()).is_ok());
}

#[test]
fn jwks_07_what_is_no_set_of_usable_keys_is_an_error() {
    for bad in
        ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[]}"#, r#"{"keys":[],"keys":[]}"#, "<html>", r#"{"keys":[{"kty":"oct","k":"AA"}]}"#]
    {
        assert!(KeySet::parse(bad.as_bytes(), &[Algorithm::Es256]).is_err(), "{bad}");
    }
}

#[test]
fn jwt_15_points_off_the_curve_and_short_coordinates_are_no_keys() {
    let signer = Signer::new("k1");
    let parse = |x: String, y: String| {
        let mut jwk = signer.jwk();
        jwk["x"] = json!(x);
        jwk["y"] = json!(y);
        KeySet::parse(json!({"keys": [jwk]}).to_string().as_bytes(), &[Algorithm::Es256]).is_ok()
    };
    assert!(!parse(b64([1; 32]), b64([1; 32])));
    assert!(!parse(b64([0; 32]), b64([0; 32])));
    assert!(!parse(b64([1; 31]), b64([1; 32])));
    assert!(!parse(b64([1; 33]), b64([1; 32])));
}

#[test]
fn jwt_16_broken_ecdsa_signatures_are_refused() {
    let signer = Signer::new("k1");
    let good = signer.token(&claims());
    let (signed, _) = good.rsplit_once('.').unwrap();
    for bytes in [
        vec![0; 64],
        [vec![0; 32], vec![1; 32]].concat(),
        [vec![1; 32], vec![0; 32]].concat(),
        vec![0xff; 64],
        vec![1; 63],
        vec![1; 65],
        vec![],
        vec![0x30; 70],
    ] {
        assert_eq!(fault(&format!("{signed}.{}", b64(&bytes)), &signer), Some(TokenFault::Signature), "{} bytes", bytes.len());
    }
}

#[test]
fn jwt_18_ed25519_under_both_its_names() {
    let pair = Ed25519KeyPair::from_pkcs8(Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap().as_ref()).unwrap();
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "kid": "e", "x": b64(pair.public_key().as_ref())});
    let keys = set(&[jwk], &[Algorithm::EdDsa]);
    for alg in ["EdDSA", "Ed25519"] {
        let signed = format!("{}.{}", b64(json!({"alg": alg, "kid": "e"}).to_string()), b64(claims().to_string()));
        let token = format!("{signed}.{}", b64(pair.sign(signed.as_bytes())));
        let parsed = UnverifiedToken::parse(RawToken::new(&token), &[Algorithm::EdDsa], TokenType::Jwt).unwrap();
        assert!(parsed.verify_access_token(&keys, &profile(), NOW).is_ok(), "{alg}");
        assert_eq!(UnverifiedToken::parse(RawToken::new(&token), &[Algorithm::Es256], TokenType::Jwt).err(), Some(TokenFault::Algorithm));
    }
}

#[test]
fn jwt_20_claims_that_must_be_there() {
    let signer = Signer::new("k1");
    for name in ["iss", "sub", "aud", "exp"] {
        assert_eq!(fault(&signer.token(&claims_with(json!({name: null}))), &signer), Some(TokenFault::MissingClaim), "{name}");
    }
    for name in ["iat", "scope"] {
        assert_eq!(fault(&signer.token(&claims_with(json!({name: null}))), &signer), None, "{name}");
    }
}

#[test]
fn jwt_21_a_claim_of_the_wrong_type_is_refused_even_where_it_is_optional() {
    let signer = Signer::new("k1");
    let values = [json!(true), json!(0), json!(-1), json!(1.5), json!("1"), json!("9999999999"), json!([]), json!([1]), json!({})];
    let nulls = |name: &str| {
        let mut claims = claims();
        claims[name] = Value::Null;
        claims
    };
    for name in ["iss", "sub", "jti", "azp", "client_id", "scope", "sid", "nonce", "acr"] {
        for value in values.iter().filter(|value| !value.is_string()) {
            assert_eq!(fault(&signer.token(&claims_with(json!({name: value}))), &signer), Some(TokenFault::ClaimType), "{name}: {value}");
        }
        assert_eq!(fault(&signer.token(&nulls(name)), &signer), Some(TokenFault::ClaimType), "{name}: null");
    }
    for name in ["exp", "nbf", "iat", "auth_time"] {
        for value in values.iter().filter(|value| !value.is_number()) {
            assert_eq!(fault(&signer.token(&claims_with(json!({name: value}))), &signer), Some(TokenFault::ClaimType), "{name}: {value}");
        }
        assert_eq!(fault(&signer.token(&nulls(name)), &signer), Some(TokenFault::ClaimType), "{name}: null");
    }
    for value in [json!(true), json!(0), json!({}), json!([1]), json!([AUDIENCE, null])] {
        assert_eq!(fault(&signer.token(&claims_with(json!({"aud": value}))), &signer), Some(TokenFault::ClaimType), "aud: {value}");
    }
}

#[test]
fn jwt_22_the_issuer_is_equal_byte_for_byte() {
    let signer = Signer::new("k1");
    for issuer in [
        "https://acme.eu.auth0.com",
        "https://acme.eu.auth0.com//",
        "https://ACME.eu.auth0.com/",
        "https://acme.eu.auth0.com/ ",
        "https://acme.eu.auth0.com/x",
        "http://acme.eu.auth0.com/",
        "https://\u{430}cme.eu.auth0.com/",
        "",
        "https",
    ] {
        assert_eq!(fault(&signer.token(&claims_with(json!({"iss": issuer}))), &signer), Some(TokenFault::Issuer), "{issuer}");
    }
    assert_eq!(fault(&signer.token(&claims_with(json!({"iss": [ISSUER]}))), &signer), Some(TokenFault::ClaimType));
}

#[test]
fn jwt_23_times_have_thirty_seconds_of_leeway() {
    let signer = Signer::new("k1");
    for (changes, expected) in [
        (json!({"exp": NOW.0 - 29}), None),
        (json!({"exp": NOW.0 - 30}), Some(TokenFault::Expired)),
        (json!({"nbf": NOW.0 + 30}), None),
        (json!({"nbf": NOW.0 + 31}), Some(TokenFault::NotYetValid)),
        (json!({"iat": NOW.0 + 30}), None),
        (json!({"iat": NOW.0 + 31}), Some(TokenFault::NotYetValid)),
        (json!({"exp": (NOW.0 + 100) as f64 + 0.5}), None),
    ] {
        assert_eq!(fault(&signer.token(&claims_with(changes.clone())), &signer), expected, "{changes}");
    }
}

#[test]
fn jwt_24_absurd_times_neither_wrap_nor_last_for_ever() {
    let signer = Signer::new("k1");
    for text in ["1e300", "9e18", "9223372036854775808", "18446744073709551616", "-1", "253402300800", "1e-5", "-0.0"] {
        let payload = claims().to_string().replace(&(NOW.0 + 3600).to_string(), text);
        let token = signer.sign_text(r#"{"alg":"ES256","kid":"k1"}"#, &payload);
        assert!(fault(&token, &signer).is_some(), "{text}");
    }
    let payload = claims().to_string().replace(&(NOW.0 + 3600).to_string(), "253402300799");
    assert_eq!(fault(&signer.sign_text(r#"{"alg":"ES256","kid":"k1"}"#, &payload), &signer), None);
}

#[test]
fn jwt_26_doubled_members_are_refused_at_every_depth() {
    let signer = Signer::new("k1");
    let body = claims().to_string();
    let header = r#"{"alg":"ES256","kid":"k1"}"#;
    for payload in [
        body.replacen('{', r#"{"sub":"admin","#, 1),
        body.replacen('{', r#"{"s\u0075b":"admin","#, 1),
        body.replacen('{', r#"{"roles":["a"],"roles":["b"],"#, 1),
        body.replacen('{', r#"{"x":{"y":1,"y":2},"#, 1),
    ] {
        assert_eq!(fault(&signer.sign_text(header, &payload), &signer), Some(TokenFault::Malformed), "{payload}");
    }
    assert_eq!(fault(&signer.sign_text(r#"{"alg":"ES256","alg":"ES256","kid":"k1"}"#, &body), &signer), Some(TokenFault::Malformed));
    assert_eq!(fault(&signer.sign_text(header, &body.replacen('{', r#"{"x":{"y":1,"z":2},"#, 1)), &signer), None);
}

#[test]
fn jwt_27_anything_but_one_object_in_clean_base64url_is_refused() {
    let signer = Signer::new("k1");
    let header = r#"{"alg":"ES256","kid":"k1"}"#;
    let body = claims().to_string();
    for payload in
        ["", "[]", "\"x\"", "1", "null", &format!("{body} x"), &format!("\u{feff}{body}"), &body.replace("auth0|1", "\\ud800"), "{"]
    {
        assert_eq!(fault(&signer.sign_text(header, payload), &signer), Some(TokenFault::Malformed), "{payload}");
    }
    let good = signer.token(&claims());
    for bad in [good.replacen('.', "=.", 1), good.replacen('.', " .", 1), good.replacen('.', "+.", 1), good.replacen('.', "\n.", 1)] {
        assert!(fault(&bad, &signer).is_some(), "{bad}");
    }
}

#[test]
fn jwt_30_a_token_has_a_limit_and_dots_cost_nothing() {
    let signer = Signer::new("k1");
    let long = signer.token(&claims_with(json!({"pad": "x".repeat(11_000)})));
    assert!(long.len() < crate::credential::TOKEN_LIMIT && fault(&long, &signer).is_none());
    let longer = signer.token(&claims_with(json!({"pad": "x".repeat(13_000)})));
    assert_eq!(fault(&longer, &signer), Some(TokenFault::TooLong));
    assert_eq!(fault(&".".repeat(1_000_000), &signer), Some(TokenFault::TooLong));
    assert_eq!(fault(&".".repeat(10_000), &signer), Some(TokenFault::Malformed));
}

#[test]
fn jwt_31_deep_json_is_refused_without_a_stack_overflow() {
    let signer = Signer::new("k1");
    let deep = |depth: usize| claims().to_string().replacen('{', &format!("{{\"x\":{}{},", "[".repeat(depth), "]".repeat(depth)), 1);
    let header = r#"{"alg":"ES256","kid":"k1"}"#;
    assert_eq!(fault(&signer.sign_text(header, &deep(5000)), &signer), Some(TokenFault::Malformed));
    assert_eq!(fault(&signer.sign_text(header, &deep(50)), &signer), None);
}

#[test]
fn jwt_41_the_audience_is_ours() {
    let signer = Signer::new("k1");
    for aud in [
        json!([]),
        json!("https://api.acme.de"),
        json!("https://api.acme.dev/"),
        json!(["https://other"]),
        json!("https://api.acme.dev https://other"),
        json!(""),
    ] {
        assert_eq!(fault(&signer.token(&claims_with(json!({"aud": aud}))), &signer), Some(TokenFault::Audience), "{aud}");
    }
    for aud in [json!(AUDIENCE), json!([AUDIENCE]), json!(["https://acme.eu.auth0.com/userinfo", AUDIENCE])] {
        assert_eq!(fault(&signer.token(&claims_with(json!({"aud": aud}))), &signer), None, "{aud}");
    }
}

#[test]
fn jwt_44_the_type_says_what_a_token_is_for() {
    let signer = Signer::new("k1");
    let at = claims_with(json!({"jti": "j", "client_id": "c"}));
    let with = |typ: Value, token_type| {
        let mut header = json!({"alg": "ES256", "kid": "k1"});
        if !typ.is_null() {
            header["typ"] = typ;
        }
        verify_with(&signer.sign(&header, &at), &signer.keys(), token_type, &profile()).err()
    };
    for typ in ["logout+jwt", "dpop+jwt", "secevent+jwt", "kb+jwt", "JOSE", "", "jwt ", "at+jwt2", "application/xml"] {
        for token_type in [TokenType::Jwt, TokenType::AtJwt, TokenType::Either] {
            assert_eq!(with(json!(typ), token_type), Some(TokenFault::Type), "{typ} {token_type:?}");
        }
    }
    for typ in [json!("at+jwt"), json!("AT+JWT"), json!("application/at+jwt")] {
        assert_eq!(with(typ.clone(), TokenType::AtJwt), None, "{typ}");
        assert_eq!(with(typ.clone(), TokenType::Either), None, "{typ}");
        assert_eq!(with(typ.clone(), TokenType::Jwt), Some(TokenFault::Type), "{typ}");
    }
    for typ in [json!("JWT"), json!("jwt"), json!("application/jwt"), json!(null)] {
        assert_eq!(with(typ.clone(), TokenType::Jwt), None, "{typ}");
        assert_eq!(with(typ.clone(), TokenType::AtJwt), Some(TokenFault::Type), "{typ}");
    }
    assert_eq!(with(json!(5), TokenType::Either), Some(TokenFault::Type));
}

#[test]
fn rfc_9068_its_own_type_brings_its_own_claims() {
    let signer = Signer::new("k1");
    let header = json!({"alg": "ES256", "typ": "at+jwt", "kid": "k1"});
    let full = json!({"jti": "j", "client_id": "c"});
    assert_eq!(fault(&signer.sign(&header, &claims_with(full)), &signer), None);
    assert_eq!(fault(&signer.sign(&header, &claims()), &signer), Some(TokenFault::MissingClaim));
}

#[test]
fn jwt_49_a_token_of_another_organization_is_refused() {
    let signer = Signer::new("k1");
    let bound = AccessTokenProfile { organization: Some("org_1".into()), ..profile() };
    let verify = |claims: &Value| verify_with(&signer.token(claims), &signer.keys(), TokenType::Jwt, &bound).err();
    assert_eq!(verify(&claims()), Some(TokenFault::Organization));
    assert_eq!(verify(&claims_with(json!({"org_id": "org_2"}))), Some(TokenFault::Organization));
    assert_eq!(verify(&claims_with(json!({"org_id": "org_1"}))), None);
}

mod id_token {
    use super::*;

    const CLIENT: &str = "client";
    const ACCESS: &str = "the-access-token";

    fn id_claims(changes: Value) -> Value {
        let mut claims = claims_with(json!({"aud": CLIENT, "nonce": "n-1", "scope": null}));
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        claims
    }

    fn fault(changes: Value) -> Option<TokenFault> {
        fault_with(Nonce::Exactly("n-1"), changes)
    }

    fn fault_with(nonce: Nonce<'_>, changes: Value) -> Option<TokenFault> {
        let signer = Signer::new("k1");
        let expected = IdTokenExpectation { issuer: ISSUER, client_id: CLIENT, nonce, access_token: Some(ACCESS), organization: None };
        let token = signer.token(&id_claims(changes));
        let parsed = UnverifiedToken::parse(RawToken::new(&token), &[Algorithm::Es256], TokenType::Jwt).unwrap();
        parsed.verify_id_token(&signer.keys(), &expected, NOW).err()
    }

    #[test]
    fn oidc_15_the_answer_to_our_own_request() {
        assert_eq!(fault(json!({})), None);
        for (changes, expected) in [
            (json!({"iss": "https://other/"}), TokenFault::Issuer),
            (json!({"aud": "other"}), TokenFault::Audience),
            (json!({"aud": [CLIENT, "other"]}), TokenFault::Audience),
            (json!({"aud": []}), TokenFault::Audience),
            (json!({"azp": "other"}), TokenFault::AuthorizedParty),
            (json!({"sub": null}), TokenFault::MissingClaim),
            (json!({"sub": ""}), TokenFault::Subject),
            (json!({"sub": "x".repeat(256)}), TokenFault::Subject),
            (json!({"iat": null}), TokenFault::MissingClaim),
            (json!({"iat": NOW.0 - 601}), TokenFault::NotFresh),
            (json!({"iat": NOW.0 + 3600}), TokenFault::NotYetValid),
            (json!({"exp": NOW.0 - 3600}), TokenFault::Expired),
            (json!({"exp": null}), TokenFault::MissingClaim),
            (json!({"at_hash": "AAAA"}), TokenFault::AccessTokenHash),
        ] {
            assert_eq!(fault(changes.clone()), Some(expected), "{changes}");
        }
        assert_eq!(fault(json!({"aud": [CLIENT], "azp": CLIENT})), None);
        let half = &aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, ACCESS.as_bytes()).as_ref()[..16].to_vec();
        assert_eq!(fault(json!({"at_hash": b64(half)})), None);
    }

    #[test]
    fn oidc_06_the_nonce_is_exactly_ours() {
        for nonce in [json!(null), json!("n-2"), json!("N-1"), json!(""), json!("n-1 ")] {
            assert_eq!(fault(json!({"nonce": nonce})), Some(TokenFault::Nonce), "{nonce}");
        }
    }

    #[test]
    fn refr_04_a_refreshed_id_token_repeats_the_nonce_or_says_none() {
        for (sign_in, said, fault) in [
            (Some("n-1"), json!(null), None),
            (Some("n-1"), json!("n-1"), None),
            (None, json!(null), None),
            (Some("n-1"), json!("n-2"), Some(TokenFault::Nonce)),
            (Some("n-1"), json!(""), Some(TokenFault::Nonce)),
            (None, json!("n-1"), Some(TokenFault::Nonce)),
        ] {
            assert_eq!(fault_with(Nonce::Repeated(sign_in), json!({"nonce": said})), fault, "{sign_in:?} {said}");
        }
    }
}

fn logout_claims() -> Value {
    let events = json!({ "http://schemas.openid.net/event/backchannel-logout": {} });
    json!({"iss": ISSUER, "aud": AUDIENCE, "sub": "auth0|1", "iat": NOW.0, "exp": NOW.0 + 120, "jti": "j", "events": events})
}

#[test]
fn logout_10_a_logout_token_says_what_it_is_or_nothing() {
    let signer = Signer::new("k1");
    let verify = |typ: Value| {
        let header = claims_or_none(&json!({"alg": "ES256", "kid": "k1"}), "typ", typ);
        let token = signer.sign(&header, &logout_claims());
        let parsed = UnverifiedToken::parse(RawToken::new(&token), &[Algorithm::Es256], TokenType::Logout)?;
        parsed.verify_logout_token(&signer.keys(), &LogoutExpectation { issuer: ISSUER, client_id: AUDIENCE }, NOW)
    };
    for typ in [Value::Null, json!("JWT"), json!("logout+jwt"), json!("application/logout+jwt"), json!("Logout+JWT")] {
        assert!(verify(typ.clone()).is_ok(), "{typ}");
    }
    for typ in [json!("at+jwt"), json!("id+jwt"), json!("logout"), json!("secevent+jwt"), json!(1), json!("")] {
        assert_eq!(verify(typ.clone()), Err(TokenFault::Type), "{typ}");
    }
}

fn claims_or_none(object: &Value, name: &str, value: Value) -> Value {
    let mut object = object.clone();
    if !value.is_null() {
        object[name] = value;
    }
    object
}

#[test]
fn logout_10_a_logout_token_is_no_access_token() {
    let signer = Signer::new("k1");
    assert_eq!(fault(&signer.token(&logout_claims()), &signer), Some(TokenFault::Events));
    let without = claims_with(json!({"jti": "j"}));
    assert_eq!(fault(&signer.token(&without), &signer), None);
    let typed = signer.sign(&json!({"alg": "ES256", "typ": "logout+jwt", "kid": "k1"}), &without);
    assert_eq!(fault(&typed, &signer), Some(TokenFault::Type));
}

#[test]
fn jwt_01_a_header_read_before_spares_reading_and_nothing_else() {
    let (signer, other) = (Signer::new("k1"), Signer::new("k2"));
    let parse = |token: &str, known: Option<&Arc<Header>>| {
        let token = UnverifiedToken::parse_like(RawToken::new(token), known, &[Algorithm::Es256], TokenType::Jwt)?;
        token.verify_access_token(&signer.keys(), &profile(), NOW).map(|verified| (verified.claims().clone(), token.header().clone()))
    };
    let first = signer.token(&claims_with(json!({"sub": "a"})));
    let (_, known) = parse(&first, None).unwrap();
    for (header, claims, signed_by, is_same) in [
        (json!({"alg": "ES256", "typ": "JWT", "kid": "k1"}), json!({"sub": "b"}), &signer, true),
        (json!({"alg": "ES256", "kid": "k1"}), json!({"sub": "b"}), &signer, false),
        (json!({"alg": "ES256", "typ": "JWT", "kid": "k1"}), json!({"exp": 1}), &signer, true),
        (json!({"alg": "ES256", "typ": "JWT", "kid": "k1"}), json!({"sub": "b"}), &other, true),
        (json!({"alg": "ES256", "typ": "JWT", "kid": "k2"}), json!({"sub": "b"}), &other, false),
        (json!({"alg": "none", "typ": "JWT", "kid": "k1"}), json!({"sub": "b"}), &signer, false),
        (json!({"alg": "ES256", "typ": "at+jwt", "kid": "k1"}), json!({"sub": "b"}), &signer, false),
        (json!({"alg": "ES256", "typ": "JWT", "kid": "k1", "crit": ["b64"]}), json!({"sub": "b"}), &signer, false),
    ] {
        let token = signed_by.sign(&header, &claims_with(claims));
        let (alone, beside) = (parse(&token, None), parse(&token, Some(&known)));
        assert_eq!(alone, beside, "{header}");
        if let Ok((_, read)) = beside {
            assert_eq!(Arc::ptr_eq(&read, &known), is_same, "{header}");
        }
    }
    // The text is compared, to its end.
    let (header, rest) = first.split_once('.').unwrap();
    for near in [&header[..header.len() - 4], &format!("{header}IA"), ""] {
        assert!(parse(&format!("{near}.{rest}"), Some(&known)).is_err(), "{near}");
    }
}
