//! oauth2-proxy, where it is on the PATH: in front of the app, and asked by others.

use doorward_demo::tenant::{CLIENT_ID, CLIENT_SECRET};

use super::nginx::folder;
use super::process::{others, program, spawn};
use super::requests::{self, PAGE};
use super::{Running, Unavailable, browser, ports};
use crate::stand::{HOST, Stand};
use crate::system::{Load, Transport};

/// A browser's session (in a cookie, its default), before the app.
pub fn session(stand: &Stand, cores: usize) -> Result<Running, Unavailable> {
    let (mut running, cookie) = signed_in(stand, cores, Transport::Tls)?;
    let (load, refused) = requests::session(running.load.address, &cookie);
    (running.load, running.refused) = (load, Some((refused, vec![302, 401, 403])));
    running.checked(stand)
}

/// The question whether the same cookie stands for a session, over plain HTTP, answered with 202.
pub fn hook(stand: &Stand, cores: usize) -> Result<Running, Unavailable> {
    let (mut running, cookie) = signed_in(stand, cores, Transport::Plain)?;
    let question = Load::usual(running.load.address, Transport::Plain, "/oauth2/auth");
    let question = question.with("X-Original-URL", &format!("https://{HOST}{PAGE}"));
    running.load = question.clone().session(&cookie);
    running.refused = Some((question.session(&requests::tampered(&cookie)), vec![401]));
    running.checked(stand)
}

fn signed_in(stand: &Stand, cores: usize, transport: Transport) -> Result<(Running, String), Unavailable> {
    let oauth2_proxy = others("oauth2-proxy")?;
    let address = ports::free();
    let at = folder(stand, "oauth2-proxy", address.port())?;
    let mut text = format!(
        "provider = \"oidc\"
oidc_issuer_url = \"{issuer}\"
client_id = \"{CLIENT_ID}\"
client_secret = \"{CLIENT_SECRET}\"
redirect_url = \"https://{HOST}:{port}/oauth2/callback\"
cookie_secret = \"0123456789abcdef0123456789abcdef\"
email_domains = [\"*\"]
insecure_oidc_allow_unverified_email = true
skip_provider_button = true
reverse_proxy = false
upstreams = [\"http://{app}/\"]
request_logging = false
auth_logging = false
standard_logging = false
",
        issuer = stand.tenant.issuer(),
        port = address.port(),
        app = stand.app,
    );
    if transport == Transport::Plain {
        text += &format!("http_address = \"{address}\"\n");
    } else {
        let files = stand.folder.display();
        text += &format!("http_address = \"-\"\nhttps_address = \"{address}\"\ntls_cert_file = \"{files}/tls.crt\"\n");
        text += &format!("tls_key_file = \"{files}/tls.key\"\ntls_min_version = \"TLS1.3\"\n");
    }
    std::fs::write(at.join("oauth2-proxy.cfg"), text)?;
    let log = at.join("log");
    let mut command = program(oauth2_proxy);
    command.arg("--config").arg(at.join("oauth2-proxy.cfg")).current_dir(&at).env("GOMAXPROCS", cores.to_string());
    let page = Load::usual(address, transport, PAGE);
    let mut running = Running { processes: vec![spawn(command, &log)?], log, load: page, refused: None };
    running.answering(stand, |_| true)?;
    let cookie = browser::sign_in(stand, &running.load)?;
    Ok((running, cookie))
}
