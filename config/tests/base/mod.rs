//! The smallest configuration, to be changed in one place by a test.

use std::path::Path;

use doorward_config::{Environment, Loaded, Report, load_text};

/// These variables and no others.
pub struct Vars<'v>(pub &'v [(&'v str, &'v str)]);

impl Environment for Vars<'_> {
    fn var(&self, name: &str) -> Option<String> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    }
}

pub fn base() -> String {
    "version: 1
server:
  state_dir: /var/lib/doorward
  listen: [\"127.0.0.1:8443\"]
  tls: { certificates: [{ cert: ../examples/tls/acme.crt, key: ../examples/tls/acme.key }] }
providers:
  auth0:
    kind: auth0
    domain: acme.eu.auth0.com
    client_id: abc
    client_secret: { file: ../examples/secrets/auth0 }
    audience: https://api.acme.dev
session: { keys: [{ file: ../examples/secrets/session.key }] }
routes:
  - name: app
    host: app.acme.dev
    upstream: http://10.0.0.5:3000
    rules: [{ allow: signed-in }]
"
    .to_owned()
}

/// The same where another proxy stands in front: `hooks` is what else stands under that key.
#[allow(dead_code)]
pub fn hooked(hooks: &str) -> String {
    let whole = base();
    let (_, rest) = whole.split_once("providers:").unwrap();
    let rest = rest.replace("    upstream: http://10.0.0.5:3000\n", "");
    format!(
        "version: 1\nserver:\n  state_dir: /var/lib/doorward\n  hooks: {{ listen: \"127.0.0.1:9180\", trusted_peers: [127.0.0.1/32]{hooks} }}\nproviders:{rest}"
    )
}

pub fn load(text: &str, vars: &Vars<'_>) -> Result<Loaded, Report> {
    load_text(Path::new("tests/test.yaml"), text.to_owned(), vars)
}

#[allow(dead_code)]
pub fn loads(text: &str) -> Loaded {
    load(text, &Vars(&[])).unwrap_or_else(|report| panic!("{report}"))
}

#[allow(dead_code)]
pub fn fails(text: &str) -> Report {
    load(text, &Vars(&[])).expect_err("it loads")
}
