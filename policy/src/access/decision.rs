//! The decision: allow, challenge or refuse. Reasons are for logs and metrics; manners are `doorward-proxy`'s.

use super::requirement::{Requirement, Unmet};
use super::{Filter, Match, RequestContext};
use crate::credential::Accept;
use crate::headers::HeaderEdits;
use crate::identity::{Identity, NoRoles, Proof};
use crate::session::SessionFault;
use crate::token::TokenFault;

/// What became of the credential that the client presented.
#[derive(Debug, Clone, Copy)]
pub enum Standing<'i> {
    Anonymous,
    /// Something was presented and is not good: never the same as nothing.
    Refused(CredentialFault),
    Known(&'i Identity),
}

/// Why a presented credential is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialFault {
    /// The `Authorization` field itself (RFC 6750 §3.1 `invalid_request`).
    MalformedBearer,
    Token(TokenFault),
    Session(SessionFault),
    /// The keys to judge it by cannot be had just now: not a verdict on the token.
    CannotVerify,
    /// The store that would know the session cannot be asked just now: not a verdict on the session.
    StoreUnreachable,
    /// The client has brought too many bad ones for this one to be judged now.
    TooMany,
}

/// The outcome for one request. Total: there is no error beside it.
#[derive(Debug)]
pub enum Decision {
    Allow(Permit),
    Challenge(Challenge),
    Deny(DenyReason),
}

/// This request may go on, under this rule, with these headers. Only made by deciding.
#[derive(Debug)]
pub struct Permit {
    route: usize,
    edits: HeaderEdits,
    authenticated: bool,
    passes: Passes,
}

/// The token that an app is given, in `Authorization`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passes {
    Nothing,
    /// The one presented, which was verified.
    Bearer,
    /// The access token of the session, if there is one that has not ended; never what the client sent.
    OfSession,
}

impl Permit {
    /// Index into [`super::Policy::routes`].
    pub fn route(&self) -> usize {
        self.route
    }

    pub fn edits(&self) -> &HeaderEdits {
        &self.edits
    }

    /// Whether somebody stands behind the request.
    pub fn authenticated(&self) -> bool {
        self.authenticated
    }

    /// Which token goes on to the app.
    pub fn passes(&self) -> Passes {
        self.passes
    }
}

/// What would change the decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Challenge {
    /// Signing in; the fault is what became of a session, if one was presented.
    SignIn(Option<SessionFault>),
    /// A bearer token (RFC 6750 §3): no error when none was presented.
    Bearer(Option<CredentialFault>),
    /// Signing in again, more recently or more strongly than what was presented, which is good otherwise (RFC 9470).
    StepUp(Proof),
}

impl Challenge {
    /// What logs and metrics call it.
    pub fn label(self) -> &'static str {
        match self {
            Self::SignIn(None) => "no_session",
            Self::SignIn(Some(fault)) => fault.label(),
            Self::Bearer(None) => "no_token",
            Self::Bearer(Some(fault)) => fault.label(),
            Self::StepUp(_) => "step_up",
        }
    }
}

/// Why a request is refused: a closed list; each has one label here and one status and sentence in `respond.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DenyReason {
    /// The request could be read in two ways.
    BadRequest,
    /// `;parameters` make it match two rules.
    AmbiguousPath,
    MethodNotServed,
    UriTooLong,
    HeaderTooLarge,
    BodyTooLarge,
    /// Nothing here answers for that host (RFC 9110 §15.5.20).
    UnknownHost,
    NoRoute,
    /// A route, but no rule for the path and method.
    NoRule,
    Nobody,
    Network,
    Role,
    Permission,
    Scope,
    Claim,
    EmailDomain,
    /// The rule's `when` is not true.
    Expression,
    /// The rule lets nobody in at this time.
    Time,
    /// Somebody without any role, where that is not enough to be known.
    NoRoles,
    /// The identity does not fit into the headers that the app is to get.
    IdentityTooLarge,
    /// Neither yes nor no can be said: the provider's keys cannot be had.
    CannotVerify,
    /// The same of the store that keeps the sessions.
    StoreUnreachable,
    /// The WebSocket handshake comes from a page of another origin.
    CrossOrigin,
    /// Too many bad credentials or sign-ins from one client.
    TooMany,
    /// Another proxy asks, and does not say in one way what it was asked.
    HookSource,
    /// Another proxy asks about a request that did not come over TLS.
    HookInsecure,
    /// The client sent a name of ours that the asking proxy cannot be counted on to remove.
    ForgedHeader,
    /// The asking proxy demands more than the rules do.
    Filter,
    /// A preflight that the asking proxy would pass on to the app if it were answered here.
    Preflight,
}

