//! Apache httpd (event MPM) with mod_auth_openidc: as a resource server, and with a browser's session.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Child;

use doorward_demo::tenant::{AUDIENCE, CLIENT_ID, CLIENT_SECRET};

use super::haproxy::public_key;
use super::nginx::folder;
use super::process::{others, pinned, spawn};
use super::requests::{self, PAGE};
use super::{Running, Unavailable, browser, ports};
use crate::stand::{HOST, Stand};
use crate::system::{Load, Transport};

/// Where Debian has its modules.
const MODULES: &str = "/usr/lib/apache2/modules";

/// Signature, time, issuer, audience and the role, for each request; the tenant's key is a file.
pub fn bearer(stand: &Stand, cores: usize) -> Result<Running, Unavailable> {
    let address = ports::free();
    let at = folder(stand, "apache", address.port())?;
    let key = at.join("tenant.pem");
    std::fs::write(&key, public_key(stand)?)?;
    let kid = stand.tenant.kids().into_iter().next().unwrap_or_default();
    let module = format!("OIDCOAuthVerifyCertFiles \"{kid}#{}\"\nOIDCOAuthRemoteUserClaim sub\n", key.display());
    let (process, log) = run(stand, &at, address, cores, &module, "oauth20", AUDIENCE)?;
    let (load, refused) = requests::bearer(stand, address, Transport::Tls);
    Running { processes: vec![process], log, load, refused: Some((refused, vec![401])) }.checked(stand)
}

/// A session in the module's own cache (shared memory, its default), found by the cookie of a real sign-in.
pub fn session(stand: &Stand, cores: usize) -> Result<Running, Unavailable> {
    let address = ports::free();
    let at = folder(stand, "apache", address.port())?;
    let module = format!(
        "OIDCProviderMetadataURL {issuer}.well-known/openid-configuration
OIDCClientID {CLIENT_ID}
OIDCClientSecret {CLIENT_SECRET}
OIDCProviderTokenEndpointAuth client_secret_post
OIDCRedirectURI https://{HOST}:{port}/signed-in
OIDCScope \"openid profile email\"
OIDCCryptoPassphrase a-passphrase-for-one-run
OIDCSessionInactivityTimeout 14400
",
        issuer = stand.tenant.issuer(),
        port = address.port(),
    );
    let (process, log) = run(stand, &at, address, cores, &module, "openid-connect", CLIENT_ID)?;
    let page = Load::usual(address, Transport::Tls, PAGE);
    let mut running = Running { processes: vec![process], log, load: page, refused: None };
    running.answering(stand, |_| true)?;
    let cookie = browser::sign_in(stand, &running.load)?;
    let (load, refused) = requests::session(address, &cookie);
    (running.load, running.refused) = (load, Some((refused, vec![302, 401])));
    running.checked(stand)
}

/// One process, as many threads as there are connections, on these cores.
fn run(
    stand: &Stand,
    at: &Path,
    address: SocketAddr,
    cores: usize,
    module: &str,
    kind: &str,
    audience: &str,
) -> Result<(Child, PathBuf), Unavailable> {
    let apache = others("apache2")?;
    let own = Path::new(MODULES);
    if !own.join("mod_auth_openidc.so").exists() {
        return Err(Unavailable::Absent("Apache has no mod_auth_openidc".into()));
    }
    let modules = ["mpm_event", "authn_core", "authz_core", "authz_user", "ssl", "proxy", "proxy_http", "auth_openidc"];
    let modules: String = modules.iter().map(|name| format!("LoadModule {name}_module {MODULES}/mod_{name}.so\n")).collect();
    // It does not serve as root.
    let user = if rustix::process::geteuid().is_root() { "User www-data\nGroup www-data\n" } else { "" };
    let text = format!(
        r#"{modules}{user}ServerRoot {at}
DefaultRuntimeDir {at}
PidFile {at}/pid
Mutex pthread default
ServerName {HOST}
ErrorLog {at}/log
LogLevel error
Listen {address}
KeepAlive On
KeepAliveTimeout 600
MaxKeepAliveRequests 0
Timeout 600
ServerLimit 1
StartServers 1
ThreadLimit 128
ThreadsPerChild 128
MaxRequestWorkers 128
MinSpareThreads 1
MaxSpareThreads 128
MaxConnectionsPerChild 0
SSLEngine On
SSLProtocol -all +TLSv1.3
SSLCertificateFile {files}/tls.crt
SSLCertificateKeyFile {files}/tls.key
ProxyPreserveHost On
ProxyPass / http://{app}/ enablereuse=On keepalive=On
{module}<Location />
    AuthType {kind}
    <RequireAll>
        Require claim "iss:{issuer}"
        Require claim "aud:{audience}"
        Require claim "https://acme.dev/roles:admin"
    </RequireAll>
</Location>
"#,
        at = at.display(),
        files = stand.folder.display(),
        app = stand.app,
        issuer = stand.tenant.issuer(),
    );
    std::fs::write(at.join("apache.conf"), text)?;
    let mut command = pinned(apache, cores);
    command.arg("-DFOREGROUND").arg("-f").arg(at.join("apache.conf"));
    // What it says before it has its own log ends up there as well.
    Ok((spawn(command, &at.join("log"))?, at.join("log")))
}
