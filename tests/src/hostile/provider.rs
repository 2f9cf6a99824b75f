//! The endpoints when they do everything right, and what they remember.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use url::Url;

use super::fault::{Fault, Reply};
use super::forge::{Forge, Signature, Token};
use super::keys::{KeyRing, base64url};
use super::wire::Request;
use super::{Endpoint, Profile, Shared};

const ID_TOKEN_LIFETIME: i64 = 36_000;
/// That of a logout token, in seconds.
const LOGOUT_TOKEN_LIFETIME: i64 = 120;
const ACCESS_TOKEN_LIFETIME: i64 = 86_400;
const CODE_LIFETIME: i64 = 60;

/// Who signs in.
#[derive(Debug, Clone, PartialEq)]
pub struct User {
    pub sub: String,
    /// In the ID token, the access token and at the userinfo endpoint.
    pub claims: Value,
}

impl User {
    /// Somebody without any claim.
    pub fn new(sub: &str) -> Self {
        Self { sub: sub.to_owned(), claims: json!({}) }
    }

    /// An administrator.
    pub fn ada() -> Self {
        Self::staff("ada", "Ada Admin", &["admin"])
    }

    /// Somebody who writes.
    pub fn eddie() -> Self {
        Self::staff("eddie", "Eddie Editor", &["editor"])
    }

    /// Somebody who only reads.
    pub fn vera() -> Self {
        Self::staff("vera", "Vera Viewer", &["viewer"])
    }

    /// The same user with this claim.
    pub fn with(mut self, claim: &str, value: impl Into<Value>) -> Self {
        self.claims[claim] = value.into();
        self
    }

    fn staff(nickname: &str, name: &str, roles: &[&str]) -> Self {
        Self::new(&format!("auth0|{nickname}"))
            .with("email", format!("{nickname}@acme.dev"))
            .with("email_verified", true)
            .with("name", name)
            .with("nickname", nickname)
            .with("https://acme.dev/roles", roles)
    }
}

/// An authorization request, as a browser would bring it (OIDC Core §3.1.2.1).
#[derive(Debug, Clone)]
pub struct Authorization {
    /// Without its query.
    pub endpoint: String,
    /// Every parameter, in order.
    pub parameters: Vec<(String, String)>,
}

impl Authorization {
    /// Reads the `Location` of a redirect.
    ///
    /// # Panics
    /// If it is not an absolute URL.
    pub fn parse(location: &str) -> Self {
        let mut url = Url::parse(location).unwrap_or_else(|problem| panic!("Location `{location}`: {problem}"));
        let parameters = url.query_pairs().into_owned().collect();
        url.set_query(None);
        Self { endpoint: url.into(), parameters }
    }

    /// The one value of this parameter.
    ///
    /// # Panics
    /// If there are several: no provider has to say which of them counts.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.parameters.iter().filter(|(present, _)| present == name).map(|(_, value)| value.as_str());
        let value = values.next();
        assert!(values.next().is_none(), "the parameter `{name}` comes more than once: {self:?}");
        value
    }

    /// As [`get`](Self::get), for a parameter that has to be there.
    ///
    /// # Panics
    /// If it is missing.
    pub fn must(&self, name: &str) -> &str {
        self.get(name).unwrap_or_else(|| panic!("no parameter `{name}`: {self:?}"))
    }

    /// The redirect URI with the `state` and these parameters.
    pub fn callback(&self, parameters: &[(&str, &str)]) -> String {
        let mut url = Url::parse(self.must("redirect_uri")).expect("the redirect_uri is an absolute URL");
        url.query_pairs_mut().extend_pairs(parameters).append_pair("state", self.must("state"));
        url.into()
    }

    /// What a provider refuses, a test must not overlook.
    pub(super) fn check(&self, endpoint: &str, profile: &Profile) {
        assert_eq!(self.endpoint, endpoint, "not the authorization endpoint of this provider");
        assert_eq!(self.must("response_type"), "code");
        assert_eq!(self.must("client_id"), profile.client_id);
        assert_eq!(self.must("code_challenge_method"), "S256");
        // RFC 7636 §4.2: the base64url of a SHA-256.
        assert_eq!(self.must("code_challenge").len(), 43, "not an S256 challenge");
        assert!(self.must("scope").split(' ').any(|scope| scope == "openid"), "scope without `openid`");
        assert!(!self.must("state").is_empty() && !self.must("nonce").is_empty());
    }
}

