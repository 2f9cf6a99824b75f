//! First match decides, so a rule behind a wider one is dead; behind a wider public one it is a hole.

use doorward_policy::access::{Enforce, PathPattern, Requirement, Rule};
use http::Method;

use super::super::word;
use super::Read;
use crate::document::Span;
use crate::problem::{Finding, WarningCode};

/// False when there is a hole.
pub(super) fn check(rules: &[Read<'_>]) -> bool {
    let everything = PathPattern::parse("/**").ok();
    let mut sound = true;
    for (index, later) in rules.iter().enumerate() {
        // A rule that is only tried stands in nobody's way.
        let earlier = || rules[..index].iter().filter(|read| read.rule.enforce == Enforce::Deny);
        let wanted: Vec<&PathPattern> =
            if later.rule.paths.is_empty() { everything.iter().collect() } else { later.rule.paths.iter().collect() };
        let strict = later.rule.enforce == Enforce::Deny && !lets_everybody_in(&later.rule);
        // Each method by itself: a public rule may take only some of them away.
        let methods = || later.rule.methods.chunks(1).chain(later.rule.methods.is_empty().then_some(&[][..]));
        let first = |path: &PathPattern, methods: &[Method]| {
            earlier().find(|read| covers_methods(&read.rule, methods) && covers_path(&read.rule, path))
        };
        let public = |path: &PathPattern| methods().find_map(|method| first(path, method).filter(|read| lets_everybody_in(&read.rule)));
        let hole = wanted.iter().enumerate().filter(|_| strict).find_map(|(path, pattern)| public(pattern).map(|public| (path, public)));
        if let Some((path, public)) = hole {
            report_hole(later, path, public);
            sound = false;
        } else if let Some(first) = first_of_all(&wanted, &later.rule.methods, earlier) {
            report_dead(later, &first);
        }
    }
    sound
}

fn lets_everybody_in(rule: &Rule) -> bool {
    matches!(rule.allow, Requirement::Public | Requirement::Optional)
}

/// The rules that decide before, when nothing is left over: each path and method may have one of its own.
fn first_of_all<'r, 'd: 'r, I>(wanted: &[&PathPattern], methods: &[Method], earlier: impl Fn() -> I) -> Option<Vec<&'r Read<'d>>>
where
    I: Iterator<Item = &'r Read<'d>>,
{
    let mut found: Vec<&Read<'_>> = Vec::new();
    for path in wanted {
        let first = |methods: &[Method]| earlier().find(|read| covers_methods(&read.rule, methods) && covers_path(&read.rule, path));
        let firsts: Vec<&Read<'_>> = match first(methods) {
            Some(one) => vec![one],
            None if methods.is_empty() => return None,
            None => methods.iter().map(|method| first(std::slice::from_ref(method))).collect::<Option<_>>()?,
        };
        for read in firsts {
            if found.iter().all(|other| other.rule.name != read.rule.name) {
                found.push(read);
            }
        }
    }
    Some(found)
}

fn covers_methods(earlier: &Rule, methods: &[Method]) -> bool {
    earlier.methods.is_empty()
        || (!methods.is_empty()
            && methods.iter().all(|method| {
                // RFC 9110 §9.3.2: HEAD is GET without the content.
                earlier.methods.contains(method) || (*method == Method::HEAD && earlier.methods.contains(&Method::GET))
            }))
}

fn covers_path(earlier: &Rule, path: &PathPattern) -> bool {
    earlier.paths.is_empty() || earlier.paths.iter().any(|own| own.covers(path))
}

fn report_dead(later: &Read<'_>, earlier: &[&Read<'_>]) {
    let Some(first) = earlier.first() else { return };
    let names: Vec<&str> = earlier.iter().map(|read| &*read.rule.name).collect();
    let decide = match names.as_slice() {
        [one] => format!("`{one}` decides first"),
        several => format!("{} decide first", word::list(several).replace(" or ", " and ")),
    };
    let message = match later.rule.enforce {
        Enforce::Deny => format!("rule `{}` can never match: {decide}", later.rule.name),
        Enforce::Log => format!("rule `{}` is never tried: {decide}", later.rule.name),
    };
    let finding = Finding::warning(WarningCode::DeadRule, message).at(&place(later)).key(&later.field.key);
    let what = if names.len() == 1 { "this matches all of it" } else { "this matches a part of it" };
    later.field.reading.report(finding.related(&place(first), what).help("put the narrower rule first, or take it away"));
}

fn report_hole(later: &Read<'_>, path: usize, earlier: &Read<'_>) {
    let here = later.paths.get(path).map_or_else(|| later.field.at().clone(), |(span, _)| span.clone());
    let (article, kind) = match earlier.rule.allow {
        Requirement::Optional => ("an", "optional"),
        _ => ("a", "public"),
    };
    let message = format!(
        "{article} {kind} rule shadows a protected one: `{}` lets everybody in where `{}` would not",
        earlier.rule.name, later.rule.name
    );
    let finding = Finding::error(message).at(&here).key(&later.field.key);
    later.field.reading.report(
        finding
            .related(&place(earlier), format!("{kind}, and first"))
            .help("the first rule that matches decides; put the protected one first"),
    );
}

/// The rule's first path, or its first key.
fn place(read: &Read<'_>) -> Span {
    read.paths.first().map_or_else(|| read.field.at().clone(), |(span, _)| span.clone())
}
