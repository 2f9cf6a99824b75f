//! A stand-in tenant that issues tokens, and a folder with what a configuration needs.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;

use doorward_config::settings::Settings;
use doorward_demo::tenant::{AUDIENCE, CLIENT_ID, CLIENT_SECRET, Tenant, TenantSettings};
use doorward_policy::session::{COOKIE, Origin, Session};
use doorward_policy::time::Timestamp;
use doorward_proxy::entropy;
use tempfile::TempDir;

use crate::Fault;
use crate::configuration::{Configuration, HOST, SESSION_KEY};
use crate::parallel;

/// What the tenant is called in configurations.
const PROVIDER: &str = "tenant";

#[derive(Debug)]
pub struct Stand {
    pub folder: PathBuf,
    pub tenant: Tenant,
    /// Where the app listens, if there is one.
    pub app: SocketAddr,
    _temporary: TempDir,
}

impl Stand {
    /// Starts the tenant, and writes a certificate for `hosts` and the secrets.
    ///
    /// # Errors
    /// The system's.
    pub async fn new(hosts: &[&str], app: SocketAddr) -> Result<Self, Fault> {
        let temporary = tempfile::tempdir()?;
        // Programs are told about it, and each has its own idea of what a path begins at.
        let folder = fs::canonicalize(temporary.path())?;
        let tenant = Tenant::start(TenantSettings::default()).await?;
        let made = rcgen::generate_simple_self_signed(hosts.iter().map(|host| (*host).to_owned()).collect::<Vec<_>>())?;
        let stand = Self { folder, tenant, app, _temporary: temporary };
        stand.write("tls.crt", &made.cert.pem())?;
        stand.write("tls.key", &made.signing_key.serialize_pem())?;
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

    /// A configuration that believes the tenant, for a file in the folder. It listens where nobody looks.
    pub fn configuration(&self) -> Configuration {
        let address = self.tenant.address();
        Configuration {
            server: "  listen: [\"127.0.0.1:0\"]\n  public_port: 443\n  tls: { certificates: [{ cert: tls.crt, key: tls.key }] }\n".into(),
            provider: format!(
                "  {PROVIDER}: {{ kind: auth0, domain: \"{address}\", insecure_http: true, client_id: {CLIENT_ID}, client_secret: {{ file: secret }}, audience: \"{AUDIENCE}\" }}\n"
            ),
            session: String::new(),
            identity: r#"roles: ["https://acme.dev/roles"]"#,
            hosts: HOST.into(),
            app: self.app,
            rules: "",
        }
    }

    /// An access token of somebody who has the role `admin`; each `number` is another one.
    pub fn bearer(&self, number: u64) -> String {
        let mut claims = self.tenant.access_claims_for("ada", AUDIENCE, "openid read:items");
        claims["number"] = number.into();
        self.tenant.sign(claims)
    }

    /// As many of those, signed on all cores.
    pub fn bearers(&self, numbers: Range<u64>) -> Vec<String> {
        parallel::made(numbers, |number| self.bearer(number))
    }

    /// A session of the same person, signed in at `now`.
    ///
    /// # Errors
    /// When the tenant's claims are none.
    pub fn session(&self, settings: &Settings, id: &str, now: Timestamp) -> Result<Session, Fault> {
        let claims = self.tenant.id_claims_for("ada", CLIENT_ID, "openid profile email");
        let claims = claims.as_object().ok_or("claims are an object")?;
        let origin = Origin { id, provider: PROVIDER, client_id: CLIENT_ID };
        Ok(Session::begin(origin, claims, settings.policy.kept_claims(), now))
    }

    /// The cookie of such a session at [`HOST`]: name and value.
    ///
    /// # Errors
    /// As [`Stand::session`], or when it does not fit into a cookie.
    pub fn cookie(&self, settings: &Settings, id: &str, now: Timestamp) -> Result<String, Fault> {
        let sealed = self.session(settings, id, now)?.seal(&settings.session.keys, HOST, entropy::random()?)?;
        Ok(format!("{COOKIE}={sealed}"))
    }
}
