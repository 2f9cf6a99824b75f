//! The file that lines are appended to: always the one at its path.
//!
//! Whoever rotates it may rename it (the next line begins another), remove it, or copy and truncate it (`O_APPEND` writes
//! at the end, wherever that is by then). One write a line: several processes may share the file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Only the user that Doorward runs as reads what is created here: it names people.
const MODE: u32 = 0o600;

#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    /// `None` after a write failed: the next one opens it again.
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    /// Device and inode.
    id: (u64, u64),
}

impl LogFile {
    /// Opens or creates it.
    ///
    /// # Errors
    /// The system's.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), open: Some(Open::at(path)?) })
    }

    /// Appends a line, which ends with a line end.
    ///
    /// # Errors
    /// The system's: the line is lost, or torn. The next write tries again.
    pub fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let open = match self.open.take().filter(|open| open.is_at(&self.path)) {
            Some(open) => open,
            None => Open::at(&self.path)?,
        };
        (&open.file).write_all(line)?;
        self.open = Some(open);
        Ok(())
    }

    /// Waits until the disk has it.
    pub fn sync(&self) {
        if let Some(open) = &self.open {
            // What cannot be synced (a terminal) need not be.
            let _ = open.file.sync_data();
        }
    }

    /// Whether users besides the owner's group may read it.
    pub fn is_public(&self) -> bool {
        let mode = self.open.as_ref().and_then(|open| open.file.metadata().ok()).map(|metadata| metadata.mode());
        mode.is_some_and(|mode| mode & 0o007 != 0)
    }
}

impl Open {
    fn at(path: &Path) -> io::Result<Self> {
        // Opening a pipe waits for its reader.
        if fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo() || found.file_type().is_socket()) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is a pipe or a socket; `audit_log: stdout` can be piped"));
        }
        let mut options = OpenOptions::new();
        options.append(true).create(true).mode(MODE);
        let file = match options.clone().read(true).open(path) {
            // Somebody lets us write and not read.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => options.open(path)?,
            opened => opened?,
        };
        let metadata = file.metadata()?;
        let open = Self { file, id: (metadata.dev(), metadata.ino()) };
        if metadata.is_file() && open.is_torn(metadata.len()) {
            (&open.file).write_all(b"\n")?;
        }
        Ok(open)
    }

    /// Whether the last line has no end: a process that wrote it died, or its disk was full.
    fn is_torn(&self, length: u64) -> bool {
        let mut last = [b'\n'];
        length > 0 && self.file.read_at(&mut last, length - 1).is_ok_and(|read| read == 1) && last != *b"\n"
    }

    fn is_at(&self, path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|found| (found.dev(), found.ino()) == self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rig() -> (tempfile::TempDir, PathBuf, LogFile) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let log = LogFile::open(&path).unwrap();
        (folder, path, log)
    }

    fn read(path: &Path) -> String {
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn a_new_file_is_its_owners_alone_and_another_keeps_its_mode() {
        use std::os::unix::fs::PermissionsExt as _;
        let (_folder, path, log) = rig();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert!(!log.is_public());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let again = LogFile::open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o644);
        assert!(again.is_public());
    }

    #[test]
    fn a_line_goes_where_the_path_leads_by_then() {
        let (folder, path, mut log) = rig();
        let old = folder.path().join("audit.jsonl.1");
        log.write(b"one\n").unwrap();
        // logrotate `nocreate`, `create`, a file that is gone.
        fs::rename(&path, &old).unwrap();
        log.write(b"two\n").unwrap();
        assert_eq!((read(&old), read(&path)), ("one\n".into(), "two\n".into()));
        fs::rename(&path, &old).unwrap();
        File::create(&path).unwrap();
        log.write(b"three\n").unwrap();
        assert_eq!((read(&old), read(&path)), ("two\n".into(), "three\n".into()));
        fs::remove_file(&path).unwrap();
        log.write(b"four\n").unwrap();
        assert_eq!(read(&path), "four\n");
    }

    #[test]
    fn after_a_truncation_lines_begin_at_the_beginning() {
        let (_folder, path, mut log) = rig();
        log.write(b"one\n").unwrap();
        OpenOptions::new().write(true).open(&path).unwrap().set_len(0).unwrap();
        log.write(b"two\n").unwrap();
        assert_eq!(read(&path), "two\n", "and no hole before it");
    }

    #[test]
    fn a_torn_line_is_ended_and_a_whole_one_is_not() {
        for (before, after) in [("{\"torn", "{\"torn\nnext\n"), ("whole\n", "whole\nnext\n"), ("", "next\n")] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("audit.jsonl");
            fs::write(&path, before).unwrap();
            LogFile::open(&path).unwrap().write(b"next\n").unwrap();
            assert_eq!(read(&path), after);
        }
    }

    #[test]
    fn a_folder_that_went_away_is_an_error_until_it_is_back() {
        let (folder, _, _) = rig();
        let inner = folder.path().join("inner");
        fs::create_dir(&inner).unwrap();
        let path = inner.join("audit.jsonl");
        let mut log = LogFile::open(&path).unwrap();
        fs::remove_dir_all(&inner).unwrap();
        assert_eq!(log.write(b"one\n").unwrap_err().kind(), io::ErrorKind::NotFound);
        fs::create_dir(&inner).unwrap();
        log.write(b"two\n").unwrap();
        assert_eq!(read(&path), "two\n");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error_of_each_write_and_not_of_opening() {
        let mut log = LogFile::open(Path::new("/dev/full")).unwrap();
        for _ in 0..2 {
            assert_eq!(log.write(b"one\n").unwrap_err().kind(), io::ErrorKind::StorageFull);
        }
    }

    #[test]
    fn a_folder_and_a_pipe_are_refused_and_hold_up_nobody() {
        let folder = tempfile::tempdir().unwrap();
        assert!(LogFile::open(folder.path()).is_err());
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(LogFile::open(&pipe).unwrap_err().to_string().contains("stdout"));
    }
}
