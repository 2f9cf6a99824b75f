//! `doorward snippet`

use std::net::IpAddr;
use std::path::Path;
use std::process::ExitCode;

use doorward_config::Loaded;

use super::{CONFIGURATION, NO, color, refuse, say, tell};
use crate::snippet::{self, Host, Options};

pub(super) fn print_snippet(host: Host, path: &Path, doorward: Option<String>, listen: Option<IpAddr>) -> ExitCode {
    let Loaded { settings, warnings, .. } = match doorward_config::load(path) {
        Ok(loaded) => loaded,
        Err(report) => return refuse(&report),
    };
    if !warnings.problems().is_empty() {
        say(&warnings.render(color()));
    }
    let source = path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned());
    match snippet::print(host, &settings, &Options { source, doorward, listen }) {
        Ok(text) => {
            tell(&text);
            ExitCode::SUCCESS
        }
        Err(fault) => {
            say(&format!("error: {fault}"));
            ExitCode::from(CONFIGURATION)
        }
    }
}

pub(super) fn print_lua(host: Host) -> ExitCode {
    if host != Host::Haproxy {
        say("error: only HAProxy loads a Lua file\n  help: `doorward snippet haproxy --lua`");
        return ExitCode::from(NO);
    }
    tell(snippet::LUA);
    ExitCode::SUCCESS
}
