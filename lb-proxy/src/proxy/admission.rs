//! The passage of a request through the [`Gate`](crate::Gate).

use std::sync::Arc;

use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Response, request};
use stickler_lb_core::Protocol;
use stickler_model::RequestId;
use stickler_net::Net;

use super::context::Proxy;
use super::peer::{Peer, view};
use super::request_body::RequestBody;
use super::rest::read_rest;
use crate::{Admission, Gate};

/// Asks the gate. If a request passes, its changes are made, and its body is returned. Any other request is answered,
/// or must be sent again over HTTP/1.1 (`None`).
pub(super) async fn admit<N: Net>(
    gate: &dyn Gate,
    proxy: &Arc<Proxy<N>>,
    peer: &Peer,
    id: Option<RequestId>,
    parts: &mut request::Parts,
    body: RequestBody,
) -> Result<RequestBody, Option<Response<Bytes>>> {
    match gate.admit(peer.id, &view(parts, peer)).await {
        Admission::Pass(edits) => {
            for edit in edits {
                edit.apply(&mut parts.headers);
            }
            Ok(body)
        }
        Admission::Answer(mut answer) => {
            proxy.shell.gated(peer.id, id);
            // In HTTP/1.1, the rest of the body would be mistaken for the next request. HTTP/2 has frames.
            if !read_rest(proxy, peer, parts, body).await && peer.protocol == Protocol::Http1 {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Err(Some(answer))
        }
        Admission::Http1Required => {
            proxy.shell.gated(peer.id, id);
            Err(None)
        }
    }
}
