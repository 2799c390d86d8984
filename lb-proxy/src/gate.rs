//! A gate in front of the policy: what a balancer does that ends authentication itself.
//!
//! A balancer sees headers, not secrets, so whoever authenticates comes from outside and implements [`Gate`].

use std::pin::Pin;

use bytes::Bytes;
use http::Response;

use stickler_lb_core::{DownstreamId, Edit, RequestHead};

/// A future on the heap, as an object's methods return it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Is asked about each request before the policy is, and may answer it.
///
/// Of one downstream connection it is asked one request at a time. A balancer without one pays nothing for it.
pub trait Gate: Send + Sync {
    /// A request's head has come, hop-by-hop fields removed. There is no time limit on the answer but the gate's own.
    fn admit<'a>(&'a self, downstream: DownstreamId, head: &'a RequestHead<'a>) -> BoxFuture<'a, Admission>;

    /// A downstream connection is gone, and with it whatever was authenticated on it. It is told of each connection,
    /// even of one that never asked.
    fn closed(&self, downstream: DownstreamId) {
        let _ = downstream;
    }
}

/// What becomes of a request at the gate.
#[derive(Debug)]
pub enum Admission {
    /// The policy is asked, after these changes to the request's header section. [`Edit::Append`] is safe here: they
    /// are made once, whatever is retried.
    Pass(Vec<Edit>),
    /// The balancer answers, and the policy is not asked. The request's body is read to its end first, up to
    /// [`crate::Limits::drain`], so that the downstream connection and the handshake on it go on; a body beyond that
    /// closes it, as `Connection: close` in the answer does.
    Answer(Response<Bytes>),
    /// The request has to come by HTTP/1.1, and nothing has been done about it: its stream of HTTP/2 is reset with
    /// `HTTP_1_1_REQUIRED` (RFC 9113 7). For a gate whose authentication belongs to a connection, where the streams of one
    /// would be in each other's way. Without meaning for a request that came by HTTP/1.1, which is answered 400.
    Http1Required,
}
