//! Requests and limits as kernel settings: cpu shares and quota, memory limits, OOM score.
//! The cgroup v1 values are the common currency; the runtime converts them for v2.

use api::qos::{QosClass, all_containers, qos_class, quantity};
use serde_json::Value;

/// Kernel minimum and maximum of cpu.shares.
const SHARES_MIN: i64 = 2;
const SHARES_MAX: i64 = 262_144;
/// CFS period in microseconds, and the smallest quota the kernel takes.
pub const CPU_PERIOD_US: i64 = 100_000;
const QUOTA_MIN_US: i64 = 1_000;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    pub cpu_shares: Option<i64>,
    /// Microseconds per [`CPU_PERIOD_US`]; `None`: no limit.
    pub cpu_quota_us: Option<i64>,
    pub memory_bytes: Option<i64>,
}

pub fn cpu_shares(milli_cpu: i64) -> i64 {
    if milli_cpu == 0 { SHARES_MIN } else { (milli_cpu * 1024 / 1000).clamp(SHARES_MIN, SHARES_MAX) }
}

pub fn cpu_quota_us(milli_cpu: i64) -> Option<i64> {
    (milli_cpu != 0).then(|| (milli_cpu * CPU_PERIOD_US / 1000).max(QUOTA_MIN_US))
}

/// The limits of one container.
pub fn container_limits(container: &Value) -> Limits {
    let resources = &container["resources"];
    let milli = |list: &str| quantity(&resources[list], "cpu").map(|q| q.milli_value());
    let request = milli("requests").or_else(|| milli("limits")).unwrap_or(0);
    Limits {
        cpu_shares: Some(cpu_shares(request)),
        cpu_quota_us: milli("limits").and_then(cpu_quota_us),
        memory_bytes: quantity(&resources["limits"], "memory").map(|q| q.value()).filter(|bytes| *bytes > 0),
    }
}

/// The limits of the Pod's own cgroup: a limit only where every container has one.
pub fn pod_limits(spec: &Value) -> Limits {
    let class = qos_class(spec);
    let (mut request, mut cpu, mut memory) = (0, Some(0), Some(0));
    let (mut init_request, mut init_cpu, mut init_memory) = (0, 0, 0);
    let sidecar = |c: &Value| c["restartPolicy"] == "Always";
    let inits = spec["initContainers"].as_array().map_or(0, Vec::len);
    for (i, container) in all_containers(spec).enumerate() {
        let resources = &container["resources"];
        let milli = |list: &str| quantity(&resources[list], "cpu").map(|q| q.milli_value()).unwrap_or(0);
        let bytes = quantity(&resources["limits"], "memory").map(|q| q.value()).unwrap_or(0);
        if i < inits && !sidecar(container) {
            init_request = init_request.max(milli("requests"));
            init_cpu = init_cpu.max(milli("limits"));
            init_memory = init_memory.max(bytes);
            continue;
        }
        request += milli("requests");
        cpu = cpu.filter(|_| milli("limits") > 0).map(|sum| sum + milli("limits"));
        memory = memory.filter(|_| bytes > 0).map(|sum| sum + bytes);
    }
    let overhead = |name: &str| quantity(&spec["overhead"], name);
    let request = request.max(init_request) + overhead("cpu").map_or(0, |q| q.milli_value());
    match class {
        QosClass::BestEffort => Limits { cpu_shares: Some(SHARES_MIN), ..Limits::default() },
        _ => Limits {
            cpu_shares: Some(cpu_shares(request)),
            cpu_quota_us: cpu
                .map(|sum| sum.max(init_cpu) + overhead("cpu").map_or(0, |q| q.milli_value()))
                .and_then(cpu_quota_us),
            memory_bytes: memory
                .map(|sum| sum.max(init_memory) + overhead("memory").map_or(0, |q| q.value()))
                .filter(|bytes| *bytes > 0),
        },
    }
}

/// The cgroup below the node's `kubepods`: Guaranteed Pods directly, the others in their class.
pub fn pod_cgroup(spec: &Value, uid: &str) -> String {
    match qos_class(spec) {
        QosClass::Guaranteed => format!("kubepods/pod{uid}"),
        QosClass::Burstable => format!("kubepods/burstable/pod{uid}"),
        QosClass::BestEffort => format!("kubepods/besteffort/pod{uid}"),
    }
}

/// oom_score_adj of a container: who dies first when the node runs out of memory.
pub fn oom_score_adj(spec: &Value, container: &Value, node_memory_bytes: i64) -> i32 {
    let critical = spec["priority"].as_i64().is_some_and(|p| p >= 2_000_000_000);
    match qos_class(spec) {
        _ if critical => -997,
        QosClass::Guaranteed => -997,
        QosClass::BestEffort => 1000,
        QosClass::Burstable => {
            let request = quantity(&container["resources"]["requests"], "memory").map_or(0, |q| q.value());
            let capacity = node_memory_bytes.max(1);
            let score = 1000 - i128::from(request) * 1000 / i128::from(capacity);
            score.clamp(3, 999) as i32
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn shares_and_quota_follow_the_documented_formulas() {
        assert_eq!((cpu_shares(0), cpu_shares(1), cpu_shares(250), cpu_shares(1000)), (2, 2, 256, 1024));
        assert_eq!((cpu_quota_us(0), cpu_quota_us(1), cpu_quota_us(500)), (None, Some(1000), Some(50_000)));
    }

    #[test]
    fn a_pod_limit_needs_every_container_to_have_one() {
        let one = json!({"name": "a", "resources": {"requests": {"cpu": "250m"}, "limits": {"cpu": "500m", "memory": "64Mi"}}});
        let other = json!({"name": "b", "resources": {"requests": {"memory": "32Mi"}}});
        let both = pod_limits(&json!({"containers": [one, other]}));
        assert_eq!(both, Limits { cpu_shares: Some(256), cpu_quota_us: None, memory_bytes: None });
        let twice = pod_limits(&json!({"containers": [one, one]}));
        assert_eq!((twice.cpu_quota_us, twice.memory_bytes), (Some(100_000), Some(128 << 20)));
    }

    #[test]
    fn burstable_scores_shrink_with_the_request() {
        let container = json!({"name": "a", "resources": {"requests": {"memory": "1Gi"}}});
        let spec = json!({"containers": [container]});
        assert_eq!(oom_score_adj(&spec, &container, 4 << 30), 750);
        assert_eq!(oom_score_adj(&json!({"containers": [{"name": "a"}]}), &container, 4 << 30), 1000);
    }
}
