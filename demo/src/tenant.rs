//! A stand-in Auth0 tenant: an OpenID provider with Auth0's paths, shapes and error texts.
//!
//! **Never for production**: passwords are in the clear, keys and sessions live in memory, and it speaks plain http, on
//! loopback only. It promises the shapes that Doorward must cope with, not security.
//!
//! A test starts one with [`Tenant::start`], points Doorward at [`Tenant::address`], and then
//! - walks through the real pages, or asks [`Tenant::sign_in`] what the callback of a persona would be;
//! - turns switches (`set_*`, [`Tenant::rotate_keys`]) while it runs;
//! - signs what no honest tenant would ([`Tenant::sign_with`]);
//! - looks at what arrived ([`Tenant::requests`], [`Tenant::received`]).

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{get, post};
use serde_json::{Value, json};

use crate::server::{Bound, Server};

mod authorize;
mod client_auth;
mod discovery;
mod issue;
mod keys;
mod login_page;
mod logout;
mod params;
mod record;
mod refresh;
mod settings;
mod store;
mod token;
mod token_text;
mod userinfo;

pub use keys::SignWith;
pub use record::ReceivedParams;
pub use settings::{
    AUDIENCE, Api, CLIENT_ID, CLIENT_SECRET, Client, ClientAuth, Lifetimes, Organization, PASSWORD, ROLES_CLAIM, TenantSettings,
    TokenDialect, UrlRules, User,
};

use issue::Grant;
use keys::KeyRing;
use record::{Endpoint, Record};
use store::Store;

/// A running tenant. Dropping it stops it; [`Tenant::stop`] also waits until its port is free.
#[derive(Debug)]
pub struct Tenant {
    shared: Arc<Shared>,
    server: Server,
}

impl Tenant {
    /// Fails when the address is taken or is not a loopback address.
    pub async fn start(settings: TenantSettings) -> io::Result<Tenant> {
        let bound = Bound::to(settings.listen).await?;
        // Making RSA keys takes long enough to hold up everything else on this thread.
        let keys = tokio::task::spawn_blocking(KeyRing::new).await.map_err(io::Error::other)?;
        let issuer = settings.issuer.clone().unwrap_or_else(|| format!("http://{}/", bound.address()));
        let shared = Arc::new(Shared {
            issuer,
            switches: Mutex::new(Switches::of(&settings)),
            users: Mutex::new(settings.users.clone()),
            settings,
            keys: Mutex::new(keys),
            store: Mutex::default(),
            record: Record::default(),
        });
        let server = bound.serve(routes(shared.clone()));
        Ok(Tenant { shared, server })
    }

