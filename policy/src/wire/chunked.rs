//! A chunked body (RFC 9112 §7.1), followed to its end.
//!
//! The proxy library takes an empty line for a size of 0 and a bare LF inside an extension. Whoever does not, sees the
//! next request begin elsewhere; so the body is followed here as well, and repairs nothing.

/// Longest line of a size with its extensions, in bytes.
const LINE_LIMIT: u16 = 1024;
/// All fields after the last chunk together, in bytes.
const TRAILER_LIMIT: u16 = 8 * 1024;
/// 15 digits are less than 2⁶³ of anything.
const SIZE_DIGITS: u8 = 15;

/// Where in a chunked body the next byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkedBody {
    at: At,
    /// Bytes of the line, or of all trailers, so far.
    length: u16,
}

/// The bytes are no chunked body, or one with lines beyond every use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the body is not chunked as it should be")]
pub struct ChunkFault;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Size { digits: u8, value: u64 },
    Extension { size: u64 },
    SizeLf { size: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
    TrailerStart,
    Trailer,
    TrailerLf,
    LastLf,
    End,
}

impl Default for ChunkedBody {
    fn default() -> Self {
        Self { at: At::Size { digits: 0, value: 0 }, length: 0 }
    }
}

impl ChunkedBody {
    /// How many of `bytes` are part of the body: all of them, unless it ends before.
    ///
    /// # Errors
    /// [`ChunkFault`]; nothing on this connection can be believed any more.
    pub fn follow(&mut self, bytes: &[u8]) -> Result<usize, ChunkFault> {
        let mut used = 0;
        while let Some(byte) = bytes.get(used).copied() {
            match &mut self.at {
                At::End => break,
                At::Data { left } => {
                    let step = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len() - used);
                    *left -= step as u64;
                    used += step;
                    if *left == 0 {
                        self.at = At::DataCr;
                    }
                }
                _ => {
                    self.step(byte)?;
                    used += 1;
                }
            }
        }
        Ok(used)
    }

    pub fn has_ended(&self) -> bool {
        self.at == At::End
    }

    fn step(&mut self, byte: u8) -> Result<(), ChunkFault> {
        self.at = match (self.at, byte) {
            (At::Size { digits, value }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') if digits < SIZE_DIGITS => {
                let digit = char::from(byte).to_digit(16).ok_or(ChunkFault)?;
                At::Size { digits: digits + 1, value: value << 4 | u64::from(digit) }
            }
            (At::Size { digits: 1.., value }, b'\r') => At::SizeLf { size: value },
            (At::Size { digits: 1.., value }, b';') => At::Extension { size: value },
            (At::Extension { size }, b'\r') => At::SizeLf { size },
            (At::Extension { size }, _) if is_text(byte) => At::Extension { size },
            (At::SizeLf { size: 0 }, b'\n') => {
                self.length = 0;
                At::TrailerStart
            }
            (At::SizeLf { size }, b'\n') => At::Data { left: size },
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => {
                self.length = 0;
                At::Size { digits: 0, value: 0 }
            }
            (At::TrailerStart, b'\r') => At::LastLf,
            (At::TrailerStart | At::Trailer, _) if is_text(byte) => At::Trailer,
            (At::Trailer, b'\r') => At::TrailerLf,
            (At::TrailerLf, b'\n') => At::TrailerStart,
            (At::LastLf, b'\n') => At::End,
            _ => return Err(ChunkFault),
        };
        self.length += 1;
        let limit = match self.at {
            At::TrailerStart | At::Trailer | At::TrailerLf | At::LastLf => TRAILER_LIMIT,
            _ => LINE_LIMIT,
        };
        if self.length > limit { Err(ChunkFault) } else { Ok(()) }
    }
}

/// RFC 9110 §5.5: what a line may hold.
const fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= 0x20 && byte != 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// How many bytes the body takes, read in pieces of this size; `None` when it does not end.
    fn taken(bytes: &[u8], piece: usize) -> Result<Option<usize>, ChunkFault> {
        let (mut body, mut used) = (ChunkedBody::default(), 0);
        for part in bytes.chunks(piece) {
            used += body.follow(part)?;
            if body.has_ended() {
                return Ok(Some(used));
            }
        }
        Ok(None)
    }

    #[test]
    fn smug_15_a_body_ends_where_it_says() {
        for (name, body) in [
            ("empty", &b"0\r\n\r\n"[..]),
            ("one", b"5\r\nhello\r\n0\r\n\r\n"),
            ("zeros first", b"0005\r\nhello\r\n000\r\n\r\n"),
            ("capitals and small letters", b"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n"),
            ("extensions", b"5;a=\"b c\";d\r\nhello\r\n0;e\r\n\r\n"),
            ("trailers", b"0\r\nx-a: b\r\nx-c:\td\r\n\r\n"),
            ("data like an end", b"7\r\n0\r\n\r\nab\r\n0\r\n\r\n"),
        ] {
            for piece in [1, 2, 3, 1000] {
                let followed = [body, b"GET / HTTP/1.1\r\n"].concat();
                assert_eq!(taken(&followed, piece), Ok(Some(body.len())), "{name} in pieces of {piece}");
                assert_eq!(taken(&body[..body.len() - 1], piece), Ok(None), "{name} in pieces of {piece}, a byte short");
            }
        }
    }

    #[test]
    fn smug_15_what_others_repair_is_a_fault() {
        let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(2000));
        let trailers = format!("0\r\nx: {}\r\n\r\n", "y".repeat(9000));
        for body in [
            "\r\nhello\r\n0\r\n\r\n",
            "\r\n\r\n",
            ";a\r\n\r\n",
            "0x5\r\nhello\r\n",
            "+5\r\nhello\r\n",
            "-0\r\n\r\n",
            " 5\r\nhello\r\n",
            "5 \r\nhello\r\n",
            "5\t\r\nhello\r\n",
            "5\nhello\r\n",
            "5\r\r\nhello\r\n",
            "5\rhello\r\n",
            "5\r\nhello0\r\n\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "5\r\nhello\rX0\r\n",
            "5;a\nb\r\nhello\r\n",
            "5;a\0\r\nhello\r\n",
            "5;a\rb\r\nhello\r\n",
            "1000000000000000\r\n",
            "FFFFFFFFFFFFFFFF\r\n",
            "0\r\nx: y\nz: a\r\n\r\n",
            "0\r\nx: y\rz\r\n\r\n",
            "0\r\n\n",
            "0\r\n\rX",
            "0\n\n",
            "g\r\n",
            "5_0\r\n",
            "\u{ff15}\r\n",
            &long,
            &trailers,
        ] {
            for piece in [1, 1000] {
                assert_eq!(taken(body.as_bytes(), piece), Err(ChunkFault), "{body:?} in pieces of {piece}");
            }
        }
    }

    proptest! {
        #[test]
        fn smug_15_pieces_make_no_difference(bytes in "[0-2a;\r\n x]{0,40}", piece in 1usize..9) {
            prop_assert_eq!(taken(bytes.as_bytes(), piece), taken(bytes.as_bytes(), 1000));
        }

        #[test]
        fn smug_15_whatever_is_chunked_ends_after_its_own_bytes(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50), 0..6), piece in 1usize..40) {
            let mut body: Vec<u8> = parts.iter().flat_map(|part| [format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat()).collect();
            body.extend_from_slice(b"0\r\n\r\n");
            let whole = [&body[..], b"GET / HTTP/1.1\r\n\r\n"].concat();
            prop_assert_eq!(taken(&whole, piece), Ok(Some(body.len())));
        }
    }
}
