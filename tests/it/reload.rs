//! Another configuration while requests pass: what counts at once, what goes on, and what changes nothing.

mod admin;
mod files;
mod goes_on;
mod load;
mod places;

use std::sync::Arc;
use std::time::{Duration, Instant};

use doorward_proxy::reload::Refused;
use doorward_tests::recorder::Recorder;
use doorward_tests::scene::{API, APP, Plan, Scene};

/// Waits until something is so, which it is soon.
pub(crate) async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !so().await {
        assert!(begun.elapsed() < Duration::from_secs(10), "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn adv_aut_06_a_new_denial_counts_at_once_for_sessions_and_remembered_tokens() {
    let scene = Scene::start().await;
    let (mut ada, token) = (scene.signed_in(APP, "ada").await, scene.token("ada"));
    assert_eq!((ada.go("/private").await.status, scene.call("/x", &token).await.status), (200, 200));
    scene
        .reconfigure(|text| {
            text.replace("- { allow: signed-in }\n  - name: api", "- { allow: nobody }\n  - name: api")
                .replace("{ scope: \"read:items\" }", "{ scope: \"other\" }")
        })
        .await;
    assert_eq!((ada.go("/private").await.status, scene.call("/x", &token).await.status), (403, 403));
    assert_eq!(ada.go("/public/x").await.status, 200, "what did not change is as it was");
}

#[tokio::test]
async fn adm_02_a_bad_file_changes_nothing_and_is_said_with_its_place() {
    let scene = Scene::start().await;
    assert_eq!(scene.metric("doorward_config_last_reload_success").await, 1.0);
    let hash = hash(&scene).await;
    scene.rewrite(|text| text.replace("allow: nobody", "allow: noboddy"));
    let refused = scene.reload().await.unwrap_err();
    let Refused::Configuration(report) = &refused else { panic!("{refused}") };
    let [problem] = report.problems() else { panic!("{refused}") };
    assert!(problem.place.is_some() && problem.key.starts_with("routes[0].rules["), "{refused}");
    assert_eq!(scene.metric("doorward_config_last_reload_success").await, 0.0);
    assert_eq!(scene.ask(APP, "GET", "/public/x", &[]).await.status, 200);
    assert_eq!(self::hash(&scene).await, hash);
    scene.reconfigure(|text| text.replace("allow: noboddy", "allow: signed-in")).await;
    assert_eq!(scene.metric("doorward_config_last_reload_success").await, 1.0);
    assert_ne!(self::hash(&scene).await, hash);
    assert!(scene.metric("doorward_config_last_reload_timestamp_seconds").await > 1.7e9);
}

/// The one series of the hash.
async fn hash(scene: &Scene) -> String {
    let (_, text) = scene.admin("/metrics").await;
    let mut lines = text.lines().filter(|line| line.starts_with("doorward_config_hash_info{"));
    let (line, None) = (lines.next().unwrap().to_owned(), lines.next()) else { panic!("{text}") };
    line
}

#[tokio::test]
async fn what_needs_a_restart_is_refused_by_its_key() {
    let scene = Scene::start().await;
    for (key, from, to) in [
        ("server.listen", "listen: [\"127.0.0.1:0\"]", "listen: [\"127.0.0.1:0\", \"127.0.0.2:0\"]"),
        ("server.admin", "admin: 127.0.0.1:0", "admin: 127.0.0.2:0"),
        ("server.cores", "cores: 2", "cores: 3"),
        ("server.redirect", "  cores: 2\n", "  cores: 2\n  redirect: [\"127.0.0.1:0\"]\n"),
        ("server.hooks.listen", "  cores: 2\n", "  cores: 2\n  hooks: { listen: [\"127.0.0.1:0\"], trusted_peers: [127.0.0.0/8] }\n"),
    ] {
        let before = std::fs::read_to_string(scene.configuration()).unwrap();
        scene.rewrite(|text| text.replace(from, to).replace("allow: nobody", "allow: public"));
        let Err(Refused::Fixed(fixed)) = scene.reload().await else { panic!("{key}") };
        assert_eq!(fixed.iter().map(|fixed| fixed.key).collect::<Vec<_>>(), [key]);
        assert_eq!(scene.ask(APP, "GET", "/closed/x", &[]).await.status, 403, "nothing else of it counts: {key}");
        std::fs::write(scene.configuration(), before).unwrap();
    }
    scene.reconfigure(|text| text.replace("allow: nobody", "allow: public")).await;
    assert_eq!(scene.ask(APP, "GET", "/closed/x", &[]).await.status, 200);
}

#[tokio::test]
async fn the_key_of_the_published_examples_is_refused_by_a_reload_as_by_a_start() {
    let scene = Scene::start().await;
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/examples/secrets/session.key");
    std::fs::copy(example, scene.folder.path().join("session.key")).unwrap();
    let refused = scene.reload().await.unwrap_err();
    assert!(refused.to_string().contains("session.keys holds the key of the published examples"), "{refused}");
}

#[tokio::test]
async fn limits_fields_prefix_and_pages_count_for_the_next_request_and_connection() {
    let scene = Scene::start().await;
    let long = "x".repeat(9_000);
    let mut open = scene.raw(APP).await;
    let ask = format!("GET /public/x HTTP/1.1\r\nhost: {APP}\r\nx-long: {long}\r\n\r\n");
    open.send(ask.as_bytes()).await;
    let answer = open.answer().await.unwrap();
    assert_eq!((answer.status, answer.field("strict-transport-security")), (200, None));
    scene
        .reconfigure(|text| {
            let server = "  prefix: /-/door\n  hsts: { max_age: 30d }\n  trusted_proxies: [127.0.0.0/8]\n";
            text.replace(
                "  limits: { connections_per_client: 1000 }\n",
                &format!("{server}  limits: {{ connections_per_client: 1, header_bytes: 8KiB }}\n"),
            )
        })
        .await;
    let mut next = scene.raw(APP).await;
    next.send(ask.as_bytes()).await;
    assert_eq!(next.answer().await.unwrap().status, 431);
    // 127.0.0.1 is a proxy now, and stands for many clients.
    let answer = scene.ask(APP, "GET", "/public/x", &[("x-forwarded-for", "192.0.2.7")]).await;
    assert_eq!((answer.status, answer.field("strict-transport-security")), (200, Some("max-age=2592000")));
    assert_eq!(scene.log().await.last().unwrap()["client"], "192.0.2.7");
    assert_eq!(scene.ask(APP, "GET", "/-/door/session", &[]).await.status, 401);
    scene.ask(APP, "GET", "/_doorward/session", &[]).await;
    assert_eq!(scene.log().await.last().unwrap()["decision"], "challenge", "an app's path like any other");
}

#[tokio::test]
async fn a_server_that_moves_is_resolved_before_it_is_sent_anything() {
    let (scene, other) = (Scene::start().await, Recorder::start().await);
    let before = scene.edge().runtime();
    let (from, to) = (scene.app.address(), other.address());
    scene.reconfigure(|text| text.replacen(&format!("http://{from}"), &format!("http://localhost:{}", to.port()), 1)).await;
    assert_eq!(scene.ask(APP, "GET", "/public/x", &[]).await.status, 200);
    assert_eq!((other.seen().len(), scene.app.seen().len()), (1, 0));
    let (was, is) = (&before.upstreams, &scene.edge().runtime().upstreams);
    let same: Vec<bool> = was.iter().zip(is).map(|(was, is)| Arc::ptr_eq(was.as_ref().unwrap(), is.as_ref().unwrap())).collect();
    assert_eq!(same, [false, true, true, true], "a pool that nothing is new about goes on, with its connections");
}

#[tokio::test]
async fn series_of_routes_that_are_gone_are_gone_and_the_others_go_on() {
    let scene = Scene::start().await;
    scene.ask(APP, "GET", "/public/x", &[]).await;
    scene.call("/x", &scene.token("ada")).await;
    let answered = |route: &str| format!("doorward_requests_total{{code=\"2xx\",route=\"{route}\"}}");
    assert_eq!(scene.metric(&answered("app")).await, 1.0);
    for round in 0..20 {
        let (from, to) = (if round == 0 { "api".to_owned() } else { format!("api-{}", round - 1) }, format!("api-{round}"));
        scene.reconfigure(|text| text.replace(&format!("name: {from}\n"), &format!("name: {to}\n"))).await;
        assert_eq!(scene.call("/x", &scene.token("ada")).await.status, 200);
    }
    scene.ask(APP, "GET", "/public/x", &[]).await;
    assert_eq!(scene.metric(&answered("app")).await, 2.0);
    assert_eq!(scene.metric(&answered("api-19")).await, 1.0);
    let (_, text) = scene.admin("/metrics").await;
    let names: std::collections::BTreeSet<&str> =
        text.lines().filter_map(|line| line.split("route=\"").nth(1)?.split('"').next()).collect();
    assert_eq!(names.into_iter().filter(|name| name.starts_with("api")).collect::<Vec<_>>(), ["api-19"]);
    until("earlier configurations are freed", async || scene.edge().reloader().retired() == 0).await;
}

#[tokio::test]
async fn hook_01_peers_and_their_secret_are_those_of_the_configuration_in_use() {
    let hooks = "  hooks: { listen: [\"127.0.0.1:0\"], trusted_peers: [127.0.0.0/8], secret: { file: asker } }\n";
    let files = vec![("asker".into(), "the-first-secret-of-hooks".into())];
    let scene = Scene::with(Plan { server: hooks.into(), files, ..Plan::default() }).await;
    let address = scene.edge().hook_addresses()[0];
    let ask = async |secret: &str| {
        let url = format!("http://{address}/_doorward/check/traefik");
        let request = reqwest::Client::new().get(url).header("x-doorward-secret", secret);
        let told = [("method", "GET"), ("proto", "https"), ("host", APP), ("uri", "/public/x"), ("for", "192.0.2.1")];
        told.iter()
            .fold(request, |request, (name, value)| request.header(format!("x-forwarded-{name}"), *value))
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!((ask("the-first-secret-of-hooks").await, ask("another-secret-of-hooks").await), (200, 403));
    std::fs::write(scene.folder.path().join("asker"), "another-secret-of-hooks").unwrap();
    scene.reload().await.unwrap();
    assert_eq!((ask("the-first-secret-of-hooks").await, ask("another-secret-of-hooks").await), (403, 200));
    scene.reconfigure(|text| text.replace("trusted_peers: [127.0.0.0/8]", "trusted_peers: [192.0.2.0/24]")).await;
    assert_eq!(ask("another-secret-of-hooks").await, 403);
}

#[tokio::test]
async fn a_provider_that_did_not_change_is_not_asked_for_its_keys_again() {
    let scene = Scene::start().await;
    let token = scene.token("ada");
    assert_eq!(scene.call("/x", &token).await.status, 200);
    let fetches = "doorward_jwks_fetch_total{outcome=\"ok\",provider=\"tenant\"}";
    assert_eq!(scene.metric(fetches).await, 1.0);
    scene.reconfigure(|text| text.replace("allow: nobody", "allow: signed-in")).await;
    assert_eq!(scene.call("/x", &token).await.status, 200);
    // Nor one of which only the label is new.
    scene.reconfigure(|text| text.replace("    insecure_http: true\n", "    insecure_http: true\n    label: Acme\n")).await;
    assert_eq!(scene.call("/x", &token).await.status, 200);
    assert_eq!(scene.metric(fetches).await, 1.0);
    let spoiled = format!("{}x", &token[..token.len() - 1]);
    assert_eq!(scene.ask(API, "GET", "/x", &[("authorization", &format!("Bearer {spoiled}"))]).await.status, 401);
}
