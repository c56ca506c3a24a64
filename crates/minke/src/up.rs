//! `minke up`: brings everything up in one process, in the order of need, and stays.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use apiserver::{ApiServer, Range};
use client::{Client, UserInfo};
use env::Env;
use kubelet::embedded::{Embedded, Parts};
use node_network::{Addresses, Host, HostConfig, PodNetwork};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::data_dir::{DataDir, write_private};
use crate::images;
use crate::instance::{DEFAULT_DATA_DIR, Instance, well_known};
use crate::neighbours;
use crate::options::Up;

/// How long a daemon in the background may take to be ready.
const DETACH_WAIT: Duration = Duration::from_secs(60);
const DETACH_STEP: Duration = Duration::from_millis(5);

pub fn run(options: &Up) -> Result<(), String> {
    if options.daemon.print_systemd_unit {
        print!("{}", systemd_unit()?);
        return Ok(());
    }
    if !options.api_only && !rustix::process::geteuid().is_root() {
        return Err(
            "a node needs root: run it with sudo, or use --api-only for a control plane without a node"
                .into(),
        );
    }
    if options.daemon.detach {
        return detach(options);
    }
    let filter = tracing_subscriber::EnvFilter::try_new(&options.daemon.log)
        .map_err(|error| format!("--log: {error}"))?;
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(std::thread::available_parallelism().map_or(2, |n| n.get().clamp(2, 8)))
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let data = DataDir::take(&options.daemon.data.data_dir)?;
    // What an earlier run left may be Pods that still run: those are for `minke down` to end.
    let first = !DataDir::run_path(data.path()).exists();
    let result = runtime.block_on(serve(options, &data));
    runtime.shutdown_timeout(Duration::from_secs(1));
    match result {
        Err(error) if first => {
            let undone = crate::down::remove_node(data.path());
            Err(undone.err().map_or(error.clone(), |left| format!("{error}; besides, {left}")))
        }
        result => result,
    }
}

/// Starts the same command in the background and waits until it is ready or has failed.
fn detach(options: &Up) -> Result<(), String> {
    use std::os::unix::process::CommandExt;
    // Taken and given back: whoever else holds it is named now rather than in a log file.
    drop(DataDir::take(&options.daemon.data.data_dir)?);
    let dir = fs::canonicalize(&options.daemon.data.data_dir).map_err(|error| error.to_string())?;
    let (ready, log_path) = (DataDir::ready_path(&dir), dir.join("minke.log"));
    let _ = fs::remove_file(&ready);
    // The last words of the daemon before stay readable.
    let _ = fs::rename(&log_path, dir.join("minke.log.1"));
    let log = fs::File::create(&log_path).map_err(|error| format!("{}: {error}", log_path.display()))?;
    let args = std::env::args().skip(1).filter(|arg| arg != "--detach");
    let mut child = std::process::Command::new("/proc/self/exe")
        .arg0("minke")
        .args(args)
        .stdin(std::process::Stdio::null())
        .stdout(log.try_clone().map_err(|error| error.to_string())?)
        .stderr(log)
        .process_group(0)
        .spawn()
        .map_err(|error| format!("cannot start in the background: {error}"))?;
    let mut waited = Duration::ZERO;
    while waited < DETACH_WAIT {
        if ready.exists() {
            print!("{}", fs::read_to_string(&ready).unwrap_or_default());
            return Ok(());
        }
        if let Ok(Some(status)) = child.try_wait() {
            let log = fs::read_to_string(&log_path).unwrap_or_default();
            let last = log.lines().rev().find(|line| line.starts_with("error: ")).unwrap_or_default();
            return Err(match last.strip_prefix("error: ") {
                Some(message) => message.to_string(),
                None => format!("it ended with {status}; see {}", log_path.display()),
            });
        }
        std::thread::sleep(DETACH_STEP);
        waited += DETACH_STEP;
    }
    Err(format!("not ready after {} s; see {}", DETACH_WAIT.as_secs(), log_path.display()))
}

