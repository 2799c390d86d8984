//! The passing of time, faults, and repairs.

use std::time::Duration;

use starlark::environment::GlobalsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::Value;
use starlark::values::float::UnpackFloat;
use starlark::values::none::NoneType;
use stickler_model::action::{CheckWait, Fault};
use stickler_model::bounds::MAX_TIME;

use super::super::errors::ScriptError;
use super::super::session::Session;
use super::super::values::server_change;
use super::one_of;
use crate::site::names::CHECK_CHANGES;

#[starlark_module]
pub(super) fn time(builder: &mut GlobalsBuilder) {
    /// Lets time pass. Pending requests continue meanwhile.
    ///
    /// # Arguments
    /// * `seconds`: The time in seconds. A fraction is allowed.
    /// * `ms`: More time, in milliseconds.
    ///
    /// Examples:
    /// ```python
    /// advance(60)
    /// advance(ms = 10)
    /// ```
    fn advance<'v>(
        #[starlark(default = UnpackFloat(0.0))] seconds: UnpackFloat,
        #[starlark(require = named, default = UnpackFloat(0.0))] ms: UnpackFloat,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<NoneType> {
        Session::of(eval).advance(span("the time in seconds", seconds.0 + ms.0 / 1_000.0)?)?;
        Ok(NoneType)
    }

    /// Lets time pass until the balancer's health checks must have noticed a change.
    ///
    /// The time follows from the declarations of the balancer about its checks, so one script fits every balancer.
    ///
    /// # Arguments
    /// * `change`: The change to notice: `"down"` if a backend has stopped serving, `"up"` if it serves again.
    /// * `extra`: The additional time to wait, in seconds.
    /// * `otherwise`: The time to wait if the balancer declares no checks, in seconds.
    ///
    /// Examples:
    /// ```python
    /// crash("iis1")
    /// await_checks("down")
    /// ```
    fn await_checks<'v>(
        change: &str,
        #[starlark(require = named, default = UnpackFloat(1.0))] extra: UnpackFloat,
        #[starlark(require = named, default = UnpackFloat(60.0))] otherwise: UnpackFloat,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<NoneType> {
        let change = one_of("change that checks notice", change, &CHECK_CHANGES)?;
        let (extra, otherwise) = (span("extra", extra.0)?, span("otherwise", otherwise.0)?);
        Session::of(eval).await_checks(CheckWait { change, extra, otherwise })?;
        Ok(NoneType)
    }
}

#[starlark_module]
pub(super) fn faults(builder: &mut GlobalsBuilder) {
    /// Ends the process of a host. The kernel of the host closes its connections.
    ///
    /// # Arguments
    /// * `host`: The name of a server (`"iis1"`), of the balancer (`"lb"`) or of a DC (`"dc"`).
    fn crash(host: &str, eval: &mut Evaluator) -> starlark::Result<NoneType> {
        fault(eval, Fault::Crash(host.into()))
    }

    /// Cuts the power of a host. The host falls silent, and its peers are not notified.
    ///
    /// # Arguments
    /// * `host`: The name of a server, of the balancer or of a DC.
    fn power_loss(host: &str, eval: &mut Evaluator) -> starlark::Result<NoneType> {
        fault(eval, Fault::PowerLoss(host.into()))
    }

    /// Restarts the process of a host, or the host together with its process.
    ///
    /// # Arguments
    /// * `host`: The name of a host that has crashed or has lost power.
    fn restart(host: &str, eval: &mut Evaluator) -> starlark::Result<NoneType> {
        fault(eval, Fault::Restart(host.into()))
    }

    /// Stops the process of a host without ending it. Its kernel still accepts connections, but they are not answered.
    ///
    /// # Arguments
    /// * `host`: The name of a server, of the balancer or of a DC.
    fn hang(host: &str, eval: &mut Evaluator) -> starlark::Result<NoneType> {
        fault(eval, Fault::Hang(host.into()))
    }

    /// Resumes a process that hangs.
    ///
    /// # Arguments
    /// * `host`: The name of a host whose process hangs.
    fn resume(host: &str, eval: &mut Evaluator) -> starlark::Result<NoneType> {
        fault(eval, Fault::Resume(host.into()))
    }

    /// Makes the balancer drain a backend: clients that are bound to the backend keep it, and it gets no new clients.
    ///
    /// # Arguments
    /// * `host`: The name of a server.
    fn drain(host: &str, eval: &mut Evaluator) -> starlark::Result<NoneType> {
        Session::of(eval).drain(host.into(), true)?;
        Ok(NoneType)
    }

    /// Puts a drained backend back into full use.
    ///
    /// # Arguments
    /// * `host`: The name of a server.
    fn undrain(host: &str, eval: &mut Evaluator) -> starlark::Result<NoneType> {
        Session::of(eval).drain(host.into(), false)?;
        Ok(NoneType)
    }

    /// Changes the set-up of a server during the run, and restarts IIS (`iisreset`), which ends its connections.
    ///
    /// A setting that is not given stays as the server has it at that moment.
    ///
    /// # Arguments
    /// * `host`: The name of a server.
    /// * `server`: The settings to change: `server(...)`, `windows_authentication(...)`, or a server that is not IIS.
    ///
    /// Examples:
    /// ```python
    /// configure("iis2", server(clock_skew = 600))
    /// ```
    fn configure<'v>(host: &str, server: Value<'v>, eval: &mut Evaluator<'v, '_, '_>) -> starlark::Result<NoneType> {
        Session::of(eval).configure(host, &server_change(server)?)?;
        Ok(NoneType)
    }

    /// Holds back the packets between two hosts, in both directions, until `release()` is called.
    ///
    /// # Arguments
    /// * `one`: The name of a host or of a client.
    /// * `other`: The name of the other host or client.
    fn hold(one: &str, other: &str, eval: &mut Evaluator) -> starlark::Result<NoneType> {
        fault(eval, Fault::Hold(one.into(), other.into()))
    }

    /// Delivers the packets between two hosts that `hold()` has held back.
    ///
    /// # Arguments
    /// * `one`: The name of a host or of a client.
    /// * `other`: The name of the other host or client.
    fn release(one: &str, other: &str, eval: &mut Evaluator) -> starlark::Result<NoneType> {
        fault(eval, Fault::Release(one.into(), other.into()))
    }

    /// Ends every connection between two hosts with a forged RST.
    ///
    /// # Arguments
    /// * `one`: The name of a host or of a client.
    /// * `other`: The name of the other host or client.
    fn reset(one: &str, other: &str, eval: &mut Evaluator) -> starlark::Result<NoneType> {
        fault(eval, Fault::Reset(one.into(), other.into()))
    }
}

fn fault(eval: &Evaluator<'_, '_, '_>, fault: Fault) -> starlark::Result<NoneType> {
    Session::of(eval).fault(fault)?;
    Ok(NoneType)
}

/// Returns a duration that a script gives in seconds.
fn span(argument: &'static str, seconds: f64) -> Result<Duration, ScriptError> {
    let time = Duration::try_from_secs_f64(seconds).ok().filter(|time| *time <= MAX_TIME);
    time.ok_or_else(|| ScriptError::OutOfRange {
        argument,
        given: seconds.to_string(),
        low: 0,
        high: MAX_TIME.as_secs(),
    })
}
