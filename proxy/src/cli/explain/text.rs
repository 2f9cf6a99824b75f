//! An explanation for people: what was asked, each rule, each criterion, and last what comes of it.

use doorward_policy::access::explain::{ClaimTrace, Criterion, Fate, HeaderTrace, Mark, RuleTrace, Verdict, Who};
use doorward_policy::access::{Challenge, Passes};

use super::By;
use crate::cli::table::{Ink, Table, clean};
use crate::explain::Answer;

/// Rules that do not matter and stand next to each other: more than that are said in one line.
const RUN: usize = 12;

pub(super) fn render(answer: &Answer, by: By, color: bool) -> String {
    let ink = Ink { on: color };
    let explanation = &answer.explanation;
    let asked = &explanation.request;
    let mut out = format!(
        "{} https://{}{}\nfrom {} at {}\n{}\n\n",
        clean(&asked.method),
        clean(&asked.host),
        clean(&asked.path),
        asked.client,
        asked.at,
        who(&explanation.who, by)
    );
    if let Some(route) = &explanation.route {
        out.push_str(&format!("route {}    {}\n", clean(route), legend(ink)));
        out.push_str(&rules(&explanation.rules, ink));
        out.push('\n');
    }
    out.push_str(&outcome(answer, ink));
    for note in &explanation.notes {
        out.push_str(&format!("  note: {}\n", clean(note)));
    }
    out
}

/// Who it was, what the rule that decided looked at, and what comes of it: for a test that fails.
pub(crate) fn brief(answer: &Answer, ink: Ink) -> String {
    let explanation = &answer.explanation;
    let mut out = format!("{}\n", who(&explanation.who, By::Claims));
    if let Some(rule) = explanation.deciding() {
        line(rule, rule.name.chars().count(), ink, &mut out);
    }
    out.push_str(&outcome(answer, ink));
    out
}

fn legend(ink: Ink) -> String {
    format!("{} hit  {} miss  {} may, once somebody has signed in", ink.mark(Mark::Hit), ink.mark(Mark::Miss), ink.mark(Mark::May))
}

fn who(who: &Who, by: By) -> String {
    match who {
        Who::Anonymous => "as nobody".into(),
        Who::Refused { fault } => format!("as nobody: what was presented is not good ({fault})"),
        Who::Known { proof, provider, user, email, roles, .. } => {
            let user = user.as_deref().map_or_else(|| "somebody without a name".into(), clean);
            let email = email.as_deref().filter(|email| *email != user).map(|email| format!(" ({})", clean(email))).unwrap_or_default();
            let word = if *proof == "bearer" { "a bearer token" } else { "a session" };
            let proven = if by == By::Claims { "; supposed, nothing was proven" } else { "" };
            let roles: Vec<String> = roles.iter().map(|role| format!("{} <- {}", clean(&role.role), claims(&role.from))).collect();
            let roles = if roles.is_empty() { "none".into() } else { roles.join(", ") };
            format!("as {user}{email}, by {word} of {}{proven}\nroles: {roles}", clean(provider))
        }
    }
}

fn rules(rules: &[RuleTrace], ink: Ink) -> String {
    let mut out = String::new();
    let width = rules.iter().map(|rule| rule.name.chars().count()).max().unwrap_or(0);
    let matters = |rule: &RuleTrace| matches!(rule.fate, Fate::Decides | Fate::Shadow);
    let mut rest = rules;
    while let Some(rule) = rest.first() {
        let dull = rest.iter().take_while(|other| !matters(other)).count();
        if dull <= RUN {
            for rule in &rest[..dull.max(1)] {
                line(rule, width, ink, &mut out);
            }
            rest = &rest[dull.max(1)..];
            continue;
        }
        // What stands next to the rule that decides is what one looks for.
        for rule in &rest[..RUN / 2] {
            line(rule, width, ink, &mut out);
        }
        let what = if rule.fate == Fate::NotReached { "not reached" } else { "for other requests" };
        out.push_str(&format!("  … {} more, {what}\n", dull - RUN));
        for rule in &rest[dull - RUN / 2..dull] {
            line(rule, width, ink, &mut out);
        }
        rest = &rest[dull..];
    }
    out
}

