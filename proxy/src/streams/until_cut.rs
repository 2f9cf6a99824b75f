//! The future that serves a request, and its end from outside.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Sleep;

use super::OpenStream;

/// How long an HTTP/1 request that was cut may take to end by itself: its client gets half a second to hear of it, and its
/// app may be taking nothing at all.
pub(super) const FAREWELL: Duration = Duration::from_secs(1);

thread_local! {
    /// The stream that a request became while its future was polled: between the beginning and the end of one `poll` nothing else
    /// runs on a thread.
    static SERVED: Cell<Option<Arc<OpenStream>>> = const { Cell::new(None) };
}

/// Tells the future at work which stream it serves. Outside [`until_cut`] there is nobody to tell, which is so in tests alone.
pub(super) fn serves(stream: &Arc<OpenStream>) {
    SERVED.set(Some(stream.clone()));
}

/// Serves a request; `None` as soon as it may not go on. A request that never becomes a stream costs a look at a
/// thread-local value here.
pub fn until_cut<T>(serving: impl Future<Output = Option<T>> + Unpin) -> impl Future<Output = Option<T>> {
    UntilCut { serving, stream: None, farewell: None }
}

struct UntilCut<F> {
    serving: F,
    stream: Option<Arc<OpenStream>>,
    farewell: Option<Pin<Box<Sleep>>>,
}

impl<F: Future<Output = Option<T>> + Unpin, T> UntilCut<F> {
    /// Ready when the request's own time to end is over: none on HTTP/2, where nothing would end it.
    fn poll_farewell(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(stream) = self.stream.as_ref().filter(|stream| stream.ended().is_some()) else { return Poll::Pending };
        if stream.connection.is_none() {
            return Poll::Ready(());
        }
        self.farewell.get_or_insert_with(|| Box::pin(tokio::time::sleep(FAREWELL))).as_mut().poll(cx)
    }
}

impl<F: Future<Output = Option<T>> + Unpin, T> Future for UntilCut<F> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let this = self.get_mut();
        // Registered before the look: a cut after it wakes this task again.
        if let Some(stream) = &this.stream {
            stream.task.register(cx.waker());
        }
        if this.poll_farewell(cx).is_ready() {
            return Poll::Ready(None);
        }
        // What another left behind when it panicked is not this one's.
        SERVED.set(None);
        let served = Pin::new(&mut this.serving).poll(cx);
        let began = SERVED.take();
        if served.is_pending() && this.stream.is_none() {
            this.stream = began;
            if let Some(stream) = &this.stream {
                stream.task.register(cx.waker());
                if stream.ended().is_some() {
                    cx.waker().wake_by_ref();
                }
            }
        }
        served
    }
}
