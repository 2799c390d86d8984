//! Selects the rows of a story that a diagram shows.
//!
//! * If there are findings, it shows everything about the clients, the requests and the connections that prove them. If
//!   that is too long for a picture, it shows only the requests and the changes of the connections' users; if that is
//!   still too long, it shows only the evidence itself.
//! * If there is no finding, it shows the first of several repetitions. A request is a repetition if the same client,
//!   or two other clients, have made a request that took the same course.
//!
//! The diagram also shows the opening and the end of each connection that a row names. What follows the last piece of
//! evidence matters to no finding: only the rest of the requests that prove it stays.

use std::collections::{BTreeMap, BTreeSet};

use stickler_model::{Name, RequestId};
use stickler_oracle::{Cited, Evidence, Verdict};

use super::labels;
use super::story::{Draft, Line, Stays, Story};
use super::{Arrow, Connection, Diagram, Finding, Message, Participant, Row, Step};

/// The maximum number of rows of a diagram, unless its evidence alone has more.
const MOST_ROWS: usize = 160;

/// The number of other clients that have made the same request before it counts as a repetition.
const CLIENTS_ALIKE: usize = 2;

pub(super) fn fold(title: &str, mut story: Story, chosen: &[(&Verdict, &Evidence)]) -> Diagram {
    for (finding, (_, evidence)) in chosen.iter().enumerate() {
        let proves: BTreeSet<usize> = evidence.events.iter().copied().collect();
        for draft in story.rows.iter_mut().flatten() {
            if draft.row.events.iter().any(|event| proves.contains(event)) {
                draft.row.proves.push(finding);
            }
        }
    }
    let stays = if chosen.is_empty() { unrepeated(&story) } else { focused(&story, chosen) };
    assemble(title, story, &stays, chosen)
}

/// The clients, requests and connections that the evidence is about.
#[derive(Default)]
struct Involved {
    clients: BTreeSet<usize>,
    requests: BTreeSet<RequestId>,
    connections: BTreeSet<usize>,
    /// The requests that went over one of these connections.
    carried: BTreeSet<RequestId>,
}

impl Involved {
    fn of(story: &Story, chosen: &[(&Verdict, &Evidence)]) -> Self {
        let mut involved = Self::default();
        let names: BTreeMap<&str, usize> =
            story.participants.iter().zip(0..).map(|(one, at)| (&*one.name, at)).collect();
        for cited in chosen.iter().flat_map(|(_, evidence)| &evidence.about) {
            let client: &Name = cited.client();
            involved.clients.extend(names.get(client.as_str()));
            if let Cited::Request { id, .. } = cited {
                involved.requests.insert(*id);
            }
        }
        for Draft { row, subject } in story.rows.iter().flatten().filter(|draft| !draft.row.proves.is_empty()) {
            debug_assert!(!row.events.is_empty(), "a row without events proves nothing");
            involved.clients.extend(subject.client);
            involved.requests.extend(subject.request);
            involved.connections.extend(subject.connection);
        }
        let carried = story.rows.iter().flatten().filter_map(|draft| {
            let on = draft.subject.connection.filter(|connection| involved.connections.contains(connection));
            on.and(draft.subject.request)
        });
        involved.carried = carried.collect();
        involved
    }
}

/// The extent to which a diagram goes beyond the evidence, from the widest to the narrowest.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    Clients,
    Requests,
    /// The reach behind the last piece of evidence: the requests that prove it.
    After,
    Evidence,
}

/// Returns for each row whether it matters to the findings.
fn focused(story: &Story, chosen: &[(&Verdict, &Evidence)]) -> Vec<bool> {
    let involved = Involved::of(story, chosen);
    let proved = story.rows.iter().rposition(|row| row.as_ref().is_some_and(|draft| !draft.row.proves.is_empty()));
    let of = |reach| {
        let matters = |(index, row): (usize, &Option<Draft>)| {
            let narrowed = if Some(index) > proved && reach != Reach::Evidence { Reach::After } else { reach };
            row.as_ref().is_some_and(|draft| matters(draft, &involved, narrowed))
        };
        let mut stays: Vec<bool> = story.rows.iter().enumerate().map(matters).collect();
        if reach == Reach::Requests {
            // The user of a connection matters until all findings are proved.
            for (row, _) in involved.connections.iter().flat_map(|&connection| &story.connections[connection].users) {
                keep(&mut stays, Some(*row).filter(|row| Some(*row) <= proved));
            }
        }
        keep_ends(story, &mut stays, proved);
        stays
    };
    let fits = |stays: &Vec<bool>| stays.iter().filter(|stays| **stays).count() <= MOST_ROWS;
    let wider = [Reach::Clients, Reach::Requests].into_iter().map(of).find(fits);
    wider.unwrap_or_else(|| of(Reach::Evidence))
}

