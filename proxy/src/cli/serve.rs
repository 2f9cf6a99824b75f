//! `doorward serve`

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use doorward_config::Loaded;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{CONFIGURATION, NO, color, log, refuse, say};
use crate::access_log::{self, AccessLog};
use crate::keys::Tempo;
use crate::reload::{Reloader, Trigger, published_secret};
use crate::serve::{Doorward, StartFault};

pub(super) fn serve(path: &Path) -> ExitCode {
    log::to_stderr("doorward=info,doorward_proxy=info,doorward_config=info");
    let Some(signals) = Signals::install() else {
        say("error: the system's signals cannot be received");
        return ExitCode::from(NO);
    };
    let Loaded { settings, warnings, files } = match doorward_config::load(path) {
        Ok(loaded) => loaded,
        Err(report) => return refuse(&report),
    };
    if !warnings.problems().is_empty() {
        say(&warnings.render(color()));
    }
    if let Some((key, text)) = published_secret(&settings) {
        say(&format!("error: {key} {text}\n  help: make one of your own with `doorward keygen`"));
        return ExitCode::from(CONFIGURATION);
    }
    match Doorward::start(settings, Tempo::default(), AccessLog::new(access_log::Stdout)) {
        Ok(edge) => {
            edge.reloader().read_from(path, files);
            edge.reloader().follow_files();
            until_told_to_stop(edge, signals)
        }
        Err(fault) => {
            say(&format!("error: {fault}"));
            ExitCode::from(if matches!(fault, StartFault::Listen(_)) { NO } else { CONFIGURATION })
        }
    }
}

fn until_told_to_stop(edge: Doorward, signals: Signals) -> ExitCode {
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
    signals.wait(edge.reloader());
    tracing::info!("stopping: requests in flight may finish");
    if !edge.stop().clean {
        // It was asked to stop and has stopped: no failure for whoever supervises it.
        tracing::warn!("time was up: some connections had to be cut");
    }
    ExitCode::SUCCESS
}

/// What is asked of a process from outside. Received from its first moment on: a SIGHUP that nobody receives would end it.
struct Signals {
    runtime: tokio::runtime::Runtime,
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn install() -> Option<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
        let receive = |kind| {
            let _within = runtime.enter();
            signal(kind).ok()
        };
        let (terminate, interrupt) = (receive(SignalKind::terminate())?, receive(SignalKind::interrupt())?);
        let hangup = receive(SignalKind::hangup())?;
        Some(Self { runtime, terminate, interrupt, hangup })
    }

    /// Until one of them says stop.
    fn wait(self, reloader: &Arc<Reloader>) {
        let Self { runtime, mut terminate, mut interrupt, mut hangup } = self;
        runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = terminate.recv() => return,
                    _ = interrupt.recv() => return,
                    // A stop need not wait for it, and what came of it is said there.
                    _ = hangup.recv() => reloader.reload_later(Trigger::Signal),
                }
            }
        });
    }
}
