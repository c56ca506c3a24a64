//! The checks of the Pod Security Standards, pure. Reasons and details are upstream's words; baseline
//! checks come first, each level in the order of the checks' names.

use super::Level;
use apimachinery::{go, meta};
use serde_json::Value;
use std::collections::BTreeSet;

/// A reason and, where there is one, its detail.
type Violation = (String, String);
type Check = fn(&Pod<'_>) -> Option<Violation>;

const BASELINE: [Check; 11] = [
    app_armor,
    capabilities_baseline,
    host_namespaces,
    host_path,
    host_ports,
    probe_hosts,
    privileged,
    proc_mount,
    se_linux,
    seccomp_baseline,
    sysctls,
];
/// Restricted replaces some of the baseline checks by stricter ones.
const BASELINE_OF_RESTRICTED: [Check; 8] =
    [app_armor, host_namespaces, host_ports, probe_hosts, privileged, proc_mount, se_linux, sysctls];
const RESTRICTED: [Check; 6] = [
    privilege_escalation,
    capabilities_restricted,
    volume_types,
    run_as_non_root,
    run_as_user,
    seccomp_restricted,
];

/// What a Pod (or template) violates, as one text; `None` if it conforms.
pub fn violations(level: Level, pod: &Value) -> Option<String> {
    let checks: Vec<Check> = match level {
        Level::Privileged => return None,
        Level::Baseline => BASELINE.into_iter().chain([host_process as Check]).collect(),
        Level::Restricted => {
            BASELINE_OF_RESTRICTED.into_iter().chain([host_process as Check]).chain(RESTRICTED).collect()
        }
    };
    let pod = Pod { object: pod, spec: &pod["spec"] };
    let found: Vec<String> = checks
        .iter()
        .filter_map(|check| check(&pod))
        .map(|(reason, detail)| if detail.is_empty() { reason } else { format!("{reason} ({detail})") })
        .collect();
    (!found.is_empty()).then(|| found.join(", "))
}

struct Pod<'a> {
    object: &'a Value,
    spec: &'a Value,
}

impl<'a> Pod<'a> {
    /// Init, main and ephemeral containers, in this order.
    fn containers(&self) -> impl Iterator<Item = &'a Value> {
        let lists = ["initContainers", "containers", "ephemeralContainers"];
        let spec = self.spec;
        lists.into_iter().flat_map(move |list| spec[list].as_array().into_iter().flatten())
    }

    /// Names of the containers for which `bad` holds.
    fn named(&self, bad: impl Fn(&'a Value) -> bool) -> Vec<&'a str> {
        self.containers().filter(|c| bad(c)).map(|c| c["name"].as_str().unwrap_or_default()).collect()
    }

    fn volumes(&self) -> impl Iterator<Item = &'a Value> {
        self.spec["volumes"].as_array().into_iter().flatten()
    }

    fn windows(&self) -> bool {
        self.spec["os"]["name"] == "windows"
    }

    /// A user namespace makes root in the Pod nobody outside.
    fn own_users(&self) -> bool {
        self.spec["hostUsers"] == false
    }
}

fn quoted<S: AsRef<str>>(items: impl IntoIterator<Item = S>) -> String {
    items.into_iter().map(|item| format!("\"{}\"", item.as_ref())).collect::<Vec<_>>().join(", ")
}

fn plural<'a>(one: &'a str, many: &'a str, count: usize) -> &'a str {
    if count == 1 { one } else { many }
}

fn containers(names: &[&str]) -> String {
    format!("{} {}", plural("container", "containers", names.len()), quoted(names))
}

