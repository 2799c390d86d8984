//! The option `--report FORMAT=FILE`, which several commands have.

use std::path::PathBuf;

use clap::ValueEnum;

/// A report that is written to a file, or to standard output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    /// The format.
    pub(crate) format: ReportFormat,
    /// The destination of the report.
    pub(crate) to: Destination,
}

/// The destination of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Destination {
    /// Standard output, where the report replaces the other output.
    Stdout,
    /// A file. An existing file is replaced.
    File(PathBuf),
}

/// The format of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// The XML format of JUnit.
    Junit,
    /// The Test Anything Protocol.
    Tap,
    /// Workflow commands of GitHub Actions.
    Github,
    /// One JSON document.
    Json,
    /// One JSON value on each line. The line of a run is written when the run ends.
    Jsonl,
    /// SARIF 2.1.0.
    Sarif,
    /// One HTML page for people, which loads nothing.
    Html,
}

impl ReportFormat {
    /// Returns the name of the format on the command line.
    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// Returns a parser of `FORMAT=FILE` for a command that writes these formats.
pub(super) fn one_of(
    formats: &'static [ReportFormat],
) -> impl Fn(&str) -> Result<Report, String> + Clone + Send + Sync + 'static {
    move |text| {
        let (name, file) = text.split_once('=').ok_or("a report is FORMAT=FILE, such as junit=report.xml")?;
        let format = formats.iter().copied().find(|format| format.name() == name).ok_or_else(|| {
            let names: Vec<String> = formats.iter().map(|format| format.name()).collect();
            format!("this command writes {}", names.join(", "))
        })?;
        let to = match file {
            "" => return Err(format!("which file? `{name}=-` writes to standard output")),
            "-" => Destination::Stdout,
            file => Destination::File(file.into()),
        };
        Ok(Report { format, to })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_a_format_and_a_file() {
        let read = one_of(&[ReportFormat::Junit, ReportFormat::Json]);
        let junit = |to| Ok(Report { format: ReportFormat::Junit, to });
        assert_eq!(read("junit=a=b.xml"), junit(Destination::File("a=b.xml".into())));
        assert_eq!(read("junit=-"), junit(Destination::Stdout));
        for (text, why) in [
            ("junit", "a report is FORMAT=FILE"),
            ("junit=", "which file?"),
            ("tap=x", "this command writes junit, json"),
            ("=x", "this command writes junit, json"),
            ("JUNIT=x", "this command writes junit, json"),
        ] {
            assert!(read(text).is_err_and(|error| error.contains(why)), "{text}");
        }
    }
}
