//! A route's `rules`, and which of them can never match.

mod step_up;

use doorward_policy::access::{PathPattern, PathPrefix, Requirement, Rule};
use http::Method;

use super::cors::read_method;
use super::field::Field;
use crate::document::Span;
use crate::problem::{Finding, WarningCode};

/// Most rules of a route, and most paths in them: a request looks at them one after the other.
const LIMIT: usize = 1000;
const PATH_LIMIT: usize = 4000;

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
    let sound = find_shadows(&rules);
    (complete && sound).then(|| rules.into_iter().map(|read| read.rule).collect())
}

fn read_rule<'d>(item: &Field<'d>, name: String) -> Option<Read<'d>> {
    let map = item.map()?;
    let paths = map.or("path", Vec::new(), |field| super::field::all(field.items_or_one()?.iter().map(read_path)));
    let methods = map.or("methods", Vec::new(), |field| field.each(read_method));
    let allow = match map.optional("allow") {
        Some(field) => super::requirement::read(&field),
        None => map.missing("allow", "say who may: `allow: signed-in`"),
    };
    let step_up = map.maybe("step_up", |field| step_up::read(field, allow.as_ref()));
    map.finish(&[
        ("max_age", "write `step_up: { max_age: … }`"),
        ("acr_values", "write `step_up: { acr_values: [ … ] }`"),
        ("mfa", "write `step_up: { acr_values: [ … ] }`"),
        ("paths", "write `path`, which may be a list"),
        ("method", "write `methods: [ … ]`"),
        ("deny", "rules say who is allowed; `allow: nobody` closes a path"),
    ]);
    let paths = paths?;
    let (patterns, paths) = paths.into_iter().map(|(pattern, span, text)| (pattern, (span, text))).unzip();
    let rule = Rule { name: name.into(), paths: patterns, methods: methods?, allow: allow?, step_up: step_up? };
    Some(Read { rule, field: item.clone(), paths })
}

fn read_path(field: &Field<'_>) -> Option<(PathPattern, Span, String)> {
    let text = field.text()?;
    match PathPattern::parse(text) {
        Ok(pattern) => Some((pattern, field.span().clone(), text.to_owned())),
        Err(fault) => {
            let help = "`/admin` is that path, `/admin/**` it and all below, `/users/*/keys` any one segment between";
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

/// First match decides, so a rule behind a wider one is dead; behind a wider public one it is a hole.
///
/// False when there is a hole.
fn find_shadows(rules: &[Read<'_>]) -> bool {
    let everything = PathPattern::parse("/**").ok();
    let mut sound = true;
    for (index, later) in rules.iter().enumerate() {
        let earlier = &rules[..index];
        let wanted: Vec<&PathPattern> =
            if later.rule.paths.is_empty() { everything.iter().collect() } else { later.rule.paths.iter().collect() };
        let covers: Vec<Option<&Read<'_>>> =
            wanted.iter().map(|path| earlier.iter().find(|rule| covers(&rule.rule, &later.rule, path))).collect();
        let strict = !matches!(later.rule.allow, Requirement::Public);
        let public = |rule: &&Read<'_>| strict && matches!(rule.rule.allow, Requirement::Public);
        let hole = covers.iter().enumerate().find_map(|(path, rule)| Some((path, rule.filter(public)?)));
        if let Some((path, public)) = hole {
            report_hole(later, path, public);
            sound = false;
        } else if let Some(Some(first)) = covers.first().filter(|_| covers.iter().all(Option::is_some)) {
            report_dead(later, first);
        }
    }
    sound
}

/// Whether every request for `path` that `later` would match is matched by `earlier` before.
fn covers(earlier: &Rule, later: &Rule, path: &PathPattern) -> bool {
    let methods = earlier.methods.is_empty()
        || (!later.methods.is_empty()
            && later.methods.iter().all(|method| {
                // RFC 9110 §9.3.2: HEAD is GET without the content.
                earlier.methods.contains(method) || (*method == Method::HEAD && earlier.methods.contains(&Method::GET))
            }));
    methods && (earlier.paths.is_empty() || earlier.paths.iter().any(|own| own.covers(path)))
}

fn report_dead(later: &Read<'_>, earlier: &Read<'_>) {
    let message = format!("rule `{}` can never match: `{}` decides first", later.rule.name, earlier.rule.name);
    let finding = Finding::warning(WarningCode::DeadRule, message).at(&place(later)).key(&later.field.key);
    later
        .field
        .reading
        .report(finding.related(&place(earlier), "this matches all of it").help("put the narrower rule first, or take it away"));
}

fn report_hole(later: &Read<'_>, path: usize, earlier: &Read<'_>) {
    let here = later.paths.get(path).map_or_else(|| later.field.at().clone(), |(span, _)| span.clone());
    let message =
        format!("a public rule shadows a protected one: `{}` lets everybody in where `{}` would not", earlier.rule.name, later.rule.name);
    let finding = Finding::error(message).at(&here).key(&later.field.key);
    later.field.reading.report(
        finding.related(&place(earlier), "public, and first").help("the first rule that matches decides; put the protected one first"),
    );
}

/// The rule's first path, or its first key.
fn place(read: &Read<'_>) -> Span {
    read.paths.first().map_or_else(|| read.field.at().clone(), |(span, _)| span.clone())
}