/// A rule and, where it was decided, its criteria.
fn line(rule: &RuleTrace, width: usize, ink: Ink, out: &mut String) {
    let arrow = if rule.fate == Fate::Decides { ">" } else { " " };
    let missed = || rule.criteria.iter().find(|criterion| criterion.mark == Mark::Miss).map(|criterion| clean(&criterion.wanted));
    let (fate, detail) = match rule.fate {
        Fate::Path => (ink.faint("other path  "), missed().unwrap_or_default()),
        Fate::Method => (ink.faint("other method"), missed().unwrap_or_default()),
        Fate::NotReached => (ink.faint("not reached "), clean(&rule.allow)),
        Fate::Shadow => (ink.faint("shadow      "), clean(&rule.allow)),
        Fate::Decides => (ink.bold("decides     "), clean(&rule.allow)),
    };
    out.push_str(&format!("{arrow} {:width$}  {fate}  {detail}\n", clean(&rule.name)));
    if !matches!(rule.fate, Fate::Decides | Fate::Shadow) {
        return;
    }
    let mut table = Table::new(width + 4);
    for Criterion { what, wanted, found, mark } in &rule.criteria {
        let found = found.as_deref().map_or_else(|| "?".to_owned(), clean);
        table.row([format!("{} {what}", ink.mark(*mark)), clean(wanted), found]);
    }
    out.push_str(&table.render());
    if let (Fate::Shadow, Some(verdict)) = (rule.fate, rule.verdict) {
        out.push_str(&format!("{}{}\n", " ".repeat(width + 4), ink.faint(&format!("would {}, and is passed over", would(verdict)))));
    }
}

fn would(verdict: Verdict) -> String {
    match verdict {
        Verdict::Allow { .. } => "allow".into(),
        Verdict::Challenge(Challenge::StepUp(_)) => "ask to sign in again".into(),
        Verdict::Challenge(Challenge::SignIn(_)) => "ask to sign in".into(),
        Verdict::Challenge(Challenge::Bearer(_)) => "ask for a token".into(),
        Verdict::Deny(reason) => format!("deny ({})", reason.label()),
        Verdict::Own => String::new(),
    }
}

/// The last lines: one look says what comes of it, and why.
fn outcome(answer: &Answer, ink: Ink) -> String {
    let explanation = &answer.explanation;
    let verdict = explanation.verdict;
    let by = explanation.rule.as_deref().map(|rule| format!(" by {}", clean(rule))).unwrap_or_default();
    let reason = verdict.reason().map(|reason| format!(": {reason}")).unwrap_or_default();
    let mut out = match verdict {
        Verdict::Allow { .. } => format!("{}{by}\n", ink.good("ALLOW")),
        Verdict::Challenge(Challenge::SignIn(_)) => format!("{}{by}{reason}\n", ink.bad("SIGN IN")),
        Verdict::Challenge(Challenge::Bearer(_)) => format!("{}{by}{reason}\n", ink.bad("TOKEN WANTED")),
        Verdict::Challenge(Challenge::StepUp(_)) => format!("{}{by}{reason}\n", ink.bad("STEP UP")),
        Verdict::Deny(_) => format!("{}{by}{reason}\n", ink.bad("DENY")),
        Verdict::Own => format!("{}\n", ink.good("DOORWARD ANSWERS")),
    };
    for criterion in missed(explanation.deciding()) {
        let found = criterion.found.as_deref().map(|found| format!(", found {}", clean(found))).unwrap_or_default();
        out.push_str(&format!("  {}: wanted {}{found}\n", criterion.what, clean(&criterion.wanted)));
    }
    if let Some(status) = answer.status {
        out.push_str(&format!("  a browser gets {}, a script {}\n", status.browser, status.script));
    }
    if let Verdict::Allow { authenticated, passes } = verdict {
        out.push_str(&told(&explanation.headers, authenticated, passes));
    }
    out
}

fn missed(rule: Option<&RuleTrace>) -> impl Iterator<Item = &Criterion> {
    rule.into_iter().flat_map(|rule| &rule.criteria).filter(|criterion| criterion.mark == Mark::Miss)
}

fn told(headers: &[HeaderTrace], authenticated: bool, passes: Passes) -> String {
    if !authenticated {
        return "  the app is told nothing of anybody\n".into();
    }
    let mut out = String::new();
    if headers.is_empty() {
        out.push_str("  no header is set for this route\n");
    } else {
        out.push_str("  the app is told\n");
        let mut table = Table::new(4);
        for header in headers {
            let value = header.value.as_deref().map_or_else(|| "(not set)".to_owned(), clean);
            table.row([header.name.clone(), value, lineage(header)]);
        }
        out.push_str(&table.render());
    }
    match passes {
        Passes::Nothing => {}
        Passes::Bearer => out.push_str("  and gets the bearer token that was presented\n"),
        Passes::OfSession => out.push_str("  and gets the session's access token, where one is kept\n"),
    }
    out
}

/// `{roles} <- groups <- id_token https://example.com/groups`
fn lineage(header: &HeaderTrace) -> String {
    let parts = header.from.iter().filter(|part| !part.claims.is_empty()).map(|part| claims(&part.claims));
    let parts: Vec<String> = parts.collect();
    let template = clean(&header.template);
    if parts.is_empty() { template } else { format!("{template} <- {}", parts.join("; ")) }
}

fn claims(claims: &[ClaimTrace]) -> String {
    let one = |claim: &ClaimTrace| {
        let from = claim.attribute.as_deref().map(|from| format!(" <- {}", clean(from))).unwrap_or_default();
        let absent = if claim.present { "" } else { " (absent)" };
        format!("{}{absent}{from}", clean(&claim.claim))
    };
    claims.iter().map(one).collect::<Vec<_>>().join(", ")
}
