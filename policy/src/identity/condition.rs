//! Conditions on claims: comparisons, and what joins them.

use serde_json::{Map, Value};

use super::Operator;
use super::operator::OPERATORS;
use crate::claim_path::ClaimPath;

/// A condition on claims. A claim that is not there meets nothing but [`Operator::NotEqualOrMissing`].
#[derive(Debug, Clone)]
pub enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    Compare { path: ClaimPath, operator: Operator },
}

/// Why a condition does not compile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConditionFault {
    #[error("unknown operator `{0}`; known are {known}", known = OPERATORS.join(", "))]
    Operator(String),
    #[error("operator `{0}` needs a value")]
    MissingValue(String),
    #[error("operator `{0}` needs a number, or a time as in RFC 3339")]
    NotANumber(String),
    #[error("operator `{0}` needs a text, a number or true/false")]
    NotAScalar(String),
    #[error("the regular expression does not compile: {0}")]
    Regex(String),
    #[error("an empty list of values can never match")]
    EmptyList,
}

impl Condition {
    /// Whether these claims meet the condition.
    pub fn holds(&self, claims: &Map<String, Value>) -> bool {
        match self {
            Self::All(all) => all.iter().all(|condition| condition.holds(claims)),
            Self::Any(any) => any.iter().any(|condition| condition.holds(claims)),
            Self::Not(condition) => !condition.holds(claims),
            Self::Compare { path, operator } => operator.holds(path, claims),
        }
    }

    /// Every claim path it reads, in the order of the file.
    pub fn paths(&self) -> Vec<&ClaimPath> {
        let mut paths = Vec::new();
        self.collect_paths(&mut paths);
        paths
    }

    fn collect_paths<'s>(&'s self, into: &mut Vec<&'s ClaimPath>) {
        match self {
            Self::All(list) | Self::Any(list) => list.iter().for_each(|condition| condition.collect_paths(into)),
            Self::Not(condition) => condition.collect_paths(into),
            Self::Compare { path, .. } => into.push(path),
        }
    }
}
