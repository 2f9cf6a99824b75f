//! The sample apps of the demo, in this process: they remember what reached them.

use std::net::SocketAddr;

use doorward_demo::{App, AppKind};

/// Both apps, running.
#[derive(Debug)]
pub struct Apps {
    pub cms: App,
    pub iot: App,
}

impl Apps {
    pub async fn start() -> Self {
        Self { cms: start(AppKind::Cms).await, iot: start(AppKind::Iot).await }
    }

    pub fn addresses(&self) -> [SocketAddr; 2] {
        [self.cms.address(), self.iot.address()]
    }

    pub async fn stop(self) {
        tokio::join!(self.cms.stop(), self.iot.stop());
    }
}

async fn start(kind: AppKind) -> App {
    App::start(kind).await.unwrap_or_else(|problem| panic!("failed to start a sample app: {problem}"))
}
