//! The promises of the balancer, and the counters and logs of a run.

use std::time::Duration;

use starlark::environment::GlobalsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::Value;
use starlark::values::dict::AllocDict;
use starlark::values::list::AllocList;
use starlark::values::structs::AllocStruct;
use stickler_model::trace::{NoneLeft, SpreadUnit};
use stickler_model::{Event, Name, Principal, What};
use stickler_oracle::Cost;

use super::super::session::Session;

#[starlark_module]
pub(super) fn observed(builder: &mut GlobalsBuilder) {
    /// Returns the promises that the balancer makes about itself.
    ///
    /// A script that makes decisions based on them does not take the same steps over every balancer.
    ///
    /// # Returns
    /// A struct. An attribute is `None` if the balancer declares nothing about it.
    ///
    /// * `checks` are its health checks: `interval`, `timeout`, `notice_down` and `notice_up` in seconds, and
    ///   `logs_on`, which says whether they log on.
    /// * `persistence` is the time for which a client keeps its backend, in seconds.
    /// * `spread` says how evenly load is spread: `unit` (`"requests"` or `"connections"`), `percent`, `units` and
    ///   `weights`.
    /// * `cookie` is the name of the persistence cookie, and `trusted_header` the header in which the balancer names
    ///   the user.
    /// * `none_left` is the status of an answer while no backend is left, and `None` if the connection is closed
    ///   instead.
    /// * `out_after_failures` is the time for which a backend is out of use after failures of real requests, in
    ///   seconds.
    /// * `services` is a list of the services that are told apart by path, each with its `prefix` and its `backends`.
    ///   It is empty if every backend serves everything.
    ///
    /// Examples:
    /// ```python
    /// cookie = promises().cookie or "persistence"
    /// ```
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

    /// Returns the counters of the run so far.
    ///
    /// # Returns
    /// A struct: `requests` is the number of HTTP requests that clients have sent, `logons` the number of requests for
    /// pass-through logons to the DC, `tickets` the number of requests for tickets to the DC, and `ticket_checks` the
    /// number of tickets that servers have checked.
    ///
    /// Examples:
    /// ```python
    /// before = counts().logons
    /// ```
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

    /// Returns the log of the application, with one entry for each request that it has processed.
    ///
    /// The response has the `id` of its request as well. Comparing the two reveals a mix-up, also in production.
    ///
    /// # Returns
    /// A list of structs, each with the `id` that the request carried, the `user` as whom it was served, and the
    /// `backend`.
    ///
    /// Examples:
    /// ```python
    /// busy = [entry.backend for entry in app_log()]
    /// ```
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

    /// Returns the results of the logons for which servers asked a DC.
    ///
    /// # Returns
    /// A list of structs, each with the `server`, the `account`, and the `status`, which is the NTSTATUS as eight
    /// hexadecimal digits.
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
}
