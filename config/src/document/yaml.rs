//! YAML 1.2, its core schema only: no tags, no merge keys, one document.

use std::collections::HashMap;

use serde_saphyr::granit_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span as Marked};

use super::{DEPTH_LIMIT, Entries, Node, Span, Text, VALUE_LIMIT, Value};
use crate::problem::Finding;

pub(super) fn parse(text: &str, findings: &mut Vec<Finding>) -> Option<Node> {
    let mut composer = Composer { text, parser: Parser::new_from_str(text), anchors: HashMap::new(), values: 0, findings };
    match composer.document() {
        Ok(node) => Some(node),
        Err(finding) => {
            composer.findings.push(*finding);
            None
        }
    }
}

type Fault = Box<Finding>;

/// Events to values.
struct Composer<'t, 'f> {
    text: &'t str,
    parser: Parser<'t, serde_saphyr::granit_parser::StrInput<'t>>,
    /// By the parser's number: the value, and how many values are in it.
    anchors: HashMap<usize, (Node, usize)>,
    values: usize,
    findings: &'f mut Vec<Finding>,
}

impl<'t> Composer<'t, '_> {
    fn document(&mut self) -> Result<Node, Fault> {
        let mut root = None;
        loop {
            let (event, marked) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentEnd => {}
                Event::DocumentStart(..) if root.is_some() => {
                    return Err(Finding::error("a second document begins here")
                        .at(&span(&marked))
                        .help("one file holds one document")
                        .into());
                }
                Event::DocumentStart(..) => {}
                Event::StreamEnd => break,
                event => root = Some(self.node(event, &marked, 0)?),
            }
        }
        Ok(root.unwrap_or(Node { value: Value::Null, span: 0..0 }))
    }

    fn next(&mut self) -> Result<(Event<'t>, Marked), Fault> {
        match self.parser.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => Err(syntax_error(self.text, &error).into()),
            None => Ok((Event::StreamEnd, Marked::default())),
        }
    }

    fn node(&mut self, event: Event<'t>, marked: &Marked, depth: usize) -> Result<Node, Fault> {
        let here = span(marked);
        if depth > DEPTH_LIMIT {
            return Err(too_deep(&here).into());
        }
        let before = self.values;
        self.count(1, &here)?;
        let (node, anchor) = match event {
            Event::Alias(id) => {
                let (node, size) =
                    self.anchors.get(&id).cloned().ok_or_else(|| Finding::error("an alias inside of what it stands for").at(&here))?;
                self.count(size, &here)?;
                // INVARIANT: no value is deeper than the limit, so recursion over it is bounded.
                if depth + node.height() > DEPTH_LIMIT {
                    return Err(too_deep(&here).into());
                }
                return Ok(node);
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.is_some(), marked);
                (Node { value: scalar(&text, style), span: here }, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.refuse_tag(tag.is_some(), marked);
                let mut items = Vec::new();
                loop {
                    let (event, marked) = self.next()?;
                    if matches!(event, Event::SequenceEnd) {
                        break (Node { value: Value::List(items), span: here.start..span(&marked).end.max(here.end) }, anchor);
                    }
                    items.push(self.node(event, &marked, depth + 1)?);
                }
            }
            Event::MappingStart(_, anchor, tag) => {
                self.refuse_tag(tag.is_some(), marked);
                let mut entries = Entries::default();
                loop {
                    let (event, marked) = self.next()?;
                    if matches!(event, Event::MappingEnd) {
                        break (Node { value: Value::Map(entries.list), span: here.start..span(&marked).end.max(here.end) }, anchor);
                    }
                    let (key, key_span) = self.key(event, &marked)?;
                    let (event, marked) = self.next()?;
                    let value = self.node(event, &marked, depth + 1)?;
                    if key == "<<" {
                        let finding = Finding::error("merge keys are not part of YAML 1.2").at(&key_span);
                        self.findings.push(finding.help("write the keys out, or give the whole value an anchor and an alias"));
                    } else {
                        entries.push(key, key_span, value, self.findings);
                    }
                }
            }
            _ => return Err(Finding::error("no value stands here").at(&here).into()),
        };
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), self.values - before));
        }
        Ok(node)
    }

    fn key(&mut self, event: Event<'t>, marked: &Marked) -> Result<(String, Span), Fault> {
        let here = span(marked);
        match event {
            Event::Scalar(text, _, _, tag) => {
                self.refuse_tag(tag.is_some(), marked);
                Ok((text.into_owned(), here))
            }
            _ => Err(Finding::error("a key is a plain name")
                .at(&here)
                .help("a text that begins with `[`, `{`, `*` or `&` needs quotes")
                .into()),
        }
    }

    fn refuse_tag(&mut self, tagged: bool, marked: &Marked) {
        if tagged {
            let here = marked.tag_span().map_or_else(|| span(marked), |tag| span(&tag));
            self.findings.push(
                Finding::error("tags have no meaning here").at(&here).help("take the word that begins with `!` away, or put it in quotes"),
            );
        }
    }

    /// A small file must not unfold to a large one.
    fn count(&mut self, values: usize, here: &Span) -> Result<(), Fault> {
        self.values = self.values.saturating_add(values);
        if self.values > VALUE_LIMIT {
            return Err(Finding::error(format!("the file unfolds to more than {VALUE_LIMIT} values"))
                .at(here)
                .help("use fewer aliases")
                .into());
        }
        Ok(())
    }
}

