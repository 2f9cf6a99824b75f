//! Which fields reach the app, and which reach the browser.

use std::collections::BTreeMap;
use std::sync::Arc;

use doorward_demo::tenant::AUDIENCE;
use doorward_tests::client::Browser;
use doorward_tests::recorder::{Recorded, Recorder, ok};
use doorward_tests::scene::{API, APP, Plan, Scene};
use serde_json::{Value, json};

use crate::frames::{self, Frames, fields};

/// What a client claims; it must never be seen at the app.
const FORGED: &str = "forged-by-the-client";

/// Names that only the edge sets, in spellings that some server takes for them.
const SPELLINGS: &[&str] = &[
    "x-auth-user",
    "X-AUTH-USER",
    "X_Auth_User",
    "X-Auth_User",
    "X.Auth.User",
    "X-Auth~User",
    "X!Auth#User",
    "X*Auth+User",
    "X|Auth^User",
    "X$Auth%User",
    "X'Auth`User",
    "HTTP_X_AUTH_USER",
    "Http-X-Auth-User_",
    "X-Auth-Email",
    "x_auth_roles",
    "X-Auth-Roles",
    "X-Auth-Permissions",
    "X-Auth-Anything",
    "Remote-User",
    "REMOTE_USER",
    "Remote-Groups",
    "X-Remote-User",
    "X-User",
    "X-Roles",
    "X-Forwarded-User",
    "X-Forwarded-Email",
    "X-Authenticated-User",
    "X-Doorward-User",
    "X-Tenant",
    "X_Tenant",
    "X.Tenant",
    "X-Request-Id",
];

/// Everything about forwarding that somebody believes somewhere.
const FORWARDING: &[&str] = &[
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Server",
    "X-Forwarded-Uri",
    "X-Forwarded-Method",
    "X-Forwarded-Ssl",
    "X-Forwarded-Tls-Client-Cert",
    "X-Forwarded-Scheme",
    "Forwarded",
    "X-Real-IP",
    "X_Real_IP",
    "X-Client-IP",
    "True-Client-IP",
    "CF-Connecting-IP",
    "X-Cluster-Client-IP",
    "Fastly-Client-IP",
    "X-Original-URL",
    "X-Rewrite-URL",
    "X-Original-URI",
    "X-Original-Method",
    "X-Original-Host",
    "X-Host",
    "X-Scheme",
    "X-Envoy-Original-Path",
    "Front-End-Https",
    "Proxy",
    "X-ProxyUser-Ip",
    "X_Forwarded_For",
    "X.Forwarded.Proto",
];

const IDENTITY: &str = r#"
identity:
  roles: ["https://acme.dev/roles"]
headers:
  X-Auth-User: "{user}"
  X-Auth-Email: "{email}"
  X-Auth-Roles: "{roles}"
  X-Auth-Permissions: "{permissions}"
  X-Tenant: "{claim:https://acme.dev/tenant}"
"#;

fn plan() -> Plan {
    let preflight = "    host: app.localhost\n    cors: { origins: [\"https://spa.example\"], methods: [GET], preflight: pass }\n";
    let routes = Plan::default().routes.replacen("    host: app.localhost\n", preflight, 1);
    Plan { identity: IDENTITY.into(), routes, ..Plan::default() }
}

fn cookie_of(browser: &Browser) -> String {
    browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
}

/// A name as CGI, WSGI and their kin see it.
fn folded(name: &str) -> String {
    let name: String = name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' }).collect();
    name.strip_prefix("http-").map(str::to_owned).unwrap_or(name)
}

/// The oracle `ID`: every field that anybody could take for one of ours is ours, once, with the verified value.
#[track_caller]
fn assert_only_ours(seen: &Recorded, identity: &[(&str, &str)]) {
    let mut ours: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in seen.head.lines().skip(1) {
        let (name, value) = line.split_once(':').unwrap();
        let name = folded(name);
        if [
            "x-auth",
            "remote-",
            "x-remote",
            "x-forwarded",
            "x-real-ip",
            "x-tenant",
            "forwarded",
            "x-original",
            "x-request-id",
            "x-user",
            "x-roles",
        ]
        .iter()
        .any(|prefix| name.starts_with(prefix))
        {
            ours.entry(name).or_default().push(value.trim().to_owned());
        }
    }
    assert_eq!(ours.remove("x-request-id").map(|ids| ids.len()), Some(1), "{}", seen.head);
    let host = seen.one("host").unwrap();
    let forwarding =
        [("x-forwarded-for", "127.0.0.1"), ("x-real-ip", "127.0.0.1"), ("x-forwarded-proto", "https"), ("x-forwarded-host", host)];
    let expected: BTreeMap<String, Vec<String>> =
        forwarding.iter().chain(identity).map(|(name, value)| ((*name).to_owned(), vec![(*value).to_owned()])).collect();
    assert_eq!(ours, expected, "{}", seen.head);
    for name in identity.iter().chain(&forwarding).map(|(name, _)| name) {
        assert_eq!(seen.all(name).len(), 1, "{name}: {}", seen.head);
    }
    assert!(!seen.head.contains(FORGED), "{}", seen.head);
}

const ADA: &[(&str, &str)] = &[
    ("x-auth-user", "auth0|ada"),
    ("x-auth-email", "ada@acme.dev"),
    ("x-auth-roles", "admin"),
    ("x-auth-permissions", "read:items,write:items,device:read,device:admin"),
];

/// Forges every spelling, in batches that fit the limit of fields.
fn forgeries() -> Vec<Vec<(&'static str, &'static str)>> {
    let all: Vec<(&str, &str)> = SPELLINGS.iter().chain(FORWARDING).map(|name| (*name, FORGED)).collect();
    all.chunks(40).map(<[_]>::to_vec).collect()
}

