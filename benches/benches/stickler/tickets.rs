//! Benchmarks of Kerberos in memory.

use criterion::BatchSize;
use stickler_auth::kerberos::crypto::Etype;
use stickler_auth::spnego::token::Token;
use stickler_benches::report::{Aim, Figure, Sample};
use stickler_benches::tickets::Realm;

use crate::Bench;

/// The number of verifications at a time, each with its own cache.
const BATCH: u64 = 64;

/// The benchmark with which exchanges and messages are compared, with the encryption type that Windows chooses.
const YARDSTICK: &str = "kerberos/primitives-18";

pub(crate) fn measure(bench: &mut Bench) {
    for etype in Etype::ALL {
        verification(bench, etype);
    }
    let realm = Realm::new(Etype::Aes256Sha1);
    let (first, second) = (realm.as_request(), realm.tgs_request());
    let [init, resp] = realm.negotiation();
    one(bench, "as-answer", "AS exchange, the KDC's part", || realm.answer(&first));
    one(bench, "as-exchange", "AS exchange, client and KDC", || realm.authentication());
    one(bench, "tgs-answer", "TGS exchange, the KDC's part", || realm.answer(&second));
    one(bench, "tgs-exchange", "TGS exchange, client and KDC", || realm.ticket_granting());
    one(bench, "spnego-init", "NegTokenInit with a ticket, read", || Token::decode(&init).is_ok());
    one(bench, "spnego-resp", "NegTokenResp with an AP-REP, read", || Token::decode(&resp).is_ok());
}

fn verification(bench: &mut Bench, etype: Etype) {
    let realm = Realm::new(etype);
    let mut primitives = realm.primitives();
    let (verify, bare) = (format!("verify-{}", etype.number()), format!("primitives-{}", etype.number()));
    let mut group = bench.criterion.benchmark_group("kerberos");
    group.bench_function(verify.as_str(), |b| {
        bench.estimates.ran(&format!("kerberos/{verify}"));
        b.iter_batched_ref(|| realm.host(), |replays| realm.verify(replays), BatchSize::NumIterations(BATCH));
    });
    group.bench_function(bare.as_str(), |b| {
        bench.estimates.ran(&format!("kerberos/{bare}"));
        b.iter(|| primitives.run());
    });
    group.finish();
    bench.figures.push(Figure {
        sample: Sample::one(format!("kerberos/{verify}")),
        what: format!("AP-REQ verified and AP-REP made, {etype}"),
        beside: Sample::one(format!("kerberos/{bare}")),
        bare: None,
        aim: Some(Aim::TimeWithin(1.5)),
        as_rate: false,
        note:
            "The service's keys are derived beforehand, those of the ticket's session key are not: neither beside it, \
               where the ciphers and HMACs stand that ticket, authenticator and AP-REP need, over inputs of the same \
               lengths. The ticket has no PAC, with which the primitives would weigh more."
                .into(),
    });
}

/// Measures a benchmark that is reported but not judged.
fn one<T>(bench: &mut Bench, name: &str, what: &str, mut work: impl FnMut() -> T) {
    let mut group = bench.criterion.benchmark_group("kerberos");
    group.bench_function(name, |b| {
        bench.estimates.ran(&format!("kerberos/{name}"));
        b.iter(&mut work);
    });
    group.finish();
    bench.figures.push(Figure {
        sample: Sample::one(format!("kerberos/{name}")),
        what: what.into(),
        beside: Sample::one(YARDSTICK),
        bare: None,
        aim: None,
        as_rate: false,
        note: format!("Exchanges and messages of Kerberos stand beside `{YARDSTICK}` to compare machines."),
    });
}
