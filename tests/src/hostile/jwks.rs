//! Key sets that lie.

use serde_json::{Value, json};

use super::Fault;
use super::keys::{base64url, es256_jwk, stranger};

/// No key at all.
pub fn empty() -> Fault {
    Fault::instead(json!({ "keys": [] }))
}

/// `keys` is not a list.
pub fn keys_as_object() -> Fault {
    Fault::instead(json!({ "keys": {} }))
}

/// `keys` comes twice: the right one, and then an empty one.
pub fn duplicate_keys_member() -> Fault {
    Fault::DuplicateMember("keys", json!([]))
}

/// A page instead of a key set.
pub fn not_json() -> Fault {
    Fault::html()
}

/// The key that signs under its own `kid`, and a stranger's key under the same.
pub fn duplicate_kid() -> Fault {
    edit_keys(|keys| {
        let mut other = stranger().jwk();
        other["kid"] = keys[0]["kid"].clone();
        keys.insert(0, other);
    })
}

/// Good keys between keys that cannot be used: broken base64, an even modulus, 1024 bits, exponent 1, no `kty`,
/// an unknown curve, and things that are not objects.
pub fn bad_keys_among_good() -> Fault {
    edit_keys(|keys| {
        let like = |kid: &str, changes: Value| {
            let mut key = stranger().jwk();
            key["kid"] = kid.into();
            for (name, value) in changes.as_object().into_iter().flatten() {
                key[name] = value.clone();
            }
            key
        };
        let bad = [
            like("broken", json!({ "n": "not base64!" })),
            like("even", json!({ "n": base64url([0xC0; 256]) })),
            like("short", json!({ "n": base64url([0xFF; 128]) })),
            like("exponent", json!({ "e": "AQ" })),
            like("without-kty", json!({ "kty": null })),
            json!({ "kty": "EC", "crv": "P-1024", "kid": "curve", "x": "AA", "y": "AA" }),
            json!("a string"),
            json!(null),
        ];
        keys.splice(1..1, bad);
        keys.insert(0, like("number-as-kid", json!({ "kid": 7 })));
    })
}

/// A symmetric key beside the others: for RS256 it is nothing.
pub fn symmetric_key() -> Fault {
    edit_keys(|keys| keys.insert(0, json!({ "kty": "oct", "kid": "shared", "alg": "HS256", "k": base64url([7; 32]) })))
}

/// Only a symmetric key.
pub fn only_symmetric_key() -> Fault {
    Fault::instead(json!({ "keys": [{ "kty": "oct", "kid": "shared", "alg": "HS256", "k": base64url([7; 32]) }] }))
}

/// The private members beside the public ones, as a provider that publishes the wrong file. Their values are made up.
pub fn private_members() -> Fault {
    edit_keys(|keys| {
        for key in keys {
            for (name, bytes) in [("d", 256), ("p", 128), ("q", 128), ("dp", 128), ("dq", 128), ("qi", 128)] {
                key[name] = base64url(vec![0xA5; bytes]).into();
            }
        }
    })
}

/// So many keys more, before the right ones.
pub fn crowded(count: usize) -> Fault {
    edit_keys(move |keys| {
        let crowd = (0..count).map(|number| {
            let mut key = stranger().jwk();
            key["kid"] = format!("crowd-{number}").into();
            key
        });
        keys.splice(0..0, crowd);
    })
}

/// The right keys, marked as keys for encryption.
pub fn for_encryption() -> Fault {
    edit_keys(|keys| keys.iter_mut().for_each(|key| key["use"] = json!("enc")))
}

/// The right keys, pinned to another algorithm.
pub fn for_other_algorithm() -> Fault {
    edit_keys(|keys| keys.iter_mut().for_each(|key| key["alg"] = json!("PS256")))
}

/// Only the key that signs, without its name.
pub fn single_key_without_kid() -> Fault {
    edit_keys(|keys| {
        keys.truncate(1);
        if let Some(key) = keys[0].as_object_mut() {
            key.remove("kid");
        }
    })
}

/// Three RSA keys, the one that signs among them, between keys of other kinds; none has a `kid` or an `alg`.
///
/// As the conformance suite publishes them for `oidcc-client-test-kid-absent-multiple-jwks`, but for their number.
pub fn many_kinds_without_kid() -> Fault {
    edit_keys(|keys| {
        let (x, y) = (base64url([0x79; 32]), base64url([0x48; 32]));
        let others = [
            es256_jwk(),
            json!({ "kty": "EC", "crv": "secp256k1", "use": "sig", "x": x, "y": y }),
            json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "x": x }),
            stranger().jwk(),
        ];
        keys.splice(0..0, others);
        for key in keys.iter_mut().filter_map(Value::as_object_mut) {
            key.remove("kid");
            key.remove("alg");
        }
    })
}

/// The right keys, and one for ES256 that signs what `forge::es256` changed.
pub fn with_es256_key() -> Fault {
    edit_keys(|keys| keys.push(es256_jwk()))
}

/// The right keys without `alg` and `use`, which RFC 7517 leaves optional.
pub fn without_alg_and_use() -> Fault {
    edit_keys(|keys| {
        for key in keys.iter_mut().filter_map(Value::as_object_mut) {
            key.remove("alg");
            key.remove("use");
        }
    })
}

fn edit_keys(change: impl Fn(&mut Vec<Value>) + Send + Sync + 'static) -> Fault {
    Fault::edit(move |document| {
        if let Some(keys) = document["keys"].as_array_mut() {
            change(keys);
        }
    })
}
