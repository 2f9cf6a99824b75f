//! Host, path and method over the wire, in HTTP/1.1 and HTTP/2: what could be read in two ways is refused, and of the
//! rest the app gets the very string that the rule was chosen by.

use doorward_tests::client::{Browser, Raw, tls};
use doorward_tests::scene::{API, APP, Plan, Scene};
use rustls::pki_types::ServerName;

use crate::frames::{Frames, Outcome, fields};

/// What the rules make of a path, whoever reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Open,
    Admin,
    SignedIn,
}
use Place::{Admin, Open, SignedIn};

const H1: &str = "HTTP/1.1";
const H2: &str = "HTTP/2";

/// The `Cookie` field of a browser.
fn cookie_of(browser: &Browser) -> String {
    browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
}

/// A request with any bytes for a target; status (0: no answer) and whether a cookie was set.
async fn h1(scene: &Scene, method: &[u8], target: &[u8], cookie: &str) -> (u16, bool) {
    let mut raw = scene.raw(APP).await;
    let cookie = if cookie.is_empty() { String::new() } else { format!("cookie: {cookie}\r\n") };
    raw.send(&[method, b" ", target, b" HTTP/1.1\r\nhost: app.localhost\r\n", cookie.as_bytes(), b"\r\n"].concat()).await;
    raw.answer().await.map_or((0, false), |answer| (answer.status, answer.field("set-cookie").is_some()))
}

async fn h2(scene: &Scene, method: &[u8], target: &[u8], cookie: &str) -> (u16, bool) {
    let mut frames = Frames::connect(scene.address(), &scene.ca, APP).await;
    let mut request: Vec<(&[u8], &[u8])> =
        vec![(b":method", method), (b":scheme", b"https"), (b":authority", b"app.localhost"), (b":path", target)];
    if !cookie.is_empty() {
        request.push((b"cookie", cookie.as_bytes()));
    }
    let outcome = frames.ask(&request).await;
    (outcome.status(), outcome.sets_cookie())
}

async fn ask(scene: &Scene, protocol: &str, method: &[u8], target: &[u8], cookie: &str) -> (u16, bool) {
    if protocol == H1 { h1(scene, method, target, cookie).await } else { h2(scene, method, target, cookie).await }
}

#[tokio::test]
async fn path_01_to_52_what_could_be_read_in_two_ways_is_refused_even_to_an_admin() {
    let scene = Scene::start().await;
    let admin = cookie_of(&scene.signed_in(APP, "ada").await);
    let rows: &[(&str, &[u8])] = &[
        ("up", b"/public/../admin"),
        ("here, up", b"/public/./../admin"),
        ("up from admin", b"/admin/../public"),
        ("up from the root", b"/.."),
        ("up at the end", b"/public/.."),
        ("here", b"/./admin"),
        ("here at the end", b"/public/."),
        ("escaped up", b"/public/%2e%2e/admin"),
        ("escaped up, capitals", b"/public/%2E%2E/admin"),
        ("half escaped up", b"/public/.%2e/admin"),
        ("the other half", b"/public/%2e./admin"),
        ("escaped here", b"/%2e/admin"),
        ("escaped twice", b"/public/%252e%252e/admin"),
        ("escaped three times", b"/public/%25252e%25252e/admin"),
        ("overlong dots", b"/public/%c0%ae%c0%ae/"),
        ("up and NUL", b"/public/..%00/"),
        ("up and an escaped slash", b"/public/..%2fadmin"),
        ("two escaped slashes", b"/public%2f..%2fadmin"),
        ("all escaped", b"/public/%2e%2e%2fadmin"),
        ("escaped slash", b"/admin%2fx"),
        ("escaped slash, capitals", b"/admin%2Fx"),
        ("escaped backslash", b"/public/..%5cadmin"),
        ("backslash", b"/public\\..\\admin"),
        ("two slashes", b"//admin"),
        ("two slashes, up", b"/public//../admin"),
        ("three slashes", b"///"),
        ("two slashes inside", b"/admin//x"),
        ("two slashes at the end", b"/admin//"),
        ("an escaped slash as a segment", b"/public/%2f/admin"),
        ("it first", b"/%2f/admin"),
        ("escaped tab", b"/admin%09"),
        ("quotation mark and fragment", b"/public/\"#x"),
        ("escaped question mark, up", b"/public/%3f/../admin"),
        ("up with a parameter", b"/public/..;/admin"),
        ("up with a named parameter", b"/public/..;x=1/admin"),
        ("up with an escaped parameter", b"/public/..%3b/admin"),
        ("here with a parameter", b"/.;/admin"),
        ("a parameter, up", b"/public;/../admin"),
        ("two rules by parameter", b"/public;/admin"),
        ("two rules, the empty segment", b"/;x/admin"),
        ("two rules, no parameter value", b"/admin;x=1/y"),
        ("escaped parameter", b"/admin%3bx"),
        ("NUL", b"/admin%00"),
        ("NUL, up", b"/public%00/../admin"),
        ("CR LF", b"/public/%0d%0a"),
        ("DEL", b"/public/%7f"),
        ("unit separator", b"/public/%1f"),
        ("overlong slash", b"/public/%c0%af"),
        ("no UTF-8", b"/public/adm%ffin"),
        ("half a letter", b"/public/%e2%9c"),
        ("a surrogate", b"/public/%ed%a0%80"),
        ("percent u", b"/%u0061dmin"),
        ("percent", b"/public/%"),
        ("no hex", b"/public/%zz"),
        ("half an escape", b"/public/%4"),
        ("a raw byte", b"/public/adm\xffin"),
        ("an overlong raw slash", b"/\xc0\xafadmin"),
        ("fullwidth letters", "/\u{ff41}dmin".as_bytes()),
        ("quotation mark", b"/public/a\"b"),
        ("angle bracket", b"/public/a<b"),
        ("angle bracket in the query", b"/public/?a>b"),
        ("raw byte in the query", b"/public/?a=\xff"),
        ("no slash", b"admin"),
        ("a question mark first", b"?x"),
    ];
    for (name, target) in rows {
        for protocol in [H1, H2] {
            for (who, cookie) in [("nobody", ""), ("an admin", admin.as_str())] {
                let (status, cookie_set) = ask(&scene, protocol, b"GET", target, cookie).await;
                assert!(matches!(status, 400 | 0 if protocol == H2 || status == 400), "{name} by {who} in {protocol}: {status}");
                assert!(!cookie_set, "{name} by {who} in {protocol}");
            }
        }
    }
    assert_eq!(scene.app.bytes(), 0);
    // The twin: the same admin, a path that reads in one way.
    for protocol in [H1, H2] {
        assert_eq!(ask(&scene, protocol, b"GET", b"/admin/x", &admin).await.0, 200, "{protocol}");
    }
}

