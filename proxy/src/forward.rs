//! What an app is told, and what it may tell back. Runs where pingora has already removed what is hop-by-hop, so that
//! nothing a client nominates can take our fields away again (CVE-2026-105299).

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;

use doorward_config::settings::{Rewrite, Upstream, UpstreamHost};
use doorward_policy::access::{Passes, Permit, Route};
use doorward_policy::cookies::{set_cookie_name, without_ours};
use doorward_policy::cors::{Cors, PreflightBy};
use doorward_policy::credential::{Authorization, RawToken};
use doorward_policy::headers::{OwnedNames, forged};
use doorward_policy::request::Target;
use doorward_policy::session::is_own_cookie;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use pingora::http::{RequestHeader, ResponseHeader};

use crate::gate::cookie_fields;
use crate::runtime::Runtime;
use crate::state::RequestState;

/// Everything the request to the app is made from.
#[derive(Debug, Clone, Copy)]
pub struct Forward<'f> {
    pub target: &'f Target,
    pub permit: &'f Permit,
    pub route: &'f Route,
    pub settings: &'f Upstream,
    pub owned: &'f OwnedNames,
    pub client: IpAddr,
    pub authority: &'f str,
    pub upstream_host: &'f str,
    pub request_id: &'f str,
    /// The access token of the session that was presented.
    pub session_token: Option<&'f str>,
}

/// How long after a request its session may be renewed.
const RENEWAL_TIME: Duration = Duration::from_secs(2);

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Strips, then sets. Runs again for every server that is tried, with the same result.
///
/// # Errors
/// pingora's, for a field that is no field; the request is then not sent.
pub fn request(upstream: &mut RequestHeader, forward: &Forward<'_>) -> pingora::Result<()> {
    // Strip before setting: a value we do not set must not come from the client.
    let gone: Vec<HeaderName> = forged(&upstream.headers, forward.owned, &forward.route.keep_headers).cloned().collect();
    for name in &gone {
        upstream.remove_header(name);
    }
    // RFC 9110 §11.7: for the proxy it is sent to, which is us. pingora ends these from HTTP/1.1 only.
    upstream.remove_header(&header::PROXY_AUTHORIZATION);
    upstream.remove_header(&header::PROXY_AUTHENTICATE);
    let token = token_for_app(&upstream.headers, forward.permit, forward.session_token);
    upstream.remove_header(&header::AUTHORIZATION);
    if let Some(token) = token {
        upstream.insert_header(header::AUTHORIZATION, token)?;
    }
    let cookies = cookies_for_app(&upstream.headers);
    upstream.remove_header(&header::COOKIE);
    if let Some(cookies) = cookies {
        upstream.insert_header(header::COOKIE, cookies)?;
    }
    // The path that was decided about is the path that is sent.
    let path = path_and_query(forward.target, &forward.settings.rewrite);
    let uri = http::Uri::try_from(path.as_ref())
        .map_err(|error| pingora::Error::because(pingora::ErrorType::InternalError, "rewritten path", error))?;
    upstream.set_uri(uri);
    let host = match &forward.settings.host {
        UpstreamHost::Keep => forward.authority,
        UpstreamHost::Upstream => forward.upstream_host,
        UpstreamHost::Fixed(name) => name,
    };
    upstream.insert_header(header::HOST, host)?;
    let client = forward.client.to_string();
    upstream.insert_header(X_REAL_IP, &client)?;
    upstream.insert_header(X_FORWARDED_FOR, client)?;
    upstream.insert_header(X_FORWARDED_PROTO, "https")?;
    upstream.insert_header(X_FORWARDED_HOST, forward.authority)?;
    upstream.insert_header(X_REQUEST_ID, forward.request_id)?;
    for (name, value) in forward.permit.edits().iter() {
        upstream.insert_header(name.clone(), value.clone())?;
    }
    Ok(())
}

