//! What keys mean, beside what the reference shows; and the twin that passes of mistakes that do not.

#![allow(clippy::unwrap_used)]

mod base;

use base::{Vars, base, fails, hooked, loads};
use doorward_config::settings::{AccessTokenType, ClientAuth, Hooks, OriginalRequest, Rewrite, UpstreamHost, UpstreamProtocol};
use doorward_config::{Severity, WarningCode};
use doorward_policy::access::{ClaimTest, Requirement};
use doorward_policy::credential::Accept;
use doorward_policy::identity::UserId;
use doorward_policy::token::Algorithm;

#[test]
fn defaults_are_those_of_the_reference() {
    let settings = loads(&base()).settings;
    assert_eq!(settings.server.public_port, 8443);
    assert_eq!(settings.server.prefix, "/_doorward");
    assert_eq!(settings.server.limits.connections, 10_000);
    assert_eq!((settings.server.limits.sign_ins_per_client, settings.server.limits.bad_credentials_per_client), (300, 600));
    assert!(settings.server.hooks.is_none() && settings.routes[0].upstream.is_some());
    assert!(settings.server.hsts.is_none() && settings.server.admin.is_none() && settings.server.trusted_proxies.is_empty());
    assert_eq!(settings.providers[0].access_token_type, AccessTokenType::Either);
    assert_eq!(settings.providers[0].algorithms, [Algorithm::Rs256]);
    assert_eq!(settings.session.idle.as_secs(), 3600);
    assert_eq!(settings.session.lifetime.as_secs(), 12 * 3600);
    assert!(matches!(&settings.policy.mapping().user, UserId::Claim(path) if path.as_str() == "sub"));
    assert_eq!(settings.policy.routes()[0].accept, Accept::Both);
}

#[test]
fn a_provider_on_this_machine_may_be_plain_http_when_that_is_said() {
    let auth0 = base().replace("domain: acme.eu.auth0.com", "domain: localhost:9000\n    insecure_http: true");
    assert_eq!(loads(&auth0).settings.providers[0].issuer, "http://localhost:9000/");
    let oidc = base().replace(
        "kind: auth0\n    domain: acme.eu.auth0.com",
        "kind: oidc\n    issuer: http://127.0.0.1:9000/realm\n    insecure_http: true",
    );
    let settings = loads(&oidc).settings;
    let provider = &settings.providers[0];
    assert_eq!(provider.issuer, "http://127.0.0.1:9000/realm");
    assert!(matches!(provider.client_auth, ClientAuth::Basic(_)), "the default of oidc");
    assert_eq!(provider.access_token_type, AccessTokenType::AtJwt);
    for elsewhere in ["localhost.example:9000", "10.0.0.1", "127.0.0.1.example"] {
        fails(&base().replace("domain: acme.eu.auth0.com", &format!("domain: {elsewhere}\n    insecure_http: true")));
    }
}

#[test]
fn an_issuer_is_kept_byte_for_byte() {
    for issuer in ["https://Login.acme.dev", "https://login.acme.dev/", "https://login.acme.dev/a%2Fb", "https://login.acme.dev:443/"] {
        let text = base().replace("kind: auth0\n    domain: acme.eu.auth0.com", &format!("kind: oidc\n    issuer: {issuer}"));
        assert_eq!(loads(&text).settings.providers[0].issuer, issuer);
    }
}

#[test]
fn without_an_audience_routes_take_sessions_alone() {
    let text = base().replace("    audience: https://api.acme.dev\n", "");
    assert_eq!(loads(&text).settings.policy.routes()[0].accept, Accept::Session);
    fails(&text.replace("    rules:", "    accept: bearer\n    rules:"));
}

#[test]
fn no_provider_is_needed_where_everything_is_public() {
    let whole = base();
    let (before, rest) = whole.split_once("providers:").unwrap();
    let (_, after) = rest.split_once("session:").unwrap();
    let text = format!("{before}session:{after}").replace("allow: signed-in", "allow: public");
    let settings = loads(&text).settings;
    let route = &settings.policy.routes()[0];
    assert_eq!((route.providers.as_slice(), route.accept), (&[][..], Accept::Session));
}