fn matters(draft: &Draft, involved: &Involved, reach: Reach) -> bool {
    let subject = &draft.subject;
    let of_request = |requests: &BTreeSet<RequestId>| subject.request.is_some_and(|id| requests.contains(&id));
    !draft.row.proves.is_empty()
        || match reach {
            Reach::Clients => {
                subject.stays != Stays::No
                    || subject.client.is_some_and(|client| involved.clients.contains(&client))
                    || subject.connection.is_some_and(|connection| involved.connections.contains(&connection))
                    || of_request(&involved.requests)
                    || of_request(&involved.carried)
            }
            Reach::Requests => subject.stays == Stays::Always || of_request(&involved.requests),
            Reach::After => of_request(&involved.requests),
            Reach::Evidence => false,
        }
}

fn keep(stays: &mut [bool], row: Option<usize>) {
    if let Some(stays) = row.and_then(|row| stays.get_mut(row)) {
        *stays = true;
    }
}

/// Keeps the opening and the end of each connection that a row names. An end after the row `last` does not count.
fn keep_ends(story: &Story, stays: &mut [bool], last: Option<usize>) {
    for line in connections_of(story, stays).into_iter().map(|connection| &story.connections[connection]) {
        keep(stays, Some(line.from));
        keep(stays, line.until.filter(|until| last.is_none_or(|last| *until <= last)));
    }
}

/// Returns the connections that the remaining rows use.
fn connections_of(story: &Story, stays: &[bool]) -> BTreeSet<usize> {
    let staying = story.rows.iter().zip(stays).filter(|(_, stays)| **stays).filter_map(|(row, _)| row.as_ref());
    staying.filter_map(|draft| draft.subject.connection).collect()
}

/// Returns for each row whether it is the first of its kind.
fn unrepeated(story: &Story) -> Vec<bool> {
    let shapes = Shapes::of(story);
    let mut stays: Vec<bool> = Vec::with_capacity(story.rows.len());
    let mut once: BTreeSet<String> = BTreeSet::new();
    for row in &story.rows {
        let Some(Draft { row, subject }) = row else {
            stays.push(false);
            continue;
        };
        stays.push(match (subject.request, subject.connection) {
            _ if subject.stays != Stays::No => true,
            (Some(request), _) => !shapes.repeated.contains(&request),
            // A connection stays if its requests stay. A connection without a client's request is a check.
            (None, Some(connection)) => shapes.checks.get(&connection).is_some_and(|check| !check.repeats),
            (None, None) => once.insert(shape(&row.step, story, None)),
        });
    }
    keep_ends(story, &mut stays, None);
    let mut left = MOST_ROWS;
    for stays in stays.iter_mut().filter(|stays| **stays) {
        *stays = left > 0;
        left = left.saturating_sub(1);
    }
    stays
}

/// The requests and checks that took the same course as earlier ones.
#[derive(Default)]
struct Shapes {
    repeated: BTreeSet<RequestId>,
    checks: BTreeMap<usize, Check>,
}

/// A connection to a server without a request of a client.
#[derive(Default)]
struct Check {
    shape: String,
    repeats: bool,
}

