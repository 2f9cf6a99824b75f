//! `session`: the keys that seal cookies, and how long a session lives.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use doorward_policy::secret::Secret;
use doorward_policy::session::SealingKeys;

use super::field::Field;
use super::quantity::{days, hours, minutes, words};
use crate::settings::Session;

/// The key that anybody can read in the examples.
const EXAMPLE_KEY: &str = include_str!("../../examples/secrets/session.key");

pub(super) fn read(field: &Field<'_>) -> Option<Session> {
    let map = field.map()?;
    let store = map.or("store", (), read_store);
    let keys = map.required("keys").and_then(|field| read_keys(&field));
    let idle = map.or("idle", hours(1), |field| field.duration_in(minutes(1)..=days(30)));
    let lifetime = map.or("lifetime", hours(12), |field| field.duration_in(minutes(1)..=days(30)));
    map.finish(&[
        ("secret", "write `keys: [{ file: … }]`"),
        ("key", "write `keys: [{ file: … }]`"),
        ("cookie_secret", "write `keys: [{ file: … }]`"),
    ]);
    store?;
    let ((keys, example_key), idle, lifetime) = (keys?, idle?, lifetime?);
    if idle > lifetime {
        let message = format!("a session would end after {} although it may idle for {}", words(lifetime), words(idle));
        let field = map.optional("idle").or_else(|| map.optional("lifetime"))?;
        return field.refuse(message, "`idle` is at most `lifetime`");
    }
    Some(Session { keys, example_key, idle, lifetime })
}

fn read_store(field: &Field<'_>) -> Option<()> {
    match field.any_text()? {
        "cookie" => Some(()),
        "memory" | "file" | "redis" => {
            field.refuse(format!("store `{}` is not built yet", field.shown()), "only `cookie` is; it needs no server at all")
        }
        _ => field.unknown(&format!("`{}` is no session store", field.shown()), &["cookie"]),
    }
}

/// The ring, and whether the example's key is in it.
fn read_keys(field: &Field<'_>) -> Option<(SealingKeys, bool)> {
    let keys = field.each(read_key)?;
    let example_key = decode(EXAMPLE_KEY.trim().as_bytes()).is_some_and(|example| keys.iter().any(|key| key.matches(&example)));
    match SealingKeys::new(&keys) {
        Ok(ring) => Some((ring, example_key)),
        Err(fault) => field.fault(&fault, "one key for each file, the newest first"),
    }
}

fn read_key(field: &Field<'_>) -> Option<Secret<Vec<u8>>> {
    const HELP: &str = "32 random bytes in base64; make a new one with `doorward keygen`";
    let text = field.secret()?;
    let Some(bytes) = decode(text.expose()) else {
        return field.refuse("the key is not base64", HELP);
    };
    let key = Secret::new(bytes);
    // Alone first, so that the one that is no key is the one underlined.
    match SealingKeys::new(std::slice::from_ref(&key)) {
        Ok(_) => Some(key),
        Err(fault) => field.refuse(format!("the key cannot be used: {fault}"), HELP),
    }
}

/// Both alphabets, with or without padding.
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    [alphabet::STANDARD, alphabet::URL_SAFE].iter().find_map(|alphabet| GeneralPurpose::new(alphabet, config).decode(text).ok())
}
