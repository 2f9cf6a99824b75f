//! A test's `request`: `GET https://app.acme.dev/admin/`.

use doorward_policy::request::{Target, TargetFault};
use http::Method;

use super::super::field::Field;

const HELP: &str = "a method and an address: `GET https://app.acme.dev/admin/`";

pub(super) struct Request {
    pub(super) method: Method,
    pub(super) url: String,
    /// That a request is refused because it could be read in two ways may be what the test is about.
    pub(super) target: Result<Target, TargetFault>,
}

pub(super) fn read(field: &Field<'_>) -> Option<Request> {
    let text = field.text()?;
    let Some((method, url)) = text.split_once(' ').filter(|(_, url)| !url.contains(char::is_whitespace)) else {
        return field.refuse(format!("`{}` is not a method and an address", field.shown()), HELP);
    };
    if method.bytes().any(|b| b.is_ascii_lowercase()) {
        let message = format!("`{method}` is no method: they are upper case");
        return field.refuse(message, format!("write `{}`", method.to_ascii_uppercase()));
    }
    let Ok(method) = Method::from_bytes(method.as_bytes()) else {
        return field.refuse(format!("`{method}` is no method"), HELP);
    };
    let Some(rest) = url.strip_prefix("https://") else {
        return field.refuse(format!("`{url}` does not begin with `https://`"), HELP);
    };
    if url.contains('#') {
        return field.refuse("no server sees what stands behind a `#`", "take it away");
    }
    let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
    let target = Target::parse(&method, authority.as_bytes(), target.as_bytes());
    if let Err(TargetFault::Host(fault)) = &target {
        return field.refuse(format!("`{authority}` is no host: {fault}"), HELP);
    }
    Some(Request { method, url: url.to_owned(), target })
}
