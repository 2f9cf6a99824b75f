//! HTTP/1.1 by hand: enough to be a correct server for one client, and free to be a terrible one.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::fault::{Fault, Reply};
use super::{Endpoint, Shared};

/// No request of the edge is longer.
const MAX_REQUEST: usize = 1024 * 1024;
/// How long a stalled answer is held open for a client that does not give up.
const PATIENCE: Duration = Duration::from_secs(60);

/// One request, as it came.
#[derive(Debug, Clone)]
pub struct Request {
    pub endpoint: Endpoint,
    /// It came to the second server, where nothing should come.
    pub elsewhere: bool,
    pub method: String,
    /// Path and query.
    pub target: String,
    /// In order, names as they were written.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    /// The value of the first header with this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(present, _)| present.eq_ignore_ascii_case(name))?;
        Some(value)
    }

    /// The body read as a form.
    pub fn form(&self) -> Vec<(String, String)> {
        url::form_urlencoded::parse(&self.body).into_owned().collect()
    }

    /// The one value of this form field; `None` if it is missing or there are several.
    pub fn field(&self, name: &str) -> Option<String> {
        let mut values = self.form().into_iter().filter(|(present, _)| present == name).map(|(_, value)| value);
        values.next().filter(|_| values.next().is_none())
    }

    pub(super) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    fn wants_close(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

/// Accepts until it is aborted; every connection goes with it.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>, elsewhere: bool) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                connections.spawn(converse(stream, Arc::clone(&shared), elsewhere));
            }
            // Finished connections are let go; their errors are the clients' business.
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn converse(mut stream: TcpStream, shared: Arc<Shared>, elsewhere: bool) -> io::Result<()> {
    // A drip must leave byte by byte.
    stream.set_nodelay(true)?;
    let mut received = Vec::new();
    while let Some(mut request) = read_request(&mut stream, &mut received).await? {
        request.elsewhere = elsewhere;
        let close = request.wants_close();
        let (reply, fault) = shared.answer(request);
        match say(&mut stream, &reply, fault.as_ref()).await? {
            Afterwards::Next if !close => {}
            Afterwards::Next | Afterwards::Closed => break,
        }
    }
    Ok(())
}

/// The next request on this connection; `None` at its end. What is not HTTP ends the connection.
async fn read_request(stream: &mut TcpStream, received: &mut Vec<u8>) -> io::Result<Option<Request>> {
    let head_length = loop {
        if let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if received.len() > MAX_REQUEST || stream.read_buf(received).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&received[..head_length]).into_owned();
    let mut lines = head.split("\r\n");
    let mut request_line = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target)) = (request_line.next(), request_line.next()) else {
        return Ok(None);
    };
    let headers: Vec<(String, String)> =
        lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect();
    let mut request = Request {
        endpoint: Endpoint::Elsewhere,
        elsewhere: false,
        method: method.to_owned(),
        target: target.to_owned(),
        headers,
        body: Vec::new(),
    };

    let body_length: usize = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let request_length = head_length + body_length.min(MAX_REQUEST);
    while received.len() < request_length {
        if stream.read_buf(received).await? == 0 {
            return Ok(None);
        }
    }
    request.body = received[head_length..request_length].to_vec();
    received.drain(..request_length);
    Ok(Some(request))
}

enum Afterwards {
    /// The connection may carry another request.
    Next,
    Closed,
}

/// Writes the answer, in the manner of the fault.
async fn say(stream: &mut TcpStream, reply: &Reply, fault: Option<&Fault>) -> io::Result<Afterwards> {
    let length_off_by = if let Some(Fault::WrongLength(off)) = fault { *off } else { 0 };
    let head = head(reply, length_off_by);
    let (first_half, second_half) = reply.body.split_at(reply.body.len() / 2);

    // Faults that come before the first byte, or instead of it.
    match fault {
        Some(Fault::Reset) => {
            stream.set_zero_linger()?;
            return Ok(Afterwards::Closed);
        }
        Some(Fault::Hangup) => return Ok(Afterwards::Closed),
        Some(Fault::Raw(bytes)) => {
            stream.write_all(bytes).await?;
            stream.shutdown().await?;
            wait_for_client(stream).await;
            return Ok(Afterwards::Closed);
        }
        Some(Fault::Drip(pause)) => {
            for byte in head.iter().chain(&reply.body) {
                stream.write_all(&[*byte]).await?;
                tokio::time::sleep(*pause).await;
            }
            return Ok(Afterwards::Next);
        }
        Some(Fault::DelayHead(pause)) => tokio::time::sleep(*pause).await,
        _ => {}
    }

    // Faults in the middle of the body.
    let first_part = [head.as_slice(), first_half].concat();
    match fault {
        Some(Fault::StallBody) => {
            stream.write_all(&first_part).await?;
            wait_for_client(stream).await;
            return Ok(Afterwards::Closed);
        }
        Some(Fault::ResetBody) => {
            stream.write_all(&first_part).await?;
            // Long enough for the first half to arrive; a reset discards what is still in flight.
            tokio::time::sleep(Duration::from_millis(50)).await;
            stream.set_zero_linger()?;
            return Ok(Afterwards::Closed);
        }
        Some(Fault::HalfClose) => {
            stream.write_all(&first_part).await?;
            stream.shutdown().await?;
            wait_for_client(stream).await;
            return Ok(Afterwards::Closed);
        }
        Some(Fault::DelayBody(pause)) => {
            stream.write_all(&first_part).await?;
            tokio::time::sleep(*pause).await;
            stream.write_all(second_half).await?;
        }
        _ => stream.write_all(&[first_part.as_slice(), second_half].concat()).await?,
    }

    if length_off_by != 0 {
        // Whoever believes a longer length waits; the connection is of no use to whoever believed a shorter one.
        wait_for_client(stream).await;
        return Ok(Afterwards::Closed);
    }
    Ok(Afterwards::Next)
}

fn head(reply: &Reply, length_off_by: i64) -> Vec<u8> {
    let reason = http::StatusCode::from_u16(reply.status).ok().and_then(|status| status.canonical_reason());
    let mut head = format!("HTTP/1.1 {} {}\r\n", reply.status, reason.unwrap_or("Unnamed"));
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let length = i64::try_from(reply.body.len()).unwrap_or(i64::MAX).saturating_add(length_off_by).max(0);
    head.push_str(&format!("Content-Length: {length}\r\n\r\n"));
    head.into_bytes()
}

/// Until the client closes, or for so long that no test waits for it.
async fn wait_for_client(stream: &mut TcpStream) {
    let mut ignored = [0; 1024];
    let closed = async { while matches!(stream.read(&mut ignored).await, Ok(1..)) {} };
    // Either way the connection ends here.
    let _ = tokio::time::timeout(PATIENCE, closed).await;
}
