//! An app that writes down the bytes it gets. It never normalises: what a test sees is what was sent.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// One request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Which connection, counted from 0.
    pub connection: usize,
    /// Request line and fields, without the empty line.
    pub head: String,
    pub body: Vec<u8>,
}

impl Recorded {
    pub fn line(&self) -> &str {
        self.head.lines().next().unwrap_or("")
    }

    /// The request target.
    pub fn target(&self) -> &str {
        self.line().split(' ').nth(1).unwrap_or("")
    }

    /// Every value of a field, in order; names are compared without case and nothing else.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields.filter(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
    }

    /// The one value of a field; `None` when it is not there.
    ///
    /// # Panics
    /// When it is there twice.
    pub fn one(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() < 2, "`{name}` came {} times:\n{}", all.len(), self.head);
        all.first().copied()
    }

    /// Every field name, lower case.
    pub fn names(&self) -> Vec<String> {
        self.head.lines().skip(1).filter_map(|line| line.split_once(':')).map(|(name, _)| name.to_ascii_lowercase()).collect()
    }
}

/// What the recorder answers with: given the request, the whole answer as bytes; `None` closes the connection.
pub type Answer = Arc<dyn Fn(&Recorded) -> Option<Vec<u8>> + Send + Sync>;

/// The app.
#[derive(Debug)]
pub struct Recorder {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Recorded>>>,
    raw: Arc<Mutex<Vec<u8>>>,
    task: JoinHandle<()>,
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// `200 OK` with a body.
pub fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\ncontent-type: text/plain\r\n\r\n{body}", body.len()).into_bytes()
}

impl Recorder {
    /// An app that answers everything with `200 canary`.
    pub async fn start() -> Self {
        Self::answering(Arc::new(|_| Some(ok("canary")))).await
    }

    pub async fn answering(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (seen, raw) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
        let task = tokio::spawn({
            let (seen, raw) = (seen.clone(), raw.clone());
            async move {
                for connection in 0.. {
                    let Ok((socket, _)) = listener.accept().await else { return };
                    tokio::spawn(serve(socket, connection, seen.clone(), raw.clone(), answer.clone()));
                }
            }
        });
        Self { address, seen, raw, task }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every request that was complete.
    pub fn seen(&self) -> Vec<Recorded> {
        self.seen.lock().expect("no panic while recording").clone()
    }

    /// Forgets what came so far.
    pub fn forget(&self) {
        self.seen.lock().expect("no panic while recording").clear();
        self.raw.lock().expect("no panic while recording").clear();
    }

    /// The last complete request.
    ///
    /// # Panics
    /// When there was none.
    pub fn last(&self) -> Recorded {
        self.seen().pop().expect("a request reached the app")
    }

    /// How many bytes came, complete requests or not.
    pub fn bytes(&self) -> usize {
        self.raw.lock().expect("no panic while recording").len()
    }

    /// All bytes that came, of all connections.
    pub fn raw(&self) -> Vec<u8> {
        self.raw.lock().expect("no panic while recording").clone()
    }
}

async fn serve(mut socket: TcpStream, connection: usize, seen: Arc<Mutex<Vec<Recorded>>>, raw: Arc<Mutex<Vec<u8>>>, answer: Answer) {
    let mut buffer: Vec<u8> = Vec::new();
    let mut chunk = vec![0; 16 * 1024];
    loop {
        while let Some((request, used)) = complete(&buffer, connection) {
            buffer.drain(..used);
            seen.lock().expect("no panic while recording").push(request.clone());
            let Some(bytes) = answer(&request) else { return };
            if socket.write_all(&bytes).await.is_err() {
                return;
            }
        }
        match socket.read(&mut chunk).await {
            Ok(0) | Err(_) => return,
            Ok(read) => {
                raw.lock().expect("no panic while recording").extend_from_slice(&chunk[..read]);
                buffer.extend_from_slice(&chunk[..read]);
            }
        }
    }
}

/// A whole request at the beginning of `buffer`, and how many bytes it takes.
fn complete(buffer: &[u8], connection: usize) -> Option<(Recorded, usize)> {
    let end = buffer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    let request = Recorded { connection, head, body: Vec::new() };
    let rest = &buffer[end + 4..];
    let (body, used) = if let Some(length) = request.all("content-length").first().and_then(|value| value.parse::<usize>().ok()) {
        (rest.get(..length)?.to_vec(), length)
    } else if request.all("transfer-encoding").contains(&"chunked") {
        chunked(rest)?
    } else {
        (Vec::new(), 0)
    };
    Some((Recorded { body, ..request }, end + 4 + used))
}

fn chunked(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let line = bytes[at..].windows(2).position(|window| window == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[at..at + line]).ok()?.split(';').next()?.trim(), 16).ok()?;
        at += line + 2;
        body.extend_from_slice(bytes.get(at..at + size)?);
        at += size + 2;
        if bytes.len() < at {
            return None;
        }
        if size == 0 {
            return Some((body, at));
        }
    }
}
