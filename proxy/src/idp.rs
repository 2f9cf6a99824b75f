//! Talking to an identity provider: discovery, keys, tokens, user information.
//!
//! Bounded in every direction: time, size, redirects (none), hosts (https, and none that a request could choose).

mod asking;
mod authentication;
mod discovery;
mod exchange;
mod fetch;
mod filling;

pub use asking::{AskFault, Verdict};
pub use discovery::{Metadata, MetadataFault};
pub use exchange::{ExchangeFault, RefreshFault, TokenResponse};
pub use fetch::FetchFault;
pub use filling::Filling;

use std::sync::Arc;

use doorward_config::settings::{KeySource, Provider};
use doorward_policy::token::{Algorithm, StaticKey};
use fetch::Fetcher;

/// The HTTP side of one provider.
#[derive(Debug)]
pub struct IdpClient {
    /// Shared with the settings themselves.
    provider: Arc<Provider>,
    fetcher: Fetcher,
}

impl IdpClient {
    /// Prepares a client; nothing is fetched yet.
    ///
    /// # Errors
    /// A text when the provider's CA cannot be used.
    pub fn new(provider: Arc<Provider>) -> Result<Self, String> {
        let fetcher = Fetcher::new(&provider)?;
        Ok(Self { provider, fetcher })
    }

    /// The keys that the operator holds, and the algorithms they may be used with: then none are fetched.
    pub fn held_keys(&self) -> Option<(&[StaticKey], &[Algorithm])> {
        match &self.provider().keys {
            KeySource::Static(keys) => Some((keys, &self.provider().algorithms)),
            KeySource::Discovered | KeySource::Jwks(_) => None,
        }
    }

    fn provider(&self) -> &Provider {
        &self.provider
    }
}
