//! `requests`: how those that a sign-in is made of differ from the standard's. In here `${…}` is a placeholder.
//!
//! A template adds; it takes nothing away. What proves who we are and that an answer is ours is set by Doorward: such a name may
//! be written as Doorward sends it anyway, so that a request can be copied whole, and in no other way.

mod headers;
mod shape;
mod template;

use std::collections::HashMap;

use doorward_policy::login::RESERVED_PARAMETERS;
use url::Url;

use super::super::field::{Field, all};
use super::super::word;
use super::Place;
use crate::document::Span;
use crate::problem::Finding;
use crate::settings::{ClientAuth, RequestTemplate, Requests, Template};
use shape::{Sent, Shape};

pub(super) use shape::{INTROSPECTION, USERINFO};

/// What is settled beside the templates.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beside<'b> {
    pub(super) place: Place<'b>,
    /// RFC 6749 §2.3.1: the `Authorization` of our requests is taken.
    pub(super) basic: bool,
    /// `connection` stands at the provider itself.
    pub(super) connection: bool,
}

impl<'b> Beside<'b> {
    pub(super) fn new(place: Place<'b>, client_auth: Option<&ClientAuth>, connection: bool) -> Self {
        Self { place, basic: matches!(client_auth, Some(ClientAuth::Basic(_))), connection }
    }
}

/// `written`: the names that stand in `authorize` of the provider.
pub(super) fn read(field: &Field<'_>, beside: Beside<'_>, written: &[&str]) -> Option<Requests> {
    let map = field.map()?;
    let one = |name: &'static str, shape: &Shape| map.or(name, RequestTemplate::default(), |field| read_one(field, shape, beside));
    let requests =
        (one("authorize", &shape::AUTHORIZE), one("token", &shape::TOKEN), one("refresh", &shape::REFRESH), one("logout", &shape::LOGOUT));
    map.finish(&[("authorization", "write `authorize: …`"), ("redirect", "write `authorize: …`")]);
    let (Some(sign_in), token, refresh, logout) = requests else { return None };
    if let Some((name, _)) = sign_in.params.iter().find(|(name, _)| written.contains(&name.as_str())) {
        return field.refuse(format!("`{name}` stands in `authorize` of the provider already"), "keep one of the two");
    }
    Some(Requests { authorize: sign_in, token: token?, refresh: refresh?, logout: logout? })
}

/// One request.
pub(super) fn read_one(field: &Field<'_>, shape: &Shape, beside: Beside<'_>) -> Option<RequestTemplate> {
    let map = field.map()?;
    let mut names = Names { shape, beside, seen: HashMap::new() };
    let address = map.maybe("url", |field| names.address(field));
    let params = map.or("params", Vec::new(), |field| names.params(field));
    let body = map.or("body", Vec::new(), |field| names.body(field));
    let headers = map.or("headers", Vec::new(), |field| headers::read(field, shape, beside.basic));
    map.finish(&[
        ("method", "it is what the standard says"),
        ("operation", "it is what the standard says"),
        ("requestParams", "write `params: …`"),
        ("query", "write `params: …`"),
    ]);
    let (url, query) = address?.map_or((None, Vec::new()), |(url, query)| (Some(url), query));
    let (mut query, mut params) = (query, [params?, body?].concat());
    if shape.sent == Sent::Redirect {
        params.append(&mut query);
    }
    Some(RequestTemplate { url, query, params, headers: headers? })
}

/// The parameters of one request: each once, wherever it is written.
struct Names<'n> {
    shape: &'n Shape,
    beside: Beside<'n>,
    seen: HashMap<String, Span>,
}

