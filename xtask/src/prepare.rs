//! `cargo xtask prepare`: what the tests need from Debian: packages, and kubectl 1.20 unpacked into
//! `target/tools` (another kubectl may be on PATH), and the Python client.

use std::fs;
use std::path::Path;

use crate::run::{capture, run};

/// Installed: a static busybox and runc (oracle of the runtime), a registry, etcd, and what makes images.
const PACKAGES: [&str; 9] = [
    "busybox-static",
    "etcd-server",
    "runc",
    "docker-registry",
    "iproute2",
    "util-linux",
    "ca-certificates",
    "procps",
    "python3-venv",
];
const KUBECTL: &str = "kubernetes-client";
/// The Python client of the end-to-end tests, in a virtual environment of its own.
const PYTHON_CLIENT: &str = "kubernetes";

pub fn prepare() -> Result<(), String> {
    let missing: Vec<&str> = PACKAGES.into_iter().filter(|package| !installed(package)).collect();
    let tools = Path::new("target/tools");
    let kubectl = tools.join(KUBECTL).join("usr/bin/kubectl");
    if missing.is_empty() && kubectl.exists() {
        return python_client(tools);
    }
    run("apt-get", &["update", "-qq"])?;
    if !missing.is_empty() {
        // Nothing that is installed here may start itself.
        let policy = Path::new("/usr/sbin/policy-rc.d");
        let ours = !policy.exists();
        if ours {
            fs::write(policy, "#!/bin/sh\nexit 101\n")
                .map_err(|error| format!("{}: {error}", policy.display()))?;
            run("chmod", &["755", "/usr/sbin/policy-rc.d"])?;
        }
        let mut args = vec!["install", "-y", "-qq", "--no-install-recommends"];
        args.extend(&missing);
        let installed = run("apt-get", &args);
        if ours {
            let _ = fs::remove_file(policy);
        }
        installed?;
    }
    if !kubectl.exists() {
        fs::create_dir_all(tools).map_err(|error| format!("{}: {error}", tools.display()))?;
        let uris = capture("apt-get", &["download", "--print-uris", KUBECTL])?;
        let file = uris.split_whitespace().nth(1).ok_or("apt-get names no file for kubernetes-client")?;
        crate::run::run_in(tools, "apt-get", &["download", "-qq", KUBECTL])?;
        crate::run::run_in(tools, "dpkg-deb", &["-x", file, KUBECTL])?;
        let _ = fs::remove_file(tools.join(file));
    }
    // Last: on an empty machine Python comes with the packages.
    python_client(tools)
}

fn python_client(tools: &Path) -> Result<(), String> {
    let venv = tools.join("venv");
    // Written last: an installation that was cut short is made again.
    if venv.join("minke-ready").exists() {
        return Ok(());
    }
    fs::create_dir_all(tools).map_err(|error| format!("{}: {error}", tools.display()))?;
    let python = venv.join("bin/python").display().to_string();
    run("python3", &["-m", "venv", &venv.display().to_string()])?;
    run(&python, &["-m", "pip", "install", "--quiet", "--disable-pip-version-check", PYTHON_CLIENT])?;
    fs::write(venv.join("minke-ready"), "").map_err(|error| format!("{}: {error}", venv.display()))
}

fn installed(package: &str) -> bool {
    capture("dpkg-query", &["-W", "-f=${Status}", package])
        .is_ok_and(|status| status.contains("ok installed"))
}