/// `pod`, the containers, or both.
fn setters(pod: bool, names: &[&str]) -> Option<String> {
    let mut all: Vec<String> = if pod { vec!["pod".into()] } else { Vec::new() };
    if !names.is_empty() {
        all.push(containers(names));
    }
    (!all.is_empty()).then(|| all.join(" and "))
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn strings<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a str> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

fn app_armor(pod: &Pod<'_>) -> Option<Violation> {
    let kind = |owner: &Value| {
        owner.pointer("/securityContext/appArmorProfile/type").and_then(Value::as_str).map(str::to_owned)
    };
    let bad =
        |owner: &Value| kind(owner).filter(|kind| !matches!(kind.as_str(), "RuntimeDefault" | "Localhost"));
    let names = pod.named(|c| bad(c).is_some());
    let values: BTreeSet<String> = pod.containers().chain([pod.spec]).filter_map(bad).collect();
    let mut values: Vec<String> = values.into_iter().collect();
    let mut who: Vec<String> = setters(bad(pod.spec).is_some(), &names).into_iter().collect();
    let annotations: Vec<String> = meta::annotations(pod.object)
        .into_iter()
        .flatten()
        .filter(|(key, _)| key.starts_with("container.apparmor.security.beta.kubernetes.io/"))
        .filter_map(|(key, value)| Some((key, value.as_str()?)))
        .filter(|(_, value)| {
            !value.is_empty() && *value != "runtime/default" && !value.starts_with("localhost/")
        })
        .map(|(key, value)| format!("{key}={}", go::quote(value)))
        .collect();
    if !annotations.is_empty() {
        who.push(plural("annotation", "annotations", annotations.len()).into());
        values.extend(annotations);
    }
    (!who.is_empty()).then(|| {
        let reason = plural("forbidden AppArmor profile", "forbidden AppArmor profiles", values.len());
        (
            reason.into(),
            format!("{} must not set AppArmor profile type to {}", who.join(" and "), quoted(&values)),
        )
    })
}

const DEFAULT_CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
const ADDED: &str = "/securityContext/capabilities/add";
const DROPPED: &str = "/securityContext/capabilities/drop";

fn added(pod: &Pod<'_>, allowed: &[&str]) -> Option<String> {
    let names = pod.named(|c| strings(c, ADDED).any(|cap| !allowed.contains(&cap)));
    let bad: BTreeSet<&str> =
        pod.containers().flat_map(|c| strings(c, ADDED)).filter(|cap| !allowed.contains(cap)).collect();
    (!names.is_empty()).then(|| {
        format!("{} must not include {} in securityContext.capabilities.add", containers(&names), quoted(bad))
    })
}

fn capabilities_baseline(pod: &Pod<'_>) -> Option<Violation> {
    Some(("non-default capabilities".into(), added(pod, &DEFAULT_CAPABILITIES)?))
}

fn capabilities_restricted(pod: &Pod<'_>) -> Option<Violation> {
    if pod.windows() {
        return None;
    }
    let missing = pod.named(|c| !strings(c, DROPPED).any(|cap| cap == "ALL"));
    let missing = (!missing.is_empty())
        .then(|| format!("{} must set securityContext.capabilities.drop=[\"ALL\"]", containers(&missing)));
    let details: Vec<String> = missing.into_iter().chain(added(pod, &["NET_BIND_SERVICE"])).collect();
    (!details.is_empty()).then(|| ("unrestricted capabilities".into(), details.join("; ")))
}

fn host_namespaces(pod: &Pod<'_>) -> Option<Violation> {
    let fields = ["hostNetwork", "hostPID", "hostIPC"];
    let set: Vec<String> =
        fields.iter().filter(|f| pod.spec[**f] == true).map(|f| format!("{f}=true")).collect();
    (!set.is_empty()).then(|| ("host namespaces".into(), set.join(", ")))
}

fn host_path(pod: &Pod<'_>) -> Option<Violation> {
    let names: Vec<&str> =
        pod.volumes().filter(|v| v.get("hostPath").is_some()).filter_map(|v| v["name"].as_str()).collect();
    let detail = format!("{} {}", plural("volume", "volumes", names.len()), quoted(&names));
    (!names.is_empty()).then(|| ("hostPath volumes".into(), detail))
}

fn host_ports(pod: &Pod<'_>) -> Option<Violation> {
    fn ports(container: &Value) -> impl Iterator<Item = String> {
        let ports = container["ports"].as_array().into_iter().flatten();
        ports.filter_map(|p| p["hostPort"].as_u64()).filter(|p| *p != 0).map(|p| p.to_string())
    }
    let names = pod.named(|c| ports(c).next().is_some());
    let all: BTreeSet<String> = pod.containers().flat_map(ports).collect();
    (!names.is_empty()).then(|| {
        let (uses, what) = (plural("uses", "use", names.len()), plural("hostPort", "hostPorts", all.len()));
        let list = all.into_iter().collect::<Vec<_>>().join(", ");
        ("hostPort".into(), format!("{} {uses} {what} {list}", containers(&names)))
    })
}

fn probe_hosts(pod: &Pod<'_>) -> Option<Violation> {
    const HANDLERS: [&str; 5] =
        ["/livenessProbe", "/readinessProbe", "/startupProbe", "/lifecycle/postStart", "/lifecycle/preStop"];
    fn hosts(container: &Value) -> impl Iterator<Item = &str> {
        let handlers = HANDLERS.iter().filter_map(|at| container.pointer(at));
        handlers
            .flat_map(|h| [text(h, "/httpGet/host"), text(h, "/tcpSocket/host")])
            .filter(|host| !host.is_empty())
    }
    let names: BTreeSet<&str> = pod.named(|c| hosts(c).next().is_some()).into_iter().collect();
    let all: BTreeSet<&str> = pod.containers().flat_map(hosts).collect();
    (!names.is_empty()).then(|| {
        let names: Vec<&str> = names.into_iter().collect();
        let what = plural("probe or lifecycle host", "probe or lifecycle hosts", all.len());
        let uses = plural("uses", "use", names.len());
        ("probe or lifecycle host".into(), format!("{} {uses} {what} {}", containers(&names), quoted(all)))
    })
}

fn privileged(pod: &Pod<'_>) -> Option<Violation> {
    let names = pod.named(|c| c["securityContext"]["privileged"] == true);
    let detail = format!("{} must not set securityContext.privileged=true", containers(&names));
    (!names.is_empty()).then(|| ("privileged".into(), detail))
}

fn proc_mount(pod: &Pod<'_>) -> Option<Violation> {
    let kind = |c: &'_ Value| {
        c["securityContext"]["procMount"].as_str().filter(|k| *k != "Default").map(str::to_owned)
    };
    let names = pod.named(|c| kind(c).is_some());
    let kinds: BTreeSet<String> = pod.containers().filter_map(kind).collect();
    (!names.is_empty() && !pod.own_users()).then(|| {
        (
            "procMount".into(),
            format!("{} must not set securityContext.procMount to {}", containers(&names), quoted(kinds)),
        )
    })
}

