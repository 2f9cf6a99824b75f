//! One thing that is measured: how it is started, what it is asked, and whose CPU time counts.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Child;

use crate::peers::process;
use crate::stand::{Fault, Stand};

/// A system that may be there.
pub struct Candidate {
    /// What tables and `latest.json` call it.
    pub id: &'static str,
    /// Starts it, on this many cores, and sees that it does what it is measured for; or says why it cannot be run here. The
    /// tenant has to be able to answer meanwhile.
    pub start: Start,
}

/// How one is started, on a number of cores.
pub type Start = Box<dyn Fn(&Stand, usize) -> Result<Running, Unavailable>>;

/// Why a system was not measured, in words for the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unavailable {
    /// Nobody has to have it.
    Absent(String),
    /// It is there, and does not do what it is measured for.
    Wrong(String),
}

/// A system at work. Dropping it ends its processes.
#[derive(Debug)]
pub struct Running {
    /// Its own processes; what they started is counted with them.
    pub processes: Vec<Child>,
    /// What they complain about.
    pub log: PathBuf,
    pub load: Load,
    /// Like [`Load`], differing in one thing, and to be refused with one of these statuses.
    pub refused: Option<(Load, Vec<u16>)>,
}

/// What is asked, again and again.
#[derive(Debug, Clone)]
pub struct Load {
    pub address: SocketAddr,
    pub transport: Transport,
    /// With the query.
    pub path: String,
    /// `Host` first.
    pub headers: Vec<(String, String)>,
    pub tokens: Tokens,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Plain,
    /// TLS 1.3, HTTP/1.1.
    Tls,
    /// TLS 1.3, HTTP/2.
    TlsHttp2,
}

/// What `Authorization` says.
#[derive(Debug, Clone)]
pub enum Tokens {
    /// What [`Load::headers`] say, if anything.
    Same,
    /// These bearer tokens in turn.
    InTurn(std::sync::Arc<[String]>),
    /// Each of these once, to a system that was started just now: the load ends with the last.
    EachOnce(std::sync::Arc<[String]>),
}

/// Every system, in the order of the table.
///
/// # Errors
/// When what all of them need cannot be made.
pub type Catalogue = Result<Vec<Candidate>, Fault>;

impl std::fmt::Debug for Candidate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.id)
    }
}

impl std::fmt::Display for Unavailable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Absent(why) | Self::Wrong(why)) = self;
        f.write_str(why)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        process::stop(&mut self.processes);
    }
}
