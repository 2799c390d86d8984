//! The instructions that a dozen pieces of work take, which hardly depend on the machine: the only figures that fail a
//! build.
//!
//! * [`Work`]: the pieces of work.
//! * [`count`]: counts the instructions of one under valgrind's cachegrind.
//! * [`Committed`]: the counts in `benches/instructions.toml`, with which new ones are compared.
//!
//! A program runs under valgrind twice, with a different number of repetitions of the work. The difference is that of
//! the work alone, on all of its threads: neither the start of the program, nor the set-up, nor what is computed once
//! and kept. Processors matter in that code chooses among their extensions at run time; [`extensions`] tells them, and
//! counts are compared only where they are the same.
//!
//! The bench target `instructions` joins them: `cargo bench --profile release --bench instructions -- --help`. Valgrind
//! is called without a framework. gungraun, which exists for that, compares with the previous run on the same machine
//! and not with a committed file; its runner alone is built from more than two hundred crates, which takes longer than
//! all of the counting.

mod committed;
mod valgrind;
mod work;

pub use committed::{Accepted, Committed, FileError, GROWTH, Outcome};
pub use valgrind::{CountError, count};
pub use work::Work;

/// Returns the extensions of the processor, as this program sees them, that decide which code the ciphers and hashes
/// run. Valgrind shows a program fewer than the machine has.
pub fn extensions() -> String {
    #[cfg(target_arch = "x86_64")]
    {
        let all = [
            ("aes", std::arch::is_x86_feature_detected!("aes")),
            ("avx2", std::arch::is_x86_feature_detected!("avx2")),
            ("pclmulqdq", std::arch::is_x86_feature_detected!("pclmulqdq")),
            ("sha", std::arch::is_x86_feature_detected!("sha")),
        ];
        let names: Vec<&str> = all.iter().filter(|(_, has)| *has).map(|(name, _)| *name).collect();
        format!("x86_64 {}", names.join(" "))
    }
    #[cfg(not(target_arch = "x86_64"))]
    std::env::consts::ARCH.to_owned()
}
