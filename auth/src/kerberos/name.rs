//! The names of principals, and realms.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use crate::der::{DerError, Fault, Reader, Writer};

/// The maximum number of components of a name that are read. Genuine names have at most three.
const MAX_PARTS: usize = 16;

/// The name of a principal within its realm (RFC 4120 5.2.2): components and a type.
///
/// The type is a hint and is not compared (RFC 4120 6.2). Components are compared as bytes. A directory that ignores
/// case, such as Active Directory, does so in its own lookup.
#[derive(Clone, Debug)]
pub struct PrincipalName {
    /// The name type, such as [`PrincipalName::PRINCIPAL`].
    pub kind: i32,
    /// The components of the name, in UTF-8.
    pub parts: Vec<String>,
}

impl PrincipalName {
    /// The type NT-PRINCIPAL: a user or a machine.
    pub const PRINCIPAL: i32 = 1;
    /// The type NT-SRV-INST: a service with an instance, such as `krbtgt/REALM` or `HTTP/host`.
    pub const SRV_INST: i32 = 2;
    /// The type NT-SRV-HST: a service with a host as its instance.
    pub const SRV_HST: i32 = 3;
    /// The type NT-ENTERPRISE: one component that holds a user principal name, `user@suffix` (RFC 6806 5).
    pub const ENTERPRISE: i32 = 10;

    /// Returns the name of a user or a machine, which has one component.
    pub fn user(name: &str) -> Self {
        Self { kind: Self::PRINCIPAL, parts: vec![name.into()] }
    }

    /// Returns a service principal name of two components, `service/instance`.
    pub fn service(service: &str, instance: &str) -> Self {
        Self { kind: Self::SRV_INST, parts: vec![service.into(), instance.into()] }
    }

    /// Returns the name of the ticket-granting service of `realm`.
    pub fn krbtgt(realm: &str) -> Self {
        Self::service(KRBTGT, realm)
    }

    /// Returns a user principal name, `user@suffix`, as one component.
    pub fn enterprise(upn: &str) -> Self {
        Self { kind: Self::ENTERPRISE, parts: vec![upn.into()] }
    }

    /// Returns the name with this text, in which `/` separates the components.
    pub fn parse(text: &str) -> Self {
        let parts: Vec<String> = text.split('/').map(Into::into).collect();
        let kind = if parts.len() == 1 { Self::PRINCIPAL } else { Self::SRV_INST };
        Self { kind, parts }
    }

    /// Returns the realm of the ticket-granting service with this name, or `None` if it is not the name of one.
    pub fn krbtgt_realm(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [service, realm] if service == KRBTGT => Some(realm),
            _ => None,
        }
    }

    /// Returns whether `other` is the same name if case is ignored, as on Windows.
    pub fn matches(&self, other: &Self) -> bool {
        self.parts.len() == other.parts.len()
            && self.parts.iter().zip(&other.parts).all(|(a, b)| crate::ntlm::text::same_name(a, b))
    }

    /// Takes the name out, and leaves a name without components.
    pub(super) fn take(&mut self) -> Self {
        Self { kind: self.kind, parts: std::mem::take(&mut self.parts) }
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.sequence(|w| {
            w.field(0, |w| w.integer(self.kind.into()));
            w.field(1, |w| w.sequence(|w| self.parts.iter().for_each(|part| w.string(part))));
        });
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DerError> {
        let mut r = r.nested(crate::der::tag::SEQUENCE)?;
        let kind = r.primitive_field(0)?;
        let parts = r.field(1, |r| r.list(MAX_PARTS, |r| Ok(r.string()?.to_owned())))?;
        if parts.is_empty() {
            return Err(r.error(Fault::Value("a principal's name without components")));
        }
        r.finish()?;
        Ok(Self { kind, parts })
    }
}

/// The first component of a ticket-granting service's name (RFC 4120 7.3).
const KRBTGT: &str = "krbtgt";

impl fmt::Display for PrincipalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, part) in self.parts.iter().enumerate() {
            write!(f, "{}{part}", if at == 0 { "" } else { "/" })?;
        }
        Ok(())
    }
}

impl PartialEq for PrincipalName {
    fn eq(&self, other: &Self) -> bool {
        self.parts == other.parts
    }
}

impl Eq for PrincipalName {}

impl PartialOrd for PrincipalName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PrincipalName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts.cmp(&other.parts)
    }
}

impl Hash for PrincipalName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts.hash(state);
    }
}

/// A name with its realm: `name@REALM`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Principal {
    /// The name of the principal within the realm.
    pub name: PrincipalName,
    /// The name of the realm. On Windows, it is the DNS name of the domain in upper case.
    pub realm: String,
}

impl Principal {
    /// Creates the principal `name` in `realm`.
    pub fn new(name: PrincipalName, realm: &str) -> Self {
        Self { name, realm: realm.into() }
    }

    /// Returns the principal of the ticket-granting service for `realm` in `realm` itself.
    pub fn krbtgt(realm: &str) -> Self {
        Self::new(PrincipalName::krbtgt(realm), realm)
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.realm)
    }
}
