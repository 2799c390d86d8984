//! The arguments of `check`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use stickler_advisor::Language;

use super::{Format, Report, ReportFormat, report};

/// The arguments of `check`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 clean; 1 users are mixed up or cannot log on, or the simulation differs; 2 the file or the arguments \
are wrong; 3 nothing could be judged; 4 the product is missing, or what was seen is too little to call it clean.\n\n\
Examples:\n  stickler check /etc/haproxy/haproxy.cfg\n  stickler check nginx.conf --static --report sarif=stickler.sarif\n  \
stickler check haproxy.cfg --site www --write fixed.cfg"
)]
pub(crate) struct Check {
    /// The configuration file: haproxy.cfg, nginx.conf, httpd.conf, a Caddyfile, envoy.yaml or a file of VCL. It is only
    /// read, together with the files that it includes. For HAProxy, there may be several files, and folders with files
    /// `*.cfg`, in the order in which HAProxy gets them (`-f`).
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// The product, if it cannot be determined from the file.
    #[arg(long, value_name = "NAME", value_parser = language)]
    pub(crate) product: Option<Language>,
    /// Check only the sites with this text in their names, that is, in a backend or a server name; may be given more than once.
    #[arg(long, value_name = "NAME")]
    pub(crate) site: Vec<String>,
    /// The host name that clients use, if the configuration expects a name other than www.corp.example.
    #[arg(long, value_name = "NAME")]
    pub(crate) host: Option<String>,
    /// Only read the file, and report what the simulation concludes from it. Nothing is started.
    #[arg(long = "static", conflicts_with = "write")]
    pub(crate) is_static: bool,
    /// Write the changed file to this path, if the changes were seen to cure it. No file is ever overwritten.
    #[arg(long, value_name = "FILE")]
    pub(crate) write: Option<PathBuf>,
    /// Do not enter an empty network namespace before the product is started.
    #[arg(long)]
    pub(crate) no_namespace: bool,
    /// Show the events that prove each violation.
    #[arg(long)]
    pub(crate) evidence: bool,
    /// The form in which the result is shown.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
    /// Write a report: sarif=FILE (for code-scanning services) or json=FILE. An older file is replaced. `-` is standard output, and
    /// replaces what --format shows. May be given more than once.
    #[arg(long, value_name = "FORMAT=FILE", value_parser = report::one_of(&[ReportFormat::Sarif, ReportFormat::Json]))]
    pub(crate) report: Vec<Report>,
    /// The number of worlds that run at a time, at most 256; by default twice the number of cores.
    #[arg(long, short, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,
}

/// A product whose configuration can be read, by its name.
fn language(name: &str) -> Result<Language, String> {
    Language::of_product(name).ok_or_else(|| {
        let known: Vec<&str> = Language::ALL.map(Language::product).into();
        format!("the products are {}", known.join(", "))
    })
}
