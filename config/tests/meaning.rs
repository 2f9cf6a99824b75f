//! What keys mean, beside what the reference shows; and the twin that passes of mistakes that do not.

#![allow(clippy::unwrap_used)]

mod base;

use base::{Vars, base, fails, loads};
use doorward_config::settings::{AccessTokenType, ClientAuth, Rewrite, UpstreamHost, UpstreamProtocol};
use doorward_policy::access::{ClaimTest, Requirement};
use doorward_policy::credential::Accept;
use doorward_policy::token::Algorithm;

#[test]
fn defaults_are_those_of_the_reference() {
    let settings = loads(&base()).settings;
    assert_eq!(settings.server.public_port, 8443);
    assert_eq!(settings.server.prefix, "/_doorward");
    assert_eq!(settings.server.limits.connections, 10_000);
    assert!(settings.server.hsts.is_none() && settings.server.admin.is_none() && settings.server.trusted_proxies.is_empty());
    assert_eq!(settings.providers[0].access_token_type, AccessTokenType::Either);
    assert_eq!(settings.providers[0].algorithms, [Algorithm::Rs256]);
    assert_eq!(settings.session.idle.as_secs(), 3600);
    assert_eq!(settings.session.lifetime.as_secs(), 12 * 3600);
    assert_eq!(settings.policy.mapping().user.as_str(), "sub");
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
    assert_eq!((route.provider, route.accept), (None, Accept::Session));
}

#[test]
fn upstreams() {
    let with = |upstream: &str| loads(&base().replace("http://10.0.0.5:3000", upstream)).settings.routes[0].upstream.clone();
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
        loads(&text).settings.routes[0].upstream.rewrite.clone()
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
