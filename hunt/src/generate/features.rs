//! The features that a plan may use.

use std::collections::BTreeSet;

use super::draw::Draw;

/// The limits on plans: the features that they may not use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// The names of the features that no plan uses, from [`Features::NAMES`].
    without: BTreeSet<&'static str>,
}

/// The features that cannot be requested of a real product, or that take long in real time.
const NOT_IN_REAL_TIME: [&str; 11] = [
    "odd_server",
    "tls",
    "http2",
    "jitter",
    "shared_port",
    "server_faults",
    "held_links",
    "resets",
    "drains",
    "dc_faults",
    "long_times",
];

impl Limits {
    /// Returns the limits for real time: without the features that cannot be requested of a real product or take long.
    pub fn of_real_time() -> Self {
        Self { without: NOT_IN_REAL_TIME.into() }
    }

    /// Returns the limits with these features left out as well.
    ///
    /// # Errors
    /// There is no feature with one of these names; the message lists the existing names.
    pub fn without(mut self, names: &[impl AsRef<str>]) -> Result<Self, String> {
        for name in names {
            let name = name.as_ref();
            let known = Features::NAMES.iter().find(|known| **known == name.replace('-', "_"));
            self.without.insert(known.ok_or_else(|| {
                format!("there is no feature `{name}` to leave out; there are: {}", Features::NAMES.join(", "))
            })?);
        }
        Ok(self)
    }

    /// Returns the names of the features that are left out, in order.
    pub fn left_out(&self) -> impl Iterator<Item = &'static str> {
        self.without.iter().copied()
    }

    /// Draws the features that a plan may use from those that are not left out.
    pub(super) fn draw(&self, draw: &Draw) -> Features {
        Features::draw(draw).without(&self.without)
    }
}

/// Defines the features, each with a field and its name.
macro_rules! features {
    ($($(#[$doc:meta])+ $name:ident,)+) => {
        /// The features that a plan may use. Sending requests, waiting and letting time pass are not features, because
        /// every plan may contain them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct Features {
            $($(#[$doc])+ pub $name: bool,)+
        }

        impl Features {
            /// The names of the features.
            pub const NAMES: &[&str] = &[$(stringify!($name)),+];

            /// Draws a random half of the features.
            pub(super) fn draw(draw: &Draw) -> Self {
                Self { $($name: draw.chance(50)),+ }
            }

            /// Returns these features without those with these names.
            fn without(mut self, names: &BTreeSet<&'static str>) -> Self {
                $(self.$name &= !names.contains(stringify!($name));)+
                self
            }

            /// Returns whether the plan may use the feature at this index of [`NAMES`](Self::NAMES).
            pub fn has(&self, index: usize) -> bool {
                [$(self.$name),+][index]
            }
        }
    };
}

features! {
    /// The site accepts Kerberos.
    kerberos,
    /// IIS does not persist Kerberos on the connection (`authPersistNonNTLM` is off).
    not_persisted,
    /// TLS is used between the clients and the site.
    tls,
    /// TLS offers HTTP/2, and some clients speak it.
    http2,
    /// With TLS, extended protection is used: the server checks the channel binding in a client's token.
    extended_protection,
    /// There are several backends.
    farm,
    /// One server differs from the others: an older IIS, or one that closes idle connections sooner.
    odd_server,
    /// There is a second DC, which servers ask when the first one is down.
    second_controller,
    /// There is a second, trusted domain, and a user of it.
    partner,
    /// Accounts are locked out after a number of failed logons.
    lockout,
    /// Packets take up to 200 us longer.
    jitter,
    /// Clients can be of any kind, instead of curl and browsers only.
    any_agent,
    /// Some clients have no credentials.
    anonymous,
    /// Some clients have a wrong password.
    wrong_password,
    /// Some clients share an address.
    shared_address,
    /// Some clients share an address and a port, one after the other.
    shared_port,
    /// Several clients have the same user.
    same_user,
    /// Some requests have a body.
    bodies,
    /// Some requests are for a part of the site that may have separate backends.
    services,
    /// Several requests are in progress at the same time.
    at_once,
    /// All clients send several requests each at the same time.
    crowds,
    /// Some requests are sent as raw bytes, several in a row.
    pipelines,
    /// Some raw requests in a row begin with one that carries the token with which its client logs on.
    logged_on_pipelines,
    /// Clients close their connections.
    disconnects,
    /// Another user takes over a client.
    switches,
    /// Servers crash, lose power or hang, and come back.
    server_faults,
    /// Packets between two hosts are held back.
    held_links,
    /// Connections are reset by forged packets.
    resets,
    /// Backends are drained.
    drains,
    /// The DC crashes and comes back.
    dc_faults,
    /// Long times pass, close to the time limits of servers and balancers.
    long_times,
}
