//! The PROXY protocol, versions 1 and 2: who the client of the load balancer before us is.
//!
//! <https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt>

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// §2.1: a version 1 line is at most 107 characters, CRLF included.
const V1_LIMIT: usize = 107;
const V1_PREFIX: &[u8] = b"PROXY ";

/// §2.2.
const V2_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const V2_FIXED: usize = 16;
/// Addresses and TLVs that a version 2 header may carry; the largest address block is 216 bytes.
const V2_LIMIT: usize = 536;

/// A header that was understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Announced {
    /// The load balancer speaks for itself (`LOCAL`), or does not know (`UNKNOWN`, `UNSPEC`).
    Peer,
    Client(SocketAddr),
}

/// Not a PROXY header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

#[derive(Debug, PartialEq, Eq)]
enum Parsed {
    /// At least this many bytes are missing.
    Incomplete(usize),
    Complete(Announced),
}

/// Reads the header and not a byte more.
///
/// # Errors
/// An I/O error; `InvalidData` when what comes is no header.
pub(super) async fn read<R: AsyncBufRead + Unpin>(reader: &mut R) -> io::Result<Announced> {
    let mut header = Vec::with_capacity(V1_LIMIT);
    loop {
        let mut wanted = match parse(&header) {
            Ok(Parsed::Complete(announced)) => return Ok(announced),
            Ok(Parsed::Incomplete(wanted)) => wanted,
            Err(Malformed) => return Err(io::ErrorKind::InvalidData.into()),
        };
        while wanted > 0 {
            let available = reader.fill_buf().await?;
            if available.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let taken = available.len().min(wanted);
            header.extend_from_slice(&available[..taken]);
            reader.consume(taken);
            wanted -= taken;
        }
    }
}

fn parse(header: &[u8]) -> Result<Parsed, Malformed> {
    if header.starts_with(V2_SIGNATURE) {
        return parse_v2(header);
    }
    if header.starts_with(V1_PREFIX) {
        return parse_v1(header);
    }
    let beginning = V1_PREFIX.starts_with(header) || V2_SIGNATURE.starts_with(header);
    if beginning { Ok(Parsed::Incomplete(1)) } else { Err(Malformed) }
}

/// §2.1: `PROXY TCP4 192.0.2.1 192.0.2.2 56324 443` CRLF.
fn parse_v1(header: &[u8]) -> Result<Parsed, Malformed> {
    let Some(line) = header.strip_suffix(b"\r\n") else {
        let fits = header.len() < V1_LIMIT && !header.contains(&b'\n');
        return if fits { Ok(Parsed::Incomplete(1)) } else { Err(Malformed) };
    };
    if header.len() > V1_LIMIT {
        return Err(Malformed);
    }
    let line = std::str::from_utf8(&line[V1_PREFIX.len()..]).map_err(|_| Malformed)?;
    let mut parts = line.split(' ');
    let family = parts.next();
    // §2.1: what follows UNKNOWN must be ignored.
    if family == Some("UNKNOWN") {
        return Ok(Parsed::Complete(Announced::Peer));
    }
    let (Some(source), Some(destination), Some(source_port), Some(destination_port), None) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Malformed);
    };
    let (source, destination) = match family {
        Some("TCP4") => (IpAddr::V4(address(source)?), IpAddr::V4(address(destination)?)),
        Some("TCP6") => (IpAddr::V6(address(source)?), IpAddr::V6(address(destination)?)),
        _ => return Err(Malformed),
    };
    let client = socket_address(source, port(source_port)?);
    socket_address(destination, port(destination_port)?);
    Ok(Parsed::Complete(Announced::Client(client)))
}

fn address<A: std::str::FromStr>(text: &str) -> Result<A, Malformed> {
    text.parse().map_err(|_| Malformed)
}

