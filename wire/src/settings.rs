//! The settings with which a site on real sockets is assembled.

use std::sync::Arc;

use stickler_site::{RandomFor, Settings};
use stickler_tls::Random;

use crate::Options;

/// Returns the settings of a site with these options.
///
/// The keys of TLS come from the operating system and not from the site's seed: clients that trust the authority must not
/// trust a person who knows the seed.
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

/// Returns the randomness of TLS, which always comes from the operating system.
pub(crate) fn tls_random() -> RandomFor {
    Arc::new(|_| random())
}

fn random() -> Random {
    // rustls draws through this, and cannot pass an error on. There is none after a system's start.
    Arc::new(|bytes: &mut [u8]| getrandom::fill(bytes).expect("the operating system has random numbers once it is up"))
}
