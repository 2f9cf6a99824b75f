//! A browser of few words: one request for each connection, a cookie, no redirects followed.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use doorward_demo::tenant::{AUDIENCE, CLIENT_ID, CLIENT_SECRET, Tenant, TenantSettings};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::form_urlencoded;

pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn location(&self) -> &str {
        self.header("location").unwrap_or_else(|| panic!("no redirect: {} {}", self.status, self.body))
    }

    /// `name=value` of the first cookie that is set.
    pub fn cookie(&self) -> String {
        let line = self.header("set-cookie").expect("a cookie");
        line.split(';').next().unwrap_or_default().to_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {} {}", self.status, self.body))
    }

    /// Status, error and description of a token endpoint's refusal.
    pub fn refusal(&self) -> (u16, String, String) {
        let body = self.json();
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        (self.status, text("error"), text("error_description"))
    }
}

pub async fn send(address: SocketAddr, head: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut request = format!("{head} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        request += &format!("Content-Length: {}\r\n", body.len());
    }
    request += &format!("\r\n{body}");
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(request.as_bytes()).await.expect("a request");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.expect("an answer");
    let text = String::from_utf8(bytes).expect("text");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).expect("a status");
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    Answer { status, headers, body: body.to_owned() }
}

pub async fn get(tenant: &Tenant, target: &str) -> Answer {
    get_with(tenant, target, &[]).await
}

pub async fn get_with(tenant: &Tenant, target: &str, headers: &[(&str, &str)]) -> Answer {
    send(tenant.address(), &format!("GET {}", path_of(tenant, target)), headers, "").await
}

pub async fn post(tenant: &Tenant, target: &str, pairs: &[(&str, &str)]) -> Answer {
    post_with(tenant, target, &[], pairs).await
}

pub async fn post_with(tenant: &Tenant, target: &str, headers: &[(&str, &str)], pairs: &[(&str, &str)]) -> Answer {
    let mut all = vec![("Content-Type", "application/x-www-form-urlencoded")];
    all.extend(headers);
    send(tenant.address(), &format!("POST {target}"), &all, &encoded(pairs)).await
}

fn path_of(tenant: &Tenant, url: &str) -> String {
    match url.strip_prefix(tenant.issuer()) {
        Some(rest) => format!("/{rest}"),
        None => url.to_owned(),
    }
}

pub fn encoded(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

pub fn query_of(url: &str) -> BTreeMap<String, String> {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

pub async fn tenant() -> Tenant {
    tenant_with(TenantSettings::default()).await
}

pub async fn tenant_with(settings: TenantSettings) -> Tenant {
    Tenant::start(settings).await.expect("a tenant")
}

/// The URL of an ordinary authorization request, with changes: an empty value leaves the parameter out.
pub fn authorization(tenant: &Tenant, changes: &[(&str, &str)]) -> String {
    let mut params = BTreeMap::from([
        ("response_type", "code"),
        ("client_id", CLIENT_ID),
        ("redirect_uri", CALLBACK),
        ("scope", "openid profile email"),
        ("audience", AUDIENCE),
        ("state", "st-1"),
        ("nonce", "no-1"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ]);
    params.extend(changes.iter().copied());
    params.retain(|_, value| !value.is_empty());
    let pairs: Vec<_> = params.into_iter().collect();
    format!("{}authorize?{}", tenant.issuer(), encoded(&pairs))
}

/// The code that a persona's sign-in yields.
pub fn code(tenant: &Tenant, persona: &str, changes: &[(&str, &str)]) -> String {
    let callback = tenant.sign_in(&authorization(tenant, changes), persona).expect("a callback");
    query_of(&callback).remove("code").unwrap_or_else(|| panic!("no code: {callback}"))
}

/// An ordinary code redemption, with changes: an empty value leaves the parameter out.
pub async fn redeem(tenant: &Tenant, code: &str, changes: &[(&str, &str)]) -> Answer {
    let mut params = BTreeMap::from([
        ("grant_type", "authorization_code"),
        ("client_id", CLIENT_ID),
        ("client_secret", CLIENT_SECRET),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
        ("code", code),
    ]);
    params.extend(changes.iter().copied());
    params.retain(|_, value| !value.is_empty());
    post(tenant, "/oauth/token", &params.into_iter().collect::<Vec<_>>()).await
}

pub fn header_of(token: &str) -> Value {
    part(token, 0)
}

pub fn claims_of(token: &str) -> Value {
    part(token, 1)
}

fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).expect("a part");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("JSON")
}

pub const CALLBACK: &str = "https://cms.localhost:8443/_doorward/callback/auth0";
/// The pair of RFC 7636 Appendix B.
pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
