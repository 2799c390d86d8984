//! What a plan may contain.

use super::draw::Draw;

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

            /// Returns these features without those that a real product cannot be asked for, or that take long in real time.
            pub(super) fn in_real_time(self) -> Self {
                Self {
                    tls: false,
                    http2: false,
                    jitter: false,
                    shared_port: false,
                    server_faults: false,
                    held_links: false,
                    resets: false,
                    drains: false,
                    dc_faults: false,
                    long_times: false,
                    ..self
                }
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
    /// More backends than one.
    farm,
    /// Packets take up to 200 us longer.
    jitter,
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
