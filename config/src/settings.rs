//! What will run: every value checked, every file named, every rule compiled.
//!
//! `Settings` is only made by [`crate::load`]. A value of it is a promise that nothing in it is half-valid.

mod requests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use doorward_policy::access::Policy;
use doorward_policy::identity::AttributeMapping;
use doorward_policy::secret::Secret;
use doorward_policy::session::SealingKeys;
use doorward_policy::token::{Algorithm, StaticKey};
use ipnet::IpNet;
use url::Url;

pub use crate::key_ring::{KeyRing, KeyRingFault};
pub use crate::provider_address::{AddressFault, may_be_asked};
pub use requests::{Placeholder, RequestTemplate, Requests, Revalidate, RevalidateBy, Template, TemplatePart};

/// Everything the edge needs to run.
#[derive(Debug)]
pub struct Settings {
    pub server: Server,
    /// In the order of the file; a route names its provider by index.
    pub providers: Vec<Arc<Provider>>,
    pub session: Session,
    /// Routes, rules, identity mapping and header mapping: what `doorward-policy` decides by.
    pub policy: Policy,
    /// The I/O half of each route, in the same order as `policy.routes()`.
    pub routes: Vec<RouteSettings>,
    /// What the operator expects of the policy: `doorward test` tries it.
    pub tests: Vec<PolicyTest>,
}

/// The listeners and what they allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// TLS listeners; none where only other proxies ask.
    pub listen: Vec<Listen>,
    /// Where other proxies ask.
    pub hooks: Option<Hooks>,
    /// Plain listeners that only redirect to https.
    pub redirect: Vec<SocketAddr>,
    /// Metrics and health.
    pub admin: Option<SocketAddr>,
    /// The port in the address bar of browsers.
    pub public_port: u16,
    /// Where our own endpoints live; begins with `/`, no trailing slash.
    pub prefix: String,
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    pub tls: Tls,
    /// Worker threads; `None`: one for each core.
    pub cores: Option<usize>,
    pub limits: Limits,
    /// How long requests in flight may take to finish once asked to stop.
    pub drain: Duration,
    /// The value of `Strict-Transport-Security` (RFC 6797 §6.1), ready to send.
    pub hsts: Option<String>,
    /// A folder of our own files: sessions of `store: file`, and revocations.
    pub state_dir: Option<PathBuf>,
    /// The one host where people sign in, for all others; canonical, without port.
    pub public_host: Option<String>,
    /// What an admin call that changes something must present.
    pub admin_token: Option<Secret<String>>,
    /// True when it is the one printed in the examples: `serve` refuses it.
    pub example_admin_token: bool,
    /// A folder with pages instead of ours.
    pub pages: Option<PathBuf>,
    /// A denial says which rule denied, and what was missing.
    pub explain_denials: bool,
    /// Where sign-ins, sign-outs, denials and admin calls are written down.
    pub audit_log: Option<AuditLog>,
    pub access_log: AccessLines,
}

/// Which requests have a line in the access log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessLines {
    All,
    /// What was not passed on, was answered 5xx or not at all, or broke off; and connections that were refused.
    Refused,
    Off,
}

/// Where the audit log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditLog {
    Stdout,
    File(PathBuf),
}

/// One request and what is expected to become of it.
#[derive(Debug, Clone)]
pub struct PolicyTest {
    pub name: String,
    /// Where it stands in the file, counted from 1.
    pub line: usize,
    pub method: http::Method,
    pub url: String,
    /// `None`: nobody has signed in.
    pub claims: Option<serde_json::Map<String, serde_json::Value>>,
    /// Who says so; `None`: the route's first provider.
    pub provider: Option<String>,
    /// `None`: a session, or a bearer token where the route accepts nothing else.
    pub proof: Option<doorward_policy::identity::Proof>,
    pub client: Option<std::net::IpAddr>,
    /// Seconds since 1970; `None`: now.
    pub at: Option<i64>,
    pub expect: Expect,
    /// The rule that decides.
    pub rule: Option<String>,
    /// The label of the reason of a denial.
    pub reason: Option<String>,
    /// What the app is told: exact values; an empty one is an absent field.
    pub headers: Vec<(http::HeaderName, String)>,
    pub roles: Option<Vec<String>>,
}

/// What is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    Allow,
    Deny,
    /// To be sent to sign in.
    SignIn,
    /// To be asked for a bearer token.
    Token,
    /// To be asked to sign in again.
    StepUp,
}

/// One TLS listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    pub address: SocketAddr,
    /// `Some`: every connection must come from one of these networks and begin with a PROXY protocol header.
    pub proxy_protocol: Option<Vec<IpNet>>,
}

