//! Text with `${…}` in it; `$${` is a plain `${`.

use super::super::super::field::Field;
use super::Shape;
use crate::settings::{Placeholder, Template, TemplatePart};

/// Longest value, in bytes.
pub(super) const LIMIT: usize = 4096;

/// Reads a value; what it may name depends on the request.
pub(super) fn read(field: &Field<'_>, text: &str, shape: &Shape) -> Option<Template> {
    if text.contains(char::is_control) {
        return field.refuse("the text has a control character in it", "take it away");
    }
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if let Some(before) = rest[..at].strip_suffix('$') {
            literal.push_str(before);
            literal.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        literal.push_str(&rest[..at]);
        let Some(end) = rest[at..].find('}') else {
            return field.refuse("`${` is never closed", "write `$${` where no placeholder is meant");
        };
        let placeholder = placeholder(field, &rest[at + 2..at + end], shape)?;
        if !literal.is_empty() {
            parts.push(TemplatePart::Literal(std::mem::take(&mut literal)));
        }
        parts.push(TemplatePart::Placeholder(placeholder));
        rest = &rest[at + end + 1..];
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        parts.push(TemplatePart::Literal(literal));
    }
    Some(Template { parts })
}

fn placeholder(field: &Field<'_>, name: &str, shape: &Shape) -> Option<Placeholder> {
    let here = || format!("known here: {}; environment variables are not read here", super::placeholders(shape));
    match Placeholder::ALL.iter().find(|placeholder| placeholder.name() == name) {
        Some(placeholder) if shape.placeholders.contains(placeholder) => Some(*placeholder),
        Some(_) => field.refuse(format!("`${{{name}}}` has no value in this request"), here()),
        None => field.refuse(format!("unknown placeholder `${{{name}}}`"), here()),
    }
}

/// The fields of a form as it is sent. What is encoded is decoded, but for placeholders, which hold nothing that could be.
pub(super) fn pairs(text: &str) -> Vec<(String, String)> {
    let decode = |part: &str| url::form_urlencoded::parse(part.as_bytes()).map(|(name, _)| name.into_owned()).next().unwrap_or_default();
    let pair = |field: &str| {
        let (name, value) = field.split_once('=').unwrap_or((field, ""));
        // A `=` in a value is a part of it, and would end a name.
        (decode(name), decode(&value.replace('=', "%3D")))
    };
    text.split('&').filter(|field| !field.is_empty()).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_as_it_is_sent() {
        let read = |text| pairs(text).into_iter().map(|(name, value)| format!("{name}→{value}")).collect::<Vec<_>>();
        assert_eq!(read(""), [""; 0]);
        assert_eq!(read("grant_type=authorization_code&code=${code}"), ["grant_type→authorization_code", "code→${code}"]);
        assert_eq!(read("a=b+c%26d=e&&federated&x="), ["a→b c&d=e", "federated→", "x→"]);
        assert_eq!(read("a%3Db=c"), ["a=b→c"]);
    }
}
