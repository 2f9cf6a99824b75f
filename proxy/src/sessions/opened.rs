//! Session cookies that were opened before, remembered whole: opening one costs more than all the rest of a request.
//!
//! What is remembered is what the bytes say, never that somebody may pass. Limits, revocations and whether the key that sealed
//! them is still one of ours are looked at for every request. Each configuration remembers for itself, so nothing outlives the
//! mapping that made an identity of it. Only what opened is remembered: nobody fills it with what he makes up.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use doorward_policy::identity::{Identity, IdentityMapping};
use doorward_policy::session::{CookiePlace, KeyId, SealingKeys, Session, SessionFacts};
use equivalent::Equivalent;
use quick_cache::sync::Cache;

/// What cookies of one kind say. Those that nobody brings give way.
pub(super) struct OpenedCookies<T> {
    cookies: Cache<Cookie, Opened<T>>,
}

/// What a cookie says, and under which key.
#[derive(Debug, Clone)]
pub(super) struct Opened<T> {
    pub(super) says: T,
    pub(super) key: KeyId,
}

/// A session that its cookie holds.
#[derive(Debug, Clone)]
pub(super) struct CookieSession {
    pub(super) session: Arc<Session>,
    pub(super) identity: Arc<Identity>,
    pub(super) facts: SessionFacts,
}

impl CookieSession {
    pub(super) fn new(session: Session, mapping: &IdentityMapping) -> Self {
        let facts = session.facts();
        Self { identity: Arc::new(Identity::from_session(session.clone(), mapping)), session: Arc::new(session), facts }
    }
}

/// Where a cookie was good, and all of its bytes: what is equal is the same, whatever hashes say.
#[derive(PartialEq, Eq)]
struct Cookie {
    place: Place,
    sealed: Box<[u8]>,
}

/// A [`CookiePlace`] that is kept.
#[derive(PartialEq, Eq)]
enum Place {
    Host(Box<str>),
    Domain(Box<str>),
}

/// A cookie as a request brings it.
struct Brought<'r> {
    place: CookiePlace<'r>,
    sealed: &'r [u8],
}

impl Equivalent<Cookie> for Brought<'_> {
    fn equivalent(&self, known: &Cookie) -> bool {
        let place = match (&known.place, self.place) {
            (Place::Host(known), CookiePlace::Host(host)) => **known == *host,
            (Place::Domain(known), CookiePlace::Domain(domain)) => **known == *domain,
            (Place::Host(_) | Place::Domain(_), _) => false,
        };
        place && *known.sealed == *self.sealed
    }
}

// A sealed value opens at one place alone: there are no two keys of one value to tell apart.
impl Hash for Cookie {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.sealed.hash(state);
    }
}

impl Hash for Brought<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.sealed.hash(state);
    }
}

impl<T: Clone> OpenedCookies<T> {
    /// Remembers so many.
    pub(super) fn new(limit: usize) -> Self {
        Self { cookies: Cache::new(limit) }
    }

    /// What this cookie says at this place, if it opened there before and its key is still among `keys`.
    pub(super) fn get(&self, place: CookiePlace<'_>, sealed: &[u8], keys: &SealingKeys) -> Option<Opened<T>> {
        self.cookies.get(&Brought { place, sealed }).filter(|opened| keys.has(opened.key))
    }

    /// Remembers a cookie that opened just now at this place.
    pub(super) fn keep(&self, place: CookiePlace<'_>, sealed: &[u8], opened: Opened<T>) {
        let place = match place {
            CookiePlace::Host(host) => Place::Host(host.into()),
            CookiePlace::Domain(domain) => Place::Domain(domain.into()),
        };
        self.cookies.insert(Cookie { place, sealed: sealed.into() }, opened);
    }
}

impl<T> fmt::Debug for OpenedCookies<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpenedCookies([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use doorward_policy::secret::Secret;

    use super::*;

    const HERE: CookiePlace<'_> = CookiePlace::Host("app.example.com");

    fn ring(seeds: &[u8]) -> SealingKeys {
        let key = |seed: &u8| Secret::new((0..32u8).map(|at| at.wrapping_mul(37).wrapping_add(*seed)).collect::<Vec<u8>>());
        SealingKeys::new(&seeds.iter().map(key).collect::<Vec<_>>()).unwrap()
    }

    fn opened(says: u32, keys: &SealingKeys) -> Opened<u32> {
        Opened { says, key: keys.first() }
    }

    #[test]
    fn sess_35_what_a_removed_key_sealed_is_not_remembered_any_more() {
        let (cookies, old) = (OpenedCookies::new(100), ring(&[1]));
        cookies.keep(HERE, b"sealed", opened(7, &old));
        for (name, keys, known) in [("itself", &[1][..], true), ("second", &[2, 1], true), ("gone", &[2], false), ("back", &[1, 2], true)] {
            assert_eq!(cookies.get(HERE, b"sealed", &ring(keys)).is_some(), known, "{name}");
        }
    }

    #[test]
    fn sess_32_a_place_remembers_its_own_and_every_byte_counts() {
        let (cookies, keys) = (OpenedCookies::new(100), ring(&[1]));
        let (domain, other) = (CookiePlace::Domain("app.example.com"), CookiePlace::Host("other.example.com"));
        cookies.keep(HERE, b"sealed", opened(1, &keys));
        cookies.keep(domain, b"sealed", opened(2, &keys));
        let says = |place, sealed: &[u8]| cookies.get(place, sealed, &keys).map(|opened| opened.says);
        assert_eq!((says(HERE, b"sealed"), says(domain, b"sealed"), says(other, b"sealed")), (Some(1), Some(2), None));
        for another in [&b"sealee"[..], b"seale", b"sealedx", b""] {
            assert_eq!(says(HERE, another), None, "{another:?}");
        }
    }

    #[test]
    fn adv_tra_06_as_many_are_remembered_as_there_is_room_for() {
        let (cookies, keys) = (OpenedCookies::new(100), ring(&[1]));
        for number in 0..10_000_u32 {
            cookies.keep(HERE, &number.to_be_bytes(), opened(number, &keys));
            assert!(cookies.cookies.len() <= 100);
        }
        assert!(cookies.cookies.len() > 50, "it does remember");
        assert_eq!(format!("{cookies:?}"), "OpenedCookies([redacted])");
    }
}