fn systemd_unit() -> Result<String, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let skip = ["--print-systemd-unit", "--detach"];
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !skip.contains(&arg.as_str())).collect();
    Ok(format!(
        "[Unit]\nDescription=Minke: Kubernetes Pods\nAfter=network-online.target\nWants=network-online.target\n\n\
         [Service]\nExecStart={} {}\nRestart=on-failure\n# Pods keep running while the daemon restarts.\n\
         KillMode=process\nDelegate=yes\nLimitNOFILE=1048576\nTasksMax=infinity\n\n[Install]\nWantedBy=multi-user.target\n",
        program.display(),
        args.join(" ")
    ))
}

/// Tells how the start goes, on standard error.
struct Boot {
    started: Instant,
}

impl Boot {
    fn step(&self, what: &str) {
        eprintln!("{:>7.1} ms  {what}", self.started.elapsed().as_secs_f64() * 1e3);
    }
}

#[allow(clippy::disallowed_methods, reason = "the start is told in real time")]
async fn serve(options: &Up, data: &DataDir) -> Result<(), String> {
    let boot = Boot { started: Instant::now() };
    let dir = data.path().to_path_buf();
    let _ = fs::remove_file(DataDir::ready_path(&dir));
    let env = Env::system();
    let mut instance = Instance::of(&dir);
    match options.daemon.control_plane.service_cidr {
        Some(range) => instance.service_cidr = range,
        // Servers of one cluster may have different directories, but not different ranges.
        None if options.daemon.datastore.shared() => instance.service_cidr = well_known().service_cidr,
        None => {}
    }
    let node_ip = node_ip(options, &instance)?;
    let network = host_network(options, &instance, node_ip, &dir);
    if !options.api_only {
        write_run(&instance, &network, options, &dir)?;
        Host::set_up(&network).map_err(|error| format!("the Pod network cannot be set up: {error}"))?;
    }
    let api = start_api(options, &instance, node_ip, &dir, &env).await?;
    let kubeconfig = DataDir::kubeconfig_path(&dir);
    write_private(&kubeconfig, &api.kubeconfig("kubernetes-admin", &["system:masters"])?)?;
    boot.step(&format!("API server ready on https://{node_ip}:{}", api.local_addr().map_or(0, |a| a.port())));
    let component = |name: &str, groups: &[&str], agent: &str| {
        Client::new(api.transport_for(UserInfo::new(name, groups)), agent)
    };
    let scheduler = component("system:kube-scheduler", &[], "kube-scheduler");
    let transports = api.transports();
    let controller = Arc::new(move |name: &str| {
        let user = format!("system:serviceaccount:kube-system:{name}");
        let groups = ["system:serviceaccounts", "system:serviceaccounts:kube-system"];
        Client::new(transports.for_user(UserInfo::new(&user, &groups)), "kube-controller-manager")
    });
    let config = controller_manager::Config {
        ca_pem: api.ca_pem().to_string(),
        identity: format!("{}_{}", host_name()?, env.uuid()),
        alone: !options.daemon.datastore.shared(),
    };
    let informers = component("system:kube-controller-manager", &[], "kube-controller-manager");
    let leaders = controller_manager::start(&env, scheduler, informers, controller, config);
    boot.step("controllers started");
    let _node = if options.api_only {
        None
    } else {
        let name = node_name(options)?;
        if options.daemon.datastore.shared() {
            let looking = component("system:kube-controller-manager", &[], "kube-controller-manager");
            let nodes = looking.nodes().list("", client::Options::default()).await;
            let nodes = nodes.map_err(|status| format!("the cluster's nodes cannot be listed: {status}"))?;
            neighbours::check(&nodes.items, &name, &network.pod_cidr)?;
        }
        let user = format!("system:node:{name}");
        let client = component(&user, &["system:nodes"], "kubelet");
        let node = start_node(options, &instance, node_ip, &name, network, &dir, &env, client, &api).await?;
        boot.step(&format!("node {name} ready"));
        Some(node)
    };
    let text = format!(
        "The cluster is up. To use it:\n\n  export KUBECONFIG={}\n  kubectl get nodes\n\nStop it and its Pods with: minke down{}\n",
        kubeconfig.display(),
        if dir == Path::new(DEFAULT_DATA_DIR) {
            String::new()
        } else {
            format!(" --data-dir {}", dir.display())
        },
    );
    println!("{text}");
    write_private(&DataDir::ready_path(&dir), &text)?;
    wait_for_end().await?;
    let _ = fs::remove_file(DataDir::ready_path(&dir));
    leaders.resign().await;
    api.stop().await;
    Ok(())
}

