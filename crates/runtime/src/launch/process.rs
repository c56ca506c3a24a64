//! The last part of every child, inside the container's root: user, program, limits, privileges,
//! filter, exec. Errors are worded as runc words them.

use super::{Channel, ProcessConfig, Report};
use crate::error::{Context, Error, ErrorKind, Result, describe};
use crate::spec::Started;
use crate::sys;
use crate::user::{ResolvedUser, resolve};
use std::ffi::CString;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Largest /etc/passwd or /etc/group read.
const DATABASE_BYTES: u64 = 4 << 20;

/// Where the process's descriptors 0, 1 and 2 come from.
pub enum Stdio {
    /// stdin (or /dev/null), stdout, stderr.
    Pipes { stdin: Option<OwnedFd>, stdout: OwnedFd, stderr: OwnedFd },
    /// A terminal made in the container, with its first size.
    Terminal { size: Option<(u16, u16)> },
}

/// Opened before the root changes, so that the host's /proc is the one that is used.
pub struct HostProc {
    apparmor: Option<(OwnedFd, String)>,
    /// The value in force when the wanted one was refused.
    oom_score_adj: Option<i32>,
}

/// Steps that need the host's /proc.
pub fn before_root(config: &ProcessConfig) -> Result<HostProc> {
    let wanted = config.oom_score_adj;
    let mut oom_score_adj = None;
    if let Err(e) = sys::fs::write_file("/proc/self/oom_score_adj", wanted.to_string()) {
        // Lowering needs CAP_SYS_RESOURCE: the nearest allowed value is the current one.
        let current = std::fs::read_to_string("/proc/self/oom_score_adj").unwrap_or_default();
        match (e.kind(), current.trim().parse::<i32>()) {
            (io::ErrorKind::PermissionDenied, Ok(current)) => oom_score_adj = Some(current),
            _ => return Err(e).setup("write oom_score_adj"),
        }
    }
    let apparmor = match config.apparmor_profile.as_deref() {
        None | Some("" | "unconfined") => None,
        Some(profile) => {
            let enabled = std::fs::read_to_string("/sys/module/apparmor/parameters/enabled");
            if !enabled.is_ok_and(|t| t.starts_with('Y')) {
                let text = "apparmor profile requested but AppArmor is not enabled on the host";
                return Err(Error::new(ErrorKind::Unsupported, text));
            }
            let open = |path| sys::fs::open(path, libc::O_WRONLY, 0);
            let fd = open("/proc/self/attr/apparmor/exec")
                .or_else(|_| open("/proc/self/attr/exec"))
                .setup("open apparmor attribute")?;
            Some((fd, profile.to_owned()))
        }
    };
    Ok(HostProc { apparmor, oom_score_adj })
}

/// Everything else; returns only on failure.
pub fn run(
    config: &ProcessConfig,
    args: &[String],
    stdio: Stdio,
    host: HostProc,
    channel: &Channel,
) -> Error {
    match try_run(config, args, stdio, host, channel) {
        Ok(never) => match never {},
        Err(e) => e,
    }
}

fn start_error(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Start, message)
}