#[tokio::test]
async fn hdr_01_04_30_no_spelling_of_an_owned_name_passes_on_any_way_to_the_app() {
    let scene = Scene::with(plan()).await;
    let mut ada = scene.signed_in(APP, "ada").await;
    let token = format!("Bearer {}", scene.tenant.access_token_for("ada", AUDIENCE, "openid read:items"));
    let preflight = [("origin", "https://spa.example"), ("access-control-request-method", "GET")];
    let upgrade = [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA=="),
    ];
    // An access token names no e-mail address; then nobody does.
    let caller: Vec<_> = ADA.iter().copied().filter(|(name, _)| *name != "x-auth-email").collect();
    for forged in forgeries() {
        let with = |more: &[(&'static str, &'static str)]| [&forged[..], more].concat();
        scene.app.forget();
        for (name, method, path, fields) in [
            ("public", "GET", "/public/x", with(&[])),
            ("public, HEAD", "HEAD", "/public/x", with(&[])),
            ("public, OPTIONS", "OPTIONS", "/public/x", with(&[])),
            ("public, POST", "POST", "/public/x", with(&[])),
            ("public, WebSocket", "GET", "/public/x", with(&upgrade)),
            ("preflight", "OPTIONS", "/private", with(&preflight)),
            ("public, a bad token", "GET", "/public/x", with(&[("authorization", "Bearer a.b.c")])),
        ] {
            assert_eq!(scene.ask(APP, method, path, &fields).await.status, 200, "{name}");
            assert_only_ours(&scene.app.last(), &[]);
        }
        for (name, method, path, fields) in [
            ("signed in", "GET", "/private", with(&[])),
            ("signed in, HEAD", "HEAD", "/private", with(&[])),
            ("signed in, PUT", "PUT", "/private", with(&[])),
            ("signed in, WebSocket", "GET", "/private", with(&upgrade)),
        ] {
            assert_eq!(ada.request(method, path, &fields, b"").await.status, 200, "{name}");
            assert_only_ours(&scene.app.last(), ADA);
        }
        // Where nobody asks who it is, the app is told nobody.
        assert_eq!(ada.request("GET", "/public/x", &with(&[]), b"").await.status, 200);
        assert_only_ours(&scene.app.last(), &[]);
        let mut bearer: Vec<(&str, &str)> = forged.clone();
        bearer.push(("authorization", &token));
        assert_eq!(scene.ask(API, "GET", "/items", &bearer).await.status, 200);
        assert_only_ours(&scene.app.last(), &caller);

        let seen = scene.app.seen().len();
        for (host, path) in [
            ("unknown.test", "/x"),
            (APP, "/_doorward/whoami"),
            (APP, "/_doorward/nothing"),
            (APP, "/closed/x"),
            (APP, "/private"),
            (API, "/items"),
        ] {
            let status = scene.ask(host, "GET", path, &forged).await.status;
            assert!(matches!(status, 401 | 403 | 404 | 421), "{host}{path}: {status}");
        }
        assert_eq!(scene.app.seen().len(), seen);
        assert!(!String::from_utf8_lossy(&scene.app.raw()).contains(FORGED));
    }
}

#[tokio::test]
async fn hdr_01_30_nor_over_http2() {
    let scene = Scene::with(plan()).await;
    let cookie = cookie_of(&scene.signed_in(APP, "ada").await);
    let mut frames = Frames::connect(scene.address(), &scene.ca, APP).await;
    for forged in forgeries() {
        let names: Vec<String> = forged.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
        let forged: Vec<(&[u8], &[u8])> = names.iter().map(|name| (name.as_bytes(), FORGED.as_bytes())).collect();
        assert_eq!(frames.ask(&[fields("GET", APP, "/public/x"), forged.clone()].concat()).await.status(), 200);
        assert_only_ours(&scene.app.last(), &[]);
        let request = [fields("GET", APP, "/private"), vec![(b"cookie", cookie.as_bytes())], forged].concat();
        assert_eq!(frames.ask(&request).await.status(), 200);
        assert_only_ours(&scene.app.last(), ADA);
    }
}

#[tokio::test]
async fn hdr_01_values_positions_and_trailers_make_no_difference() {
    let scene = Scene::with(plan()).await;
    let ada = cookie_of(&scene.signed_in(APP, "ada").await);
    let head = |before: &str, after: &str| format!("POST /private HTTP/1.1\r\n{before}host: app.localhost\r\ncookie: {ada}\r\n{after}");
    let one = format!("x-auth-user: {FORGED}\r\n");
    let empty_chunked = "transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n";
    let rows = [
        ("twice", head("", &format!("{one}{one}content-length: 0\r\n\r\n"))),
        ("first and last", head(&one, &format!("{one}content-length: 0\r\n\r\n"))),
        ("a list", head("", &format!("x-auth-user: a, {FORGED}\r\ncontent-length: 0\r\n\r\n"))),
        ("empty", head("", "x-auth-user:\r\nX_AUTH_USER:\r\ncontent-length: 0\r\n\r\n")),
        ("ours and theirs", head("", &format!("x-auth-user: auth0|ada\r\n{one}content-length: 0\r\n\r\n"))),
        ("trailers", head("", &format!("trailer: x-auth-user\r\n{empty_chunked}{one}X_Auth_User: {FORGED}\r\ncookie: {FORGED}\r\n\r\n"))),
    ];
    let mut raw = scene.raw(APP).await;
    for (name, request) in rows {
        scene.app.forget();
        raw.send(request.as_bytes()).await;
        let answer = raw.answer().await.unwrap_or_else(|| panic!("{name}: no answer"));
        assert_eq!(answer.status, 200, "{name}");
        assert_only_ours(&scene.app.last(), ADA);
        assert!(!String::from_utf8_lossy(&scene.app.raw()).contains(FORGED), "{name}");
        if answer.field("connection") == Some("close") || name == "trailers" {
            raw = scene.raw(APP).await;
        }
    }
    // HTTP/2 trailers, on their way to an HTTP/1.1 app.
    let mut frames = Frames::connect(scene.address(), &scene.ca, APP).await;
    let stream = frames.begin(&[fields("POST", APP, "/private"), vec![(b"cookie", ada.as_bytes())]].concat(), false).await;
    frames.frame(frames::DATA, 0, stream, b"hi").await;
    frames.trailers(stream, &[(b"x-auth-user", FORGED.as_bytes()), (b"content-length", b"7")]).await;
    assert_eq!(frames.outcome(stream).await.status(), 200);
    assert_eq!(scene.app.last().body, b"hi");
    assert_only_ours(&scene.app.last(), ADA);
    assert!(!String::from_utf8_lossy(&scene.app.raw()).contains(FORGED));
}

