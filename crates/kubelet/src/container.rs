//! From a container of a Pod's spec to what the runtime is told: environment, mounts, security,
//! limits. Errors are the texts of CreateContainerConfigError.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use pod_lifecycle::environment::{self, Sources};
use pod_lifecycle::{cgroups, files, plan};
use serde_json::Value;
use volume::payload;

use crate::objects::Reference;
use crate::runtime::{ContainerConfig, Image, Mount, PodId, Propagation};
use crate::security::security;
use crate::shared::Shared;

/// Volumes of a Pod that are set up: name to host path.
pub type VolumePaths = BTreeMap<String, PathBuf>;

pub fn pod_id(pod: &Value) -> PodId {
    let text = |field: &str| pod["metadata"][field].as_str().unwrap_or_default().to_string();
    PodId { uid: text("uid"), name: text("name"), namespace: text("namespace") }
}

/// All ConfigMaps and Secrets a Pod names: environments, volumes, pull secrets.
pub fn references(pod: &Value) -> BTreeSet<Reference> {
    let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
    let spec = &pod["spec"];
    let mut all = BTreeSet::new();
    let list = |field: &str| spec[field].as_array().into_iter().flatten();
    for container in list("containers") {
        all.extend(
            environment::references(container).into_iter().map(|(k, n)| Reference::new(k, namespace, &n)),
        );
    }
    for volume in list("volumes") {
        all.extend(
            volume::payload::references(volume).into_iter().map(|(k, n)| Reference::new(k, namespace, &n)),
        );
    }
    for secret in list("imagePullSecrets") {
        let name = secret["name"].as_str().unwrap_or_default();
        all.insert(Reference::new(environment::Kind::Secret, namespace, name));
    }
    all
}

impl Shared {
    /// Fetches what environments and volumes of a Pod may ask for.
    pub async fn sources(&self, pod: &Value, pod_ips: &[String]) -> Sources {
        let mut sources = Sources {
            pod_ips: pod_ips.to_vec(),
            host_ips: self.config.node_ips.clone(),
            node_allocatable: (*self.allocatable).clone(),
            ..Sources::default()
        };
        for reference in references(pod) {
            if let Some(object) = self.objects.get(&reference).await {
                sources.objects.insert((reference.kind, reference.name), object);
            }
        }
        let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
        sources.services = self
            .services
            .all()
            .into_iter()
            .filter(|s| s["metadata"]["namespace"] == namespace || s["metadata"]["namespace"] == "default")
            .collect();
        sources.services.sort_by_key(|s| client::reflector::key_of(s));
        sources
    }

