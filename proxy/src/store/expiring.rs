//! A bounded map whose entries end.
//!
//! Sharded, and each shard knows its entries by their ends, so nothing that a request does costs more when there are more
//! of them: sweeping pops what is over, and finding that nothing is over is one look at each shard.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A digest: nobody chooses which shard it falls into.
pub(super) type Key = [u8; 32];

const SHARDS: usize = 256;
/// Popped at each write: more than a write adds, so what is over never gathers.
const SWEPT_AT_ONCE: usize = 4;
/// Popped by one visit of the sweeper, while nobody else may look into the shard.
const SWEPT_AT_REST: usize = 256;

/// Times are milliseconds of whatever clock the caller reads.
pub(super) struct Expiring<V> {
    shards: Box<[Mutex<Shard<V>>]>,
    len: AtomicUsize,
    limit: usize,
}

struct Shard<V> {
    entries: HashMap<Key, Entry<V>>,
    ends: BTreeSet<(i64, Key)>,
}

pub(super) struct Entry<V> {
    pub(super) value: V,
    end: i64,
}

/// There is no room, and nothing in it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoRoom;

impl<V> Expiring<V> {
    pub(super) fn new(limit: usize) -> Self {
        let shard = || Mutex::new(Shard { entries: HashMap::new(), ends: BTreeSet::new() });
        Self { shards: (0..SHARDS).map(|_| shard()).collect(), len: AtomicUsize::new(0), limit }
    }

    /// Entries held; what is over is among them until it is swept.
    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// What `look` makes of the entry and its end.
    pub(super) fn read<R>(&self, key: &Key, now: i64, look: impl FnOnce(&V, i64) -> R) -> Option<R> {
        let shard = self.shard(key);
        shard.entries.get(key).filter(|entry| entry.end > now).map(|entry| look(&entry.value, entry.end))
    }

    /// Keeps `value` until `end`, instead of what was there.
    pub(super) fn insert(&self, key: Key, value: V, end: i64, now: i64) -> Result<(), NoRoom> {
        self.put(key, value, end, now, |_| true).map(|_| ())
    }

    /// Keeps `value` until `end` unless something is there: then false.
    pub(super) fn insert_first(&self, key: Key, value: V, end: i64, now: i64) -> Result<bool, NoRoom> {
        self.put(key, value, end, now, |_| false)
    }

    fn put(&self, key: Key, value: V, end: i64, now: i64, may_replace: impl Fn(&V) -> bool) -> Result<bool, NoRoom> {
        if self.shard(&key).entries.get(&key).is_some_and(|entry| entry.end > now && !may_replace(&entry.value)) {
            return Ok(false);
        }
        if end <= now {
            self.remove(&key);
            return Ok(true);
        }
        // Room first, with no shard held: making it looks into all of them.
        let replaces = self.shard(&key).entries.contains_key(&key);
        if !replaces {
            self.reserve(now)?;
        }
        let mut shard = self.shard(&key);
        let before = shard.entries.get(&key).map(|entry| (entry.end, may_replace(&entry.value)));
        if let Some((_, false)) = before.filter(|(end, _)| *end > now) {
            // Somebody was faster.
            if !replaces {
                self.len.fetch_sub(1, Ordering::Relaxed);
            }
            return Ok(false);
        }
        match (before, replaces) {
            (Some((end, _)), _) => {
                shard.ends.remove(&(end, key));
                if !replaces {
                    self.len.fetch_sub(1, Ordering::Relaxed);
                }
            }
            // It went meanwhile: its room is anybody's. One more than the limit for a moment is no harm.
            (None, true) => {
                self.len.fetch_add(1, Ordering::Relaxed);
            }
            (None, false) => {}
        }
        shard.entries.insert(key, Entry { value, end });
        shard.ends.insert((end, key));
        self.pop(&mut shard, now, SWEPT_AT_ONCE);
        Ok(true)
    }

    /// What `change` makes of the entry; its end moves to what `change` sets.
    pub(super) fn update<R>(&self, key: &Key, now: i64, change: impl FnOnce(&mut V, &mut i64) -> R) -> Option<R> {
        let mut shard = self.shard(key);
        let entry = shard.entries.get_mut(key).filter(|entry| entry.end > now)?;
        let before = entry.end;
        let outcome = change(&mut entry.value, &mut entry.end);
        let after = entry.end;
        if after != before {
            shard.ends.remove(&(before, *key));
            shard.ends.insert((after, *key));
        }
        self.pop(&mut shard, now, SWEPT_AT_ONCE);
        Some(outcome)
    }

    pub(super) fn remove(&self, key: &Key) {
        self.remove_if(key, |_| true);
    }