#[tokio::test]
async fn path_15_29_35_40_same_the_app_gets_the_string_that_the_rule_was_chosen_by() {
    let scene = Scene::start().await;
    let admin = cookie_of(&scene.signed_in(APP, "ada").await);
    let viewer = cookie_of(&scene.signed_in(APP, "vera").await);
    let rows = [
        ("root", "/", "/", Open),
        ("root with a query", "/?/admin", "/?/admin", Open),
        ("plain", "/public/x", "/public/x", Open),
        ("the folder", "/public", "/public", Open),
        ("the folder and a slash", "/public/", "/public/", Open),
        ("dots that are no segment", "/public/..x/.y/z...", "/public/..x/.y/z...", Open),
        ("escaped letters", "/%70ublic/%61", "/public/a", Open),
        ("escapes in capitals", "/public/%e2%9c%93", "/public/%E2%9C%93", Open),
        ("composed", "/public/%C3%A9", "/public/%C3%A9", Open),
        ("decomposed", "/public/e%CC%81", "/public/e%CC%81", Open),
        ("emoji", "/public/%F0%9F%98%80", "/public/%F0%9F%98%80", Open),
        ("per cent sign", "/public/100%25", "/public/100%25", Open),
        ("space", "/public/a%20b", "/public/a%20b", Open),
        ("sub-delimiters", "/public/a!$&'()*+,=:@b", "/public/a!$&'()*+,=:@b", Open),
        ("a parameter", "/public/a;b=c", "/public/a;b=c", Open),
        ("query like a path", "/public?/../admin", "/public?/../admin", Open),
        ("query with escapes as they came", "/public?a=%2e%2E&b=%zz", "/public?a=%2e%2E&b=%zz", Open),
        ("empty query", "/public?", "/public?", Open),
        ("admin", "/admin", "/admin", Admin),
        ("admin and a slash", "/admin/", "/admin/", Admin),
        ("admin with an escaped letter", "/%61dmin", "/admin", Admin),
        ("admin with another", "/adm%69n/x", "/admin/x", Admin),
        ("admin with a query", "/admin?x", "/admin?x", Admin),
        ("admin with a query like public", "/admin?/public/", "/admin?/public/", Admin),
        ("admin, an opaque number sign", "/admin/%23x", "/admin/%23x", Admin),
        ("admin, an opaque question mark", "/admin/%3fx", "/admin/%3Fx", Admin),
        ("admin, a parameter below", "/admin/x;y=z", "/admin/x;y=z", Admin),
        ("admin below", "/admin/%20", "/admin/%20", Admin),
        ("not admin: a longer name", "/administrator", "/administrator", SignedIn),
        ("not admin: capitals", "/ADMIN", "/ADMIN", SignedIn),
        ("not admin: a dot", "/admin.", "/admin.", SignedIn),
        ("not admin: a space", "/admin%20", "/admin%20", SignedIn),
        ("not admin: a number sign", "/admin%23x", "/admin%23x", SignedIn),
        ("not admin: fullwidth", "/%ef%bd%81dmin", "/%EF%BD%81dmin", SignedIn),
        ("not admin: a fullwidth slash", "/admin%ef%bc%8fx", "/admin%EF%BC%8Fx", SignedIn),
    ];
    for (name, raw, clean, place) in rows {
        for protocol in [H1, H2] {
            for (who, cookie, expected) in [
                ("nobody", "", if place == Open { 200 } else { 401 }),
                ("a viewer", viewer.as_str(), if place == Admin { 403 } else { 200 }),
                ("an admin", admin.as_str(), 200),
            ] {
                scene.app.forget();
                let (status, cookie_set) = ask(&scene, protocol, b"GET", raw.as_bytes(), cookie).await;
                assert_eq!(status, expected, "{name} by {who} in {protocol}");
                assert!(!cookie_set, "{name} by {who} in {protocol}");
                match status {
                    200 => assert_eq!(scene.app.last().target(), clean, "{name} by {who} in {protocol}"),
                    _ => assert_eq!(scene.app.bytes(), 0, "{name} by {who} in {protocol}"),
                }
            }
        }
    }
}

