//! Which plans of some letters are played, and which are left out because another one shows what they show.
//!
//! A plan is a word of letters, up to a length. Left out are
//! * words in which a letter does nothing, or ends what nothing has met (`Now::is_idle`, `Now::ends_as_another`): a shorter
//!   word, or one with a plainer letter in its place, shows the same;
//! * of words that differ only in the order of neighbours that commute, all but the first in alphabetical order: two times that
//!   pass one after the other, and what happens to one server and what happens to another while no time passes;
//! * of words that differ only in which user is which, or which server is which, all but the first.
//!
//! A test plays all words of three letters, with and without those that are left out, and finds the same.

use std::cmp::Ordering;
use std::ops::ControlFlow;

use super::alphabet::{Letter, Person, Server, Time};
use super::worlds::World;

/// A plan as letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// The letters, in order.
    pub letters: Vec<Letter>,
    /// Whose held legs go on at the end, in this order.
    pub release: Vec<Person>,
}

/// The words of a world, up to a length.
#[derive(Debug, Clone)]
pub(super) struct Words {
    letters: Vec<Letter>,
    steps: usize,
    has_one_port: bool,
    /// Whether words are left out.
    pruned: bool,
}

/// How many letters of a word decide to which block it belongs.
const BLOCK: usize = 2;

impl Words {
    pub(super) fn new(world: &World, steps: usize, pruned: bool) -> Self {
        Self { letters: world.letters(), steps, has_one_port: world.has_one_port(), pruned }
    }

    /// Returns the blocks of the words, in order: the beginnings that words have in common. The first is empty, and has the
    /// words that are too short for any other.
    pub(super) fn blocks(&self) -> Vec<Vec<Letter>> {
        let mut blocks = vec![Vec::new()];
        if self.steps >= BLOCK {
            let mut now = Vec::new();
            _ = self.extend(&mut now, &Now::default(), BLOCK, &mut |word, _| {
                if word.len() == BLOCK {
                    blocks.push(word.to_vec());
                }
                ControlFlow::Continue(())
            });
        }
        blocks
    }

    /// Hands on the words of a block, one after the other, until `visit` breaks.
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

    /// Hands on a beginning, and all words of at most `most` letters that go on from it.
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

/// The state in which letters leave a world, as far as it says what comes next.
#[derive(Debug, Clone, Default)]
pub(super) struct Now {
    /// By person: it has asked since it last closed its connections.
    connected: [bool; 3],
    /// By person: a request is under way that nobody waits for, and that nothing has outlasted.
    started: [bool; 3],
    /// By person: its legs are held.
    held: [bool; 3],
    /// By server: it is down.
    down: [bool; 2],
    /// By server: somebody has asked since its connections last ended.
    used: [bool; 2],
    /// Somebody has asked, or something is broken.
    begun: bool,
    /// A server was struck or drained.
    struck: bool,
    last: Option<Letter>,
}

impl Now {
    /// Returns whether a letter makes sense now.
    pub(super) fn allows(&self, letter: Letter) -> bool {
        match letter {
            Letter::Start(who) | Letter::Hold(who) => !self.started[who as usize] && !self.held[who as usize],
            Letter::Reset(server) | Letter::Restart(server) => !self.down[at(server)],
            // Whoever is held for longer than a user agent waits has given up.
            Letter::Wait(Time::Minute | Time::IdleEnd) => !self.held.contains(&true),
            _ => true,
        }
    }

    /// Returns whether a letter would do nothing now, or what the letter before has done, or undone.
    fn is_idle(&self, letter: Letter) -> bool {
        match letter {
            // Nobody has a connection that could end.
            Letter::Disconnect(who) => !self.connected[who as usize],
            Letter::Reset(server) | Letter::Restart(server) => !self.used[at(server)],
            // A crash that is mended at once is a restart, and a drain that is over at once is none.
            Letter::Crash(_) | Letter::Drain(_) => self.last == Some(letter),
            // Nothing is on its way.
            Letter::Wait(Time::Packets) => {
                !self.started.contains(&true) && !matches!(self.last, Some(Letter::Disconnect(_)))
            }
            // Nothing is idle; or whoever began has ended meanwhile, as if it had waited.
            Letter::Wait(_) => !self.begun || matches!(self.last, Some(Letter::Start(_))) && count(&self.started) == 1,
            // What was held goes on, and nothing has happened meanwhile.
            Letter::Get(who) | Letter::Post(who) | Letter::Pipeline(who) => self.last == Some(Letter::Hold(who)),
            Letter::Start(_) | Letter::Hold(_) => false,
        }
    }

