//! The store that a configuration asks for, under a whole edge.

use std::path::Path;
use std::time::Duration;

use doorward_proxy::access_log::AccessLog;
use doorward_proxy::keys::Tempo;
use doorward_proxy::serve::Doorward;
use doorward_proxy::store::FILE;
use doorward_tests::redis::RedisServer;
use doorward_tests::scene::{APP, Plan, Scene};

const LIMITS: &str = "  idle: 1h\n  lifetime: 12h\n";

fn plan(server: &str, session: &str) -> Plan {
    let usual = Plan::default();
    Plan { server: format!("{}{server}", usual.server), session: format!("{LIMITS}{session}"), ..usual }
}

fn of_redis(server: &RedisServer) -> Plan {
    plan("", &format!("  store: redis\n  redis: {{ url: \"redis://127.0.0.1:{}/0\" }}\n", server.port()))
}

fn of_file(state_dir: &Path) -> Plan {
    plan(&format!("  state_dir: \"{}\"\n", state_dir.display()), "  store: file\n")
}

/// Somebody signs in; the edge stops, and another starts from the same files.
async fn status_after_a_restart(plan: Plan) -> u16 {
    let mut scene = Scene::with(plan).await;
    let mut browser = scene.signed_in(APP, "ada").await;
    assert_eq!(browser.fetch("/private").await.status, 200);
    assert!(scene.stop().await);
    let twin = scene.twin(|text| text).await;
    twin.visit(&browser).fetch("/private").await.status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_survive_a_restart_where_the_store_does() {
    let (server, state_dir) = (RedisServer::start(), tempfile::tempdir().unwrap());
    assert_eq!(status_after_a_restart(of_redis(&server)).await, 200);
    assert_eq!(status_after_a_restart(of_file(state_dir.path())).await, 200);
    assert_eq!(status_after_a_restart(plan("", "  store: cookie\n")).await, 200);
    assert_eq!(status_after_a_restart(plan("", "  store: memory\n")).await, 401);
    let beside = tempfile::tempdir().unwrap();
    let memory = plan(&format!("  state_dir: \"{}\"\n", beside.path().display()), "  store: memory\n");
    assert_eq!(status_after_a_restart(memory).await, 401, "in memory is in memory, also where sign-outs go to the disk");
    assert!(beside.path().join(FILE).exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sess_41_an_unreachable_redis_refuses_strangers_without_sending_them_to_sign_in() {
    let mut server = RedisServer::start();
    let scene = Scene::with(of_redis(&server)).await;
    let browser = scene.signed_in(APP, "ada").await;
    let twin = scene.twin(|text| text).await;
    server.kill();
    assert_eq!(browser.clone().fetch("/private").await.status, 200, "known here");
    let unknown = twin.visit(&browser).fetch("/private").await;
    assert_eq!(unknown.status, 503, "{}", unknown.text());
    assert!(unknown.field("retry-after").is_some());
    assert_eq!(twin.visit(&browser).go("/private").await.status, 503, "no way to the provider either");
    server.start_again();
    for _ in 0..100 {
        if twin.visit(&browser).fetch("/private").await.status == 200 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("redis is back, and nobody noticed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_starts_without_its_redis_and_finds_it_later() {
    let mut server = RedisServer::stopped(Default::default());
    let scene = Scene::with(of_redis(&server)).await;
    assert_eq!(scene.ask(APP, "GET", "/public/x", &[]).await.status, 200);
    server.start_again();
    for _ in 0..100 {
        let mut browser = scene.browser(APP);
        if scene.sign_in(&mut browser, "/private", "ada").await.status == 303 && browser.fetch("/private").await.status == 200 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("nobody can sign in");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_on_the_same_folder_does_not_start_and_says_why() {
    let state_dir = tempfile::tempdir().unwrap();
    let mut scene = Scene::with(of_file(state_dir.path())).await;
    let start = |path: std::path::PathBuf| {
        tokio::task::spawn_blocking(move || {
            let settings = doorward_config::load(&path).unwrap_or_else(|report| panic!("{}", report.render(false))).settings;
            Doorward::start(settings, Tempo::default(), AccessLog::new(std::io::sink())).map(drop).map_err(|fault| fault.to_string())
        })
    };
    let refused = start(scene.configuration()).await.unwrap().unwrap_err();
    assert!(refused.contains("in use by another process"), "{refused}");
    assert!(scene.stop().await);
    assert_eq!(start(scene.configuration()).await.unwrap(), Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sess_42_a_copy_of_the_store_tells_nothing_about_who_is_signed_in() {
    let (server, state_dir) = (RedisServer::start(), tempfile::tempdir().unwrap());
    for plan in [of_redis(&server), of_file(state_dir.path())] {
        let mut scene = Scene::with(plan).await;
        let browser = scene.signed_in(APP, "ada").await;
        let ticket = &browser.cookies[doorward_policy::session::COOKIE];
        assert!(ticket.len() < 300, "a ticket is small: {} bytes", ticket.len());
        assert!(scene.stop().await);
    }
    let file = std::fs::read(state_dir.path().join(FILE)).unwrap();
    for (what, bytes) in [("redis", server.dump()), ("file", file)] {
        assert!(bytes.len() > 500, "{what}: there is a session in it");
        // A JWT begins like this, in base64 and out of it.
        for part in ["ada@", "acme.dev", "{\"alg\"", "eyJhbGci", "\"sub\"", "auth0|"] {
            let found = bytes.windows(part.len()).any(|window| window == part.as_bytes());
            assert!(!found, "{what} holds `{part}`");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sess_40_who_does_not_know_who_was_signed_out_vouches_for_nobody() {
    let mut server = RedisServer::start();
    let shared = plan("", &format!("  store: cookie\n  redis: {{ url: \"redis://127.0.0.1:{}/0\" }}\n", server.port()));
    let scene = Scene::with(shared).await;
    let mut browser = scene.signed_in(APP, "ada").await;
    server.kill();
    // Who knew once goes on; who begins now cannot know.
    let twin = scene.twin(|text| text).await;
    assert_eq!(browser.fetch("/private").await.status, 200);
    let mut visit = twin.visit(&browser);
    let unknown = visit.fetch("/private").await;
    assert_eq!((unknown.status, unknown.field("retry-after").is_some()), (503, true), "{}", unknown.text());
    assert_eq!(visit.fetch("/public/page").await.status, 200, "what asks for nobody needs nobody");
    server.start_again();
    let mut status = 0;
    for _ in 0..60 {
        status = visit.fetch("/private").await.status;
        if status == 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    assert_eq!(status, 200);
}
