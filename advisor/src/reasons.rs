//! The reasons for leaving statements out of a copy for a run that are the same for every product.

pub(crate) const EXECUTES: &str = "it executes a program, or loads code";
pub(crate) const CONTACTS: &str = "it contacts another address";
pub(crate) const CERTIFICATES: &str = "certificates are the run's own";
pub(crate) const PROCESS: &str = "it is about the process and its files, which are the run's own";
pub(crate) const UNKNOWN: &str = "it is not known to be safe";
