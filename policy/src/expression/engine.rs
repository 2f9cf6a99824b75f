//! The one file that knows which engine runs expressions.

use std::any::Any;
use std::borrow::Cow;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};

use cel::common::types::{CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt, Type};
use cel::common::value::{CowVal, StaticVal, Val};
use cel::context::VariableResolver;
use cel::parser::PrattParser;
use cel::{Context, Env, IdedExpr, Value};
use serde_json::{Map, Value as Json};

use super::bind::{Names, VALUES, bind};
use super::{DEPTH_LIMIT, ExpressionFault, Facts, Program, VALUE_LIMIT};
use crate::identity::{self, Identity};
use crate::request::decode_segment;

/// For parsing, which goes as deep as the text has brackets, in whatever build.
const STACK: usize = 64 * 1024 * 1024;
const GAVE_UP: &str = "the parser gave up";

/// Parses and binds.
///
/// # Errors
/// [`ExpressionFault`].
pub(super) fn compile(text: &str, parameters: &[&str]) -> Result<(Arc<dyn Program>, Names), ExpressionFault> {
    // On a stack of its own: what is refused as too deep was parsed, and is dropped, there.
    let (tree, mut names) = std::thread::scope(|scope| {
        let work = || parse(text, parameters);
        let thread = std::thread::Builder::new().name("expression".into()).stack_size(STACK).spawn_scoped(scope, work);
        let thread = thread.map_err(|_| ExpressionFault::syntax("no thread to read it on"))?;
        thread.join().unwrap_or_else(|_| Err(ExpressionFault::syntax(GAVE_UP)))
    })?;
    let patterns = std::mem::take(&mut names.patterns).into_iter().map(Pattern).collect();
    Ok((Arc::new(Compiled { tree, patterns }), names))
}

fn parse(text: &str, parameters: &[&str]) -> Result<(IdedExpr, Names), ExpressionFault> {
    let parser = PrattParser::new().max_recursion_depth(u16::try_from(DEPTH_LIMIT).unwrap_or(u16::MAX)).error_reporting_limit(1);
    let mut tree = parser.parse(text).map_err(|errors| {
        let Some(first) = errors.errors.first() else { return ExpressionFault::syntax(GAVE_UP) };
        let message = first.msg.replace('\n', " ");
        if message.contains("recursion limit") {
            ExpressionFault::TooDeep
        } else {
            ExpressionFault::Syntax { message, at: offset(text, first.pos) }
        }
    })?;
    let names = bind(&mut tree, parameters)?;
    Ok((tree, names))
}

/// Lines and columns are counted from 1.
fn offset(text: &str, (line, column): (isize, isize)) -> Option<usize> {
    let (line, column) = (usize::try_from(line).ok()?.checked_sub(1)?, usize::try_from(column).ok()?.checked_sub(1)?);
    let before: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    Some(before.saturating_add(column)).filter(|at| text.is_char_boundary(*at))
}

struct Compiled {
    tree: IdedExpr,
    patterns: Vec<Pattern>,
}

impl Program for Compiled {
    fn run(&self, facts: &Facts<'_>) -> Result<bool, String> {
        let known = facts.identity.facts().of(facts.identity).ok_or("what is known of them is more than an expression looks at")?;
        let scope = Scope { facts, known, patterns: &self.patterns };
        // The engine is somebody else's: whatever it does with odd values, it does not take the connection with it.
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let mut context = Context::with_env(LIBRARY.clone());
            context.set_variable_resolver(&scope);
            let value = Value::resolve_val(&self.tree, &context).map_err(|fault| fault.to_string())?;
            let truth = value.downcast_ref::<CelBool>().map(|truth| *truth.inner());
            truth.ok_or_else(|| format!("neither true nor false, but of type {}", value.get_type().name()))
        }));
        outcome.unwrap_or_else(|_| Err("the engine gave up".to_owned()))
    }
}

/// The functions, once for the process.
static LIBRARY: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut library = Env::default().with_optional_support(false).with_stdlib();
    let found = cel::add_member_overload!(library, fn is_match: (CelString, Pattern) -> CelBool, name = "matches", id = "matches_pattern");
    // Without it every `matches` is an error, and so a no.
    debug_assert!(found.is_ok());
    Arc::new(library)
});

fn is_match(text: &CelString<'_>, pattern: &Pattern) -> CelBool {
    CelBool::from(pattern.0.is_match(text.inner()))
}

/// A compiled pattern as a value.
#[derive(Debug, Clone)]
struct Pattern(regex::Regex);

static PATTERN: Type = Type::new_unspecified_type("pattern");

