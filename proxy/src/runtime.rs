//! Everything that one request reads, in one place: settings, keys, upstreams, pages, counters.

mod current;

pub use current::CurrentRuntime;

use std::sync::Arc;

use doorward_config::settings::{AccessTokenType, Provider, Settings, Upstream};
use doorward_policy::login::Places;
use doorward_policy::session::{Limits, Session, SessionFault};
use doorward_policy::token::{AccessTokenProfile, TokenType};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::access_log::AccessLog;
use crate::attempts::Attempts;
use crate::attributes::Attributes;
use crate::audit::{Audit, AuditFault};
use crate::bearer::{BearerVerifier, Revalidation};
use crate::entropy::{NoEntropy, RequestIds};
use crate::hooks::{Peers, Prepared};
use crate::idp::IdpClient;
use crate::keyring::{Keyring, Keys};
use crate::keys::{KeyStore, Tempo};
use crate::login::UsedAttempts;
use crate::login::form::KeptForms;
use crate::metrics::Metrics;
use crate::pages::{Pages, PagesFault};
use crate::revocations::RevocationList;
use crate::sessions::Sessions;
use crate::store::{OpenFault, Opened, Store};
use crate::streams::OpenStreams;
use crate::upstream::UpstreamPool;

/// Shared by all worlds; nothing in it takes a lock that a request would wait for.
pub struct Runtime {
    pub settings: Arc<Settings>,
    /// In the order of `settings.providers`.
    pub providers: Vec<Arc<ProviderRuntime>>,
    /// In the order of `settings.routes`; `None` for an app that another proxy stands before.
    pub upstreams: Vec<Option<Arc<UpstreamPool>>>,
    pub pages: Arc<Pages>,
    pub metrics: Arc<Metrics>,
    pub access_log: Arc<AccessLog>,
    pub audit: Arc<Audit>,
    pub request_ids: Arc<RequestIds>,
    pub keyring: Arc<Keyring>,
    pub used_attempts: Arc<UsedAttempts>,
    pub kept_forms: Arc<KeptForms>,
    pub attempts: Attempts,
    pub store: Arc<dyn Store>,
    opened: Opened,
    pub revocations: Arc<RevocationList>,
    pub sessions: Arc<Sessions>,
    pub streams: Arc<OpenStreams>,
    /// Who may ask, where other proxies do.
    pub peers: Option<Peers>,
    /// Parts of answers to other proxies.
    pub hooks: Prepared,
    /// Where everything runs that talks to providers.
    pub control: Handle,
    tempo: Tempo,
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime").field("providers", &self.providers).field("upstreams", &self.upstreams).finish_non_exhaustive()
    }
}

