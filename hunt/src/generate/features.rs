//! What a plan may contain.

use std::collections::BTreeSet;

use super::draw::Draw;

/// What plans may not contain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// The names of features that no plan uses, of [`Features::NAMES`].
    without: BTreeSet<&'static str>,
}

/// The features that a real product cannot be asked for, or that take long in real time.
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
    /// Nothing that a real product cannot be asked for, and that takes long in real time.
    pub fn of_real_time() -> Self {
        Self { without: NOT_IN_REAL_TIME.into() }
    }

    /// Leaves these features out as well.
    ///
    /// # Errors
    /// No feature has one of these names: a message with the names that there are.
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

    /// The names of the features that are left out, in order.
    pub fn left_out(&self) -> impl Iterator<Item = &'static str> {
        self.without.iter().copied()
    }

    /// Draws which of the other features a plan may use.
    pub(super) fn draw(&self, draw: &Draw) -> Features {
        Features::draw(draw).without(&self.without)
    }
}

/// Defines the features: a field for each, with its name.
macro_rules! features {
    ($($(#[$doc:meta])+ $name:ident,)+) => {
        /// Which features a plan may use. What is not among them is in every plan: users who ask, wait, and let time pass.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct Features {
            $($(#[$doc])+ pub $name: bool,)+
        }

        impl Features {
            /// The names of the features.
            pub const NAMES: &[&str] = &[$(stringify!($name)),+];

            /// Draws which half of the features a plan may use.
            pub(super) fn draw(draw: &Draw) -> Self {
                Self { $($name: draw.chance(50)),+ }
            }

            /// Returns these features without those of these names.
            fn without(mut self, names: &BTreeSet<&'static str>) -> Self {
                $(self.$name &= !names.contains(stringify!($name));)+
                self
            }

            /// Returns whether the feature at this place of [`NAMES`](Self::NAMES) may be used.
            pub fn has(&self, index: usize) -> bool {
                [$(self.$name),+][index]
            }
        }
    };
}

features! {
    /// The site takes Kerberos.
    kerberos,
    /// IIS does not persist Kerberos on the connection (`authPersistNonNTLM` off).
    not_persisted,
    /// TLS, from the clients on.
    tls,
    /// TLS offers HTTP/2, and some clients speak it.
    http2,
    /// Extended protection, where there is TLS: the server checks what a client's token is bound to.
    extended_protection,
    /// More backends than one.
    farm,
    /// One server differs from the others: an older IIS, or one that closes idle connections sooner.
    odd_server,
    /// A second DC, which servers ask when the first one is down.
    second_controller,
    /// A second domain that is trusted, and a user of it.
    partner,
    /// Accounts are locked out after some failed logons.
    lockout,
    /// Packets take up to 200 us longer.
    jitter,
    /// Any kind of client, in place of curl and browsers.
    any_agent,
    /// Clients without credentials.
    anonymous,
    /// Clients with a wrong password.
    wrong_password,
    /// Clients that share an address.
    shared_address,
    /// Clients that share an address and a port, one after the other.
    shared_port,
    /// Several clients of one user.
    same_user,
    /// Requests with a body.
    bodies,
    /// Requests for a part of the site that may have backends of its own.
    services,
    /// Requests that are under way at the same time.
    at_once,
    /// All clients ask at the same time, several requests each.
    crowds,
    /// Requests as raw bytes, several in a row.
    pipelines,
    /// Raw requests in a row, of which the first carries the token with which its client logs on.
    logged_on_pipelines,
    /// Clients that close their connections.
    disconnects,
    /// Another user takes the seat.
    switches,
    /// Servers that crash, lose power or hang, and come back.
    server_faults,
    /// Packets between two hosts wait.
    held_links,
    /// Forged resets.
    resets,
    /// Drained backends.
    drains,
    /// The DC crashes, and comes back.
    dc_faults,
    /// Long times, beside and around the time limits of servers and balancers.
    long_times,
}
