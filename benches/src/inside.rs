//! A runtime in this process that nobody connects to: decisions, without sockets around them.

use std::path::Path;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use doorward_config::settings::Settings;
use doorward_proxy::access_log::AccessLog;
use doorward_proxy::gate::{Admission, Ask, Outcome};
use doorward_proxy::keys::Tempo;
use doorward_proxy::runtime::Runtime;

use crate::Fault;

/// The settings in this file.
///
/// # Errors
/// With the whole report, when it is no configuration.
pub fn settings(configuration: &Path) -> Result<Settings, Fault> {
    Ok(doorward_config::load(configuration).map_err(|report| report.render(false))?.settings)
}

#[derive(Debug)]
pub struct Inside {
    /// Where the runtime's own tasks run.
    pub tokio: tokio::runtime::Runtime,
    pub runtime: Runtime,
}

impl Inside {
    /// With the configuration in this file.
    ///
    /// # Errors
    /// When it is none.
    pub fn new(configuration: &Path, tokio: tokio::runtime::Runtime) -> Result<Self, Fault> {
        let log = AccessLog::new(std::io::sink());
        let runtime = Runtime::new(settings(configuration)?, Tempo::default(), log, tokio.handle().clone())?;
        Ok(Self { tokio, runtime })
    }

    /// Decides, and waits for whatever that takes.
    ///
    /// # Errors
    /// When it may not pass.
    pub async fn passes(&self, ask: &Ask<'_>) -> Result<(), Fault> {
        match self.runtime.admit(ask).await.outcome {
            Outcome::Forward { .. } => Ok(()),
            Outcome::Answer { reason, .. } => Err(format!("`{}` is refused: {reason}", ask.target.path().as_str()).into()),
        }
    }
}

/// Decides; `None` when that would wait for somebody.
#[inline]
pub fn at_once(runtime: &Runtime, ask: &Ask<'_>) -> Option<Admission> {
    match pin!(runtime.admit(ask)).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(admission) => Some(admission),
        Poll::Pending => None,
    }
}
