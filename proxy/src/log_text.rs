//! Text of others in logs: one line of visible ASCII, and never more than so much of it.

use std::io::Write;

use serde::Serialize;
use serde_json::ser::Formatter;

/// Longest text of a client's or a provider's choosing, in characters.
pub const TEXT_LIMIT: usize = 256;

/// The beginning of a text, on a character's border.
pub fn cut(text: &str) -> &str {
    match text.char_indices().nth(TEXT_LIMIT) {
        Some((at, _)) => &text[..at],
        None => text,
    }
}

/// One line of visible ASCII, as JSON. JSON lets U+0085, U+2028 and the bidirectional controls stand as they are (RFC 8259
/// §7); readers of logs break lines at the former, and terminals reorder them at the latter.
pub fn ascii(line: &impl Serialize) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(512);
    line.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, Ascii)).ok()?;
    Some(bytes)
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

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::access_log::RefusedLine;

    #[test]
    fn log_02_a_line_is_one_line_whatever_the_client_sent() {
        let client = IpAddr::from([127, 0, 0, 1]);
        let request_id = "a\n\u{1b}]0;x\u{7}\u{7f}\u{9b}\u{2028}\u{202e}\u{1f36a}";
        let line = RefusedLine { time: 1, request_id, client, status: Some(400), decision: "deny", reason: "x" };
        let text = String::from_utf8(ascii(&line).unwrap()).unwrap();
        assert!(text.bytes().all(|byte| (0x20..=0x7e).contains(&byte)), "{text}");
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read["request_id"], line.request_id);
        assert_eq!(cut(&"\u{e9}".repeat(300)).chars().count(), TEXT_LIMIT);
    }
}
