//! The scenarios that are being played, and those among them that take long.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Reports the names of scenarios that run for longer than a limit, each once. It can be cloned cheaply.
#[derive(Clone)]
pub(crate) struct Running {
    messages: Arc<Mutex<Sender<Message>>>,
    next: Arc<AtomicUsize>,
}

/// Marks the end of a scenario when it is dropped.
pub(crate) struct Ends {
    running: Running,
    number: usize,
}

enum Message {
    Began(usize, String),
    Ended(usize),
}

impl Running {
    /// Calls `tell` with each name that was added and has not ended after `limit`.
    pub(crate) fn new(limit: Duration, tell: impl Fn(&str) + Send + 'static) -> Self {
        let (sender, receiver) = channel();
        // The thread ends with the last sender. If it cannot be started, nothing is reported, and everything else continues.
        drop(thread::Builder::new().name("running".into()).spawn(move || watch(&receiver, limit, tell)));
        Self { messages: Arc::new(Mutex::new(sender)), next: Arc::default() }
    }

    /// Adds a scenario that begins now.
    pub(crate) fn add(&self, name: String) -> Ends {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.send(Message::Began(number, name));
        Ends { running: self.clone(), number }
    }

    fn send(&self, message: Message) {
        // There is no receiver if the thread could not be started.
        drop(self.messages.lock().unwrap_or_else(PoisonError::into_inner).send(message));
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        self.running.send(Message::Ended(self.number));
    }
}

#[expect(clippy::disallowed_methods, reason = "the real time that a person waits; no trace sees it")]
fn watch(messages: &Receiver<Message>, limit: Duration, tell: impl Fn(&str)) {
    // They are in the order in which they began.
    let mut all: Vec<(usize, String, Instant)> = Vec::new();
    loop {
        let wait = all.first().map_or(limit, |(.., began)| limit.saturating_sub(began.elapsed()));
        match messages.recv_timeout(wait) {
            Ok(Message::Began(number, name)) => all.push((number, name, Instant::now())),
            Ok(Message::Ended(number)) => all.retain(|(other, ..)| *other != number),
            Err(RecvTimeoutError::Timeout) => {
                let late = all.extract_if(.., |(.., began)| began.elapsed() >= limit);
                late.for_each(|(_, name, _)| tell(&name));
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_long_is_told_once_and_what_has_ended_is_not() {
        let (told, names) = channel();
        let running = Running::new(Duration::from_millis(50), move |name| told.send(name.to_owned()).unwrap());
        drop(running.add("short".into()));
        let long = running.add("long".into());
        assert_eq!(names.recv().unwrap(), "long");
        drop((long, running));
        assert!(names.recv().is_err(), "each is told once");
    }
}
