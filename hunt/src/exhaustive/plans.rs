//! The plans that are played, and those that are left out because another plan shows the same.
//!
//! A plan is a word of letters, up to a length. These words are left out:
//! * words in which a letter has no effect, or ends something that no request has met (`Now::is_idle`,
//!   `Now::ends_as_another`): a shorter word, or one with a simpler letter in its place, shows the same;
//! * if words differ only in the order of adjacent letters that commute (`commute`), all but the first in the order of
//!   letters;
//! * if words differ only by an exchange of the users, all but the first. Servers need no such rule, because the
//!   alphabet names only one.
//!
//! A test plays all words of three letters, both with and without the redundant ones, and finds the same.

use std::fmt;
use std::ops::ControlFlow;

use super::alphabet::{Letter, Person, Time};
use super::worlds::World;

/// A plan as a word of letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// The letters, in order.
    pub letters: Vec<Letter>,
    /// The people whose held legs are released at the end, in this order.
    pub release: Vec<Person>,
}

impl fmt::Display for Word {
    /// Writes the names of the letters, separated by commas, and the order of the releases at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, letter) in self.letters.iter().enumerate() {
            write!(f, "{}{letter}", if index > 0 { ", " } else { "" })?;
        }
        match &*self.release {
            [first, _, ..] => write!(f, "; {first} goes on first"),
            _ => Ok(()),
        }
    }
}

/// The words of a world, up to a length.
#[derive(Debug, Clone)]
pub(super) struct Words {
    letters: Vec<Letter>,
    steps: usize,
    has_one_port: bool,
    /// Whether redundant words are left out.
    pruned: bool,
}

/// The number of letters of a word that decide to which block it belongs.
const BLOCK: usize = 2;

impl Words {
    pub(super) fn new(world: &World, steps: usize, pruned: bool) -> Self {
        Self { letters: world.letters.clone(), steps, has_one_port: world.has_one_port(), pruned }
    }

    /// Returns the blocks of the words, in order: the beginnings that words have in common. The first block is empty,
    /// and contains the words that are too short for any other.
    pub(super) fn blocks(&self) -> Vec<Vec<Letter>> {
        let mut blocks = vec![Vec::new()];
        if self.steps >= BLOCK {
            _ = self.extend(&mut Vec::new(), &Now::default(), BLOCK, &mut |word, _| {
                if word.len() == BLOCK {
                    blocks.push(word.to_vec());
                }
                ControlFlow::Continue(())
            });
        }
        blocks
    }

    /// Passes the words of a block to `visit`, one after the other, until it breaks.
    pub(super) fn visit(&self, block: &[Letter], visit: &mut dyn FnMut(Word) -> ControlFlow<()>) -> ControlFlow<()> {
        let most = if block.is_empty() { self.steps.min(BLOCK - 1) } else { self.steps };
        let mut now = Now::default();
        for &letter in block {
            now.see(letter, self.has_one_port);
        }
        self.extend(&mut block.to_vec(), &now, most, &mut |word, now| {
            if self.pruned && now.ends_as_another() {
                return ControlFlow::Continue(());
            }
            let mut release = now.held();
            visit(Word { letters: word.to_vec(), release: release.clone() })?;
            if release.len() > 1 {
                release.reverse();
                visit(Word { letters: word.to_vec(), release })?;
            }
            ControlFlow::Continue(())
        })
    }

    /// Passes on a beginning, and all words of at most `most` letters that continue it.
    fn extend(
        &self,
        word: &mut Vec<Letter>,
        now: &Now,
        most: usize,
        visit: &mut dyn FnMut(&[Letter], &Now) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        visit(word, now)?;
        if word.len() == most {
            return ControlFlow::Continue(());
        }
        for &letter in &self.letters {
            if !now.allows(letter) || self.pruned && now.is_idle(letter) {
                continue;
            }
            word.push(letter);
            if !self.pruned || is_first(word) {
                let mut next = now.clone();
                next.see(letter, self.has_one_port);
                self.extend(word, &next, most, visit)?;
            }
            word.pop();
        }
        ControlFlow::Continue(())
    }
}

