//! What every system is given: a certificate, a stand-in tenant that issues tokens, and Doorward's configuration.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

pub use doorward_benches::Fault;
pub use doorward_benches::configuration::HOST;
pub use doorward_benches::stand::Stand;

use doorward_benches::configuration::Configuration;
use doorward_benches::inside;
use doorward_policy::time::Timestamp;

use crate::peers::ports;

/// Where systems listen, and the app behind them.
#[derive(Debug, Clone, Copy)]
pub struct Places {
    pub listen: SocketAddr,
    pub hooks: SocketAddr,
    pub admin: SocketAddr,
    pub app: SocketAddr,
}

/// Starts the tenant, writes the certificate and the secrets, and says where the app is to listen.
///
/// # Errors
/// The system's.
pub async fn begin() -> Result<Stand, Fault> {
    let stand = Stand::new(&[HOST, "localhost"], ports::free()).await?;
    let of = |name| fs::read_to_string(stand.folder.join(name));
    // Both in one, as some have it.
    stand.write("tls.pem", &format!("{}{}", of("tls.crt")?, of("tls.key")?))?;
    Ok(stand)
}

/// Doorward's configuration for these places, on `cores` threads, for browsers that use this port. Its files are in the
/// stand's folder.
pub fn configuration(stand: &Stand, places: &Places, public_port: u16, cores: usize) -> String {
    let Places { listen, hooks, admin, app } = *places;
    let server = format!(
        r#"  listen: ["{listen}"]
  public_port: {public_port}
  cores: {cores}
  access_log: off
  admin: "{admin}"
  hooks: {{ listen: ["{hooks}"], trusted_peers: [127.0.0.0/8] }}
  tls: {{ certificates: [{{ cert: tls.crt, key: tls.key }}] }}
"#
    );
    Configuration { server, app, ..stand.configuration() }.to_string()
}

/// The cookie of somebody who signed in at `now` to the Doorward of this configuration: name and value.
///
/// # Errors
/// When the configuration is none, or the session does not fit into a cookie.
pub fn cookie(stand: &Stand, configuration: &Path, now: Timestamp) -> Result<String, Fault> {
    // As long as those that Doorward makes.
    stand.cookie(&inside::settings(configuration)?, "0123456789abcdef0123456789abcdef", now)
}
