//! `doorward check`

use std::path::Path;
use std::process::ExitCode;

use doorward_config::settings::Settings;
use doorward_config::{Loaded, Problem, Report, Severity, WarningCode, cookie_size};
use doorward_policy::session::COOKIE_LIMIT;
use serde_json::{Map, Value, json};

use super::table::counted;
use super::{CONFIGURATION, Format, MISUSED, NO, color, explain, refuse, say, tell};
use crate::pages::Pages;
use crate::serve::tls_stores;

/// 0: nothing is wrong; 1: there are warnings, and they were not to be; 2: used wrongly; 78: it would not start.
pub(super) fn check(path: &Path, format: Format, claims: Option<&Path>, deny_warnings: bool) -> ExitCode {
    let claims = match claims.map(explain::read_claims).transpose() {
        Ok(claims) => claims,
        Err(fault) => {
            say(&format!("error: {fault}"));
            return ExitCode::from(MISUSED);
        }
    };
    let (settings, report) = match doorward_config::load(path) {
        Ok(Loaded { settings, warnings, .. }) => (settings, warnings),
        Err(report) if matches!(format, Format::Json) => {
            tell(&report.to_json().to_string());
            return ExitCode::from(CONFIGURATION);
        }
        Err(report) => return refuse(&report),
    };
    let cookies = claims.map(|claims| Cookies::of(&settings, &claims)).unwrap_or_default();
    let report = cookies.warn(with_faults(&settings, report));
    let wrong = report.error_count() > 0;
    match format {
        Format::Json => tell(&json_of(&report, &cookies).to_string()),
        Format::Text => {
            if !report.problems().is_empty() {
                say(&report.render(color()));
            }
            if !wrong {
                summary(path, &settings, &report, &cookies);
            }
        }
    }
    match () {
        () if wrong => ExitCode::from(CONFIGURATION),
        () if deny_warnings && !report.problems().is_empty() => ExitCode::from(NO),
        () => ExitCode::SUCCESS,
    }
}

/// What the configuration names, and only shows when it is used.
fn with_faults(settings: &Settings, report: Report) -> Report {
    let server = &settings.server;
    let certificates = tls_stores(server).err().map(|error| ("server.tls", error.to_string()));
    let pages = Pages::new(&[], server.pages.as_deref()).err().map(|fault| ("server.pages", format!("server.pages: {fault}")));
    let faults = certificates.into_iter().chain(pages);
    faults.fold(report, |report, (key, message)| report.with(problem(Severity::Error, key, message, None)))
}

fn problem(severity: Severity, key: &str, message: String, help: Option<&str>) -> Problem {
    Problem { severity, message, key: key.to_owned(), place: None, label: None, help: help.map(str::to_owned), related: None }
}

fn json_of(report: &Report, cookies: &Cookies) -> Value {
    let mut json = report.to_json();
    if !cookies.0.is_empty() {
        let each = cookies.0.iter().map(|(provider, bytes)| json!({ "provider": provider, "bytes": bytes, "limit": COOKIE_LIMIT }));
        json["cookies"] = each.collect();
    }
    json
}

fn summary(path: &Path, settings: &Settings, report: &Report, cookies: &Cookies) {
    let policy = &settings.policy;
    let rules: usize = policy.routes().iter().map(|route| route.rules.len()).sum();
    let (routes, providers) = (counted(policy.routes().len(), "route"), counted(settings.providers.len(), "provider"));
    let warned = match report.problems().len() {
        0 => String::new(),
        warnings => format!(", with {}", counted(warnings, "warning")),
    };
    tell(&format!("{}: fine{warned} ({routes}, {}, {providers})", path.display(), counted(rules, "rule")));
    for (provider, bytes) in &cookies.0 {
        tell(&format!("{provider}: the session cookie of these claims has {bytes} bytes of {COOKIE_LIMIT}"));
    }
    if settings.session.example_key {
        say("note: it uses the session key of the published examples, with which `doorward serve` refuses to start");
    }
    if let Some(folder) = settings.server.state_dir.as_ref().filter(|folder| !folder.is_dir()) {
        say(&format!("note: there is no folder `{}` here (`server.state_dir`), and `doorward serve` needs it", folder.display()));
    }
}

/// How large the session cookie of somebody is, in bytes, by provider. Empty where a store keeps sessions.
#[derive(Debug, Default)]
struct Cookies(Vec<(String, usize)>);

impl Cookies {
    fn of(settings: &Settings, claims: &Map<String, Value>) -> Self {
        if settings.session.store.is_server_side() {
            say("note: sessions are kept on our side (`session.store`): the cookie only names one, whatever the claims");
            return Self::default();
        }
        let sizes = settings.providers.iter().enumerate();
        Self(sizes.filter_map(|(index, provider)| Some((provider.name.clone(), cookie_size(settings, index, claims)?))).collect())
    }

    fn warn(&self, report: Report) -> Report {
        let large = self.0.iter().filter(|(_, bytes)| *bytes > COOKIE_LIMIT);
        large.fold(report, |report, (provider, bytes)| {
            let message = format!("with these claims the session cookie needs {bytes} bytes, and a cookie has {COOKIE_LIMIT}");
            let help =
                "whoever has them cannot sign in: name fewer claims in rules and headers, or keep sessions in a store (`session.store`)";
            report.with(problem(Severity::Warning(WarningCode::LargeCookie), &format!("providers.{provider}"), message, Some(help)))
        })
    }
}
