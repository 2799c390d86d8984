//! The methods of clients, and of requests in progress.

#![expect(
    clippy::too_many_arguments,
    clippy::unnecessary_wraps,
    reason = "Starlark requires a Result from every function, and a script passes named arguments"
)]

use std::time::Duration;

use starlark::environment::MethodsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::Value;
use starlark::values::dict::UnpackDictEntries;
use starlark::values::none::{NoneOr, NoneType};
use stickler_model::bounds::MAX_PATIENCE;
use stickler_model::{BodySending, Name, Payload, RequestId, RequestSpec};

use super::super::errors::ScriptError;
use super::super::session::Session;
use super::{Body, Client, Pending, Response};
use crate::site;

impl Client {
    pub(in super::super) fn name(&self) -> Name {
        self.name.clone()
    }
}

#[starlark_module]
pub(super) fn client_methods(builder: &mut MethodsBuilder) {
    /// The client's name, which is also that of its host.
    #[starlark(attribute)]
    fn name(this: &Client) -> starlark::Result<String> {
        Ok(this.name.to_string())
    }

    /// Requests a page with `GET`, and waits for the answer.
    ///
    /// # Arguments
    /// * `path`: The path, percent-encoded, optionally with a query.
    /// * `headers`: Fields that the client adds to the request, except those that it sends by itself.
    ///
    /// # Returns
    /// The answer.
    ///
    /// Examples:
    /// ```python
    /// alice.get("/inbox").expect(status = 200, user = "CORP\\alice")
    /// ```
    fn get<'v>(
        this: &Client,
        #[starlark(default = "/")] path: &str,
        #[starlark(require = named)] headers: Option<Headers>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Response> {
        Ok(ask(request(this, "GET", path, Payload::Empty, headers)?, eval)?)
    }

    /// Sends a body with `POST`, and waits for the answer.
    ///
    /// # Arguments
    /// * `path`: The path, percent-encoded, optionally with a query.
    /// * `body`: A text of at most 1 MiB, `bytes_of(...)`, or `None`.
    /// * `headers`: Fields that the client adds to the request, except those that it sends by itself.
    /// * `chunked`: Whether the body is sent in chunks, so that its length is not known in advance.
    /// * `expect`: Whether the client waits for `100 Continue` before it sends the body. The default depends on the
    ///   kind of the client.
    /// * `limit_rate`: The number of bytes of the body that are sent in a second (curl: `--limit-rate`). By default,
    ///   there is no limit.
    ///
    /// # Returns
    /// The answer.
    ///
    /// Examples:
    /// ```python
    /// alice.post("/upload", bytes_of(300000), chunked = True, limit_rate = 50000)
    /// ```
    fn post<'v>(
        this: &Client,
        path: &str,
        body: Value<'v>,
        #[starlark(require = named)] headers: Option<Headers>,
        #[starlark(require = named, default = false)] chunked: bool,
        #[starlark(require = named)] expect: Option<bool>,
        #[starlark(require = named)] limit_rate: Option<i64>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Response> {
        let spec = request(this, "POST", path, payload(body)?, headers)?;
        Ok(ask(sent(spec, chunked, expect, limit_rate)?, eval)?)
    }

    /// Sends a request with any method, and waits for the answer.
    ///
    /// # Arguments
    /// * `method`: The method: a token of RFC 9110.
    /// * `path`: The path, percent-encoded, optionally with a query.
    /// * `body`: A text of at most 1 MiB, `bytes_of(...)`, or `None`.
    /// * `headers`: Fields that the client adds to the request, except those that it sends by itself.
    /// * `chunked`: Whether the body is sent in chunks, so that its length is not known in advance.
    /// * `expect`: Whether the client waits for `100 Continue` before it sends the body. The default depends on the
    ///   kind of the client.
    /// * `limit_rate`: The number of bytes of the body that are sent in a second (curl: `--limit-rate`). By default,
    ///   there is no limit.
    ///
    /// # Returns
    /// The answer.
    fn request<'v>(
        this: &Client,
        method: &str,
        path: &str,
        #[starlark(default = NoneType)] body: Value<'v>,
        #[starlark(require = named)] headers: Option<Headers>,
        #[starlark(require = named, default = false)] chunked: bool,
        #[starlark(require = named)] expect: Option<bool>,
        #[starlark(require = named)] limit_rate: Option<i64>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Response> {
        let spec = request(this, method, path, payload(body)?, headers)?;
        Ok(ask(sent(spec, chunked, expect, limit_rate)?, eval)?)
    }

    /// Starts a request, and does not wait for its answer.
    ///
    /// # Arguments
    /// * `method`: The method: a token of RFC 9110.
    /// * `path`: The path, percent-encoded, optionally with a query.
    /// * `body`: A text of at most 1 MiB, `bytes_of(...)`, or `None`.
    /// * `headers`: Fields that the client adds to the request, except those that it sends by itself.
    /// * `chunked`: Whether the body is sent in chunks, so that its length is not known in advance.
    /// * `expect`: Whether the client waits for `100 Continue` before it sends the body. The default depends on the
    ///   kind of the client.
    /// * `limit_rate`: The number of bytes of the body that are sent in a second (curl: `--limit-rate`). By default,
    ///   there is no limit.
    ///
    /// # Returns
    /// The request. Its `wait()` waits for the answer. Assign it to `_` if the answer does not matter.
    ///
    /// Examples:
    /// ```python
    /// first = alice.start("POST", "/upload", bytes_of(100000))
    /// advance(ms = 5)
    /// first.wait().expect(status = 200)
    /// ```
    fn start<'v>(
        this: &Client,
        method: &str,
        path: &str,
        #[starlark(default = NoneType)] body: Value<'v>,
        #[starlark(require = named)] headers: Option<Headers>,
        #[starlark(require = named, default = false)] chunked: bool,
        #[starlark(require = named)] expect: Option<bool>,
        #[starlark(require = named)] limit_rate: Option<i64>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Pending> {
        let spec = request(this, method, path, payload(body)?, headers)?;
        let request = Session::of(eval).start(sent(spec, chunked, expect, limit_rate)?)?;
        Ok(Pending { request })
    }

    /// Sends bytes unchanged on a bare connection of the client's host. It stops reading when the connection ends, or
    /// when nothing has arrived for some time.
    ///
    /// # Arguments
    /// * `text`: The text to send, at most 1 MiB.
    /// * `patience_ms`: The time without data after which it stops reading, in milliseconds.
    ///
    /// # Returns
    /// The received bytes as text.
    ///
    /// Examples:
    /// ```python
    /// alice.send_raw("GET / HTTP/1.1\r\nHost: www.corp.example\r\n\r\n")
    /// ```
    fn send_raw<'v>(
        this: &Client,
        text: &str,
        #[starlark(require = named, default = 1000)] patience_ms: i64,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<String> {
        let patience = Duration::from_millis(u64::try_from(patience_ms).unwrap_or(0)).min(MAX_PATIENCE);
        let answer = Session::of(eval).send_raw(this.name.clone(), text, patience)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// Makes the token with which the client would begin to authenticate under `Negotiate`, for `send_raw()`. The token
    /// is not sent.
    ///
    /// # Returns
    /// The token as `Authorization` carries it, or `None` if the client has no token to offer. With NTLM it is the same
    /// text each time, which refers to the latest token.
    fn make_token<'v>(this: &Client, eval: &mut Evaluator<'v, '_, '_>) -> starlark::Result<NoneOr<String>> {
        Ok(NoneOr::from_option(Session::of(eval).make_token(this.name.clone())?))
    }

    /// Replaces the user at the client. The client authenticates again, on its existing connections.
    ///
    /// # Arguments
    /// * `user`: The user.
    /// * `password`: The password that is typed. The default is the directory's.
    fn switch_user<'v>(
        this: &Client,
        user: &str,
        #[starlark(require = named)] password: Option<String>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<NoneType> {
        let session = Session::of(eval);
        let identity = session.site(|topology| site::identity(topology, user, password))?;
        session.switch_user(this.name.clone(), identity)?;
        Ok(NoneType)
    }

    /// Closes the client's connections. Later requests use new ones.
    fn disconnect(this: &Client, eval: &mut Evaluator) -> starlark::Result<NoneType> {
        Session::of(eval).disconnect(this.name.clone())?;
        Ok(NoneType)
    }
}