/// The state of the world after some letters, as far as it determines which letters can follow.
#[derive(Debug, Clone, Default)]
pub(super) struct Now {
    /// Whether each person has sent a request since last closing their connections.
    connected: [bool; 3],
    /// Whether each person has a request under way that nobody awaits and that has not timed out.
    started: [bool; 3],
    /// Whether the legs of each person are held.
    held: [bool; 3],
    /// Whether the server that faults concern is down.
    down: bool,
    /// Whether anybody has sent a request since that server's connections last ended.
    used: bool,
    /// Whether anybody has sent a request, or a fault is in effect.
    begun: bool,
    /// Whether the server was concerned by a fault or a drain.
    struck: bool,
    last: Option<Letter>,
}

impl Now {
    /// Returns whether a letter makes sense in this state.
    pub(super) fn allows(&self, letter: Letter) -> bool {
        match letter {
            Letter::Start(who) | Letter::Hold(who) => !self.started[who as usize] && !self.held[who as usize],
            Letter::Reset | Letter::Restart => !self.down,
            // A person who is held for longer than a user agent waits has given up.
            Letter::Wait(Time::Minute | Time::IdleEnd) => !self.held.contains(&true),
            _ => true,
        }
    }

    /// Returns whether a letter would have no effect in this state, or would repeat or undo the effect of the letter
    /// before.
    fn is_idle(&self, letter: Letter) -> bool {
        match letter {
            // Nobody has a connection that could end.
            Letter::Disconnect(who) => !self.connected[who as usize],
            Letter::Reset | Letter::Restart => !self.used,
            // A crash that is repaired at once is a restart, and a drain that ends at once has no effect.
            Letter::Crash | Letter::Drain => self.last == Some(letter),
            // No packet is in transit.
            Letter::Wait(Time::Packets) => {
                !self.started.contains(&true) && !matches!(self.last, Some(Letter::Disconnect(_)))
            }
            // No connection is idle; or the person who began has ended in the meantime, as if the person had waited.
            Letter::Wait(_) => !self.begun || matches!(self.last, Some(Letter::Start(_))) && count(&self.started) == 1,
            // The held packets continue, and nothing has happened in the meantime.
            Letter::Get(who) | Letter::Post(who) | Letter::Pipeline(who) => self.last == Some(Letter::Hold(who)),
            Letter::Start(_) | Letter::Hold(_) => false,
        }
    }

    /// Returns whether the word that ends here shows the same as another one, which is played.
    fn ends_as_another(&self) -> bool {
        match self.last {
            // All requests are awaited at the end, as if the person had waited.
            Some(Letter::Start(_) | Letter::Hold(_)) => count(&self.started) + count(&self.held) == 1,
            // All faults are repaired at the end, as if the server had been restarted at once, or not been drained; and all
            // packets arrive.
            Some(Letter::Crash | Letter::Drain | Letter::Wait(Time::Packets)) => true,
            // Everybody sends a request at the end, immediately if no server was affected.
            Some(Letter::Get(_)) => !self.struck && !self.is_under_way(),
            _ => false,
        }
    }

    /// Updates the state with the effect of a letter.
    pub(super) fn see(&mut self, letter: Letter, has_one_port: bool) {
        match letter {
            Letter::Get(who) | Letter::Post(who) => {
                self.asks(who, has_one_port);
                self.held[who as usize] = false;
                self.started = [false; 3];
            }
            Letter::Pipeline(who) => {
                (self.used, self.begun) = (true, true);
                self.held[who as usize] = false;
                self.started = [false; 3];
            }
            Letter::Start(who) => {
                self.asks(who, has_one_port);
                self.started[who as usize] = true;
            }
            Letter::Hold(who) => {
                self.asks(who, has_one_port);
                self.held[who as usize] = true;
            }
            Letter::Disconnect(who) => {
                self.connected[who as usize] = false;
                self.started[who as usize] = false;
                self.held[who as usize] = false;
            }
            Letter::Reset | Letter::Restart => self.used = self.is_under_way(),
            Letter::Crash => {
                self.begun = true;
                self.down = !self.down;
                self.used = self.is_under_way();
            }
            Letter::Drain => self.begun = true,
            Letter::Wait(Time::Packets) => {}
            Letter::Wait(_) => self.started = [false; 3],
        }
        self.struck |= matches!(letter, Letter::Reset | Letter::Crash | Letter::Restart | Letter::Drain);
        self.last = Some(letter);
    }

