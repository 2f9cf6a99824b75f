#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use doorward_config::settings::Settings;

use super::names::all_but;
use super::syntax::{Syntax, comment, literal, token};
use super::{Host, Options, SnippetFault, print};

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

const SECRET: &str = "correct-horse-battery-staple";

/// Two hosts, three routes on one of them, and nearly everything that a route can have.
const SAMPLE: &str = r#"
version: 1
server:
  public_port: 8443
  hsts: { max_age: 365d }
  tls: { certificates: [{ cert: "EXAMPLES/tls/acme.crt", key: "EXAMPLES/tls/acme.key" }] }
  hooks:
    listen: 127.0.0.1:9180
    trusted_peers: [127.0.0.1/32]
    secret: { file: secret }
providers:
  auth0:
    kind: auth0
    domain: acme.eu.auth0.com
    client_id: client
    client_secret: { file: "EXAMPLES/secrets/auth0" }
    audience: https://api.acme.dev
    callback_aliases: [/tenant/oauth]
session: { keys: [{ file: "EXAMPLES/secrets/session.key" }] }
headers: { X-Auth-User: "{user}", X-Tenant: "{claim:org_id}" }
routes:
  - name: cms
    host: cms.acme.dev
    upstream: http://10.0.0.5:3001
    rules: [{ allow: signed-in }]
  - name: api
    host: [cms.acme.dev, api.acme.dev]
    path: /v1
    upstream: { servers: ["10.0.0.6:3002", "10.0.0.7:3002"], health: { path: /healthz }, host: internal.example }
    accept: bearer
    pass_token: true
    headers: { X-Scopes: "{scope}" }
    rules: [{ allow: signed-in }]
  - name: api-v2
    host: cms.acme.dev
    path: /v1/v2
    upstream: https://10.0.0.8:8443
    rules: [{ allow: signed-in }]
  - name: iot
    host: ["*.iot.acme.dev"]
    upstream: { servers: ["10.0.0.9:3004"], protocol: h2c }
    keep_headers: [x_device_id]
    limits: { body: 0 }
    rules: [{ allow: public }]
"#;

/// Nothing but what must be there.
const BARE: &str = r#"
version: 1
server: { hooks: { listen: "0.0.0.0:9180", trusted_peers: [10.1.0.7] } }
providers: { auth0: { kind: auth0, domain: acme.eu.auth0.com, client_id: client, client_secret: { file: "EXAMPLES/secrets/auth0" } } }
session: { keys: [{ file: "EXAMPLES/secrets/session.key" }] }
routes: [{ name: cms, host: cms.acme.dev, rules: [{ allow: signed-in }] }]
"#;

fn settings(text: &str) -> Settings {
    let folder = tempfile::tempdir().unwrap();
    let examples = repository("config/examples").canonicalize().unwrap();
    std::fs::write(folder.path().join("secret"), SECRET).unwrap();
    let file = folder.path().join("doorward.yaml");
    std::fs::write(&file, text.replace("EXAMPLES", examples.to_str().unwrap())).unwrap();
    doorward_config::load(&file).unwrap_or_else(|report| panic!("{report}")).settings
}

fn options() -> Options {
    Options { source: "doorward.yaml".into(), ..Options::default() }
}

fn printed(host: Host, text: &str) -> String {
    print(host, &settings(text), &options()).unwrap_or_else(|fault| panic!("{host:?}: {fault}"))
}

/// Everything but comments, which tell and do nothing.
fn says(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim_start().starts_with('#'))
}

