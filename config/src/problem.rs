//! One thing that is wrong, where it stands, and what to do about it.

use std::fmt;

use crate::document::Span;

/// A mistake, or something worth a second look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub severity: Severity,
    /// A lower-case fragment, values in backticks; never a secret.
    pub message: String,
    /// Where in the structure: `routes[2].rules[0].allow`. Empty for the file as a whole, and for what is wrong
    /// with the text of it.
    pub key: String,
    /// `None` when the file could not be read at all.
    pub place: Option<Place>,
    /// Said right under the underlined text.
    pub label: Option<String>,
    /// What to do.
    pub help: Option<String>,
    /// Another place that has to do with it, and what it is.
    pub related: Option<(Place, String)>,
}

/// A piece of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// In bytes.
    pub span: Span,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Nothing runs until it is put right.
    Error,
    /// It runs.
    Warning(WarningCode),
}

/// Names of warnings that stay the same from version to version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WarningCode {
    /// W001: a rule that can never match.
    DeadRule,
    /// W002: no TLS to an address on the open internet.
    PlainHttp,
    /// W003: a secret written into the file.
    InlineSecret,
    /// W004: what these claims come to does not fit into a cookie.
    LargeCookie,
    /// W005: no rule denies anybody anything.
    NothingDenied,
    /// W006: a range of trusted addresses so wide that strangers may be in it.
    WideTrust,
    /// W007: without an audience there are no tokens that could be verified.
    OpaqueTokens,
    /// W008: proxies on the open internet ask without TLS.
    PlainHooks,
    /// W009: a restart forgets who was signed out.
    ForgottenSignOuts,
    /// W010: refresh tokens are wanted, and not asked for.
    NoRefreshToken,
    /// W011: hosts where the cookie of the session's domain does not arrive.
    OutsideDomain,
    /// W012: a regular expression that matches in the middle of a text, or is very large.
    LooseRegex,
    /// W013: everybody is the same user.
    SharedAccount,
    /// W014: a role that a rule demands, and nobody can have.
    NobodysRole,
    /// W016: a provider's key in a file that is over, or soon will be.
    KeyEnds,
}

impl WarningCode {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DeadRule => "W001",
            Self::PlainHttp => "W002",
            Self::InlineSecret => "W003",
            Self::LargeCookie => "W004",
            Self::NothingDenied => "W005",
            Self::WideTrust => "W006",
            Self::OpaqueTokens => "W007",
            Self::PlainHooks => "W008",
            Self::ForgottenSignOuts => "W009",
            Self::NoRefreshToken => "W010",
            Self::OutsideDomain => "W011",
            Self::LooseRegex => "W012",
            Self::SharedAccount => "W013",
            Self::NobodysRole => "W014",
            Self::KeyEnds => "W016",
        }
    }
}

impl fmt::Display for WarningCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A problem as a reader finds it: a span, not yet a line.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) severity: Severity,
    pub(crate) message: String,
    pub(crate) key: String,
    pub(crate) span: Option<Span>,
    pub(crate) label: Option<String>,
    pub(crate) help: Option<String>,
    pub(crate) related: Option<(Span, String)>,
}

impl Finding {
    pub(crate) fn error(message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, message: message.into(), key: String::new(), span: None, label: None, help: None, related: None }
    }

    pub(crate) fn warning(code: WarningCode, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning(code), ..Self::error(message) }
    }

    pub(crate) fn at(mut self, span: &Span) -> Self {
        self.span = Some(span.clone());
        self
    }

    pub(crate) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn related(mut self, span: &Span, what: impl Into<String>) -> Self {
        self.related = Some((span.clone(), what.into()));
        self
    }

    pub(crate) fn key(mut self, key: &str) -> Self {
        self.key = key.to_owned();
        self
    }
}
