//! TOML 1.1.

use toml::de::{DeTable, DeValue};

use super::{Entries, Node, Text, Value};
use crate::problem::Finding;

pub(super) fn parse(text: &str, findings: &mut Vec<Finding>) -> Option<Node> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let broken = !errors.is_empty();
    for error in errors {
        let at = error.span().unwrap_or(0..0);
        findings.push(Finding::error(format!("not TOML: {}", error.message())).at(&at));
    }
    // What was recovered from a broken file would only give problems that are not there.
    if broken {
        return None;
    }
    let span = table.span();
    Some(Node { value: map(table.into_inner(), findings), span })
}

fn map(table: DeTable<'_>, findings: &mut Vec<Finding>) -> Value {
    let mut items: Vec<_> = table.into_iter().collect();
    // The order of the file, not of the alphabet.
    items.sort_by_key(|(key, _)| key.span().start);
    let mut entries = Entries::default();
    for (key, value) in items {
        let (key_span, span) = (key.span(), value.span());
        let value = Node { value: node(value.into_inner(), &span, findings), span };
        entries.push(key.into_inner().into_owned(), key_span, value, findings);
    }
    Value::Map(entries.list)
}

fn node(value: DeValue<'_>, span: &super::Span, findings: &mut Vec<Finding>) -> Value {
    match value {
        DeValue::String(text) => Value::Text(Text { text: text.into_owned(), expanded: false }),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::Integer(number),
            Err(_) => broken("the number is too large", span, findings),
        },
        DeValue::Float(number) => match number.as_str().parse::<f64>() {
            Ok(number) if number.is_finite() => Value::Float(number),
            _ => broken("not a finite number", span, findings),
        },
        DeValue::Boolean(value) => Value::Bool(value),
        DeValue::Datetime(_) => broken("no key here takes a date; write a text in quotes", span, findings),
        DeValue::Array(items) => Value::List(
            items
                .into_iter()
                .map(|item| {
                    let span = item.span();
                    Node { value: node(item.into_inner(), &span, findings), span }
                })
                .collect(),
        ),
        DeValue::Table(table) => map(table, findings),
    }
}

fn broken(message: &str, span: &super::Span, findings: &mut Vec<Finding>) -> Value {
    findings.push(Finding::error(message).at(span));
    Value::Broken
}
