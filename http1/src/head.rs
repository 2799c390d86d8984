//! The heads of requests and of answers: the start line and the header fields (RFC 9112 3 to 5).

use httparse::{EMPTY_HEADER, Header, Status};

use crate::fields::{Fields, Lookup, Span};

/// The limits on a head. A head that exceeds them is refused as soon as that is known, and is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimits {
    /// The maximum length of a head, in bytes.
    pub length: usize,
    /// The maximum number of header fields.
    pub fields: usize,
}

/// The reason why bytes are not a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// The head is longer than the limit, or has no end within it.
    #[error("the head of the message is too long")]
    TooLong,
    /// The head has more fields than the limit.
    #[error("the head of the message has too many fields")]
    TooManyFields,
    /// The bytes are not a head of HTTP/1.
    #[error("{0}")]
    Malformed(#[from] httparse::Error),
}

/// A version of HTTP/1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0: a connection ends after one answer, unless both sides say otherwise, and there are no chunks.
    Http10,
    /// HTTP/1.1.
    #[default]
    Http11,
}

/// The head of a request. The next request that is read into it reuses its buffers.
#[derive(Debug, Clone, Default)]
pub struct RequestHead {
    fields: Fields,
    method: (u32, u32),
    target: (u32, u32),
    version: Version,
    length: usize,
}

/// The head of an answer. The next answer that is read into it reuses its buffers.
#[derive(Debug, Clone, Default)]
pub struct ResponseHead {
    fields: Fields,
    status: u16,
    version: Version,
}

impl RequestHead {
    /// Creates a head without fields. The caller must ensure that HTTP allows the method and the target.
    pub fn new(method: &str, target: &str) -> Self {
        let mut fields = Fields::default();
        let length = method.len() + target.len() + "  HTTP/1.1\r\n\r\n".len();
        let (method, target) = (fields.append(method.as_bytes()), fields.append(target.as_bytes()));
        Self { fields, method, target, version: Version::Http11, length }
    }

    /// Reads a head from the start of these bytes. Returns its length, or `None` if it is not complete.
    ///
    /// # Errors
    /// The bytes are not the start of a request, or exceed a limit.
    pub fn parse(&mut self, bytes: &[u8], limits: HeadLimits) -> Result<Option<usize>, HeadError> {
        with_headers(limits.fields, |headers| {
            let mut request = httparse::Request::new(headers);
            let Some(length) = complete(request.parse(within(bytes, limits)), bytes, limits)? else { return Ok(None) };
            let (method, target) = (request.method.unwrap_or_default(), request.path.unwrap_or_default());
            (self.method, self.target) = (span(bytes, method.as_bytes()), span(bytes, target.as_bytes()));
            self.version = version(request.version);
            self.length = length;
            take(&mut self.fields, &bytes[..length], request.headers);
            Ok(Some(length))
        })
    }

    /// Returns the method.
    pub fn method(&self) -> &str {
        self.fields.str(self.method)
    }

    /// Returns the target in the form in which it arrived (RFC 9112 3.2).
    pub fn target(&self) -> &str {
        self.fields.str(self.target)
    }

    /// Returns the path and the query of the target. For an absolute target without a path, this is `/`.
    pub fn path_and_query(&self) -> &str {
        let target = self.target();
        let Some((_, after)) = target.split_once("://").filter(|_| !target.starts_with('/')) else { return target };
        after.find(['/', '?']).map_or("/", |at| &after[at..])
    }

    /// Returns the path of the target.
    pub fn path(&self) -> &str {
        let all = self.path_and_query();
        let path = all.split_once('?').map_or(all, |(path, _)| path);
        if path.is_empty() { "/" } else { path }
    }

    /// Returns the query of the target, without the `?`.
    pub fn query(&self) -> Option<&str> {
        self.path_and_query().split_once('?').map(|(_, query)| query)
    }

    /// Returns the version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Returns the header fields.
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// Adds a field to a head that will be written.
    pub fn push(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.length += name.len() + value.as_ref().len() + ": \r\n".len();
        self.fields.push(name, value);
    }

    /// Returns the length of the head in bytes, as it arrived or as it would be written.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Returns whether the connection stays open after the answer, as far as the client is concerned (RFC 9112 9.3).
    pub fn keeps_alive(&self) -> bool {
        keeps_alive(&self.fields, self.version)
    }

