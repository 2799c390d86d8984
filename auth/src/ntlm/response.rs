//! The NT response of an Authenticate: none, 24 bytes, or NTLMv2 with its blob (MS-NLMP 2.2.2.6 to 2.2.2.8).

use super::av::AvPairs;
use super::wire::DecodeError;
use crate::FileTime;

/// The number of bytes of an LM, NTLMv1 or NTLM2 session response.
pub const V1_LEN: usize = 24;
/// The number of bytes of the proof that begins an NTLMv2 response.
pub const PROOF_LEN: usize = 16;
/// The number of bytes of the blob before its AV pairs.
const BLOB_FIXED: usize = 28;

/// An NT response. Its kind follows from its length alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NtResponse<'a> {
    /// There is no NT response: the logon is anonymous, or uses only the LM response.
    Empty,
    /// An NTLMv1 response, or an NTLM2 session response with extended session security.
    V1(&'a [u8; V1_LEN]),
    /// An NTLMv2 response with its blob.
    V2(NtlmV2Response<'a>),
}

/// An NTLMv2 response (NTLMv2_RESPONSE, 2.2.2.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NtlmV2Response<'a> {
    /// NTProofStr, the HMAC-MD5 over the challenge and the blob.
    pub proof: &'a [u8; PROOF_LEN],
    /// NTLMv2_CLIENT_CHALLENGE, which 3.3.2 calls "temp": everything after the proof, as it was sent.
    pub blob: &'a [u8],
    /// The time in the blob, as the client sent it.
    pub timestamp: FileTime,
    /// The random challenge of the client.
    pub client_challenge: [u8; 8],
    /// The AV pairs in the blob.
    pub av_pairs: AvPairs<'a>,
}

impl<'a> NtResponse<'a> {
    /// Decodes a response: 24 bytes are a v1 response, more bytes a v2 response (MS-NLMP 2.2.1.3).
    ///
    /// # Errors
    /// [`DecodeError::Length`] for a length that no response has, or an error that says what is wrong in a v2 blob.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        if bytes.is_empty() {
            return Ok(Self::Empty);
        }
        if let Ok(v1) = bytes.try_into() {
            return Ok(Self::V1(v1));
        }
        NtlmV2Response::decode(bytes).map(Self::V2)
    }
}

impl<'a> NtlmV2Response<'a> {
    fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let length = DecodeError::Length { field: "Authenticate.NtChallengeResponse", got: bytes.len() };
        let (proof, blob) = bytes.split_first_chunk().ok_or(length)?;
        // The blob has RespType, HiRespType and 6 reserved bytes, the time, the client challenge, and 4 reserved bytes.
        // Both types are always 1. They need no check, because the proof covers them.
        let (fixed, pairs) = blob.split_first_chunk::<BLOB_FIXED>().ok_or(length)?;
        let [_, time, client_challenge, ..] = fixed.as_chunks().0 else { return Err(length) };
        Ok(Self {
            proof,
            blob,
            timestamp: FileTime(u64::from_le_bytes(*time)),
            client_challenge: *client_challenge,
            av_pairs: AvPairs::decode(pairs)?,
        })
    }
}

/// Returns the blob of an NTLMv2 response (3.3.2, "temp"). `target_info` includes its EOL; four zero bytes follow it.
pub fn encode_blob(timestamp: FileTime, client_challenge: [u8; 8], target_info: &[u8]) -> Vec<u8> {
    let mut blob = Vec::with_capacity(BLOB_FIXED + target_info.len() + 4);
    blob.extend_from_slice(&[1, 1, 0, 0, 0, 0, 0, 0]);
    blob.extend_from_slice(&timestamp.0.to_le_bytes());
    blob.extend_from_slice(&client_challenge);
    blob.extend_from_slice(&[0; 4]);
    blob.extend_from_slice(target_info);
    blob.extend_from_slice(&[0; 4]);
    blob
}
