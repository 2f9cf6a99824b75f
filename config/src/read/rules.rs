//! A route's `rules`, and which of them can never match.

mod order;
mod step_up;

use doorward_policy::access::{Enforce, PathPattern, PathPrefix, Rule};

use super::cors::read_method;
use super::field::Field;
use crate::document::Span;
use crate::problem::{Finding, WarningCode};

/// Most rules of a route, and most paths in them: a request looks at them one after the other.
const LIMIT: usize = 1000;
const PATH_LIMIT: usize = 4000;
/// Most rules of a route that are only tried.
const SHADOW_LIMIT: usize = 100;

/// A rule and where it stands.
struct Read<'d> {
    rule: Rule,
    field: Field<'d>,
    /// One for each of the rule's paths, as they are written.
    paths: Vec<(Span, String)>,
}

/// `prefix` is the route's path: a rule for another place can never match.
pub(super) fn read(field: &Field<'_>, route: &str, prefix: Option<&PathPrefix>) -> Option<Vec<Rule>> {
    let items = field.any_items()?;
    if items.is_empty() {
        return field.refuse("no rule means that everybody is refused", "for example `rules: [{ allow: signed-in }]`");
    }
    if items.len() > LIMIT {
        return field.refuse(format!("more than {LIMIT} rules"), "put several paths into one rule, or make several routes");
    }
    let read: Vec<Option<Read<'_>>> =
        items.iter().enumerate().map(|(index, item)| read_rule(item, format!("{route}/{}", index + 1))).collect();
    let complete = read.iter().all(Option::is_some);
    let rules: Vec<Read<'_>> = read.into_iter().flatten().collect();
    if rules.iter().map(|read| read.paths.len()).sum::<usize>() > PATH_LIMIT {
        return field.refuse(format!("more than {PATH_LIMIT} paths"), "use `*` and `**`, or make several routes");
    }
    if let Some(prefix) = prefix {
        rules.iter().for_each(|rule| warn_about_other_places(rule, prefix));
    }
    check_shadow_rules(field, &rules, complete)?;
    let sound = order::check(&rules);
    (complete && sound).then(|| rules.into_iter().map(|read| read.rule).collect())
}

/// All of those that cover a path are decided for each request of it.
fn check_shadow_rules(field: &Field<'_>, rules: &[Read<'_>], complete: bool) -> Option<()> {
    let shadows = rules.iter().filter(|read| read.rule.enforce == Enforce::Log).count();
    if shadows > SHADOW_LIMIT {
        return field.refuse(
            format!("more than {SHADOW_LIMIT} rules with `enforce: log`"),
            "try a few at a time, and enforce those that are right",
        );
    }
    if complete && shadows == rules.len() {
        return field
            .refuse("every rule has `enforce: log`, so none decides and everybody is refused", "add the rule that decides meanwhile");
    }
    Some(())
}

fn read_rule<'d>(item: &Field<'d>, name: String) -> Option<Read<'d>> {
    let map = item.map()?;
    let paths = map.or("path", Vec::new(), |field| super::field::all(field.items_or_one()?.iter().map(read_path)));
    let methods = map.or("methods", Vec::new(), |field| field.each(read_method));
    let allow = match map.optional("allow") {
        Some(field) => {
            let patterns: Option<Vec<PathPattern>> =
                paths.as_ref().map(|paths| paths.iter().map(|(pattern, ..)| pattern.clone()).collect());
            super::requirement::read(&field, patterns.as_deref())
        }
        None => map.missing("allow", "say who may: `allow: signed-in`"),
    };
    let step_up = map.maybe("step_up", |field| step_up::read(field, allow.as_ref()));
    let enforce = map.or("enforce", Enforce::Deny, |field| field.one_of(&[("deny", Enforce::Deny), ("log", Enforce::Log)]));
    let known = map.finish(&[
        ("max_age", "write `step_up: { max_age: … }`"),
        ("acr_values", "write `step_up: { acr_values: [ … ] }`"),
        ("mfa", "write `step_up: { acr_values: [ … ] }`"),
        ("paths", "write `path`, which may be a list"),
        ("method", "write `methods: [ … ]`"),
        ("shadow", "write `enforce: log`"),
        ("dry_run", "write `enforce: log`"),
        ("time", "write `allow: { time: … }`"),
        ("when", "write `allow: { when: … }`"),
        ("deny", "rules say who is allowed; `allow: nobody` closes a path"),
    ]);
    let paths = paths?;
    // `paths: /x` would be taken for a rule for every path, and all that follows for shadowed.
    if !known {
        return None;
    }
    let (patterns, paths) = paths.into_iter().map(|(pattern, span, text)| (pattern, (span, text))).unzip();
    let rule = Rule { name: name.into(), paths: patterns, methods: methods?, allow: allow?, step_up: step_up?, enforce: enforce? };
    Some(Read { rule, field: item.clone(), paths })
}

fn read_path(field: &Field<'_>) -> Option<(PathPattern, Span, String)> {
    let text = field.text()?;
    match PathPattern::parse(text) {
        Ok(pattern) => Some((pattern, field.span().clone(), text.to_owned())),
        Err(fault) => {
            let help =
                "`/admin` is that path, `/admin/**` it and all below, `/users/*/keys` any one segment between; `/users/{id}/keys` names it";
            field.refuse(format!("`{}`: {fault}", field.shown()), help)
        }
    }
}

/// Rules see the path that the client sent, so one outside of the route's own path is never asked.
fn warn_about_other_places(read: &Read<'_>, prefix: &PathPrefix) {
    for (span, text) in read.paths.iter().filter(|(_, text)| !can_meet(text, prefix)) {
        let finding = Finding::warning(WarningCode::DeadRule, format!("`{text}` can never match: the route begins at `{prefix}`")).at(span);
        read.field.reading.report(finding.key(&read.field.key).help("rules see the path that the client sent, before any `rewrite`"));
    }
}

/// Whether some path fits the pattern and lies at or below the prefix.
fn can_meet(pattern: &str, prefix: &PathPrefix) -> bool {
    let trimmed = pattern.trim_start_matches('/');
    let (segments, below) = match trimmed.strip_suffix("**") {
        Some(rest) => (rest.trim_end_matches('/'), true),
        None => (trimmed.trim_end_matches('/'), false),
    };
    let mut own = segments.split('/').filter(|segment| !segment.is_empty());
    for wanted in prefix.segments() {
        match own.next() {
            None => return below,
            Some("*") => {}
            Some(segment) if segment.starts_with('{') => {}
            Some(segment) => {
                let same = PathPrefix::parse(&format!("/{segment}")).is_ok_and(|parsed| parsed.segments() == std::slice::from_ref(wanted));
                if !same {
                    return false;
                }
            }
        }
    }
    true
}
