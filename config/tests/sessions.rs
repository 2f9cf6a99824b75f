//! What the keys of sessions and sign-ins mean, and the twin that passes of mistakes that do not.

#![allow(clippy::unwrap_used)]

mod base;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base::{Vars, base, fails, hooked, loads};
use doorward_config::settings::{LoginParameter, Provider, Redis, RedisTopology, ResponseMode, Server, Session, StoreKind};
use doorward_config::{Severity, WarningCode};
use doorward_policy::access::StepUp;
use doorward_policy::credential::Accept;

const SECOND: &str = "  second: { kind: oidc, issuer: \"https://login.acme.dev\", client_id: x, client_auth: none }\n";

fn of_server(more: &str) -> String {
    base().replace("server:\n", &format!("server:\n  {more}\n"))
}

fn of_session(more: &str) -> String {
    base().replace("session: { ", &format!("session: {{ {more}, "))
}

fn of_provider(more: &str) -> String {
    base().replace("    audience:", &format!("    {more}\n    audience:"))
}

fn of_route(more: &str) -> String {
    base().replace("    rules:", &format!("    {more}\n    rules:"))
}

fn with_second(text: &str) -> String {
    text.replace("session:", &format!("{SECOND}session:"))
}

fn server(more: &str) -> Server {
    loads(&of_server(more)).settings.server
}

fn session(more: &str) -> Session {
    loads(&of_session(more)).settings.session
}

fn provider(more: &str) -> Arc<Provider> {
    loads(&of_provider(more)).settings.providers.remove(0)
}

/// One mistake, and no other.
fn refused(text: &str) {
    let report = fails(text);
    assert_eq!(report.error_count(), 1, "{report}");
}

fn warned(text: &str) -> Vec<WarningCode> {
    let warnings = loads(text).warnings;
    let code = |severity| match severity {
        Severity::Warning(code) => code,
        Severity::Error => panic!("it loads with an error"),
    };
    warnings.problems().iter().map(|problem| code(problem.severity)).collect()
}

#[test]
fn unless_written_sessions_are_in_the_browser_and_sign_ins_as_ever() {
    let settings = loads(&base()).settings;
    let Server { public_host, admin_token, pages, explain_denials, example_admin_token, .. } = settings.server;
    assert!(public_host.is_none() && admin_token.is_none() && pages.is_none() && explain_denials && !example_admin_token);
    let Session { store, redis, refresh, domain, logout_targets, .. } = settings.session;
    assert!(store == StoreKind::Cookie && redis.is_none() && refresh.is_none() && domain.is_none() && logout_targets.is_empty());
    let provider = &settings.providers[0];
    assert_eq!((provider.label.as_str(), provider.hidden, provider.email_domains.len()), ("auth0", false, 0));
    assert_eq!((provider.response_mode, provider.third_party_login, provider.revoke_on_logout), (ResponseMode::Query, false, false));
    assert_eq!(provider.login_parameters, [LoginParameter::LoginHint, LoginParameter::UiLocales]);
    let route = &settings.policy.routes()[0];
    assert_eq!((route.providers.as_slice(), route.rules[0].step_up.is_none()), (&[0][..], true));
    assert!(!settings.routes[0].keep_form && !settings.routes[0].keep_fragment);
}

#[test]
fn folders_begin_where_the_file_is() {
    let folder = |text: &str| loads(&base().replace("/var/lib/doorward", text)).settings.server.state_dir.unwrap();
    assert_eq!(folder("/srv/doorward"), Path::new("/srv/doorward"));
    assert_eq!(folder("state"), Path::new("tests/state"), "nobody looks whether it is there: `check` may run elsewhere");
    assert_eq!(server("pages: ../examples").pages.unwrap(), Path::new("tests/../examples"));
    refused(&of_server("pages: ../examples/README.md"));
    assert!(!server("explain_denials: false").explain_denials);
}

