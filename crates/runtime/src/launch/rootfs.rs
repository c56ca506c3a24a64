//! A container's file system. First, in the host's mount namespace, everything that lies on the
//! host is opened as detached mounts; then, in the container's own namespace, they are put together
//! by descriptor and become the root. Nothing is ever mounted in the host's namespace.

use super::within::{ensure, find};
use crate::cgroup::Cgroups;
use crate::error::{Context, Error, ErrorKind, Result};
use crate::spec::{ContainerSpec, Device, Mount, MountKind, Propagation, Rootfs};
use crate::sys::fs::{device, mkdirat, open, readlinkat, symlinkat};
use crate::sys::mount::{
    ATTR_NODEV, ATTR_NOEXEC, ATTR_NOSUID, ATTR_RDONLY, Option_, attach, clone_tree, filesystem, pivot_root,
    set_attributes,
};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What the sandbox decides.
pub struct Facts<'a> {
    pub cgroups: &'a Cgroups,
    pub cgroup_path: &'a str,
    pub host_ipc: bool,
}

/// Detached mounts of things on the host.
pub struct Prepared {
    root: OwnedFd,
    /// One per bind mount, in the order of the specification.
    binds: Vec<Option<OwnedFd>>,
    /// The host's /dev/shm.
    shm: Option<OwnedFd>,
    /// Version 1 cgroup hierarchies: directory name below /sys/fs/cgroup, mount.
    cgroups: Vec<(PathBuf, OwnedFd)>,
    /// The kernel has /proc/kcore.
    kcore: bool,
}

/// Opens everything on the host. Runs in the host's mount namespace.
pub fn prepare(spec: &ContainerSpec, facts: &Facts) -> Result<Prepared> {
    let root = match &spec.rootfs {
        Rootfs::Dir(dir) => clone_tree(None, dir, true).setup(format_args!("open root {}", dir.display()))?,
        Rootfs::Overlay { lower, upper, work } => overlay(lower, upper, work)?,
    };
    set_attributes(root.as_fd(), 0, libc::MS_PRIVATE, true).setup("make root private")?;
    let binds: Result<Vec<_>> = spec.mounts.iter().map(bind).collect();
    let shm = match facts.host_ipc {
        true => Some(clone_tree(None, Path::new("/dev/shm"), true).setup("open /dev/shm")?),
        false => None,
    };
    let mut cgroups = Vec::new();
    if !replaced(spec, "/sys/fs/cgroup") {
        for hierarchy in &facts.cgroups.v1 {
            let Some(name) = hierarchy.mount.file_name() else { continue };
            let Some(dir) = facts.cgroups.v1_dir(&hierarchy.controllers[0], facts.cgroup_path) else {
                continue;
            };
            let tree = clone_tree(None, &dir, false).setup(format_args!("open {}", dir.display()))?;
            cgroups.push((PathBuf::from(name), tree));
        }
    }
    Ok(Prepared { root, binds: binds?, shm, cgroups, kcore: Path::new("/proc/kcore").exists() })
}

/// fsconfig takes at most 255 bytes, and overlayfs gives meaning to `:` and `\`: such paths go
/// through a descriptor.
fn short(path: &Path, keep: &mut Vec<OwnedFd>) -> Result<String> {
    match path.to_str() {
        Some(text) if text.len() < 200 && !text.contains([':', '\\', ',']) => Ok(text.to_owned()),
        _ => {
            let fd = open(path, libc::O_PATH | libc::O_DIRECTORY, 0)
                .setup(format_args!("open {}", path.display()))?;
            let text = format!("/proc/self/fd/{}", fd.as_raw_fd());
            keep.push(fd);
            Ok(text)
        }
    }
}

fn overlay(lower: &[PathBuf], upper: &Path, work: &Path) -> Result<OwnedFd> {
    if lower.is_empty() {
        return Err(Error::invalid("overlay root without lower directories"));
    }
    for dir in [upper, work] {
        std::fs::create_dir_all(dir).setup(format_args!("mkdir {}", dir.display()))?;
    }
    let mut keep = Vec::new();
    let lowers: Result<Vec<String>> = lower.iter().map(|l| short(l, &mut keep)).collect();
    let (lowers, upper, work) = (lowers?, short(upper, &mut keep)?, short(work, &mut keep)?);
    let mut options: Vec<Option_> = lowers.iter().map(|l| Option_::Text("lowerdir+", l)).collect();
    // Nothing of a container outlives its host's crash: a sync of its layer, above all the one of
    // the whole disk at the unmount, would buy nothing (Linux 5.10).
    options.extend([
        Option_::Text("upperdir", &upper),
        Option_::Text("workdir", &work),
        Option_::Flag("volatile"),
    ]);
    match filesystem("overlay", "overlay", &options, 0) {
        // Before Linux 6.5 layers come in one string.
        Err(e) if e.kind() == io::ErrorKind::InvalidInput && lowers.join(":").len() < 255 => {
            let joined = lowers.join(":");
            let rest = options.split_off(lowers.len());
            let options: Vec<_> = std::iter::once(Option_::Text("lowerdir", &joined)).chain(rest).collect();
            filesystem("overlay", "overlay", &options, 0).map_err(|_| e)
        }
        other => other,
    }
    .setup("mount overlay")
}