#[test]
fn what_is_remembered_is_bounded_by_a_number_between_a_hundred_and_a_million() {
    let with = |limits: &str| base().replace("  tls:", &format!("  limits: {{ {limits} }}\n  tls:"));
    let read = |limits: &str| loads(&with(limits)).settings.server.limits.remembered;
    assert_eq!([read("idle: 60s"), read("remembered: 100"), read("remembered: 1000000")], [10_000, 100, 1_000_000]);
    for out in ["99", "1000001", "0", "-1"] {
        fails(&with(&format!("remembered: {out}")));
    }
}

#[test]
fn upstreams() {
    let with = |upstream: &str| loads(&base().replace("http://10.0.0.5:3000", upstream)).settings.routes[0].upstream.clone().unwrap();
    let plain = with("http://app.internal");
    assert_eq!((plain.servers[0].host.as_str(), plain.servers[0].port), ("app.internal", 80));
    assert!(plain.tls.is_none());
    let tls = with("https://app.internal");
    assert_eq!((tls.servers[0].port, tls.tls.unwrap().server_name.as_str()), (443, "app.internal"));
    let six = with("\"http://[::1]:3000\"");
    assert_eq!((six.servers[0].host.as_str(), six.servers[0].port), ("::1", 3000));
    let map = with("{ servers: [\"a.internal:1\", \"[fd00::1]:2\"], protocol: h2, tls: { server_name: a.internal }, host: upstream }");
    assert_eq!((map.protocol, map.host, map.servers[1].host.as_str()), (UpstreamProtocol::H2, UpstreamHost::Upstream, "fd00::1"));
    assert_eq!(with("{ servers: [\"a:1\"], protocol: h2c, host: app.acme.dev }").host, UpstreamHost::Fixed("app.acme.dev".into()));
    let same = with("{ servers: [\"a.internal:1\", \"a.internal:2\"], tls: {} }");
    assert_eq!(same.tls.unwrap().server_name, "a.internal");
    assert_eq!(with("{ servers: [\"10.0.0.1:1\"], tls: { server_name: 10.0.0.1 } }").tls.unwrap().server_name, "10.0.0.1");
}

#[test]
fn rewrites() {
    let with = |rewrite: &str| {
        let text = base().replace("    rules:", &format!("    path: /v1/x\n    rewrite: {rewrite}\n    rules:"));
        loads(&text).settings.routes[0].upstream.clone().unwrap().rewrite
    };
    let prefix = |from: &str, to: &str| Rewrite::Prefix { from: from.into(), to: to.into() };
    assert_eq!(with("{ strip: /v1 }"), prefix("/v1", "/"));
    assert_eq!(with("{ strip: /v1/x/ }"), prefix("/v1/x", "/"));
    assert_eq!(with("{ replace: { prefix: /v1, with: /api/v2/ } }"), prefix("/v1", "/api/v2"));
    assert_eq!(with("{ replace: { prefix: /, with: /app } }"), prefix("/", "/app"));
}

