//! An OpenID provider that does everything right until it is told otherwise.
//!
//! It speaks HTTP/1.1 by hand over TCP, so that it can also misbehave below HTTP: stall in the middle of a body, drip
//! one byte at a time, reset the connection, lie about a length. It has no sign-in page: a test reads the edge's
//! redirect to the provider and lets the provider grant it.
//!
//! ```no_run
//! # use doorward_tests::hostile::{Endpoint, Fault, HostileIdp, User, forge, jwks};
//! # async fn example(location: String) {
//! let idp = HostileIdp::start().await;
//! // The edge is configured with idp.issuer(), CLIENT_ID and CLIENT_SECRET; GET app -> 302 to `location`.
//! let callback = idp.grant(&location, &User::ada());
//! // GET callback with the browser's cookies -> a session.
//!
//! idp.fault(Endpoint::Token, Fault::Status(500)); // until `clear`
//! idp.fault_next(Endpoint::Jwks, jwks::empty()); // for one request
//! idp.next_id_token(forge::wrong_nonce); // one named lie …
//! idp.next_id_token(|token| token.claims["email"] = 7.into()); // … or any other
//! assert_eq!(idp.requests(Endpoint::Token), 0);
//! # }
//! ```
//!
//! It panics where a test drives it wrongly (granting a redirect that is not its own); it never panics at what the
//! edge sends.

pub mod discovery;
pub mod fault;
pub mod forge;
pub mod jwks;
pub mod keys;
pub mod token_answer;
pub mod userinfo;

mod provider;
mod wire;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use fault::{Fault, Redirection};
pub use forge::{Signature, Token};
pub use provider::{Authorization, User};
pub use wire::Request;

use provider::State;

/// The client that the provider knows unless [`Profile`] says otherwise.
pub const CLIENT_ID: &str = "doorward";
/// Its secret.
pub const CLIENT_SECRET: &str = "a secret of the hostile provider: +/%&=";
/// The API for which it issues JWT access tokens.
pub const AUDIENCE: &str = "https://api.acme.dev";

/// What can be asked of the provider, and where a fault can be put.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    Discovery,
    Jwks,
    /// Asked by browsers alone; a request here means that the edge fetched what it should redirect to.
    Authorize,
    Token,
    Userinfo,
    /// RFC 7009.
    Revocation,
    /// RFC 7662.
    Introspection,
    /// Asked by browsers alone.
    EndSession,
    /// Any other path.
    Elsewhere,
}

/// What kind of provider to be.
#[derive(Debug, Clone)]
pub struct Profile {
    pub client_id: String,
    /// `None`: a public client, which must not send a secret.
    pub client_secret: Option<String>,
    pub audience: String,
    /// What follows the origin in the issuer: `/` as at Auth0, empty, or a path such as `/realms/staff`.
    pub issuer_path: String,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            client_id: CLIENT_ID.to_owned(),
            client_secret: Some(CLIENT_SECRET.to_owned()),
            audience: AUDIENCE.to_owned(),
            issuer_path: "/".to_owned(),
        }
    }
}

/// The running provider. Dropping it stops it.
#[derive(Debug)]
pub struct HostileIdp {
    shared: Arc<Shared>,
    address: SocketAddr,
    /// `None` while it is stopped.
    server: Mutex<Option<JoinHandle<()>>>,
    decoy: JoinHandle<()>,
}

