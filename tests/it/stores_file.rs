//! The file store as a user has it: a process that is killed, a folder that somebody else reads.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use doorward_policy::secret::Secret;
use doorward_policy::session::{NONCE_LENGTH, Purpose, Revocation, SealingKeys, StoreKey, What};
use doorward_policy::time::Timestamp;
use doorward_proxy::clock;
use doorward_proxy::store::{Cursor, FILE, FileStore, RedisStore, Store};
use doorward_tests::redis::RedisServer;
use futures::future::join_all;
use tokio::runtime::Handle;

use crate::stores::all_after;

/// Tell a child of these tests where to write, and what.
const FOLDER: &str = "DOORWARD_TEST_STORE_FOLDER";
const KIND: &str = "DOORWARD_TEST_STORE_KIND";
const ISSUER: &str = "https://idp.test/";

fn far() -> Timestamp {
    clock::now().plus(Duration::from_secs(3600))
}

fn open(folder: &Path) -> FileStore {
    FileStore::open(folder, &Handle::current()).unwrap()
}

fn revocation(sid: &str) -> Revocation {
    Revocation { what: What::ProviderSession { issuer: ISSUER.into(), sid: sid.into() }, not_before: Timestamp(5), until: far() }
}

#[tokio::test]
async fn everything_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (key, until) = (StoreKey::of("one"), far());
    {
        let store = open(folder.path());
        store.create(&key, b"one".to_vec(), clock::now().plus(Duration::from_secs(60))).await.unwrap();
        assert!(store.replace(&key, b"two".to_vec()).await.unwrap());
        assert!(store.take("code", "first", Duration::from_secs(60)).await.unwrap());
        store.revoke(&revocation("one")).await.unwrap();
        store.revoke(&revocation("two")).await.unwrap();
        store.create(&StoreKey::of("gone"), b"gone".to_vec(), until).await.unwrap();
        store.remove(&StoreKey::of("gone")).await.unwrap();
        // Not flushed at once; an orderly end flushes it.
        assert!(store.touch(&key, until).await.unwrap());
    }
    let store = open(folder.path());
    assert_eq!(store.read(&key).await.unwrap().map(|stored| (stored.sealed, stored.until)), Some((b"two".to_vec(), until)));
    assert_eq!(store.read(&StoreKey::of("gone")).await, Ok(None));
    assert!(!store.take("code", "second", Duration::from_secs(60)).await.unwrap(), "a code is used once, restart or not");
    let (found, cursor) = all_after(&store, ISSUER, Cursor::default()).await;
    assert_eq!(found.len(), 2);
    store.revoke(&revocation("three")).await.unwrap();
    assert_eq!(all_after(&store, ISSUER, cursor).await.0, [revocation("three")]);
}

/// What was answered before a `kill -9` is there after it, whole.
#[tokio::test]
async fn what_was_answered_survives_a_kill_in_mid_traffic() {
    if let (Some(folder), Ok(kind)) = (std::env::var_os(FOLDER), std::env::var(KIND)) {
        return write_until_killed(Path::new(&folder), &kind).await;
    }
    let folder = tempfile::tempdir().unwrap();
    // Each alone: one that is flushed would take the others with it.
    for kind in ["create", "replace", "remove", "take", "revoke"] {
        let mut child = Command::new(own_program())
            .args(["--exact", "stores_file::what_was_answered_survives_a_kill_in_mid_traffic", "--nocapture"])
            .env(FOLDER, folder.path())
            .env(KIND, kind)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        // The last line may be cut off; one that is whole ends with a point.
        let mut done = lines.filter_map(|line| line.strip_prefix("done ").filter(|id| id.ends_with('.')).map(str::to_owned));
        let mut ids: Vec<String> = done.by_ref().take(300).collect();
        child.kill().unwrap();
        // What it said until it died counts too.
        ids.extend(done);
        child.wait().unwrap();
        assert!(ids.len() >= 300, "the child ended after {} writes", ids.len());
        let store = open(folder.path());
        let (revoked, _) = all_after(&store, ISSUER, Cursor::default()).await;
        for id in ids {
            let stored = store.read(&StoreKey::of(&id)).await.unwrap().map(|stored| stored.sealed);
            match kind {
                "create" | "replace" => assert_eq!(stored, Some(id.repeat(100).into_bytes()), "{kind} {id}"),
                "remove" => assert_eq!(stored, None, "{id}"),
                "take" => assert_eq!(store.take(&id, "other", Duration::from_secs(60)).await, Ok(false), "{id}"),
                _ => assert!(revoked.iter().any(|entry| entry.what == revocation(&id).what), "{id}"),
            }
        }
    }
}

