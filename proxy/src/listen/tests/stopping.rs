//! Starting, sharing the work, and ending without losing any of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use doorward_config::settings::Server;
use pingora::apps::{HttpServerApp, ReusedHttpStream};
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::deadlines::{PREFACE, frames, h2_get};
use super::harness::*;
use crate::listen::{Drained, Listeners, Terms, TlsStores};

#[tokio::test]
async fn a_stop_finishes_what_was_begun_and_ends_the_rest() {
    let edge = Edge::start().await;
    let address = edge.address();
    let mut idle = edge.http1().await;
    idle.send(GET).await;
    idle.until_answered().await;
    let mut busy = edge.http1().await;
    busy.send(GET.replace("GET /", "GET /slow")).await;
    let mut h2 = edge.h2().await;
    h2.send([PREFACE, &h2_get(1, "/slow")].concat()).await;
    edge.until("both arrived", |edge| edge.upstream.requests() == 3).await;

    let since = Instant::now();
    let stopping = tokio::spawn(edge.serving.stop(Duration::from_secs(5)));
    assert_eq!(idle.rest().await, "");
    assert!(since.elapsed() < Duration::from_millis(400), "{:?}", since.elapsed());
    let answer = busy.rest().await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("ok 0"), "{answer}");
    let frames = frames(&with_pong(&mut h2).await);
    assert!(frames.contains(&1) && frames.contains(&0) && frames.contains(&7), "HEADERS, DATA and GOAWAY in {frames:?}");
    assert_eq!(stopping.await.unwrap(), Drained { clean: true });
    assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
    assert!(TcpStream::connect(address).await.is_err());
    assert_eq!(edge.events.live(), 0);
}

/// Everything up to the end of an HTTP/2 connection, answering the PING that asks whether GOAWAY has arrived.
async fn with_pong(client: &mut Client) -> Vec<u8> {
    let mut all = Vec::new();
    while !frames(&all).contains(&6) {
        let mut chunk = [0; 4096];
        let read = tokio::time::timeout(PATIENCE, client.0.read(&mut chunk)).await.unwrap().unwrap();
        assert_ne!(read, 0);
        all.extend_from_slice(&chunk[..read]);
    }
    let at = find(&all, &[0, 0, 8, 6, 0, 0, 0, 0, 0]).unwrap();
    client.send([&[0, 0, 8, 6, 1, 0, 0, 0, 0][..], &all[at + 9..at + 17]].concat()).await;
    all.extend(client.rest_bytes().await);
    all
}

#[tokio::test]
async fn a_stop_does_not_wait_longer_than_it_may() {
    let edge = Edge::start().await;
    let mut stuck = edge.http1().await;
    stuck.send(GET.replace("GET /", "GET /stuck")).await;
    edge.until("it arrived", |edge| edge.upstream.requests() == 1).await;
    let since = Instant::now();
    assert_eq!(edge.serving.stop(Duration::from_millis(300)).await, Drained { clean: false });
    assert!(since.elapsed() < Duration::from_secs(2));
    assert_eq!(edge.events.live(), 0);
}

#[tokio::test]
async fn a_stop_serves_whoever_was_queued_already() {
    let edge = Edge::start().await;
    let config = edge.client_config(rustls::ALL_VERSIONS, &["http/1.1"]);
    let tcp = edge.tcp().await;
    let stopping = tokio::spawn(async move {
        let drained = edge.serving.stop(Duration::from_secs(5)).await;
        (drained, edge.events, edge.upstream)
    });
    let name = rustls::pki_types::ServerName::try_from("app.example").unwrap();
    let tls = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config)).connect(name, tcp);
    let mut client = Client(tokio::time::timeout(PATIENCE, tls).await.unwrap().unwrap());
    client.send(GET).await;
    let answer = client.rest().await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.to_lowercase().contains("connection: close"), "{answer}");
    assert_eq!(stopping.await.unwrap().0, Drained { clean: true });
}

#[tokio::test]
async fn a_stop_does_not_wait_long_for_connections_that_never_asked() {
    let edge = Edge::start().await;
    let _silent = edge.http1().await;
    let since = Instant::now();
    assert_eq!(edge.serving.stop(Duration::from_secs(5)).await, Drained { clean: true });
    assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
}

#[tokio::test]
async fn connections_go_to_the_world_with_the_fewest() {
    let mut server = server();
    server.cores = Some(3);
    let edge = Edge::with(server).await;
    let mut clients = Vec::new();
    let mut worlds: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..9 {
        let mut client = edge.http1().await;
        client.send(GET.replace("GET /", "GET /local")).await;
        let answer = client.until_answered().await;
        let world = answer.split("world=").nth(1).unwrap().chars().take(1).collect();
        *worlds.entry(world).or_default() += 1;
        clients.push(client);
    }
    assert_eq!(worlds.into_values().collect::<Vec<_>>(), [3, 3, 3]);
    assert_eq!(edge.serving.connections(), 9);
    drop(clients);
    edge.until("all are gone", |edge| edge.serving.connections() == 0).await;
    assert_eq!(edge.serving.stop(Duration::from_secs(5)).await, Drained { clean: true });
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut server = server();
    server.listen[0].address = taken.local_addr().unwrap();
    let error = Listeners::bind(&server).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains(&format!("cannot listen on `{}`", server.listen[0].address)), "{error}");
}

#[tokio::test]
async fn dos_05_churn_leaves_nothing_behind() {
    let edge = Edge::start().await;
    for _ in 0..30 {
        drop(edge.tcp().await);
        drop(edge.http1().await);
        edge.exchange(GET_CLOSE).await;
    }
    edge.until("all are gone", |edge| edge.serving.connections() == 0).await;
    assert_eq!(edge.events.live(), 0);
}

#[tokio::test]
async fn a_world_that_cannot_start_is_an_error_and_not_a_hole() {
    let edge = Edge::start().await;
    let server = server();
    let serve = |broken: bool| {
        let factory = move |world: usize| {
            assert!(!broken || world == 0, "as pingora does with a trust store it cannot read");
            Arc::new(Nothing)
        };
        let hosts = Arc::new(|_: &str| true);
        let server = Server { cores: Some(2), ..server.clone() };
        Listeners::bind(&server).unwrap().serve(
            Terms::current(&server, TlsStores { public: Some(edge.store.clone()), hooks: None }),
            factory,
            hosts,
            edge.events.clone(),
        )
    };
    assert!(serve(true).is_err());
    assert!(serve(false).is_ok());
}

/// An app that answers nobody.
struct Nothing;

#[async_trait]
impl HttpServerApp for Nothing {
    async fn process_new_http(self: &Arc<Self>, _: ServerSession, _: &ShutdownWatch) -> Option<ReusedHttpStream> {
        None
    }
}
