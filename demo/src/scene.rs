//! The whole demo: files, tenant, apps, the real `doorward` as a child process, and the words that go with it.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;

use tokio::signal::unix::{SignalKind, signal};

use crate::apps::{App, AppKind};
use crate::tenant::{AUDIENCE, Api, CLIENT_ID, Client, Tenant, TenantSettings, UrlRules, User};

mod certificate;
mod config;
mod data;
mod edge;
mod guide;

use data::DataDir;
use edge::Edge;

/// A stand-in Auth0 tenant and two sample apps behind a real Doorward, all on this machine. Never for production.
#[derive(Debug, Clone, clap::Parser)]
#[command(name = "doorward-demo", version)]
pub struct Options {
    /// Where Doorward listens for browsers (https)
    #[arg(long, default_value_t = 8443, value_parser = clap::value_parser!(u16).range(1..))]
    pub port: u16,
    /// Where the stand-in tenant listens (http)
    #[arg(long, default_value_t = 9400, value_parser = clap::value_parser!(u16).range(1..))]
    pub tenant_port: u16,
    /// Where Doorward's metrics and health listen (http)
    #[arg(long, default_value_t = 9091, value_parser = clap::value_parser!(u16).range(1..))]
    pub admin_port: u16,
    /// The doorward binary [default: beside this one]
    #[arg(long, value_name = "PATH")]
    pub doorward: Option<PathBuf>,
    /// Certificates, secrets and the configuration are kept here [default: demo-data, or a temporary directory]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Write the files, print the configuration and exit
    #[arg(long)]
    pub check_only: bool,
    /// Also print what doorward logs
    #[arg(long)]
    pub logs: bool,
}

/// Why the demo cannot go on, in words for the person at the terminal.
#[derive(Debug)]
pub struct Problem(String);

/// Runs until Ctrl-C or SIGTERM, which are the good end.
pub async fn run(options: &Options) -> Result<(), Problem> {
    let data = DataDir::open(options.data.as_deref())?;
    let files = data.prepare()?;
    let (cms, iot) = apps().await?;
    let config = config::render(options, &files, &cms, &iot)?;
    let config_file = data.write("doorward.yaml", &config)?;
    if options.check_only {
        print!("{config}");
        return Ok(());
    }

    let doorward = edge::binary(options)?;
    free(options.port, "--port")?;
    free(options.admin_port, "--admin-port")?;
    let tenant = tenant(options, &files.client_secret_text).await?;
    for persona in ["ada", "vera"] {
        data.write(&format!("tokens/{persona}"), &tenant.access_token_for(persona, AUDIENCE, guide::SCOPE))?;
    }

    // Listening for signals comes first: a Ctrl-C while the child starts must stop the child as well.
    let stop = stop_signal()?;
    tokio::pin!(stop);
    let mut edge = Edge::spawn(&doorward, &config_file, &data.path("doorward.log"), options.logs)?;
    let outcome = tokio::select! {
        () = &mut stop => Ok(()),
        outcome = watch(&mut edge, options, &data) => outcome,
    };
    if outcome.is_ok() {
        println!("\nStopping.");
    }
    tokio::select! {
        () = edge.stop() => {}
        // A second Ctrl-C does not wait for requests in flight.
        () = again() => {}
    }
    tokio::join!(tenant.stop(), cms.stop(), iot.stop());
    outcome
}

/// Says when everything is up, then returns only when the child is gone.
async fn watch(edge: &mut Edge, options: &Options, data: &DataDir) -> Result<(), Problem> {
    edge.ready(SocketAddr::from((Ipv4Addr::LOCALHOST, options.admin_port))).await?;
    println!("{}", guide::text(options, data));
    Err(edge.end().await)
}

async fn apps() -> Result<(App, App), Problem> {
    let failed = |problem| Problem(format!("failed to start the sample apps: {problem}"));
    let cms = App::start(AppKind::Cms).await.map_err(failed)?;
    let iot = App::start(AppKind::Iot).await.map_err(failed)?;
    Ok((cms, iot))
}

async fn tenant(options: &Options, client_secret: &str) -> Result<Tenant, Problem> {
    free(options.tenant_port, "--tenant-port")?;
    let urls = |path: &str| {
        let hosts = ["cms", "iot"].map(|app| format!("{}{path}", origin(app, options.port)));
        UrlRules { exact: hosts.into(), ..UrlRules::none() }
    };
    let mut client = Client::confidential(CLIENT_ID, client_secret);
    client.name = "Acme".into();
    client.callbacks = urls("/_doorward/callback/auth0");
    client.logout_urls = urls("/");
    let settings = TenantSettings {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, options.tenant_port)),
        clients: vec![client],
        apis: vec![Api::new(AUDIENCE, &["read:items", "write:items", "device:read", "device:admin"])],
        users: User::personas(),
        ..TenantSettings::default()
    };
    Tenant::start(settings).await.map_err(|problem| Problem(format!("failed to start the stand-in tenant: {problem}")))
}

/// `https://cms.localhost:8443`, without the port where browsers leave it out.
fn origin(app: &str, port: u16) -> String {
    match port {
        443 => format!("https://{app}.localhost"),
        port => format!("https://{app}.localhost:{port}"),
    }
}

/// Looks before anything starts, so that the message can name the flag.
fn free(port: u16, flag: &str) -> Result<(), Problem> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Ok(()),
        Err(problem) if problem.kind() == std::io::ErrorKind::AddrInUse => {
            Err(Problem(format!("port {port} is in use; choose another with {flag}")))
        }
        Err(problem) => Err(Problem(format!("failed to listen on port {port}: {problem}; choose another with {flag}"))),
    }
}

/// Resolves on Ctrl-C, SIGTERM, or when the terminal goes away.
fn stop_signal() -> Result<impl Future<Output = ()>, Problem> {
    let listen = |kind| signal(kind).map_err(|problem| Problem(format!("failed to listen for signals: {problem}")));
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hangup = listen(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}

async fn again() {
    match stop_signal() {
        Ok(stop) => stop.await,
        Err(_) => std::future::pending().await,
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Problem {}
