//! The configuration that decisions are made with: one route with a part for everybody, one for admins, and the rest for
//! whoever is signed in.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

/// The host that everything is asked for.
pub const HOST: &str = "app.localhost";
/// An app that is never asked.
pub const NO_APP: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9));
/// What `session.key` holds.
pub const SESSION_KEY: &str = "Vb1wVgZ9dOeD8YFzN0xkT3mI5lQyKq7uHs2aXcRjP4o=";

/// What differs. It is written as `doorward.yaml` has it; files are named as they lie beside it.
#[derive(Debug, Clone)]
pub struct Configuration {
    /// Below `server:`, each line indented by two.
    pub server: String,
    /// The provider below `providers:`, each line indented by two.
    pub provider: String,
    /// Keys of `session` behind its keys, each after a comma.
    pub session: String,
    /// Inside `identity: { }`.
    pub identity: &'static str,
    /// The route's host, or a list of them.
    pub hosts: String,
    pub app: SocketAddr,
    /// Rules before the last one, a line each, indented by six.
    pub rules: &'static str,
}

impl fmt::Display for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { server, provider, session, identity, hosts, app, rules } = self;
        write!(
            f,
            r#"version: 1
server:
{server}providers:
{provider}session: {{ keys: [{{ file: session.key }}]{session} }}
identity: {{ {identity} }}
headers: {{ X-Auth-User: "{{user}}", X-Auth-Email: "{{email}}", X-Auth-Roles: "{{roles}}" }}
routes:
  - name: app
    host: {hosts}
    upstream: http://{app}
    rules:
      - {{ path: "/public/**", allow: public }}
      - {{ path: "/admin/**", allow: {{ role: admin }} }}
{rules}      - {{ allow: signed-in }}
"#
        )
    }
}
