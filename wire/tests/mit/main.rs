//! MIT Kerberos against our KDC, and our acceptor against MIT's: [`clients`] and [`servers`] run the
//! real programs on loopback through [`tools`], beside a [`domain`]. Where a program is not installed
//! (Debian: krb5-user, krb5-kdc, krb5-admin-server) its tests say so and pass.

mod clients;
mod domain;
mod servers;
mod tools;