/// What a code stands for.
#[derive(Debug)]
struct Code {
    redirect_uri: String,
    challenge: String,
    nonce: String,
    scope: String,
    audience: Option<String>,
    user: User,
    expires: i64,
}

/// What a refresh token stands for.
#[derive(Debug, Clone)]
struct Grant {
    /// Of the sign-in: a used token that comes back ends them all (RFC 9700 §4.14.2).
    family: String,
    scope: String,
    audience: Option<String>,
    user: User,
    used: bool,
}

/// Everything that changes while the provider runs.
pub(super) struct State {
    pub(super) keys: KeyRing,
    pub(super) faults: HashMap<Endpoint, Fault>,
    pub(super) next_faults: HashMap<Endpoint, VecDeque<Fault>>,
    pub(super) next_id_tokens: VecDeque<Forge>,
    pub(super) next_access_tokens: VecDeque<Forge>,
    /// Seconds that this provider's clock is ahead of ours.
    pub(super) skew: i64,
    pub(super) log: Vec<Request>,
    codes: HashMap<String, Code>,
    users_by_token: HashMap<String, User>,
    grants: HashMap<String, Grant>,
    /// Each refresh brings a new refresh token.
    pub(super) rotates: bool,
    /// Seconds that access tokens live.
    pub(super) access_lifetime: i64,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("faults", &self.faults).field("skew", &self.skew).finish_non_exhaustive()
    }
}

impl Shared {
    /// Logs the request, does what it asks, and says how the answer goes wrong.
    pub(super) fn answer(&self, mut request: Request) -> (Reply, Option<Fault>) {
        request.endpoint = self.endpoint_at(request.path());
        let mut state = self.state();
        state.log.push(request.clone());
        let right = match request.endpoint {
            Endpoint::Discovery => Reply::json(200, &self.metadata()),
            Endpoint::Jwks => Reply::json(200, &state.keys.jwks()),
            Endpoint::Token => state.redeem(self, &request),
            Endpoint::Userinfo => state.userinfo(&request),
            Endpoint::Revocation => state.revoke(self, &request),
            Endpoint::Introspection => state.introspect(self, &request),
            Endpoint::Authorize | Endpoint::EndSession => Reply::text(200, "text/html", "<title>Provider</title>"),
            Endpoint::Elsewhere => Reply::json(404, &json!({ "error": "not_found" })),
        };
        // What followed a redirect finds everything in order; only then does following it show.
        let followed = request.elsewhere || request.target.ends_with("?moved");
        let fault = if followed { None } else { state.fault_at(request.endpoint) };
        match fault {
            Some(fault) => (fault.bend(right, request.path(), &self.elsewhere), Some(fault)),
            None => (right, None),
        }
    }

    fn endpoint_at(&self, path: &str) -> Endpoint {
        let prefix = self.profile.issuer_path.trim_end_matches('/');
        match path.strip_prefix(prefix) {
            Some("/.well-known/openid-configuration") => Endpoint::Discovery,
            Some("/.well-known/jwks.json") => Endpoint::Jwks,
            Some("/authorize") => Endpoint::Authorize,
            Some("/oauth/token") => Endpoint::Token,
            Some("/userinfo") => Endpoint::Userinfo,
            Some("/oidc/logout") => Endpoint::EndSession,
            Some("/oauth/revoke") => Endpoint::Revocation,
            Some("/oauth/introspect") => Endpoint::Introspection,
            _ => Endpoint::Elsewhere,
        }
    }

