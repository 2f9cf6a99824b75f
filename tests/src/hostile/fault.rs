//! What can go wrong with one answer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

/// An answer before it is written to the wire.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Reply {
    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self::text(status, "application/json", body.to_string())
    }

    pub(super) fn text(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: vec![("Content-Type".to_owned(), content_type.to_owned())], body: body.into() }
    }

    fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(present, _)| !present.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }
}

/// Where a redirect leads. Following it would succeed: the other end answers correctly, and counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Redirection {
    /// The same path on the same host, with `?moved`.
    Same,
    /// The second server (`HostileIdp::elsewhere`).
    Elsewhere,
    /// Any place at all.
    To(String),
}

/// One way to answer wrongly. The endpoint does its work first: a code is spent even if the answer is a 500.
#[derive(Clone)]
pub enum Fault {
    // What is said.
    /// This status, with an OAuth error as its body.
    Status(u16),
    /// This status, content type and body.
    Answer(u16, &'static str, Vec<u8>),
    /// This status and a `Location`.
    Redirect(u16, Redirection),
    /// The right answer under another content type.
    ContentType(&'static str),
    /// The right answer with one header more, or replaced.
    Header(&'static str, String),
    /// 200 with no body.
    Empty,
    /// The first half of the right JSON, with a length that fits.
    Truncated,
    /// The right JSON, and this member once more at its end.
    DuplicateMember(&'static str, Value),
    /// The right JSON, with a member that brings it to about this many bytes.
    Padded(usize),
    /// A byte order mark before the right JSON.
    ByteOrderMark,
    /// The right JSON, changed. See also the functions in `discovery`, `jwks`, `token_answer` and `userinfo`.
    Edit(Edit),

    // How it is said.
    /// Nothing for so long, then the right answer.
    DelayHead(Duration),
    /// A pause in the middle of the body.
    DelayBody(Duration),
    /// Half of the body, and then nothing more while the client waits.
    StallBody,
    /// One byte, a pause, one byte, a pause: head and body.
    Drip(Duration),
    /// Reads the request and resets the connection.
    Reset,
    /// Half of the body, and then a reset.
    ResetBody,
    /// Half of the body, and then the end of the stream; the client may still write.
    HalfClose,
    /// Reads the request and closes without a word.
    Hangup,
    /// A `Content-Length` that is off by so much.
    WrongLength(i64),
    /// Exactly these bytes, and then the end of the stream.
    Raw(Vec<u8>),
}

/// A change to a JSON document.
pub type Edit = Arc<dyn Fn(&mut Value) + Send + Sync>;

impl Fault {
    /// The right JSON, changed by `change`.
    pub fn edit(change: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        Self::Edit(Arc::new(change))
    }

    /// The right JSON without one of its members.
    pub fn without(member: &'static str) -> Self {
        Self::edit(move |document| {
            if let Some(members) = document.as_object_mut() {
                members.remove(member);
            }
        })
    }

    /// The right JSON with this member added or replaced.
    pub fn with(member: &'static str, value: impl Into<Value>) -> Self {
        let value = value.into();
        Self::edit(move |document| document[member] = value.clone())
    }

    /// Another JSON document altogether.
    pub fn instead(document: Value) -> Self {
        Self::edit(move |right| *right = document.clone())
    }

    /// An OAuth error (RFC 6749 §5.2).
    pub fn oauth_error(status: u16, error: &str) -> Self {
        let body = serde_json::json!({ "error": error, "error_description": "told to" });
        Self::Answer(status, "application/json", body.to_string().into_bytes())
    }

    /// A page of HTML with status 200, as a captive portal or an error page behind a load balancer.
    pub fn html() -> Self {
        Self::Answer(200, "text/html", b"<!doctype html><title>Maintenance</title><p>Back soon.".to_vec())
    }

    /// The right answer as this fault changes what it says. What is about the wire is left to `wire`.
    pub(super) fn bend(&self, right: Reply, path: &str, elsewhere: &str) -> Reply {
        match self {
            Self::Status(status) => {
                let error = if *status < 500 { "invalid_request" } else { "server_error" };
                Reply::json(*status, &serde_json::json!({ "error": error, "error_description": "told to" }))
            }
            Self::Answer(status, content_type, body) => Reply::text(*status, content_type, body.clone()),
            Self::Redirect(status, redirection) => {
                let location = match redirection {
                    Redirection::Same => format!("{path}?moved"),
                    Redirection::Elsewhere => format!("{elsewhere}{path}"),
                    Redirection::To(url) => url.clone(),
                };
                Reply::text(*status, "text/plain", "moved").with_header("Location", &location)
            }
            Self::ContentType(content_type) => right.with_header("Content-Type", content_type),
            Self::Header(name, value) => right.with_header(name, value),
            Self::Empty => right.with_body(Vec::new()),
            Self::Truncated => {
                let half = right.body[..right.body.len() / 2].to_vec();
                right.with_body(half)
            }
            Self::DuplicateMember(name, value) => append_member(right, name, &value.to_string()),
            Self::Padded(size) => {
                let missing = size.saturating_sub(right.body.len());
                append_member(right, "padding", &format!("\"{}\"", "x".repeat(missing)))
            }
            Self::ByteOrderMark => {
                let marked = [b"\xEF\xBB\xBF".as_slice(), &right.body].concat();
                right.with_body(marked)
            }
            Self::Edit(change) => {
                let Ok(mut document) = serde_json::from_slice(&right.body) else {
                    return right;
                };
                change(&mut document);
                right.with_body(document.to_string())
            }
            Self::DelayHead(_)
            | Self::DelayBody(_)
            | Self::StallBody
            | Self::Drip(_)
            | Self::Reset
            | Self::ResetBody
            | Self::HalfClose
            | Self::Hangup
            | Self::WrongLength(_)
            | Self::Raw(_) => right,
        }
    }
}

/// Text surgery, because no JSON library writes a member twice.
fn append_member(right: Reply, name: &str, value: &str) -> Reply {
    let text = String::from_utf8_lossy(&right.body);
    let Some(open) = text.strip_suffix('}') else {
        return right;
    };
    let longer = format!("{open},\"{name}\":{value}}}");
    right.with_body(longer)
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "Status({status})"),
            Self::Answer(status, content_type, body) => {
                write!(f, "Answer({status}, {content_type}, {} bytes)", body.len())
            }
            Self::Redirect(status, redirection) => write!(f, "Redirect({status}, {redirection:?})"),
            Self::ContentType(content_type) => write!(f, "ContentType({content_type})"),
            Self::Header(name, value) => write!(f, "Header({name}: {value})"),
            Self::Empty => f.write_str("Empty"),
            Self::Truncated => f.write_str("Truncated"),
            Self::DuplicateMember(name, value) => write!(f, "DuplicateMember({name}, {value})"),
            Self::Padded(size) => write!(f, "Padded({size})"),
            Self::ByteOrderMark => f.write_str("ByteOrderMark"),
            Self::Edit(_) => f.write_str("Edit"),
            Self::DelayHead(pause) => write!(f, "DelayHead({pause:?})"),
            Self::DelayBody(pause) => write!(f, "DelayBody({pause:?})"),
            Self::StallBody => f.write_str("StallBody"),
            Self::Drip(pause) => write!(f, "Drip({pause:?})"),
            Self::Reset => f.write_str("Reset"),
            Self::ResetBody => f.write_str("ResetBody"),
            Self::HalfClose => f.write_str("HalfClose"),
            Self::Hangup => f.write_str("Hangup"),
            Self::WrongLength(off) => write!(f, "WrongLength({off})"),
            Self::Raw(bytes) => write!(f, "Raw({} bytes)", bytes.len()),
        }
    }
}
