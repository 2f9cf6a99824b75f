use std::sync::Mutex;

use doorward_config::settings::Rewrite;
use pingora::lb::health_check::HealthCheck as Check;
use proptest::prelude::*;

use super::*;

fn upstream(ports: &[u16], host: UpstreamHost) -> Upstream {
    let patience = Duration::from_secs(1);
    Upstream {
        servers: ports.iter().map(|port| UpstreamServer { host: "127.0.0.1".to_owned(), port: *port }).collect(),
        protocol: UpstreamProtocol::Http1,
        tls: None,
        host,
        health: None,
        connect: patience,
        read: patience,
        write: patience,
        rewrite: Rewrite::Keep,
    }
}

#[tokio::test]
async fn servers_take_turns_and_one_that_was_tried_is_passed_over() {
    let pool = UpstreamPool::new("app", &upstream(&[1001, 1002, 1003], UpstreamHost::Keep), None).unwrap();
    assert!(pool.next(&[]).is_none(), "nothing is resolved yet");
    pool.resolve().await;
    let chosen = |tried: &[SocketAddr]| pool.next(tried).map(|chosen| chosen.peer._address.as_inet().unwrap().port());
    let mut turns: Vec<_> = (0..6).map(|_| chosen(&[]).unwrap()).collect();
    assert_eq!(turns[..3], turns[3..]);
    turns.sort_unstable();
    assert_eq!(turns, [1001, 1001, 1002, 1002, 1003, 1003]);
    let address = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
    let tried = [address(1001), address(1003)];
    assert!((0..3).all(|_| chosen(&tried) == Some(1002)));
    assert_eq!(chosen(&[address(1001), address(1002), address(1003)]), None);
}

#[tokio::test]
async fn a_server_is_told_by_its_address_and_the_app_by_the_host_it_wants() {
    for (host, told) in [
        (UpstreamHost::Keep, None),
        (UpstreamHost::Upstream, Some("127.0.0.1:1001")),
        (UpstreamHost::Fixed("app.internal".to_owned()), Some("app.internal")),
    ] {
        let pool = UpstreamPool::new("app", &upstream(&[1001], host), None).unwrap();
        pool.resolve().await;
        assert_eq!(pool.host().map(HeaderValue::as_bytes), told.map(str::as_bytes));
        assert_eq!(&*pool.next(&[]).unwrap().name, "127.0.0.1:1001");
    }
}

/// Servers that come and go, and fall ill. Their ports, all on this machine.
#[derive(Clone, Default)]
struct Town {
    listed: Arc<Mutex<BTreeSet<u16>>>,
    ill: Arc<Mutex<BTreeSet<u16>>>,
}

#[async_trait]
impl ServiceDiscovery for Town {
    async fn discover(&self) -> pingora::Result<(BTreeSet<Backend>, HashMap<u64, bool>)> {
        let resolver = resolver(&[], &[]);
        Ok((self.listed.lock().unwrap().iter().map(|port| resolver.backend(address(*port))).collect(), HashMap::new()))
    }
}

#[async_trait]
impl Check for Town {
    async fn check(&self, server: &Backend) -> pingora::Result<()> {
        let port = server.addr.as_inet().unwrap().port();
        if self.ill.lock().unwrap().contains(&port) { pingora::Error::e_explain(pingora::ErrorType::Custom("ill"), "") } else { Ok(()) }
    }

    fn health_threshold(&self, _: bool) -> usize {
        1
    }
}

impl Town {
    fn pool(&self, is_checked: bool) -> UpstreamPool {
        let mut pool = UpstreamPool::new("app", &upstream(&[], UpstreamHost::Keep), None).unwrap();
        pool.backends = Backends::new(Box::new(self.clone()));
        if is_checked {
            pool.backends.set_health_check(Box::new(self.clone()));
            pool.health = Some(Duration::from_secs(1));
        }
        pool
    }

    fn list(&self, ports: impl IntoIterator<Item = u16>) {
        *self.listed.lock().unwrap() = ports.into_iter().collect();
    }

