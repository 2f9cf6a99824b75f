//! What a parsed expression may say: names that exist, functions that end soon, patterns that are written there.
//!
//! Names are bound on the way, so that running it looks nothing up that could be looked up before.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, operators};

use super::{DEPTH_LIMIT, ExpressionFault, REGEX_LIMIT};

/// Variables that are read whole.
pub(super) const VALUES: [&str; 6] = ["user", "email", "roles", "permissions", "scopes", "provider"];
const CLAIMS: &str = "claims";
const PATH: &str = "path";
const REQUEST: &str = "request";
const REQUEST_PARTS: [&str; 3] = ["method", "host", "path"];
/// Functions called by themselves, and on something. None takes longer than its arguments are long.
const FUNCTIONS: [&str; 6] = ["size", "string", "int", "uint", "double", "bool"];
const METHODS: [&str; 4] = ["contains", "startsWith", "endsWith", "size"];
const OPERATORS: [&str; 18] = [
    operators::CONDITIONAL,
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::SUBSTRACT,
    operators::ADD,
    operators::MULTIPLY,
    operators::DIVIDE,
    operators::MODULO,
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::GREATER_EQUALS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::LESS,
    operators::NEGATE,
    operators::INDEX,
    operators::IN,
];

/// What an expression reads, found while binding.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) claims: Vec<Box<str>>,
    pub(super) parameters: Vec<Box<str>>,
    /// The whole path.
    pub(super) path: bool,
    pub(super) patterns: Vec<regex::Regex>,
}

/// Checks `expression`, and binds its names.
///
/// # Errors
/// [`ExpressionFault`]: the first thing that may not be said.
pub(super) fn bind(expression: &mut IdedExpr, parameters: &[&str]) -> Result<Names, ExpressionFault> {
    let mut binding = Binding { known: parameters, names: Names::default(), scope: Vec::new(), within: 0 };
    binding.walk(expression, 0)?;
    if never_boolean(&expression.expr) {
        return Err(ExpressionFault::NotBoolean);
    }
    let mut names = binding.names;
    for list in [&mut names.claims, &mut names.parameters] {
        list.sort_unstable();
        list.dedup();
    }
    Ok(names)
}

struct Binding<'p> {
    known: &'p [&'p str],
    names: Names,
    /// Variables of the comprehension we are in.
    scope: Vec<String>,
    within: usize,
}

