//! Where secrets stand in a file, so that no message shows them.

use crate::document::{Entry, Node, Span, Value};

/// Names that a secret is written under, however they are spelled.
const NAMES: &[&str] = &["client_secret", "private_key", "keys", "secret", "password", "passphrase", "token", "admin_token"];

/// Every text under such a key, except where it only says where the secret is.
pub(super) fn in_tree(node: &Node, spans: &mut Vec<Span>) {
    match &node.value {
        Value::List(items) => items.iter().for_each(|item| in_tree(item, spans)),
        Value::Map(entries) => {
            for entry in entries {
                if is_secret(&entry.key) && !is_of_provider(entry) { below(&entry.value, spans) } else { in_tree(&entry.value, spans) }
            }
        }
        Value::Text(text) if holds_secret(&text.text) => spans.push(node.span.clone()),
        _ => {}
    }
}

/// A form as it is sent, or a name and password as `Authorization` has them (RFC 7617 §2).
fn holds_secret(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["secret=", "password=", "assertion="].iter().any(|name| text.contains(name)) || text.starts_with("basic ")
}

/// A provider's `keys` are public ones, and its `token` is a request: what is secret in them has a name of its own.
fn is_of_provider(entry: &Entry) -> bool {
    let Value::Map(below) = &entry.value.value else { return false };
    match entry.key.as_str() {
        "keys" => below.iter().any(|entry| matches!(entry.key.as_str(), "jwks" | "certificates")),
        "token" => below.iter().any(|entry| matches!(entry.key.as_str(), "url" | "params" | "headers" | "body")),
        _ => false,
    }
}

fn below(node: &Node, spans: &mut Vec<Span>) {
    match &node.value {
        Value::List(items) => items.iter().for_each(|item| below(item, spans)),
        Value::Map(entries) => {
            entries
                .iter()
                .filter(|entry| !matches!(entry.key.as_str(), "file" | "env" | "credential"))
                .for_each(|entry| below(&entry.value, spans));
        }
        Value::Text(text) if text.text.starts_with("${") && text.text.ends_with('}') && !text.text.contains(":-") => {}
        Value::Text(_) | Value::Integer(_) | Value::Float(_) => spans.push(node.span.clone()),
        Value::Null | Value::Bool(_) | Value::Broken => {}
    }
}

/// `user:password@` in addresses.
pub(super) fn in_addresses(text: &str, spans: &mut Vec<Span>) {
    for (at, _) in text.match_indices("://") {
        let begin = at + 3;
        let rest = &text[begin..];
        let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '/' | '"' | '\'' | ',' | '}' | ']')).unwrap_or(rest.len());
        if let Some(user) = rest[..end].rfind('@') {
            spans.push(begin..begin + user);
        }
    }
}

/// The rest of each line after such a name, where the text as a whole could not be understood.
pub(super) fn in_text(text: &str) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if let Some(rest) = after_secret(line) {
            spans.push(at + line.len() - rest.len()..at + line.trim_end().len());
        }
        at += line.len();
    }
    spans
}

/// What follows the first `name:` or `name =` on the line, unless it opens a map.
fn after_secret(line: &str) -> Option<&str> {
    line.match_indices([':', '=']).find_map(|(at, _)| {
        let name = line[..at].trim_end().trim_end_matches(['"', '\'']);
        let name = name.rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-').next().unwrap_or_default();
        let rest = line[at + 1..].trim_start();
        (is_secret(name) && !rest.is_empty() && !rest.starts_with('{')).then_some(rest)
    })
}

fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase().replace('-', "_");
    let slip = |name: &str| name.len() > 6 && name.len().abs_diff(key.len()) <= 2 && strsim::osa_distance(name, &key) <= 2;
    key.contains("secret") || key.contains("password") || NAMES.iter().any(|name| *name == key || slip(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_01_a_misspelled_secret_is_still_covered() {
        for key in [
            "client_secret",
            "client-secret",
            "client_secert",
            "clientSecret",
            "private_key",
            "privat_key",
            "keys",
            "PASSWORD",
            "token",
            "admin_token",
            "admin-tokn",
        ] {
            assert!(is_secret(key), "{key}");
        }
        for key in ["key", "pass_token", "access_token_type", "cert", "client_id", "name", "kind"] {
            assert!(!is_secret(key), "{key}");
        }
    }

    #[test]
    fn log_01_what_an_authorization_holds_is_covered() {
        for (text, secret) in
            [("Basic ZG9vcjp3YXJk", true), ("a=b&client_secret=x", true), ("Bearer ${accessToken}", false), ("basics", false)]
        {
            assert_eq!(holds_secret(text), secret, "{text}");
        }
    }

    #[test]
    fn log_01_secrets_of_a_broken_file_are_covered_line_by_line() {
        let text = "a: [\n  client_secret: hunter2\n\"client_secret\": \"x\",\nclient_secret: { file: f }\nkeys = [\"a\"]\n";
        let covered: Vec<&str> = in_text(text).into_iter().map(|span| &text[span]).collect();
        assert_eq!(covered, ["hunter2", "\"x\",", "[\"a\"]"]);
    }
}