#[test]
fn the_public_host_is_a_host_alone() {
    for url in ["https://auth.acme.dev", "https://auth.acme.dev/", "https://Auth.Acme.dev.", "https://auth.acme.dev:8443"] {
        assert_eq!(server(&format!("public_url: \"{url}\"")).public_host.as_deref(), Some("auth.acme.dev"), "{url}");
    }
    for url in [
        "auth.acme.dev",
        "HTTPS://auth.acme.dev",
        "https://",
        "https://auth.acme.dev//",
        "https://auth.acme.dev?a=b",
        "https://auth.acme.dev#a",
        "https://auth.acme.dev:443",
        "https://a@auth.acme.dev",
        "https://auth.acme.dev\\\\@evil.example",
        "https://*.acme.dev",
    ] {
        refused(&of_server(&format!("public_url: \"{url}\"")));
    }
    let port = |url: &str| of_server(&format!("public_url: \"{url}\"\n  public_port: 443"));
    loads(&port("https://auth.acme.dev:443"));
    refused(&port("https://auth.acme.dev:8443"));
}

#[test]
fn an_admin_token_is_sixteen_visible_signs_or_more() {
    let with = |token: &str| base::load(&of_server("admin: 127.0.0.1:9090\n  admin_token: { env: TOKEN }"), &Vars(&[("TOKEN", token)]));
    let server = with("0123456789abcdef\n").unwrap().settings.server;
    assert_eq!(server.admin_token.unwrap().expose(), "0123456789abcdef");
    assert!(!server.example_admin_token);
    for bad in ["0123456789abcde", "01234567 89abcdef", "0123456789abcdé", &"x".repeat(1025)] {
        assert_eq!(with(bad).unwrap_err().error_count(), 1, "{bad}");
    }
}

#[test]
fn a_store_has_what_it_needs() {
    let redis = "redis: { url: \"redis://127.0.0.1\" }";
    for (words, store) in [("store: cookie", StoreKind::Cookie), ("store: memory", StoreKind::Memory), ("store: file", StoreKind::File)] {
        let session = session(words);
        assert!(session.store == store && session.redis.is_none(), "{words}");
    }
    assert_eq!(session(&format!("store: redis, {redis}")).store, StoreKind::Redis);
    let shared = session(&format!("store: cookie, {redis}"));
    assert!(shared.store == StoreKind::Cookie && shared.redis.is_some(), "sign-outs are shared");
    assert!([StoreKind::Memory, StoreKind::File, StoreKind::Redis].iter().all(|store| store.is_server_side()));
    let homeless = |text: String| text.replace("  state_dir: /var/lib/doorward\n", "");
    refused(&homeless(of_session("store: file")));
    loads(&homeless(of_session("store: memory")));
    refused(&of_session("store: redis"));
    for store in ["memory", "file"] {
        refused(&of_session(&format!("store: {store}, {redis}")));
    }
}

fn redis(inside: &str) -> Redis {
    session(&format!("store: redis, redis: {{ {inside} }}")).redis.unwrap()
}

fn single(host: &str, port: u16) -> RedisTopology {
    RedisTopology::Single { host: host.into(), port }
}

