//! A session that gave way is answered as if it were held.

use doorward_policy::session::{Origin, Tokens};
use serde_json::json;
use tokio::runtime::Handle;

use super::*;
use crate::audit::Audit;
use crate::clock;
use crate::keyring::Keyring;
use crate::metrics::Metrics;
use crate::revocations::RevocationList;
use crate::sessions::held_sessions::HeldSessions;
use crate::store::{MemoryStore, Store};

const HOST: &str = "app.example.com";
const ISSUER: &str = "https://idp.example.com/";
const IDLE: Duration = Duration::from_secs(3600);
const CONFIGURATION: &str = r#"
version: 1
server: { hooks: { listen: "127.0.0.1:9180", trusted_peers: [10.1.0.7] } }
providers: { tenant: { kind: auth0, domain: acme.eu.auth0.com, client_id: client, client_secret: { file: secret } } }
session: { keys: [{ file: session.key }], idle: 1h, lifetime: 12h, store: memory }
routes: [{ name: app, host: app.example.com, rules: [{ allow: signed-in }] }]
"#;

struct Rig {
    sessions: Arc<Sessions>,
    store: Arc<dyn Store>,
    now: Timestamp,
}

/// With room for two sessions.
fn rig() -> Rig {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("secret", "a-secret-of-a-test");
    write("session.key", "Vb1wVgZ9dOeD8YFzN0xkT3mI5lQyKq7uHs2aXcRjP4o=");
    write("doorward.yaml", CONFIGURATION);
    let loaded = doorward_config::load(&folder.path().join("doorward.yaml")).unwrap_or_else(|report| panic!("{report}"));
    let settings = Arc::new(loaded.settings);
    let metrics = Arc::new(Metrics::new(&settings).unwrap());
    let audit = Arc::new(Audit::open(None, &metrics).unwrap());
    let keyring = Arc::new(Keyring::new(&settings.session, Duration::ZERO));
    let store: Arc<dyn Store> = Arc::new(MemoryStore::with_limits(100, 100));
    let revocations = RevocationList::new([ISSUER], settings.session.lifetime, store.clone(), metrics.clone(), Handle::current());
    let new = |before: Option<&Sessions>| {
        let (settings, keyring, revocations, store) = (settings.clone(), keyring.clone(), revocations.clone(), store.clone());
        Sessions::new(settings, keyring, revocations, store, &[], Handle::current(), metrics.clone(), audit.clone(), before)
    };
    // What is held survives another configuration, and so does how many.
    let mut before = Arc::into_inner(new(None)).unwrap();
    before.held = Arc::new(HeldSessions::new(2));
    Rig { sessions: new(Some(&before)), store: store.clone(), now: clock::now() }
}

impl Rig {
    fn session(&self, id: &str) -> Session {
        let claims = json!({ "iss": ISSUER, "sub": id, "iat": self.now.0 });
        let origin = Origin { id, provider: "tenant", client_id: "client" };
        Session::begin(origin, claims.as_object().unwrap(), &["iss".into(), "sub".into()], self.now)
    }

    async fn begin(&self, id: &str) {
        self.sessions.begin(self.session(id), Tokens::default(), HOST).await.unwrap();
    }

    /// What is said to whoever brings the cookie of that session.
    async fn find(&self, id: &str, at: Timestamp) -> Result<Box<str>, CredentialFault> {
        let cookie = Ticket::of(&self.session(id)).seal(&self.sessions.keyring.keys(), self.sessions.place(HOST), [7; 12]);
        let live = self.sessions.find(cookie.as_bytes(), HOST, at).await?;
        Ok(live.session.id.clone())
    }

    fn is_held(&self, id: &str) -> bool {
        self.sessions.held.get(id).is_some()
    }

    /// When it ends, as the store knows it.
    async fn stored(&self, id: &str) -> Timestamp {
        // What goes on beside the requests goes on.
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        self.store.read(&StoreKey::of(id)).await.unwrap().unwrap().until
    }
}

const EXPIRED: CredentialFault = CredentialFault::Session(SessionFault::Expired);
const REVOKED: CredentialFault = CredentialFault::Session(SessionFault::Revoked);

#[tokio::test]
async fn who_gave_way_is_let_in_again_and_is_who_he_was() {
    let rig = rig();
    for id in ["a", "b", "c"] {
        rig.begin(id).await;
    }
    assert_eq!((rig.is_held("a"), rig.is_held("b"), rig.is_held("c")), (false, true, true));
    for id in ["a", "b", "c", "a", "c"] {
        assert_eq!(rig.find(id, rig.now).await.as_deref(), Ok(id));
        assert_eq!(rig.sessions.held.len(), 2);
    }
    assert_eq!(rig.find("d", rig.now).await, Err(EXPIRED), "never there");
}

#[tokio::test]
async fn who_gave_way_and_was_signed_out_stays_out() {
    for (name, said) in [("nothing", None), ("a sign-out here", Some(EXPIRED)), ("a sign-out at the provider", Some(REVOKED))] {
        let rig = rig();
        for id in ["a", "b", "c"] {
            rig.begin(id).await;
        }
        assert!(!rig.is_held("a"));
        let session = rig.session("a");
        match &said {
            None => {}
            Some(fault) if *fault == EXPIRED => rig.sessions.end(&session).await,
            Some(_) => rig.sessions.revocations.end_session(ISSUER, &session, rig.now).await.unwrap(),
        }
        assert_eq!(rig.find("a", rig.now).await.err(), said, "{name}");
        assert_eq!(rig.find("b", rig.now).await.as_deref(), Ok("b"), "{name}");
    }
}

#[tokio::test]
async fn when_who_gave_way_ends_is_not_forgotten() {
    let rig = rig();
    let (used, end) = (rig.now.plus(Duration::from_secs(300)), rig.now.plus(IDLE));
    let later = used.plus(IDLE);
    rig.begin("a").await;
    rig.begin("b").await;
    // Too little for the store to be told at once.
    assert_eq!(rig.find("a", used).await.as_deref(), Ok("a"));
    assert_eq!(rig.stored("a").await, end);
    rig.begin("c").await;
    assert!(rig.is_held("a") && !rig.is_held("b"), "the one who was not used");
    assert_eq!(rig.stored("a").await, end);
    rig.begin("d").await;
    assert!(!rig.is_held("a"));
    assert_eq!((rig.stored("a").await, rig.stored("b").await), (later, end));
    let almost = later.minus(Duration::from_secs(1));
    assert_eq!((rig.find("a", almost).await.as_deref(), rig.find("b", almost).await), (Ok("a"), Err(EXPIRED)));
}

#[tokio::test]
async fn who_gave_way_ends_in_time() {
    for (before, said) in [(1, Ok("a".into())), (0, Err(EXPIRED))] {
        let rig = rig();
        for id in ["a", "b", "c"] {
            rig.begin(id).await;
        }
        assert!(!rig.is_held("a"));
        assert_eq!(rig.find("a", rig.now.plus(IDLE).minus(Duration::from_secs(before))).await, said);
    }
}
