//! JSON (RFC 8259), strictly.

use serde::de::IgnoredAny;

use super::{Entries, Node, Span, Text, VALUE_LIMIT, Value, boundary};
use crate::problem::Finding;

pub(super) fn parse(text: &str, findings: &mut Vec<Finding>) -> Option<Node> {
    // Once it is known to be JSON, finding out where each value stands needs no more checks.
    if let Err(error) = serde_json::from_str::<IgnoredAny>(text) {
        findings.push(syntax_error(text, &error));
        return None;
    }
    let mut walk = Walk { text, at: 0, values: 0, findings };
    let root = walk.value();
    if walk.values > VALUE_LIMIT {
        walk.findings.push(Finding::error(format!("the file holds more than {VALUE_LIMIT} values")).at(&(0..0)));
        return None;
    }
    Some(root)
}

fn syntax_error(text: &str, error: &serde_json::Error) -> Finding {
    let line_start = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum::<usize>();
    let at = boundary(text, line_start + error.column().saturating_sub(1));
    let message = error.to_string();
    // It ends in a line and a column, which are shown anyway.
    let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
    Finding::error(format!("not JSON: {message}")).at(&(at..(at + 1).min(text.len())))
}

/// A walk over text that is known to be JSON.
struct Walk<'t, 'f> {
    text: &'t str,
    at: usize,
    values: usize,
    findings: &'f mut Vec<Finding>,
}

impl Walk<'_, '_> {
    fn value(&mut self) -> Node {
        self.space();
        self.values += 1;
        let start = self.at;
        let value = match self.peek() {
            b'{' => self.map(),
            b'[' => self.list(),
            b'"' => Value::Text(Text { text: self.string().0, expanded: false }),
            _ => self.plain(),
        };
        Node { value, span: start..self.at }
    }

    fn map(&mut self) -> Value {
        let mut entries = Entries::default();
        self.at += 1;
        while self.more(b'}') {
            let (key, key_span) = self.string();
            self.space();
            self.at += 1;
            let value = self.value();
            entries.push(key, key_span, value, self.findings);
        }
        Value::Map(entries.list)
    }

    fn list(&mut self) -> Value {
        let mut items = Vec::new();
        self.at += 1;
        while self.more(b']') {
            items.push(self.value());
        }
        Value::List(items)
    }

    /// Steps to the next member; past the end of the map or list when there is none.
    fn more(&mut self, end: u8) -> bool {
        self.space();
        if self.peek() == b',' {
            self.at += 1;
            self.space();
        }
        let ended = self.peek() == end || self.at >= self.text.len();
        self.at += usize::from(ended);
        !ended
    }

    fn string(&mut self) -> (String, Span) {
        let start = self.at;
        self.at += 1;
        while !matches!(self.peek(), b'"' | 0) {
            self.at += if self.peek() == b'\\' { 2 } else { 1 };
        }
        self.at = (self.at + 1).min(self.text.len());
        let span = start..self.at;
        (serde_json::from_str(&self.text[span.clone()]).unwrap_or_default(), span)
    }

    fn plain(&mut self) -> Value {
        let start = self.at;
        while self.peek().is_ascii_alphanumeric() || matches!(self.peek(), b'+' | b'-' | b'.') {
            self.at += 1;
        }
        let written = &self.text[start..self.at];
        match written {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            "null" => Value::Null,
            number => number.parse().map(Value::Integer).or_else(|_| number.parse().map(Value::Float)).unwrap_or(Value::Null),
        }
    }

    fn space(&mut self) {
        while matches!(self.peek(), b' ' | b'\t' | b'\r' | b'\n') {
            self.at += 1;
        }
    }

    fn peek(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }
}
