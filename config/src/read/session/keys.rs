//! `session.keys`: what seals cookies and everything in the store.

use doorward_policy::secret::Secret;
use doorward_policy::session::SealingKeys;

use super::super::field::Field;
use crate::key_ring::{KeyRing, KeySource, decode, keys_of};

/// The key that anybody can read in the examples.
const EXAMPLE_KEY: &str = include_str!("../../../examples/secrets/session.key");

/// The ring, where it is read from, and whether the example's key is in it.
pub(super) fn read(field: &Field<'_>) -> Option<(KeyRing, SealingKeys, bool)> {
    let read = field.each(read_key)?;
    let (sources, keys): (Vec<KeySource>, Vec<Vec<_>>) = read.into_iter().unzip();
    let keys = keys.concat();
    let example_key = decode(EXAMPLE_KEY.trim().as_bytes()).is_some_and(|example| keys.iter().any(|key| key.matches(&example)));
    match SealingKeys::new(&keys) {
        Ok(ring) => Some((KeyRing::new(sources), ring, example_key)),
        Err(fault) => field.fault(&fault, "the newest key first, in one file or in several"),
    }
}

fn read_key(field: &Field<'_>) -> Option<(KeySource, Vec<Secret<Vec<u8>>>)> {
    const HELP: &str = "32 random bytes in base64; make a new one with `doorward keygen`";
    let (text, file) = field.secret_and_file()?;
    match keys_of(text.expose()) {
        Ok(keys) if keys.is_empty() => field.refuse("there is no key in it", HELP),
        Ok(keys) => Some((file.map_or_else(|| KeySource::Fixed(keys.clone()), KeySource::File), keys)),
        Err((1, fault)) => field.refuse(fault.to_string(), HELP),
        Err((line, fault)) => field.refuse(format!("line {line}: {fault}"), HELP),
    }
}
