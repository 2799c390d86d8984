//! Benchmarks of NTLM in memory.

use std::cell::RefCell;

use criterion::BatchSize;
use stickler_auth::ntlm::profile::NtlmProfile;
use stickler_benches::handshake::Handshake;
use stickler_benches::report::{Aim, Figure, Sample};

use crate::Bench;

/// The number of handshakes that are prepared at a time, which is small enough for the processor's cache.
const BATCH: u64 = 64;

pub(crate) fn measure(bench: &mut Bench) {
    let with_mic =
        ("mic", NtlmProfile::windows(), "Authenticate with MIC and session key, verified", Some(Aim::TimeWithin(1.2)));
    let without = ("no-mic", NtlmProfile::curl(), "Authenticate without either, verified", None);
    for (name, profile, what, aim) in [with_mic, without] {
        let handshake = RefCell::new(Handshake::new(profile));
        let primitives = handshake.borrow().primitives();
        let (verify, bare) = (format!("verify-{name}"), format!("primitives-{name}"));
        let mut group = bench.criterion.benchmark_group("ntlm");
        group.bench_function(verify.as_str(), |b| {
            bench.estimates.ran(&format!("ntlm/{verify}"));
            b.iter_batched(
                || handshake.borrow().challenged(),
                |waiting| handshake.borrow_mut().verify(waiting),
                BatchSize::NumIterations(BATCH),
            );
        });
        group.bench_function(bare.as_str(), |b| {
            bench.estimates.ran(&format!("ntlm/{bare}"));
            b.iter(|| primitives.run());
        });
        group.finish();
        bench.figures.push(Figure {
            sample: Sample::one(format!("ntlm/{verify}")),
            what: what.into(),
            beside: Sample::one(format!("ntlm/{bare}")),
            bare: None,
            aim,
            as_rate: false,
            note: "Verification is the server's and the DC's part together, with the DC's NTOWFv2 cached; beside it \
                   stand the HMAC-MD5 and RC4 operations that it needs, over inputs of the same lengths."
                .into(),
        });
    }
    let mut handshake = Handshake::new(NtlmProfile::windows());
    let mut group = bench.criterion.benchmark_group("ntlm");
    group.bench_function("handshake", |b| {
        bench.estimates.ran("ntlm/handshake");
        b.iter(|| handshake.run());
    });
    group.finish();
    bench.figures.push(Figure {
        sample: Sample::one("ntlm/handshake"),
        what: "handshake in memory: three messages made, read, verified".into(),
        beside: Sample::one("ntlm/primitives-mic"),
        bare: None,
        aim: None,
        as_rate: false,
        note: String::new(),
    });
}