impl Val for Pattern {
    fn get_type(&self) -> &Type {
        &PATTERN
    }

    fn cel_type() -> &'static Type {
        &PATTERN
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Pattern {}

/// What names mean in one run. Binding has made `path.tenant` and `request.host` names of their own.
struct Scope<'s> {
    facts: &'s Facts<'s>,
    known: &'s Known,
    patterns: &'s [Pattern],
}

impl VariableResolver for Scope<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        let target = self.facts.target;
        let text = |text: &'b str| Some(CowVal::owned(CelString::from(text)));
        match variable {
            "claims" => Some(CowVal::Borrowed(&self.known.claims)),
            "request.method" => text(target.method().as_str()),
            "request.host" => text(target.host().name()),
            // As rules compare it: `/%40admin` is `/@admin` to everybody who reads it.
            "request.path" => Some(CowVal::owned(match decode_segment(target.path().as_str()) {
                Cow::Borrowed(path) => CelString::from(path),
                Cow::Owned(path) => CelString::from(path),
            })),
            _ => {
                if let Some(at) = VALUES.iter().position(|name| *name == variable) {
                    return Some(CowVal::Borrowed(self.known.values[at].as_deref()?));
                }
                if let Some(number) = variable.strip_prefix("@pattern") {
                    return self.patterns.get(number.parse::<usize>().ok()?).map(|pattern| CowVal::Borrowed(pattern as &dyn Val));
                }
                text(self.facts.parameters.get(variable.strip_prefix("path.")?)?)
            }
        }
    }
}

/// An identity in the engine's own values.
pub(super) struct Known {
    claims: CelMap<'static>,
    /// As in [`VALUES`]. What is not known is not there: asking for it is an error, and so a no.
    values: [Option<Box<dyn Val>>; VALUES.len()],
}

impl Known {
    /// `None`: more than [`VALUE_LIMIT`]. Not a part of it: what is missing could be what a rule asks not to be there.
    pub(super) fn read(identity: &Identity) -> Option<Self> {
        let claims = identity.claims();
        let weight = claims.iter().fold(0, |sum: usize, (name, value)| sum.saturating_add(text_weight(name)).saturating_add(weight(value)));
        if weight > VALUE_LIMIT {
            return None;
        }
        let text = |text: &str| -> Box<dyn Val> { Box::new(CelString::from(text.to_owned())) };
        let list = |names: identity::Names<'_>| -> Box<dyn Val> { Box::new(CelList::from(names.iter().map(text).collect::<Vec<_>>())) };
        let values = VALUES.map(|name| match name {
            "user" => identity.user().map(text),
            // Only an address that the provider vouches for.
            "email" => identity.email().filter(|_| identity.email_is_verified()).map(text),
            "roles" => Some(list(identity.roles())),
            "permissions" => Some(list(identity.permissions())),
            "scopes" => Some(list(identity.scopes())),
            "provider" => Some(text(identity.provider())),
            _ => None,
        });
        Some(Self { claims: map(claims), values })
    }
}

/// A value counts as one, and each 16 bytes of its text as one more.
fn weight(json: &Json) -> usize {
    let sum = |weights: &mut dyn Iterator<Item = usize>| weights.fold(1, usize::saturating_add);
    match json {
        Json::Null | Json::Bool(_) | Json::Number(_) => 1,
        Json::String(text) => text_weight(text),
        Json::Array(items) => sum(&mut items.iter().map(weight)),
        Json::Object(members) => sum(&mut members.iter().map(|(name, value)| text_weight(name).saturating_add(weight(value)))),
    }
}

fn text_weight(text: &str) -> usize {
    1 + text.len() / 16
}

fn map(members: &Map<String, Json>) -> CelMap<'static> {
    CelMap::from(members.iter().map(|(name, value)| (CelMapKey::from(name.clone()), val(value))).collect::<HashMap<_, _>>())
}

/// Whole numbers are `int`, or `uint` beyond it; the others are `double`.
fn val(json: &Json) -> Box<dyn Val> {
    match json {
        Json::Null => Box::new(CelNull),
        Json::Bool(truth) => Box::new(CelBool::from(*truth)),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Box::new(CelInt::from(number)),
            (None, Some(number)) => Box::new(CelUInt::from(number)),
            (None, None) => Box::new(CelDouble::from(number.as_f64().unwrap_or(f64::NAN))),
        },
        Json::String(text) => Box::new(CelString::from(text.clone())),
        Json::Array(items) => Box::new(CelList::from(items.iter().map(val).collect::<Vec<_>>())),
        Json::Object(members) => Box::new(map(members)),
    }
}
