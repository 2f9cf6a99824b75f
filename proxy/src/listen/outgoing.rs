//! What is written to a client, collected until it is flushed.
//!
//! pingora writes the head of an answer and its body one after the other. Collected above TLS they are one record and one
//! system call. Nothing is held once it is flushed: connections are idle most of the time.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::AsyncWrite;

/// An answer's head and a small body.
const COLLECTED: usize = 4 * 1024;

/// Bytes that were written and have not gone to the stream below.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    held: BytesMut,
}

impl Outgoing {
    /// What was held, which is the caller's to write from now on.
    pub(super) fn take(&mut self) -> BytesMut {
        std::mem::take(&mut self.held)
    }

    /// Ready when nothing is held any more.
    pub(super) fn poll_drain<W: AsyncWrite + Unpin>(&mut self, to: &mut W, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            let written = ready!(Pin::new(&mut *to).poll_write(cx, &self.held))?;
            self.advance(written)?;
        }
        self.held = BytesMut::new();
        Poll::Ready(Ok(()))
    }

    pub(super) fn poll_write<W: AsyncWrite + Unpin>(&mut self, to: &mut W, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.collects(bytes.len()) {
            self.held.extend_from_slice(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        while !self.held.is_empty() {
            // Together: what is held begins the record that the rest goes on with.
            let held = self.held.len();
            let written = ready!(Pin::new(&mut *to).poll_write_vectored(cx, &[IoSlice::new(&self.held), IoSlice::new(bytes)]))?;
            self.advance(written.min(held))?;
            if written > held {
                return Poll::Ready(Ok(written - held));
            }
        }
        Pin::new(to).poll_write(cx, bytes)
    }

    pub(super) fn poll_write_vectored<W: AsyncWrite + Unpin>(
        &mut self,
        to: &mut W,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = parts.iter().map(|part| part.len()).sum();
        if self.collects(length) {
            parts.iter().for_each(|part| self.held.extend_from_slice(part));
            return Poll::Ready(Ok(length));
        }
        ready!(self.poll_drain(to, cx))?;
        Pin::new(to).poll_write_vectored(cx, parts)
    }

    /// Whether there is room for this much more.
    fn collects(&mut self, length: usize) -> bool {
        let fits = self.held.len() + length <= COLLECTED;
        if fits && self.held.capacity() == 0 {
            self.held.reserve(COLLECTED);
        }
        fits
    }

    fn advance(&mut self, written: usize) -> io::Result<()> {
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.held.advance(written);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    /// Takes a few bytes at a time, and says what came in each call.
    struct Slow {
        came: Vec<Vec<u8>>,
        at_once: usize,
    }

    impl AsyncWrite for Slow {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            let taken = bytes.len().min(self.at_once);
            self.came.push(bytes[..taken].to_vec());
            Poll::Ready(Ok(taken))
        }

        fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
            let whole: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
            self.poll_write(cx, &whole)
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    async fn write(outgoing: &mut Outgoing, to: &mut Slow, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let written = poll_fn(|cx| outgoing.poll_write(to, cx, bytes)).await.unwrap();
            bytes = &bytes[written..];
        }
    }

    #[tokio::test]
    async fn a_head_and_a_small_body_leave_together_and_nothing_is_held_after() {
        let (mut outgoing, mut to) = (Outgoing::default(), Slow { came: Vec::new(), at_once: usize::MAX });
        write(&mut outgoing, &mut to, b"head ").await;
        write(&mut outgoing, &mut to, b"body").await;
        assert!(to.came.is_empty());
        poll_fn(|cx| outgoing.poll_drain(&mut to, cx)).await.unwrap();
        assert_eq!(to.came, [b"head body".to_vec()]);
        assert_eq!(outgoing.held.capacity(), 0);
    }

    #[tokio::test]
    async fn order_stays_whatever_the_sizes_and_however_slow_it_goes() {
        for at_once in [1, 3, 1000, 5000, usize::MAX] {
            let (mut outgoing, mut to) = (Outgoing::default(), Slow { came: Vec::new(), at_once });
            let mut expected = Vec::new();
            for (index, size) in [10, 4090, 10, 5000, 0, 1, 4096, 20_000, 3].into_iter().enumerate() {
                let part = vec![index as u8; size];
                expected.extend_from_slice(&part);
                if index % 2 == 0 {
                    write(&mut outgoing, &mut to, &part).await;
                    continue;
                }
                let mut sent = 0;
                while sent < size {
                    let parts = [IoSlice::new(&part[sent..]), IoSlice::new(&[])];
                    sent += poll_fn(|cx| outgoing.poll_write_vectored(&mut to, cx, &parts)).await.unwrap();
                }
            }
            poll_fn(|cx| outgoing.poll_drain(&mut to, cx)).await.unwrap();
            assert_eq!(to.came.concat(), expected, "{at_once}");
        }
    }
}
