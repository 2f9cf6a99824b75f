//! A whole edge in this process: the stand-in tenant before it, a recording app behind it, ports of its own.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use doorward_demo::tenant::{self, Tenant, TenantSettings};
use doorward_policy::session::{Origin, Session};
use doorward_policy::time::Timestamp;
use doorward_proxy::access_log::AccessLog;
use doorward_proxy::keys::Tempo;
use doorward_proxy::reload::{Refused, Reloaded, Trigger};
use doorward_proxy::serve::Doorward;
use rustls::pki_types::CertificateDer;

use crate::client::{Answer, Browser, Raw, path_of};
use crate::hostile;
use crate::recorder::Recorder;

/// Host of the app that people sign in to.
pub const APP: &str = "app.localhost";
/// Host of the app that programs call.
pub const API: &str = "api.localhost";
const CONFIGURATION: &str = "doorward.yaml";
/// A session key for tests.
pub const SESSION_KEY: &str = "P0XkoV8WosBowej1yHhH6SMbkxyIjpyDUFNDFUcd4Wg=";

/// What a test changes about the usual edge.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Below `server:`, indented by two.
    pub server: String,
    /// Below `providers: tenant:`, indented by four.
    pub provider: String,
    /// The port in the address bar.
    pub public_port: u16,
    /// `identity:` and `headers:` as a whole.
    pub identity: String,
    /// The whole list below `routes:`; `UPSTREAM` stands for the recorder.
    pub routes: String,
    pub issuer: Option<String>,
    /// With `issuer`: what identifies us there, indented by four; the tenant's client unless it is written.
    pub client: Option<String>,
    /// Further files beside the configuration: name and content.
    pub files: Vec<(String, String)>,
    pub tempo: Tempo,
    pub session: String,
    pub tenant: Option<TenantSettings>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            server: "  limits: { connections_per_client: 1000 }\n".into(),
            provider: String::new(),
            public_port: 443,
            identity: IDENTITY.into(),
            routes: ROUTES.into(),
            issuer: None,
            client: None,
            files: Vec::new(),
            tempo: Tempo::default(),
            session: "  idle: 1h\n  lifetime: 12h\n".into(),
            tenant: None,
        }
    }
}

impl Plan {
    /// The usual edge, before an OpenID provider of another kind than Auth0: a [`HostileIdp`] as it is by default.
    ///
    /// [`HostileIdp`]: crate::hostile::HostileIdp
    pub fn oidc(issuer: &str) -> Self {
        Self {
            issuer: Some(issuer.into()),
            provider: format!("    audience: {}\n    access_token_type: jwt\n", hostile::AUDIENCE),
            client: Some(format!("    client_id: {}\n    client_secret: {{ file: hostile }}", hostile::CLIENT_ID)),
            files: vec![("hostile".into(), hostile::CLIENT_SECRET.into())],
            ..Self::default()
        }
    }
}

const IDENTITY: &str = r#"
identity:
  roles: ["https://acme.dev/roles"]
headers:
  X-Auth-User: "{user}"
  X-Auth-Email: "{email}"
  X-Auth-Roles: "{roles}"
  X-Auth-Permissions: "{permissions}"
"#;

const ROUTES: &str = r#"
  - name: app
    host: app.localhost
    upstream: UPSTREAM
    rules:
      - { path: [/, "/public/**"], allow: public }
      - { path: "/admin/**", allow: { role: admin } }
      - { path: "/closed/**", allow: nobody }
      - { path: "/lan/**", allow: { network: [10.0.0.0/8] } }
      - { allow: signed-in }
  - name: api
    host: api.localhost
    upstream: UPSTREAM
    accept: bearer
    cors: { origins: ["https://spa.example"], methods: [GET, POST], headers: [authorization] }
    rules:
      - { path: "/open/**", allow: public }
      - { methods: [GET], allow: { scope: "read:items" } }
      - { allow: { scope: "write:items" } }
  - name: passing
    host: pass.localhost
    upstream: UPSTREAM
    accept: bearer
    pass_token: true
    rules: [{ allow: signed-in }]
  - name: both
    host: both.localhost
    upstream: UPSTREAM
    rules: [{ allow: signed-in }]
"#;

