//! What the stand-in tenant knows when it starts: applications, APIs, people, lifetimes.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_json::{Map, Value, json};
use url::Url;

/// Everything that makes a tenant. [`TenantSettings::default`] is the one of the demo: one confidential application
/// (`CLIENT_ID`, `CLIENT_SECRET`) with callbacks on any `https://*.localhost`, one API (`AUDIENCE`) and the three
/// personas Ada, Eddie and Vera.
#[derive(Debug, Clone)]
pub struct TenantSettings {
    /// Loopback only. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// `iss` and the base of all endpoints, with a trailing slash. `None`: `http://<address>/`.
    pub issuer: Option<String>,
    pub clients: Vec<Client>,
    pub apis: Vec<Api>,
    pub users: Vec<User>,
    pub organizations: Vec<Organization>,
    pub connections: Vec<String>,
    /// The tenant's own list: used by sign-outs that name no application.
    pub logout_urls: UrlRules,
    pub lifetimes: Lifetimes,
    pub token_dialect: TokenDialect,
    /// Send `iss` with the authorization response (RFC 9207). Auth0 does not, unless told to.
    pub callback_iss: bool,
    /// Publish `end_session_endpoint` and answer there.
    pub rp_initiated_logout: bool,
    /// How long the refresh token before the current one may still be used.
    pub refresh_leeway: Duration,
}

/// An application.
#[derive(Debug, Clone)]
pub struct Client {
    pub id: String,
    /// Shown on the sign-in page.
    pub name: String,
    pub auth: ClientAuth,
    pub callbacks: UrlRules,
    pub logout_urls: UrlRules,
    /// `authorization_code`, `refresh_token`, `client_credentials`.
    pub grant_types: Vec<String>,
    /// Client grants: API identifier to the scopes that `client_credentials` yields.
    pub machine_scopes: BTreeMap<String, Vec<String>>,
    pub refresh_rotation: bool,
}

/// The one way in which an application authenticates at the token endpoint (OIDC Core §9). Another way is refused, as
/// Auth0 does.
#[derive(Clone)]
pub enum ClientAuth {
    Post(String),
    Basic(String),
    None,
    /// PEM of the RSA public key that verifies the assertion (RFC 7523).
    PrivateKeyJwt(String),
}

/// Which URLs may be redirected to.
#[derive(Debug, Clone, Default)]
pub struct UrlRules {
    /// Compared byte by byte.
    pub exact: Vec<String>,
    /// Also `https://localhost` and `https://<anything>.localhost`, any port and path.
    pub any_localhost: bool,
    /// Also whatever this says yes to.
    pub also: Option<fn(&Url) -> bool>,
}

/// An API ("resource server").
#[derive(Debug, Clone)]
pub struct Api {
    pub identifier: String,
    pub scopes: Vec<String>,
    pub token_lifetime: Duration,
    pub allow_offline_access: bool,
    /// RBAC: a user gets only the scopes that are among their permissions.
    pub enforce_permissions: bool,
}

/// A person.
#[derive(Clone)]
pub struct User {
    pub sub: String,
    pub email: String,
    pub email_verified: bool,
    pub name: String,
    pub nickname: String,
    /// `None`: can only be picked by button or by [`super::Tenant::sign_in`].
    pub password: Option<String>,
    pub permissions: Vec<String>,
    /// Appear as `https://acme.dev/roles`, as an Action of the tenant would add them.
    pub roles: Vec<String>,
    /// Further custom claims of both tokens, under their full names.
    pub app_claims: Map<String, Value>,
    pub organizations: Vec<String>,
    pub blocked: bool,
}

#[derive(Debug, Clone)]
pub struct Organization {
    pub id: String,
    pub name: String,
}

#[derive(Debug, Clone)]
pub struct Lifetimes {
    pub code: Duration,
    pub id_token: Duration,
    /// Of access tokens without an audience; the others take their API's.
    pub opaque_access_token: Duration,
    pub refresh_token: Duration,
    pub session: Duration,
}

/// An API's `token_dialect`: the shape of its access tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenDialect {
    /// `typ: JWT`, `azp`, no `permissions`.
    AccessToken,
    /// `typ: JWT`, `azp`, `permissions`. No `jti`.
    AccessTokenAuthz,
    /// `typ: at+jwt`, `client_id`, `jti` (RFC 9068), no `permissions`.
    Rfc9068Profile,
    /// `typ: at+jwt`, `client_id`, `jti`, `permissions`.
    Rfc9068ProfileAuthz,
}