/// This very program, also when another one has taken its place on the disk since it began.
fn own_program() -> PathBuf {
    let running = PathBuf::from("/proc/self/exe");
    if running.exists() { running } else { std::env::current_exe().unwrap() }
}

/// Says what it has done, each time a line.
async fn write_until_killed(folder: &Path, kind: &str) {
    let store = open(folder);
    let ids = |round: usize| (0..20).map(move |at| format!("{} {kind} {round} {at}.", std::process::id()));
    if matches!(kind, "replace" | "remove") {
        let before = (0..200).flat_map(ids).map(async |id| store.create(&StoreKey::of(&id), vec![0], far()).await.unwrap());
        join_all(before).await;
    }
    for round in 0.. {
        join_all(ids(round).map(async |id| {
            let key = StoreKey::of(&id);
            match kind {
                "create" => store.create(&key, id.repeat(100).into_bytes(), far()).await.unwrap(),
                "replace" => {
                    if !store.replace(&key, id.repeat(100).into_bytes()).await.unwrap() {
                        return;
                    }
                }
                "remove" => store.remove(&key).await.unwrap(),
                "take" => assert!(store.take(&id, "holder", Duration::from_secs(600)).await.unwrap()),
                _ => store.revoke(&revocation(&id)).await.unwrap(),
            }
            println!("done {id}");
        }))
        .await;
    }
}

/// What both lasting stores have of a session, a name and a holder when somebody copies their disk.
#[tokio::test]
async fn sess_42_whoever_reads_the_store_reads_no_session_no_ticket_and_no_code() {
    const CANARIES: [&str; 5] = ["canary-token", "canary-session-id", "canary-code", "canary-holder", "canary-prefix"];
    let keys = SealingKeys::new(&[Secret::new((0..32).map(|at| at * 7 + 3).collect())]).unwrap();
    let key = StoreKey::of("canary-session-id");
    let plain = br#"{"access_token":"canary-token","refresh_token":"canary-token"}"#.to_vec();
    let sealed = keys.seal(Purpose::Record, &key.to_string(), "", [7; NONCE_LENGTH], plain).into_bytes();
    let fill = async |store: &dyn Store| {
        store.create(&key, sealed.clone(), far()).await.unwrap();
        assert!(store.replace(&key, sealed.clone()).await.unwrap());
        assert!(store.touch(&key, far().plus(Duration::from_secs(60))).await.unwrap());
        assert!(store.take("callback/canary-code", "canary-holder", Duration::from_secs(60)).await.unwrap());
        assert!(store.extend("callback/canary-code", "canary-holder", Duration::from_secs(90)).await.unwrap());
    };
    let server = RedisServer::start();
    fill(&RedisStore::open(&server.settings("doorward:"), &Handle::current()).unwrap()).await;
    let folder = tempfile::tempdir().unwrap();
    fill(&open(folder.path())).await;
    for (what, bytes) in [("redis", server.dump()), ("file", std::fs::read(folder.path().join(FILE)).unwrap())] {
        assert!(holds(&bytes, &sealed), "{what}: this is not what the store wrote");
        for canary in CANARIES {
            assert!(!holds(&bytes, canary.as_bytes()), "{what} holds `{canary}`");
            assert!(!holds(&bytes, STANDARD.encode(canary).trim_end_matches('=').as_bytes()), "{what} holds `{canary}` in base64");
        }
    }
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
