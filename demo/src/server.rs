//! A small HTTP server on loopback that can be told to stop.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A running server. Dropping it stops it without waiting.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// Resolves when the server was told to stop; endless responses race against it.
#[derive(Debug, Clone)]
pub(crate) struct Stopping(watch::Receiver<bool>);

/// A bound socket that does not answer yet, so that the port is known before the routes are made.
#[derive(Debug)]
pub(crate) struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    stop: watch::Sender<bool>,
}

impl Bound {
    pub(crate) async fn to(listen: SocketAddr) -> io::Result<Bound> {
        if !listen.ip().is_loopback() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("`{listen}` is not a loopback address; this is a stand-in and must not be reachable"),
            ));
        }
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        Ok(Bound { listener, address, stop: watch::Sender::new(false) })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn stopping(&self) -> Stopping {
        Stopping(self.stop.subscribe())
    }

    pub(crate) fn serve(self, routes: Router) -> Server {
        let stopping = self.stopping();
        let serving = axum::serve(self.listener, routes).with_graceful_shutdown(stopping.wait());
        let task = tokio::spawn(async move {
            // The accept loop of axum retries by itself; it ends only when told to.
            let _ = serving.await;
        });
        Server { address: self.address, stop: self.stop, task }
    }
}

impl Server {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting, lets requests in flight finish for a moment, and frees the port.
    pub(crate) async fn stop(mut self) {
        self.stop.send_replace(true);
        if tokio::time::timeout(GRACE, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

impl Stopping {
    pub(crate) async fn wait(mut self) {
        // An error means the server is gone, which is the same answer.
        let _ = self.0.wait_for(|stopped| *stopped).await;
    }
}

const GRACE: Duration = Duration::from_secs(2);
