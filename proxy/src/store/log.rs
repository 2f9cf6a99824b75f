//! The list of revocations in memory: in the order they came, one for each thing revoked.

use std::collections::{BTreeMap, HashMap};

use aws_lc_rs::digest::{SHA256, digest};
use doorward_policy::session::{Revocation, What, revocation};
use doorward_policy::time::Timestamp;

use super::StoreFault;

/// Most entries of single sessions and persons: as many as are looked at.
pub const LIMIT: usize = revocation::LIMIT;
/// Issuers are the configuration's, so these never meet their limit in earnest.
pub(super) const ISSUERS: usize = 1_000;
/// Dropped where one entry says as much as all of them, by stores that must look for them.
pub(super) const COVERED: usize = 10_000;
/// Read at once.
pub(super) const PAGE: usize = 4_096;

/// What an entry is about, in a form of one length.
pub(super) type WhatKey = [u8; 32];

/// Equal for equal things, whatever the times.
pub(super) fn what_key(what: &What) -> WhatKey {
    let mut key = [0; 32];
    key.copy_from_slice(digest(&SHA256, &serde_json::to_vec(what).unwrap_or_default()).as_ref());
    key
}

/// Whether this entry has room of its own: one that ends everybody's sessions must never fail for want of it.
pub(super) fn is_of_issuer(what: &What) -> bool {
    match what {
        What::Issuer(_) => true,
        What::Session { .. } | What::ProviderSession { .. } | What::Subject { .. } => false,
    }
}

/// Whether `by`, which is of a whole issuer, says as much and lasts as long: sessions that began before it are over by it.
pub(super) fn is_covered(entry: &Revocation, by: &Revocation) -> bool {
    !is_of_issuer(&entry.what) && entry.what.issuer() == by.what.issuer() && entry.until <= by.until
}

/// Both, in whichever order they came: revocations only ever grow.
pub(super) fn merged(entry: &Revocation, known: &Revocation) -> Revocation {
    Revocation { what: entry.what.clone(), not_before: entry.not_before.max(known.not_before), until: entry.until.max(known.until) }
}

/// Replays of one sign-out are one entry: the last, at the end of the list.
#[derive(Debug)]
pub(super) struct Log {
    entries: BTreeMap<u64, Revocation>,
    places: HashMap<WhatKey, u64>,
    last: u64,
    issuers: usize,
    limit: usize,
}

impl Log {
    pub(super) fn new(limit: usize) -> Self {
        Self { entries: BTreeMap::new(), places: HashMap::new(), last: 0, issuers: 0, limit }
    }

    pub(super) fn add(&mut self, entry: &Revocation, now: Timestamp) -> Result<(), StoreFault> {
        if entry.until <= now {
            return Ok(());
        }
        let key = what_key(&entry.what);
        let known = self.places.get(&key).and_then(|place| self.entries.get(place));
        let entry = known.map_or_else(|| entry.clone(), |known| merged(entry, known));
        if known.is_none() && !self.has_room(&entry.what) {
            self.sweep(now);
            if !self.has_room(&entry.what) {
                return Err(StoreFault::Full);
            }
        }
        if is_of_issuer(&entry.what) {
            self.drop_covered(&entry);
        }
        self.last += 1;
        let before = self.places.insert(key, self.last);
        if before.and_then(|place| self.entries.remove(&place)).is_none() && is_of_issuer(&entry.what) {
            self.issuers += 1;
        }
        self.entries.insert(self.last, entry);
        Ok(())
    }

    /// A page of those after `after` that are not over, and the place of the last one looked at.
    pub(super) fn after(&self, after: u64, now: Timestamp) -> (Vec<Revocation>, u64) {
        let page = || self.entries.range(after.saturating_add(1)..).take(PAGE);
        let last = page().last().map_or(after, |(place, _)| *place);
        (page().map(|(_, entry)| entry).filter(|entry| entry.until > now).cloned().collect(), last)
    }

    pub(super) fn sweep(&mut self, now: Timestamp) {
        self.entries.retain(|_, entry| entry.until > now);
        self.places.retain(|_, place| self.entries.contains_key(place));
        self.issuers = self.entries.values().filter(|entry| is_of_issuer(&entry.what)).count();
    }