fn se_linux(pod: &Pod<'_>) -> Option<Violation> {
    const TYPES: [&str; 5] = ["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];
    let field = |owner: &'_ Value, field: &str| {
        text(owner, &format!("/securityContext/seLinuxOptions/{field}")).to_owned()
    };
    let bad_type = |owner: &Value| Some(field(owner, "type")).filter(|kind| !TYPES.contains(&kind.as_str()));
    let set = |owner: &Value, name: &str| !field(owner, name).is_empty();
    let bad = |owner: &Value| bad_type(owner).is_some() || set(owner, "user") || set(owner, "role");
    let who = setters(bad(pod.spec), &pod.named(bad))?;
    let all = || pod.containers().chain([pod.spec]);
    let types: BTreeSet<String> = all().filter_map(bad_type).collect();
    let mut details = Vec::new();
    if !types.is_empty() {
        details.push(format!("{} {}", plural("type", "types", types.len()), quoted(types)));
    }
    for name in ["user", "role"] {
        if all().any(|owner| set(owner, name)) {
            details.push(format!("{name} may not be set"));
        }
    }
    let detail = format!("{who} set forbidden securityContext.seLinuxOptions: {}", details.join("; "));
    Some(("seLinuxOptions".into(), detail))
}

fn seccomp(owner: &Value) -> Option<&str> {
    owner.pointer("/securityContext/seccompProfile")?["type"].as_str()
}

fn seccomp_baseline(pod: &Pod<'_>) -> Option<Violation> {
    let bad = |owner: &'_ Value| {
        seccomp(owner).filter(|k| !matches!(*k, "RuntimeDefault" | "Localhost")).map(str::to_owned)
    };
    let who = setters(bad(pod.spec).is_some(), &pod.named(|c| bad(c).is_some()))?;
    let values: BTreeSet<String> = pod.containers().chain([pod.spec]).filter_map(bad).collect();
    let detail = format!("{who} must not set securityContext.seccompProfile.type to {}", quoted(values));
    Some(("seccompProfile".into(), detail))
}

fn seccomp_restricted(pod: &Pod<'_>) -> Option<Violation> {
    if pod.windows() {
        return None;
    }
    if let Some(violation) = seccomp_baseline(pod) {
        return Some(violation);
    }
    let names = pod.named(|c| seccomp(c).is_none());
    let missing = seccomp(pod.spec).is_none() && !names.is_empty();
    let detail = format!(
        "pod or {} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"",
        containers(&names)
    );
    missing.then(|| ("seccompProfile".into(), detail))
}

fn sysctls(pod: &Pod<'_>) -> Option<Violation> {
    const ALLOWED: [&str; 12] = [
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.ping_group_range",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_wmem",
    ];
    let set = pod.spec["securityContext"]["sysctls"].as_array().into_iter().flatten();
    let bad: Vec<&str> =
        set.filter_map(|s| s["name"].as_str()).filter(|name| !ALLOWED.contains(name)).collect();
    (!bad.is_empty()).then(|| ("forbidden sysctls".into(), bad.join(", ")))
}

