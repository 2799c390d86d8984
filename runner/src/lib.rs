//! Performs plans on an arm, and judges the resulting runs.
//!
//! A plan is kept in a file, from which it can be performed again. A mistake in the file is an error that names the
//! line:
//!
//! ```
//! use stickler_model::{Action, BalancerSpec, ClientSpec, Plan, Profile, standard};
//! use stickler_runner::Source;
//! use stickler_runner::file::{Reader, write_plan};
//!
//! let plan = Plan {
//!     seed: 1,
//!     balancer: BalancerSpec::named("pin-on-401"),
//!     topology: standard::site(1),
//!     steps: vec![Action::AddClient(ClientSpec::new("browser".into(), Profile::BROWSER, None))],
//! };
//! let mut file = Vec::new();
//! write_plan(&plan, &Source::default(), "sim", &mut file).unwrap();
//! assert_eq!(Reader::new(&file[..], "plan.jsonl").unwrap().plan, plan);
//!
//! let text = String::from_utf8(file).unwrap().replace("add_client", "add_clent");
//! let error = Reader::new(text.as_bytes(), "plan.jsonl").err().unwrap();
//! assert!(error.to_string().starts_with("plan.jsonl:2: the line is malformed"));
//! ```
//!
//! ```text
//! Plan ──▶ Arm: World ──▶ Trace ──▶ oracle ──▶ Run ──▶ Expected::compare ──▶ Ending
//!                                               └────▶ run file
//! ```
//!
//! * [`arm`]: the trait [`Arm`], which builds worlds: the simulator, real sockets, or a simulator with a balancer from
//!   outside Stickler.
//! * [`play()`]: performs a [`Plan`](stickler_model::Plan) on an arm.
//! * [`run`](mod@run): [`Run`], the result of performing a plan or a script, and its [`Ending`].
//! * [`judge()`]: judges a trace.
//! * [`control`]: determines whether a failure would have happened without the balancer; `without_faults`, whether it would have
//!   happened without the injected faults.
//! * [`confidence`]: the confidence in a result without leaks, as a number.
//! * [`expected`]: the expected outcome as data, and the comparison of a run with it.
//! * [`diagnostic`]: a message with its place in a text; [`excerpt`]: the drawing of that place.
//! * [`file`](mod@file): run files in JSON lines, which are written, read back, and compared with a replay.
//! * [`folder`]: creates folders that users name, and says what is in the way.
//! * [`panics`]: turns a panic of the code under test into an error with its place.
//! * [`text_file`]: reads files that users name, and refuses files that may have no end.
//!
//! Scripts are in the crate `scenarios`, on which this one does not depend.

pub mod arm;
pub mod compare;
pub mod confidence;
pub mod control;
pub mod diagnostic;
pub mod excerpt;
pub mod expected;
pub mod file;
pub mod folder;
mod judge;
pub mod panics;
pub mod play;
pub mod run;
pub mod text_file;
mod without_faults;

pub use arm::Arm;
pub use confidence::{Conclusion, Confidence};
pub use diagnostic::Diagnostic;
pub use expected::{Deviation, Expected, ScriptOutcome};
pub use judge::judge;
pub use play::{PlayError, play};
pub use run::{End, Ending, Run, Source};
