//! nginx.
use crate::{Document, Files};
use std::path::Path;
use stickler_runner::Diagnostic;
/// x
pub fn read(_: &Path, _: &dyn Files, _: Option<&str>) -> Result<Box<dyn Document>, Box<Diagnostic>> {
    todo!()
}
