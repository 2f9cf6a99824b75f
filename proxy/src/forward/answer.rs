//! What an app may tell back.

use std::time::{Duration, Instant};

use doorward_policy::access::Permit;
use doorward_policy::cookies::set_cookie_name;
use doorward_policy::cors::{Cors, PreflightBy};
use doorward_policy::session::is_own_cookie;
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use pingora::http::ResponseHeader;

use super::{X_REQUEST_ID, no_field};
use crate::runtime::Runtime;
use crate::state::RequestState;

/// How long after a request its session may be renewed.
const RENEWAL_TIME: Duration = Duration::from_secs(2);

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Fields that an answer gains: ours, and the `Date` and `Connection` of pingora.
const TOLD_BACK: usize = 6;

/// What the app's answer may carry back to the browser.
///
/// # Errors
/// pingora's, for a field that is no field.
pub fn response(answer: &mut ResponseHeader, state: &mut RequestState) -> pingora::Result<()> {
    edit(answer, |headers, status| {
        let runtime = &state.runtime;
        strip(headers, runtime);
        if status != StatusCode::SWITCHING_PROTOCOLS {
            end_hops(headers);
        }
        headers.reserve(TOLD_BACK);
        headers.insert(X_REQUEST_ID, state.request_id.value());
        if let Some(hsts) = &runtime.settings.server.hsts {
            headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::try_from(hsts).map_err(no_field)?);
        }
        if let Some(cors) = state.permit.as_ref().and_then(|permit| runtime.settings.policy.routes()[permit.route()].cors.as_ref())
            && cors.preflight == PreflightBy::Doorward
        {
            cross_origin(headers, cors, state.origin.as_ref())?;
        }
        if state.permit.as_ref().is_some_and(Permit::authenticated) {
            keep_out_of_shared_caches(headers, state.renewal.take(), state.started)?;
        }
        Ok(())
    })
}

/// An answer before the answer (RFC 9110 §15.2): 100, or early hints (RFC 8297).
///
/// # Errors
/// None so far; those of `response`.
pub fn early_response(answer: &mut ResponseHeader, runtime: &Runtime) -> pingora::Result<()> {
    edit(answer, |headers, _| {
        strip(headers, runtime);
        Ok(())
    })
}

/// The fields after an answer. A cookie has no place among them at all (RFC 9110 §6.5.1).
pub fn trailers(fields: &mut HeaderMap, runtime: &Runtime) {
    fields.remove(header::SET_COOKIE);
    strip(fields, runtime);
}

/// Edits the fields alone. pingora keeps how the app spelled each name, and makes two strings of every field that is set: names
/// reach the client as pingora writes them, the usual ones with capitals and others in lower case (RFC 9110 §5.1: it is all one).
fn edit(answer: &mut ResponseHeader, change: impl FnOnce(&mut HeaderMap, StatusCode) -> pingora::Result<()>) -> pingora::Result<()> {
    // RFC 9112 §4: a phrase of the app's own is for people, and is all that would be lost.
    let usual = answer.status.canonical_reason();
    let phrase = answer.get_reason_phrase().filter(|phrase| Some(*phrase) != usual).map(str::to_owned);
    let blank = ResponseHeader::from(http::Response::new(()).into_parts().0);
    let mut parts = http::response::Parts::from(std::mem::replace(answer, blank));
    let changed = change(&mut parts.headers, parts.status);
    *answer = ResponseHeader::from(parts);
    if phrase.is_some() {
        answer.set_reason_phrase(phrase.as_deref())?;
    }
    changed
}

/// CORS-01: who answers preflights also says who may read the answers; an app that allows everybody does not widen it.
fn cross_origin(headers: &mut HeaderMap, cors: &Cors, origin: Option<&HeaderValue>) -> pingora::Result<()> {
    for name in [header::ACCESS_CONTROL_ALLOW_ORIGIN, header::ACCESS_CONTROL_ALLOW_CREDENTIALS] {
        headers.remove(name);
    }
    for (name, value) in cors.answer_fields(origin.map(HeaderValue::as_bytes)) {
        headers.append(name, HeaderValue::try_from(value).map_err(no_field)?);
    }
    Ok(())
}