    /// What the runtime is told of one attempt at a container.
    pub async fn container_config(
        &self,
        pod: &Value,
        container: &Value,
        attempt: u32,
        image: &Image,
        volumes: &VolumePaths,
        pod_ips: &[String],
    ) -> Result<ContainerConfig, String> {
        let name = container["name"].as_str().unwrap_or_default();
        let sources = self.sources(pod, pod_ips).await;
        let env = environment::environment(pod, container, &sources)?;
        let security = security(pod, container, image, &self.config.data_dir.join("seccomp"))?;
        let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
        let termination_log = self
            .volumes
            .pod_file(uid, &format!("containers/{name}/{attempt}"), "")
            .map_err(|error| format!("cannot make the termination log: {error}"))?;
        // Whatever user the container runs as may write its last words.
        let _ =
            std::fs::set_permissions(&termination_log, std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut mounts = volume_mounts(pod, container, volumes)?;
        let mut own = |host_path: PathBuf, path: &str| {
            if !mounts.iter().any(|m: &Mount| m.container_path.as_os_str() == path) {
                mounts.push(plain_mount(host_path, path));
            }
        };
        own(self.hosts_file(pod, pod_ips)?, "/etc/hosts");
        own(self.resolv_conf(pod)?, "/etc/resolv.conf");
        own(
            termination_log.clone(),
            container["terminationMessagePath"].as_str().unwrap_or("/dev/termination-log"),
        );
        let text = |field: &str| container[field].as_str().unwrap_or_default().to_string();
        let flag = |field: &str| container[field].as_bool().unwrap_or(false);
        Ok(ContainerConfig {
            pod: pod_id(pod),
            name: name.into(),
            attempt,
            image: text("image"),
            image_id: image.id.clone(),
            command: environment::expand_words(&container["command"], &env),
            args: environment::expand_words(&container["args"], &env),
            hostname: self.hostname(pod),
            working_dir: text("workingDir"),
            env,
            mounts,
            log_path: self.container_log_path(pod, name, attempt),
            stdin: flag("stdin"),
            stdin_once: flag("stdinOnce"),
            tty: flag("tty"),
            security,
            limits: cgroups::container_limits(container),
            oom_score_adj: cgroups::oom_score_adj(&pod["spec"], container, self.memory_bytes),
            hash: plan::definition_hash(container),
            termination_log,
            termination_from_logs: container["terminationMessagePolicy"] == "FallbackToLogsOnError",
        })
    }

    fn hostname(&self, pod: &Value) -> String {
        if pod["spec"]["hostNetwork"] == true {
            let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
            return name.trim().to_string();
        }
        files::hostname_and_domain(pod, &self.config.cluster_domain).0
    }

    fn hosts_file(&self, pod: &Value, pod_ips: &[String]) -> Result<PathBuf, String> {
        let aliases = &pod["spec"]["hostAliases"];
        let content = if pod["spec"]["hostNetwork"] == true {
            files::host_network_hosts_file(
                &std::fs::read_to_string("/etc/hosts").unwrap_or_default(),
                aliases,
            )
        } else {
            let (hostname, domain) = files::hostname_and_domain(pod, &self.config.cluster_domain);
            files::hosts_file(pod_ips, &hostname, &domain, aliases)
        };
        self.write_pod_file(pod, "etc-hosts", &content)
    }

    fn resolv_conf(&self, pod: &Value) -> Result<PathBuf, String> {
        let dns = self.config.cluster_dns.as_deref();
        let (dns, _) = files::pod_dns(pod, &self.host_dns, dns, &self.config.cluster_domain);
        self.write_pod_file(pod, "resolv.conf", &dns.render())
    }

    fn write_pod_file(&self, pod: &Value, name: &str, content: &str) -> Result<PathBuf, String> {
        let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
        self.volumes.pod_file(uid, name, content).map_err(|error| format!("cannot write {name}: {error}"))
    }
}

fn plain_mount(host_path: PathBuf, path: &str) -> Mount {
    Mount {
        host_path,
        container_path: path.into(),
        read_only: false,
        recursive_read_only: false,
        propagation: Propagation::None,
    }
}

fn volume_mounts(pod: &Value, container: &Value, volumes: &VolumePaths) -> Result<Vec<Mount>, String> {
    // Files made of API data belong to the node; no container may change them.
    let payloads: Vec<&Value> =
        pod["spec"]["volumes"].as_array().into_iter().flatten().filter(|v| payload::is_payload(v)).collect();
    let mut mounts = Vec::new();
    for mount in container["volumeMounts"].as_array().into_iter().flatten() {
        let name = mount["name"].as_str().unwrap_or_default();
        let path = mount["mountPath"].as_str().unwrap_or_default();
        let host_path = volumes.get(name).ok_or_else(|| {
            let container = container["name"].as_str().unwrap_or_default();
            format!("cannot find volume {name:?} to mount into container {container:?}")
        })?;
        let read_only = mount["readOnly"] == true || payloads.iter().any(|volume| volume["name"] == name);
        mounts.push(Mount {
            host_path: host_path.clone(),
            container_path: if path.starts_with('/') { path.into() } else { PathBuf::from("/").join(path) },
            read_only,
            recursive_read_only: read_only
                && matches!(mount["recursiveReadOnly"].as_str(), Some("Enabled" | "IfPossible")),
            propagation: match mount["mountPropagation"].as_str() {
                Some("HostToContainer") => Propagation::HostToContainer,
                Some("Bidirectional") => Propagation::Bidirectional,
                _ => Propagation::None,
            },
        });
    }
    // A mount below another one comes after it, whatever the order in the spec.
    mounts.sort_by_key(|m| m.container_path.components().count());
    Ok(mounts)
}