#[test]
fn hook_06_every_host_is_told_every_mapped_name_and_host_and_app() {
    for host in Host::ALL {
        let text = printed(*host, SAMPLE).to_ascii_lowercase();
        let lines: Vec<&str> = says(&text).collect();
        for name in ["x-auth-user", "x-tenant", "x-scopes", "cookie", "authorization"] {
            // HAProxy's Lua brings its own cookie and authorization.
            let lua = *host == Host::Haproxy && super::LUA.contains(&format!("\"{name}\""));
            assert!(lua || lines.iter().any(|line| line.contains(name)), "{host:?}: {name}");
        }
        for route in ["cms", "api", "api-v2", "iot"] {
            assert!(lines.iter().any(|line| line.contains(route)), "{host:?}: {route}");
        }
        if *host != Host::Haproxy {
            for name in ["cms.acme.dev", "api.acme.dev", "iot.acme.dev"] {
                assert!(lines.iter().any(|line| line.contains(name)), "{host:?}: {name}");
            }
        }
    }
}

#[test]
fn hdr_01_every_host_that_removes_by_itself_removes_families_and_odd_names() {
    for (host, proofs) in [
        (Host::Haproxy, &["del-header remote- -m beg", "|x-http-method-override|"][..]),
        (
            Host::Caddy,
            &["request_header -Remote-*", "request_header \"-*_*\"", "request_header \"-*.*\"", "request_header -X-HTTP-Method-Override"],
        ),
        (Host::Traefik, &["remote-.*", "aliasHeadersStrategy: delete", "x-http-method-override|"]),
        (Host::Envoy, &["prefix: remote-", "prefix: x-envoy-", "[^a-z0-9-]", "remove: x-http-method-override"]),
        (
            Host::Nginx,
            &["proxy_set_header Remote-User \"\";", "underscores_in_headers off;", "proxy_set_header X-HTTP-Method-Override \"\";"],
        ),
        (Host::IngressNginx, &["Remote-User,", "X-HTTP-Method-Override,"]),
    ] {
        let text = printed(host, SAMPLE);
        for proof in proofs {
            assert!(text.contains(proof), "{host:?}: {proof}");
        }
    }
}

#[test]
fn log_01_no_host_is_told_the_secret_itself() {
    for host in Host::ALL {
        let text = printed(*host, SAMPLE);
        assert!(!text.contains(SECRET), "{host:?}");
        // But each says that there is one.
        assert!(text.to_ascii_lowercase().contains("secret"), "{host:?}");
    }
}

#[test]
fn what_the_configuration_does_not_say_is_marked() {
    let guesses = ["/etc/ssl/doorward/", "127.0.0.1:3000", "127.0.0.1:9180", "port_value: 3000", "port_value: 9180", " SECRET"];
    let more = "server: { hooks: { listen: \"0.0.0.0:9180\", trusted_peers: [10.1.0.7], secret: { file: secret } } }";
    let bare = BARE.replace("server: { hooks: { listen: \"0.0.0.0:9180\", trusted_peers: [10.1.0.7] } }", more);
    for host in Host::ALL {
        for line in says(&printed(*host, &bare)).filter(|line| guesses.iter().any(|guess| line.contains(guess))) {
            // Once for each address and file; what names them again within a line of theirs needs no second mark.
            assert!(line.contains("placeholder"), "{host:?}: {line}");
        }
    }
    // Its twin says all of it.
    for host in [Host::Nginx, Host::Caddy, Host::Haproxy, Host::Traefik] {
        let said = SAMPLE.replace("    secret: { file: secret }\n", "").replace("https://10.0.0.8", "http://10.0.0.8");
        let text = printed(host, &said);
        assert!(says(&text).all(|line| !line.contains("placeholder")), "{host:?}: {text}");
    }
}

#[test]
fn every_text_says_what_it_is_and_from_what_it_was_made() {
    for host in Host::ALL {
        let text = printed(*host, SAMPLE);
        let head: Vec<&str> = text.lines().take_while(|line| line.starts_with('#')).collect();
        assert!(head.len() >= 3 && head.iter().any(|line| line.contains("from doorward.yaml")), "{host:?}: {head:?}");
        assert!(head.iter().any(|line| line.starts_with("# Where: ")), "{host:?}: {head:?}");
        assert!(!text.contains("{{") || *host == Host::Traefik, "{host:?}");
        assert!(text.ends_with('\n') && !text.contains("\n\n\n"), "{host:?}");
    }
}

