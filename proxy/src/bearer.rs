//! A bearer token, from the header to an identity: the hot path of an API.
//!
//! Tokens verified before are kept, whole, with what they prove. The cache holds facts, never a decision: policy runs on
//! every request. A fact counts until the token expires, the keys were fetched anew, or its provider is to be asked again.

mod revalidation;
mod seen;
mod several;

pub use revalidation::Revalidation;
pub use several::identify_by_one_of;

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use doorward_config::settings::Provider;
use doorward_policy::access::CredentialFault;
use doorward_policy::credential::RawToken;
use doorward_policy::identity::{Identity, IdentityMapping};
use doorward_policy::time::Timestamp;
use doorward_policy::token::{
    AccessTokenProfile, Algorithm, Header, LEEWAY, TokenFault, TokenType, UnverifiedToken, VerifiedToken, Vouched,
};
use prometheus::IntCounter;
use quick_cache::sync::Cache;
use seen::{Asked, Seen};
use serde_json::{Map, Value};

use crate::attributes::Attributes;
use crate::keys::{Believed, Budget, KeyStore};
use crate::metrics::Metrics;
use crate::runtime::token_type;

/// Verifies the bearer tokens of one provider.
#[derive(Debug)]
pub struct BearerVerifier {
    name: Arc<str>,
    profile: AccessTokenProfile,
    algorithms: Vec<Algorithm>,
    token_type: TokenType,
    /// The header of the last token that was good.
    header: ArcSwapOption<Header>,
    keys: Arc<KeyStore>,
    attributes: Arc<Attributes>,
    /// `None`: a signature is enough.
    revalidation: Option<Arc<Revalidation>>,
    /// Keyed by the whole token: equal is equal, whatever hashes say (ADV-TRA-06).
    remembered: Cache<Seen, Fact>,
    /// Found once: every token that is good counts here.
    verified_well: IntCounter,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Clone)]
struct Fact {
    identity: Arc<Identity>,
    expires: Timestamp,
    generation: u64,
    /// Between these moments nobody need be asked whether it still counts.
    asked: Timestamp,
    ask_again: Timestamp,
}

/// Where no provider is asked.
const ALWAYS: (Timestamp, Timestamp) = (Timestamp(i64::MIN), Timestamp(i64::MAX));

impl Fact {
    /// Whether it is one of these keys, at this moment.
    fn holds(&self, generation: u64, now: Timestamp) -> bool {
        self.generation == generation && self.expires > now
    }

    fn is_vouched_for(&self, now: Timestamp) -> bool {
        // A clock that is set back makes no answer last longer.
        self.asked <= now && now < self.ask_again
    }
}

impl BearerVerifier {
    pub fn new(
        provider: &Provider,
        profile: AccessTokenProfile,
        keys: Arc<KeyStore>,
        attributes: Arc<Attributes>,
        revalidation: Option<Arc<Revalidation>>,
        remembered: usize,
        metrics: Arc<Metrics>,
    ) -> Self {
        let (name, algorithms) = (provider.name.as_str().into(), provider.algorithms.clone());
        let (token_type, remembered) = (token_type(provider.access_token_type), Cache::new(remembered));
        let verified_well = metrics.token_verifications.with_label_values(&[&*provider.name, "ok"]);
        let header = ArcSwapOption::empty();
        Self { name, profile, algorithms, token_type, header, keys, attributes, revalidation, remembered, verified_well, metrics }
    }

    /// Who presents `raw`, and until when. Waits for nothing when the keys are known; for one fetch when they are not.
    /// A token that was not verified before is not verified now either, if `only_remembered` says so.
    ///
    /// # Errors
    /// [`CredentialFault`]: the token is not good, or cannot be judged now.
    pub async fn identify(
        &self,
        raw: RawToken<'_>,
        mapping: &IdentityMapping,
        only_remembered: impl FnOnce() -> bool,
        now: Timestamp,
    ) -> Result<(Arc<Identity>, Timestamp), CredentialFault> {
        let Some(current) = self.keys.believed_or_fetched(Budget::Bearer, now).await else {
            // Not a verdict: but what could never be one of ours needs no keys to be refused.
            self.parse(raw).map_err(|fault| self.refuse(fault))?;
            return Err(CredentialFault::CannotVerify);
        };
        let known = self.remembered.get(&Asked::from(raw)).filter(|fact| fact.holds(current.generation, now));
        if let Some(fact) = known.as_ref().filter(|fact| fact.is_vouched_for(now)) {
            self.metrics.token_cache_hits.inc();
            return Ok((fact.identity.clone(), fact.expires.plus(LEEWAY)));
        }
        self.metrics.token_cache_misses.inc();
        if let Some(fault) = self.revalidation.as_ref().and_then(|revalidation| revalidation.refused(raw)) {
            return Err(self.refuse(fault));
        }
        // One that only is to be asked about again was verified.
        if known.is_none() && only_remembered() {
            return Err(CredentialFault::TooMany);
        }
        let (verified, generation) = self.verified(raw, &current, Budget::Bearer, now).await.map_err(|fault| self.refuse(fault))?;
        let (seen, mut expires) = (Seen::of(raw, &verified), verified.expires());
        let about = self.revalidation.as_ref().map(|_| Arc::new(Vouched::of(&verified, &self.profile)));
        let identity = Arc::new(Identity::from_token(self.name.clone(), self.attributes.of_token(verified), mapping));
        // Somebody whom nobody could tell from anybody else is nobody.
        if identity.user().is_none() {
            return Err(self.refuse(TokenFault::User));
        }
        let (mut asked, mut ask_again) = ALWAYS;
        if let (Some(revalidation), Some(about)) = (&self.revalidation, &about) {
            let answer = revalidation.answer(raw, about).await?;
            let ends = answer.verdict().map_err(|fault| self.refuse_as(fault))?;
            (asked, ask_again) = (answer.from, answer.until);
            expires = ends.map_or(expires, |ends| ends.min(expires));
        }
        self.verified_well.inc();
        self.remembered.insert(seen, Fact { identity: identity.clone(), expires, generation, asked, ask_again });
        Ok((identity, expires.plus(LEEWAY)))
    }

