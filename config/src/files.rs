//! The files that a configuration was read from, so that whoever runs it can see when one of them changes.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256, digest};

/// More than that of a file is not looked at.
pub(crate) const LIMIT: u64 = 16 * 1024 * 1024;
/// Files of a folder that are looked at.
const ENTRIES: usize = 1_000;

/// A file that was read, or looked for, while the configuration was; or a folder of files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadFile {
    path: PathBuf,
    secret: bool,
    /// `None`: it could not be read.
    digest: Option<Digest>,
}

type Digest = [u8; 32];

impl ReadFile {
    /// One that held `bytes`; `None`: it could not be read.
    pub(crate) fn new(path: &Path, bytes: Option<&[u8]>) -> Self {
        let digest = bytes.map(|bytes| of(bytes.get(..LIMIT as usize).unwrap_or(bytes)));
        Self { path: path.to_owned(), secret: false, digest }
    }

    /// The pages right in a folder, by name and content, as they are now. Other files are nobody's business: a log that grows
    /// there would be a change that never ends.
    pub(crate) fn folder(path: &Path) -> Self {
        Self { path: path.to_owned(), secret: false, digest: of_folder(path) }
    }

    pub(crate) fn is_a_secret(&mut self) {
        self.secret = true;
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether all of it is a secret: not even its digest is to be shown.
    pub fn is_secret(&self) -> bool {
        self.secret
    }

    /// SHA-256 of what was read; `None`: it could not be read.
    pub fn digest(&self) -> Option<&[u8; 32]> {
        self.digest.as_ref()
    }

    /// Whether it holds something else by now. Waits for no pipe and reads no device.
    pub fn has_changed(&self) -> bool {
        now(&self.path) != self.digest
    }
}

/// What stands at `path` now.
fn now(path: &Path) -> Option<Digest> {
    let facts = fs::metadata(path).ok()?;
    if facts.is_dir() { of_folder(path) } else { Some(of(&plain(path, LIMIT).ok()?)) }
}

fn of_folder(path: &Path) -> Option<Digest> {
    let entries = fs::read_dir(path).ok()?.take(ENTRIES).filter_map(Result::ok);
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| is_page(path) && path.is_file()).collect();
    files.sort();
    let mut context = Context::new(&SHA256);
    for file in files {
        for part in [file.as_os_str().as_encoded_bytes(), &plain(&file, LIMIT).unwrap_or_default()] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
    }
    context.finish().as_ref().try_into().ok()
}

fn is_page(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "html" || extension == "css")
}

fn of(bytes: &[u8]) -> Digest {
    let mut whole = Digest::default();
    whole.copy_from_slice(digest(&SHA256, bytes).as_ref());
    whole
}

/// At most `limit` bytes of a plain file.
///
/// # Errors
/// The system's; a pipe or a device, which may never end, is one as well (ADM-02).
pub(crate) fn plain(path: &Path, limit: u64) -> std::io::Result<Vec<u8>> {
    // Before it is opened: that alone waits for whoever writes to a pipe.
    if !fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("it is not a plain file"));
    }
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(limit).read_to_end(&mut bytes).map(|_| bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adm_02_what_a_file_holds_decides_whether_it_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let missing = ReadFile::new(&path, None);
        assert!(!missing.has_changed());
        fs::write(&path, "one").unwrap();
        assert!(missing.has_changed());
        let read = ReadFile::new(&path, Some(b"one"));
        assert!(!read.has_changed());
        fs::write(&path, "one").unwrap();
        assert!(!read.has_changed(), "written again as it was");
        fs::write(&path, "two").unwrap();
        assert!(read.has_changed());
        fs::remove_file(&path).unwrap();
        assert!(read.has_changed());
    }

    #[test]
    fn adm_02_a_folder_changes_with_its_files_and_a_device_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let read = ReadFile::folder(folder.path());
        assert!(!read.has_changed());
        fs::write(folder.path().join("audit.jsonl"), "x").unwrap();
        assert!(!read.has_changed(), "no page");
        fs::write(folder.path().join("denied.html"), "x").unwrap();
        assert!(read.has_changed());
        assert!(plain(Path::new("/dev/zero"), 10).is_err());
    }
}
