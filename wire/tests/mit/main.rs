//! Tests of MIT Kerberos with Stickler's KDC, and of Stickler's acceptor with MIT's: [`clients`], [`servers`] and
//! [`curl`] run the real programs on loopback through [`tools`], beside a [`domain`]. If a program is not installed
//! (Debian: curl, krb5-user, krb5-kdc, krb5-admin-server), its tests say so and pass.

mod clients;
mod curl;
mod domain;
mod servers;
mod tools;
