//! The examples load from a fresh clone, and mean the same in all three formats.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::time::Duration;

use doorward_config::settings::{
    AccessLines, AuditLog, ClientAuth, Expect, LoginParameter, OriginalRequest, PolicyTest, RedisTopology, ResponseMode, Rewrite, Settings,
    StoreKind, UpstreamHost, UpstreamProtocol,
};
use doorward_config::{Loaded, Report, Severity, WarningCode, load};
use doorward_policy::access::{Enforce, Requirement, Rule};
use doorward_policy::credential::Accept;
use doorward_policy::identity::NoRoles;

fn example(name: &str) -> Loaded {
    load(&Path::new("examples").join(name)).unwrap_or_else(|report| panic!("{report}"))
}

/// A first try keeps nothing, and is told so.
fn forgets_sign_outs_alone(warnings: &Report) -> bool {
    matches!(warnings.problems(), [one] if one.severity == Severity::Warning(WarningCode::ForgottenSignOuts))
}

/// Everything but the lookup tables, which have no order of their own.
fn shown(settings: &Settings) -> String {
    let Settings { server, providers, session, policy, routes, tests } = settings;
    let kept = policy.kept_claims();
    // Where a test stands is another line in each.
    let tests: Vec<PolicyTest> = tests.iter().map(|test| PolicyTest { line: 0, ..test.clone() }).collect();
    format!("{server:#?}{providers:#?}{session:#?}{:#?}{:#?}{kept:#?}{routes:#?}{tests:#?}", policy.routes(), policy.mapping())
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
    let Settings { server, providers, session, policy, routes, tests } = example("doorward.yaml").settings;
    assert_eq!(server.public_port, 443);
    assert_eq!(server.hsts.as_deref(), Some("max-age=31536000; includeSubDomains"));
    assert_eq!(server.limits.body, Some(10 * 1024 * 1024));
    assert_eq!((server.limits.sign_ins_per_client, server.limits.bad_credentials_per_client), (300, 600));
    assert_eq!(server.limits.remembered, 10_000);
    assert_eq!(server.state_dir.as_deref(), Some(Path::new("/var/lib/doorward")));
    assert!(server.example_admin_token, "`serve` must know that this token is everybody's");
    assert!(server.explain_denials && server.public_host.is_none() && server.pages.is_none());
    let hooks = server.hooks.unwrap();
    assert_eq!((hooks.listen.len(), hooks.grpc.len(), hooks.trusted_peers.len(), hooks.tls), (1, 1, 1, false));
    assert_eq!(hooks.oauth2_proxy, Some(OriginalRequest::XOriginal));
    assert_eq!(providers[0].callback_aliases, ["/tenant/oauth", "/oauth2/callback"], "the first is what the provider is told");
    assert_eq!(providers[0].issuer, "https://acme.eu.auth0.com/");
    assert_eq!(providers[0].scope, "openid profile email");
    assert_eq!((providers[0].label.as_str(), providers[1].label.as_str()), ("Acme customers", "workforce"));
    assert_eq!(providers[0].email_domains, ["customers.acme.dev"]);
    assert_eq!(providers[0].login_parameters, [LoginParameter::LoginHint, LoginParameter::ScreenHint]);
    assert_eq!(providers[1].login_parameters, [LoginParameter::LoginHint, LoginParameter::UiLocales]);
    assert_eq!(providers[1].issuer, "https://login.acme.dev/realms/staff");
    assert!(matches!(providers[1].client_auth, ClientAuth::PrivateKeyJwt { .. }));
    assert!(session.example_key, "`serve` must know that this key is everybody's");
    assert_eq!(session.store, StoreKind::Cookie);
    assert!(session.redis.is_none() && session.refresh.is_none() && session.domain.is_none());
    assert_eq!(session.logout_targets, ["https://www.acme.dev/bye"]);
    let [cms, iot, api] = policy.routes() else { panic!("three routes") };
    assert_eq!(cms.rules.iter().map(|rule| &*rule.name).collect::<Vec<_>>()[..2], ["cms/1", "cms/2"]);
    assert!(matches!(cms.rules[0].allow, Requirement::Public));
    assert!(matches!(cms.rules[6].allow, Requirement::Nobody));
    assert!(matches!(cms.rules[7].allow, Requirement::Optional));
    assert!(matches!(&cms.rules[8].allow, Requirement::Needs(needs) if needs.times[0].to_string() == "mon-fri 08:00-18:00 Europe/Berlin"));
    assert!(cms.rules.iter().enumerate().all(|(at, rule)| (rule.enforce == Enforce::Log) == (at == 9)));
    assert!(matches!(cms.rules[10].allow, Requirement::SignedIn));
    assert!(matches!(&api.rules[0].allow, Requirement::Needs(needs) if needs.when.as_ref().unwrap().parameters() == ["tenant".into()]));
    assert_eq!((server.audit_log, server.access_log), (Some(AuditLog::Stdout), AccessLines::All));
    let attributes: Vec<&str> = providers[0].attributes.names().collect();
    assert_eq!(attributes, ["groups", "level", "plant"]);
    assert!(providers[0].attributes.amr.as_ref().is_some_and(|amr| !amr.always) && providers[1].attributes.is_empty());
    assert_eq!(providers[1].requests.authorize.params.len(), 1);
    assert_eq!((policy.mapping().role_rules.len(), policy.mapping().no_roles), (3, NoRoles::Allow));
    let expected: Vec<(&str, Expect)> = tests.iter().map(|test| (test.name.as_str(), test.expect)).collect();
    assert_eq!((expected.len(), expected[0], expected[3].1), (6, ("anybody reads the news", Expect::Allow), Expect::Deny));
    let step_up = cms.rules[1].step_up.as_ref().unwrap();
    assert_eq!((step_up.max_age, step_up.acr_values.len()), (Some(Duration::from_secs(300)), 1));
    assert!(cms.rules.iter().enumerate().all(|(at, rule)| at == 1 || rule.step_up.is_none()));
    assert!(!routes[0].keep_form && !routes[0].keep_fragment);
    assert_eq!((cms.accept, iot.accept, api.accept), (Accept::Both, Accept::Both, Accept::Bearer));
    assert!(api.pass_token && !iot.pass_token);
    let names: Vec<&str> = iot.headers.names().map(|name| name.as_str()).collect();
    assert_eq!(names, ["x-auth-user", "x-auth-email", "x-auth-roles", "x-auth-org", "x-auth-edge", "x-device-groups"]);
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
    assert!(forgets_sign_outs_alone(&loaded.warnings), "{}", loaded.warnings);
    assert_eq!(loaded.settings.server.public_port, 443);
    assert_eq!(loaded.settings.policy.routes()[0].providers, [0]);
}