/// ADV-O2P-05: no way of asking for something may be lost on the way.
#[test]
fn adv_o2p_05_every_key_of_allow_arrives() {
    let needs = |allow: &str| match loads(&base().replace("allow: signed-in", &format!("allow: {{ {allow} }}"))).settings.policy.routes()[0]
        .rules[0]
        .allow
        .clone()
    {
        Requirement::Needs(needs) => needs,
        other => panic!("{other:?}"),
    };
    let texts = |list: &[Box<str>]| list.join(",");
    assert_eq!(texts(&needs("role: a").all_roles), "a");
    assert_eq!(texts(&needs("any_role: [a, b]").any_role), "a,b");
    assert_eq!(texts(&needs("role: c, all_roles: [a, b]").all_roles), "a,b,c");
    assert_eq!(texts(&needs("permission: a, permissions: [b, c]").permissions), "a,b,c");
    assert_eq!(texts(&needs("scope: a, scopes: [b, c]").scopes), "a,b,c");
    assert_eq!(texts(&needs("email_domain: Acme.dev").email_domains), "acme.dev");
    assert_eq!(needs("network: [10.0.0.0/8, 192.168.0.1]").networks.len(), 2);
    let both = needs("public: true, network: 10.0.0.0/8");
    assert!(both.anonymous && both.networks.len() == 1);
    assert!(!needs("network: 10.0.0.0/8").anonymous);
    match needs("claim: { a: 1, b: [true, x] }, claim_contains: { c: 1.5 }").claims.as_slice() {
        [ClaimTest::Equals(a, one), ClaimTest::Equals(b, two), ClaimTest::Contains(c, three)] => {
            assert_eq!((a.as_str(), b.as_str(), c.as_str()), ("a", "b", "c"));
            let values = serde_json::json!([one, two, three]);
            assert_eq!(values, serde_json::json!([[1], [true, "x"], [1.5]]));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn headers_of_a_route_are_added_and_replace_those_of_the_same_name() {
    let text = base()
        .replace("session:", "headers: { X-Auth-User: \"{user}\", X-Auth-Name: \"{name}\" }\nsession:")
        .replace("    rules:", "    headers: { x-auth-user: \"{email}\", X-Org: \"{claim:org}\" }\n    rules:");
    let settings = loads(&text).settings;
    let names: Vec<&str> = settings.policy.routes()[0].headers.names().map(|name| name.as_str()).collect();
    assert_eq!(names, ["x-auth-name", "x-auth-user", "x-org"]);
}

#[test]
fn keys_in_either_alphabet_with_or_without_padding() {
    let bytes: Vec<u8> = (0..32u8).map(|n| n.wrapping_mul(37).wrapping_add(251)).collect();
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
    for key in [STANDARD.encode(&bytes), STANDARD_NO_PAD.encode(&bytes), URL_SAFE.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes) + "\n"] {
        let text = base().replace("{ file: ../examples/secrets/session.key }", "{ env: KEY }");
        let loaded = base::load(&text, &Vars(&[("KEY", &key)])).unwrap();
        assert!(!loaded.settings.session.example_key);
    }
}

#[test]
fn variables_fill_values_and_never_structure() {
    let text = base()
        .replace("client_id: abc", "client_id: \"${ID}\"")
        .replace("  listen:", "  public_port: ${PORT}\n  cores: ${CORES:-2}\n  listen:")
        .replace("    audience:", "    userinfo: ${USERINFO:-true}\n    audience:");
    let loaded = base::load(&text, &Vars(&[("ID", "a-client"), ("PORT", "443")])).unwrap();
    assert_eq!(loaded.settings.providers[0].client_id, "a-client");
    assert_eq!((loaded.settings.server.public_port, loaded.settings.server.cores), (443, Some(2)));
    assert!(loaded.settings.providers[0].userinfo);
    let trick = base().replace("allow: signed-in", "allow: \"${ALLOW}\"");
    let report = base::load(&trick, &Vars(&[("ALLOW", "{ public: true }")])).unwrap_err();
    assert!(!report.to_string().contains("public: true"), "{report}");
}

#[test]
fn secrets_from_the_environment_and_from_systemd() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("auth0"), "s3cret\r\n").unwrap();
    let from = |source: &str| {
        let text = base().replace("{ file: ../examples/secrets/auth0 }", source);
        let vars = [("CREDENTIALS_DIRECTORY", folder.path().to_str().unwrap()), ("SECRET", "s3cret\n")];
        match &base::load(&text, &Vars(&vars)).unwrap().settings.providers[0].client_auth {
            ClientAuth::Post(secret) => secret.expose().clone(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(from("{ env: SECRET }"), "s3cret");
    assert_eq!(from("{ credential: auth0 }"), "s3cret");
    assert_eq!(from("\"${SECRET}\""), "s3cret");
}

#[test]
fn an_alias_stands_for_what_its_anchor_names() {
    let second = "  - { name: second, host: second.acme.dev, upstream: \"http://10.0.0.6:3000\", rules: *common }\n";
    let text = base().replace("rules: [", "rules: &common [") + second;
    let settings = loads(&text).settings;
    assert_eq!(&*settings.policy.routes()[1].rules[0].name, "second/1");
    assert!(matches!(settings.policy.routes()[1].rules[0].allow, Requirement::SignedIn));
}

#[test]
fn the_kind_of_key_decides_how_assertions_are_signed() {
    for (file, expected) in [("secrets/workforce.pem", Algorithm::Rs256), ("tls/acme.key", Algorithm::Es256)] {
        let source = format!("{{ file: ../examples/{file} }}\n    client_auth: private_key_jwt\n    key_id: one");
        let text = base().replace("client_secret: { file: ../examples/secrets/auth0 }", &format!("private_key: {source}"));
        match &loads(&text).settings.providers[0].client_auth {
            ClientAuth::PrivateKeyJwt { algorithm, kid, .. } => assert_eq!((*algorithm, kid.as_deref()), (expected, Some("one"))),
            other => panic!("{other:?}"),
        }
    }
}

const CERTIFICATES: &str = "  tls: { certificates: [{ cert: ../examples/tls/acme.crt, key: ../examples/tls/acme.key }] }\n";

fn hooks(text: &str) -> Hooks {
    loads(text).settings.server.hooks.unwrap()
}

/// The messages of the errors.
fn messages(text: &str) -> Vec<String> {
    fails(text).problems().iter().map(|problem| problem.message.clone()).collect()
}

#[test]
fn hooks_alone_need_no_listener_no_certificate_and_no_upstream() {
    let settings = loads(&hooked("")).settings;
    let server = settings.server;
    assert!(server.listen.is_empty() && server.tls.certificates.is_empty());
    assert_eq!(server.public_port, 443);
    assert_eq!(loads(&hooked("").replace("server:\n", "server:\n  public_port: 8443\n")).settings.server.public_port, 8443);
    assert!(settings.routes[0].upstream.is_none());
    let hooks = server.hooks.unwrap();
    assert_eq!((hooks.listen.as_slice(), hooks.grpc.len()), (["127.0.0.1:9180".parse().unwrap()].as_slice(), 0));
    assert_eq!(hooks.trusted_peers, ["127.0.0.1/32".parse().unwrap()]);
    assert!(!hooks.tls && hooks.secret.is_none() && hooks.client_ca.is_none() && hooks.oauth2_proxy.is_none());
}

#[test]
fn hooks_stand_beside_listeners_and_routes_with_an_app_beside_those_without() {
    let text = base().replace("  tls:", "  hooks: { grpc: [\"127.0.0.1:1\", \"127.0.0.1:2\"], trusted_peers: [10.0.0.0/8] }\n  tls:")
        + "  - { name: asked, host: asked.acme.dev, rules: [{ allow: signed-in }] }\n";
    let settings = loads(&text).settings;
    assert_eq!((settings.server.listen.len(), settings.server.public_port), (1, 8443));
    let hooks = settings.server.hooks.unwrap();
    assert_eq!((hooks.listen.len(), hooks.grpc.len()), (0, 2));
    assert!(settings.routes[0].upstream.is_some() && settings.routes[1].upstream.is_none());
    assert_eq!(settings.routes[1].body_limit, Some(10 << 20));
    assert_eq!(messages(&text.replace(CERTIFICATES, "")), ["`tls` is missing"], "browsers connect");
}

/// A mistake under `hooks` is told, and none is made up from it.
#[test]
fn a_broken_hook_listener_still_excuses_what_is_not_there() {
    assert_eq!(messages(&hooked("").replace("127.0.0.1:9180", "9180")), ["`9180` is no address with a port"]);
    assert_eq!(messages(&hooked(", tls: true, client_ca: nowhere")).len(), 2, "`server.tls`, and the file");
    let without = messages(&hooked("").replace("  hooks: ", "  hook_listener: "));
    assert!(without.contains(&"`listen` is missing".to_owned()) && without.contains(&"`upstream` is missing".to_owned()), "{without:?}");
}

#[test]
fn an_app_behind_another_proxy_is_rewritten_and_limited_there() {
    let app = |more: &str| hooked("").replace("    rules:", &format!("{more}    rules:"));
    let upstream = "    upstream: http://10.0.0.5:3000\n";
    for more in ["    path: /v1\n    rewrite: { strip: /v1 }\n", "    limits: { body: 1MiB }\n", "    limits: { body: 0 }\n"] {
        assert_eq!(messages(&app(more)).len(), 1, "{more}");
        loads(&app(&format!("{upstream}{more}")));
    }
    loads(&app("    limits: {}\n"));
}

#[test]
fn hook_01_a_secret_is_sixteen_visible_signs_or_more() {
    let with = |secret: &str| base::load(&hooked(", secret: { env: SECRET }"), &Vars(&[("SECRET", secret)]));
    for good in ["0123456789abcdef", "0123456789abcdef\n", "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", &"x".repeat(1024)] {
        let server = with(good).unwrap_or_else(|report| panic!("{report}")).settings.server;
        assert_eq!(server.hooks.unwrap().secret.unwrap().expose(), good.trim_end());
    }
    for bad in ["0123456789abcde", "0123456789abcde ", "01234567 89abcdef", "0123456789abcdé", "0123456789\tabcdef", "", &"x".repeat(1025)]
    {
        let report = with(bad).unwrap_err();
        assert_eq!(report.error_count(), 1, "{bad}");
        assert!(bad.is_empty() || !report.to_string().contains(bad), "{report}");
    }
}

#[test]
fn hook_01_a_wide_range_of_peers_must_show_more_than_its_address() {
    let with = |peers: &str, more: &str| {
        let text = hooked(more).replace("[127.0.0.1/32]", &format!("[{peers}]"));
        base::load(&text.replace("server:\n", &format!("server:\n{CERTIFICATES}")), &Vars(&[("SECRET", "0123456789abcdef")]))
    };
    let ca = ", tls: true, client_ca: ../examples/tls/internal-ca.crt";
    for (narrow, wide) in [("10.0.0.0/8", "10.0.0.0/7"), ("\"2001:db8::/32\"", "\"2001:db8::/31\"")] {
        assert!(with(narrow, "").unwrap().warnings.is_empty());
        assert_eq!(with(wide, "").unwrap_err().error_count(), 1);
        assert_eq!(with(wide, ", tls: true").unwrap_err().error_count(), 1, "a certificate of ours proves nothing about them");
        for proof in [", secret: { env: SECRET }", ca] {
            let warnings = with(wide, proof).unwrap().warnings;
            assert_eq!(warnings.problems()[0].severity, Severity::Warning(WarningCode::WideTrust));
        }
    }
    for all in ["0.0.0.0/0", "128.0.0.0/1", "\"::/0\"", "\"::/1\""] {
        assert_eq!(with(all, ", secret: { env: SECRET }").unwrap_err().error_count(), 1, "{all}");
        assert_eq!(with(all, ca).unwrap_err().error_count(), 1, "{all}");
    }
}

#[test]
fn hooks_speak_tls_with_the_certificates_of_the_server() {
    let secured =
        hooked(", tls: true, client_ca: ../examples/tls/internal-ca.crt").replace("server:\n", &format!("server:\n{CERTIFICATES}"));
    let settings = loads(&secured).settings;
    assert_eq!(settings.server.tls.certificates.len(), 1);
    assert!(settings.server.hooks.unwrap().client_ca.unwrap().starts_with(b"-----BEGIN CERTIFICATE-----"));
    assert_eq!(messages(&secured.replace(CERTIFICATES, "")), ["there is no certificate to show"]);
    assert_eq!(messages(&secured.replace("tls: true", "tls: false")), ["without TLS nobody shows a certificate"]);
    assert_eq!(messages(&secured.replace("internal-ca.crt", "acme.key")).len(), 1);
}

#[test]
fn peers_on_the_open_internet_are_worth_a_warning_without_tls() {
    let warned = |listen: &str, peer: &str, more: &str| {
        let text = hooked(more).replace("127.0.0.1:9180", listen).replace("127.0.0.1/32", peer);
        let loaded = loads(&text.replace("server:\n", &format!("server:\n{CERTIFICATES}")));
        loaded.warnings.problems().iter().any(|problem| problem.severity == Severity::Warning(WarningCode::PlainHooks))
    };
    assert!(warned("0.0.0.0:9180", "203.0.113.7", ""));
    assert!(warned("[::]:9180", "\"2001:db8::/48\"", ""));
    assert!(warned("127.0.0.1:9180", "203.0.113.7", ", grpc: \"10.0.0.1:9181\""));
    assert!(!warned("127.0.0.1:9180", "203.0.113.7", ""), "only this machine gets there");
    assert!(!warned("0.0.0.0:9180", "10.0.0.0/8", ""));
    assert!(!warned("0.0.0.0:9180", "203.0.113.7", ", tls: true"));
}

#[test]
fn the_place_of_oauth2_proxy_is_taken_when_that_is_said() {
    let compatible = |more: &str| hooked(&format!(", compatibility: [oauth2-proxy]{more}"));
    assert_eq!(hooks(&compatible("")).oauth2_proxy, Some(OriginalRequest::XOriginal));
    assert_eq!(hooks(&compatible(", original_request: x-original")).oauth2_proxy, Some(OriginalRequest::XOriginal));
    assert_eq!(hooks(&compatible(", original_request: x-forwarded")).oauth2_proxy, Some(OriginalRequest::XForwarded));
    assert_eq!(hooks(&hooked(", compatibility: []")).oauth2_proxy, None);
    assert_eq!(messages(&hooked(", compatibility: [], original_request: x-forwarded")).len(), 1);
    let kept = |text: &str| {
        let settings = loads(text).settings;
        ["preferred_username", "groups"].map(|claim| settings.policy.kept_claims().iter().any(|kept| &**kept == claim))
    };
    assert_eq!(kept(&compatible("")), [true, true]);
    // `preferred_username` is what `identity.username` reads unless it is told another.
    assert_eq!(kept(&hooked("")), [true, false]);
}

#[test]
fn the_callback_of_oauth2_proxy_belongs_to_one_provider() {
    let compatible = hooked(", compatibility: [oauth2-proxy]");
    let aliases = |text: &str| loads(text).settings.providers.iter().map(|provider| provider.callback_aliases.clone()).collect::<Vec<_>>();
    assert_eq!(aliases(&hooked("")), [[""; 0]]);
    // The first is what the provider is told.
    assert_eq!(aliases(&compatible), [["/oauth2/callback"]]);
    let one = |list: &str| compatible.replace("    audience:", &format!("    callback_aliases: [{list}]\n    audience:"));
    assert_eq!(aliases(&one("/tenant/oauth")), [["/tenant/oauth", "/oauth2/callback"]]);
    assert_eq!(aliases(&one("/oauth2/callback, /tenant/oauth")), [["/oauth2/callback", "/tenant/oauth"]]);
    let second = "  second:\n    kind: oidc\n    issuer: https://login.acme.dev\n    client_id: def\n    client_secret: { file: ../examples/secrets/auth0 }\n";
    let two = |text: &str| text.replace("session:", &format!("{second}session:")).replace("    rules:", "    provider: second\n    rules:");
    assert_eq!(messages(&two(&compatible)), ["`/oauth2/callback` is the callback of no provider"]);
    assert_eq!(aliases(&two(&one("/oauth2/callback"))), [vec!["/oauth2/callback"], vec![]]);
    let both = two(&one("/oauth2/callback")).replace("issuer:", "callback_aliases: [/oauth2/callback]\n    issuer:");
    assert_eq!(messages(&both), ["`/oauth2/callback` is an alias already"]);
    // A provider that cannot be read has its callback all the same.
    assert_eq!(messages(&two(&one("/oauth2/callback")).replace("client_id: abc", "client_id: \"a b\"")).len(), 1);
}

#[test]
fn what_is_below_oauth2_is_an_apps_unless_oauth2_proxy_is_stood_in_for() {
    let at = |hooks: &str, path: &str| hooked(hooks).replace("    rules:", &format!("    path: {path}\n    rules:"));
    let compatible = ", compatibility: [oauth2-proxy]";
    for path in ["/oauth2", "/oauth2/x"] {
        loads(&at("", path));
        assert_eq!(messages(&at(compatible, path)).len(), 1, "{path}");
        let prefix = |hooks: &str| hooked(hooks).replace("server:\n", &format!("server:\n  prefix: {path}\n"));
        loads(&prefix(""));
        assert_eq!(messages(&prefix(compatible)).len(), 1, "{path}");
    }
    loads(&at(compatible, "/oauth2x"));
    let alias = |hooks: &str| hooked(hooks).replace("    audience:", "    callback_aliases: [/oauth2/start]\n    audience:");
    loads(&alias(""));
    assert_eq!(messages(&alias(compatible)).len(), 1);
}
