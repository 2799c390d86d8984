//! The privilege attribute certificate in a service ticket (MS-PAC), with which a Windows KDC names a user's groups.
//!
//! A user in several hundred groups has a ticket that is longer than the headers which many programs accept. A load
//! balancer sees nothing else of groups. Therefore the PAC has the buffers, the length and the signatures of a real
//! one, but no data about the groups themselves: `KERB_VALIDATION_INFO` consists of zeros and has the right length.

use super::crypto::{Etype, Key};
use super::message::Typed;
use super::time::KerberosTime;
use super::usage;

/// Authorization data that a recipient may ignore if it does not understand the data (RFC 4120 5.2.6.1).
const AD_IF_RELEVANT: i32 = 1;
/// Authorization data that is a PAC (MS-KILE 2.2.5: `AD-WIN2K-PAC`).
const AD_WIN2K_PAC: i32 = 128;

// The types of buffers (MS-PAC 2.4).
const LOGON_INFO: u32 = 1;
const SERVER_CHECKSUM: u32 = 6;
const KDC_CHECKSUM: u32 = 7;
const CLIENT_INFO: u32 = 10;

/// The length in bytes of the count and version of `PACTYPE` (MS-PAC 2.3), and of each `PAC_INFO_BUFFER` (2.4).
const HEAD: usize = 8;
const INFO_BUFFER: usize = 16;
/// The maximum number of buffers that are read. MS-PAC 2.4 defines 14 types.
const MAX_BUFFERS: usize = 32;
/// The alignment of each buffer in bytes (MS-PAC 2.3).
const ALIGNMENT: usize = 8;

/// The length in bytes of `KERB_VALIDATION_INFO` without groups. Together with the rest of a ticket, this is about the
/// 1,200 bytes that Microsoft estimates for a token without groups (KB 327825, "Problems with Kerberos authentication
/// when a user belongs to many groups").
const LOGON_INFO_LENGTH: usize = 256;
/// The length in bytes that a domain local group, or a universal group of another domain, adds (KB 327825).
const GROUP_LENGTH: usize = 40;

/// The user whom a PAC is about.
pub(super) struct Subject<'a> {
    pub(super) name: &'a str,
    /// The time at which the user authenticated to the KDC.
    pub(super) auth_time: KerberosTime,
    /// The number of the user's groups.
    pub(super) groups: u16,
}

/// Returns the value of the `AD-IF-RELEVANT` that carries the PAC, signed with the keys of the service and of the KDC.
pub(super) fn authorization(subject: &Subject<'_>, service: &Key, krbtgt: &Key) -> Vec<u8> {
    Typed::encode_list(&[Typed { kind: AD_WIN2K_PAC, value: &pac(subject, service, krbtgt) }])
}

/// Returns the authorization data of a ticket, which contains only this value that [`authorization`] returned.
pub(super) fn relevant(value: &[u8]) -> Typed<'_> {
    Typed { kind: AD_IF_RELEVANT, value }
}

