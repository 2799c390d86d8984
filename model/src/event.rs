//! What was seen, by whom.
//!
//! Clients, servers and the DC give evidence. The balancer's own events ([`What::Decision`],
//! [`What::FlowOpened`]) explain; the oracle never judges by them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::payload::Digest;
use crate::{Action, Name, Principal, Time};

/// One observation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// When.
    pub at: Time,
    /// Which host or client saw it; `world` for actions.
    pub by: Name,
    /// What it saw.
    pub what: What,
}

/// The number of an action's request, shared by all legs of its handshake. From 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestId(pub u32);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.0)
    }
}

impl RequestId {
    /// Reads a [`crate::REQUEST_ID_HEADER`]'s value, `r17`. `None` where it is anything else.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let digits = text.strip_prefix(b"r").filter(|digits| (1..=10).contains(&digits.len()))?;
        std::str::from_utf8(digits).ok()?.parse().ok().map(Self)
    }
}

/// Which leg of a handshake an HTTP request is, by its `Authorization`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leg {
    /// No `Authorization` of a scheme for Windows authentication.
    Anonymous,
    /// The Negotiate leg (type 1).
    Negotiate,
    /// The Authenticate leg (type 3).
    Authenticate,
    /// A Kerberos ticket (AP-REQ): all in one leg.
    Ticket,
    /// A token that is none of these, or not well-formed.
    Malformed,
}

/// Whether the credentials that a client holds would be accepted by the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Credentials {
    /// The client has none.
    None,
    /// The directory accepts them.
    Valid,
    /// Unknown user, wrong password, or an account that may not log on.
    Wrong,
}

/// Who closed a connection, or how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Closed {
    /// This side closed it.
    Here,
    /// The peer closed it (FIN).
    ByPeer,
    /// The peer reset it (RST), or it broke in another way.
    Broken,
}

/// What a balancer's HTTP data plane decided, as its policy said or on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decided {
    /// The balancer answered by itself before a policy was asked, as one that authenticates does.
    Gate,
    /// The request opens a new upstream connection.
    Open,
    /// The request goes to the upstream connection that its downstream connection is pinned to.
    Pinned,
    /// The request takes an idle upstream connection from the pool.
    Reuse,
    /// The request waits for a free upstream connection.
    Wait,
    /// The balancer answers the request with an error.
    Reject,
    /// The request is sent again on another upstream connection, after the first one failed.
    Retry,
    /// The downstream connection is pinned to the upstream connection.
    Pin,
    /// The pinning of the downstream connection ends.
    Unpin,
    /// The upstream connection goes back to the pool.
    Pool,
    /// An idle upstream connection is closed because its time is over.
    Expire,
    /// The TLS handshake with a server failed.
    #[serde(rename = "tls failed")]
    TlsFailed,
    /// The balancer closes an upstream connection.
    #[serde(rename = "close upstream")]
    CloseUpstream,
    /// An upstream connection ended while no request waited for it.
    #[serde(rename = "upstream closed")]
    UpstreamClosed,
    /// The balancer closes a downstream connection.
    #[serde(rename = "close downstream")]
    CloseDownstream,
}

impl Decided {
    /// The word that stands in traces and transcripts, `close upstream`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gate => "gate",
            Self::Open => "open",
            Self::Pinned => "pinned",
            Self::Reuse => "reuse",
            Self::Wait => "wait",
            Self::Reject => "reject",
            Self::Retry => "retry",
            Self::Pin => "pin",
            Self::Unpin => "unpin",
            Self::Pool => "pool",
            Self::Expire => "expire",
            Self::TlsFailed => "tls failed",
            Self::CloseUpstream => "close upstream",
            Self::UpstreamClosed => "upstream closed",
            Self::CloseDownstream => "close downstream",
        }
    }
}

impl fmt::Display for Decided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// An HTTP request as the server that processed it numbers it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Served {
    /// The server.
    pub server: Name,
    /// Its number of the connection.
    pub connection: u32,
    /// The request's number on that connection.
    pub number: u32,
}