    /// Returns whether the word that ends here shows what another one does, which is played.
    fn ends_as_another(&self) -> bool {
        match self.last {
            // All is awaited at the end: as if the person had waited.
            Some(Letter::Start(_) | Letter::Hold(_)) => count(&self.started) + count(&self.held) == 1,
            // All is mended at the end: as if the server had been restarted at once, or not been drained.
            Some(Letter::Crash(_) | Letter::Drain(_)) => true,
            Some(Letter::Wait(Time::Packets)) => true,
            // Everybody asks at the end, at once where no server was struck.
            Some(Letter::Get(_)) => !self.struck && !self.is_under_way(),
            _ => false,
        }
    }

    /// Notes what a letter leads to.
    pub(super) fn see(&mut self, letter: Letter, has_one_port: bool) {
        match letter {
            Letter::Get(who) | Letter::Post(who) => {
                self.asks(who, has_one_port);
                self.held[who as usize] = false;
                self.started = [false; 3];
            }
            Letter::Pipeline(who) => {
                (self.used, self.begun) = ([true; 2], true);
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
            Letter::Reset(server) | Letter::Restart(server) => self.used[at(server)] = self.is_under_way(),
            Letter::Crash(server) => {
                self.begun = true;
                self.down[at(server)] = !self.down[at(server)];
                self.used[at(server)] = self.is_under_way();
            }
            Letter::Drain(_) => self.begun = true,
            Letter::Wait(Time::Packets) => {}
            Letter::Wait(_) => self.started = [false; 3],
        }
        self.struck |= letter.server().is_some();
        self.last = Some(letter);
    }

    fn asks(&mut self, who: Person, has_one_port: bool) {
        if has_one_port {
            self.connected = [false; 3];
        }
        self.connected[who as usize] = true;
        (self.used, self.begun) = ([true; 2], true);
    }

    fn is_under_way(&self) -> bool {
        self.started.contains(&true) || self.held.contains(&true)
    }

    /// Returns whose legs are held.
    fn held(&self) -> Vec<Person> {
        Person::ALL.into_iter().filter(|&who| self.held[who as usize]).collect()
    }
}

fn at(server: Server) -> usize {
    usize::from(server.0)
}

fn count(those: &[bool]) -> usize {
    those.iter().filter(|is| **is).count()
}

/// Returns whether a word is the first, in alphabetical order, of all that differ only in the order of what commutes, or in
/// which user and which server is which.
fn is_first(word: &[Letter]) -> bool {
    let same = |who: Person| who;
    let other = |who: Person| match who {
        Person::Alice => Person::Bob,
        Person::Bob => Person::Alice,
        Person::Mallory => who,
    };
    let here = |server: Server| server;
    let there = |server: Server| Server(1 - server.0);
    let is_not_after = |mapped: Vec<Letter>| ordered(mapped).as_slice().cmp(word) != Ordering::Less;
    let map = |person: &dyn Fn(Person) -> Person, server: &dyn Fn(Server) -> Server| {
        word.iter().map(|letter| letter.map(person, server)).collect()
    };
    is_not_after(map(&same, &here))
        && is_not_after(map(&other, &here))
        && is_not_after(map(&same, &there))
        && is_not_after(map(&other, &there))
}

/// Puts what commutes into alphabetical order: the first of all words that can be had by exchanging neighbours that commute.
fn ordered(mut word: Vec<Letter>) -> Vec<Letter> {
    let mut ordered = Vec::with_capacity(word.len());
    while !word.is_empty() {
        let can_be_first = |&index: &usize| word[..index].iter().all(|&before| commute(before, word[index]));
        let first = (0..word.len()).filter(can_be_first).min_by_key(|&index| (word[index], index)).unwrap_or_default();
        ordered.push(word.remove(first));
    }
    ordered
}

/// Returns whether two letters have the same effect in either order: they share no connection, server or account, and no time
/// passes in one that the other is affected by.
fn commute(a: Letter, b: Letter) -> bool {
    match (a.server(), b.server()) {
        (Some(one), Some(other)) => one != other,
        (None, None) => matches!((a, b), (Letter::Wait(_), Letter::Wait(_))),
        _ => false,
    }
}
