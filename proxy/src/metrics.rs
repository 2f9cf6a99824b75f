//! What Prometheus sees. Labels come from the configuration or from closed lists, never from a request.
//!
//! Counters of the hot path are resolved once, when the edge starts; a request only adds to them, and what all requests add to is
//! counted by each thread for itself (`tally`).

mod tally;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use doorward_config::settings::Settings;
use doorward_policy::identity::Proof;
use doorward_policy::time::Timestamp;
use prometheus::core::{Collector as _, MetricVec, MetricVecBuilder};
use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

use tally::Tally;

/// Buckets for what authentication adds to a request: 5 µs to 10 ms.
const OVERHEAD_BUCKETS: &[f64] = &[5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 1e-2];
/// Buckets for whole requests and for providers: 1 ms to 30 s.
const DURATION_BUCKETS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// A person at a sign-in page: 1 s to 10 min.
const SIGN_IN_BUCKETS: &[f64] = &[1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 600.0];
/// Session cookies, up to the limit.
const COOKIE_BUCKETS: &[f64] = &[500.0, 1000.0, 1500.0, 2000.0, 2500.0, 3000.0, 3500.0, 3800.0];

/// What stands for a route where there is none.
pub const NO_ROUTE: &str = "none";

/// All families, and those of each route. A clone counts the same things.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    tallied: tally::Families,
    /// Of the routes of these settings.
    tally: Arc<Tally>,
    /// Of all settings that may still have requests.
    tallies: Arc<Mutex<Vec<Weak<Tally>>>>,
    pub shadow_decisions: IntCounterVec,
    pub refused: IntCounterVec,
    pub hook_requests: IntCounterVec,
    pub connections: IntGauge,
    pub websockets: IntGauge,
    pub streams: IntGauge,
    pub streams_closed: IntCounterVec,
    pub handshakes: IntCounterVec,
    pub logins_started: IntCounterVec,
    pub logins: IntCounterVec,
    pub login_duration: HistogramVec,
    pub login_loops: IntCounterVec,
    pub logouts: IntCounterVec,
    pub session_cookie_bytes: Histogram,
    pub token_cache_hits: IntCounter,
    pub token_cache_misses: IntCounter,
    pub token_verifications: IntCounterVec,
    pub attributes_dropped: IntCounterVec,
    pub revalidations: IntCounterVec,
    pub key_fetches: IntCounterVec,
    pub keys_fetched_at: IntGaugeVec,
    pub unknown_keys: IntCounterVec,
    pub provider_up: IntGaugeVec,
    pub provider_requests: HistogramVec,
    pub upstream_errors: IntCounterVec,
    pub upstream_healthy: IntGaugeVec,
    pub dropped_cookies: IntCounter,
    pub lost_log_lines: IntGauge,
    pub audit_lines: IntCounter,
    pub audit_lines_lost: IntCounter,
    pub audit_suppressed: IntCounterVec,
    pub certificates: IntGaugeVec,
    pub store_durations: HistogramVec,
    pub store_errors: IntCounterVec,
    pub revocations: IntCounterVec,
    pub revocations_active: IntGauge,
    pub revocations_waiting: IntGauge,
    pub revocations_read_at: IntGauge,
    pub sessions_known: IntGauge,
    pub refreshes: IntCounterVec,
    pub refresh_duration: HistogramVec,
    pub key_ring_reloads: IntCounterVec,
    pub certificate_reloads: IntCounterVec,
    pub config_success: IntGauge,
    pub config_read_at: IntGauge,
    config_hash: IntGaugeVec,
}

/// How an allowed request was known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    Public,
    Session,
    Bearer,
}

impl Known {
    /// Of somebody who is known.
    pub fn of(proof: Proof) -> Self {
        match proof {
            Proof::Session => Self::Session,
            Proof::Bearer => Self::Bearer,
        }
    }

    /// What logs and metrics call it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Session => "session",
            Self::Bearer => "bearer",
        }
    }
}