#[test]
fn redis_is_found_by_its_address_by_sentinels_or_in_a_cluster() {
    let usual = redis("url: \"redis://127.0.0.1\"");
    assert_eq!((usual.topology, usual.tls, usual.database, usual.prefix.as_str()), (single("127.0.0.1", 6379), false, 0, "doorward:"));
    assert!(usual.username.is_none() && usual.password.is_none() && usual.ca.is_none());
    let other = redis("url: \"rediss://Redis.acme.internal:6380/2\", ca: ../examples/tls/internal-ca.crt, prefix: edge-1/");
    assert_eq!((other.topology, other.tls, other.database), (single("redis.acme.internal", 6380), true, 2));
    assert_eq!((other.ca.is_some(), other.prefix.as_str()), (true, "edge-1/"));
    assert_eq!(redis("url: \"redis://[fd00::1]:6380\"").topology, single("fd00::1", 6380));
    let sentinels = redis("sentinels: [\"10.0.0.1:26379\", \"s2.internal:26379\"], master: main, tls: true");
    let servers = vec![("10.0.0.1".to_owned(), 26379), ("s2.internal".to_owned(), 26379)];
    assert_eq!((sentinels.topology, sentinels.tls), (RedisTopology::Sentinel { sentinels: servers, master: "main".into() }, true));
    let cluster = redis("cluster: [\"[fd00::1]:6379\"], tls: true, ca: ../examples/tls/internal-ca.crt");
    assert_eq!((cluster.topology, cluster.ca.is_some()), (RedisTopology::Cluster(vec![("fd00::1".into(), 6379)]), true));
    for bad in [
        "url: \"redis://127.0.0.1:0\"",
        "url: \"redis://127.0.0.1/-1\"",
        "url: \"redis://127.0.0.1/1/2\"",
        "url: \"redis:///0\"",
        "url: \"unix:///run/redis.sock\"",
        "sentinels: [\"10.0.0.1:26379\"], cluster: [\"10.0.0.1:6379\"], master: main",
        "cluster: []",
        "url: \"redis://127.0.0.1\", prefix: \"a b\"",
        "url: \"redis://127.0.0.1\", prefix: \"*\"",
    ] {
        refused(&of_session(&format!("store: redis, redis: {{ {bad} }}")));
    }
}

#[test]
fn the_password_of_redis_stands_apart_or_comes_with_the_address_from_the_environment() {
    let apart = redis("url: \"redis://127.0.0.1\", username: edge, password: { file: ../examples/secrets/redis }");
    assert_eq!((apart.username.as_deref(), apart.password.unwrap().expose().as_str()), (Some("edge"), "example-redis-password"));
    let text = of_session("store: redis, redis: { url: \"${REDIS_URL}\" }");
    let vars = [("REDIS_URL", "rediss://edge:p%40ss%2Fword@redis.internal:6380/1")];
    let loaded = base::load(&text, &Vars(&vars)).unwrap();
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    let redis = loaded.settings.session.redis.unwrap();
    assert_eq!((redis.username.as_deref(), redis.password.unwrap().expose().as_str()), (Some("edge"), "p@ss/word"));
    assert_eq!((redis.topology, redis.database), (single("redis.internal", 6380), 1));
    let broken = base::load(&text, &Vars(&[("REDIS_URL", "rediss://edge:hunter2@redis.internal:6380/x")])).unwrap_err();
    assert!(!broken.to_string().contains("hunter2"), "{broken}");
    let inline = of_session("redis: { url: \"redis://edge:hunter2@127.0.0.1\" }");
    assert_eq!(warned(&inline), [WarningCode::InlineSecret]);
    // `requirepass` alone: no name.
    let nameless = session("redis: { url: \"redis://:hunter2@127.0.0.1\" }").redis.unwrap();
    assert!(nameless.username.is_none() && nameless.password.is_some());
}

#[test]
fn a_refresh_has_its_usual_times_unless_written() {
    let refresh = |text: &str| session(&format!("store: memory, refresh: {text}")).refresh.unwrap();
    let times = |text: &str| (refresh(text).ahead.as_secs(), refresh(text).grace.as_secs());
    assert_eq!((times("{}"), times("{ ahead: 30s }"), times("{ grace: 0s }")), ((60, 300), (30, 300), (60, 0)));
    assert!(session("store: memory").refresh.is_none());
    refused(&of_session("store: cookie, refresh: {}"));
    refused(&of_session("refresh: {}"));
    for store in ["memory", "file", "redis, redis: { url: \"redis://127.0.0.1\" }"] {
        assert!(session(&format!("store: {store}, refresh: {{}}")).refresh.is_some(), "{store}");
    }
}

#[test]
fn what_needs_a_token_needs_a_store_on_our_side() {
    let on_our_side = |text: String| text.replace("session: { ", "session: { store: memory, ");
    for text in [
        of_provider("revoke_on_logout: true"),
        of_provider("scope: [openid, offline_access]"),
        of_route("accept: session\n    pass_token: true"),
        of_session("refresh: {}"),
    ] {
        refused(&text);
        loads(&on_our_side(text));
    }
    // Bearers bring theirs.
    for accept in ["bearer", "both"] {
        assert!(loads(&of_route(&format!("accept: {accept}\n    pass_token: true"))).settings.policy.routes()[0].pass_token);
    }
    // Where the store is unknown nothing is made up from it.
    refused(&of_provider("revoke_on_logout: true").replace("session: { ", "session: { store: nowhere, "));
}

