//! A token at a route of several providers: the one that can verify it issued it.

use std::sync::Arc;

use doorward_policy::access::CredentialFault;
use doorward_policy::credential::RawToken;
use doorward_policy::identity::{Identity, IdentityMapping};
use doorward_policy::time::Timestamp;
use doorward_policy::token::claimed_issuer;

use super::BearerVerifier;

/// Who presents `raw`, by the first of `verifiers` that vouches for it, and until when.
///
/// # Errors
/// As for [`BearerVerifier::identify`]: what the provider says that the token names, or the most telling of all.
pub async fn identify_by_one_of<'v>(
    verifiers: impl Iterator<Item = &'v BearerVerifier> + Clone,
    raw: RawToken<'_>,
    mapping: &IdentityMapping,
    only_remembered: impl Fn() -> bool,
    now: Timestamp,
) -> Result<(Arc<Identity>, Timestamp), CredentialFault> {
    if let Some(known) = verifiers.clone().find_map(|verifier| verifier.recall(raw, now)) {
        return Ok(known);
    }
    // Boxed: what a token needs once does not make the way of those longer that were seen before.
    Box::pin(verified_by_one_of(verifiers, raw, mapping, only_remembered, now)).await
}

async fn verified_by_one_of<'v>(
    verifiers: impl Iterator<Item = &'v BearerVerifier> + Clone,
    raw: RawToken<'_>,
    mapping: &IdentityMapping,
    only_remembered: impl Fn() -> bool,
    now: Timestamp,
) -> Result<(Arc<Identity>, Timestamp), CredentialFault> {
    let mut first = verifiers.clone();
    match (first.next(), first.next()) {
        // A route that takes tokens and whose providers issue none for us.
        (None, _) => return Err(CredentialFault::MalformedBearer),
        (Some(only), None) => return only.identify(raw, mapping, only_remembered, now).await,
        (Some(_), Some(_)) => {}
    }
    // Nobody has checked the name: it says who is asked first, so that the others need not fetch keys for a token of its.
    let claimed = claimed_issuer(raw);
    let named = |verifier: &BearerVerifier| claimed.as_deref() == Some(verifier.issuer());
    let mut in_order: Vec<&BearerVerifier> = verifiers.collect();
    in_order.sort_by_key(|verifier| !named(verifier));
    let mut faults = Vec::with_capacity(in_order.len());
    for verifier in in_order {
        match verifier.identify(raw, mapping, &only_remembered, now).await {
            Ok(found) => return Ok(found),
            Err(fault) => faults.push((named(verifier), fault)),
        }
    }
    Err(CredentialFault::most_telling(&faults).unwrap_or(CredentialFault::MalformedBearer))
}
