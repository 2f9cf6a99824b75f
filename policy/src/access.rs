//! Which rule applies, what it demands, and the decision. No match is a refusal.
//!
//! A rule matches by path and method; the first that matches decides by its `allow`. A failed `allow` refuses or
//! challenges; it never falls through to the next rule. Only a shadow (`enforce: log`) is passed over, whatever it says.

mod decision;
pub mod explain;
mod filter;
mod lack;
mod pattern;
mod requirement;
mod rule_index;
mod several;
mod step_up;
mod table;
mod time_window;

pub use decision::{Challenge, CredentialFault, Decision, DenyReason, Passes, Permit, Standing};
pub use filter::{Filter, FilterFault};
pub use lack::{Lack, LackKind};
pub use pattern::{Parameters, PathPattern, PathPrefix, PatternFault};
pub use requirement::{ClaimTest, Needs, Requirement, Unmet, domain_of};
pub use step_up::{AUTHENTICATION_CLAIMS, StepUp};
pub use time_window::{TimeWindow, TimeWindowFault};

use std::collections::HashMap;
use std::net::IpAddr;

use http::{HeaderName, Method};

use crate::cors::Cors;
use crate::credential::Accept;
use crate::expression::{Expression, Facts};
use crate::headers::{HeaderMapping, OwnedNames};
use crate::identity::{Identity, IdentityMapping};
use crate::request::{CleanPath, HostPattern, Target};
use crate::time::Timestamp;
use rule_index::RuleIndex;
use table::RouteTable;

/// All routes with their rules, and what they have in common.
#[derive(Debug)]
pub struct Policy {
    routes: Vec<Route>,
    table: RouteTable,
    /// One for each route.
    indexes: Vec<RuleIndex>,
    mapping: IdentityMapping,
    owned: OwnedNames,
    kept_claims: Vec<Box<str>>,
}

/// One app at one place.
#[derive(Debug)]
pub struct Route {
    pub name: Box<str>,
    pub hosts: Vec<HostPattern>,
    pub path: PathPrefix,
    /// Indices of the providers that sign people in here and issue the tokens, the first before the others; none only
    /// where every rule is public.
    pub providers: Vec<usize>,
    pub accept: Accept,
    pub rules: Vec<Rule>,
    pub headers: HeaderMapping,
    /// Oddly spelled names that reach the app nevertheless.
    pub keep_headers: Vec<HeaderName>,
    /// The verified bearer token reaches the app.
    pub pass_token: bool,
    pub cors: Option<Cors>,
}

/// One line of a route's rules.
#[derive(Debug, Clone)]
pub struct Rule {
    /// `route/number`, counted from 1: what logs, metrics and messages call it.
    pub name: Box<str>,
    /// None: every path.
    pub paths: Vec<PathPattern>,
    /// None: every method. `GET` covers `HEAD`.
    pub methods: Vec<Method>,
    pub allow: Requirement,
    /// How recent and how strong the sign-in must be (RFC 9470).
    pub step_up: Option<StepUp>,
    pub enforce: Enforce,
}

/// What a rule's decision is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Enforce {
    /// It is done.
    #[default]
    Deny,
    /// A shadow: it is counted and logged, and the next rule that matches decides.
    Log,
}

/// The route and rule that a target falls under.
#[derive(Debug, Clone, Copy)]
pub struct Match<'p> {
    pub route: &'p Route,
    pub route_index: usize,
    pub rule: &'p Rule,
    pub rule_index: usize,
    mapping: &'p IdentityMapping,
    index: &'p RuleIndex,
}

/// What a decision may look at besides the identity.
#[derive(Debug, Clone, Copy)]
pub struct RequestContext<'t> {
    pub target: &'t Target,
    /// The client's address: the socket's, or what a trusted proxy says.
    pub client: IpAddr,
    pub now: Timestamp,
}

/// Two routes that nobody could tell apart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("route `{second}` answers for the same host and path as route `{first}`: `{host}{path}`")]
pub struct RouteClash {
    pub first: Box<str>,
    pub second: Box<str>,
    pub host: String,
    pub path: String,
}

impl Policy {
    /// Builds the tables that requests are looked up in.
    ///
    /// # Errors
    /// [`RouteClash`] when a route could never be reached.
    pub fn new(mut routes: Vec<Route>, mapping: IdentityMapping) -> Result<Self, RouteClash> {
        bind_headers(&mut routes, &mapping);
        let table = RouteTable::new(&routes)?;
        let owned = OwnedNames::new(routes.iter().flat_map(|route| route.headers.names()));
        let kept_claims = kept_claims(&routes, &mapping);
        let indexes = routes.iter().map(|route| RuleIndex::new(&route.rules)).collect();
        Ok(Self { routes, table, indexes, mapping, owned, kept_claims })
    }

    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    pub fn mapping(&self) -> &IdentityMapping {
        &self.mapping
    }