impl Binding<'_> {
    fn walk(&mut self, at: &mut IdedExpr, depth: usize) -> Result<(), ExpressionFault> {
        if depth > DEPTH_LIMIT {
            return Err(ExpressionFault::TooDeep);
        }
        if let Some(bound) = self.member(&at.expr)? {
            at.expr = bound;
            return Ok(());
        }
        let next = depth + 1;
        match &mut at.expr {
            Expr::Literal(LiteralValue::Bytes(_)) => Err(ExpressionFault::Function("b\"…\"".into())),
            Expr::Literal(_) => Ok(()),
            Expr::Unspecified => Err(ExpressionFault::syntax("something is missing")),
            Expr::Ident(name) => self.variable(name),
            // `has(claims.x)` is bound above; deeper ones and `has(claims["x"].y)` come here.
            Expr::Select(select) => self.walk(&mut select.operand, next),
            Expr::Call(call) => self.call(call, next),
            Expr::List(list) => list.elements.iter_mut().try_for_each(|element| self.walk(element, next)),
            Expr::Map(map) => map.entries.iter_mut().try_for_each(|entry| match &mut entry.expr {
                EntryExpr::MapEntry(entry) => {
                    self.walk(&mut entry.key, next)?;
                    self.walk(&mut entry.value, next)
                }
                EntryExpr::StructField(field) => Err(ExpressionFault::Function(field.field.clone())),
            }),
            Expr::Struct(kind) => Err(ExpressionFault::Function(kind.type_name.clone())),
            Expr::Comprehension(loops) => self.comprehension(loops, next),
        }
    }

    fn variable(&self, name: &str) -> Result<(), ExpressionFault> {
        match name {
            CLAIMS => Err(ExpressionFault::Whole(CLAIMS)),
            PATH => Err(ExpressionFault::Whole(PATH)),
            REQUEST => Err(ExpressionFault::Whole(REQUEST)),
            _ if VALUES.contains(&name) || self.scope.iter().any(|own| own == name) => Ok(()),
            _ => Err(ExpressionFault::Variable(name.to_owned())),
        }
    }

    /// `claims.x`, `path.x` and `request.x`, in whatever spelling. Only claims stay an access to a map.
    fn member(&mut self, at: &Expr) -> Result<Option<Expr>, ExpressionFault> {
        let (variable, name, test) = match at {
            Expr::Select(select) => (&select.operand.expr, select.field.as_str(), select.test),
            Expr::Call(call) if call.func_name == operators::INDEX => match call.args.as_slice() {
                [of, key] => match text(&key.expr) {
                    Some(name) => (&of.expr, name, false),
                    None => return Ok(None),
                },
                _ => return Ok(None),
            },
            Expr::Call(call) if call.func_name == operators::IN => match call.args.as_slice() {
                [key, of] => match text(&key.expr) {
                    Some(name) => (&of.expr, name, true),
                    None => return Ok(None),
                },
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        let Expr::Ident(variable) = variable else { return Ok(None) };
        let bound = match variable.as_str() {
            CLAIMS => {
                self.names.claims.push(name.into());
                return Ok(Some(at.clone()));
            }
            PATH if self.known.contains(&name) => {
                self.names.parameters.push(name.into());
                format!("{PATH}.{name}")
            }
            PATH => return Err(ExpressionFault::Parameter(name.to_owned())),
            REQUEST if REQUEST_PARTS.contains(&name) => {
                self.names.path |= name == "path";
                format!("{REQUEST}.{name}")
            }
            REQUEST => return Err(ExpressionFault::Request(name.to_owned())),
            _ => return Ok(None),
        };
        // What is checked here is always there.
        Ok(Some(if test { Expr::Literal(LiteralValue::Boolean(true.into())) } else { Expr::Ident(bound) }))
    }

    fn call(&mut self, call: &mut CallExpr, depth: usize) -> Result<(), ExpressionFault> {
        let name = call.func_name.as_str();
        if name == "matches" {
            return self.matches(call, depth);
        }
        // What the parser itself writes into a comprehension.
        let internal = self.within > 0 && name == operators::NOT_STRICTLY_FALSE;
        let known = match &call.target {
            Some(_) => METHODS.contains(&name),
            None => internal || FUNCTIONS.contains(&name) || OPERATORS.contains(&name),
        };
        if !known {
            return Err(ExpressionFault::Function(name.to_owned()));
        }
        if let Some(target) = &mut call.target {
            self.walk(target, depth)?;
        }
        call.args.iter_mut().try_for_each(|argument| self.walk(argument, depth))
    }

    /// `text.matches("…")` or `matches(text, "…")`: the pattern is compiled here, and never again.
    fn matches(&mut self, call: &mut CallExpr, depth: usize) -> Result<(), ExpressionFault> {
        if call.target.is_none() && call.args.len() == 2 {
            call.target = Some(Box::new(call.args.remove(0)));
        }
        let (Some(target), [pattern]) = (&mut call.target, call.args.as_mut_slice()) else { return Err(ExpressionFault::Pattern) };
        let written = text(&pattern.expr).ok_or(ExpressionFault::Pattern)?;
        let compiled = regex::RegexBuilder::new(written).size_limit(REGEX_LIMIT).dfa_size_limit(REGEX_LIMIT).build();
        let compiled = compiled.map_err(|_| ExpressionFault::Regex(written.to_owned()))?;
        pattern.expr = Expr::Ident(format!("@pattern{}", self.names.patterns.len()));
        self.names.patterns.push(compiled);
        self.walk(target, depth)
    }

    fn comprehension(&mut self, loops: &mut ComprehensionExpr, depth: usize) -> Result<(), ExpressionFault> {
        // What is gone through may itself be the outcome of one before: one after the other, not one in the other.
        self.walk(&mut loops.iter_range, depth)?;
        if self.within > 0 {
            return Err(ExpressionFault::NestedComprehension);
        }
        let variables = std::iter::once(&loops.iter_var).chain(&loops.iter_var2);
        for name in variables {
            // A name of ours that means something else within would be read wrongly by somebody.
            if VALUES.contains(&name.as_str()) || [CLAIMS, PATH, REQUEST].contains(&name.as_str()) {
                return Err(ExpressionFault::Variable(name.clone()));
            }
        }
        if collects_others(loops) {
            return Err(ExpressionFault::Function("map".into()));
        }
        self.scope.extend([loops.iter_var.clone(), loops.accu_var.clone()]);
        self.scope.extend(loops.iter_var2.clone());
        self.within += 1;
        for part in [&mut loops.accu_init, &mut loops.loop_cond, &mut loops.loop_step, &mut loops.result] {
            self.walk(part, depth)?;
        }
        self.within -= 1;
        self.scope.clear();
        Ok(())
    }
}

/// `map` makes new values, as many and as large as an expression says: `filter` only keeps what is there.
fn collects_others(loops: &ComprehensionExpr) -> bool {
    if !matches!(&loops.accu_init.expr, Expr::List(_)) {
        return false;
    }
    let added = |step: &Expr| match step {
        Expr::Call(add) if add.func_name == operators::ADD => match add.args.as_slice() {
            [_, IdedExpr { expr: Expr::List(list), .. }] => {
                matches!(list.elements.as_slice(), [IdedExpr { expr: Expr::Ident(name), .. }] if *name == loops.iter_var)
            }
            _ => false,
        },
        _ => false,
    };
    let kept = match &loops.loop_step.expr {
        Expr::Call(choice) if choice.func_name == operators::CONDITIONAL => choice.args.get(1).is_some_and(|step| added(&step.expr)),
        step => added(step),
    };
    !kept
}

fn text(at: &Expr) -> Option<&str> {
    match at {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}

/// Whether its outcome is a number, a text or a list for certain.
fn never_boolean(at: &Expr) -> bool {
    match at {
        Expr::Literal(literal) => !matches!(literal, LiteralValue::Boolean(_)),
        Expr::List(_) | Expr::Map(_) => true,
        Expr::Ident(name) => name.contains('.') || VALUES.contains(&name.as_str()),
        Expr::Call(call) => {
            let name = call.func_name.as_str();
            let arithmetic =
                [operators::ADD, operators::SUBSTRACT, operators::MULTIPLY, operators::DIVIDE, operators::MODULO, operators::NEGATE];
            arithmetic.contains(&name) || (FUNCTIONS.contains(&name) && name != "bool")
        }
        _ => false,
    }
}
