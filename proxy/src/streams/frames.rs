//! Where the frames of a WebSocket end, as the app sends them (RFC 6455 §5.2).

/// Opcode of a Close frame.
const CLOSE: u8 = 8;

/// Follows one direction of a WebSocket and keeps none of it.
#[derive(Debug, Default)]
pub struct Frames {
    /// A frame's header as far as it came: 2 bytes, up to 8 of length, up to 4 of mask.
    header: [u8; 14],
    known: usize,
    /// What is to come of the frame's payload.
    payload: u64,
    closed: bool,
}

impl Frames {
    /// Takes the next bytes, in order.
    pub fn follow(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let passing = usize::try_from(self.payload).unwrap_or(usize::MAX).min(bytes.len());
            self.payload -= passing as u64;
            bytes = &bytes[passing..];
            if let Some((byte, rest)) = bytes.split_first() {
                self.header[self.known] = *byte;
                self.known += 1;
                bytes = rest;
                self.begin_payload();
            }
        }
    }

    /// Whether a frame of ours may come next: also amid a message's fragments (§5.4), but never after a Close frame (§5.5.1).
    pub fn may_close(&self) -> bool {
        self.known == 0 && self.payload == 0 && !self.closed
    }

    /// Goes on to the payload once the header is complete.
    fn begin_payload(&mut self) {
        if self.known < 2 {
            return;
        }
        let (extended, short) = match self.header[1] & 0x7f {
            126 => (2, 0),
            127 => (8, 0),
            length => (0, u64::from(length)),
        };
        let mask = if self.header[1] & 0x80 == 0 { 0 } else { 4 };
        if self.known < 2 + extended + mask {
            return;
        }
        self.payload = self.header[2..2 + extended].iter().fold(short, |length, byte| length << 8 | u64::from(*byte));
        self.closed |= self.header[0] & 0x0f == CLOSE;
        self.known = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(opcode: u8, mask: bool, length: usize) -> Vec<u8> {
        let mask_bit = if mask { 0x80 } else { 0 };
        let mut bytes = vec![0x80 | opcode];
        match length {
            0..126 => bytes.push(mask_bit | u8::try_from(length).unwrap()),
            126..65_536 => {
                bytes.push(mask_bit | 126);
                bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                bytes.push(mask_bit | 127);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        bytes.extend(std::iter::repeat_n(0x88, length + if mask { 4 } else { 0 }));
        bytes
    }

    #[test]
    fn a_frame_ends_where_its_length_says_however_it_is_cut() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
            for mask in [false, true] {
                let bytes = frame(2, mask, length);
                for step in [1, 2, 3, 7, 4096, usize::MAX] {
                    let mut frames = Frames::default();
                    let mut seen = 0;
                    for part in bytes.chunks(step) {
                        frames.follow(part);
                        seen += part.len();
                        assert_eq!(frames.may_close(), seen == bytes.len(), "{length} {mask} by {step}: {seen} of {}", bytes.len());
                    }
                    // The next one is found as well.
                    frames.follow(&[frame(1, false, 3), frame(9, false, 0), vec![0x81]].concat());
                    assert!(!frames.may_close());
                    frames.follow(&[0]);
                    assert!(frames.may_close());
                }
            }
        }
    }

    #[test]
    fn nothing_follows_a_close_frame() {
        for (opcode, may) in [(8, false), (9, true), (0, true)] {
            let mut frames = Frames::default();
            frames.follow(&frame(opcode, false, 2));
            assert_eq!(frames.may_close(), may, "{opcode}");
        }
    }

    #[test]
    fn a_length_of_all_ones_overflows_nothing() {
        let mut frames = Frames::default();
        frames.follow(&[0x82, 0xff]);
        frames.follow(&[0xff; 12]);
        frames.follow(&[0; 1024]);
        assert!(!frames.may_close());
    }
}
