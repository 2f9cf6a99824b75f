//! A stand, and a runtime that takes its credentials.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use doorward_proxy::clock;
use doorward_proxy::gate::Outcome;
use doorward_proxy::hooks::dialect::{self, Dialect, Question};
use http::{HeaderMap, Method, header};

use crate::Fault;
use crate::configuration::{Configuration, HOST, NO_APP};
use crate::inside::Inside;
use crate::request::{ask, target, usual};
use crate::stand::Stand;

/// The configuration's file in the stand's folder.
pub const FILE: &str = "doorward.yaml";
const EXPRESSION: &str = "      - { path: \"/t/{tenant}/**\", allow: { when: \"path.tenant == 'acme' && 'admin' in roles\" } }\n";

#[derive(Debug)]
pub struct Rig {
    pub inside: Inside,
    pub stand: Stand,
}

impl Rig {
    /// For these hosts, with what `configure` makes of [`Stand::configuration`].
    ///
    /// # Errors
    /// When that is no configuration, or the system's.
    pub fn new(hosts: &[&str], configure: impl FnOnce(Configuration) -> Configuration) -> Result<Self, Fault> {
        crate::crypto();
        let tokio = crate::beside()?;
        let stand = tokio.block_on(Stand::new(hosts, NO_APP))?;
        let file = stand.write(FILE, &configure(stand.configuration()).to_string())?;
        Ok(Self { inside: Inside::new(&file, tokio)?, stand })
    }

    /// For [`HOST`]; `/t/{tenant}/**` is behind an expression.
    ///
    /// # Errors
    /// As [`Rig::new`].
    pub fn usual() -> Result<Self, Fault> {
        Self::new(&[HOST], |usual| Configuration { rules: EXPRESSION, ..usual })
    }

    /// Reads what is asked for, and decides: whether it may pass.
    pub fn admit(&self, path: &str, headers: &HeaderMap) -> bool {
        let Ok(target) = target(HOST, path) else { return false };
        let admission = self.inside.tokio.block_on(self.inside.runtime.admit(&ask(&target, headers, clock::now())));
        matches!(admission.outcome, Outcome::Forward { .. })
    }

    /// The status that another proxy is answered with.
    pub fn ask(&self, dialect: Dialect, headers: &HeaderMap) -> u16 {
        let runtime = &self.inside.runtime;
        let (authority, request_id, started) = (Ok(&b"doorward.internal"[..]), runtime.request_ids.next(), Instant::now());
        let question = Question { runtime, method: &Method::GET, authority, headers, request_id: &request_id, started };
        self.inside.tokio.block_on(dialect::ask(dialect, &question, b"")).1.status
    }

    /// A browser's request with a session.
    ///
    /// # Errors
    /// As [`Stand::cookie`].
    pub fn session(&self) -> Result<HeaderMap, Fault> {
        let cookie = self.stand.cookie(&self.inside.runtime.settings, "bench", clock::now())?;
        Ok(usual(&[(header::COOKIE, format!("theme=dark; {cookie}; lang=en"))])?)
    }

    /// A browser's request with a token. Each is another one: equal ones would be found among those seen before.
    ///
    /// # Errors
    /// When the token is no value of a field.
    pub fn bearer(&self) -> Result<HeaderMap, Fault> {
        static TOKENS: AtomicU64 = AtomicU64::new(0);
        let token = self.stand.bearer(TOKENS.fetch_add(1, Ordering::Relaxed));
        Ok(usual(&[(header::AUTHORIZATION, format!("Bearer {token}"))])?)
    }
}
