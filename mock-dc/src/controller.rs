//! One domain controller: its directory, who may ask it, and which other DCs it asks.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indexmap::IndexMap;
use stickler_model::{Entropy, Name};
use stickler_netlogon::LogonNumbers;

use crate::Directory;
use crate::directory::Asker;

/// A domain controller. What it knows outlives its process.
pub struct DomainController {
    directory: Arc<Mutex<Directory>>,
    /// Who may ask for logons, by machine name in lower case.
    machines: Arc<Mutex<IndexMap<String, Machine>>>,
    /// The PDC emulator of its domain; `None`: it is that itself.
    pub(crate) pdc: Option<Pdc>,
    /// Where the DCs of trusted domains listen, by NetBIOS name.
    pub(crate) trusted: Vec<(String, Vec<SocketAddr>)>,
    /// How long a logon waits before it is decided.
    pub(crate) delay: Duration,
    /// Of the logons that it asks other DCs for.
    pub(crate) numbers: Arc<LogonNumbers>,
}

/// The way to the PDC emulator.
pub(crate) struct Pdc {
    /// What this DC is called.
    pub(crate) machine: String,
    pub(crate) secret: Arc<[u8]>,
    pub(crate) address: SocketAddr,
}

/// Who may ask for logons, and the secret that proves it.
#[derive(Clone)]
pub(crate) struct Machine {
    /// As the trace has it.
    pub(crate) name: Name,
    pub(crate) secret: Arc<[u8]>,
    pub(crate) asker: Asker,
}

impl DomainController {
    /// The PDC emulator of this directory's domain, which no machine is joined to yet.
    pub fn new(directory: Directory) -> Self {
        Self {
            directory: Arc::new(Mutex::new(directory)),
            machines: Arc::default(),
            pdc: None,
            trusted: Vec::new(),
            delay: Duration::ZERO,
            numbers: Arc::default(),
        }
    }

    /// Another DC of the domain, which asks this one, the PDC emulator, at its address. Accounts, failed
    /// logons and machines are replicated between the two at once.
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
            numbers: Arc::default(),
        }
    }

    /// Gives it a directory of its own, which replication does not reach ([`Directory::replica`]).
    #[must_use]
    pub fn with_directory(mut self, directory: Directory) -> Self {
        self.directory = Arc::new(Mutex::new(directory));
        self
    }

    /// Says where the DCs of a trusted domain listen, in the order in which they are asked. The trust itself
    /// is the directory's ([`Directory::add_trust`]).
    #[must_use]
    pub fn with_trusted(mut self, netbios: &str, controllers: Vec<SocketAddr>) -> Self {
        self.trusted.push((netbios.to_owned(), controllers));
        self
    }

    /// Makes each logon wait before it is decided, as at a DC whose logons queue up (`MaxConcurrentApi`).
    /// One whose asker has gone by then is never decided, and so counts against nobody.
    #[must_use]
    pub fn with_delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Joins a machine to the domain, with its account's secret; joining again replaces the secret. For
    /// Kerberos it has the account `name$` ([`Directory::add_machine`]).
    ///
    /// The machine's NetBIOS name is `name` without case, not cut to 15 characters.
    pub fn join(&self, name: &Name, secret: &[u8]) {
        self.directory().add_machine(name.as_str(), secret);
        self.admit(Machine { name: name.clone(), secret: secret.into(), asker: Asker::Member });
    }

    /// Joins a machine with a secret that a world's seed has for it, and hands that out, 32 bytes.
    pub fn enroll(&self, name: &Name, seed: u64) -> [u8; 32] {
        let secret = secret(name, seed);
        self.join(name, &secret);
        secret
    }

    /// The directory, to look into or to change. Do not hold it across an `.await`.
    pub fn directory(&self) -> MutexGuard<'_, Directory> {
        lock(&self.directory)
    }

    /// Who claims to ask: a machine of the domain by its name, or a DC of a trusted domain by `host.dns-domain`.
    pub(crate) fn machine(&self, claimed: &str) -> Option<Machine> {
        let known = lock(&self.machines).get(&claimed.to_lowercase()).cloned();
        known.or_else(|| {
            let (host, dns) = claimed.split_once('.')?;
            let directory = self.directory();
            let trust = directory.trusts.iter().find(|trust| trust.is(dns))?;
            let asker = Asker::Trusted(trust.netbios().to_owned());
            Some(Machine { name: Name::from(host), secret: trust.secret().into(), asker })
        })
    }

    fn admit(&self, machine: Machine) {
        lock(&self.machines).insert(machine.name.as_str().to_lowercase(), machine);
    }
}

fn secret(name: &Name, seed: u64) -> [u8; 32] {
    Entropy::new(seed, &format!("machine account of {name}")).bytes()
}

/// A panic elsewhere leaves either map whole: each change is one insertion or one number.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
