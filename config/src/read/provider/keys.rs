//! `keys`: another address for a provider's keys, or keys that stand in files.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use doorward_policy::time::Timestamp;
use doorward_policy::token::{Algorithm, StaticKey, StaticKeyFault};

use super::super::field::{Field, all};
use super::Place;
use crate::problem::WarningCode;
use crate::settings::KeySource;

/// Keys of one provider at most: what a published set may hold, too.
const LIMIT: usize = 64;
/// Longest `kid`, in bytes.
const ID_LIMIT: usize = 256;
/// An end that is nearer is worth a warning.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);

pub(super) fn read(field: &Field<'_>, place: Place<'_>, algorithms: Option<&[Algorithm]>) -> Option<KeySource> {
    let map = field.map()?;
    let (jwks, certificates) = (map.optional("jwks"), map.optional("certificates"));
    map.finish(&[("file", "write `certificates: [{ id: …, file: … }]`"), ("url", "write `jwks: …`")]);
    match (jwks, certificates) {
        (Some(jwks), None) => place.address(&jwks, jwks.name()?).map(KeySource::Jwks),
        (None, Some(certificates)) => read_all(&certificates, algorithms).map(KeySource::Static),
        (None, None) => field.refuse("it is not said where the keys are", "write `jwks: …` or `certificates: [ … ]`, or leave `keys` out"),
        (Some(_), Some(_)) => field.refuse("two places are named for the keys", "keep `jwks` or `certificates`"),
    }
}

fn read_all(field: &Field<'_>, algorithms: Option<&[Algorithm]>) -> Option<Vec<StaticKey>> {
    let items = field.items()?;
    if items.len() > LIMIT {
        return field.refuse(format!("more than {LIMIT} keys"), "leave out those that no longer sign");
    }
    let keys = all(items.iter().map(|item| read_one(item, algorithms)))?;
    let twice = keys.iter().enumerate().find(|(at, key)| keys[..*at].iter().any(|first| first.id() == key.id()));
    if let Some((at, key)) = twice {
        return items[at].refuse(format!("`{}` is the name of another key", key.id()), "a token names one key by its `kid`");
    }
    Some(keys)
}

fn read_one(item: &Field<'_>, algorithms: Option<&[Algorithm]>) -> Option<StaticKey> {
    let map = item.map()?;
    let id = map.required("id").and_then(|field| read_id(&field));
    let file = map.required("file").and_then(|field| field.file().map(|(path, pem)| (field, path, pem)));
    let (not_before, not_after) = (map.maybe("not_before", Field::moment), map.maybe("not_after", Field::moment));
    map.finish(&[
        ("kid", "write `id: …`"),
        ("valid_from", "write `not_before: …`"),
        ("valid_till", "write `not_after: …`"),
        ("alg", "the key itself says which of the provider's `algorithms` it is for"),
    ]);
    let (id, (file, path, pem)) = (id?, file?);
    let key = match StaticKey::read(&id, &pem, not_before?.map(Timestamp), not_after?.map(Timestamp)) {
        Ok(key) => key,
        Err(StaticKeyFault::NeverCounts) => {
            return item.refuse(StaticKeyFault::NeverCounts.to_string(), "`not_after` is later than `not_before`");
        }
        Err(fault) => return file.refuse(format!("`{}`: {fault}", path.display()), help(fault)),
    };
    let algorithms = algorithms?;
    if !algorithms.iter().any(|algorithm| key.fits(*algorithm)) {
        let names: Vec<&str> = Algorithm::ALL.iter().filter(|algorithm| key.fits(**algorithm)).map(|algorithm| algorithm.name()).collect();
        return file.refuse(
            format!("`{}` is for none of the provider's algorithms", path.display()),
            format!("it can be used with {}: add one of them to `algorithms`", names.join(", ")),
        );
    }
    warn(item, &key);
    Some(key)
}

fn read_id(field: &Field<'_>) -> Option<String> {
    let id = field.name()?;
    match id.len() <= ID_LIMIT {
        true => Some(id.to_owned()),
        false => {
            field.refuse(format!("the name is longer than {ID_LIMIT} bytes"), "it is the `kid` in the header of the provider's tokens")
        }
    }
}

fn help(fault: StaticKeyFault) -> &'static str {
    match fault {
        StaticKeyFault::NotPem | StaticKeyFault::Damaged => "it begins with `-----BEGIN CERTIFICATE-----` or `-----BEGIN PUBLIC KEY-----`",
        StaticKeyFault::Private => "only the public half belongs here: `openssl pkey -in … -pubout`",
        StaticKeyFault::Several => "one file for each key; of a chain only the certificate of the key that signs",
        StaticKeyFault::Kind => "RSA, EC on P-256 or P-384, or Ed25519",
        StaticKeyFault::Weak => "RSA has 2048 to 8192 bits, and EC keys are points of their curve, uncompressed",
        StaticKeyFault::NeverCounts => "`not_after` is later than `not_before`",
    }
}

fn warn(item: &Field<'_>, key: &StaticKey) {
    let Some(end) = key.not_after().and_then(|end| u64::try_from(end.0).ok()) else { return };
    let end = UNIX_EPOCH + Duration::from_secs(end);
    let shown = humantime::format_rfc3339_seconds(end);
    let now = SystemTime::now();
    let help = "add the next key beside it: both may be there at once";
    if end < now {
        item.warn(WarningCode::KeyEnds, format!("key `{}` ended at {shown}: tokens that it signed are refused", key.id()), help);
    } else if end < now + SOON {
        item.warn(WarningCode::KeyEnds, format!("key `{}` ends at {shown}", key.id()), help);
    }
}
