//! Who may see what: everybody at every kind of place.

use doorward_tests::scene::Scene;
use doorward_tests::variety;

use super::{Case, Request};

/// Everybody at every kind of place, as a browser and as a script by turns.
pub fn who_and_where(scene: &Scene, port: u16) -> Vec<Case> {
    let places = [
        ("app.localhost", "/public/x?q=1"),
        ("app.localhost", "/private/page?q=a%20b&c"),
        ("app.localhost", "/admin/users"),
        ("app.localhost", "/closed/x"),
        ("app.localhost", "/lan/x"),
        ("app.localhost", "/here/x"),
        ("app.localhost", "/teams/red/x"),
        ("app.localhost", "/reports/annual"),
        ("app.localhost", "/reports/open/x"),
        ("api.localhost", "/items"),
        ("api.localhost", "/open/x"),
        ("pass.localhost", "/x"),
        ("pass.localhost", "/public/x"),
        ("both.localhost", "/x"),
        ("spa.localhost", "/x"),
        ("a.wild.localhost", "/x"),
    ];
    let mut cases = Vec::new();
    for (n, (host, path)) in places.into_iter().enumerate() {
        for (k, holder) in variety::holders(scene, host).iter().enumerate() {
            // Every place sees all who matter most, and its own choice of the others.
            if k > 2 && (n + k) % 3 != 0 && !(host == "api.localhost" || host == "pass.localhost" || path.starts_with("/private")) {
                continue;
            }
            let request = Request::to(&format!("{host}:{port}"), path).holding(holder);
            let request = if (n + k) % 2 == 0 { request.visiting() } else { request };
            let case = request.clone().called(format!("{} at {host}{path}", holder.name));
            cases.push(match request.joined("authorization") {
                Some(joined) => case.repaired(joined),
                None => case,
            });
        }
    }
    cases
}