/// Returns whether the PAC in a ticket's authorization data, if there is one, was signed with the service's key (MS-PAC
/// 2.8.1). Only the KDC can verify its own signature.
pub(super) fn is_genuine(authorization: &[Typed<'_>], service: &Key) -> bool {
    let relevant = authorization.iter().filter(|data| data.kind == AD_IF_RELEVANT);
    relevant.map(|data| Typed::decode_list(data.value)).all(|list| {
        let Ok(list) = list else { return true };
        let mut pacs = list.iter().filter(|data| data.kind == AD_WIN2K_PAC);
        pacs.all(|data| is_signed(data.value, service) == Some(true))
    })
}

fn pac(subject: &Subject<'_>, service: &Key, krbtgt: &Key) -> Vec<u8> {
    let info = vec![0; LOGON_INFO_LENGTH + usize::from(subject.groups) * GROUP_LENGTH];
    let buffers = [
        (LOGON_INFO, info),
        (CLIENT_INFO, client_info(subject)),
        (SERVER_CHECKSUM, empty_signature(service.etype())),
        (KDC_CHECKSUM, empty_signature(krbtgt.etype())),
    ];
    let mut pac = Vec::new();
    pac.extend_from_slice(&(buffers.len() as u32).to_le_bytes());
    pac.extend_from_slice(&0_u32.to_le_bytes());
    let mut offset = HEAD + buffers.len() * INFO_BUFFER;
    for (kind, buffer) in &buffers {
        pac.extend_from_slice(&kind.to_le_bytes());
        pac.extend_from_slice(&(buffer.len() as u32).to_le_bytes());
        pac.extend_from_slice(&(offset as u64).to_le_bytes());
        offset = (offset + buffer.len()).next_multiple_of(ALIGNMENT);
    }
    let mut signatures = Vec::new();
    for (kind, buffer) in &buffers {
        if matches!(*kind, SERVER_CHECKSUM | KDC_CHECKSUM) {
            signatures.push(pac.len() + size_of::<u32>());
        }
        pac.extend_from_slice(buffer);
        pac.resize(pac.len().next_multiple_of(ALIGNMENT), 0);
    }
    let server = service.checksum(usage::PAC_CHECKSUM, &[&pac]);
    let kdc = krbtgt.checksum(usage::PAC_CHECKSUM, &[&server]);
    for (start, signature) in signatures.into_iter().zip([server, kdc]) {
        pac[start..start + signature.len()].copy_from_slice(&signature);
    }
    pac
}

/// Returns `PAC_CLIENT_INFO` (MS-PAC 2.7).
fn client_info(subject: &Subject<'_>) -> Vec<u8> {
    let name: Vec<u8> = subject.name.encode_utf16().flat_map(u16::to_le_bytes).collect();
    // A name in a Kerberos message is much shorter than this limit.
    let name = &name[..name.len().min(usize::from(u16::MAX - 1))];
    let mut info = subject.auth_time.file_time().0.to_le_bytes().to_vec();
    info.extend_from_slice(&(name.len() as u16).to_le_bytes());
    info.extend_from_slice(name);
    info
}

/// Returns `PAC_SIGNATURE_DATA` (MS-PAC 2.8) before the signature is computed. In the signed data, a signature counts
/// as zeros.
fn empty_signature(etype: Etype) -> Vec<u8> {
    let mut data = etype.checksum_type().to_le_bytes().to_vec();
    data.resize(data.len() + etype.checksum_len(), 0);
    data
}

/// Returns whether the server's signature of a PAC was made with this key; `None` if the bytes are not a PAC.
fn is_signed(pac: &[u8], key: &Key) -> Option<bool> {
    let count = usize::try_from(u32::from_le_bytes(*pac.first_chunk()?)).ok().filter(|count| *count <= MAX_BUFFERS)?;
    let mut signed = pac.to_vec();
    let mut server = None;
    for entry in pac.get(HEAD..HEAD + count * INFO_BUFFER)?.chunks_exact(INFO_BUFFER) {
        let kind = u32::from_le_bytes(*entry.first_chunk()?);
        if !matches!(kind, SERVER_CHECKSUM | KDC_CHECKSUM) {
            continue;
        }
        let length = usize::try_from(u32::from_le_bytes(*entry[4..].first_chunk()?)).ok()?;
        let start = usize::try_from(u64::from_le_bytes(*entry[8..].first_chunk()?)).ok()?;
        let data = pac.get(start..start.checked_add(length)?)?;
        let (algorithm, rest) = data.split_first_chunk()?;
        let etype = Etype::ALL.into_iter().find(|etype| etype.checksum_type() == i32::from_le_bytes(*algorithm))?;
        // The identifier of a read-only DC may follow the signature.
        let signature = rest.get(..etype.checksum_len())?;
        let start = start + algorithm.len();
        signed[start..start + signature.len()].fill(0);
        if kind == SERVER_CHECKSUM {
            server = Some((etype, signature));
        }
    }
    let (etype, signature) = server?;
    Some(etype == key.etype() && key.verify_checksum(usage::PAC_CHECKSUM, &[&signed], signature))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(etype: Etype, byte: u8) -> Key {
        Key::from_random(etype, &[byte; 32])
    }

    fn subject(groups: u16) -> Subject<'static> {
        Subject { name: "alice", auth_time: KerberosTime(1_767_225_600), groups }
    }

    #[test]
    fn each_group_adds_as_many_bytes_as_microsoft_says() {
        let length = |groups| pac(&subject(groups), &key(Etype::Aes256Sha1, 1), &key(Etype::Aes256Sha1, 2)).len();
        assert_eq!(length(600) - length(0), 600 * 40);
    }

    #[test]
    fn a_pac_is_genuine_under_the_services_key_and_as_it_was_signed() {
        for etype in Etype::ALL {
            let (service, krbtgt) = (key(etype, 1), key(Etype::Aes256Sha1, 2));
            let value = authorization(&subject(20), &service, &krbtgt);
            assert!(is_genuine(&[relevant(&value)], &service), "{etype}");
            assert!(!is_genuine(&[relevant(&value)], &krbtgt), "{etype}: another key");
            let bytes = pac(&subject(20), &service, &krbtgt);
            for at in (0..bytes.len()).step_by(7) {
                let mut altered = bytes.clone();
                altered[at] ^= 0x10;
                // Only the KDC verifies its own signature.
                let kdc = at >= bytes.len() - ALIGNMENT.max(etype.checksum_len()) - 8;
                assert!(kdc || is_signed(&altered, &service) != Some(true), "{etype}: byte {at}");
            }
        }
    }

    #[test]
    fn a_ticket_without_a_pac_and_bytes_that_are_none() {
        let service = key(Etype::Aes128Sha1, 1);
        assert!(is_genuine(&[], &service));
        assert!(is_genuine(&[Typed { kind: 141, value: b"other" }], &service));
        let nonsense = Typed::encode_list(&[Typed { kind: AD_WIN2K_PAC, value: b"no PAC" }]);
        assert!(!is_genuine(&[relevant(&nonsense)], &service));
        let many = [u32::MAX.to_le_bytes(), [0; 4]].concat();
        assert_eq!(is_signed(&many, &service), None);
    }
}
