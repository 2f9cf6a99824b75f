//! pingora with nothing of ours: `doorward-bare`.

use std::process::Command;

use super::process::{own, program, spawn};
use super::requests::bearer;
use super::{Running, Unavailable, doorward, ports};
use crate::stand::{Places, Stand};
use crate::system::{Load, Transport};

/// Forwards as it comes.
pub fn proxy(stand: &Stand, cores: usize) -> Result<Running, Unavailable> {
    forward(stand, cores, Transport::Tls)
}

/// The same, asked over HTTP/2.
pub fn h2(stand: &Stand, cores: usize) -> Result<Running, Unavailable> {
    forward(stand, cores, Transport::TlsHttp2)
}

fn forward(stand: &Stand, cores: usize, transport: Transport) -> Result<Running, Unavailable> {
    let address = ports::free();
    let files = &stand.folder;
    let mut command = program(own("doorward-bare")?);
    command.args(["proxy", &address.to_string(), &stand.app.to_string()]);
    command.arg(files.join("tls.crt")).arg(files.join("tls.key")).arg(cores.to_string());
    let (load, _) = bearer(stand, address, transport);
    run(stand, command, load)
}

/// Answers by itself, behind Doorward's guards of a connection; asked what Doorward's hook is asked.
pub fn answer(stand: &Stand, cores: usize) -> Result<Running, Unavailable> {
    let places = Places { listen: ports::free(), hooks: ports::free(), admin: ports::free(), app: stand.app };
    let configuration = doorward::write(stand, &places, places.listen.port(), cores)?;
    let mut command = program(own("doorward-bare")?);
    command.args(["answer", &places.hooks.to_string()]).arg(configuration).arg(cores.to_string());
    run(stand, command, doorward::question(stand, places.hooks).0)
}

fn run(stand: &Stand, command: Command, load: Load) -> Result<Running, Unavailable> {
    let log = stand.folder.join(format!("bare-{}.log", load.address.port()));
    Running { processes: vec![spawn(command, &log)?], log, load, refused: None }.checked(stand)
}