#[tokio::test]
async fn path_40_a_parameter_that_would_lead_to_another_rule_is_refused() {
    let scene = Scene::start().await;
    let admin = cookie_of(&scene.signed_in(APP, "ada").await);
    for (target, expected) in [
        ("/admin;x=1", 400),
        ("/admin;/x", 400),
        ("/;x/admin", 400),
        ("/admin%3Bx", 400),
        // Both readings lead to one rule: nothing is confused, and the app gets it as it came.
        ("/admin/;x=1", 200),
        ("/admin/x;y", 200),
        ("/a;b=c/admin", 200),
        ("/public/%3B/admin", 200),
        ("/public/;x", 200),
    ] {
        for protocol in [H1, H2] {
            scene.app.forget();
            assert_eq!(ask(&scene, protocol, b"GET", target.as_bytes(), &admin).await.0, expected, "{target} in {protocol}");
            match expected {
                200 => assert_eq!(scene.app.last().target(), target, "{target} in {protocol}"),
                _ => assert_eq!(scene.app.bytes(), 0, "{target} in {protocol}"),
            }
        }
    }
}

#[tokio::test]
async fn path_53_to_56_long_paths_and_queries_end_at_a_limit() {
    let scene = Scene::start().await;
    let path = |length: usize| format!("/public/{}", "a".repeat(length - 8));
    let query = |length: usize| format!("/public?{}", "q".repeat(length));
    let rows = [
        ("8 KiB of path", path(8192), 200),
        ("a byte more", path(8193), 414),
        ("4000 segments", format!("/public{}", "/a".repeat(4000)), 200),
        ("10000 segments", format!("/public{}", "/a".repeat(10_000)), 414),
        ("2000 escaped dots", format!("/public/x{}", "%2e".repeat(2000)), 200),
        ("10000 escaped dots", format!("/public/x{}", "%2e".repeat(10_000)), 414),
        ("15 KiB of query", query(15 * 1024), 200),
        ("17 KiB of query", query(17 * 1024), 414),
    ];
    for (name, target, expected) in rows {
        for protocol in [H1, H2] {
            scene.app.forget();
            assert_eq!(ask(&scene, protocol, b"GET", target.as_bytes(), "").await.0, expected, "{name} in {protocol}");
            assert_eq!(scene.app.bytes() > 0, expected == 200, "{name} in {protocol}");
        }
    }
}

const REWRITTEN: &str = r#"
  - name: app
    host: app.localhost
    upstream: UPSTREAM
    rules:
      - { path: /private, allow: signed-in }
      - { allow: public }
  - name: stripped
    host: app.localhost
    path: /api
    rewrite: { strip: /api }
    upstream: UPSTREAM
    rules:
      - { path: "/api/public/**", allow: public }
      - { path: "/api/admin/**", allow: { role: admin } }
  - name: replaced
    host: app.localhost
    path: /v1/items
    rewrite: { replace: { prefix: /v1, with: /internal/v2 } }
    upstream: UPSTREAM
    rules: [{ allow: public }]
"#;

#[tokio::test]
async fn path_57_adv_tra_07_rules_see_the_clients_path_and_the_app_the_rewritten_one() {
    let scene = Scene::with(Plan { routes: REWRITTEN.into(), ..Plan::default() }).await;
    let admin = cookie_of(&scene.signed_in(APP, "ada").await);
    for (sent, received) in [
        ("/api/public/x?y=/api", "/public/x?y=/api"),
        ("/%61pi/public/x", "/public/x"),
        ("/api/public/api/x", "/public/api/x"),
        ("/apix/public", "/apix/public"),
        ("/v1/items/7?z", "/internal/v2/items/7?z"),
        ("/v1/items", "/internal/v2/items"),
        ("/v1/itemsx", "/v1/itemsx"),
    ] {
        for protocol in [H1, H2] {
            assert_eq!(ask(&scene, protocol, b"GET", sent.as_bytes(), "").await.0, 200, "{sent} in {protocol}");
            assert_eq!(scene.app.last().target(), received, "{sent} in {protocol}");
        }
    }
    for protocol in [H1, H2] {
        assert_eq!(ask(&scene, protocol, b"GET", b"/api/admin/x", &admin).await.0, 200, "{protocol}");
        assert_eq!(scene.app.last().target(), "/admin/x");
    }
    scene.app.forget();
    for (sent, expected) in [
        ("/api../admin/x", None),
        ("/api./admin/x", None),
        ("/api/../admin/x", Some(400)),
        ("/api/..;/admin/x", Some(400)),
        ("/api/%2e%2e/admin/x", Some(400)),
        ("/api//admin/x", Some(400)),
        ("/api/public/../admin/x", Some(400)),
        ("/api%2fadmin/x", Some(400)),
        ("/api;/admin/x", Some(400)),
        ("/api/admin/x", Some(401)),
        ("/%61pi/%61dmin/x", Some(401)),
        ("/api", Some(403)),
    ] {
        for protocol in [H1, H2] {
            let (status, _) = ask(&scene, protocol, b"GET", sent.as_bytes(), "").await;
            match expected {
                Some(expected) => assert_eq!(status, expected, "{sent} in {protocol}"),
                // Another name altogether: it is the other route's, unstripped.
                None => {
                    assert_eq!(status, 200, "{sent} in {protocol}");
                    assert_eq!(scene.app.last().target(), sent, "{sent} in {protocol}");
                    scene.app.forget();
                }
            }
            assert_eq!(scene.app.bytes(), 0, "{sent} in {protocol}");
        }
    }
}

