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

    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
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
    use std::net::IpAddr;
    use std::sync::Arc;
    use std::task::Waker;
    use std::time::Duration;

    use doorward_policy::wire::HeadLimits;
    use pingora::http::ResponseHeader;
    use pingora::protocols::raw_connect::ProxyDigest;
    use proptest::prelude::*;

    use super::super::connection::ConnectionState;
    use super::super::head_guard::{GuardLimits, HeadGuard};
    use super::super::tests::Recorder;
    use super::super::tests::fitful::{Fitful, Script, TAPE, Told, size, steps};
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

    /// What somebody who writes may do.
    #[derive(Debug, Clone)]
    enum Act {
        Write(usize),
        Parts(Vec<usize>),
        Flush,
        Shutdown,
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let act = prop_oneof![
            8 => size().prop_map(Act::Write),
            4 => prop::collection::vec(size(), 0..4).prop_map(Act::Parts),
            3 => Just(Act::Flush),
            1 => Just(Act::Shutdown),
        ];
        prop::collection::vec(act, 0..30)
    }

    /// `Outgoing` with nothing around it.
    struct Bare {
        outgoing: Outgoing,
        to: Fitful,
    }

    impl AsyncWrite for Bare {
        fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            let Self { outgoing, to } = &mut *self;
            outgoing.poll_write(to, cx, bytes)
        }

        fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
            let Self { outgoing, to } = &mut *self;
            outgoing.poll_write_vectored(to, cx, parts)
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            let Self { outgoing, to } = &mut *self;
            ready!(outgoing.poll_drain(to, cx))?;
            Pin::new(to).poll_flush(cx)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            let Self { outgoing, to } = &mut *self;
            ready!(outgoing.poll_drain(to, cx))?;
            Pin::new(to).poll_shutdown(cx)
        }
    }

    fn guard(to: Fitful) -> HeadGuard<Fitful> {
        let digest = Arc::new(ProxyDigest::new(Box::new(ResponseHeader::build(200, Some(0)).unwrap()), None));
        let hour = Duration::from_secs(3600);
        let limits = GuardLimits { head: HeadLimits::default(), header: hour, idle: hour };
        let state = Arc::new(ConnectionState::default());
        HeadGuard::http1(to, digest, state, limits, Arc::new(Recorder::default()), IpAddr::from([127, 0, 0, 1]))
    }

    /// Acts, and compares with the model: a queue without end whose front has come, and whose rest is held. `look` is asked after
    /// each act, and told whether everything was flushed. What was accepted.
    fn drive<W: AsyncWrite + Unpin>(writer: &mut W, below: &Fitful, acts: &[Act], mut look: impl FnMut(&mut W, bool)) -> Vec<u8> {
        let mut cx = Context::from_waker(Waker::noop());
        let mut accepted = Vec::new();
        for (index, act) in acts.iter().enumerate() {
            below.script().told.clear();
            // What was not accepted is offered never again: if it comes, it was held all the same.
            let mut rest = &TAPE[index * 101..];
            let mut part = |length| rest.split_off(..length).unwrap();
            let mut writer_now = Pin::new(&mut *writer);
            let (offered, outcome) = match act {
                Act::Write(length) => {
                    let bytes = part(*length);
                    (bytes.to_vec(), writer_now.as_mut().poll_write(&mut cx, bytes))
                }
                Act::Parts(lengths) => {
                    let parts: Vec<_> = lengths.iter().map(|length| IoSlice::new(part(*length))).collect();
                    (
                        parts.iter().map(|part| &**part).collect::<Vec<_>>().concat(),
                        writer_now.as_mut().poll_write_vectored(&mut cx, &parts),
                    )
                }
                Act::Flush => (Vec::new(), writer_now.as_mut().poll_flush(&mut cx).map_ok(|()| 0)),
                Act::Shutdown => (Vec::new(), writer_now.as_mut().poll_shutdown(&mut cx).map_ok(|()| 0)),
            };
            let script = below.script();
            let (last, before) = script.told.split_last().map_or((None, &[][..]), |(last, before)| (Some(*last), before));
            assert!(before.iter().all(|told| *told == Told::Done), "{act:?} goes on after {before:?}");
            match (&outcome, last) {
                (Poll::Pending, Some(Told::Later)) | (Poll::Ready(Ok(_)), None | Some(Told::Done)) => {}
                (Poll::Ready(Err(error)), Some(Told::Failed(kind))) => assert_eq!(error.kind(), kind),
                (Poll::Ready(Err(error)), Some(Told::TookNothing)) => assert_eq!(error.kind(), io::ErrorKind::WriteZero),
                (Poll::Ready(Ok(0)), Some(Told::TookNothing)) => assert!(!offered.is_empty()),
                told => panic!("{act:?}: {told:?}"),
            }
            if let Poll::Ready(Ok(taken)) = outcome {
                assert!(taken > 0 || offered.is_empty() || last == Some(Told::TookNothing), "{act:?} is not the end");
                accepted.extend_from_slice(&offered[..taken]);
            }
            assert!(accepted.starts_with(&script.came), "{act:?}: once, and in order");
            assert!(accepted.len() - script.came.len() <= COLLECTED, "{act:?}: a bound");
            let ended = matches!((act, &outcome), (Act::Flush | Act::Shutdown, Poll::Ready(Ok(_))));
            if ended {
                assert_eq!(script.came.len(), accepted.len(), "{act:?}: all of it");
            }
            match act {
                Act::Flush if ended => assert_eq!(script.flushed, accepted.len()),
                Act::Shutdown if ended => assert!(script.is_shut),
                _ => assert!(!script.is_shut),
            }
            drop(script);
            look(writer, ended);
            if ended && matches!(act, Act::Shutdown) {
                break;
            }
        }
        accepted
    }

    proptest! {
        #[test]
        fn fuzz_what_was_accepted_comes_once_and_in_order_or_is_taken_back(steps in steps(), vectored in any::<bool>(), acts in acts()) {
            let below = Fitful::new(Script { steps, vectored, ..Script::default() });
            let mut bare = Bare { outgoing: Outgoing::default(), to: below.clone() };
            let accepted = drive(&mut bare, &below, &acts, |bare, flushed| {
                assert!(bare.outgoing.held.capacity() <= 2 * COLLECTED);
                assert!(!flushed || !bare.outgoing.held.try_reclaim(1), "not even memory is held");
            });
            let left = bare.outgoing.take();
            prop_assert!([&below.script().came[..], &left[..]].concat() == accepted);
        }

        #[test]
        fn fuzz_a_guarded_client_hears_all_that_was_flushed_or_its_end(steps in steps(), vectored in any::<bool>(), acts in acts(), shuts in any::<bool>()) {
            // The guard has a clock for clients that read nothing.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let _inside = runtime.enter();
            let below = Fitful::new(Script { steps, vectored, ..Script::default() });
            let mut guard = guard(below.clone());
            let mut accepted = drive(&mut guard, &below, &acts, |_, _| {});
            if below.script().is_shut {
                return Ok(());
            }
            // Whatever happened, and as soon as the client reads again.
            below.script().steps.clear();
            let is_broken = below.script().broken.is_some();
            let end = if shuts { Act::Shutdown } else { Act::Flush };
            let mut cx = Context::from_waker(Waker::noop());
            let ended = match end {
                Act::Shutdown => Pin::new(&mut guard).poll_shutdown(&mut cx),
                _ => Pin::new(&mut guard).poll_flush(&mut cx),
            };
            let Poll::Ready(ended) = ended else { panic!("it waits for nobody") };
            prop_assert_eq!(ended.is_err(), is_broken);
            let came = below.script().came.len();
            accepted.truncate(if is_broken { came } else { accepted.len() });
            prop_assert!(below.script().came == accepted);
        }
    }
}
