use std::sync::atomic::AtomicUsize;

use async_trait::async_trait;
use doorward_policy::session::StoreKey;

use super::*;
use crate::store::{MemoryStore, Stored};

const IDP: &str = "https://idp.example.com/";
const LIFETIME: Duration = Duration::from_secs(3600);

/// A store that several processes share, and that may be out of reach or full.
#[derive(Debug)]
struct Shared {
    store: MemoryStore,
    down: AtomicBool,
    full: AtomicBool,
    /// It takes as long as this is set.
    slow: AtomicBool,
    reads: AtomicUsize,
    shared: bool,
}

impl Shared {
    fn new(shared: bool) -> Arc<Self> {
        let (down, full, reads) = (AtomicBool::new(false), AtomicBool::new(false), AtomicUsize::new(0));
        let slow = AtomicBool::new(false);
        Arc::new(Self { store: MemoryStore::with_limits(10, 100_000), down, full, slow, reads, shared })
    }

    fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    fn check(&self) -> Result<(), StoreFault> {
        if self.down.load(Ordering::SeqCst) { Err(StoreFault::Unreachable) } else { Ok(()) }
    }
}

#[async_trait]
impl Store for Shared {
    fn is_shared(&self) -> bool {
        self.shared
    }
    fn is_lasting(&self) -> bool {
        true
    }
    async fn read(&self, _key: &StoreKey) -> Result<Option<Stored>, StoreFault> {
        Err(StoreFault::Broken)
    }
    async fn create(&self, _key: &StoreKey, _sealed: Vec<u8>, _until: Timestamp) -> Result<(), StoreFault> {
        Err(StoreFault::Broken)
    }
    async fn replace(&self, _key: &StoreKey, _sealed: Vec<u8>) -> Result<bool, StoreFault> {
        Err(StoreFault::Broken)
    }
    async fn touch(&self, _key: &StoreKey, _until: Timestamp) -> Result<bool, StoreFault> {
        Err(StoreFault::Broken)
    }
    async fn remove(&self, _key: &StoreKey) -> Result<(), StoreFault> {
        Err(StoreFault::Broken)
    }
    async fn take(&self, _name: &str, _holder: &str, _lasts: Duration) -> Result<bool, StoreFault> {
        Err(StoreFault::Broken)
    }
    async fn extend(&self, _name: &str, _holder: &str, _lasts: Duration) -> Result<bool, StoreFault> {
        Err(StoreFault::Broken)
    }
    async fn give_back(&self, _name: &str, _holder: &str) -> Result<(), StoreFault> {
        Err(StoreFault::Broken)
    }
    async fn revoke(&self, entry: &Revocation) -> Result<(), StoreFault> {
        while self.slow.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.check()?;
        if self.full.load(Ordering::SeqCst) && !matches!(entry.what, What::Issuer(_)) {
            return Err(StoreFault::Full);
        }
        self.store.revoke(entry).await
    }
    async fn revocations(&self, after: Cursor) -> Result<(Vec<Revocation>, Cursor), StoreFault> {
        self.check()?;
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.store.revocations(after).await
    }
    async fn is_well(&self) -> bool {
        self.check().is_ok()
    }
}