#[tokio::test]
async fn adv_o2p_06_09_11_neither_query_nor_fields_nor_fragments_choose_the_rule() {
    let scene = Scene::start().await;
    for protocol in [H1, H2] {
        for target in ["/admin?x=/public/", "/admin?/public/", "/admin?../public/x", "/admin/secret%23/public/x"] {
            assert_eq!(ask(&scene, protocol, b"GET", target.as_bytes(), "").await.0, 401, "{target} in {protocol}");
        }
        // In HTTP/2 the library drops a fragment: what was before it is what is judged, and what would be sent.
        let expected = if protocol == H1 { 400 } else { 401 };
        assert_eq!(ask(&scene, protocol, b"GET", b"/admin/secret#/public/x", "").await.0, expected, "{protocol}");
    }
    for name in [
        "X-Forwarded-Uri",
        "X-Original-URI",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-Forwarded-Prefix",
        "X-Forwarded-Path",
        "X-Envoy-Original-Path",
    ] {
        let refused = scene.ask(APP, "GET", "/admin", &[(name, "/public/x")]).await;
        assert_eq!(refused.status, 401, "{name}");
        let mut frames = Frames::connect(scene.address(), &scene.ca, APP).await;
        let lower = name.to_ascii_lowercase();
        let request = [fields("GET", APP, "/admin"), vec![(lower.as_bytes(), b"/public/x")]].concat();
        assert_eq!(frames.ask(&request).await.status(), 401, "{name}");
    }
    assert_eq!(scene.app.bytes(), 0);
    // The twin: where the rule lets anybody pass, the field is there and means nothing, not even to the app.
    assert_eq!(scene.ask(APP, "GET", "/public/y", &[("X-Forwarded-Uri", "/admin")]).await.status, 200);
    assert_eq!((scene.app.last().target(), scene.app.last().one("x-forwarded-uri")), ("/public/y", None));
}

#[tokio::test]
async fn authy_01_a_host_that_is_none_or_two_is_refused() {
    let scene = Scene::start().await;
    let long = format!("{}.localhost", "a".repeat(300));
    let rows: &[(&str, &[u8])] = &[
        ("none", b""),
        ("two", b"host: app.localhost\r\nhost: api.localhost\r\n"),
        ("the same twice", b"host: app.localhost\r\nHost: app.localhost\r\n"),
        ("a list", b"host: app.localhost, api.localhost\r\n"),
        ("empty", b"host:\r\n"),
        ("a space", b"host: app localhost\r\n"),
        ("a slash", b"host: app.localhost/x\r\n"),
        ("a user", b"host: u@app.localhost\r\n"),
        ("a word for a port", b"host: app.localhost:https\r\n"),
        ("no port", b"host: app.localhost:\r\n"),
        ("port 0", b"host: app.localhost:0\r\n"),
        ("a large port", b"host: app.localhost:99999\r\n"),
        ("an open bracket", b"host: [::1\r\n"),
        ("an empty label", b"host: app..localhost\r\n"),
        ("a dot first", b"host: .app.localhost\r\n"),
        ("an underscore", b"host: a_b.localhost\r\n"),
        ("a long label", &[b"host: ", long.as_bytes(), b"\r\n"].concat()),
        ("NUL", b"host: app.localhost\0\r\n"),
        ("a CR", b"host: app\r.localhost\r\n"),
        ("folded", b"host: app\r\n .localhost\r\n"),
        ("escaped", b"host: %61pp.localhost\r\n"),
        ("a parameter", b"host: app.localhost;proto=https\r\n"),
        ("quotes", b"host: \"app.localhost\"\r\n"),
        ("a letter beyond ASCII", "host: \u{430}pp.localhost\r\n".as_bytes()),
        ("a space before the colon", b"host : app.localhost\r\n"),
        ("a number for an address", b"host: 2130706433\r\n"),
    ];
    for (name, host) in rows {
        let mut raw = scene.raw(APP).await;
        raw.send(&[b"GET /public/x HTTP/1.1\r\n", *host, b"\r\n", b"GET /public/second HTTP/1.1\r\nhost: app.localhost\r\n\r\n"].concat())
            .await;
        let answer = raw.answer().await.unwrap_or_else(|| panic!("{name}: no answer"));
        assert_eq!((answer.status, answer.field("connection")), (400, Some("close")), "{name}");
        assert!(raw.is_closed().await, "{name}");
    }
    assert_eq!(scene.app.bytes(), 0);
    assert_eq!(scene.ask(APP, "GET", "/public/x", &[]).await.status, 200);
}

