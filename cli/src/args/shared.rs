//! Arguments that several commands share.

use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::Args;

/// The balancers of a command.
#[derive(Debug, Args)]
pub(crate) struct Balancers {
    /// A mechanism or a product profile, optionally with defects (pin-on-401+B6). May be given more than once. The default is all
    /// mechanisms.
    #[arg(long, short, value_name = "NAME")]
    pub(crate) balancer: Vec<String>,
    /// A file with your own product profiles (see docs/profile-schema.md), in addition to those of --balancer. May be given
    /// more than once.
    #[arg(long, value_name = "FILE")]
    pub(crate) profile: Vec<PathBuf>,
}

/// The seeds of each pair of a scenario and a balancer.
#[derive(Debug, Args)]
pub(crate) struct Seeds {
    /// The seed: the same seed gives the same trace, byte for byte; on real sockets, it gives the same requests.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Run each pair of a scenario and a balancer with this many seeds, starting from --seed. The worst outcome counts in a table.
    #[arg(long, default_value = "1", value_name = "N")]
    pub(crate) repeat: NonZeroU32,
}
