//! `${NAME}`, `${NAME:-default}` and `${NAME:?message}` inside values; `$${` is a plain `${`.
//!
//! It happens after the file was parsed, value by value: whatever a variable holds, it can add no key, no rule and no
//! second value. Where a request to a provider is written down, `${…}` is a placeholder of that request and no variable.

use std::fmt;

use crate::document::{Node, Span, Value};
use crate::environment::Environment;
use crate::problem::Finding;

/// Replaces variables in every value of the tree; keys stay as they are.
pub(crate) fn expand(root: &mut Node, source: &str, environment: &dyn Environment, findings: &mut Vec<Finding>) {
    expand_at(root, &Key::Root, source, environment, findings);
}

fn expand_at(node: &mut Node, key: &Key<'_>, source: &str, environment: &dyn Environment, findings: &mut Vec<Finding>) {
    if key.is_template() {
        return;
    }
    match &mut node.value {
        Value::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                expand_at(item, &Key::Item(key, index), source, environment, findings);
            }
        }
        Value::Map(entries) => {
            for entry in entries {
                expand_at(&mut entry.value, &Key::Entry(key, &entry.key), source, environment, findings);
            }
        }
        Value::Text(text) if text.text.contains("${") => match expanded(&text.text, environment) {
            Ok((value, found)) => {
                text.text = value;
                text.expanded = found;
            }
            Err(fault) => {
                findings.push(fault.finding(source, &node.span).key(&key.to_string()));
                node.value = Value::Broken;
            }
        },
        _ => {}
    }
}

/// Where in the tree: only written out for a message.
enum Key<'k> {
    Root,
    Item(&'k Key<'k>, usize),
    Entry(&'k Key<'k>, &'k str),
}

impl Key<'_> {
    /// Whether requests to a provider are written below: `providers.*.requests` and `providers.*.revalidate.request`.
    fn is_template(&self) -> bool {
        match self {
            Self::Entry(provider, "requests") => provider.is_provider(),
            Self::Entry(Self::Entry(provider, "revalidate"), "request") => provider.is_provider(),
            _ => false,
        }
    }

    fn is_provider(&self) -> bool {
        matches!(self, Self::Entry(Self::Entry(Self::Root, "providers"), _))
    }
}

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Item(list, index) => write!(f, "{list}[{index}]"),
            Self::Entry(Self::Root, name) => f.write_str(name),
            Self::Entry(map, name) => write!(f, "{map}.{name}"),
        }
    }
}

/// Why a value cannot be filled in.
struct Fault {
    message: String,
    help: String,
    /// The part of the value to point at.
    part: String,
}

impl Fault {
    fn finding(self, source: &str, span: &Span) -> Finding {
        let at = source[span.clone()].find(&self.part).map_or(span.clone(), |at| span.start + at..span.start + at + self.part.len());
        Finding::error(self.message).at(&at).help(self.help)
    }
}

/// The value with its variables filled in, and whether there were any.
fn expanded(text: &str, environment: &dyn Environment) -> Result<(String, bool), Fault> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut found = false;
    while let Some(at) = rest.find("${") {
        if let Some(before) = rest[..at].strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        out.push_str(&rest[..at]);
        let Some(end) = rest[at..].find('}') else {
            let message = "`${` is never closed".to_owned();
            return Err(Fault { message, help: "write `$${` where no variable is meant".into(), part: rest[at..].into() });
        };
        let whole = &rest[at..=at + end];
        out.push_str(&variable(whole, environment)?);
        found = true;
        rest = &rest[at + end + 1..];
    }
    out.push_str(rest);
    Ok((out, found))
}