    /// OpenID Connect Discovery 1.0 §3.
    fn metadata(&self) -> Value {
        let at = |path: &str| format!("{}{path}", self.base);
        json!({
            "issuer": self.issuer,
            "authorization_endpoint": at("/authorize"),
            "token_endpoint": at("/oauth/token"),
            "userinfo_endpoint": at("/userinfo"),
            "jwks_uri": at("/.well-known/jwks.json"),
            "end_session_endpoint": at("/oidc/logout"),
            "revocation_endpoint": at("/oauth/revoke"),
            "introspection_endpoint": at("/oauth/introspect"),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query", "fragment", "form_post"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256", "plain"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "private_key_jwt", "none"],
            "scopes_supported": ["openid", "profile", "email", "offline_access"],
        })
    }
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            keys: KeyRing::new(),
            faults: HashMap::new(),
            next_faults: HashMap::new(),
            next_id_tokens: VecDeque::new(),
            next_access_tokens: VecDeque::new(),
            skew: 0,
            log: Vec::new(),
            codes: HashMap::new(),
            users_by_token: HashMap::new(),
            grants: HashMap::new(),
            rotates: true,
            access_lifetime: ACCESS_TOKEN_LIFETIME,
        }
    }

    pub(super) fn issue_code(&mut self, authorization: &Authorization, user: &User) -> String {
        let code = random();
        self.codes.insert(
            code.clone(),
            Code {
                redirect_uri: authorization.must("redirect_uri").to_owned(),
                challenge: authorization.must("code_challenge").to_owned(),
                nonce: authorization.must("nonce").to_owned(),
                scope: authorization.must("scope").to_owned(),
                audience: authorization.get("audience").map(str::to_owned),
                user: user.clone(),
                expires: self.now() + CODE_LIFETIME,
            },
        );
        code
    }

    /// The claims of Auth0's access token profile.
    pub(super) fn access_token_for(&self, shared: &Shared, user: &User, scope: &str) -> Token {
        let now = self.now();
        let mut claims = json!({
            "iss": shared.issuer,
            "sub": user.sub,
            "aud": [shared.profile.audience, format!("{}/userinfo", shared.base)],
            "azp": shared.profile.client_id,
            "iat": now,
            "exp": now + self.access_lifetime,
            "scope": scope,
        });
        merge(&mut claims, &user.claims);
        self.token(claims, now)
    }

    /// OIDC Core §2.
    pub(super) fn id_token_for(&self, shared: &Shared, user: &User, nonce: Option<&str>, access_token: &str) -> Token {
        let now = self.now();
        let mut claims = json!({
            "iss": shared.issuer,
            "sub": user.sub,
            "aud": shared.profile.client_id,
            "iat": now,
            "exp": now + ID_TOKEN_LIFETIME,
            "sid": random(),
        });
        if let Some(nonce) = nonce {
            claims["nonce"] = nonce.into();
        }
        merge(&mut claims, &user.claims);
        Token { access_token: access_token.to_owned(), ..self.token(claims, now) }
    }

    /// As Auth0 and others send it: two minutes long, and the session as well as the person where both are known.
    pub(super) fn logout_token_for(&self, shared: &Shared, sub: Option<&str>, sid: Option<&str>) -> Token {
        let now = self.now();
        let mut claims = json!({
            "iss": shared.issuer,
            "aud": shared.profile.client_id,
            "iat": now,
            "exp": now + LOGOUT_TOKEN_LIFETIME,
            "jti": random(),
            "events": { super::forge::LOGOUT_EVENT: {} },
        });
        for (name, value) in [("sub", sub), ("sid", sid)] {
            if let Some(value) = value {
                claims[name] = value.into();
            }
        }
        let mut token = self.token(claims, now);
        token.header["typ"] = json!("logout+jwt");
        token
    }

    fn token(&self, claims: Value, now: i64) -> Token {
        let key = self.keys.current();
        Token {
            header: json!({ "alg": "RS256", "typ": "JWT", "kid": key.kid }),
            claims,
            raw_claims: None,
            signature: Signature::Right,
            access_token: String::new(),
            public_key: key.public_pem(),
            now,
        }
    }

    fn fault_at(&mut self, endpoint: Endpoint) -> Option<Fault> {
        let next = self.next_faults.get_mut(&endpoint).and_then(VecDeque::pop_front);
        next.or_else(|| self.faults.get(&endpoint).cloned())
    }

    /// The token endpoint: RFC 6749 §4.1.3, RFC 7636 §4.6; and §6.
    fn redeem(&mut self, shared: &Shared, request: &Request) -> Reply {
        if !authenticated(request, shared) {
            return oauth_error(401, "invalid_client");
        }
        match request.field("grant_type").as_deref() {
            Some("authorization_code") => {}
            Some("refresh_token") => return self.refresh(shared, request),
            _ => return oauth_error(400, "unsupported_grant_type"),
        }
        // A code is spent by the first attempt, good or bad.
        let Some(code) = request.field("code").and_then(|code| self.codes.remove(&code)) else {
            return oauth_error(400, "invalid_grant");
        };
        let verifier = request.field("code_verifier").unwrap_or_default();
        let challenge = base64url(digest(&SHA256, verifier.as_bytes()));
        let redirect_uri = request.field("redirect_uri").unwrap_or_default();
        if code.redirect_uri != redirect_uri || code.challenge != challenge || code.expires < self.now() {
            return oauth_error(400, "invalid_grant");
        }

        let grant = Grant { family: random(), scope: code.scope, audience: code.audience, user: code.user, used: false };
        let mut answer = self.tokens(shared, &grant, Some(&code.nonce));
        // OIDC Core §11.
        if grant.scope.split(' ').any(|scope| scope == "offline_access") {
            answer["refresh_token"] = self.refresh_token(grant).into();
        }
        Reply::json(200, &answer)
    }

    /// RFC 6749 §6; a used token ends all that came of its sign-in.
    fn refresh(&mut self, shared: &Shared, request: &Request) -> Reply {
        let token = request.field("refresh_token").unwrap_or_default();
        let Some(grant) = self.grants.get_mut(&token) else { return oauth_error(400, "invalid_grant") };
        let family = grant.family.clone();
        if grant.used {
            self.grants.retain(|_, grant| grant.family != family);
            return oauth_error(400, "invalid_grant");
        }
        grant.used = self.rotates;
        let grant = grant.clone();
        let mut answer = self.tokens(shared, &grant, None);
        if self.rotates {
            answer["refresh_token"] = self.refresh_token(Grant { used: false, ..grant }).into();
        }
        Reply::json(200, &answer)
    }

    pub(super) fn refresh_token_for(&mut self, user: &User) -> String {
        let scope = "openid profile email offline_access".to_owned();
        self.refresh_token(Grant { family: random(), scope, audience: None, user: user.clone(), used: false })
    }

    fn refresh_token(&mut self, grant: Grant) -> String {
        let token = format!("refresh-{}", random());
        self.grants.insert(token.clone(), grant);
        token
    }

    /// RFC 7009: an unknown token is a success.
    fn revoke(&mut self, shared: &Shared, request: &Request) -> Reply {
        if !authenticated(request, shared) {
            return oauth_error(401, "invalid_client");
        }
        let family = request.field("token").and_then(|token| self.grants.get(&token)).map(|grant| grant.family.clone());
        self.grants.retain(|_, grant| Some(&grant.family) != family.as_ref());
        Reply::text(200, "text/plain", "")
    }

    fn tokens(&mut self, shared: &Shared, grant: &Grant, nonce: Option<&str>) -> Value {
        // Without an audience Auth0's access token is opaque.
        let access_token = if grant.audience.as_ref() == Some(&shared.profile.audience) {
            let mut token = self.access_token_for(shared, &grant.user, &grant.scope);
            if let Some(change) = self.next_access_tokens.pop_front() {
                change(&mut token);
            }
            self.keys.sign(&token)
        } else {
            random()
        };
        let mut id_token = self.id_token_for(shared, &grant.user, nonce, &access_token);
        if let Some(change) = self.next_id_tokens.pop_front() {
            change(&mut id_token);
        }
        self.users_by_token.insert(access_token.clone(), grant.user.clone());
        json!({
            "access_token": access_token,
            "id_token": self.keys.sign(&id_token),
            "token_type": "Bearer",
            "expires_in": self.access_lifetime,
            "scope": grant.scope,
        })
    }

    pub(super) fn vouch(&mut self, token: &str, user: &User) {
        self.users_by_token.insert(token.to_owned(), user.clone());
    }

    pub(super) fn withdraw(&mut self, token: &str) {
        self.users_by_token.remove(token);
    }

    /// RFC 7662 §2.
    fn introspect(&self, shared: &Shared, request: &Request) -> Reply {
        if !authenticated(request, shared) {
            return oauth_error(401, "invalid_client");
        }
        let token = request.field("token").unwrap_or_default();
        let Some(user) = self.users_by_token.get(&token) else { return Reply::json(200, &json!({ "active": false })) };
        let answer = json!({
            "active": true,
            "iss": shared.issuer,
            "sub": user.sub,
            "aud": shared.profile.audience,
            "client_id": shared.profile.client_id,
            "token_type": "Bearer",
        });
        Reply::json(200, &answer)
    }

    /// OIDC Core §5.3.
    fn userinfo(&self, request: &Request) -> Reply {
        let token = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        match token.and_then(|token| self.users_by_token.get(token)) {
            Some(user) => {
                let mut claims = json!({ "sub": user.sub });
                merge(&mut claims, &user.claims);
                Reply::json(200, &claims)
            }
            None => oauth_error(401, "invalid_token"),
        }
    }

    fn now(&self) -> i64 {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
        i64::try_from(since_epoch.as_secs()).expect("the clock is before the end of time") + self.skew
    }
}

