//! The client's side of an AP exchange.

use super::Nonces;
use crate::FileTime;
use crate::channel_binding::ChannelBinding;
use crate::kerberos::crypto::{CryptoError, Key};
use crate::kerberos::gss::{CHECKSUM_TYPE, GssChecksum, GssContext, GssFlags, TokenId, frame, unframe};
use crate::kerberos::message::{
    ApRep, ApReq, Authenticator, EncApRepPart, EncryptedData, KrbError, MessageError, Typed, flags,
};
use crate::kerberos::status::KrbErrorCode;
use crate::kerberos::{Credential, KerberosTime, usage};

/// The configuration of a client that makes an AP-REQ.
#[derive(Clone, Debug)]
pub struct InitiatorConfig {
    /// Whether the client asks the server to prove its identity with an AP-REP (Windows, MIT and curl do).
    pub mutual: bool,
    /// The context flags other than MUTUAL and DELEGATE, which follow from the other fields.
    pub flags: GssFlags,
    /// Whether the authenticator carries the 0x8003 checksum. Without it, neither flags nor a channel binding are sent.
    pub checksum: bool,
    /// The channel binding of the TLS connection, if there is one.
    pub channel_binding: Option<ChannelBinding>,
    /// Whether the client proposes a key for the session (Windows, MIT and curl do).
    pub subkey: bool,
    /// A forwarded TGT with which the server can act for the client (RFC 4121 4.1.1).
    pub delegate: Option<Credential>,
}

impl Default for InitiatorConfig {
    /// Returns the configuration that MIT and Windows use for a web request.
    fn default() -> Self {
        Self {
            mutual: true,
            flags: GssFlags::REPLAY.union(GssFlags::SEQUENCE).union(GssFlags::INTEGRITY),
            checksum: true,
            channel_binding: None,
            subkey: true,
            delegate: None,
        }
    }
}

/// A client that has sent its AP-REQ.
#[derive(Clone, Debug)]
pub struct Initiator {
    session_key: Key,
    subkey: Option<Key>,
    sequence: u32,
    ctime: KerberosTime,
    cusec: u32,
    mutual: bool,
}

/// The result of an exchange for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Established {
    /// The keys for MIC tokens.
    pub context: GssContext,
    /// Whether the server has proved its identity.
    pub mutual: bool,
}

/// The reason why a client does not accept the server's answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InitiatorError {
    /// The bytes are not a token of Kerberos, or do not answer an AP-REQ.
    #[error("the server's token is neither a Kerberos AP-REP nor a KRB-ERROR message")]
    NotKerberos,
    /// A message cannot be decoded.
    #[error("{0}")]
    Malformed(#[from] MessageError),
    /// The AP-REP is encrypted with another key.
    #[error("the server's AP-REP cannot be read: {0}")]
    Crypto(#[from] CryptoError),
    /// The AP-REP answers another request.
    #[error("the AP-REP answers a different request: its time differs from that of the authenticator that was sent")]
    OtherRequest,
    /// The server refused. After SKEW, the client can try again with `server_time`.
    #[error("the server refused the ticket: {code}")]
    Refused {
        /// The error code of the server.
        code: KrbErrorCode,
        /// The server's clock.
        server_time: FileTime,
    },
}

impl Initiator {
    /// Returns an AP-REQ token for the service of `credential`, and the state that waits for the answer. `now` is the
    /// client's clock, or the server's clock after an error of [`KrbErrorCode::SKEW`].
    pub fn start(config: &InitiatorConfig, credential: &Credential, nonces: Nonces, now: FileTime) -> (Vec<u8>, Self) {
        let (ctime, cusec) = KerberosTime::split(now);
        let session_key = credential.key;
        let subkey = config.subkey.then(|| Key::from_random(session_key.etype(), &nonces.subkey));
        let mutual = if config.mutual { GssFlags::MUTUAL } else { GssFlags::default() };
        let delegation = config.delegate.as_ref().map(|tgt| tgt.to_krb_cred(&session_key, &nonces.cred_confounder));
        let checksum = GssChecksum {
            binding: config.channel_binding,
            flags: config.flags.union(mutual),
            delegation: delegation.as_deref(),
        }
        .encode();
        let authenticator = Authenticator {
            crealm: &credential.client.realm,
            cname: credential.client.name.clone(),
            checksum: config.checksum.then_some(Typed { kind: CHECKSUM_TYPE, value: &checksum }),
            ctime,
            cusec,
            subkey: subkey.as_ref().map(Typed::of_key),
            seq_number: Some(nonces.sequence()),
        };
        let cipher = session_key.encrypt(usage::AP_REQ_AUTHENTICATOR, &nonces.confounder, &authenticator.encode());
        let request = ApReq {
            options: if config.mutual { flags::MUTUAL_REQUIRED } else { 0 },
            ticket: &credential.ticket,
            authenticator: EncryptedData { etype: session_key.etype().number(), kvno: None, cipher: &cipher },
        };
        let waiting = Self { session_key, subkey, sequence: nonces.sequence(), ctime, cusec, mutual: config.mutual };
        (frame(TokenId::ApReq, &request.encode()), waiting)
    }

    /// Returns whether an AP-REP is expected. If not, [`Self::context`] is valid at once.
    pub const fn is_mutual(&self) -> bool {
        self.mutual
    }

    /// Returns the keys that both sides share if there is no AP-REP.
    pub fn context(&self) -> GssContext {
        GssContext {
            key: self.subkey.unwrap_or(self.session_key),
            acceptor_subkey: false,
            initiator_seq: self.sequence,
            acceptor_seq: self.sequence,
        }
    }

    /// Takes the server's token.
    ///
    /// # Errors
    /// The token is a KRB-ERROR, or an AP-REP that does not answer this request.
    pub fn finish(&self, token: &[u8]) -> Result<Established, InitiatorError> {
        match unframe(token) {
            Some((TokenId::ApRep, message)) => self.reply(message),
            Some((TokenId::Error, message)) => {
                let error = KrbError::decode(message)?;
                let ticks = u64::from(error.susec) * 10;
                let server_time = FileTime(error.stime.file_time().0.saturating_add(ticks));
                Err(InitiatorError::Refused { code: error.code, server_time })
            }
            _ => Err(InitiatorError::NotKerberos),
        }
    }

    fn reply(&self, message: &[u8]) -> Result<Established, InitiatorError> {
        let reply = ApRep::decode(message)?;
        let plain = self.session_key.decrypt(usage::AP_REP, reply.enc_part.cipher)?;
        let part = EncApRepPart::decode(&plain)?;
        if (part.ctime, part.cusec) != (self.ctime, self.cusec) {
            return Err(InitiatorError::OtherRequest);
        }
        let acceptor_key = part.subkey.map(|key| key.key()).transpose()?;
        let context = GssContext {
            key: acceptor_key.or(self.subkey).unwrap_or(self.session_key),
            acceptor_subkey: acceptor_key.is_some(),
            initiator_seq: self.sequence,
            acceptor_seq: part.seq_number.unwrap_or(self.sequence),
        };
        Ok(Established { context, mutual: true })
    }
}
