//! A certificate authority for tests.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod,
    KeyUsagePurpose, PublicKeyData, SerialNumber, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use sha2::{Digest, Sha256};

use crate::Random;
use crate::key::Key;

/// The time that counts as the current one in every check of a certificate, in seconds since 1970: 2026-01-01.
/// Certificates are valid from 2020 to 2040, except for those that are meant to have expired, so the actual time makes
/// no difference to a client outside of Stickler.
pub const TODAY: u64 = 1_767_225_600;

/// The end of a certificate's validity.
const LAST_DAY: (i32, u8, u8) = (2040, 1, 1);

/// A certificate authority with its own key. Every certificate gets a new key.
#[derive(Clone)]
pub struct Authority {
    issuer: Arc<Issuer<'static, Key>>,
    certificate: rcgen::Certificate,
    random: Random,
}

impl Authority {
    /// Returns an authority whose key, and the keys of all certificates that it issues, come from `random`.
    pub fn new(random: Random) -> Self {
        let key = Key::draw(&random);
        let mut params = params("Stickler Test Authority", &key, &random);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).expect("all that the certificate holds is constant, or a number");
        Self { issuer: Arc::new(Issuer::new(params, key)), certificate, random }
    }

    /// Issues a certificate with a new key for a server with these `names`: DNS names or IP addresses (RFC 6125),
    /// without ports. The first name is the common name too.
    ///
    /// # Errors
    /// A certificate cannot contain one of the names, because it is not ASCII.
    pub fn issue(&self, names: &[&str]) -> io::Result<Certified> {
        self.issue_until(names, LAST_DAY)
    }

    /// Issues a certificate like [`Authority::issue`] that expired a day before [`TODAY`].
    ///
    /// # Errors
    /// This function returns the same errors as [`Authority::issue`].
    pub fn issue_expired(&self, names: &[&str]) -> io::Result<Certified> {
        self.issue_until(names, (2025, 12, 31))
    }

    fn issue_until(&self, names: &[&str], (year, month, day): (i32, u8, u8)) -> io::Result<Certified> {
        let refused = |error: rcgen::Error| {
            io::Error::new(io::ErrorKind::InvalidInput, format!("no certificate for {}: {error}", names.join(", ")))
        };
        let key = Key::draw(&self.random);
        let mut params = params(names.first().unwrap_or(&""), &key, &self.random);
        params.not_after = date_time_ymd(year, month, day);
        let asked: Vec<String> = names.iter().map(ToString::to_string).collect();
        params.subject_alt_names = CertificateParams::new(asked).map_err(refused)?.subject_alt_names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer).map_err(refused)?;
        Ok(Certified { certificate, key })
    }

    /// Returns the authority's certificate as PEM, for example for `curl --cacert`.
    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// Returns the authority's certificate (DER).
    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        self.certificate.der().clone()
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

/// A certificate and its key. A clone is the same certificate on another machine.
#[derive(Debug, Clone)]
pub struct Certified {
    certificate: rcgen::Certificate,
    key: Key,
}

impl Certified {
    /// Returns the certificate (DER).
    pub fn certificate(&self) -> &[u8] {
        self.certificate.der()
    }

    /// Returns the certificate and the key (PKCS#8) as PEM, one after the other. HAProxy's `crt` and nginx's
    /// `ssl_certificate` and `ssl_certificate_key` can read this form.
    ///
    /// # Errors
    /// No error is known, but the signature of the encoder allows one.
    pub fn pem(&self) -> io::Result<String> {
        Ok(self.certificate.pem() + &self.key.pem()?)
    }

    /// Returns the certificate and key in the form that rustls expects.
    pub(crate) fn key(&self) -> CertifiedKey {
        CertifiedKey::new(vec![self.certificate.der().clone()], Arc::new(self.key.clone()))
    }
}

/// Returns the parameters that all certificates have in common.
fn params(name: &str, key: &Key, random: &Random) -> CertificateParams {
    let mut serial = [0; 16];
    random(&mut serial);
    // The serial number is positive and has a fixed length (RFC 5280 4.1.2.2).
    serial[0] = serial[0] & 0x7f | 0x40;
    let mut params = CertificateParams::default();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(LAST_DAY.0, LAST_DAY.1, LAST_DAY.2);
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    // The identifier is that of RFC 7093 2, method 1.
    params.key_identifier_method = KeyIdMethod::PreSpecified(Sha256::digest(key.der_bytes())[..20].to_vec());
    params
}

/// A clock on which it is always [`TODAY`].
#[derive(Debug)]
pub(crate) struct Always;

impl TimeProvider for Always {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(TODAY)))
    }
}