#[test]
fn hook_01_the_check_is_not_served_from_outside() {
    for (host, proof) in [
        (Host::Nginx, "location ^~ /_doorward/check {\n        return 404;"),
        (Host::Caddy, "@doorward_check path /_doorward/check*\n\t\trespond @doorward_check 404"),
        (Host::Haproxy, "acl doorward_check path_beg /_doorward/check\n"),
        (Host::Traefik, "&& !PathPrefix(`/_doorward/check`)"),
        (Host::Envoy, "- match: { prefix: /_doorward/check }\n                          direct_response: { status: 404 }"),
    ] {
        let text = printed(host, SAMPLE);
        assert!(text.contains(proof), "{host:?}: {text}");
    }
    // Those that route by name have no way there.
    for host in [Host::IngressNginx, Host::GatewayApi] {
        let text = printed(host, SAMPLE);
        assert!(!says(&text).any(|line| line.contains("path: /_doorward/check ") || line.contains("value: /_doorward/check")), "{host:?}");
        assert!(!says(&text).any(|line| line.trim_end().ends_with("path: /_doorward")), "{host:?}");
    }
}

#[test]
fn adv_ngx_04_the_nginx_text_has_none_of_the_classic_mistakes() {
    let text = printed(Host::Nginx, SAMPLE);
    for proof in [
        "satisfy all;",
        "merge_slashes on;",
        "proxy_pass_request_body off;",
        "proxy_set_header Content-Length \"\";",
        "internal;",
        "proxy_cache off;",
        "proxy_intercept_errors off;",
        "error_page 401 403 = @doorward_refusal;",
        "proxy_set_header X-Original-Method $request_method;",
        "auth_request_set $doorward_h_x_tenant $upstream_http_x_tenant;",
        "proxy_set_header X-Tenant $doorward_h_x_tenant;",
    ] {
        assert!(text.contains(proof), "{proof}");
    }
    // `Host` can be another than the one that nginx goes by, and `$uri` is not what came.
    for mistake in ["$http_host", "$uri", "=200", "proxy_pass http://doorward_app", "location ~ \\."] {
        assert!(!says(&text).any(|line| line.contains(mistake)), "{mistake}");
    }
    // Everything is asked about unless a location says otherwise, and only our own do.
    let open = text.matches("auth_request off;").count();
    let ours = text.matches("proxy_pass http://doorward_hooks").count();
    assert_eq!(open, ours);
}

#[test]
fn path_29_routes_are_whole_segments_and_the_longest_comes_first() {
    let text = printed(Host::Nginx, SAMPLE);
    let (long, short) = (text.find("\"^/v1/v2(/|\\\\z)\"").unwrap(), text.find("\"^/v1(/|\\\\z)\"").unwrap());
    assert!(long < short && short < text.find("location / {").unwrap());
    // A route that nginx finds and Doorward does not is none.
    assert!(text.contains("\"api-v2 api-v2\" doorward_app_api-v2;") && text.contains("default doorward_nowhere;"));
    // The others leave the choice to Doorward.
    for (host, proof) in [
        (Host::Haproxy, "use_backend doorward_app_api-v2 if { var(txn.doorward_route) -m str api-v2 }"),
        (Host::Caddy, "@doorward_app_api-v2 vars doorward_route api-v2"),
        (Host::Traefik, "Header(`X-Doorward-Route`, `api-v2`)"),
        (Host::Envoy, "value: { string_match: { exact: api-v2 } }"),
    ] {
        assert!(printed(host, SAMPLE).contains(proof), "{host:?}");
    }
}

#[test]
fn a_body_has_the_limit_of_its_route() {
    let text = printed(Host::Nginx, SAMPLE);
    assert!(text.contains("client_max_body_size 10485760;") && text.contains("client_max_body_size 0;"));
    let text = printed(Host::Caddy, SAMPLE);
    assert_eq!(text.matches("max_size 10485760").count(), 3);
}

