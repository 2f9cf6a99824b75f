//! Memory while nothing happens: after starting, and with connections that were used once.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::edge::{self, PUBLIC};
use super::{Bar, Bench, Fault, Figure, Row};
use crate::bench::pids;
use crate::meter;
use crate::stand::HOST;

const CONNECTIONS: usize = 2000;
/// Handshakes under way at once.
const AT_ONCE: usize = 32;
/// Until what a burst has left behind is given back.
const SETTLING: Duration = Duration::from_secs(3);

pub fn figures(bench: &Bench<'_>, _: &[Row]) -> Result<Vec<Figure>, Fault> {
    let limits = format!("  access_log: off\n  limits: {{ connections_per_client: {} }}\n", CONNECTIONS + 100);
    let changes = [("  access_log: off\n", limits.as_str())];
    let idle = {
        let running = edge::begin(bench, &changes, None)?;
        std::thread::sleep(SETTLING);
        meter::resident(&pids(&running))
    };
    let running = edge::start(bench, &changes, None)?;
    std::thread::sleep(SETTLING);
    let before = meter::resident(&pids(&running));
    let connector = TlsConnector::from(Arc::new(client(bench)?));
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let after = tokio.block_on(async {
        let mut open = Vec::with_capacity(CONNECTIONS);
        while open.len() < CONNECTIONS {
            let mut opening = JoinSet::new();
            for _ in 0..AT_ONCE.min(CONNECTIONS - open.len()) {
                opening.spawn(used_once(connector.clone(), running.load.address));
            }
            while let Some(connection) = opening.join_next().await {
                open.push(connection??);
            }
        }
        tokio::time::sleep(SETTLING).await;
        let after = meter::resident(&pids(&running));
        // None of them was closed meanwhile: each answers once more.
        for connection in open.iter_mut().step_by(CONNECTIONS / 20) {
            ask(connection).await?;
        }
        Ok::<_, Fault>(after)
    })?;
    let each = after.saturating_sub(before) as f64 / CONNECTIONS as f64 / 1000.0;
    let after = format!("{CONNECTIONS} TLS connections, each used once: {:.1} MB in all", after as f64 / 1e6);
    let answered = format!("VmRSS, started and ready; {:.1} MB once it has answered", before as f64 / 1e6);
    Ok(vec![
        Figure { name: "resident_idle", value: idle as f64 / 1e6, unit: "MB", bar: Some(Bar::AtMost(20.0)), note: answered },
        Figure { name: "resident_per_connection", value: each, unit: "KB", bar: Some(Bar::AtMost(60.0)), note: after },
    ])
}

fn client(bench: &Bench<'_>) -> Result<rustls::ClientConfig, Fault> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(bench.stand.folder.join("tls.crt"))? {
        roots.add(certificate?)?;
    }
    Ok(rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

async fn used_once(connector: TlsConnector, address: std::net::SocketAddr) -> Result<TlsStream<TcpStream>, Fault> {
    let stream = TcpStream::connect(address).await?;
    let mut connection = connector.connect(ServerName::try_from(HOST)?, stream).await?;
    ask(&mut connection).await?;
    Ok(connection)
}

async fn ask(connection: &mut TlsStream<TcpStream>) -> Result<(), Fault> {
    connection.write_all(format!("GET {PUBLIC} HTTP/1.1\r\nHost: {HOST}\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    // The app's answers are JSON objects in one piece, with nothing behind the last brace.
    while !answer.ends_with(b"}") {
        if connection.read_buf(&mut answer).await? == 0 || answer.len() > 8192 {
            return Err("an idle connection was closed".into());
        }
    }
    if answer.starts_with(b"HTTP/1.1 200 ") { Ok(()) } else { Err("an idle connection was answered with another status than 200".into()) }
}
