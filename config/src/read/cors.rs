//! A route's `cors`: which scripts of other origins may read its answers.

use std::time::Duration;

use doorward_policy::cors::{Cors, PreflightBy};
use http::{HeaderName, Method};
use url::Url;

use super::field::Field;
use super::quantity::{hours, minutes};

pub(super) fn read(field: &Field<'_>) -> Option<Cors> {
    let map = field.map()?;
    let origins = map.required("origins").and_then(|field| field.each(read_origin));
    let methods = map.or("methods", vec![Method::GET, Method::HEAD, Method::POST], |field| field.each(read_method));
    let headers = map.or("headers", Vec::new(), |field| super::field::all(field.any_items()?.iter().map(read_header)));
    let credentials = map.or("credentials", false, Field::boolean);
    let max_age = map.or("max_age", minutes(10), |field| field.duration_in(Duration::ZERO..=hours(24)));
    let preflight =
        map.or("preflight", PreflightBy::Doorward, |field| field.one_of(&[("answer", PreflightBy::Doorward), ("pass", PreflightBy::App)]));
    map.finish(&[("origin", "write `origins: [ … ]`")]);
    Some(Cors {
        origins: origins?,
        methods: methods?,
        headers: headers?,
        credentials: credentials?,
        max_age: max_age?,
        preflight: preflight?,
    })
}

/// Exactly what a browser sends (RFC 6454 §6.2): anything else would never match.
fn read_origin(field: &Field<'_>) -> Option<Box<str>> {
    const HELP: &str = "scheme, host and perhaps a port, as a browser sends it: `https://app.acme.dev`";
    let text = field.name()?;
    match text {
        "*" => {
            return field.refuse("`*` would let every site on the web read the answers", "list the origins of your own apps");
        }
        "null" => {
            return field.refuse("`null` is what sandboxed frames and local files of anybody send", "list the origins of your own apps");
        }
        _ if text.contains('*') => {
            return field.refuse(format!("`{}` has a star in it, and origins are compared whole", field.shown()), "list each origin");
        }
        _ => {}
    }
    let shown = field.shown();
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => {
            let origin = url.origin().ascii_serialization();
            if origin == text {
                Some(text.into())
            } else if shown == text {
                field.refuse(format!("no browser would send `{shown}`"), format!("write `{origin}`"))
            } else {
                field.refuse(format!("no browser would send `{shown}`"), HELP)
            }
        }
        _ => field.refuse(format!("`{shown}` is no origin"), HELP),
    }
}

/// RFC 9110 §9.1: methods are case-sensitive, and all that are in use are in capitals.
pub(super) fn read_method(field: &Field<'_>) -> Option<Method> {
    let text = field.name()?;
    if matches!(text, "CONNECT" | "TRACE") {
        return field.refuse(format!("`{text}` is never served"), "leave it out");
    }
    match Method::from_bytes(text.as_bytes()) {
        Ok(method) if text.bytes().all(|b| b.is_ascii_uppercase()) => Some(method),
        _ if field.shown() == text => field.refuse(format!("`{text}` is no method"), format!("in capitals, such as `{}`", capitals(text))),
        _ => field.refuse(format!("`{}` is no method", field.shown()), "in capitals, such as `GET`"),
    }
}

fn capitals(text: &str) -> String {
    let upper = text.to_ascii_uppercase();
    if upper.bytes().all(|b| b.is_ascii_uppercase()) { upper } else { "GET".into() }
}

fn read_header(field: &Field<'_>) -> Option<Box<str>> {
    let text = field.name()?;
    match HeaderName::from_bytes(text.as_bytes()) {
        Ok(name) if text != "*" => Some(name.as_str().into()),
        _ => field.refuse(format!("`{}` is no header", field.shown()), "list the names, such as `content-type`"),
    }
}