    /// Returns whether the client waits for `100 Continue` before it sends the body. A client of HTTP/1.0 does not
    /// support that (RFC 9110 10.1.1).
    pub fn expects_continue(&self) -> bool {
        self.version == Version::Http11 && self.fields.lists("Expect", "100-continue")
    }
}

impl ResponseHead {
    /// Reads a head from the start of these bytes. Returns its length, or `None` if it is not complete.
    ///
    /// # Errors
    /// The bytes are not the start of an answer, or exceed a limit.
    pub fn parse(&mut self, bytes: &[u8], limits: HeadLimits) -> Result<Option<usize>, HeadError> {
        with_headers(limits.fields, |headers| {
            let mut response = httparse::Response::new(headers);
            let Some(length) = complete(response.parse(within(bytes, limits)), bytes, limits)? else { return Ok(None) };
            self.status = response.code.unwrap_or_default();
            self.version = version(response.version);
            take(&mut self.fields, &bytes[..length], response.headers);
            Ok(Some(length))
        })
    }

    /// Returns the status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Returns the version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Returns the header fields.
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// Returns the header fields alone.
    pub fn into_fields(self) -> Fields {
        self.fields
    }

    /// Returns whether this is an interim answer, which is followed by the final one (RFC 9110 15.2). A 101 is final:
    /// another protocol follows it.
    pub fn is_interim(&self) -> bool {
        (100..200).contains(&self.status) && self.status != 101
    }

    /// Returns whether the connection stays open after the answer (RFC 9112 9.3).
    pub fn keeps_alive(&self) -> bool {
        keeps_alive(&self.fields, self.version)
    }
}

fn keeps_alive(fields: &Fields, version: Version) -> bool {
    !fields.lists("Connection", "close") && (version == Version::Http11 || fields.lists("Connection", "keep-alive"))
}

/// The number of fields that can be parsed without an allocation.
const FEW: usize = 48;

/// Parses with room for a few fields, and again with room for `most` fields if that is not enough.
fn with_headers<'bytes, T>(
    most: usize,
    mut parse: impl FnMut(&mut [Header<'bytes>]) -> Result<T, HeadError>,
) -> Result<T, HeadError> {
    match parse(&mut [EMPTY_HEADER; FEW][..most.min(FEW)]) {
        Err(HeadError::TooManyFields) if most > FEW => parse(&mut vec![EMPTY_HEADER; most]),
        parsed => parsed,
    }
}

/// Returns the part of the bytes in which a head must end. Later bytes are not examined, so the result does not depend
/// on the number of bytes that have arrived together.
fn within(bytes: &[u8], limits: HeadLimits) -> &[u8] {
    &bytes[..bytes.len().min(limits.length)]
}

/// Returns the length of a head that is complete, or `None` if more bytes are needed.
fn complete(
    parsed: Result<Status<usize>, httparse::Error>,
    bytes: &[u8],
    limits: HeadLimits,
) -> Result<Option<usize>, HeadError> {
    match parsed {
        Ok(Status::Complete(length)) => Ok(Some(length)),
        Ok(Status::Partial) if bytes.len() < limits.length => Ok(None),
        Ok(Status::Partial) => Err(HeadError::TooLong),
        Err(httparse::Error::TooManyHeaders) => Err(HeadError::TooManyFields),
        Err(error) => Err(error.into()),
    }
}

fn version(minor: Option<u8>) -> Version {
    if minor == Some(0) { Version::Http10 } else { Version::Http11 }
}

/// Copies a head, and records the positions of its fields.
fn take(fields: &mut Fields, head: &[u8], headers: &[Header<'_>]) {
    fields.clear();
    fields.text.extend_from_slice(head);
    let spans =
        headers.iter().map(|header| Span { name: span(head, header.name.as_bytes()), value: span(head, header.value) });
    fields.spans.extend(spans);
}

/// Returns the position of `part` in `whole`.
fn span(whole: &[u8], part: &[u8]) -> (u32, u32) {
    // An empty part need not be inside `whole`.
    let start = if part.is_empty() { 0 } else { part.as_ptr().addr() - whole.as_ptr().addr() };
    (start as u32, (start + part.len()) as u32)
}
