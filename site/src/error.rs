//! Why a site cannot be assembled.

use std::io;

use stickler_catalogue::{DefectError, ProfileError, UnknownBalancer};
use stickler_lb_core::RuleError;
use stickler_model::{Name, WorldError};

/// Why there is no balancer for a description.
#[derive(Debug, thiserror::Error)]
pub enum BalancerError {
    /// The catalogue has no mechanism or profile with that name.
    #[error(transparent)]
    Unknown(#[from] UnknownBalancer),
    /// The document of a profile is not valid.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// The document has no profile with that name.
    #[error("the document has no profile called `{0}`")]
    NoSuchProfile(String),
    /// A defect does not exist, or cannot be put on that profile.
    #[error(transparent)]
    Defect(#[from] DefectError),
    /// The balancer is a real product, which this arm does not start.
    #[error("`{0}` is a real product, but this arm has only models of products")]
    Product(String),
    /// The balancer is from outside Stickler, and this arm was not built with it.
    #[error("`{0}` is a balancer from outside Stickler: only a test that was built with it can run it")]
    Foreign(String),
    /// Somebody else runs the balancer, and this arm was not given its address.
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
    /// The balancer of the description does not exist.
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
    /// The site of a server is to run as an account that does not exist.
    #[error("`{server}` cannot run as `{account}`: the domain has no such account")]
    Account {
        /// The server.
        server: Name,
        /// The account.
        account: String,
    },
    /// A certificate cannot be issued, because a certificate cannot contain one of the names.
    #[error("TLS cannot be set up: {0}")]
    Certificate(io::Error),
    /// Two machines have the same name.
    #[error("there is already a client or host called `{0}`")]
    Duplicate(Name),
    /// A host or a port is not available.
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
