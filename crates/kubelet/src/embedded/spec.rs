//! From the kubelet's configs to what the supervisor is told.

use std::net::Ipv4Addr;
use std::path::Path;

use ::runtime::{
    Capabilities, ContainerSpec, LogSpec, Mount, MountKind, Opaque, Propagation, Resources, Rootfs,
    SandboxSpec, Seccomp, User, UserSpec, caps,
};
use image::Image;
use pod_lifecycle::cgroups::{CPU_PERIOD_US, Limits};
use serde_json::{Value, json};

use crate::runtime::{self, ContainerConfig, Result, RuntimeError, SandboxConfig, Security};

/// Hidden from containers, as the OCI defaults have it.
const MASKED: [&str; 11] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

pub fn sandbox(id: &str, config: &SandboxConfig, ip: Option<Ipv4Addr>) -> SandboxSpec {
    let labels = json!({
        "uid": config.pod.uid, "pod": config.pod.name, "namespace": config.pod.namespace,
        "attempt": config.attempt, "ip": ip.map(|ip| ip.to_string()),
    });
    SandboxSpec {
        id: id.into(),
        hostname: config.hostname.clone(),
        host_network: config.host_network,
        host_ipc: config.host_ipc,
        host_pid: config.host_pid,
        share_process_namespace: config.share_process_namespace,
        cgroup_path: config.cgroup.clone(),
        resources: resources(&config.limits),
        labels: Opaque(labels.to_string().into_bytes()),
        ..SandboxSpec::default()
    }
}

fn resources(limits: &Limits) -> Resources {
    Resources {
        cpu_shares: limits.cpu_shares.map(|shares| shares as u64),
        cpu_quota: limits.cpu_quota_us,
        cpu_period: limits.cpu_quota_us.map(|_| CPU_PERIOD_US as u64),
        memory_limit: limits.memory_bytes,
        ..Resources::default()
    }
}

/// For images that do not set it.
const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub fn container(
    id: &str,
    sandbox: &str,
    config: &ContainerConfig,
    image: &Image,
    dir: &Path,
    (log_max, log_files): (u64, u32),
    labels: &Value,
) -> Result<ContainerSpec> {
    let security = &config.security;
    let masked = |paths: &[&str]| paths.iter().filter(|_| !security.privileged).map(Into::into).collect();
    Ok(ContainerSpec {
        id: id.into(),
        sandbox_id: sandbox.into(),
        rootfs: Rootfs::Overlay {
            lower: image.layers.clone(),
            upper: dir.join("upper"),
            work: dir.join("work"),
        },
        readonly_rootfs: security.read_only_root,
        mounts: config.mounts.iter().map(mount).collect(),
        args: args(config, image)?,
        env: environment(config, image),
        cwd: working_dir(config, image).into(),
        user: user(security, image),
        capabilities: capabilities(security)?,
        no_new_privs: security.no_new_privileges,
        seccomp: match &security.seccomp {
            runtime::Seccomp::Unconfined => Seccomp::Unconfined,
            runtime::Seccomp::RuntimeDefault => Seccomp::RuntimeDefault,
            runtime::Seccomp::Profile(text) => Seccomp::Profile(text.clone()),
        },
        masked_paths: masked(&MASKED),
        readonly_paths: masked(&READ_ONLY),
        devices: if security.privileged { ::runtime::host_devices()? } else { Vec::new() },
        privileged: security.privileged,
        oom_score_adj: Some(config.oom_score_adj),
        resources: resources(&config.limits),
        tty: config.tty,
        stdin: config.stdin,
        stdin_once: config.stdin_once,
        log: Some(LogSpec { path: config.log_path.clone(), max_size: log_max, max_files: log_files }),
        stop_signal: image.config.stop_signal.clone(),
        labels: Opaque(labels.to_string().into_bytes()),
        ..ContainerSpec::default()
    })
}

/// Command replaces entrypoint and cmd, args alone replace cmd (R044 in Docker's words).
fn args(config: &ContainerConfig, image: &Image) -> Result<Vec<String>> {
    let mut all =
        if config.command.is_empty() { image.config.entrypoint.clone() } else { config.command.clone() };
    if !config.args.is_empty() {
        all.extend(config.args.iter().cloned());
    } else if config.command.is_empty() {
        all.extend(image.config.cmd.iter().cloned());
    }
    if all.is_empty() { Err(RuntimeError::other("no command specified")) } else { Ok(all) }
}

/// What every container has, then the image's variables, then the Pod's; a name that comes again
/// keeps its place and takes the later value (as containerd has it).
fn environment(config: &ContainerConfig, image: &Image) -> Vec<String> {
    let mut all = vec![DEFAULT_PATH.to_string()];
    if config.tty {
        all.push("TERM=xterm".into());
    }
    all.push(format!("HOSTNAME={}", config.hostname));
    let name = |entry: &str| entry.split('=').next().unwrap_or_default().to_string();
    let own = config.env.iter().map(|(name, value)| format!("{name}={value}"));
    for entry in image.config.env.iter().cloned().chain(own) {
        match all.iter_mut().find(|had| name(had) == name(&entry)) {
            Some(had) => *had = entry,
            None => all.push(entry),
        }
    }
    all
}