#[test]
fn a_session_domain_is_the_operators_own() {
    for (text, canonical) in
        [("acme.dev", "acme.dev"), ("Acme.dev.", "acme.dev"), ("app.acme.co.uk", "app.acme.co.uk"), ("acme.github.io", "acme.github.io")]
    {
        assert_eq!(session(&format!("domain: {text}")).domain.as_deref(), Some(canonical), "{text}");
    }
    for text in ["demo.localhost", "acme.internal"] {
        assert_eq!(session(&format!("domain: {text}")).domain.as_deref(), Some(text));
    }
    for text in [
        "dev",
        "localhost",
        "co.uk",
        "github.io",
        "10.0.0.5",
        "\"[fd00::1]\"",
        ".acme.dev",
        "\"*.acme.dev\"",
        "acme.dev:443",
        "https://acme.dev",
        "a..b",
    ] {
        refused(&of_session(&format!("domain: {text}")));
    }
}

#[test]
fn a_domain_that_leaves_hosts_out_is_worth_a_warning() {
    let domain = |host: &str| of_session("domain: acme.dev").replace("host: app.acme.dev", &format!("host: {host}"));
    for inside in ["app.acme.dev", "acme.dev", "\"*.acme.dev\"", "a.b.acme.dev"] {
        assert_eq!(warned(&domain(inside)), [], "{inside}");
    }
    for outside in ["acme.example", "badacme.dev", "\"*.acme.example\"", "dev", "[app.acme.dev, acme.example]"] {
        assert_eq!(warned(&domain(outside)), [WarningCode::OutsideDomain], "{outside}");
    }
    let closed =
        domain("acme.example").replace("allow: signed-in", "allow: nobody").replace("    rules:", "    accept: bearer\n    rules:");
    assert_eq!(warned(&closed), [], "nobody has a session there");
}

#[test]
fn people_sign_in_where_the_cookie_of_the_domain_can_be_set() {
    let with = |host: &str| of_server(&format!("public_url: \"https://{host}\"")).replace("session: { ", "session: { domain: acme.dev, ");
    for host in ["auth.acme.dev", "acme.dev"] {
        loads(&with(host));
    }
    for host in ["auth.acme.example", "badacme.dev", "dev"] {
        refused(&with(host));
        loads(&with(host).replace("domain: acme.dev, ", ""));
    }
}

#[test]
fn sign_out_leads_to_exact_addresses() {
    let targets = |list: &str| session(&format!("logout_targets: [{list}]")).logout_targets;
    assert!(targets("").is_empty());
    let list = "\"https://www.acme.dev\", \"https://WWW.acme.dev:443/bye?a=ü\", \"https://acme.dev:8443/x\"";
    assert_eq!(
        targets(list),
        ["https://www.acme.dev/", "https://www.acme.dev/bye?a=%C3%BC", "https://acme.dev:8443/x"],
        "as a browser writes them"
    );
    for bad in [
        "http://acme.dev/",
        "//acme.dev/",
        "/bye",
        "javascript:alert(1)",
        "https://a:b@acme.dev/",
        "https://a@acme.dev/",
        "https://acme.dev/#",
        "https://*.acme.dev/",
    ] {
        refused(&of_session(&format!("logout_targets: [\"{bad}\"]")));
    }
}

