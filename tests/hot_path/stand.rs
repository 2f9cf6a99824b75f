//! A gate without sockets: every request says its own time.

use std::time::Duration;

use doorward_benches::configuration::Configuration;
use doorward_benches::inside::{self, Inside};
use doorward_benches::request::{self, ask};
use doorward_benches::rig::{FILE, Rig};
use doorward_policy::request::Target;
use doorward_policy::session::{COOKIE, Session, StoreKey, Ticket, Tokens};
use doorward_policy::time::Timestamp;
use doorward_proxy::clock;
use doorward_proxy::gate::{Admission, Outcome};
use doorward_proxy::runtime::Runtime;
use http::{HeaderMap, HeaderName, header};

pub const APP: &str = "app.localhost";
/// Another of our hosts, with the same rules.
pub const OTHER: &str = "other.localhost";
pub const IDLE: Duration = Duration::from_secs(3600);
pub const LIFETIME: Duration = Duration::from_secs(12 * 3600);
/// What people's sessions are called at the provider.
pub const SID: &str = "provider-session";

pub struct Stand {
    pub tokio: tokio::runtime::Runtime,
    pub runtime: Runtime,
    issuing: doorward_benches::stand::Stand,
}

impl Stand {
    pub fn new(store: &str) -> Self {
        let rig = Rig::new(&[APP, OTHER], |usual| Configuration {
            session: format!(", idle: 1h, lifetime: 12h, store: {store}"),
            hosts: format!("[{APP}, {OTHER}]"),
            ..usual
        });
        let Rig { inside: Inside { tokio, runtime }, stand: issuing } = rig.unwrap_or_else(|fault| panic!("{fault}"));
        Self { tokio, runtime, issuing }
    }

    /// What a changed configuration puts in the place of this one.
    pub fn reloaded(&self, from: &str, to: &str) -> Runtime {
        let text = std::fs::read_to_string(self.issuing.folder.join(FILE)).unwrap();
        assert!(text.contains(from), "{from}");
        let file = self.issuing.write(FILE, &text.replace(from, to)).unwrap();
        let settings = inside::settings(&file).unwrap_or_else(|fault| panic!("{fault}"));
        Runtime::succeeding(&self.runtime, settings).unwrap()
    }

    /// Who signs people in.
    pub fn issuer(&self) -> &str {
        self.issuing.tenant.issuer()
    }

    /// Somebody's session that began at `now`.
    pub fn session(&self, now: Timestamp) -> Session {
        let mut session = self.issuing.session(&self.runtime.settings, "session-of-a-test", now).unwrap();
        (session.provider_session, session.issued) = (Some(SID.into()), now);
        session
    }

    /// The fields of a request with that session's cookie for `host`.
    pub fn holding(&self, session: &Session, host: &str) -> HeaderMap {
        let sealed = session.seal(&self.runtime.keys(), host, [7; 12]).unwrap();
        fields(header::COOKIE, &format!("theme=dark; {COOKIE}={sealed}; lang=en"))
    }

    /// The same where a store keeps it.
    pub fn kept(&self, session: &Session, host: &str) -> HeaderMap {
        self.tokio.block_on(self.runtime.sessions.begin(session.clone(), Tokens::default(), host)).unwrap();
        let sealed = Ticket::of(session).seal(&self.runtime.keys(), host, [8; 12]);
        fields(header::COOKIE, &format!("theme=dark; {COOKIE}={sealed}; lang=en"))
    }

    /// Until the store has that session no more.
    pub fn wait_until_gone(&self, session: &Session) {
        let key = StoreKey::of(&session.id);
        let gone = async {
            while self.runtime.store.read(&key).await.unwrap().is_some() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        self.tokio.block_on(async { tokio::time::timeout(Duration::from_secs(20), gone).await }).unwrap();
    }

    /// The fields of a request with a token; each number is another one.
    pub fn bearer(&self, number: u64) -> HeaderMap {
        fields(header::AUTHORIZATION, &format!("Bearer {}", self.issuing.bearer(number)))
    }

    /// What `runtime` says to a request for `host`: `allow`, or the reason why not.
    pub fn says(&self, runtime: &Runtime, host: &str, headers: &HeaderMap, now: Timestamp) -> &'static str {
        self.says_of(runtime, &target(host, "/admin/users"), headers, now)
    }

    pub fn says_of(&self, runtime: &Runtime, target: &Target, headers: &HeaderMap, now: Timestamp) -> &'static str {
        reason(&self.tokio.block_on(runtime.admit(&ask(target, headers, now))))
    }

    /// One request that waits for nobody.
    pub fn at_once(&self, target: &Target, headers: &HeaderMap) -> Admission {
        inside::at_once(&self.runtime, &ask(target, headers, clock::now())).expect("it waits for nobody")
    }
}

pub fn target(host: &str, path: &str) -> Target {
    request::target(host, path).unwrap()
}

pub fn reason(admission: &Admission) -> &'static str {
    match &admission.outcome {
        Outcome::Forward { .. } => "allow",
        Outcome::Answer { reason, .. } => reason,
    }
}

/// What a browser sends, and one field more.
pub fn fields(name: HeaderName, value: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in [("user-agent", "Mozilla/5.0"), ("accept", "*/*"), ("accept-language", "en-GB"), ("sec-fetch-site", "same-origin")]
    {
        headers.insert(name, value.parse().unwrap());
    }
    headers.insert(name, value.parse().unwrap());
    headers
}