fn host_process(pod: &Pod<'_>) -> Option<Violation> {
    let bad = |owner: &Value| {
        owner.pointer("/securityContext/windowsOptions/hostProcess") == Some(&Value::Bool(true))
    };
    let who = setters(bad(pod.spec), &pod.named(bad))?;
    Some((
        "hostProcess".into(),
        format!("{who} must not set securityContext.windowsOptions.hostProcess=true"),
    ))
}

fn privilege_escalation(pod: &Pod<'_>) -> Option<Violation> {
    let names = pod.named(|c| c["securityContext"]["allowPrivilegeEscalation"] != false);
    let detail = format!("{} must set securityContext.allowPrivilegeEscalation=false", containers(&names));
    (!names.is_empty() && !pod.windows()).then(|| ("allowPrivilegeEscalation != false".into(), detail))
}

fn volume_types(pod: &Pod<'_>) -> Option<Violation> {
    const ALLOWED: [&str; 9] = [
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    ];
    let bad: Vec<&Value> =
        pod.volumes().filter(|v| ALLOWED.iter().all(|kind| v.get(*kind).is_none())).collect();
    let names: Vec<&str> = bad.iter().filter_map(|v| v["name"].as_str()).collect();
    let kind = |volume: &&Value| {
        let fields = volume.as_object().into_iter().flatten().map(|(field, _)| field.as_str());
        fields.filter(|field| *field != "name").map(str::to_owned).next().unwrap_or_else(|| "unknown".into())
    };
    let kinds: BTreeSet<String> = bad.iter().map(kind).collect();
    (!bad.is_empty()).then(|| {
        let what = plural("restricted volume type", "restricted volume types", kinds.len());
        let (volumes, uses) = (plural("volume", "volumes", names.len()), plural("uses", "use", names.len()));
        (
            "restricted volume types".into(),
            format!("{volumes} {} {uses} {what} {}", quoted(&names), quoted(kinds)),
        )
    })
}

fn run_as_non_root(pod: &Pod<'_>) -> Option<Violation> {
    if pod.own_users() {
        return None;
    }
    let value = |owner: &Value| owner.pointer("/securityContext/runAsNonRoot").and_then(Value::as_bool);
    let reason = "runAsNonRoot != true".to_owned();
    if let Some(who) = setters(value(pod.spec) == Some(false), &pod.named(|c| value(c) == Some(false))) {
        return Some((reason, format!("{who} must not set securityContext.runAsNonRoot=false")));
    }
    let names = pod.named(|c| value(c).is_none());
    let missing = value(pod.spec).is_none() && !names.is_empty();
    missing.then(|| {
        (reason, format!("pod or {} must set securityContext.runAsNonRoot=true", containers(&names)))
    })
}

fn run_as_user(pod: &Pod<'_>) -> Option<Violation> {
    let root = |owner: &Value| owner.pointer("/securityContext/runAsUser").and_then(Value::as_i64) == Some(0);
    let who = setters(root(pod.spec), &pod.named(root))?;
    (!pod.own_users()).then(|| ("runAsUser=0".into(), format!("{who} must not set runAsUser=0")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn standards_in_upstreams_words() {
        let plain = json!({"spec": {"containers": [{"name": "app"}]}});
        assert_eq!(violations(Level::Baseline, &plain), None);
        assert_eq!(
            violations(Level::Restricted, &plain).unwrap(),
            "allowPrivilegeEscalation != false (container \"app\" must set securityContext.allowPrivilegeEscalation=false), \
             unrestricted capabilities (container \"app\" must set securityContext.capabilities.drop=[\"ALL\"]), \
             runAsNonRoot != true (pod or container \"app\" must set securityContext.runAsNonRoot=true), \
             seccompProfile (pod or container \"app\" must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")"
        );
        let good = json!({"spec": {
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "app", "securityContext": {
                "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}}}],
            "volumes": [{"name": "v", "emptyDir": {}}]}});
        assert_eq!(violations(Level::Restricted, &good), None);
        let bad = json!({"spec": {"hostNetwork": true, "hostPID": true,
            "containers": [{"name": "a", "ports": [{"hostPort": 80}], "securityContext": {"privileged": true}},
                {"name": "b", "securityContext": {"privileged": true, "capabilities": {"add": ["SYS_ADMIN"]}}}],
            "volumes": [{"name": "v", "hostPath": {"path": "/"}}]}});
        assert_eq!(
            violations(Level::Baseline, &bad).unwrap(),
            "non-default capabilities (container \"b\" must not include \"SYS_ADMIN\" in securityContext.capabilities.add), \
             host namespaces (hostNetwork=true, hostPID=true), hostPath volumes (volume \"v\"), \
             hostPort (container \"a\" uses hostPort 80), \
             privileged (containers \"a\", \"b\" must not set securityContext.privileged=true)"
        );
    }
}
