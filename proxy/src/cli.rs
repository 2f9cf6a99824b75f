//! The command line: `doorward serve`, `check`, `snippet` and `keygen`.

use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Parser, Subcommand, ValueEnum};
use doorward_config::{Loaded, Report};

use crate::access_log::AccessLog;
use crate::entropy;
use crate::keys::Tempo;
use crate::pages::Pages;
use crate::serve::{Doorward, StartFault, tls_stores};
use crate::snippet::{self, Host, Options};

/// The configuration is wrong (`EX_CONFIG` of sysexits.h).
const CONFIGURATION: u8 = 78;
/// Something else went wrong.
const NO: u8 = 1;

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
    },
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
        Command::Serve(config) => serve(&config.path()),
        Command::Check { file, config, format } => check(&file.unwrap_or_else(|| config.path()), format),
        Command::Snippet { host, lua: true, .. } => print_lua(host),
        Command::Snippet { host, config, doorward, listen, lua: false } => print_snippet(host, &config.path(), doorward, listen),
        Command::Keygen => keygen(),
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

fn serve(path: &Path) -> ExitCode {
    log_to_stderr();
    let Loaded { settings, warnings } = match doorward_config::load(path) {
        Ok(loaded) => loaded,
        Err(report) => return refuse(&report),
    };
    if !warnings.problems().is_empty() {
        say(&warnings.render(color()));
    }
    if settings.session.example_key {
        say(
            "error: session.keys holds the key of the published examples, so anybody could forge a session\n  help: make one of your own with `doorward keygen`",
        );
        return ExitCode::from(CONFIGURATION);
    }
    if settings.server.hooks.as_ref().is_some_and(|hooks| hooks.example_secret) {
        say("error: server.hooks.secret is the one of the published examples\n  help: make one of your own with `doorward keygen`");
        return ExitCode::from(CONFIGURATION);
    }
    if settings.server.example_admin_token {
        say("error: server.admin_token is the one of the published examples\n  help: make one of your own with `doorward keygen`");
        return ExitCode::from(CONFIGURATION);
    }
    match Doorward::start(settings, Tempo::default(), AccessLog::new(std::io::stdout())) {
        Ok(edge) => until_told_to_stop(edge),
        Err(fault) => {
            say(&format!("error: {fault}"));
            ExitCode::from(if matches!(fault, StartFault::Listen(_)) { NO } else { CONFIGURATION })
        }
    }
}

fn until_told_to_stop(edge: Doorward) -> ExitCode {
    for address in edge.addresses() {
        tracing::info!("listening on https://{address}");
    }
    for address in edge.hook_addresses() {
        tracing::info!("answering other proxies on {address}");
    }
    for address in edge.grpc_addresses() {
        tracing::info!("answering Envoy's gRPC on {address}");
    }
    if let Some(address) = edge.admin_address() {
        tracing::info!("metrics and health on http://{address}");
    }
    wait_for_signal();
    tracing::info!("stopping: requests in flight may finish");
    if !edge.stop().clean {
        // It was asked to stop and has stopped: no failure for whoever supervises it.
        tracing::warn!("time was up: some connections had to be cut");
    }
    ExitCode::SUCCESS
}

fn wait_for_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    runtime.block_on(async {
        let (Ok(mut terminate), Ok(mut interrupt), Ok(mut hangup)) =
            (signal(SignalKind::terminate()), signal(SignalKind::interrupt()), signal(SignalKind::hangup()))
        else {
            return;
        };
        loop {
            tokio::select! {
                _ = terminate.recv() => return,
                _ = interrupt.recv() => return,
                // Without this a closed terminal would end the edge.
                _ = hangup.recv() => tracing::info!("SIGHUP: certificates are reloaded by themselves; other settings need a restart"),
            }
        }
    });
}

fn check(path: &Path, format: Format) -> ExitCode {
    let loaded = match doorward_config::load(path) {
        Ok(loaded) => loaded,
        Err(report) => {
            if matches!(format, Format::Json) {
                tell(&report.to_json().to_string());
                return ExitCode::from(CONFIGURATION);
            }
            return refuse(&report);
        }
    };
    let certificates = tls_stores(&loaded.settings.server);
    match (format, &certificates) {
        (Format::Json, _) => tell(&loaded.warnings.to_json().to_string()),
        (Format::Text, _) if !loaded.warnings.problems().is_empty() => say(&loaded.warnings.render(color())),
        (Format::Text, _) => {}
    }
    let server = &loaded.settings.server;
    let pages = Pages::new(&[], server.pages.as_deref()).map_err(|fault| format!("server.pages: {fault}"));
    let faults = [certificates.err().map(|error| error.to_string()), pages.err()];
    for fault in faults.iter().flatten() {
        say(&format!("error: {fault}"));
    }
    if faults.iter().any(Option::is_some) {
        return ExitCode::from(CONFIGURATION);
    }
    if matches!(format, Format::Text) {
        let policy = &loaded.settings.policy;
        let rules: usize = policy.routes().iter().map(|route| route.rules.len()).sum();
        tell(&format!(
            "{}: fine ({} routes, {rules} rules, {} providers)",
            path.display(),
            policy.routes().len(),
            loaded.settings.providers.len()
        ));
        if loaded.settings.session.example_key {
            say("note: it uses the session key of the published examples, with which `doorward serve` refuses to start");
        }
        if let Some(folder) = server.state_dir.as_ref().filter(|folder| !folder.is_dir()) {
            say(&format!("note: there is no folder `{}` here (`server.state_dir`), and `doorward serve` needs it", folder.display()));
        }
    }
    ExitCode::SUCCESS
}

fn refuse(report: &Report) -> ExitCode {
    say(&report.render(color()));
    ExitCode::from(CONFIGURATION)
}

fn print_snippet(host: Host, path: &Path, doorward: Option<String>, listen: Option<IpAddr>) -> ExitCode {
    let Loaded { settings, warnings } = match doorward_config::load(path) {
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

fn print_lua(host: Host) -> ExitCode {
    if host != Host::Haproxy {
        say("error: only HAProxy loads a Lua file\n  help: `doorward snippet haproxy --lua`");
        return ExitCode::from(NO);
    }
    tell(snippet::LUA);
    ExitCode::SUCCESS
}

fn keygen() -> ExitCode {
    match entropy::random::<32>() {
        Ok(key) => {
            tell(&STANDARD.encode(key));
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::from(NO)
        }
    }
}

/// Our own events, as lines on standard error; standard output belongs to the access log. Lines of libraries stay silent:
/// some of them print raw requests.
fn log_to_stderr() {
    use tracing_subscriber::EnvFilter;
    // Empty is what a compose file makes of a variable that nobody set; it must not silence us.
    let wanted = std::env::var("DOORWARD_LOG").ok().filter(|text| !text.trim().is_empty());
    let filter = wanted
        .and_then(|text| EnvFilter::try_new(text).ok())
        .unwrap_or_else(|| EnvFilter::new("doorward=info,doorward_proxy=info,doorward_config=info"));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).finish();
    // Set by nobody before us; if it were, its lines would be as good.
    let _ = tracing::subscriber::set_global_default(subscriber);
}
