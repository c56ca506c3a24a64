//! The command line of the program itself; kubectl-shaped verbs are in `cli`.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::datastore::Datastore;

/// Kubernetes Pods in one small static program.
#[derive(Parser)]
#[command(name = "minke", version, about, disable_help_subcommand = true)]
pub struct Options {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Start a cluster with one node in this process
    Up(Box<Up>),
    /// Start a control plane without a node: one of several on the same etcd, or alone
    Server(Box<Server>),
    /// Look into the store of a cluster, save and restore it
    Store(Box<crate::store_command::StoreCommand>),
    /// Stop a cluster and remove every trace of its containers and network
    Down(Down),
    /// Print the administrator's kubeconfig
    Kubeconfig(Kubeconfig),
    /// Manage the images of this node
    Image(Image),
    #[command(flatten)]
    Kubectl(cli::Verb),
}

/// Where the state of a cluster is.
#[derive(Args, Clone)]
pub struct Data {
    /// Directory with all state of the cluster
    #[arg(long, global = true, default_value = "/var/lib/minke", value_name = "DIR")]
    pub data_dir: PathBuf,
}

/// What every daemon has, with a node or without.
#[derive(Args)]
pub struct Daemon {
    #[command(flatten)]
    pub data: Data,
    #[command(flatten)]
    pub datastore: Datastore,
    #[command(flatten)]
    pub control_plane: ControlPlane,
    /// Run in the background; returns once it is ready
    #[arg(long)]
    pub detach: bool,
    /// Print a systemd unit that runs this command, and exit
    #[arg(long)]
    pub print_systemd_unit: bool,
    /// Port of the API server [default: 6443, or derived from the data directory]
    #[arg(long, value_name = "PORT")]
    pub api_port: Option<u16>,
    /// What to log: error, warn, info, debug, or per part (kubelet=debug)
    #[arg(long, default_value = "warn", value_name = "FILTER")]
    pub log: String,
}

#[derive(Args)]
pub struct Up {
    #[command(flatten)]
    pub daemon: Daemon,
    /// Control plane only: no node, no containers, no root needed
    #[arg(long)]
    pub api_only: bool,
    /// Port of the node service [default: 10250, or derived from the data directory]
    #[arg(long, value_name = "PORT")]
    pub kubelet_port: Option<u16>,
    /// Address of this node [default: that of the default route]
    #[arg(long, value_name = "IP")]
    pub node_ip: Option<IpAddr>,
    /// Name of this node [default: the host name]
    #[arg(long, value_name = "NAME")]
    pub node_name: Option<String>,
    /// Most Pods on this node
    #[arg(long, default_value_t = kubelet::config::MAX_PODS, value_name = "N")]
    pub max_pods: u32,
    /// Labels of this node (key=value)
    #[arg(long = "node-label", value_name = "KEY=VALUE")]
    pub node_labels: Vec<String>,
    /// Pull images of a registry from a mirror first (registry=http://host:port)
    #[arg(long = "registry-mirror", value_name = "REGISTRY=URL")]
    pub registry_mirrors: Vec<String>,
    /// Speak plain HTTP to this registry (host:port); loopback is always allowed
    #[arg(long = "insecure-registry", value_name = "HOST")]
    pub insecure_registries: Vec<String>,
    /// Directory for container logs [default: /var/log, or DIR/log for other data directories]
    #[arg(long, value_name = "DIR")]
    pub log_dir: Option<PathBuf>,
}

/// What all servers of one cluster have in common.
#[derive(Args, Clone, Default)]
pub struct ControlPlane {
    /// Directory with ca.crt, ca.key and sa.key, which all servers of a cluster share as copies;
    /// made if empty [default: DIR/pki]
    #[arg(long, value_name = "DIR")]
    pub pki_dir: Option<PathBuf>,
    /// Addresses of Services, the same for all servers of a cluster [default: 10.96.0.0/12, or derived
    /// from the data directory where the store is in it]
    #[arg(long, value_name = "CIDR", value_parser = cidr)]
    pub service_cidr: Option<(Ipv4Addr, u8)>,
}

fn cidr(text: &str) -> Result<(Ipv4Addr, u8), String> {
    let parsed = text.split_once('/').and_then(|(base, bits)| Some((base.parse().ok()?, bits.parse().ok()?)));
    let (base, bits): (Ipv4Addr, u8) = parsed.ok_or("wanted ADDRESS/BITS, as 10.96.0.0/12")?;
    if !(8..=28).contains(&bits) || u32::from(base) & (u32::MAX >> bits) != 0 {
        return Err("wanted the first address of a range of 8 to 28 bits".into());
    }
    Ok((base, bits))
}

#[derive(Args)]
pub struct Server {
    #[command(flatten)]
    pub daemon: Daemon,
    /// Address by which others reach this server [default: that of the default route]
    #[arg(long, value_name = "IP")]
    pub advertise_address: Option<IpAddr>,
}

impl Server {
    /// A server is a daemon without a node.
    pub fn into_up(self) -> Up {
        Up {
            daemon: self.daemon,
            api_only: true,
            kubelet_port: None,
            node_ip: self.advertise_address,
            node_name: None,
            max_pods: kubelet::config::MAX_PODS,
            node_labels: Vec::new(),
            registry_mirrors: Vec::new(),
            insecure_registries: Vec::new(),
            log_dir: None,
        }
    }
}

#[derive(Args)]
pub struct Down {
    #[command(flatten)]
    pub data: Data,
    /// Remove all files as well: the cluster's objects, images, logs and certificates
    #[arg(long)]
    pub purge: bool,
}

#[derive(Args)]
pub struct Kubeconfig {
    #[command(flatten)]
    pub data: Data,
}

#[derive(Args)]
pub struct Image {
    #[command(subcommand)]
    pub command: ImageCommand,
    #[command(flatten)]
    pub data: Data,
}

#[derive(Subcommand)]
pub enum ImageCommand {
    /// Import images from an archive (OCI layout or docker save, tar or tar.gz)
    Import {
        /// The archive
        archive: PathBuf,
        /// Name for the image, instead of the names in the archive
        #[arg(long)]
        name: Option<String>,
    },
    /// List the images of this node
    List,
    /// Pull an image from its registry
    Pull {
        /// Name with tag or digest
        name: String,
        /// Credentials (user:password)
        #[arg(long, value_name = "USER:PASSWORD")]
        creds: Option<String>,
    },
    /// Remove an image, or one of its names
    Rm {
        /// Names or ids
        #[arg(required = true)]
        names: Vec<String>,
    },
}
