//! What a script may ask of a world, as data: so that a run prints, shrinks and replays.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::RequestId;
use crate::payload::Digest;
use crate::{ClientSpec, Identity, Name, Payload};

/// One step of a script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Adds a client. Nothing is connected yet.
    AddClient(ClientSpec),
    /// Starts a request and does not wait. Outcome: [`Outcome::Started`].
    Start(RequestSpec),
    /// Lets the world run until the request is answered, or has failed. Outcome: [`Outcome::Answered`].
    Await(RequestId),
    /// Sends bytes on a bare connection, and reads what comes, until the connection ends or is quiet.
    /// Outcome: [`Outcome::Bytes`].
    SendRaw(RawSpec),
    /// Makes the token with which the client would begin to authenticate under `Negotiate`, and does not send it.
    /// Outcome: [`Outcome::Token`].
    MakeToken(Name),
    /// Lets time pass. Outcome: [`Outcome::Done`], as for all below.
    Advance(Duration),
    /// The client closes its connections; it may ask again on new ones.
    Disconnect(Name),
    /// The client's user logs off, and another takes the seat: later requests are this one's. The
    /// client authenticates anew, on the connections that it has.
    SwitchUser(Name, Identity),
    /// The balancer drains this backend: what is bound to it stays, nothing new comes.
    Drain(Name),
    /// The backend is in full use again.
    Undrain(Name),
    /// Something breaks, or is mended.
    Fault(Fault),
}

/// What a client is to ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestSpec {
    /// Who asks.
    pub client: Name,
    /// `GET`, `POST`, `PUT` ...
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The request's body.
    pub body: Payload,
    /// Fields that the client adds by itself: what it claims, or forges.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
}

impl RequestSpec {
    /// A request without a body.
    pub fn new(client: Name, method: &str, path: &str) -> Self {
        Self { client, method: method.into(), path: path.into(), body: Payload::Empty, headers: Vec::new() }
    }
}

/// Bytes that a client sends as they are, on a connection of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawSpec {
    /// From whose host.
    pub client: Name,
    /// The bytes; they need not be HTTP.
    pub bytes: Vec<u8>,
    /// It stops reading when nothing came for this long, and closes.
    pub patience: Duration,
}

/// Something that breaks, or is mended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The process ends; its host's kernel closes the connections (FIN or RST).
    Crash(Name),
    /// The host falls silent; nobody is told.
    PowerLoss(Name),
    /// Starts the host's process again, after either. Connections from before meet RST.
    Restart(Name),
    /// The process stops in its tracks: the host's kernel still accepts connections, and nobody answers.
    Hang(Name),
    /// The process goes on where it was stopped.
    Resume(Name),
    /// Packets between the two hosts wait, in both directions.
    Hold(Name, Name),
    /// Packets held between the two hosts arrive.
    Release(Name, Name),
    /// A forged RST ends every connection between the two hosts, on both sides.
    Reset(Name, Name),
}

/// What came of an [`Action`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The request is on its way.
    Started(RequestId),
    /// The request has its answer, or its error.
    Answered(Box<Answer>),
    /// What came back, 64 KiB at most.
    Bytes(Vec<u8>),
    /// The token, as `Authorization` carries it with its scheme; `None` where the client has none to offer.
    Token(Option<String>),
    /// There is nothing more to say.
    Done,
}

/// How a request ended, as its client saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Which request.
    pub request: RequestId,
    /// The final status; `None` where no answer came.
    pub status: Option<u16>,
    /// Why there is no answer.
    pub error: Option<String>,
    /// HTTP requests sent for it, all legs.
    pub requests: u32,
    /// From start to end, on the world's clock.
    pub elapsed: Duration,
    /// What the application said, where it answered.
    pub application: Option<AppAnswer>,
    /// Length of the answer's body in bytes.
    pub body_length: u64,
    /// Digest of the answer's body.
    pub body_digest: Digest,
}

/// What the mock application tells of a request, as JSON: `LOGON_USER` and the like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppAnswer {
    /// The backend's name.
    pub server: Name,
    /// The backend's number of the TCP connection, from 1.
    pub connection: u32,
    /// The request's number on that connection, from 1.
    pub number: u32,
    /// The user as the application sees it; `None`: anonymous.
    pub user: Option<crate::Principal>,
    /// The request's method.
    pub method: String,
    /// The request's path and query.
    pub path: String,
    /// Length of the request's body in bytes.
    pub length: u64,
    /// Digest of the request's body.
    pub digest: Digest,
    /// Whom a second server would see if the application asked it in the user's name; `None` where the
    /// path does not ask for that. `anonymous`: the application cannot act as the user elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hop: Option<String>,
}
