//! Which kinds have a [`Plain`] strategy, and what each allows. A kind with rules names them here; they
//! stand in the file of its group.

use super::plain::{Kind, Plain};
use super::{
    access, admission_policies, api_service, apps, autoscaling, batch, certificates,
    custom_resource_definition, devices, endpoints, flow_control, networking, persistent_volume, policy,
    quota, stateful_set, storage, volume_claim, webhooks,
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
    certificates::KINDS,
    flow_control::KINDS,
    api_service::KINDS,
    devices::KINDS,
    PLAIN,
];

static PLAIN: &[Kind] = &[
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
    ("resource.k8s.io", "resourcepoolstatusrequests", Plain::of().status().needs_version().returns_deleted()),
    ("internal.apiserver.k8s.io", "storageversions", Plain::of().status().needs_version()),
    ("storagemigration.k8s.io", "storageversionmigrations", Plain::of().status().needs_version()),
];

pub(super) fn find(group: &str, resource: &str) -> &'static dyn Strategy {
    match LISTS.iter().copied().flatten().find(|(g, r, _)| *g == group && *r == resource) {
        Some((_, _, plain)) => plain,
        None => &Generic,
    }
}