#[test]
fn what_a_link_may_set_is_listed() {
    assert_eq!(provider("login_parameters: []").login_parameters, []);
    assert_eq!(
        provider("login_parameters: [connection, login_hint]").login_parameters,
        [LoginParameter::Connection, LoginParameter::LoginHint]
    );
    for parameter in LoginParameter::ALL {
        assert_eq!(provider(&format!("login_parameters: [{}]", parameter.name())).login_parameters, [*parameter]);
    }
    for bad in ["prompt", "scope", "audience", "redirect_uri", "state", "max_age", "LOGIN_HINT", "login_hint, login_hint"] {
        refused(&of_provider(&format!("login_parameters: [{bad}]")));
    }
    for settled in ["organization", "connection"] {
        let text = of_provider(&format!("{settled}: acme\n    login_parameters: [{settled}]"));
        refused(&text);
        loads(&text.replace(&format!("{settled}: acme\n    "), ""));
    }
    let text = of_provider("authorize: { ui_locales: de }\n    login_parameters: [ui_locales]");
    refused(&text);
    loads(&text.replace("authorize: { ui_locales: de }", "authorize: { other: de }"));
    // Nobody has to take it out of the usual ones.
    loads(&text.replace("    login_parameters: [ui_locales]\n", ""));
}

#[test]
fn a_provider_has_a_face_on_the_page_where_people_choose() {
    assert_eq!(provider("label: Acme staff").label, "Acme staff");
    assert_eq!(provider(&format!("label: {}", "ü".repeat(80))).label.chars().count(), 80);
    refused(&of_provider(&format!("label: {}", "ü".repeat(81))));
    refused(&of_provider("label: \"\""));
    assert_eq!(provider("email_domains: Acme.dev").email_domains, ["acme.dev"]);
    assert_eq!(provider("email_domains: [acme.dev, mail.acme.dev]").email_domains, ["acme.dev", "mail.acme.dev"]);
    let both = |second: &str| {
        let text = with_second(&of_provider("email_domains: [acme.dev]"))
            .replace("client_auth: none", &format!("client_auth: none, email_domains: {second}"));
        text.replace("    rules:", "    provider: [auth0, second]\n    rules:")
    };
    loads(&both("acme.example"));
    refused(&both("ACME.dev"));
    assert!(provider("hidden: true").hidden && provider("third_party_login: true").third_party_login);
    assert_eq!(provider("response_mode: form_post").response_mode, ResponseMode::FormPost);
}

#[test]
fn a_route_has_its_providers_in_the_order_written() {
    let with = |list: &str| with_second(&of_route(&format!("provider: {list}")));
    let providers = |list: &str| loads(&with(list)).settings.policy.routes()[0].providers.clone();
    assert_eq!(providers("auth0"), [0]);
    assert_eq!(providers("[second]"), [1]);
    assert_eq!(providers("[second, auth0]"), [1, 0]);
    for bad in ["[]", "[auth0, auth0]", "[auth0, nobody]", "{ auth0: second }"] {
        refused(&with(bad));
    }
    refused(&with_second(&base()));
    // One audience is enough; `second` has none.
    let accept = |list: &str| loads(&with(list)).settings.policy.routes()[0].accept;
    assert_eq!((accept("[second, auth0]"), accept("[second]")), (Accept::Both, Accept::Session));
    loads(&with("[second, auth0]\n    accept: bearer"));
    refused(&with("[second]\n    accept: bearer"));
}

#[test]
fn there_is_something_to_choose_from() {
    let hidden = |first: &str, second: &str| {
        let text = with_second(&of_provider(first)).replace("client_auth: none", &format!("client_auth: none{second}"));
        text.replace("    rules:", "    provider: [auth0, second]\n    rules:")
    };
    refused(&hidden("hidden: true", ", hidden: true"));
    loads(&hidden("hidden: true", ""));
    loads(&hidden("hidden: true", ", hidden: true, email_domains: [acme.dev]"));
    let alone = hidden("hidden: true", ", hidden: true").replace("[auth0, second]", "auth0");
    loads(&alone);
}

