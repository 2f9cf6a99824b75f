//! Where the original request is read.

use doorward_tests::asker::{Asker, CLIENT, HOOKS, Kind, Request};
use doorward_tests::scene::{APP, Plan, Scene};

async fn scene() -> Scene {
    Scene::with(Plan { server: HOOKS.into(), ..Plan::default() }).await
}

/// Never a yes, never an identity, and a reason in log and metric.
#[tokio::test]
async fn hook_02_whatever_is_missing_doubled_or_malformed_is_a_refusal() {
    let scene = scene().await;
    let asker = Asker::of(&scene);
    let browser = scene.signed_in(APP, "ada").await;
    let cookie = browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
    let mut asked = 0.0;
    for kind in [Kind::Traefik, Kind::Caddy, Kind::Haproxy, Kind::Nginx] {
        let question = Request::get(APP, "/private").with("cookie", &cookie).question(kind);
        assert_eq!(asker.send(&question).await.status, 200, "{kind:?}: the twin passes");
        let lines: Vec<&str> = question.split("\r\n").collect();
        for at in 1..lines.len() {
            let name = lines[at].split(':').next().unwrap();
            // nginx need not tell who the client is.
            if !name.starts_with("x-forwarded") && !name.starts_with("x-original") || (kind == Kind::Nginx && name == "x-forwarded-for") {
                continue;
            }
            let changed = |line: Option<String>| {
                let mut lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
                match line {
                    Some(line) => lines[at] = line,
                    None => drop(lines.remove(at)),
                }
                lines.join("\r\n")
            };
            let mut bad = vec![("missing", changed(None)), ("empty", changed(Some(format!("{name}:"))))];
            if name != "x-forwarded-for" {
                bad.push(("doubled", changed(Some(format!("{0}\r\n{0}", lines[at])))));
                bad.push(("contradicting", changed(Some(format!("{}\r\n{name}: other", lines[at])))));
            }
            for (what, question) in bad {
                let answer = asker.send(&question).await;
                assert!((400..500).contains(&answer.status), "{kind:?}: {name} {what}: {}", answer.status);
                assert!(answer.field("x-auth-user").is_none(), "{kind:?}: {name} {what}");
                assert_eq!(answer.field("x-doorward-decision"), Some("refuse"));
                asked += 1.0;
            }
        }
    }
    // Which field it was stands in the log, wherever it is not there exactly once.
    let log = scene.log().await;
    let named = log.iter().filter(|line| line["error"].as_str().is_some_and(|field| field.starts_with("x-"))).count();
    assert_eq!(named as f64, asked);
    let counted = scene.metric("doorward_decisions_total{decision=\"deny\",reason=\"hook_source\",route=\"none\"}").await;
    assert!(asked > 40.0 && counted == asked, "{counted} of {asked}");
    assert_eq!(scene.log().await.iter().filter(|line| line["reason"] == "hook_source").count() as f64, asked);
}

#[tokio::test]
async fn hook_04_targets_are_judged_as_in_proxy_mode_by_every_dialect() {
    let scene = scene().await;
    let asker = Asker::of(&scene);
    let long = format!("/public/{}", "a".repeat(9 * 1024));
    for kind in Kind::ALL {
        assert_eq!(asker.ask(kind, &Request::get(APP, "/public/x?a=/../b")).await.status, 200, "{kind:?}");
        for target in [
            "/public/../private",
            "/public/%2e%2e/private",
            "/public//x",
            "//public/x",
            "/public/..%2fprivate",
            "/public/%00",
            "/public/%",
            "/public/\\x",
            "/public/%c0%ae",
            "/public/x#y",
            &long,
        ] {
            let answer = asker.ask(kind, &Request::get(APP, target)).await;
            assert!((400..500).contains(&answer.status), "{kind:?}: {target}: {}", answer.status);
        }
        for host in ["app.localhost/x", "x@app.localhost", "app.localhost:x", "app_localhost", "unknown.localhost", ""] {
            let answer = asker.ask(kind, &Request::get(host, "/public/x")).await;
            assert!((400..500).contains(&answer.status), "{kind:?}: {host}: {}", answer.status);
        }
        for method in ["TRACE", "get", "CONNECT"] {
            let answer = asker.ask(kind, &Request::get(APP, "/public/x").by(method)).await;
            assert!((400..500).contains(&answer.status), "{kind:?}: {method}: {}", answer.status);
        }
        let raw = Request::get(APP, "/public/x").question(kind).replace("/public/x", "/public/\u{7f}");
        assert!((400..500).contains(&asker.send(&raw).await.status), "{kind:?}");
        let mut bytes = Request::get(APP, "/public/Q").question(kind).into_bytes();
        let at = bytes.windows(9).position(|window| window == b"/public/Q").unwrap();
        bytes[at + 8] = 0xff;
        assert!((400..500).contains(&asker.send(&bytes).await.status), "{kind:?}: not UTF-8");
    }
}

