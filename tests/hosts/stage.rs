//! A host proxy as a process: started with what Doorward prints for it, stopped with the test.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use doorward_policy::session::COOKIE;
use doorward_tests::client::{Browser, Raw, tls};
use doorward_tests::ports::free_port;
use doorward_tests::process::Process;
use doorward_tests::recorder::Recorder;
use doorward_tests::scene::{APP, Plan, Scene};
use doorward_tests::tools;
use doorward_tests::variety;
use rustls::pki_types::ServerName;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::Command;

/// The proxies that are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Nginx,
    Haproxy,
    Caddy,
    Traefik,
    /// Asking over HTTP.
    Envoy,
    EnvoyGrpc,
}

impl Kind {
    pub const ALL: [Self; 6] = [Self::Nginx, Self::Haproxy, Self::Caddy, Self::Traefik, Self::Envoy, Self::EnvoyGrpc];

    /// What `doorward snippet` calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Caddy => "caddy",
            Self::Traefik => "traefik",
            Self::Envoy | Self::EnvoyGrpc => "envoy",
        }
    }
}

/// What a host proxy has besides the printed text.
#[derive(Debug, Clone, Copy)]
pub struct Given<'g> {
    /// Told to Doorward; none when it is empty.
    pub secret: &'g str,
    /// Shown to Doorward: the name of a pair of files beside its configuration.
    pub certificate: &'g str,
    /// Believed when Doorward shows it: the name of a certificate there. Doorward's own is signed by nobody else.
    pub authority: &'g str,
    /// Where it listens; 0 for any port.
    pub port: u16,
}

impl Default for Given<'_> {
    fn default() -> Self {
        Self { secret: "", certificate: "tls", authority: "tls", port: 0 }
    }
}

impl Given<'_> {
    /// The text with files in the places of its placeholders.
    fn fill(self, text: &str, folder: &Path) -> String {
        let files = folder.display();
        let text = text.replace("/etc/ssl/doorward/hooks-ca.crt", &format!("{files}/{}.crt", self.authority));
        let text = text.replace("/etc/ssl/doorward/hooks-client", &format!("{files}/{}", self.certificate));
        // The others find it in their environment, or in a file of their own.
        text.replace("value: SECRET }", &format!("value: \"{}\" }}", self.secret))
    }
}

/// The recording app, Doorward before it in proxy mode, and a host proxy before it that asks the same Doorward.
#[derive(Debug)]
pub struct Stage {
    pub kind: Kind,
    pub scene: Scene,
    pub process: Process,
    /// Where the host proxy listens; the port in the address bar.
    pub port: u16,
    /// What the host proxy runs with; goes with it.
    _folder: TempDir,
}

impl Stage {
    /// Routes of every kind, and an app that says `canary`.
    pub async fn start(kind: Kind) -> Self {
        Self::with(kind, |plan| plan, Recorder::start().await).await
    }

    /// The same with another plan or app.
    pub async fn with(kind: Kind, change: impl FnOnce(Plan) -> Plan, app: Recorder) -> Self {
        Self::given(kind, change, app, Given::default(), |text| text).await
    }