#[test]
fn hooks_with_tls_are_asked_with_tls() {
    let tls = SAMPLE.replace("    secret: { file: secret }", "    tls: true");
    let both = tls.replace("    tls: true", "    tls: true\n    client_ca: \"EXAMPLES/tls/internal-ca.crt\"");
    for (host, secure, plain) in [
        (Host::Nginx, "proxy_pass https://doorward_hooks;", "proxy_pass http://doorward_hooks;"),
        (Host::Caddy, "reverse_proxy https://127.0.0.1:9180", "reverse_proxy http://127.0.0.1:9180"),
        (Host::Haproxy, "setenv DOORWARD_CHECK https://", "setenv DOORWARD_CHECK http://"),
        (Host::Traefik, "https://127.0.0.1:9180", "http://127.0.0.1:9180"),
        (Host::Envoy, "uri: https://127.0.0.1:9180", "uri: http://127.0.0.1:9180"),
    ] {
        let text = printed(host, &tls);
        assert!(text.contains(secure) && !text.contains(plain) && text.contains("hooks-ca.crt"), "{host:?}");
        let text = printed(host, SAMPLE);
        assert!(text.contains(plain) && !text.contains(secure) && !text.contains("hooks-ca.crt"), "{host:?}");
        match (host, print(host, &settings(&both), &options())) {
            (Host::Haproxy, answer) => assert_eq!(answer, Err(SnippetFault::NoClientCertificate)),
            (_, answer) => assert!(answer.unwrap().contains("hooks-client.crt"), "{host:?}"),
        }
    }
}

#[test]
fn envoy_asks_over_grpc_where_it_can() {
    let grpc = SAMPLE.replace("    secret: { file: secret }", "    grpc: 127.0.0.1:9181");
    let text = printed(Host::Envoy, &grpc);
    assert!(text.contains("grpc_service:") && !text.contains("http_service:") && text.contains("port_value: 9181"));
    assert!(text.contains("failure_mode_allow: false"));
    let text = printed(Host::Envoy, SAMPLE);
    assert!(text.contains("http_service:") && !text.contains("grpc_service:"));
}

#[test]
fn what_oauth2_proxy_served_is_served_where_that_was_wanted() {
    let wanted = SAMPLE.replace("    secret: { file: secret }", "    compatibility: [oauth2-proxy]");
    for (host, proof) in [
        (Host::Nginx, "location ^~ /oauth2/ {"),
        (Host::Caddy, "/oauth2/*"),
        (Host::Haproxy, "^/oauth2(/"),
        (Host::Traefik, "PathPrefix(`/oauth2/`)"),
        (Host::Envoy, "/oauth2(?:/"),
        (Host::IngressNginx, "/oauth2/start?rd=$escaped_request_uri"),
        (Host::GatewayApi, "value: /oauth2/callback"),
    ] {
        assert!(printed(host, &wanted).contains(proof), "{host:?}");
        assert!(!printed(host, SAMPLE).contains("/oauth2/"), "{host:?}");
    }
}

#[test]
fn what_cannot_be_printed_is_said() {
    let fault = |host: Host, text: &str, options: &Options| print(host, &settings(text), options).unwrap_err();
    let edge = SAMPLE.replace(
        "  hooks:\n    listen: 127.0.0.1:9180\n    trusted_peers: [127.0.0.1/32]\n    secret: { file: secret }\n",
        "  listen: [\"127.0.0.1:8443\"]\n",
    );
    assert_eq!(fault(Host::Nginx, &edge, &options()), SnippetFault::NoHooks);
    let grpc = SAMPLE.replace("    listen: 127.0.0.1:9180", "    grpc: 127.0.0.1:9181");
    assert_eq!(fault(Host::Envoy, &grpc, &options()), SnippetFault::NoListener);
    for wrong in ["doorward", "http://doorward:9180", "door ward:9180", "doorward:0", ""] {
        let options = Options { doorward: Some(wrong.into()), ..options() };
        assert_eq!(fault(Host::Nginx, SAMPLE, &options), SnippetFault::Address(wrong.into()), "{wrong}");
    }
    let stripped = SAMPLE.replace("    path: /v1\n", "    path: /v1\n    rewrite: { strip: /v1 }\n");
    assert_eq!(fault(Host::IngressNginx, &stripped, &options()), SnippetFault::RewriteByRegex("api".into()));
    assert!(printed(Host::Nginx, &stripped).contains("rewrite \"^/v1(/.*)\\\\z\" \"$1\" break;"));
    let dollar = SAMPLE.replace("/tenant/oauth", "/tenant/$host");
    assert!(matches!(fault(Host::Nginx, &dollar, &options()), SnippetFault::Unwritable(text) if text.contains('$')));
    assert!(printed(Host::Envoy, &dollar).contains("path: \"/tenant/$host\""));
}

