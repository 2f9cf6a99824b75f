//! Sign-ins, sign-outs and what administrators do, written down.

use doorward_policy::access::Policy;
use doorward_policy::identity::{Identity, IdentityMapping};
use doorward_policy::session::{Session, Ticket, What};
use serde_json::{Map, Value};

use super::witness::NEVER;
use super::{
    Admin, Cause, Entry, Handoff, Kind, Reload, SignIn, SignInFailed, SignOut, SignOutFailed, Start, Stop, Text, Who, fitted, fitted_names,
    provider_session_digest, session_digest, who_is,
};
use crate::gate::Ask;
use crate::runtime::Runtime;
use crate::sessions::Live;

/// Bytes of a line for claims, and for where roles came from.
const CLAIMS: usize = 4 * 1024;
const SOURCES: usize = 2 * 1024;
/// For what is wrong with a configuration.
const PROBLEMS: usize = 4 * 1024;

/// A sign-in that is about to be done: the session is gone into its cookie or store by then.
pub fn signing_in(runtime: &Runtime, session: &Session) -> Option<Session> {
    runtime.audit.is_on().then(|| session.clone())
}

/// Somebody has signed in.
pub fn signed_in(runtime: &Runtime, ask: &Ask<'_>, session: Option<Session>) {
    let (Some(session), Some(entry)) = (session, runtime.audit.entry(Kind::SignIn, Cause::of(ask))) else { return };
    let policy = &runtime.settings.policy;
    let identity = Identity::from_session(session.clone(), policy.mapping());
    entry.write(&SignIn {
        host: Text(ask.target.host().name()),
        who: who_is(&identity, Some(&session)),
        role_sources: sources_of(policy.mapping(), &session.claims),
        provider_session: session.provider_session.as_deref().map(provider_session_digest),
        claims: claims_of(policy, &session.claims),
    });
}

/// A session has come to another of our hosts.
pub fn handed_over(runtime: &Runtime, ask: &Ask<'_>, session: &Session) {
    let Some(entry) = runtime.audit.entry(Kind::Handoff, Cause::of(ask)) else { return };
    entry.write(&Handoff { host: Text(ask.target.host().name()), who: of_session(session) });
}

/// Somebody was to be signed in, and is not.
pub fn sign_in_failed(runtime: &Runtime, ask: &Ask<'_>, provider: Option<&str>, step: &'static str, reason: &'static str) {
    let Some(entry) = runtime.audit.entry(Kind::SignInFailed, Cause::of(ask)) else { return };
    entry.write(&SignInFailed { host: Text(ask.target.host().name()), provider: provider.map(Text), step, reason });
}

/// The session that this browser brought is over.
pub fn signed_out(runtime: &Runtime, ask: &Ask<'_>, kind: &'static str, live: &Live) {
    let Some(entry) = runtime.audit.entry(Kind::SignOut, Cause::of(ask)) else { return };
    write_out(entry, kind, ask, who_is(&live.identity, Some(&live.session)));
}

/// The same where no store could say whose it is.
pub fn signed_out_unread(runtime: &Runtime, ask: &Ask<'_>, kind: &'static str, session: Result<&Session, &Ticket>) {
    let Some(entry) = runtime.audit.entry(Kind::SignOut, Cause::of(ask)) else { return };
    let who = match session {
        Ok(session) => of_session(session),
        Err(ticket) => Who { session: Some(session_digest(&ticket.id)), ..Who::default() },
    };
    write_out(entry, kind, ask, who);
}