    /// The same with what the text has placeholders for, and with the text changed: what somebody may do to it.
    pub async fn given(
        kind: Kind,
        change: impl FnOnce(Plan) -> Plan,
        app: Recorder,
        given: Given<'_>,
        mutate: impl FnOnce(String) -> String,
    ) -> Self {
        let port = if given.port == 0 { free_port() } else { given.port };
        let hooks = free_port();
        let grpc = if kind == Kind::EnvoyGrpc { format!(" grpc: [\"127.0.0.1:{}\"],", free_port()) } else { String::new() };
        let more = format!("  hooks: {{ listen: [\"127.0.0.1:{hooks}\"],{grpc} trusted_peers: [127.0.0.1/32] }}\n");
        let plan = change(Plan { public_port: port, ..variety::plan(&more) });
        let scene = Scene::in_front_of(plan, app).await;
        let folder = tempfile::tempdir().expect("a folder");
        let text = mutate(given.fill(&printed(kind, hooks, &scene.configuration()).await, scene.folder.path()));
        let mut command = match kind {
            Kind::Nginx => nginx(folder.path(), &text, given.secret),
            Kind::Haproxy => haproxy(folder.path(), &text, &scene.configuration()).await,
            Kind::Caddy => caddy(folder.path(), &text),
            Kind::Traefik => traefik(folder.path(), &text),
            Kind::Envoy | Kind::EnvoyGrpc => envoy(folder.path(), &text),
        };
        if !given.secret.is_empty() {
            command.env("DOORWARD_SECRET", given.secret);
        }
        let process = Process::start(kind.name(), command, None).await;
        let mut stage = Self { kind, scene, process, port, _folder: folder };
        stage.until_it_listens().await;
        stage
    }

    /// Where the host proxy listens.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// `host` as it stands in the address bar.
    pub fn authority(&self, host: &str) -> String {
        format!("{host}:{}", self.port)
    }

    /// A connection to the host proxy for bytes as they are.
    pub async fn raw(&self) -> Raw {
        Raw::connect(self.address(), &self.scene.ca, APP).await
    }

    /// A browser before the host proxy in which a viewer has been signed in since then.
    pub fn holding(&self, host: &str, since: Duration) -> Browser {
        let mut browser = self.browser(host);
        browser.cookies.insert(COOKIE.into(), variety::session_seen(&self.scene, host, since));
        browser
    }

    /// A browser without cookies, before the host proxy.
    pub fn browser(&self, host: &str) -> Browser {
        Browser { address: self.address(), ca: self.scene.ca.clone(), host: self.authority(host), cookies: BTreeMap::new() }
    }

    /// Until a visit is answered by somebody who knows the host: listening is not enough, some read their files later.
    async fn until_it_listens(&mut self) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        while !matches!(self.visit().await, Some(status) if status != 404) {
            self.process.must_be_running();
            assert!(tokio::time::Instant::now() < deadline, "{} does not answer\n{}", self.kind.name(), self.process.said());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // Somebody else's listener would answer as well.
        self.process.must_be_running();
    }

    async fn visit(&self) -> Option<u16> {
        let socket = TcpStream::connect(self.address()).await.ok()?;
        let host = self.scene.edge().runtime().settings.policy.routes()[0].hosts[0].to_string();
        let name = ServerName::try_from(host.clone()).expect("a name");
        let mut raw = Raw::over(tls(&self.scene.ca, &[b"http/1.1"]).connect(name, socket).await.ok()?);
        raw.send(format!("GET /_doorward/session HTTP/1.1\r\nhost: {}\r\n\r\n", self.authority(&host)).as_bytes()).await;
        raw.answer().await.map(|answer| answer.status)
    }
}