/// One provider at work.
#[derive(Debug)]
pub struct ProviderRuntime {
    settings: Arc<Provider>,
    pub client: Arc<IdpClient>,
    pub keys: Arc<KeyStore>,
    /// What becomes of its claims.
    pub attributes: Arc<Attributes>,
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
    #[error(transparent)]
    Audit(#[from] AuditFault),
    #[error("server.pages: {0}")]
    Pages(#[from] PagesFault),
}

impl Runtime {
    /// Puts everything together; nothing is fetched or connected yet.
    ///
    /// # Errors
    /// [`RuntimeFault`].
    pub fn new(settings: Settings, tempo: Tempo, access_log: AccessLog, control: Handle) -> Result<Self, RuntimeFault> {
        let metrics = Metrics::new(&settings)?;
        let streams = OpenStreams::new(metrics.streams.clone(), &metrics.streams_closed);
        let (access_log, request_ids) = (Arc::new(access_log), Arc::new(RequestIds::new()?));
        let audit = Arc::new(Audit::open(settings.server.audit_log.as_ref(), &metrics)?);
        Self::assemble(settings, Common { metrics, streams: Arc::new(streams), access_log, audit, request_ids, control, tempo }, None)
    }

    /// What is to take the place of `before`, with everything of it that the new settings leave as it is. Nothing of `before`
    /// changes, and nobody sees the new one yet. Waits for the disk.
    ///
    /// # Errors
    /// [`RuntimeFault`]; then `before` goes on as it is.
    pub fn succeeding(before: &Self, settings: Settings) -> Result<Self, RuntimeFault> {
        let common = Common {
            metrics: before.metrics.of(&settings),
            streams: before.streams.clone(),
            access_log: before.access_log.clone(),
            audit: before.audit.clone(),
            request_ids: before.request_ids.clone(),
            control: before.control.clone(),
            tempo: before.tempo,
        };
        Self::assemble(settings, common, Some(before))
    }

    fn assemble(settings: Settings, common: Common, before: Option<&Self>) -> Result<Self, RuntimeFault> {
        let Common { metrics, streams, access_log, audit, request_ids, control, tempo } = common;
        let (settings, metrics) = (Arc::new(settings), Arc::new(metrics));
        let remembered = settings.server.limits.remembered;
        let providers = settings.providers.iter().map(|provider| {
            let known = before.and_then(|before| before.providers.iter().find(|known| known.settings.name == provider.name));
            ProviderRuntime::new(provider, remembered, tempo, &control, &metrics, known.map(|known| &**known)).map(Arc::new)
        });
        let providers = providers.collect::<Result<Vec<_>, _>>()?;
        let upstreams = settings.policy.routes().iter().zip(&settings.routes).map(|(route, io)| {
            let Some(upstream) = &io.upstream else { return Ok(None) };
            upstream_pool(&route.name, upstream, before).map(Some)
        });
        let upstreams = upstreams.collect::<Result<Vec<_>, _>>()?;
        let pages = pages(&settings, before)?;
        let opened = Opened::open(&settings, &control, &metrics, before.map(|before| &before.opened))?;
        let store = opened.store().clone();
        let revocations = revocations(&settings, &store, &metrics, &control, before);
        let keyring = before.map_or_else(
            || Arc::new(Keyring::new(&settings.session, tempo.key_settles)),
            |before| Keyring::succeeding(&before.keyring, &settings.session),
        );
        let sessions = Sessions::new(
            settings.clone(),
            keyring.clone(),
            revocations.clone(),
            store.clone(),
            &providers,
            control.clone(),
            metrics.clone(),
            audit.clone(),
            before.map(|before| &*before.sessions),
        );
        let limits = &settings.server.limits;
        Ok(Self {
            providers,
            upstreams,
            pages,
            access_log,
            audit,
            request_ids,
            keyring,
            used_attempts: before.map(|before| before.used_attempts.clone()).unwrap_or_default(),
            kept_forms: before.map(|before| before.kept_forms.clone()).unwrap_or_default(),
            attempts: before.map_or_else(|| Attempts::new(limits), |before| before.attempts.under(limits)),
            store,
            opened,
            revocations,
            sessions,
            streams,
            peers: settings.server.hooks.as_ref().map(Peers::new),
            hooks: Prepared::new(&settings.policy),
            metrics,
            control,
            tempo,
            settings,
        })
    }

    /// The sealing keys as they are now.
    pub fn keys(&self) -> Keys {
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

/// What no configuration changes.
struct Common {
    metrics: Metrics,
    streams: Arc<OpenStreams>,
    access_log: Arc<AccessLog>,
    audit: Arc<Audit>,
    request_ids: Arc<RequestIds>,
    control: Handle,
    tempo: Tempo,
}

/// The pool of a route; where nothing about it is new, the one that there was, with its connections and what it knows of health.
fn upstream_pool(route: &str, upstream: &Upstream, before: Option<&Runtime>) -> Result<Arc<UpstreamPool>, RuntimeFault> {
    let known = before.and_then(|before| before.upstreams.iter().flatten().find(|pool| pool.route() == route));
    if let Some(known) = known.filter(|known| known.is_for(route, upstream)) {
        return Ok(known.clone());
    }
    let pool = UpstreamPool::new(route, upstream, known.map(|known| &**known));
    pool.map(Arc::new).map_err(|text| RuntimeFault::Upstream { name: route.to_owned(), text })
}

fn insecure_issuers(settings: &Settings) -> Vec<&str> {
    settings.providers.iter().filter(|provider| provider.insecure_http).map(|provider| provider.issuer.as_str()).collect()
}

/// Pages of a folder are always read again.
fn pages(settings: &Settings, before: Option<&Runtime>) -> Result<Arc<Pages>, RuntimeFault> {
    let (issuers, folder) = (insecure_issuers(settings), settings.server.pages.as_deref());
    let known = before.filter(|before| folder.is_none() && before.settings.server.pages.is_none());
    match known.filter(|before| insecure_issuers(&before.settings) == issuers) {
        Some(before) => Ok(before.pages.clone()),
        None => Ok(Arc::new(Pages::new(&issuers, folder)?)),
    }
}

/// Who was signed out stays signed out, whatever store keeps it from now on.
fn revocations(
    settings: &Settings,
    store: &Arc<dyn Store>,
    metrics: &Arc<Metrics>,
    control: &Handle,
    before: Option<&Runtime>,
) -> Arc<RevocationList> {
    let (issuers, lifetime) = (settings.providers.iter().map(|provider| provider.issuer.as_str()), settings.session.lifetime);
    match before {
        None => RevocationList::new(issuers, lifetime, store.clone(), metrics.clone(), control.clone()),
        Some(before) if Arc::ptr_eq(&before.store, store) => before.revocations.clone(),
        Some(before) => RevocationList::succeeding(&before.revocations, issuers, lifetime, store.clone()),
    }
}

impl ProviderRuntime {
    /// Tokens are verified anew: what is remembered of them was made by the mapping that was. Keys stay known as long as what
    /// they were fetched by stays the same.
    pub(crate) fn new(
        provider: &Arc<Provider>,
        remembered: usize,
        tempo: Tempo,
        control: &Handle,
        metrics: &Arc<Metrics>,
        before: Option<&Self>,
    ) -> Result<Self, RuntimeFault> {
        let same = before.filter(|before| before.settings == *provider);
        let (client, keys) = match same {
            Some(before) => (before.client.clone(), before.keys.clone()),
            None => {
                let client = IdpClient::new(provider.clone());
                let client = Arc::new(client.map_err(|text| RuntimeFault::Provider { name: provider.name.clone(), text })?);
                let keys = KeyStore::new(&provider.name, client.clone(), tempo, control.clone(), metrics.clone());
                if let Some(before) = before.filter(|before| has_same_keys(&before.settings, provider)) {
                    keys.inherit(&before.keys);
                }
                (client, keys)
            }
        };
        let redeeming = before.map_or_else(|| Arc::new(Semaphore::new(REDEEMING)), |before| before.redeeming.clone());
        let attributes = Arc::new(Attributes::new(provider, metrics));
        let bearer = provider.audience.as_deref().map(|audience| {
            let profile = AccessTokenProfile {
                issuer: provider.issuer.as_str().into(),
                audience: audience.into(),
                organization: provider.organization.as_deref().map(Into::into),
            };
            // What the provider said about tokens is not asked again: it may be away just now, or want to be left alone.
            let known = same.and_then(|before| before.bearer.as_ref()?.revalidation());
            let revalidation = known.or_else(|| {
                let settings = provider.revalidate.clone()?;
                Some(Revalidation::new(&provider.name, settings, client.clone(), keys.clone(), control.clone(), metrics.clone()))
            });
            BearerVerifier::new(provider, profile, keys.clone(), attributes.clone(), revalidation, remembered, metrics.clone())
        });
        Ok(Self { settings: provider.clone(), client, keys, attributes, bearer, redeeming })
    }

    pub fn settings(&self) -> &Provider {
        &self.settings
    }
}

/// Whether keys that were fetched for one are what would be fetched for the other.
fn has_same_keys(one: &Provider, other: &Provider) -> bool {
    let of = |provider: &Provider| (provider.kind, provider.insecure_http);
    of(one) == of(other) && one.issuer == other.issuer && one.algorithms == other.algorithms && one.ca == other.ca && one.keys == other.keys
}

/// The settings' word for what a token's header must say, in the policy's.
pub fn token_type(configured: AccessTokenType) -> TokenType {
    match configured {
        AccessTokenType::AtJwt => TokenType::AtJwt,
        AccessTokenType::Jwt => TokenType::Jwt,
        AccessTokenType::Either => TokenType::Either,
    }
}
