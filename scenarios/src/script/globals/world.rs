//! Time, and what breaks and is mended.

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
    /// Lets time pass. What is under way goes on meanwhile.
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
    /// How long that is follows from what the balancer declares of its checks, so that one script fits every balancer.
    ///
    /// # Arguments
    /// * `change`: `"down"` where a backend has stopped to serve, `"up"` where it serves again.
    /// * `extra`: How many seconds more to wait.
    /// * `otherwise`: How many seconds to wait where the balancer declares no checks.
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
    /// Ends the process of a host. Its kernel closes the connections.
    ///
    /// # Arguments
    /// * `host`: The name of a server, `"iis1"`, of the balancer, `"lb"`, or of a DC, `"dc"`.
    fn crash(host: &str, eval: &mut Evaluator) -> starlark::Result<NoneType> {
        fault(eval, Fault::Crash(host.into()))
    }

    /// Takes the power of a host away. It falls silent, and nobody is told.
    ///
    /// # Arguments
    /// * `host`: The name of a server, of the balancer or of a DC.
    fn power_loss(host: &str, eval: &mut Evaluator) -> starlark::Result<NoneType> {
        fault(eval, Fault::PowerLoss(host.into()))
    }

    /// Starts the process of a host again, or the host with its process.
    ///
    /// # Arguments
    /// * `host`: The name of a host that has crashed or has lost its power.
    fn restart(host: &str, eval: &mut Evaluator) -> starlark::Result<NoneType> {
        fault(eval, Fault::Restart(host.into()))
    }

    /// Stops the process of a host without ending it. Connections are accepted, and nobody answers on them.
    ///
    /// # Arguments
    /// * `host`: The name of a server, of the balancer or of a DC.
    fn hang(host: &str, eval: &mut Evaluator) -> starlark::Result<NoneType> {
        fault(eval, Fault::Hang(host.into()))
    }

    /// Lets a process that hangs go on.
    ///
    /// # Arguments
    /// * `host`: The name of a host whose process hangs.
    fn resume(host: &str, eval: &mut Evaluator) -> starlark::Result<NoneType> {
        fault(eval, Fault::Resume(host.into()))
    }

    /// Makes the balancer drain a backend: clients that are bound to it keep it, and no new ones come.
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

    /// Sets a server up anew during the run, and starts IIS again (`iisreset`): its connections end.
    ///
    /// What is not given stays as the server has it at that moment.
    ///
    /// # Arguments
    /// * `host`: The name of a server.
    /// * `server`: What changes: `server(...)`, `windows_authentication(...)`, or a server that is not IIS.
    ///
    /// Examples:
    /// ```python
    /// configure("iis2", server(clock_skew = 600))
    /// ```
    fn configure<'v>(host: &str, server: Value<'v>, eval: &mut Evaluator<'v, '_, '_>) -> starlark::Result<NoneType> {
        Session::of(eval).configure(host, &server_change(server)?)?;
        Ok(NoneType)
    }

    /// Holds the packets between two hosts back, in both directions, until `release()`.
    ///
    /// # Arguments
    /// * `one`: The name of a host or of a client.
    /// * `other`: The name of another one.
    fn hold(one: &str, other: &str, eval: &mut Evaluator) -> starlark::Result<NoneType> {
        fault(eval, Fault::Hold(one.into(), other.into()))
    }

    /// Lets the packets arrive that `hold()` has held back between two hosts.
    ///
    /// # Arguments
    /// * `one`: The name of a host or of a client.
    /// * `other`: The name of another one.
    fn release(one: &str, other: &str, eval: &mut Evaluator) -> starlark::Result<NoneType> {
        fault(eval, Fault::Release(one.into(), other.into()))
    }

    /// Ends every connection between two hosts by a forged RST.
    ///
    /// # Arguments
    /// * `one`: The name of a host or of a client.
    /// * `other`: The name of another one.
    fn reset(one: &str, other: &str, eval: &mut Evaluator) -> starlark::Result<NoneType> {
        fault(eval, Fault::Reset(one.into(), other.into()))
    }
}

fn fault(eval: &Evaluator<'_, '_, '_>, fault: Fault) -> starlark::Result<NoneType> {
    Session::of(eval).fault(fault)?;
    Ok(NoneType)
}

/// A time that a script gives in seconds.
fn span(argument: &'static str, seconds: f64) -> Result<Duration, ScriptError> {
    let time = Duration::try_from_secs_f64(seconds).ok().filter(|time| *time <= MAX_TIME);
    time.ok_or_else(|| ScriptError::OutOfRange {
        argument,
        given: seconds.to_string(),
        low: 0,
        high: MAX_TIME.as_secs(),
    })
}