/// The running whole.
#[derive(Debug)]
pub struct Scene {
    pub tenant: Tenant,
    pub app: Recorder,
    pub folder: tempfile::TempDir,
    pub ca: CertificateDer<'static>,
    edge: Option<Doorward>,
    log: Captured,
}

impl Drop for Scene {
    fn drop(&mut self) {
        if let Some(edge) = self.edge.take() {
            // Stopping waits, which an async test must not.
            std::thread::spawn(move || drop(edge));
        }
    }
}

/// Makes crypto work: the first statement of every test that needs any.
pub fn install() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
}

impl Scene {
    /// The usual edge.
    pub async fn start() -> Self {
        Self::with(Plan::default()).await
    }

    /// An edge with what a test changes.
    pub async fn with(plan: Plan) -> Self {
        Self::in_front_of(plan, Recorder::start().await).await
    }

    pub async fn in_front_of(plan: Plan, app: Recorder) -> Self {
        install();
        let settings = plan.tenant.clone().unwrap_or_default();
        let tenant = Tenant::start(settings).await.expect("a tenant");
        let folder = tempfile::tempdir().expect("a folder");
        let ca = write_certificate(folder.path());
        for (name, content) in &plan.files {
            std::fs::write(folder.path().join(name), content).expect("a writable folder");
        }
        let text = configuration(&plan, &tenant, app.address());
        let (edge, log) = launch(&folder.path().join(CONFIGURATION), &text, plan.tempo).await;
        Self { tenant, app, folder, ca, edge: Some(edge), log }
    }

    pub fn edge(&self) -> &Doorward {
        self.edge.as_ref().expect("a running edge")
    }

    pub fn address(&self) -> SocketAddr {
        self.edge().addresses()[0]
    }

    /// The file that this edge runs with; its folder holds the others.
    pub fn configuration(&self) -> PathBuf {
        self.folder.path().join(CONFIGURATION)
    }

    /// Changes the configuration's file, and nothing else.
    pub fn rewrite(&self, change: impl FnOnce(String) -> String) {
        let text = std::fs::read_to_string(self.configuration()).expect("a configuration");
        let changed = change(text.clone());
        assert_ne!(text, changed, "the change changes nothing");
        std::fs::write(self.configuration(), changed).expect("a writable folder");
    }

    /// Has the files read again, as SIGHUP does.
    ///
    /// # Errors
    /// Why the configuration in use stays.
    pub async fn reload(&self) -> Result<Reloaded, Refused> {
        self.edge().reloader().reload(Trigger::Signal).await
    }

    /// Both: the new configuration is in use.
    pub async fn reconfigure(&self, change: impl FnOnce(String) -> String) -> Reloaded {
        self.rewrite(change);
        self.reload().await.unwrap_or_else(|refused| panic!("{refused}"))
    }

    /// Another edge from the same files with its configuration changed: what a restart, or a second machine, is.
    pub async fn twin(&self, change: impl FnOnce(String) -> String) -> Twin {
        let text = change(std::fs::read_to_string(self.configuration()).expect("a configuration"));
        let path = self.folder.path().join("twin.yaml");
        let (edge, log) = launch(&path, &text, Tempo::default()).await;
        Twin { edge: Some(edge), log }
    }

    /// Stops gracefully and says whether every connection ended by itself.
    pub async fn stop(&mut self) -> bool {
        let edge = self.edge.take().expect("a running edge");
        tokio::task::spawn_blocking(move || edge.stop().clean).await.expect("no panic")
    }

    /// A connection for bytes as they are.
    pub async fn raw(&self, host: &str) -> Raw {
        Raw::connect(self.address(), &self.ca, host).await
    }

    /// Sends one HTTP/1.1 request and reads the answer.
    pub async fn ask(&self, host: &str, method: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.browser(host).request(method, path, fields, b"").await
    }

    /// The same with a `Host` that the certificate need not name.
    pub async fn ask_as(&self, host: &str, path: &str) -> Answer {
        let mut raw = self.raw(APP).await;
        raw.send(format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes()).await;
        raw.answer().await.expect("an answer")
    }

    /// An API call.
    pub async fn call(&self, path: &str, token: &str) -> Answer {
        self.ask(API, "GET", path, &[("authorization", &format!("Bearer {token}"))]).await
    }

