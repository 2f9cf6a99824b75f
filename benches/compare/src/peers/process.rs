//! Programs that end with us, however we end.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{LazyLock, mpsc};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

use crate::stand::Fault;
use crate::system::Unavailable;

/// How long a program may take to end when it is asked to.
const PATIENCE: Duration = Duration::from_secs(3);

/// The program in a process group of its own, which is asked to end when we are gone: `setpriv` of util-linux says so to the
/// kernel and becomes the program.
pub fn program(path: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "--"]).arg(path);
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// Like [`program`], and not on more than this many cores: for what has threads to spare and no setting for cores.
pub fn pinned(path: impl AsRef<OsStr>, cores: usize) -> Command {
    let mut command = program("taskset");
    command.args(["--cpu-list", &format!("0-{}", cores.saturating_sub(1))]).arg(path);
    command
}

/// Starts it; what it has to complain about is in `log`.
///
/// # Errors
/// The system's.
pub fn spawn(mut command: Command, log: &Path) -> io::Result<Child> {
    // Appended: some open the same file once more.
    command.stderr(File::options().create(true).append(true).open(log)?);
    let (answer, answered) = mpsc::channel();
    SPAWNER.send((command, answer)).map_err(io::Error::other)?;
    answered.recv().map_err(io::Error::other)?
}

/// A parent, to the kernel, is a thread: the program would be asked to end with the thread that started it. This one stays.
static SPAWNER: LazyLock<mpsc::Sender<(Command, mpsc::Sender<io::Result<Child>>)>> = LazyLock::new(|| {
    let (sender, receiver) = mpsc::channel::<(Command, mpsc::Sender<io::Result<Child>>)>();
    std::thread::spawn(move || {
        for (mut command, answer) in receiver {
            let _ = answer.send(command.spawn());
        }
    });
    sender
});

/// Asks all of them to end, with whatever they started, and ends what did not.
pub fn stop(processes: &mut [Child]) {
    signal(processes, Signal::TERM);
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline && !processes.iter_mut().all(is_gone) {
        std::thread::sleep(Duration::from_millis(5));
    }
    signal(processes, Signal::KILL);
    for process in processes {
        let _ = process.kill();
        let _ = process.wait();
    }
}

fn signal(processes: &[Child], signal: Signal) {
    for process in processes {
        let _ = kill_process_group(Pid::from_child(process), signal);
    }
}

/// It and everything in its group.
fn is_gone(process: &mut Child) -> bool {
    process.try_wait().is_ok_and(|status| status.is_some()) && test_kill_process_group(Pid::from_child(process)).is_err()
}

/// One of our own programs: beside this one, unless `DOORWARD_BIN` names their folder.
///
/// # Errors
/// [`Unavailable::Wrong`] when it was not built.
pub fn own(name: &str) -> Result<PathBuf, Unavailable> {
    let folder =
        named("DOORWARD_BIN").or_else(beside_us).ok_or_else(|| Unavailable::Wrong("this program does not know where it is".into()))?;
    let path = folder.join(name);
    if path.exists() { Ok(path) } else { Err(Unavailable::Wrong(format!("`{}` is missing; build it in the same profile", path.display()))) }
}

/// Somebody else's program: one that `DOORWARD_HOSTS` has, then `target/hosts`, then the usual folders.
///
/// # Errors
/// [`Unavailable::Absent`].
pub fn others(name: &str) -> Result<PathBuf, Unavailable> {
    // target/<profile>/doorward-compare
    let fetched = named("DOORWARD_HOSTS").or_else(|| Some(beside_us()?.parent()?.join("hosts")));
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Not on the PATH of everybody, and where Debian has servers.
    let usual = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let found = fetched.into_iter().chain(usual).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.ok_or_else(|| Unavailable::Absent(format!("there is no `{name}` on this machine")))
}

fn beside_us() -> Option<PathBuf> {
    Some(std::env::current_exe().ok()?.parent()?.to_owned())
}

fn named(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The last lines of what a program complained about.
pub fn last_words(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(5)..].join(" | ")
}

impl From<Fault> for Unavailable {
    fn from(fault: Fault) -> Self {
        Self::Wrong(fault.to_string())
    }
}

impl From<io::Error> for Unavailable {
    fn from(problem: io::Error) -> Self {
        Self::Wrong(problem.to_string())
    }
}
