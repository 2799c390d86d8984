//! The values of the script language.
//!
//! * `client.rs`: the methods of clients, and of requests in progress.
//! * `response.rs`: the attributes of a response, and the method that checks them.

#![expect(unsafe_code, reason = "Starlark's derives expand to `unsafe impl`; nothing here is written unsafe")]
#![expect(clippy::elidable_lifetime_names, reason = "`starlark_value` requires a named lifetime")]

mod client;
mod response;

use std::fmt;

use allocative::Allocative;
use starlark::environment::Methods;
use starlark::methods_static;
use starlark::values::{
    AllocValue, Heap, NoSerialize, ProvidesStaticType, StarlarkValue, Trace, Value, starlark_value,
};
use stickler_model::{Answer, Name, RequestId, topology};

use super::errors::ScriptError;
use crate::site::{self, ServerChange};
use client::{client_methods, pending_methods};
pub(super) use response::ATTRIBUTES;
use response::response_methods;

/// A client: `alice = curl("alice")`.
#[derive(Debug, ProvidesStaticType, NoSerialize, Trace, Allocative)]
pub(super) struct Client {
    #[trace(unsafe_ignore)]
    #[allocative(skip)]
    pub(super) name: Name,
}

/// A request in progress: `p = alice.start("GET", "/")`.
#[derive(Debug, ProvidesStaticType, NoSerialize, Trace, Allocative)]
pub(super) struct Pending {
    #[trace(unsafe_ignore)]
    #[allocative(skip)]
    request: RequestId,
}

/// The answer to a request: `r = alice.get("/")`.
#[derive(Debug, ProvidesStaticType, NoSerialize, Trace, Allocative)]
pub(super) struct Response {
    #[trace(unsafe_ignore)]
    #[allocative(skip)]
    answer: Answer,
}

/// A body by recipe: `bytes_of(100000)`.
#[derive(Debug, ProvidesStaticType, NoSerialize, Trace, Allocative)]
pub(super) struct Body {
    pub(super) length: u64,
}

/// A kind of server other than IIS: `tracked()`, `trusted_header("X-User")`, `rogue("garbage")`.
#[derive(Debug, ProvidesStaticType, NoSerialize, Trace, Allocative)]
pub(super) struct Acceptor(
    #[trace(unsafe_ignore)]
    #[allocative(skip)]
    pub(super) topology::Acceptor,
);

/// The authentication of servers: `windows_authentication()`.
#[derive(Debug, ProvidesStaticType, NoSerialize, Trace, Allocative)]
pub(super) struct Settings(
    #[trace(unsafe_ignore)]
    #[allocative(skip)]
    pub(super) topology::SiteSpec,
);

/// The settings in which one server differs: `server(certificate = "expired")`.
#[derive(Debug, ProvidesStaticType, NoSerialize, Trace, Allocative)]
pub(super) struct Server(
    #[trace(unsafe_ignore)]
    #[allocative(skip)]
    pub(super) ServerChange,
);

/// A domain controller: `controller("dc2")`.
#[derive(Debug, ProvidesStaticType, NoSerialize, Trace, Allocative)]
pub(super) struct Controller(
    #[trace(unsafe_ignore)]
    #[allocative(skip)]
    pub(super) topology::ControllerSpec,
);

/// A second domain: `partner()`.
#[derive(Debug, ProvidesStaticType, NoSerialize, Trace, Allocative)]
pub(super) struct Partner(
    #[trace(unsafe_ignore)]
    #[allocative(skip)]
    pub(super) site::Partner,
);

methods_static!(CLIENT_METHODS = client_methods);
methods_static!(PENDING_METHODS = pending_methods);
methods_static!(RESPONSE_METHODS = response_methods);

#[starlark_value(type = "client", StarlarkTypeRepr, UnpackValue)]
impl<'v> StarlarkValue<'v> for Client {
    fn get_methods() -> Option<&'static Methods> {
        Some(CLIENT_METHODS.methods())
    }
}

#[starlark_value(type = "request", StarlarkTypeRepr, UnpackValue)]
impl<'v> StarlarkValue<'v> for Pending {
    fn get_methods() -> Option<&'static Methods> {
        Some(PENDING_METHODS.methods())
    }
}

