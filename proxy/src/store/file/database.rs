//! The file itself: opening it, and opening it again after the disk failed.

use std::fs::{File, OpenOptions};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use redb::backends::FileBackend;
use redb::{Builder, Database, DatabaseError, Error, StorageError};

use super::tables;
use crate::store::{OpenFault, StoreFault};

/// Its name in `server.state_dir`.
pub const FILE: &str = "doorward.redb";
/// Memory that keeps parts of the file, in bytes.
const CACHE: usize = 64 * 1024 * 1024;

/// How long the start waits for a process that still has the file.
const PREDECESSOR: Duration = Duration::from_secs(3);

/// Why it does not open.
enum Refusal {
    /// Somebody has it.
    Busy(OpenFault),
    Other(OpenFault),
}

impl Refusal {
    fn into_fault(self) -> OpenFault {
        match self {
            Self::Busy(fault) | Self::Other(fault) => fault,
        }
    }
}

/// How to open the database, each time anew.
pub(super) struct Opener {
    place: String,
    open: Box<Open>,
}

type Open = dyn Fn(&Builder) -> Result<Database, DatabaseError> + Send + Sync;

impl Opener {
    pub(super) fn at(state_dir: &Path) -> Self {
        let path = state_dir.join(FILE);
        let place = path.display().to_string();
        Self::new(place, move |builder| builder.create_with_backend(FileBackend::new(own_file(&path)?)?))
    }

    pub(super) fn new(place: String, open: impl Fn(&Builder) -> Result<Database, DatabaseError> + Send + Sync + 'static) -> Self {
        Self { place, open: Box::new(open) }
    }

    /// Opens it; a predecessor that is about to end gets a moment for it.
    fn open_first(&self) -> Result<Database, OpenFault> {
        let begin = Instant::now();
        loop {
            match self.try_open() {
                Err(Refusal::Busy(_)) if begin.elapsed() < PREDECESSOR => std::thread::sleep(Duration::from_millis(50)),
                opened => return opened.map_err(Refusal::into_fault),
            }
        }
    }

    fn try_open(&self) -> Result<Database, Refusal> {
        let mut builder = Builder::new();
        // What came to harm on the disk is found now, not by a request.
        builder.set_cache_size(CACHE).set_check_integrity_on_open(true);
        let opened = catch_unwind(AssertUnwindSafe(|| -> Result<Database, Error> {
            let database = (self.open)(&builder)?;
            tables::prepare(&database)?;
            Ok(database)
        }));
        match opened {
            Ok(Ok(database)) => Ok(database),
            Ok(Err(error @ (Error::DatabaseAlreadyOpen | Error::LockProtocolMismatch))) => Err(Refusal::Busy(self.fault(&error))),
            Ok(Err(error)) => Err(Refusal::Other(self.fault(&error))),
            Err(_) => Err(Refusal::Other(self.damaged("its contents make no sense"))),
        }
    }

    fn fault(&self, error: &Error) -> OpenFault {
        let place = &self.place;
        let text = match error {
            Error::DatabaseAlreadyOpen | Error::LockProtocolMismatch => format!(
                "server.state_dir: `{place}` is in use by another process; each Doorward needs a folder of its own, and several share \
                 sessions by `session.store: redis`"
            ),
            Error::Io(error) => match error.kind() {
                io::ErrorKind::NotFound => {
                    format!("server.state_dir: there is no folder for `{place}`; make it, for the user that runs Doorward")
                }
                io::ErrorKind::PermissionDenied => {
                    format!("server.state_dir: `{place}` cannot be read and written by this user; make the folder and the file its own")
                }
                io::ErrorKind::InvalidData => return self.damaged("it does not look like one"),
                _ => format!("server.state_dir: `{place}`: {error}"),
            },
            Error::UpgradeRequired(_) | Error::TableTypeMismatch { .. } | Error::TypeDefinitionChanged { .. } => {
                return self.damaged("it is of another version");
            }
            error => return self.damaged(&error.to_string()),
        };
        OpenFault(text)
    }

    fn damaged(&self, why: &str) -> OpenFault {
        OpenFault(format!(
            "server.state_dir: `{}` is no store of this Doorward, or it is damaged ({why}); move it away and start again: everybody signs \
             in once more, and sign-outs it knew of are forgotten, so change `session.keys` too if sessions are in cookies",
            self.place
        ))
    }
}

/// Nobody else reads it: what is in it is sealed, but whose sessions end is not.
fn own_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// The open database, and how it is.
pub(super) struct Shared {
    opener: Opener,
    database: ArcSwapOption<Database>,
    /// What the log was told last; `None`: all is well.
    said: Mutex<Option<String>>,
}

impl Shared {
    pub(super) fn new(opener: Opener) -> Result<Self, OpenFault> {
        let database = opener.open_first()?;
        Ok(Self { opener, database: ArcSwapOption::from_pointee(database), said: Mutex::new(None) })
    }

    /// `None` after a failure, until it is open again.
    pub(super) fn database(&self) -> Option<Arc<Database>> {
        self.database.load_full()
    }

    pub(super) fn is_well(&self) -> bool {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Takes note of a failure. redb wants to be opened again after one of the disk, and it is, by the writer.
    pub(super) fn failed(&self, error: &Error) -> StoreFault {
        self.say(&error.to_string());
        self.database.store(None);
        match error {
            Error::Io(error) if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => StoreFault::Full,
            _ => StoreFault::Broken,
        }
    }

    /// A transaction was written.
    pub(super) fn worked(&self) {
        if self.said.lock().unwrap_or_else(PoisonError::into_inner).take().is_some() {
            tracing::info!("`{}` can be written again", self.opener.place);
        }
    }

    /// Opens it if it is not open.
    pub(super) fn mend(&self) -> Option<Arc<Database>> {
        if let Some(database) = self.database() {
            return Some(database);
        }
        match self.opener.try_open().map_err(Refusal::into_fault) {
            Ok(database) => {
                self.database.store(Some(Arc::new(database)));
                self.database()
            }
            Err(fault) => {
                self.say(&fault.0);
                None
            }
        }
    }

    /// Once for each change of what there is to say.
    fn say(&self, text: &str) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.as_deref() != Some(text) {
            tracing::error!("`{}` cannot be used, and is tried again: {text}", self.opener.place);
            *said = Some(text.to_owned());
        }
    }
}

/// What a panic inside redb is to us.
pub(super) fn panicked() -> Error {
    Error::from(StorageError::Corrupted("its contents make no sense".to_owned()))
}
