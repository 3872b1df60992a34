//! Interim responses (1xx) of an endpoint, on their way from hyper, which reads them, to the attempt that waits.
//!
//! Of HTTP/1 endpoints only: hyper does not tell of those in HTTP/2. Invariant: an endpoint that sends without end
//! fills neither memory nor the connection to the client. Spec: RFC 9110 §15.2, RFC 8297.
//! Envoy: `proxy_100_continue`; 100, 102, 103 and 104 are passed on, asked for or not. Differs from Envoy, which passes
//! only the first on, because a 102 must not hide the hints of a 103.

use crate::limits;
use crate::proxy::http::framing;
use crate::proxy::http::session::ResponseHead;
use http::{HeaderMap, Request, StatusCode};
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// The end that hyper's connection fills.
pub(super) struct Heard(mpsc::Sender<ResponseHead>);

/// The end an attempt takes them from.
pub(super) struct Interims {
    waiting: mpsc::Receiver<ResponseHead>,
    left: usize,
}

impl Heard {
    /// Has the interim responses to this request told.
    pub(super) fn listen<B>(self, request: &mut Request<B>) {
        hyper::ext::on_informational(request, move |head| {
            if is_passed_on(head.status()) {
                // An exchange that is over needs none, and too many are no answer.
                let _ = self.0.try_send(interim(head.status(), head.headers()));
            }
        });
    }
}

impl Interims {
    pub(super) fn new() -> (Heard, Self) {
        let (heard, waiting) = mpsc::channel(limits::INTERIMS_WAITING);
        (Heard(heard), Self { waiting, left: limits::INTERIMS })
    }

    /// Pending for ever once no more may come.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<ResponseHead> {
        match self.waiting.poll_recv(cx) {
            Poll::Ready(Some(head)) if self.take() => Poll::Ready(head),
            _ => Poll::Pending,
        }
    }

    /// Those that came already.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = ResponseHead> {
        std::iter::from_fn(|| self.waiting.try_recv().ok().filter(|_| self.take()))
    }

    fn take(&mut self) -> bool {
        let may = self.left > 0;
        self.left = self.left.saturating_sub(1);
        may
    }
}

/// Envoy: what has another number is dropped.
fn is_passed_on(status: StatusCode) -> bool {
    matches!(status.as_u16(), 100 | 102..=104)
}

fn interim(status: StatusCode, headers: &HeaderMap) -> ResponseHead {
    let mut headers = headers.clone();
    framing::strip_response(&mut headers, false);
    ResponseHead { status, headers, case: None }
}

#[cfg(test)]
mod tests;
