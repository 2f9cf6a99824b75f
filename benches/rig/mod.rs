//! A runtime with one route, and the credentials that pass it.

#![allow(clippy::unwrap_used, reason = "a bench that cannot be set up says where")]
#![allow(dead_code, reason = "each bench takes what it needs")]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use doorward_demo::tenant::{AUDIENCE, CLIENT_ID, CLIENT_SECRET, Tenant, TenantSettings};
use doorward_policy::request::Target;
use doorward_policy::session::{COOKIE, Origin, Session};
use doorward_proxy::access_log::AccessLog;
use doorward_proxy::clock;
use doorward_proxy::entropy;
use doorward_proxy::gate::{Ask, Outcome, Way};
use doorward_proxy::hooks::dialect::{self, Dialect, Question};
use doorward_proxy::keys::Tempo;
use doorward_proxy::manner::Manner;
use doorward_proxy::runtime::Runtime;
use http::{HeaderMap, Method, header};

pub const HOST: &str = "app.localhost";

/// The runtime, and the tenant whose tokens it takes.
pub struct Bench {
    pub tokio: tokio::runtime::Runtime,
    pub runtime: Arc<Runtime>,
    pub tenant: Tenant,
}

impl Bench {
    pub fn new() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
        let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let tenant = tokio.block_on(Tenant::start(TenantSettings::default())).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed([HOST.to_owned()]).unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("tls.crt", &made.cert.pem());
        write("tls.key", &made.signing_key.serialize_pem());
        write("secret", CLIENT_SECRET);
        write("session.key", "Vb1wVgZ9dOeD8YFzN0xkT3mI5lQyKq7uHs2aXcRjP4o=");
        write("doorward.yaml", &configuration(&tenant));
        let loaded =
            doorward_config::load(&folder.path().join("doorward.yaml")).unwrap_or_else(|report| panic!("{}", report.render(false)));
        let runtime = Runtime::new(loaded.settings, Tempo::default(), AccessLog::new(std::io::sink()), tokio.handle().clone()).unwrap();
        Self { tokio, runtime: Arc::new(runtime), tenant }
    }

    pub fn admit(&self, path: &str, headers: &HeaderMap) -> bool {
        let target = Target::parse(&Method::GET, HOST.as_bytes(), path.as_bytes()).unwrap();
        let admission = self.tokio.block_on(self.runtime.admit(&ask(&target, headers)));
        matches!(admission.outcome, Outcome::Forward { .. })
    }

    pub fn ask(&self, dialect: Dialect, headers: &HeaderMap) -> u16 {
        let runtime = &*self.runtime;
        let (authority, request_id, started) = (Ok(&b"doorward.internal"[..]), runtime.request_ids.next(), Instant::now());
        let question = Question { runtime, method: &Method::GET, authority, headers, request_id: &request_id, started };
        self.tokio.block_on(dialect::ask(dialect, &question, b"")).1.status
    }

    pub fn session(&self) -> HeaderMap {
        let provider = self.runtime.providers[0].settings();
        let claims = self.tenant.id_claims_for("ada", CLIENT_ID, "openid profile email");
        let origin = Origin { id: "bench", provider: &provider.name, client_id: &provider.client_id };
        let session = Session::begin(origin, claims.as_object().unwrap(), self.runtime.settings.policy.kept_claims(), clock::now());
        let sealed = session.seal(&self.runtime.settings.session.keys, HOST, entropy::random().unwrap()).unwrap();
        usual(&[(header::COOKIE, format!("theme=dark; {COOKIE}={sealed}; lang=en"))])
    }

    pub fn bearer(&self) -> HeaderMap {
        // Each token is another one: equal tokens would be found among those seen before.
        static TOKENS: AtomicU64 = AtomicU64::new(0);
        let mut claims = self.tenant.access_claims_for("ada", AUDIENCE, "openid read:items");
        claims["number"] = TOKENS.fetch_add(1, Ordering::Relaxed).into();
        usual(&[(header::AUTHORIZATION, format!("Bearer {}", self.tenant.sign(claims)))])
    }
}

pub fn ask<'a>(target: &'a Target, headers: &'a HeaderMap) -> Ask<'a> {
    Ask {
        content: &[],
        target,
        headers,
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        manner: Manner::Script,
        way: Way::Proxy,
        request_id: "bench",
        now: clock::now(),
    }
}

fn configuration(tenant: &Tenant) -> String {
    format!(
        r#"
version: 1
server:
  listen: ["127.0.0.1:0"]
  public_port: 443
  tls: {{ certificates: [{{ cert: tls.crt, key: tls.key }}] }}
providers:
  tenant: {{ kind: auth0, domain: "{}", insecure_http: true, client_id: {CLIENT_ID}, client_secret: {{ file: secret }}, audience: "{AUDIENCE}" }}
session: {{ keys: [{{ file: session.key }}] }}
identity: {{ roles: ["https://acme.dev/roles"] }}
headers: {{ X-Auth-User: "{{user}}", X-Auth-Email: "{{email}}", X-Auth-Roles: "{{roles}}" }}
routes:
  - name: app
    host: {HOST}
    upstream: http://127.0.0.1:9
    rules:
      - {{ path: "/public/**", allow: public }}
      - {{ path: "/admin/**", allow: {{ role: admin }} }}
      - {{ path: "/t/{{tenant}}/**", allow: {{ when: "path.tenant == 'acme' && 'admin' in roles" }} }}
      - {{ allow: signed-in }}
"#,
        tenant.address()
    )
}

/// The fields a browser sends, and those of a case.
pub fn usual(more: &[(header::HeaderName, String)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"),
        ("accept", "*/*"),
        ("accept-language", "en-GB,en;q=0.9,de;q=0.8"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-mode", "cors"),
        ("sec-fetch-dest", "empty"),
        ("referer", "https://app.localhost/admin/users"),
    ] {
        headers.insert(name, value.parse().unwrap());
    }
    for (name, value) in more {
        headers.insert(name.clone(), value.parse().unwrap());
    }
    headers
}