fn list(store: &Arc<Shared>) -> Arc<RevocationList> {
    let settings = doorward_config::load(std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../config/examples/minimal.yaml")));
    let metrics = Arc::new(Metrics::new(&settings.unwrap().settings).unwrap());
    RevocationList::new([IDP], LIFETIME, store.clone(), metrics, Handle::current())
}

fn of_sid(sid: &str) -> What {
    What::ProviderSession { issuer: IDP.into(), sid: sid.into() }
}

fn facts(sid: &str) -> SessionFacts {
    SessionFacts::new(IDP, "id", Some(sid), "sub", clock::now().plus(SLACK))
}

fn follow(list: &Arc<RevocationList>) {
    let list = list.clone();
    tokio::spawn(RevocationList::follow(move || list.clone()));
}

async fn end(list: &Arc<RevocationList>, sid: &str) -> Result<(), StoreFault> {
    list.end(of_sid(sid), clock::now(), clock::now()).await
}

/// Lets background work go on for as long as a look at the store takes, and a little.
async fn a_while() {
    tokio::time::sleep(EVERY * 3).await;
}

#[tokio::test(start_paused = true)]
async fn logout_05_what_one_process_revokes_the_others_refuse_within_a_second() {
    let store = Shared::new(true);
    let (one, other) = (list(&store), list(&store));
    follow(&other);
    assert_eq!(end(&one, "s").await, Ok(()));
    assert!(one.is_revoked(&facts("s")) && !one.is_revoked(&facts("t")));
    tokio::time::sleep(EVERY * 2).await;
    assert!(other.is_revoked(&facts("s")) && !other.is_revoked(&facts("t")));
}

#[tokio::test(start_paused = true)]
async fn logout_15_a_start_loads_what_was_revoked_before() {
    let store = Shared::new(false);
    end(&list(&store), "s").await.unwrap();
    let after = list(&store);
    assert!(!after.is_revoked(&facts("s")));
    after.load().await;
    assert!(after.is_revoked(&facts("s")));
    // Nobody else writes to it: it is not asked again.
    let reads = store.reads.load(Ordering::SeqCst);
    follow(&after);
    a_while().await;
    assert_eq!(store.reads.load(Ordering::SeqCst), reads);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_stops_no_start_and_is_read_once_it_is_back() {
    let store = Shared::new(false);
    end(&list(&store), "s").await.unwrap();
    store.set_down(true);
    let after = list(&store);
    after.load().await;
    follow(&after);
    a_while().await;
    assert!(!after.is_revoked(&facts("s")));
    store.set_down(false);
    a_while().await;
    assert!(after.is_revoked(&facts("s")));
}

#[tokio::test(start_paused = true)]
async fn a_revocation_that_could_not_be_stored_counts_here_and_is_stored_later() {
    let store = Shared::new(true);
    let (one, other) = (list(&store), list(&store));
    follow(&one);
    follow(&other);
    store.set_down(true);
    assert_eq!(end(&one, "s").await, Err(StoreFault::Unreachable));
    assert!(one.is_revoked(&facts("s")));
    a_while().await;
    assert!(!other.is_revoked(&facts("s")));
    store.set_down(false);
    a_while().await;
    assert!(other.is_revoked(&facts("s")));
    assert!(one.waiting().is_empty());
}

#[tokio::test(start_paused = true)]
async fn logout_14_what_waits_for_the_store_is_bounded_and_never_revokes_less() {
    let store = Shared::new(true);
    let list = list(&store);
    store.set_down(true);
    let now = clock::now();
    for n in 0..=WAITING {
        list.wait_with(Revocation { what: of_sid(&n.to_string()), not_before: now, until: now.plus(LIFETIME) });
    }
    assert_eq!(list.waiting().len(), 2, "everybody, and the last one");
    assert!(list.is_revoked(&SessionFacts::new(IDP, "id", None, "bystander", now)));
    assert!(!list.is_revoked(&SessionFacts::new(IDP, "id", None, "bystander", now.plus(SLACK))), "who signs in later");
}

#[tokio::test(start_paused = true)]
async fn logout_14_a_full_store_is_told_to_revoke_more() {
    let store = Shared::new(true);
    let (one, other) = (list(&store), list(&store));
    follow(&other);
    store.full.store(true, Ordering::SeqCst);
    assert_eq!(end(&one, "s").await, Ok(()));
    a_while().await;
    let before = SessionFacts::new(IDP, "id", Some("s"), "sub", clock::now().minus(SLACK));
    assert!(one.is_revoked(&before) && other.is_revoked(&before));
}

#[tokio::test(start_paused = true)]
async fn logout_12_whoever_goes_away_stops_no_revocation() {
    let store = Shared::new(true);
    let (one, other) = (list(&store), list(&store));
    {
        let mut asked = std::pin::pin!(end(&one, "s"));
        assert!(futures::poll!(asked.as_mut()).is_pending());
    }
    follow(&other);
    a_while().await;
    assert!(other.is_revoked(&facts("s")));
}

#[tokio::test(start_paused = true)]
async fn entries_end_with_the_sessions_they_concern() {
    let store = Shared::new(true);
    let list = list(&store);
    let now = clock::now();
    list.end(of_sid("s"), now, now).await.unwrap();
    let mut entries = store.store.revocations(Cursor::default()).await.unwrap().0;
    assert_eq!(entries.pop().map(|entry| entry.until), Some(now.plus(LIFETIME).plus(SLACK)));
}

#[tokio::test(start_paused = true)]
async fn logout_14_a_sign_out_that_is_repeated_is_stored_once() {
    let store = Shared::new(true);
    let list = list(&store);
    let now = clock::now();
    for second in 0..300 {
        list.end(of_sid("s"), now, now.plus(Duration::from_secs(second))).await.unwrap();
    }
    assert_eq!(list.metrics.revocations.with_label_values(&["provider_session"]).get(), 1);
    // Much later it is another one: the sessions that it may concern live longer.
    list.end(of_sid("s"), now, now.plus(SLACK)).await.unwrap();
    assert_eq!(list.metrics.revocations.with_label_values(&["provider_session"]).get(), 2);
}

#[tokio::test(start_paused = true)]
async fn sess_40_a_list_for_another_store_begins_with_all_that_is_known() {
    let (one, two) = (Shared::new(true), Shared::new(true));
    let before = list(&one);
    end(&before, "early").await.unwrap();
    let next = RevocationList::succeeding(&before, [IDP], LIFETIME, two.clone());
    assert!(next.is_revoked(&facts("early")) && !next.is_revoked(&facts("late")));
    // Somebody who is still served under the configuration that was.
    end(&before, "late").await.unwrap();
    assert!(before.is_revoked(&facts("late")) && next.is_revoked(&facts("late")));
    a_while().await;
    let third = list(&two);
    third.load().await;
    assert!(third.is_revoked(&facts("late")) && third.is_revoked(&facts("early")), "it is stored where the next process looks");
    assert!(!third.is_revoked(&facts("nobody")));
}

#[tokio::test(start_paused = true)]
async fn sess_40_what_is_on_its_way_to_a_store_that_is_left_comes_to_the_next_one() {
    for down in [false, true] {
        let (one, two) = (Shared::new(true), Shared::new(true));
        let before = list(&one);
        one.slow.store(true, Ordering::SeqCst);
        let adding = tokio::spawn({
            let before = before.clone();
            async move { end(&before, "s").await }
        });
        a_while().await;
        let next = RevocationList::succeeding(&before, [IDP], LIFETIME, two.clone());
        // All that the first store holds is read by now.
        a_while().await;
        one.set_down(down);
        one.slow.store(false, Ordering::SeqCst);
        let _ = adding.await;
        assert!(next.is_revoked(&facts("s")));
        let third = list(&two);
        third.load().await;
        assert!(third.is_revoked(&facts("s")), "{down}");
    }
}

#[tokio::test(start_paused = true)]
async fn sess_40_sessions_that_may_live_longer_now_are_signed_out_for_longer_also_in_the_store() {
    let store = Shared::new(true);
    let list = list(&store);
    end(&list, "s").await.unwrap();
    let ends = async || store.store.revocations(Cursor::default()).await.unwrap().0.iter().map(|entry| entry.until).max().unwrap();
    let before = ends().await;
    list.keep_for([IDP], LIFETIME);
    a_while().await;
    assert_eq!(ends().await, before, "as long as ever");
    list.keep_for([IDP], LIFETIME * 3);
    a_while().await;
    assert_eq!(ends().await, before.plus(LIFETIME * 2));
}

#[tokio::test(start_paused = true)]
async fn sess_40_an_issuer_that_is_new_here_may_be_known_to_the_store() {
    let store = Shared::new(true);
    let other = "https://other.example.com/";
    let of_other = Revocation { what: What::Issuer(other.into()), not_before: clock::now(), until: clock::now().plus(LIFETIME) };
    store.revoke(&of_other).await.unwrap();
    let list = list(&store);
    list.load().await;
    let theirs = SessionFacts::new(other, "id", None, "sub", clock::now().minus(LIFETIME));
    assert!(!list.is_revoked(&theirs), "no session of it could live here");
    assert!(!list.keep_for([IDP], LIFETIME) && list.keep_for([IDP, other], LIFETIME));
    list.load_again().await;
    assert!(list.is_revoked(&theirs));
}
