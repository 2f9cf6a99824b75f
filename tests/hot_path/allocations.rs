//! What one request through the gate allocates. A number that grows is a promise that is broken.

use http::{HeaderMap, HeaderName};

use crate::stand::{APP, Stand, fields, reason, target};
use doorward_proxy::clock;

/// Allocations of one request that is decided at once, in this thread; and what was decided.
fn counted(stand: &Stand, path: &str, headers: &HeaderMap) -> (u64, &'static str) {
    let target = target(APP, path);
    let mut said = "";
    let info = allocation_counter::measure(|| said = reason(&stand.at_once(&target, headers)));
    (info.count_total, said)
}

fn nobody() -> HeaderMap {
    fields(HeaderName::from_static("x-nothing"), "x")
}

#[test]
fn hot_path_01_a_repeated_request_that_passes_allocates_nothing() {
    let (cookies, store) = (Stand::new("cookie"), Stand::new("memory"));
    let session = cookies.session(clock::now());
    for (name, stand, path, headers) in [
        ("public", &cookies, "/public/app.js", nobody()),
        ("bearer", &cookies, "/admin/users", cookies.bearer(1)),
        ("session in a cookie", &cookies, "/admin/users", cookies.holding(&session, APP)),
        ("session in a store", &store, "/admin/users", store.kept(&store.session(clock::now()), APP)),
    ] {
        // The first one may wait for keys, and remembers.
        assert_eq!(stand.says_of(&stand.runtime, &target(APP, path), &headers, clock::now()), "allow", "{name}");
        assert_eq!(counted(stand, path, &headers), (0, "allow"), "{name}");
    }
}

#[test]
fn hot_path_02_the_first_of_its_kind_and_a_refusal_do_allocate() {
    let stand = Stand::new("cookie");
    assert_eq!(stand.says(&stand.runtime, APP, &stand.bearer(1), clock::now()), "allow");
    for (name, headers, expected) in [
        ("a token not seen before", stand.bearer(2), "allow"),
        ("a session not seen before", stand.holding(&stand.session(clock::now()), APP), "allow"),
        ("nobody", nobody(), "no_session"),
    ] {
        let (count, said) = counted(&stand, "/admin/users", &headers);
        assert_eq!(said, expected, "{name}");
        // The upper bound is no promise: it is there to see that a flood of these costs what it cost.
        assert!((1..400).contains(&count), "{name}: {count}");
    }
}
