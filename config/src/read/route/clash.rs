//! What one route may do to another.

use std::collections::HashMap;

use doorward_policy::headers::OwnedNames;
use doorward_policy::request::HostPattern;

use super::ReadRoute;
use crate::document::Span;
use crate::problem::Finding;

/// No two routes at the same place. False when there are.
pub(super) fn check_places(routes: &[ReadRoute<'_>]) -> bool {
    let mut first: HashMap<(&HostPattern, String), (usize, &Span)> = HashMap::new();
    let mut clear = true;
    for (index, read) in routes.iter().enumerate() {
        for (host, span) in read.route.hosts.iter().zip(&read.hosts) {
            let place = (host, read.route.path.to_string());
            let Some((other, first_span)) = first.get(&place) else {
                first.insert(place, (index, span));
                continue;
            };
            clear = false;
            let (message, help) = if *other == index {
                (format!("`{host}` is listed twice"), "keep one of the two")
            } else {
                let message = format!(
                    "route `{}` answers for the same host and path as route `{}`: `{host}{}`",
                    read.route.name, routes[*other].route.name, place.1
                );
                (message, "give one of them a longer `path`, or make them one route with more rules")
            };
            let finding = Finding::error(message).at(span).key(&read.field.key);
            read.field.reading.report(finding.related(first_span, "first here").help(help));
        }
    }
    clear
}

/// An oddly spelled name that an app would take for one of ours must not come from a client. False when one would.
pub(super) fn check_kept_headers(routes: &[ReadRoute<'_>]) -> bool {
    let owned = OwnedNames::new(routes.iter().flat_map(|read| read.route.headers.names()));
    let mut clear = true;
    for read in routes {
        for (name, field) in read.route.keep_headers.iter().zip(&read.keep) {
            if owned.owns_folded(name.as_str()) {
                clear = false;
                let help =
                    "many apps take `_`, `.` and `-` for the same sign, so a client could say who it is; let clients use another name";
                field.refuse::<()>(format!("`{name}` would be taken for a header that only Doorward sets"), help);
            }
        }
    }
    clear
}