    pub fn owned_names(&self) -> &OwnedNames {
        &self.owned
    }

    /// The top-level claims that some rule, header or role looks at: what a session keeps.
    pub fn kept_claims(&self) -> &[Box<str>] {
        &self.kept_claims
    }

    /// A route by its name.
    pub fn route_named(&self, name: &str) -> Option<usize> {
        self.routes.iter().position(|route| &*route.name == name)
    }

    /// Keeps these top-level claims as well, for answers that no rule or header names.
    pub fn keep_claims(&mut self, names: &[&str]) {
        self.kept_claims.extend(names.iter().map(|name| Box::from(*name)));
        self.kept_claims.sort_unstable();
        self.kept_claims.dedup();
    }

    /// Whether any route answers for this host; `name` is canonical.
    pub fn knows_host(&self, name: &str) -> bool {
        self.table.knows_host(name)
    }

    /// The providers of the routes that answer for this host, in the order of the file; `name` is canonical.
    pub fn providers_of<'p>(&'p self, name: &'p str) -> impl Iterator<Item = usize> + 'p {
        let routes = self.routes.iter().filter(move |route| route.hosts.iter().any(|pattern| pattern.matches(name)));
        routes.flat_map(|route| route.providers.iter().copied())
    }

    /// The route of a target, whatever its rules say: for the provider of a sign-in and the answer to a preflight.
    ///
    /// # Errors
    /// [`DenyReason`] when there is none, or two readings of the path lead to two.
    pub fn route_for(&self, target: &Target) -> Result<(usize, &Route), DenyReason> {
        let index = self.table.find(target.host().name(), target.path())?;
        if let Some(other) = target.path().without_parameters()
            && self.table.find(target.host().name(), &other)? != index
        {
            return Err(DenyReason::AmbiguousPath);
        }
        Ok((index, &self.routes[index]))
    }

    /// The route and rule that decide about a target.
    ///
    /// # Errors
    /// [`DenyReason`] when nothing matches, or two readings of the path lead to two rules.
    pub fn rule_for(&self, target: &Target) -> Result<Match<'_>, DenyReason> {
        let (route_index, _) = self.route_for(target)?;
        self.rule_in(route_index, target)
    }

    /// The rule of one route that decides about a target, whatever the target's host; `route_index` as in
    /// [`Policy::routes`].
    ///
    /// # Errors
    /// [`DenyReason`] when nothing matches, or two readings of the path lead to two rules.
    pub fn rule_in(&self, route_index: usize, target: &Target) -> Result<Match<'_>, DenyReason> {
        let (route, index) = self.routes.get(route_index).zip(self.indexes.get(route_index)).ok_or(DenyReason::NoRoute)?;
        let found = index.find(target.method(), target.path());
        // A server that cuts `;parameters` off sees another path: believe a rule only when both readings agree.
        if let Some(other) = target.path().without_parameters()
            && index.find(target.method(), &other) != found
        {
            return Err(DenyReason::AmbiguousPath);
        }
        let rule_index = found.ok_or(DenyReason::NoRule)?;
        let rule = &route.rules[rule_index];
        if rule.reads_two_values(target.path()) {
            return Err(DenyReason::AmbiguousPath);
        }
        Ok(Match { route, route_index, rule, rule_index, mapping: &self.mapping, index })
    }
}

impl Rule {
    fn covers(&self, method: &Method, path: &CleanPath) -> bool {
        self.covers_method(method) && self.covers_path(path)
    }

    fn covers_method(&self, method: &Method) -> bool {
        self.methods.is_empty()
            || self.methods.contains(method)
            // RFC 9110 §9.3.2: HEAD is GET without the content.
            || (*method == Method::HEAD && self.methods.contains(&Method::GET))
    }

    fn covers_path(&self, path: &CleanPath) -> bool {
        self.paths.is_empty() || self.paths.iter().any(|pattern| pattern.matches(path))
    }

    /// Whether nobody asks who it is: no session is opened for it, and no store or key waited for.
    pub fn is_public(&self) -> bool {
        self.allow.is_public() && self.step_up.is_none()
    }

    /// What the path says where the first pattern that matches it has names.
    fn parameters(&self, path: &CleanPath) -> Parameters {
        self.paths.iter().find(|pattern| pattern.matches(path)).map(|pattern| pattern.capture(path)).unwrap_or_default()
    }

    /// Whether somebody reads other values than we do: a server that cuts `;parameters` off (`/t/acme;x`, or `/;/acme/other`),
    /// or one that takes another of the rule's patterns for the one that was meant.
    fn reads_two_values(&self, path: &CleanPath) -> bool {
        let when = self.allow.when();
        let cut = path.without_parameters();
        cut.is_some_and(|other| when.is_some_and(Expression::reads_path) || self.parameters(path) != self.parameters(&other))
            || (self.paths.len() > 1 && when.is_some_and(|when| self.names_two_values(path, when.parameters())))
    }