fn try_run(
    config: &ProcessConfig,
    args: &[String],
    stdio: Stdio,
    host: HostProc,
    channel: &Channel,
) -> Result<std::convert::Infallible> {
    let user = resolve(&config.user, &database("/etc/passwd"), &database("/etc/group"))?;
    let cwd = if config.cwd.as_os_str().is_empty() { Path::new("/") } else { &config.cwd };
    let early = enter_directory(cwd);
    let master = connect_stdio(stdio, &user)?;
    let environment = environment(config, &user);
    let clamped_rlimits = apply_rlimits(config)?;
    let missing_capabilities = drop_privileges(config, &user, host.apparmor)?;
    if early.is_err() {
        // Directories open to the user but not to root without CAP_DAC_OVERRIDE.
        enter_directory(cwd)?;
    }
    let program = look_up(&args[0], &environment)?;
    // SAFETY: plain call.
    unsafe { libc::umask(config.user.umask.unwrap_or(0o022)) };
    sys::process::close_on_exec_from(3).setup("close_range")?;
    sys::process::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64).setup("prctl(PR_SET_PDEATHSIG)")?;

    let strings = |list: &[String]| -> Result<Vec<CString>> {
        let made: io::Result<Vec<_>> = list.iter().map(sys::cstr).collect();
        made.context(ErrorKind::Invalid, "NUL byte in argument or environment")
    };
    let (argv, envp) = (strings(args)?, strings(&environment)?);
    let file = sys::cstr(&program).context(ErrorKind::Invalid, "program")?;
    let ready = Started {
        uid: user.uid,
        gid: user.gid,
        gids: user.gids,
        oom_score_adj: host.oom_score_adj,
        missing_capabilities,
        clamped_rlimits,
        ..Default::default()
    };
    let fds: Vec<_> = master.iter().map(|m| m.as_fd()).collect();
    // The supervisor is gone when this fails: then nobody wants this process any more.
    channel.report(&Report::Ready(ready), &fds).context(ErrorKind::Io, "report")?;
    if config.no_new_privs && !config.filter.0.is_empty() {
        sys::process::load_filter(&config.filter.0).setup("load seccomp filter")?;
    }
    let pointers = |list: &[CString]| -> Vec<*const libc::c_char> {
        list.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect()
    };
    // SAFETY: file, and the null-terminated arrays of strings, live across the call.
    unsafe { libc::execve(file.as_ptr(), pointers(&argv).as_ptr(), pointers(&envp).as_ptr()) };
    let error = io::Error::last_os_error();
    Err(start_error(format!("exec {}: {}", program.display(), describe(&error))))
}

