//! Clients, requests under way, answers and bodies, as a script sees them.

#![expect(unsafe_code, reason = "Starlark's derives expand to `unsafe impl`; nothing here is written unsafe")]
#![expect(
    clippy::elidable_lifetime_names,
    clippy::too_many_arguments,
    clippy::unnecessary_wraps,
    reason = "`starlark_value` wants the lifetime by name, Starlark a Result of every function, and a script named arguments"
)]

use std::fmt;
use std::time::Duration;

use allocative::Allocative;
use starlark::codemap::FileSpan;
use starlark::collections::SmallMap;
use starlark::environment::{Methods, MethodsBuilder};
use starlark::eval::Evaluator;
use starlark::values::dict::{AllocDict, DictRef, UnpackDictEntries};
use starlark::values::list::ListRef;
use starlark::values::none::{NoneOr, NoneType};
use starlark::values::{
    AllocValue, Heap, NoSerialize, ProvidesStaticType, StarlarkValue, Trace, Value, starlark_value,
};
use starlark::{methods_static, starlark_module};
use stickler_model::bounds::MAX_PATIENCE;
use stickler_model::{Answer, BodySending, Name, Payload, Principal, RequestId, RequestSpec, topology};

use super::errors::ScriptError;
use super::place::Place;
use super::session::Session;
use crate::site::{self, ServerChange, Unknown};

/// A client: `alice = curl("alice")`.
#[derive(Debug, ProvidesStaticType, NoSerialize, Trace, Allocative)]
pub(super) struct Client {
    #[trace(unsafe_ignore)]
    #[allocative(skip)]
    pub(super) name: Name,
}

/// A request under way: `p = alice.start("GET", "/")`.
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

/// What a server ties a user to: `tracked()`, `trusted_header("X-User")`, `rogue("garbage")`.
#[derive(Debug, ProvidesStaticType, NoSerialize, Trace, Allocative)]
pub(super) struct Acceptor(
    #[trace(unsafe_ignore)]
    #[allocative(skip)]
    pub(super) topology::Acceptor,
);

/// How servers authenticate: `windows_authentication()`.
#[derive(Debug, ProvidesStaticType, NoSerialize, Trace, Allocative)]
pub(super) struct Settings(
    #[trace(unsafe_ignore)]
    #[allocative(skip)]
    pub(super) topology::SiteSpec,
);

/// What differs at one server: `server(certificate = "expired")`.
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

impl Client {
    pub(super) fn name(&self) -> Name {
        self.name.clone()
    }
}

