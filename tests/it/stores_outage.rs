//! Redis restarts, hangs and fails over, and nobody has to help.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use doorward_config::settings::{Redis, RedisTopology};
use doorward_policy::secret::Secret;
use doorward_policy::session::StoreKey;
use doorward_proxy::clock;
use doorward_proxy::store::{Cursor, Store, StoreFault};
use doorward_tests::redis::{Cluster, HOST, RedisPlan, RedisServer, Sentinels};
use futures::future::join_all;

use crate::stores::all_after;
use crate::stores_redis::{BACK, Log, far, is_down_soon, is_well_soon, open, revocation};

#[tokio::test]
async fn what_was_answered_survives_a_kill_in_mid_traffic() {
    let mut server = RedisServer::start();
    let store = Arc::new(open(&server.settings("doorward:")));
    let (written, refused) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
    let traffic: Vec<_> = (0..20)
        .map(|worker| {
            let (store, written, refused) = (store.clone(), written.clone(), refused.clone());
            tokio::spawn(async move {
                for at in 0.. {
                    let id = format!("{worker} {at}");
                    match store.create(&StoreKey::of(&id), id.clone().into_bytes(), far()).await {
                        Ok(()) => written.lock().unwrap().push(id),
                        Err(fault) => {
                            assert_eq!(fault, StoreFault::Unreachable);
                            refused.fetch_add(1, Ordering::SeqCst);
                            tokio::time::sleep(Duration::from_millis(10)).await;
                        }
                    }
                }
            })
        })
        .collect();
    while written.lock().unwrap().len() < 500 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.kill();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let begin = Instant::now();
    assert_eq!(store.read(&StoreKey::of("any")).await, Err(StoreFault::Unreachable));
    assert!(begin.elapsed() < Duration::from_millis(100), "a store that is known to be down is not waited for: {:?}", begin.elapsed());
    let before = written.lock().unwrap().len();
    server.start_again();
    let begin = Instant::now();
    while written.lock().unwrap().len() < before + 200 {
        assert!(begin.elapsed() < BACK, "traffic does not go on");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for worker in traffic {
        worker.abort();
    }
    assert!(refused.load(Ordering::SeqCst) > 0);
    let ids = written.lock().unwrap().clone();
    for some in ids.chunks(200) {
        let found = join_all(some.iter().map(async |id| store.read(&StoreKey::of(id)).await.unwrap().map(|stored| stored.sealed))).await;
        assert!(found.iter().zip(some).all(|(found, id)| found.as_deref() == Some(id.as_bytes())));
    }
}

#[tokio::test]
async fn a_redis_that_is_down_at_the_start_is_found_when_it_comes() {
    let log = Log::begin();
    let mut server = RedisServer::stopped(RedisPlan::default());
    let store = open(&server.settings("doorward:"));
    assert_eq!(store.read(&StoreKey::of("one")).await, Err(StoreFault::Unreachable));
    tokio::time::sleep(Duration::from_secs(1)).await;
    server.start_again();
    is_well_soon(&store).await;
    assert_eq!(log.count("cannot be used"), 1, "once for each change, not for each attempt:\n{}", log.text());
    assert_eq!(log.count("is connected"), 1, "{}", log.text());
}

#[tokio::test]
async fn sess_41_a_redis_that_hangs_holds_nobody_up() {
    let server = RedisServer::start();
    let store = open(&server.settings("doorward:"));
    is_well_soon(&store).await;
    server.freeze();
    let begin = Instant::now();
    assert_eq!(store.read(&StoreKey::of("one")).await, Err(StoreFault::Unreachable));
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    // Its new connection hangs as well; once that is known, nobody waits.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let begin = Instant::now();
    let asked = join_all((0..1000).map(|_| async { store.read(&StoreKey::of("one")).await })).await;
    assert!(asked.iter().all(|answer| *answer == Err(StoreFault::Unreachable)));
    assert!(begin.elapsed() < Duration::from_millis(500), "{:?}", begin.elapsed());
    server.thaw();
    is_well_soon(&store).await;
    assert_eq!(store.read(&StoreKey::of("one")).await, Ok(None));
}

#[tokio::test]
async fn many_restarts_need_no_help() {
    let mut server = RedisServer::start();
    let store = open(&server.settings("doorward:"));
    for round in 0..3 {
        let key = StoreKey::of(&round.to_string());
        is_well_soon(&store).await;
        store.create(&key, vec![round], far()).await.unwrap();
        server.kill();
        is_down_soon(&store).await;
        server.start_again();
        is_well_soon(&store).await;
        assert!(store.read(&key).await.unwrap().is_some());
        // Scripts are gone with a restart; they come again.
        assert_eq!(store.replace(&key, vec![9]).await, Ok(true));
    }
}

#[tokio::test]
async fn what_one_of_us_revokes_the_other_reads_also_after_an_outage() {
    const ISSUER: &str = "https://idp.test/";
    let mut server = RedisServer::start();
    let (one, two) = (open(&server.settings("doorward:")), open(&server.settings("doorward:")));
    let (found, cursor) = all_after(&two, ISSUER, Cursor::default()).await;
    assert_eq!(found, []);
    let first = revocation("first");
    one.revoke(&first).await.unwrap();
    let (found, cursor) = all_after(&two, ISSUER, cursor).await;
    assert_eq!(found, std::slice::from_ref(&first));
    server.kill();
    is_down_soon(&two).await;
    assert_eq!(two.revocations(cursor).await, Err(StoreFault::Unreachable));
    assert_eq!(one.revoke(&revocation("lost")).await, Err(StoreFault::Unreachable));
    server.start_again();
    is_well_soon(&one).await;
    is_well_soon(&two).await;
    let second = revocation("second");
    one.revoke(&second).await.unwrap();
    // From the beginning: it might be another server now.
    assert_eq!(all_after(&two, ISSUER, cursor).await.0, [first, second]);
}

#[tokio::test]
async fn a_failover_of_the_sentinels_is_followed() {
    let mut sentinels = Sentinels::start(Some("secret"), false);
    let store = open(&sentinels.settings("doorward:"));
    let key = StoreKey::of("one");
    store.create(&key, b"sealed".to_vec(), far()).await.unwrap();
    store.revoke(&revocation("one")).await.unwrap();
    let (found, cursor) = all_after(&store, "https://idp.test/", Cursor::default()).await;
    assert_eq!(found.len(), 1);
    sentinels.sentinel.cli(&["PING"]);
    // Replication is behind the writer's back: what the test needs is there before the master dies.
    assert_eq!(sentinels.master.cli(&["WAIT", "1", "5000"]), "1");
    sentinels.master.kill();
    is_down_soon(&store).await;
    is_well_soon(&store).await;
    assert_eq!(store.read(&key).await.unwrap().map(|stored| stored.sealed), Some(b"sealed".to_vec()));
    assert_eq!(store.replace(&key, b"two".to_vec()).await, Ok(true), "the replica is the master now");
    store.revoke(&revocation("two")).await.unwrap();
    assert_eq!(all_after(&store, "https://idp.test/", cursor).await.0.len(), 2);
}

#[tokio::test]
async fn sentinels_that_ask_for_a_password_get_the_servers_one() {
    let sentinels = Sentinels::start(Some("secret"), true);
    let store = open(&sentinels.settings("doorward:"));
    store.create(&StoreKey::of("one"), vec![1], far()).await.unwrap();
    let log = Log::begin();
    let wrong = open(&Redis { password: Some(Secret::new("other".to_owned())), ..sentinels.settings("doorward:") });
    assert_eq!(wrong.read(&StoreKey::of("one")).await, Err(StoreFault::Broken));
    assert!(log.text().contains("the user name or password is wrong"), "{}", log.text());
}

#[tokio::test]
async fn an_unknown_master_is_said() {
    let log = Log::begin();
    let sentinels = Sentinels::start(None, false);
    let known = vec![(HOST.to_owned(), sentinels.sentinel.port())];
    let topology = RedisTopology::Sentinel { sentinels: known, master: "other".to_owned() };
    let store = open(&Redis { topology, ..sentinels.settings("doorward:") });
    assert_eq!(store.read(&StoreKey::of("one")).await, Err(StoreFault::Broken));
    assert!(log.text().contains("knows no master `other`"), "{}", log.text());
}

/// A cluster's connections are mended behind our back: nothing tells that another server answers.
#[tokio::test]
async fn a_replica_that_takes_over_without_the_last_entries_hides_no_later_ones() {
    const ISSUER: &str = "https://idp.test/";
    const LIST: &str = "doorward:revocations";
    let mut cluster = Cluster::start();
    let log = Log::begin();
    let store = open(&cluster.settings("doorward:"));
    let (first, lost, second) = (revocation("first"), revocation("lost"), revocation("second"));
    store.revoke(&first).await.unwrap();
    let owner = cluster.owner(LIST);
    let replica = cluster.replica_of(owner);
    // Cut off; then an entry of a master whose clock is ahead, which the replica's is not.
    replica.cli(&["CONFIG", "SET", "masterauth", "wrong"]);
    replica.cli(&["CLIENT", "KILL", "TYPE", "master"]);
    let ahead = format!("{}-0", (clock::now().0 + 3600) * 1000);
    let (until, text) = (lost.until.0.to_string(), serde_json::to_string(&lost).unwrap());
    cluster.nodes[owner].cli(&["XADD", LIST, &ahead, "until", &until, "entry", &text]);
    let (found, cursor) = all_after(&store, ISSUER, Cursor::default()).await;
    assert_eq!(found, [first.clone(), lost]);
    assert_eq!(all_after(&store, ISSUER, cursor).await.0, [], "as long as it is the same list");
    cluster.nodes[owner].kill();
    replica.cli(&["CLUSTER", "FAILOVER", "TAKEOVER"]);
    let begin = Instant::now();
    while store.revoke(&second).await.is_err() {
        assert!(begin.elapsed() < BACK * 2, "the replica is not found: {store:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (found, cursor) = all_after(&store, ISSUER, cursor).await;
    assert_eq!(found, [first, second]);
    assert_eq!(all_after(&store, ISSUER, cursor).await.0, []);
    assert_eq!(log.count("is connected"), 0, "it is the connection that it was, or this shows nothing:\n{}", log.text());
}

#[tokio::test]
async fn a_cluster_goes_on_without_one_of_its_servers_and_takes_it_back() {
    let mut cluster = Cluster::start();
    let log = Log::begin();
    let alone = open(&cluster.nodes[0].settings("doorward:"));
    let asked = join_all((0..20).map(async |at: u8| alone.read(&StoreKey::of(&at.to_string())).await)).await;
    assert!(asked.contains(&Err(StoreFault::Unreachable)) && asked.contains(&Ok(None)), "{asked:?}");
    assert_eq!(log.count("`cluster` is not set"), 1, "{}", log.text());
    let store = open(&cluster.settings("doorward:"));
    let keys: Vec<_> = (0..60).map(|at| StoreKey::of(&at.to_string())).collect();
    for key in &keys {
        store.create(key, vec![1], far()).await.unwrap();
    }
    cluster.nodes[1].kill();
    let begin = Instant::now();
    let readable = loop {
        let found = join_all(keys.iter().map(|key| store.read(key))).await;
        let readable = found.iter().filter(|found| matches!(found, Ok(Some(_)))).count();
        // A third of the keys is on the server that is gone.
        if readable >= 20 || begin.elapsed() > BACK {
            break readable;
        }
    };
    assert!((20..60).contains(&readable), "{readable} of 60");
    cluster.nodes[1].start_again();
    let begin = Instant::now();
    loop {
        let found = join_all(keys.iter().map(|key| store.read(key))).await;
        if found.iter().all(|found| matches!(found, Ok(Some(_)))) {
            break;
        }
        assert!(begin.elapsed() < BACK * 2, "{found:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for node in &mut cluster.nodes {
        node.kill();
    }
    is_down_soon(&store).await;
    for node in &mut cluster.nodes {
        node.start_again();
    }
    let begin = Instant::now();
    while store.create(&keys[0], vec![2], far()).await.is_err() {
        assert!(begin.elapsed() < BACK * 2, "the cluster is back, and the store is not: {store:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