/// What was seen. A connection is a number that its observer gives it, from 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum What {
    /// The world was asked for this.
    Action(Action),

    /// A client takes up a request.
    RequestStarted {
        /// The request.
        request: RequestId,
        /// The user whose credentials the client holds.
        identity: Option<Principal>,
        /// Whether they are good.
        credentials: Credentials,
        /// Whether the client sends the Negotiate leg at once, without an anonymous request first.
        preemptive: bool,
        /// Method.
        method: String,
        /// Path and query.
        path: String,
        /// Length of the body in bytes.
        length: u64,
        /// Digest of the body.
        digest: Digest,
    },
    /// A client opened a connection.
    ClientConnected {
        /// Its number of the connection.
        connection: u32,
        /// The client's end.
        local: std::net::SocketAddr,
    },
    /// A client has TLS on a connection.
    ClientSecured {
        /// Its number of the connection.
        connection: u32,
        /// The certificate that it was shown (digest of the DER).
        certificate: Digest,
        /// Whether HTTP/2 was agreed on.
        http2: bool,
    },
    /// A client's connection is gone.
    ClientClosed {
        /// Its number of the connection.
        connection: u32,
        /// How it ended.
        how: Closed,
    },
    /// A client sent an HTTP request.
    ClientSent {
        /// On which of its connections.
        connection: u32,
        /// For which action.
        request: RequestId,
        /// Which leg.
        leg: Leg,
        /// Length of the body sent with it, in bytes.
        length: u64,
    },
    /// A client received an HTTP answer.
    ClientReceived {
        /// On which of its connections.
        connection: u32,
        /// For which action.
        request: RequestId,
        /// The id that the server echoed; `None` where the balancer answered by itself.
        echoed: Option<RequestId>,
        /// Status.
        status: u16,
        /// Whether `WWW-Authenticate` carries a token (the Challenge leg).
        challenge: bool,
        /// The user that the application reports in the answer, where it answered.
        user: Option<Principal>,
    },
    /// A client received the persistence cookie; noted just before the answer that sets it.
    CookieReceived {
        /// On which of its connections.
        connection: u32,
        /// For which action.
        request: RequestId,
        /// The cookie's value.
        value: String,
    },
    /// A client sends the persistence cookie, received or forged; noted just before the request.
    CookieSent {
        /// On which of its connections.
        connection: u32,
        /// For which action.
        request: RequestId,
        /// The cookie's value.
        value: String,
    },
    /// A client puts a value of its own into the header that the site trusts the balancer to set;
    /// noted just before the request.
    ClientClaimed {
        /// On which of its connections.
        connection: u32,
        /// For which action.
        request: RequestId,
        /// The header's value: a user, or another client's connection.
        value: String,
    },
    /// A client's request has ended.
    RequestEnded {
        /// The request.
        request: RequestId,
        /// The final status; `None` where no answer came.
        status: Option<u16>,
        /// Why there is no answer.
        error: Option<String>,
    },
    /// The plan was over while a request was under way: its client closes its connections. Recorded by the world.
    RequestAbandoned {
        /// The request.
        request: RequestId,
    },
    /// A client received an HTTP answer to bytes that it had sent as they are ([`Action::SendRaw`]). Recorded when the
    /// exchange is over, in the order of the answers.
    RawAnswered {
        /// Its place among the answers to these bytes, from 1.
        number: u32,
        /// Status.
        status: u16,
        /// Where the application says that it processed the request; `None` where no application answered.
        served: Option<Served>,
        /// The user that the application reports in the answer, where it answered.
        user: Option<Principal>,
    },

    /// A server accepted a connection.
    ServerAccepted {
        /// Its number of the connection.
        connection: u32,
        /// The peer as the server sees it.
        peer: std::net::SocketAddr,
    },
    /// A server has TLS on a connection.
    ServerSecured {
        /// Its number of the connection.
        connection: u32,
        /// The certificate that it shows (digest of the DER).
        certificate: Digest,
    },
    /// A server's connection is gone.
    ServerClosed {
        /// Its number of the connection.
        connection: u32,
        /// How it ended.
        how: Closed,
    },
    /// A server received a request's head.
    ServerReceived {
        /// On which connection.
        connection: u32,
        /// The request's number on it, from 1.
        number: u32,
        /// The id that it carries; `None`: sender unknown.
        request: Option<RequestId>,
        /// Which leg.
        leg: Leg,
    },
    /// A server takes the sender from the header that its site trusts; noted before its answer.
    ServerTrusted {
        /// On which connection.
        connection: u32,
        /// The request's number on it.
        number: u32,
        /// The id that it carries.
        request: Option<RequestId>,
        /// The header's value.
        value: String,
    },
    /// The sender of a request says who it is ([`SENDER_HEADER`](crate::SENDER_HEADER)), for whoever watches a site that real
    /// clients use; noted just after the request. It proves nothing, and nobody is let in by it.
    SenderNamed {
        /// On which connection.
        connection: u32,
        /// The request's number on it.
        number: u32,
        /// What it says.
        name: String,
    },
    /// A server asked the DC for a pass-through logon, and this came back.
    ServerLogon {
        /// For a request on this connection.
        connection: u32,
        /// With this id.
        request: Option<RequestId>,
        /// Number of the logon on the server's secure channel, from 1 when the server starts; the
        /// DC's [`What::DcLogon`] has the same.
        logon: u64,
        /// The account as the client named it.
        account: Principal,
        /// NTSTATUS; 0: success.
        status: u32,
    },
    /// A server decided on a Kerberos ticket by itself; noted before its answer.
    ServerTicket {
        /// For a request on this connection.
        connection: u32,
        /// With this id.
        request: Option<RequestId>,
        /// Whom the ticket authenticates, where it was accepted.
        client: Option<Principal>,
        /// The service that the ticket is for, `HTTP/app.corp.example`; empty where that cannot be read.
        service: String,
        /// 0: accepted; else the code of KRB-ERROR (below 128), or SSPI's where Kerberos has none for it.
        error: u32,
    },
    /// A server answered a request.
    ServerAnswered {
        /// On which connection.
        connection: u32,
        /// The request's number on it.
        number: u32,
        /// The id that it carried.
        request: Option<RequestId>,
        /// Which leg it was.
        leg: Leg,
        /// `sc-status`.
        status: u16,
        /// `sc-substatus`.
        substatus: u16,
        /// `sc-win32-status`.
        win32: u32,
        /// The user that the request was taken for; `None`: anonymous.
        user: Option<Principal>,
        /// Whether the application ran, and so processed the request.
        processed: bool,
        /// Length in bytes of the body that the application was given; 0 where it did not run: the answer goes out before
        /// the body has come.
        length: u64,
        /// Digest of that body.
        digest: Digest,
    },

    /// A server saw again what it had seen on a connection before, on connections of its own that are gone: a health check
    /// that goes on and on. Recorded in place of what it is the same as, DC and logons included, where hundreds in a row
    /// were alike.
    Repeated {
        /// The last connection of which everything is recorded.
        like: u32,
        /// The last connection that was the same.
        last: u32,
        /// The number of connections that were the same.
        times: u32,
        /// The time at which the last of these connections was gone.
        until: Time,
    },

    /// The DC decided a pass-through logon.
    DcLogon {
        /// The server (secure channel) that asked.
        server: Name,
        /// Its number on that secure channel.
        logon: u64,
        /// The account, as the directory spells it where it knows it.
        account: Principal,
        /// NTSTATUS; 0: success.
        status: u32,
        /// Failed logons that the account has counted since its last good one.
        bad_count: u32,
    },
    /// The DC passed a logon on to another one, and this came back: for a user of a trusted domain, or for a
    /// password that looked wrong to it.
    DcPassedOn {
        /// The server (secure channel) that asked.
        server: Name,
        /// Its number on that secure channel.
        logon: u64,
        /// The account as the client named it.
        account: Principal,
        /// NetBIOS name of the domain whose DC was asked: a trusted one, or its own (the PDC emulator).
        to: String,
        /// The number of its own question; the [`What::DcLogon`] of the DC that it asked last has the same.
        passed: u64,
        /// NTSTATUS that it answered the server; 0: success.
        status: u32,
    },
    /// The DC answered a request for a Kerberos ticket, with a ticket or with an error.
    DcTicket {
        /// The client, as the directory spells it where it knows it; `None` where the request does not tell.
        client: Option<Principal>,
        /// The service asked for, `krbtgt/CORP.EXAMPLE` or an SPN; empty where the request does not tell.
        service: String,
        /// Encryption type of the ticket (RFC 3961 8); 0 where none was issued.
        etype: i32,
        /// Kerberos error code (RFC 4120 7.5.9); 0: issued.
        error: u32,
    },

    /// The balancer decided something about a request or a connection.
    Decision {
        /// Its number of the downstream connection.
        downstream: u32,
        /// Its number of the upstream connection, where there is one.
        upstream: Option<u32>,
        /// The backend concerned.
        backend: Option<Name>,
        /// The id that the request carries.
        request: Option<RequestId>,
        /// What it decided.
        decision: Decided,
    },
    /// A packet-level balancer opened a flow.
    FlowOpened {
        /// The client's end.
        client: std::net::SocketAddr,
        /// The balancer's end, as the server sees it.
        source: std::net::SocketAddr,
        /// The backend chosen.
        backend: Name,
    },
}

