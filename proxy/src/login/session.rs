//! Who one is: as JSON for scripts, as a page for people.

use doorward_policy::cookies::Found;
use http::{HeaderValue, header};
use serde_json::{Value, json};

use super::Served;
use super::begin::{login_url, start};
use super::errand::Errand;
use crate::audit::Cause;
use crate::gate::Ask;
use crate::manner::Manner;
use crate::pages::{Language, ProfileEntry, ShownAttribute, WhoamiPage};
use crate::reply::Reply;
use crate::respond;
use crate::runtime::Runtime;
use crate::sessions::Live;
use doorward_policy::access::{Challenge, CredentialFault, DenyReason};
use doorward_policy::identity::{Attribute, ProfileField};
use doorward_policy::login::ReturnTo;

/// The session of this browser on this host, if it is live and its provider is still configured.
pub(super) async fn live(runtime: &Runtime, ask: &Ask<'_>) -> Option<Live> {
    let host = ask.target.host().name();
    let Found::One(sealed) = runtime.sessions.presented(ask.headers, host) else { return None };
    let live = runtime.sessions.find(sealed, host, ask.now).await.ok()?;
    known_provider(runtime, live)
}

/// The same, with claims that still hold: what apps are told. The answer, where nobody can say just now: that is no reason to
/// sign in again.
async fn fresh(runtime: &Runtime, ask: &Ask<'_>) -> Result<Option<Live>, Served> {
    let host = ask.target.host().name();
    let Found::One(sealed) = runtime.sessions.presented(ask.headers, host) else { return Ok(None) };
    match runtime.sessions.find_fresh(sealed, host, Cause::of(ask), ask.now).await {
        Ok(live) => Ok(known_provider(runtime, live)),
        Err(CredentialFault::CannotVerify) => Err(denied(runtime, ask, DenyReason::CannotVerify)),
        Err(CredentialFault::StoreUnreachable) => Err(denied(runtime, ask, DenyReason::StoreUnreachable)),
        Err(_) => Ok(None),
    }
}

fn denied(runtime: &Runtime, ask: &Ask<'_>, reason: DenyReason) -> Served {
    Served { reason: reason.label(), reply: respond::deny(&runtime.pages, runtime.asker(ask, None), reason) }
}

fn known_provider(runtime: &Runtime, live: Live) -> Option<Live> {
    let settings = runtime.providers.iter().map(|provider| provider.settings()).find(|settings| settings.name == *live.session.provider)?;
    live.session.belongs_to(&settings.name, &settings.client_id, &settings.issuer).ok()?;
    Some(live)
}

/// `session`: 200 with what the apps are told, or 401 with the way to sign in. Tokens are in neither.
pub(super) async fn json(runtime: &Runtime, ask: &Ask<'_>) -> Served {
    let live = match fresh(runtime, ask).await {
        Ok(live) => live,
        Err(served) => return served,
    };
    let Some(live) = live else {
        let body = json!({ "authenticated": false, "login_url": login_url(runtime, ask) });
        let reply = Reply::json(401, &body).field(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        return Served { reason: "no_session", reply };
    };
    let (identity, ends) = (&live.identity, live.ends(runtime.session_limits()));
    let profile = |field| runtime.settings.policy.mapping().profile(field, identity.claims());
    let attributes = attributes(runtime, &live).map(|(attribute, value)| {
        let (name, label) = (&*attribute.name, attribute.label());
        json!({ "name": name, "label": label, "value": value })
    });
    let body = json!({
        "authenticated": true,
        "user": identity.user(),
        "email": identity.email(),
        "name": identity.name(),
        "username": profile(ProfileField::Username),
        "first_name": profile(ProfileField::FirstName),
        "last_name": profile(ProfileField::LastName),
        "phone": profile(ProfileField::Phone),
        "locale": profile(ProfileField::Locale),
        "roles": identity.roles(),
        "permissions": identity.permissions(),
        "attributes": attributes.collect::<Vec<_>>(),
        "provider": live.session.provider,
        "expires_at": ends.0,
        "expires_in": ends.since(ask.now).as_secs(),
    });
    Served { reason: "session", reply: Reply::json(200, &body) }
}

/// `whoami`: the same for people; whoever is nobody yet is sent to sign in.
pub(super) async fn page(runtime: &Runtime, ask: &Ask<'_>) -> Served {
    let live = match fresh(runtime, ask).await {
        Ok(Some(live)) => live,
        Ok(None) => return sign_in_first(runtime, ask).await,
        Err(served) => return served,
    };
    let (identity, ends) = (&live.identity, live.ends(runtime.session_limits()));
    let provider = runtime.providers.iter().map(|provider| provider.settings()).find(|settings| settings.name == *live.session.provider);
    let provider = provider.map_or_else(String::new, |settings| settings.label.clone());
    let text = |value: Option<&str>| value.map(str::to_owned);
    let profile = ProfileField::ALL.into_iter().filter_map(|field| {
        let text = runtime.settings.policy.mapping().profile(field, identity.claims())?;
        Some(ProfileEntry { what: field.name(), text: text.into_owned() })
    });
    let attributes = attributes(runtime, &live).map(|(attribute, value)| ShownAttribute {
        label: attribute.label().to_owned(),
        values: match value {
            Value::Array(items) => items.iter().map(plain).collect(),
            one => vec![plain(one)],
        },
    });
    let page = WhoamiPage {
        name: text(identity.name()),
        user: text(identity.user()),
        email: text(identity.email()),
        provider,
        profile: profile.collect(),
        roles: identity.roles().to_strings(),
        permissions: identity.permissions().to_strings(),
        attributes: attributes.collect(),
        began: ask.now.since(live.session.began),
        ends: ends.since(ask.now),
        prefix: runtime.settings.server.prefix.clone(),
        everywhere: true,
    };
    Served { reason: "whoami", reply: runtime.pages.whoami(&page, Language::of(ask.headers)) }
}

/// The attributes that somebody has, in the order of the file.
fn attributes<'r>(runtime: &'r Runtime, live: &'r Live) -> impl Iterator<Item = (&'r Attribute, &'r Value)> {
    let provider = runtime.providers.iter().map(|provider| provider.settings()).find(|settings| settings.name == *live.session.provider);
    let attributes = provider.into_iter().flat_map(|settings| &settings.attributes.attributes);
    attributes.filter_map(|attribute| Some((attribute, live.identity.claims().get(&*attribute.name)?)))
}

/// A text as itself, anything else as JSON.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Whoever is nobody yet is sent to sign in, and comes back here.
pub(super) async fn sign_in_first(runtime: &Runtime, ask: &Ask<'_>) -> Served {
    let own = ReturnTo::parse(&ask.target.path_and_query(), runtime).unwrap_or_else(|_| ReturnTo::root());
    match ask.manner {
        Manner::Navigation => start(runtime, ask, &Errand::to(runtime, ask.target.host().name(), own), None).await,
        Manner::Page | Manner::Script | Manner::WebSocket | Manner::Grpc => {
            let login = login_url(runtime, ask);
            Served {
                reason: "no_session",
                reply: respond::unauthorized(&runtime.pages, runtime.asker(ask, Some(&login)), Challenge::SignIn(None)),
            }
        }
    }
}