impl Metrics {
    /// Registers every family.
    ///
    /// # Errors
    /// Only when a name here is malformed or taken twice, which a test rules out.
    pub fn new(settings: &Settings) -> Result<Self, prometheus::Error> {
        let families = Families { registry: Registry::new() };
        let requests = families.counters("requests_total", "Requests answered, by route and class of status.", &["route", "code"])?;
        let durations = families.histograms(
            "request_duration_seconds",
            "From the request header to the end of the answer.",
            &["route"],
            DURATION_BUCKETS,
        )?;
        let decisions =
            families.counters("decisions_total", "Decisions, by route, outcome and reason.", &["route", "decision", "reason"])?;
        let overhead = families.histograms("auth_overhead_seconds", "What deciding added to a request.", &["path"], OVERHEAD_BUCKETS)?;
        let tallied = tally::Families { requests, durations, decisions, overhead };
        let cache = families.counters("jwt_cache_total", "Lookups of bearer tokens among those verified before.", &["result"])?;
        let metrics = Self {
            tally: Arc::new(Tally::new(&tallied, std::iter::empty())),
            tallies: Arc::default(),
            tallied,
            refused: families.counters(
                "refused_total",
                "Connections and requests refused before there was a request to decide about.",
                &["reason"],
            )?,
            hook_requests: families.counters(
                "hook_requests_total",
                "Questions of other proxies answered, by dialect and class of status.",
                &["dialect", "code"],
            )?,
            connections: families.gauge("connections", "Client connections open.")?,
            websockets: families.gauge("websockets_active", "WebSocket connections open.")?,
            streams: families.gauge("streams_open", "WebSockets, event streams and gRPC calls open that end with a session or token.")?,
            streams_closed: families.counters(
                "streams_closed_total",
                "Open streams closed because what they stood on ended, by reason.",
                &["reason"],
            )?,
            handshakes: families.counters("tls_handshakes_total", "TLS handshakes, by outcome.", &["outcome"])?,
            logins_started: families.counters("logins_started_total", "Browsers sent to a provider.", &["provider"])?,
            logins: families.counters(
                "logins_total",
                "Sign-ins that came back, by outcome and reason.",
                &["provider", "outcome", "reason"],
            )?,
            login_duration: families.histograms(
                "login_duration_seconds",
                "From the redirect to the callback.",
                &["provider"],
                SIGN_IN_BUCKETS,
            )?,
            login_loops: families.counters("login_loops_total", "Loops of sign-ins that a page ended, by likely cause.", &["cause"])?,
            logouts: families.counters("logouts_total", "Sign-outs, by kind and outcome.", &["kind", "outcome"])?,
            session_cookie_bytes: families.histogram(
                "session_cookie_bytes",
                "Size of session cookies written; 3800 is the limit.",
                COOKIE_BUCKETS,
            )?,
            token_cache_hits: cache.with_label_values(&["hit"]),
            token_cache_misses: cache.with_label_values(&["miss"]),
            attributes_dropped: families.counters(
                "attributes_dropped_total",
                "Attributes left out because their claim was of another type.",
                &["provider", "attribute"],
            )?,
            token_verifications: families.counters("jwt_verify_total", "Bearer tokens verified, by outcome.", &["provider", "outcome"])?,
            revalidations: families.counters(
                "revalidations_total",
                "Bearer tokens that a provider was asked about again, by outcome.",
                &["provider", "outcome"],
            )?,
            key_fetches: families.counters("jwks_fetch_total", "Fetches of metadata and keys, by outcome.", &["provider", "outcome"])?,
            keys_fetched_at: families.gauges("jwks_fetched_timestamp_seconds", "When the keys in use were fetched.", &["provider"])?,
            unknown_keys: families.counters("jwks_unknown_kid_total", "Tokens that named a key nobody published.", &["provider"])?,
            provider_up: families.gauges("idp_up", "Whether the last exchange with the provider worked.", &["provider"])?,
            provider_requests: families.histograms(
                "idp_request_duration_seconds",
                "Exchanges with a provider.",
                &["provider", "endpoint"],
                DURATION_BUCKETS,
            )?,
            upstream_errors: families.counters(
                "upstream_errors_total",
                "Requests that an app did not answer, by kind.",
                &["route", "kind"],
            )?,
            upstream_healthy: families.gauges("upstream_healthy_servers", "Servers of a route that may be sent requests.", &["route"])?,
            revocations: families.counters("revocations_total", "Revocations made by this process, by what they end.", &["what"])?,
            revocations_active: families.gauge("revocations_active", "Revocations in force.")?,
            revocations_waiting: families.gauge("revocations_waiting", "Revocations that are not in the store yet.")?,
            revocations_read_at: families
                .gauge("revocations_read_timestamp_seconds", "When the store's revocations were last read to their end.")?,
            dropped_cookies: families.counter("upstream_cookies_dropped_total", "Cookies of an app that carried Doorward's names.")?,
            lost_log_lines: families
                .gauge("access_log_lines_lost", "Access log lines lost since the start: the writer fell behind, or could not write.")?,
            audit_lines: families.counter("audit_lines_total", "Lines of the audit log written.")?,
            audit_lines_lost: families.counter("audit_lines_lost_total", "Lines of the audit log that could not be written.")?,
            audit_suppressed: families.counters(
                "audit_lines_suppressed_total",
                "Lines of the audit log not written because there were too many of their kind, by event.",
                &["event"],
            )?,
            certificates: families.gauges("tls_certificate_not_after_seconds", "When a certificate ends.", &["name"])?,
            sessions_known: families.gauge("sessions_known", "Sessions of the store that this process holds.")?,
            refreshes: families.counters("refreshes_total", "Refreshes of sessions' tokens, by outcome.", &["provider", "outcome"])?,
            refresh_duration: families.histograms(
                "refresh_duration_seconds",
                "From a refresh request to the claims that its answer proves.",
                &["provider"],
                DURATION_BUCKETS,
            )?,
            key_ring_reloads: families.counters(
                "session_key_reloads_total",
                "Session keys read again after a change, by outcome.",
                &["outcome"],
            )?,
            certificate_reloads: families.counters(
                "tls_certificate_reloads_total",
                "Certificates read again, by outcome.",
                &["outcome"],
            )?,
            store_durations: families.histograms(
                "store_operation_duration_seconds",
                "Calls of the store of sessions and revocations.",
                &["op"],
                DURATION_BUCKETS,
            )?,
            store_errors: families.counters("store_errors_total", "Calls of the store that failed.", &["op"])?,
            config_success: families
                .gauge("config_last_reload_success", "Whether the last configuration that was read is the one in use.")?,
            config_read_at: families.gauge("config_last_reload_timestamp_seconds", "When the configuration in use was read.")?,
            config_hash: families.gauges("config_hash_info", "The configuration in use, by a digest of its files.", &["hash"])?,
            shadow_decisions: families.counters(
                "shadow_decisions_total",
                "Decisions of rules that are not enforced, by route, rule, outcome and reason.",
                &["route", "rule", "decision", "reason"],
            )?,
            registry: families.registry,
        };
        let build = Opts::new("doorward_build_info", "The version that runs.").const_label("version", env!("CARGO_PKG_VERSION"));
        let build = IntGauge::with_opts(build)?;
        build.set(1);
        metrics.registry.register(Box::new(build))?;
        #[cfg(target_os = "linux")]
        metrics.registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(metrics.of(settings))
    }

