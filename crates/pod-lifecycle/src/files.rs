//! Files and names a Pod gets from its node: hostname, /etc/hosts, /etc/resolv.conf.

use serde_json::Value;

/// Longest hostname the kernel takes.
const HOSTNAME_MAX: usize = 63;
/// Most nameservers and search domains of a resolv.conf (KEP-2595).
const NAMESERVERS_MAX: usize = 3;
const SEARCHES_MAX: usize = 32;

/// Hostname and, where the Pod has a subdomain, its domain.
pub fn hostname_and_domain(pod: &Value, cluster_domain: &str) -> (String, String) {
    let spec = &pod["spec"];
    if let Some(name) = spec["hostnameOverride"].as_str() {
        return (truncate(name), String::new());
    }
    let name = spec["hostname"].as_str().filter(|s| !s.is_empty());
    let name = truncate(name.or(pod["metadata"]["name"].as_str()).unwrap_or_default());
    let domain = match spec["subdomain"].as_str().filter(|s| !s.is_empty()) {
        Some(subdomain) => {
            let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
            format!("{subdomain}.{namespace}.svc.{cluster_domain}")
        }
        None => String::new(),
    };
    (name, domain)
}

fn truncate(name: &str) -> String {
    if name.len() <= HOSTNAME_MAX {
        return name.to_string();
    }
    name[..HOSTNAME_MAX].trim_end_matches(['-', '.']).to_string()
}

/// /etc/hosts of a Pod with its own network.
pub fn hosts_file(ips: &[String], hostname: &str, domain: &str, aliases: &Value) -> String {
    let mut out = String::from(
        "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n\
         fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n",
    );
    for ip in ips {
        if domain.is_empty() {
            out.push_str(&format!("{ip}\t{hostname}\n"));
        } else {
            out.push_str(&format!("{ip}\t{hostname}.{domain}\t{hostname}\n"));
        }
    }
    out + &host_aliases(aliases)
}

/// /etc/hosts of a Pod on the host's network.
pub fn host_network_hosts_file(host_file: &str, aliases: &Value) -> String {
    format!("# Kubernetes-managed hosts file (host network).\n{host_file}{}", host_aliases(aliases))
}

fn host_aliases(aliases: &Value) -> String {
    let Some(aliases) = aliases.as_array().filter(|a| !a.is_empty()) else { return String::new() };
    let mut out = String::from("\n# Entries added by HostAliases.\n");
    for alias in aliases {
        let names: Vec<_> =
            alias["hostnames"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        out.push_str(&format!("{}\t{}\n", alias["ip"].as_str().unwrap_or_default(), names.join("\t")));
    }
    out
}

/// What goes into a resolv.conf.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dns {
    pub servers: Vec<String>,
    pub searches: Vec<String>,
    pub options: Vec<String>,
}

impl Dns {
    /// Reads the host's resolv.conf.
    pub fn parse(text: &str) -> Dns {
        let mut dns = Dns::default();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => dns.servers.extend(words.next().map(str::to_string)),
                // The last search line wins (resolv.conf(5)).
                Some("search") => dns.searches = words.map(str::to_string).collect(),
                Some("options") => dns.options = words.map(str::to_string).collect(),
                _ => {}
            }
        }
        dns
    }

    pub fn render(&self) -> String {
        let mut out = String::new();
        if !self.searches.is_empty() {
            out.push_str(&format!("search {}\n", self.searches.join(" ")));
        }
        for server in &self.servers {
            out.push_str(&format!("nameserver {server}\n"));
        }
        if !self.options.is_empty() {
            out.push_str(&format!("options {}\n", self.options.join(" ")));
        }
        out
    }
}

