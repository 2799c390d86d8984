//! Measures the speed of a hunt, and how many runs it needs to find each defect, as tables.
//! `cargo bench --bench hunt -- --quick` takes three seeds in place of ten.
//!
//! * `speed`: the number of plans per second on one core that are built, run and judged, with two clients, two servers
//!   and five steps, over `l4-nat`.
//! * `defects`: each defect of the catalogue, on the mechanism of its first entry in `defects.toml`: runs and seconds
//!   until it is found by its own requirement, without and with guidance, and the actions that shrinking leaves.
//!
//! Everything runs on one thread; seconds are wall time of that thread on an otherwise idle machine.
#![expect(clippy::disallowed_methods, reason = "a benchmark measures time")]

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use stickler_catalogue::defects;
use stickler_hunt::search::{Limits, MAX_UNIT};
use stickler_hunt::shrink::actions;
use stickler_hunt::{Finding, Hunt, Watch, search, shrink};
use stickler_model::{Action, BalancerSpec, ClientSpec, Plan, Profile, RequestId, RequestSpec, standard};
use stickler_oracle::Requirement;
use stickler_scenarios::catches;
use stickler_sim::SimArm;

/// The number of runs after which a defect counts as not found.
const MOST: u64 = 20_000;

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let only = std::env::args().skip(1).find(|argument| argument.starts_with('B') && argument.len() < 4);
    if only.is_none() {
        speed();
    }
    println!(
        "\ndefect  on                      requirement  found   runs: median  worst   s: median  worst   actions  unguided: median worst"
    );
    let mut medians = Vec::new();
    for defect in defects().iter().filter(|defect| only.as_ref().is_none_or(|only| defect.id == only)) {
        medians.push(row(defect.id, if quick { 3 } else { 10 }));
    }
    let slowest = medians.iter().max().copied().unwrap_or_default();
    println!("slowest median: {:.1} s", slowest.as_secs_f64());
}

/// Measures plans of five steps.
fn speed() {
    let client =
        |user: &str| Action::AddClient(ClientSpec::new(user.into(), Profile::BROWSER, Some(standard::identity(user))));
    let ask = |id: u32, user: &str| {
        let request = RequestSpec::new(user.into(), "GET", "/");
        [Action::Start { id: RequestId(id), request }, Action::Await(RequestId(id))]
    };
    let asks = [(1, "alice"), (2, "bob"), (3, "alice"), (4, "bob"), (5, "alice")];
    let steps: Vec<Action> = [client("alice"), client("bob")]
        .into_iter()
        .chain(asks.into_iter().flat_map(|(id, user)| ask(id, user)))
        .collect();
    let began = Instant::now();
    let mut plans = 0;
    while began.elapsed() < Duration::from_secs(3) {
        let plan = Plan {
            seed: plans,
            balancer: BalancerSpec::named("l4-nat"),
            topology: standard::site(2),
            steps: steps.clone(),
        };
        assert!(stickler_hunt::judge::judge(&plan, &SimArm).shown.is_empty());
        plans += 1;
    }
    println!(
        "plans of five steps, two clients, two servers over l4-nat: {:.0} a second",
        plans as f64 / began.elapsed().as_secs_f64()
    );
}

/// The result of the search for a defect with one seed.
struct One {
    runs: u64,
    time: Duration,
    finding: Option<Finding>,
}

/// Prints the row of a defect. Returns the median time until it is found.
fn row(defect: &str, seeds: u64) -> Duration {
    let catch = &catches(defect)[0];
    let balancer = BalancerSpec::named(&format!("{}+{defect}", catch.on));
    let mut plain: Vec<One> = (0..seeds).map(|seed| hunt(seed, &balancer, catch.requirement, false)).collect();
    let mut guided: Vec<One> = (0..seeds).map(|seed| hunt(seed, &balancer, catch.requirement, true)).collect();
    plain.sort_by_key(|one| one.runs);
    guided.sort_by_key(|one| one.runs);
    let found = guided.iter().filter(|one| one.finding.is_some()).count();
    let left: Vec<usize> = guided
        .iter()
        .filter_map(|one| one.finding.as_ref())
        .take(3)
        .map(|finding| {
            shrink(&finding.plan, &finding.kind, &SimArm, 4_000).map_or(usize::MAX, |shrunk| actions(&shrunk.plan))
        })
        .collect();
    let mut times: Vec<Duration> = guided.iter().map(|one| one.time).collect();
    times.sort_unstable();
    let middle = guided.len() / 2;
    println!(
        "{defect:<7} {:<23} {:<12} {found:>2}/{seeds:<2}   {:>12} {:>6}   {:>9.2} {:>6.2}   {:<8} {:>6} {:>6}",
        catch.on,
        catch.requirement.to_string(),
        guided[middle].runs,
        guided.last().map_or(0, |one| one.runs),
        times[middle].as_secs_f64(),
        times.last().copied().unwrap_or_default().as_secs_f64(),
        left.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
        plain[middle].runs,
        plain.last().map_or(0, |one| one.runs),
    );
    times[middle]
}

/// Hunts until a requirement is found violated.
fn hunt(seed: u64, balancer: &BalancerSpec, requirement: Requirement, guidance: bool) -> One {
    let hunt = Hunt {
        seed,
        balancers: vec![balancer.clone()],
        limits: Limits::default(),
        guidance,
        unit: MAX_UNIT,
        corpus: Vec::new(),
        declared: &|_| BTreeSet::new(),
        undeclared_only: false,
        simulation: None,
    };
    let until = Until { requirement, found: Mutex::new(None), over: AtomicBool::new(false), runs: Mutex::new(0) };
    let began = Instant::now();
    let one = NonZeroUsize::MIN;
    search(&hunt, (0..MOST / MAX_UNIT).map(|unit| (unit, MAX_UNIT)), one, &SimArm, &until);
    let finding = until.found.into_inner().expect("no thread panics");
    One { runs: until.runs.into_inner().expect("no thread panics"), time: began.elapsed(), finding }
}

/// Ends a hunt when a requirement is found violated.
struct Until {
    requirement: Requirement,
    found: Mutex<Option<Finding>>,
    over: AtomicBool,
    runs: Mutex<u64>,
}

impl Watch for Until {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    fn ran(&self) {
        *self.runs.lock().expect("no thread panics") += 1;
    }

    fn found(&self, finding: &Finding) {
        if finding.kind.requirement() == Some(self.requirement) && !self.over.swap(true, Ordering::Relaxed) {
            *self.found.lock().expect("no thread panics") = Some(finding.clone());
        }
    }
}