#[tokio::test]
async fn authy_02_05_a_host_that_is_not_ours_gets_421_and_is_never_repeated() {
    let scene = Scene::start().await;
    let own = scene.address().to_string();
    for host in [
        "unknown.test",
        "other.localhost",
        "localhost",
        "127.0.0.1",
        &own,
        "[::1]",
        "app.localhost.unknown.test",
        "xapp.localhost",
        "xn--pp-localhost-8g.localhost",
        "xn--app.localhost",
    ] {
        for path in ["/public/x", "/private", "/_doorward/login", "/_doorward/whoami"] {
            let mut raw = scene.raw(APP).await;
            raw.send(format!("GET {path} HTTP/1.1\r\nhost: {host}\r\naccept: text/html\r\n\r\n").as_bytes()).await;
            let answer = raw.answer().await.unwrap();
            assert_eq!(answer.status, 421, "{host}{path}");
            assert_eq!((answer.field("location"), answer.field("set-cookie")), (None, None), "{host}{path}");
            assert!(!answer.text().contains(host), "{host}{path}");
        }
        let mut frames = Frames::connect(scene.address(), &scene.ca, APP).await;
        assert_eq!(frames.ask(&fields("GET", host, "/public/x")).await.status(), 421, "{host} in {H2}");
    }
    assert_eq!(scene.app.bytes(), 0);
}

#[tokio::test]
async fn authy_03_spellings_of_one_host_are_one_host_with_the_same_rules() {
    let scene = Scene::start().await;
    for host in ["app.localhost", "APP.LocalHost", "app.localhost.", "app.localhost:443", "App.Localhost.:8443"] {
        for (path, expected) in [("/public/x", 200), ("/admin/x", 401)] {
            scene.app.forget();
            let mut raw = scene.raw(APP).await;
            raw.send(format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes()).await;
            assert_eq!(raw.answer().await.unwrap().status, expected, "{host}{path} in {H1}");
            let mut frames = Frames::connect(scene.address(), &scene.ca, APP).await;
            assert_eq!(frames.ask(&fields("GET", host, path)).await.status(), expected, "{host}{path} in {H2}");
            for seen in scene.app.seen() {
                assert_eq!((seen.one("host"), seen.one("x-forwarded-host")), (Some(APP), Some(APP)), "{host}");
            }
        }
    }
}

#[tokio::test]
async fn authy_04_only_a_path_is_a_target() {
    let scene = Scene::start().await;
    for (name, line, expected) in [
        ("another's address", "GET http://other.test/public/x HTTP/1.1", 400),
        ("our own address", "GET https://app.localhost/public/x HTTP/1.1", 400),
        ("its scheme in capitals", "GET HTTPS://app.localhost/public/x HTTP/1.1", 400),
        ("no authority", "GET http:///public/x HTTP/1.1", 400),
        ("an authority", "GET app.localhost:443 HTTP/1.1", 400),
        ("a network path", "GET //app.localhost/public/x HTTP/1.1", 400),
        ("a star", "GET * HTTP/1.1", 400),
        ("a star with OPTIONS", "OPTIONS * HTTP/1.1", 400),
        ("a tunnel", "CONNECT app.localhost:443 HTTP/1.1", 405),
        ("a tunnel to a path", "CONNECT /public/x HTTP/1.1", 405),
    ] {
        let mut raw = scene.raw(APP).await;
        raw.send(format!("{line}\r\nhost: app.localhost\r\n\r\n").as_bytes()).await;
        assert_eq!(raw.answer().await.unwrap().status, expected, "{name}");
    }
    assert_eq!(scene.app.bytes(), 0);
    let mut raw = scene.raw(APP).await;
    raw.send(b"GET /public/x HTTP/1.1\r\nhost: app.localhost\r\n\r\n").await;
    assert_eq!(raw.answer().await.unwrap().status, 200);
}

#[tokio::test]
async fn authy_06_07_the_host_decides_whatever_the_handshake_named() {
    let scene = Scene::start().await;
    let cookie = cookie_of(&scene.signed_in(APP, "ada").await);
    // The handshake said app.localhost; each request is judged by its own host, also on one connection.
    let mut raw = scene.raw(APP).await;
    for (host, expected) in [(APP, 200), (API, 401), ("both.localhost", 401), (APP, 200), ("unknown.test", 421)] {
        raw.send(format!("GET /items HTTP/1.1\r\nhost: {host}\r\ncookie: {cookie}\r\n\r\n").as_bytes()).await;
        assert_eq!(raw.answer().await.unwrap().status, expected, "{host} in {H1}");
    }
    let mut frames = Frames::connect(scene.address(), &scene.ca, APP).await;
    for (host, expected) in [(APP, 200), (API, 401), ("both.localhost", 401), (APP, 200), ("unknown.test", 421)] {
        let request = [fields("GET", host, "/items"), vec![(b"cookie", cookie.as_bytes())]].concat();
        assert_eq!(frames.ask(&request).await.status(), expected, "{host} in {H2}");
    }
    assert!(scene.app.seen().iter().all(|seen| seen.one("host") == Some(APP)));
    // Another spelling of the name, another of our names, none.
    for name in ["API.localhost", "unknown.test"] {
        let mut raw = scene.raw(name).await;
        raw.send(b"GET /public/x HTTP/1.1\r\nhost: app.localhost\r\n\r\n").await;
        assert_eq!(raw.answer().await.unwrap().status, 200, "{name}");
    }
    let socket = tokio::net::TcpStream::connect(scene.address()).await.unwrap();
    let name = ServerName::IpAddress(std::net::IpAddr::from([127, 0, 0, 1]).into());
    let handshake = tls(&scene.ca, &[b"http/1.1"]).connect(name, socket).await;
    // No name in the handshake: the first certificate answers, and it does not name an address.
    assert!(handshake.unwrap_err().to_string().contains("not valid for name"));
}

