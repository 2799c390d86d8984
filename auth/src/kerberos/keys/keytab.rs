//! Key tables: the files in which MIT and the Windows tool `ktpass` give a service its keys.
//!
//! The format is version 5.02 of MIT. All numbers are big-endian, and each entry is preceded by its length. A negative
//! length marks a deleted entry.

use super::LongTermKey;
use crate::kerberos::crypto::{CryptoError, Key};
use crate::kerberos::name::{Principal, PrincipalName};

/// The first two bytes of a file.
const VERSION: [u8; 2] = [5, 2];

/// The maximum number of entries that are read.
const MAX_ENTRIES: usize = 4096;

/// The maximum number of components of a name that are read.
const MAX_PARTS: u16 = 16;

/// The contents of a key table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keytab {
    /// The entries in the order of the file.
    pub entries: Vec<KeytabEntry>,
}

/// An entry: one key of one principal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeytabEntry {
    /// The principal that owns the key.
    pub principal: Principal,
    /// The time at which the entry was written, in seconds since 1970.
    pub timestamp: u32,
    /// The key and its version.
    pub key: LongTermKey,
}

/// The reason why bytes are not a key table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeytabError {
    /// The file has another format, or another version of the format.
    #[error("this is not a key table, which begins with the bytes 05 02; write it with a current ktutil or ktpass")]
    Version,
    /// The file ends within an entry, or an entry ends within a field.
    #[error("the key table is cut off within the entry at byte {at}")]
    Truncated {
        /// The position of the entry's length in the file, in bytes.
        at: usize,
    },
    /// A name is not UTF-8 or has too many components.
    #[error("the entry at byte {at} has a malformed name")]
    Name {
        /// The position of the entry's length in the file, in bytes.
        at: usize,
    },
    /// The file has more entries than any genuine one.
    #[error("the key table has more than {MAX_ENTRIES} entries")]
    TooMany,
}

impl Keytab {
    /// Reads a file. Entries with an encryption type that is not implemented are skipped, because a server cannot use
    /// them.
    ///
    /// # Errors
    /// The file has another format or is cut off.
    pub fn decode(bytes: &[u8]) -> Result<Self, KeytabError> {
        let mut rest = bytes.strip_prefix(&VERSION).ok_or(KeytabError::Version)?;
        let mut entries = Vec::new();
        while !rest.is_empty() {
            let at = bytes.len() - rest.len();
            let cut = KeytabError::Truncated { at };
            let (length, behind) = rest.split_first_chunk().ok_or(cut)?;
            let length = i32::from_be_bytes(*length);
            let (entry, behind) = behind.split_at_checked(length.unsigned_abs() as usize).ok_or(cut)?;
            rest = behind;
            if length <= 0 {
                continue;
            }
            if entries.len() == MAX_ENTRIES {
                return Err(KeytabError::TooMany);
            }
            entries.extend(Fields { rest: entry, at }.entry()?);
        }
        Ok(Self { entries })
    }

    /// Returns the bytes of the file.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = VERSION.to_vec();
        for entry in &self.entries {
            let body = entry.encode();
            out.extend_from_slice(&(body.len() as u32).to_be_bytes());
            out.extend_from_slice(&body);
        }
        out
    }
}

impl KeytabEntry {
    fn encode(&self) -> Vec<u8> {
        let Principal { name, realm } = &self.principal;
        let mut out = Vec::new();
        let text = |out: &mut Vec<u8>, bytes: &[u8]| {
            out.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
            out.extend_from_slice(bytes);
        };
        out.extend_from_slice(&(name.parts.len() as u16).to_be_bytes());
        text(&mut out, realm.as_bytes());
        name.parts.iter().for_each(|part| text(&mut out, part.as_bytes()));
        out.extend_from_slice(&name.kind.to_be_bytes());
        out.extend_from_slice(&self.timestamp.to_be_bytes());
        out.push(self.key.kvno as u8);
        out.extend_from_slice(&(self.key.key.etype() as u16).to_be_bytes());
        text(&mut out, self.key.key.as_bytes());
        // The version is repeated here, because it may not fit into one byte.
        out.extend_from_slice(&self.key.kvno.to_be_bytes());
        out
    }
}

/// The fields of one entry.
struct Fields<'a> {
    rest: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    fn entry(mut self) -> Result<Option<KeytabEntry>, KeytabError> {
        let name_error = KeytabError::Name { at: self.at };
        let count = u16::from_be_bytes(self.array()?);
        if count == 0 || count > MAX_PARTS {
            return Err(name_error);
        }
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| name_error);
        let realm = text(self.counted()?)?;
        let parts = (0..count).map(|_| text(self.counted()?)).collect::<Result<_, _>>()?;
        let kind = i32::from_be_bytes(self.array()?);
        let timestamp = u32::from_be_bytes(self.array()?);
        let [short_kvno] = self.array()?;
        let etype = u16::from_be_bytes(self.array()?);
        let key = Key::from_wire(etype.into(), self.counted()?);
        let kvno = match self.rest.first_chunk() {
            Some(kvno) if *kvno != [0; 4] => u32::from_be_bytes(*kvno),
            _ => short_kvno.into(),
        };
        match key {
            Ok(key) => {
                let principal = Principal { name: PrincipalName { kind, parts }, realm };
                Ok(Some(KeytabEntry { principal, timestamp, key: LongTermKey { kvno, key } }))
            }
            Err(CryptoError::Etype(_)) => Ok(None),
            Err(_) => Err(KeytabError::Truncated { at: self.at }),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], KeytabError> {
        let (found, rest) = self.rest.split_first_chunk().ok_or(KeytabError::Truncated { at: self.at })?;
        self.rest = rest;
        Ok(*found)
    }

    fn counted(&mut self) -> Result<&'a [u8], KeytabError> {
        let len = u16::from_be_bytes(self.array()?);
        let cut = KeytabError::Truncated { at: self.at };
        let (found, rest) = self.rest.split_at_checked(len.into()).ok_or(cut)?;
        self.rest = rest;
        Ok(found)
    }
}
