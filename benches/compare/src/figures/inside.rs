//! Doorward's decisions in this process, without sockets around them.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use doorward_policy::request::Target;
use doorward_proxy::access_log::AccessLog;
use doorward_proxy::clock;
use doorward_proxy::gate::{Ask, Outcome, Way};
use doorward_proxy::keys::Tempo;
use doorward_proxy::manner::Manner;
use doorward_proxy::runtime::Runtime;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::Fault;
use crate::meter;
use crate::stand::HOST;
use crate::system::Load;

/// Nanoseconds are told apart over so many decisions.
const DECISIONS: u32 = 100_000;

/// A runtime that nobody can connect to.
pub struct Inside {
    tokio: tokio::runtime::Runtime,
    runtime: Runtime,
}

impl Inside {
    /// # Errors
    /// When the configuration is none.
    pub fn new(configuration: &Path) -> Result<Self, Fault> {
        let settings = doorward_config::load(configuration).map_err(|report| report.render(false))?.settings;
        let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let log = AccessLog::new(std::io::sink());
        let runtime = Runtime::new(settings, Tempo::default(), log, tokio.handle().clone())?;
        Ok(Self { tokio, runtime })
    }

    /// The CPU time of one decision about this, in nanoseconds; it has been made before.
    ///
    /// # Errors
    /// When the answer is not that it may pass.
    pub fn nanoseconds(&self, load: &Load) -> Result<f64, Fault> {
        let (target, headers) = (target(load)?, headers(load)?);
        let ask = ask(&target, &headers);
        self.tokio.block_on(async {
            for _ in 0..DECISIONS / 10 {
                self.passes(&ask).await?;
            }
            let misses = self.runtime.metrics.token_cache_misses.get();
            let before = meter::this_thread()?;
            for _ in 0..DECISIONS {
                self.passes(black_box(&ask)).await?;
            }
            let spent = meter::this_thread()? - before;
            if self.runtime.metrics.token_cache_misses.get() != misses {
                return Err("a token that was seen just now is not remembered".into());
            }
            Ok(spent.as_secs_f64() * 1e9 / f64::from(DECISIONS))
        })
    }

    /// The CPU time of one decision, in nanoseconds, about this with each of these tokens, which come for the first time.
    ///
    /// # Errors
    /// When one may not pass, or was seen before.
    pub fn nanoseconds_each(&self, load: &Load, tokens: &[String]) -> Result<f64, Fault> {
        let (target, mut headers) = (target(load)?, headers(load)?);
        let tokens: Vec<HeaderValue> =
            tokens.iter().map(|token| HeaderValue::try_from(format!("Bearer {token}"))).collect::<Result<_, _>>()?;
        let count = u32::try_from(tokens.len())?;
        self.tokio.block_on(async {
            let misses = self.runtime.metrics.token_cache_misses.get();
            let before = meter::this_thread()?;
            for token in tokens {
                headers.insert(AUTHORIZATION, token);
                self.passes(black_box(&ask(&target, &headers))).await?;
            }
            let spent = meter::this_thread()? - before;
            if self.runtime.metrics.token_cache_misses.get() - misses != u64::from(count) {
                return Err("a new token was seen before".into());
            }
            Ok(spent.as_secs_f64() * 1e9 / f64::from(count))
        })
    }

    async fn passes(&self, ask: &Ask<'_>) -> Result<(), Fault> {
        match self.runtime.admit(ask).await.outcome {
            Outcome::Forward { .. } => Ok(()),
            Outcome::Answer { reason, .. } => Err(format!("`{}` is refused: {reason}", ask.target.path().as_str()).into()),
        }
    }
}

fn target(load: &Load) -> Result<Target, Fault> {
    let target = Target::parse(&Method::GET, HOST.as_bytes(), load.path.as_bytes());
    target.map_err(|fault| format!("{}: {fault:?}", load.path).into())
}

fn headers(load: &Load) -> Result<HeaderMap, Fault> {
    let mut headers = HeaderMap::new();
    for (name, value) in &load.headers {
        headers.append(HeaderName::from_bytes(name.as_bytes())?, HeaderValue::from_str(value)?);
    }
    Ok(headers)
}

fn ask<'a>(target: &'a Target, headers: &'a HeaderMap) -> Ask<'a> {
    Ask {
        content: &[],
        target,
        headers,
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        manner: Manner::Script,
        way: Way::Proxy,
        request_id: "figure",
        now: clock::now(),
    }
}