#[tokio::test]
async fn authy_08_h2_12_odd_pseudo_fields_never_reach_the_app() {
    let scene = Scene::start().await;
    type Field = (&'static [u8], &'static [u8]);
    let (m, s): (Field, Field) = ((b":method", b"GET"), (b":scheme", b"https"));
    let (a, p): (Field, Field) = ((b":authority", b"app.localhost"), (b":path", b"/public/x"));
    let rows: Vec<(&str, Vec<Field>)> = vec![
        ("host differs", vec![m, s, a, p, (b"host", b"api.localhost")]),
        ("host twice", vec![m, s, a, p, (b"host", b"app.localhost"), (b"host", b"app.localhost")]),
        ("two hosts, no authority", vec![m, s, p, (b"host", b"app.localhost"), (b"host", b"api.localhost")]),
        ("neither", vec![m, s, p]),
        ("empty authority", vec![m, s, (b":authority", b""), p]),
        ("a user", vec![m, s, (b":authority", b"u@app.localhost"), p]),
        ("a user and a password", vec![m, s, (b":authority", b"u:p@app.localhost"), p]),
        ("a path in the authority", vec![m, s, (b":authority", b"app.localhost/x"), p]),
        ("a large port", vec![m, s, (b":authority", b"app.localhost:99999"), p]),
        ("an empty label", vec![m, s, (b":authority", b"app..localhost"), p]),
        ("authority twice", vec![m, s, a, a, p]),
        ("path twice", vec![m, s, a, p, p]),
        ("method twice", vec![m, m, s, a, p]),
        ("no path", vec![m, s, a]),
        ("no method", vec![s, a, p]),
        ("empty path", vec![m, s, a, (b":path", b"")]),
        ("a star", vec![m, s, a, (b":path", b"*")]),
        ("a word", vec![m, s, a, (b":path", b"public")]),
        ("a space in the path", vec![m, s, a, (b":path", b"/public/a b")]),
        ("a CR in the path", vec![m, s, a, (b":path", b"/public/a\rb")]),
        ("a line in the path", vec![m, s, a, (b":path", b"/public/a HTTP/1.1\r\nx: y")]),
        ("an address for a path", vec![m, s, a, (b":path", b"https://app.localhost/public/x")]),
        ("a line in the method", vec![(b":method", b"GET / HTTP/1.1\r\nx: y"), s, a, p]),
        ("small letters in the method", vec![(b":method", b"get"), s, a, p]),
        ("an empty method", vec![(b":method", b""), s, a, p]),
        ("an unknown pseudo field", vec![m, s, a, p, (b":x", b"y")]),
        ("a status", vec![m, s, a, p, (b":status", b"200")]),
        ("a pseudo field after a field", vec![m, s, a, (b"x", b"y"), p]),
        ("capitals in a name", vec![m, s, a, p, (b"X-Y", b"z")]),
        ("connect", vec![(b":method", b"CONNECT"), (b":authority", b"app.localhost:443")]),
        ("websocket over HTTP/2", vec![(b":method", b"CONNECT"), (b":protocol", b"websocket"), s, a, p]),
        ("trace", vec![(b":method", b"TRACE"), s, a, p]),
    ];
    for (name, request) in rows {
        let mut frames = Frames::connect(scene.address(), &scene.ca, APP).await;
        let outcome = frames.ask(&request).await;
        assert!(outcome.is_refused() && !outcome.sets_cookie(), "{name}: {outcome:?}");
        assert_eq!(scene.app.bytes(), 0, "{name}");
    }
    for (name, request) in [
        ("the twin", vec![m, s, a, p]),
        ("host agrees", vec![m, s, a, p, (&b"host"[..], &b"app.localhost"[..])]),
        ("host alone", vec![m, s, p, (b"host", b"app.localhost")]),
    ] {
        let mut frames = Frames::connect(scene.address(), &scene.ca, APP).await;
        assert_eq!(frames.ask(&request).await.status(), 200, "{name}");
        assert_eq!(scene.app.last().one("host"), Some(APP), "{name}");
    }
}