/// The `Authorization` that the app gets.
pub fn token_for_app(headers: &HeaderMap, permit: &Permit, session_token: Option<&str>) -> Option<String> {
    let presented = || match Authorization::read(headers.get_all(header::AUTHORIZATION).iter().map(HeaderValue::as_bytes)) {
        Authorization::Bearer(raw) => Some(RawToken::expose(raw)),
        _ => None,
    };
    // JWT-65: only a token that was verified, and only where it was asked for.
    let token = match permit.passes() {
        Passes::Nothing => None,
        Passes::Bearer => presented(),
        Passes::OfSession => session_token,
    };
    token.map(|token| format!("Bearer {token}"))
}

/// The `Cookie` that the app gets: all but ours.
pub fn cookies_for_app(headers: &HeaderMap) -> Option<Vec<u8>> {
    without_ours(cookie_fields(headers), is_own_cookie)
}

/// The clean path, with a route's prefix replaced by whole segments; the query as it came.
fn path_and_query<'t>(target: &'t Target, rewrite: &Rewrite) -> Cow<'t, str> {
    let path = target.path().as_str();
    let path: Cow<'_, str> = match rewrite {
        Rewrite::Keep => Cow::Borrowed(path),
        Rewrite::Prefix { from, to } => match target.path().after(from) {
            Some(rest) => {
                let joined = format!("{}{rest}", to.trim_end_matches('/'));
                Cow::Owned(if joined.is_empty() { "/".to_owned() } else { joined })
            }
            None => Cow::Borrowed(path),
        },
    };
    match target.query() {
        Some(query) => Cow::Owned(format!("{path}?{query}")),
        None => path,
    }
}

/// What the app's answer may carry back to the browser.
///
/// # Errors
/// pingora's, for a field that is no field.
pub fn response(answer: &mut ResponseHeader, state: &mut RequestState) -> pingora::Result<()> {
    let runtime = state.runtime.clone();
    strip(answer, &runtime)?;
    if answer.status != 101 {
        end_hops(answer);
    }
    answer.insert_header(X_REQUEST_ID, state.request_id.as_str())?;
    if let Some(hsts) = &runtime.settings.server.hsts {
        answer.insert_header(header::STRICT_TRANSPORT_SECURITY, hsts.as_str())?;
    }
    if let Some(cors) = state.permit.as_ref().and_then(|permit| runtime.settings.policy.routes()[permit.route()].cors.as_ref())
        && cors.preflight == PreflightBy::Doorward
    {
        cross_origin(answer, cors, state.origin.as_ref())?;
    }
    if state.permit.as_ref().is_some_and(Permit::authenticated) {
        keep_out_of_shared_caches(answer, state)?;
    }
    Ok(())
}

/// CORS-01: who answers preflights also says who may read the answers; an app that allows everybody does not widen it.
fn cross_origin(answer: &mut ResponseHeader, cors: &Cors, origin: Option<&HeaderValue>) -> pingora::Result<()> {
    for name in [header::ACCESS_CONTROL_ALLOW_ORIGIN, header::ACCESS_CONTROL_ALLOW_CREDENTIALS] {
        answer.remove_header(&name);
    }
    for (name, value) in cors.answer_fields(origin.map(HeaderValue::as_bytes)) {
        answer.append_header(name, value)?;
    }
    Ok(())
}

/// What an app may not say in any answer, an early one (RFC 8297) included.
///
/// # Errors
/// pingora's, for a field that is no field.
pub fn strip(answer: &mut ResponseHeader, runtime: &Runtime) -> pingora::Result<()> {
    // COOKIE-07: an app cannot set our cookies.
    let foreign = |value: &&HeaderValue| !is_own_cookie(set_cookie_name(value.as_bytes()));
    let total = answer.headers.get_all(header::SET_COOKIE).iter().count();
    let kept: Vec<HeaderValue> = answer.headers.get_all(header::SET_COOKIE).iter().filter(foreign).cloned().collect();
    if kept.len() < total {
        runtime.metrics.dropped_cookies.inc_by((total - kept.len()) as u64);
        answer.remove_header(&header::SET_COOKIE);
        for value in kept {
            answer.append_header(header::SET_COOKIE, value)?;
        }
    }
    // HDR-06: what we tell the app is not for the browser.
    let owned = runtime.settings.policy.owned_names();
    let told: Vec<HeaderName> = answer.headers.keys().filter(|name| owned.owns(name.as_str())).cloned().collect();
    for name in &told {
        answer.remove_header(name);
    }
    Ok(())
}