#[starlark_module]
fn client_methods(builder: &mut MethodsBuilder) {
    /// The client's name, which is that of its host as well.
    #[starlark(attribute)]
    fn name(this: &Client) -> starlark::Result<String> {
        Ok(this.name.to_string())
    }

    /// Asks for a page by `GET`, and waits for the answer.
    ///
    /// # Arguments
    /// * `path`: The path, percent-encoded, with a query if you like.
    /// * `headers`: Fields that the client adds to the request, none of those that are its own.
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

    /// Sends a body by `POST`, and waits for the answer.
    ///
    /// # Arguments
    /// * `path`: The path, percent-encoded, with a query if you like.
    /// * `body`: A text of at most 1 MiB, `bytes_of(...)`, or `None`.
    /// * `headers`: Fields that the client adds to the request, none of those that are its own.
    /// * `chunked`: Whether the body goes in chunks, so that its length is not known in advance.
    /// * `expect`: Whether the client waits for `100 Continue` before it sends the body. As its kind does if unsaid.
    /// * `limit_rate`: How many bytes of the body go in a second (curl: `--limit-rate`). As fast as they can if unsaid.
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

    /// Asks by any method, and waits for the answer.
    ///
    /// # Arguments
    /// * `method`: The method: a token of RFC 9110.
    /// * `path`: The path, percent-encoded, with a query if you like.
    /// * `body`: A text of at most 1 MiB, `bytes_of(...)`, or `None`.
    /// * `headers`: Fields that the client adds to the request, none of those that are its own.
    /// * `chunked`: Whether the body goes in chunks, so that its length is not known in advance.
    /// * `expect`: Whether the client waits for `100 Continue` before it sends the body. As its kind does if unsaid.
    /// * `limit_rate`: How many bytes of the body go in a second (curl: `--limit-rate`). As fast as they can if unsaid.
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
    /// * `path`: The path, percent-encoded, with a query if you like.
    /// * `body`: A text of at most 1 MiB, `bytes_of(...)`, or `None`.
    /// * `headers`: Fields that the client adds to the request, none of those that are its own.
    /// * `chunked`: Whether the body goes in chunks, so that its length is not known in advance.
    /// * `expect`: Whether the client waits for `100 Continue` before it sends the body. As its kind does if unsaid.
    /// * `limit_rate`: How many bytes of the body go in a second (curl: `--limit-rate`). As fast as they can if unsaid.
    ///
    /// # Returns
    /// The request. Its `wait()` waits for the answer. Assign it to `_` if nobody is meant to.
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

    /// Sends bytes as they are, on a bare connection of the client's host. It stops to read where the connection ends, or where
    /// nothing has come for a while.
    ///
    /// # Arguments
    /// * `text`: What it sends, at most 1 MiB.
    /// * `patience_ms`: For how many milliseconds nothing may come.
    ///
    /// # Returns
    /// What came back, as text.
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

    /// Makes the token with which the client would begin to authenticate under `Negotiate`, for `send_raw()`. It is not sent.
    ///
    /// # Returns
    /// The token as `Authorization` carries it, `None` where the client has none to offer. By NTLM it is the same text each time, and
    /// such a text stands for the latest one.
    fn make_token<'v>(this: &Client, eval: &mut Evaluator<'v, '_, '_>) -> starlark::Result<NoneOr<String>> {
        Ok(NoneOr::from_option(Session::of(eval).make_token(this.name.clone())?))
    }

    /// Seats another user at the client. It authenticates anew, on the connections that it has.
    ///
    /// # Arguments
    /// * `user`: The user.
    /// * `password`: The password that is typed. The directory's if unsaid.
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

    /// Closes the client's connections. It may ask again, on new ones.
    fn disconnect(this: &Client, eval: &mut Evaluator) -> starlark::Result<NoneType> {
        Session::of(eval).disconnect(this.name.clone())?;
        Ok(NoneType)
    }
}

#[starlark_module]
fn pending_methods(builder: &mut MethodsBuilder) {
    /// Waits for the answer. A second time, it returns the same one.
    ///
    /// # Returns
    /// The answer.
    fn wait(this: &Pending, eval: &mut Evaluator) -> starlark::Result<Response> {
        Ok(this.answer(eval)?)
    }
}

#[starlark_module]
fn response_methods(builder: &mut MethodsBuilder) {
    /// Notes each attribute of the answer that is not as given. The script goes on either way.
    ///
    /// # Arguments
    /// * `expected`: Attributes with their values. A list means any of its values.
    ///
    /// # Returns
    /// The same answer.
    ///
    /// Examples:
    /// ```python
    /// alice.get("/").expect(status = [200, 503], user = "CORP\\alice")
    /// ```
    fn expect<'v>(
        this: Value<'v>,
        #[starlark(kwargs)] expected: DictRef<'v>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Value<'v>> {
        let response = Response::of(this)?;
        for (key, wanted) in expected.iter() {
            let name = key.unpack_str().unwrap_or_default();
            Session::of(eval).expects();
            let actual = response.attribute(name, eval.heap()).ok_or_else(|| unknown_attribute(name))?;
            if !is_wanted(actual, wanted)? {
                let at = argument(eval.call_stack_top_location(), name);
                let message = format!("expected {name} = {}", wanted.to_repr());
                Session::of(eval).fail(at, message, Some(response.describe(actual)));
            }
        }
        Ok(this)
    }
}

