//! Where `${NAME}` and `{ env: … }` come from.

use std::fmt;

/// Named values from outside the file.
pub trait Environment {
    /// The value of `name`; `None` when it is not set.
    fn var(&self, name: &str) -> Option<String>;
}

/// The environment of this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn var(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

impl fmt::Debug for dyn Environment + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Environment")
    }
}
