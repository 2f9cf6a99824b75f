//! No, to somebody who is known: who they are here, which rule it was, and what is missing.

use doorward_policy::access::{DenyReason, Lack, LackKind, Match};
use doorward_policy::identity::{Identity, Proof};
use serde_json::json;

use super::{Asker, body, deny, face, with_hints};
use crate::gate::Ask;
use crate::login;
use crate::manner::Manner;
use crate::pages::{DeniedPage, Explained, Missing, What, Who};
use crate::reply::Reply;
use crate::runtime::Runtime;

/// A refusal that another account, or more rights, could turn into a yes; any other reason is answered as to anybody.
pub fn deny_somebody(runtime: &Runtime, ask: &Ask<'_>, found: &Match<'_>, reason: DenyReason, identity: Option<&Identity>) -> Reply {
    let asker = runtime.asker(ask, None);
    let Some(identity) = identity.filter(|_| is_about_rights(reason)) else { return deny(&runtime.pages, asker, reason) };
    let explained = runtime.settings.server.explain_denials.then(|| explain(found, ask, identity));
    match asker.manner {
        Manner::Navigation | Manner::Page => page(runtime, ask, asker, reason, identity, explained),
        Manner::Script => script(runtime, asker, reason, explained),
        Manner::WebSocket | Manner::Grpc => deny(&runtime.pages, asker, reason),
    }
}

fn is_about_rights(reason: DenyReason) -> bool {
    use DenyReason::{Claim, EmailDomain, Expression, Filter, NoRoles, Permission, Role, Scope};
    matches!(reason, Role | Permission | Scope | Claim | EmailDomain | Expression | NoRoles | Filter)
}

fn explain(found: &Match<'_>, ask: &Ask<'_>, identity: &Identity) -> Explained {
    let missing = found.lacked_by(identity, ask.target).into_iter().map(|Lack { kind, names }| {
        let what = match kind {
            LackKind::AnyRole => What::AnyRole,
            LackKind::Role => What::Role,
            LackKind::Permission => What::Permission,
            LackKind::Scope => What::Scope,
            LackKind::Claim => What::Claim,
            LackKind::EmailDomain => What::EmailDomain,
            LackKind::Expression => What::Expression,
        };
        Missing { what, names }
    });
    Explained { rule: found.rule.name.to_string(), missing: missing.collect() }
}

fn page(
    runtime: &Runtime,
    ask: &Ask<'_>,
    asker: Asker<'_>,
    reason: DenyReason,
    identity: &Identity,
    explained: Option<Explained>,
) -> Reply {
    // Who came with a token has no session to exchange for another.
    let other_account = (identity.proof() == Proof::Session).then(|| format!("{}&prompt=select_account", login::login_url(runtime, ask)));
    let page = DeniedPage {
        face: face(reason),
        who: Some(Who { name: identity.name(), email: identity.email(), user: identity.user() }),
        explained,
        request_id: asker.request_id,
        other_account_url: other_account.as_deref(),
        prefix: asker.prefix,
    };
    runtime.pages.denied(&page, asker.language)
}

fn script(runtime: &Runtime, asker: Asker<'_>, reason: DenyReason, explained: Option<Explained>) -> Reply {
    let face = face(reason);
    let mut body = body(&runtime.pages, asker, face);
    if let Some(explained) = explained {
        body["rule"] = json!(explained.rule);
        body["missing"] = json!(explained.missing);
    }
    with_hints(Reply::json(face.status, &body), asker.manner, reason)
}