fn bind(mount: &Mount) -> Result<Option<OwnedFd>> {
    let MountKind::Bind { source, recursive, propagation } = &mount.kind else { return Ok(None) };
    let what = || format!("mount {} at {}", source.display(), mount.destination.display());
    let tree = clone_tree(None, source, *recursive).setup(what())?;
    let kind = match propagation {
        Propagation::Private => libc::MS_PRIVATE,
        Propagation::HostToContainer => {
            demand(source, &["shared:", "master:"], "shared or slave")?;
            libc::MS_SLAVE
        }
        Propagation::Bidirectional => {
            demand(source, &["shared:"], "shared")?;
            0
        }
    };
    if kind != 0 {
        set_attributes(tree.as_fd(), 0, kind, true).setup(what())?;
    }
    if mount.read_only || mount.recursive_read_only {
        set_attributes(tree.as_fd(), ATTR_RDONLY, 0, mount.recursive_read_only).setup(what())?;
    }
    Ok(Some(tree))
}

/// Checks the propagation of the host mount that `source` lies on.
fn demand(source: &Path, tags: &[&str], words: &str) -> Result<()> {
    let source = source.canonicalize().setup(format_args!("resolve {}", source.display()))?;
    let text = std::fs::read_to_string("/proc/self/mountinfo").setup("read mountinfo")?;
    let mut best: Option<(PathBuf, bool)> = None;
    for line in text.lines() {
        let Some((left, _)) = line.split_once(" - ") else { continue };
        let mut fields = left.split(' ');
        let Some(point) = fields.nth(4) else { continue };
        let point = PathBuf::from(point.replace("\\040", " "));
        let good = fields.any(|f| tags.iter().any(|t| f.starts_with(t)));
        let longer = best.as_ref().is_none_or(|(b, _)| point.as_os_str().len() >= b.as_os_str().len());
        if source.starts_with(&point) && longer {
            best = Some((point, good));
        }
    }
    match best {
        Some((_, true)) => Ok(()),
        Some((point, false)) => Err(Error::new(
            ErrorKind::Setup,
            format!(
                "path {:?} is mounted on {:?} but it is not a {words} mount",
                source.display().to_string(),
                point.display().to_string()
            ),
        )),
        None => Err(Error::new(ErrorKind::Setup, format!("no mount found for {}", source.display()))),
    }
}

/// True when the specification mounts something itself at a standard place.
fn replaced(spec: &ContainerSpec, destination: &str) -> bool {
    spec.mounts.iter().any(|m| m.destination == Path::new(destination))
}

/// Puts the root together and enters it. Runs in the container's own mount namespace, whose only
/// mount is a copy of the sandbox's shared memory.
pub fn build(spec: &ContainerSpec, facts: &Facts, prepared: Prepared) -> Result<()> {
    let Prepared { root, binds, shm, cgroups, kcore } = prepared;
    let shm = match shm {
        Some(host) => host,
        None => clone_tree(None, Path::new("/"), false).setup("clone shm")?,
    };
    let slash = open("/", libc::O_PATH | libc::O_DIRECTORY, 0).setup("open /")?;
    attach(root.as_fd(), slash.as_fd()).setup("attach root")?;
    let root = root.as_fd();
    for name in ["proc", "sys", "dev"] {
        if readlinkat(root, Path::new(name)).is_ok() {
            return Err(Error::new(ErrorKind::Setup, format!("/{name} of the image is a symbolic link")));
        }
    }
    standard(root, spec, facts, shm, cgroups, kcore)?;
    for (mount, tree) in spec.mounts.iter().zip(binds) {
        extra(root, mount, tree)?;
    }
    if !replaced(spec, "/dev") {
        for d in &spec.devices {
            node(root, d).setup(format_args!("make device {}", d.path.display()))?;
        }
    }
    for path in &spec.readonly_paths {
        make_read_only(root, path).setup(format_args!("make {} read-only", path.display()))?;
    }
    mask(root, &spec.masked_paths)?;
    // Later it may be too late to make it; why it cannot be entered is said when that is tried.
    let _ = ensure(root, &spec.cwd, true);
    if spec.readonly_rootfs {
        set_attributes(root, ATTR_RDONLY, 0, false).setup("make root read-only")?;
    }
    pivot_root(root).setup("pivot_root")
}