/// What the listeners and the test both hold.
#[derive(Debug)]
struct Shared {
    profile: Profile,
    issuer: String,
    /// The issuer without its final slash: what endpoint paths are appended to.
    base: String,
    /// The decoy's origin.
    elsewhere: String,
    state: Mutex<State>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HostileIdp {
    /// An Auth0-like provider on a free loopback port.
    pub async fn start() -> Self {
        Self::start_as(Profile::default()).await
    }

    /// A provider with this profile on a free loopback port.
    pub async fn start_as(profile: Profile) -> Self {
        let listener = bind_fresh().await;
        let decoy = bind_fresh().await;
        let address = local_address(&listener);
        let issuer = format!("http://{address}{}", profile.issuer_path);
        let shared = Arc::new(Shared {
            base: issuer.trim_end_matches('/').to_owned(),
            elsewhere: format!("http://{}", local_address(&decoy)),
            state: Mutex::new(State::new()),
            issuer,
            profile,
        });
        Self {
            address,
            server: Mutex::new(Some(tokio::spawn(wire::serve(listener, Arc::clone(&shared), false)))),
            decoy: tokio::spawn(wire::serve(decoy, Arc::clone(&shared), true)),
            shared,
        }
    }

    /// Byte-exact, as in `iss`.
    pub fn issuer(&self) -> &str {
        &self.shared.issuer
    }

    /// Host and port: what a provider of `kind: auth0` is configured with.
    pub fn domain(&self) -> String {
        self.address.to_string()
    }

    /// The origin of a second server that answers like the first. Nothing should ever come there:
    /// see [`requests_elsewhere`](Self::requests_elsewhere).
    pub fn elsewhere(&self) -> &str {
        &self.shared.elsewhere
    }

    // What goes wrong.

    /// Answers every request to this endpoint with this fault, until [`clear`](Self::clear).
    pub fn fault(&self, endpoint: Endpoint, fault: Fault) {
        self.shared.state().faults.insert(endpoint, fault);
    }

    /// Answers one request to this endpoint with this fault. Several wait in line; they go before [`fault`](Self::fault).
    pub fn fault_next(&self, endpoint: Endpoint, fault: Fault) {
        self.shared.state().next_faults.entry(endpoint).or_default().push_back(fault);
    }

    /// Does everything right again. Keys, codes and the request log stay.
    pub fn clear(&self) {
        let mut state = self.shared.state();
        state.faults.clear();
        state.next_faults.clear();
        state.next_id_tokens.clear();
        state.next_access_tokens.clear();
        state.skew = 0;
    }

    /// Changes the next ID token before it is signed. Several wait in line.
    pub fn next_id_token(&self, change: impl FnOnce(&mut Token) + Send + 'static) {
        self.shared.state().next_id_tokens.push_back(Box::new(change));
    }

    /// Changes the next access token that is issued as a JWT before it is signed. Several wait in line.
    pub fn next_access_token(&self, change: impl FnOnce(&mut Token) + Send + 'static) {
        self.shared.state().next_access_tokens.push_back(Box::new(change));
    }

    /// Whether each refresh brings a new refresh token, and a used one ends all that came of its sign-in. It does.
    pub fn rotate_refresh_tokens(&self, rotates: bool) {
        self.shared.state().rotates = rotates;
    }

    /// How long access tokens live from now on.
    pub fn set_access_lifetime(&self, seconds: i64) {
        self.shared.state().access_lifetime = seconds;
    }

    /// Puts the provider's clock ahead of ours; negative: behind.
    pub fn skew_clock(&self, seconds: i64) {
        self.shared.state().skew = seconds;
    }

    /// Closes every connection and refuses new ones.
    pub fn stop(&self) {
        if let Some(server) = self.server().take() {
            server.abort();
        }
    }

    /// Listens again where it listened before [`stop`](Self::stop).
    pub async fn resume(&self) {
        let listener = bind_again(self.address.port()).await;
        let server = tokio::spawn(wire::serve(listener, Arc::clone(&self.shared), false));
        if let Some(previous) = self.server().replace(server) {
            previous.abort();
        }
    }

    // Signing keys.

    /// The key that was published as the next one signs from now on; the previous one stays published.
    pub fn rotate(&self) {
        self.shared.state().keys.rotate();
    }

    /// A key that was never published before signs from now on; the previous one stays published.
    pub fn rotate_unannounced(&self) {
        self.shared.state().keys.rotate_unannounced();
    }

    /// Publishes only the key that signs and the next one.
    pub fn withdraw_previous_keys(&self) {
        self.shared.state().keys.withdraw_previous();
    }

    /// The `kid` that signs now.
    pub fn current_kid(&self) -> String {
        self.shared.state().keys.current().kid.clone()
    }

    /// The public half of what signs now, as a PEM file.
    pub fn current_pem(&self) -> String {
        self.shared.state().keys.current().public_pem()
    }

    // What a browser would do at the provider.

    /// Signs `user` in where the edge redirected the browser to; answers the callback URL with code and state.
    ///
    /// # Panics
    /// If `location` is not an authorization request that this provider would accept.
    pub fn grant(&self, location: &str, user: &User) -> String {
        let authorization = self.authorization(location);
        let code = self.code_for(&authorization, user);
        authorization.callback(&[("code", code.as_str())])
    }

    /// Sends the browser back with an error; answers the callback URL.
    ///
    /// # Panics
    /// As [`grant`](Self::grant).
    pub fn refuse(&self, location: &str, error: &str, description: &str) -> String {
        self.authorization(location).callback(&[("error", error), ("error_description", description)])
    }

    /// The authorization request in `location`, checked as a provider checks it.
    ///
    /// # Panics
    /// As [`grant`](Self::grant).
    pub fn authorization(&self, location: &str) -> Authorization {
        let authorization = Authorization::parse(location);
        authorization.check(&format!("{}/authorize", self.shared.base), &self.shared.profile);
        authorization
    }

    /// A fresh code for this request: bound to its redirect URI, challenge and nonce, good for one redemption.
    pub fn code_for(&self, authorization: &Authorization, user: &User) -> String {
        self.shared.state().issue_code(authorization, user)
    }

    // Tokens from nowhere.

    /// An access token as the token endpoint issues it, changed before it is signed.
    pub fn access_token(&self, user: &User, change: impl FnOnce(&mut Token)) -> String {
        let mut state = self.shared.state();
        let mut token = state.access_token_for(&self.shared, user, "openid profile email");
        change(&mut token);
        let signed = state.keys.sign(&token);
        state.vouch(&signed, user);
        signed
    }

    /// This access token counts no longer, whatever its claims say.
    pub fn withdraw(&self, token: &str) {
        self.shared.state().withdraw(token);
    }

    /// An ID token as the token endpoint issues it, without a nonce, changed before it is signed.
    pub fn id_token(&self, user: &User, change: impl FnOnce(&mut Token)) -> String {
        let state = self.shared.state();
        let mut token = state.id_token_for(&self.shared, user, None, "");
        change(&mut token);
        state.keys.sign(&token)
    }

    /// A logout token (Back-Channel Logout 1.0 §2.4) about a person, a session, or both; changed before it is signed.
    pub fn logout_token(&self, sub: Option<&str>, sid: Option<&str>, change: impl FnOnce(&mut Token)) -> String {
        let state = self.shared.state();
        let mut token = state.logout_token_for(&self.shared, sub, sid);
        change(&mut token);
        state.keys.sign(&token)
    }

    /// A refresh token as the token endpoint issues it, for the usual scopes.
    pub fn refresh_token(&self, user: &User) -> String {
        self.shared.state().refresh_token_for(user)
    }

    // What was asked.

    /// How many requests came to this endpoint.
    pub fn requests(&self, endpoint: Endpoint) -> usize {
        self.log().iter().filter(|request| request.endpoint == endpoint && !request.elsewhere).count()
    }

    /// How many requests came to the second server.
    pub fn requests_elsewhere(&self) -> usize {
        self.log().iter().filter(|request| request.elsewhere).count()
    }

    /// Every request so far, in order.
    pub fn log(&self) -> Vec<Request> {
        self.shared.state().log.clone()
    }

    /// Forgets what was asked.
    pub fn forget(&self) {
        self.shared.state().log.clear();
    }

    /// Waits until at least `count` requests came to this endpoint; answers whether they did before `patience` ended.
    pub async fn saw(&self, endpoint: Endpoint, count: usize, patience: Duration) -> bool {
        let arrived = async {
            while self.requests(endpoint) < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(patience, arrived).await.is_ok()
    }

    fn server(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for HostileIdp {
    fn drop(&mut self) {
        self.stop();
        self.decoy.abort();
    }
}

/// A listener on a port of its own. It lies below the ports that the system gives to whoever asks for any, so that
/// nobody takes it while the provider is stopped.
async fn bind_fresh() -> TcpListener {
    const FIRST: u32 = 12_000;
    const COUNT: u32 = 8_000;
    static CALLS: AtomicU32 = AtomicU32::new(0);
    // Another test process begins elsewhere.
    let start = std::process::id().wrapping_mul(131);
    for _ in 0..COUNT {
        let call = CALLS.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(FIRST + start.wrapping_add(call) % COUNT).expect("below 65536");
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            return listener;
        }
    }
    panic!("no port of {COUNT} on loopback is free");
}

/// A listener on this port, which may need a moment after it was released.
async fn bind_again(port: u16) -> TcpListener {
    let mut tries = 0;
    loop {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            Ok(listener) => return listener,
            Err(problem) if tries == 100 => panic!("port {port} on loopback: {problem}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
        tries += 1;
    }
}

fn local_address(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().expect("a bound listener has an address")
}

#[cfg(test)]
mod tests;