/// The client's own proof: basic, post, or none for a public client (OIDC Core §9).
///
/// A `private_key_jwt` assertion is taken as it is: the provider does not have the client's key. A test reads it from
/// the log.
fn authenticated(request: &Request, shared: &Shared) -> bool {
    let Profile { client_id, client_secret, .. } = &shared.profile;
    let basic = request.header("authorization").and_then(|value| value.strip_prefix("Basic "));
    let assertion = request
        .field("client_assertion")
        .filter(|_| request.field("client_assertion_type").as_deref() == Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer"));
    let posted = (request.field("client_id"), request.field("client_secret"));
    match (basic, assertion, posted) {
        (Some(basic), None, (_, None)) => {
            // RFC 6749 §2.3.1: both halves are form-encoded before they are joined.
            let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            let pair = client_secret.as_ref().map(|secret| format!("{}:{}", encode(client_id), encode(secret)));
            pair.is_some_and(|pair| BASE64_STANDARD.encode(pair) == basic)
        }
        (None, Some(_), (_, None)) => true,
        (None, None, (Some(id), secret)) => id == *client_id && secret == *client_secret,
        _ => false,
    }
}

fn oauth_error(status: u16, error: &str) -> Reply {
    Reply::json(status, &json!({ "error": error, "error_description": "refused" }))
}

fn merge(into: &mut Value, from: &Value) {
    for (name, value) in from.as_object().into_iter().flatten() {
        into[name] = value.clone();
    }
}

/// 128 bits nobody guesses.
fn random() -> String {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system has randomness");
    base64url(bytes)
}
