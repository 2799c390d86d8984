//! Every plan of a few steps: what is not found in any of them has no example that is so small.
//!
//! A step is one [`Letter`] of an alphabet, and a plan is a word of at most so many letters, in one of a few [`World`]s. Words
//! of which another one shows the same are left out (`plans.rs`). All plans have seed 0. Nothing that is found here is random,
//! and what is not found is not proven absent: there are other letters, other worlds and longer words.
//!
//! * `alphabet.rs`: what can happen in one step.
//! * `worlds.rs`: where.
//! * `plans.rs`: the words, one after the other, without those that show nothing of their own.
//! * `steps.rs`: the actions of a word, and what every plan ends with.
//!
//! The words are played in units, as a random hunt is: a unit is all words of a world that begin with the same two letters,
//! over one balancer. What is found follows from the number of the unit alone, and of all plans that show the same over one
//! balancer, the first one is kept. So units can be distributed over threads and machines ([`Found`](crate::Found) puts them
//! together).

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

/// The most letters of a plan.
pub const MAX_STEPS: usize = 8;

/// What is played.
pub struct Scope<'a> {
    worlds: Vec<Words>,
    sites: Vec<World>,
    balancers: Vec<BalancerSpec>,
    /// The world of each block of words, as an index, and what its words begin with.
    blocks: Vec<(usize, Vec<Letter>)>,
    declared: &'a search::Declared<'a>,
    undeclared_only: bool,
}

impl<'a> Scope<'a> {
    /// Every plan of at most `steps` letters, [`MAX_STEPS`] at the most, in each of these worlds over each of these balancers.
    ///
    /// `declared` says what is known of the balancer of a plan: a violation of these is no surprise, and is left out if
    /// `undeclared_only`.
    pub fn new(
        steps: usize,
        worlds: Vec<World>,
        balancers: Vec<BalancerSpec>,
        declared: &'a search::Declared<'a>,
        undeclared_only: bool,
    ) -> Self {
        Self::of_words(steps, worlds, balancers, declared, undeclared_only, true)
    }

    /// As [`new`](Self::new), with the plans of which another one shows the same. Tests compare what both find.
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

    /// The number of units. Their numbers are 0 and up, and shard I of N is every unit whose number is I modulo N.
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

    /// Returns the word of a finding of this scope, and the world that it is played in. `None`: the finding is of another scope.
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
    /// At the end, what is held goes on, what is broken is mended, and what was started is awaited; where a server was struck
    /// or drained, the balancer has time to notice; and then everybody asks once more.
    pub fn plan(&self, word: &Word, balancer: BalancerSpec) -> Plan {
        steps::plan(self, word, balancer)
    }
}

/// Plays the units of these numbers, on `threads` threads, and hands each to [`Watch::done`]. Ends early where
/// [`Watch::is_over`] says so: then the units under way are handed on as they are. No unit has coverage or a corpus.
///
/// What may be said of the result where nothing was found: "no violation in any plan of N steps over this alphabet, seed 0".
pub fn exhaust(
    scope: &Scope<'_>,
    units: impl Iterator<Item = u64> + Send,
    threads: NonZeroUsize,
    arm: &dyn Arm,
    watch: &dyn Watch,
) {
    search::distribute(units, threads, watch, |number| scope.play(number, arm, watch));
}