fn working_dir<'a>(config: &'a ContainerConfig, image: &'a Image) -> &'a str {
    if config.working_dir.is_empty() { &image.config.working_dir } else { &config.working_dir }
}

fn user(security: &Security, image: &Image) -> User {
    let spec = match (security.uid, security.gid) {
        (Some(uid), gid) => UserSpec::Ids { uid: uid as u32, gid: gid.map(|gid| gid as u32) },
        (None, Some(gid)) => {
            let user = image.config.user.split(':').next().unwrap_or_default();
            UserSpec::Name(format!("{}:{gid}", if user.is_empty() { "0" } else { user }))
        }
        (None, None) => UserSpec::Name(image.config.user.clone()),
    };
    User {
        spec,
        additional_gids: security.supplemental_groups.iter().map(|gid| *gid as u32).collect(),
        merge_image_groups: !security.strict_groups,
        umask: None,
    }
}

fn capabilities(security: &Security) -> Result<Capabilities> {
    if security.privileged {
        return Ok(Capabilities::same(caps::ALL));
    }
    let is_all = |list: &[String]| list.iter().any(|name| name.eq_ignore_ascii_case("ALL"));
    let mask = |list: &[String]| caps::mask(list.iter().filter(|name| !name.eq_ignore_ascii_case("ALL")));
    let mut set = caps::DEFAULT;
    if is_all(&security.capabilities_add) {
        set = caps::ALL;
    }
    if is_all(&security.capabilities_drop) {
        set = 0;
    }
    set |= mask(&security.capabilities_add)?;
    set &= !mask(&security.capabilities_drop)?;
    Ok(Capabilities::same(set))
}

fn mount(mount: &runtime::Mount) -> Mount {
    Mount {
        destination: mount.container_path.clone(),
        kind: MountKind::Bind {
            source: mount.host_path.clone(),
            recursive: true,
            propagation: match mount.propagation {
                runtime::Propagation::None => Propagation::Private,
                runtime::Propagation::HostToContainer => Propagation::HostToContainer,
                runtime::Propagation::Bidirectional => Propagation::Bidirectional,
            },
        },
        read_only: mount.read_only,
        recursive_read_only: mount.recursive_read_only,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::ImageConfig;

    fn image(entrypoint: &[&str], cmd: &[&str]) -> Image {
        let words = |list: &[&str]| list.iter().map(|s| (*s).to_string()).collect();
        let config = ImageConfig { entrypoint: words(entrypoint), cmd: words(cmd), ..ImageConfig::default() };
        Image {
            id: String::new(),
            names: Default::default(),
            digests: Default::default(),
            size: 0,
            config,
            layers: vec![],
        }
    }

    #[test]
    fn command_and_args_replace_what_the_image_says() {
        let cases: [(&[&str], &[&str], &[&str]); 4] = [
            (&[], &[], &["e", "c"]),
            (&["x"], &[], &["x"]),
            (&[], &["y"], &["e", "y"]),
            (&["x"], &["y"], &["x", "y"]),
        ];
        for (command, arguments, want) in cases {
            let words = |list: &[&str]| list.iter().map(|s| (*s).to_string()).collect();
            let config = ContainerConfig {
                command: words(command),
                args: words(arguments),
                ..ContainerConfig::default()
            };
            assert_eq!(args(&config, &image(&["e"], &["c"])).expect("a command"), want);
        }
        assert!(args(&ContainerConfig::default(), &image(&[], &[])).is_err());
    }

    #[test]
    fn the_environment_begins_with_what_every_container_has() {
        let mut image = image(&["e"], &[]);
        image.config.env = vec!["A=image".into(), "PATH=/own".into()];
        let mut config = ContainerConfig { hostname: "p".into(), ..ContainerConfig::default() };
        config.env = vec![("A".into(), "pod".into()), ("B".into(), "x=y".into())];
        assert_eq!(environment(&config, &image), ["PATH=/own", "HOSTNAME=p", "A=pod", "B=x=y"]);
        config = ContainerConfig { tty: true, env: vec![("HOSTNAME".into(), "own".into())], ..config };
        image.config.env.clear();
        assert_eq!(environment(&config, &image), [DEFAULT_PATH, "TERM=xterm", "HOSTNAME=own"]);
    }

    #[test]
    fn capabilities_are_dropped_before_they_are_added() {
        let security = Security {
            capabilities_add: vec!["NET_BIND_SERVICE".into()],
            capabilities_drop: vec!["ALL".into()],
            ..Security::default()
        };
        let set = capabilities(&security).expect("known names");
        assert_eq!(caps::names(set.bounding), ["CAP_NET_BIND_SERVICE"]);
    }
}
