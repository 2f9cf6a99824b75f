//! The real `doorward`, as a child process.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use super::{Options, Problem};

pub(super) struct Edge {
    child: Child,
    log_path: PathBuf,
    output: Arc<Output>,
    readers: Vec<JoinHandle<()>>,
}

/// What the child says: kept in a file, the end of it in memory.
struct Output {
    file: Mutex<File>,
    last: Mutex<VecDeque<String>>,
    print: bool,
}

/// The binary asked for, or the one beside this one.
pub(super) fn binary(options: &Options) -> Result<PathBuf, Problem> {
    let path = match &options.doorward {
        Some(path) => path.clone(),
        None => {
            let own = std::env::current_exe().map_err(|problem| Problem(format!("failed to find myself: {problem}")))?;
            own.with_file_name(format!("doorward{}", std::env::consts::EXE_SUFFIX))
        }
    };
    if path.is_file() {
        return Ok(path);
    }
    let path = path.display();
    Err(Problem(format!("there is no doorward at `{path}`; build it with `cargo build -p doorward-proxy`, or name it with --doorward")))
}

impl Edge {
    pub(super) fn spawn(doorward: &Path, config: &Path, log: &Path, print: bool) -> Result<Edge, Problem> {
        let file = File::create(log).map_err(|problem| Problem(format!("failed to write `{}`: {problem}", log.display())))?;
        let mut child = Command::new(doorward)
            .arg("serve")
            .arg("--config")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C reaches the whole group of the terminal; the child is to be stopped by us, in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|problem| Problem(format!("failed to run `{}`: {problem}", doorward.display())))?;
        let output = Arc::new(Output { file: Mutex::new(file), last: Mutex::default(), print });
        let mut readers = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            readers.push(tokio::spawn(read(stdout, output.clone(), false)));
        }
        if let Some(stderr) = child.stderr.take() {
            readers.push(tokio::spawn(read(stderr, output.clone(), true)));
        }
        Ok(Edge { child, log_path: log.to_owned(), output, readers })
    }

    /// Waits until the child says that it is ready, or says why it never will be.
    pub(super) async fn ready(&mut self, admin: SocketAddr) -> Result<(), Problem> {
        let probing = async {
            while !answers_ready(admin).await {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let answered = tokio::select! {
            answered = tokio::time::timeout(START_UP, probing) => answered.is_ok(),
            status = self.child.wait() => return Err(self.died(status).await),
        };
        if answered {
            return Ok(());
        }
        let text = format!("doorward was not ready after {} s", START_UP.as_secs());
        Err(self.with_last_lines(text))
    }

    /// Waits for the child to end, which it should not do by itself.
    pub(super) async fn end(&mut self) -> Problem {
        let status = self.child.wait().await;
        self.died(status).await
    }

    /// SIGTERM, time for requests in flight, then no more patience.
    pub(super) async fn stop(mut self) {
        // No id: it is gone already.
        let Some(id) = self.child.id() else { return };
        if let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        if tokio::time::timeout(DRAIN, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }

    async fn died(&mut self, status: std::io::Result<ExitStatus>) -> Problem {
        // The pipes may hold the last words still.
        for reader in &mut self.readers {
            let _ = tokio::time::timeout(Duration::from_secs(1), reader).await;
        }
        let how = match status {
            Ok(status) => status.to_string(),
            Err(problem) => problem.to_string(),
        };
        self.with_last_lines(format!("doorward stopped by itself ({how})"))
    }

    fn with_last_lines(&self, text: String) -> Problem {
        let last = self.output.last.lock().unwrap_or_else(PoisonError::into_inner);
        let lines: String = last.iter().map(|line| format!("\n  {line}")).collect();
        Problem(format!("{text}; its log is `{}`{lines}", self.log_path.display()))
    }
}

async fn read(from: impl AsyncRead + Unpin, output: Arc<Output>, keep: bool) {
    let mut lines = BufReader::new(from).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        let line = String::from_utf8_lossy(&line).into_owned();
        let _ = writeln!(output.file.lock().unwrap_or_else(PoisonError::into_inner), "{line}");
        if output.print {
            eprintln!("{line}");
        }
        if keep {
            let mut last = output.last.lock().unwrap_or_else(PoisonError::into_inner);
            if last.len() == LAST_LINES {
                last.pop_front();
            }
            last.push_back(line);
        }
    }
}

/// One look at `/readyz`.
async fn answers_ready(admin: SocketAddr) -> bool {
    let look = async {
        let mut stream = TcpStream::connect(admin).await?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
        let mut status = [0; 12];
        stream.read_exact(&mut status).await?;
        Ok::<_, std::io::Error>(status.ends_with(b" 200"))
    };
    matches!(tokio::time::timeout(Duration::from_secs(2), look).await, Ok(Ok(true)))
}

const START_UP: Duration = Duration::from_secs(30);
const DRAIN: Duration = Duration::from_secs(35);
const LAST_LINES: usize = 20;
