//! `cargo xtask bench`: builds the program in release and measures it as a user would meet it: time
//! to an API, a node and a running Pod; Pod create to Running and delete to gone; memory at rest.
//! Prints medians, p99 and CPU seconds. Needs root. `bench pods KUBECONFIG` measures a cluster that runs,
//! `bench boots PROGRAM` the start of a program that is built already, `bench api PROGRAM` its API server.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::run::{capture, run};

const BOOTS: usize = 5;
const PODS: usize = 50;

pub fn bench(args: &[String]) -> Result<(), String> {
    if let [what, kubeconfig] = args
        && what == "pods"
    {
        return crate::bench_pods::one_by_one(Path::new(kubeconfig), PODS);
    }
    if let [what, program] = args
        && what == "api"
    {
        return crate::bench_api::run(Path::new(program));
    }
    if let [what, program] = args
        && what == "boots"
    {
        return boots(Path::new(program));
    }
    run(
        "cargo",
        &["build", "--release", "--package", "minke", "--package", "store", "--examples", "--bins"],
    )?;
    let program = PathBuf::from(capture("sh", &["-c", "ls -t target/*/release/minke | head -1"])?.trim());
    let size = std::fs::metadata(&program).map_err(|error| error.to_string())?.len();
    println!("binary: {:.1} MB", size as f64 / 1e6);
    boots(&program)?;
    pods(&program)?;
    crate::bench_api::run(&program)?;
    let bench = capture("sh", &["-c", "ls -t target/*/release/examples/bench | head -1"])?;
    println!("store:\n{}", capture(bench.trim(), &[])?.trim_end());
    Ok(())
}

pub struct Bed {
    program: PathBuf,
    dir: PathBuf,
}

impl Bed {
    pub fn new(program: &Path, name: &str) -> Bed {
        let dir = std::env::temp_dir().join(format!("minke-bench-{}-{name}", std::process::id()));
        Bed { program: program.into(), dir }
    }

    pub fn minke(&self, args: &[&str]) -> Result<String, String> {
        let output = Command::new(&self.program)
            .args(args)
            .output()
            .map_err(|error| format!("{}: {error}", self.program.display()))?;
        if !output.status.success() {
            return Err(format!("minke {args:?}: {}", String::from_utf8_lossy(&output.stderr)));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    pub fn dir(&self) -> &str {
        self.dir.to_str().unwrap_or_default()
    }

    pub fn dir_path(&self) -> &Path {
        &self.dir
    }

    fn up(&self) -> Result<(), String> {
        self.minke(&["up", "--detach", "--data-dir", self.dir()]).map(|_| ())
    }

    /// A milestone that the daemon told: `  12.3 ms  API server ready …`.
    fn milestone(&self, what: &str) -> Result<Option<f64>, String> {
        let log = std::fs::read_to_string(self.dir.join("minke.log")).map_err(|error| error.to_string())?;
        let line = log.lines().find(|line| line.contains(what));
        Ok(line.and_then(|line| line.split_whitespace().next()?.parse().ok()))
    }

    pub fn pid(&self) -> Result<String, String> {
        let text = std::fs::read_to_string(self.dir.join("minke.lock")).map_err(|error| error.to_string())?;
        Ok(text.trim().to_string())
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let _ = self.minke(&["down", "--purge", "--data-dir", self.dir()]);
    }
}

fn boots(program: &Path) -> Result<(), String> {
    let (mut api, mut node) = (Vec::new(), Vec::new());
    for round in 0..BOOTS {
        let bed = Bed::new(program, &format!("boot{round}"));
        bed.up()?;
        api.extend(bed.milestone("API server ready")?);
        node.extend(bed.milestone("  node ")?);
    }
    let mut alone = Vec::new();
    for round in 0..BOOTS {
        let bed = Bed::new(program, &format!("api{round}"));
        bed.minke(&["up", "--api-only", "--detach", "--data-dir", bed.dir()])?;
        alone.extend(bed.milestone("controllers started")?);
    }
    let mut first = Vec::new();
    for round in 0..BOOTS {
        let bed = Bed::new(program, &format!("first{round}"));
        let (milliseconds, mut daemon) = crate::bench_first::first_pod(program, &bed.dir)?;
        first.push(milliseconds);
        drop(bed);
        daemon.wait().map_err(|error| error.to_string())?;
    }
    report("exec -> API ready", &mut api);
    report("exec -> API ready with all controllers, --api-only (goal 100 ms)", &mut alone);
    report("exec -> node ready", &mut node);
    report("exec -> first Pod Running, seen by a client", &mut first);
    Ok(())
}

fn pods(program: &Path) -> Result<(), String> {
    let bed = Bed::new(program, "pods");
    bed.up()?;
    let rest = |what: &str| -> Result<(), String> {
        let pss = pss_kib(&bed.pid()?)?;
        println!("{what}: PSS {:.1} MB", pss as f64 / 1024.0);
        Ok(())
    };
    std::thread::sleep(Duration::from_secs(2));
    rest("idle node")?;
    let before = cpu_seconds(&bed.pid()?)?;
    crate::bench_pods::one_by_one(&bed.dir.join("admin.kubeconfig"), PODS)?;
    let after = cpu_seconds(&bed.pid()?)?;
    println!("daemon CPU per Pod (create, run, delete): {:.1} ms", (after - before) * 1e3 / PODS as f64);
    rest("node after the Pods")
}

pub fn report(what: &str, values: &mut [f64]) {
    if values.is_empty() {
        println!("{what}: not measured");
        return;
    }
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
    println!("{what}: p50 {:.1} ms, p99 {:.1} ms ({} runs)", at(0.5), at(0.99), values.len());
}

pub fn pss_kib(pid: &str) -> Result<u64, String> {
    let text =
        std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).map_err(|error| error.to_string())?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).ok_or_else(|| "no Pss".into())
}

pub fn cpu_seconds(pid: &str) -> Result<f64, String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).map_err(|error| error.to_string())?;
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |i: usize| fields.get(i).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    Ok((ticks(11) + ticks(12)) / 100.0)
}
