//! Fields of requests that we send. What frames a message, names a server or proves who we are is not for a template.

use http::HeaderName;

use super::super::super::field::{Field, all};
use super::shape::{Sent, Shape};
use super::template;
use crate::settings::Template;

/// RFC 9110 §7.2 and §7.6.1, RFC 9112 §6; and fields that say what we send and can read.
const OURS: &[&str] = &[
    "host",
    "content-length",
    "content-encoding",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
    "proxy-authenticate",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "cookie",
    "set-cookie",
    "accept-encoding",
    "range",
];
/// What is sent anyway may be written down.
const AS_SENT: &[(&str, &str)] = &[("accept", "application/json"), ("content-type", "application/x-www-form-urlencoded")];

pub(super) fn read(field: &Field<'_>, shape: &Shape, basic: bool) -> Option<Vec<(HeaderName, Template)>> {
    if shape.sent == Sent::Redirect {
        return field.refuse("a browser is sent there, and takes no header of ours along", "write `params: …`");
    }
    let map = field.map()?;
    let read: Option<Vec<Option<(HeaderName, Template)>>> = all(map.entries().map(|(entry, field)| {
        let refuse = |message: String, help: &str| field.reading.refuse(&entry.key_span, &field.key, message, help);
        let text = field.any_text()?;
        let Ok(name) = HeaderName::from_bytes(entry.key.as_bytes()) else {
            return refuse(format!("`{}` is no name for a header", entry.key), "letters, digits and `-`");
        };
        if name == http::header::AUTHORIZATION {
            return authorization(&field, text, shape, basic).map(|()| None);
        }
        if let Some((_, sent)) = AS_SENT.iter().find(|(own, _)| *own == name.as_str()) {
            return match text == *sent {
                true => Some(None),
                false => refuse(format!("header `{name}` is set by Doorward itself"), "leave it out"),
            };
        }
        if OURS.contains(&name.as_str()) {
            return refuse(format!("header `{name}` is set by Doorward itself"), "leave it out");
        }
        if text.is_empty()
            || text.trim() != text
            || text.len() > template::LIMIT
            || !text.bytes().all(|b| b == b' ' || b.is_ascii_graphic())
        {
            return field.refuse("a header's value is visible ASCII, without space at an end", "write something, or take it away");
        }
        Some(Some((name, template::read(&field, text, shape)?)))
    }));
    let headers: Vec<(HeaderName, Template)> = read?.into_iter().flatten().collect();
    let twice = headers.iter().enumerate().find(|(at, (name, _))| headers[..*at].iter().any(|(first, _)| first == name));
    match twice {
        Some((_, (name, _))) => field.refuse(format!("header `{name}` is written twice"), "names differ by more than capital letters"),
        None => Some(headers),
    }
}

/// Written as nothing, it says that there is none; `client_auth` is what makes one.
fn authorization(field: &Field<'_>, text: &str, shape: &Shape, basic: bool) -> Option<()> {
    match (shape.authorization, text) {
        (Some(sent), text) if text == sent => Some(()),
        (Some(sent), _) => field.refuse("header `authorization` is set by Doorward itself", format!("leave it out, or write `{sent}`")),
        (None, "") if basic => {
            field.refuse("`client_auth: basic` sends an `Authorization`", "write `client_auth: post` at the provider, or leave this out")
        }
        (None, "") => Some(()),
        (None, _) => field.refuse(
            "header `authorization` is set by Doorward itself",
            "`client_auth` at the provider says how the client proves itself; `\"\"` says that there is no such header",
        ),
    }
}
