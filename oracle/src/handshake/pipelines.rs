//! HS-8: requests that a client pipelines behind its credentials.
//!
//! Pipelined requests occur in bytes that a client sends unchanged (see `raw`): the client sends the next request
//! before the answer to the last one has come, and answers come in the order of the requests (RFC 9112 9.3.2). Nothing
//! else is a pipeline. No user agent pipelines by itself (each request takes an idle connection or opens one, as in
//! browsers; curl has had no pipelining since 7.62.0), and streams of HTTP/2 are independent (RFC 9113 5; TL-2 judges
//! them). Therefore HS-8 misses no pipeline.
//!
//! HS-8 concerns bytes in which a request carries `Authorization`, because of which a server took it for a user, so the
//! connection is authenticated (`Settings::persists`). It is put to the test by each later answer to the same bytes. It
//! is violated if that answer asks for credentials (401 or 407), or an application gave it on another connection or out
//! of order there: the request overtook its credentials, or was sent over a connection on which nobody is logged on.

use crate::finding::Finding;
use crate::index::Index;
use crate::raw::{RawAnswer, RawSend};
use crate::requests::asks_for_credentials;
use crate::verdict::Failure;

/// Judges HS-8.
pub(crate) fn hs8_pipelined_requests_follow_their_credentials(index: &Index<'_>) -> Finding {
    let mut finding = Finding::default();
    for send in index.raw.iter() {
        let carries = send.requests_with("Authorization");
        // The answer whose connection counts: the latest that authenticated one.
        let mut leader: Option<&RawAnswer<'_>> = None;
        for (answer, carries) in send.answers.iter().zip(carries) {
            if let Some(leader) = leader {
                finding.exercise();
                judge_follower(send, leader, answer, &mut finding);
            }
            let logon = answer.answered.and_then(|event| index.answer(event));
            if carries && logon.is_some_and(|logon| index.authenticates(&logon)) {
                leader = Some(answer);
            }
        }
    }
    finding
}

/// Judges an answer that comes after the one that authenticated a connection.
fn judge_follower(send: &RawSend<'_>, leader: &RawAnswer<'_>, answer: &RawAnswer<'_>, finding: &mut Finding) {
    let (Some(first), client) = (leader.served, &send.spec.client) else { return };
    let problem = match answer.served {
        Some(served) if (&served.server, served.connection) != (&first.server, first.connection) => {
            format!("came from {} on connection {}", served.server, served.connection)
        }
        Some(served) if served.number <= first.number => "was out of order".to_owned(),
        None if asks_for_credentials(Some(answer.status)) => format!("was {}", answer.status),
        _ => return,
    };
    let summary = format!(
        "{client} authenticated connection {} of {} by request {} of its bytes, but the answer to request {} behind it {problem}",
        first.connection, first.server, leader.number, answer.number,
    );
    let events = leader.events().chain(answer.events()).chain([send.event]).collect();
    finding.violate(Failure::Split, send.cited(), summary, events);
}