#[test]
fn a_proxy_in_front_needs_no_listener_no_certificate_and_no_upstream() {
    let loaded = example("hooks.yaml");
    assert!(forgets_sign_outs_alone(&loaded.warnings), "{}", loaded.warnings);
    let Settings { server, routes, .. } = loaded.settings;
    let hooks = server.hooks.unwrap();
    assert_eq!(hooks.listen, ["127.0.0.1:9180".parse().unwrap()]);
    assert!(!hooks.tls && hooks.secret.is_none() && hooks.oauth2_proxy.is_none());
    assert!(server.listen.is_empty() && server.tls.certificates.is_empty());
    assert_eq!(server.public_port, 443);
    assert!(routes[0].upstream.is_none());
}

#[test]
fn sessions_on_our_side_mean_what_their_comments_say() {
    let loaded = example("sessions.yaml");
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    let Settings { server, providers, session, policy, routes, tests: _ } = loaded.settings;
    assert_eq!(server.public_host.as_deref(), Some("auth.acme.dev"));
    assert!(server.admin_token.is_some() && server.example_admin_token && !server.explain_denials);
    let [auth0, workforce] = providers.as_slice() else { panic!("two providers") };
    assert_eq!(auth0.scope, "openid profile email offline_access");
    assert!(auth0.third_party_login && auth0.revoke_on_logout && !auth0.hidden);
    assert_eq!(auth0.login_parameters.len(), 5);
    assert!(workforce.hidden && !workforce.third_party_login && !workforce.revoke_on_logout);
    assert_eq!(workforce.email_domains, ["acme.dev", "acme.example"]);
    assert_eq!((auth0.response_mode, workforce.response_mode), (ResponseMode::Query, ResponseMode::FormPost));
    assert_eq!(session.store, StoreKind::Redis);
    let redis = session.redis.unwrap();
    assert_eq!(redis.topology, RedisTopology::Single { host: "redis.acme.internal".into(), port: 6379 });
    assert_eq!((redis.tls, redis.ca.is_some(), redis.database, redis.prefix.as_str()), (true, true, 0, "doorward:"));
    assert_eq!((redis.username.as_deref(), redis.password.is_some()), (Some("doorward"), true));
    let refresh = session.refresh.unwrap();
    assert_eq!((refresh.ahead.as_secs(), refresh.grace.as_secs()), (60, 300));
    assert_eq!(session.domain.as_deref(), Some("acme.dev"));
    assert_eq!(session.logout_targets, ["https://www.acme.dev/bye", "https://status.acme.dev/"]);
    let [shop, reports] = policy.routes() else { panic!("two routes") };
    assert_eq!((shop.providers.as_slice(), reports.providers.as_slice()), (&[0, 1][..], &[1][..]));
    // One of the two has an audience, so its tokens can be verified.
    assert_eq!((shop.accept, reports.accept), (Accept::Both, Accept::Session));
    assert!(reports.pass_token && !shop.pass_token);
    let [pay, keys, rest] = shop.rules.as_slice() else { panic!("three rules") };
    let asked = |rule: &Rule| rule.step_up.as_ref().map(|step_up| (step_up.max_age.map(|age| age.as_secs()), step_up.acr_values.len()));
    assert_eq!((asked(pay), asked(keys), asked(rest)), (Some((Some(300), 0)), Some((None, 1)), None));
    assert!(routes[0].keep_form && routes[0].keep_fragment && !routes[1].keep_form && !routes[1].keep_fragment);
}

#[test]
fn log_01_settings_and_reports_show_no_secret() {
    let loaded = example("doorward.yaml");
    let shown = format!("{:?}{:?}", loaded.settings, loaded.warnings);
    assert!(!shown.contains("example-client-secret") && !shown.contains("example-hook-secret"));
    assert!(!shown.contains("PRIVATE KEY") && !shown.contains("example-admin-token"));
    let loaded = example("sessions.yaml");
    let shown = format!("{:?}{:?}", loaded.settings, loaded.warnings);
    assert!(!shown.contains("example-redis-password") && !shown.contains("example-admin-token"));
}
