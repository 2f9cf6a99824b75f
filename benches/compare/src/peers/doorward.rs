//! Doorward itself: as a proxy, and asked by others.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Arc, OnceLock};

use doorward_proxy::clock;

use super::process::{own, program, spawn};
use super::requests::{self, PAGE, PUBLIC};
use super::{Running, Unavailable, nginx, ports};
use crate::stand::{self, HOST, Places, Stand};
use crate::system::{Load, Tokens, Transport};

/// As many tokens in turn as an API of some size sees in a minute.
const IN_TURN: u64 = 2_000;
/// Enough that using them up takes seconds, after as many as are remembered were used for warming up.
const EACH_ONCE: u64 = 32_000;

/// A path that everybody may see; the twin is one that only an admin may.
pub fn public(stand: &Stand, cores: usize) -> Result<Running, Unavailable> {
    proxied(stand, cores, |address| (Load::usual(address, Transport::Tls, PUBLIC), Load::usual(address, Transport::Tls, PAGE)))
}

/// One token.
pub fn bearer_cached(stand: &Stand, cores: usize) -> Result<Running, Unavailable> {
    proxied(stand, cores, |address| requests::bearer(stand, address, Transport::Tls))
}

/// One token, over HTTP/2.
pub fn tls_h2(stand: &Stand, cores: usize) -> Result<Running, Unavailable> {
    proxied(stand, cores, |address| requests::bearer(stand, address, Transport::TlsHttp2))
}

/// Some tokens in turn: all of them are remembered.
pub fn bearer_2000() -> impl Fn(&Stand, usize) -> Result<Running, Unavailable> {
    many(IN_TURN, 1, Tokens::InTurn)
}

/// Each token once: none is remembered. Signed at the first start and used again by later ones, which remember nothing.
pub fn bearer_new() -> impl Fn(&Stand, usize) -> Result<Running, Unavailable> {
    many(EACH_ONCE, 1 + IN_TURN, Tokens::EachOnce)
}

fn many(count: u64, first: u64, tokens: fn(Arc<[String]>) -> Tokens) -> impl Fn(&Stand, usize) -> Result<Running, Unavailable> {
    let signed: OnceLock<Arc<[String]>> = OnceLock::new();
    move |stand, cores| {
        let signed = signed.get_or_init(|| stand.bearers(first..first + count).into()).clone();
        proxied(stand, cores, |address| {
            let (mut load, refused) = requests::bearer(stand, address, Transport::Tls);
            load.headers.retain(|(name, _)| name != "authorization");
            (Load { tokens: tokens(signed), ..load }, refused)
        })
    }
}

/// The cookie of a session.
pub fn session(stand: &Stand, cores: usize) -> Result<Running, Unavailable> {
    let (process, places, log) = run(stand, cores, None)?;
    let cookie = stand::cookie(stand, &file(stand, &places), clock::now())?;
    let (load, refused) = requests::session(places.listen, &cookie);
    Running { processes: vec![process], log, load, refused: Some((refused, vec![302, 303, 401])) }.checked(stand)
}

/// The question of an nginx, over plain HTTP as it asks it, and nothing else.
pub fn hook(stand: &Stand, cores: usize) -> Result<Running, Unavailable> {
    let (process, places, log) = run(stand, cores, None)?;
    let (load, refused) = question(stand, places.hooks);
    Running { processes: vec![process], log, load, refused: Some((refused, vec![401])) }.checked(stand)
}

/// The same for somebody with a session.
pub fn hook_session(stand: &Stand, cores: usize) -> Result<Running, Unavailable> {
    let (process, places, log) = run(stand, cores, None)?;
    let question = asked_by_nginx(places.hooks);
    let cookie = stand::cookie(stand, &file(stand, &places), clock::now())?;
    let (load, refused) = (question.clone().session(&cookie), question.session(&requests::tampered(&cookie)));
    Running { processes: vec![process], log, load, refused: Some((refused, vec![401])) }.checked(stand)
}

