//! The command line. Each command has a file of its own below here.

mod check;
mod explain;
mod keygen;
mod log;
mod routes;
mod schema;
mod serve;
mod snippet;
mod table;
mod test;

use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use doorward_config::settings::Settings;
use doorward_config::{Loaded, Report};

use crate::snippet::Host;

/// The configuration is wrong (`EX_CONFIG` of sysexits.h).
const CONFIGURATION: u8 = 78;
/// The answer is no, or something else went wrong.
const NO: u8 = 1;
/// The command was used wrongly; clap's own code.
const MISUSED: u8 = 2;

/// An authentication edge: it signs people in, checks tokens, and tells the apps behind it who is asking.
#[derive(Debug, Parser)]
#[command(name = "doorward", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the edge until it is told to stop (SIGTERM or Ctrl-C)
    Serve(Config),
    /// Say everything that is wrong with a configuration, and where
    Check {
        /// The file to check
        file: Option<PathBuf>,
        #[command(flatten)]
        config: Config,
        /// How to print what was found
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
        /// Whether the session cookie of somebody with these claims fits: a JSON object in a file, or `-` for standard input
        #[arg(long, value_name = "FILE")]
        claims: Option<PathBuf>,
        /// Exit with 1 when there are warnings, so that a pipeline stops at them
        #[arg(long)]
        deny_warnings: bool,
    },
    /// Say what would become of a request, and why: rule by rule, with the values compared
    Explain(explain::Arguments),
    /// Try the `tests:` of a configuration
    Test(test::Arguments),
    /// Print routes and rules as they were read
    Routes(routes::Arguments),
    /// Print a whole configuration for another proxy that asks Doorward before it passes a request on
    ///
    /// It is made from the routes, hosts, headers and listeners of the configuration. What is not said there stands in it
    /// as a placeholder, and a comment on the same line says so; so does every secret.
    Snippet {
        /// The proxy that asks
        #[arg(value_enum)]
        host: Host,
        #[command(flatten)]
        config: Config,
        /// Where that proxy reaches Doorward's hook listener, when it is not where `server.hooks.listen` says
        #[arg(long, value_name = "HOST:PORT")]
        doorward: Option<String>,
        /// The IP address on which that proxy listens, without it all of its machine; the port is `server.public_port`
        #[arg(long, value_name = "ADDRESS")]
        listen: Option<IpAddr>,
        /// Print the Lua file that HAProxy loads, instead
        #[arg(long)]
        lua: bool,
    },
    /// Print the JSON Schema of the configuration, for editors
    Schema,
    /// Print a new session key: 32 random bytes in base64
    Keygen,
}

#[derive(Debug, clap::Args)]
struct Config {
    /// The configuration file; without it `doorward.yaml` here, then `/etc/doorward/doorward.yaml`
    #[arg(short, long = "config", value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

impl Config {
    fn path(&self) -> PathBuf {
        let here = Path::new("doorward.yaml");
        self.config.clone().unwrap_or_else(|| if here.exists() { here.into() } else { "/etc/doorward/doorward.yaml".into() })
    }
}

/// Runs the command that was given.
pub fn run(cli: Cli) -> ExitCode {
    match cli.command {
        Command::Serve(config) => serve::serve(&config.path()),
        Command::Check { file, config, format, claims, deny_warnings } => {
            check::check(&file.unwrap_or_else(|| config.path()), format, claims.as_deref(), deny_warnings)
        }
        Command::Explain(arguments) => explain::explain(&arguments),
        Command::Test(arguments) => test::test(&arguments),
        Command::Routes(arguments) => routes::routes(&arguments),
        Command::Snippet { host, lua: true, .. } => snippet::print_lua(host),
        Command::Snippet { host, config, doorward, listen, lua: false } => snippet::print_snippet(host, &config.path(), doorward, listen),
        Command::Schema => schema::schema(),
        Command::Keygen => keygen::keygen(),
    }
}

/// Errors go to standard error, results to standard output.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", text.trim_end());
}

fn tell(text: &str) {
    let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
}

fn color() -> bool {
    std::io::IsTerminal::is_terminal(&std::io::stderr()) && std::env::var_os("NO_COLOR").is_none()
}

/// The same for standard output.
fn color_of_results() -> bool {
    std::io::IsTerminal::is_terminal(&std::io::stdout()) && std::env::var_os("NO_COLOR").is_none()
}

/// A configuration, for commands that are about something else: its warnings are `check`'s to print.
fn load(path: &Path) -> Result<Settings, ExitCode> {
    match doorward_config::load(path) {
        Ok(Loaded { settings, .. }) => Ok(settings),
        Err(report) => Err(refuse(&report)),
    }
}

fn refuse(report: &Report) -> ExitCode {
    say(&report.render(color()));
    ExitCode::from(CONFIGURATION)
}
