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
                // It may be empty and hold memory all the same.
                self.held = BytesMut::new();
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
    use std::task::Waker;

    use proptest::prelude::*;
    use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::super::connection::Conn;
    use super::super::tests::fitful::{Fitful, Script, TAPE, Told, size, steps};
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

    #[tokio::test]
    async fn a_body_that_is_read_little_by_little_costs_few_reads() {
        let mut below = Fitful::new(Script { source: &TAPE[..16 * AHEAD], ..Script::default() });
        let mut ahead = Ahead::default();
        let mut room = vec![0; 4096];
        let mut came = 0;
        while came < 16 * AHEAD {
            let mut out = ReadBuf::new(&mut room);
            poll_fn(|cx| ahead.poll_read(&mut below, cx, &mut out)).await.unwrap();
            came += out.filled().len();
        }
        // The first says that there is more.
        assert_eq!(below.script().told.len(), 1 + 16);
    }

    /// What somebody who reads may do.
    #[derive(Debug, Clone)]
    enum Act {
        Read(usize),
        /// Looks, and takes at most this much of it.
        Look(usize),
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let room = prop_oneof![3 => size(), 1 => Just(4096)];
        prop::collection::vec(prop_oneof![3 => room.prop_map(Act::Read), 1 => size().prop_map(Act::Look)], 0..40)
    }

    /// What came of it.
    fn act(ahead: &mut Ahead, below: &mut Fitful, act: &Act) -> Poll<io::Result<Vec<u8>>> {
        let mut cx = Context::from_waker(Waker::noop());
        match act {
            Act::Read(length) => {
                // There is something in it already.
                let mut room = vec![0; 3 + length];
                let mut out = ReadBuf::new(&mut room);
                out.put_slice(b"old");
                let read = ahead.poll_read(below, &mut cx, &mut out);
                let (old, new) = out.filled().split_at(3);
                assert_eq!(old, b"old");
                assert!(new.is_empty() || matches!(read, Poll::Ready(Ok(()))));
                read.map_ok(|()| new.to_vec())
            }
            Act::Look(length) => {
                let taken = ready!(ahead.poll_fill(below, &mut cx))?;
                let taken = taken[..taken.len().min(*length)].to_vec();
                ahead.consume(taken.len());
                Poll::Ready(Ok(taken))
            }
        }
    }

    proptest! {
        #[test]
        fn fuzz_what_came_is_read_once_and_in_order(steps in steps(), length in 0..150_000usize, acts in acts()) {
            let source = &TAPE[..length];
            let mut below = Fitful::new(Script { steps, source, ..Script::default() });
            let mut ahead = Ahead::default();
            let mut read = Vec::new();
            // In the end nobody is slow any more, and everything is read.
            let patient = acts.iter().map(|act| (act, false)).chain(std::iter::repeat((&Act::Read(5000), true)));
            for (doing, is_end) in patient {
                if is_end {
                    below.script().steps.clear();
                }
                below.script().told.clear();
                let is_over = ahead.held.is_empty() && below.script().given == source.len();
                let outcome = act(&mut ahead, &mut below, doing);
                let script = below.script();
                prop_assert!(script.told.len() <= 1, "{:?} asks again after {:?}", doing, script.told);
                match (&outcome, script.told.last()) {
                    (Poll::Ready(Ok(_)), None | Some(Told::Done)) => {}
                    (Poll::Pending, Some(Told::Later)) => prop_assert!(!ahead.held.try_reclaim(1), "not even memory is held for who waits"),
                    (Poll::Ready(Err(error)), Some(Told::Failed(kind))) => prop_assert_eq!(error.kind(), *kind),
                    told => prop_assert!(false, "{:?}: {:?}", doing, told),
                }
                if let Poll::Ready(Ok(came)) = &outcome {
                    let (Act::Read(wanted) | Act::Look(wanted)) = doing;
                    prop_assert!(!came.is_empty() || *wanted == 0 || is_over, "{:?}: nothing is the end", doing);
                    read.extend_from_slice(came);
                }
                prop_assert!(source.starts_with(&read), "{:?}: once, and in order", doing);
                prop_assert_eq!(read.len() + ahead.held.len(), script.given, "{:?}: nothing is lost", doing);
                prop_assert!(ahead.held.capacity() <= AHEAD);
                let may_hold = ahead.more || !ahead.held.is_empty();
                prop_assert!(may_hold || !ahead.held.try_reclaim(1), "{:?}: memory is held for nothing", doing);
                if is_end && (script.broken.is_some() || matches!(&outcome, Poll::Ready(Ok(came)) if came.is_empty())) {
                    break;
                }
            }
            prop_assert!(read == source || below.script().broken.is_some());
        }
    }
}
