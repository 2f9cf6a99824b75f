//! What an app is told; `answer` is what it may tell back. Runs where pingora has already removed what is hop-by-hop, so that
//! nothing a client nominates can take our fields away again (CVE-2026-105299).

mod answer;

use std::borrow::Cow;

use doorward_config::settings::Rewrite;
use doorward_policy::access::{Passes, Permit, Route};
use doorward_policy::cookies::without_ours;
use doorward_policy::credential::{Authorization, RawToken};
use doorward_policy::headers::{OwnedNames, forged};
use doorward_policy::request::Target;
use doorward_policy::session::is_own_cookie;
use http::Uri;
use http::header::{self, HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue};
use pingora::http::RequestHeader;

pub use self::answer::{early_response, response, trailers};
use crate::entropy::RequestId;
use crate::gate::cookie_fields;

/// Everything the request to the app is made from.
#[derive(Debug)]
pub struct Forward<'f> {
    pub target: &'f Target,
    pub permit: &'f Permit,
    pub route: &'f Route,
    pub rewrite: &'f Rewrite,
    pub owned: &'f OwnedNames,
    /// The client's address.
    pub client: HeaderValue,
    /// Where browsers reach us.
    pub public_port: u16,
    /// What the app is told as `Host`; `None`: what the client asked for.
    pub host: Option<&'f HeaderValue>,
    pub request_id: &'f RequestId,
    /// The access token of the session that was presented.
    pub session_token: Option<&'f str>,
}

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Fields that every request gains, besides those of its identity: `Host` among them.
const TOLD: usize = 6;

/// Forgets how the client spelled the names of its fields. pingora keeps that in a second map, copies it for the app, and makes
/// two strings of every field that is set. Names reach the app in lower case instead, as over HTTP/2 (RFC 9113 §8.2).
pub fn forget_spelling(request: &mut RequestHeader) {
    let parts = take_parts(request);
    *request = RequestHeader::from(parts);
}

fn take_parts(request: &mut RequestHeader) -> http::request::Parts {
    let blank = RequestHeader::from(http::Request::new(()).into_parts().0);
    std::mem::replace(request, blank).into()
}

/// Strips, then sets. Runs again for every server that is tried, with the same result.
///
/// # Errors
/// pingora's, for a field that is no field; the request is then not sent.
pub fn request(upstream: &mut RequestHeader, forward: &Forward<'_>) -> pingora::Result<()> {
    // Taken apart: pingora makes two strings of the name of every field that is set.
    let mut parts = take_parts(upstream);
    let headers = &mut parts.headers;
    // Strip before setting: a value we do not set must not come from the client. As a rule there is nothing to collect.
    let gone: Vec<HeaderName> = forged(headers, forward.owned, &forward.route.keep_headers).cloned().collect();
    for name in &gone {
        headers.remove(name);
    }
    // RFC 9110 §11.7: for the proxy it is sent to, which is us. pingora ends these from HTTP/1.1 only.
    headers.remove(header::PROXY_AUTHORIZATION);
    headers.remove(header::PROXY_AUTHENTICATE);
    let token = token_for_app(headers, forward.permit, forward.session_token);
    set(headers, header::AUTHORIZATION, token.map(HeaderValue::try_from))?;
    let cookies = cookies_for_app(headers);
    set(headers, header::COOKIE, cookies.map(HeaderValue::try_from))?;
    headers.reserve(TOLD + forward.permit.edits().iter().count());
    let authority = public_authority(headers.get(header::HOST), forward.target, forward.public_port)?;
    headers.insert(header::HOST, forward.host.unwrap_or(&authority).clone());
    headers.insert(X_REAL_IP, forward.client.clone());
    headers.insert(X_FORWARDED_FOR, forward.client.clone());
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("https"));
    headers.insert(X_FORWARDED_HOST, authority);
    headers.insert(X_REQUEST_ID, forward.request_id.value());
    for (name, value) in forward.permit.edits().iter() {
        headers.insert(name, value.clone());
    }
    parts.uri = address_at_app(parts.uri, forward.target, forward.rewrite)?;
    *upstream = RequestHeader::from(parts);
    Ok(())
}

