//! Keeps a connection: one task connects, again and again for as long as it takes, and calls use what it has.
//!
//! While there is no connection, calls fail at once: nothing piles up, and the first call after an outage finds Redis as soon
//! as the task has. Only while a new connection is being tried for the first time do calls wait for it.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis::RedisResult;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::connect::{Connection, Connector};
use super::trouble::Trouble;
use crate::store::StoreFault;

/// Between two attempts to connect: at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How long a call waits for a connection that is being tried.
const PATIENCE: Duration = Duration::from_secs(1);
/// A cluster mends its own connections. When nothing at all has worked for so long, it is connected to anew.
const HOPELESS: Duration = Duration::from_secs(3);
/// Between two lines about calls that fail although there is a connection.
const COMPLAIN: Duration = Duration::from_secs(10);

/// The connection as it is now.
#[derive(Clone)]
enum State {
    Connecting,
    Up(Up),
    Down(StoreFault),
}

/// A connection in use.
#[derive(Clone)]
pub(super) struct Up {
    pub(super) connection: Connection,
    /// 1 for the first, and so on.
    pub(super) number: u64,
}

/// Ends its task when dropped.
pub(super) struct Link {
    shared: Arc<Shared>,
    task: tokio::task::AbortHandle,
}

struct Shared {
    connector: Connector,
    state: watch::Sender<State>,
    /// The last connection that was found lost, and why.
    lost: watch::Sender<(u64, String)>,
    start: Instant,
    /// Milliseconds since `start` of the first of the failures that no success has followed; 0: the last call worked.
    failing_since: AtomicI64,
    complained: Mutex<Option<Instant>>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &*self.shared.state.borrow() {
            State::Connecting => "connecting",
            State::Up(_) => "up",
            State::Down(_) => "down",
        };
        f.debug_struct("Link").field("to", &self.shared.connector.place()).field("state", &state).finish()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Link {
    pub(super) fn new(connector: Connector, control: &Handle) -> Self {
        let shared = Arc::new(Shared {
            connector,
            state: watch::Sender::new(State::Connecting),
            lost: watch::Sender::new((0, String::new())),
            start: Instant::now(),
            failing_since: AtomicI64::new(0),
            complained: Mutex::new(None),
        });
        let task = control.spawn(keep(shared.clone())).abort_handle();
        Self { shared, task }
    }

    /// The connection, if there is one or is one in a moment.
    pub(super) async fn up(&self) -> Result<Up, StoreFault> {
        match &*self.shared.state.borrow() {
            State::Up(up) => return Ok(up.clone()),
            State::Down(fault) => return Err(*fault),
            State::Connecting => {}
        }
        let mut state = self.shared.state.subscribe();
        let known = tokio::time::timeout(PATIENCE, state.wait_for(|state| !matches!(state, State::Connecting))).await;
        match known {
            Ok(Ok(state)) => match &*state {
                State::Up(up) => Ok(up.clone()),
                State::Down(fault) => Err(*fault),
                State::Connecting => Err(StoreFault::Unreachable),
            },
            Ok(Err(_)) | Err(_) => Err(StoreFault::Unreachable),
        }
    }

    /// What an outcome means for the caller; gives up the connection if it is no good any more.
    pub(super) fn judge<T>(&self, up: &Up, outcome: RedisResult<T>) -> Result<T, StoreFault> {
        let error = match outcome {
            Ok(value) => {
                if self.shared.failing_since.load(Ordering::Relaxed) != 0 {
                    self.shared.failing_since.store(0, Ordering::Relaxed);
                }
                return Ok(value);
            }
            Err(error) => error,
        };
        let trouble = Trouble::of(&error);
        let is_lost = trouble.is_lost && (!self.shared.connector.is_cluster() || self.is_hopeless());
        if is_lost {
            self.shared.lost.send_if_modified(|lost| {
                let newer = up.number > lost.0;
                if newer {
                    *lost = (up.number, trouble.text.clone());
                }
                newer
            });
        } else {
            self.complain(&trouble.text);
        }
        Err(trouble.fault)
    }

    fn is_hopeless(&self) -> bool {
        let now = i64::try_from(self.shared.start.elapsed().as_millis()).unwrap_or(i64::MAX).max(1);
        let since = self.shared.failing_since.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed).unwrap_or_else(|since| since);
        since != 0 && u128::try_from(now - since).unwrap_or(0) >= HOPELESS.as_millis()
    }

    fn complain(&self, text: &str) {
        let mut last = self.shared.complained.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| last.elapsed() > COMPLAIN) {
            *last = Some(Instant::now());
            tracing::error!("{} does not do what is asked: {text}", self.shared.connector.place());
        }
    }
}

/// Connects, waits until the connection is lost, and begins again.
async fn keep(shared: Arc<Shared>) {
    let place = shared.connector.place();
    let mut lost = shared.lost.subscribe();
    for number in 1.. {
        let connection = connected(&shared, &place, number).await;
        shared.failing_since.store(0, Ordering::Relaxed);
        shared.state.send_replace(State::Up(Up { connection, number }));
        let Ok(text) = lost.wait_for(|(last, _)| *last >= number).await.map(|lost| lost.1.clone()) else { return };
        shared.state.send_replace(State::Connecting);
        tracing::warn!("the connection to {place} is lost: {text}");
    }
}

/// Tries until it works. Says so in the log when it cannot, once for each reason in turn, and when it can again.
async fn connected(shared: &Shared, place: &str, number: u64) -> Connection {
    let mut pause = FIRST_PAUSE;
    let mut said: Option<String> = None;
    loop {
        match shared.connector.connect().await {
            Ok(connection) => {
                if said.is_some() || number > 1 {
                    tracing::info!("{place} is connected");
                }
                return connection;
            }
            Err(trouble) => {
                shared.state.send_replace(State::Down(trouble.fault));
                if said.as_ref() != Some(&trouble.text) {
                    tracing::error!("{place} cannot be used, and is tried again and again: {}", trouble.text);
                    said = Some(trouble.text);
                }
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
