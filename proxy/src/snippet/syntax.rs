//! How each host writes a value. What it has no way to write is refused, never written almost right.

use std::fmt::Write;

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, Output, Value};

/// The quoting of a host's configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Syntax {
    Nginx,
    Caddy,
    Haproxy,
    Yaml,
}

/// Writes what a template shows: numbers and checked texts as they are, other texts as one token.
pub(super) fn write(syntax: Syntax, out: &mut Output<'_>, value: &Value) -> Result<(), Error> {
    let text = match value.kind() {
        ValueKind::String if value.is_safe() => value.to_string(),
        ValueKind::String => token(syntax, value.as_str().unwrap_or_default()).map_err(|text| Error::new(ErrorKind::BadEscape, text))?,
        ValueKind::Number => value.to_string(),
        kind => return Err(Error::new(ErrorKind::BadEscape, format!("a {kind} has no place in a configuration"))),
    };
    out.write_str(&text).map_err(Error::from)
}

/// Safe everywhere, alone and inside of a longer word.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/' | b':'))
}

/// A text that may stand inside of a longer word; brackets are for IPv6 addresses.
pub(super) fn word(text: &str) -> Result<Value, Error> {
    if text.is_empty() || is_plain(&text.replace(['[', ']'], "")) {
        return Ok(Value::from_safe_string(text.to_owned()));
    }
    Err(Error::new(ErrorKind::BadEscape, format!("`{}` holds signs that have no place there", comment(text))))
}

/// A host of a route, which may begin with a star.
pub(super) fn host(text: &str) -> Result<Value, Error> {
    word(text.strip_prefix("*.").unwrap_or(text)).map(|_| Value::from_safe_string(text.to_owned()))
}

/// A regular expression that may stand between single quotes.
pub(super) fn pattern(text: &str) -> Result<Value, Error> {
    if text.bytes().all(|b| b.is_ascii_graphic() && b != b'\'') {
        return Ok(Value::from_safe_string(text.to_owned()));
    }
    Err(Error::new(ErrorKind::BadEscape, format!("`{}` cannot be quoted there", comment(text))))
}

/// A text in a comment, which ends with its line.
pub(super) fn comment(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { '?' } else { c }).collect()
}

/// A text as one token.
///
/// # Errors
/// A text for the operator, when the host has no way to write it.
pub(super) fn token(syntax: Syntax, text: &str) -> Result<String, String> {
    if text.chars().any(char::is_control) {
        return Err(format!("`{}` holds a control character", comment(text)));
    }
    match syntax {
        Syntax::Nginx => nginx(text),
        Syntax::Caddy => caddy(text),
        Syntax::Haproxy => haproxy(text),
        Syntax::Yaml => Ok(yaml(text)),
    }
}

/// In double quotes `\` begins an escape, and nothing keeps `$` from beginning a variable, except at the end of a word.
fn nginx(text: &str) -> Result<String, String> {
    if is_plain(text) || text.strip_prefix("*.").is_some_and(is_plain) {
        return Ok(text.to_owned());
    }
    if text.contains('$') {
        return Err(format!("`{text}`: nginx has no way to write `$`"));
    }
    Ok(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

/// In double quotes only `\"` is an escape; braces would be a placeholder.
fn caddy(text: &str) -> Result<String, String> {
    if is_plain(text) || text.strip_prefix("*.").is_some_and(is_plain) {
        return Ok(text.to_owned());
    }
    if text.contains(['{', '}', '\\']) {
        return Err(format!("`{text}`: a Caddyfile has no way to write braces and backslashes that mean themselves"));
    }
    Ok(format!("\"{}\"", text.replace('"', "\\\"")))
}

/// In double quotes `\` quotes the next sign, and `$` would begin a variable of the environment. `%` begins a format in
/// many places.
fn haproxy(text: &str) -> Result<String, String> {
    if is_plain(text) {
        return Ok(text.to_owned());
    }
    if text.contains('%') {
        return Err(format!("`{text}`: HAProxy would take `%` for a format"));
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        if matches!(c, '\\' | '"' | '$') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    Ok(quoted)
}

/// YAML 1.2 §7.3.1: a JSON string is a double-quoted scalar. Plain scalars are only what no version of YAML takes for
/// something else.
fn yaml(text: &str) -> String {
    let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'/');
    let word = matches!(text.to_ascii_lowercase().as_str(), "true" | "false" | "yes" | "no" | "on" | "off" | "null" | "y" | "n");
    if first && !word && is_plain(text) && !text.ends_with(':') {
        return text.to_owned();
    }
    serde_json::Value::from(text).to_string()
}

/// A regular expression (PCRE, RE2) that matches these bytes and nothing else. Holds no sign that needs quoting.
pub(super) fn literal(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'/' | b':' | b'@' | b'~' | b'!' | b',' | b'=' => {
                pattern.push(char::from(byte));
            }
            b'.' => pattern.push_str("[.]"),
            _ => {
                let _ = write!(pattern, "\\x{byte:02x}");
            }
        }
    }
    pattern
}
