//! The names of values in scripts: a list of names and values of the model for each kind.

use stickler_model::action::CheckChange;
use stickler_model::topology::{
    BetweenTls, CertificateSpec, Checking, Http2, IisVersion, KeepAlive, ProtectionSpec, Provider, Rogue, TrackedCheck,
    UpstreamTls,
};

use super::Trust;

pub(crate) const PROVIDERS: [(&str, Provider); 4] = [
    ("NTLM", Provider::Ntlm),
    ("Negotiate", Provider::Negotiate),
    ("Negotiate:Kerberos", Provider::NegotiateKerberos),
    ("Nego2", Provider::Nego2),
];
pub(crate) const VERSIONS: [(&str, IisVersion); 2] = [("iis6", IisVersion::Iis6), ("iis10", IisVersion::Iis10)];
pub(crate) const KEEP_ALIVES: [(&str, KeepAlive); 4] = [
    ("always", KeepAlive::Always),
    ("never", KeepAlive::Never),
    ("closed-by-failure", KeepAlive::ClosedByFailure),
    ("closed-by-challenge", KeepAlive::ClosedByChallenge),
];
pub(crate) const CERTIFICATES: [(&str, CertificateSpec); 5] = [
    ("as-site", CertificateSpec::AsSite),
    ("own", CertificateSpec::Own),
    ("same", CertificateSpec::Same),
    ("expired", CertificateSpec::Expired),
    ("other-name", CertificateSpec::OtherName),
];
pub(crate) const CHECKINGS: [(&str, Checking); 3] =
    [("none", Checking::None), ("allow", Checking::Allow), ("require", Checking::Require)];
pub(crate) const FLAGS: [(&str, u32); 4] = [
    ("Proxy", ProtectionSpec::PROXY),
    ("NoServiceNameCheck", ProtectionSpec::NO_SERVICE_NAME_CHECK),
    ("AllowDotlessSpn", ProtectionSpec::ALLOW_DOTLESS_SPN),
    ("ProxyCohosting", ProtectionSpec::PROXY_COHOSTING),
];
pub(crate) const UPSTREAMS: [(&str, UpstreamTls); 3] =
    [("own", UpstreamTls::Own), ("same", UpstreamTls::Same), ("plain", UpstreamTls::Plain)];
pub(crate) const BETWEEN: [(&str, BetweenTls); 2] = [("again", BetweenTls::Again), ("plain", BetweenTls::Plain)];
pub(crate) const HTTP2: [(&str, Http2); 3] =
    [("never", Http2::Never), ("until-challenged", Http2::UntilChallenged), ("always", Http2::Always)];
pub(crate) const TRUSTS: [(&str, Trust); 3] =
    [("holds", Trust::Holds), ("broken", Trust::Broken), ("none", Trust::None)];
pub(crate) const CHECKS: [(&str, TrackedCheck); 3] =
    [("nothing", TrackedCheck::Nothing), ("address", TrackedCheck::ClientAddress), ("token", TrackedCheck::Token)];
pub(crate) const ROGUES: [(&str, Rogue); 7] = [
    ("garbage", Rogue::Garbage),
    ("half-head", Rogue::HalfHead),
    ("half-body", Rogue::HalfBody),
    ("wrong-length", Rogue::WrongLength),
    ("header-flood", Rogue::HeaderFlood),
    ("silent", Rogue::Silent),
    ("closes", Rogue::Closes),
];
/// The changes that health checks notice.
pub(crate) const CHECK_CHANGES: [(&str, CheckChange); 2] = [("down", CheckChange::Down), ("up", CheckChange::Up)];

/// Returns the name of a value; `None` if it has no name.
pub(crate) fn name_of<T: Copy + PartialEq>(value: T, known: &[(&'static str, T)]) -> Option<&'static str> {
    known.iter().find(|(_, other)| *other == value).map(|&(name, _)| name)
}