    fn names_two_values(&self, path: &CleanPath, names: &[Box<str>]) -> bool {
        if names.is_empty() {
            return false;
        }
        let mut read = self.paths.iter().filter(|pattern| pattern.matches(path)).map(|pattern| pattern.capture(path));
        let Some(first) = read.next() else { return false };
        read.any(|other| names.iter().any(|name| other.get(name) != first.get(name)))
    }
}

impl<'p> Match<'p> {
    /// The shadow rules that cover the target and stand before the rule that decides, in the order of the file.
    pub fn shadows(&self, target: &Target) -> impl Iterator<Item = Match<'p>> {
        let found = *self;
        let before = found.index.shadows().take_while(move |at| *at < found.rule_index);
        let rules = before.filter_map(move |at| found.route.rules.get(at).map(|rule| Match { rule, rule_index: at, ..found }));
        rules.filter(|shadow| shadow.rule.covers(target.method(), target.path()))
    }

    /// What the path says where the rule's pattern has names.
    pub fn parameters(&self, target: &Target) -> Parameters {
        self.rule.parameters(target.path())
    }

    /// Whether the rule's `when` is true, or there is none.
    fn when_holds(&self, target: &Target, identity: &Identity) -> bool {
        self.rule.allow.when().is_none_or(|when| {
            let parameters = if when.parameters().is_empty() { Parameters::default() } else { self.parameters(target) };
            when.is_true(&Facts { identity, target, parameters: &parameters })
        })
    }

    /// When the rule lets nobody in any more: what was opened under it by then is over. `None`: no time counts.
    pub fn closes(&self, now: Timestamp) -> Option<Timestamp> {
        match &self.rule.allow {
            Requirement::Needs(needs) => needs.closes(now),
            Requirement::Public | Requirement::Optional | Requirement::SignedIn | Requirement::Nobody => None,
        }
    }

    /// Everything that `identity` lacks to be let in by this rule; empty where another identity would not help either.
    pub fn lacked_by(&self, identity: &Identity, target: &Target) -> Vec<Lack> {
        let mut lacks = self.rule.allow.lacked_by(identity);
        if let Some(when) = self.rule.allow.when().filter(|_| !self.when_holds(target, identity)) {
            lacks.push(Lack { kind: LackKind::Expression, names: vec![when.to_string()] });
        }
        lacks
    }

    /// Decides. Total: whatever is not positively allowed is a challenge or a refusal.
    pub fn decide(&self, context: &RequestContext<'_>, standing: &Standing<'_>) -> Decision {
        decision::decide(self, context, standing)
    }

    /// Takes back an allowance that an asking proxy's own demands do not agree with. Never gives one.
    pub fn narrow(&self, decision: Decision, filter: &Filter, standing: &Standing<'_>) -> Decision {
        decision::narrow(self, decision, filter, standing)
    }

    /// Decides about a preflight; `self` is what the request it asks leave for falls under.
    pub fn decide_preflight(&self, context: &RequestContext<'_>) -> Decision {
        decision::decide_preflight(self, context)
    }
}

/// Routes that tell their apps the same share one mapping: what was prepared for somebody at one serves the others.
fn bind_headers(routes: &mut [Route], mapping: &IdentityMapping) {
    let mut known: HashMap<String, HeaderMapping> = HashMap::new();
    for route in routes {
        route.headers.bind(mapping);
        let shared = known.entry(route.headers.text()).or_insert_with(|| route.headers.clone());
        if shared.is_same_as(&route.headers) {
            route.headers = shared.clone();
        }
    }
}

/// Claims that are always kept: who issued them, about whom, and what sign-out and whoami need.
const ALWAYS_KEPT: &[&str] = &["iss", "sub", "email", "email_verified", "name", "nickname", "picture", "org_id", "permissions", "scope"];

fn kept_claims(routes: &[Route], mapping: &IdentityMapping) -> Vec<Box<str>> {
    let mut kept: Vec<Box<str>> = ALWAYS_KEPT.iter().map(|name| (*name).into()).collect();
    let rules = routes.iter().flat_map(|route| &route.rules).flat_map(|rule| rule.allow.top_level());
    let headers = routes.iter().flat_map(|route| route.headers.top_level());
    if routes.iter().flat_map(|route| &route.rules).any(|rule| rule.step_up.is_some()) {
        kept.extend(AUTHENTICATION_CLAIMS.map(Into::into));
    }
    kept.extend(mapping.top_level().into_iter().chain(rules).chain(headers).map(Into::into));
    kept.sort_unstable();
    kept.dedup();
    kept
}

#[cfg(test)]
mod tests;
