//! Why a site cannot be assembled.

use std::io;

use stickler_catalogue::{DefectError, ProfileError, UnknownBalancer};
use stickler_lb_core::RuleError;
use stickler_model::{Name, WorldError};

/// Why there is no balancer of a description.
#[derive(Debug, thiserror::Error)]
pub enum BalancerError {
    /// The catalogue has no mechanism or profile of that name.
    #[error(transparent)]
    Unknown(#[from] UnknownBalancer),
    /// The document of a profile is wrong.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// The document of a profile does not have it.
    #[error("the document has no profile called `{0}`")]
    NoSuchProfile(String),
    /// A defect does not exist, or cannot sit on that profile.
    #[error(transparent)]
    Defect(#[from] DefectError),
    /// It is a real product, which this arm does not start.
    #[error("`{0}` is a real product, but this arm has only models of products")]
    Product(String),
    /// It is somebody else's balancer, which this arm was not built with.
    #[error("`{0}` is a balancer from outside Stickler: only a test that was built with it can run it")]
    Foreign(String),
    /// Somebody else runs it, and this arm was not told where.
    #[error("`{0}` is a balancer that runs elsewhere: give its address with --target")]
    Target(String),
}

impl From<BalancerError> for WorldError {
    fn from(error: BalancerError) -> Self {
        match error {
            BalancerError::Product(_) | BalancerError::Foreign(_) | BalancerError::Target(_) => {
                Self::Unsupported(error.to_string())
            }
            error => Self::Invalid(error.to_string()),
        }
    }
}

/// Why a site cannot be assembled. `E` is the error of its [`Hosts`](crate::Hosts).
#[derive(Debug, thiserror::Error)]
pub enum SiteError<E> {
    /// There is no such balancer.
    #[error(transparent)]
    Balancer(#[from] BalancerError),
    /// The balancer's rules do not fit this farm.
    #[error(transparent)]
    Rules(#[from] RuleError),
    /// Every DC of the domain has an outdated directory.
    #[error("every DC is stale: at least one DC must have the current accounts")]
    EveryControllerStale,
    /// The partner's domain has the NetBIOS or DNS name of the site's own.
    #[error("the partner domain `{0}` has the same name as the site's own domain: rename one of them")]
    PartnerName(String),
    /// A server's site is to run as an account that does not exist.
    #[error("`{server}` cannot run as `{account}`: the domain has no such account")]
    Account {
        /// The server.
        server: Name,
        /// The account.
        account: String,
    },
    /// A certificate cannot be issued, as a name in it is not one that a certificate can hold.
    #[error("TLS cannot be set up: {0}")]
    Certificate(io::Error),
    /// Two machines have one name.
    #[error("there is already a client or host called `{0}`")]
    Duplicate(Name),
    /// A host or a port cannot be had.
    #[error(transparent)]
    Hosts(E),
}

impl From<SiteError<Self>> for WorldError {
    fn from(error: SiteError<Self>) -> Self {
        match error {
            SiteError::Hosts(error) => error,
            SiteError::Balancer(error) => error.into(),
            SiteError::Duplicate(name) => Self::Duplicate(name.to_string()),
            error => Self::Invalid(error.to_string()),
        }
    }
}
