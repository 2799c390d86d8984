//! The loads that are compared, and the tables of their costs.

use std::fmt::Write as _;
use std::time::Duration;

use super::{Costs, Load, Scheme, costs};
use crate::plot::{self, Line, Plot, Scale, SeriesLabelPosition};

/// The mechanisms whose costs are compared: one that passes bytes unchanged; the two ways in which products pin a
/// connection; and one that opens a connection for each request, through which NTLM never works.
const BALANCERS: [&str; 4] = ["l4-nat", "pin-on-401", "pin-on-authorization", "close-per-request"];

/// The average pauses between two requests of a user, in seconds.
const THINK: [u64; 7] = [1, 5, 10, 30, 60, 120, 300];

/// The times for which servers keep an idle connection, in seconds.
const IDLE: [u64; 6] = [5, 15, 30, 60, 120, 600];

/// The numbers of users who log on within ten seconds.
const USERS: [u32; 6] = [25, 50, 100, 200, 400, 800];

/// The values of `MaxConcurrentApi`: the defaults of Windows Server 2008 R2 and of Windows Server 2012, and the maximum.
const AT_ONCE: [u16; 3] = [2, 10, 150];

/// The time that a DC behind a slow line takes for a logon.
const LOGON: Duration = Duration::from_millis(250);

/// The names of the files and their contents.
pub type Tables = Vec<(&'static str, String)>;

/// Measures all loads. Returns the CSV and SVG files.
pub fn tables() -> Tables {
    let (costs_csv, think, idle) = costs_by_pause();
    let (waiting_csv, waiting) = waiting_by_users();
    vec![
        ("costs.csv", costs_csv),
        ("logons-by-think-time.svg", think),
        ("logons-by-connection-life.svg", idle),
        ("waiting.csv", waiting_csv),
        ("waiting-by-users.svg", waiting),
    ]
}

/// Measures the cost of 1,000 pages as users pause for longer and as servers keep connections for longer.
fn costs_by_pause() -> (String, String, String) {
    let mut csv = String::from(
        "scheme,mechanism,users,think_s,connection_life_s,pages_asked,pages_served,http_requests,dc_logons,dc_tickets,ticket_checks,\
         client_connections,server_connections\n",
    );
    let mut by_think = Vec::new();
    let mut by_idle = Vec::new();
    for scheme in Scheme::ALL {
        for balancer in BALANCERS {
            let usual = Load::usual(scheme, balancer);
            let think = THINK.map(|seconds| (seconds, Load { think: Duration::from_secs(seconds), ..usual }));
            let idle = IDLE.map(|seconds| (seconds, Load { idle: Duration::from_secs(seconds), ..usual }));
            add(&mut by_think, scheme, balancer, line(&think, &mut csv));
            add(&mut by_idle, scheme, balancer, line(&idle, &mut csv));
        }
    }
    let think = plot::svg(&Plot {
        title: "What 1,000 pages cost the DC, as users pause for longer",
        across: "average pause between two requests of a user, in seconds (servers keep idle connections for 120 s)",
        up: "logons and tickets at the DC",
        lines: by_think,
        scale: Scale::Logarithmic,
        free: SeriesLabelPosition::UpperLeft,
    });
    let idle = plot::svg(&Plot {
        title: "What 1,000 pages cost the DC, as servers keep idle connections for longer",
        across: "connectionTimeout of the servers, in seconds (users pause for 10 s on average)",
        up: "logons and tickets at the DC",
        lines: by_idle,
        scale: Scale::Logarithmic,
        free: SeriesLabelPosition::UpperRight,
    });
    (csv, think, idle)
}

/// Measures the loads of one line of a plot, and writes their rows. There is no line if nobody is served.
fn line(loads: &[(u64, Load)], csv: &mut String) -> Option<Vec<(f64, f64)>> {
    let mut points = Vec::new();
    let mut served = 0;
    for (at, load) in loads {
        let costs = costs(load);
        row(csv, load, &costs);
        served += costs.served;
        let thousands = f64::from(costs.asked) / 1_000.0;
        points.push((*at as f64, f64::from(costs.logons + costs.dc_tickets) / thousands));
    }
    (served > 0).then_some(points)
}

/// Adds a line to a plot. Mechanisms with the same costs share one line.
fn add(lines: &mut Vec<Line>, scheme: Scheme, balancer: &str, points: Option<Vec<(f64, f64)>>) {
    let Some(points) = points else { return };
    let scheme = scheme.to_string();
    match lines.iter_mut().find(|line| line.points == points && line.name.starts_with(&format!("{scheme}:"))) {
        Some(line) => {
            line.name.push_str(", ");
            line.name.push_str(balancer);
        }
        None => lines.push(Line { name: format!("{scheme}: {balancer}"), points }),
    }
}

fn row(csv: &mut String, load: &Load, costs: &Costs) {
    let _ = writeln!(
        csv,
        "\"{}\",{},{},{},{},{},{},{},{},{},{},{},{}",
        load.scheme,
        load.balancer,
        load.users,
        load.think.as_secs(),
        load.idle.as_secs(),
        costs.asked,
        costs.served,
        costs.http_requests,
        costs.logons,
        costs.dc_tickets,
        costs.ticket_checks,
        costs.client_connections,
        costs.server_connections,
    );
}

/// Measures how long users wait for their first page when all of them log on within ten seconds, with NTLM.
fn waiting_by_users() -> (String, String) {
    let mut csv = String::from("max_concurrent_api,users,dc_ms_per_logon,pages_served,median_ms,p95_ms,longest_ms\n");
    let mut lines = Vec::new();
    for at_once in AT_ONCE {
        let mut points = Vec::new();
        for users in USERS {
            let think = Duration::from_secs(5);
            let load = Load { users, requests: 1, think, logon: LOGON, at_once, ..Load::usual(Scheme::Ntlm, "l4-nat") };
            let costs = costs(&load);
            let [median, most, longest] = [50, 95, 100].map(|percent| costs.percentile(percent).as_millis());
            let logon = LOGON.as_millis();
            let _ = writeln!(csv, "{at_once},{users},{logon},{},{median},{most},{longest}", costs.served);
            points.push((f64::from(users), costs.percentile(95).as_secs_f64()));
        }
        lines.push(Line { name: format!("MaxConcurrentApi {at_once}"), points });
    }
    let plot = plot::svg(&Plot {
        title: "How long 95% of the users wait at most, when all log on within ten seconds",
        across: "users (two servers; the DC takes 250 ms for a logon)",
        up: "seconds until the first page",
        lines,
        scale: Scale::Logarithmic,
        free: SeriesLabelPosition::UpperLeft,
    });
    (csv, plot)
}
