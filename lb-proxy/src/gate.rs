//! The gate in front of the policy, for a balancer that terminates authentication.
//!
//! A balancer sees headers and no secrets. Therefore the code that authenticates comes from outside, and implements
//! [`Gate`].

use std::pin::Pin;

use bytes::Bytes;
use http::Response;

use stickler_lb_core::{DownstreamId, Edit, RequestHead};

/// A boxed future, which the methods of a trait object return.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Decides about each request before the policy does, and may answer it.
///
/// For one downstream connection, the data plane asks about one request at a time. A balancer without a gate has no
/// cost.
pub trait Gate: Send + Sync {
    /// Decides about a request whose head has arrived, without hop-by-hop fields. Only the gate itself limits the time
    /// of its answer.
    fn admit<'a>(&'a self, downstream: DownstreamId, head: &'a RequestHead<'a>) -> BoxFuture<'a, Admission>;

    /// Tells the gate that a downstream connection is gone. Authentication on the connection is no longer valid. The
    /// data plane reports each connection, even one without requests.
    fn closed(&self, downstream: DownstreamId) {
        let _ = downstream;
    }
}

/// The decision of a gate about a request.
#[derive(Debug)]
pub enum Admission {
    /// These changes to the request's header section are made, and then the policy is asked. [`Edit::Append`] is safe
    /// here, because the changes are made only once, even if the request is retried.
    Pass(Vec<Edit>),
    /// The balancer answers, and the policy is not asked. The request's body is read to its end first, up to
    /// [`crate::Limits::drain`], so that the downstream connection and the handshake on it can continue. A longer body
    /// closes the connection, and so does `Connection: close` in the answer.
    Answer(Response<Bytes>),
    /// The request has not been processed, and must be sent again over HTTP/1.1: its HTTP/2 stream is reset with
    /// `HTTP_1_1_REQUIRED` (RFC 9113 7). A gate whose authentication belongs to a connection needs this, because
    /// concurrent streams would interfere with one another. It is not valid for a request over HTTP/1.1, which is
    /// answered 400.
    Http1Required,
}