    /// With Auth0's trailing slash.
    pub fn issuer(&self) -> &str {
        &self.shared.issuer
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Stops and frees the port, so that a later tenant can start there.
    pub async fn stop(self) {
        self.server.stop().await;
    }

    /// The next key signs from now on, a new one is published as next, and the old one stays published.
    pub fn rotate_keys(&self) {
        lock(&self.shared.keys).rotate(false);
    }

    /// Like [`Tenant::rotate_keys`], but no earlier key stays published: their tokens are to be refused.
    pub fn rotate_keys_and_revoke(&self) {
        lock(&self.shared.keys).rotate(true);
    }

    /// The published key ids: current, next, then earlier ones.
    pub fn kids(&self) -> Vec<String> {
        lock(&self.shared.keys).kids()
    }

    /// Signs any claims with the current key and an ordinary header.
    pub fn sign(&self, claims: Value) -> String {
        self.sign_with(SignWith::Current, json!({}), claims)
    }

    /// Signs any claims; `header` is laid over `{alg, typ, kid}` and a `null` in it removes a member.
    pub fn sign_with(&self, with: SignWith, header: Value, claims: Value) -> String {
        let signer = lock(&self.shared.keys).signer(with);
        signer.sign(&header, &claims)
    }

    /// The access token that `persona` (`sub`, e-mail or nickname) would get from a sign-in at the first application.
    /// `scope` is filtered as in a sign-in: an API with RBAC yields only what the persona has.
    ///
    /// # Panics
    /// When the persona or the API does not exist.
    pub fn access_token_for(&self, persona: &str, audience: &str, scope: &str) -> String {
        let header = self.shared.access_token_header();
        self.sign_with(SignWith::Current, header, self.access_claims_for(persona, audience, scope))
    }

    /// The claims of [`Tenant::access_token_for`], to be changed and signed.
    pub fn access_claims_for(&self, persona: &str, audience: &str, scope: &str) -> Value {
        let user = self.known_user(persona);
        let grant = Grant::direct(&self.shared, &user, self.first_client(), Some(audience), scope);
        self.shared.access_claims(&grant, &user, audience)
    }

    /// The ID token that `persona` would get at an application; `scope` decides on profile and e-mail.
    pub fn id_token_for(&self, persona: &str, client_id: &str, scope: &str) -> String {
        self.sign(self.id_claims_for(persona, client_id, scope))
    }

    /// The claims of [`Tenant::id_token_for`], to be changed and signed.
    pub fn id_claims_for(&self, persona: &str, client_id: &str, scope: &str) -> Value {
        let user = self.known_user(persona);
        self.shared.id_claims(&Grant::direct(&self.shared, &user, client_id, None, scope), &user)
    }

    /// A `client_credentials` token of an application for an API, with this scope.
    pub fn machine_token_for(&self, client_id: &str, audience: &str, scope: &str) -> String {
        let claims = self.shared.machine_claims(client_id, audience, scope);
        self.sign_with(SignWith::Current, self.shared.access_token_header(), claims)
    }

    /// A logout token (OIDC Back-Channel Logout §2.4). Auth0's carries `typ: JWT`.
    pub fn logout_token_for(&self, client_id: &str, sub: Option<&str>, sid: Option<&str>) -> String {
        self.sign(self.shared.logout_claims(client_id, sub, sid))
    }

    /// Where the browser would be sent if `persona` signed in at this authorization URL: the callback with a code or
    /// with an error. `Err` is the text of the tenant's own page when there is no callback to go to.
    ///
    /// # Panics
    /// When the persona does not exist.
    pub fn sign_in(&self, authorization_url: &str, persona: &str) -> Result<String, String> {
        authorize::sign_in(&self.shared, authorization_url, &self.known_user(persona))
    }

    /// How many requests reached an endpoint: `discovery`, `jwks`, `authorize`, `login`, `token`, `userinfo`,
    /// `revoke` or `logout`.
    ///
    /// # Panics
    /// On any other name.
    pub fn requests(&self, endpoint: &str) -> u64 {
        self.shared.record.count(Endpoint::named(endpoint))
    }

    /// The parameters of the last requests (at most 256) to `authorize`, `token`, `revoke` or `logout`.
    pub fn received(&self, endpoint: &str) -> Vec<ReceivedParams> {
        self.shared.record.received(Endpoint::named(endpoint))
    }

    /// The shape of the access tokens from now on.
    pub fn set_token_dialect(&self, dialect: TokenDialect) {
        self.switches().token_dialect = dialect;
    }

    /// Send `iss` to the callback (RFC 9207) or not.
    pub fn set_callback_iss(&self, on: bool) {
        self.switches().callback_iss = on;
    }

    /// Publish and serve `end_session_endpoint` or not.
    pub fn set_rp_initiated_logout(&self, on: bool) {
        self.switches().rp_initiated_logout = on;
    }

    /// How long the refresh token before the current one stays usable.
    pub fn set_refresh_leeway(&self, leeway: Duration) {
        self.switches().refresh_leeway = leeway;
    }

    /// Stamps tokens with a clock that is this many seconds off; negative is in the past.
    pub fn set_clock_offset(&self, seconds: i64) {
        self.switches().clock_offset = seconds;
    }

    /// Blocks a person or lets them in again.
    ///
    /// # Panics
    /// When there is no such person.
    pub fn set_blocked(&self, persona: &str, blocked: bool) {
        self.change_user(persona, |user| user.blocked = blocked);
    }

    /// Changes a person: roles, permissions, claims. Tokens issued from now on (by refresh, too) carry the change.
    ///
    /// # Panics
    /// When there is no such person.
    pub fn change_user(&self, persona: &str, change: impl FnOnce(&mut User)) {
        let mut users = lock(&self.shared.users);
        let user = users.iter_mut().find(|user| user.is(persona));
        change(user.unwrap_or_else(|| panic!("no user `{persona}`")));
    }

    /// Claims laid over every ID token from the token endpoint; `null` removes one, `json!({})` ends it.
    pub fn set_id_token_claims(&self, over: Value) {
        self.switches().id_token_over = over;
    }

    /// Claims laid over every JWT access token from the token endpoint; `null` removes one, `json!({})` ends it.
    pub fn set_access_token_claims(&self, over: Value) {
        self.switches().access_token_over = over;
    }

    /// Members laid over the discovery document; `null` removes one, `json!({})` ends it.
    pub fn set_discovery(&self, over: Value) {
        self.switches().discovery_over = over;
    }

    /// An endpoint (names as in [`Tenant::requests`]) answers nothing but this status; `None` ends it.
    pub fn set_outage(&self, endpoint: &str, status: Option<u16>) {
        let endpoint = Endpoint::named(endpoint);
        match status {
            Some(status) => self.switches().outages.insert(endpoint, status),
            None => self.switches().outages.remove(&endpoint),
        };
    }

    /// An endpoint answers this much later.
    pub fn set_delay(&self, endpoint: &str, delay: Duration) {
        self.switches().delays.insert(Endpoint::named(endpoint), delay);
    }

    /// Ends every sign-on session at the tenant: the next authorization shows the sign-in page again.
    pub fn forget_sessions(&self) {
        self.shared.store().forget_sessions();
    }

    fn switches(&self) -> MutexGuard<'_, Switches> {
        self.shared.switches()
    }

