//! A gate without sockets: every request says its own time.

use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use doorward_config::settings::Settings;
use doorward_demo::tenant::{AUDIENCE, CLIENT_ID, CLIENT_SECRET, Tenant, TenantSettings};
use doorward_policy::request::Target;
use doorward_policy::session::{COOKIE, Origin, Session, StoreKey, Ticket, Tokens};
use doorward_policy::time::Timestamp;
use doorward_proxy::access_log::AccessLog;
use doorward_proxy::clock;
use doorward_proxy::gate::{Admission, Ask, Outcome, Way};
use doorward_proxy::keys::Tempo;
use doorward_proxy::manner::Manner;
use doorward_proxy::runtime::Runtime;
use http::{HeaderMap, HeaderName, Method, header};
use serde_json::json;
use tempfile::TempDir;

pub const APP: &str = "app.localhost";
/// Another of our hosts, with the same rules.
pub const OTHER: &str = "other.localhost";
pub const IDLE: Duration = Duration::from_secs(3600);
pub const LIFETIME: Duration = Duration::from_secs(12 * 3600);
/// What people's sessions are called at the provider.
pub const SID: &str = "provider-session";

pub struct Stand {
    pub tokio: tokio::runtime::Runtime,
    pub runtime: Arc<Runtime>,
    pub tenant: Tenant,
    folder: TempDir,
}

impl Stand {
    pub fn new(store: &str) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
        let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let tenant = tokio.block_on(Tenant::start(TenantSettings::default())).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed([APP.to_owned(), OTHER.to_owned()]).unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("tls.crt", &made.cert.pem());
        write("tls.key", &made.signing_key.serialize_pem());
        write("secret", CLIENT_SECRET);
        write("session.key", "Vb1wVgZ9dOeD8YFzN0xkT3mI5lQyKq7uHs2aXcRjP4o=");
        write("doorward.yaml", &configuration(&tenant, store));
        let settings = load(&folder);
        let runtime = Runtime::new(settings, Tempo::default(), AccessLog::new(std::io::sink()), tokio.handle().clone()).unwrap();
        Self { tokio, runtime: Arc::new(runtime), tenant, folder }
    }

    /// What a changed configuration puts in the place of this one.
    pub fn reloaded(&self, from: &str, to: &str) -> Runtime {
        let path = self.folder.path().join("doorward.yaml");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from}");
        std::fs::write(&path, text.replace(from, to)).unwrap();
        Runtime::succeeding(&self.runtime, load(&self.folder)).unwrap()
    }

    /// Somebody's session that began at `now`.
    pub fn session(&self, now: Timestamp) -> Session {
        let provider = self.runtime.providers[0].settings();
        let mut claims = self.tenant.id_claims_for("ada", CLIENT_ID, "openid profile email");
        (claims["sid"], claims["iat"]) = (json!(SID), json!(now.0));
        let origin = Origin { id: "session-of-a-test", provider: &provider.name, client_id: &provider.client_id };
        Session::begin(origin, claims.as_object().unwrap(), self.runtime.settings.policy.kept_claims(), now)
    }

    /// The fields of a request with that session's cookie for `host`.
    pub fn holding(&self, session: &Session, host: &str) -> HeaderMap {
        let sealed = session.seal(&self.runtime.keys(), host, [7; 12]).unwrap();
        fields(header::COOKIE, &format!("theme=dark; {COOKIE}={sealed}; lang=en"))
    }

    /// The same where a store keeps it.
    pub fn kept(&self, session: &Session, host: &str) -> HeaderMap {
        self.tokio.block_on(self.runtime.sessions.begin(session.clone(), Tokens::default(), host)).unwrap();
        let sealed = Ticket::of(session).seal(&self.runtime.keys(), host, [8; 12]);
        fields(header::COOKIE, &format!("theme=dark; {COOKIE}={sealed}; lang=en"))
    }

    /// Until the store has that session no more.
    pub fn wait_until_gone(&self, session: &Session) {
        let key = StoreKey::of(&session.id);
        let gone = async {
            while self.runtime.store.read(&key).await.unwrap().is_some() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        self.tokio.block_on(async { tokio::time::timeout(Duration::from_secs(20), gone).await }).unwrap();
    }

    /// The fields of a request with a token; each number is another one.
    pub fn bearer(&self, number: u64) -> HeaderMap {
        let mut claims = self.tenant.access_claims_for("ada", AUDIENCE, "openid read:items");
        claims["number"] = number.into();
        fields(header::AUTHORIZATION, &format!("Bearer {}", self.tenant.sign(claims)))
    }

    /// What `runtime` says to a request for `host`: `allow`, or the reason why not.
    pub fn says(&self, runtime: &Runtime, host: &str, headers: &HeaderMap, now: Timestamp) -> &'static str {
        self.says_of(runtime, &target(host, "/admin/users"), headers, now)
    }

    pub fn says_of(&self, runtime: &Runtime, target: &Target, headers: &HeaderMap, now: Timestamp) -> &'static str {
        reason(&self.tokio.block_on(runtime.admit(&ask(target, headers, now))))
    }

    /// One request that waits for nobody.
    pub fn at_once(&self, target: &Target, headers: &HeaderMap) -> Admission {
        let ask = ask(target, headers, clock::now());
        match pin!(self.runtime.admit(&ask)).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(admission) => admission,
            Poll::Pending => panic!("it waits"),
        }
    }
}