impl Shapes {
    fn of(story: &Story) -> Self {
        let mut shapes = Self::default();
        let mut requests: BTreeMap<RequestId, (usize, Option<usize>, String)> = BTreeMap::new();
        let mut carries: BTreeSet<usize> = BTreeSet::new();
        for (place, draft) in story.rows.iter().enumerate() {
            let Some(Draft { row, subject }) = draft else { continue };
            if let Some(request) = subject.request {
                carries.extend(subject.connection);
                let entry = requests.entry(request).or_insert((place, subject.client, String::new()));
                entry.2.push_str(&shape(&row.step, story, subject.client));
            } else if let Some(connection) = subject.connection
                && subject.client.is_none()
            {
                shapes.checks.entry(connection).or_default().shape.push_str(&shape(&row.step, story, None));
            }
        }
        shapes.checks.retain(|connection, _| !carries.contains(connection));
        let mut seen = BTreeSet::new();
        for (connection, check) in &mut shapes.checks {
            check.repeats = !seen.insert((story.connections[*connection].at, check.shape.clone()));
        }
        let mut in_order: Vec<_> = requests.into_iter().collect();
        in_order.sort_by_key(|(_, (place, ..))| *place);
        let mut clients: BTreeMap<String, BTreeSet<Option<usize>>> = BTreeMap::new();
        for (request, (_, client, shape)) in in_order {
            let alike = clients.entry(shape).or_default();
            if alike.contains(&client) || alike.len() >= CLIENTS_ALIKE {
                shapes.repeated.insert(request);
            }
            alike.insert(client);
        }
        shapes
    }
}

/// Returns the course of a row, without its participants' names and without numbers.
fn shape(step: &Step, story: &Story, client: Option<usize>) -> String {
    let kind = |participant: usize| story.participants[participant].kind as u8;
    let plain = |text: &str| {
        let text = text.split(" as ").next().unwrap_or_default();
        text.chars().filter(|c| !c.is_ascii_digit()).collect::<String>()
    };
    match step {
        Step::Arrow(Arrow { from, to, kind: message, text, user, .. }) => {
            let own = client.is_some_and(|client| *user == story.participants[client].user);
            let digits: String = if *message == Message::Answer {
                text.chars().filter(char::is_ascii_digit).collect()
            } else {
                String::new()
            };
            // The status of an answer counts. It has the last three digits, after the digits of the request's id.
            let status = digits.get(digits.len().saturating_sub(3)..).unwrap_or_default().to_owned();
            format!("{message:?} {}>{} {own} {status} {}\n", kind(*from), kind(*to), plain(text))
        }
        Step::Note { text, .. } => format!("{}\n", plain(text)),
        Step::Closed { text, .. } => format!("{text}\n"),
        Step::Found { .. } | Step::Folded { .. } => String::new(),
    }
}

/// Assembles the diagram from the rows that stay.
fn assemble(title: &str, story: Story, stays: &[bool], chosen: &[(&Verdict, &Evidence)]) -> Diagram {
    let Story { participants, users, connections, rows } = story;
    let named = {
        let staying = rows.iter().zip(stays).filter(|(_, stays)| **stays).filter_map(|(row, _)| row.as_ref());
        staying.filter_map(|draft| draft.subject.connection).collect::<BTreeSet<usize>>()
    };
    let mut last_of: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for finding in 0..chosen.len() {
        let proves = |draft: &Draft| draft.row.proves.contains(&finding);
        if let Some(last) = rows.iter().rposition(|row| row.as_ref().is_some_and(proves)) {
            last_of.entry(last).or_default().push(finding);
        }
    }
    // The index of the diagram's row for each row of the story. A folded row has the index of the row that counts it.
    let (mut places, mut told): (Vec<usize>, Vec<Row>) = (Vec::with_capacity(rows.len()), Vec::new());
    let mut folding = 0;
    for (index, (draft, stays)) in rows.into_iter().zip(stays).enumerate() {
        let Some(Draft { row, .. }) = draft else {
            places.push(told.len());
            continue;
        };
        if !stays {
            places.push(told.len());
            folding += row.events.len();
            continue;
        }
        flush(&mut told, &mut folding, row.at);
        places.push(told.len());
        let at = row.at;
        told.push(row);
        for &finding in last_of.get(&index).into_iter().flatten() {
            told.push(Row { at, step: Step::Found { finding }, proves: vec![finding], events: Vec::new() });
        }
    }
    let end = told.last().map(|row| row.at).unwrap_or_default();
    flush(&mut told, &mut folding, end);
    let last = told.len().saturating_sub(1);
    let numbers: BTreeMap<usize, usize> = named.iter().enumerate().map(|(new, old)| (*old, new)).collect();
    let connections = named.iter().map(|&old| connection(&connections[old], &places, last)).collect();
    let mut diagram = Diagram {
        title: labels::sentence(title),
        participants,
        users,
        connections,
        findings: chosen.iter().map(|(verdict, evidence)| finding(verdict, evidence)).collect(),
        rows: told,
    };
    renumber_connections(&mut diagram, &numbers);
    retain_participants(&mut diagram);
    retain_users(&mut diagram);
    diagram
}

