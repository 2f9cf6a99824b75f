//! Records of the store, when the keys change that seal them.

use doorward_proxy::keys::Tempo;
use doorward_tests::scene::{SESSION_KEY, Scene};

use super::*;

const SECOND: &str = "3rKuUezJLHAZX7Ow2fGRKuWHNfOmUI3Wqs3A2yLpcgM=";

#[tokio::test]
async fn sess_35_a_session_that_is_used_after_a_rotation_outlives_the_old_key() {
    let tempo = Tempo { key_settles: Duration::ZERO, ..Tempo::default() };
    let state = tempfile::tempdir().unwrap();
    let session = format!("  idle: 1h\n  lifetime: 12h\n  store: file\n{REFRESH}");
    let server = format!("  state_dir: {}\n", state.path().display());
    let mut scene = Scene::with(Plan { session, server, tempo, ..plan() }).await;
    let mut used = signed_in(&scene, "ada", 3600).await;
    let unused = signed_in(&scene, "eddie", 3600).await;
    let write = |keys: &str| std::fs::write(scene.folder.path().join("session.key"), keys).unwrap();

    write(&format!("{SECOND}\n{SESSION_KEY}\n"));
    until("the ring is in use", || async { scene.metric("doorward_session_key_reloads_total{outcome=\"ok\"}").await > 0.0 }).await;
    let before = used.cookies.clone();
    assert_eq!(used.fetch("/private").await.status, 200);
    assert_ne!(used.cookies, before, "the ticket was renewed");
    // Written again beside the request.
    tokio::time::sleep(Duration::from_millis(700)).await;
    write(SECOND);
    scene.stop().await;
    tokio::time::sleep(Duration::from_secs(1)).await;

    // Nothing is known there but what the file holds.
    let twin = scene.twin(|text| text).await;
    assert_eq!(twin.visit(&used).fetch("/private").await.status, 200);
    assert_eq!(twin.visit(&unused).fetch("/private").await.status, 401, "its ticket and its record are under the key that went");
}