#[tokio::test]
async fn hook_02_thousands_of_forwarders_are_too_many() {
    let scene = scene().await;
    let asker = Asker::of(&scene);
    let many = |count: usize| vec!["1.1.1.1"; count].join(",");
    for (list, passes) in [(many(60), true), (many(65), false), (many(5000), false), ("0.0.0.0".into(), false), ("::".into(), false)] {
        let count = list.len();
        for kind in Kind::ALL {
            let question = Request::get(APP, "/public/x").question(kind).replace(CLIENT, &list);
            let answer = asker.send(&question).await;
            assert_eq!(answer.status == 200, passes, "{kind:?}: {count}: {}", answer.status);
        }
    }
}

#[tokio::test]
async fn hook_03_the_sources_of_other_dialects_are_ignored() {
    let scene = scene().await;
    let asker = Asker::of(&scene);
    let forged = [
        ("x-original-url", "https://app.localhost/public/x"),
        ("x-original-uri", "/public/x"),
        ("x-original-method", "GET"),
        ("x-rewrite-url", "/public/x"),
        ("x-envoy-original-path", "/public/x"),
        ("x-http-method-override", "GET"),
        ("x-auth-request-redirect", "/public/x"),
    ];
    for kind in [Kind::Traefik, Kind::Caddy, Kind::Haproxy] {
        let closed = forged.iter().fold(Request::get(APP, "/closed/x"), |request, (name, value)| request.with(name, value));
        assert_eq!(asker.ask(kind, &closed).await.status, 403, "{kind:?}");
        let open = forged.iter().fold(Request::get(APP, "/public/x"), |request, (name, value)| request.with(name, value));
        assert_eq!(asker.ask(kind, &open).await.status, 200, "{kind:?}");
    }
    let forged = [
        ("x-forwarded-uri", "/public/x"),
        ("x-forwarded-method", "GET"),
        ("x-forwarded-host", "app.localhost"),
        ("x-original-uri", "/public/x"),
        ("x-rewrite-url", "/public/x"),
    ];
    let closed = forged.iter().fold(Request::get(APP, "/closed/x"), |request, (name, value)| request.with(name, value));
    assert_eq!(asker.ask(Kind::Nginx, &closed).await.status, 403);
    assert_eq!(asker.ask(Kind::Envoy, &closed).await.status, 403);
    let open = forged.iter().fold(Request::get(APP, "/public/x"), |request, (name, value)| request.with(name, value));
    assert_eq!(asker.ask(Kind::Nginx, &open).await.status, 200);
    assert_eq!(asker.ask(Kind::Envoy, &open).await.status, 200);
}

