//! The examples load from a fresh clone, and mean the same in all three formats.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use doorward_config::settings::{ClientAuth, OriginalRequest, Rewrite, Settings, UpstreamHost, UpstreamProtocol};
use doorward_config::{Loaded, load};
use doorward_policy::access::Requirement;
use doorward_policy::credential::Accept;

fn example(name: &str) -> Loaded {
    load(&Path::new("examples").join(name)).unwrap_or_else(|report| panic!("{report}"))
}

/// Everything but the lookup tables, which have no order of their own.
fn shown(settings: &Settings) -> String {
    let Settings { server, providers, session, policy, routes } = settings;
    let kept = policy.kept_claims();
    format!("{server:#?}{providers:#?}{session:#?}{:#?}{:#?}{kept:#?}{routes:#?}", policy.routes(), policy.mapping())
}

#[test]
fn the_reference_means_the_same_in_yaml_toml_and_json() {
    let yaml = example("doorward.yaml");
    assert!(yaml.warnings.is_empty(), "{}", yaml.warnings);
    let expected = shown(&yaml.settings);
    for name in ["doorward.toml", "doorward.json"] {
        let other = example(name);
        assert_eq!(shown(&other.settings), expected, "{name}");
        assert!(other.warnings.is_empty(), "{}", other.warnings);
    }
}

#[test]
fn the_reference_means_what_its_comments_say() {
    let Settings { server, providers, session, policy, routes } = example("doorward.yaml").settings;
    assert_eq!(server.public_port, 443);
    assert_eq!(server.hsts.as_deref(), Some("max-age=31536000; includeSubDomains"));
    assert_eq!(server.limits.body, Some(10 * 1024 * 1024));
    assert_eq!((server.limits.sign_ins_per_client, server.limits.bad_credentials_per_client), (300, 600));
    let hooks = server.hooks.unwrap();
    assert_eq!((hooks.listen.len(), hooks.grpc.len(), hooks.trusted_peers.len(), hooks.tls), (1, 1, 1, false));
    assert_eq!(hooks.oauth2_proxy, Some(OriginalRequest::XOriginal));
    assert_eq!(providers[0].callback_aliases, ["/tenant/oauth", "/oauth2/callback"], "the first is what the provider is told");
    assert_eq!(providers[0].issuer, "https://acme.eu.auth0.com/");
    assert_eq!(providers[0].scope, "openid profile email");
    assert_eq!(providers[1].issuer, "https://login.acme.dev/realms/staff");
    assert!(matches!(providers[1].client_auth, ClientAuth::PrivateKeyJwt { .. }));
    assert!(session.example_key, "`serve` must know that this key is everybody's");
    let [cms, iot, api] = policy.routes() else { panic!("three routes") };
    assert_eq!(cms.rules.iter().map(|rule| &*rule.name).collect::<Vec<_>>()[..2], ["cms/1", "cms/2"]);
    assert!(matches!(cms.rules[0].allow, Requirement::Public));
    assert!(matches!(cms.rules[6].allow, Requirement::Nobody));
    assert!(matches!(cms.rules[7].allow, Requirement::SignedIn));
    assert_eq!((cms.accept, iot.accept, api.accept), (Accept::Both, Accept::Both, Accept::Bearer));
    assert!(api.pass_token && !iot.pass_token);
    let names: Vec<&str> = iot.headers.names().map(|name| name.as_str()).collect();
    assert_eq!(names, ["x-auth-user", "x-auth-email", "x-auth-roles", "x-auth-org", "x-device-groups"]);
    assert_eq!(routes[1].body_limit, Some(100 * 1024 * 1024));
    let [_, iot_app, api_app] = [0, 1, 2].map(|at| routes[at].upstream.as_ref().unwrap());
    assert_eq!(iot_app.servers.len(), 2);
    assert_eq!((iot_app.protocol, &iot_app.host), (UpstreamProtocol::Http1, &UpstreamHost::Keep));
    assert_eq!(iot_app.tls.as_ref().unwrap().server_name, "iot.internal");
    assert_eq!(api_app.rewrite, Rewrite::Prefix { from: "/v1".into(), to: "/".into() });
    assert_eq!(api_app.tls.as_ref().unwrap().server_name, "10.0.0.8");
    assert!(api.cors.is_some());
}

#[test]
fn twenty_lines_are_enough() {
    let loaded = example("minimal.yaml");
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    assert_eq!(loaded.settings.server.public_port, 443);
    assert_eq!(loaded.settings.policy.routes()[0].provider, Some(0));
}

#[test]
fn a_proxy_in_front_needs_no_listener_no_certificate_and_no_upstream() {
    let loaded = example("hooks.yaml");
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    let Settings { server, routes, .. } = loaded.settings;
    let hooks = server.hooks.unwrap();
    assert_eq!(hooks.listen, ["127.0.0.1:9180".parse().unwrap()]);
    assert!(!hooks.tls && hooks.secret.is_none() && hooks.oauth2_proxy.is_none());
    assert!(server.listen.is_empty() && server.tls.certificates.is_empty());
    assert_eq!(server.public_port, 443);
    assert!(routes[0].upstream.is_none());
}

#[test]
fn log_01_settings_and_reports_show_no_secret() {
    let loaded = example("doorward.yaml");
    let shown = format!("{:?}{:?}", loaded.settings, loaded.warnings);
    assert!(!shown.contains("example-client-secret") && !shown.contains("example-hook-secret"));
    assert!(!shown.contains("PRIVATE KEY"));
}
