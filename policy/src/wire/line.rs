//! The request line (RFC 9112 §3).

use std::ops::Range;

use super::{HeadFault, HeadLimits, PATH_BYTES};
use crate::request::{is_plain_method, is_refused_method};

/// A request line that passed.
#[derive(Debug, Clone)]
pub(super) struct RequestLine {
    pub(super) method: Range<usize>,
    pub(super) target: Range<usize>,
    pub(super) version: Version,
    pub(super) is_get: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    Http10,
    Http11,
}

/// `at` is the line without its CRLF.
pub(super) fn judge(buf: &[u8], at: Range<usize>, limits: &HeadLimits) -> Result<RequestLine, HeadFault> {
    let line = &buf[at.clone()];
    for byte in line {
        match byte {
            b'\r' => return Err(HeadFault::BareCr),
            0x00..=0x1f | 0x7f => return Err(HeadFault::ControlByte),
            _ => {}
        }
    }
    // RFC 9112 §3: exactly one SP between the parts; §3.2: the target holds none.
    let method_len = line.iter().position(|b| *b == b' ').ok_or(HeadFault::RequestLine)?;
    let rest = &line[method_len + 1..];
    let method = &line[..method_len];
    if !is_plain_method(method) {
        return Err(HeadFault::Method);
    }
    if is_refused_method(method) {
        return Err(HeadFault::MethodNotServed);
    }
    let Some(target_len) = rest.iter().position(|b| *b == b' ') else {
        // `GET /`: HTTP/0.9 had no version.
        let http09 = method == b"GET" && rest.first() == Some(&b'/');
        return Err(if http09 { HeadFault::Version } else { HeadFault::RequestLine });
    };
    let target = &rest[..target_len];
    let version = version(&rest[target_len + 1..])?;
    judge_target(method, target, limits)?;

    let target_start = at.start + method_len + 1;
    Ok(RequestLine {
        method: at.start..at.start + method_len,
        target: target_start..target_start + target_len,
        version,
        is_get: method == b"GET",
    })
}

/// RFC 9112 §2.3: the name is case-sensitive, each number one digit.
fn version(text: &[u8]) -> Result<Version, HeadFault> {
    match text {
        b"HTTP/1.1" => Ok(Version::Http11),
        b"HTTP/1.0" => Ok(Version::Http10),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => Err(HeadFault::Version),
        _ => Err(HeadFault::RequestLine),
    }
}

fn judge_target(method: &[u8], target: &[u8], limits: &HeadLimits) -> Result<(), HeadFault> {
    if target.len() > limits.target_bytes {
        return Err(HeadFault::TargetTooLong);
    }
    // RFC 9112 §3.2: origin-form, or asterisk-form for OPTIONS. Absolute-form is for forward proxies: its authority
    // would compete with `Host`.
    match target.first() {
        Some(b'/') => {}
        Some(b'*') if target.len() == 1 && method == b"OPTIONS" => return Ok(()),
        _ => return Err(HeadFault::TargetForm),
    }
    let path_len = target.iter().position(|b| *b == b'?').unwrap_or(target.len());
    if path_len > PATH_BYTES {
        return Err(HeadFault::TargetTooLong);
    }
    // RFC 3986 §3.3, §3.4, loosened to what browsers send unescaped: `|` and `^` anywhere, `\` `` ` `` `{` `}` in the
    // query (WHATWG URL, query percent-encode set). `#` would begin a fragment (RFC 9112 §3.2.1 knows none).
    let path_byte = |b: u8| (0x21..=0x7e).contains(&b) && !matches!(b, b'"' | b'#' | b'<' | b'>' | b'\\' | b'`' | b'{' | b'}');
    let query_byte = |b: u8| (0x21..=0x7e).contains(&b) && !matches!(b, b'"' | b'#' | b'<' | b'>');
    let (path, query) = target.split_at(path_len);
    if path.iter().all(|b| path_byte(*b)) && query.iter().all(|b| query_byte(*b)) { Ok(()) } else { Err(HeadFault::TargetByte) }
}