/// A text file of the container; missing, unreadable or odd ones are empty.
fn database(path: &str) -> String {
    let mut text = Vec::new();
    if let Ok(fd) = sys::fs::open(path, libc::O_RDONLY | libc::O_NONBLOCK, 0) {
        let file = std::fs::File::from(fd);
        if file.metadata().is_ok_and(|m| m.is_file()) {
            let _ = file.take(DATABASE_BYTES).read_to_end(&mut text);
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

fn enter_directory(cwd: &Path) -> Result<()> {
    let enter = || std::env::set_current_dir(cwd);
    let entered = match enter() {
        Err(e) if e.kind() == io::ErrorKind::NotFound => std::fs::create_dir_all(cwd).and_then(|()| enter()),
        other => other,
    };
    entered.map_err(|e| {
        let cwd = cwd.display().to_string();
        start_error(format!("chdir to cwd ({cwd:?}) set in config.json failed: {}", describe(&e)))
    })
}

/// Puts the descriptors in place, owned by the user so that /dev/stdout can be opened. Returns the
/// terminal's master.
fn connect_stdio(stdio: Stdio, user: &ResolvedUser) -> Result<Option<OwnedFd>> {
    let (fds, master) = match stdio {
        Stdio::Pipes { stdin, stdout, stderr } => {
            let stdin = match stdin {
                Some(fd) => fd,
                None => sys::fs::open("/dev/null", libc::O_RDONLY, 0).setup("open /dev/null")?,
            };
            ([stdin, stdout, stderr], None)
        }
        Stdio::Terminal { size } => {
            let (master, slave) = sys::fs::open_terminal().setup("open terminal")?;
            if let Some((rows, cols)) = size {
                sys::fs::resize_terminal(master.as_fd(), rows, cols).setup("resize terminal")?;
            }
            // SAFETY: makes the terminal the controlling one of the session begun earlier.
            sys::check(unsafe { libc::ioctl(slave.as_raw_fd(), libc::TIOCSCTTY, 0) }.into())
                .setup("set controlling terminal")?;
            let copy = || slave.try_clone().setup("dup terminal");
            ([copy()?, copy()?, slave], Some(master))
        }
    };
    for (target, fd) in fds.iter().enumerate() {
        if user.uid != 0 && !(target == 0 && master.is_none() && is_null(fd)) {
            // SAFETY: plain call. Sockets and files of other owners may refuse: not fatal.
            unsafe { libc::fchown(fd.as_raw_fd(), user.uid, u32::MAX) };
        }
    }
    // Two passes, so that no source is overwritten before it was used.
    let high: Result<Vec<OwnedFd>> = fds.iter().map(|fd| above_stdio(fd).setup("dup")).collect();
    for (target, fd) in high?.iter().enumerate() {
        sys::process::dup_onto(fd.as_fd(), target as i32).setup("dup2")?;
    }
    // The originals may be 0, 1 or 2 themselves only if the supervisor ran without stdio, which it
    // never does; dropping them is safe.
    drop(fds);
    Ok(master)
}

fn above_stdio(fd: &OwnedFd) -> io::Result<OwnedFd> {
    use std::os::fd::FromRawFd;
    // SAFETY: the copy is ours.
    unsafe {
        let copy = sys::check(libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 3).into())?;
        Ok(OwnedFd::from_raw_fd(copy as i32))
    }
}

fn is_null(fd: &OwnedFd) -> bool {
    let Ok(file) = fd.try_clone().map(std::fs::File::from) else { return false };
    file.metadata().is_ok_and(|m| m.rdev() == libc::makedev(1, 3))
}

fn environment(config: &ProcessConfig, user: &ResolvedUser) -> Vec<String> {
    let mut list: Vec<String> = Vec::with_capacity(config.env.len() + 3);
    let name = |entry: &str| entry.split('=').next().unwrap_or("").to_owned();
    for entry in &config.env {
        let key = name(entry);
        match list.iter_mut().find(|e| name(e) == key) {
            Some(old) => *old = entry.clone(),
            None => list.push(entry.clone()),
        }
    }
    let mut default = |key: &str, value: &str| {
        if !list.iter().any(|e| e.split('=').next() == Some(key)) {
            list.push(format!("{key}={value}"));
        }
    };
    default("PATH", DEFAULT_PATH);
    default("HOME", user.home.as_deref().unwrap_or("/"));
    if config.tty {
        default("TERM", "xterm");
    }
    list
}

/// Finds the program as Go's exec.LookPath does, with its words.
fn look_up(name: &str, environment: &[String]) -> Result<PathBuf> {
    let executable = |path: &Path| -> Result<(), String> {
        let meta =
            std::fs::metadata(path).map_err(|e| format!("stat {}: {}", path.display(), describe(&e)))?;
        if meta.is_dir() {
            Err("is a directory".to_owned())
        } else if meta.mode() & 0o111 == 0 {
            Err("permission denied".to_owned())
        } else {
            Ok(())
        }
    };
    if name.contains('/') {
        let path = PathBuf::from(name);
        executable(&path).map_err(|why| start_error(format!("exec: {name:?}: {why}")))?;
        return Ok(path);
    }
    let path = environment.iter().find_map(|e| e.strip_prefix("PATH=")).unwrap_or("");
    let directories = path.split(':').map(|d| if d.is_empty() { "." } else { d });
    directories
        .map(|d| Path::new(d).join(name))
        .find(|candidate| !name.is_empty() && executable(candidate).is_ok())
        .ok_or_else(|| start_error(format!("exec: {name:?}: executable file not found in $PATH")))
}

/// Sets resource limits; returns the names of those that had to stay lower.
fn apply_rlimits(config: &ProcessConfig) -> Result<Vec<String>> {
    let mut clamped = Vec::new();
    for limit in &config.rlimits {
        let resource = rlimit_number(&limit.name)?;
        match sys::process::set_rlimit(resource, limit.soft, limit.hard) {
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
                let (_, hard) = sys::process::rlimit(resource).setup("getrlimit")?;
                let hard = hard.min(limit.hard);
                sys::process::set_rlimit(resource, limit.soft.min(hard), hard)
                    .setup(format_args!("set {}", limit.name))?;
                clamped.push(limit.name.clone());
            }
            other => other.setup(format_args!("set {}", limit.name))?,
        }
    }
    Ok(clamped)
}

fn rlimit_number(name: &str) -> Result<u32> {
    let bare = name.strip_prefix("RLIMIT_").unwrap_or(name);
    Ok(match bare.to_ascii_uppercase().as_str() {
        "CPU" => libc::RLIMIT_CPU,
        "FSIZE" => libc::RLIMIT_FSIZE,
        "DATA" => libc::RLIMIT_DATA,
        "STACK" => libc::RLIMIT_STACK,
        "CORE" => libc::RLIMIT_CORE,
        "RSS" => libc::RLIMIT_RSS,
        "NPROC" => libc::RLIMIT_NPROC,
        "NOFILE" => libc::RLIMIT_NOFILE,
        "MEMLOCK" => libc::RLIMIT_MEMLOCK,
        "AS" => libc::RLIMIT_AS,
        "LOCKS" => libc::RLIMIT_LOCKS,
        "SIGPENDING" => libc::RLIMIT_SIGPENDING,
        "MSGQUEUE" => libc::RLIMIT_MSGQUEUE,
        "NICE" => libc::RLIMIT_NICE,
        "RTPRIO" => libc::RLIMIT_RTPRIO,
        "RTTIME" => libc::RLIMIT_RTTIME,
        _ => return Err(Error::invalid(format!("unknown resource limit {name:?}"))),
    })
}

/// User, groups, capabilities, no_new_privs, and the filter where it must come before them.
/// Returns capabilities asked for that we lack ourselves.
fn drop_privileges(
    config: &ProcessConfig,
    user: &ResolvedUser,
    apparmor: Option<(OwnedFd, String)>,
) -> Result<u64> {
    use sys::process::prctl;
    let want = &config.capabilities;
    let have = sys::process::permitted().setup("capget")?;
    if let Some((fd, profile)) = apparmor {
        sys::fs::write(fd.as_fd(), format!("exec {profile}").as_bytes())
            .setup(format_args!("apply apparmor profile {profile:?}"))?;
    }
    if config.no_new_privs {
        prctl(libc::PR_SET_NO_NEW_PRIVS, 1).setup("prctl(PR_SET_NO_NEW_PRIVS)")?;
    } else if !config.filter.0.is_empty() {
        // Needs CAP_SYS_ADMIN, which is about to go.
        sys::process::load_filter(&config.filter.0).setup("load seccomp filter")?;
    }
    for capability in 0..64u64 {
        if want.bounding >> capability & 1 == 0 {
            // Numbers the kernel does not know are refused; there is nothing to drop then.
            let _ = prctl(libc::PR_CAPBSET_DROP, capability);
        }
    }
    prctl(libc::PR_SET_KEEPCAPS, 1).setup("prctl(PR_SET_KEEPCAPS)")?;
    sys::process::become_user(user.uid, user.gid, &user.gids)
        .setup(format_args!("become user {}:{}", user.uid, user.gid))?;
    prctl(libc::PR_SET_KEEPCAPS, 0).setup("prctl(PR_SET_KEEPCAPS)")?;
    let permitted = want.permitted & have;
    let inheritable = want.inheritable & have;
    sys::process::capset(want.effective & permitted, permitted, inheritable).setup("capset")?;
    for capability in 0..64u64 {
        if (want.ambient & permitted & inheritable) >> capability & 1 == 1 {
            const RAISE: u64 = libc::PR_CAP_AMBIENT_RAISE as u64;
            // SAFETY: plain integers.
            sys::check(unsafe { libc::prctl(libc::PR_CAP_AMBIENT, RAISE, capability, 0u64, 0u64) }.into())
                .setup("raise ambient capability")?;
        }
    }
    // The change of ids may have made the process dumpable again.
    prctl(libc::PR_SET_DUMPABLE, 0).setup("prctl(PR_SET_DUMPABLE)")?;
    Ok((want.bounding | want.permitted | want.effective) & !have & crate::caps::ALL)
}
