//! Where the provider ends its own session, and sends the browser back from (OpenID Connect RP-Initiated Logout 1.0;
//! Auth0's `/v2/logout`).

use doorward_config::settings::{Provider, ProviderKind};
use doorward_policy::login::LogoutState;
use url::Url;

use super::target::Target;
use crate::entropy;
use crate::gate::{Ask, own_origin};
use crate::idp::Filling;
use crate::runtime::Runtime;
use crate::sessions::Live;

/// An ID token longer than this makes an address that some servers refuse; then the provider is told less.
const HINT_LIMIT: usize = 4 * 1024;

/// Auth0's own sign-out.
const AUTH0_LOGOUT: &str = "/v2/logout";

/// A sign-out on its way to the provider.
pub(super) struct SignOut<'s> {
    pub(super) runtime: &'s Runtime,
    pub(super) ask: &'s Ask<'s>,
    pub(super) live: &'s Live,
    pub(super) target: Option<&'s Target>,
    pub(super) everywhere: bool,
}

/// The address to come back to, and what comes back with it.
struct Back {
    address: String,
    /// Our own `logout/done` goes on from there.
    ours: bool,
    /// That page is what `after_logout` asks for.
    told: bool,
    host: String,
}

impl SignOut<'_> {
    /// `None`: the provider has no such place, or is not known yet (LOGOUT-03).
    pub(super) fn url(&self) -> Option<Url> {
        let provider = self.runtime.providers.iter().find(|provider| provider.settings().name == *self.live.session.provider)?;
        let settings = provider.settings();
        let end_session = provider.keys.current().and_then(|current| current.metadata.end_session_endpoint.clone());
        let held = self.live.held.as_ref().map(|held| held.known());
        let id_token = held.as_ref().and_then(|known| known.record.tokens.id_token.as_deref()).filter(|token| token.len() <= HINT_LIMIT);
        let back = self.back(settings);
        let template = &settings.requests.logout;
        let mut url = match (settings.kind, template.url.clone(), end_session) {
            (ProviderKind::Auth0, Some(url), _) if url.path() == AUTH0_LOGOUT => self.auth0(settings, url, &back),
            (_, Some(url), _) => self.rp_initiated(settings, url, id_token, &back),
            (ProviderKind::Oidc, None, None) => return None,
            (ProviderKind::Oidc, None, Some(url)) => self.rp_initiated(settings, url, id_token, &back),
            (ProviderKind::Auth0, None, Some(url)) if id_token.is_some() => self.rp_initiated(settings, url, id_token, &back),
            (ProviderKind::Auth0, None, _) => self.auth0(settings, Url::parse(&settings.issuer).ok()?.join(AUTH0_LOGOUT).ok()?, &back),
        };
        let filling = Filling { redirect_uri: Some(&back.address), id_token, ..Filling::of(&settings.client_id) };
        for (name, value) in filling.params(template) {
            url.query_pairs_mut().append_pair(name, &value);
        }
        Some(url)
    }

    /// The one address that is registered there: with one host for all sign-ins, that host's; else this host's.
    fn back(&self, settings: &Provider) -> Back {
        let prefix = &self.runtime.settings.server.prefix;
        let done = format!("{prefix}/logout/done");
        // What the configuration lists it vouches for, also as registered; where our own page goes on, nothing else need be.
        let own_page = self.runtime.settings.server.public_host.is_some() || settings.after_logout == done;
        if let Some(target) = self.target.filter(|target| target.is_listed() && !own_page) {
            return Back { address: target.as_str().to_owned(), ours: false, told: false, host: String::new() };
        }
        let asked = self.ask.target.host().name();
        let host = self.runtime.settings.server.public_host.as_deref().unwrap_or(asked);
        let path = if own_page { &done } else { &settings.after_logout };
        Back {
            address: format!("{}{path}", own_origin(self.runtime, host)),
            ours: own_page,
            told: settings.after_logout == done,
            host: host.to_owned(),
        }
    }

    /// Sealed for the host that it comes back to; says where to go on from there.
    fn state(&self, back: &Back) -> Option<String> {
        let asked = self.ask.target.host().name();
        // A person who was sent to the app's own page would be asked to sign in again before they could read that they are out.
        let told = back.told && self.target.is_none();
        let home = || own_origin(self.runtime, asked) + "/";
        let return_to = match self.target {
            Some(target) => Some(target.absolute(asked, self.runtime)),
            None => (back.host != asked).then(home),
        };
        let state = LogoutState { return_to: return_to.map(Into::into), told, everywhere: self.everywhere, began: self.ask.now };
        Some(state.seal(&self.runtime.keys(), &back.host, entropy::random().ok()?))
    }

    /// §2: with the ID token, the provider need not ask; without one the client is named by its id, and `logout_hint` is the
    /// provider's own name for the session.
    fn rp_initiated(&self, settings: &Provider, mut url: Url, id_token: Option<&str>, back: &Back) -> Url {
        {
            let mut query = url.query_pairs_mut();
            if let Some(token) = id_token {
                query.append_pair("id_token_hint", token);
            } else if let Some(sid) = &self.live.session.provider_session {
                query.append_pair("logout_hint", sid);
            }
            query.append_pair("client_id", &settings.client_id).append_pair("post_logout_redirect_uri", &back.address);
            // A state for an app's own page would only be in its way.
            if let Some(state) = self.state(back).filter(|_| back.ours) {
                query.append_pair("state", &state);
            }
        }
        url
    }

    /// Needs no ID token, and `returnTo` is checked against the application's list because the client is named. Its query is
    /// not part of what is checked.
    fn auth0(&self, settings: &Provider, mut url: Url, back: &Back) -> Url {
        let address = match self.state(back).filter(|_| back.ours) {
            Some(state) => format!("{}?state={state}", back.address),
            None => back.address.clone(),
        };
        url.query_pairs_mut().append_pair("client_id", &settings.client_id).append_pair("returnTo", &address);
        url
    }
}
