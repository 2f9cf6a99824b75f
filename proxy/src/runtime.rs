//! Everything that one request reads, in one place: settings, keys, upstreams, pages, counters.

use std::sync::Arc;

use doorward_config::settings::{AccessTokenType, Provider, Settings};
use doorward_policy::login::Places;
use doorward_policy::session::{Limits, Session, SessionFault};
use doorward_policy::token::{AccessTokenProfile, TokenType};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::access_log::AccessLog;
use crate::attempts::Attempts;
use crate::bearer::BearerVerifier;
use crate::entropy::{NoEntropy, RequestIds};
use crate::idp::{IdpClient, ProviderFacts};
use crate::keyring::{Keyring, Keys};
use crate::keys::{KeyStore, Tempo};
use crate::login::UsedAttempts;
use crate::login::form::KeptForms;
use crate::metrics::Metrics;
use crate::pages::{Pages, PagesFault};
use crate::revocations::RevocationList;
use crate::sessions::Sessions;
use crate::store::{self, OpenFault, Store};
use crate::streams::OpenStreams;
use crate::upstream::UpstreamPool;

/// Shared by all worlds; nothing in it takes a lock that a request would wait for.
pub struct Runtime {
    pub settings: Arc<Settings>,
    /// In the order of `settings.providers`.
    pub providers: Vec<Arc<ProviderRuntime>>,
    /// In the order of `settings.routes`; `None` for an app that another proxy stands before.
    pub upstreams: Vec<Option<Arc<UpstreamPool>>>,
    pub pages: Pages,
    pub metrics: Arc<Metrics>,
    pub access_log: Arc<AccessLog>,
    pub request_ids: RequestIds,
    pub keyring: Arc<Keyring>,
    pub used_attempts: UsedAttempts,
    pub kept_forms: KeptForms,
    pub attempts: Attempts,
    pub store: Arc<dyn Store>,
    pub revocations: Arc<RevocationList>,
    pub sessions: Arc<Sessions>,
    pub streams: Arc<OpenStreams>,
    /// Where everything runs that talks to providers.
    pub control: Handle,
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime").field("providers", &self.providers).field("upstreams", &self.upstreams).finish_non_exhaustive()
    }
}

/// One provider at work.
#[derive(Debug)]
pub struct ProviderRuntime {
    facts: Arc<ProviderFacts>,
    pub client: Arc<IdpClient>,
    pub keys: Arc<KeyStore>,
    /// `None` without an audience: its access tokens are not for us to read.
    pub bearer: Option<BearerVerifier>,
    /// Codes that may be redeemed at once.
    pub redeeming: Arc<Semaphore>,
}

/// Where oauth2-proxy has its endpoints.
pub const OAUTH2_PROXY: &str = "/oauth2";

/// Token requests under way at one provider.
const REDEEMING: usize = 64;