#[tokio::test]
async fn hdr_02_odd_names_are_dropped_unless_the_route_keeps_them() {
    let routes =
        Plan::default().routes.replacen("    upstream: UPSTREAM\n", "    upstream: UPSTREAM\n    keep_headers: [x_device_id]\n", 1);
    let scene = Scene::with(Plan { routes, ..Plan::default() }).await;
    let sent = [("x_device_id", "7"), ("x_other_id", "8"), ("x.third", "9"), ("x-plain", "10"), ("X_DEVICE_ID", "7")];
    assert_eq!(scene.ask(APP, "GET", "/public/x", &sent).await.status, 200);
    let seen = scene.app.last();
    assert_eq!(seen.all("x_device_id"), ["7", "7"]);
    assert_eq!((seen.one("x_other_id"), seen.one("x.third"), seen.one("x-plain")), (None, None, Some("10")));
    assert_eq!(scene.ask("both.localhost", "GET", "/_doorward/x", &sent).await.status, 404);
    assert_eq!(scene.app.seen().len(), 1);
}

#[tokio::test]
async fn hdr_03_a_name_that_is_no_token_is_refused() {
    let scene = Scene::start().await;
    let rows: &[(&str, &[u8])] = &[
        ("space before the colon", b"x-auth-user : x"),
        ("tab before the colon", b"x-auth-user\t: x"),
        ("NUL", b"x-auth\0user: x"),
        ("a byte beyond ASCII", b"x-auth\x80user: x"),
        ("a control", b"x-auth\x01user: x"),
        ("a parenthesis", b"x(auth: x"),
        ("a bracket", b"x[auth: x"),
        ("a slash", b"x/auth: x"),
        ("a quotation mark", b"\"x-auth-user\": x"),
        ("empty", b": x"),
        ("no colon", b"x-auth-user"),
        ("a space inside", b"x auth: x"),
    ];
    for (name, line) in rows {
        let mut raw = scene.raw(APP).await;
        raw.send(&[b"GET /public/x HTTP/1.1\r\nhost: app.localhost\r\n", *line, b"\r\n\r\n"].concat()).await;
        let answer = raw.answer().await.unwrap();
        assert_eq!((answer.status, raw.is_closed().await), (400, true), "{name}");
    }
    assert_eq!(scene.app.bytes(), 0);
    assert_eq!(scene.ask(APP, "GET", "/public/x", &[("x-plain", "x")]).await.status, 200);
}

#[tokio::test]
async fn hdr_05_fields_that_decide_come_once() {
    let scene = Scene::start().await;
    let mut ada = scene.signed_in(APP, "ada").await;
    for (name, twice) in [
        ("authorization", [("authorization", "Bearer a.b.c"), ("Authorization", "Bearer a.b.c")]),
        ("authorization and another scheme", [("authorization", "Basic eDp5"), ("authorization", "Bearer a.b.c")]),
        ("origin", [("origin", "https://app.localhost"), ("origin", "https://evil.test")]),
        ("content-type", [("content-type", "text/plain"), ("content-type", "application/grpc")]),
        ("content-length", [("content-length", "0"), ("content-length", "0")]),
        ("host", [("host", "app.localhost"), ("accept", "*/*")]),
        ("upgrade", [("upgrade", "websocket"), ("upgrade", "websocket")]),
        ("expect", [("expect", "100-continue"), ("expect", "100-continue")]),
    ] {
        let status = ada.request("GET", "/private", &twice, b"").await.status;
        assert!(matches!(status, 400 | 417), "{name}: {status}");
    }
    let cookie = cookie_of(&ada);
    for (name, twice) in [
        ("origin", [&b"https://app.localhost"[..], b"https://evil.test"]),
        ("content-type", [b"text/plain", b"text/html"]),
        ("authorization", [b"Bearer a.b.c", b"Bearer a.b.c"]),
    ] {
        let mut frames = Frames::connect(scene.address(), &scene.ca, APP).await;
        let request = [
            fields("GET", APP, "/private"),
            vec![(b"cookie", cookie.as_bytes()), (name.as_bytes(), twice[0]), (name.as_bytes(), twice[1])],
        ]
        .concat();
        assert_eq!(frames.ask(&request).await.status(), 400, "{name} in HTTP/2");
    }
    assert_eq!(scene.app.bytes(), 0);
    // Twice is fine where lists and lines mean the same.
    assert_eq!(
        ada.request(
            "GET",
            "/private",
            &[("origin", "https://app.localhost"), ("accept", "text/html"), ("accept", "*/*"), ("cookie", "a=1")],
            b""
        )
        .await
        .status,
        200
    );
}

