//! Whether the bytes of an HTTP/1.x request head may be looked at at all.
//!
//! The proxy library repairs some malformed heads (it escapes bytes in the request line, takes bare LF for a line end,
//! joins repeated `Content-Length` fields) and never tells anybody about those it cannot parse. Two programs that repair
//! differently see different requests, so this module reads the bytes first and repairs nothing: a head is either
//! unmistakable, or refused with a [`HeadFault`].
//!
//! It does not decide whether a path is allowed, whether a host is ours, or anything about HTTP/2. It promises that of a
//! [`Head`] it returns, every reader of RFC 9112 finds the same request line, host and body length.

mod chunked;
mod fault;
mod field;
mod line;
#[cfg(test)]
mod tests;

pub use chunked::{ChunkFault, ChunkedBody};
pub use fault::HeadFault;

use std::ops::Range;

/// Longest path accepted, in bytes; the query comes on top, up to [`HeadLimits::target_bytes`].
pub const PATH_BYTES: usize = 8 * 1024;

/// Bounds on one request head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimits {
    /// The whole head, from the request line to the empty line, in bytes.
    pub bytes: usize,
    /// Field lines.
    pub fields: usize,
    /// The request target, in bytes.
    pub target_bytes: usize,
    /// `Expect` may come without a body: another proxy asks about a request, with its fields and without its content.
    pub lone_expect: bool,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self { bytes: 32 * 1024, fields: 100, target_bytes: 16 * 1024, lone_expect: false }
    }
}

/// What the bytes so far are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeadScan {
    /// Nothing wrong yet; more must come.
    Incomplete,
    /// A whole head that is unmistakable.
    Complete(Head),
    Refused(HeadFault),
}

/// A head that passed: where its parts are, and what follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Bytes from the start of the buffer to the end of the empty line, a leading CRLF included.
    pub len: usize,
    pub method: Range<usize>,
    pub target: Range<usize>,
    /// The value of `Host`, checked, as it was written.
    pub host: Range<usize>,
    pub body: Body,
    /// The client offers to switch to WebSocket.
    pub upgrade: bool,
}

/// How the body that follows a head is delimited (RFC 9112 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    Absent,
    /// Bytes; never 0.
    Length(u64),
    Chunked,
}

/// Judges the first request head in `buf`.
///
/// `from` is how many bytes of `buf` an earlier call has already seen (0 at first); it only saves work. A head is
/// refused as soon as its faults show, at the latest when its empty line has come or a limit is passed.
pub fn scan(buf: &[u8], from: usize, limits: &HeadLimits) -> HeadScan {
    match scan_head(buf, from.min(buf.len()), limits) {
        Ok(Some(head)) => HeadScan::Complete(head),
        Ok(None) => HeadScan::Incomplete,
        Err(fault) => HeadScan::Refused(fault),
    }
}

fn scan_head(buf: &[u8], from: usize, limits: &HeadLimits) -> Result<Option<Head>, HeadFault> {
    // RFC 9112 §2.2: a server should ignore at least one empty line before the request line. One it is.
    let start = if buf.starts_with(b"\r\n") { 2 } else { 0 };
    if buf[start..].starts_with(b"\r\n") {
        return Err(HeadFault::LeadingLines);
    }
    // RFC 9113 §3.4: the HTTP/2 preface, where HTTP/2 was not agreed upon.
    if buf[start..].starts_with(b"PRI * HTTP/2") {
        return Err(HeadFault::Http2Preface);
    }
    let end = head_end(buf, start, from)?;
    let seen = end.unwrap_or(buf.len());

    let first_line_end = find(&buf[start..seen], b'\n').map(|at| start + at);
    let Some(first_line_end) = first_line_end else {
        // 64: the longest method and version that pass, and then some.
        let too_long = seen - start > limits.target_bytes + 64;
        return if too_long { Err(HeadFault::TargetTooLong) } else { Ok(None) };
    };
    let Some(end) = end else {
        if first_line_end >= from {
            line::judge(buf, start..first_line_end - 1, limits)?;
        }
        return if seen > limits.bytes { Err(HeadFault::HeadTooLong) } else { Ok(None) };
    };

    let line = line::judge(buf, start..first_line_end - 1, limits)?;
    if end > limits.bytes {
        return Err(HeadFault::HeadTooLong);
    }
    let fields = field::judge(buf, first_line_end + 1..end - 2, limits)?;
    fields.settle(line, end, limits).map(Some)
}

/// Just after the CRLF of the empty line, if that has come. Every LF up to there must follow a CR.
fn head_end(buf: &[u8], start: usize, from: usize) -> Result<Option<usize>, HeadFault> {
    let mut line_start = buf[start..from.max(start)].iter().rposition(|b| *b == b'\n').map_or(start, |at| start + at + 1);
    let mut at = from.max(start);
    while let Some(step) = find(&buf[at..], b'\n') {
        at += step;
        // RFC 9112 §2.2 lets a recipient take a bare LF for a line end; whoever does not, sees another head.
        if at == line_start || buf[at - 1] != b'\r' {
            return Err(HeadFault::BareLf);
        }
        if at == line_start + 1 {
            return Ok(Some(at + 1));
        }
        at += 1;
        line_start = at;
    }
    Ok(None)
}

/// The first `byte`.
fn find(text: &[u8], byte: u8) -> Option<usize> {
    memchr::memchr(byte, text)
}
