//! What came of a reload: for the log, the audit log, metrics, and whoever asked for it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use doorward_config::settings::{Server, Session};
use doorward_config::{Report, Severity};
use doorward_policy::access::Policy;
use serde_json::{Value, json};

use super::Fixed;
use super::published::help;
use crate::audit;
use crate::runtime::Runtime;

/// Keys that one line of the log names.
const NAMED: usize = 20;

/// What asked for a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// SIGHUP
    Signal,
    /// A file changed.
    File,
    /// `POST /reload`
    Admin,
}

impl Trigger {
    /// What logs call it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Signal => "signal",
            Self::File => "file",
            Self::Admin => "admin",
        }
    }
}

/// The configuration that is in use from now on.
#[derive(Debug)]
pub struct Reloaded {
    /// As in `doorward_config_hash_info`.
    pub hash: String,
    /// Files that hold something else than before.
    pub files: Vec<PathBuf>,
    /// What differs, by its key: `routes.cms` is a rule or anything else of that route but its upstream.
    pub changed: Vec<String>,
    /// May be empty.
    pub warnings: Report,
}

/// Why the configuration in use stayed as it is. Never holds a secret.
#[derive(Debug)]
pub enum Refused {
    /// What `doorward check` would say.
    Configuration(Box<Report>),
    /// What needs a restart.
    Fixed(Vec<Fixed>),
    /// It is right by itself, and cannot be used here.
    Unusable { key: String, message: String },
    /// It was not read from a file.
    NoFile,
}

impl Refused {
    pub(super) fn unusable(key: &str, message: &str) -> Self {
        Self::Unusable { key: key.to_owned(), message: message.to_owned() }
    }

    pub(super) fn broken() -> Self {
        Self::unusable("", "the reload failed inside; this is a mistake of Doorward's")
    }

    /// What metrics and the audit log call it.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Configuration(_) => "configuration",
            Self::Fixed(_) => "cannot_change",
            Self::Unusable { .. } => "unusable",
            Self::NoFile => "no_file",
        }
    }

    /// One text for each problem.
    fn lines(&self) -> Vec<String> {
        match self {
            Self::Configuration(report) => {
                let line = |place: Option<usize>| place.map(|line| format!("line {line}: ")).unwrap_or_default();
                let problems = report.problems().iter().filter(|problem| problem.severity == Severity::Error);
                problems
                    .map(|problem| format!("{}{}: {}", line(problem.place.as_ref().map(|place| place.line)), problem.key, problem.message))
                    .collect()
            }
            Self::Fixed(fixed) => fixed.iter().map(ToString::to_string).collect(),
            Self::Unusable { .. } | Self::NoFile => vec![self.to_string()],
        }
    }

    /// For programs: as `doorward check --format json` has it.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Configuration(report) => report.to_json(),
            Self::Fixed(fixed) => problems(fixed.iter().map(|fixed| fixed.to_json()).collect()),
            Self::Unusable { key, message } => problems(vec![json!({ "key": key, "message": message })]),
            Self::NoFile => problems(vec![json!({ "key": "", "message": self.to_string() })]),
        }
    }
}

fn problems(problems: Vec<Value>) -> Value {
    json!({ "errors": problems.len(), "warnings": 0, "problems": problems })
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Configuration(report) => f.write_str(report.render(false).trim_end()),
            Self::Fixed(fixed) => {
                let all: Vec<String> = fixed.iter().map(ToString::to_string).collect();
                f.write_str(&all.join("\n"))
            }
            Self::Unusable { key, message } if key.is_empty() => f.write_str(message),
            Self::Unusable { key, message } if message.contains("published examples") => write!(f, "{key} {message}: {}", help()),
            Self::Unusable { key, message } => write!(f, "{key}: {message}"),
            Self::NoFile => f.write_str("the configuration was not read from a file"),
        }
    }
}

impl Reloaded {
    /// For programs.
    pub fn to_json(&self) -> Value {
        let files: Vec<String> = self.files.iter().map(|file| file.display().to_string()).collect();
        json!({ "reloaded": true, "hash": self.hash, "files": files, "changed": self.changed, "warnings": self.warnings.to_json()["problems"] })
    }
}

