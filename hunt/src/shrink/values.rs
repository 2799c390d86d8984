//! Shrinks values: times, requests, bytes.

use std::time::Duration;

use stickler_model::action::BodySending;
use stickler_model::{Action, Payload, Piece, RawSpec, RequestSpec};

use super::Shrinking;

/// Round times, in milliseconds, which people would choose.
const ROUND: [u64; 8] = [1, 10, 100, 1_000, 10_000, 60_000, 120_000, 600_000];

/// The end of the head of a request.
const HEAD_ENDS: &str = "\r\n\r\n";

/// Makes the values of steps simpler, one after the other.
pub(super) fn shrink(shrinking: &mut Shrinking<'_>) {
    for index in 0..shrinking.plan.steps.len() {
        let Some(step) = shrinking.plan.steps.get(index) else { break };
        for simpler in simpler(step) {
            let mut steps = shrinking.plan.steps.clone();
            steps[index] = simpler;
            if shrinking.take_steps(steps) {
                break;
            }
        }
    }
}

/// Returns simpler forms of a step, the simplest first.
fn simpler(step: &Action) -> Vec<Action> {
    match step {
        Action::Advance(time) => {
            let round = ROUND.into_iter().map(Duration::from_millis).filter(|round| round < time);
            round.map(Action::Advance).collect()
        }
        Action::AwaitChecks(_) => ROUND.into_iter().map(Duration::from_millis).map(Action::Advance).collect(),
        Action::Start { id, request } => {
            simpler_requests(request).into_iter().map(|request| Action::Start { id: *id, request }).collect()
        }
        Action::SendRaw(raw) => {
            let pieces = (0..raw.bytes.len()).flat_map(|index| fewer_requests(&raw.bytes, index));
            pieces.map(|bytes| Action::SendRaw(RawSpec { bytes, ..raw.clone() })).collect()
        }
        _ => Vec::new(),
    }
}

fn simpler_requests(request: &RequestSpec) -> Vec<RequestSpec> {
    let plain = RequestSpec::new(request.client.clone(), "GET", "/");
    let without_body =
        RequestSpec { method: "GET".into(), body: Payload::Empty, sending: BodySending::default(), ..request.clone() };
    let short = RequestSpec { body: Payload::Bytes(10), ..request.clone() };
    let root = RequestSpec { path: "/".into(), ..request.clone() };
    let mut simpler = vec![plain, without_body, RequestSpec { headers: Vec::new(), ..request.clone() }];
    if matches!(request.body, Payload::Bytes(length) if length > 10) {
        simpler.push(short);
    }
    simpler.push(root);
    simpler.retain(|simple| simple != request);
    simpler
}

/// Returns the pieces with one of the requests removed from the text of this piece.
fn fewer_requests(bytes: &[Piece], index: usize) -> Vec<Vec<Piece>> {
    let Piece::Text(text) = &bytes[index] else { return Vec::new() };
    let requests: Vec<&str> = text.split_inclusive(HEAD_ENDS).collect();
    if requests.len() < 2 {
        return Vec::new();
    }
    let without = |left_out: usize| {
        let kept = requests.iter().enumerate().filter(|(number, _)| *number != left_out);
        let mut pieces = bytes.to_vec();
        pieces[index] = Piece::Text(kept.map(|(_, request)| *request).collect());
        pieces
    };
    (0..requests.len()).map(without).collect()
}
