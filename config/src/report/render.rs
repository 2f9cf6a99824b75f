//! The look of a problem: what it is, where, the text underlined, what to do.

use std::path::Path;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use crate::document::Span;
use crate::problem::{Problem, Severity};

/// Columns that a line of the file may take before it is cut around the place.
const WIDTH: usize = 160;
/// More bytes than this are no lines that anybody wrote: only the place is named.
const LONGEST: usize = 64 * 1024;

pub(super) fn render(path: &Path, text: &str, problems: &[Problem], color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.decor_style(DecorStyle::Ascii).term_width(WIDTH);
    let path = path.display().to_string();
    let mut out = String::new();
    for problem in problems {
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&renderer.render(&[group(&path, text, problem)]));
        out.push('\n');
    }
    out
}

fn group<'p>(path: &'p str, text: &'p str, problem: &'p Problem) -> Group<'p> {
    let title = match problem.severity {
        Severity::Error => Level::ERROR.primary_title(&problem.message),
        Severity::Warning(code) => Level::WARNING.primary_title(&problem.message).id(code.as_str()),
    };
    let Some(place) = &problem.place else {
        return with_help(title.element(Origin::path(path)), problem);
    };
    let related = problem.related.as_ref();
    // Only the lines that are shown: a snippet of the whole file would be read again for each problem.
    let both = related.map(|(other, _)| lines(text, &[&place.span, &other.span])).filter(|lines| lines.len() <= LONGEST);
    let near = both.is_some();
    let shown = both.unwrap_or_else(|| lines(text, &[&place.span]));
    if shown.len() > LONGEST {
        return with_help(title.element(Origin::path(path).line(place.line).char_column(place.column)), problem);
    }
    let first = related.filter(|_| near).map_or(place.line, |(other, _)| other.line.min(place.line));
    let here = |span: &Span| {
        let span = first_line(text, span);
        span.start - shown.start..span.end - shown.start
    };
    let primary = AnnotationKind::Primary.span(here(&place.span)).label(problem.label.as_deref());
    let mut snippet = Snippet::source(&text[shown.clone()]).line_start(first).path(path).annotation(primary);
    let mut far = None;
    match related {
        Some((other, what)) if near => snippet = snippet.annotation(AnnotationKind::Context.span(here(&other.span)).label(what.as_str())),
        Some((other, what)) => far = Some(Level::NOTE.message(format!("{what}: line {}", other.line))),
        None => {}
    }
    let group = title.element(snippet);
    with_help(if let Some(far) = far { group.element(far) } else { group }, problem)
}

/// The lines that these places begin on, and those between.
fn lines(text: &str, places: &[&Span]) -> Span {
    let from = places.iter().map(|span| span.start).min().unwrap_or(0);
    let to = places.iter().map(|span| span.start).max().unwrap_or(0);
    text[..from].rfind('\n').map_or(0, |at| at + 1)..text[to..].find('\n').map_or(text.len(), |at| to + at)
}

fn with_help<'p>(group: Group<'p>, problem: &'p Problem) -> Group<'p> {
    match &problem.help {
        Some(help) => group.element(Level::HELP.message(help)),
        None => group,
    }
}

/// What is underlined: the part of `span` on its first line, without the space after it.
fn first_line(text: &str, span: &Span) -> Span {
    let part = &text[span.clone()];
    let line = part.lines().next().unwrap_or_default();
    span.start..span.start + line.trim_end().len()
}