#[tokio::test]
async fn h2_13_nothing_in_a_field_becomes_a_second_line() {
    let scene = Scene::start().await;
    let rows: &[(&str, &[u8], &[u8])] = &[
        ("CR LF in a value", b"x-a", b"b\r\nx-auth-user: admin"),
        ("LF in a value", b"x-a", b"b\nx-auth-user: admin"),
        ("CR in a value", b"x-a", b"b\rc"),
        ("NUL in a value", b"x-a", b"b\0c"),
        ("CR LF in a name", b"x-a: b\r\nx-auth-user", b"admin"),
        ("a colon in a name", b"x-a:b", b"c"),
        ("a space in a name", b"x a", b"c"),
        ("an empty name", b"", b"c"),
        ("connection", b"connection", b"close"),
        ("transfer-encoding", b"transfer-encoding", b"chunked"),
        ("keep-alive", b"keep-alive", b"timeout=5"),
        ("proxy-connection", b"proxy-connection", b"close"),
        ("upgrade", b"upgrade", b"websocket"),
        ("te that is not trailers", b"te", b"gzip"),
    ];
    for (name, field, value) in rows {
        let mut frames = Frames::connect(scene.address(), &scene.ca, APP).await;
        let outcome = frames.ask(&[fields("GET", APP, "/public/x"), vec![(*field, *value)]].concat()).await;
        assert!(outcome.is_refused(), "hdr_24 {name}: {outcome:?}");
        assert_eq!(scene.app.bytes(), 0, "{name}");
    }
    let mut frames = Frames::connect(scene.address(), &scene.ca, APP).await;
    assert_eq!(frames.ask(&[fields("GET", APP, "/public/x"), vec![(b"x-a", b"b"), (b"te", b"trailers")]].concat()).await.status(), 200);
    assert_eq!((scene.app.last().one("x-a"), scene.app.last().one("te")), (Some("b"), None));
}

const METHODS: &str = r#"
  - name: app
    host: app.localhost
    upstream: UPSTREAM
    rules:
      - { path: "/read/**", methods: [GET], allow: public }
      - { path: "/any/**", allow: public }
      - { methods: [GET], allow: signed-in }
"#;

#[tokio::test]
async fn meth_01_the_method_is_the_one_in_the_request_line() {
    let scene = Scene::with(Plan { routes: METHODS.into(), ..Plan::default() }).await;
    for name in ["X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method", "x_http_method_override"] {
        scene.app.forget();
        assert_eq!(scene.ask(APP, "POST", "/read/x", &[(name, "GET")]).await.status, 403, "{name}");
        assert_eq!(scene.ask(APP, "POST", "/read/x?_method=GET", &[]).await.status, 403, "{name}");
        assert_eq!(scene.app.bytes(), 0, "{name}");
        assert_eq!(scene.ask(APP, "GET", "/read/x", &[(name, "POST")]).await.status, 200, "{name}");
        assert_eq!((scene.app.last().line(), scene.app.last().one(name)), ("GET /read/x HTTP/1.1", None), "{name}");
    }
}

