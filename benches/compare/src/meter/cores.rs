//! Which core does what: whoever asks and the app are kept off the core of what is measured, so that it is not its own load
//! that a system waits for.

use std::fs;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use super::family;
use crate::stand::Fault;

/// The cores that we may use.
#[derive(Debug, Clone)]
pub struct Cores {
    all: Vec<usize>,
    /// Whether whoever asks is kept apart from what is measured.
    pub apart: bool,
}

impl Cores {
    /// # Errors
    /// The system's; fewer than two.
    pub fn ours(apart: bool) -> Result<Self, Fault> {
        let set = sched_getaffinity(Pid::from_raw(0))?;
        let all: Vec<usize> = (0..CpuSet::count()).filter(|core| set.is_set(*core).unwrap_or(false)).collect();
        if all.len() < 2 {
            return Err("comparing takes two cores: one asks, and one answers".into());
        }
        Ok(Self { all, apart })
    }

    pub fn all(&self) -> &[usize] {
        &self.all
    }

    /// For generators, the app and the tenant.
    pub fn asking(&self) -> &[usize] {
        if self.apart { &self.all[..self.all.len() - 1] } else { &self.all }
    }

    /// For the system that is measured.
    pub fn answering(&self) -> &[usize] {
        if self.apart { &self.all[self.all.len() - 1..] } else { &self.all }
    }
}

/// Keeps these processes and their descendants, with all threads, on these cores; who they start from now on stays there as well.
///
/// # Errors
/// The system's.
pub fn pin(roots: &[u32], cores: &[usize]) -> Result<(), Fault> {
    let mut set = CpuSet::new();
    for core in cores {
        set.set(*core)?;
    }
    for process in family(roots) {
        let Ok(threads) = fs::read_dir(format!("/proc/{}/task", process.pid)) else { continue };
        for thread in threads.flatten().filter_map(|thread| thread.file_name().to_str()?.parse().ok()) {
            // One that has ended meanwhile runs nowhere.
            match sched_setaffinity(Pid::from_raw(thread), &set) {
                Ok(()) | Err(nix::errno::Errno::ESRCH) => {}
                Err(fault) => return Err(fault.into()),
            }
        }
    }
    Ok(())
}
