//! From a byte in the text to its line and column.

use crate::document::{Span, boundary};
use crate::problem::Place;

#[derive(Debug)]
pub(super) struct Lines<'t> {
    text: &'t str,
    /// Where each line begins.
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    /// The place of `span`, cut to what is there.
    pub(super) fn place(&self, span: Span) -> Place {
        let start = self.boundary(span.start);
        let end = self.boundary(span.end.max(start));
        let line = self.starts.partition_point(|begin| *begin <= start);
        let begin = self.starts[line.saturating_sub(1)];
        Place { line, column: self.text[begin..start].chars().count() + 1, span: start..end }
    }

    fn boundary(&self, at: usize) -> usize {
        boundary(self.text, at)
    }
}
