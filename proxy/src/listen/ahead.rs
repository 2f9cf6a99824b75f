//! Reading ahead of whoever asks for little, and holding nothing for whoever waits.
//!
//! TLS asks for 4 KiB at a time. A request is usually less; a body that is being uploaded is not, and would cost a system
//! call for every one of them. So a read that filled all there was room for is followed by larger ones into a buffer of our
//! own, which is given back as soon as the client has nothing more to say at once.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, ReadBuf};

/// A TLS record is at most this and a little more (RFC 8446 §5.2).
const AHEAD: usize = 16 * 1024;

/// Bytes that came before they were asked for.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    held: BytesMut,
    /// The last read filled all there was room for.
    more: bool,
}

impl Ahead {
    pub(super) fn poll_read<R: AsyncRead + Unpin>(
        &mut self,
        from: &mut R,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.held.is_empty() {
            if !self.more || out.remaining() >= AHEAD {
                let room = out.remaining();
                ready!(Pin::new(from).poll_read(cx, out))?;
                self.more = room > 0 && out.remaining() == 0;
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_fill(from, cx))?;
        }
        let taken = self.held.len().min(out.remaining());
        out.put_slice(&self.held[..taken]);
        self.consume(taken);
        Poll::Ready(Ok(()))
    }

    /// What came and was not consumed; empty at the end of the stream.
    pub(super) fn poll_fill<R: AsyncRead + Unpin>(&mut self, from: &mut R, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        if self.held.is_empty() {
            self.held.resize(AHEAD, 0);
            let mut room = ReadBuf::new(&mut self.held);
            let read = Pin::new(from).poll_read(cx, &mut room);
            let came = if matches!(read, Poll::Ready(Ok(()))) { room.filled().len() } else { 0 };
            self.more = came == AHEAD;
            self.held.truncate(came);
            if came == 0 {
                self.held = BytesMut::new();
            }
            ready!(read)?;
        }
        Poll::Ready(Ok(&self.held))
    }

    pub(super) fn consume(&mut self, amount: usize) {
        self.held.advance(amount);
        if self.held.is_empty() && !self.more {
            self.held = BytesMut::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::super::connection::Conn;
    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (client, listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn bytes_come_in_order_however_they_are_read() {
        let (mut client, server) = pair().await;
        let mut conn = Conn::new(server);
        let sent: Vec<u8> = (0..200_000u32).map(|number| (number % 251) as u8).collect();
        let expected = sent.clone();
        let writing = tokio::spawn(async move {
            client.write_all(&sent).await.unwrap();
            client.shutdown().await.unwrap();
        });
        let (mut read, mut room) = (Vec::new(), vec![0; 4096]);
        for size in [1, 7, 4096, 100, 4096].into_iter().cycle() {
            if size == 100 {
                // Whoever looks takes part of it.
                let seen = conn.fill_buf().await.unwrap();
                let some = seen.len().min(size);
                read.extend_from_slice(&seen[..some]);
                conn.consume(some);
                continue;
            }
            match conn.read(&mut room[..size]).await.unwrap() {
                0 => break,
                came => read.extend_from_slice(&room[..came]),
            }
        }
        writing.await.unwrap();
        assert_eq!(read, expected);
    }

    #[tokio::test]
    async fn nothing_is_held_for_a_client_that_waits() {
        let (mut client, mut server) = pair().await;
        let mut ahead = Ahead::default();
        let mut room = vec![0; 4096];
        // A full read, one from ahead, and one that finds the end of what there is.
        client.write_all(&[7; 6000]).await.unwrap();
        let mut came = 0;
        while came < 6000 {
            let mut out = ReadBuf::new(&mut room);
            poll_fn(|cx| ahead.poll_read(&mut server, cx, &mut out)).await.unwrap();
            came += out.filled().len();
        }
        let mut out = ReadBuf::new(&mut room);
        let waits = poll_fn(|cx| Poll::Ready(ahead.poll_read(&mut server, cx, &mut out).is_pending())).await;
        assert!(waits);
        assert_eq!(ahead.held.capacity(), 0);
    }
}
