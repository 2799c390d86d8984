//! The events of a trace: the observations, each with its observer.
//!
//! Clients, servers and the DC provide evidence. The balancer's own events ([`What::Decision`], [`What::FlowOpened`])
//! explain what happened; the oracle never judges by them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::payload::Digest;
use crate::{Action, Name, Principal, Time};

/// One observation by one host or client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// The time of the observation.
    pub at: Time,
    /// The host or client that made the observation; `world` for actions.
    pub by: Name,
    /// The observation itself.
    pub what: What,
}

/// The number of an action's request, shared by all legs of its handshake. Numbers start at 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestId(pub u32);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.0)
    }
}

impl RequestId {
    /// Reads the value of a [`crate::REQUEST_ID_HEADER`], for example `r17`. Returns `None` for anything else.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let digits = text.strip_prefix(b"r").filter(|digits| (1..=10).contains(&digits.len()))?;
        std::str::from_utf8(digits).ok()?.parse().ok().map(Self)
    }
}

/// The leg of a handshake that an HTTP request is, according to its `Authorization` field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leg {
    /// The request has no `Authorization` field with a scheme of Windows authentication.
    Anonymous,
    /// The request is the Negotiate leg (type 1).
    Negotiate,
    /// The request is the Authenticate leg (type 3).
    Authenticate,
    /// The request carries a Kerberos ticket (AP-REQ), which needs only one leg.
    Ticket,
    /// The request carries a token of another kind, or a malformed one.
    Malformed,
}

/// The validity of the credentials that a client holds, according to the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Credentials {
    /// The client has no credentials.
    None,
    /// The directory accepts the credentials.
    Valid,
    /// The user is unknown, the password is wrong, or the account may not log on.
    Wrong,
}

/// The way in which a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Closed {
    /// The observer closed the connection.
    Here,
    /// The peer closed the connection (FIN).
    ByPeer,
    /// The peer reset the connection (RST), or it broke in another way.
    Broken,
}

/// A decision of a balancer's HTTP data plane, made by its policy or by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decided {
    /// The balancer answered by itself before its policy was asked, as a balancer that authenticates clients does.
    Gate,
    /// The request opens a new upstream connection.
    Open,
    /// The request goes over the upstream connection that is pinned to its downstream connection.
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
    /// The downstream connection is no longer pinned.
    Unpin,
    /// The upstream connection goes back to the pool.
    Pool,
    /// An idle upstream connection is closed because its time limit has passed.
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
    /// Returns the word for this decision in traces and transcripts, for example `close upstream`.
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

/// An HTTP request, identified by the numbers of the server that processed it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Served {
    /// The name of the server.
    pub server: Name,
    /// The server's number for the connection.
    pub connection: u32,
    /// The number of the request on that connection.
    pub number: u32,
}

