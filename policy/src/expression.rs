//! A rule's `when`: an expression about who asks and what is asked, in the Common Expression Language.
//!
//! It is compiled when the configuration is read, within bounds, and asked once for each request it applies to. Only
//! `true` is yes: another value, a claim that is not there, a wrong type, an overflow is no.

mod bind;
mod engine;
mod facts;

use std::fmt;
use std::sync::Arc;

pub use facts::{Facts, IdentityFacts};

/// Longest text, in bytes.
pub const TEXT_LIMIT: usize = 2048;
/// How deep an expression may be nested, brackets, operators and calls counted alike.
pub const DEPTH_LIMIT: usize = 16;
/// Most values in the claims of somebody whom an expression is asked about, texts by their length: what a loop costs is bounded by it.
pub const VALUE_LIMIT: usize = 4096;
/// Longest pattern of `matches`, compiled, in bytes.
pub const REGEX_LIMIT: usize = 64 * 1024;

/// Compiled, and sound as far as can be told without anybody asking. Cheap to clone.
#[derive(Clone)]
pub struct Expression {
    text: Arc<str>,
    claims: Arc<[Box<str>]>,
    parameters: Arc<[Box<str>]>,
    path: bool,
    program: Arc<dyn Program>,
}

/// Why an expression does not compile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionFault {
    #[error("longer than {TEXT_LIMIT} bytes")]
    TooLong,
    #[error("nested deeper than {DEPTH_LIMIT}")]
    TooDeep,
    /// With what the parser says, in one line, and the byte of the text where it says so.
    #[error("{message}")]
    Syntax { message: String, at: Option<usize> },
    #[error(
        "there is no `{0}`: an expression sees `claims`, `user`, `email`, `roles`, `permissions`, `scopes`, `provider`, `path` and `request`"
    )]
    Variable(String),
    #[error("there is no function `{0}`")]
    Function(String),
    #[error("the rule's `path` names no `{{{0}}}`")]
    Parameter(String),
    #[error("`request` has `method`, `host` and `path`, and no `{0}`")]
    Request(String),
    #[error("`{0}` is read by a name that is written there: `{0}.x` or `{0}[\"x\"]`")]
    Whole(&'static str),
    #[error("one `all`, `exists`, `exists_one`, `map` or `filter` within another")]
    NestedComprehension,
    #[error("`matches` takes a pattern that is written there, in quotes")]
    Pattern,
    #[error("`{0}` is no regular expression, or one larger than {REGEX_LIMIT} bytes when compiled")]
    Regex(String),
    #[error("it can be neither true nor false")]
    NotBoolean,
}

impl ExpressionFault {
    fn syntax(message: &str) -> Self {
        Self::Syntax { message: message.to_owned(), at: None }
    }
}

/// An engine for expressions: what everything else here knows of it.
trait Program: Send + Sync {
    /// What it comes to.
    ///
    /// # Errors
    /// What went wrong, for a person: also when it comes to something that is not a truth value.
    fn run(&self, facts: &Facts<'_>) -> Result<bool, String>;
}

impl Expression {
    /// Compiles. `parameters` are the names that all the rule's patterns have.
    ///
    /// # Errors
    /// [`ExpressionFault`]: also for names nobody knows, so that a typing mistake is not a "no" for ever.
    pub fn compile(text: &str, parameters: &[&str]) -> Result<Self, ExpressionFault> {
        if text.len() > TEXT_LIMIT {
            return Err(ExpressionFault::TooLong);
        }
        let (program, names) = engine::compile(text, parameters)?;
        Ok(Self { text: text.into(), claims: names.claims.into(), parameters: names.parameters.into(), path: names.path, program })
    }

    /// Whether it is true of these facts. Anything else, and whatever goes wrong, is no.
    pub fn is_true(&self, facts: &Facts<'_>) -> bool {
        self.evaluate(facts) == Ok(true)
    }

    /// The same for a person to read.
    ///
    /// # Errors
    /// Why it is neither true nor false, which counts as false.
    pub fn evaluate(&self, facts: &Facts<'_>) -> Result<bool, String> {
        self.program.run(facts)
    }

    /// The top-level claims it looks at.
    pub fn claims(&self) -> &[Box<str>] {
        &self.claims
    }

    /// The path parameters it looks at.
    pub fn parameters(&self) -> &[Box<str>] {
        &self.parameters
    }

    /// Whether it looks at the request's whole path.
    pub fn reads_path(&self) -> bool {
        self.path
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.text).finish()
    }
}

#[cfg(test)]
mod tests;
