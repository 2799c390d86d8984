//! The server's side of an AP exchange (RFC 4120 3.2.3).

use super::{Nonces, ReplayCache};
use crate::FileTime;
use crate::channel_binding::ChannelBinding;
use crate::kerberos::crypto::{BaseKey, CryptoError, Etype, Key};
use crate::kerberos::gss::{CHECKSUM_TYPE, GssChecksum, GssContext, GssFlags, TokenId, frame, frame_with, unframe};
use crate::kerberos::keys::ServiceKeys;
use crate::kerberos::message::{
    ApRep, ApReq, Authenticator, EncApRepPart, EncTicketPart, EncryptedData, KrbError, MessageError, Ticket, Typed,
    flags,
};
use crate::kerberos::status::KrbErrorCode;
use crate::kerberos::{Credential, KerberosTime, Principal, PrincipalName, pac, usage};
use crate::ntlm::acceptor::TokenChecking;
use crate::ntlm::text::same_name;
use crate::status::SecStatus;

/// The configuration of a server that accepts Kerberos.
#[derive(Clone, Debug)]
pub struct AcceptorConfig {
    /// The keys of the account that the service runs as: current and older.
    pub keys: ServiceKeys,
    /// The maximum permitted difference between the clocks in seconds. The default is [`AcceptorConfig::DEFAULT_SKEW`].
    pub max_skew: u64,
    /// Whether the channel binding is checked, on connections that have one.
    pub channel_binding: TokenChecking,
    /// Whether the ticket's service is checked against [`AcceptorConfig::service_names`].
    pub service_name: TokenChecking,
    /// The service names of this server, such as `HTTP/app.corp.example`. Case does not matter.
    pub service_names: Vec<String>,
    /// Whether an AP-REP proposes a key that the server chooses, as Windows and MIT do.
    pub subkey: bool,
}

impl AcceptorConfig {
    /// Five minutes, which is the default of Windows and MIT.
    pub const DEFAULT_SKEW: u64 = 300;

    /// Returns the configuration of a server with these keys and the default rules.
    pub const fn new(keys: ServiceKeys) -> Self {
        Self {
            keys,
            max_skew: Self::DEFAULT_SKEW,
            channel_binding: TokenChecking::None,
            service_name: TokenChecking::None,
            service_names: Vec::new(),
            subkey: true,
        }
    }
}

/// A client whose ticket was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The client that authenticated.
    pub client: Principal,
    /// The service that the ticket is for.
    pub server: Principal,
    /// The ticket flags, see [`flags`].
    pub ticket_flags: u32,
    /// The time at which the client authenticated to its KDC.
    pub auth_time: KerberosTime,
    /// The end of the ticket's validity.
    pub end_time: KerberosTime,
    /// The encryption type of the ticket.
    pub ticket_etype: Etype,
    /// The version of the key that decrypted the ticket.
    pub kvno: u32,
    /// The context flags. If there is no 0x8003 checksum, none is set.
    pub gss_flags: GssFlags,
    /// Whether a channel binding was compared, and matched.
    pub channel_bound: bool,
    /// A TGT of the client, if it was forwarded, with which the server can act on the client's behalf.
    pub delegated: Option<Credential>,
    /// The AP-REP token to send, if the client asked for mutual authentication.
    pub reply: Option<Vec<u8>>,
    /// The keys for MIC tokens.
    pub context: GssContext,
}

/// The refusal of a token, and the answer to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The reason for the refusal.
    pub refusal: Refusal,
    /// A KRB-ERROR token for the client. It is empty if Kerberos has no error for the refusal.
    pub token: Vec<u8>,
}

/// The reason why a token was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The token is not an AP-REQ under the OID of Kerberos.
    #[error("the token is not a Kerberos AP-REQ message")]
    NotApReq,
    /// A message cannot be decoded.
    #[error("{0}")]
    Malformed(#[from] MessageError),
    /// The check failed with this Kerberos error.
    #[error("the ticket was refused: {0}")]
    Kerberos(KrbErrorCode),
    /// The channel binding is missing, or belongs to another connection.
    #[error("the channel binding is missing or belongs to another TLS connection")]
    BadBindings,
    /// The ticket is for a service that this server does not provide.
    #[error("the ticket is for {0:?}, which is not a service of this server")]
    ServiceName(String),
}

impl Refusal {
    /// Returns the SSPI status of the refusal, which IIS logs as `sc-win32-status`.
    pub const fn sec_status(&self) -> SecStatus {
        match self {
            Self::NotApReq | Self::Malformed(_) => SecStatus::INVALID_TOKEN,
            Self::Kerberos(code) => code.acceptor_status(),
            Self::BadBindings => SecStatus::BAD_BINDINGS,
            Self::ServiceName(_) => SecStatus::WRONG_PRINCIPAL,
        }
    }

    /// Returns the Kerberos error, if the refusal is one.
    pub const fn krb_error(&self) -> Option<KrbErrorCode> {
        match self {
            Self::Kerberos(code) => Some(*code),
            _ => None,
        }
    }
}

