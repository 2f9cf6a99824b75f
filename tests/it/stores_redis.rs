//! Redis as it really is: it asks for passwords, speaks TLS, runs full, and several of us use it at once.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use doorward_config::settings::Redis;
use doorward_policy::secret::Secret;
use doorward_policy::session::{Revocation, StoreKey, What};
use doorward_policy::time::Timestamp;
use doorward_proxy::clock;
use doorward_proxy::store::{Cursor, RedisStore, Store, StoreFault};
use doorward_tests::redis::{RedisPlan, RedisServer};
use doorward_tests::scene::install;
use futures::future::join_all;
use tokio::runtime::Handle;
use tracing::subscriber::DefaultGuard;

use crate::stores::all_after;

pub(crate) const LONG: Duration = Duration::from_secs(60);
/// After which a store has surely noticed that Redis is back.
pub(crate) const BACK: Duration = Duration::from_secs(15);

pub(crate) fn open(settings: &Redis) -> RedisStore {
    RedisStore::open(settings, &Handle::current()).unwrap()
}

pub(crate) fn far() -> Timestamp {
    clock::now().plus(Duration::from_secs(3600))
}

pub(crate) fn revocation(sid: &str) -> Revocation {
    let what = What::ProviderSession { issuer: "https://idp.test/".into(), sid: sid.into() };
    Revocation { what, not_before: Timestamp(5), until: far() }
}

