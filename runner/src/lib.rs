//! A plan on an arm gives a run.
//!
//! ```text
//! Plan ──▶ Arm: World ──▶ Trace ──▶ oracle ──▶ Run ──▶ Expected::compare ──▶ Ending
//!                                               └────▶ run file
//! ```
//!
//! * [`arm`]: an [`Arm`] builds worlds: the simulator, or a simulator with somebody else's balancer.
//! * [`play()`]: performs a [`Plan`](stickler_model::Plan) on an arm.
//! * [`run`](mod@run): [`Run`], what came of a plan or of a script, and its [`Ending`].
//! * [`control`]: judges a trace, and asks whether the same would have happened without the balancer.
//! * [`confidence`]: what it says that nothing was found, with its number.
//! * [`expected`]: the expected outcome as data, and how a run differs from it.
//! * [`diagnostic`]: a message with its place in a text.
//! * [`file`](mod@file): run files, as JSON lines: written, read back, and compared with a replay.
//! * [`panics`]: a panic of what is under test becomes an error with its place.
//! * [`text_file`]: files that somebody names, read only where that ends.
//!
//! Scripts are the crate `scenarios`; this one does not know them.

pub mod arm;
pub mod compare;
pub mod confidence;
pub mod control;
pub mod diagnostic;
pub mod expected;
pub mod file;
pub mod panics;
pub mod play;
pub mod run;
pub mod text_file;

pub use arm::Arm;
pub use confidence::{Conclusion, Confidence};
pub use diagnostic::Diagnostic;
pub use expected::{Deviation, Expected, ScriptOutcome};
pub use play::{PlayError, play};
pub use run::{End, Ending, Run, Source};