impl DenyReason {
    /// Every reason, for tables and tests.
    pub const ALL: &'static [Self] = &[
        Self::BadRequest,
        Self::AmbiguousPath,
        Self::MethodNotServed,
        Self::UriTooLong,
        Self::HeaderTooLarge,
        Self::BodyTooLarge,
        Self::UnknownHost,
        Self::NoRoute,
        Self::NoRule,
        Self::Nobody,
        Self::Network,
        Self::Role,
        Self::Permission,
        Self::Scope,
        Self::Claim,
        Self::EmailDomain,
        Self::Expression,
        Self::Time,
        Self::NoRoles,
        Self::IdentityTooLarge,
        Self::CannotVerify,
        Self::StoreUnreachable,
        Self::CrossOrigin,
        Self::TooMany,
        Self::HookSource,
        Self::HookInsecure,
        Self::ForgedHeader,
        Self::Filter,
        Self::Preflight,
    ];

    /// What logs and metrics call it.
    pub fn label(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::AmbiguousPath => "ambiguous_path",
            Self::MethodNotServed => "method_not_served",
            Self::UriTooLong => "uri_too_long",
            Self::HeaderTooLarge => "header_too_large",
            Self::BodyTooLarge => "body_too_large",
            Self::UnknownHost => "unknown_host",
            Self::NoRoute => "no_route",
            Self::NoRule => "no_rule",
            Self::Nobody => "nobody",
            Self::Network => "network",
            Self::Role => "role",
            Self::Permission => "permission",
            Self::Scope => "scope",
            Self::Claim => "claim",
            Self::EmailDomain => "email_domain",
            Self::Expression => "expression",
            Self::Time => "time",
            Self::NoRoles => "no_roles",
            Self::IdentityTooLarge => "identity_too_large",
            Self::CannotVerify => "cannot_verify",
            Self::StoreUnreachable => "store_unreachable",
            Self::CrossOrigin => "cross_origin",
            Self::TooMany => "too_many",
            Self::HookSource => "hook_source",
            Self::HookInsecure => "hook_insecure",
            Self::ForgedHeader => "forged_header",
            Self::Filter => "filter",
            Self::Preflight => "preflight_not_relayed",
        }
    }
}

impl From<Unmet> for DenyReason {
    fn from(unmet: Unmet) -> Self {
        match unmet {
            Unmet::Network => Self::Network,
            Unmet::Role => Self::Role,
            Unmet::Permission => Self::Permission,
            Unmet::Scope => Self::Scope,
            Unmet::Claim => Self::Claim,
            Unmet::EmailDomain => Self::EmailDomain,
            Unmet::Time => Self::Time,
            Unmet::Expression => Self::Expression,
        }
    }
}

impl From<crate::request::TargetFault> for DenyReason {
    fn from(fault: crate::request::TargetFault) -> Self {
        use crate::request::{PathFault, TargetFault};
        match fault {
            TargetFault::Method => Self::MethodNotServed,
            TargetFault::Path(PathFault::TooLong) | TargetFault::QueryTooLong => Self::UriTooLong,
            TargetFault::Host(_) | TargetFault::Path(_) | TargetFault::Query => Self::BadRequest,
        }
    }
}

impl CredentialFault {
    /// What logs and metrics call it.
    pub fn label(self) -> &'static str {
        match self {
            Self::MalformedBearer => "bearer_malformed",
            Self::Token(fault) => fault.label(),
            Self::Session(fault) => fault.label(),
            Self::CannotVerify => "cannot_verify",
            Self::StoreUnreachable => "store_unreachable",
            Self::TooMany => "too_many",
        }
    }
}

pub(super) fn decide(found: &Match<'_>, context: &RequestContext<'_>, standing: &Standing<'_>) -> Decision {
    let rule = found.rule;
    // Rules that decide were asked this when they were found; shadows were not.
    if rule.reads_two_values(context.target.path()) {
        return Decision::Deny(DenyReason::AmbiguousPath);
    }
    let needs = match &rule.allow {
        Requirement::Nobody => return Decision::Deny(DenyReason::Nobody),
        Requirement::Public | Requirement::Optional | Requirement::SignedIn => None,
        Requirement::Needs(needs) => Some(needs),
    };
    // Place and time before anybody is asked to sign in: it would not help.
    if needs.is_some_and(|needs| !needs.network_allows(context.client)) {
        return Decision::Deny(DenyReason::Network);
    }
    if needs.is_some_and(|needs| !needs.time_allows(context.now)) {
        return Decision::Deny(DenyReason::Time);
    }
    if rule.is_public() {
        return admit(found, None);
    }
    // A rule that asks how somebody signed in asks for somebody.
    if matches!(rule.allow, Requirement::Optional) && rule.step_up.is_none() {
        return admit(found, known(standing));
    }
    let identity = match standing {
        Standing::Known(identity) => *identity,
        Standing::Anonymous => return Decision::Challenge(challenge(found.route.accept, None)),
        Standing::Refused(fault) => return refused(found, *fault),
    };
    if found.mapping.no_roles == NoRoles::Deny && identity.roles().is_empty() {
        return Decision::Deny(DenyReason::NoRoles);
    }
    // Whoever lacks a right would lack it after another sign-in too.
    if let Err(unmet) = needs.map_or(Ok(()), |needs| needs.met_by(identity)) {
        return Decision::Deny(unmet.into());
    }
    if !found.when_holds(context.target, identity) {
        return Decision::Deny(DenyReason::Expression);
    }
    match &rule.step_up {
        Some(step_up) if !step_up.met_by(identity.claims(), context.now) => Decision::Challenge(Challenge::StepUp(identity.proof())),
        Some(_) | None => admit(found, Some(identity)),
    }
}

