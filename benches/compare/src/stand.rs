//! What every system is given: a certificate, a stand-in tenant that issues tokens, and Doorward's configuration.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};

use doorward_demo::tenant::{AUDIENCE, CLIENT_ID, CLIENT_SECRET, Tenant, TenantSettings};
use doorward_policy::session::{COOKIE, Origin, Session};
use doorward_policy::time::Timestamp;

use crate::peers::ports;

/// The host that everybody answers for.
pub const HOST: &str = "app.localhost";

pub type Fault = Box<dyn std::error::Error + Send + Sync>;

/// Where systems listen, and the app behind them.
#[derive(Debug, Clone, Copy)]
pub struct Places {
    pub listen: SocketAddr,
    pub hooks: SocketAddr,
    pub admin: SocketAddr,
    pub app: SocketAddr,
}

/// A folder, a tenant and its tokens.
#[derive(Debug)]
pub struct Stand {
    pub folder: PathBuf,
    pub tenant: Tenant,
    /// Where the app listens once it is started.
    pub app: SocketAddr,
}

impl Stand {
    /// Starts the tenant and writes the certificate and the secrets.
    ///
    /// # Errors
    /// The system's.
    pub async fn new(folder: &Path) -> Result<Self, Fault> {
        fs::create_dir_all(folder)?;
        // Programs are told about it, and each has its own idea of what a path begins at.
        let folder = fs::canonicalize(folder)?;
        let tenant = Tenant::start(TenantSettings::default()).await?;
        let made = rcgen::generate_simple_self_signed([HOST.to_owned(), "localhost".to_owned()])?;
        let stand = Self { folder, tenant, app: ports::free() };
        stand.write("tls.crt", &made.cert.pem())?;
        stand.write("tls.key", &made.signing_key.serialize_pem())?;
        stand.write("tls.pem", &format!("{}{}", made.cert.pem(), made.signing_key.serialize_pem()))?;
        stand.write("secret", CLIENT_SECRET)?;
        stand.write("session.key", SESSION_KEY)?;
        Ok(stand)
    }

    /// A file in the folder.
    ///
    /// # Errors
    /// The system's.
    pub fn write(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        let path = self.folder.join(name);
        fs::write(&path, text)?;
        Ok(path)
    }

    /// Doorward's configuration for these places, on `cores` threads, in a file.
    ///
    /// # Errors
    /// The system's.
    pub fn doorward(&self, places: &Places, cores: usize) -> io::Result<PathBuf> {
        self.write("doorward.yaml", &self.configuration(places, places.listen.port(), cores))
    }

    /// Doorward's configuration for these places, on `cores` threads, for browsers that use this port. Its files are in the
    /// stand's folder.
    pub fn configuration(&self, places: &Places, public_port: u16, cores: usize) -> String {
        let Places { listen, hooks, admin, app } = places;
        format!(
            r#"version: 1
server:
  listen: ["{listen}"]
  public_port: {public_port}
  cores: {cores}
  access_log: off
  admin: "{admin}"
  hooks: {{ listen: ["{hooks}"], trusted_peers: [127.0.0.0/8] }}
  tls: {{ certificates: [{{ cert: tls.crt, key: tls.key }}] }}
providers:
  tenant: {{ kind: auth0, domain: "{tenant}", insecure_http: true, client_id: {CLIENT_ID}, client_secret: {{ file: secret }}, audience: "{AUDIENCE}" }}
session: {{ keys: [{{ file: session.key }}] }}
identity: {{ roles: ["https://acme.dev/roles"] }}
headers: {{ X-Auth-User: "{{user}}", X-Auth-Email: "{{email}}", X-Auth-Roles: "{{roles}}" }}
routes:
  - name: app
    host: {HOST}
    upstream: http://{app}
    rules:
      - {{ path: "/public/**", allow: public }}
      - {{ path: "/admin/**", allow: {{ role: admin }} }}
      - {{ allow: signed-in }}
"#,
            tenant = self.tenant.address(),
        )
    }

    /// An access token of somebody who has the role `admin`; each `number` is another one.
    pub fn bearer(&self, number: u64) -> String {
        let mut claims = self.tenant.access_claims_for("ada", AUDIENCE, "openid read:items");
        claims["number"] = number.into();
        self.tenant.sign(claims)
    }

    /// As many of those. Signed on all cores: an RSA signature takes the better part of a millisecond.
    pub fn bearers(&self, numbers: Range<u64>) -> Vec<String> {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        let numbers: Vec<u64> = numbers.collect();
        std::thread::scope(|scope| {
            let work = |part: &[u64]| part.iter().map(|number| self.bearer(*number)).collect::<Vec<_>>();
            let parts: Vec<_> =
                numbers.chunks(numbers.len().div_ceil(workers).max(1)).map(|part| scope.spawn(move || work(part))).collect();
            parts.into_iter().filter_map(|part| part.join().ok()).flatten().collect()
        })
    }

    /// The session cookie of the same person, signed in at `now`: name and value.
    ///
    /// # Errors
    /// When the configuration is none, or the session does not fit into a cookie.
    pub fn session(&self, configuration: &Path, now: Timestamp) -> Result<String, Fault> {
        let settings = doorward_config::load(configuration).map_err(|report| report.render(false))?.settings;
        let claims = self.tenant.id_claims_for("ada", CLIENT_ID, "openid profile email");
        let claims = claims.as_object().ok_or("claims are an object")?;
        let origin = Origin { id: "0123456789abcdef0123456789abcdef", provider: "tenant", client_id: CLIENT_ID };
        let session = Session::begin(origin, claims, settings.policy.kept_claims(), now);
        let sealed = session.seal(&settings.session.keys, HOST, doorward_proxy::entropy::random()?)?;
        Ok(format!("{COOKIE}={sealed}"))
    }
}

const SESSION_KEY: &str = "Vb1wVgZ9dOeD8YFzN0xkT3mI5lQyKq7uHs2aXcRjP4o=";
