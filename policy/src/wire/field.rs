//! The field lines of a head (RFC 9112 §5), and what they say together about host, body and connection.

use std::ops::Range;

use super::line::{RequestLine, Version};
use super::{Body, Head, HeadFault, HeadLimits, find};
use crate::request::Host;

/// Elements in all `Connection` fields together, empty ones included.
const CONNECTION_OPTIONS: usize = 8;

/// What the fields say, each by itself checked.
#[derive(Debug, Default)]
pub(super) struct Fields {
    host: Option<Range<usize>>,
    content_length: Option<u64>,
    chunked: bool,
    expect: bool,
    upgrade: bool,
    connection_upgrade: bool,
    connection_options: usize,
    authorization: bool,
    content_type: bool,
    origin: bool,
}

/// `at` holds whole field lines, each with its CRLF.
pub(super) fn judge(buf: &[u8], at: Range<usize>, limits: &HeadLimits) -> Result<Fields, HeadFault> {
    let mut fields = Fields::default();
    let mut count = 0;
    let mut start = at.start;
    while start < at.end {
        let Some(len) = find(&buf[start..at.end], b'\n') else { return Err(HeadFault::BareCr) };
        count += 1;
        if count > limits.fields {
            return Err(HeadFault::TooManyFields);
        }
        fields.take(buf, start..start + len - 1)?;
        start += len + 1;
    }
    Ok(fields)
}

impl Fields {
    fn take(&mut self, buf: &[u8], at: Range<usize>) -> Result<(), HeadFault> {
        let line = &buf[at.clone()];
        // RFC 9112 §5.2: obs-fold; §2.2: nor may the first field line begin with whitespace.
        if matches!(line.first(), Some(b' ' | b'\t')) {
            return Err(HeadFault::FieldFolded);
        }
        // RFC 9110 §5.1: a name is a token. RFC 9112 §5.1: no whitespace before the colon; it is no token byte.
        let colon = line.iter().position(|b| !is_token_byte(*b)).filter(|at| *at > 0 && line[*at] == b':');
        let Some(colon) = colon else { return Err(bad_name(line)) };
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        // RFC 9110 §5.5: CR, LF and NUL are invalid and dangerous; we refuse the other controls with them.
        if let Some(fault) = stray_byte(value) {
            return Err(fault);
        }
        self.note(name, value, at.start + colon + 1)
    }

    /// `value` with the whitespace around it; it begins at `value_at` of the buffer.
    fn note(&mut self, name: &[u8], value: &[u8], value_at: usize) -> Result<(), HeadFault> {
        let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
        match name.len() {
            4 if is(b"host") => {
                // RFC 9112 §3.2: more than one, or an invalid one, is answered with 400.
                if self.host.is_some() {
                    return Err(HeadFault::HostRepeated);
                }
                let host = value.trim_ascii();
                Host::check(host).map_err(|_| HeadFault::HostGrammar)?;
                let start = value_at + value.len() - value.trim_ascii_start().len();
                self.host = Some(start..start + host.len());
            }
            6 if is(b"expect") => {
                // RFC 9110 §10.1.1: there is no other expectation.
                if self.expect || !value.trim_ascii().eq_ignore_ascii_case(b"100-continue") {
                    return Err(HeadFault::Expect);
                }
                self.expect = true;
            }
            6 if is(b"origin") => once(&mut self.origin)?,
            7 if is(b"upgrade") => {
                if self.upgrade || !value.trim_ascii().eq_ignore_ascii_case(b"websocket") {
                    return Err(HeadFault::Upgrade);
                }
                self.upgrade = true;
            }
            10 if is(b"connection") => self.note_connection(value)?,
            12 if is(b"content-type") => once(&mut self.content_type)?,
            13 if is(b"authorization") => once(&mut self.authorization)?,
            14 if is(b"content-length") => {
                // RFC 9112 §6.3 (5) lets a recipient join equal values; whoever takes the first or the last differs.
                if self.content_length.is_some() {
                    return Err(HeadFault::ContentLengthRepeated);
                }
                self.content_length = Some(content_length(value).ok_or(HeadFault::ContentLength)?);
            }
            17 if is(b"transfer-encoding") => {
                if self.chunked {
                    return Err(HeadFault::TransferEncodingRepeated);
                }
                transfer_encoding(value)?;
                self.chunked = true;
            }
            // CGI, WSGI and their kin turn every separator into `_`, and then find a length here.
            14 if folds_to(name, b"content-length") => return Err(HeadFault::FieldAlias),
            17 if folds_to(name, b"transfer-encoding") => return Err(HeadFault::FieldAlias),
            _ => {}
        }
        Ok(())
    }

    fn note_connection(&mut self, value: &[u8]) -> Result<(), HeadFault> {
        for option in value.split(|b| *b == b',') {
            let option = option.trim_ascii();
            self.connection_options += 1;
            if self.connection_options > CONNECTION_OPTIONS || !option.iter().all(|b| is_token_byte(*b)) {
                return Err(HeadFault::Connection);
            }
            if is_protected(option) {
                return Err(HeadFault::ConnectionNominates);
            }
            self.connection_upgrade |= option.eq_ignore_ascii_case(b"upgrade");
        }
        Ok(())
    }