/// The same for the fields after an answer. A cookie has no place among them at all (RFC 9110 §6.5.1).
pub fn trailers(fields: &mut HeaderMap, runtime: &Runtime) {
    let owned = runtime.settings.policy.owned_names();
    let gone: Vec<HeaderName> = fields.keys().filter(|name| **name == header::SET_COOKIE || owned.owns(name.as_str())).cloned().collect();
    for name in &gone {
        fields.remove(name);
    }
}

/// RFC 9110 §7.6.1: what the app says to this connection is not said to the browser's. pingora ends these only towards
/// the app; the fields that frame the answer are its own business.
fn end_hops(answer: &mut ResponseHeader) {
    let nominated = answer.headers.get_all(header::CONNECTION).iter().flat_map(|value| value.as_bytes().split(|b| *b == b','));
    let nominated = nominated.filter_map(|option| HeaderName::from_bytes(option.trim_ascii()).ok());
    let mut gone: Vec<HeaderName> = nominated
        .filter(|name| *name != header::CONTENT_LENGTH && *name != header::TRANSFER_ENCODING && *name != header::CONNECTION)
        .collect();
    gone.extend([KEEP_ALIVE, PROXY_CONNECTION, header::PROXY_AUTHENTICATE, header::UPGRADE]);
    for name in &gone {
        answer.remove_header(name);
    }
}

/// CACHE-01: what was made for one person is stored by nobody else, unless the app says it may be.
fn keep_out_of_shared_caches(answer: &mut ResponseHeader, state: &mut RequestState) -> pingora::Result<()> {
    let says = |answer: &ResponseHeader, names: &[&str]| {
        let values = answer.headers.get_all(header::CACHE_CONTROL);
        values.iter().filter_map(|value| value.to_str().ok()).any(|value| {
            value.split(',').any(|part| {
                names.iter().any(|name| part.split('=').next().is_some_and(|directive| directive.trim().eq_ignore_ascii_case(name)))
            })
        })
    };
    let public = says(answer, &["public", "s-maxage"]);
    if !public && !says(answer, &["private", "no-store"]) {
        answer.append_header(header::CACHE_CONTROL, "private")?;
    }
    // SESS-12: a cookie is never put on what a shared cache may keep.
    // An answer that was long in coming may meet a browser that has signed out, or signed in as somebody else, meanwhile.
    let fresh = state.started.elapsed() < RENEWAL_TIME;
    if let Some(renewal) = state.renewal.take().filter(|_| !public && fresh) {
        answer.append_header(header::SET_COOKIE, renewal)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Method;

    fn rewritten(target: &str, from: &str, to: &str) -> String {
        let target = Target::parse(&Method::GET, b"a.example", target.as_bytes()).unwrap();
        path_and_query(&target, &Rewrite::Prefix { from: from.into(), to: to.into() }).into_owned()
    }

    #[test]
    fn path_57_a_prefix_is_replaced_by_whole_segments() {
        for (target, from, to, path) in [
            ("/v1/items?x=1", "/v1", "/", "/items?x=1"),
            ("/v1", "/v1", "/", "/"),
            ("/v1/", "/v1", "/", "/"),
            ("/v1x/items", "/v1", "/", "/v1x/items"),
            ("/v1/items", "/v1", "/api/v2", "/api/v2/items"),
            ("/v1", "/v1/", "/api/", "/api"),
            ("/v1/%2Eitems", "/v1", "/", "/.items"),
            ("/%40v1/a%20b", "/@v1", "/", "/a%20b"),
        ] {
            assert_eq!(rewritten(target, from, to), path, "{target}");
        }
    }
}
