//! One reading of one file: where it is, what surrounds it, and what was found so far.

use std::cell::{OnceCell, RefCell};
use std::fmt;
use std::path::{Path, PathBuf};

use super::secrets;
use crate::Source;
use crate::document::{Node, Span};
use crate::environment::Environment;
use crate::files::ReadFile;
use crate::problem::{Finding, Severity};
use crate::report::Report;

pub(crate) struct Reading<'r> {
    source: &'r Source,
    folder: PathBuf,
    pub(super) environment: &'r dyn Environment,
    findings: RefCell<Vec<Finding>>,
    /// Where a secret stands in the file.
    secrets: RefCell<Vec<Span>>,
    /// Those that the configuration names, as far as they were read.
    files: RefCell<Vec<ReadFile>>,
    /// Where each line ends.
    line_ends: OnceCell<Vec<usize>>,
}

impl<'r> Reading<'r> {
    pub(crate) fn new(source: &'r Source, environment: &'r dyn Environment) -> Self {
        let folder = source.path.parent().map(Path::to_owned).unwrap_or_default();
        Self {
            source,
            folder,
            environment,
            findings: RefCell::default(),
            secrets: RefCell::default(),
            files: RefCell::default(),
            line_ends: OnceCell::new(),
        }
    }

    /// `parsed` is false when the text could not be understood, so that nobody knows which of it is a secret.
    pub(crate) fn into_report(self, mut findings: Vec<Finding>, parsed: bool) -> Report {
        findings.extend(self.findings.into_inner());
        let mut secrets = if parsed { self.secrets.into_inner() } else { secrets::in_text(&self.source.text) };
        secrets::in_addresses(&self.source.text, &mut secrets);
        let mut files = vec![ReadFile::new(&self.source.path, Some(self.source.text.as_bytes()))];
        files.extend(self.files.into_inner());
        Report::new(&self.source.path, &self.source.text, &secrets, findings).with_files(files)
    }

    pub(crate) fn report(&self, finding: Finding) {
        self.findings.borrow_mut().push(finding);
    }

    /// Nothing was found that must be put right.
    pub(crate) fn is_sound(&self) -> bool {
        is_sound(&self.findings.borrow())
    }

    /// Reports, and is nothing: `return reading.refuse(…)`.
    pub(crate) fn refuse<T>(&self, span: &Span, key: &str, message: impl Into<String>, help: impl Into<String>) -> Option<T> {
        self.report(Finding::error(message).at(span).key(key).help(help));
        None
    }

    /// The text of the file at a place.
    pub(super) fn written(&self, span: &Span) -> &'r str {
        self.source.text.get(span.clone()).unwrap_or_default()
    }

    /// The line of a byte of the file, counted from 1.
    pub(super) fn line_of(&self, at: usize) -> usize {
        let text = &self.source.text;
        let ends = self.line_ends.get_or_init(|| text.match_indices('\n').map(|(end, _)| end).collect());
        ends.partition_point(|end| *end < at) + 1
    }

    /// A file that the configuration names.
    pub(super) fn resolve(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Notes a file that was read or looked for.
    pub(super) fn note(&self, file: ReadFile) {
        let mut files = self.files.borrow_mut();
        if !files.contains(&file) {
            files.push(file);
        }
    }

    /// What was read from this file last is a secret.
    pub(super) fn note_secret(&self, path: &Path) {
        self.files.borrow_mut().iter_mut().filter(|file| file.path() == path).for_each(ReadFile::is_a_secret);
    }

    /// Notes where secrets stand in the tree: no message shows them.
    pub(crate) fn cover_secrets(&self, root: &Node) {
        secrets::in_tree(root, &mut self.secrets.borrow_mut());
    }
}

/// Whether there are warnings at most.
pub(crate) fn is_sound(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.severity != Severity::Error)
}

impl fmt::Debug for Reading<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading").field("source", self.source).finish_non_exhaustive()
    }
}
