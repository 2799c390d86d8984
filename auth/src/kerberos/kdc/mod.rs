//! The pure half of a KDC: a request, a directory and fresh randomness make an answer.
//!
//! | module | holds |
//! |---|---|
//! | this one | [`answer`], the rules ([`KdcConfig`]), the directory ([`Principals`]), the [`Outcome`] |
//! | `as_exchange` | pre-authentication and ticket-granting tickets (RFC 4120 3.1) |
//! | `tgs` | service tickets, referrals, renewal, forwarding (RFC 4120 3.3, RFC 6806) |
//! | `issue` | what both have in common: times, keys, tickets, replies |
//!
//! The directory, its lockout counters, the network and its framing belong to the caller. A ticket carries a PAC
//! (`super::pac`) if its user has groups. User to user, postdating, S4U and FAST are refused or ignored.

use std::sync::Arc;

use super::crypto::{Etype, Key};
use super::keys::LongTermKey;
use super::message::{Exchange, KdcReq, KdcReqBody, KrbError, PaData};
use super::name::{Principal, PrincipalName};
use super::status::{KrbErrorCode, extended_error};
use super::time::KerberosTime;
use crate::FileTime;
use crate::der::{Writer, tag};
use crate::status::NtStatus;

mod as_exchange;
mod issue;
mod tgs;

/// An account as a KDC sees it: a client, a service, or both.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its canonical name: `sAMAccountName`, or the service principal name asked for.
    pub name: PrincipalName,
    /// Its keys: those of the newest version first.
    pub keys: Vec<LongTermKey>,
    /// The salt of its keys (see [`super::keys`]), which clients are told.
    pub salt: String,
    /// Iterations of its keys, which clients are told; `None` for the default of the type.
    pub iterations: Option<u32>,
    /// [`NtStatus::SUCCESS`], or why it cannot log on now.
    pub status: NtStatus,
    /// Whether it must pre-authenticate (Windows: unless the account says otherwise).
    pub preauth_required: bool,
    /// Whether its tickets may be forwarded: not if it is sensitive or protected.
    pub forwardable: bool,
    /// Whether, as a service, it is trusted for delegation.
    pub ok_as_delegate: bool,
    /// How many domain local groups it is a member of: its tickets for services name them, at 40 bytes each.
    pub groups: u16,
}

impl Account {
    /// An account in good standing.
    pub fn new(name: PrincipalName, keys: Vec<LongTermKey>, salt: &str) -> Self {
        Self {
            name,
            keys,
            salt: salt.into(),
            iterations: None,
            status: NtStatus::SUCCESS,
            preauth_required: true,
            forwardable: true,
            ok_as_delegate: false,
            groups: 0,
        }
    }

    /// The newest key of that encryption type.
    fn key(&self, etype: Etype) -> Option<&LongTermKey> {
        self.keys.iter().filter(|key| key.key.etype() == etype).max_by_key(|key| key.kvno)
    }
}

/// What a directory knows about a name.
#[derive(Clone, Debug)]
pub enum Lookup {
    /// This account.
    Found(Arc<Account>),
    /// Ask the KDC of this realm.
    Referral(String),
    /// Several accounts have the name: a duplicate SPN.
    Duplicate,
    /// Nobody.
    Unknown,
}

/// The directory behind a KDC.
pub trait Principals {
    /// The client that an AS request names; case is the directory's business. A name of type
    /// [`PrincipalName::ENTERPRISE`] is a user principal name.
    fn client(&self, name: &PrincipalName) -> Lookup;

    /// The service that a request names, the KDC's own excepted: an SPN, or an account by its name.
    fn service(&self, name: &PrincipalName) -> Lookup;

    /// The account `krbtgt`.
    fn krbtgt(&self) -> Arc<Account>;

    /// The keys shared with the KDC of `realm`, if there is a trust.
    fn trust(&self, realm: &str) -> Option<Arc<Account>>;
}

/// The rules of a KDC.
#[derive(Clone, Debug)]
pub struct KdcConfig {
    /// The realm, in upper case.
    pub realm: String,
    /// How far clocks may be apart, in seconds.
    pub max_skew: u64,
    /// Longest life of a ticket, in seconds.
    pub max_life: u64,
    /// Longest life of a renewable ticket with its renewals, in seconds.
    pub max_renew: u64,
    /// The encryption types in use, the preferred first.
    pub etypes: Vec<Etype>,
    /// Whether a TGS-REQ is refused whose authenticator has no checksum. RFC 4120 3.3.2 wants the checksum compared with the
    /// request's body, and Samba refuses a request without one (`KRB_AP_ERR_INAPP_CKSUM`: fortra/impacket pull request
    /// 2211). A KDC of Windows takes it: impacket (`getKerberosTGS`) and minikerberos send none. One that is there has to be
    /// right in either case.
    pub requires_checksum: bool,
}

impl KdcConfig {
    /// The defaults of a Windows domain: 5 minutes, 10 hours, 7 days, no checksum required.
    pub fn new(realm: &str) -> Self {
        Self {
            realm: realm.into(),
            max_skew: 300,
            max_life: 10 * 3600,
            max_renew: 7 * 24 * 3600,
            etypes: Etype::WINDOWS.to_vec(),
            requires_checksum: false,
        }
    }
}

/// What an answer needs of randomness; none of it may be used twice.
#[derive(Clone, Copy)]
pub struct Nonces {
    /// The session key, of which as many bytes are taken as needed.
    pub session_key: [u8; 32],
    /// Confounder of the ticket.
    pub ticket_confounder: [u8; 16],
    /// Confounder of the reply.
    pub reply_confounder: [u8; 16],
}

