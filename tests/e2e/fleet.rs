//! Several `doorward` processes for one app: the same certificate, keys, provider and, where it says so, Redis.

mod app;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use doorward_tests::idp::{AUDIENCE, CLIENT_ID, Idp, IdpPlan};
use doorward_tests::ports::free_port;
use doorward_tests::process::Process;
use doorward_tests::recorder::Recorder;
use doorward_tests::redis::RedisServer;
use doorward_tests::tools;
use reqwest::{Client, StatusCode};
use tempfile::TempDir;
use tokio::process::Command;

use crate::client::{self, Browser};
use crate::edge::{self, Ports};

pub use app::told;

/// The host of the one app, unless a test has its own.
pub const HOST: &str = "app.localhost";
pub const SESSION: &str = "__Host-doorward";

/// What one test needs.
#[derive(Debug, Clone)]
pub struct Plan {
    pub doors: usize,
    pub hosts: &'static [&'static str],
    /// Lines below `server:`, `session:` and each provider. `REDIS` and `STATE` become this test's Redis and the process's own folder.
    pub server: &'static str,
    pub session: &'static str,
    pub provider: &'static str,
    /// `ROUTES` with `UPSTREAM` for the app.
    pub routes: &'static str,
    pub providers: usize,
    pub redis: bool,
    /// See [`IdpPlan`].
    pub token_lifetime: u64,
    pub crowd: usize,
    /// The provider is reached through a port of the test's.
    pub named_port: Option<u16>,
    /// Set for `doorward`.
    pub environment: Vec<(&'static str, String)>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            doors: 1,
            hosts: &[HOST],
            server: "",
            session: "  store: cookie\n",
            provider: "    scope: [openid, profile, email]\n",
            routes: "  - { name: app, host: app.localhost, upstream: UPSTREAM, rules: [{ path: [/, \"/public/**\"], allow: public }, { allow: signed-in }] }\n",
            providers: 1,
            redis: false,
            token_lifetime: 86_400,
            crowd: 0,
            named_port: None,
            environment: Vec::new(),
        }
    }
}

/// One process.
#[derive(Debug)]
pub struct Door {
    pub ports: Ports,
    config: PathBuf,
    environment: Vec<(&'static str, String)>,
    process: Option<Process>,
    /// What those before it said.
    before: String,
}

impl Door {
    async fn start(&mut self) {
        let mut command = Command::new(tools::doorward());
        command.arg("serve").arg("--config").arg(&self.config).current_dir(self.config.parent().expect("a folder"));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        self.process = Some(Process::start("doorward", command, None).await);
    }

    /// As a crash does.
    pub async fn kill(&mut self) {
        let mut process = self.process.take().expect("it runs");
        process.kill().await;
        self.before = process.said();
    }

    /// Where it was, with what is on its disk. Waits until it is ready.
    pub async fn start_again(&mut self) {
        self.start().await;
        self.until_ready().await;
    }

    async fn until_ready(&mut self) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        let (url, client) = (self.ports.admin("/readyz"), client::plain());
        loop {
            let process = self.process.as_mut().expect("it runs");
            process.must_be_running();
            if client.get(&url).send().await.is_ok_and(|response| response.status().is_success()) {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "not ready\n{}", process.said());
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    /// A URL on its public listener.
    pub fn at(&self, host: &str, path: &str) -> String {
        format!("https://{host}:{}{path}", self.ports.public)
    }

    /// The same on the usual host.
    pub fn url(&self, path: &str) -> String {
        self.at(HOST, path)
    }

    /// All that it said, those before it included.
    pub fn said(&self) -> String {
        self.before.clone() + &self.process.as_ref().map(Process::said).unwrap_or_default()
    }
}

/// Everything of one test.
#[derive(Debug)]
pub struct Fleet {
    pub doors: Vec<Door>,
    pub idps: Vec<Idp>,
    pub app: Recorder,
    pub redis: Option<RedisServer>,
    pub client: Client,
    pub authority: String,
    hosts: &'static [&'static str],
    _folder: TempDir,
}

impl Fleet {
    pub async fn start(plan: Plan) -> Self {
        Self::start_via(plan, &AtomicUsize::new(0)).await
    }

    /// Tells the provider's own port as soon as it is known.
    pub async fn start_via(plan: Plan, provider_port: &AtomicUsize) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let authority = edge::write_certificate(folder.path(), plan.hosts);
        edge::write(&folder.path().join("ca.crt"), &authority);
        edge::write_secrets(folder.path());
        let redis = plan.redis.then(RedisServer::start);
        let posts = AtomicUsize::new(0);
        let app = Recorder::answering(Arc::new(move |request| Some(app::answer(request, &posts)))).await;
        let ports: Vec<Ports> = (0..plan.doors).map(|_| Ports::reserve()).collect();