    /// A browser without cookies.
    pub fn browser(&self, host: &str) -> Browser {
        Browser { address: self.address(), ca: self.ca.clone(), host: host.into(), cookies: Default::default() }
    }

    /// A browser in which `persona` has signed in.
    pub async fn signed_in(&self, host: &str, persona: &str) -> Browser {
        self.signed_in_at(host, "/private", persona).await
    }

    /// The same where `/private` is no path that needs anybody.
    pub async fn signed_in_at(&self, host: &str, path: &str, persona: &str) -> Browser {
        let mut browser = self.browser(host);
        let answer = self.sign_in(&mut browser, path, persona).await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        // As it is a quarter of a minute later.
        browser.cookies.remove(doorward_policy::login::ROUNDS_COOKIE);
        browser
    }

    /// Goes to `path`, signs in at the tenant and comes back; the answer is the callback's.
    pub async fn sign_in(&self, browser: &mut Browser, path: &str, persona: &str) -> Answer {
        let redirect = browser.go(path).await;
        assert_eq!(redirect.status, 302, "{}", redirect.text());
        let callback = self.tenant.sign_in(redirect.location(), persona).expect("the tenant signs in");
        browser.go(&path_of(&callback)).await
    }

    /// A token that reads items.
    pub fn token(&self, persona: &str) -> String {
        self.tenant.access_token_for(persona, tenant::AUDIENCE, "openid read:items")
    }

    /// What the admin listener says.
    pub async fn admin(&self, path: &str) -> (u16, String) {
        let address = self.edge().admin_address().expect("an admin listener");
        let answer = reqwest::get(format!("http://{address}{path}")).await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("a body"))
    }

    /// The value of a metric; 0 when there is no such series.
    pub async fn metric(&self, series: &str) -> f64 {
        let (_, text) = self.admin("/metrics").await;
        let line = text.lines().find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')));
        line.and_then(|line| line.rsplit(' ').next()).and_then(|value| value.parse().ok()).unwrap_or(0.0)
    }

    /// The reason in the access log for this answer of ours. Its line may come a moment later.
    ///
    /// # Panics
    /// When no such line comes.
    pub async fn reason_of(&self, answer: &Answer) -> String {
        let id = answer.field("x-request-id").expect("an answer of the edge's own");
        for _ in 0..20 {
            if let Some(line) = self.log().await.into_iter().find(|line| line["request_id"] == id) {
                return line["reason"].as_str().expect("a reason").to_owned();
            }
        }
        panic!("no line for {id} in the access log");
    }

    /// The access log so far, in the order of the requests.
    pub async fn log(&self) -> Vec<serde_json::Value> {
        let text = self.log_text().await;
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let mut lines: Vec<serde_json::Value> = text.lines().map(parse).collect();
        // Two worlds write, each when its batch is over: the line of a request may come after that of the next one. Requests' ids
        // count up; what never became a request has an id of its own, and its time alone says where it belongs.
        lines.sort_by_key(|line| line["time"].as_u64());
        let requests: Vec<usize> = (0..lines.len()).filter(|at| lines[*at]["method"].is_string()).collect();
        let mut ordered: Vec<serde_json::Value> = requests.iter().map(|at| lines[*at].take()).collect();
        ordered.sort_by_key(|line| line["request_id"].as_str().map(str::to_owned));
        for (at, line) in requests.into_iter().zip(ordered) {
            lines[at] = line;
        }
        lines
    }

    /// The access log so far, as it was written.
    pub async fn log_text(&self) -> String {
        self.log.text().await
    }
}

/// A second edge beside a scene's.
#[derive(Debug)]
pub struct Twin {
    edge: Option<Doorward>,
    log: Captured,
}

impl Twin {
    pub fn edge(&self) -> &Doorward {
        self.edge.as_ref().expect("a running edge")
    }

    /// `browser` with its cookies, at this edge.
    pub fn visit(&self, browser: &Browser) -> Browser {
        Browser { address: self.edge().addresses()[0], ..browser.clone() }
    }

    /// The access log so far, as it was written.
    pub async fn log_text(&self) -> String {
        self.log.text().await
    }
}

