//! A session cookie that was opened before is remembered. What decides about it is looked at all the same.

use std::time::Duration;

use doorward_policy::session::What;
use doorward_policy::time::Timestamp;
use doorward_proxy::clock;
use http::HeaderMap;

use crate::stand::{APP, IDLE, LIFETIME, OTHER, SID, Stand};

const SECOND: Duration = Duration::from_secs(1);

/// A session that was let in, and is remembered.
fn remembered() -> (Stand, HeaderMap, Timestamp) {
    let (stand, now) = (Stand::new("cookie"), clock::now());
    let headers = stand.holding(&stand.session(now), APP);
    for _ in 0..3 {
        assert_eq!(stand.says(&stand.runtime, APP, &headers, now), "allow");
    }
    (stand, headers, now)
}

#[test]
fn hot_path_03_what_one_host_remembers_is_nothing_at_another() {
    for store in ["cookie", "memory"] {
        let (stand, now) = (Stand::new(store), clock::now());
        let session = stand.session(now);
        let at = |host| if store == "cookie" { stand.holding(&session, host) } else { stand.kept(&session, host) };
        let (own, others) = (at(APP), at(OTHER));
        for _ in 0..2 {
            assert_eq!(stand.says(&stand.runtime, APP, &own, now), "allow", "{store}");
            assert_eq!(stand.says(&stand.runtime, OTHER, &own, now), "session_unreadable", "{store}");
            assert_eq!(stand.says(&stand.runtime, OTHER, &others, now), "allow", "{store}");
            assert_eq!(stand.says(&stand.runtime, APP, &others, now), "session_unreadable", "{store}");
        }
    }
}

#[test]
fn hot_path_04_a_byte_more_or_less_is_another_cookie() {
    let (stand, headers, now) = remembered();
    let cookie = headers["cookie"].to_str().unwrap();
    let (before, after) = cookie.split_at(cookie.len() - "; lang=en".len());
    for (changed, said) in [
        (format!("{before}{after}"), "allow"),
        (format!("{before}A{after}"), "session_unreadable"),
        (format!("{}{after}", &before[..before.len() - 1]), "session_unreadable"),
        (format!("{before}{after}; {before}"), "session_unreadable"),
    ] {
        let mut headers = headers.clone();
        headers.insert("cookie", changed.parse().unwrap());
        for _ in 0..2 {
            assert_eq!(stand.says(&stand.runtime, APP, &headers, now), said, "{changed}");
        }
    }
}

#[test]
fn hot_path_05_limits_count_for_what_is_remembered() {
    let (stand, idle, now) = remembered();
    let begun = stand.session(now);
    let busy = stand.holding(&begun.renewed(now.plus(LIFETIME - SECOND)), APP);
    for (name, headers, after, said) in [
        ("idle, almost", &idle, IDLE - SECOND, "allow"),
        ("idle", &idle, IDLE, "session_expired"),
        ("old, almost", &busy, LIFETIME - SECOND, "allow"),
        ("old", &busy, LIFETIME, "session_expired"),
        ("again in time", &idle, SECOND, "allow"),
    ] {
        assert_eq!(stand.says(&stand.runtime, APP, headers, now.plus(after)), said, "{name}");
    }
    assert_eq!(stand.says(&stand.runtime, APP, &idle, now.minus(Duration::from_secs(61))), "session_expired", "from the future");
}

#[test]
fn hot_path_06_a_revocation_counts_for_what_is_remembered() {
    for (name, what) in
        [("nothing", None), ("the session", Some("session")), ("its provider's session", Some("sid")), ("the person", Some("sub"))]
    {
        let (stand, headers, now) = remembered();
        let (session, issuer) = (stand.session(now), stand.issuer());
        let sub = session.claims["sub"].as_str().unwrap();
        let what = what.map(|what| match what {
            "session" => What::Session { issuer: issuer.into(), id: session.id.clone() },
            "sid" => What::ProviderSession { issuer: issuer.into(), sid: SID.into() },
            _ => What::Subject { issuer: issuer.into(), sub: sub.into() },
        });
        // Somebody else's sign-out is there in any case: the list is not empty.
        let stranger = What::Session { issuer: issuer.into(), id: "another".into() };
        let revocations = &stand.runtime.revocations;
        stand.tokio.block_on(revocations.end(stranger, now, now)).unwrap();
        let expected = if what.is_some() { "session_revoked" } else { "allow" };
        if let Some(what) = what {
            stand.tokio.block_on(revocations.end(what, now, now)).unwrap();
        }
        assert_eq!(stand.says(&stand.runtime, APP, &headers, now), expected, "{name}");
    }
}

#[test]
fn hot_path_07_another_configuration_remembers_nothing_of_this_one() {
    for (name, from, to, said) in [
        ("nothing new", "idle: 1h", "idle: 1h", "allow"),
        ("other roles", "https://acme.dev/roles", "https://acme.dev/none", "role"),
        ("another client", "client_id: ", "client_id: another-", "session_other_provider"),
        ("another user claim", "identity: {", "identity: { user: nothing_says_this, ", "session_user_claim"),
        ("a shorter lifetime", "lifetime: 12h", "lifetime: 1h", "allow"),
    ] {
        let (stand, headers, now) = remembered();
        let next = stand.reloaded(from, to);
        for _ in 0..2 {
            assert_eq!(stand.says(&next, APP, &headers, now), said, "{name}");
            assert_eq!(stand.says(&stand.runtime, APP, &headers, now), "allow", "{name}: who came before ends as he began");
        }
    }
    let (stand, headers, now) = remembered();
    let next = stand.reloaded("idle: 1h", "idle: 30m");
    for (after, said) in [(1799, "allow"), (1800, "session_expired")] {
        assert_eq!(stand.says(&next, APP, &headers, now.plus(Duration::from_secs(after))), said, "{after}");
    }
}

#[test]
fn hot_path_08_a_ticket_that_is_remembered_opens_only_what_the_store_has() {
    let (stand, now) = (Stand::new("memory"), clock::now());
    let session = stand.session(now);
    let headers = stand.kept(&session, APP);
    let says = |after| stand.says(&stand.runtime, APP, &headers, now.plus(after));
    assert_eq!([says(Duration::ZERO), says(SECOND)], ["allow"; 2]);
    // Its end takes it out of the store, beside the request.
    assert_eq!(says(LIFETIME), "session_expired");
    stand.wait_until_gone(&session);
    assert_eq!(says(SECOND), "session_expired");
    stand.kept(&session, APP);
    assert_eq!([says(Duration::ZERO), says(SECOND)], ["allow"; 2]);
    stand.tokio.block_on(stand.runtime.sessions.end(&session));
    assert_eq!([says(Duration::ZERO), says(SECOND)], ["session_expired"; 2]);

    let (stand, now) = (Stand::new("memory"), clock::now());
    let headers = stand.kept(&stand.session(now), APP);
    for (sid, said) in [("another", "allow"), (SID, "session_revoked")] {
        let what = What::ProviderSession { issuer: stand.issuer().into(), sid: sid.into() };
        stand.tokio.block_on(stand.runtime.revocations.end(what, now, now)).unwrap();
        assert_eq!(stand.says(&stand.runtime, APP, &headers, now), said, "{sid}");
    }
}