#[tokio::test]
async fn hdr_06_23_what_the_app_is_told_is_not_for_the_browser() {
    let app = Recorder::answering(Arc::new(|_| {
        let fields = "x-auth-user: auth0|ada\r\nX-Auth-Debug: 1\r\nx-tenant: t\r\nx-forwarded-for: 10.0.0.1\r\nx-request-id: theirs\r\nx-doorward-hint: 1\r\nx-plain: kept\r\n";
        let hops = "connection: x-hop\r\nx-hop: 1\r\nkeep-alive: timeout=5\r\nproxy-authenticate: Basic\r\nproxy-connection: keep-alive\r\n";
        Some(format!("HTTP/1.1 200 OK\r\n{fields}{hops}content-length: 2\r\n\r\nhi").into_bytes())
    }))
    .await;
    let scene = Scene::in_front_of(plan(), app).await;
    let gone = [
        "x-auth-user",
        "x-auth-debug",
        "x-tenant",
        "x-forwarded-for",
        "x-doorward-hint",
        "x-hop",
        "keep-alive",
        "proxy-authenticate",
        "proxy-connection",
    ];
    let answer = scene.ask(APP, "GET", "/public/x", &[]).await;
    for name in gone {
        assert_eq!(answer.field(name), None, "{name}");
    }
    assert_eq!((answer.field("x-plain"), answer.text().as_str()), (Some("kept"), "hi"));
    assert_eq!(answer.all("x-request-id").len(), 1);
    assert_ne!(answer.field("x-request-id"), Some("theirs"));
    assert_eq!(answer.field("x-request-id"), scene.app.last().one("x-request-id"));
    let request = http::Request::get("https://app.localhost/public/x").body(()).unwrap();
    let answer = frames::ask(scene.address(), &scene.ca, request, b"").await.unwrap();
    for name in gone {
        assert_eq!(answer.headers().get(name), None, "{name} in HTTP/2");
    }
    assert_eq!(answer.headers().get("x-plain").unwrap(), "kept");
}

#[tokio::test]
async fn hdr_06_cookie_07_nor_in_an_early_hint() {
    let app = Recorder::answering(Arc::new(|_| {
        let hint = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\nset-cookie: __Host-doorward=evil; Path=/; Secure\r\nx-auth-user: auth0|ada\r\n\r\n";
        Some([hint.as_bytes(), &ok("hi")].concat())
    }))
    .await;
    let scene = Scene::in_front_of(plan(), app).await;
    let mut raw = scene.raw(APP).await;
    raw.send(b"GET /public/x HTTP/1.1\r\nhost: app.localhost\r\n\r\n").await;
    let mut answer = raw.answer().await.unwrap();
    let mut hints = 0;
    while answer.status < 200 {
        hints += 1;
        assert_eq!((answer.field("set-cookie"), answer.field("x-auth-user")), (None, None));
        assert_eq!(answer.field("link"), Some("</a.css>; rel=preload"));
        answer = raw.answer().await.unwrap();
    }
    assert_eq!((hints, answer.status, answer.text().as_str()), (1, 200, "hi"));
}

#[tokio::test]
async fn hdr_20_21_22_no_nomination_takes_a_field_away() {
    let scene = Scene::with(plan()).await;
    let ada = cookie_of(&scene.signed_in(APP, "ada").await);
    let nine = "a, b, c, d, e, f, g, h, x-tenant";
    let fifty = ["x"; 50].join(",");
    let rows: Vec<(&str, &str, &str, u16)> = vec![
        ("the user", "Connection", "X-Auth-User", 400),
        ("close and the user", "Connection", "close, x-auth-user", 400),
        ("no space", "Connection", "keep-alive,X-AUTH-USER", 400),
        ("another spelling", "Connection", "X_Auth_User", 400),
        ("quoted", "Connection", "\"X-Auth-User\"", 400),
        ("tab inside", "Connection", "x-auth\tuser", 400),
        ("NUL inside", "Connection", "x-auth\0user", 400),
        ("nine", "Connection", nine, 400),
        ("fifty", "Connection", &fifty, 400),
        ("hdr_22 host", "Connection", "Host", 400),
        ("hdr_22 cookie", "Connection", "cookie", 400),
        ("hdr_22 authorization", "Connection", "Authorization", 400),
        ("hdr_22 content-length", "Connection", "content-length", 400),
        ("hdr_22 transfer-encoding", "Connection", "Transfer-Encoding", 400),
        ("hdr_22 x-forwarded-for", "Connection", "x-forwarded-for", 400),
        ("hdr_22 x-real-ip", "Connection", "x-real-ip", 400),
        ("hdr_22 a pseudo field", "Connection", ":authority", 400),
        ("remote user", "Connection", "Remote-User", 400),
        ("a mapped name", "Connection", "X-Tenant", 200),
        ("the request's id", "Connection", "x-request-id", 200),
        ("a field of its own", "Connection", "traceparent", 200),
        ("the old name", "Proxy-Connection", "X-Auth-User", 200),
        ("keep-alive", "Keep-Alive", "X-Auth-User", 200),
        ("te", "TE", "trailers", 200),
        ("nothing nominated", "Connection", "keep-alive", 200),
    ];
    for (name, field, value, expected) in rows {
        for upgrade in [false, true] {
            let name = format!("{name}{}", if upgrade { " with an upgrade" } else { "" });
            let upgrading = match (upgrade, field) {
                (false, _) => "",
                (true, "Connection") => "connection: upgrade\r\nupgrade: websocket\r\n",
                (true, _) => "upgrade: websocket\r\nconnection: upgrade\r\n",
            };
            scene.app.forget();
            let mut raw = scene.raw(APP).await;
            raw.send(format!("GET /private HTTP/1.1\r\nhost: app.localhost\r\n{upgrading}{field}: {value}\r\ncookie: {ada}\r\ntraceparent: 00-1\r\n\r\n").as_bytes()).await;
            let answer = raw.answer().await.unwrap_or_else(|| panic!("{name}: no answer"));
            assert_eq!(answer.status, expected, "{name}");
            if expected == 400 {
                assert_eq!(scene.app.bytes(), 0, "{name}");
                continue;
            }
            let seen = scene.app.last();
            assert_only_ours(&seen, ADA);
            let connection = seen.one("connection").map(str::to_ascii_lowercase);
            assert!(matches!(connection.as_deref(), None | Some("keep-alive" | "upgrade")), "{name}: {connection:?}");
        }
    }
}

