//! The arm on real sockets.

use std::fmt;
use std::sync::Arc;

use stickler_catalogue::profile::Program;
use stickler_catalogue::{Profile, find, profiles};
use stickler_model::topology::TlsSpec;
use stickler_model::{BalancerSpec, Topology, World, WorldError};
use stickler_runner::Arm;
use stickler_site::Balancer;

use crate::products::{self, Installed, Product, ProductError};
use crate::world::{Middle, WireWorld};
use crate::{Supervisor, Target, addresses};

/// Builds worlds on sockets of this machine's loopback addresses. For a profile that names a product, the arm starts
/// that product. Any other balancer of the catalogue is Stickler's own, on real sockets.
#[derive(Debug, Clone)]
pub struct WireArm {
    supervisor: Supervisor,
    /// Whether a product that is not installed fails the run, instead of skipping it.
    require: bool,
    /// The TLS settings for the sites of products, if a plan does not specify TLS.
    tls: Option<TlsSpec>,
    /// The name by which clients refer to the site; `None`: the default name.
    host: Option<String>,
    /// The balancer that somebody else runs, if there is one.
    target: Option<Arc<Target>>,
}

impl WireArm {
    /// Returns an arm. The supervisor ends its products when this process ends, however it ends. A run over a product
    /// that is not installed is skipped, or fails if products are required (`require`).
    pub fn new(supervisor: Supervisor, require: bool) -> Self {
        Self { supervisor, require, tls: None, host: None, target: None }
    }

    /// Returns the same arm with these TLS settings for the sites of products, as their configurations require. A plan
    /// that specifies TLS is performed with its own settings.
    #[must_use]
    pub fn with_tls(self, tls: Option<TlsSpec>) -> Self {
        Self { tls, ..self }
    }

    /// Returns the same arm, but with clients that refer to the site by this name; `None`: by `www.corp.example`.
    #[must_use]
    pub fn with_host(self, host: Option<String>) -> Self {
        Self { host, ..self }
    }

    fn host(&self) -> &str {
        self.host.as_deref().unwrap_or(addresses::HOST_HEADER)
    }

    /// Returns the same arm with a balancer that somebody else runs. It builds one world at a time over that balancer.
    #[must_use]
    pub fn with_target(self, target: Target) -> Self {
        Self { target: Some(Arc::new(target)), ..self }
    }

    fn middle(&self, spec: &BalancerSpec) -> Result<Middle, WorldError> {
        if let (BalancerSpec::Target { like, .. }, Some(target)) = (spec, &self.target) {
            let balancer = Balancer::target(spec.clone(), like.as_deref())?;
            return Ok(Middle::Target(Arc::clone(target), balancer));
        }
        if let BalancerSpec::Product { like: Some(like), .. } = spec {
            return self.middle(like);
        }
        let own = || Balancer::of(spec).map(Middle::Ours).map_err(WorldError::from);
        let Some(profile) = profile(spec)? else { return own() };
        let Some(program) = &profile.program else { return own() };
        let installed = Installed::find(program).map_err(|error| match error {
            ProductError::Missing { .. } | ProductError::SharedNetwork(_) if !self.require => {
                WorldError::Unsupported(error.to_string())
            }
            error => WorldError::Invalid(error.to_string()),
        })?;
        let balancer = Balancer::program(spec.clone(), &profile.mechanism());
        Ok(Middle::Product(installed, balancer))
    }
}

/// A product that is installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledProduct {
    /// The name of the product in profiles.
    pub name: &'static str,
    /// The version that the product states; `None` if it states none that can be read.
    pub version: Option<String>,
}

impl fmt::Display for InstalledProduct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, version } = self;
        match version {
            Some(version) => write!(f, "{name} {version}"),
            None => f.write_str(name),
        }
    }
}

/// Finds the product of a profile on this machine.
///
/// # Errors
/// [`ProductError`]: the product is not installed, or the profile names none that can be started.
pub fn installed(profile: &Profile) -> Result<InstalledProduct, ProductError> {
    let program = profile.program.as_ref().ok_or_else(|| ProductError::Unknown(profile.product.clone()))?;
    let Installed { product, version, .. } = Installed::find(program)?;
    Ok(InstalledProduct { name: product.name(), version })
}

/// Finds a product on this machine by its name in profiles, and returns its version, or `None` if the product does not
/// state it.
///
/// # Errors
/// [`ProductError`]: the product is not installed, or there is none with this name.
pub fn version(product: &str) -> Result<Option<String>, ProductError> {
    let program = Program { name: product.to_owned(), configuration: String::new() };
    Ok(Installed::find(&program)?.version)
}

/// Returns whether the product with this name in profiles changes the network namespace in which it runs. Such a
/// product must run in one of Stickler's own namespaces.
pub fn needs_own_network(product: &str) -> bool {
    products::find(product).is_some_and(Product::needs_own_network)
}

/// Returns the profile that describes a balancer; `None` if it is not described by a profile, or has defects, which a
/// product cannot be given.
fn profile(spec: &BalancerSpec) -> Result<Option<Profile>, WorldError> {
    match spec {
        BalancerSpec::Mechanism { name, defects } if defects.is_empty() => {
            // The error for an unknown name suggests the nearest one.
            find(name).map_err(|error| WorldError::Invalid(error.to_string()))?;
            Ok(profiles().iter().find(|profile| profile.name == *name).cloned())
        }
        BalancerSpec::Profile { name, toml, defects } if defects.is_empty() => {
            let profiles = Profile::parse(toml, name).map_err(|error| WorldError::Invalid(error.to_string()))?;
            Ok(profiles.into_iter().find(|profile| profile.name == *name))
        }
        _ => Ok(None),
    }
}

impl Arm for WireArm {
    fn name(&self) -> &'static str {
        "wire"
    }

    fn is_deterministic(&self) -> bool {
        false
    }

    fn build(&self, mut topology: Topology, balancer: &BalancerSpec, seed: u64) -> Result<Box<dyn World>, WorldError> {
        let middle = self.middle(balancer)?;
        if let (Middle::Product(..), None) = (&middle, topology.tls) {
            topology.tls = self.tls;
        }
        Ok(Box::new(WireWorld::new(topology, &middle, seed, &self.supervisor, self.host())?))
    }

    fn build_control(&self, topology: Topology, seed: u64) -> Result<Box<dyn World>, WorldError> {
        Ok(Box::new(WireWorld::control(topology, seed, &self.supervisor)?))
    }
}
