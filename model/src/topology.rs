//! Which users, servers, balancer and links a world has.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Name, Principal};

/// Everything a world is built from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Topology {
    /// The domain and its users.
    pub domain: DomainSpec,
    /// The farm: one entry for each backend.
    pub servers: Vec<ServerSpec>,
    /// The balancer, by the name of a mechanism or profile of `lb-core`.
    pub balancer: String,
    /// Every link between two hosts.
    pub link: LinkSpec,
}

/// An Active Directory domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainSpec {
    /// NetBIOS name, `CORP`.
    pub netbios: String,
    /// DNS name, `corp.example`.
    pub dns: String,
    /// The accounts.
    pub users: Vec<UserSpec>,
    /// Failed logons after which an account is locked out; `None`: never.
    pub lockout_threshold: Option<u32>,
}

/// A user account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserSpec {
    /// The account's name without its domain (`sAMAccountName`).
    pub name: String,
    /// The password. These are accounts of a test directory: it is no secret.
    pub password: String,
    /// Whether the application refuses the user after a good logon (401.3).
    pub forbidden: bool,
}

/// One IIS server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerSpec {
    /// The host's name.
    pub name: Name,
    /// `WWW-Authenticate` providers in order.
    pub providers: Vec<Provider>,
    /// Which codes its log uses.
    pub version: IisVersion,
}

/// A provider of Windows authentication, as IIS lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Provider {
    /// `WWW-Authenticate: NTLM`.
    #[serde(rename = "NTLM")]
    Ntlm,
    /// `WWW-Authenticate: Negotiate`.
    Negotiate,
}

/// A generation of IIS, for what differs in its log (`reference: Microsoft, HTTP status codes in IIS`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IisVersion {
    /// IIS 6: an anonymous request logs `401 2 2148074254`, as the walk-throughs of the field show.
    Iis6,
    /// IIS 7 to 10: an anonymous request logs `401 2 5`.
    #[default]
    Iis10,
}

/// A link between any two hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkSpec {
    /// One way.
    pub latency: Duration,
    /// A packet takes up to this much longer, drawn from the seed; flows stay first-in first-out.
    pub jitter: Duration,
}

impl Default for LinkSpec {
    fn default() -> Self {
        Self { latency: Duration::from_micros(250), jitter: Duration::ZERO }
    }
}

/// One client: a user agent, on a host of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientSpec {
    /// The client's name.
    pub name: Name,
    /// How its user agent behaves.
    pub profile: Profile,
    /// Who sits at it; `None`: nobody, it never authenticates.
    pub identity: Option<Identity>,
}

/// Credentials that a client was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Who the user claims to be.
    pub principal: Principal,
    /// The password typed, right or wrong.
    pub password: String,
}

/// How a user agent behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Which product it follows.
    pub agent: Agent,
    /// Whether it closes the connection after a first 401 without a challenge and starts the
    /// handshake on a new one, as the walk-through of the field describes for old browsers.
    pub close_after_first_401: bool,
}

/// A user agent that a profile follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Agent {
    /// curl 7.88 `--ntlm`: sends the Negotiate leg at once, with an empty body.
    Curl,
    /// A browser: asks anonymously first, and sends the whole body on each leg.
    Browser,
}