/// What a KDC answers, and what it means for the directory's counters and logs.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The message to send: an AS-REP, a TGS-REP or a KRB-ERROR.
    pub message: Vec<u8>,
    /// What happened.
    pub outcome: Outcome,
}

/// What happened to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The exchange; `None` for bytes that are no request.
    pub exchange: Option<Exchange>,
    /// The client, as far as it is known.
    pub client: Option<Principal>,
    /// The service asked for.
    pub server: Option<PrincipalName>,
    /// The ticket, or the error. [`KrbErrorCode::PREAUTH_FAILED`] counts against the password of
    /// `client`; [`KrbErrorCode::PREAUTH_REQUIRED`] is no failure.
    pub result: Result<Issued, KrbErrorCode>,
}

/// A ticket that was issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Issued {
    /// Encryption type of the ticket: of the service's key.
    pub ticket_etype: Etype,
    /// Encryption type of the session key.
    pub session_etype: Etype,
    /// Ticket flags.
    pub flags: u32,
    /// Whether it refers the client to another realm.
    pub referral: bool,
}

/// Answers one request. `now` is the KDC's clock.
pub fn answer(
    config: &KdcConfig,
    principals: &dyn Principals,
    request: &[u8],
    nonces: Nonces,
    now: FileTime,
) -> Answer {
    let Ok((request, body)) = KdcReq::decode(request) else {
        let outcome = Outcome { exchange: None, client: None, server: None, result: Err(KrbErrorCode::MSG_TYPE) };
        let nobody = PrincipalName::krbtgt(&config.realm);
        let message = error(config, &Failure::from(KrbErrorCode::MSG_TYPE), None, &nobody, now);
        return Answer { message, outcome };
    };
    let kdc = Kdc { config, principals, nonces, now };
    let mut client = body.cname.clone().map(|name| Principal::new(name, body.realm));
    let result = match request.exchange {
        Exchange::As => kdc.authentication_service(&request, &body, &mut client),
        Exchange::Tgs => kdc.ticket_granting_service(&request, &body, &mut client),
    };
    let server = body.sname.clone();
    let (message, result) = match result {
        Ok((message, issued)) => (message, Ok(issued)),
        Err(failure) => {
            let sname = server.clone().unwrap_or_else(|| PrincipalName::krbtgt(&config.realm));
            (error(config, &failure, client.as_ref(), &sname, now), Err(failure.code))
        }
    };
    Answer { message, outcome: Outcome { exchange: Some(request.exchange), client, server, result } }
}

/// One request's surroundings.
#[derive(Clone, Copy)]
struct Kdc<'a> {
    config: &'a KdcConfig,
    principals: &'a dyn Principals,
    nonces: Nonces,
    now: FileTime,
}

impl Kdc<'_> {
    fn time(&self) -> KerberosTime {
        KerberosTime::from_file_time(self.now)
    }
}

/// A reply and what it issues, or the error in its place.
type Reply = Result<(Vec<u8>, Issued), Failure>;

/// An error in the making.
struct Failure {
    code: KrbErrorCode,
    e_data: Option<Vec<u8>>,
    /// The realm that a client should ask instead.
    realm: Option<String>,
}

impl Failure {
    /// The error of an account in this state, with the NTSTATUS as a Windows KDC adds it: KERB-ERROR-DATA
    /// of type 3, KERB_ERR_TYPE_EXTENDED (MS-KILE 2.2.2).
    fn of_account(status: NtStatus) -> Self {
        let e_data = Writer::encode(|w| {
            w.sequence(|w| {
                w.field(1, |w| w.integer(PaData::PW_SALT.into()));
                w.field(2, |w| w.value(tag::OCTET_STRING, &extended_error(status)));
            });
        });
        Self { code: KrbErrorCode::of_account(status), e_data: Some(e_data), realm: None }
    }
}

impl From<KrbErrorCode> for Failure {
    fn from(code: KrbErrorCode) -> Self {
        Self { code, e_data: None, realm: None }
    }
}

fn error(
    config: &KdcConfig,
    failure: &Failure,
    client: Option<&Principal>,
    sname: &PrincipalName,
    now: FileTime,
) -> Vec<u8> {
    let (stime, susec) = KerberosTime::split(now);
    KrbError {
        stime,
        susec,
        code: failure.code,
        crealm: failure.realm.as_deref().or(client.map(|client| client.realm.as_str())),
        cname: client.map(|client| client.name.clone()),
        realm: &config.realm,
        sname: sname.clone(),
        e_data: failure.e_data.as_deref(),
    }
    .encode()
}

/// Whether two realms are the same: Windows does not mind their case.
fn same_realm(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

/// The session key of a ticket: of the client's first type that KDC and service know too.
fn session_key(kdc: Kdc<'_>, wanted: &[i32], service: &Account) -> Result<Key, Failure> {
    let known = |etype: &Etype| kdc.config.etypes.contains(etype) && service.key(*etype).is_some();
    let etype = wanted.iter().filter_map(|number| Etype::from_number(*number)).find(known);
    let etype = etype.ok_or(KrbErrorCode::ETYPE_NOSUPP)?;
    Ok(Key::from_random(etype, &kdc.nonces.session_key))
}

/// The name that a body must have.
fn required(name: Option<&PrincipalName>, else_code: KrbErrorCode) -> Result<&PrincipalName, Failure> {
    name.ok_or(Failure::from(else_code))
}

/// What a body asks for, in the order of both exchanges.
fn wants(body: &KdcReqBody<'_>, option: u32) -> bool {
    body.options & option != 0
}
