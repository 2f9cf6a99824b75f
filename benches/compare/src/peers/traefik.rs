//! Traefik that asks about each request, with its `forwardAuth`.

use super::app::YES;
use super::nginx::folder;
use super::process::{others, program, spawn};
use super::requests::{PAGE, bearer};
use super::{Running, Unavailable, ports};
use crate::stand::{HOST, Stand};
use crate::system::{Load, Transport};

/// It cannot answer by itself: the app's nginx says yes to whoever shows anything at all, and what that costs is not counted. It keeps two
/// connections for asking and has no setting for more.
pub fn forward_auth(stand: &Stand, cores: usize) -> Result<Running, Unavailable> {
    let traefik = others("traefik")?;
    let address = ports::free();
    let at = folder(stand, "traefik", address.port())?;
    let fixed = format!(
        "entryPoints:
  edge:
    address: \"{address}\"
    transport:
      respondingTimeouts: {{ readTimeout: 0s, idleTimeout: 600s }}
providers: {{ file: {{ filename: {at}/dynamic.yaml, watch: false }} }}
serversTransport: {{ maxIdleConnsPerHost: 256 }}
global: {{ checkNewVersion: false, sendAnonymousUsage: false }}
log: {{ level: ERROR }}
",
        at = at.display(),
    );
    let dynamic = format!(
        "http:
  routers:
    app: {{ rule: \"Host(`{HOST}`)\", entryPoints: [edge], middlewares: [ask], service: app, tls: {{}} }}
  middlewares:
    ask: {{ forwardAuth: {{ address: \"http://{app}{YES}\", authResponseHeaders: [X-Auth-User] }} }}
  services:
    app: {{ loadBalancer: {{ servers: [{{ url: \"http://{app}\" }}] }} }}
tls:
  stores: {{ default: {{ defaultCertificate: {{ certFile: {files}/tls.crt, keyFile: {files}/tls.key }} }} }}
  options: {{ default: {{ minVersion: VersionTLS13, alpnProtocols: [http/1.1] }} }}
",
        app = stand.app,
        files = stand.folder.display(),
    );
    std::fs::write(at.join("traefik.yaml"), fixed)?;
    std::fs::write(at.join("dynamic.yaml"), dynamic)?;
    let log = at.join("log");
    let mut command = program(traefik);
    command.arg("--configFile").arg(at.join("traefik.yaml")).current_dir(&at).env("GOMAXPROCS", cores.to_string());
    let (load, _) = bearer(stand, address, Transport::Tls);
    let refused = Load::usual(address, Transport::Tls, PAGE);
    Running { processes: vec![spawn(command, &log)?], log, load, refused: Some((refused, vec![401])) }.checked(stand)
}
