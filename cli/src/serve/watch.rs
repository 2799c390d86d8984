//! Prints the events of a site while it is served, identity leaks, and a verdict at the end. The output is text, or one
//! JSON object per line.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde_json::json;
use stickler_model::{Event, Name, SENDER_HEADER, Topology, escape};
use stickler_oracle::live::{NOBODY, Seen};
use stickler_oracle::{Leak, Live, Noticed};
use stickler_report::transcript;
use stickler_runner::{Conclusion, Confidence};

use crate::args::Format;

/// The watch of a site.
pub(super) struct Watch {
    format: Format,
    /// Whether all events are printed.
    everything: bool,
    live: Mutex<Live>,
}

impl Watch {
    /// Returns the watch of a site with this topology.
    pub(super) fn new(topology: &Topology, format: Format, everything: bool) -> Self {
        Self { format, everything, live: Mutex::new(Live::new(topology)) }
    }

    /// Processes one event.
    pub(super) fn see(&self, event: &Event) {
        if self.everything {
            match self.format {
                Format::Pretty => print(&transcript::line(event)),
                Format::Json => print_json("event", event),
            }
        }
        let noticed = self.live().see(event);
        if let Some(noticed) = noticed {
            self.tell(&noticed);
        }
    }

    /// Prints a line of a server's log.
    pub(super) fn log(&self, line: &str) {
        match self.format {
            Format::Pretty => print(&escape::line(line)),
            Format::Json => print_json("log", &line),
        }
    }

    /// Prints the verdict on all events, if there were any answers. Returns whether users were mixed up.
    pub(super) fn conclude(&self) -> bool {
        let live = self.live();
        let seen = live.seen();
        match self.format {
            _ if seen.answered == 0 => {}
            Format::Pretty => print(&escape::line(&verdict(seen))),
            Format::Json => print_json("verdict", &verdict_value(seen)),
        }
        seen.leaked > 0
    }

    fn tell(&self, noticed: &Noticed) {
        match (self.format, noticed) {
            (Format::Pretty, Noticed::Leak(leak)) => print(&leak_text(leak)),
            (Format::Json, Noticed::Leak(leak)) => print_json("leak", &leak_value(leak)),
            (Format::Pretty, _) => print(&format!("NOTE: {}", escape::line(&note(noticed)))),
            (Format::Json, _) => print_json("note", &note(noticed)),
        }
    }

    /// Returns the state, even after a panic of another thread: only the event of that moment is lost.
    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Prints a line. Errors are ignored, because serving goes on even if nobody reads the output.
fn print(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

pub(super) fn print_json(key: &str, value: &impl Serialize) {
    // The values have no map keys that JSON cannot represent.
    if let Ok(text) = serde_json::to_string(&json!({ key: value })) {
        print(&escape::json(&text));
    }
}

/// Returns the sender and the user as whom it was served, by their names without the domain if these differ.
fn pair(sender: &str, user: &str) -> (String, String) {
    if sender == NOBODY {
        return ("somebody without credentials".to_owned(), short(user).to_owned());
    }
    let same = short(sender).eq_ignore_ascii_case(short(user));
    let name = |name: &str| if same { name.to_owned() } else { short(name).to_owned() };
    (name(sender), name(user))
}

fn short(user: &str) -> &str {
    user.rsplit('\\').next().unwrap_or_default()
}

fn leak_text(leak: &Leak) -> String {
    let Leak { requirement, sender, served_as, server, connection, number, events } = leak;
    let (sender, user) = pair(sender, served_as.as_str());
    let head = format!(
        "LEAK: {sender} was served as {user} ({requirement}): {server}, connection {connection}, request {number}"
    );
    let mut text = escape::line(&head).into_owned();
    for event in events {
        let _ = write!(text, "\n    {}", transcript::line(event));
    }
    text
}

#[derive(Serialize)]
struct LeakValue<'a> {
    requirement: &'static str,
    sender: &'a str,
    served_as: &'a str,
    server: &'a Name,
    connection: u32,
    request: u32,
    transcript: Vec<String>,
}

fn leak_value(leak: &Leak) -> LeakValue<'_> {
    LeakValue {
        requirement: leak.requirement.id(),
        sender: &leak.sender,
        served_as: leak.served_as.as_str(),
        server: &leak.server,
        connection: leak.connection,
        request: leak.number,
        transcript: leak.events.iter().map(transcript::line).collect(),
    }
}

