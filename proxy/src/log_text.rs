//! Text of others in logs: one line of visible ASCII, and never more than so much of it.

use std::io::Write;
use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;
use serde_json::ser::Formatter;

/// Longest text of a client's or a provider's choosing, in characters.
pub const TEXT_LIMIT: usize = 256;

/// The beginning of a text, on a character's border.
pub fn cut(text: &str) -> &str {
    if text.len() <= TEXT_LIMIT {
        return text;
    }
    match text.char_indices().nth(TEXT_LIMIT) {
        Some((at, _)) => &text[..at],
        None => text,
    }
}

/// One line of visible ASCII, as JSON. JSON lets U+0085, U+2028 and the bidirectional controls stand as they are (RFC 8259
/// §7); readers of logs break lines at the former, and terminals reorder them at the latter.
pub fn ascii(line: &impl Serialize) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(512);
    put(&mut bytes, line).then_some(bytes)
}

/// The same, at the end of `out`; `false`: it cannot be said in JSON, and a part of it may be there.
fn put(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) -> bool {
    value.serialize(&mut serde_json::Serializer::with_formatter(out, Ascii)).is_ok()
}

struct Ascii;

impl Formatter for Ascii {
    fn write_string_fragment<W: Write + ?Sized>(&mut self, out: &mut W, fragment: &str) -> std::io::Result<()> {
        let mut plain = 0;
        for (at, letter) in fragment.char_indices().filter(|(_, letter)| !matches!(letter, ' '..='~')) {
            out.write_all(&fragment.as_bytes()[plain..at])?;
            for unit in letter.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
            plain = at + letter.len_utf8();
        }
        out.write_all(&fragment.as_bytes()[plain..])
    }
}

/// A JSON object, written by hand where every request writes one: most of its texts need no escape, and are copied. Names are ours,
/// and plain.
#[derive(Debug)]
pub struct Object<'o> {
    out: &'o mut Vec<u8>,
    next: u8,
}

impl<'o> Object<'o> {
    pub fn begin(out: &'o mut Vec<u8>) -> Self {
        Self { out, next: b'{' }
    }

    pub fn text(&mut self, name: &str, text: &str) {
        self.name(name);
        if is_plain(text) {
            self.copy(text);
        } else {
            put(self.out, text);
        }
    }

    /// One of our own words: plain.
    #[inline]
    pub fn word(&mut self, name: &str, word: &'static str) {
        self.name(name);
        self.copy(word);
    }

    /// Nothing where there is no text.
    pub fn known_text(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    pub fn number(&mut self, name: &str, number: u64) {
        self.value(name, &number);
    }

    pub fn address(&mut self, name: &str, address: IpAddr) {
        self.value(name, &address);
    }

    /// Milliseconds, to the microsecond.
    pub fn millis(&mut self, name: &str, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.number(name, micros / 1000);
        let digit = |place: u64| b'0' + u8::try_from(micros / place % 10).unwrap_or_default();
        self.out.extend_from_slice(&[b'.', digit(100), digit(10), digit(1)]);
    }

    /// Anything that can always be said in JSON.
    pub fn value(&mut self, name: &str, value: &impl Serialize) {
        self.name(name);
        put(self.out, value);
    }

    pub fn end(self) {
        self.out.push(b'}');
    }

    #[inline]
    fn copy(&mut self, plain: &str) {
        self.out.push(b'"');
        self.out.extend_from_slice(plain.as_bytes());
        self.out.push(b'"');
    }

    #[inline]
    fn name(&mut self, name: &str) {
        self.out.extend_from_slice(&[self.next, b'"']);
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.next = b',';
    }
}

/// Whether a text is the same in JSON. It looks at every byte: that is quicker than to stop.
fn is_plain(text: &str) -> bool {
    text.bytes().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~') & (byte != b'"') & (byte != b'\\'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_02_text_is_one_line_of_visible_ascii() {
        for (said, plain) in [("a b~", true), ("\u{7f}", false), ("a\n", false), ("\u{202e}", false), ("\"", false), ("\\", false)] {
            assert_eq!(is_plain(said), plain, "{said:?}");
            let mut bytes = Vec::new();
            let mut object = Object::begin(&mut bytes);
            object.text("a", said);
            object.known_text("b", None);
            object.known_text("b", Some(said));
            object.end();
            assert!(bytes.iter().all(|byte| (0x20..=0x7e).contains(byte)), "{bytes:?}");
            assert_eq!(Some(&bytes), ascii(&serde_json::json!({ "a": said, "b": said })).as_ref());
        }
        assert_eq!(cut(&"\u{e9}".repeat(300)).chars().count(), TEXT_LIMIT);
        assert_eq!(cut(&"\u{e9}".repeat(200)).chars().count(), 200);
        assert_eq!(cut("abc"), "abc");
    }

    #[test]
    fn times_are_milliseconds_to_the_microsecond() {
        for (micros, said) in [(0, "{\"t\":0.000}"), (7, "{\"t\":0.007}"), (1_020, "{\"t\":1.020}"), (12_345_678, "{\"t\":12345.678}")] {
            let mut bytes = Vec::new();
            let mut object = Object::begin(&mut bytes);
            object.millis("t", Duration::from_micros(micros));
            object.end();
            assert_eq!(String::from_utf8(bytes).unwrap(), said);
        }
    }
}