    /// What an entry of a whole issuer says as well.
    fn drop_covered(&mut self, by: &Revocation) {
        let Self { entries, places, .. } = self;
        entries.retain(|_, entry| !is_covered(entry, by));
        places.retain(|_, place| entries.contains_key(place));
    }

    fn has_room(&self, what: &What) -> bool {
        if is_of_issuer(what) { self.issuers < ISSUERS } else { self.entries.len() - self.issuers < self.limit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(sid: &str, until: i64) -> Revocation {
        Revocation {
            what: What::ProviderSession { issuer: "https://idp/".into(), sid: sid.into() },
            not_before: Timestamp(0),
            until: Timestamp(until),
        }
    }

    #[test]
    fn logout_14_the_list_is_bounded_and_gives_up_only_what_is_over() {
        let mut log = Log::new(2);
        log.add(&entry("a", 100), Timestamp(0)).unwrap();
        log.add(&entry("b", 200), Timestamp(0)).unwrap();
        assert_eq!(log.add(&entry("c", 300), Timestamp(99)), Err(StoreFault::Full));
        assert_eq!(log.add(&entry("b", 300), Timestamp(99)), Ok(()), "what is there needs no more room");
        let everybody = Revocation { what: What::Issuer("https://idp/".into()), ..entry("", 300) };
        assert_eq!(log.add(&everybody, Timestamp(99)), Ok(()), "one for the whole issuer always fits");
        assert_eq!(log.add(&entry("c", 300), Timestamp(100)), Ok(()));
        let (found, _) = log.after(0, Timestamp(100));
        assert_eq!(found, [everybody, entry("c", 300)]);
    }

    #[test]
    fn logout_14_a_full_list_is_full_once_and_not_for_every_sign_out_after_it() {
        let mut log = Log::new(3);
        let other =
            |until| Revocation { what: What::ProviderSession { issuer: "https://other/".into(), sid: "x".into() }, ..entry("", until) };
        log.add(&entry("a", 300), Timestamp(0)).unwrap();
        log.add(&entry("long", 400), Timestamp(0)).unwrap();
        log.add(&other(200), Timestamp(0)).unwrap();
        assert_eq!(log.add(&entry("b", 300), Timestamp(1)), Err(StoreFault::Full));
        let everybody = Revocation { what: What::Issuer("https://idp/".into()), ..entry("", 300) };
        log.add(&everybody, Timestamp(1)).unwrap();
        assert_eq!(log.after(0, Timestamp(1)).0, [entry("long", 400), other(200), everybody.clone()], "what it does not cover stays");
        assert_eq!(log.add(&entry("b", 300), Timestamp(1)), Ok(()));
        assert_eq!(log.add(&entry("c", 300), Timestamp(1)), Err(StoreFault::Full));
        log.add(&everybody, Timestamp(1)).unwrap();
        assert_eq!((log.entries.len(), log.places.len(), log.issuers), (3, 3, 1));
    }

    #[test]
    fn logout_14_a_thousand_replays_are_one_entry() {
        let mut log = Log::new(10);
        for _ in 0..1000 {
            log.add(&entry("a", 100), Timestamp(0)).unwrap();
        }
        assert_eq!((log.entries.len(), log.places.len()), (1, 1));
    }

    #[test]
    fn a_later_entry_of_the_same_thing_never_revokes_less() {
        let mut log = Log::new(10);
        log.add(&Revocation { not_before: Timestamp(50), ..entry("a", 100) }, Timestamp(0)).unwrap();
        log.add(&Revocation { not_before: Timestamp(20), ..entry("a", 300) }, Timestamp(0)).unwrap();
        assert_eq!(log.after(0, Timestamp(0)).0, [Revocation { not_before: Timestamp(50), ..entry("a", 300) }]);
    }

    #[test]
    fn pages_follow_one_another_to_the_end() {
        let mut log = Log::new(10_000);
        for at in 0..10_000 {
            log.add(&entry(&at.to_string(), 100), Timestamp(0)).unwrap();
        }
        let (mut cursor, mut found) = (0, 0);
        loop {
            let (page, next) = log.after(cursor, Timestamp(0));
            found += page.len();
            if next == cursor {
                break;
            }
            cursor = next;
        }
        assert_eq!(found, 10_000);
    }
}
