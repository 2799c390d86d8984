//! The script language: Starlark, with a site, clients, faults and expectations.
//!
//! * [`session`]: the state behind a script: the world, built when first needed, and what failed.
//! * [`globals`]: the functions that a script calls (`curl`, `advance`, `crash` ...).
//! * [`client_options`]: what a script says of a client.
//! * [`values`]: clients, requests under way, and answers, as a script sees them.
//! * [`errors`]: Starlark's errors as [`Diagnostic`]s.
//! * [`nesting`]: how deep a script's syntax can nest.
//!
//! The language has no clock, no randomness, no input and, without `load`, no other files: a
//! script does the same each time.

mod client_options;
mod errors;
mod globals;
mod nesting;
mod session;
mod values;

use std::cell::Cell;
use std::ops::Range;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};

use starlark::codemap::{FileSpanRef, Span};
use starlark::environment::{Globals, GlobalsBuilder, LibraryExtension, Module};
use starlark::eval::{BeforeStmtFunc, Evaluator};
use starlark::syntax::{AstModule, Dialect};
use stickler_model::{BalancerSpec, Topology, Trace, World, WorldError};
use stickler_runner::{Arm, Diagnostic, End, panics};

use crate::{Scenario, limits};
use errors::ScriptError;
use session::Session;

/// What came of a script, before the oracle has seen it.
#[derive(Debug)]
pub(crate) struct Played {
    /// The world's trace, where there was a world.
    pub(crate) trace: Option<Trace>,
    /// The expectations that did not hold.
    pub(crate) failures: Vec<Diagnostic>,
    /// Whether it came to its end.
    pub(crate) end: End,
    /// What it printed.
    pub(crate) printed: Vec<String>,
    /// Whether it expected anything.
    pub(crate) expects: bool,
}

/// Python's syntax as far as Starlark has it, with `if` and `for` at the top, and f-strings.
const DIALECT: Dialect = Dialect {
    enable_load: false,
    enable_top_level_stmt: true,
    enable_f_strings: true,
    enable_keyword_only_arguments: true,
    ..Dialect::Standard
};

static GLOBALS: LazyLock<Globals> = LazyLock::new(|| {
    GlobalsBuilder::extended_by(&[LibraryExtension::Print, LibraryExtension::StructType])
        .with(globals::functions)
        .with(globals::sites)
        .with(globals::clients)
        .with(globals::crowds)
        .build()
});

thread_local! {
    /// The statement that this thread's script is at: its first and last byte. An allocator has no
    /// evaluator to ask.
    static STATEMENT: Cell<(u32, u32)> = const { Cell::new((0, 0)) };
}

/// Plays a script to its end, on this thread. Past the limit on memory, `on_out_of_memory` gets what came of the script
/// until then, and the thread never goes on.
pub(crate) fn play(
    scenario: &Scenario,
    balancer: &BalancerSpec,
    seed: u64,
    arm: Arc<dyn Arm>,
    on_out_of_memory: impl FnOnce(Played) + 'static,
) -> Played {
    let session = Rc::new(Session::new(scenario.clone(), balancer.clone(), seed, arm));
    LazyLock::force(&GLOBALS);
    STATEMENT.set((0, 0));
    let stopped = {
        let (session, scenario) = (Rc::clone(&session), scenario.clone());
        move || on_out_of_memory(session.finish(Some(out_of_memory(&scenario))))
    };
    let evaluate = || evaluate(scenario, &session).and_then(|()| session.check_asked());
    let play = || limits::metered(limits::MEMORY, stopped, || evaluate().err());
    let error = panics::caught(play).unwrap_or_else(|panic| Some(panicked(scenario, &panic)));
    session.finish(error)
}