#[tokio::test]
async fn hdr_20_two_connection_lines_are_one_list() {
    let scene = Scene::with(plan()).await;
    for (lines, expected) in [
        ("connection: keep-alive\r\nconnection: x-auth-user\r\n", 400),
        ("connection: a, b, c, d\r\nconnection: e, f, g, h, i\r\n", 400),
        ("connection: keep-alive\r\nconnection: x-mine\r\n", 200),
    ] {
        let mut raw = scene.raw(APP).await;
        raw.send(format!("GET /public/x HTTP/1.1\r\nhost: app.localhost\r\n{lines}x-mine: 1\r\n\r\n").as_bytes()).await;
        assert_eq!(raw.answer().await.unwrap().status, expected, "{lines}");
    }
    assert_eq!((scene.app.seen().len(), scene.app.last().one("x-mine")), (1, None));
}

#[tokio::test]
async fn hdr_23_hop_by_hop_fields_end_here() {
    let scene = Scene::start().await;
    let sent = [
        ("connection", "keep-alive, x-hop"),
        ("x-hop", "1"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("proxy-authorization", "Basic eDp5"),
        ("proxy-authenticate", "Basic"),
        ("te", "trailers"),
        ("trailer", "x-sum"),
        ("http2-settings", "AAMAAABkAAQAAP__"),
        ("x-kept", "1"),
    ];
    assert_eq!(scene.ask(APP, "GET", "/public/x", &sent).await.status, 200);
    let seen = scene.app.last();
    for name in [
        "x-hop",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "proxy-authenticate",
        "te",
        "trailer",
        "http2-settings",
        "upgrade",
        "transfer-encoding",
    ] {
        assert_eq!(seen.one(name), None, "{name}");
    }
    assert_eq!(seen.one("x-kept"), Some("1"));
    let mut frames = Frames::connect(scene.address(), &scene.ca, APP).await;
    let request =
        [fields("GET", APP, "/public/x"), vec![(b"proxy-authorization", b"Basic eDp5"), (b"trailer", b"x-sum"), (b"te", b"trailers")]]
            .concat();
    assert_eq!(frames.ask(&request).await.status(), 200);
    let seen = scene.app.last();
    for name in ["proxy-authorization", "te", "trailer"] {
        assert_eq!(seen.one(name), None, "{name} from HTTP/2");
    }
}

#[tokio::test]
async fn hdr_31_a_trusted_proxy_is_believed_about_the_right_most_address_it_does_not_trust() {
    let server = format!("{}  trusted_proxies: [127.0.0.1/32, 192.0.2.0/24]\n", Plan::default().server);
    let scene = Scene::with(Plan { server, ..Plan::default() }).await;
    let mut ada = scene.signed_in(APP, "ada").await;
    for (name, fields, client) in [
        ("one", &[("x-forwarded-for", "10.1.2.3")][..], Some("10.1.2.3")),
        ("the client's own is to the left", &[("x-forwarded-for", "203.0.113.9, 10.1.2.3")], Some("10.1.2.3")),
        ("a trusted one is passed over", &[("x-forwarded-for", "10.1.2.3, 192.0.2.7")], Some("10.1.2.3")),
        ("two lines", &[("x-forwarded-for", "203.0.113.9"), ("x-forwarded-for", "10.1.2.3")], Some("10.1.2.3")),
        ("mapped", &[("x-forwarded-for", "::ffff:10.1.2.3")], Some("10.1.2.3")),
        ("a mapped trusted one", &[("x-forwarded-for", "10.1.2.3, ::ffff:192.0.2.7")], Some("10.1.2.3")),
        ("no spaces", &[("x-forwarded-for", "203.0.113.9,10.1.2.3,192.0.2.7")], Some("10.1.2.3")),
        ("garbage further left", &[("x-forwarded-for", "unknown, 10.1.2.3")], Some("10.1.2.3")),
        ("another right-most", &[("x-forwarded-for", "10.1.2.3, 203.0.113.9")], None),
        ("nothing", &[], None),
        ("only trusted ones", &[("x-forwarded-for", "192.0.2.7, 192.0.2.8")], None),
        ("a word", &[("x-forwarded-for", "unknown")], None),
        ("garbage right-most", &[("x-forwarded-for", "10.1.2.3, _hidden")], None),
        ("garbage behind a trusted one", &[("x-forwarded-for", "10.1.2.3, x, 192.0.2.7")], None),
        ("a port", &[("x-forwarded-for", "10.1.2.3:443")], None),
        ("brackets", &[("x-forwarded-for", "[::ffff:10.1.2.3]")], None),
        ("octal", &[("x-forwarded-for", "012.1.2.3")], None),
        ("short", &[("x-forwarded-for", "10.1")], None),
        ("a number", &[("x-forwarded-for", "167838211")], None),
        ("empty", &[("x-forwarded-for", "")], None),
        ("an empty last one", &[("x-forwarded-for", "10.1.2.3,")], None),
        (
            "other fields",
            &[("x-real-ip", "10.1.2.3"), ("forwarded", "for=10.1.2.3"), ("x-client-ip", "10.1.2.3"), ("true-client-ip", "10.1.2.3")],
            None,
        ),
        ("another spelling", &[("x_forwarded_for", "10.1.2.3")], None),
    ] {
        scene.app.forget();
        let status = ada.request("GET", "/lan/x", fields, b"").await.status;
        match client {
            Some(client) => {
                assert_eq!(status, 200, "{name}");
                let seen = scene.app.last();
                assert_eq!((seen.one("x-forwarded-for"), seen.one("x-real-ip")), (Some(client), Some(client)), "{name}");
            }
            None => assert_eq!((status, scene.app.bytes()), (403, 0), "{name}"),
        }
    }
    // Only the address is believed: never the scheme, the host or the path.
    let more = [
        ("x-forwarded-for", "10.1.2.3"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "evil.test"),
        ("x-forwarded-port", "80"),
        ("x-forwarded-uri", "/x"),
    ];
    assert_eq!(ada.request("GET", "/lan/x", &more, b"").await.status, 200);
    let seen = scene.app.last();
    assert_eq!((seen.one("x-forwarded-proto"), seen.one("x-forwarded-host"), seen.one("host")), (Some("https"), Some(APP), Some(APP)));
    assert_eq!((seen.one("x-forwarded-port"), seen.one("x-forwarded-uri")), (None, None));
    // HTTP/2 is asked in the same way.
    let mut frames = Frames::connect(scene.address(), &scene.ca, APP).await;
    let cookie = cookie_of(&ada);
    for (address, expected) in [("10.1.2.3", 200), ("x", 403)] {
        let request =
            [fields("GET", APP, "/lan/x"), vec![(b"cookie", cookie.as_bytes()), (b"x-forwarded-for", address.as_bytes())]].concat();
        assert_eq!(frames.ask(&request).await.status(), expected, "{address}");
    }
}

#[tokio::test]
async fn hdr_30_31_nobody_else_is_believed_about_an_address() {
    let scene = Scene::start().await;
    let mut ada = scene.signed_in(APP, "ada").await;
    for value in ["10.1.2.3", "::ffff:10.1.2.3", "127.0.0.1, 10.1.2.3"] {
        assert_eq!(ada.request("GET", "/lan/x", &[("x-forwarded-for", value)], b"").await.status, 403, "{value}");
    }
    assert_eq!(scene.app.bytes(), 0);
    assert_eq!(ada.request("GET", "/private", &[("x-forwarded-for", "10.1.2.3")], b"").await.status, 200);
    assert_eq!(scene.app.last().one("x-forwarded-for"), Some("127.0.0.1"));
}

const CLAIMS: &str = r#"
identity:
  roles: ["https://acme.dev/roles"]
headers:
  X-Auth-User: "{user}"
  X-Auth-Email: "{email}"
  X-Auth-Roles: "{roles}"
  X-Claim: "{claim:x}"
  X-Mixed: "u={user};x={claim:x}"
"#;

/// A token that says what `over` says, laid over what Ada's does; `null` takes a claim away.
fn token(scene: &Scene, over: &Value) -> String {
    let mut claims = scene.tenant.access_claims_for("ada", AUDIENCE, "openid read:items");
    for (name, value) in over.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    scene.tenant.sign(claims)
}

#[tokio::test]
async fn hdr_40_41_adv_cad_06_a_claim_is_one_line_of_visible_ascii_and_nothing_more() {
    let scene = Scene::with(Plan { identity: CLAIMS.into(), ..Plan::default() }).await;
    for (name, claim, value) in [
        ("plain", json!("a b"), Some("a b")),
        ("CR LF and a field", json!("a\r\nX-Auth-Roles: admin"), Some("a%0D%0AX-Auth-Roles: admin")),
        ("LF", json!("a\nb"), Some("a%0Ab")),
        ("NUL", json!("a\0b"), Some("a%00b")),
        ("controls", json!("\u{1}\u{1f}\u{7f}\t"), Some("%01%1F%7F%09")),
        ("letters", json!("Zoë"), Some("Zo%C3%AB")),
        ("emoji", json!("😀"), Some("%F0%9F%98%80")),
        ("right to left", json!("\u{202e}x"), Some("%E2%80%AEx")),
        ("spaces around", json!(" a "), Some("%20a%20")),
        ("a per cent sign", json!("100%0A"), Some("100%250A")),
        ("a comma in a text", json!("a,b"), Some("a,b")),
        ("a list", json!(["a", "b"]), Some("a,b")),
        ("a comma in an element", json!(["user,admin"]), Some("user%2Cadmin")),
        ("an escaped comma in an element", json!(["user%2Cadmin"]), Some("user%252Cadmin")),
        ("a number", json!(7), Some("7")),
        ("a truth", json!(true), Some("true")),
        ("an object", json!({"a": "b\n"}), Some("{\"a\":\"b\\n\"}")),
        ("empty", json!(""), None),
        ("an empty list", json!([]), None),
        ("absent", Value::Null, None),
        ("cad: braces", json!("{user}"), Some("{user}")),
        ("cad: a path", json!("{claim:email}"), Some("{claim:email}")),
        ("cad: double braces", json!("{{7*7}}"), Some("{{7*7}}")),
        ("cad: a shell", json!("${HOME} $(id) `id`"), Some("${HOME} $(id) `id`")),
        ("cad: an environment", json!("{env.HOME}{$HOME}"), Some("{env.HOME}{$HOME}")),
        ("cad: groups and formats", json!("$1 \\1 %h %s"), Some("$1 \\1 %25h %25s")),
    ] {
        let answer = scene.call("/items", &token(&scene, &json!({ "x": claim }))).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        let seen = scene.app.last();
        assert_eq!(seen.one("x-claim"), value, "{name}");
        assert_eq!(seen.one("x-auth-roles"), Some("admin"), "{name}");
        assert_eq!(seen.one("x-mixed"), Some(format!("u=auth0|ada;x={}", value.unwrap_or("")).as_str()), "{name}");
        assert!(seen.head.bytes().all(|byte| matches!(byte, b'\r' | b'\n' | 0x20..=0x7e)), "{name}: {}", seen.head);
    }
}

#[tokio::test]
async fn hdr_40_43_an_identity_that_does_not_fit_is_refused_and_never_cut() {
    let scene = Scene::with(Plan { identity: CLAIMS.into(), ..Plan::default() }).await;
    let fits = "x".repeat(3000);
    assert_eq!(scene.call("/items", &token(&scene, &json!({ "x": fits }))).await.status, 200);
    assert_eq!(scene.app.last().one("x-claim"), Some(fits.as_str()));
    scene.app.forget();
    for (name, claim) in [
        ("a long text", json!("x".repeat(5000))),
        ("a text that grows", json!("\u{202e}".repeat(1000))),
        ("a long list", json!(vec!["role"; 1500])),
    ] {
        let answer = scene.call("/items", &token(&scene, &json!({ "x": claim }))).await;
        assert_eq!((answer.status, answer.json()["error"].as_str()), (403, Some("identity_too_large")), "{name}");
    }
    assert_eq!(scene.app.bytes(), 0);
}

#[tokio::test]
async fn hdr_42_conc_02_an_app_never_sees_another_users_fields() {
    let scene = Scene::with(Plan { identity: CLAIMS.into(), ..Plan::default() }).await;
    // Every third has no e-mail address, every fourth no roles.
    let users: Vec<(String, Option<String>, Option<String>, String)> = (0..24)
        .map(|number| {
            let (sub, email, role) = (format!("auth0|user-{number}"), format!("user-{number}@acme.dev"), format!("role-{number}"));
            let (email, role) = ((number % 3 != 0).then_some(email), (number % 4 != 0).then_some(role));
            let claims = json!({ "sub": sub, "email": email, "https://acme.dev/roles": role.as_ref().map(|role| vec![role]), "x": format!("x-{number}") });
            let token = token(&scene, &claims);
            (sub, email, role, token)
        })
        .collect();
    let users = Arc::new(users);
    let mut clients = Vec::new();
    for client in 0..4 {
        let (users, mut raw) = (users.clone(), scene.raw(API).await);
        clients.push(tokio::spawn(async move {
            for round in 0..60 {
                let user = (round * 7 + client * 5) % users.len();
                let request = format!(
                    "GET /items?client={client}&user={user} HTTP/1.1\r\nhost: api.localhost\r\nauthorization: Bearer {}\r\n\r\n",
                    users[user].3
                );
                raw.send(request.as_bytes()).await;
                assert_eq!(raw.answer().await.unwrap().status, 200);
            }
        }));
    }
    for client in 4..6 {
        let (users, mut frames) = (users.clone(), Frames::connect(scene.address(), &scene.ca, API).await);
        clients.push(tokio::spawn(async move {
            for round in 0..60 {
                let user = (round * 5 + client * 11) % users.len();
                let (path, bearer) = (format!("/items?client={client}&user={user}"), format!("Bearer {}", users[user].3));
                let request = [fields("GET", API, &path), vec![(b"authorization", bearer.as_bytes())]].concat();
                assert_eq!(frames.ask(&request).await.status(), 200);
            }
        }));
    }
    for client in clients {
        client.await.unwrap();
    }
    let seen = scene.app.seen();
    assert_eq!(seen.len(), 360);
    assert!(
        seen.iter().map(|request| request.connection).collect::<std::collections::HashSet<_>>().len() < 60,
        "connections to the app are used again"
    );
    for request in seen {
        let number: usize = request.target().rsplit('=').next().unwrap().parse().unwrap();
        let (sub, email, role, _) = &users[number];
        assert_eq!(
            (request.one("x-auth-user"), request.one("x-auth-email"), request.one("x-auth-roles")),
            (Some(sub.as_str()), email.as_deref(), role.as_deref()),
            "{}",
            request.head
        );
        assert_eq!(request.one("x-claim"), Some(format!("x-{number}").as_str()));
    }
}

#[tokio::test]
async fn jwt_65_only_a_verified_bearer_token_goes_on_and_only_where_it_is_asked_for() {
    let scene = Scene::start().await;
    let token = scene.token("ada");
    let bearer = format!("Bearer {token}");
    assert_eq!(scene.call("/items", &token).await.status, 200);
    assert_eq!(scene.app.last().one("authorization"), None);
    assert_eq!(scene.ask("pass.localhost", "GET", "/x", &[("authorization", &bearer)]).await.status, 200);
    assert_eq!(scene.app.last().one("authorization"), Some(bearer.as_str()));
    assert_eq!(scene.ask("pass.localhost", "GET", "/x", &[("authorization", &format!("bEARER {token}"))]).await.status, 200);
    assert_eq!(scene.app.last().one("authorization"), Some(bearer.as_str()));
    // Nobody verified these.
    for (name, value) in [("another scheme", "Basic eDp5"), ("no token", "Bearer a.b.c"), ("an unknown scheme", "DPoP abc")] {
        scene.app.forget();
        assert_eq!(scene.ask(API, "GET", "/open/x", &[("authorization", value)]).await.status, 200, "{name}");
        assert_eq!(scene.app.last().one("authorization"), None, "{name}");
    }
    let mut ada = scene.signed_in(APP, "ada").await;
    assert_eq!(ada.request("GET", "/private", &[("authorization", "Basic eDp5")], b"").await.status, 200);
    assert_eq!(scene.app.last().one("authorization"), None);
    scene.app.forget();
    assert_eq!(scene.ask("pass.localhost", "GET", "/x", &[("authorization", "Basic eDp5")]).await.status, 401);
    assert_eq!(scene.app.bytes(), 0);
}

#[tokio::test]
async fn cookie_06_our_cookies_end_here_and_the_apps_go_on_byte_for_byte() {
    let scene = Scene::start().await;
    let ada = scene.signed_in(APP, "ada").await;
    let ours = cookie_of(&ada);
    let sealed = ada.cookies.values().next().unwrap().clone();
    for (name, cookie, kept) in [
        ("only ours", ours.clone(), None),
        ("ours first", format!("{ours}; a=1; b=2"), Some("a=1; b=2")),
        ("ours last", format!("a=1; {ours}"), Some("a=1")),
        ("ours between", format!("a=1; {ours}; b=2"), Some("a=1; b=2")),
        ("no spaces", format!("a=1;{ours};b=2"), Some("a=1; b=2")),
        ("odd spaces", format!("a=1 ;\t{ours} ; b=2"), Some("a=1; b=2")),
        ("quotes and signs", format!("q=\"x; y\"; {ours}; e==; n"), Some("q=\"x; y\"; e==; n")),
        ("an attempt", format!("{ours}; __Host-doorward-attempt.abc=xyz; a=1"), Some("a=1")),
        (
            "a name that looks like ours",
            format!("{ours}; __Host-doorwardx=1; x__Host-doorward=2"),
            Some("__Host-doorwardx=1; x__Host-doorward=2"),
        ),
    ] {
        let answer = scene.ask(APP, "GET", "/private", &[("cookie", &cookie)]).await;
        assert_eq!(answer.status, 200, "{name}");
        let seen = scene.app.last();
        assert_eq!(seen.one("cookie"), kept, "{name}");
        assert!(!seen.head.contains(&sealed), "{name}");
    }
    // On public paths, too, and whether or not it is any good.
    for cookie in [format!("{ours}; a=1"), "__Host-doorward=broken; a=1".to_owned(), "__Host-doorward=x; a=1; __Host-doorward=y".to_owned()]
    {
        assert_eq!(scene.ask(APP, "GET", "/public/x", &[("cookie", &cookie)]).await.status, 200);
        assert_eq!(scene.app.last().one("cookie"), Some("a=1"), "{cookie}");
    }
    // cookie_03: several lines, and the crumbs of HTTP/2, are one list.
    assert_eq!(scene.ask(APP, "GET", "/private", &[("cookie", "a=1"), ("cookie", &ours), ("cookie", "b=2")]).await.status, 200);
    assert_eq!(scene.app.last().one("cookie"), Some("a=1; b=2"));
    let mut frames = Frames::connect(scene.address(), &scene.ca, APP).await;
    let request = [fields("GET", APP, "/private"), vec![(b"cookie", b"a=1"), (b"cookie", ours.as_bytes()), (b"cookie", b"b=2")]].concat();
    assert_eq!(frames.ask(&request).await.status(), 200);
    assert_eq!(scene.app.last().one("cookie"), Some("a=1; b=2"));
}

#[tokio::test]
async fn cookie_07_an_app_cannot_set_our_cookies() {
    let app = Recorder::answering(Arc::new(|_| {
        let cookies = [
            "a=1; Path=/; HttpOnly",
            "__Host-doorward=evil; Path=/; Secure",
            "b=\"2\"; Expires=Wed, 21 Oct 2026 07:28:00 GMT",
            "__Host-doorward-attempt.x=evil; Path=/; Secure",
            " __Host-doorward =evil; Path=/",
            "__Host-doorward=; Max-Age=0; Path=/; Secure",
            "__Host-other=3; Path=/; Secure",
            "c",
        ];
        let lines: String = cookies.iter().map(|cookie| format!("set-cookie: {cookie}\r\n")).collect();
        Some(format!("HTTP/1.1 200 OK\r\n{lines}content-length: 0\r\n\r\n").into_bytes())
    }))
    .await;
    let scene = Scene::in_front_of(Plan::default(), app).await;
    let kept = ["a=1; Path=/; HttpOnly", "b=\"2\"; Expires=Wed, 21 Oct 2026 07:28:00 GMT", "__Host-other=3; Path=/; Secure", "c"];
    let mut ada = scene.signed_in(APP, "ada").await;
    let before = ada.cookies.clone();
    for (name, answer) in [("nobody", scene.ask(APP, "GET", "/public/x", &[]).await), ("signed in", ada.go("/private").await)] {
        assert_eq!(answer.all("set-cookie"), kept, "{name}");
    }
    assert_eq!(ada.cookies.get("__Host-doorward"), before.get("__Host-doorward"));
    let request = http::Request::get("https://app.localhost/public/x").body(()).unwrap();
    let answer = frames::ask(scene.address(), &scene.ca, request, b"").await.unwrap();
    assert_eq!(answer.headers().get_all("set-cookie").iter().collect::<Vec<_>>(), kept);
    assert_eq!(scene.metric("doorward_upstream_cookies_dropped_total").await, 12.0);
}
