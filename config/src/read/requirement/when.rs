//! `when`: an expression, compiled where the rule is read.

mod patterns;

use doorward_policy::access::PathPattern;
use doorward_policy::expression::{Expression, ExpressionFault};

use super::super::field::Field;
use super::super::word;
use crate::problem::Finding;

const VARIABLES: &[&str] = &["claims", "user", "email", "roles", "permissions", "scopes", "provider", "path", "request"];
/// Only to guess at what was meant.
const FUNCTIONS: &[&str] = &[
    "size",
    "has",
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "all",
    "exists",
    "exists_one",
    "map",
    "filter",
    "int",
    "double",
    "string",
    "min",
    "max",
];
const REQUEST: &[&str] = &["method", "host", "path"];

/// `paths`: the rule's; `None` where they have a mistake of their own.
pub(super) fn read(field: &Field<'_>, paths: Option<&[PathPattern]>) -> Option<Expression> {
    let text = field.any_text()?;
    if text.trim().is_empty() {
        return field.refuse("the expression is empty", "say when somebody may: `\"claims.org_id == path.tenant\"`");
    }
    let paths = paths?;
    let names = common_names(paths);
    match Expression::compile(text, &names) {
        Ok(expression) => {
            patterns::warn_about_loose(field, text);
            Some(expression)
        }
        Err(fault) => report(field, text, &fault, paths, &names),
    }
}

/// The names that every pattern of the rule has: whichever of them matches, each is there.
fn common_names(paths: &[PathPattern]) -> Vec<&str> {
    let Some((first, others)) = paths.split_first() else { return Vec::new() };
    first.parameters().filter(|name| others.iter().all(|other| other.parameters().any(|own| own == *name))).collect()
}

fn report(field: &Field<'_>, text: &str, fault: &ExpressionFault, paths: &[PathPattern], names: &[&str]) -> Option<Expression> {
    let near =
        |written: &str, known: &[&'static str]| word::nearest(written, known.iter().copied()).map(|near| format!("did you mean `{near}`?"));
    let at = |part: &str| field.part(word_in(text, part));
    let error = |message: String| Finding::error(message).key(&field.key);
    let finding = match fault {
        ExpressionFault::Variable(name) => {
            let finding = error(format!("there is no `{name}` in an expression")).at(&at(name));
            match near(name, VARIABLES) {
                Some(near) => finding.label(near),
                None => finding.help(format!("known are {}; a claim is `claims.{name}`", word::list(VARIABLES).replace(" or ", " and "))),
            }
        }
        ExpressionFault::Function(name) => {
            let finding = error(fault.to_string()).at(&at(name));
            match near(name, FUNCTIONS) {
                Some(near) => finding.label(near),
                None => {
                    finding.help("the functions are those of the Common Expression Language, such as `size`, `startsWith` and `exists`")
                }
            }
        }
        ExpressionFault::Parameter(name) => {
            let everywhere = "whichever path matches, the expression must find it";
            let some = paths.iter().any(|path| path.parameters().any(|own| own == name.as_str()));
            let help = match (some, names) {
                (true, _) => format!("{everywhere}: write `{{{name}}}` in all of them, or make two rules"),
                (false, []) => format!("write `{{{name}}}` where it stands in the `path` of this rule: `/tenants/{{{name}}}/**`"),
                (false, names) => format!("they name {}", word::list(names).replace(" or ", " and ")),
            };
            let message = if some { format!("not every `path` of this rule names `{{{name}}}`") } else { fault.to_string() };
            let finding = error(message).at(&at(name));
            match word::nearest(name, names.iter().copied()).filter(|_| !some) {
                Some(near) => finding.label(format!("did you mean `{near}`?")),
                None => finding.help(help),
            }
        }
        ExpressionFault::Request(name) => {
            let finding = error(fault.to_string()).at(&at(name));
            match near(name, REQUEST) {
                Some(near) => finding.label(near),
                None => finding.help("a header or a query is the client's to choose, and says nothing about who asks"),
            }
        }
        fault => {
            let at = match fault {
                ExpressionFault::Syntax { at: Some(at), .. } => Some(*at..next_boundary(text, *at)),
                _ => None,
            };
            let said = fault.to_string();
            let said = said.strip_prefix("Syntax error: ").unwrap_or(&said).replace("'<EOF>'", "<EOF>").replace("<EOF>", "the end");
            let help = at.as_ref().and_then(|at| spelling(&text[at.start..])).unwrap_or_else(|| help_for(fault));
            error(format!("the expression does not compile: {said}")).at(&field.part(at)).help(help)
        }
    };
    field.reading.report(finding);
    None
}

/// What other languages write, and this one does not.
fn spelling(rest: &str) -> Option<&'static str> {
    let word: String = rest.chars().take_while(char::is_ascii_alphabetic).collect();
    match word.to_ascii_lowercase().as_str() {
        "and" => Some("write `&&`"),
        "or" => Some("write `||`"),
        "not" => Some("write `!`, as in `!(user in claims.blocked)`"),
        _ if rest.starts_with('=') => Some("write `==` to compare"),
        _ => None,
    }
}

fn help_for(fault: &ExpressionFault) -> &'static str {
    match fault {
        ExpressionFault::TooLong | ExpressionFault::TooDeep => "say it in several rules, or give a role for it in `identity.role_mapping`",
        ExpressionFault::Whole(_) => "name what is looked at, so that it is known what a session must keep",
        ExpressionFault::NestedComprehension => "it would cost too much for each request; give a role for it in `identity.role_mapping`",
        ExpressionFault::Pattern => "a pattern from a token is the user's to choose; write it as a text",
        ExpressionFault::Regex(_) => "there is no look-around and no back-reference, and a shorter one costs less",
        ExpressionFault::NotBoolean => "compare it with something: `claims.level >= 3`",
        _ => "an expression of the Common Expression Language: `claims.org_id == path.tenant && \"editor\" in roles`",
    }
}

/// Where a name stands, as a whole word.
fn word_in(text: &str, name: &str) -> Option<std::ops::Range<usize>> {
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
    text.match_indices(name)
        .map(|(at, _)| at..at + name.len())
        .find(|range| !text[..range.start].ends_with(is_part) && !text[range.end..].starts_with(is_part))
}

/// The letter at a byte, or nothing at the end.
fn next_boundary(text: &str, at: usize) -> usize {
    text.get(at..).and_then(|rest| rest.chars().next()).map_or(at, |letter| at + letter.len_utf8())
}
