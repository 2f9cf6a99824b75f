//! Requests, keys and revalidation of a provider: the page that explains them shows a configuration that means what it says.

#![allow(clippy::unwrap_used)]

mod base;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base::Vars;
use doorward_config::settings::{KeySource, Placeholder, Provider, RevalidateBy, Template, TemplatePart};
use doorward_config::{Report, Severity, WarningCode, load_text};
use doorward_policy::time::Timestamp;

const PAGE: &str = include_str!("../../docs/providers.md");

/// The page's block with the rest of a configuration around it, in a folder that has its files; changed by `change`.
fn read(change: impl FnOnce(String) -> String) -> Result<(Arc<Provider>, Report), Report> {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in ["secrets", "keys", "tls"] {
        std::fs::create_dir(at(name)).unwrap();
    }
    std::fs::write(at("secrets/staff"), "hunter2-hunter2-hunter2").unwrap();
    for (to, from) in [
        ("keys/2026-01.crt", "tests/fixtures/keys/signing.crt"),
        ("keys/2026-07.pem", "tests/fixtures/keys/rsa.pem"),
        ("tls/acme.crt", "examples/tls/acme.crt"),
        ("tls/acme.key", "examples/tls/acme.key"),
        ("session.key", "examples/secrets/session.key"),
    ] {
        std::fs::copy(from, at(to)).unwrap();
    }
    let block = PAGE.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let text = format!(
        "version: 1\nserver:\n  state_dir: /var/lib/doorward\n  listen: [\"127.0.0.1:8443\"]\n  tls: {{ certificates: [{{ cert: tls/acme.crt, key: tls/acme.key }}] }}\n{block}session: {{ keys: [{{ file: session.key }}] }}\nroutes: [{{ name: app, host: app.acme.dev, upstream: http://10.0.0.5:3000, rules: [{{ allow: signed-in }}] }}]\n"
    );
    let loaded = load_text(&at("doorward.yaml"), change(text), &Vars(&[]))?;
    Ok((loaded.settings.providers[0].clone(), loaded.warnings))
}

fn written(template: &Template) -> String {
    let part = |part: &TemplatePart| match part {
        TemplatePart::Literal(text) => text.clone(),
        TemplatePart::Placeholder(placeholder) => format!("<{}>", placeholder.name()),
    };
    template.parts.iter().map(part).collect()
}

fn pairs(list: &[(String, Template)]) -> Vec<(&str, String)> {
    list.iter().map(|(name, value)| (name.as_str(), written(value))).collect()
}

#[test]
fn the_page_about_providers_shows_what_is_read() {
    let (provider, warnings) = read(|text| text).unwrap();
    assert!(warnings.is_empty(), "{warnings}");
    let requests = &provider.requests;
    assert_eq!(pairs(&requests.authorize.params), [("kc_idp_hint", "<idp_hint>".into()), ("brand", "acme".into())]);
    assert!(requests.authorize.params[0].1.names(Placeholder::IdpHint));
    // What is ours stays ours: of the copied bodies only what they add is left.
    assert_eq!(pairs(&requests.token.params), [("resource", "urn:acme:api".into())]);
    assert!(requests.refresh.params.is_empty() && requests.refresh.url.is_none());
    let headers: Vec<_> = requests.refresh.headers.iter().map(|(name, value)| (name.as_str(), written(value))).collect();
    assert_eq!(headers, [("x-tenant", "acme".into())]);
    assert_eq!(requests.logout.url.as_ref().map(url::Url::as_str), Some("https://login.acme.dev/goodbye"));
    assert_eq!((pairs(&requests.logout.params), requests.logout.query.len()), (vec![("back", "<redirectUri>".into())], 0));
    assert!(!requests.logout.params[0].1.names(Placeholder::IdToken));
    let KeySource::Static(keys) = &provider.keys else { panic!("{:?}", provider.keys) };
    assert_eq!(keys.iter().map(|key| key.id()).collect::<Vec<_>>(), ["2026-01", "2026-07"]);
    assert_eq!(keys[1].not_after(), Timestamp::parse("2027-07-01T00:00:00Z"));
    let revalidate = provider.revalidate.as_ref().unwrap();
    assert_eq!((revalidate.by, revalidate.every), (RevalidateBy::Introspection, Duration::from_secs(60)));
}

#[test]
fn a_query_of_a_request_that_we_send_stays_a_query() {
    let url = "url: \"https://tokens.acme.dev/t?tenant=a%20b&of=${clientId}\"\n        body:";
    let (provider, _) = read(|text| text.replacen("body:", url, 1)).unwrap();
    let token = &provider.requests.token;
    assert_eq!(token.url.as_ref().map(url::Url::as_str), Some("https://tokens.acme.dev/t"));
    assert_eq!(pairs(&token.query), [("tenant", "a b".into()), ("of", "<clientId>".into())]);
}

#[test]
fn a_key_that_ends_within_two_weeks_is_a_warning() {
    let codes = |days: u64| {
        let end = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_secs(days * 86_400 - 600);
        let end = humantime::format_rfc3339_seconds(UNIX_EPOCH + end).to_string();
        let text =
            |text: String| text.replace("not_before: 2026-07-01T00:00:00Z, not_after: 2027-07-01T00:00:00Z", &format!("not_after: {end}"));
        let (_, warnings) = read(text).unwrap();
        warnings.problems().iter().map(|problem| problem.severity).collect::<Vec<_>>()
    };
    assert_eq!(codes(14), [Severity::Warning(WarningCode::KeyEnds)]);
    assert_eq!(codes(15), []);
}
