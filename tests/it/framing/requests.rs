//! Request heads and bodies, each row as bytes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use doorward_tests::scene::{APP, Plan, Scene};

use crate::frames::{self, Frames, fields};

/// Somebody's secret, in a request that cannot be read.
const CANARY: &str = "canary-of-a-cookie";

/// What follows every row on its connection: it must never be answered.
const SECOND: &[u8] = b"GET /public/second HTTP/1.1\r\nhost: app.localhost\r\n\r\n";

/// Bytes that are refused before pingora sees them, with status and reason.
#[derive(Debug)]
struct Row {
    name: String,
    bytes: Vec<u8>,
    status: u16,
    reason: &'static str,
}

fn row(name: impl Into<String>, bytes: impl AsRef<[u8]>, status: u16, reason: &'static str) -> Row {
    Row { name: name.into(), bytes: bytes.as_ref().to_vec(), status, reason }
}

/// A POST with these lines for framing.
fn post(lines: &[u8], body: &[u8]) -> Vec<u8> {
    [b"POST /public/x HTTP/1.1\r\nhost: app.localhost\r\n", format!("cookie: a={CANARY}\r\n").as_bytes(), lines, b"\r\n", body].concat()
}

/// A GET with one more line.
fn get(line: &[u8]) -> Vec<u8> {
    [b"GET /public/x HTTP/1.1\r\nhost: app.localhost\r\n", format!("cookie: a={CANARY}\r\n").as_bytes(), line, b"\r\n\r\n"].concat()
}

/// A request with this line first.
fn line(line: &[u8]) -> Vec<u8> {
    [line, b"\r\nhost: app.localhost\r\n\r\n"].concat()
}

/// Sends each row on a connection of its own: refused, counted, logged, and nothing after it is answered.
async fn refuse(scene: &Scene, rows: Vec<Row>) {
    let mut expected: BTreeMap<&str, u32> = BTreeMap::new();
    let mut ids = Vec::new();
    for row in &rows {
        let mut raw = scene.raw(APP).await;
        raw.send(&[&row.bytes[..], SECOND].concat()).await;
        let answer = raw.answer().await.unwrap_or_else(|| panic!("{}: no answer", row.name));
        assert_eq!((answer.status, answer.field("connection")), (row.status, Some("close")), "{}", row.name);
        assert!(raw.is_closed().await, "{}: goes on", row.name);
        assert_eq!(scene.app.bytes(), 0, "{}", row.name);
        assert!(!answer.text().contains(CANARY), "{}", row.name);
        *expected.entry(row.reason).or_default() += 1;
        ids.push((answer.field("x-request-id").unwrap().to_owned(), row));
    }
    for (reason, count) in expected {
        assert_eq!(scene.metric(&format!("doorward_refused_total{{reason=\"{reason}\"}}")).await, f64::from(count), "{reason}");
    }
    let log = scene.log().await;
    for (id, row) in ids {
        let lines: Vec<_> = log.iter().filter(|line| line["request_id"] == id.as_str()).collect();
        assert_eq!(lines.len(), 1, "{}", row.name);
        let logged = (lines[0]["reason"].as_str(), lines[0]["decision"].as_str(), lines[0]["status"].as_u64(), lines[0]["client"].as_str());
        assert_eq!(logged, (Some(row.reason), Some("refuse"), Some(row.status.into()), Some("127.0.0.1")), "{}", row.name);
        assert_eq!(lines[0].as_object().unwrap().len(), 6, "{}: {}", row.name, lines[0]);
    }
    // LOG-04, PG-15: none of what could not be read is written down.
    assert!(!serde_json::to_string(&log).unwrap().contains(CANARY));
    let (_, metrics) = scene.admin("/metrics").await;
    assert!(!metrics.contains(CANARY));
}

/// The twin: the same request with nothing odd about it.
async fn accept(scene: &Scene, name: &str, bytes: &[u8], body: &[u8]) {
    scene.app.forget();
    let mut raw = scene.raw(APP).await;
    raw.send(bytes).await;
    let answer = raw.answer().await.unwrap_or_else(|| panic!("{name}: no answer"));
    assert_eq!(answer.status, 200, "{name}: {}", answer.text());
    assert_eq!((scene.app.seen().len(), scene.app.last().body.as_slice()), (1, body), "{name}");
}