/// Why the edge cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeFault {
    #[error("providers.{name}: {text}")]
    Provider { name: String, text: String },
    #[error("routes: `{name}`: {text}")]
    Upstream { name: String, text: String },
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
    #[error(transparent)]
    Store(#[from] OpenFault),
    #[error("server.pages: {0}")]
    Pages(#[from] PagesFault),
}

impl Runtime {
    /// Puts everything together; nothing is fetched or connected yet.
    ///
    /// # Errors
    /// [`RuntimeFault`].
    pub fn new(settings: Settings, tempo: Tempo, access_log: AccessLog, control: Handle) -> Result<Self, RuntimeFault> {
        let settings = Arc::new(settings);
        let metrics = Arc::new(Metrics::new(&settings)?);
        let providers = (0..settings.providers.len()).map(|index| ProviderRuntime::new(&settings, index, tempo, &control, &metrics));
        let providers = providers.map(|provider| provider.map(Arc::new)).collect::<Result<Vec<_>, _>>()?;
        let upstreams = settings.policy.routes().iter().zip(&settings.routes).map(|(route, io)| {
            let pool = io.upstream.as_ref().map(|upstream| UpstreamPool::new(&route.name, upstream).map(Arc::new));
            pool.transpose().map_err(|text| RuntimeFault::Upstream { name: route.name.to_string(), text })
        });
        let insecure_issuers: Vec<&str> =
            settings.providers.iter().filter(|provider| provider.insecure_http).map(|provider| provider.issuer.as_str()).collect();
        let store = store::open(&settings, &control, &metrics)?;
        let issuers = settings.providers.iter().map(|provider| provider.issuer.as_str());
        let revocations = RevocationList::new(issuers, settings.session.lifetime, store.clone(), metrics.clone(), control.clone());
        let keyring = Arc::new(Keyring::new(settings.clone(), tempo.key_settles));
        let sessions = Sessions::new(
            settings.clone(),
            keyring.clone(),
            revocations.clone(),
            store.clone(),
            &providers,
            control.clone(),
            metrics.clone(),
        );
        Ok(Self {
            providers,
            upstreams: upstreams.collect::<Result<_, _>>()?,
            pages: Pages::new(&insecure_issuers, settings.server.pages.as_deref())?,
            access_log: Arc::new(access_log),
            request_ids: RequestIds::new()?,
            keyring,
            used_attempts: UsedAttempts::default(),
            kept_forms: KeptForms::default(),
            attempts: Attempts::new(&settings.server.limits),
            store,
            revocations,
            sessions,
            streams: Arc::new(OpenStreams::new(metrics.streams.clone(), &metrics.streams_closed)),
            metrics,
            control,
            settings,
        })
    }

    /// The sealing keys as they are now.
    pub fn keys(&self) -> Keys<'_> {
        self.keyring.keys()
    }

    /// Idle and absolute limits of a session.
    pub fn session_limits(&self) -> Limits {
        Limits { idle: self.settings.session.idle, lifetime: self.settings.session.lifetime }
    }

    /// Whether our own endpoints answer for this host; `name` is canonical.
    pub fn serves_host(&self, name: &str) -> bool {
        self.settings.policy.knows_host(name) || self.settings.server.public_host.as_deref() == Some(name)
    }

    /// Whether a session counts where these providers are asked for.
    ///
    /// # Errors
    /// [`SessionFault::OtherProvider`].
    pub fn belongs(&self, session: &Session, providers: &[usize]) -> Result<(), SessionFault> {
        let settings = providers.iter().filter_map(|index| self.settings.providers.get(*index));
        session.belongs_to_one_of(settings.map(|provider| (&*provider.name, &*provider.client_id, &*provider.issuer)))
    }

    /// Whether `path` is one of our own endpoints, below the prefix; what follows it.
    pub fn own_path<'p>(&self, path: &'p str) -> Option<&'p str> {
        let rest = path.strip_prefix(self.settings.server.prefix.as_str())?;
        if rest.is_empty() { Some("") } else { rest.strip_prefix('/') }
    }

    /// Whether `path` is for us and never for an app.
    pub fn is_own(&self, path: &str) -> bool {
        let compatible = self.settings.server.hooks.as_ref().is_some_and(|hooks| hooks.oauth2_proxy.is_some());
        let oauth2 = path.strip_prefix(OAUTH2_PROXY).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        self.own_path(path).is_some() || self.callback_alias(path).is_some() || (compatible && oauth2)
    }

    /// The provider whose callback alias `path` is.
    pub fn callback_alias(&self, path: &str) -> Option<usize> {
        self.settings.providers.iter().position(|provider| provider.callback_aliases.iter().any(|alias| alias == path))
    }

    /// `host` as it stands in the address bar: with the port, unless it is 443.
    pub fn public_authority(&self, host: &str) -> String {
        match self.settings.server.public_port {
            443 => host.to_owned(),
            port => format!("{host}:{port}"),
        }
    }
}

impl Places for Runtime {
    fn holds(&self, host: &str, port: u16) -> bool {
        port == self.settings.server.public_port && self.serves_host(host)
    }

    fn prefix(&self) -> &str {
        &self.settings.server.prefix
    }

    fn reserves(&self, path: &str) -> bool {
        self.is_own(path)
    }
}

impl ProviderRuntime {
    fn new(settings: &Arc<Settings>, index: usize, tempo: Tempo, control: &Handle, metrics: &Arc<Metrics>) -> Result<Self, RuntimeFault> {
        let facts = Arc::new(ProviderFacts { settings: settings.clone(), index });
        let provider = facts.provider();
        let client = IdpClient::new(facts.clone()).map_err(|text| RuntimeFault::Provider { name: provider.name.clone(), text })?;
        let client = Arc::new(client);
        let keys = KeyStore::new(&provider.name, client.clone(), tempo, control.clone(), metrics.clone());
        let bearer = provider.audience.as_deref().map(|audience| {
            let profile = AccessTokenProfile {
                issuer: provider.issuer.as_str().into(),
                audience: audience.into(),
                organization: provider.organization.as_deref().map(Into::into),
            };
            BearerVerifier::new(
                &provider.name,
                profile,
                provider.algorithms.clone(),
                token_type(provider.access_token_type),
                keys.clone(),
                metrics.clone(),
            )
        });
        Ok(Self { facts, client, keys, bearer, redeeming: Arc::new(Semaphore::new(REDEEMING)) })
    }

    pub fn settings(&self) -> &Provider {
        self.facts.provider()
    }
}

/// The settings' word for what a token's header must say, in the policy's.
pub fn token_type(configured: AccessTokenType) -> TokenType {
    match configured {
        AccessTokenType::AtJwt => TokenType::AtJwt,
        AccessTokenType::Jwt => TokenType::Jwt,
        AccessTokenType::Either => TokenType::Either,
    }
}