#[tokio::test]
async fn meth_02_methods_are_case_sensitive_and_only_what_is_served_goes_on() {
    let scene = Scene::with(Plan { routes: METHODS.into(), ..Plan::default() }).await;
    for (method, expected) in [
        ("GET", 200),
        ("PROPFIND", 200),
        ("FOO", 200),
        ("get", 400),
        ("Get", 400),
        ("G\0T", 400),
        ("G-T", 400),
        ("GET\t", 400),
        ("", 400),
        ("TRACE", 405),
        ("TRACK", 405),
        ("CONNECT", 405),
    ] {
        scene.app.forget();
        assert_eq!(h1(&scene, method.as_bytes(), b"/any/x", "").await.0, expected, "{method:?}");
        assert_eq!(scene.app.bytes() > 0, expected == 200, "{method:?}");
    }
    // Unlisted where rules name methods: the rule's default, which is no.
    for (method, expected) in
        [("GET", 200), ("HEAD", 200), ("GETX", 403), ("FOO", 403), ("DEBUG", 403), ("PROPFIND", 403), ("POST", 403), ("OPTIONS", 403)]
    {
        scene.app.forget();
        let status = scene.ask(APP, method, "/read/x", &[]).await.status;
        assert_eq!(status, expected, "{method}");
        assert_eq!(scene.app.bytes() > 0, expected == 200, "{method}");
        let mut frames = Frames::connect(scene.address(), &scene.ca, APP).await;
        assert_eq!(frames.ask(&fields(method, APP, "/read/x")).await.status(), expected, "{method} in {H2}");
    }
    let refused = scene.ask(APP, "TRACE", "/any/x", &[]).await;
    assert_eq!(refused.field("allow"), Some("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
}

#[tokio::test]
async fn meth_03_a_preflight_passes_without_anybody_and_only_a_real_one() {
    let scene = Scene::start().await;
    let real = [("origin", "https://spa.example"), ("access-control-request-method", "GET")];
    let answer = scene.ask(API, "OPTIONS", "/items", &real).await;
    assert_eq!((answer.status, answer.field("access-control-allow-origin"), answer.body.len()), (204, Some("https://spa.example"), 0));
    assert_eq!(answer.field("access-control-allow-credentials"), None);
    for (name, fields) in [
        ("no origin", &[("access-control-request-method", "GET")][..]),
        ("no method", &[("origin", "https://spa.example")]),
        ("neither", &[]),
    ] {
        assert_eq!(scene.ask(API, "OPTIONS", "/items", fields).await.status, 401, "{name}");
    }
    for origin in ["null", "https://spa.example.evil.test", "http://spa.example", "https://SPA.example", "https://spa.example:443"] {
        let answer = scene.ask(API, "OPTIONS", "/items", &[("origin", origin), ("access-control-request-method", "GET")]).await;
        assert_eq!(answer.field("access-control-allow-origin"), None, "{origin}");
    }
    // A route that says nothing about other origins answers none.
    assert_eq!(scene.ask(APP, "OPTIONS", "/private", &real).await.status, 401);
    assert_eq!(scene.app.bytes(), 0);
}

#[tokio::test]
async fn meth_03_a_preflight_for_the_app_arrives_without_an_identity() {
    let routes =
        METHODS.replace("    rules:", "    cors: { origins: [\"https://spa.example\"], methods: [GET], preflight: pass }\n    rules:");
    let scene = Scene::with(Plan { routes, ..Plan::default() }).await;
    let mut ada = scene.signed_in(APP, "ada").await;
    let fields = [
        ("origin", "https://spa.example"),
        ("access-control-request-method", "GET"),
        ("x-auth-user", "eve"),
        ("authorization", "Bearer x"),
    ];
    assert_eq!(ada.request("OPTIONS", "/private", &fields, b"").await.status, 200);
    let seen = scene.app.last();
    assert_eq!(seen.line(), "OPTIONS /private HTTP/1.1");
    for name in ["x-auth-user", "x-auth-roles", "authorization", "cookie"] {
        assert_eq!(seen.one(name), None, "{name}");
    }
}

#[tokio::test]
async fn meth_04_the_framing_stays_in_step_whatever_method_and_status() {
    let app = doorward_tests::recorder::Recorder::answering(std::sync::Arc::new(|request| {
        Some(match request.target() {
            "/public/empty" => b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(),
            "/public/same" => b"HTTP/1.1 304 Not Modified\r\netag: \"x\"\r\n\r\n".to_vec(),
            _ if request.line().starts_with("HEAD") => b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n".to_vec(),
            _ => doorward_tests::recorder::ok("canary"),
        })
    }))
    .await;
    let scene = Scene::in_front_of(Plan::default(), app).await;
    let mut raw = scene.raw(APP).await;
    for round in 0..3 {
        raw.send(b"HEAD /public/x HTTP/1.1\r\nhost: app.localhost\r\n\r\n").await;
        let head = raw.head_answer().await.unwrap();
        assert_eq!((head.status, head.field("content-length")), (200, Some("6")), "{round}");
        raw.send(b"GET /public/empty HTTP/1.1\r\nhost: app.localhost\r\n\r\n").await;
        assert_eq!(raw.answer().await.unwrap().status, 204, "{round}");
        raw.send(b"GET /public/same HTTP/1.1\r\nhost: app.localhost\r\nif-none-match: \"x\"\r\n\r\n").await;
        assert_eq!(raw.answer().await.unwrap().status, 304, "{round}");
        raw.send(b"GET /public/body HTTP/1.1\r\nhost: app.localhost\r\ncontent-length: 5\r\n\r\nhello").await;
        let answer = raw.answer().await.unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (200, "canary"), "{round}");
        assert_eq!(scene.app.last().body, b"hello", "{round}");
    }
}

#[tokio::test]
async fn met_01_metrics_and_health_are_never_on_the_public_listener() {
    let scene = Scene::start().await;
    let admin_host = scene.edge().admin_address().unwrap().to_string();
    for path in [
        "/metrics",
        "/livez",
        "/readyz",
        "/%6detrics",
        "/metrics/",
        "/_doorward/metrics",
        "/_doorward/livez",
        "/_doorward/readyz",
        "/_doorward",
        "/_doorward/",
    ] {
        for host in [APP, API, "unknown.test", &admin_host] {
            let mut raw = scene.raw(APP).await;
            raw.send(format!("GET {path} HTTP/1.1\r\nhost: {host}\r\naccept: text/html\r\n\r\n").as_bytes()).await;
            let answer = raw.answer().await.unwrap();
            assert!(matches!(answer.status, 302 | 401 | 404 | 421), "{host}{path}: {}", answer.status);
            assert!(!answer.text().contains("doorward_"), "{host}{path}");
        }
    }
    assert_eq!(h1(&scene, b"GET", b"//metrics", "").await.0, 400);
    let public = scene.ask(APP, "GET", "/public/metrics", &[]).await;
    assert_eq!((public.status, public.text().as_str()), (200, "canary"));
    let (status, text) = scene.admin("/metrics").await;
    assert!(status == 200 && text.contains("doorward_requests_total"));
}

#[tokio::test]
async fn refused_targets_are_answered_in_both_protocols_and_the_connection_of_http2_goes_on() {
    let scene = Scene::start().await;
    let mut frames = Frames::connect(scene.address(), &scene.ca, APP).await;
    for path in ["/public/../x", "//x", "/public/%2f"] {
        let outcome = frames.ask(&fields("GET", APP, path)).await;
        assert!(matches!(outcome, Outcome::Answer { status: 400, .. }), "{path}: {outcome:?}");
    }
    assert_eq!(frames.ask(&fields("GET", APP, "/public/x")).await.status(), 200);
    let mut raw = Raw::connect(scene.address(), &scene.ca, APP).await;
    raw.send(b"GET /public/../x HTTP/1.1\r\nhost: app.localhost\r\n\r\n").await;
    assert_eq!(raw.answer().await.unwrap().status, 400);
}
