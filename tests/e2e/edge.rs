//! The `doorward` process: certificate, secrets and configuration in a folder of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use doorward_tests::idp::{AUDIENCE, CLIENT_ID, CLIENT_SECRET};
use doorward_tests::ports::free_port;
use doorward_tests::process::Process;
use doorward_tests::tools;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use tokio::process::Command;

use crate::client;

/// The hosts that the edge answers for.
pub const HOSTS: [&str; 3] = ["cms.localhost", "iot.localhost", "api.localhost"];

/// Where the edge is going to listen. Known beforehand, because the provider wants the callback URLs.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    pub public: u16,
    pub admin: u16,
}

impl Ports {
    pub fn reserve() -> Self {
        Self { public: free_port(), admin: free_port() }
    }

    /// `https://<app>.localhost:<port>`
    pub fn origin(self, app: &str) -> String {
        format!("https://{app}.localhost:{}", self.public)
    }

    /// A URL on the admin listener.
    pub fn admin(self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.admin)
    }
}

/// The running edge.
#[derive(Debug)]
pub struct Edge {
    pub process: Process,
    pub ports: Ports,
    /// PEM of the authority that signed its certificate.
    pub authority: String,
    /// Goes with the process.
    _folder: TempDir,
}

impl Edge {
    /// Starts `doorward serve` in front of two apps, and waits until it says it is live.
    pub async fn start(ports: Ports, provider_port: u16, apps: [SocketAddr; 2]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let authority = write_certificate(folder.path(), &HOSTS);
        write_secrets(folder.path());
        let config = folder.path().join("doorward.yaml");
        write(&config, &configuration(ports, provider_port, apps));

        let mut command = Command::new(tools::doorward());
        command.arg("serve").arg("--config").arg(&config).current_dir(folder.path());
        let mut edge = Self { process: Process::start("doorward", command, None).await, ports, authority, _folder: folder };
        edge.until_answers("/livez", Duration::from_secs(20)).await;
        edge
    }

    /// Waits until the admin listener answers 200 there.
    pub async fn until_answers(&mut self, path: &str, patience: Duration) {
        let deadline = tokio::time::Instant::now() + patience;
        let url = self.ports.admin(path);
        let client = client::plain();
        loop {
            self.process.must_be_running();
            if client.get(&url).send().await.is_ok_and(|response| response.status().is_success()) {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "{path} is not 200 after {patience:?}\n{}", self.process.said());
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }
}

/// An authority and a certificate of it for the hosts; answers the authority in PEM.
pub fn write_certificate(folder: &Path, hosts: &[&str]) -> String {
    let authority_key = KeyPair::generate().expect("a key");
    let mut authority = CertificateParams::new(Vec::new()).expect("parameters");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(rcgen::DnType::CommonName, "Doorward end-to-end tests");
    let authority_pem = authority.self_signed(&authority_key).expect("a certificate").pem();
    let issuer = Issuer::new(authority, authority_key);

    let key = KeyPair::generate().expect("a key");
    let leaf = CertificateParams::new(hosts.iter().map(|&host| host.to_owned()).collect::<Vec<_>>()).expect("parameters");
    let certificate = leaf.signed_by(&key, &issuer).expect("a certificate");
    write(&folder.join("tls.crt"), &certificate.pem());
    write_secret(&folder.join("tls.key"), &key.serialize_pem());
    authority_pem
}

/// The session's key and the client's secret.
pub fn write_secrets(folder: &Path) {
    let mut key = [0; 32];
    aws_lc_rs::rand::fill(&mut key).expect("the system has randomness");
    write_secret(&folder.join("session.key"), &BASE64_STANDARD.encode(key));
    write_secret(&folder.join("client.secret"), CLIENT_SECRET);
}

pub fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap_or_else(|problem| panic!("failed to write `{}`: {problem}", path.display()));
}

fn write_secret(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    write(path, text);
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("a file of ours");
}

/// The rules of the demo, so that the sample apps behave as there.
fn configuration(ports: Ports, provider_port: u16, [cms, iot]: [SocketAddr; 2]) -> String {
    let Ports { public, admin } = ports;
    format!(
        r#"version: 1

server:
  listen: ["127.0.0.1:{public}"]
  admin: 127.0.0.1:{admin}
  drain: 5s
  tls:
    certificates:
      - {{ cert: tls.crt, key: tls.key }}

providers:
  auth0:
    kind: auth0
    domain: 127.0.0.1:{provider_port}
    insecure_http: true
    client_id: {CLIENT_ID}
    client_secret: {{ file: client.secret }}
    audience: {AUDIENCE}
    scope: [openid, profile, email]
    after_logout: /

session:
  store: cookie
  keys:
    - {{ file: session.key }}
  idle: 1h
  lifetime: 12h

identity:
  user: sub
  email: email
  name: name
  roles: ["https://acme.dev/roles"]

headers:
  X-Auth-User: "{{user}}"
  X-Auth-Email: "{{email}}"
  X-Auth-Name: "{{name}}"
  X-Auth-Roles: "{{roles}}"
  X-Auth-Permissions: "{{permissions}}"

routes:
  - name: cms
    host: cms.localhost
    upstream: http://{cms}
    rules:
      - {{ path: [/, /healthz], allow: public }}
      - {{ path: "/admin/**", allow: {{ role: admin }} }}
      - {{ path: [/articles/new], allow: {{ any_role: [editor, admin] }} }}
      - {{ path: "/articles/**", methods: [POST], allow: {{ any_role: [editor, admin] }} }}
      - {{ allow: signed-in }}

  - name: iot
    host: iot.localhost
    upstream: http://{iot}
    rules:
      - {{ path: /healthz, allow: public }}
      - {{ path: "/devices/**", methods: [POST], allow: {{ role: admin }} }}
      - {{ allow: signed-in }}

  - name: api
    host: api.localhost
    upstream: http://{iot}
    accept: bearer
    rules:
      - {{ path: /healthz, allow: public }}
      - {{ path: "/api/**", methods: [GET], allow: {{ scope: "device:read" }} }}
      - {{ path: "/api/**", methods: [POST], allow: {{ scope: "device:admin" }} }}
"#
    )
}