/// What `doorward snippet` says.
async fn doorward(arguments: &[&str], configuration: &Path) -> String {
    let mut command = Command::new(tools::doorward());
    command.arg("snippet").args(arguments).arg("-c").arg(configuration);
    let output = command.kill_on_drop(true).output().await.expect("doorward runs");
    assert!(output.status.success(), "doorward snippet {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The text for this host proxy.
async fn printed(kind: Kind, hooks: u16, configuration: &Path) -> String {
    // Traefik checks the name in the address that it asks at.
    let there = format!("localhost:{hooks}");
    let arguments = [kind.name(), "--listen", "127.0.0.1", "--doorward", &there];
    doorward(if kind == Kind::Traefik { &arguments } else { &arguments[..3] }, configuration).await
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("a writable folder");
}

/// The text goes into a file that is included at the level of `http`, as it says itself.
fn nginx(folder: &Path, text: &str, secret: &str) -> Command {
    write(&folder.join("doorward.conf"), text);
    write(&folder.join("doorward-secret.conf"), &format!("proxy_set_header X-Doorward-Secret \"{secret}\";\n"));
    let at = folder.display();
    // One process and no other: nothing is left when it is killed.
    let own = format!(
        "daemon off;\nmaster_process off;\npid {at}/nginx.pid;\nerror_log stderr error;\nevents {{ worker_connections 512; }}\nhttp {{\n    access_log off;\n    \
         client_body_temp_path {at}/bodies;\n    proxy_temp_path {at}/answers;\n    fastcgi_temp_path {at}/fastcgi;\n    \
         uwsgi_temp_path {at}/uwsgi;\n    scgi_temp_path {at}/scgi;\n    include {at}/doorward.conf;\n}}\n"
    );
    write(&folder.join("nginx.conf"), &own);
    let mut command = Command::new(program(Kind::Nginx));
    command.arg("-e").arg("stderr").arg("-p").arg(folder).arg("-c").arg(folder.join("nginx.conf"));
    command
}

async fn haproxy(folder: &Path, text: &str, configuration: &Path) -> Command {
    write(&folder.join("doorward.lua"), &doorward(&["haproxy", "--lua"], configuration).await);
    write(&folder.join("haproxy.cfg"), text);
    let mut command = Command::new(program(Kind::Haproxy));
    command.arg("-db").arg("-f").arg(folder.join("haproxy.cfg")).current_dir(folder);
    command
}

fn caddy(folder: &Path, text: &str) -> Command {
    write(&folder.join("Caddyfile"), text);
    let mut command = Command::new(program(Kind::Caddy));
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(folder.join("Caddyfile"));
    // It keeps certificates and its own configuration there; these tests bring both.
    command.env("HOME", folder).env("XDG_DATA_HOME", folder).env("XDG_CONFIG_HOME", folder).current_dir(folder);
    command
}

/// What is printed goes into a file of the file provider; the static configuration is the one in its comment.
fn traefik(folder: &Path, text: &str) -> Command {
    let dynamic = folder.join("doorward.yaml");
    write(&dynamic, text);
    let comment = text.lines().filter_map(|line| line.strip_prefix("#   ")).map(|line| format!("{line}\n")).collect::<String>();
    let own = comment.replace("/etc/traefik/dynamic/doorward.yaml", &dynamic.display().to_string());
    assert!(own.contains("entryPoints:") && own != comment, "the comment holds a static configuration: {text}");
    write(&folder.join("traefik.yaml"), &format!("{own}global: {{ checkNewVersion: false, sendAnonymousUsage: false }}\n"));
    let mut command = Command::new(program(Kind::Traefik));
    command.arg("--configFile").arg(folder.join("traefik.yaml")).current_dir(folder);
    command
}

fn envoy(folder: &Path, text: &str) -> Command {
    write(&folder.join("envoy.yaml"), text);
    let mut command = Command::new(program(Kind::Envoy));
    command.args(["--disable-hot-restart", "--concurrency", "1", "--log-level", "warning", "-c"]).arg(folder.join("envoy.yaml"));
    command.current_dir(folder);
    command
}

/// nginx and HAProxy are Debian's; the others are in the folder that `DOORWARD_HOSTS` names, or where `./x test` puts them.
fn program(kind: Kind) -> PathBuf {
    let named = std::env::var_os("DOORWARD_HOSTS").filter(|path| !path.is_empty());
    // Beside `target/<profile>`, which holds `doorward`.
    let usual = || tools::doorward().ancestors().nth(2).expect("target/<profile>/doorward").join("hosts");
    let folder = match kind {
        Kind::Nginx | Kind::Haproxy => PathBuf::from("/usr/sbin"),
        _ => named.map_or_else(usual, PathBuf::from),
    };
    let path = folder.join(kind.name());
    assert!(path.exists(), "`{}` is missing: `./x test` installs it", path.display());
    path
}
