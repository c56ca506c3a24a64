//! Making a sandbox: its namespaces, shared memory, host name and sysctls. The mount namespace
//! holds nothing but the Pod's /dev/shm, so that it pins no mount of the host and containers copy
//! next to nothing when they derive theirs.

use super::{Channel, Report, begin, enter_cgroups};
use crate::error::{Context, Error, Result};
use crate::spec::SandboxSpec;
use crate::sys;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

const DEFAULT_SHM: u64 = 64 << 20;

/// Namespaces to clone with.
pub fn flags(spec: &SandboxSpec) -> i32 {
    let mut flags = libc::CLONE_NEWNS;
    if !spec.host_network {
        flags |= libc::CLONE_NEWNET | libc::CLONE_NEWUTS;
    }
    if !spec.host_ipc {
        flags |= libc::CLONE_NEWIPC;
    }
    if spec.share_process_namespace && !spec.host_pid {
        flags |= libc::CLONE_NEWPID;
    }
    flags
}

/// Refuses sysctls that are not of a namespace the sandbox owns, and turns them into paths.
pub fn sysctl_paths(spec: &SandboxSpec) -> Result<Vec<(PathBuf, String)>> {
    let mut paths = Vec::new();
    for (name, value) in &spec.sysctls {
        // A name with slashes may contain dots (interface names), one with dots may not.
        let path = if name.contains('/') { name.clone() } else { name.replace('.', "/") };
        let dotted = path.replace('/', ".");
        let ipc = dotted.starts_with("kernel.shm")
            || dotted.starts_with("kernel.msg")
            || dotted == "kernel.sem"
            || dotted.starts_with("fs.mqueue.");
        let owned = if dotted.starts_with("net.") { !spec.host_network } else { ipc && !spec.host_ipc };
        let clean = path.split('/').all(|p| !p.is_empty() && p != "..");
        if !owned || !clean {
            return Err(Error::invalid(format!(
                "sysctl {name:?} is not in a separate kernel namespace of the sandbox"
            )));
        }
        paths.push((PathBuf::from("/proc/sys").join(path), value.clone()));
    }
    Ok(paths)
}

/// The child. With a shared process namespace it stays as its init, else it exits.
pub fn child(spec: &SandboxSpec, mountpoint: &std::path::Path, cgroups: &[PathBuf], channel: Channel) -> i32 {
    match build(spec, mountpoint, cgroups) {
        Ok(fds) => {
            let borrowed: Vec<_> = fds.iter().map(|f| f.as_fd()).collect();
            if channel.report(&Report::Sandbox, &borrowed).is_err() {
                return 1;
            }
        }
        Err(e) => {
            let _ = channel.report(&Report::Failed(e), &[]);
            return 1;
        }
    }
    if flags(spec) & libc::CLONE_NEWPID == 0 {
        return 0;
    }
    drop(channel);
    init()
}

fn build(spec: &SandboxSpec, mountpoint: &std::path::Path, cgroups: &[PathBuf]) -> Result<Vec<OwnedFd>> {
    begin()?;
    enter_cgroups(cgroups)?;
    let flags = flags(spec);
    if flags & libc::CLONE_NEWUTS != 0 {
        name_host(spec)?;
    }
    if flags & libc::CLONE_NEWNET != 0 {
        raise_loopback()?;
    }
    for (path, value) in sysctl_paths(spec)? {
        sys::fs::write_file(&path, value).setup(format_args!("write {}", path.display()))?;
    }
    let kinds = [
        (libc::CLONE_NEWNS, "mnt"),
        (libc::CLONE_NEWNET, "net"),
        (libc::CLONE_NEWIPC, "ipc"),
        (libc::CLONE_NEWUTS, "uts"),
        (libc::CLONE_NEWPID, "pid"),
    ];
    let mut fds = Vec::new();
    for (_, name) in kinds.iter().filter(|(kind, _)| flags & kind != 0) {
        let path = format!("/proc/self/ns/{name}");
        fds.push(sys::fs::open(&path, libc::O_RDONLY, 0).setup(format_args!("open {path}"))?);
    }
    sys::mount::make_all_private().setup("make mounts private")?;
    let size = if spec.shm_size == 0 { DEFAULT_SHM } else { spec.shm_size };
    let size = size.to_string();
    let options = [sys::mount::Option_::Text("mode", "1777"), sys::mount::Option_::Text("size", &size)];
    let attrs = sys::mount::ATTR_NOSUID | sys::mount::ATTR_NODEV | sys::mount::ATTR_NOEXEC;
    let shm = sys::mount::filesystem("tmpfs", "shm", &options, attrs).setup("mount shm")?;
    let target = sys::fs::open(mountpoint, libc::O_PATH | libc::O_DIRECTORY, 0).setup("open mount point")?;
    sys::mount::attach(shm.as_fd(), target.as_fd()).setup("attach shm")?;
    sys::mount::pivot_root(shm.as_fd()).setup("pivot_root")?;
    Ok(fds)
}

fn name_host(spec: &SandboxSpec) -> Result<()> {
    let set = |name: &str, call: unsafe extern "C" fn(*const libc::c_char, usize) -> i32| {
        // SAFETY: the name is readable for its length.
        sys::check(unsafe { call(name.as_ptr().cast(), name.len()) }.into())
    };
    if !spec.hostname.is_empty() {
        set(&spec.hostname, libc::sethostname).setup("sethostname")?;
    }
    if !spec.domainname.is_empty() {
        set(&spec.domainname, libc::setdomainname).setup("setdomainname")?;
    }
    Ok(())
}

fn raise_loopback() -> Result<()> {
    // SAFETY: the request is a zeroed ifreq with the name of the loopback device and its flags;
    // the socket is closed by its owner.
    unsafe {
        let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
        let fd = sys::check(libc::socket(libc::AF_INET, kind, 0).into()).setup("socket")?;
        let fd = <OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(fd as i32);
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l' as libc::c_char;
        request.ifr_name[1] = b'o' as libc::c_char;
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as i16;
        let fd = std::os::fd::AsRawFd::as_raw_fd(&fd);
        sys::check(libc::ioctl(fd, libc::SIOCSIFFLAGS, &request).into()).setup("raise lo")?;
    }
    Ok(())
}

/// PID 1 of a shared process namespace: reaps until it is killed. It is nobody: no privilege, no
/// descriptor, and not open to inspection by containers.
fn init() -> i32 {
    const NOBODY: u32 = 65535;
    let renounce = || -> Result<()> {
        for capability in 0..64 {
            let _ = sys::process::prctl(libc::PR_CAPBSET_DROP, capability);
        }
        sys::process::become_user(NOBODY, NOBODY, &[]).setup("become nobody")?;
        sys::process::prctl(libc::PR_SET_DUMPABLE, 0).setup("prctl")?;
        sys::process::prctl(libc::PR_SET_NO_NEW_PRIVS, 1).setup("prctl")?;
        sys::process::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64).setup("prctl")?;
        Ok(())
    };
    if renounce().is_err() {
        return 1;
    }
    sys::process::close_from(0);
    // SAFETY: the name is a C string; the set is initialised before use; the loop only waits.
    unsafe {
        libc::prctl(libc::PR_SET_NAME, c"pause".as_ptr());
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGCHLD);
        libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
        loop {
            while libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG | libc::__WALL) > 0 {}
            libc::sigwaitinfo(&set, std::ptr::null_mut());
        }
    }
}