    fn infect(&self, ports: impl IntoIterator<Item = u16>) {
        *self.ill.lock().unwrap() = ports.into_iter().collect();
    }
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn resolver(hosts: &[&str], known: &[SocketAddr]) -> Resolver {
    let servers = hosts.iter().map(|host| UpstreamServer { host: (*host).to_owned(), port: 1001 }).collect();
    let template = peer_template("app", &upstream(&[], UpstreamHost::Keep), None);
    Resolver { servers, template, known: known.to_vec(), is_outdated: AtomicBool::new(false) }
}

/// The port of the next one.
fn next(pool: &UpstreamPool, tried: &[SocketAddr]) -> Option<u16> {
    let chosen = pool.next(tried)?;
    let address = chosen.peer._address.as_inet().unwrap();
    assert_eq!(*chosen.name, *address.to_string());
    Some(address.port())
}

#[tokio::test]
async fn nobody_is_chosen_while_all_are_ill_and_everybody_again_after() {
    let town = Town::default();
    let pool = town.pool(true);
    town.list([1, 2, 3]);
    assert_eq!(pool.look(true).await, 3);
    town.infect([1, 2, 3]);
    assert_eq!(pool.look(false).await, 0);
    assert!((0..7).all(|_| pool.next(&[]).is_none()));
    town.infect([1, 3]);
    assert_eq!(pool.look(false).await, 1);
    assert!((0..7).all(|_| next(&pool, &[]) == Some(2)));
    // Who is ill and leaves is not chosen, and who comes is well until it is known better.
    town.list([1, 4]);
    pool.resolve().await;
    assert!((0..7).all(|_| next(&pool, &[]) == Some(4)));
    town.infect([]);
    assert_eq!(pool.look(false).await, 2);
    assert_eq!((0..4).filter_map(|_| next(&pool, &[])).collect::<BTreeSet<_>>(), BTreeSet::from([1, 4]));
}

#[tokio::test]
async fn one_server_is_chosen_every_time_and_none_of_an_empty_list() {
    let town = Town::default();
    let pool = town.pool(false);
    for round in 0..3 {
        town.list([1, 2, 3]);
        pool.resolve().await;
        assert!((0..5).all(|_| pool.next(&[]).is_some()), "{round}");
        town.list([2]);
        pool.resolve().await;
        assert!((0..5).all(|_| next(&pool, &[]) == Some(2)), "{round}");
        assert!(pool.next(&[address(2)]).is_none(), "{round}");
        town.list([]);
        pool.resolve().await;
        assert!((0..5).all(|_| pool.next(&[]).is_none()), "{round}");
    }
    pool.turn.store(usize::MAX - 2, Ordering::Relaxed);
    town.list([1, 2, 3]);
    pool.resolve().await;
    assert!((0..6).all(|_| pool.next(&[]).is_some()), "so many have chosen that the count begins anew");
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_asked_first_only_when_it_is_its_turn() {
    let pool = UpstreamPool::new("app", &upstream(&[1001, 1002], UpstreamHost::Keep), None).unwrap();
    pool.resolve().await;
    let mut failures = 0;
    for _ in 0..10 {
        // What a request does: another one after a failure.
        if next(&pool, &[]) == Some(1001) {
            failures += 1;
            assert_eq!(next(&pool, &[address(1001)]), Some(1002));
        }
    }
    assert_eq!(failures, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_is_chosen_while_the_list_grows_and_shrinks() {
    let town = Town::default();
    let pool = Arc::new(town.pool(false));
    town.list([1]);
    pool.resolve().await;
    let is_over = Arc::new(AtomicBool::new(false));
    let choosing: [_; 2] = std::array::from_fn(|_| {
        let (pool, is_over) = (pool.clone(), is_over.clone());
        std::thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                let port = next(&pool, &[]).expect("there is always one");
                assert!((1..=20).contains(&port));
            }
        })
    });
    for round in 0..2000u16 {
        town.list(1..=1 + round * 7 % 20);
        pool.resolve().await;
    }
    is_over.store(true, Ordering::Relaxed);
    for chooser in choosing {
        chooser.join().unwrap();
    }
}

#[tokio::test]
async fn addresses_from_before_are_good_until_the_names_can_be_looked_up_again() {
    // No name, so nobody is asked.
    let unknown = "app\0internal";
    let led_to = async |resolver: &Resolver| {
        let (found, _) = resolver.discover().await.ok()?;
        Some(found.iter().map(|server| server.addr.as_inet().unwrap().to_string()).collect::<Vec<_>>())
    };
    let before = SocketAddr::from(([127, 0, 0, 9], 1001));
    let mut resolver = resolver(&[unknown], &[before]);
    assert_eq!(led_to(&resolver).await.unwrap(), ["127.0.0.9:1001"]);
    resolver.servers[0].host = "127.0.0.1".to_owned();
    assert_eq!(led_to(&resolver).await.unwrap(), ["127.0.0.1:1001"]);
    // From here on a failure changes nothing: what is known is newer than what was known before.
    resolver.servers[0].host = unknown.to_owned();
    assert_eq!(led_to(&resolver).await, None);
}

#[tokio::test]
async fn another_configuration_knows_the_addresses_of_the_same_names_only() {
    let named = |host: &str| {
        let mut named = upstream(&[1001], UpstreamHost::Keep);
        named.servers[0].host = host.to_owned();
        named
    };
    let before = UpstreamPool::new("app", &named("app\0internal"), None).unwrap();
    before.servers.store(Arc::new(vec![Server::of(&resolver(&[], &[]).backend(address(1001))).unwrap()]));
    for (host, expected) in [("app\0internal", Some(1001)), ("app\0other", None)] {
        let pool = UpstreamPool::new("app", &named(host), Some(&before)).unwrap();
        pool.resolve().await;
        assert_eq!(next(&pool, &[]), expected, "{host:?}");
    }
}

#[derive(Debug, Clone)]
enum Event {
    Listed(BTreeSet<u16>),
    Ill(BTreeSet<u16>),
    /// A request that has tried these.
    Asked(Vec<u16>),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let ports = || prop::collection::btree_set(1..6u16, 0..5);
    let event = prop_oneof![
        2 => ports().prop_map(Event::Listed),
        1 => ports().prop_map(Event::Ill),
        1 => Just(Event::Ill((1..6).collect())),
        4 => prop::collection::vec(1..6u16, 0..4).prop_map(Event::Asked),
    ];
    prop::collection::vec(event, 0..20)
}

proptest! {
    #[test]
    fn fuzz_whoever_is_listed_well_and_untried_is_chosen(events in events(), is_checked in any::<bool>(), turn in prop_oneof![Just(0), any::<usize>()]) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let town = Town::default();
        let pool = town.pool(is_checked);
        pool.turn.store(turn, Ordering::Relaxed);
        for event in events {
            match &event {
                Event::Listed(ports) => town.list(ports.clone()),
                Event::Ill(ports) => town.infect(ports.clone()),
                Event::Asked(_) => {}
            }
            let tried: Vec<_> = if let Event::Asked(ports) = &event { ports.iter().map(|port| address(*port)).collect() } else { Vec::new() };
            let (listed, ill) = (town.listed.lock().unwrap().clone(), town.ill.lock().unwrap().clone());
            let well: BTreeSet<u16> = if is_checked { listed.difference(&ill).copied().collect() } else { listed.clone() };
            if !matches!(event, Event::Asked(_)) {
                prop_assert_eq!(runtime.block_on(pool.look(true)), well.len());
                prop_assert_eq!(pool.size(), listed.len());
            }
            let candidates: BTreeSet<u16> = well.into_iter().filter(|port| !tried.contains(&address(*port))).collect();
            let chosen = next(&pool, &tried);
            prop_assert_eq!(chosen.is_some(), !candidates.is_empty(), "{:?}", event);
            prop_assert!(chosen.is_none_or(|port| candidates.contains(&port)), "{:?}: {:?} of {:?}", event, chosen, candidates);
            if tried.is_empty() && turn < usize::MAX - 1000 {
                // A whole round, wherever it begins.
                let round: BTreeSet<u16> = (0..listed.len()).filter_map(|_| next(&pool, &[])).collect();
                prop_assert_eq!(round, candidates, "{:?}", event);
            }
        }
    }
}
