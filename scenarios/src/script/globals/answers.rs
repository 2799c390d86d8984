//! Pending requests, expectations, and helpers for writing them.

use starlark::environment::GlobalsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::Value;
use starlark::values::list_or_tuple::UnpackListOrTuple;
use starlark::values::none::NoneType;
use stickler_model::bounds::MAX_BODY;

use super::super::errors::ScriptError;
use super::super::place::Place;
use super::super::session::Session;
use super::super::values::{Body, Pending, Response};
use super::in_range;

/// The maximum value of the argument `digits` of `padded()`.
const MAX_DIGITS: u64 = 20;

#[starlark_module]
pub(super) fn answers(builder: &mut GlobalsBuilder) {
    /// Waits for the answer to each of the requests.
    ///
    /// # Arguments
    /// * `requests`: The requests that `start()` has returned, in a list or a tuple.
    ///
    /// # Returns
    /// The answers, in the same order.
    ///
    /// Examples:
    /// ```python
    /// wait_all([user.start("GET", "/") for user in users])
    /// ```
    fn wait_all<'v>(
        requests: UnpackListOrTuple<&'v Pending>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Vec<Response>> {
        Ok(requests.items.into_iter().map(|request| request.answer(eval)).collect::<Result<_, _>>()?)
    }

    /// Records a failure if a condition does not hold. The script continues in either case.
    ///
    /// # Arguments
    /// * `condition`: The condition that has to be true.
    /// * `message`: The message that is shown if it is not.
    ///
    /// Examples:
    /// ```python
    /// expect(counts().logons == 1, "one logon is enough")
    /// ```
    fn expect<'v>(
        condition: Value<'v>,
        #[starlark(default = "")] message: &str,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<NoneType> {
        Session::of(eval).expects();
        if !condition.to_bool() {
            let at = eval.call_stack_top_location().map_or_else(Place::statement, |call| Place::of(&call));
            let message = if message.is_empty() { "expectation does not hold" } else { message };
            Session::of(eval).fail(at, message.to_owned(), Some(condition.to_repr()));
        }
        Ok(NoneType)
    }

    /// Makes a body of the given length, with a fixed pattern.
    ///
    /// # Arguments
    /// * `count`: The length in bytes, at most 1 GiB.
    ///
    /// # Returns
    /// The body, for `post()`, `request()` and `start()`.
    ///
    /// Examples:
    /// ```python
    /// alice.post("/upload", bytes_of(100000))
    /// ```
    fn bytes_of(count: i64) -> starlark::Result<Body> {
        Ok(Body { length: in_range("count", count, 0, MAX_BODY)? })
    }

    /// Writes a number with leading zeros, in the form that the user names of the directory have.
    ///
    /// Starlark's formats have no width: `"%02d"` and `"{:02}"` are errors.
    ///
    /// # Arguments
    /// * `number`: A whole number, not less than 0.
    /// * `digits`: The smallest number of digits to write, from 1 to 20. A longer number keeps all of its digits.
    ///
    /// # Returns
    /// The number as text.
    ///
    /// Examples:
    /// ```python
    /// curl("user" + padded(1)).get("/")            # user01
    /// browser("user%s" % padded(12)).get("/007")   # user12
    /// print(padded(7, 3))                          # 007
    /// ```
    fn padded(number: i64, #[starlark(default = 2)] digits: i64) -> starlark::Result<String> {
        let digits = in_range("digits", digits, 1, MAX_DIGITS)? as usize;
        let number = u64::try_from(number).map_err(|_| ScriptError::Negative(number))?;
        Ok(format!("{number:0digits$}"))
    }
}
