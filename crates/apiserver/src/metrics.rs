//! What `/metrics` shows: request counts and durations by verb, resource and code, in the Prometheus
//! text format, under upstream's names.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Upper bounds of the duration buckets, seconds (a subset of upstream's).
const BUCKETS: [f64; 10] = [0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 60.0];

#[derive(Default)]
pub(crate) struct Metrics {
    requests: Mutex<BTreeMap<(&'static str, String, u16), Series>>,
}

#[derive(Default, Clone)]
struct Series {
    count: u64,
    seconds: f64,
    buckets: [u64; BUCKETS.len()],
}

impl Metrics {
    pub fn request(&self, verb: &'static str, resource: &str, code: u16, took: Duration) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let series = requests.entry((verb, resource.to_owned(), code)).or_default();
        let seconds = took.as_secs_f64();
        series.count += 1;
        series.seconds += seconds;
        for (bound, bucket) in BUCKETS.iter().zip(&mut series.buckets) {
            *bucket += u64::from(seconds <= *bound);
        }
    }

    pub fn text(&self, store_revision: u64) -> String {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut out = String::new();
        let mut line = |text: std::fmt::Arguments<'_>| {
            let _writing_to_memory_works = out.write_fmt(text);
        };
        line(format_args!("# HELP apiserver_request_total Requests by verb, resource and code.\n"));
        line(format_args!("# TYPE apiserver_request_total counter\n"));
        for ((verb, resource, code), series) in &requests {
            let verb = verb.to_uppercase();
            line(format_args!(
                "apiserver_request_total{{verb=\"{verb}\",resource=\"{resource}\",code=\"{code}\"}} {}\n",
                series.count
            ));
        }
        let name = "apiserver_request_duration_seconds";
        line(format_args!("# HELP {name} Time from a request to its answer.\n# TYPE {name} histogram\n"));
        for ((verb, resource, code), series) in &requests {
            let labels = format!("verb=\"{}\",resource=\"{resource}\",code=\"{code}\"", verb.to_uppercase());
            for (bound, bucket) in BUCKETS.iter().zip(series.buckets) {
                line(format_args!("{name}_bucket{{{labels},le=\"{bound}\"}} {bucket}\n"));
            }
            line(format_args!("{name}_bucket{{{labels},le=\"+Inf\"}} {}\n", series.count));
            line(format_args!("{name}_sum{{{labels}}} {}\n", series.seconds));
            line(format_args!("{name}_count{{{labels}}} {}\n", series.count));
        }
        line(format_args!("# HELP apiserver_storage_revision The newest revision of the store.\n"));
        line(format_args!("# TYPE apiserver_storage_revision gauge\n"));
        line(format_args!("apiserver_storage_revision {store_revision}\n"));
        out
    }
}
