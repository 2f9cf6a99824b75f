//! `headers`: names that apps are told, and what they carry.

use std::collections::HashMap;

use doorward_policy::headers::{HeaderMapping, Template};
use http::HeaderName;

use super::field::Field;
use crate::document::Span;
use crate::problem::Finding;

/// Names that belong to the connection, the request itself, or Doorward.
const TAKEN: &[&str] = &[
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "expect",
    "host",
    "cookie",
    "cookie2",
    "set-cookie",
    "authorization",
    "range",
    "date",
    "via",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-real-ip",
    "x-request-id",
    "origin",
    "referer",
    "accept-encoding",
    "http2-settings",
    "priority",
];
const TAKEN_PREFIXES: &[&str] = &["content-", "proxy-", "if-", "sec-", "access-control-", "x-doorward-"];

/// Headers in the order of the file, by name.
#[derive(Debug, Clone, Default)]
pub(super) struct Headers {
    list: Vec<(HeaderName, Template)>,
}

impl Headers {
    /// These, and `own` on top: the same name is replaced.
    pub(super) fn with(&self, own: Self) -> HeaderMapping {
        let mut list: Vec<_> = self.list.iter().filter(|(name, _)| own.list.iter().all(|(other, _)| other != name)).cloned().collect();
        list.extend(own.list);
        HeaderMapping::new(list)
    }
}

/// A name that cannot be read is left out, and a text that cannot stands for nothing; both were reported.
pub(super) fn read(field: Option<Field<'_>>) -> Headers {
    let mut headers = Headers::default();
    let Some(map) = field.and_then(|field| field.map()) else {
        return headers;
    };
    let mut seen: HashMap<HeaderName, Span> = HashMap::new();
    for (entry, field) in map.entries() {
        let name = read_name(&entry.key, &entry.key_span, &field);
        let template = field.any_text().and_then(|text| match Template::parse(text) {
            Ok(template) => Some(template),
            Err(fault) => field.fault(&fault, "for example `\"{user}\"` or `\"{claim:org_id}\"`"),
        });
        // The name is there all the same: no test is told that nothing sets it.
        let template = template.or_else(|| Template::parse("unreadable").ok());
        let (Some(name), Some(template)) = (name, template) else { continue };
        if let Some(first) = seen.get(&name) {
            let finding =
                Finding::error(format!("`{}` is the same header in other letters", entry.key)).at(&entry.key_span).key(&field.key);
            field.reading.report(finding.related(first, "first here").help("keep one of the two"));
            continue;
        }
        seen.insert(name.clone(), entry.key_span.clone());
        headers.list.push((name, template));
    }
    headers
}

fn read_name(written: &str, span: &Span, field: &Field<'_>) -> Option<HeaderName> {
    let plain = written.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let Some(name) = HeaderName::from_bytes(written.as_bytes()).ok().filter(|_| plain) else {
        let help = "letters, digits and `-` only: many apps take any other sign for `_`, so two names would be one";
        return field.reading.refuse(span, &field.key, format!("`{written}` is no name for a header"), help);
    };
    if TAKEN.contains(&name.as_str()) || TAKEN_PREFIXES.iter().any(|prefix| name.as_str().starts_with(prefix)) {
        let help = "choose a name of your own, such as `X-Auth-User`";
        return field.reading.refuse(span, &field.key, format!("header `{written}` is not free to be set"), help);
    }
    Some(name)
}
