//! What every store does, held against each of them: in memory, in a file, in a real Redis, in a real cluster.

use std::sync::Arc;
use std::time::Duration;

use doorward_policy::session::{Revocation, StoreKey, What};
use doorward_policy::time::Timestamp;
use doorward_proxy::clock;
use doorward_proxy::store::{Cursor, FileStore, MemoryStore, REVOCATIONS, RedisStore, Store, StoreFault};
use doorward_tests::redis::{Cluster, RedisServer};
use futures::future::{BoxFuture, join_all};
use tokio::runtime::Handle;

type Row = (&'static str, fn(Arc<dyn Store>) -> BoxFuture<'static, ()>);

macro_rules! rows {
    ($($name:ident),* $(,)?) => { &[$((stringify!($name), |store| Box::pin($name(store)))),*] };
}

/// Each row keeps to sessions, names and issuers of its own, so all of them run at once.
const TABLE: &[Row] = rows![
    what_is_created_is_read_until_its_end,
    what_was_never_there_is_none,
    a_session_replaces_another_whole,
    what_has_ended_already_is_not_kept,
    replacing_keeps_the_end,
    touching_moves_the_end_farther_and_never_nearer,
    what_is_over_is_neither_replaced_nor_touched,
    what_is_removed_is_gone,
    values_are_any_bytes,
    a_name_is_had_by_the_first,
    a_name_is_free_after_its_time,
    a_name_is_given_back_by_its_holder_alone,
    a_name_is_extended_by_its_holder_alone,
    extending_never_shortens,
    names_are_any_text,
    of_a_hundred_at_once_one_takes_the_name,
    revocations_come_in_order_and_from_where_one_was,
    a_store_that_has_just_started_takes_no_clocks_word_for_what_is_over,
    many_revocations_come_page_by_page,
    many_sessions_at_once_do_not_mix,
    it_is_well,
];

/// `settled` is another one, which believes the wall clock already.
async fn all_rows(store: Arc<dyn Store>, settled: Arc<dyn Store>) {
    let over = tokio::spawn(revocations_that_are_over_do_not_come(settled));
    let rows = TABLE.iter().map(|(name, run)| {
        let row = tokio::spawn(run(store.clone()));
        async move { row.await.err().map(|_| *name) }
    });
    let failed: Vec<&str> = join_all(rows).await.into_iter().flatten().collect();
    assert!(failed.is_empty(), "failed: {failed:?} (see above for each)");
    over.await.unwrap();
}

#[tokio::test]
async fn memory_does_what_a_store_does() {
    all_rows(MemoryStore::new(&Handle::current()), Arc::new(MemoryStore::with_limits(10, 10))).await;
}

#[tokio::test]
async fn a_file_does_what_a_store_does() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let settled = FileStore::with_limits(other.path(), &Handle::current(), 10, 10).unwrap();
    all_rows(Arc::new(FileStore::open(folder.path(), &Handle::current()).unwrap()), Arc::new(settled)).await;
}

#[tokio::test]
async fn redis_does_what_a_store_does() {
    let server = RedisServer::start();
    let settled = RedisStore::with_limit(&server.settings("settled:"), &Handle::current(), REVOCATIONS).unwrap();
    all_rows(Arc::new(RedisStore::open(&server.settings("doorward:"), &Handle::current()).unwrap()), Arc::new(settled)).await;
}

#[tokio::test]
async fn a_redis_cluster_does_what_a_store_does() {
    let cluster = Cluster::start();
    let settled = RedisStore::with_limit(&cluster.settings("settled:"), &Handle::current(), REVOCATIONS).unwrap();
    all_rows(Arc::new(RedisStore::open(&cluster.settings("doorward:"), &Handle::current()).unwrap()), Arc::new(settled)).await;
}

fn after(seconds: u64) -> Timestamp {
    clock::now().plus(Duration::from_secs(seconds))
}

async fn value(store: &Arc<dyn Store>, key: &StoreKey) -> Option<(Vec<u8>, Timestamp)> {
    store.read(key).await.unwrap().map(|stored| (stored.sealed, stored.until))
}

