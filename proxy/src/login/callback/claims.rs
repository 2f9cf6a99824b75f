//! From a code to the claims that were proven with it.

use std::net::IpAddr;
use std::sync::Arc;

use doorward_policy::login::Attempt;
use doorward_policy::session::Tokens;
use doorward_policy::time::Timestamp;
use serde_json::{Map, Value};

use super::failure::Failure;
use crate::claims::{self, Occasion};
use crate::keys::Budget;
use crate::runtime::{ProviderRuntime, Runtime};

/// Runs on the control thread, where a browser that goes away does not cut it short.
pub(super) async fn redeem(
    runtime: &Runtime,
    provider: &Arc<ProviderRuntime>,
    client_address: IpAddr,
    attempt: Attempt,
    code: String,
    now: Timestamp,
) -> Result<(Map<String, Value>, Tokens), Failure> {
    // DOS-08: anybody can bring a code that is none; each costs a request in our name.
    if !runtime.attempts.code(client_address) {
        return Err(Failure::TooMany);
    }
    let Ok(slot) = provider.redeeming.clone().try_acquire_owned() else { return Err(Failure::TooMany) };
    let provider = provider.clone();
    let work = runtime.control.spawn(async move {
        let _slot = slot;
        let current = provider.keys.ready(Budget::SignIn).await.ok_or(Failure::ProviderDown)?;
        let answer = provider.client.redeem(&current.metadata, &attempt, &code, now).await.map_err(Failure::Exchange)?;
        let proven = claims::gather(&provider, &answer, Occasion::SignIn { nonce: &attempt.nonce }, now).await?;
        let mut tokens = answer.tokens(now);
        tokens.access_expires = tokens.access_expires.into_iter().chain(proven.access_ends).min();
        Ok((proven.claims, tokens))
    });
    work.await.map_err(|_| Failure::Internal)?
}