/// Returns a sentence about an observation that proves no leak.
fn note(noticed: &Noticed) -> String {
    match noticed {
        Noticed::Leak(leak) => leak_text(leak),
        Noticed::Misnamed { sender, user } => format!(
            "a client that claims to be {sender} ({SENDER_HEADER}) has logged on as {user}, and is not believed from now on"
        ),
        Noticed::Shared { server, connection, before, now } => format!(
            "{now} has logged on on connection {connection} of {server}, which {before} had authenticated: one client with two users, \
             or two clients on one connection. Requests that say who sends them ({SENDER_HEADER}) would tell"
        ),
    }
}

/// Returns the confidence that follows from the number of observed requests.
fn confidence(seen: &Seen) -> Confidence {
    Confidence { requests: seen.tried, clients: seen.senders.len(), leaking: (seen.leaked > 0).into() }
}

/// Returns the verdict in one line.
fn verdict(seen: &Seen) -> String {
    let Seen { answered, named, leaked, leaks, .. } = seen;
    if *leaked > 0 {
        let times = |(pair_of, times): (&(String, String), &u64)| {
            let (sender, user) = pair(&pair_of.0, &pair_of.1);
            let often = if *times == 1 { "once".to_owned() } else { format!("{times} times") };
            format!("{sender} was served as {user}, {often}")
        };
        let leaks: Vec<String> = leaks.iter().take(MOST_PAIRS).map(times).collect();
        return format!(
            "users are mixed up, in {leaked} of {named} requests that said who sent them: {}",
            leaks.join("; ")
        );
    }
    if *named == 0 {
        return format!(
            "no verdict: none of {answered} requests said who sent it, so that nobody can tell whom it was to be served as \
             (curl -H '{SENDER_HEADER}: bob')"
        );
    }
    format!("{}; {named} of {answered} requests said who sent them", confidence(seen))
}

/// The maximum number of pairs of users that a verdict names.
const MOST_PAIRS: usize = 20;

#[derive(Serialize)]
struct VerdictValue<'a> {
    conclusion: Conclusion,
    answered: u64,
    named: u64,
    /// The number of requests with a known sender that could have been served as another user.
    requests: u64,
    clients: usize,
    missed_at_1_percent: f64,
    leaked: u64,
    leaks: Vec<PairValue<'a>>,
}

#[derive(Serialize)]
struct PairValue<'a> {
    sender: &'a str,
    served_as: &'a str,
    times: u64,
}

fn verdict_value(seen: &Seen) -> VerdictValue<'_> {
    let confidence = confidence(seen);
    let pairs = seen.leaks.iter().map(|((sender, served_as), &times)| PairValue { sender, served_as, times });
    VerdictValue {
        conclusion: confidence.conclusion(),
        answered: seen.answered,
        named: seen.named,
        requests: confidence.requests,
        clients: confidence.clients,
        missed_at_1_percent: confidence.missed(stickler_runner::confidence::RATE),
        leaked: seen.leaked,
        leaks: pairs.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_named_as_shortly_as_tells_them_apart() {
        for (sender, user, said) in [
            ("bob", "CORP\\alice", ("bob", "alice")),
            ("CORP\\bob", "CORP\\alice", ("bob", "alice")),
            ("PARTNER\\alice", "CORP\\alice", ("PARTNER\\alice", "CORP\\alice")),
            ("-", "CORP\\alice", ("somebody without credentials", "alice")),
        ] {
            assert_eq!(pair(sender, user), (said.0.to_owned(), said.1.to_owned()));
        }
    }

    #[test]
    fn a_verdict_says_what_it_is_founded_on() {
        let mut seen = Seen { answered: 9, ..Seen::default() };
        assert!(verdict(&seen).starts_with("no verdict: none of 9 requests said who sent it"), "{}", verdict(&seen));
        (seen.named, seen.tried) = (5, 4);
        assert!(verdict(&seen).starts_with("inconclusive: no identity leak in 4 requests"), "{}", verdict(&seen));
        assert!(verdict(&seen).ends_with("; 5 of 9 requests said who sent them"), "{}", verdict(&seen));
        seen.leaked = 2;
        seen.leaks.insert(("bob".into(), "CORP\\alice".into()), 2);
        assert_eq!(
            verdict(&seen),
            "users are mixed up, in 2 of 5 requests that said who sent them: bob was served as alice, 2 times"
        );
        assert_eq!(serde_json::to_value(verdict_value(&seen)).unwrap()["conclusion"], "leaks");
    }
}
