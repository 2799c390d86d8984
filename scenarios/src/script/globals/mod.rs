//! The functions that a script calls.
//!
//! * [`mod@sites`]: describe the site.
//! * [`mod@clients`]: add clients.
//! * [`mod@crowds`]: clients that ask at the same time.
//! * this module: time, faults, what was counted and logged, expectations.

#![expect(clippy::unnecessary_wraps, reason = "Starlark wants a Result of every function")]

mod clients;
mod crowds;
mod sites;

use std::time::Duration;

use starlark::environment::GlobalsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::Value;
use starlark::values::dict::AllocDict;
use starlark::values::float::UnpackFloat;
use starlark::values::list::AllocList;
use starlark::values::list_or_tuple::UnpackListOrTuple;
use starlark::values::none::NoneType;
use starlark::values::structs::AllocStruct;
use stickler_model::action::{CheckWait, Fault};
use stickler_model::bounds::{MAX_BODY, MAX_TIME, MIN_TIMER};
use stickler_model::trace::{NoneLeft, SpreadUnit};
use stickler_model::{Event, Name, Principal, What};
use stickler_oracle::Cost;

use super::errors::ScriptError;
use super::session::Session;
use super::values::{Body, Pending, Response, server_change};
use crate::site::names::{CHECK_CHANGES, one_of};

pub(super) use clients::clients;
pub(super) use crowds::crowds;
pub(super) use sites::sites;

