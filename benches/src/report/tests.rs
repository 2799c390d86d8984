use std::path::PathBuf;

use super::*;

/// Returns a directory for this test, with the files that criterion would leave.
fn estimates(test: &str, medians: &[(&str, f64)]) -> (Estimates, PathBuf) {
    let directory = std::env::temp_dir().join(format!("stickler-report-{test}-{}", std::process::id()));
    let estimates = Estimates::new(directory.clone());
    for (id, median) in medians {
        let place = directory.join(id).join("new");
        std::fs::create_dir_all(&place).unwrap();
        let written = format!(r#"{{"mean":{{"point_estimate":1.0}},"median":{{"point_estimate":{median}}}}}"#);
        std::fs::write(place.join("estimates.json"), written).unwrap();
        estimates.ran(id);
    }
    (estimates, directory)
}

fn figure(id: &str, pieces: u64, beside: Option<(&str, u64)>, aim: Option<Aim>, as_rate: bool) -> Figure {
    Figure {
        sample: Sample { id: id.into(), pieces },
        what: format!("the {id}"),
        beside: beside.map(|(id, pieces)| Sample { id: id.into(), pieces }),
        aim,
        as_rate,
        note: if id == "load" { "Load is load.".into() } else { String::new() },
    }
}

fn figures() -> Vec<Figure> {
    vec![
        figure("verify", 1, Some(("primitives", 1)), Some(Aim::TimeWithin(1.2)), false),
        figure("load", 100, Some(("bare", 50)), Some(Aim::SpeedFrom(0.75)), true),
        figure("worlds", 1, Some(("bare", 50)), Some(Aim::PerSecond(1000.0)), true),
        figure("hour", 1, None, Some(Aim::Millis(50.0)), false),
        figure("handshake", 1, None, None, false),
        figure("skipped", 1, None, None, false),
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

#[test]
fn figures_are_judged_by_their_kind_of_aim() {
    let (estimates, directory) = estimates("judged", &NANOS);
    let mut baseline = Baseline::default();
    baseline.relative_speed.insert("load".into(), 1.0);
    let report = Report::new(&figures(), &estimates, &baseline).unwrap();
    insta::assert_snapshot!(report.to_markdown(), @r"
    # Benchmarks

    Processor time of one thread, medians; on loopback, wall time. *Beside* is what the figure is compared with, measured
    in the same run; *speed* is the figure's as a multiple of its. *To aim* is the figure as a multiple of what is aimed
    at. *Change* is that of the relative speed since the stored baseline (`benches/baseline.json`).

    | what | figure | beside | speed | aim | to aim | met | change |
    |---|---:|---:|---:|---|---:|---|---:|
    | the verify | 3,000 ns | 2,000 ns | 0.67 | time <= 1.2 x | 1.25 | **no** | - |
    | the load | 50,000 /s | 62,500 /s | 0.80 | speed >= 0.75 x | 1.07 | yes | -20 % |
    | the worlds | 500 /s | 62,500 /s | 0.01 | >= 1000/s | 0.50 | **no** | - |
    | the hour | 25.00 ms | - | - | <= 50 ms | 0.50 | yes | - |
    | the handshake | 12.50 us | - | - | - | - | - | - |

    * Load is load.

    2 of 4 aims met.
    ");
    assert!((report.to_baseline().relative_speed["load"] - 0.8).abs() < 1e-9);
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_baseline_keeps_what_was_not_measured_again() {
    let (estimates, directory) = estimates("baseline", &NANOS);
    let path = directory.join("baseline.json");
    std::fs::write(&path, r#"{"relative_speed":{"load":9.0,"older":2.0}}"#).unwrap();
    let report = Report::new(&figures(), &estimates, &Baseline::default()).unwrap();
    report.to_baseline().save_over(&path).unwrap();
    let saved = Baseline::load(&path).unwrap();
    let saved: Vec<_> = saved.relative_speed.iter().map(|(id, speed)| (id.as_str(), *speed)).collect();
    assert_eq!(saved, [("load", 0.8), ("older", 2.0), ("verify", 0.667), ("worlds", 0.008)]);
    assert_eq!(Baseline::load(&directory.join("none.json")).unwrap(), Baseline::default());
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn both_files_are_written_and_a_broken_estimate_is_named() {
    let (estimates, directory) = estimates("written", &NANOS);
    let report = Report::new(&figures(), &estimates, &Baseline::default()).unwrap();
    report.write(&directory.join("out")).unwrap();
    let json = std::fs::read_to_string(directory.join("out/report.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["figures"][0]["id"], &json["figures"][0]["met"]), (&"verify".into(), &false.into()));
    assert!(std::fs::read_to_string(directory.join("out/report.md")).unwrap().starts_with("# Benchmarks"));

    std::fs::write(directory.join("verify/new/estimates.json"), "{").unwrap();
    let error = Report::new(&figures(), &estimates, &Baseline::default()).unwrap_err().to_string();
    assert!(error.contains("verify/new/estimates.json: EOF"), "{error}");
    std::fs::remove_dir_all(directory).unwrap();
}