#[starlark_value(type = "response", StarlarkTypeRepr, UnpackValue)]
impl<'v> StarlarkValue<'v> for Response {
    fn get_methods() -> Option<&'static Methods> {
        Some(RESPONSE_METHODS.methods())
    }

    fn get_attr(&self, attribute: &str, heap: Heap<'v>) -> Option<Value<'v>> {
        self.attribute(attribute, heap)
    }

    fn dir_attr(&self) -> Vec<String> {
        ATTRIBUTES.iter().map(|&(name, ..)| name.to_owned()).collect()
    }
}

#[starlark_value(type = "body", StarlarkTypeRepr, UnpackValue)]
impl<'v> StarlarkValue<'v> for Body {}

#[starlark_value(type = "acceptor", StarlarkTypeRepr, UnpackValue)]
impl<'v> StarlarkValue<'v> for Acceptor {}

#[starlark_value(type = "server", StarlarkTypeRepr, UnpackValue)]
impl<'v> StarlarkValue<'v> for Server {}

#[starlark_value(type = "controller", StarlarkTypeRepr, UnpackValue)]
impl<'v> StarlarkValue<'v> for Controller {}

#[starlark_value(type = "partner", StarlarkTypeRepr, UnpackValue)]
impl<'v> StarlarkValue<'v> for Partner {}

#[starlark_value(type = "authentication", StarlarkTypeRepr, UnpackValue)]
impl<'v> StarlarkValue<'v> for Settings {}

/// Returns the changes that a value describes: `server()`, `windows_authentication()`, or a server that is not IIS.
pub(super) fn server_change(value: Value<'_>) -> Result<ServerChange, ScriptError> {
    use starlark::values::ValueLike as _;
    if let Some(server) = value.downcast_ref::<Server>() {
        return Ok(server.0.clone());
    }
    if let Some(settings) = value.downcast_ref::<Settings>() {
        return Ok(ServerChange { authentication: Some(settings.0.clone()), ..ServerChange::default() });
    }
    if let Some(acceptor) = value.downcast_ref::<Acceptor>() {
        return Ok(ServerChange { acceptor: Some(acceptor.0.clone()), ..ServerChange::default() });
    }
    let expected = "server(...), windows_authentication(...), tracked(), trusted_header() or rogue()";
    Err(ScriptError::Type { expected, found: value.to_repr() })
}

/// Defines how a value is allocated and shown. A value that is `bound` to a world stays in the module that made it; a
/// `value` can come from a loaded file.
macro_rules! allocated_and_shown {
    (bound $type:ident, |$this:ident| $format:literal, $($argument:expr),*) => {
        allocated_and_shown!($type, alloc_complex_no_freeze, |$this| $format, $($argument),*);
    };
    (value $type:ident, |$this:ident| $format:literal, $($argument:expr),*) => {
        allocated_and_shown!($type, alloc_simple, |$this| $format, $($argument),*);
    };
    ($type:ident, $allocate:ident, |$this:ident| $format:literal, $($argument:expr),*) => {
        impl<'v> AllocValue<'v> for $type {
            fn alloc_value(self, heap: Heap<'v>) -> Value<'v> {
                heap.$allocate(self)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let $this = self;
                write!(f, $format, $($argument),*)
            }
        }
    };
}

allocated_and_shown!(bound Client, |this| "<client {}>", this.name);
allocated_and_shown!(bound Pending, |this| "<request {}>", this.request);
allocated_and_shown!(
    bound Response,
    |this| "<response to {}: {}>",
    this.answer.request,
    this.answer.status.map_or("none".to_owned(), |status| status.to_string())
);
allocated_and_shown!(value Acceptor, |this| "<acceptor {:?}>", this.0);
allocated_and_shown!(value Server, |this| "<server {:?}>", this.0);
allocated_and_shown!(value Controller, |this| "<controller {:?}>", this.0);
allocated_and_shown!(value Partner, |this| "<partner {:?}>", this.0);
allocated_and_shown!(value Settings, |this| "<authentication {:?}>", this.0);
allocated_and_shown!(value Body, |this| "bytes_of({})", this.length);