/// Sessions are over that nobody brought. `stored`: other processes know.
pub fn ended(runtime: &Runtime, cause: Cause<'_>, kind: &'static str, provider: &str, what: &What, stored: bool) {
    let Some(entry) = runtime.audit.entry(Kind::SignOut, cause) else { return };
    let provider = Some(Text(provider));
    let (who, provider_session) = match what {
        What::Session { id, .. } => (Who { provider, session: Some(session_digest(id)), ..Who::default() }, None),
        What::ProviderSession { sid, .. } => (Who { provider, ..Who::default() }, Some(provider_session_digest(sid))),
        What::Subject { sub, .. } => (Who { provider, subject: Some(Text(sub)), ..Who::default() }, None),
        What::Issuer(_) => (Who { provider, ..Who::default() }, None),
    };
    entry.write(&SignOut { kind, host: None, who, provider_session, stored: Some(stored) });
}

/// Somebody's word that a session is over, which was not the provider's.
pub fn sign_out_failed(runtime: &Runtime, ask: &Ask<'_>, kind: &'static str, reason: &'static str) {
    let Some(entry) = runtime.audit.entry(Kind::SignOutFailed, Cause::of(ask)) else { return };
    entry.write(&SignOutFailed { kind, reason });
}

/// Somebody with the admin token called. What it ended has a line of its own.
pub fn admin_called(runtime: &Runtime, cause: Cause<'_>, call: &'static str, outcome: &'static str) {
    let Some(entry) = runtime.audit.entry(Kind::Admin, cause) else { return };
    entry.write(&Admin { call, outcome });
}

/// Somebody called without it.
pub fn admin_refused(runtime: &Runtime, cause: Cause<'_>, call: &'static str) {
    let Some(entry) = runtime.audit.entry(Kind::AdminRefused, cause) else { return };
    entry.write(&Admin { call, outcome: "unauthorized" });
}

/// The process serves from now on.
pub fn started(runtime: &Runtime) {
    let Some(entry) = runtime.audit.entry(Kind::Start, Cause::NONE) else { return };
    entry.write(&Start { version: env!("CARGO_PKG_VERSION") });
}

/// It serves no longer. `clean`: every connection ended by itself.
pub fn stopped(runtime: &Runtime, clean: bool) {
    runtime.audit.summarise();
    let Some(entry) = runtime.audit.entry(Kind::Stop, Cause::NONE) else { return };
    entry.write(&Stop { clean });
}

/// A configuration was read again, by `signal`, `file` or `admin`: taken, or refused for these problems, which hold no secrets.
pub fn reloaded(runtime: &Runtime, by: &'static str, outcome: &'static str, problems: &[String]) {
    let Some(entry) = runtime.audit.entry(Kind::Reload, Cause::NONE) else { return };
    let problems = (!problems.is_empty()).then(|| fitted_names(problems.iter().map(String::as_str), PROBLEMS));
    entry.write(&Reload { by, outcome, problems });
}

fn write_out(entry: Entry<'_>, kind: &'static str, ask: &Ask<'_>, who: Who<'_>) {
    entry.write(&SignOut { kind, host: Some(Text(ask.target.host().name())), who, provider_session: None, stored: None });
}

fn of_session(session: &Session) -> Who<'_> {
    Who {
        provider: Some(Text(&session.provider)),
        subject: session.claims.get("sub").and_then(Value::as_str).map(Text),
        session: Some(session_digest(&session.id)),
        ..Who::default()
    }
}

/// Of `claims` those that something looks at.
fn claims_of(policy: &Policy, claims: &Map<String, Value>) -> Value {
    let kept = policy.kept_claims().iter().map(AsRef::as_ref).filter(|name| !NEVER.contains(name));
    let kept = kept.filter_map(|name: &str| Some((name.to_owned(), claims.get(name)?.clone())));
    fitted(&Value::Object(kept.collect()), CLAIMS)
}

/// By role, the claims and rules that gave it.
fn sources_of(mapping: &IdentityMapping, claims: &Map<String, Value>) -> Value {
    let roles = mapping.roles_with_sources(claims).into_iter();
    let from = roles.map(|role| (role.role.into_string(), role.from.iter().map(ToString::to_string).collect()));
    fitted(&Value::Object(from.collect()), SOURCES)
}