#[test]
fn where_it_listens_and_where_it_asks_can_be_said() {
    let options = Options { doorward: Some("doorward.internal:9000".into()), listen: Some("127.0.0.1".parse().unwrap()), ..options() };
    for (host, listens) in [
        (Host::Nginx, "listen 127.0.0.1:8443 ssl"),
        (Host::Caddy, "bind 127.0.0.1"),
        (Host::Haproxy, "bind 127.0.0.1:8443 ssl"),
        (Host::Envoy, "address: \"127.0.0.1\", port_value: 8443"),
    ] {
        let text = print(host, &settings(SAMPLE), &options).unwrap();
        assert!(text.contains(listens), "{host:?}: {text}");
        assert!(text.contains("doorward.internal") && text.contains("9000") && !text.contains("9180"), "{host:?}");
    }
}

#[test]
fn addresses_of_ipv6_have_brackets_where_a_port_follows() {
    let six = SAMPLE.replace("127.0.0.1:9180", "\"[::1]:9180\"").replace("http://10.0.0.5:3001", "http://[2001:db8::5]:3001");
    for (host, asked, app) in [
        (Host::Nginx, "server \"[::1]:9180\";", "server \"[2001:db8::5]:3001\";"),
        (Host::Caddy, "reverse_proxy http://[::1]:9180 {", "reverse_proxy http://[2001:db8::5]:3001 {"),
        (Host::Haproxy, "http://[::1]:9180/", "\"[2001:db8::5]:3001\""),
        (Host::Traefik, "http://[::1]:9180/", "http://[2001:db8::5]:3001"),
        (Host::Envoy, "address: \"::1\", port_value: 9180", "address: \"2001:db8::5\", port_value: 3001"),
    ] {
        let text = printed(host, &six);
        assert!(text.contains(asked) && text.contains(app), "{host:?}: {text}");
    }
}

#[test]
fn adv_ngx_03_a_value_stays_one_value() {
    for (syntax, text, expected) in [
        (Syntax::Nginx, "/etc/tls/a.crt", Ok("/etc/tls/a.crt")),
        (Syntax::Nginx, "*.acme.dev", Ok("*.acme.dev")),
        (Syntax::Nginx, "a b", Ok("\"a b\"")),
        (Syntax::Nginx, "a\"; return 200; #", Ok("\"a\\\"; return 200; #\"")),
        (Syntax::Nginx, "a\\", Ok("\"a\\\\\"")),
        (Syntax::Nginx, "a}\u{20}location", Ok("\"a} location\"")),
        (Syntax::Nginx, "$host", Err(())),
        (Syntax::Nginx, "a\nb", Err(())),
        (Syntax::Nginx, "", Ok("\"\"")),
        (Syntax::Caddy, "a b", Ok("\"a b\"")),
        (Syntax::Caddy, "a\" {", Err(())),
        (Syntax::Caddy, "a\"b", Ok("\"a\\\"b\"")),
        (Syntax::Caddy, "{env.HOME}", Err(())),
        (Syntax::Caddy, "{$HOME}", Err(())),
        (Syntax::Caddy, "a\\", Err(())),
        (Syntax::Caddy, "a\tb", Err(())),
        (Syntax::Haproxy, "a b", Ok("\"a b\"")),
        (Syntax::Haproxy, "a\" $HOME #", Ok("\"a\\\" \\$HOME #\"")),
        (Syntax::Haproxy, "%[src]", Err(())),
        (Syntax::Haproxy, "a\r\nb", Err(())),
        (Syntax::Yaml, "acme", Ok("acme")),
        (Syntax::Yaml, "true", Ok("\"true\"")),
        (Syntax::Yaml, "No", Ok("\"No\"")),
        (Syntax::Yaml, "8443", Ok("\"8443\"")),
        (Syntax::Yaml, "a: b", Ok("\"a: b\"")),
        (Syntax::Yaml, "a\" #", Ok("\"a\\\" #\"")),
        (Syntax::Yaml, "[a]", Ok("\"[a]\"")),
        (Syntax::Yaml, "a\nb", Err(())),
        (Syntax::Yaml, "", Ok("\"\"")),
    ] {
        assert_eq!(
            token(syntax, text).map_err(|_| ()).as_deref(),
            expected.as_ref().copied().map_err(|_| &()).map_err(|()| &()),
            "{syntax:?} {text:?}"
        );
    }
    assert_eq!(comment("a\nb\u{2028}c\u{85}"), "a?b?c?");
    assert_eq!(literal("/a.b/c(d)$"), "/a[.]b/c\\x28d\\x29\\x24");
}