fn port(digits: &str) -> Result<u16, Malformed> {
    let plain = digits.bytes().all(|b| b.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    if plain { digits.parse().map_err(|_| Malformed) } else { Err(Malformed) }
}

/// §2.2.
fn parse_v2(header: &[u8]) -> Result<Parsed, Malformed> {
    let Some(([.., version_command, family, high, low], rest)) = header.split_first_chunk::<V2_FIXED>() else {
        return Ok(Parsed::Incomplete(V2_FIXED - header.len()));
    };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    if length > V2_LIMIT {
        return Err(Malformed);
    }
    let local = match version_command {
        0x20 => true,
        0x21 => false,
        _ => return Err(Malformed),
    };
    if rest.len() < length {
        return Ok(Parsed::Incomplete(length - rest.len()));
    }
    if local {
        return Ok(Parsed::Complete(Announced::Peer));
    }
    let client = match family {
        0x11 => {
            let (block, _) = rest.split_first_chunk::<12>().ok_or(Malformed)?;
            let [a, b, c, d, .., high, low, _, _] = *block;
            socket_address(Ipv4Addr::new(a, b, c, d).into(), u16::from_be_bytes([high, low]))
        }
        0x21 => {
            let (block, _) = rest.split_first_chunk::<36>().ok_or(Malformed)?;
            let (source, _) = block.split_first_chunk::<16>().ok_or(Malformed)?;
            let [.., high, low, _, _] = *block;
            socket_address(Ipv6Addr::from(*source).into(), u16::from_be_bytes([high, low]))
        }
        // §2.2: UNSPEC; the receiver should use the real address.
        0x00 => return Ok(Parsed::Complete(Announced::Peer)),
        // Datagrams and UNIX sockets do not come in over a TCP listener.
        _ => return Err(Malformed),
    };
    Ok(Parsed::Complete(Announced::Client(client)))
}

/// An IPv4 address is one, however it is written (RFC 4291 §2.5.5.2).
fn socket_address(address: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(address.to_canonical(), port)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn client(text: &str) -> Result<Parsed, Malformed> {
        Ok(Parsed::Complete(Announced::Client(text.parse().unwrap())))
    }

    fn v2(version_command: u8, family: u8, block: &[u8]) -> Vec<u8> {
        let length = u16::try_from(block.len()).unwrap().to_be_bytes();
        [V2_SIGNATURE, &[version_command, family], &length, block].concat()
    }

    const V4_BLOCK: [u8; 12] = [192, 0, 2, 1, 192, 0, 2, 2, 0x30, 0x39, 1, 187];

    #[test]
    fn hdr_32_version_1() {
        assert_eq!(parse(b"PROXY TCP4 192.0.2.1 192.0.2.2 12345 443\r\n"), client("192.0.2.1:12345"));
        assert_eq!(parse(b"PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n"), client("[2001:db8::1]:1"));
        assert_eq!(parse(b"PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n"), client("192.0.2.1:1"));
        assert_eq!(parse(b"PROXY UNKNOWN\r\n"), Ok(Parsed::Complete(Announced::Peer)));
        assert_eq!(parse(b"PROXY UNKNOWN ffff::1 what ever\r\n"), Ok(Parsed::Complete(Announced::Peer)));
        let too_long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(100));
        for malformed in [
            "GET / HTTP/1.1\r\n",
            "proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
            "PROXY TCP4 192.0.2.1  192.0.2.2 1 2\r\n",
            "PROXY TCP4 ::1 ::2 1 2\r\n",
            "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
            "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
            "PROXY TCP4\x00192.0.2.1 192.0.2.2 1 2\r\n",
            &too_long,
        ] {
            assert_eq!(parse(malformed.as_bytes()), Err(Malformed), "{malformed:?}");
        }
    }

    #[test]
    fn hdr_32_version_2() {
        assert_eq!(parse(&v2(0x21, 0x11, &V4_BLOCK)), client("192.0.2.1:12345"));
        let with_tlv = [&V4_BLOCK[..], &[0x04; 500]].concat();
        assert_eq!(parse(&v2(0x21, 0x11, &with_tlv)), client("192.0.2.1:12345"));
        let v6 = |source: Ipv6Addr| [&source.octets()[..], &Ipv6Addr::LOCALHOST.octets(), &[0, 80, 1, 187]].concat();
        assert_eq!(parse(&v2(0x21, 0x21, &v6("2001:db8::1".parse().unwrap()))), client("[2001:db8::1]:80"));
        assert_eq!(parse(&v2(0x21, 0x21, &v6("::ffff:192.0.2.1".parse().unwrap()))), client("192.0.2.1:80"));
        assert_eq!(parse(&v2(0x20, 0x00, &[])), Ok(Parsed::Complete(Announced::Peer)));
        assert_eq!(parse(&v2(0x20, 0x11, &V4_BLOCK)), Ok(Parsed::Complete(Announced::Peer)));
        assert_eq!(parse(&v2(0x21, 0x00, &[])), Ok(Parsed::Complete(Announced::Peer)));
        for (what, malformed) in [
            ("version", v2(0x11, 0x11, &V4_BLOCK)),
            ("command", v2(0x22, 0x11, &V4_BLOCK)),
            ("short block", v2(0x21, 0x11, &V4_BLOCK[..11])),
            ("short v6 block", v2(0x21, 0x21, &V4_BLOCK)),
            ("datagram", v2(0x21, 0x12, &V4_BLOCK)),
            ("unix socket", v2(0x21, 0x31, &[0; 216])),
            ("family", v2(0x21, 0x41, &V4_BLOCK)),
            ("65 KiB of TLVs", v2(0x21, 0x11, &[0; 65_535])),
            ("signature", [&V2_SIGNATURE[..11], b"\r"].concat()),
        ] {
            assert_eq!(parse(&malformed), Err(Malformed), "{what}");
        }
        // A length beyond the limit is refused before its bytes are waited for.
        assert_eq!(parse(&v2(0x21, 0x11, &[0; 537])[..16]), Err(Malformed));
    }

    #[tokio::test]
    async fn hdr_32_not_a_byte_more_is_read() {
        for header in [b"PROXY TCP4 192.0.2.1 192.0.2.2 12345 443\r\n".to_vec(), v2(0x21, 0x11, &V4_BLOCK)] {
            for chunk in [1, 2, 7, 1000] {
                let bytes = [&header[..], b"\x16\x03\x01"].concat();
                let mut reader = tokio::io::BufReader::with_capacity(chunk, &bytes[..]);
                assert_eq!(read(&mut reader).await.unwrap(), Announced::Client("192.0.2.1:12345".parse().unwrap()));
                let mut rest = Vec::new();
                tokio::io::AsyncReadExt::read_to_end(&mut reader, &mut rest).await.unwrap();
                assert_eq!(rest, b"\x16\x03\x01", "in chunks of {chunk}");
            }
            let short = &header[..header.len() - 1];
            assert_eq!(read(&mut &short[..]).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        }
        assert_eq!(read(&mut &b"\x16\x03\x01"[..]).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    /// Bytes that begin like a header, or like nothing.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let line = "PROXY (TCP4|TCP6|UNKNOWN|UDP4)? ?([0-9a-f.:]{0,16} ?){0,4}[0-9 +]{0,12}(\r\n|\n|\r)?".prop_map(String::into_bytes);
        let binary =
            (prop::sample::select(vec![0x20u8, 0x21, 0x11, 0x22]), any::<u8>(), any::<u16>(), prop::collection::vec(any::<u8>(), 0..80));
        let binary = binary.prop_map(|(command, family, length, rest)| {
            [V2_SIGNATURE, &[command, if family < 128 { 0x11 } else { family }], &(length % 600).to_be_bytes(), &rest].concat()
        });
        prop_oneof![3 => line, 3 => binary, 1 => prop::collection::vec(any::<u8>(), 0..200)]
    }

    proptest! {
        #[test]
        fn fuzz_whatever_comes_is_a_header_or_none_within_a_bound(bytes in bytes(), chunk in 1usize..40) {
            let mut wanted = 0;
            // What is asked for, byte by byte, never goes beyond the largest header.
            for end in 0..=bytes.len() {
                match parse(&bytes[..end]) {
                    Ok(Parsed::Incomplete(more)) => {
                        prop_assert!(more > 0 && end + more <= V2_FIXED + V2_LIMIT);
                        wanted = end + more;
                    }
                    Ok(Parsed::Complete(announced)) => {
                        prop_assert!(end <= wanted, "{} of {}", end, wanted);
                        // In whatever pieces it comes, the same is read and not a byte more.
                        let mut reader = tokio::io::BufReader::with_capacity(chunk, &bytes[..]);
                        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                        let mut rest = Vec::new();
                        let read = runtime.block_on(async {
                            let announced = read(&mut reader).await;
                            tokio::io::AsyncReadExt::read_to_end(&mut reader, &mut rest).await.unwrap();
                            announced
                        });
                        prop_assert_eq!(read.unwrap(), announced);
                        prop_assert_eq!(rest, &bytes[end..]);
                        break;
                    }
                    Err(Malformed) => {
                        prop_assert!(end + 1 >= bytes.len() || parse(&bytes[..end + 1]) == Err(Malformed), "what is no header becomes none");
                        break;
                    }
                }
            }
        }
    }
}