/// A real nginx in front that asks about each request, with the text that `doorward snippet nginx` prints; both are counted.
pub fn behind_nginx(stand: &Stand, cores: usize) -> Result<Running, Unavailable> {
    let address = ports::free();
    let (doorward, places, doorward_log) = run(stand, cores, Some(address.port()))?;
    let mut running =
        Running { processes: vec![doorward], log: doorward_log, load: requests::bearer(stand, address, Transport::Tls).0, refused: None };
    let at = nginx::folder(stand, "behind-nginx", address.port())?;
    let text = format!("{}{}}}\n", nginx::head(&at, cores), printed(stand, &places)?);
    let (process, log) = nginx::run(&at, &text)?;
    running.processes.push(process);
    running.log = log;
    let (load, refused) = requests::bearer(stand, address, Transport::Tls);
    (running.load, running.refused) = (load, Some((refused, vec![401])));
    running.checked(stand)
}

/// What nginx has to have.
fn printed(stand: &Stand, places: &Places) -> Result<String, Unavailable> {
    let mut command = Command::new(own("doorward")?);
    command.args(["snippet", "nginx", "--listen", "127.0.0.1", "-c"]).arg(file(stand, places));
    let output = command.output()?;
    if !output.status.success() {
        return Err(Unavailable::Wrong(format!("`doorward snippet nginx`: {}", String::from_utf8_lossy(&output.stderr))));
    }
    let files = stand.folder.display();
    let certificate = format!("ssl_certificate {files}/tls.crt; ssl_certificate_key {files}/tls.key;");
    Ok(String::from_utf8_lossy(&output.stdout).replace(REJECT, &certificate))
}

/// What it does for those who name no host of a route in the handshake; wrk names the address.
const REJECT: &str = "ssl_reject_handshake on;";

/// What nginx asks about a page, for somebody with a token, and for one with a token for another API.
pub fn question(stand: &Stand, hooks: SocketAddr) -> (Load, Load) {
    let load = asked_by_nginx(hooks);
    (load.clone().bearer(&stand.bearer(0)), load.bearer(&requests::for_another(stand)))
}

/// About a page, for nobody yet.
fn asked_by_nginx(hooks: SocketAddr) -> Load {
    let mut load = Load::usual(hooks, Transport::Plain, "/_doorward/check/nginx");
    load.headers[0].1 = "doorward.internal".into();
    load.with("X-Original-Method", "GET").with("X-Original-URL", &format!("https://{HOST}{PAGE}")).with("X-Forwarded-For", "192.0.2.7")
}

fn proxied(stand: &Stand, cores: usize, loads: impl FnOnce(SocketAddr) -> (Load, Load)) -> Result<Running, Unavailable> {
    let (process, places, log) = run(stand, cores, None)?;
    let (load, refused) = loads(places.listen);
    Running { processes: vec![process], log, load, refused: Some((refused, vec![401])) }.checked(stand)
}

/// Starts it; `public_port` is that of a proxy in front of it.
fn run(stand: &Stand, cores: usize, public_port: Option<u16>) -> Result<(Child, Places, PathBuf), Unavailable> {
    let places = Places { listen: ports::free(), hooks: ports::free(), admin: ports::free(), app: stand.app };
    let configuration = write(stand, &places, public_port.unwrap_or(places.listen.port()), cores)?;
    let log = configuration.with_extension("log");
    let mut command = program(own("doorward")?);
    command.args(["serve", "--config"]).arg(configuration);
    Ok((spawn(command, &log)?, places, log))
}

/// Writes its configuration.
///
/// # Errors
/// The system's.
pub fn write(stand: &Stand, places: &Places, public_port: u16, cores: usize) -> Result<PathBuf, Unavailable> {
    let path = file(stand, places);
    std::fs::write(&path, stand::configuration(stand, places, public_port, cores))?;
    Ok(path)
}

/// Beside the certificate and the keys.
fn file(stand: &Stand, places: &Places) -> PathBuf {
    stand.folder.join(Path::new(&format!("doorward-{}.yaml", places.listen.port())))
}
