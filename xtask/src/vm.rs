//! `cargo xtask vm`: what this machine's kernel cannot show: a host with version 2 of cgroups alone and
//! with AppArmor. Boots Debian's cloud kernel in an emulated machine (QEMU without KVM: about twenty
//! times slower, for functions only), runs the runtime's tests and one cluster with one Pod in it.
//!
//! By hand, not in CI. Needs root (for apt-get) and half a gigabyte of memory.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::run::{capture, run, run_in};

const PACKAGES: [&str; 3] = ["qemu-system-x86", "cpio", "kmod"];
/// Depends on the newest kernel of its kind.
const KERNEL: &str = "linux-image-cloud-amd64";
/// Not built into that kernel.
const MODULES: [&str; 8] =
    ["overlay", "veth", "nf_tables", "nft_nat", "nft_masq", "nft_chain_nat", "ext4", "loop"];
const MEMORY: &str = "3072";
/// Printed by the guest as its last words.
const PASSED: &str = "minke-vm: passed";
const DIR: &str = "target/vm";

/// The first process. An initial file system cannot be left by pivot_root, so everything moves to another.
const INIT: &str = r#"#!/bin/busybox sh
/bin/busybox mkdir -p /new
/bin/busybox mount -t tmpfs -o size=80% tmpfs /new
for part in bin lib lib64 usr etc modules t; do [ -e /$part ] && /bin/busybox cp -a /$part /new/; done
/bin/busybox cp /second /new/second
exec /bin/busybox switch_root /new /second
"#;

/// The second: a host as an init system would leave it. `$1` of each step's line is what it is called.
const SECOND: &str = r#"#!/bin/busybox sh
export PATH=/bin:/sbin:/usr/bin:/usr/sbin
/bin/busybox --install -s /bin
mkdir -p /proc /sys /dev /tmp /run /var /root
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm; mount -t devpts -o ptmxmode=666 devpts /dev/pts; mount -t tmpfs shm /dev/shm
mount -t tmpfs run /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
echo madvise > /sys/kernel/mm/transparent_hugepage/enabled
mount -t securityfs securityfs /sys/kernel/security
for module in $(cat /modules/order); do insmod /modules/$module; done
hostname vm; ip link set lo up
mkdir /sys/fs/cgroup/init; echo $$ > /sys/fs/cgroup/init/cgroup.procs
echo "controllers: $(cat /sys/fs/cgroup/cgroup.controllers); security: $(cat /sys/kernel/security/lsm)"
export TMPDIR=/tmp MINKE_TEST_PATIENCE=10
sh /t/script && echo 'minke-vm: passed' || echo 'minke-vm: failed'
poweroff -f
"#;

/// What is run in the guest.
const SCRIPT: &str = r#"
set -e
if [ -n "$(cat /t/filter)" ]; then exec /t/deps/it --test-threads=1 $(cat /t/filter); fi
/t/deps/it --test-threads=1
mkdir /data
/t/minke up --detach --data-dir /data
cat > /t/pod.yaml <<POD
apiVersion: v1
kind: Pod
metadata: {name: hello}
spec:
  containers:
  - name: web
    image: minke.local/toolbox
    imagePullPolicy: IfNotPresent
    resources: {limits: {cpu: 500m, memory: 64Mi}}
POD
export KUBECONFIG=/data/admin.kubeconfig
minke() { /t/minke "$@"; }
minke apply -f /t/pod.yaml
minke wait pod/hello --for=condition=Ready --timeout=120s || { minke describe pod hello; cat /data/minke.log; exit 1; }
wget -qO- http://$(minke get pod hello -o jsonpath={.status.podIP}):8080/
minke exec hello -- /toolbox cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max
test "$(minke exec hello -- /toolbox cat /sys/fs/cgroup/memory.max)" = 67108864
test "$(minke exec hello -- /toolbox cat /sys/fs/cgroup/cpu.max)" = "50000 100000"
minke delete pod hello
/t/minke down --data-dir /data --purge
find /sys/fs/cgroup -type d -name '*minke*' | grep . && exit 1
true
"#;

pub fn vm(args: &[String]) -> Result<(), String> {
    let dir = Path::new(DIR);
    let kernel = kernel(dir)?;
    let root = dir.join("root");
    let _ = fs::remove_dir_all(&root);
    for part in ["bin", "t/deps", "t/examples", "modules", "etc"] {
        make_dir(&root.join(part))?;
    }
    programs(&root)?;
    modules(&kernel, &root)?;
    for (name, text) in [("init", INIT), ("second", SECOND)] {
        let path = root.join(name);
        write(&path, text)?;
        run("chmod", &["755", &path.display().to_string()])?;
    }
    write(&root.join("t/script"), SCRIPT)?;
    write(&root.join("t/filter"), &args.join(" "))?;
    run_in(&root, "sh", &["-c", "find . | cpio --quiet -o -H newc > ../initrd"])?;
    boot(&kernel, &dir.join("initrd"))
}