#[tokio::test]
async fn smug_01_02_pg_03_two_lengths_are_refused_in_any_order() {
    let scene = Scene::start().await;
    let chunked = b"0\r\n\r\n";
    let rows = vec![
        row("length, coding", post(b"content-length: 5\r\ntransfer-encoding: chunked\r\n", chunked), 400, "two_lengths"),
        row("coding, length", post(b"transfer-encoding: chunked\r\ncontent-length: 5\r\n", chunked), 400, "two_lengths"),
        row("length 0, coding", post(b"content-length: 0\r\ntransfer-encoding: chunked\r\n", chunked), 400, "two_lengths"),
        row("a coding that is none", post(b"content-length: 5\r\ntransfer-encoding: xchunked\r\n", chunked), 400, "transfer_encoding"),
        row("identity", post(b"content-length: 5\r\ntransfer-encoding: identity\r\n", chunked), 400, "transfer_encoding"),
        row("a length that is none", post(b"content-length: x\r\ntransfer-encoding: chunked\r\n", chunked), 400, "content_length"),
    ];
    refuse(&scene, rows).await;
    accept(&scene, "length", &post(b"content-length: 5\r\n", b"hello"), b"hello").await;
    accept(&scene, "coding", &post(b"transfer-encoding: chunked\r\n", b"5\r\nhello\r\n0\r\n\r\n"), b"hello").await;
}

#[tokio::test]
async fn smug_05_pg_08_a_length_is_one_number_in_digits() {
    let scene = Scene::start().await;
    let digits = "1".repeat(10_000);
    let mut rows = Vec::new();
    for value in [
        "+5",
        "-5",
        "0x5",
        "5_0",
        "05",
        "5 ",
        "  5",
        "\t5",
        "5\t",
        "5,5",
        "5, 5",
        "5, 6",
        "",
        " ",
        "5Z",
        "5.0",
        "1e1",
        "18446744073709551616",
        "9223372036854775808",
        "\u{ff15}",
        "\"5\"",
        "5;a=b",
        &digits,
    ] {
        let name: String = value.chars().take(20).collect();
        rows.push(row(
            format!("length {name:?}"),
            post(format!("content-length: {value}\r\n").as_bytes(), b"hello"),
            400,
            "content_length",
        ));
    }
    rows.extend([
        row("the same twice", post(b"content-length: 5\r\ncontent-length: 5\r\n", b"hello"), 400, "content_length_repeated"),
        row("two", post(b"content-length: 5\r\nContent-Length: 6\r\n", b"hello"), 400, "content_length_repeated"),
        row("empty and one", post(b"content-length:\r\ncontent-length: 5\r\n", b"hello"), 400, "content_length"),
        row("underscore", post(b"content_length: 5\r\n", b"hello"), 400, "field_alias"),
        row("dot", post(b"content.length: 5\r\ncontent-length: 5\r\n", b"hello"), 400, "field_alias"),
        row("NUL in the name", post(b"content-length\0: 5\r\n", b"hello"), 400, "control_byte"),
        row("NUL in the value", post(b"content-length: 5\0\r\n", b"hello"), 400, "control_byte"),
        row("vertical tab", post(b"content-length: \x0b5\r\n", b"hello"), 400, "control_byte"),
    ]);
    refuse(&scene, rows).await;
    for good in ["content-length: 5\r\n", "Content-Length:5\r\n", "CONTENT-LENGTH: 5\r\n"] {
        accept(&scene, good, &post(good.as_bytes(), b"hello"), b"hello").await;
    }
}

