//! The reasons for leaving statements out of a copy for a run that are the same for every product.

pub(crate) const EXECUTES: &str = "it executes a program, or loads code";
pub(crate) const CONTACTS: &str = "it contacts another address";
pub(crate) const CERTIFICATES: &str = "the run has its own certificates";
pub(crate) const PROCESS: &str = "it concerns the process and its files, and the run has its own";
pub(crate) const UNKNOWN: &str = "it is not known to be safe";
