//! Why: every rule of a route in the order of the file, every criterion with the values that were compared, and the
//! decision, which is the one that counts: [`Match::decide`]'s own.
//!
//! An explanation is for reading. It cannot be turned into a [`super::Permit`], and nothing here decides.

mod criteria;
mod lineage;
mod supposed;
pub mod words;

pub use criteria::{Criterion, Mark, criteria};
use lineage::Provenance;
pub use lineage::{ClaimTrace, HeaderTrace, PartTrace, RoleTrace};
pub use supposed::Supposed;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::{Challenge, Decision, DenyReason, Enforce, Match, Passes, Policy, RequestContext, Rule, Standing};
use crate::identity::{AttributeMapping, Identity, Proof};
use crate::request::{Target, TargetFault};

/// What would become of a request, and why.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    pub request: Asked,
    pub who: Who,
    /// The route's name; `None` where none answers.
    pub route: Option<String>,
    /// The rule that decides; `None` where none does.
    pub rule: Option<String>,
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The route's rules, in the order of the file.
    pub rules: Vec<RuleTrace>,
    /// What the app is told; empty where the answer is not yes, or nobody is known.
    pub headers: Vec<HeaderTrace>,
    /// What else there is to say, in whole sentences.
    pub notes: Vec<String>,
}

/// What is asked.
#[derive(Debug, Clone, Serialize)]
pub struct Asked {
    pub method: String,
    pub host: String,
    pub path: String,
    pub client: String,
    /// RFC 3339
    pub at: String,
}

/// Who asks, as far as anybody can say.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "standing", rename_all = "snake_case")]
pub enum Who {
    Anonymous,
    /// What was presented is not good.
    Refused {
        fault: &'static str,
    },
    Known {
        proof: &'static str,
        provider: String,
        user: Option<String>,
        email: Option<String>,
        roles: Vec<RoleTrace>,
        permissions: Vec<String>,
        scopes: Vec<String>,
    },
}

/// A decision without what it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Allow {
        authenticated: bool,
        passes: Passes,
    },
    Challenge(Challenge),
    Deny(DenyReason),
    /// An endpoint of Doorward's own answers: no rule is asked.
    Own,
}

/// One rule.
#[derive(Debug, Clone, Serialize)]
pub struct RuleTrace {
    pub name: String,
    /// What it demands, in words.
    pub allow: String,
    /// False: it is decided and counted, and then passed over.
    pub enforced: bool,
    pub fate: Fate,
    /// What it says: of the rule that decides, and of those passed over.
    #[serde(flatten)]
    pub verdict: Option<Verdict>,
    pub criteria: Vec<Criterion>,
}

/// What became of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It is for other paths.
    Path,
    /// It is for other methods.
    Method,
    /// It matches, and is not enforced: the next one that matches decides.
    Shadow,
    Decides,
    /// An earlier rule decides.
    NotReached,
}

/// Explains what becomes of `context` for whoever stands behind it. `attributes` are those of the provider that vouches for
/// them: they only say where claims come from.
pub fn explain(
    policy: &Policy,
    context: &RequestContext<'_>,
    standing: &Standing<'_>,
    attributes: Option<&AttributeMapping>,
) -> Explanation {
    explain_from(policy, context, standing, attributes.map(|attributes| Provenance { attributes, claims: None }))
}

