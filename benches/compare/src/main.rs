//! `doorward-compare`: Doorward beside its peers. `run` measures, `check` only starts each of them and sees that it does its work.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use doorward_compare::bench::{Bench, pids_of};
use doorward_compare::figures::{GROUPS, many_tokens};
use doorward_compare::meter::{self, Cores};
use doorward_compare::peers;
use doorward_compare::report::{Report, bars};
use doorward_compare::rounds;
use doorward_compare::stand::{self, Fault, Stand};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Where the newest whole result is kept, seen from the root of the repository.
const RESULTS: &str = "benches/compare/results";

#[derive(Parser)]
#[command(about = "Doorward beside its peers: CPU time for each request, on this machine, in one run")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measures all of them in turn, and writes latest.json, .txt, .svg and .png
    Run(Run),
    /// Starts each of them, one after the other, and says what came of it
    Check,
    /// One figure's own process
    #[command(hide = true, name = many_tokens::COMMAND)]
    ManyTokens { configuration: PathBuf },
}

#[derive(clap::Args)]
struct Run {
    /// How often each is measured: often rather than long, as each time a machine may be disturbed
    #[arg(long, default_value_t = 11, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// For how long each time
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=60))]
    seconds: u16,
    /// Only these systems and figures
    #[arg(long, num_args = 1.., value_name = "ID")]
    only: Vec<String>,
    /// Let the kernel choose the cores, of whoever asks and of what is measured
    #[arg(long)]
    free: bool,
    /// The folder for results: benches/compare/results, unless only a part is measured, which then is only printed
    #[arg(long)]
    out: Option<PathBuf>,
}

fn main() -> ExitCode {
    // What Doorward runs with: figures of this process are to be true of it. What nobody names is not linked.
    std::hint::black_box(mimalloc::MiMalloc.version());
    doorward_benches::crypto();
    match work(&Arguments::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(fault) => {
            eprintln!("doorward-compare: {fault}");
            ExitCode::FAILURE
        }
    }
}

/// Whether everything was as it must be.
fn work(command: &Command) -> Result<bool, Fault> {
    match command {
        Command::Check => with_stand(peers::check),
        Command::Run(run) => with_stand(|stand| measure(stand, run)),
        Command::ManyTokens { configuration } => {
            println!("{}", serde_json::to_string(&many_tokens::measure(configuration, std::io::stdin().lock())?)?);
            Ok(true)
        }
    }
}

fn with_stand(work: impl FnOnce(&Stand) -> Result<bool, Fault>) -> Result<bool, Fault> {
    let tokio = doorward_benches::beside()?;
    work(&tokio.block_on(stand::begin())?)
}

fn measure(stand: &Stand, run: &Run) -> Result<bool, Fault> {
    let cores = Cores::ours(!run.free)?;
    many_files()?;
    let app = peers::app::start(stand)?;
    meter::pin(&pids_of(app.processes()), cores.asking())?;
    let candidates = peers::catalogue(stand)?;
    let known: Vec<&str> = candidates.iter().map(|it| it.id).chain(GROUPS.iter().map(|it| it.id)).collect();
    if let Some(id) = run.only.iter().find(|id| !known.contains(&id.as_str())) {
        return Err(format!("there is no `{id}`; there are {}", known.join(", ")).into());
    }
    let wanted = |id: &str| run.only.is_empty() || run.only.iter().any(|only| only == id);
    let bench = Bench { stand, candidates, cores, rounds: run.rounds.into(), seconds: run.seconds.into() };
    let chosen: Vec<_> = bench.candidates.iter().filter(|candidate| wanted(candidate.id)).collect();
    let rows = rounds::run(&bench, &chosen);

    let ids: Vec<&str> = chosen.iter().map(|candidate| candidate.id).collect();
    let mut figures = bars::ratios(&ids, |id| rows.iter().find(|row| row.id == id)?.cpu_us());
    for group in GROUPS.iter().filter(|group| wanted(group.id)) {
        figures.extend(group.figures(&bench, &rows));
    }
    let report = Report::new(&rows, figures, &bench);
    println!("{}", report.text());
    if let Some(out) = run.out.clone().or_else(|| run.only.is_empty().then(|| PathBuf::from(RESULTS))) {
        report.write(&out)?;
        println!("written: latest.json, latest.txt, latest.svg and latest.png in {}", out.display());
    }
    Ok(report.holds())
}

/// Thousands of connections are open at once, in this process and in others that it starts.
fn many_files() -> Result<(), Fault> {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?)
}