/// The value of `${…}`.
fn variable(whole: &str, environment: &dyn Environment) -> Result<String, Fault> {
    let inner = &whole[2..whole.len() - 1];
    let end = inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inner.len());
    let (name, rest) = inner.split_at(end);
    let fault = |message: String, help: String| Fault { message, help, part: whole.into() };
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(fault(format!("`{whole}` names no variable"), "write `${NAME}`, `${NAME:-default}` or `${NAME:?message}`".into()));
    }
    // An empty variable is one that somebody forgot to fill, as in a shell's `:-` and `:?`.
    let value = environment.var(name).filter(|value| !value.is_empty());
    match (value, rest) {
        (Some(value), "") => Ok(value),
        (Some(value), rest) if rest.starts_with(":-") || rest.starts_with(":?") => Ok(value),
        (None, "") => Err(fault(format!("environment variable `{name}` is not set"), format!("set it, or write `${{{name}:-default}}`"))),
        (None, rest) => match (rest.strip_prefix(":-"), rest.strip_prefix(":?")) {
            (Some(default), _) => Ok(default.to_owned()),
            (_, Some(message)) => {
                let message = if message.is_empty() { "is not set" } else { message };
                Err(fault(format!("environment variable `{name}`: {message}"), "set it".into()))
            }
            _ => Err(unknown_form(&fault, whole)),
        },
        (Some(_), _) => Err(unknown_form(&fault, whole)),
    }
}

fn unknown_form(fault: &dyn Fn(String, String) -> Fault, whole: &str) -> Fault {
    fault(format!("`{whole}` is not understood"), "write `${NAME}`, `${NAME:-default}` or `${NAME:?message}`".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct One;

    impl Environment for One {
        fn var(&self, name: &str) -> Option<String> {
            match name {
                "NAME" => Some("value".into()),
                "TRICK" => Some("x\nadmin: true ${NAME}".into()),
                "EMPTY" => Some(String::new()),
                _ => None,
            }
        }
    }

    fn text(text: &str) -> Result<(String, bool), String> {
        expanded(text, &One).map_err(|fault| fault.message)
    }

    #[test]
    fn cfg_02_unset_variables_are_mistakes() {
        assert_eq!(text("${NAME}"), Ok(("value".into(), true)));
        assert_eq!(text("a-${NAME}-${NAME:-x}"), Ok(("a-value-value".into(), true)));
        assert_eq!(text("${OTHER:-d}"), Ok(("d".into(), true)));
        assert_eq!(text("${OTHER:-}"), Ok((String::new(), true)));
        assert_eq!(text("${EMPTY:-d}"), Ok(("d".into(), true)));
        for bad in ["${OTHER}", "${EMPTY}", "${OTHER:?say}", "${}", "${1}", "${NAME", "${NAME-x}", "${NAME:+x}", "${a b}"] {
            assert!(text(bad).is_err(), "{bad}");
        }
        assert_eq!(text("${OTHER:?where is it}").unwrap_err(), "environment variable `OTHER`: where is it");
    }

    #[test]
    fn cfg_02_only_where_requests_are_written_down_is_a_placeholder_no_variable() {
        let (root, providers) = (Key::Root, |name| Key::Entry(&Key::Root, name));
        let list = providers("providers");
        let provider = Key::Entry(&list, "auth0");
        let (requests, revalidate) = (Key::Entry(&provider, "requests"), Key::Entry(&provider, "revalidate"));
        assert!(requests.is_template() && Key::Entry(&revalidate, "request").is_template());
        let (routes, item) = (providers("routes"), Key::Item(&list, 0));
        for (name, key) in [
            ("the root", &root),
            ("a provider called requests", &Key::Entry(&list, "requests")),
            ("another section", &Key::Entry(&Key::Entry(&routes, "auth0"), "requests")),
            ("a list", &Key::Entry(&item, "requests")),
            ("the rest of revalidate", &revalidate),
            ("the rest of the provider", &Key::Entry(&provider, "request")),
            ("deeper", &Key::Entry(&Key::Entry(&provider, "authorize"), "requests")),
        ] {
            assert!(!key.is_template(), "{name}");
        }
    }

    #[test]
    fn what_a_variable_holds_is_not_read_again() {
        assert_eq!(text("${TRICK}").unwrap().0, "x\nadmin: true ${NAME}");
        assert_eq!(text("$${NAME} ^a$ $['x'] $5"), Ok(("${NAME} ^a$ $['x'] $5".into(), false)));
    }
}
