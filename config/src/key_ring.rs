//! Where sealing keys come from, so that they can be read again while the edge runs.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use doorward_policy::secret::Secret;
use doorward_policy::session::{KeyFault, SealingKeys};

/// The places of the keys, in the order of the configuration.
#[derive(Debug, Default)]
pub struct KeyRing {
    sources: Vec<KeySource>,
}

/// Where some of the keys are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum KeySource {
    /// One key a line, the newest first.
    File(PathBuf),
    /// From the environment, a credential, or the configuration itself: they stay as they are.
    Fixed(Vec<Secret<Vec<u8>>>),
}

/// Why the ring could not be read again.
#[derive(Debug, thiserror::Error)]
pub enum KeyRingFault {
    #[error("`{path}` cannot be read: {error}")]
    File { path: PathBuf, error: std::io::Error },
    #[error("`{path}`, line {line}: {fault}")]
    Line { path: PathBuf, line: usize, fault: LineFault },
    #[error(transparent)]
    Keys(#[from] KeyFault),
}

/// Why a line is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineFault {
    #[error("the key is not base64")]
    Base64,
    #[error("the key cannot be used: {0}")]
    Key(#[from] KeyFault),
}

/// Larger than any ring.
const FILE_LIMIT: u64 = 64 * 1024;

impl KeyRing {
    pub(crate) fn new(sources: Vec<KeySource>) -> Self {
        Self { sources }
    }

    /// The files to watch.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.sources.iter().filter_map(|source| match source {
            KeySource::File(path) => Some(path.as_path()),
            KeySource::Fixed(_) => None,
        })
    }

    /// Whether `other` reads from the same places.
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.sources == other.sources
    }

    /// Reads all of it again.
    ///
    /// # Errors
    /// [`KeyRingFault`]: then the keys that are in use stay.
    pub fn read(&self) -> Result<SealingKeys, KeyRingFault> {
        let mut keys = Vec::new();
        for source in &self.sources {
            match source {
                KeySource::Fixed(fixed) => keys.extend(fixed.iter().cloned()),
                KeySource::File(path) => {
                    let faulty = |error| KeyRingFault::File { path: path.clone(), error };
                    let size = fs::metadata(path).map_err(faulty)?;
                    if !size.is_file() || size.len() > FILE_LIMIT {
                        return Err(faulty(std::io::Error::other("it is no file of keys")));
                    }
                    let text = fs::read(path).map_err(faulty)?;
                    let read = keys_of(&text).map_err(|(line, fault)| KeyRingFault::Line { path: path.clone(), line, fault })?;
                    keys.extend(read);
                }
            }
        }
        Ok(SealingKeys::new(&keys)?)
    }
}

/// The keys in a text: one a line. Empty lines, and what follows a `#`, are passed over.
///
/// # Errors
/// The line, counted from 1, and what is wrong with it.
pub(crate) fn keys_of(text: &[u8]) -> Result<Vec<Secret<Vec<u8>>>, (usize, LineFault)> {
    let mut keys = Vec::new();
    for (at, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let line = line.split(|byte| *byte == b'#').next().unwrap_or_default().trim_ascii();
        if line.is_empty() {
            continue;
        }
        let key = Secret::new(decode(line).ok_or((at + 1, LineFault::Base64))?);
        // Alone first, so that the one that is no key is the one that is named.
        SealingKeys::new(std::slice::from_ref(&key)).map_err(|fault| (at + 1, LineFault::Key(fault)))?;
        keys.push(key);
    }
    Ok(keys)
}

/// Both alphabets, with or without padding.
pub(crate) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    [alphabet::STANDARD, alphabet::URL_SAFE].iter().find_map(|alphabet| GeneralPurpose::new(alphabet, config).decode(text).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: &str = "P0XkoV8WosBowej1yHhH6SMbkxyIjpyDUFNDFUcd4Wg=";
    const OLD: &str = "3rKuUezJLHAZX7Ow2fGRKuWHNfOmUI3Wqs3A2yLpcgM";

    #[test]
    fn sess_35_a_file_holds_several_keys_and_says_which_line_is_none() {
        let text = format!("# made today\n{NEW}\n\n  {OLD}  # until the end of the week\n");
        assert_eq!(keys_of(text.as_bytes()).unwrap().len(), 2);
        assert_eq!(keys_of(format!("{NEW}\nnot a key\n").as_bytes()).unwrap_err(), (2, LineFault::Base64));
        let short = keys_of(b"AAAA").unwrap_err();
        assert_eq!(short, (1, LineFault::Key(KeyFault::Length(3))));
    }

    #[test]
    fn sess_35_a_ring_is_read_again_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        fs::write(&path, NEW).unwrap();
        let ring = KeyRing::new(vec![KeySource::File(path.clone())]);
        assert!(ring.read().is_ok());
        assert_eq!(ring.files().collect::<Vec<_>>(), [path.as_path()]);
        fs::write(&path, format!("{OLD}\n{NEW}\n")).unwrap();
        assert!(ring.read().is_ok());
        for (name, text) in [("empty", String::new()), ("the same key twice", format!("{OLD}\n{OLD}\n")), ("cut", OLD[..20].to_owned())] {
            fs::write(&path, text).unwrap();
            assert!(ring.read().is_err(), "{name}");
        }
        fs::remove_file(&path).unwrap();
        assert!(matches!(ring.read(), Err(KeyRingFault::File { .. })));
    }
}