    fn asks(&mut self, who: Person, has_one_port: bool) {
        if has_one_port {
            self.connected = [false; 3];
        }
        self.connected[who as usize] = true;
        (self.used, self.begun) = (true, true);
    }

    fn is_under_way(&self) -> bool {
        self.started.contains(&true) || self.held.contains(&true)
    }

    /// Returns the people whose legs are held.
    fn held(&self) -> Vec<Person> {
        Person::ALL.into_iter().filter(|&who| self.held[who as usize]).collect()
    }
}

fn count(those: &[bool]) -> usize {
    those.iter().filter(|is| **is).count()
}

/// Returns whether a word is the first, in the order of letters, of all words that differ only in the order of
/// commuting letters, or by an exchange of the users.
fn is_first(word: &[Letter]) -> bool {
    let is_not_before = |other: Vec<Letter>| ordered(other).as_slice() >= word;
    is_not_before(word.to_vec()) && is_not_before(word.iter().map(|letter| letter.exchanged()).collect())
}

/// Returns the first, in the order of letters, of all words that result from exchanging adjacent letters that commute.
fn ordered(mut word: Vec<Letter>) -> Vec<Letter> {
    let mut ordered = Vec::with_capacity(word.len());
    while !word.is_empty() {
        let can_be_first = |&index: &usize| word[..index].iter().all(|&before| commute(before, word[index]));
        let first = (0..word.len()).filter(can_be_first).min_by_key(|&index| (word[index], index)).unwrap_or_default();
        ordered.push(word.remove(first));
    }
    ordered
}