    pub(super) fn remove_if(&self, key: &Key, condition: impl FnOnce(&V) -> bool) {
        let mut shard = self.shard(key);
        if !shard.entries.get(key).is_some_and(|entry| condition(&entry.value)) {
            return;
        }
        if let Some(entry) = shard.entries.remove(key) {
            shard.ends.remove(&(entry.end, *key));
            self.len.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Drops what is over, a shard at a time and a little of it at a time.
    pub(super) fn sweep(&self, now: i64) {
        for shard in &self.shards {
            while self.pop(&mut lock(shard), now, SWEPT_AT_REST) == SWEPT_AT_REST {}
        }
    }

    fn reserve(&self, now: i64) -> Result<(), NoRoom> {
        let one = || self.len.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |len| (len < self.limit).then_some(len + 1));
        if one().is_ok() {
            return Ok(());
        }
        for shard in &self.shards {
            if self.pop(&mut lock(shard), now, SWEPT_AT_REST) > 0 && one().is_ok() {
                return Ok(());
            }
        }
        Err(NoRoom)
    }

    fn pop(&self, shard: &mut Shard<V>, now: i64, most: usize) -> usize {
        let mut popped = 0;
        while popped < most && shard.ends.first().is_some_and(|(end, _)| *end <= now) {
            let Some((_, key)) = shard.ends.pop_first() else { break };
            shard.entries.remove(&key);
            popped += 1;
        }
        self.len.fetch_sub(popped, Ordering::Relaxed);
        popped
    }

    fn shard(&self, key: &Key) -> MutexGuard<'_, Shard<V>> {
        lock(&self.shards[usize::from(key[0])])
    }
}

/// Held for a few instructions, and nothing in them panics half-way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn key(at: u32) -> Key {
        let mut key = [0; 32];
        key[..4].copy_from_slice(&at.wrapping_mul(0x9e37_79b1).to_be_bytes());
        key[4..8].copy_from_slice(&at.to_be_bytes());
        key
    }

    #[test]
    fn what_is_over_is_not_read_swept_or_not() {
        let map = Expiring::new(10);
        map.insert(key(1), "one", 100, 0).unwrap();
        assert_eq!(map.read(&key(1), 99, |value, end| (*value, end)), Some(("one", 100)));
        assert_eq!(map.read(&key(1), 100, |value, _| *value), None);
        assert_eq!(map.update(&key(1), 100, |_, _| ()), None);
        assert_eq!(map.insert_first(key(1), "two", 200, 99), Ok(false));
        assert_eq!(map.insert_first(key(1), "two", 200, 100), Ok(true));
        assert_eq!(map.len(), 1);
    }

    #[test]
    fn a_full_map_gives_up_what_is_over_and_nothing_else() {
        let map = Expiring::new(3);
        for at in 0..3 {
            map.insert(key(at), at, 100 + i64::from(at), 0).unwrap();
        }
        assert_eq!(map.insert(key(3), 3, 200, 99), Err(NoRoom));
        assert_eq!(map.insert(key(2), 9, 200, 99), Ok(()), "what is there is replaced without more room");
        assert_eq!(map.insert(key(3), 3, 200, 100), Ok(()));
        assert_eq!(map.insert(key(4), 4, 200, 100), Err(NoRoom));
        assert_eq!((map.len(), map.read(&key(2), 150, |value, _| *value)), (3, Some(9)));
    }

    #[test]
    fn a_moved_end_counts_and_the_old_one_does_not() {
        let map = Expiring::new(3);
        map.insert(key(1), (), 100, 0).unwrap();
        map.update(&key(1), 50, |(), end| *end = 300).unwrap();
        map.sweep(200);
        assert_eq!(map.read(&key(1), 299, |(), end| end), Some(300));
        map.sweep(300);
        assert_eq!(map.len(), 0);
    }

    #[test]
    fn removing_leaves_room_for_another() {
        let map = Expiring::new(1);
        map.insert(key(1), 1, 100, 0).unwrap();
        map.remove_if(&key(1), |value| *value == 2);
        assert_eq!(map.insert(key(2), 2, 100, 0), Err(NoRoom));
        map.remove(&key(1));
        map.remove(&key(1));
        assert_eq!(map.insert(key(2), 2, 100, 0), Ok(()));
        assert_eq!(map.len(), 1);
    }

    #[test]
    fn many_at_once_neither_lose_nor_count_twice() {
        let map = Expiring::new(1000);
        std::thread::scope(|scope| {
            for worker in 0..8u32 {
                let map = &map;
                scope.spawn(move || {
                    for round in 0..2000u32 {
                        let at = key((round * 7 + worker) % 400);
                        match (round + worker) % 4 {
                            0 => drop(map.insert(at, worker, i64::from(round) + 50, i64::from(round))),
                            1 => drop(map.insert_first(at, worker, i64::from(round) + 50, i64::from(round))),
                            2 => map.remove(&at),
                            _ => drop(map.update(&at, i64::from(round), |_, end| *end += 1)),
                        }
                    }
                });
            }
        });
        let counted: usize = map.shards.iter().map(|shard| lock(shard).entries.len()).sum();
        let by_end: usize = map.shards.iter().map(|shard| lock(shard).ends.len()).sum();
        assert_eq!((map.len(), map.len()), (counted, by_end));
        map.sweep(i64::MAX);
        assert_eq!(map.len(), 0);
    }

    #[test]
    fn dos_a_full_map_costs_no_more_than_one_look_at_each_shard() {
        let map = Expiring::new(200_000);
        for at in 0..200_000 {
            map.insert(key(at), (), 1000, 0).unwrap();
        }
        let begin = Instant::now();
        for at in 0..100 {
            assert_eq!(map.insert(key(300_000 + at), (), 1000, 0), Err(NoRoom));
        }
        assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    }
}
