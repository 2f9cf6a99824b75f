//! A Doorward whose configuration differs a little from the one that the others are measured with.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use doorward_demo::tenant::AUDIENCE;

use crate::bench::{Bench, pids};
use crate::meter;
use crate::peers::ports;
use crate::peers::process::{own, program, spawn};
use crate::stand::{self, Fault, Places};
use crate::system::{Load, Running, Transport};

/// What only an admin may see.
pub const PAGE: &str = "/admin/users?page=2";
/// What everybody may see.
pub const PUBLIC: &str = "/public/app.js";

/// Where a Doorward is to listen, and its configuration.
#[derive(Debug)]
pub struct Written {
    pub places: Places,
    pub configuration: PathBuf,
}

/// Writes a configuration for one core, with other words in some places.
///
/// # Errors
/// When a place is not there, or the system's.
pub fn write(bench: &Bench<'_>, changes: &[(&str, &str)]) -> Result<Written, Fault> {
    let places = Places { listen: ports::free(), hooks: ports::free(), admin: ports::free(), app: bench.stand.app };
    let mut text = stand::configuration(bench.stand, &places, places.listen.port(), 1);
    for (before, after) in changes {
        if !text.contains(before) {
            return Err(format!("the configuration has no `{before}`").into());
        }
        text = text.replacen(before, after, 1);
    }
    let configuration = bench.stand.write(&format!("figure-{}.yaml", places.listen.port()), &text)?;
    Ok(Written { places, configuration })
}

/// The command that serves it. What it says on standard output is lost.
///
/// # Errors
/// When Doorward was not built.
pub fn command(written: &Written) -> Result<Command, Fault> {
    let mut command = program(own("doorward").map_err(|why| why.to_string())?);
    command.args(["serve", "--config"]).arg(&written.configuration);
    Ok(command)
}

/// Starts it on one core, and waits until it answers a request with a token. Standard output goes to a file, if one is given.
///
/// # Errors
/// When it does not come to answering.
pub fn start(bench: &Bench<'_>, changes: &[(&str, &str)], output: Option<File>) -> Result<Running, Fault> {
    let running = begin(bench, changes, output)?.checked(bench.stand).map_err(|why| why.to_string())?;
    meter::pin(&pids(&running), bench.cores.answering())?;
    Ok(running)
}

/// Starts it on one core, and asks it nothing.
///
/// # Errors
/// The system's, or when Doorward was not built.
pub fn begin(bench: &Bench<'_>, changes: &[(&str, &str)], output: Option<File>) -> Result<Running, Fault> {
    let written = write(bench, changes)?;
    let mut command = command(&written)?;
    if let Some(output) = output {
        command.stdout(Stdio::from(output));
    }
    let log = written.configuration.with_extension("log");
    let load = Load::usual(written.places.listen, Transport::Tls, PAGE).bearer(&bench.stand.bearer(0));
    let mut twin = bench.stand.tenant.access_claims_for("ada", AUDIENCE, "openid read:items");
    twin["aud"] = "https://another.example".into();
    let refused = Load::usual(written.places.listen, Transport::Tls, PAGE).bearer(&bench.stand.tenant.sign(twin));
    let process = spawn(command, &log)?;
    Ok(Running { processes: vec![process], log, load, refused: Some((refused, vec![401])) })
}
