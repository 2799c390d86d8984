//! A request at the [`Gate`](crate::Gate).

use std::future::poll_fn;
use std::pin::Pin;

use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Response, request};
use hyper::body::{Body as _, Incoming};
use stickler_lb_core::Protocol;
use stickler_model::RequestId;
use tokio::time::timeout;

use super::peer::{Peer, view};
use super::shell::Shell;
use crate::{Admission, Gate};

/// Asks the gate. A request that passes has its changes made, and its body back; another is answered.
pub(super) async fn admit(
    gate: &dyn Gate,
    shell: &Shell,
    peer: &Peer,
    id: Option<RequestId>,
    parts: &mut request::Parts,
    body: Incoming,
) -> Result<Incoming, Response<Bytes>> {
    match gate.admit(peer.id, &view(parts, peer)).await {
        Admission::Pass(edits) => {
            for edit in edits {
                edit.apply(&mut parts.headers);
            }
            Ok(body)
        }
        Admission::Answer(mut answer) => {
            shell.gated(peer.id, id);
            let limits = &shell.limits;
            // What is left of it would be taken for the next request, but for HTTP/2, which has frames.
            let drained = timeout(limits.request_head, drain(body, limits.drain)).await;
            if drained != Ok(true) && peer.protocol == Protocol::Http1 {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Err(answer)
        }
    }
}

/// Reads a body to its end; false where it is longer than this, or breaks off.
async fn drain(mut body: Incoming, most: usize) -> bool {
    if body.size_hint().lower() > most as u64 {
        return false;
    }
    let mut left = most;
    loop {
        let data = match poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            None => return true,
            Some(Err(_)) => return false,
            Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len),
        };
        match left.checked_sub(data) {
            Some(less) => left = less,
            None => return false,
        }
    }
}
