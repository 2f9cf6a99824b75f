//! Talking to an identity provider: discovery, keys, tokens, user information.
//!
//! Bounded in every direction: time, size, redirects (none), hosts (https, and none that a request could choose).

mod authentication;
mod discovery;
mod exchange;
mod fetch;

pub use discovery::{Metadata, MetadataFault};
pub use exchange::{ExchangeFault, RefreshFault, TokenResponse};
pub use fetch::FetchFault;

use std::sync::Arc;

use doorward_config::settings::Provider;
use fetch::Fetcher;

/// The HTTP side of one provider.
#[derive(Debug)]
pub struct IdpClient {
    provider: Arc<ProviderFacts>,
    fetcher: Fetcher,
}

/// The parts of a provider's settings that requests to it are made from, shared with the settings themselves.
#[derive(Debug)]
pub struct ProviderFacts {
    pub settings: Arc<doorward_config::settings::Settings>,
    pub index: usize,
}

impl ProviderFacts {
    pub fn provider(&self) -> &Provider {
        &self.settings.providers[self.index]
    }
}

impl IdpClient {
    /// Prepares a client; nothing is fetched yet.
    ///
    /// # Errors
    /// A text when the provider's CA cannot be used.
    pub fn new(provider: Arc<ProviderFacts>) -> Result<Self, String> {
        let fetcher = Fetcher::new(provider.provider())?;
        Ok(Self { provider, fetcher })
    }

    fn provider(&self) -> &Provider {
        self.provider.provider()
    }
}