    fn known_user(&self, persona: &str) -> User {
        self.shared.user(persona).unwrap_or_else(|| panic!("no user `{persona}`"))
    }

    fn first_client(&self) -> &str {
        self.shared.settings.clients.first().map_or(CLIENT_ID, |client| client.id.as_str())
    }
}

/// What every handler sees.
#[derive(Debug)]
struct Shared {
    issuer: String,
    settings: TenantSettings,
    /// Apart from the settings, because people change while the tenant runs.
    users: Mutex<Vec<User>>,
    switches: Mutex<Switches>,
    keys: Mutex<KeyRing>,
    store: Mutex<Store>,
    record: Record,
}

/// What a test may turn while the tenant runs.
#[derive(Debug, Clone)]
struct Switches {
    token_dialect: TokenDialect,
    callback_iss: bool,
    rp_initiated_logout: bool,
    refresh_leeway: Duration,
    clock_offset: i64,
    id_token_over: Value,
    access_token_over: Value,
    discovery_over: Value,
    outages: HashMap<Endpoint, u16>,
    delays: HashMap<Endpoint, Duration>,
}

impl Switches {
    fn of(settings: &TenantSettings) -> Switches {
        Switches {
            token_dialect: settings.token_dialect,
            callback_iss: settings.callback_iss,
            rp_initiated_logout: settings.rp_initiated_logout,
            refresh_leeway: settings.refresh_leeway,
            clock_offset: 0,
            id_token_over: json!({}),
            access_token_over: json!({}),
            discovery_over: json!({}),
            outages: HashMap::new(),
            delays: HashMap::new(),
        }
    }
}

impl Shared {
    fn switches(&self) -> MutexGuard<'_, Switches> {
        lock(&self.switches)
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        lock(&self.store)
    }

    fn user(&self, name: &str) -> Option<User> {
        lock(&self.users).iter().find(|user| user.is(name)).cloned()
    }

    fn client(&self, id: &str) -> Option<&Client> {
        self.settings.clients.iter().find(|client| client.id == id)
    }

    fn api(&self, identifier: &str) -> Option<&Api> {
        self.settings.apis.iter().find(|api| api.identifier == identifier)
    }

    /// Seconds since 1970 by the tenant's own, possibly wrong, clock.
    fn now(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX) + self.switches().clock_offset
    }

    /// `path` without a leading slash.
    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.issuer)
    }
}

fn routes(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/", get(discovery::home))
        .route("/.well-known/openid-configuration", get(discovery::document))
        .route("/.well-known/jwks.json", get(discovery::jwks))
        .route("/authorize", get(authorize::show).post(authorize::submit))
        .route("/u/login", get(login_page::show).post(login_page::submit))
        .route("/oauth/token", post(token::redeem))
        .route("/oauth/revoke", post(refresh::revoke))
        .route("/userinfo", get(userinfo::show).post(userinfo::show))
        .route("/v2/logout", get(logout::v2))
        .route("/oidc/logout", get(logout::oidc).post(logout::oidc_form))
        .layer(middleware::from_fn_with_state(shared.clone(), record::watch))
        .layer(DefaultBodyLimit::max(64 * 1024))
        .with_state(shared)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic in one test's handler must not fail the others.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