/// The listeners on which other proxies ask before they pass a request on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hooks {
    pub listen: Vec<SocketAddr>,
    /// Where Envoy asks over gRPC (`envoy.service.auth.v3.Authorization`).
    pub grpc: Vec<SocketAddr>,
    /// Both speak TLS, with the certificates of [`Server::tls`].
    pub tls: bool,
    /// Who may ask: at least one network, none of them `/0` or `/1`.
    pub trusted_peers: Vec<IpNet>,
    /// What a peer must also send, in `X-Doorward-Secret`.
    pub secret: Option<Secret<String>>,
    /// True when it is the one printed in the examples: `serve` refuses it.
    pub example_secret: bool,
    /// PEM of the CA that must have signed a peer's client certificate. Only with `tls`.
    pub client_ca: Option<Vec<u8>>,
    /// `Some`: the endpoints of oauth2-proxy are served too, and this says where its check finds the original request.
    pub oauth2_proxy: Option<OriginalRequest>,
}

/// The fields in which a proxy says what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OriginalRequest {
    /// `X-Original-URL` and `X-Original-Method`, as ingress-nginx sends them.
    XOriginal,
    /// `X-Forwarded-Method`, `-Proto`, `-Host` and `-Uri`, as Traefik sends them.
    XForwarded,
}

/// Certificates and versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The first answers for unknown names. Empty only where nothing speaks TLS.
    pub certificates: Vec<CertificateFiles>,
    pub min_version: TlsVersion,
}

/// A certificate chain and its key, both PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// The lowest TLS version offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsVersion {
    Tls12,
    Tls13,
}

/// Bounds on what a client may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections in total.
    pub connections: usize,
    /// Connections for each client: an IPv4 address or an IPv6 /64.
    pub connections_per_client: usize,
    /// From accept to a finished TLS handshake (PROXY header included).
    pub handshake: Duration,
    /// From the first byte of a request header to its end, and for the HTTP/2 preface.
    pub header: Duration,
    /// Between two requests on one connection.
    pub idle: Duration,
    /// A whole request header, in bytes.
    pub header_bytes: usize,
    /// Fields in a request header.
    pub header_fields: usize,
    /// A request body in bytes; `None`: no limit. Routes carry their own copy.
    pub body: Option<u64>,
    /// Sign-ins begun, and codes brought back, for each client and minute.
    pub sign_ins_per_client: u32,
    /// Tokens and cookies that are no good, for each client and minute.
    pub bad_credentials_per_client: u32,
    /// Tokens verified (for each provider) and session cookies opened that are kept, so that nobody verifies them twice.
    pub remembered: usize,
}

/// One identity provider.
#[derive(Debug, PartialEq, Eq)]
pub struct Provider {
    /// Its key in the file; also the last segment of its callback path.
    pub name: String,
    pub kind: ProviderKind,
    /// Byte-exact, as in `iss` (Auth0's ends in `/`).
    pub issuer: String,
    pub client_id: String,
    pub client_auth: ClientAuth,
    /// The API identifier requested, and the audience that bearer tokens must carry.
    pub audience: Option<String>,
    /// Space-joined.
    pub scope: String,
    pub organization: Option<String>,
    pub connection: Option<String>,
    /// Further parameters of the authorization request; none of our own names.
    pub authorize: BTreeMap<String, String>,
    /// Paths that answer as this provider's callback besides `<prefix>/callback/<name>`.
    pub callback_aliases: Vec<String>,
    /// Which signature algorithms its tokens may use.
    pub algorithms: Vec<Algorithm>,
    pub access_token_type: AccessTokenType,
    /// PEM of the CA that signs the provider's certificate, instead of the system's.
    pub ca: Option<Vec<u8>>,
    /// Plain http is allowed: only for loopback issuers.
    pub insecure_http: bool,
    pub userinfo: bool,
    /// Path on the app's host where the provider sends the browser after sign-out.
    pub after_logout: String,
    /// What people read on the page that lets them choose.
    pub label: String,
    /// Not on that page.
    pub hidden: bool,
    /// Lower case. Addresses of these domains sign in here.
    pub email_domains: Vec<String>,
    pub response_mode: ResponseMode,
    /// A sign-in may begin at this provider's word (OIDC Core §4).
    pub third_party_login: bool,
    /// Authorization parameters that a link to `login` may set.
    pub login_parameters: Vec<LoginParameter>,
    /// The refresh token is revoked there at sign-out (RFC 7009).
    pub revoke_on_logout: bool,
    /// Its claims under our names.
    pub attributes: AttributeMapping,
    /// How our requests differ from the standard's.
    pub requests: Requests,
    pub keys: KeySource,
    /// Bearer tokens are asked about again, besides being verified.
    pub revalidate: Option<Revalidate>,
}

/// Where a provider's keys come from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum KeySource {
    /// What its metadata names.
    #[default]
    Discovered,
    /// This address instead.
    Jwks(Url),
    /// Keys that the operator holds; none is ever fetched.
    Static(Vec<StaticKey>),
}

/// How the provider sends its answer (OAuth 2.0 Multiple Response Types §2.1, Form Post Response Mode).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseMode {
    Query,
    FormPost,
}

/// A parameter of the authorization request that does not change what is asked for (OIDC Core §3.1.2.1, Auth0's `/authorize`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginParameter {
    LoginHint,
    UiLocales,
    ScreenHint,
    Organization,
    Invitation,
    Connection,
}

impl LoginParameter {
    pub const ALL: &'static [Self] =
        &[Self::LoginHint, Self::UiLocales, Self::ScreenHint, Self::Organization, Self::Invitation, Self::Connection];

