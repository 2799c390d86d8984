//! One domain controller: its directory, the machines that may ask it, and the DCs that it asks.

use std::net::SocketAddr;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use indexmap::IndexMap;
use stickler_model::sync::Lock;
use stickler_model::topology::IisVersion;
use stickler_model::{Entropy, Name};
use stickler_netlogon::LogonNumbers;

use crate::Directory;
use crate::directory::Asker;

/// A domain controller. Its data outlives its process, so a restarted DC continues with it.
pub struct DomainController {
    directory: Arc<Lock<Directory>>,
    /// The machines that may ask for logons, keyed by their names in lower case.
    machines: Arc<Lock<IndexMap<String, Machine>>>,
    /// The PDC emulator of the domain; `None` if this DC holds that role.
    pub(crate) pdc: Option<Pdc>,
    /// NetBIOS names of trusted domains, and the addresses of their DCs.
    pub(crate) trusted: Vec<(String, Vec<SocketAddr>)>,
    /// The time that each logon waits before it is decided.
    pub(crate) delay: Duration,
    /// The maximum number of logons that the DC sends at once to the DCs of another domain, or to the PDC emulator.
    pub(crate) max_concurrent_api: u16,
    /// Whether the DC's KDC refuses a request without a checksum.
    pub(crate) requires_checksum: bool,
    /// The numbers of the logons for which this DC asks other DCs.
    pub(crate) numbers: Arc<LogonNumbers>,
}

/// The data with which this DC reaches the PDC emulator.
pub(crate) struct Pdc {
    /// The machine name under which this DC asks.
    pub(crate) machine: String,
    pub(crate) secret: Arc<[u8]>,
    pub(crate) address: SocketAddr,
}

/// A machine that may ask for logons, and the secret that proves its identity.
#[derive(Clone)]
pub(crate) struct Machine {
    /// The name that appears in the trace.
    pub(crate) name: Name,
    pub(crate) secret: Arc<[u8]>,
    pub(crate) asker: Asker,
}

impl DomainController {
    /// Creates the PDC emulator of the directory's domain. No machine is joined to it yet.
    pub fn new(directory: Directory) -> Self {
        Self {
            directory: Arc::new(Lock::new(directory)),
            machines: Arc::default(),
            pdc: None,
            trusted: Vec::new(),
            delay: Duration::ZERO,
            max_concurrent_api: IisVersion::Iis10.max_concurrent_api(),
            requires_checksum: false,
            numbers: Arc::default(),
        }
    }

    /// Creates another DC of the domain. It asks this one, which is the PDC emulator, at `address`. The two share
    /// accounts, failed logons and machines, as if replication were immediate.
    #[must_use]
    pub fn replica(&self, name: &Name, seed: u64, address: SocketAddr) -> Self {
        let (machine, secret) = (name.as_str().to_uppercase(), secret(name, seed).into());
        self.admit(Machine { name: name.clone(), secret: Arc::clone(&secret), asker: Asker::Controller });
        Self {
            directory: Arc::clone(&self.directory),
            machines: Arc::clone(&self.machines),
            pdc: Some(Pdc { machine, secret, address }),
            trusted: self.trusted.clone(),
            delay: Duration::ZERO,
            max_concurrent_api: IisVersion::Iis10.max_concurrent_api(),
            requires_checksum: false,
            numbers: Arc::default(),
        }
    }

    /// Gives the DC its own directory, which replication does not reach ([`Directory::replica`]).
    #[must_use]
    pub fn with_directory(mut self, directory: Directory) -> Self {
        self.directory = Arc::new(Lock::new(directory));
        self
    }

    /// Sets the addresses of a trusted domain's DCs, in the order in which they are asked. The trust itself is part of
    /// the directory ([`Directory::add_trust`]).
    #[must_use]
    pub fn with_trusted(mut self, netbios: &str, controllers: Vec<SocketAddr>) -> Self {
        self.trusted.push((netbios.to_owned(), controllers));
        self
    }

    /// Delays each logon before it is decided, like a DC that is busy. If the machine that asks has disconnected by
    /// then, the logon is never decided, and therefore counts against no account.
    #[must_use]
    pub fn with_delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Sets the maximum number of logons that the DC sends at once to the DCs of another domain, or to the PDC
    /// emulator.
    #[must_use]
    pub fn with_max_concurrent_api(mut self, calls: u16) -> Self {
        self.max_concurrent_api = calls;
        self
    }

    /// Sets whether the DC's KDC refuses a request whose authenticator has no checksum
    /// ([`KdcConfig::requires_checksum`](stickler_auth::kerberos::kdc::KdcConfig::requires_checksum)).
    #[must_use]
    pub fn with_requires_checksum(mut self, requires_checksum: bool) -> Self {
        self.requires_checksum = requires_checksum;
        self
    }

    /// Joins a machine to the domain with its account's secret. Joining again replaces the secret. The machine's
    /// Kerberos account is `name$` ([`Directory::add_machine`]).
    ///
    /// The machine's NetBIOS name is `name`, compared without case and not cut to 15 characters.
    pub fn join(&self, name: &Name, secret: &[u8]) {
        self.directory().add_machine(name.as_str(), secret);
        self.admit(Machine { name: name.clone(), secret: secret.into(), asker: Asker::Member });
    }

    /// Joins a machine with a secret that is derived from the world's seed, and returns the secret.
    pub fn enroll(&self, name: &Name, seed: u64) -> [u8; 32] {
        let secret = secret(name, seed);
        self.join(name, &secret);
        secret
    }

    /// Locks the directory for reading or changing. Do not hold the guard across an `.await`.
    pub fn directory(&self) -> MutexGuard<'_, Directory> {
        self.directory.lock()
    }

    /// Returns the machine that a channel claims to be: a machine of the domain by its name, or a DC of a trusted
    /// domain by `host.dns-domain`. The channel's MAC must still prove the claim.
    pub(crate) fn machine(&self, claimed: &str) -> Option<Machine> {
        let known = self.machines.lock().get(&claimed.to_lowercase()).cloned();
        known.or_else(|| {
            let (host, dns) = claimed.split_once('.')?;
            let directory = self.directory();
            let trust = directory.trusts.iter().find(|trust| trust.is(dns))?;
            let asker = Asker::Trusted(trust.netbios().to_owned());
            Some(Machine { name: Name::from(host), secret: trust.secret().into(), asker })
        })
    }

    fn admit(&self, machine: Machine) {
        self.machines.lock().insert(machine.name.as_str().to_lowercase(), machine);
    }
}

fn secret(name: &Name, seed: u64) -> [u8; 32] {
    Entropy::new(seed, &format!("machine account of {name}")).bytes()
}