/// Takes what the client sent under a name; what is set instead is set once.
fn set(headers: &mut HeaderMap, name: HeaderName, value: Option<Result<HeaderValue, InvalidHeaderValue>>) -> pingora::Result<()> {
    match value {
        None => drop(headers.remove(name)),
        Some(value) => drop(headers.insert(name, value.map_err(no_field)?)),
    }
    Ok(())
}

fn no_field(error: impl Into<http::Error>) -> Box<pingora::Error> {
    pingora::Error::because(pingora::ErrorType::InternalError, "a field for the app", error.into())
}

/// The host as it stands in the address bar. As a rule the client wrote just that, and its field is shared.
fn public_authority(written: Option<&HeaderValue>, target: &Target, port: u16) -> pingora::Result<HeaderValue> {
    let host = target.host();
    match written.filter(|written| host.is_said_by(written.as_bytes(), port)) {
        Some(written) => Ok(written.clone()),
        None if port == 443 => HeaderValue::try_from(host.name()).map_err(no_field),
        None => HeaderValue::try_from(format!("{}:{port}", host.name())).map_err(no_field),
    }
}

/// The path that was decided about is the path that is sent. Where the client wrote it so, and no prefix is replaced, its own
/// is sent on: the comparison says that it is the same.
fn address_at_app(asked: Uri, target: &Target, rewrite: &Rewrite) -> pingora::Result<Uri> {
    let same = |asked: &http::uri::PathAndQuery| asked.path() == target.path().as_str() && asked.query() == target.query();
    match asked.into_parts().path_and_query {
        Some(asked) if matches!(rewrite, Rewrite::Keep) && same(&asked) => Ok(Uri::from(asked)),
        _ => Uri::try_from(path_and_query(target, rewrite).as_ref()).map_err(no_field),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use http::Method;

    fn rewritten(target: &str, from: &str, to: &str) -> String {
        let target = Target::parse(&Method::GET, b"a.example", target.as_bytes()).unwrap();
        path_and_query(&target, &Rewrite::Prefix { from: from.into(), to: to.into() }).into_owned()
    }

    #[test]
    fn path_57_what_is_sent_is_what_was_decided_about_whoever_wrote_it() {
        for (asked, sent) in [
            ("/items?x=1", "/items?x=1"),
            ("/items", "/items"),
            ("/items?", "/items?"),
            ("/%69tems?x=%2e", "/items?x=%2e"),
            ("/%e2%9c%93", "/%E2%9C%93"),
            ("/items?x=/../y", "/items?x=/../y"),
        ] {
            let target = Target::parse(&Method::GET, b"a.example", asked.as_bytes()).unwrap();
            for written in [asked.to_owned(), format!("https://other.example{asked}"), "/something/else".to_owned()] {
                let uri = address_at_app(written.parse().unwrap(), &target, &Rewrite::Keep).unwrap();
                assert_eq!(uri.to_string(), sent, "{asked} written as {written}");
            }
        }
    }

    #[test]
    fn hdr_10_a_field_that_a_client_wrote_is_shared_only_where_it_says_the_same() {
        let target = |host: &str| Target::parse(&Method::GET, host.as_bytes(), b"/").unwrap();
        for (written, port, told) in [
            (Some("app.example"), 443, "app.example"),
            (Some("app.example:8443"), 8443, "app.example:8443"),
            (Some("App.Example.:443"), 443, "app.example"),
            (Some("app.example"), 8443, "app.example:8443"),
            (None, 443, "app.example"),
        ] {
            let field = written.map(HeaderValue::from_static);
            let authority = public_authority(field.as_ref(), &target(written.unwrap_or("app.example")), port).unwrap();
            assert_eq!(authority, told, "{written:?} {port}");
        }
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
