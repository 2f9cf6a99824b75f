//! `{ file: … }`, `{ env: … }`, `{ credential: … }`, or the secret itself with a warning. No message says its value.

use std::path::{Path, PathBuf};

use doorward_policy::secret::Secret;

use super::field::Field;
use crate::document::Value;
use crate::files::{ReadFile, plain};
use crate::problem::WarningCode;

/// In bytes. Less could be guessed, and no peer sends a longer header.
const HEADER_LENGTH: std::ops::RangeInclusive<usize> = 16..=1024;

/// systemd hands over no more (systemd.exec(5)).
const CREDENTIAL: u64 = 1024 * 1024;

const SOURCES: &str = "write `{ file: … }`, `{ env: … }` or `{ credential: … }`";

impl Field<'_> {
    /// The secret, without line breaks at its end; an empty one is a mistake.
    pub(super) fn secret(&self) -> Option<Secret<Vec<u8>>> {
        self.secret_and_file().map(|(secret, _)| secret)
    }

    /// The same, and the file it stands in, if that is where it is.
    pub(super) fn secret_and_file(&self) -> Option<(Secret<Vec<u8>>, Option<PathBuf>)> {
        let mut file = None;
        let mut bytes = match self.value() {
            Value::Map(_) => {
                let (path, bytes) = self.secret_from_source()?;
                file = path;
                bytes
            }
            Value::Text(text) => {
                if !text.expanded {
                    self.warn(WarningCode::InlineSecret, "a secret stands in the file itself", SOURCES);
                }
                text.text.clone().into_bytes()
            }
            Value::Broken => return None,
            _ => return self.refuse("expected a secret", SOURCES),
        };
        while bytes.last().is_some_and(|last| matches!(last, b'\n' | b'\r')) {
            bytes.pop();
        }
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return self.refuse("the secret is empty", "put it where the key says it is");
        }
        Some((Secret::new(bytes), file))
    }

    /// A secret that is text.
    pub(super) fn secret_text(&self) -> Option<Secret<String>> {
        let bytes = self.secret()?;
        match std::str::from_utf8(bytes.expose()) {
            Ok(text) if !text.contains(char::is_control) => Some(Secret::new(text.to_owned())),
            _ => self.refuse("the secret is more than one line of text", "put it alone into its file"),
        }
    }

    /// A secret that travels in a header: every byte of it must arrive (RFC 9110 §5.5). `help` says how to make one.
    pub(super) fn header_secret(&self, help: &str) -> Option<Secret<String>> {
        let secret = self.secret_text()?;
        if !secret.expose().bytes().all(|b| b.is_ascii_graphic()) {
            return self.refuse("the secret is not visible ASCII alone", format!("it travels in a header, so no spaces either; {help}"));
        }
        let length = secret.expose().len();
        if length < *HEADER_LENGTH.start() {
            return self.refuse(format!("the secret is shorter than {} bytes", HEADER_LENGTH.start()), help);
        }
        if length > *HEADER_LENGTH.end() {
            return self.refuse(format!("the secret is longer than {} bytes: nobody would send it", HEADER_LENGTH.end()), help);
        }
        Some(secret)
    }

    fn secret_from_source(&self) -> Option<(Option<PathBuf>, Vec<u8>)> {
        let map = self.map()?;
        let (file, env, credential) = (map.optional("file"), map.optional("env"), map.optional("credential"));
        map.finish(&[]);
        match (file, env, credential) {
            (Some(file), None, None) => {
                let (path, bytes) = file.file()?;
                self.reading.note_secret(&path);
                Some((Some(path), bytes))
            }
            (None, Some(env), None) => env.environment_secret().map(|bytes| (None, bytes)),
            (None, None, Some(credential)) => credential.credential_secret().map(|bytes| (None, bytes)),
            (None, None, None) => self.refuse("it is not said where the secret is", SOURCES),
            _ => self.refuse("more than one place is named for the secret", "keep one of them"),
        }
    }

    fn environment_secret(&self) -> Option<Vec<u8>> {
        let name = self.name()?;
        match self.reading.environment.var(name) {
            Some(value) => Some(value.into_bytes()),
            None => self.refuse(format!("environment variable `{}` is not set", self.shown()), "set it"),
        }
    }

    /// systemd.exec(5), `LoadCredential=`.
    fn credential_secret(&self) -> Option<Vec<u8>> {
        let name = self.name()?;
        if name.contains('/') || name.starts_with('.') {
            return self.refuse(format!("`{name}` is no name of a credential"), "it is the part before the colon in `LoadCredential=`");
        }
        let Some(folder) = self.reading.environment.var("CREDENTIALS_DIRECTORY") else {
            return self.refuse("no credentials were handed over", format!("run as a systemd service with `LoadCredential={name}:…`"));
        };
        let path = Path::new(&folder).join(name);
        let read = plain(&path, CREDENTIAL);
        self.reading.note(ReadFile::new(&path, read.as_deref().ok()));
        self.reading.note_secret(&path);
        match read {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                self.refuse(format!("cannot read credential `{name}`: {error}"), format!("add `LoadCredential={name}:…` to the service"))
            }
        }
    }
}
