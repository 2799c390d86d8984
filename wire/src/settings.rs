//! How a site on real sockets is assembled.

use std::sync::Arc;

use stickler_site::{RandomFor, Settings};
use stickler_tls::Random;

use crate::Options;

/// The settings of a site with these options.
///
/// Keys of TLS are the operating system's, and not of the site's seed: who knows the seed is not to be trusted by
/// whoever trusts the authority.
pub(crate) fn settings(options: &Options) -> Settings {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    names.push(format!("www.{}", options.topology.domain.dns));
    let address = options.address.to_string();
    if !names.contains(&address) {
        names.push(address);
    }
    Settings {
        seed: options.seed,
        names,
        iterations: None,
        tls_random: tls_random(),
        tls_keys: None,
        log: options.log.clone(),
    }
}

/// The randomness of TLS: the operating system's, whoever draws.
pub(crate) fn tls_random() -> RandomFor {
    Arc::new(|_| random())
}

fn random() -> Random {
    // rustls draws through this, and has no way to pass an error on. There is none past a system's start.
    Arc::new(|bytes: &mut [u8]| getrandom::fill(bytes).expect("the operating system has random numbers once it is up"))
}
