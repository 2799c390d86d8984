//! The pure half of a KDC, which computes an answer from a request, a directory and fresh randomness.
//!
//! | module | holds |
//! |---|---|
//! | this module | [`answer`], the rules ([`KdcConfig`]), the directory ([`Principals`]), the [`Outcome`] |
//! | `as_exchange` | pre-authentication and ticket-granting tickets (RFC 4120 3.1) |
//! | `tgs` | service tickets, referrals, renewal, forwarding (RFC 4120 3.3, RFC 6806) |
//! | `issue` | the part that both have in common: times, keys, tickets, replies |
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
    /// The canonical name of the account: `sAMAccountName`, or the service principal name that was asked for.
    pub name: PrincipalName,
    /// The keys of the account, those of the newest version first.
    pub keys: Vec<LongTermKey>,
    /// The salt of the keys (see [`super::keys`]), which clients are told.
    pub salt: String,
    /// The number of iterations of the keys, which clients are told; `None` stands for the default of the type.
    pub iterations: Option<u32>,
    /// [`NtStatus::SUCCESS`], or the reason why the account cannot log on now.
    pub status: NtStatus,
    /// Whether the account must pre-authenticate. On Windows this is required, unless the account is configured
    /// otherwise.
    pub preauth_required: bool,
    /// Whether tickets of the account may be forwarded. Tickets of sensitive and protected accounts may not be
    /// forwarded.
    pub forwardable: bool,
    /// Whether the account is, as a service, trusted for delegation.
    pub ok_as_delegate: bool,
    /// The number of domain local groups that the account is a member of. Its tickets for services have 40 bytes for
    /// each group.
    pub groups: u16,
}

impl Account {
    /// Creates an account that may log on and has no restrictions.
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

    /// Returns the newest key of this encryption type.
    fn key(&self, etype: Etype) -> Option<&LongTermKey> {
        self.keys.iter().filter(|key| key.key.etype() == etype).max_by_key(|key| key.kvno)
    }
}

/// The knowledge of a directory about a name.
#[derive(Clone, Debug)]
pub enum Lookup {
    /// The name belongs to this account.
    Found(Arc<Account>),
    /// The KDC of this realm must be asked.
    Referral(String),
    /// Several accounts have the name, which is a duplicate SPN.
    Duplicate,
    /// No account has the name.
    Unknown,
}

/// The directory that a KDC uses.
pub trait Principals {
    /// Returns the client that an AS request names. The directory decides whether case matters. A name of type
    /// [`PrincipalName::ENTERPRISE`] is a user principal name.
    fn client(&self, name: &PrincipalName) -> Lookup;

    /// Returns the service that a request names: an SPN, or an account by its name. The KDC's own service is not looked
    /// up here.
    fn service(&self, name: &PrincipalName) -> Lookup;

    /// Returns the account `krbtgt`, whose keys encrypt ticket-granting tickets.
    fn krbtgt(&self) -> Arc<Account>;

    /// Returns the keys that are shared with the KDC of `realm`, if there is a trust.
    fn trust(&self, realm: &str) -> Option<Arc<Account>>;
}

/// The configuration of a KDC.
#[derive(Clone, Debug)]
pub struct KdcConfig {
    /// The realm, in upper case.
    pub realm: String,
    /// The maximum permitted difference between the clocks, in seconds.
    pub max_skew: u64,
    /// The maximum lifetime of a ticket, in seconds.
    pub max_life: u64,
    /// The maximum lifetime of a renewable ticket including its renewals, in seconds.
    pub max_renew: u64,
    /// The encryption types in use, the preferred one first.
    pub etypes: Vec<Etype>,
    /// Whether a TGS-REQ is refused if its authenticator has no checksum. According to RFC 4120 3.3.2, the checksum is
    /// compared with the request's body. Samba refuses a request without one (`KRB_AP_ERR_INAPP_CKSUM`: fortra/impacket
    /// pull request 2211). A Windows KDC accepts such a request: impacket (`getKerberosTGS`) and minikerberos send no
    /// checksum. In both cases, a checksum that is present must be right.
    pub requires_checksum: bool,
}

impl KdcConfig {
    /// Returns the defaults of a Windows domain: 5 minutes, 10 hours, 7 days, no checksum required.
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

/// The random bytes that an answer needs. None of them may be used twice.
#[derive(Clone, Copy)]
pub struct Nonces {
    /// The session key. Only the number of bytes that the key type needs is used.
    pub session_key: [u8; 32],
    /// The confounder of the ticket.
    pub ticket_confounder: [u8; 16],
    /// The confounder of the reply.
    pub reply_confounder: [u8; 16],
}

/// The answer of a KDC, and its meaning for the counters and logs of the directory.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The message to send: an AS-REP, a TGS-REP or a KRB-ERROR.
    pub message: Vec<u8>,
    /// The outcome of the request.
    pub outcome: Outcome,
}

/// The outcome of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The exchange, or `None` if the bytes are not a request.
    pub exchange: Option<Exchange>,
    /// The client, if it is known.
    pub client: Option<Principal>,
    /// The service that was asked for.
    pub server: Option<PrincipalName>,
    /// The issued ticket, or the error. [`KrbErrorCode::PREAUTH_FAILED`] counts against the password of `client`;
    /// [`KrbErrorCode::PREAUTH_REQUIRED`] is not a failure.
    pub result: Result<Issued, KrbErrorCode>,
}

/// A ticket that was issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The encryption type of the ticket, which is that of the service's key.
    pub ticket_etype: Etype,
    /// The encryption type of the session key.
    pub session_etype: Etype,
    /// The flags of the ticket.
    pub flags: u32,
    /// Whether the ticket refers the client to another realm.
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

/// The state of the KDC while it answers one request.
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

/// The reply and the ticket that it issues, or an error.
type Reply = Result<(Vec<u8>, Issued), Failure>;

/// An error before it is encoded.
struct Failure {
    code: KrbErrorCode,
    e_data: Option<Vec<u8>>,
    /// The realm that the client should ask instead.
    realm: Option<String>,
}

impl Failure {
    /// Returns the error for an account in this state. It has the NTSTATUS that a Windows KDC adds: KERB-ERROR-DATA of
    /// type 3, KERB_ERR_TYPE_EXTENDED (MS-KILE 2.2.2).
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

/// Returns whether two realms are the same. Windows ignores their case.
fn same_realm(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

/// Returns the session key of a ticket. Its type is the first one in the client's list that the KDC and the service
/// support as well.
fn session_key(kdc: Kdc<'_>, wanted: &[i32], service: &Account) -> Result<Key, Failure> {
    let known = |etype: &Etype| kdc.config.etypes.contains(etype) && service.key(*etype).is_some();
    let etype = wanted.iter().filter_map(|number| Etype::from_number(*number)).find(known);
    let etype = etype.ok_or(KrbErrorCode::ETYPE_NOSUPP)?;
    Ok(Key::from_random(etype, &kdc.nonces.session_key))
}

/// Returns the name that a body must have.
fn required(name: Option<&PrincipalName>, else_code: KrbErrorCode) -> Result<&PrincipalName, Failure> {
    name.ok_or(Failure::from(else_code))
}

/// Returns whether a body asks for an option.
fn wants(body: &KdcReqBody<'_>, option: u32) -> bool {
    body.options & option != 0
}
