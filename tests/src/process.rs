//! A child process that ends with the test that started it.

use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

/// A running program and everything it has said. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    name: &'static str,
    child: Child,
    stdout: Lines,
    stderr: Lines,
}

/// What came out of a pipe, line by line.
#[derive(Debug)]
struct Lines {
    said: Arc<Mutex<Vec<String>>>,
    reader: JoinHandle<()>,
}

impl Process {
    /// Starts the program; `input` is written to it, and its standard input then stays open until it is stopped.
    pub async fn start(name: &'static str, mut command: Command, input: Option<&str>) -> Self {
        command
            .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().unwrap_or_else(|problem| panic!("failed to start {name}: {problem}"));
        if let (Some(input), Some(stdin)) = (input, child.stdin.as_mut()) {
            stdin.write_all(input.as_bytes()).await.unwrap_or_else(|problem| panic!("failed to write to {name}: {problem}"));
        }
        let stdout = Lines::of(child.stdout.take().expect("stdout is piped"));
        let stderr = Lines::of(child.stderr.take().expect("stderr is piped"));
        Self { name, child, stdout, stderr }
    }

    /// The first line of standard output for which `wanted` has an answer.
    pub async fn line<T>(&mut self, patience: Duration, wanted: impl Fn(&str) -> Option<T>) -> T {
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            if let Some(found) = self.stdout.lock().iter().find_map(|line| wanted(line)) {
                return found;
            }
            self.must_be_running();
            assert!(tokio::time::Instant::now() < deadline, "{} did not say it in {patience:?}\n{}", self.name, self.said());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Fails with what the program said if it has ended.
    pub fn must_be_running(&mut self) {
        if let Ok(Some(status)) = self.child.try_wait() {
            panic!("{} ended with {status}\n{}", self.name, self.said());
        }
    }

    /// Asks the program to end (SIGTERM) and waits until it has.
    pub async fn terminate(&mut self, patience: Duration) -> ExitStatus {
        if let Some(id) = self.child.id() {
            let sent = Command::new("kill").args(["-TERM", &id.to_string()]).status().await;
            assert!(sent.is_ok_and(|status| status.success()), "failed to send SIGTERM to {}", self.name);
        }
        self.ended(patience).await
    }

    /// Tells the program to read its configuration again (SIGHUP).
    pub async fn hang_up(&self) {
        if let Some(id) = self.child.id() {
            let sent = Command::new("kill").args(["-HUP", &id.to_string()]).status().await;
            assert!(sent.is_ok_and(|status| status.success()), "failed to send SIGHUP to {}", self.name);
        }
    }

    /// Ends the program at once (SIGKILL).
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap_or_else(|problem| panic!("failed to kill {}: {problem}", self.name));
    }

    /// Waits until the program ends by itself, and until everything it said has arrived.
    pub async fn ended(&mut self, patience: Duration) -> ExitStatus {
        let Ok(status) = tokio::time::timeout(patience, self.child.wait()).await else {
            panic!("{} did not end in {patience:?}\n{}", self.name, self.said());
        };
        for lines in [&mut self.stdout, &mut self.stderr] {
            // A grandchild may hold the pipe; what came until then is enough.
            let _ = tokio::time::timeout(Duration::from_secs(1), &mut lines.reader).await;
        }
        status.unwrap_or_else(|problem| panic!("failed to wait for {}: {problem}", self.name))
    }

    /// Standard output so far.
    pub fn stdout(&self) -> String {
        self.stdout.lock().join("\n")
    }

    /// Standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.lock().join("\n")
    }

    /// Both, for messages.
    pub fn said(&self) -> String {
        format!("--- stdout\n{}\n--- stderr\n{}", self.stdout(), self.stderr())
    }
}

impl Lines {
    fn of(pipe: impl AsyncRead + Unpin + Send + 'static) -> Self {
        let said = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&said);
        let reader = tokio::spawn(async move {
            let mut lines = BufReader::new(pipe).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                heard.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        Self { said, reader }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