#[tokio::test]
async fn smug_06_a_coding_is_chunked_alone_and_once() {
    let scene = Scene::start().await;
    let mut rows = Vec::new();
    for value in [
        "xchunked",
        "chunked, identity",
        "identity, chunked",
        ",chunked",
        "chunked,",
        "chunked;q=1",
        "\"chunked\"",
        "'chunked'",
        "chunk",
        "chunked chunked",
        "chunked, chunked",
        "identity",
        "",
        "chunked\t",
        "\tchunked",
        "  chunked",
        "chunked ",
        "br, chunked",
    ] {
        rows.push(row(
            format!("coding {value:?}"),
            post(format!("transfer-encoding: {value}\r\n").as_bytes(), b"0\r\n\r\n"),
            400,
            "transfer_encoding",
        ));
    }
    for value in ["gzip, chunked", "deflate, chunked", "x-gzip", "compress"] {
        rows.push(row(
            format!("coding {value:?}"),
            post(format!("transfer-encoding: {value}\r\n").as_bytes(), b"0\r\n\r\n"),
            501,
            "transfer_coding_unknown",
        ));
    }
    let twice = b"transfer-encoding: chunked\r\nTransfer-Encoding: chunked\r\n";
    let lines: [(&str, &[u8], &str); 10] = [
        ("two lines", twice, "transfer_encoding_repeated"),
        ("two lines, one empty", b"transfer-encoding: chunked\r\ntransfer-encoding:\r\n", "transfer_encoding_repeated"),
        ("underscore", b"transfer_encoding: chunked\r\n", "field_alias"),
        ("both names", b"transfer-encoding: chunked\r\ntransfer_encoding: chunked\r\n", "field_alias"),
        ("space before the colon", b"transfer-encoding : chunked\r\n", "field_name"),
        ("space first", b" transfer-encoding: chunked\r\n", "field_folded"),
        ("tab first", b"\ttransfer-encoding: chunked\r\n", "field_folded"),
        ("folded value", b"transfer-encoding:\r\n chunked\r\n", "transfer_encoding"),
        ("a name in two lines", b"transfer-\r\nencoding: chunked\r\n", "field_without_colon"),
        ("a bare CR", b"x: x\rtransfer-encoding: chunked\r\n", "bare_cr"),
    ];
    rows.extend(lines.into_iter().map(|(name, line, reason)| row(name, post(line, b"0\r\n\r\n"), 400, reason)));
    rows.push(row("a bare LF", post(b"x: x\ntransfer-encoding: chunked\r\n", b"0\r\n\r\n"), 400, "bare_lf"));
    // defparam/smuggler: a byte in every place.
    for byte in [0x00, 0x01, 0x08, 0x0b, 0x0c, 0x1f, 0x7f] {
        for (place, bytes) in [
            ("value", [&b"transfer-encoding: "[..], &[byte], b"chunked"].concat()),
            ("end", [&b"transfer-encoding: chunked"[..], &[byte]].concat()),
            ("name", [&b"transfer-encoding"[..], &[byte], b": chunked"].concat()),
            ("start", [&[byte][..], b"transfer-encoding: chunked"].concat()),
        ] {
            rows.push(row(format!("{byte:#04x} at the {place}"), post(&[&bytes[..], b"\r\n"].concat(), b"0\r\n\r\n"), 400, "control_byte"));
        }
    }
    for byte in [0x80, 0x85, 0xa0, 0xff] {
        for (place, bytes, reason) in [
            ("value", [&b"transfer-encoding: "[..], &[byte], b"chunked"].concat(), "transfer_encoding"),
            ("end", [&b"transfer-encoding: chunked"[..], &[byte]].concat(), "transfer_encoding"),
            ("name", [&b"transfer-encoding"[..], &[byte], b": chunked"].concat(), "field_name"),
        ] {
            rows.push(row(format!("{byte:#04x} at the {place}"), post(&[&bytes[..], b"\r\n"].concat(), b"0\r\n\r\n"), 400, reason));
        }
    }
    refuse(&scene, rows).await;
    for good in ["transfer-encoding: chunked\r\n", "Transfer-Encoding:chunked\r\n", "TRANSFER-ENCODING: Chunked\r\n"] {
        accept(&scene, good, &post(good.as_bytes(), b"2\r\nhi\r\n0\r\n\r\n"), b"hi").await;
    }
}