    /// The same families with the routes of these settings: series go on.
    #[must_use]
    pub fn of(&self, settings: &Settings) -> Self {
        let tally = Arc::new(Tally::new(&self.tallied, settings.policy.routes().iter().map(|route| &*route.name)));
        let mut tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        tallies.retain(|tally| tally.strong_count() > 0);
        tallies.push(Arc::downgrade(&tally));
        drop(tallies);
        Self { tally, ..self.clone() }
    }

    /// Adds what was counted beside the families, whatever settings it was counted under.
    fn settle(&self) {
        let tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner).clone();
        tallies.iter().filter_map(Weak::upgrade).for_each(|tally| tally.settle());
    }

    /// Forgets what is labelled with a route or a provider that these settings do not know, however it came to be: names that
    /// change with every reload leave nothing behind.
    pub fn prune(&self, settings: &Settings) {
        self.settle();
        let routes: HashSet<&str> = settings.policy.routes().iter().map(|route| &*route.name).chain([NO_ROUTE]).collect();
        let providers: HashSet<&str> = settings.providers.iter().map(|provider| provider.name.as_str()).collect();
        for family in [&self.tallied.requests, &self.tallied.decisions, &self.shadow_decisions, &self.upstream_errors] {
            keep(family, "route", &routes);
        }
        keep(&self.tallied.durations, "route", &routes);
        keep(&self.upstream_healthy, "route", &routes);
        for family in [
            &self.logins_started,
            &self.logins,
            &self.token_verifications,
            &self.revalidations,
            &self.key_fetches,
            &self.unknown_keys,
            &self.refreshes,
        ] {
            keep(family, "provider", &providers);
        }
        let attributes = settings.providers.iter().flat_map(|provider| provider.attributes.names()).collect();
        keep(&self.attributes_dropped, "provider", &providers);
        keep(&self.attributes_dropped, "attribute", &attributes);
        for family in [&self.login_duration, &self.provider_requests, &self.refresh_duration] {
            keep(family, "provider", &providers);
        }
        for family in [&self.keys_fetched_at, &self.provider_up] {
            keep(family, "provider", &providers);
        }
    }

    /// Says which configuration is in use, one at a time; `None`: it has no files.
    pub fn configured(&self, hash: Option<&str>, now: Timestamp) {
        if let Some(hash) = hash {
            self.config_hash.with_label_values(&[hash]).set(1);
            keep(&self.config_hash, "hash", &HashSet::from([hash]));
        }
        self.config_read_at.set(now.0);
        self.config_success.set(1);
    }

    /// Counts a request that was answered, by its route and status, so many seconds after it began.
    pub fn answered(&self, route: Option<usize>, status: u16, seconds: f64) {
        self.tally.answered(route, status, seconds);
    }

    /// Counts a request that was let through.
    pub fn allowed(&self, route: Option<usize>, known: Known) {
        self.tally.allowed(route, known);
    }

    /// Deciding added so many seconds to a request that was known in this way.
    pub fn took(&self, known: Known, seconds: f64) {
        self.tally.took(known, seconds);
    }

    /// Counts a challenge or refusal. Looks the counter up: not on the path of a request that passes.
    pub fn stopped(&self, route: &str, decision: &'static str, reason: &'static str) {
        self.tallied.decisions.with_label_values(&[route, decision, reason]).inc();
    }

    /// The exposition format, version 0.0.4.
    pub fn render(&self) -> Vec<u8> {
        self.settle();
        let mut text = Vec::new();
        // Writing to memory fails only for a family without samples' names, which `gather` never yields.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        text
    }
}