/// The DNS settings of a Pod, and whether ClusterFirst had to fall back because the cluster has
/// no DNS address (event `MissingClusterDNS`).
pub fn pod_dns(pod: &Value, host: &Dns, cluster_dns: Option<&str>, cluster_domain: &str) -> (Dns, bool) {
    let spec = &pod["spec"];
    let host_network = spec["hostNetwork"].as_bool().unwrap_or(false);
    let wants_cluster = match spec["dnsPolicy"].as_str().unwrap_or("ClusterFirst") {
        "ClusterFirst" => !host_network,
        "ClusterFirstWithHostNet" => true,
        "None" => return (merge(Dns::default(), &spec["dnsConfig"]), false),
        _ => false,
    };
    let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
    let (base, missing) = match (wants_cluster, cluster_dns) {
        (true, Some(server)) => {
            let mut searches: Vec<String> =
                [format!("{namespace}.svc.{cluster_domain}"), format!("svc.{cluster_domain}")]
                    .into_iter()
                    .chain([cluster_domain.to_string()])
                    .collect();
            searches.extend(host.searches.iter().cloned());
            (Dns { servers: vec![server.to_string()], searches, options: vec!["ndots:5".into()] }, false)
        }
        (wants, _) => (host.clone(), wants),
    };
    (merge(base, &spec["dnsConfig"]), missing)
}

fn merge(mut dns: Dns, config: &Value) -> Dns {
    let strings = |field: &str| -> Vec<String> {
        config[field].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_string).collect()
    };
    dns.servers.extend(strings("nameservers"));
    dns.searches.extend(strings("searches"));
    for option in config["options"].as_array().into_iter().flatten() {
        let name = option["name"].as_str().unwrap_or_default();
        let text = match option["value"].as_str() {
            Some(value) => format!("{name}:{value}"),
            None => name.to_string(),
        };
        dns.options.retain(|old| old.split(':').next() != Some(name));
        dns.options.push(text);
    }
    for list in [&mut dns.servers, &mut dns.searches] {
        let mut seen = std::collections::BTreeSet::new();
        list.retain(|item| seen.insert(item.clone()));
    }
    dns.servers.truncate(NAMESERVERS_MAX);
    dns.searches.truncate(SEARCHES_MAX);
    dns
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn long_names_are_cut_to_63_without_trailing_marks() {
        let name = format!("{}-{}", "a".repeat(62), "b".repeat(10));
        let pod = json!({"metadata": {"name": name}, "spec": {}});
        assert_eq!(hostname_and_domain(&pod, "cluster.local").0, "a".repeat(62));
        let pod =
            json!({"metadata": {"name": "p", "namespace": "n"}, "spec": {"hostname": "h", "subdomain": "s"}});
        assert_eq!(hostname_and_domain(&pod, "cluster.local"), ("h".into(), "s.n.svc.cluster.local".into()));
    }

    #[test]
    fn hosts_file_lists_addresses_and_aliases() {
        let aliases = json!([{"ip": "1.2.3.4", "hostnames": ["a", "b"]}]);
        let text = hosts_file(&["10.0.0.2".into()], "p", "", &aliases);
        assert!(text.starts_with("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n"));
        assert!(text.ends_with("10.0.0.2\tp\n\n# Entries added by HostAliases.\n1.2.3.4\ta\tb\n"), "{text}");
    }

    #[test]
    fn cluster_first_falls_back_to_the_host_until_there_is_a_cluster_dns() {
        let host = Dns::parse("search example.org\nnameserver 9.9.9.9\noptions edns0\n");
        let pod = json!({"metadata": {"namespace": "default"}, "spec": {"dnsPolicy": "ClusterFirst",
            "dnsConfig": {"options": [{"name": "ndots", "value": "2"}]}}});
        let (dns, missing) = pod_dns(&pod, &host, None, "cluster.local");
        assert!(missing);
        assert_eq!(dns.render(), "search example.org\nnameserver 9.9.9.9\noptions edns0 ndots:2\n");
        let (dns, missing) = pod_dns(&pod, &host, Some("10.96.0.10"), "cluster.local");
        assert!(!missing);
        assert_eq!(
            dns.render(),
            "search default.svc.cluster.local svc.cluster.local cluster.local example.org\n\
             nameserver 10.96.0.10\noptions ndots:2\n"
        );
    }
}