/// The observation. Each observer numbers the connections itself, from 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum What {
    /// The world was asked to perform this action.
    Action(Action),

    /// A client begins to work on a request.
    RequestStarted {
        /// The id of the request.
        request: RequestId,
        /// The user whose credentials the client holds.
        identity: Option<Principal>,
        /// The validity of those credentials, according to the directory.
        credentials: Credentials,
        /// Whether the client sends the Negotiate leg immediately, without an anonymous request first.
        preemptive: bool,
        /// The method of the request.
        method: String,
        /// The path and query of the request.
        path: String,
        /// The length of the body in bytes.
        length: u64,
        /// The digest of the body.
        digest: Digest,
    },
    /// A client opened a connection.
    ClientConnected {
        /// The client's number for the connection.
        connection: u32,
        /// The client's address and port.
        local: std::net::SocketAddr,
    },
    /// A client has established TLS on a connection.
    ClientSecured {
        /// The client's number for the connection.
        connection: u32,
        /// The digest of the certificate (DER) that the client was shown.
        certificate: Digest,
        /// Whether the connection uses HTTP/2.
        http2: bool,
    },
    /// A client's connection has ended.
    ClientClosed {
        /// The client's number for the connection.
        connection: u32,
        /// The way in which the connection ended.
        how: Closed,
    },
    /// A client sent an HTTP request.
    ClientSent {
        /// The client's number for the connection.
        connection: u32,
        /// The id of the action's request.
        request: RequestId,
        /// The leg of the handshake.
        leg: Leg,
        /// The length of the body sent with it, in bytes.
        length: u64,
    },
    /// A client received an HTTP answer.
    ClientReceived {
        /// The client's number for the connection.
        connection: u32,
        /// The id of the action's request.
        request: RequestId,
        /// The id that the server echoed; `None` if the balancer answered by itself.
        echoed: Option<RequestId>,
        /// The status of the answer.
        status: u16,
        /// Whether `WWW-Authenticate` carries a token (the Challenge leg).
        challenge: bool,
        /// The user that the application reports in the answer, if the application answered.
        user: Option<Principal>,
    },
    /// A client received the persistence cookie. The event comes just before the answer that sets it.
    CookieReceived {
        /// The client's number for the connection.
        connection: u32,
        /// The id of the action's request.
        request: RequestId,
        /// The value of the cookie.
        value: String,
    },
    /// A client sends the persistence cookie, received or forged. The event comes just before the request.
    CookieSent {
        /// The client's number for the connection.
        connection: u32,
        /// The id of the action's request.
        request: RequestId,
        /// The value of the cookie.
        value: String,
    },
    /// A client puts its own value into the header that the site trusts the balancer to set. The event comes just
    /// before the request.
    ClientClaimed {
        /// The client's number for the connection.
        connection: u32,
        /// The id of the action's request.
        request: RequestId,
        /// The value of the header: a user, or another client's connection.
        value: String,
    },
    /// A client's request has ended.
    RequestEnded {
        /// The id of the request.
        request: RequestId,
        /// The final status; `None` if no answer came.
        status: Option<u16>,
        /// The reason why there is no answer; `None` if there is one.
        error: Option<String>,
    },
    /// The plan ended while a request was under way, so its client closes its connections. The world records this
    /// event.
    RequestAbandoned {
        /// The id of the request.
        request: RequestId,
    },
    /// A client received an HTTP answer to bytes that it had sent unchanged ([`Action::SendRaw`]). The event is
    /// recorded when the exchange is over, in the order of the answers.
    RawAnswered {
        /// The position of the answer among all answers to these bytes, from 1.
        number: u32,
        /// The status of the answer.
        status: u16,
        /// The place where the request was processed, according to the application; `None` if no application answered.
        served: Option<Served>,
        /// The user that the application reports in the answer, if the application answered.
        user: Option<Principal>,
    },

    /// A server accepted a connection.
    ServerAccepted {
        /// The server's number for the connection.
        connection: u32,
        /// The peer's address and port as the server sees them.
        peer: std::net::SocketAddr,
    },
    /// A server has established TLS on a connection.
    ServerSecured {
        /// The server's number for the connection.
        connection: u32,
        /// The digest of the certificate (DER) that the server shows.
        certificate: Digest,
    },
    /// A server's connection has ended.
    ServerClosed {
        /// The server's number for the connection.
        connection: u32,
        /// The way in which the connection ended.
        how: Closed,
    },
    /// A server received the head of a request.
    ServerReceived {
        /// The server's number for the connection.
        connection: u32,
        /// The number of the request on the connection, from 1.
        number: u32,
        /// The id that the request carries; `None` if the sender is unknown.
        request: Option<RequestId>,
        /// The leg of the handshake.
        leg: Leg,
    },
    /// A server takes the sender from the header that its site trusts. The event comes before the server's answer.
    ServerTrusted {
        /// The server's number for the connection.
        connection: u32,
        /// The number of the request on the connection.
        number: u32,
        /// The id that the request carries.
        request: Option<RequestId>,
        /// The value of the header.
        value: String,
    },
    /// The sender of a request names itself ([`SENDER_HEADER`](crate::SENDER_HEADER)), for an observer of a site that
    /// real clients use. The event comes just after the request. The name proves nothing and grants no access.
    SenderNamed {
        /// The server's number for the connection.
        connection: u32,
        /// The number of the request on the connection.
        number: u32,
        /// The name that the sender gives.
        name: String,
    },
    /// A server asked the DC for a pass-through logon, and got this reply.
    ServerLogon {
        /// The server's number for the connection of the request concerned.
        connection: u32,
        /// The id of the request concerned.
        request: Option<RequestId>,
        /// The number of the logon on the server's secure channel, from 1 when the server starts. The DC's
        /// [`What::DcLogon`] has the same number.
        logon: u64,
        /// The account as the client named it.
        account: Principal,
        /// The NTSTATUS of the reply; 0 means success.
        status: u32,
    },
    /// A server decided on a Kerberos ticket by itself. The event comes before the server's answer.
    ServerTicket {
        /// The server's number for the connection of the request concerned.
        connection: u32,
        /// The id of the request concerned.
        request: Option<RequestId>,
        /// The user whom the ticket authenticates, if it was accepted.
        client: Option<Principal>,
        /// The service for which the ticket was issued, for example `HTTP/app.corp.example`; empty if that cannot be
        /// read.
        service: String,
        /// The error: 0 if the ticket was accepted, otherwise the code of KRB-ERROR (below 128), or SSPI's code if
        /// Kerberos has none.
        error: u32,
    },
    /// A server answered a request.
    ServerAnswered {
        /// The server's number for the connection.
        connection: u32,
        /// The number of the request on the connection.
        number: u32,
        /// The id that the request carried.
        request: Option<RequestId>,
        /// The leg of the handshake.
        leg: Leg,
        /// The status of the answer (`sc-status`).
        status: u16,
        /// The substatus in the server's log (`sc-substatus`).
        substatus: u16,
        /// The Windows error in the server's log (`sc-win32-status`).
        win32: u32,
        /// The user as whom the request was processed; `None` for anonymous.
        user: Option<Principal>,
        /// Whether the application ran and therefore processed the request.
        processed: bool,
        /// The length in bytes of the body that the application received. It is 0 if the application did not run,
        /// because the answer is then sent before the body has arrived.
        length: u64,
        /// The digest of the body that the application received.
        digest: Digest,
    },

    /// A server's observations on several connections, which have ended, were equal to those on an earlier connection.
    /// The cause is a health check that repeats for a long time. After hundreds of equal repetitions in a row, this
    /// event replaces the repeated events, including those of DCs and logons.
    Repeated {
        /// The number of the last connection whose events are all recorded.
        like: u32,
        /// The number of the last connection that was the same.
        last: u32,
        /// The number of connections that were the same.
        times: u32,
        /// The time at which the last of these connections ended.
        until: Time,
    },

    /// The DC decided on a pass-through logon.
    DcLogon {
        /// The server that asked over its secure channel.
        server: Name,
        /// The server's number for the logon on that secure channel.
        logon: u64,
        /// The account, as the directory spells it if the directory knows it.
        account: Principal,
        /// The NTSTATUS of the decision; 0 means success.
        status: u32,
        /// The number of failed logons of the account since its last successful one.
        bad_count: u32,
    },
    /// The DC passed a logon on to another DC, which gave this reply. A DC does so for a user of a trusted domain, or
    /// if the password does not match its own data.
    DcPassedOn {
        /// The server that asked over its secure channel.
        server: Name,
        /// The server's number for the logon on that secure channel.
        logon: u64,
        /// The account as the client named it.
        account: Principal,
        /// The NetBIOS name of the domain whose DC was asked: a trusted domain, or the DC's own (the PDC emulator).
        to: String,
        /// The number of the DC's own question. The [`What::DcLogon`] of the DC that was asked last has the same
        /// number.
        passed: u64,
        /// The NTSTATUS with which the DC answered the server; 0 means success.
        status: u32,
    },
    /// The DC answered a request for a Kerberos ticket, either with a ticket or with an error.
    DcTicket {
        /// The client, as the directory spells it if the directory knows it; `None` if the request does not name the
        /// client.
        client: Option<Principal>,
        /// The service that was asked for: `krbtgt/CORP.EXAMPLE` or an SPN; empty if the request does not name one.
        service: String,
        /// The encryption type of the ticket (RFC 3961 8); 0 if none was issued.
        etype: i32,
        /// The Kerberos error code (RFC 4120 7.5.9); 0 if a ticket was issued.
        error: u32,
    },

    /// The balancer made a decision about a request or a connection.
    Decision {
        /// The balancer's number for the downstream connection.
        downstream: u32,
        /// The balancer's number for the upstream connection, if there is one.
        upstream: Option<u32>,
        /// The backend concerned.
        backend: Option<Name>,
        /// The id that the request carries.
        request: Option<RequestId>,
        /// The decision.
        decision: Decided,
    },
    /// A packet-level balancer opened a flow.
    FlowOpened {
        /// The client's address and port.
        client: std::net::SocketAddr,
        /// The balancer's address and port, as the server sees them.
        source: std::net::SocketAddr,
        /// The backend that was chosen.
        backend: Name,
    },
}

impl What {
    /// Returns the request that a client or a server saw in this event. Events about a connection alone have none. A
    /// balancer's events have none either, because they explain what happened and prove nothing.
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