#[starlark_module]
pub(super) fn pending_methods(builder: &mut MethodsBuilder) {
    /// Waits for the answer. A second call returns the same answer.
    ///
    /// # Returns
    /// The answer.
    fn wait(this: &Pending, eval: &mut Evaluator) -> starlark::Result<Response> {
        Ok(this.answer(eval)?)
    }
}

impl Pending {
    pub(in super::super) fn new(request: RequestId) -> Self {
        Self { request }
    }

    pub(in super::super) fn answer(&self, eval: &Evaluator<'_, '_, '_>) -> Result<Response, ScriptError> {
        Session::of(eval).wait(self.request).map(|answer| Response { answer })
    }
}

fn ask(spec: RequestSpec, eval: &Evaluator<'_, '_, '_>) -> Result<Response, ScriptError> {
    let request = Session::of(eval).start(spec)?;
    Pending { request }.answer(eval)
}

/// Fields that a client adds to a request by itself.
type Headers = UnpackDictEntries<String, String>;

/// Returns the request, after checking that a user agent can send it.
fn request(
    client: &Client,
    method: &str,
    path: &str,
    body: Payload,
    headers: Option<Headers>,
) -> Result<RequestSpec, ScriptError> {
    let headers = headers.map(|headers| headers.entries).unwrap_or_default();
    let spec = RequestSpec { body, headers, ..RequestSpec::new(client.name.clone(), method, path) };
    spec.check()?;
    Ok(spec)
}

/// Returns the request with its body sent in this way.
fn sent(
    spec: RequestSpec,
    chunked: bool,
    expect: Option<bool>,
    limit_rate: Option<i64>,
) -> Result<RequestSpec, ScriptError> {
    // An invalid rate is refused in the same way as 0.
    let limit_rate = limit_rate.map(|rate| u64::try_from(rate).unwrap_or(0));
    let spec = RequestSpec { sending: BodySending { chunked, expect, limit_rate }, ..spec };
    spec.check()?;
    Ok(spec)
}

fn payload(body: Value<'_>) -> Result<Payload, ScriptError> {
    use starlark::values::ValueLike as _;
    if body.is_none() {
        return Ok(Payload::Empty);
    }
    if let Some(text) = body.unpack_str() {
        return Ok(if text.is_empty() { Payload::Empty } else { Payload::Text(text.to_owned()) });
    }
    match body.downcast_ref::<Body>() {
        Some(body) => Ok(Payload::Bytes(body.length)),
        None => Err(ScriptError::Type { expected: "a body (a string, bytes_of(...) or None)", found: body.to_repr() }),
    }
}
