//! HTTP/2 PINGs: finds out that a peer is gone when nothing else would (a node that vanished sends no FIN).

use crate::limits;
use h2::{Ping, PingPong};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep};

/// When to ping, and how long to wait for the answer.
#[derive(Debug, Clone, Copy)]
pub struct PingTimes {
    /// Between an answer and the next PING.
    pub interval: Duration,
    /// For an answer.
    pub timeout: Duration,
}

impl Default for PingTimes {
    fn default() -> Self {
        Self { interval: limits::HBONE_PING_INTERVAL, timeout: limits::HBONE_PING_TIMEOUT }
    }
}

/// One connection's PINGs.
pub(super) struct Keepalive {
    pings: PingPong,
    times: PingTimes,
    timer: Pin<Box<Sleep>>,
    awaiting_pong: bool,
}

impl Keepalive {
    pub(super) fn new(pings: PingPong, times: PingTimes) -> Self {
        Self { pings, times, timer: Box::pin(sleep(times.interval)), awaiting_pong: false }
    }

    /// Ready once the peer failed to answer in time. To be polled before the connection, which carries the PING.
    pub(super) fn poll_dead(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.awaiting_pong {
                // An error is the connection's own end, which its driver hears of by itself.
                if self.pings.poll_pong(cx).is_ready() {
                    self.awaiting_pong = false;
                    self.restart(self.times.interval);
                    continue;
                }
                return self.timer.as_mut().poll(cx);
            }
            ready!(self.timer.as_mut().poll(cx));
            if self.pings.send_ping(Ping::opaque()).is_err() {
                return Poll::Pending;
            }
            self.awaiting_pong = true;
            self.restart(self.times.timeout);
        }
    }

    fn restart(&mut self, after: Duration) {
        self.timer.as_mut().reset(Instant::now() + after);
    }
}