/// Reads the site that a script describes, on this thread: as it is when the script first does something there, or at its end.
/// Past the limit on memory, `on_out_of_memory` gets the error, and the thread never goes on.
///
/// # Errors
/// The script's mistake, where it makes one before.
pub(crate) fn site(
    scenario: &Scenario,
    on_out_of_memory: impl FnOnce(Diagnostic) + 'static,
) -> Result<Topology, Diagnostic> {
    let session = Session::new(scenario.clone(), BalancerSpec::named("control"), 0, Arc::new(NoWorld));
    LazyLock::force(&GLOBALS);
    STATEMENT.set((0, 0));
    let stopped = {
        let scenario = scenario.clone();
        move || on_out_of_memory(out_of_memory(&scenario))
    };
    let evaluate = || limits::metered(limits::MEMORY, stopped, || evaluate(scenario, &session).err());
    let error = panics::caught(evaluate).unwrap_or_else(|panic| Some(panicked(scenario, &panic)));
    match error {
        Some(error) if !session.has_begun() => Err(error),
        _ => Ok(session.site(Topology::clone)),
    }
}

/// Builds no world.
struct NoWorld;

impl Arm for NoWorld {
    fn name(&self) -> &'static str {
        "none"
    }

    fn build(&self, _: Topology, _: &BalancerSpec, _: u64) -> Result<Box<dyn World>, WorldError> {
        Err(WorldError::Unsupported("the site alone is read".into()))
    }

    fn build_control(&self, topology: Topology, seed: u64) -> Result<Box<dyn World>, WorldError> {
        self.build(topology, &BalancerSpec::named("control"), seed)
    }
}

/// The script on this thread has asked for more than [`limits::MEMORY`].
fn out_of_memory(scenario: &Scenario) -> Diagnostic {
    let message =
        format!("out of memory: a script may hold {} MiB; this statement asks for more", limits::MEMORY >> 20);
    scenario.diagnostic(statement(), message, None)
}

/// The interpreter, or the world, panicked on this thread.
pub(crate) fn panicked(scenario: &Scenario, panic: &str) -> Diagnostic {
    scenario.diagnostic(statement(), format!("cannot carry out this statement: {panic}"), None)
}

fn evaluate(scenario: &Scenario, session: &Session) -> Result<(), Diagnostic> {
    if let Some(at) = nesting::too_deep(scenario.source()) {
        let message =
            format!("this statement has more than {} brackets, operators and keywords: split it", nesting::MAX);
        return Err(scenario.diagnostic(at, message, None));
    }
    let wrong = |error| errors::diagnostic(scenario, &error);
    let parsed = AstModule::parse(scenario.path(), scenario.source().to_owned(), &DIALECT).map_err(wrong)?;
    let note = |at: FileSpanRef<'_>, _, _: &mut Evaluator<'_, '_, '_>| {
        STATEMENT.set((at.span.begin().get(), at.span.end().get()));
    };
    Module::with_temp_heap(|module| {
        let mut eval = Evaluator::new(&module);
        eval.extra = Some(session);
        eval.set_print_handler(session);
        eval.set_max_callstack_size(limits::CALL_DEPTH).map_err(starlark::Error::new_other)?;
        eval.set_max_tick_count(limits::TICKS).map_err(starlark::Error::new_other)?;
        // The only bound on memory in a program without the counting allocator.
        eval.set_max_heap_size(limits::MEMORY).map_err(starlark::Error::new_other)?;
        // The name says that it is meant for debuggers; nothing else tells where a script is.
        eval.before_stmt_for_dap(BeforeStmtFunc::Fn(&note));
        let outcome = eval.eval_module(parsed, &GLOBALS).map(|_| ());
        if eval.get_total_tick_count() > limits::TICKS { Err(ScriptError::TooManySteps.into()) } else { outcome }
    })
    .map_err(wrong)
}

/// The bytes of the statement that the script is at.
fn statement() -> Range<usize> {
    let (start, end) = STATEMENT.get();
    start as usize..end as usize
}

fn bytes(span: Span) -> Range<usize> {
    span.begin().get() as usize..span.end().get() as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::write::RESERVED;

    #[test]
    fn no_variable_of_a_written_script_hides_a_function() {
        let missing: Vec<String> = GLOBALS
            .names()
            .map(|name| name.as_str().to_owned())
            .filter(|name| !RESERVED.contains(&name.as_str()))
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
