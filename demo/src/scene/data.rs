//! The directory that keeps the demo's files: private, made once, used again.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::{Problem, certificate};

#[derive(Debug)]
pub(super) struct DataDir {
    /// As people type it.
    shown: PathBuf,
    /// As the configuration names it.
    absolute: PathBuf,
}

/// What the configuration refers to.
pub(super) struct Files {
    pub(super) certificate: PathBuf,
    pub(super) certificate_key: PathBuf,
    pub(super) session_key: PathBuf,
    pub(super) client_secret: PathBuf,
    pub(super) client_secret_text: String,
}

impl DataDir {
    /// The one asked for; else `demo-data` here; else, where nothing can be written, a temporary one.
    pub(super) fn open(asked: Option<&Path>) -> Result<DataDir, Problem> {
        let made = match asked {
            Some(path) => DataDir::at(path),
            None => DataDir::at(Path::new("demo-data")).or_else(|_| {
                // A fresh name: somebody else may own the obvious one.
                DataDir::at(&std::env::temp_dir().join(format!("doorward-demo-{}", random(&URL_SAFE_NO_PAD, 6))))
            }),
        };
        let name = asked.unwrap_or(Path::new("demo-data")).display();
        made.map_err(|problem| Problem(format!("failed to write to `{name}`: {problem}; choose another with --data")))
    }

    fn at(path: &Path) -> io::Result<DataDir> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let absolute = fs::canonicalize(path)?;
        for part in ["tls", "secrets", "tokens"] {
            DirBuilder::new().recursive(true).mode(0o700).create(absolute.join(part))?;
        }
        let data = DataDir { shown: path.to_owned(), absolute };
        data.try_write("README", README)?;
        Ok(data)
    }

    /// Makes what is missing and leaves what is there.
    pub(super) fn prepare(&self) -> Result<Files, Problem> {
        let certificate = self.path("tls/server.crt");
        let certificate_key = self.path("tls/server.key");
        if certificate::is_due(&certificate) || !certificate_key.exists() || !self.path("tls/ca.crt").exists() {
            let made = certificate::make()?;
            self.write("tls/ca.crt", &made.ca)?;
            self.write("tls/server.key", &made.key)?;
            // Last: it is what the next start looks at.
            self.write("tls/server.crt", &made.certificate)?;
        }
        let session_key = self.keep("secrets/session.key", || random(&STANDARD, 32))?.0;
        let (client_secret, client_secret_text) = self.keep("secrets/client", || random(&URL_SAFE_NO_PAD, 32))?;
        Ok(Files { certificate, certificate_key, session_key, client_secret, client_secret_text })
    }

    /// For configuration files.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.absolute.join(name)
    }

    /// For people.
    pub(super) fn shown(&self, name: &str) -> PathBuf {
        self.shown.join(name)
    }

    pub(super) fn write(&self, name: &str, text: &str) -> Result<PathBuf, Problem> {
        self.try_write(name, text).map_err(|problem| Problem(format!("failed to write `{}`: {problem}", self.shown(name).display())))
    }

    /// The file and its text; `make` says what a new one holds.
    fn keep(&self, name: &str, make: impl Fn() -> String) -> Result<(PathBuf, String), Problem> {
        let path = self.path(name);
        match fs::read_to_string(&path) {
            Ok(text) if !text.trim().is_empty() => Ok((path, text.trim().to_owned())),
            _ => {
                let text = make();
                Ok((self.write(name, &text)?, text))
            }
        }
    }

    /// Only for the owner, also when the file was there before with other rights.
    fn try_write(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        let path = self.path(name);
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.write_all(text.as_bytes())?;
        Ok(path)
    }
}

fn random(alphabet: &impl Engine, bytes: usize) -> String {
    let mut random = vec![0; bytes];
    rand::fill(&mut random).unwrap_or_else(|_| panic!("the system has no randomness"));
    alphabet.encode(random)
}

const README: &str = "Files of doorward-demo: certificates, keys and secrets for a stand-in on this machine.
Never for production. It is safe to delete this directory; the next start makes a new one.
";