    /// What only all fields and the request line together show.
    pub(super) fn settle(self, line: RequestLine, len: usize, limits: &HeadLimits) -> Result<Head, HeadFault> {
        // RFC 9112 §3.2 demands it of HTTP/1.1 only; without it an older request has no app to go to either.
        let host = self.host.ok_or(HeadFault::HostMissing)?;
        if self.chunked && line.version == Version::Http10 {
            // RFC 9112 §6.1: its framing is faulty.
            return Err(HeadFault::TransferEncodingOnOldVersion);
        }
        let body = match (self.content_length, self.chunked) {
            // RFC 9112 §6.1: a request that has both might be an attempt to smuggle another.
            (Some(_), true) => return Err(HeadFault::TwoLengths),
            (None, true) => Body::Chunked,
            (Some(1..), false) => Body::Length(self.content_length.unwrap_or_default()),
            (Some(0) | None, false) => Body::Absent,
        };
        // RFC 9110 §10.1.1: a client must not expect 100 for a body it does not send.
        if self.expect && body == Body::Absent && !limits.lone_expect {
            return Err(HeadFault::ExpectWithoutBody);
        }
        if self.upgrade {
            // RFC 9110 §7.8: with the connection option, and not in HTTP/1.0. RFC 6455 §4.1: a GET.
            if !self.connection_upgrade || line.version == Version::Http10 || !line.is_get {
                return Err(HeadFault::Upgrade);
            }
            if body != Body::Absent {
                return Err(HeadFault::UpgradeWithBody);
            }
        }
        Ok(Head { len, method: line.method, target: line.target, host, body, upgrade: self.upgrade })
    }
}

/// What is wrong with a line that does not begin with a name and a colon.
#[cold]
fn bad_name(line: &[u8]) -> HeadFault {
    match find(line, b':') {
        Some(colon) => stray_byte(&line[..colon]).unwrap_or(HeadFault::FieldName),
        None => stray_byte(line).unwrap_or(HeadFault::FieldWithoutColon),
    }
}

fn once(seen: &mut bool) -> Result<(), HeadFault> {
    if std::mem::replace(seen, true) { Err(HeadFault::FieldRepeated) } else { Ok(()) }
}

/// RFC 9110 §8.6: digits. No list, no sign, no leading zero that someone might read as octal; below 2⁶³.
fn content_length(value: &[u8]) -> Option<u64> {
    let digits = framing_value(value);
    if digits.is_empty() || digits.len() > 19 || !digits.iter().all(u8::is_ascii_digit) || (digits[0] == b'0' && digits.len() > 1) {
        return None;
    }
    let length = digits.iter().fold(0u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    (length <= i64::MAX as u64).then_some(length)
}

/// RFC 9112 §6.1, §7: `chunked`, alone and once.
fn transfer_encoding(value: &[u8]) -> Result<(), HeadFault> {
    let value = framing_value(value);
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    // RFC 9112 §6.1: 501 for codings that exist and are not understood. Anything else is a malformed head.
    let registered: [&[u8]; 5] = [b"compress", b"deflate", b"gzip", b"x-compress", b"x-gzip"];
    let (first, last) = match value.iter().position(|b| *b == b',') {
        Some(at) => (&value[..at], value[at + 1..].trim_ascii()),
        None => (value, &b"chunked"[..]),
    };
    let known = registered.iter().any(|name| first.eq_ignore_ascii_case(name)) && last.eq_ignore_ascii_case(b"chunked");
    Err(if known { HeadFault::TransferCodingUnknown } else { HeadFault::TransferEncoding })
}

/// Without the one space that everybody writes. Programs differ about any other whitespace here, so it stays, and fails.
fn framing_value(value: &[u8]) -> &[u8] {
    value.strip_prefix(b" ").unwrap_or(value)
}

/// Fields that carry who asks, for what, and how long: a client may not have them dropped on the way (RFC 9110 §7.6.1
/// would).
fn is_protected(option: &[u8]) -> bool {
    const NAMES: [&[u8]; 7] = [b"host", b"cookie", b"authorization", b"content-length", b"transfer-encoding", b"forwarded", b"x-real-ip"];
    const PREFIXES: [&[u8]; 3] = [b"x-forwarded-", b"x-auth-", b"remote-"];
    NAMES.iter().any(|name| folds_to(option, name))
        || PREFIXES.iter().any(|prefix| option.len() >= prefix.len() && folds_to(&option[..prefix.len()], prefix))
}

/// Equal once letters are lower case and every other separator is a hyphen.
fn folds_to(name: &[u8], lower: &[u8]) -> bool {
    let fold = |b: &u8| if b.is_ascii_alphanumeric() { b.to_ascii_lowercase() } else { b'-' };
    name.len() == lower.len() && name.iter().map(fold).eq(lower.iter().copied())
}

/// The first byte that no line may hold, HTAB excepted.
fn stray_byte(text: &[u8]) -> Option<HeadFault> {
    let is_stray = |b: u8| (b < 0x20 && b != b'\t') | (b == 0x7f);
    // Without an early exit it is vector code, and there is hardly ever one.
    if !text.iter().fold(false, |found, b| found | is_stray(*b)) {
        return None;
    }
    let found = text.iter().find(|b| is_stray(**b))?;
    Some(if *found == b'\r' { HeadFault::BareCr } else { HeadFault::ControlByte })
}

/// RFC 9110 §5.6.2.
const fn is_token_byte(byte: u8) -> bool {
    TOKEN_BYTES[byte as usize]
}

const TOKEN_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let marks = b"!#$%&'*+-.^_`|~";
    let mut at = 0;
    while at < marks.len() {
        table[marks[at] as usize] = true;
        at += 1;
    }
    table
};