fn explain_from(policy: &Policy, context: &RequestContext<'_>, standing: &Standing<'_>, provenance: Option<Provenance<'_>>) -> Explanation {
    let mut explanation = Explanation::of_nothing(policy, context, standing, provenance);
    let (route_index, route) = match policy.route_for(context.target) {
        Ok(found) => found,
        Err(reason) => return explanation.denied(reason, policy, context.target),
    };
    explanation.route = Some(route.name.to_string());
    let deciding = policy.rule_in(route_index, context.target);
    let end = match &deciding {
        Ok(found) => found.rule_index,
        Err(_) => route.rules.len(),
    };
    for (index, rule) in route.rules.iter().enumerate() {
        let found = Match { route, route_index, rule, rule_index: index, mapping: &policy.mapping, index: &policy.indexes[route_index] };
        explanation.rules.push(match index.cmp(&end) {
            std::cmp::Ordering::Less => before(&found, context, standing),
            std::cmp::Ordering::Equal => decided(&found, Fate::Decides, context, standing),
            std::cmp::Ordering::Greater => RuleTrace::of(rule, Fate::NotReached),
        });
    }
    let found = match deciding {
        Ok(found) => found,
        Err(reason) => return explanation.denied(reason, policy, context.target),
    };
    let decision = found.decide(context, standing);
    explanation.rule = Some(found.rule.name.to_string());
    explanation.verdict = Verdict::of(&decision);
    if let (Decision::Allow(permit), Standing::Known(identity)) = (&decision, standing)
        && permit.authenticated()
    {
        explanation.headers = lineage::headers(found.route, permit.edits(), policy.mapping(), identity, provenance);
    }
    explanation
}

/// What has no [`Target`]: it is refused before anybody looks for a route.
pub fn explain_fault(asked: Asked, fault: TargetFault) -> Explanation {
    Explanation {
        request: asked,
        who: Who::Anonymous,
        route: None,
        rule: None,
        verdict: Verdict::Deny(fault.into()),
        rules: Vec::new(),
        headers: Vec::new(),
        notes: vec![fault.to_string()],
    }
}

/// A rule before the one that decides.
fn before(found: &Match<'_>, context: &RequestContext<'_>, standing: &Standing<'_>) -> RuleTrace {
    let (rule, target) = (found.rule, context.target);
    if !rule.covers_path(target.path()) {
        RuleTrace { criteria: criteria::matching(rule, target), ..RuleTrace::of(rule, Fate::Path) }
    } else if !rule.covers_method(target.method()) {
        RuleTrace { criteria: criteria::matching(rule, target), ..RuleTrace::of(rule, Fate::Method) }
    } else {
        decided(found, Fate::Shadow, context, standing)
    }
}

fn decided(found: &Match<'_>, fate: Fate, context: &RequestContext<'_>, standing: &Standing<'_>) -> RuleTrace {
    let verdict = Verdict::of(&found.decide(context, standing));
    RuleTrace { criteria: criteria(found, context, standing), verdict: Some(verdict), ..RuleTrace::of(found.rule, fate) }
}

impl RuleTrace {
    fn of(rule: &Rule, fate: Fate) -> Self {
        Self {
            name: rule.name.to_string(),
            allow: words::demands(rule),
            enforced: rule.enforce == Enforce::Deny,
            fate,
            verdict: None,
            criteria: Vec::new(),
        }
    }
}