fn put(root: BorrowedFd, at: &str, mount: io::Result<OwnedFd>) -> Result<()> {
    let go = || -> io::Result<()> {
        let target = ensure(root, Path::new(at), true)?;
        attach(mount?.as_fd(), target.as_fd())
    };
    go().setup(format_args!("mount {at}"))
}

/// /proc, /dev and below, /sys and below.
fn standard(
    root: BorrowedFd,
    spec: &ContainerSpec,
    facts: &Facts,
    shm: OwnedFd,
    cgroups: Vec<(PathBuf, OwnedFd)>,
    kcore: bool,
) -> Result<()> {
    let plain = ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC;
    let read_only = if spec.privileged { 0 } else { ATTR_RDONLY };
    if !replaced(spec, "/proc") {
        put(root, "/proc", filesystem("proc", "proc", &[], plain))?;
    }
    if !replaced(spec, "/dev") {
        let options = [Option_::Text("mode", "755"), Option_::Text("size", "65536k")];
        let dev = filesystem("tmpfs", "tmpfs", &options, ATTR_NOSUID);
        if let Ok(dev) = &dev {
            fill_dev(dev.as_fd(), kcore).setup("fill /dev")?;
        }
        put(root, "/dev", dev)?;
    }
    if !replaced(spec, "/dev/pts") {
        let options =
            [Option_::Text("ptmxmode", "0666"), Option_::Text("mode", "0620"), Option_::Text("gid", "5")];
        put(root, "/dev/pts", filesystem("devpts", "devpts", &options, ATTR_NOSUID | ATTR_NOEXEC))?;
    }
    if !replaced(spec, "/dev/shm") {
        put(root, "/dev/shm", Ok(shm))?;
    }
    if !replaced(spec, "/dev/mqueue") {
        put(root, "/dev/mqueue", filesystem("mqueue", "mqueue", &[], plain))?;
    }
    if !replaced(spec, "/sys") {
        put(root, "/sys", filesystem("sysfs", "sysfs", &[], plain | read_only))?;
    }
    if replaced(spec, "/sys/fs/cgroup") || replaced(spec, "/sys") {
        return Ok(());
    }
    if facts.cgroups.is_v2() {
        return put(root, "/sys/fs/cgroup", filesystem("cgroup2", "cgroup", &[], plain | read_only));
    }
    let top = filesystem("tmpfs", "tmpfs", &[Option_::Text("mode", "755")], plain).setup("mount cgroup")?;
    for (name, _) in &cgroups {
        mkdirat(top.as_fd(), name, 0o755).setup("make cgroup directory")?;
        // `cpu,cpuacct` is also found as `cpu` and as `cpuacct`.
        let name = name.to_string_lossy();
        for alias in name.split(',').filter(|a| *a != name) {
            symlinkat(&name, top.as_fd(), alias).setup("link cgroup directory")?;
        }
    }
    let target = ensure(root, Path::new("/sys/fs/cgroup"), true).setup("mount /sys/fs/cgroup")?;
    attach(top.as_fd(), target.as_fd()).setup("mount /sys/fs/cgroup")?;
    for (name, tree) in cgroups {
        set_attributes(tree.as_fd(), plain | read_only, libc::MS_PRIVATE, false).setup("cgroup mount")?;
        let at =
            crate::sys::fs::openat(top.as_fd(), &name, libc::O_PATH, 0).setup("open cgroup directory")?;
        attach(tree.as_fd(), at.as_fd()).setup("attach cgroup")?;
    }
    set_attributes(top.as_fd(), read_only, 0, false).setup("cgroup mount")
}

/// The devices, directories and links every container has.
fn fill_dev(dev: BorrowedFd, kcore: bool) -> io::Result<()> {
    let devices =
        [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];
    for (name, major, minor) in devices {
        let number = libc::makedev(major, minor);
        device(dev, Path::new(name), libc::S_IFCHR | 0o666, number, (0, 0))?;
    }
    for name in ["pts", "shm", "mqueue"] {
        mkdirat(dev, Path::new(name), 0o755)?;
    }
    let links = [
        ("/proc/self/fd", "fd"),
        ("/proc/self/fd/0", "stdin"),
        ("/proc/self/fd/1", "stdout"),
        ("/proc/self/fd/2", "stderr"),
        ("pts/ptmx", "ptmx"),
        ("/proc/kcore", "core"),
    ];
    let links = if kcore { &links[..] } else { &links[..5] };
    links.iter().try_for_each(|(target, name)| symlinkat(target, dev, name))
}

