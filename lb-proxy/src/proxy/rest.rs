//! The rest of a request that the balancer answers itself.

use std::future::{Future as _, poll_fn};
use std::sync::Arc;
use std::task::Poll;

use http::header::EXPECT;
use http::request;
use hyper::body::Body as _;
use stickler_lb_core::Protocol;
use stickler_net::Net;

use super::context::Proxy;
use super::peer::Peer;
use super::request_body::RequestBody;

/// Reads the rest of a request that the balancer answers itself. The answer does not wait for what has not arrived yet.
/// Returns whether the connection can continue after the answer.
pub(super) async fn read_rest<N: Net>(
    proxy: &Arc<Proxy<N>>,
    peer: &Peer,
    parts: &request::Parts,
    body: RequestBody,
) -> bool {
    let limits = &proxy.shell.limits;
    // A client that waits for 100 (Continue) may send no body after another answer. So it is told to go on.
    if body.is_end_stream() || body.is_too_long(limits) || parts.headers.contains_key(EXPECT) {
        return body.drain(limits).await;
    }
    let owner = Arc::clone(proxy);
    let mut reading = Box::pin(async move { body.drain(&owner.shell.limits).await });
    let now = poll_fn(|cx| Poll::Ready(reading.as_mut().poll(cx))).await;
    if let Poll::Ready(whole) = now {
        return whole;
    }
    // The streams of HTTP/2 do not wait for each other.
    let done = (peer.protocol == Protocol::Http1).then(|| proxy.shell.finishing(peer.id));
    proxy.net.spawn(async move {
        reading.await;
        drop(done);
    });
    true
}
