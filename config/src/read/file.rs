//! Files that the configuration names.

use std::path::PathBuf;

use super::field::Field;
use crate::files::{ReadFile, plain};

/// Largest file taken for a certificate, a key or a secret.
const LIMIT: u64 = 1024 * 1024;

impl Field<'_> {
    /// What stands in the file of this name, and where it is.
    pub(super) fn file(&self) -> Option<(PathBuf, Vec<u8>)> {
        let path = self.reading.resolve(self.text()?);
        let shown = path.display();
        let open = plain(&path, LIMIT + 1);
        self.reading.note(ReadFile::new(&path, open.as_deref().ok()));
        match open {
            Ok(bytes) if bytes.len() as u64 > LIMIT => self.refuse(format!("`{shown}` is larger than 1 MiB"), "name another file"),
            Ok(bytes) => Some((path, bytes)),
            Err(error) => self.refuse(format!("cannot read `{shown}`: {error}"), "relative names begin at the folder of this file"),
        }
    }

    /// A file of PEM certificates.
    pub(super) fn certificates(&self) -> Option<(PathBuf, Vec<u8>)> {
        let (path, bytes) = self.file()?;
        if !holds(&bytes, "CERTIFICATE") {
            let help = "it begins with `-----BEGIN CERTIFICATE-----`";
            return self.refuse(format!("`{}` holds no PEM certificate", path.display()), help);
        }
        Some((path, bytes))
    }

    /// The name of a file with a PEM private key, not encrypted.
    pub(super) fn private_key_file(&self) -> Option<PathBuf> {
        let (path, bytes) = self.file()?;
        let text = String::from_utf8_lossy(&bytes);
        if text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED") {
            let help = "decrypt it (`openssl pkey -in … -out …`) and let the file's mode protect it";
            return self.refuse(format!("the key in `{}` is encrypted", path.display()), help);
        }
        if !["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"].iter().any(|label| holds(&bytes, label)) {
            return self.refuse(format!("`{}` holds no PEM private key", path.display()), "it begins with `-----BEGIN PRIVATE KEY-----`");
        }
        Some(path)
    }
}

/// Whether there is a whole PEM block of this label.
fn holds(bytes: &[u8], label: &str) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let begin = format!("-----BEGIN {label}-----");
    text.find(&begin).is_some_and(|at| text[at + begin.len()..].contains(&format!("-----END {label}-----")))
}