#[tokio::test]
async fn hook_03_the_detecting_endpoint_takes_one_kind_of_source_only() {
    let scene = scene().await;
    let asker = Asker::of(&scene);
    let forwarded = [
        ("host", "doorward.internal"),
        ("x-forwarded-method", "GET"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", APP),
        ("x-forwarded-uri", "/public/x"),
        ("x-forwarded-for", CLIENT),
    ];
    let original = [("host", "doorward.internal"), ("x-original-url", "https://app.localhost/public/x"), ("x-original-method", "GET")];
    assert_eq!(asker.request("GET", "/_doorward/check", &forwarded).await.status, 200);
    assert_eq!(asker.request("HEAD", "/_doorward/check", &forwarded).await.status, 200);
    assert_eq!(asker.request("GET", "/_doorward/check", &original).await.status, 200);
    assert_eq!(asker.request("GET", "/_doorward/check", &forwarded[..1]).await.status, 403);
    for extra in [("x-original-url", "https://app.localhost/x"), ("x-original-uri", "/x"), ("x-rewrite-url", "/x")] {
        let both: Vec<_> = forwarded.iter().copied().chain([extra]).collect();
        assert_eq!(asker.request("GET", "/_doorward/check", &both).await.status, 403, "{extra:?}");
    }
    for extra in [("x-forwarded-uri", "/x"), ("x-forwarded-method", "GET")] {
        let both: Vec<_> = original.iter().copied().chain([extra]).collect();
        assert_eq!(asker.request("GET", "/_doorward/check", &both).await.status, 403, "{extra:?}");
    }
}

#[tokio::test]
async fn hook_03_nginx_is_not_asked_to_remove_names_it_cannot_know() {
    let scene = scene().await;
    let asker = Asker::of(&scene);
    for (name, status) in [("x-auth-user", 200), ("remote-user", 200), ("x-colour", 200), ("x-auth-colour", 403), ("remote-colour", 403)] {
        let answer = asker.ask(Kind::Nginx, &Request::get(APP, "/public/x").with(name, "red")).await;
        assert_eq!(answer.status, status, "{name}");
        assert_eq!(asker.ask(Kind::Traefik, &Request::get(APP, "/public/x").with(name, "red")).await.status, 200, "{name}");
    }
    assert_eq!(scene.metric("doorward_decisions_total{decision=\"deny\",reason=\"forged_header\",route=\"none\"}").await, 2.0);
}

#[tokio::test]
async fn hdr_01_a_spelling_that_servers_fold_into_ours_is_refused_where_the_host_left_it_in() {
    let scene = scene().await;
    let asker = Asker::of(&scene);
    for (name, status) in [
        ("x_auth_user", 403),
        ("X.Auth.User", 403),
        ("x_forwarded_for", 403),
        ("remote_user", 403),
        ("x_device_id", 200),
        ("x.colour", 200),
    ] {
        for kind in [Kind::Traefik, Kind::Caddy, Kind::Haproxy, Kind::Nginx] {
            let answer = asker.ask(kind, &Request::get(APP, "/public/x").with(name, "root")).await;
            assert_eq!(answer.status, status, "{kind:?}: {name}");
        }
    }
}

/// An absolute target names one host, `Host` another: nginx goes by the first, `$http_host` is the second.
#[tokio::test]
async fn authy_05_two_hosts_of_ours_in_one_question_are_refused() {
    let scene = scene().await;
    let asker = Asker::of(&scene);
    let question = Request::get(APP, "/public/x").question(Kind::Nginx);
    for (host, status) in
        [("doorward.internal", 200), (APP, 200), ("APP.localhost:8443", 200), ("both.localhost", 403), ("api.localhost", 403)]
    {
        assert_eq!(asker.send(question.replace("host: doorward.internal", &format!("host: {host}"))).await.status, status, "{host}");
    }
}

#[tokio::test]
async fn rate_01_a_second_question_about_one_request_counts_nothing_again() {
    let scene = scene().await;
    let asker = Asker::of(&scene);
    let question = Request::get("api.localhost", "/items").with("authorization", "Bearer x.y.z").question(Kind::Nginx);
    let refused = "doorward_decisions_total{decision=\"challenge\",reason=\"token_malformed\",route=\"api\"}";
    for _ in 0..3 {
        assert_eq!(asker.send(&question).await.status, 401);
        assert_eq!(asker.send(question.replace("check/nginx", "check/nginx/refusal")).await.status, 401);
    }
    assert_eq!(scene.metric(refused).await, 3.0);
    assert_eq!(scene.log().await.iter().filter(|line| line["dialect"] == "nginx_refusal").count(), 3);
}

#[tokio::test]
async fn hook_08_a_question_with_content_is_answered_and_its_connection_ends() {
    let scene = scene().await;
    let asker = Asker::of(&scene);
    let question = Request::get(APP, "/public/x").question(Kind::Traefik);
    let with = |extra: &str, body: &str| question.replacen("\r\n\r\n", &format!("\r\n{extra}\r\n\r\n{body}"), 1);
    // nginx with `proxy_pass_request_body off` and the client's length: the content never comes.
    for (extra, body) in [
        ("content-length: 1000000", ""),
        ("content-length: 4", "body"),
        ("transfer-encoding: chunked", "4\r\nbody\r\n0\r\n\r\n"),
        ("transfer-encoding: chunked", ""),
    ] {
        let mut raw = asker.connect().await;
        raw.send(with(extra, body).as_bytes()).await;
        assert_eq!(raw.answer().await.unwrap().status, 200, "{extra}");
        assert!(raw.is_closed().await, "{extra}");
    }
    // Without content the connection goes on.
    let mut raw = asker.connect().await;
    for _ in 0..3 {
        raw.send(question.as_bytes()).await;
        assert_eq!(raw.answer().await.unwrap().status, 200);
    }
    // What is larger than any header may be is no question.
    let large = with(&format!("x-large: {}", "a".repeat(64 * 1024)), "");
    assert_eq!(asker.send(large).await.status, 431);
    for extra in ["upgrade: websocket\r\nconnection: upgrade", "expect: 100-continue"] {
        assert_eq!(asker.send(with(extra, "")).await.status, 200, "{extra}");
    }
}

#[tokio::test]
async fn hook_02_a_request_without_tls_is_sent_to_where_there_is_some() {
    let scene = scene().await;
    let asker = Asker::of(&scene);
    for kind in [Kind::Traefik, Kind::Caddy, Kind::Haproxy, Kind::Nginx] {
        let plain = |request: &Request<'_>| {
            request.question(kind).replace("x-forwarded-proto: https", "x-forwarded-proto: http").replace("url: https:", "url: http:")
        };
        let answer = asker.send(plain(&Request::visit(APP, "/public/x?a=b"))).await;
        assert_eq!(answer.location(), "https://app.localhost/public/x?a=b", "{kind:?}");
        assert_eq!(answer.status, if kind == Kind::Nginx { 401 } else { 302 }, "{kind:?}");
        assert_eq!(asker.send(plain(&Request::get(APP, "/public/x"))).await.status, 403, "{kind:?}");
        assert_eq!(asker.send(plain(&Request::visit("unknown.localhost", "/"))).await.status, 403, "{kind:?}");
    }
    // Traefik's words for a handshake.
    let handshake = Request::get(APP, "/public/ws").question(Kind::Traefik);
    for (scheme, status) in [("wss", 200), ("ws", 403), ("gopher", 400)] {
        let question = handshake.replace("proto: https", &format!("proto: {scheme}"));
        assert_eq!(asker.send(&question).await.status, status, "{scheme}");
    }
}