/// Removes the series whose `label` has another value than these.
fn keep<B: MetricVecBuilder>(family: &MetricVec<B>, label: &str, values: &HashSet<&str>) {
    for series in family.collect().iter().flat_map(|family| family.get_metric()) {
        let labels: HashMap<&str, &str> = series.get_label().iter().map(|pair| (pair.name(), pair.value())).collect();
        if labels.get(label).is_some_and(|value| !values.contains(value)) {
            // It may be gone already.
            let _ = family.remove(&labels);
        }
    }
}

/// Registers families under the product's prefix.
struct Families {
    registry: Registry,
}

impl Families {
    fn name(name: &str) -> String {
        format!("doorward_{name}")
    }

    fn keep<C: prometheus::core::Collector + Clone + 'static>(&self, collector: C) -> Result<C, prometheus::Error> {
        self.registry.register(Box::new(collector.clone()))?;
        Ok(collector)
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
        self.keep(IntCounter::new(Self::name(name), help)?)
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
        self.keep(IntCounterVec::new(Opts::new(Self::name(name), help), labels)?)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        self.keep(IntGauge::new(Self::name(name), help)?)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, prometheus::Error> {
        self.keep(IntGaugeVec::new(Opts::new(Self::name(name), help), labels)?)
    }

    fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Result<Histogram, prometheus::Error> {
        self.keep(Histogram::with_opts(HistogramOpts::new(Self::name(name), help).buckets(buckets.to_vec()))?)
    }

    fn histograms(&self, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> Result<HistogramVec, prometheus::Error> {
        self.keep(HistogramVec::new(HistogramOpts::new(Self::name(name), help).buckets(buckets.to_vec()), labels)?)
    }
}
