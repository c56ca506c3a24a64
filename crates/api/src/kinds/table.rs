//! Which kinds have a [`Plain`] strategy, and what each allows. A kind with rules names them here; they
//! stand in the file of its group.

use super::plain::{Kind, Plain};
use super::{
    access, admission_policies, apps, autoscaling, batch, custom_resource_definition, endpoints, networking,
    persistent_volume, policy, quota, stateful_set, storage, volume_claim, webhooks,
};
use crate::{Generic, Strategy};
use apimachinery::validation;

/// All kinds, by the files that hold their rules; the last list has kinds whose rules fit here.
static LISTS: &[&[Kind]] = &[
    apps::KINDS,
    stateful_set::KINDS,
    batch::KINDS,
    persistent_volume::KINDS,
    volume_claim::KINDS,
    storage::KINDS,
    networking::KINDS,
    endpoints::KINDS,
    policy::KINDS,
    access::KINDS,
    quota::KINDS,
    autoscaling::KINDS,
    custom_resource_definition::KINDS,
    webhooks::KINDS,
    admission_policies::KINDS,
    PLAIN,
];

static PLAIN: &[Kind] = &[
    ("apiregistration.k8s.io", "apiservices", Plain::of().status().needs_version()),
    ("certificates.k8s.io", "certificatesigningrequests", Plain::of().status().labels(&["spec.signerName"])),
    (
        "certificates.k8s.io",
        "clustertrustbundles",
        Plain::of().needs_version().name(any_path).labels(&["spec.signerName"]),
    ),
    (
        "certificates.k8s.io",
        "podcertificaterequests",
        Plain::of().status().needs_version().labels(&["spec.nodeName", "spec.signerName", "spec.podName"]),
    ),
    (
        "coordination.k8s.io",
        "leasecandidates",
        Plain::of().create_on_update().needs_version().name(validation::config_map_key),
    ),
    ("resource.k8s.io", "deviceclasses", Plain::of().generation().returns_deleted()),
    ("resource.k8s.io", "resourceclaims", Plain::of().status().returns_deleted()),
    ("resource.k8s.io", "resourceclaimtemplates", Plain::of().returns_deleted()),
    (
        "resource.k8s.io",
        "resourceslices",
        Plain::of().generation().returns_deleted().labels(&["spec.nodeName", "spec.driver"]),
    ),
    ("resource.k8s.io", "devicetaintrules", Plain::of().status().generation().returns_deleted()),
    ("resource.k8s.io", "resourcepoolstatusrequests", Plain::of().status().needs_version().returns_deleted()),
    ("flowcontrol.apiserver.k8s.io", "flowschemas", Plain::of().status().generation()),
    ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations", Plain::of().status().generation()),
    ("internal.apiserver.k8s.io", "storageversions", Plain::of().status().needs_version()),
    ("storagemigration.k8s.io", "storageversionmigrations", Plain::of().status().needs_version()),
];

pub(super) fn find(group: &str, resource: &str) -> &'static dyn Strategy {
    match LISTS.iter().copied().flatten().find(|(g, r, _)| *g == group && *r == resource) {
        Some((_, _, plain)) => plain,
        None => &Generic,
    }
}

/// Names of trust bundles hold colons after their signer's name.
fn any_path(name: &str) -> Vec<String> {
    match name.rsplit_once(':') {
        Some((_, own)) => validation::dns1123_subdomain(own),
        None => validation::dns1123_subdomain(name),
    }
}