impl From<KrbErrorCode> for Refusal {
    fn from(code: KrbErrorCode) -> Self {
        Self::Kerberos(code)
    }
}

/// Verifies an AP-REQ token. `binding` is the channel binding of the TLS connection, and `replays` is the host's replay
/// cache.
///
/// # Errors
/// [`Rejected`], with a KRB-ERROR for the client if Kerberos has one.
pub fn accept(
    config: &AcceptorConfig,
    binding: Option<ChannelBinding>,
    token: &[u8],
    nonces: Nonces,
    now: FileTime,
    replays: &mut ReplayCache,
) -> Result<Accepted, Rejected> {
    let bare = |refusal| Rejected { refusal, token: Vec::new() };
    let Some((TokenId::ApReq, message)) = unframe(token) else { return Err(bare(Refusal::NotApReq)) };
    let (request, mut ticket) = ApReq::decode(message).map_err(|error| bare(error.into()))?;
    verify(config, binding, &request, &mut ticket, nonces, now, replays).map_err(|refusal| {
        let error = refusal.krb_error().map(|code| error_token(code, ticket.realm, &ticket.sname, now));
        Rejected { refusal, token: error.unwrap_or_default() }
    })
}

/// Returns a KRB-ERROR token with the server's clock, from which a client with a wrong clock can recover.
fn error_token(code: KrbErrorCode, realm: &str, sname: &PrincipalName, now: FileTime) -> Vec<u8> {
    let (stime, susec) = KerberosTime::split(now);
    let error = KrbError { stime, susec, code, crealm: None, cname: None, realm, sname: sname.clone(), e_data: None };
    frame(TokenId::Error, &error.encode())
}

/// Carries out the checks. The name is moved out of the ticket only after the last check.
fn verify(
    config: &AcceptorConfig,
    binding: Option<ChannelBinding>,
    request: &ApReq<'_>,
    ticket: &mut Ticket<'_>,
    nonces: Nonces,
    now: FileTime,
    replays: &mut ReplayCache,
) -> Result<Accepted, Refusal> {
    if request.options & flags::USE_SESSION_KEY != 0 {
        return Err(KrbErrorCode::NOKEY.into());
    }
    let opened = open_ticket(&config.keys, ticket)?;
    let ticket_part = EncTicketPart::decode(&opened.plain)?;
    // MS-KILE 3.4.5.3: a server that has the key verifies the PAC's signature.
    if !pac::is_genuine(&ticket_part.authorization_data, &opened.key) {
        return Err(KrbErrorCode::MODIFIED.into());
    }
    let session_key = ticket_part.key.key().map_err(|_| KrbErrorCode::ETYPE_NOSUPP)?;
    let base = BaseKey::new(&session_key);
    let plain = base.decrypt(usage::AP_REQ_AUTHENTICATOR, request.authenticator.cipher);
    let plain = plain.map_err(|_| KrbErrorCode::MODIFIED)?;
    let authenticator = Authenticator::decode(&plain)?;
    if (authenticator.crealm, &authenticator.cname) != (ticket_part.crealm, &ticket_part.cname) {
        return Err(KrbErrorCode::BADMATCH.into());
    }
    check_times(config.max_skew, &ticket_part, &authenticator, now)?;
    check_service(config, &ticket.sname)?;
    let checksum = gss_checksum(&authenticator)?;
    let channel_bound = check_binding(config.channel_binding, binding, checksum)?;
    // The replay cache comes last, so that a token that is refused for another reason leaves no entry.
    let until = authenticator.ctime.plus(config.max_skew);
    if !replays.insert(request.authenticator.cipher, KerberosTime::from_file_time(now), until) {
        return Err(KrbErrorCode::REPEAT.into());
    }
    let subkey = authenticator.subkey.map(|key| key.key()).transpose().map_err(|_| KrbErrorCode::ETYPE_NOSUPP)?;
    let mutual = request.options & flags::MUTUAL_REQUIRED != 0;
    let (reply, context) = answer(config, mutual, (&session_key, &base), subkey, &authenticator, nonces);
    Ok(Accepted {
        client: Principal::new(ticket_part.cname, ticket_part.crealm),
        server: Principal::new(ticket.sname.take(), ticket.realm),
        ticket_flags: ticket_part.flags,
        auth_time: ticket_part.auth_time,
        end_time: ticket_part.end_time,
        ticket_etype: opened.key.etype(),
        kvno: opened.kvno,
        gss_flags: checksum.map(|checksum| checksum.flags).unwrap_or_default(),
        channel_bound,
        delegated: checksum
            .and_then(|checksum| checksum.delegation)
            .and_then(|cred| Credential::from_krb_cred(cred, &session_key)),
        reply,
        context,
    })
}

/// The plaintext of a ticket, and the key that decrypted it.
pub(in crate::kerberos) struct Opened {
    pub(in crate::kerberos) plain: Vec<u8>,
    pub(in crate::kerberos) key: Key,
    pub(in crate::kerberos) kvno: u32,
}