/// Returns whether two adjacent letters have the same effect in either order. No time passes between them that the other
/// would notice, and they share no connection, server or account. This holds for the ends of two clients' connections,
/// for such an end and a drain, which affects no connection, and for two lengths of time.
fn commute(a: Letter, b: Letter) -> bool {
    match (a, b) {
        (Letter::Disconnect(one), Letter::Disconnect(other)) => one != other,
        (Letter::Disconnect(_), Letter::Drain)
        | (Letter::Drain, Letter::Disconnect(_))
        | (Letter::Wait(_), Letter::Wait(_)) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use stickler_model::BalancerSpec;

    use super::*;
    use crate::exhaustive::worlds::worlds;
    use crate::generate::Situation;

    const ALICE: Letter = Letter::Get(Person::Alice);
    const BOB: Letter = Letter::Get(Person::Bob);

    fn all(words: &Words) -> Vec<Word> {
        let mut all = Vec::new();
        for block in words.blocks() {
            _ = words.visit(&block, &mut |word| {
                all.push(word);
                ControlFlow::Continue(())
            });
        }
        all
    }

    /// Returns the number of words of each length, from zero to `most` letters.
    fn counts(world: &World, most: usize, pruned: bool) -> Vec<usize> {
        let mut counts = vec![0; most + 1];
        for word in all(&Words::new(world, most, pruned)) {
            counts[word.letters.len()] += 1;
        }
        counts
    }

    #[test]
    fn plans_make_sense_and_the_world_allows_each_step() {
        for world in worlds() {
            for word in all(&Words::new(&world, 2, false)).into_iter().chain(all(&Words::new(&world, 3, true))) {
                let plan = world.plan(&word, BalancerSpec::named("l4-nat"));
                plan.check().unwrap_or_else(|error| panic!("{} {word:?}: {error:?}", world.name));
                let sensible = Situation::sensible(&plan.topology, plan.steps.clone());
                assert_eq!(sensible, plan.steps, "{} {word:?}", world.name);
            }
        }
    }

    #[test]
    fn each_word_is_there_once_whatever_its_block() {
        for world in worlds() {
            for pruned in [true, false] {
                let words = all(&Words::new(&world, 3, pruned));
                let distinct: BTreeSet<_> = words.iter().map(|word| (&word.letters, &word.release)).collect();
                assert_eq!(distinct.len(), words.len(), "{}", world.name);
            }
        }
    }

    #[test]
    fn letters_are_in_order() {
        for world in worlds() {
            assert!(world.letters.is_sorted(), "{}", world.name);
        }
    }

    #[test]
    fn so_many_words_are_left() {
        let counted = |world: &World| (world.name, counts(world, 4, true)[1..].to_vec());
        let expected = [
            ("ntlm-1", vec![1, 30, 362, 4_541]),
            ("ntlm-2", vec![0, 30, 348, 4_025]),
            ("kerberos-1", vec![1, 31, 333, 3_675]),
            ("kerberos-2", vec![2, 44, 556, 7_325]),
            ("http2", vec![0, 14, 131, 1_263]),
            ("one-port", vec![0, 13, 90, 664]),
        ];
        assert_eq!(worlds().iter().map(counted).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn of_a_word_and_its_like_the_first_is_played() {
        assert!(is_first(&[ALICE, BOB]) && !is_first(&[BOB, ALICE]));
        let (alice, bob) = (Letter::Disconnect(Person::Alice), Letter::Disconnect(Person::Bob));
        assert!(is_first(&[ALICE, BOB, alice, bob]) && !is_first(&[ALICE, BOB, bob, alice]));
        assert!(is_first(&[ALICE, alice, Letter::Drain]) && !is_first(&[ALICE, Letter::Drain, alice]));
        let (minute, end) = (Letter::Wait(Time::Minute), Letter::Wait(Time::IdleEnd));
        assert!(is_first(&[ALICE, minute, end]) && !is_first(&[ALICE, end, minute]));
        // The end of everybody's connections affects those who send requests before or after it.
        assert!(is_first(&[ALICE, alice, Letter::Reset]) && is_first(&[ALICE, Letter::Reset, alice]));
        assert!(is_first(&[ALICE, BOB, Letter::Crash]) && is_first(&[ALICE, Letter::Crash, BOB]));
    }

    /// Tests that for each word that is left out although every letter of it has an effect, an equivalent word is
    /// played.
    #[test]
    fn what_is_left_out_has_its_like() {
        for world in worlds() {
            let kept: BTreeSet<Vec<Letter>> =
                all(&Words::new(&world, 3, true)).into_iter().map(|word| word.letters).collect();
            for word in all(&Words::new(&world, 3, false)) {
                let exchanged = word.letters.iter().map(|letter| letter.exchanged()).collect();
                let like = ordered(word.letters.clone()).min(ordered(exchanged));
                let mut now = Now::default();
                let idle = like.iter().any(|&letter| {
                    let idle = now.is_idle(letter);
                    now.see(letter, world.has_one_port());
                    idle
                });
                assert_ne!(kept.contains(&like), idle || now.ends_as_another(), "{} {like:?}", world.name);
            }
        }
    }

    #[test]
    fn what_is_held_goes_on_in_either_order() {
        let world = &World::named("ntlm-2").unwrap();
        let held = [Letter::Hold(Person::Alice), Letter::Hold(Person::Bob)];
        let words = all(&Words::new(world, 2, true));
        let orders = words.iter().filter(|word| word.letters == held).map(|word| word.release.clone());
        let (alice, bob) = (Person::Alice, Person::Bob);
        assert_eq!(orders.collect::<Vec<_>>(), [vec![alice, bob], vec![bob, alice]]);
    }
}