/// An attribute of a response: its name, its type as Starlark writes it, and what it means.
pub(super) type Attribute = (&'static str, &'static str, &'static str);

/// What [`Response::attribute`] knows.
pub(super) const ATTRIBUTES: [Attribute; 16] = [
    ("id", "str", "The id that all legs of the request carry, `\"r1\"`."),
    ("status", "int | None", "The status of the answer. `None` where there was no answer."),
    (
        "user",
        "str | None",
        "As whom the application has processed the request, `\"CORP\\\\alice\"`. `None` where it did not know anybody.",
    ),
    ("backend", "str | None", "The server whose application has answered, `\"iis1\"`."),
    ("connection", "int | None", "The number of the connection at that server."),
    ("number", "int | None", "The number of the request on that connection, from 1."),
    ("requests", "int", "How many HTTP requests the client has sent for it, those of the handshake included."),
    ("error", "str | None", "Why there was no answer."),
    ("elapsed_ms", "float", "How long it took, in milliseconds."),
    ("method", "str | None", "The method that the application has seen."),
    ("path", "str | None", "The path that the application has seen."),
    ("length", "int | None", "The length of the body that the application has seen, in bytes."),
    ("digest", "str | None", "A digest of that body."),
    ("body_length", "int", "The length of the answer's body, in bytes."),
    (
        "hop",
        "str | None",
        "Whom a second server would see if the application asked it in the user's name, for the page `/hop`.",
    ),
    (
        "headers",
        "dict[str, str]",
        "The fields of the answer, by name in lower case. The values of one that is there more than once stand in one text.",
    ),
];

impl Response {
    fn of(value: Value<'_>) -> Result<&Self, ScriptError> {
        use starlark::values::ValueLike as _;
        value.downcast_ref().ok_or_else(|| ScriptError::Type { expected: "a response", found: value.to_repr() })
    }

    /// `None` for a name that it does not have; what the answer does not say is Starlark's `None`.
    fn attribute<'v>(&self, name: &str, heap: Heap<'v>) -> Option<Value<'v>> {
        let answer = &self.answer;
        let application = answer.application.as_ref();
        let none = Value::new_none();
        let text = |text: Option<&str>| text.map_or(none, |text| heap.alloc(text));
        let number = |number: Option<u64>| number.map_or(none, |number| heap.alloc(number));
        Some(match name {
            "id" => heap.alloc(answer.request.to_string()),
            "status" => number(answer.status.map(u64::from)),
            "user" => text(application.and_then(|app| app.user.as_ref()).map(Principal::as_str)),
            "backend" => text(application.map(|app| app.server.as_str())),
            "connection" => number(application.map(|app| app.connection.into())),
            "number" => number(application.map(|app| app.number.into())),
            "requests" => number(Some(answer.requests.into())),
            "error" => text(answer.error.as_deref()),
            "elapsed_ms" => heap.alloc(milliseconds(answer.elapsed)),
            "method" => text(application.map(|app| app.method.as_str())),
            "path" => text(application.map(|app| app.path.as_str())),
            "length" => number(application.map(|app| app.length)),
            "digest" => text(application.map(|app| app.digest.to_string()).as_deref()),
            "body_length" => number(Some(answer.body_length)),
            "hop" => text(application.and_then(|app| app.hop.as_deref())),
            "headers" => heap.alloc(AllocDict(self.headers())),
            _ => return None,
        })
    }

    /// The fields of the answer's head, by name in lower case. Where a field is there more than once, its values stand one after
    /// the other with a comma in between (RFC 9110 5.3).
    fn headers(&self) -> SmallMap<String, String> {
        let mut fields: SmallMap<String, String> = SmallMap::new();
        for (name, value) in &self.answer.headers {
            let name = name.to_ascii_lowercase();
            match fields.get_mut(&name) {
                Some(values) => {
                    values.push_str(", ");
                    values.push_str(value);
                }
                None => _ = fields.insert(name, value.clone()),
            }
        }
        fields
    }

    /// A value, and why there is none where the request failed.
    fn describe(&self, actual: Value<'_>) -> String {
        match &self.answer.error {
            Some(error) if actual.is_none() => format!("None ({error})"),
            _ => actual.to_repr(),
        }
    }
}

