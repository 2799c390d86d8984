//! Plays every plan of a few steps. If none of them shows a failure, there is no example of that size.
//!
//! A step is one [`Letter`] of an alphabet, and a plan is a word of limited length, in one of a few [`World`]s. A word is
//! left out if another word shows the same (`plans.rs`). All plans have seed 0. The search is not random. It does not
//! prove that a failure is absent: there are other letters, other worlds and longer words.
//!
//! * `alphabet.rs`: the events that can happen in one step.
//! * `worlds.rs`: the worlds in which it happens.
//! * `plans.rs`: the words, one after the other, without those that show nothing new.
//! * `steps.rs`: the actions of a word, and the end that every plan has.
//!
//! The words are played in units, like those of a random hunt. A unit is all words of a world that begin with the same
//! two letters, over one balancer. The findings depend on the number of the unit alone, and of all plans that show the
//! same over one balancer, the first one is kept. Therefore units can be distributed over threads and machines, and
//! [`Found`](crate::Found) merges them.

mod alphabet;
mod plans;
mod steps;
mod worlds;

use std::num::NonZeroUsize;
use std::ops::ControlFlow;

use stickler_model::{BalancerSpec, Plan};
use stickler_runner::Arm;

use crate::judge;
use crate::search::{self, Place, Unit, Watch};
use plans::Words;

pub use alphabet::{Letter, Person, Time};
pub use plans::Word;
pub use worlds::{World, worlds};

/// The maximum number of letters in a plan.
pub const MAX_STEPS: usize = 8;

/// The scope of an exhaustive hunt.
pub struct Scope<'a> {
    worlds: Vec<Words>,
    sites: Vec<World>,
    balancers: Vec<BalancerSpec>,
    /// The blocks of words: the index of the world of each, and the letters with which its words begin.
    blocks: Vec<(usize, Vec<Letter>)>,
    declared: &'a search::Declared<'a>,
    undeclared_only: bool,
}

impl<'a> Scope<'a> {
    /// Returns the scope of every plan of at most `steps` letters (limited to [`MAX_STEPS`]) in each of these worlds
    /// over each of these balancers.
    ///
    /// `declared` returns the requirements that the balancer of a plan is known to violate. With `undeclared_only`,
    /// violations of these are left out.
    pub fn new(
        steps: usize,
        worlds: Vec<World>,
        balancers: Vec<BalancerSpec>,
        declared: &'a search::Declared<'a>,
        undeclared_only: bool,
    ) -> Self {
        Self::of_words(steps, worlds, balancers, declared, undeclared_only, true)
    }

    /// Returns the scope like [`new`](Self::new), including the plans that another plan makes redundant. Tests compare
    /// the findings of both.
    #[doc(hidden)]
    pub fn unpruned(
        steps: usize,
        worlds: Vec<World>,
        balancers: Vec<BalancerSpec>,
        declared: &'a search::Declared<'a>,
    ) -> Self {
        Self::of_words(steps, worlds, balancers, declared, false, false)
    }

    fn of_words(
        steps: usize,
        sites: Vec<World>,
        balancers: Vec<BalancerSpec>,
        declared: &'a search::Declared<'a>,
        undeclared_only: bool,
        pruned: bool,
    ) -> Self {
        let of_site = |site: &World| Words::new(site, steps.min(MAX_STEPS), pruned);
        let worlds: Vec<Words> = sites.iter().map(of_site).collect();
        let of = |(index, words): (usize, &Words)| words.blocks().into_iter().map(move |block| (index, block));
        let blocks = worlds.iter().enumerate().flat_map(of).collect();
        Self { worlds, sites, balancers, blocks, declared, undeclared_only }
    }

    /// Returns the number of units. Their numbers start at 0, and shard I of N consists of every unit whose number is I
    /// modulo N.
    pub fn units(&self) -> u64 {
        self.blocks.len() as u64 * self.balancers.len() as u64
    }

    /// Counts the plans over one balancer, without playing them.
    pub fn plans(&self) -> u64 {
        let mut plans = 0;
        for (world, block) in &self.blocks {
            _ = self.worlds[*world].visit(block, &mut |_| {
                plans += 1;
                ControlFlow::Continue(())
            });
        }
        plans
    }

    /// Returns the word of a finding of this scope, and the world in which it is played. Returns `None` if the finding
    /// belongs to another scope.
    pub fn word(&self, place: Place) -> Option<(&World, Word)> {
        let (world, block) = self.blocks.get(usize::try_from(place.unit / self.balancers.len() as u64).ok()?)?;
        let mut run = 0;
        let mut found = None;
        _ = self.worlds[*world].visit(block, &mut |word| {
            if run == place.run {
                found = Some(word);
                return ControlFlow::Break(());
            }
            run += 1;
            ControlFlow::Continue(())
        });
        found.map(|word| (&self.sites[*world], word))
    }

    /// Plays the plans of a unit, on this thread. The same scope, number and arm give the same unit. The number of a run in its
    /// unit is the number of its plan.
    fn play(&self, number: u64, arm: &dyn Arm, watch: &dyn Watch) -> Unit {
        let balancers = self.balancers.len() as u64;
        let (block, balancer) = (number / balancers, number % balancers);
        let (world, block) = &self.blocks[block as usize];
        let balancer = &self.balancers[balancer as usize];
        let mut unit = Unit::new(number, balancer);
        _ = self.worlds[*world].visit(block, &mut |word| {
            if watch.is_over() {
                return ControlFlow::Break(());
            }
            let plan = self.sites[*world].plan(&word, balancer.clone());
            let judged = judge::judge(&plan, arm);
            unit.keep((self.declared, self.undeclared_only), &plan, judged, watch);
            unit.runs += 1;
            watch.ran();
            ControlFlow::Continue(())
        });
        unit
    }
}

impl World {
    /// Returns the plan of a word over a balancer, with seed 0.
    ///
    /// At the end, held packets are released, faults are repaired, and requests that were started are awaited. If a
    /// fault or a drain concerned a server, the balancer is given time to notice that it is over. Then everybody sends
    /// one more request.
    pub fn plan(&self, word: &Word, balancer: BalancerSpec) -> Plan {
        steps::plan(self, word, balancer)
    }
}

/// Plays the units with these numbers on `threads` threads, and passes each to [`Watch::done`]. Ends early if
/// [`Watch::is_over`] returns `true`; then the units under way are passed on unfinished. No unit has coverage or a
/// corpus.
///
/// If nothing was found, the result is: "no violation in any plan of N steps over this alphabet, seed 0".
pub fn exhaust(
    scope: &Scope<'_>,
    units: impl Iterator<Item = u64> + Send,
    threads: NonZeroUsize,
    arm: &dyn Arm,
    watch: &dyn Watch,
) {
    search::distribute(units, threads, watch, |number| scope.play(number, arm, watch));
}
