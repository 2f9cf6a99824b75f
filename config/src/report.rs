//! All problems of one file, in the order of their lines, and how they are shown.

mod lines;
mod render;

use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::document::Span;
use crate::files::ReadFile;
use crate::problem::{Finding, Problem, Severity};
use lines::Lines;

/// What is wrong with a file, or worth a second look.
#[derive(Clone)]
pub struct Report {
    path: PathBuf,
    /// The file with every secret in it covered.
    text: String,
    problems: Vec<Problem>,
    files: Vec<ReadFile>,
}

impl Report {
    pub(crate) fn new(path: &Path, text: &str, secrets: &[Span], findings: Vec<Finding>) -> Self {
        let lines = Lines::new(text);
        let mut problems: Vec<Problem> = findings.into_iter().map(|finding| place(finding, &lines)).collect();
        problems.sort_by_key(|problem| problem.place.as_ref().map(|place| place.span.start));
        Self { path: path.to_owned(), text: cover(text, secrets), problems, files: Vec::new() }
    }

    /// A file that nobody could look into.
    pub(crate) fn unreadable(path: &Path, message: String, help: &str) -> Self {
        Self::new(path, "", &[], vec![Finding::error(message).help(help)])
    }

    /// The same, of a file that held `bytes`; `None`: it could not be read.
    pub(crate) fn of(self, bytes: Option<&[u8]>) -> Self {
        let files = vec![ReadFile::new(&self.path, bytes)];
        Self { files, ..self }
    }

    pub(crate) fn with_files(self, files: Vec<ReadFile>) -> Self {
        Self { files, ..self }
    }

    /// Every file that was read, or looked for: a change of one of them is a reason to try again.
    pub fn files(&self) -> &[ReadFile] {
        &self.files
    }

    /// The same with one more problem, at the end: of what only the program that runs it can find out.
    #[must_use]
    pub fn with(mut self, problem: Problem) -> Self {
        self.problems.push(problem);
        self
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// In the order of their lines.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    pub fn error_count(&self) -> usize {
        self.problems.iter().filter(|problem| problem.severity == Severity::Error).count()
    }

    pub fn warning_count(&self) -> usize {
        self.problems.len() - self.error_count()
    }

    /// For people: each problem with its line, the text underlined, and what to do. Ends in a newline unless empty.
    pub fn render(&self, color: bool) -> String {
        render::render(&self.path, &self.text, &self.problems, color)
    }

    /// For programs.
    pub fn to_json(&self) -> Value {
        let file = self.path.display().to_string();
        let problems = self.problems.iter().map(|problem| {
            let (severity, code) = match problem.severity {
                Severity::Error => ("error", None),
                Severity::Warning(code) => ("warning", Some(code.as_str())),
            };
            let place = problem.place.as_ref();
            json!({
                "severity": severity,
                "code": code,
                "message": problem.message,
                "key": problem.key,
                "file": file,
                "line": place.map(|place| place.line),
                "column": place.map(|place| place.column),
                "label": problem.label,
                "help": problem.help,
                "related": problem.related.as_ref().map(|(place, what)| json!({"line": place.line, "column": place.column, "message": what})),
            })
        });
        json!({"errors": self.error_count(), "warnings": self.warning_count(), "problems": problems.collect::<Vec<_>>()})
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report").field("path", &self.path).field("problems", &self.problems).finish_non_exhaustive()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Report {}

fn place(finding: Finding, lines: &Lines<'_>) -> Problem {
    Problem {
        severity: finding.severity,
        message: finding.message,
        key: finding.key,
        place: finding.span.map(|span| lines.place(span)),
        label: finding.label,
        help: finding.help,
        related: finding.related.map(|(span, what)| (lines.place(span), what)),
    }
}

/// Stars over the secrets, byte for byte, so that every place stays where it is.
fn cover(text: &str, secrets: &[Span]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for secret in secrets {
        for byte in bytes.get_mut(secret.clone()).unwrap_or_default() {
            if !matches!(*byte, b'\n' | b'\r' | b' ' | b'\t') {
                *byte = b'*';
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_default()
}
