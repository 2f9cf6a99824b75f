//! The files of the configuration in use, and of the last attempt to take another.

use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};
use doorward_config::ReadFile;
use doorward_config::settings::Settings;

use super::Refused;

/// Bytes of a digest that a metric shows.
const SHOWN: usize = 6;

#[derive(Debug, Clone)]
pub(super) struct Source {
    path: PathBuf,
    files: Vec<ReadFile>,
    /// Certificates and session keys: others follow them, and a change of these alone is no reason to read everything.
    followed: Vec<PathBuf>,
    /// What the last attempt read, if nothing came of it.
    failed: Option<Vec<ReadFile>>,
}

impl Source {
    pub(super) fn new(path: PathBuf, files: Vec<ReadFile>, settings: &Settings) -> Self {
        let certificates = settings.server.tls.certificates.iter().flat_map(|pair| [&pair.cert, &pair.key]).cloned();
        let followed = certificates.chain(settings.session.key_ring.files().map(Path::to_owned)).collect();
        Self { path, files, followed, failed: None }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// An attempt that read `files` came to nothing.
    pub(super) fn failed(&mut self, files: Vec<ReadFile>) {
        self.failed = Some(files);
    }

    /// Everything that may be worth watching.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        let all = self.files.iter().chain(self.failed.iter().flatten()).map(|file| file.path().to_owned());
        all.chain([self.path.clone()]).collect()
    }

    /// Whether another attempt would read something else than the last one did. Reads the files.
    pub(super) fn has_changed(&self) -> bool {
        match &self.failed {
            Some(failed) if !failed.is_empty() => failed.iter().any(ReadFile::has_changed),
            // It was not even there to be read.
            Some(_) => self.path.is_file(),
            None => self.own().any(ReadFile::has_changed),
        }
    }

    /// Names one state of the files, the same on every machine: by what is in them, secrets apart.
    pub(super) fn hash(&self) -> String {
        let mut context = Context::new(&SHA256);
        for file in self.own().filter(|file| !file.is_secret()) {
            context.update(file.digest().map_or(&[][..], |digest| digest));
        }
        context.finish().as_ref().iter().take(SHOWN).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Files that hold something else than they did in `before`, or were not among its.
    pub(super) fn changed_since(&self, before: &Self) -> Vec<PathBuf> {
        let known = |file: &ReadFile| before.files.iter().any(|known| known == file);
        self.files.iter().filter(|file| !known(file)).map(|file| file.path().to_owned()).collect()
    }

    fn own(&self) -> impl Iterator<Item = &ReadFile> {
        self.files.iter().filter(|file| !self.followed.iter().any(|path| path == file.path()))
    }
}

/// A configuration from a pipe could be read once, and would be waited for for ever.
pub(super) fn check_plain(path: &Path) -> Result<(), Refused> {
    match std::fs::metadata(path) {
        Ok(facts) if facts.is_file() => Ok(()),
        Ok(_) => Err(Refused::unusable("", &format!("`{}` is no plain file, and cannot be read again", path.display()))),
        Err(error) => Err(Refused::unusable("", &format!("`{}` cannot be read: {error}", path.display()))),
    }
}