pub(crate) async fn is_well_soon(store: &RedisStore) {
    let begin = Instant::now();
    while !store.is_well().await {
        assert!(begin.elapsed() < BACK, "it does not come back: {store:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) async fn is_down_soon(store: &RedisStore) {
    let begin = Instant::now();
    while store.is_well().await {
        assert!(begin.elapsed() < BACK, "it goes on: {store:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What this thread logs while it is held; the control runtime of these tests is this thread too.
pub(crate) struct Log {
    lines: Arc<Mutex<Vec<u8>>>,
    _guard: DefaultGuard,
}

#[derive(Clone)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    pub(crate) fn begin() -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let writer = Lines(lines.clone());
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        Self { lines, _guard: tracing::subscriber::set_default(subscriber) }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.lines.lock().unwrap().clone()).unwrap()
    }

    pub(crate) fn count(&self, part: &str) -> usize {
        self.text().matches(part).count()
    }
}

#[tokio::test]
async fn a_restart_of_ours_finds_everything() {
    let server = RedisServer::start();
    let (key, until) = (StoreKey::of("one"), far());
    {
        let store = open(&server.settings("doorward:"));
        store.create(&key, b"sealed".to_vec(), until).await.unwrap();
        assert!(store.take("code", "first", LONG).await.unwrap());
        store.revoke(&revocation("one")).await.unwrap();
    }
    let store = open(&server.settings("doorward:"));
    assert_eq!(store.read(&key).await.unwrap().map(|stored| (stored.sealed, stored.until)), Some((b"sealed".to_vec(), until)));
    assert!(!store.take("code", "second", LONG).await.unwrap());
    assert_eq!(all_after(&store, "https://idp.test/", Cursor::default()).await.0.len(), 1);
    let other = open(&server.settings("other:"));
    assert_eq!(other.read(&key).await, Ok(None), "another prefix is another store");
}

#[tokio::test]
async fn a_wrong_password_is_said_and_a_right_one_works_without_a_restart() {
    let log = Log::begin();
    let server = RedisServer::planned(RedisPlan { password: Some("correct-horse"), ..RedisPlan::default() });
    let right = open(&server.settings("doorward:"));
    is_well_soon(&right).await;
    assert_eq!(log.text(), "", "nothing to say");
    let with = |password: Option<&str>| Redis {
        password: password.map(|password| Secret::new(password.to_owned())),
        ..server.settings("doorward:")
    };
    let wrong = open(&with(Some("canary-of-the-password")));
    assert_eq!(wrong.read(&StoreKey::of("one")).await, Err(StoreFault::Broken));
    assert_eq!(log.count("the user name or password is wrong"), 1, "{}", log.text());
    let none = open(&with(None));
    assert_eq!(none.read(&StoreKey::of("one")).await, Err(StoreFault::Broken));
    assert_eq!(log.count("it asks for a password"), 1, "{}", log.text());
    server.cli(&["CONFIG", "SET", "requirepass", "canary-of-the-password"]);
    is_well_soon(&wrong).await;
    assert!(!log.text().contains("canary") && !log.text().contains("correct-horse"), "{}", log.text());
}

#[tokio::test]
async fn a_user_of_its_own_needs_no_more_than_what_the_store_does() {
    let server = RedisServer::start();
    let rights = ["+get", "+set", "+del", "+eval", "+evalsha", "+xrange", "+ping", "+getrange", "+setrange", "+expire", "+pexpire"];
    let more = ["+pttl", "+ttl", "+xdel", "+xlen", "+xadd"];
    let mut user = vec!["ACL", "SETUSER", "doorward", "on", ">secret", "~doorward:*"];
    user.extend(rights);
    user.extend(more);
    server.cli(&user);
    let login = |username: &str| Redis {
        username: Some(username.to_owned()),
        password: Some(Secret::new("secret".to_owned())),
        ..server.settings("doorward:")
    };
    let store = open(&login("doorward"));
    let key = StoreKey::of("one");
    store.create(&key, vec![1], far()).await.unwrap();
    assert_eq!(store.replace(&key, vec![2]).await, Ok(true));
    assert_eq!(store.touch(&key, far().plus(LONG)).await, Ok(true));
    assert_eq!(store.remove(&key).await, Ok(()));
    assert_eq!(store.take("name", "ada", LONG).await, Ok(true));
    assert_eq!(store.extend("name", "ada", LONG * 2).await, Ok(true));
    assert_eq!(store.give_back("name", "ada").await, Ok(()));
    store.revoke(&revocation("one")).await.unwrap();
    assert_eq!(all_after(&store, "https://idp.test/", Cursor::default()).await.0.len(), 1);
    server.cli(&["ACL", "SETUSER", "doorward", "-set"]);
    let log = Log::begin();
    assert_eq!(store.create(&key, b"canary".to_vec(), far()).await, Err(StoreFault::Broken));
    assert_eq!(log.count("its user may not use a command or key"), 1, "{}", log.text());
    assert!(!log.text().contains("canary"), "{}", log.text());
    let other = open(&login("somebody"));
    assert_eq!(other.read(&key).await, Err(StoreFault::Broken));
    assert_eq!(log.count("the user name or password is wrong"), 1, "{}", log.text());
}

#[tokio::test]
async fn tls_is_spoken_with_the_right_ca_alone() {
    install();
    let log = Log::begin();
    let plan = RedisPlan { tls: true, password: Some("secret"), ..RedisPlan::default() };
    let (server, stranger) = (RedisServer::planned(plan.clone()), RedisServer::planned(plan));
    let store = open(&server.settings("doorward:"));
    store.create(&StoreKey::of("one"), vec![1], far()).await.unwrap();
    assert!(store.read(&StoreKey::of("one")).await.unwrap().is_some());

    let other_ca = open(&Redis { ca: stranger.ca().map(<[u8]>::to_vec), ..server.settings("doorward:") });
    assert_eq!(other_ca.read(&StoreKey::of("one")).await, Err(StoreFault::Unreachable));
    assert_eq!(log.count("invalid peer certificate"), 1, "{}", log.text());
    let systems = open(&Redis { ca: None, ..server.settings("doorward:") });
    assert_eq!(systems.read(&StoreKey::of("one")).await, Err(StoreFault::Unreachable));
    let plain = open(&Redis { tls: false, ca: None, ..server.settings("doorward:") });
    assert_eq!(plain.read(&StoreKey::of("one")).await, Err(StoreFault::Unreachable));
    assert!(log.text().contains("does the server expect TLS?"), "{}", log.text());
    let unencrypted = RedisServer::start();
    let tls = open(&Redis { tls: true, ca: server.ca().map(<[u8]>::to_vec), ..unencrypted.settings("doorward:") });
    assert_eq!(tls.read(&StoreKey::of("one")).await, Err(StoreFault::Unreachable));
    assert!(log.text().contains("does the server speak TLS there"), "{}", log.text());
    assert!(!log.text().contains("secret"), "{}", log.text());
}

#[tokio::test]
async fn a_ca_without_a_certificate_is_refused_at_the_start() {
    let server = RedisServer::stopped(RedisPlan::default());
    let settings = Redis { tls: true, ca: Some(b"not a certificate".to_vec()), ..server.settings("doorward:") };
    let fault = RedisStore::open(&settings, &Handle::current()).unwrap_err();
    assert!(fault.0.contains("session.redis: `ca` holds no certificate"), "{fault}");
}

#[tokio::test]
async fn a_database_that_is_not_there_is_said() {
    let log = Log::begin();
    let server = RedisServer::start();
    let store = open(&Redis { database: 3, ..server.settings("doorward:") });
    store.create(&StoreKey::of("one"), vec![1], far()).await.unwrap();
    assert_eq!(server.cli(&["-n", "3", "DBSIZE"]), "1");
    let far = open(&Redis { database: 99, ..server.settings("doorward:") });
    assert_eq!(far.read(&StoreKey::of("one")).await, Err(StoreFault::Broken));
    assert_eq!(log.count("no database of that number"), 1, "{}", log.text());
}

#[tokio::test]
async fn two_of_us_share_names_and_sessions() {
    let server = RedisServer::start();
    let (one, two) = (open(&server.settings("doorward:")), open(&server.settings("doorward:")));
    let holders: Vec<String> = (0..100).map(|at| at.to_string()).collect();
    let taken = join_all(holders.iter().enumerate().map(|(at, holder)| if at % 2 == 0 { &one } else { &two }.take("lease", holder, LONG)));
    let taken = taken.await;
    assert_eq!(taken.iter().filter(|taken| **taken == Ok(true)).count(), 1);
    assert_eq!(taken.iter().filter(|taken| **taken == Ok(false)).count(), 99);
    let key = StoreKey::of("one");
    one.create(&key, vec![1], far()).await.unwrap();
    assert_eq!(two.replace(&key, vec![2]).await, Ok(true));
    assert_eq!(one.read(&key).await.unwrap().map(|stored| stored.sealed), Some(vec![2]));
    two.remove(&key).await.unwrap();
    assert_eq!(one.replace(&key, vec![3]).await, Ok(false));
}

#[tokio::test]
async fn logout_14_the_list_in_redis_is_bounded() {
    let server = RedisServer::start();
    let store = RedisStore::with_limit(&server.settings("doorward:"), &Handle::current(), 2).unwrap();
    let until = clock::now().plus(Duration::from_secs(2));
    store.revoke(&Revocation { until, ..revocation("short") }).await.unwrap();
    store.revoke(&revocation("a")).await.unwrap();
    assert_eq!(store.revoke(&revocation("b")).await, Err(StoreFault::Full));
    tokio::time::sleep(Duration::from_millis(2100)).await;
    assert_eq!(store.revoke(&revocation("b")).await, Ok(()), "what is over makes room");
    assert_eq!(store.revoke(&revocation("c")).await, Err(StoreFault::Full));
    let everybody = Revocation { what: What::Issuer("https://idp.test/".into()), ..revocation("") };
    assert_eq!(store.revoke(&everybody).await, Ok(()), "one for the whole issuer always fits");
    assert_eq!(server.cli(&["XLEN", "doorward:revocations"]), "1", "it says as much as the others, and makes room");
    let other = Revocation { what: What::ProviderSession { issuer: "https://other.test/".into(), sid: "a".into() }, ..revocation("") };
    let long = Revocation { until: clock::now().plus(Duration::from_secs(90_000)), ..revocation("long") };
    assert_eq!((store.revoke(&other).await, store.revoke(&long).await), (Ok(()), Err(StoreFault::Full)), "the one for all takes a place");
}

#[tokio::test]
async fn logout_14_a_full_list_in_redis_is_full_once() {
    const MANY: usize = 2_500;
    let server = RedisServer::start();
    let store = RedisStore::with_limit(&server.settings("doorward:"), &Handle::current(), MANY).unwrap();
    let other = Revocation { what: What::ProviderSession { issuer: "https://other.test/".into(), sid: "a".into() }, ..revocation("") };
    let long = Revocation { until: far().plus(Duration::from_secs(900)), ..revocation("long") };
    store.revoke(&other).await.unwrap();
    store.revoke(&long).await.unwrap();
    for at in 2..MANY {
        store.revoke(&revocation(&at.to_string())).await.unwrap();
    }
    assert_eq!(store.revoke(&revocation("more")).await, Err(StoreFault::Full));
    let everybody = Revocation { what: What::Issuer("https://idp.test/".into()), until: far(), ..revocation("") };
    store.revoke(&everybody).await.unwrap();
    let (entries, _) = store.revocations(Cursor::default()).await.unwrap();
    assert_eq!(entries, [other, long, everybody], "what it does not cover stays");
    assert_eq!(store.revoke(&revocation("more")).await, Ok(()));
}

#[tokio::test]
async fn what_is_over_leaves_redis_by_itself() {
    let server = RedisServer::start();
    let store = open(&server.settings("doorward:"));
    let until = clock::now().plus(Duration::from_secs(3));
    let key = StoreKey::of("one");
    store.create(&key, vec![1], clock::now().plus(Duration::from_millis(1000))).await.unwrap();
    store.touch(&key, until).await.unwrap();
    store.replace(&key, vec![2]).await.unwrap();
    store.take("name", "ada", Duration::from_secs(5)).await.unwrap();
    store.extend("name", "ada", Duration::from_millis(100)).await.unwrap();
    store.take("other name", "ada", Duration::from_millis(100)).await.unwrap();
    store.extend("other name", "ada", Duration::from_secs(1)).await.unwrap();
    store.revoke(&Revocation { until, ..revocation("one") }).await.unwrap();
    let begin = Instant::now();
    while server.cli(&["DBSIZE"]) != "1" {
        assert!(begin.elapsed() < Duration::from_secs(10), "{}", server.cli(&["KEYS", "*"]));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Redis has a clock that may jump, too: the list of revocations stays for a month more, and no longer.
    let left: u64 = server.cli(&["TTL", "doorward:revocations"]).parse().unwrap();
    assert!((29 * 86_400..=30 * 86_400).contains(&left), "{left}");
}

#[tokio::test]
async fn a_list_that_is_another_one_is_read_from_its_beginning() {
    const ISSUER: &str = "https://idp.test/";
    let server = RedisServer::start();
    let store = open(&server.settings("doorward:"));
    let add = |id: &str, entry: &Revocation| {
        let (until, text) = (entry.until.0.to_string(), serde_json::to_string(entry).unwrap());
        server.cli(&["XADD", "doorward:revocations", id, "until", &until, "entry", &text]);
    };
    let (first, second, third, fourth) = (revocation("first"), revocation("second"), revocation("third"), revocation("fourth"));
    add("2000000000000-0", &first);
    let (found, cursor) = all_after(&store, ISSUER, Cursor::default()).await;
    assert_eq!(found, [first]);
    add("2000000000000-1", &second);
    let (found, cursor) = all_after(&store, ISSUER, cursor).await;
    assert_eq!(found, [second], "the same list goes on where it was");
    // All of it is gone, and what comes has a smaller number: somebody emptied it, or a replica whose clock is behind took over.
    server.cli(&["FLUSHALL"]);
    add("1000000000000-0", &third);
    let (found, cursor) = all_after(&store, ISSUER, cursor).await;
    assert_eq!(found, std::slice::from_ref(&third));
    // A replica that lacked the last entry, and is past it by now.
    server.cli(&["FLUSHALL"]);
    add("900000000000-0", &fourth);
    add("1100000000000-0", &third);
    let (found, cursor) = all_after(&store, ISSUER, cursor).await;
    assert_eq!(found, [fourth, third]);
    server.cli(&["FLUSHALL"]);
    let (found, cursor) = all_after(&store, ISSUER, cursor).await;
    assert_eq!(found, []);
    let fifth = revocation("fifth");
    store.revoke(&fifth).await.unwrap();
    assert_eq!(all_after(&store, ISSUER, cursor).await.0, [fifth]);
}

#[tokio::test]
async fn a_process_that_has_just_started_takes_nothing_out_of_the_list() {
    let server = RedisServer::start();
    let (fresh, settled) =
        (open(&server.settings("doorward:")), || RedisStore::with_limit(&server.settings("doorward:"), &Handle::current(), 100).unwrap());
    let until = clock::now().plus(Duration::from_secs(1));
    fresh.revoke(&Revocation { until, ..revocation("short") }).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    fresh.revoke(&revocation("one")).await.unwrap();
    assert_eq!(server.cli(&["XLEN", "doorward:revocations"]), "2");
    settled().revoke(&revocation("two")).await.unwrap();
    assert_eq!(server.cli(&["XLEN", "doorward:revocations"]), "2", "one more, one less");
}

#[tokio::test]
async fn sess_41_what_somebody_else_wrote_is_no_session_and_breaks_nothing() {
    let log = Log::begin();
    let server = RedisServer::start();
    let store = open(&server.settings("doorward:"));
    let (key, other) = (StoreKey::of("one"), StoreKey::of("other"));
    server.cli(&["SET", &format!("doorward:session:{key}"), "garbage"]);
    assert_eq!(store.read(&key).await, Ok(None));
    assert_eq!(store.replace(&key, vec![1]).await, Ok(false));
    assert_eq!(store.touch(&key, far()).await, Ok(false));
    store.create(&key, vec![1], far()).await.unwrap();
    assert!(store.read(&key).await.unwrap().is_some());
    server.cli(&["LPUSH", &format!("doorward:session:{other}"), "canary"]);
    assert_eq!(store.read(&other).await, Err(StoreFault::Broken));
    store.create(&other, vec![1], far()).await.unwrap();
    assert!(store.read(&other).await.unwrap().is_some());
    server.cli(&["XADD", "doorward:revocations", "*", "until", "9999999999", "entry", "canary"]);
    let good = revocation("good");
    store.revoke(&good).await.unwrap();
    assert_eq!(all_after(&store, "https://idp.test/", Cursor::default()).await.0, [good]);
    assert!(log.text().contains("some revocations in redis cannot be read"), "{}", log.text());
    assert!(!log.text().contains("canary"), "{}", log.text());
}

#[tokio::test]
async fn a_redis_without_memory_is_full() {
    let server = RedisServer::start();
    let store = open(&server.settings("doorward:"));
    is_well_soon(&store).await;
    server.cli(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    assert_eq!(store.create(&StoreKey::of("one"), vec![1], far()).await, Err(StoreFault::Full));
    assert_eq!(store.revoke(&revocation("one")).await, Err(StoreFault::Full));
    assert_eq!(store.read(&StoreKey::of("one")).await, Ok(None));
    server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(store.create(&StoreKey::of("one"), vec![1], far()).await, Ok(()));
}

#[tokio::test]
async fn a_redis_that_forgets_when_full_is_warned_about() {
    let log = Log::begin();
    let server = RedisServer::planned(RedisPlan::with(&["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"]));
    let store = open(&server.settings("doorward:"));
    is_well_soon(&store).await;
    assert_eq!(log.count("maxmemory-policy"), 1, "{}", log.text());
}
