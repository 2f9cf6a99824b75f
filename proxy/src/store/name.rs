//! Names and holders as stores keep them: digests. A name may hold a code or a `jti`, and whoever reads the store learns none.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Name([u8; 32]);

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Holder([u8; 32]);

impl Name {
    pub(super) fn of(name: &str) -> Self {
        Self(hash("doorward/name\0", name))
    }

    pub(super) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Holder {
    pub(super) fn of(holder: &str) -> Self {
        Self(hash("doorward/holder\0", holder))
    }

    pub(super) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Name {
    /// Lower-case hexadecimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for Holder {
    /// Lower-case hexadecimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn hash(purpose: &str, text: &str) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    context.update(purpose.as_bytes());
    context.update(text.as_bytes());
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    bytes
}
