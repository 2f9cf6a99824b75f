//! Envoy's `ext_authz` over HTTP, and the Gateway API's `ExternalAuth`: the question has the request's own method, host
//! and, behind our prefix, path. Exactly 200 passes the request on.

use doorward_policy::access::DenyReason;
use doorward_policy::headers::{OWNED, WELL_KNOWN};
use http::header::{self, HeaderMap, HeaderName};

use super::dialect::Question;
use super::original::{self, Original};
use super::verdict::{self, Allowed, Answer};
use crate::reply::Reply;
use crate::runtime::Runtime;

const REMOVE: HeaderName = HeaderName::from_static("x-envoy-auth-headers-to-remove");

/// Names of ours that Envoy itself sets before it asks: the app gets Envoy's.
const ENVOYS: &[&str] = &["x-forwarded-for", "x-forwarded-proto", "x-request-id"];

/// `path` is what follows our prefix: the original path, byte for byte.
pub fn original(question: &Question<'_>, path: &[u8]) -> Result<Original, DenyReason> {
    original::plain(question.method, question.authority?, path, question.headers, question.trusted())
}

pub fn answer(question: &Question<'_>, answer: Answer) -> Reply {
    match answer {
        Answer::Allow(allowed) => {
            let names = removed(question.runtime, question.headers, &allowed).join(",");
            verdict::yes(200, allowed).text_field(REMOVE, &names)
        }
        Answer::Refuse(reply) => verdict::no(question.runtime, question.asker(), reply),
    }
}

/// What must not reach the app and is not set: Envoy removes after it sets.
pub fn removed(runtime: &Runtime, headers: &HeaderMap, allowed: &Allowed) -> Vec<String> {
    let owned = runtime.settings.policy.owned_names();
    let known = OWNED.iter().chain(WELL_KNOWN).copied().map(str::to_owned);
    let mapped = owned.mapped().iter().map(|name| name.as_str().to_owned());
    let credentials = [header::COOKIE, header::AUTHORIZATION, header::PROXY_AUTHORIZATION].map(|name| name.as_str().to_owned());
    // Those that Envoy shows us and no list has, in every spelling.
    let route = allowed.fields.iter().find(|(name, _)| *name == verdict::ROUTE).and_then(|(_, name)| name.to_str().ok());
    let keep = route.and_then(|name| runtime.settings.policy.route_named(name));
    let keep = keep.map_or(&[][..], |index| &runtime.settings.policy.routes()[index].keep_headers);
    let forged = doorward_policy::headers::forged(headers, owned, keep).map(|name| name.as_str().to_owned());
    let mut names: Vec<String> = known.chain(mapped).chain(credentials).chain(forged).collect();
    // The route's name is for the host, not for the app.
    let set = |name: &str| HeaderName::from_bytes(name.as_bytes()).is_ok_and(|name| name != verdict::ROUTE && allowed.sets(&name));
    names.retain(|name| !set(name) && !ENVOYS.contains(&name.as_str()));
    names.sort_unstable();
    names.dedup();
    names
}