/// The newest kernel of Debian's cloud images, unpacked; kept between runs.
fn kernel(dir: &Path) -> Result<PathBuf, String> {
    make_dir(dir)?;
    let unpacked = dir.join("kernel");
    if !unpacked.join("boot").exists() {
        run("apt-get", &["update", "-qq"])?;
        let mut install = vec!["install", "-y", "-qq", "--no-install-recommends"];
        install.extend(PACKAGES);
        run("apt-get", &install)?;
        let depends = capture("apt-cache", &["depends", KERNEL])?;
        let package = depends.lines().find_map(|line| line.trim().strip_prefix("Depends: "));
        let package = package.ok_or_else(|| format!("{KERNEL} depends on no kernel"))?;
        run_in(dir, "apt-get", &["download", "-qq", package])?;
        run_in(dir, "sh", &["-c", &format!("dpkg-deb -x {package}_*.deb kernel && rm {package}_*.deb")])?;
    }
    Ok(unpacked)
}

fn programs(root: &Path) -> Result<(), String> {
    run("cargo", &["build", "--quiet", "-p", "minke", "-p", "runtime", "--bins", "--examples"])?;
    let built = capture(
        "cargo",
        &["test", "--quiet", "-p", "runtime", "--test", "it", "--no-run", "--message-format=json"],
    )?;
    let tests = built
        .lines()
        .filter_map(|line| line.split("\"executable\":\"").nth(1)?.split('"').next())
        .find(|path| path.contains("/it-"))
        .ok_or("cargo names no test program of the runtime")?;
    let output = Path::new(tests).parent().and_then(Path::parent).ok_or("no output directory")?;
    copy(Path::new(tests), &root.join("t/deps/it"))?;
    copy(&output.join("examples/supervisor"), &root.join("t/examples/supervisor"))?;
    copy(&output.join("minke"), &root.join("t/minke"))?;
    copy(Path::new("/bin/busybox"), &root.join("bin/busybox"))?;
    // The oracle of the runtime, with its libraries.
    let runc = capture("sh", &["-c", "command -v runc"])?;
    copy(Path::new(runc.trim()), &root.join("bin/runc"))?;
    for library in capture("ldd", &[runc.trim()])?.split_whitespace().filter(|word| word.starts_with('/')) {
        let to = root.join(&library[1..]);
        make_dir(to.parent().unwrap_or(root))?;
        copy(Path::new(library), &to)?;
    }
    Ok(())
}

/// The modules and what they need, in an order in which they can be inserted.
fn modules(kernel: &Path, root: &Path) -> Result<(), String> {
    let base = kernel.display().to_string();
    let releases = fs::read_dir(kernel.join("lib/modules")).map_err(|error| error.to_string())?;
    let release = releases.flatten().next().ok_or("the kernel has no modules")?.file_name();
    let release = release.to_string_lossy().into_owned();
    run("depmod", &["-b", &base, &release])?;
    let mut order = Vec::new();
    for module in MODULES {
        let shown = capture("modprobe", &["-d", &base, "-S", &release, "--show-depends", module]);
        for line in shown?.lines().filter_map(|line| line.strip_prefix("insmod ")) {
            let path = Path::new(line.trim());
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if !order.contains(&name) {
                copy(path, &root.join("modules").join(&name))?;
                order.push(name);
            }
        }
    }
    write(&root.join("modules/order"), &order.join("\n"))
}

fn boot(kernel: &Path, initrd: &Path) -> Result<(), String> {
    let images = fs::read_dir(kernel.join("boot")).map_err(|error| error.to_string())?;
    let image = images
        .flatten()
        .map(|file| file.path())
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz")))
        .ok_or("no kernel image")?;
    let mut guest = Command::new("qemu-system-x86_64")
        .args([
            "-accel",
            "tcg,thread=multi",
            "-smp",
            "2",
            "-m",
            MEMORY,
            "-nographic",
            "-no-reboot",
            "-nic",
            "none",
        ])
        .args(["-append", "console=ttyS0 quiet panic=-1 systemd.unified_cgroup_hierarchy=1"])
        .arg("-kernel")
        .arg(image)
        .arg("-initrd")
        .arg(initrd)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("qemu-system-x86_64: {error}"))?;
    let output = guest.stdout.take().ok_or("the guest has no output")?;
    let mut passed = false;
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        passed |= line.trim_end() == PASSED;
        println!("{line}");
    }
    guest.wait().map_err(|error| error.to_string())?;
    if passed { Ok(()) } else { Err("something failed in the guest".into()) }
}

fn make_dir(path: &Path) -> Result<(), String> {
    fs::create_dir_all(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    fs::copy(from, to).map(|_| ()).map_err(|error| format!("{} to {}: {error}", from.display(), to.display()))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}