impl TenantSettings {
    pub fn client(mut self, client: Client) -> Self {
        self.clients.retain(|known| known.id != client.id);
        self.clients.push(client);
        self
    }

    pub fn api(mut self, api: Api) -> Self {
        self.apis.retain(|known| known.identifier != api.identifier);
        self.apis.push(api);
        self
    }

    pub fn user(mut self, user: User) -> Self {
        self.users.retain(|known| known.sub != user.sub);
        self.users.push(user);
        self
    }

    pub fn organization(mut self, id: &str, name: &str) -> Self {
        self.organizations.push(Organization { id: id.into(), name: name.into() });
        self
    }
}

impl Default for TenantSettings {
    fn default() -> Self {
        TenantSettings {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            issuer: None,
            clients: vec![Client::confidential(CLIENT_ID, CLIENT_SECRET)],
            apis: vec![Api::new(AUDIENCE, &["read:items", "write:items", "device:read", "device:admin"])],
            users: User::personas(),
            organizations: Vec::new(),
            connections: vec!["Username-Password-Authentication".into(), "google-oauth2".into()],
            logout_urls: UrlRules::default(),
            lifetimes: Lifetimes::default(),
            token_dialect: TokenDialect::AccessTokenAuthz,
            callback_iss: false,
            rp_initiated_logout: true,
            refresh_leeway: Duration::ZERO,
        }
    }
}

impl Client {
    /// A regular web application: `client_secret_post`, code and refresh grants, callbacks and sign-out URLs on any
    /// `https://*.localhost`.
    pub fn confidential(id: &str, secret: &str) -> Client {
        Client {
            id: id.into(),
            name: "Acme".into(),
            auth: ClientAuth::Post(secret.into()),
            callbacks: UrlRules::localhost(),
            logout_urls: UrlRules::localhost(),
            grant_types: vec!["authorization_code".into(), "refresh_token".into()],
            machine_scopes: BTreeMap::new(),
            refresh_rotation: true,
        }
    }

    /// A single-page or native application: no secret, PKCE required.
    pub fn public(id: &str) -> Client {
        Client { auth: ClientAuth::None, ..Client::confidential(id, "") }
    }

    /// A machine-to-machine application with one client grant.
    pub fn machine(id: &str, secret: &str, audience: &str, scopes: &[&str]) -> Client {
        Client {
            grant_types: vec!["client_credentials".into()],
            machine_scopes: BTreeMap::from([(audience.to_owned(), strings(scopes))]),
            ..Client::confidential(id, secret)
        }
    }

    pub fn auth(mut self, auth: ClientAuth) -> Client {
        self.auth = auth;
        self
    }

    /// Adds an allowed callback URL, compared exactly.
    pub fn callback(mut self, url: &str) -> Client {
        self.callbacks.exact.push(url.into());
        self
    }

    /// Adds an allowed sign-out URL.
    pub fn logout_url(mut self, url: &str) -> Client {
        self.logout_urls.exact.push(url.into());
        self
    }

    pub(super) fn may_use(&self, grant_type: &str) -> bool {
        self.grant_types.iter().any(|known| known == grant_type)
    }
}

impl std::fmt::Debug for ClientAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            ClientAuth::Post(_) => "Post([redacted])",
            ClientAuth::Basic(_) => "Basic([redacted])",
            ClientAuth::None => "None",
            ClientAuth::PrivateKeyJwt(_) => "PrivateKeyJwt(..)",
        })
    }
}

impl UrlRules {
    pub fn none() -> UrlRules {
        UrlRules::default()
    }

    pub fn localhost() -> UrlRules {
        UrlRules { any_localhost: true, ..UrlRules::default() }
    }

    pub fn exactly(urls: &[&str]) -> UrlRules {
        UrlRules { exact: strings(urls), ..UrlRules::default() }
    }

    /// Redirect URIs are compared as strings (RFC 6749 §3.1.2.3, RFC 9700 §2.1).
    pub(super) fn allow(&self, url: &str) -> bool {
        self.exact.iter().any(|known| known == url) || self.allow_by_rule(url)
    }

    /// `/v2/logout` compares without query and fragment.
    pub(super) fn allow_without_query(&self, url: &str) -> bool {
        let bare = |url: &str| url.split(['?', '#']).next().unwrap_or_default().to_owned();
        self.exact.iter().any(|known| bare(known) == bare(url)) || self.allow_by_rule(url)
    }