#[test]
fn what_is_kept_over_a_sign_in_is_kept_where_people_sign_in() {
    for key in ["keep_form", "keep_fragment"] {
        let settings = loads(&of_route(&format!("{key}: true"))).settings;
        assert_eq!((settings.routes[0].keep_form, settings.routes[0].keep_fragment), (key == "keep_form", key == "keep_fragment"));
        refused(&of_route(&format!("{key}: true\n    accept: bearer")));
        loads(&of_route(&format!("{key}: false\n    accept: bearer")));
    }
    let asked = |key: &str| hooked("").replace("    rules:", &format!("    {key}: true\n    rules:"));
    refused(&asked("keep_form"));
    loads(&asked("keep_fragment"));
    loads(&asked("keep_form").replace("    rules:", "    upstream: http://10.0.0.5:3000\n    rules:"));
}

#[test]
fn a_step_up_asks_for_something_of_somebody() {
    let rule = |allow: &str, step_up: &str| base().replace("allow: signed-in", &format!("allow: {allow}, step_up: {step_up}"));
    let read = |step_up: &str| loads(&rule("signed-in", step_up)).settings.policy.routes()[0].rules[0].step_up.clone().unwrap();
    assert_eq!(read("{ max_age: 5m }"), StepUp { max_age: Some(Duration::from_secs(300)), acr_values: vec![] });
    assert_eq!(read("{ acr_values: silver }"), StepUp { max_age: None, acr_values: vec!["silver".into()] });
    let both = StepUp { max_age: Some(Duration::from_secs(30)), acr_values: vec!["silver".into(), "urn:gold".into()] };
    assert_eq!(read("{ acr_values: [silver, \"urn:gold\"], max_age: 30s }"), both);
    loads(&rule("{ role: admin }", "{ max_age: 5m }"));
    for allow in ["public", "nobody", "{ public: true, network: 10.0.0.0/8 }"] {
        refused(&rule(allow, "{ max_age: 5m }"));
    }
    for nothing in ["{}", "{ acr_values: [] }", "{ max_age: 29s }", "{ max_age: 31d }", "{ acr_values: [\"two words\"] }"] {
        refused(&rule("signed-in", nothing));
    }
    let kept = |text: &str| loads(text).settings.policy.kept_claims().iter().any(|claim| &**claim == "auth_time");
    assert_eq!((kept(&rule("signed-in", "{ max_age: 5m }")), kept(&base())), (true, false));
}

#[test]
fn forgotten_sign_outs_are_told_where_somebody_has_a_session_that_outlives_a_restart() {
    let homeless = |text: &str| text.replace("  state_dir: /var/lib/doorward\n", "");
    assert_eq!(warned(&homeless(&base())), [WarningCode::ForgottenSignOuts]);
    assert_eq!(warned(&base()), []);
    assert_eq!(warned(&homeless(&of_session("redis: { url: \"redis://127.0.0.1\" }"))), []);
    assert_eq!(warned(&homeless(&of_session("store: memory"))), [], "a restart ends these");
    assert_eq!(warned(&homeless(&of_route("accept: bearer"))), []);
    assert_eq!(warned(&homeless(&of_route("accept: session"))), [WarningCode::ForgottenSignOuts]);
}

#[test]
fn a_refresh_without_a_refresh_token_is_worth_a_warning() {
    let renewed = of_session("store: memory, refresh: {}");
    let scoped = |text: &str| text.replace("    audience:", "    scope: [openid, offline_access]\n    audience:");
    assert_eq!(warned(&renewed), [WarningCode::NoRefreshToken]);
    assert_eq!(warned(&scoped(&renewed)), []);
    assert_eq!(warned(&renewed.replace("    rules:", "    accept: bearer\n    rules:")), []);
    let revoked = of_provider("revoke_on_logout: true").replace("session: { ", "session: { store: memory, ");
    assert_eq!(warned(&revoked), [WarningCode::NoRefreshToken]);
    assert_eq!(warned(&scoped(&revoked)), []);
    assert_eq!(warned(&of_session("store: memory")), []);
    // Only of a provider that somebody uses.
    let second = with_second(&scoped(&renewed)).replace("    rules:", "    provider: auth0\n    rules:");
    assert_eq!(warned(&second), []);
    assert_eq!(warned(&second.replace("provider: auth0", "provider: [auth0, second]")), [WarningCode::NoRefreshToken]);
}