impl Pending {
    pub(super) fn new(request: RequestId) -> Self {
        Self { request }
    }

    pub(super) fn answer(&self, eval: &Evaluator<'_, '_, '_>) -> Result<Response, ScriptError> {
        Session::of(eval).wait(self.request).map(|answer| Response { answer })
    }
}

fn ask(spec: RequestSpec, eval: &Evaluator<'_, '_, '_>) -> Result<Response, ScriptError> {
    let request = Session::of(eval).start(spec)?;
    Pending { request }.answer(eval)
}

/// Fields that a client adds to a request by itself.
type Headers = UnpackDictEntries<String, String>;

/// The request, which is one that a user agent can be asked to send.
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

/// The request with its body sent in this way.
fn sent(
    spec: RequestSpec,
    chunked: bool,
    expect: Option<bool>,
    limit_rate: Option<i64>,
) -> Result<RequestSpec, ScriptError> {
    // What is no rate is refused as 0 is.
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

fn is_wanted<'v>(actual: Value<'v>, wanted: Value<'v>) -> starlark::Result<bool> {
    match ListRef::from_value(wanted) {
        None => actual.equals(wanted),
        Some(any_of) => any_of.iter().try_fold(false, |found, wanted| Ok(found || actual.equals(wanted)?)),
    }
}

fn unknown_attribute(name: &str) -> ScriptError {
    Unknown {
        kind: "attribute of a response called",
        given: name.into(),
        known: ATTRIBUTES.iter().map(|&(name, ..)| name.to_owned()).collect(),
    }
    .into()
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// The place of the argument `name = value` in a call, so that the actual value can stand under it;
/// that of the whole call where it is not found (`**arguments`).
fn argument(call: Option<FileSpan>, name: &str) -> Place {
    let Some(call) = call.map(|call| Place::of(&call)) else { return Place::statement() };
    let text = call.text().get(call.bytes.clone()).unwrap_or_default();
    let starts = text.match_indices(name).filter(|&(at, _)| {
        let after = text[at + name.len()..].trim_start();
        text[..at].ends_with([' ', '(', ',', '\n', '\t']) && after.starts_with('=') && !after.starts_with("==")
    });
    // Of a chain of calls, the span covers all; the last one is what is being called.
    let Some((start, _)) = starts.last() else { return call };
    let bytes = call.bytes.start + start..call.bytes.start + start + argument_length(&text[start..]);
    call.with_bytes(bytes)
}

/// Length of an argument: to the comma or bracket that ends it, quotes and inner brackets aside.
fn argument_length(text: &str) -> usize {
    let (mut depth, mut quote, mut escaped) = (0_u32, None, false);
    for (at, c) in text.char_indices() {
        if let Some(open) = quote {
            if !escaped && c == open {
                quote = None;
            }
            escaped = !escaped && c == '\\';
            continue;
        }
        match c {
            '"' | '\'' => quote = Some(c),
            '(' | '[' | '{' => depth += 1,
            ',' | ')' | ']' | '}' if depth == 0 => return text[..at].trim_end().len(),
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
    }
    text.trim_end().len()
}

/// What a value stands for: `server()`, `windows_authentication()`, or a server that is not IIS.
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

/// How a value is allocated, and shown. What is `bound` to a world stays in the module that has made it; a `value` can be that of a
/// file which is loaded.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_ends_at_its_own_comma_or_bracket() {
        fn length(text: &str) -> &str {
            &text[..argument_length(text)]
        }
        assert_eq!(length("status = 200, user = 1)"), "status = 200");
        assert_eq!(length("status = [1, f(2, \"),\")] , x)"), "status = [1, f(2, \"),\")]");
        assert_eq!(length(r#"user = "a\",b")"#), r#"user = "a\",b""#);
        assert_eq!(length("status = 1"), "status = 1");
    }
}
