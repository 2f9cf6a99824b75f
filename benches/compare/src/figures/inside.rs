//! What a decision takes in this process, without sockets around it.

use std::hint::black_box;

use doorward_benches::inside::Inside;
use doorward_benches::request::{self, ask};
use doorward_policy::request::Target;
use doorward_proxy::clock;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::Fault;
use crate::meter;
use crate::stand::HOST;
use crate::system::Load;

/// Nanoseconds are told apart over so many decisions.
const DECISIONS: u32 = 100_000;

/// The CPU time of one decision about this, in nanoseconds; it has been made before.
///
/// # Errors
/// When the answer is not that it may pass.
pub fn nanoseconds(inside: &Inside, load: &Load) -> Result<f64, Fault> {
    let (target, headers) = (target(load)?, headers(load)?);
    let ask = ask(&target, &headers, clock::now());
    let misses = &inside.runtime.metrics.token_cache_misses;
    inside.tokio.block_on(async {
        for _ in 0..DECISIONS / 10 {
            inside.passes(&ask).await?;
        }
        let missed = misses.get();
        let before = meter::this_thread()?;
        for _ in 0..DECISIONS {
            inside.passes(black_box(&ask)).await?;
        }
        let spent = meter::this_thread()? - before;
        if misses.get() != missed {
            return Err("a token that was seen just now is not remembered".into());
        }
        Ok(spent.as_secs_f64() * 1e9 / f64::from(DECISIONS))
    })
}

/// The CPU time of one decision, in nanoseconds, about this with each of these tokens, which come for the first time.
///
/// # Errors
/// When one may not pass, or was seen before.
pub fn nanoseconds_each(inside: &Inside, load: &Load, tokens: &[String]) -> Result<f64, Fault> {
    let (target, mut headers) = (target(load)?, headers(load)?);
    let tokens: Vec<HeaderValue> = tokens.iter().map(|token| HeaderValue::try_from(format!("Bearer {token}"))).collect::<Result<_, _>>()?;
    let count = u32::try_from(tokens.len())?;
    let misses = &inside.runtime.metrics.token_cache_misses;
    inside.tokio.block_on(async {
        let missed = misses.get();
        let before = meter::this_thread()?;
        for token in tokens {
            headers.insert(AUTHORIZATION, token);
            inside.passes(black_box(&ask(&target, &headers, clock::now()))).await?;
        }
        let spent = meter::this_thread()? - before;
        if misses.get() - missed != u64::from(count) {
            return Err("a new token was seen before".into());
        }
        Ok(spent.as_secs_f64() * 1e9 / f64::from(count))
    })
}

fn target(load: &Load) -> Result<Target, Fault> {
    request::target(HOST, &load.path).map_err(|fault| format!("{}: {fault}", load.path).into())
}

fn headers(load: &Load) -> Result<HeaderMap, Fault> {
    let mut headers = HeaderMap::new();
    for (name, value) in &load.headers {
        headers.append(HeaderName::from_bytes(name.as_bytes())?, HeaderValue::from_str(value)?);
    }
    Ok(headers)
}