/// "Cannot say now" is neither "sign in again" nor a pass.
fn refused(found: &Match<'_>, fault: CredentialFault) -> Decision {
    match fault {
        CredentialFault::CannotVerify => Decision::Deny(DenyReason::CannotVerify),
        CredentialFault::StoreUnreachable => Decision::Deny(DenyReason::StoreUnreachable),
        CredentialFault::TooMany => Decision::Deny(DenyReason::TooMany),
        CredentialFault::MalformedBearer | CredentialFault::Token(_) | CredentialFault::Session(_) => {
            Decision::Challenge(challenge(found.route.accept, Some(fault)))
        }
    }
}

pub(super) fn narrow(found: &Match<'_>, decision: Decision, filter: &Filter, standing: &Standing<'_>) -> Decision {
    match (decision, standing) {
        (Decision::Allow(permit), _) if filter.is_empty() => Decision::Allow(permit),
        (Decision::Allow(permit), Standing::Known(identity)) if filter.admits(identity) => Decision::Allow(permit),
        (Decision::Allow(_), Standing::Known(_)) => Decision::Deny(DenyReason::Filter),
        (Decision::Allow(_), Standing::Anonymous) => Decision::Challenge(challenge(found.route.accept, None)),
        (Decision::Allow(_), Standing::Refused(fault)) => refused(found, *fault),
        (decision @ (Decision::Challenge(_) | Decision::Deny(_)), _) => decision,
    }
}

/// A preflight on its way to an app that answers its own: nobody stands behind it, but what is closed to everybody, or
/// to everybody from that place, is closed to it too.
pub(super) fn decide_preflight(found: &Match<'_>, context: &RequestContext<'_>) -> Decision {
    match &found.rule.allow {
        Requirement::Nobody => Decision::Deny(DenyReason::Nobody),
        Requirement::Needs(needs) if !needs.network_allows(context.client) => Decision::Deny(DenyReason::Network),
        Requirement::Needs(needs) if !needs.time_allows(context.now) => Decision::Deny(DenyReason::Time),
        Requirement::Public | Requirement::Optional | Requirement::SignedIn | Requirement::Needs(_) => admit(found, None),
    }
}

/// Where nobody needs to be known a credential that is not good counts as none, and one that nobody can judge just now too.
fn known<'i>(standing: &Standing<'i>) -> Option<&'i Identity> {
    match standing {
        Standing::Known(identity) => Some(identity),
        Standing::Anonymous | Standing::Refused(_) => None,
    }
}

fn admit(found: &Match<'_>, identity: Option<&Identity>) -> Decision {
    let edits = match identity.map(|identity| found.route.headers.edits(identity)).transpose() {
        Ok(edits) => edits.unwrap_or_default(),
        Err(_) => return Decision::Deny(DenyReason::IdentityTooLarge),
    };
    let passes = match identity.filter(|_| found.route.pass_token).map(Identity::proof) {
        None => Passes::Nothing,
        Some(Proof::Bearer) => Passes::Bearer,
        Some(Proof::Session) => Passes::OfSession,
    };
    Decision::Allow(Permit { route: found.route_index, edits, authenticated: identity.is_some(), passes })
}

fn challenge(accept: Accept, fault: Option<CredentialFault>) -> Challenge {
    match (accept, fault) {
        (Accept::Bearer, fault) => Challenge::Bearer(fault),
        (_, Some(CredentialFault::Session(fault))) => Challenge::SignIn(Some(fault)),
        // RFC 6750 §3: who sent a bearer token is told about bearer tokens.
        (_, Some(fault)) => Challenge::Bearer(Some(fault)),
        (Accept::Session | Accept::Both, None) => Challenge::SignIn(None),
    }
}