async fn is_past(time: Timestamp) {
    while clock::now() < time {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn what_is_created_is_read_until_its_end(store: Arc<dyn Store>) {
    let (key, until) = (StoreKey::of("created"), after(3));
    store.create(&key, b"sealed".to_vec(), until).await.unwrap();
    assert_eq!(value(&store, &key).await, Some((b"sealed".to_vec(), until)));
    is_past(until).await;
    assert_eq!(value(&store, &key).await, None);
}

async fn what_was_never_there_is_none(store: Arc<dyn Store>) {
    let key = StoreKey::of("never");
    assert_eq!(value(&store, &key).await, None);
    assert_eq!(store.replace(&key, vec![1]).await, Ok(false));
    assert_eq!(store.touch(&key, after(60)).await, Ok(false));
    assert_eq!(store.remove(&key).await, Ok(()));
    assert_eq!(value(&store, &key).await, None);
}

async fn a_session_replaces_another_whole(store: Arc<dyn Store>) {
    let (key, until) = (StoreKey::of("whole"), after(60));
    store.create(&key, b"one".to_vec(), after(120)).await.unwrap();
    store.create(&key, b"two".to_vec(), until).await.unwrap();
    assert_eq!(value(&store, &key).await, Some((b"two".to_vec(), until)));
}

async fn what_has_ended_already_is_not_kept(store: Arc<dyn Store>) {
    let key = StoreKey::of("ended");
    store.create(&key, b"one".to_vec(), after(60)).await.unwrap();
    store.create(&key, b"two".to_vec(), clock::now()).await.unwrap();
    assert_eq!(value(&store, &key).await, None);
}

async fn replacing_keeps_the_end(store: Arc<dyn Store>) {
    let (key, until) = (StoreKey::of("replaced"), after(3));
    store.create(&key, b"one".to_vec(), until).await.unwrap();
    assert_eq!(store.replace(&key, b"two".to_vec()).await, Ok(true));
    assert_eq!(value(&store, &key).await, Some((b"two".to_vec(), until)));
    is_past(until).await;
    assert_eq!(value(&store, &key).await, None);
}

async fn touching_moves_the_end_farther_and_never_nearer(store: Arc<dyn Store>) {
    let (key, near, far) = (StoreKey::of("touched"), after(3), after(120));
    store.create(&key, b"one".to_vec(), near).await.unwrap();
    assert_eq!(store.touch(&key, far).await, Ok(true));
    assert_eq!(store.touch(&key, near).await, Ok(true));
    is_past(near.plus(Duration::from_secs(1))).await;
    assert_eq!(value(&store, &key).await, Some((b"one".to_vec(), far)));
}

async fn what_is_over_is_neither_replaced_nor_touched(store: Arc<dyn Store>) {
    let (key, until) = (StoreKey::of("over"), after(2));
    store.create(&key, b"one".to_vec(), until).await.unwrap();
    is_past(until).await;
    assert_eq!(store.replace(&key, b"two".to_vec()).await, Ok(false));
    assert_eq!(store.touch(&key, after(60)).await, Ok(false));
    assert_eq!(value(&store, &key).await, None);
}

async fn what_is_removed_is_gone(store: Arc<dyn Store>) {
    let (key, other) = (StoreKey::of("removed"), StoreKey::of("not removed"));
    store.create(&key, b"one".to_vec(), after(60)).await.unwrap();
    store.create(&other, b"one".to_vec(), after(60)).await.unwrap();
    store.remove(&key).await.unwrap();
    assert_eq!(value(&store, &key).await, None);
    assert_eq!(store.replace(&key, b"two".to_vec()).await, Ok(false), "a refresh that comes late brings nothing back");
    assert!(value(&store, &other).await.is_some());
}

async fn values_are_any_bytes(store: Arc<dyn Store>) {
    let all: Vec<u8> = (0..=255).collect();
    for (name, sealed) in [("empty", vec![]), ("all", all), ("long", vec![0xfe; 100_000]), ("digits", b"9999999999999999".to_vec())] {
        let (key, until) = (StoreKey::of(name), after(60));
        store.create(&key, sealed.clone(), until).await.unwrap();
        assert_eq!(value(&store, &key).await, Some((sealed.clone(), until)), "{name}");
        assert_eq!(store.replace(&key, sealed.clone()).await, Ok(true), "{name}");
        assert_eq!(value(&store, &key).await, Some((sealed, until)), "{name}");
    }
}

const LONG: Duration = Duration::from_secs(60);

async fn a_name_is_had_by_the_first(store: Arc<dyn Store>) {
    assert_eq!(store.take("first", "ada", LONG).await, Ok(true));
    assert_eq!(store.take("first", "bob", LONG).await, Ok(false));
    assert_eq!(store.take("first", "ada", LONG).await, Ok(false), "whoever takes it again is not the first");
    assert_eq!(store.take("second", "bob", LONG).await, Ok(true));
}

async fn a_name_is_free_after_its_time(store: Arc<dyn Store>) {
    assert_eq!(store.take("short", "ada", Duration::from_millis(300)).await, Ok(true));
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(store.extend("short", "ada", LONG).await, Ok(false));
    assert_eq!(store.take("short", "bob", LONG).await, Ok(true));
}

async fn a_name_is_given_back_by_its_holder_alone(store: Arc<dyn Store>) {
    assert_eq!(store.take("given back", "ada", LONG).await, Ok(true));
    store.give_back("given back", "bob").await.unwrap();
    assert_eq!(store.take("given back", "bob", LONG).await, Ok(false));
    store.give_back("given back", "ada").await.unwrap();
    assert_eq!(store.take("given back", "bob", LONG).await, Ok(true));
}

async fn a_name_is_extended_by_its_holder_alone(store: Arc<dyn Store>) {
    assert_eq!(store.extend("extended", "ada", LONG).await, Ok(false), "nobody has it");
    assert_eq!(store.take("extended", "ada", Duration::from_secs(1)).await, Ok(true));
    assert_eq!(store.extend("extended", "bob", LONG).await, Ok(false));
    assert_eq!(store.extend("extended", "ada", LONG).await, Ok(true));
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(store.take("extended", "bob", LONG).await, Ok(false));
}

async fn extending_never_shortens(store: Arc<dyn Store>) {
    assert_eq!(store.take("kept", "ada", LONG).await, Ok(true));
    assert_eq!(store.extend("kept", "ada", Duration::from_millis(1)).await, Ok(true));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(store.take("kept", "bob", LONG).await, Ok(false));
}

async fn names_are_any_text(store: Arc<dyn Store>) {
    let long = "n".repeat(100_000);
    for name in ["", " ", "a\r\nb", "{a}", "\u{0}", "ü", &long] {
        assert_eq!(store.take(name, name, LONG).await, Ok(true), "{:?}", &name[..name.len().min(20)]);
        assert_eq!(store.take(name, "other", LONG).await, Ok(false), "{:?}", &name[..name.len().min(20)]);
    }
}

async fn of_a_hundred_at_once_one_takes_the_name(store: Arc<dyn Store>) {
    let holders: Vec<String> = (0..100).map(|at| at.to_string()).collect();
    let taken = join_all(holders.iter().map(|holder| store.take("contended", holder, LONG))).await;
    assert_eq!(taken.iter().filter(|taken| **taken == Ok(true)).count(), 1);
    assert_eq!(taken.iter().filter(|taken| **taken == Ok(false)).count(), 99);
}

fn revocation(issuer: &str, sid: &str, until: Timestamp) -> Revocation {
    let what = What::ProviderSession { issuer: issuer.into(), sid: sid.into() };
    Revocation { what, not_before: Timestamp(5), until }
}

/// All of this issuer after `cursor`, and the place behind them.
pub(crate) async fn all_after(store: &dyn Store, issuer: &str, mut cursor: Cursor) -> (Vec<Revocation>, Cursor) {
    let mut all = Vec::new();
    loop {
        let (page, next) = store.revocations(cursor).await.unwrap();
        all.extend(page.into_iter().filter(|entry| entry.what.issuer() == issuer));
        if next == cursor {
            return (all, cursor);
        }
        cursor = next;
    }
}

async fn revocations_come_in_order_and_from_where_one_was(store: Arc<dyn Store>) {
    const ISSUER: &str = "https://order.test/";
    let entry = |sid: &str| revocation(ISSUER, sid, after(3600));
    let first: Vec<_> = (0..10).map(|at| entry(&at.to_string())).collect();
    for entry in &first {
        store.revoke(entry).await.unwrap();
    }
    let (found, cursor) = all_after(&*store, ISSUER, Cursor::default()).await;
    assert_eq!(found, first);
    assert_eq!(all_after(&*store, ISSUER, cursor).await.0, []);
    // One of the whole issuer that ends before them takes nobody's place; one that lasts as long takes them all.
    let early = Revocation { until: after(3000), what: What::Issuer(ISSUER.into()), ..entry("") };
    store.revoke(&early).await.unwrap();
    assert_eq!(all_after(&*store, ISSUER, cursor).await.0, std::slice::from_ref(&early));
    assert_eq!(all_after(&*store, ISSUER, Cursor::default()).await.0.len(), 11);
    store.revoke(&Revocation { until: after(7200), ..early }).await.unwrap();
    let left = all_after(&*store, ISSUER, Cursor::default()).await.0;
    assert!(!left.is_empty() && left.iter().all(|entry| matches!(entry.what, What::Issuer(_))), "{left:?}");
}

async fn revocations_that_are_over_do_not_come(store: Arc<dyn Store>) {
    const ISSUER: &str = "https://over.test/";
    let until = after(2);
    store.revoke(&revocation(ISSUER, "past", clock::now())).await.unwrap();
    store.revoke(&revocation(ISSUER, "short", until)).await.unwrap();
    let long = revocation(ISSUER, "long", after(3600));
    store.revoke(&long).await.unwrap();
    is_past(until).await;
    assert_eq!(all_after(&*store, ISSUER, Cursor::default()).await.0, [long]);
}

async fn a_store_that_has_just_started_takes_no_clocks_word_for_what_is_over(store: Arc<dyn Store>) {
    const ISSUER: &str = "https://doubt.test/";
    let short = revocation(ISSUER, "short", after(2));
    store.revoke(&short).await.unwrap();
    is_past(short.until).await;
    let past = revocation(ISSUER, "past", clock::now());
    store.revoke(&past).await.unwrap();
    assert_eq!(all_after(&*store, ISSUER, Cursor::default()).await.0, [short, past]);
}

async fn many_revocations_come_page_by_page(store: Arc<dyn Store>) {
    const ISSUER: &str = "https://many.test/";
    let entries: Vec<_> = (0..5_000).map(|at| revocation(ISSUER, &at.to_string(), after(3600))).collect();
    for some in entries.chunks(500) {
        let done = join_all(some.iter().map(|entry| store.revoke(entry))).await;
        assert!(done.iter().all(Result::is_ok));
    }
    let (found, _) = all_after(&*store, ISSUER, Cursor::default()).await;
    assert_eq!(found.len(), entries.len());
    assert!(entries.iter().step_by(100).all(|entry| found.contains(entry)));
}

async fn many_sessions_at_once_do_not_mix(store: Arc<dyn Store>) {
    let sessions = (0..200).map(|at| {
        let store = store.clone();
        async move {
            let (key, until) = (StoreKey::of(&format!("many {at}")), after(60 + at));
            for generation in 0..5 {
                let sealed = format!("{at} {generation}").into_bytes();
                match generation {
                    0 => store.create(&key, sealed.clone(), until).await?,
                    _ => assert_eq!(store.replace(&key, sealed.clone()).await, Ok(true)),
                }
                assert_eq!(value(&store, &key).await, Some((sealed, until)));
            }
            Ok::<(), StoreFault>(())
        }
    });
    assert!(join_all(sessions).await.iter().all(Result::is_ok));
}

async fn it_is_well(store: Arc<dyn Store>) {
    assert!(store.is_well().await);
}