#[tokio::test]
async fn smug_10_pg_07_versions_are_two_and_hosts_one() {
    let scene = Scene::start().await;
    let rows = vec![
        row(
            "1.0 with a coding",
            b"POST /public/x HTTP/1.0\r\nhost: app.localhost\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
            "transfer_encoding_on_old_version",
        ),
        row("0.9", b"GET /public/x\r\n\r\n", 505, "version"),
        row("1.2", line(b"GET /public/x HTTP/1.2"), 505, "version"),
        row("2.0", line(b"GET /public/x HTTP/2.0"), 505, "version"),
        row("0.9 in words", line(b"GET /public/x HTTP/0.9"), 505, "version"),
        row("1.32", line(b"GET /public/x HTTP/1.32"), 400, "request_line"),
        row("small letters", line(b"GET /public/x http/1.1"), 400, "request_line"),
        row("a space after", line(b"GET /public/x HTTP/1.1 "), 400, "request_line"),
        row("a space inside", line(b"GET /public/x HTTP/ 1.1"), 400, "request_line"),
        row("a vertical tab after", line(b"GET /public/x HTTP/1.1\x0b"), 400, "control_byte"),
        row("a word", line(b"GET /public/x HTTPS/1.1"), 400, "request_line"),
        row("two spaces", line(b"GET  /public/x HTTP/1.1"), 400, "request_line"),
        row("two spaces before the version", line(b"GET /public/x  HTTP/1.1"), 400, "request_line"),
        row("tabs", line(b"GET\t/public/x\tHTTP/1.1"), 400, "control_byte"),
        row("a space in the target", line(b"GET /public/a b HTTP/1.1"), 400, "request_line"),
        row("pg_05 a quotation mark", line(b"GET /public/a\"b HTTP/1.1"), 400, "target_byte"),
        row("pg_06 a raw byte", line(b"GET /public/\xff HTTP/1.1"), 400, "target_byte"),
        row("a space first", line(b" GET /public/x HTTP/1.1"), 400, "method"),
        row("no method", line(b"/public/x HTTP/1.1"), 400, "method"),
        row("two empty lines first", [b"\r\n\r\n", &get(b"a: b")[..]].concat(), 400, "leading_lines"),
        row("pg_12 upg_05 the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "http2_preface"),
        row("pg_07 no host", b"GET /public/x HTTP/1.1\r\n\r\n", 400, "host_missing"),
        row("pg_07 no host in 1.0", b"GET /public/x HTTP/1.0\r\n\r\n", 400, "host_missing"),
    ];
    refuse(&scene, rows).await;
    accept(&scene, "1.1", &line(b"GET /public/x HTTP/1.1"), b"").await;
    accept(&scene, "1.0", &line(b"GET /public/x HTTP/1.0"), b"").await;
    accept(&scene, "one empty line first", &[b"\r\n", &line(b"GET /public/x HTTP/1.1")[..]].concat(), b"").await;
}

#[tokio::test]
async fn smug_20_30_pg_04_every_line_ends_in_cr_lf_and_holds_no_control() {
    let scene = Scene::start().await;
    let rows = vec![
        row("LF after the request line", b"GET /public/x HTTP/1.1\nhost: app.localhost\r\n\r\n", 400, "bare_lf"),
        row("LF after a field", b"GET /public/x HTTP/1.1\r\nhost: app.localhost\n\r\n", 400, "bare_lf"),
        row("LF for the empty line", b"GET /public/x HTTP/1.1\r\nhost: app.localhost\r\n\n", 400, "bare_lf"),
        row("LF everywhere", b"GET /public/x HTTP/1.1\nhost: app.localhost\n\n", 400, "bare_lf"),
        row("LF in the request line", b"GET /public/x\nHTTP/1.1\r\nhost: app.localhost\r\n\r\n", 400, "bare_lf"),
        row("CR CR LF", b"GET /public/x HTTP/1.1\r\r\nhost: app.localhost\r\n\r\n", 400, "bare_cr"),
        row("CR in a value", get(b"a: b\rc"), 400, "bare_cr"),
        row("CR in a name", get(b"a\rb: c"), 400, "bare_cr"),
        row("NUL in a value", get(b"a: b\0c"), 400, "control_byte"),
        row("NUL in a name", get(b"a\0b: c"), 400, "control_byte"),
        row("escape in a value", get(b"a: \x1b[31m"), 400, "control_byte"),
        row("DEL in a value", get(b"a: \x7f"), 400, "control_byte"),
        row("no colon", get(b"ab"), 400, "field_without_colon"),
        row("no name", get(b": b"), 400, "field_name"),
        row("a space in the name", get(b"a b: c"), 400, "field_name"),
        row("0x80 in the name", get(b"a\x80: c"), 400, "field_name"),
        row("the first field begins with a space", b"GET /public/x HTTP/1.1\r\n host: app.localhost\r\n\r\n", 400, "field_folded"),
        row("folded", get(b"a: b\r\n c"), 400, "field_folded"),
        row("folded with a tab", get(b"a: b\r\n\tc"), 400, "field_folded"),
        row("folded and empty", get(b"a: b\r\n "), 400, "field_folded"),
    ];
    refuse(&scene, rows).await;
    accept(&scene, "spaces for a value", &get(b"a:    "), b"").await;
    accept(&scene, "letters beyond ASCII in a value", &get("a: Zo\u{eb}".as_bytes()), b"").await;
}

#[tokio::test]
async fn pg_01_a_head_has_limits_however_it_comes() {
    let scene = Scene::start().await;
    let lines = |count: usize| (0..count).map(|number| format!("x-{number}: y\r\n")).collect::<String>().into_bytes();
    let with = |lines: Vec<u8>| [b"GET /public/x HTTP/1.1\r\nhost: app.localhost\r\n", &lines[..], b"\r\n"].concat();
    let value = |bytes: usize| with(format!("x-a: {}\r\n", "y".repeat(bytes)).into_bytes());
    let rows = vec![
        row("101 fields", with(lines(100)), 431, "too_many_fields"),
        row("257 fields", with(lines(256)), 431, "too_many_fields"),
        row("33 KiB", value(33 * 1024), 431, "head_too_long"),
        row("300 KiB in one write", value(300 * 1024), 431, "head_too_long"),
        row("a target of 20 KiB", line(format!("GET /public/x?{} HTTP/1.1", "q".repeat(20 * 1024)).as_bytes()), 414, "target_too_long"),
        row("a target without an end", format!("GET /public/{}", "x".repeat(40 * 1024)), 414, "target_too_long"),
    ];
    refuse(&scene, rows).await;
    accept(&scene, "100 fields", &with(lines(99)), b"").await;
    accept(&scene, "31 KiB", &value(31 * 1024), b"").await;
}

#[tokio::test]
async fn pg_01_pg_11_h2_01_04_http2_has_the_same_limits_and_says_so() {
    let scene = Scene::start().await;
    let mut frames = Frames::connect(scene.address(), &scene.ca, APP).await;
    let (kind, _, _, settings) = frames.read_frame().await.unwrap();
    assert_eq!(kind, frames::SETTINGS);
    let setting = |id: u16| {
        settings
            .chunks(6)
            .find(|entry| entry[..2] == id.to_be_bytes())
            .map(|entry| u32::from_be_bytes([entry[2], entry[3], entry[4], entry[5]]))
    };
    // RFC 9113 §6.5.2: streams, field section, and no tunnels for other protocols (RFC 8441 §3).
    assert!(setting(3).is_some_and(|streams| streams <= 100), "{:?}", setting(3));
    assert_eq!(setting(6), Some(32 * 1024));
    assert_eq!(setting(8).unwrap_or(0), 0);
    let names: Vec<String> = (0..120).map(|number| format!("x-{number}")).collect();
    let with =
        |count: usize| [fields("GET", APP, "/public/x"), names[..count].iter().map(|name| (name.as_bytes(), &b"y"[..])).collect()].concat();
    assert_eq!(frames.ask(&with(101)).await.status(), 431);
    let crumbs = vec![(&b"cookie"[..], &b"a=1"[..]); 101];
    assert_eq!(frames.ask(&[fields("GET", APP, "/public/x"), crumbs].concat()).await.status(), 431);
    let large = vec![b'y'; 33 * 1024];
    assert!(frames.ask(&[fields("GET", APP, "/public/x"), vec![(b"x-a", &large)]].concat()).await.is_refused());
    assert_eq!(scene.app.bytes(), 0);
    let mut frames = Frames::connect(scene.address(), &scene.ca, APP).await;
    assert_eq!(frames.ask(&with(90)).await.status(), 200);
    assert_eq!(frames.ask(&[fields("GET", APP, "/public/x"), vec![(b"x-a", &large[..16 * 1024])]].concat()).await.status(), 200);
}

#[tokio::test]
async fn pg_02_dos_01_a_head_that_dribbles_in_has_one_deadline() {
    let server = "  limits: { connections_per_client: 1000, header: 800ms }\n".into();
    let scene = Scene::with(Plan { server, ..Plan::default() }).await;
    let mut raw = scene.raw(APP).await;
    let began = Instant::now();
    for byte in b"GET /public/x HTTP/1.1\r\nhost: app.localhost\r\nx-a: bcdefghijklmnop" {
        raw.send(&[*byte]).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        if began.elapsed() > Duration::from_millis(1200) {
            break;
        }
    }
    assert_eq!(raw.answer().await.unwrap().status, 408);
    assert!(began.elapsed() < Duration::from_secs(3));
    assert_eq!((scene.app.bytes(), scene.metric("doorward_refused_total{reason=\"header_deadline\"}").await), (0, 1.0));
    // The twin dribbles, too, and is done in time.
    let mut raw = scene.raw(APP).await;
    for part in [&b"GET /public/x HT"[..], b"TP/1.1\r\nho", b"st: app.localhost\r", b"\n\r", b"\n"] {
        raw.send(part).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(raw.answer().await.unwrap().status, 200);
}

#[tokio::test]
async fn smug_15_a_chunk_that_is_none_ends_the_request_and_the_connection() {
    let scene = Scene::start().await;
    let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(64 * 1024));
    let mut refused = 0.0;
    for (name, body) in [
        ("0x", &b"0x5\r\nhello\r\n0\r\n\r\n"[..]),
        ("plus", b"+5\r\nhello\r\n0\r\n\r\n"),
        ("minus", b"-5\r\nhello\r\n0\r\n\r\n"),
        ("minus zero", b"-0\r\n\r\n"),
        ("space first", b" 5\r\nhello\r\n0\r\n\r\n"),
        ("underscore", b"0_5\r\nhello\r\n0\r\n\r\n"),
        ("empty", b"\r\nhello\r\n0\r\n\r\n"),
        ("a word", b"five\r\nhello\r\n0\r\n\r\n"),
        ("17 digits", b"10000000000000005\r\nhello\r\n0\r\n\r\n"),
        ("all ones", b"FFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n"),
        ("half of all ones", b"7FFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n"),
        ("LF after the size", b"5\nhello\r\n0\r\n\r\n"),
        ("CR CR LF after the size", b"5\r\r\nhello\r\n0\r\n\r\n"),
        ("no CR LF after the data", b"5\r\nhello0\r\n\r\n"),
        ("LF after the data", b"5\r\nhello\n0\r\n\r\n"),
        ("CR and a letter", b"5\r\nhello\rX0\r\n\r\n"),
        ("more data", b"5\r\nhelloworld\r\n0\r\n\r\n"),
        ("LF in an extension", b"5;a\nb\r\nhello\r\n0\r\n\r\n"),
        ("an extension of 64 KiB", long.as_bytes()),
        ("a fullwidth digit", "\u{ff15}\r\nhello\r\n0\r\n\r\n".as_bytes()),
        ("NUL after the size", b"5\0\r\nhello\r\n0\r\n\r\n"),
    ] {
        scene.app.forget();
        let mut raw = scene.raw(APP).await;
        raw.send(&[&post(b"transfer-encoding: chunked\r\n", body)[..], SECOND].concat()).await;
        let answer = raw.answer().await;
        let status = answer.as_ref().map_or(0, |answer| answer.status);
        assert_eq!(status, 400, "{name}");
        assert!(raw.is_closed().await, "{name}: goes on");
        assert!(scene.app.seen().is_empty(), "{name}: {:?}", scene.app.seen());
        refused += 1.0;
    }
    assert_eq!(scene.metric("doorward_refused_total{reason=\"chunked_body\"}").await, refused);
    let log = scene.log().await;
    assert!(log.iter().filter(|line| line["status"] == 400).all(|line| line["reason"] == "bad_request" && line["decision"] == "deny"));
    assert!(!serde_json::to_string(&log).unwrap().contains(CANARY));
    for (name, body) in [
        ("zeros first", &b"0005\r\nhello\r\n000\r\n\r\n"[..]),
        ("capitals", b"5\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n"),
        ("an extension", b"5;a=\"b\"\r\nhello\r\n0;c\r\n\r\n"),
    ] {
        let expected: &[u8] = if name == "capitals" { b"hello0123456789" } else { b"hello" };
        accept(&scene, name, &post(b"transfer-encoding: chunked\r\n", body), expected).await;
    }
}

#[tokio::test]
async fn smug_15_what_a_chunked_request_says_at_its_end_is_dropped() {
    let scene = Scene::start().await;
    for (name, trailers) in [
        ("owned", "x-auth-user: admin\r\n"),
        ("framing", "content-length: 7\r\ntransfer-encoding: chunked\r\n"),
        ("host", "host: api.localhost\r\n"),
        ("plain", "x-sum: 1\r\n"),
    ] {
        scene.app.forget();
        let mut raw = scene.raw(APP).await;
        raw.send(&post(b"transfer-encoding: chunked\r\n", format!("2\r\nhi\r\n0\r\n{trailers}\r\n").as_bytes())).await;
        let answer = raw.answer().await;
        assert_eq!(answer.map_or(0, |answer| answer.status), 200, "{name}");
        let raw = String::from_utf8_lossy(&scene.app.raw()).to_ascii_lowercase();
        assert!(!raw.contains(trailers.lines().next().unwrap()), "{name}: {raw}");
        assert_eq!((scene.app.seen().len(), scene.app.last().body.as_slice()), (1, &b"hi"[..]), "{name}");
    }
    scene.app.forget();
    // A last chunk that never ends never becomes a request.
    let mut raw = scene.raw(APP).await;
    raw.send(&post(b"transfer-encoding: chunked\r\n", b"2\r\nhi\r\n0\r\n")).await;
    drop(raw);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(scene.app.seen().is_empty());
}

#[tokio::test]
async fn smug_40_an_expectation_is_one_and_for_a_body_that_comes() {
    let scene = Scene::start().await;
    let expecting = |lines: &str, body: &[u8]| post(format!("expect: 100-continue\r\n{lines}").as_bytes(), body);
    let rows = vec![
        row("another", post(b"expect: 200-ok\r\ncontent-length: 2\r\n", b"hi"), 417, "expect"),
        row("two in a list", post(b"expect: y, 100-continue\r\ncontent-length: 2\r\n", b"hi"), 417, "expect"),
        row("a word before", post(b"expect: y 100-continue\r\ncontent-length: 2\r\n", b"hi"), 417, "expect"),
        row("twice", expecting("expect: 100-continue\r\ncontent-length: 2\r\n", b"hi"), 417, "expect"),
        row("no body", expecting("", b""), 400, "expect_without_body"),
        row("an empty body", expecting("content-length: 0\r\n", b""), 400, "expect_without_body"),
    ];
    refuse(&scene, rows).await;
    // The client waits; the app (or the edge for it) says go on; the body follows.
    for value in ["100-continue", "100-CONTINUE"] {
        scene.app.forget();
        let mut raw = scene.raw(APP).await;
        raw.send(&post(format!("expect: {value}\r\ncontent-length: 5\r\n").as_bytes(), b"")).await;
        let waited = tokio::time::timeout(Duration::from_millis(300), raw.answer()).await;
        if let Ok(answer) = waited {
            assert_eq!(answer.unwrap().status, 100, "{value}");
        }
        raw.send(b"hello").await;
        assert_eq!(raw.answer().await.unwrap().status, 200, "{value}");
        assert_eq!(scene.app.last().body, b"hello", "{value}");
    }
}

#[tokio::test]
async fn smug_40_a_refused_request_gets_no_100_and_its_body_is_nobodys() {
    let scene = Scene::start().await;
    let mut raw = scene.raw(APP).await;
    raw.send(
        format!("POST /private HTTP/1.1\r\nhost: app.localhost\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n", SECOND.len())
            .as_bytes(),
    )
    .await;
    let answer = raw.answer().await.unwrap();
    assert_eq!(answer.status, 401);
    raw.send(SECOND).await;
    assert!(raw.is_closed().await);
    assert_eq!(scene.app.bytes(), 0);
}