/// What an app may not say, wherever it says it.
fn strip(headers: &mut HeaderMap, runtime: &Runtime) {
    // COOKIE-07: an app cannot set our cookies.
    let ours = |value: &&HeaderValue| is_own_cookie(set_cookie_name(value.as_bytes()));
    let dropped = headers.get_all(header::SET_COOKIE).iter().filter(ours).count();
    if dropped > 0 {
        runtime.metrics.dropped_cookies.inc_by(dropped as u64);
        let kept: Vec<HeaderValue> = headers.get_all(header::SET_COOKIE).iter().filter(|value| !ours(value)).cloned().collect();
        headers.remove(header::SET_COOKIE);
        for value in kept {
            headers.append(header::SET_COOKIE, value);
        }
    }
    // HDR-06: what we tell the app is not for the browser. As a rule there is nothing to collect.
    let owned = runtime.settings.policy.owned_names();
    let told: Vec<HeaderName> = headers.keys().filter(|name| owned.owns(name.as_str())).cloned().collect();
    for name in &told {
        headers.remove(name);
    }
}

/// RFC 9110 §7.6.1: what the app says to this connection is not said to the browser's. pingora ends these only towards
/// the app; the fields that frame the answer are its own business.
fn end_hops(headers: &mut HeaderMap) {
    let nominated = headers.get_all(header::CONNECTION).iter().flat_map(|value| value.as_bytes().split(|b| *b == b','));
    let nominated = nominated.filter_map(|option| HeaderName::from_bytes(option.trim_ascii()).ok());
    // `keep-alive` and `close` are what is said as a rule, and name no field but one that goes anyway.
    let gone: Vec<HeaderName> = nominated
        .filter(|name| {
            *name != header::CONTENT_LENGTH && *name != header::TRANSFER_ENCODING && *name != header::CONNECTION && *name != KEEP_ALIVE
        })
        .collect();
    for name in gone.iter().chain(&[KEEP_ALIVE, PROXY_CONNECTION, header::PROXY_AUTHENTICATE, header::UPGRADE]) {
        headers.remove(name);
    }
}

/// CACHE-01: what was made for one person is stored by nobody else, unless the app says it may be.
fn keep_out_of_shared_caches(headers: &mut HeaderMap, renewal: Option<String>, started: Instant) -> pingora::Result<()> {
    let says = |headers: &HeaderMap, names: &[&str]| {
        let values = headers.get_all(header::CACHE_CONTROL);
        values.iter().filter_map(|value| value.to_str().ok()).any(|value| {
            value.split(',').any(|part| {
                names.iter().any(|name| part.split('=').next().is_some_and(|directive| directive.trim().eq_ignore_ascii_case(name)))
            })
        })
    };
    let public = says(headers, &["public", "s-maxage"]);
    if !public && !says(headers, &["private", "no-store"]) {
        headers.append(header::CACHE_CONTROL, HeaderValue::from_static("private"));
    }
    // SESS-12: a cookie is never put on what a shared cache may keep.
    // An answer that was long in coming may meet a browser that has signed out, or signed in as somebody else, meanwhile.
    if let Some(renewal) = renewal.filter(|_| !public && started.elapsed() < RENEWAL_TIME) {
        headers.append(header::SET_COOKIE, HeaderValue::try_from(renewal).map_err(no_field)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phrase_of_the_apps_own_is_kept_and_so_is_every_field() {
        for (phrase, told) in [(Some("Very Fine"), "Very Fine"), (Some("OK"), "OK"), (None, "OK")] {
            let mut answer = ResponseHeader::build(200, None).unwrap();
            answer.set_reason_phrase(phrase).unwrap();
            answer.append_header("X-Of-App", "1").unwrap();
            answer.append_header("x-of-app", "2").unwrap();
            edit(&mut answer, |headers, status| {
                assert_eq!(status, 200);
                headers.insert("x-ours", HeaderValue::from_static("3"));
                Ok(())
            })
            .unwrap();
            assert_eq!(answer.get_reason_phrase(), Some(told), "{phrase:?}");
            assert_eq!(answer.headers.get_all("x-of-app").iter().collect::<Vec<_>>(), ["1", "2"]);
            assert_eq!(answer.headers["x-ours"], "3");
            let mut written = Vec::new();
            answer.header_to_h1_wire(&mut written);
            assert_eq!(String::from_utf8(written).unwrap(), "x-of-app: 1\r\nx-of-app: 2\r\nx-ours: 3\r\n");
        }
    }
}
