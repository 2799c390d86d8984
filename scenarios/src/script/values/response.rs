//! The attributes of a response, and the method that checks them.

use std::time::Duration;

use starlark::codemap::FileSpan;
use starlark::collections::SmallMap;
use starlark::environment::MethodsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::dict::{AllocDict, DictRef};
use starlark::values::list::ListRef;
use starlark::values::{Heap, Value};
use stickler_model::Principal;

use super::super::errors::ScriptError;
use super::super::place::Place;
use super::super::session::Session;
use super::Response;
use crate::site::Unknown;

#[starlark_module]
pub(super) fn response_methods(builder: &mut MethodsBuilder) {
    /// Records a failure for each attribute of the answer that differs from the given value. The script continues in either
    /// case.
    ///
    /// # Arguments
    /// * `expected`: Attributes with their values. A list allows any of its values.
    ///
    /// # Returns
    /// The answer itself, for further calls.
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

/// An attribute of a response: its name, its type as Starlark writes it, and its meaning.
pub(in super::super) type Attribute = (&'static str, &'static str, &'static str);

/// The attributes that [`Response::attribute`] accepts.
pub(in super::super) const ATTRIBUTES: [Attribute; 16] = [
    ("id", "str", "The id that all legs of the request carry, for example `\"r1\"`."),
    ("status", "int | None", "The status of the answer. `None` if there was no answer."),
    (
        "user",
        "str | None",
        "The user as whom the application processed the request, for example `\"CORP\\\\alice\"`. `None` if it knew no user.",
    ),
    ("backend", "str | None", "The server whose application answered, for example `\"iis1\"`."),
    ("connection", "int | None", "The number of the connection at that server."),
    ("number", "int | None", "The number of the request on that connection, from 1."),
    ("requests", "int", "The number of HTTP requests that the client sent for it, including those of the handshake."),
    ("error", "str | None", "The reason why there was no answer."),
    ("elapsed_ms", "float", "The time that it took, in milliseconds."),
    ("method", "str | None", "The method that the application saw."),
    ("path", "str | None", "The path that the application saw."),
    ("length", "int | None", "The length of the body that the application received, in bytes."),
    ("digest", "str | None", "The digest of that body."),
    ("body_length", "int", "The length of the answer's body, in bytes."),
    (
        "hop",
        "str | None",
        "The user whom a second server would see if the application sent it a request in the user's name, for the page `/hop`.",
    ),
    (
        "headers",
        "dict[str, str]",
        "The fields of the answer, by name in lower case. The values of a repeated field are joined to one text.",
    ),
];

impl Response {
    fn of(value: Value<'_>) -> Result<&Self, ScriptError> {
        use starlark::values::ValueLike as _;
        value.downcast_ref().ok_or_else(|| ScriptError::Type { expected: "a response", found: value.to_repr() })
    }

    /// Returns the value of an attribute, or `None` if there is no such attribute. A value that the answer lacks is
    /// Starlark's `None`.
    pub(super) fn attribute<'v>(&self, name: &str, heap: Heap<'v>) -> Option<Value<'v>> {
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

    /// Returns the fields of the answer's head, by name in lower case. The values of a repeated field are joined with
    /// commas, in order (RFC 9110 5.3).
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

    /// Describes a value; if it is missing because the request failed, with the reason.
    fn describe(&self, actual: Value<'_>) -> String {
        match &self.answer.error {
            Some(error) if actual.is_none() => format!("None ({error})"),
            _ => actual.to_repr(),
        }
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

/// Returns the place of the argument `name = value` in a call, so that the actual value can be shown under it. If the
/// argument is not found (`**arguments`), it returns the place of the whole call.
fn argument(call: Option<FileSpan>, name: &str) -> Place {
    let Some(call) = call.map(|call| Place::of(&call)) else { return Place::statement() };
    let text = call.text().get(call.bytes.clone()).unwrap_or_default();
    let starts = text.match_indices(name).filter(|&(at, _)| {
        let after = text[at + name.len()..].trim_start();
        text[..at].ends_with([' ', '(', ',', '\n', '\t']) && after.starts_with('=') && !after.starts_with("==")
    });
    // The span covers a whole chain of calls, of which the last one is being called.
    let Some((start, _)) = starts.last() else { return call };
    let bytes = call.bytes.start + start..call.bytes.start + start + argument_length(&text[start..]);
    call.with_bytes(bytes)
}

/// Returns the length of an argument, up to the comma or bracket that ends it, outside of quotes and inner brackets.
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