#[test]
fn adv_ngx_03_a_hostile_path_of_a_certificate_does_not_leave_its_quotes() {
    let folder = tempfile::tempdir().unwrap();
    let nasty = folder.path().join("a\"; } server { listen 1; #'\\");
    std::fs::create_dir(&nasty).unwrap();
    for name in ["acme.crt", "acme.key"] {
        std::fs::copy(repository("config/examples/tls").join(name), nasty.join(name)).unwrap();
    }
    let mut settings = settings(SAMPLE);
    for files in &mut settings.server.tls.certificates {
        (files.cert, files.key) = (nasty.join("acme.crt"), nasty.join("acme.key"));
    }
    let text = print(Host::Nginx, &settings, &options()).unwrap();
    assert!(text.contains("a\\\"; } server { listen 1; #'\\\\/acme.crt\";"), "{text}");
    assert!(matches!(print(Host::Caddy, &settings, &options()), Err(SnippetFault::Unwritable(_))));
    let text = print(Host::Envoy, &settings, &options()).unwrap();
    assert!(text.contains("a\\\"; } server { listen 1; #'\\\\/acme.crt\" }"), "{text}");
}

#[test]
fn all_but_some_words() {
    assert_eq!(all_but(&["a"]), "(?:[^a].*|a.+)?");
    assert_eq!(
        all_but(&["for", "proto"]),
        "(?:[^fp].*|f(?:[^o].*|o(?:[^r].*|r.+)?)?|p(?:[^r].*|r(?:[^o].*|o(?:[^t].*|t(?:[^o].*|o.+)?)?)?)?)?"
    );
}

#[test]
fn what_deploy_has_is_what_is_printed() {
    for (host, folder, file) in [
        (Host::Traefik, "deploy/compose/traefik", "dynamic.yaml"),
        (Host::Nginx, "deploy/compose/nginx", "nginx.conf"),
        (Host::Caddy, "deploy/compose/caddy", "Caddyfile"),
    ] {
        let folder = repository(folder);
        let settings = doorward_config::load(&folder.join("doorward.yaml")).unwrap_or_else(|report| panic!("{report}")).settings;
        let options = Options { doorward: Some("doorward:9180".into()), ..options() };
        let text = print(host, &settings, &options).unwrap();
        let shipped = std::fs::read_to_string(folder.join(file)).unwrap();
        let name = folder.join(file);
        let differs = text.lines().zip(shipped.lines()).position(|(new, old)| new != old);
        assert!(
            text == shipped,
            "{} differs from line {:?} on; print it again, as deploy/compose/README.md says",
            name.display(),
            differs.map(|at| at + 1)
        );
        assert!(settings.session.example_key, "`serve` must refuse the key that everybody has");
    }
}