        let at = |path: &str| {
            let origins = ports.iter().flat_map(|ports| plan.hosts.iter().map(move |host| format!("https://{host}:{}", ports.public)));
            origins.map(|origin| origin + path).collect::<Vec<_>>()
        };
        let mut idps = Vec::new();
        for number in 0..plan.providers {
            let idp = IdpPlan {
                port: 0,
                named_port: plan.named_port,
                redirect_uris: at(&format!("/_doorward/callback/{}", name_of(number))),
                logout_uris: [at("/"), at("/_doorward/logout/done")].concat(),
                backchannel: at("/_doorward/logout/backchannel").into_iter().next(),
                authority: Some(folder.path().join("ca.crt")),
                token_lifetime: plan.token_lifetime,
                crowd: plan.crowd,
            };
            idps.push(Idp::planned(&idp).await);
        }

        provider_port.store(idps[0].port.into(), Ordering::SeqCst);

        let mut doors = Vec::new();
        for (number, ports) in ports.into_iter().enumerate() {
            let state = folder.path().join(format!("state{number}"));
            std::fs::create_dir(&state).expect("a folder");
            let text = configuration(&plan, ports, &idps, &app)
                .replace("REDIS", &redis.as_ref().map(|redis| format!("redis://127.0.0.1:{}/0", redis.port())).unwrap_or_default())
                .replace("STATE", &state.display().to_string());
            let config = folder.path().join(format!("doorward{number}.yaml"));
            edge::write(&config, &text);
            let mut door = Door { ports, config, environment: plan.environment.clone(), process: None, before: String::new() };
            door.start().await;
            doors.push(door);
        }
        for door in &mut doors {
            door.until_ready().await;
        }
        let client = client::tls(plan.hosts, &authority);
        Self { doors, idps, app, redis, client, authority, hosts: plan.hosts, _folder: folder }
    }

    pub fn idp(&self) -> &Idp {
        &self.idps[0]
    }

    pub fn browser(&self) -> Browser {
        Browser::with(&self.client)
    }

    /// A browser that signed in at the first process.
    pub async fn signed_in(&self, nickname: &str) -> Browser {
        let mut browser = self.browser();
        let page = browser.open_as(nickname, &self.doors[0].url("/private")).await;
        assert_eq!(page.status, StatusCode::OK, "{nickname}: {page:?}\n{}", self.said());
        assert_eq!(page.body, told(nickname), "{page:?}");
        browser
    }

    /// People of a [`Plan::crowd`], signed in.
    pub async fn crowd(&self, size: usize) -> Vec<(String, Browser)> {
        let mut all = Vec::new();
        for number in 0..size {
            let nickname = format!("u{number}");
            let browser = self.signed_in(&nickname).await;
            all.push((nickname, browser));
        }
        all
    }

    /// A client that speaks HTTP/1.1 alone.
    pub fn http1(&self) -> Client {
        client::tls_http1(self.hosts, &self.authority)
    }

    pub fn said(&self) -> String {
        self.doors.iter().fold(String::new(), |mut all, door| {
            let _ = writeln!(all, "{}", door.said());
            all
        })
    }

    /// Ends everything as an operator does.
    pub async fn end(mut self) -> String {
        for door in &mut self.doors {
            if let Some(process) = &mut door.process {
                let status = process.terminate(Duration::from_secs(15)).await;
                assert!(status.success(), "doorward ended with {status} after SIGTERM\n{}", process.said());
            }
        }
        self.said()
    }
}

/// The provider's name in the configuration.
fn name_of(number: usize) -> &'static str {
    ["auth0", "workforce"][number]
}

/// What people are shown.
fn label_of(number: usize) -> &'static str {
    ["Customers", "Acme staff"][number]
}

fn configuration(plan: &Plan, ports: Ports, idps: &[Idp], app: &Recorder) -> String {
    let Ports { public, admin } = ports;
    let Plan { server, session, provider, .. } = plan;
    let port = |idp: &Idp| plan.named_port.unwrap_or(idp.port);
    let providers = idps.iter().enumerate().fold(String::new(), |mut all, (number, idp)| {
        let (name, label, port) = (name_of(number), label_of(number), port(idp));
        let _ = write!(
            all,
            "  {name}:
    kind: auth0
    label: {label}
    domain: 127.0.0.1:{port}
    insecure_http: true
    client_id: {CLIENT_ID}
    client_secret: {{ file: client.secret }}
    audience: {AUDIENCE}
{provider}"
        );
        all
    });
    let routes = plan.routes.replace("UPSTREAM", &format!("\"http://{}\"", app.address()));
    format!(
        r#"version: 1
server:
  listen: ["127.0.0.1:{public}"]
  admin: 127.0.0.1:{admin}
  drain: 2s
  tls: {{ certificates: [{{ cert: tls.crt, key: tls.key }}] }}
{server}
providers:
{providers}
session:
  keys: [{{ file: session.key }}]
{session}
identity: {{ user: sub, email: email, name: name, roles: ["https://acme.dev/roles"] }}
headers: {{ X-Auth-User: "{{user}}" }}
routes:
{routes}"#
    )
}

/// A name nobody listens at yet, for a provider that is reached through a test's own port.
pub fn named_port() -> u16 {
    free_port()
}