    /// What its provider was asked, for the next verifier of the same provider.
    pub(crate) fn revalidation(&self) -> Option<Arc<Revalidation>> {
        self.revalidation.clone()
    }

    /// The issuer whose tokens these are.
    pub fn issuer(&self) -> &str {
        &self.profile.issuer
    }

    /// Who presents `raw`, if it was verified before by the keys that count now. Waits for nothing.
    pub fn recall(&self, raw: RawToken<'_>, now: Timestamp) -> Option<(Arc<Identity>, Timestamp)> {
        self.remembered(raw, self.keys.generation(now)?, now)
    }

    fn remembered(&self, raw: RawToken<'_>, generation: u64, now: Timestamp) -> Option<(Arc<Identity>, Timestamp)> {
        let fact = self.remembered.get(&Asked::from(raw)).filter(|fact| fact.holds(generation, now) && fact.is_vouched_for(now))?;
        self.metrics.token_cache_hits.inc();
        Some((fact.identity, fact.expires.plus(LEEWAY)))
    }

    /// The claims of an access token that came with a sign-in, on the sign-in's budget.
    ///
    /// # Errors
    /// As for [`Self::identify`].
    pub async fn claims(&self, raw: RawToken<'_>, now: Timestamp) -> Result<Map<String, Value>, CredentialFault> {
        let current = self.keys.believed_or_fetched(Budget::SignIn, now).await.ok_or(CredentialFault::CannotVerify)?;
        let (verified, _) = self.verified(raw, &current, Budget::SignIn, now).await.map_err(CredentialFault::Token)?;
        Ok(verified.claims().clone())
    }

    async fn verified(
        &self,
        raw: RawToken<'_>,
        current: &Believed,
        budget: Budget,
        now: Timestamp,
    ) -> Result<(VerifiedToken, u64), TokenFault> {
        let token = self.parse(raw)?;
        let verified = match self.verify(&token, current, now) {
            // RFC 7517 §5: a key we do not know may have been published since.
            Err(TokenFault::UnknownKey) => match self.keys.newer_than(current.generation, budget).await {
                Some(newer) => self.verify(&token, &newer, now).map(|verified| (verified, newer.generation)),
                None => Err(TokenFault::UnknownKey),
            },
            outcome => outcome.map(|verified| (verified, current.generation)),
        }?;
        // Only somebody with the issuer's key has another one remembered.
        if self.header.load().as_ref().is_none_or(|known| !Arc::ptr_eq(known, token.header())) {
            self.header.store(Some(token.header().clone()));
        }
        Ok(verified)
    }

    fn parse<'t>(&self, raw: RawToken<'t>) -> Result<UnverifiedToken<'t>, TokenFault> {
        UnverifiedToken::parse_like(raw, self.header.load().as_ref(), &self.algorithms, self.token_type)
    }

    fn verify(&self, token: &UnverifiedToken<'_>, current: &Believed, now: Timestamp) -> Result<VerifiedToken, TokenFault> {
        token.verify_access_token(&current.keys, &self.profile, now)
    }

    /// The same for what may be no verdict.
    fn refuse_as(&self, fault: CredentialFault) -> CredentialFault {
        match fault {
            CredentialFault::Token(fault) => self.refuse(fault),
            other => other,
        }
    }

    fn refuse(&self, fault: TokenFault) -> CredentialFault {
        self.metrics.token_verifications.with_label_values(&[&*self.name, fault.label()]).inc();
        CredentialFault::Token(fault)
    }
}

#[cfg(test)]
mod tests;