#[starlark_module]
pub(super) fn functions(builder: &mut GlobalsBuilder) {
    /// What the balancer declares about itself: `checks` (with `interval`, `timeout`, `notice_down` and `notice_up` in
    /// seconds, `logs_on`), `persistence` in seconds, `spread` (with `unit`, which is `requests` or `connections`, `percent`,
    /// `units` and `weights`), `cookie`, `trusted_header`, `out_after_failures` in seconds; None where it declares nothing.
    /// `services` is a list, each with its `prefix` and its `backends`; it is empty where every backend serves everything.
    /// `none_left` is the status of an answer while no backend is left, None where the connection is closed.
    fn promises<'v>(eval: &mut Evaluator<'v, '_, '_>) -> starlark::Result<Value<'v>> {
        let promises = Session::of(eval).promises()?;
        let heap = eval.heap();
        let none = Value::new_none();
        let text = |text: Option<String>| text.map_or(none, |text| heap.alloc(text));
        let seconds = |time: Duration| heap.alloc(time.as_secs_f64());
        let checks = promises.checks.map_or(none, |checks| {
            heap.alloc(AllocStruct([
                ("interval", seconds(checks.interval)),
                ("timeout", seconds(checks.timeout)),
                ("notice_down", seconds(checks.notice_down())),
                ("notice_up", seconds(checks.notice_up())),
                ("logs_on", Value::new_bool(checks.user.is_some())),
            ]))
        });
        let none_left = match promises.none_left {
            NoneLeft::Status(status) => heap.alloc(i32::from(status)),
            NoneLeft::Closed => none,
        };
        let spread = promises.spread.map_or(none, |spread| {
            let unit = match spread.unit {
                SpreadUnit::Requests => "requests",
                SpreadUnit::Connections => "connections",
            };
            heap.alloc(AllocStruct([
                ("unit", heap.alloc(unit)),
                ("percent", heap.alloc(spread.percent)),
                ("units", heap.alloc(spread.units)),
                (
                    "weights",
                    heap.alloc(AllocDict(spread.weights.iter().map(|(name, weight)| (name.as_str(), *weight)))),
                ),
            ]))
        });
        let services = promises.services.iter().map(|service| {
            let backends = service.backends.iter().map(Name::as_str);
            AllocStruct([
                ("prefix", heap.alloc(service.prefix.as_str())),
                ("backends", heap.alloc(AllocList(backends))),
            ])
        });
        Ok(heap.alloc(AllocStruct([
            ("checks", checks),
            ("persistence", promises.persistence.map_or(none, seconds)),
            ("spread", spread),
            ("cookie", text(promises.cookie)),
            ("trusted_header", text(promises.trusted_header)),
            ("none_left", none_left),
            ("out_after_failures", promises.out_after_failures.map_or(none, seconds)),
            ("services", heap.alloc(AllocList(services))),
        ])))
    }

    /// What was counted so far: HTTP `requests` that clients sent, pass-through `logons` at the DC, `tickets` that it was
    /// asked for, and `ticket_checks`, tickets that servers decided on.
    fn counts<'v>(eval: &mut Evaluator<'v, '_, '_>) -> starlark::Result<Value<'v>> {
        let mut cost = Cost::default();
        Session::of(eval).visit(&mut |event| cost += Cost::of(&event.what))?;
        Ok(eval.heap().alloc(AllocStruct([
            ("requests", cost.http_requests),
            ("logons", cost.logons),
            ("tickets", cost.dc_tickets),
            ("ticket_checks", cost.ticket_checks),
        ])))
    }

    /// What the application logged, request by request: the `id` that the request carried, the `user` that it was served
    /// as, the `backend`. A response has the same `id`: so a mix-up is found in the field.
    fn app_log<'v>(eval: &mut Evaluator<'v, '_, '_>) -> starlark::Result<Vec<Value<'v>>> {
        let (heap, mut log) = (eval.heap(), Vec::new());
        Session::of(eval).visit(&mut |Event { by, what, .. }| {
            if let What::ServerAnswered { request, user, processed: true, .. } = what {
                let text = |text: Option<&str>| text.map_or(Value::new_none(), |text| heap.alloc(text));
                let id = request.map(|id| id.to_string());
                let user = user.as_ref().map(Principal::as_str);
                let backend = heap.alloc(by.as_str());
                log.push(heap.alloc(AllocStruct([
                    ("id", text(id.as_deref())),
                    ("user", text(user)),
                    ("backend", backend),
                ])));
            }
        })?;
        Ok(log)
    }

    /// What servers heard of the logons that they asked a DC for: `server`, `account`, and the NTSTATUS in hexadecimal.
    fn logon_log<'v>(eval: &mut Evaluator<'v, '_, '_>) -> starlark::Result<Vec<Value<'v>>> {
        let (heap, mut log) = (eval.heap(), Vec::new());
        Session::of(eval).visit(&mut |Event { by, what, .. }| {
            if let What::ServerLogon { account, status, .. } = what {
                let entry = [
                    ("server", heap.alloc(by.as_str())),
                    ("account", heap.alloc(account.as_str())),
                    ("status", heap.alloc(format!("{status:08X}"))),
                ];
                log.push(heap.alloc(AllocStruct(entry)));
            }
        })?;
        Ok(log)
    }

    /// A body of that many bytes, of a fixed pattern.
    fn bytes_of(count: i64) -> starlark::Result<Body> {
        Ok(Body { length: in_range("count", count, 0, MAX_BODY)? })
    }

    /// Waits for each of the requests; their answers, in the same order.
    fn wait_all<'v>(
        requests: UnpackListOrTuple<&'v Pending>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Vec<Value<'v>>> {
        let answers =
            requests.items.into_iter().map(|request| request.answer(eval)).collect::<Result<Vec<Response>, _>>()?;
        Ok(answers.into_iter().map(|answer| eval.heap().alloc(answer)).collect())
    }

    /// Lets time pass.
    fn advance<'v>(
        #[starlark(default = UnpackFloat(0.0))] seconds: UnpackFloat,
        #[starlark(require = named, default = UnpackFloat(0.0))] ms: UnpackFloat,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<NoneType> {
        Session::of(eval).advance(time("the time in seconds", seconds.0 + ms.0 / 1_000.0)?)?;
        Ok(NoneType)
    }

    /// Lets time pass until the balancer's health checks must have noticed that a backend is `down`, or `up` again, and
    /// `extra` seconds more; `otherwise` seconds where the balancer declares no checks.
    fn await_checks<'v>(
        change: &str,
        #[starlark(require = named, default = UnpackFloat(1.0))] extra: UnpackFloat,
        #[starlark(require = named, default = UnpackFloat(60.0))] otherwise: UnpackFloat,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<NoneType> {
        let change = one_of("change that checks notice", change, &CHECK_CHANGES)?;
        let (extra, otherwise) = (time("extra", extra.0)?, time("otherwise", otherwise.0)?);
        Session::of(eval).await_checks(CheckWait { change, extra, otherwise })?;
        Ok(NoneType)
    }

    /// Ends a host's process; its kernel closes the connections.
    fn crash(host: &str, eval: &mut Evaluator) -> starlark::Result<NoneType> {
        fault(eval, Fault::Crash(host.into()))
    }

    /// A host falls silent; nobody is told.
    fn power_loss(host: &str, eval: &mut Evaluator) -> starlark::Result<NoneType> {
        fault(eval, Fault::PowerLoss(host.into()))
    }

    /// Starts a host's process again.
    fn restart(host: &str, eval: &mut Evaluator) -> starlark::Result<NoneType> {
        fault(eval, Fault::Restart(host.into()))
    }

    /// A host's process stops in its tracks: connections are accepted, and nobody answers.
    fn hang(host: &str, eval: &mut Evaluator) -> starlark::Result<NoneType> {
        fault(eval, Fault::Hang(host.into()))
    }

    /// A process that hangs goes on.
    fn resume(host: &str, eval: &mut Evaluator) -> starlark::Result<NoneType> {
        fault(eval, Fault::Resume(host.into()))
    }

    /// The balancer drains a backend: what is bound to it stays, nothing new comes.
    fn drain(host: &str, eval: &mut Evaluator) -> starlark::Result<NoneType> {
        Session::of(eval).drain(host.into(), true)?;
        Ok(NoneType)
    }

    /// A drained backend is in full use again.
    fn undrain(host: &str, eval: &mut Evaluator) -> starlark::Result<NoneType> {
        Session::of(eval).drain(host.into(), false)?;
        Ok(NoneType)
    }

    /// Sets a server up anew, as `site(servers=)` would, over what it has now, and starts IIS again (`iisreset`): its
    /// connections end.
    fn configure<'v>(host: &str, server: Value<'v>, eval: &mut Evaluator<'v, '_, '_>) -> starlark::Result<NoneType> {
        Session::of(eval).configure(host, &server_change(server)?)?;
        Ok(NoneType)
    }

    /// Packets between two hosts wait, in both directions.
    fn hold(one: &str, other: &str, eval: &mut Evaluator) -> starlark::Result<NoneType> {
        fault(eval, Fault::Hold(one.into(), other.into()))
    }

    /// Packets held between two hosts arrive.
    fn release(one: &str, other: &str, eval: &mut Evaluator) -> starlark::Result<NoneType> {
        fault(eval, Fault::Release(one.into(), other.into()))
    }

    /// A forged RST ends every connection between two hosts.
    fn reset(one: &str, other: &str, eval: &mut Evaluator) -> starlark::Result<NoneType> {
        fault(eval, Fault::Reset(one.into(), other.into()))
    }

    /// Notes that a condition does not hold. The script goes on either way.
    fn expect<'v>(
        condition: Value<'v>,
        #[starlark(default = "")] message: &str,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<NoneType> {
        Session::of(eval).expects();
        if !condition.to_bool() {
            let at = eval.call_stack_top_location().map_or_else(super::statement, |call| super::bytes(call.span));
            let message = if message.is_empty() { "expectation does not hold" } else { message };
            Session::of(eval).fail(at, message.to_owned(), Some(condition.to_repr()));
        }
        Ok(NoneType)
    }
}

