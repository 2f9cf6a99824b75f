//! A proxy that asks before it passes a request on: exactly the fields that the real ones send, or what a test makes of them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::client::{Answer, Raw};
use crate::scene::Scene;

/// Below `server:`, for a [`Plan`]: a hook listener for this machine.
///
/// [`Plan`]: crate::scene::Plan
pub const HOOKS: &str =
    "  limits: { connections_per_client: 1000 }\n  hooks: { listen: [\"127.0.0.1:0\"], trusted_peers: [127.0.0.1/32] }\n";

/// The address of the client that the asking proxies speak of.
pub const CLIENT: &str = "192.0.2.7";

/// How a kind of proxy asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Traefik,
    Caddy,
    Haproxy,
    Nginx,
    Envoy,
    GatewayApi,
}

impl Kind {
    pub const ALL: [Self; 6] = [Self::Traefik, Self::Caddy, Self::Haproxy, Self::Nginx, Self::Envoy, Self::GatewayApi];

    /// The endpoint below the prefix; those that carry the original path have it behind this.
    pub fn endpoint(self) -> &'static str {
        match self {
            Self::Traefik => "/_doorward/check/traefik",
            Self::Caddy => "/_doorward/check/caddy",
            Self::Haproxy => "/_doorward/check/haproxy",
            Self::Nginx => "/_doorward/check/nginx",
            Self::Envoy => "/_doorward/check/envoy",
            Self::GatewayApi => "/_doorward/check/gateway-api",
        }
    }
}

/// A request, as a client sent it to the asking proxy.
#[derive(Debug, Clone)]
pub struct Request<'r> {
    pub method: &'r str,
    pub host: &'r str,
    pub target: &'r str,
    pub fields: Vec<(&'r str, &'r str)>,
}

impl<'r> Request<'r> {
    pub fn get(host: &'r str, target: &'r str) -> Self {
        Self { method: "GET", host, target, fields: Vec::new() }
    }

    /// A person's browser going somewhere.
    pub fn visit(host: &'r str, target: &'r str) -> Self {
        Self::get(host, target).with("accept", "text/html").with("sec-fetch-mode", "navigate").with("sec-fetch-dest", "document")
    }

    #[must_use]
    pub fn with(mut self, name: &'r str, value: &'r str) -> Self {
        self.fields.push((name, value));
        self
    }

    #[must_use]
    pub fn by(self, method: &'r str) -> Self {
        Self { method, ..self }
    }

    /// The question about it, as bytes.
    pub fn question(&self, kind: Kind) -> String {
        let url = format!("https://{}{}", self.host, self.target);
        let endpoint = kind.endpoint();
        let mut own: Vec<(&str, &str)> = Vec::new();
        let line = match kind {
            Kind::Traefik | Kind::Caddy | Kind::Haproxy => {
                own.extend([
                    ("host", "doorward.internal"),
                    ("x-forwarded-method", self.method),
                    ("x-forwarded-proto", "https"),
                    ("x-forwarded-host", self.host),
                    ("x-forwarded-uri", self.target),
                    ("x-forwarded-for", CLIENT),
                ]);
                format!("GET {endpoint}")
            }
            Kind::Nginx => {
                own.extend([
                    ("host", "doorward.internal"),
                    ("x-original-url", url.as_str()),
                    ("x-original-method", self.method),
                    ("x-forwarded-for", CLIENT),
                ]);
                format!("GET {endpoint}")
            }
            Kind::Envoy | Kind::GatewayApi => {
                own.extend([("host", self.host), ("x-forwarded-for", CLIENT), ("content-length", "0")]);
                format!("{} {endpoint}{}", self.method, self.target)
            }
        };
        let fields: String = own.iter().chain(&self.fields).map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        format!("{line} HTTP/1.1\r\n{fields}\r\n")
    }
}

/// Somebody connected to the hook listener.
#[derive(Debug, Clone, Copy)]
pub struct Asker {
    pub address: SocketAddr,
    pub from: IpAddr,
}

impl Asker {
    pub fn of(scene: &Scene) -> Self {
        Self { address: scene.edge().hook_addresses()[0], from: Ipv4Addr::LOCALHOST.into() }
    }

    /// The same, connecting from an address that nobody trusts.
    pub fn stranger(scene: &Scene) -> Self {
        Self { from: Ipv4Addr::new(127, 0, 0, 2).into(), ..Self::of(scene) }
    }

    pub async fn connect(&self) -> Raw {
        Raw::plain(self.address, self.from).await
    }

    pub async fn ask(&self, kind: Kind, request: &Request<'_>) -> Answer {
        self.send(&request.question(kind)).await
    }

    /// Sends a whole request as it is.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn send(&self, bytes: impl AsRef<[u8]>) -> Answer {
        let bytes = bytes.as_ref();
        let mut raw = self.connect().await;
        raw.send(bytes).await;
        let answer = if bytes.starts_with(b"HEAD ") { raw.head_answer().await } else { raw.answer().await };
        answer.unwrap_or_else(|| panic!("no answer to {}", String::from_utf8_lossy(bytes)))
    }

    /// One request with the fields of a test's choosing.
    pub async fn request(&self, method: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        self.send(format!("{method} {path} HTTP/1.1\r\n{fields}\r\n")).await
    }
}