impl What {
    /// Returns the request that a client or a server saw in this event. There is none in events about a connection alone,
    /// and none in a balancer's events: these explain what happened, and prove nothing.
    pub fn request(&self) -> Option<RequestId> {
        match self {
            Self::RequestStarted { request, .. }
            | Self::RequestEnded { request, .. }
            | Self::RequestAbandoned { request }
            | Self::ClientSent { request, .. }
            | Self::ClientReceived { request, .. }
            | Self::CookieReceived { request, .. }
            | Self::CookieSent { request, .. }
            | Self::ClientClaimed { request, .. } => Some(*request),
            Self::ServerReceived { request, .. }
            | Self::ServerLogon { request, .. }
            | Self::ServerTicket { request, .. }
            | Self::ServerTrusted { request, .. }
            | Self::ServerAnswered { request, .. } => *request,
            Self::Action(_)
            | Self::RawAnswered { .. }
            | Self::ClientConnected { .. }
            | Self::ClientSecured { .. }
            | Self::ClientClosed { .. }
            | Self::ServerAccepted { .. }
            | Self::ServerSecured { .. }
            | Self::ServerClosed { .. }
            | Self::SenderNamed { .. }
            | Self::DcLogon { .. }
            | Self::DcPassedOn { .. }
            | Self::DcTicket { .. }
            | Self::Repeated { .. }
            | Self::Decision { .. }
            | Self::FlowOpened { .. } => None,
        }
    }
}
