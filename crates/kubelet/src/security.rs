//! The security context of a container: the Pod's and the container's own, merged as upstream
//! does, and the check of runAsNonRoot against the image.

use serde_json::Value;

use crate::runtime::{Image, Seccomp, Security};

/// The merged settings; the error is the message of CreateContainerConfigError.
pub fn security(
    pod: &Value,
    container: &Value,
    image: &Image,
    seccomp_dir: &std::path::Path,
) -> Result<Security, String> {
    let spec = &pod["spec"];
    let (own, pods) = (&container["securityContext"], &spec["securityContext"]);
    let either = |field: &str| if own.get(field).is_some() { &own[field] } else { &pods[field] };
    let ids = |value: &Value| -> Vec<i64> {
        value.as_array().into_iter().flatten().filter_map(Value::as_i64).collect()
    };
    let names = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_string).collect()
    };
    let uid = either("runAsUser").as_i64();
    let privileged = own["privileged"].as_bool().unwrap_or(false);
    non_root(pod, container, either("runAsNonRoot"), uid, image)?;
    let mut groups = ids(&pods["supplementalGroups"]);
    groups.extend(pods["fsGroup"].as_i64());
    Ok(Security {
        uid,
        gid: either("runAsGroup").as_i64(),
        supplemental_groups: groups,
        strict_groups: pods["supplementalGroupsPolicy"] == "Strict",
        privileged,
        no_new_privileges: own["allowPrivilegeEscalation"] == false,
        read_only_root: own["readOnlyRootFilesystem"] == true,
        capabilities_add: names(&own["capabilities"]["add"]),
        capabilities_drop: names(&own["capabilities"]["drop"]),
        seccomp: if privileged {
            Seccomp::Unconfined
        } else {
            seccomp(either("seccompProfile"), seccomp_dir)?
        },
    })
}

fn seccomp(profile: &Value, dir: &std::path::Path) -> Result<Seccomp, String> {
    match profile["type"].as_str() {
        None | Some("Unconfined") => Ok(Seccomp::Unconfined),
        Some("RuntimeDefault") => Ok(Seccomp::RuntimeDefault),
        Some("Localhost") => {
            let path = dir.join(profile["localhostProfile"].as_str().unwrap_or_default());
            let text = std::fs::read_to_string(&path).map_err(|error| {
                format!("cannot load seccomp profile {:?}: {error}", path.display().to_string())
            })?;
            Ok(Seccomp::Profile(text))
        }
        Some(other) => Err(format!("unknown seccomp profile type {other:?}")),
    }
}

/// Upstream's verifyRunAsNonRoot, messages included.
fn non_root(
    pod: &Value,
    container: &Value,
    wanted: &Value,
    uid: Option<i64>,
    image: &Image,
) -> Result<(), String> {
    if wanted != true {
        return Ok(());
    }
    let pod_text = pod_lifecycle::plan::pod_text(pod);
    let name = container["name"].as_str().unwrap_or_default();
    match (uid, image.uid) {
        (Some(0), _) => Err(format!(
            "container's runAsUser breaks non-root policy (pod: {pod_text:?}, container: {name})"
        )),
        (Some(_), _) => Ok(()),
        (None, Some(0)) => Err(format!(
            "container has runAsNonRoot and image will run as root (pod: {pod_text:?}, container: {name})"
        )),
        (None, Some(_)) => Ok(()),
        (None, None) if image.username.is_empty() => Err(format!(
            "container has runAsNonRoot and image will run as root (pod: {pod_text:?}, container: {name})"
        )),
        (None, None) => Err(format!(
            "container has runAsNonRoot and image has non-numeric user ({}), cannot verify user is non-root (pod: {pod_text:?}, container: {name})",
            image.username
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_container_overrides_the_pod_and_root_is_refused() {
        let pod = |context: Value, own: Value| {
            json!({"metadata": {"name": "p", "namespace": "n", "uid": "u"},
                "spec": {"securityContext": context, "containers": [{"name": "app", "securityContext": own}]}})
        };
        let run = |pod: &Value, image: &Image| {
            security(pod, &pod["spec"]["containers"][0], image, std::path::Path::new("/nonexistent"))
        };
        let both =
            pod(json!({"runAsUser": 1000, "runAsGroup": 3000, "fsGroup": 2000}), json!({"runAsUser": 7}));
        let merged = run(&both, &Image::default()).expect("no policy");
        assert_eq!((merged.uid, merged.gid, merged.supplemental_groups), (Some(7), Some(3000), vec![2000]));
        let strict = pod(json!({"runAsNonRoot": true}), json!({}));
        let image = |uid, username: &str| Image { uid, username: username.into(), ..Image::default() };
        assert_eq!(
            run(&strict, &image(Some(0), "")).unwrap_err(),
            "container has runAsNonRoot and image will run as root (pod: \"p_n(u)\", container: app)"
        );
        assert!(run(&strict, &image(None, "nginx")).unwrap_err().contains("non-numeric user (nginx)"));
        assert!(run(&strict, &image(Some(101), "")).is_ok());
    }
}
