//! One test, what became of it, and which rules all of them try.

use std::collections::HashMap;

use doorward_config::settings::{Expect, PolicyTest, Settings};
use doorward_policy::access::explain::{Fate, Who};
use doorward_policy::access::{Enforce, Standing};
use doorward_policy::time::Timestamp;

use crate::cli::explain::brief;
use crate::cli::table::Ink;
use crate::explain::{Answer, Question, Supposition, answer, answer_supposed};

/// What became of one test.
#[derive(Debug)]
pub(super) struct Outcome<'t> {
    pub(super) test: &'t PolicyTest,
    /// `None`: the address is none.
    pub(super) answer: Option<Answer>,
    /// What is not as expected; empty: it passes.
    pub(super) faults: Vec<String>,
}

impl<'t> Outcome<'t> {
    pub(super) fn of(settings: &Settings, test: &'t PolicyTest, now: Timestamp) -> Self {
        let now = test.at.map_or(now, Timestamp);
        let question = match Question::parse(test.method.as_str(), &test.url, test.client, now) {
            Ok(question) => question,
            Err(fault) => return Self { test, answer: None, faults: vec![fault.to_string()] },
        };
        let mut answer = match &test.claims {
            None => answer(settings, &question, &Standing::Anonymous),
            Some(claims) => {
                let supposition = Supposition { claims: claims.clone(), provider: test.provider.as_deref(), proof: test.proof };
                answer_supposed(settings, &question, &supposition)
            }
        };
        // Thousands of tests of routes with thousands of rules: the others say nothing.
        answer.explanation.rules.retain(|rule| matches!(rule.fate, Fate::Decides | Fate::Shadow));
        let faults = faults(test, &answer);
        Self { test, answer: Some(answer), faults }
    }

    /// The lines of the explanation that matter.
    pub(super) fn why(&self, ink: Ink) -> String {
        self.answer.as_ref().map(|answer| brief(answer, ink)).unwrap_or_default()
    }
}

fn faults(test: &PolicyTest, answer: &Answer) -> Vec<String> {
    let explanation = &answer.explanation;
    let mut faults = Vec::new();
    let (expected, happened) = (word(test.expect), explanation.verdict.outcome());
    if expected != happened {
        faults.push(format!("expected {expected}, got {happened}"));
    }
    let mut compare = |what: &str, expected: Option<&str>, found: Option<&str>| {
        if let Some(expected) = expected.filter(|expected| found != Some(*expected)) {
            faults.push(format!("expected {what} {expected}, got {}", found.unwrap_or("none")));
        }
    };
    compare("rule", test.rule.as_deref(), explanation.rule.as_deref());
    compare("reason", test.reason.as_deref(), explanation.verdict.reason());
    for (name, expected) in &test.headers {
        let found = explanation.headers.iter().find(|header| header.name == name.as_str()).and_then(|header| header.value.as_deref());
        // An empty value is how the file writes "not set".
        compare(&format!("header {name}:"), Some(expected), Some(found.unwrap_or_default()));
    }
    if let Some(expected) = &test.roles {
        let found: Vec<&str> = match &explanation.who {
            Who::Known { roles, .. } => roles.iter().map(|role| role.role.as_str()).collect(),
            Who::Anonymous | Who::Refused { .. } => Vec::new(),
        };
        let sorted = |mut roles: Vec<&str>| {
            roles.sort_unstable();
            roles.dedup();
            if roles.is_empty() { "none".to_owned() } else { roles.join(", ") }
        };
        let expected = sorted(expected.iter().map(String::as_str).collect());
        compare("roles", Some(&expected), Some(&sorted(found)));
    }
    faults
}

fn word(expect: Expect) -> &'static str {
    match expect {
        Expect::Allow => "allow",
        Expect::Deny => "deny",
        Expect::SignIn => "sign-in",
        Expect::Token => "token",
        Expect::StepUp => "step-up",
    }
}

/// How many tests each rule decides.
#[derive(Debug)]
pub(super) struct Coverage {
    /// In the order of the file.
    pub(super) rules: Vec<Covered>,
}

#[derive(Debug)]
pub(super) struct Covered {
    pub(super) name: String,
    pub(super) enforced: bool,
    /// Of a shadow rule: those that it would have decided.
    pub(super) tests: usize,
}

impl Coverage {
    pub(super) fn of(settings: &Settings, outcomes: &[Outcome<'_>]) -> Self {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        let asked = outcomes.iter().filter_map(|outcome| outcome.answer.as_ref());
        for rule in asked.flat_map(|answer| &answer.explanation.rules) {
            *counts.entry(rule.name.as_str()).or_default() += 1;
        }
        let rules = settings.policy.routes().iter().flat_map(|route| &route.rules).map(|rule| Covered {
            name: rule.name.to_string(),
            enforced: rule.enforce == Enforce::Deny,
            tests: counts.get(&*rule.name).copied().unwrap_or_default(),
        });
        Self { rules: rules.collect() }
    }

    /// Enforced rules that decide some test, and all enforced rules.
    pub(super) fn covered(&self) -> (usize, usize) {
        let enforced = || self.rules.iter().filter(|rule| rule.enforced);
        (enforced().filter(|rule| rule.tests > 0).count(), enforced().count())
    }

    pub(super) fn has_gaps(&self) -> bool {
        let (covered, all) = self.covered();
        covered < all
    }
}