async fn wait_for_end() -> Result<(), String> {
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| error.to_string())?;
    tokio::select! {
        biased;
        _ = terminate.recv() => {}
        _ = interrupt.recv() => eprintln!("\nstopping the daemon; Pods keep running until `minke down`"),
    }
    Ok(())
}

/// The address others reach this node by; on a host without a network its own in the Pod range.
fn node_ip(options: &Up, instance: &Instance) -> Result<Ipv4Addr, String> {
    match options.node_ip {
        Some(IpAddr::V4(ip)) => Ok(ip),
        Some(IpAddr::V6(_)) => Err("--node-ip: IPv6 is not supported yet".into()),
        None => {
            let found = node_network::node_addresses()
                .map_err(|error| format!("no address for this node: {error}"))?;
            let alone = if options.api_only { Ipv4Addr::LOCALHOST } else { instance.gateway() };
            Ok(found.first().copied().unwrap_or(alone))
        }
    }
}

fn host_name() -> Result<String, String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").map_err(|error| error.to_string())?;
    Ok(name.trim().to_lowercase())
}

fn node_name(options: &Up) -> Result<String, String> {
    let name = match &options.node_name {
        Some(name) => name.clone(),
        None => host_name()?,
    };
    let name = name.trim().to_lowercase();
    match apimachinery::validation::dns1123_subdomain(&name).first() {
        None => Ok(name),
        Some(problem) => Err(format!("{name:?} cannot be the name of a node ({problem}): use --node-name")),
    }
}

fn host_network(options: &Up, instance: &Instance, node_ip: Ipv4Addr, dir: &Path) -> HostConfig {
    let mut local_addresses = vec![instance.gateway(), instance.api_service_ip()];
    local_addresses.retain(|ip| *ip != node_ip || *ip == instance.gateway());
    HostConfig {
        pod_cidr: instance.node_cidr(options.max_pods),
        local_addresses,
        prefix: instance.link_prefix.clone(),
        state_dir: dir.join("network"),
    }
}

fn log_dir(options: &Up, dir: &Path) -> PathBuf {
    match &options.log_dir {
        Some(path) => path.clone(),
        None if dir == Path::new(DEFAULT_DATA_DIR) => "/var/log".into(),
        None => dir.join("log"),
    }
}

/// What `minke down` must know, also after a crash: written before anything is changed.
fn write_run(instance: &Instance, network: &HostConfig, options: &Up, dir: &Path) -> Result<(), String> {
    let run = json!({
        "instance": instance.name,
        "podCidr": network.pod_cidr,
        "linkPrefix": network.prefix,
        "localAddresses": network.local_addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "logDir": log_dir(options, dir),
    });
    write_private(&DataDir::run_path(dir), &run.to_string())
}

async fn start_api(
    options: &Up,
    instance: &Instance,
    node_ip: Ipv4Addr,
    dir: &Path,
    env: &Env,
) -> Result<apiserver::Handle, String> {
    let store = options.daemon.datastore.open(dir, env).await?;
    crate::store_socket::serve(env, dir, store.clone())?;
    let port = options.daemon.api_port.unwrap_or(instance.api_port);
    let (base, bits) = instance.service_cidr;
    let any = if options.api_only { node_ip } else { Ipv4Addr::UNSPECIFIED };
    let config = apiserver::Config {
        listen: Some(SocketAddr::from((any, port))),
        // Pods reach the `kubernetes` Service here (docs/adr/0007-api-service-address-on-lo.md).
        also: if options.api_only {
            Vec::new()
        } else {
            vec![SocketAddr::from((instance.api_service_ip(), 443))]
        },
        advertise: node_ip.into(),
        names: vec!["localhost".into(), "127.0.0.1".into(), instance.api_service_ip().to_string()],
        pki: Some(options.daemon.control_plane.pki_dir.clone().unwrap_or_else(|| dir.join("pki"))),
        service_range: Range { base: base.into(), bits },
        ..apiserver::Config::default()
    };
    ApiServer::start(config, store, env.clone()).await.map_err(|error| hint(error, "--api-port"))
}

