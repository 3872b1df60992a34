use super::Deferred;
use crate::limits;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use tokio::io::AsyncWrite;

/// A transport that takes `room` bytes, and counts its calls.
#[derive(Debug, Default)]
struct Transport {
    taken: Vec<u8>,
    room: usize,
    writes: usize,
    flushes: usize,
}

impl AsyncWrite for Transport {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let length = buf.len().min(self.room);
        if length == 0 {
            return Poll::Pending;
        }
        self.writes += 1;
        self.room -= length;
        self.taken.extend_from_slice(&buf[..length]);
        Poll::Ready(Ok(length))
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.flushes += 1;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn cx() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

#[test]
fn many_frames_and_flushes_become_one_write() {
    let (mut io, flush) = Deferred::new(Transport { room: usize::MAX, ..Transport::default() });
    for frame in [b"one", b"two"] {
        assert!(matches!(Pin::new(&mut io).poll_write(&mut cx(), frame), Poll::Ready(Ok(3))));
        assert!(Pin::new(&mut io).poll_flush(&mut cx()).is_ready());
    }
    let vectored =
        Pin::new(&mut io).poll_write_vectored(&mut cx(), &[IoSlice::new(b"th"), IoSlice::new(b"ree")]);
    assert!(matches!(vectored, Poll::Ready(Ok(5))));
    assert_eq!(io.lock().io.writes, 0);
    assert!(flush.poll_flush(&mut cx()).is_ready());
    assert!(flush.poll_flush(&mut cx()).is_ready());
    let gather = io.lock();
    assert_eq!(gather.io.taken, b"onetwothree");
    assert_eq!((gather.io.writes, gather.io.flushes), (1, 1), "nothing to write, nothing to flush");
}

#[test]
fn a_full_transport_holds_the_writer_back_and_loses_nothing() {
    let (mut io, flush) = Deferred::new(Transport { room: 10, ..Transport::default() });
    let block = [7; 1024];
    let mut written = 0;
    while let Poll::Ready(Ok(length)) = Pin::new(&mut io).poll_write(&mut cx(), &block) {
        written += length;
        assert!(written <= limits::DEFERRED_FLUSH_BUFFER + block.len(), "gathers without end");
    }
    assert!(flush.poll_flush(&mut cx()).is_pending());
    io.lock().io.room = usize::MAX;
    assert!(flush.poll_flush(&mut cx()).is_ready());
    assert_eq!(io.lock().io.taken.len(), written);
}

#[test]
fn a_long_write_passes_through_behind_what_was_gathered() {
    let (mut io, flush) = Deferred::new(Transport { room: usize::MAX, ..Transport::default() });
    let long = vec![b'x'; super::WRITE_THROUGH];
    assert!(Pin::new(&mut io).poll_write(&mut cx(), b"head").is_ready());
    assert!(matches!(Pin::new(&mut io).poll_write(&mut cx(), &long), Poll::Ready(Ok(n)) if n == long.len()));
    assert_eq!(io.lock().io.taken.len(), 4 + long.len());
    assert!(io.lock().io.taken.starts_with(b"headx"));
    assert!(flush.poll_flush(&mut cx()).is_ready());
    assert_eq!(io.lock().io.flushes, 1);
}

#[test]
fn shutdown_writes_what_was_gathered() {
    let (mut io, _flush) = Deferred::new(Transport { room: usize::MAX, ..Transport::default() });
    assert!(Pin::new(&mut io).poll_write(&mut cx(), b"bye").is_ready());
    assert!(Pin::new(&mut io).poll_shutdown(&mut cx()).is_ready());
    assert_eq!(io.lock().io.taken, b"bye");
}
