//! The sealing keys change while people are signed in.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use doorward_policy::session::COOKIE;
use doorward_proxy::keys::Tempo;
use doorward_tests::scene::{APP, Plan, SESSION_KEY, Scene};

const SECOND: &str = "3rKuUezJLHAZX7Ow2fGRKuWHNfOmUI3Wqs3A2yLpcgM=";
const THIRD: &str = "q83vEjRWeJCrze8SNFZ4kAECAwQFBgcICQoLDA0ODxA=";

/// An edge on which a new key seals at once.
fn hasty() -> Plan {
    Plan { tempo: Tempo { key_settles: Duration::ZERO, ..Tempo::default() }, ..Plan::default() }
}

/// Writes the ring and waits until it is in use.
async fn rotate(scene: &Scene, keys: &[&str]) {
    let series = "doorward_session_key_reloads_total{outcome=\"ok\"}";
    let before = scene.metric(series).await;
    write(scene.folder.path(), keys);
    for _ in 0..100 {
        if scene.metric(series).await > before {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the ring was not read again");
}

/// A new file in the place of the old one, as editors and Kubernetes do.
fn write(folder: &Path, keys: &[&str]) {
    std::fs::write(folder.join("session.key.new"), keys.join("\n")).unwrap();
    std::fs::rename(folder.join("session.key.new"), folder.join("session.key")).unwrap();
}

#[tokio::test]
async fn sess_35_the_new_key_seals_the_old_one_opens_and_a_removed_one_refuses() {
    for store in ["cookie", "memory"] {
        let session = format!("  idle: 1h\n  lifetime: 12h\n  store: {store}\n");
        let scene = Scene::with(Plan { session, ..hasty() }).await;
        let mut browser = scene.signed_in(APP, "ada").await;
        let old = browser.cookies[COOKIE].clone();

        rotate(&scene, &["# the new one", SECOND, "", SESSION_KEY]).await;
        assert_eq!(browser.fetch("/private").await.status, 200, "{store}: the old one opens");
        assert_ne!(browser.cookies[COOKIE], old, "{store}: sealed anew");

        rotate(&scene, &[SECOND]).await;
        assert_eq!(browser.fetch("/private").await.status, 200, "{store}: sealed under the one that stayed");
        browser.cookies.insert(COOKIE.into(), old);
        assert_eq!(browser.fetch("/private").await.status, 401, "{store}: sealed under the one that went");
    }
}

#[tokio::test]
async fn sess_35_a_ring_that_cannot_be_used_changes_nothing() {
    let scene = Scene::start().await;
    let mut browser = scene.signed_in(APP, "ada").await;
    for broken in [&[][..], &["not a key"], &[SECOND, SECOND]] {
        let before = scene.metric("doorward_session_key_reloads_total{outcome=\"error\"}").await;
        write(scene.folder.path(), broken);
        let mut seen = false;
        for _ in 0..100 {
            seen = scene.metric("doorward_session_key_reloads_total{outcome=\"error\"}").await > before;
            if seen {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(seen, "{broken:?}");
        assert_eq!(browser.fetch("/private").await.status, 200, "{broken:?}");
    }
    // What is right again is taken.
    rotate(&scene, &[SECOND, SESSION_KEY]).await;
    assert_eq!(browser.fetch("/private").await.status, 200);
}

#[tokio::test]
async fn sess_35_rotating_under_load_loses_no_session() {
    let scene = Arc::new(Scene::with(hasty()).await);
    let (ended, asked, refused) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut people = Vec::new();
    for persona in ["ada", "vera", "ada", "vera"] {
        let mut browser = scene.signed_in(APP, persona).await;
        let (ended, asked, refused) = (ended.clone(), asked.clone(), refused.clone());
        people.push(tokio::spawn(async move {
            while !ended.load(Ordering::Relaxed) {
                let answer = browser.fetch("/private").await;
                asked.fetch_add(1, Ordering::Relaxed);
                if answer.status != 200 {
                    refused.fetch_add(1, Ordering::Relaxed);
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }));
    }
    for ring in [&[SECOND, SESSION_KEY][..], &[SECOND], &[THIRD, SECOND], &[THIRD]] {
        rotate(&scene, ring).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    ended.store(true, Ordering::Relaxed);
    for person in people {
        person.await.unwrap();
    }
    assert!(asked.load(Ordering::Relaxed) > 50);
    assert_eq!(refused.load(Ordering::Relaxed), 0, "of {}", asked.load(Ordering::Relaxed));
}

#[tokio::test]
async fn sess_35_a_new_key_opens_before_it_seals() {
    let scene = Scene::with(Plan { tempo: Tempo { key_settles: Duration::from_secs(4), ..Tempo::default() }, ..Plan::default() }).await;
    let mut browser = scene.signed_in(APP, "ada").await;
    // Another process that was given the file later: it knows the old key only.
    let later = scene.twin(|text| text.replace("session.key", "later.key"));
    std::fs::write(scene.folder.path().join("later.key"), SESSION_KEY).unwrap();
    let later = later.await;
    rotate(&scene, &[SECOND, SESSION_KEY]).await;
    assert_eq!(browser.fetch("/private").await.status, 200);
    assert_eq!(later.visit(&browser).fetch("/private").await.status, 200, "what it meets now opens there too");
    rotate(&scene, &[SECOND, SESSION_KEY]).await;
    assert_eq!(browser.fetch("/private").await.status, 200);
    assert_eq!(later.visit(&browser).fetch("/private").await.status, 401, "by now it should have been given the file");
}
