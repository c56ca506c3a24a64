//! Amounts of resources as numbers: milli-cpu, bytes, counts.

use std::collections::BTreeMap;

use api::qos::quantity;
use serde_json::Value;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    pub milli_cpu: i64,
    pub memory: i64,
    pub ephemeral_storage: i64,
    pub pods: i64,
    /// Extended resources and huge pages.
    pub scalar: BTreeMap<String, i64>,
}

/// Requests that score counts for containers that ask for nothing (upstream's schedutil).
pub const SCORE_MILLI_CPU: i64 = 100;
pub const SCORE_MEMORY: i64 = 200 << 20;

impl Resources {
    /// From a resource list (`requests`, `allocatable`).
    pub fn of(list: &Value) -> Resources {
        let mut all = Resources::default();
        for name in list.as_object().into_iter().flatten().map(|(name, _)| name) {
            let Some(amount) = quantity(list, name) else { continue };
            match name.as_str() {
                "cpu" => all.milli_cpu = amount.milli_value(),
                "memory" => all.memory = amount.value(),
                "ephemeral-storage" => all.ephemeral_storage = amount.value(),
                "pods" => all.pods = amount.value(),
                _ => {
                    all.scalar.insert(name.clone(), amount.value());
                }
            }
        }
        all
    }

    pub fn add(&mut self, other: &Resources) {
        self.milli_cpu += other.milli_cpu;
        self.memory += other.memory;
        self.ephemeral_storage += other.ephemeral_storage;
        for (name, amount) in &other.scalar {
            *self.scalar.entry(name.clone()).or_default() += amount;
        }
    }

    pub fn subtract(&mut self, other: &Resources) {
        self.milli_cpu -= other.milli_cpu;
        self.memory -= other.memory;
        self.ephemeral_storage -= other.ephemeral_storage;
        for (name, amount) in &other.scalar {
            *self.scalar.entry(name.clone()).or_default() -= amount;
        }
    }

    fn max(&mut self, other: &Resources) {
        self.milli_cpu = self.milli_cpu.max(other.milli_cpu);
        self.memory = self.memory.max(other.memory);
        self.ephemeral_storage = self.ephemeral_storage.max(other.ephemeral_storage);
        for (name, amount) in &other.scalar {
            let entry = self.scalar.entry(name.clone()).or_default();
            *entry = (*entry).max(*amount);
        }
    }
}

/// What a Pod asks for: the apps and sidecars together, or the largest init step (with the
/// sidecars started before it), plus overhead; pod-level requests replace cpu and memory.
pub fn pod_requests(spec: &Value, per_container: impl Fn(&Value) -> Resources) -> Resources {
    let list = |field: &str| spec[field].as_array().into_iter().flatten();
    let mut sum = Resources::default();
    for container in list("containers") {
        sum.add(&per_container(container));
    }
    let (mut sidecars, mut init_peak) = (Resources::default(), Resources::default());
    for container in list("initContainers") {
        let mut step = per_container(container);
        if container["restartPolicy"] == "Always" {
            sum.add(&step);
            sidecars.add(&step);
            step = sidecars.clone();
        } else {
            step.add(&sidecars);
        }
        init_peak.max(&step);
    }
    sum.max(&init_peak);
    let pod_level = &spec["resources"]["requests"];
    if let Some(cpu) = quantity(pod_level, "cpu") {
        sum.milli_cpu = cpu.milli_value();
    }
    if let Some(memory) = quantity(pod_level, "memory") {
        sum.memory = memory.value();
    }
    sum.add(&Resources::of(&spec["overhead"]));
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn init_steps_count_by_their_peak_and_sidecars_add_up() {
        let cpu =
            |name: &str, amount: &str| json!({"name": name, "resources": {"requests": {"cpu": amount}}});
        let mut sidecar = cpu("s", "100m");
        sidecar["restartPolicy"] = json!("Always");
        let spec = json!({"containers": [cpu("a", "200m"), cpu("b", "300m")],
            "initContainers": [sidecar, cpu("i", "450m")], "overhead": {"cpu": "10m"}});
        let requests = pod_requests(&spec, |c| Resources::of(&c["resources"]["requests"]));
        assert_eq!(requests.milli_cpu, 610);
    }
}
