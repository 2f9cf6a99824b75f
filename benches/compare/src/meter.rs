//! CPU time by the kernel's accounting: user and system, every thread of a process, and of all that it started.

mod cores;
mod stat;

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use nix::time::{ClockId, clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

pub use cores::{Cores, pin};
use stat::Stat;

use crate::stand::Fault;

/// Where the numbers come from, for the table.
pub const SOURCE: &str =
    "each process's CPU clock (clock_getcpuclockid, nanoseconds), and cutime + cstime of /proc/PID/stat for children that ended";

/// What these processes and their descendants have used so far.
///
/// A child that ends and is waited for moves from its own clock to its parent's count of ended children, so nothing is lost.
pub fn spent(roots: &[u32]) -> Duration {
    family(roots).iter().map(|stat| own(stat) + stat.children).sum()
}

/// How long these cores have been at work so far, for whomever: a hypervisor's other guests included.
///
/// # Errors
/// The system's.
pub fn busy(cores: &[usize]) -> Result<Duration, Fault> {
    let text = fs::read_to_string("/proc/stat")?;
    Ok(text.lines().filter_map(stat::busy).filter(|(core, _)| cores.contains(core)).map(|(_, busy)| busy).sum())
}

/// What this thread has used so far: unlike a clock on the wall, it stands still while others have the core.
///
/// # Errors
/// The system's.
pub fn this_thread() -> Result<Duration, Fault> {
    Ok(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?.into())
}

/// The resident memory of these processes and their descendants, in bytes.
pub fn resident(roots: &[u32]) -> u64 {
    let kilobytes = |pid: u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok())
    };
    family(roots).iter().filter_map(|stat| kilobytes(stat.pid)).sum::<u64>() * 1024
}

/// Everything that has exited since the last look counts by the kernel's ticks; what runs, to the nanosecond.
fn own(stat: &Stat) -> Duration {
    let Ok(pid) = i32::try_from(stat.pid) else { return stat.own };
    match clock_getcpuclockid(Pid::from_raw(pid)).and_then(clock_gettime) {
        Ok(time) => Duration::from(time),
        // Ended this moment, and not waited for yet.
        Err(_) => stat.own,
    }
}

/// The roots and whoever descends from them.
fn family(roots: &[u32]) -> Vec<Stat> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let all = pids.filter_map(|pid| Stat::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?));
    descendants(all.collect(), roots)
}

fn descendants(all: Vec<Stat>, roots: &[u32]) -> Vec<Stat> {
    let parents: HashMap<u32, u32> = all.iter().map(|stat| (stat.pid, stat.parent)).collect();
    let belongs = |stat: &Stat| {
        // As many steps as there are processes: the list is not of one moment, and might go in circles.
        let line = std::iter::successors(Some(stat.pid), |pid| parents.get(pid).copied()).take(all.len() + 1);
        line.into_iter().any(|pid| roots.contains(&pid))
    };
    let chosen: Vec<bool> = all.iter().map(belongs).collect();
    all.into_iter().zip(chosen).filter_map(|(stat, chosen)| chosen.then_some(stat)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(pid: u32, parent: u32) -> Stat {
        Stat { pid, parent, own: Duration::ZERO, children: Duration::ZERO }
    }

    #[test]
    fn a_family_is_everybody_below_the_roots() {
        let all = vec![stat(1, 0), stat(10, 1), stat(11, 10), stat(12, 11), stat(20, 1), stat(30, 31), stat(31, 30)];
        let pids = |roots: &[u32]| descendants(all.clone(), roots).iter().map(|stat| stat.pid).collect::<Vec<_>>();
        assert_eq!(pids(&[10]), [10, 11, 12]);
        assert_eq!(pids(&[11, 20]), [11, 12, 20]);
        assert_eq!(pids(&[99]), [] as [u32; 0]);
    }

    #[test]
    fn work_is_counted_where_it_was_done() {
        let me = [std::process::id()];
        let before = spent(&me);
        let began = std::time::Instant::now();
        let mut sum = 0_u64;
        while spent(&me) < before + Duration::from_millis(20) && began.elapsed() < Duration::from_secs(20) {
            sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(1));
        }
        assert!(spent(&me) >= before + Duration::from_millis(20));
        assert!(resident(&me) > 1 << 20);
    }

    #[test]
    fn a_child_counts_while_it_runs_and_after_it_was_waited_for() {
        let me = [std::process::id()];
        let before = spent(&me);
        let busy = "i=0; while [ $i -lt 100000 ]; do i=$((i + 1)); done";
        assert!(std::process::Command::new("sh").args(["-c", busy]).status().unwrap().success());
        assert!(spent(&me) >= before + Duration::from_millis(20));
    }
}