impl Names<'_> {
    fn params(&mut self, field: &Field<'_>) -> Option<Vec<(String, Template)>> {
        let map = field.map()?;
        let read: Option<Vec<Option<_>>> = all(map.entries().map(|(entry, field)| {
            let text = field.any_text()?;
            self.one(&field, &entry.key_span, &entry.key, text)
        }));
        Some(read?.into_iter().flatten().collect())
    }

    /// A form as it is sent (`a=b&c=${d}`): what is encoded in it is read, and encoded again when it is sent.
    fn body(&mut self, field: &Field<'_>) -> Option<Vec<(String, Template)>> {
        if self.shape.sent != Sent::Form {
            return field.refuse("this request has no body", "write `params: …`");
        }
        self.pairs(field, field.text()?)
    }

    fn address(&mut self, field: &Field<'_>) -> Option<(Url, Vec<(String, Template)>)> {
        let text = field.name()?;
        let (place, query) = text.split_once('?').unwrap_or((text, ""));
        if place.contains("${") {
            return field.refuse("a placeholder stands where the address says which server", "placeholders are for what follows the `?`");
        }
        // A `#` in the query would be a part of the last value.
        if query.contains('#') {
            return field.refuse(format!("`{}`: it has a `#`", field.shown()), "leave out what follows it");
        }
        let url = self.beside.place.address(field, place)?;
        Some((url, self.pairs(field, query)?))
    }

    fn pairs(&mut self, field: &Field<'_>, text: &str) -> Option<Vec<(String, Template)>> {
        let pairs = template::pairs(text);
        let read: Option<Vec<Option<_>>> = all(pairs.iter().map(|(name, value)| self.one(field, field.span(), name, value)));
        Some(read?.into_iter().flatten().collect())
    }

    /// `Some(None)`: it is what Doorward sends anyway.
    fn one(&mut self, field: &Field<'_>, at: &Span, name: &str, text: &str) -> Option<Option<(String, Template)>> {
        let value = template::read(field, text, self.shape)?;
        if let Some(first) = self.seen.insert(name.to_owned(), at.clone()) {
            let finding = Finding::error(format!("parameter `{name}` is written twice")).at(at).key(&field.key);
            field.reading.report(finding.related(&first, "first here").help("keep one of the two"));
            return None;
        }
        if let Some((_, own)) = self.shape.ours.iter().find(|(own, _)| *own == name) {
            return match text == *own {
                true => Some(None),
                false => field.reading.refuse(
                    at,
                    &field.key,
                    format!("parameter `{name}` is set by Doorward itself"),
                    format!("leave it out, or write `{own}`, which is what is sent"),
                ),
            };
        }
        if self.is_reserved(name) {
            let help = self.help(name);
            return field.reading.refuse(at, &field.key, format!("parameter `{name}` is set by Doorward itself"), help);
        }
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.')) {
            return field.reading.refuse(
                at,
                &field.key,
                format!("`{name}` is no name for a parameter"),
                "letters, digits, `_`, `-` and `.`",
            );
        }
        if text.len() > template::LIMIT {
            return field.refuse(format!("the value of `{name}` is longer than {} bytes", template::LIMIT), "no provider takes that");
        }
        Some(Some((name.to_owned(), value)))
    }

    fn is_reserved(&self, name: &str) -> bool {
        let of_authorize = self.shape.reserves_authorize && (RESERVED_PARAMETERS.contains(&name) || name == "max_age");
        let open = self.shape.reserves_authorize && name == "connection" && !self.beside.connection;
        (of_authorize && !open) || self.shape.reserved.contains(&name)
    }

    fn help(&self, name: &str) -> String {
        match name {
            "client_secret" | "client_assertion" | "client_assertion_type" => {
                "leave it out: `client_auth` at the provider says how the client proves itself".into()
            }
            "max_age" => "write it in `authorize` of the provider: whoever asks for it checks it".into(),
            "audience" | "organization" | "connection" | "scope" | "response_mode" if self.shape.reserves_authorize => {
                format!("write `{name}` at the provider itself")
            }
            _ => "leave it out".into(),
        }
    }
}

/// `clientId`, `code` and …, as they are written.
fn placeholders(shape: &Shape) -> String {
    let written: Vec<String> = shape.placeholders.iter().map(|placeholder| format!("${{{}}}", placeholder.name())).collect();
    word::list(&written.iter().map(String::as_str).collect::<Vec<_>>())
}
