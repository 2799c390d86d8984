//! The script language: Starlark, with a site, clients, faults and expectations.
//!
//! * [`session`]: the state behind a script: the world, which is built when it is first needed, and the expectations
//!   that failed.
//! * [`globals`]: the functions that a script calls (`curl`, `advance`, `crash` ...).
//! * [`client_options`]: the options of a client.
//! * [`values`]: clients, pending requests, and answers, as a script sees them.
//! * [`errors`]: Starlark's errors as [`Diagnostic`]s. [`place`]: the place that a script has reached.
//! * [`nesting`]: the limit on the nesting depth of a script's syntax.
//! * [`files`]: a script's own file, and those that it loads.
//! * [`language`]: functions, methods, arguments and attributes with their documentation, as data.
//!   [`reference`](mod@reference): the same as Markdown.
//! * [`trial`]: the trial of a call without a world, for lints.
//!
//! The language has no clock, no randomness, no input, and no files except those of the script's folder. A script
//! therefore does the same each time.

mod client_options;
mod errors;
pub(crate) mod files;
mod globals;
pub(crate) mod language;
pub(crate) mod nesting;
pub(crate) mod place;
pub(crate) mod reference;
mod session;
pub(crate) mod trial;
mod values;

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};

use starlark::codemap::FileSpanRef;
use starlark::environment::{FrozenModule, Globals, GlobalsBuilder, LibraryExtension, Module};
use starlark::eval::{BeforeStmtFunc, Evaluator, ReturnFileLoader};
use starlark::syntax::Dialect;
use stickler_model::{BalancerSpec, Topology, Trace, World, WorldError};
use stickler_runner::{Arm, Diagnostic, End, panics};

use crate::{Scenario, limits};
use errors::ScriptError;
use files::File;
use place::Place;
use session::Session;

/// The result of a script, before the oracle has judged it.
#[derive(Debug)]
pub(crate) struct Played {
    /// The trace of the world, if there was a world.
    pub(crate) trace: Option<Trace>,
    /// The expectations that did not hold.
    pub(crate) failures: Vec<Diagnostic>,
    /// The end of the script: completed, or stopped for a reason.
    pub(crate) end: End,
    /// The lines that the script printed.
    pub(crate) printed: Vec<String>,
    /// Whether the script has any expectation.
    pub(crate) expects: bool,
}

/// Python's syntax as far as Starlark supports it, with `if` and `for` at the top level, and f-strings.
pub(crate) const DIALECT: Dialect = Dialect {
    enable_top_level_stmt: true,
    enable_f_strings: true,
    enable_keyword_only_arguments: true,
    ..Dialect::Standard
};

pub(crate) static GLOBALS: LazyLock<Globals> = LazyLock::new(|| {
    let standard = GlobalsBuilder::extended_by(&[LibraryExtension::Print, LibraryExtension::StructType]);
    globals::GROUPS.iter().fold(standard, |builder, group| builder.with(group.functions)).build()
});

/// Plays a script to its end, on this thread. If the script exceeds the limit on memory, `on_out_of_memory` gets the
/// result up to that point, and the thread never continues.
pub(crate) fn play(
    scenario: &Scenario,
    balancer: &BalancerSpec,
    seed: u64,
    arm: Arc<dyn Arm>,
    on_out_of_memory: impl FnOnce(Played) + 'static,
) -> Played {
    let session = Rc::new(Session::new(scenario.clone(), balancer.clone(), seed, arm));
    LazyLock::force(&GLOBALS);
    place::begin();
    let stopped = {
        let (session, scenario) = (Rc::clone(&session), scenario.clone());
        move || on_out_of_memory(session.finish(Some(out_of_memory(&scenario))))
    };
    let evaluate = || evaluate(scenario, &session).and_then(|()| session.check_asked());
    let play = || limits::metered(limits::MEMORY, stopped, || evaluate().err());
    let error = panics::caught(play).unwrap_or_else(|panic| Some(panicked(scenario, &panic)));
    session.finish(error)
}