    fn allow_by_rule(&self, url: &str) -> bool {
        let Ok(url) = Url::parse(url) else {
            return false;
        };
        if url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
            return false;
        }
        let host = url.host_str().unwrap_or_default();
        (self.any_localhost && url.scheme() == "https" && (host == "localhost" || host.ends_with(".localhost")))
            || self.also.is_some_and(|rule| rule(&url))
    }
}

impl Api {
    /// With RBAC, offline access, and tokens for a day.
    pub fn new(identifier: &str, scopes: &[&str]) -> Api {
        Api {
            identifier: identifier.into(),
            scopes: strings(scopes),
            token_lifetime: Duration::from_secs(86_400),
            allow_offline_access: true,
            enforce_permissions: true,
        }
    }
}

impl User {
    /// A person with the password `demo`, a verified e-mail address and no rights.
    pub fn new(sub: &str, email: &str, name: &str) -> User {
        User {
            sub: sub.into(),
            email: email.into(),
            email_verified: true,
            name: name.into(),
            nickname: email.split('@').next().unwrap_or_default().into(),
            password: Some(PASSWORD.into()),
            permissions: Vec::new(),
            roles: Vec::new(),
            app_claims: Map::new(),
            organizations: Vec::new(),
            blocked: false,
        }
    }

    pub fn roles(mut self, roles: &[&str]) -> User {
        self.roles = strings(roles);
        self
    }

    pub fn permissions(mut self, permissions: &[&str]) -> User {
        self.permissions = strings(permissions);
        self
    }

    /// Adds a custom claim under its full name.
    pub fn claim(mut self, name: &str, value: Value) -> User {
        self.app_claims.insert(name.into(), value);
        self
    }

    pub fn member_of(mut self, organization: &str) -> User {
        self.organizations.push(organization.into());
        self
    }

    pub fn blocked(mut self) -> User {
        self.blocked = true;
        self
    }

    /// Ada the admin, Eddie the editor and Vera the viewer.
    pub fn personas() -> Vec<User> {
        vec![
            User::new("auth0|ada", "ada@acme.dev", "Ada Admin")
                .roles(&["admin"])
                .permissions(&["read:items", "write:items", "device:read", "device:admin"])
                .claim("https://acme.dev/groups", json!(["staff", "platform"])),
            User::new("auth0|eddie", "eddie@acme.dev", "Eddie Editor")
                .roles(&["editor"])
                .permissions(&["read:items", "write:items", "device:read"])
                .claim("https://acme.dev/groups", json!(["staff", "content"])),
            User::new("auth0|vera", "vera@acme.dev", "Vera Viewer")
                .roles(&["viewer"])
                .permissions(&["read:items", "device:read"])
                .claim("https://acme.dev/groups", json!(["partners"])),
        ]
    }

    /// Whether `name` means this person: `sub`, e-mail address or nickname.
    pub(super) fn is(&self, name: &str) -> bool {
        name == self.sub || name.eq_ignore_ascii_case(&self.email) || name.eq_ignore_ascii_case(&self.nickname)
    }
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User").field("sub", &self.sub).field("email", &self.email).finish_non_exhaustive()
    }
}

impl Default for Lifetimes {
    fn default() -> Self {
        Lifetimes {
            code: Duration::from_secs(60),
            id_token: Duration::from_secs(36_000),
            opaque_access_token: Duration::from_secs(86_400),
            refresh_token: Duration::from_secs(2_592_000),
            session: Duration::from_secs(7 * 86_400),
        }
    }
}

impl TokenDialect {
    pub(super) fn is_rfc9068(self) -> bool {
        matches!(self, TokenDialect::Rfc9068Profile | TokenDialect::Rfc9068ProfileAuthz)
    }

    pub(super) fn has_permissions(self) -> bool {
        matches!(self, TokenDialect::AccessTokenAuthz | TokenDialect::Rfc9068ProfileAuthz)
    }
}

fn strings(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

/// The application of [`TenantSettings::default`].
pub const CLIENT_ID: &str = "doorward-demo";
/// Its secret.
pub const CLIENT_SECRET: &str = "stand-in-secret-never-for-production";
/// The API of [`TenantSettings::default`].
pub const AUDIENCE: &str = "https://api.acme.dev";
/// The password of every persona.
pub const PASSWORD: &str = "demo";
/// The claim that carries [`User::roles`].
pub const ROLES_CLAIM: &str = "https://acme.dev/roles";