fn flush(told: &mut Vec<Row>, folding: &mut usize, at: stickler_model::Time) {
    let events = std::mem::take(folding);
    if events > 0 {
        told.push(Row { at, step: Step::Folded { events }, proves: Vec::new(), events: Vec::new() });
    }
}

fn finding(verdict: &Verdict, evidence: &Evidence) -> Finding {
    Finding { requirement: verdict.requirement, grade: verdict.grade, sentence: labels::sentence(&evidence.summary) }
}

fn connection(line: &Line, places: &[usize], last: usize) -> Connection {
    let place = |row: usize| places.get(row).copied().unwrap_or(last).min(last);
    let mut users: Vec<(usize, Option<usize>)> = Vec::new();
    for &(row, user) in &line.users {
        let row = place(row);
        // If several changes fall into one folded row, the last one counts.
        users.retain(|(at, _)| *at != row);
        users.push((row, user));
    }
    let until = line.until.map_or(last, place);
    Connection {
        at: line.at,
        number: line.number,
        rows: place(line.from)..until + 1,
        ended: line.until.is_some(),
        users,
    }
}

fn renumber_connections(diagram: &mut Diagram, numbers: &BTreeMap<usize, usize>) {
    for row in &mut diagram.rows {
        match &mut row.step {
            Step::Arrow(Arrow { connection: Some(connection), .. }) | Step::Closed { connection, .. } => {
                if let Some(number) = numbers.get(connection) {
                    *connection = *number;
                }
            }
            _ => {}
        }
    }
}

/// Removes participants that no row and no connection names. Balancers stay, because a run is about them.
fn retain_participants(diagram: &mut Diagram) {
    let last = diagram.participants.len().saturating_sub(1);
    let mut named: BTreeSet<usize> = diagram.connections.iter().map(|connection| connection.at).collect();
    named.extend(
        (0..=last).filter(|&at| {
            diagram.participants.get(at).is_some_and(|one: &Participant| one.kind == super::Kind::Balancer)
        }),
    );
    for row in &diagram.rows {
        match &row.step {
            Step::Arrow(arrow) => named.extend([arrow.from, arrow.to]),
            // A note over all participants names none of them.
            Step::Note { from, to, .. } if (*from, *to) != (0, last) => named.extend([*from, *to]),
            _ => {}
        }
    }
    let numbers: BTreeMap<usize, usize> = named.iter().enumerate().map(|(new, old)| (*old, new)).collect();
    let new_last = named.len().saturating_sub(1);
    for connection in &mut diagram.connections {
        connection.at = numbers[&connection.at];
    }
    for row in &mut diagram.rows {
        match &mut row.step {
            Step::Arrow(arrow) => (arrow.from, arrow.to) = (numbers[&arrow.from], numbers[&arrow.to]),
            Step::Note { from, to, .. } if (*from, *to) == (0, last) => (*from, *to) = (0, new_last),
            Step::Note { from, to, .. } => (*from, *to) = (numbers[&*from], numbers[&*to]),
            _ => {}
        }
    }
    let mut at = 0;
    diagram.participants.retain(|_| {
        at += 1;
        named.contains(&(at - 1))
    });
}

/// Renumbers the users in the order in which a reader meets them, and removes users whom nothing names.
fn retain_users(diagram: &mut Diagram) {
    let Diagram { participants, users, connections, rows, .. } = diagram;
    let arrows = rows.iter_mut().filter_map(|row| match &mut row.step {
        Step::Arrow(arrow) => Some(&mut arrow.user),
        _ => None,
    });
    let all = participants.iter_mut().map(|participant| &mut participant.user);
    let all =
        all.chain(arrows).chain(connections.iter_mut().flat_map(|one| one.users.iter_mut().map(|(_, user)| user)));
    let (mut numbers, mut named) = (BTreeMap::new(), Vec::new());
    for user in all.filter_map(Option::as_mut) {
        let number = *numbers.entry(*user).or_insert_with(|| {
            named.push(users[*user].clone());
            named.len() - 1
        });
        *user = number;
    }
    *users = named;
}
