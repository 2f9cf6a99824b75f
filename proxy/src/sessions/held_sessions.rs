//! All sessions that this process holds: as many as there is room for.
//!
//! Where there is no room for another, one that nobody used for long gives way; it is read from the store again when its person comes.
//! All are asked in turn to give way, those first that came first, wherever their ids put them in the map. Who was used since stays
//! for another round: the page replacement that is called a clock. Look-ups have no part in it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use dashmap::DashMap;
use doorward_policy::time::Timestamp;

use super::Held;

/// Sessions held at once.
const LIMIT: usize = 200_000;
/// Sessions that are asked at most to make room for one.
const ASKED: usize = 16;

/// By the session's id. Sharded: a request holds a shard for one look-up.
#[derive(Debug)]
pub(super) struct HeldSessions {
    by_id: DashMap<Box<str>, Arc<Held>>,
    limit: usize,
    /// The next to be asked comes first. Each session that is held has a turn, and some that are not any more. Whoever adds one holds
    /// this, so that there are never more of either than `limit`.
    turns: Mutex<VecDeque<Turn>>,
}

#[derive(Debug)]
struct Turn {
    held: Weak<Held>,
    /// The last request when it was asked before.
    seen: Timestamp,
}

impl Turn {
    fn of(held: &Arc<Held>) -> Self {
        Self { held: Arc::downgrade(held), seen: held.seen() }
    }
}

/// A session with a place among those held.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) held: Arc<Held>,
    /// The one that gave way, in use by nobody.
    pub(super) gone: Option<Arc<Held>>,
}

/// How there is a place.
enum Room {
    Free,
    Of(Arc<Held>),
}

impl Default for HeldSessions {
    fn default() -> Self {
        Self::new(LIMIT)
    }
}

impl HeldSessions {
    /// With room for so many; what there is room for takes none before it is there.
    pub(super) fn new(limit: usize) -> Self {
        Self { by_id: DashMap::new(), limit, turns: Mutex::default() }
    }

    pub(super) fn get(&self, id: &str) -> Option<Arc<Held>> {
        self.by_id.get(id).map(|held| held.value().clone())
    }

    /// Keeps it; another that came first stays. What is held then is the answer. Where everybody who was asked to give way is in use
    /// this moment, it is good for the one who brought it, and the next reads it anew.
    pub(super) fn insert(&self, held: Held, now: Timestamp) -> Kept {
        let id = held.known().record.session.id.clone();
        let mut turns = self.turns();
        if let Some(held) = self.get(&id) {
            return Kept { held, gone: None };
        }
        let held = Arc::new(held);
        let gone = match self.room(&mut turns, now) {
            Some(Room::Free) => None,
            Some(Room::Of(gone)) => Some(gone),
            None => return Kept { held, gone: None },
        };
        turns.push_back(Turn::of(&held));
        self.by_id.insert(id, held.clone());
        Kept { held, gone }
    }

    pub(super) fn remove(&self, id: &str) -> Option<Arc<Held>> {
        self.by_id.remove(id).map(|(_, held)| held)
    }

    /// Ends come nearer by so much.
    pub(super) fn shorten(&self, by: Duration) {
        let by = i64::try_from(by.as_secs()).unwrap_or(i64::MAX);
        self.by_id.iter().for_each(|held| held.shorten(by));
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn sweep(&self, now: Timestamp) {
        self.by_id.retain(|_, held| held.until() > now);
        self.turns().retain(|turn| turn.held.strong_count() > 0);
    }

    /// A place for one more, if there is one. Asks a handful: nobody pays for a search.
    fn room(&self, turns: &mut VecDeque<Turn>, now: Timestamp) -> Option<Room> {
        if turns.len() < self.limit {
            return Some(Room::Free);
        }
        let mut asked = Vec::with_capacity(ASKED);
        while asked.len() < ASKED
            && let Some(turn) = turns.pop_front()
        {
            // It ended, or was swept away.
            let Some(held) = turn.held.upgrade() else { return Some(Room::Free) };
            let is_unused = held.seen() <= turn.seen || held.until() <= now;
            if is_unused && self.gives_way(&held) {
                return Some(Room::Of(held));
            }
            turns.push_back(Turn::of(&held));
            asked.push(held);
        }
        // All were used since they were asked before: the one whose use is longest ago.
        asked.sort_by_key(|held| held.seen());
        let gone = asked.into_iter().find(|held| self.gives_way(held))?;
        if let Some(at) = turns.iter().rposition(|turn| turn.held.as_ptr() == Arc::as_ptr(&gone)) {
            turns.remove(at);
        }
        Some(Room::Of(gone))
    }

    /// Takes it out, unless a request, a refresh or something else beside the requests has it: two of one session would not hear of
    /// each other, and a refresh keeps tokens in it that the store does not have yet.
    fn gives_way(&self, held: &Arc<Held>) -> bool {
        let id = held.known().record.session.id.clone();
        // Nobody finds it meanwhile: whoever has it besides the map and us had it before.
        self.by_id.remove_if(&id, |_, known| Arc::ptr_eq(known, held) && Arc::strong_count(known) == 2).is_some()
    }

    fn turns(&self) -> MutexGuard<'_, VecDeque<Turn>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
