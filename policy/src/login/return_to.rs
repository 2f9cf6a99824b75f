//! A place the browser may be sent back to.
//!
//! The check is stronger than "not refused": what is accepted is put together anew from its parts, and a browser that
//! resolves it lands on the scheme and host that were checked.

use crate::request::{Host, HostFault};

/// Longest target, in bytes.
const LIMIT: usize = 2048;
/// Longest sealed hand-off in a target: it holds a target itself.
const HANDOFF_LIMIT: usize = 6 * 1024;

/// A path with query on this host, or an https address on a host that is ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnTo(Box<str>);

/// Why a target is refused. The caller falls back to `/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReturnToFault {
    #[error("empty or longer than {LIMIT} bytes")]
    Length,
    #[error("holds a byte that a browser would drop or turn")]
    Byte,
    #[error("holds a broken escape")]
    Escape,
    #[error("neither a path nor an https address")]
    Form,
    #[error("the host is not ours")]
    Host,
    #[error("the path could be read as another")]
    Path,
    #[error("leads into Doorward itself")]
    Loop,
}

/// Which other places are ours.
pub trait Places {
    /// Whether `host` is one of ours at `port` (443 when none is written).
    fn holds(&self, host: &str, port: u16) -> bool;
    /// The prefix of our own endpoints.
    fn prefix(&self) -> &str;
    /// Whether `path`, decoded and without parameters, is for us and never for an app.
    fn reserves(&self, path: &str) -> bool {
        path.strip_prefix(self.prefix()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl ReturnTo {
    /// The root of the host: where a sign-in without a target ends.
    pub fn root() -> Self {
        Self("/".into())
    }

    /// Our own `login`, to go on with a hand-off: where a sign-in on the public host comes back to. What is sealed in it says
    /// whether it is good for anything.
    ///
    /// # Errors
    /// [`ReturnToFault`] for what nobody sealed.
    pub fn to_handoff(sealed: &str, places: &impl Places) -> Result<Self, ReturnToFault> {
        Self::parse(&format!("{}{HANDOFF}{sealed}", places.prefix()), places)
    }

    /// The sealed hand-off that this target goes on with.
    pub fn handoff<'t>(&'t self, places: &impl Places) -> Option<&'t str> {
        sealed_handoff(&self.0, places)
    }

    /// Checks a target.
    ///
    /// # Errors
    /// [`ReturnToFault`].
    pub fn parse(text: &str, places: &impl Places) -> Result<Self, ReturnToFault> {
        if sealed_handoff(text, places).is_some() {
            return Ok(Self(text.into()));
        }
        if text.is_empty() || text.len() > LIMIT {
            return Err(ReturnToFault::Length);
        }
        // WHATWG URL §4.1: browsers strip tabs and line ends, trim controls and turn `\` into `/`.
        if text.bytes().any(|b| !(0x21..=0x7e).contains(&b) || b == b'\\') {
            return Err(ReturnToFault::Byte);
        }
        check_escapes(text)?;
        if text.starts_with('/') {
            check_local(text, places)?;
            return Ok(Self(text.into()));
        }
        let rest = text.strip_prefix("https://").ok_or(ReturnToFault::Form)?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(end);
        let host = host_of(authority)?;
        let port = host.port().unwrap_or(443);
        if !places.holds(host.name(), port) {
            return Err(ReturnToFault::Host);
        }
        let tail = if tail.starts_with('/') { tail.to_owned() } else { format!("/{tail}") };
        check_local(&tail, places)?;
        let port = if port == 443 { String::new() } else { format!(":{port}") };
        Ok(Self(format!("https://{}{port}{tail}", host.name()).into()))
    }

    /// The target of a request that is sent to sign in: its own path and query, as a target again.
    ///
    /// # Errors
    /// [`ReturnToFault`] as for any other text.
    pub fn of_request(path_and_query: &str, places: &impl Places) -> Result<Self, ReturnToFault> {
        Self::parse(path_and_query, places)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// After the prefix: one of our own addresses that may be returned to.
const HANDOFF: &str = "/login?handoff=";

fn sealed_handoff<'t>(text: &'t str, places: &impl Places) -> Option<&'t str> {
    let sealed = text.strip_prefix(places.prefix())?.strip_prefix(HANDOFF)?;
    let plain = sealed.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    (plain && (1..=HANDOFF_LIMIT).contains(&sealed.len())).then_some(sealed)
}

fn host_of(authority: &str) -> Result<Host, ReturnToFault> {
    // No user information, no trailing dot, nothing escaped: one spelling only.
    if authority.ends_with('.') || authority.contains(".:") {
        return Err(ReturnToFault::Host);
    }
    Host::parse(authority.as_bytes()).map_err(|fault| match fault {
        HostFault::Missing | HostFault::Grammar => ReturnToFault::Host,
    })
}

fn check_escapes(text: &str) -> Result<(), ReturnToFault> {
    let bytes = text.as_bytes();
    let broken = |at: usize| !bytes.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
    if bytes.iter().enumerate().any(|(at, byte)| *byte == b'%' && broken(at)) { Err(ReturnToFault::Escape) } else { Ok(()) }
}

/// A path, decoded once: UTF-8, no control characters or `\`, no `//`, no dot segment, not into our own endpoints.
fn check_local(text: &str, places: &impl Places) -> Result<(), ReturnToFault> {
    let path = &text[..text.find(['?', '#']).unwrap_or(text.len())];
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8().map_err(|_| ReturnToFault::Path)?;
    if decoded.chars().any(|c| c.is_control() || c == '\\') || decoded.contains("//") {
        return Err(ReturnToFault::Path);
    }
    if decoded.split('/').any(|segment| matches!(segment.split(';').next(), Some("." | ".."))) {
        return Err(ReturnToFault::Path);
    }
    let bare = decoded.split(';').next().unwrap_or(&decoded);
    let welcome = |page: &str| decoded == format!("{}/{page}", places.prefix());
    if places.reserves(bare) && !welcome("whoami") && !welcome("resume") {
        return Err(ReturnToFault::Loop);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