fn fault(eval: &Evaluator<'_, '_, '_>, fault: Fault) -> starlark::Result<NoneType> {
    Session::of(eval).fault(fault)?;
    Ok(NoneType)
}

/// A timer that a script gives in seconds: never nothing, which would switch it off or act at once.
pub(super) fn timer(argument: &'static str, seconds: f64, most: Duration) -> Result<Duration, ScriptError> {
    let time = Duration::try_from_secs_f64(seconds).ok().filter(|time| (MIN_TIMER..=most).contains(time));
    time.ok_or_else(|| ScriptError::Timer { argument, given: seconds.to_string(), high: most.as_secs() })
}

/// A time that a script gives in seconds.
fn time(argument: &'static str, seconds: f64) -> Result<Duration, ScriptError> {
    let time = Duration::try_from_secs_f64(seconds).ok().filter(|time| *time <= MAX_TIME);
    time.ok_or_else(|| ScriptError::OutOfRange {
        argument,
        given: seconds.to_string(),
        low: 0,
        high: MAX_TIME.as_secs(),
    })
}

pub(super) fn in_range(argument: &'static str, given: i64, low: u64, high: u64) -> Result<u64, ScriptError> {
    let number = u64::try_from(given).ok().filter(|number| (low..=high).contains(number));
    number.ok_or_else(|| ScriptError::OutOfRange { argument, given: given.to_string(), low, high })
}