/// Says it wherever it is to be said.
pub(super) fn tell(runtime: &Runtime, by: Trigger, outcome: &Result<Reloaded, Refused>) {
    match outcome {
        Ok(reloaded) => {
            let changed = listed(&reloaded.changed);
            let files: Vec<String> = reloaded.files.iter().map(|file| file.display().to_string()).collect();
            let files = listed(&files);
            tracing::info!(by = by.label(), hash = reloaded.hash, files, changed, "the configuration was reloaded");
            if !reloaded.warnings.is_empty() {
                tracing::warn!("{}", reloaded.warnings.render(false).trim_end());
            }
        }
        Err(refused) => {
            runtime.metrics.config_success.set(0);
            tracing::error!(by = by.label(), "the configuration was not reloaded, and the one in use stays:\n{refused}");
        }
    }
    match outcome {
        Ok(_) => audit::reloaded(runtime, by.label(), "ok", &[]),
        Err(refused) => audit::reloaded(runtime, by.label(), refused.label(), &refused.lines()),
    }
}

/// For one line of the log.
fn listed(keys: &[String]) -> String {
    match keys.get(..NAMED) {
        Some(named) if keys.len() > NAMED => format!("{} and {} more", named.join(", "), keys.len() - NAMED),
        _ => keys.join(", "),
    }
}

/// What differs, by its key.
pub(super) fn changed(before: &Runtime, next: &Runtime) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    all.extend(server(&before.settings.server, &next.settings.server).into_iter().map(str::to_owned));
    if !same_session(&before.settings.session, &next.settings.session) {
        all.push("session".to_owned());
    }
    let providers = |runtime: &Runtime| runtime.settings.providers.clone();
    let (was, is) = (providers(before), providers(next));
    all.extend(is.iter().filter(|provider| !was.contains(provider)).map(|provider| format!("providers.{}", provider.name)));
    let gone = was.iter().filter(|known| is.iter().all(|provider| provider.name != known.name));
    all.extend(gone.map(|provider| format!("providers.{}", provider.name)));
    let (old, new) = (&before.settings.policy, &next.settings.policy);
    if format!("{:?}", old.mapping()) != format!("{:?}", new.mapping()) {
        all.push("identity".to_owned());
    }
    let texts =
        |policy: &Policy| policy.routes().iter().map(|route| (route.name.clone(), format!("{route:?}"))).collect::<BTreeMap<_, _>>();
    let (old, new) = (texts(old), texts(new));
    all.extend(new.iter().filter(|(name, text)| old.get(*name) != Some(text)).map(|(name, _)| format!("routes.{name}")));
    all.extend(old.keys().filter(|name| !new.contains_key(*name)).map(|name| format!("routes.{name}")));
    all.extend(super::fresh_pools(before, next).iter().map(|pool| format!("routes.{}.upstream", pool.route())));
    all
}

fn server(before: &Server, next: &Server) -> Vec<&'static str> {
    let differing = [
        ("server.hooks", before.hooks != next.hooks),
        ("server.public_port", before.public_port != next.public_port),
        ("server.prefix", before.prefix != next.prefix),
        ("server.trusted_proxies", before.trusted_proxies != next.trusted_proxies),
        ("server.tls", before.tls != next.tls),
        ("server.limits", before.limits != next.limits),
        ("server.drain", before.drain != next.drain),
        ("server.hsts", before.hsts != next.hsts),
        ("server.state_dir", before.state_dir != next.state_dir),
        ("server.public_url", before.public_host != next.public_host),
        ("server.admin_token", before.admin_token != next.admin_token),
        ("server.pages", before.pages != next.pages),
        ("server.explain_denials", before.explain_denials != next.explain_denials),
        ("server.audit_log", before.audit_log != next.audit_log),
        ("server.access_log", before.access_log != next.access_log),
    ];
    differing.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
}

fn same_session(one: &Session, other: &Session) -> bool {
    let times = |session: &Session| (session.idle, session.lifetime, session.refresh);
    times(one) == times(other)
        && one.store == other.store
        && one.redis == other.redis
        && one.domain == other.domain
        && one.logout_targets == other.logout_targets
        && one.key_ring.is_same_as(&other.key_ring)
}