impl Drop for Twin {
    fn drop(&mut self) {
        if let Some(edge) = self.edge.take() {
            std::thread::spawn(move || drop(edge));
        }
    }
}

/// Memory that a log writes to.
#[derive(Debug, Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    async fn text(&self) -> String {
        // The writer has a thread of its own; a line is there a moment after the answer, on a busy machine a while after.
        let mut seen = None;
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let bytes = self.0.lock().expect("no panic while logging").clone();
            if seen == Some(bytes.len()) && !bytes.is_empty() {
                return String::from_utf8(bytes).expect("UTF-8");
            }
            if bytes.is_empty() && seen.is_some() {
                return String::new();
            }
            seen = Some(bytes.len());
        }
    }
}

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic while logging").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

async fn launch(path: &Path, text: &str, tempo: Tempo) -> (Doorward, Captured) {
    let path = path.to_owned();
    std::fs::write(&path, text).expect("a writable folder");
    let log = Captured::default();
    let access_log = AccessLog::new(log.clone());
    let started = tokio::task::spawn_blocking(move || {
        let loaded = doorward_config::load(&path).unwrap_or_else(|report| panic!("{}", report.render(false)));
        let edge = Doorward::start(loaded.settings, tempo, access_log).unwrap_or_else(|fault| panic!("{fault}"));
        edge.reloader().read_from(&path, loaded.files);
        edge
    });
    (started.await.expect("the edge starts"), log)
}

fn configuration(plan: &Plan, tenant: &Tenant, app: SocketAddr) -> String {
    let domain = tenant.address();
    let provider = plan.issuer.as_ref().map_or_else(
        || {
            format!(
                "    kind: auth0\n    domain: \"{domain}\"\n    audience: {}\n    client_id: {}\n    client_secret: {{ file: secret }}",
                tenant::AUDIENCE,
                tenant::CLIENT_ID
            )
        },
        |issuer| {
            let client = plan
                .client
                .clone()
                .unwrap_or_else(|| format!("    client_id: {}\n    client_secret: {{ file: secret }}", tenant::CLIENT_ID));
            format!("    kind: oidc\n    issuer: \"{issuer}\"\n{client}")
        },
    );
    format!(
        "version: 1\nserver:\n  listen: [\"127.0.0.1:0\"]\n  public_port: {}\n  admin: 127.0.0.1:0\n  cores: 2\n  drain: 5s\n  tls: {{ certificates: [{{ cert: tls.crt, key: tls.key }}] }}\n{}providers:\n  tenant:\n{provider}\n    insecure_http: true\n{}session:\n  keys: [{{ file: session.key }}]\n{}{}routes:{}",
        plan.public_port,
        plan.server,
        plan.provider,
        plan.session,
        plan.identity,
        plan.routes.replace("UPSTREAM", &format!("http://{app}")),
    )
}

fn write_certificate(folder: &Path) -> CertificateDer<'static> {
    let names = [
        "localhost",
        "app.localhost",
        "api.localhost",
        "pass.localhost",
        "both.localhost",
        "cms.localhost",
        "iot.localhost",
        "auth.localhost",
        "*.localhost",
        "*.wild.localhost",
        "unknown.test",
    ]
    .map(str::to_owned);
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    std::fs::write(folder.join("tls.crt"), made.cert.pem()).expect("a writable folder");
    std::fs::write(folder.join("tls.key"), made.signing_key.serialize_pem()).expect("a writable folder");
    std::fs::write(folder.join("session.key"), SESSION_KEY).expect("a writable folder");
    std::fs::write(folder.join("secret"), tenant::CLIENT_SECRET).expect("a writable folder");
    made.cert.der().clone()
}

/// A session of Ada's at the scene's tenant, as the edge itself would make it.
pub fn session(scene: &Scene, began: Timestamp, seen: Timestamp) -> Session {
    let claims = serde_json::json!({ "iss": scene.tenant.issuer(), "sub": "auth0|ada", "email": "ada@acme.dev", "iat": began.0 });
    let kept: Vec<Box<str>> = ["iss", "sub", "email"].map(Into::into).into();
    let origin = Origin { id: "made-by-hand-0000000000", provider: "tenant", client_id: tenant::CLIENT_ID };
    Session::begin(origin, claims.as_object().expect("an object"), &kept, began).renewed(seen)
}
