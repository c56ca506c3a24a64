//! Amounts of resources: what a Pod asks for in total. Pure.

use apimachinery::Quantity;
use serde_json::Value;
use std::collections::BTreeMap;

/// Resource name to amount.
pub(super) type Amounts = BTreeMap<String, Quantity>;

/// Reads a resource list; what is no quantity was refused by validation.
pub(super) fn read(list: Option<&Value>) -> Amounts {
    let entries = list.and_then(Value::as_object).into_iter().flatten();
    entries.filter_map(|(name, text)| Some((name.clone(), Quantity::parse(text.as_str()?).ok()?))).collect()
}

pub(super) fn add(to: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        let sum = to.get(name).map_or(*amount, |have| *have + *amount);
        to.insert(name.clone(), sum);
    }
}

fn raise(to: &mut Amounts, other: &Amounts) {
    for (name, amount) in other {
        if to.get(name).is_none_or(|have| amount > have) {
            to.insert(name.clone(), *amount);
        }
    }
}

/// A Pod's requests or limits (`field`): the sum of its containers and sidecars, at least what any init
/// container needs beside the sidecars started before it; amounts of the Pod itself win (KEP-2837).
pub(super) fn of_pod(pod: &Value, field: &str) -> Amounts {
    let list = |name: &str| {
        pod.pointer(&format!("/spec/{name}")).and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let of = |container: &Value| read(container.pointer(&format!("/resources/{field}")));
    let mut total = Amounts::new();
    list("containers").iter().for_each(|container| add(&mut total, &of(container)));
    let (mut sidecars, mut init) = (Amounts::new(), Amounts::new());
    for container in list("initContainers") {
        let own = of(&container);
        if container["restartPolicy"] == "Always" {
            add(&mut total, &own);
            add(&mut sidecars, &own);
            raise(&mut init, &sidecars);
        } else {
            let mut beside = own;
            add(&mut beside, &sidecars);
            raise(&mut init, &beside);
        }
    }
    raise(&mut total, &init);
    let pod_level = read(pod.pointer(&format!("/spec/resources/{field}")));
    total.extend(pod_level);
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn init_containers_and_sidecars_count_as_upstreams() {
        let cpu = |n: &str| json!({"requests": {"cpu": n}});
        let pod = json!({"spec": {
            "containers": [{"resources": cpu("1")}, {"resources": cpu("500m")}],
            "initContainers": [{"resources": cpu("1"), "restartPolicy": "Always"}, {"resources": cpu("3")}]}});
        assert_eq!(of_pod(&pod, "requests")["cpu"].to_string(), "4");
        let pod = json!({"spec": {"containers": [{"resources": cpu("1")}], "resources": {"requests": {"cpu": "7"}}}});
        assert_eq!(of_pod(&pod, "requests")["cpu"].to_string(), "7");
    }
}
