//! From a permitted request to the app and back: protocols, bodies, servers, time, and the end.

mod answers;
mod bodies;
mod lifecycle;
mod protocols;
mod servers;
mod streams;

use std::net::SocketAddr;
use std::time::Duration;

use doorward_tests::client::Browser;
use doorward_tests::scene::{Plan, Scene};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// No test waits longer for one thing.
const PATIENCE: Duration = Duration::from_secs(10);

/// The `Cookie` field of a browser.
fn cookie_of(browser: &Browser) -> String {
    browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
}

/// The usual routes before another upstream, written as YAML in one line; `more` are further lines of the first route.
fn plan(upstream: &str, more: &str) -> Plan {
    let routes = Plan::default().routes.replace("upstream: UPSTREAM", &format!("upstream: {upstream}"));
    Plan { routes: routes.replacen("    host: app.localhost\n", &format!("    host: app.localhost\n{more}"), 1), ..Plan::default() }
}

/// An app that is told each connection once its first request head has come.
async fn app<F, W>(serve: F) -> SocketAddr
where
    F: Fn(TcpStream, String) -> W + Clone + Send + Sync + 'static,
    W: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let serve = serve.clone();
            tokio::spawn(async move {
                let head = read_head(&mut socket).await;
                serve(socket, head).await;
            });
        }
    });
    address
}

/// Up to and with the empty line; empty when the connection ends before.
async fn read_head(socket: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match socket.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return String::new(),
        }
    }
    String::from_utf8_lossy(&head).into_owned()
}

/// A port where nobody listens, and nobody else will for as long as the socket is held.
fn nobody() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// Waits until a metric says so.
async fn until(scene: &Scene, series: &str, wanted: f64) {
    let waiting = async {
        while (scene.metric(series).await - wanted).abs() > f64::EPSILON {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "{series} never became {wanted}");
}
