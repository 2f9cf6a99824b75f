//! Tables of heads that must be refused, each beside a twin that passes. Names carry the ids of the attack catalogue.

use std::collections::HashSet;

use super::*;

const LIMITS: HeadLimits = HeadLimits { bytes: 32 * 1024, fields: 100, target_bytes: 16 * 1024, lone_expect: false };

fn verdict(head: impl AsRef<[u8]>) -> HeadScan {
    scan(head.as_ref(), 0, &LIMITS)
}

fn fault(head: impl AsRef<[u8]>) -> Option<HeadFault> {
    match verdict(head) {
        HeadScan::Refused(fault) => Some(fault),
        HeadScan::Incomplete | HeadScan::Complete(_) => None,
    }
}

fn passed(head: impl AsRef<[u8]>) -> Head {
    let head = head.as_ref();
    match verdict(head) {
        HeadScan::Complete(passed) => passed,
        other => panic!("{other:?} for {}", head.escape_ascii()),
    }
}

/// A POST with `fields`, each with its CRLF, and nothing else wrong.
fn post(fields: impl AsRef<[u8]>) -> Vec<u8> {
    [b"POST /x HTTP/1.1\r\nHost: app.example\r\n", fields.as_ref(), b"\r\n"].concat()
}

fn get(fields: impl AsRef<[u8]>) -> Vec<u8> {
    [b"GET /x HTTP/1.1\r\nHost: app.example\r\n", fields.as_ref(), b"\r\n"].concat()
}

fn line(line: impl AsRef<[u8]>) -> Vec<u8> {
    [line.as_ref(), b"\r\nHost: app.example\r\n\r\n"].concat()
}

fn refused_with(expected: HeadFault, heads: impl IntoIterator<Item = Vec<u8>>) {
    for head in heads {
        assert_eq!(fault(&head), Some(expected), "{}", head.escape_ascii());
    }
}

/// Heads that pass, of every kind.
fn accepted() -> Vec<Vec<u8>> {
    vec![
        get(""),
        [b"\r\n".to_vec(), get("")].concat(),
        line("GET / HTTP/1.0"),
        line("OPTIONS * HTTP/1.1"),
        line("PROPFIND /dav/ HTTP/1.1"),
        line("GET /a|b^c?q={d|e}\\`'[]&r=//x HTTP/1.1"),
        get("Cookie: a=1\r\nCookie: b=2\r\n"),
        get("X-Empty:\r\nX-Spaces:   \r\nX-Latin: caf\u{e9}\r\nX-Tab: a\tb\r\n"),
        get("Connection: keep-alive, x-trace\r\n"),
        get("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"),
        post("Content-Length: 5\r\n"),
        post("Content-Length: 0\r\n"),
        post("Transfer-Encoding: chunked\r\n"),
        post("Expect: 100-continue\r\nContent-Length: 5\r\n"),
        b"GET / HTTP/1.1\r\nHost:[2001:db8::1]:8443\r\n\r\n".to_vec(),
    ]
}

