use std::path::{Path, PathBuf};

use schemars::generate::SchemaSettings;

use super::*;

/// Returns a directory of this test's own, with the files that criterion would leave: medians with an interval of 5% on
/// both sides.
fn estimates(test: &str, mode: Mode, medians: &[(&str, f64)]) -> (Estimates, PathBuf) {
    let directory = std::env::temp_dir().join(format!("stickler-report-{test}-{}", std::process::id()));
    let mut estimates = Estimates::new(directory.clone(), mode);
    for (id, median) in medians {
        let place = directory.join(id).join("new");
        std::fs::create_dir_all(&place).unwrap();
        let interval =
            format!(r#"{{"confidence_level":0.95,"lower_bound":{},"upper_bound":{}}}"#, median * 0.95, median * 1.05);
        let median = format!(r#"{{"confidence_interval":{interval},"point_estimate":{median}}}"#);
        std::fs::write(place.join("estimates.json"), format!(r#"{{"median":{median}}}"#)).unwrap();
        estimates.ran(id);
    }
    estimates.add("calibration", Estimate::new(1e6, 0.9e6, 1.1e6));
    (estimates, directory)
}

fn figure(id: &str, pieces: u64, beside: (&str, u64), aim: Option<Aim>, as_rate: bool) -> Figure {
    Figure {
        sample: Sample { id: id.into(), pieces },
        what: format!("the {id}"),
        beside: Sample { id: beside.0.into(), pieces: beside.1 },
        bare: None,
        aim,
        as_rate,
        note: if id == "load" { "Load is load.".into() } else { String::new() },
    }
}

fn figures() -> Vec<Figure> {
    vec![
        figure("verify", 1, ("primitives", 1), Some(Aim::TimeWithin(1.2)), false),
        figure("load", 100, ("bare", 50), Some(Aim::SpeedFrom(0.7)), true),
        figure("worlds", 1, ("bare", 50), Some(Aim::PerSecond(1000.0)), true),
        figure("hour", 1, ("calibration", 1), Some(Aim::Millis(50.0)), false),
        Figure { bare: Some(Sample::one("primitives")), ..figure("handshake", 1, ("verify", 1), None, false) },
        figure("skipped", 1, ("bare", 50), None, false),
    ]
}

const NANOS: [(&str, f64); 7] = [
    ("verify", 3000.0),
    ("primitives", 2000.0),
    ("load", 2e6),
    ("bare", 0.8e6),
    ("worlds", 2e6),
    ("hour", 25e6),
    ("handshake", 12_500.0),
];

fn conditions() -> Conditions {
    Conditions {
        date: "2026-11-27T16:20:00Z".into(),
        commit: Some("1234567".into()),
        machine: Machine {
            processor: Some("Example <CPU>".into()),
            processors: 2,
            memory_mib: Some(4096),
            system: "linux x86_64".into(),
            kernel: None,
        },
        load: LoadAverages { before: Some(0.25), after: None },
        calibration: Calibration { start: 1e6, middle: 1.05e6, end: 1.1e6 },
    }
}

fn report(test: &str, mode: Mode, medians: &[(&str, f64)]) -> Report {
    let (estimates, directory) = estimates(test, mode, medians);
    let mut baseline = Baseline::default();
    baseline.relative_speed.insert("load".into(), 1.0);
    let report = Report::new(&figures(), &estimates, &baseline, mode, conditions()).unwrap();
    std::fs::remove_dir_all(directory).unwrap();
    report
}

fn states(report: &Report) -> Vec<(&str, Option<State>)> {
    report.figures.iter().map(|row| (row.id.as_str(), row.state)).collect()
}

#[test]
fn figures_are_judged_by_their_kind_of_aim() {
    let report = report("judged", Mode::Full, &NANOS);
    insta::assert_snapshot!(report.to_markdown());
    assert!((report.to_baseline().relative_speed["load"] - 0.8).abs() < 1e-9);
}

#[test]
fn an_aim_within_the_interval_is_open() {
    // 1.2 times of 2000 is 2400: both intervals of 5% on each side contain it from 2172 to 2652.
    for (median, state) in [(2150.0, State::Met), (2180.0, State::Open), (2640.0, State::Open), (2660.0, State::Missed)]
    {
        let medians = [("verify", median), ("primitives", 2000.0)];
        let report = report("open", Mode::Full, &medians);
        assert_eq!(states(&report), [("verify", Some(state))], "{median}");
    }
}

#[test]
fn the_drift_of_the_machine_counts_for_absolute_aims() {
    // A thousand worlds a second are 1e6 ns: 5% for the interval and 10% for the drift.
    for (median, state) in [(0.86e6, State::Met), (0.88e6, State::Open), (1.15e6, State::Open), (1.17e6, State::Missed)]
    {
        let report = report("drift", Mode::Part, &[("worlds", median)]);
        assert_eq!(states(&report), [("worlds", Some(state))], "{median}");
    }
}

#[test]
fn a_quick_run_judges_nothing_and_a_part_counts_nothing() {
    let quick = report("quick", Mode::Quick, &NANOS);
    assert!(quick.figures.iter().all(|row| row.state.is_none() && row.value.interval.is_none()));
    assert_eq!((quick.counts, quick.complete), (None, false));
    assert!(quick.summary()[0].contains("none of 4 aims is judged"), "{:?}", quick.summary());
    let part = report("part", Mode::Part, &NANOS);
    assert_eq!((part.counts, part.figures[0].state), (None, Some(State::Missed)));
    assert_eq!(report("full", Mode::Full, &NANOS).counts, Some(Counts { met: 2, missed: 2, open: 0 }));
}

#[test]
fn the_mode_is_what_the_arguments_say() {
    assert_eq!(Mode::of(["--bench"]), Mode::Full);
    assert_eq!(Mode::of(["--bench", "--noplot"]), Mode::Full);
    assert_eq!(Mode::of(["ntlm", "--bench"]), Mode::Part);
    assert_eq!(Mode::of(["--sample-size", "10", "--bench"]), Mode::Part);
    assert_eq!(Mode::of(["ntlm", "--quick", "--bench"]), Mode::Quick);
}

#[test]
fn the_terminal_shows_what_is_missed_first_and_says_what_it_leaves_out() {
    let report = report("terminal", Mode::Full, &NANOS);
    insta::assert_snapshot!(report.to_table(3));
    let all = report.to_table(usize::MAX);
    assert_eq!(all.lines().count(), report.figures.len() + 1, "{all}");
}

#[test]
fn a_baseline_keeps_what_was_not_measured_again() {
    let report = report("baseline", Mode::Full, &NANOS);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("baseline.json");
    std::fs::write(&path, r#"{"relative_speed":{"load":9.0,"older":2.0}}"#).unwrap();
    report.to_baseline().save_over(&path).unwrap();
    let saved = Baseline::load(&path).unwrap();
    let saved: Vec<_> = saved.relative_speed.iter().map(|(id, speed)| (id.as_str(), *speed)).collect();
    let expected =
        [("handshake", 0.24), ("hour", 0.04), ("load", 0.8), ("older", 2.0), ("verify", 0.667), ("worlds", 0.008)];
    assert_eq!(saved, expected);
    assert_eq!(Baseline::load(&folder.path().join("none.json")).unwrap(), Baseline::default());
}

#[test]
fn all_files_are_written() {
    let (report, folder) = (report("written", Mode::Full, &NANOS), tempfile::tempdir().unwrap());
    report.write(folder.path(), &History::default()).unwrap();
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let json: serde_json::Value = serde_json::from_str(&read("report.json")).unwrap();
    assert_eq!((&json["format"], &json["figures"][0]["state"]), (&1.into(), &"missed".into()));
    assert!(read("report.md").starts_with("# Benchmarks"));
    let page = read("report.html");
    assert_eq!(page.matches("<svg").count(), 1, "the plot of aims: there is one run, and no figure of several crowds");
    assert!(page.contains("Example &lt;CPU&gt;") && !page.contains("http://www.example"));
    // A page that loads nothing has no address but the name of SVG.
    assert!(page.matches("http").count() == page.matches("http://www.w3.org/2000/svg").count() + 1, "http-equiv alone");
}

#[test]
fn a_broken_estimate_is_named() {
    let (estimates, directory) = estimates("broken", Mode::Full, &NANOS);
    std::fs::write(directory.join("verify/new/estimates.json"), "{").unwrap();
    let report = Report::new(&figures(), &estimates, &Baseline::default(), Mode::Full, conditions());
    let error = report.unwrap_err().to_string();
    assert!(error.contains("verify/new/estimates.json: EOF"), "{error}");
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn the_history_has_the_full_runs_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let full = report("history", Mode::Full, &NANOS);
    let mut later = full.clone();
    later.conditions.date = "2026-12-01T00:00:00Z".into();
    let path = History::store(folder.path(), &later).unwrap().unwrap();
    assert_eq!(path.file_name().unwrap(), "2026-12-01T00-00-00Z.json");
    History::store(folder.path(), &full).unwrap().unwrap();
    assert_eq!(History::store(folder.path(), &report("none", Mode::Quick, &NANOS)).unwrap(), None);
    let history = History::load(folder.path()).unwrap();
    let dates: Vec<_> = history.entries.iter().map(|entry| entry.conditions.date.as_str()).collect();
    assert_eq!(dates, ["2026-11-27T16:20:00Z", "2026-12-01T00:00:00Z"]);
    let kept = history.entries[0].figures["hour"];
    assert_eq!((kept.attained, kept.state), (Some(2.0), Some(State::Met)));
    // The run of the report is stored, so that it is one of two.
    assert_eq!(full.to_html(&history).matches("<svg").count(), 2);
    assert_eq!(History::load(&folder.path().join("none")).unwrap(), History::default());
}

#[test]
fn the_stored_history_can_be_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("history");
    for entry in History::load(&folder).unwrap().entries {
        assert_eq!(entry.format, FORMAT);
    }
}

#[test]
fn the_published_schemas_are_those_of_what_is_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schemas");
    let update = std::env::var_os("STICKLER_UPDATE").is_some_and(|value| value == "1");
    let generator = || SchemaSettings::draft2020_12().for_serialize().into_generator();
    let report = generator().into_root_schema_for::<Report>();
    let entry = generator().into_root_schema_for::<Entry>();
    for (name, schema) in [("bench.json", report), ("bench-history.json", entry)] {
        let schema = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        let path = folder.join(name);
        if update {
            std::fs::write(&path, &schema).unwrap();
        }
        let published = std::fs::read_to_string(&path).unwrap_or_default();
        let how = "STICKLER_UPDATE=1 cargo test -p stickler-benches schemas";
        assert!(published == schema, "docs/schemas/{name} is out of date: {how}");
    }
}
