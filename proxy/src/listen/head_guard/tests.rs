use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::super::connection::{Conn, Cutter};
use super::super::tests::Recorder;
use super::*;

/// A client, and the guard of its connection.
async fn guarded(idle: Duration) -> (TcpStream, HeadGuard<Conn>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (socket, _) = listener.accept().await.unwrap();
    let state = Arc::new(ConnectionState::default());
    let response = pingora::http::ResponseHeader::build(200, Some(0)).unwrap();
    let digest = Arc::new(ProxyDigest::new(Box::new(response), None));
    let limits = GuardLimits { head: HeadLimits::default(), header: idle, idle };
    let conn = Conn::new(socket);
    (client, HeadGuard::http1(conn, digest, state, limits, Arc::new(Recorder::default()), IpAddr::from([127, 0, 0, 1])))
}

#[tokio::test]
async fn sess_40_a_cut_ends_the_request_that_is_served_and_not_the_one_after() {
    let request = b"GET / HTTP/1.1\r\nhost: a.example\r\n\r\n";
    for (name, anew) in [("the same request", false), ("the next one", true)] {
        let (mut client, mut guard) = guarded(Duration::from_secs(5)).await;
        let cutter = Cutter::of(&guard.state);
        client.write_all(request).await.unwrap();
        let mut bytes = [0; 1024];
        assert_eq!(guard.read(&mut bytes).await.unwrap(), request.len(), "{name}");
        // It comes from another thread, and may come late.
        cutter.cut();
        if anew {
            guard.state.expect_head();
            client.write_all(request).await.unwrap();
            assert_eq!(guard.read(&mut bytes).await.unwrap(), request.len(), "{name}");
            guard.write_all(b"HTTP/1.1 200 OK").await.unwrap();
        } else {
            assert_eq!(guard.write_all(b"HTTP/1.1 200 OK").await.unwrap_err().kind(), io::ErrorKind::ConnectionAborted, "{name}");
            let (ended, ()) = tokio::join!(guard.read(&mut bytes), async {
                assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0, "{name}: no word more");
            });
            assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::ConnectionAborted, "{name}");
        }
    }
}

#[tokio::test]
async fn what_was_written_goes_out_though_nobody_flushes_unless_the_request_was_cut() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n";
    for is_cut in [false, true] {
        let (mut client, mut guard) = guarded(Duration::from_secs(5)).await;
        guard.write_all(head).await.unwrap();
        if is_cut {
            Cutter::of(&guard.state).cut();
        }
        drop(guard);
        let mut heard = Vec::new();
        client.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, if is_cut { &head[..0] } else { &head[..] });
    }
}

#[tokio::test]
async fn dos_02_a_client_that_reads_nothing_is_given_up() {
    let idle = Duration::from_millis(300);
    let (client, mut guard) = guarded(idle).await;
    let since = Instant::now();
    let flood = vec![0; 64 * 1024 * 1024];
    let written = tokio::time::timeout(Duration::from_secs(8), guard.write_all(&flood)).await.expect("an end");
    assert_eq!(written.unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert!(since.elapsed() >= idle);
    drop(client);
}