fn extra(root: BorrowedFd, mount: &Mount, tree: Option<OwnedFd>) -> Result<()> {
    let what = format!("mount at {}", mount.destination.display());
    if !mount.destination.is_absolute() || mount.destination == Path::new("/") {
        return Err(Error::invalid(format!("{what}: must be an absolute path other than /")));
    }
    let tree = match (&mount.kind, tree) {
        (MountKind::Tmpfs { size, mode }, _) => {
            let (size, mode) = (size.map(|s| s.to_string()), format!("{mode:o}"));
            let mut options = vec![Option_::Text("mode", &mode)];
            options.extend(size.as_ref().map(|s| Option_::Text("size", s)));
            let read_only = if mount.read_only { ATTR_RDONLY } else { 0 };
            filesystem("tmpfs", "tmpfs", &options, ATTR_NOSUID | ATTR_NODEV | read_only).setup(&what)?
        }
        (MountKind::Bind { .. }, Some(tree)) => tree,
        (MountKind::Bind { .. }, None) => return Err(Error::invalid(what)),
    };
    let target = ensure(root, &mount.destination, is_directory(&tree).setup(&what)?).setup(&what)?;
    attach(tree.as_fd(), target.as_fd()).setup(&what)
}

fn is_directory(fd: &OwnedFd) -> io::Result<bool> {
    Ok(metadata(fd)?.is_dir())
}

fn metadata(fd: &OwnedFd) -> io::Result<std::fs::Metadata> {
    std::fs::File::from(fd.try_clone()?).metadata()
}

fn node(root: BorrowedFd, d: &Device) -> io::Result<()> {
    let (Some(parent), Some(name)) = (d.path.parent(), d.path.file_name()) else {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    };
    let kind = match d.kind {
        'c' | 'u' => libc::S_IFCHR,
        'b' => libc::S_IFBLK,
        'p' => libc::S_IFIFO,
        _ => return Err(io::Error::from_raw_os_error(libc::EINVAL)),
    };
    let parent = ensure(root, parent, true)?;
    let number = libc::makedev(d.major, d.minor);
    match device(parent.as_fd(), Path::new(name), kind | d.mode & 0o7777, number, (d.uid, d.gid)) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            // One of the standard devices, or the image's own: only the right one will do.
            let there = metadata(&find(root, &d.path)?)?;
            if there.rdev() == number && there.mode() & libc::S_IFMT == kind { Ok(()) } else { Err(e) }
        }
        other => other,
    }
}

fn make_read_only(root: BorrowedFd, path: &Path) -> io::Result<()> {
    let at = match find(root, path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    let tree = clone_tree(Some(at.as_fd()), Path::new(""), true)?;
    set_attributes(tree.as_fd(), ATTR_RDONLY, libc::MS_PRIVATE, true)?;
    attach(tree.as_fd(), at.as_fd())
}

/// Files are covered by /dev/null, directories by one empty read-only tmpfs.
fn mask(root: BorrowedFd, paths: &[PathBuf]) -> Result<()> {
    let mut empty: Option<OwnedFd> = None;
    for path in paths {
        let mut cover = || -> io::Result<()> {
            let at = match find(root, path) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
                other => other?,
            };
            if !is_directory(&at)? {
                let null = find(root, Path::new("/dev/null"))?;
                return attach(clone_tree(Some(null.as_fd()), Path::new(""), false)?.as_fd(), at.as_fd());
            }
            // Copies can be made of an attached mount only, so the first is attached itself.
            match &empty {
                Some(first) => {
                    attach(clone_tree(Some(first.as_fd()), Path::new(""), false)?.as_fd(), at.as_fd())
                }
                None => {
                    let options = [Option_::Text("size", "0"), Option_::Text("nr_inodes", "2")];
                    let attrs = ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC;
                    let first = filesystem("tmpfs", "tmpfs", &options, attrs)?;
                    attach(first.as_fd(), at.as_fd())?;
                    empty = Some(first);
                    Ok(())
                }
            }
        };
        cover().setup(format_args!("mask {}", path.display()))?;
    }
    Ok(())
}
