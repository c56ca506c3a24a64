//! The fields that a write through an endpoint cannot change whatever it says: its strategy puts them
//! back. Nobody comes to own them through it (upstream: the strategies' reset fields).

/// What a write through one endpoint leaves alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResetFields {
    None,
    /// These, with all below; names separated by dots.
    Fields(&'static [&'static str]),
    /// All but these; `*` stands for any item.
    AllBut(&'static [&'static str]),
}

use ResetFields::{AllBut, Fields};

const STATUS: ResetFields = Fields(&["status"]);
const SPEC: ResetFields = Fields(&["spec"]);
const SPEC_METADATA: ResetFields = Fields(&["spec", "metadata"]);

/// Group, resource, what the object itself leaves alone, what `/status` does.
#[rustfmt::skip]
const STATUSES: &[(&str, &str, ResetFields, ResetFields)] = &[
    ("", "namespaces", STATUS, SPEC),
    ("", "nodes", STATUS, SPEC),
    ("", "persistentvolumeclaims", STATUS, SPEC),
    ("", "persistentvolumes", STATUS, SPEC),
    ("", "pods", STATUS, Fields(&["spec", "metadata.deletionTimestamp", "metadata.ownerReferences"])),
    ("", "replicationcontrollers", STATUS, SPEC),
    ("", "resourcequotas", STATUS, SPEC),
    ("", "services", STATUS, SPEC),
    ("admissionregistration.k8s.io", "validatingadmissionpolicies", STATUS, SPEC_METADATA),
    ("apiextensions.k8s.io", "customresourcedefinitions", STATUS, SPEC),
    ("apiregistration.k8s.io", "apiservices", STATUS, SPEC_METADATA),
    ("apps", "daemonsets", STATUS, SPEC),
    ("apps", "deployments", STATUS, Fields(&["spec", "metadata.labels"])),
    ("apps", "replicasets", STATUS, SPEC),
    ("apps", "statefulsets", STATUS, SPEC),
    ("autoscaling", "horizontalpodautoscalers", STATUS, SPEC),
    ("batch", "cronjobs", STATUS, SPEC),
    ("batch", "jobs", STATUS, SPEC),
    ("certificates.k8s.io", "certificatesigningrequests", Fields(&["spec", "status"]), Fields(&["spec", "status.conditions"])),
    ("certificates.k8s.io", "podcertificaterequests", ResetFields::None, SPEC),
    ("flowcontrol.apiserver.k8s.io", "flowschemas", STATUS, SPEC_METADATA),
    ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations", STATUS, SPEC_METADATA),
    ("internal.apiserver.k8s.io", "storageversions", STATUS, SPEC_METADATA),
    ("networking.k8s.io", "ingresses", STATUS, SPEC),
    ("networking.k8s.io", "servicecidrs", STATUS, SPEC_METADATA),
    ("policy", "poddisruptionbudgets", STATUS, SPEC),
    ("resource.k8s.io", "devicetaintrules", STATUS, SPEC_METADATA),
    ("resource.k8s.io", "resourceclaims", STATUS, SPEC_METADATA),
    ("resource.k8s.io", "resourcepoolstatusrequests", STATUS, SPEC_METADATA),
    ("scheduling.k8s.io", "podgroups", STATUS, SPEC_METADATA),
    ("storage.k8s.io", "volumeattachments", STATUS, SPEC_METADATA),
    ("storagemigration.k8s.io", "storageversionmigrations", STATUS, SPEC_METADATA),
];

/// Group, resource, any other subresource.
#[rustfmt::skip]
const OTHERS: &[(&str, &str, &str, ResetFields)] = &[
    ("", "namespaces", "finalize", STATUS),
    ("", "pods", "ephemeralcontainers", AllBut(&["spec.ephemeralContainers"])),
    ("", "pods", "resize", AllBut(&[
        "spec.containers.*.resources", "spec.containers.*.resizePolicy",
        "spec.initContainers.*.resources", "spec.initContainers.*.resizePolicy",
    ])),
    ("certificates.k8s.io", "certificatesigningrequests", "approval", Fields(&["spec", "status.certificate"])),
];

/// What a write through an endpoint leaves alone; `""` is the object itself.
pub fn reset_fields(group: &str, resource: &str, subresource: &str) -> ResetFields {
    if !matches!(subresource, "" | "status") {
        let found = OTHERS.iter().find(|line| (line.0, line.1, line.2) == (group, resource, subresource));
        return found.map_or(ResetFields::None, |line| line.3);
    }
    let at = STATUSES.binary_search_by(|line| (line.0, line.1).cmp(&(group, resource)));
    let Ok(line) = at.map(|at| &STATUSES[at]) else { return ResetFields::None };
    if subresource.is_empty() { line.2 } else { line.3 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_with_a_status_is_listed_in_order() {
        assert!(STATUSES.is_sorted_by_key(|line| (line.0, line.1)));
        for info in crate::resources().iter().filter(|info| info.subresource("status").is_some()) {
            let status = reset_fields(info.group, info.resource, "status");
            assert_ne!(status, ResetFields::None, "{}/{}", info.group, info.resource);
        }
        for (group, resource, subresource, _) in OTHERS {
            let info = crate::preferred(group, resource).unwrap();
            assert!(info.subresource(subresource).is_some(), "{resource}/{subresource}");
        }
        assert_eq!(reset_fields("", "configmaps", ""), ResetFields::None);
        assert_eq!(reset_fields("apps", "deployments", "scale"), ResetFields::None);
    }
}