/// Tries the current key of the ticket's type, then older ones. If no key decrypts the ticket, the error is MODIFIED. A
/// server without any key answers NOKEY, and a server without a key of the type answers ETYPE_NOSUPP. Neither answer
/// has been measured on Windows.
pub(in crate::kerberos) fn open_ticket(keys: &ServiceKeys, ticket: &Ticket<'_>) -> Result<Opened, KrbErrorCode> {
    if keys.is_empty() {
        return Err(KrbErrorCode::NOKEY);
    }
    let mut code = KrbErrorCode::ETYPE_NOSUPP;
    for key in keys.candidates(ticket.enc_part.etype) {
        match key.ticket.decrypt(ticket.enc_part.cipher) {
            Ok(plain) => return Ok(Opened { plain, key: key.key, kvno: key.kvno }),
            Err(CryptoError::Integrity | CryptoError::TooShort(_)) => code = KrbErrorCode::MODIFIED,
            Err(_) => {}
        }
    }
    Err(code)
}

/// Checks that the authenticator is recent and that the ticket is valid now.
pub(in crate::kerberos) fn check_times(
    max_skew: u64,
    ticket: &EncTicketPart<'_>,
    authenticator: &Authenticator<'_>,
    now: FileTime,
) -> Result<(), KrbErrorCode> {
    let sent = authenticator.ctime.file_time().0.saturating_add(u64::from(authenticator.cusec) * 10);
    if sent.abs_diff(now.0) > max_skew.saturating_mul(FileTime::TICKS_PER_SECOND) {
        return Err(KrbErrorCode::SKEW);
    }
    let now = KerberosTime::from_file_time(now);
    let start = ticket.start_time.unwrap_or(ticket.auth_time);
    if start > now.plus(max_skew) || ticket.flags & flags::INVALID != 0 {
        return Err(KrbErrorCode::TKT_NYV);
    }
    if ticket.end_time.plus(max_skew) < now {
        return Err(KrbErrorCode::TKT_EXPIRED);
    }
    Ok(())
}

fn check_service(config: &AcceptorConfig, sname: &PrincipalName) -> Result<(), Refusal> {
    if config.service_name == TokenChecking::None {
        return Ok(());
    }
    // A ticket always names a service, so Allow and Require have the same effect here.
    let name = sname.to_string();
    let ours = config.service_names.iter().any(|each| same_name(each, &name));
    if ours { Ok(()) } else { Err(Refusal::ServiceName(name)) }
}

/// Returns the 0x8003 checksum, if there is one. A malformed checksum is refused.
fn gss_checksum<'a>(authenticator: &Authenticator<'a>) -> Result<Option<GssChecksum<'a>>, KrbErrorCode> {
    match authenticator.checksum {
        Some(checksum) if checksum.kind == CHECKSUM_TYPE => {
            GssChecksum::decode(checksum.value).map(Some).ok_or(KrbErrorCode::INAPP_CKSUM)
        }
        _ => Ok(None),
    }
}

/// Returns whether a channel binding was compared and matched. The rules of extended protection are the same as for
/// NTLM.
fn check_binding(
    checking: TokenChecking,
    ours: Option<ChannelBinding>,
    checksum: Option<GssChecksum<'_>>,
) -> Result<bool, Refusal> {
    let Some(ours) = ours else { return Ok(false) };
    match (checking, checksum.and_then(|checksum| checksum.binding)) {
        (TokenChecking::None, _) | (TokenChecking::Allow, None) => Ok(false),
        (_, Some(theirs)) if theirs == ours => Ok(true),
        _ => Err(Refusal::BadBindings),
    }
}

/// Returns the AP-REP, if one is requested, and the keys that both sides then have.
fn answer(
    config: &AcceptorConfig,
    mutual: bool,
    (session_key, base): (&Key, &BaseKey),
    initiator_key: Option<Key>,
    authenticator: &Authenticator<'_>,
    nonces: Nonces,
) -> (Option<Vec<u8>>, GssContext) {
    let initiator_seq = authenticator.seq_number.unwrap_or(0);
    let key = initiator_key.unwrap_or(*session_key);
    let without = GssContext { key, acceptor_subkey: false, initiator_seq, acceptor_seq: initiator_seq };
    if !mutual {
        return (None, without);
    }
    let own = config.subkey.then(|| Key::from_random(key.etype(), &nonces.subkey));
    let part = EncApRepPart {
        ctime: authenticator.ctime,
        cusec: authenticator.cusec,
        subkey: own.as_ref().map(Typed::of_key),
        seq_number: Some(nonces.sequence()),
    };
    let cipher = base.encrypt(usage::AP_REP, &nonces.confounder, &part.encode());
    let enc_part = EncryptedData { etype: session_key.etype().number(), kvno: None, cipher: &cipher };
    let context = GssContext {
        key: own.unwrap_or(key),
        acceptor_subkey: own.is_some(),
        acceptor_seq: nonces.sequence(),
        ..without
    };
    (Some(frame_with(TokenId::ApRep, |w| ApRep { enc_part }.write(w))), context)
}
