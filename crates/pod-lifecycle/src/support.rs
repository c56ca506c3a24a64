//! What this node cannot honour yet. A Pod that asks for it is refused with an event that names
//! the field; nothing is accepted and ignored. Each line goes when its feature is built.

use serde_json::Value;

/// Paths of the fields that this node does not implement, empty if it can run the Pod.
pub fn unsupported_fields(pod: &Value) -> Vec<String> {
    let spec = &pod["spec"];
    let mut found = Vec::new();
    let mut check = |present: bool, path: String| {
        if present {
            found.push(path);
        }
    };
    for field in ["initContainers", "ephemeralContainers", "resourceClaims", "readinessGates"] {
        check(!is_empty(&spec[field]), format!("spec.{field}"));
    }
    check(spec["activeDeadlineSeconds"].is_number(), "spec.activeDeadlineSeconds".into());
    check(spec["runtimeClassName"].as_str().is_some_and(|s| !s.is_empty()), "spec.runtimeClassName".into());
    check(spec["hostUsers"] == false, "spec.hostUsers".into());
    check(spec["setHostnameAsFQDN"] == true, "spec.setHostnameAsFQDN".into());
    check(!is_empty(&spec["resources"]), "spec.resources".into());
    check(spec["os"]["name"].as_str().is_some_and(|os| os != "linux"), "spec.os.name".into());
    for kind in ["podAffinity", "podAntiAffinity"] {
        let field = "requiredDuringSchedulingIgnoredDuringExecution";
        check(!is_empty(&spec["affinity"][kind][field]), format!("spec.affinity.{kind}.{field}"));
    }
    for (i, constraint) in list(&spec["topologySpreadConstraints"]).enumerate() {
        let hard = constraint["whenUnsatisfiable"] == "DoNotSchedule";
        check(hard, format!("spec.topologySpreadConstraints[{i}].whenUnsatisfiable"));
    }
    let security = &spec["securityContext"];
    for field in ["seLinuxOptions", "windowsOptions", "appArmorProfile", "sysctls"] {
        check(!is_empty(&security[field]), format!("spec.securityContext.{field}"));
    }
    for (i, volume) in list(&spec["volumes"]).enumerate() {
        for field in volume.as_object().into_iter().flatten().map(|(key, _)| key) {
            let known = ["name", "emptyDir", "configMap", "secret", "projected", "hostPath", "downwardAPI"];
            check(!known.contains(&field.as_str()), format!("spec.volumes[{i}].{field}"));
        }
        let medium = volume["emptyDir"]["medium"].as_str().unwrap_or_default();
        check(!matches!(medium, "" | "Memory"), format!("spec.volumes[{i}].emptyDir.medium"));
        for (j, source) in list(&volume["projected"]["sources"]).enumerate() {
            for field in source.as_object().into_iter().flatten().map(|(key, _)| key) {
                let known = ["configMap", "secret", "downwardAPI", "serviceAccountToken"];
                check(
                    !known.contains(&field.as_str()),
                    format!("spec.volumes[{i}].projected.sources[{j}].{field}"),
                );
            }
        }
    }
    for (i, container) in list(&spec["containers"]).enumerate() {
        container_fields(
            container,
            &format!("spec.containers[{i}]"),
            spec["hostNetwork"] == true,
            &mut check,
        );
    }
    found
}

fn container_fields(container: &Value, at: &str, host_network: bool, check: &mut impl FnMut(bool, String)) {
    for field in ["livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "volumeDevices"] {
        check(!is_empty(&container[field]), format!("{at}.{field}"));
    }
    check(!is_empty(&container["resources"]["claims"]), format!("{at}.resources.claims"));
    for (i, rule) in list(&container["restartPolicyRules"]).enumerate() {
        check(rule["action"] == "RestartAllContainers", format!("{at}.restartPolicyRules[{i}].action"));
    }
    for (i, port) in list(&container["ports"]).enumerate() {
        // On the host's network the port is the container's own.
        check(
            !host_network && port["hostPort"].as_i64().is_some_and(|p| p > 0),
            format!("{at}.ports[{i}].hostPort"),
        );
    }
    for (i, mount) in list(&container["volumeMounts"]).enumerate() {
        for field in ["subPath", "subPathExpr"] {
            check(
                mount[field].as_str().is_some_and(|s| !s.is_empty()),
                format!("{at}.volumeMounts[{i}].{field}"),
            );
        }
    }
    for (i, env) in list(&container["env"]).enumerate() {
        check(env["valueFrom"].get("fileKeyRef").is_some(), format!("{at}.env[{i}].valueFrom.fileKeyRef"));
    }
    let security = &container["securityContext"];
    for field in ["seLinuxOptions", "windowsOptions", "appArmorProfile"] {
        check(!is_empty(&security[field]), format!("{at}.securityContext.{field}"));
    }
    check(
        security["procMount"].as_str().is_some_and(|p| p != "Default"),
        format!("{at}.securityContext.procMount"),
    );
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_are_named_by_path() {
        let pod = json!({"spec": {
            "initContainers": [{"name": "i"}],
            "containers": [{"name": "a", "livenessProbe": {"exec": {}}}],
            "volumes": [{"name": "v", "nfs": {}}, {"name": "e", "emptyDir": {}}],
        }});
        assert_eq!(
            unsupported_fields(&pod),
            ["spec.initContainers", "spec.volumes[0].nfs", "spec.containers[0].livenessProbe"]
        );
        assert!(unsupported_fields(&json!({"spec": {"containers": [{"name": "a"}]}})).is_empty());
    }
}