impl Explanation {
    fn of_nothing(policy: &Policy, context: &RequestContext<'_>, standing: &Standing<'_>, provenance: Option<Provenance<'_>>) -> Self {
        Self {
            request: Asked {
                method: context.target.method().to_string(),
                host: context.target.host().name().into(),
                path: context.target.path().as_str().into(),
                client: context.client.to_canonical().to_string(),
                at: words::moment(context.now),
            },
            who: Who::of(standing, policy, provenance),
            route: None,
            rule: None,
            verdict: Verdict::Deny(DenyReason::NoRoute),
            rules: Vec::new(),
            headers: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn denied(mut self, reason: DenyReason, policy: &Policy, target: &Target) -> Self {
        self.verdict = Verdict::Deny(reason);
        self.notes.extend(match reason {
            DenyReason::UnknownHost => Some(format!("No route answers for the host {}.", target.host().name())),
            DenyReason::NoRoute => Some(format!("Routes answer for this host, none for {}.", target.path().as_str())),
            DenyReason::NoRule => Some("No rule of the route is for this path and method: that is a refusal.".into()),
            DenyReason::AmbiguousPath => Some(readings(policy, target)),
            _ => None,
        });
        self
    }

    /// The same for an endpoint of Doorward's own, of which the policy knows nothing.
    #[must_use]
    pub fn of_own_endpoint(self) -> Self {
        let note = "This is one of Doorward's own endpoints: no rule is asked.".to_owned();
        Self { route: None, rule: None, verdict: Verdict::Own, rules: Vec::new(), headers: Vec::new(), notes: vec![note], ..self }
    }

    /// The rule that decides.
    pub fn deciding(&self) -> Option<&RuleTrace> {
        self.rules.iter().find(|rule| rule.fate == Fate::Decides)
    }
}

/// Why a path with `;parameters` is refused.
fn readings(policy: &Policy, target: &Target) -> String {
    let Some(other) = target.path().without_parameters() else {
        return "More than one path of the rule fits, and what they name differs.".into();
    };
    let other = target.with_path(other);
    let under = match policy.rule_for(&other) {
        Ok(found) => found.rule.name.to_string(),
        Err(reason) => reason.label().to_owned(),
    };
    format!("A server that cuts `;parameters` off reads another path, {}: {under}.", other.path().as_str())
}

impl Who {
    fn of(standing: &Standing<'_>, policy: &Policy, provenance: Option<Provenance<'_>>) -> Self {
        match standing {
            Standing::Anonymous => Self::Anonymous,
            Standing::Refused(fault) => Self::Refused { fault: fault.label() },
            Standing::Known(identity) => Self::Known {
                proof: proof(identity),
                provider: identity.provider().into(),
                user: identity.user().map(Into::into),
                email: identity.email().map(Into::into),
                roles: lineage::roles(policy.mapping(), identity, provenance),
                permissions: identity.permissions().to_strings(),
                scopes: identity.scopes().to_strings(),
            },
        }
    }
}

fn proof(identity: &Identity) -> &'static str {
    match identity.proof() {
        Proof::Session => "session",
        Proof::Bearer => "bearer",
    }
}

impl Verdict {
    pub fn of(decision: &Decision) -> Self {
        match decision {
            Decision::Allow(permit) => Self::Allow { authenticated: permit.authenticated(), passes: permit.passes() },
            Decision::Challenge(challenge) => Self::Challenge(*challenge),
            Decision::Deny(reason) => Self::Deny(*reason),
        }
    }

    pub fn is_yes(self) -> bool {
        matches!(self, Self::Allow { .. })
    }

    /// What logs and metrics call it: `allow`, `challenge`, `deny`, `own`.
    pub fn decision(self) -> &'static str {
        match self {
            Self::Allow { .. } => "allow",
            Self::Challenge(_) => "challenge",
            Self::Deny(_) => "deny",
            Self::Own => "own",
        }
    }

    /// What logs and metrics call the reason of what is not yes.
    pub fn reason(self) -> Option<&'static str> {
        match self {
            Self::Allow { .. } | Self::Own => None,
            Self::Challenge(challenge) => Some(challenge.label()),
            Self::Deny(reason) => Some(reason.label()),
        }
    }

    /// What a test expects: `allow`, `deny`, `sign-in`, `token`, `step-up`.
    pub fn outcome(self) -> &'static str {
        match self {
            Self::Allow { .. } => "allow",
            Self::Challenge(Challenge::SignIn(_)) => "sign-in",
            Self::Challenge(Challenge::Bearer(_)) => "token",
            Self::Challenge(Challenge::StepUp(_)) => "step-up",
            Self::Deny(_) => "deny",
            Self::Own => "own",
        }
    }
}

impl Serialize for Verdict {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut verdict = serializer.serialize_struct("Verdict", 3)?;
        verdict.serialize_field("decision", self.decision())?;
        verdict.serialize_field("outcome", self.outcome())?;
        verdict.serialize_field("reason", &self.reason())?;
        verdict.end()
    }
}

#[cfg(test)]
mod tests;
