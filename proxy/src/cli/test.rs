//! `doorward test`: the requests of the configuration's `tests:`, and what becomes of them.

mod junit;
mod outcome;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use doorward_config::settings::Settings;
use doorward_policy::access::Enforce;
use serde_json::{Value, json};

use super::table::{Ink, Table, clean, counted};
use super::{Config, Format, NO, color_of_results, load, say, tell};
use crate::clock;
use outcome::{Coverage, Outcome};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The configuration whose tests are tried
    file: Option<PathBuf>,
    #[command(flatten)]
    config: Config,
    /// Write the results down as JUnit XML, too
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Fail when an enforced rule decides none of the tests
    #[arg(long)]
    coverage: bool,
    /// How to print the results
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// 0: every test passes; 1: one does not, or with `--coverage` a rule decides none; 78: the configuration.
pub(super) fn test(arguments: &Arguments) -> ExitCode {
    let path = arguments.file.clone().unwrap_or_else(|| arguments.config.path());
    let settings = match load(&path) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    let now = clock::now();
    let outcomes: Vec<Outcome<'_>> = settings.tests.iter().map(|test| Outcome::of(&settings, test, now)).collect();
    let coverage = Coverage::of(&settings, &outcomes);
    let run = Run { path: &path, settings: &settings, outcomes, coverage, wants_coverage: arguments.coverage };
    match arguments.format {
        Format::Text => tell(&run.text(Ink { on: color_of_results() })),
        Format::Json => tell(&run.json().to_string()),
    }
    if let Some(file) = &arguments.junit
        && let Err(error) = std::fs::write(file, junit::write(&path, &run.outcomes))
    {
        say(&format!("error: {} cannot be written: {error}", file.display()));
        return ExitCode::from(NO);
    }
    let uncovered = arguments.coverage && run.coverage.has_gaps();
    if uncovered {
        say("error: some enforced rules decide none of the tests (`--coverage`)");
    }
    if uncovered || run.failed() > 0 { ExitCode::from(NO) } else { ExitCode::SUCCESS }
}

/// All of it.
struct Run<'r> {
    path: &'r Path,
    settings: &'r Settings,
    outcomes: Vec<Outcome<'r>>,
    coverage: Coverage,
    wants_coverage: bool,
}

impl Run<'_> {
    fn failed(&self) -> usize {
        self.outcomes.iter().filter(|outcome| !outcome.faults.is_empty()).count()
    }

    fn text(&self, ink: Ink) -> String {
        let mut out = format!("{}: {}\n", self.path.display(), counted(self.outcomes.len(), "test"));
        if self.outcomes.is_empty() {
            out.push_str("  nothing is tried: there are no `tests:` in it\n");
        }
        for outcome in self.outcomes.iter().filter(|outcome| !outcome.faults.is_empty()) {
            out.push_str(&format!("\n  {} line {}: {}\n", ink.bad("FAILED"), outcome.test.line, clean(&outcome.test.name)));
            out.push_str(&format!("      {} {}\n", outcome.test.method, clean(&outcome.test.url)));
            for fault in &outcome.faults {
                out.push_str(&format!("      {}\n", clean(fault)));
            }
            for line in outcome.why(ink).lines() {
                out.push_str(&format!("      | {line}\n"));
            }
        }
        out.push_str(&self.coverage_text(ink));
        let (failed, passed) = (self.failed(), self.outcomes.len() - self.failed());
        let uncovered = self.wants_coverage && self.coverage.has_gaps();
        let word = if failed > 0 || uncovered { ink.bad("FAILED") } else { ink.good("SUCCESS") };
        let gaps = if uncovered { ", and some rules decide no test" } else { "" };
        out.push_str(&format!("\n{word}: {passed} passed, {failed} failed{gaps}\n"));
        out
    }

    fn coverage_text(&self, ink: Ink) -> String {
        let mut enforced = Table::new(4);
        let mut shadows = Table::new(4);
        for rule in &self.coverage.rules {
            let never = if rule.tests == 0 { ink.bad("never") } else { counted(rule.tests, "test") };
            if rule.enforced { &mut enforced } else { &mut shadows }.row([clean(&rule.name), never]);
        }
        let (covered, all) = self.coverage.covered();
        let shadows = shadows.render();
        let shadows = if shadows.is_empty() { shadows } else { format!("  shadow rules, decided and passed over\n{shadows}") };
        format!("\n  rules that decide: {covered} of {all}\n{}{shadows}", enforced.render())
    }

    fn json(&self) -> Value {
        let tests = self.outcomes.iter().map(|outcome| {
            json!({
                "name": outcome.test.name,
                "line": outcome.test.line,
                "passed": outcome.faults.is_empty(),
                "faults": outcome.faults,
                "answer": outcome.answer,
            })
        });
        let rules = self.coverage.rules.iter().map(|rule| json!({ "rule": rule.name, "enforced": rule.enforced, "tests": rule.tests }));
        json!({
            "file": self.path.display().to_string(),
            "passed": self.outcomes.len() - self.failed(),
            "failed": self.failed(),
            "tests": tests.collect::<Vec<_>>(),
            "coverage": rules.collect::<Vec<_>>(),
            "rules": self.settings.policy.routes().iter().flat_map(|route| &route.rules).filter(|rule| rule.enforce == Enforce::Deny).count(),
        })
    }
}
