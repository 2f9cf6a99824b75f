use std::time::Duration;

use super::*;

const IDP: &str = "https://idp.example.com/";
const OTHER: &str = "https://other.example.com/";
const NOW: Timestamp = Timestamp(1_800_000_000);

fn later(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

fn none() -> Revocations {
    Revocations::new([IDP, OTHER])
}

/// A set that is full sooner.
fn small(limit: usize) -> Revocations {
    Revocations { limit, ..none() }
}

fn entry(what: What) -> Revocation {
    Revocation { what, not_before: NOW, until: later(3600) }
}

fn of_id(id: &str) -> Revocation {
    entry(What::Session { issuer: IDP.into(), id: id.into() })
}

fn of_sid(sid: &str) -> Revocation {
    entry(What::ProviderSession { issuer: IDP.into(), sid: sid.into() })
}

fn of_sub(sub: &str) -> Revocation {
    entry(What::Subject { issuer: IDP.into(), sub: sub.into() })
}

fn facts(id: &str, sid: &str, sub: &str, issued: Timestamp) -> SessionFacts {
    SessionFacts::new(IDP, id, Some(sid), sub, issued)
}

/// The session that the entries above are about, issued at the time of them.
fn session() -> SessionFacts {
    facts("id", "sid", "sub", NOW)
}

#[test]
fn nothing_is_revoked_before_something_is() {
    assert!(none().is_empty() && !none().is_revoked(&session()));
    let set = none().with(&of_id("id"), NOW);
    assert!(set.is_revoked(&session()));
    assert_eq!((set.len(), none().len()), (1, 0));
}

#[test]
fn logout_13_by_sid_that_session_only_and_by_sub_all_of_them() {
    let by_sid = none().with(&of_sid("sid"), NOW);
    assert!(by_sid.is_revoked(&session()));
    assert!(!by_sid.is_revoked(&facts("id2", "sid2", "sub", NOW)), "another session of the same person");
    assert!(!by_sid.is_revoked(&SessionFacts::new(IDP, "id", None, "sub", NOW)), "a session whose sid is unknown");
    let by_sub = none().with(&of_sub("sub"), NOW);
    assert!(by_sub.is_revoked(&session()) && by_sub.is_revoked(&facts("id2", "sid2", "sub", NOW)));
    assert!(!by_sub.is_revoked(&facts("id", "sid", "sub2", NOW)), "another person");
}

#[test]
fn logout_13_sessions_that_came_later_survive_where_a_person_is_meant() {
    let by_sub = none().with(&of_sub("sub"), NOW);
    assert!(by_sub.is_revoked(&facts("id", "sid", "sub", NOW)), "the same second");
    assert!(!by_sub.is_revoked(&facts("id", "sid", "sub", later(1))));
    let by_issuer = none().with(&entry(What::Issuer(IDP.into())), NOW);
    assert!(by_issuer.is_revoked(&session()) && !by_issuer.is_revoked(&facts("id", "sid", "sub", later(1))));
    // A session has an end, whenever its ID token was issued: a callback that comes after the sign-out revives nothing.
    assert!(none().with(&of_sid("sid"), NOW).is_revoked(&facts("id", "sid", "sub", later(60))));
    assert!(none().with(&of_id("id"), NOW).is_revoked(&facts("id", "sid", "sub", later(60))));
}

#[test]
fn another_issuer_or_another_kind_of_name_is_somebody_else() {
    for revocation in [of_id("x"), of_sid("x"), of_sub("x")] {
        let set = none().with(&revocation, NOW);
        assert!(set.is_revoked(&facts("x", "x", "x", NOW)));
        assert!(!set.is_revoked(&SessionFacts::new(OTHER, "x", Some("x"), "x", NOW)), "{revocation:?}");
    }
    assert!(!none().with(&of_id("x"), NOW).is_revoked(&facts("y", "x", "x", NOW)));
    assert!(!none().with(&of_sid("x"), NOW).is_revoked(&facts("x", "y", "x", NOW)));
    assert!(!none().with(&of_sub("x"), NOW).is_revoked(&facts("x", "x", "y", NOW)));
    let stranger = What::Subject { issuer: "https://stranger/".into(), sub: "sub".into() };
    assert!(none().with(&entry(stranger), NOW).is_empty(), "no session of that issuer can live here");
}

#[test]
fn long_names_are_told_apart_to_their_end() {
    let name = |length: usize, last: char| "a".repeat(length - 1) + &last.to_string();
    for length in [1, 255, 256, 257, 4000] {
        let set = none().with(&of_sub(&name(length, 'x')), NOW);
        assert!(set.is_revoked(&facts("id", "sid", &name(length, 'x'), NOW)), "{length}");
        assert!(!set.is_revoked(&facts("id", "sid", &name(length, 'y'), NOW)), "{length}");
    }
}

#[test]
fn the_later_times_win_in_whichever_order_they_come() {
    let with = |not_before, until| Revocation { not_before, until, ..of_sub("sub") };
    let entries = [
        with(later(5), later(100)),
        with(NOW, later(200)),
        of_sid("s"),
        entry(What::Issuer(OTHER.into())),
        with(later(2), later(50)),
        of_id("i"),
    ];
    let set = |order: &[usize]| order.iter().fold(none(), |set, at| set.with(&entries[*at], NOW));
    let orders = [[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0], [1, 3, 5, 0, 2, 4], [4, 0, 4, 2, 1, 3]];
    for order in orders {
        let mut set = set(&order);
        assert!(set.is_revoked(&facts("-", "-", "sub", later(5))), "{order:?}");
        assert!(!set.is_revoked(&facts("-", "-", "sub", later(6))), "{order:?}");
        assert!(set.is_revoked(&facts("-", "s", "-", later(9))), "{order:?}");
        set.sweep(later(199));
        assert!(set.is_revoked(&facts("-", "-", "sub", later(5))), "{order:?}");
    }
    assert_eq!(orders[..3].iter().map(|order| set(order).len()).collect::<Vec<_>>(), [4, 4, 4]);
}

#[test]
fn an_entry_twice_is_one_entry() {
    let set = none().with(&of_sid("sid"), NOW).with(&of_sid("sid"), NOW).with(&of_sid("sid"), later(1));
    assert_eq!(set.len(), 1);
}

#[test]
fn entries_end_with_the_last_session_they_concern() {
    let mut set = none().with(&of_sid("sid"), NOW).with(&entry(What::Issuer(IDP.into())), NOW);
    set.sweep(later(3599));
    assert_eq!(set.len(), 2);
    set.sweep(later(3600));
    assert_eq!(set.len(), 0);
    assert!(!set.is_revoked(&session()));
    assert!(none().with(&of_sid("sid"), later(3600)).is_empty(), "what is over is not taken in");
}

#[test]
fn what_is_in_force_already_need_not_be_added_again() {
    let set = none().with(&of_sid("sid"), NOW).with(&of_sub("sub"), NOW);
    let minute = Duration::from_secs(60);
    for what in [of_sid("sid"), of_sub("sub")] {
        assert!(set.covers(&what, Duration::ZERO));
        assert!(set.covers(&Revocation { until: later(3660), ..what.clone() }, minute));
        assert!(!set.covers(&Revocation { until: later(3661), ..what }, minute));
    }
    assert!(!set.covers(&of_sid("other"), minute) && !set.covers(&entry(What::Issuer(IDP.into())), minute));
    assert!(!set.covers(&Revocation { not_before: later(1), ..of_sub("sub") }, minute), "ends sessions that the other did not");
    assert!(set.covers(&Revocation { not_before: later(1), ..of_sid("sid") }, minute), "ends the same");
}

#[test]
fn a_copy_that_a_reader_holds_does_not_change() {
    let first = none().with(&of_sid("one"), NOW);
    let second = first.with(&of_sid("two"), NOW);
    assert!(second.is_revoked(&facts("id", "one", "sub", NOW)) && second.is_revoked(&facts("id", "two", "sub", NOW)));
    assert!(!first.is_revoked(&facts("id", "two", "sub", NOW)));
}

#[test]
fn logout_14_a_full_set_revokes_more_never_less() {
    let mut set = small(10);
    set.add(&entry(What::Subject { issuer: OTHER.into(), sub: "quiet".into() }), NOW);
    for n in 0..9 {
        set.add(&of_sid(&format!("s{n}")), NOW);
    }
    let bystander = facts("id", "unheard", "unheard", later(5));
    assert_eq!(set.len(), 10);
    assert!(!set.is_revoked(&bystander));
    set.add(&of_sid("s9"), later(5));
    assert_eq!(set.len(), 2, "one for everybody, and the other issuer's");
    assert!(set.is_revoked(&bystander) && set.is_revoked(&facts("id", "s0", "sub", later(5))));
    assert!(!set.is_revoked(&facts("id", "new", "sub", later(6))), "who signs in now is welcome");
    // The issuer that filled the set pays, not the one that says little.
    let quiet = |sub: &str| SessionFacts::new(OTHER, "id", None, sub, NOW);
    assert!(set.is_revoked(&quiet("quiet")) && !set.is_revoked(&quiet("another")));
    // What is raised ends when the last of its entries would have.
    set.sweep(later(3599));
    assert!(set.is_revoked(&bystander));
    set.sweep(later(3600));
    assert!(set.is_empty());
}

#[test]
fn logout_14_what_is_over_makes_room_before_anybody_pays() {
    let mut set = small(10);
    for n in 0..10 {
        set.add(&of_sid(&format!("s{n}")), NOW);
    }
    let fresh = Revocation { until: later(9000), ..of_sid("fresh") };
    set.add(&fresh, later(3600));
    assert_eq!(set.len(), 1);
    assert!(!set.is_revoked(&facts("id", "bystander", "sub", NOW)));
}

#[test]
fn logout_14_a_million_entries_stay_within_the_bound() {
    let mut set = none();
    let mut most = 0;
    for n in 0..1_000_000u32 {
        set.add(&of_sid(&n.to_string()), later(1));
        most = most.max(set.len());
    }
    assert_eq!(most, LIMIT);
    assert!((0..1_000_000u32).step_by(997).all(|n| set.is_revoked(&facts("id", &n.to_string(), "sub", NOW))));
    // The same million again, as a flood of repeated entries that are there.
    let held = set.len();
    for n in (1_000_000 - u32::try_from(held).unwrap() + 1)..1_000_000 {
        set.add(&of_sid(&n.to_string()), later(1));
    }
    assert_eq!(set.len(), held);
}

#[test]
fn stores_read_what_they_wrote_and_nothing_else() {
    for what in [of_id("i").what, of_sid("s").what, of_sub("u").what, What::Issuer(IDP.into())] {
        let entry = entry(what);
        let text = serde_json::to_string(&entry).unwrap();
        assert_eq!(serde_json::from_str::<Revocation>(&text).unwrap(), entry, "{text}");
    }
    let written = r#"{"what":{"subject":{"issuer":"https://idp/","sub":"u"}},"not_before":1,"until":2}"#;
    assert!(serde_json::from_str::<Revocation>(written).is_ok());
    for bad in [
        r#"{"what":{"subject":{"issuer":"https://idp/"}},"not_before":1,"until":2}"#,
        r#"{"what":{"subject":{"issuer":"https://idp/","sub":"u","x":1}},"not_before":1,"until":2}"#,
        r#"{"what":{"everything":{}},"not_before":1,"until":2}"#,
        r#"{"what":{"issuer":"https://idp/"},"not_before":1}"#,
    ] {
        assert!(serde_json::from_str::<Revocation>(bad).is_err(), "{bad}");
    }
}

#[test]
fn logout_14_who_fills_the_set_is_known() {
    assert_eq!(none().largest_issuer(), None);
    let other = |sub: &str| entry(What::Subject { issuer: OTHER.into(), sub: sub.into() });
    let set = none().with(&of_sub("a"), NOW).with(&other("a"), NOW).with(&other("b"), NOW);
    assert_eq!(set.largest_issuer(), Some(OTHER));
}

#[test]
fn sess_40_another_configuration_forgets_nothing_that_is_in_force() {
    let mut set = none().with(&of_sub("a"), NOW);
    assert!(!set.keep_issuers([OTHER]), "known already");
    assert!(set.is_revoked(&facts("id", "sid", "a", NOW)), "its issuer may come back with the next configuration");
    assert!(set.keep_issuers([OTHER, "https://third/"]));
    let third = entry(What::Subject { issuer: "https://third/".into(), sub: "a".into() });
    set.add(&third, NOW);
    assert_eq!(set.len(), 2);
    set.sweep(later(1_000_000));
    assert!(!set.keep_issuers([OTHER]));
    set.add(&third, NOW);
    assert!(set.is_empty(), "no session of it could live here");
}

#[test]
fn sess_40_entries_last_as_long_as_sessions_do_when_these_live_longer() {
    let mut set = none().with(&of_sub("a"), NOW).with(&entry(What::Issuer(OTHER.into())), NOW);
    set.prolong(std::time::Duration::from_secs(7200));
    set.sweep(later(3601));
    assert_eq!(set.len(), 2);
    set.sweep(later(3600 + 7200));
    assert!(set.is_empty());
}