#[test]
fn every_fault_has_a_head_a_status_and_a_label_of_its_own() {
    let long = "a".repeat(20_000);
    let heads = [
        get("X: 1\nY: 2\r\n"),
        get("X: 1\rY: 2\r\n"),
        [b"\r\n\r\n".to_vec(), get("")].concat(),
        get("X: \0\r\n"),
        line("GET / HTTP/1.1 "),
        line("get / HTTP/1.1"),
        line("TRACE / HTTP/1.1"),
        line("GET http://app.example/ HTTP/1.1"),
        line("GET /a\"b HTTP/1.1"),
        line(format!("GET /{long} HTTP/1.1")),
        line("GET / HTTP/2.0"),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        get(format!("X: {long}\r\nY: {long}\r\n")),
        get("X: 1\r\n".repeat(100)),
        get("X: 1\r\n Y: 2\r\n"),
        get("X\r\n"),
        get("X : 1\r\n"),
        post("Content_Length: 5\r\n"),
        get("Authorization: a\r\nAuthorization: b\r\n"),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        get("Host: app.example\r\n"),
        b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n".to_vec(),
        post("Content-Length: +5\r\n"),
        post("Content-Length: 5\r\nContent-Length: 5\r\n"),
        post("Transfer-Encoding: xchunked\r\n"),
        post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
        post("Transfer-Encoding: gzip, chunked\r\n"),
        b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(),
        post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
        get("Connection: a b\r\n"),
        get("Connection: cookie\r\n"),
        post("Content-Length: 5\r\nExpect: 200-ok\r\n"),
        get("Expect: 100-continue\r\n"),
        get("Connection: upgrade\r\nUpgrade: h2c\r\n"),
        post("Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n").replace_method(),
    ];
    let found: HashSet<_> = heads.iter().map(|head| fault(head).unwrap_or_else(|| panic!("passed: {}", head.escape_ascii()))).collect();
    for fault in HeadFault::ALL {
        assert!(found.contains(&fault), "nothing is refused as {fault:?}");
        assert!(matches!(fault.status(), 400 | 405 | 414 | 417 | 431 | 501 | 505), "{fault:?}");
        assert!(fault.label().bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'), "{fault:?}");
    }
    let labels: HashSet<_> = HeadFault::ALL.iter().map(|fault| fault.label()).collect();
    assert_eq!(labels.len(), HeadFault::ALL.len());
}

trait ReplaceMethod {
    fn replace_method(self) -> Self;
}

impl ReplaceMethod for Vec<u8> {
    /// The same request as a GET.
    fn replace_method(self) -> Self {
        [b"GET", &self[4..]].concat()
    }
}

#[test]
fn byte_by_byte_is_the_same_as_at_once() {
    for head in accepted() {
        let whole = passed(&head);
        assert_eq!(whole.len, head.len(), "{}", head.escape_ascii());
        for end in 0..head.len() {
            let scanned = scan(&head[..end], end.saturating_sub(1), &LIMITS);
            assert_eq!(scanned, HeadScan::Incomplete, "{} bytes of {}", end, head.escape_ascii());
        }
        assert_eq!(scan(&head, head.len() - 1, &LIMITS), HeadScan::Complete(whole.clone()));
        let and_more = [&head[..], b"GET /next HTTP/1.1\r\n"].concat();
        assert_eq!(verdict(and_more), HeadScan::Complete(whole));
    }
}

#[test]
fn what_is_refused_at_once_is_refused_byte_by_byte() {
    for head in smuggling_mutations().into_iter().filter(|head| fault(head).is_some()) {
        let end = (0..=head.len()).find(|end| scan(&head[..*end], end.saturating_sub(1), &LIMITS) != HeadScan::Incomplete);
        let end = end.unwrap_or_else(|| panic!("never judged: {}", head.escape_ascii()));
        assert!(matches!(scan(&head[..end], 0, &LIMITS), HeadScan::Refused(_)), "{}", head.escape_ascii());
    }
}

#[test]
fn a_passed_head_says_where_its_parts_are() {
    let head = [&b"\r\n"[..], &post("Content-Length:12\r\n")].concat();
    let found = passed(&head);
    assert_eq!(&head[found.method.clone()], b"POST");
    assert_eq!(&head[found.target.clone()], b"/x");
    assert_eq!(&head[found.host.clone()], b"app.example");
    assert_eq!(found.body, Body::Length(12));
    assert!(!found.upgrade);
    assert_eq!(passed(post("Transfer-Encoding: Chunked\r\n")).body, Body::Chunked);
    assert_eq!(passed(post("Content-Length: 0\r\n")).body, Body::Absent);
    assert!(passed(get("Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n")).upgrade);
}

#[test]
fn pg_01_limits_of_size_and_number() {
    let small = HeadLimits { bytes: 200, fields: 3, target_bytes: 40, ..LIMITS };
    let judge = |head: Vec<u8>| scan(&head, 0, &small);
    let padded = |n: usize| get(format!("X: {}\r\n", "a".repeat(n)));
    let fits = 200 - padded(0).len();
    assert!(matches!(judge(padded(fits)), HeadScan::Complete(_)));
    assert_eq!(judge(padded(fits + 1)), HeadScan::Refused(HeadFault::HeadTooLong));
    assert_eq!(judge(b"GET / HTTP/1.1\r\nX: ".iter().copied().chain([b'a'; 200]).collect()), HeadScan::Refused(HeadFault::HeadTooLong));
    assert!(matches!(judge(get("X: 1\r\nX: 1\r\n")), HeadScan::Complete(_)));
    assert_eq!(judge(get("X: 1\r\nX: 1\r\nX: 1\r\n")), HeadScan::Refused(HeadFault::TooManyFields));
    let target = |n: usize| line(format!("GET /{} HTTP/1.1", "a".repeat(n - 1)));
    assert!(matches!(judge(target(40)), HeadScan::Complete(_)));
    assert_eq!(judge(target(41)), HeadScan::Refused(HeadFault::TargetTooLong));
    assert_eq!(judge(vec![b'A'; 105]), HeadScan::Refused(HeadFault::TargetTooLong));
}

#[test]
fn path_53_the_path_has_a_limit_of_its_own() {
    let target = |path: usize, query: usize| line(format!("GET /{}?{} HTTP/1.1", "a".repeat(path - 1), "b".repeat(query)));
    passed(target(PATH_BYTES, 8 * 1024 - 1));
    assert_eq!(fault(target(PATH_BYTES + 1, 0)), Some(HeadFault::TargetTooLong));
    assert_eq!(fault(target(PATH_BYTES, 8 * 1024)), Some(HeadFault::TargetTooLong));
    assert_eq!(HeadFault::TargetTooLong.status(), 414);
}

#[test]
fn pg_05_bytes_that_others_would_escape_are_refused() {
    let targets = ["/a\"b", "/a<b", "/a>b", "/a\\b", "/a`b", "/a{b", "/a}b", "/x?a\"b", "/x?a<b", "/x#y", "/x?y#z"];
    refused_with(HeadFault::TargetByte, targets.iter().map(|target| line(format!("GET {target} HTTP/1.1"))));
    for bytes in [&b"/a\xffb"[..], b"/\xc0\xafadmin", b"/\xd0\xb0dmin", b"/x?\x80"] {
        assert_eq!(fault(line([b"GET ", bytes, b" HTTP/1.1"].concat())), Some(HeadFault::TargetByte), "{}", bytes.escape_ascii());
    }
    refused_with(HeadFault::RequestLine, [line("GET /a b HTTP/1.1"), line("GET /a b c HTTP/1.1")]);
    passed(line("GET /a%22b%20c?d HTTP/1.1"));
}

#[test]
fn pg_07_authority_and_absolute_targets_are_refused() {
    let targets = ["http://app.example/", "HTTPS://app.example/x", "app.example:443", "foo", "*", "?x", ".", "%2fx", "\\x"];
    refused_with(HeadFault::TargetForm, targets.iter().map(|target| line(format!("GET {target} HTTP/1.1"))));
    refused_with(HeadFault::TargetForm, [line("OPTIONS ** HTTP/1.1"), line("OPTIONS  HTTP/1.1")]);
    refused_with(HeadFault::RequestLine, [line("GET  / HTTP/1.1")]);
    passed(line("GET / HTTP/1.1"));
    passed(line("OPTIONS * HTTP/1.1"));
}

#[test]
fn pg_11_tunnels_and_echoes_are_refused() {
    for method in ["CONNECT", "TRACE", "TRACK"] {
        assert_eq!(fault(line(format!("{method} / HTTP/1.1"))), Some(HeadFault::MethodNotServed), "{method}");
    }
    assert_eq!(fault(line("CONNECT app.example:443 HTTP/1.1")), Some(HeadFault::MethodNotServed));
    assert_eq!(HeadFault::MethodNotServed.status(), 405);
    passed(line("PURGE / HTTP/1.1"));
}

#[test]
fn pg_12_an_http2_preface_is_no_request() {
    assert_eq!(fault("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Some(HeadFault::Http2Preface));
    assert_eq!(fault("PRI * HTTP/2.0\r\n"), Some(HeadFault::Http2Preface));
    assert_eq!(HeadFault::Http2Preface.status(), 400);
}

#[test]
fn authy_01_host_grammar() {
    let with_host = |host: &[u8]| [b"GET / HTTP/1.1\r\nHost: ", host, b"\r\n\r\n"].concat();
    let label = "a".repeat(64);
    let name = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(63)].join(".");
    let refused: [&[u8]; 26] = [
        b"",
        b"   ",
        b"a b",
        b"a/b",
        b"a@b",
        b"user:pw@a",
        b"a:",
        b"a:0",
        b"a:99999",
        b"a:65536",
        b"a:+1",
        b"a:8a",
        b"[::1",
        b"::1",
        b"[::1]x",
        b"[::g]",
        b"a..b",
        b".a",
        b"a_b",
        b"%61pp.example.com",
        b"a,b",
        b"a\\b",
        b"\xd0\xb0.example",
        b"999.1.1.1",
        label.as_bytes(),
        name.as_bytes(),
    ];
    for host in refused {
        assert_eq!(fault(with_host(host)), Some(HeadFault::HostGrammar), "{}", host.escape_ascii());
    }
    assert_eq!(fault(with_host(b"a\0b")), Some(HeadFault::ControlByte));
    assert_eq!(fault(with_host(b"a\rb")), Some(HeadFault::BareCr));
    for host in
        ["a", "app.example", "APP.example:443", "app.example:65535", "192.0.2.1", "[::1]", "[2001:db8::1]:443", "xn--bcher-kva.example"]
    {
        passed(with_host(host.as_bytes()));
    }
    passed(with_host("a".repeat(63).as_bytes()));
    passed(with_host(&name.as_bytes()[..253]));
}

#[test]
fn authy_01_exactly_one_host() {
    assert_eq!(fault("GET / HTTP/1.1\r\n\r\n"), Some(HeadFault::HostMissing));
    assert_eq!(fault("GET / HTTP/1.0\r\n\r\n"), Some(HeadFault::HostMissing));
    assert_eq!(fault("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), Some(HeadFault::HostRepeated));
    assert_eq!(fault("GET / HTTP/1.1\r\nHost: a\r\nhOST: a\r\n\r\n"), Some(HeadFault::HostRepeated));
    assert_eq!(fault("GET / HTTP/1.1\r\nHost : a\r\n\r\n"), Some(HeadFault::FieldName));
    passed("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    passed("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
}

#[test]
fn smug_01_two_lengths() {
    for fields in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
    ] {
        assert_eq!(fault(post(fields)), Some(HeadFault::TwoLengths), "{fields}");
    }
    assert!(fault(post("Content-Length: 4\r\nTransfer-Encoding: identity\r\n")).is_some());
    passed(post("Content-Length: 4\r\n"));
    passed(post("Transfer-Encoding: chunked\r\n"));
}

#[test]
fn smug_05_content_length_variants() {
    let long = "1".repeat(10_000);
    let refused = [
        "+1",
        "-1",
        "0x10",
        "1_0",
        "010",
        "00",
        "1 ",
        " 1",
        "\t1",
        "1\t",
        "1,1",
        "1, 2",
        "",
        " ",
        "1Z",
        "1.0",
        "1e2",
        "\u{ff11}",
        "18446744073709551616",
        "18446744073709551615",
        "9223372036854775808",
        &long,
        "\"1\"",
    ];
    for value in refused {
        assert_eq!(fault(post(format!("Content-Length: {value}\r\n"))), Some(HeadFault::ContentLength), "{value:?}");
    }
    for pair in ["1\r\nContent-Length: 1", "1\r\nContent-Length: 2", "1\r\ncontent-length: 1", "0\r\nContent-Length: 5"] {
        assert_eq!(fault(post(format!("Content-Length: {pair}\r\n"))), Some(HeadFault::ContentLengthRepeated), "{pair:?}");
    }
    assert_eq!(fault(post("Content-Length:\r\nContent-Length: 5\r\n")), Some(HeadFault::ContentLength));
    for alias in ["Content_Length", "content_length", "Content.Length", "CONTENT~LENGTH"] {
        assert_eq!(fault(post(format!("{alias}: 5\r\n"))), Some(HeadFault::FieldAlias), "{alias}");
    }
    assert_eq!(fault(post("Content-Length\0: 5\r\n")), Some(HeadFault::ControlByte));
    assert_eq!(fault(post("Content-Length : 5\r\n")), Some(HeadFault::FieldName));
    for (value, length) in [("1", 1), ("10", 10), ("9223372036854775807", i64::MAX as u64)] {
        assert_eq!(passed(post(format!("Content-Length: {value}\r\n"))).body, Body::Length(length));
    }
    assert_eq!(passed(post("cOnTeNt-LeNgTh:7\r\n")).body, Body::Length(7));
    passed(post("Content-Lengths: 5\r\n"));
}

#[test]
fn smug_06_transfer_encoding_variants() {
    let refused: [&[u8]; 24] = [
        b"xchunked",
        b"chunked, identity",
        b"identity, chunked",
        b"identity",
        b",chunked",
        b"chunked,",
        b"chunked;q=1",
        b"\"chunked\"",
        b"'chunked'",
        b"chunk",
        b"\xa0chunked",
        b"\x85chunked",
        b"chunked\xa0",
        b"",
        b"  chunked",
        b"\tchunked",
        b"chunked ",
        b"chunked\t",
        b"chunked, chunked",
        b"chunked chunked",
        b"chu nked",
        b"ch\xc3\xbcnked",
        b"cow",
        b"gzip",
    ];
    for value in refused {
        let head = post([b"Transfer-Encoding: ", value, b"\r\n"].concat());
        assert!(matches!(fault(&head), Some(HeadFault::TransferEncoding | HeadFault::TransferCodingUnknown)), "{}", value.escape_ascii());
    }
    for value in [&b"\x0bchunked"[..], b"chunked\x0b", b"chunked\x00", b"\x0cchunked"] {
        assert_eq!(
            fault(post([b"Transfer-Encoding: ", value, b"\r\n"].concat())),
            Some(HeadFault::ControlByte),
            "{}",
            value.escape_ascii()
        );
    }
    for alias in ["Transfer_Encoding", "transfer.encoding", "Transfer'Encoding"] {
        assert_eq!(fault(post(format!("Transfer-Encoding: chunked\r\n{alias}: identity\r\n"))), Some(HeadFault::FieldAlias), "{alias}");
        assert_eq!(fault(post(format!("{alias}: chunked\r\n"))), Some(HeadFault::FieldAlias), "{alias}");
    }
    for (fields, expected) in [
        ("Transfer-Encoding : chunked\r\n", HeadFault::FieldName),
        ("Transfer-Encoding\t: chunked\r\n", HeadFault::FieldName),
        (" Transfer-Encoding: chunked\r\n", HeadFault::FieldFolded),
        ("\tTransfer-Encoding: chunked\r\n", HeadFault::FieldFolded),
        ("Transfer-Encoding:\r\n chunked\r\n", HeadFault::TransferEncoding),
        ("X: 1\r\n Transfer-Encoding: chunked\r\n", HeadFault::FieldFolded),
        ("Transfer-\r\nEncoding: chunked\r\n", HeadFault::FieldWithoutColon),
        ("X: X\nTransfer-Encoding: chunked\r\n", HeadFault::BareLf),
        ("X: X\rTransfer-Encoding: chunked\r\n", HeadFault::BareCr),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", HeadFault::TransferEncodingRepeated),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", HeadFault::TransferEncodingRepeated),
        ("Transfer-Encoding: gzip, chunked\r\n", HeadFault::TransferCodingUnknown),
    ] {
        assert_eq!(fault(post(fields)), Some(expected), "{fields:?}");
    }
    for value in ["chunked", "Chunked", "CHUNKED"] {
        assert_eq!(passed(post(format!("Transfer-Encoding: {value}\r\n"))).body, Body::Chunked);
    }
    assert_eq!(passed(post("transfer-encoding:chunked\r\n")).body, Body::Chunked);
}

/// A `Transfer-Encoding` that some programs see and others do not, in every way known, beside a `Content-Length`.
fn smuggling_mutations() -> Vec<Vec<u8>> {
    let fixed: [&[u8]; 22] = [
        b"Transfer-Encoding: chunked",
        b" Transfer-Encoding: chunked",
        b"Transfer-Encoding : chunked",
        b"Transfer-Encoding:\tchunked",
        b"Transfer-Encoding\t:\tchunked",
        b"Transfer-Encoding:  chunked",
        b"Transfer-Encoding: chunked ",
        b"TRANSFER-ENCODING: chunked",
        b"Transfer-Encoding: CHUNKED",
        b"Transfer-Encoding: \"chunked\"",
        b"Transfer-Encoding: 'chunked'",
        b"Transfer-Encoding: chunked, cow",
        b"Transfer-Encoding: cow, chunked",
        b"Transfer-Encoding: chunk",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: cow",
        b"Transfer-Encoding: cow\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding:\r\n chunked",
        b"Transfer\r-Encoding: chunked",
        b"Transfer_Encoding: chunked",
        b"X: X\nTransfer-Encoding: chunked",
        b"\nTransfer-Encoding: chunked",
        b"Foo: bar\r\n\rTransfer-Encoding: chunked",
    ];
    let mut all: Vec<Vec<u8>> = fixed.iter().map(|field| field.to_vec()).collect();
    for byte in (0x00..=0x1f).chain(0x7f..=0xff) {
        let byte = &[byte][..];
        all.push([b"Transfer-Encoding:", byte, b"chunked"].concat());
        all.push([b"Transfer-Encoding", byte, b": chunked"].concat());
        all.push([byte, b"Transfer-Encoding: chunked"].concat());
        all.push([b"Transfer-Encoding: chunked", byte].concat());
        all.push([b"Transfer", byte, b"Encoding: chunked"].concat());
        all.push([b"X: X\r", byte, b"Transfer-Encoding: chunked"].concat());
        all.push([b"X: X", byte, b"\nTransfer-Encoding: chunked"].concat());
        all.push([b"Transfer-Encoding: chunked\r", byte, b"X: X"].concat());
        all.push([b"Transfer-Encoding: chunked", byte, b"\nX: X"].concat());
    }
    all.into_iter().map(|field| post([b"Content-Length: 4\r\n", &field[..], b"\r\n"].concat())).collect()
}

#[test]
fn smug_06_every_mutation_is_refused() {
    let all = smuggling_mutations();
    assert!(all.len() > 670, "{}", all.len());
    for head in &all {
        assert!(fault(head).is_some(), "passed: {}", head.escape_ascii());
    }
    // Without the `Content-Length`, only those that are plainly `chunked` pass.
    let mut passed = 0;
    for head in &all {
        let alone = String::from_utf8_lossy(head).replace("Content-Length: 4\r\n", "");
        if let HeadScan::Complete(head) = verdict(alone.as_bytes()) {
            assert_eq!(head.body, Body::Chunked, "{alone:?}");
            passed += 1;
        }
    }
    // Written plainly, in capitals (name, value), and with the byte that makes a whole line of it (four places).
    assert_eq!(passed, 7);
}

#[test]
fn smug_06_inside_another_value_it_is_just_text() {
    for byte in (0x80..=0xff).chain([b'\t']) {
        let head = post([b"Content-Length: 4\r\nX: X", &[byte][..], b"Transfer-Encoding: chunked\r\n"].concat());
        assert_eq!(passed(head).body, Body::Length(4));
    }
}

#[test]
fn smug_10_versions() {
    for version in ["HTTP/1.2", "HTTP/2.0", "HTTP/0.9", "HTTP/9.9", "HTTP/3.0"] {
        assert_eq!(fault(line(format!("GET / {version}"))), Some(HeadFault::Version), "{version}");
    }
    for version in
        ["HTTP/1.32", "http/1.1", "HTTP/1.1 ", "HTTP/ 1.1", "HTTP/1", "HTTP/1.", "HTTP1.1", "HTTP/1,1", "HTTPS/1.1", "", "HTTP/01.1"]
    {
        assert_eq!(fault(line(format!("GET / {version}"))), Some(HeadFault::RequestLine), "{version:?}");
    }
    assert_eq!(fault(line("GET / HTTP/1.1\x0b")), Some(HeadFault::ControlByte));
    assert_eq!(fault(line("GET /\tHTTP/1.1")), Some(HeadFault::ControlByte));
    assert_eq!(fault("GET /\nHTTP/1.1\r\nHost: a\r\n\r\n"), Some(HeadFault::BareLf));
    // An HTTP/0.9 client sends nothing more, so the answer must not wait for an empty line.
    assert_eq!(fault("GET /\r\n"), Some(HeadFault::Version));
    assert_eq!(HeadFault::Version.status(), 505);
    let chunked = "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(fault(chunked), Some(HeadFault::TransferEncodingOnOldVersion));
    passed(chunked.replace("1.0", "1.1"));
    assert_eq!(passed("POST / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n").body, Body::Absent);
}

#[test]
fn smug_20_bare_lf() {
    for head in [
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
        "GET / HTTP/1.1\nHost: a\n\n",
        "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\n",
    ] {
        assert_eq!(fault(head), Some(HeadFault::BareLf), "{head:?}");
    }
    for head in [
        "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n",
        "GET / HTTP/1.1\rHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\rX: 1\r\n\r\n",
        "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nX\r: 1\r\nHost: a\r\n\r\n",
    ] {
        assert_eq!(fault(head), Some(HeadFault::BareCr), "{head:?}");
    }
    passed("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
}

#[test]
fn smug_20_white_space_around_the_request() {
    for head in
        [line(" GET / HTTP/1.1"), line("GET\t/ HTTP/1.1"), line("GE\0T / HTTP/1.1"), line("G/T / HTTP/1.1"), line("GE-T / HTTP/1.1")]
    {
        assert!(matches!(fault(&head), Some(HeadFault::Method | HeadFault::ControlByte)), "{}", head.escape_ascii());
    }
    assert_eq!(fault("GET / HTTP/1.1\r\n Host: a\r\n\r\n"), Some(HeadFault::FieldFolded));
    assert_eq!(fault("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), Some(HeadFault::LeadingLines));
    passed("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
}

#[test]
fn hdr_03_field_names() {
    for name in ["X ", "X\t", "", "X(", "X[", "X\u{80}", "X\"", "X/", "X{", "X@", "X=", "X,", "X;", "X Y"] {
        assert_eq!(fault(get(format!("{name}: 1\r\n"))), Some(HeadFault::FieldName), "{name:?}");
    }
    for name in ["X\0", "X\x01", "\x1fX", "X\x7f"] {
        assert_eq!(fault(get(format!("{name}: 1\r\n"))), Some(HeadFault::ControlByte), "{name:?}");
    }
    assert_eq!(fault(get("no colon here\r\n")), Some(HeadFault::FieldWithoutColon));
    passed(get("X!#$%&'*+-.^_`|~9: 1\r\n"));
}

#[test]
fn smug_30_control_bytes_in_values() {
    for byte in (0x00..=0x1f).chain([0x7f]).filter(|b| !matches!(b, b'\t' | b'\n')) {
        let head = get([b"X: a", &[byte][..], b"b\r\n"].concat());
        assert!(matches!(fault(&head), Some(HeadFault::ControlByte | HeadFault::BareCr)), "{byte:#x}");
    }
    passed(get("X: a\tb\r\nY:     \r\n"));
    assert_eq!(fault(get(format!("X: {}\r\n", "a".repeat(100 * 1024)))), Some(HeadFault::HeadTooLong));
}

#[test]
fn hdr_05_fields_that_may_come_once() {
    for name in ["Authorization", "Origin", "Content-Type", "authorization"] {
        assert_eq!(fault(get(format!("{name}: a\r\n{name}: a\r\n"))), Some(HeadFault::FieldRepeated), "{name}");
        passed(get(format!("{name}: a\r\n")));
    }
    passed(get("Cookie: a=1\r\nCookie: b=2\r\nAccept: a\r\nAccept: b\r\n"));
}

#[test]
fn hdr_20_connection_nominations() {
    for option in [
        "host",
        "Cookie",
        "authorization",
        "content-length",
        "Transfer-Encoding",
        "forwarded",
        "x-real-ip",
        "X-Real_IP",
        "x-forwarded-for",
        "X_Forwarded_Proto",
        "x-auth-user",
        "X-Auth-Roles",
        "x_auth_user",
        "remote-user",
        "REMOTE_USER",
        "keep-alive, x-auth-user",
    ] {
        assert_eq!(fault(get(format!("Connection: {option}\r\n"))), Some(HeadFault::ConnectionNominates), "{option}");
    }
    assert_eq!(fault(get("Connection: close\r\nConnection: cookie\r\n")), Some(HeadFault::ConnectionNominates));
    for value in ["a b", "a;b", "\"close\"", "a,b,c,d,e,f,g,h,i", ",,,,,,,,"] {
        assert_eq!(fault(get(format!("Connection: {value}\r\n"))), Some(HeadFault::Connection), "{value}");
    }
    assert_eq!(fault(get("Connection: a,b,c,d\r\nConnection: a,b,c,d,e\r\n")), Some(HeadFault::Connection));
    for value in ["close", "Keep-Alive", "te, close", "x-foo", "a,b,c,d,e,f,g,h", "", "close,,"] {
        passed(get(format!("Connection: {value}\r\n")));
    }
}

#[test]
fn smug_40_expectations() {
    for value in ["y 100-continue", "100-continue, x", "100", "", "100-continue;q"] {
        assert_eq!(fault(post(format!("Content-Length: 3\r\nExpect: {value}\r\n"))), Some(HeadFault::Expect), "{value}");
    }
    assert_eq!(fault(post("Content-Length: 3\r\nExpect: 100-continue\r\nExpect: 100-continue\r\n")), Some(HeadFault::Expect));
    assert_eq!(HeadFault::Expect.status(), 417);
    assert_eq!(fault(post("Content-Length: 0\r\nExpect: 100-continue\r\n")), Some(HeadFault::ExpectWithoutBody));
    assert_eq!(fault(post("Expect: 100-continue\r\n")), Some(HeadFault::ExpectWithoutBody));
    let asked_about = HeadLimits { lone_expect: true, ..LIMITS };
    let head = b"POST / HTTP/1.1\r\nHost: a.example\r\nExpect: 100-continue\r\n\r\n";
    assert!(matches!(scan(head, 0, &asked_about), HeadScan::Complete(_)));
    passed(post("Content-Length: 3\r\nExpect: 100-continue\r\n"));
    passed(post("Transfer-Encoding: chunked\r\nExpect: 100-continuE\r\n"));
}

#[test]
fn upg_02_only_websocket() {
    let upgrade = |value: &str| get(format!("Connection: upgrade\r\nUpgrade: {value}\r\n"));
    for value in ["foo", "h2c", "websocket, h2c", "websocket/13", "", "web socket"] {
        assert_eq!(fault(upgrade(value)), Some(HeadFault::Upgrade), "{value}");
    }
    assert_eq!(fault(upgrade("websocket\r\nUpgrade: websocket")), Some(HeadFault::Upgrade));
    assert_eq!(fault(get("Upgrade: websocket\r\n")), Some(HeadFault::Upgrade));
    assert_eq!(fault(post("Connection: upgrade\r\nUpgrade: websocket\r\n")), Some(HeadFault::Upgrade));
    assert_eq!(fault("GET / HTTP/1.0\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"), Some(HeadFault::Upgrade));
    let body = |field: &str| get(format!("Connection: upgrade\r\nUpgrade: websocket\r\n{field}\r\n"));
    assert_eq!(fault(body("Content-Length: 5")), Some(HeadFault::UpgradeWithBody));
    assert_eq!(fault(body("Transfer-Encoding: chunked")), Some(HeadFault::UpgradeWithBody));
    assert!(passed(upgrade("websocket")).upgrade);
    assert!(passed(upgrade("Websocket")).upgrade);
    assert!(passed(body("Content-Length: 0")).upgrade);
}

proptest::proptest! {
    /// Whatever comes, in whatever pieces: no panic, and the pieces do not change what passes.
    #[test]
    fn any_bytes_in_any_pieces(bytes in proptest::collection::vec(proptest::sample::select(b"GET / HTTP1.\r\n:Hosta \0\t,Content-Length5".to_vec()), 0..200), cut in 0usize..200) {
        let cut = cut.min(bytes.len());
        let whole = scan(&bytes, 0, &LIMITS);
        match scan(&bytes[..cut], 0, &LIMITS) {
            HeadScan::Incomplete => proptest::prop_assert_eq!(matches!(scan(&bytes, cut, &LIMITS), HeadScan::Complete(_)), matches!(whole, HeadScan::Complete(_))),
            HeadScan::Complete(head) => proptest::prop_assert_eq!(HeadScan::Complete(head), whole),
            HeadScan::Refused(_) => proptest::prop_assert!(matches!(whole, HeadScan::Refused(_))),
        }
    }
}