/// YAML 1.2 §10.3, less its many spellings: `yes`, `on`, `True`, `0x1f` and `.inf` are texts.
fn scalar(text: &str, style: ScalarStyle) -> Value {
    let as_text = || Value::Text(Text { text: text.to_owned(), expanded: false });
    if style != ScalarStyle::Plain {
        return as_text();
    }
    match text {
        "" | "null" | "~" => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ if !is_number(text) => as_text(),
        _ => text.parse().map(Value::Integer).or_else(|_| text.parse().map(Value::Float)).unwrap_or_else(|_| as_text()),
    }
}

/// `-?(0|[1-9][0-9]*)(\.[0-9]+)?`: what JSON would call one, less the exponent.
fn is_number(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let text = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = text.split_once('.').map_or((text, None), |(whole, fraction)| (whole, Some(fraction)));
    digits(whole) && (whole == "0" || !whole.starts_with('0')) && fraction.is_none_or(digits)
}

fn span(marked: &Marked) -> Span {
    offset(&marked.start)..offset(&marked.end)
}

fn offset(marker: &Marker) -> usize {
    marker.byte_offset().unwrap_or(0)
}

fn too_deep(here: &Span) -> Finding {
    Finding::error(format!("nested more than {DEPTH_LIMIT} levels deep")).at(here)
}

fn syntax_error(text: &str, error: &ScanError) -> Finding {
    let at = offset(error.marker()).min(text.len());
    let info = error.info();
    // The scanner says where the word before the tab begins.
    let tab = text[at..].find('\t').filter(|_| info.contains("tab"));
    let (at, help) = match text[at..].chars().next() {
        _ if tab.is_some() => (at + tab.unwrap_or_default(), Some("indent with spaces")),
        Some('\t') => (at, Some("indent with spaces")),
        Some('*' | '&' | '!' | '%' | '@' | '`') => (at, Some("a text that begins with this sign stands in quotes: `\"*\"`")),
        _ if info.contains("did not find expected") => {
            (at, Some("keys of one map begin in one column, deeper than the key above them; a bracket or quote may be open"))
        }
        _ => (at, None),
    };
    let finding = Finding::error(format!("not YAML: {info}")).at(&(at..(at + 1).min(text.len())));
    match help {
        Some(help) => finding.help(help),
        None => finding,
    }
}