/// Reads the site that a script describes, on this thread: the site as it is at the first action, or at the end of the
/// script. If the script exceeds the limit on memory, `on_out_of_memory` gets the error, and the thread never
/// continues.
///
/// # Errors
/// The script makes a mistake before that point.
pub(crate) fn site(
    scenario: &Scenario,
    on_out_of_memory: impl FnOnce(Diagnostic) + 'static,
) -> Result<Topology, Diagnostic> {
    let session = Session::new(scenario.clone(), BalancerSpec::named("control"), 0, Arc::new(NoWorld));
    LazyLock::force(&GLOBALS);
    place::begin();
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

/// An arm that builds no world.
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

/// Returns the diagnostic of a script on this thread that has asked for more than [`limits::MEMORY`].
fn out_of_memory(scenario: &Scenario) -> Diagnostic {
    let message =
        format!("out of memory: a script may hold {} MiB; this statement asks for more", limits::MEMORY >> 20);
    Place::statement().diagnostic(scenario, message, None)
}

/// Returns the diagnostic of a panic of the interpreter, or of the world, on this thread.
pub(crate) fn panicked(scenario: &Scenario, panic: &str) -> Diagnostic {
    Place::statement().diagnostic(scenario, format!("cannot carry out this statement: {panic}"), None)
}

/// Evaluates the files that a script loads, each of them once, and then the script itself.
fn evaluate(scenario: &Scenario, session: &Session) -> Result<(), Diagnostic> {
    let mut files = files::read(scenario)?;
    let own = files.pop();
    let mut evaluation = Evaluation { scenario, session, modules: HashMap::new(), ticks: 0 };
    session.load(|| files.into_iter().try_for_each(|file| evaluation.load(file)))?;
    own.map_or(Ok(()), |own| evaluation.play(own))
}

/// The progress of the evaluation of a script.
struct Evaluation<'a> {
    scenario: &'a Scenario,
    session: &'a Session,
    /// The files that are loaded already, by key.
    modules: HashMap<String, FrozenModule>,
    /// The number of steps that were executed so far.
    ticks: u64,
}

impl Evaluation<'_> {
    /// Evaluates a file that other files load.
    fn load(&mut self, file: File) -> Result<(), Diagnostic> {
        let key = file.key.clone();
        let frozen = Module::with_temp_heap(|module| {
            self.evaluate(&module, file)?;
            module.freeze().map_err(|error| self.wrong(&starlark::Error::new_other(error)))
        })?;
        self.modules.insert(key, frozen);
        Ok(())
    }

    /// Evaluates the script's own file.
    fn play(&mut self, file: File) -> Result<(), Diagnostic> {
        Module::with_temp_heap(|module| self.evaluate(&module, file))
    }

    fn evaluate(&mut self, module: &Module<'_>, file: File) -> Result<(), Diagnostic> {
        let File { syntax, loads, .. } = file;
        let known = |(name, key): &(String, String)| Some((name.clone(), self.modules.get(key)?.clone()));
        let loaded: Vec<(String, FrozenModule)> = loads.iter().filter_map(known).collect();
        let loaded: HashMap<&str, &FrozenModule> =
            loaded.iter().map(|(name, module)| (name.as_str(), module)).collect();
        let files = ReturnFileLoader { modules: &loaded };
        let left = limits::TICKS.saturating_sub(self.ticks).max(1);
        let (outcome, ticks) = evaluate_syntax(module, syntax, &files, self.session, left);
        self.ticks += ticks;
        outcome.map_err(|error| self.wrong(&error))
    }

    fn wrong(&self, error: &starlark::Error) -> Diagnostic {
        errors::diagnostic(self.scenario, error)
    }
}

/// Evaluates a file in a module, within the limits. Returns its result, and the number of steps that it took.
fn evaluate_syntax(
    module: &Module<'_>,
    syntax: starlark::syntax::AstModule,
    loader: &ReturnFileLoader<'_>,
    session: &Session,
    ticks: u64,
) -> (starlark::Result<()>, u64) {
    let note = |at: FileSpanRef<'_>, _, _: &mut Evaluator<'_, '_, '_>| place::note(at);
    let mut eval = Evaluator::new(module);
    eval.extra = Some(session);
    eval.set_print_handler(session);
    eval.set_loader(loader);
    let limited = eval.set_max_callstack_size(limits::CALL_DEPTH).and_then(|()| eval.set_max_tick_count(ticks));
    // This is the only bound on memory in a program without the counting allocator.
    if let Err(error) = limited.and_then(|()| eval.set_max_heap_size(limits::MEMORY)) {
        return (Err(starlark::Error::new_other(error)), 0);
    }
    // The hook is meant for debuggers, as its name says; Starlark has no other that tells the place of a script.
    eval.before_stmt_for_dap(BeforeStmtFunc::Fn(&note));
    let outcome = eval.eval_module(syntax, &GLOBALS).map(|_| ());
    let taken = eval.get_total_tick_count();
    (if taken > ticks { Err(ScriptError::TooManySteps.into()) } else { outcome }, taken)
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