pub fn target(host: &str, path: &str) -> Target {
    Target::parse(&Method::GET, host.as_bytes(), path.as_bytes()).unwrap()
}

pub fn reason(admission: &Admission) -> &'static str {
    match &admission.outcome {
        Outcome::Forward { .. } => "allow",
        Outcome::Answer { reason, .. } => reason,
    }
}

fn ask<'a>(target: &'a Target, headers: &'a HeaderMap, now: Timestamp) -> Ask<'a> {
    let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
    Ask { content: &[], target, headers, client, manner: Manner::Script, way: Way::Proxy, request_id: "test", now }
}

/// What a browser sends, and one field more.
pub fn fields(name: HeaderName, value: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in [("user-agent", "Mozilla/5.0"), ("accept", "*/*"), ("accept-language", "en-GB"), ("sec-fetch-site", "same-origin")]
    {
        headers.insert(name, value.parse().unwrap());
    }
    headers.insert(name, value.parse().unwrap());
    headers
}

fn load(folder: &TempDir) -> Settings {
    match doorward_config::load(&folder.path().join("doorward.yaml")) {
        Ok(loaded) => loaded.settings,
        Err(report) => panic!("{}", report.render(false)),
    }
}

fn configuration(tenant: &Tenant, store: &str) -> String {
    format!(
        r#"
version: 1
server:
  listen: ["127.0.0.1:0"]
  public_port: 443
  tls: {{ certificates: [{{ cert: tls.crt, key: tls.key }}] }}
providers:
  tenant: {{ kind: auth0, domain: "{}", insecure_http: true, client_id: {CLIENT_ID}, client_secret: {{ file: secret }}, audience: "{AUDIENCE}" }}
session: {{ keys: [{{ file: session.key }}], idle: 1h, lifetime: 12h, store: {store} }}
identity: {{ roles: ["https://acme.dev/roles"] }}
headers: {{ X-Auth-User: "{{user}}", X-Auth-Email: "{{email}}", X-Auth-Roles: "{{roles}}" }}
routes:
  - name: app
    host: [{APP}, {OTHER}]
    upstream: http://127.0.0.1:9
    rules:
      - {{ path: "/public/**", allow: public }}
      - {{ path: "/admin/**", allow: {{ role: admin }} }}
      - {{ allow: signed-in }}
"#,
        tenant.address()
    )
}