    /// As it is written, here and in the request.
    pub fn name(self) -> &'static str {
        match self {
            Self::LoginHint => "login_hint",
            Self::UiLocales => "ui_locales",
            Self::ScreenHint => "screen_hint",
            Self::Organization => "organization",
            Self::Invitation => "invitation",
            Self::Connection => "connection",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderKind {
    Auth0,
    Oidc,
}

/// How we authenticate at the token endpoint (OIDC Core §9).
#[derive(Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// `client_secret_post`
    Post(Secret<String>),
    /// `client_secret_basic`
    Basic(Secret<String>),
    /// A public client: PKCE alone.
    None,
    /// `private_key_jwt` (RFC 7523)
    PrivateKeyJwt { key: Secret<Vec<u8>>, algorithm: Algorithm, kid: Option<String> },
}

/// Which `typ` an access token must carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessTokenType {
    /// `at+jwt` (RFC 9068 §4)
    AtJwt,
    /// `JWT` or absent.
    Jwt,
    /// Auth0 issues either, depending on the API's token dialect.
    Either,
}

/// Sessions: where they are kept, what seals them, and how long they live.
#[derive(Debug)]
pub struct Session {
    /// Where the sealing keys come from: read again when a file changes.
    pub key_ring: Arc<KeyRing>,
    /// The keys as they were when the configuration was read. The first seals, all of them open.
    pub keys: SealingKeys,
    /// True when the key is the one printed in the examples: `serve` refuses it.
    pub example_key: bool,
    /// Without a request for this long, the session ends.
    pub idle: Duration,
    /// After this long, it ends whatever happens.
    pub lifetime: Duration,
    pub store: StoreKind,
    /// With `store: redis`, or to share revocations of cookie sessions.
    pub redis: Option<Redis>,
    /// `None`: tokens are not refreshed. Only with a store on our side.
    pub refresh: Option<Refresh>,
    /// One cookie for this domain and all below it; canonical.
    pub domain: Option<String>,
    /// Exact addresses besides our own hosts where a sign-out may lead.
    pub logout_targets: Vec<String>,
}

/// Where sessions are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreKind {
    /// In the browser: sealed claims, no tokens.
    Cookie,
    /// In this process.
    Memory,
    /// In [`Server::state_dir`].
    File,
    Redis,
}

impl StoreKind {
    /// Whether sessions are kept on our side, and the cookie only names one.
    pub fn is_server_side(self) -> bool {
        match self {
            Self::Cookie => false,
            Self::Memory | Self::File | Self::Redis => true,
        }
    }
}

/// Redis or Valkey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redis {
    pub topology: RedisTopology,
    pub tls: bool,
    /// PEM, instead of the system's trust store.
    pub ca: Option<Vec<u8>>,
    pub username: Option<String>,
    pub password: Option<Secret<String>>,
    pub database: i64,
    /// Before each of our keys.
    pub prefix: String,
}

/// Which servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedisTopology {
    Single { host: String, port: u16 },
    Sentinel { sentinels: Vec<(String, u16)>, master: String },
    Cluster(Vec<(String, u16)>),
}

/// When access tokens are renewed (RFC 6749 §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refresh {
    /// This long before an access token ends.
    pub ahead: Duration,
    /// While the provider cannot be reached, a session goes on this long after it.
    pub grace: Duration,
}

/// What `doorward-proxy` needs to forward a permitted request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteSettings {
    /// `None`: only other proxies ask about it.
    pub upstream: Option<Upstream>,
    /// A request body in bytes; `None`: no limit.
    pub body_limit: Option<u64>,
    /// A form whose session ended is kept, and offered again after sign-in.
    pub keep_form: bool,
    /// The fragment of an address survives the way to sign-in.
    pub keep_fragment: bool,
}

/// One app: the same content behind every server of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Host and port of each; resolved in the background, never by a request.
    pub servers: Vec<UpstreamServer>,
    pub protocol: UpstreamProtocol,
    /// `Some`: TLS towards the servers.
    pub tls: Option<UpstreamTls>,
    pub host: UpstreamHost,
    pub health: Option<HealthCheck>,
    pub connect: Duration,
    pub read: Duration,
    pub write: Duration,
    pub rewrite: Rewrite,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamServer {
    /// A DNS name or an address, without brackets.
    pub host: String,
    pub port: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamProtocol {
    Http1,
    /// HTTP/2 over TLS, by ALPN.
    H2,
    /// HTTP/2 without TLS, by prior knowledge.
    H2c,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamTls {
    /// PEM; `None`: the system's trust store.
    pub ca: Option<Vec<u8>>,
    /// The name that the certificate must carry.
    pub server_name: String,
}

/// Which `Host` the app sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpstreamHost {
    /// The one the client asked for.
    Keep,
    /// The upstream's own `host:port`.
    Upstream,
    Fixed(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    pub path: String,
    pub every: Duration,
}

/// What happens to the path on its way to the app. The query stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rewrite {
    Keep,
    /// Replace this prefix (whole segments) with `to` (`/` for stripping).
    Prefix {
        from: String,
        to: String,
    },
}
