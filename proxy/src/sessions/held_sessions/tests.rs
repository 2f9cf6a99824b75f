use std::ops::RangeInclusive;

use doorward_policy::identity::IdentityMapping;
use doorward_policy::session::{Origin, Record, Session, Tokens};
use serde_json::Map;

use super::*;
use crate::sessions::Mapping;
use crate::sessions::held::MappingId;

const NOW: Timestamp = Timestamp(1_800_000_000);
const HOUR: Duration = Duration::from_secs(3600);

fn after(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

fn id(number: usize) -> String {
    format!("session-{number}")
}

/// That session, which came `at` then and lasts for an hour.
fn session(number: usize, at: Timestamp) -> Held {
    let origin = Origin { id: &id(number), provider: "tenant", client_id: "client" };
    let record = Record::new(Session::begin(origin, &Map::new(), &[], at), Tokens::default());
    Held::new(record, Mapping { id: MappingId::next(), rules: &IdentityMapping::default() }, at.plus(HOUR), at)
}

impl HeldSessions {
    /// With room for `limit`, and so many that came just now.
    fn with(limit: usize, numbers: RangeInclusive<usize>) -> Self {
        let held = Self::new(limit);
        for number in numbers {
            held.come(number, NOW);
        }
        held
    }

    /// One more comes: whose number gave way.
    fn come(&self, number: usize, at: Timestamp) -> Option<usize> {
        let kept = self.insert(session(number, at), at);
        assert_eq!(&*kept.held.known().session.id, id(number));
        assert!(self.len() <= self.limit && self.turns().len() <= self.limit);
        kept.gone.map(|gone| {
            let known = gone.known();
            assert!(self.get(&known.session.id).is_none());
            known.session.id["session-".len()..].parse().unwrap()
        })
    }

    fn has(&self, number: usize) -> bool {
        self.by_id.contains_key(&*id(number))
    }

    fn see(&self, number: usize, at: Timestamp) {
        self.get(&id(number)).unwrap().see(at);
    }
}

#[test]
fn adv_tra_06_the_newest_are_held_and_never_more_than_there_is_room_for() {
    let held = HeldSessions::with(100, 1..=100);
    assert_eq!((held.len(), held.has(1)), (100, true), "up to the bound nobody goes");
    for number in 101..=1000 {
        // Nobody was used since he came: the one who came first goes.
        assert_eq!(held.come(number, after(number as u64)), Some(number - 100));
        assert_eq!(held.len(), 100);
    }
    assert!((901..=1000).all(|number| held.has(number)));
}

#[test]
fn who_was_used_stays_and_who_was_not_goes() {
    let held = HeldSessions::with(100, 1..=100);
    (1..=100).filter(|number| number % 2 == 0).for_each(|number| held.see(number, after(5)));
    let gone: Vec<usize> = (101..=150).filter_map(|number| held.come(number, after(10))).collect();
    assert_eq!(gone, (1..=100).filter(|number| number % 2 == 1).collect::<Vec<_>>());
}

#[test]
fn where_all_are_used_the_one_whose_use_is_longest_ago_goes() {
    let held = HeldSessions::with(ASKED, 1..=ASKED);
    (1..=ASKED).for_each(|number| held.see(number, after(if number == 7 { 5 } else { 9 })));
    assert_eq!(held.come(100, after(10)), Some(7));
    assert_eq!((held.len(), held.turns().len()), (ASKED, ASKED));
}

/// Part of the map by part, in the order in which it is walked through.
#[test]
fn where_an_id_is_in_the_map_changes_nothing() {
    const ALL: usize = 1000;
    for (name, used) in [("nobody is used", false), ("all are used all the time", true)] {
        let held = HeldSessions::with(ALL, 1..=ALL);
        let order: Vec<String> = held.by_id.iter().map(|held| held.key().to_string()).collect();
        for number in ALL + 1..=ALL + ALL / 2 {
            if used {
                held.by_id.iter().for_each(|held| held.see(after(number as u64)));
            }
            assert!(held.come(number, after(number as u64)).is_some(), "{name}");
        }
        for part in order.chunks(ALL / 10) {
            let gone = part.iter().filter(|id| !held.by_id.contains_key(&***id)).count();
            assert!((15..=85).contains(&gone), "{name}: {gone} of {}", part.len());
        }
    }
}

#[test]
fn who_is_in_use_does_not_give_way() {
    for (name, in_use, gone) in [("the first to be asked", Some(1), Some(2)), ("another", Some(3), Some(1)), ("nobody", None, Some(1))] {
        let held = HeldSessions::with(3, 1..=3);
        // A request, or a refresh that keeps tokens which the store does not have yet.
        let using = in_use.map(|number| held.get(&id(number)).unwrap());
        assert_eq!(held.come(4, after(9)), gone, "{name}");
        assert!(using.is_none_or(|using| Arc::ptr_eq(&using, &held.get(&using.known().session.id).unwrap())), "{name}");
    }
}

#[test]
fn where_all_are_in_use_one_more_is_answered_and_not_held() {
    let held = HeldSessions::with(3, 1..=3);
    let mut using: Vec<Arc<Held>> = (1..=3).map(|number| held.get(&id(number)).unwrap()).collect();
    assert_eq!(held.come(4, after(9)), None);
    assert_eq!((held.len(), held.has(4)), (3, false));
    using.remove(1);
    assert_eq!(held.come(4, after(9)), Some(2));
    assert_eq!((held.len(), held.has(4)), (3, true));
}

#[test]
fn what_is_over_goes_first_and_what_has_gone_leaves_its_place() {
    let held = HeldSessions::with(3, 1..=2);
    held.come(3, after(60));
    held.see(1, after(60));
    held.see(2, after(3599));
    // 1 was used since, and is over nevertheless.
    assert_eq!(held.come(4, NOW.plus(HOUR)), Some(1));
    for (name, go) in [("ended", true), ("nobody", false)] {
        let held = HeldSessions::with(3, 1..=3);
        assert!(!go || held.remove(&id(1)).is_some());
        assert_eq!(held.come(4, after(9)).is_some(), !go, "{name}");
        assert!((2..=4).all(|number| held.has(number)), "{name}");
    }
    held.sweep(NOW.plus(HOUR));
    assert_eq!((held.len(), held.turns().len()), (2, 2), "4 and 3, and a turn for each");
    assert_eq!(held.come(5, NOW.plus(HOUR)), None);
}

#[test]
fn who_came_first_stays_and_makes_nobody_go() {
    let held = HeldSessions::with(2, 1..=2);
    let first = held.get(&id(1)).unwrap();
    let again = held.insert(session(1, after(9)), after(9));
    assert!(Arc::ptr_eq(&again.held, &first) && again.gone.is_none());
    assert_eq!((held.len(), held.has(2)), (2, true));
}

#[test]
fn adv_tra_06_the_bound_holds_whoever_comes_and_goes_at_once() {
    let held = HeldSessions::with(50, 1..=50);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let held = &held;
            scope.spawn(move || {
                for step in 0..3000 {
                    let number = (step * 7 + thread * 13) % 200;
                    match step % 4 {
                        0 => drop(held.remove(&id(number))),
                        1 => drop(held.get(&id(number)).inspect(|held| held.see(after(step as u64)))),
                        _ => drop(held.insert(session(number, NOW), after(step as u64))),
                    }
                    // Nobody adds meanwhile.
                    let turns = held.turns();
                    assert!(held.by_id.len() <= turns.len() && turns.len() <= 50);
                    drop(turns);
                    if step % 500 == 0 {
                        held.sweep(after(step as u64));
                    }
                }
            });
        }
    });
    // Each that is held has a turn still: enough that come take the place of all.
    (1000..1100).for_each(|number| _ = held.come(number, after(3000)));
    assert!((1050..1100).all(|number| held.has(number)) && held.len() == 50);
}
