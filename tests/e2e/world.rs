//! Everything together: provider, apps, edge.

use std::time::Duration;

use doorward_tests::idp::Idp;
use doorward_tests::ports::free_port;
use reqwest::Client;

use crate::apps::Apps;
use crate::client;
use crate::edge::{Edge, Ports};

/// Of the provider that [`crate::edge`] calls `auth0`.
pub const CALLBACK: &str = "/_doorward/callback/auth0";

/// One of each, for one test.
#[derive(Debug)]
pub struct World {
    pub idp: Idp,
    pub edge: Edge,
    /// Finds the edge and trusts its certificate.
    pub client: Client,
    pub apps: Apps,
}

impl World {
    /// Starts everything; the edge has heard from its provider.
    pub async fn start() -> Self {
        let ports = Ports::reserve();
        let idp = Idp::start(free_port(), &origins(ports), CALLBACK).await;
        let mut world = Self::around(idp, ports).await;
        world.edge.until_answers("/readyz", Duration::from_secs(20)).await;
        world
    }

    /// Starts apps and edge for a provider that runs already, or did.
    pub async fn around(idp: Idp, ports: Ports) -> Self {
        let apps = Apps::start().await;
        let edge = Edge::start(ports, idp.port, apps.addresses()).await;
        let client = client::tls(&crate::edge::HOSTS, &edge.authority);
        Self { idp, edge, client, apps }
    }

    /// Starts the provider again where it was, with new keys and no memory.
    pub async fn restart_idp(&mut self) {
        self.idp = Idp::start(self.idp.port, &origins(self.edge.ports), CALLBACK).await;
    }

    pub fn cms(&self, path: &str) -> String {
        format!("{}{path}", self.edge.ports.origin("cms"))
    }

    pub fn iot(&self, path: &str) -> String {
        format!("{}{path}", self.edge.ports.origin("iot"))
    }

    pub fn api(&self, path: &str) -> String {
        format!("{}{path}", self.edge.ports.origin("api"))
    }

    /// Asks the edge to end, as an operator does, and answers everything it said.
    pub async fn end(mut self) -> String {
        let status = self.edge.process.terminate(Duration::from_secs(15)).await;
        assert!(status.success(), "doorward ended with {status} after SIGTERM\n{}", self.edge.process.said());
        self.apps.stop().await;
        self.edge.process.said()
    }
}

/// The origins that sign people in.
pub fn origins(ports: Ports) -> [String; 2] {
    [ports.origin("cms"), ports.origin("iot")]
}
