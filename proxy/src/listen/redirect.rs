//! The plain listener: it knows one answer, and that is to come back over TLS.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use doorward_policy::request::Host;
use doorward_policy::wire::{self, Head, HeadLimits, HeadScan};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::refusal::{HEADER_DEADLINE, REDIRECT_HOST, REDIRECT_METHOD};
use super::{ConnectionEvents, CurrentTerms, OurHosts, answer};

/// For writing the answer and for what the client still sends.
const ANSWER_TIME: Duration = Duration::from_secs(2);

pub(super) struct Redirect {
    terms: CurrentTerms,
    our_hosts: OurHosts,
    events: Arc<dyn ConnectionEvents>,
}

impl Redirect {
    pub(super) fn new(terms: CurrentTerms, our_hosts: OurHosts, events: Arc<dyn ConnectionEvents>) -> Self {
        Self { terms, our_hosts, events }
    }

    /// One request, one answer, and the end.
    pub(super) async fn serve(&self, stream: std::net::TcpStream, client: IpAddr) {
        if stream.set_nonblocking(true).is_err() {
            return;
        }
        let Ok(mut stream) = TcpStream::from_std(stream) else { return };
        let Some(answer) = self.answer(&mut stream, client).await else { return };
        let _ = timeout(ANSWER_TIME, finish(&mut stream, &answer)).await;
    }

    /// `None` when the client left, or never asked for anything.
    async fn answer(&self, stream: &mut TcpStream, client: IpAddr) -> Option<Vec<u8>> {
        let (limits, public_port) = {
            let terms = self.terms.load();
            (terms.limits.clone(), terms.public_port)
        };
        let limit = HeadLimits { bytes: limits.header_bytes, fields: limits.header_fields, ..HeadLimits::default() };
        let deadline = Instant::now() + limits.header;
        let mut head = Vec::new();
        let mut scanned = 0;
        let mut chunk = [0; 2048];
        loop {
            let read = match timeout_at(deadline, stream.read(&mut chunk)).await {
                Ok(Ok(0) | Err(_)) => return None,
                Ok(Ok(read)) => read,
                Err(_) if head.is_empty() => return None,
                Err(_) => return Some(self.refuse(client, HEADER_DEADLINE, 408)),
            };
            head.extend_from_slice(&chunk[..read]);
            match wire::scan(&head, scanned, &limit) {
                HeadScan::Incomplete => scanned = head.len(),
                HeadScan::Refused(fault) => return Some(self.refuse(client, fault.label(), fault.status())),
                HeadScan::Complete(parts) => return Some(self.judge(&head, &parts, public_port, client)),
            }
        }
    }

    fn judge(&self, head: &[u8], parts: &Head, public_port: u16, client: IpAddr) -> Vec<u8> {
        // Anything else has already sent in the clear what it should not have; it must not be sent again unseen.
        if !matches!(&head[parts.method.clone()], b"GET" | b"HEAD") {
            return self.refuse(client, REDIRECT_METHOD, 403);
        }
        let host = Host::parse(&head[parts.host.clone()]).ok().filter(|host| (self.our_hosts)(host.name()));
        let (Some(host), Ok(target)) = (host, std::str::from_utf8(&head[parts.target.clone()])) else {
            return self.refuse(client, REDIRECT_HOST, 404);
        };
        // The host in its checked, canonical form, never the header as it came; the port is ours.
        match public_port {
            443 => answer::redirect(&format!("https://{}{target}", host.name())),
            port => answer::redirect(&format!("https://{}:{port}{target}", host.name())),
        }
    }

    fn refuse(&self, client: IpAddr, reason: &'static str, status: u16) -> Vec<u8> {
        let id = answer::request_id();
        self.events.refused(client, reason, Some(status), &id);
        answer::refusal(status, &id)
    }
}

async fn finish(stream: &mut TcpStream, answer: &[u8]) -> std::io::Result<()> {
    stream.write_all(answer).await?;
    stream.shutdown().await?;
    // Closing with bytes unread would reset the connection and lose the answer.
    let mut chunk = [0; 2048];
    let mut drained = 0;
    while drained < 64 * 1024 {
        match stream.read(&mut chunk).await? {
            0 => break,
            read => drained += read,
        }
    }
    Ok(())
}