/// A port that is taken: says which option chooses another one.
fn hint(error: impl std::fmt::Display, option: &str) -> String {
    let text = error.to_string();
    if text.contains("Address already in use") {
        format!("{text}: choose another port with {option}")
    } else {
        text
    }
}

struct Node {
    _kubelet: kubelet::Kubelet,
}

#[allow(clippy::too_many_arguments, reason = "the composition root hands everything over once")]
async fn start_node(
    options: &Up,
    instance: &Instance,
    node_ip: Ipv4Addr,
    name: &str,
    network: HostConfig,
    dir: &Path,
    env: &Env,
    client: Client,
    api: &apiserver::Handle,
) -> Result<Node, String> {
    let images = images::open(dir)?;
    images::ensure_toolbox(&images)?;
    let addresses = Addresses::new(&network.pod_cidr)?;
    let pods = PodNetwork::new(addresses, &network.prefix, node_ip);
    let runtime = Embedded::start(Parts {
        env: env.clone(),
        supervisor: runtime::Config {
            instance: instance.name.clone(),
            dir: dir.join("runtime"),
            program: "/proc/self/exe".into(),
            place_daemon: true,
        },
        images,
        registries: registries(options)?,
        network: Arc::new(Network(pods)),
        kept_images: vec![images::TOOLBOX.into()],
        containers_dir: dir.join("containers"),
        log_max_bytes: kubelet::config::LOG_MAX_BYTES,
        log_max_files: kubelet::config::LOG_MAX_FILES,
        version: env!("CARGO_PKG_VERSION").into(),
    })
    .await
    .map_err(|error| format!("the container runtime cannot start: {error}"))?;
    let config = kubelet::Config {
        node_name: name.into(),
        node_ips: vec![node_ip.to_string()],
        pod_cidr: network.pod_cidr.clone(),
        data_dir: dir.into(),
        log_dir: log_dir(options, dir),
        max_pods: options.max_pods,
        cluster_dns: None,
        cluster_domain: "cluster.local".into(),
        port: options.kubelet_port.unwrap_or(instance.kubelet_port),
        labels: labels(options)?,
    };
    let names = [node_ip.to_string(), name.to_string(), "127.0.0.1".into()];
    let identity = api.pki().issue_server(&format!("system:node:{name}"), &["system:nodes"], &names)?;
    let tls = kubelet::server::Tls {
        certificate: identity.certificate.clone(),
        key: identity.key.clone(),
        client_ca: api.ca_pem().into(),
    };
    let kubelet = kubelet::Kubelet::start(env, config, client, Arc::new(runtime), &tls)
        .await
        .map_err(|error| format!("the node cannot start: {}", hint(error, "--kubelet-port")))?;
    Ok(Node { _kubelet: kubelet })
}

fn labels(options: &Up) -> Result<Vec<(String, String)>, String> {
    let split = |label: &String| {
        let (key, value) =
            label.split_once('=').ok_or_else(|| format!("--node-label {label}: wants KEY=VALUE"))?;
        Ok((key.to_string(), value.to_string()))
    };
    options.node_labels.iter().map(split).collect()
}

fn registries(options: &Up) -> Result<image::Registries, String> {
    let mut registries =
        image::Registries { insecure: options.insecure_registries.clone(), ..image::Registries::default() };
    for mirror in &options.registry_mirrors {
        let (registry, url) = mirror
            .split_once('=')
            .ok_or_else(|| format!("--registry-mirror {mirror}: wants REGISTRY=URL"))?;
        registries.mirrors.entry(registry.into()).or_default().push(url.into());
    }
    Ok(registries)
}

/// The Pod network as the runtime's seam wants it.
struct Network(PodNetwork);

impl kubelet::embedded::Network for Network {
    fn allocate(&self) -> std::io::Result<Ipv4Addr> {
        self.0.allocate()
    }

    fn wire(&self, netns: &std::os::fd::OwnedFd, unique: &str, ip: Ipv4Addr) -> std::io::Result<()> {
        self.0.wire(netns, unique, ip)
    }

    fn release(&self, ip: Ipv4Addr) -> std::io::Result<()> {
        self.0.detach(ip)
    }

    fn adopt(&self, ip: Ipv4Addr) {
        self.0.adopt(ip);
    }
}
